//! What objects are called in plans and reports: as people know them.

use super::jmap::{Object, text};
use serde_json::Value;

/// An event or a task: its title and its day.
pub fn event(object: &Object) -> String {
    let title = Some(text(object, "title")).filter(|title| !title.trim().is_empty());
    let day = ["start", "due"].into_iter().map(|name| text(object, name)).find(|date| date.len() >= 10);
    match (title, day.and_then(|date| date.get(..10))) {
        (Some(title), Some(day)) => format!("{title:?} of {day}"),
        (Some(title), None) => format!("{title:?}"),
        (None, Some(day)) => format!("{} of {day}", text(object, "uid")),
        (None, None) => text(object, "uid").to_owned(),
    }
}

/// A card: the name on it, else an address, else its uid.
pub fn card(object: &Object) -> String {
    let part = |map: &str, name: &str| {
        let first = object.get(map)?.as_object()?.values().next()?;
        first.get(name)?.as_str().map(str::to_owned)
    };
    let name = full_name(object).or_else(|| part("organizations", "name")).or_else(|| part("emails", "address"));
    match name.filter(|name| !name.trim().is_empty()) {
        Some(name) => format!("{name:?}"),
        None => text(object, "uid").to_owned(),
    }
}

/// `full`, or the components one after the other (RFC 9553 section 2.2.1).
fn full_name(object: &Object) -> Option<String> {
    let name = object.get("name")?;
    if let Some(full) = name.get("full").and_then(Value::as_str) {
        return Some(full.to_owned());
    }
    let parts = name.get("components")?.as_array()?.iter();
    let parts: Vec<&str> = parts.filter_map(|part| part.get("value")?.as_str()).collect();
    (!parts.is_empty()).then(|| parts.join(" "))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn people_know_them_by_title_and_name() {
        let object = |value: Value| value.as_object().cloned().expect("an object");
        let tea = json!({ "uid": "u", "title": "Tea", "start": "2026-01-02T10:00:00" });
        assert_eq!(event(&object(tea)), "\"Tea\" of 2026-01-02");
        assert_eq!(event(&object(json!({ "uid": "u" }))), "u");
        let ada = json!({ "uid": "u", "name": { "components": [{ "value": "Ada" }, { "value": "L" }] } });
        assert_eq!(card(&object(ada)), "\"Ada L\"");
        assert_eq!(card(&object(json!({ "uid": "u", "emails": { "e": { "address": "a@b" } } }))), "\"a@b\"");
    }
}
