//! An account as text, without anything that only this server knows: equal text means an equal account.

use super::schema::Kind;
use super::store::Account;
use serde_json::{Map, Value, json};

/// What the server sets or counts, and what changes by itself.
const OWN: [&str; 11] = [
    "id",
    "threadId",
    "myRights",
    "mayDelete",
    "totalEmails",
    "unreadEmails",
    "totalThreads",
    "unreadThreads",
    "changed",
    "accessed",
    "updated",
];

/// One line for each object, sorted. Ids are replaced by paths, blobs by digests.
pub(super) fn snapshot(account: &Account) -> Vec<String> {
    let mut lines = Vec::new();
    for kind in Kind::ALL {
        if matches!(kind, Kind::Principal | Kind::Thread) {
            continue;
        }
        for object in account.table(kind).rows.values() {
            let mut lasting = object.as_object().expect("an object").clone();
            lasting.retain(|name, _| !OWN.contains(&name.as_str()));
            lasting.sort_keys();
            let lasting: Map<String, Value> =
                lasting.iter().map(|(name, value)| (name.clone(), named(account, kind, name, value))).collect();
            lines.push(format!("{} {}", kind.schema().name, Value::from(lasting)));
        }
    }
    lines.sort();
    lines
}

/// A value with names instead of ids.
fn named(account: &Account, kind: Kind, name: &str, value: &Value) -> Value {
    let container = match name {
        "mailboxIds" => Kind::Mailbox,
        "addressBookIds" => Kind::AddressBook,
        "calendarIds" => Kind::Calendar,
        _ => kind,
    };
    match (name, value) {
        ("parentId", Value::String(id)) => json!(path(account, kind, id)),
        ("blobId", Value::String(id)) => match account.blobs.get(id) {
            Some(blob) => json!(blake3::hash(&blob.bytes).to_hex()[..16]),
            None => json!("no such blob"),
        },
        ("mailboxIds" | "addressBookIds" | "calendarIds", Value::Object(ids)) => {
            let mut paths: Vec<String> = ids.keys().map(|id| path(account, container, id)).collect();
            paths.sort();
            json!(paths)
        }
        (_, Value::Object(object)) => {
            let mut object = object.clone();
            object.sort_keys();
            object
                .iter()
                .map(|(name, value)| (name.clone(), named(account, kind, name, value)))
                .collect::<Map<_, _>>()
                .into()
        }
        _ => value.clone(),
    }
}

/// The names from the top, e.g. `Work/Old`.
fn path(account: &Account, kind: Kind, id: &str) -> String {
    let mut names: Vec<String> = account
        .ancestors(kind, &json!(id))
        .iter()
        .map(|id| account.get(kind, id).and_then(|it| it["name"].as_str()).unwrap_or("no such object").to_owned())
        .collect();
    names.reverse();
    names.join("/")
}
