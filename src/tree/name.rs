//! From any text to a file name: total, safe, stable and reversible (LAYOUT.md, "Names").

use crate::model::{Digest, Id, text};
use std::collections::HashMap;
use unicode_normalization::UnicodeNormalization;

/// The longest name that Linux takes, in bytes.
pub const NAME_MAX: usize = 255;

/// The file name of `raw` with `extension` (with its dot, or empty) behind it.
///
/// NFC; `/`, unsafe characters ([`text::is_unsafe`]), a leading dot, dash or space and a trailing dot or space become
/// `%XX` of their bytes, and so does a `%` that would be read as such. Names over 255 bytes are cut at a character and
/// get a hash of the whole.
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

/// The NFC form of a name that is not in it.
pub fn normal(name: &str) -> Option<String> {
    let normal: String = name.nfc().collect();
    (normal != name).then_some(normal)
}

fn is_unsafe(character: char) -> bool {
    character == '/' || text::is_unsafe(character)
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

/// Cuts a name that is too long, and appends a hash of the uncut text.
fn fit(mut name: String, raw: &str, extension: &str) -> String {
    if name.len() + extension.len() > NAME_MAX {
        let hash = Digest::of(raw.as_bytes()).hex();
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
    distinct_by(members, |name| if name.ends_with(extension) { extension } else { "" }.len())
}

/// The bytes of a file name's extension, its dot included; 0 if it has none.
pub fn extension_len(name: &str) -> usize {
    match name.rfind('.') {
        Some(at) if at > 0 && (2..=10).contains(&(name.len() - at)) => name.len() - at,
        _ => 0,
    }
}

/// [`distinct`], with an extension of so many bytes for each name.
pub fn distinct_by(
    members: impl IntoIterator<Item = (Id, String)>,
    extension: impl Fn(&str) -> usize,
) -> Vec<(Id, String)> {
    let mut taken: HashMap<String, ()> = HashMap::new();
    let mut named = Vec::new();
    for (id, name) in members {
        // The first mark is enough, unless something is called like another one's way out.
        let mut marks = std::iter::once(format!("~{id}")).chain((1..).map(|more| format!("~{id}~{more}")));
        let mut candidate = name.clone();
        while let Some(mark) = taken.contains_key(&candidate).then(|| marks.next()).flatten() {
            candidate = marked(&name, &name[name.len() - extension(&name)..], &mark);
        }
        let name = candidate;
        taken.insert(name.clone(), ());
        named.push((id, name));
    }
    named
}

/// A name with a mark behind its stem.
pub fn marked(name: &str, extension: &str, mark: &str) -> String {
    marked_within(name, extension, mark, NAME_MAX)
}

fn marked_within(name: &str, extension: &str, mark: &str, max: usize) -> String {
    let stem = name.strip_suffix(extension).unwrap_or(name);
    let room = max.saturating_sub(extension.len() + mark.len());
    let cut = (0..=room.min(stem.len())).rev().find(|at| stem.is_char_boundary(*at)).unwrap_or(0);
    format!("{}{mark}{extension}", &stem[..cut])
}

/// The longest name that every file system takes, in bytes: eCryptfs has room for 143.
pub const PORTABLE_MAX: usize = 143;

/// Names that Windows takes for devices, whatever extension they have.
const DEVICES: [&str; 8] = ["CON", "PRN", "AUX", "NUL", "CLOCK$", "CONIN$", "CONOUT$", "CONFIG$"];

/// A name of the tree in characters that any file system takes (exFAT, NTFS, SMB, eCryptfs): others become `%XX`, and in
/// the name of a message `;` stands before the flags, as in Maildirs there. At most [`PORTABLE_MAX`] bytes. Names of the
/// tree hold no control characters.
pub fn portable(name: &str, is_message: bool) -> String {
    let name = if is_message { name.replacen(":2,", ";2,", 1) } else { name.to_owned() };
    let mut plain: String = plain(&name).chars().filter(|character| !character.is_control()).collect();
    if let Some(last) = plain.pop() {
        if matches!(last, '.' | ' ') { escape(last, &mut plain) } else { plain.push(last) }
    }
    if plain.len() <= PORTABLE_MAX {
        return plain;
    }
    let hash = Digest::of(plain.as_bytes()).hex();
    marked_portable(&plain, &format!("~{}", &hash[..12]))
}

/// A name without the characters that file systems refuse which have no colon in names: they become `%XX`. No name of the
/// tree holds such a sequence, so [`of_plain`] can undo this.
pub fn plain(name: &str) -> String {
    let mut plain = String::with_capacity(name.len());
    let is_device = is_device(name);
    for (at, character) in name.char_indices() {
        if is_refused(character) || (at == 0 && is_device) {
            escape(character, &mut plain);
        } else {
            plain.push(character);
        }
    }
    plain
}

/// The name that [`plain`] was given.
pub fn of_plain(plain: &str) -> String {
    let mut name = String::with_capacity(plain.len());
    let mut rest = plain;
    while let Some(at) = rest.find('%') {
        name.push_str(&rest[..at]);
        let code = rest.get(at + 1..at + 3).and_then(|digits| u8::from_str_radix(digits, 16).ok()).map(char::from);
        let tail = rest.get(at + 3..).unwrap_or_default();
        let is_ours =
            |character: char| is_refused(character) || (name.is_empty() && is_device(&format!("{character}{tail}")));
        match code.filter(|code| is_ours(*code)) {
            Some(character) => {
                name.push(character);
                rest = tail;
            }
            None => {
                name.push('%');
                rest = &rest[at + 1..];
            }
        }
    }
    name + rest
}

fn is_refused(character: char) -> bool {
    matches!(character, '<' | '>' | ':' | '"' | '|' | '?' | '*' | '\\')
}

/// A portable name with a mark behind its stem, and no longer than such a name may be.
pub fn marked_portable(name: &str, mark: &str) -> String {
    marked_within(name, &name[name.len() - extension_len(name)..], mark, PORTABLE_MAX)
}

fn is_device(name: &str) -> bool {
    let stem = name.split('.').next().unwrap_or_default().trim_end().to_ascii_uppercase();
    let is_port = |stem: &str| {
        ["COM", "LPT"].iter().filter_map(|port| stem.strip_prefix(port)).any(|number| {
            number.chars().count() == 1 && number.chars().all(|c| c.is_ascii_digit() || "¹²³".contains(c))
        })
    };
    DEVICES.contains(&stem.as_str()) || is_port(&stem)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn portable_names() {
        for (name, wanted) in [
            (
                "2015-01-05 1031 Re: what? \"A%2FB\" <now> | *all*.txt",
                "2015-01-05 1031 Re%3A what%3F %22A%2FB%22 %3Cnow%3E %7C %2Aall%2A.txt",
            ),
            ("Entwürfe", "Entwürfe"),
            ("con", "%63on"),
            ("Com1.vcf", "%43om1.vcf"),
            ("LPT².x.y", "%4CPT².x.y"),
            ("console", "console"),
            ("a.", "a%2E"),
            ("b ", "b%20"),
            ("a\\b", "a%5Cb"),
            ("1.2.vandelay,S=3:2,S", "1.2.vandelay,S=3%3A2,S"),
        ] {
            assert_eq!(portable(name, false), wanted);
        }
        assert_eq!(portable("1.2.vandelay,S=3:2,Sa", true), "1.2.vandelay,S=3;2,Sa");
        let long = portable(&format!("{}.txt", "ü".repeat(120)), false);
        assert!(long.len() <= PORTABLE_MAX && long.ends_with(".txt") && long.contains('~'), "{long}");
        assert_ne!(long, portable(&format!("{}x.txt", "ü".repeat(119)), false));
        assert_eq!(marked_portable("a.ics", "~7"), "a~7.ics");
    }

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
                prop_assert_eq!(safe(&raw, extension), name.clone(), "stable");
                prop_assert_eq!(of_plain(&plain(&name)), name.clone());
                let portable = portable(&name, false);
                prop_assert!(!portable.is_empty() && portable.len() <= PORTABLE_MAX);
                prop_assert!(!portable.contains(['<', '>', ':', '"', '|', '?', '*', '\\', '/']) && !portable.ends_with(['.', ' ']));
                prop_assert_eq!(super::portable(&portable, false), portable.clone(), "stable");
            }
        }
    }
}
