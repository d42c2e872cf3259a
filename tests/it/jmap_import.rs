//! `vandelay import jmap` against the strict server of the tests, and against a real Cyrus.

use crate::common;
use crate::common::cyrus::Cyrus;
use crate::common::imap::Imap;
use crate::common::jmap::{
    AccountOptions, Advertised, At, Auth, CALENDARS, CONTACTS, Endpoint, FILENODE, Fault, Limits, MAIL, Options, Place,
    SUBMISSION, Server, WellKnown, When,
};
use crate::common::jmap_account::{self, of_archive};
use crate::common::jmap_run::{at_cyrus, begin, command, judge, stored, without_small_blobs};
use crate::common::{Dice, message, vandelay};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

/// An account and an archive.
struct Bench {
    server: Server,
    dir: tempfile::TempDir,
}

impl Bench {
    fn new(options: Options) -> Bench {
        Bench { server: Server::start(options), dir: tempfile::tempdir().expect("a directory") }
    }

    fn archive(&self) -> String {
        self.dir.path().join("a.sqlite").to_str().expect("UTF-8").to_owned()
    }

    /// Imports, which must end with this code; gives the summary and what was said.
    fn import_as(&self, extra: &[&str], code: i32) -> (Value, String) {
        let mut command = command(&self.server, "import");
        judge(&command.args(extra).arg(self.archive()).output().expect("the program starts"), code)
    }

    fn import(&self) -> Value {
        self.import_as(&[], 0).0
    }

    fn assert_equal(&self) {
        jmap_account::assert_equal(&self.server, Path::new(&self.archive()));
    }

    fn fill(&self) -> BTreeMap<&'static str, String> {
        jmap_account::fill(&self.server)
    }
}

#[test]
fn a_whole_account_and_then_one_request() {
    let bench = Bench::new(Options::default());
    bench.fill();
    let summary = bench.import();
    assert_eq!(stored(&summary, "email"), [31, 0, 0]);
    assert_eq!(stored(&summary, "contactcard"), [2, 0, 0]);
    bench.assert_equal();
    let before = common::dump(Path::new(&bench.archive()));
    bench.server.reset_counters();
    let summary = bench.import();
    assert_eq!(stored(&summary, "email"), [0, 0, 31]);
    let counters = bench.server.counters();
    assert_eq!((counters.requests(Endpoint::Api), counters.requests(Endpoint::Download)), (1, 0), "{counters:?}");
    assert_eq!(before, common::dump(Path::new(&bench.archive())));
    bench.server.assert_clean();
}

#[test]
fn what_changed_is_brought_over_and_what_is_gone_stays_in_the_history() {
    let bench = Bench::new(Options { max_changes: Some(3), ..Options::default() });
    let ids = bench.fill();
    bench.import();
    let server = &bench.server;
    let emails: Vec<String> = server.objects("A1", "Email").into_keys().collect();
    server.reset_counters();
    for id in &emails[..8] {
        server.change("A1", "Email", id, |email| {
            email["keywords"] = json!({ "$flagged": true });
            email["mailboxIds"] = json!({ &ids["deep"]: true });
        });
    }
    for id in &emails[20..] {
        server.remove("A1", "Email", id);
    }
    server.seed_email("A1", &message(500), &[&ids["work"]], &[], "2026-04-01T00:00:00Z");
    server.change("A1", "ContactCard", &ids["card2"], |card| card["name"] = json!({ "full": "Bobby" }));
    server.remove("A1", "ContactCard", &ids["card"]);
    server.remove("A1", "AddressBook", &ids["other"]);
    server.change("A1", "CalendarEvent", &ids["event"], |event| event["title"] = json!("Lunch"));
    // Names that change places, and a role and a default that go elsewhere.
    server.change("A1", "Mailbox", &ids["inbox"], |mailbox| {
        (mailbox["role"], mailbox["name"]) = (Value::Null, json!("Work"))
    });
    server.change("A1", "Mailbox", &ids["work"], |mailbox| {
        (mailbox["role"], mailbox["name"]) = (json!("inbox"), json!("INBOX"))
    });
    server.change("A1", "Mailbox", &ids["deep"], |mailbox| mailbox["parentId"] = json!(ids["inbox"]));
    let twin = server.seed("A1", "Mailbox", json!({ "name": "Ü/1", "parentId": ids["work"] }));
    server.seed("A1", "Calendar", json!({ "name": "Home", "isDefault": true }));
    server.change("A1", "Calendar", &ids["calendar"], |calendar| calendar["isDefault"] = json!(false));
    server.change("A1", "FileNode", &ids["inner"], |node| node["parentId"] = Value::Null);
    server.change("A1", "FileNode", &ids["folder"], |node| node["name"] = json!("Docs"));
    server.change("A1", "Identity", &ids["identity"], |identity| identity["name"] = json!("A."));
    server.change("A1", "VacationResponse", &ids["vacation"], |vacation| vacation["isEnabled"] = json!(false));
    let summary = bench.import();
    assert_eq!(stored(&summary, "email"), [1, 8, 12]);
    assert_eq!(summary["types"]["email"]["removed"], 11);
    assert_eq!(server.counters().requests(Endpoint::Download), 1, "only the new message");
    bench.assert_equal();
    // All of it again from the first snapshot.
    let listed = common::ok(&["ls", "-R", "--at", "1", &bench.archive(), "mail"]);
    assert_eq!(listed.lines().filter(|line| line.contains(".vandelay,")).count(), 31 + 10);
    // Children before their parents.
    for name in ["deep", "inbox"] {
        server.remove("A1", "Mailbox", &ids[name]);
    }
    server.remove("A1", "Mailbox", &twin);
    for (id, email) in server.objects("A1", "Email") {
        if email["mailboxIds"].get(&ids["work"]).is_none() {
            server.change("A1", "Email", &id, |email| email["mailboxIds"] = json!({ &ids["work"]: true }));
        }
    }
    bench.import();
    bench.assert_equal();
    server.assert_clean();
}

/// A server that was restored from an older copy may say that nothing changed since a state that it never had.
#[test]
fn a_state_that_went_backwards_costs_a_listing() {
    let bench = Bench::new(Options::default());
    bench.fill();
    bench.import();
    let server = &bench.server;
    let known = server.state("A1", "ContactCard");
    let prefix = known.trim_end_matches(|c: char| c.is_ascii_digit()).to_owned();
    let count: u32 = known[prefix.len()..].parse().expect("a state that counts");
    server.seed("A1", "ContactCard", json!({ "uid": "late", "name": { "full": "Late" }, "addressBookIds": {} }));
    let lower = format!("{prefix}{}", count - 1);
    let edit = Arc::new(move |answer: &mut Value| {
        answer["newState"] = json!(lower);
        for name in ["created", "updated", "destroyed"] {
            answer[name] = json!([]);
        }
    });
    server.fault(At::Call("ContactCard/changes"), When::Always, Fault::Edit(edit));
    let (summary, said) = bench.import_as(&[], 0);
    assert!(said.contains("ContactCard went backwards"), "{said}");
    assert_eq!(stored(&summary, "contactcard")[0], 1, "{said}");
}

#[test]
fn states_that_the_server_forgot_cost_a_listing_and_no_download() {
    let bench = Bench::new(Options { max_query_limit: Some(7), refuses_all: true, ..Options::default() });
    bench.fill();
    bench.import();
    let server = &bench.server;
    let gone = server.objects("A1", "Email").into_keys().next().expect("an email");
    server.remove("A1", "Email", &gone);
    for kind in ["Email", "ContactCard", "CalendarEvent", "FileNode"] {
        server.forget_changes("A1", kind);
    }
    server.reset_counters();
    let summary = bench.import();
    assert_eq!((stored(&summary, "email"), &summary["types"]["email"]["removed"]), ([0, 0, 30], &json!(1)));
    // The photo of a card comes with the card.
    assert!(server.counters().requests(Endpoint::Download) <= 1);
    bench.assert_equal();
    server.assert_clean();
}

#[test]
fn small_limits_are_kept() {
    let limits = Limits {
        max_size_upload: 1,
        max_concurrent_upload: 1,
        max_size_request: 4096,
        max_concurrent_requests: 1,
        max_calls_in_request: 2,
        max_objects_in_get: 4,
        max_objects_in_set: 1,
    };
    let bench = Bench::new(Options { limits, chunked: true, ..Options::default() });
    bench.fill();
    bench.import_as(&["-j", "8"], 0);
    bench.assert_equal();
    let counters = bench.server.counters();
    assert!(counters.most_got <= 4 && counters.most[&Endpoint::Api] == 1, "{counters:?}");
    bench.server.assert_clean();
    // A server that says nothing, or says more than it takes.
    for advertised in [Advertised::Not, Advertised::As(Limits { max_objects_in_get: 4096, ..Limits::default() })] {
        let bench = Bench::new(Options {
            limits: Limits { max_objects_in_get: 20, ..Limits::default() },
            advertised,
            ..Options::default()
        });
        bench.fill();
        bench.import();
        bench.assert_equal();
        bench.server.take_violations();
    }
}

#[test]
fn faults_that_pass_are_waited_for() {
    for (at, fault) in [
        (At::Endpoint(Endpoint::Session), Fault::Status(503)),
        (At::Endpoint(Endpoint::Api), Fault::StatusLater(429, "1")),
        (At::Endpoint(Endpoint::Api), Fault::CutBefore),
        (At::Endpoint(Endpoint::Api), Fault::CutInBody(40)),
        (At::Call("Email/get"), Fault::Error("serverUnavailable")),
        (At::Endpoint(Endpoint::Download), Fault::CutInBody(100)),
        (At::Endpoint(Endpoint::Download), Fault::Status(502)),
        (At::Endpoint(Endpoint::Download), Fault::WrongLength(50)),
        (At::Endpoint(Endpoint::Download), Fault::Slow(Duration::from_millis(1500))),
    ] {
        let bench = Bench::new(without_small_blobs());
        bench.fill();
        bench.server.fault(at.clone(), When::Nth(1), fault);
        bench.import_as(&["--timeout", "1"], 0);
        assert_eq!(bench.server.faults_happened(), 1, "{at:?}");
        bench.assert_equal();
        bench.server.assert_clean();
    }
}

#[test]
fn small_blobs_come_together_and_otherwise_one_by_one() {
    let bench = Bench::new(Options::default());
    bench.fill();
    bench.import();
    bench.assert_equal();
    // A photo, and two blobs that are large.
    let counters = bench.server.counters();
    assert!(counters.requests(Endpoint::Download) <= 3, "{counters:?}");
    bench.server.assert_clean();
    let edit = |key: &'static str, value: Value| {
        Fault::Edit(Arc::new(move |answer: &mut Value| {
            for blob in answer["list"].as_array_mut().into_iter().flatten() {
                blob[key] = value.clone();
            }
        }))
    };
    for (when, fault) in [
        (When::Always, Fault::Error("unknownMethod")),
        (When::Always, Fault::Error("serverFail")),
        (When::Always, Fault::Error("requestTooLarge")),
        (When::Always, Fault::Missing(3)),
        (When::Always, edit("data:asBase64", json!("AAAA"))),
        (When::Always, edit("data:asBase64", json!("no base64!"))),
        (When::Always, edit("isTruncated", json!(true))),
        (When::Always, Fault::Edit(Arc::new(|answer| answer["list"] = json!({ "a": 1 })))),
        (When::Nth(1), Fault::Error("serverUnavailable")),
        (When::Nth(1), Fault::Status(503)),
        (When::Nth(1), Fault::CutInBody(500)),
        (When::Nth(1), Fault::Truncated),
        (When::Nth(1), Fault::Garbled),
    ] {
        let bench = Bench::new(Options::default());
        bench.fill();
        bench.server.fault(At::Call("Blob/get"), when, fault);
        bench.import();
        assert!(bench.server.faults_happened() > 0);
        bench.assert_equal();
        bench.server.assert_clean();
    }
}

#[test]
fn what_cannot_be_had_is_named_and_the_rest_is_stored() {
    let bench = Bench::new(without_small_blobs());
    bench.fill();
    let server = &bench.server;
    let (email, object) = server.objects("A1", "Email").into_iter().next().expect("an email");
    let blob = object["blobId"].as_str().expect("a blob").to_owned();
    server.fault(At::Target(blob.clone()), When::Always, Fault::Status(404));
    server.fault(At::Call("ContactCard/query"), When::Always, Fault::Error("serverFail"));
    let (summary, said) = bench.import_as(&[], 5);
    assert_eq!(stored(&summary, "email"), [30, 0, 0]);
    assert_eq!(stored(&summary, "calendarevent"), [3, 0, 0]);
    assert!(said.contains(&format!("Email {email}")) && said.contains("serverFail"), "{said}");
    server.reset_faults();
    let summary = bench.import();
    assert_eq!(stored(&summary, "email"), [1, 0, 30]);
    bench.assert_equal();
    // Named by the query, kept back by the get: nothing of it is gone.
    server.forget_changes("A1", "Email");
    server.fault(At::Call("Email/get"), When::From(2), Fault::Missing(3));
    let (summary, _) = bench.import_as(&[], 5);
    assert_eq!(summary["types"]["email"]["removed"], 0, "{summary}");
    server.reset_faults();
    bench.import();
    bench.assert_equal();
    server.assert_clean();
}

#[test]
fn a_server_that_is_lost_loses_nothing() {
    let bench = Bench::new(without_small_blobs());
    bench.fill();
    bench.server.fault(At::Endpoint(Endpoint::Download), When::From(12), Fault::CutBefore);
    let (_, said) = bench.import_as(&["--max-retries", "1"], 2);
    assert!(said.contains("to continue"), "{said}");
    bench.server.reset_faults();
    bench.import();
    bench.assert_equal();
    // With an account in the archive.
    bench.server.fault(At::Endpoint(Endpoint::Api), When::Always, Fault::Status(500));
    let before = common::dump(Path::new(&bench.archive()));
    bench.import_as(&["--max-retries", "0"], 5);
    assert_eq!(before, common::dump(Path::new(&bench.archive())));
    bench.server.fault(At::Endpoint(Endpoint::Session), When::Always, Fault::CutBefore);
    bench.import_as(&["--max-retries", "0"], 2);
    assert_eq!(before, common::dump(Path::new(&bench.archive())));
}

#[test]
fn only_the_server_hears_the_login() {
    for place in [Place::Relative, Place::Elsewhere] {
        // Another port of the same host: told, and trusted.
        let bench = Bench::new(Options { api_url: place, download_url: place, ..Options::default() });
        bench.fill();
        let (_, said) = bench.import_as(&[], 0);
        assert_eq!(said.matches("points to").count(), usize::from(place == Place::Elsewhere), "{said}");
        bench.assert_equal();
    }
    for url in ["http://localhost:9/api", "ftp://127.0.0.1/", "http://[::1"] {
        let bench = Bench::new(Options { session_patch: json!({ "apiUrl": url }), ..Options::default() });
        bench.fill();
        let (_, said) = bench.import_as(&["--max-retries", "0"], 2);
        assert!(said.contains("refers to") || said.contains("points to") || said.contains("is no URL"), "{said}");
        assert_eq!(bench.server.counters().requests(Endpoint::Api), 0);
    }
    let bench = Bench::new(Options { well_known: WellKnown::Redirects, ..Options::default() });
    bench.fill();
    bench.import();
    bench.assert_equal();
    let mut command = vandelay();
    command.env("VANDELAY_PASSWORD", "secret").args([
        "import",
        "jmap",
        "--url",
        &bench.server.url(),
        "--auth-basic",
        "alice",
    ]);
    let output =
        command.args(["--account-id", "A1", "x.sqlite"]).current_dir(bench.dir.path()).output().expect("it starts");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.code() == Some(2) && said.contains("--allow-cleartext"), "{said}");
}

#[test]
fn wrong_accounts_and_logins_are_told_apart() {
    let bench = Bench::new(Options::default());
    bench.fill();
    let run = |password: &str, arguments: &[&str]| {
        let mut command = begin("import", &bench.server.url());
        command.env("VANDELAY_PASSWORD", password).args(["--dry-run", "--auth-basic", "alice"]).args(arguments);
        let output = command.arg(bench.archive()).output().expect("the program starts");
        (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
    };
    assert_eq!(run("secret", &["--account-name", "a1@EXAMPLE.org"]).0, Some(0));
    let (code, said) = run("secret", &["--account-name", "nobody@example.org"]);
    assert!(code == Some(3) && said.contains("A1@example.org"), "{said}");
    let (code, said) = run("wrong", &["--account-name", "A1@example.org"]);
    assert!(code == Some(12) && said.contains("refused the login of alice (401)"), "{said}");
    assert_eq!(run("secret", &[]).0, Some(1));
    assert_eq!(run("secret", &["--account-id", "A1", "--objects", "email,bogus"]).0, Some(1));
    assert!(!Path::new(&bench.archive()).exists());
    bench.server.take_violations();
}

#[test]
fn tokens_are_renewed() {
    let tokens = (0..20).map(|number| format!("token-{number}")).collect();
    let bench = Bench::new(Options { auth: Auth::Bearer { tokens, requests_each: Some(9) }, ..Options::default() });
    bench.fill();
    let count = bench.dir.path().join("count");
    std::fs::write(&count, "0").expect("a file");
    let script = format!("n=$(cat {0}); echo $((n+1)) > {0}; echo token-$n", count.display());
    let mut command = begin("import", &bench.server.url());
    command.args(["-vvv", "--token-command", &script, "--account-id", "A1", &bench.archive(), "--auth-bearer"]);
    let output = command.output().expect("it starts");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
    assert!(!said.contains("token-0"), "{said}");
    bench.assert_equal();
}

#[test]
fn types_that_are_not_looked_at_stay() {
    let bench = Bench::new(Options::default());
    bench.fill();
    bench.import();
    let before = of_archive(Path::new(&bench.archive()));
    // Hidden by a flag.
    bench.import_as(&["--objects", "email"], 0);
    bench.import_as(&["--objects", "Mailbox, SieveScript"], 0);
    assert_eq!(before, of_archive(Path::new(&bench.archive())));
    // Not there any more.
    bench.server.change_session("A1", |account| {
        account.capabilities.retain(|name| ![CONTACTS, CALENDARS, FILENODE].contains(name))
    });
    let (_, said) = bench.import_as(&[], 0);
    assert!(said.contains("contactcard"), "{said}");
    assert_eq!(before, of_archive(Path::new(&bench.archive())));
    bench.server.assert_clean();
    // Only containers, into a new archive.
    let bench =
        Bench::new(Options { accounts: vec![AccountOptions::with("A1", &[MAIL, SUBMISSION])], ..Options::default() });
    bench.fill();
    bench.import_as(&["--objects", "mailbox"], 0);
    let found = of_archive(Path::new(&bench.archive()));
    assert!(found.len() == 3 && found.iter().all(|line| line.starts_with("mailbox ")), "{found:#?}");
    bench.server.assert_clean();
}

#[test]
fn somebody_else_changes_the_account_meanwhile() {
    let bench = Bench::new(Options::default());
    bench.fill();
    let server = &bench.server;
    server.fault(
        At::Call("Email/query"),
        When::Nth(1),
        Fault::Meanwhile(Arc::new(|account| {
            let kind = common::jmap::Kind::named("Mailbox").expect("a type");
            let mailbox = account.table(kind).rows.values().next().cloned().expect("a mailbox");
            let mut late = mailbox.clone();
            late["id"] = json!("late");
            (late["name"], late["role"]) = (json!("Late"), Value::Null);
            account.put(kind, "late", late);
            let kind = common::jmap::Kind::named("Email").expect("a type");
            let (id, mut email) = account
                .table(kind)
                .rows
                .iter()
                .next()
                .map(|(id, email)| (id.clone(), email.clone()))
                .expect("an email");
            email["mailboxIds"] = json!({ "late": true });
            account.put(kind, &id, email);
        })),
    );
    bench.import();
    bench.import();
    bench.assert_equal();
    server.assert_clean();
}

/// Whatever happens to an account between imports, and whatever goes wrong meanwhile: in the end both hold the same.
#[test]
fn the_archive_follows_the_account() {
    let rounds = if common::soak() { 60 } else { 6 };
    for seed in 0..rounds {
        let bench = Bench::new(Options { seed, max_changes: Some(5), chunked: seed % 2 == 0, ..Options::default() });
        let ids = bench.fill();
        let server = &bench.server;
        let mut dice = Dice(seed + 1);
        for step in 0..4_u32 {
            server.fault(At::Any, When::Chance(0.05), Fault::CutBefore);
            server.fault(At::Any, When::Chance(0.03), Fault::Status(503));
            server.fault(At::Endpoint(Endpoint::Download), When::Chance(0.05), Fault::CutInBody(9));
            bench.import_as(&["--max-retries", "20", "--max-delete", "100%"], 0);
            server.reset_faults();
            bench.assert_equal();
            for number in 0..6 {
                let emails: Vec<String> = server.objects("A1", "Email").into_keys().collect();
                let one = &emails[dice.below(emails.len())];
                match dice.below(5) {
                    0 => server.remove("A1", "Email", one),
                    1 => server.change("A1", "Email", one, |email| email["keywords"] = json!({ "$answered": true })),
                    2 => server.change("A1", "Email", one, |email| email["mailboxIds"] = json!({ &ids["work"]: true })),
                    3 => {
                        let uid = format!("new-{step}-{number}");
                        server.seed("A1", "ContactCard", json!({ "@type": "Card", "version": "1.0", "uid": uid, "addressBookIds": { &ids["book"]: true } }));
                    }
                    _ => {
                        server.seed_email(
                            "A1",
                            &message(1000 + step * 10 + number),
                            &[&ids["inbox"]],
                            &[],
                            "2026-05-01T00:00:00Z",
                        );
                    }
                }
            }
        }
        server.assert_clean();
    }
}

/// Mail of a real server: relative URLs of the session, its limits, its states.
#[test]
fn an_account_of_cyrus_is_imported() {
    let Some(cyrus) = Cyrus::start() else { return };
    let mut imap = Imap::login(cyrus.imap, "alice@example.org", "x");
    imap.ok("CREATE Work/Deep");
    for number in 0..40_u32 {
        let mailbox = if number % 2 == 0 { "INBOX" } else { "Work/Deep" };
        let flags = if number % 3 == 0 { "(\\Seen work) " } else { "" };
        assert!(imap.append(mailbox, flags, &message(number), false), "{}", cyrus.log());
    }
    let dir = tempfile::tempdir().expect("a directory");
    let archive = dir.path().join("a.sqlite");
    // Cyrus 3.6 dies of VacationResponse/get where there is no Sieve script.
    let import_as = |objects: &[&str], code: i32| {
        let mut command = at_cyrus(&cyrus, "import", "alice@example.org");
        command.arg("-vv").args(objects).arg(&archive);
        judge(&command.output().expect("the program starts"), code)
    };
    let import = || import_as(&["--objects", "mailbox,email,identity"], 0);
    let (summary, said) = import();
    assert_eq!(stored(&summary, "email"), [40, 0, 0], "{said}");
    let conn = rusqlite::Connection::open(&archive).expect("an archive");
    let count = |sql: &str| conn.query_row(sql, [], |row| row.get::<_, i64>(0)).expect("a count");
    assert_eq!(count("SELECT count(*) FROM emails WHERE keywords LIKE '%$seen%'"), 14);
    assert_eq!(
        count("SELECT count(*) FROM mailboxes WHERE role IN ('inbox', 'sent', 'trash', 'drafts', 'archive', 'junk')"),
        6
    );
    let (summary, said) = import();
    assert_eq!(stored(&summary, "email"), [0, 0, 40], "{said}");
    assert_eq!(said.matches("POST ").count(), 1, "{said}");
    imap.ok("SELECT INBOX");
    imap.ok("STORE 1:3 +FLAGS (\\Flagged)");
    imap.ok("STORE 4 +FLAGS (\\Deleted)");
    imap.ok("EXPUNGE");
    imap.ok("MOVE 1 Work");
    imap.ok("CREATE Work2");
    imap.ok("SELECT Work/Deep");
    imap.ok("RENAME Work/Deep Deeper");
    let (summary, said) = import();
    assert_eq!((stored(&summary, "email")[0], &summary["types"]["email"]["removed"]), (0, &json!(1)), "{said}");
    assert_eq!(count("SELECT count(*) FROM emails WHERE keywords LIKE '%$flagged%'"), 3);
    assert_eq!(
        count(
            "SELECT count(*) FROM emails e, mailboxes m, json_each(e.mailbox_ids) j WHERE m.id = j.value AND m.name = 'Work'"
        ),
        1
    );
    assert_eq!(
        count(
            "SELECT count(*) FROM emails e, mailboxes m, json_each(e.mailbox_ids) j WHERE m.id = j.value AND m.name = 'Deeper'"
        ),
        20
    );
    common::ok(&["verify", "--quiet", archive.to_str().expect("UTF-8")]);
    let (summary, said) = import_as(&[], 0);
    assert_eq!(stored(&summary, "email"), [0, 0, 39], "{said}");
    assert!(said.contains("closes the connection at VacationResponse/get"), "{said}");
}

#[test]
fn what_1x_imported_is_adopted() {
    let bench = Bench::new(without_small_blobs());
    let ids = bench.fill();
    bench.import();
    let tables = ["emails", "mailboxes", "contact_cards", "calendar_events", "file_nodes", "identities", "calendars"];
    let rows = || {
        let conn = rusqlite::Connection::open(bench.archive()).expect("it opens");
        tables.map(|table| {
            let mut statement = conn.prepare(&format!("SELECT id FROM {table} ORDER BY id")).expect("SQL");
            let rows = statement.query_map([], |row| row.get::<_, i64>(0)).expect("rows");
            rows.map(|row| row.expect("a number")).collect::<BTreeSet<i64>>()
        })
    };
    let before = rows();
    // As 1.x would have left it: none of our tables, its own of what came from where.
    let conn = rusqlite::Connection::open(bench.archive()).expect("it opens");
    conn.execute_batch(
        "CREATE TABLE sync_id_jmap (source_id INTEGER NOT NULL, type_name TEXT NOT NULL, jmap_id TEXT NOT NULL, local_id INTEGER NOT NULL,
           PRIMARY KEY (source_id, type_name, jmap_id), UNIQUE (source_id, type_name, local_id));
         INSERT INTO sync_id_jmap SELECT s.source_id, s.kind, o.key, o.local_id FROM origins o JOIN scopes s ON s.id = o.scope_id
           WHERE s.kind <> 'VacationResponse';
         PRAGMA application_id = 0; PRAGMA user_version = 0; CREATE INDEX blobs_hash_idx ON blobs(hash);
         DROP TABLE history; DROP TABLE since; DROP TABLE originals; DROP TABLE origins; DROP TABLE scopes;
         DROP TABLE snapshots; DROP TABLE email_index; DROP TABLE mailbox_keywords; DROP TABLE mailbox_state;
         DROP TABLE blob_chunks; DROP TABLE large_blobs; DROP TABLE last_ids; DROP TABLE vacation_responses;",
    )
    .expect("an archive of 1.x");
    drop(conn);
    let server = &bench.server;
    let emails: Vec<String> = server.objects("A1", "Email").into_keys().collect();
    server.change("A1", "Email", &emails[0], |email| email["keywords"] = json!({ "$flagged": true }));
    server.remove("A1", "Email", &emails[1]);
    server.seed_email("A1", &message(500), &[&ids["work"]], &[], "2026-04-01T00:00:00Z");
    server.reset_counters();
    let summary = bench.import();
    assert_eq!(stored(&summary, "email"), [1, 1, 29], "{summary}");
    for kind in ["mailbox", "contactcard", "calendarevent", "filenode", "identity", "calendar"] {
        assert_eq!(stored(&summary, kind)[0], 0, "{kind} {summary}");
    }
    // The new message, what a card holds, scripts and files: nobody wrote down what they were.
    assert!(server.counters().requests(Endpoint::Download) <= 7, "{:?}", server.counters());
    bench.assert_equal();
    let after = rows();
    assert_eq!(after[0].difference(&before[0]).count(), 1);
    assert_eq!((after[0].len(), &after[1..]), (before[0].len(), &before[1..]));
    assert_eq!(stored(&bench.import(), "email"), [0, 0, 31]);
    bench.server.assert_clean();
}
