//! Bytes of a declared, wrongly declared or undeclared charset (RFC 2046 4.1.2) as text.
//!
//! `encoding_rs` decodes what browsers know. `mail_parser` adds UTF-7, IBM850 and sloppy spellings. Two encodings that
//! browsers refuse, but that old Korean and Chinese mail is full of, are a few lines here. Where nothing is declared,
//! or US-ASCII is and it is not true, valid UTF-8 is UTF-8, and for the rest `chardetng` guesses as Firefox does.

use chardetng::{EncodingDetector, Iso2022JpDetection, Utf8Detection};
use encoding_rs::{CoderResult, EUC_KR, Encoding, GBK, ISO_2022_JP, REPLACEMENT, UTF_8, UTF_16BE, UTF_16LE};
use mail_parser::decoders::charsets::map::charset_decoder;
use memchr::memchr;
use std::borrow::Cow;

/// How many bytes a guess looks at, from a little before the first that is no ASCII.
const GUESS_MAX: usize = 16 << 10;
const GUESS_BEFORE: usize = 100;

/// How much more room than the bytes take a decoder is given, which some need to begin.
const ROOM: usize = 1 << 10;

/// Labels that say nothing about bytes beyond 127.
const NO_LABELS: [&str; 9] =
    ["us-ascii", "ascii", "us", "ansi_x3.4-1968", "unknown-8bit", "x-unknown", "8bit", "default", "default_charset"];

/// Decodes text, about `limit` bytes of it. `label` is the declared charset.
pub(super) fn decode<'a>(bytes: Cow<'a, [u8]>, label: Option<&str>, limit: usize) -> Cow<'a, str> {
    if let Some((encoding, _)) = Encoding::for_bom(&bytes).filter(|(encoding, _)| *encoding != UTF_8) {
        return by(encoding, bytes, limit);
    }
    let label = label.map(|label| label.trim_matches(|c: char| c.is_ascii_whitespace() || "\"'".contains(c)));
    let label = label.filter(|label| !label.is_empty() && !NO_LABELS.contains(&label.to_ascii_lowercase().as_str()));
    let Some(label) = label else { return undeclared(bytes, limit) };
    match Encoding::for_label(label.as_bytes()) {
        Some(encoding) if encoding == UTF_8 => undeclared(bytes, limit),
        // `utf-16` without a byte order mark: whichever half of a basic Latin text is zero.
        Some(encoding) if encoding == UTF_16LE => {
            by(if looks_big_endian(&bytes) { UTF_16BE } else { encoding }, bytes, limit)
        }
        Some(encoding) if encoding == REPLACEMENT => match label.to_ascii_lowercase().as_str() {
            "iso-2022-kr" | "csiso2022kr" => Cow::Owned(iso_2022_kr(&bytes)),
            "hz-gb-2312" => Cow::Owned(hz(&bytes)),
            _ => undeclared(bytes, limit),
        },
        Some(encoding) => by(encoding, bytes, limit),
        None => match charset_decoder(label.as_bytes()) {
            Some(decoder) => Cow::Owned(decoder(&bytes)),
            None => undeclared(bytes, limit),
        },
    }
}

/// Decodes bytes of a header that say nothing of their charset: UTF-8 if they are (RFC 6532), else `hint`, the charset
/// of the text below, if that is one for headers.
pub(super) fn decode_raw<'a>(bytes: &'a [u8], hint: Option<&str>) -> Cow<'a, str> {
    match std::str::from_utf8(bytes) {
        Ok(text) if memchr(0x1B, bytes).is_none() => Cow::Borrowed(text),
        _ => {
            let is_for_headers =
                |encoding: &'static Encoding| encoding.is_ascii_compatible() || encoding == ISO_2022_JP;
            let hint = hint.filter(|label| Encoding::for_label(label.as_bytes()).is_some_and(is_for_headers));
            decode(Cow::Borrowed(bytes), hint, usize::MAX)
        }
    }
}

fn by<'a>(encoding: &'static Encoding, bytes: Cow<'a, [u8]>, limit: usize) -> Cow<'a, str> {
    // Plain ASCII needs no second buffer. Escapes and `~` begin something else in some encodings.
    if encoding.is_ascii_compatible() && bytes.is_ascii() && memchr(0x1B, &bytes).is_none() {
        return utf8_lossy(bytes);
    }
    // Room for the worst case would be three times the bytes; so it grows when there is need.
    let mut decoder = encoding.new_decoder_with_bom_removal();
    let mut text = String::new();
    let mut rest = bytes.as_ref();
    while text.len() < limit {
        text.reserve_exact(rest.len().min(limit - text.len()) + ROOM);
        let (result, read, _) = decoder.decode_to_string(rest, &mut text, true);
        rest = &rest[read..];
        if result == CoderResult::InputEmpty {
            break;
        }
    }
    Cow::Owned(text)
}

/// UTF-8 if it is, or if more of it is than is not; else what the letters look like.
fn undeclared(bytes: Cow<'_, [u8]>, limit: usize) -> Cow<'_, str> {
    if bytes.is_ascii() && memchr(0x1B, &bytes).is_none() {
        return utf8_lossy(bytes);
    }
    let (mut right, mut wrong) = (0_usize, 0_usize);
    for chunk in bytes.utf8_chunks() {
        right += usize::from(!chunk.valid().is_ascii());
        wrong += usize::from(!chunk.invalid().is_empty());
    }
    if right > 0 && right >= wrong {
        return utf8_lossy(bytes);
    }
    let mut detector = EncodingDetector::new(Iso2022JpDetection::Allow);
    let first = bytes.iter().position(|&byte| byte >= 0x80 || byte == 0x1B).unwrap_or(0);
    let rest = &bytes[first.saturating_sub(GUESS_BEFORE)..];
    let sample = rest.get(..GUESS_MAX).unwrap_or(rest);
    detector.feed(sample, sample.len() == rest.len());
    by(detector.guess(None, Utf8Detection::Deny), bytes, limit)
}

fn utf8_lossy(bytes: Cow<'_, [u8]>) -> Cow<'_, str> {
    match bytes {
        Cow::Borrowed(bytes) => String::from_utf8_lossy(bytes),
        Cow::Owned(bytes) => Cow::Owned(
            String::from_utf8(bytes).unwrap_or_else(|error| String::from_utf8_lossy(error.as_bytes()).into_owned()),
        ),
    }
}

fn looks_big_endian(bytes: &[u8]) -> bool {
    let zeros = |odd: usize| bytes.iter().skip(odd).step_by(2).take(100).filter(|&&byte| byte == 0).count();
    zeros(0) > zeros(1)
}

/// ISO-2022-KR (RFC 1557): between SO and SI stands KS X 1001, which is EUC-KR without the high bit.
fn iso_2022_kr(bytes: &[u8]) -> String {
    let mut shifted = false;
    let euc: Vec<u8> = bytes
        .iter()
        .filter_map(|&byte| match byte {
            0x0E | 0x0F => {
                shifted = byte == 0x0E;
                None
            }
            b'!'..=b'~' if shifted => Some(byte | 0x80),
            _ => Some(byte),
        })
        .collect();
    // The header of such a text names the set that is meant, and has no other meaning.
    EUC_KR.decode_without_bom_handling(&euc).0.replace("\x1B$)C", "")
}

/// HZ (RFC 1843): between `~{` and `~}` stands GB 2312 without the high bit; `~~` is a tilde, `~` at a line's end
/// joins the next line.
fn hz(bytes: &[u8]) -> String {
    let mut gbk = Vec::with_capacity(bytes.len());
    let mut shifted = false;
    let mut rest = bytes;
    while let Some((&byte, tail)) = rest.split_first() {
        rest = tail;
        match (byte, tail.first()) {
            (b'~', Some(&next @ (b'{' | b'}' | b'~' | b'\n'))) => {
                rest = &tail[1..];
                match next {
                    b'~' => gbk.push(b'~'),
                    b'\n' => {}
                    _ => shifted = next == b'{',
                }
            }
            // A line begins in ASCII again, whatever was forgotten.
            (b'\n', _) => {
                shifted = false;
                gbk.push(byte);
            }
            (b'!'..=b'~', _) if shifted => gbk.push(byte | 0x80),
            _ => gbk.push(byte),
        }
    }
    GBK.decode_without_bom_handling(&gbk).0.into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decoded(bytes: &[u8], label: Option<&str>) -> String {
        decode(Cow::Borrowed(bytes), label, 1000).into_owned()
    }

    #[test]
    fn declared_charsets() {
        for (bytes, label, expected) in [
            (&b"Gr\xFC\xDFe"[..], "iso-8859-1", "Grüße"),
            (b"Gr\xFC\xDFe", " \"ISO-8859-15\" ", "Grüße"),
            (b"\x805", "iso-8859-1", "€5"),
            (b"Gr\xC3\xBC\xC3\x9Fe", "utf8", "Grüße"),
            (b"\xF0\xD2\xC9\xD7\xC5\xD4", "koi8-r", "Привет"),
            (b"\x1B$B%O%m!<\x1B(B", "ISO-2022-JP", "ハロー"),
            (b"\xBE\xC8\xB3\xE7", "ks_c_5601-1987", "안녕"),
            (b"\xC4\xE3\xBA\xC3", "gb2312", "你好"),
            (b"\x1B$)C\n\x0E>H3g\x0F ok", "iso-2022-kr", "\n안녕 ok"),
            (b"~{Dc:C~} a~~b~\nc", "HZ-GB-2312", "你好 a~bc"),
            (b"Gr+APwA3w-e", "utf-7", "Grüße"),
            (b"\x9B", "cp850", "ø"),
            (b"\x00G\x00r", "utf-16", "Gr"),
            (b"G\x00r\x00", "utf-16", "Gr"),
            (b"\xFE\xFF\x00G", "us-ascii", "G"),
        ] {
            assert_eq!(decoded(bytes, Some(label)), expected, "{label}");
        }
    }

    #[test]
    fn the_hint_for_headers_is_only_that() {
        for (bytes, hint, expected) in [
            (&b"ascii"[..], "utf-16", "ascii"),
            (b"\xC3\xBC", "iso-8859-1", "ü"),
            (b"\xFC", "iso-8859-1", "ü"),
            (b"\xFCber dem Berg", "utf-16le", "über dem Berg"),
            (b"\x1B$B%O%m!<\x1B(B", "iso-2022-jp", "ハロー"),
        ] {
            assert_eq!(decode_raw(bytes, Some(hint)), expected, "{hint}");
        }
    }

    #[test]
    fn what_is_not_declared_is_guessed() {
        assert_eq!(decoded("Grüße".as_bytes(), None), "Grüße");
        assert_eq!(decoded("Grüße".as_bytes(), Some("US-ASCII")), "Grüße");
        assert_eq!(decoded(b"Mit freundlichen Gr\xFC\xDFen", None), "Mit freundlichen Grüßen");
        assert_eq!(decoded(b"Mit freundlichen Gr\xFC\xDFen", Some("utf-8")), "Mit freundlichen Grüßen");
        assert_eq!(decoded(b"Mit freundlichen Gr\xFC\xDFen", Some("no-such-thing")), "Mit freundlichen Grüßen");
        let russian =
            b"\xCF\xF0\xE8\xE2\xE5\xF2, \xEA\xE0\xEA \xE4\xE5\xEB\xE0? \xD1\xF7\xE5\xF2 \xEE\xEF\xEB\xE0\xF7\xE5\xED";
        assert_eq!(decoded(russian, None), "Привет, как дела? Счет оплачен");
        assert_eq!(decoded(b"\x1B$B%O%m!<\x1B(B", None), "ハロー");
        // One broken character in a long text of UTF-8 does not make it another charset.
        assert_eq!(decoded(b"\xC3\xBC x \xC3\x9F \xC3\xBC \xFF", Some("utf-8")), "ü x ß ü \u{FFFD}");
    }
}
