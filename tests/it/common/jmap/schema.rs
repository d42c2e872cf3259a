//! The data types: what there is to say about each. It is said in `tables.rs`.

use super::shape::Shape;
use super::tables::*;
use serde_json::Value;

/// A data type.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Kind {
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
pub(crate) enum Setter {
    Anybody,
    AtCreation,
    Server,
}

/// A property of a type.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Property {
    pub name: &'static str,
    pub shape: Shape,
    pub may_be_null: bool,
    pub setter: Setter,
    pub is_required: bool,
    /// What it is if it is left out, as JSON.
    default: Option<&'static str>,
}

impl Property {
    /// Is this if it is left out.
    pub(crate) const fn or(self, json: &'static str) -> Property {
        Property { default: Some(json), is_required: false, ..self }
    }

    /// May be null, and is if it is left out.
    pub(crate) const fn null(self) -> Property {
        self.or("null").nullable()
    }

    /// May be null.
    pub(crate) const fn nullable(self) -> Property {
        Property { may_be_null: true, ..self }
    }

    /// May be left out; then the server decides.
    pub(crate) const fn optional(self) -> Property {
        Property { is_required: false, ..self }
    }

    /// Cannot be changed.
    pub(crate) const fn fixed(self) -> Property {
        Property { setter: Setter::AtCreation, ..self }
    }

    /// Only the server sets it.
    pub(crate) const fn server(self) -> Property {
        Property { setter: Setter::Server, is_required: false, ..self }
    }

    /// What null in a patch or its absence at creation stands for.
    pub(crate) fn default(&self) -> Option<Value> {
        self.default.map(|json| serde_json::from_str(json).expect("JSON"))
    }

    /// Says what is wrong with a value.
    pub(crate) fn check(&self, value: &Value) -> Result<(), String> {
        if self.may_be_null && value.is_null() { Ok(()) } else { self.shape.check(value) }
    }
}

/// A property that has to be given.
pub(super) const fn p(name: &'static str, shape: Shape) -> Property {
    Property { name, shape, may_be_null: false, setter: Setter::Anybody, is_required: true, default: None }
}

/// An argument beyond those of RFC 8620 section 5.
pub(super) type Argument = (&'static str, Shape);

/// A data type, as its standard describes it.
pub(crate) struct Schema {
    pub name: &'static str,
    pub capability: &'static str,
    /// Its standard methods: `get`, `changes`, `query`, `set`, `import`.
    pub methods: &'static [&'static str],
    pub properties: &'static [Property],
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
    pub(crate) fn property(&self, name: &str) -> Option<&'static Property> {
        self.properties.iter().find(|property| property.name == name)
    }
}

impl Kind {
    /// All of them.
    pub(crate) const ALL: [Kind; 13] = [
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
    pub(crate) fn named(name: &str) -> Option<Kind> {
        Kind::ALL.into_iter().find(|kind| kind.schema().name == name)
    }

    /// What its standard says.
    pub(crate) fn schema(self) -> &'static Schema {
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
