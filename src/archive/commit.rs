//! Batches of a writer, its log, and the proof that what it wrote is in the file that the user will open.

use super::connect;
use super::digest::{Digested, Totals};
use super::schema::Table;
use super::write::{RunChanges, RunState, Writer};
use crate::error::{Error, ErrorKind, Result};
use crate::model::ObjectType;
use rusqlite::config::DbConfig;
use rusqlite::{Connection, ErrorCode, OptionalExtension};
use std::collections::BTreeMap;
use std::os::unix::fs::MetadataExt;
use std::time::Duration;

/// A batch is committed when it holds this many items. With what was read ahead for the next one
/// (`sync::pipeline`) that is at most 256: what a killed run has to read again.
const BATCH_ITEMS: u64 = 128;

/// … or this many bytes, of the 64 MiB that may have to be read again.
const BATCH_BYTES: u64 = 40 << 20;

/// Changes without bytes of one batch.
const BATCH_CHANGES: u64 = 4_096;

/// The log is written through and copied into the file when it holds about this many bytes of items: what a power cut
/// can cost. A killed process costs no committed batch.
const LOG_BYTES: u64 = 16 << 20;

/// The log may grow to this many bytes before an import waits for it.
const LOG_MAX: u64 = 48 << 20;

/// How long the end of a run waits for readers to let go of the log.
const FOLD_PATIENCE: Duration = Duration::from_millis(500);

impl Writer {
    /// Counts an item towards the batch, and commits the batch when it is full.
    pub fn item_done(&mut self, bytes: u64) -> Result<()> {
        self.batch.items += 1;
        self.batch.bytes += bytes;
        if self.batch.items >= BATCH_ITEMS || self.batch.bytes >= BATCH_BYTES { self.commit_batch() } else { Ok(()) }
    }

    /// Counts a change that cost no reading at the source: many of them go into one batch, as they touch the same pages
    /// again and again, and a run that is killed only finds them a second time.
    pub fn change_done(&mut self) -> Result<()> {
        self.batch.changes += 1;
        if self.batch.changes >= BATCH_CHANGES { self.commit_batch() } else { Ok(()) }
    }

    /// Commits what was done so far.
    pub fn commit_batch(&mut self) -> Result<()> {
        self.commit()?;
        self.batch.log_bytes += self.batch.bytes;
        if self.batch.log_bytes >= LOG_BYTES {
            self.batch.log_bytes = 0;
            self.checkpointer.start().map_err(|error| self.explain(error))?;
            if std::fs::metadata(connect::beside(self.path(), "-wal")).is_ok_and(|log| log.len() > LOG_MAX) {
                // The copying falls behind: finish it while nothing is added, so that the log starts anew.
                self.checkpointer.wait().map_err(|error| self.explain(error))?;
                self.checkpoint("PASSIVE")?;
            }
        }
        (self.batch.items, self.batch.bytes, self.batch.changes) = (0, 0, 0);
        self.begin()
    }

    pub(super) fn begin(&mut self) -> Result<()> {
        self.check_files()?;
        self.run_sql("BEGIN IMMEDIATE")?;
        self.batch.is_open = true;
        if self.batch.log.is_none() {
            (self.batch.log, self.batch.index) = (self.side_file("-wal"), self.side_file("-shm"));
        }
        self.notice_others()
    }

    fn notice_others(&mut self) -> Result<()> {
        let version = self.ask("PRAGMA data_version")?;
        let before = std::mem::replace(&mut self.batch.version, version);
        if before != version {
            // Another program may have used the numbers that come next.
            self.next_ids.clear();
            self.batch.others_wrote |= before != 0;
        }
        Ok(())
    }

    /// Commits, and makes sure that it was not in vain.
    pub(super) fn commit(&mut self) -> Result<()> {
        if std::mem::take(&mut self.batch.is_open) {
            self.totals.note(&self.conn).map_err(|error| self.explain(error))?;
            self.run_sql("COMMIT")?;
            self.check_files()?;
        }
        Ok(())
    }

    pub(super) fn rollback(&mut self) {
        self.totals = Totals::default();
        // A commit that failed may have left its transaction open.
        if std::mem::take(&mut self.batch.is_open) || !self.conn.is_autocommit() {
            let _ = self.conn.execute_batch("ROLLBACK");
        }
    }

    /// False once the archive or its log went away.
    pub(super) fn can_write(&self) -> bool {
        !self.batch.is_lost
    }

    // --- the files -----------------------------------------------------------------------------------------------

    /// Device and inode of a file of SQLite beside the archive.
    fn side_file(&self, suffix: &str) -> Option<(u64, u64)> {
        std::fs::symlink_metadata(connect::beside(self.path(), suffix)).ok().map(|file| (file.dev(), file.ino()))
    }

    /// True if the log beside the archive has something in it, and is another file than ours.
    fn has_log_of_another(&self) -> bool {
        let log = std::fs::symlink_metadata(connect::beside(self.path(), "-wal"));
        log.is_ok_and(|log| log.len() > 0 && Some((log.dev(), log.ino())) != self.batch.log)
    }

    /// Errors if the archive or its log was removed, renamed or replaced: what is written from then on would be lost.
    pub(super) fn check_files(&mut self) -> Result<()> {
        let is_ours = self.file.is_at(self.path());
        let (log, index) = (self.side_file("-wal"), self.side_file("-shm"));
        let has_index = self.batch.index.is_none() || index == self.batch.index;
        let what = match is_ours {
            true if self.batch.log.is_none() || (log == self.batch.log && has_index) => return Ok(()),
            true if log == self.batch.log => "the index of its log (-shm) was removed or replaced",
            true => "its log (-wal) was removed or replaced",
            false if std::fs::symlink_metadata(self.path()).is_ok() => "another file took its place",
            false => "it was removed or renamed",
        };
        self.give_up(is_ours);
        Err(Error::new(
            ErrorKind::Storage,
            format!("archive {}: {what} while it was being written", self.path().display()),
        )
        .hint("Vandelay stopped writing. Find the program that did this, then run the command again"))
    }

    /// Writes nothing more. Folds the log into the file, also where that was moved to another path, unless another program
    /// has begun a log of its own.
    fn give_up(&mut self, is_at_its_place: bool) {
        self.rollback();
        self.batch.is_lost = true;
        let _ = self.checkpointer.close();
        let _ = self.conn.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true);
        let exists = self.file.stat().is_ok_and(|stat| stat.st_nlink > 0);
        // Without its index a log stays for the next writer, which makes the index anew.
        let has_index = !is_at_its_place || self.batch.index.is_none() || self.side_file("-shm") == self.batch.index;
        let folded = exists
            && has_index
            && (!is_at_its_place || !self.has_log_of_another())
            && self
                .conn
                .query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |row| row.get::<_, i64>(0))
                .is_ok_and(|busy| busy == 0);
        // Else the next archive of this name would find the log of this one.
        if !is_at_its_place
            && (folded || !exists)
            && self.batch.log.is_some()
            && self.side_file("-wal") == self.batch.log
        {
            for suffix in ["-wal", "-shm"] {
                let _ = std::fs::remove_file(connect::beside(self.path(), suffix));
            }
        }
    }

    /// Copies the log into the file. With readers about that may not go through; the log then stays for the next
    /// writer. A disk that fails is another matter: it is an error of the run.
    fn checkpoint(&self, how: &str) -> Result<()> {
        match self.conn.query_row(&format!("PRAGMA wal_checkpoint({how})"), [], |_| Ok(())) {
            Err(error) if error.sqlite_error_code() != Some(ErrorCode::DatabaseBusy) => Err(self.explain(error)),
            _ => Ok(()),
        }
    }

    fn fold_log(&mut self) -> Result<()> {
        self.checkpointer.close().map_err(|error| self.explain(error))?;
        // A reader may stay for minutes, as `verify` does; the log waits for the next writer then.
        self.conn.busy_timeout(FOLD_PATIENCE).map_err(|error| self.explain(error))?;
        let folded = self.checkpoint("TRUNCATE");
        self.conn.busy_timeout(connect::PATIENCE).map_err(|error| self.explain(error))?;
        folded
    }

    // --- the end -------------------------------------------------------------------------------------------------

    /// Leaves everything as the last commit had it, and folds the log into the file.
    pub fn close(mut self) -> Result<BTreeMap<ObjectType, RunChanges>> {
        self.rollback();
        if self.can_write() {
            self.fold_log()?;
            self.file.forget_name();
        }
        Ok(std::mem::take(&mut self.changes))
    }

    /// Errors unless another connection finds in the file what this run reports: its snapshot, and as many rows of each
    /// type that it changed.
    pub(super) fn prove(&mut self, run: i64, state: RunState, report: &str) -> Result<()> {
        self.fold_log()?;
        self.check_files()?;
        let kinds: Vec<ObjectType> = self.changes.keys().copied().collect();
        let here = Standing::of(&self.conn, run, &kinds).map_err(|error| self.explain(error))?;
        let look = connect::FileStamp::take(self.path())
            .map_err(|error| Error::io(format!("cannot open archive {}", self.path().display()), error))?;
        let second = connect::open_reader(self.path(), &self.file, &look)?;
        let there = Standing::of(&second.conn, run, &kinds).map_err(|error| self.explain(error))?;
        self.notice_others()?;
        if self.batch.others_wrote {
            self.refuse_changed_rows()?;
        }
        if here != there || there.snapshot != Some((state.name().to_owned(), Some(report.to_owned()))) {
            self.batch.is_lost = true;
            return Err(Error::new(
                ErrorKind::Storage,
                format!("archive {} does not contain what this run wrote", self.path().display()),
            )
            .hint("another program changed the file meanwhile; run 'vandelay verify', then the command again"));
        }
        Ok(())
    }
}

impl Writer {
    /// Errors if rows are not as they were written: another program has changed or removed some meanwhile.
    fn refuse_changed_rows(&self) -> Result<()> {
        let mut changed = 0;
        for kind in ObjectType::ALL {
            let digested = Digested::content(kind);
            let rows =
                digested.differing(&self.conn).and_then(|rows| Ok(rows.len() + digested.gone(&self.conn)?.len()));
            changed += rows.map_err(|error| self.explain(error))?;
        }
        if changed == 0 {
            return Ok(());
        }
        let what = format!(
            "archive {}: another program changed or removed {changed} rows while it was being written",
            self.path().display()
        );
        Err(Error::new(ErrorKind::Storage, what)
            .hint("'vandelay verify' names them; run the command again: what is missing is fetched again"))
    }
}

/// A run as a connection sees it.
#[derive(PartialEq, Eq)]
struct Standing {
    /// State and report.
    snapshot: Option<(String, Option<String>)>,
    /// Number of rows and greatest id, per type.
    rows: Vec<(i64, Option<i64>)>,
}

impl Standing {
    fn of(conn: &Connection, run: i64, kinds: &[ObjectType]) -> rusqlite::Result<Standing> {
        let snapshot = conn
            .query_row("SELECT state, report FROM snapshots WHERE id = ?1", [run], |row| Ok((row.get(0)?, row.get(1)?)))
            .optional()?;
        let count = |kind: &ObjectType| {
            let sql = format!("SELECT count(*), max(id) FROM {}", Table::of(*kind).name);
            conn.query_row(&sql, [], |row| Ok((row.get(0)?, row.get(1)?)))
        };
        Ok(Standing { snapshot, rows: kinds.iter().map(count).collect::<rusqlite::Result<_>>()? })
    }
}
