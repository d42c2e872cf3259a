//! The writer notes digests of what it writes.

use super::digest::{self, Digested, digest_row, digest_table};
use super::sql_error::explain;
use super::write::Writer;
use crate::error::Result;
use crate::model::{Id, ObjectType};
use rusqlite::params;

impl Writer {
    /// Writes the digest of a content row, after the row and what stands beside it.
    pub(super) fn digest(&mut self, kind: ObjectType, id: Id) -> Result<()> {
        let digested = self.digested.entry(kind).or_insert_with(|| Digested::content(kind));
        digested.write(&self.conn, Some(id)).map_err(|error| explain(self.path(), error))
    }

    /// Writes the digest of a former state that was just added.
    pub(super) fn digest_former(&mut self, kind: ObjectType, id: Id) -> Result<()> {
        let added = digest::digest_added(&self.conn, kind.name(), id, &mut self.totals);
        added.map_err(|error| self.explain(error))
    }

    /// Drops the digest of a content row that leaves the current state.
    pub(super) fn drop_digest(&mut self, kind: ObjectType, id: Id) -> Result<()> {
        self.execute("DELETE FROM row_digests WHERE kind = ?1 AND id = ?2", params![kind.name(), id]).map(|_| ())
    }

    /// Writes the digest of one row of a table of ours.
    pub(super) fn digest_own(&self, name: &str, id: i64) -> Result<()> {
        digest_row(&self.conn, name, id).map_err(|error| self.explain(error))
    }

    /// Writes the digests of all rows of a table of ours.
    pub(super) fn digest_all_of(&self, name: &str) -> Result<()> {
        digest_table(&self.conn, name).map_err(|error| self.explain(error))
    }
}
