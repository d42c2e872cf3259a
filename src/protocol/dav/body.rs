//! Bodies of requests. Every name has a prefix: some servers refuse a body that mixes prefixes with a default namespace.

use super::collection::Flavor;
use super::multistatus;
use quick_xml::escape::escape;

const HEAD: &str = "<?xml version=\"1.0\" encoding=\"utf-8\"?>\n";

/// The namespaces of all names that are asked for.
const NAMESPACES: &str = "xmlns:D=\"DAV:\" xmlns:C=\"urn:ietf:params:xml:ns:caldav\" \
    xmlns:R=\"urn:ietf:params:xml:ns:carddav\" xmlns:S=\"http://calendarserver.org/ns/\" \
    xmlns:A=\"http://apple.com/ns/ical/\"";

/// Asks for properties (RFC 4918 section 9.1).
pub(super) fn propfind(properties: &[&str]) -> String {
    format!("{HEAD}<D:propfind {NAMESPACES}><D:prop>{}</D:prop></D:propfind>", names(properties))
}

/// Asks for what changed since a token (RFC 6578 section 3.2); an empty one asks for everything. Never with a limit: some
/// servers give the newest token with an answer that they cut.
pub(super) fn sync_collection(token: &str) -> String {
    format!(
        "{HEAD}<D:sync-collection {NAMESPACES}><D:sync-token>{}</D:sync-token><D:sync-level>1</D:sync-level>\
         <D:prop><D:getetag/></D:prop></D:sync-collection>",
        escape(token)
    )
}

/// Asks for resources with their bytes (RFC 4791 section 7.9, RFC 6352 section 8.7).
pub(super) fn multiget(report: &str, data: &str, hrefs: &[&str]) -> String {
    let hrefs: String = hrefs.iter().map(|href| format!("<D:href>{}</D:href>", escape(*href))).collect();
    format!(
        "{HEAD}<{report} {NAMESPACES}><D:prop><D:getetag/><D:getcontentlength/><{data}/></D:prop>{hrefs}</{report}>"
    )
}

/// What a collection is to be called, and what else is said of it; `None` where nothing is.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct NewCollection {
    /// What people know it by.
    pub name: Option<String>,
    /// A longer text about it.
    pub description: Option<String>,
    /// `#RRGGBB`, of a calendar.
    pub color: Option<String>,
    /// Its place among the others, of a calendar.
    pub order: Option<i64>,
}

impl NewCollection {
    /// True if more than a name is said of it.
    pub fn has_more(&self) -> bool {
        self.description.is_some() || self.color.is_some() || self.order.is_some()
    }
}

/// Makes a calendar (RFC 4791 section 5.3.1).
pub(super) fn make_calendar(collection: &NewCollection) -> String {
    let properties = properties(Flavor::Calendars, collection);
    format!("{HEAD}<C:mkcalendar {NAMESPACES}><D:set><D:prop>{properties}</D:prop></D:set></C:mkcalendar>")
}

/// Makes an address book (RFC 6352 section 6.3.1, RFC 5689).
pub(super) fn make_address_book(collection: &NewCollection) -> String {
    let properties = properties(Flavor::Contacts, collection);
    let kind = "<D:resourcetype><D:collection/><R:addressbook/></D:resourcetype>";
    format!("{HEAD}<D:mkcol {NAMESPACES}><D:set><D:prop>{kind}{properties}</D:prop></D:set></D:mkcol>")
}

/// Sets properties (RFC 4918 section 9.2).
pub(super) fn describe(flavor: Flavor, collection: &NewCollection) -> String {
    let properties = properties(flavor, collection);
    format!("{HEAD}<D:propertyupdate {NAMESPACES}><D:set><D:prop>{properties}</D:prop></D:set></D:propertyupdate>")
}

/// Sets one property (RFC 4918 section 9.2).
pub(super) fn set(name: &str, value: &str) -> String {
    let value = escape(value);
    format!(
        "{HEAD}<D:propertyupdate {NAMESPACES}><D:set><D:prop><{name}>{value}</{name}></D:prop></D:set></D:propertyupdate>"
    )
}

fn properties(flavor: Flavor, collection: &NewCollection) -> String {
    let NewCollection { name, description, color, order } = collection;
    let description_name =
        if flavor == Flavor::Contacts { "R:addressbook-description" } else { "C:calendar-description" };
    let order = order.map(|order| order.to_string());
    let all = [
        ("D:displayname", name),
        (description_name, description),
        ("A:calendar-color", color),
        ("A:calendar-order", &order),
    ];
    let is_meant = |name: &str| !name.starts_with("A:") || flavor == Flavor::Calendars;
    let all = all.into_iter().filter(|(name, _)| is_meant(name));
    all.filter_map(|(name, value)| Some(format!("<{name}>{}</{name}>", escape(value.as_deref()?)))).collect()
}

/// Why a server has not made a change, or not set properties, by its answer of 207 (RFC 4918 sections 9.2.1 and 13); `None` if
/// it has done all of it.
pub(super) fn refusal(document: &[u8]) -> Option<String> {
    let mut refused = Vec::new();
    let read = multistatus::read(document, &mut |response| {
        refused.extend(response.status.filter(|status| *status >= 400).map(|status| status.to_string()));
        refused.extend(response.missing.into_iter().map(|(name, status)| format!("{status} for {name}")));
    });
    match read {
        Ok(_) if refused.is_empty() => None,
        Ok(_) => Some(refused.join(", ")),
        // An answer that cannot be read says nothing against it.
        Err(_) => None,
    }
}

fn names(properties: &[&str]) -> String {
    properties.iter().map(|name| format!("<{name}/>")).collect()
}
