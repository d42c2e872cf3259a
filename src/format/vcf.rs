//! Splits vCard files (2.1, RFC 2426, RFC 6350) into cards, byte for byte.

use super::contentline::{self as lines, Line, Prop};
use super::uid::{Distinct, Note, NoteKind, clean_uid, synthetic_uid};
use crate::model::Digest;
use std::collections::{HashMap, HashSet};
use std::ops::Range;

/// One card of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Card {
    /// Distinct within the file: the UID property, a name made of the bytes where there is none
    /// (`vandelay-` and 32 hexadecimal digits), with `#2`, `#3`, … where another card holds the uid already.
    pub uid: String,
    /// Where in the file it lies.
    pub range: Range<u64>,
}

/// What a file consists of.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Split {
    /// In the order of the file.
    pub items: Vec<Card>,
    /// Ascending by offset.
    pub notes: Vec<Note>,
}

/// Splits a file into its cards.
///
/// A file with one card is that card, to the last byte. Cards within cards (AGENT of vCard 2.1) stay where they are,
/// missing END lines are tolerated, cards that repeat another one of their UID byte for byte are noted as
/// duplicates. Time and memory are linear in the input.
pub fn split(bytes: &[u8]) -> Split {
    if lines::is_wide(bytes) {
        let note = Note::new(0, NoteKind::Encoding, "UTF-16 or UTF-32 text is not read");
        return Split { items: Vec::new(), notes: vec![note] };
    }
    let mut scan = Scan::default();
    for line in lines::lines(bytes) {
        scan.line(&line);
    }
    scan.close(bytes.len(), false);
    let Scan { mut cards, mut notes, .. } = scan;
    match &mut cards[..] {
        [] if notes.is_empty() => notes.push(Note::new(0, NoteKind::NotAnItem, "an empty file")),
        [only] => {
            // Named by its own bytes, so that junk around it does not change the name.
            only.uid.get_or_insert_with(|| synthetic_uid(text_of(bytes, &only.range)));
            only.range = 0..bytes.len();
            notes.retain(|note| !note.kind.loses_bytes());
        }
        _ => {}
    }
    let mut items = name(bytes, cards, &mut notes);
    let mut distinct = Distinct::new(items.iter().map(|card| card.uid.as_str()).collect::<Vec<_>>().into_iter());
    for item in &mut items {
        item.uid = distinct.give(&item.uid);
    }
    notes.sort_by_key(|note| note.offset);
    Split { items, notes }
}

#[derive(Default)]
struct Open {
    uid: Option<String>,
    range: Range<usize>,
}

#[derive(Default)]
struct Scan {
    cards: Vec<Open>,
    notes: Vec<Note>,
    open: Option<Open>,
    /// BEGIN:VCARD lines that are open.
    depth: usize,
    /// The last line was an AGENT without value: a card that begins now is its value.
    agent: bool,
    /// The last line was stray text: one note for each run of it.
    in_stray: bool,
}

impl Scan {
    fn line(&mut self, line: &Line<'_>) {
        if line.is_blank() {
            return;
        }
        let text = line.text();
        let prop = Prop::parse(&text);
        let is_agent = prop.is_some_and(|prop| prop.is("AGENT"));
        let agent = std::mem::replace(&mut self.agent, is_agent && self.open.is_some());
        match prop {
            Some(prop) if prop.is("BEGIN") && is_vcard(prop.value) => {
                if agent {
                    self.depth += 1;
                    return;
                }
                self.close(line.start, false);
                self.in_stray = false;
                self.depth = 1;
                self.open = Some(Open { uid: None, range: line.start..line.end });
            }
            Some(prop) if prop.is("END") && is_vcard(prop.value) && self.open.is_some() => {
                self.depth = self.depth.saturating_sub(1);
                if self.depth == 0 {
                    self.close(line.end, true);
                }
            }
            Some(prop) => match &mut self.open {
                Some(_) if is_agent => self.agent_value(prop.value),
                Some(open) if self.depth == 1 && prop.is("UID") && open.uid.is_none() => {
                    open.uid = clean_uid(prop.value);
                }
                Some(_) => {}
                None => self.stray(line),
            },
            None if self.open.is_none() => self.stray(line),
            None => {}
        }
    }

    /// `AGENT:BEGIN:VCARD` on one line is a card within the card; `AGENT:` with another value is just text.
    fn agent_value(&mut self, value: &[u8]) {
        let value = value.trim_ascii();
        if value.split_at_checked(6).is_some_and(|(a, b)| a.eq_ignore_ascii_case(b"BEGIN:") && is_vcard(b)) {
            self.depth += 1;
        }
        self.agent = value.is_empty();
    }

    fn close(&mut self, end: usize, complete: bool) {
        let Some(mut open) = self.open.take() else {
            return;
        };
        open.range.end = end;
        if !complete {
            self.notes.push(Note::new(open.range.start, NoteKind::Damaged, "VCARD has no END line"));
        }
        self.cards.push(open);
    }

    fn stray(&mut self, line: &Line<'_>) {
        if !self.in_stray {
            self.notes.push(Note::new(line.start, NoteKind::Stray, "text outside of a card"));
        }
        self.in_stray = true;
    }
}

fn is_vcard(name: &[u8]) -> bool {
    name.trim_ascii().eq_ignore_ascii_case(b"VCARD")
}

fn text_of<'a>(bytes: &'a [u8], range: &Range<usize>) -> &'a [u8] {
    lines::strip_bom(bytes.get(range.clone()).unwrap_or_default()).trim_ascii()
}

/// Gives every card a uid, and drops cards that repeat another one.
fn name(bytes: &[u8], cards: Vec<Open>, notes: &mut Vec<Note>) -> Vec<Card> {
    let mut items = Vec::with_capacity(cards.len());
    let mut first: HashMap<String, Option<Range<usize>>> = HashMap::new();
    let mut seen: HashSet<(String, Digest)> = HashSet::new();
    for card in cards {
        let text = text_of(bytes, &card.range);
        let uid = card.uid.unwrap_or_else(|| synthetic_uid(text));
        // Digests are only needed where a uid comes back.
        if let Some(range) = first.get_mut(&uid) {
            if let Some(range) = range.take() {
                seen.insert((uid.clone(), Digest::of(text_of(bytes, &range))));
            }
            if !seen.insert((uid.clone(), Digest::of(text))) {
                let what = format!("{uid} stands in the file twice");
                notes.push(Note::new(card.range.start, NoteKind::Duplicate, what));
                continue;
            }
        } else {
            first.insert(uid.clone(), Some(card.range.clone()));
        }
        items.push(Card { uid, range: card.range.start as u64..card.range.end as u64 });
    }
    items
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::format::work;

    fn kinds(split: &Split) -> Vec<NoteKind> {
        split.notes.iter().map(|note| note.kind).collect()
    }

    #[test]
    fn cards_are_split_to_the_byte() {
        let one = "BEGIN:VCARD\r\nVERSION:3.0\r\nitem1.UID:u\\,1\r\nEND:VCARD\r\n";
        let found = split(format!("\u{feff}junk\n{one} \n").as_bytes());
        assert_eq!(found.items, [Card { uid: "u,1".to_owned(), range: 0..one.len() as u64 + 10 }]);
        assert!(found.notes.is_empty());
        let bare = "begin:vcard\nFN:x\nend:vcard\n";
        let text = format!("{one}stray\nstray\n{bare}{bare}{one}{}", one.replace("3.0", "4.0"));
        let found = split(text.as_bytes());
        let uids: Vec<&str> = found.items.iter().map(|card| card.uid.as_str()).collect();
        assert_eq!((uids[0], uids[2], uids.len()), ("u,1", "u,1#2", 3));
        assert!(uids[1].starts_with("vandelay-"));
        assert_eq!(kinds(&found), [NoteKind::Stray, NoteKind::Duplicate, NoteKind::Duplicate]);
        let range = &found.items[1].range;
        assert_eq!(&text[range.start as usize..range.end as usize], bare);
    }

    #[test]
    fn cards_within_cards() {
        let inner = "BEGIN:VCARD\nUID:in\nEND:VCARD\n";
        for agent in [format!("AGENT:\n\n{inner}"), format!("AGENT:{inner}")] {
            let card = format!("BEGIN:VCARD\nVERSION:2.1\n{agent}UID:out\nEND:VCARD\n");
            let found = split(format!("{card}{card}{inner}").as_bytes());
            let uids: Vec<&str> = found.items.iter().map(|card| card.uid.as_str()).collect();
            assert_eq!(uids, ["out", "in"]);
            assert_eq!(kinds(&found), [NoteKind::Duplicate]);
        }
        let found = split(format!("BEGIN:VCARD\nUID:a\n{inner}BEGIN:VCARD\nFN:b").as_bytes());
        assert_eq!(found.items.len(), 3);
        assert_eq!(kinds(&found), [NoteKind::Damaged, NoteKind::Damaged]);
    }

    #[test]
    fn hostile_files() {
        let start = work::begin();
        for line in [
            "BEGIN:VCARD\n",
            "END:VCARD\n",
            "AGENT:\nBEGIN:VCARD\n",
            "AGENT:BEGIN:VCARD\n",
            "BEGIN:VCARD\nEND:VCARD\n",
            "\r\r\n ",
        ] {
            split(line.repeat(200_000).as_bytes());
            split(format!("BEGIN:VCARD\n{}", line.repeat(200_000)).as_bytes());
        }
        let big = format!("BEGIN:VCARD\nUID:a\nNOTE:{}\nEND:VCARD\n", "x".repeat(10 << 20));
        split((big + &"BEGIN:VCARD\nUID:a\nEND:VCARD\n".repeat(50_000)).as_bytes());
        assert_eq!(kinds(&split(b"\xFE\xFF\0B")), [NoteKind::Encoding]);
        assert_eq!(kinds(&split(b" \r\n")), [NoteKind::NotAnItem]);
        assert!(start.elapsed().as_secs() < 20, "{:?}", start.elapsed());
    }
}
