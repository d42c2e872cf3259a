//! A collection: a calendar, an address book or a directory.

use super::multistatus::Response;
use url::Url;

/// Which of the three protocols is spoken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Flavor {
    /// RFC 4791
    Calendars,
    /// RFC 6352
    Contacts,
    /// RFC 4918
    Files,
}

impl Flavor {
    /// `caldav`, `carddav` or `webdav`.
    pub fn name(self) -> &'static str {
        match self {
            Flavor::Calendars => "caldav",
            Flavor::Contacts => "carddav",
            Flavor::Files => "webdav",
        }
    }

    /// What the user calls what it has.
    pub fn collections(self) -> &'static str {
        match self {
            Flavor::Calendars => "calendars",
            Flavor::Contacts => "address books",
            Flavor::Files => "directories",
        }
    }

    /// What the DNS calls the service, with TLS and without (RFC 6764 section 3). Files have no such name.
    pub(super) fn services(self) -> &'static [(&'static str, &'static str)] {
        match self {
            Flavor::Calendars => &[("_caldavs._tcp", "https"), ("_caldav._tcp", "http")],
            Flavor::Contacts => &[("_carddavs._tcp", "https"), ("_carddav._tcp", "http")],
            Flavor::Files => &[],
        }
    }

    /// The resource type of its collections (RFC 4791 section 4.2, RFC 6352 section 5.2).
    pub(super) fn resource_type(self) -> &'static str {
        match self {
            Flavor::Calendars => "calendar",
            Flavor::Contacts => "addressbook",
            Flavor::Files => "collection",
        }
    }

    /// The property of a principal that names its homes (RFC 4791 section 6.2.1, RFC 6352 section 7.1.1).
    pub(super) fn home_set(self) -> &'static str {
        match self {
            Flavor::Calendars => "C:calendar-home-set",
            _ => "R:addressbook-home-set",
        }
    }

    /// The report that gives several resources with their bytes, and the property that has these.
    pub(super) fn multiget(self) -> Option<(&'static str, &'static str)> {
        match self {
            Flavor::Calendars => Some(("C:calendar-multiget", "C:calendar-data")),
            Flavor::Contacts => Some(("R:addressbook-multiget", "R:address-data")),
            Flavor::Files => None,
        }
    }
}

/// What is asked of a collection. Its token is asked for where it is needed: for some servers that is much work.
pub(super) const PROPERTIES: [&str; 16] = [
    "D:resourcetype",
    "D:displayname",
    "D:current-user-principal",
    "D:principal-URL",
    "C:calendar-home-set",
    "R:addressbook-home-set",
    "D:current-user-privilege-set",
    "D:supported-report-set",
    "S:getctag",
    "S:source",
    "A:calendar-color",
    "A:calendar-order",
    "C:calendar-description",
    "C:calendar-timezone",
    "C:supported-calendar-component-set",
    "R:addressbook-description",
];

/// A collection as a listing shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Collection {
    /// Where it is.
    pub url: Url,
    /// Its name for people, where it has one.
    pub name: Option<String>,
    /// What its owner says of it.
    pub description: Option<String>,
    /// As the server has it (`#RRGGBBAA`).
    pub color: Option<String>,
    /// Its place among the calendars of the user (`calendar-order` of Apple).
    pub order: Option<i64>,
    /// The iCalendar object that names its time zone.
    pub time_zone: Option<String>,
    /// The components that it takes (`VEVENT`, `VTODO`); empty if it does not say.
    pub components: Vec<String>,
    /// Changes whenever something in it changes.
    pub ctag: Option<String>,
    /// The token that a synchronisation goes on from, where there is no ctag.
    pub sync_token: Option<String>,
    /// It can be synchronised (RFC 6578).
    pub has_sync: bool,
    /// The user may only read it.
    pub is_read_only: bool,
    /// It shows a calendar that lies elsewhere.
    pub is_subscribed: bool,
}

impl Collection {
    /// The collection that a response describes; `None` if it is of another type.
    pub(super) fn of(response: &Response, url: Url, flavor: Flavor) -> Option<Collection> {
        let kinds = response.property("resourcetype");
        let is_subscribed = flavor == Flavor::Calendars && kinds.is_some_and(|kinds| kinds.has("subscribed"));
        if !is_subscribed && !kinds.is_some_and(|kinds| kinds.has(flavor.resource_type())) {
            return None;
        }
        let text = |name: &str| response.text(name).map(str::to_owned);
        let components = response.property("supported-calendar-component-set");
        let components = components.into_iter().flat_map(|set| set.all("comp"));
        let privileges = response.property("current-user-privilege-set");
        let may_write =
            |name: &str| privileges.is_some_and(|set| set.all("privilege").any(|privilege| privilege.has(name)));
        let reports = response.property("supported-report-set").into_iter().flat_map(|set| set.all("supported-report"));
        let mut reports = reports.filter_map(|report| report.child("report"));
        let has_report = reports.any(|report| report.has("sync-collection"));
        Some(Collection {
            name: text("displayname"),
            description: text("calendar-description").or_else(|| text("addressbook-description")),
            color: text("calendar-color"),
            order: text("calendar-order").and_then(|order| order.parse().ok()),
            time_zone: text("calendar-timezone"),
            components: components.filter_map(|one| Some(one.attribute("name")?.to_ascii_uppercase())).collect(),
            ctag: text("getctag"),
            has_sync: has_report,
            sync_token: None,
            is_read_only: privileges.is_some()
                && !["write", "write-content", "bind", "all"].iter().any(|name| may_write(name)),
            is_subscribed,
            url,
        })
    }
}
