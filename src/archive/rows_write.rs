//! Adds, changes and removes rows, and copies each former state into the history before.

use super::blob::{self, NewBlob, PutError};
use super::properties::Field;
use super::schema::Table;
use super::write::Writer;
use crate::error::{Error, Result};
use crate::model::{Id, ObjectType};
use rusqlite::types::Value;
use rusqlite::{OptionalExtension, params};

impl Writer {
    /// Stores bytes once. Gives the row of the blob, and whether it is new.
    pub fn put_blob(&mut self, blob: NewBlob) -> Result<(Id, bool)> {
        match blob::put(&self.conn, blob) {
            Ok(stored) => Ok(stored),
            Err(PutError::Archive(error)) => Err(self.explain(error)),
            Err(PutError::Input(error)) => Err(Error::io("cannot read back spooled bytes", error)),
        }
    }

    /// Adds a row and gives its id, which no row of the type ever had.
    pub(super) fn insert_row(&mut self, kind: ObjectType, fields: &[Field], blob: Option<Id>) -> Result<Id> {
        let table = Table::of(kind);
        let id = self.next_id(kind)?;
        let mut names = String::from("id");
        let mut marks = String::from("?");
        let mut values = vec![Value::Integer(id)];
        for (name, value) in with_blob(fields, blob) {
            names.push_str(", ");
            names.push_str(name);
            marks.push_str(", ?");
            values.push(value);
        }
        self.execute(
            &format!("INSERT INTO {} ({names}) VALUES ({marks})", table.name),
            rusqlite::params_from_iter(values),
        )?;
        self.execute(
            "INSERT OR REPLACE INTO since (kind, id, first) VALUES (?1, ?2, ?3)",
            params![kind.name(), id, self.run],
        )?;
        self.digest(kind, id)?;
        self.changes.entry(kind).or_default().new += 1;
        Ok(id)
    }

    /// Changes some columns of a row; its former self goes to the history. Gives false if nothing differs.
    pub(super) fn update_row(&mut self, kind: ObjectType, id: Id, fields: &[Field], blob: Option<Id>) -> Result<bool> {
        let table = Table::of(kind);
        let values: Vec<(&str, Value)> = with_blob(fields, blob).collect();
        let compare: Vec<String> = values.iter().map(|(name, _)| format!("{name} IS ?")).collect();
        let parameters = || values.iter().map(|(_, value)| value.clone()).chain([Value::Integer(id)]);
        let same: Option<bool> = self
            .conn
            .prepare_cached(&format!("SELECT {} FROM {} WHERE id = ?", compare.join(" AND "), table.name))
            .and_then(|mut statement| {
                statement.query_row(rusqlite::params_from_iter(parameters()), |row| row.get(0)).optional()
            })
            .map_err(|error| self.explain(error))?;
        if same != Some(false) {
            return Ok(false);
        }
        self.keep_former(kind, id)?;
        let sets: Vec<String> = values.iter().map(|(name, _)| format!("{name} = ?")).collect();
        self.execute(
            &format!("UPDATE {} SET {} WHERE id = ?", table.name, sets.join(", ")),
            rusqlite::params_from_iter(parameters()),
        )?;
        self.digest(kind, id)?;
        self.changes.entry(kind).or_default().changed += 1;
        Ok(true)
    }

    /// Removes a row from the current state; it stays in the history.
    pub(super) fn remove_row(&mut self, kind: ObjectType, id: Id) -> Result<()> {
        self.keep_former(kind, id)?;
        self.drop_digest(kind, id)?;
        self.execute("DELETE FROM originals WHERE kind = ?1 AND id = ?2", params![kind.name(), id])?;
        self.execute("DELETE FROM since WHERE kind = ?1 AND id = ?2", params![kind.name(), id])?;
        let removed = self.execute(&format!("DELETE FROM {} WHERE id = ?1", Table::of(kind).name), [id])?;
        self.changes.entry(kind).or_default().removed += removed as u64;
        Ok(())
    }

    /// Copies the row as it stands into the history, unless this run made it: no snapshot shows that state. Call it before
    /// a change of what stands beside the row's columns.
    pub fn keep(&mut self, kind: ObjectType, id: Id) -> Result<()> {
        self.keep_former(kind, id)?;
        self.digest(kind, id)
    }

    fn keep_former(&mut self, kind: ObjectType, id: Id) -> Result<()> {
        let Some(run) = self.run else { return Ok(()) };
        let table = Table::of(kind);
        let blob = if table.has_blob { "t.blob_id" } else { "NULL" };
        let sql = format!(
            "INSERT OR REPLACE INTO history (kind, id, first, last, fields, blob_id, original_id, ranges)
             SELECT ?1, t.id, coalesce(s.first, 0), ?3, {}, {blob}, o.blob_id, o.ranges
             FROM {} t LEFT JOIN since s ON s.kind = ?1 AND s.id = t.id LEFT JOIN originals o ON o.kind = ?1 AND o.id = t.id
             WHERE t.id = ?2 AND coalesce(s.first, 0) < ?3",
            table.fields_json(""),
            table.name
        );
        if self.execute(&sql, params![kind.name(), id, run])? > 0 {
            self.digest_former(kind, id)?;
        }
        self.execute(
            "INSERT OR REPLACE INTO since (kind, id, first) VALUES (?1, ?2, ?3)",
            params![kind.name(), id, run],
        )
        .map(|_| ())
    }

    /// Keeps the source's own bytes of an event or a card: a blob, or ranges of one as JSON `[[start,end],…]`.
    pub fn set_original(&mut self, kind: ObjectType, id: Id, blob: Id, ranges: Option<&str>) -> Result<()> {
        self.execute(
            "INSERT OR REPLACE INTO originals (kind, id, blob_id, ranges) VALUES (?1, ?2, ?3, ?4)",
            params![kind.name(), id, blob, ranges],
        )?;
        self.digest(kind, id)
    }

    fn next_id(&mut self, kind: ObjectType) -> Result<Id> {
        let next = match self.next_ids.get(&kind) {
            Some(next) => *next,
            None => {
                let table = Table::of(kind).name;
                let last: Id = self
                    .conn
                    .query_row(
                        &format!("SELECT max(coalesce((SELECT max(id) FROM {table}), 0), coalesce((SELECT max(id) FROM history WHERE kind = ?1), 0), coalesce((SELECT id FROM last_ids WHERE kind = ?1), 0))"),
                        [kind.name()],
                        |row| row.get(0),
                    )
                    .map_err(|error| self.explain(error))?;
                last + 1
            }
        };
        self.next_ids.insert(kind, next + 1);
        Ok(next)
    }
}

fn with_blob(fields: &[Field], blob: Option<Id>) -> impl Iterator<Item = Field> {
    fields.iter().cloned().chain(blob.map(|id| ("blob_id", Value::Integer(id))))
}
