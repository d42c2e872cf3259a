//! Lines of directories, and what `stat` says.

use super::node::Node;
use crate::error::{Error, ErrorKind};
use std::path::Path;

/// How mailboxes are arranged below `mail/`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Layout {
    /// Directories in directories, as the user knows them.
    #[default]
    Nested,
    /// Maildir++: `mail/` is the inbox, every other mailbox a `.A.B` in it.
    MaildirPlusPlus,
}

/// The sort of a node.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sort {
    Directory,
    File,
    Link,
}

/// What `stat` says of a node.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stat {
    pub sort: Sort,
    /// Bytes; exact.
    pub size: u64,
    /// Seconds since 1970.
    pub mtime: i64,
    /// When what the node shows last changed in the archive, in seconds since 1970.
    pub ctime: i64,
    pub links: u32,
}

/// A line of a directory.
#[derive(Debug, Clone)]
pub struct Child {
    pub name: String,
    pub node: Node,
    /// Where a listing goes on behind this line.
    pub cookie: u64,
    /// Known without asking again, for most files.
    pub stat: Option<Stat>,
    pub sort: Sort,
}

/// The size of what is too damaged to have one. Nobody reads an empty file, and so nobody would hear of it.
pub(crate) const DAMAGED_SIZE: u64 = 1;

pub(crate) fn no_such() -> Error {
    Error::new(ErrorKind::NotFound, "no such file or directory in the archive")
}

/// When the file of an archive was last written, in seconds since 1970.
pub(crate) fn file_time(archive: &Path) -> i64 {
    use std::os::unix::fs::MetadataExt;
    std::fs::metadata(archive).map_or(1, |meta| meta.mtime())
}
