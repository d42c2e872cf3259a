//! Inode numbers: what a node is, packed into 64 bits, so that no table of them is kept and none ever changes.
//!
//! `kind: 8 bits | snapshot: 20 bits | row: 36 bits`. Snapshot 0 is the moment that the tree was opened at.

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
}

const ALL: [What; 31] = [
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
];

const ROW_BITS: u32 = 36;
const SNAPSHOT_BITS: u32 = 20;

/// The largest row that can be shown: 2^36 - 1.
pub const ROW_MAX: Id = (1 << ROW_BITS) - 1;

/// The largest snapshot that can be shown below `.snapshots`.
pub const SNAPSHOT_MAX: i64 = (1 << SNAPSHOT_BITS) - 1;

/// A node of the tree.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Node {
    pub what: What,
    /// 0 for the tree's own moment, else a snapshot.
    pub snapshot: i64,
    /// The row, or 0 where there is just one node of its kind.
    pub row: Id,
}

impl Node {
    /// The root of the whole tree.
    pub const ROOT: Node = Node { what: What::Root, snapshot: 0, row: 0 };

    /// A node that is the only one of its kind in its snapshot.
    pub fn single(what: What, snapshot: i64) -> Node {
        Node { what, snapshot, row: 0 }
    }

    /// Another node of the same snapshot.
    pub fn beside(self, what: What, row: Id) -> Node {
        Node { what, snapshot: self.snapshot, row }
    }

    /// The inode number. The root's is 1, as FUSE wants it.
    pub fn ino(self) -> u64 {
        if self == Node::ROOT {
            return 1;
        }
        (self.what as u64) << (ROW_BITS + SNAPSHOT_BITS) | (self.snapshot as u64) << ROW_BITS | self.row as u64
    }

    /// The node with this inode number, if it can be one.
    pub fn from_ino(ino: u64) -> Option<Node> {
        if ino == 1 {
            return Some(Node::ROOT);
        }
        let what = usize::try_from(ino >> (ROW_BITS + SNAPSHOT_BITS)).ok()?.checked_sub(1)?;
        Some(Node {
            what: *ALL.get(what)?,
            snapshot: (ino >> ROW_BITS) as i64 & SNAPSHOT_MAX,
            row: ino as Id & ROW_MAX,
        })
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
        assert_eq!((Node::ROOT.ino(), Node::from_ino(0), Node::from_ino(u64::MAX)), (1, None, None));
    }
}
