//! The one writer of an archive, and its runs.
//!
//! Content tables hold the current state. A [`Writer`] that changes or removes a row copies its former state into
//! `history`, so that every snapshot can be read for ever (FORMAT.md, "History").

use super::batch::Batch;
use super::checkpoint::Checkpointer;
use super::connect::check_schema;
use super::digest::{self, Digested, Totals};
use super::file::ArchiveFile;
use super::lock::Lock;
use super::schema::{APPLICATION_ID, CONTENT_DDL, FORMAT_VERSION, OWN_DDL};
use super::sql_error::explain;
use super::{index, lost_rows, query, v1};
use crate::error::{Error, ErrorKind, Result};
use crate::model::time::{epoch, now};
use crate::model::{Id, ObjectType, SourceIdent};
use rusqlite::config::DbConfig;
use rusqlite::types::FromSql;
use rusqlite::{Connection, OptionalExtension, params};
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Bytes of a page: most messages stand in one.
const PAGE_SIZE: i64 = 16_384;

/// How a run ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RunState {
    /// Everything found is stored.
    Complete,
    /// Something could not be read or stored; the rest is.
    Partial,
    /// Stopped by the user or by an error. Nothing was removed.
    Interrupted,
}

impl RunState {
    /// The value of `snapshots.state`.
    pub fn name(self) -> &'static str {
        match self {
            RunState::Complete => "complete",
            RunState::Partial => "partial",
            RunState::Interrupted => "interrupted",
        }
    }
}

/// How many objects of one type a run added, changed and removed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Serialize)]
pub struct RunChanges {
    /// Rows that were not there.
    pub new: u64,
    /// How often a row got another state.
    pub changed: u64,
    /// Rows that left the current state; the history has them.
    pub removed: u64,
}

/// An archive opened for writing. Dropping it without [`Writer::finish`] leaves the run interrupted.
pub struct Writer {
    /// Its connection goes before `conn`, so that the last one to close folds the log.
    pub(super) checkpointer: Checkpointer,
    pub(super) conn: Connection,
    path: PathBuf,
    pub(super) run: Option<i64>,
    pub(super) source: i64,
    pub(super) next_ids: HashMap<ObjectType, Id>,
    pub(super) changes: BTreeMap<ObjectType, RunChanges>,
    pub(super) touched_mailboxes: BTreeSet<Id>,
    pub(super) batch: Batch,
    /// There was no archive before.
    pub(super) is_made: bool,
    pub(super) digested: HashMap<ObjectType, Digested>,
    /// Digests and number of the former states that the open batch added.
    pub(super) totals: Totals,
    /// `None` for a file that no other program knows of yet.
    _lock: Option<Lock>,
    /// Dropped after the connections.
    pub(super) file: Arc<ArchiveFile>,
}

impl Writer {
    pub(super) fn on(conn: Connection, path: PathBuf, file: Arc<ArchiveFile>, lock: Option<Lock>) -> Writer {
        Writer {
            checkpointer: Checkpointer::new(&path, Arc::clone(&file)),
            conn,
            path,
            run: None,
            source: 0,
            next_ids: HashMap::new(),
            changes: BTreeMap::new(),
            touched_mailboxes: BTreeSet::new(),
            batch: Batch::default(),
            is_made: false,
            digested: HashMap::new(),
            totals: Totals::default(),
            _lock: lock,
            file,
        }
    }

    pub(super) fn prepare(&mut self, is_new: bool) -> Result<()> {
        // A database without any table is one whose writer was killed before it made them.
        if !is_new && self.ask::<bool>("SELECT EXISTS (SELECT 1 FROM sqlite_schema)")? {
            check_schema(&self.conn, &self.path)?;
            // The header may lag behind the log; now both are read.
            let version: i32 = self.ask("PRAGMA user_version")?;
            if version > FORMAT_VERSION {
                // Closing would fold the log into the file.
                let _ = self.conn.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true);
                return Err(Error::new(
                    ErrorKind::Usage,
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
                ErrorKind::Storage,
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
        if application != APPLICATION_ID || version == 0 {
            self.begin()?;
            self.run_sql(CONTENT_DDL)?;
            v1::add_missing_columns(&self.conn).map_err(|error| self.explain(error))?;
            self.run_sql(OWN_DDL)?;
            index::rebuild(&self.conn, 0)
                .and_then(|()| digest::digest_all(&self.conn))
                .and_then(|()| v1::unmark(&self.conn))
                .map_err(|error| self.explain(error))?;
            self.run_sql(&format!(
                "PRAGMA application_id = {APPLICATION_ID}; PRAGMA user_version = {FORMAT_VERSION};"
            ))?;
            self.commit()?;
        } else if version < FORMAT_VERSION {
            self.upgrade()?;
        }
        if self.is_after_1x()? {
            // Before anything is compared: objects that 1.x removed are forgotten, so that they are imported again.
            self.begin()?;
            v1::forget_origins(&self.conn).map_err(|error| self.explain(error))?;
            self.commit()?;
        }
        Ok(())
    }

    /// Brings an archive of format 1 up to date: tables that came later, and digests of all rows as they are.
    fn upgrade(&mut self) -> Result<()> {
        self.begin()?;
        self.run_sql(OWN_DDL)?;
        if !self.ask::<bool>("SELECT EXISTS (SELECT 1 FROM pragma_table_info('history') WHERE name = 'digest')")? {
            self.run_sql("ALTER TABLE history ADD COLUMN digest BLOB")?;
        }
        digest::digest_all(&self.conn).map_err(|error| self.explain(error))?;
        self.run_sql(&format!("PRAGMA user_version = {FORMAT_VERSION}"))?;
        self.commit()
    }

    /// True if 1.x had the archive open since our last run.
    fn is_after_1x(&self) -> Result<bool> {
        v1::has_written(&self.conn).map_err(|error| self.explain(error))
    }

    /// Starts a run: a snapshot that is `running` until [`Writer::finish`]. A run that was killed before is ended now.
    ///
    /// Errors: [`ErrorKind::SourceChanged`] if the archive holds another source of this kind and `allow_change` is false.
    pub fn begin_run(&mut self, ident: &SourceIdent, allow_change: bool) -> Result<i64> {
        self.check_source(ident, allow_change)?;
        self.begin()?;
        let now = now();
        self.end_stopped_run()?;
        v1::admit_kind(&self.conn, ident.kind).map_err(|error| self.explain(error))?;
        self.execute(
            "INSERT INTO sources (kind, session_url, account_id, account_name, username) VALUES (?1, ?2, ?3, ?4, ?5)
             ON CONFLICT (kind, session_url, account_id) DO UPDATE SET account_name = excluded.account_name, username = excluded.username
             WHERE account_name IS NOT excluded.account_name OR username IS NOT excluded.username",
            params![ident.kind, ident.session_url, ident.account_id, ident.account_name, ident.username],
        )?;
        self.source = self.source_id(ident)?.ok_or_else(|| {
            Error::new(ErrorKind::Storage, format!("archive {}: the source was not stored", self.path.display()))
        })?;
        self.digest_own("sources", self.source)?;
        let program = format!("vandelay {}", env!("CARGO_PKG_VERSION"));
        self.execute(
            "INSERT INTO snapshots (source_id, started, state, program) VALUES (?1, ?2, 'running', ?3)",
            params![self.source, now, program],
        )?;
        let run = self.conn.last_insert_rowid();
        self.digest_own("snapshots", run)?;
        self.digest_own(digest::SEQUENCE, 1)?;
        self.run = Some(run);
        if self.is_after_1x()? {
            v1::take_over(&self.conn, run)
                .and_then(|()| v1::unmark(&self.conn))
                .map_err(|error| self.explain(error))?;
        } else {
            lost_rows::settle_rows(&self.conn, run).map_err(|error| self.explain(error))?;
        }
        self.commit()?;
        self.begin()?;
        Ok(run)
    }

    /// Ends the run of a writer that died: notes what stands in the mailboxes that it touched, which it could not.
    fn end_stopped_run(&self) -> Result<()> {
        let stopped =
            self.rows("SELECT id FROM snapshots WHERE state = 'running' ORDER BY id", [], |row| row.get::<_, i64>(0))?;
        let Some(first) = stopped.first() else { return Ok(()) };
        let sql = "SELECT DISTINCT mailbox_id FROM email_index WHERE first >= ?1 OR last >= ?1";
        let touched = self.rows(sql, [first], |row| row.get(0))?.into_iter().collect();
        index::summarise(&self.conn, *first, &touched).map_err(|error| self.explain(error))?;
        for run in stopped {
            self.execute(
                "UPDATE snapshots SET state = 'interrupted', ended = coalesce(ended, ?2) WHERE id = ?1",
                params![run, self.end()?],
            )?;
            self.digest_own("snapshots", run)?;
        }
        self.digest_all_of(digest::ORIGINS)
    }

    /// Errors as [`Writer::begin_run`] does when this source may not be imported into this archive.
    pub fn check_source(&self, ident: &SourceIdent, allow_change: bool) -> Result<()> {
        // A source that was imported before needs no permission again.
        if ident.session_url == SourceIdent::LOOSE_FILES || self.source_id(ident)?.is_some() {
            return Ok(());
        }
        let other: Option<(String, String)> = self
            .conn
            .query_row(
                "SELECT session_url, account_id FROM sources
                 WHERE kind = ?1 AND (session_url, account_id) <> (?2, ?3) AND session_url <> ?4 LIMIT 1",
                params![ident.kind, ident.session_url, ident.account_id, SourceIdent::LOOSE_FILES],
                |row| Ok((row.get::<_, String>(0)?, row.get::<_, String>(1)?)),
            )
            .optional()
            .map_err(|error| self.explain(error))?;
        // A source on disk has its path as its address and as its account.
        let named = |url: &str, account: &str| match url.starts_with("file:") {
            true => account.to_owned(),
            false => format!("{url} of {account}"),
        };
        match other {
            Some((url, account)) if !allow_change => Err(Error::new(
                ErrorKind::SourceChanged,
                format!(
                    "archive {} backs up the {} source {}, not {}",
                    self.path.display(),
                    ident.kind,
                    named(&url, &account),
                    named(&ident.session_url, &ident.account_id)
                ),
            )
            .hint("check the address and the user. If the account has moved here, add --same-account; for another account use another archive; --allow-source-change imports a second copy of everything")),
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

    /// Removes an archive that this writer has made and no run was begun in. Any other is closed as it is.
    pub fn remove_if_unused(mut self) -> Result<()> {
        let is_unused = self.is_made && !self.ask::<bool>("SELECT EXISTS (SELECT 1 FROM snapshots)")?;
        if !is_unused || !self.file.is_at(&self.path) {
            return self.close().map(drop);
        }
        // SQLite removes its log with the last connection. The lock is held until the file is gone.
        self.checkpointer.close().map_err(|error| self.explain(error))?;
        let nothing = Connection::open_in_memory().map_err(|error| self.explain(error))?;
        drop(std::mem::replace(&mut self.conn, nothing));
        std::fs::remove_file(&self.path)
            .map_err(|error| Error::io(format!("cannot remove the empty archive {}", self.path.display()), error))
    }

    /// A warning if the clock is before the end of the newest snapshot.
    pub fn clock_note(&self) -> Result<Option<String>> {
        let newest = "SELECT id, ended FROM snapshots WHERE ended IS NOT NULL ORDER BY id DESC LIMIT 1";
        let newest = self.rows(newest, [], |row| Ok((row.get::<_, i64>(0)?, row.get::<_, String>(1)?)))?.pop();
        let now = now();
        Ok(newest.filter(|(_, ended)| epoch(ended) > epoch(&now)).map(|(id, ended)| {
            format!("this machine's clock says {now}, but snapshot {id} ended later, at {ended}. Check the clock; snapshots keep the order of their numbers")
        }))
    }

    /// Forgets items whose row is lost, so that the source is asked for them again; gives their number.
    pub fn forget_lost_items(&mut self) -> Result<u64> {
        self.begin()?;
        let lost = lost_rows::forget_items(&self.conn).map_err(|error| self.explain(error))?;
        if !self.is_after_1x()? {
            lost_rows::mend_index(&self.conn).map_err(|error| self.explain(error))?;
        }
        self.commit()?;
        Ok(lost)
    }

    /// Ends the run. `report` is its accounting as JSON.
    pub fn finish(mut self, state: RunState, report: &str) -> Result<BTreeMap<ObjectType, RunChanges>> {
        if let Some(run) = self.run {
            index::summarise(&self.conn, run, &self.touched_mailboxes).map_err(|error| self.explain(error))?;
            self.execute(
                "UPDATE snapshots SET state = ?2, ended = ?3, report = ?4 WHERE id = ?1",
                params![run, state.name(), self.end()?, report],
            )?;
            self.digest_own("snapshots", run)?;
            self.digest_all_of(digest::ORIGINS)?;
        }
        self.commit()?;
        if let Some(run) = self.run.take() {
            self.prove(run, state, report)?;
        }
        self.close()
    }

    /// How many objects this run added, changed and removed so far, per type.
    pub fn changes(&self) -> &BTreeMap<ObjectType, RunChanges> {
        &self.changes
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

    pub(super) fn ask<T: FromSql>(&self, sql: &str) -> Result<T> {
        self.conn.query_row(sql, [], |row| row.get(0)).map_err(|error| self.explain(error))
    }

    /// All rows of a query.
    pub(super) fn rows<T>(
        &self,
        sql: &str,
        parameters: impl rusqlite::Params,
        each: impl FnMut(&rusqlite::Row<'_>) -> rusqlite::Result<T>,
    ) -> Result<Vec<T>> {
        query::rows(&self.conn, sql, parameters, each).map_err(|error| self.explain(error))
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        self.rollback();
        if self.run.is_some() && self.can_write() {
            // Where that fails too, the next run does it.
            let _ = self.begin().and_then(|()| self.end_stopped_run()).and_then(|()| self.commit());
            self.rollback();
        }
    }
}
