//! Words of a text: what is looked for, and what is found. The index and the query are split by the same rules.
//!
//! A word is a run of letters and digits, in lower case and without accents. Scripts that are written without spaces
//! (Chinese, Japanese, Thai, …) give pairs of neighbouring characters, so that any piece of two characters or more is found.

use crate::format::text::is_invisible;
use unicode_normalization::UnicodeNormalization;
use unicode_normalization::char::is_combining_mark;

/// Longer words are cut: no person types so much, and encoded data would fill the index.
pub(super) const LENGTH_MAX: usize = 40;

/// Adds the words of a text to `out`, each with a space behind it.
pub(super) fn split(text: &str, out: &mut String) {
    let mut splitter = Splitter::default();
    let bytes = text.as_bytes();
    let mut at = 0;
    while at < bytes.len() {
        let byte = bytes[at];
        if byte.is_ascii_alphanumeric() {
            splitter.letter(byte.to_ascii_lowercase() as char, out);
            at += 1;
        } else if byte.is_ascii() {
            if !is_invisible(byte as char) {
                splitter.end(out);
            }
            at += 1;
        } else {
            let end = bytes[at..].iter().position(u8::is_ascii).map_or(bytes.len(), |length| at + length);
            // The letter before may carry the first of these as its accent.
            other(&text[at..end], &mut splitter, out);
            at = end;
        }
    }
    splitter.end(out);
}

/// Text that is not ASCII.
fn other(text: &str, splitter: &mut Splitter, out: &mut String) {
    for c in text.nfkc().filter(|c| !is_invisible(*c)) {
        if is_unspaced(c) {
            splitter.unspaced(c, out);
        } else if !may_be_in_word(c) {
            splitter.end(out);
        } else if is_hangul(c) {
            splitter.letter(c, out);
        } else {
            let letters = c.nfd().filter(|part| !is_accent(*part)).flat_map(char::to_lowercase);
            letters.filter(|lower| !is_accent(*lower)).for_each(|lower| splitter.folded(lower, out));
        }
    }
}

/// The word that is being read.
#[derive(Default)]
struct Splitter {
    /// Bytes of the word so far, as many as were written.
    length: usize,
    /// The character before, of a script without spaces.
    before: Option<char>,
}

impl Splitter {
    /// A letter in lower case, in the spelling of those who have none like it on their keyboard.
    fn folded(&mut self, c: char, out: &mut String) {
        let plain = match c {
            'ß' => "ss",
            'ς' => "σ",
            'ı' => "i",
            'ø' => "o",
            'ł' => "l",
            'đ' => "d",
            'æ' => "ae",
            'œ' => "oe",
            _ => return self.letter(c, out),
        };
        plain.chars().for_each(|c| self.letter(c, out));
    }

    fn letter(&mut self, c: char, out: &mut String) {
        if self.before.is_some() {
            self.end(out);
        }
        if self.length + c.len_utf8() <= LENGTH_MAX {
            out.push(c);
            self.length += c.len_utf8();
        }
    }

    fn unspaced(&mut self, c: char, out: &mut String) {
        if self.length > 0 {
            self.end(out);
        }
        if let Some(before) = self.before.replace(c) {
            out.extend([before, c, ' ']);
        }
    }

    fn end(&mut self, out: &mut String) {
        if self.length > 0 {
            out.push(' ');
            self.length = 0;
        }
        if let Some(last) = self.before.take() {
            // Alone, so that a search for it finds each of its places by the first character of a pair.
            out.extend([last, ' ']);
        }
    }
}

/// A letter, a digit, or a mark that belongs to one.
fn may_be_in_word(c: char) -> bool {
    c.is_alphanumeric() || is_combining_mark(c) || is_accent(c)
}

/// What is left out of words: accents, the points of Hebrew, the vowels of Arabic, and what nobody sees (joiners, soft
/// hyphens, spaces without width).
fn is_accent(c: char) -> bool {
    matches!(c,
        '\u{0300}'..='\u{036F}' | '\u{0483}'..='\u{0487}' | '\u{0591}'..='\u{05BD}' | '\u{05BF}'..='\u{05C7}'
        | '\u{0610}'..='\u{061A}' | '\u{0640}' | '\u{064B}'..='\u{065F}' | '\u{0670}' | '\u{06D6}'..='\u{06ED}'
        | '\u{00AD}' | '\u{1AB0}'..='\u{1AFF}' | '\u{1DC0}'..='\u{1DFF}' | '\u{200B}'..='\u{200D}' | '\u{2060}' | '\u{FEFF}'
        | '\u{20D0}'..='\u{20FF}' | '\u{FE00}'..='\u{FE0F}' | '\u{FE20}'..='\u{FE2F}')
}

/// A syllable of Korean, which has no accents.
fn is_hangul(c: char) -> bool {
    matches!(c, '\u{AC00}'..='\u{D7A3}')
}

/// A character of a script that is written without spaces between words.
fn is_unspaced(c: char) -> bool {
    matches!(c,
        '\u{0E01}'..='\u{0E4E}' | '\u{0E81}'..='\u{0EDF}' | '\u{1000}'..='\u{109F}' | '\u{1780}'..='\u{17D3}'
        | '\u{3005}'..='\u{3007}' | '\u{3041}'..='\u{3096}' | '\u{3099}'..='\u{309A}' | '\u{309D}'..='\u{309F}'
        | '\u{30A1}'..='\u{30FA}' | '\u{30FC}'..='\u{30FF}' | '\u{3400}'..='\u{4DBF}' | '\u{4E00}'..='\u{9FFF}'
        | '\u{F900}'..='\u{FAFF}' | '\u{20000}'..='\u{3FFFF}')
}

/// True if a text ends with a character of a script without spaces.
pub(super) fn ends_unspaced(text: &str) -> bool {
    text.nfkc().last().is_some_and(is_unspaced)
}

/// True for a word that is a pair of characters of such a script.
pub(super) fn is_pair(word: &str) -> bool {
    word.chars().count() == 2 && word.chars().all(is_unspaced)
}
