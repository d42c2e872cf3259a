//! Where a listing goes on.

use crate::model::Id;

/// What is added to a row to make the cookie of its line; below it are the fixed lines.
pub(super) const FIXED: u64 = 16;

/// The cookie of a row's line.
pub(crate) fn cookie(row: Id) -> u64 {
    FIXED + 1 + row as u64
}

/// The lowest row whose line stands behind the one with the cookie `after`.
pub(crate) fn first_row(after: u64) -> Id {
    after.saturating_sub(FIXED) as Id
}

/// Those of the rows that stand at `from` or behind it.
pub(crate) fn rest(rows: &[Id], from: Id, limit: usize) -> impl Iterator<Item = &Id> {
    rows[rows.partition_point(|row| *row < from)..].iter().take(limit)
}
