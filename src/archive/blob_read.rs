//! Reading blobs: whole and proved, or piece by piece.

use super::blob::{self, Blob};
use super::pool::Pooled;
use super::read::{Reader, TRIES};
use super::sql_error::explain;
use super::v1;
use crate::error::{Error, ErrorKind, Result};
use crate::model::{Digest, Id};
use parking_lot::Mutex;
use rusqlite::blob::Blob as SqliteBlob;
use rusqlite::{Connection, MAIN_DB, OptionalExtension, params};
use self_cell::self_cell;
use std::sync::Arc;

self_cell!(
    /// A connection with an open value: reading on is cheap, opening it anew would walk the value from its start.
    struct OpenValue {
        owner: Pooled,
        #[not_covariant]
        dependent: OpenBlob,
    }
);

type OpenBlob<'conn> = Mutex<SqliteBlob<'conn>>;

/// Number and bytes of the blobs of an archive.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
pub struct Statistics {
    /// How many different ones: bytes stored once count once.
    pub blobs: u64,
    /// Bytes of all of them.
    pub bytes: u64,
    /// Bytes of the largest one.
    pub largest: u64,
    /// Bytes of all messages of the current state, each counted as often as it stands in it.
    pub referenced: u64,
    /// Bytes of the archive file.
    pub file: u64,
}

impl Reader {
    /// Number and bytes of the blobs.
    pub fn statistics(&self) -> Result<Statistics> {
        let large = if self.has_history() { "(SELECT coalesce(sum(size), 0) FROM large_blobs)" } else { "0" };
        let sizes = self.with(|conn| {
            conn.query_row(
                &format!("SELECT count(*), coalesce(sum(length(data)), 0) + {large}, coalesce(max(length(data)), 0) FROM blobs"),
                [],
                |row| Ok((row.get::<_, i64>(0)?, row.get::<_, i64>(1)?, row.get::<_, i64>(2)?)),
            )
        })?;
        let referenced = self.with(|conn| {
            conn.query_row(
                "SELECT coalesce(sum(length(b.data)), 0) FROM emails e JOIN blobs b ON b.id = e.blob_id",
                [],
                |row| row.get::<_, i64>(0),
            )
        })?;
        let file = std::fs::metadata(&self.path).map_or(0, |meta| meta.len());
        Ok(Statistics {
            blobs: sizes.0.max(0) as u64,
            bytes: sizes.1.max(0) as u64,
            largest: sizes.2.max(0) as u64,
            referenced: referenced.max(0) as u64,
            file,
        })
    }

    /// Looks up a blob.
    pub fn blob(&self, id: Id) -> Result<Blob> {
        self.with(|conn| blob::find(conn, id))?.ok_or_else(|| {
            Error::new(
                ErrorKind::Damaged,
                format!("archive {} has no blob {id}, though something refers to it", self.path.display()),
            )
        })
    }

    /// All bytes of a blob, proved against its digest. The caller bounds the size.
    pub fn whole(&self, blob: &Blob) -> Result<Vec<u8>> {
        match self.with(|conn| blob::read(conn, blob, 0, blob.size)) {
            Ok(bytes) if Digest::of(&bytes) == blob.digest => Ok(bytes),
            Err(error) if error.kind != ErrorKind::Damaged => Err(error),
            _ => Err(blob::damaged(blob)),
        }
    }

    /// A cursor for reading a large blob piece by piece.
    pub fn open_blob(self: &Arc<Reader>, blob: Blob) -> BlobReader {
        BlobReader { reader: Arc::clone(self), blob, value: None, buffer: Vec::new() }
    }
}

/// Values up to this size are cheaper to select than to open.
const SELECT_MAX: u64 = 128 << 10;

/// The bytes of a message.
pub enum EmailBytes {
    /// All of them, proved.
    Whole(Vec<u8>),
    /// Too many: they are read piece by piece, once [`Reader::prove`] found them sound.
    Large(Blob),
}

impl Reader {
    /// The bytes of an email in one question: whole if they are no more than `limit`.
    ///
    /// The bytes of a row never change, so they are found whichever snapshot the row belongs to.
    ///
    /// Errors: [`ErrorKind::Damaged`] if there is no such row, or the bytes are not what was stored.
    pub fn email_bytes(&self, row: Id, limit: u64) -> Result<EmailBytes> {
        self.refuse_two_emails(row)?;
        let found = self.with(|conn| match find_email(conn, row, SELECT_MAX)? {
            Some((blob, None)) if blob.size <= limit => Ok(Some((blob, Some(blob::read(conn, &blob, 0, blob.size)?)))),
            found => Ok(found),
        })?;
        self.judge(found.ok_or_else(|| self.no_bytes(row))?)
    }

    /// A cursor for reading many emails in a row.
    pub fn open_emails(self: &Arc<Reader>) -> EmailReader {
        EmailReader { reader: Arc::clone(self), value: None }
    }

    fn judge(&self, found: (Blob, Option<Vec<u8>>)) -> Result<EmailBytes> {
        match found {
            (blob, None) => Ok(EmailBytes::Large(blob)),
            (blob, Some(bytes)) if self.is_proved(&blob, &bytes) => Ok(EmailBytes::Whole(bytes)),
            (blob, Some(_)) => Err(blob::damaged(&blob)),
        }
    }

    /// The first bytes of an email, at most `limit` of them; not proved.
    pub fn email_head(&self, row: Id, limit: u64) -> Result<Vec<u8>> {
        self.refuse_two_emails(row)?;
        let head = self.with(|conn| match find_email(conn, row, limit)? {
            Some((blob, None)) => Ok(Some(blob::read(conn, &blob, 0, limit)?)),
            found => Ok(found.and_then(|(_, bytes)| bytes)),
        })?;
        head.ok_or_else(|| self.no_bytes(row))
    }

    /// Where the bytes of an email stand.
    pub fn email_blob(&self, row: Id) -> Result<Blob> {
        self.refuse_two_emails(row)?;
        let found = self.with(|conn| find_email(conn, row, 0))?;
        found.map(|(blob, _)| blob).ok_or_else(|| self.no_bytes(row))
    }

    /// Errors if 1.x gave the number of a former email to a new one (FORMAT.md, "After 1.x").
    fn refuse_two_emails(&self, row: Id) -> Result<()> {
        if !self.shape().is_after_1x() {
            return Ok(());
        }
        match self.with(|conn| v1::has_two_emails(conn, row))? {
            false => Ok(()),
            true => Err(Error::new(
                ErrorKind::Unreadable,
                format!("archive {}: vandelay 1.x gave the number {row} to two emails", self.path.display()),
            )
            .hint("the next import corrects this")),
        }
    }

    fn no_bytes(&self, row: Id) -> Error {
        Error::new(ErrorKind::Damaged, format!("archive {} has no bytes of email {row}", self.path.display()))
    }
}

/// The blob of an email, and its bytes if they stand in one value of no more than `inline`. `None` if there is no such
/// row, or what stands there is of a type that no bytes have.
fn find_email(conn: &Connection, row: Id, inline: u64) -> rusqlite::Result<Option<(Blob, Option<Vec<u8>>)>> {
    const COLUMNS: &str = "b.id, CASE WHEN typeof(b.hash) = 'blob' AND length(b.hash) = 32 THEN b.hash END,
        typeof(b.data), length(b.data), CASE WHEN typeof(b.data) = 'blob' AND length(b.data) <= ?2 THEN b.data END";
    let ask = |from: &str| -> rusqlite::Result<_> {
        conn.prepare_cached(&format!("SELECT {COLUMNS} FROM {from}"))?
            .query_row(params![row, inline as i64], |row| {
                let digest = Digest(row.get::<_, Option<[u8; 32]>>(1)?.unwrap_or_default());
                let size = row.get::<_, i64>(3)?.max(0) as u64;
                Ok((row.get::<_, String>(2)?, Blob { id: row.get(0)?, digest, size, chunked: false }, row.get(4)?))
            })
            .optional()
    };
    let found = match ask("emails e JOIN blobs b ON b.id = e.blob_id WHERE e.id = ?1")? {
        None => {
            let then = "history h JOIN blobs b ON b.id = h.blob_id WHERE h.kind = 'Email' AND h.id = ?1 ORDER BY h.first DESC LIMIT 1";
            ask(then).or_else(|error| if blob::no_such_table(&error) { Ok(None) } else { Err(error) })?
        }
        found => found,
    };
    match found {
        Some((kind, blob, bytes)) if kind == "blob" => Ok(Some((blob, bytes))),
        Some((kind, blob, _)) if kind == "text" => Ok(blob::find(conn, blob.id)?.map(|chunked| (chunked, None))),
        _ => Ok(None),
    }
}

/// Reads a blob at growing offsets without walking it from its start each time.
pub struct BlobReader {
    pub(super) reader: Arc<Reader>,
    pub(super) blob: Blob,
    value: Option<OpenValue>,
    /// The last piece: fresh memory for each would cost as much as reading it.
    buffer: Vec<u8>,
}

impl BlobReader {
    /// True if this reads that blob of that archive.
    pub fn reads(&self, reader: &Arc<Reader>, blob: &Blob) -> bool {
        Arc::ptr_eq(&self.reader, reader) && self.blob == *blob
    }

    /// Reads up to `buffer.len()` bytes at `offset`; fewer only at the end. The bytes are not proved.
    pub fn read_at(&mut self, offset: u64, buffer: &mut [u8]) -> Result<usize> {
        if self.blob.chunked {
            return self.read_once(offset, buffer);
        }
        let wanted = (self.blob.size.saturating_sub(offset)).min(buffer.len() as u64) as usize;
        for _ in 0..TRIES {
            let value = match self.value.take().map_or_else(|| self.open(), Ok) {
                Ok(value) => value,
                // The archive is not at its path any more, but there are connections to it.
                Err(_) if self.reader.trace().is_none() => return self.read_once(offset, &mut buffer[..wanted]),
                Err(error) => return Err(error),
            };
            let result =
                value.with_dependent(|_, blob| blob.lock().read_at_exact(&mut buffer[..wanted], offset as usize));
            if self.reader.is_current(&value.borrow_owner().fingerprint) {
                result.map_err(|error| explain(&self.reader.path, error))?;
                self.value = Some(value).filter(may_stay_open);
                return Ok(wanted);
            }
        }
        Err(self.reader.restless())
    }

    /// The same through a connection of the pool.
    fn read_once(&self, offset: u64, buffer: &mut [u8]) -> Result<usize> {
        let blob = self.blob;
        let bytes = self.reader.with(|conn| blob::read(conn, &blob, offset, buffer.len() as u64))?;
        let count = bytes.len().min(buffer.len());
        buffer[..count].copy_from_slice(&bytes[..count]);
        Ok(count)
    }

    /// The bytes at `offset`, `length` of them, which have to be there. They are not proved.
    pub(super) fn piece(&mut self, offset: u64, length: usize) -> Result<&[u8]> {
        let mut buffer = std::mem::take(&mut self.buffer);
        buffer.resize(buffer.len().max(length), 0);
        let count = self.read_at(offset, &mut buffer[..length]);
        self.buffer = buffer;
        if count? < length {
            return Err(blob::damaged(&self.blob));
        }
        Ok(&self.buffer[..length])
    }

    fn open(&self) -> Result<OpenValue> {
        open_value(self.reader.connect()?, self.blob.id).map_err(|error| explain(&self.reader.path, error))
    }
}

fn open_value(pooled: Pooled, blob: Id) -> rusqlite::Result<OpenValue> {
    pooled.conn.restart_budget();
    OpenValue::try_new(pooled, |pooled| {
        pooled.conn.conn.blob_open(MAIN_DB, "blobs", "data", blob, true).map(Mutex::new)
    })
}

/// An open value is an open transaction: it would keep a log from shrinking, and a writer of 1.x out.
fn may_stay_open(value: &OpenValue) -> bool {
    value.borrow_owner().conn.is_immutable
}

/// Reads one email after the other through one open value that is moved to the next: a fifth of what opening each
/// costs. It belongs to one thread, as SQLite's handles do.
pub struct EmailReader {
    reader: Arc<Reader>,
    value: Option<OpenValue>,
}

impl EmailReader {
    /// True if this reads that archive.
    pub fn reads(&self, reader: &Arc<Reader>) -> bool {
        Arc::ptr_eq(&self.reader, reader)
    }

    /// As [`Reader::email_bytes`].
    pub fn bytes(&mut self, row: Id, limit: u64) -> Result<EmailBytes> {
        match self.value.take() {
            Some(_) if self.reader.shape().is_after_1x() => {}
            Some(value) => {
                // After any error the plain way below asks again, and knows what to say.
                if let Ok(Some(found)) = through(&value, row, limit)
                    && self.reader.is_current(&value.borrow_owner().fingerprint)
                {
                    self.value = Some(value);
                    return self.reader.judge(found);
                }
            }
            None => self.value = self.open(row),
        }
        self.reader.email_bytes(row, limit)
    }

    /// An open value for the next email. `None` while a program writes to the archive.
    fn open(&self, row: Id) -> Option<OpenValue> {
        if !self.reader.is_quiet() {
            return None;
        }
        let pooled = self.reader.connect().ok().filter(|pooled| pooled.conn.is_immutable)?;
        let (blob, _) = find_email(&pooled.conn.conn, row, 0).ok()??;
        open_value(pooled, blob.id).ok()
    }
}

fn through(value: &OpenValue, row: Id, limit: u64) -> rusqlite::Result<Option<(Blob, Option<Vec<u8>>)>> {
    let pooled = value.borrow_owner();
    pooled.conn.restart_budget();
    let Some((blob, _)) = find_email(&pooled.conn.conn, row, 0)? else { return Ok(None) };
    if blob.chunked || blob.size > limit {
        return Ok(Some((blob, None)));
    }
    value.with_dependent(|_, open| {
        let mut open = open.lock();
        open.reopen(blob.id)?;
        let mut bytes = vec![0; blob.size as usize];
        open.read_at_exact(&mut bytes, 0)?;
        Ok(Some((blob, Some(bytes))))
    })
}
