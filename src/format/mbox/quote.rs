//! The quoting of mboxrd: [`Unquoter`] takes one `>` from `^>+From `, [`Quoter`] adds one to `^>*From `.

use super::line::FROM;
use memchr::memmem;
use std::io::{self, Write};

const ANGLES: [u8; 64] = [b'>'; 64];

/// A writer that passes on what it gets with the quoting of mboxrd undone. Call [`Unquoter::finish`] at the end.
///
/// Memory is constant: a run of `>` is counted, not kept.
pub struct Unquoter<W: Write> {
    sink: W,
    state: LineState,
    written: u64,
}

#[derive(Clone, Copy)]
enum LineState {
    /// At the start of a line.
    Line,
    /// Behind this many `>` at the start of a line and this many bytes of `From `.
    Quote { angles: u64, matched: usize },
    /// Within a line that needs no change.
    Text,
}

impl<W: Write> Unquoter<W> {
    /// Passes on to `sink`, which is at the start of a line.
    pub fn new(sink: W) -> Unquoter<W> {
        Unquoter { sink, state: LineState::Line, written: 0 }
    }

    /// Passes on what was held back, and returns the sink and how many bytes it got.
    pub fn finish(mut self) -> io::Result<(W, u64)> {
        if let LineState::Quote { angles, matched } = self.state {
            self.emit_quote(angles, matched)?;
        }
        Ok((self.sink, self.written))
    }

    fn emit(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.sink.write_all(bytes)?;
        self.written += bytes.len() as u64;
        Ok(())
    }

    fn emit_quote(&mut self, angles: u64, matched: usize) -> io::Result<()> {
        self.written += angles + matched as u64;
        write_quote(&mut self.sink, angles, matched)
    }

    /// Text up to the next `>` that begins a line, which is not consumed. Returns how much was.
    fn text(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match memmem::find(bytes, b"\n>") {
            Some(found) => {
                self.emit(&bytes[..=found])?;
                self.state = LineState::Line;
                Ok(found + 1)
            }
            None => {
                self.emit(bytes)?;
                self.state = if bytes.ends_with(b"\n") { LineState::Line } else { LineState::Text };
                Ok(bytes.len())
            }
        }
    }
}

impl<W: Write> Write for Unquoter<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let mut rest = bytes;
        while let Some(&byte) = rest.first() {
            match self.state {
                LineState::Line if byte == b'>' => {
                    self.state = LineState::Quote { angles: 1, matched: 0 };
                    rest = &rest[1..];
                }
                LineState::Line | LineState::Text => {
                    let taken = self.text(rest)?;
                    rest = &rest[taken..];
                }
                LineState::Quote { angles, matched: 0 } if byte == b'>' => {
                    self.state = LineState::Quote { angles: angles + 1, matched: 0 };
                    rest = &rest[1..];
                }
                LineState::Quote { angles, matched } if FROM.get(matched) == Some(&byte) => {
                    rest = &rest[1..];
                    self.state = LineState::Quote { angles, matched: matched + 1 };
                    if matched + 1 == FROM.len() {
                        self.emit_quote(angles - 1, FROM.len())?;
                        self.state = LineState::Text;
                    }
                }
                LineState::Quote { angles, matched } => {
                    self.emit_quote(angles, matched)?;
                    self.state = LineState::Text;
                }
            }
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.sink.flush()
    }
}

/// Writes so many `>` and so many bytes of `From `.
fn write_quote(sink: &mut impl Write, mut angles: u64, matched: usize) -> io::Result<()> {
    while angles > 0 {
        let len = angles.min(ANGLES.len() as u64);
        sink.write_all(&ANGLES[..len as usize])?;
        angles -= len;
    }
    sink.write_all(&FROM[..matched])
}

/// A writer that passes on a message as it stands in an mbox of the kind mboxrd: with LF at the end of its lines (RFC 4155),
/// and quoted. Call [`Quoter::finish`] at the end of each message.
pub struct Quoter<W: Write> {
    sink: W,
    /// `None` within a line.
    start: Option<Start>,
    /// The last byte was a CR, which may belong to the end of a line.
    has_cr: bool,
}

/// What is held back of the start of a line.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Start {
    angles: u64,
    /// Bytes of `From `.
    matched: usize,
}

const NOTHING: Start = Start { angles: 0, matched: 0 };

impl<W: Write> Quoter<W> {
    /// Passes on to `sink`, which is at the start of a line.
    pub fn new(sink: W) -> Quoter<W> {
        Quoter { sink, start: Some(NOTHING), has_cr: false }
    }

    /// Ends the last line, and the message with a blank one.
    pub fn finish(mut self) -> io::Result<()> {
        if self.has_cr {
            self.sink.write_all(b"\r")?;
        }
        if let Some(Start { angles, matched }) = self.start {
            write_quote(&mut self.sink, angles, matched)?;
        }
        let is_ended = self.start == Some(NOTHING) && !self.has_cr;
        self.sink.write_all(if is_ended { b"\n" } else { b"\n\n" })
    }

    /// A line, or a part of one.
    fn line(&mut self, mut line: &[u8]) -> io::Result<()> {
        if std::mem::take(&mut self.has_cr) && !line.starts_with(b"\n") {
            self.sink.write_all(b"\r")?;
        }
        while let (Some(Start { angles, matched }), Some((byte, rest))) = (self.start, line.split_first()) {
            if matched == 0 && *byte == b'>' {
                self.start = Some(Start { angles: angles + 1, matched });
                line = rest;
            } else if *byte == FROM[matched] {
                let is_whole = matched + 1 == FROM.len();
                self.start = (!is_whole).then_some(Start { angles, matched: matched + 1 });
                if is_whole {
                    write_quote(&mut self.sink, angles + 1, FROM.len())?;
                }
                line = rest;
            } else {
                write_quote(&mut self.sink, angles, matched)?;
                self.start = None;
            }
        }
        if let Some(text) = line.strip_suffix(b"\n") {
            self.sink.write_all(text.strip_suffix(b"\r").unwrap_or(text))?;
            self.start = Some(NOTHING);
            return self.sink.write_all(b"\n");
        }
        let text = line.strip_suffix(b"\r");
        self.has_cr = text.is_some();
        self.sink.write_all(text.unwrap_or(line))
    }
}

impl<W: Write> Write for Quoter<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let mut rest = bytes;
        while !rest.is_empty() {
            let end = memchr::memchr(b'\n', rest).map_or(rest.len(), |at| at + 1);
            self.line(&rest[..end])?;
            rest = &rest[end..];
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.sink.flush()
    }
}
