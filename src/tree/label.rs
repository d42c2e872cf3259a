//! What a person recognises an object by: its paths in the tree, and a few of its properties.

use super::opened::Tree;
use crate::archive::Record;
use crate::error::{ErrorKind, Result};
use crate::format::text;
use crate::model::Id;
use crate::model::objects::{CalendarEvent, ContactCard, Email, Properties};
use std::borrow::Cow;

/// How many bytes of a message are read: nearly every header fits.
const HEAD: u64 = 16 << 10;

/// An object as it is shown to people.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Label {
    /// Its paths from the root: none, one or several.
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
        Ok(Label { paths, fields: self.fields(record)? })
    }

    /// The properties of [`Label::fields`] alone.
    pub fn fields(&self, record: &Record) -> Result<Vec<(&'static str, String)>> {
        let mut fields = match record.properties() {
            Properties::Email(email) => self.message_fields(record.id, &email)?,
            Properties::ContactCard(card) => card_fields(&card),
            Properties::CalendarEvent(event) => event_fields(&event),
            Properties::Identity(one) => vec![("name", one.name.into_owned()), ("email", one.email.into_owned())],
            Properties::ParticipantIdentity(one) => {
                vec![("name", one.name.into_owned()), ("calendar_address", one.calendar_address.into_owned())]
            }
            Properties::VacationResponse(one) => {
                vec![("subject", one.subject.map(Cow::into_owned).unwrap_or_default())]
            }
            // Their paths are their names.
            Properties::Mailbox(_)
            | Properties::Calendar(_)
            | Properties::AddressBook(_)
            | Properties::SieveScript(_)
            | Properties::FileNode(_) => Vec::new(),
        };
        fields.retain(|(_, value)| !value.is_empty());
        Ok(fields)
    }

    fn message_fields(&self, row: Id, email: &Email<'_>) -> Result<Vec<(&'static str, String)>> {
        let mut fields = vec![("date", email.received_at.to_string())];
        match self.reader.email_head(row, HEAD) {
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

fn card_fields(card: &ContactCard<'_>) -> Vec<(&'static str, String)> {
    let data = parse(&card.data);
    let name = &data["name"];
    let parts = || {
        let parts = name["components"].as_array().into_iter().flatten();
        parts.filter_map(|part| part["value"].as_str()).collect::<Vec<_>>().join(" ")
    };
    vec![("name", name["full"].as_str().map_or_else(parts, str::to_owned))]
}

fn event_fields(event: &CalendarEvent<'_>) -> Vec<(&'static str, String)> {
    let data = parse(&event.data);
    // A task may only say when it is due.
    let text = |name: &'static str| (name, data[name].as_str().unwrap_or_default().to_owned());
    ["start", "due", "title"].map(text).to_vec()
}

fn parse(data: &str) -> serde_json::Value {
    serde_json::from_str(data).unwrap_or_default()
}
