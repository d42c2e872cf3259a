//! The bytes of a copy: one committed state of the archive, whoever uses it meanwhile.
//!
//! Where there is no log the file alone is the archive: it is cloned where the file system can do that, else read from
//! its start to its end, and once more if a program wrote to it meanwhile. What the disk does not give is left out and named.
//! Where there is a log SQLite copies the pages that a transaction shows.

use super::unfinished::{Unfinished, cannot_write, no_space};
use crate::archive::compact::step;
use crate::archive::connect::ReadConnection;
use crate::archive::file::{ArchiveFile, free_bytes};
use crate::archive::read::Reader;
use crate::archive::sql_error::explain;
use crate::error::{Error, ErrorKind, Result};
use rusqlite::backup::{Backup, StepResult};
use rusqlite::{Connection, ErrorCode, OpenFlags, ffi};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;

/// How often the whole is copied again because the file changed meanwhile.
const PASSES: u32 = 20;

/// How much is read at once.
const PIECE: usize = 1 << 20;

/// How much is left out where the disk gives nothing.
const BLOCK: usize = 4_096;

/// How many stretches that could not be read are named.
const STRETCHES: usize = 1_000;

/// How many pages SQLite copies at a time.
const STEP: i32 = 256;

/// What a copy is at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    /// Bytes are copied.
    Copying,
    /// Blobs of the copy are hashed.
    Checking,
}

/// Hears of bytes, or blobs, done and to do. False ends the copy.
pub(super) type Watcher<'a> = dyn FnMut(Stage, u64, u64) -> bool + 'a;

/// What was copied.
#[derive(Debug, Default)]
pub(super) struct Pages {
    /// The copy shares its blocks with the archive.
    pub(super) is_clone: bool,
    /// Stretches of the file that could not be read, from and to. They are zeros in the copy.
    pub(super) unreadable: Vec<(u64, u64)>,
}

/// Fills a copy with one state of the archive.
pub(super) fn copy_state(reader: &Reader, copy: &Unfinished, target: &Path, watch: &mut Watcher<'_>) -> Result<Pages> {
    let fail = |error| cannot_write(target, error);
    for _ in 0..PASSES {
        copy.file().set_len(0).map_err(fail)?;
        let done = reader.pinned(|connection| {
            if !connection.is_immutable {
                return copy_pages(reader, connection, (copy, target), watch).map(|()| Pages::default());
            }
            if reader.file.reflink_into(copy.file()).is_ok() {
                return Ok(Pages { is_clone: true, ..Pages::default() });
            }
            let size = reader.file.stat().map_err(|error| cannot_read(reader.path(), error))?.st_size;
            let size = u64::try_from(size).unwrap_or_default();
            require_space(target, size)?;
            let unreadable = copy_file(reader.path(), &reader.file, size, (copy, target), watch)?;
            Ok(Pages { is_clone: false, unreadable })
        })?;
        if let Some(pages) = done {
            return Ok(pages);
        }
    }
    Err(reader.restless())
}

/// Copies the file. Gives what could not be read of it.
fn copy_file(
    path: &Path,
    from: &ArchiveFile,
    size: u64,
    (to, target): (&Unfinished, &Path),
    watch: &mut Watcher<'_>,
) -> Result<Vec<(u64, u64)>> {
    let mut buffer = vec![0; PIECE];
    let mut unreadable: Vec<(u64, u64)> = Vec::new();
    let (mut offset, mut piece) = (0, PIECE);
    while offset < size {
        let wanted = (size - offset).min(piece as u64) as usize;
        match from.read_at(&mut buffer[..wanted], offset) {
            Ok(0) => break,
            Ok(count) => {
                to.file().write_all_at(&buffer[..count], offset).map_err(|error| cannot_write(target, error))?;
                offset += count as u64;
                // Back to large pieces behind a bad one.
                if offset.is_multiple_of(PIECE as u64) {
                    piece = PIECE;
                }
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) if error.raw_os_error() != Some(libc::EIO) => return Err(cannot_read(path, error)),
            Err(_) if piece > BLOCK => piece = BLOCK,
            Err(_) => {
                let end = offset + wanted as u64;
                let is_last_named = unreadable.len() >= STRETCHES;
                match unreadable.last_mut() {
                    Some((_, last)) if *last == offset || is_last_named => *last = end,
                    _ => unreadable.push((offset, end)),
                }
                offset = end;
            }
        }
        go_on(watch(Stage::Copying, offset, size))?;
    }
    to.file().set_len(size).map_err(|error| cannot_write(target, error))?;
    Ok(unreadable)
}

/// Copies the pages that the open transaction of a connection shows.
fn copy_pages(
    reader: &Reader,
    from: &ReadConnection,
    (to, target): (&Unfinished, &Path),
    watch: &mut Watcher<'_>,
) -> Result<()> {
    let fail = |error| failed_step(reader.path(), target, error);
    let number = |sql: &str| from.conn.query_row(sql, [], |row| row.get::<_, i64>(0)).map_err(fail);
    let page = number("PRAGMA page_size")?.max(0) as u64;
    require_space(target, page * number("PRAGMA page_count")?.max(0) as u64)?;
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let mut into = Connection::open_with_flags(to.path(), flags).map_err(fail)?;
    // A copy that is not finished is removed, so there is nothing to roll back, and the whole is written through at its end.
    into.pragma_update(None, "journal_mode", "OFF").map_err(fail)?;
    into.pragma_update(None, "synchronous", "OFF").map_err(fail)?;
    let backup = Backup::new(&from.conn, &mut into).map_err(fail)?;
    loop {
        let state = step(&backup, STEP).map_err(fail)?;
        let progress = backup.progress();
        let (all, left) = (progress.pagecount.max(0) as u64, progress.remaining.max(0) as u64);
        go_on(watch(Stage::Copying, all.saturating_sub(left) * page, all * page))?;
        if state == StepResult::Done {
            return Ok(());
        }
    }
}

/// Nothing is left of a copy that was interrupted.
pub(super) const INTERRUPTED: &str = "interrupted; there is no copy";

fn go_on(wanted: bool) -> Result<()> {
    if wanted { Ok(()) } else { Err(Error::new(ErrorKind::Interrupted, INTERRUPTED)) }
}

/// Errors if a copy of so many bytes cannot fit.
fn require_space(target: &Path, bytes: u64) -> Result<()> {
    match free_bytes(target).filter(|free| *free < bytes) {
        Some(free) => Err(no_space(target).hint(format!(
            "the copy needs {bytes} bytes, and {free} are free. Free some space, or copy to another disk; nothing was left behind"
        ))),
        None => Ok(()),
    }
}

fn cannot_read(archive: &Path, error: io::Error) -> Error {
    Error::io(format!("cannot read archive {}", archive.display()), error)
}

/// An error of SQLite while it copies: the archive's fault, or that of the disk of the copy.
fn failed_step(archive: &Path, target: &Path, error: rusqlite::Error) -> Error {
    let extended = error.sqlite_error().map_or(0, |error| error.extended_code);
    let is_writing = [
        ffi::SQLITE_IOERR_WRITE,
        ffi::SQLITE_IOERR_FSYNC,
        ffi::SQLITE_IOERR_DIR_FSYNC,
        ffi::SQLITE_IOERR_TRUNCATE,
        ffi::SQLITE_IOERR_CLOSE,
    ];
    match error.sqlite_error_code() {
        Some(ErrorCode::DiskFull) => cannot_write(target, io::Error::from_raw_os_error(libc::ENOSPC)),
        Some(ErrorCode::SystemIoFailure) if is_writing.contains(&extended) => {
            Error::new(ErrorKind::Storage, format!("cannot write the copy {}", target.display())).because(error)
        }
        Some(ErrorCode::SystemIoFailure) => explain(archive, error)
            .hint("'dmesg' may say more. While no program writes to the archive, what can be read of it is copied"),
        _ => explain(archive, error),
    }
}
