//! Which methods, arguments and properties each data type has, as its standard lists them.

use super::options::*;
use super::schema::{Property, Schema, p};
use super::shape::Shape;

const NOTHING: Schema = Schema {
    name: "",
    capability: CORE,
    methods: &["get", "changes", "set"],
    properties: &[],
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
pub(super) static MAILBOX: Schema = Schema {
    name: "Mailbox",
    capability: MAIL,
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

/// RFC 8621 section 3. Its changes can never be calculated.
pub(super) static THREAD: Schema = Schema {
    name: "Thread",
    capability: MAIL,
    methods: &["get", "changes"],
    properties: &[ID, p("emailIds", Shape::Ids).server()],
    is_small: false,
    ..NOTHING
};

/// RFC 8621 section 4. What follows from the bytes of the message is in `email.rs`.
pub(super) static EMAIL: Schema = Schema {
    name: "Email",
    capability: MAIL,
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
pub(super) static IDENTITY: Schema = Schema {
    name: "Identity",
    capability: SUBMISSION,
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
pub(super) static VACATION_RESPONSE: Schema = Schema {
    name: "VacationResponse",
    capability: VACATION,
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
pub(super) static SIEVE_SCRIPT: Schema = Schema {
    name: "SieveScript",
    capability: SIEVE,
    methods: &["get", "query", "set"],
    properties: &[
        ID,
        p("name", Shape::Text).optional().nullable(),
        p("blobId", Shape::Id),
        p("isActive", Shape::Bool).server(),
    ],
    set_arguments: &[("onSuccessActivateScript", Shape::Text), ("onSuccessDeactivateScript", Shape::Bool)],
    filters: &[("name", Shape::Text), ("isActive", Shape::Bool)],
    sorts: &["name", "isActive"],
    ..NOTHING
};

/// RFC 9610 section 2.
pub(super) static ADDRESS_BOOK: Schema = Schema {
    name: "AddressBook",
    capability: CONTACTS,
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
pub(super) static CONTACT_CARD: Schema = Schema {
    name: "ContactCard",
    capability: CONTACTS,
    methods: EVERYTHING,
    properties: &[
        ID,
        p("addressBookIds", Shape::IdSet),
        p("@type", Shape::Text),
        p("version", Shape::Text),
        p("uid", Shape::Text),
    ],
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
pub(super) static CALENDAR: Schema = Schema {
    name: "Calendar",
    capability: CALENDARS,
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
pub(super) static CALENDAR_EVENT: Schema = Schema {
    name: "CalendarEvent",
    capability: CALENDARS,
    methods: EVERYTHING,
    properties: &[
        ID,
        p("baseEventId", Shape::Id).server().nullable(),
        p("calendarIds", Shape::IdSet),
        p("isDraft", Shape::Bool).or("false"),
        p("isOrigin", Shape::Bool).server(),
        p("@type", Shape::Text).or("\"Event\""),
        p("uid", Shape::Text).optional(),
        p("utcStart", Shape::UtcDate).optional(),
        p("utcEnd", Shape::UtcDate).optional(),
    ],
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
};

/// The same draft, section "Participant Identities", with the names of now and those of before.
pub(super) static PARTICIPANT_IDENTITY: Schema = Schema {
    name: "ParticipantIdentity",
    capability: CALENDARS,
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
pub(super) static FILE_NODE: Schema = Schema {
    name: "FileNode",
    capability: FILENODE,
    methods: EVERYTHING,
    properties: &[
        ID,
        p("parentId", Shape::Id).null(),
        p("nodeType", Shape::Text).fixed().optional(),
        p("blobId", Shape::Id).null(),
        p("target", Shape::Texts).null(),
        p("size", Shape::Unsigned).optional().nullable(),
        p("name", Shape::Text),
        p("type", Shape::Text).null(),
        p("created", Shape::UtcDate).optional(),
        p("modified", Shape::UtcDate).optional().nullable(),
        p("accessed", Shape::UtcDate).optional().nullable(),
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
};

/// RFC 9670 section 2. Nobody may set it.
pub(super) static PRINCIPAL: Schema = Schema {
    name: "Principal",
    capability: PRINCIPALS,
    methods: EVERYTHING,
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
