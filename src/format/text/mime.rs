//! The parts of a message (RFC 2046 5.1): where each begins and ends, and what its header says of it. Nothing is decoded.
//!
//! One pass, without recursion: `memchr` jumps from one line that begins with `--` to the next, so that attachments
//! cost next to nothing. (`mail_parser` decodes every part into memory while it parses.)

use super::header::{self, Head};
use super::transfer::Encoding;
use super::{clean, params};
use memchr::memmem;
use std::ops::Range;

/// How many parts a message may have. Digests of lists have hundreds.
const PARTS_MAX: usize = 10_000;

/// How deep parts may lie in each other.
pub(super) const DEPTH_MAX: usize = 100;

/// How many comparisons of a line with a boundary (of up to 64 bytes) are made, so that many lines that begin with `--`
/// and many levels together stay cheap.
const COMPARISONS_MAX: usize = 50_000_000;

/// How many blanks may follow a boundary on its line.
const BLANKS_MAX: usize = 1000;

/// The longest names, in characters, of a file and of a charset or media type.
const NAME_MAX: usize = 1000;
const TOKEN_MAX: usize = 100;

/// What a part is made of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Leaf,
    /// At least one boundary was found.
    Multipart,
    /// A message whose header and parts follow as the one child.
    Message,
}

/// What the header of a part says (RFC 2045, RFC 2183).
#[derive(Debug)]
pub(super) struct Entity {
    /// `type/subtype` in lower case.
    pub media: String,
    pub charset: Option<String>,
    /// The declared file name.
    pub name: Option<String>,
    /// Content-Disposition is there, and is not inline.
    pub is_attached: bool,
    pub encoding: Encoding,
    /// format=flowed (RFC 3676), and whether DelSp is yes.
    pub flowed: Option<bool>,
    boundary: Option<Vec<u8>>,
}

/// A part, as stretches of the message's bytes.
#[derive(Debug)]
pub(super) struct Part {
    pub kind: Kind,
    pub entity: Entity,
    pub head: Range<usize>,
    pub body: Range<usize>,
    pub children: Vec<usize>,
}

impl Part {
    /// Part of what a reader saves as a file: whatever is no text, has a name, or is a card or an invitation.
    pub(super) fn is_attachment(&self) -> bool {
        let entity = &self.entity;
        match self.kind {
            Kind::Multipart => false,
            Kind::Message => true,
            Kind::Leaf => {
                entity.is_attached
                    || entity.name.is_some()
                    || !entity.media.starts_with("text/")
                    || matches!(media_file(&entity.media), "invite.ics" | "contact.vcf")
            }
        }
    }
}

/// The name of a calendar or contact of this type, or nothing.
pub(super) fn media_file(media: &str) -> &'static str {
    match media {
        "text/calendar" | "text/x-vcalendar" => "invite.ics",
        "text/vcard" | "text/x-vcard" | "text/directory" => "contact.vcf",
        _ => "",
    }
}

/// True for a message in a message, however it is encoded (RFC 2046 5.2.1, RFC 6532 3.7).
pub(super) fn is_message(media: &str) -> bool {
    matches!(media, "message/rfc822" | "message/global" | "message/news")
}

impl Entity {
    /// Reads a header. `default` is the media type of a part that names none.
    pub(super) fn of(head: &[u8], default: &str) -> Self {
        let (mut content_type, mut disposition, mut encoding) = (None, None, None);
        for field in header::fields(head) {
            let slot = if field.is("content-type") {
                &mut content_type
            } else if field.is("content-disposition") {
                &mut disposition
            } else if field.is("content-transfer-encoding") {
                &mut encoding
            } else {
                continue;
            };
            slot.get_or_insert(field.value);
        }
        let content_type = params::parse(content_type.unwrap_or_default());
        let disposition = params::parse(disposition.unwrap_or_default());
        let charset = content_type.text("charset", None);
        let charset = charset.map(|charset| shortened(&charset, TOKEN_MAX)).filter(|charset| !charset.is_empty());
        let fallback = charset.as_deref();
        let name = [(&disposition, "filename"), (&content_type, "name")]
            .into_iter()
            .filter_map(|(value, name)| value.text(name, fallback))
            .map(|name| shortened(&clean::line(&name), NAME_MAX))
            .find(|name| !name.is_empty());
        let is = |name: &str, value: &str| {
            content_type.bytes(name).is_some_and(|(raw, _)| raw.trim_ascii().eq_ignore_ascii_case(value.as_bytes()))
        };
        // What is no media type counts as text (RFC 2045 5.2).
        let media = match content_type.kind.matches('/').count() {
            1 => shortened(&content_type.kind, TOKEN_MAX),
            _ if content_type.kind.is_empty() => default.to_owned(),
            _ => "text/plain".to_owned(),
        };
        Entity {
            is_attached: !matches!(disposition.kind.as_str(), "" | "inline"),
            encoding: encoding.map_or(Encoding::Identity, Encoding::named),
            flowed: is("format", "flowed").then(|| is("delsp", "yes")),
            boundary: content_type.bytes("boundary").map(|(boundary, _)| boundary.trim_ascii_end().to_vec()),
            media,
            charset,
            name,
        }
    }
}

fn shortened(text: &str, limit: usize) -> String {
    text.chars().take(limit).collect()
}

/// An open multipart, or an open message (without a boundary).
struct Open {
    part: usize,
    boundary: Option<Vec<u8>>,
}

/// The line that ends the open parts behind `level`.
struct Delimiter {
    level: usize,
    /// The end of what stands before: the line break belongs to the delimiter (RFC 2046 5.1.1).
    content_end: usize,
    /// The begin of the next line.
    next: usize,
    is_last: bool,
}

/// Finds the parts of a message, in the order in which they begin; the first is the message itself. `None` if there are
/// too many, or too deep ones.
pub(super) fn parts(bytes: &[u8]) -> Option<Vec<Part>> {
    let mut parts: Vec<Part> = Vec::new();
    let mut open: Vec<Open> = Vec::new();
    let mut budget = COMPARISONS_MAX;
    let mut at = 0;
    let mut default = "text/plain";
    loop {
        if parts.len() == PARTS_MAX || open.len() == DEPTH_MAX {
            return None;
        }
        let Head { end, body, .. } = header::head(&bytes[at..]);
        let (head, body) = (at..at + end, at + body);
        let mut entity = Entity::of(&bytes[head.clone()], default);
        let index = parts.len();
        if let Some(above) = open.last() {
            parts[above.part].children.push(index);
        }
        let boundary = entity.boundary.take().filter(|boundary| !boundary.is_empty());
        let is_multipart = entity.media.starts_with("multipart/") && boundary.is_some();
        let is_message = is_message(&entity.media) && entity.encoding == Encoding::Identity;
        let kind = if is_message { Kind::Message } else { Kind::Leaf };
        parts.push(Part { kind, entity, head, body: body..bytes.len(), children: Vec::new() });
        if is_multipart || is_message {
            open.push(Open { part: index, boundary: boundary.filter(|_| is_multipart) });
        }
        if is_message {
            (at, default) = (body, "text/plain");
            continue;
        }
        let mut leaf = Some(index).filter(|_| !is_multipart);
        let mut from = body;
        loop {
            let Some(delimiter) = next_delimiter(bytes, from, &open, &mut budget)? else {
                settle(&mut parts);
                return Some(parts);
            };
            for part in open.drain(delimiter.level + 1..).map(|inner| inner.part).chain(leaf.take()) {
                parts[part].body.end = delimiter.content_end.max(parts[part].body.start);
            }
            let of = open[delimiter.level].part;
            parts[of].kind = Kind::Multipart;
            from = delimiter.next;
            if delimiter.is_last {
                parts[of].body.end = delimiter.content_end.max(parts[of].body.start);
                open.pop();
            } else {
                at = from;
                default = if parts[of].entity.media == "multipart/digest" { "message/rfc822" } else { "text/plain" };
                break;
            }
        }
    }
}

/// A multipart without any part is the text that its body is, but no plain text that could stand for anything else.
fn settle(parts: &mut [Part]) {
    for part in parts {
        if part.kind == Kind::Multipart && part.children.is_empty() {
            part.kind = Kind::Leaf;
        }
        if part.kind == Kind::Leaf && part.entity.media.starts_with("multipart/") {
            part.entity.media = "text/x-unstructured".to_owned();
        }
    }
}

/// The first delimiter line at or behind `from`, which begins a line. The outer `None` is that it takes too long.
fn next_delimiter(bytes: &[u8], from: usize, open: &[Open], budget: &mut usize) -> Option<Option<Delimiter>> {
    let levels: Vec<(usize, &[u8])> =
        open.iter().enumerate().rev().filter_map(|(level, open)| Some((level, open.boundary.as_deref()?))).collect();
    if levels.is_empty() {
        return Some(None);
    }
    let cost = levels.iter().map(|(_, boundary)| 1 + boundary.len() / 64).sum();
    let first = bytes[from..].starts_with(b"--").then_some(from);
    let others = memmem::find_iter(&bytes[from..], b"\n--").map(|at| from + at + 1);
    for line in first.into_iter().chain(others) {
        *budget = budget.checked_sub(cost)?;
        let text = &bytes[line + 2..];
        for &(level, boundary) in &levels {
            let Some(rest) = text.strip_prefix(boundary) else { continue };
            let (rest, is_last) = rest.strip_prefix(b"--").map_or((rest, false), |rest| (rest, true));
            let is_blank = |byte: &&u8| matches!(byte, b' ' | b'\t' | b'\r');
            let blanks = rest.iter().take(BLANKS_MAX).take_while(is_blank).count();
            if !matches!(rest.get(blanks), None | Some(b'\n')) {
                continue;
            }
            let before = &bytes[..line];
            let before = before.strip_suffix(b"\n").unwrap_or(before);
            let content_end = before.strip_suffix(b"\r").unwrap_or(before).len();
            let next = (bytes.len() - rest.len() + blanks + 1).min(bytes.len());
            return Some(Some(Delimiter { level, content_end, next, is_last }));
        }
    }
    Some(None)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::format::work;

    /// Each part as `kind media [body]`, indented.
    fn outline(message: &str) -> String {
        fn add(message: &str, parts: &[Part], at: usize, depth: usize, out: &mut String) {
            let part = &parts[at];
            let body = &message[part.body.clone()];
            let body =
                if part.kind == Kind::Leaf { body.replace("\r\n", "|").replace('\n', "|") } else { String::new() };
            out.push_str(&format!("{}{:?} {} {body:?}\n", " ".repeat(depth), part.kind, part.entity.media));
            part.children.iter().for_each(|&child| add(message, parts, child, depth + 1, out));
        }
        let parts = parts(message.as_bytes()).unwrap();
        let mut out = String::new();
        add(message, &parts, 0, 0, &mut out);
        assert_eq!(out.lines().count(), parts.len());
        out
    }

    #[test]
    fn parts_in_parts() {
        let message = "Content-Type: multipart/mixed; boundary=a\r\n\r\npreamble\r\n--a\r\nContent-Type: multipart/alternative;\r\n boundary=\"b c\"\r\n\r\n--b c\r\n\r\none\r\n\r\n--b c  \r\nContent-Type: text/html\r\n\r\n--b cd\r\n-- a\r\n--b c--\r\nepilogue\r\n--a\r\nContent-Type: message/rfc822\r\n\r\nSubject: x\r\n\r\ninner\r\n--a--\r\nepilogue";
        assert_eq!(
            outline(message),
            "Multipart multipart/mixed \"\"\n Multipart multipart/alternative \"\"\n  Leaf text/plain \"one|\"\n  Leaf text/html \"--b cd|-- a\"\n Message message/rfc822 \"\"\n  Leaf text/plain \"inner\"\n"
        );
        let parts = parts(message.as_bytes()).unwrap();
        assert_eq!(&message[parts[4].body.clone()], "Subject: x\r\n\r\ninner");
        assert_eq!(outline(&message.replace("\r\n", "\n")), outline(message));
    }

    #[test]
    fn broken_structures() {
        for (message, expected) in [
            ("", "Leaf text/plain \"\"\n"),
            ("no header\n\nat all", "Leaf text/plain \"no header||at all\"\n"),
            ("Content-Type: multipart/mixed\n\n--a\n\nx\n--a--", "Leaf text/x-unstructured \"--a||x|--a--\"\n"),
            ("Content-Type: multipart/mixed; boundary=a\n\nno part", "Leaf text/x-unstructured \"no part\"\n"),
            ("Content-Type: multipart/mixed; boundary=\"\"\n\n--\nx", "Leaf text/x-unstructured \"--|x\"\n"),
            (
                "Content-Type: multipart/mixed; boundary=a\n\n--a\n\nno end",
                "Multipart multipart/mixed \"\"\n Leaf text/plain \"no end\"\n",
            ),
            // A part without an empty line, one without anything, a boundary that is used twice.
            (
                "Content-Type: multipart/mixed; boundary=a\n\n--a\nA: b\n--a\n--a\nx\n--a--",
                "Multipart multipart/mixed \"\"\n Leaf text/plain \"\"\n Leaf text/plain \"\"\n Leaf text/plain \"x\"\n",
            ),
            (
                "Content-Type: multipart/mixed; boundary=a\n\n--a\nContent-Type: multipart/mixed; boundary=a\n\n--a\n\nx\n--a--\n--a\n\ny\n--a--",
                "Multipart multipart/mixed \"\"\n Multipart multipart/mixed \"\"\n  Leaf text/plain \"x\"\n Leaf text/plain \"y\"\n",
            ),
            // The end of an outer part ends what is in it.
            (
                "Content-Type: multipart/mixed; boundary=a\n\n--a\nContent-Type: multipart/mixed; boundary=b\n\n--b\n\nx\n--a\n\ny\n--a--",
                "Multipart multipart/mixed \"\"\n Multipart multipart/mixed \"\"\n  Leaf text/plain \"x\"\n Leaf text/plain \"y\"\n",
            ),
            (
                "Content-Type: multipart/digest; boundary=a\n\n--a\n\nSubject: x\n\ny\n--a\nContent-Type: text/plain\n\nz",
                "Multipart multipart/digest \"\"\n Message message/rfc822 \"\"\n  Leaf text/plain \"y\"\n Leaf text/plain \"z\"\n",
            ),
            (
                "Content-Type: multipart/mixed; boundary*1=b;\n boundary*0*=''%3Da\n\n--=ab\n\nx\n--=ab--",
                "Multipart multipart/mixed \"\"\n Leaf text/plain \"x\"\n",
            ),
            ("Content-Type: text\n\nx", "Leaf text/plain \"x\"\n"),
            (
                "Content-Type: message/rfc822\nContent-Transfer-Encoding: base64\n\nU3ViamVjdDogeA==",
                "Leaf message/rfc822 \"U3ViamVjdDogeA==\"\n",
            ),
        ] {
            assert_eq!(outline(message), expected, "{message:?}");
        }
    }

    #[test]
    fn too_many_and_too_deep() {
        let many = |count: usize| format!("Content-Type: multipart/mixed; boundary=a\n\n{}", "--a\n\n".repeat(count));
        assert_eq!(parts(many(PARTS_MAX - 1).as_bytes()).unwrap().len(), PARTS_MAX);
        assert!(parts(many(PARTS_MAX).as_bytes()).is_none());
        let deep = |count: usize| {
            (0..count)
                .map(|at| format!("Content-Type: multipart/mixed; boundary=b{at}\n\n--b{at}\n"))
                .collect::<String>()
        };
        assert_eq!(parts(deep(DEPTH_MAX - 1).as_bytes()).unwrap().len(), DEPTH_MAX);
        assert!(parts(deep(DEPTH_MAX).as_bytes()).is_none());
        assert!(parts("Content-Type: message/rfc822\n\n".repeat(DEPTH_MAX).as_bytes()).is_none());
        // Many levels with many lines that look like boundaries.
        let started = work::begin();
        let dashes = format!("{}\n\n{}", deep(DEPTH_MAX - 1), "--\n".repeat(5_000_000));
        assert!(parts(dashes.as_bytes()).is_none());
        let blanks = format!(
            "{}\n\n{}",
            deep(DEPTH_MAX - 1).replace(|c: char| c.is_ascii_digit(), ""),
            format!("--b{}x\n", " ".repeat(2000)).repeat(5000)
        );
        assert!(parts(blanks.as_bytes()).is_some());
        assert!(started.elapsed().as_secs() < 20);
    }
}
