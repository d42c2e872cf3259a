//! Header fields (RFC 5322 2.2) and the encoded words in them (RFC 2047).
//!
//! `mail_parser` decodes encoded words one by one, so that a character that was split between two of them is lost, and
//! takes quadratic time for a field of words without an end. Both matter here, hence this module: fields are split, and
//! words decoded, in one pass.

use super::transfer::{base64, hex_words};
use super::{charset, clean};
use crate::format::mail::HEAD_MAX;
use memchr::{memchr, memmem};
use std::borrow::Cow;

/// The longest name of a charset that is looked at.
const LABEL_MAX: usize = 64;

/// Where the header of a message or part ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Head {
    /// The end of the last field, at most [`HEAD_MAX`] away.
    pub end: usize,
    /// Where the body begins.
    pub body: usize,
    /// False if the bytes ended before the header did.
    pub complete: bool,
}

/// One field; the value has its folds still.
#[derive(Debug, Clone, Copy)]
pub(super) struct Field<'a> {
    name: &'a [u8],
    pub value: &'a [u8],
}

impl Field<'_> {
    pub(super) fn is(&self, name: &str) -> bool {
        self.name.eq_ignore_ascii_case(name.as_bytes())
    }
}

/// Finds the end of the header that begins at the start of `bytes`.
///
/// A line that can be no field ends it without an empty line (the body has begun), save for the `From ` lines that
/// mailboxes and careless programs leave.
pub(super) fn head(bytes: &[u8]) -> Head {
    let mut at = 0;
    while at < bytes.len() {
        let end = memchr(b'\n', &bytes[at..]).map_or(bytes.len(), |found| at + found);
        let line = &bytes[at..end];
        let next = (end + 1).min(bytes.len());
        if matches!(line, b"" | b"\r") {
            return Head { end: at, body: next, complete: end < bytes.len() };
        }
        let is_head = matches!(line.first(), Some(b' ' | b'\t'))
            || name_len(line).is_some()
            || line.starts_with(b"From ")
            || line.starts_with(b">From ");
        if !is_head {
            // A line that was cut short may have been a field.
            return Head { end: at, body: at, complete: end < bytes.len() };
        }
        if end > HEAD_MAX {
            let body = blank_line(&bytes[at..]).map(|found| at + found);
            return Head { end: HEAD_MAX, body: body.unwrap_or(bytes.len()), complete: body.is_some() };
        }
        at = next;
    }
    Head { end: at, body: at, complete: false }
}

/// Where the bytes behind the first empty line begin.
fn blank_line(bytes: &[u8]) -> Option<usize> {
    let lf = memmem::find(bytes, b"\n\n").map(|at| at + 2);
    let crlf = memmem::find(&bytes[..lf.unwrap_or(bytes.len())], b"\n\r\n").map(|at| at + 3);
    crlf.or(lf)
}

/// The length of the name of the field that `line` begins; the colon may have blanks before it (RFC 5322 4.5).
fn name_len(line: &[u8]) -> Option<usize> {
    let length = line.iter().position(|byte| !matches!(byte, b'!'..=b'9' | b';'..=b'~'))?;
    let colon = line[length..].iter().find(|byte| !matches!(byte, b' ' | b'\t'))?;
    (length > 0 && *colon == b':').then_some(length)
}

/// True if `bytes` begin with a field.
pub(super) fn is_field(bytes: &[u8]) -> bool {
    name_len(&bytes[..memchr(b'\n', bytes).unwrap_or(bytes.len())]).is_some()
}

/// The fields of a header, in order.
pub(super) fn fields(head: &[u8]) -> impl Iterator<Item = Field<'_>> {
    let mut at = 0;
    std::iter::from_fn(move || {
        while at < head.len() {
            let start = at;
            let name = name_len(&head[start..]);
            loop {
                at = memchr(b'\n', &head[at..]).map_or(head.len(), |found| at + found + 1);
                if !matches!(head.get(at), Some(b' ' | b'\t')) {
                    break;
                }
            }
            if let Some(length) = name {
                let field = &head[start..at];
                let colon = memchr(b':', field)?;
                return Some(Field { name: &field[..length], value: &field[colon + 1..] });
            }
        }
        None
    })
}

/// A value as one line of text: encoded words decoded, folds and runs of blanks one blank, control characters gone.
/// `fallback` is the charset that raw 8-bit letters are likely in if they are not UTF-8.
pub(super) fn decode(value: &[u8], fallback: Option<&str>) -> String {
    clean::line(&words(value, fallback))
}

/// The raw bytes of neighbouring encoded words of one charset: a character may begin in one and end in the next.
struct Run {
    label: String,
    bytes: Vec<u8>,
}

/// Decodes the encoded words of a value and leaves everything else as it is.
pub(super) fn words<'a>(value: &'a [u8], fallback: Option<&str>) -> Cow<'a, str> {
    let plain = |bytes: &'a [u8]| charset::decode_raw(bytes, fallback);
    if memmem::find(value, b"=?").is_none() {
        return plain(value);
    }
    let mut out = String::with_capacity(value.len());
    let mut run: Option<Run> = None;
    let finish = |run: &mut Option<Run>, out: &mut String| {
        if let Some(run) = run.take() {
            out.push_str(&charset::decode(Cow::Owned(run.bytes), Some(&run.label), usize::MAX));
        }
    };
    let (mut start, mut at) = (0, 0);
    while let Some(found) = memmem::find(&value[at..], b"=?") {
        let begin = at + found;
        let Some((word, end)) = encoded_word(value, begin) else {
            at = begin + 2;
            continue;
        };
        let between = &value[start..begin];
        let label = String::from_utf8_lossy(word.label).to_ascii_lowercase();
        // Where bytes switch the meaning of others (ISO-2022-JP), each word begins and ends by itself.
        let is_stateful = label.starts_with("iso-2022") || label.starts_with("hz") || label == "utf-7";
        let goes_on = run.as_ref().is_some_and(|run| run.label == label) && !is_stateful;
        // Blanks between two encoded words are not part of the text (6.2).
        let touches = run.is_some() && between.iter().all(u8::is_ascii_whitespace);
        if !touches || !goes_on {
            finish(&mut run, &mut out);
        }
        if !touches {
            out.push_str(&plain(between));
        }
        let run = run.get_or_insert_with(|| Run { label, bytes: Vec::new() });
        word.decode(&mut run.bytes);
        (start, at) = (end, end);
    }
    finish(&mut run, &mut out);
    out.push_str(&plain(&value[start..]));
    Cow::Owned(out)
}

struct Word<'a> {
    label: &'a [u8],
    is_base64: bool,
    text: &'a [u8],
}

impl Word<'_> {
    fn decode(&self, out: &mut Vec<u8>) {
        if self.is_base64 {
            out.extend_from_slice(&base64(self.text, self.text.len()));
            return;
        }
        // A fold inside of a word is a mistake, but one that is made.
        let text: Vec<u8> = self
            .text
            .iter()
            .filter(|byte| !matches!(byte, b'\r' | b'\n'))
            .map(|&byte| if byte == b'_' { b' ' } else { byte })
            .collect();
        hex_words(&text, &mut |piece| {
            out.extend_from_slice(piece);
            true
        });
    }
}

/// The encoded word (RFC 2047 2) that begins at `begin`, and where it ends. Lenient: blanks and `?` may stand in its
/// text. A word that another one begins in is none; so no byte is looked at for more than two words.
fn encoded_word(value: &[u8], begin: usize) -> Option<(Word<'_>, usize)> {
    let rest = value.get(begin + 2..)?;
    let label = memchr(b'?', rest.get(..LABEL_MAX).unwrap_or(rest))?;
    let is_base64 = match rest.get(label + 1..label + 3)? {
        b"B?" | b"b?" => true,
        b"Q?" | b"q?" => false,
        _ => return None,
    };
    let text = label + 3;
    let mut at = text;
    loop {
        at += memchr(b'?', rest.get(at..)?)?;
        if rest.get(at + 1) == Some(&b'=') {
            break;
        }
        if at > text && rest[at - 1] == b'=' {
            return None;
        }
        at += 1;
    }
    let language = memchr(b'*', &rest[..label]).unwrap_or(label);
    if language == 0 {
        return None;
    }
    Some((Word { label: &rest[..language], is_base64, text: &rest[text..at] }, begin + 2 + at + 2))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::format::work;

    fn decoded(value: &str) -> String {
        decode(value.as_bytes(), None)
    }

    #[test]
    fn the_end_of_a_header() {
        for (text, end, body, complete) in [
            ("A: b\n\nc", 5, 6, true),
            ("A: b\r\n d\r\n\r\nc", 10, 12, true),
            ("From x\nA : b\n>From y\nB: c\n\n", 26, 27, true),
            ("A: b\nno field\n\nc", 5, 5, true),
            ("--b\nA: b\n", 0, 0, true),
            ("A: b", 4, 4, false),
            ("", 0, 0, false),
            ("\nA: b", 0, 1, true),
        ] {
            assert_eq!(head(text.as_bytes()), Head { end, body, complete }, "{text:?}");
        }
        let long = format!("A: {}\nB: c\r\n\r\nd", "x".repeat(HEAD_MAX));
        assert_eq!(head(long.as_bytes()), Head { end: HEAD_MAX, body: long.len() - 1, complete: true });
        assert_eq!(head("x ".repeat(HEAD_MAX).as_bytes()), Head { end: 0, body: 0, complete: false });
    }

    #[test]
    fn fields_with_folds() {
        let fields: Vec<_> = fields(b"From x\nA: b\r\n\tc\r\nB :d\n: e\nC:\n").map(|f| (f.name, f.value)).collect();
        assert_eq!(fields, [(&b"A"[..], &b" b\r\n\tc\r\n"[..]), (b"B", b"d\n"), (b"C", b"\n")]);
    }

    #[test]
    fn encoded_words() {
        for (value, expected) in [
            ("=?utf-8?q?Gr=C3=BC=C3=9Fe?=", "Grüße"),
            ("Re: =?ISO-8859-1?Q?Rechnung_f=FCr?= you", "Re: Rechnung für you"),
            ("=?utf-8?B?aW52?=\r\n =?utf-8?B?b2ljZQ==?=", "invoice"),
            // A character in two words, and in two ways of encoding.
            ("=?utf-8?q?Gr=C3?= =?UTF-8?B?vA==?=n", "Grün"),
            ("=?us-ascii?q?in?= =?utf-8?q?voice?=", "invoice"),
            ("(=?utf-8?q?a?=) b=?utf-8?q?c?=d", "(a) bcd"),
            ("=?utf-8*de?q?a?=", "a"),
            ("=?utf-8?q?what is this??=", "what is this?"),
            ("=?utf-8?q?fold\r\n ed?=", "fold ed"),
            ("=?utf-8?q?broken =?utf-8?q?whole?=", "=?utf-8?q?broken whole"),
            ("=?utf-8?x?a?= =??q?a?= =?utf-8?q?a", "=?utf-8?x?a?= =??q?a?= =?utf-8?q?a"),
            ("=?iso-2022-jp?B?GyRCJU8lbSE8GyhC?=", "ハロー"),
            ("=?iso-2022-jp?B?GyRCJU8bKEI=?= =?iso-2022-jp?B?GyRCJW0bKEI=?=", "ハロ"),
            ("=?utf-8?q?a=00=0Ab?=", "a b"),
            ("=?utf-8?q??= =?utf-8?b??=", ""),
        ] {
            assert_eq!(decoded(value), expected, "{value}");
        }
    }

    #[test]
    fn raw_letters() {
        assert_eq!(decoded("Grüße =?utf-8?q?=C3=BC?="), "Grüße ü");
        assert_eq!(decode(b" Gr\xFC\xDFe", Some("iso-8859-1")), "Grüße");
        assert_eq!(decode(b" Gr\xFC\xDFe aus M\xFCnchen", None), "Grüße aus München");
        assert_eq!(decode(b"\xCF\xF0\xE8\xE2\xE5\xF2", Some("windows-1251")), "Привет");
    }

    #[test]
    fn bombs_of_words_take_linear_time() {
        let started = work::begin();
        for bomb in ["=?", "=?a?q?", "=?a?q?x", "=?utf-8?q?a?= ", "=?utf-8?b?YQ?==?", "=?a?q??", "????=", "=?a?q?=?="] {
            let value = bomb.repeat(HEAD_MAX / bomb.len());
            let length = decoded(&value).len();
            assert!(length <= 3 * value.len());
        }
        assert!(started.elapsed().as_secs() < 20);
    }
}
