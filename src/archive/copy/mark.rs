//! The mark in a copy that is not whole: what of the archive it lacks.
//!
//! It is a table that no other program knows, `incomplete`, so that the mark goes wherever the file goes.

use super::unfinished::Unfinished;
use crate::archive::connect::open_writer;
use crate::archive::read::Reader;
use crate::archive::sql_error::explain;
use crate::archive::verify::Finding;
use crate::error::{Error, ErrorKind, Result};
use crate::model::time::now;
use rusqlite::{Connection, OptionalExtension, params};
use std::os::unix::fs::FileExt;

/// How many findings the mark names.
const NAMED: usize = 100;

/// More of the list is not read: no honest mark has so much.
const LIST_MAX: i64 = 1 << 20;

const MAKE: &str = "CREATE TABLE IF NOT EXISTS incomplete
    (id INTEGER PRIMARY KEY, noted TEXT NOT NULL, findings INTEGER NOT NULL, named TEXT NOT NULL)";

/// What a copy lacks, as the mark in it says.
#[derive(Debug, Clone, Default, PartialEq, Eq, serde::Serialize)]
pub struct Incomplete {
    /// When the copy was made, RFC 3339.
    pub noted: String,
    /// How many things are damaged or missing.
    pub findings: u64,
    /// The first of them.
    pub named: Vec<Missing>,
}

/// Something that is damaged in a copy, or missing.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Missing {
    /// A row, a table or a part of the file.
    pub place: String,
    /// How it is wrong, as the rest of a sentence.
    pub what: String,
}

impl Incomplete {
    /// The mark for these findings, of which there are `count`.
    pub(super) fn of(findings: &[Finding], count: u64) -> Incomplete {
        let missing = |finding: &Finding| Missing { place: finding.place.clone(), what: finding.what.clone() };
        let named = findings.iter().take(NAMED).map(missing).collect();
        Incomplete { noted: now(), findings: count, named }
    }

    /// Writes the mark into a copy that nobody else knows of.
    pub(super) fn write(&self, copy: &Unfinished) -> Result<()> {
        let fail = |error| explain(copy.path(), error);
        if self.named.iter().any(|missing| missing.place == "database") {
            drop_free_list(copy).map_err(|error| Error::io("cannot mark the copy as incomplete", error))?;
        }
        let conn = open_writer(copy.path())?;
        // Without an index of the log, which network file systems cannot have.
        conn.pragma_update(None, "locking_mode", "EXCLUSIVE").map_err(fail)?;
        let named = serde_json::to_string(&self.named).unwrap_or_else(|_| "[]".to_owned());
        let count = i64::try_from(self.findings).unwrap_or(i64::MAX);
        conn.execute_batch(MAKE)
            .and_then(|()| {
                let sql = "INSERT INTO incomplete (noted, findings, named) VALUES (?1, ?2, ?3)";
                conn.execute(sql, params![self.noted, count, named])
            })
            .map_err(fail)?;
        conn.close().map_err(|(_, error)| fail(error))?;
        match Reader::open(copy.path())?.incomplete()? {
            Some(_) => Ok(()),
            None => Err(Error::new(ErrorKind::Damaged, "the copy is incomplete, and cannot be marked as such")),
        }
    }
}

/// Lets SQLite forget the free pages of a damaged file: one of them may be a page that is in use, and the mark would be
/// written over it (SQLite file format 1.3.8: the offsets 32 and 36 of the header).
fn drop_free_list(copy: &Unfinished) -> std::io::Result<()> {
    copy.file().write_all_at(&[0; 8], 32)
}

impl Reader {
    /// What this archive lacks, if it is an incomplete copy.
    pub fn incomplete(&self) -> Result<Option<Incomplete>> {
        self.with(|conn| {
            let sql = "SELECT EXISTS (SELECT 1 FROM sqlite_schema WHERE type = 'table' AND name = 'incomplete')";
            let is_marked: bool = conn.query_row(sql, [], |row| row.get(0))?;
            // A mark that cannot be read is one all the same.
            Ok(is_marked.then(|| read(conn).ok().flatten().unwrap_or_default()))
        })
    }
}

/// The mark with the most findings: a copy of a copy may have several.
fn read(conn: &Connection) -> rusqlite::Result<Option<Incomplete>> {
    let sql = "SELECT noted, findings, CASE WHEN length(named) <= ?1 THEN named ELSE '[]' END
               FROM incomplete WHERE length(noted) < 100 ORDER BY findings DESC LIMIT 1";
    conn.query_row(sql, [LIST_MAX], |row| {
        let named: String = row.get(2)?;
        Ok(Incomplete {
            noted: row.get(0)?,
            findings: row.get::<_, i64>(1)?.max(0) as u64,
            named: serde_json::from_str(&named).unwrap_or_default(),
        })
    })
    .optional()
}
