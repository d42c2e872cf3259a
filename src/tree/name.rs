//! From any text to a file name: total, safe, stable and reversible (LAYOUT.md, "Names").

use crate::model::Id;
use std::collections::HashMap;
use unicode_normalization::UnicodeNormalization;

/// The longest name that Linux takes, in bytes.
pub const NAME_MAX: usize = 255;

/// The file name of `raw` with `extension` (with its dot, or empty) behind it.
///
/// NFC; `/`, control characters, bidirectional controls, a leading dot, dash or space and a trailing dot or space
/// become `%XX` of their bytes, and so does a `%` that would be read as such. Names over 255 bytes are cut at a
/// character and get a hash of the whole.
pub fn safe(raw: &str, extension: &str) -> String {
    let normal: String = raw.nfc().collect();
    let mut name = String::with_capacity(normal.len());
    for (at, character) in normal.char_indices() {
        let end = at + character.len_utf8();
        let is_first = at == 0 && matches!(character, '.' | '-' | ' ');
        let is_last = end == normal.len() && extension.is_empty() && matches!(character, '.' | ' ');
        if is_first || is_last || is_unsafe(character) || (character == '%' && starts_with_hex(&normal[end..])) {
            escape(character, &mut name);
        } else {
            name.push(character);
        }
    }
    if name.is_empty() {
        name.push('%');
    }
    fit(name, raw, extension)
}

fn is_unsafe(character: char) -> bool {
    character == '/'
        || character.is_control()
        || matches!(character, '\u{202A}'..='\u{202E}' | '\u{2066}'..='\u{2069}' | '\u{200E}' | '\u{200F}' | '\u{2028}' | '\u{2029}')
}

fn starts_with_hex(rest: &str) -> bool {
    let bytes = rest.as_bytes();
    bytes.len() >= 2 && bytes[..2].iter().all(u8::is_ascii_hexdigit)
}

fn escape(character: char, name: &mut String) {
    let mut buffer = [0; 4];
    for byte in character.encode_utf8(&mut buffer).bytes() {
        name.push_str(&format!("%{byte:02X}"));
    }
}

/// Cuts a name that is too long and tells it apart by a hash of what it was made of.
fn fit(mut name: String, raw: &str, extension: &str) -> String {
    if name.len() + extension.len() > NAME_MAX {
        let hash = crate::model::Digest::of(raw.as_bytes()).hex();
        let mark = format!("~{}", &hash[..12]);
        let room = NAME_MAX - extension.len() - mark.len();
        let cut = (0..=room).rev().find(|at| name.is_char_boundary(*at)).unwrap_or(0);
        name.truncate(cut);
        name.push_str(&mark);
    }
    name.push_str(extension);
    name
}

/// Gives names to the members of one directory so that all are visible: of those with the same name the one with the
/// lowest id keeps it, and each other gets `~` and its id. `members` come in the order of their ids.
pub fn distinct(members: impl IntoIterator<Item = (Id, String)>, extension: &str) -> Vec<(Id, String)> {
    let mut taken: HashMap<String, ()> = HashMap::new();
    let mut named = Vec::new();
    for (id, name) in members {
        // The first mark is enough, unless something is called like another one's way out.
        let mut marks = std::iter::once(format!("~{id}")).chain((1..).map(|more| format!("~{id}~{more}")));
        let mut candidate = name.clone();
        while let Some(mark) = taken.contains_key(&candidate).then(|| marks.next()).flatten() {
            candidate = marked(&name, extension, &mark);
        }
        let name = candidate;
        taken.insert(name.clone(), ());
        named.push((id, name));
    }
    named
}

/// A name with a mark behind its stem.
pub fn marked(name: &str, extension: &str, mark: &str) -> String {
    let stem = name.strip_suffix(extension).unwrap_or(name);
    let room = NAME_MAX - extension.len() - mark.len();
    let cut = (0..=room.min(stem.len())).rev().find(|at| stem.is_char_boundary(*at)).unwrap_or(0);
    format!("{}{mark}{extension}", &stem[..cut])
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn examples() {
        for (raw, name) in [
            ("INBOX", "INBOX"),
            ("Entwürfe", "Entwürfe"),
            ("a/b", "a%2Fb"),
            ("..", "%2E%2E"),
            (".", "%2E"),
            ("", "%"),
            (".hidden", "%2Ehidden"),
            ("-rf", "%2Drf"),
            ("tail. ", "tail.%20"),
            ("100%", "100%"),
            ("%41", "%2541"),
            ("a\0b\n", "a%00b%0A"),
            ("\u{202E}gpj.exe", "%E2%80%AEgpj.exe"),
            ("e\u{301}", "é"),
        ] {
            assert_eq!(safe(raw, ""), name, "{raw:?}");
        }
        assert_eq!(safe("a.", ".ics"), "a..ics");
    }

    #[test]
    fn clashes_stay_visible() {
        let named = distinct([(1, "a.ics".to_owned()), (2, "a.ics".to_owned()), (9, "a.ics".to_owned())], ".ics");
        assert_eq!(named, [(1, "a.ics".to_owned()), (2, "a~2.ics".to_owned()), (9, "a~9.ics".to_owned())]);
        let named = distinct([(1, "a~3".to_owned()), (2, "a".to_owned()), (3, "a".to_owned())], "");
        assert_eq!(named.last().map(|last| last.1.as_str()), Some("a~3~1"));
    }

    proptest! {
        #[test]
        fn every_name_is_one(raw in "\\PC{0,300}|[\\x00-\\x7f]{0,20}|.{0,3}") {
            for extension in ["", ".ics"] {
                let name = safe(&raw, extension);
                prop_assert!(!name.is_empty() && name.len() <= NAME_MAX && name != "." && name != "..");
                prop_assert!(!name.contains('/') && !name.chars().any(char::is_control));
                prop_assert!(!name.starts_with('.'));
                prop_assert_eq!(safe(&raw, extension), name, "stable");
            }
        }
    }
}
