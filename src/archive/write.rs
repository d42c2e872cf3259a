//! The one writer of an archive: runs, batches, and rows that never change without their old state being kept.
//!
//! Content tables hold the current state. Whoever changes or removes a row through [`Writer`] leaves its former self
//! in `history`, so that every snapshot can be read for ever (FORMAT.md, "History").

use super::blob::{self, NewBlob, PutError};
use super::connect::{self, check_header, check_schema, explain};
use super::index;
use super::ledger::Known;
use super::lock::Lock;
use super::schema::{APPLICATION_ID, CONTENT_DDL, FOREIGN_MARK, FORMAT_VERSION, OWN_DDL, Table};
use crate::error::{Error, Kind as Fault, Result};
use crate::model::{Digest, Id, Kind, SourceIdent};
use rusqlite::config::DbConfig;
use rusqlite::types::Value;
use rusqlite::{Connection, ErrorCode, OptionalExtension, params};
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::{Path, PathBuf};

/// A batch is committed when it holds this many items. With what was read ahead for the next one
/// (`sync::pipeline`) that is at most 256: what a killed run has to read again.
const BATCH_ITEMS: u64 = 192;
/// … or this many bytes, of the 64 MiB that may have to be read again.
const BATCH_BYTES: u64 = 40 << 20;

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

/// Column values of a content row, by name.
pub type Fields<'a> = &'a [(&'static str, Value)];

/// An archive opened for writing. Dropping it without [`Writer::finish`] leaves the run interrupted.
pub struct Writer {
    pub(super) conn: Connection,
    path: PathBuf,
    run: Option<i64>,
    source: i64,
    next_ids: HashMap<Kind, Id>,
    changes: BTreeMap<Kind, Changes>,
    pub(super) touched_mailboxes: BTreeSet<Id>,
    batch_items: u64,
    batch_bytes: u64,
    in_batch: bool,
    /// `None` for a file that nobody else knows of yet.
    _lock: Option<Lock>,
}

impl Writer {
    /// Opens the archive, making it where there is none, and takes its lock. `doing` is shown to others meanwhile.
    ///
    /// An archive of 1.x gets our tables beside its own; one that 1.x has written to since is brought up to date.
    pub fn open(path: &Path, doing: &str) -> Result<Writer> {
        let path = real_path(path)?;
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
        Writer {
            conn,
            path,
            run: None,
            source: 0,
            next_ids: HashMap::new(),
            changes: BTreeMap::new(),
            touched_mailboxes: BTreeSet::new(),
            batch_items: 0,
            batch_bytes: 0,
            in_batch: false,
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
        // FULL: a batch that was reported as committed survives a power cut. Checkpoints are ours to time.
        for (name, value) in
            [("synchronous", 2), ("foreign_keys", 1), ("wal_autocheckpoint", 0), ("cache_size", -32_000)]
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
        self.execute(
            "UPDATE snapshots SET state = 'interrupted', ended = coalesce(ended, ?1) WHERE state = 'running'",
            params![now],
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
        let other: Option<String> = self
            .conn
            .query_row(
                "SELECT session_url FROM sources WHERE kind = ?1 AND (session_url, account_id) <> (?2, ?3) LIMIT 1",
                params![ident.kind, ident.session_url, ident.account_id],
                |row| row.get(0),
            )
            .optional()
            .map_err(|error| self.explain(error))?;
        match other {
            Some(other) if !allow_change => Err(Error::new(
                Fault::SourceChanged,
                format!(
                    "archive {} holds another {} source, {other}, and not {}",
                    self.path.display(),
                    ident.kind,
                    ident.session_url
                ),
            )
            .hint("use another archive, or --allow-source-change to keep both in this one")),
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
                params![run, state.name(), now(), report],
            )?;
        }
        self.commit()?;
        self.run = None;
        self.close()
    }

    /// Leaves everything as the last commit had it, and folds the log into the file.
    pub fn close(mut self) -> Result<BTreeMap<Kind, Changes>> {
        self.rollback();
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

    /// Commits what was done so far.
    pub fn commit_batch(&mut self) -> Result<()> {
        self.commit()?;
        if self.batch_bytes > 0 {
            // PASSIVE never waits for readers; it copies what it can.
            self.checkpoint("PASSIVE")?;
        }
        (self.batch_items, self.batch_bytes) = (0, 0);
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

    // --- scopes and origins --------------------------------------------------------------------------------------

    /// The row of a scope of the run's source, made where it is missing.
    pub fn scope(&mut self, kind: Kind, key: &str) -> Result<i64> {
        self.execute(
            "INSERT OR IGNORE INTO scopes (source_id, kind, key) VALUES (?1, ?2, ?3)",
            params![self.source, kind.name(), key],
        )?;
        self.conn
            .prepare_cached("SELECT id FROM scopes WHERE (source_id, kind, key) = (?1, ?2, ?3)")
            .and_then(|mut statement| statement.query_row(params![self.source, kind.name(), key], |row| row.get(0)))
            .map_err(|error| self.explain(error))
    }

    /// The row of a scope of the run's source, if there is one.
    pub fn existing_scope(&self, kind: Kind, key: &str) -> Result<Option<i64>> {
        Ok(self
            .rows(
                "SELECT id FROM scopes WHERE (source_id, kind, key) = (?1, ?2, ?3)",
                params![self.source, kind.name(), key],
                |row| row.get(0),
            )?
            .pop())
    }

    /// Remembers where the next listing of the scope may go on.
    pub fn set_cursor(&mut self, scope: i64, cursor: &str) -> Result<()> {
        self.execute("UPDATE scopes SET cursor = ?2 WHERE id = ?1 AND cursor <> ?2", params![scope, cursor]).map(|_| ())
    }

    /// Forgets a scope in which nothing is known any more.
    pub fn drop_scope(&mut self, scope: i64) -> Result<()> {
        self.execute(
            "DELETE FROM scopes WHERE id = ?1 AND NOT EXISTS (SELECT 1 FROM origins WHERE scope_id = ?1)",
            [scope],
        )
        .map(|_| ())
    }

    /// One known item of a scope: its local id and `rev`.
    pub fn known(&self, scope: i64, key: &str) -> Result<Option<(Id, String)>> {
        self.conn
            .prepare_cached("SELECT local_id, rev FROM origins WHERE scope_id = ?1 AND key = ?2")
            .and_then(|mut statement| {
                statement.query_row(params![scope, key], |row| Ok((row.get(0)?, row.get(1)?))).optional()
            })
            .map_err(|error| self.explain(error))
    }

    /// Says that the item `key` of a scope is the row `local_id`.
    pub fn link(&mut self, scope: i64, known: &Known<'_>) -> Result<()> {
        self.execute(
            "INSERT INTO origins (scope_id, key, rev, keywords, parents, local_id) VALUES (?1, ?2, ?3, ?4, ?5, ?6)
             ON CONFLICT (scope_id, key) DO UPDATE SET rev = excluded.rev, keywords = excluded.keywords, parents = excluded.parents, local_id = excluded.local_id",
            params![scope, known.key, known.rev, known.keywords, known.parents, known.local_id],
        )
        .map(|_| ())
    }

    /// Forgets that the item `key` was in a scope.
    pub fn unlink(&mut self, scope: i64, key: &str) -> Result<()> {
        self.execute("DELETE FROM origins WHERE scope_id = ?1 AND key = ?2", params![scope, key]).map(|_| ())
    }

    /// True if some scope knows the row under this key.
    pub fn is_known_as(&self, id: Id, key: &str) -> Result<bool> {
        Ok(!self
            .rows("SELECT 1 FROM origins WHERE local_id = ?1 AND key = ?2 LIMIT 1", params![id, key], |_| Ok(()))?
            .is_empty())
    }

    /// All origins of a row: keywords and parents, each as JSON.
    pub fn origins_of(&self, kind: Kind, id: Id) -> Result<Vec<(String, String)>> {
        self.rows(
            "SELECT o.keywords, o.parents FROM origins o JOIN scopes s ON s.id = o.scope_id WHERE o.local_id = ?1 AND s.kind = ?2",
            params![id, kind.name()],
            |row| Ok((row.get(0)?, row.get(1)?)),
        )
    }

    // --- rows ----------------------------------------------------------------------------------------------------

    /// Stores bytes once. Gives the row of the blob, and whether it is new.
    pub fn put_blob(&mut self, blob: NewBlob) -> Result<(Id, bool)> {
        match blob::put(&self.conn, blob) {
            Ok(stored) => Ok(stored),
            Err(PutError::Archive(error)) => Err(self.explain(error)),
            Err(PutError::Input(error)) => Err(Error::io("cannot read back spooled bytes", error)),
        }
    }

    /// Adds a row and gives its id, which no row of the type ever had.
    pub fn insert(&mut self, kind: Kind, fields: Fields<'_>, blob: Option<Id>) -> Result<Id> {
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
        self.changes.entry(kind).or_default().new += 1;
        Ok(id)
    }

    /// Changes some columns of a row; its former self goes to the history. Gives false if nothing differs.
    pub fn update(&mut self, kind: Kind, id: Id, fields: Fields<'_>, blob: Option<Id>) -> Result<bool> {
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
        self.keep_old(kind, id)?;
        let sets: Vec<String> = values.iter().map(|(name, _)| format!("{name} = ?")).collect();
        self.execute(
            &format!("UPDATE {} SET {} WHERE id = ?", table.name, sets.join(", ")),
            rusqlite::params_from_iter(parameters()),
        )?;
        self.changes.entry(kind).or_default().changed += 1;
        Ok(true)
    }

    /// Removes a row from the current state; it stays in the history.
    pub fn remove(&mut self, kind: Kind, id: Id) -> Result<()> {
        self.keep_old(kind, id)?;
        self.execute("DELETE FROM originals WHERE kind = ?1 AND id = ?2", params![kind.name(), id])?;
        self.execute("DELETE FROM since WHERE kind = ?1 AND id = ?2", params![kind.name(), id])?;
        let removed = self.execute(&format!("DELETE FROM {} WHERE id = ?1", Table::of(kind).name), [id])?;
        self.changes.entry(kind).or_default().removed += removed as u64;
        Ok(())
    }

    /// Copies the row as it stands into the history, unless this run made it: nobody saw that state.
    pub(super) fn keep_old(&mut self, kind: Kind, id: Id) -> Result<()> {
        let Some(run) = self.run else { return Ok(()) };
        let table = Table::of(kind);
        let blob = if table.has_blob { "t.blob_id" } else { "NULL" };
        let sql = format!(
            "INSERT OR REPLACE INTO history (kind, id, first, last, fields, blob_id, original_id, ranges)
             SELECT ?1, t.id, coalesce(s.first, 0), ?3, {}, {blob}, o.blob_id, o.ranges
             FROM {} t LEFT JOIN since s ON s.kind = ?1 AND s.id = t.id LEFT JOIN originals o ON o.kind = ?1 AND o.id = t.id
             WHERE t.id = ?2 AND coalesce(s.first, 0) < ?3",
            table.fields_json(),
            table.name
        );
        self.execute(&sql, params![kind.name(), id, run])?;
        self.execute(
            "INSERT OR REPLACE INTO since (kind, id, first) VALUES (?1, ?2, ?3)",
            params![kind.name(), id, run],
        )
        .map(|_| ())
    }

    /// Keeps the source's own bytes of an event or a card: a blob, or ranges of one as JSON `[[start,end],…]`.
    pub fn set_original(&mut self, kind: Kind, id: Id, blob: Id, ranges: Option<&str>) -> Result<()> {
        self.execute(
            "INSERT OR REPLACE INTO originals (kind, id, blob_id, ranges) VALUES (?1, ?2, ?3, ?4)",
            params![kind.name(), id, blob, ranges],
        )
        .map(|_| ())
    }

    /// Keeps the row as it stands for the snapshots before this one, ahead of a change beside its columns.
    pub fn keep(&mut self, kind: Kind, id: Id) -> Result<()> {
        self.keep_old(kind, id)
    }

    /// A card of the current state with this uid.
    pub fn find_card(&self, uid: &str) -> Result<Option<Id>> {
        Ok(self.rows("SELECT id FROM contact_cards WHERE uid = ?1", [uid], |row| row.get(0))?.pop())
    }

    /// The digest of an object's original bytes, if the archive has them.
    pub fn original_digest(&self, kind: Kind, id: Id) -> Result<Option<Digest>> {
        let read = |row: &rusqlite::Row<'_>| Ok((row.get::<_, Id>(0)?, row.get::<_, Option<String>>(1)?));
        let found = self
            .rows("SELECT blob_id, ranges FROM originals WHERE kind = ?1 AND id = ?2", params![kind.name(), id], read)?
            .pop();
        let Some((blob, ranges)) = found else { return Ok(None) };
        let digest = || -> rusqlite::Result<Option<Digest>> {
            let Some(blob) = blob::find(&self.conn, blob)? else { return Ok(None) };
            let Some(ranges) = ranges else { return Ok(Some(blob.digest)) };
            let ranges: Vec<(u64, u64)> = serde_json::from_str(&ranges).unwrap_or_default();
            let mut bytes = Vec::new();
            for (start, end) in ranges {
                let mut part = vec![0; end.saturating_sub(start) as usize];
                let count = blob::read_at(&self.conn, &blob, start, &mut part)?;
                bytes.extend_from_slice(&part[..count]);
            }
            Ok(Some(Digest::of(&bytes)))
        };
        digest().map_err(|error| self.explain(error))
    }

    /// A container of the current state with this name under this parent.
    pub fn find_container(&self, kind: Kind, parent: Option<Id>, name: &str) -> Result<Option<Id>> {
        // Mailboxes and directories of one name are one; calendars and address books are only if no source has them yet.
        let condition = match kind {
            Kind::Mailbox | Kind::FileNode => "parent_id IS ?2",
            _ => {
                "?2 IS NULL AND NOT EXISTS (SELECT 1 FROM origins o JOIN scopes s ON s.id = o.scope_id WHERE o.local_id = t.id AND s.kind = ?3 AND s.key = '')"
            }
        };
        let sql = format!(
            "SELECT id FROM {} t WHERE name = ?1 AND {condition} AND ?3 = ?3 ORDER BY id LIMIT 1",
            Table::of(kind).name
        );
        Ok(self.rows(&sql, params![name, parent, kind.name()], |row| row.get(0))?.pop())
    }

    /// True if no mailbox but perhaps `own` has this role.
    pub fn role_is_free(&self, role: &str, own: Option<Id>) -> Result<bool> {
        Ok(self
            .rows("SELECT 1 FROM mailboxes WHERE role = ?1 AND id IS NOT ?2", params![role, own], |_| Ok(()))?
            .is_empty())
    }

    /// True if nothing lies in a container and no source knows it.
    pub fn container_is_free(&self, kind: Kind, id: Id) -> Result<bool> {
        let known = "EXISTS (SELECT 1 FROM origins o JOIN scopes s ON s.id = o.scope_id WHERE o.local_id = ?1 AND s.kind = ?2 AND s.key = '')";
        let holds = match kind {
            Kind::Mailbox => {
                "EXISTS (SELECT 1 FROM mailboxes WHERE parent_id = ?1) OR EXISTS (SELECT 1 FROM email_index WHERE mailbox_id = ?1 AND last IS NULL)"
            }
            Kind::FileNode => "EXISTS (SELECT 1 FROM file_nodes WHERE parent_id = ?1)",
            Kind::Calendar => "EXISTS (SELECT 1 FROM calendar_events, json_each(calendar_ids) WHERE value = ?1)",
            _ => "EXISTS (SELECT 1 FROM contact_cards, json_each(address_book_ids) WHERE value = ?1)",
        };
        let busy =
            self.rows(&format!("SELECT {known} OR {holds}"), params![id, kind.name()], |row| row.get::<_, bool>(0))?;
        Ok(busy == [false])
    }

    fn next_id(&mut self, kind: Kind) -> Result<Id> {
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
                        [now()],
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

fn with_blob(fields: Fields<'_>, blob: Option<Id>) -> impl Iterator<Item = (&'static str, Value)> {
    fields.iter().cloned().chain(blob.map(|id| ("blob_id", Value::Integer(id))))
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
