//! JSCalendar to iCalendar.

use super::zones::Outgoing;
use crate::error::Result;
use crate::format::convert::{Blobs, JSON_LIMIT, check_shape, guarded, inline_blobs, repair, unreadable};
use crate::format::ics;
use crate::format::uid::uid_of;
use calcard::icalendar::ICalendarComponentType;
use calcard::jscalendar::JSCalendar;
use serde_json::{Map, Value, json};

/// See [`check_shape`]: about one second.
const COST_LIMIT: u64 = 400_000_000;

const PRODID: &str = "PRODID:-//Vandelay//Vandelay 2//EN\r\n";

/// One VCALENDAR (RFC 5545) of a JSCalendar object, as `calendar_events.data` of a 1.x archive holds it: an Event, a
/// Task, a Note (VJOURNAL), or a Group of these. Lines end with CRLF.
///
/// The uid is kept; an object without one gets one that is made of its text. Changed instances are written in full
/// (RFC 8984 4.3.5 keeps only what differs). Properties of RFC 8984 that the later drafts renamed are understood,
/// unknown ones become JSPROP properties. Blobs become `data:` URIs. Definitions of the time zones used are added;
/// they reach from the event's year to two years after the current one if it recurs without end.
///
/// # Errors
/// [`ErrorKind::Unreadable`](crate::error::ErrorKind::Unreadable) for what is no such object, for what is nested too deep, too
/// large or too rich to be converted in about a second, and for malformed blob references;
/// [`ErrorKind::Damaged`](crate::error::ErrorKind::Damaged) if a blob is missing.
pub fn to_ics(data: &Value, blobs: &Blobs<'_>) -> Result<Vec<u8>> {
    check_shape(data, COST_LIMIT)?;
    let Value::Object(map) = data else {
        return Err(unreadable("the event is no JSON object"));
    };
    let members: Vec<&Value> = match (map.get("@type").and_then(Value::as_str), map.get("entries")) {
        (Some("Group"), Some(Value::Array(entries))) => entries.iter().collect(),
        (Some("Group"), _) => Vec::new(),
        _ => vec![data],
    };
    let mut entries = Vec::with_capacity(members.len());
    let mut room = JSON_LIMIT;
    let mut notes = 0;
    let mut zones = Outgoing::default();
    let whole = data.to_string();
    for member in members {
        let mut member = member.clone();
        inline_blobs(&mut member, "href", blobs, &mut room)?;
        let Value::Object(mut map) = member else {
            continue;
        };
        match map.get("@type").and_then(Value::as_str) {
            Some("Event" | "Task") => {}
            Some("Note") => {
                notes += 1;
                map.insert("@type".to_owned(), json!("Event"));
            }
            None => {
                map.insert("@type".to_owned(), json!("Event"));
            }
            Some(_) => return Err(unreadable("the object is neither event, task nor note")),
        }
        let uid = uid_of(&map);
        map.insert("uid".to_owned(), uid.into());
        complete(&mut map);
        zones.prepare(&mut map, &whole);
        expand_overrides(&mut map, &mut room)?;
        entries.push(Value::Object(map));
    }
    if entries.is_empty() {
        return Err(unreadable("the group has no entries"));
    }
    let all_notes = notes == entries.len();
    let count = entries.len();
    let group = json!({"@type": "Group", "entries": entries});
    check_shape(&group, COST_LIMIT)?;
    let text = serde_json::to_string(&group).map_err(|cause| unreadable("the event").because(cause))?;
    let text = guarded(|| {
        let mut calendar = JSCalendar::<String, String>::parse(&text).ok()?.into_icalendar()?;
        if all_notes {
            for component in &mut calendar.components {
                if component.component_type == ICalendarComponentType::VEvent {
                    component.component_type = ICalendarComponentType::VJournal;
                }
            }
        }
        calendar.add_missing_timezones();
        Some(calendar.to_string())
    })
    .ok_or_else(|| unreadable("the event cannot be converted to iCalendar"))?;
    let bytes = zones.restore(repair(&text, PRODID));
    // Names of properties and components come from the data (`iCalendar`): they must not have made more of it.
    let split = ics::split(&bytes);
    if split.items.is_empty() || split.items.len() > count {
        return Err(unreadable("the event cannot be converted to iCalendar"));
    }
    Ok(bytes)
}

/// Names of RFC 8984 that the drafts behind calcard changed, and what RFC 5545 requires: DTSTAMP (`updated`).
fn complete(map: &mut Map<String, Value>) {
    if !map.contains_key("recurrenceRule")
        && let Some(Value::Array(rules)) = map.get_mut("recurrenceRules")
        && !rules.is_empty()
    {
        let first = rules.remove(0);
        if rules.is_empty() {
            map.shift_remove("recurrenceRules");
        }
        map.insert("recurrenceRule".to_owned(), first);
    }
    if !map.contains_key("organizerCalendarAddress")
        && let Some(address) = map.get("replyTo").and_then(|to| to.get("imip")).cloned()
    {
        map.insert("organizerCalendarAddress".to_owned(), address);
        map.shift_remove("replyTo");
    }
    if let Some(Value::Object(participants)) = map.get_mut("participants") {
        for participant in participants.values_mut().filter_map(Value::as_object_mut) {
            if !participant.contains_key("calendarAddress")
                && let Some(address) = participant.get("sendTo").and_then(|to| to.get("imip")).cloned()
            {
                participant.insert("calendarAddress".to_owned(), address);
                participant.shift_remove("sendTo");
            }
        }
    }
    if !map.contains_key("updated") {
        let updated = map.get("created").cloned().unwrap_or_else(|| json!("1970-01-01T00:00:00Z"));
        map.insert("updated".to_owned(), updated);
    }
}

/// Properties of the whole series that no instance has (RFC 8984 4.3.5), and what would repeat the series' own text.
const SERIES: [&str; 14] = [
    "@type",
    "excludedRecurrenceRules",
    "iCalendar",
    "method",
    "privacy",
    "prodId",
    "recurrenceId",
    "recurrenceIdTimeZone",
    "recurrenceOverrides",
    "recurrenceRule",
    "recurrenceRules",
    "relatedTo",
    "replyTo",
    "uid",
];

/// Applies every patch of `recurrenceOverrides` to the series: a component with RECURRENCE-ID replaces the instance
/// as a whole (RFC 5545 3.8.4.4), where an override of JSCalendar names only what differs.
fn expand_overrides(map: &mut Map<String, Value>, room: &mut usize) -> Result<()> {
    if !map.get("recurrenceOverrides").is_some_and(Value::is_object) {
        return Ok(());
    }
    let mut base = map.clone();
    base.retain(|key, _| !SERIES.contains(&key.as_str()));
    let size = serde_json::to_vec(&base).map_or(usize::MAX, |text| text.len());
    let Some(Value::Object(overrides)) = map.get_mut("recurrenceOverrides") else {
        return Ok(());
    };
    for (id, patch) in overrides.iter_mut() {
        let Value::Object(patch) = patch else {
            continue;
        };
        if patch.is_empty() || patch.get("excluded") == Some(&Value::Bool(true)) {
            continue;
        }
        *room = room.checked_sub(size).ok_or_else(|| unreadable("the event has too many changed instances"))?;
        let mut whole = base.clone();
        whole.insert("start".to_owned(), id.clone().into());
        for (path, value) in std::mem::take(patch) {
            if !SERIES.contains(&path.as_str()) || path == "iCalendar" {
                apply(&mut whole, &path, value);
            }
        }
        *patch = whole;
    }
    Ok(())
}

/// Sets, or with null removes, what a path names (PatchObject, RFC 8984 1.4.9). A path that leads nowhere is left out.
fn apply(whole: &mut Map<String, Value>, path: &str, value: Value) {
    let unescape = |part: &str| part.replace("~1", "/").replace("~0", "~");
    let path = path.strip_prefix('/').unwrap_or(path);
    let (parents, last) = match path.rsplit_once('/') {
        Some((parents, last)) => (Some(parents), unescape(last)),
        None => (None, unescape(path)),
    };
    let mut at = whole;
    for part in parents.into_iter().flat_map(|parents| parents.split('/')) {
        match at.get_mut(&unescape(part)) {
            Some(Value::Object(next)) => at = next,
            _ => return,
        }
    }
    if value.is_null() {
        at.shift_remove(&last);
    } else {
        at.insert(last, value);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::format::jscal::to_jscalendar;
    use crate::model::EventType;

    fn text(data: Value) -> String {
        let blobs = |id: i64| (id == 3).then(|| b"hi".to_vec());
        String::from_utf8(to_ics(&data, &blobs).unwrap()).unwrap().replace("\r\n ", "")
    }

    #[test]
    fn overrides_are_written_in_full() {
        let out = text(json!({
            "@type": "Event", "uid": "u", "title": "T", "start": "2024-01-01T10:00:00", "timeZone": "Europe/Berlin",
            "duration": "PT1H", "recurrenceRules": [{"@type": "RecurrenceRule", "frequency": "weekly"}],
            "alerts": {"a": {"@type": "Alert", "trigger": {"@type": "OffsetTrigger", "offset": "-PT5M"}}},
            "recurrenceOverrides": {
                "2024-01-08T10:00:00": {"location": "x", "alerts/a/trigger/offset": "-PT1H", "no/where/b": 1},
                "2024-01-15T10:00:00": {"excluded": true},
                "2024-01-16T10:00:00": {},
                "2024-01-22T10:00:00": {"title": null, "start": "2024-01-22T12:00:00"}
            }
        }));
        assert!(out.contains("PRODID:"), "{out}");
        assert!(out.contains("BEGIN:VTIMEZONE"), "{out}");
        assert!(out.contains("RRULE:FREQ=WEEKLY"), "{out}");
        assert_eq!(out.matches("SUMMARY:T").count(), 2, "{out}");
        assert_eq!(out.matches("DURATION:PT1H").count(), 3, "{out}");
        assert!(out.contains("DTSTART;TZID=Europe/Berlin:20240108T100000"), "{out}");
        assert!(out.contains("DTSTART;TZID=Europe/Berlin:20240122T120000"), "{out}");
        assert!(out.contains("TRIGGER:-PT1H") && out.contains("TRIGGER:-PT5M"), "{out}");
        assert!(out.contains("EXDATE") && out.contains("RDATE"), "{out}");
        assert_eq!(ics::split(out.as_bytes()).items.len(), 1);
    }

    #[test]
    fn tasks_notes_groups_and_blobs() {
        let out =
            text(json!({"@type": "Task", "uid": "t", "title": "x", "links": {"l": {"@blob": 3, "rel": "enclosure"}}}));
        assert!(out.contains("BEGIN:VTODO") && out.contains(":data:application/octet-stream;base64,aGk=\r\n"), "{out}");
        let out = text(json!({"@type": "Note", "uid": "n", "title": "x", "unheard-of": {"a": [1, null]}}));
        assert!(out.contains("BEGIN:VJOURNAL") && out.contains("UID:n\r\n") && out.contains("JSPROP"), "{out}");
        let back = to_jscalendar(out.as_bytes(), "n", EventType::Note);
        assert_eq!(back.data["unheard-of"], json!({"a": [1, null]}));
        let out = text(json!({"@type": "Group", "uid": "g", "entries": [{"uid": "a"}, {"uid": "b"}]}));
        assert_eq!(ics::split(out.as_bytes()).items.len(), 2);
    }

    #[test]
    fn hostile_objects() {
        let none = |_: i64| None;
        for bad in [json!(null), json!([]), json!({"@type": "Group"}), json!({"@type": "Card"}), json!({"@blob": 1})] {
            assert!(to_ics(&bad, &none).is_err(), "{bad}");
        }
        for odd in [
            json!({"uid": 7, "start": [], "recurrenceOverrides": {"x": 1, "": {}, "y": {"a/b/c": 1}}, "alerts": 3}),
            json!({"uid": "a\r\nBEGIN:VEVENT\r\nUID:b", "title": {"x": 1}}),
            json!({"uid": "a", "iCalendar": {"properties": [["x\r\nEND:VEVENT", {}, "text", "x"]]}}),
            json!({"uid": "a", "iCalendar": {"components": [["vevent\r\nEND:X", [["uid", {}, "text", "x"]], []]]}}),
        ] {
            if let Ok(bytes) = to_ics(&odd, &none) {
                assert_eq!(ics::split(&bytes).items.len(), 1, "{}", String::from_utf8_lossy(&bytes));
            }
        }
        let many: Map<String, Value> =
            (0..3000).map(|i| (format!("2024-01-01T00:{i}"), json!({"title": "x"}))).collect();
        let bomb = json!({"uid": "a", "description": "x".repeat(1 << 16), "recurrenceOverrides": many});
        assert!(to_ics(&bomb, &none).is_err());
    }
}
