//! HTTP, the session, and what is checked before any method is called.

use super::raw::*;
use crate::common::jmap::*;
use serde_json::{Value, json};

fn get(server: &Server, target: &str) -> Answer {
    request(server.port(), "GET", target, &[], b"").expect("an answer")
}

#[test]
fn the_session_says_what_the_options_say() {
    let server = server();
    let session = get(&server, "/.well-known/jmap").json();
    assert_eq!(session, get(&server, "/session").json());
    assert_eq!(session["capabilities"][CORE]["maxObjectsInGet"], 500);
    assert_eq!(session["apiUrl"], format!("{}/api/", server.url()));
    assert_eq!(session["primaryAccounts"][MAIL], "A1");
    assert!(session["capabilities"].get(OWNER).is_none(), "RFC 9670 section 1.5.2");
    assert_eq!(session["accounts"]["A1"]["accountCapabilities"][OWNER]["accountIdForPrincipal"], "A1");
    assert_eq!(session["accounts"]["A1"]["accountCapabilities"][FILENODE]["maxSizeFileNodeName"], 255);
}

#[test]
fn urls_limits_and_accounts_can_be_chosen() {
    let other = Limits { max_objects_in_get: 7, ..Limits::default() };
    let server = Server::start(Options {
        accounts: vec![AccountOptions::with("A1", &[MAIL]), AccountOptions::with("B2", &[CONTACTS])],
        advertised: Advertised::As(other),
        api_url: Place::Relative,
        upload_url: Place::Elsewhere,
        well_known: WellKnown::RedirectsElsewhere,
        ..Options::telling()
    });
    let redirect = get(&server, "/.well-known/jmap");
    assert_eq!((redirect.status, redirect.field("Location")), (302, Some(format!("{}/session", server.other_url()))));
    let session = get(&server, "/session").json();
    assert_eq!(session["apiUrl"], "/api/");
    assert_eq!(session["uploadUrl"], format!("{}/upload/{{accountId}}/", server.other_url()));
    assert_eq!(session["capabilities"][CORE]["maxObjectsInGet"], 7);
    assert_eq!(session["accounts"]["B2"]["accountCapabilities"].as_object().map(|all| all.len()), Some(1));
    let server = Server::start(Options { advertised: Advertised::Not, ..Options::telling() });
    assert!(get(&server, "/session").json()["capabilities"][CORE].get("maxObjectsInGet").is_none());
    server.change_session("A1", |account| account.capabilities = vec![MAIL]);
    let session = get(&server, "/session").json();
    assert_eq!(session["state"], "session-2");
    assert_eq!(session["accounts"]["A1"]["accountCapabilities"].as_object().map(|all| all.len()), Some(1));
}

#[test]
fn a_session_can_be_wrong_or_elsewhere() {
    let session_patch = json!({"apiUrl": null, "capabilities": {CORE: {"maxObjectsInGet": "many"}}});
    let server = Server::start(Options { well_known: WellKnown::Redirects, session_patch, ..Options::telling() });
    assert_eq!(get(&server, "/.well-known/jmap").field("Location"), Some(format!("{}/session", server.url())));
    let session = get(&server, "/session").json();
    assert_eq!((session.get("apiUrl"), &session["capabilities"][CORE]["maxObjectsInGet"]), (None, &json!("many")));
    assert_eq!(session["capabilities"][CORE]["maxObjectsInSet"], 500);
    let server = Server::start(Options { well_known: WellKnown::Missing, closes: true, ..Options::telling() });
    assert_eq!(get(&server, "/.well-known/jmap").status, 404);
}

#[test]
fn a_new_account_is_furnished() {
    let account = AccountOptions { is_furnished: true, ..AccountOptions::new("A1") };
    let server = Server::start(Options { accounts: vec![account], ..Options::telling() });
    for kind in ["Mailbox", "AddressBook", "Calendar", "Identity"] {
        let (id, _) = server.objects("A1", kind).pop_first().expect("an object");
        assert_eq!(destroy(&server, kind, &id, json!({})), "forbidden", "{kind}");
    }
}

#[test]
fn tls_can_be_spoken() {
    use rustls::pki_types::pem::PemObject;
    use std::io::{Read, Write};
    let authority = crate::common::servers::Authority::new();
    let certificate = authority.certificate(crate::common::servers::Flaw::None);
    let server = Server::start_tls(Options::telling(), &certificate);
    let mut roots = rustls::RootCertStore::empty();
    let root = rustls::pki_types::CertificateDer::from_pem_slice(authority.pem.as_bytes()).expect("a certificate");
    roots.add(root).expect("a root");
    let config =
        rustls::ClientConfig::builder_with_provider(std::sync::Arc::new(rustls::crypto::ring::default_provider()))
            .with_safe_default_protocol_versions()
            .expect("versions")
            .with_root_certificates(roots)
            .with_no_client_auth();
    let name = "localhost".try_into().expect("a name");
    let session = rustls::ClientConnection::new(std::sync::Arc::new(config), name).expect("a session");
    let stream = std::net::TcpStream::connect(("127.0.0.1", server.port())).expect("a connection");
    let mut tls = rustls::StreamOwned::new(session, stream);
    let head =
        format!("GET /session HTTP/1.1\r\nHost: localhost\r\nAuthorization: {}\r\nConnection: close\r\n\r\n", basic());
    tls.write_all(head.as_bytes()).expect("it is sent");
    let mut answer = Vec::new();
    // It ends without the last words of TLS.
    let _ = tls.read_to_end(&mut answer);
    let answer = String::from_utf8(answer).expect("text");
    let url = format!("\"apiUrl\":\"https://localhost:{}/api/\"", server.port());
    assert!(answer.contains("200 OK") && answer.contains(&url), "{answer}");
}

#[test]
fn only_who_has_the_credentials_comes_in() {
    let server = server();
    let with = |authorization: &str| {
        request(server.port(), "GET", "/session", &[("Authorization", authorization)], b"").expect("an answer")
    };
    assert_eq!(with(&basic()).status, 200);
    for wrong in ["", "Basic YWxpY2U6d3Jvbmc=", "Bearer secret"] {
        let answer = with(wrong);
        assert_eq!(answer.status, 401);
        assert!(answer.field("WWW-Authenticate").is_some());
    }
    let tokens = vec!["one".to_owned(), "two".to_owned()];
    let auth = Auth::Bearer { tokens, requests_each: Some(2) };
    let server = Server::start(Options { auth, ..Options::telling() });
    let status = |token: &str| {
        let authorization = format!("Bearer {token}");
        request(server.port(), "GET", "/session", &[("Authorization", &authorization)], b"").expect("an answer").status
    };
    assert_eq!(["one", "one", "one", "two", "two", "two", "three"].map(status), [200, 200, 401, 200, 200, 401, 401]);
}

#[test]
fn a_request_has_to_be_one() {
    let server = server();
    let refused = |content_type: &str, body: &str, kind: &str| {
        let fields = [("Content-Type", content_type)];
        let answer = request(server.port(), "POST", "/api/", &fields, body.as_bytes()).expect("an answer");
        assert_eq!(answer.status, 400, "{body}");
        assert_eq!(answer.json()["type"], format!("urn:ietf:params:jmap:error:{kind}"), "{body}");
        assert_eq!(server.take_violations().len(), 1, "{body}");
    };
    let good = json!({"using": [CORE], "methodCalls": [["Core/echo", {"hello": true}, "a"]]}).to_string();
    let answer = post(&server, &good).json();
    assert_eq!(answer, json!({"methodResponses": [["Core/echo", {"hello": true}, "a"]], "sessionState": "session-1"}));
    refused("text/plain", &good, "notJSON");
    refused("", &good, "notJSON");
    refused("application/json", "{", "notJSON");
    refused("application/json", r#"{"using": [], "using": [], "methodCalls": []}"#, "notJSON");
    refused("application/json", r#"{"using": ["\ud800"], "methodCalls": []}"#, "notJSON");
    refused("application/json", "[]", "notRequest");
    refused("application/json", r#"{"methodCalls": []}"#, "notRequest");
    refused("application/json", r#"{"using": [], "methodCalls": [["a", {}]]}"#, "notRequest");
    refused("application/json", r#"{"using": [], "methodCalls": [["a", [], "b"]]}"#, "notRequest");
    refused("application/json", r#"{"using": ["urn:example:x"], "methodCalls": []}"#, "unknownCapability");
    refused("application/json", &format!(r#"{{"using": ["{OWNER}"], "methodCalls": []}}"#), "unknownCapability");
    let latin = [b"{\"using\": [\"\xe9\"], \"methodCalls\": []}".as_slice()].concat();
    let answer = request(server.port(), "POST", "/api/", &[("Content-Type", "application/json")], &latin);
    assert_eq!(answer.expect("an answer").json()["type"], "urn:ietf:params:jmap:error:notJSON");
    server.take_violations();
}

#[test]
fn http_has_rules_too() {
    let server = server();
    let raw = |text: &str| {
        let answer = exchange(server.port(), text.as_bytes());
        (String::from_utf8_lossy(&answer).split(' ').nth(1).unwrap_or_default().to_owned(), server.take_violations())
    };
    let (status, violations) = raw("GET /session HTTP/1.1\r\nConnection: close\r\n\r\n");
    assert_eq!((status.as_str(), violations.len()), ("401", 1), "no Host: {violations:?}");
    let (_, violations) = raw("GET /a{b} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
    assert!(violations[0].contains("no URL"), "{violations:?}");
    assert_eq!(request(server.port(), "GET", "/api/", &[], b"").expect("an answer").status, 405);
    assert_eq!(get(&server, "/nothing").status, 404);
    assert_eq!(server.take_violations().len(), 2);
    // Chunks, and two requests on one connection.
    let head = format!("Host: x\r\nAuthorization: {}\r\n", basic());
    let one = format!(
        "POST /upload/A1/ HTTP/1.1\r\n{head}Transfer-Encoding: chunked\r\nContent-Type: a/b\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n"
    );
    let two = format!("GET /session HTTP/1.1\r\n{head}Connection: close\r\n\r\n");
    let answer = String::from_utf8(exchange(server.port(), (one + &two).as_bytes())).expect("text");
    assert!(answer.contains("201 Created") && answer.contains("\"size\":5") && answer.contains("200 OK"), "{answer}");
    let server = Server::start(Options { chunked: true, ..Options::telling() });
    let answer = get(&server, "/session");
    assert!(answer.head.contains("Transfer-Encoding: chunked"));
    assert_eq!(answer.json()["username"], "alice");
}

#[test]
fn methods_need_their_capability_and_their_account() {
    let server = Server::start(Options {
        accounts: vec![
            AccountOptions::new("A1"),
            AccountOptions::with("B2", &[CONTACTS]),
            AccountOptions { is_read_only: true, ..AccountOptions::new("C3") },
        ],
        ..Options::telling()
    });
    let error = |using: &[&str], name: &str, arguments: Value| {
        let body = json!({"using": using, "methodCalls": [[name, arguments, "c"]]}).to_string();
        let response = post(&server, &body).json()["methodResponses"][0].take();
        assert_eq!(server.take_violations().len(), usize::from(response[0] == "error"), "{response}");
        response[1]["type"].as_str().unwrap_or_default().to_owned()
    };
    let one = || json!({"accountId": "A1"});
    assert_eq!(error(&[CORE, MAIL], "Mailbox/get", one()), "");
    assert_eq!(error(&[CORE], "Mailbox/get", one()), "unknownMethod");
    assert_eq!(error(&[MAIL], "Mailbox/get", one()), "unknownMethod");
    assert_eq!(error(&[CORE, MAIL], "Identity/get", one()), "unknownMethod");
    assert_eq!(error(&[CORE, SIEVE], "SieveScript/changes", one()), "unknownMethod");
    assert_eq!(error(&[CORE, CONTACTS], "AddressBook/query", one()), "unknownMethod");
    assert_eq!(error(&[CORE, MAIL], "Mailbox/get", json!({})), "invalidArguments");
    assert_eq!(error(&[CORE, MAIL], "Mailbox/get", json!({"accountId": "A1", "id": []})), "invalidArguments");
    assert_eq!(error(&[CORE, MAIL], "Mailbox/get", json!({"accountId": "nobody"})), "accountNotFound");
    assert_eq!(error(&[CORE, MAIL], "Mailbox/get", json!({"accountId": "B2"})), "accountNotSupportedByMethod");
    assert_eq!(error(&[CORE, MAIL], "Mailbox/set", json!({"accountId": "C3"})), "accountReadOnly");
}

#[test]
fn limits_are_limits() {
    let limits = Limits {
        max_size_upload: 10,
        max_size_request: 600,
        max_calls_in_request: 2,
        max_objects_in_get: 2,
        max_objects_in_set: 2,
        ..Limits::default()
    };
    let server = Server::start(Options { limits, ..Options::telling() });
    let limit = |answer: Answer, name: &str, status: u16| {
        let problem = answer.json();
        let wanted = (json!("urn:ietf:params:jmap:error:limit"), json!(name), status);
        assert_eq!((problem["type"].clone(), problem["limit"].clone(), answer.status), wanted);
        assert_eq!(server.take_violations().len(), 1);
    };
    let echo = json!(["Core/echo", {}, "a"]);
    let body = json!({"using": [CORE], "methodCalls": [echo, echo, echo]}).to_string();
    limit(post(&server, &body), "maxCallsInRequest", 400);
    limit(post(&server, &(body + &" ".repeat(600))), "maxSizeRequest", 400);
    upload(&server, b"1234567890");
    let answer = request(server.port(), "POST", "/upload/A1/", &[("Content-Type", "a/b")], b"12345678901");
    limit(answer.expect("an answer"), "maxSizeUpload", 413);
    let answer = call(&server, "Mailbox/get", json!({"ids": ["a", "b", "c"]}));
    assert_eq!((answer["type"].as_str(), server.take_violations().len()), (Some("requestTooLarge"), 1));
    let answer = call(&server, "Mailbox/set", json!({"destroy": ["a", "b", "c"]}));
    assert_eq!((answer["type"].as_str(), server.take_violations().len()), (Some("requestTooLarge"), 1));
    for name in ["a", "b", "c"] {
        server.seed("A1", "Mailbox", json!({"name": name}));
    }
    // A client cannot know how many there are.
    assert_eq!(call(&server, "Mailbox/get", json!({"ids": null}))["type"], "requestTooLarge");
    // A limit that nobody was told about is nobody's fault.
    let server = Server::start(Options { limits, advertised: Advertised::Not, ..Options::telling() });
    assert_eq!(call(&server, "Mailbox/get", json!({"ids": ["a", "b", "c"]}))["type"], "requestTooLarge");
}

#[test]
fn what_comes_at_once_is_counted() {
    let limits = Limits { max_concurrent_requests: 1, max_concurrent_upload: 1, ..Limits::default() };
    let server = Server::start(Options { limits, ..Options::telling() });
    server.fault(At::Any, When::Always, Fault::Slow(std::time::Duration::from_millis(300)));
    let echo = json!({"using": [CORE], "methodCalls": [["Core/echo", {}, "a"]]}).to_string();
    let mut statuses: Vec<u16> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..3).map(|_| scope.spawn(|| post(&server, &echo).status)).collect();
        threads.into_iter().map(|thread| thread.join().expect("a status")).collect()
    });
    statuses.sort_unstable();
    assert_eq!(statuses, [200, 429, 429]);
    assert_eq!(server.counters().most(Endpoint::Api), 3);
    let violations = server.take_violations();
    assert!(violations.len() == 2 && violations[0].contains("maxConcurrentRequests"), "{violations:?}");
    // Who hangs up is gone.
    for _ in 0..3 {
        let mut stream = std::net::TcpStream::connect(("127.0.0.1", server.port())).expect("a connection");
        let head = format!(
            "POST /api/ HTTP/1.1\r\nHost: x\r\nAuthorization: {}\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{echo}",
            basic(),
            echo.len()
        );
        std::io::Write::write_all(&mut stream, head.as_bytes()).expect("it is sent");
        std::thread::sleep(std::time::Duration::from_millis(50));
        drop(stream);
        std::thread::sleep(std::time::Duration::from_millis(50));
    }
    server.reset_faults();
    assert_eq!(post(&server, &echo).status, 200);
}

#[test]
fn bytes_go_up_and_come_down() {
    let server = server();
    let blob = upload(&server, b"\x00\xff bytes");
    assert_eq!(server.blob("A1", &blob).as_deref(), Some(&b"\x00\xff bytes"[..]));
    let answer = get(&server, &format!("/download/A1/{blob}/a%20name.txt?accept=text%2Fplain"));
    assert_eq!((answer.status, answer.body.as_slice()), (200, &b"\x00\xff bytes"[..]));
    assert_eq!(answer.field("Content-Type").as_deref(), Some("text/plain"));
    assert_eq!(answer.field("Content-Disposition").as_deref(), Some("attachment; filename=\"a name.txt\""));
    assert_eq!(get(&server, "/download/A1/bnone/x?accept=a%2Fb").status, 404);
    assert_eq!(server.take_violations(), [] as [String; 0]);
    for wrong in [
        "/download/A1/x?accept=a/b",
        "/download/A1/b/x?accept=",
        "/download/A1/a%20b/x?accept=a%2Fb",
        "/download/none/b/x?accept=a%2Fb",
    ] {
        assert_eq!(get(&server, wrong).status, 404);
        assert_eq!(server.take_violations().len(), 1, "{wrong}");
    }
    for wrong in [format!("/download/A1/{blob}/x?accept=a/b"), format!("/download/A1/{blob}/x,y?accept=a%2Fb")] {
        assert_eq!(get(&server, &wrong).status, 200);
        assert_eq!(server.take_violations().len(), 1, "{wrong}");
    }
    for wrong in ["", "text"] {
        request(server.port(), "POST", "/upload/A1/", &[("Content-Type", wrong)], b"x");
        assert_eq!(server.take_violations().len(), 1, "{wrong:?}");
    }
    let fields = [("Content-Type", "a/b")];
    assert_eq!(request(server.port(), "POST", "/upload/none/", &fields, b"x").expect("an answer").status, 404);
    assert_eq!(server.take_violations().len(), 1);
}

#[test]
#[should_panic(expected = "the client violates the protocol")]
fn a_violation_is_not_forgotten() {
    let server = server();
    post(&server, "{");
}

#[test]
fn results_can_be_referred_to() {
    let server = server();
    let inbox = server.seed("A1", "Mailbox", json!({"name": "Inbox", "role": "inbox"}));
    for number in 0..3 {
        server.seed_email("A1", &crate::common::message(number), &[&inbox], &[], "2024-01-01T00:00:00Z");
    }
    let reference = |of: &str, name: &str, path: &str| json!({"resultOf": of, "name": name, "path": path});
    let answers = calls(
        &server,
        json!([
            ["Email/query", {"accountId": "A1", "filter": {"inMailbox": inbox}}, "q"],
            ["Email/get", {"accountId": "A1", "#ids": reference("q", "Email/query", "/ids"), "properties": ["threadId"]}, "g"],
            ["Thread/get", {"accountId": "A1", "#ids": reference("g", "Email/get", "/list/*/threadId")}, "t"],
            ["Email/get", {"accountId": "A1", "#ids": reference("t", "Thread/get", "/list/*/emailIds"), "properties": []}, "h"],
            ["Email/get", {"accountId": "A1", "#ids": reference("g", "Email/get", "/list/0/id"), "properties": []}, "i"],
        ]),
    );
    assert_eq!(answers[1][1]["list"].as_array().map(Vec::len), Some(3));
    // "the result is flattened from an array of arrays to a single array".
    assert_eq!(answers[3][1]["list"].as_array().map(Vec::len), Some(3), "{answers:?}");
    assert_eq!(answers[4][1]["type"], "invalidArguments", "one id is no Id[]");
    server.take_violations();
    let error = |reference: Value| {
        let calls = json!([["Core/echo", {"a": {"b": 1}}, "e"], ["Core/echo", reference, "f"]]);
        let answer = self::calls(&server, calls).remove(1)[1].take();
        server.take_violations();
        answer
    };
    assert_eq!(error(json!({"#x": reference("e", "Core/echo", "/a/b")})), json!({"x": 1}));
    assert_eq!(error(json!({"#x": reference("e", "Core/echo", "/a/c")}))["type"], "invalidResultReference");
    assert_eq!(error(json!({"#x": reference("e", "Core/other", "/a")}))["type"], "invalidResultReference");
    assert_eq!(error(json!({"#x": reference("z", "Core/echo", "/a")}))["type"], "invalidResultReference");
    assert_eq!(error(json!({"#x": reference("e", "Core/echo", "/a"), "x": 2}))["type"], "invalidArguments");
    assert_eq!(error(json!({"#x": "e"}))["type"], "invalidArguments");
    // Where a creation failed, its id leads nowhere, and that is nobody's fault.
    let failed = calls(
        &server,
        json!([
            ["Mailbox/set", {"accountId": "A1", "create": {"m": {"name": "Inbox"}}}, "s"],
            ["Mailbox/get", {"accountId": "A1", "#ids": reference("s", "Mailbox/set", "/created/m/id")}, "g"],
        ]),
    );
    assert_eq!(failed[1][1]["type"], "invalidResultReference");
    server.assert_clean();
}
