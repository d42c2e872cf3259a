//! iCalendar to JSCalendar (RFC 8984 and the conversion drafts behind calcard) and back, in the form that Vandelay 1.x
//! keeps in `calendar_events.data`.

use serde_json::{Map, Value, json};

use calcard::icalendar::ICalendarComponentType;
use calcard::jscalendar::import::ConversionOptions;
use calcard::{Entry, Parser};

pub use export::to_ics;

use crate::format::convert::{Converted, binary_as_uri, guarded, sort_keys};
use crate::format::lines::{self, Prop};
use crate::format::{ics, object};
use crate::model::EventType;

mod export;

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
/// has no property for stands below `iCalendar`, time zone definitions are left out. Text that is not UTF-8 is taken
/// for Windows-1252.
///
/// It always gives an object: if the item is too large, nested too deep or unreadable to the library, a stub with
/// `title` and `start`. No recurrence is expanded.
pub fn to_jscalendar(ics: &[u8], uid: &str, data_type: EventType) -> Converted {
    let sound = ics::sound(ics, data_type);
    let problem = match weigh(&sound.text).and_then(|()| convert(&sound.text, uid, data_type)) {
        Ok(data) => {
            let lost = match (sound.masters, sound.members.len()) {
                (0, 2..) => Some("only the first of several instances without a master is converted".to_string()),
                (2.., _) => Some("only the first of several components with one UID is converted".to_string()),
                _ => None,
            };
            return Converted { data, problem: lost, stub: false };
        }
        Err(problem) => problem,
    };
    let component = sound.members.first().and_then(|range| ics.get(range.clone())).unwrap_or_default();
    Converted { data: stub(component, uid, data_type), problem: Some(problem.to_string()), stub: true }
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

fn convert(text: &str, uid: &str, data_type: EventType) -> Result<Value, &'static str> {
    let text = with_uris(&lines::plain_breaks(text));
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
    map.insert("@type".to_string(), data_type.name().into());
    map.insert("uid".to_string(), uid.into());
    if data_type == EventType::Note
        && let Some(Value::Object(ical)) = map.get_mut("iCalendar")
    {
        ical.remove("name");
    }
    let mut value = Value::Object(map);
    sort_keys(&mut value);
    Ok(value)
}

/// `text` with binary attachments as `data:` URIs.
fn with_uris(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for line in lines::lines(text.as_bytes()) {
        let unfolded = line.text();
        match Prop::parse(&unfolded).as_ref().and_then(binary_as_uri) {
            Some(uri) => out.push_str(&uri),
            None => out.push_str(text.get(line.start..line.end).unwrap_or_default()),
        }
    }
    out
}

/// What stands for an item that cannot be converted.
fn stub(component: &[u8], uid: &str, data_type: EventType) -> Value {
    let mut map = Map::new();
    map.insert("@type".to_string(), data_type.name().into());
    map.insert("uid".to_string(), uid.into());
    map.insert("title".to_string(), "".into());
    let mut depth = 0usize;
    for line in lines::lines(component) {
        let text = line.text();
        match Prop::parse(&text) {
            Some(prop) if prop.is("BEGIN") => depth += 1,
            Some(prop) if prop.is("END") => depth = depth.saturating_sub(1),
            Some(prop) if depth == 1 && prop.is("SUMMARY") => {
                let value = prop.value.get(..4096).unwrap_or(prop.value);
                let title = lines::unescape(&lines::decode(value)).trim().to_string();
                map.insert("title".to_string(), title.into());
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
    map.insert("start".to_string(), local.into());
    match prop.param("TZID").map(lines::decode) {
        _ if zulu => map.insert("timeZone".to_string(), json!("Etc/UTC")),
        Some(zone) if zone.contains('/') && zone.len() < 64 && !zone.contains(char::is_control) => {
            map.insert("timeZone".to_string(), json!(zone))
        }
        _ if value.len() == 8 => map.insert("showWithoutTime".to_string(), json!(true)),
        _ => None,
    };
}

/// The uid of a JSON object, or one made of its text.
fn uid_of(map: &Map<String, Value>) -> String {
    map.get("uid").and_then(Value::as_str).and_then(|uid| object::clean_uid_text(uid)).unwrap_or_else(|| {
        let text = serde_json::to_vec(map).unwrap_or_default();
        object::synthetic_uid(&text)
    })
}
