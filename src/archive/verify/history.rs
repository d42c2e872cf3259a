//! Snapshots, and the former states of rows: each object has one state at a time, and none is missing in between.

use super::Check;
use crate::archive::query;
use crate::archive::schema::Table;
use crate::model::{Id, ObjectType};
use rusqlite::OptionalExtension;

/// A state of an object, as the row of `history` says.
struct Former {
    name: String,
    id: Id,
    first: i64,
    last: i64,
}

impl Check<'_> {
    pub(super) fn history(&mut self) -> rusqlite::Result<()> {
        self.snapshot_rows()?;
        let sql = "SELECT kind, id, first, last, fields FROM history ORDER BY kind, id, first";
        let mut statement = self.conn.prepare(sql)?;
        let mut rows = statement.query([])?;
        let mut previous: Option<Former> = None;
        while let Some(row) = rows.next()? {
            self.connection.restart_budget();
            let former = Former { name: row.get(0)?, id: row.get(1)?, first: row.get(2)?, last: row.get(3)? };
            let is_object = row
                .get_ref(4)?
                .as_str()
                .is_ok_and(|text| serde_json::from_str::<serde_json::Map<String, serde_json::Value>>(text).is_ok());
            self.former(&former, is_object);
            if let Some(before) = previous.take() {
                match before.name == former.name && before.id == former.id {
                    true => self.between(&before, former.first),
                    false => self.last_state(&before)?,
                }
            }
            previous = Some(former);
        }
        match previous {
            Some(last) => self.last_state(&last),
            None => Ok(()),
        }
    }

    fn snapshot_rows(&mut self) -> rusqlite::Result<()> {
        let sql = "SELECT id, state, ended FROM snapshots ORDER BY id";
        let rows: Vec<(i64, String, Option<String>)> =
            query::rows(self.conn, sql, [], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?;
        self.verdict.snapshots = rows.len() as u64;
        self.snapshots = rows.iter().map(|(id, ..)| *id).collect();
        for (id, state, ended) in rows {
            let has_end = ended.is_some();
            if has_end == (state == "running") {
                let end = if has_end { "an end" } else { "no end" };
                self.find(format!("snapshot {id}"), format!("is {state} and has {end}"), Vec::new());
            }
            if ended.is_some_and(|ended| ended.parse::<jiff::Timestamp>().is_err()) {
                self.find(format!("snapshot {id}"), "its end is no date", Vec::new());
            }
        }
        Ok(())
    }

    /// One row of the history by itself.
    fn former(&mut self, former: &Former, is_object: bool) {
        let Former { name, id, first, last } = former;
        let place = format!("history of {name} {id} from snapshot {first}");
        if ObjectType::from_token(name).is_none_or(|kind| kind.name() != name) {
            self.find(place, "is of an unknown type", Vec::new());
            return;
        }
        let affected = self.affected(name, *id, *first, *last);
        if first >= last {
            self.find(place.clone(), format!("ends at snapshot {last} before it begins"), affected.clone());
        }
        if !is_object {
            self.find(place, "its fields are no JSON", affected);
        }
    }

    /// Finds an overlap or a gap between a former state and the next one, which begins at `next`.
    fn between(&mut self, before: &Former, next: i64) {
        let Former { name, id, last, .. } = before;
        let place = format!("history of {name} {id}");
        if next < *last {
            let affected = self.affected(name, *id, next, *last);
            self.find(place, format!("has two states from snapshot {next} up to {last}"), affected);
        } else if let Some(at) = self.shown_at(*last, next) {
            let affected = self.affected(name, *id, at, next);
            self.find(place, format!("has no state at snapshot {at}, but one before and one after it"), affected);
        }
    }

    /// The newest former state, beside the row as it is now if there is one.
    fn last_state(&mut self, before: &Former) -> rusqlite::Result<()> {
        let Some(kind) = ObjectType::from_token(&before.name) else { return Ok(()) };
        let sql = format!(
            "SELECT coalesce(s.first, 0) FROM {} t LEFT JOIN since s ON s.kind = ?1 AND s.id = t.id WHERE t.id = ?2",
            Table::of(kind).name
        );
        let now: Option<i64> = self
            .conn
            .prepare_cached(&sql)?
            .query_row(rusqlite::params![kind.name(), before.id], |row| row.get(0))
            .optional()?;
        // A container that 1.x removed, and whose number it gave to another one, is missing in between.
        let may_be_another = ObjectType::CONTAINERS.contains(&kind);
        if let Some(now) = now.filter(|now| !may_be_another || *now < before.last) {
            self.between(before, now);
        }
        Ok(())
    }
}
