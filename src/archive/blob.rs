//! The bytes of an archive: content-addressed by BLAKE3, stored once, in chunks where SQLite's values end.

use super::query;
use crate::error::{Error, ErrorKind, Result};
use crate::model::{Digest, Id};
use rusqlite::blob::ZeroBlob;
use rusqlite::{Connection, MAIN_DB, OptionalExtension, ToSql, params};
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom, Write};

/// The largest blob that stands in one value of `blobs.data`, where 1.x can read it: SQLite's limit of 1,000,000,000
/// bytes for a row, less the row's other columns.
pub(super) const VALUE_MAX: u64 = 999_999_000;

/// The size of the pieces in `blob_chunks`.
const CHUNK: u64 = 16 << 20;

/// The value of `blobs.data` of a chunked blob. It is text, so 1.x fails on it instead of exporting an empty file.
const CHUNKED: &str = "vandelay: stored in blob_chunks";

/// Bytes on their way into the archive, already hashed.
pub struct NewBlob {
    digest: Digest,
    size: u64,
    bytes: NewBytes,
}

enum NewBytes {
    Memory(Vec<u8>),
    File(File),
}

impl NewBlob {
    /// Bytes in memory.
    pub fn from_bytes(bytes: Vec<u8>) -> NewBlob {
        NewBlob { digest: Digest::of(&bytes), size: bytes.len() as u64, bytes: NewBytes::Memory(bytes) }
    }

    /// All bytes of a file, which no program may change until they are stored.
    pub fn from_file(mut file: File) -> io::Result<NewBlob> {
        file.rewind()?;
        let mut hasher = blake3::Hasher::new();
        let mut buffer = vec![0; 1 << 20];
        loop {
            let count = file.read(&mut buffer)?;
            if count == 0 {
                break;
            }
            hasher.update(&buffer[..count]);
        }
        Ok(NewBlob { digest: Digest(*hasher.finalize().as_bytes()), size: hasher.count(), bytes: NewBytes::File(file) })
    }

    /// The digest of the bytes.
    pub fn digest(&self) -> Digest {
        self.digest
    }

    /// Their number.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// The first bytes, at most `limit` of them: enough for the header of a message.
    pub fn head(&mut self, limit: usize) -> io::Result<Vec<u8>> {
        match &mut self.bytes {
            NewBytes::Memory(bytes) => Ok(bytes[..bytes.len().min(limit)].to_vec()),
            NewBytes::File(file) => {
                file.rewind()?;
                let mut head = Vec::new();
                file.take(limit as u64).read_to_end(&mut head)?;
                Ok(head)
            }
        }
    }
}

/// A failure to store: the archive's fault, or that of the file that the bytes come from.
pub(super) enum PutError {
    Archive(rusqlite::Error),
    Input(io::Error),
}

impl From<rusqlite::Error> for PutError {
    fn from(error: rusqlite::Error) -> PutError {
        PutError::Archive(error)
    }
}

/// Stores the bytes unless they are there already; gives the row, and whether it is new.
pub(super) fn put(conn: &Connection, blob: NewBlob) -> Result<(Id, bool), PutError> {
    let known = conn
        .prepare_cached("SELECT id FROM blobs WHERE hash = ?1")?
        .query_row([blob.digest.0], |row| row.get(0))
        .optional()?;
    if let Some(id) = known {
        // A damaged blob is mended by the bytes at hand.
        if !find(conn, id)?.is_some_and(|stored| is_sound(conn, &stored).unwrap_or(false)) {
            conn.execute("DELETE FROM blob_chunks WHERE blob_id = ?1", [id]).or_else(no_table)?;
            conn.execute("DELETE FROM large_blobs WHERE blob_id = ?1", [id]).or_else(no_table)?;
            write(conn, blob, |data| {
                conn.execute("UPDATE blobs SET data = ?2 WHERE id = ?1", params![id, data])?;
                Ok(id)
            })?;
        }
        return Ok((id, false));
    }
    let digest = blob.digest;
    let mut insert = conn.prepare_cached("INSERT INTO blobs (hash, data) VALUES (?1, ?2)")?;
    let id = write(conn, blob, |data| insert.insert(params![digest.0, data]))?;
    Ok((id, true))
}

/// Writes bytes as the value that `row` makes a row of, and beside it what is too large for a value.
fn write(
    conn: &Connection,
    blob: NewBlob,
    row: impl FnOnce(&dyn ToSql) -> rusqlite::Result<Id>,
) -> Result<Id, PutError> {
    match blob.bytes {
        NewBytes::Memory(bytes) => Ok(row(&bytes)?),
        NewBytes::File(file) if blob.size <= VALUE_MAX => {
            // Filled in place, so that a value of nearly 1 GB never stands in memory.
            let id = row(&ZeroBlob(blob.size))?;
            fill(conn, "blobs", id, file, blob.size)?;
            Ok(id)
        }
        NewBytes::File(file) => {
            let id = row(&CHUNKED)?;
            put_chunks(conn, id, file, blob.size)?;
            Ok(id)
        }
    }
}

fn no_table(error: rusqlite::Error) -> rusqlite::Result<usize> {
    if no_such_table(&error) { Ok(0) } else { Err(error) }
}

fn fill(conn: &Connection, table: &str, row: i64, mut file: File, size: u64) -> Result<(), PutError> {
    file.rewind().map_err(PutError::Input)?;
    let mut target = conn.blob_open(MAIN_DB, table, "data", row, false)?;
    copy(&mut file, &mut target, size)?;
    target.close()?;
    Ok(())
}

fn put_chunks(conn: &Connection, blob: Id, mut file: File, size: u64) -> Result<(), PutError> {
    file.rewind().map_err(PutError::Input)?;
    conn.execute("INSERT INTO large_blobs (blob_id, size) VALUES (?1, ?2)", params![blob, size as i64])?;
    let mut insert = conn.prepare_cached("INSERT INTO blob_chunks (blob_id, seq, data) VALUES (?1, ?2, ?3)")?;
    let mut left = size;
    for seq in 0_i64.. {
        if left == 0 {
            break;
        }
        let mut chunk = vec![0; left.min(CHUNK) as usize];
        file.read_exact(&mut chunk).map_err(PutError::Input)?;
        left -= chunk.len() as u64;
        insert.execute(params![blob, seq, chunk])?;
    }
    Ok(())
}

/// Copies exactly `size` bytes; a file that got shorter is an error of the input.
fn copy(from: &mut File, to: &mut impl Write, size: u64) -> Result<(), PutError> {
    let mut buffer = vec![0; 1 << 20];
    let mut left = size;
    while left > 0 {
        let part = left.min(buffer.len() as u64) as usize;
        from.read_exact(&mut buffer[..part]).map_err(PutError::Input)?;
        to.write_all(&buffer[..part]).map_err(|error| PutError::Input(io::Error::other(error)))?;
        left -= part as u64;
    }
    Ok(())
}

/// Where the bytes of a blob stand.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Blob {
    /// `blobs.id`.
    pub id: Id,
    /// The digest that the bytes must have.
    pub digest: Digest,
    /// Their number.
    pub size: u64,
    /// They stand in `blob_chunks`.
    pub chunked: bool,
}

/// Identifies a blob among all that were or will be in an archive: SQLite gives a number again once its blob was
/// forgotten, so a part of the digest stands beside it.
pub type BlobKey = (Id, u64);

impl Blob {
    /// Its identity.
    pub fn key(&self) -> BlobKey {
        let [a, b, c, d, e, f, g, h, ..] = self.digest.0;
        (self.id, u64::from_ne_bytes([a, b, c, d, e, f, g, h]))
    }
}

/// Looks a blob up without reading its bytes. `None`: no such row.
pub(super) fn find(conn: &Connection, id: Id) -> rusqlite::Result<Option<Blob>> {
    let row = conn
        .prepare_cached("SELECT CASE WHEN typeof(hash) = 'blob' AND length(hash) = 32 THEN hash END, typeof(data), length(data) FROM blobs WHERE id = ?1")?
        .query_row([id], |row| Ok((row.get::<_, Option<[u8; 32]>>(0)?, row.get::<_, String>(1)?, row.get::<_, i64>(2)?)))
        .optional()?;
    let Some((hash, kind, length)) = row else { return Ok(None) };
    // A row without a proper hash cannot be right; zeros are the digest of nothing.
    let digest = Digest(hash.unwrap_or_default());
    let chunked = kind == "text";
    let size = if chunked {
        conn.prepare_cached("SELECT size FROM large_blobs WHERE blob_id = ?1")
            .and_then(|mut statement| statement.query_row([id], |row| row.get::<_, i64>(0)).optional())
            .or_else(|error| if no_such_table(&error) { Ok(None) } else { Err(error) })?
            .unwrap_or(0)
    } else {
        length
    };
    Ok(Some(Blob { id, digest, size: size.max(0) as u64, chunked }))
}

/// True where an archive of 1.x lacks one of our tables.
pub(super) fn no_such_table(error: &rusqlite::Error) -> bool {
    matches!(error, rusqlite::Error::SqliteFailure(_, Some(message)) if message.starts_with("no such table"))
        || matches!(error, rusqlite::Error::SqlInputError { msg, .. } if msg.starts_with("no such table"))
}

/// Up to `length` bytes at `offset`; fewer only at the end. The caller bounds them.
pub(super) fn read(conn: &Connection, blob: &Blob, offset: u64, length: u64) -> rusqlite::Result<Vec<u8>> {
    let mut bytes = vec![0; length.min(blob.size.saturating_sub(offset)) as usize];
    let count = read_at(conn, blob, offset, &mut bytes)?;
    bytes.truncate(count);
    Ok(bytes)
}

/// Reads up to `buffer.len()` bytes at `offset`; fewer only at the end.
pub(super) fn read_at(conn: &Connection, blob: &Blob, offset: u64, buffer: &mut [u8]) -> rusqlite::Result<usize> {
    if offset >= blob.size {
        return Ok(0);
    }
    let wanted = ((blob.size - offset).min(buffer.len() as u64)) as usize;
    let buffer = &mut buffer[..wanted];
    if !blob.chunked {
        let source = conn.blob_open(MAIN_DB, "blobs", "data", blob.id, true)?;
        source.read_at_exact(buffer, offset as usize)?;
        return Ok(wanted);
    }
    let mut done = 0;
    while done < wanted {
        let at = offset + done as u64;
        let row: i64 = conn
            .prepare_cached("SELECT rowid FROM blob_chunks WHERE blob_id = ?1 AND seq = ?2")?
            .query_row(params![blob.id, (at / CHUNK) as i64], |row| row.get(0))?;
        let source = conn.blob_open(MAIN_DB, "blob_chunks", "data", row, true)?;
        let part = (wanted - done).min((CHUNK - at % CHUNK) as usize);
        source.read_at_exact(&mut buffer[done..done + part], (at % CHUNK) as usize)?;
        done += part;
    }
    Ok(wanted)
}

/// Reads a blob from its start to its end in pieces that the processor's cache holds, with one handle per value, so in
/// linear time.
pub(super) fn stream<E: From<rusqlite::Error>>(
    conn: &Connection,
    blob: &Blob,
    mut each: impl FnMut(&[u8]) -> Result<(), E>,
) -> Result<(), E> {
    let rows: Vec<(&str, i64)> = if blob.chunked {
        let sql = "SELECT rowid FROM blob_chunks WHERE blob_id = ?1 ORDER BY seq";
        query::column::<i64>(conn, sql, [blob.id])?.into_iter().map(|row| ("blob_chunks", row)).collect()
    } else {
        vec![("blobs", blob.id)]
    };
    let mut buffer = vec![0; (blob.size.min(256 << 10)) as usize];
    for (table, row) in rows {
        let mut source = conn.blob_open(MAIN_DB, table, "data", row, true)?;
        source.seek(SeekFrom::Start(0)).map_err(as_sqlite)?;
        loop {
            let count = source.read(&mut buffer).map_err(as_sqlite)?;
            if count == 0 {
                break;
            }
            each(&buffer[..count])?;
        }
    }
    Ok(())
}

/// rusqlite hides its error in an `io::Error` when a blob is read through `Read`.
fn as_sqlite(error: io::Error) -> rusqlite::Error {
    match error.downcast::<rusqlite::Error>() {
        Ok(inner) => inner,
        Err(other) => rusqlite::Error::ToSqlConversionFailure(other.into()),
    }
}

/// True if the stored bytes hash to what they should.
pub(super) fn is_sound(conn: &Connection, blob: &Blob) -> rusqlite::Result<bool> {
    let mut hasher = blake3::Hasher::new();
    let outcome: rusqlite::Result<()> = stream(conn, blob, |piece| {
        hasher.update(piece);
        Ok(())
    });
    match outcome {
        Ok(()) => Ok(hasher.count() == blob.size && hasher.finalize().as_bytes() == &blob.digest.0),
        // A page of the chain is damaged: so is the blob, and only the blob.
        Err(error) if error.sqlite_error_code() == Some(rusqlite::ErrorCode::DatabaseCorrupt) => Ok(false),
        Err(error) => Err(error),
    }
}

/// The error of a blob whose bytes are not what was stored.
pub(super) fn damaged(blob: &Blob) -> Error {
    Error::new(
        ErrorKind::Damaged,
        format!("blob {} is damaged: its bytes do not match BLAKE3 {}", blob.id, blob.digest.hex()),
    )
    .hint("'vandelay verify' names everything that it belongs to; take it from another copy of the archive")
}
