//! Time zones of calendars that are put together: one name means one zone in a file.

use super::components::{ComponentBytes, components};
pub(crate) use super::scan::zone_key;
use crate::format::contentline::{self as lines, Prop};
use crate::format::zone::{Definition, iana};
use crate::model::Digest;
use std::collections::{HashMap, HashSet};

/// Puts the components of several items together for one calendar. Definitions that say the same stand in it once; of
/// two that say different things under one name the second gets another one, and so do the properties that refer to it.
#[derive(Debug, Default)]
pub struct Merger {
    /// The name that a definition has in the calendar, by the name and the meaning that it came with.
    given: HashMap<(Vec<u8>, Digest), String>,
    taken: HashSet<Vec<u8>>,
    /// How many definitions a name has so far.
    counts: HashMap<Vec<u8>, u64>,
}

impl Merger {
    /// What of an item belongs into the calendar behind what was put there before: whole components.
    pub fn parts(&mut self, item: &[u8]) -> Vec<Vec<u8>> {
        let mut renamed: HashMap<Vec<u8>, String> = HashMap::new();
        let mut seen = HashSet::new();
        let mut parts = Vec::new();
        for part in components(item) {
            if part.name != "VTIMEZONE" {
                parts.push(part);
                continue;
            }
            let Some(name) = zone_name(&part.bytes) else { continue };
            let key = zone_key(name.as_bytes());
            // Within an item the first definition of a name counts.
            if !seen.insert(key.clone()) {
                continue;
            }
            let definition = Definition::parse(&part.bytes);
            let meaning = definition.map(|definition| definition.canonical().into_bytes());
            let digest = Digest::of(meaning.as_deref().unwrap_or(&part.bytes));
            if let Some(given) = self.given.get(&(key.clone(), digest)) {
                if zone_key(given.as_bytes()) != key {
                    renamed.insert(key, given.clone());
                }
                continue;
            }
            let given = self.free_name(&name, &key);
            if given != name {
                renamed.insert(key.clone(), given.clone());
            }
            self.given.insert((key, digest), given);
            parts.push(with_location(part, &name, &renamed));
        }
        parts
            .into_iter()
            .map(|part| if renamed.is_empty() { part.bytes } else { rename_zones(&part.bytes, &renamed) })
            .collect()
    }

    fn free_name(&mut self, name: &str, key: &[u8]) -> String {
        let count = self.counts.entry(key.to_vec()).or_default();
        *count += 1;
        if self.taken.insert(key.to_vec()) {
            return name.to_owned();
        }
        *count = (*count).max(2);
        loop {
            let other = format!("{name} {count}");
            if self.taken.insert(zone_key(other.as_bytes())) {
                return other;
            }
            *count += 1;
        }
    }
}

/// A definition that loses a name of the IANA database with the note that many programs find the zone by.
fn with_location(mut part: ComponentBytes, name: &str, renamed: &HashMap<Vec<u8>, String>) -> ComponentBytes {
    let has_note = || {
        lines::lines(&part.bytes).any(|line| Prop::parse(&line.text()).is_some_and(|prop| prop.is("X-LIC-LOCATION")))
    };
    if renamed.contains_key(&zone_key(name.as_bytes())) && iana(name).is_some() && !has_note() {
        let mut noted = Vec::with_capacity(part.bytes.len() + 64);
        for (at, line) in lines::lines(&part.bytes).enumerate() {
            noted.extend_from_slice(line.raw());
            if at == 0 {
                noted.extend_from_slice(format!("X-LIC-LOCATION:{name}\r\n").as_bytes());
            }
        }
        part.bytes = noted;
    }
    part
}

/// True for definitions that let the clock change at the same times.
pub(super) fn say_the_same(one: &[u8], other: &[u8]) -> bool {
    let meaning = |bytes: &[u8]| Definition::parse(bytes).map(|definition| definition.canonical());
    one == other || meaning(one).is_some_and(|one| Some(one) == meaning(other))
}

/// The TZID of a definition.
fn zone_name(bytes: &[u8]) -> Option<String> {
    lines::lines(bytes).find_map(|line| {
        let text = line.text();
        let prop = Prop::parse(&text).filter(|prop| prop.is("TZID"))?;
        Some(lines::unescape(lines::decode(prop.value).trim()).into_owned())
    })
}

/// The same lines with other names of time zones, in definitions and where properties refer to them. The keys are those
/// of [`zone_key`].
pub(crate) fn rename_zones(bytes: &[u8], names: &HashMap<Vec<u8>, String>) -> Vec<u8> {
    let mut out = Vec::with_capacity(bytes.len() + 64);
    for line in lines::lines(bytes) {
        let text = line.text();
        let renamed = Prop::parse(&text).and_then(|prop| {
            if prop.is("TZID") {
                let name = names.get(&zone_key(prop.value))?;
                return Some(format!("TZID:{}", lines::escape(name)).into_bytes());
            }
            let name = names.get(&zone_key(prop.param("TZID")?))?;
            Some(with_zone(&text, &prop, name))
        });
        match renamed {
            Some(renamed) => lines::fold(&renamed, &mut out),
            None => out.extend_from_slice(line.raw()),
        }
    }
    out
}

/// The line of a property with another TZID parameter.
pub(crate) fn with_zone(text: &[u8], prop: &Prop<'_>, name: &str) -> Vec<u8> {
    let start = text.len().saturating_sub(prop.value.len() + 1 + prop.params.len());
    let mut out = text.get(..start).unwrap_or_default().to_vec();
    let plain = name.chars().all(|c| !matches!(c, ':' | ';' | ',' | '"') && !c.is_control());
    let mut is_done = false;
    for (at, param) in lines::params(prop.params).into_iter().enumerate() {
        if at > 0 {
            out.push(b';');
        }
        let is_zone =
            param.split(|byte| *byte == b'=').next().is_some_and(|key| key.trim_ascii().eq_ignore_ascii_case(b"TZID"));
        match (is_zone && !is_done, plain) {
            (true, true) => out.extend_from_slice(format!("TZID={name}").as_bytes()),
            (true, false) => {
                let name: String = name.chars().filter(|c| *c != '"' && !c.is_control()).collect();
                out.extend_from_slice(format!("TZID=\"{name}\"").as_bytes());
            }
            _ => out.extend_from_slice(param),
        }
        is_done |= is_zone;
    }
    out.push(b':');
    out.extend_from_slice(prop.value);
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::format::ics::split;

    fn zone(name: &str, offset: &str, more: &str) -> String {
        format!(
            "BEGIN:VTIMEZONE\r\nTZID:{name}\r\n{more}BEGIN:STANDARD\r\nDTSTART:16010101T000000\r\nTZOFFSETFROM:{offset}\r\n\
             TZOFFSETTO:{offset}\r\nEND:STANDARD\r\nEND:VTIMEZONE\r\n"
        )
    }

    fn item(zone: &str, name: &str, uid: &str) -> String {
        format!(
            "BEGIN:VCALENDAR\r\n{zone}BEGIN:VEVENT\r\nUID:{uid}\r\nDTSTART;X=\"a;b\";TZID={name};Y=1:20240105T090000\r\n\
             EXDATE;TZID={name}:20240106T090000\r\nDTEND;TZID=Other:20240105T100000\r\nEND:VEVENT\r\nEND:VCALENDAR\r\n"
        )
    }

    /// Names and offsets of the definitions, and the events, of items put together.
    fn merged(items: &[String]) -> (Vec<(String, String)>, Vec<String>) {
        let mut merger = Merger::default();
        let text: Vec<u8> = items.iter().flat_map(|item| merger.parts(item.as_bytes())).flatten().collect();
        let text = String::from_utf8(text).unwrap().replace("\r\n ", "");
        let of = |part: &str, name: &str| {
            part.lines().find_map(|line| line.strip_prefix(name)).unwrap_or_default().trim_end().to_owned()
        };
        let parts =
            |kind: &str| text.split(&format!("BEGIN:{kind}\r\n")).skip(1).map(str::to_owned).collect::<Vec<_>>();
        let zones = parts("VTIMEZONE").iter().map(|zone| (of(zone, "TZID:"), of(zone, "TZOFFSETTO:"))).collect();
        (zones, parts("VEVENT"))
    }

    #[test]
    fn one_name_means_one_zone() {
        let mars = "Mars\\; base";
        let (zones, events) = merged(&[
            item(&zone(mars, "+0100", ""), "\"Mars; base\"", "a"),
            // The same, written otherwise.
            item(&zone(mars, "+010000", "X-COMMENT:x\r\n").replace("\r\n", "\n"), "\"Mars; base\"", "b"),
            item(&zone(mars, "-0800", ""), "\"Mars; base\"", "c"),
            item(&zone(mars, "+0200", ""), "\"mars; base\"", "d"),
            item(&zone("Mars\\; base 2", "+0300", ""), "\"Mars; base 2\"", "e"),
            item(&zone(mars, "-0800", ""), "\"Mars; base\"", "f"),
        ]);
        let names: HashSet<&String> = zones.iter().map(|(name, _)| name).collect();
        assert_eq!((zones.len(), names.len()), (4, 4), "{zones:?}");
        for (event, offset) in events.iter().zip(["+0100", "+0100", "-0800", "+0200", "+0300", "-0800"]) {
            let name = zones.iter().find(|(_, other)| other == offset).unwrap().0.replace('\\', "");
            assert_eq!(
                event.to_lowercase().matches(&format!("tzid=\"{}\"", name.to_lowercase())).count(),
                2,
                "{event} {zones:?}"
            );
            assert!(
                event.contains("X=\"a;b\";TZID=") && event.contains(";Y=1:") && event.contains("TZID=Other:"),
                "{event}"
            );
        }
    }

    #[test]
    fn a_name_of_the_database_stays_known() {
        let berlin = |offset: &str| item(&zone("Europe/Berlin", offset, ""), "Europe/Berlin", offset);
        let mut merger = Merger::default();
        assert!(!String::from_utf8(merger.parts(berlin("+0100").as_bytes()).concat()).unwrap().contains("X-LIC"));
        let second = String::from_utf8(merger.parts(berlin("+0200").as_bytes()).concat()).unwrap();
        assert!(
            second.contains("TZID:Europe/Berlin 2\r\n") && second.contains("X-LIC-LOCATION:Europe/Berlin\r\n"),
            "{second}"
        );
    }

    #[test]
    fn a_second_definition_in_one_calendar_is_named() {
        let event =
            |uid: &str| format!("BEGIN:VEVENT\r\nUID:{uid}\r\nDTSTART;TZID=x:20240105T090000\r\nEND:VEVENT\r\n");
        let file = |second: &str| {
            format!(
                "BEGIN:VCALENDAR\r\n{}{second}{}{}END:VCALENDAR\r\n",
                zone("x", "+0100", ""),
                event("a"),
                event("b")
            )
        };
        assert_eq!(split(file(&zone("x", "+0100", "X-A:1\r\n")).as_bytes()).notes, []);
        let notes = split(file(&zone("x", "-0800", "")).as_bytes()).notes;
        assert!(notes.len() == 1 && notes[0].what.contains("definition of the time zone x"), "{notes:?}");
    }
}
