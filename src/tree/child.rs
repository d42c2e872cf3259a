//! Entries of directories.

use super::node::Node;
use super::stat::{FileType, Stat};

/// An entry of a directory.
#[derive(Debug, Clone)]
pub struct Child {
    /// Valid as the name of a file: without `/`, at most 255 bytes.
    pub name: String,
    /// What [`super::Tree::stat`] and [`super::Tree::read`] take.
    pub node: Node,
    /// Where a listing goes on behind this entry.
    pub cookie: u64,
    /// Known without another question, for most files.
    pub stat: Option<Stat>,
    /// Always known, also without `stat`.
    pub file_type: FileType,
}
