//! What objects are recognised by, on both sides.

use crate::format::jmap::name;
use crate::model::ObjectType;

/// Octets that a name of a calendar or an address book may have (RFC 9610 section 2, draft-ietf-jmap-calendars section 4).
const COLLECTION_NAME: usize = 255;

/// The id of the only vacation response (RFC 8621 section 8).
pub(super) const VACATION: &str = "singleton";

/// What events are recognised by: instances without a master share a uid.
pub(super) fn event_key(uid: &str, recurrence: Option<&str>) -> String {
    match recurrence {
        Some(recurrence) => format!("{uid}\u{1F}{recurrence}"),
        None => uid.to_owned(),
    }
}

/// What identities are recognised by (1.x: name and address).
pub(super) fn identity_key(name: &str, email: &str) -> String {
    format!("{name}\u{1F}{}", email.trim().to_lowercase())
}

/// What participant identities are recognised by: an account has one of an address.
pub(super) fn participant_key(address: &str) -> String {
    address.trim().to_lowercase()
}

/// The property that says which containers an object lies in.
pub(super) fn container_property(kind: ObjectType) -> Option<&'static str> {
    match kind {
        ObjectType::Email => Some("mailboxIds"),
        ObjectType::CalendarEvent => Some("calendarIds"),
        ObjectType::ContactCard => Some("addressBookIds"),
        _ => None,
    }
}

/// The name of a calendar or an address book, as a target takes it.
pub(super) fn collection_name(text: &str) -> String {
    name(text, COLLECTION_NAME, "Unnamed")
}
