//! Rows that only an export has: what it makes itself, and how those are counted.

use super::wanted::Wanted;
use crate::model::Id;
use crate::sink::Draft;

/// A container that only this export needs.
pub(super) fn made(id: Id, parent: Option<Id>, draft: Draft) -> Wanted {
    Wanted { id, parent, draft, ..Wanted::default() }
}

/// True for what the archive has, false for a container that only this export needs.
pub(super) fn counts(id: Id) -> bool {
    id > 0 || id <= TASK_FILES
}

/// The row of the container that `--into` makes.
pub(super) const INTO: Id = -1;

/// The row of the directory for tasks and notes.
pub(super) const TASKS: Id = -2;

/// Rows of what lies in it: far below all others.
pub(super) const TASK_FILES: Id = -1_000_000_000_000;
