//! What people call the types of an account.

use crate::model::ObjectType;

/// `Messages`, for the head of a line: the plural of a type.
pub(super) fn title(kind: ObjectType) -> &'static str {
    match kind {
        ObjectType::Mailbox => "Folders",
        ObjectType::Email => "Messages",
        ObjectType::Identity => "Identities",
        ObjectType::SieveScript => "Scripts",
        ObjectType::AddressBook => "Address books",
        ObjectType::ContactCard => "Contacts",
        ObjectType::Calendar => "Calendars",
        ObjectType::CalendarEvent => "Events",
        ObjectType::ParticipantIdentity => "Invited as",
        ObjectType::FileNode => "Files",
        ObjectType::VacationResponse => "Auto-replies",
    }
}

/// The same of the token of a type; `Objects` of any other text.
pub(super) fn title_of(token: &str) -> &'static str {
    ObjectType::from_token(token).map_or("Objects", title)
}

/// The types in the order of reports: what people miss first.
pub(super) const ORDER: [ObjectType; 11] = [
    ObjectType::Email,
    ObjectType::Mailbox,
    ObjectType::CalendarEvent,
    ObjectType::Calendar,
    ObjectType::ContactCard,
    ObjectType::AddressBook,
    ObjectType::FileNode,
    ObjectType::SieveScript,
    ObjectType::Identity,
    ObjectType::ParticipantIdentity,
    ObjectType::VacationResponse,
];
