//! Any number of readers of an archive, while a writer may be at work.
//!
//! A [`Reader`] lends read-only connections to all threads that ask. It answers for a [`Moment`]: a snapshot,
//! which never changes, or the current state where the archive has no history (1.x).

use super::connect::{FileStamp, ReadConnection, Watch, check_header, check_schema, open_reader};
use super::file::{self, ArchiveFile};
use super::moment::Moment;
use super::pool::{Pool, Pooled};
use super::query;
use super::schema::{APPLICATION_ID, FORMAT_VERSION};
use super::sql_error::explain;
use super::v1;
use super::verified_blobs::VerifiedBlobs;
use crate::error::{Error, ErrorKind, Result};
use parking_lot::RwLock;
use rusqlite::{Connection, OptionalExtension};
use std::cell::RefCell;
use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// How often a read is repeated when a writer comes in between.
pub(super) const TRIES: usize = 50;

/// Which tables and columns an archive has. A writer may give an archive of 1.x a history while it is being read.
#[derive(Debug, Default)]
pub(super) struct Shape {
    pub(super) columns: HashMap<&'static str, Vec<String>>,
    pub(super) has_history: bool,
    has_index: bool,
    has_digests: bool,
}

impl Shape {
    /// True if 1.x has written since our last run, and digests tell what it changed.
    pub(super) fn is_after_1x(&self) -> bool {
        self.has_digests && !self.has_index
    }
}

/// An archive opened for reading.
pub struct Reader {
    pub(super) path: PathBuf,
    shape: RwLock<Arc<Shape>>,
    watch: Watch,
    identity: FileStamp,
    pool: Pool,
    pub(super) proofs: VerifiedBlobs,
    pub(super) file: Arc<ArchiveFile>,
}

impl Reader {
    /// Opens an archive; makes no file and changes none.
    pub fn open(path: &Path) -> Result<Reader> {
        let file = file::open_named(path)?;
        check_header(path, &file)?;
        let path = std::fs::canonicalize(path)
            .map_err(|error| Error::io(format!("cannot open archive {}", path.display()), error))?;
        let (watch, identity) = Watch::on(&path, Arc::clone(&file))
            .and_then(|watch| watch.look().map(|identity| (watch, identity)))
            .map_err(|error| Error::io(format!("cannot open archive {}", path.display()), error))?;
        let reader = Reader {
            path,
            shape: RwLock::default(),
            watch,
            identity,
            pool: Pool::default(),
            proofs: VerifiedBlobs::default(),
            file,
        };
        reader.look_again()?;
        Ok(reader)
    }

    /// Reads again what the tables look like.
    ///
    /// Errors: those of [`Reader::open`].
    pub fn look_again(&self) -> Result<()> {
        let pooled = self.checkout()?;
        let shape = self.look_at(&pooled);
        self.pool.give_back(pooled);
        *self.shape.write() = Arc::new(shape?);
        Ok(())
    }

    fn look_at(&self, pooled: &Pooled) -> Result<Shape> {
        pooled.conn.restart_budget();
        let conn = &pooled.conn.conn;
        let explain = |error| explain(&self.path, error);
        let columns = check_schema(conn, &self.path)?;
        let application: i32 = conn.query_row("PRAGMA application_id", [], |row| row.get(0)).map_err(explain)?;
        let version: i32 = conn.query_row("PRAGMA user_version", [], |row| row.get(0)).map_err(explain)?;
        let has = |name: &str| -> Result<bool> {
            conn.query_row("SELECT EXISTS (SELECT 1 FROM sqlite_schema WHERE name = ?1)", [name], |row| row.get(0))
                .map_err(explain)
        };
        let is_after_1x = v1::has_written(conn).map_err(explain)?;
        let has_digests = has("row_digests")?;
        if version > FORMAT_VERSION {
            return Err(Error::new(
                ErrorKind::Usage,
                format!("archive {} was made by a newer version of vandelay (format {version})", self.path.display()),
            )
            .hint("use the newer program; the file was not changed"));
        }
        let has_history = application == APPLICATION_ID && version > 0;
        let has_digests = has_history && has_digests;
        Ok(Shape { columns, has_history, has_index: has_history && !is_after_1x, has_digests })
    }

    pub(super) fn shape(&self) -> Arc<Shape> {
        Arc::clone(&self.shape.read())
    }

    /// What the files of the archive look like now; it differs from an earlier answer if a program has written to it.
    /// `None` if another file is at its path, or none.
    pub fn trace(&self) -> Option<FileStamp> {
        FileStamp::take(&self.path).ok().filter(|now| now.same_file(&self.identity))
    }

    /// The path of the archive, links resolved.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// True where the archive keeps snapshots; false for one of 1.x.
    pub fn has_history(&self) -> bool {
        self.shape().has_history
    }

    /// True if `email_index` can be believed; else [`Reader::each_record`] over emails is the way.
    pub fn has_index(&self) -> bool {
        self.shape().has_index
    }

    /// True if the rows have digests; archives of format 1 have none.
    pub(super) fn has_digests(&self) -> bool {
        self.shape().has_digests
    }

    // --- connections ---------------------------------------------------------------------------------------------

    /// Runs `work` on a connection that shows one committed state of the archive, and the newest.
    ///
    /// One look at the files is enough, and it comes last: an answer counts if they still are those that the connection was
    /// opened on.
    pub(super) fn with<T>(&self, work: impl Fn(&Connection) -> rusqlite::Result<T>) -> Result<T> {
        self.with_at(Moment::Current, work)
    }

    /// As [`Reader::with`], for questions about a moment.
    ///
    /// Errors: [`ErrorKind::Forgotten`] if its snapshot is not there any more; no answer is one of less than all.
    pub(super) fn with_at<T>(&self, moment: Moment, work: impl Fn(&Connection) -> rusqlite::Result<T>) -> Result<T> {
        for attempt in 0..TRIES {
            let pooled = self.pool.take(|| self.connect())?;
            pooled.conn.restart_budget();
            let result = pooled.at(moment, &work);
            if self.is_current(&pooled.fingerprint) {
                self.pool.give_back(pooled);
                return result.map_err(|error| explain(&self.path, error));
            }
            self.pool.close(pooled);
            self.let_go_of_stale();
            std::thread::sleep(std::time::Duration::from_millis(attempt as u64));
        }
        Err(self.restless())
    }

    /// Gives an error its true reason: what looks like damage, or like a gap, may only be that the snapshot of this
    /// moment was forgotten.
    pub fn or_forgotten(&self, moment: Moment, error: Error) -> Error {
        if error.kind == ErrorKind::Forgotten {
            return error;
        }
        self.require(moment).err().filter(|reason| reason.kind == ErrorKind::Forgotten).unwrap_or(error)
    }

    /// Errors with [`ErrorKind::Forgotten`] if the snapshot of a moment is not there any more.
    pub fn require(&self, moment: Moment) -> Result<()> {
        self.with_at(moment, |_| Ok(()))
    }

    /// Runs `work` on one state of the archive, however long it takes: in a transaction where there is a log, else on
    /// the file as it is. `None` if a program changed the file meanwhile.
    pub(super) fn pinned<T>(&self, work: impl FnOnce(&ReadConnection) -> Result<T>) -> Result<Option<T>> {
        // Not one of the pool, which other threads wait for.
        let pooled = self.connect()?;
        pooled.conn.restart_budget();
        let explain = |error| explain(&self.path, error);
        let transaction = pooled.conn.conn.unchecked_transaction().map_err(explain)?;
        // A transaction sees what there was at its first read.
        transaction.query_row("SELECT count(*) FROM sqlite_schema", [], |_| Ok(())).map_err(explain)?;
        let result = work(&pooled.conn);
        transaction.finish().map_err(explain)?;
        let is_one_state = !pooled.conn.is_immutable || self.is_current(&pooled.fingerprint);
        if is_one_state { result.map(Some) } else { Ok(None) }
    }

    /// Runs `work` once, also if a writer comes in between.
    pub(super) fn once<T>(&self, work: impl FnOnce(&Connection) -> rusqlite::Result<T>) -> rusqlite::Result<T> {
        let pooled = self.checkout().map_err(|error| rusqlite::Error::ToSqlConversionFailure(Box::new(error)))?;
        pooled.conn.restart_budget();
        let result = work(&pooled.conn.conn);
        self.pool.give_back(pooled);
        result
    }

    pub(super) fn restless(&self) -> Error {
        Error::new(ErrorKind::Locked, format!("archive {} is being written too often to be read", self.path.display()))
            .hint("try again after the import")
    }

    /// True if a connection opened at `then` shows what the files hold now, or if the archive is not at its path any
    /// more: then no program writes to it.
    pub(super) fn is_current(&self, then: &FileStamp) -> bool {
        self.watch.look().map_or(true, |now| now.holds(then)) || self.trace().is_none()
    }

    fn let_go_of_stale(&self) {
        self.pool.retain(|pooled| self.is_current(&pooled.fingerprint));
    }

    /// A connection that shows what the files hold now; it is given back to the pool.
    fn checkout(&self) -> Result<Pooled> {
        self.let_go_of_stale();
        self.pool.take(|| self.connect())
    }

    /// True if no program writes to the archive, so that a value may stay open.
    pub(super) fn is_quiet(&self) -> bool {
        self.pool.any(|pooled| pooled.conn.is_immutable && self.is_current(&pooled.fingerprint))
    }

    /// A new connection, which its owner may keep.
    ///
    /// Errors: [`ErrorKind::Storage`] if another file is at the archive's path, or none.
    pub(super) fn connect(&self) -> Result<Pooled> {
        self.connect_with(open_reader)
    }

    fn connect_with(
        &self,
        open: impl FnOnce(&Path, &Arc<ArchiveFile>, &FileStamp) -> Result<ReadConnection>,
    ) -> Result<Pooled> {
        let replaced = || {
            let what = format!("archive {} was removed or replaced while it was in use", self.path.display());
            Error::new(ErrorKind::Storage, what).hint("open it again")
        };
        let fingerprint = self.trace().ok_or_else(replaced)?;
        self.refuse_log_elsewhere(&fingerprint)?;
        let conn = open(&self.path, &self.file, &fingerprint)?;
        // SQLite opens a log with the first question only, by its name. If that fails, the next question fails and says why.
        if !conn.is_immutable {
            let _ = conn.conn.query_row("PRAGMA schema_version", [], |_| Ok(()));
        }
        // The file that was opened is the archive if the archive stood at its path before and stands there now.
        self.trace().ok_or_else(replaced)?;
        Ok(Pooled { conn, fingerprint, seen: RefCell::default() })
    }

    /// Errors while a program writes to the file under another of its names: the log stands beside that one, and without it
    /// the file shows half of what the program wrote.
    fn refuse_log_elsewhere(&self, fingerprint: &FileStamp) -> Result<()> {
        if !fingerprint.has_no_log() || !self.file.has_other_names(&self.path) {
            return Ok(());
        }
        if let Some(name) = self.file.log_elsewhere(&self.path).filter(|_| !self.file.is_locked()) {
            return Err(file::log_is_elsewhere(&self.path, &name));
        }
        // A writer that has just taken the lock has no log yet.
        for _ in 0..20 {
            if !self.file.is_locked() || FileStamp::take(&self.path).is_ok_and(|now| !now.has_no_log()) {
                return Ok(());
            }
            std::thread::sleep(std::time::Duration::from_millis(10));
        }
        let what = format!("archive {} is being written under another name of the same file", self.path.display());
        Err(Error::new(ErrorKind::Locked, what).hint("wait until that has finished, or open it under that name"))
    }

    // --- the account ---------------------------------------------------------------------------------------------

    /// The name of the account, from its source: what a person would call it.
    pub fn account(&self) -> Result<String> {
        let name = self.with(|conn| {
            conn.query_row("SELECT coalesce(nullif(account_name, ''), nullif(username, ''), account_id) FROM sources ORDER BY id LIMIT 1", [], |row| row.get::<_, String>(0))
                .optional()
        })?;
        Ok(name.filter(|name| !name.is_empty()).unwrap_or_else(|| {
            self.path
                .file_stem()
                .map(|stem| stem.to_string_lossy().into_owned())
                .unwrap_or_else(|| "archive".to_owned())
        }))
    }

    /// The scopes of the sources of this kind at this URL for this user: account, key and cursor of each.
    pub fn scopes_of(&self, kind: &str, session_url: &str, user: &str) -> Result<Vec<(String, String, String)>> {
        self.with(|conn| {
            let sql = "SELECT s.account_id, p.key, p.cursor FROM scopes p JOIN sources s ON s.id = p.source_id
                       WHERE s.kind = ?1 AND s.session_url = ?2 AND s.username = ?3 AND p.key <> '' ORDER BY p.id";
            query::rows(conn, sql, [kind, session_url, user], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))
        })
    }

    /// What identifies each source of the account: kind, URL and id of the account.
    pub(super) fn source_keys(&self) -> Result<Vec<(String, String, String)>> {
        self.with(|conn| {
            let sql = "SELECT kind, session_url, account_id FROM sources ORDER BY id";
            query::rows(conn, sql, [], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))
        })
    }

    /// The sources of the account: kind, URL and account.
    pub fn sources(&self) -> Result<Vec<(String, String, String)>> {
        self.with(|conn| {
            let sql = "SELECT CASE session_url WHEN 'files:' THEN 'files' ELSE kind END, session_url, coalesce(account_name, account_id)
                       FROM sources ORDER BY id";
            query::rows(conn, sql, [], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::archive::Writer;

    /// Another file takes the archive's place just when a connection is opened.
    #[test]
    fn what_is_opened_is_the_archive() {
        let dir = tempfile::tempdir().expect("a directory");
        let [path, other] = ["a.sqlite", "b.sqlite"].map(|name| dir.path().join(name));
        for path in [&path, &other] {
            Writer::open(path, "test").and_then(Writer::close).expect("an archive");
        }
        let reader = Reader::open(&path).expect("a reader");
        assert!(reader.connect().is_ok());
        let swapped = reader.connect_with(|path, file, fingerprint| {
            std::fs::rename(&other, path).expect("another file");
            open_reader(path, file, fingerprint)
        });
        assert!(swapped.is_err(), "it would show the other one");
        // The connections that it has go on answering, also if several threads want them.
        std::thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| (0..20).for_each(|_| drop(reader.sources().expect("an answer"))));
            }
        });
        assert!(reader.connect().is_err());
    }
}
