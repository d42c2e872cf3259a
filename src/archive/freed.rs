//! What [`Writer::forget`](super::Writer::forget) would remove, without a change.

use super::blob;
use super::query::column;
use super::read::Reader;
use super::snapshots::{Forgotten, blobs_in_text};
use crate::error::Result;
use crate::model::Id;
use rusqlite::{Connection, Row};
use std::collections::BTreeSet;

/// A former state: the snapshots that show it, and the blobs that it refers to.
const STATES: &str = "SELECT first, last, blob_id, original_id,
    CASE WHEN kind IN ('ContactCard', 'CalendarEvent') AND instr(fields, '@blob') THEN fields END FROM history";

/// The blobs of the current state.
const CURRENT: [&str; 4] = [
    "SELECT blob_id FROM emails",
    "SELECT blob_id FROM sieve_scripts",
    "SELECT blob_id FROM file_nodes WHERE blob_id IS NOT NULL",
    "SELECT blob_id FROM originals",
];

/// Texts of the current state that may refer to blobs.
const TEXTS: [&str; 2] = [
    "SELECT data FROM contact_cards WHERE instr(data, '@blob')",
    "SELECT data FROM calendar_events WHERE instr(data, '@blob')",
];

impl Reader {
    /// How much `forget` would remove with these snapshots.
    pub fn would_forget(&self, drop: &BTreeSet<i64>) -> Result<Forgotten> {
        self.with(|conn| {
            let all: Vec<i64> = column(conn, "SELECT id FROM snapshots ORDER BY id", [])?;
            let snapshots = all.iter().filter(|id| drop.contains(id)).count() as u64;
            let kept: Vec<i64> = all.into_iter().filter(|id| !drop.contains(id)).collect();
            let mut blobs = Unused::of(conn)?;
            let mut states = 0;
            each_state(conn, &mut |first, last, refers| {
                let next = kept.partition_point(|id| *id < first);
                match kept.get(next).is_some_and(|id| *id < last) {
                    true => blobs.keep(refers),
                    false => states += 1,
                }
            })?;
            for sql in CURRENT {
                each(conn, sql, &mut |row| {
                    blobs.keep([row.get(0)?]);
                    Ok(())
                })?;
            }
            for sql in TEXTS {
                each(conn, sql, &mut |row| {
                    blobs.keep(blobs_of(row.get_ref(0)?.as_str()?));
                    Ok(())
                })?;
            }
            let mut forgotten = Forgotten { snapshots, states, ..Forgotten::default() };
            for id in blobs.left() {
                if let Some(blob) = blob::find(conn, id)? {
                    forgotten.blobs += 1;
                    forgotten.bytes += blob.size;
                }
            }
            Ok(forgotten)
        })
    }
}

/// Blobs, less those that something refers to: nine bytes for each.
struct Unused {
    ids: Vec<Id>,
    is_used: Vec<bool>,
}

impl Unused {
    fn of(conn: &Connection) -> rusqlite::Result<Unused> {
        let ids: Vec<Id> = column(conn, "SELECT id FROM blobs ORDER BY id", [])?;
        Ok(Unused { is_used: vec![false; ids.len()], ids })
    }

    fn keep(&mut self, used: impl IntoIterator<Item = Id>) {
        for id in used {
            if let Ok(at) = self.ids.binary_search(&id) {
                self.is_used[at] = true;
            }
        }
    }

    fn left(&self) -> impl Iterator<Item = Id> {
        self.ids.iter().zip(&self.is_used).filter(|(_, is_used)| !**is_used).map(|(id, _)| *id)
    }
}

fn each_state(conn: &Connection, visit: &mut dyn FnMut(i64, i64, BTreeSet<Id>)) -> rusqlite::Result<()> {
    each(conn, STATES, &mut |row| {
        let mut blobs = row.get::<_, Option<String>>(4)?.map(|text| blobs_of(&text)).unwrap_or_default();
        for column in [2, 3] {
            blobs.extend(row.get::<_, Option<Id>>(column)?);
        }
        visit(row.get(0)?, row.get(1)?, blobs);
        Ok(())
    })
}

fn blobs_of(text: &str) -> BTreeSet<Id> {
    let mut found = BTreeSet::new();
    blobs_in_text(text, &mut found);
    found
}

fn each(conn: &Connection, sql: &str, visit: &mut dyn FnMut(&Row<'_>) -> rusqlite::Result<()>) -> rusqlite::Result<()> {
    let mut statement = conn.prepare_cached(sql)?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        visit(row)?;
    }
    Ok(())
}
