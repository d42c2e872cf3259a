//! HTTP as every client of a protocol over it needs it, against a server that answers what a test tells it.

use crate::common::jmap::http::{Head, read_body, read_head};
use std::io::{BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use url::Url;
use vandelay::error::{Error, ErrorKind, Result};
use vandelay::net::account::Account;
use vandelay::net::connector::Connector;
use vandelay::net::http::{Answer, Ask, Audience, Content, Failure, Http, Method, Payload, Reach, Reading, Repeat};
use vandelay::net::runtime::Runtime;
use vandelay::net::secret::{Credentials, Secret, Tokens};
use vandelay::net::tls::TlsOptions;

/// A request that came.
struct Heard {
    head: Head,
    body: Vec<u8>,
}

/// What the server answers to the request with this number; nothing but an end of the connection where it is empty.
type Script = dyn Fn(usize, &Heard) -> String + Send + Sync;

/// A server on one port.
struct Server {
    port: u16,
    heard: Arc<Mutex<Vec<Heard>>>,
}

impl Server {
    fn start(script: impl Fn(usize, &Heard) -> String + Send + Sync + 'static) -> Server {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let port = listener.local_addr().expect("an address").port();
        let heard: Arc<Mutex<Vec<Heard>>> = Arc::default();
        let (script, all): (Arc<Script>, _) = (Arc::new(script), Arc::clone(&heard));
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let Ok(stream) = stream else { return };
                let (script, heard) = (Arc::clone(&script), Arc::clone(&all));
                // A client that hangs up is none of its business.
                std::thread::spawn(move || serve(stream, &*script, &heard));
            }
        });
        Server { port, heard }
    }

    fn url(&self, path: &str) -> Url {
        Url::parse(&format!("http://127.0.0.1:{}{path}", self.port)).expect("a URL")
    }

    /// A client of it that does not care for TLS.
    fn http(&self, reach: Reach, credentials: Credentials) -> Http {
        let home = self.url("/");
        let connector =
            Connector::for_http(&home, &TlsOptions::default(), Duration::from_secs(5)).expect("a connector");
        let account = Account { connector, credentials, allow_cleartext: true, max_retries: 2, stop: Arc::default() };
        Http::new(account, Audience::new(home, reach), read).expect("a client")
    }

    fn client(&self) -> Http {
        let password = Secret::new("hunter2 and more".to_owned());
        self.http(Reach::Host, Credentials::Basic { user: "alice".to_owned(), password })
    }

    /// Of each request so far: method, target, and what `of` finds in it.
    fn seen<T>(&self, of: impl Fn(&Heard) -> T) -> Vec<(String, String, T)> {
        let heard = self.heard.lock().expect("a lock");
        heard.iter().map(|one| (one.head.method.clone(), one.head.target.clone(), of(one))).collect()
    }
}

fn serve(stream: TcpStream, script: &Script, heard: &Mutex<Vec<Heard>>) -> std::io::Result<()> {
    let (mut reader, mut writer) = (BufReader::new(stream.try_clone()?), stream);
    while let Some(head) = read_head(&mut reader)? {
        let (body, _) = read_body(&head, &mut reader, &mut writer, 1 << 20)?;
        let one = Heard { head, body };
        let answer = {
            let mut heard = heard.lock().expect("a lock");
            let answer = script(heard.len(), &one);
            heard.push(one);
            answer
        };
        if answer.is_empty() {
            return Ok(());
        }
        writer.write_all(answer.as_bytes())?;
    }
    Ok(())
}

/// An answer with this status and these fields.
fn answer(status: &str, fields: &str, body: &str) -> String {
    format!("HTTP/1.1 {status}\r\n{fields}Content-Length: {}\r\n\r\n{body}", body.len())
}

/// How the protocol of these tests reads refusals: a body that begins with `busy` means just that.
fn read(status: u16, body: &[u8]) -> Reading {
    let words = String::from_utf8_lossy(body).into_owned();
    Reading { is_busy: status == 403 && words.starts_with("busy"), words }
}

fn asked<T>(http: &Http, ask: &Ask<'_>, read: impl AsyncFnMut(Answer<'_>) -> Result<T, Failure>) -> Result<T, Failure> {
    let runtime = Runtime::new(Arc::default()).expect("a runtime");
    runtime.run(async { Ok(http.ask(ask, read).await) }).expect("no interruption")
}

/// The body of the answer.
fn body(http: &Http, ask: &Ask<'_>) -> Result<String, Failure> {
    asked(http, ask, async |mut answer| {
        let body = answer.body(1 << 20).await?.unwrap_or_default();
        Ok(String::from_utf8_lossy(&body).into_owned())
    })
}

fn refused(http: &Http, ask: &Ask<'_>) -> Failure {
    body(http, ask).expect_err("a refusal")
}

#[test]
fn methods_carry_fields_and_bodies() {
    let server = Server::start(|_, heard| match heard.head.method.as_str() {
        "PROPFIND" | "REPORT" => answer("207 Multi-Status", "ETag: \"1\"\r\n", "<D:multistatus/>"),
        "HEAD" => "HTTP/1.1 200 OK\r\nContent-Length: 12345\r\n\r\n".to_owned(),
        _ => answer("206 Partial Content", "Content-Range: bytes 2-3/9\r\n", "cd"),
    });
    let (http, url) = (server.client(), server.url("/dav/"));
    let question = Payload::Whole(b"<D:propfind/>"[..].into());
    let fields = [("Depth", "1"), ("Content-Type", "application/xml")];
    for method in [Method::Propfind, Method::Report] {
        let ask = Ask { fields: &fields, payload: question.clone(), ..Ask::new(method, &url, "a listing") };
        let (status, tag) = asked(&http, &ask, async |mut answer| {
            assert_eq!(answer.body(100).await?.as_deref(), Some(&b"<D:multistatus/>"[..]));
            Ok((answer.status(), answer.field("etag").map(str::to_owned)))
        })
        .expect("an answer");
        assert_eq!((status, tag.as_deref()), (207, Some("\"1\"")));
    }
    let size = asked(&http, &Ask::new(Method::Head, &url, "a size"), async |answer| {
        Ok(answer.field("Content-Length").map(str::to_owned))
    });
    assert_eq!(size.expect("an answer").as_deref(), Some("12345"));
    let fields = [("Range", "bytes=2-3"), ("If-Range", "\"1\"")];
    assert_eq!(body(&http, &Ask { fields: &fields, ..Ask::new(Method::Get, &url, "a part") }).expect("a part"), "cd");
    let seen = server.seen(|one| {
        let field = |name: &str| one.head.field(name).unwrap_or("-").to_owned();
        (field("Depth") + " " + &field("Range") + " " + &field("If-Range"), one.body.clone())
    });
    let named: Vec<(&str, &str, &[u8])> =
        seen.iter().map(|(method, _, (fields, body))| (method.as_str(), fields.as_str(), body.as_slice())).collect();
    assert_eq!(
        named,
        [
            ("PROPFIND", "1 - -", &b"<D:propfind/>"[..]),
            ("REPORT", "1 - -", b"<D:propfind/>"),
            ("HEAD", "- - -", b""),
            ("GET", "- bytes=2-3 \"1\"", b""),
        ]
    );
}

#[test]
fn questions_follow_redirects_as_they_are_and_changes_do_not() {
    for status in ["301 Moved", "302 Found", "303 See Other", "307 Temporary", "308 Permanent"] {
        let server = Server::start(move |_, heard| match heard.head.target.as_str() {
            "/.well-known/caldav" => answer(status, "Location: /dav/\r\n", ""),
            _ => answer("207 Multi-Status", "", "here"),
        });
        let (http, url) = (server.client(), server.url("/.well-known/caldav"));
        let payload = Payload::Whole(b"<x/>"[..].into());
        for method in [Method::Get, Method::Head, Method::Options, Method::Propfind, Method::Report] {
            let fields = [("Depth", "0")];
            let ask = Ask { fields: &fields, payload: payload.clone(), ..Ask::new(method, &url, "the home") };
            let path = asked(&http, &ask, async |answer| Ok(answer.url().path().to_owned())).expect("an answer");
            assert_eq!(path, "/dav/", "{status}");
        }
        let seen = server.seen(|one| (one.head.field("Depth").map(str::to_owned), one.body.clone()));
        assert_eq!(seen.len(), 10, "{status}");
        for pair in seen.chunks(2) {
            assert!(pair[0].0 == pair[1].0 && pair[0].2 == pair[1].2, "{status}: {pair:?}");
        }
        let failure = refused(&http, &Ask { payload, ..Ask::new(Method::Post, &url, "a change") });
        assert!(failure.error.to_string().contains("it redirects a change to http://127.0.0.1"), "{failure}");
        assert!(failure.is_undone && failure.refusal.is_none());
        assert_eq!(server.seen(|_| ()).len(), 11);
    }
}

#[test]
fn another_port_hears_the_login_and_another_host_does_not() {
    let other = Server::start(|_, _| answer("200 OK", "", "there"));
    let port = other.port;
    let server = Server::start(move |number, _| {
        let host = if number == 0 { "127.0.0.1" } else { "localhost" };
        answer("307 Temporary", &format!("Location: http://{host}:{port}/x\r\n"), "")
    });
    let (http, url) = (server.client(), server.url("/"));
    let ask = Ask::new(Method::Propfind, &url, "the home");
    assert_eq!(body(&http, &ask).expect("an answer"), "there");
    // It is another host, and speaks no TLS: nobody goes there.
    let failure = refused(&http, &ask);
    assert!(failure.error.to_string().contains("points to another host"), "{failure}");
    let login = |server: &Server| server.seen(|one| one.head.field("Authorization").is_some());
    assert_eq!(login(&other), [("PROPFIND".to_owned(), "/x".to_owned(), true)]);
    let http =
        server.http(Reach::Anybody, Credentials::Basic { user: "a".to_owned(), password: Secret::new("b".to_owned()) });
    assert_eq!(body(&http, &ask).expect("an answer"), "there");
}

#[test]
fn refusals_keep_what_the_server_says() {
    let long = "x".repeat(200_000);
    let server = Server::start(move |_, heard| match heard.head.target.as_str() {
        "/gone" => answer("404 Not Found", "", "no such thing"),
        "/token" => answer("403 Forbidden", "", "<D:error><D:valid-sync-token/></D:error>"),
        "/page" => answer("500 Internal Server Error", "", &long),
        _ => answer("507 Insufficient Storage", "Retry-After: 7\r\n", ""),
    });
    let http = server.client();
    let refusal = |path: &str| {
        let url = server.url(path);
        let failure = refused(&http, &Ask::new(Method::Report, &url, "a report"));
        assert!(failure.is_undone && !failure.error.is_transient());
        let refusal = failure.refusal.as_deref().expect("an answer");
        assert_eq!(refusal.what, "a report");
        let said = format!("{}:{}{path} answers to a report: {}", "http://127.0.0.1", server.port, refusal.why);
        assert_eq!(failure.error.to_string(), said);
        (failure.error.kind, refusal.status, refusal.body.len(), refusal.why.clone(), refusal.retry_after)
    };
    let (kind, status, size, why, after) = refusal("/gone");
    assert_eq!((kind, status, size, after), (ErrorKind::Connection, 404, 13, None));
    assert_eq!(why, "404 Not Found no such thing");
    let (kind, status, ..) = refusal("/token");
    assert_eq!((kind, status), (ErrorKind::Credentials, 403));
    let (_, status, size, ..) = refusal("/page");
    assert_eq!((status, size), (500, 64 << 10), "the first bytes of it");
    let (_, status, _, why, after) = refusal("/full");
    assert_eq!((status, why.as_str(), after), (507, "507 Insufficient Storage", Some(Duration::from_secs(7))));
    assert_eq!(server.seen(|_| ()).len(), 4, "none of them was tried again");
}

#[test]
fn who_is_busy_is_asked_again_whatever_the_request_is() {
    for first in [
        answer("503 Service Unavailable", "", ""),
        answer("429 Too Many Requests", "Retry-After: 1\r\n", ""),
        answer("403 Forbidden", "", "busy"),
    ] {
        let asks_to_wait = first.contains("Retry-After");
        let server = Server::start(move |number, _| match number {
            0 => first.clone(),
            _ => answer("200 OK", "", "done"),
        });
        let (http, url, begun) = (server.client(), server.url("/"), Instant::now());
        let ask = Ask { repeat: Repeat::Once, ..Ask::new(Method::Post, &url, "a change") };
        assert_eq!(body(&http, &ask).expect("an answer"), "done");
        assert!(!asks_to_wait || begun.elapsed() >= Duration::from_secs(1), "{:?}", begun.elapsed());
    }
    // For longer than anybody waits.
    let server = Server::start(|_, _| answer("503 Service Unavailable", "Retry-After: 100000\r\n", ""));
    let url = server.url("/");
    let failure = refused(&server.client(), &Ask::new(Method::Get, &url, "a question"));
    assert!(failure.error.hint_text().is_some_and(|hint| hint.contains("1 d 3 h")), "{:?}", failure.error);
    assert_eq!(failure.refusal.map(|refusal| refusal.status), Some(503));
}

#[test]
fn a_line_that_breaks_is_tried_as_often_as_the_request_allows() {
    for (repeat, count) in [(Repeat::Usual, 3), (Repeat::Hasty, 3), (Repeat::Once, 1)] {
        let server = Server::start(|_, _| String::new());
        let url = server.url("/");
        let failure = refused(&server.client(), &Ask { repeat, ..Ask::new(Method::Post, &url, "a change") });
        assert!(failure.error.is_transient() && !failure.is_undone && failure.refusal.is_none(), "{failure}");
        assert_eq!(server.seen(|_| ()).len(), count, "{repeat:?}");
    }
    // Cut in the body, or by what the reader makes of it.
    let server = Server::start(|number, _| match number {
        0 => "HTTP/1.1 200 OK\r\nContent-Length: 100\r\nConnection: close\r\n\r\nab".to_owned(),
        1 => answer("200 OK", "", "half"),
        _ => answer("200 OK", "", "whole"),
    });
    let (http, url) = (server.client(), server.url("/"));
    let ask = Ask::new(Method::Get, &url, "a question");
    let text = asked(&http, &ask, async |mut answer| match answer.body(100).await?.as_deref() {
        Some(b"whole") => Ok("whole"),
        _ => Err(answer.cut("only half of it came".to_owned())),
    });
    assert_eq!(text.expect("the third"), "whole");
    // What is final for the reader is final.
    let begun = server.seen(|_| ()).len();
    let failure =
        asked(&http, &ask, async |_| -> Result<(), Failure> { Err(Error::new(ErrorKind::Storage, "no space").into()) });
    assert_eq!(failure.expect_err("a failure").error.kind, ErrorKind::Storage);
    assert_eq!(server.seen(|_| ()).len(), begun + 1);
}

/// Tokens that are good for one refusal each.
struct Fresh(AtomicUsize);

impl Tokens for Fresh {
    fn token(&self) -> Result<Secret> {
        Ok(Secret::new(format!("token-{}", self.0.load(Ordering::SeqCst))))
    }

    fn renew(&self, _: &Secret) -> Result<bool> {
        self.0.fetch_add(1, Ordering::SeqCst);
        Ok(true)
    }
}

#[test]
fn refused_tokens_are_renewed_twice_at_most() {
    let server = Server::start(|_, heard| match heard.head.field("Authorization") {
        Some("Bearer token-2") => answer("200 OK", "", "in"),
        _ => answer("401 Unauthorized", "WWW-Authenticate: Bearer\r\n", ""),
    });
    let url = server.url("/");
    let client = |first| {
        let tokens = Arc::new(Fresh(AtomicUsize::new(first)));
        server.http(Reach::Host, Credentials::Bearer { user: String::new(), tokens })
    };
    assert_eq!(body(&client(0), &Ask::new(Method::Propfind, &url, "the home")).expect("the third token"), "in");
    let failure = refused(&client(3), &Ask::new(Method::Propfind, &url, "the home"));
    assert_eq!(failure.error.kind, ErrorKind::Credentials);
    assert_eq!(server.seen(|_| ()).len(), 6);
}

#[test]
fn bodies_come_and_go_in_parts_and_within_limits() {
    let server = Server::start(|_, heard| match heard.head.method.as_str() {
        "POST" => answer("200 OK", "", &heard.body.len().to_string()),
        _ => answer("200 OK", "", &"x".repeat(300_000)),
    });
    let (http, url) = (server.client(), server.url("/"));
    let mut file = tempfile::tempfile().expect("a file");
    file.write_all(&vec![b'y'; 700_000]).expect("written");
    for content in [Content::Read(Arc::new(file), 700_000), Content::Bytes(vec![b'y'; 700_000].into())] {
        assert_eq!(content.size(), 700_000);
        let ask = Ask { payload: Payload::Streamed(content), ..Ask::new(Method::Post, &url, "a file") };
        assert_eq!(body(&http, &ask).expect("an answer"), "700000");
    }
    let seen = server.seen(|one| one.head.field("Content-Length").map(str::to_owned));
    assert!(seen.iter().all(|(_, _, length)| length.as_deref() == Some("700000")), "{seen:?}");
    let ask = Ask::new(Method::Get, &url, "a body");
    let (length, sum) = asked(&http, &ask, async |mut answer| {
        let (length, mut sum) = (answer.length(), 0);
        while let Some(chunk) = answer.chunk().await? {
            sum += chunk.len();
        }
        Ok((length, sum))
    })
    .expect("an answer");
    assert_eq!((length, sum), (Some(300_000), 300_000));
    assert_eq!(asked(&http, &ask, async |mut answer| answer.body(299_999).await).expect("an answer"), None);
}
