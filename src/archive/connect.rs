//! Opening an archive: every file is taken as hostile, and a reader leaves no trace beside it.
//!
//! Archives are in WAL mode, as 1.x leaves them. A plain read-only connection would then create `-wal` and `-shm`
//! files, and fail where it may not. So a reader looks first ([`Mode`]): with no write-ahead log there is nothing but
//! the file, and it is opened as immutable; such a reader compares a [`FileStamp`] before and after, and asks again if a
//! writer came in between.

use super::digest;
use super::file::{self, ArchiveFile, FileId};
use super::query;
use super::schema::{APPLICATION_ID, FORMAT_VERSION, TABLES};
use super::sql_error::explain;
use crate::error::{Error, ErrorKind, Result};
use rusqlite::config::DbConfig;
use rusqlite::limits::Limit;
use rusqlite::{Connection, OpenFlags};
use rustix::fs::{AtFlags, Mode as FileMode, OFlags, open, statat};
use std::collections::HashMap;
use std::ffi::OsString;
use std::fs;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// How long a connection waits for another program that holds the archive.
pub(super) const PATIENCE: Duration = Duration::from_secs(10);

/// How a reader has to open the file, as it is at this moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Mode {
    /// No write-ahead log: the file alone is the archive.
    Quiet,
    /// A log with its index beside it: a writer is at work, or one was killed.
    Live,
    /// A log without index, on a medium where none may be made: the index is built in memory.
    Private,
}

/// What changes of the files when a program writes to the archive.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FileStamp {
    file: FileId,
    size: u64,
    modified: (i64, i64),
    /// Inode and size of the log.
    log: Option<(u64, u64)>,
    mode: Mode,
}

impl FileStamp {
    /// Looks at the archive and the files beside it.
    pub fn take(path: &Path) -> std::io::Result<FileStamp> {
        let main = fs::metadata(path)?;
        let log = fs::metadata(beside(path, "-wal")).ok().map(|log| (log.ino(), log.len()));
        let mode = match log {
            None | Some((_, 0)) => Mode::Quiet,
            Some(_) if beside(path, "-shm").exists() => Mode::Live,
            Some(_) => Mode::Private,
        };
        Ok(FileStamp {
            file: (main.dev(), main.ino()),
            size: main.len(),
            modified: (main.mtime(), main.mtime_nsec()),
            log,
            mode,
        })
    }

    /// True if the file alone is the archive.
    pub fn has_no_log(&self) -> bool {
        self.mode == Mode::Quiet
    }

    /// True if both were taken of the same file, also if a program has written to it meanwhile.
    pub fn same_file(&self, other: &FileStamp) -> bool {
        self.file == other.file
    }

    /// True if a connection opened at `other` still shows what the files hold.
    pub fn holds(&self, other: &FileStamp) -> bool {
        match self.mode {
            Mode::Live => {
                let log = |of: &FileStamp| of.log.map(|(inode, _)| inode);
                self.same_file(other) && other.mode == Mode::Live && log(self) == log(other)
            }
            _ => self == other,
        }
    }
}

/// The archive's file and folder, held open so that a look at them walks no path: every question to the archive is
/// followed by one.
pub(super) struct Watch {
    file: Arc<ArchiveFile>,
    folder: OwnedFd,
    log: OsString,
    index: OsString,
}

impl Watch {
    /// Watches the archive at this path.
    pub(super) fn on(path: &Path, file: Arc<ArchiveFile>) -> std::io::Result<Watch> {
        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let name = |suffix: &str| beside(Path::new(path.file_name().unwrap_or_default()), suffix).into_os_string();
        let folder = open(folder, OFlags::PATH | OFlags::CLOEXEC, FileMode::empty())?;
        Ok(Watch { file, folder, log: name("-wal"), index: name("-shm") })
    }

    /// What the files look like now: also of an archive whose place another file has taken.
    pub(super) fn look(&self) -> std::io::Result<FileStamp> {
        let main = self.file.stat()?;
        let side = |name: &OsString| statat(&self.folder, name, AtFlags::empty()).ok();
        let log = side(&self.log).map(|log| (log.st_ino, log.st_size as u64));
        let mode = match log {
            None | Some((_, 0)) => Mode::Quiet,
            Some(_) if side(&self.index).is_some() => Mode::Live,
            Some(_) => Mode::Private,
        };
        Ok(FileStamp {
            file: (main.st_dev, main.st_ino),
            size: main.st_size as u64,
            modified: (main.st_mtime, main.st_mtime_nsec as i64),
            log,
            mode,
        })
    }
}

/// The path of SQLite's side file with this suffix.
pub(super) fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    PathBuf::from(name)
}

/// A read-only connection, with a bound on the work of one request.
pub(super) struct ReadConnection {
    pub conn: Connection,
    /// Nothing is locked while it reads, so a value of it may stay open.
    pub is_immutable: bool,
    work: Arc<AtomicU64>,
    /// Dropped after the connection.
    _file: Arc<ArchiveFile>,
}

impl ReadConnection {
    /// Grants the next request its full budget of work.
    pub(super) fn restart_budget(&self) {
        self.work.store(0, Ordering::Relaxed);
    }
}

/// Opens the archive `file`, which stands at `path`, for reading in the mode of `fingerprint`.
pub(super) fn open_reader(path: &Path, file: &Arc<ArchiveFile>, fingerprint: &FileStamp) -> Result<ReadConnection> {
    let in_rollback_mode = journal_version(path, file)? == 1;
    let parameters = match fingerprint.mode {
        // A file in rollback mode needs no side files to be read, and its locks are wanted.
        Mode::Quiet if in_rollback_mode => "mode=ro",
        Mode::Quiet => "mode=ro&immutable=1",
        Mode::Live => "mode=ro",
        Mode::Private => "mode=ro&vfs=unix-none",
    };
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_URI | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let mut conn = Connection::open_with_flags(uri(path, parameters), flags).map_err(|error| explain(path, error))?;
    harden(&conn).map_err(|error| explain(path, error))?;
    if fingerprint.mode == Mode::Private {
        conn.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true).map_err(|error| explain(path, error))?;
        conn.pragma_update(None, "locking_mode", "EXCLUSIVE").map_err(|error| explain(path, error))?;
    }
    // There may be dozens of connections. The pages that are read again and again, the upper ones of a few trees, are fewer.
    conn.pragma_update(None, "cache_size", -1_024).map_err(|error| explain(path, error))?;
    let work = bound_work(&mut conn, fingerprint.size).map_err(|error| explain(path, error))?;
    let is_immutable = fingerprint.mode == Mode::Quiet && !in_rollback_mode;
    Ok(ReadConnection { conn, is_immutable, work, _file: Arc::clone(file) })
}

/// Opens the archive for writing; never makes one. The caller holds the lock, and the file longer than the connection.
pub(super) fn open_writer(path: &Path) -> Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_URI | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let conn = Connection::open_with_flags(uri(path, "mode=rw"), flags).map_err(|error| explain(path, error))?;
    harden(&conn).map_err(|error| explain(path, error))?;
    Ok(conn)
}

/// Looks at nothing but the header of a file.
///
/// Errors: [`ErrorKind::NoArchive`] if it is no SQLite database; [`ErrorKind::Usage`] if a newer program wrote it.
pub(super) fn check_header(path: &Path, file: &ArchiveFile) -> Result<()> {
    let mut header = [0; 100];
    if file.read_start(&mut header).is_err() || !header.starts_with(b"SQLite format 3\0") {
        return Err(not_an_archive(path));
    }
    let word = |at: usize| i32::from_be_bytes([header[at], header[at + 1], header[at + 2], header[at + 3]]);
    let (version, application) = (word(60), word(68));
    match application {
        APPLICATION_ID if version > FORMAT_VERSION => Err(Error::new(
            ErrorKind::Usage,
            format!("archive {} has format {version}, made by a newer version of vandelay; this one knows format {FORMAT_VERSION}", path.display()),
        )
        .hint("use the newer program; the file was not changed")),
        0 if version > FORMAT_VERSION => Err(Error::new(ErrorKind::Usage, other_database(path)).hint(OTHER_DATABASE)),
        // The header lags behind the log, so an archive just made may still show zeros here.
        0 | APPLICATION_ID => Ok(()),
        _ => Err(Error::new(ErrorKind::NoArchive, other_database(path)).hint(OTHER_DATABASE)),
    }
}

/// True if the header of a file could be that of an archive.
pub fn is_archive(path: &Path) -> bool {
    file::open_named(path).and_then(|file| check_header(path, &file)).is_ok()
}

fn not_an_archive(path: &Path) -> Error {
    Error::new(ErrorKind::NoArchive, format!("{} is not a vandelay archive", path.display()))
        .hint("an archive is a SQLite file made by 'vandelay import'")
}

/// The message about a SQLite database that has not the tables of an archive.
fn other_database(path: &Path) -> String {
    format!("{} is not a vandelay archive: it is a SQLite database of another kind", path.display())
}

/// The format of Vandelay 2.0 is not public, so it cannot be told from that of any other program.
const OTHER_DATABASE: &str = "it may belong to another program, or be an archive of Vandelay 2.0 or later, which this program does not read. \
     The file was not changed: read it with the program that made it, and choose another name for an archive of this one";

/// 1 = rollback journal, 2 = write-ahead log (SQLite file format 1.3.3).
fn journal_version(path: &Path, file: &ArchiveFile) -> Result<u8> {
    let mut header = [0; 20];
    file.read_start(&mut header)
        .map_err(|error| Error::io(format!("cannot read archive {}", path.display()), error))?;
    Ok(header[18])
}

/// SQLite's own advice for files from strangers (sqlite.org/security.html).
fn harden(conn: &Connection) -> rusqlite::Result<()> {
    conn.set_db_config(DbConfig::SQLITE_DBCONFIG_DEFENSIVE, true)?;
    conn.set_db_config(DbConfig::SQLITE_DBCONFIG_TRUSTED_SCHEMA, false)?;
    conn.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_TRIGGER, false)?;
    conn.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_VIEW, false)?;
    // Else a plan may depend on a bound value, and a statement is prepared anew whenever that changes.
    conn.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true)?;
    conn.set_limit(Limit::SQLITE_LIMIT_ATTACHED, 0)?;
    conn.set_limit(Limit::SQLITE_LIMIT_TRIGGER_DEPTH, 1)?;
    conn.set_limit(Limit::SQLITE_LIMIT_EXPR_DEPTH, 200)?;
    conn.set_limit(Limit::SQLITE_LIMIT_WORKER_THREADS, 0)?;
    conn.busy_timeout(PATIENCE)?;
    conn.pragma_update(None, "cell_size_check", true)?;
    conn.pragma_update(None, "mmap_size", 0)?;
    conn.pragma_update(None, "temp_store", "MEMORY")?;
    conn.set_prepared_statement_cache_capacity(64);
    digest::add_function(conn)
}

/// Interrupts a request that works longer than any honest file of this size can ask for: a B-tree whose pages point
/// at each other again and again looks endless.
fn bound_work(conn: &mut Connection, size: u64) -> rusqlite::Result<Arc<AtomicU64>> {
    const STEP: u16 = 10_000;
    let budget = 5_000_000 + size.saturating_mul(4);
    let work = Arc::new(AtomicU64::new(0));
    let used = Arc::clone(&work);
    conn.progress_handler(i32::from(STEP), Some(move || used.fetch_add(u64::from(STEP), Ordering::Relaxed) > budget))?;
    Ok(work)
}

/// Tables that every archive has, those of 1.x too.
const REQUIRED: [&str; 4] = ["sources", "blobs", "emails", "mailboxes"];

/// Checks that the schema holds nothing but tables and indexes, and that the tables an archive must have are there.
/// Gives the columns of each content table that exist.
pub(super) fn check_schema(conn: &Connection, path: &Path) -> Result<HashMap<&'static str, Vec<String>>> {
    let mut found: HashMap<&'static str, Vec<String>> = HashMap::new();
    let sql = "SELECT type, name, coalesce(sql, '') FROM sqlite_schema";
    let objects: Vec<(String, String, String)> =
        query::rows(conn, sql, [], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))
            .map_err(|error| explain(path, error))?;
    let is_other = || Error::new(ErrorKind::NoArchive, other_database(path)).hint(OTHER_DATABASE);
    if !objects.iter().any(|(_, name, _)| REQUIRED.contains(&name.as_str())) {
        return Err(is_other());
    }
    for (kind, name, sql) in &objects {
        let words: Vec<String> = sql.split_whitespace().take(2).map(str::to_ascii_uppercase).collect();
        let is_virtual = words.get(1).is_some_and(|word| word == "VIRTUAL");
        if !matches!(kind.as_str(), "table" | "index") || is_virtual {
            return Err(Error::new(
                ErrorKind::NoArchive,
                format!(
                    "archive {} is refused: its schema holds a {} ({name:?}), which no archive has",
                    path.display(),
                    if is_virtual { "virtual table" } else { kind }
                ),
            )
            .hint("the file may have been tampered with; use another copy"));
        }
    }
    for table in TABLES.iter().map(|table| table.name).chain(["sources", "blobs"]) {
        let sql = "SELECT name, hidden FROM pragma_table_xinfo(?1)";
        let columns: Vec<(String, i64)> = query::rows(conn, sql, [table], |row| Ok((row.get(0)?, row.get(1)?)))
            .map_err(|error| explain(path, error))?;
        if columns.iter().any(|(_, hidden)| *hidden != 0) {
            return Err(Error::new(
                ErrorKind::NoArchive,
                format!(
                    "archive {} is refused: table {table} has generated columns, which no archive has",
                    path.display()
                ),
            ));
        }
        found.insert(table, columns.into_iter().map(|(name, _)| name).collect());
    }
    if REQUIRED.iter().any(|required| found.get(required).is_none_or(Vec::is_empty)) {
        return Err(is_other());
    }
    Ok(found)
}

/// A `file:` URI of the path; everything but letters, digits and slashes is percent-encoded.
fn uri(path: &Path, parameters: &str) -> String {
    let absolute = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    let mut uri = String::from("file://");
    for &byte in absolute.as_os_str().as_bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'/' | b'.' | b'-' | b'_' => uri.push(byte as char),
            _ => uri.push_str(&format!("%{byte:02X}")),
        }
    }
    uri.push('?');
    uri.push_str(parameters);
    uri
}

#[cfg(test)]
mod tests {
    use super::*;
    use rusqlite::ffi;

    #[test]
    fn a_file_system_without_shared_memory_is_named() {
        let explained =
            |code: i32| explain(Path::new("/"), rusqlite::Error::SqliteFailure(ffi::Error::new(code), None));
        for code in
            [ffi::SQLITE_IOERR_SHMMAP, ffi::SQLITE_IOERR_SHMOPEN, ffi::SQLITE_IOERR_SHMLOCK, ffi::SQLITE_IOERR_SHMSIZE]
        {
            let error = explained(code);
            assert!(
                error.to_string().contains("no shared memory") && error.hint_text().unwrap().contains("local disk"),
                "{error}"
            );
        }
        assert!(!explained(ffi::SQLITE_IOERR_READ).to_string().contains("memory"));
        assert!(explained(ffi::SQLITE_IOERR_READ).hint_text().is_some());
    }
}
