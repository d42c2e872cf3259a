//! The data types: which methods, arguments and properties each has, as its standard lists them.

use super::options::*;
use super::shape::Shape;
use serde_json::Value;

/// A data type.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    Mailbox,
    Thread,
    Email,
    Identity,
    VacationResponse,
    SieveScript,
    AddressBook,
    ContactCard,
    Calendar,
    CalendarEvent,
    ParticipantIdentity,
    FileNode,
    Principal,
}

/// Who may set a property, RFC 8620 section 1.1.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Setter {
    Anybody,
    AtCreation,
    Server,
}

/// A property of a type.
#[derive(Debug, Clone, Copy)]
pub struct Property {
    pub name: &'static str,
    pub shape: Shape,
    pub may_be_null: bool,
    pub setter: Setter,
    pub is_required: bool,
    /// What it is if it is left out, as JSON.
    default: Option<&'static str>,
}

impl Property {
    const fn or(self, json: &'static str) -> Property {
        Property { default: Some(json), is_required: false, ..self }
    }

    /// May be null, and is if it is left out.
    const fn null(self) -> Property {
        Property { may_be_null: true, ..self.or("null") }
    }

    /// May be left out; then the server decides.
    const fn optional(self) -> Property {
        Property { is_required: false, ..self }
    }

    const fn fixed(self) -> Property {
        Property { setter: Setter::AtCreation, ..self }
    }

    const fn server(self) -> Property {
        Property { setter: Setter::Server, is_required: false, ..self }
    }

    /// What null in a patch or its absence at creation stands for.
    pub fn default(&self) -> Option<Value> {
        self.default.map(|json| serde_json::from_str(json).expect("JSON"))
    }

    /// Says what is wrong with a value.
    pub fn check(&self, value: &Value) -> Result<(), String> {
        if self.may_be_null && value.is_null() { Ok(()) } else { self.shape.check(value) }
    }
}

const fn p(name: &'static str, shape: Shape) -> Property {
    Property { name, shape, may_be_null: false, setter: Setter::Anybody, is_required: true, default: None }
}

/// An argument beyond those of RFC 8620 section 5.
pub type Argument = (&'static str, Shape);

/// A data type, as its standard describes it.
pub struct Schema {
    pub name: &'static str,
    pub capability: &'static str,
    /// Begins the ids, so that nobody mistakes one type's for another's.
    pub prefix: &'static str,
    /// Its standard methods: `get`, `changes`, `query`, `set`, `import`.
    pub methods: &'static [&'static str],
    pub properties: &'static [Property],
    /// The other properties are those of JSContact or JSCalendar.
    pub is_open: bool,
    /// There are few of it: "The ids argument may be null to fetch all at once".
    pub is_small: bool,
    pub get_arguments: &'static [Argument],
    pub query_arguments: &'static [Argument],
    pub set_arguments: &'static [Argument],
    pub filters: &'static [Argument],
    pub sorts: &'static [&'static str],
}

impl Schema {
    /// The property of this name.
    pub fn property(&self, name: &str) -> Option<&'static Property> {
        self.properties.iter().find(|property| property.name == name)
    }
}

impl Kind {
    /// All of them.
    pub const ALL: [Kind; 13] = [
        Kind::Mailbox,
        Kind::Thread,
        Kind::Email,
        Kind::Identity,
        Kind::VacationResponse,
        Kind::SieveScript,
        Kind::AddressBook,
        Kind::ContactCard,
        Kind::Calendar,
        Kind::CalendarEvent,
        Kind::ParticipantIdentity,
        Kind::FileNode,
        Kind::Principal,
    ];

    /// By its name, e.g. `Mailbox`.
    pub fn named(name: &str) -> Option<Kind> {
        Kind::ALL.into_iter().find(|kind| kind.schema().name == name)
    }

    /// What its standard says.
    pub fn schema(self) -> &'static Schema {
        match self {
            Kind::Mailbox => &MAILBOX,
            Kind::Thread => &THREAD,
            Kind::Email => &EMAIL,
            Kind::Identity => &IDENTITY,
            Kind::VacationResponse => &VACATION_RESPONSE,
            Kind::SieveScript => &SIEVE_SCRIPT,
            Kind::AddressBook => &ADDRESS_BOOK,
            Kind::ContactCard => &CONTACT_CARD,
            Kind::Calendar => &CALENDAR,
            Kind::CalendarEvent => &CALENDAR_EVENT,
            Kind::ParticipantIdentity => &PARTICIPANT_IDENTITY,
            Kind::FileNode => &FILE_NODE,
            Kind::Principal => &PRINCIPAL,
        }
    }
}

const NOTHING: Schema = Schema {
    name: "",
    capability: CORE,
    prefix: "",
    methods: &["get", "changes", "set"],
    properties: &[],
    is_open: false,
    is_small: true,
    get_arguments: &[],
    query_arguments: &[],
    set_arguments: &[],
    filters: &[],
    sorts: &[],
};

const ID: Property = p("id", Shape::Id).server();
const EVERYTHING: &[&str] = &["get", "changes", "query", "set"];

/// RFC 8621 section 2.
static MAILBOX: Schema = Schema {
    name: "Mailbox",
    capability: MAIL,
    prefix: "m",
    methods: EVERYTHING,
    properties: &[
        ID,
        p("name", Shape::Text),
        p("parentId", Shape::Id).null(),
        p("role", Shape::Text).null(),
        p("sortOrder", Shape::Unsigned).or("0"),
        p("totalEmails", Shape::Unsigned).server(),
        p("unreadEmails", Shape::Unsigned).server(),
        p("totalThreads", Shape::Unsigned).server(),
        p("unreadThreads", Shape::Unsigned).server(),
        p("myRights", Shape::Object).server(),
        p("isSubscribed", Shape::Bool).or("true"),
    ],
    query_arguments: &[("sortAsTree", Shape::Bool), ("filterAsTree", Shape::Bool)],
    set_arguments: &[("onDestroyRemoveEmails", Shape::Bool)],
    filters: &[
        ("parentId", Shape::Id),
        ("name", Shape::Text),
        ("role", Shape::Text),
        ("hasAnyRole", Shape::Bool),
        ("isSubscribed", Shape::Bool),
    ],
    sorts: &["sortOrder", "name"],
    ..NOTHING
};

/// RFC 8621 section 3.
static THREAD: Schema = Schema {
    name: "Thread",
    capability: MAIL,
    prefix: "t",
    methods: &["get"],
    properties: &[ID, p("emailIds", Shape::Ids).server()],
    is_small: false,
    ..NOTHING
};

/// RFC 8621 section 4. What follows from the bytes of the message is in `email.rs`.
static EMAIL: Schema = Schema {
    name: "Email",
    capability: MAIL,
    prefix: "e",
    methods: &["get", "changes", "query", "set", "import"],
    properties: &[
        ID,
        p("blobId", Shape::Id).server(),
        p("threadId", Shape::Id).server(),
        p("mailboxIds", Shape::IdSet),
        p("keywords", Shape::Keywords).or("{}"),
        p("size", Shape::Unsigned).server(),
        p("receivedAt", Shape::UtcDate).fixed().optional(),
    ],
    is_small: false,
    get_arguments: &[
        ("bodyProperties", Shape::Texts),
        ("fetchTextBodyValues", Shape::Bool),
        ("fetchHTMLBodyValues", Shape::Bool),
        ("fetchAllBodyValues", Shape::Bool),
        ("maxBodyValueBytes", Shape::Unsigned),
    ],
    query_arguments: &[("collapseThreads", Shape::Bool)],
    filters: &[
        ("inMailbox", Shape::Id),
        ("inMailboxOtherThan", Shape::Ids),
        ("before", Shape::UtcDate),
        ("after", Shape::UtcDate),
        ("minSize", Shape::Unsigned),
        ("maxSize", Shape::Unsigned),
        ("allInThreadHaveKeyword", Shape::Text),
        ("someInThreadHaveKeyword", Shape::Text),
        ("noneInThreadHaveKeyword", Shape::Text),
        ("hasKeyword", Shape::Text),
        ("notKeyword", Shape::Text),
        ("hasAttachment", Shape::Bool),
        ("text", Shape::Text),
        ("from", Shape::Text),
        ("to", Shape::Text),
        ("cc", Shape::Text),
        ("bcc", Shape::Text),
        ("subject", Shape::Text),
        ("body", Shape::Text),
        ("header", Shape::Texts),
    ],
    sorts: &["receivedAt", "size"],
    ..NOTHING
};

/// RFC 8621 section 6.
static IDENTITY: Schema = Schema {
    name: "Identity",
    capability: SUBMISSION,
    prefix: "i",
    properties: &[
        ID,
        p("name", Shape::Text).or("\"\""),
        p("email", Shape::Text).fixed(),
        p("replyTo", Shape::Addresses).null(),
        p("bcc", Shape::Addresses).null(),
        p("textSignature", Shape::Text).or("\"\""),
        p("htmlSignature", Shape::Text).or("\"\""),
        p("mayDelete", Shape::Bool).server(),
    ],
    ..NOTHING
};

/// RFC 8621 section 8.
static VACATION_RESPONSE: Schema = Schema {
    name: "VacationResponse",
    capability: VACATION,
    prefix: "v",
    methods: &["get", "set"],
    properties: &[
        ID,
        p("isEnabled", Shape::Bool),
        p("fromDate", Shape::UtcDate).null(),
        p("toDate", Shape::UtcDate).null(),
        p("subject", Shape::Text).null(),
        p("textBody", Shape::Text).null(),
        p("htmlBody", Shape::Text).null(),
    ],
    ..NOTHING
};

/// RFC 9661 section 2. It has no /changes.
static SIEVE_SCRIPT: Schema = Schema {
    name: "SieveScript",
    capability: SIEVE,
    prefix: "s",
    methods: &["get", "query", "set"],
    properties: &[
        ID,
        Property { may_be_null: true, ..p("name", Shape::Text).optional() },
        p("blobId", Shape::Id),
        p("isActive", Shape::Bool).server(),
    ],
    set_arguments: &[("onSuccessActivateScript", Shape::Text), ("onSuccessDeactivateScript", Shape::Bool)],
    filters: &[("name", Shape::Text), ("isActive", Shape::Bool)],
    sorts: &["name", "isActive"],
    ..NOTHING
};

/// RFC 9610 section 2.
static ADDRESS_BOOK: Schema = Schema {
    name: "AddressBook",
    capability: CONTACTS,
    prefix: "a",
    properties: &[
        ID,
        p("name", Shape::Text),
        p("description", Shape::Text).null(),
        p("sortOrder", Shape::Unsigned).or("0"),
        p("isDefault", Shape::Bool).server(),
        p("isSubscribed", Shape::Bool).or("true"),
        p("shareWith", Shape::IdMap).null(),
        p("myRights", Shape::Object).server(),
    ],
    set_arguments: &[("onDestroyRemoveContents", Shape::Bool), ("onSuccessSetIsDefault", Shape::Text)],
    ..NOTHING
};

/// RFC 9610 section 3; the rest is a Card of RFC 9553, see `contacts.rs`.
static CONTACT_CARD: Schema = Schema {
    name: "ContactCard",
    capability: CONTACTS,
    prefix: "c",
    methods: EVERYTHING,
    properties: &[
        ID,
        p("addressBookIds", Shape::IdSet),
        p("@type", Shape::Text),
        p("version", Shape::Text),
        p("uid", Shape::Text).fixed(),
    ],
    is_open: true,
    is_small: false,
    filters: &[
        ("inAddressBook", Shape::Id),
        ("uid", Shape::Text),
        ("hasMember", Shape::Text),
        ("kind", Shape::Text),
        ("createdBefore", Shape::UtcDate),
        ("createdAfter", Shape::UtcDate),
        ("updatedBefore", Shape::UtcDate),
        ("updatedAfter", Shape::UtcDate),
        ("text", Shape::Text),
        ("name", Shape::Text),
        ("name/given", Shape::Text),
        ("name/surname", Shape::Text),
        ("name/surname2", Shape::Text),
        ("nickname", Shape::Text),
        ("organization", Shape::Text),
        ("email", Shape::Text),
        ("phone", Shape::Text),
        ("onlineService", Shape::Text),
        ("address", Shape::Text),
        ("note", Shape::Text),
    ],
    sorts: &["created", "updated"],
    ..NOTHING
};

/// draft-ietf-jmap-calendars, section "Calendars".
static CALENDAR: Schema = Schema {
    name: "Calendar",
    capability: CALENDARS,
    prefix: "k",
    properties: &[
        ID,
        p("name", Shape::Text),
        p("description", Shape::Text).null(),
        p("color", Shape::Text).null(),
        p("sortOrder", Shape::Unsigned).or("0"),
        p("isSubscribed", Shape::Bool).or("true"),
        p("isVisible", Shape::Bool).or("true"),
        p("isDefault", Shape::Bool).server(),
        p("includeInAvailability", Shape::Text).or("\"all\""),
        p("defaultAlertsWithTime", Shape::IdMap).null(),
        p("defaultAlertsWithoutTime", Shape::IdMap).null(),
        p("timeZone", Shape::Text).null(),
        p("shareWith", Shape::IdMap).null(),
        p("myRights", Shape::Object).server(),
    ],
    set_arguments: &[("onDestroyRemoveEvents", Shape::Bool), ("onSuccessSetIsDefault", Shape::Text)],
    ..NOTHING
};

/// The same draft, section "Calendar Events"; the rest is an Event of RFC 8984, see `calendars.rs`.
static CALENDAR_EVENT: Schema = Schema {
    name: "CalendarEvent",
    capability: CALENDARS,
    prefix: "x",
    methods: EVERYTHING,
    properties: &[
        ID,
        Property { may_be_null: true, ..p("baseEventId", Shape::Id).server() },
        p("calendarIds", Shape::IdSet),
        p("isDraft", Shape::Bool).or("false"),
        p("isOrigin", Shape::Bool).server(),
        p("@type", Shape::Text).or("\"Event\""),
        p("uid", Shape::Text).fixed().optional(),
        p("utcStart", Shape::UtcDate).optional(),
        p("utcEnd", Shape::UtcDate).optional(),
    ],
    is_open: true,
    is_small: false,
    get_arguments: &[
        ("recurrenceOverridesBefore", Shape::UtcDate),
        ("recurrenceOverridesAfter", Shape::UtcDate),
        ("reduceParticipants", Shape::Bool),
        ("timeZone", Shape::Text),
    ],
    query_arguments: &[("expandRecurrences", Shape::Bool), ("timeZone", Shape::Text)],
    set_arguments: &[("sendSchedulingMessages", Shape::Bool)],
    filters: &[
        ("inCalendar", Shape::Id),
        ("inCalendars", Shape::Ids),
        ("after", Shape::LocalDate),
        ("before", Shape::LocalDate),
        ("text", Shape::Text),
        ("title", Shape::Text),
        ("description", Shape::Text),
        ("location", Shape::Text),
        ("owner", Shape::Text),
        ("attendee", Shape::Text),
        ("uid", Shape::Text),
    ],
    sorts: &["start", "uid", "recurrenceId", "created", "updated"],
    ..NOTHING
};

/// The same draft, section "Participant Identities", with the names of now and those of before.
static PARTICIPANT_IDENTITY: Schema = Schema {
    name: "ParticipantIdentity",
    capability: CALENDARS,
    prefix: "q",
    properties: &[
        ID,
        p("name", Shape::Text).or("\"\""),
        p("calendarAddress", Shape::Text).optional(),
        p("scheduleId", Shape::Text).optional(),
        p("sendTo", Shape::TextToText).optional(),
        p("isDefault", Shape::Bool).server(),
    ],
    set_arguments: &[("onSuccessSetIsDefault", Shape::Text)],
    ..NOTHING
};

/// draft-ietf-jmap-filenode-13, section "FileNode Data Type".
static FILE_NODE: Schema = Schema {
    name: "FileNode",
    capability: FILENODE,
    prefix: "f",
    methods: EVERYTHING,
    properties: &[
        ID,
        p("parentId", Shape::Id).null(),
        p("nodeType", Shape::Text).fixed().optional(),
        p("blobId", Shape::Id).null(),
        p("target", Shape::Texts).null(),
        Property { may_be_null: true, ..p("size", Shape::Unsigned).optional() },
        p("name", Shape::Text),
        p("type", Shape::Text).null(),
        p("created", Shape::UtcDate).optional(),
        Property { may_be_null: true, ..p("modified", Shape::UtcDate).optional() },
        Property { may_be_null: true, ..p("accessed", Shape::UtcDate).optional() },
        p("changed", Shape::UtcDate).server(),
        p("executable", Shape::Bool).or("false"),
        p("isSubscribed", Shape::Bool).or("true"),
        p("myRights", Shape::Object).server(),
        p("shareWith", Shape::IdMap).null(),
        p("role", Shape::Text).null(),
    ],
    is_small: false,
    get_arguments: &[("fetchParents", Shape::Bool)],
    query_arguments: &[("depth", Shape::Unsigned)],
    set_arguments: &[
        ("onDestroyRemoveChildren", Shape::Bool),
        ("onExists", Shape::Text),
        ("compareCaseInsensitively", Shape::Bool),
    ],
    filters: &[
        ("isTopLevel", Shape::Bool),
        ("parentId", Shape::Id),
        ("ancestorId", Shape::Id),
        ("descendantId", Shape::Id),
        ("nodeType", Shape::Text),
        ("role", Shape::Text),
        ("hasAnyRole", Shape::Bool),
        ("blobId", Shape::Id),
        ("isExecutable", Shape::Bool),
        ("createdBefore", Shape::UtcDate),
        ("createdAfter", Shape::UtcDate),
        ("modifiedBefore", Shape::UtcDate),
        ("modifiedAfter", Shape::UtcDate),
        ("accessedBefore", Shape::UtcDate),
        ("accessedAfter", Shape::UtcDate),
        ("minSize", Shape::Unsigned),
        ("maxSize", Shape::Unsigned),
        ("name", Shape::Text),
        ("nameMatch", Shape::Text),
        ("type", Shape::Text),
        ("typeMatch", Shape::Text),
        ("body", Shape::Text),
        ("text", Shape::Text),
    ],
    sorts: &["name", "type", "size", "created", "modified", "nodeType"],
    ..NOTHING
};

/// RFC 9670 section 2.
static PRINCIPAL: Schema = Schema {
    name: "Principal",
    capability: PRINCIPALS,
    prefix: "p",
    methods: &["get", "changes", "query"],
    properties: &[
        ID,
        p("type", Shape::Text),
        p("name", Shape::Text),
        p("description", Shape::Text).null(),
        p("email", Shape::Text).null(),
        p("timeZone", Shape::Text).null(),
        p("capabilities", Shape::TextMap).or("{}"),
        p("accounts", Shape::IdMap).null(),
    ],
    is_small: false,
    filters: &[
        ("accountIds", Shape::Texts),
        ("email", Shape::Text),
        ("name", Shape::Text),
        ("text", Shape::Text),
        ("type", Shape::Text),
        ("timeZone", Shape::Text),
    ],
    sorts: &["name"],
    ..NOTHING
};
