//! Every kind of node in the tree, and the rules for it: the one table behind LAYOUT.md.
//!
//! Lookup, listing, `stat`, paths, selection and inode numbers are read from it. A new directory or file of a fixed name
//! is one entry of `node_kinds`. If it has bytes of its own, it needs one more [`ByteSource`] too, and the function for
//! it in `render`. The order of the entries is the order in which a directory lists them.

use super::rules::{ByteSource, Condition, Layout, RowFrom, Shown, Times};
use super::stat::FileType;
use crate::model::ObjectType;

/// The rules for nodes of a kind.
#[derive(Debug)]
pub struct Descriptor {
    /// The fixed names of such nodes, each with its directory; empty where the row gives the name.
    pub positions: &'static [Position],
    /// `None`: it depends on the row.
    pub file_type: Option<FileType>,
    pub children: Children,
    pub bytes: ByteSource,
    pub times: Times,
    pub object: Shown,
    /// The types of objects that the node is made of, where it is made of more than one object.
    pub types: &'static [ObjectType],
}

/// A fixed name in a directory.
#[derive(Debug)]
pub struct Position {
    pub parent: NodeKind,
    pub name: &'static str,
    pub row: RowFrom,
    /// `None`: in each.
    pub layout: Option<Layout>,
    pub condition: Condition,
}

/// The children of a directory, beside those of fixed names.
#[derive(Debug, Clone, Copy)]
pub enum Children {
    /// No others. All files have this.
    None,
    Snapshots,
    /// The mailboxes at the top, or in a mailbox.
    Mailboxes,
    /// The messages of a mailbox.
    Messages,
    /// All calendars or address books, as nodes of this kind.
    Collections(NodeKind),
    /// The events, cards or scripts of a collection, as nodes of this kind.
    Items(NodeKind),
    /// Each collection as one file.
    Merged {
        file: NodeKind,
        extension: &'static str,
    },
    /// The file nodes at the top, or in a directory.
    Files,
    /// The mailboxes at the top, or in a mailbox with its messages, decoded.
    Decoded {
        mailbox: NodeKind,
        message: NodeKind,
    },
    /// The attachments of a message.
    Attachments,
    /// The queries that were used.
    Queries,
    /// The messages that a query found.
    Found,
}

/// Declares [`NodeKind`] and its table: `name = number => descriptor`, in the order of listings.
macro_rules! node_kinds {
    ($($(#[$doc:meta])* $kind:ident = $number:literal => $descriptor:expr;)*) => {
        /// The kind of a node. Its number is a part of inode numbers, and never changes.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        #[repr(u8)]
        pub enum NodeKind { $($(#[$doc])* $kind = $number,)* }

        impl NodeKind {
            /// All kinds, in the order of the table.
            pub const ALL: &[NodeKind] = &[$(NodeKind::$kind),*];

            /// The entry of the table.
            pub const fn descriptor(self) -> &'static Descriptor {
                match self { $(NodeKind::$kind => const { &$descriptor },)* }
            }
        }
    };
}

// The numbers 62 and 63 are free.
node_kinds! {
    /// The root of the tree, or of a snapshot below `.snapshots`.
    Root = 1 => Descriptor { types: &ObjectType::ALL, ..DIRECTORY };

    // --- mail ----------------------------------------------------------------------------------------------------

    Mail = 2 => Descriptor {
        positions: &[view("mail")], children: Children::Mailboxes, times: Times::Mail, types: &MAIL, ..DIRECTORY
    };
    Mailbox = 12 => Descriptor {
        children: Children::Mailboxes, times: Times::Mailbox, object: Shown::Object(ObjectType::Mailbox), ..DIRECTORY
    };
    Cur = 13 => Descriptor {
        positions: &[at(NodeKind::Mailbox, "cur"), in_inbox("cur")],
        children: Children::Messages,
        times: Times::MailboxMessages,
        object: Shown::Object(ObjectType::Mailbox),
        ..DIRECTORY
    };
    New = 14 => Descriptor {
        positions: &[at(NodeKind::Mailbox, "new"), in_inbox("new")], times: Times::MailboxMessages, ..DIRECTORY
    };
    Tmp = 15 => Descriptor {
        positions: &[at(NodeKind::Mailbox, "tmp"), in_inbox("tmp")], times: Times::MailboxMessages, ..DIRECTORY
    };
    /// Dovecot's table of the letters for keywords.
    MailboxKeywords = 16 => Descriptor {
        positions: &[
            Position { condition: Condition::HasKeywords, ..at(NodeKind::Mailbox, "dovecot-keywords") },
            Position { condition: Condition::HasKeywords, ..in_inbox("dovecot-keywords") },
        ],
        bytes: ByteSource::MailboxKeywords,
        times: Times::MailboxChange,
        ..FILE
    };
    /// The mark of a mailbox in the layout Maildir++.
    MaildirFolder = 31 => Descriptor {
        positions: &[
            Position { layout: Some(Layout::MaildirPlusPlus), ..at(NodeKind::Mailbox, "maildirfolder") },
        ],
        bytes: ByteSource::Empty,
        times: Times::MailboxChange,
        ..FILE
    };
    Subscriptions = 30 => Descriptor {
        positions: &[Position { layout: Some(Layout::MaildirPlusPlus), ..at(NodeKind::Mail, "subscriptions") }],
        bytes: ByteSource::Subscriptions,
        times: Times::Types,
        types: &[ObjectType::Mailbox],
        ..FILE
    };
    Email = 17 => Descriptor {
        bytes: ByteSource::Email, times: Times::Object, object: Shown::Object(ObjectType::Email), ..FILE
    };

    // --- text and attachments ------------------------------------------------------------------------------------

    TextMail = 32 => Descriptor {
        positions: &[view("text")], children: TEXT, times: Times::DecodedMail, types: &MAIL, ..DIRECTORY
    };
    TextMailbox = 33 => Descriptor {
        children: TEXT, times: Times::Mailbox, object: Shown::PartOf(ObjectType::Mailbox), ..DIRECTORY
    };
    Text = 34 => Descriptor {
        bytes: ByteSource::Text, times: Times::Message, object: Shown::PartOf(ObjectType::Email), ..FILE
    };
    AttachmentMail = 35 => Descriptor {
        positions: &[view("attachments")], children: ATTACHMENTS, times: Times::DecodedMail, types: &MAIL, ..DIRECTORY
    };
    AttachmentMailbox = 36 => Descriptor {
        children: ATTACHMENTS, times: Times::Mailbox, object: Shown::PartOf(ObjectType::Mailbox), ..DIRECTORY
    };
    AttachmentFolder = 37 => Descriptor {
        children: Children::Attachments, times: Times::Message, object: Shown::PartOf(ObjectType::Email), ..DIRECTORY
    };
    /// [`NodeKind::AttachmentFolder`] below `.snapshots`. It has the numbers up to 55: see [`super::node`].
    SnapshotAttachmentFolder = 40 => Descriptor {
        children: Children::Attachments, times: Times::Message, object: Shown::PartOf(ObjectType::Email), ..DIRECTORY
    };
    Attachment = 38 => Descriptor {
        bytes: ByteSource::Attachment, times: Times::Message, object: Shown::PartOf(ObjectType::Email), ..FILE
    };
    /// Keeps mail indexers out.
    NoIndex = 39 => Descriptor {
        positions: &[
            at(NodeKind::TextMail, ".noindex"),
            Position { row: RowFrom::Number(1), ..at(NodeKind::AttachmentMail, ".noindex") },
        ],
        bytes: ByteSource::Empty,
        times: Times::Epoch,
        ..FILE
    };

    // --- calendars and contacts ----------------------------------------------------------------------------------

    Calendars = 3 => Descriptor {
        positions: &[view("calendars")],
        children: Children::Collections(NodeKind::Calendar),
        times: Times::Types,
        types: &CALENDARS,
        ..DIRECTORY
    };
    Calendar = 18 => Descriptor {
        children: Children::Items(NodeKind::Event),
        times: Times::NewestItem,
        object: Shown::Object(ObjectType::Calendar),
        ..DIRECTORY
    };
    CalendarName = 19 => Descriptor {
        positions: &[at(NodeKind::Calendar, "displayname")],
        bytes: ByteSource::CollectionName,
        times: Times::Collection,
        object: Shown::PartOf(ObjectType::Calendar),
        ..FILE
    };
    CalendarColor = 20 => Descriptor {
        positions: &[Position { condition: Condition::HasColor, ..at(NodeKind::Calendar, "color") }],
        bytes: ByteSource::CollectionColor,
        times: Times::Collection,
        object: Shown::PartOf(ObjectType::Calendar),
        ..FILE
    };
    Event = 21 => Descriptor {
        bytes: ByteSource::Item, times: Times::Object, object: Shown::Object(ObjectType::CalendarEvent), ..FILE
    };
    Contacts = 4 => Descriptor {
        positions: &[view("contacts")],
        children: Children::Collections(NodeKind::AddressBook),
        times: Times::Types,
        types: &CONTACTS,
        ..DIRECTORY
    };
    AddressBook = 22 => Descriptor {
        children: Children::Items(NodeKind::Card),
        times: Times::NewestItem,
        object: Shown::Object(ObjectType::AddressBook),
        ..DIRECTORY
    };
    AddressBookName = 23 => Descriptor {
        positions: &[at(NodeKind::AddressBook, "displayname")],
        bytes: ByteSource::CollectionName,
        times: Times::Collection,
        object: Shown::PartOf(ObjectType::AddressBook),
        ..FILE
    };
    Card = 24 => Descriptor {
        bytes: ByteSource::Item, times: Times::Object, object: Shown::Object(ObjectType::ContactCard), ..FILE
    };

    // --- sieve, files, merged, identities ------------------------------------------------------------------------

    Sieve = 5 => Descriptor {
        positions: &[view("sieve")],
        children: Children::Items(NodeKind::Script),
        times: Times::Types,
        types: &[ObjectType::SieveScript],
        ..DIRECTORY
    };
    /// A link to the script that is active.
    ActiveScript = 28 => Descriptor {
        positions: &[Position { condition: Condition::HasActiveScript, ..at(NodeKind::Sieve, "active") }],
        file_type: Some(FileType::Link),
        times: Times::Types,
        types: &[ObjectType::SieveScript],
        ..FILE
    };
    Script = 27 => Descriptor {
        bytes: ByteSource::Script, times: Times::Object, object: Shown::Object(ObjectType::SieveScript), ..FILE
    };
    Files = 6 => Descriptor {
        positions: &[view("files")],
        children: Children::Files,
        times: Times::Types,
        types: &[ObjectType::FileNode],
        ..DIRECTORY
    };
    FileNode = 29 => Descriptor {
        file_type: None,
        children: Children::Files,
        bytes: ByteSource::FileNode,
        times: Times::Object,
        object: Shown::Object(ObjectType::FileNode),
        ..FILE
    };
    Merged = 7 => Descriptor {
        positions: &[view("merged")], times: Times::Types, types: &COLLECTIONS, ..DIRECTORY
    };
    MergedCalendars = 8 => Descriptor {
        positions: &[at(NodeKind::Merged, "calendars")],
        children: Children::Merged { file: NodeKind::MergedCalendar, extension: ".ics" },
        times: Times::Types,
        types: &CALENDARS,
        ..DIRECTORY
    };
    MergedCalendar = 25 => Descriptor {
        bytes: ByteSource::MergedCalendar,
        times: Times::Types,
        object: Shown::PartOf(ObjectType::Calendar),
        types: &CALENDARS,
        ..FILE
    };
    MergedContacts = 9 => Descriptor {
        positions: &[at(NodeKind::Merged, "contacts")],
        children: Children::Merged { file: NodeKind::MergedAddressBook, extension: ".vcf" },
        times: Times::Types,
        types: &CONTACTS,
        ..DIRECTORY
    };
    MergedAddressBook = 26 => Descriptor {
        bytes: ByteSource::MergedAddressBook,
        times: Times::Types,
        object: Shown::PartOf(ObjectType::AddressBook),
        types: &CONTACTS,
        ..FILE
    };
    Identities = 10 => Descriptor {
        positions: &[view("identities.json")],
        bytes: ByteSource::Identities,
        times: Times::Types,
        types: &IDENTITIES,
        ..FILE
    };

    // --- snapshots -----------------------------------------------------------------------------------------------

    /// `.snapshots`, whose directories are [`NodeKind::Root`]s.
    Snapshots = 11 => Descriptor {
        positions: &[Position { condition: Condition::Unlisted, ..at(NodeKind::Root, ".snapshots") }],
        children: Children::Snapshots,
        ..DIRECTORY
    };

    // --- search --------------------------------------------------------------------------------------------------

    /// `search`, whose directories answer to queries.
    Search = 56 => Descriptor {
        positions: &[Position { condition: Condition::UnlistedView, ..at(NodeKind::Root, "search") }],
        children: Children::Queries,
        times: Times::LastQuery,
        ..DIRECTORY
    };
    /// What a query found. Its row is the number that `searches` gives to the query.
    SearchQuery = 57 => Descriptor { ..DIRECTORY };
    FoundCur = 58 => Descriptor {
        positions: &[at(NodeKind::SearchQuery, "cur")], children: Children::Found, ..DIRECTORY
    };
    FoundNew = 59 => Descriptor { positions: &[at(NodeKind::SearchQuery, "new")], ..DIRECTORY };
    FoundTmp = 60 => Descriptor { positions: &[at(NodeKind::SearchQuery, "tmp")], ..DIRECTORY };
    FoundText = 61 => Descriptor {
        positions: &[at(NodeKind::SearchQuery, "text")], children: Children::Found, ..DIRECTORY
    };
}

const DIRECTORY: Descriptor = Descriptor {
    positions: &[],
    file_type: Some(FileType::Directory),
    children: Children::None,
    bytes: ByteSource::None,
    times: Times::Moment,
    object: Shown::Nothing,
    types: &[],
};

const FILE: Descriptor = Descriptor { file_type: Some(FileType::File), ..DIRECTORY };

const TEXT: Children = Children::Decoded { mailbox: NodeKind::TextMailbox, message: NodeKind::Text };
const ATTACHMENTS: Children =
    Children::Decoded { mailbox: NodeKind::AttachmentMailbox, message: NodeKind::AttachmentFolder };

const MAIL: [ObjectType; 2] = [ObjectType::Mailbox, ObjectType::Email];
const CALENDARS: [ObjectType; 2] = [ObjectType::Calendar, ObjectType::CalendarEvent];
const CONTACTS: [ObjectType; 2] = [ObjectType::AddressBook, ObjectType::ContactCard];
const COLLECTIONS: [ObjectType; 4] = [CALENDARS[0], CALENDARS[1], CONTACTS[0], CONTACTS[1]];
const IDENTITIES: [ObjectType; 2] = [ObjectType::Identity, ObjectType::ParticipantIdentity];

const fn at(parent: NodeKind, name: &'static str) -> Position {
    Position { parent, name, row: RowFrom::Parent, layout: None, condition: Condition::Always }
}

/// An entry of the root that a mount may leave out.
const fn view(name: &'static str) -> Position {
    Position { condition: Condition::View, ..at(NodeKind::Root, name) }
}

/// A name of the inbox in `mail/`, in the layout Maildir++.
const fn in_inbox(name: &'static str) -> Position {
    Position { row: RowFrom::Inbox, layout: Some(Layout::MaildirPlusPlus), ..at(NodeKind::Mail, name) }
}

/// Numbers of kinds have 6 bits.
const NUMBERS: usize = 64;

static BY_NUMBER: [Option<NodeKind>; NUMBERS] = {
    let mut kinds = [None; NUMBERS];
    let mut at = 0;
    while at < NodeKind::ALL.len() {
        kinds[NodeKind::ALL[at] as usize] = Some(NodeKind::ALL[at]);
        at += 1;
    }
    kinds
};

/// The numbers of kinds that have children of fixed names, as bits: a message is looked up in a directory that has none.
const PARENTS: u64 = {
    let mut parents = 0;
    let mut at = 0;
    while at < NodeKind::ALL.len() {
        let positions = NodeKind::ALL[at].descriptor().positions;
        let mut nth = 0;
        while nth < positions.len() {
            parents |= 1 << positions[nth].parent as u8;
            nth += 1;
        }
        at += 1;
    }
    parents
};

/// A child of a fixed name.
#[derive(Debug, Clone, Copy)]
pub struct FixedChild {
    /// Where a listing goes on behind it: its place among all that its directory may have, from 1 on.
    pub cookie: u64,
    pub kind: NodeKind,
    pub position: &'static Position,
}

impl NodeKind {
    /// The kind with this number.
    pub fn from_number(number: usize) -> Option<NodeKind> {
        BY_NUMBER.get(number).copied().flatten()
    }

    /// The children of fixed names that directories of this kind may have.
    pub fn fixed_children(self) -> impl Iterator<Item = FixedChild> {
        let kinds = if self.has_fixed_children() { NodeKind::ALL } else { &[] };
        let positions = kinds.iter().flat_map(|kind| kind.descriptor().positions.iter().map(|one| (*kind, one)));
        let here = positions.filter(move |(_, position)| position.parent == self);
        (1..).zip(here).map(|(cookie, (kind, position))| FixedChild { cookie, kind, position })
    }

    fn has_fixed_children(self) -> bool {
        PARENTS & (1 << self as u8) != 0
    }

    /// The name that nodes of this kind always have; empty where their rows name them.
    pub fn fixed_name(self) -> &'static str {
        self.descriptor().positions.first().map_or("", |position| position.name)
    }

    /// True if all nodes of this kind are directories.
    pub fn is_directory(self) -> bool {
        self.descriptor().file_type == Some(FileType::Directory)
    }

    /// True for directories that never hold anything.
    pub fn is_always_empty(self) -> bool {
        self.is_directory() && matches!(self.descriptor().children, Children::None) && !self.has_fixed_children()
    }

    /// The type of the object that nodes of this kind show in whatever form.
    pub fn object_type(self) -> Option<ObjectType> {
        match self.descriptor().object {
            Shown::Nothing => None,
            Shown::Object(object) | Shown::PartOf(object) => Some(object),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tree::cookies::FIXED;

    #[test]
    fn the_table_agrees_with_itself() {
        for kind in NodeKind::ALL {
            let entry = kind.descriptor();
            assert_eq!(NodeKind::from_number(*kind as usize), Some(*kind));
            match entry.file_type {
                Some(FileType::Directory) => assert_eq!(entry.bytes, ByteSource::None, "{kind:?}"),
                Some(FileType::File) => assert_ne!(entry.bytes, ByteSource::None, "{kind:?}"),
                Some(FileType::Link) | None => {}
            }
            let is_leaf = matches!(entry.children, Children::None);
            assert!(is_leaf || entry.file_type != Some(FileType::File), "{kind:?}: a file has no children");
            assert!(entry.times != Times::Types || !entry.types.is_empty(), "{kind:?}: its time is that of types");
            for position in entry.positions {
                assert!(position.parent.is_directory(), "{kind:?}");
            }
            let children: Vec<FixedChild> = kind.fixed_children().collect();
            assert!(children.last().is_none_or(|last| last.cookie < FIXED), "{kind:?}: cookies of rows come behind");
        }
        let below = |kind: NodeKind| kind.fixed_children().map(|child| child.position.name).collect::<Vec<_>>();
        let root = "mail text attachments calendars contacts sieve files merged identities.json .snapshots search";
        assert_eq!(below(NodeKind::Root).join(" "), root);
        assert_eq!(below(NodeKind::Mailbox), ["cur", "new", "tmp", "dovecot-keywords", "maildirfolder"]);
        assert_eq!(below(NodeKind::Cur), [""; 0]);
    }

    #[test]
    fn numbers_never_change() {
        let numbers: Vec<String> = NodeKind::ALL.iter().map(|kind| format!("{kind:?} {}", *kind as u8)).collect();
        let known = "Root 1, Mail 2, Mailbox 12, Cur 13, New 14, Tmp 15, MailboxKeywords 16, MaildirFolder 31, \
             Subscriptions 30, Email 17, TextMail 32, TextMailbox 33, Text 34, AttachmentMail 35, AttachmentMailbox 36, \
             AttachmentFolder 37, SnapshotAttachmentFolder 40, Attachment 38, NoIndex 39, Calendars 3, Calendar 18, \
             CalendarName 19, CalendarColor 20, Event 21, Contacts 4, AddressBook 22, AddressBookName 23, Card 24, \
             Sieve 5, ActiveScript 28, Script 27, Files 6, FileNode 29, Merged 7, MergedCalendars 8, MergedCalendar 25, \
             MergedContacts 9, MergedAddressBook 26, Identities 10, Snapshots 11, Search 56, SearchQuery 57, FoundCur 58, \
             FoundNew 59, FoundTmp 60, FoundText 61";
        assert_eq!(numbers.join(", "), known);
    }
}
