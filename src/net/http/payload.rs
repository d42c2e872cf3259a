//! Bytes that go with a request.

use bytes::Bytes;
use http_body::{Frame, SizeHint};
use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::FileExt;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};

/// How much of a stream is read at once.
const PART: usize = 256 << 10;

/// A place that bytes are read from, once more for each attempt to send them.
pub trait ReadAt: Send + Sync {
    /// Reads some bytes from `offset` on, at least one unless it is the end.
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize>;
}

impl ReadAt for File {
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        FileExt::read_at(self, buffer, offset)
    }
}

/// Bytes to send.
#[derive(Clone)]
pub enum Content {
    /// All of them, in memory.
    Bytes(Bytes),
    /// Something to read from, and how many bytes from its start are sent.
    Read(Arc<dyn ReadAt>, u64),
}

impl Content {
    /// How many bytes there are.
    pub fn size(&self) -> u64 {
        match self {
            Content::Bytes(bytes) => bytes.len() as u64,
            Content::Read(_, size) => *size,
        }
    }

    /// So many of them, from `start` on.
    pub fn part(&self, start: u64, size: u64) -> Content {
        match self {
            Content::Bytes(bytes) => Content::Bytes(bytes.slice(start as usize..(start + size) as usize)),
            Content::Read(source, _) => Content::Read(Arc::new(Part { source: Arc::clone(source), start }), size),
        }
    }

    /// Reads them from the first to the last.
    pub fn reader(&self) -> impl Read + use<> {
        Reading { content: self.clone(), offset: 0 }
    }

    /// All of them in memory: for what is known to be small.
    pub fn whole(&self) -> io::Result<Bytes> {
        let (source, size) = match self {
            Content::Bytes(bytes) => return Ok(bytes.clone()),
            Content::Read(source, size) => (source, usize::try_from(*size).map_err(io::Error::other)?),
        };
        let mut whole = vec![0; size];
        let mut done = 0;
        while done < size {
            match source.read_at(&mut whole[done..], done as u64)? {
                0 => return Err(io::ErrorKind::UnexpectedEof.into()),
                count => done += count,
            }
        }
        Ok(whole.into())
    }
}

/// What lies behind some bytes of a source.
struct Part {
    source: Arc<dyn ReadAt>,
    start: u64,
}

impl ReadAt for Part {
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        self.source.read_at(buffer, self.start + offset)
    }
}

/// Bytes that are read here instead of being sent.
struct Reading {
    content: Content,
    offset: u64,
}

impl Read for Reading {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let left = self.content.size().saturating_sub(self.offset).min(buffer.len() as u64) as usize;
        let count = match &self.content {
            Content::Bytes(bytes) => {
                let start = self.offset as usize;
                buffer[..left].copy_from_slice(&bytes[start..start + left]);
                left
            }
            Content::Read(source, _) => source.read_at(&mut buffer[..left], self.offset)?,
        };
        self.offset += count as u64;
        Ok(count)
    }
}

/// What goes with a request.
#[derive(Clone)]
pub enum Payload {
    /// No body.
    Empty,
    /// A small body, in memory: the time limit begins with the request.
    Whole(Bytes),
    /// A large body: the time limit begins again as long as the server takes more of it.
    Streamed(Content),
}

/// A stream on its way out.
pub(super) struct Sending {
    content: Content,
    offset: u64,
    sent: Arc<AtomicU64>,
}

impl Sending {
    /// `sent` counts the bytes that the line took.
    pub(super) fn new(content: Content, sent: Arc<AtomicU64>) -> Sending {
        Sending { content, offset: 0, sent }
    }
}

impl http_body::Body for Sending {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        let this = self.get_mut();
        let left = this.content.size().saturating_sub(this.offset);
        if left == 0 {
            return Poll::Ready(None);
        }
        let part = left.min(PART as u64) as usize;
        let bytes = match &this.content {
            Content::Bytes(bytes) => bytes.slice(this.offset as usize..this.offset as usize + part),
            Content::Read(source, _) => {
                let mut buffer = vec![0; part];
                match source.read_at(&mut buffer, this.offset) {
                    Ok(0) => return Poll::Ready(Some(Err(io::ErrorKind::UnexpectedEof.into()))),
                    Ok(count) => buffer.truncate(count),
                    Err(error) => return Poll::Ready(Some(Err(error))),
                }
                Bytes::from(buffer)
            }
        };
        this.offset += bytes.len() as u64;
        this.sent.fetch_add(bytes.len() as u64, Ordering::Relaxed);
        Poll::Ready(Some(Ok(Frame::data(bytes))))
    }

    fn is_end_stream(&self) -> bool {
        self.offset >= self.content.size()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.content.size().saturating_sub(self.offset))
    }
}
