//! Giving free space back: the archive is written anew without its free pages.
//!
//! A copy is made in a file beside it (`VACUUM INTO`) and proved; then its pages take the place of the archive's, through the
//! log, in one transaction. So memory is bounded, a crash at any point leaves the archive whole, and the file stays the
//! same one: its names, its owner, and mounts that show it, notice nothing. (Renaming the copy over the archive would need
//! half of the space, and would leave mounts, hard links and files mounted by themselves behind with the old file.)

use super::connect;
use super::file::free_bytes;
use super::make::folder_of;
use super::read::Reader;
use super::verify::{Depth, verify, verify_until};
use super::write::Writer;
use crate::error::{Error, ErrorKind, Result};
use rusqlite::backup::{Backup, StepResult};
use rusqlite::config::DbConfig;
use rusqlite::limits::Limit;
use rusqlite::{Connection, OpenFlags, ffi};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// The name of the copy, in a folder of its own that only its owner may enter.
const COPY: &str = "copy.sqlite";

/// How many pages are copied at a time.
const STEP: i32 = 1_024;

/// How often the copy is looked at while it is written.
const LOOK: Duration = Duration::from_millis(100);

/// So many operations of SQLite's machine are between two looks at the clock.
const OPERATIONS: i32 = 100;

/// How often the archive is copied again because another program wrote to it.
const ATTEMPTS: u32 = 5;

/// Room for SQLite's own pages beside those of the archive.
const MARGIN: u64 = 4 << 20;

/// How much space [`Writer::compact`] gives back, and how much it needs for that.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Compaction {
    /// Bytes of the archive now.
    pub before: u64,
    /// Bytes that it will have.
    pub after: u64,
    /// Bytes that have to be free on its file system: those of the copy, and those of the log.
    pub needed: u64,
}

/// What [`Writer::compact`] is at. The numbers that go with it are bytes, of [`Compacting::Checking`] blobs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Compacting {
    /// The copy is written.
    Copying,
    /// It is compared with its digests.
    Checking,
    /// Its pages take the place of the archive's.
    Replacing,
}

/// Hears what is done of how much. False ends it, and the archive stays as it is.
pub type CompactionWatcher = Arc<dyn Fn(Compacting, u64, u64) -> bool + Send + Sync>;

fn interrupted() -> Error {
    Error::new(ErrorKind::Interrupted, "interrupted; the file of the archive is as large as it was")
}

impl Writer {
    /// How much space [`Writer::compact`] would give back.
    pub fn compaction(&self) -> Result<Compaction> {
        let page: u64 = self.ask::<i64>("PRAGMA page_size")?.max(0) as u64;
        let pages: u64 = self.ask::<i64>("PRAGMA page_count")?.max(0) as u64;
        let free: u64 = self.ask::<i64>("PRAGMA freelist_count")?.max(0) as u64;
        let (before, after) = (pages * page, pages.saturating_sub(free) * page);
        Ok(Compaction { before, after, needed: 2 * after + MARGIN })
    }

    /// Gives free pages back to the file system.
    ///
    /// Errors: [`ErrorKind::Storage`] if there is no room for the copy; [`ErrorKind::Damaged`] if the copy is not what it should be.
    /// The archive then stays as it is. [`ErrorKind::Interrupted`] once `watch` gives false.
    pub fn compact(&mut self, watch: &CompactionWatcher) -> Result<()> {
        let compaction = self.compaction()?;
        if let Some(free) = free_bytes(self.path()).filter(|free| *free < compaction.needed) {
            let what = format!(
                "cannot compact archive {}: that needs {} bytes beside it, and {free} are free",
                self.path().display(),
                compaction.needed
            );
            return Err(
                Error::new(ErrorKind::Storage, what).hint("free some space on that file system, then run it again")
            );
        }
        let prefix = format!(".{}.compact-", self.path().file_name().unwrap_or_default().to_string_lossy());
        self.remove_leftovers(&prefix);
        let folder = tempfile::Builder::new().prefix(&prefix).tempdir_in(folder_of(self.path()));
        let folder =
            folder.map_err(|error| Error::io(format!("cannot compact archive {}", self.path().display()), error))?;
        let copy = folder.path().join(COPY);
        for _ in 0..ATTEMPTS {
            let others = Others::keep_out(self)?;
            self.vacuum_into(&copy, compaction.after, watch)?;
            self.prove_copy(&copy, watch)?;
            others.let_in().map_err(|error| self.explain(error))?;
            match self.take_over(&copy, &others, watch).map_err(|error| self.explain(error))? {
                Taken::All => return self.check_files(),
                Taken::Stopped => return Err(interrupted()),
                Taken::TooLate => {}
            }
            std::fs::remove_file(&copy)
                .map_err(|error| Error::io(format!("cannot compact archive {}", self.path().display()), error))?;
        }
        let what = format!("cannot compact archive {}: another program keeps writing to it", self.path().display());
        Err(Error::new(ErrorKind::Locked, what).hint("try again when it has finished; the archive is as it was"))
    }

    /// Removes copies of this archive that killed runs left. No other run makes one while we have the lock.
    fn remove_leftovers(&self, prefix: &str) {
        let entries = std::fs::read_dir(folder_of(self.path())).into_iter().flatten().flatten();
        for entry in entries.filter(|entry| entry.file_name().to_string_lossy().starts_with(prefix)) {
            if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                let copy = entry.path().join(COPY);
                for suffix in ["", "-journal", "-wal", "-shm"] {
                    let _ = std::fs::remove_file(connect::beside(&copy, suffix));
                }
                let _ = std::fs::remove_dir(entry.path());
            }
        }
    }

    fn vacuum_into(&mut self, copy: &Path, size: u64, watch: &CompactionWatcher) -> Result<()> {
        // VACUUM attaches the copy that it writes.
        self.conn.set_limit(Limit::SQLITE_LIMIT_ATTACHED, 1).map_err(|error| self.explain(error))?;
        // It is one statement, so its size is looked at meanwhile.
        let (stopped, path, watched) = (Arc::new(AtomicBool::new(false)), copy.to_owned(), Arc::clone(watch));
        let (is_stopped, mut looked) = (Arc::clone(&stopped), Instant::now());
        let look = move || {
            if looked.elapsed() < LOOK {
                return false;
            }
            looked = Instant::now();
            let written = std::fs::metadata(&path).map_or(0, |meta| meta.len());
            let goes_on = watched(Compacting::Copying, written.min(size), size);
            is_stopped.fetch_or(!goes_on, Ordering::Relaxed);
            !goes_on
        };
        self.conn.progress_handler(OPERATIONS, Some(look)).map_err(|error| self.explain(error))?;
        let done = self.execute("VACUUM INTO ?1", [copy.to_string_lossy()]);
        self.conn.progress_handler(0, None::<fn() -> bool>).map_err(|error| self.explain(error))?;
        self.conn.set_limit(Limit::SQLITE_LIMIT_ATTACHED, 0).map_err(|error| self.explain(error))?;
        if stopped.load(Ordering::Relaxed) {
            return Err(interrupted());
        }
        done.map(|_| ())
    }

    /// Errors unless the copy is as sound as the archive. Damage that is in both is copied as it is.
    fn prove_copy(&self, copy: &Path, watch: &CompactionWatcher) -> Result<()> {
        let copied =
            verify_until(&Reader::open(copy)?, Depth::WHOLE, |done, all| watch(Compacting::Checking, done, all))?;
        if copied.is_stopped {
            return Err(interrupted());
        }
        let Some(finding) = copied.findings.first() else { return Ok(()) };
        let own = verify(&Reader::open(self.path())?, Depth::WHOLE, |_, _| {})?;
        if own.findings == copied.findings {
            return Ok(());
        }
        let what = format!(
            "archive {} was not compacted: its copy is damaged ({}: {})",
            self.path().display(),
            finding.place,
            finding.what
        );
        Err(Error::new(ErrorKind::Damaged, what)
            .hint("check the disk; 'vandelay verify' names what is damaged in the archive"))
    }

    /// Writes the pages of the copy over those of the archive, in one transaction.
    fn take_over(&mut self, copy: &Path, others: &Others, watch: &CompactionWatcher) -> rusqlite::Result<Taken> {
        let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let page: i64 = self.conn.query_row("PRAGMA page_size", [], |row| row.get(0))?;
        let from = Connection::open_with_flags(copy, flags)?;
        let backup = Backup::new(&from, &mut self.conn)?;
        // A step of no pages takes the lock for writing; from then on no other program can take it.
        step(&backup, 0)?;
        if others.have_written()? {
            return Ok(Taken::TooLate);
        }
        while step(&backup, STEP)? == StepResult::More {
            let progress = backup.progress();
            let bytes = |pages: i32| i64::from(pages).saturating_mul(page).max(0) as u64;
            let (all, left) = (bytes(progress.pagecount), bytes(progress.remaining));
            if !watch(Compacting::Replacing, all.saturating_sub(left), all) {
                // What was written of it goes with its transaction.
                return Ok(Taken::Stopped);
            }
        }
        Ok(Taken::All)
    }
}

/// What became of the archive.
enum Taken {
    All,
    /// The user stopped it.
    Stopped,
    /// Another program wrote to the archive since it was copied: nothing is done then, as that would be undone.
    TooLate,
}

/// One step of a copy, tried again while another program writes, or holds the file for a moment.
pub(super) fn step(backup: &Backup<'_, '_>, pages: i32) -> rusqlite::Result<StepResult> {
    for _ in 0..100 {
        match backup.step(pages)? {
            done @ (StepResult::Done | StepResult::More) => return Ok(done),
            _ => std::thread::sleep(std::time::Duration::from_millis(100)),
        }
    }
    let busy = ffi::Error::new(ffi::SQLITE_BUSY);
    Err(rusqlite::Error::SqliteFailure(busy, None))
}

/// Keeps other programs from writing while the archive is copied: what they wrote meanwhile would be lost with the pages
/// that the copy replaces.
struct Others {
    /// A connection of its own, as neither `VACUUM` nor a copy of pages may have a transaction open.
    conn: Connection,
    version: i64,
}

impl Others {
    fn keep_out(writer: &Writer) -> Result<Others> {
        let conn = connect::open_writer(writer.path())?;
        let begun = conn
            .set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true)
            .and_then(|_| conn.execute_batch("BEGIN IMMEDIATE"))
            .and_then(|()| Others::version(&conn));
        let version = begun.map_err(|error| writer.explain(error))?;
        Ok(Others { conn, version })
    }

    fn let_in(&self) -> rusqlite::Result<()> {
        self.conn.execute_batch("ROLLBACK")
    }

    /// True if another program has written since they were let in.
    fn have_written(&self) -> rusqlite::Result<bool> {
        Ok(Others::version(&self.conn)? != self.version)
    }

    fn version(conn: &Connection) -> rusqlite::Result<i64> {
        conn.query_row("PRAGMA data_version", [], |row| row.get(0))
    }
}
