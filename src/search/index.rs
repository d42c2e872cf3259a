//! The index of an archive: which words stand in which object, in a SQLite file of its own beside the archive.
//!
//! The archive stays one file without virtual tables, which 1.x and every other program can open; the index can be deleted
//! at any time, and is made again where it is missing, damaged or of another archive. `heads` holds the short fields with
//! the places of their words; `bodies` only which words a text has, so that the index stays small: phrases are looked up in
//! the text itself.

use super::phrase::{Field, Phrase};
use super::seal;
use super::text::Words;
use crate::error::{Error, ErrorKind, Result};
use crate::model::{Digest, Id};
use rusqlite::config::DbConfig;
use rusqlite::{Connection, ErrorCode, MAIN_DB, OptionalExtension, params};
use std::cell::Cell;
use std::env;
use std::fs::{self, OpenOptions};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, lchown};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// The name of the index is that of the archive with this behind it.
const SUFFIX: &str = ".search";

/// Numbers of documents that are no messages begin behind this one: a message's is that of its row.
pub(super) const ITEMS: i64 = 1 << 40;

/// The row of a message, if that is what a document is.
pub(super) fn message_of(document: i64) -> Option<Id> {
    (document < ITEMS).then_some(document)
}

/// The number in `version` grows with every change of the tables, of what is a word, and of what is read of an object: an
/// index with other tables than these is made anew.
const TABLES: &str = "
CREATE TABLE version (number INTEGER CHECK (number = 3));
CREATE TABLE state (name TEXT PRIMARY KEY, value) WITHOUT ROWID;
CREATE TABLE marks (email INTEGER PRIMARY KEY, digest BLOB NOT NULL);
CREATE TABLE items (document INTEGER PRIMARY KEY, kind TEXT NOT NULL, id INTEGER NOT NULL, first INTEGER NOT NULL, UNIQUE (kind, id, first));
CREATE VIRTUAL TABLE heads USING fts5 (sender, recipient, subject, attachment, given_name, content='', contentless_delete=1, tokenize='ascii');
CREATE VIRTUAL TABLE bodies USING fts5 (body, content='', contentless_delete=1, detail=none, tokenize='ascii');
INSERT INTO heads (heads, rank) VALUES ('hashsize', 4194304);
INSERT INTO bodies (bodies, rank) VALUES ('hashsize', 12582912);
";

/// How long a search waits for another program that writes the index.
const PATIENCE: Duration = Duration::from_secs(20);

/// Where an index is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    /// Beside the archive, or in the user's cache where that folder cannot be written.
    Kept,
    /// In a file without a name, for one search.
    Temporary,
}

/// An open index.
pub struct Index {
    pub(super) conn: Connection,
    path: Option<PathBuf>,
    /// SQLite found it damaged. Damage of the archive is no reason to make the index anew.
    is_damaged: Cell<bool>,
}

impl Index {
    /// Opens the index of an archive, or makes an empty one.
    pub fn open(archive: &Path, place: &Place) -> Result<Index> {
        if *place == Place::Temporary {
            return Index::temporary();
        }
        let mut failure = None;
        for path in [beside(archive), in_cache(archive)].into_iter().flatten() {
            match open_at(&path) {
                Ok(conn) => {
                    give_owner(archive, &path);
                    return Ok(Index { conn, path: Some(path), is_damaged: Cell::new(false) });
                }
                Err(error) if error.kind == ErrorKind::Locked => return Err(error),
                Err(error) => failure = Some(error),
            }
        }
        // An index that cannot be kept is no reason not to search.
        Index::temporary().map_err(|error| failure.unwrap_or(error))
    }

    fn temporary() -> Result<Index> {
        let conn = Connection::open("").map_err(|error| explain(None, error))?;
        prepare(&conn).and_then(|()| conn.execute_batch(TABLES)).map_err(|error| explain(None, error))?;
        Ok(Index { conn, path: None, is_damaged: Cell::new(false) })
    }

    /// True if an index is kept for an archive.
    pub fn is_kept(archive: &Path) -> bool {
        [beside(archive), in_cache(archive)].into_iter().flatten().any(|path| path.is_file())
    }

    /// Deletes the file of the index.
    pub(super) fn delete(self) {
        if let Some(path) = &self.path {
            let _ = fs::remove_file(path);
        }
    }

    /// The file of the index; `None` for one that is not kept.
    pub fn path(&self) -> Option<&Path> {
        self.path.as_deref()
    }

    /// Begins anew with an empty index.
    pub fn start_over(&mut self) -> Result<()> {
        self.is_damaged.set(false);
        match self.path.clone() {
            None => *self = Index::temporary()?,
            Some(path) => {
                // In place where that can be: other searches may have the file open.
                if self.empty().is_err() {
                    let _ = fs::remove_file(&path);
                    self.conn = open_at(&path)?;
                }
            }
        }
        Ok(())
    }

    /// Takes everything out.
    fn empty(&self) -> Result<()> {
        self.begin()?;
        for sql in [
            "DELETE FROM state",
            "DELETE FROM marks",
            "DELETE FROM items",
            "INSERT INTO heads (heads) VALUES ('delete-all')",
            "INSERT INTO bodies (bodies) VALUES ('delete-all')",
        ] {
            self.run(sql, [])?;
        }
        self.commit()
    }

    /// True if it has to be made anew.
    pub fn is_damaged(&self) -> bool {
        self.is_damaged.get()
    }

    pub(super) fn explain(&self, error: rusqlite::Error) -> Error {
        self.is_damaged.set(self.is_damaged.get() || is_unusable(&error));
        explain(self.path.as_deref(), error)
    }

    pub(super) fn begin(&self) -> Result<()> {
        // After an error there may be one.
        if !self.conn.is_autocommit() {
            let _ = self.conn.execute_batch("ROLLBACK");
        }
        let begun = self.conn.execute_batch("BEGIN IMMEDIATE").and_then(|()| seal::open(&self.conn));
        begun.map_err(|error| self.explain(error))
    }

    pub(super) fn commit(&self) -> Result<()> {
        self.conn.execute_batch("COMMIT").map_err(|error| self.explain(error))
    }

    /// Seals the file of an index that is up to date. Without a seal it is only guarded less.
    pub(super) fn seal(&self) {
        if let Some(path) = &self.path {
            let _ = self.conn.busy_timeout(Duration::ZERO);
            let is_sealed = seal::seal(&self.conn, path);
            if is_sealed.is_err() && !self.conn.is_autocommit() {
                let _ = self.conn.execute_batch("ROLLBACK");
            }
            let _ = self.conn.busy_timeout(PATIENCE);
        }
    }

    /// A value that was noted, if there is one.
    pub(super) fn noted(&self, name: &str) -> Result<Option<String>> {
        self.conn
            .prepare_cached("SELECT value FROM state WHERE name = ?1")
            .and_then(|mut statement| statement.query_row([name], |row| row.get(0)).optional())
            .map_err(|error| self.explain(error))
    }

    pub(super) fn note(&self, name: &str, value: &str) -> Result<()> {
        self.run("INSERT OR REPLACE INTO state (name, value) VALUES (?1, ?2)", params![name, value])
    }

    pub(super) fn run(&self, sql: &str, parameters: impl rusqlite::Params) -> Result<()> {
        self.conn
            .prepare_cached(sql)
            .and_then(|mut statement| statement.execute(parameters))
            .map(drop)
            .map_err(|error| self.explain(error))
    }

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

    /// Adds a document.
    pub(super) fn add(&self, document: i64, words: &Words) -> Result<()> {
        self.run(
            "INSERT OR REPLACE INTO heads (rowid, sender, recipient, subject, attachment, given_name)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
            params![document, words.from, words.to, words.subject, words.attachment, words.given_name],
        )?;
        self.run("INSERT OR REPLACE INTO bodies (rowid, body) VALUES (?1, ?2)", params![document, words.body])
    }

    /// Takes a document out.
    pub(super) fn remove(&self, document: i64) -> Result<()> {
        self.run("DELETE FROM heads WHERE rowid = ?1", [document])?;
        self.run("DELETE FROM bodies WHERE rowid = ?1", [document])?;
        self.run("DELETE FROM items WHERE document = ?1", [document])?;
        self.run("DELETE FROM marks WHERE email = ?1", [document])
    }

    /// Leaves no word in the file of documents that were taken out.
    pub(super) fn shrink(&self) -> Result<()> {
        let sql =
            "INSERT INTO heads (heads) VALUES ('optimize'); INSERT INTO bodies (bodies) VALUES ('optimize'); VACUUM";
        self.conn.execute_batch(sql).map_err(|error| self.explain(error))
    }

    /// The documents that hold a phrase in a field, or in any of them, in order; `prove` is asked of those in whose
    /// bodies all words of the phrase stand, but perhaps not in a row.
    pub(super) fn matching(
        &self,
        field: Option<Field>,
        phrase: &Phrase,
        mut prove: impl FnMut(i64) -> Result<bool>,
    ) -> Result<Vec<i64>> {
        let mut documents = Vec::new();
        let columns = field.map_or(Some(ANYWHERE), columns_of);
        if let Some(columns) = columns {
            let star = if phrase.is_prefix { " *" } else { "" };
            let query = format!("{columns} : \"{}\"{star}", phrase.words.join(" "));
            documents = self.ask("SELECT rowid FROM heads WHERE heads MATCH ?1", &query)?;
        }
        if field.is_none_or(|field| field == Field::Body) {
            let last = phrase.words.len() - 1;
            let star = |at: usize| if phrase.is_prefix && at == last { " *" } else { "" };
            let words: Vec<String> =
                phrase.words.iter().enumerate().map(|(at, word)| format!("\"{word}\"{}", star(at))).collect();
            let found = self.ask("SELECT rowid FROM bodies WHERE bodies MATCH ?1", &words.join(" AND "))?;
            let mut more = Vec::new();
            for document in found {
                let is_known = documents.binary_search(&document).is_ok();
                if !is_known && (words.len() == 1 || prove(document)?) {
                    more.push(document);
                }
            }
            documents.extend(more);
            documents.sort_unstable();
        }
        Ok(documents)
    }

    fn ask(&self, sql: &str, query: &str) -> Result<Vec<i64>> {
        self.rows(sql, [query], |row| row.get(0))
    }

    /// Notes what the message of a row is, to know later that the index is one of this archive.
    pub(super) fn mark(&self, email: Id, digest: &Digest) -> Result<()> {
        self.run("INSERT OR REPLACE INTO marks (email, digest) VALUES (?1, ?2)", params![email, &digest.0[..8]])
    }
}

/// The columns of `heads` for words of no field.
const ANYWHERE: &str = "{sender recipient subject attachment}";

/// The columns of `heads`, as FTS5 names them; `None` for the body.
fn columns_of(field: Field) -> Option<&'static str> {
    match field {
        Field::From => Some("sender"),
        Field::To => Some("recipient"),
        Field::Subject => Some("subject"),
        Field::Attachment => Some("{attachment given_name}"),
        Field::Body => None,
    }
}

/// Gives an index that the administrator made to whom the archive belongs.
fn give_owner(archive: &Path, index: &Path) {
    let folder = archive.parent();
    if let (Ok(archive), Ok(own)) = (fs::metadata(archive), fs::symlink_metadata(index))
        && index.parent() == folder
        && (archive.uid(), archive.gid()) != (own.uid(), own.gid())
    {
        let _ = lchown(index, Some(archive.uid()), Some(archive.gid()));
    }
}

/// The index that is kept beside an archive.
fn beside(archive: &Path) -> Option<PathBuf> {
    let mut name = archive.file_name()?.to_owned();
    name.push(SUFFIX);
    Some(archive.with_file_name(name))
}

/// The place of an index in the user's cache (XDG Base Directory Specification).
fn in_cache(archive: &Path) -> Option<PathBuf> {
    let home = || env::var_os("HOME").map(|home| Path::new(&home).join(".cache"));
    let cache = env::var_os("XDG_CACHE_HOME").map(PathBuf::from).filter(|path| path.is_absolute()).or_else(home)?;
    let name = blake3::hash(archive.as_os_str().as_bytes()).to_hex();
    Some(cache.join("vandelay").join(format!("{}{SUFFIX}", &name[..32])))
}

/// Opens or makes an index. One that is damaged, of another version or no index at all gives way to a new one.
fn open_at(path: &Path) -> Result<Connection> {
    match try_open(path) {
        Ok(conn) => Ok(conn),
        Err(error) if is_unusable(&error) => {
            fs::remove_file(path)
                .map_err(|error| Error::io(format!("cannot remove the damaged index {}", path.display()), error))?;
            try_open(path).map_err(|error| explain(Some(path), error))
        }
        Err(error) => Err(explain(Some(path), error)),
    }
}

fn try_open(path: &Path) -> rusqlite::Result<Connection> {
    // The words of somebody's mail are for nobody else.
    if let Some(folder) = path.parent().filter(|folder| folder.ends_with("vandelay")) {
        let _ = fs::create_dir_all(folder);
    }
    let _ = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path);
    let is_regular = fs::symlink_metadata(path).is_ok_and(|file| file.is_file());
    if !is_regular {
        return Err(rusqlite::Error::InvalidPath(path.to_owned()));
    }
    if seal::is_broken(path).unwrap_or(false) {
        return Err(rusqlite::Error::InvalidQuery);
    }
    let conn = Connection::open(path)?;
    // SQLite opens what it may not write for reading only.
    if conn.is_readonly(MAIN_DB)? {
        return Err(rusqlite::Error::InvalidPath(path.to_owned()));
    }
    prepare(&conn)?;
    let tables = |conn: &Connection| -> rusqlite::Result<Vec<(String, Option<String>)>> {
        let mut statement = conn.prepare("SELECT name, sql FROM sqlite_schema ORDER BY name")?;
        statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?.collect()
    };
    conn.execute_batch("BEGIN IMMEDIATE")?;
    let found = tables(&conn)?;
    if found.is_empty() {
        conn.execute_batch(TABLES)?;
    } else {
        let own = Connection::open_in_memory()?;
        own.execute_batch(TABLES)?;
        if found != tables(&own)? {
            return Err(rusqlite::Error::InvalidQuery);
        }
    }
    conn.execute_batch("COMMIT")?;
    Ok(conn)
}

fn prepare(conn: &Connection) -> rusqlite::Result<()> {
    conn.set_db_config(DbConfig::SQLITE_DBCONFIG_DEFENSIVE, true)?;
    conn.set_db_config(DbConfig::SQLITE_DBCONFIG_TRUSTED_SCHEMA, false)?;
    conn.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_TRIGGER, false)?;
    conn.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_VIEW, false)?;
    conn.busy_timeout(PATIENCE)?;
    conn.pragma_update(None, "cell_size_check", true)?;
    conn.pragma_update(None, "mmap_size", 0)?;
    conn.pragma_update(None, "cache_size", -8_000)?;
    // It can be made again: a power cut may cost it.
    conn.pragma_update(None, "synchronous", "OFF")?;
    conn.pragma_update(None, "temp_store", "FILE")?;
    Ok(())
}

/// True for an index that has to be made anew.
pub(super) fn is_unusable(error: &rusqlite::Error) -> bool {
    match error {
        rusqlite::Error::SqliteFailure(failure, _) => {
            matches!(
                failure.code,
                ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase | ErrorCode::ReadOnly | ErrorCode::Unknown
            )
        }
        rusqlite::Error::InvalidQuery | rusqlite::Error::InvalidColumnType(..) => true,
        _ => false,
    }
}

fn explain(path: Option<&Path>, error: rusqlite::Error) -> Error {
    let name = path.map_or_else(|| "the temporary index".to_owned(), |path| format!("index {}", path.display()));
    if is_unusable(&error) {
        return Error::new(ErrorKind::Damaged, format!("{name} is damaged: {error}"));
    }
    match error.sqlite_error_code() {
        Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => {
            Error::new(ErrorKind::Locked, format!("{name} is being written by another program"))
                .hint("try again, or search without it: --no-index")
        }
        Some(ErrorCode::DiskFull) => Error::new(ErrorKind::Storage, format!("{name}: no space left on the device"))
            .hint("make room, or search without it: --no-index"),
        _ => Error::new(ErrorKind::Storage, format!("{name}: {error}"))
            .hint("it can be deleted, and is made again by the next search"),
    }
}
