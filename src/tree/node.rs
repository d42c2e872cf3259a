//! Inode numbers: a node packed into 54 bits. So there is no table of numbers, and none ever changes.
//!
//! `kind: 6 bits | state: 18 bits | row: 30 bits`. Several trees side by side use the 10 bits above (`archives`).
//!
//! `state` is 0 for directories at the root and for messages, whose bytes never change. Below `.snapshots` it is the
//! snapshot. For a file at the root whose bytes may change with a later snapshot, it is the snapshot in which the file
//! became what it is: a change makes another inode, a process that has the old one open keeps its bytes, and an import
//! changes no number of what it does not touch.
//!
//! A folder of attachments below `.snapshots` belongs to a snapshot, a message and one of its mailboxes, which is more than
//! fits: each place in the list of the message's mailboxes has a kind's number, from
//! `NodeKind::SnapshotAttachmentFolder` on.

use super::kinds::{Children, Descriptor, NodeKind};
use super::rules::Times;
use crate::model::{Id, ObjectType};

/// Bits of an inode number that are the row: nodes of one kind and state differ in nothing else.
pub const ROW_BITS: u32 = 30;
const STATE_BITS: u32 = 18;
const KIND_BITS: u32 = 6;

/// Bits of an inode number.
pub(super) const INO_BITS: u32 = KIND_BITS + STATE_BITS + ROW_BITS;

/// The largest row that can be shown: 2^30 - 1.
pub(super) const ROW_MAX: Id = (1 << ROW_BITS) - 1;

/// The largest snapshot that can be shown below `.snapshots`: 2^18 - 1, one an hour for 29 years.
pub(super) const SNAPSHOT_MAX: i64 = (1 << STATE_BITS) - 1;

/// In how many of its mailboxes a message has a folder of attachments below `.snapshots`: a directory cannot have two
/// parents, so there is a node for each mailbox, and that many numbers.
pub(super) const SNAPSHOT_FOLDERS: usize = 16;

/// A node of the tree.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Node {
    /// The row of the table in `tree/kinds.rs` that says what it is.
    pub kind: NodeKind,
    /// 0 at the root, else the snapshot whose state it is. Of an attachment it is the part of the message, of a folder
    /// of attachments at the root the mailbox, of a text the first mailbox of its message.
    pub snapshot: i64,
    /// The row, or 0 where there is just one node of its kind. Of a `NodeKind::SnapshotAttachmentFolder` the place of the
    /// mailbox in the message's list stands above the row.
    pub row: Id,
}

impl Node {
    /// The root of the whole tree.
    pub const ROOT: Node = Node { kind: NodeKind::Root, snapshot: 0, row: 0 };

    /// A node that is the only one of its kind in its snapshot.
    pub fn single(kind: NodeKind, snapshot: i64) -> Node {
        Node { kind, snapshot, row: 0 }
    }

    /// The folder of a message's attachments in a snapshot, in the `nth` of its mailboxes. `None` beyond
    /// the first 16 of them.
    pub fn snapshot_attachment_folder(snapshot: i64, nth: usize, row: Id) -> Option<Node> {
        let nth = Id::try_from(nth).ok().filter(|_| nth < SNAPSHOT_FOLDERS && row <= ROW_MAX)?;
        Some(Node { kind: NodeKind::SnapshotAttachmentFolder, snapshot, row: nth << ROW_BITS | row })
    }

    /// The text of a message whose first mailbox this is. It names the mailbox, so in another one it is another file; for
    /// mailboxes that the number has no room for it names none.
    pub fn text(mailbox: Id, row: Id) -> Node {
        let state = if (0..SNAPSHOT_MAX).contains(&mailbox) { mailbox } else { SNAPSHOT_MAX };
        Node { kind: NodeKind::Text, snapshot: state, row }
    }

    /// The mailbox that a text names.
    pub fn mailbox_of_text(self) -> Option<Id> {
        (self.kind == NodeKind::Text && self.snapshot != SNAPSHOT_MAX).then_some(self.snapshot)
    }

    /// The rules for nodes of this kind.
    pub fn descriptor(self) -> &'static Descriptor {
        self.kind.descriptor()
    }

    /// The row alone.
    pub fn object(self) -> Id {
        self.row & ROW_MAX
    }

    /// The row of the object that the node shows; `None` if it shows none, as the directories of the root.
    pub fn shown_row(self) -> Option<Id> {
        self.kind.object_type().map(|_| self.object())
    }

    /// A file of this directory in the state that it got in snapshot `first`; 0 if that is unknown.
    pub fn holding(self, kind: NodeKind, row: Id, first: i64) -> Node {
        let is_versioned = self.snapshot == 0 && (1..=SNAPSHOT_MAX).contains(&first);
        Node { kind, snapshot: if is_versioned { first } else { self.snapshot }, row }
    }

    /// Another node of the same snapshot.
    pub fn beside(self, kind: NodeKind, row: Id) -> Node {
        Node { kind, snapshot: self.snapshot, row }
    }

    /// True for a file or folder that is made of the bytes of one message: they never change, so it is the same in every
    /// snapshot.
    pub fn is_part_of_message(self) -> bool {
        self.descriptor().times == Times::Message
    }

    /// True for `text/` and `attachments/`, which decode what is in `mail/`.
    pub fn is_decoded_mail(self) -> bool {
        matches!(self.descriptor().children, Children::Decoded { .. }) && self.shown_row().is_none()
    }

    /// The object that the node shows, or a part of: its type and its row.
    pub fn shown_object(self) -> Option<(ObjectType, Id)> {
        self.kind.object_type().zip(self.shown_row())
    }

    /// The message that a file of `text/` shows decoded.
    pub fn decoded_message(self) -> Option<Node> {
        (self.kind == NodeKind::Text).then_some(Node { row: self.row, ..Node::single(NodeKind::Email, 0) })
    }

    /// The types of objects that the node is made of, where it is made of more than one object.
    pub fn made_of(self) -> &'static [ObjectType] {
        self.descriptor().types
    }

    /// True for `merged/`, which has each calendar and address book once more.
    pub fn is_merged(self) -> bool {
        self.kind == NodeKind::Merged
    }

    /// True for the directory of a mailbox in `mail/`, of a calendar or of an address book.
    pub fn is_container(self) -> bool {
        matches!(self.kind, NodeKind::Mailbox | NodeKind::Calendar | NodeKind::AddressBook)
    }

    /// True for an event of a calendar or a card of an address book.
    pub fn is_item(self) -> bool {
        matches!(self.kind, NodeKind::Event | NodeKind::Card)
    }

    /// True for `search/`, and for directories in it: what they list may change at any time.
    pub fn is_search(self) -> bool {
        (NodeKind::Search as u8..=NodeKind::FoundText as u8).contains(&(self.kind as u8))
    }

    /// True for a message of `mail/`.
    pub fn is_message(self) -> bool {
        self.kind == NodeKind::Email
    }

    /// True for the `new` and `tmp` of a mailbox.
    pub fn is_always_empty(self) -> bool {
        self.kind.is_always_empty()
    }

    /// True for files that have to be made before their size is known: a process that only lists should not pay for them.
    pub fn is_costly(self) -> bool {
        self.descriptor().bytes.is_costly()
    }

    /// The inode number. The root's is 1, as FUSE wants it.
    pub fn ino(self) -> u64 {
        if self == Node::ROOT {
            return 1;
        }
        let nth = if self.kind == NodeKind::SnapshotAttachmentFolder { (self.row >> ROW_BITS) as u64 } else { 0 };
        let kind = self.kind as u64 + nth;
        kind << (ROW_BITS + STATE_BITS) | (self.snapshot as u64) << ROW_BITS | self.object() as u64
    }

    /// The node with this inode number, if it can be one.
    pub fn from_ino(ino: u64) -> Option<Node> {
        if ino == 1 {
            return Some(Node::ROOT);
        }
        let number = usize::try_from(ino >> (ROW_BITS + STATE_BITS)).ok()?;
        let (snapshot, row) = ((ino >> ROW_BITS) as i64 & SNAPSHOT_MAX, ino as Id & ROW_MAX);
        match number.checked_sub(NodeKind::SnapshotAttachmentFolder as usize) {
            Some(nth) if nth < SNAPSHOT_FOLDERS => Node::snapshot_attachment_folder(snapshot, nth, row),
            _ => Some(Node { kind: NodeKind::from_number(number)?, snapshot, row }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_and_nodes_are_the_same_thing() {
        for kind in NodeKind::ALL.iter().copied() {
            for (snapshot, row) in [(0, 0), (0, 1), (SNAPSHOT_MAX, ROW_MAX), (7, 12)] {
                let node = Node { kind, snapshot, row };
                assert_eq!(Node::from_ino(node.ino()), Some(node));
            }
        }
        for nth in 0..SNAPSHOT_FOLDERS {
            let node = Node::snapshot_attachment_folder(SNAPSHOT_MAX, nth, ROW_MAX).expect("a node");
            assert_eq!((Node::from_ino(node.ino()), node.object()), (Some(node), ROW_MAX));
            assert!(node.ino() >> INO_BITS == 0);
        }
        assert_eq!(Node::snapshot_attachment_folder(1, SNAPSHOT_FOLDERS, 1), None);
        assert_eq!((Node::ROOT.ino(), Node::from_ino(0), Node::from_ino(u64::MAX)), (1, None, None));
    }
}
