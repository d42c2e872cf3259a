//! Objects of an archive for a server of CalDAV or CardDAV, and what is compared: pure.

use crate::format::jmap::{Object, color, folded, name};
use crate::format::{ics, jscal, jscard, title, vcf};
use crate::model::objects::{AddressBook, Calendar, CalendarEvent, ContactCard, Properties};
use crate::model::{Digest, EventType, ObjectType};
use crate::protocol::dav::NewCollection;
use crate::sink::{Draft, NoDraft, StoredItem};
use serde_json::{Value, json};

/// No server is known to refuse a shorter name.
const NAME_MAX: usize = 255;

/// What a draft and a remote object of an event or a card say: the digests of the bytes and of what they mean.
pub(super) const EXACT: &str = "exact";
pub(super) const MEANING: &str = "meaning";

/// An object for the server.
pub(super) fn draft(item: &StoredItem<'_>) -> Result<Draft, NoDraft> {
    match &item.properties {
        Properties::Calendar(calendar) => Ok(of_calendar(calendar, item)),
        Properties::AddressBook(book) => Ok(of_address_book(book, item)),
        Properties::CalendarEvent(event) => of_event(event, item),
        Properties::ContactCard(card) => of_card(card, item),
        _ => {
            let reason = "the server has no place for it".to_owned();
            Err(NoDraft::Unplaced { reason, label: format!("row {}", item.row) })
        }
    }
}

/// A collection of which nothing but the name is known.
pub(super) fn container(text: &str) -> Draft {
    let label = name(text, NAME_MAX, "Restored");
    let body = Object::from_iter([("name".to_owned(), json!(label))]);
    Draft { key: folded(&label), raw: text.to_owned(), label, body, ..Draft::default() }
}

fn of_calendar(calendar: &Calendar<'_>, item: &StoredItem<'_>) -> Draft {
    let mut draft = container(&calendar.name);
    draft.is_chosen = calendar.is_default;
    let color = calendar.color.as_deref().and_then(color);
    draft.body.insert("description".to_owned(), json!(calendar.description));
    draft.body.insert("color".to_owned(), json!(color));
    draft.body.insert("order".to_owned(), json!(calendar.sort_order));
    draft.untold = item.untold.iter().map(|name| own_name(name).to_owned()).collect();
    draft
}

fn of_address_book(book: &AddressBook<'_>, item: &StoredItem<'_>) -> Draft {
    let mut draft = container(&book.name);
    draft.is_chosen = book.is_default;
    draft.body.insert("description".to_owned(), json!(book.description));
    draft.untold = item.untold.iter().map(|name| own_name(name).to_owned()).collect();
    draft
}

/// A property of JMAP in the words of [`collection`].
fn own_name(name: &str) -> &str {
    if name == "sortOrder" { "order" } else { name }
}

fn of_event(event: &CalendarEvent<'_>, item: &StoredItem<'_>) -> Result<Draft, NoDraft> {
    let Ok(Value::Object(data)) = serde_json::from_str(&event.data) else { return Err(NoDraft::Unreadable) };
    let uid = data.get("uid").and_then(Value::as_str).unwrap_or_default();
    Ok(of_item(uid, title::event(&data), ".ics", item))
}

fn of_card(card: &ContactCard<'_>, item: &StoredItem<'_>) -> Result<Draft, NoDraft> {
    let Ok(Value::Object(data)) = serde_json::from_str(&card.data) else { return Err(NoDraft::Unreadable) };
    Ok(of_item(&card.uid, title::card(&data), ".vcf", item))
}

fn of_item(uid: &str, label: String, end: &str, item: &StoredItem<'_>) -> Draft {
    let body = Object::from_iter([("resource".to_owned(), json!(resource(uid, end)))]);
    Draft { key: uid.to_owned(), label, blob: item.blob, body, ..Draft::default() }
}

/// The name of a resource: its UID, where that is a plain name, so that other programs find what they have written.
fn resource(uid: &str, end: &str) -> String {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.@".contains(&byte);
    match !uid.is_empty() && uid.len() <= 200 && !uid.starts_with('.') && uid.bytes().all(is_plain) {
        true => format!("{uid}{end}"),
        false => format!("{}{end}", &Digest::of(uid.as_bytes()).hex()[..32]),
    }
}

/// What the body of a collection says, for the server.
pub(super) fn collection(body: &Object) -> NewCollection {
    let text = |name: &str| body.get(name).and_then(Value::as_str).map(str::to_owned);
    NewCollection {
        name: text("name"),
        description: text("description"),
        color: text("color"),
        order: body.get("order").and_then(Value::as_i64),
    }
}

/// The UID of a resource, as an import finds it.
pub(super) fn uid(kind: ObjectType, bytes: &[u8]) -> Option<String> {
    match kind {
        ObjectType::ContactCard => vcf::split(bytes).items.into_iter().next().map(|card| card.uid),
        _ => ics::split(bytes).items.into_iter().next().map(|event| event.uid),
    }
}

/// The digest of what a resource means: two with the same one differ at most in how they are written.
pub(super) fn meaning(kind: ObjectType, bytes: &[u8]) -> String {
    let mut data = match kind {
        ObjectType::ContactCard => jscard::to_jscontact(bytes).data,
        _ => {
            let first = ics::split(bytes).items.into_iter().next();
            let data_type = first.as_ref().map_or(EventType::Event, |event| event.data_type);
            jscal::to_jscalendar(bytes, first.as_ref().map_or("", |event| &event.uid), data_type).data
        }
    };
    plain(&mut data, false);
    Digest::of(data.to_string().as_bytes()).hex()
}

/// Takes out what a server writes as it likes: when and by what an object was changed, and the order of properties that have
/// no place of their own in JSON.
fn plain(value: &mut Value, is_rest: bool) {
    match value {
        Value::Object(map) => {
            map.retain(|name, _| !["prodId", "updated", "created", "sequence"].contains(&name.as_str()));
            map.iter_mut().for_each(|(name, value)| plain(value, is_rest || ["iCalendar", "vCard"].contains(&&**name)));
            map.sort_keys();
        }
        Value::Array(list) => {
            list.iter_mut().for_each(|value| plain(value, is_rest));
            if is_rest {
                list.sort_by_key(Value::to_string);
            }
        }
        // Cyrus takes away blanks at the end of a line.
        Value::String(text) => text.truncate(text.trim_end().len()),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_resource_is_called_after_its_uid_where_that_is_a_plain_name() {
        assert_eq!(resource("a-1@example.org", ".ics"), "a-1@example.org.ics");
        for odd in ["", "../x", "a/b", "ä", ".hidden", &"x".repeat(300)] {
            let name = resource(odd, ".vcf");
            assert!(
                name.len() == 36 && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'.'),
                "{name}"
            );
        }
    }

    #[test]
    fn what_is_only_written_in_another_way_means_the_same() {
        let one = b"BEGIN:VCALENDAR\r\nVERSION:2.0\r\nPRODID:a\r\nBEGIN:VEVENT\r\nUID:1\r\nDTSTAMP:20240101T000000Z\r\nDTSTART:20240101T000000Z\r\nSUMMARY:A long title\r\nEND:VEVENT\r\nEND:VCALENDAR\r\n";
        let other = b"BEGIN:VCALENDAR\nPRODID:b\nVERSION:2.0\nBEGIN:VEVENT\nDTSTART:20240101T000000Z\nDTSTAMP:20250101T000000Z\nSUMMARY:A long\n  title\nUID:1\nEND:VEVENT\nEND:VCALENDAR\n";
        let kind = ObjectType::CalendarEvent;
        assert_eq!(meaning(kind, one), meaning(kind, other));
        assert_ne!(meaning(kind, one), meaning(kind, &one.to_ascii_uppercase()));
        assert_eq!(uid(kind, one).as_deref(), Some("1"));
    }
}
