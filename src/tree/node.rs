//! Inode numbers: what a node is, packed into 54 bits, so that no table of them is kept and none ever changes.
//!
//! `kind: 6 bits | state: 18 bits | row: 30 bits`; the 10 bits above are left to whoever shows several trees.
//!
//! `state` is 0 for what follows the root of the tree (its directories, and messages, whose bytes never change). It is
//! a snapshot for everything below `.snapshots`. A file at the root whose bytes may change with a later snapshot
//! carries the snapshot in which it became what it is: so a change is another inode, who has the old one open keeps
//! its bytes, and an unrelated import changes no number.
//!
//! A folder of attachments below `.snapshots` is of a snapshot, a message and one of its mailboxes, which is more than
//! fits: it has the kinds from the last one on, one for each place in the list of the message's mailboxes.

use crate::model::Id;

/// What a node of the tree is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum What {
    /// The root of the tree, or of a snapshot below `.snapshots`.
    Root = 1,
    Mail,
    Calendars,
    Contacts,
    Sieve,
    Files,
    Merged,
    MergedCalendars,
    MergedContacts,
    Identities,
    Snapshots,
    Mailbox,
    Cur,
    New,
    Tmp,
    MailboxKeywords,
    Email,
    Calendar,
    CalendarName,
    CalendarColor,
    Event,
    AddressBook,
    AddressBookName,
    Card,
    MergedCalendar,
    MergedBook,
    Script,
    ActiveScript,
    FileNode,
    Subscriptions,
    FolderMark,
    TextMail,
    TextMailbox,
    Text,
    AttachmentMail,
    AttachmentMailbox,
    AttachmentFolder,
    Attachment,
    NoIndex,
    /// A folder of attachments below `.snapshots`. The last one: its position takes the numbers behind it.
    FormerFolder,
}

impl What {
    /// False for what is the same in every snapshot: the parts of a message, whose bytes never change.
    pub fn has_state(self) -> bool {
        !matches!(self, What::Text | What::Attachment | What::AttachmentFolder | What::FormerFolder)
    }
}

const ALL: [What; 40] = [
    What::Root,
    What::Mail,
    What::Calendars,
    What::Contacts,
    What::Sieve,
    What::Files,
    What::Merged,
    What::MergedCalendars,
    What::MergedContacts,
    What::Identities,
    What::Snapshots,
    What::Mailbox,
    What::Cur,
    What::New,
    What::Tmp,
    What::MailboxKeywords,
    What::Email,
    What::Calendar,
    What::CalendarName,
    What::CalendarColor,
    What::Event,
    What::AddressBook,
    What::AddressBookName,
    What::Card,
    What::MergedCalendar,
    What::MergedBook,
    What::Script,
    What::ActiveScript,
    What::FileNode,
    What::Subscriptions,
    What::FolderMark,
    What::TextMail,
    What::TextMailbox,
    What::Text,
    What::AttachmentMail,
    What::AttachmentMailbox,
    What::AttachmentFolder,
    What::Attachment,
    What::NoIndex,
    What::FormerFolder,
];

/// Bits of an inode number that are the row: below them, nodes of one kind and state differ in nothing else.
pub const ROW_BITS: u32 = 30;
const STATE_BITS: u32 = 18;
const KIND_BITS: u32 = 6;

/// Bits of an inode number; whoever shows several trees may use those above.
pub const INO_BITS: u32 = KIND_BITS + STATE_BITS + ROW_BITS;

/// The largest row that can be shown: 2^30 - 1.
pub const ROW_MAX: Id = (1 << ROW_BITS) - 1;

/// The largest snapshot that can be shown below `.snapshots`: 2^18 - 1, one an hour for 29 years.
pub const SNAPSHOT_MAX: i64 = (1 << STATE_BITS) - 1;

/// In how many of its mailboxes a message has a folder of attachments below `.snapshots`: a directory cannot have two
/// places, so each place is a node, and its number has room for so many.
pub const PLACES: usize = 16;

/// A node of the tree.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Node {
    pub what: What,
    /// 0 at the root, else the snapshot whose state it is. Of an attachment it is the part of the message, of a folder
    /// of attachments at the root the mailbox.
    pub snapshot: i64,
    /// The row, or 0 where there is just one node of its kind. Of a `What::FormerFolder` with its place above it.
    pub row: Id,
}

impl Node {
    /// The root of the whole tree.
    pub const ROOT: Node = Node { what: What::Root, snapshot: 0, row: 0 };

    /// A node that is the only one of its kind in its snapshot.
    pub fn single(what: What, snapshot: i64) -> Node {
        Node { what, snapshot, row: 0 }
    }

    /// The folder of a message's attachments in a snapshot, in one of its mailboxes by their order. None where its number
    /// has no room for that one.
    pub fn former_folder(snapshot: i64, place: usize, row: Id) -> Option<Node> {
        let place = Id::try_from(place).ok().filter(|_| place < PLACES && row <= ROW_MAX)?;
        Some(Node { what: What::FormerFolder, snapshot, row: place << ROW_BITS | row })
    }

    /// The row alone.
    pub fn object(self) -> Id {
        self.row & ROW_MAX
    }

    /// A file of this directory in the state that it got in snapshot `first`; 0 where nobody knows.
    pub fn holding(self, what: What, row: Id, first: i64) -> Node {
        let is_versioned = self.snapshot == 0 && (1..=SNAPSHOT_MAX).contains(&first);
        Node { what, snapshot: if is_versioned { first } else { self.snapshot }, row }
    }

    /// Another node of the same snapshot.
    pub fn beside(self, what: What, row: Id) -> Node {
        Node { what, snapshot: self.snapshot, row }
    }

    /// True for `text/` and `attachments/`, which say once more what stands in `mail/`.
    pub fn is_decoded_mail(self) -> bool {
        matches!(self.what, What::TextMail | What::AttachmentMail)
    }

    /// True for a message of `mail/`.
    pub fn is_message(self) -> bool {
        self.what == What::Email
    }

    /// True for the `new` and `tmp` of a mailbox.
    pub fn is_always_empty(self) -> bool {
        matches!(self.what, What::New | What::Tmp)
    }

    /// True for files that have to be made before their size is known, which nobody should pay for who only lists.
    pub fn is_costly(self) -> bool {
        matches!(self.what, What::Text | What::Attachment | What::MergedCalendar | What::MergedBook | What::Identities)
    }

    /// The inode number. The root's is 1, as FUSE wants it.
    pub fn ino(self) -> u64 {
        if self == Node::ROOT {
            return 1;
        }
        let place = if self.what == What::FormerFolder { (self.row >> ROW_BITS) as u64 } else { 0 };
        let kind = self.what as u64 + place;
        kind << (ROW_BITS + STATE_BITS) | (self.snapshot as u64) << ROW_BITS | self.object() as u64
    }

    /// The node with this inode number, if it can be one.
    pub fn from_ino(ino: u64) -> Option<Node> {
        if ino == 1 {
            return Some(Node::ROOT);
        }
        let kind = usize::try_from(ino >> (ROW_BITS + STATE_BITS)).ok()?.checked_sub(1)?;
        let (snapshot, row) = ((ino >> ROW_BITS) as i64 & SNAPSHOT_MAX, ino as Id & ROW_MAX);
        match kind.checked_sub(ALL.len() - 1) {
            Some(place) => Node::former_folder(snapshot, place, row),
            None => Some(Node { what: *ALL.get(kind)?, snapshot, row }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_and_nodes_are_the_same_thing() {
        for (at, what) in ALL.into_iter().enumerate() {
            assert_eq!(what as usize, at + 1, "the list follows the enum");
            for (snapshot, row) in [(0, 0), (0, 1), (SNAPSHOT_MAX, ROW_MAX), (7, 12)] {
                let node = Node { what, snapshot, row };
                assert_eq!(Node::from_ino(node.ino()), Some(node));
            }
        }
        for place in 0..PLACES {
            let node = Node::former_folder(SNAPSHOT_MAX, place, ROW_MAX).expect("a node");
            assert_eq!((Node::from_ino(node.ino()), node.object()), (Some(node), ROW_MAX));
            assert!(node.ino() >> INO_BITS == 0);
        }
        assert_eq!(Node::former_folder(1, PLACES, 1), None);
        assert_eq!((Node::ROOT.ino(), Node::from_ino(0), Node::from_ino(u64::MAX)), (1, None, None));
    }
}
