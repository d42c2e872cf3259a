//! Entries of directories.

use super::node::Node;
use super::stat::{FileType, Stat};

/// An entry of a directory.
#[derive(Debug, Clone)]
pub struct Child {
    pub name: String,
    pub node: Node,
    /// Where a listing goes on behind this entry.
    pub cookie: u64,
    /// Known without another question, for most files.
    pub stat: Option<Stat>,
    pub file_type: FileType,
}
