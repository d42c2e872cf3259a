//! What objects of the result have in common: one form for each thing (docs/json.md).

use crate::archive::Moment;
use std::path::{Path, absolute};

/// A path of the disk, absolute: the reader of the result need not know where the program ran.
pub(super) fn on_disk(path: &Path) -> String {
    absolute(path).as_deref().unwrap_or(path).display().to_string()
}

/// The number of the snapshot; `None` in an archive without history.
pub(super) fn snapshot(moment: Moment) -> Option<i64> {
    match moment {
        Moment::Current => None,
        Moment::Snapshot(snapshot) => Some(snapshot),
    }
}
