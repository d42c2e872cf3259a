//! Bodies of requests. Every name has a prefix: some servers refuse a body that mixes prefixes with a default namespace.

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

fn names(properties: &[&str]) -> String {
    properties.iter().map(|name| format!("<{name}/>")).collect()
}
