//! A server of files in memory in the manner of Nextcloud: it takes dates beside the bytes, and large files in parts.

use super::export_target::Target;
use super::fake_dav::{Answer, Asked, FakeDav, etag, found, multistatus};
use parking_lot::Mutex;
use percent_encoding::percent_decode_str;
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;

/// What a test has a request answered with, in place of what it would get.
#[derive(Debug, Clone)]
pub(crate) enum Fault {
    /// Nothing is done.
    Answer(u16, &'static [u8]),
    /// It is done, and the line breaks before the answer is there.
    Lost,
}

/// A file: its bytes, and its date in seconds since 1970.
pub(crate) type File = (Vec<u8>, i64);

/// What the server has, by decoded path below the home of alice.
#[derive(Default)]
pub(crate) struct Held {
    pub files: BTreeMap<String, File>,
    pub directories: BTreeSet<String>,
    /// Parts of files by folder and name.
    pub uploads: BTreeMap<String, BTreeMap<String, Vec<u8>>>,
    /// Requests since the last look, as `PUT a b.txt` or `PUT uploads/x/00001`.
    pub asked: Vec<String>,
    /// What is answered in another way: a method, the end of a path, how often.
    pub faults: Vec<(&'static str, &'static str, u32, Fault)>,
    /// It takes no dates, or no parts.
    pub is_plain: bool,
}

/// A running server.
pub(crate) struct Cloud {
    pub target: Target,
    held: Arc<Mutex<Held>>,
    _server: FakeDav,
}

const HOME: &str = "/remote.php/dav/files/alice";
const UPLOADS: &str = "/remote.php/dav/uploads/alice";

/// The date of files that a client gives none.
const NOW: i64 = 1_900_000_000;

impl Cloud {
    pub(crate) fn start() -> Cloud {
        let server = FakeDav::start();
        let held: Arc<Mutex<Held>> = Arc::default();
        let shared = Arc::clone(&held);
        server.hook(move |asked| Some(shared.lock().answer(asked)));
        let target = Target {
            url: format!("{}{HOME}", server.url()),
            ..Target::at("webdav", server.port, super::dav::USER, super::dav::PASSWORD)
        };
        Cloud { target, held, _server: server }
    }

    /// One with these files. What they lie in is made.
    pub(crate) fn with_files(files: impl IntoIterator<Item = (String, File)>) -> Cloud {
        let cloud = Cloud::start();
        cloud.with(|held| {
            for (path, file) in files {
                let parents = path.match_indices('/').map(|(at, _)| path[..at].to_owned());
                held.directories.extend(parents);
                held.files.insert(path, file);
            }
        });
        cloud
    }

    /// Looks at what it has, and changes it. Requests are counted anew from here on.
    pub(crate) fn with<T>(&self, change: impl FnOnce(&mut Held) -> T) -> T {
        let mut held = self.held.lock();
        let done = change(&mut held);
        held.asked.clear();
        done
    }

    /// All files and directories (with a slash behind them).
    pub(crate) fn all(&self) -> BTreeMap<String, File> {
        self.with(|held| {
            let directories = held.directories.iter().map(|path| (format!("{path}/"), File::default()));
            held.files.clone().into_iter().chain(directories).collect()
        })
    }

    /// Imports all of it.
    pub(crate) fn archive(&self, place: &Path) -> std::path::PathBuf {
        let archive = place.join("files.sqlite");
        self.target.import(&archive);
        archive
    }
}

impl Held {
    fn answer(&mut self, asked: &Asked) -> Answer {
        let path = percent_decode_str(&asked.path).decode_utf8().expect("UTF-8").trim_end_matches('/').to_owned();
        let short = path.strip_prefix(HOME).map(|path| path.trim_start_matches('/').to_owned());
        let part = path.strip_prefix(UPLOADS).map(|path| path.trim_start_matches('/').to_owned());
        let named = short.clone().or(part.as_ref().map(|part| format!("uploads/{part}"))).unwrap_or_default();
        self.asked.push(format!("{} {named}", asked.method));
        let is_meant =
            |fault: &&mut (&str, &str, u32, Fault)| fault.0 == asked.method && named.ends_with(fault.1) && fault.2 > 0;
        let fault = self.faults.iter_mut().find(is_meant).map(|fault| {
            fault.2 -= 1;
            fault.3.clone()
        });
        if let Some(Fault::Answer(status, body)) = fault {
            return (status, "Content-Type: text/html\r\n".to_owned(), body.to_vec());
        }
        let answer = match (short, part) {
            (Some(path), _) => self.file(&path, asked),
            (_, Some(path)) if !self.is_plain => self.part(&path, asked),
            _ => (404, String::new(), Vec::new()),
        };
        match fault {
            Some(Fault::Lost) => (answer.0, "Content-Length: 9\r\n".to_owned(), b"x".to_vec()),
            _ => answer,
        }
    }

    fn has_parent(&self, path: &str) -> bool {
        path.rsplit_once('/').is_none_or(|(parent, _)| self.directories.contains(parent))
    }

    fn file(&mut self, path: &str, asked: &Asked) -> Answer {
        let done = |status: u16| (status, String::new(), Vec::new());
        let is_directory = path.is_empty() || self.directories.contains(path);
        match asked.method.as_str() {
            "PROPFIND" if is_directory || self.files.contains_key(path) => self.listing(path, asked),
            "MKCOL" if is_directory || self.files.contains_key(path) => done(405),
            "MKCOL" | "PUT" if !self.has_parent(path) => done(409),
            "PUT" if is_directory => done(405),
            "MKCOL" => {
                self.directories.insert(path.to_owned());
                done(201)
            }
            "PUT" => {
                let there = self.files.get(path).map(|(bytes, _)| etag(bytes));
                match (asked.condition.as_deref(), there) {
                    (Some("*"), Some(_)) => return done(412),
                    (Some("*") | None, _) => {}
                    (Some(wanted), there) if there.as_deref() == Some(wanted) => {}
                    _ => return done(412),
                }
                self.store(path, asked.bytes.clone(), asked)
            }
            "GET" => match self.files.get(path) {
                Some((bytes, _)) => (200, format!("ETag: {}\r\n", etag(bytes)), bytes.clone()),
                None => done(404),
            },
            "DELETE" => {
                let below = format!("{path}/");
                let is_gone = |other: &String| other == path || other.starts_with(&below);
                self.files.retain(|other, _| !is_gone(other));
                self.directories.retain(|other| !is_gone(other));
                done(204)
            }
            // It takes no date from here, and says so.
            "PROPPATCH" => {
                let refused =
                    "<D:propstat><D:prop><D:getlastmodified/></D:prop><D:status>HTTP/1.1 403 x</D:status></D:propstat>";
                multistatus(&format!("<D:response><D:href>{}</D:href>{refused}</D:response>", asked.path))
            }
            _ => done(404),
        }
    }

    fn store(&mut self, path: &str, bytes: Vec<u8>, asked: &Asked) -> Answer {
        let date = asked.fields.get("X-OC-Mtime").filter(|_| !self.is_plain).and_then(|date| date.parse().ok());
        let taken = if date.is_some() { "X-OC-Mtime: accepted\r\n" } else { "" };
        self.files.insert(path.to_owned(), (bytes, date.unwrap_or(NOW)));
        (201, taken.to_owned(), Vec::new())
    }

    fn listing(&self, path: &str, asked: &Asked) -> Answer {
        let href = |path: &str| {
            let parts = path.split('/').filter(|part| !part.is_empty()).map(super::dav::encoded);
            format!("{HOME}/{}", parts.collect::<Vec<_>>().join("/"))
        };
        let directory = |path: &str| found(&href(path), "<D:resourcetype><D:collection/></D:resourcetype>");
        let file = |path: &str, (bytes, date): &File| {
            let date = jiff::Timestamp::from_second(*date).expect("a date").strftime("%a, %d %b %Y %H:%M:%S GMT");
            let (size, etag) = (bytes.len(), etag(bytes));
            found(
                &href(path),
                &format!(
                    "<D:resourcetype/><D:getcontentlength>{size}</D:getcontentlength><D:getetag>{etag}</D:getetag><D:getlastmodified>{date}</D:getlastmodified>"
                ),
            )
        };
        if let Some(one) = self.files.get(path) {
            return multistatus(&file(path, one));
        }
        let mut all = directory(path);
        if asked.fields.get("Depth").is_some_and(|depth| depth == "1") {
            let is_child = |other: &&String| match path.is_empty() {
                true => !other.contains('/'),
                false => other.strip_prefix(path).is_some_and(|rest| rest.starts_with('/') && !rest[1..].contains('/')),
            };
            all.extend(self.directories.iter().filter(is_child).map(|path| directory(path)));
            all.extend(self.files.iter().filter(|(path, _)| is_child(path)).map(|(path, one)| file(path, one)));
        }
        multistatus(&all)
    }

    /// The folders of parts.
    fn part(&mut self, path: &str, asked: &Asked) -> Answer {
        let done = |status: u16| (status, String::new(), Vec::new());
        let (folder, name) = path.split_once('/').unwrap_or((path, ""));
        let destination =
            asked.fields.get("Destination").map(|url| percent_decode_str(url).decode_utf8_lossy().into_owned());
        match (asked.method.as_str(), name) {
            ("MKCOL", "") if self.uploads.contains_key(folder) => done(405),
            ("MKCOL", "") => {
                assert!(destination.is_some(), "a folder of parts needs its destination");
                self.uploads.insert(folder.to_owned(), BTreeMap::new());
                done(201)
            }
            ("DELETE", "") => done(if self.uploads.remove(folder).is_some() { 204 } else { 404 }),
            ("PROPFIND", "") => {
                let Some(parts) = self.uploads.get(folder) else { return done(404) };
                let own = found(&format!("{UPLOADS}/{folder}/"), "<D:resourcetype><D:collection/></D:resourcetype>");
                let part = |(name, bytes): (&String, &Vec<u8>)| {
                    let size = format!("<D:resourcetype/><D:getcontentlength>{}</D:getcontentlength>", bytes.len());
                    found(&format!("{UPLOADS}/{folder}/{name}"), &size)
                };
                let whole = found(&format!("{UPLOADS}/{folder}/.file"), "<D:resourcetype/>");
                multistatus(&format!("{own}{whole}{}", parts.iter().map(part).collect::<String>()))
            }
            ("PUT", name) => {
                let Some(parts) = self.uploads.get_mut(folder) else { return done(404) };
                parts.insert(name.to_owned(), asked.bytes.clone());
                done(201)
            }
            ("DELETE", name) => {
                done(if self.uploads.get_mut(folder).and_then(|all| all.remove(name)).is_some() { 204 } else { 404 })
            }
            ("MOVE", ".file") => {
                let destination = destination.unwrap_or_default();
                let path = destination.split_once(&format!("{HOME}/")).expect("a path below the home").1.to_owned();
                let there = self.files.get(&path).map(|(bytes, _)| etag(bytes));
                let wanted = asked.fields.get("If").and_then(|text| text.split(['[', ']']).nth(1));
                let is_met = match (asked.fields.get("Overwrite").map(String::as_str), wanted) {
                    (Some("F"), _) => there.is_none(),
                    (_, Some(wanted)) => there.as_deref() == Some(wanted),
                    _ => true,
                };
                let parts = self.uploads.get(folder).cloned().unwrap_or_default();
                let whole: Vec<u8> = parts.into_values().flatten().collect();
                if !is_met {
                    return done(412);
                }
                if asked.fields.get("OC-Total-Length") != Some(&whole.len().to_string()) {
                    return done(400);
                }
                self.uploads.remove(folder);
                self.store(&path, whole, asked)
            }
            _ => done(404),
        }
    }
}
