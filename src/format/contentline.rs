//! Content lines of iCalendar and vCard (RFC 5545 3.1, RFC 6350 3.2) as stretches of bytes.
//!
//! Lines may end with CRLF, LF, CR or several CRs and LF, mixed at will. A line that begins with a blank continues
//! the one before it. In vCard 2.1 and vCalendar 1.0 a quoted-printable value goes on behind a `=` at the line's end.

use mail_parser::decoders::charsets::map::charset_decoder;
use memchr::{memchr, memchr2};
use std::borrow::Cow;

/// A byte order mark in UTF-8. It may stand before every object of a file that was put together from several.
const BOM: &[u8] = b"\xEF\xBB\xBF";

/// One content line with all its continuations.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Line<'a> {
    /// Bytes from the start of the file.
    pub start: usize,
    /// Where the next line begins: the line break belongs to the line.
    pub end: usize,
    raw: &'a [u8],
    folded: bool,
    soft: bool,
    /// An empty line stands before a continuation, as old Mozilla exports have it.
    pub gap: bool,
}

impl<'a> Line<'a> {
    /// The line without line break and folds. Bytes of a character that a fold tore apart are together again.
    pub(crate) fn text(&self) -> Cow<'a, [u8]> {
        let (first, mut at) = physical(self.raw, 0);
        if !self.folded {
            return Cow::Borrowed(self.raw.get(..first).unwrap_or_default());
        }
        let mut text = Vec::with_capacity(self.raw.len());
        text.extend_from_slice(self.raw.get(..first).unwrap_or_default());
        while at < self.raw.len() {
            let (end, next) = physical(self.raw, at);
            let piece = self.raw.get(at..end).unwrap_or_default();
            match (self.soft && text.last() == Some(&b'='), piece) {
                (true, piece) => {
                    text.pop();
                    text.extend_from_slice(piece);
                }
                (false, [b' ' | b'\t', rest @ ..]) => text.extend_from_slice(rest),
                (false, piece) => text.extend_from_slice(piece),
            }
            at = next;
        }
        Cow::Owned(text)
    }

    /// The line with its folds and its line break.
    pub(crate) fn raw(&self) -> &'a [u8] {
        self.raw
    }

    /// Nothing but blanks.
    pub(crate) fn is_blank(&self) -> bool {
        strip_bom(self.raw).iter().all(|byte| byte.is_ascii_whitespace())
    }
}

/// All content lines of `bytes`, in order and without gaps.
pub(crate) fn lines(bytes: &[u8]) -> Lines<'_> {
    Lines { bytes, at: 0 }
}

/// See [`lines`].
pub(crate) struct Lines<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Iterator for Lines<'a> {
    type Item = Line<'a>;

    fn next(&mut self) -> Option<Line<'a>> {
        let start = self.at;
        if start >= self.bytes.len() {
            return None;
        }
        let (mut content, mut end) = physical(self.bytes, start);
        let soft = is_quoted_printable(self.bytes.get(start..content).unwrap_or_default());
        let mut folded = false;
        let mut gap = false;
        while let Some(&byte) = self.bytes.get(end) {
            let goes_on = matches!(byte, b' ' | b'\t')
                || (soft
                    && content > start
                    && self.bytes.get(content - 1) == Some(&b'=')
                    && !ends_object(self.bytes, end));
            if !goes_on {
                // Only behind text, so that a run of empty lines is looked at once.
                match over_gap(self.bytes, end).filter(|_| content > start) {
                    Some(next) => (gap, end) = (true, next),
                    None => break,
                }
            }
            folded = true;
            (content, end) = physical(self.bytes, end);
        }
        self.at = end;
        let raw = self.bytes.get(start..end).unwrap_or_default();
        Some(Line { start, end, raw, folded, soft, gap })
    }
}

/// Where a continuation begins behind one empty line at `at`.
fn over_gap(bytes: &[u8], at: usize) -> Option<usize> {
    let (end, next) = physical(bytes, at);
    (end == at && matches!(bytes.get(next..), Some([b' ' | b'\t', b':' | b';', ..]))).then_some(next)
}

/// The end of the text of the physical line that begins at `at`, and the begin of the next one. A run of CRs counts
/// as one line break, with or without LF behind it, so that the scan stays linear.
fn physical(bytes: &[u8], at: usize) -> (usize, usize) {
    let rest = bytes.get(at..).unwrap_or_default();
    let Some(found) = memchr2(b'\r', b'\n', rest) else {
        return (bytes.len(), bytes.len());
    };
    let breaks = rest.get(found..).unwrap_or_default();
    let returns = breaks.iter().take_while(|byte| **byte == b'\r').count();
    let feed = usize::from(breaks.get(returns) == Some(&b'\n'));
    (at + found, at + found + returns + feed)
}

/// `NAME;ENCODING=QUOTED-PRINTABLE:` or the bare parameter of vCard 2.1 before the first colon.
fn is_quoted_printable(first: &[u8]) -> bool {
    let name = memchr(b':', first).and_then(|colon| first.get(..colon)).unwrap_or_default();
    memchr(b';', name)
        .and_then(|at| name.get(at..))
        .is_some_and(|params| params.windows(16).any(|w| w.eq_ignore_ascii_case(b"QUOTED-PRINTABLE")))
}

/// Whether the physical line at `at` ends an object although the line before it, being quoted-printable, asks for
/// more: producers do leave a `=` at the end of the last line. It is an END line if no property follows it.
fn ends_object(bytes: &[u8], at: usize) -> bool {
    let (end, mut next) = physical(bytes, at);
    let Some(name) = end_name(bytes.get(at..end).unwrap_or_default()) else {
        return false;
    };
    while next < bytes.len() {
        let (end, after) = physical(bytes, next);
        let line = bytes.get(next..end).unwrap_or_default().trim_ascii();
        if !line.is_empty() {
            return line.get(..6).is_some_and(|start| start.eq_ignore_ascii_case(b"BEGIN:"))
                || end_name(line).is_some_and(|other| !other.eq_ignore_ascii_case(name));
        }
        next = after;
    }
    true
}

fn end_name(line: &[u8]) -> Option<&[u8]> {
    let (keyword, name) = line.trim_ascii().split_at_checked(4)?;
    (keyword.eq_ignore_ascii_case(b"END:") && !name.is_empty() && name.iter().all(|b| b.is_ascii_alphanumeric()))
        .then_some(name)
}

/// `bytes` without a byte order mark in front.
pub(crate) fn strip_bom(bytes: &[u8]) -> &[u8] {
    bytes.strip_prefix(BOM).unwrap_or(bytes)
}

/// True for UTF-16 and UTF-32, with or without byte order mark.
pub(crate) fn is_wide(bytes: &[u8]) -> bool {
    match bytes {
        [0xFF, 0xFE, ..] | [0xFE, 0xFF, ..] | [0, 0, 0xFE, 0xFF, ..] => true,
        [0, b, 0, e, ..] | [b, 0, e, 0, ..] => b.eq_ignore_ascii_case(&b'B') && e.eq_ignore_ascii_case(&b'E'),
        _ => false,
    }
}

/// A content line taken apart (RFC 5545 3.1 `contentline`, RFC 6350 3.3).
#[derive(Debug, Clone, Copy)]
pub(crate) struct Prop<'a> {
    /// Without the group of vCard (`item1.`) and blanks, in its own case.
    pub name: &'a [u8],
    /// Everything between the first semicolon and the colon.
    pub params: &'a [u8],
    /// Everything behind the colon.
    pub value: &'a [u8],
}

impl<'a> Prop<'a> {
    /// `None` if there is no colon, or no name before it.
    pub(crate) fn parse(text: &'a [u8]) -> Option<Prop<'a>> {
        let text = strip_bom(text);
        let at = text.iter().position(|byte| matches!(byte, b':' | b';'))?;
        let (name, rest) = text.split_at_checked(at)?;
        let name = name.rsplit(|byte| *byte == b'.').next().unwrap_or(name).trim_ascii();
        if name.is_empty() {
            return None;
        }
        if let [b':', value @ ..] = rest {
            return Some(Prop { name, params: b"", value });
        }
        // A quote that is never closed hides no colon.
        let colon = unquoted(rest, b':').or_else(|| memchr(b':', rest))?;
        Some(Prop { name, params: rest.get(1..colon)?, value: rest.get(colon + 1..)? })
    }

    /// Whether the name is this one, whatever the case.
    pub(crate) fn is(&self, name: &str) -> bool {
        self.name.eq_ignore_ascii_case(name.as_bytes())
    }

    /// The first parameter of this name: its text without quotes.
    pub(crate) fn param(&self, name: &str) -> Option<&'a [u8]> {
        let mut rest = self.params;
        while !rest.is_empty() {
            let end = unquoted(rest, b';').unwrap_or(rest.len());
            let (param, after) = rest.split_at_checked(end)?;
            if let Some(at) = memchr(b'=', param)
                && param.get(..at)?.trim_ascii().eq_ignore_ascii_case(name.as_bytes())
            {
                let value = param.get(at + 1..)?.trim_ascii();
                return Some(value.strip_prefix(b"\"").and_then(|v| v.strip_suffix(b"\"")).unwrap_or(value));
            }
            rest = after.get(1..).unwrap_or_default();
        }
        None
    }
}

/// Parameters, each with its name and its value as they stand there.
pub(crate) fn params(mut rest: &[u8]) -> Vec<&[u8]> {
    let mut all = Vec::new();
    while !rest.is_empty() {
        let end = unquoted(rest, b';').unwrap_or(rest.len());
        all.push(rest.get(..end).unwrap_or_default());
        rest = rest.get(end + 1..).unwrap_or_default();
    }
    all
}

/// The first `wanted` outside of double quotes.
fn unquoted(bytes: &[u8], wanted: u8) -> Option<usize> {
    let mut quoted = false;
    bytes.iter().position(|byte| {
        quoted ^= *byte == b'"';
        !quoted && *byte == wanted
    })
}

/// The text of `bytes`: UTF-8, else Windows-1252, which gives every byte a meaning.
pub(crate) fn decode(bytes: &[u8]) -> Cow<'_, str> {
    decode_as(bytes, None)
}

fn decode_as<'a>(bytes: &'a [u8], charset: Option<&[u8]>) -> Cow<'a, str> {
    match std::str::from_utf8(bytes) {
        Ok(text) => Cow::Borrowed(text),
        Err(_) => {
            let decoder = charset
                .filter(|name| !name.eq_ignore_ascii_case(b"utf-8"))
                .and_then(charset_decoder)
                .or_else(|| charset_decoder(b"windows-1252"));
            match decoder {
                Some(decoder) => Cow::Owned(decoder(bytes)),
                None => String::from_utf8_lossy(bytes),
            }
        }
    }
}

/// The text of a whole file. Each line is judged by itself: one foreign byte does not spoil the others, and a
/// CHARSET parameter (vCard 2.1) is heeded. Without byte order mark.
pub(crate) fn decode_all(bytes: &[u8]) -> Cow<'_, str> {
    let bytes = strip_bom(bytes);
    if let Ok(text) = std::str::from_utf8(bytes) {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(bytes.len() + bytes.len() / 8);
    for line in lines(bytes) {
        match std::str::from_utf8(line.raw()) {
            Ok(text) => out.push_str(text),
            Err(_) => {
                // The raw line keeps its folds, so that quoted-printable and base64 stay what they are; unfolding
                // is only tried because a fold may stand inside of a character.
                let text = line.text();
                match std::str::from_utf8(&text) {
                    Ok(text) => {
                        out.push_str(text);
                        out.push_str("\r\n");
                    }
                    Err(_) => {
                        let charset = Prop::parse(&text).and_then(|prop| prop.param("CHARSET"));
                        out.push_str(&decode_as(line.raw(), charset));
                    }
                }
            }
        }
    }
    Cow::Owned(out)
}

/// `text` with LF for every line break, for readers that know no lone CR.
pub(crate) fn plain_breaks(text: &str) -> Cow<'_, str> {
    let bytes = text.as_bytes();
    let lone = |at: usize| !matches!(bytes.get(at + 1), Some(b'\n'));
    if !memchr::memchr_iter(b'\r', bytes).any(lone) {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len());
    let mut at = 0;
    while at < bytes.len() {
        let (end, next) = physical(bytes, at);
        out.push_str(text.get(at..end).unwrap_or_default());
        out.push('\n');
        at = next;
    }
    Cow::Owned(out)
}

/// TEXT without its escapes (RFC 5545 3.3.11, RFC 6350 3.4).
pub(crate) fn unescape(text: &str) -> Cow<'_, str> {
    if memchr(b'\\', text.as_bytes()).is_none() {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len());
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        match c {
            '\\' => match chars.next() {
                Some('n' | 'N') => out.push('\n'),
                Some(c @ ('\\' | ',' | ';' | ':' | '"')) => out.push(c),
                Some(c) => out.extend(['\\', c]),
                None => out.push('\\'),
            },
            c => out.push(c),
        }
    }
    Cow::Owned(out)
}

/// TEXT with its escapes, on one line.
pub(crate) fn escape(text: &str) -> String {
    let text = text.replace('\\', "\\\\").replace(';', "\\;").replace(',', "\\,");
    text.replace(['\r', '\n'], " ")
}

/// Folds a line at 75 bytes, never inside of a character (RFC 5545 3.1).
pub(crate) fn fold(line: &[u8], out: &mut Vec<u8>) {
    let mut room = 75;
    for (at, byte) in line.iter().enumerate() {
        let ahead = line.get(at..).map_or(1, |rest| rest.iter().skip(1).take_while(|b| **b & 0xC0 == 0x80).count() + 1);
        if byte & 0xC0 != 0x80 && room < ahead {
            out.extend_from_slice(b"\r\n ");
            room = 74;
        }
        out.push(*byte);
        room = room.saturating_sub(1);
    }
    out.extend_from_slice(b"\r\n");
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(bytes: &[u8]) -> Vec<String> {
        lines(bytes).map(|line| String::from_utf8_lossy(&line.text()).into_owned()).collect()
    }

    #[test]
    fn every_line_break_counts() {
        assert_eq!(texts(b"a\nb\r\nc\rd\r\r\ne"), ["a", "b", "c", "d", "e"]);
        assert_eq!(texts(b"UID\n\n :1\n\n ;2\nA\n\n b"), ["UID:1;2", "A", "b"]);
        assert_eq!(texts(b"a\r\n b\n\tc\r\n \r\nd"), ["abc", "d"]);
        let bytes = b"\n\ra\r\r\r b\n\n".repeat(3);
        let mut at = 0;
        for line in lines(&bytes) {
            assert_eq!(line.start, at);
            at = line.end;
        }
        assert_eq!(at, bytes.len());
    }

    #[test]
    fn quoted_printable_goes_on() {
        let text = texts(b"NOTE;ENCODING=QUOTED-PRINTABLE:a=\r\nBEGIN:VCARD=\r\nEND:VCARD\r\nEND:VCARD\r\n");
        assert_eq!(text, ["NOTE;ENCODING=QUOTED-PRINTABLE:aBEGIN:VCARDEND:VCARD", "END:VCARD"]);
        assert_eq!(texts(b"N;QUOTED-PRINTABLE:a=\nEND:VCARD\n\n").len(), 3);
        assert_eq!(texts(b"N;QUOTED-PRINTABLE:a=\nEND:VEVENT\nEND:VCALENDAR\n").len(), 3);
        assert_eq!(texts(b"URL:a=\nTEL:1").len(), 2);
    }

    #[test]
    fn properties() {
        let prop = Prop::parse(b"\xEF\xBB\xBFitem1.DTSTART;X=\"a:;b\"; tzid = \"Europe/Berlin\":2020:1").unwrap();
        assert!(prop.is("dtstart"));
        assert_eq!(prop.param("TZID"), Some(&b"Europe/Berlin"[..]));
        assert_eq!(prop.param("x"), Some(&b"a:;b"[..]));
        assert_eq!(prop.param("y"), None);
        assert_eq!(prop.value, b"2020:1");
        assert_eq!(Prop::parse(b"A;X=\"b:c").unwrap().value, b"c");
        assert!(Prop::parse(b"no colon").is_none());
        assert!(Prop::parse(b":x").is_none());
    }

    #[test]
    fn text_of_any_encoding() {
        assert_eq!(decode(b"M\xFCller"), "Müller");
        assert_eq!(decode_all(b"A:\xC3\r\n \xBC\r\nB:\xFC\r\nC:\xC3\xBC\r\n"), "A:ü\r\nB:ü\r\nC:ü\r\n");
        assert_eq!(decode_all(b"A;CHARSET=koi8-r:\xC1\n"), "A;CHARSET=koi8-r:а\n");
        assert_eq!(unescape("a\\nb\\,\\x\\"), "a\nb,\\x\\");
        assert!(is_wide(b"\xFF\xFEB\0") && is_wide(b"B\0E\0G\0") && is_wide(b"\0B\0E") && !is_wide(b"BEGIN"));
    }
}
