//! Text as a search wants it: one kind of line end and of blank, nothing invisible inside a word, one form of each
//! accented letter.

use std::borrow::Cow;
use unicode_normalization::{IsNormalized, UnicodeNormalization, is_nfc_quick};

/// What a character becomes.
enum Becomes {
    Itself,
    Blank,
    LineBreak,
    Nothing,
}

fn becomes(c: char) -> Becomes {
    match c {
        '\t' | '\n' => Becomes::Itself,
        '\u{B}' | '\u{C}' | '\u{85}' | '\u{2028}' | '\u{2029}' => Becomes::LineBreak,
        // No-break, en, em, thin, ideographic space and their kin.
        '\u{A0}' | '\u{1680}' | '\u{2000}'..='\u{200A}' | '\u{202F}' | '\u{205F}' | '\u{3000}' => Becomes::Blank,
        '\0'..='\u{1F}' | '\u{7F}'..='\u{9F}' => Becomes::Nothing,
        // Soft hyphens, zero width spaces, marks of direction: `in\u{AD}voice` is read, and so to be found, as one
        // word. The zero width joiners (200C, 200D) have a meaning in Persian, in Indic scripts and between emoji.
        '\u{AD}'
        | '\u{34F}'
        | '\u{61C}'
        | '\u{180E}'
        | '\u{200B}'
        | '\u{200E}'
        | '\u{200F}'
        | '\u{202A}'..='\u{202E}'
        | '\u{2060}'..='\u{206F}'
        | '\u{FEFF}' => Becomes::Nothing,
        _ => Becomes::Itself,
    }
}

/// True for a character that is left out, as nobody sees it.
pub(super) fn is_invisible(c: char) -> bool {
    // A carriage return alone ends a line.
    c != '\r' && matches!(becomes(c), Becomes::Nothing)
}

/// Appends `text` with LF line ends, without control characters, in NFC, until `out` has `limit` bytes. False if it
/// did not fit.
pub(super) fn block(text: &str, out: &mut String, limit: usize) -> bool {
    let text = nfc(text);
    let mut rest = text.as_ref();
    loop {
        // What needs no change is copied in one piece.
        let plain = rest.bytes().position(|byte| byte >= 0x80 || byte == 0x7F || (byte < b' ' && byte != b'\n'));
        let plain = plain.unwrap_or(rest.len());
        let (piece, tail) = rest.split_at(plain);
        if out.len() + piece.len() > limit {
            out.push_str(&piece[..limit.saturating_sub(out.len())]);
            return false;
        }
        out.push_str(piece);
        let Some(c) = tail.chars().next() else { return true };
        rest = &tail[c.len_utf8()..];
        let c = match (c, becomes(c)) {
            ('\r', _) if rest.starts_with('\n') => continue,
            ('\r', _) | (_, Becomes::LineBreak) => '\n',
            (_, Becomes::Nothing) => continue,
            (_, Becomes::Blank) => ' ',
            (c, Becomes::Itself) => c,
        };
        if out.len() + c.len_utf8() > limit {
            return false;
        }
        out.push(c);
    }
}

/// `text` as one line: every run of blanks and line ends is one blank, none at the ends.
pub(super) fn line(text: &str) -> String {
    let mut line = String::with_capacity(text.len());
    let mut blank = false;
    for c in nfc(text).chars() {
        match becomes(c) {
            _ if c == '\r' => blank = true,
            Becomes::Nothing => {}
            Becomes::Itself if !c.is_whitespace() => {
                if blank && !line.is_empty() {
                    line.push(' ');
                }
                blank = false;
                line.push(c);
            }
            _ => blank = true,
        }
    }
    line
}

/// True if a reader sees nothing of `c`.
pub(super) fn is_blank(c: char) -> bool {
    c.is_whitespace() || !matches!(becomes(c), Becomes::Itself)
}

fn nfc(text: &str) -> Cow<'_, str> {
    if text.is_ascii() || is_nfc_quick(text.chars()) == IsNormalized::Yes {
        Cow::Borrowed(text)
    } else {
        Cow::Owned(text.nfc().collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cleaned(text: &str) -> String {
        let mut out = String::new();
        assert!(block(text, &mut out, 1000));
        out
    }

    #[test]
    fn lines_blanks_and_invisible_characters() {
        assert_eq!(cleaned("a\r\nb\rc\u{85}d\u{C}e\u{2028}f"), "a\nb\nc\nd\ne\nf");
        assert_eq!(cleaned("in\u{AD}vo\u{200B}ice\0\u{1B}[1m\tx\u{A0}y\u{3000}z"), "invoice[1m\tx y z");
        assert_eq!(cleaned("cafe\u{301} \u{202E}x"), "café x");
        assert_eq!(cleaned("نمی\u{200C}شود"), "نمی\u{200C}شود");
        assert_eq!(line(" a \r\n\t b\u{A0}\u{AD}\0c \n"), "a b c");
    }

    #[test]
    fn the_limit_is_kept() {
        for limit in 0..12 {
            let mut out = String::new();
            let fits = block("aüb\r\nc\u{A0}漢d", &mut out, limit);
            assert!(out.len() <= limit && fits == (out == "aüb\nc 漢d"), "{limit} {out:?}");
        }
    }

    #[test]
    fn a_million_accents_on_one_letter() {
        let mut out = String::new();
        block(&format!("e{}", "\u{301}\u{316}".repeat(1 << 20)), &mut out, 8 << 20);
        assert!(out.starts_with('é'));
    }
}
