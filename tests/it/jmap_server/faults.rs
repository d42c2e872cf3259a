//! Each fault happens, where and when its rule says, and does what it says to the data.

use super::raw::*;
use crate::common::jmap::*;
use crate::common::message;
use serde_json::{Value, json};
use std::sync::Arc;
use std::time::{Duration, Instant};

const API: At = At::Endpoint(Endpoint::Api);

/// Creates a mailbox; the answer, if there is one.
fn make(server: &Server, name: &str) -> Option<Answer> {
    let body = json!({"using": [CORE, MAIL], "methodCalls":
        [["Mailbox/set", {"accountId": "A1", "create": {"m": {"name": name}}}, "c"]]});
    let fields = [("Content-Type", "application/json")];
    request(server.port(), "POST", "/api/", &fields, body.to_string().as_bytes())
}

fn count(server: &Server) -> usize {
    server.objects("A1", "Mailbox").len()
}

#[test]
fn statuses_come_without_any_effect() {
    let server = server();
    server.fault(API, When::Nth(1), Fault::Status(503));
    server.fault(API, When::Nth(2), Fault::StatusLater(429, "7"));
    server.fault(API, When::Nth(3), Fault::Unauthorized);
    let first = make(&server, "a").expect("an answer");
    assert_eq!((first.status, first.field("Retry-After")), (503, None));
    let second = make(&server, "a").expect("an answer");
    assert_eq!((second.status, second.field("Retry-After").as_deref()), (429, Some("7")));
    assert_eq!(make(&server, "a").expect("an answer").status, 401);
    assert_eq!(count(&server), 0);
    assert_eq!(make(&server, "a").expect("an answer").status, 200);
    assert_eq!((count(&server), server.faults_happened()), (1, 3));
}

#[test]
fn a_cut_loses_the_answer_or_the_effect() {
    let server = server();
    server.fault(At::Call("Mailbox/set"), When::Nth(1), Fault::CutBefore);
    server.fault(At::Call("Mailbox/set"), When::Nth(2), Fault::CutAfter);
    server.fault(At::Call("Mailbox/set"), When::Nth(3), Fault::CutInBody(10));
    assert!(make(&server, "a").is_none());
    assert_eq!(count(&server), 0);
    assert!(make(&server, "b").is_none());
    assert_eq!(count(&server), 1, "the effect happened");
    let half = make(&server, "c").expect("a head");
    assert_eq!(half.body.len(), 10);
    assert!(half.field("Content-Length").expect("a length").parse::<usize>().expect("a number") > 10);
    assert_eq!(count(&server), 2, "the effect happened");
    assert_eq!(server.seen().iter().map(|seen| seen.status).collect::<Vec<_>>(), [0, 0, 200]);
}

#[test]
fn answers_are_slow_truncated_huge_or_of_wrong_length() {
    let server = server();
    server.fault(API, When::Nth(1), Fault::Slow(Duration::from_millis(200)));
    server.fault(API, When::Nth(2), Fault::Drip(50, Duration::from_millis(20)));
    server.fault(API, When::Nth(3), Fault::Truncated);
    server.fault(API, When::Nth(4), Fault::Huge(1 << 20));
    server.fault(API, When::Nth(5), Fault::WrongLength(5));
    server.fault(API, When::Nth(6), Fault::WrongLength(-5));
    for name in ["slow", "drip"] {
        let start = Instant::now();
        assert_eq!(make(&server, name).expect("an answer").json()["sessionState"], "session-1");
        assert!(start.elapsed() >= Duration::from_millis(150), "{name}: {:?}", start.elapsed());
    }
    let length =
        |answer: &Answer| answer.field("Content-Length").expect("a length").parse::<usize>().expect("a number");
    let truncated = make(&server, "truncated").expect("an answer");
    assert_eq!(length(&truncated), truncated.body.len());
    assert!(serde_json::from_slice::<Value>(&truncated.body).is_err());
    let huge = make(&server, "huge").expect("an answer");
    assert!(huge.body.len() > 1 << 20 && huge.json()["sessionState"] == "session-1");
    let short = make(&server, "short").expect("an answer");
    assert_eq!(length(&short), short.body.len() + 5);
    let long = make(&server, "long").expect("an answer");
    assert_eq!(length(&long) + 5, long.body.len());
    assert_eq!(count(&server), 6);
}

#[test]
fn redirects_go_here_and_elsewhere() {
    let server = server();
    server.fault(At::Endpoint(Endpoint::Session), When::Nth(1), Fault::Redirect(307, Place::Here));
    server.fault(At::Endpoint(Endpoint::Session), When::Nth(2), Fault::Redirect(308, Place::Relative));
    server.fault(At::Endpoint(Endpoint::Session), When::Nth(3), Fault::Redirect(301, Place::Elsewhere));
    let get = |target: &str| request(server.port(), "GET", target, &[], b"").expect("an answer");
    let there = [get("/session"), get("/session"), get("/session")];
    let wanted = [
        (307, format!("{}/moved/session", server.url())),
        (308, "/moved/session".to_owned()),
        (301, format!("{}/session", server.other_url())),
    ];
    for (answer, (status, location)) in there.iter().zip(wanted) {
        assert_eq!((answer.status, answer.field("Location")), (status, Some(location)));
    }
    assert_eq!(get("/moved/session").status, 200, "where it leads");
    assert_eq!(server.authorized_elsewhere().len(), 0);
    let port = server.other_url().rsplit(':').next().expect("a port").parse().expect("a number");
    assert_eq!(request(port, "GET", "/session", &[("Authorization", "")], b"").expect("an answer").status, 401);
    assert_eq!(server.authorized_elsewhere().len(), 0);
    assert_eq!(request(port, "GET", "/session", &[], b"").expect("an answer").status, 200);
    assert_eq!(server.authorized_elsewhere().len(), 1, "the credentials arrived at the other origin");
}

#[test]
fn methods_fail_before_and_behind_their_effect() {
    let server = server();
    let set = || At::Call("Mailbox/set");
    server.fault(set(), When::Nth(1), Fault::Error("serverUnavailable"));
    server.fault(set(), When::Nth(2), Fault::ErrorAfter("serverFail"));
    server.fault(set(), When::Nth(3), Fault::Partial);
    let kind = |name: &str| make(&server, name).expect("an answer").json()["methodResponses"][0][1]["type"].take();
    assert_eq!((kind("a"), count(&server)), (json!("serverUnavailable"), 0));
    assert_eq!((kind("a"), count(&server)), (json!("serverFail"), 1));
    let four = json!({"create": {"1": {"name": "1"}, "2": {"name": "2"}, "3": {"name": "3"}, "4": {"name": "4"}}});
    assert_eq!(call(&server, "Mailbox/set", four)["type"], "serverPartialFail");
    assert_eq!(count(&server), 3, "half of it");
    server.fault(At::Call("Mailbox/changes"), When::First(1), Fault::Error("cannotCalculateChanges"));
    let since = json!({"sinceState": server.state("A1", "Mailbox")});
    assert_eq!(call(&server, "Mailbox/changes", since.clone())["type"], "cannotCalculateChanges");
    assert_eq!(call(&server, "Mailbox/changes", since)["hasMoreChanges"], false);
}

#[test]
fn objects_fail_one_by_one() {
    let server = server();
    let inbox = server.seed("A1", "Mailbox", json!({"name": "Inbox"}));
    let blobs: Vec<String> = (0..3).map(|number| upload(&server, &message(number))).collect();
    let emails = |blobs: &[String]| {
        let all = blobs
            .iter()
            .enumerate()
            .map(|(at, blob)| (format!("e{at}"), json!({"blobId": blob, "mailboxIds": {&inbox: true}})));
        call(&server, "Email/import", json!({"emails": all.collect::<serde_json::Map<_, _>>()}))
    };
    server.fault(At::Call("Email/import"), When::Nth(1), Fault::Object("blobNotFound", 1));
    server.fault(At::Call("Email/import"), When::Nth(2), Fault::Object("rateLimit", 9));
    let answer = emails(&blobs[..2]);
    assert_eq!(answer["notCreated"]["e0"]["type"], "blobNotFound");
    assert!(answer["notCreated"]["e0"]["notFound"].is_array() && answer["created"]["e1"].is_object(), "{answer}");
    let answer = emails(&blobs);
    assert_eq!(answer["notCreated"].as_object().map(|errors| errors.len()), Some(3));
    assert_eq!(answer["notCreated"]["e2"]["type"], "rateLimit");
    // Uploaded, and gone before it is used.
    server.fault(At::Call("Email/import"), When::First(1), Fault::LoseBlobs);
    let answer = emails(&blobs[2..]);
    assert_eq!(answer["notCreated"]["e0"]["properties"], json!(["blobId"]), "{answer}");
    assert_eq!(server.blob("A1", &blobs[2]), None);
    assert!(server.blob("A1", &blobs[1]).is_some(), "an email has it");
}

#[test]
fn there_is_only_so_much_room() {
    let server = server();
    let inbox = server.seed("A1", "Mailbox", json!({"name": "Inbox"}));
    let (one, two) = (message(1), message(2));
    server.set_quota("A1", Some(one.len() as u64 + 10));
    let import = |bytes: &[u8]| {
        let email = json!({"blobId": upload(&server, bytes), "mailboxIds": {&inbox: true}});
        call(&server, "Email/import", json!({"emails": {"e": email}}))
    };
    assert!(import(&one)["created"]["e"].is_object());
    assert_eq!(import(&two)["notCreated"]["e"]["type"], "overQuota");
    let node = json!({"name": "f", "blobId": upload(&server, &two), "type": "a/b"});
    assert_eq!(refused(&server, "FileNode", node).0, "overQuota");
    server.set_quota("A1", None);
    assert!(import(&two)["created"]["e"].is_object());
}

#[test]
fn objects_are_missing_and_others_come_meanwhile() {
    let server = server();
    for name in ["a", "b", "c"] {
        server.seed("A1", "Mailbox", json!({"name": name}));
    }
    server.fault(At::Call("Mailbox/get"), When::Nth(1), Fault::Missing(2));
    let answer = call(&server, "Mailbox/get", json!({}));
    assert_eq!((answer["list"].as_array().map(Vec::len), &answer["notFound"]), (Some(1), &json!([])));
    assert_eq!(call(&server, "Mailbox/get", json!({}))["list"].as_array().map(Vec::len), Some(3));
    let change = |account: &mut Account| account.put(Kind::Mailbox, "mother", json!({"id": "mother", "name": "other"}));
    server.fault(At::Call("Mailbox/query"), When::Nth(2), Fault::Meanwhile(Arc::new(change)));
    let total = || call(&server, "Mailbox/query", json!({"calculateTotal": true}))["total"].take();
    assert_eq!([total(), total(), total()], [3, 4, 4]);
}

#[test]
fn rules_say_when() {
    let statuses = |when: When| {
        let server = server();
        server.fault(At::Any, when, Fault::Status(500));
        (0..6)
            .map(|_| request(server.port(), "GET", "/session", &[], b"").expect("an answer").status == 500)
            .collect::<Vec<_>>()
    };
    assert_eq!(statuses(When::Always), [true; 6]);
    assert_eq!(statuses(When::Nth(2)), [false, true, false, false, false, false]);
    assert_eq!(statuses(When::First(2)), [true, true, false, false, false, false]);
    assert_eq!(statuses(When::From(5)), [false, false, false, false, true, true]);
    assert_eq!(statuses(When::Every(3)), [false, false, true, false, false, true]);
    assert_eq!(statuses(When::Chance(0.0)), [false; 6]);
    assert_eq!(statuses(When::Chance(1.0)), [true; 6]);
    let some = statuses(When::Chance(0.5));
    assert_eq!(some, statuses(When::Chance(0.5)), "the dice are the same");
    assert!(some.contains(&true) && some.contains(&false), "{some:?}");
    let server = server();
    server.fault(At::Endpoint(Endpoint::Upload), When::Always, Fault::Status(500));
    assert_eq!(make(&server, "a").expect("an answer").status, 200, "elsewhere");
    server.fault(At::Call("Mailbox/set"), When::Always, Fault::Status(500));
    assert_eq!(make(&server, "a").expect("an answer").status, 500);
    server.reset_faults();
    assert_eq!(make(&server, "b").expect("an answer").status, 200);
}

#[test]
fn one_blob_can_be_bad() {
    let server = server();
    let [good, bad] = [&b"good"[..], b"bad"].map(|bytes| server.seed_blob("A1", bytes));
    server.fault(At::Target(bad.clone()), When::Always, Fault::Garbled);
    let get = |blob: &str| {
        request(server.port(), "GET", &format!("/download/A1/{blob}/x?accept=a%2Fb"), &[], b"").expect("an answer").body
    };
    assert_eq!((get(&good), get(&bad)), (b"good".to_vec(), b"cad".to_vec()));
}

#[test]
fn a_snapshot_does_not_depend_on_the_server() {
    let fill = |server: &Server, noise: usize| {
        for number in 0..noise {
            let id = server.seed("A1", "Mailbox", json!({"name": number.to_string()}));
            server.remove("A1", "Mailbox", &id);
        }
        let top = server.seed("A1", "Mailbox", json!({"name": "Top"}));
        let low = server.seed("A1", "Mailbox", json!({"name": "Low", "parentId": top}));
        server.seed_email("A1", &message(1), &[&low, &top], &["$seen"], "2024-01-01T00:00:00Z");
        server.seed_script("A1", "script", b"keep;", true);
    };
    let (one, other) = (server(), Server::start(Options { fractions: true, ..Options::telling() }));
    fill(&one, 0);
    fill(&other, 3);
    assert_eq!(one.snapshot("A1"), other.snapshot("A1"));
    let line = one.snapshot("A1").into_iter().find(|line| line.starts_with("Email")).expect("an email");
    assert!(line.contains(r#"["Top","Top/Low"]"#) && line.contains("$seen"), "{line}");
    let (id, _) = other.objects("A1", "Email").pop_first().expect("an email");
    other.change("A1", "Email", &id, |email| email["keywords"] = json!({}));
    assert_ne!(one.snapshot("A1"), other.snapshot("A1"));
}

#[test]
fn numbers_are_counted() {
    let server = server();
    make(&server, "a");
    upload(&server, b"12345");
    call(&server, "Mailbox/get", json!({"ids": ["m1", "m2", "m3"]}));
    let counters = server.counters();
    assert_eq!((counters.requests(Endpoint::Api), counters.requests(Endpoint::Upload)), (2, 1));
    assert_eq!((counters.calls("Mailbox/set"), counters.calls("Mailbox/get")), (1, 1));
    assert_eq!((counters.most(Endpoint::Api), counters.most_got, counters.most_set), (1, 3, 1));
    assert_eq!(counters.connections, 3);
    assert!(counters.bytes_in > 5 && counters.bytes_out > 100);
    let seen = server.seen();
    assert_eq!((seen[0].calls.as_slice(), seen[0].method.as_str()), (["Mailbox/set".to_owned()].as_slice(), "POST"));
    assert!(seen[0].at <= seen[1].at);
    server.reset_counters();
    assert_eq!(server.counters().requests(Endpoint::Api), 0);
}

#[test]
fn answers_are_not_what_they_should_be() {
    let server = server();
    server.fault(API, When::Nth(1), Fault::Body(200, "text/html", "<p>Log in!</p>"));
    let answer = make(&server, "a").expect("an answer");
    assert_eq!(
        (answer.field("Content-Type").as_deref(), answer.text().as_str()),
        (Some("text/html"), "<p>Log in!</p>")
    );
    assert_eq!(count(&server), 0);
    let edit = |answer: &mut Value| answer["newState"] = Value::Null;
    server.fault(At::AnyCall, When::Nth(1), Fault::Edit(Arc::new(edit)));
    let answer = make(&server, "a").expect("an answer").json()["methodResponses"][0][1].take();
    assert_eq!((&answer["newState"], answer["created"]["m"].is_object(), count(&server)), (&Value::Null, true, 1));
}
