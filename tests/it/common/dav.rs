//! Servers of CalDAV, CardDAV and WebDAV on loopback, and a client that writes to them. `scripts/dav` gets the servers.

use super::servers::{Daemon, free_port};
use base64::Engine;
use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// The login of every server here.
pub(crate) const USER: &str = "alice";
pub(crate) const PASSWORD: &str = "secret";

/// A program of `scripts/dav`.
fn program(name: &str) -> Option<PathBuf> {
    let target = std::env::var_os("CARGO_TARGET_DIR")
        .map_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("target"), PathBuf::from);
    let folder = target.join("servers/dav");
    if !folder.join("ready").exists() {
        super::skip("servers of DAV are not there; scripts/dav gets them");
        return None;
    }
    Some(folder.join("bin").join(name))
}

/// A running server.
pub(crate) struct Dav {
    // Before the directory: it has to end first.
    _daemon: Daemon,
    dir: tempfile::TempDir,
    pub port: u16,
}

impl Dav {
    /// Radicale, whose home for the user is made by the first request.
    pub(crate) fn radicale() -> Option<Dav> {
        let program = program("radicale")?;
        Some(Dav::start(|dir, port| {
            let users = dir.join("users");
            fs::write(&users, format!("{USER}:{PASSWORD}\n")).expect("a file");
            let settings = format!(
                "[server]\nhosts = 127.0.0.1:{port}\n[auth]\ntype = htpasswd\nhtpasswd_filename = {}\nhtpasswd_encryption = plain\ndelay = 0\n[storage]\nfilesystem_folder = {}\n",
                users.display(),
                dir.join("data").display()
            );
            fs::write(dir.join("config"), settings).expect("a file");
            let mut command = Command::new(&program);
            command.arg("-C").arg(dir.join("config"));
            command
        }))
    }

    /// Xandikos, which takes any login.
    pub(crate) fn xandikos() -> Option<Dav> {
        let program = program("xandikos")?;
        Some(Dav::start(|dir, port| {
            let mut command = Command::new(&program);
            command.args(["serve", "--autocreate", "--current-user-principal", "/alice/", "-l", "127.0.0.1", "-p"]);
            command.arg(port.to_string()).arg("-d").arg(dir.join("data"));
            command
        }))
    }

    /// WsgiDAV, with the files in [`Dav::files`]; with Digest it takes no other login.
    pub(crate) fn wsgidav(is_digest: bool) -> Option<Dav> {
        let program = program("wsgidav")?;
        Some(Dav::start(|dir, port| {
            fs::create_dir(dir.join("files")).expect("a directory");
            let settings = serde_json::json!({
                "host": "127.0.0.1",
                "port": port,
                "provider_mapping": { "/": dir.join("files") },
                "simple_dc": { "user_mapping": { "*": { USER: { "password": PASSWORD } } } },
                "http_authenticator": {
                    "accept_basic": !is_digest,
                    "accept_digest": is_digest,
                    "default_to_digest": is_digest,
                },
                "verbose": 1,
            });
            fs::write(dir.join("config.json"), settings.to_string()).expect("a file");
            let mut command = Command::new(&program);
            command.arg("-c").arg(dir.join("config.json"));
            command
        }))
    }

    fn start(command: impl FnOnce(&Path, u16) -> Command) -> Dav {
        let dir = tempfile::tempdir().expect("a directory");
        let port = free_port();
        let command = command(dir.path(), port);
        let daemon = Daemon::start(command, &[port], &dir.path().join("output"));
        Dav { _daemon: daemon, dir, port }
    }

    /// The directory that WsgiDAV serves.
    pub(crate) fn files(&self) -> PathBuf {
        self.dir.path().join("files")
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

    /// Stores an event or a card. True if the server takes it.
    pub(crate) fn put(&self, path: &str, bytes: &[u8]) -> bool {
        let kind = if path.ends_with(".vcf") { "text/vcard" } else { "text/calendar" };
        let (status, _) = self.ask("PUT", path, &[("Content-Type", kind)], bytes);
        (200..300).contains(&status)
    }

    /// The bytes of a resource, as a plain GET gives them.
    pub(crate) fn get(&self, path: &str) -> Vec<u8> {
        let (status, body) = self.ask("GET", path, &[], b"");
        assert_eq!(status, 200, "GET {path}");
        body
    }

    pub(crate) fn delete(&self, path: &str) {
        let (status, _) = self.ask("DELETE", path, &[], b"");
        assert!((200..300).contains(&status), "DELETE {path}: {status}");
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
    command.args(["import", kind, "--url", url, "--allow-cleartext", "--auth-basic", USER]).args(more).arg(archive);
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
