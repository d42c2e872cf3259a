//! What mail programs write into the header of a message when they have no other place for it: flags, keywords, and
//! when it came.

use crate::format::fields::fields;
use crate::format::maildir::DELETED;
use mail_parser::DateTime;
use memchr::memmem;

/// The longest keyword (RFC 8621 section 4.1.1).
const MAX_KEYWORD: usize = 255;
/// The most keywords of a message.
const MAX_KEYWORDS: usize = 1000;

/// Fields that mail programs change while the message stays the same, in lower case.
const CHANGING: [&str; 10] = [
    "status",
    "x-evolution",
    "x-gmail-labels",
    "x-imapbase",
    "x-keywords",
    "x-mozilla-keys",
    "x-mozilla-status",
    "x-mozilla-status2",
    "x-status",
    "x-uid",
];

/// True for a field in which a mail program keeps flags, labels or numbers.
pub(super) fn is_changing(name: &[u8]) -> bool {
    CHANGING.iter().any(|changing| name.eq_ignore_ascii_case(changing.as_bytes()))
}

/// True for a field that only says something of a message in one mbox: its flags, its number, its size.
pub(super) fn is_written(name: &[u8]) -> bool {
    let others = ["content-length", "lines", "x-imap"];
    let is_label = name.eq_ignore_ascii_case(b"x-gmail-labels");
    (is_changing(name) && !is_label) || others.iter().any(|other| name.eq_ignore_ascii_case(other.as_bytes()))
}

/// The flags of a message.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Status {
    /// JMAP keywords, sorted, without duplicates, [`DELETED`] not among them.
    pub keywords: Vec<String>,
    /// It is marked as deleted, or was deleted and still stands in the file.
    pub is_deleted: bool,
    /// No message: c-client and its kin (Alpine, UW IMAP) keep numbers and names of keywords in the first one.
    pub is_internal: bool,
}

/// Reads `Status` and `X-Status` (mutt, Dovecot, c-client), `X-Keywords` (Dovecot, c-client), `X-Mozilla-Status`,
/// `X-Mozilla-Status2` and `X-Mozilla-Keys` (Thunderbird), and `X-Evolution` of a header block.
pub fn status(head: &[u8]) -> Status {
    let mut status = Status::default();
    let (mut has_base, mut is_from_system) = (false, false);
    for field in fields(head) {
        if field.is("Status") || field.is("X-Status") {
            let is_extended = field.is("X-Status");
            for letter in field.value.trim_ascii() {
                status.letter(*letter, is_extended);
            }
        } else if field.is("X-Mozilla-Status") {
            status.mozilla(hexadecimal(field.value));
        } else if field.is("X-Mozilla-Status2") {
            status.mozilla2(hexadecimal(field.value));
        } else if field.is("X-Evolution") {
            // `UID-FLAGS`, both in hexadecimal.
            let flags = field.value.split(|byte| *byte == b'-').nth(1).unwrap_or_default();
            status.evolution(hexadecimal(&flags[..flags.len().min(4)]));
        } else if field.is("X-Mozilla-Keys") || field.is("X-Keywords") {
            status.words(field.value);
        } else if field.is("X-IMAP") || field.is("X-IMAPbase") {
            has_base = true;
        } else if field.is("From") {
            is_from_system = memmem::find(field.value, b"Mail System Internal Data").is_some();
        }
    }
    status.is_internal = has_base && is_from_system;
    status.arrange();
    status
}

impl Status {
    /// Adds what another place says of the message.
    pub fn merge(&mut self, other: Status) {
        self.keywords.extend(other.keywords);
        self.is_deleted |= other.is_deleted;
        self.is_internal |= other.is_internal;
        self.arrange();
    }

    fn arrange(&mut self) {
        self.keywords.sort_by_cached_key(|keyword| keyword.to_ascii_lowercase());
        self.keywords.dedup_by(|one, other| one.eq_ignore_ascii_case(other));
        self.keywords.sort_unstable();
    }

    fn letter(&mut self, letter: u8, is_extended: bool) {
        match (letter, is_extended) {
            (b'R', false) => self.add("$seen"),
            (b'D', _) => self.is_deleted = true,
            (b'A', true) => self.add("$answered"),
            (b'F', true) => self.add("$flagged"),
            (b'T', true) => self.add("$draft"),
            _ => {}
        }
    }

    /// The bits of nsMsgMessageFlags.
    fn mozilla(&mut self, bits: u32) {
        for (bit, keyword) in [(0x1, "$seen"), (0x2, "$answered"), (0x4, "$flagged"), (0x1000, "$forwarded")] {
            if bits & bit != 0 {
                self.add(keyword);
            }
        }
        self.is_deleted |= bits & 0x8 != 0;
    }

    /// The upper bits: deleted on the server, and the number of a label as old versions kept it.
    fn mozilla2(&mut self, bits: u32) {
        self.is_deleted |= bits & 0x0020_0000 != 0;
        let label = (bits & 0x0E00_0000) >> 25;
        if label > 0 {
            self.add(&format!("$label{label}"));
        }
    }

    /// The bits of CamelMessageFlags.
    fn evolution(&mut self, bits: u32) {
        for (bit, keyword) in [(1, "$answered"), (1 << 2, "$draft"), (1 << 3, "$flagged"), (1 << 4, "$seen")] {
            if bits & bit != 0 {
                self.add(keyword);
            }
        }
        self.is_deleted |= bits & (1 << 1) != 0;
    }

    fn words(&mut self, value: &[u8]) {
        // A field of nothing but blanks is what Thunderbird leaves room with.
        for word in value.split(|byte| byte.is_ascii_whitespace() || *byte == b',').take(MAX_KEYWORDS) {
            let Ok(word) = std::str::from_utf8(word) else { continue };
            if word.eq_ignore_ascii_case(DELETED) {
                self.is_deleted = true;
            } else if is_keyword(word) {
                self.add(word);
            }
        }
    }

    fn add(&mut self, keyword: &str) {
        if self.keywords.len() < MAX_KEYWORDS {
            self.keywords.push(keyword.to_owned());
        }
    }
}

/// True for what JMAP takes as a keyword (RFC 8621 section 4.1.1).
fn is_keyword(word: &str) -> bool {
    let is_allowed = |byte: u8| byte.is_ascii_graphic() && !b"(){]%*\"\\".contains(&byte);
    (1..=MAX_KEYWORD).contains(&word.len()) && word.bytes().all(is_allowed)
}

/// A number in hexadecimal, as much as there is of it. Zero for none.
fn hexadecimal(value: &[u8]) -> u32 {
    let digits = value.trim_ascii();
    let text = std::str::from_utf8(&digits[..digits.len().min(8)]).unwrap_or_default();
    u32::from_str_radix(text, 16).unwrap_or_default()
}

/// When the message came, by the newest Received field that has a date: each server puts its own before the others.
/// Seconds since 1970 UTC.
pub fn received(head: &[u8]) -> Option<i64> {
    fields(head).filter(|field| field.is("Received")).find_map(|field| {
        let date = field.value.get(memchr::memrchr(b';', field.value)? + 1..)?;
        let date = DateTime::parse_rfc822(std::str::from_utf8(date).ok()?.trim())?;
        date.is_valid().then(|| date.to_timestamp())
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn flags_of_every_dialect() {
        for (head, keywords, deleted) in [
            ("Status: RO\nX-Status: AF\n", &["$answered", "$flagged", "$seen"][..], false),
            ("Status: O\n", &[], false),
            ("Status: R\r\nX-Status: T\r\n", &["$draft", "$seen"], false),
            ("X-Status: D\n", &[], true),
            ("status: ROD\n", &["$seen"], true),
            ("X-Mozilla-Status: 0005\nX-Mozilla-Status2: 00000000\n", &["$flagged", "$seen"], false),
            ("X-Mozilla-Status: 1003\n", &["$answered", "$forwarded", "$seen"], false),
            ("X-Mozilla-Status: 0009\n", &["$seen"], true),
            ("X-Mozilla-Status2: 04200000\n", &["$label2"], true),
            ("X-Mozilla-Keys: $label1 boat                    \n", &["$label1", "boat"], false),
            ("X-Keywords: Work, NonJunk work\r\n later (no) \"no\" \u{e9}\r\n", &["NonJunk", "Work", "later"], false),
            ("X-Keywords: $Deleted\n", &[], true),
            ("X-Evolution: 0000002b-0019\r\n", &["$answered", "$flagged", "$seen"], false),
            ("X-Evolution: 0000002b-0012\n", &["$seen"], true),
            ("X-Evolution: \nX-Evolution: 1-\n", &[], false),
            ("X-Mozilla-Status: zz\nX-Mozilla-Keys:\nX-Status:\nStatus\n", &[], false),
            ("Subject: Status: R\n X-Status: A\n", &[], false),
        ] {
            let status = status(head.as_bytes());
            assert_eq!(
                (status.keywords.as_slice(), status.is_deleted),
                (&keywords.iter().map(|k| (*k).to_owned()).collect::<Vec<_>>()[..], deleted),
                "{head}"
            );
            assert!(!status.is_internal);
        }
        let pseudo = "From: Mail System Internal Data <MAILER-DAEMON@h>\nX-IMAP: 1 2\nSubject: DON'T DELETE\n";
        assert!(status(pseudo.as_bytes()).is_internal);
        assert!(!status(b"From: a@b\nX-IMAPbase: 1 2\n").is_internal);
    }

    #[test]
    fn the_newest_received_field_counts() {
        let head = "Received: by nobody\nReceived: from a (b [192.0.2.1])\n by c; Mon, 5 Jan 2015 10:00:02 +0100 (CET)\n\
                    Received: x; Mon, 5 Jan 2015 08:00:00 +0000\nDate: Mon, 5 Jan 2015 07:00:00 +0000\n";
        assert_eq!(received(head.as_bytes()), Some(1_420_448_402));
        assert_eq!(received(b"Received: x; someday\nDate: Mon, 5 Jan 2015 07:00:00 +0000\n"), None);
    }

    proptest! {
        #[test]
        fn anything(bytes in any::<Vec<u8>>(), line in "(X-Mozilla-(Status2?|Keys)|X-?Status|X-Evolution|X-Keywords|Received):.{0,40}\n") {
            for head in [&bytes[..], line.as_bytes()] {
                status(head);
                received(head);
            }
        }
    }
}
