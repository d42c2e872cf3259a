//! The nouns of the house: what an account consists of, whatever the source. Plain data, no I/O.
//!
//! Names are JMAP's (RFC 8620, RFC 8621, RFC 9610, RFC 9661): a folder is a [`ObjectType::Mailbox`], a message an
//! [`ObjectType::Email`] in one or more mailboxes with a set of keywords.

pub mod container;
pub mod hierarchy;
pub mod object_id;
pub mod objects;
pub mod roles;
pub mod text;
pub(crate) mod time;
pub(crate) mod typed_time;
pub(crate) mod zone;

use std::collections::BTreeSet;
use std::fs::File;
use std::ops::Range;
use std::sync::Arc;

/// The object types of an account: the ten of 1.x, and [`ObjectType::VacationResponse`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum ObjectType {
    /// A folder of messages (RFC 8621 section 2).
    Mailbox,
    /// A message (RFC 8621 section 4).
    Email,
    /// An address that the user writes from (RFC 8621 section 6).
    Identity,
    /// A script that filters mail on arrival (RFC 9661).
    SieveScript,
    /// A folder of contact cards (RFC 9610 section 2).
    AddressBook,
    /// A person, a group or an organisation (RFC 9610 section 3).
    ContactCard,
    /// A folder of events (draft-ietf-jmap-calendars section 4).
    Calendar,
    /// An event, a task or a note (draft-ietf-jmap-calendars section 5).
    CalendarEvent,
    /// An address that the user is invited under (draft-ietf-jmap-calendars section 3).
    ParticipantIdentity,
    /// A file, a directory or a link (draft-ietf-jmap-filenode).
    FileNode,
    /// The answer to mail that comes while the user is away (RFC 8621 section 8).
    VacationResponse,
}

impl ObjectType {
    /// Every type, containers before what lies in them.
    pub const ALL: [ObjectType; 11] = [
        ObjectType::Mailbox,
        ObjectType::Email,
        ObjectType::AddressBook,
        ObjectType::ContactCard,
        ObjectType::Calendar,
        ObjectType::CalendarEvent,
        ObjectType::SieveScript,
        ObjectType::FileNode,
        ObjectType::Identity,
        ObjectType::ParticipantIdentity,
        ObjectType::VacationResponse,
    ];

    /// Types in whose objects others lie.
    pub const CONTAINERS: [ObjectType; 4] =
        [ObjectType::Mailbox, ObjectType::AddressBook, ObjectType::Calendar, ObjectType::FileNode];

    /// JMAP's name of the type, e.g. `CalendarEvent`.
    pub fn name(self) -> &'static str {
        match self {
            ObjectType::Mailbox => "Mailbox",
            ObjectType::Email => "Email",
            ObjectType::Identity => "Identity",
            ObjectType::SieveScript => "SieveScript",
            ObjectType::AddressBook => "AddressBook",
            ObjectType::ContactCard => "ContactCard",
            ObjectType::Calendar => "Calendar",
            ObjectType::CalendarEvent => "CalendarEvent",
            ObjectType::ParticipantIdentity => "ParticipantIdentity",
            ObjectType::FileNode => "FileNode",
            ObjectType::VacationResponse => "VacationResponse",
        }
    }

    /// The lower-case token of the command line and of reports, e.g. `calendarevent`.
    pub fn token(self) -> &'static str {
        match self {
            ObjectType::Mailbox => "mailbox",
            ObjectType::Email => "email",
            ObjectType::Identity => "identity",
            ObjectType::SieveScript => "sievescript",
            ObjectType::AddressBook => "addressbook",
            ObjectType::ContactCard => "contactcard",
            ObjectType::Calendar => "calendar",
            ObjectType::CalendarEvent => "calendarevent",
            ObjectType::ParticipantIdentity => "participantidentity",
            ObjectType::FileNode => "filenode",
            ObjectType::VacationResponse => "vacationresponse",
        }
    }

    /// The type of the containers that objects of this type lie in.
    pub fn container(self) -> ObjectType {
        match self {
            ObjectType::CalendarEvent => ObjectType::Calendar,
            ObjectType::ContactCard => ObjectType::AddressBook,
            ObjectType::FileNode => ObjectType::FileNode,
            _ => ObjectType::Mailbox,
        }
    }

    /// The type of the containers of which an object of this type lies in one or several, and says so itself.
    pub fn holder(self) -> Option<ObjectType> {
        matches!(self, ObjectType::Email | ObjectType::CalendarEvent | ObjectType::ContactCard)
            .then(|| self.container())
    }

    /// The type with this token, whatever the case of its letters.
    pub fn from_token(token: &str) -> Option<ObjectType> {
        ObjectType::ALL.into_iter().find(|kind| kind.token().eq_ignore_ascii_case(token.trim()))
    }
}

/// The row id of an object in an archive: positive, never given twice to objects of one type.
pub type Id = i64;

/// BLAKE3-256 of some bytes.
#[derive(Clone, Copy, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Digest(pub [u8; 32]);

impl Digest {
    /// The digest of `bytes`.
    pub fn of(bytes: &[u8]) -> Digest {
        Digest(*blake3::hash(bytes).as_bytes())
    }

    /// The digest of what a file holds from where it stands.
    pub fn of_file(file: File) -> std::io::Result<Digest> {
        Digest::of_reader(file)
    }

    /// The digest of all that can be read.
    pub fn of_reader(reader: impl std::io::Read) -> std::io::Result<Digest> {
        let mut hasher = blake3::Hasher::new();
        hasher.update_reader(reader)?;
        Ok(Digest(*hasher.finalize().as_bytes()))
    }

    /// 64 lower-case hexadecimal digits.
    pub fn hex(&self) -> String {
        blake3::Hash::from_bytes(self.0).to_hex().to_string()
    }
}

impl std::fmt::Debug for Digest {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.hex())
    }
}

/// What 1.x knew messages by.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum KnownBy {
    /// The keys are `UIDVALIDITY.UID` in a mailbox of IMAP.
    Uid {
        /// The name of that mailbox, decoded.
        mailbox: String,
    },
    /// The keys are ids of JMAP.
    JmapId,
}

/// Where an account came from. `kind`, `session_url` and `account_id` identify it (FORMAT.md, `sources`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SourceIdent {
    /// `maildir`, `takeout`, `imap`, …
    pub kind: &'static str,
    /// The server as the user named it, or the `file://` URL of a local path, links resolved.
    pub session_url: String,
    /// The id of the account on its server: of JMAP the account id, else the login name. Of a local source its path.
    pub account_id: String,
    /// What people call the account: the login name, the name that it was chosen by, or the last part of a path.
    pub account_name: Option<String>,
    /// The login name; empty for local sources, `(bearer)` for JMAP with a token.
    pub username: String,
}

impl SourceIdent {
    /// The address of files that the user names one by one, whatever account they are of: an archive may hold them beside any
    /// other source.
    pub const LOOSE_FILES: &str = "files:";
}

/// A part of an account, by rows of its archive.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PathFilter {
    /// Types of which all is meant.
    pub kinds: BTreeSet<ObjectType>,
    /// Single objects.
    pub rows: BTreeSet<(ObjectType, Id)>,
    /// Containers with all that lies in them and below them. The mailbox 0 stands for emails in no mailbox.
    pub whole: BTreeSet<(ObjectType, Id)>,
}

/// Stands among the keywords of a file that is a program (`executable` of draft-ietf-jmap-filenode).
pub const EXECUTABLE: &str = "executable";

/// What a listing tells of an item beside its identity, and what may change without a change of its bytes.
///
/// Keys of containers are only theirs within a type: `c` may be a mailbox, a calendar, an address book and a directory at
/// once. So there are no attributes without the type, and those of two types are never equal.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Attrs {
    /// The type of the containers.
    pub of: ObjectType,
    /// JMAP keywords (`$seen`, `work`), sorted, without duplicates. Of files [`EXECUTABLE`] or nothing; else empty.
    pub keywords: Vec<String>,
    /// Keys of the containers that the item lies in, sorted.
    pub parents: Vec<String>,
}

impl Attrs {
    /// Those of an item without keywords and containers, whose containers are of the type `of`.
    pub fn none(of: ObjectType) -> Attrs {
        Attrs { of, keywords: Vec::new(), parents: Vec::new() }
    }
}

/// One line of a listing: cheap, without the bytes.
#[derive(Debug, Clone)]
pub struct Entry {
    /// Identity within the scope. Entries of a scope have distinct keys.
    pub key: Box<str>,
    /// Changes when the bytes do. A known entry with the same `rev` is not fetched again. Empty where the listing knows
    /// that the bytes of a known item stand, and did not ask more.
    pub rev: Box<str>,
    /// What the source needs to find the bytes again (a file name, an offset). Only that source reads it.
    pub locator: Box<str>,
    /// What may change without a change of the bytes. Many entries share one value.
    pub attrs: Arc<Attrs>,
}

/// The bytes of an item.
#[derive(Debug)]
pub enum Body {
    /// All of them, in memory.
    Bytes(Vec<u8>),
    /// Too large for memory: a file (perhaps unnamed) from its start to its end.
    File(File),
    /// Some ranges of a larger whole (one event of an .ics file): the whole is stored once.
    Part {
        /// The bytes that the item lies in.
        whole: Arc<Vec<u8>>,
        /// Ranges of bytes in `whole`; the item is these parts in order.
        ranges: Vec<Range<u64>>,
    },
    /// The source has no bytes of it: all there is stands in [`ItemData`].
    Absent,
}

/// What an iCalendar component is in JMAP's words (RFC 8984 section 1.4; 1.x `data_type`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EventType {
    /// VEVENT
    Event,
    /// VTODO
    Task,
    /// VJOURNAL
    Note,
}

impl EventType {
    /// The value of `calendar_events.data_type`.
    pub fn name(self) -> &'static str {
        match self {
            EventType::Event => "Event",
            EventType::Task => "Task",
            EventType::Note => "Note",
        }
    }
}

/// An item with its bytes, as a source hands it over.
pub struct FetchedItem {
    /// The key of the entry that it belongs to.
    pub key: Box<str>,
    /// The bytes that are stored as its blob.
    pub body: Body,
    /// Its properties beside the bytes, and by that its type.
    pub data: ItemData,
}

/// What the source knows of an item that its bytes do not say.
#[derive(Debug)]
pub enum ItemData {
    /// A message. Its date is the first that is known of `received`, its Date header and `fallback`.
    Email {
        /// When it arrived, in seconds since 1970, where the source knows that.
        received: Option<i64>,
        /// The time of its file or of the import, in seconds since 1970.
        fallback: i64,
    },
    /// One calendar object: a master component with its overrides.
    Event {
        /// The UID of its components (RFC 5545 section 3.8.4.7).
        uid: String,
        /// Which component its master is.
        data_type: EventType,
    },
    /// One vCard.
    Card {
        /// Its UID (RFC 6350 section 6.7.6).
        uid: String,
    },
    /// A Sieve script.
    Script {
        /// Unique in the account.
        name: String,
        /// The server runs it on arriving mail: at most one script of an account.
        is_active: bool,
    },
    /// A plain file.
    File {
        /// Without those of the directories above it.
        name: String,
        /// As the source knows it (`text/plain`).
        media_type: Option<String>,
        /// When its bytes changed, in seconds since 1970.
        modified: Option<i64>,
    },
    /// A JSContact card (RFC 9553) as JMAP has it, without `id`, `uid` and `addressBookIds`.
    JsCard {
        /// Its `uid`.
        uid: String,
        /// Its other properties.
        data: serde_json::Value,
        /// Its photos and sounds.
        blobs: Blobs,
    },
    /// A JSCalendar object (RFC 8984) as JMAP has it, without what 1.x leaves out (FORMAT.md, `calendar_events`).
    JsEvent {
        /// Its `uid`.
        uid: String,
        /// Its properties, without the two below and what the server computes.
        data: serde_json::Value,
        /// Its `@type`.
        data_type: EventType,
        /// The server has sent no invitations for it yet.
        is_draft: bool,
        /// The alerts of its calendar count in place of its own.
        use_default_alerts: bool,
        /// Its attachments.
        blobs: Blobs,
    },
    /// A file or a link of JMAP.
    Node(Box<Node>),
    /// An address that the user writes from (RFC 8621 section 6).
    Identity {
        /// The name that goes into From.
        name: String,
        /// The address that goes into From.
        email: String,
        /// A JSON array of EmailAddress objects.
        reply_to: Option<String>,
        /// A JSON array of EmailAddress objects.
        bcc: Option<String>,
        /// For plain text; empty if there is none.
        text_signature: String,
        /// For HTML; empty if there is none.
        html_signature: String,
    },
    /// An address that the user is invited under (draft-ietf-jmap-calendars section 3).
    ParticipantIdentity {
        /// The name that others see.
        name: String,
        /// A URI, mostly `mailto:`.
        calendar_address: String,
        /// The one that new events get.
        is_default: bool,
    },
    /// What is answered while the user is away (RFC 8621 section 8).
    VacationResponse {
        /// The server answers, between the two dates.
        is_enabled: bool,
        /// RFC 3339; `None`: from the moment when it is enabled.
        from_date: Option<String>,
        /// RFC 3339; `None`: until it is disabled.
        to_date: Option<String>,
        /// Of the answer; `None`: the server chooses one.
        subject: Option<String>,
        /// The answer as plain text.
        text_body: Option<String>,
        /// The answer as HTML.
        html_body: Option<String>,
    },
}

/// The blobs that a JSON object refers to as `blobId`.
pub type Blobs = Vec<(String, Body)>;

/// A file or a link of JMAP (draft-ietf-jmap-filenode).
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Node {
    /// Without those of the directories above it.
    pub name: String,
    /// As the server says (`text/plain`); `None` for a link.
    pub media_type: Option<String>,
    /// RFC 3339.
    pub created: Option<String>,
    /// RFC 3339.
    pub modified: Option<String>,
    /// The user wants to see it in clients.
    pub is_subscribed: bool,
    /// What the draft calls its role (`trash`, `home`, …), as the server wrote it.
    pub role: Option<String>,
    /// The parts of the path that a link leads to; `None` for a file.
    pub target: Option<Vec<String>>,
}

/// Something that a source found but does not hand over as an item.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SkippedItem {
    /// What it would have been.
    pub kind: ObjectType,
    /// Why, in few words that serve as a heading of the report (`deleted flag`, `unreadable`).
    pub reason: String,
    /// Where: file, mbox offset, UID.
    pub position: String,
    /// Why it is no item, as a class.
    pub outcome: SkipKind,
}

/// What became of something that is not stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum SkipKind {
    /// The same object stands in the archive already, from the same run.
    Duplicate,
    /// Left out on purpose (a flag, a filter).
    Skipped,
    /// What programs leave beside mail (an index, a table of contents), or a file of another kind: there is nothing in
    /// it to import. Counts as skipped.
    ByProduct,
    /// It looks like mail, or like another object, and is not understood. Counts as skipped, and the snapshot is not
    /// complete.
    NotUnderstood,
    /// Should have been stored, and could not be.
    Failed,
}
