//! Where messages that lie in several mailboxes were written first: some 60 bytes of each.

use crate::model::Id;
use std::collections::HashMap;

/// Names by row of the message, and the directories that they are in.
pub(super) struct Links<D> {
    directories: Vec<D>,
    names: HashMap<Id, (u32, Box<str>)>,
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

    /// Notes where a message is.
    pub(super) fn note(&mut self, message: Id, directory: u32, name: &str) {
        self.names.entry(message).or_insert_with(|| (directory, name.into()));
    }

    /// The directory and the name of a message.
    pub(super) fn get(&self, message: Id) -> Option<(&D, &str)> {
        let (directory, name) = self.names.get(&message)?;
        Some((self.directories.get(*directory as usize)?, name))
    }
}
