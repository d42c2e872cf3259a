//! What Email/get can show, and Email/import: RFC 8621 sections 4.1, 4.2 and 4.8.

use super::call::{Call, MethodError, SetError, or_null};
use super::mailboxes::check_email;
use super::schema::Kind;
use super::set::{map, new_creation};
use super::shape::Shape;
use super::store::now;
use serde_json::{Map, Value, json};

/// Properties that follow from the message, those of [`DEFAULT`] first.
const DERIVED: [&str; 19] = [
    "messageId",
    "inReplyTo",
    "references",
    "sender",
    "from",
    "to",
    "cc",
    "bcc",
    "replyTo",
    "subject",
    "sentAt",
    "hasAttachment",
    "preview",
    "headers",
    "bodyStructure",
    "bodyValues",
    "textBody",
    "htmlBody",
    "attachments",
];

/// Those that the test server shows without being asked: of the default list, what it can compute.
const DEFAULT: &[&str] = DERIVED.split_at(13).0;

/// True for a property that can be asked for; section 4.1.3 for `header:…`.
pub(super) fn is_property(name: &str) -> bool {
    let Some(rest) = name.strip_prefix("header:") else { return DERIVED.contains(&name) };
    let mut parts = rest.split(':');
    let field = parts.next().unwrap_or_default();
    let suffixes: Vec<&str> = parts.collect();
    let is_field = !field.is_empty() && field.bytes().all(|byte| (33..=126).contains(&byte));
    is_field
        && match suffixes[..] {
            [] | ["all"] => true,
            [form] | [form, "all"] => is_allowed(field, form),
            _ => false,
        }
}

/// "this form may only be fetched or set for the following header fields", sections 4.1.2.2 to 4.1.2.7.
fn is_allowed(field: &str, form: &str) -> bool {
    let field = field.to_ascii_lowercase();
    let addresses = [
        "from",
        "sender",
        "reply-to",
        "to",
        "cc",
        "bcc",
        "resent-from",
        "resent-sender",
        "resent-reply-to",
        "resent-to",
        "resent-cc",
        "resent-bcc",
    ];
    let text = ["subject", "comments", "keywords", "list-id"];
    let ids = ["message-id", "in-reply-to", "references", "resent-message-id"];
    let dates = ["date", "resent-date"];
    let urls = ["list-help", "list-unsubscribe", "list-subscribe", "list-post", "list-owner", "list-archive"];
    let is_known = [&addresses[..], &text[..3], &ids, &dates, &urls, &["return-path", "received"]]
        .iter()
        .any(|known| known.contains(&field.as_str()));
    let allowed: &[&str] = match form {
        "asRaw" => return true,
        "asText" => &text,
        "asAddresses" | "asGroupedAddresses" => &addresses,
        "asMessageIds" => &ids,
        "asDate" => &dates,
        "asURLs" => &urls,
        _ => return false,
    };
    !is_known || allowed.contains(&field.as_str())
}

/// Adds what follows from the message.
pub(super) fn compute(
    call: &Call,
    email: &mut Map<String, Value>,
    properties: Option<&[String]>,
) -> Result<(), MethodError> {
    let names: Vec<String> = match properties {
        Some(properties) => properties.to_vec(),
        None => DEFAULT.iter().map(|name| (*name).to_owned()).collect(),
    };
    let Some(blob) = email["blobId"].as_str().and_then(|id| call.account.blobs.get(id)) else { return Ok(()) };
    for name in names.iter().filter(|name| is_property(name)) {
        let value = derived(&blob.bytes, name).ok_or_else(|| {
            MethodError::new("serverFail", format!("the test server does not take messages apart: {name}"))
        })?;
        email.insert(name.clone(), value);
    }
    Ok(())
}

fn derived(bytes: &[u8], name: &str) -> Option<Value> {
    let fields = fields(bytes);
    let last = |field: &str| {
        fields.iter().rev().find(|(known, _)| known.eq_ignore_ascii_case(field)).map(|(_, value)| value.as_str())
    };
    Some(match name {
        "messageId" => ids(last("Message-ID")),
        "inReplyTo" => ids(last("In-Reply-To")),
        "references" => ids(last("References")),
        "subject" => json!(last("Subject").map(text)),
        "hasAttachment" => json!(last("Content-Type").is_some_and(|kind| kind.trim().starts_with("multipart/mixed"))),
        "preview" => json!(preview(bytes)),
        "headers" => fields.iter().map(|(name, value)| json!({"name": name, "value": value})).collect(),
        "sender" | "from" | "to" | "cc" | "bcc" => json!(last(name).map(addresses)),
        "replyTo" => json!(last("Reply-To").map(addresses)),
        "sentAt" => {
            let date = last("Date").map(str::trim).and_then(|date| jiff::fmt::rfc2822::parse(date).ok());
            json!(date.map(|date| date.timestamp().strftime("%Y-%m-%dT%H:%M:%SZ").to_string()))
        }
        _ => {
            let mut parts = name.strip_prefix("header:")?.split(':');
            let field = parts.next()?;
            let suffixes: Vec<&str> = parts.collect();
            let form = suffixes.iter().find(|suffix| **suffix != "all").copied().unwrap_or("asRaw");
            let all = fields.iter().filter(|(known, _)| known.eq_ignore_ascii_case(field));
            let mut values = all.map(|(_, value)| formed(value, form)).collect::<Option<Vec<Value>>>()?;
            if suffixes.contains(&"all") { json!(values) } else { values.pop().unwrap_or(Value::Null) }
        }
    })
}

fn formed(value: &str, form: &str) -> Option<Value> {
    match form {
        "asRaw" => Some(json!(value)),
        "asText" => Some(json!(text(value))),
        "asMessageIds" => Some(ids(Some(value))),
        "asAddresses" => Some(json!(addresses(value))),
        _ => None,
    }
}

/// The header fields, raw: name and what stands behind the colon, without the last CRLF.
pub(super) fn fields(bytes: &[u8]) -> Vec<(String, String)> {
    let text = String::from_utf8_lossy(bytes);
    let mut fields: Vec<(String, String)> = Vec::new();
    for line in text.split_inclusive('\n') {
        let bare = line.trim_end_matches(['\r', '\n']);
        if bare.is_empty() {
            break;
        }
        match (bare.starts_with([' ', '\t']), fields.last_mut(), bare.split_once(':')) {
            (true, Some((_, value)), _) => {
                value.push_str("\r\n");
                value.push_str(bare);
            }
            (false, _, Some((name, value))) => fields.push((name.to_owned(), value.to_owned())),
            _ => {}
        }
    }
    fields
}

fn text(raw: &str) -> String {
    raw.replace("\r\n", "").trim_start_matches(' ').to_owned()
}

fn ids(raw: Option<&str>) -> Value {
    let Some(raw) = raw else { return Value::Null };
    let ids: Vec<&str> =
        raw.split('<').skip(1).filter_map(|part| part.split_once('>')).map(|(id, _)| id.trim()).collect();
    if ids.is_empty() { Value::Null } else { json!(ids) }
}

fn addresses(raw: &str) -> Vec<Value> {
    let parts = raw.split(',').map(|part| part.trim().replace("\r\n", ""));
    parts
        .filter(|part| !part.is_empty())
        .map(|part| match part.split_once('<') {
            Some((name, address)) => {
                let name = name.trim().trim_matches('"');
                let name = if name.is_empty() { Value::Null } else { json!(name) };
                json!({"name": name, "email": address.trim_end_matches('>')})
            }
            None => json!({"name": null, "email": part}),
        })
        .collect()
}

fn preview(bytes: &[u8]) -> String {
    let text = String::from_utf8_lossy(bytes);
    let body = text.split_once("\r\n\r\n").or_else(|| text.split_once("\n\n")).map_or("", |(_, body)| body);
    body.split_whitespace().collect::<Vec<_>>().join(" ").chars().take(256).collect()
}

/// The thread of a message: that of what it answers.
pub(super) fn thread(bytes: &[u8]) -> String {
    let fields = fields(bytes);
    let named = |field: &str| {
        fields.iter().find(|(known, _)| known.eq_ignore_ascii_case(field)).map(|(_, value)| ids(Some(value)))
    };
    let root = ["References", "In-Reply-To", "Message-ID"]
        .into_iter()
        .filter_map(named)
        .find_map(|ids| ids.get(0).and_then(Value::as_str).map(str::to_owned));
    let seed = root.map_or_else(|| bytes.to_vec(), String::into_bytes);
    format!("t{}", &blake3::hash(&seed).to_hex()[..10])
}

/// "time of most recent Received header, or time of import on server if none".
fn received(bytes: &[u8]) -> Option<String> {
    let (_, value) = fields(bytes).into_iter().find(|(name, _)| name.eq_ignore_ascii_case("Received"))?;
    let date = jiff::fmt::rfc2822::parse(value.rsplit(';').next()?.trim()).ok()?;
    Some(date.timestamp().strftime("%Y-%m-%dT%H:%M:%SZ").to_string())
}

/// `Email/import`.
pub(super) fn import(call: &mut Call) -> Result<Value, MethodError> {
    call.known(&["accountId", "ifInState", "emails"], &[])?;
    if call.arguments.get("emails").is_none_or(Value::is_null) {
        return Err(MethodError::arguments("emails is missing"));
    }
    let emails = map(call, "emails")?;
    call.limit(emails.len(), "maxObjectsInSet", |limits| limits.max_objects_in_set)?;
    call.if_in_state()?;
    for (creation, _) in &emails {
        new_creation(call, creation)?;
    }
    let old_state = call.account.table(Kind::Email).state();
    let (mut created, mut not_created) = (Map::new(), Map::new());
    for (creation, given) in emails {
        match import_one(call, &given) {
            Ok(email) => {
                let id = email["id"].as_str().expect("an id").to_owned();
                let told = ["id", "blobId", "threadId", "size"].map(|name| (name.to_owned(), email[name].clone()));
                created.insert(creation.clone(), Map::from_iter(told).into());
                call.creations.ids.insert(creation, id.clone());
                call.account.put(Kind::Email, &id, email);
            }
            Err(error) => {
                call.judge(&format!("import of {creation}"), &error);
                not_created.insert(creation, error.json());
            }
        }
    }
    Ok(json!({"accountId": call.account.options.id, "oldState": old_state,
        "newState": call.account.table(Kind::Email).state(),
        "created": or_null(created), "notCreated": or_null(not_created)}))
}

fn import_one(call: &mut Call, given: &Map<String, Value>) -> Result<Value, SetError> {
    if let Some(error) = call.twisted() {
        return Err(error);
    }
    for (name, value) in given {
        let shape = match name.as_str() {
            "blobId" => Shape::Id,
            "mailboxIds" => Shape::Object,
            "keywords" => Shape::Keywords,
            "receivedAt" => Shape::UtcDate,
            _ => return Err(SetError::property(name, format!("an EmailImport has no {name:?}"))),
        };
        let text = value.as_str().unwrap_or_default();
        if !(name == "blobId" && text.starts_with('#')) {
            shape.check(value).map_err(|why| SetError::property(name, format!("{name} is {why}")))?;
        }
    }
    let Some(blob) = given.get("blobId").and_then(Value::as_str) else {
        return Err(SetError::property("blobId", "it is missing"));
    };
    let blob = if blob.starts_with('#') { call.creations.resolve(blob, "blobId")? } else { blob.to_owned() };
    let mut mailboxes = Map::new();
    for (id, value) in given.get("mailboxIds").and_then(Value::as_object).into_iter().flatten() {
        let id = if id.starts_with('#') { call.creations.resolve(id, "mailboxIds")? } else { id.clone() };
        mailboxes.insert(id, value.clone());
    }
    let mailboxes = Value::from(mailboxes);
    // "At least one Mailbox MUST be given."
    Shape::IdSet.check(&mailboxes).map_err(|why| SetError::property("mailboxIds", why))?;
    let bytes = call.blob(&blob).map_err(|error| match call.options.missing_blob_of_import {
        // "If the blobId … properties are invalid (e.g., missing, wrong type, id not found), the server MUST reject the
        // import with an `invalidProperties` SetError."
        "invalidProperties" => SetError::conflict("invalidProperties", "blobId", error.description),
        _ => error,
    })?;
    let has_header = fields(&bytes).iter().any(|(name, _)| name.bytes().all(|byte| (33..=126).contains(&byte)));
    if !has_header {
        return Err(SetError::new("invalidEmail", "it has no header"));
    }
    let mut email = Map::new();
    email.insert("mailboxIds".to_owned(), mailboxes);
    email.insert("keywords".to_owned(), given.get("keywords").cloned().unwrap_or_else(|| json!({})));
    check_email(call, None, &mut email)?;
    if call.options.refuses_duplicates
        && let Some(twin) = call.account.twin(&bytes)
    {
        return Err(
            SetError::new("alreadyExists", format!("{twin} has the same bytes")).with("existingId", twin.as_str())
        );
    }
    let blob = call.adopt(&blob)?;
    let id = call.account.new_id(Kind::Email);
    let received = match given.get("receivedAt") {
        Some(received) => received.clone(),
        None => json!(received(&bytes).unwrap_or_else(|| now(call.options))),
    };
    for (name, value) in [
        ("id", json!(id)),
        ("blobId", json!(blob)),
        ("threadId", json!(thread(&bytes))),
        ("size", json!(bytes.len())),
        ("receivedAt", received),
    ] {
        email.insert(name.to_owned(), value);
    }
    Ok(email.into())
}
