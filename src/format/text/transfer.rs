//! What a Content-Transfer-Encoding hides (RFC 2045 6), and how long it is without decoding it.
//!
//! Nothing fails here: characters that do not belong are left out, as every mail reader does. Base64 itself is decoded
//! by `mail_parser`; counting is our own, because a length is asked for far more often than the bytes.

use mail_parser::decoders::base64::base64_decode;
use memchr::memchr;
use std::borrow::Cow;

/// How the bytes of a part are wrapped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Encoding {
    /// 7bit, 8bit, binary, and every name that is none of these here.
    Identity,
    Base64,
    QuotedPrintable,
    /// Never a standard, but in mail of the nineties.
    Uuencode,
}

impl Encoding {
    /// The encoding that the value of a Content-Transfer-Encoding field names (RFC 2045 6.1).
    pub(super) fn named(value: &[u8]) -> Self {
        let token = value.trim_ascii().split(|byte| byte.is_ascii_whitespace() || b";,(".contains(byte)).next();
        let token = token.unwrap_or_default().to_ascii_lowercase();
        match token.as_slice() {
            b"base64" => Encoding::Base64,
            b"quoted-printable" => Encoding::QuotedPrintable,
            b"x-uuencode" | b"uuencode" | b"x-uue" | b"uue" => Encoding::Uuencode,
            _ => Encoding::Identity,
        }
    }

    /// The decoded bytes, or the first `limit` of them.
    pub(super) fn decode(self, bytes: &[u8], limit: usize) -> Cow<'_, [u8]> {
        let mut decoded = Vec::new();
        let mut take = |piece: &[u8]| {
            decoded.extend_from_slice(piece.get(..limit - decoded.len()).unwrap_or(piece));
            decoded.len() < limit
        };
        match self {
            Encoding::Identity => return Cow::Borrowed(bytes.get(..limit).unwrap_or(bytes)),
            Encoding::Base64 => return Cow::Owned(base64(bytes, limit)),
            Encoding::QuotedPrintable => quoted_printable(bytes, &mut take),
            Encoding::Uuencode => {
                if !uuencode(bytes, &mut take) {
                    return Cow::Borrowed(bytes.get(..limit).unwrap_or(bytes));
                }
            }
        }
        Cow::Owned(decoded)
    }

    /// How many bytes [`Encoding::decode`] gives without a limit.
    pub(super) fn decoded_len(self, bytes: &[u8]) -> u64 {
        let mut length = 0;
        let mut count = |piece: &[u8]| {
            length += piece.len() as u64;
            true
        };
        match self {
            Encoding::Identity => length = bytes.len() as u64,
            Encoding::Base64 => length = base64_len(bytes),
            Encoding::QuotedPrintable => quoted_printable(bytes, &mut count),
            Encoding::Uuencode => {
                if !uuencode(bytes, &mut count) {
                    length = bytes.len() as u64;
                }
            }
        }
        length
    }
}

/// Decodes base64 (RFC 2045 6.8) and gives at most `limit` bytes.
pub(super) fn base64(bytes: &[u8], limit: usize) -> Vec<u8> {
    let data = base64_data(bytes);
    // Three bytes are four characters; more leaves room for the line breaks of any sane line length.
    let mut take = limit.saturating_mul(2);
    loop {
        let some = data.get(..take).unwrap_or(data);
        // To `mail_parser` a byte 255 is where the data ends.
        let whole = if memchr(0xFF, some).is_none() { base64_decode(some) } else { None };
        let mut decoded = whole.unwrap_or_else(|| {
            let clean: Vec<u8> = some.iter().copied().filter(|&byte| is_base64(byte) || byte == b'=').collect();
            base64_decode(&clean).unwrap_or_default()
        });
        if decoded.len() >= limit || some.len() == data.len() {
            decoded.truncate(limit);
            return decoded;
        }
        take = take.saturating_mul(4);
    }
}

/// Without what follows the padding, unless that looks like base64 too: some programs encode piece by piece, and some
/// lists append a footer that is none.
fn base64_data(bytes: &[u8]) -> &[u8] {
    match memchr(b'=', bytes) {
        Some(at) if !bytes[at..].iter().all(|&byte| is_base64(byte) || b"=\r\n".contains(&byte)) => &bytes[..at],
        _ => bytes,
    }
}

fn base64_len(bytes: &[u8]) -> u64 {
    let of_piece = |piece: &[u8]| {
        // Small sums of single bytes are what the compiler turns into vector code.
        let digits: u64 = piece
            .chunks(255)
            .map(|chunk| u64::from(chunk.iter().map(|&byte| u8::from(is_base64(byte))).sum::<u8>()))
            .sum();
        digits / 4 * 3 + [0, 0, 1, 2][(digits % 4) as usize]
    };
    let data = base64_data(bytes);
    let mut start = 0;
    let mut length = 0;
    for at in memchr::memchr_iter(b'=', data) {
        length += of_piece(&data[start..at]);
        start = at + 1;
    }
    length + of_piece(&data[start..])
}

fn is_base64(byte: u8) -> bool {
    // No short cut between the tests, for the same reason.
    ((byte | 0x20).wrapping_sub(b'a') < 26) | (byte.wrapping_sub(b'0') < 10) | (byte == b'+') | (byte == b'/')
}

/// Decodes quoted-printable (RFC 2045 6.7) piece by piece until `take` has enough. A `=` that begins nothing stays.
fn quoted_printable(bytes: &[u8], take: &mut impl FnMut(&[u8]) -> bool) {
    let mut at = 0;
    while at < bytes.len() {
        let end = memchr(b'\n', &bytes[at..]).map_or(bytes.len(), |found| at + found);
        let next = (end + 1).min(bytes.len());
        let line = &bytes[at..end];
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        let line_break = &bytes[at + line.len()..next];
        // Blanks at the end of a line were added on the way (rule 3).
        let line = line.trim_ascii_end();
        let soft = line.strip_suffix(b"=");
        if !hex_words(soft.unwrap_or(line), take) || (soft.is_none() && !line_break.is_empty() && !take(line_break)) {
            return;
        }
        at = next;
    }
}

/// Gives the bytes of `text` with `=XX` replaced. False when `take` has enough.
pub(super) fn hex_words(text: &[u8], take: &mut impl FnMut(&[u8]) -> bool) -> bool {
    let mut rest = text;
    while let Some(at) = memchr(b'=', rest) {
        let byte = match rest.get(at + 1..at + 3) {
            Some(&[high, low]) => hex(high, low),
            _ => None,
        };
        let go_on = match byte {
            Some(byte) => take(&rest[..at]) && take(&[byte]),
            None => take(&rest[..=at]),
        };
        if !go_on {
            return false;
        }
        rest = &rest[if byte.is_some() { at + 3 } else { at + 1 }..];
    }
    rest.is_empty() || take(rest)
}

/// The byte that two hexadecimal digits stand for.
pub(super) fn hex(high: u8, low: u8) -> Option<u8> {
    let digit = |byte: u8| char::from(byte).to_digit(16);
    u8::try_from(digit(high)? * 16 + digit(low)?).ok()
}

/// Decodes from the line `begin` to the line `end`. False if there is no such line.
fn uuencode(bytes: &[u8], take: &mut impl FnMut(&[u8]) -> bool) -> bool {
    let mut lines = bytes.split(|&byte| byte == b'\n');
    if !lines.any(|line| line.starts_with(b"begin ")) {
        return false;
    }
    for line in lines {
        let Some((&first, digits)) = line.trim_ascii_end().split_first() else { continue };
        if line.trim_ascii_end() == b"end" {
            break;
        }
        let length = usize::from(first.wrapping_sub(b' ') & 63);
        let mut decoded = Vec::with_capacity(64);
        for group in digits.chunks(4).take(63_usize.div_ceil(3)) {
            // Blanks at the line's end, which stand for zeros, may have been lost.
            let digit = |at: usize| u32::from(group.get(at).map_or(0, |byte| byte.wrapping_sub(b' ') & 63));
            let word = digit(0) << 18 | digit(1) << 12 | digit(2) << 6 | digit(3);
            decoded.extend_from_slice(&word.to_be_bytes()[1..]);
        }
        decoded.resize(length, 0);
        if !take(&decoded) {
            break;
        }
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn decoded(encoding: Encoding, text: &str) -> String {
        String::from_utf8_lossy(&encoding.decode(text.as_bytes(), 1000)).into_owned()
    }

    #[test]
    fn names_of_encodings() {
        for (name, encoding) in [
            ("base64", Encoding::Base64),
            (" BASE64 ; x", Encoding::Base64),
            ("Quoted-Printable", Encoding::QuotedPrintable),
            ("quoted-printable, it is displayed as 7bit", Encoding::QuotedPrintable),
            ("x-uuencode", Encoding::Uuencode),
            ("8bit", Encoding::Identity),
            ("foobar", Encoding::Identity),
            ("", Encoding::Identity),
        ] {
            assert_eq!(Encoding::named(name.as_bytes()), encoding, "{name}");
        }
    }

    #[test]
    fn base64_as_it_is_found() {
        for (text, expected) in [
            ("aW52b2lj\r\nZQ==\r\n", "invoice"),
            ("aW52\n b2ljZQ", "invoice"),
            ("aW52!b2-ljZQ==", "invoice"),
            // Two pieces with a padding each, and a footer behind the padding.
            ("aW52bw==\r\naWNl\r\n", "invoice"),
            ("aW52b2ljZQ==\r\n____ the list\r\n", "invoice"),
            ("", ""),
            ("=", ""),
            ("a", ""),
        ] {
            assert_eq!(decoded(Encoding::Base64, text), expected, "{text:?}");
            assert_eq!(Encoding::Base64.decoded_len(text.as_bytes()), expected.len() as u64, "{text:?}");
        }
        assert_eq!(*Encoding::Base64.decode(b"aW52\xFFb2lj\0ZQ==", 100), *b"invoice");
    }

    #[test]
    fn quoted_printable_as_it_is_found() {
        for (text, expected) in [
            ("in=\r\nvo=\n\tice", "invo\tice"),
            ("in=  \r\nvoice", "invoice"),
            ("Gr=C3=BC=c3=9f=65", "Grüße"),
            ("a = b =ZZ =", "a = b =ZZ "),
            ("blanks  \r\nend \t", "blanks\r\nend"),
            ("kept=20\nx", "kept \nx"),
            ("\r\n\n", "\r\n\n"),
        ] {
            assert_eq!(decoded(Encoding::QuotedPrintable, text), expected, "{text:?}");
        }
    }

    #[test]
    fn uuencode_as_it_is_found() {
        assert_eq!(decoded(Encoding::Uuencode, "begin 644 cat.txt\r\n#0V%T\r\n`\r\nend\r\nno more"), "Cat");
        assert_eq!(decoded(Encoding::Uuencode, "nothing of the kind"), "nothing of the kind");
    }

    proptest! {
        #[test]
        fn the_length_is_that_of_the_bytes(
            bytes in "[A-Za-z0-9+/=\r\n !-]{0,300}|(=?[0-9A-F \t\r\n=]{0,3}[a-z]?){0,80}|begin 6\n([ -~]{0,70}\n){0,5}(end)?",
            noise in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..6),
            limit in 0usize..200,
        ) {
            let mut bytes = bytes.into_bytes();
            for (at, byte) in noise {
                bytes.insert(at.index(bytes.len() + 1), byte);
            }
            for encoding in [Encoding::Identity, Encoding::Base64, Encoding::QuotedPrintable, Encoding::Uuencode] {
                let all = encoding.decode(&bytes, usize::MAX);
                prop_assert_eq!(encoding.decoded_len(&bytes), all.len() as u64, "{:?}", encoding);
                let some = encoding.decode(&bytes, limit);
                prop_assert!(some.len() <= limit && all.starts_with(&some), "{:?}", encoding);
            }
        }
    }
}
