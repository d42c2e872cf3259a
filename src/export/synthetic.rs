//! Rows that only an export has: what it makes itself, and how those are counted.

use super::objects::Wanted;
use crate::format::jmap::{Object, folded};
use crate::model::Id;
use serde_json::json;

/// A container that only this export needs.
pub(crate) fn made(id: Id, parent: Option<Id>, label: &str) -> Wanted {
    let object = Object::from_iter([("name".to_owned(), json!(label))]);
    Wanted { id, parent, key: folded(label), label: label.to_owned(), object, ..Wanted::default() }
}

/// True for what the archive has, false for a container that only this export needs.
pub fn counts(id: Id) -> bool {
    id > 0 || id <= TASK_FILES
}

/// The row of the container that `--into` makes.
pub(crate) const INTO: Id = -1;

/// The row of the directory for tasks and notes.
pub(super) const TASKS: Id = -2;

/// Rows of what lies in it: far below all others.
pub(crate) const TASK_FILES: Id = -1_000_000_000_000;
