//! What a file is, by its first bytes: a message, several, or something else that mail programs leave beside them.

use memchr::memmem;

/// What the first bytes of a file speak for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Looks {
    /// There is nothing in it.
    Empty,
    /// A message: it begins with a header.
    Message,
    /// An mbox file: a line `From …` and a header behind it.
    Mbox,
    /// A message as Apple Mail keeps it (.emlx): the number of its bytes, the message, a property list.
    AppleMessage,
    /// A file in which a mail program keeps many messages, in words.
    Store(&'static str),
    /// Something packed or encrypted, in words.
    Wrapped(&'static str),
    /// Bytes that are no text.
    Binary,
    /// Text that has no header.
    Text,
}

/// As many bytes of a file as [`Looks::of`] goes by. More of them do no harm.
pub const HEAD: usize = 4 << 10;

/// The longest name of a header field that counts (RFC 5322 has no limit, a line of it 998 characters).
const LONGEST_NAME: usize = 200;

/// First bytes of files that are no message, whatever comes after them.
const WRAPPED: [(&[u8], &str); 16] = [
    (b"CRYPTED\x03\x07", "encrypted by Dovecot's mail_crypt"),
    (b"\x1f\x8b", "compressed with gzip"),
    (b"BZh", "compressed with bzip2"),
    (b"\xfd7zXZ\0", "compressed with xz"),
    (b"\x28\xb5\x2f\xfd", "compressed with zstd"),
    (b"\x04\x22\x4d\x18", "compressed with LZ4"),
    (b"Dovecot-LZ4\r*\x9b\xc5", "compressed with LZ4"),
    (b"\x1f\x9d", "compressed with compress"),
    (b"\x5d\0\0", "compressed with lzma"),
    (b"LZIP", "compressed with lzip"),
    (b"PK\x03\x04", "packed with zip"),
    (b"7z\xbc\xaf\x27\x1c", "packed with 7-Zip"),
    (b"Rar!\x1a\x07", "packed with RAR"),
    (b"-----BEGIN PGP MESSAGE-----", "encrypted with OpenPGP"),
    (b"age-encryption.org/", "encrypted with age"),
    (b"Salted__", "encrypted with OpenSSL"),
];

/// First bytes of files in which mail programs keep many messages.
const STORES: [(&[u8], &str); 6] = [
    (b"!BDN", "a file of Outlook (.pst or .ost)"),
    (b"\xcf\xad\x12\xfe", "a file of Outlook Express (.dbx)"),
    (b"*mbx*\r\n", "a file of UW IMAP (.mbx)"),
    (b"*mix*\r\n", "a file of UW IMAP (.mix)"),
    (b"BABYL OPTIONS:", "a Babyl file of Emacs"),
    (b"\x01\x01\x01\x01\n", "an MMDF file"),
];

/// Header fields of which a text that is no message has hardly any: a message outside of a Maildir has one of them.
const FIELDS: [&str; 18] = [
    "return-path",
    "delivered-to",
    "received",
    "from",
    "to",
    "cc",
    "bcc",
    "subject",
    "date",
    "message-id",
    "mime-version",
    "content-type",
    "reply-to",
    "sender",
    "x-original-to",
    "x-envelope-from",
    "dkim-signature",
    "authentication-results",
];

impl Looks {
    /// What a file that begins with `head` looks like.
    pub fn of(head: &[u8]) -> Looks {
        if head.is_empty() {
            return Looks::Empty;
        }
        if let Some((_, what)) = WRAPPED.iter().find(|(magic, _)| head.starts_with(magic)) {
            return Looks::Wrapped(what);
        }
        if let Some((_, what)) = STORES.iter().find(|(magic, _)| head.starts_with(magic)) {
            return Looks::Store(what);
        }
        let text = head.strip_prefix(b"\xef\xbb\xbf").unwrap_or(head);
        let text = text.trim_ascii_start();
        if text.is_empty() {
            return Looks::Text;
        }
        let (first, rest) = line(text);
        if first.starts_with(b"From ") || first == b"From" {
            return if begins_with_field(rest) { Looks::Mbox } else { Looks::Text };
        }
        let quoted = first.starts_with(b">From ");
        if begins_with_field(if quoted { rest } else { text }) {
            return Looks::Message;
        }
        if !first.is_empty() && first.trim_ascii().iter().all(u8::is_ascii_digit) && begins_with_field(rest) {
            return Looks::AppleMessage;
        }
        if has_message_later(text) {
            return Looks::Mbox;
        }
        // What text never has, and files of programs mostly have early.
        let sample = &head[..head.len().min(512)];
        let is_control = |b: &&u8| matches!(b, 0..=6 | 14..=26 | 28..=31);
        if sample.iter().filter(is_control).count() * 20 > sample.len() || head.contains(&0) {
            return Looks::Binary;
        }
        Looks::Text
    }

    /// True for a header in which a field stands that messages have. Any text may begin with a word and a colon.
    pub fn is_surely_message(head: &[u8]) -> bool {
        let mut rest = head.strip_prefix(b"\xef\xbb\xbf").unwrap_or(head).trim_ascii_start();
        let mut known = 0;
        for _ in 0..60 {
            let (first, after) = line(rest);
            match name_of(first) {
                Some(name) => {
                    known += usize::from(FIELDS.iter().any(|field| name.eq_ignore_ascii_case(field.as_bytes())))
                }
                // A folded line belongs to the field before it.
                None if first.starts_with(b" ") || first.starts_with(b"\t") || first.starts_with(b">From ") => {}
                None => break,
            }
            rest = after;
        }
        known > 1
    }
}

/// The first line without its end, and what comes after it.
fn line(text: &[u8]) -> (&[u8], &[u8]) {
    let (line, rest) = match memchr::memchr(b'\n', text) {
        Some(end) => (&text[..end], &text[end + 1..]),
        None => (text, &[][..]),
    };
    (line.strip_suffix(b"\r").unwrap_or(line), rest)
}

/// Whether the first line is a header field.
/// True if further in a line separates messages: one that begins with `From `, and behind it the header of a message.
fn has_message_later(text: &[u8]) -> bool {
    memmem::find_iter(text, b"\nFrom ").any(|at| Looks::is_surely_message(line(&text[at + 1..]).1))
}

fn begins_with_field(text: &[u8]) -> bool {
    name_of(line(text).0).is_some()
}

/// The name of the field that a line begins (RFC 5322 section 2.2; section 4.5 allows blanks before the colon).
fn name_of(line: &[u8]) -> Option<&[u8]> {
    let end = memchr::memchr(b':', &line[..line.len().min(LONGEST_NAME)])?;
    let name = line[..end].trim_ascii_end();
    (!name.is_empty() && name.iter().all(|b| matches!(b, 33..=126))).then_some(name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn by_their_first_bytes() {
        let cases: [(&[u8], Looks); 24] = [
            (b"", Looks::Empty),
            (b"Subject: x\n\nbody", Looks::Message),
            (b"X-Anything :x\r\n", Looks::Message),
            (b"\xef\xbb\xbfSubject: x\n", Looks::Message),
            (b"\n\r\nSubject: behind blank lines\n", Looks::Message),
            (b">From me@here\nSubject: x\n", Looks::Message),
            (b"From me@here Mon Jan  5 10:00:00 2015\nSubject: x\n", Looks::Mbox),
            (b"From - \r\nX-Mozilla-Status: 0001\r\n", Looks::Mbox),
            (b"From here on\nit is a text\n", Looks::Text),
            (b"no header here", Looks::Text),
            (b"two words: not a field\n", Looks::Text),
            (b": nothing before the colon\n", Looks::Text),
            (b"\n\n\n", Looks::Text),
            (b"CRYPTED\x03\x07\x02\0\0", Looks::Wrapped("encrypted by Dovecot's mail_crypt")),
            (b"\x1f\x8b\x08\0", Looks::Wrapped("compressed with gzip")),
            (b"BZh91AY&SY", Looks::Wrapped("compressed with bzip2")),
            (b"\x04\x22\x4d\x18`", Looks::Wrapped("compressed with LZ4")),
            (b"Dovecot-LZ4\r*\x9b\xc5\0\x01\0\0", Looks::Wrapped("compressed with LZ4")),
            (b"BABYL OPTIONS: -*- rmail -*-\n", Looks::Store("a Babyl file of Emacs")),
            (b"1234      \nSubject: x\n", Looks::AppleMessage),
            (b"PK\x03\x04", Looks::Wrapped("packed with zip")),
            (b"\x7fELF\x02\x01\x01\0\0", Looks::Binary),
            (b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR", Looks::Binary),
            (&[0; 600], Looks::Binary),
        ];
        for (head, expected) in cases {
            assert_eq!(Looks::of(head), expected, "{}", head.escape_ascii());
        }
    }

    #[test]
    fn a_message_has_fields_that_messages_have() {
        for head in [
            &b"Return-Path: <a@b>\nX-Spam: no\n folded\nSubject: x\n\nbody"[..],
            b"From: a@b\r\nTo: c@d\r\n\r\n",
            b"\n>From a@b\nX-Y: z\nDate: now\nMIME-Version: 1.0\n",
        ] {
            assert!(Looks::is_surely_message(head), "{}", head.escape_ascii());
        }
        for head in [
            &b"version: 1\nname: x\ndate: today\n"[..],
            b"Note: to myself\n\nFrom: here\nTo: there\n",
            b"2015-01-05 10:00: started\n",
            b"",
        ] {
            assert!(!Looks::is_surely_message(head), "{}", head.escape_ascii());
        }
    }

    proptest! {
        #[test]
        fn any_bytes_look_like_something(head in any::<Vec<u8>>()) {
            let _ = (Looks::of(&head), Looks::is_surely_message(&head));
        }
    }
}
