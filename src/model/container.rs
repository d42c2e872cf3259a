//! Mailboxes, calendars, address books and directories, as sources see them.

use super::ObjectType;

/// A container as a source sees it: a mailbox, a calendar, an address book or a directory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Container {
    /// [`ObjectType::Mailbox`], [`ObjectType::Calendar`], [`ObjectType::AddressBook`] or a directory as [`ObjectType::FileNode`].
    pub kind: ObjectType,
    /// Its identity within the source and type.
    pub key: String,
    /// The key of the container that it lies in. Containers are listed parents first.
    pub parent: Option<String>,
    /// Its own name, decoded, without those of its parents.
    pub name: String,
    /// JMAP role in lower case (`inbox`, `sent`, …).
    pub role: Option<String>,
    /// The user wants to see it in clients. True where the source has no subscriptions.
    pub is_subscribed: bool,
    /// `#RRGGBB` or a CSS3 colour name (calendars).
    pub color: Option<String>,
    /// A longer text of the user about it, beside its name.
    pub description: Option<String>,
    /// What only JMAP tells.
    pub details: Option<Box<Details>>,
}

/// What only JMAP tells of a container (RFC 8621 section 2, RFC 9610 section 2, draft-ietf-jmap-calendars section 4,
/// draft-ietf-jmap-filenode). Each type has some of it.
#[derive(Debug, Clone, PartialEq, Eq, Default, Hash)]
pub struct Details {
    /// Properties that the server did not tell, by JMAP's names: what stands here for them is no value, and is not stored.
    pub untold: Vec<&'static str>,
    /// The place among its siblings: a client shows lower numbers first.
    pub sort_order: i64,
    /// New objects go into it unless they name another container (address books, calendars).
    pub is_default: bool,
    /// Clients show its events (calendars).
    pub is_visible: bool,
    /// Which of its events make the user busy: `all`, `attending` or `none` (`includeInAvailability`).
    pub availability: String,
    /// Alerts for events that ask for the default ones, as JSON (`defaultAlertsWithTime`).
    pub alerts_with_time: Option<String>,
    /// As `alerts_with_time`, for events that last whole days.
    pub alerts_without_time: Option<String>,
    /// The time zone of events that name none, by its IANA name.
    pub time_zone: Option<String>,
    /// RFC 3339.
    pub created: Option<String>,
    /// RFC 3339.
    pub modified: Option<String>,
}

impl Details {
    /// JMAP's names of what only JMAP tells of the containers of a type.
    pub fn of(kind: ObjectType) -> &'static [&'static str] {
        match kind {
            ObjectType::Mailbox => &["sortOrder", "isSubscribed", "role"],
            ObjectType::AddressBook => &["description", "sortOrder", "isDefault", "isSubscribed"],
            ObjectType::Calendar => &[
                "description",
                "color",
                "sortOrder",
                "isSubscribed",
                "isVisible",
                "isDefault",
                "includeInAvailability",
                "defaultAlertsWithTime",
                "defaultAlertsWithoutTime",
                "timeZone",
            ],
            _ => &["created", "modified", "isSubscribed", "role"],
        }
    }
}

impl Container {
    /// JMAP's names of the properties that the source did not tell: a source other than JMAP has no words for some.
    pub fn untold(&self) -> Vec<&'static str> {
        const OF_ALL_SOURCES: [&str; 6] = ["role", "color", "description", "isSubscribed", "created", "modified"];
        match &self.details {
            Some(details) => details.untold.clone(),
            None => Details::of(self.kind).iter().copied().filter(|name| !OF_ALL_SOURCES.contains(name)).collect(),
        }
    }

    /// A subscribed container without role, colour and description.
    pub fn new(kind: ObjectType, key: impl Into<String>, parent: Option<String>, name: impl Into<String>) -> Container {
        Container {
            kind,
            key: key.into(),
            parent,
            name: name.into(),
            role: None,
            is_subscribed: true,
            color: None,
            description: None,
            details: None,
        }
    }
}
