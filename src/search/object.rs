//! What can be found, and what a search knows of an object from its row alone.

use super::folders::Folders;
use crate::archive::{Record, epoch};
use crate::model::zone::local;
use crate::model::{Id, ObjectType};
use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use std::collections::{BTreeSet, HashMap};

/// The types whose objects are found.
pub(super) const FOUND: [ObjectType; 5] = [
    ObjectType::Email,
    ObjectType::CalendarEvent,
    ObjectType::ContactCard,
    ObjectType::FileNode,
    ObjectType::SieveScript,
];

/// Those beside messages.
pub(super) fn items() -> impl Iterator<Item = ObjectType> {
    FOUND.into_iter().filter(|kind| *kind != ObjectType::Email)
}

/// The type that an index calls so.
pub(super) fn item_called(name: &str) -> Option<ObjectType> {
    items().find(|kind| kind.name() == name)
}

/// The bytes of an object that has no others: those of its JSON.
pub(super) fn own_size(record: &Record) -> u64 {
    let length = match record.kind {
        ObjectType::CalendarEvent => record.calendar_event().data.len(),
        ObjectType::ContactCard => record.contact_card().data.len(),
        _ => 0,
    };
    length as u64
}

/// When an object arrived, begins or was changed.
pub(super) fn date_of(record: &Record) -> i64 {
    match record.kind {
        ObjectType::Email => record.received(),
        ObjectType::CalendarEvent => {
            let event = record.calendar_event();
            let data: serde_json::Value = serde_json::from_str(&event.data).unwrap_or_default();
            ["start", "due", "updated"]
                .iter()
                .find_map(|name| data[*name].as_str())
                .map_or(0, |time| time_of(time, data["timeZone"].as_str()))
        }
        ObjectType::FileNode => {
            let file = record.file_node();
            file.modified.or(file.created).map_or(0, |time| epoch(&time))
        }
        _ => 0,
    }
}

/// The time that the clocks of a zone show, or those of the user where there is no zone (RFC 8984 4.7.1); of a text with a Z in UTC.
fn time_of(time: &str, zone: Option<&str>) -> i64 {
    if time.ends_with('Z') {
        return epoch(time);
    }
    let zone = zone.and_then(|name| TimeZone::get(name).ok()).unwrap_or_else(|| local().zone.clone());
    let clock: Option<DateTime> = time.parse().ok();
    clock.and_then(|clock| clock.to_zoned(zone).ok()).map_or(0, |time| time.timestamp().as_second())
}

/// True if an object lies in one of these containers.
pub(super) fn is_in(record: &Record, containers: &HashMap<ObjectType, BTreeSet<Id>>) -> bool {
    let own = Folders::holders(record);
    containers.get(&record.kind.container()).is_some_and(|meant| own.iter().any(|id| meant.contains(id)))
}

/// True for a message with this Message-ID.
pub(super) fn has_message_id(record: &Record, id: &str) -> bool {
    if record.kind != ObjectType::Email {
        return false;
    }
    let email = record.email();
    let known: serde_json::Value = serde_json::from_str(&email.message_match).unwrap_or_default();
    known["m"].as_array().into_iter().flatten().any(|own| own.as_str().is_some_and(|own| own.eq_ignore_ascii_case(id)))
}
