//! Bytes from and to the server: a buffer of bounded size each way, lines, literals, and the time limit.
//!
//! A read sends the pending output while it waits for input, so that a server that reads no more commands before its
//! answers are taken (its socket is full) and this client never wait for each other.

use super::error::{Error, Fault, Result};
use super::parser::{Assembler, Limits};
use crate::model::Body;
use crate::net::pace::{self, Pace};
use std::future::poll_fn;
use std::io::{self, Seek, Write};
use std::ops::Range;
use std::path::PathBuf;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time;
use zeroize::Zeroize;

/// What a client can speak over: TCP, TLS, a pipe.
pub trait Transport: AsyncRead + AsyncWrite + Unpin + Send {}

impl<T: AsyncRead + AsyncWrite + Unpin + Send> Transport for T {}

/// The size of the input buffer when no line is longer.
const INPUT: usize = 256 << 10;

/// The most bytes that are discarded of a literal that no command asked for.
const MOST_UNASKED: u64 = 64 << 20;

/// What to do with the body of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Bodies {
    Keep,
    Discard,
}

/// A stream with its buffers.
pub(super) struct Wire<S> {
    /// `None` only while another one is put in its place.
    stream: Option<S>,
    input: Vec<u8>,
    start: usize,
    end: usize,
    output: Vec<u8>,
    sent: usize,
    is_flushed: bool,
    timeout: Duration,
    limits: Limits,
    spool: Option<PathBuf>,
    /// What the client does, for messages.
    pub doing: String,
    /// Bytes that came in.
    pub received: u64,
    pace: Pace,
    /// Bytes a second that must come of what has begun; 0 where nothing has.
    floor: u64,
}

impl<S: Transport> Wire<S> {
    /// A wire over `stream`. Large bodies go to unnamed files in `spool`, or in the system's folder for such.
    pub(super) fn new(stream: S, timeout: Duration, limits: Limits, spool: Option<PathBuf>) -> Wire<S> {
        Wire {
            stream: Some(stream),
            input: vec![0; INPUT],
            start: 0,
            end: 0,
            output: Vec::new(),
            sent: 0,
            is_flushed: true,
            timeout,
            limits,
            spool,
            doing: "connecting".to_owned(),
            received: 0,
            pace: Pace::default(),
            floor: 0,
        }
    }

    /// Shortens the time limit.
    pub(super) fn hurry(&mut self, timeout: Duration) {
        self.timeout = self.timeout.min(timeout);
    }

    /// Puts bytes behind those that wait to be sent.
    pub(super) fn queue(&mut self, bytes: &[u8]) {
        self.output.extend_from_slice(bytes);
        self.is_flushed = false;
    }

    /// Sends what waits. What comes in meanwhile stays where it is: an answer to what is still being sent is short.
    pub(super) async fn flush(&mut self) -> Result<()> {
        let timeout = self.timeout;
        match time::timeout(timeout, poll_fn(|context| self.poll_send(context))).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(cause)) => Err(Error::lost(&self.doing, cause)),
            Err(_) => Err(self.slow(format!("the server took nothing for {:.0} s", timeout.as_secs_f64()))),
        }
    }

    /// Takes the stream out, with the bytes that have been read and not been looked at. Put one back.
    pub(super) fn take(&mut self) -> Option<(S, Vec<u8>)> {
        let rest = self.input[self.start..self.end].to_vec();
        (self.start, self.end) = (0, 0);
        Some((self.stream.take()?, rest))
    }

    /// Puts a stream in the place of the one that was taken out.
    pub(super) fn put(&mut self, stream: S) {
        self.stream = Some(stream);
    }

    /// Reads a whole response into `assembler`.
    pub(super) async fn response(&mut self, assembler: &mut Assembler, bodies: Bodies) -> Result<()> {
        assembler.begin();
        self.pace.begin();
        let mut kept = 0;
        loop {
            let line = self.line().await?;
            let Some(announced) = assembler.line(&self.input[line])? else { return Ok(()) };
            if announced.is_body {
                // A response has one body: more of them would be a way to fill memory or disk.
                let body = match bodies {
                    Bodies::Keep if kept == 0 && announced.size <= self.limits.body_in_memory => {
                        self.body_in_memory(announced.size).await?
                    }
                    Bodies::Keep if kept == 0 => self.body_in_file(announced.size).await?,
                    _ => self.discard(announced.size).await?,
                };
                kept += 1;
                assembler.body(body)?;
            } else if announced.size <= self.limits.inline_literal {
                let size = announced.size as usize;
                while self.end - self.start < size {
                    self.floor = pace::LINE;
                    self.fill().await?;
                }
                assembler.literal(&self.input[self.start..self.start + size])?;
                self.start += size;
            } else if announced.size <= MOST_UNASKED {
                let body = self.discard(announced.size).await?;
                assembler.body(body)?;
            } else {
                let what = format!("the server sent a literal of {} bytes where none was asked for", announced.size);
                return Err(Error::new(Fault::Protocol, what));
            }
        }
    }

    /// The place of the next line in the buffer, without its end: CRLF, or LF alone.
    async fn line(&mut self) -> Result<Range<usize>> {
        let mut seen = 0;
        loop {
            let held = &self.input[self.start..self.end];
            if let Some(at) = memchr::memchr(b'\n', &held[seen..]) {
                let length = seen + at;
                let is_cr = length > 0 && held[length - 1] == b'\r';
                let line = self.start..self.start + length - usize::from(is_cr);
                self.start += length + 1;
                return Ok(line);
            }
            seen = held.len();
            if seen > self.limits.line {
                let what = format!("the server sent a line of more than {} bytes", self.limits.line);
                return Err(Error::new(Fault::Protocol, what));
            }
            // As long as nothing of it is there, a server may think.
            self.floor = if seen > 0 { pace::LINE } else { 0 };
            self.fill().await?;
        }
    }

    async fn body_in_memory(&mut self, size: u64) -> Result<Body> {
        let mut bytes = Vec::with_capacity(size as usize);
        self.copy(size, |part| {
            bytes.extend_from_slice(part);
            Ok(())
        })
        .await?;
        Ok(Body::Bytes(bytes))
    }

    /// Writing to a file blocks, for as long as a page cache needs to take 256 KiB.
    async fn body_in_file(&mut self, size: u64) -> Result<Body> {
        let file = match &self.spool {
            Some(folder) => tempfile::tempfile_in(folder),
            None => tempfile::tempfile(),
        };
        let mut file = file.map_err(Error::spool)?;
        self.copy(size, |part| file.write_all(part)).await?;
        file.rewind().map_err(Error::spool)?;
        Ok(Body::File(file))
    }

    async fn discard(&mut self, size: u64) -> Result<Body> {
        self.copy(size, |_| Ok(())).await?;
        Ok(Body::Bytes(Vec::new()))
    }

    /// Hands the next `size` bytes to `sink`, part by part.
    async fn copy(&mut self, size: u64, mut sink: impl FnMut(&[u8]) -> io::Result<()>) -> Result<()> {
        let mut left = size;
        self.pace.begin();
        while left > 0 {
            if self.start == self.end {
                self.floor = pace::BODY;
                self.fill().await?;
            }
            let part = (self.end - self.start).min(usize::try_from(left).unwrap_or(usize::MAX));
            sink(&self.input[self.start..self.start + part]).map_err(Error::spool)?;
            self.start += part;
            left -= part as u64;
        }
        Ok(())
    }

    /// Reads more bytes, at least one, and sends what waits meanwhile.
    async fn fill(&mut self) -> Result<()> {
        self.make_room();
        let timeout = self.timeout;
        let begun = Instant::now();
        let reading = poll_fn(|context| {
            // A server that closes the line may have said why: what it said is read before its absence is noticed.
            let sent = self.poll_send(context);
            let mut free = ReadBuf::new(&mut self.input[self.end..]);
            match pin(&mut self.stream)?.poll_read(context, &mut free) {
                Poll::Ready(Ok(())) => Poll::Ready(Ok(free.filled().len())),
                Poll::Ready(Err(cause)) => Poll::Ready(Err(cause)),
                Poll::Pending => match sent {
                    Poll::Ready(Err(cause)) => Poll::Ready(Err(cause)),
                    _ => Poll::Pending,
                },
            }
        });
        let read = time::timeout(timeout, reading).await;
        match read {
            Ok(Ok(0)) => Err(Error::lost(&self.doing, io::ErrorKind::UnexpectedEof.into())),
            Ok(Ok(count)) => {
                self.end += count;
                self.received += count as u64;
                let floor = std::mem::take(&mut self.floor);
                match self.pace.add(begun.elapsed(), count, floor, timeout) {
                    Some(received) => Err(self.slow(Pace::words(received, timeout))),
                    None => Ok(()),
                }
            }
            Ok(Err(cause)) => Err(Error::lost(&self.doing, cause)),
            Err(_) => Err(self.slow(format!("the server was silent for {:.0} s", timeout.as_secs_f64()))),
        }
    }

    /// Makes place for at least one byte in the buffer. It grows with a long line and shrinks behind it.
    fn make_room(&mut self) {
        if self.start == self.end {
            (self.start, self.end) = (0, 0);
            if self.input.len() > INPUT {
                self.input = vec![0; INPUT];
            }
        } else if self.end == self.input.len() {
            if self.start > 0 {
                self.input.copy_within(self.start..self.end, 0);
                self.end -= self.start;
                self.start = 0;
            }
            if self.end > self.input.len() / 2 {
                self.input.resize(self.input.len() * 2, 0);
            }
        }
    }

    fn poll_send(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        while self.sent < self.output.len() {
            match pin(&mut self.stream)?.poll_write(context, &self.output[self.sent..]) {
                Poll::Ready(Ok(0)) => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                Poll::Ready(Ok(count)) => self.sent += count,
                Poll::Ready(Err(cause)) => return Poll::Ready(Err(cause)),
                Poll::Pending => return Poll::Pending,
            }
        }
        if self.sent > 0 {
            // There may have been a password in it.
            self.output.zeroize();
            self.sent = 0;
        }
        if !self.is_flushed {
            std::task::ready!(pin(&mut self.stream)?.poll_flush(context))?;
            self.is_flushed = true;
        }
        Poll::Ready(Ok(()))
    }

    fn slow(&self, why: String) -> Error {
        Error::lost(&self.doing, io::Error::new(io::ErrorKind::TimedOut, why))
            .hint("if the server is only slow, raise --timeout")
    }
}

fn pin<S: Unpin>(stream: &mut Option<S>) -> io::Result<Pin<&mut S>> {
    stream.as_mut().map(Pin::new).ok_or_else(|| io::ErrorKind::NotConnected.into())
}
