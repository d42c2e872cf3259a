//! Maildir on disk: names of messages, their flags, Dovecot's keyword table, names of folders.
//!
//! Names are bytes. Where one becomes text, [`escape`] keeps what is no text, and [`unescape`] gives the bytes back.
//!
//! The grammar of a message name is `unique[,S=size][,W=size][:2,FLAGS]` (<https://cr.yp.to/proto/maildir.html>, with
//! Dovecot's size fields). Where a file system or a program knows no `:` in a name, something else stands for it.

use super::mutf7;
use memchr::memmem;

/// How far a date of arrival may lie ahead of the clock, in seconds. Beyond it the number is no date.
const AHEAD: i64 = 86_400;

/// The earliest date of arrival, 3 March 1973: no Maildir is older.
const FLOOR: i64 = 100_000_000;

/// What stands for the colon where a name cannot have one, and hardly ever elsewhere: mail programs for Windows, and an
/// escaped colon; then the characters of Apple's and Samba's `mapchars`, of NTFS-3G, Cygwin and WSL, of rclone, and others
/// that look like a colon.
const STAND_INS: &[&[u8]] = &[
    b";",
    b"!",
    b"%3A",
    b"%3a",
    "\u{f022}".as_bytes(),
    "\u{f03a}".as_bytes(),
    "\u{ff1a}".as_bytes(),
    "\u{a789}".as_bytes(),
    "\u{2236}".as_bytes(),
];

/// What programs that copy to FAT and SMB put in the place of the colon, and what is common in names, too.
const COMMON: &[&[u8]] = &[b"_", b"-"];

/// The name of a message file, split. `unique` and `info` together are the whole name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FileName<'a> {
    /// What stays the same for the life of the message, its size fields among it.
    pub unique: &'a [u8],
    /// The separator and what follows it, or nothing.
    pub info: &'a [u8],
}

impl<'a> FileName<'a> {
    /// Splits `name`. Every name is valid; one without a flag part has an empty `info`.
    ///
    /// `:2,` (or the experimental `:1,`) separates wherever it stands last. What stands for the colon in copies
    /// (`STAND_INS`, `COMMON`) does so only before flags, because it may stand in a name otherwise.
    pub fn parse(name: &'a [u8]) -> FileName<'a> {
        let last = |pattern: &[u8]| memmem::rfind(name, pattern);
        let split = last(b":2,").or_else(|| FileName::split_at_stand_in(name)).or_else(|| last(b":1,"));
        let (unique, info) = name.split_at(split.unwrap_or(name.len()));
        FileName { unique, info }
    }

    /// Where something that stands for the colon separates the flags.
    fn split_at_stand_in(name: &[u8]) -> Option<usize> {
        let at = memmem::rfind(name, b"2,")?;
        let (head, flags) = (&name[..at], &name[at + 2..]);
        let separated = |by: &[&[u8]]| by.iter().find(|by| head.ends_with(by)).map(|by| at - by.len());
        let are_letters = flags.iter().all(|b| b.is_ascii_alphabetic() || *b == b',');
        let are_as_written = flags.iter().all(|&b| bit(b).is_some()) && flags.is_sorted_by(|a, b| a < b);
        let strange = separated(STAND_INS).filter(|_| are_letters);
        strange.or_else(|| separated(COMMON).filter(|_| are_as_written))
    }

    /// The flags. Extensions behind a second comma are no flags; `:1,` has none.
    pub fn flags(&self) -> Flags {
        let behind = |separator: &&[u8]| self.info.strip_prefix(*separator)?.strip_prefix(b"2,");
        match [b":".as_slice()].iter().chain(STAND_INS).chain(COMMON).find_map(behind) {
            Some(letters) => Flags::parse(letters.split(|&b| b == b',').next().unwrap_or_default()),
            None => Flags::default(),
        }
    }

    /// The size of the message in bytes as its name says it (`S=`): before compression, and not always true.
    pub fn size(&self) -> Option<u64> {
        self.field(b"S=")
    }

    /// The size of the message with CRLF line ends as its name says it (`W=`).
    pub fn wire_size(&self) -> Option<u64> {
        self.field(b"W=")
    }

    /// When the message arrived, in seconds since 1970: the decimal digits at the head of the name, 1 to 12 of them,
    /// not zero and at most a day after `now`.
    pub fn received(&self, now: i64) -> Option<i64> {
        let digits = self.unique.iter().take_while(|b| b.is_ascii_digit()).count();
        if !(1..=12).contains(&digits) {
            return None;
        }
        // Small numbers are counters (`0232.eb24…` of old mail readers), unless the name is one that our mount gave.
        let floor = if memmem::find(self.unique, b".vandelay").is_some() { 1 } else { FLOOR };
        let seconds = self.unique[..digits].iter().fold(0i64, |sum, digit| sum * 10 + i64::from(digit - b'0'));
        (seconds >= floor && seconds <= now.saturating_add(AHEAD)).then_some(seconds)
    }

    fn field(&self, tag: &[u8]) -> Option<u64> {
        let value = self.unique.split(|&b| b == b',').skip(1).find_map(|field| field.strip_prefix(tag))?;
        // `parse` would take a sign, which is no size.
        let digits = std::str::from_utf8(value).ok().filter(|text| text.bytes().all(|b| b.is_ascii_digit()))?;
        digits.parse().ok()
    }
}

/// The flags of a message: the six of Maildir and Dovecot's 26 keyword letters.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct Flags(u32);

/// Maildir's letters in ASCII order, the order in which they are written, with the JMAP keyword of each.
const STANDARD: [(u8, &str); 6] =
    [(b'D', "$draft"), (b'F', "$flagged"), (b'P', "$forwarded"), (b'R', "$answered"), (b'S', "$seen"), (b'T', DELETED)];

/// The keyword that the flag `T` (trashed) becomes.
pub const DELETED: &str = "$deleted";

impl Flags {
    /// Reads letters in any order. Those without meaning are left out.
    pub fn parse(letters: &[u8]) -> Flags {
        Flags(letters.iter().filter_map(|&letter| bit(letter)).fold(0, |set, bit| set | 1 << bit))
    }

    /// Whether the message is marked for removal (`T`).
    pub fn is_deleted(self) -> bool {
        bit(b'T').is_some_and(|bit| self.0 & (1 << bit) != 0)
    }

    /// The letters in ASCII order, as the standard wants them written.
    pub fn letters(self) -> String {
        let standard = STANDARD.iter().map(|&(letter, _)| letter);
        standard
            .chain(b'a'..=b'z')
            .filter(|&l| bit(l).is_some_and(|b| self.0 & (1 << b) != 0))
            .map(char::from)
            .collect()
    }

    /// The JMAP keywords (RFC 8621 section 4.1.1), sorted and without duplicates. A letter that `table` does not
    /// name has no meaning and is left out; names that differ only in case are one keyword.
    pub fn keywords(self, table: &Keywords) -> Vec<String> {
        let standard = STANDARD.iter().map(|&(letter, keyword)| (letter, Some(keyword)));
        let named = (b'a'..=b'z').map(|letter| (letter, table.name(letter)));
        let mut found: Vec<String> = Vec::new();
        for (letter, keyword) in standard.chain(named) {
            let Some(keyword) = keyword.filter(|_| bit(letter).is_some_and(|bit| self.0 & (1 << bit) != 0)) else {
                continue;
            };
            if !found.iter().any(|known| known.eq_ignore_ascii_case(keyword)) {
                found.push(keyword.to_owned());
            }
        }
        found.sort_unstable();
        found
    }

    /// The flags that say `keywords`, whatever their case. Those that neither Maildir nor `table` knows are left out.
    pub fn from_keywords<'k>(keywords: impl IntoIterator<Item = &'k str>, table: &Keywords) -> Flags {
        let mut set = 0;
        for keyword in keywords {
            let standard = STANDARD.iter().find(|(_, name)| name.eq_ignore_ascii_case(keyword)).map(|&(l, _)| l);
            if let Some(bit) = standard.or_else(|| table.letter(keyword)).and_then(bit) {
                set |= 1 << bit;
            }
        }
        Flags(set)
    }
}

/// True for a keyword that Maildir has no flag of its own for, and that a `dovecot-keywords` line can hold.
pub fn needs_letter(keyword: &str) -> bool {
    let is_atom = !keyword.is_empty() && !keyword.chars().any(|c| c.is_control() || c.is_whitespace());
    is_atom && !has_flag(keyword)
}

/// True for a keyword that Maildir has a flag of its own for.
pub fn has_flag(keyword: &str) -> bool {
    STANDARD.iter().any(|(_, name)| name.eq_ignore_ascii_case(keyword))
}

/// The bit of a letter: keywords 0 to 25, then the standard flags.
fn bit(letter: u8) -> Option<u32> {
    match letter {
        b'a'..=b'z' => Some(u32::from(letter - b'a')),
        _ => STANDARD.iter().position(|&(known, _)| known == letter).map(|at| 26 + at as u32),
    }
}

/// The table of a `dovecot-keywords` file: what the letters `a` to `z` stand for in one folder.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Keywords([Option<Box<str>>; 26]);

impl Keywords {
    /// Reads lines of the form `0 name`. Lines that are not so, or whose number is above 25, are left out.
    pub fn parse(file: &[u8]) -> Keywords {
        let mut table = Keywords::default();
        for line in file.split(|&b| b == b'\n') {
            let Some((number, name)) = std::str::from_utf8(line).ok().and_then(|line| line.trim().split_once(' '))
            else {
                continue;
            };
            let (Ok(number), name) = (number.parse::<usize>(), name.trim()) else { continue };
            let is_atom = !name.is_empty() && !name.chars().any(|c| c.is_control() || c.is_whitespace());
            if let Some(slot) = table.0.get_mut(number).filter(|slot| slot.is_none() && is_atom) {
                *slot = Some(name.into());
            }
        }
        table
    }

    /// A table of the first 26 of `keywords` that have no letter of their own (`$seen` has), in the order given.
    pub fn assign<'k>(keywords: impl IntoIterator<Item = &'k str>) -> Keywords {
        let mut table = Keywords::default();
        let mut next = 0;
        for keyword in keywords {
            let known = STANDARD.iter().any(|(_, name)| name.eq_ignore_ascii_case(keyword));
            if next == table.0.len() {
                break;
            }
            if !known && table.letter(keyword).is_none() {
                table.0[next] = Some(keyword.into());
                next += 1;
            }
        }
        table
    }

    /// The keyword of a letter `a` to `z`.
    pub fn name(&self, letter: u8) -> Option<&str> {
        self.0.get(usize::from(letter.checked_sub(b'a')?))?.as_deref()
    }

    /// The letter of a keyword, whatever its case.
    pub fn letter(&self, keyword: &str) -> Option<u8> {
        let is_it = |slot: &Option<Box<str>>| slot.as_deref().is_some_and(|name| name.eq_ignore_ascii_case(keyword));
        (b'a'..=b'z').zip(&self.0).find(|(_, slot)| is_it(slot)).map(|(letter, _)| letter)
    }

    /// The text of a `dovecot-keywords` file that says this table.
    pub fn to_text(&self) -> String {
        let named = self.0.iter().enumerate().filter_map(|(number, name)| Some((number, name.as_deref()?)));
        named.map(|(number, name)| format!("{number} {name}\n")).collect()
    }
}

/// Text that stands for `bytes`: bytes that are not UTF-8, control characters and `/` become `%XX`, and so does a `%`
/// that would look like one of these. All else stays as it is.
pub fn escape(bytes: &[u8]) -> String {
    if bytes.iter().all(|b| matches!(b, b' '..=b'~') && !matches!(b, b'/' | b'%')) {
        return String::from_utf8_lossy(bytes).into_owned();
    }
    let mut out = String::with_capacity(bytes.len() + 8);
    let mut done = 0;
    for chunk in bytes.utf8_chunks() {
        for c in chunk.valid().chars() {
            let after = done + c.len_utf8();
            let ambiguous = c == '%' && hex_pair(&bytes[after..]).is_some();
            if c == '/' || c.is_control() || ambiguous {
                bytes[done..after].iter().for_each(|&byte| push_escaped(&mut out, byte));
            } else {
                out.push(c);
            }
            done = after;
        }
        chunk.invalid().iter().for_each(|&byte| push_escaped(&mut out, byte));
        done += chunk.invalid().len();
    }
    out
}

/// The bytes that [`escape`] made `text` of. Takes any text.
pub fn unescape(text: &str) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [first, tail @ ..] = rest {
        match hex_pair(tail).filter(|_| *first == b'%') {
            Some(byte) => {
                out.push(byte);
                rest = &tail[2..];
            }
            None => {
                out.push(*first);
                rest = tail;
            }
        }
    }
    out
}

fn push_escaped(out: &mut String, byte: u8) {
    const HEX: &[u8; 16] = b"0123456789ABCDEF";
    out.push('%');
    out.push(char::from(HEX[usize::from(byte >> 4)]));
    out.push(char::from(HEX[usize::from(byte & 15)]));
}

fn hex_pair(bytes: &[u8]) -> Option<u8> {
    let digit = |at: usize| char::from(*bytes.get(at)?).to_digit(16);
    Some((digit(0)? << 4 | digit(1)?) as u8)
}

/// One part of a folder's path, read from a directory's name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Part {
    /// The name to show.
    pub name: String,
    /// The name as a part of a key: without `/` and control characters, and different for different texts.
    pub key: String,
}

impl Part {
    /// Reads (a part of) a directory's name: modified UTF-7 if it is pure ASCII and valid as such, else UTF-8. Bytes
    /// that are neither are shown escaped.
    pub fn read(raw: &[u8]) -> Part {
        let text = match std::str::from_utf8(raw) {
            Ok(text) if text.is_ascii() && text.contains('&') => mutf7::decode(text).unwrap_or_else(|| text.to_owned()),
            Ok(text) => text.to_owned(),
            Err(_) => return Part::plain(escape(raw)),
        };
        let key = escape(text.as_bytes());
        let name = if text.chars().any(char::is_control) { key.clone() } else { text };
        Part { name, key }
    }

    /// A part whose key is its name.
    pub fn plain(text: String) -> Part {
        Part { name: text.clone(), key: text }
    }
}

/// How names of folders are spelled on disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Spelling {
    /// What every IMAP server with Maildir expects.
    ModifiedUtf7,
    /// Readable for people.
    Utf8,
}

/// The directory name for one part of a folder's path, such that [`Part::read`] gives the part back. Characters that
/// no directory can have, and `.` where `dots` is false (Maildir++), are escaped, which reading does not undo.
pub fn directory_name(part: &str, spelling: Spelling, dots: bool) -> String {
    let mut safe = escape(part.as_bytes());
    if !dots {
        safe = safe.replace('.', "%2E");
    }
    let misread = Part::read(safe.as_bytes()).name != safe;
    if spelling == Spelling::ModifiedUtf7 || misread { mutf7::encode(&safe) } else { safe }
}

/// The parts of the Maildir++ directory `.A.B`, or `None` for a name without a leading dot or without any part.
/// Empty parts are left out.
pub fn split_dotted(directory: &[u8]) -> Option<Vec<Part>> {
    let parts: Vec<Part> =
        directory.strip_prefix(b".")?.split(|&b| b == b'.').filter(|raw| !raw.is_empty()).map(Part::read).collect();
    (!parts.is_empty()).then_some(parts)
}

/// The Maildir++ directory name of a folder with these parts: `.A.B`.
pub fn join_dotted<'p>(parts: impl IntoIterator<Item = &'p str>, spelling: Spelling) -> String {
    parts.into_iter().flat_map(|part| [".".to_owned(), directory_name(part, spelling, false)]).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const NOW: i64 = 1_800_000_000;

    #[test]
    fn names_split_at_their_flags() {
        let split = |name: &'static str| {
            let parsed = FileName::parse(name.as_bytes());
            (std::str::from_utf8(parsed.unique).unwrap(), parsed.flags().letters())
        };
        assert_eq!(split("1700000000.M1.host,S=12,W=13:2,FS"), ("1700000000.M1.host,S=12,W=13", "FS".into()));
        assert_eq!(split("1.a;2,SR"), ("1.a", "RS".into()));
        assert_eq!(split("1.a!2,"), ("1.a", "".into()));
        assert_eq!(split("1.a:1,experiment"), ("1.a", "".into()));
        assert_eq!(split("Hello!2, all"), ("Hello!2, all", "".into()));
        assert_eq!(split("12:30 note"), ("12:30 note", "".into()));
        assert_eq!(split("1.a:2,Sab,X"), ("1.a", "Sab".into()));
        assert_eq!(split("1.a:2,xQS"), ("1.a", "Sx".into()));
        assert_eq!(split("a:2,R:2,S"), ("a:2,R", "S".into()));
        assert_eq!(split("a:1,2,S"), ("a", "".into()));
        assert_eq!(split(""), ("", "".into()));
    }

    #[test]
    fn whatever_stands_for_the_colon() {
        let unique = "1420452000.M1P2.host-2,S=12,W=13,U=7";
        let stand_ins =
            [":", ";", "!", "_", "-", "%3A", "%3a", "\u{f022}", "\u{f03a}", "\u{ff1a}", "\u{a789}", "\u{2236}"];
        for stand_in in stand_ins {
            for flags in ["", "S", "DFPRST", "RSab"] {
                let name = format!("{unique}{stand_in}2,{flags}");
                let parsed = FileName::parse(name.as_bytes());
                assert_eq!((parsed.unique, parsed.flags().letters()), (unique.as_bytes(), flags.to_owned()), "{name}");
                assert_eq!((parsed.size(), parsed.wire_size()), (Some(12), Some(13)), "{name}");
            }
        }
        // What is common in names stands for the colon only before flags as they are written.
        for name in ["1.host-2,S=12", "1.host_2,Sa.b", "notes_2,all", "1.a-2,SF", "1.a_2,S,x", "1.a-3,S", "1.a%3B2,S"] {
            assert_eq!(FileName::parse(name.as_bytes()).info, b"", "{name}");
        }
    }

    #[test]
    fn sizes_and_dates() {
        let name = |text: &'static str| FileName::parse(text.as_bytes());
        assert_eq!(name("1.a,S=12,W=13:2,S").size(), Some(12));
        assert_eq!(name("1.a,S=12,W=13:2,S").wire_size(), Some(13));
        assert_eq!(name("S=5").size(), None);
        assert_eq!(name("a,S=+5").size(), None);
        assert_eq!(name("a,S=99999999999999999999").size(), None);
        assert_eq!(name("a,S=").size(), None);
        assert_eq!(name("1700000000.a").received(NOW), Some(1_700_000_000));
        assert_eq!(name("5.a").received(NOW), None, "a counter");
        assert_eq!(name("5.a.vandelay,S=3").received(NOW), Some(5), "our own");
        assert_eq!(name("0.a").received(NOW), None);
        assert_eq!(name("a1").received(NOW), None);
        assert_eq!(name("1800086400.a").received(NOW), Some(NOW + 86_400));
        assert_eq!(name("1800086401.a").received(NOW), None);
        assert_eq!(name("0001700000000.a").received(NOW), None);
        assert_eq!(name("001700000000.a").received(NOW), Some(1_700_000_000));
        assert_eq!(name("-5.a").received(NOW), None);
    }

    #[test]
    fn flags_and_keywords() {
        let table = Keywords::parse(b"0 $Forwarded\n1 work\n\nx y\n26 far\n1 again\n2 \xff\n3 two words\n 4  late \n");
        assert_eq!(table.to_text(), "0 $Forwarded\n1 work\n4 late\n");
        assert_eq!(Flags::parse(b"SPabcTe").keywords(&table), ["$deleted", "$forwarded", "$seen", "late", "work"]);
        assert_eq!(Flags::parse(b"a").keywords(&table), ["$Forwarded"]);
        assert_eq!(Flags::from_keywords(["$SEEN", "WORK", "unknown", "$draft"], &table).letters(), "DSb");
        assert!(Flags::parse(b"T").is_deleted() && !Flags::parse(b"S").is_deleted());
        let names: Vec<String> = (0..40).map(|n| format!("k{n}")).collect();
        let full = Keywords::assign(["$seen", "K1"].into_iter().chain(names.iter().map(String::as_str)));
        assert_eq!((full.name(b'a'), full.name(b'b'), full.name(b'z')), (Some("K1"), Some("k0"), Some("k25")));
        assert_eq!(Keywords::parse(full.to_text().as_bytes()), full);
        assert_eq!(Keywords::default().name(b'A'), None);
    }

    #[test]
    fn folder_names() {
        let names =
            |dir: &[u8]| split_dotted(dir).map(|parts| parts.into_iter().map(|part| part.name).collect::<Vec<_>>());
        assert_eq!(names(b".Archive.2024"), Some(vec!["Archive".into(), "2024".into()]));
        assert_eq!(names(b".Entw&APw-rfe"), Some(vec!["Entwürfe".into()]));
        assert_eq!(names(".Entwürfe".as_bytes()), Some(vec!["Entwürfe".into()]));
        assert_eq!(names(b".R&D"), Some(vec!["R&D".into()]));
        assert_eq!(names(b".caf\xe9"), Some(vec!["caf%E9".into()]));
        assert_eq!(names(b"Archive"), None);
        assert_eq!(names(b"..."), None);
        assert_eq!(names(b".A..B"), Some(vec!["A".into(), "B".into()]));
        assert_eq!(Part::read(b"50%25").key, "50%2525");
        assert_eq!(Part::read(b"100%").key, "100%");
        assert_eq!(Part::read(b"a&AAo-b"), Part::plain("a%0Ab".into()));
        assert_eq!(join_dotted(["Архив", "v1.0"], Spelling::ModifiedUtf7), ".&BBAEQARFBDgEMg-.v1%2E0");
        assert_eq!(directory_name("a&AOk-b", Spelling::Utf8, true), "a&-AOk-b");
    }

    proptest! {
        #[test]
        fn escaping_is_reversible(bytes in any::<Vec<u8>>()) {
            let text = escape(&bytes);
            prop_assert!(!text.contains('/') && !text.chars().any(char::is_control));
            prop_assert_eq!(unescape(&text), bytes);
        }

        #[test]
        fn escaping_percent_is_reversible(text in "[%0-9a-fA-F/é\u{85}\n]{0,12}") {
            prop_assert_eq!(unescape(&escape(text.as_bytes())), text.as_bytes());
        }

        #[test]
        fn any_name_parses(name in any::<Vec<u8>>(), now in any::<i64>()) {
            let parsed = FileName::parse(&name);
            prop_assert_eq!([parsed.unique, parsed.info].concat(), name.clone());
            let _ = (parsed.flags().keywords(&Keywords::default()), parsed.size(), parsed.wire_size(), parsed.received(now));
        }

        #[test]
        fn names_round_trip(unique in "[0-9]{1,11}\\.[A-Za-z0-9_.=,]{0,20}", sep in "(:|;|!|_|-|%3A|\u{f022}|\u{f03a}|\u{ff1a})", flags in "[DFPRSTa-z]{0,10}") {
            let name = format!("{unique}{sep}2,{}", Flags::parse(flags.as_bytes()).letters());
            let parsed = FileName::parse(name.as_bytes());
            prop_assert_eq!(parsed.unique, unique.as_bytes());
            prop_assert_eq!(parsed.flags(), Flags::parse(flags.as_bytes()));
            let rebuilt = format!("{unique}{sep}2,{}", parsed.flags().letters());
            prop_assert_eq!(rebuilt, name);
        }

        #[test]
        fn keyword_files_do_not_panic(file in any::<Vec<u8>>()) {
            let table = Keywords::parse(&file);
            prop_assert_eq!(Keywords::parse(table.to_text().as_bytes()), table);
        }

        #[test]
        fn directory_names_round_trip(parts in prop::collection::vec("[^/.%\\p{C}\u{0}]{1,8}", 1..4), utf8 in any::<bool>()) {
            let spelling = if utf8 { Spelling::Utf8 } else { Spelling::ModifiedUtf7 };
            let directory = join_dotted(parts.iter().map(String::as_str), spelling);
            let read: Vec<String> = split_dotted(directory.as_bytes()).unwrap().into_iter().map(|part| part.name).collect();
            prop_assert_eq!(read, parts);
        }

        #[test]
        fn any_directory_reads(raw in any::<Vec<u8>>()) {
            let _ = split_dotted(&raw);
            prop_assert!(!Part::read(&raw).key.contains('/'));
        }
    }
}
