//! Undoing mboxrd quoting: `^>+From ` loses one `>`.

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

    fn emit_quote(&mut self, mut angles: u64, matched: usize) -> io::Result<()> {
        while angles > 0 {
            let len = angles.min(ANGLES.len() as u64);
            self.emit(&ANGLES[..len as usize])?;
            angles -= len;
        }
        self.emit(&FROM[..matched])
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
