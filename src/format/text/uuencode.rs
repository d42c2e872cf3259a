//! Files in the text of a message, as mail had them before MIME: uuencode (POSIX, "uuencode - encode a binary file").

use super::clean;
use super::mime::{Kind, Part};
use super::transfer::Encoding;
use memchr::memmem;
use std::borrow::Cow;
use std::ops::Range;

/// So many files are looked for in one text.
const FILES_MAX: usize = 1_000;

/// A file in a text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct File {
    pub name: String,
    /// From the line with its name to the line that ends it.
    pub range: Range<usize>,
    /// The lines in between.
    lines: Range<usize>,
    pub size: u64,
}

/// True for a part that may hold such files: a plain text that is not encoded otherwise.
pub(super) fn is_candidate(part: &Part) -> bool {
    part.kind == Kind::Leaf
        && part.entity.media == "text/plain"
        && part.entity.encoding == Encoding::Identity
        && !part.is_attachment()
}

/// The files of a message: each with the part that it is in.
pub(super) fn of_parts(bytes: &[u8], parts: &[Part]) -> Vec<(usize, File)> {
    let candidates = parts.iter().enumerate().filter(|(_, part)| is_candidate(part));
    let found =
        candidates.flat_map(|(at, part)| files(&bytes[part.body.clone()]).into_iter().map(move |file| (at, file)));
    found.take(FILES_MAX).collect()
}

/// The files in a text. What is not whole to its last line is none.
pub(super) fn files(text: &[u8]) -> Vec<File> {
    let mut found: Vec<File> = Vec::new();
    let mut behind = 0;
    for at in memmem::find_iter(text, b"begin ") {
        let is_line = at == 0 || text.get(at - 1) == Some(&b'\n');
        if !is_line || at < behind || found.len() == FILES_MAX {
            continue;
        }
        // Where there is no file, the search goes on behind the lines that were read: none of them begins with `begin`.
        match file(text, at) {
            Ok(file) => {
                behind = file.range.end;
                found.push(file);
            }
            Err(end) => behind = end,
        }
    }
    found
}

/// The file that begins at a line; or how far it was looked at.
fn file(text: &[u8], start: usize) -> Result<File, usize> {
    let (first, begin) = line(text, start);
    let mut words = first.splitn(3, |byte| *byte == b' ').skip(1);
    let (mode, name) = (words.next().unwrap_or_default(), words.next().unwrap_or_default().trim_ascii());
    let is_mode = matches!(mode.len(), 3..=4) && mode.iter().all(|byte| matches!(byte, b'0'..=b'7'));
    if !is_mode || name.is_empty() || name.len() > 1000 {
        return Err(begin);
    }
    let (mut at, mut size) = (begin, 0);
    while at < text.len() {
        let (data, next) = line(text, at);
        match length(data) {
            Some(0) => {
                let (end, behind) = line(text, next);
                if end.trim_ascii_end() != b"end" || size == 0 {
                    return Err(next);
                }
                let name = clean::line(&String::from_utf8_lossy(name));
                return Ok(File { name, range: start..behind, lines: begin..at, size });
            }
            Some(length) => size += length as u64,
            None => return Err(at),
        }
        at = next;
    }
    Err(text.len())
}

/// The line at `at` without its line end, and where the next one begins.
fn line(text: &[u8], at: usize) -> (&[u8], usize) {
    let rest = text.get(at..).unwrap_or_default();
    match memchr::memchr(b'\n', rest) {
        Some(end) => (rest[..end].strip_suffix(b"\r").unwrap_or(&rest[..end]), at + end + 1),
        None => (rest, text.len()),
    }
}

/// How many bytes a line stands for; `None` if it is none of these. Blanks at its end may be lost, and some programs
/// write a check sum behind it.
fn length(line: &[u8]) -> Option<usize> {
    let length = value(*line.first()?)?;
    let room = length.div_ceil(3) * 4;
    let data = line.get(1..).unwrap_or_default();
    let is_data = data.iter().all(|byte| value(*byte).is_some()) && data.len() <= room + 2;
    is_data.then_some(length)
}

/// The six bits of a character.
fn value(byte: u8) -> Option<usize> {
    matches!(byte, b' '..=b'`').then(|| usize::from(byte - b' ') & 63)
}

impl File {
    /// The bytes of the file; `text` is that which it was found in.
    pub(super) fn decode(&self, text: &[u8]) -> Vec<u8> {
        let mut out = Vec::with_capacity(usize::try_from(self.size).unwrap_or(0).min(text.len()));
        let mut at = self.lines.start;
        while at < self.lines.end {
            let (data, next) = line(text, at);
            let length = length(data).unwrap_or(0);
            let six = |place: usize| data.get(place + 1).and_then(|byte| value(*byte)).unwrap_or(0);
            for count in 0..length {
                let (group, place) = (count / 3 * 4, count % 3);
                let bits = six(group + place) << 6 | six(group + place + 1);
                out.push((bits >> (4 - 2 * place)) as u8);
            }
            at = next;
        }
        out
    }
}

/// A text without the files in it.
pub(super) fn without<'a>(text: &'a [u8]) -> Cow<'a, [u8]> {
    let files = files(text);
    if files.is_empty() {
        return Cow::Borrowed(text);
    }
    let mut out = Vec::new();
    let mut at = 0;
    for file in &files {
        out.extend_from_slice(&text[at..file.range.start]);
        at = file.range.end;
    }
    out.extend_from_slice(&text[at..]);
    Cow::Owned(out)
}

/// The media type of a file that has none: what its name says is not believed.
pub(super) const MEDIA: &str = "application/octet-stream";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::format::text::{attachment, attachments, may_have_attachments, text};
    use proptest::prelude::*;

    fn encode(bytes: &[u8], zero: char) -> String {
        let letter = |value: usize| if value == 0 { zero } else { char::from(b' ' + value as u8) };
        let mut out = String::new();
        for line in bytes.chunks(45) {
            out.push(letter(line.len()));
            for three in line.chunks(3) {
                let byte = |at: usize| usize::from(three.get(at).copied().unwrap_or(0));
                let bits = byte(0) << 16 | byte(1) << 8 | byte(2);
                (0..4).for_each(|at| out.push(letter(bits >> (18 - 6 * at) & 63)));
            }
            out.push('\n');
        }
        format!("{out}{}\nend\n", letter(0))
    }

    proptest! {
        #[test]
        fn files_come_back(bytes in prop::collection::vec(any::<u8>(), 1..300), zero in prop::sample::select(vec![' ', '`']), crlf: bool, trimmed: bool) {
            let mut block = format!("begin 644 a b.bin\n{}", encode(&bytes, zero));
            if trimmed {
                // Lines lose blanks at their ends on the way; a line of nothing but those loses all.
                block = block.lines().map(|line| if line.trim_end().is_empty() { line } else { line.trim_end() }.to_owned() + "\n").collect();
            }
            let mail = format!("Subject: x\n\nbefore\n\n{block}after\nbegin 644 broken\n#not\n");
            let mail = if crlf { mail.replace('\n', "\r\n") } else { mail };
            let found = attachments(mail.as_bytes());
            prop_assert_eq!(found.len(), 1);
            prop_assert_eq!((found[0].name.as_str(), found[0].size), ("a b.bin", bytes.len() as u64));
            prop_assert_eq!(attachment(mail.as_bytes(), found[0].part), Some(bytes));
            prop_assert!(may_have_attachments(mail.as_bytes(), mail.len() as u64));
            prop_assert!(may_have_attachments(&mail.as_bytes()[..20], mail.len() as u64));
            let shown = text(mail.as_bytes());
            prop_assert!(shown.contains("before\n\nafter\nbegin 644 broken\n") && shown.contains("  a b.bin ("), "{}", shown);
        }
    }

    #[test]
    fn lines_of_zeros_may_have_lost_all_their_blanks() {
        let mail = format!("Subject: x\n\nbegin 644 zeros\nM\nM\n{}`\nend\n", "#86)C\n");
        let found = attachments(mail.as_bytes());
        assert_eq!((found.len(), found[0].size), (1, 93));
        let bytes = attachment(mail.as_bytes(), found[0].part).expect("a file");
        assert_eq!((&bytes[..90], &bytes[90..]), (&[0; 90][..], &b"abc"[..]));
    }

    #[test]
    fn talk_about_it_is_none() {
        for body in [
            "begin 644 x\n",
            "begin 644 x\n`\nend\n",
            "begin 9 x\n#86)C\n`\nend\n",
            "we begin 644 x\n#86)C\n`\nend\n",
            "begin 644 x\n#86)C\nend\n",
            "begin 644\n#86)C\n`\nend\n",
        ] {
            let mail = format!("Subject: x\n\n{body}");
            assert_eq!(attachments(mail.as_bytes()), [], "{body}");
            assert!(text(mail.as_bytes()).contains(body.trim_end()), "{body}");
        }
        let plain = b"Subject: x\n\nnothing in it\n";
        assert!(!may_have_attachments(plain, plain.len() as u64));
        // Each line is read a bounded number of times.
        assert!(files("begin 644 x\n".repeat(100_000).as_bytes()).is_empty());
        assert!(files(format!("begin 644 x\n{}", "M\n".repeat(100_000)).as_bytes()).is_empty());
    }
}
