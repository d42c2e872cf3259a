//! Apple Mail's .emlx: the length of the message on a line, the message, and a property list with its flags.

use super::mbox::Status;
use memchr::memmem;

/// How much of a property list is looked at, in bytes. Real ones have some hundred.
pub const PROPERTIES_MAX: usize = 64 << 10;
/// The first line is not longer.
const LINE_MAX: usize = 32;

/// Bits of the number `flags`. Those left out say nothing that JMAP has a keyword for.
const FLAGS: [(u64, &str); 5] =
    [(1, "$seen"), (1 << 2, "$answered"), (1 << 4, "$flagged"), (1 << 6, "$draft"), (1 << 8, "$forwarded")];
const DELETED: u64 = 1 << 1;

/// Where the message begins, and its length, by the first bytes of the file.
pub fn span(head: &[u8]) -> Option<(u64, u64)> {
    let line = &head[..head.len().min(LINE_MAX)];
    let end = memchr::memchr(b'\n', line)?;
    let text = std::str::from_utf8(&line[..end]).ok()?.trim();
    let is_number = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    Some((end as u64 + 1, text.parse().ok().filter(|_| is_number)?))
}

/// Flags, and the date of arrival in seconds since 1970, by the property list behind the message.
pub fn properties(list: &[u8]) -> (Status, Option<i64>) {
    let mut status = Status::default();
    if let Some(flags) = number(list, b"flags") {
        let set = FLAGS.iter().filter(|(bit, _)| flags & bit != 0);
        status.keywords = set.map(|(_, keyword)| (*keyword).to_owned()).collect();
        status.keywords.sort_unstable();
        status.is_deleted = flags & DELETED != 0;
    }
    let received = number(list, b"date-received").and_then(|date| i64::try_from(date).ok());
    (status, received.filter(|date| *date > 0))
}

/// The integer behind a key of a property list in XML.
fn number(list: &[u8], key: &[u8]) -> Option<u64> {
    let key = [b"<key>", key, b"</key>"].concat();
    let at = memmem::find(list, &key)? + key.len();
    let value = list[at..].trim_ascii_start().strip_prefix(b"<integer>")?;
    let end = memchr::memchr(b'<', &value[..value.len().min(LINE_MAX)])?;
    std::str::from_utf8(&value[..end]).ok()?.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn length_flags_and_date() {
        assert_eq!(span(b"114       \nFrom: a\n"), Some((11, 114)));
        for head in [&b"From: a\n"[..], b"", b"\n", b"-1\n", b"+1\n", b"99999999999999999999999\n", b"114"] {
            assert_eq!(span(head), None);
        }
        let list = b"<plist><dict>\n<key>date-received</key>\n\t<integer>1420452060</integer>\n<key>flags</key>\n<integer>8590195733</integer>";
        let (status, received) = properties(list);
        assert_eq!(received, Some(1_420_452_060));
        assert_eq!(status.keywords, ["$answered", "$flagged", "$seen"]);
        assert!(!status.is_deleted && properties(b"<key>flags</key><integer>3</integer>").0.is_deleted);
        assert_eq!(properties(b"<key>flags</key><string>3</string>"), (Status::default(), None));
    }

    proptest! {
        #[test]
        fn anything(bytes in any::<Vec<u8>>(), text in "<key>flags</key>.{0,40}") {
            span(&bytes);
            properties(&bytes);
            properties(text.as_bytes());
        }
    }
}
