//! How to see, after 1.x has written to an archive, whether a number is still that of the same object.

use crate::model::ObjectType;

/// SQL of what stays the same as long as a row is the same object, whatever else of it changes. `t` is the row and `b` its
/// blob. Containers have none: their number is all that their items know, and their former columns are kept.
pub(crate) fn identity(kind: ObjectType) -> &'static str {
    match kind {
        ObjectType::Email => "substr(b.hash, 1, 16)",
        ObjectType::CalendarEvent => "row_digest(json_extract(t.data, '$.uid'))",
        ObjectType::ContactCard => "row_digest(t.uid)",
        ObjectType::SieveScript => "row_digest(t.name)",
        ObjectType::FileNode => "CASE WHEN t.node_type <> 'directory' THEN row_digest(t.node_type, t.name) END",
        ObjectType::Identity => "row_digest(t.email)",
        ObjectType::ParticipantIdentity => "row_digest(t.calendar_address)",
        ObjectType::Mailbox | ObjectType::AddressBook | ObjectType::Calendar | ObjectType::VacationResponse => "NULL",
    }
}
