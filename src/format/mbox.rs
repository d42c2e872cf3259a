//! mbox: many messages in one file, each behind a line that begins with `From ` (RFC 4155 and its older kin).
//!
//! There is no standard that all writers keep, so the rule for a separator is written down here. A line that begins
//! with `From ` separates when
//!
//! * it stands at the start of the file or behind a blank line, and the line behind it is a header field, whatever date
//!   it has: writers leave the date out (`From - `, `From `), or write it in a language and an order of their own; or
//! * it stands there and ends in a plausible date ([`separator_date`]): the message may have no header; or
//! * it ends in such a date and the line behind it is a header field (list archives leave the blank line out); or
//! * the file's first separator has no date, and the line equals it and stands before a header field; and
//! * it does not lie in a body whose Content-Length is confirmed by a separator or the end of the file right behind it
//!   (mboxcl, mboxcl2).
//!
//! A byte order mark before such a line is passed over. All else that begins with `From ` is text; what has a date or a
//! sender all the same is counted ([`Scanner::doubtful`]). A message is what lies between two separators less the one
//! blank line that writers put before a separator. Nothing is held in memory but a window: a line or a message may be as
//! long as the file.

use line::{
    BYTE_ORDER_MARK, FROM, MAX_HEAD, before_mark, is_address, is_own_sender, is_takeout_sender, resembles_separator,
};
use memchr::memmem::Finder;
use std::io;
use std::ops::Range;
use window::{ASIDE, Window};

mod date;
mod identity;
mod line;
mod quote;
mod status;
mod window;
mod write;

pub use date::separator_date;
pub use identity::Identity;
pub use line::is_field;
pub use quote::{Quoter, Unquoter};
pub use status::{Status, received, status};
pub use window::{ReadAt, copy};
pub use write::{flag_fields, separator, without_flags};

/// A longer line is no separator: the longest address has 320 bytes.
const MAX_SEPARATOR: usize = 1024;
/// How many places are kept of lines that look like separators and are none.
const MAX_DOUBTFUL: usize = 1000;
/// How far back a run of `>` before `From ` is followed.
const MAX_QUOTES: usize = 64;

/// Where a message lies in its file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MboxMessage {
    /// Offset of its first byte, behind the separator line.
    pub offset: u64,
    /// Its bytes as they stand in the file, `>From ` quoting included. Zero for an empty message.
    pub len: u64,
    /// The bytes of its header block with the blank line that ends it, at most [`MboxMessage::len`] and 1 MiB.
    pub head: u64,
    /// The date of the separator line in seconds since 1970 UTC. `None` behind `From - `: it would be the date on which
    /// a mail program wrote the message into the file.
    pub date: Option<i64>,
    /// The line of the separator in the file, counted from 1.
    pub line: u64,
    /// Some line of it begins with `>From `, perhaps with more `>`.
    pub quoted: bool,
}

/// Finds the messages of an mbox, first to last.
///
/// After the last one [`Scanner::is_mboxrd`] tells whether the quoting of this file is to be undone.
pub struct Scanner<'a, S: ReadAt + ?Sized> {
    window: Window<'a, S>,
    from: Finder<'static>,
    /// Everything before this offset is scanned.
    at: u64,
    /// Line breaks before `at`.
    breaks: u64,
    state: ScanState,
    leading: Range<u64>,
    /// The text of the first separator, where it has no date.
    undated: Option<Vec<u8>>,
    doubtful: Vec<u64>,
    doubtful_count: u64,
    double_quoted: bool,
    gmail: bool,
}

enum ScanState {
    /// Nothing is read yet.
    Start,
    /// A message begins here; its end is not known.
    Open(MboxMessage),
    Done,
}

/// A separator line.
struct Separator {
    /// Bytes from the start of the file to its first byte: `F`, or the byte order mark before it.
    offset: u64,
    /// The same to the byte behind its line break.
    end: u64,
    date: Option<i64>,
}

impl<'a, S: ReadAt + ?Sized> Scanner<'a, S> {
    /// A scanner over the whole of `source`.
    pub fn new(source: &'a S) -> Scanner<'a, S> {
        Scanner {
            window: Window::new(source),
            from: Finder::new(FROM),
            at: 0,
            breaks: 0,
            state: ScanState::Start,
            leading: 0..0,
            undated: None,
            doubtful: Vec::new(),
            doubtful_count: 0,
            double_quoted: false,
            gmail: false,
        }
    }

    /// The next message, or `None` behind the last one. After an error nothing more comes.
    pub fn next_message(&mut self) -> io::Result<Option<MboxMessage>> {
        match std::mem::replace(&mut self.state, ScanState::Done) {
            ScanState::Start => match self.first()? {
                Some(message) => self.finish(message).map(Some),
                None => Ok(None),
            },
            ScanState::Open(message) => self.finish(message).map(Some),
            ScanState::Done => Ok(None),
        }
    }

    /// Whether the writer of the file quoted every `^>*From ` with one more `>` (mboxrd), judged by what was scanned so
    /// far: some line begins with `>>From `, or it is a file of Google Takeout or of an export of ours. Elsewhere a `>From ` line may as well be
    /// what the author wrote, so it is left alone.
    pub fn is_mboxrd(&self) -> bool {
        self.double_quoted || self.gmail
    }

    /// True if the file is one of Google Takeout, judged by what was scanned so far.
    pub fn is_gmail(&self) -> bool {
        self.gmail
    }

    /// Lines that look like separators and were taken for text: where the first thousand of them are, and how many there
    /// are, as far as was scanned.
    pub fn doubtful(&self) -> (&[u64], u64) {
        (&self.doubtful, self.doubtful_count)
    }

    /// Text before the first separator, which belongs to no message. Empty in a sound file; blank lines do not count.
    pub fn leading(&self) -> Range<u64> {
        self.leading.clone()
    }

    /// Finds the start of the first message.
    fn first(&mut self) -> io::Result<Option<MboxMessage>> {
        let start = self.skip_blank()?;
        self.leading = start..start;
        let line = self.window.probe(start, MAX_SEPARATOR)?.to_vec();
        if line.is_empty() {
            return Ok(None);
        }
        if !line.starts_with(FROM) && self.is_mail_head(start)? {
            // A file that lost its first separator: a message all the same.
            return self.open(Separator { offset: start, end: start, date: None }).map(Some);
        }
        let mut quoted = false;
        while let Some(offset) = self.next_candidate(&mut quoted)? {
            if let Some(separator) = self.separator(offset, offset == start, start)? {
                self.leading.end = separator.offset.max(start);
                return self.open(separator).map(Some);
            }
            self.pass(offset + FROM.len() as u64)?;
        }
        self.leading.end = self.at;
        Ok(None)
    }

    /// Starts the message behind `separator`.
    fn open(&mut self, separator: Separator) -> io::Result<MboxMessage> {
        self.pass(separator.offset)?;
        let line = self.breaks + 1;
        self.pass(separator.end)?;
        Ok(MboxMessage { offset: separator.end, len: 0, head: 0, date: separator.date, line, quoted: false })
    }

    /// Finds the end of `message` and opens the next one.
    fn finish(&mut self, mut message: MboxMessage) -> io::Result<MboxMessage> {
        let head = self.head(message.offset)?;
        self.gmail |= head.gmail;
        let trusted = match head.content_length {
            Some(length) => self.confirmed_end(message.offset + head.len, length)?.unwrap_or(0),
            None => 0,
        };
        let mut quoted = false;
        let end = loop {
            let Some(offset) = self.next_candidate(&mut quoted)? else {
                break self.at;
            };
            if offset >= trusted
                && let Some(separator) = self.separator(offset, false, message.offset)?
            {
                let end = separator.offset;
                let next = self.open(separator)?;
                self.state = ScanState::Open(next);
                break end;
            }
            self.pass(offset + FROM.len() as u64)?;
        };
        message.len = self.without_blank_line(message.offset, end)? - message.offset;
        message.head = head.len.min(message.len);
        message.quoted = quoted;
        Ok(message)
    }

    /// Moves to the next `From ` that begins a line and returns its offset, or moves to the end. Sets `quoted` when
    /// one with `>` before it is passed.
    fn next_candidate(&mut self, quoted: &mut bool) -> io::Result<Option<u64>> {
        loop {
            let Some(offset) = self.next_from()? else { return Ok(None) };
            let back = (MAX_QUOTES as u64).min(offset);
            let before = self.window.probe(offset - back, back as usize)?;
            match before.last() {
                None | Some(b'\n') => return Ok(Some(offset)),
                _ if before_mark(before).is_some() => return Ok(Some(offset)),
                Some(b'>') => {
                    let rest = before.iter().rposition(|&byte| byte != b'>').map_or(0, |last| last + 1);
                    let depth = before.len() - rest;
                    let begins_line = match rest.checked_sub(1).and_then(|last| before.get(last)) {
                        Some(&byte) => byte == b'\n',
                        // The run is longer than the look back: Unquoter will tell.
                        None => true,
                    };
                    *quoted |= begins_line;
                    self.double_quoted |= begins_line && depth >= 2;
                }
                Some(_) => {}
            }
            self.pass(offset + FROM.len() as u64)?;
        }
    }

    /// Moves to the next `From ` wherever in a line, or to the end of the file.
    fn next_from(&mut self) -> io::Result<Option<u64>> {
        loop {
            let bytes = self.window.load(self.at)?;
            match self.from.find(bytes) {
                Some(found) => {
                    let offset = self.at + found as u64;
                    self.pass(offset)?;
                    return Ok(Some(offset));
                }
                None if bytes.len() < FROM.len() => {
                    let end = self.at + bytes.len() as u64;
                    self.pass(end)?;
                    return Ok(None);
                }
                // A `From ` may straddle the end of the window.
                None => {
                    let next = self.at + (bytes.len() - FROM.len() + 1) as u64;
                    self.pass(next)?;
                }
            }
        }
    }

    /// Counts the lines up to `to` and goes on from there.
    fn pass(&mut self, to: u64) -> io::Result<()> {
        while self.at < to {
            let bytes = self.window.load(self.at)?;
            let len = bytes.len().min(usize::try_from(to - self.at).unwrap_or(usize::MAX));
            if len == 0 {
                break;
            }
            self.breaks += memchr::memchr_iter(b'\n', &bytes[..len]).count() as u64;
            self.at += len as u64;
        }
        Ok(())
    }

    /// Judges the line that begins with `From ` at `offset`. `message` is the start of the message that it would end.
    fn separator(&mut self, offset: u64, first: bool, message: u64) -> io::Result<Option<Separator>> {
        let probe = self.window.probe(offset, MAX_SEPARATOR)?;
        let (line, end) = match memchr::memchr(b'\n', probe) {
            Some(end) => (&probe[..end], offset + end as u64 + 1),
            None if probe.len() < MAX_SEPARATOR => (probe, offset + probe.len() as u64),
            None => return Ok(None),
        };
        let text = line.get(FROM.len()..).unwrap_or_default().trim_ascii().to_vec();
        let date = separator_date(&text);
        let offset = self.without_mark(offset)?;
        let behind_blank = first || offset == message || self.behind_blank_line(offset)?;
        let next = self.window.probe(end, MAX_SEPARATOR)?;
        let accepted = match (date.is_some(), behind_blank) {
            (true, true) => true,
            (true, false) => is_field(next),
            (false, true) => is_field(next) && !is_address(next),
            (false, false) => is_field(next) && self.undated.as_ref() == Some(&text),
        };
        if !accepted {
            if date.is_some() || behind_blank && resembles_separator(&text) {
                self.doubtful_count += 1;
                if self.doubtful.len() < MAX_DOUBTFUL {
                    self.doubtful.push(offset);
                }
            }
            return Ok(None);
        }
        self.gmail |= is_takeout_sender(&text);
        self.double_quoted |= is_own_sender(&text);
        let is_own_clock = text.starts_with(b"- ");
        if first && date.is_none() {
            self.undated = Some(text);
        }
        Ok(Some(Separator { offset, end, date: date.filter(|_| !is_own_clock) }))
    }

    /// `offset`, or where the byte order mark before it begins.
    fn without_mark(&mut self, offset: u64) -> io::Result<u64> {
        let back = offset.min(4);
        let before = self.window.probe(offset - back, back as usize)?;
        Ok(before_mark(before).map_or(offset, |mark| offset - back + mark as u64))
    }

    /// Whether the line before `offset` is empty.
    fn behind_blank_line(&mut self, offset: u64) -> io::Result<bool> {
        let back = offset.min(3);
        let before = self.window.probe(offset - back, back as usize)?;
        Ok(before.ends_with(b"\n\n") || before.ends_with(b"\n\r\n"))
    }

    /// `end` less the one blank line before it.
    fn without_blank_line(&mut self, start: u64, end: u64) -> io::Result<u64> {
        let back = (end - start).min(3);
        let before = self.window.probe(end - back, back as usize)?;
        let cut = if before == b"\n" || before.ends_with(b"\n\n") {
            1
        } else if before == b"\r\n" || before.ends_with(b"\n\r\n") {
            2
        } else {
            0
        };
        Ok(end - cut)
    }

    /// Reads the header block at `offset`: it ends with a blank line, or before a line that is none of its own.
    fn head(&mut self, offset: u64) -> io::Result<Head> {
        let mut head = Head::default();
        while head.len < MAX_HEAD {
            let line = self.window.probe(offset + head.len, 4 * MAX_SEPARATOR)?;
            let whole = memchr::memchr(b'\n', line).map(|end| end + 1);
            let text = &line[..whole.unwrap_or(line.len())];
            match text {
                b"" => break,
                b"\n" | b"\r\n" => {
                    head.len += text.len() as u64;
                    break;
                }
                _ if text.starts_with(FROM) => break,
                _ if is_field(text) || matches!(text.first(), Some(b' ' | b'\t')) => {}
                // The message may go on with fields behind a stray line, but a search for fields ends here.
                _ if head.len > 0 => break,
                _ => {}
            }
            head.note(text);
            head.len += text.len() as u64;
            if whole.is_none() {
                let rest = self.line_rest(offset + head.len)?;
                head.len += rest;
            }
        }
        head.len = head.len.min(MAX_HEAD);
        Ok(head)
    }

    /// The bytes from `offset` to the end of its line, line break included, as far as a header block may reach.
    fn line_rest(&mut self, offset: u64) -> io::Result<u64> {
        let mut len = 0;
        while len < MAX_HEAD {
            let bytes = self.window.probe(offset + len, ASIDE)?;
            if let Some(end) = memchr::memchr(b'\n', bytes) {
                return Ok(len + end as u64 + 1);
            }
            if bytes.is_empty() {
                break;
            }
            len += bytes.len() as u64;
        }
        Ok(len)
    }

    /// The end of a body of `length` bytes at `body`, if a separator or the end of the file follows there.
    fn confirmed_end(&mut self, body: u64, length: u64) -> io::Result<Option<u64>> {
        let Some(end) = body.checked_add(length) else { return Ok(None) };
        if self.window.probe(end.saturating_sub(1), 1)?.is_empty() {
            return Ok(None);
        }
        let behind = self.window.probe(end, MAX_SEPARATOR)?;
        let behind = behind.strip_prefix(b"\r").unwrap_or(behind);
        let behind = behind.strip_prefix(b"\n").unwrap_or(behind);
        if behind.is_empty() {
            return Ok(Some(end));
        }
        let (line, next) = memchr::memchr(b'\n', behind).map_or((behind, &b""[..]), |end| behind.split_at(end + 1));
        let separates = |text: &[u8]| separator_date(text.trim_ascii()).is_some() || is_field(next);
        Ok(line.strip_prefix(FROM).is_some_and(separates).then_some(end))
    }

    /// The offset of the first byte that is neither a byte order mark nor part of a blank line.
    fn skip_blank(&mut self) -> io::Result<u64> {
        let mut at = if self.window.probe(0, 3)? == BYTE_ORDER_MARK { 3 } else { 0 };
        loop {
            let bytes = self.window.probe(at, MAX_SEPARATOR)?;
            let blank = bytes.iter().take_while(|byte| matches!(byte, b'\r' | b'\n')).count();
            at += blank as u64;
            if blank == 0 || blank < bytes.len() {
                break;
            }
        }
        self.pass(at)?;
        Ok(at)
    }

    /// Whether a message without separator begins at `offset`: header fields, with one that only mail has.
    fn is_mail_head(&mut self, offset: u64) -> io::Result<bool> {
        if !is_field(self.window.probe(offset, MAX_SEPARATOR)?) {
            return Ok(false);
        }
        Ok(self.head(offset)?.is_mail)
    }
}

impl<S: ReadAt + ?Sized> Iterator for Scanner<'_, S> {
    type Item = io::Result<MboxMessage>;

    fn next(&mut self) -> Option<io::Result<MboxMessage>> {
        self.next_message().transpose()
    }
}

/// What the header block of a message tells of the file.
#[derive(Default)]
struct Head {
    len: u64,
    content_length: Option<u64>,
    /// It has a field that only Gmail writes.
    gmail: bool,
    /// It has a field that every message has, and hardly anything else.
    is_mail: bool,
}

impl Head {
    fn note(&mut self, line: &[u8]) {
        let Some(colon) = memchr::memchr(b':', line) else { return };
        let name = line[..colon].trim_ascii_end();
        let is = |other: &&[u8]| name.eq_ignore_ascii_case(other);
        if is(&&b"Content-Length"[..]) {
            let value = line[colon + 1..].trim_ascii();
            self.content_length = std::str::from_utf8(value).ok().and_then(|value| value.parse().ok());
        }
        const GMAIL: [&[u8]; 2] = [b"X-Gmail-Labels", b"X-GM-THRID"];
        const MAIL: [&[u8]; 6] =
            [b"From", b"Received", b"Message-ID", b"Return-Path", b"MIME-Version", b"Delivered-To"];
        self.gmail |= GMAIL.iter().any(is);
        self.is_mail |= MAIL.iter().any(is);
    }
}

#[cfg(test)]
mod tests {
    use super::window::WINDOW;
    use super::*;
    use proptest::collection::vec;
    use proptest::prelude::*;

    fn scan(text: &[u8]) -> (Vec<MboxMessage>, bool, Range<u64>) {
        let mut scanner = Scanner::new(text);
        let mut messages = Vec::new();
        while let Some(message) = scanner.next_message().unwrap() {
            messages.push(message);
        }
        (messages, scanner.is_mboxrd(), scanner.leading())
    }

    fn texts(text: &str) -> Vec<String> {
        let (messages, mboxrd, _) = scan(text.as_bytes());
        messages.iter().map(|message| String::from_utf8(bytes(text.as_bytes(), message, mboxrd)).unwrap()).collect()
    }

    fn bytes(text: &[u8], message: &MboxMessage, unquote: bool) -> Vec<u8> {
        let mut bytes = Vec::new();
        let range = message.offset..message.offset + message.len;
        let mut piece = Vec::new();
        if unquote {
            let mut unquoter = Unquoter::new(&mut bytes);
            copy(text, range, &mut piece, &mut unquoter).unwrap();
            let (_, written) = unquoter.finish().unwrap();
            assert_eq!(written, bytes.len() as u64);
        } else {
            copy(text, range, &mut piece, &mut bytes).unwrap();
        }
        bytes
    }

    const SEPARATOR: &str = "From a@b Mon Jan 15 10:00:00 2024\n";

    #[test]
    fn plain_files() {
        assert_eq!(texts(""), [""; 0]);
        assert_eq!(texts("\n\n"), [""; 0]);
        assert_eq!(texts(SEPARATOR), [""]);
        assert_eq!(texts(&format!("{SEPARATOR}A: b\n\nx\n\n{SEPARATOR}A: c\n\ny")), ["A: b\n\nx\n", "A: c\n\ny"]);
        assert_eq!(texts(&format!("\u{feff}\n\r\n{SEPARATOR}A: b\n\nx\n\n")), ["A: b\n\nx\n"]);
        // Only one blank line is the writer's.
        assert_eq!(texts(&format!("{SEPARATOR}A: b\n\nx\n\n\n\n")), ["A: b\n\nx\n\n\n"]);
        assert_eq!(texts(&format!("{SEPARATOR}{SEPARATOR}\n{SEPARATOR}A: b\n")), ["", "", "A: b\n"]);
    }

    #[test]
    fn crlf_and_mixed() {
        let dos = "From a@b Mon Jan 15 10:00:00 2024\r\nA: b\r\n\r\nx\r\n\r\nFrom a@b Mon Jan 15 10:00:00 2024\r\nA: c\r\n\r\ny\r\n";
        assert_eq!(texts(dos), ["A: b\r\n\r\nx\r\n", "A: c\r\n\r\ny\r\n"]);
        let (messages, ..) = scan(dos.as_bytes());
        assert_eq!(messages.iter().map(|message| message.line).collect::<Vec<_>>(), [1, 6]);
        assert_eq!(messages[0].date, Some(1_705_312_800));
        assert_eq!(messages[0].head, 8);
        let mixed = format!("{SEPARATOR}A: b\r\n\nx\r\n\n{SEPARATOR}A: c\n\r\ny\n");
        assert_eq!(texts(&mixed), ["A: b\r\n\nx\r\n", "A: c\n\r\ny\n"]);
    }

    #[test]
    fn what_is_no_separator() {
        // No blank line before, no field behind, the web's address behind, more text behind the date.
        let body = "x\nFrom here on: fine\nb: c\n\nFrom now on\nall is well\n\nFrom the web\nhttps://example.org\n\
                    From a@b Mon Jan 15 10:00:00 2024\nno field\n\n\
                    From a@b Mon Jan 15 10:00:00 2024 until noon\nx\n";
        let text = format!("{SEPARATOR}A: b\n\n{body}");
        assert_eq!(texts(&text), [format!("A: b\n\n{body}")]);
        // The two with a sender and a date are named, the sentences are not.
        assert_eq!(
            doubtful(&text),
            ["From a@b Mon Jan 15 10:00:00 2024", "From a@b Mon Jan 15 10:00:00 2024 until noon"]
        );
        // But without the blank line where a header follows.
        assert_eq!(texts(&format!("{SEPARATOR}A: b\n\nx\n{SEPARATOR}A: c\n\ny\n")), ["A: b\n\nx\n", "A: c\n\ny\n"]);
    }

    #[test]
    fn separators_without_date() {
        let text = "From - \nA: b\n\nx\nFrom - \nA: c\n\ny\n\nFrom someone\nA: d\n\nFrom - \n\nFrom \nz\n";
        assert_eq!(texts(text), ["A: b\n\nx\n", "A: c\n\ny\n", "A: d\n\nFrom - \n\nFrom \nz\n"]);
        assert_eq!(doubtful(text), ["From - ", "From "]);
        // Without a blank line only where the first one is the same.
        assert_eq!(texts(&format!("{SEPARATOR}A: b\n\nx\nFrom - \nA: d\n")).len(), 1);
    }

    /// Whatever a writer puts behind `From `: behind a blank line and before a field it separates.
    #[test]
    fn separators_of_every_dialect() {
        for kind in [
            "- nora@example.net  Mon Oct 16 2023 16:18:56 GMT-0700",
            "- Sat Apr 12 2025 15:59:28",
            "nora@example.net Mon Oct 16 2023 16:18:56 GMT-0700 (Pacific Daylight Time)",
            "nora@example.net Mo M\u{e4}r  9 12:03:19 2020",
            "nora@example.net 12/6/2023 11:14:04 PM",
            "Nora Quill <nora@example.net>  Wed Jan  2 16:34:35 2019",
            "\u{43f}\u{43d}, 9 \u{43c}\u{430}\u{440} 2020",
            "- ",
            "",
            "nora@example.net",
            "???@??? Mon Jan 15 10:00:00 2024",
        ] {
            for (newline, mark) in [("\n", ""), ("\r\n", ""), ("\n", "\u{feff}"), ("\r\n", "\u{feff}")] {
                let (first, body) = ("From a@b Mon Jan 15 10:00:00 2024", "Subject: x\n\n>From y\n");
                for all in [[kind, kind, kind], [first.strip_prefix("From ").unwrap(), kind, kind]] {
                    let file: String = all.iter().map(|kind| format!("{mark}From {kind}\n{body}\n")).collect();
                    let (file, body) = (file.replace('\n', newline), body.replace('\n', newline));
                    let (messages, _, leading) = scan(file.as_bytes());
                    let found: Vec<Vec<u8>> =
                        messages.iter().map(|message| bytes(file.as_bytes(), message, false)).collect();
                    assert_eq!(found, [body.as_bytes(), body.as_bytes(), body.as_bytes()], "{kind} {file:?}");
                    assert!(leading.is_empty() && doubtful(&file).is_empty(), "{kind}");
                }
            }
        }
    }

    #[test]
    fn what_a_mail_program_notes_when_it_writes_is_no_date_of_arrival() {
        let date = |separator: &str| scan(format!("{separator}\nA: b\n").as_bytes()).0[0].date;
        assert_eq!(date("From - Mon Jan 15 10:00:00 2024"), None);
        assert_eq!(date("From -x@y Mon Jan 15 10:00:00 2024"), Some(1_705_312_800));
    }

    /// The lines that look like separators and were taken for text.
    fn doubtful(text: &str) -> Vec<&str> {
        let mut scanner = Scanner::new(text.as_bytes());
        while scanner.next_message().unwrap().is_some() {}
        let (offsets, count) = scanner.doubtful();
        assert_eq!(offsets.len() as u64, count);
        offsets.iter().map(|&offset| text[offset as usize..].lines().next().unwrap()).collect()
    }

    #[test]
    fn a_lost_first_separator() {
        assert_eq!(texts(&format!("Received: x\nFrom: y\n\nz\n\n{SEPARATOR}A: b\n")).len(), 2);
        let (messages, _, leading) = scan(format!("hello\n\n{SEPARATOR}A: b\n").as_bytes());
        assert_eq!((messages.len(), leading), (1, 0..7));
        let (messages, _, leading) = scan(b"BEGIN:VCARD\nVERSION:3.0\n");
        assert_eq!((messages.len(), leading), (0, 0..24));
    }

    #[test]
    fn content_length_is_believed_when_confirmed() {
        let inner = format!("{SEPARATOR}Inner: yes\n\nz\n");
        let message = |length: usize| format!("{SEPARATOR}Content-Length: {length}\n\n{inner}\n{SEPARATOR}A: b\n\ny\n");
        let right = texts(&message(inner.len()));
        assert_eq!(right, [format!("Content-Length: {}\n\n{inner}", inner.len()), "A: b\n\ny\n".to_owned()]);
        assert_eq!(texts(&message(inner.len() + 7)).len(), 3);
        assert_eq!(texts(&message(usize::MAX)).len(), 3);
        let last = format!("{SEPARATOR}Content-Length: {}\n\n{inner}", inner.len());
        assert_eq!(texts(&last).len(), 1);
    }

    #[test]
    fn quoting() {
        let plain = format!("{SEPARATOR}A: b\n\n>From x\n> From y\n>>Fromage\n");
        assert_eq!(texts(&plain), ["A: b\n\n>From x\n> From y\n>>Fromage\n"]);
        assert!(scan(plain.as_bytes()).0[0].quoted);
        let rd = format!("{plain}>>From z\n");
        assert_eq!(texts(&rd), ["A: b\n\nFrom x\n> From y\n>>Fromage\n>From z\n"]);
        let takeout = "From 17@xxx Mon Jan 15 10:00:00 +0000 2024\r\nA: b\r\n\r\n>From x\r\n";
        assert_eq!(texts(takeout), ["A: b\r\n\r\nFrom x\r\n"]);
        let gmail = format!("{SEPARATOR}x-gm-thrid: 1\n\n>From x\n>");
        assert_eq!(texts(&gmail), ["x-gm-thrid: 1\n\nFrom x\n>"]);
    }

    #[test]
    fn unquoting_in_any_pieces() {
        let text = b">From a\n>>From b\n>>>>>Fro\n>From\n>>\n> >From x\nFrom \n>>>From ";
        let expected: &[u8] = b"From a\n>From b\n>>>>>Fro\n>From\n>>\n> >From x\nFrom \n>>From ";
        for size in 1..text.len() {
            let mut unquoter = Unquoter::new(Vec::new());
            for piece in text.chunks(size) {
                io::Write::write_all(&mut unquoter, piece).unwrap();
            }
            assert_eq!(unquoter.finish().unwrap().0, expected, "pieces of {size}");
        }
    }

    #[test]
    fn across_windows() {
        // Separators, quotes and blank lines at all places around the end of a window.
        for shift in 0..40 {
            let filler = "x".repeat(WINDOW - 60 + shift);
            let text = format!("{SEPARATOR}{filler}\n\n{SEPARATOR}A: b\n\n>>From z\n\n{SEPARATOR}A: c\n");
            assert_eq!(texts(&text), [format!("{filler}\n"), "A: b\n\n>From z\n".into(), "A: c\n".into()], "{shift}");
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(300))]

        #[test]
        fn random_bytes_are_read(bytes in any::<Vec<u8>>()) {
            scan(&bytes);
        }

        #[test]
        fn lines_of_trouble_are_read(lines in vec(prop_oneof![
            Just("From a@b Mon Jan 15 10:00:00 2024"), Just("From - "), Just("From "), Just(">From x"), Just(""), Just("A: b"),
            Just("Content-Length: 12"), Just(">>>From "), Just("\r"), Just("text"), Just(" folded")], 0..40),
            crlf in any::<bool>()) {
            let text = lines.join(if crlf { "\r\n" } else { "\n" });
            let (messages, ..) = scan(text.as_bytes());
            let mut end = 0;
            for message in messages {
                prop_assert!(message.offset >= end && message.head <= message.len);
                end = message.offset + message.len;
            }
            prop_assert!(end <= text.len() as u64);
        }

        #[test]
        fn what_an_mboxrd_writer_wrote_is_read_back(messages in vec(
            ("[A-Za-z-]{1,12}", vec(prop_oneof![
                "[ -~]{0,20}", ">{0,4}From [a-z ]{0,9}", Just("From a@b Mon Jan 15 10:00:00 2024".to_owned()), Just(String::new())], 0..8)),
            1..6)) {
            let mut file = String::new();
            let mut originals = Vec::new();
            for (name, lines) in messages {
                let mut message = format!("{name}: x\nX-GM-THRID: 1\n\n");
                for line in lines {
                    message.push_str(&line);
                    message.push('\n');
                }
                file.push_str(SEPARATOR);
                for line in message.lines() {
                    if line.trim_start_matches('>').starts_with("From ") {
                        file.push('>');
                    }
                    file.push_str(line);
                    file.push('\n');
                }
                file.push('\n');
                originals.push(message);
            }
            prop_assert_eq!(texts(&file), originals);
        }
    }
}
