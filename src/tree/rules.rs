//! The columns of the table in [`super::kinds`]: the rules by which nodes get their properties.

use crate::model::ObjectType;

/// How mailboxes are arranged below `mail/`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Layout {
    /// Directories in directories, as the user knows them.
    #[default]
    Nested,
    /// Maildir++: `mail/` is the inbox, every other mailbox a `.A.B` in it.
    MaildirPlusPlus,
}

/// Which row a node of a fixed name has.
#[derive(Debug, Clone, Copy)]
pub enum RowFrom {
    Parent,
    /// The mailbox that `mail/` is in the layout Maildir++.
    Inbox,
    /// This number, to tell two files of one kind apart.
    Number(i64),
}

/// When a directory has a child of a fixed name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Condition {
    Always,
    /// An entry of the root: if the mount has this view.
    View,
    /// At the root of the newest moment alone; found by its name, and listed only if `-o snapshots=visible` wants it.
    Unlisted,
    /// An entry of the root that is never listed: if the mount has this view.
    UnlistedView,
    HasKeywords,
    HasColor,
    HasActiveScript,
}

/// Where the bytes of a file come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ByteSource {
    /// It has none: a directory or a link.
    None,
    Empty,
    /// A message as the source gave it.
    Email,
    /// A message as its reader sees it.
    Text,
    Attachment,
    /// An event or a card.
    Item,
    Script,
    FileNode,
    MailboxKeywords,
    Subscriptions,
    Identities,
    CollectionName,
    CollectionColor,
    MergedCalendar,
    MergedAddressBook,
}

impl ByteSource {
    /// True for bytes that have to be made before their size is known.
    pub fn is_costly(self) -> bool {
        matches!(
            self,
            ByteSource::Text
                | ByteSource::Attachment
                | ByteSource::MergedCalendar
                | ByteSource::MergedAddressBook
                | ByteSource::Identities
        )
    }
}

/// The mtime and ctime of a node, and with them the snapshot that changed it last.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Times {
    /// The time of the moment.
    Moment,
    /// When a query was used for the first time, if that was later than the moment.
    LastQuery,
    /// Older than anything: it never changes.
    Epoch,
    /// The newest message of all, and the time of the moment.
    Mail,
    /// The newest message of all.
    DecodedMail,
    /// The newest message of the mailbox and of those in it, and the last change of the mailbox.
    Mailbox,
    /// The newest message of the mailbox, and its last change.
    MailboxMessages,
    /// The last change of the mailbox.
    MailboxChange,
    /// The last change of an object of `Descriptor::types`.
    Types,
    /// The last change of the calendar or address book itself, without its items.
    Collection,
    /// The newest item of the calendar or address book.
    NewestItem,
    /// The dates of the object.
    Object,
    /// The arrival of the message, whose bytes never change: it is the same node in every snapshot.
    Message,
}

/// Which object the row of a node is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shown {
    /// None: there is one such node, or it is a part of the layout of a mailbox.
    Nothing,
    Object(ObjectType),
    /// The object in another form, or a part of it.
    PartOf(ObjectType),
}
