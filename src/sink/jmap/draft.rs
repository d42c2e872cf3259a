//! Objects of an archive as objects of JMAP: pure, and legal to the letter, since a strict server refuses an object for one
//! property.

use super::keys::{VACATION, collection_name, event_key, identity_key, participant_key};
use super::rules::Rules;
use crate::format::jmap::{Object, color, folded, media_type, name, time_zone, utc};
use crate::format::title;
use crate::model::objects::{
    AddressBook, Calendar, CalendarEvent, ContactCard, FileNode, Identity, Mailbox, NodeType, ParticipantIdentity,
    Properties, SieveScript, Text, VacationResponse,
};
use crate::model::{EXECUTABLE, ObjectType};
use crate::sink::{Draft, NoDraft, StoredItem};
use serde_json::{Value, json};

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

/// An object in JMAP's form.
pub(super) fn draft(item: &StoredItem<'_>, rules: &Rules) -> Result<Draft, NoDraft> {
    let mut draft = match &item.properties {
        Properties::Mailbox(properties) => mailbox(properties, rules),
        Properties::AddressBook(properties) => address_book(properties),
        Properties::Calendar(properties) => calendar(properties),
        Properties::Identity(properties) => identity(properties),
        Properties::ParticipantIdentity(properties) => participant(properties, rules),
        Properties::VacationResponse(properties) => vacation(properties),
        Properties::SieveScript(properties) => script(properties, item, rules),
        Properties::FileNode(properties) => file(properties, item, rules),
        Properties::ContactCard(properties) => card(properties).ok_or(NoDraft::Unreadable)?,
        Properties::CalendarEvent(properties) => event(properties)?,
        Properties::Email(_) => {
            let reason = "a message is sent as it is".to_owned();
            return Err(NoDraft::Unplaced { reason, label: format!("email {}", item.row) });
        }
    };
    draft.untold.extend(item.untold.iter().cloned());
    Ok(draft)
}

/// A container of which nothing but the name is known.
pub(super) fn container(kind: ObjectType, text: &str, rules: &Rules) -> Draft {
    let label = match kind {
        ObjectType::Mailbox => name(text, rules.mailbox_name, "Restored"),
        ObjectType::FileNode => file_name(text, rules),
        _ => collection_name(text),
    };
    let mut body = Object::from_iter([("name".to_owned(), json!(label))]);
    if kind == ObjectType::FileNode {
        body.insert("nodeType".to_owned(), json!(NodeType::Directory.name()));
    }
    Draft { key: folded(&label), label, body, ..Draft::default() }
}

fn sort_order(number: i64) -> Value {
    json!(number.clamp(0, i64::from(i32::MAX)))
}

fn parsed(json: Option<&Text<'_>>) -> Option<Value> {
    serde_json::from_str(json?).ok().filter(|value: &Value| !value.is_null())
}

fn object(value: Value) -> Object {
    match value {
        Value::Object(object) => object,
        _ => Object::new(),
    }
}

/// A mailbox (RFC 8621 section 2).
fn mailbox(mailbox: &Mailbox<'_>, rules: &Rules) -> Draft {
    let name = name(&mailbox.name, rules.mailbox_name, "Unnamed");
    let role = mailbox.role.as_ref().map(|role| role.to_lowercase());
    Draft {
        key: folded(&name),
        label: name.clone(),
        raw: mailbox.name.to_string(),
        role: role.filter(|role| MAILBOX_ROLES.contains(&role.as_str())),
        body: object(json!({
            "name": name,
            "sortOrder": sort_order(mailbox.sort_order),
            "isSubscribed": mailbox.is_subscribed,
        })),
        ..Draft::default()
    }
}

/// An address book (RFC 9610 section 2).
fn address_book(book: &AddressBook<'_>) -> Draft {
    let body = json!({
        "description": book.description,
        "sortOrder": sort_order(book.sort_order),
        "isSubscribed": book.is_subscribed,
    });
    collection(&book.name, book.is_default, body)
}

/// A calendar (draft-ietf-jmap-calendars section 4).
fn calendar(calendar: &Calendar<'_>) -> Draft {
    let availability = Some(&*calendar.include_in_availability);
    let availability = availability.filter(|word| ["all", "attending", "none"].contains(word));
    let body = json!({
        "description": calendar.description,
        "color": calendar.color.as_deref().and_then(color),
        "sortOrder": sort_order(calendar.sort_order),
        "isSubscribed": calendar.is_subscribed,
        "isVisible": calendar.is_visible,
        "includeInAvailability": availability.unwrap_or("all"),
        "defaultAlertsWithTime": alerts(calendar.default_alerts_with_time.as_ref()),
        "defaultAlertsWithoutTime": alerts(calendar.default_alerts_without_time.as_ref()),
        "timeZone": calendar.time_zone.as_deref().and_then(time_zone),
    });
    collection(&calendar.name, calendar.is_default, body)
}

/// A calendar or an address book with these properties beside its name.
fn collection(raw: &str, is_default: bool, properties: Value) -> Draft {
    let label = collection_name(raw);
    let mut body = Object::from_iter([("name".to_owned(), json!(label))]);
    body.extend(object(properties));
    Draft { key: folded(&label), label, raw: raw.to_owned(), is_chosen: is_default, body, ..Draft::default() }
}

/// Alerts that have a trigger (RFC 8984 section 4.5.2).
fn alerts(json: Option<&Text<'_>>) -> Option<Value> {
    let Some(Value::Object(mut alerts)) = parsed(json) else { return None };
    alerts.retain(|_, alert| alert.get("trigger").is_some_and(Value::is_object));
    (!alerts.is_empty()).then_some(Value::Object(alerts))
}

/// An identity (RFC 8621 section 6).
fn identity(identity: &Identity<'_>) -> Draft {
    let (name, email) = (&*identity.name, identity.email.trim());
    Draft {
        key: identity_key(name, email),
        label: format!("{name} <{email}>"),
        body: object(json!({
            "name": name,
            "email": email,
            "replyTo": parsed(identity.reply_to.as_ref()),
            "bcc": parsed(identity.bcc.as_ref()),
            "textSignature": identity.text_signature,
            "htmlSignature": identity.html_signature,
        })),
        ..Draft::default()
    }
}

/// A participant identity (draft-ietf-jmap-calendars section 3), in the words of this or the former draft.
fn participant(identity: &ParticipantIdentity<'_>, rules: &Rules) -> Draft {
    let (name, address) = (&*identity.name, &*identity.calendar_address);
    let mut body = object(json!({ "name": name, rules.calendar_address: address }));
    if rules.calendar_address == "scheduleId" {
        let method = if address.starts_with("mailto:") { "imip" } else { "other" };
        body.insert("sendTo".to_owned(), json!({ method: address }));
    }
    Draft {
        key: participant_key(address),
        label: format!("{name} <{address}>"),
        is_chosen: identity.is_default,
        body,
        ..Draft::default()
    }
}

/// The answer to mail that comes while the user is away (RFC 8621 section 8). There is always one.
fn vacation(response: &VacationResponse<'_>) -> Draft {
    Draft {
        key: VACATION.to_owned(),
        label: "vacation response".to_owned(),
        body: object(json!({
            "isEnabled": response.is_enabled,
            "fromDate": response.from_date.as_deref().and_then(utc),
            "toDate": response.to_date.as_deref().and_then(utc),
            "subject": response.subject,
            "textBody": response.text_body,
            "htmlBody": response.html_body,
        })),
        ..Draft::default()
    }
}

/// A Sieve script (RFC 9661 section 2). It is recognised by its bytes.
fn script(script: &SieveScript<'_>, item: &StoredItem<'_>, rules: &Rules) -> Draft {
    let name = name(&script.name, rules.script_name, &format!("script {}", item.row));
    Draft {
        key: item.digest.map(|digest| digest.hex()).unwrap_or_default(),
        label: name.clone(),
        is_chosen: script.is_active,
        blob: item.blob,
        body: object(json!({ "name": name })),
        ..Draft::default()
    }
}

/// A file, a directory or a link (draft-ietf-jmap-filenode section 3).
fn file(node: &FileNode<'_>, item: &StoredItem<'_>, rules: &Rules) -> Draft {
    let name = file_name(&node.name, rules);
    let mut draft = Draft {
        key: folded(&name),
        label: name.clone(),
        raw: node.name.to_string(),
        body: object(json!({
            "name": name,
            "nodeType": node.node_type.name(),
            "isSubscribed": node.is_subscribed,
        })),
        ..Draft::default()
    };
    let body = &mut draft.body;
    for (property, date) in [("created", &node.created), ("modified", &node.modified)] {
        if let Some(date) = date.as_deref().and_then(utc) {
            body.insert(property.to_owned(), json!(date));
        }
    }
    if item.is_executable {
        body.insert(EXECUTABLE.to_owned(), json!(true));
    }
    match node.node_type {
        NodeType::File => {
            let kind = node.media_type.as_deref().and_then(media_type);
            if kind.is_none() || kind.as_deref() != node.media_type.as_deref() {
                // Another server takes it in these words only; one that has it in others keeps them.
                draft.untold.insert("type".to_owned());
            }
            body.insert("type".to_owned(), json!(kind.as_deref().unwrap_or("application/octet-stream")));
            draft.blob = item.blob;
        }
        NodeType::Symlink => {
            body.insert("target".to_owned(), parsed(node.target.as_ref()).unwrap_or_else(|| json!(["."])));
        }
        NodeType::Directory => draft.role = node.role.as_ref().map(|role| role.to_lowercase()),
    }
    draft
}

/// A name that the target lets a file have.
fn file_name(text: &str, rules: &Rules) -> String {
    let allowed: String =
        text.chars().map(|c| if rules.file_characters.contains(c) || c == '/' { '_' } else { c }).collect();
    let name = name(&allowed, rules.file_name, "unnamed");
    if rules.file_names.contains(&name.to_lowercase()) { format!("{name}_") } else { name }
}

/// A card (RFC 9610 section 3).
fn card(card: &ContactCard<'_>) -> Option<Draft> {
    let Some(Value::Object(mut data)) = parsed(Some(&card.data)) else { return None };
    data.shift_remove("id");
    data.shift_remove("addressBookIds");
    data.insert("uid".to_owned(), json!(card.uid));
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
    let label = title::card(&data);
    Some(Draft { key: card.uid.to_string(), label, body: data, ..Draft::default() })
}

/// An event (draft-ietf-jmap-calendars section 5), or a task or a note, which some targets take in its place.
fn event(event: &CalendarEvent<'_>) -> Result<Draft, NoDraft> {
    let Some(Value::Object(mut data)) = parsed(Some(&event.data)) else { return Err(NoDraft::Unreadable) };
    let uid = data.get("uid").and_then(Value::as_str).unwrap_or_default().to_owned();
    data.retain(|name, value| !NOT_OF_EVENTS.contains(&name.as_str()) && !value.is_null());
    data.insert("@type".to_owned(), json!(event.data_type));
    if event.is_draft {
        data.insert("isDraft".to_owned(), json!(true));
    }
    if event.use_default_alerts {
        data.insert("useDefaultAlerts".to_owned(), json!(true));
    }
    dates(&mut data);
    let remark = without_nonsense(&mut data);
    let key = event_key(&uid, data.get("recurrenceId").and_then(Value::as_str));
    let label = title::event(&data);
    if !["Event", "Task", "Note"].contains(&&*event.data_type) {
        let reason = format!("JMAP has no place for {}s", event.data_type.to_lowercase());
        return Err(NoDraft::Unplaced { reason, label });
    }
    Ok(Draft { key, label, body: data, remark, ..Draft::default() })
}

/// iCalendar knows negative durations and alarms without a trigger of any use; RFC 8984 sections 1.4.6 and 4.5.2 do not.
pub(super) fn without_nonsense(data: &mut Object) -> Option<String> {
    let mut left_out = Vec::new();
    let duration = data.get("duration").and_then(Value::as_str);
    if duration.is_some_and(|duration| !duration.starts_with('P')) {
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
