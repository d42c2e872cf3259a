//! Directories page by page: what was got of one and did not fit into an answer, and what its reader will ask for next.

use super::pages::Rest;
use super::shared::Shared;
use crate::error::{Error, Result};
use crate::tree::archives::Place;
use crate::tree::entry::{Child, Sort};
use fuser::Errno;

/// How many lines of a directory are asked for at once: a little more than the largest answer has room for, so that the next
/// ones are there by the time that its reader has looked at them.
const LINES: usize = 768;

impl Shared {
    /// Lines of a directory behind a cookie.
    pub(super) fn lines(&self, place: &Place, after: u64) -> Result<Vec<Child>> {
        match place {
            Place::Root => Ok(self.forest.root_children(after, LINES)),
            Place::In(spot) => spot.tree.children(spot.node, after, LINES),
        }
    }

    /// Hands out lines of a directory from `offset` on until `add` has no more room. Offsets 1 and 2 are `.` and `..`.
    pub(super) fn list(
        &self,
        ino: u64,
        offset: u64,
        mut add: impl FnMut(u64, u64, &str, Sort, Option<&Child>) -> bool,
    ) -> Result<(), Errno> {
        let failed = |error: Error| self.errno(ino, &error);
        let place = self.forest.place(ino).map_err(failed)?;
        self.told(ino);
        let mut after = offset.saturating_sub(2);
        let mut rest = self.pages.resume(ino, after);
        if offset == 0 {
            let lines = self.lines(&place, 0).map_err(failed)?;
            // Who gets `.` and `..` asks once more, to hear that nothing follows. That is a quarter of the time of a `find`
            // over thousands of mailboxes, each with its empty `new` and `tmp`: those are empty to the last line.
            if lines.is_empty() && matches!(&place, Place::In(spot) if spot.node.is_always_empty()) {
                return Ok(());
            }
            rest = Rest { is_end: lines.is_empty(), lines: lines.into() };
        }
        for (at, name) in [(1, "."), (2, "..")] {
            if offset < at && add(ino, at, name, Sort::Directory, None) {
                return Ok(());
            }
        }
        loop {
            if rest.lines.is_empty() && !rest.is_end {
                rest.lines = self.lines(&place, after).map_err(failed)?.into();
                rest.is_end = rest.lines.is_empty();
            }
            let Some(child) = rest.lines.front() else { break };
            if add(place.ino(child), child.cookie + 2, &child.name, child.sort, Some(child)) {
                break;
            }
            after = child.cookie;
            rest.lines.pop_front();
        }
        self.pages.keep(ino, after, rest);
        Ok(())
    }

    /// Gets the next lines of the directory that was just listed, while its reader looks at those that it has.
    pub(super) fn list_ahead(&self, directory: u64) {
        let Some(rest) = self.pages.newest_of(directory) else { return };
        let mut rest = rest.lock();
        let Some(last) = rest.lines.back().map(|child| child.cookie).filter(|_| !rest.is_end) else { return };
        if rest.lines.len() < LINES
            && let Ok(place) = self.forest.place(directory)
            && let Ok(lines) = self.lines(&place, last)
        {
            rest.is_end = lines.is_empty();
            rest.lines.extend(lines);
        }
    }
}
