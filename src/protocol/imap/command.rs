//! Commands as they are sent (RFC 9051 section 9, `command`).

use super::capability::Capabilities;
use crate::net::sanitize::printable;

/// The longest text that is sent in quotes. What is longer goes as a literal.
const LONGEST_QUOTED: usize = 1000;

/// A command without its tag.
#[derive(Clone)]
pub(super) struct Command {
    parts: Vec<Part>,
}

/// A stretch of a command.
#[derive(Clone)]
pub(super) enum Part {
    Text(Vec<u8>),
    Literal(Vec<u8>),
}

impl Command {
    /// A command that begins with this text, which is sent as it is.
    pub(super) fn new(text: impl Into<Vec<u8>>) -> Command {
        Command { parts: vec![Part::Text(text.into())] }
    }

    /// Adds text that is sent as it is.
    pub(super) fn raw(mut self, text: &str) -> Command {
        self.push(text.as_bytes());
        self
    }

    /// Adds a space and a string: in quotes if all of it is plain ASCII (or UTF-8, where that is agreed on), else as
    /// a literal. A NUL cannot be sent in either way (RFC 9051 section 4.3) and goes as it is: the server will say no.
    pub(super) fn string(mut self, bytes: &[u8], is_utf8: bool) -> Command {
        self.push(b" ");
        let is_plain = |&byte: &u8| matches!(byte, b' '..=b'~') || (is_utf8 && byte >= 0x80);
        let can_be_quoted = bytes.iter().all(is_plain) && bytes.len() <= LONGEST_QUOTED;
        if can_be_quoted && (bytes.is_ascii() || std::str::from_utf8(bytes).is_ok()) {
            let mut quoted = vec![b'"'];
            for &byte in bytes {
                if matches!(byte, b'"' | b'\\') {
                    quoted.push(b'\\');
                }
                quoted.push(byte);
            }
            quoted.push(b'"');
            self.push(&quoted);
        } else {
            self.parts.push(Part::Literal(bytes.to_vec()));
        }
        self
    }

    fn push(&mut self, bytes: &[u8]) {
        match self.parts.last_mut() {
            Some(Part::Text(text)) => text.extend_from_slice(bytes),
            _ => self.parts.push(Part::Text(bytes.to_vec())),
        }
    }

    /// The parts in their order.
    pub(super) fn parts(&self) -> &[Part] {
        &self.parts
    }

    /// The command for a log: one line of bounded length, and of LOGIN no more than its name.
    pub(super) fn shown(&self) -> String {
        let mut text = String::new();
        for part in &self.parts {
            match part {
                Part::Text(bytes) => text.push_str(&String::from_utf8_lossy(&bytes[..bytes.len().min(400)])),
                Part::Literal(bytes) => text.push_str(&format!("{{{}}}", bytes.len())),
            }
        }
        if text.starts_with("LOGIN") {
            return "LOGIN …".to_owned();
        }
        printable(text.as_bytes())
    }

    /// True if the server need not be asked in the midst of it: then it can be sent behind others.
    pub(super) fn can_be_pipelined(&self, capabilities: &Capabilities) -> bool {
        self.parts.iter().all(|part| match part {
            Part::Text(_) => true,
            Part::Literal(bytes) => capabilities.takes_literal_at_once(bytes.len()),
        })
    }
}
