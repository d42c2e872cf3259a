//! iCalendar to JSCalendar (RFC 8984 and the conversion drafts behind calcard) and back, in the form that Vandelay 1.x
//! keeps in `calendar_events.data`.

use super::contentline::{self as lines, Prop};
use super::convert::{Converted, binary_as_uri, guarded, sort_keys};
use super::ics;
use crate::model::EventType;
use calcard::icalendar::ICalendarComponentType;
use calcard::jscalendar::import::ConversionOptions;
use calcard::{Entry, Parser};
use serde_json::{Map, Value, json};
use zones::Zones;

pub use export::to_ics;

mod export;
mod zones;

/// Larger items (bytes) are not converted.
const ITEM_LIMIT: usize = 32 << 20;
/// Components nested deeper are not converted: the library's values are dropped and written recursively.
const DEPTH_LIMIT: usize = 16;
/// The sum over all components of (properties and values)² at most; see [`weigh`]. Takes about one second.
const COST_LIMIT: u64 = 400_000_000;

/// Properties that belong to a request or an answer and not to the event (1.x leaves them out).
const TRANSIENT: [&str; 5] = ["method", "utcStart", "utcEnd", "isOrigin", "baseEventId"];

/// The JSCalendar object of one item of [`ics::split`]: the master with its `recurrenceOverrides`, with `@type`
/// (`Event`, `Task`, or `Note` for VJOURNAL, which JSCalendar does not know) and `uid`, never a Group. What JSCalendar
/// has no property for stands below `iCalendar`, definitions of time zones that have a name are left out. Text that is not UTF-8 is taken
/// for Windows-1252.
///
/// It always gives an object: if the item is too large, nested too deep or unreadable to the library, a stub with
/// `title` and `start`. No recurrence is expanded. A time zone that has no name of the IANA database gets the one that its
/// definition describes, or else stands below `timeZones`.
pub fn to_jscalendar(ics: &[u8], uid: &str, data_type: EventType) -> Converted {
    let sound = ics::sound(ics, data_type);
    let problem = match weigh(&sound.text).and_then(|()| convert(&sound.text, uid, data_type)) {
        Ok((data, mut lost)) => {
            match (sound.masters, sound.members.len()) {
                (0, 2..) => lost.push("only the first of several instances without a master is converted".to_owned()),
                (2.., _) => lost.push("only the first of several components with one UID is converted".to_owned()),
                _ => {}
            }
            let problem = (!lost.is_empty()).then(|| lost.join("; "));
            return Converted { data, problem, stub: false };
        }
        Err(problem) => problem,
    };
    let component = sound.members.first().and_then(|range| ics.get(range.clone())).unwrap_or_default();
    Converted { data: stub(component, uid, data_type), problem: Some(problem.to_owned()), stub: true }
}

/// Refuses what the library is slow on. Its maps look every key up from the start, so that n dates of an RDATE, n
/// attendees or n overrides cost n²; values nested without bound would overflow the stack.
fn weigh(text: &str) -> Result<(), &'static str> {
    if text.len() > ITEM_LIMIT {
        return Err("larger than 32 MiB");
    }
    let mut open = vec![0u64];
    let mut cost = 0u64;
    for line in lines::lines(text.as_bytes()) {
        let unfolded = line.text();
        let Some(prop) = Prop::parse(&unfolded) else {
            continue;
        };
        if prop.is("END") {
            let done = open.pop().unwrap_or(0);
            cost = cost.saturating_add(done.saturating_mul(done));
            continue;
        }
        if let Some(last) = open.last_mut() {
            *last += 1 + values(&prop);
        }
        if prop.is("BEGIN") {
            open.push(0);
            if open.len() > DEPTH_LIMIT {
                return Err("nested too deep");
            }
        }
    }
    match open.into_iter().fold(cost, |sum, count| sum.saturating_add(count.saturating_mul(count))) {
        ..=COST_LIMIT => Ok(()),
        _ => Err("too many properties"),
    }
}

/// How many values a property may become: what its commas and semicolons part, except in running text and data.
fn values(prop: &Prop<'_>) -> u64 {
    const TEXTS: [&str; 8] =
        ["DESCRIPTION", "SUMMARY", "COMMENT", "X-ALT-DESC", "ATTACH", "IMAGE", "LOCATION", "STYLED-DESCRIPTION"];
    let count = |bytes: &[u8]| bytes.iter().filter(|byte| matches!(byte, b',' | b';')).count() as u64;
    let value = if TEXTS.iter().any(|name| prop.is(name)) { 0 } else { count(prop.value) };
    value + count(prop.params)
}

/// The object, and what of the original is not in it.
fn convert(text: &str, uid: &str, data_type: EventType) -> Result<(Value, Vec<String>), &'static str> {
    let zones = Zones::of(text);
    let (text, has_start) = for_the_library(&lines::plain_breaks(text), &zones);
    let value = guarded(|| {
        let Entry::ICalendar(mut calendar) = Parser::new(&text).entry() else {
            return None;
        };
        if data_type == EventType::Note {
            // The library converts VEVENT and VTODO only.
            for component in &mut calendar.components {
                if component.component_type == ICalendarComponentType::VJournal {
                    component.component_type = ICalendarComponentType::VEvent;
                }
            }
        }
        let options = ConversionOptions::default().include_ical_components(true).return_first(true);
        let object = calendar.into_jscalendar_with_opt::<String, String>(options);
        serde_json::to_value(&object.0).ok()
    });
    let Some(Value::Object(mut map)) = value else {
        return Err("the library cannot read it");
    };
    if map.get("@type").and_then(Value::as_str) == Some("Group") {
        return Err("the library finds no component in it");
    }
    for name in TRANSIENT {
        map.remove(name);
    }
    map.insert("@type".to_owned(), data_type.name().into());
    map.insert("uid".to_owned(), uid.into());
    if data_type == EventType::Note
        && let Some(Value::Object(ical)) = map.get_mut("iCalendar")
    {
        ical.remove("name");
    }
    zones.restore(&mut map);
    let mut lost = zones.lost;
    if has_start && !map.contains_key("start") {
        lost.push("its start is not understood".to_owned());
    }
    let mut value = Value::Object(map);
    sort_keys(&mut value);
    Ok((value, lost))
}

/// `text` with binary attachments as `data:` URIs, with names of time zones that the library knows, and without empty
/// lines before continuations; and whether the first component begins at some time.
fn for_the_library(text: &str, zones: &Zones) -> (String, bool) {
    let mut out = String::with_capacity(text.len());
    let (mut depth, mut is_over, mut has_start) = (0usize, false, false);
    for line in lines::lines(text.as_bytes()) {
        let unfolded = line.text();
        let prop = Prop::parse(&unfolded);
        if let Some(prop) = &prop {
            let is_zone = prop.value.trim_ascii().eq_ignore_ascii_case(b"VTIMEZONE");
            if prop.is("BEGIN") {
                depth += 1;
            } else if prop.is("END") {
                depth = depth.saturating_sub(1);
                is_over |= depth == 1 && !is_zone;
            }
            has_start |= prop.is("DTSTART") && depth == 2 && !is_over;
        }
        let other = |prop: &Prop<'_>| {
            binary_as_uri(prop).or_else(|| {
                let line = zones.line(&unfolded, prop)?;
                Some(lines::decode(&line).into_owned() + "\n")
            })
        };
        match prop.as_ref().and_then(other) {
            Some(other) => out.push_str(&other),
            None if line.gap => {
                out.push_str(&lines::decode(&unfolded));
                out.push('\n');
            }
            None => out.push_str(text.get(line.start..line.end).unwrap_or_default()),
        }
    }
    (out, has_start)
}

/// What stands for an item that cannot be converted.
fn stub(component: &[u8], uid: &str, data_type: EventType) -> Value {
    let mut map = Map::new();
    map.insert("@type".to_owned(), data_type.name().into());
    map.insert("uid".to_owned(), uid.into());
    map.insert("title".to_owned(), "".into());
    let mut depth = 0usize;
    for line in lines::lines(component) {
        let text = line.text();
        match Prop::parse(&text) {
            Some(prop) if prop.is("BEGIN") => depth += 1,
            Some(prop) if prop.is("END") => depth = depth.saturating_sub(1),
            Some(prop) if depth == 1 && prop.is("SUMMARY") => {
                let value = prop.value.get(..4096).unwrap_or(prop.value);
                let title = lines::unescape(&lines::decode(value)).trim().to_owned();
                map.insert("title".to_owned(), title.into());
            }
            Some(prop) if depth == 1 && prop.is("DTSTART") => start(&prop, &mut map),
            _ => {}
        }
    }
    let mut value = Value::Object(map);
    sort_keys(&mut value);
    value
}

/// `start`, `timeZone` and `showWithoutTime` of a DTSTART property (RFC 8984 4.1.1, 4.7.1, 4.2.6).
fn start(prop: &Prop<'_>, map: &mut Map<String, Value>) {
    let value = prop.value.trim_ascii();
    let (date, time) = match value.split_at_checked(8) {
        Some((date, [])) => (date, &b"000000"[..]),
        Some((date, [b'T' | b't', time @ ..])) => (date, time),
        _ => return,
    };
    let (time, zulu) = match time.split_at_checked(6) {
        Some((time, [])) => (time, false),
        Some((time, [b'Z' | b'z'])) => (time, true),
        _ => return,
    };
    let digits: String = date.iter().chain(time).map(|byte| char::from(*byte)).collect();
    if !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return;
    }
    let part = |from: usize, to: usize| digits.get(from..to).unwrap_or_default();
    let local =
        format!("{}-{}-{}T{}:{}:{}", part(0, 4), part(4, 6), part(6, 8), part(8, 10), part(10, 12), part(12, 14));
    map.insert("start".to_owned(), local.into());
    match prop.param("TZID").map(lines::decode) {
        _ if zulu => map.insert("timeZone".to_owned(), json!("Etc/UTC")),
        Some(zone) if zone.contains('/') && zone.len() < 64 && !zone.contains(char::is_control) => {
            map.insert("timeZone".to_owned(), json!(zone))
        }
        _ if value.len() == 8 => map.insert("showWithoutTime".to_owned(), json!(true)),
        _ => None,
    };
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::format::work;

    fn event(body: &str) -> String {
        format!("BEGIN:VCALENDAR\r\nBEGIN:VEVENT\r\nUID:u\r\nSUMMARY:a\\, b\r\n{body}END:VEVENT\r\nEND:VCALENDAR\r\n")
    }

    fn to_js(text: &str) -> Converted {
        to_jscalendar(text.as_bytes(), "given", EventType::Event)
    }

    #[test]
    fn events_become_jscalendar() {
        let text = event("DTSTART;TZID=Europe/Berlin:20240101T100000\r\nRRULE:FREQ=WEEKLY\r\nX-ODD:1\r\n").replace(
            "END:VCALENDAR",
            "BEGIN:VEVENT\r\nUID:u\r\nRECURRENCE-ID;TZID=Europe/Berlin:20240108T100000\r\nSUMMARY:c\r\nEND:VEVENT\r\nEND:VCALENDAR",
        );
        let converted = to_js(&text);
        assert_eq!((converted.problem, converted.stub), (None, false));
        let data = converted.data;
        assert_eq!(data["@type"], "Event");
        assert_eq!(data["uid"], "given");
        assert_eq!(data["title"], "a, b");
        assert_eq!(data["timeZone"], "Europe/Berlin");
        assert_eq!(data["recurrenceOverrides"]["2024-01-08T10:00:00"]["title"], "c");
        assert!(data.to_string().contains("x-odd"));
        assert!(data.to_string().find("@type").unwrap() < data.to_string().find("title").unwrap());
    }

    #[test]
    fn journals_bare_and_broken_items() {
        let journal = "BEGIN:VJOURNAL\nUID:j\nSUMMARY:M\u{fc}ller\nBEGIN:X\nEND:VJOURNAL\n";
        let converted = to_jscalendar(journal.as_bytes(), "j", EventType::Note);
        assert_eq!(converted.data["title"], "Müller");
        assert_eq!(converted.data["@type"], "Note");
        let latin = b"BEGIN:VCALENDAR\rBEGIN:VTODO\rUID:t\rSUMMARY:M\xFCller";
        let converted = to_jscalendar(latin, "t", EventType::Task);
        assert_eq!(converted.data["title"], "Müller");
        assert!(!converted.stub);
        let attached = to_js(&event("ATTACH;FMTTYPE=text/plain;ENCODING=BASE64;VALUE=BINARY:aGVs\r\n bG8=\r\n"));
        assert!(attached.data.to_string().contains("data:text/plain;base64,aGVsbG8="), "{}", attached.data);
    }

    #[test]
    fn stubs() {
        for (value, start, more) in [
            ("DTSTART:20240102T030405Z", "2024-01-02T03:04:05", ("timeZone", json!("Etc/UTC"))),
            ("DTSTART;TZID=A/B:20240102T030405", "2024-01-02T03:04:05", ("timeZone", json!("A/B"))),
            ("DTSTART;VALUE=DATE:20240102", "2024-01-02T00:00:00", ("showWithoutTime", json!(true))),
        ] {
            let converted = to_js(&event(&format!("{value}\r\n{}", "BEGIN:X\r\n".repeat(100_000))));
            assert!(converted.stub && converted.problem.is_some());
            assert_eq!(converted.data["start"], start);
            assert_eq!(converted.data["title"], "a, b");
            assert_eq!(converted.data[more.0], more.1);
        }
        assert_eq!(to_js("nothing").data["@type"], "Event");
        assert_eq!(to_jscalendar(b"", "x", EventType::Note).data["uid"], "x");
    }

    #[test]
    fn hostile_items_take_no_long_time() {
        let start = work::begin();
        let many = |line: &dyn Fn(usize) -> String, count: usize| (0..count).map(line).collect::<String>();
        let date = |i: usize| {
            let (year, month, day) = (1970 + i / 8064, 1 + (i / 672) % 12, 1 + (i / 24) % 28);
            format!("{year:04}{month:02}{day:02}T{:02}0000Z,", i % 24)
        };
        let bodies = [
            format!("RDATE:{}\r\n", many(&date, 1_000_000)),
            format!("EXDATE:{}\r\n", many(&date, 15_000)),
            many(&|i| format!("X-P{i}:1\r\n"), 1_000_000),
            many(&|i| format!("ATTENDEE:mailto:{i}\r\n"), 15_000),
            format!("ATTENDEE;MEMBER={}:x\r\n", many(&|i| format!("\"mailto:{i}\","), 1_000_000)),
            "RRULE:FREQ=SECONDLY;COUNT=1000000000\r\n".repeat(10_000),
            format!(
                "DTSTART;TZID=Europe/Berlin:00010101T000000\r\nRRULE:FREQ=SECONDLY;INTERVAL=1;UNTIL=99991231T235959Z;BYSECOND={}\r\n",
                "1,".repeat(10_000)
            ),
            format!("DESCRIPTION:{}\r\n", "a\r\n ".repeat(4_000_000)),
            format!("DESCRIPTION:{}\r\n", "x".repeat(20 << 20)),
            "BEGIN:VALARM\r\n".repeat(100_000),
            "BEGIN:PARTICIPANT\r\n".repeat(14) + "END:PARTICIPANT\r\n",
            "A;B=\"\r\n".repeat(10_000),
        ];
        for body in bodies {
            let one = work::begin();
            let converted = to_js(&event(&body));
            assert_eq!(converted.data["uid"], "given");
            if let Ok(bytes) = to_ics(&converted.data, &|_| None) {
                assert_eq!(ics::split(&bytes).items.len(), 1);
            }
            assert!(one.elapsed().as_secs() < 15, "{:?} {:?} {}", one.elapsed(), converted.problem, &body[..40]);
        }
        assert!(start.elapsed().as_secs() < 60, "{:?}", start.elapsed());
    }
}
