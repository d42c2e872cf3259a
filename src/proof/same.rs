//! Whether an object that went through iCalendar or vCard says what it said before.
//!
//! These formats have no keys for the members of a map, no null, and other words for some properties: so what is compared
//! is what the object says, and not how it spells it.

use serde_json::{Map, Value};

/// Properties that say when and with what an object was written.
const BOOKKEEPING: [&str; 7] = ["@type", "uid", "prodId", "updated", "created", "version", "method"];

/// Where JSCalendar and JSContact keep what they have no property for.
const REST: [&str; 2] = ["iCalendar", "vCard"];

/// The top-level properties of `ours` that `theirs` does not say, by name.
pub(super) fn differing(ours: &Value, theirs: &Value) -> Vec<String> {
    if ours == theirs {
        return Vec::new();
    }
    let (ours, theirs) = (renamed(ours), renamed(theirs));
    let is_other = |(name, value): &(&String, &Value)| {
        !BOOKKEEPING.contains(&name.as_str()) && !says(value, theirs.get(*name).unwrap_or(&Value::Null), name)
    };
    ours.iter().filter(is_other).map(|(name, _)| name.clone()).collect()
}

/// The properties by the names that the converter writes: RFC 8984's are other ones than those of the drafts after it.
fn renamed(value: &Value) -> Map<String, Value> {
    let mut map = value.as_object().cloned().unwrap_or_default();
    if let Some(Value::Array(rules)) = map.get("recurrenceRules")
        && let [rule] = rules.as_slice()
        && !map.contains_key("recurrenceRule")
    {
        let rule = rule.clone();
        map.insert("recurrenceRule".to_owned(), rule);
        map.shift_remove("recurrenceRules");
    }
    if let Some(address) = map.get("replyTo").and_then(|to| to.get("imip")).cloned() {
        map.entry("organizerCalendarAddress").or_insert(address);
        map.shift_remove("replyTo");
    }
    if let Some(Value::Object(participants)) = map.get_mut("participants") {
        for participant in participants.values_mut().filter_map(Value::as_object_mut) {
            if let Some(address) = participant.get("sendTo").and_then(|to| to.get("imip")).cloned() {
                participant.entry("calendarAddress").or_insert(address);
                participant.shift_remove("sendTo");
            }
        }
    }
    map
}

/// True if `theirs` has all that `ours` says. The members of a map are those of the other whatever their keys are.
fn says(ours: &Value, theirs: &Value, name: &str) -> bool {
    if ours == theirs || is_unsaid(name, ours) {
        return true;
    }
    if REST.contains(&name) {
        return has_properties(ours, theirs);
    }
    match (ours, theirs) {
        (Value::Object(ours), Value::Object(theirs)) => {
            let is_said = |(name, value): (&String, &Value)| {
                name == "@type" || says(value, theirs.get(name).unwrap_or(&Value::Null), name)
            };
            ours.iter().all(is_said) || has_members(ours, theirs)
        }
        (Value::Array(ours), Value::Array(theirs)) => {
            ours.len() == theirs.len() && ours.iter().zip(theirs).all(|(one, other)| says(one, other, ""))
        }
        (Value::String(ours), Value::String(theirs)) => is_same_text(ours, theirs),
        (Value::Number(ours), Value::Number(theirs)) => ours.as_f64() == theirs.as_f64(),
        _ => false,
    }
}

/// True if each property of the older format that has no place of its own in the newer one is there with its value.
fn has_properties(ours: &Value, theirs: &Value) -> bool {
    let properties = |rest: &Value| -> Vec<(String, String)> {
        let list = rest.get("properties").and_then(Value::as_array).cloned().unwrap_or_default();
        let name_and_value = |one: &Value| {
            let parts = one.as_array()?;
            Some((parts.first()?.as_str()?.to_lowercase(), parts.get(3)?.to_string()))
        };
        list.iter().filter_map(name_and_value).collect()
    };
    let components = |rest: &Value| rest.get("components").and_then(Value::as_array).map_or(0, Vec::len);
    let theirs_all = properties(theirs);
    components(ours) <= components(theirs) && properties(ours).iter().all(|one| theirs_all.contains(one))
}

/// True if each member of a map is said by another one of the other map: ids of JSCalendar and JSContact have no place in
/// the older formats.
fn has_members(ours: &Map<String, Value>, theirs: &Map<String, Value>) -> bool {
    let mut free: Vec<&Value> = theirs.values().collect();
    !ours.is_empty()
        && ours.values().all(|one| {
            let place = free.iter().position(|other| one.is_object() && says(one, other, ""));
            place.map(|place| free.swap_remove(place)).is_some()
        })
}

/// True for texts that are the same but for white space and the case of what is no text for people.
fn is_same_text(ours: &str, theirs: &str) -> bool {
    let words = |text: &str| text.split_whitespace().map(str::to_owned).collect::<Vec<String>>();
    words(ours) == words(theirs) || (ours.eq_ignore_ascii_case(theirs) && ours.contains(':'))
}

/// True for a value that says nothing: it is what the absence of the property says, too (RFC 8984, RFC 9553).
fn is_unsaid(name: &str, value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Bool(is_true) => !is_true,
        Value::Number(number) => {
            let default = if name == "interval" { 1 } else { 0 };
            number.as_i64() == Some(default)
        }
        Value::String(text) => match name {
            "status" => text == "confirmed",
            "freeBusyStatus" => text == "busy",
            "privacy" => text == "public",
            "duration" => text == "PT0S" || text == "P0D",
            "participationStatus" => text == "needs-action",
            "rscale" => text.eq_ignore_ascii_case("gregorian"),
            "firstDayOfWeek" => text == "mo",
            "skip" => text == "omit",
            "descriptionContentType" => text == "text/plain",
            "relativeTo" => text == "start",
            "action" => text == "display",
            _ => text.is_empty(),
        },
        Value::Array(list) => list.is_empty(),
        Value::Object(map) => map.iter().all(|(name, value)| name == "@type" || is_unsaid(name, value)),
    }
}
