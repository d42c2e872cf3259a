//! Reading a source of any size by stretches.

use super::line::FROM;
use std::fs::File;
use std::io;
use std::ops::Range;
use std::os::unix::fs::FileExt;

/// Bytes read at once while looking for separators.
pub(super) const WINDOW: usize = 256 << 10;
/// Bytes read at once beside the window.
pub(super) const ASIDE: usize = 16 << 10;

/// Bytes that can be read at any offset: a file, or a slice in memory.
pub trait ReadAt {
    /// Reads some bytes at `offset` into `buf`. Zero means the end.
    fn read_at(&self, buf: &mut [u8], offset: u64) -> io::Result<usize>;
}

impl ReadAt for File {
    fn read_at(&self, buf: &mut [u8], offset: u64) -> io::Result<usize> {
        FileExt::read_at(self, buf, offset)
    }
}

impl ReadAt for [u8] {
    fn read_at(&self, buf: &mut [u8], offset: u64) -> io::Result<usize> {
        let rest = usize::try_from(offset).ok().and_then(|offset| self.get(offset..)).unwrap_or_default();
        let len = rest.len().min(buf.len());
        buf[..len].copy_from_slice(&rest[..len]);
        Ok(len)
    }
}

/// Hands the bytes of `range` to `sink`, piece by piece, and returns how many there were: fewer than asked for when
/// the source ends before. `piece` is the buffer to use; it grows to 256 KiB at most.
pub fn copy<S: ReadAt + ?Sized>(
    source: &S,
    range: Range<u64>,
    piece: &mut Vec<u8>,
    sink: &mut dyn io::Write,
) -> io::Result<u64> {
    let whole = range.end.saturating_sub(range.start);
    let size = usize::try_from(whole).unwrap_or(WINDOW).min(WINDOW);
    if piece.len() < size {
        piece.resize(size, 0);
    }
    let mut done = 0;
    while done < whole {
        let want = usize::try_from(whole - done).unwrap_or(size).min(size);
        let read = retry(|| source.read_at(&mut piece[..want], range.start + done))?;
        if read == 0 {
            break;
        }
        sink.write_all(&piece[..read])?;
        done += read as u64;
    }
    Ok(done)
}

/// The stretch of the source at hand, and a smaller one for looks ahead and back.
pub(super) struct Window<'a, S: ReadAt + ?Sized> {
    source: &'a S,
    main: Stretch,
    aside: Stretch,
}

/// Bytes of the source.
struct Stretch {
    start: u64,
    bytes: Vec<u8>,
    len: usize,
}

impl Stretch {
    fn new(size: usize) -> Stretch {
        Stretch { start: 0, bytes: vec![0; size], len: 0 }
    }

    fn read<S: ReadAt + ?Sized>(&mut self, source: &S, offset: u64) -> io::Result<()> {
        self.start = offset;
        self.len = 0;
        self.len = fill(source, &mut self.bytes, offset)?;
        Ok(())
    }

    /// Where in `bytes` the `len` bytes at `offset` are, fewer if the source ends.
    fn find(&self, offset: u64, len: usize) -> Option<Range<usize>> {
        let start = usize::try_from(offset.checked_sub(self.start)?).ok()?;
        let end = start.checked_add(len)?;
        // A window that is not full ends where the source ends.
        let at_end = self.len > 0 && self.len < self.bytes.len() && start <= self.len;
        (end <= self.len || at_end).then(|| start..end.min(self.len))
    }
}

impl<'a, S: ReadAt + ?Sized> Window<'a, S> {
    pub(super) fn new(source: &'a S) -> Window<'a, S> {
        Window { source, main: Stretch::new(WINDOW), aside: Stretch::new(ASIDE) }
    }

    /// The bytes at `offset`, as many as are at hand: fewer than `From ` has only at the end of the source.
    pub(super) fn load(&mut self, offset: u64) -> io::Result<&[u8]> {
        let start = match self.main.find(offset, FROM.len()) {
            Some(found) => found.start,
            None => {
                self.main.read(self.source, offset)?;
                0
            }
        };
        Ok(&self.main.bytes[start..self.main.len])
    }

    /// `len` bytes at `offset`, at most 16 KiB, fewer only at the end of the source. Does not move the window.
    pub(super) fn probe(&mut self, offset: u64, len: usize) -> io::Result<&[u8]> {
        let len = len.min(ASIDE);
        if let Some(found) = self.main.find(offset, len) {
            return Ok(&self.main.bytes[found]);
        }
        let found = match self.aside.find(offset, len) {
            Some(found) => found,
            None => {
                self.aside.read(self.source, offset)?;
                0..len.min(self.aside.len)
            }
        };
        Ok(&self.aside.bytes[found])
    }
}

/// Reads until `buf` is full or the source ends.
fn fill<S: ReadAt + ?Sized>(source: &S, buf: &mut [u8], offset: u64) -> io::Result<usize> {
    let mut len = 0;
    while len < buf.len() {
        match retry(|| source.read_at(&mut buf[len..], offset + len as u64))? {
            0 => break,
            read => len += read,
        }
    }
    Ok(len)
}

fn retry(mut read: impl FnMut() -> io::Result<usize>) -> io::Result<usize> {
    loop {
        match read() {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            result => return result,
        }
    }
}
