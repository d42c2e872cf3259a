//! Changes as JMAP asks for them.

use super::keys::container_property;
use crate::format::jmap::{Object, keyword, utc};
use crate::model::{Id, ObjectType};
use crate::sink::{BlobRef, Change, NewEmail, Patch};
use serde_json::{Value, json};

/// What stands in an object in the place of `blobId`, until the bytes are uploaded: a number of [`number_of`]. At the top
/// of an object, or anywhere in it (FORMAT.md, `@blob`).
pub(super) const BLOB: &str = "@blob";

/// A change of one object.
#[derive(Debug, Clone)]
pub(super) enum Request {
    /// A new object.
    Create(Object),
    /// New values of properties; null takes one away.
    Update(String, Object),
    Destroy(String),
}

/// Bytes as a number: a blob by its row, the original of an event by its row below zero.
pub(super) fn number_of(blob: BlobRef) -> Id {
    match blob {
        BlobRef::Blob(id) => id,
        BlobRef::Original(_, row) => -row,
    }
}

/// The bytes of a number.
pub(super) fn blob_of(number: Id) -> BlobRef {
    match number {
        ..0 => BlobRef::Original(ObjectType::CalendarEvent, -number),
        _ => BlobRef::Blob(number),
    }
}

/// `{"a": true, "b": true}`, JMAP's form of a set (RFC 8620 section 1.2).
fn set(members: &[String]) -> Value {
    Value::Object(members.iter().map(|member| (member.clone(), json!(true))).collect())
}

impl Request {
    /// A change of an object of a type.
    pub(super) fn of(kind: ObjectType, change: Change) -> Request {
        match change {
            Change::Create(mut body, blob, location) => {
                if matches!(kind, ObjectType::Mailbox | ObjectType::FileNode) {
                    body.insert("parentId".to_owned(), json!(location.parent));
                }
                if let Some(property) = container_property(kind) {
                    body.insert(property.to_owned(), set(&location.containers));
                }
                if let Some(role) = location.role {
                    body.insert("role".to_owned(), json!(role));
                }
                if let Some(blob) = blob {
                    body.insert(BLOB.to_owned(), json!(number_of(blob)));
                }
                Request::Create(body)
            }
            Change::CreateEmail(email) => Request::Create(import(&email)),
            Change::Update(id, Patch { mut body, containers, .. }) => {
                if let (Some(property), Some(containers)) = (container_property(kind), containers) {
                    body.insert(property.to_owned(), set(&containers));
                }
                Request::Update(id, body)
            }
            Change::UpdateEmail(id, update) => {
                let properties = [("mailboxIds", update.mailboxes), ("keywords", update.keywords)];
                let properties = properties.into_iter().filter_map(|(name, members)| Some((name, members?)));
                Request::Update(id, properties.map(|(name, members)| (name.to_owned(), set(&members))).collect())
            }
            Change::Destroy(id) => Request::Destroy(id),
        }
    }
}

/// A message as `Email/import` wants it (RFC 8621 section 4.8).
fn import(email: &NewEmail) -> Object {
    let mut object = Object::new();
    object.insert(BLOB.to_owned(), json!(email.blob));
    object.insert("mailboxIds".to_owned(), set(&email.mailboxes));
    let keywords: Vec<String> = email.keywords.iter().filter_map(|one| keyword(one)).collect();
    object.insert("keywords".to_owned(), set(&keywords));
    if let Some(date) = email.received.and_then(|time| utc(&time.to_string())) {
        object.insert("receivedAt".to_owned(), json!(date));
    }
    object
}
