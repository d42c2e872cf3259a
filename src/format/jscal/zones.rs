//! Time zones on their way between iCalendar and JSCalendar. The library knows zones by name only, so it is handed names
//! that it knows: the zone of the IANA database that a definition describes, or for a zone that is none of these a
//! stand-in, in whose place its own name is put afterwards.

use crate::format::contentline::{self as lines, Prop};
use crate::format::ics::{rename_zones, with_zone, zone_key};
use crate::format::zone::{self, Definition, Match, Use};
use calcard::common::timezone::Tz;
use serde_json::{Map, Value};
use std::collections::{BTreeMap, HashMap};

/// Properties of JSCalendar that name a zone (RFC 8984 4.2.5, 4.3.2, 4.7.1, and endTimeZone of its successor).
const NAMING: [&str; 3] = ["timeZone", "endTimeZone", "recurrenceIdTimeZone"];

/// An item names at most so many zones: an honest one names two.
const ZONES: usize = 100;

/// What is handed to the library in the place of a zone's name, and what its answer means.
#[derive(Debug, Default)]
pub(super) struct Zones {
    /// By the key of the name in the item.
    given: HashMap<Vec<u8>, String>,
    /// By stand-in: the name in the item, the name for `timeZone`, and the definition if that is not one of IANA's.
    stand_ins: BTreeMap<String, StandIn>,
    /// What is not kept, in few words.
    pub lost: Vec<String>,
}

#[derive(Debug)]
struct StandIn {
    name: String,
    id: String,
    definition: Option<Value>,
}

/// A zone that an item names.
#[derive(Default)]
struct Named {
    name: String,
    used: Use,
}

impl Zones {
    /// Looks at the text of an item: a calendar with definitions and components.
    pub(super) fn of(text: &str) -> Zones {
        let ZonesNamed { definitions, named, has_utc } = look(text);
        let mut zones = Zones::default();
        for (key, Named { name, used }) in named {
            if used.times.is_empty() {
                continue;
            }
            let shown = quoted(&name);
            let definition = definitions.get(&key);
            match zone_for(&name, definition.and_then(Option::as_ref), &used) {
                ItemZone::AsItIs(zone) => {
                    // The library drops times that the zone's clock skips or shows twice.
                    let odd = used.times.iter().find(|time| !zone::is_single(zone, **time));
                    let (Some(odd), Some(id)) = (odd, zone.name()) else { continue };
                    if has_utc {
                        zones
                            .lost
                            .push(format!("a time that the clock of {shown} skips or shows twice is not converted"));
                        continue;
                    }
                    let one = StandIn { name, id: id.into_owned(), definition: None };
                    zones.stand_in(text, key, one, zone::offset_of(zone, *odd));
                }
                ItemZone::Other(id) => drop(zones.given.insert(key, id)),
                ItemZone::Near(id, why) => {
                    zones.lost.push(format!("the time zone {shown} is kept as {id}, {why}"));
                    zones.given.insert(key, id);
                }
                ItemZone::Custom(definition) => {
                    let offset = used.times.first().map_or(0, |time| definition.offset_at_local(*time));
                    let id = format!("/{}", name.trim_start_matches('/'));
                    let json = definition.to_json(&name);
                    if has_utc && used.recurs {
                        zones.lost.push(format!(
                            "times in UTC beside those in the time zone {shown} may be wrong by an hour"
                        ));
                    }
                    zones.stand_in(text, key, StandIn { name, id, definition: Some(json) }, offset);
                }
                ItemZone::Unknown => {
                    let why = match definition {
                        Some(_) => "its definition is not understood",
                        None => "it has no definition",
                    };
                    zones.lost.push(format!("the time zone {shown} is not kept: {why}"));
                }
            }
        }
        zones
    }

    /// Lets another zone stand for one: a clock without changes, near enough that durations come out right.
    fn stand_in(&mut self, text: &str, key: Vec<u8>, one: StandIn, offset: i32) {
        match free_stand_in(offset, text, |name| self.stand_ins.contains_key(name)) {
            Some(stand_in) => {
                self.given.insert(key, stand_in.clone());
                self.stand_ins.insert(stand_in, one);
            }
            None => self.lost.push(format!("the time zone {} is not kept: too many of them", quoted(&one.name))),
        }
    }

    /// The line of a property with the zone that the library knows; `None` if it stays as it is.
    pub(super) fn line(&self, text: &[u8], prop: &Prop<'_>) -> Option<Vec<u8>> {
        if self.given.is_empty() || prop.params.is_empty() {
            return None;
        }
        let name = self.given.get(&zone_key(prop.param("TZID")?))?;
        Some(with_zone(text, prop, name))
    }

    /// Puts names in the places of stand-ins, and definitions beside them.
    pub(super) fn restore(&self, map: &mut Map<String, Value>) {
        if self.stand_ins.is_empty() {
            return;
        }
        let mut used = Map::new();
        for value in map.values_mut() {
            each_object(value, &mut |object| self.restore_in(object, &mut used));
        }
        self.restore_in(map, &mut used);
        if !used.is_empty() {
            map.insert("timeZones".to_owned(), Value::Object(used));
        }
    }

    fn restore_in(&self, object: &mut Map<String, Value>, used: &mut Map<String, Value>) {
        for (key, value) in object.iter_mut() {
            let Some(one) = value.as_str().and_then(|name| self.stand_ins.get(name)) else { continue };
            if NAMING.contains(&key.as_str()) {
                *value = Value::String(one.id.clone());
                if let Some(definition) = &one.definition {
                    used.insert(one.id.clone(), definition.clone());
                }
            } else if key.eq_ignore_ascii_case("tzid") {
                *value = Value::String(one.name.clone());
            }
        }
    }
}

enum ItemZone {
    AsItIs(Tz),
    Other(String),
    /// Not quite the same, and why.
    Near(String, &'static str),
    Custom(Definition),
    Unknown,
}

/// The zone that an item means by a name.
fn zone_for(name: &str, definition: Option<&Definition>, used: &Use) -> ItemZone {
    let known = zone::known(name);
    // A name of the database is what most programs go by, however old the definition beside it.
    if let (Some(known), Some(_)) = (known, zone::iana(name)) {
        return ItemZone::AsItIs(known);
    }
    let noted = definition.and_then(|definition| definition.location.as_deref()).and_then(zone::known);
    match (known.or(noted), definition) {
        (Some(known), None) => ItemZone::AsItIs(known),
        (Some(zone), Some(definition)) if !definition.contradicts(zone, used) => match (known, zone.name()) {
            (None, Some(name)) => ItemZone::Other(name.into_owned()),
            _ => ItemZone::AsItIs(zone),
        },
        (_, Some(definition)) => match definition.find(name, used) {
            Some(Match::Same(zone)) => ItemZone::Other(zone),
            Some(Match::AtThoseTimes(zone)) => ItemZone::Near(zone, "which is the same at these times only"),
            Some(Match::ByName(zone)) => {
                ItemZone::Near(zone, "whose clock changes at other times than its definition says")
            }
            None => ItemZone::Custom(definition.clone()),
        },
        (None, None) => zone::guess(name).map_or(ItemZone::Unknown, ItemZone::Other),
    }
}

/// A zone without changes of its clock, as near as can be to an offset, that neither the text nor another zone uses.
fn free_stand_in(offset: i32, text: &str, is_taken: impl Fn(&str) -> bool) -> Option<String> {
    let hour = (f64::from(offset) / 3600.0).round() as i32;
    let near = (0..54).map(|step| if step % 2 == 0 { hour + step / 2 } else { hour - (step + 1) / 2 });
    // The library writes UTC without a name.
    let mut names = near.filter(|hour| *hour != 0).filter_map(|hour| zone::fixed(hour * 3600));
    names.find(|name| !is_taken(name) && !text.contains(name.as_str()))
}

/// What the text of an item says of zones.
struct ZonesNamed {
    /// By the key of the name; `None` for what is not understood.
    definitions: HashMap<Vec<u8>, Option<Definition>>,
    named: BTreeMap<Vec<u8>, Named>,
    /// Some of its own times are in UTC.
    has_utc: bool,
}

/// Properties whose times are those of the event.
const TIMES: [&str; 6] = ["DTSTART", "DTEND", "DUE", "RECURRENCE-ID", "EXDATE", "RDATE"];

/// The definitions of a text, and the zones that it names, each with what it is needed for.
fn look(text: &str) -> ZonesNamed {
    let mut definitions = HashMap::new();
    let mut named: BTreeMap<Vec<u8>, Named> = BTreeMap::new();
    let (mut recurs, mut has_utc) = (false, false);
    let mut open: Option<(usize, Option<Vec<u8>>)> = None;
    for line in lines::lines(text.as_bytes()) {
        let unfolded = line.text();
        let Some(prop) = Prop::parse(&unfolded) else { continue };
        let is_zone = |prop: &Prop<'_>| prop.value.trim_ascii().eq_ignore_ascii_case(b"VTIMEZONE");
        match &mut open {
            None if prop.is("BEGIN") && is_zone(&prop) => open = Some((line.start, None)),
            Some((start, name)) if prop.is("END") && is_zone(&prop) => {
                let bytes = text.as_bytes().get(*start..line.end).unwrap_or_default();
                if let Some(name) = name.take() {
                    definitions.entry(name).or_insert_with(|| Definition::parse(bytes));
                }
                open = None;
            }
            Some((_, name)) if prop.is("TZID") && name.is_none() => *name = Some(zone_key(prop.value)),
            Some(_) => {}
            None => {
                recurs |= prop.is("RRULE");
                has_utc |= prop.is("RRULE")
                    && prop.value.to_ascii_uppercase().windows(6).any(|part| part == b"UNTIL=")
                    && prop.value.contains(&b'Z');
                let Some(name) = prop.param("TZID") else {
                    has_utc |= prop.value.trim_ascii().ends_with(b"Z") && TIMES.iter().any(|name| prop.is(name));
                    continue;
                };
                let key = zone_key(name);
                if named.len() >= ZONES && !named.contains_key(&key) {
                    continue;
                }
                let one = named.entry(key).or_default();
                if one.name.is_empty() {
                    one.name = lines::unescape(&lines::decode(name)).into_owned();
                }
                let times = prop.value.split(|byte| matches!(byte, b',' | b'/'));
                let is_local =
                    |value: &&[u8]| value.trim_ascii().get(8).is_some_and(|byte| matches!(byte, b'T' | b't'));
                let local = times.filter(is_local).filter_map(zone::date_time).filter(|(_, is_utc)| !is_utc);
                one.used.times.extend(local.map(|(time, _)| time));
            }
        }
    }
    named.values_mut().for_each(|one| one.used.recurs = recurs);
    ZonesNamed { definitions, named, has_utc }
}

/// A name as a remark shows it.
fn quoted(name: &str) -> String {
    let short: String = name.chars().take(80).collect();
    format!("{short:?}")
}

/// Calls `each` for every object in a value. The recursion is bounded, as the value comes from serde_json or from what
/// [`crate::format::convert::check_shape`] let pass.
fn each_object(value: &mut Value, each: &mut impl FnMut(&mut Map<String, Value>)) {
    match value {
        Value::Object(map) => {
            each(map);
            map.values_mut().for_each(|value| each_object(value, each));
        }
        Value::Array(list) => list.iter_mut().for_each(|value| each_object(value, each)),
        _ => {}
    }
}

/// The zones of a JSCalendar object on its way to iCalendar.
#[derive(Debug, Default)]
pub(super) struct Outgoing {
    /// By stand-in: the TZID, and the definition where there is one.
    stand_ins: BTreeMap<String, (String, Option<Definition>)>,
}

impl Outgoing {
    /// Puts names that the library knows into an object, and takes the definitions out that become VTIMEZONE.
    pub(super) fn prepare(&mut self, map: &mut Map<String, Value>, text: &str) {
        let mut definitions = match map.get("timeZones") {
            Some(Value::Object(definitions)) => definitions.clone(),
            _ => Map::new(),
        };
        let mut renamed: BTreeMap<String, String> = BTreeMap::new();
        let mut rename = |object: &mut Map<String, Value>| {
            for (_, value) in object.iter_mut().filter(|(key, _)| NAMING.contains(&key.as_str())) {
                let Some(id) = value.as_str().filter(|id| zone::iana(id).is_none()) else { continue };
                if !renamed.contains_key(id) && renamed.len() < ZONES {
                    let name = self.name_for(id, definitions.get(id), text);
                    renamed.insert(id.to_owned(), name);
                }
                if let Some(name) = renamed.get(id) {
                    *value = Value::String(name.clone());
                }
            }
        };
        for (_, value) in map.iter_mut().filter(|(key, _)| *key != "timeZones" && *key != "iCalendar") {
            each_object(value, &mut rename);
        }
        rename(map);
        definitions.retain(|id, _| !renamed.contains_key(id));
        if definitions.is_empty() {
            map.shift_remove("timeZones");
        } else if map.contains_key("timeZones") {
            map.insert("timeZones".to_owned(), Value::Object(definitions));
        }
    }

    fn name_for(&mut self, id: &str, definition: Option<&Value>, text: &str) -> String {
        let parsed = definition.and_then(Definition::from_json);
        if parsed.is_none() {
            if zone::known(id).is_some() {
                return id.to_owned();
            }
            if let Some(guess) = zone::guess(id) {
                return guess;
            }
        }
        let name = definition.and_then(|zone| zone.get("tzId")).and_then(Value::as_str);
        let name =
            name.filter(|name| !name.is_empty() && name.len() < 1000).unwrap_or_else(|| id.trim_start_matches('/'));
        let offset = parsed.as_ref().map_or(0, |definition| definition.offset_at_local(0));
        match free_stand_in(offset, text, |stand_in| self.stand_ins.contains_key(stand_in)) {
            Some(stand_in) => {
                self.stand_ins.insert(stand_in.clone(), (name.to_owned(), parsed));
                stand_in
            }
            None => id.to_owned(),
        }
    }

    /// Puts the own names and definitions into the text that the library wrote.
    pub(super) fn restore(&self, bytes: Vec<u8>) -> Vec<u8> {
        if self.stand_ins.is_empty() {
            return bytes;
        }
        let names: HashMap<Vec<u8>, String> =
            self.stand_ins.iter().map(|(stand_in, (name, _))| (zone_key(stand_in.as_bytes()), name.clone())).collect();
        let mut out = Vec::with_capacity(bytes.len() + 1024);
        let mut held: Option<(Vec<u8>, bool)> = None;
        let mut is_told = false;
        for line in lines::lines(&bytes) {
            let text = line.text();
            let prop = Prop::parse(&text);
            let is = |name: &str, value: &[u8]| {
                prop.is_some_and(|prop| prop.is(name) && prop.value.eq_ignore_ascii_case(value))
            };
            let is_first = !is_told && !is("BEGIN", b"VCALENDAR") && prop.is_some_and(|prop| prop.is("BEGIN"));
            if is_first {
                is_told = true;
                for (name, definition) in self.stand_ins.values() {
                    let text = definition.as_ref().map(|definition| definition.to_ics(name)).unwrap_or_default();
                    lines::lines(text.as_bytes()).for_each(|line| lines::fold(&line.text(), &mut out));
                }
            }
            if is("BEGIN", b"VTIMEZONE") {
                held = Some((Vec::new(), false));
            }
            match &mut held {
                Some((zone, is_stand_in)) => {
                    zone.extend_from_slice(line.raw());
                    *is_stand_in |=
                        prop.is_some_and(|prop| prop.is("TZID") && names.contains_key(&zone_key(prop.value)));
                }
                None => out.extend_from_slice(&rename_zones(line.raw(), &names)),
            }
            if is("END", b"VTIMEZONE")
                && let Some((zone, is_stand_in)) = held.take()
                && !is_stand_in
            {
                out.extend_from_slice(&zone);
            }
        }
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::format::jscal::{to_ics, to_jscalendar};
    use crate::model::EventType;
    use serde_json::json;

    /// A definition: of a fixed offset, or with summer time from the nth Sunday of a month to that of another one.
    fn zone(name: &str, standard: &str, summer: Option<(&str, &str, &str)>) -> String {
        let part = |kind: &str, from: &str, to: &str, rule: &str| {
            format!(
                "BEGIN:{kind}\r\nDTSTART:16010101T020000\r\nTZOFFSETFROM:{from}\r\nTZOFFSETTO:{to}\r\n{rule}END:{kind}\r\n"
            )
        };
        let rule = |text: &str| format!("RRULE:FREQ=YEARLY;{text}\r\n");
        let parts = match summer {
            None => part("STANDARD", standard, standard, ""),
            Some((offset, begin, end)) => {
                part("STANDARD", offset, standard, &rule(end)) + &part("DAYLIGHT", standard, offset, &rule(begin))
            }
        };
        format!("BEGIN:VTIMEZONE\r\nTZID:{name}\r\n{parts}END:VTIMEZONE\r\n")
    }

    fn item(zones: &str, event: &str) -> String {
        format!("BEGIN:VCALENDAR\r\n{zones}BEGIN:VEVENT\r\nUID:u\r\n{event}END:VEVENT\r\nEND:VCALENDAR\r\n")
    }

    fn convert(text: &str) -> (Value, Option<String>) {
        let converted = to_jscalendar(text.as_bytes(), "u", EventType::Event);
        assert!(!converted.stub);
        (converted.data, converted.problem)
    }

    const US: Option<(&str, &str, &str)> = Some(("-0400", "BYMONTH=3;BYDAY=2SU", "BYMONTH=11;BYDAY=1SU"));
    const EU: Option<(&str, &str, &str)> = Some(("+0200", "BYMONTH=3;BYDAY=-1SU", "BYMONTH=10;BYDAY=-1SU"));

    #[test]
    fn a_zone_is_what_its_definition_says() {
        let cases = [
            ("Customized Time Zone", "+1100", None, "Etc/GMT-11"),
            ("Customized Time Zone", "-0800", None, "Etc/GMT+8"),
            ("Customized Time Zone", "+0530", None, "Asia/Kolkata"),
            ("Customized Time Zone", "-0500", US, "America/New_York"),
            ("US-Eastern", "-0500", US, "US/Eastern"),
            ("/freeassociation.sourceforge.net/America/Toronto", "-0500", US, "America/Toronto"),
            ("/custom", "-0500", US, "America/New_York"),
            ("tzone://Microsoft/Custom", "-0500", US, "America/New_York"),
            ("Office in Detroit 2", "-0500", US, "America/Detroit"),
            // A name that the library knows, for another zone.
            ("Eastern", "+1100", None, "Etc/GMT-11"),
            // One that it knows rightly.
            ("Eastern Standard Time", "-0500", US, "America/New_York"),
            // IANA's own names are believed, whatever stands beside them.
            ("Europe/Berlin", "-0800", None, "Europe/Berlin"),
        ];
        for (name, standard, summer, wanted) in cases {
            for more in ["", "RRULE:FREQ=WEEKLY\r\n"] {
                let event = format!(
                    "DTSTART;TZID=\"{name}\":20240705T090000\r\nDTEND;TZID=\"{name}\":20240705T100000\r\n{more}"
                );
                let (data, problem) = convert(&item(&zone(name, standard, summer), &event));
                assert_eq!((&data["timeZone"], problem), (&json!(wanted), None), "{name} {standard} {more}");
                assert_eq!(
                    (&data["start"], &data["duration"]),
                    (&json!("2024-07-05T09:00:00"), &json!("PT1H")),
                    "{name}"
                );
                assert!(!data.to_string().contains("timeZones"), "{data}");
            }
        }
    }

    #[test]
    fn a_name_without_definition_is_guessed_or_named_as_lost() {
        for (name, wanted) in [
            ("/freeassociation.sourceforge.net/Europe/Berlin", Some("Europe/Berlin")),
            ("/freeassociation.sourceforge.net/Tzfile/Europe/Berlin", Some("Europe/Berlin")),
            ("/citadel.org/20260108_1/UTC", Some("Etc/UTC")),
            ("custom_Pacific/Fiji", Some("Pacific/Fiji")),
            ("tzone://Microsoft/Utc", Some("Etc/UTC")),
            ("GMT Standard Time 1", Some("Europe/London")),
            ("US-Central", Some("US/Central")),
            ("America-Chicago", Some("America/Chicago")),
            ("America/Los Angeles", Some("America/Los_Angeles")),
            ("europe/berlin", Some("Europe/Berlin")),
            ("UTC+01", Some("Etc/GMT-1")),
            ("GMT-08:00", Some("Etc/GMT+8")),
            ("Customized Time Zone", None),
            ("x/y/z", None),
        ] {
            let (data, problem) = convert(&item("", &format!("DTSTART;TZID=\"{name}\":20240105T090000\r\n")));
            assert_eq!(data["timeZone"].as_str(), wanted, "{name}");
            assert_eq!(problem.is_some(), wanted.is_none(), "{name}: {problem:?}");
        }
        // A date is in no zone, so none is lost.
        assert_eq!(convert(&item("", "DTSTART;TZID=nowhere;VALUE=DATE:20240105\r\n")).1, None);
        let strange = zone("strange", "+0100", Some(("+0200", "BYDAY=SU;BYMONTH=3", "BYMONTH=10;BYDAY=-1SU")));
        let problem = convert(&item(&strange, "DTSTART;TZID=strange:20240105T090000\r\n")).1;
        assert!(problem.is_some_and(|problem| problem.contains("not understood")));
    }

    #[test]
    fn a_zone_of_its_own_is_kept_both_ways() {
        let moon = zone(
            "Moon; base, 2",
            "+0137",
            Some(("+0237", "BYMONTH=2;BYDAY=1TU", "BYMONTH=9;BYMONTHDAY=8,9,10,11,12,13,14;BYDAY=WE")),
        );
        let text = item(
            &moon,
            "DTSTART;TZID=\"Moon; base, 2\":20240705T090000\r\nDTEND;TZID=\"Moon; base, 2\":20240705T103000\r\nEXDATE;TZID=\"Moon; base, 2\":20240712T090000\r\nRRULE:FREQ=WEEKLY\r\n",
        );
        let (data, problem) = convert(&text);
        assert_eq!((&data["timeZone"], problem), (&json!("/Moon; base, 2"), None), "{data}");
        assert_eq!((&data["start"], &data["duration"]), (&json!("2024-07-05T09:00:00"), &json!("PT1H30M")));
        assert_eq!(data["recurrenceOverrides"]["2024-07-12T09:00:00"], json!({"excluded": true}));
        let definition = &data["timeZones"]["/Moon; base, 2"];
        assert_eq!((&definition["@type"], &definition["tzId"]), (&json!("TimeZone"), &json!("Moon; base, 2")));
        assert_eq!(definition["daylight"][0]["offsetTo"], "+0237");
        assert!(!data.to_string().contains("Etc/"), "{data}");

        let back = String::from_utf8(to_ics(&data, &|_| None).unwrap()).unwrap().replace("\r\n ", "");
        assert_eq!(back.matches("BEGIN:VTIMEZONE").count(), 1, "{back}");
        assert!(back.contains("TZID:Moon\\; base\\, 2\r\n") && !back.contains("Etc/"), "{back}");
        assert!(back.contains("DTSTART;TZID=\"Moon; base, 2\":20240705T090000"), "{back}");
        assert_eq!(convert(&back).0["timeZones"], data["timeZones"]);

        // Of a definition that is too short, the name says more.
        let short = zone("US-Eastern", "-0500", US).replace("16010101", "20300101");
        let (data, problem) =
            convert(&item(&short, "DTSTART;TZID=US-Eastern:20240705T090000\r\nRRULE:FREQ=WEEKLY\r\n"));
        assert_eq!(data["timeZone"], "US/Eastern");
        assert!(problem.is_some_and(|problem| problem.contains("US-Eastern")));

        // A single event in it keeps its hour with a zone that all know, and says so.
        let plain = zone("Mars", "+0100", Some(("+0200", "BYMONTH=2;BYDAY=1TU", "BYMONTH=9;BYDAY=2WE")));
        let (data, problem) = convert(&item(&plain, "DTSTART;TZID=Mars:20240705T090000\r\n"));
        assert_eq!(data["timeZone"], "Etc/GMT-2");
        assert!(problem.is_some_and(|problem| problem.contains("Mars")));
    }

    #[test]
    fn hours_that_a_clock_shows_twice_are_kept() {
        for (start, zone) in [
            ("20241027T023000", "Europe/Berlin"),
            ("20240331T023000", "Europe/Berlin"),
            ("20240705T090000", "Europe/Berlin"),
        ] {
            let (data, problem) = convert(&item("", &format!("DTSTART;TZID={zone}:{start}\r\n")));
            assert_eq!((&data["timeZone"], problem), (&json!(zone), None), "{start}");
            assert!(data["start"].is_string() && data.get("timeZones").is_none(), "{data}");
        }
        let utc = item("", "DTSTART;TZID=Europe/Berlin:20241027T023000\r\nRRULE:FREQ=DAILY;UNTIL=20241101T000000Z\r\n");
        assert!(convert(&utc).1.is_some_and(|problem| problem.contains("Europe/Berlin")));
    }

    #[test]
    fn names_in_json_that_nobody_knows_are_written_as_they_are() {
        let out = |data: Value| String::from_utf8(to_ics(&data, &|_| None).unwrap()).unwrap().replace("\r\n ", "");
        let event =
            |zone: &str| json!({"@type": "Event", "uid": "u", "start": "2024-07-05T09:00:00", "timeZone": zone});
        assert!(out(event("/x.org/Europe/Berlin")).contains("DTSTART;TZID=Europe/Berlin:20240705T090000"));
        let text = out(event("/nowhere"));
        assert!(text.contains("DTSTART;TZID=nowhere:20240705T090000") && !text.contains("VTIMEZONE"), "{text}");
        assert!(out(event("Europe/Berlin")).contains("BEGIN:VTIMEZONE\r\nTZID:Europe/Berlin"));
        let zone = Definition::parse(zone("x", "+0100", EU).as_bytes()).unwrap();
        let mut data = event("/a");
        data["timeZones"] = json!({"/a": zone.to_json("Office"), "/b": zone.to_json("b")});
        data["locations"] = json!({"l": {"@type": "Location", "name": "n", "timeZone": "/b"}});
        let text = out(data);
        assert!(text.contains("DTSTART;TZID=Office:20240705T090000") && text.contains("TZID:Office\r\n"), "{text}");
    }
}
