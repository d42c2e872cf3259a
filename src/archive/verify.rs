//! Proving an archive: every byte against its digest, and every row against its own digest or against the rows that say
//! the same.
//!
//! All checks look at one state of the archive, while another program may write to it: in a transaction where there is a
//! log, else at the file as it is, once more if it changed meanwhile.

mod blobs;
mod digests;
mod history;
mod index;
mod origins;
mod rows;

use super::blob::BlobKey;
use super::connect::ReadConnection;
use super::moment::Moment;
use super::query;
use super::read::Reader;
use super::sql_error::explain;
use crate::error::{Error, ErrorKind, Result};
use crate::model::{Id, ObjectType};
use rusqlite::Connection;
use std::collections::HashSet;
use std::time::Duration;

/// How thoroughly to look.
#[derive(Debug, Clone, Copy)]
pub struct Depth {
    /// The share of blobs whose bytes are hashed, from 0 to 1.
    pub sample: f64,
    /// No more blobs are begun after this time.
    pub max_duration: Option<Duration>,
    /// Makes another sample of the same size.
    pub seed: u64,
}

impl Depth {
    /// Everything.
    pub const WHOLE: Depth = Depth { sample: 1.0, max_duration: None, seed: 0 };

    /// All rows, and the bytes of this share of the blobs: each day of other ones.
    pub fn of_today(sample: f64) -> Depth {
        let day = jiff::Timestamp::now().as_second() / 86_400;
        Depth { sample, max_duration: None, seed: day as u64 }
    }
}

/// Something that is not as it should be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// A row or a table, e.g. `blob 12`.
    pub place: String,
    /// How it is wrong, as the rest of a sentence.
    pub what: String,
    /// The objects that it affects, in the moment in which they show it.
    pub affected: Vec<(ObjectType, Id, Moment)>,
}

/// The result of [`verify`]: how much was checked, and the findings.
#[derive(Debug, Default)]
pub struct Verdict {
    /// What costs an object or bytes: the first 10,000.
    pub findings: Vec<Finding>,
    /// Findings beyond those listed.
    pub more: u64,
    /// Findings that cost no object and no byte.
    pub remarks: Vec<Finding>,
    /// Blobs in the archive, hashed or not.
    pub blobs: u64,
    /// Blobs whose bytes were read, sound or not.
    pub blobs_hashed: u64,
    /// Bytes of the blobs that were sound.
    pub bytes_hashed: u64,
    /// Rows of the current state, of all types.
    pub objects: u64,
    /// Lines of `snapshots`.
    pub snapshots: u64,
    /// False if time ran out, or only a sample was wanted.
    pub is_full: bool,
    /// True if the user ended it early.
    pub is_stopped: bool,
}

/// How many findings are listed.
const FINDINGS_MAX: usize = 10_000;

/// How often the whole is looked at again because the file changed meanwhile.
const PASSES: u32 = 20;

/// Looks at an archive. `progress` hears of blobs done and blobs to do.
///
/// Errors: the archive is changed all the time.
pub fn verify(reader: &Reader, depth: Depth, mut progress: impl FnMut(u64, u64)) -> Result<Verdict> {
    verify_while(reader, depth, |done, all| {
        progress(done, all);
        true
    })
}

/// The same, as long as `progress` gives true.
///
/// Errors with [`Interrupted`](crate::error::ErrorKind::Interrupted) once it does not.
pub fn verify_while(reader: &Reader, depth: Depth, progress: impl FnMut(u64, u64) -> bool) -> Result<Verdict> {
    let verdict = verify_until(reader, depth, progress)?;
    if verdict.is_stopped { Err(Error::new(ErrorKind::Interrupted, "interrupted")) } else { Ok(verdict) }
}

/// The same; once `progress` gives false, the verdict is on what was looked at until then.
pub fn verify_until(reader: &Reader, depth: Depth, mut progress: impl FnMut(u64, u64) -> bool) -> Result<Verdict> {
    // Blobs found sound need not be hashed again.
    let mut sound = HashSet::new();
    for _ in 0..PASSES {
        reader.look_again()?;
        let verdict = reader.pinned(|conn| {
            let mut check = Check::new(reader, conn);
            check.run(depth, &mut sound, &mut progress)?;
            Ok(check.verdict)
        })?;
        if let Some(verdict) = verdict {
            return Ok(verdict);
        }
    }
    Err(reader.restless())
}

/// One look at everything.
struct Check<'a> {
    reader: &'a Reader,
    connection: &'a ReadConnection,
    conn: &'a Connection,
    verdict: Verdict,
    /// All snapshots, in order.
    snapshots: Vec<i64>,
}

impl<'a> Check<'a> {
    fn new(reader: &'a Reader, connection: &'a ReadConnection) -> Check<'a> {
        Check { reader, connection, conn: &connection.conn, verdict: Verdict::default(), snapshots: Vec::new() }
    }

    fn run(
        &mut self,
        depth: Depth,
        sound: &mut HashSet<BlobKey>,
        progress: &mut impl FnMut(u64, u64) -> bool,
    ) -> Result<()> {
        self.step("database", Check::structure);
        self.step("objects", Check::rows);
        if self.reader.has_history() {
            self.step("snapshots", Check::history);
        }
        if self.reader.has_index() {
            self.step("origins", Check::origins);
            self.step("index of mailboxes", Check::index);
        }
        match (self.reader.has_digests(), self.reader.has_index()) {
            (true, true) => self.step("digests of rows", Check::digests),
            (true, false) => {
                self.remark("rows", "vandelay 1.x has written to this archive; the next import proves the rows again")
            }
            (false, _) => {
                self.remark("rows", "this archive has no digests of its rows yet; the next import writes them")
            }
        }
        self.blobs(depth, sound, progress)
    }

    /// Makes one check. If it fails, that is a finding, and the other checks are made all the same.
    fn step(&mut self, place: &str, check: impl FnOnce(&mut Self) -> rusqlite::Result<()>) {
        self.connection.restart_budget();
        if let Err(error) = check(self) {
            let error = explain(self.reader.path(), error);
            self.find(place.to_owned(), error.to_string(), Vec::new());
        }
    }

    fn find(&mut self, place: String, what: impl Into<String>, affected: Vec<(ObjectType, Id, Moment)>) {
        if self.verdict.findings.len() < FINDINGS_MAX {
            self.verdict.findings.push(Finding { place, what: what.into(), affected });
        } else {
            self.verdict.more += 1;
        }
    }

    fn remark(&mut self, place: &str, what: &str) {
        self.remark_on(place.to_owned(), what.to_owned(), Vec::new());
    }

    fn remark_on(&mut self, place: String, what: String, affected: Vec<(ObjectType, Id, Moment)>) {
        if self.verdict.remarks.len() < FINDINGS_MAX {
            self.verdict.remarks.push(Finding { place, what, affected });
        }
    }

    /// SQLite's own check of pages, cells and indexes.
    fn structure(&mut self) -> rusqlite::Result<()> {
        let lines = query::column::<String>(self.conn, "PRAGMA integrity_check(100)", [])?;
        for line in lines.into_iter().filter(|line| line != "ok") {
            self.find("database".to_owned(), line, Vec::new());
        }
        Ok(())
    }

    /// The first snapshot that shows a former state, if one does.
    fn shown_at(&self, first: i64, last: i64) -> Option<i64> {
        let at = self.snapshots.partition_point(|snapshot| *snapshot < first);
        self.snapshots.get(at).copied().filter(|snapshot| *snapshot < last)
    }

    /// The object, at the first moment that shows a former state of it.
    fn affected(&self, name: &str, id: Id, first: i64, last: i64) -> Vec<(ObjectType, Id, Moment)> {
        let kind = ObjectType::from_token(name);
        kind.zip(self.shown_at(first, last)).map(|(kind, at)| (kind, id, Moment::Snapshot(at))).into_iter().collect()
    }
}
