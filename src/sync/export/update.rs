//! What has to change at the target so that an object is what the archive says: pure.

use super::attached::{agree, without_notes};
use super::matching::text;
use crate::model::Kind;
use crate::target::{BLOB, Object};
use serde_json::{Map, Value, json};

/// Properties of cards and events that a server sets or that never change (RFC 9610 section 3, RFC 8984 section 4.1,
/// draft-ietf-jmap-calendars section 5): no reason to change an object, and nothing to take away.
const SERVERS: [&str; 20] = [
    "id",
    "uid",
    "@type",
    "version",
    "created",
    "updated",
    "prodId",
    "sequence",
    "isDraft",
    "isOrigin",
    "baseEventId",
    "utcStart",
    "utcEnd",
    "recurrenceId",
    "recurrenceIdTimeZone",
    "scheduleSequence",
    "scheduleUpdated",
    "blobId",
    "myRights",
    // Only shown to those who ask for it.
    "iCalendar",
];

/// What stands in an event that does not say otherwise (RFC 8984 sections 4 and 5.1).
fn is_default(name: &str, value: &Value) -> bool {
    let default = match name {
        "title" | "description" => json!(""),
        "descriptionContentType" => json!("text/plain"),
        "showWithoutTime" | "excluded" | "useDefaultAlerts" | "mayInviteSelf" | "mayInviteOthers" | "hideAttendees" => {
            json!(false)
        }
        "priority" => json!(0),
        "freeBusyStatus" => json!("busy"),
        "privacy" => json!("public"),
        "status" => json!("confirmed"),
        "duration" => json!("PT0S"),
        "kind" => json!("individual"),
        _ => Value::Null,
    };
    *value == default || value.is_null() || value.as_object().is_some_and(Map::is_empty)
}

/// The patch that makes `remote` what `wanted` is, references to other objects included. `None` if it is so already.
/// `has_other_bytes` says whether the bytes beside the object differ.
pub fn patch(kind: Kind, wanted: &Object, remote: &Object, has_other_bytes: bool) -> Option<Object> {
    let is_open = matches!(kind, Kind::ContactCard | Kind::CalendarEvent);
    let mut patch = Object::new();
    for (name, value) in wanted {
        let is_fixed = match kind {
            Kind::Identity => name == "email",
            Kind::FileNode => matches!(name.as_str(), "nodeType" | "created"),
            // Nobody renames the inbox.
            Kind::Mailbox => name == "name" && text(remote, "role") == "inbox",
            Kind::ParticipantIdentity => false,
            _ => is_open && SERVERS.contains(&name.as_str()),
        };
        if name == BLOB {
            if has_other_bytes {
                patch.insert(name.clone(), value.clone());
            }
            continue;
        }
        let theirs = remote.get(name).unwrap_or(&Value::Null);
        if is_fixed || (is_open && is_default(name, value) && is_default(name, theirs)) {
            continue;
        }
        if !agree(&normal(value), &normal(theirs)) {
            patch.insert(name.clone(), without_notes(value));
        }
    }
    if is_open {
        let extra = remote.iter().filter(|(name, value)| {
            !wanted.contains_key(*name) && !SERVERS.contains(&name.as_str()) && !is_default(name, value)
        });
        patch.extend(extra.map(|(name, _)| (name.clone(), Value::Null)));
    }
    (!patch.is_empty()).then_some(patch)
}

/// A value without what means the same said or unsaid: nulls, `@type`, and where bytes stand: what they are is noted
/// beside them ([`super::attached`]).
fn normal(value: &Value) -> Value {
    match value {
        Value::Object(map) => {
            let has_bytes = [BLOB, "blobId"].iter().any(|name| map.contains_key(*name));
            let is_noise = |name: &str, value: &Value| {
                let is_bytes = value.as_str().is_some_and(|text| text.starts_with("data:"));
                value.is_null()
                    || matches!(name, "@type" | BLOB | "blobId")
                    || (matches!(name, "uri" | "href") && is_bytes)
                    || (name == "size" && has_bytes)
            };
            let rest = map.iter().filter(|(name, value)| !is_noise(name, value));
            Value::Object(rest.map(|(name, value)| (name.clone(), normal(value))).collect())
        }
        Value::Array(list) => Value::Array(list.iter().map(normal).collect()),
        other => other.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn object(value: Value) -> Object {
        value.as_object().cloned().expect("an object")
    }

    fn patched(kind: Kind, ours: Value, theirs: Value) -> Option<Value> {
        patch(kind, &object(ours), &object(theirs), false).map(Value::Object)
    }

    #[test]
    fn what_is_the_same_is_left_alone() {
        let ours =
            json!({"@type": "Event", "uid": "a", "title": "x", "alerts": {"1": {"trigger": {"offset": "-PT5M"}}}});
        let theirs = json!({"id": "e", "@type": "Event", "uid": "a", "title": "x", "updated": "2026-01-01T00:00:00Z",
            "status": "confirmed", "description": "", "isOrigin": true, "timeZone": null,
            "alerts": {"1": {"@type": "Alert", "trigger": {"@type": "OffsetTrigger", "offset": "-PT5M"}, "action": null}}});
        assert_eq!(patched(Kind::CalendarEvent, ours, theirs), None);
        let ours = json!({"media": {"a": {"kind": "photo", "@blob": 3, "mediaType": "image/png"}}});
        let theirs =
            json!({"media": {"a": {"@type": "Media", "kind": "photo", "blobId": "b", "mediaType": "image/png"}}});
        assert_eq!(patched(Kind::ContactCard, ours, theirs), None);
    }

    #[test]
    fn what_differs_is_named() {
        let ours = json!({"uid": "a", "title": "new", "calendarIds": {"c": true}});
        let theirs = json!({"uid": "a", "title": "old", "color": "red", "calendarIds": {"d": true}});
        let wanted = json!({"title": "new", "color": null, "calendarIds": {"c": true}});
        assert_eq!(patched(Kind::CalendarEvent, ours, theirs), Some(wanted));
        let inbox = json!({"name": "INBOX", "sortOrder": 3});
        let theirs = json!({"id": "i", "name": "Inbox", "role": "inbox", "sortOrder": 1});
        assert_eq!(patched(Kind::Mailbox, inbox, theirs), Some(json!({"sortOrder": 3})));
        let file = patch(Kind::FileNode, &object(json!({"@blob": 1, "nodeType": "file"})), &Object::new(), true);
        assert_eq!(file.map(Value::Object), Some(json!({"@blob": 1})));
    }
}
