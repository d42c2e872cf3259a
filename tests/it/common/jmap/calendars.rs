//! Rules of Calendar, CalendarEvent and ParticipantIdentity: draft-ietf-jmap-calendars, and RFC 8984 for what an Event is.

use super::call::{Call, SetError};
use super::contacts::{container_name, containers, is_vendor, keep_default, share_with, uid_exists};
use super::mailboxes::sort_order;
use super::options::{CALENDARS, Participants};
use super::schema::Kind;
use super::session::account_capability;
use super::shape::{Shape, is_id};
use super::store::{keys, now};
use serde_json::{Map, Value, json};

pub(super) const RIGHTS: [&str; 8] = [
    "mayReadFreeBusy",
    "mayReadItems",
    "mayWriteAll",
    "mayWriteOwn",
    "mayUpdatePrivate",
    "mayRSVP",
    "mayShare",
    "mayDelete",
];

/// The properties of an Event (RFC 8984 section 4 and 5.1, its successor, and the draft) and their types.
const PROPERTIES: [(&str, Shape); 54] = [
    // Of a Task (RFC 8984 section 5.2).
    ("due", Shape::LocalDate),
    ("estimatedDuration", Shape::Duration),
    ("percentComplete", Shape::Unsigned),
    ("progress", Shape::Text),
    ("progressUpdated", Shape::UtcDate),
    ("relatedTo", Shape::TextMap),
    ("prodId", Shape::Text),
    ("created", Shape::UtcDate),
    ("updated", Shape::UtcDate),
    ("sequence", Shape::Unsigned),
    ("method", Shape::Text),
    ("title", Shape::Text),
    ("description", Shape::Text),
    ("descriptionContentType", Shape::Text),
    ("showWithoutTime", Shape::Bool),
    ("locations", Shape::IdMap),
    ("mainLocationId", Shape::Id),
    ("virtualLocations", Shape::IdMap),
    ("links", Shape::IdMap),
    ("locale", Shape::Text),
    ("keywords", Shape::TextSet),
    ("categories", Shape::TextSet),
    ("color", Shape::Text),
    ("recurrenceId", Shape::LocalDate),
    ("recurrenceIdTimeZone", Shape::Text),
    ("recurrenceRule", Shape::Object),
    ("recurrenceRules", Shape::Objects),
    ("excludedRecurrenceRules", Shape::Objects),
    ("recurrenceOverrides", Shape::TextMap),
    ("excluded", Shape::Bool),
    ("priority", Shape::Int),
    ("freeBusyStatus", Shape::Text),
    ("privacy", Shape::Text),
    ("replyTo", Shape::TextToText),
    ("organizerCalendarAddress", Shape::Text),
    ("sentBy", Shape::Text),
    ("participants", Shape::IdMap),
    ("requestStatus", Shape::Text),
    ("useDefaultAlerts", Shape::Bool),
    ("alerts", Shape::IdMap),
    ("localizations", Shape::TextMap),
    ("timeZone", Shape::Text),
    ("timeZones", Shape::TextMap),
    ("start", Shape::LocalDate),
    ("duration", Shape::Duration),
    ("endTimeZone", Shape::Text),
    ("status", Shape::Text),
    ("mayInviteSelf", Shape::Bool),
    ("mayInviteOthers", Shape::Bool),
    ("hideAttendees", Shape::Bool),
    ("iCalendar", Shape::Any),
    ("iCalComponent", Shape::Any),
    ("scheduleSequence", Shape::Unsigned),
    ("scheduleUpdated", Shape::UtcDate),
];

/// How the names of the Time Zone Database begin.
const AREAS: [&str; 16] = [
    "Africa",
    "America",
    "Antarctica",
    "Arctic",
    "Asia",
    "Atlantic",
    "Australia",
    "Brazil",
    "Canada",
    "Chile",
    "Etc",
    "Europe",
    "Indian",
    "Mexico",
    "Pacific",
    "US",
];

/// The names that have no area.
const ZONES: [&str; 19] = [
    "CET", "CST6CDT", "EET", "EST", "EST5EDT", "GB", "GMT", "HST", "Iran", "Israel", "Japan", "MET", "MST", "MST7MDT",
    "NZ", "PST8PDT", "Turkey", "UTC", "WET",
];

/// Those that are stored per user, and may be null: changing them is no change of the event.
pub(super) const PER_USER: [&str; 5] = ["keywords", "color", "freeBusyStatus", "useDefaultAlerts", "alerts"];

/// True for a property that an event can have.
pub(super) fn is_property(name: &str) -> bool {
    PROPERTIES.iter().any(|(known, _)| *known == name) || is_vendor(name)
}

/// Checks a calendar.
pub(super) fn check_calendar(
    call: &mut Call,
    old: Option<&Value>,
    new: &mut Map<String, Value>,
) -> Result<(), SetError> {
    container_name(new)?;
    sort_order(new)?;
    if old.is_none() && account_capability(&call.account.options, CALENDARS)["mayCreateCalendar"] == Value::Bool(false)
    {
        return Err(SetError::new("forbidden", "mayCreateCalendar is false"));
    }
    if !["all", "attending", "none"].iter().any(|known| new["includeInAvailability"] == *known) {
        return Err(SetError::property("includeInAvailability", "it is not one of all, attending, none"));
    }
    if let Some(color) = new["color"].as_str() {
        let is_hex = color
            .strip_prefix('#')
            .is_some_and(|digits| matches!(digits.len(), 3 | 6) && digits.bytes().all(|byte| byte.is_ascii_hexdigit()));
        if !is_hex && (color.is_empty() || !color.bytes().all(|byte| byte.is_ascii_alphabetic())) {
            return Err(SetError::property("color", format!("{color:?} is no name of CSS and no hexadecimal RGB")));
        }
    }
    time_zone(new, "timeZone")?;
    for property in ["defaultAlertsWithTime", "defaultAlertsWithoutTime"] {
        if let Some(alerts) = new.get(property).and_then(Value::as_object) {
            alerts.values().try_for_each(|alert| check_alert(property, alert))?;
            // "The "trigger" MUST NOT be an AbsoluteTrigger".
            if alerts.values().any(|alert| alert["trigger"]["@type"] == "AbsoluteTrigger") {
                return Err(SetError::property(property, "a default alert has an AbsoluteTrigger"));
            }
        }
    }
    unique_alerts(call, new)?;
    share_with(call, old, new, &RIGHTS)
}

/// "The value MUST be a time zone id from the IANA Time Zone Database": judged by its form, as not every machine has it.
fn time_zone(new: &Map<String, Value>, property: &str) -> Result<(), SetError> {
    let Some(zone) = new.get(property).and_then(Value::as_str) else { return Ok(()) };
    // RFC 8984 section 4.7.2 lets an event bring its own zones, whose names begin with a slash.
    let is_own = zone.starts_with('/') && new.get("timeZones").is_some_and(|zones| zones.get(zone).is_some());
    let is_name = |name: &str| {
        !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_+-".contains(&byte))
    };
    let is_known = ZONES.contains(&zone)
        || zone.split_once('/').is_some_and(|(area, place)| AREAS.contains(&area) && place.split('/').all(is_name));
    if is_own || is_known { Ok(()) } else { Err(SetError::property(property, format!("{zone:?} is no time zone"))) }
}

/// "Ids MUST be unique across all default alerts in the account, including those in other calendars".
fn unique_alerts(call: &Call, new: &Map<String, Value>) -> Result<(), SetError> {
    let [with, without] = ["defaultAlertsWithTime", "defaultAlertsWithoutTime"];
    if let Some(id) = keys(&new[with]).find(|id| new[without].get(id).is_some()) {
        return Err(SetError::property(without, format!("the alert {id} is in both")));
    }
    for (other, row) in &call.account.table(Kind::Calendar).rows {
        if new["id"] == json!(other) || call.ignored.contains(other) {
            continue;
        }
        for property in [with, without] {
            if keys(&new[property]).any(|id| row[with].get(&id).is_some() || row[without].get(&id).is_some()) {
                return Err(SetError::conflict("invalidProperties", property, format!("{other} has such an alert")));
            }
        }
    }
    Ok(())
}

fn check_alert(property: &str, alert: &Value) -> Result<(), SetError> {
    let is_typed = alert.get("@type").is_none_or(|it| it == "Alert");
    match is_typed && alert["trigger"].is_object() {
        true => Ok(()),
        false => Err(SetError::property(property, "an alert is no Alert with a trigger")),
    }
}

/// Destroys a calendar, if it may be.
pub(super) fn destroy_calendar(call: &mut Call, id: &str) -> Result<(), SetError> {
    keep_default(call, id)?;
    call.may(Kind::Calendar, id, "mayDelete")?;
    let events = call.account.members(Kind::CalendarEvent, "calendarIds", id);
    if !events.is_empty() && call.arguments.get("onDestroyRemoveEvents") != Some(&Value::Bool(true)) {
        return Err(SetError::new("calendarHasEvent", format!("it has {} events", events.len())));
    }
    for event in events {
        call.account.take_out(Kind::CalendarEvent, "calendarIds", &event, id);
    }
    Ok(())
}

/// Checks an event, and sets what the draft wants a server to set.
pub(super) fn check_event(call: &mut Call, old: Option<&Value>, new: &mut Map<String, Value>) -> Result<(), SetError> {
    let capability = account_capability(&call.account.options, CALENDARS);
    containers(call, old, new, "calendarIds", Kind::Calendar, capability["maxCalendarsPerEvent"].as_u64())?;
    for calendar in keys(&new["calendarIds"]).chain(old.into_iter().flat_map(|old| keys(&old["calendarIds"]))) {
        call.may(Kind::Calendar, &calendar, "mayWriteAll")?;
    }
    let types = call.options.event_types;
    let of = new["@type"].as_str().unwrap_or_default().to_owned();
    if !types.contains(&of.as_str()) {
        return Err(SetError::conflict("invalidProperties", "@type", format!("it is none of {}", types.join(", "))));
    }
    // "The "method" property MUST NOT be set."
    if new.contains_key("method") {
        return Err(SetError::property("method", "an event of a calendar has no method"));
    }
    for (name, shape) in PROPERTIES {
        match new.get(name) {
            None => {}
            Some(Value::Null) if old.is_some() => {}
            Some(value) => shape.check(value).map_err(|why| SetError::property(name, format!("{name} is {why}")))?,
        }
    }
    utc(new)?;
    if of == "Event" && !new.get("start").is_some_and(Value::is_string) {
        return Err(SetError::conflict("invalidProperties", "start", "it is missing".to_owned()));
    }
    // "The earliest date-time value the server is willing to accept for any date stored in a CalendarEvent."
    let start = new.get("start").and_then(Value::as_str).unwrap_or_default();
    let [earliest, latest] = ["minDateTime", "maxDateTime"].map(|name| capability[name].as_str().unwrap_or_default());
    if !start.is_empty() && (start < earliest.trim_end_matches('Z') || start > latest.trim_end_matches('Z')) {
        return Err(SetError::property("start", format!("it is not between {earliest} and {latest}")));
    }
    time_zone(new, "timeZone")?;
    time_zone(new, "endTimeZone")?;
    check_parts(new)?;
    let most = capability["maxParticipantsPerEvent"].as_u64();
    let count = new.get("participants").and_then(Value::as_object).map_or(0, Map::len) as u64;
    if most.is_some_and(|most| count > most) {
        return Err(SetError::property("participants", format!("{count} are too many")));
    }
    for (_, link) in new.get("links").and_then(Value::as_object).into_iter().flatten() {
        if let Some(blob) = link["blobId"].as_str() {
            call.blob(blob)?;
        }
    }
    // "This may only be set to true upon creation."
    if new["isDraft"] == Value::Bool(true) && old.is_some_and(|old| old["isDraft"] == Value::Bool(false)) {
        return Err(SetError::property("isDraft", "an event does not become a draft again"));
    }
    if new.get("uid").is_none() {
        let uid = call.account.new_name("uid-");
        new.insert("uid".to_owned(), uid.into());
    }
    set_times(call, old, new);
    unique(call, new)
}

/// `utcStart` and `utcEnd` are translated; never together with what they are translated to.
fn utc(new: &mut Map<String, Value>) -> Result<(), SetError> {
    let start = new.remove("utcStart");
    if let Some(Value::String(utc)) = &start {
        if new.contains_key("start") {
            return Err(SetError::property("utcStart", "there is a start too"));
        }
        new.insert("start".to_owned(), utc.trim_end_matches('Z').into());
        new.insert("timeZone".to_owned(), "Etc/UTC".into());
    }
    match (new.remove("utcEnd"), new.contains_key("duration")) {
        (Some(Value::String(_)), true) => Err(SetError::property("utcEnd", "there is a duration too")),
        (Some(Value::String(_)), false) => Err(SetError::new("forbidden", "the test server does not translate utcEnd")),
        _ => Ok(()),
    }
}

fn check_parts(new: &Map<String, Value>) -> Result<(), SetError> {
    for (key, rule) in rules(new) {
        let frequencies = ["yearly", "monthly", "weekly", "daily", "hourly", "minutely", "secondly"];
        if !frequencies.iter().any(|known| rule["frequency"] == *known) {
            return Err(SetError::property(key, format!("{} is no frequency", rule["frequency"])));
        }
        if rule.get("count").is_some() && rule.get("until").is_some() {
            return Err(SetError::property(key, "a rule has both count and until"));
        }
    }
    for (key, patch) in new.get("recurrenceOverrides").and_then(Value::as_object).into_iter().flatten() {
        if Shape::LocalDate.check(&json!(key)).is_err() {
            return Err(SetError::property("recurrenceOverrides", format!("{key:?} is no LocalDateTime")));
        }
        for name in keys(patch) {
            // RFC 8984 section 4.3.5 and the draft: these belong to the whole event.
            let never = [
                "@type",
                "method",
                "privacy",
                "prodId",
                "recurrenceRules",
                "recurrenceRule",
                "relatedTo",
                "uid",
                "isDraft",
                "utcStart",
                "utcEnd",
                "mayInviteSelf",
                "mayInviteOthers",
                "hideAttendees",
                "calendarIds",
                "id",
            ];
            if never.contains(&name.as_str()) {
                return Err(SetError::property("recurrenceOverrides", format!("an override has {name:?}")));
            }
        }
    }
    for (property, kind, needed) in [
        ("locations", "Location", ""),
        ("virtualLocations", "VirtualLocation", "uri"),
        ("participants", "Participant", ""),
        ("alerts", "Alert", ""),
    ] {
        for (key, part) in new.get(property).and_then(Value::as_object).into_iter().flatten() {
            if part.get("@type").is_some_and(|it| *it != kind) || !(needed.is_empty() || part[needed].is_string()) {
                return Err(SetError::property(property, format!("{property}/{key} is no {kind}")));
            }
        }
    }
    for (_, alert) in new.get("alerts").and_then(Value::as_object).into_iter().flatten() {
        check_alert("alerts", alert)?;
    }
    for (property, known) in [
        ("status", &["confirmed", "cancelled", "tentative"][..]),
        ("progress", &["needs-action", "in-process", "completed", "failed", "cancelled"]),
        ("freeBusyStatus", &["free", "busy"]),
        ("privacy", &["public", "private", "secret"]),
    ] {
        if let Some(Value::String(value)) = new.get(property)
            && !known.contains(&value.as_str())
            && !is_vendor(value)
        {
            return Err(SetError::property(property, format!("{value:?} is no {property}")));
        }
    }
    if new.get("priority").and_then(Value::as_i64).is_some_and(|priority| !(0..=9).contains(&priority)) {
        return Err(SetError::property("priority", "it is not 0 to 9"));
    }
    Ok(())
}

fn rules(new: &Map<String, Value>) -> impl Iterator<Item = (&'static str, &Value)> {
    let one = new.get("recurrenceRule").filter(|rule| !rule.is_null()).map(|rule| ("recurrenceRule", rule));
    let many = ["recurrenceRules", "excludedRecurrenceRules"]
        .into_iter()
        .flat_map(|name| new.get(name).and_then(Value::as_array).into_iter().flatten().map(move |rule| (name, rule)));
    one.into_iter().chain(many)
}

/// `created`, `updated` and `sequence`, as section "CalendarEvent/set" wants it.
fn set_times(call: &Call, old: Option<&Value>, new: &mut Map<String, Value>) {
    let now = now(call.options);
    let is_origin = is_origin(new);
    if !new.contains_key("created") {
        new.insert("created".to_owned(), json!(now));
    }
    if is_origin && old.is_none_or(|old| *old != json!(new)) {
        new.insert("updated".to_owned(), json!(now));
        if old.is_none() && new["created"].as_str() > Some(&now) {
            new.insert("created".to_owned(), json!(now));
        }
    }
    let Some(old) = old else { return };
    let names: Vec<String> = keys(&json!(new)).chain(keys(old)).collect();
    let has_changed = names.iter().any(|name| {
        !["calendarIds", "isDraft", "updated", "sequence"].contains(&name.as_str())
            && !PER_USER.contains(&name.as_str())
            && old.get(name) != new.get(name)
    });
    let (before, after) =
        (old["sequence"].as_u64().unwrap_or(0), new.get("sequence").and_then(Value::as_u64).unwrap_or(0));
    if has_changed && is_origin && after <= before {
        new.insert("sequence".to_owned(), json!(before + 1));
    }
}

fn is_origin(event: &Map<String, Value>) -> bool {
    ["organizerCalendarAddress", "replyTo"].iter().all(|name| event.get(*name).is_none_or(Value::is_null))
}

/// "An Account MUST NOT contain more than one CalendarEvent with the same uid unless all of the CalendarEvent objects
/// have distinct, non-null values for their "recurrenceId" property."
fn unique(call: &Call, new: &Map<String, Value>) -> Result<(), SetError> {
    if call.options.takes_twins {
        return Ok(());
    }
    let recurrence = |event: &Value| event.get("recurrenceId").cloned().unwrap_or(Value::Null);
    let new = &json!(new);
    for (id, row) in &call.account.table(Kind::CalendarEvent).rows {
        let is_same = new["id"] != json!(id) && row["uid"] == new["uid"] && !call.ignored.contains(id);
        let (one, other) = (recurrence(row), recurrence(new));
        if is_same && (one.is_null() || other.is_null() || one == other) {
            return Err(uid_exists(call, id));
        }
    }
    Ok(())
}

/// Fills in what is computed when an event is shown, and leaves out what has to be asked for.
pub(super) fn compute(event: &mut Map<String, Value>, properties: Option<&[String]>) {
    let is_mine = is_origin(event);
    event.insert("isOrigin".to_owned(), json!(is_mine));
    let asks = |name: &str| properties.is_some_and(|names| names.iter().any(|wanted| wanted == name));
    if !asks("iCalendar") {
        event.remove("iCalendar");
    }
    // There is no database of time zones here, so this is known in one zone only.
    let is_utc = matches!(event.get("timeZone").and_then(Value::as_str), None | Some("Etc/UTC" | "UTC"));
    if asks("utcStart") && is_utc {
        let utc = event.get("start").and_then(Value::as_str).map(|start| format!("{start}Z"));
        event.insert("utcStart".to_owned(), json!(utc));
    }
}

/// Destroys an event, if its calendars allow.
pub(super) fn destroy_event(call: &mut Call, id: &str) -> Result<(), SetError> {
    let calendars: Vec<String> =
        keys(&call.account.get(Kind::CalendarEvent, id).expect("it is there")["calendarIds"]).collect();
    calendars.iter().try_for_each(|calendar| call.may(Kind::Calendar, calendar, "mayWriteAll"))
}

/// Checks a participant identity, in the words of the draft that this server knows.
pub(super) fn check_participant(call: &mut Call, new: &mut Map<String, Value>) -> Result<(), SetError> {
    let is_new = call.options.participants == Participants::CalendarAddress;
    let (needed, never) = if is_new {
        ("calendarAddress", &["scheduleId", "sendTo"][..])
    } else {
        ("scheduleId", &["calendarAddress"][..])
    };
    if let Some(name) = never.iter().find(|name| new.contains_key(**name)) {
        return Err(SetError::property(name, "this server reads another draft"));
    }
    if new.get(needed).and_then(Value::as_str).is_none_or(|uri| url::Url::parse(uri).is_err()) {
        return Err(SetError::property(needed, "it is missing or no URI"));
    }
    if !is_new {
        let methods = new.get("sendTo").and_then(Value::as_object);
        if !methods.is_some_and(|methods| methods.keys().all(|key| is_id(key) && !key.contains(['-', '_']))) {
            return Err(SetError::property("sendTo", "it is missing, or a key is not alphanumeric"));
        }
    }
    Ok(())
}
