//! Rows of an archive as objects of JMAP: pure, and legal to the letter, since a strict server refuses an object for one
//! property.

use super::label;
use crate::archive::Record;
use crate::format::jmap::{Object, color, folded, media_type, name, time_zone, utc};
use crate::model::{Id, ObjectType};
use crate::sink::{BLOB, Rules};
use serde_json::{Value, json};
use std::collections::BTreeSet;

/// An object that the target should have.
#[derive(Debug, Clone, Default)]
pub struct Wanted {
    /// The row; 0 and below for containers that only an export needs.
    pub id: Id,
    /// The row that it lies in: of mailboxes and files.
    pub parent: Option<Id>,
    /// The rows that it lies in: of events and cards.
    pub containers: Vec<Id>,
    /// What it is recognised by, beside its parent.
    pub key: String,
    /// What the key stands for, for people.
    pub label: String,
    pub role: Option<String>,
    /// The default of its type, or the active script.
    pub is_chosen: bool,
    /// All but references to other objects.
    pub object: Object,
    /// What of the row is not in the object.
    pub remark: Option<String>,
    /// The name as the archive has it, of containers and files: `label` is what a target takes for it.
    pub raw: String,
    /// Ids that it has, or had, at JMAP sources.
    pub ids: Vec<String>,
    /// Properties whose values nobody told: never a reason to change what a target has.
    pub unknown: BTreeSet<String>,
    /// The row of the file that stands for it where the target takes no such event.
    pub as_file: Option<Id>,
    /// A file, or a directory of such, that is only wanted in the place of an event.
    pub waits: bool,
    /// The uid that the archive gave it, where that is not its own: another card has that.
    pub marked: Option<String>,
    /// It is one with another wanted object that has the same key.
    pub is_joined: bool,
}

/// Octets that a name of a calendar or an address book may have (RFC 9610 section 2, draft-ietf-jmap-calendars section 4).
const COLLECTION_NAME: usize = 255;

/// Roles of mailboxes: the registry "IMAP Mailbox Name Attributes" in lower case (RFC 8621 section 2).
const MAILBOX_ROLES: [&str; 13] = [
    "all",
    "archive",
    "drafts",
    "flagged",
    "important",
    "inbox",
    "junk",
    "memos",
    "scheduled",
    "sent",
    "snoozed",
    "subscribed",
    "trash",
];

/// Properties of an event that belong to the server or to a request (draft-ietf-jmap-calendars section 5.1).
const NOT_OF_EVENTS: [&str; 10] = [
    "id",
    "calendarIds",
    "isDraft",
    "useDefaultAlerts",
    "method",
    "utcStart",
    "utcEnd",
    "isOrigin",
    "baseEventId",
    "recurrenceIdTimeZone",
];

fn sort_order(record: &Record) -> Value {
    json!(record.number("sort_order").unwrap_or(0).clamp(0, i64::from(i32::MAX)))
}

fn flag(record: &Record, column: &str, absent: bool) -> bool {
    record.number(column).map_or(absent, |number| number != 0)
}

fn parsed(record: &Record, column: &str) -> Option<Value> {
    serde_json::from_str(record.text(column)?).ok().filter(|value: &Value| !value.is_null())
}

fn object(value: Value) -> Object {
    match value {
        Value::Object(object) => object,
        _ => Object::new(),
    }
}

/// A mailbox (RFC 8621 section 2).
pub fn mailbox(record: &Record, rules: &Rules) -> Wanted {
    let name = name(record.text("name").unwrap_or_default(), rules.mailbox_name, "Unnamed");
    let role = record.text("role").map(str::to_lowercase).filter(|role| MAILBOX_ROLES.contains(&role.as_str()));
    Wanted {
        id: record.id,
        parent: record.number("parent_id"),
        key: folded(&name),
        label: name.clone(),
        raw: record.text("name").unwrap_or_default().to_owned(),
        role,
        object: object(json!({
            "name": name,
            "sortOrder": sort_order(record),
            "isSubscribed": flag(record, "is_subscribed", true),
        })),
        ..Wanted::default()
    }
}

/// An address book (RFC 9610 section 2).
pub fn address_book(record: &Record) -> Wanted {
    let name = collection_name(record.text("name").unwrap_or_default());
    Wanted {
        id: record.id,
        key: folded(&name),
        label: name.clone(),
        raw: record.text("name").unwrap_or_default().to_owned(),
        is_chosen: flag(record, "is_default", false),
        object: object(json!({
            "name": name,
            "description": record.text("description"),
            "sortOrder": sort_order(record),
            "isSubscribed": flag(record, "is_subscribed", true),
        })),
        ..Wanted::default()
    }
}

/// A calendar (draft-ietf-jmap-calendars section 4).
pub fn calendar(record: &Record) -> Wanted {
    let name = collection_name(record.text("name").unwrap_or_default());
    let availability =
        record.text("include_in_availability").filter(|word| ["all", "attending", "none"].contains(word));
    Wanted {
        id: record.id,
        key: folded(&name),
        label: name.clone(),
        raw: record.text("name").unwrap_or_default().to_owned(),
        is_chosen: flag(record, "is_default", false),
        object: object(json!({
            "name": name,
            "description": record.text("description"),
            "color": record.text("color").and_then(color),
            "sortOrder": sort_order(record),
            "isSubscribed": flag(record, "is_subscribed", true),
            "isVisible": flag(record, "is_visible", true),
            "includeInAvailability": availability.unwrap_or("all"),
            "defaultAlertsWithTime": alerts(record, "default_alerts_with_time"),
            "defaultAlertsWithoutTime": alerts(record, "default_alerts_without_time"),
            "timeZone": record.text("time_zone").and_then(time_zone),
        })),
        ..Wanted::default()
    }
}

/// The name of a calendar or an address book, as a target takes it.
pub fn collection_name(text: &str) -> String {
    name(text, COLLECTION_NAME, "Unnamed")
}

/// Alerts that have a trigger (RFC 8984 section 4.5.2).
fn alerts(record: &Record, column: &str) -> Option<Value> {
    let Some(Value::Object(mut alerts)) = parsed(record, column) else { return None };
    alerts.retain(|_, alert| alert.get("trigger").is_some_and(Value::is_object));
    (!alerts.is_empty()).then_some(Value::Object(alerts))
}

/// An identity (RFC 8621 section 6).
pub fn identity(record: &Record) -> Wanted {
    let (name, email) = (record.text("name").unwrap_or_default(), record.text("email").unwrap_or_default().trim());
    Wanted {
        id: record.id,
        key: identity_key(name, email),
        label: format!("{name} <{email}>"),
        object: object(json!({
            "name": name,
            "email": email,
            "replyTo": parsed(record, "reply_to"),
            "bcc": parsed(record, "bcc"),
            "textSignature": record.text("text_signature").unwrap_or_default(),
            "htmlSignature": record.text("html_signature").unwrap_or_default(),
        })),
        ..Wanted::default()
    }
}

/// What identities are recognised by (1.x: name and address).
pub fn identity_key(name: &str, email: &str) -> String {
    format!("{name}\u{1F}{}", email.trim().to_lowercase())
}

/// What participant identities are recognised by: an account has one of an address.
pub fn participant_key(address: &str) -> String {
    address.trim().to_lowercase()
}

/// A participant identity (draft-ietf-jmap-calendars section 3), in the words of this or the former draft.
pub fn participant(record: &Record, rules: &Rules) -> Wanted {
    let (name, address) =
        (record.text("name").unwrap_or_default(), record.text("calendar_address").unwrap_or_default());
    let mut object = object(json!({ "name": name, rules.calendar_address: address }));
    if rules.calendar_address == "scheduleId" {
        let method = if address.starts_with("mailto:") { "imip" } else { "other" };
        object.insert("sendTo".to_owned(), json!({ method: address }));
    }
    Wanted {
        id: record.id,
        key: participant_key(address),
        label: format!("{name} <{address}>"),
        is_chosen: flag(record, "is_default", false),
        object,
        ..Wanted::default()
    }
}

/// The answer to mail that comes while the user is away (RFC 8621 section 8). There is always one.
pub fn vacation(record: &Record) -> Wanted {
    let date = |column: &str| record.text(column).and_then(utc);
    Wanted {
        id: record.id,
        key: VACATION.to_owned(),
        label: "vacation response".to_owned(),
        object: object(json!({
            "isEnabled": flag(record, "is_enabled", false),
            "fromDate": date("from_date"),
            "toDate": date("to_date"),
            "subject": record.text("subject"),
            "textBody": record.text("text_body"),
            "htmlBody": record.text("html_body"),
        })),
        ..Wanted::default()
    }
}

/// True for a vacation response that nobody has written yet.
pub fn is_blank_vacation(remote: &Object) -> bool {
    remote.get("isEnabled").and_then(Value::as_bool) != Some(true)
        && ["subject", "textBody", "htmlBody"].iter().all(|name| remote.get(*name).is_none_or(Value::is_null))
}

/// The id of the only vacation response (RFC 8621 section 8).
pub const VACATION: &str = "singleton";

/// A Sieve script (RFC 9661 section 2). Its key is the digest of its bytes.
pub fn script(record: &Record, digest: String, rules: &Rules) -> Wanted {
    let name = name(record.text("name").unwrap_or_default(), rules.script_name, &format!("script {}", record.id));
    Wanted {
        id: record.id,
        key: digest,
        label: name.clone(),
        is_chosen: flag(record, "is_active", false),
        object: object(json!({ "name": name, BLOB: record.blob })),
        ..Wanted::default()
    }
}

/// A file, a directory or a link (draft-ietf-jmap-filenode section 3).
pub fn file(record: &Record, rules: &Rules) -> Wanted {
    let name = file_name(record.text("name").unwrap_or_default(), rules);
    let (kind, blob) = match (record.text("node_type"), record.blob) {
        (Some("directory"), _) => ("directory", None),
        (Some("symlink"), _) => ("symlink", None),
        (_, blob) => ("file", blob),
    };
    let mut wanted = Wanted {
        id: record.id,
        parent: record.number("parent_id"),
        key: folded(&name),
        label: name.clone(),
        raw: record.text("name").unwrap_or_default().to_owned(),
        object: object(json!({
            "name": name,
            "nodeType": kind,
            "isSubscribed": flag(record, "is_subscribed", true),
        })),
        ..Wanted::default()
    };
    let object = &mut wanted.object;
    for (property, column) in [("created", "created"), ("modified", "modified")] {
        if let Some(date) = record.text(column).and_then(utc) {
            object.insert(property.to_owned(), json!(date));
        }
    }
    match kind {
        "file" => {
            let kind = record.text("media_type").and_then(media_type);
            if kind.is_none() || kind.as_deref() != record.text("media_type") {
                // Another server takes it in these words only; one that has it in others keeps them.
                wanted.unknown.insert("type".to_owned());
            }
            object.insert("type".to_owned(), json!(kind.as_deref().unwrap_or("application/octet-stream")));
            object.insert(BLOB.to_owned(), json!(blob));
        }
        "symlink" => {
            object.insert("target".to_owned(), parsed(record, "target").unwrap_or_else(|| json!(["."])));
        }
        _ => wanted.role = record.text("role").map(str::to_lowercase),
    }
    wanted
}

/// A name that the target lets a file have.
pub fn file_name(text: &str, rules: &Rules) -> String {
    let allowed: String =
        text.chars().map(|c| if rules.file_characters.contains(c) || c == '/' { '_' } else { c }).collect();
    let name = name(&allowed, rules.file_name, "unnamed");
    if rules.file_names.contains(&name.to_lowercase()) { format!("{name}_") } else { name }
}

/// A card (RFC 9610 section 3).
pub fn card(record: &Record, containers: Vec<Id>) -> Option<Wanted> {
    let uid = record.text("uid").unwrap_or_default().to_owned();
    let Some(Value::Object(mut data)) = parsed(record, "data") else { return None };
    data.shift_remove("id");
    data.shift_remove("addressBookIds");
    data.insert("uid".to_owned(), json!(uid));
    // RFC 9553 sections 2.1.1 and 2.1.2: both are mandatory.
    data.insert("@type".to_owned(), json!("Card"));
    data.entry("version").or_insert_with(|| json!("1.0"));
    // RFC 9555 section 2.15 calls what JSContact has no word for `vCardProps`.
    if let Some(Value::Object(mut rest)) = data.shift_remove("vCard")
        && let Some(properties) = rest.shift_remove("properties")
    {
        data.entry("vCardProps").or_insert(properties);
    }
    dates(&mut data);
    let label = label::card(&data);
    Some(Wanted { id: record.id, containers, key: uid, label, object: data, ..Wanted::default() })
}

/// An event (draft-ietf-jmap-calendars section 5), or a task or a note, which some targets take in its place.
pub fn event(record: &Record, containers: Vec<Id>) -> Option<Wanted> {
    let Some(Value::Object(mut data)) = parsed(record, "data") else { return None };
    let uid = data.get("uid").and_then(Value::as_str).unwrap_or_default().to_owned();
    data.retain(|name, value| !NOT_OF_EVENTS.contains(&name.as_str()) && !value.is_null());
    data.insert("@type".to_owned(), json!(record.text("data_type").unwrap_or("Event")));
    if flag(record, "is_draft", false) {
        data.insert("isDraft".to_owned(), json!(true));
    }
    if flag(record, "use_default_alerts", false) {
        data.insert("useDefaultAlerts".to_owned(), json!(true));
    }
    dates(&mut data);
    let remark = without_nonsense(&mut data);
    let key = event_key(&uid, data.get("recurrenceId").and_then(Value::as_str));
    let label = label::event(&data);
    Some(Wanted { id: record.id, containers, key, label, object: data, remark, ..Wanted::default() })
}

/// iCalendar knows negative durations and alarms without a trigger of any use; RFC 8984 sections 1.4.6 and 4.5.2 do not.
pub fn without_nonsense(data: &mut Object) -> Option<String> {
    let mut left_out = Vec::new();
    if text_of(data, "duration").is_some_and(|duration| !duration.starts_with('P')) {
        data.shift_remove("duration");
        left_out.push("its negative duration");
    }
    if let Some(Value::Object(alerts)) = data.get_mut("alerts") {
        let before = alerts.len();
        alerts.retain(|_, alert| alert.get("trigger").is_some_and(Value::is_object));
        if alerts.len() < before {
            left_out.push("alarms without a trigger");
        }
    }
    (!left_out.is_empty()).then(|| format!("without {}", left_out.join(" and ")))
}

/// A text property.
pub fn text_of<'o>(object: &'o Object, name: &str) -> Option<&'o str> {
    object.get(name).and_then(Value::as_str)
}

/// What events are recognised by: instances without a master share a uid.
pub fn event_key(uid: &str, recurrence: Option<&str>) -> String {
    match recurrence {
        Some(recurrence) => format!("{uid}\u{1F}{recurrence}"),
        None => uid.to_owned(),
    }
}

/// `created` and `updated` are UTCDates (RFC 9553 section 2.1.3, RFC 8984 section 4.1.5).
fn dates(data: &mut Object) {
    for property in ["created", "updated"] {
        if let Some(value) = data.get(property) {
            match value.as_str().and_then(utc) {
                Some(date) => {
                    data.insert(property.to_owned(), json!(date));
                }
                None => {
                    data.shift_remove(property);
                }
            }
        }
    }
}

/// The property that says which containers an object lies in, and their type.
pub fn container(kind: ObjectType) -> Option<(&'static str, ObjectType)> {
    let property = match kind {
        ObjectType::Email => "mailboxIds",
        ObjectType::CalendarEvent => "calendarIds",
        ObjectType::ContactCard => "addressBookIds",
        _ => return None,
    };
    Some((property, kind.container()))
}
