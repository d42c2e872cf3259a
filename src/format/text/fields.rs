//! The text of a message by fields, for a search: all that a reader can see of it, in whichever of its parts.

use super::limits::{HTML_MAX, TEXT_MAX};
use super::mime::{self, Kind, Part};
use super::page::{PartText, charset_below};
use super::{charset, files, header, html};
use std::borrow::Cow;
use std::collections::BTreeSet;

/// How much text of one message is searched, in bytes.
const SEARCHED_MAX: usize = TEXT_MAX;

/// How many messages that are encoded as a whole may lie in each other.
const ENCODED_MAX: usize = 3;

/// What a search of a message looks at. Each text is decoded, and may have any line breaks.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Fields {
    /// From, Sender and Reply-To (RFC 5322 3.6.2).
    pub from: String,
    /// To, Cc and Bcc (RFC 5322 3.6.3).
    pub to: String,
    /// Subject (RFC 5322 3.6.5).
    pub subject: String,
    /// The names of the attachments, one a line.
    pub attachments: String,
    /// The names that the tree gives to attachments without one, e.g. `invite.ics`. No reader of the message sees them.
    pub given_names: String,
    /// The text of every part that has one: also of the alternative that [`super::text`] does not show, of attachments that
    /// are text, and of messages in the message with their headers.
    pub body: String,
}

impl Fields {
    /// Reads a message.
    pub(super) fn of(bytes: &[u8], parts: Option<&[Part]>) -> Fields {
        let mut fields = Fields::default();
        let Some(parts) = parts else {
            let text = bytes.get(..TEXT_MAX).unwrap_or(bytes);
            fields.body = charset::decode(Cow::Borrowed(text), None, TEXT_MAX).into_owned();
            return fields;
        };
        for file in files::list(bytes, parts) {
            let part = usize::try_from(file.part).ok().and_then(|part| parts.get(part));
            let is_given = part.is_some_and(|part| part.entity.name.is_none());
            line(if is_given { &mut fields.given_names } else { &mut fields.attachments }, &file.name);
        }
        fields.read(bytes, parts, 0);
        fields
    }

    fn read(&mut self, bytes: &[u8], parts: &[Part], encoded: usize) {
        let tops = parts.iter().filter(|part| part.kind == Kind::Message).filter_map(|part| part.children.first());
        let tops: BTreeSet<usize> = tops.copied().chain([0]).collect();
        for (index, part) in parts.iter().enumerate() {
            if tops.contains(&index) {
                let fallback = charset_below(parts, index);
                self.header(&bytes[part.head.clone()], fallback, index == 0 && encoded == 0);
            }
            if part.kind == Kind::Leaf && self.body.len() < SEARCHED_MAX {
                self.leaf(bytes, part, encoded);
            }
        }
    }

    fn header(&mut self, head: &[u8], fallback: Option<&str>, is_top: bool) {
        for field in header::fields(head) {
            let place = match field {
                _ if ["from", "sender", "reply-to"].iter().any(|name| field.is(name)) => &mut self.from,
                _ if ["to", "cc", "bcc"].iter().any(|name| field.is(name)) => &mut self.to,
                _ if field.is("subject") => &mut self.subject,
                _ => continue,
            };
            let place = if is_top { place } else { &mut self.body };
            line(place, &header::decode(field.value, fallback));
        }
    }

    fn leaf(&mut self, bytes: &[u8], part: &Part, encoded: usize) {
        let media = part.entity.media.as_str();
        if mime::is_message(media) {
            let inner = part.entity.encoding.decode(&bytes[part.body.clone()], HTML_MAX);
            if let Some(parts) = (encoded < ENCODED_MAX).then(|| mime::parts(&inner)).flatten() {
                self.read(&inner, &parts, encoded + 1);
            }
        } else if media.starts_with("text/") || media.starts_with("message/") {
            let room = SEARCHED_MAX.saturating_sub(self.body.len());
            line(&mut self.body, &PartText { bytes, part }.read(room).0);
        }
    }
}

/// The text of a file, if its type or its name says that it is one.
pub(super) fn file_text(bytes: &[u8], name: &str, media: &str) -> Option<String> {
    let media = media.to_ascii_lowercase();
    // A server that knows no better says so of every file.
    let is_unknown = matches!(media.as_str(), "" | "application/octet-stream" | "binary/octet-stream");
    let media = if is_unknown { media_of(name) } else { media };
    let (kind, subtype) = media.split_once('/')?;
    let is_text = kind == "text" || matches!(subtype, "json" | "xml" | "javascript" | "x-sh" | "yaml" | "toml");
    let most = if subtype == "html" { HTML_MAX } else { TEXT_MAX };
    is_text.then(|| {
        let text = charset::decode(Cow::Borrowed(bytes.get(..most).unwrap_or(bytes)), None, most);
        if subtype == "html" { html::text(&text, TEXT_MAX).0 } else { text.into_owned() }
    })
}

/// The media type of a file that has none, by the end of its name.
fn media_of(name: &str) -> String {
    let end = name.rsplit_once('.').map(|(_, end)| end.to_ascii_lowercase()).unwrap_or_default();
    match end.as_str() {
        "html" | "htm" | "xhtml" => "text/html",
        "txt" | "text" | "md" | "csv" | "tsv" | "log" | "org" | "rst" | "tex" | "ics" | "vcf" | "eml" | "sieve"
        | "ini" | "conf" | "cfg" | "json" | "xml" | "yaml" | "yml" | "toml" | "sql" | "sh" | "py" | "rs" | "c"
        | "h" | "js" | "css" | "patch" | "diff" => "text/plain",
        _ => "",
    }
    .to_owned()
}

fn line(place: &mut String, text: &str) {
    if !text.is_empty() {
        place.push_str(text);
        place.push('\n');
    }
}
