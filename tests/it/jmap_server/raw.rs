//! The simplest client: one connection per request, everything written by hand.

use crate::common::jmap::*;
use base64::Engine;
use serde_json::{Value, json};
use std::io::{Read, Write};
use std::net::TcpStream;

/// All capabilities of a session.
pub(super) const USING: [&str; 10] =
    [CORE, MAIL, SUBMISSION, VACATION, SIEVE, CONTACTS, CALENDARS, PRINCIPALS, FILENODE, BLOB];

/// An answer.
#[derive(Debug)]
pub(super) struct Answer {
    pub status: u16,
    pub head: String,
    pub body: Vec<u8>,
}

impl Answer {
    pub(super) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error}: {}", self.text()))
    }

    pub(super) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    pub(super) fn field(&self, name: &str) -> Option<String> {
        let start = format!("{}: ", name.to_lowercase());
        let line = self.head.lines().find(|line| line.to_lowercase().starts_with(&start))?;
        Some(line[start.len()..].to_owned())
    }
}

/// `Basic` of alice.
pub(super) fn basic() -> String {
    format!("Basic {}", base64::engine::general_purpose::STANDARD.encode("alice:secret"))
}

/// Sends these bytes and reads until the server closes.
pub(super) fn exchange(port: u16, bytes: &[u8]) -> Vec<u8> {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).expect("a connection");
    stream.write_all(bytes).expect("it is sent");
    let mut answer = Vec::new();
    // A connection that is cut is what some tests want.
    let _ = stream.read_to_end(&mut answer);
    answer
}

/// One request with alice's credentials; `None` if there is no whole head in the answer.
pub(super) fn request(port: u16, method: &str, target: &str, fields: &[(&str, &str)], body: &[u8]) -> Option<Answer> {
    let mut head = format!("{method} {target} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nConnection: close\r\n");
    let authorization = basic();
    if !fields.iter().any(|(name, _)| *name == "Authorization") {
        head.push_str(&format!("Authorization: {authorization}\r\n"));
    }
    for (name, value) in fields.iter().filter(|(_, value)| !value.is_empty()) {
        head.push_str(&format!("{name}: {value}\r\n"));
    }
    if method == "POST" {
        head.push_str(&format!("Content-Length: {}\r\n", body.len()));
    }
    let bytes = exchange(port, &[head.as_bytes(), b"\r\n", body].concat());
    let end = bytes.windows(4).position(|window| window == b"\r\n\r\n")? + 4;
    let head = String::from_utf8(bytes[..end].to_vec()).expect("a head");
    let status = head.split(' ').nth(1).expect("a status").parse().expect("a number");
    let mut body = bytes[end..].to_vec();
    if head.contains("Transfer-Encoding: chunked") {
        body = unchunked(&body);
    }
    Some(Answer { status, head, body })
}

fn unchunked(mut rest: &[u8]) -> Vec<u8> {
    let mut body = Vec::new();
    while let Some(end) = rest.windows(2).position(|window| window == b"\r\n") {
        let size = usize::from_str_radix(std::str::from_utf8(&rest[..end]).expect("a size"), 16).expect("a size");
        if size == 0 {
            break;
        }
        body.extend_from_slice(&rest[end + 2..end + 2 + size]);
        rest = &rest[end + 2 + size + 2..];
    }
    body
}

/// The body of an API request as bytes, to the API.
pub(super) fn post(server: &Server, body: &str) -> Answer {
    let fields = [("Content-Type", "application/json")];
    request(server.port(), "POST", "/api/", &fields, body.as_bytes()).expect("an answer")
}

/// Some calls in one request with all capabilities; their responses.
pub(super) fn calls(server: &Server, calls: Value) -> Vec<Value> {
    let answer = post(server, &json!({"using": USING, "methodCalls": calls}).to_string());
    assert_eq!(answer.status, 200, "{}", answer.text());
    answer.json()["methodResponses"].as_array().expect("responses").clone()
}

/// One call; its arguments, or those of the error with the type.
pub(super) fn call(server: &Server, name: &str, mut arguments: Value) -> Value {
    if arguments.get("accountId").is_none() {
        arguments["accountId"] = json!("A1");
    }
    calls(server, json!([[name, arguments, "c"]])).remove(0)[1].take()
}

/// Creates one object; its id.
pub(super) fn create(server: &Server, kind: &str, object: Value) -> String {
    let answer = call(server, &format!("{kind}/set"), json!({"create": {"new": object}}));
    answer["created"]["new"]["id"].as_str().unwrap_or_else(|| panic!("{answer}")).to_owned()
}

/// Tries to create one object; the type of the error, and what the server blames the client for.
pub(super) fn refused(server: &Server, kind: &str, object: Value) -> (String, Vec<String>) {
    let answer = call(server, &format!("{kind}/set"), json!({"create": {"new": object}}));
    let error = answer["notCreated"]["new"]["type"].as_str().unwrap_or_else(|| panic!("{answer}")).to_owned();
    (error, server.take_violations())
}

/// The creation is refused with `invalidProperties` for this property, and that is the client's fault.
pub(super) fn invalid(server: &Server, kind: &str, object: Value, property: &str) {
    let answer = call(server, &format!("{kind}/set"), json!({"create": {"new": object}}));
    let error = &answer["notCreated"]["new"];
    assert_eq!(error["type"], "invalidProperties", "{object}: {answer}");
    let properties = error["properties"].as_array().expect("properties");
    assert!(properties.iter().any(|name| name == property), "{object}: {error}");
    assert!(!server.take_violations().is_empty(), "{object}: nobody is to blame: {error}");
}

/// Updates one object; the SetError, or null.
pub(super) fn update(server: &Server, kind: &str, id: &str, patch: Value) -> Value {
    let answer = call(server, &format!("{kind}/set"), json!({"update": {id: patch}}));
    match answer["notUpdated"].get(id) {
        Some(error) => error.clone(),
        None => {
            assert!(answer["updated"].get(id).is_some(), "{answer}");
            Value::Null
        }
    }
}

/// Destroys one object; the type of the error, or an empty string.
pub(super) fn destroy(server: &Server, kind: &str, id: &str, arguments: Value) -> String {
    let mut arguments = arguments;
    arguments["destroy"] = json!([id]);
    let answer = call(server, &format!("{kind}/set"), arguments);
    match answer["notDestroyed"].get(id) {
        Some(error) => error["type"].as_str().expect("a type").to_owned(),
        None => {
            assert!(answer["destroyed"].as_array().is_some_and(|ids| ids.iter().any(|gone| gone == id)), "{answer}");
            String::new()
        }
    }
}

/// Uploads bytes; the blob id.
pub(super) fn upload(server: &Server, bytes: &[u8]) -> String {
    let answer = request(server.port(), "POST", "/upload/A1/", &[("Content-Type", "text/plain")], bytes);
    let answer = answer.expect("an answer");
    assert_eq!(answer.status, 201, "{}", answer.text());
    answer.json()["blobId"].as_str().expect("an id").to_owned()
}

/// A server with one account that can do all.
pub(super) fn server() -> Server {
    Server::start(Options::telling())
}
