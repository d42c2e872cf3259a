//! The bytes of a file of the tree: where they stand, and a bounded memory of those that are costly to get again.

use super::lock;
use crate::archive::{Blob, BlobReader, Reader};
use crate::error::{Error, Kind as Fault, Result};
use crate::model::Id;
use lru::LruCache;
use std::cell::RefCell;
use std::collections::VecDeque;
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::sync::{Arc, Mutex};

/// Blobs up to this size are read, proved and kept whole.
const WHOLE_MAX: u64 = 4 << 20;

/// How many large blobs a thread keeps open for reading on.
const OPEN_MAX: usize = 8;

/// Where the bytes of a file stand.
#[derive(Debug, Clone)]
pub enum Content {
    Blob(Blob),
    /// Ranges of a blob, one after the other.
    Ranges(Blob, Arc<[(u64, u64)]>),
    Memory(Arc<[u8]>),
    /// An unnamed file with this many bytes.
    Spool(Arc<File>, u64),
}

impl Content {
    /// The number of bytes.
    pub fn size(&self) -> u64 {
        match self {
            Content::Blob(blob) => blob.size,
            Content::Ranges(_, ranges) => ranges.iter().map(|(start, end)| end.saturating_sub(*start)).sum(),
            Content::Memory(bytes) => bytes.len() as u64,
            Content::Spool(_, size) => *size,
        }
    }
}

/// Reads contents, keeping up to a number of bytes of what was read.
pub struct Shop {
    reader: Arc<Reader>,
    limit: u64,
    kept: Mutex<Kept>,
}

thread_local! {
    /// Large blobs that this thread reads, newest first. SQLite's handles may not change threads.
    static OPEN: RefCell<VecDeque<BlobReader>> = const { RefCell::new(VecDeque::new()) };
}

struct Kept {
    bytes: u64,
    blobs: LruCache<Id, Arc<Vec<u8>>>,
}

impl Shop {
    /// A reader of contents that keeps at most `limit` bytes.
    pub fn new(reader: Arc<Reader>, limit: u64) -> Shop {
        Shop { reader, limit, kept: Mutex::new(Kept { bytes: 0, blobs: LruCache::unbounded() }) }
    }

    /// Bytes from `offset` on, `length` of them or up to the end.
    ///
    /// Errors: [`Fault::Damaged`] if a blob does not hash to what it should.
    pub fn read(&self, content: &Content, offset: u64, length: usize) -> Result<Vec<u8>> {
        let length = content.size().saturating_sub(offset).min(length as u64) as usize;
        if length == 0 {
            return Ok(Vec::new());
        }
        match content {
            Content::Blob(blob) => self.read_blob(blob, offset, length),
            Content::Ranges(blob, ranges) => self.read_ranges(blob, ranges, offset, length),
            Content::Memory(bytes) => Ok(bytes[offset as usize..offset as usize + length].to_vec()),
            Content::Spool(file, _) => {
                let mut buffer = vec![0; length];
                file.read_exact_at(&mut buffer, offset)
                    .map_err(|error| Error::io("cannot read back a rendered file", error))?;
                Ok(buffer)
            }
        }
    }

    fn read_ranges(&self, blob: &Blob, ranges: &[(u64, u64)], offset: u64, length: usize) -> Result<Vec<u8>> {
        let mut bytes = Vec::with_capacity(length);
        let mut skip = offset;
        for (start, end) in ranges {
            let size = end.saturating_sub(*start);
            if skip >= size {
                skip -= size;
                continue;
            }
            if bytes.len() == length {
                break;
            }
            let part = ((size - skip) as usize).min(length - bytes.len());
            bytes.extend(self.read_blob(blob, start + skip, part)?);
            skip = 0;
        }
        if bytes.len() == length {
            Ok(bytes)
        } else {
            Err(Error::new(Fault::Damaged, format!("blob {} is shorter than what refers to it", blob.id)))
        }
    }

    fn read_blob(&self, blob: &Blob, offset: u64, length: usize) -> Result<Vec<u8>> {
        if blob.size <= WHOLE_MAX.min(self.limit / 4) {
            let bytes = self.whole(blob)?;
            let end = (offset as usize).saturating_add(length).min(bytes.len());
            return Ok(bytes.get(offset as usize..end).unwrap_or_default().to_vec());
        }
        self.reader.prove(blob)?;
        OPEN.with_borrow_mut(|open| {
            let known = open.iter().position(|known| known.reads(&self.reader, blob));
            let mut reader = known.and_then(|at| open.remove(at)).unwrap_or_else(|| self.reader.open_blob(*blob));
            let mut buffer = vec![0; length];
            let count = reader.read_at(offset, &mut buffer)?;
            buffer.truncate(count);
            open.push_front(reader);
            open.truncate(OPEN_MAX);
            Ok(buffer)
        })
    }

    fn whole(&self, blob: &Blob) -> Result<Arc<Vec<u8>>> {
        if let Some(bytes) = lock(&self.kept).blobs.get(&blob.id) {
            return Ok(Arc::clone(bytes));
        }
        let bytes = Arc::new(self.reader.whole(blob)?);
        let mut kept = lock(&self.kept);
        kept.bytes += bytes.len() as u64;
        if let Some(replaced) = kept.blobs.put(blob.id, Arc::clone(&bytes)) {
            kept.bytes -= replaced.len() as u64;
        }
        while kept.bytes > self.limit {
            let Some((_, oldest)) = kept.blobs.pop_lru() else { break };
            kept.bytes -= oldest.len() as u64;
        }
        Ok(bytes)
    }
}
