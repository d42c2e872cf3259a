//! The objects of an account with their properties, as an archive holds them: what a reader of an archive gets, what
//! an import hands to its writer, and what a sink is given to write.
//!
//! Properties are those of JMAP (RFC 8620, RFC 8621, RFC 9610, RFC 9661, draft-ietf-jmap-calendars,
//! draft-ietf-jmap-filenode), with references as rows of the archive.

use super::{Id, ObjectType};
use std::borrow::Cow;

/// A text that is borrowed from a row, or made for one.
pub type Text<'r> = Cow<'r, str>;

/// A mailbox (RFC 8621 section 2).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Mailbox<'r> {
    pub name: Text<'r>,
    pub parent: Option<Id>,
    /// As the source wrote it.
    pub role: Option<Text<'r>>,
    pub sort_order: i64,
    pub is_subscribed: bool,
}

/// A message (RFC 8621 section 4) beside its bytes.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Email<'r> {
    /// RFC 3339.
    pub received_at: Text<'r>,
    /// The mailboxes that it lies in, sorted.
    pub mailboxes: Vec<Id>,
    pub keywords: Vec<String>,
    /// What it is recognised by, as JSON (FORMAT.md, `message_match`).
    pub message_match: Text<'r>,
}

/// An address book (RFC 9610 section 2).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AddressBook<'r> {
    pub name: Text<'r>,
    pub description: Option<Text<'r>>,
    pub sort_order: i64,
    pub is_default: bool,
    pub is_subscribed: bool,
}

/// A contact card (RFC 9610 section 3).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ContactCard<'r> {
    /// Unique in the archive: of two cards with one uid the second one's has a mark.
    pub uid: Text<'r>,
    /// The address books that it lies in, sorted.
    pub address_books: Vec<Id>,
    /// JSContact (RFC 9553) as JSON.
    pub data: Text<'r>,
}

/// A calendar (draft-ietf-jmap-calendars section 4).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Calendar<'r> {
    pub name: Text<'r>,
    pub description: Option<Text<'r>>,
    /// `#RRGGBB` or a CSS3 colour name.
    pub color: Option<Text<'r>>,
    pub sort_order: i64,
    pub is_subscribed: bool,
    pub is_visible: bool,
    pub is_default: bool,
    /// `all`, `attending` or `none`.
    pub include_in_availability: Text<'r>,
    /// JSON.
    pub default_alerts_with_time: Option<Text<'r>>,
    /// JSON.
    pub default_alerts_without_time: Option<Text<'r>>,
    /// IANA's name.
    pub time_zone: Option<Text<'r>>,
}

/// An event, a task or a note (draft-ietf-jmap-calendars section 5).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CalendarEvent<'r> {
    /// The calendars that it lies in, sorted.
    pub calendars: Vec<Id>,
    pub is_draft: bool,
    pub use_default_alerts: bool,
    /// JSCalendar (RFC 8984) as JSON.
    pub data: Text<'r>,
    /// `Event`, `Task`, `Note` or `Group`.
    pub data_type: Text<'r>,
}

/// A Sieve script (RFC 9661 section 2) beside its bytes.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SieveScript<'r> {
    pub name: Text<'r>,
    pub is_active: bool,
}

/// What a node of the files is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum NodeType {
    #[default]
    File,
    Directory,
    Symlink,
}

impl NodeType {
    /// `file`, `directory` or `symlink`.
    pub fn name(self) -> &'static str {
        match self {
            NodeType::File => "file",
            NodeType::Directory => "directory",
            NodeType::Symlink => "symlink",
        }
    }
}

/// A file, a directory or a link (draft-ietf-jmap-filenode) beside its bytes.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct FileNode<'r> {
    pub name: Text<'r>,
    pub parent: Option<Id>,
    pub node_type: NodeType,
    /// The parts of the path that a link leads to, as JSON.
    pub target: Option<Text<'r>>,
    pub media_type: Option<Text<'r>>,
    /// RFC 3339.
    pub created: Option<Text<'r>>,
    /// RFC 3339.
    pub modified: Option<Text<'r>>,
    pub is_subscribed: bool,
    pub role: Option<Text<'r>>,
}

/// An address that the user writes from (RFC 8621 section 6).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Identity<'r> {
    pub name: Text<'r>,
    pub email: Text<'r>,
    /// EmailAddress objects as JSON.
    pub reply_to: Option<Text<'r>>,
    /// EmailAddress objects as JSON.
    pub bcc: Option<Text<'r>>,
    pub text_signature: Text<'r>,
    pub html_signature: Text<'r>,
}

/// An address that the user is invited under (draft-ietf-jmap-calendars section 3).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ParticipantIdentity<'r> {
    pub name: Text<'r>,
    pub calendar_address: Text<'r>,
    pub is_default: bool,
}

/// The answer to mail that comes while the user is away (RFC 8621 section 8).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct VacationResponse<'r> {
    pub is_enabled: bool,
    /// RFC 3339.
    pub from_date: Option<Text<'r>>,
    /// RFC 3339.
    pub to_date: Option<Text<'r>>,
    pub subject: Option<Text<'r>>,
    pub text_body: Option<Text<'r>>,
    pub html_body: Option<Text<'r>>,
}

/// The properties of an object, by its type.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Properties<'r> {
    Mailbox(Mailbox<'r>),
    Email(Email<'r>),
    Identity(Identity<'r>),
    SieveScript(SieveScript<'r>),
    AddressBook(AddressBook<'r>),
    ContactCard(ContactCard<'r>),
    Calendar(Calendar<'r>),
    CalendarEvent(CalendarEvent<'r>),
    ParticipantIdentity(ParticipantIdentity<'r>),
    FileNode(FileNode<'r>),
    VacationResponse(VacationResponse<'r>),
}

impl Properties<'_> {
    /// The type of the object.
    pub fn kind(&self) -> ObjectType {
        match self {
            Properties::Mailbox(_) => ObjectType::Mailbox,
            Properties::Email(_) => ObjectType::Email,
            Properties::Identity(_) => ObjectType::Identity,
            Properties::SieveScript(_) => ObjectType::SieveScript,
            Properties::AddressBook(_) => ObjectType::AddressBook,
            Properties::ContactCard(_) => ObjectType::ContactCard,
            Properties::Calendar(_) => ObjectType::Calendar,
            Properties::CalendarEvent(_) => ObjectType::CalendarEvent,
            Properties::ParticipantIdentity(_) => ObjectType::ParticipantIdentity,
            Properties::FileNode(_) => ObjectType::FileNode,
            Properties::VacationResponse(_) => ObjectType::VacationResponse,
        }
    }
}
