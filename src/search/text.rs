//! The words of an object, by the fields that a search can name.

use super::phrase::HAS_ATTACHMENT;
use super::words;
use crate::archive::Record;
use crate::format::text::{Fields, file_text};
use crate::model::ObjectType;
use serde_json::Value;
use std::collections::HashSet;

/// Keys of JSCalendar and JSContact whose values no reader sees.
const TECHNICAL: [&str; 28] = [
    "blobId",
    "calendarAddress",
    "color",
    "coordinates",
    "created",
    "encoding",
    "freeBusyStatus",
    "href",
    "iCalComponent",
    "iCalProps",
    "iCalendar",
    "kind",
    "linkId",
    "mediaType",
    "method",
    "privacy",
    "prodId",
    "progress",
    "recurrenceRules",
    "relatedTo",
    "scheduleStatus",
    "status",
    "timeZone",
    "timeZones",
    "uid",
    "updated",
    "vCard",
    "version",
];

/// How many bytes of different words the index holds of one object: it sorts them in memory.
const WORDS_MAX: usize = 2 << 20;

/// How deep the objects of an event or a card lie in each other at most.
const DEPTH_MAX: usize = 50;

/// The words of an object, each with a space behind it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Words {
    /// Who wrote it.
    pub(super) from: String,
    /// Who it is for.
    pub(super) to: String,
    /// Its subject, title or name.
    pub(super) subject: String,
    /// The names of the files that came with it.
    pub(super) attachment: String,
    /// The names that the tree gives to those without one, and the mark that there are any: found only by who asks for
    /// attachments.
    pub(super) given_name: String,
    /// All else.
    pub(super) body: String,
}

impl Words {
    /// The words of a message.
    pub(super) fn of_message(message: &Fields) -> Words {
        let [from, to, subject, attachment, body] =
            [&message.from, &message.to, &message.subject, &message.attachments, &message.body]
                .map(|text| folded(text));
        let mut given_name = folded(&message.given_names);
        if !(message.attachments.is_empty() && message.given_names.is_empty()) {
            given_name.push_str(HAS_ATTACHMENT);
        }
        Words { from, to, subject, attachment, given_name, body }
    }

    /// The words of an event, a card, a file or a script. `bytes` are those of a file or a script.
    pub(super) fn of_item(record: &Record, bytes: Option<&[u8]>) -> Words {
        let mut words = Words::default();
        match record.kind {
            ObjectType::CalendarEvent => words.read_json(&record.calendar_event().data),
            ObjectType::ContactCard => words.read_json(&record.contact_card().data),
            ObjectType::FileNode => {
                let file = record.file_node();
                words::split(&file.name, &mut words.subject);
                let media = file.media_type.unwrap_or_default();
                if let Some(text) = bytes.and_then(|bytes| file_text(bytes, &file.name, &media)) {
                    words::split(&text, &mut words.body);
                }
            }
            _ => {
                words::split(record.name(), &mut words.subject);
                words::split(&String::from_utf8_lossy(bytes.unwrap_or_default()), &mut words.body);
            }
        }
        words
    }

    /// The same with each word of the body once, as the index holds no places of them: it takes each in with much more work.
    /// False if the body had more different words than the index holds of one object.
    pub(super) fn bounded(mut self) -> (Words, bool) {
        let (mut seen, mut bytes, mut is_whole) = (HashSet::new(), 0, true);
        let mut body = String::new();
        for word in self.body.split_terminator(' ') {
            if !seen.insert(word) {
                continue;
            }
            bytes += word.len() + 1;
            if bytes > WORDS_MAX {
                is_whole = false;
                break;
            }
            body.push_str(word);
            body.push(' ');
        }
        self.body = body;
        (self, is_whole)
    }

    /// How many bytes they take.
    pub(super) fn len(&self) -> usize {
        [&self.from, &self.to, &self.subject, &self.attachment, &self.given_name, &self.body]
            .iter()
            .map(|text| text.len())
            .sum()
    }

    fn read_json(&mut self, data: &str) {
        let data: Value = serde_json::from_str(data).unwrap_or_default();
        for (key, value) in data.as_object().into_iter().flatten() {
            let place = match key.as_str() {
                "title" | "name" => &mut self.subject,
                "participants" | "emails" => &mut self.to,
                "organizerCalendarAddress" | "replyTo" => &mut self.from,
                _ => &mut self.body,
            };
            read_value(key, value, place, 0);
        }
    }
}

/// Adds the texts of a value, and the keys that are words of the user: keywords and categories.
fn read_value(key: &str, value: &Value, place: &mut String, depth: usize) {
    if key.starts_with('@') || TECHNICAL.contains(&key) || depth > DEPTH_MAX {
        return;
    }
    match value {
        Value::String(text) if text.starts_with("data:") => {}
        Value::String(text) => words::split(text, place),
        Value::Array(values) => values.iter().for_each(|value| read_value("", value, place, depth + 1)),
        Value::Object(values) => {
            for (inner, value) in values {
                if matches!(key, "keywords" | "categories") {
                    words::split(inner, place);
                }
                read_value(inner, value, place, depth + 1);
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

fn folded(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    words::split(text, &mut out);
    out
}
