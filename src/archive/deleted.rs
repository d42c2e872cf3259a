//! Objects that are gone from the current state and stand in the history.

use super::read::Reader;
use super::schema::Table;
use crate::error::Result;
use crate::model::ObjectType;
use rusqlite::params;

impl Reader {
    /// How many objects of a type the current state has no more, and a snapshot still has.
    pub fn count_deleted(&self, kind: ObjectType) -> Result<u64> {
        if !self.has_history() {
            return Ok(0);
        }
        let table = Table::of(kind).name;
        // An older archive lacks the tables of types that came later.
        let current = match self.shape().columns.get(table).is_some_and(|columns| !columns.is_empty()) {
            true => format!("SELECT id FROM {table}"),
            false => "0".to_owned(),
        };
        let sql = format!("SELECT count(DISTINCT id) FROM history WHERE kind = ?1 AND id NOT IN ({current})");
        let count: i64 = self.with(|conn| conn.query_row(&sql, params![kind.name()], |row| row.get(0)))?;
        Ok(count.unsigned_abs())
    }
}
