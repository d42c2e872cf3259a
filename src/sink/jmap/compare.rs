//! What has to change at the target so that an object is what the archive says: pure.

use super::blobs_inside::{agree, note_ours, without_notes};
use super::draft::without_nonsense;
use super::keys::{collection_name, container_property};
use super::request::{BLOB, blob_of, number_of};
use crate::format::jmap::{Object, color, text, time_zone, utc};
use crate::model::ObjectType;
use crate::sink::{BlobProvider, Draft, Patch, Remote};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use unicode_normalization::UnicodeNormalization;

/// Properties of cards and events that a server sets or that never change (RFC 9610 section 3, RFC 8984 section 4.1,
/// draft-ietf-jmap-calendars section 5): no reason to change an object, and nothing to take away.
const SERVERS: [&str; 22] = [
    "id",
    "method",
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
    // What the object looked like before it was converted: the converted object says the same.
    "iCalendar",
    "vCard",
];

/// True for what stands in an event or a card that does not say otherwise, at any depth (RFC 8984 sections 4 and 5, RFC 9553
/// section 2), and for what says nothing: a server may leave it out, or fill it in.
fn is_default(name: &str, value: &Value) -> bool {
    let default = match name {
        "title" | "description" => json!(""),
        "descriptionContentType" => json!("text/plain"),
        "showWithoutTime" | "excluded" | "useDefaultAlerts" | "mayInviteSelf" | "mayInviteOthers" | "hideAttendees"
        | "expectReply" | "scheduleForceSend" | "isOrdered" => json!(false),
        "priority" | "scheduleSequence" => json!(0),
        "interval" => json!(1),
        "rscale" => json!("gregorian"),
        "skip" => json!("omit"),
        "firstDayOfWeek" => json!("mo"),
        "freeBusyStatus" => json!("busy"),
        "privacy" => json!("public"),
        "status" => json!("confirmed"),
        "progress" | "participationStatus" => json!("needs-action"),
        "scheduleAgent" => json!("server"),
        "duration" => json!("PT0S"),
        "kind" => json!("individual"),
        "action" => json!("display"),
        "relativeTo" => json!("start"),
        _ => Value::Null,
    };
    *value == default || is_empty(value)
}

fn is_empty(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Object(map) => map.is_empty(),
        Value::Array(list) => list.is_empty(),
        _ => false,
    }
}

/// A property of a card or an event as it is compared, and the names under which an object has it.
struct Compared {
    value: Value,
    names: Vec<String>,
}

/// The properties of a card or an event in one dialect: what a server normalises, or writes in the words of another version
/// of the drafts, is the same.
fn compared(object: &Object) -> BTreeMap<String, Compared> {
    let mut all: BTreeMap<String, Compared> = BTreeMap::new();
    for (name, value) in object {
        let (canonical, value) = match (name.as_str(), value) {
            // Both are one rule (draft-ietf-calext-jscalendarbis).
            ("recurrenceRules", Value::Array(rules)) if rules.len() == 1 => ("recurrenceRule", rules[0].clone()),
            ("replyTo", Value::Object(ways)) if ways.len() == 1 && ways.contains_key("imip") => {
                ("organizerCalendarAddress", ways["imip"].clone())
            }
            ("vCard", Value::Object(rest)) => ("vCardProps", rest.get("properties").cloned().unwrap_or_default()),
            (name, value) => (name, value.clone()),
        };
        let value = match (canonical, &value) {
            ("recurrenceOverrides", Value::Object(overrides)) => normal_overrides(overrides),
            _ => normal(&value),
        };
        let entry = all.entry(canonical.to_owned());
        let entry = entry.or_insert_with(|| Compared { value: value.clone(), names: Vec::new() });
        entry.names.push(name.clone());
    }
    all
}

/// Overrides of a series. Each is an event of its own to a server, with the times that it sets; one that says nothing is a
/// day more, and a default in it may be another one than that of the series (RFC 8984 section 4.3.5).
fn normal_overrides(overrides: &Object) -> Value {
    let normal_one = |one: &Value| match one {
        Value::Object(one) => {
            let kept = one.iter().filter(|(name, value)| !value.is_null() && !SERVERS.contains(&name.as_str()));
            Value::Object(
                kept.map(|(name, value)| (name.clone(), normal(value))).filter(|(_, it)| !is_empty(it)).collect(),
            )
        }
        other => other.clone(),
    };
    Value::Object(overrides.iter().map(|(day, one)| (day.clone(), normal_one(one))).collect())
}

/// What makes an object of the account what a draft is ([`crate::sink::Sink::difference`]).
pub(super) fn difference(
    kind: ObjectType,
    ours: &Draft,
    containers: Option<Vec<String>>,
    theirs: &Remote,
    supply: &dyn BlobProvider,
) -> Patch {
    let mut wanted = ours.body.clone();
    wanted.retain(|name, _| !ours.untold.contains(name));
    if !ours.raw.is_empty() && theirs.name == ours.raw {
        // It has the very name that the archive has, though another server might not take it.
        wanted.insert("name".to_owned(), json!(ours.raw));
    }
    if let Some(blob) = ours.blob {
        wanted.insert(BLOB.to_owned(), json!(number_of(blob)));
    }
    note_ours(&mut wanted, &|blob| supply.digest(blob_of(blob)));
    let has_other_bytes = match kind {
        ObjectType::SieveScript => ours.key != theirs.key,
        ObjectType::FileNode => is_other_file(ours, &theirs.body, supply),
        _ => false,
    };
    let mut body = patch(kind, &wanted, &theirs.body, has_other_bytes).unwrap_or_default();
    let containers = containers.map(|mut ids| {
        ids.sort_unstable();
        ids.dedup();
        ids
    });
    let containers = containers.filter(|ids| container_property(kind).is_some() && *ids != theirs.containers);
    if let Some(property) = container_property(kind) {
        body.shift_remove(property);
    }
    Patch { body, containers, ..Patch::default() }
}

/// True if a file at the target has other bytes, as far as its size and its date tell.
fn is_other_file(ours: &Draft, theirs: &Object, supply: &dyn BlobProvider) -> bool {
    let Some(blob) = ours.blob else { return false };
    let size = supply.size(blob).ok();
    // What the target does not tell is no difference.
    let other_size = theirs.get("size").and_then(Value::as_u64).is_some_and(|theirs| Some(theirs) != size);
    let (date, other) = (ours.body.get("modified"), theirs.get("modified"));
    other_size || (date.is_some() && theirs.contains_key("modified") && date != other)
}

/// The patch that makes `remote` what `wanted` is, but for references to other objects. `None` if it is so already.
/// `has_other_bytes` says whether the bytes beside the object differ.
fn patch(kind: ObjectType, wanted: &Object, remote: &Object, has_other_bytes: bool) -> Option<Object> {
    let patch = match kind {
        ObjectType::ContactCard | ObjectType::CalendarEvent => open_patch(kind, wanted, remote),
        _ => fixed_patch(kind, wanted, remote, has_other_bytes),
    };
    // The name of an address may say something only beside it (draft-ietf-jmap-calendars section 3): all or nothing.
    if kind == ObjectType::ParticipantIdentity && !patch.is_empty() {
        return Some(wanted.clone());
    }
    (!patch.is_empty()).then_some(patch)
}

fn fixed_patch(kind: ObjectType, wanted: &Object, remote: &Object, has_other_bytes: bool) -> Object {
    let mut patch = Object::new();
    for (name, value) in wanted {
        let is_fixed = match kind {
            ObjectType::Identity => name == "email",
            ObjectType::FileNode => matches!(name.as_str(), "nodeType" | "created"),
            // An export does not rename the inbox.
            ObjectType::Mailbox => name == "name" && text(remote, "role") == "inbox",
            // A server that has none of the draft's names does not know what is meant.
            ObjectType::ParticipantIdentity => matches!(name.as_str(), "calendarAddress" | "scheduleId" | "sendTo"),
            _ => false,
        };
        if name == BLOB {
            if has_other_bytes {
                patch.insert(name.clone(), value.clone());
            }
            continue;
        }
        // We ask for every property by name: a server that leaves one out does not have it.
        let Some(theirs) = remote.get(name) else { continue };
        let is_same = [theirs, &in_our_words(kind, name, theirs)]
            .into_iter()
            .any(|theirs| agree(&normal(value), &normal(theirs)) || (is_empty(value) && is_empty(theirs)));
        if !is_fixed && !is_same {
            patch.insert(name.clone(), without_notes(value));
        }
    }
    patch
}

/// A value of a target as an object of ours would have it: what we say in other words is no difference.
fn in_our_words(kind: ObjectType, name: &str, theirs: &Value) -> Value {
    let text = theirs.as_str();
    let ours = match (kind, name) {
        (ObjectType::Calendar | ObjectType::AddressBook, "name") => text.map(|text| json!(collection_name(text))),
        (ObjectType::Calendar, "color") => Some(json!(text.and_then(color))),
        (ObjectType::Calendar, "timeZone") => Some(json!(text.and_then(time_zone))),
        (ObjectType::Calendar, "includeInAvailability") if theirs.is_null() => Some(json!("all")),
        (ObjectType::FileNode, "target") => text.map(|text| json!(text.split('/').collect::<Vec<_>>())),
        (ObjectType::FileNode, "created" | "modified") | (ObjectType::VacationResponse, "fromDate" | "toDate") => {
            text.and_then(utc).map(|date| json!(date))
        }
        (ObjectType::Identity, "textSignature" | "htmlSignature" | "name") if theirs.is_null() => Some(json!("")),
        _ => None,
    };
    ours.unwrap_or_else(|| theirs.clone())
}

fn open_patch(kind: ObjectType, wanted: &Object, remote: &Object) -> Object {
    let mut remote = remote.clone();
    if kind == ObjectType::CalendarEvent {
        without_nonsense(&mut remote);
    }
    let remote = &remote;
    let (ours, theirs) = (compared(wanted), compared(remote));
    let mut patch = Object::new();
    let names: BTreeSet<&String> = ours.keys().chain(theirs.keys()).collect();
    let is_compared = |name: &str| !SERVERS.contains(&name) && container_property(kind) != Some(name);
    for name in names.into_iter().filter(|name| is_compared(name)) {
        let nothing = Compared { value: Value::Null, names: Vec::new() };
        let (one, other) = (ours.get(name).unwrap_or(&nothing), theirs.get(name).unwrap_or(&nothing));
        let is_same =
            agree(&one.value, &other.value) || (is_default(name, &one.value) && is_default(name, &other.value));
        if !is_same {
            patch.extend(other.names.iter().map(|name| (name.clone(), Value::Null)));
            patch.extend(one.names.iter().map(|name| (name.clone(), without_notes(&wanted[name]))));
        }
    }
    patch.retain(|name, _| !SERVERS.contains(&name.as_str()));
    patch
}

/// A value without what means the same said or unsaid: nulls, empty sets, defaults, `@type`, and where bytes stand: what they
/// are is noted beside them ([`super::blobs_inside`]). Text is in the form NFC, as a server may store it.
fn normal(value: &Value) -> Value {
    match value {
        Value::Object(map) => {
            let has_bytes = [BLOB, "blobId"].iter().any(|name| map.contains_key(*name));
            let is_noise = |name: &str, value: &Value| {
                let is_bytes = value.as_str().is_some_and(|text| text.starts_with("data:"));
                is_default(name, value)
                    || matches!(name, "@type" | BLOB | "blobId")
                    || (matches!(name, "uri" | "href") && is_bytes)
                    || (name == "size" && has_bytes)
            };
            let rest = map.iter().map(|(name, value)| (name.clone(), normal(value)));
            Value::Object(rest.filter(|(name, value)| !is_noise(name, value)).collect())
        }
        Value::Array(list) => Value::Array(list.iter().map(normal).collect()),
        Value::String(text) => Value::String(text.nfc().collect()),
        other => other.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn object(value: Value) -> Object {
        value.as_object().cloned().expect("an object")
    }

    fn patched(kind: ObjectType, ours: Value, theirs: Value) -> Option<Value> {
        patch(kind, &object(ours), &object(theirs), false).map(Value::Object)
    }

    #[test]
    fn what_is_the_same_is_left_alone() {
        let ours =
            json!({"@type": "Event", "uid": "a", "title": "x", "alerts": {"1": {"trigger": {"offset": "-PT5M"}}}});
        let theirs = json!({"id": "e", "@type": "Event", "uid": "a", "title": "x", "updated": "2026-01-01T00:00:00Z",
            "status": "confirmed", "description": "", "isOrigin": true, "timeZone": null,
            "alerts": {"1": {"@type": "Alert", "trigger": {"@type": "OffsetTrigger", "offset": "-PT5M"}, "action": null}}});
        assert_eq!(patched(ObjectType::CalendarEvent, ours, theirs), None);
        let ours = json!({"media": {"a": {"kind": "photo", "@blob": 3, "mediaType": "image/png"}}});
        let theirs =
            json!({"media": {"a": {"@type": "Media", "kind": "photo", "blobId": "b", "mediaType": "image/png"}}});
        assert_eq!(patched(ObjectType::ContactCard, ours, theirs), None);
    }

    #[test]
    fn what_a_server_normalises_is_the_same() {
        let rule = json!({"@type": "RecurrenceRule", "frequency": "weekly"});
        let ours = json!({"uid": "a", "title": "Cafe\u{301}", "recurrenceRules": [rule], "locations": {},
            "recurrenceOverrides": {"2026-01-09T10:00:00": {"title": "x"}, "2026-01-16T10:00:00": {"excluded": true}},
            "replyTo": {"imip": "mailto:a@b"}, "participants": {"p": {"email": "a@b", "roles": {"owner": true}}}});
        let theirs = json!({"id": "c", "uid": "a", "title": "Café", "links": {}, "keywords": null,
            "recurrenceRule": {"frequency": "weekly", "interval": 1},
            "recurrenceOverrides": {"2026-01-09T10:00:00": {"title": "x", "updated": "2026-01-01T00:00:00Z", "locations": {}},
                "2026-01-16T10:00:00": {"excluded": true, "updated": "2026-01-01T00:00:00Z"}},
            "organizerCalendarAddress": "mailto:a@b",
            "participants": {"p": {"email": "a@b", "roles": {"owner": true}, "participationStatus": "needs-action"}}});
        assert_eq!(patched(ObjectType::CalendarEvent, ours.clone(), theirs.clone()), None);
        let mut other = theirs;
        other["recurrenceRule"]["interval"] = json!(2);
        let wanted = json!({"recurrenceRule": null, "recurrenceRules": ours["recurrenceRules"]});
        assert_eq!(patched(ObjectType::CalendarEvent, ours, other), Some(wanted));
        let ours = json!({"name": "A", "calendarAddress": "mailto:a@b"});
        let theirs = json!({"id": "q", "name": "B", "calendarAddress": "mailto:a@b", "isDefault": true});
        assert_eq!(patched(ObjectType::ParticipantIdentity, ours.clone(), theirs), Some(ours));
    }

    #[test]
    fn what_differs_is_named() {
        let ours = json!({"uid": "a", "title": "new"});
        let theirs = json!({"uid": "a", "title": "old", "color": "red", "calendarIds": {"d": true}});
        let wanted = json!({"title": "new", "color": null});
        assert_eq!(patched(ObjectType::CalendarEvent, ours, theirs), Some(wanted));
        let inbox = json!({"name": "INBOX", "sortOrder": 3});
        let theirs = json!({"id": "i", "name": "Inbox", "role": "inbox", "sortOrder": 1});
        assert_eq!(patched(ObjectType::Mailbox, inbox, theirs), Some(json!({"sortOrder": 3})));
        let file = patch(ObjectType::FileNode, &object(json!({"@blob": 1, "nodeType": "file"})), &Object::new(), true);
        assert_eq!(file.map(Value::Object), Some(json!({"@blob": 1})));
    }
}
