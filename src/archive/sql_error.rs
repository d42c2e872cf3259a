//! Errors of SQLite in the program's words.

use super::file::free_bytes;
use crate::error::{Error, ErrorKind};
use rusqlite::Connection;
use std::path::Path;

/// Turns SQLite's error into ours: busy, full, damaged and the rest want different answers.
pub(super) fn explain(path: &Path, error: rusqlite::Error) -> Error {
    use rusqlite::ErrorCode as Code;
    let name = path.display();
    if let rusqlite::Error::UserFunctionError(inner) = &error
        && let Some(SnapshotGone(snapshot)) = inner.downcast_ref()
    {
        let what = format!("snapshot {snapshot} of archive {name} was forgotten while it was being read");
        return Error::new(ErrorKind::Forgotten, what).hint("'vandelay snapshots' lists all; take another one");
    }
    // SQLite reports a log or its index that cannot grow as any other failure to write.
    let is_full = || free_bytes(path).is_some_and(|free| free < 64 << 10);
    let code = match error.sqlite_error_code() {
        Some(Code::SystemIoFailure | Code::CannotOpen) if is_full() => Some(Code::DiskFull),
        code => code,
    };
    let (kind, what, hint) = match code {
        Some(Code::DatabaseBusy | Code::DatabaseLocked) => (
            ErrorKind::Locked,
            format!("archive {name} is in use by another program"),
            Some("wait until it has finished, then try again (Vandelay 1.x locks the archive while it works)".to_owned()),
        ),
        Some(Code::DiskFull) => (
            ErrorKind::Storage,
            format!("no space left on the file system of archive {name}"),
            Some(format!(
                "free some space, then run the command again: it continues where it stopped{}",
                free_space(path)
            )),
        ),
        Some(Code::DatabaseCorrupt) => (
            ErrorKind::Damaged,
            format!("archive {name} is damaged"),
            Some("keep this file and your other copies; 'vandelay verify' says what is damaged".to_owned()),
        ),
        Some(Code::NotADatabase) => (ErrorKind::NoArchive, format!("{name} is not a vandelay archive"), None),
        Some(Code::OperationInterrupted) => (
            ErrorKind::Damaged,
            format!("archive {name} is damaged: a table refers to itself"),
            Some("use another copy".to_owned()),
        ),
        Some(Code::ReadOnly) => (
            ErrorKind::Storage,
            format!("archive {name} cannot be written"),
            Some("check the permissions of the file and its directory".to_owned()),
        ),
        _ if needs_shared_memory(&error) => (
            ErrorKind::Storage,
            format!("archive {name} cannot be written on this file system: it has no shared memory between programs"),
            Some(
                "SQLite needs that for its write-ahead log; network and FUSE file systems may lack it (sshfs -o direct_io, NFS, SMB). \
                 Keep the archive on a local disk, and copy it here after the import. Reading works here"
                    .to_owned(),
            ),
        ),
        Some(Code::SystemIoFailure) => (
            ErrorKind::Storage,
            format!("cannot read or write archive {name}"),
            Some("the disk or its file system failed: 'dmesg' may say more; run 'vandelay verify' afterwards".to_owned()),
        ),
        _ => (ErrorKind::Storage, format!("cannot read or write archive {name}"), None),
    };
    let error = Error::new(kind, what).because(error);
    match hint {
        Some(hint) => error.hint(hint),
        None => error,
    }
}

/// The snapshot that was asked for is not there any more.
#[derive(Debug)]
struct SnapshotGone(i64);

impl std::fmt::Display for SnapshotGone {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "snapshot {} is gone", self.0)
    }
}

impl std::error::Error for SnapshotGone {}

/// True if the index of a write-ahead log could not be opened, mapped or locked: it is memory that programs share.
fn needs_shared_memory(error: &rusqlite::Error) -> bool {
    use rusqlite::ffi::{SQLITE_IOERR_SHMLOCK, SQLITE_IOERR_SHMMAP, SQLITE_IOERR_SHMOPEN, SQLITE_IOERR_SHMSIZE};
    let codes = [SQLITE_IOERR_SHMLOCK, SQLITE_IOERR_SHMMAP, SQLITE_IOERR_SHMOPEN, SQLITE_IOERR_SHMSIZE];
    error.sqlite_error().is_some_and(|error| codes.contains(&error.extended_code))
}

/// ` (12345 bytes are free now)`, or nothing where the system does not say.
fn free_space(path: &Path) -> String {
    free_bytes(path).map(|bytes| format!(" ({bytes} bytes are free now)")).unwrap_or_default()
}

/// Errors if a snapshot is not there, in a way that [`explain`] understands.
pub(super) fn require_snapshot(conn: &Connection, snapshot: i64) -> rusqlite::Result<()> {
    let mut statement = conn.prepare_cached("SELECT 1 FROM snapshots WHERE id = ?1")?;
    match statement.exists([snapshot])? {
        true => Ok(()),
        false => Err(rusqlite::Error::UserFunctionError(Box::new(SnapshotGone(snapshot)))),
    }
}
