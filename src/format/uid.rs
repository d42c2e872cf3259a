//! What splitting a file of calendar objects or vCards has in common: notes, and uids that are distinct and stable.

use super::contentline as lines;
use crate::model::Digest;
use serde_json::{Map, Value};
use std::collections::{HashMap, HashSet};

/// A uid longer than this (bytes) is cut, and a digest of the whole is put behind it. RFC 7986 5.3 asks for 255 at
/// most; what is longer is damage or an attack, and uids end up in keys and file names.
const UID_LIMIT: usize = 1024;

/// Why something in a file is remarked on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum NoteKind {
    /// The file is not in a supported encoding (UTF-16, UTF-32): it has no items.
    Encoding,
    /// The structure is broken (a missing END line, say). The bytes are in the items all the same.
    Damaged,
    /// The same object stands in the file already: it is not repeated as an item.
    Duplicate,
    /// A component that is no item of its own (VFREEBUSY, VPOLL, a calendar of time zones): it is in no item.
    NotAnItem,
    /// Text that belongs to no object: it is in no item.
    Stray,
    /// Parts that are too large to be repeated in every item of a calendar: they are in none.
    TooLarge,
}

impl NoteKind {
    /// A few words that serve as a heading of a report.
    pub fn reason(self) -> &'static str {
        match self {
            NoteKind::Encoding => "unsupported encoding",
            NoteKind::Damaged => "damaged structure",
            NoteKind::Duplicate => "duplicate in the file",
            NoteKind::NotAnItem => "no event, task, journal or card",
            NoteKind::Stray => "text outside of objects",
            NoteKind::TooLarge => "too large to repeat",
        }
    }

    /// True where bytes of the file are in none of its items, and do not stand elsewhere in them either.
    pub fn loses_bytes(self) -> bool {
        !matches!(self, NoteKind::Damaged | NoteKind::Duplicate)
    }
}

/// A remark on a place in a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Note {
    /// Bytes from the start of the file to what is remarked on.
    pub offset: u64,
    /// The class of the remark.
    pub kind: NoteKind,
    /// What it is, in few words.
    pub what: String,
}

impl Note {
    pub(crate) fn new(offset: usize, kind: NoteKind, what: impl Into<String>) -> Note {
        Note { offset: offset as u64, kind, what: what.into() }
    }
}

/// The uid in the value of a UID property (RFC 5545 3.8.4.7, RFC 6350 6.7.6): unescaped, trimmed, without control
/// characters. `None` if nothing is left.
pub(crate) fn clean_uid(value: &[u8]) -> Option<String> {
    // A value of many megabytes is not worth decoding to be cut afterwards.
    let head = value.get(..UID_LIMIT * 4).unwrap_or(value);
    let text: String = lines::unescape(&lines::decode(head)).chars().filter(|c| !c.is_control()).collect();
    let text = text.trim();
    if text.is_empty() {
        return None;
    }
    if text.len() <= UID_LIMIT && head.len() == value.len() {
        return Some(text.to_owned());
    }
    let digest = Digest::of(value).hex();
    let cut = text.char_indices().map(|(at, _)| at).take_while(|at| *at <= UID_LIMIT - 40).last().unwrap_or(0);
    Some(format!("{}-{}", text.get(..cut).unwrap_or_default(), digest.get(..32).unwrap_or_default()))
}

/// The uid in a JSON object: trimmed, without control characters. `None` if nothing is left.
pub(crate) fn clean_uid_text(uid: &str) -> Option<String> {
    let text: String = uid.chars().filter(|c| !c.is_control()).collect();
    let text = text.trim();
    (!text.is_empty()).then(|| text.to_owned())
}

/// The uid of an object that has none: the same bytes give the same uid, on every run.
pub(crate) fn synthetic_uid(bytes: &[u8]) -> String {
    format!("vandelay-{}", Digest::of(bytes).hex().get(..32).unwrap_or_default())
}

/// Makes uids of one file distinct: the first holder keeps its uid, the next ones get `#2`, `#3`, … in file order,
/// which stays the same while objects are edited or added behind.
pub(crate) struct Distinct {
    taken: HashSet<String>,
    next: HashMap<String, u64>,
}

impl Distinct {
    /// `wanted` are all uids of the file: no suffix makes a uid that is among them.
    pub(crate) fn new<'a>(wanted: impl Iterator<Item = &'a str>) -> Distinct {
        Distinct { taken: wanted.map(str::to_owned).collect(), next: HashMap::new() }
    }

    /// The uid to use for the next object that has `uid`.
    pub(crate) fn give(&mut self, uid: &str) -> String {
        // The counter only grows, so that many objects of one uid cost no more than one look each.
        let Some(next) = self.next.get_mut(uid) else {
            self.next.insert(uid.to_owned(), 2);
            return uid.to_owned();
        };
        loop {
            let name = format!("{uid}#{next}");
            *next += 1;
            if self.taken.insert(name.clone()) {
                return name;
            }
        }
    }
}

/// The uid of a JSON object, or one made of its text.
pub(crate) fn uid_of(map: &Map<String, Value>) -> String {
    map.get("uid").and_then(Value::as_str).and_then(clean_uid_text).unwrap_or_else(|| {
        let text = serde_json::to_vec(map).unwrap_or_default();
        synthetic_uid(&text)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn uids_are_cleaned_and_bounded() {
        assert_eq!(clean_uid(b" a\\,b\\;c\0 ").as_deref(), Some("a,b;c"));
        assert_eq!(clean_uid(b"  \t"), None);
        let long = clean_uid(&vec![b'x'; 1 << 20]).unwrap();
        assert!(long.len() <= UID_LIMIT);
        assert_ne!(clean_uid(&vec![b'x'; 1 << 21]).unwrap(), long);
        let wide = clean_uid("ü".repeat(2000).as_bytes()).unwrap();
        assert!(wide.len() <= UID_LIMIT);
        assert_eq!(synthetic_uid(b"x").len(), "vandelay-".len() + 32);
    }

    #[test]
    fn suffixes_avoid_real_uids() {
        let uids = ["a", "a", "a#2", "a"];
        let mut distinct = Distinct::new(uids.into_iter());
        let given: Vec<String> = uids.iter().map(|uid| distinct.give(uid)).collect();
        assert_eq!(given, ["a", "a#3", "a#2", "a#4"]);
    }
}
