//! The bytes of the tree's files: where they come from, and a bounded cache of those that are costly to read again.

use crate::archive::{Blob, BlobKey, BlobReader, EmailBytes, EmailReader, Reader};
use crate::error::{Error, ErrorKind, Result};
use crate::model::Id;
use lru::LruCache;
use parking_lot::Mutex;
use std::cell::RefCell;
use std::collections::VecDeque;
use std::fs::File;
use std::ops::{Deref, Range};
use std::os::unix::fs::FileExt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Weak};

/// Files up to this size (or up to half of the cache, if that is less) are read, verified and kept whole. Larger ones are
/// read and verified piece by piece.
const WHOLE_MAX: u64 = 1 << 20;

/// The same for a blob that many files are ranges of.
const SHARED_MAX: u64 = 64 << 20;

/// How many files are kept. A process that stops in the middle of a file, as `grep -l` does, leaves it behind here.
const FILES_MAX: usize = 32;

/// How many large blobs, and how many archives for reading emails, a thread keeps open.
const OPEN_MAX: usize = 4;
const EMAILS_MAX: usize = 2;

/// Where the bytes of a file are.
#[derive(Debug, Clone)]
pub(super) enum Content {
    Blob(Blob),
    /// Ranges of a blob, one after the other.
    Ranges(Blob, Arc<[(u64, u64)]>),
    Memory(Arc<[u8]>),
    /// An unnamed file with this many bytes.
    Spool(Arc<File>, u64),
}

impl Content {
    /// The number of bytes.
    pub(super) fn size(&self) -> u64 {
        match self {
            Content::Blob(blob) => blob.size,
            Content::Ranges(_, ranges) => ranges.iter().map(|(start, end)| end.saturating_sub(*start)).sum(),
            Content::Memory(bytes) => bytes.len() as u64,
            Content::Spool(_, size) => *size,
        }
    }
}

/// The file whose bytes are kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum ContentKey {
    Blob(BlobKey),
    Email(Id),
    /// An email, decoded.
    Text(Id),
    /// A part of an email.
    Attachment(Id, u32),
}

/// A counter that any thread may add to.
#[derive(Debug, Default)]
pub struct Count(AtomicU64);

impl Count {
    /// Adds to the counter.
    pub fn add(&self, more: u64) {
        self.0.fetch_add(more, Ordering::Relaxed);
    }

    /// The number so far.
    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// How much was read so far, and from where.
#[derive(Debug, Default)]
pub struct Counters {
    /// Bytes handed out.
    pub served: Count,
    /// Files read from the archive, or decoded.
    pub fetched: Count,
    /// Bytes of them.
    pub fetched_bytes: Count,
    /// Requests answered from the cache.
    pub kept: Count,
}

impl Counters {
    /// Adds the numbers of another one.
    pub fn add(&self, other: &Counters) {
        self.served.add(other.served.get());
        self.fetched.add(other.fetched.get());
        self.fetched_bytes.add(other.fetched_bytes.get());
        self.kept.add(other.kept.get());
    }
}

/// Reads contents, and keeps up to a number of bytes of them.
///
/// The kernel caches what it was given, so it seldom asks for a byte twice. This cache keeps files that need several
/// requests, until their last byte is handed out, and files that cost much to make.
pub(super) struct ContentCache {
    reader: Arc<Reader>,
    limit: u64,
    kept: Mutex<CachedFiles>,
    alive: Arc<()>,
    pub counters: Counters,
}

thread_local! {
    /// Large blobs that this thread reads, newest first. SQLite's handles may not change threads.
    static OPEN: RefCell<VecDeque<ThreadReader<BlobReader>>> = const { RefCell::new(VecDeque::new()) };
    /// The archives that this thread reads emails of, newest first.
    static EMAILS: RefCell<VecDeque<ThreadReader<EmailReader>>> = const { RefCell::new(VecDeque::new()) };
}

/// A reader that a thread keeps for a cache. The thread drops it at its next read after the cache is gone: an archive that
/// was replaced must not take room on the disk for good.
struct ThreadReader<T> {
    cache: Weak<()>,
    reader: T,
}

/// Reads with the reader that fits, or a new one, and keeps it as the newest of `max`.
fn with_reader<T, R>(
    readers: &mut VecDeque<ThreadReader<T>>,
    max: usize,
    cache: &Arc<()>,
    fits: impl Fn(&T) -> bool,
    make: impl FnOnce() -> T,
    read: impl FnOnce(&mut T) -> R,
) -> R {
    readers.retain(|one| one.cache.strong_count() > 0);
    let known = readers.iter().position(|one| fits(&one.reader)).and_then(|at| readers.remove(at));
    let mut one = known.unwrap_or_else(|| ThreadReader { cache: Arc::downgrade(cache), reader: make() });
    let answer = read(&mut one.reader);
    readers.push_front(one);
    readers.truncate(max);
    answer
}

/// Bytes of a file: all that was read, or a part of a file that is kept.
#[derive(Debug, Clone)]
pub struct Bytes {
    whole: Arc<Vec<u8>>,
    part: Range<usize>,
}

impl Deref for Bytes {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.whole[self.part.clone()]
    }
}

impl From<Vec<u8>> for Bytes {
    fn from(bytes: Vec<u8>) -> Bytes {
        Bytes { part: 0..bytes.len(), whole: Arc::new(bytes) }
    }
}

/// The result of a read.
pub enum ReadResult {
    /// The bytes asked for; fewer at the end of the file.
    Bytes(Bytes),
    /// The file is read piece by piece, in one thread: each thread would have to find its own way through it.
    Large(Blob),
}

/// Files that are kept whole.
struct CachedFiles {
    bytes: u64,
    files: LruCache<ContentKey, CachedFile>,
}

/// All bytes of a file, and how many of them were handed out.
struct CachedFile {
    bytes: Arc<Vec<u8>>,
    served: u64,
}

impl ContentCache {
    /// A reader of contents that keeps at most `limit` bytes.
    pub(super) fn new(reader: Arc<Reader>, limit: u64) -> ContentCache {
        let kept = Mutex::new(CachedFiles { bytes: 0, files: LruCache::unbounded() });
        ContentCache { reader, limit, kept, alive: Arc::default(), counters: Counters::default() }
    }

    /// Bytes from `offset` on, `length` of them or up to the end.
    ///
    /// Errors: [`ErrorKind::Damaged`] if the hash of a blob is wrong.
    pub(super) fn read(&self, content: &Content, offset: u64, length: usize) -> Result<ReadResult> {
        let length = content.size().saturating_sub(offset).min(length as u64) as usize;
        if length == 0 {
            return Ok(ReadResult::Bytes(Vec::new().into()));
        }
        let bytes = match content {
            Content::Blob(blob) if blob.size > self.whole_max() => return Ok(ReadResult::Large(*blob)),
            Content::Blob(blob) => self.read_blob(blob, offset, length)?,
            Content::Ranges(blob, ranges) => self.read_ranges(blob, ranges, offset, length)?.into(),
            Content::Memory(bytes) => bytes[offset as usize..offset as usize + length].to_vec().into(),
            Content::Spool(file, _) => {
                let mut buffer = vec![0; length];
                file.read_exact_at(&mut buffer, offset)
                    .map_err(|error| Error::io("cannot read back a rendered file", error))?;
                buffer.into()
            }
        };
        Ok(ReadResult::Bytes(bytes))
    }

    /// Bytes of an email from `offset` on, `length` of them or up to the end: one query of the archive for most.
    ///
    /// Errors: [`ErrorKind::Damaged`] if their hash is wrong.
    pub(super) fn read_email(&self, row: Id, offset: u64, length: usize) -> Result<ReadResult> {
        if let Some(bytes) = self.cut(ContentKey::Email(row), offset, length) {
            return Ok(ReadResult::Bytes(bytes));
        }
        Ok(match self.email(row, self.whole_max())? {
            EmailBytes::Whole(bytes) => ReadResult::Bytes(self.hand_out(ContentKey::Email(row), bytes, offset, length)),
            EmailBytes::Large(blob) => ReadResult::Large(blob),
        })
    }

    /// All bytes of an email, if they are no more than `limit`.
    pub(super) fn read_ahead(&self, row: Id, limit: u64) -> Result<Option<Bytes>> {
        match self.email(row, limit)? {
            EmailBytes::Whole(bytes) => {
                self.fetched(bytes.len());
                Ok(Some(bytes.into()))
            }
            EmailBytes::Large(_) => Ok(None),
        }
    }

    fn email(&self, row: Id, limit: u64) -> Result<EmailBytes> {
        let reader = &self.reader;
        EMAILS.with_borrow_mut(|emails| {
            let fits = |known: &EmailReader| known.reads(reader);
            with_reader(
                emails,
                EMAILS_MAX,
                &self.alive,
                fits,
                || reader.open_emails(),
                |emails| emails.bytes(row, limit),
            )
        })
    }

    /// All bytes of a file that has to be made, kept until newer ones push them out.
    pub(super) fn made(&self, key: ContentKey, make: impl FnOnce() -> Result<Vec<u8>>) -> Result<Arc<Vec<u8>>> {
        if let Some(whole) = self.kept.lock().files.get(&key) {
            self.counters.kept.add(1);
            return Ok(Arc::clone(&whole.bytes));
        }
        let bytes = Arc::new(make()?);
        self.fetched(bytes.len());
        self.keep(key, &bytes, 0);
        Ok(bytes)
    }

    /// Bytes of a file that has to be made, from `offset` on.
    pub(super) fn read_made(
        &self,
        key: ContentKey,
        offset: u64,
        length: usize,
        make: impl FnOnce() -> Result<Vec<u8>>,
    ) -> Result<Bytes> {
        match self.cut(key, offset, length) {
            Some(bytes) => Ok(bytes),
            None => Ok(self.hand_out(key, make()?, offset, length)),
        }
    }

    /// The largest file that is held whole.
    fn whole_max(&self) -> u64 {
        WHOLE_MAX.min(self.limit / 2)
    }

    fn fetched(&self, bytes: usize) {
        self.counters.fetched.add(1);
        self.counters.fetched_bytes.add(bytes as u64);
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
            bytes.extend_from_slice(&self.read_shared(blob, start + skip, part)?);
            skip = 0;
        }
        if bytes.len() == length {
            Ok(bytes)
        } else {
            Err(Error::new(ErrorKind::Damaged, format!("blob {} is shorter than what refers to it", blob.id)))
        }
    }

    /// A part of a blob that may hold many files, as the events of one .ics: it stays in the cache after its last byte.
    fn read_shared(&self, blob: &Blob, offset: u64, length: usize) -> Result<Bytes> {
        if blob.size > SHARED_MAX.min(self.limit / 2) {
            return self.hand_out_large(blob, offset, length, |bytes| bytes.to_vec().into());
        }
        self.read_blob(blob, offset, length)
    }

    fn read_blob(&self, blob: &Blob, offset: u64, length: usize) -> Result<Bytes> {
        let bytes = self.made(ContentKey::Blob(blob.key()), || self.reader.whole(blob))?;
        Ok(cut(&bytes, offset, length))
    }

    /// Hands out a part of a blob that is too large to be held whole, as [`BlobReader::proved_at`] does.
    pub(super) fn hand_out_large<T>(
        &self,
        blob: &Blob,
        offset: u64,
        length: usize,
        out: impl FnOnce(&[u8]) -> T,
    ) -> Result<T> {
        let reader = &self.reader;
        OPEN.with_borrow_mut(|open| {
            let fits = |known: &BlobReader| known.reads(reader, blob);
            let make = || reader.open_blob(*blob);
            with_reader(open, OPEN_MAX, &self.alive, fits, make, |open| open.proved_at(offset, length, out))
        })
    }

    /// A part of a file that is kept. The file is dropped with its last byte.
    fn cut(&self, key: ContentKey, offset: u64, length: usize) -> Option<Bytes> {
        let mut kept = self.kept.lock();
        let whole = kept.files.get_mut(&key)?;
        self.counters.kept.add(1);
        let bytes = Arc::clone(&whole.bytes);
        whole.served += part(&bytes, offset, length).len() as u64;
        if whole.served >= bytes.len() as u64 {
            kept.bytes -= bytes.len() as u64;
            kept.files.pop(&key);
        }
        drop(kept);
        Some(cut(&bytes, offset, length))
    }

    /// A part of a file that was just read; the file is kept if there is more of it.
    fn hand_out(&self, key: ContentKey, mut bytes: Vec<u8>, offset: u64, length: usize) -> Bytes {
        self.fetched(bytes.len());
        if offset == 0 && length >= bytes.len() {
            return bytes.into();
        }
        bytes.shrink_to_fit();
        let bytes = Arc::new(bytes);
        let part = cut(&bytes, offset, length);
        self.keep(key, &bytes, part.len() as u64);
        part
    }

    fn keep(&self, key: ContentKey, bytes: &Arc<Vec<u8>>, served: u64) {
        let mut kept = self.kept.lock();
        kept.bytes += bytes.len() as u64;
        if let Some(replaced) = kept.files.put(key, CachedFile { bytes: Arc::clone(bytes), served }) {
            kept.bytes -= replaced.bytes.len() as u64;
        }
        while kept.bytes > self.limit || kept.files.len() > FILES_MAX {
            let Some((_, oldest)) = kept.files.pop_lru() else { break };
            kept.bytes -= oldest.bytes.len() as u64;
        }
    }
}

fn part(bytes: &[u8], offset: u64, length: usize) -> Range<usize> {
    let start = (bytes.len() as u64).min(offset) as usize;
    start..start + (bytes.len() - start).min(length)
}

fn cut(bytes: &Arc<Vec<u8>>, offset: u64, length: usize) -> Bytes {
    Bytes { part: part(bytes, offset, length), whole: Arc::clone(bytes) }
}
