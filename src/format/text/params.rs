//! Values with parameters: Content-Type and Content-Disposition (RFC 2045 5.1, RFC 2183), their parameters continued
//! and encoded as of RFC 2231, or with encoded words, which is forbidden and common.
//!
//! `mail_parser` decodes each piece of a continued parameter by itself (in UTF-8 from the second on) and merges them in
//! quadratic time. Here pieces are joined as bytes and decoded once.

use super::transfer::hex;
use super::{charset, header};
use memchr::{memchr, memchr2, memchr3};
use std::borrow::Cow;

/// How many parameters count. A name in a thousand pieces is an attack.
const PARAMETERS_MAX: usize = 1000;

/// A parsed value.
#[derive(Debug)]
pub(super) struct Value<'a> {
    /// What stands before the first parameter, in lower case; visible ASCII only.
    pub kind: String,
    parameters: Vec<Parameter<'a>>,
}

#[derive(Debug)]
struct Parameter<'a> {
    name: &'a [u8],
    /// The number of `name*2=`; `None` for a plain `name=`.
    section: Option<u32>,
    /// `name*=` and `name*2*=`: percent signs encode.
    extended: bool,
    value: Cow<'a, [u8]>,
}

/// Splits a value.
pub(super) fn parse(field: &[u8]) -> Value<'_> {
    let kind_end = memchr(b';', field).unwrap_or(field.len());
    let kind = field[..kind_end].trim_ascii();
    let kind = kind.split(|byte| byte.is_ascii_whitespace() || *byte == b'(').next().unwrap_or_default();
    let kind: String = kind.iter().filter(|byte| byte.is_ascii_graphic()).map(|&byte| char::from(byte)).collect();
    let mut parameters = Vec::new();
    let mut at = kind_end + 1;
    while at < field.len() && parameters.len() < PARAMETERS_MAX {
        let rest = &field[at..];
        match memchr3(b'=', b';', b'"', rest) {
            Some(equals) if rest[equals] == b'=' => {
                let (value, end) = value(&rest[equals + 1..]);
                parameters.extend(parameter(rest[..equals].trim_ascii(), value));
                at += equals + 1 + end;
            }
            Some(other) => at += other + 1,
            None => break,
        }
    }
    Value { kind: kind.to_ascii_lowercase(), parameters }
}

/// The value that begins behind a `=`, and where the next parameter begins.
fn value(rest: &[u8]) -> (Cow<'_, [u8]>, usize) {
    let blanks = rest.len() - rest.trim_ascii_start().len();
    let text = &rest[blanks..];
    if text.first() != Some(&b'"') {
        let end = unquoted_end(text);
        return (Cow::Borrowed(text[..end].trim_ascii()), blanks + (end + 1).min(text.len()));
    }
    let mut value = Vec::new();
    let mut at = 1;
    while let Some(&byte) = text.get(at) {
        at += 1;
        match (byte, text.get(at)) {
            (b'"', _) => break,
            // Other backslashes are those of paths, which programs write as they are.
            (b'\\', Some(&next @ (b'"' | b'\\'))) => {
                value.push(next);
                at += 1;
            }
            (b'\r' | b'\n', _) => {}
            _ => value.push(byte),
        }
    }
    (Cow::Owned(value), blanks + at)
}

/// The end of a value without quotes. Blanks are not allowed in it, but names have them; a line with a `=` is the next
/// parameter, although the `;` was forgotten.
fn unquoted_end(text: &[u8]) -> usize {
    let mut at = 0;
    while let Some(found) = memchr2(b';', b'\n', &text[at..]) {
        let end = at + found;
        let line = &text[end + 1..];
        let line = &line[..memchr2(b';', b'\n', line).unwrap_or(line.len())];
        if text[end] == b';' || memchr(b'=', line).is_some() {
            return end;
        }
        at = end + 1;
    }
    text.len()
}

fn parameter<'a>(name: &'a [u8], value: Cow<'a, [u8]>) -> Option<Parameter<'a>> {
    let (base, star) = match memchr(b'*', name) {
        Some(star) => (&name[..star], &name[star + 1..]),
        None => return Some(Parameter { name, section: None, extended: false, value }),
    };
    let (number, extended) = match star.strip_suffix(b"*") {
        Some(number) => (number, true),
        None => (star, star.is_empty()),
    };
    let section = if number.is_empty() { 0 } else { std::str::from_utf8(number).ok()?.parse().ok()? };
    Some(Parameter { name: base, section: Some(section), extended, value })
}

impl Value<'_> {
    /// The bytes of a parameter, its pieces joined (RFC 2231 3 and 4), and the charset it names. An extended one is
    /// better than a plain one.
    pub(super) fn bytes(&self, name: &str) -> Option<(Vec<u8>, Option<String>)> {
        let all = || self.parameters.iter().filter(|parameter| parameter.name.eq_ignore_ascii_case(name.as_bytes()));
        let mut sections: Vec<_> = all().filter(|parameter| parameter.section.is_some()).collect();
        if sections.is_empty() {
            return all().next().map(|parameter| (parameter.value.to_vec(), None));
        }
        sections.sort_by_key(|parameter| parameter.section);
        sections.dedup_by_key(|parameter| parameter.section);
        let (mut label, mut bytes) = (None, Vec::new());
        for (at, parameter) in sections.iter().enumerate() {
            let mut value = parameter.value.as_ref();
            if at == 0 && parameter.extended {
                let mut quotes = value.splitn(3, |byte| *byte == b'\'');
                if let (Some(charset), Some(_), Some(rest)) = (quotes.next(), quotes.next(), quotes.next()) {
                    (label, value) = (Some(String::from_utf8_lossy(charset).into_owned()), rest);
                }
            }
            if parameter.extended {
                percent(value, &mut bytes);
            } else {
                bytes.extend_from_slice(value);
            }
        }
        Some((bytes, label))
    }

    /// A parameter as text; `fallback` as in [`header::decode`].
    pub(super) fn text(&self, name: &str, fallback: Option<&str>) -> Option<String> {
        let (bytes, label) = self.bytes(name)?;
        Some(match label {
            Some(label) => charset::decode(Cow::Owned(bytes), Some(&label), usize::MAX).into_owned(),
            None => header::words(&bytes, fallback).into_owned(),
        })
    }
}

fn percent(value: &[u8], out: &mut Vec<u8>) {
    let mut rest = value;
    while let Some((&byte, tail)) = rest.split_first() {
        rest = tail;
        match (byte, tail) {
            (b'%', &[high, low, ..]) if hex(high, low).is_some() => {
                out.extend(hex(high, low));
                rest = &tail[2..];
            }
            _ => out.push(byte),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::format::work;

    fn name(field: &str) -> Option<String> {
        parse(field.as_bytes()).text("name", None)
    }

    #[test]
    fn kinds() {
        for (field, kind) in [
            (" Text/HTML; charset=x", "text/html"),
            ("text/plain (so)", "text/plain"),
            ("im\0age/päng;x", "image/png"),
            ("", ""),
            (";", ""),
            (" attachment\r\n", "attachment"),
        ] {
            assert_eq!(parse(field.as_bytes()).kind, kind, "{field}");
        }
    }

    #[test]
    fn names_as_they_are_written() {
        for (field, expected) in [
            ("a; name=b.pdf", "b.pdf"),
            ("a; name=\"b c;=.pdf\"; x=y", "b c;=.pdf"),
            ("a; NAME = b c.pdf ; x", "b c.pdf"),
            ("a; x=\"name=no\"; name=yes", "yes"),
            ("a; name=\"a \\\"q\\\" \\\\ C:\\temp\\x.doc\"", "a \"q\" \\ C:\\temp\\x.doc"),
            ("a; name=\"no end", "no end"),
            ("a; name=\"fol\r\n ded.txt\"", "fol ded.txt"),
            ("a; name=x\r\n\tcharset=y", "x"),
            ("a;;; ; name=x", "x"),
            ("a; name==?utf-8?q?=C3=BC?=.txt", "ü.txt"),
            ("a; name=\"=?utf-8?b?w7w=?=\r\n =?utf-8?q?.txt?=\"", "ü.txt"),
            // RFC 2231 3 and 4: charset, pieces in any order, encoded and not.
            ("a; name*=utf-8''%C3%BC%20x.txt; name=plain.txt", "ü x.txt"),
            ("a; name*=iso-8859-1'de'%FC.txt", "ü.txt"),
            ("a; name*1*=%BC.txt; name*0*=utf-8''%C3", "ü.txt"),
            ("a; name*0*=iso-8859-1''%FC; name*1*=%FC; name*2=\"%.txt\"", "üü%.txt"),
            ("a; name*0=\"long\"; name*1=\"er.txt\"", "longer.txt"),
            ("a; name*0=x; name*10=z; name*2=y", "xyz"),
            ("a; name*0=\"=?utf-8?q?=C3?=\"; name*1=\"=?utf-8?q?=BC?=\"", "ü"),
            ("a; name*=no-quotes.txt", "no-quotes.txt"),
            ("a; name*=''x%ZZ%", "x%ZZ%"),
        ] {
            assert_eq!(name(field).as_deref(), Some(expected), "{field}");
        }
        for field in ["a", "a; name", "a; names=x", "a; name*x=y", "a; =x"] {
            assert_eq!(name(field), None, "{field}");
        }
    }

    #[test]
    fn thousands_of_pieces_take_linear_time() {
        let pieces: String = (0..100_000).map(|at| format!("name*{at}=x;")).collect();
        assert_eq!(name(&format!("a; {pieces}")).map(|name| name.len()), Some(PARAMETERS_MAX));
        let started = work::begin();
        for bomb in ["name=;", "\"", "=", "name=\"", ";", "'", "name*=%"] {
            name(&format!("a; {}", bomb.repeat(200_000)));
        }
        assert!(started.elapsed().as_secs() < 10);
    }
}
