//! Properties that hold for every calendar and contact file of the corpora.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Instant;

use crate::common::corpora::{Corpus, corpora, small_sets};
use proptest::prelude::*;
use vandelay::format::convert::Converted;
use vandelay::format::uid::{Note, NoteKind};
use vandelay::format::{ics, jscal, jscard, vcf};

/// Offsets of physical lines that begin a component of these names: an independent, naive look at the file.
fn begins(bytes: &[u8], names: &[&str]) -> Vec<(u64, String)> {
    let mut found = Vec::new();
    let mut at = 0;
    for line in bytes.split(|byte| matches!(byte, b'\r' | b'\n')) {
        let text = String::from_utf8_lossy(line.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(line)).to_ascii_uppercase();
        if let Some(name) = text.trim_end().strip_prefix("BEGIN:")
            && names.contains(&name)
        {
            found.push((at, name.to_owned()));
        }
        at += line.len() as u64 + 1;
    }
    found
}

fn noted(notes: &[Note], name: &str, offset: u64) -> bool {
    notes.iter().any(|note| match note.kind {
        NoteKind::Encoding => true,
        NoteKind::Duplicate => note.offset == offset,
        NoteKind::NotAnItem => note.what.contains("VPOLL") && name != "VPOLL" && note.offset < offset,
        _ => false,
    })
}

fn gather(bytes: &[u8], ranges: &[std::ops::Range<u64>]) -> Vec<u8> {
    let mut out = Vec::new();
    for range in ranges {
        assert!(range.start < range.end);
        out.extend_from_slice(bytes.get(range.start as usize..range.end as usize).expect("range in bounds"));
    }
    out
}

/// `uid` as the bytes of the item alone give it: without the suffix of a repeated one.
fn is_uid(given: &str, own: &str) -> bool {
    given == own || given.strip_prefix(own).is_some_and(|rest| rest.starts_with('#'))
}

fn check_ics(name: &str, bytes: &[u8]) -> ics::Split {
    let split = ics::split(bytes);
    let mut seen = std::collections::HashSet::new();
    for item in &split.items {
        assert!(seen.insert(item.uid.clone()), "{name}: {} twice", item.uid);
        let own = gather(bytes, &item.ranges);
        let again = ics::split(&own);
        assert_eq!(again.items.len(), 1, "{name}: {} {:?} {}", item.uid, again, String::from_utf8_lossy(&own));
        assert!(is_uid(&item.uid, &again.items[0].uid), "{name}: {} {}", item.uid, again.items[0].uid);
        assert_eq!(again.items[0].data_type, item.data_type, "{name}: {}", item.uid);
        assert_eq!(gather(&own, &again.items[0].ranges), own, "{name}: {}", item.uid);
    }
    split
}

fn check_ics_begins(name: &str, bytes: &[u8], split: &ics::Split) {
    for (offset, what) in begins(bytes, &["VEVENT", "VTODO", "VJOURNAL"]) {
        let holders = split.items.iter().filter(|item| item.ranges.iter().any(|range| range.contains(&offset))).count();
        assert!(
            holders == 1 || holders == 0 && noted(&split.notes, &what, offset),
            "{name}: {what} at {offset}: {holders}"
        );
    }
}

fn check_vcf(name: &str, bytes: &[u8]) -> vcf::Split {
    let split = vcf::split(bytes);
    let mut seen = std::collections::HashSet::new();
    for card in &split.items {
        assert!(seen.insert(card.uid.clone()), "{name}: {} twice", card.uid);
        let own = gather(bytes, std::slice::from_ref(&card.range));
        let again = vcf::split(&own);
        assert_eq!(again.items.len(), 1, "{name}: {}", card.uid);
        assert!(is_uid(&card.uid, &again.items[0].uid), "{name}: {} {}", card.uid, again.items[0].uid);
        assert_eq!(again.items[0].range, 0..own.len() as u64);
    }
    split
}

/// Counts by heading, printed at the end (`cargo test -- --nocapture`).
#[derive(Default)]
struct Figures(BTreeMap<String, usize>);

impl Figures {
    fn count(&mut self, what: impl Into<String>) {
        *self.0.entry(what.into()).or_default() += 1;
    }

    fn notes(&mut self, name: &str, notes: &[Note]) {
        for note in notes {
            self.count(format!("note: {}", note.kind.reason()));
            if std::env::var_os("VANDELAY_SHOW_NOTES").is_some() {
                println!("{name}:{}: {:?} {}", note.offset, note.kind, note.what);
            }
        }
    }

    fn converted(&mut self, name: &str, converted: &Converted) {
        match (&converted.problem, converted.stub) {
            (None, false) => self.count("converted"),
            (None, true) => panic!("{name}: a stub without a reason"),
            (Some(problem), false) => self.show(name, format!("converted in part: {problem}")),
            (Some(problem), true) => self.show(name, format!("not converted: {problem}")),
        }
    }

    fn show(&mut self, name: &str, what: String) {
        if std::env::var_os("VANDELAY_SHOW_NOTES").is_some() {
            println!("{name}: {what}");
        }
        self.count(what.split(": ").take(2).collect::<Vec<_>>().join(": "));
    }

    fn print(&self, title: &str) {
        println!("== {title}");
        for (what, count) in &self.0 {
            println!("{count:>7} {what}");
        }
    }

    /// Fails if a heading has a smaller count: a test that found nothing has tested nothing.
    fn at_least(&self, what: &str, count: usize) {
        let found = self.0.get(what).copied().unwrap_or(0);
        assert!(found >= count, "{what}: {found} of at least {count}");
    }
}

#[test]
fn every_calendar_of_the_corpora_is_split_and_converted() {
    let start = Instant::now();
    for corpus in ["calendars", "calendars-templated"].into_iter().flat_map(corpora) {
        let mut figures = Figures::default();
        for (name, bytes) in corpus.files() {
            figures.count("files");
            let split = check_ics(&name, &bytes);
            check_ics_begins(&name, &bytes, &split);
            figures.notes(&name, &split.notes);
            if split.items.is_empty() {
                figures.count("files without items");
            }
            for item in &split.items {
                figures.count(format!("item: {}", item.data_type.name()));
                let own = gather(&bytes, &item.ranges);
                let convert = || jscal::to_jscalendar(&own, &item.uid, item.data_type);
                let converted = convert();
                assert_eq!(converted.data["@type"], item.data_type.name(), "{name}");
                assert_eq!(converted.data["uid"], item.uid.as_str(), "{name}");
                assert_eq!(converted.data.to_string(), convert().data.to_string(), "{name}: not stable");
                figures.converted(&name, &converted);
                match jscal::to_ics(&converted.data, &|_| None) {
                    Ok(back) => {
                        let again = ics::split(&back);
                        assert_eq!(again.items.len(), 1, "{name}");
                        assert_eq!(again.notes, [], "{name}: {}", String::from_utf8_lossy(&back));
                        assert_eq!(again.items[0].data_type, item.data_type, "{name}");
                        if again.items[0].uid != item.uid {
                            figures.show(&name, format!("back: another uid: {}", again.items[0].uid));
                        }
                        let second = jscal::to_jscalendar(&back, &item.uid, item.data_type).data;
                        for key in ["title", "start", "description", "duration", "recurrenceRule", "location"] {
                            if second.get(key) != converted.data.get(key) {
                                figures.show(&name, format!("back: {key} differs"));
                            }
                        }
                    }
                    Err(error) => figures.show(&name, format!("back: {error}")),
                }
            }
        }
        figures.print(&corpus.title());
        if corpus.name == "calendars" {
            for (what, count) in [("item: Event", 700), ("item: Task", 15), ("item: Note", 3), ("converted", 700)] {
                figures.at_least(what, count);
            }
            for kind in [NoteKind::Encoding, NoteKind::Damaged, NoteKind::Duplicate, NoteKind::NotAnItem] {
                figures.at_least(&format!("note: {}", kind.reason()), 1);
            }
        } else {
            // Their dates are templates.
            figures.at_least("converted in part: its start is not understood", 2);
        }
    }
    assert!(start.elapsed().as_secs() < 60, "{:?}", start.elapsed());
}

#[test]
fn every_card_of_the_corpora_is_split_and_converted() {
    for corpus in corpora("contacts") {
        contacts_of(&corpus);
    }
}

fn contacts_of(corpus: &Corpus) {
    let mut figures = Figures::default();
    for (name, bytes) in corpus.files() {
        figures.count("files");
        let split = check_vcf(&name, &bytes);
        for (offset, _) in begins(&bytes, &["VCARD"]) {
            let holders = split.items.iter().filter(|card| card.range.contains(&offset)).count();
            assert!(holders == 1 || holders == 0 && noted(&split.notes, "VCARD", offset), "{name}: {offset}");
        }
        figures.notes(&name, &split.notes);
        if split.items.is_empty() {
            figures.count("files without items");
        }
        for card in &split.items {
            figures.count("cards");
            let own = gather(&bytes, std::slice::from_ref(&card.range));
            let converted = jscard::to_jscontact(&own);
            assert_eq!(converted.data["@type"], "Card", "{name}");
            assert_eq!(converted.data.to_string(), jscard::to_jscontact(&own).data.to_string(), "{name}: not stable");
            figures.converted(&name, &converted);
            match jscard::to_vcf(&converted.data, &card.uid, &|_| None) {
                Ok(back) => {
                    let again = vcf::split(&back);
                    assert_eq!(again.items.len(), 1, "{name}");
                    assert_eq!(again.notes, [], "{name}: {}", String::from_utf8_lossy(&back));
                    if again.items[0].uid != card.uid {
                        figures.show(&name, format!("back: another uid: {}", again.items[0].uid));
                    }
                    let second = jscard::to_jscontact(&back).data;
                    for key in ["emails", "phones", "notes", "addresses"] {
                        if second.get(key) != converted.data.get(key) {
                            figures.show(&name, format!("back: {key} differs"));
                        }
                    }
                }
                Err(error) => figures.show(&name, format!("back: {error}")),
            }
        }
    }
    figures.print(&corpus.title());
    figures.at_least("cards", 60);
    figures.at_least("converted", 50);
}

/// Bytes that steer the structure, put into real files at random places.
const SPICE: [&[u8]; 16] = [
    b"\r\nBEGIN:VEVENT\r\n",
    b"\nEND:VEVENT\n",
    b"\nEND:VCALENDAR\n",
    b"\nBEGIN:VCALENDAR\n",
    b"\nBEGIN:VTIMEZONE\nTZID:x\n",
    b"\nBEGIN:VCARD\n",
    b"\nEND:VCARD\n",
    b"\nAGENT:\n",
    b"\nUID:x\n",
    b"\nRECURRENCE-ID:20200101T000000Z\n",
    b"\nN;ENCODING=QUOTED-PRINTABLE:a=\n",
    b"\r",
    b"\n ",
    b"\0",
    b"\xEF\xBB\xBF",
    b"\xFF\xFE",
];

#[derive(Debug, Clone)]
enum Edit {
    Byte(usize, u8),
    Cut(usize, usize),
    Double(usize, usize),
    Spice(usize, usize),
}

fn edits() -> impl Strategy<Value = Vec<Edit>> {
    let edit = prop_oneof![
        (any::<usize>(), any::<u8>()).prop_map(|(at, byte)| Edit::Byte(at, byte)),
        (any::<usize>(), 1usize..200).prop_map(|(at, len)| Edit::Cut(at, len)),
        (any::<usize>(), 1usize..400).prop_map(|(at, len)| Edit::Double(at, len)),
        (any::<usize>(), 0..SPICE.len()).prop_map(|(at, which)| Edit::Spice(at, which)),
    ];
    prop::collection::vec(edit, 1..8)
}

fn mutate(mut bytes: Vec<u8>, edits: &[Edit]) -> Vec<u8> {
    for edit in edits {
        let len = bytes.len().max(1);
        match edit {
            Edit::Byte(at, byte) => {
                if let Some(place) = bytes.get_mut(at % len) {
                    *place = *byte;
                }
            }
            Edit::Cut(at, size) => {
                let start = (at % len).min(bytes.len());
                let end = (start + size).min(bytes.len());
                bytes.drain(start..end);
            }
            Edit::Double(at, size) => {
                let start = (at % len).min(bytes.len());
                let end = (start + size).min(bytes.len());
                let copy = bytes[start..end].to_vec();
                bytes.splice(end..end, copy);
            }
            Edit::Spice(at, which) => {
                let start = (at % len).min(bytes.len());
                bytes.splice(start..start, SPICE[*which].iter().copied());
            }
        }
    }
    bytes
}

#[test]
fn mutated_files_do_no_harm() {
    for (calendars, contacts) in corpora("calendars").iter().zip(&corpora("contacts")) {
        assert_eq!(calendars.full, contacts.full);
        mutated(calendars, contacts);
    }
}

fn mutated(calendars: &Corpus, contacts: &Corpus) {
    let small = |corpus: &Corpus| {
        let mut files = corpus.files();
        files.retain(|(_, bytes)| bytes.len() < 20_000);
        files
    };
    let calendars = small(calendars);
    let contacts = small(contacts);
    let cases = std::env::var("PROPTEST_CASES").ok().and_then(|cases| cases.parse().ok()).unwrap_or(1500);
    let config = ProptestConfig { cases, failure_persistence: None, ..ProptestConfig::default() };
    proptest!(config, |(which in any::<usize>(), edits in edits())| {
        let (name, bytes) = &calendars[which % calendars.len()];
        let bytes = mutate(bytes.clone(), &edits);
        let split = check_ics(name, &bytes);
        for item in split.items.iter().take(20) {
            let own = gather(&bytes, &item.ranges);
            let converted = jscal::to_jscalendar(&own, &item.uid, item.data_type);
            prop_assert_eq!(&converted.data["uid"], item.uid.as_str());
            if let Ok(back) = jscal::to_ics(&converted.data, &|_| None) {
                prop_assert_eq!(ics::split(&back).items.len(), 1);
            }
        }
        let (name, bytes) = &contacts[which % contacts.len()];
        let bytes = mutate(bytes.clone(), &edits);
        let split = check_vcf(name, &bytes);
        for card in split.items.iter().take(20) {
            let own = gather(&bytes, std::slice::from_ref(&card.range));
            let converted = jscard::to_jscontact(&own);
            if let Ok(back) = jscard::to_vcf(&converted.data, &card.uid, &|_| None) {
                prop_assert_eq!(vcf::split(&back).items.len(), 1);
            }
        }
    });
}

/// What tests/corpora/README.md says about the small sets: whence each file is, how many they are, that they are small.
#[test]
fn the_small_sets_are_what_their_readme_says() {
    let text = std::fs::read_to_string(small_sets().join("README.md")).unwrap();
    let mut told: BTreeMap<String, usize> = BTreeMap::new();
    for row in text.lines().filter(|line| line.starts_with("| `")) {
        let cells: Vec<&str> = row.split('|').map(str::trim).collect();
        assert_eq!(cells.len(), 7, "{row}");
        assert!(cells[3..6].iter().all(|cell| !cell.is_empty()), "{row}");
        assert!(told.insert(cells[1].trim_matches('`').to_owned(), cells[2].parse().unwrap()).is_none(), "{row}");
    }
    let mut found: BTreeMap<String, usize> = BTreeMap::new();
    let (mut total, mut crlf, mut mixed) = (0, 0, 0);
    for name in ["calendars", "calendars-templated", "contacts", "mail-edge", "mail-mbox", "mail-takeout-fixtures"] {
        let sets = corpora(name);
        let known: BTreeSet<Vec<u8>> =
            sets.iter().filter(|set| set.full).flat_map(Corpus::files).map(|(_, bytes)| bytes).collect();
        let small = sets.iter().find(|set| !set.full).unwrap();
        for (path, bytes) in small.files() {
            let path = format!("{name}/{path}");
            let folder = told.keys().filter(|folder| path.starts_with(&format!("{folder}/"))).max_by_key(|it| it.len());
            let folder = folder.unwrap_or_else(|| panic!("{path} is in no row"));
            *found.entry(folder.clone()).or_default() += 1;
            // What is not of our own making stands in the full corpus, byte for byte.
            assert!(folder.ends_with("/vandelay") || sets.len() == 1 || known.contains(&bytes), "{path} was changed");
            assert!(bytes.len() <= 150_000, "{path}: {} bytes", bytes.len());
            total += bytes.len();
            let lines = bytes.split_inclusive(|byte| *byte == b'\n').filter(|line| line.ends_with(b"\n")).count();
            let dos = bytes.windows(2).filter(|pair| pair == b"\r\n").count();
            crlf += usize::from(dos > 0 && dos == lines);
            mixed += usize::from(dos > 0 && dos < lines);
        }
    }
    assert_eq!(found, told);
    assert!(total <= 1_500_000, "{total} bytes");
    // Git did not convert them.
    assert!(crlf >= 70 && mixed >= 15, "{crlf} files with CRLF, {mixed} mixed ones");
}
