//! A server of CalDAV and CardDAV in memory, which does what a test tells it where real servers differ.

use super::jmap::http::{read_body, read_head};
use super::jmap::line::Line;
use super::servers::Certificate;
use super::{dav_account, tree};
use parking_lot::Mutex;
use std::collections::BTreeMap;
use std::io::{BufReader, Write};
use std::net::TcpListener;
use std::path::PathBuf;
use std::sync::Arc;

/// A request.
pub(crate) struct Asked {
    pub method: String,
    pub path: String,
    pub body: String,
    /// The same as it came.
    pub bytes: Vec<u8>,
    /// `Range` and `If-Range`.
    pub range: Option<(String, Option<String>)>,
    /// The encodings that an answer may have.
    pub encodings: String,
    /// `If-None-Match: *` as `*`, or what `If-Match` says.
    pub condition: Option<String>,
    /// `Destination`, `Depth`, `X-OC-Mtime`, `OC-Total-Length`, `Overwrite` and `If`, as far as they came.
    pub fields: BTreeMap<&'static str, String>,
}

/// Fields that a request of WebDAV may have.
const FIELDS: [&str; 6] = ["Destination", "Depth", "X-OC-Mtime", "OC-Total-Length", "Overwrite", "If"];

/// Status, more fields, and body of an answer. With a `Content-Length` of its own the connection ends behind the body.
pub(crate) type Answer = (u16, String, Vec<u8>);

type Hook = dyn FnMut(&Asked) -> Option<Answer> + Send;

/// What the server has: collections by name, resources by name with their bytes.
#[derive(Default)]
pub(crate) struct State {
    pub collections: BTreeMap<String, BTreeMap<String, Vec<u8>>>,
    /// Collections of which nothing but their names can be had.
    pub broken: Vec<String>,
    /// Names for people, where they are others.
    pub names: BTreeMap<String, String>,
    /// Colours of collections.
    pub colors: BTreeMap<String, String>,
    /// What was asked so far.
    pub asked: Vec<String>,
    /// Grows with every change that a test makes.
    pub token: u64,
}

/// A running server. `/` names the principal `/alice/`, whose home is `/alice/home/`.
pub(crate) struct FakeDav {
    pub port: u16,
    state: Arc<Mutex<State>>,
    hook: Arc<Mutex<Option<Box<Hook>>>>,
}

impl FakeDav {
    pub(crate) fn start() -> FakeDav {
        FakeDav::start_with(None)
    }

    /// The same with TLS, for `localhost`.
    pub(crate) fn start_tls(certificate: &Certificate) -> FakeDav {
        FakeDav::start_with(Some(certificate.server_config()))
    }

    fn start_with(tls: Option<Arc<rustls::ServerConfig>>) -> FakeDav {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let server = FakeDav {
            port: listener.local_addr().expect("an address").port(),
            state: Arc::default(),
            hook: Arc::default(),
        };
        let (state, hook) = (Arc::clone(&server.state), Arc::clone(&server.hook));
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (state, hook) = (Arc::clone(&state), Arc::clone(&hook));
                let Ok(line) = Line::new(tls.as_ref(), stream) else { continue };
                // A client that hangs up is done.
                std::thread::spawn(move || serve(&line, &state, &hook));
            }
        });
        server
    }

    pub(crate) fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// Changes what it has.
    pub(crate) fn with(&self, change: impl FnOnce(&mut State)) {
        let mut state = self.state.lock();
        state.token += 1;
        state.asked.clear();
        change(&mut state);
    }

    /// What was asked since the last change.
    pub(crate) fn asked(&self) -> Vec<String> {
        self.state.lock().asked.clone()
    }

    /// Answers some requests in another way.
    pub(crate) fn hook(&self, hook: impl FnMut(&Asked) -> Option<Answer> + Send + 'static) {
        *self.hook.lock() = Some(Box::new(hook));
    }
}

fn serve(line: &Line, state: &Mutex<State>, hook: &Mutex<Option<Box<Hook>>>) {
    let mut out = line;
    let mut reader = BufReader::new(line);
    while let Ok(Some(head)) = read_head(&mut reader) {
        let Ok((body, _)) = read_body(&head, &mut reader, &mut out, 16 << 20) else { return };
        let asked = Asked {
            method: head.method.clone(),
            path: head.target.clone(),
            body: String::from_utf8_lossy(&body).into_owned(),
            range: head.field("Range").map(|range| (range.to_owned(), head.field("If-Range").map(str::to_owned))),
            encodings: head.field("Accept-Encoding").unwrap_or_default().to_owned(),
            condition: head.field("If-None-Match").or(head.field("If-Match")).map(str::to_owned),
            fields: FIELDS.into_iter().filter_map(|name| Some((name, head.field(name)?.to_owned()))).collect(),
            bytes: body,
        };
        let mut state = state.lock();
        state.asked.push(format!("{} {}", asked.method, asked.path));
        let hooked = hook.lock().as_mut().and_then(|hook| hook(&asked));
        let usual = |state: &mut State| change(state, &asked).unwrap_or_else(|| answer(state, &asked));
        let (status, fields, body) = hooked.unwrap_or_else(|| usual(&mut state));
        drop(state);
        let is_cut = fields.contains("Content-Length:");
        let length = if is_cut { String::new() } else { format!("Content-Length: {}\r\n", body.len()) };
        let head = format!("HTTP/1.1 {status} x\r\n{fields}{length}\r\n");
        if out.write_all(head.as_bytes()).and_then(|()| out.write_all(&body)).is_err() || is_cut {
            let _ = line.end(std::net::Shutdown::Both);
            return;
        }
    }
}

/// A server with one calendar of so many events, and an archive for it.
pub(crate) struct Place {
    pub server: FakeDav,
    pub dir: tempfile::TempDir,
}

impl Place {
    pub(crate) fn new(events: usize) -> Place {
        let server = FakeDav::start();
        server.with(|state| {
            let resources = (0..events).map(|number| (format!("e{number}.ics"), event(&format!("e{number}"))));
            state.collections.insert("Work".to_owned(), resources.collect());
        });
        Place { server, dir: tempfile::tempdir().expect("a folder") }
    }

    pub(crate) fn archive(&self) -> PathBuf {
        self.dir.path().join("a.sqlite")
    }

    /// Imports; the run has to end with this code.
    pub(crate) fn import(&self, code: i32) -> String {
        self.run("caldav", "", &["--max-retries", "0"], code)
    }

    /// Imports from a path of the server.
    pub(crate) fn run(&self, kind: &str, path: &str, flags: &[&str], code: i32) -> String {
        let output = super::dav::import(kind, &format!("{}{path}", self.server.url()), &self.archive(), flags);
        let said = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        assert_eq!(output.status.code(), Some(code), "{said}");
        said
    }

    /// The bytes of all events of the current state, by the name of their file.
    pub(crate) fn events(&self) -> BTreeMap<String, Vec<u8>> {
        let all = tree(&self.archive(), "latest").into_iter();
        all.filter(|(path, _)| {
            path.starts_with("calendars/") && path.ends_with(".ics") && path.matches('/').count() == 2
        })
        .collect()
    }
}

/// A small event.
pub(crate) fn event(uid: &str) -> Vec<u8> {
    dav_account::event(uid, uid)
}

/// True for a request of this method and path.
pub(crate) fn is(asked: &Asked, method: &str, path: &str) -> bool {
    asked.method == method && asked.path == path
}

/// A response that describes a calendar.
pub(crate) fn calendar(href: &str, properties: &str) -> String {
    found(href, &format!("<D:resourcetype><D:collection/><C:calendar/></D:resourcetype>{properties}"))
}

/// An answer of WebDAV with these responses.
pub(crate) fn multistatus(responses: &str) -> Answer {
    let body = format!(
        "<?xml version=\"1.0\"?><D:multistatus xmlns:D=\"DAV:\" xmlns:C=\"urn:ietf:params:xml:ns:caldav\" xmlns:S=\"http://calendarserver.org/ns/\" xmlns:A=\"http://apple.com/ns/ical/\">{responses}</D:multistatus>"
    );
    (207, "Content-Type: application/xml\r\n".to_owned(), body.into_bytes())
}

/// A response with properties that were found.
pub(crate) fn found(href: &str, properties: &str) -> String {
    format!(
        "<D:response><D:href>{href}</D:href><D:propstat><D:prop>{properties}</D:prop><D:status>HTTP/1.1 200 OK</D:status></D:propstat></D:response>"
    )
}

/// The etag of some bytes.
pub(crate) fn etag(bytes: &[u8]) -> String {
    format!("\"{}\"", &vandelay::model::Digest::of(bytes).hex()[..12])
}

fn escaped(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).replace('&', "&amp;").replace('<', "&lt;").replace('\r', "&#13;")
}

/// Does what a request changes; `None` for one that only reads.
fn change(state: &mut State, asked: &Asked) -> Option<Answer> {
    let parts: Vec<&str> = asked.path.trim_matches('/').split('/').collect();
    let done = |status: u16| Some((status, String::new(), Vec::new()));
    let said = |property: &str| {
        let (_, rest) = asked.body.split_once(&format!("{property}>"))?;
        Some(rest.split("</").next().unwrap_or_default().to_owned())
    };
    match (asked.method.as_str(), parts.as_slice()) {
        ("MKCALENDAR", ["alice", "home", name]) => {
            if state.collections.contains_key(*name) {
                return done(405);
            }
            state.collections.insert((*name).to_owned(), BTreeMap::new());
            state.names.extend(said("displayname").map(|shown| ((*name).to_owned(), shown)));
            state.colors.extend(said("calendar-color").map(|color| ((*name).to_owned(), color)));
            done(201)
        }
        ("PUT", ["alice", "home", name, file]) => {
            let Some(resources) = state.collections.get_mut(*name) else { return done(409) };
            let is_met = match (asked.condition.as_deref(), resources.get(*file)) {
                (Some("*"), there) => there.is_none(),
                (Some(wanted), there) => there.is_some_and(|bytes| etag(bytes) == wanted),
                (None, _) => true,
            };
            if !is_met {
                return done(412);
            }
            resources.insert((*file).to_owned(), asked.body.clone().into_bytes());
            done(201)
        }
        ("DELETE", ["alice", "home", name, file]) => {
            let gone = state.collections.get_mut(*name).and_then(|all| all.remove(*file));
            done(if gone.is_some() { 204 } else { 404 })
        }
        ("PROPPATCH", ["alice", "home", name]) => {
            state.colors.extend(said("calendar-color").map(|color| ((*name).to_owned(), color)));
            Some(multistatus(""))
        }
        _ => None,
    }
}

fn answer(state: &State, asked: &Asked) -> Answer {
    let parts: Vec<&str> = asked.path.trim_matches('/').split('/').filter(|part| !part.is_empty()).collect();
    let principal = "<D:current-user-principal><D:href>/alice/</D:href></D:current-user-principal>";
    match (asked.method.as_str(), parts.as_slice()) {
        ("PROPFIND", []) => multistatus(&found("/", principal)),
        ("PROPFIND", ["alice"]) => multistatus(&found(
            "/alice/",
            &format!("{principal}<C:calendar-home-set><D:href>/alice/home/</D:href></C:calendar-home-set>"),
        )),
        ("PROPFIND", ["alice", "home"]) => {
            let all = state.collections.keys().map(|name| {
                let kind = "<D:resourcetype><D:collection/><C:calendar/></D:resourcetype>";
                let token = format!("<D:sync-token>urn:{}</D:sync-token>", state.token);
                let shown = state.names.get(name).unwrap_or(name);
                let color = state.colors.get(name).map(String::as_str).unwrap_or_default();
                let color = format!("<A:calendar-color>{color}</A:calendar-color>");
                let all = format!("{kind}<D:displayname>{shown}</D:displayname>{token}{color}");
                found(&format!("/alice/home/{name}/"), &all)
            });
            let own = format!("<D:resourcetype><D:collection/></D:resourcetype>{principal}");
            multistatus(&format!("{}{}", found("/alice/home/", &own), all.collect::<String>()))
        }
        (_, ["alice", "home", name, ..]) if state.broken.iter().any(|broken| broken == name) => {
            (500, String::new(), b"<html>no</html>".to_vec())
        }
        ("PROPFIND", ["alice", "home", name]) => match state.collections.get(*name) {
            Some(resources) => {
                let own = format!("/alice/home/{name}/");
                let all = resources.iter().map(|(file, bytes)| {
                    found(&format!("{own}{file}"), &format!("<D:getetag>{}</D:getetag>", etag(bytes)))
                });
                let itself = found(&own, "<D:resourcetype><D:collection/><C:calendar/></D:resourcetype>");
                multistatus(&format!("{itself}{}", all.collect::<String>()))
            }
            None => (404, String::new(), Vec::new()),
        },
        ("PROPFIND", ["alice", "home", name, file]) => {
            match state.collections.get(*name).and_then(|all| all.get(*file)) {
                Some(bytes) => multistatus(&found(&asked.path, &format!("<D:getetag>{}</D:getetag>", etag(bytes)))),
                None => (404, String::new(), Vec::new()),
            }
        }
        ("REPORT", ["alice", "home", name]) if asked.body.contains("calendar-multiget") => {
            let resources = state.collections.get(*name).cloned().unwrap_or_default();
            let all = resources.iter().filter(|(file, _)| asked.body.contains(&format!("/{file}<")));
            let all = all.map(|(file, bytes)| {
                let data = format!(
                    "<D:getetag>{}</D:getetag><C:calendar-data>{}</C:calendar-data>",
                    etag(bytes),
                    escaped(bytes)
                );
                found(&format!("/alice/home/{name}/{file}"), &data)
            });
            multistatus(&all.collect::<String>())
        }
        ("REPORT", _) => (403, String::new(), b"<D:error xmlns:D=\"DAV:\"><D:valid-sync-token/></D:error>".to_vec()),
        ("GET", ["alice", "home", name, file]) => match state.collections.get(*name).and_then(|all| all.get(*file)) {
            Some(bytes) => (200, String::new(), bytes.clone()),
            None => (404, String::new(), Vec::new()),
        },
        _ => (405, String::new(), Vec::new()),
    }
}
