//! Directories page by page: entries that did not fit into an answer are kept for the next one, and the page after them
//! is read ahead.

use super::pages::Rest;
use super::shared::Shared;
use crate::error::{Error, Result};
use crate::tree::archives::Location;
use crate::tree::{Child, FileType};
use fuser::Errno;

/// How many entries of a directory are read at once: a few more than the largest answer has room for, so that the next
/// ones are there by the time that the reader has looked at these.
const ENTRIES: usize = 768;

impl Shared {
    /// Entries of a directory behind a cookie.
    pub(super) fn children(&self, directory: &Location, after: u64) -> Result<Vec<Child>> {
        match directory {
            Location::Root => Ok(self.archives.root_children(after, ENTRIES)),
            Location::Node(one) => one.tree.children(one.node, after, ENTRIES),
        }
    }

    /// Gives entries of a directory from `offset` on to `add` until it has no more room. Offsets 1 and 2 are `.` and `..`.
    pub(super) fn list(
        &self,
        ino: u64,
        offset: u64,
        mut add: impl FnMut(u64, u64, &str, FileType, Option<&Child>) -> bool,
    ) -> Result<(), Errno> {
        let failed = |error: Error| self.errno(ino, &error);
        let directory = self.archives.locate(ino).map_err(failed)?;
        self.note_known(ino);
        let mut after = offset.saturating_sub(2);
        let mut rest = self.pages.resume(ino, after);
        if offset == 0 {
            let children = self.children(&directory, 0).map_err(failed)?;
            // A process that gets `.` and `..` asks once more, and hears that nothing follows. That is a quarter of the time
            // of a `find` over thousands of mailboxes, so the empty `new` and `tmp` of each do not even list these two.
            if children.is_empty() && matches!(&directory, Location::Node(one) if one.node.is_always_empty()) {
                return Ok(());
            }
            rest = Rest { is_end: children.is_empty(), children: children.into() };
        }
        for (at, name) in [(1, "."), (2, "..")] {
            if offset < at && add(ino, at, name, FileType::Directory, None) {
                return Ok(());
            }
        }
        loop {
            if rest.children.is_empty() && !rest.is_end {
                rest.children = self.children(&directory, after).map_err(failed)?.into();
                rest.is_end = rest.children.is_empty();
            }
            let Some(child) = rest.children.front() else { break };
            if add(directory.ino(child), child.cookie + 2, &child.name, child.file_type, Some(child)) {
                break;
            }
            after = child.cookie;
            rest.children.pop_front();
        }
        self.pages.keep(ino, after, rest);
        Ok(())
    }

    /// Reads the next entries of the directory that was just listed, while its reader looks at those that it has.
    pub(super) fn list_ahead(&self, directory: u64) {
        let Some(rest) = self.pages.newest_of(directory) else { return };
        let mut rest = rest.lock();
        let Some(last) = rest.children.back().map(|child| child.cookie).filter(|_| !rest.is_end) else { return };
        if rest.children.len() < ENTRIES
            && let Ok(location) = self.archives.locate(directory)
            && let Ok(children) = self.children(&location, last)
        {
            rest.is_end = children.is_empty();
            rest.children.extend(children);
        }
    }
}
