//! The attributes of a node.

use crate::error::{Error, ErrorKind};
use std::path::Path;

/// The type of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FileType {
    /// What [`super::Tree::children`] lists.
    Directory,
    /// What [`super::Tree::read`] reads.
    File,
    /// A symbolic link; [`super::Tree::read_link`] gives its target.
    Link,
}

/// The attributes of a node, as `stat` gives them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stat {
    /// What the node is to a program.
    pub file_type: FileType,
    /// Bytes; exact.
    pub size: u64,
    /// Seconds since 1970.
    pub mtime: i64,
    /// The last change of the node's content in the archive, in seconds since 1970.
    pub ctime: i64,
    /// Names of a file: one in each mailbox or collection. Of a directory two and its subdirectories, or 1 where they
    /// are not counted.
    pub links: u32,
}

/// The size of a file that is too damaged to have one. With 0 no program would read it, and so none would see the error.
pub(crate) const DAMAGED_SIZE: u64 = 1;

pub(crate) fn no_such() -> Error {
    Error::new(ErrorKind::NotFound, "no such file or directory in the archive")
}

/// When the file of an archive was last written, in seconds since 1970.
pub(crate) fn file_time(archive: &Path) -> i64 {
    use std::os::unix::fs::MetadataExt;
    std::fs::metadata(archive).map_or(1, |meta| meta.mtime())
}
