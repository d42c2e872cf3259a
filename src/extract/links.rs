//! Where files that have several names (messages in several mailboxes, events in several calendars) were written first: some
//! 80 bytes of each.

use crate::tree::Node;
use std::collections::HashMap;

/// Names, and the directories that they are in.
pub(super) struct Links<D> {
    directories: Vec<D>,
    names: HashMap<Node, (u32, Box<str>)>,
}

impl<D> Default for Links<D> {
    fn default() -> Links<D> {
        Links { directories: Vec::new(), names: HashMap::new() }
    }
}

impl<D> Links<D> {
    /// Notes a directory, and gives its number.
    pub(super) fn directory(&mut self, path: D) -> u32 {
        self.directories.push(path);
        u32::try_from(self.directories.len() - 1).unwrap_or(u32::MAX)
    }

    /// Notes where a file is.
    pub(super) fn note(&mut self, node: Node, directory: u32, name: &str) {
        self.names.entry(node).or_insert_with(|| (directory, name.into()));
    }

    /// The directory and the name of a file.
    pub(super) fn get(&self, node: Node) -> Option<(&D, &str)> {
        let (directory, name) = self.names.get(&node)?;
        Some((self.directories.get(*directory as usize)?, name))
    }
}
