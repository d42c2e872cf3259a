//! Splits iCalendar files (RFC 5545, and what vCalendar 1.0 shares with it) into items, byte for byte.
//!
//! An item is what RFC 4791 4.1 calls a calendar object resource: one event, task or journal entry with its changed
//! instances, in a calendar of its own with the time zones that it names. Its bytes are stretches of the file.

use super::contentline as lines;
use super::uid::{Distinct, Note, NoteKind, synthetic_uid};
use crate::model::EventType;
use memchr::memchr;
use scan::{Calendar, Component, Scan, push_range};
use std::collections::hash_map::Entry;
use std::collections::{BTreeSet, HashMap, HashSet};
use std::ops::Range;

mod components;
mod outgoing;
mod scan;
mod zones;
pub(crate) use outgoing::for_server;
pub(crate) use scan::zone_key;
pub use zones::Merger;
pub(crate) use zones::{rename_zones, with_zone};

/// One event, task or journal entry of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CalendarObject {
    /// Distinct within the file: the UID property, a name made of the bytes where there is none
    /// (`vandelay-` and 32 hexadecimal digits), with `#2`, `#3`, … where another item holds the uid already.
    pub uid: String,
    /// VEVENT, VTODO or VJOURNAL, in JSCalendar's terms.
    pub data_type: EventType,
    /// Stretches of the file that make up the item, to be put together in this order; not always ascending.
    pub ranges: Vec<Range<u64>>,
}

/// What a file consists of.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Split {
    /// In the order of the file.
    pub items: Vec<CalendarObject>,
    /// Ascending by offset.
    pub notes: Vec<Note>,
    /// X-WR-CALNAME, or NAME (RFC 7986 5.1).
    pub name: Option<String>,
    /// X-APPLE-CALENDAR-COLOR without alpha as `#RRGGBB`, or COLOR (RFC 7986 5.9).
    pub color: Option<String>,
    /// X-WR-CALDESC, or DESCRIPTION (RFC 7986 5.2).
    pub description: Option<String>,
}

/// Calendar properties up to this many bytes and stretches, and time zones up to this many bytes, are repeated in
/// each of several items. Real ones stay far below; without a limit the items of a hostile file would add up to the
/// square of its size.
const REPEATED_HEAD: usize = 64 << 10;
const REPEATED_RANGES: usize = 64;
const REPEATED_ZONE: usize = 256 << 10;

/// Splits a file.
///
/// Components of one UID and type are one item with their overrides (RECURRENCE-ID), wherever in the file these
/// stand. A second component that has the same UID and is no override is an item by itself, unless its bytes are the
/// same. A file with one calendar and one item is that item, to the last byte. Components outside of a calendar are
/// items without the lines around them. Missing END lines are tolerated; time and memory are linear in the input.
pub fn split(bytes: &[u8]) -> Split {
    if lines::is_wide(bytes) {
        let note = Note::new(0, NoteKind::Encoding, "UTF-16 or UTF-32 text is not read");
        return Split { notes: vec![note], ..Split::default() };
    }
    let mut scan = Scan::default();
    for line in lines::lines(bytes) {
        scan.line(&line);
    }
    scan.finish(bytes.len());
    assemble(bytes, scan)
}

/// The first lines of a calendar that is put together of others' components, with its name (RFC 7986 5.1).
pub fn merged_head(name: &str) -> Vec<u8> {
    let name = lines::escape(name);
    let mut head = b"BEGIN:VCALENDAR\r\nVERSION:2.0\r\nPRODID:-//Vandelay//Vandelay 2//EN\r\n".to_vec();
    lines::fold(format!("NAME:{name}").as_bytes(), &mut head);
    lines::fold(format!("X-WR-CALNAME:{name}").as_bytes(), &mut head);
    head
}

/// One item as text with a sound structure, for the conversion: a calendar of the item's time zones and components,
/// every BEGIN line with its END line, whatever the bytes look like.
pub(crate) struct Sound {
    pub text: String,
    /// The bytes of the components of the item's type, masters first.
    pub members: Vec<Range<usize>>,
    /// Components of the type that are no overrides.
    pub masters: usize,
}

/// See [`Sound`]. `bytes` are those of one item of `data_type`.
pub(crate) fn sound(bytes: &[u8], data_type: EventType) -> Sound {
    let mut scan = Scan::default();
    for line in lines::lines(bytes) {
        scan.line(&line);
    }
    scan.finish(bytes.len());
    let mut text = String::with_capacity(bytes.len() + 64);
    text.push_str("BEGIN:VCALENDAR\n");
    let mut members = Vec::new();
    let mut masters = 0;
    // Masters first: the library takes the first component for one whose RECURRENCE-ID it cannot read.
    scan.components.sort_by_key(|component| (component.is_override, component.range.start));
    for component in &scan.components {
        match component.data_type() {
            Some(kind) if kind == data_type => {
                masters += usize::from(!component.is_override);
                members.push(component.range.clone());
            }
            None if component.name == "VTIMEZONE" => {}
            _ => continue,
        }
        text.push_str(&lines::decode_all(bytes.get(component.range.clone()).unwrap_or_default()));
        if !text.ends_with(['\n', '\r']) {
            text.push('\n');
        }
        for _ in 0..component.unclosed {
            text.push_str("END:");
            text.push_str(&component.name);
            text.push('\n');
        }
    }
    text.push_str("END:VCALENDAR\n");
    Sound { text, members, masters }
}

/// An item to be: indexes of its components, the first one's calendar.
struct Group {
    calendar: usize,
    data_type: EventType,
    uid: String,
    components: Vec<usize>,
}

fn assemble(bytes: &[u8], scan: Scan) -> Split {
    let Scan { calendars, components, mut notes, name, color, description, .. } = scan;
    let mut groups = group(bytes, &components);
    drop_duplicates(bytes, &components, &mut groups, &mut notes);
    groups.sort_by_key(|group| group.components.first().copied());

    let whole_file = 0..bytes.len();
    let content = contents(&calendars, &components, &groups);
    let mut distinct = Distinct::new(groups.iter().map(|group| group.uid.as_str()));
    let mut too_large = HashSet::new();
    let items: Vec<CalendarObject> = groups
        .iter()
        .map(|group| CalendarObject {
            uid: distinct.give(&group.uid),
            data_type: group.data_type,
            ranges: match (&calendars[..], &groups[..]) {
                ([_], [_]) => vec![whole_file.clone()],
                _ => ranges(bytes, group, &calendars, &content, &components, &mut too_large),
            }
            .into_iter()
            .map(|range| range.start as u64..range.end as u64)
            .collect(),
        })
        .collect();

    if calendars.len() == 1 && groups.len() == 1 {
        // The item is the file: nothing is outside of it.
        notes.retain(|note| !note.kind.loses_bytes());
    } else {
        leftovers(bytes, &calendars, &content, &components, &mut notes);
        for (offset, what) in too_large {
            notes.push(Note::new(offset, NoteKind::TooLarge, what));
        }
    }
    notes.sort_by_key(|note| note.offset);
    let [apple, plain] = color;
    Split {
        items,
        notes,
        name: first(name),
        color: apple.as_deref().and_then(hex_color).or_else(|| plain.as_deref().and_then(css_color)),
        description: first(description),
    }
}

fn first(texts: [Option<String>; 2]) -> Option<String> {
    texts.into_iter().flatten().next()
}

fn hex_color(text: &str) -> Option<String> {
    let digits = text.strip_prefix('#')?;
    (matches!(digits.len(), 6 | 8) && digits.bytes().all(|byte| byte.is_ascii_hexdigit()))
        .then(|| text.get(..7).map(str::to_ascii_uppercase))?
}

fn css_color(text: &str) -> Option<String> {
    hex_color(text).or_else(|| {
        (text.len() < 32 && text.bytes().all(|byte| byte.is_ascii_alphabetic())).then(|| text.to_ascii_lowercase())
    })
}

/// Puts masters and overrides together. An override goes to the master in its own calendar, else to the first in the
/// file, else to the other overrides of its UID.
fn group(bytes: &[u8], components: &[Component]) -> Vec<Group> {
    let mut groups: Vec<Group> = Vec::new();
    let mut near: HashMap<(usize, &str, &str), usize> = HashMap::new();
    let mut far: HashMap<(&str, &str), usize> = HashMap::new();
    let mut overrides = Vec::new();
    for (index, component) in components.iter().enumerate() {
        let Some(data_type) = component.data_type() else {
            continue;
        };
        if component.is_override && component.uid.is_some() {
            overrides.push((index, component, data_type));
            continue;
        }
        if let Some(uid) = component.uid.as_deref() {
            near.entry((component.calendar, &component.name, uid)).or_insert(groups.len());
            far.entry((&component.name, uid)).or_insert(groups.len());
        }
        let uid = component.uid.clone();
        groups.push(Group {
            calendar: component.calendar,
            data_type,
            uid: uid
                .unwrap_or_else(|| synthetic_uid(bytes.get(component.range.clone()).unwrap_or_default().trim_ascii())),
            components: vec![index],
        });
    }
    for (index, component, data_type) in overrides {
        let uid = component.uid.as_deref().unwrap_or_default();
        let known = near.get(&(component.calendar, component.name.as_str(), uid));
        let known = known.or_else(|| far.get(&(component.name.as_str(), uid))).copied();
        match known.and_then(|at| groups.get_mut(at)) {
            Some(group) => group.components.push(index),
            None => {
                far.insert((&component.name, uid), groups.len());
                groups.push(Group {
                    calendar: component.calendar,
                    data_type,
                    uid: uid.to_owned(),
                    components: vec![index],
                });
            }
        }
    }
    for group in &mut groups {
        group.components.sort_unstable();
        let home = group.components.first().and_then(|index| components.get(*index));
        group.calendar = home.map_or(group.calendar, |component| component.calendar);
    }
    groups
}

/// Drops groups whose components are, byte for byte, those of another group of the same UID and type.
fn drop_duplicates(bytes: &[u8], components: &[Component], groups: &mut Vec<Group>, notes: &mut Vec<Note>) {
    let mut count: HashMap<(&'static str, String), usize> = HashMap::new();
    for group in groups.iter() {
        *count.entry((group.data_type.name(), group.uid.clone())).or_default() += 1;
    }
    let mut seen: HashSet<(&'static str, blake3::Hash)> = HashSet::new();
    groups.retain(|group| {
        if count.get(&(group.data_type.name(), group.uid.clone())).is_none_or(|count| *count < 2) {
            return true;
        }
        let mut hash = blake3::Hasher::new();
        for component in group.components.iter().filter_map(|index| components.get(*index)) {
            hash.update(bytes.get(component.range.clone()).unwrap_or_default().trim_ascii());
        }
        let fresh = seen.insert((group.data_type.name(), hash.finalize()));
        if !fresh {
            let at = group.components.first().and_then(|index| components.get(*index)).map_or(0, |c| c.range.start);
            notes.push(Note::new(at, NoteKind::Duplicate, format!("{} stands in the file twice", group.uid)));
        }
        fresh
    });
}

/// What a calendar holds.
#[derive(Default)]
struct Content {
    groups: usize,
    /// Items that lie here in part, and elsewhere in part.
    shared: bool,
    /// The first VTIMEZONE of each name.
    zones: HashMap<Vec<u8>, Range<usize>>,
    /// Its events, tasks and journal entries, and how many of them are in items: others are duplicates.
    members: usize,
    kept: usize,
    /// Components that are neither items nor time zones.
    others: Vec<usize>,
    /// Further VTIMEZONE of a name.
    repeated: Vec<usize>,
}

fn contents(calendars: &[Calendar], components: &[Component], groups: &[Group]) -> Vec<Content> {
    let mut contents: Vec<Content> = calendars.iter().map(|_| Content::default()).collect();
    for (index, component) in components.iter().enumerate() {
        let Some(content) = contents.get_mut(component.calendar) else {
            continue;
        };
        match &component.zone {
            Some(zone) if component.name == "VTIMEZONE" => match content.zones.entry(zone.clone()) {
                Entry::Vacant(free) => drop(free.insert(component.range.clone())),
                Entry::Occupied(_) => content.repeated.push(index),
            },
            _ if component.data_type().is_some() => content.members += 1,
            _ if component.name != "VTIMEZONE" => content.others.push(index),
            _ => {}
        }
    }
    for group in groups {
        let mut last = None;
        for component in group.components.iter().filter_map(|index| components.get(*index)) {
            if let Some(content) = contents.get_mut(component.calendar) {
                content.kept += 1;
            }
            if last == Some(component.calendar) {
                continue;
            }
            if let Some(content) = contents.get_mut(component.calendar) {
                content.groups += 1;
                content.shared |= last.is_some();
            }
            if let Some(content) = last.and_then(|last| contents.get_mut(last)) {
                content.shared = true;
            }
            last = Some(component.calendar);
        }
    }
    contents
}

/// Whether the calendar is one item as it stands.
fn is_whole(content: &Content) -> bool {
    content.groups == 1 && !content.shared && content.kept == content.members
}

/// The stretches of a group: its calendar's BEGIN line and properties, the time zones that it names, its components,
/// its calendar's END line.
fn ranges(
    bytes: &[u8],
    group: &Group,
    calendars: &[Calendar],
    contents: &[Content],
    components: &[Component],
    too_large: &mut HashSet<(usize, &'static str)>,
) -> Vec<Range<usize>> {
    let Some(calendar) = calendars.get(group.calendar) else {
        return Vec::new();
    };
    if contents.get(group.calendar).is_some_and(is_whole) {
        return vec![calendar.range.clone()];
    }
    let mut pieces = vec![calendar.begin.clone()];
    let mut size = 0;
    for (count, range) in calendar.props.iter().enumerate() {
        size += range.len();
        if count >= REPEATED_RANGES || size > REPEATED_HEAD {
            too_large.insert((range.start, "calendar properties from here on"));
            break;
        }
        pieces.push(range.clone());
    }
    let members: Vec<&Component> = group.components.iter().filter_map(|index| components.get(*index)).collect();
    let mut named = HashSet::new();
    let mut zones = Vec::new();
    for (component, zone) in members.iter().flat_map(|component| component.zones.iter().map(move |z| (component, z))) {
        let known = contents.get(component.calendar).and_then(|content| content.zones.get(zone));
        match known {
            Some(range) if range.len() > REPEATED_ZONE => {
                too_large.insert((range.start, "a time zone"));
            }
            Some(range) if named.insert(zone.as_slice()) => zones.push(range.clone()),
            _ => {}
        }
    }
    zones.sort_unstable_by_key(|range| range.start);
    pieces.extend(zones);
    pieces.extend(members.iter().map(|component| component.range.clone()));
    pieces.push(calendar.end.clone());
    join(bytes, pieces)
}

/// Joins neighbours, and puts a line break of the file between pieces that would run into each other: the last line of
/// the file may have none, and a quoted-printable line may ask for more.
fn join(bytes: &[u8], pieces: Vec<Range<usize>>) -> Vec<Range<usize>> {
    let mut out = Vec::with_capacity(pieces.len());
    let mut pieces = pieces.into_iter().filter(|piece| !piece.is_empty()).peekable();
    while let Some(piece) = pieces.next() {
        let needs_break = pieces
            .peek()
            .is_some_and(|next| next.start != piece.end && is_open(bytes.get(piece.clone()).unwrap_or_default()));
        push_range(&mut out, piece);
        if needs_break {
            let at = memchr(b'\n', bytes).or_else(|| memchr(b'\r', bytes));
            out.extend(at.map(|at| at..at + 1));
        }
    }
    out
}

/// Whether the last line of `piece` goes on in what follows. The look back is short, since it is repeated per item.
fn is_open(piece: &[u8]) -> bool {
    let tail = piece.get(piece.len().saturating_sub(1024)..).unwrap_or_default();
    let text = tail.trim_ascii_end();
    let soft = || tail.windows(16).any(|window| window.eq_ignore_ascii_case(b"QUOTED-PRINTABLE"));
    !matches!(tail, [.., b'\r' | b'\n']) || (text.ends_with(b"=") && soft())
}

/// Notes on what is in no item.
fn leftovers(
    bytes: &[u8],
    calendars: &[Calendar],
    contents: &[Content],
    components: &[Component],
    notes: &mut Vec<Note>,
) {
    let whole: Vec<Range<u64>> = calendars
        .iter()
        .zip(contents)
        .filter(|(_, content)| is_whole(content))
        .map(|(calendar, _)| calendar.range.start as u64..calendar.range.end as u64)
        .collect();
    notes.retain(|note| {
        let before = whole.partition_point(|range| range.start <= note.offset);
        let kept = before.checked_sub(1).and_then(|at| whole.get(at)).is_some_and(|r| r.contains(&note.offset));
        !(kept && note.kind.loses_bytes())
    });
    for (calendar, content) in calendars.iter().zip(contents).filter(|(_, content)| !is_whole(content)) {
        for second in content.repeated.iter().filter_map(|index| components.get(*index)) {
            let text = |range: Range<usize>| bytes.get(range).unwrap_or_default();
            let first = second.zone.as_ref().and_then(|zone| content.zones.get(zone)).cloned().unwrap_or_default();
            if !zones::say_the_same(text(first), text(second.range.clone())) {
                let name = String::from_utf8_lossy(second.zone.as_deref().unwrap_or_default()).into_owned();
                let what = format!("a second, different definition of the time zone {name} is kept in no item");
                notes.push(Note::new(second.range.start, NoteKind::NotAnItem, what));
            }
        }
        let others = content.others.iter().filter_map(|index| components.get(*index));
        if content.members > 0 {
            for other in others {
                let what = format!("{} is kept in no item", other.name);
                notes.push(Note::new(other.range.start, NoteKind::NotAnItem, what));
            }
            continue;
        }
        let mut names: BTreeSet<&str> = others.take(100).map(|other| other.name.as_str()).collect();
        if !content.zones.is_empty() {
            names.insert("VTIMEZONE");
        }
        let names: Vec<&str> = names.into_iter().take(5).collect();
        let what = match names[..] {
            [] => "an empty calendar".to_owned(),
            _ => format!("a calendar of nothing but {}", names.join(", ")),
        };
        notes.push(Note::new(calendar.range.start, NoteKind::NotAnItem, what));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::format::work;

    fn bytes_of(file: &[u8], item: &CalendarObject) -> String {
        let part = |range: &Range<u64>| file[range.start as usize..range.end as usize].to_vec();
        String::from_utf8(item.ranges.iter().flat_map(part).collect()).unwrap()
    }

    fn uids(split: &Split) -> Vec<&str> {
        split.items.iter().map(|item| item.uid.as_str()).collect()
    }

    fn event(uid: &str, more: &str) -> String {
        format!("BEGIN:VEVENT\r\nUID:{uid}\r\n{more}END:VEVENT\r\n")
    }

    #[test]
    fn a_file_of_one_item_is_that_item() {
        let text = format!("\u{feff}\r\nBEGIN:vcalendar\r\nX-A:1\r\n{}END:VCALENDAR\r\njunk", event("a\\,b", ""));
        let split = split(text.as_bytes());
        assert_eq!(uids(&split), ["a,b"]);
        let range = &split.items[0].ranges[0];
        assert_eq!((range.start, range.end, split.items[0].ranges.len()), (0, text.len() as u64, 1));
        assert!(split.notes.is_empty());
    }

    #[test]
    fn items_take_their_zones_and_overrides() {
        let zone = |name: &str| format!("BEGIN:VTIMEZONE\r\nTZID:{name}\r\nEND:VTIMEZONE\r\n");
        let head = "BEGIN:VCALENDAR\r\nX-WR-CALNAME:Mine\\, yours\r\nX-APPLE-CALENDAR-COLOR:#1badf8ff\r\n";
        let master = event("a", "DTSTART;TZID=\"B\":1\r\n");
        let other = event("b", "");
        let change = event("a", "RECURRENCE-ID;TZID=A:2\r\n");
        let text = format!(
            "{head}{}{}{}{master}{other}X-LATE:1\r\n{change}END:VCALENDAR\r\n",
            zone("A"),
            zone("B"),
            zone("C")
        );
        let found = split(text.as_bytes());
        assert_eq!(uids(&found), ["a", "b"]);
        let late = "X-LATE:1\r\n";
        let first = format!("{head}{late}{}{}{master}{change}END:VCALENDAR\r\n", zone("A"), zone("B"));
        assert_eq!(bytes_of(text.as_bytes(), &found.items[0]), first);
        assert_eq!(bytes_of(text.as_bytes(), &found.items[1]), format!("{head}{late}{other}END:VCALENDAR\r\n"));
        assert_eq!(found.name.as_deref(), Some("Mine, yours"));
        assert_eq!(found.color.as_deref(), Some("#1BADF8"));
        assert!(found.notes.is_empty());
    }

    #[test]
    fn one_uid_in_many_places() {
        let calendar = |body: &str| format!("BEGIN:VCALENDAR\r\n{body}END:VCALENDAR\r\n");
        let text = [
            calendar(&event("a", "SUMMARY:1\r\n")),
            calendar(&event("a", "SUMMARY:2\r\n")),
            calendar(&event("a", "SUMMARY:1\r\n")),
            calendar(&event("b", "RECURRENCE-ID:1\r\n")),
            calendar(&event("b", "")),
            calendar(&event("b", "").replace("VEVENT", "VTODO")),
        ]
        .concat();
        let found = split(text.as_bytes());
        assert_eq!(uids(&found), ["a", "a#2", "b", "b#2"]);
        assert_eq!(found.notes.iter().map(|note| note.kind).collect::<Vec<_>>(), [NoteKind::Duplicate]);
        let both = calendar(&format!("{}{}", event("b", "RECURRENCE-ID:1\r\n"), event("b", "")));
        assert_eq!(bytes_of(text.as_bytes(), &found.items[2]), both);
        assert_eq!(found.items[3].data_type, EventType::Task);
    }

    #[test]
    fn broken_structure() {
        let text = "BEGIN:VEVENT\nUID:a\nBEGIN:VALARM\nUID:x\nEND:VEVENT\nBEGIN:VCALENDAR\nBEGIN:VEVENT\nSUMMARY:no uid\n\
            BEGIN:VTODO\nUID:t\nEND:VTODO\nBEGIN:VEVENT\nRECURRENCE-ID:1\nUID:c";
        let found = split(text.as_bytes());
        assert_eq!(found.items.len(), 4);
        assert_eq!(bytes_of(text.as_bytes(), &found.items[0]), &text[..49]);
        assert!(found.items[1].uid.starts_with("vandelay-"));
        assert!(found.notes.iter().all(|note| note.kind == NoteKind::Damaged), "{:?}", found.notes);
        let swapped =
            format!("BEGIN:VCALENDAR\r\n{}END:VCALENDAR\r\nBEGIN:VEVENT\r\nUID:a\r\nRECURRENCE-ID:1", event("a", ""));
        let found = split(swapped.as_bytes());
        let whole = bytes_of(swapped.as_bytes(), &found.items[0]);
        assert_eq!(split(whole.as_bytes()).items[0].uid, "a");
        assert!(whole.ends_with("RECURRENCE-ID:1\nEND:VCALENDAR\r\n"), "{whole}");
    }

    #[test]
    fn what_is_no_item_is_noted() {
        let kinds = |text: &[u8]| split(text).notes.into_iter().map(|note| note.kind).collect::<Vec<_>>();
        assert_eq!(kinds(b""), [NoteKind::NotAnItem]);
        assert_eq!(kinds(b"\xFF\xFEB\0E\0"), [NoteKind::Encoding]);
        assert_eq!(kinds(b"hello\nworld\n"), [NoteKind::Stray]);
        assert_eq!(kinds(b"BEGIN:VCALENDAR\nBEGIN:VFREEBUSY\nEND:VFREEBUSY\nEND:VCALENDAR\n"), [NoteKind::NotAnItem]);
        let poll = "BEGIN:VPOLL\r\nBEGIN:VEVENT\r\nUID:p\r\nEND:VEVENT\r\nEND:VPOLL\r\n";
        let two = format!("BEGIN:VCALENDAR\r\n{}{poll}{}END:VCALENDAR\r\n", event("a", ""), event("b", ""));
        assert_eq!(kinds(two.as_bytes()), [NoteKind::NotAnItem]);
        assert_eq!(split(two.as_bytes()).items.len(), 2);
    }

    #[test]
    fn time_and_ranges_are_linear() {
        let start = work::begin();
        let many = |line: &dyn Fn(usize) -> String| (0..100_000).map(line).collect::<String>();
        let same = format!("BEGIN:VCALENDAR\r\n{}", many(&|i| event("a", &format!("SEQ:{i}\r\n"))));
        assert_eq!(split(same.as_bytes()).items.len(), 100_000);
        let mixed = many(&|i| {
            format!(
                "X-A:{i}\r\nBEGIN:VTIMEZONE\r\nTZID:z\r\nEND:VTIMEZONE\r\n{}",
                event(&i.to_string(), "D;TZID=z:1\r\n")
            )
        });
        let found = split(format!("BEGIN:VCALENDAR\r\n{mixed}").as_bytes());
        assert_eq!(found.items.len(), 100_000);
        assert!(found.items.iter().all(|item| item.ranges.len() <= REPEATED_RANGES + 4));
        assert!(found.notes.iter().any(|note| note.kind == NoteKind::TooLarge));
        for line in [
            "BEGIN:VEVENT\n",
            "BEGIN:X\n",
            "BEGIN:VCALENDAR\n",
            "END:VEVENT\n",
            "\r",
            "A;B=\"\n",
            "N;QUOTED-PRINTABLE:=\nEND:X\n",
        ] {
            split(line.repeat(300_000).as_bytes());
        }
        split(format!("BEGIN:VEVENT\nX:{}", "a\r\n ".repeat(1_000_000)).as_bytes());
        assert!(start.elapsed().as_secs() < 20, "{:?}", start.elapsed());
    }
}
