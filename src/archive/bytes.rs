//! Reading blobs: whole and proved, or piece by piece.

use super::blob::{self, Blob};
use super::connect::{Mode, explain};
use super::read::{Pooled, Reader, TRIES, lock};
use crate::error::{Error, Kind as Fault, Result};
use crate::model::{Digest, Id};
use rusqlite::{Connection, MAIN_DB, OptionalExtension, params};
use self_cell::self_cell;
use std::sync::{Arc, Mutex};

self_cell!(
    /// A connection with an open value: reading on is cheap, opening it anew would walk the value from its start.
    struct OpenValue {
        owner: Pooled,
        #[not_covariant]
        dependent: OpenBlob,
    }
);

type OpenBlob<'conn> = Mutex<rusqlite::blob::Blob<'conn>>;

/// What the blobs of an archive add up to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
pub struct Statistics {
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
    /// What the blobs add up to.
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
                Fault::Damaged,
                format!("archive {} has no blob {id}, though something refers to it", self.path.display()),
            )
        })
    }

    /// All bytes of a blob, proved against its digest. The caller bounds the size.
    pub fn whole(&self, blob: &Blob) -> Result<Vec<u8>> {
        match self.with(|conn| blob::read(conn, blob, 0, blob.size)) {
            Ok(bytes) if Digest::of(&bytes) == blob.digest => Ok(bytes),
            Err(error) if error.kind != Fault::Damaged => Err(error),
            _ => Err(blob::damaged(blob)),
        }
    }

    /// Errors if the bytes of a blob do not match its digest. Proved once per blob and reader.
    pub fn prove(&self, blob: &Blob) -> Result<()> {
        if lock(&self.sound).contains(&blob.id) {
            return Ok(());
        }
        if lock(&self.bad).contains(&blob.id) {
            return Err(blob::damaged(blob));
        }
        if self.with(|conn| blob::is_sound(conn, blob))? {
            lock(&self.sound).insert(blob.id);
            Ok(())
        } else {
            lock(&self.bad).insert(blob.id);
            Err(blob::damaged(blob))
        }
    }

    /// A cursor for reading a large blob piece by piece.
    pub fn open_blob(self: &Arc<Reader>, blob: Blob) -> BlobReader {
        BlobReader { reader: Arc::clone(self), blob, value: None }
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
    /// Errors: [`Fault::Damaged`] if there is no such row, or the bytes are not what was stored.
    pub fn email_bytes(&self, row: Id, limit: u64) -> Result<EmailBytes> {
        let found = self.with(|conn| match find_email(conn, row, SELECT_MAX)? {
            Some((blob, None)) if blob.size <= limit => Ok(Some((blob, Some(blob::read(conn, &blob, 0, blob.size)?)))),
            found => Ok(found),
        })?;
        match found {
            None => Err(self.no_bytes(row)),
            Some((blob, None)) => Ok(EmailBytes::Large(blob)),
            Some((blob, Some(bytes))) if self.is_proved(&blob, &bytes) => Ok(EmailBytes::Whole(bytes)),
            Some((blob, Some(_))) => Err(blob::damaged(&blob)),
        }
    }

    /// The first bytes of an email, at most `limit` of them; not proved.
    pub fn email_head(&self, row: Id, limit: u64) -> Result<Vec<u8>> {
        let head = self.with(|conn| match find_email(conn, row, limit)? {
            Some((blob, None)) => Ok(Some(blob::read(conn, &blob, 0, limit)?)),
            found => Ok(found.and_then(|(_, bytes)| bytes)),
        })?;
        head.ok_or_else(|| self.no_bytes(row))
    }

    /// Where the bytes of an email stand.
    pub fn email_blob(&self, row: Id) -> Result<Blob> {
        let found = self.with(|conn| find_email(conn, row, 0))?;
        found.map(|(blob, _)| blob).ok_or_else(|| self.no_bytes(row))
    }

    fn no_bytes(&self, row: Id) -> Error {
        Error::new(Fault::Damaged, format!("archive {} has no bytes of email {row}", self.path.display()))
    }

    fn is_proved(&self, blob: &Blob, bytes: &[u8]) -> bool {
        if lock(&self.sound).contains(&blob.id) {
            return true;
        }
        let sound = Digest::of(bytes) == blob.digest;
        if sound {
            lock(&self.sound).insert(blob.id);
        }
        sound
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
    reader: Arc<Reader>,
    blob: Blob,
    value: Option<OpenValue>,
}

impl BlobReader {
    /// True if this reads that blob of that archive.
    pub fn reads(&self, reader: &Arc<Reader>, blob: &Blob) -> bool {
        Arc::ptr_eq(&self.reader, reader) && self.blob.id == blob.id
    }

    /// Reads up to `buffer.len()` bytes at `offset`; fewer only at the end. The bytes are not proved.
    pub fn read_at(&mut self, offset: u64, buffer: &mut [u8]) -> Result<usize> {
        if self.blob.chunked {
            let blob = self.blob;
            let length = buffer.len() as u64;
            let bytes = self.reader.with(|conn| blob::read(conn, &blob, offset, length))?;
            buffer[..bytes.len()].copy_from_slice(&bytes);
            return Ok(bytes.len());
        }
        let wanted = (self.blob.size.saturating_sub(offset)).min(buffer.len() as u64) as usize;
        for _ in 0..TRIES {
            let value = match self.value.take() {
                Some(value) => value,
                None => self.open()?,
            };
            let result =
                value.with_dependent(|_, blob| lock(blob).read_at_exact(&mut buffer[..wanted], offset as usize));
            let fingerprint = value.borrow_owner().fingerprint;
            if fingerprint.mode() == Mode::Live || self.reader.unchanged_since(&fingerprint) {
                result.map_err(|error| explain(&self.reader.path, error))?;
                // An open value is an open transaction: while somebody writes it would keep the log from shrinking.
                self.value = Some(value).filter(|_| fingerprint.mode() != Mode::Live);
                return Ok(wanted);
            }
        }
        Err(Error::new(Fault::Locked, format!("archive {} is being changed all the time", self.reader.path.display())))
    }

    fn open(&self) -> Result<OpenValue> {
        let pooled = self.reader.checkout()?;
        pooled.conn.restart_budget();
        OpenValue::try_new(pooled, |pooled| {
            pooled.conn.conn.blob_open(MAIN_DB, "blobs", "data", self.blob.id, true).map(Mutex::new)
        })
        .map_err(|error| explain(&self.reader.path, error))
    }
}
