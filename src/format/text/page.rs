//! Puts the text file of a message together.

use super::header::{self, Field};
use super::limits::{HTML_MAX, TEXT_MAX};
use super::mime::{self, Kind, Part};
use super::{charset, clean, files, flowed, html, uuencode};
use crate::format::contentline as lines;
use std::borrow::Cow;

/// The first line of a message that is not taken apart.
const COMPLEX: &str = "[vandelay: this message is too complex to decode; shown as it is]\n";

/// The last line of a text that is longer than [`TEXT_MAX`].
const CUT: &str = "[vandelay: the text is cut here]\n";

/// Stands above a message in the message.
const RULE: &str = "----------\n";

/// The fields that are shown, in this order.
const FIELDS: [&str; 7] = ["From", "To", "Cc", "Bcc", "Reply-To", "Date", "Subject"];

/// How many messages that are encoded as a whole may lie in each other.
const ENCODED_MAX: usize = 3;

/// A plain text with fewer letters than this may be only a hint that the text is in the HTML.
const STUB_MAX: usize = 500;

/// How many bytes are looked at to find out.
const SAMPLE_MAX: usize = 64 << 10;

/// The text file of a message with these parts.
pub(super) fn render(bytes: &[u8], parts: &[Part]) -> String {
    let mut page = Page { out: String::new(), cut: false };
    if !parts.is_empty() {
        ShownMessage { bytes, parts, encoded: 0 }.show(0, &mut page);
    }
    page.finish(&files::lines(&files::list(bytes, parts)))
}

/// The text file of a message that is not taken apart.
pub(super) fn raw(bytes: &[u8]) -> String {
    let mut page = Page { out: COMPLEX.to_owned(), cut: bytes.len() > TEXT_MAX };
    page.put(&charset::decode(Cow::Borrowed(bytes.get(..TEXT_MAX).unwrap_or(bytes)), None, TEXT_MAX));
    page.finish("")
}

/// The text so far.
struct Page {
    out: String,
    cut: bool,
}

impl Page {
    fn put(&mut self, text: &str) {
        self.cut |= !clean::block(text, &mut self.out, TEXT_MAX);
    }

    /// Begins a paragraph.
    fn gap(&mut self) {
        let line_breaks = self.out.bytes().rev().take_while(|&byte| byte == b'\n').count();
        if !self.out.is_empty() && !self.cut {
            self.out.push_str(if line_breaks == 0 { "\n\n" } else { &"\n"[..usize::from(line_breaks == 1)] });
        }
    }

    fn paragraph(&mut self, text: &str) {
        if text.chars().all(clean::is_blank) {
            return;
        }
        self.gap();
        self.put(text);
    }

    fn finish(mut self, attachments: &str) -> String {
        if self.cut {
            if !self.out.ends_with('\n') {
                self.out.push('\n');
            }
            self.out.push_str(CUT);
            self.cut = false;
        }
        if !attachments.is_empty() {
            self.gap();
            self.out.push_str(attachments);
        }
        if !self.out.is_empty() && !self.out.ends_with('\n') {
            self.out.push('\n');
        }
        self.out
    }
}

/// Which parts of a multipart/alternative (RFC 2046 5.1.4) are shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Choice {
    /// This is no alternative.
    All,
    WithHtml,
    WithoutHtml,
}

/// A message, or one that was encoded as a whole.
struct ShownMessage<'a> {
    bytes: &'a [u8],
    parts: &'a [Part],
    encoded: usize,
}

impl<'a> ShownMessage<'a> {
    /// Shows the message that the part `index` is the top of: its header and what is below.
    fn show(&self, index: usize, page: &mut Page) {
        let Some(part) = self.parts.get(index) else { return };
        let fields: Vec<Field<'_>> = header::fields(&self.bytes[part.head.clone()]).collect();
        let fallback = charset_below(self.parts, index);
        for name in FIELDS {
            for field in fields.iter().filter(|field| field.is(name)) {
                let value = header::decode(field.value, fallback);
                if !value.is_empty() && !page.cut {
                    page.put(&format!("{name}: {value}\n"));
                }
            }
        }
        self.body(index, Choice::All, page);
    }

    /// Shows a part. The depth of the recursion is that of the parts, which is bounded.
    fn body(&self, index: usize, choice: Choice, page: &mut Page) {
        let Some(part) = self.parts.get(index).filter(|_| !page.cut) else { return };
        match part.kind {
            Kind::Message => {
                if let Some(&child) = part.children.first() {
                    page.gap();
                    page.put(RULE);
                    self.show(child, page);
                }
            }
            Kind::Multipart => {
                let choice = match (part.entity.media.as_str(), choice) {
                    ("multipart/alternative", Choice::All) => self.choose(index),
                    _ => choice,
                };
                for &child in &part.children {
                    self.body(child, choice, page);
                }
            }
            Kind::Leaf if mime::is_message(&part.entity.media) => self.encoded(part, page),
            Kind::Leaf => {
                if is_shown(part, choice) {
                    let (text, cut) = self.text(part, TEXT_MAX);
                    page.paragraph(&text);
                    page.cut |= cut;
                }
            }
        }
    }

    /// Shows a message that is encoded as a whole, which RFC 2046 5.2.1 forbids.
    fn encoded(&self, part: &Part, page: &mut Page) {
        let bytes = part.entity.encoding.decode(&self.bytes[part.body.clone()], HTML_MAX);
        let parts = if self.encoded < ENCODED_MAX { mime::parts(&bytes) } else { None };
        if let Some(parts) = parts {
            page.gap();
            page.put(RULE);
            ShownMessage { bytes: &bytes, parts: &parts, encoded: self.encoded + 1 }.show(0, page);
        }
    }

    /// Which texts of an alternative are shown: the plain ones if they say anything, and the HTML if they do not, or if
    /// they are only a few words beside it ("Please view this message in a browser").
    fn choose(&self, index: usize) -> Choice {
        let (mut plain, mut rich) = (0, 0);
        let mut below = vec![index];
        // Only the letters of plain texts count first; HTML is read only when there are few.
        let mut html = Vec::new();
        while let Some(at) = below.pop() {
            let Some(part) = self.parts.get(at) else { continue };
            match part.kind {
                Kind::Multipart => below.extend(&part.children),
                Kind::Leaf if !is_shown(part, Choice::WithHtml) => {}
                Kind::Leaf if part.entity.media == "text/plain" && plain < STUB_MAX => {
                    plain += letters(&self.text(part, SAMPLE_MAX).0);
                }
                Kind::Leaf if part.entity.media == "text/html" => html.push(part),
                Kind::Leaf | Kind::Message => {}
            }
        }
        if plain > 0 && plain < STUB_MAX {
            rich = html.iter().map(|part| letters(&self.text(part, SAMPLE_MAX).0)).sum();
        }
        if plain == 0 || rich > 4 * plain + 200 { Choice::WithHtml } else { Choice::WithoutHtml }
    }

    fn text(&self, part: &'a Part, limit: usize) -> (Cow<'a, str>, bool) {
        PartText { bytes: self.bytes, part }.read(limit)
    }
}

/// The charset of raw letters in the header of a message whose top is the part `index`: that of the first text below.
pub(super) fn charset_below(parts: &[Part], index: usize) -> Option<&str> {
    let part = parts.get(index)?;
    part.entity.charset.as_deref().or_else(|| part.children.first().and_then(|&child| charset_below(parts, child)))
}

/// A part that is text.
pub(super) struct PartText<'a> {
    pub(super) bytes: &'a [u8],
    pub(super) part: &'a Part,
}

impl<'a> PartText<'a> {
    /// The text, about `limit` bytes of it, and whether there is more.
    pub(super) fn read(&self, limit: usize) -> (Cow<'a, str>, bool) {
        let part = self.part;
        let entity = &part.entity;
        let body = &self.bytes[part.body.clone()];
        let is_html = matches!(
            entity.media.as_str(),
            "text/html" | "text/x-amp-html" | "text/watch-html" | "text/enriched" | "text/richtext"
        );
        // HTML has a higher limit: text may stand behind a picture of many megabytes.
        let most = if is_html { HTML_MAX } else { limit };
        let bytes = match uuencode::is_candidate(part).then(|| uuencode::without(body)) {
            Some(Cow::Owned(mut text)) => {
                text.truncate(most);
                Cow::Owned(text)
            }
            _ => entity.encoding.decode(body, most),
        };
        let cut = bytes.len() == most;
        let text = charset::decode(bytes, entity.charset.as_deref(), most);
        let cut = cut || text.len() >= most;
        let text = match (entity.media.as_str(), entity.flowed) {
            _ if is_html => {
                let text = html::text(&text, limit);
                return (Cow::Owned(text.0), cut || text.1);
            }
            ("text/plain", Some(delsp)) => Cow::Owned(flowed::unflow(&text, delsp)),
            // A fold may stand in the middle of a word (RFC 5545 3.1, RFC 6350 3.2).
            _ if !mime::media_file(&entity.media).is_empty() => {
                let lines =
                    lines::lines(text.as_bytes()).map(|line| String::from_utf8_lossy(&line.text()).into_owned());
                Cow::Owned(lines.map(|line| line + "\n").collect())
            }
            _ => text,
        };
        (text, cut)
    }
}

/// True for a leaf whose text is part of the message.
fn is_shown(part: &Part, choice: Choice) -> bool {
    let entity = &part.entity;
    let is_text = match entity.media.as_str() {
        "text/html" => choice != Choice::WithoutHtml,
        // Other forms of what the plain or HTML text says.
        "text/x-amp-html" | "text/watch-html" | "text/enriched" | "text/richtext" => choice == Choice::All,
        // Reports on delivery (RFC 3464, RFC 8098, RFC 5965) and stubs of messages are lines of text.
        media => media.starts_with("text/") || (media.starts_with("message/") && !mime::is_message(media)),
    };
    is_text && !entity.is_attached
}

fn letters(text: &str) -> usize {
    text.chars().filter(|c| c.is_alphanumeric()).count()
}
