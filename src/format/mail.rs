//! What an archive notes of a message beside its bytes: the key that recognises it elsewhere, and its date.

use super::fields::fields;
use super::looks::Looks;
use mail_parser::{HeaderName, HeaderValue, MessageParser};
use memchr::{memchr_iter, memmem};

/// How much of a message is looked at for its header, in bytes. What lies beyond has no part in the key.
pub const HEAD_MAX: usize = 1 << 20;

/// What the header of a message says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Summary {
    /// The JSON object of `emails.message_match` (FORMAT.md).
    pub message_match: String,
    /// The Date header in seconds since 1970, if there is one that makes sense.
    pub date: Option<i64>,
}

impl Summary {
    /// Why what begins with `head`, whose summary this is, is no message: it has no header. `None` for a message, and for
    /// whatever has any of the fields that the key is made of.
    pub fn headless(&self, head: &[u8]) -> Option<&'static str> {
        if self.message_match != nothing() {
            return None;
        }
        match Looks::of(head) {
            // A `From ` line above the header is what many programs leave there.
            Looks::Message | Looks::Mbox => None,
            Looks::Empty => Some("empty"),
            Looks::AppleMessage => Some("a message of Apple Mail (.emlx)"),
            Looks::Store(what) | Looks::Wrapped(what) => Some(what),
            Looks::Binary => Some("binary"),
            Looks::Text => Some("no header"),
        }
    }
}

/// What recognises a message elsewhere: the JSON object of `emails.message_match`, read.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct MessageMatch {
    /// The Message-IDs as [`normal_id`] writes them, as the column has them.
    pub message_ids: Vec<String>,
    /// 64 hexadecimal digits over From, Subject, Date and To. `None` where 1.x noted none (`{}`).
    pub fingerprint: Option<String>,
}

impl MessageMatch {
    /// Reads the text of the column. What is no such object recognises nothing.
    pub fn parse(column: &str) -> MessageMatch {
        let json: serde_json::Value = serde_json::from_str(column).unwrap_or_default();
        let ids = json.get("m").and_then(|ids| ids.as_array()).into_iter().flatten();
        let fingerprint = json.get("f").and_then(|print| print.as_str()).filter(|print| print.len() == 64);
        MessageMatch {
            message_ids: ids.filter_map(|id| id.as_str().map(str::to_owned)).collect(),
            fingerprint: fingerprint.map(str::to_owned),
        }
    }
}

/// The key of what has none of the fields that a key is made of.
pub fn nothing() -> &'static str {
    static NOTHING: std::sync::LazyLock<String> = std::sync::LazyLock::new(|| summary(b"").message_match);
    &NOTHING
}

/// Reads the header of a message. `head` are its first bytes, at most [`HEAD_MAX`] of which count.
///
/// The key is that of Vandelay 1.x: all Message-IDs, and a fingerprint over From, Subject, Date and To.
pub fn summary(head: &[u8]) -> Summary {
    let head = header_of(&head[..head.len().min(HEAD_MAX)]);
    let parser = MessageParser::new()
        .header_id(HeaderName::MessageId)
        .header_address(HeaderName::From)
        .header_address(HeaderName::To)
        .header_text(HeaderName::Subject)
        .header_date(HeaderName::Date)
        .default_header_ignore();
    let message = parser.parse_headers(head);
    let mut ids = Vec::new();
    let (mut from, mut to, mut subject, mut date_text, mut date) =
        (String::new(), String::new(), String::new(), String::new(), None);
    if let Some(message) = &message {
        for header in message.headers() {
            match (&header.name, &header.value) {
                (HeaderName::MessageId, HeaderValue::Text(id)) => ids.push(id.to_string()),
                (HeaderName::MessageId, HeaderValue::TextList(list)) => {
                    ids.extend(list.iter().map(|id| id.to_string()))
                }
                _ => {}
            }
        }
        from = addresses(message.from());
        to = addresses(message.to());
        subject = message.subject().unwrap_or_default().to_owned();
        if let Some(found) = message.date() {
            date_text = found.to_rfc3339();
            date = found.is_valid().then(|| found.to_timestamp());
        }
    }
    let mut ids: Vec<String> = ids.iter().map(|id| normal_id(id)).filter(|id| !id.is_empty()).collect();
    ids.sort_unstable();
    ids.dedup();
    let mut hasher = blake3::Hasher::new();
    for (at, field) in [&from, &subject, &date_text, &to].into_iter().enumerate() {
        if at > 0 {
            hasher.update(&[0x1F]);
        }
        hasher.update(field.as_bytes());
    }
    let fingerprint = hasher.finalize().to_hex().to_string();
    Summary { message_match: serde_json::json!({ "m": ids, "f": fingerprint }).to_string(), date }
}

/// What [`summary`] says of a header of which a server hands over only some fields, and those by themselves: each field that the
/// key is made of is read for itself, so that none takes its neighbour for a part of it.
pub fn summary_of_fields(head: &[u8]) -> Summary {
    const KEY: [&str; 5] = ["Message-ID", "From", "Subject", "Date", "To"];
    let mut apart = Vec::new();
    for field in fields(header_of(&head[..head.len().min(HEAD_MAX)])) {
        if KEY.iter().any(|name| field.is(name)) {
            apart.extend_from_slice(field.raw.trim_ascii_end());
            apart.extend_from_slice(b"\r\nX: x\r\n");
        }
    }
    summary(&apart)
}

/// The header with its empty line, so that no body is ever parsed.
pub fn header_of(head: &[u8]) -> &[u8] {
    let lf = memmem::find(head, b"\n\n").map(|at| at + 2);
    let crlf = memmem::find(&head[..lf.unwrap_or(head.len())], b"\n\r\n").map(|at| at + 3);
    &head[..crlf.or(lf).unwrap_or(head.len())]
}

fn addresses(address: Option<&mail_parser::Address<'_>>) -> String {
    let list = address.into_iter().flat_map(|address| address.iter());
    list.filter_map(|address| address.address()).map(str::to_lowercase).collect::<Vec<_>>().join(",")
}

/// A Message-ID in the form in which it is compared: without angle brackets, in lower case.
pub fn normal_id(id: &str) -> String {
    let id = id.trim();
    let id = id.strip_prefix('<').unwrap_or(id);
    let id = id.strip_suffix('>').unwrap_or(id);
    id.trim().to_lowercase()
}

/// The places of LF without CR before them.
pub fn bare_newlines(bytes: &[u8]) -> impl Iterator<Item = usize> {
    memchr_iter(b'\n', bytes).filter(|&at| at == 0 || bytes[at - 1] != b'\r')
}

/// The bytes with every line ended with CRLF (RFC 5322 section 2.3).
pub fn with_crlf(bytes: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(bytes.len() + bytes.len() / 32);
    let mut start = 0;
    for at in bare_newlines(bytes) {
        out.extend_from_slice(&bytes[start..at]);
        out.push(b'\r');
        start = at;
    }
    out.extend_from_slice(&bytes[start..]);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A date that is none may take the line behind it with it.
    #[test]
    fn a_field_is_read_by_itself() {
        let head =
            b"From z@x  Tue Jul  3 22:10:33 2001\nDate: 03 Jul 01 4:12:06 PM\nMessage-Id: <0UW3Y@x>\nTo: a@x\n\n";
        let ids = |summary: Summary| MessageMatch::parse(&summary.message_match).message_ids;
        assert_eq!(ids(summary_of_fields(head)), ["0uw3y@x"]);
        let some = b"Message-Id: <0UW3Y@x>\r\nDate: 03 Jul 01 4:12:06 PM\r\nTo: a@x\r\n\r\n";
        assert_eq!(summary_of_fields(head), summary_of_fields(some));
    }

    #[test]
    fn key_and_date_of_a_plain_message() {
        let summary = summary(b"Message-ID: <A@b.C>\r\nFrom: X <X@Example.org>\r\nDate: Fri, 21 Nov 1997 09:55:06 -0600\r\nSubject: =?utf-8?q?Gr=C3=BCn?=\r\n\r\nMessage-ID: <no@no>\r\n");
        let json: serde_json::Value = serde_json::from_str(&summary.message_match).unwrap();
        assert_eq!(json["m"], serde_json::json!(["a@b.c"]));
        let mut expected = blake3::Hasher::new();
        expected.update(b"x@example.org\x1fGr\xc3\xbcn\x1f1997-11-21T09:55:06-06:00\x1f");
        assert_eq!(json["f"], expected.finalize().to_hex().to_string());
        assert_eq!(summary.date, Some(880_127_706));
        let read = MessageMatch::parse(&summary.message_match);
        assert_eq!((read.message_ids, read.fingerprint.as_deref()), (vec!["a@b.c".to_owned()], json["f"].as_str()));
    }

    #[test]
    fn a_column_that_says_nothing_recognises_nothing() {
        for column in ["{}", "", "[1]", r#"{"m":"a@b","f":7}"#, r#"{"m":[7],"f":"abc"}"#] {
            assert_eq!(MessageMatch::parse(column), MessageMatch::default(), "{column}");
        }
    }

    #[test]
    fn no_header_at_all_is_the_key_of_nothing() {
        let nothing = blake3::hash(&[0x1F; 3]).to_hex().to_string();
        for bytes in [&b""[..], b"\r\n", b"no header here", &[0xFF, 0, 0x0A]] {
            let json: serde_json::Value = serde_json::from_str(&summary(bytes).message_match).unwrap();
            assert_eq!(
                (json["m"].as_array().unwrap().len(), json["f"].as_str().unwrap()),
                (0, nothing.as_str()),
                "{bytes:?}"
            );
        }
    }

    #[test]
    fn what_has_no_header_is_no_message() {
        let headless = |bytes: &[u8]| summary(bytes).headless(bytes);
        for (bytes, why) in [
            (&b""[..], "empty"),
            (b"no header here\n\nSubject: x\n", "no header"),
            (b"\r\n\r\nbody", "no header"),
            (&[0; 40], "binary"),
            (b"CRYPTED\x03\x07\x02", "encrypted by Dovecot's mail_crypt"),
            (b"\x1f\x8b\x08\0\0", "compressed with gzip"),
        ] {
            assert_eq!(headless(bytes), Some(why), "{}", bytes.escape_ascii());
        }
        for message in [
            &b"Subject: x\n\n"[..],
            b"X-Only: this\n\nbody",
            b"X-Long:\n",
            b"garbage\nSubject: behind it\n\nbody",
            b"From me@here Mon Jan  5 10:00:00 2015\nX-Only: this\n\nbody",
            b"\nSubject: behind a blank line\n\n",
        ] {
            assert_eq!(headless(message), None, "{}", message.escape_ascii());
        }
    }
}
