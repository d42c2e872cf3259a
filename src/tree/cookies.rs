//! Where a listing goes on.

use crate::model::Id;

/// Cookies up to this one belong to children of fixed names; those of rows follow.
pub(super) const FIXED: u64 = 16;

/// The cookie of the entry of a row.
pub(crate) fn cookie(row: Id) -> u64 {
    FIXED + 1 + row as u64
}

/// The lowest row whose entry stands behind the one with the cookie `after`.
pub(crate) fn first_row(after: u64) -> Id {
    after.saturating_sub(FIXED) as Id
}

/// At most `limit` of the rows from `from` on.
pub(crate) fn rest(rows: &[Id], from: Id, limit: usize) -> impl Iterator<Item = &Id> {
    rows[rows.partition_point(|row| *row < from)..].iter().take(limit)
}
