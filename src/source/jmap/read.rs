//! The server's objects in our words. A property that is missing or makes no sense has the default of its standard; an
//! object that cannot be what it should be is `None`.

use crate::format::jmap::{participant_address, see_objects};
use crate::model::container::{Container, Details};
use crate::model::{
    Attrs, Blobs, Digest, EXECUTABLE, Entry, EventType, ItemData, Node, ObjectType, SkipKind, SkippedItem,
};
use crate::net::sanitize::said;
use crate::protocol::jmap::Got;
use serde_json::{Map, Value, json};
use std::collections::{HashMap, HashSet};
use std::sync::Arc;

type Object = Map<String, Value>;

fn text(object: &Object, name: &str) -> Option<String> {
    object.get(name).and_then(Value::as_str).map(str::to_owned)
}

fn flag(object: &Object, name: &str, default: bool) -> bool {
    object.get(name).and_then(Value::as_bool).unwrap_or(default)
}

/// The ids of a map like `mailboxIds`. Its values are always true (RFC 8621 section 4.1.1); 1.x takes false for it, too.
fn ids(object: &Object, name: &str) -> Vec<String> {
    let map = object.get(name).and_then(Value::as_object);
    let mut ids: Vec<String> = map.into_iter().flat_map(|map| map.keys().cloned()).collect();
    ids.sort_unstable();
    ids
}

/// A date as seconds since 1970.
fn seconds(text: &str) -> Option<i64> {
    text.parse::<jiff::Timestamp>().ok().map(|time| time.as_second())
}

/// A date as the archive holds it: what can be read as one, in UTC.
fn date(object: &Object, name: &str) -> Option<String> {
    let time: jiff::Timestamp = object.get(name)?.as_str()?.parse().ok()?;
    Some(time.to_string())
}

fn digest(value: &Value) -> String {
    Digest::of(value.to_string().as_bytes()).hex()[..32].to_owned()
}

/// An entry of a listing. `state` is the one under which a card or an event was listed: it may have changed at any other.
pub(super) fn entry(kind: ObjectType, object: &Object, state: &str) -> Option<Entry> {
    let id = text(object, "id").filter(|id| !id.is_empty())?;
    let mut attrs = Attrs::none(kind.container());
    let (rev, locator) = match kind {
        ObjectType::Email => {
            let blob = text(object, "blobId").filter(|blob| !blob.is_empty())?;
            attrs.keywords = ids(object, "keywords");
            attrs.parents = ids(object, "mailboxIds");
            let received = object.get("receivedAt").and_then(Value::as_str).and_then(seconds);
            let date = received.map_or_else(|| "?".to_owned(), |date| date.to_string());
            let size = object.get("size").and_then(Value::as_u64);
            (format!("B{blob}.{date}"), json!({ "blobId": blob, "size": size, "date": received }).to_string())
        }
        ObjectType::ContactCard => {
            attrs.parents = ids(object, "addressBookIds");
            (format!("S{state}"), String::new())
        }
        ObjectType::CalendarEvent => {
            attrs.parents = ids(object, "calendarIds");
            (format!("S{state}"), String::new())
        }
        ObjectType::SieveScript => {
            let known: Object = pick(object, &["name", "isActive", "blobId"]);
            text(object, "blobId")?;
            (digest(&json!([known["name"], known["isActive"], known["blobId"]])), Value::Object(known).to_string())
        }
        ObjectType::FileNode => {
            let names = ["nodeType", "blobId", "target", "name", "type", "created", "modified", "isSubscribed", "role"];
            let mut known = pick(object, &names);
            let rev = digest(&Value::Object(known.clone()));
            text(object, "name").filter(|name| !name.is_empty())?;
            attrs.parents.extend(text(object, "parentId"));
            attrs.keywords.extend(flag(object, "executable", false).then(|| EXECUTABLE.to_owned()));
            known.insert("size".to_owned(), object.get("size").cloned().unwrap_or_default());
            (rev, Value::Object(known).to_string())
        }
        kind if is_small(kind) => {
            let data = Value::Object(object.clone());
            (digest(&canonical(&data)), data.to_string())
        }
        _ => return None,
    };
    Some(Entry { key: id.into(), rev: rev.into(), locator: locator.into(), attrs: Arc::new(attrs) })
}

fn pick(object: &Object, names: &[&str]) -> Object {
    names.iter().map(|name| ((*name).to_owned(), object.get(*name).cloned().unwrap_or_default())).collect()
}

/// The same value whatever the order of its properties.
fn canonical(value: &Value) -> Value {
    match value {
        Value::Object(object) => {
            let mut pairs: Vec<(&String, &Value)> = object.iter().collect();
            pairs.sort_unstable_by_key(|(name, _)| *name);
            Value::Array(pairs.into_iter().map(|(name, value)| json!([name, canonical(value)])).collect())
        }
        Value::Array(list) => Value::Array(list.iter().map(canonical).collect()),
        other => other.clone(),
    }
}

/// The facts that a listing notes about an item, for when it is read.
pub(super) struct Locator {
    /// The blob with its bytes, if it has any.
    pub blob: Option<String>,
    pub size: Option<u64>,
    pub data: ItemData,
}

impl Locator {
    /// Reads the locator of an entry.
    pub(super) fn parse(locator: &str, kind: ObjectType) -> Option<Locator> {
        let Value::Object(object) = serde_json::from_str(locator).ok()? else { return None };
        let blob = text(&object, "blobId");
        let size = object.get("size").and_then(Value::as_u64);
        let data = match kind {
            ObjectType::Email => {
                // A date that cannot be read is that of the header, else none: 1970, as 1.x has it.
                ItemData::Email { received: object.get("date").and_then(Value::as_i64), fallback: 0 }
            }
            // Its name may be null (RFC 9661 section 2): then the id of its blob is as good as any.
            ObjectType::SieveScript => ItemData::Script {
                name: text(&object, "name").or_else(|| blob.clone())?,
                is_active: flag(&object, "isActive", false),
            },
            ObjectType::FileNode => {
                let target: Option<Vec<String>> = match object.get("target") {
                    Some(Value::Array(parts)) => {
                        Some(parts.iter().filter_map(Value::as_str).map(str::to_owned).collect())
                    }
                    // Not of this draft: a path in one piece.
                    Some(Value::String(path)) => Some(path.split('/').map(str::to_owned).collect()),
                    _ => None,
                };
                let is_link = match text(&object, "nodeType").as_deref() {
                    Some("symlink") => true,
                    Some("file") => false,
                    _ => blob.is_none() && target.is_some(),
                };
                let node = Node {
                    name: text(&object, "name")?,
                    media_type: text(&object, "type"),
                    created: date(&object, "created"),
                    modified: date(&object, "modified"),
                    is_subscribed: flag(&object, "isSubscribed", true),
                    role: text(&object, "role"),
                    target: if is_link { Some(target.unwrap_or_default()) } else { None },
                };
                return match (is_link, blob) {
                    (true, _) => Some(Locator { blob: None, size: None, data: ItemData::Node(Box::new(node)) }),
                    (false, Some(blob)) => {
                        Some(Locator { blob: Some(blob), size, data: ItemData::Node(Box::new(node)) })
                    }
                    (false, None) => None,
                };
            }
            kind => return Some(Locator { blob: None, size: None, data: small(kind, &object)? }),
        };
        Some(Locator { blob: Some(blob?), size, data })
    }
}

/// draft-ietf-jmap-filenode: where a server does not say what a node is, its properties do.
pub(super) fn is_directory(object: &Object) -> bool {
    match object.get("nodeType").and_then(Value::as_str) {
        Some(kind) => kind == "directory",
        None => {
            let has = |name: &str| object.get(name).is_some_and(|value| !value.is_null());
            !has("blobId") && !has("target")
        }
    }
}

/// Containers of a type, parents first. What lies in itself or in something that is not there lies at the top.
pub(super) fn containers(kind: ObjectType, got: Got) -> (Vec<Container>, Vec<SkippedItem>) {
    let mut omissions = Vec::new();
    let mut omit = |id: &str, reason: &str, outcome: SkipKind| {
        omissions.push(SkippedItem {
            kind,
            reason: reason.to_owned(),
            position: format!("{} {}", kind.name(), said(id.as_bytes())),
            outcome,
        });
    };
    let mut found: Vec<Container> = Vec::new();
    let mut places: HashMap<String, usize> = HashMap::new();
    if got.may_be_cut {
        omit("", "the server names no more at once, and there may be others", SkipKind::Failed);
    }
    for object in got.list {
        match container(kind, &object) {
            Some(container) if !places.contains_key(&container.key) => {
                places.insert(container.key.clone(), found.len());
                found.push(container);
            }
            _ => omit(
                object.get("id").and_then(Value::as_str).unwrap_or_default(),
                "no id, or one that came before",
                SkipKind::Skipped,
            ),
        }
    }
    for at in 0..found.len() {
        // Up to the top; a mailbox that comes back to itself is cut off there.
        let mut seen = HashSet::from([at]);
        let mut next = found[at].parent.clone();
        while let Some(parent) = next {
            match places.get(&parent) {
                Some(above) if seen.insert(*above) => next = found[*above].parent.clone(),
                _ => {
                    if !places.contains_key(&parent) && found[at].parent.as_deref() == Some(&parent) {
                        omit(
                            &found[at].key,
                            "what it lies in is not there; it is stored at the top",
                            SkipKind::Skipped,
                        );
                        found[at].parent = None;
                    } else if places.get(&parent) == Some(&at) {
                        omit(&found[at].key, "it lies in itself; it is stored at the top", SkipKind::Skipped);
                        found[at].parent = None;
                    }
                    next = None;
                }
            }
        }
    }
    let depth = |container: &Container| {
        let (mut depth, mut next) = (0_usize, container.parent.as_ref());
        while let Some(above) = next.and_then(|parent| places.get(parent)).filter(|_| depth <= found.len()) {
            depth += 1;
            next = found[*above].parent.as_ref();
        }
        depth
    };
    let depths: Vec<usize> = found.iter().map(depth).collect();
    let mut order: Vec<(usize, Container)> = depths.into_iter().zip(found).collect();
    order.sort_by_key(|(depth, _)| *depth);
    (order.into_iter().map(|(_, container)| container).collect(), omissions)
}

fn container(kind: ObjectType, object: &Object) -> Option<Container> {
    let id = text(object, "id").filter(|id| !id.is_empty())?;
    let name = text(object, "name").unwrap_or_default();
    let json_of = |name: &str| object.get(name).filter(|value| value.is_object()).map(Value::to_string);
    let number = object.get("sortOrder").and_then(Value::as_u64).unwrap_or(0);
    let availability =
        text(object, "includeInAvailability").filter(|one| ["all", "attending", "none"].contains(&&**one));
    let untold = Details::of(kind).iter().filter(|name| !object.contains_key(**name));
    let details = Details {
        untold: untold.copied().collect(),
        sort_order: i64::from(u32::try_from(number).unwrap_or(u32::MAX)),
        is_default: flag(object, "isDefault", false),
        is_visible: flag(object, "isVisible", true),
        availability: availability.unwrap_or_else(|| "all".to_owned()),
        alerts_with_time: json_of("defaultAlertsWithTime"),
        alerts_without_time: json_of("defaultAlertsWithoutTime"),
        time_zone: text(object, "timeZone"),
        created: date(object, "created"),
        modified: date(object, "modified"),
    };
    Some(Container {
        // RFC 8621 section 2: roles are lower case.
        role: text(object, "role").map(|role| role.to_lowercase()),
        is_subscribed: flag(object, "isSubscribed", true),
        color: text(object, "color"),
        description: text(object, "description"),
        details: Some(Box::new(details)),
        ..Container::new(kind, id, text(object, "parentId"), name)
    })
}

/// The blobs that an object refers to, at any depth (FORMAT.md, `@blob`).
pub(super) fn blob_ids(object: &Object, found: &mut Vec<String>) {
    let mut add = |object: &Object| {
        if let Some(id) = object.get("blobId").and_then(Value::as_str)
            && !found.iter().any(|known| known == id)
        {
            found.push(id.to_owned());
        }
    };
    add(object);
    object.values().for_each(|value| see_objects(value, &mut add));
}

/// A ContactCard (RFC 9610 section 3) as 1.x keeps it.
pub(super) fn card(mut object: Object, blobs: Blobs) -> Option<ItemData> {
    let uid = text(&object, "uid").filter(|uid| !uid.is_empty())?;
    for name in ["id", "uid", "addressBookIds"] {
        object.shift_remove(name);
    }
    Some(ItemData::JsCard { uid, data: Value::Object(object), blobs })
}

/// A CalendarEvent (draft-ietf-jmap-calendars section 5) as 1.x keeps it: without what the server computes or what has a
/// column.
pub(super) fn event(mut object: Object, blobs: Blobs) -> Option<ItemData> {
    let uid = text(&object, "uid").filter(|uid| !uid.is_empty())?;
    let (is_draft, use_default_alerts) = (flag(&object, "isDraft", false), flag(&object, "useDefaultAlerts", false));
    let data_type = match object.get("@type").and_then(Value::as_str) {
        Some("Task") => EventType::Task,
        Some("Note") => EventType::Note,
        _ => EventType::Event,
    };
    for name in
        ["id", "calendarIds", "isDraft", "useDefaultAlerts", "method", "utcStart", "utcEnd", "isOrigin", "baseEventId"]
    {
        object.shift_remove(name);
    }
    Some(ItemData::JsEvent { uid, data: Value::Object(object), data_type, is_draft, use_default_alerts, blobs })
}

/// An Identity (RFC 8621 section 6).
pub(super) fn identity(object: &Object) -> ItemData {
    let addresses = |name: &str| object.get(name).filter(|value| value.is_array()).map(Value::to_string);
    ItemData::Identity {
        name: text(object, "name").unwrap_or_default(),
        email: text(object, "email").unwrap_or_default(),
        reply_to: addresses("replyTo"),
        bcc: addresses("bcc"),
        text_signature: text(object, "textSignature").unwrap_or_default(),
        html_signature: text(object, "htmlSignature").unwrap_or_default(),
    }
}

/// A ParticipantIdentity (draft-ietf-jmap-calendars section 3).
pub(super) fn participant(object: &Object) -> ItemData {
    ItemData::ParticipantIdentity {
        name: text(object, "name").unwrap_or_default(),
        calendar_address: participant_address(object).unwrap_or_default().to_owned(),
        is_default: flag(object, "isDefault", false),
    }
}

/// The VacationResponse (RFC 8621 section 8).
pub(super) fn vacation(object: &Object) -> ItemData {
    ItemData::VacationResponse {
        is_enabled: flag(object, "isEnabled", false),
        from_date: date(object, "fromDate"),
        to_date: date(object, "toDate"),
        subject: text(object, "subject"),
        text_body: text(object, "textBody"),
        html_body: text(object, "htmlBody"),
    }
}

/// For the types that come whole with the listing.
pub(super) fn is_small(kind: ObjectType) -> bool {
    matches!(kind, ObjectType::Identity | ObjectType::ParticipantIdentity | ObjectType::VacationResponse)
}

/// An item that has no bytes.
pub(super) fn small(kind: ObjectType, object: &Map<String, Value>) -> Option<ItemData> {
    match kind {
        ObjectType::Identity => Some(identity(object)),
        ObjectType::ParticipantIdentity => Some(participant(object)),
        ObjectType::VacationResponse => Some(vacation(object)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn object(value: Value) -> Object {
        value.as_object().cloned().expect("an object")
    }

    #[test]
    fn containers_come_parents_first_and_circles_are_cut() {
        let list =
            [("c", Some("b")), ("b", Some("a")), ("a", None), ("x", Some("y")), ("y", Some("x")), ("z", Some("?"))];
        let list = list.map(|(id, parent)| object(json!({ "id": id, "name": id.to_uppercase(), "parentId": parent })));
        let got = Got { list: list.to_vec(), ..Got::default() };
        let (found, omissions) = containers(ObjectType::Mailbox, got);
        let at = |key: &str| found.iter().position(|one| one.key == key).expect("named");
        assert_eq!((found.len(), omissions.len()), (6, 2));
        assert!(at("a") < at("b") && at("b") < at("c") && at("x") < at("y"));
        assert_eq!((found[at("x")].parent.as_deref(), found[at("y")].parent.as_deref()), (None, Some("x")));
        assert_eq!(found[at("z")].parent, None);
    }

    #[test]
    fn what_1x_leaves_out_is_left_out() {
        let event = event(
            object(
                json!({ "id": "e", "uid": "u", "@type": "Event", "calendarIds": {"c": true}, "isDraft": true, "utcStart": "x", "title": "T" }),
            ),
            Blobs::new(),
        );
        let Some(ItemData::JsEvent { data, is_draft: true, use_default_alerts: false, .. }) = event else { panic!() };
        assert_eq!(data, json!({ "uid": "u", "@type": "Event", "title": "T" }));
        let card = card(object(json!({ "id": "e", "uid": "u", "addressBookIds": {}, "name": {} })), Blobs::new());
        let Some(ItemData::JsCard { data, .. }) = card else { panic!() };
        assert_eq!(data, json!({ "name": {} }));
        let mut found = Vec::new();
        blob_ids(
            &object(json!({ "media": { "p": { "blobId": "1" }, "q": [{ "blobId": "2" }, { "blobId": "1" }] } })),
            &mut found,
        );
        assert_eq!(found, ["1", "2"]);
    }

    #[test]
    fn emails_are_known_by_blob_and_date() {
        let email = object(json!({
            "id": "M1", "blobId": "G1", "receivedAt": "2026-01-02T03:04:05Z", "size": 7,
            "mailboxIds": { "b": true, "a": true }, "keywords": { "$seen": true },
        }));
        let one = entry(ObjectType::Email, &email, "").expect("an entry");
        assert_eq!(
            (&*one.rev, one.attrs.parents.as_slice()),
            ("BG1.1767323045", ["a".to_owned(), "b".to_owned()].as_slice())
        );
        let found = Locator::parse(&one.locator, ObjectType::Email).expect("a locator");
        assert_eq!((found.blob.as_deref(), found.size), (Some("G1"), Some(7)));
        assert!(matches!(found.data, ItemData::Email { received: Some(1_767_323_045), .. }));
        assert!(entry(ObjectType::Email, &object(json!({ "id": "M1" })), "").is_none());
    }
}
