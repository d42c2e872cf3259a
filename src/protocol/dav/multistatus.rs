//! Answers of many resources (RFC 4918 section 13): one after the other, each with its properties.

use crate::protocol::xml::{self, Element};

/// Responses of one answer.
const RESPONSES_MAX: usize = 1_000_000;

/// Bytes of one reference.
const HREF_MAX: usize = 8 << 10;

/// What an answer says of one resource.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Response {
    /// As the server wrote it.
    pub href: String,
    /// The status of the resource itself, where the answer has one (`404`: it is gone).
    pub status: Option<u16>,
    /// Properties that were found.
    pub found: Vec<Element>,
    /// Names of properties that were not, with why (`403`, `404`).
    pub missing: Vec<(String, u16)>,
}

impl Response {
    /// A property that was found.
    pub(super) fn property(&self, name: &str) -> Option<&Element> {
        self.found.iter().find(|property| property.name == name)
    }

    /// The text of a property that was found and is not blank.
    pub(super) fn text(&self, name: &str) -> Option<&str> {
        self.property(name)?.trimmed()
    }
}

/// What an answer says beside its resources.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Rest {
    /// The token for the next synchronisation (RFC 6578 section 3.2).
    pub sync_token: Option<String>,
}

/// Reads a multistatus. A response that names several resources is handed over once for each.
///
/// Errors: in words, what is wrong with it.
pub(super) fn read(document: &[u8], each: &mut dyn FnMut(Response)) -> Result<Rest, String> {
    let (mut rest, mut count, mut is_long) = (Rest::default(), 0, false);
    let root = xml::read(document, &mut |element| match element.name.as_str() {
        "response" => {
            count += 1;
            is_long |= element.all("href").any(|href| href.text.len() > HREF_MAX);
            if count <= RESPONSES_MAX && !is_long {
                responses(element, each);
            }
        }
        "sync-token" => rest.sync_token = element.trimmed().map(str::to_owned),
        _ => {}
    })?;
    if count > RESPONSES_MAX || is_long {
        return Err("it has too many responses, or references that are too long".to_owned());
    }
    match root.as_str() {
        "multistatus" => Ok(rest),
        _ => Err(format!("it is not an answer of WebDAV, but <{:.40}>", root)),
    }
}

fn responses(element: Element, each: &mut dyn FnMut(Response)) {
    let hrefs: Vec<String> = element.all("href").filter_map(Element::trimmed).map(str::to_owned).collect();
    let own_status = element.child("status").and_then(status);
    let (mut found, mut missing) = (Vec::new(), Vec::new());
    for propstat in element.children.into_iter().filter(|child| child.name == "propstat") {
        let status = propstat.child("status").and_then(status).unwrap_or(200);
        let properties = propstat.children.into_iter().filter(|child| child.name == "prop");
        let properties = properties.flat_map(|prop| prop.children);
        match status {
            200..300 => found.extend(properties),
            _ => missing.extend(properties.map(|property| (property.name, status))),
        }
    }
    let (last, others) = match hrefs.split_last() {
        Some((last, others)) => (last, others),
        None => return,
    };
    for href in others {
        each(Response { href: href.clone(), status: own_status, ..Response::default() });
    }
    each(Response { href: last.clone(), status: own_status, found, missing });
}

/// The number in `HTTP/1.1 404 Not Found`.
fn status(element: &Element) -> Option<u16> {
    element.text.split_ascii_whitespace().find_map(|word| word.parse().ok().filter(|code| (100..600).contains(code)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_read_resource_by_resource() {
        let document = r#"<?xml version="1.0"?><D:multistatus xmlns:D="DAV:" xmlns:C="urn:x">
            <D:response><D:href>/a/</D:href><D:propstat><D:prop><D:displayname> A </D:displayname><C:ctag/></D:prop>
            <D:status>HTTP/1.1 200 OK</D:status></D:propstat><D:propstat><D:prop><D:owner/></D:prop>
            <D:status>HTTP/1.1 403 Forbidden</D:status></D:propstat></D:response>
            <D:response><D:href>/a/1.ics</D:href><D:href>/a/2.ics</D:href><D:status>HTTP/1.1 404 Not Found</D:status></D:response>
            <D:response><D:status>HTTP/1.1 200 OK</D:status></D:response>
            <D:sync-token>urn:t:1</D:sync-token></D:multistatus>"#;
        let mut all = Vec::new();
        let rest = read(document.as_bytes(), &mut |response| all.push(response)).expect("sound");
        assert_eq!(rest.sync_token.as_deref(), Some("urn:t:1"));
        assert_eq!(all.len(), 3);
        assert_eq!((all[0].text("displayname"), all[0].text("ctag")), (Some("A"), None));
        assert_eq!(all[0].missing, [("owner".to_owned(), 403)]);
        assert_eq!((all[1].href.as_str(), all[1].status, all[2].status), ("/a/1.ics", Some(404), Some(404)));
        assert!(read(b"<html><p/></html>", &mut |_| {}).is_err());
    }
}
