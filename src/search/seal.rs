//! The seal of an index: a digest of its file, by which damage is seen that SQLite does not see.
//!
//! SQLite finds a broken page only if it makes no sense; one with other words in it makes sense. So, when an index is up to date, 64
//! bits of a digest of the file go into two fields of the header that SQLite leaves to programs. Each change takes them out in
//! the same transaction: an index without a seal is being written, or its writer was killed, and SQLite's journal keeps it whole.
//!
//! To read the whole file at each search would take longer than the search. So the nanoseconds of the time of the file
//! are set by the seal, too: a file whose time says so was written by nobody since.

use rusqlite::Connection;
use std::fs::{File, OpenOptions};
use std::io::{self, Read};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// The length of the header of a SQLite file.
const HEADER: usize = 100;

/// `user_version` and `application_id`: the seal.
const FIELDS: [Range<usize>; 2] = [60..64, 68..72];

/// What every write changes: its counter, and the two fields of the seal.
const UNSEALED: [Range<usize>; 4] = [24..28, 60..64, 68..72, 92..100];

const SECOND: u64 = 1_000_000_000;

/// True for an index whose bytes are not those that were sealed.
pub(super) fn is_broken(path: &Path) -> io::Result<bool> {
    let Some(seal) = read(path)? else { return Ok(false) };
    let before = modified(path)?;
    if before.subsec_nanos() == nanos(seal) || has_journal(path) {
        return Ok(false);
    }
    if digest(path)? == seal {
        mark(path, seal);
        return Ok(false);
    }
    // A program that writes it has taken the seal out, or has a journal, or was quicker than we were.
    Ok(read(path)? == Some(seal) && modified(path)? == before && !has_journal(path))
}

/// Seals the file of an index in which no transaction is open. If another program writes, it is left to that.
pub(super) fn seal(conn: &Connection, path: &Path) -> Result<bool, rusqlite::Error> {
    let version = |conn: &Connection| conn.query_row("PRAGMA data_version", [], |row| row.get::<_, i64>(0));
    let before = version(conn)?;
    let Ok(seal) = digest(path) else { return Ok(false) };
    conn.execute_batch("BEGIN IMMEDIATE")?;
    let is_same = version(conn)? == before;
    if is_same {
        conn.pragma_update(None, "user_version", (seal >> 32) as u32 as i32)?;
        conn.pragma_update(None, "application_id", seal as u32 as i32)?;
    }
    conn.execute_batch("COMMIT")?;
    if is_same {
        mark(path, seal);
    }
    Ok(is_same)
}

/// Takes the seal out, in the transaction that is open.
pub(super) fn open(conn: &Connection) -> Result<(), rusqlite::Error> {
    for field in ["user_version", "application_id"] {
        if conn.pragma_query_value(None, field, |row| row.get::<_, i64>(0))? != 0 {
            conn.pragma_update(None, field, 0)?;
        }
    }
    Ok(())
}

/// The seal of a file, if it has one.
fn read(path: &Path) -> io::Result<Option<u64>> {
    let mut header = [0; HEADER];
    if File::open(path)?.read_exact(&mut header).is_err() {
        return Ok(None);
    }
    let bytes: Vec<u8> = FIELDS.into_iter().flat_map(|field| header[field].to_vec()).collect();
    let seal = bytes.iter().fold(0_u64, |seal, byte| seal << 8 | u64::from(*byte));
    Ok((seal != 0).then_some(seal))
}

fn digest(path: &Path) -> io::Result<u64> {
    let mut file = File::open(path)?;
    let mut hasher = blake3::Hasher::new();
    let mut header = [0; HEADER];
    file.read_exact(&mut header)?;
    UNSEALED.into_iter().for_each(|field| header[field].fill(0));
    hasher.update(&header).update_reader(file)?;
    let digest = hasher.finalize().as_bytes().iter().take(8).fold(0_u64, |digest, byte| digest << 8 | u64::from(*byte));
    Ok(digest.max(1))
}

fn nanos(seal: u64) -> u32 {
    (seal % SECOND) as u32
}

/// The time of the last change since 1970.
fn modified(path: &Path) -> io::Result<Duration> {
    Ok(path.metadata()?.modified()?.duration_since(UNIX_EPOCH).unwrap_or_default())
}

/// Sets the time of the file so that the next search trusts it. Where that is not possible, it reads the whole file.
fn mark(path: &Path, seal: u64) {
    let wanted = |time: Duration| SystemTime::UNIX_EPOCH + Duration::new(time.as_secs(), nanos(seal));
    let Ok(time) = modified(path) else { return };
    if time.subsec_nanos() != nanos(seal)
        && let Ok(file) = OpenOptions::new().append(true).open(path)
    {
        let _ = file.set_modified(wanted(time));
    }
}

fn has_journal(path: &Path) -> bool {
    let mut name = path.as_os_str().to_owned();
    name.push("-journal");
    PathBuf::from(name).exists()
}
