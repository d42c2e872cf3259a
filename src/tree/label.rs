//! What a person recognises an object by: its paths in the tree, and a few of its properties.

use super::opened::Tree;
use crate::archive::Record;
use crate::error::{ErrorKind, Result};
use crate::format::text;
use crate::model::ObjectType;

/// How many bytes of a message are read: nearly every header fits.
const HEAD: u64 = 16 << 10;

/// An object as it is shown to people.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Label {
    /// Where it stands, from the root: none, one or several.
    pub paths: Vec<String>,
    /// A few properties, by name: `date`, `from`, `subject`, `message_id` of a message, `title` and `start` of an
    /// event, `name` of a card.
    pub fields: Vec<(&'static str, String)>,
}

impl Tree {
    /// The label of an object at the root's moment: a few point queries, one of them for the first bytes of a message.
    pub fn label(&self, record: &Record) -> Result<Label> {
        let paths = match self.paths_of(record.kind, record.id) {
            // Damage elsewhere must not hide that this object differs.
            Err(error) if matches!(error.kind, ErrorKind::NotFound | ErrorKind::Damaged) => Vec::new(),
            paths => paths?,
        };
        let mut fields = match record.kind {
            ObjectType::Email => self.message_fields(record)?,
            ObjectType::ContactCard => card_fields(record),
            ObjectType::CalendarEvent => event_fields(record),
            ObjectType::Identity => of_columns(record, &["name", "email"]),
            ObjectType::ParticipantIdentity => of_columns(record, &["name", "calendar_address"]),
            ObjectType::VacationResponse => of_columns(record, &["subject"]),
            // Their paths are their names.
            ObjectType::Mailbox
            | ObjectType::Calendar
            | ObjectType::AddressBook
            | ObjectType::SieveScript
            | ObjectType::FileNode => Vec::new(),
        };
        fields.retain(|(_, value)| !value.is_empty());
        Ok(Label { paths, fields })
    }

    fn message_fields(&self, record: &Record) -> Result<Vec<(&'static str, String)>> {
        let mut fields = of_columns(record, &["received_at"]);
        fields.iter_mut().for_each(|(name, _)| *name = "date");
        match self.reader.email_head(record.id, HEAD) {
            Ok(head) => {
                let envelope = text::envelope(&head);
                let subject = if envelope.subject.is_empty() { "(no subject)".to_owned() } else { envelope.subject };
                fields.extend([("from", envelope.from), ("subject", subject), ("message_id", envelope.message_id)]);
            }
            Err(error) if error.kind == ErrorKind::Damaged => fields.push(("subject", "(damaged)".to_owned())),
            Err(error) => return Err(error),
        }
        Ok(fields)
    }
}

fn of_columns(record: &Record, columns: &[&'static str]) -> Vec<(&'static str, String)> {
    columns.iter().map(|column| (*column, record.text(column).unwrap_or_default().to_owned())).collect()
}

fn card_fields(record: &Record) -> Vec<(&'static str, String)> {
    let data = data(record);
    let name = &data["name"];
    let parts = || {
        let parts = name["components"].as_array().into_iter().flatten();
        parts.filter_map(|part| part["value"].as_str()).collect::<Vec<_>>().join(" ")
    };
    vec![("name", name["full"].as_str().map_or_else(parts, str::to_owned))]
}

fn event_fields(record: &Record) -> Vec<(&'static str, String)> {
    let data = data(record);
    // A task may only say when it is due.
    let text = |name: &'static str| (name, data[name].as_str().unwrap_or_default().to_owned());
    ["start", "due", "title"].map(text).to_vec()
}

fn data(record: &Record) -> serde_json::Value {
    serde_json::from_str(record.text("data").unwrap_or_default()).unwrap_or_default()
}
