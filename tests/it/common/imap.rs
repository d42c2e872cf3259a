//! A writing IMAP client for tests, as plain as can be: the program's own only reads.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::time::Duration;

/// A connection that is logged in.
pub(crate) struct Imap {
    stream: BufReader<TcpStream>,
    tag: u32,
}

impl Imap {
    /// Connects in clear and logs in. The server has to have LITERAL+.
    pub(crate) fn login(port: u16, user: &str, password: &str) -> Imap {
        let stream = TcpStream::connect(("127.0.0.1", port)).expect("the server answers");
        stream.set_read_timeout(Some(Duration::from_secs(60))).expect("a timeout");
        stream.set_nodelay(true).expect("no delay");
        let mut imap = Imap { stream: BufReader::new(stream), tag: 0 };
        imap.line();
        imap.ok(&format!("LOGIN {{{}+}}\r\n{user} {{{}+}}\r\n{password}", user.len(), password.len()));
        imap
    }

    fn line(&mut self) -> Vec<u8> {
        let mut line = Vec::new();
        self.stream.read_until(b'\n', &mut line).expect("a line");
        assert!(line.ends_with(b"\n"), "the server closed the connection");
        // A literal belongs to its line.
        if let Some(size) = announced(&line) {
            let mut literal = vec![0; size];
            self.stream.read_exact(&mut literal).expect("a literal");
            line.extend(literal);
            line.extend(self.line());
        }
        line
    }

    fn end(&mut self) -> (bool, Vec<Vec<u8>>) {
        let tag = format!("t{} ", self.tag).into_bytes();
        let mut lines = Vec::new();
        loop {
            let line = self.line();
            let is_end = line.starts_with(&tag);
            let is_ok = line[tag.len().min(line.len())..].starts_with(b"OK");
            lines.push(line);
            if is_end {
                return (is_ok, lines);
            }
        }
    }

    /// Runs a command; gives whether it went well, and all lines of the answer.
    pub(crate) fn run(&mut self, command: &[u8]) -> (bool, Vec<Vec<u8>>) {
        self.tag += 1;
        let mut text = format!("t{} ", self.tag).into_bytes();
        text.extend_from_slice(command);
        text.extend_from_slice(b"\r\n");
        self.stream.get_mut().write_all(&text).expect("the command is sent");
        self.end()
    }

    /// Runs a command, which must go well. Gives all lines of the answer as text.
    pub(crate) fn ok(&mut self, command: &str) -> String {
        let (is_ok, lines) = self.run(command.as_bytes());
        let text = String::from_utf8_lossy(&lines.concat()).into_owned();
        assert!(is_ok, "{command}: {text}");
        text
    }

    /// Appends a message, `extra` being flags and date (`(\Seen) `). True if the server took it.
    pub(crate) fn append(&mut self, mailbox: &str, extra: &str, message: &[u8], is_literal8: bool) -> bool {
        self.tag += 1;
        let tilde = if is_literal8 { "~" } else { "" };
        let mut text =
            format!("t{} APPEND \"{mailbox}\" {extra}{tilde}{{{}+}}\r\n", self.tag, message.len()).into_bytes();
        text.extend_from_slice(message);
        text.extend_from_slice(b"\r\n");
        self.stream.get_mut().write_all(&text).expect("the command is sent");
        self.end().0
    }
}

fn announced(line: &[u8]) -> Option<usize> {
    let line = String::from_utf8_lossy(line);
    let inside = line.trim_end().strip_suffix('}')?;
    inside[inside.rfind('{')? + 1..].parse().ok()
}
