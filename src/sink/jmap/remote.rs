//! Objects of the account as the flow of an export sees them.

use super::keys::{collection_name, container_property, event_key, identity_key, participant_key};
use crate::format::jmap::{Object, folded, participant_address, text};
use crate::format::title;
use crate::model::{Digest, ObjectType};
use crate::sink::Remote;
use serde_json::Value;

/// An object of the account. `digest` is that of a script's bytes, and `addresses` are the user's own.
pub(super) fn remote(kind: ObjectType, body: Object, digest: Option<Digest>, addresses: &[String]) -> Remote {
    let owned = |name: &str| body.get(name).and_then(Value::as_str).map(str::to_owned);
    let containers = container_property(kind).and_then(|property| body.get(property)?.as_object());
    let mut containers: Vec<String> = containers.into_iter().flatten().map(|(id, _)| id.clone()).collect();
    containers.sort_unstable();
    let flag = if kind == ObjectType::SieveScript { "isActive" } else { "isDefault" };
    Remote {
        id: text(&body, "id").to_owned(),
        key: key(kind, &body, digest),
        name: text(&body, "name").to_owned(),
        label: label(kind, &body),
        role: owned("role").filter(|_| matches!(kind, ObjectType::Mailbox | ObjectType::FileNode)),
        parent: owned("parentId"),
        containers,
        is_chosen: body.get(flag).map(|value| value == &Value::Bool(true)),
        is_kept: is_protected(kind, &body) || is_own(kind, &body, addresses),
        is_blank: kind == ObjectType::VacationResponse && is_blank_vacation(&body),
        node: None,
        body,
    }
}

fn key(kind: ObjectType, body: &Object, digest: Option<Digest>) -> String {
    match kind {
        ObjectType::Mailbox | ObjectType::FileNode => folded(text(body, "name")),
        ObjectType::AddressBook | ObjectType::Calendar => folded(&collection_name(text(body, "name"))),
        ObjectType::Identity => identity_key(text(body, "name"), text(body, "email")),
        ObjectType::ParticipantIdentity => participant_key(participant_address(body).unwrap_or_default()),
        ObjectType::CalendarEvent => event_key(text(body, "uid"), body.get("recurrenceId").and_then(Value::as_str)),
        ObjectType::VacationResponse => text(body, "id").to_owned(),
        ObjectType::SieveScript => digest.map(|digest| digest.hex()).unwrap_or_default(),
        _ => text(body, "uid").to_owned(),
    }
}

fn label(kind: ObjectType, body: &Object) -> String {
    match kind {
        ObjectType::CalendarEvent => title::event(body),
        ObjectType::ContactCard => title::card(body),
        _ => {
            let names = ["name", "email", "calendarAddress"].into_iter().map(|name| text(body, name));
            names.filter(|name| !name.is_empty()).collect::<Vec<_>>().join(" ")
        }
    }
}

/// True for what a server makes itself: the identities of the user's own addresses, and the script that a vacation response
/// is stored as.
fn is_own(kind: ObjectType, body: &Object, addresses: &[String]) -> bool {
    let is_mine = |address: &str| {
        let address = address.to_lowercase();
        addresses.iter().any(|own| address.strip_prefix("mailto:").unwrap_or(&address) == own)
    };
    match kind {
        ObjectType::Identity => is_mine(text(body, "email")),
        ObjectType::ParticipantIdentity => participant_address(body).is_some_and(is_mine),
        ObjectType::SieveScript => text(body, "name").eq_ignore_ascii_case("vacation"),
        _ => false,
    }
}

fn is_protected(kind: ObjectType, body: &Object) -> bool {
    let flag = |name: &str| body.get(name).and_then(Value::as_bool);
    let may_not =
        body.get("myRights").and_then(|rights| rights.get("mayDelete")).and_then(Value::as_bool) == Some(false);
    let has_role = matches!(kind, ObjectType::Mailbox | ObjectType::FileNode) && !text(body, "role").is_empty();
    may_not
        || has_role
        || flag("mayDelete") == Some(false)
        || flag("isDefault") == Some(true)
        || (kind == ObjectType::SieveScript && flag("isActive") == Some(true))
}

/// True for a vacation response that is as the server made it.
fn is_blank_vacation(body: &Object) -> bool {
    body.get("isEnabled").and_then(Value::as_bool) != Some(true)
        && ["subject", "textBody", "htmlBody"].iter().all(|name| body.get(*name).is_none_or(Value::is_null))
}

/// True for a refusal with which a server keeps what it made itself: a default calendar, an identity, the script that its
/// vacation response is.
pub(super) fn is_servers_own(kind: ObjectType, reason: &str) -> bool {
    let is_such = matches!(
        kind,
        ObjectType::Calendar
            | ObjectType::AddressBook
            | ObjectType::Identity
            | ObjectType::ParticipantIdentity
            | ObjectType::SieveScript
    );
    is_such && reason.split([' ', ':']).next() == Some("forbidden")
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn is_kept(kind: ObjectType, value: Value, addresses: &[&str]) -> bool {
        let addresses: Vec<String> = addresses.iter().map(|address| (*address).to_owned()).collect();
        remote(kind, value.as_object().cloned().expect("an object"), None, &addresses).is_kept
    }

    #[test]
    fn what_the_server_made_or_protects_is_kept() {
        assert!(is_kept(ObjectType::Mailbox, json!({"id": "a", "role": "inbox"}), &[]));
        assert!(is_kept(ObjectType::Mailbox, json!({"id": "f", "myRights": {"mayDelete": false}}), &[]));
        assert!(!is_kept(ObjectType::Mailbox, json!({"id": "b"}), &[]));
        assert!(is_kept(ObjectType::AddressBook, json!({"id": "a", "isDefault": true}), &[]));
        assert!(!is_kept(ObjectType::AddressBook, json!({"id": "b", "isDefault": false}), &[]));
        assert!(is_kept(ObjectType::SieveScript, json!({"id": "a", "isActive": true}), &[]));
        assert!(is_kept(ObjectType::SieveScript, json!({"id": "b", "name": "Vacation"}), &[]));
        assert!(is_kept(ObjectType::Identity, json!({"id": "a", "email": "Me@x"}), &["me@x"]));
        assert!(!is_kept(ObjectType::Identity, json!({"id": "b", "email": "you@x"}), &["me@x"]));
    }
}
