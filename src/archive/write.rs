//! The one writer of an archive: runs, batches, and rows that never change without their old state being kept.
//!
//! Content tables hold the current state. Whoever changes or removes a row through [`Writer`] leaves its former self
//! in `history`, so that every snapshot can be read for ever (FORMAT.md, "History").

use super::checkpoint::Checkpointer;
use super::connect::{self, check_header, check_schema, explain, refuse_irregular};
use super::index;
use super::lock::Lock;
use super::schema::{APPLICATION_ID, CONTENT_DDL, FOREIGN_MARK, FORMAT_VERSION, OWN_DDL};
use crate::error::{Error, Kind as Fault, Result};
use crate::model::{Id, Kind, SourceIdent};
use rusqlite::config::DbConfig;
use rusqlite::{Connection, ErrorCode, OptionalExtension, params};
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::{Path, PathBuf};

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

/// Bytes of a page: most messages stand in one.
const PAGE_SIZE: i64 = 16_384;

/// How a run ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// Everything found is stored.
    Complete,
    /// Something could not be read or stored; the rest is.
    Partial,
    /// Stopped by the user or by an error. Nothing was removed.
    Interrupted,
}

impl State {
    /// The value of `snapshots.state`.
    pub fn name(self) -> &'static str {
        match self {
            State::Complete => "complete",
            State::Partial => "partial",
            State::Interrupted => "interrupted",
        }
    }
}

/// What a run changed of one type.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Serialize)]
pub struct Changes {
    pub new: u64,
    pub changed: u64,
    pub removed: u64,
}

/// An archive opened for writing. Dropping it without [`Writer::finish`] leaves the run interrupted.
pub struct Writer {
    pub(super) conn: Connection,
    path: PathBuf,
    pub(super) run: Option<i64>,
    pub(super) source: i64,
    pub(super) next_ids: HashMap<Kind, Id>,
    pub(super) changes: BTreeMap<Kind, Changes>,
    pub(super) touched_mailboxes: BTreeSet<Id>,
    batch_items: u64,
    batch_changes: u64,
    batch_bytes: u64,
    /// Bytes of items in the log that were not copied into the file yet.
    log_bytes: u64,
    in_batch: bool,
    checkpointer: Checkpointer,
    /// `None` for a file that nobody else knows of yet.
    _lock: Option<Lock>,
}

impl Writer {
    /// Opens the archive, making it where there is none, and takes its lock. `doing` is shown to others meanwhile.
    ///
    /// An archive of 1.x gets our tables beside its own; one that 1.x has written to since is brought up to date.
    pub fn open(path: &Path, doing: &str) -> Result<Writer> {
        let path = real_path(path)?;
        refuse_irregular(&path)?;
        let is_new = || std::fs::metadata(&path).map_or(true, |meta| meta.len() == 0);
        if !is_new() {
            check_header(&path)?;
        }
        let lock = Lock::take(&path, doing)?;
        if is_new() {
            make(&path)?;
        }
        let conn = connect::open_writer(&path)?;
        let mut writer = Writer::on(conn, path, Some(lock));
        writer.prepare(false)?;
        Ok(writer)
    }

    fn on(conn: Connection, path: PathBuf, lock: Option<Lock>) -> Writer {
        let checkpointer = Checkpointer::new(&path);
        Writer {
            conn,
            path,
            run: None,
            source: 0,
            next_ids: HashMap::new(),
            changes: BTreeMap::new(),
            touched_mailboxes: BTreeSet::new(),
            batch_items: 0,
            batch_changes: 0,
            batch_bytes: 0,
            log_bytes: 0,
            in_batch: false,
            checkpointer,
            _lock: lock,
        }
    }

    fn prepare(&mut self, is_new: bool) -> Result<()> {
        // A database without any table is one whose maker was stopped.
        if !is_new && self.ask::<bool>("SELECT EXISTS (SELECT 1 FROM sqlite_schema)")? {
            check_schema(&self.conn, &self.path)?;
            // The header may lag behind the log; now both are read.
            let version: i32 = self.ask("PRAGMA user_version")?;
            if version > FORMAT_VERSION {
                // Closing would fold the log into the file.
                let _ = self.conn.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true);
                return Err(Error::new(
                    Fault::Usage,
                    format!(
                        "archive {} was made by a newer version of vandelay (format {version})",
                        self.path.display()
                    ),
                )
                .hint("use the newer program; the file was not changed"));
            }
        }
        if is_new {
            self.conn.pragma_update(None, "page_size", PAGE_SIZE).map_err(|error| self.explain(error))?;
        }
        let mode: String = self
            .conn
            .query_row("PRAGMA journal_mode = WAL", [], |row| row.get(0))
            .map_err(|error| self.explain(error))?;
        if mode != "wal" {
            return Err(Error::new(
                Fault::Storage,
                format!("archive {}: this file system cannot hold a write-ahead log", self.path.display()),
            ));
        }
        // NORMAL: the log is synced before it is copied into the file. Checkpoints are ours to time.
        for (name, value) in
            [("synchronous", 1), ("foreign_keys", 1), ("wal_autocheckpoint", 0), ("cache_size", -16_000)]
        {
            self.conn.pragma_update(None, name, value).map_err(|error| self.explain(error))?;
        }
        let application: i32 = self.ask("PRAGMA application_id")?;
        let version: i32 = self.ask("PRAGMA user_version")?;
        if application != APPLICATION_ID || version < FORMAT_VERSION {
            self.begin()?;
            self.run_sql(CONTENT_DDL)?;
            if !self.ask::<bool>(
                "SELECT EXISTS (SELECT 1 FROM pragma_table_info('calendar_events') WHERE name = 'data_type')",
            )? {
                self.run_sql("ALTER TABLE calendar_events ADD COLUMN data_type TEXT NOT NULL DEFAULT 'Event'")?;
            }
            self.run_sql(OWN_DDL)?;
            index::rebuild(&self.conn, 0).map_err(|error| self.explain(error))?;
            self.run_sql(&format!("DROP INDEX IF EXISTS {FOREIGN_MARK}; PRAGMA application_id = {APPLICATION_ID}; PRAGMA user_version = {FORMAT_VERSION};"))?;
            self.commit()?;
        } else if !self.ask::<bool>("SELECT EXISTS (SELECT 1 FROM sqlite_schema WHERE name = 'vacation_responses')")? {
            // A table that came later (FORMAT.md, "Versions").
            self.begin()?;
            self.run_sql(OWN_DDL)?;
            self.commit()?;
        }
        if self.has_foreign_mark()? {
            // Before anything is compared: what 1.x removed is not known any more, so that it comes again.
            self.begin()?;
            index::forget_origins(&self.conn).map_err(|error| self.explain(error))?;
            self.commit()?;
        }
        Ok(())
    }

    /// True if 1.x had the archive open since our last run.
    fn has_foreign_mark(&self) -> Result<bool> {
        self.ask(&format!("SELECT EXISTS (SELECT 1 FROM sqlite_schema WHERE name = '{FOREIGN_MARK}')"))
    }

    /// Starts a run: a snapshot that is `running` until [`Writer::finish`]. A run that was killed before is ended now.
    ///
    /// Errors: [`Fault::SourceChanged`] if the archive holds another source of this kind and `allow_change` is false.
    pub fn begin_run(&mut self, ident: &SourceIdent, allow_change: bool) -> Result<i64> {
        self.check_source(ident, allow_change)?;
        self.begin()?;
        let now = now();
        self.note_stopped_run()?;
        let end = self.end()?;
        self.execute(
            "UPDATE snapshots SET state = 'interrupted', ended = coalesce(ended, ?1) WHERE state = 'running'",
            params![end],
        )?;
        self.execute(
            "INSERT INTO sources (kind, session_url, account_id, account_name, username) VALUES (?1, ?2, ?3, ?4, ?5)
             ON CONFLICT (kind, session_url, account_id) DO UPDATE SET account_name = excluded.account_name, username = excluded.username
             WHERE account_name IS NOT excluded.account_name OR username IS NOT excluded.username",
            params![ident.kind, ident.session_url, ident.account_id, ident.account_name, ident.username],
        )?;
        self.source = self.source_id(ident)?.ok_or_else(|| {
            Error::new(Fault::Storage, format!("archive {}: the source was not stored", self.path.display()))
        })?;
        let program = format!("vandelay {}", env!("CARGO_PKG_VERSION"));
        self.execute(
            "INSERT INTO snapshots (source_id, started, state, program) VALUES (?1, ?2, 'running', ?3)",
            params![self.source, now, program],
        )?;
        let run = self.conn.last_insert_rowid();
        self.run = Some(run);
        if self.has_foreign_mark()? {
            index::after_foreign_writer(&self.conn, run).map_err(|error| self.explain(error))?;
            self.run_sql(&format!("DROP INDEX {FOREIGN_MARK}"))?;
        }
        self.commit()?;
        self.begin()?;
        Ok(run)
    }

    /// A run that was stopped could not note what stands in the mailboxes that it touched.
    fn note_stopped_run(&self) -> Result<()> {
        let stopped: Option<i64> = self.ask("SELECT min(id) FROM snapshots WHERE state = 'running'")?;
        let Some(run) = stopped else { return Ok(()) };
        let sql = "SELECT DISTINCT mailbox_id FROM email_index WHERE first >= ?1 OR last >= ?1";
        let touched = self.rows(sql, [run], |row| row.get(0))?.into_iter().collect();
        index::summarise(&self.conn, run, &touched).map_err(|error| self.explain(error))
    }

    /// Errors as [`Writer::begin_run`] does when this source may not be imported into this archive.
    pub fn check_source(&self, ident: &SourceIdent, allow_change: bool) -> Result<()> {
        let other: Option<(String, String)> = self
            .conn
            .query_row(
                "SELECT session_url, account_id FROM sources WHERE kind = ?1 AND (session_url, account_id) <> (?2, ?3) LIMIT 1",
                params![ident.kind, ident.session_url, ident.account_id],
                |row| Ok((row.get::<_, String>(0)?, row.get::<_, String>(1)?)),
            )
            .optional()
            .map_err(|error| self.explain(error))?;
        match other {
            Some((url, account)) if !allow_change => Err(Error::new(
                Fault::SourceChanged,
                format!(
                    "archive {} holds another {} source, {url} of {account}, and not {} of {}",
                    self.path.display(),
                    ident.kind,
                    ident.session_url,
                    ident.account_id
                ),
            )
            .hint("check the address and the user, or use another archive; --allow-source-change imports it beside the other one, as a second copy of everything")),
            _ => Ok(()),
        }
    }

    /// The row of a source, if the archive has it.
    pub fn source_id(&self, ident: &SourceIdent) -> Result<Option<i64>> {
        self.conn
            .query_row(
                "SELECT id FROM sources WHERE (kind, session_url, account_id) = (?1, ?2, ?3)",
                params![ident.kind, ident.session_url, ident.account_id],
                |row| row.get(0),
            )
            .optional()
            .map_err(|error| self.explain(error))
    }

    /// Ends the run. `report` is its accounting as JSON.
    pub fn finish(mut self, state: State, report: &str) -> Result<BTreeMap<Kind, Changes>> {
        if let Some(run) = self.run {
            index::summarise(&self.conn, run, &self.touched_mailboxes).map_err(|error| self.explain(error))?;
            self.execute(
                "UPDATE snapshots SET state = ?2, ended = ?3, report = ?4 WHERE id = ?1",
                params![run, state.name(), self.end()?, report],
            )?;
        }
        self.commit()?;
        self.run = None;
        self.close()
    }

    /// Leaves everything as the last commit had it, and folds the log into the file.
    pub fn close(mut self) -> Result<BTreeMap<Kind, Changes>> {
        self.rollback();
        self.checkpointer.wait().map_err(|error| self.explain(error))?;
        self.checkpoint("TRUNCATE")?;
        Ok(std::mem::take(&mut self.changes))
    }

    /// What this run changed so far, per type.
    pub fn changes(&self) -> &BTreeMap<Kind, Changes> {
        &self.changes
    }

    // --- batches -------------------------------------------------------------------------------------------------

    /// Counts an item towards the batch, and commits the batch when it is full.
    pub fn item_done(&mut self, bytes: u64) -> Result<()> {
        self.batch_items += 1;
        self.batch_bytes += bytes;
        if self.batch_items >= BATCH_ITEMS || self.batch_bytes >= BATCH_BYTES { self.commit_batch() } else { Ok(()) }
    }

    /// Counts a change that cost no reading at the source: many of them go into one batch, as they touch the same pages
    /// again and again, and a run that is killed only finds them a second time.
    pub fn change_done(&mut self) -> Result<()> {
        self.batch_changes += 1;
        if self.batch_changes >= BATCH_CHANGES { self.commit_batch() } else { Ok(()) }
    }

    /// Commits what was done so far.
    pub fn commit_batch(&mut self) -> Result<()> {
        self.commit()?;
        self.log_bytes += self.batch_bytes;
        if self.log_bytes >= LOG_BYTES {
            self.log_bytes = 0;
            self.checkpointer.start().map_err(|error| self.explain(error))?;
            if std::fs::metadata(connect::beside(&self.path, "-wal")).is_ok_and(|log| log.len() > LOG_MAX) {
                // The copying falls behind: finish it while nothing is added, so that the log starts anew.
                self.checkpointer.wait().map_err(|error| self.explain(error))?;
                self.checkpoint("PASSIVE")?;
            }
        }
        (self.batch_items, self.batch_bytes, self.batch_changes) = (0, 0, 0);
        self.begin()
    }

    /// Copies the log into the file. With readers about that may not go through; the log then stays for the next
    /// writer. A disk that fails is another matter: nobody shall believe that all is well.
    fn checkpoint(&self, how: &str) -> Result<()> {
        match self.conn.query_row(&format!("PRAGMA wal_checkpoint({how})"), [], |_| Ok(())) {
            Err(error) if error.sqlite_error_code() != Some(ErrorCode::DatabaseBusy) => Err(self.explain(error)),
            _ => Ok(()),
        }
    }

    pub(super) fn begin(&mut self) -> Result<()> {
        self.run_sql("BEGIN IMMEDIATE")?;
        self.in_batch = true;
        Ok(())
    }

    pub(super) fn commit(&mut self) -> Result<()> {
        if std::mem::take(&mut self.in_batch) { self.run_sql("COMMIT") } else { Ok(()) }
    }

    fn rollback(&mut self) {
        // A commit that failed may have left its transaction open.
        if std::mem::take(&mut self.in_batch) || !self.conn.is_autocommit() {
            let _ = self.conn.execute_batch("ROLLBACK");
        }
    }

    // --- plumbing ------------------------------------------------------------------------------------------------

    /// The snapshot that is being written.
    pub(super) fn run(&self) -> i64 {
        self.run.unwrap_or(0)
    }

    /// The path of the archive, links resolved.
    pub fn path(&self) -> &Path {
        &self.path
    }

    pub(super) fn explain(&self, error: rusqlite::Error) -> Error {
        explain(&self.path, error)
    }

    pub(super) fn run_sql(&self, sql: &str) -> Result<()> {
        self.conn.execute_batch(sql).map_err(|error| self.explain(error))
    }

    pub(super) fn execute(&self, sql: &str, parameters: impl rusqlite::Params) -> Result<usize> {
        self.conn
            .prepare_cached(sql)
            .and_then(|mut statement| statement.execute(parameters))
            .map_err(|error| self.explain(error))
    }

    fn ask<T: rusqlite::types::FromSql>(&self, sql: &str) -> Result<T> {
        self.conn.query_row(sql, [], |row| row.get(0)).map_err(|error| self.explain(error))
    }

    /// All rows of a query.
    pub(super) fn rows<T>(
        &self,
        sql: &str,
        parameters: impl rusqlite::Params,
        each: impl FnMut(&rusqlite::Row<'_>) -> rusqlite::Result<T>,
    ) -> Result<Vec<T>> {
        self.conn
            .prepare_cached(sql)
            .and_then(|mut statement| statement.query_map(parameters, each)?.collect())
            .map_err(|error| self.explain(error))
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        self.rollback();
        if self.run.is_some() {
            // Where that fails too, the next run does it.
            let _ = self
                .begin()
                .and_then(|()| self.note_stopped_run())
                .and_then(|()| {
                    self.execute(
                        "UPDATE snapshots SET state = 'interrupted', ended = ?1 WHERE state = 'running'",
                        [self.end()?],
                    )
                })
                .and_then(|_| self.commit());
            self.rollback();
        }
    }
}

/// Now, as archives write it: RFC 3339 in UTC, to the second.
pub fn now() -> String {
    jiff::Timestamp::now().strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}

/// Makes an empty archive. It gets its name when it is whole, so a killed import leaves either none or one that can be
/// read. The caller holds the lock.
fn make(path: &Path) -> Result<()> {
    let unnamed = connect::beside(path, ".new");
    let remove = || {
        for suffix in ["", "-wal", "-shm", "-journal"] {
            let _ = std::fs::remove_file(connect::beside(&unnamed, suffix));
        }
    };
    // Those of a run that was killed at this point.
    remove();
    let made = connect::open_writer(&unnamed).and_then(|conn| {
        let mut writer = Writer::on(conn, unnamed.clone(), None);
        writer.prepare(true)?;
        writer.close()
    });
    let named = made.and_then(|_| {
        let directory = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
        std::fs::rename(&unnamed, path)
            .and_then(|()| std::fs::File::open(directory)?.sync_all())
            .map_err(|error| Error::io(format!("cannot make archive {}", path.display()), error))
    });
    if named.is_err() {
        remove();
    }
    named
}

/// The path with links resolved, so that two names of one archive share one lock.
fn real_path(path: &Path) -> Result<PathBuf> {
    match std::fs::canonicalize(path) {
        Ok(path) => Ok(path),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
            let parent = std::fs::canonicalize(parent).map_err(|error| {
                Error::io(format!("cannot make archive {}", path.display()), error).hint("make its directory first")
            })?;
            let name = path
                .file_name()
                .ok_or_else(|| Error::new(Fault::Usage, format!("{} is no file name", path.display())))?;
            Ok(parent.join(name))
        }
        Err(error) => Err(Error::io(format!("cannot open archive {}", path.display()), error)),
    }
}
