//! A directory of the target that is being filled.

use super::handle::Handle;
use super::names::{folded, hash};
use crate::format::maildir::FileName;
use std::collections::{HashMap, HashSet};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// A directory that is being filled.
pub(super) struct OpenDirectory {
    /// For people.
    pub shown: PathBuf,
    /// `None` in a plan, where it may not be there.
    handle: Option<Handle>,
    /// Hashes of the names in it, see [`folded`].
    taken: HashSet<u64>,
    /// It was there before this run, or another run fills it, too.
    pub is_old: bool,
    /// Of a Maildir that was there before: by the hash of what stays the same of a name, what follows it.
    messages: Option<HashMap<u64, Box<[u8]>>>,
    /// The place of its path in [`super::links::Links`].
    pub number: u32,
}

impl OpenDirectory {
    pub(super) fn new(shown: PathBuf, handle: Option<Handle>, is_old: bool, number: u32) -> OpenDirectory {
        OpenDirectory { shown, handle, taken: HashSet::new(), is_old, messages: None, number }
    }

    /// The path of something in it, for system calls.
    pub(super) fn join(&self, name: &str) -> PathBuf {
        self.handle.as_ref().map_or_else(|| self.shown.join(name), |handle| handle.join(name))
    }

    /// Its own path, for system calls.
    pub(super) fn path(&self) -> &Path {
        self.handle.as_ref().map_or(&self.shown, Handle::path)
    }

    /// Notes the name of something that this run wrote or found.
    pub(super) fn take(&mut self, name: &str) {
        self.taken.insert(folded(name));
    }

    /// True if this run wrote or found something of that name, but for the case of letters.
    pub(super) fn has_taken(&self, name: &str) -> bool {
        self.taken.contains(&folded(name))
    }

    /// True if a name stands in the listing to the letter: on a file system that folds case a name answers that does not.
    pub(super) fn lists(&self, name: &str) -> bool {
        let mut entries = fs::read_dir(self.path()).into_iter().flatten().flatten();
        entries.any(|entry| entry.file_name().as_encoded_bytes() == name.as_bytes())
    }

    /// The name that a message has which another program renamed.
    pub(super) fn renamed_message(&mut self, name: &str) -> Option<String> {
        if self.messages.is_none() {
            let entries = fs::read_dir(self.path()).into_iter().flatten().flatten();
            let split = |entry: fs::DirEntry| {
                let name = entry.file_name();
                let (unique, rest) = split(name.as_encoded_bytes());
                (hash(unique), rest.into())
            };
            self.messages = Some(entries.map(split).collect());
        }
        let (unique, _) = split(name.as_bytes());
        let rest = self.messages.as_ref()?.get(&hash(unique))?;
        String::from_utf8([unique, rest].concat()).ok()
    }

    /// Opens a directory in it.
    pub(super) fn enter(&self, name: &str) -> io::Result<Handle> {
        Handle::open(&self.join(name))
    }
}

/// What no program changes of a name, and what some do: flags, and what is noted behind a comma.
fn split(name: &[u8]) -> (&[u8], &[u8]) {
    let unique = FileName::parse(name).unique;
    name.split_at(memchr::memchr(b',', unique).unwrap_or(unique.len()))
}
