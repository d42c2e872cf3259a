//! Rows as objects with properties, read and written: the only place that knows which column holds which property.

use super::columns::{ids_json, keywords_json, parse_ids, parse_keywords};
use super::rows_read::Record;
use crate::model::objects::{
    AddressBook, Calendar, CalendarEvent, ContactCard, Email, FileNode, Identity, Mailbox, NodeType,
    ParticipantIdentity, Properties, SieveScript, Text, VacationResponse,
};
use crate::model::time::{epoch, now};
use crate::model::{Id, ObjectType};
use rusqlite::types::Value;

impl Record {
    fn required(&self, column: &str) -> Text<'_> {
        Text::Borrowed(self.text(column).unwrap_or_default())
    }

    fn optional(&self, column: &str) -> Option<Text<'_>> {
        self.text(column).map(Text::Borrowed)
    }

    fn flag(&self, column: &str, absent: bool) -> bool {
        self.number(column).map_or(absent, |number| number != 0)
    }

    fn sort_order(&self) -> i64 {
        self.number("sort_order").unwrap_or(0)
    }

    fn json_or<'r>(&'r self, column: &str, absent: &'r str) -> Text<'r> {
        Text::Borrowed(self.text(column).unwrap_or(absent))
    }

    /// The properties of the object, by its type.
    pub fn properties(&self) -> Properties<'_> {
        match self.kind {
            ObjectType::Mailbox => Properties::Mailbox(self.mailbox()),
            ObjectType::Email => Properties::Email(self.email()),
            ObjectType::Identity => Properties::Identity(self.identity()),
            ObjectType::SieveScript => Properties::SieveScript(self.sieve_script()),
            ObjectType::AddressBook => Properties::AddressBook(self.address_book()),
            ObjectType::ContactCard => Properties::ContactCard(self.contact_card()),
            ObjectType::Calendar => Properties::Calendar(self.calendar()),
            ObjectType::CalendarEvent => Properties::CalendarEvent(self.calendar_event()),
            ObjectType::ParticipantIdentity => Properties::ParticipantIdentity(self.participant_identity()),
            ObjectType::FileNode => Properties::FileNode(self.file_node()),
            ObjectType::VacationResponse => Properties::VacationResponse(self.vacation_response()),
        }
    }

    /// The name of a container, a script, a file or an identity; empty for other types.
    pub fn name(&self) -> &str {
        self.text("name").unwrap_or_default()
    }

    /// The properties of a mailbox.
    pub fn mailbox(&self) -> Mailbox<'_> {
        Mailbox {
            name: self.required("name"),
            parent: self.number("parent_id"),
            role: self.optional("role"),
            sort_order: self.sort_order(),
            is_subscribed: self.flag("is_subscribed", true),
        }
    }

    /// The mailboxes that a message lies in, without the rest of [`Record::email`].
    pub fn mailbox_ids(&self) -> Vec<Id> {
        parse_ids(self.text("mailbox_ids").unwrap_or("[]"))
    }

    /// When a message arrived, in seconds since 1970, without the rest of [`Record::email`].
    pub fn received(&self) -> i64 {
        self.text("received_at").map_or(0, epoch)
    }

    /// The properties of a message.
    pub fn email(&self) -> Email<'_> {
        Email {
            received_at: self.required("received_at"),
            mailboxes: self.mailbox_ids(),
            keywords: parse_keywords(self.text("keywords").unwrap_or("[]")),
            message_match: self.json_or("message_match", "{}"),
        }
    }

    /// The properties of an address book.
    pub fn address_book(&self) -> AddressBook<'_> {
        AddressBook {
            name: self.required("name"),
            description: self.optional("description"),
            sort_order: self.sort_order(),
            is_default: self.flag("is_default", false),
            is_subscribed: self.flag("is_subscribed", true),
        }
    }

    /// The properties of a contact card.
    pub fn contact_card(&self) -> ContactCard<'_> {
        ContactCard {
            uid: self.required("uid"),
            address_books: parse_ids(self.text("address_book_ids").unwrap_or("[]")),
            data: self.json_or("data", "{}"),
        }
    }

    /// The properties of a calendar.
    pub fn calendar(&self) -> Calendar<'_> {
        Calendar {
            name: self.required("name"),
            description: self.optional("description"),
            color: self.optional("color"),
            sort_order: self.sort_order(),
            is_subscribed: self.flag("is_subscribed", true),
            is_visible: self.flag("is_visible", true),
            is_default: self.flag("is_default", false),
            include_in_availability: self.json_or("include_in_availability", "all"),
            default_alerts_with_time: self.optional("default_alerts_with_time"),
            default_alerts_without_time: self.optional("default_alerts_without_time"),
            time_zone: self.optional("time_zone"),
        }
    }

    /// The properties of an event.
    pub fn calendar_event(&self) -> CalendarEvent<'_> {
        CalendarEvent {
            calendars: parse_ids(self.text("calendar_ids").unwrap_or("[]")),
            is_draft: self.flag("is_draft", false),
            use_default_alerts: self.flag("use_default_alerts", false),
            data: self.json_or("data", "{}"),
            data_type: self.json_or("data_type", "Event"),
        }
    }

    /// The properties of a Sieve script.
    pub fn sieve_script(&self) -> SieveScript<'_> {
        SieveScript { name: self.required("name"), is_active: self.flag("is_active", false) }
    }

    /// The properties of a file, a directory or a link.
    pub fn file_node(&self) -> FileNode<'_> {
        FileNode {
            name: self.required("name"),
            parent: self.number("parent_id"),
            node_type: match self.text("node_type") {
                Some("directory") => NodeType::Directory,
                Some("symlink") => NodeType::Symlink,
                _ => NodeType::File,
            },
            target: self.optional("target"),
            media_type: self.optional("media_type"),
            created: self.optional("created"),
            modified: self.optional("modified"),
            is_subscribed: self.flag("is_subscribed", true),
            role: self.optional("role"),
        }
    }

    /// The properties of an identity.
    pub fn identity(&self) -> Identity<'_> {
        Identity {
            name: self.required("name"),
            email: self.required("email"),
            reply_to: self.optional("reply_to"),
            bcc: self.optional("bcc"),
            text_signature: self.required("text_signature"),
            html_signature: self.required("html_signature"),
        }
    }

    /// The properties of a participant identity.
    pub fn participant_identity(&self) -> ParticipantIdentity<'_> {
        ParticipantIdentity {
            name: self.required("name"),
            calendar_address: self.required("calendar_address"),
            is_default: self.flag("is_default", false),
        }
    }

    /// The properties of a vacation response.
    pub fn vacation_response(&self) -> VacationResponse<'_> {
        VacationResponse {
            is_enabled: self.flag("is_enabled", false),
            from_date: self.optional("from_date"),
            to_date: self.optional("to_date"),
            subject: self.optional("subject"),
            text_body: self.optional("text_body"),
            html_body: self.optional("html_body"),
        }
    }
}

/// A column of a content row, and what to write into it.
pub(super) type Field = (&'static str, Value);

/// The columns of an object, but for those of the properties that `untold` names as JMAP does. A date of creation that is
/// not known has no column either.
pub(super) fn fields(object: &Properties<'_>, untold: &[&str]) -> Vec<Field> {
    let mut fields = match object {
        Properties::Mailbox(mailbox) => vec![
            ("name", text(&mailbox.name)),
            parent_field(mailbox.parent),
            ("role", optional(&mailbox.role)),
            ("sort_order", Value::Integer(mailbox.sort_order)),
            ("is_subscribed", flag(mailbox.is_subscribed)),
        ],
        Properties::Email(email) => {
            let mut fields = membership_fields(&email.mailboxes, &email.keywords);
            fields.extend([("received_at", text(&email.received_at)), ("message_match", text(&email.message_match))]);
            fields
        }
        Properties::Identity(identity) => vec![
            ("name", text(&identity.name)),
            ("email", text(&identity.email)),
            ("reply_to", optional(&identity.reply_to)),
            ("bcc", optional(&identity.bcc)),
            ("text_signature", text(&identity.text_signature)),
            ("html_signature", text(&identity.html_signature)),
        ],
        Properties::SieveScript(script) => vec![("name", text(&script.name)), active_field(script.is_active)],
        Properties::AddressBook(book) => vec![
            ("name", text(&book.name)),
            ("description", optional(&book.description)),
            ("sort_order", Value::Integer(book.sort_order)),
            default_field(book.is_default),
            ("is_subscribed", flag(book.is_subscribed)),
        ],
        Properties::ContactCard(card) => vec![
            ("uid", text(&card.uid)),
            ("address_book_ids", Value::Text(ids_json(&card.address_books))),
            ("data", text(&card.data)),
        ],
        Properties::Calendar(calendar) => vec![
            ("name", text(&calendar.name)),
            ("description", optional(&calendar.description)),
            ("color", optional(&calendar.color)),
            ("sort_order", Value::Integer(calendar.sort_order)),
            ("is_subscribed", flag(calendar.is_subscribed)),
            ("is_visible", flag(calendar.is_visible)),
            default_field(calendar.is_default),
            ("include_in_availability", text(&calendar.include_in_availability)),
            ("default_alerts_with_time", optional(&calendar.default_alerts_with_time)),
            ("default_alerts_without_time", optional(&calendar.default_alerts_without_time)),
            ("time_zone", optional(&calendar.time_zone)),
        ],
        Properties::CalendarEvent(event) => vec![
            ("calendar_ids", Value::Text(ids_json(&event.calendars))),
            ("is_draft", flag(event.is_draft)),
            ("use_default_alerts", flag(event.use_default_alerts)),
            ("data", text(&event.data)),
            ("data_type", text(&event.data_type)),
        ],
        Properties::ParticipantIdentity(identity) => vec![
            ("name", text(&identity.name)),
            ("calendar_address", text(&identity.calendar_address)),
            default_field(identity.is_default),
        ],
        Properties::FileNode(node) => node_fields(node),
        Properties::VacationResponse(response) => vec![
            ("is_enabled", flag(response.is_enabled)),
            ("from_date", optional(&response.from_date)),
            ("to_date", optional(&response.to_date)),
            ("subject", optional(&response.subject)),
            ("text_body", optional(&response.text_body)),
            ("html_body", optional(&response.html_body)),
        ],
    };
    if !untold.is_empty() {
        let untold: Vec<String> = untold.iter().map(|property| column_of(property)).collect();
        fields.retain(|(column, _)| !untold.iter().any(|untold| untold == column));
    }
    fields
}

fn node_fields(node: &FileNode<'_>) -> Vec<Field> {
    let mut fields = vec![
        ("name", text(&node.name)),
        parent_field(node.parent),
        ("node_type", Value::Text(node.node_type.name().to_owned())),
        ("target", optional(&node.target)),
        ("media_type", optional(&node.media_type)),
        ("modified", optional(&node.modified)),
        ("is_subscribed", flag(node.is_subscribed)),
        ("role", optional(&node.role)),
    ];
    fields.extend(node.created.as_ref().map(|created| ("created", text(created))));
    fields
}

/// The column that a new row needs beside these: of a file without a date of creation, now.
pub(super) fn missing_created_field(kind: ObjectType, fields: &[Field]) -> Option<Field> {
    let is_missing = kind == ObjectType::FileNode && !fields.iter().any(|(column, _)| *column == "created");
    is_missing.then(|| ("created", Value::Text(now())))
}

/// The column of a name.
pub(super) fn name_field(name: &str) -> Field {
    ("name", Value::Text(name.to_owned()))
}

/// The column of the mailbox or directory above a mailbox or a node.
pub(super) fn parent_field(parent: Option<Id>) -> Field {
    ("parent_id", parent.map_or(Value::Null, Value::Integer))
}

/// The column of a mailbox without a role.
pub(super) fn no_role_field() -> Field {
    ("role", Value::Null)
}

/// The column that marks the default calendar, address book or participant identity.
pub(super) fn default_field(is_default: bool) -> Field {
    ("is_default", flag(is_default))
}

/// The column that marks the active script.
pub(super) fn active_field(is_active: bool) -> Field {
    ("is_active", flag(is_active))
}

/// The column of the calendars of an event, or of the address books of a card. `None` for other types.
pub(super) fn containers_field(kind: ObjectType, containers: &[Id]) -> Option<Field> {
    let column = match kind {
        ObjectType::CalendarEvent => "calendar_ids",
        ObjectType::ContactCard => "address_book_ids",
        _ => return None,
    };
    Some((column, Value::Text(ids_json(containers))))
}

/// The columns of the mailboxes and the keywords of a message.
pub(super) fn membership_fields(mailboxes: &[Id], keywords: &[String]) -> Vec<Field> {
    vec![("mailbox_ids", Value::Text(ids_json(mailboxes))), ("keywords", Value::Text(keywords_json(keywords)))]
}

fn text(text: &str) -> Value {
    Value::Text(text.to_owned())
}

fn optional(text: &Option<Text<'_>>) -> Value {
    text.as_deref().map_or(Value::Null, |text| Value::Text(text.to_owned()))
}

fn flag(flag: bool) -> Value {
    Value::Integer(i64::from(flag))
}

/// The column of a property: JMAP writes `sortOrder`, the tables have `sort_order`.
fn column_of(property: &str) -> String {
    if property == "type" {
        return "media_type".to_owned();
    }
    let mut column = String::new();
    for letter in property.chars() {
        if letter.is_ascii_uppercase() {
            column.push('_');
        }
        column.push(letter.to_ascii_lowercase());
    }
    column
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::archive::schema::Table;
    use crate::model::container::Details;

    #[test]
    fn each_property_that_only_jmap_tells_has_a_column() {
        for kind in ObjectType::CONTAINERS {
            for property in Details::of(kind) {
                let column = column_of(property);
                assert!(Table::of(kind).columns.iter().any(|known| known.name == column), "{kind:?} {property}");
            }
        }
    }

    #[test]
    fn what_is_untold_is_not_written() {
        let calendar = Properties::Calendar(Calendar { name: "a".into(), ..Calendar::default() });
        let all: Vec<&str> = fields(&calendar, &[]).iter().map(|(column, _)| *column).collect();
        assert_eq!(all.len(), Table::of(ObjectType::Calendar).columns.len());
        let told: Vec<&str> =
            fields(&calendar, Details::of(ObjectType::Calendar)).iter().map(|(column, _)| *column).collect();
        assert_eq!(told, ["name"]);
        let node = Properties::FileNode(FileNode::default());
        assert!(!fields(&node, &["type"]).iter().any(|(column, _)| ["media_type", "created"].contains(column)));
    }
}
