//! The file that mail programs configure themselves with (`config-v1.1.xml`, draft-ietf-mailmaint-autoconfig), as Thunderbird
//! reads it.

use super::found::ServiceKind;
use crate::protocol::xml::{self, Element};

/// A service that the file names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Entry {
    pub kind: ServiceKind,
    pub url: String,
    pub user: Option<String>,
    pub wants_token: bool,
}

/// The services with TLS in a file, the best of each kind first.
///
/// Errors: in words, why there is none.
pub(super) fn read(document: &[u8], address: &str) -> Result<Vec<Entry>, String> {
    let mut entries: Vec<(u8, Entry)> = Vec::new();
    let mut is_open = false;
    let mut provider = |element: &Element| {
        for child in &element.children {
            match entry(child, address) {
                Some(Ok(entry)) => entries.push(entry),
                Some(Err(())) => is_open = true,
                None => {}
            }
        }
    };
    let root = xml::read(document, &mut |element| {
        if element.name == "emailProvider" {
            provider(&element);
        } else {
            provider(&Element { children: vec![element], ..Element::default() });
        }
    })?;
    if root != "clientConfig" {
        return Err("it is no configuration of a mail program".to_owned());
    }
    // The order of the file is its preference; TLS from the start comes first.
    entries.sort_by_key(|(rank, _)| *rank);
    match entries.is_empty() {
        true if is_open => Err("it names servers without TLS only".to_owned()),
        true => Err("it names no server of IMAP, JMAP, CalDAV or CardDAV".to_owned()),
        false => Ok(entries.into_iter().map(|(_, entry)| entry).collect()),
    }
}

/// What an element names, and its rank. An error: a service without TLS.
fn entry(element: &Element, address: &str) -> Option<Result<(u8, Entry), ()>> {
    let kind = match (element.name.as_str(), element.attribute("type")?) {
        ("incomingServer", "imap") => ServiceKind::Imap,
        ("incomingServer", "jmap") => ServiceKind::Jmap,
        ("calendar", "caldav") => ServiceKind::CalDav,
        ("addressBook" | "addressbook" | "contacts", "carddav") => ServiceKind::CardDav,
        _ => return None,
    };
    let text = |name: &str| element.child(name).and_then(Element::trimmed).map(|text| filled(text, address));
    let ways: Vec<String> =
        element.all("authentication").filter_map(Element::trimmed).map(str::to_ascii_lowercase).collect();
    let is_token = |way: &String| way.contains("oauth");
    let wants_token = ways.iter().any(is_token) && ways.iter().all(is_token);
    let (rank, url) = if kind == ServiceKind::Imap {
        let (scheme, standard, rank) = match text("socketType")?.to_ascii_uppercase().as_str() {
            "SSL" | "TLS" => ("imaps", "993", 0),
            "STARTTLS" => ("imap", "143", 1),
            _ => return Some(Err(())),
        };
        let (host, port) = (text("hostname")?, text("port").unwrap_or_else(|| standard.to_owned()));
        let port: u16 = port.parse().ok().filter(|port| *port != 0)?;
        (
            rank,
            format!(
                "{scheme}://{host}{}",
                if port.to_string() == standard { String::new() } else { format!(":{port}") }
            ),
        )
    } else {
        let url = text("url").or_else(|| text("serverURL"))?;
        if !url.starts_with("https://") {
            return Some(Err(()));
        }
        (0, url)
    };
    Some(Ok((rank, Entry { kind, url, user: text("username"), wants_token })))
}

/// A text with the parts of the address in the places that are kept for them.
fn filled(text: &str, address: &str) -> String {
    let (local, domain) = address.rsplit_once('@').unwrap_or((address, ""));
    text.replace("%EMAILADDRESS%", address).replace("%EMAILLOCALPART%", local).replace("%EMAILDOMAIN%", domain)
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILE: &str = r#"<?xml version="1.0"?>
<clientConfig version="1.1"><emailProvider id="example.com"><domain>example.com</domain>
<incomingServer type="pop3"><hostname>pop.example.com</hostname><port>995</port><socketType>SSL</socketType></incomingServer>
<incomingServer type="imap"><hostname>imap.example.com</hostname><port>143</port><socketType>STARTTLS</socketType>
<username>%EMAILADDRESS%</username><authentication>password-cleartext</authentication></incomingServer>
<incomingServer type="imap"><hostname>imap.%EMAILDOMAIN%</hostname><port>1993</port><socketType>SSL</socketType>
<username>%EMAILLOCALPART%</username><authentication>OAuth2</authentication></incomingServer>
<outgoingServer type="smtp"><hostname>smtp.example.com</hostname></outgoingServer>
</emailProvider><calendar type="caldav"><serverURL>https://dav.example.com/</serverURL></calendar>
<addressBook type="carddav"><serverURL>http://dav.example.com/</serverURL></addressBook></clientConfig>"#;

    #[test]
    fn services_with_tls_come_from_the_file() {
        let entries = read(FILE.as_bytes(), "alice@example.com").expect("services");
        let shown: Vec<String> = entries
            .iter()
            .map(|one| format!("{} {} {:?} {}", one.kind.name(), one.url, one.user, one.wants_token))
            .collect();
        assert_eq!(
            shown,
            [
                "imap imaps://imap.example.com:1993 Some(\"alice\") true",
                "caldav https://dav.example.com/ None false",
                "imap imap://imap.example.com Some(\"alice@example.com\") false",
            ]
        );
    }

    #[test]
    fn files_that_name_nothing_say_why() {
        let plain = "<clientConfig><emailProvider><incomingServer type='imap'><hostname>a</hostname><port>143</port><socketType>plain</socketType></incomingServer></emailProvider></clientConfig>";
        let many = format!("<clientConfig><emailProvider>{}</emailProvider></clientConfig>", "<a/>".repeat(30_000));
        let deep = "<a>".repeat(100_000);
        for (document, why) in [
            (plain, "without TLS only"),
            ("<clientConfig/>", "names no server"),
            ("<html><body>Not found</body></html>", "no configuration"),
            ("<!doctype html><p>", "document type"),
            (&many, "too many"),
            (&deep, "too many"),
            ("", ""),
            ("\u{0}", ""),
            (
                "<clientConfig><incomingServer type='imap'><socketType>SSL</socketType></incomingServer></clientConfig>",
                "names no server",
            ),
        ] {
            let error = read(document.as_bytes(), "a@b").expect_err("nothing");
            assert!(error.contains(why), "{error}: {}", &document[..document.len().min(80)]);
        }
        assert!(read(b"\xff\xfe", "a@b").is_err());
    }
}
