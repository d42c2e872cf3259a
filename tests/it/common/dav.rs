//! A running server of CalDAV, CardDAV or WebDAV on loopback, and a client of its own that writes to it and reads it.

use super::cyrus::Cyrus;
use super::servers::Daemon;
use base64::Engine;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};
use quick_xml::Reader;
use quick_xml::events::Event;
use std::collections::{BTreeMap, BTreeSet};
use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::Output;

/// The login of every server here.
pub(crate) const USER: &str = "alice";
pub(crate) const PASSWORD: &str = "secret";

/// What runs. The process has to end before its directory goes.
pub(super) enum Running {
    Own(Daemon, tempfile::TempDir),
    Cyrus(Cyrus),
}

/// Where a server has what it holds; empty for what it does not serve.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Homes {
    pub calendars: &'static str,
    pub contacts: &'static str,
    pub files: &'static str,
}

/// A running server. [`super::dav_servers`] starts them.
pub(crate) struct Dav {
    pub name: &'static str,
    pub(super) running: Running,
    pub port: u16,
    pub homes: Homes,
}

/// A collection of a server.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Held {
    /// With a slash at the end, encoded.
    pub path: String,
    /// Its name for people, else the last part of its path.
    pub name: String,
    /// What a plain GET gives, by encoded path.
    pub items: BTreeMap<String, Vec<u8>>,
}

impl Dav {
    /// The directory of everything that it has.
    pub(crate) fn path(&self) -> &Path {
        match &self.running {
            Running::Own(_, dir) => dir.path(),
            Running::Cyrus(cyrus) => cyrus.path(),
        }
    }

    /// The Cyrus that it is, if it is one.
    pub(crate) fn cyrus(&self) -> Option<&Cyrus> {
        match &self.running {
            Running::Own(..) => None,
            Running::Cyrus(cyrus) => Some(cyrus),
        }
    }

    /// Ends it and starts it again.
    pub(crate) fn restart(&mut self) {
        match &mut self.running {
            Running::Own(daemon, _) => daemon.restart(),
            Running::Cyrus(cyrus) => cyrus.restart(),
        }
    }

    /// The URL of the server.
    pub(crate) fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// Sends a request; gives status and body.
    pub(crate) fn ask(&self, method: &str, path: &str, fields: &[(&str, &str)], body: &[u8]) -> (u16, Vec<u8>) {
        ask(self.port, method, path, fields, body)
    }

    /// Makes a calendar.
    pub(crate) fn calendar(&self, path: &str, name: &str) {
        let body = format!(
            "<C:mkcalendar xmlns:D=\"DAV:\" xmlns:C=\"urn:ietf:params:xml:ns:caldav\"><D:set><D:prop><D:displayname>{name}</D:displayname></D:prop></D:set></C:mkcalendar>"
        );
        let (status, _) = self.ask("MKCALENDAR", path, &[("Content-Type", "text/xml")], body.as_bytes());
        assert_eq!(status, 201, "MKCALENDAR {path}");
    }

    /// Makes an address book.
    pub(crate) fn address_book(&self, path: &str, name: &str) {
        let body = format!(
            "<D:mkcol xmlns:D=\"DAV:\" xmlns:R=\"urn:ietf:params:xml:ns:carddav\"><D:set><D:prop><D:resourcetype><D:collection/><R:addressbook/></D:resourcetype><D:displayname>{name}</D:displayname></D:prop></D:set></D:mkcol>"
        );
        let (status, _) = self.ask("MKCOL", path, &[("Content-Type", "text/xml")], body.as_bytes());
        assert_eq!(status, 201, "MKCOL {path}");
    }

    /// Makes a directory.
    pub(crate) fn directory(&self, path: &str) {
        let (status, _) = self.ask("MKCOL", path, &[], b"");
        assert_eq!(status, 201, "MKCOL {path}");
    }

    /// Stores an event, a card or a file. True if the server takes it. Xandikos stores some that it refuses: those go.
    pub(crate) fn put(&self, path: &str, bytes: &[u8]) -> bool {
        let kind = match path.rsplit_once('.') {
            Some((_, "vcf")) => "text/vcard",
            Some((_, "ics")) => "text/calendar",
            _ => "application/octet-stream",
        };
        let (status, _) = self.ask("PUT", path, &[("Content-Type", kind)], bytes);
        if status >= 500 {
            self.ask("DELETE", path, &[], b"");
        }
        (200..300).contains(&status)
    }

    /// The bytes of a resource, as a plain GET gives them.
    pub(crate) fn get(&self, path: &str) -> Vec<u8> {
        let (status, body) = self.ask("GET", path, &[], b"");
        assert_eq!(status, 200, "GET {path}: {}", String::from_utf8_lossy(&body));
        body
    }

    pub(crate) fn delete(&self, path: &str) {
        let (status, _) = self.ask("DELETE", path, &[], b"");
        assert!((200..300).contains(&status), "DELETE {path}: {status}");
    }

    /// Gives a collection another name for people.
    pub(crate) fn rename(&self, path: &str, name: &str) {
        let body = format!(
            "<D:propertyupdate xmlns:D=\"DAV:\"><D:set><D:prop><D:displayname>{name}</D:displayname></D:prop></D:set></D:propertyupdate>"
        );
        let (status, said) = self.ask("PROPPATCH", path, &[("Content-Type", "text/xml")], body.as_bytes());
        assert!((200..300).contains(&status), "PROPPATCH {path}: {status} {}", String::from_utf8_lossy(&said));
    }

    /// Moves a resource or a directory. True if the server does that.
    pub(crate) fn move_to(&self, from: &str, to: &str) -> bool {
        let to = format!("{}{to}", self.url());
        let (status, _) = self.ask("MOVE", from, &[("Destination", &to), ("Overwrite", "F")], b"");
        (200..300).contains(&status)
    }

    /// What a listing names: paths, types of resource and names for people. The collection itself is not among them.
    fn listing(&self, path: &str) -> Vec<Named> {
        let body = b"<D:propfind xmlns:D=\"DAV:\"><D:prop><D:resourcetype/><D:displayname/></D:prop></D:propfind>";
        let fields = [("Depth", "1"), ("Content-Type", "text/xml")];
        let (status, answer) = self.ask("PROPFIND", path, &fields, body);
        let answer = String::from_utf8_lossy(&answer);
        assert_eq!(status, 207, "PROPFIND {path}: {answer}");
        let mut named = named(&answer);
        for one in &mut named {
            // Cyrus writes a `?` in a name as it is; Xandikos gives a name with a colon without its path.
            let href = one.path.trim_start_matches(&self.url()).replace('?', "%3F");
            one.path = if href.starts_with('/') { href } else { format!("{path}{href}") };
        }
        let decoded = |path: &str| percent_decode_str(path.trim_end_matches('/')).collect::<Vec<u8>>();
        let own = decoded(path);
        named.retain(|one| decoded(&one.path) != own);
        named
    }

    /// All that it has of a kind, collection by collection, each resource by a GET of its own.
    pub(crate) fn held(&self, kind: &str) -> Vec<Held> {
        let kinds = match kind {
            "caldav" => (self.homes.calendars, "calendar"),
            "carddav" => (self.homes.contacts, "addressbook"),
            _ => (self.homes.files, "collection"),
        };
        let (home, wanted) = kinds;
        let mut todo = match kind {
            "webdav" => vec![Named { path: home.to_owned(), ..Named::default() }],
            _ => self.listing(home).into_iter().filter(|one| one.kinds.contains(wanted)).collect(),
        };
        let mut all = Vec::new();
        while let Some(collection) = todo.pop() {
            let path = format!("{}/", collection.path.trim_end_matches('/'));
            let (below, here): (Vec<Named>, Vec<Named>) =
                self.listing(&path).into_iter().partition(|one| one.kinds.contains("collection"));
            let last = path.trim_end_matches('/').rsplit('/').next().unwrap_or_default();
            let last = percent_decode_str(last).decode_utf8_lossy().into_owned();
            let name = Some(collection.name).filter(|name| !name.is_empty()).unwrap_or(last);
            let items = here.into_iter().map(|one| (one.path.clone(), self.get(&one.path))).collect();
            all.push(Held { path, name, items });
            if kind == "webdav" {
                todo.extend(below);
            }
        }
        all.sort_unstable_by(|a, b| a.path.cmp(&b.path));
        all
    }

    /// Imports from it.
    pub(crate) fn import(&self, kind: &str, archive: &Path, more: &[&str]) -> Output {
        import(kind, &self.url(), archive, more)
    }
}

/// Imports from a server.
pub(crate) fn import(kind: &str, url: &str, archive: &Path, more: &[&str]) -> Output {
    let mut command = super::vandelay();
    command.env("VANDELAY_PASSWORD", PASSWORD);
    command.args(["import", kind, "--url", url, "--allow-cleartext", "--auth-basic", USER]);
    command.args(super::with_sums(more)).args(more).arg(archive);
    command.output().expect("the program starts")
}

/// A request of HTTP/1.1 over a connection of its own.
pub(crate) fn ask(port: u16, method: &str, path: &str, fields: &[(&str, &str)], body: &[u8]) -> (u16, Vec<u8>) {
    let login = base64::engine::general_purpose::STANDARD.encode(format!("{USER}:{PASSWORD}"));
    let mut head = format!(
        "{method} {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nConnection: close\r\nAuthorization: Basic {login}\r\nContent-Length: {}\r\n",
        body.len()
    );
    fields.iter().for_each(|(name, value)| head.push_str(&format!("{name}: {value}\r\n")));
    head.push_str("\r\n");
    let mut line = TcpStream::connect(("127.0.0.1", port)).expect("a connection");
    line.write_all(head.as_bytes()).expect("a request");
    line.write_all(body).expect("a body");
    let mut answer = Vec::new();
    line.read_to_end(&mut answer).expect("an answer");
    let end = answer.windows(4).position(|four| four == b"\r\n\r\n").expect("a head");
    let head = String::from_utf8_lossy(&answer[..end]).into_owned();
    let status = head.split_ascii_whitespace().nth(1).and_then(|code| code.parse().ok()).expect("a status");
    let mut body = answer.split_off(end + 4);
    if head.to_ascii_lowercase().contains("transfer-encoding: chunked") {
        body = unchunked(&body);
    }
    (status, body)
}

/// A resource in a listing.
#[derive(Debug, Clone, Default)]
struct Named {
    path: String,
    kinds: BTreeSet<String>,
    name: String,
}

/// What a multistatus names, without regard to namespaces. `kinds` are the elements within `resourcetype`.
fn named(document: &str) -> Vec<Named> {
    let mut reader = Reader::from_str(document);
    reader.config_mut().expand_empty_elements = true;
    let (mut all, mut open): (Vec<Named>, Vec<String>) = (Vec::new(), Vec::new());
    loop {
        let text = match reader.read_event().expect("XML") {
            Event::Start(start) => {
                let name = start.local_name().as_ref().to_owned();
                match (open.last().map(String::as_str), all.last_mut()) {
                    (_, _) if name == "response" => all.push(Named::default()),
                    (Some("resourcetype"), Some(one)) => drop(one.kinds.insert(name.clone())),
                    _ => {}
                }
                open.push(name);
                continue;
            }
            Event::End(_) => {
                open.pop();
                continue;
            }
            Event::Text(text) => text.to_string(),
            Event::CData(text) => text.to_string(),
            Event::GeneralRef(name) => match name.resolve_char_ref().expect("a reference") {
                Some(character) => character.to_string(),
                None => quick_xml::escape::resolve_predefined_entity(&name).expect("an entity").to_owned(),
            },
            Event::Eof => return all,
            _ => continue,
        };
        let parents = [open.get(open.len().wrapping_sub(2)), open.last()].map(|name| name.map(String::as_str));
        match (parents, all.last_mut()) {
            ([Some("response"), Some("href")], Some(one)) => one.path.push_str(text.trim()),
            ([_, Some("displayname")], Some(one)) => one.name.push_str(&text),
            _ => {}
        }
    }
}

/// What need not be written in another way in a path (RFC 3986 section 2.3).
const PATH: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// A name as a part of a path.
pub(crate) fn encoded(name: &str) -> String {
    utf8_percent_encode(name, PATH).to_string()
}

fn unchunked(mut body: &[u8]) -> Vec<u8> {
    let mut whole = Vec::new();
    while let Some(end) = body.windows(2).position(|two| two == b"\r\n") {
        let size =
            usize::from_str_radix(std::str::from_utf8(&body[..end]).expect("a size").trim(), 16).expect("a size");
        if size == 0 {
            break;
        }
        whole.extend_from_slice(&body[end + 2..end + 2 + size]);
        body = &body[end + 2 + size + 2..];
    }
    whole
}
