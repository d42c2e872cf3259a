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
    /// Its own, without those of the mailboxes above it.
    pub name: Text<'r>,
    /// The mailbox that it lies in; `None` at the top.
    pub parent: Option<Id>,
    /// As the source wrote it.
    pub role: Option<Text<'r>>,
    /// The place among its siblings: a client shows lower numbers first.
    pub sort_order: i64,
    /// The user wants to see it in clients.
    pub is_subscribed: bool,
}

/// A message (RFC 8621 section 4) beside its bytes.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Email<'r> {
    /// RFC 3339.
    pub received_at: Text<'r>,
    /// The mailboxes that it lies in, sorted.
    pub mailboxes: Vec<Id>,
    /// Sorted, as JMAP spells them (RFC 8621 section 4.1.1): `$seen`, `work`.
    pub keywords: Vec<String>,
    /// What it is recognised by, as JSON (FORMAT.md, `message_match`).
    pub message_match: Text<'r>,
}

/// An address book (RFC 9610 section 2).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AddressBook<'r> {
    /// What people know it by.
    pub name: Text<'r>,
    /// A longer text of the user about it.
    pub description: Option<Text<'r>>,
    /// The place among its siblings: a client shows lower numbers first.
    pub sort_order: i64,
    /// New cards go into it unless they name another one.
    pub is_default: bool,
    /// The user wants to see it in clients.
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
    /// What people know it by.
    pub name: Text<'r>,
    /// A longer text of the user about it.
    pub description: Option<Text<'r>>,
    /// `#RRGGBB` or a CSS3 colour name.
    pub color: Option<Text<'r>>,
    /// The place among its siblings: a client shows lower numbers first.
    pub sort_order: i64,
    /// The user wants to see it in clients.
    pub is_subscribed: bool,
    /// Clients show its events.
    pub is_visible: bool,
    /// New events go into it unless they name another one.
    pub is_default: bool,
    /// Which of its events make the user busy: `all`, `attending` or `none`.
    pub include_in_availability: Text<'r>,
    /// Alerts for events that ask for the default ones, as JSON.
    pub default_alerts_with_time: Option<Text<'r>>,
    /// The same for events that last whole days.
    pub default_alerts_without_time: Option<Text<'r>>,
    /// The time zone of events that name none, by its IANA name.
    pub time_zone: Option<Text<'r>>,
}

/// An event, a task or a note (draft-ietf-jmap-calendars section 5).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CalendarEvent<'r> {
    /// The calendars that it lies in, sorted.
    pub calendars: Vec<Id>,
    /// The server has sent no invitations for it yet.
    pub is_draft: bool,
    /// The alerts of its calendar count in place of its own.
    pub use_default_alerts: bool,
    /// JSCalendar (RFC 8984) as JSON.
    pub data: Text<'r>,
    /// `Event`, `Task`, `Note` or `Group`.
    pub data_type: Text<'r>,
}

/// A Sieve script (RFC 9661 section 2) beside its bytes.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SieveScript<'r> {
    /// Unique in the account.
    pub name: Text<'r>,
    /// The server runs it on arriving mail: at most one script of an account.
    pub is_active: bool,
}

/// What a node of the files is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum NodeType {
    /// Has bytes.
    #[default]
    File,
    /// Has other nodes in it.
    Directory,
    /// Leads to another path.
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
    /// Its own, without those of the directories above it.
    pub name: Text<'r>,
    /// The directory that it lies in; `None` at the top.
    pub parent: Option<Id>,
    /// Says which of the other properties it has.
    pub node_type: NodeType,
    /// The parts of the path that a link leads to, as JSON.
    pub target: Option<Text<'r>>,
    /// Of a file, as its source said (`text/plain`).
    pub media_type: Option<Text<'r>>,
    /// RFC 3339.
    pub created: Option<Text<'r>>,
    /// RFC 3339.
    pub modified: Option<Text<'r>>,
    /// The user wants to see it in clients.
    pub is_subscribed: bool,
    /// What the draft calls its role (`trash`, `home`, …), as the source wrote it.
    pub role: Option<Text<'r>>,
}

/// An address that the user writes from (RFC 8621 section 6).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Identity<'r> {
    /// The name that goes into From.
    pub name: Text<'r>,
    /// The address that goes into From.
    pub email: Text<'r>,
    /// EmailAddress objects as JSON.
    pub reply_to: Option<Text<'r>>,
    /// EmailAddress objects as JSON.
    pub bcc: Option<Text<'r>>,
    /// For plain text; empty if there is none.
    pub text_signature: Text<'r>,
    /// For HTML; empty if there is none.
    pub html_signature: Text<'r>,
}

/// An address that the user is invited under (draft-ietf-jmap-calendars section 3).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ParticipantIdentity<'r> {
    /// The name that others see.
    pub name: Text<'r>,
    /// A URI, mostly `mailto:`.
    pub calendar_address: Text<'r>,
    /// The one that new events get.
    pub is_default: bool,
}

/// The answer to mail that comes while the user is away (RFC 8621 section 8).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct VacationResponse<'r> {
    /// The server answers, between the two dates.
    pub is_enabled: bool,
    /// RFC 3339; `None`: from the moment when it is enabled.
    pub from_date: Option<Text<'r>>,
    /// RFC 3339; `None`: until it is disabled.
    pub to_date: Option<Text<'r>>,
    /// Of the answer; `None`: the server chooses one.
    pub subject: Option<Text<'r>>,
    /// The answer as plain text.
    pub text_body: Option<Text<'r>>,
    /// The answer as HTML.
    pub html_body: Option<Text<'r>>,
}

/// The properties of an object, by its type.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Properties<'r> {
    /// Of an [`ObjectType::Mailbox`].
    Mailbox(Mailbox<'r>),
    /// Of an [`ObjectType::Email`].
    Email(Email<'r>),
    /// Of an [`ObjectType::Identity`].
    Identity(Identity<'r>),
    /// Of an [`ObjectType::SieveScript`].
    SieveScript(SieveScript<'r>),
    /// Of an [`ObjectType::AddressBook`].
    AddressBook(AddressBook<'r>),
    /// Of an [`ObjectType::ContactCard`].
    ContactCard(ContactCard<'r>),
    /// Of an [`ObjectType::Calendar`].
    Calendar(Calendar<'r>),
    /// Of an [`ObjectType::CalendarEvent`].
    CalendarEvent(CalendarEvent<'r>),
    /// Of an [`ObjectType::ParticipantIdentity`].
    ParticipantIdentity(ParticipantIdentity<'r>),
    /// Of an [`ObjectType::FileNode`].
    FileNode(FileNode<'r>),
    /// Of an [`ObjectType::VacationResponse`].
    VacationResponse(VacationResponse<'r>),
}

impl Properties<'_> {
    /// The mailbox or directory that a mailbox, a directory or a file lies in; `None` at the top, and for other types.
    pub fn parent(&self) -> Option<Id> {
        match self {
            Properties::Mailbox(mailbox) => mailbox.parent,
            Properties::FileNode(node) => node.parent,
            _ => None,
        }
    }

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
