//! Rows as objects with properties: the only place that knows which column holds which property.

use super::columns::{parse_ids, parse_keywords};
use super::rows_read::Record;
use crate::model::ObjectType;
use crate::model::objects::{
    AddressBook, Calendar, CalendarEvent, ContactCard, Email, FileNode, Identity, Mailbox, NodeType,
    ParticipantIdentity, Properties, SieveScript, Text, VacationResponse,
};

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

    /// Those of a mailbox.
    pub fn mailbox(&self) -> Mailbox<'_> {
        Mailbox {
            name: self.required("name"),
            parent: self.number("parent_id"),
            role: self.optional("role"),
            sort_order: self.sort_order(),
            is_subscribed: self.flag("is_subscribed", true),
        }
    }

    /// Those of a message.
    pub fn email(&self) -> Email<'_> {
        Email {
            received_at: self.required("received_at"),
            mailboxes: parse_ids(self.text("mailbox_ids").unwrap_or("[]")),
            keywords: parse_keywords(self.text("keywords").unwrap_or("[]")),
            message_match: self.json_or("message_match", "{}"),
        }
    }

    /// Those of an address book.
    pub fn address_book(&self) -> AddressBook<'_> {
        AddressBook {
            name: self.required("name"),
            description: self.optional("description"),
            sort_order: self.sort_order(),
            is_default: self.flag("is_default", false),
            is_subscribed: self.flag("is_subscribed", true),
        }
    }

    /// Those of a contact card.
    pub fn contact_card(&self) -> ContactCard<'_> {
        ContactCard {
            uid: self.required("uid"),
            address_books: parse_ids(self.text("address_book_ids").unwrap_or("[]")),
            data: self.json_or("data", "{}"),
        }
    }

    /// Those of a calendar.
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

    /// Those of an event.
    pub fn calendar_event(&self) -> CalendarEvent<'_> {
        CalendarEvent {
            calendars: parse_ids(self.text("calendar_ids").unwrap_or("[]")),
            is_draft: self.flag("is_draft", false),
            use_default_alerts: self.flag("use_default_alerts", false),
            data: self.json_or("data", "{}"),
            data_type: self.json_or("data_type", "Event"),
        }
    }

    /// Those of a Sieve script.
    pub fn sieve_script(&self) -> SieveScript<'_> {
        SieveScript { name: self.required("name"), is_active: self.flag("is_active", false) }
    }

    /// Those of a file, a directory or a link.
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

    /// Those of an identity.
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

    /// Those of a participant identity.
    pub fn participant_identity(&self) -> ParticipantIdentity<'_> {
        ParticipantIdentity {
            name: self.required("name"),
            calendar_address: self.required("calendar_address"),
            is_default: self.flag("is_default", false),
        }
    }

    /// Those of a vacation response.
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
