//! `vandelay import jmap` against the strict server of the tests, and against a real Cyrus.

mod common;

use common::cyrus::Cyrus;
use common::imap::Imap;
use common::jmap::{
    ALL, AccountOptions, Advertised, At, Auth, BLOB, CALENDARS, CONTACTS, Endpoint, FILENODE, Fault, Limits, MAIL,
    Options, Place, SUBMISSION, Server, WellKnown, When,
};
use common::{Dice, message, vandelay};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::process::Output;
use std::sync::Arc;
use std::time::Duration;

/// A server without `Blob/get`: each blob is a download.
fn without_small_blobs() -> Options {
    let capabilities: Vec<&'static str> = ALL.into_iter().filter(|name| *name != BLOB).collect();
    Options { accounts: vec![AccountOptions::with("A1", &capabilities)], ..Options::default() }
}

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

    fn output(&self, extra: &[&str]) -> Output {
        let mut command = vandelay();
        command.env("VANDELAY_PASSWORD", "secret").args(["import", "jmap", "--json", "--allow-cleartext", "--url"]);
        command.arg(self.server.url()).args(["--auth-basic", "alice", "--account-id", "A1"]);
        command.args(extra).arg(self.archive());
        command.output().expect("the program starts")
    }

    /// Imports, which must end with this code; gives the summary and what was said.
    fn import_as(&self, extra: &[&str], code: i32) -> (Value, String) {
        let output = self.output(extra);
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(code), "{said}");
        assert!(!said.replace("nothing secret", "").contains("secret") && !said.contains("YWxpY2U6"), "{said}");
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        let mut summary = text.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
        let summary = summary.rfind(|line| line["message_type"] == "summary");
        (summary.unwrap_or_default(), said)
    }

    fn import(&self) -> Value {
        self.import_as(&[], 0).0
    }

    /// The archive holds what the server holds, and is sound.
    fn assert_equal(&self) {
        assert_eq!(of_archive(Path::new(&self.archive())), of_server(&self.server));
        common::ok(&["verify", "--quiet", &self.archive()]);
    }

    /// Something of each type.
    fn fill(&self) -> BTreeMap<&'static str, String> {
        let server = &self.server;
        let mut ids = BTreeMap::new();
        let mut seed = |name: &'static str, kind: &str, object: Value| {
            let id = server.seed("A1", kind, object);
            ids.insert(name, id.clone());
            id
        };
        let inbox = seed("inbox", "Mailbox", json!({ "name": "INBOX", "role": "inbox", "sortOrder": 3 }));
        let work = seed("work", "Mailbox", json!({ "name": "Work", "isSubscribed": false }));
        let deep = seed("deep", "Mailbox", json!({ "name": "Ü/1", "parentId": work }));
        let book = seed(
            "book",
            "AddressBook",
            json!({ "name": "People", "isDefault": true, "sortOrder": 2, "description": "all" }),
        );
        let other = seed("other", "AddressBook", json!({ "name": "Old" }));
        let photo = server.seed_blob("A1", b"\x89PNG\r\n\x1a\nphoto");
        seed(
            "card",
            "ContactCard",
            json!({
                "@type": "Card", "version": "1.0", "uid": "urn:uuid:1", "name": { "full": "Ada" },
                "addressBookIds": { &book: true, &other: true },
                "media": { "p": { "@type": "Media", "kind": "photo", "blobId": photo, "mediaType": "image/png" } },
            }),
        );
        seed(
            "card2",
            "ContactCard",
            json!({
                "@type": "Card", "version": "1.0", "uid": "urn:uuid:2", "name": { "full": "Bob" }, "addressBookIds": { &book: true },
            }),
        );
        let calendar = seed(
            "calendar",
            "Calendar",
            json!({
                "name": "Work", "color": "#ff0000", "description": "d", "isDefault": true, "isVisible": false, "sortOrder": 4,
                "includeInAvailability": "attending", "timeZone": "Europe/Zurich", "isSubscribed": true,
                "defaultAlertsWithTime": { "a": { "@type": "Alert", "trigger": { "@type": "OffsetTrigger", "offset": "-PT5M" } } },
            }),
        );
        seed(
            "event",
            "CalendarEvent",
            json!({
                "@type": "Event", "uid": "e1", "title": "Tea", "start": "2026-01-02T10:00:00", "duration": "PT1H",
                "timeZone": "Europe/Zurich", "calendarIds": { &calendar: true }, "useDefaultAlerts": true, "isDraft": true,
                "recurrenceRules": [{ "@type": "RecurrenceRule", "frequency": "weekly" }],
                "recurrenceOverrides": { "2026-01-09T10:00:00": { "title": "Coffee" } },
            }),
        );
        seed(
            "identity",
            "Identity",
            json!({
                "name": "Alice", "email": "alice@example.org", "textSignature": "-- \nA", "htmlSignature": "<b>A</b>",
                "replyTo": [{ "name": null, "email": "r@example.org" }],
            }),
        );
        seed(
            "participant",
            "ParticipantIdentity",
            json!({
                "name": "Alice", "calendarAddress": "mailto:alice@example.org", "isDefault": true,
            }),
        );
        seed(
            "vacation",
            "VacationResponse",
            json!({
                "id": "singleton", "isEnabled": true, "fromDate": "2026-01-01T00:00:00Z", "subject": "Away", "textBody": "Later",
            }),
        );
        for number in 0..30_u32 {
            let mailboxes: Vec<&str> = match number % 3 {
                0 => vec![&inbox],
                1 => vec![&inbox, &deep],
                _ => vec![&work],
            };
            let keywords: &[&str] = if number % 2 == 0 { &["$seen", "work"] } else { &[] };
            let at = format!("2026-02-{:02}T08:00:00Z", number % 28 + 1);
            server.seed_email("A1", &message(number), &mailboxes, keywords, &at);
        }
        let large = vec![b'x'; 5 << 20];
        server.seed_email(
            "A1",
            &[b"Message-ID: <large@x>\r\n\r\n", &large[..]].concat(),
            &[&inbox],
            &[],
            "2026-03-01T00:00:00Z",
        );
        server.seed_script("A1", "main", b"keep;\r\n", true);
        server.seed_script("A1", "old", b"discard;\r\n", false);
        let folder = server.seed_file("A1", None, "Documents", None);
        let inner = server.seed_file("A1", Some(&folder), "Inner", None);
        server.seed_file("A1", Some(&inner), "a.txt", Some(b"text"));
        server.seed_file("A1", Some(&folder), "empty", Some(b""));
        server.seed("A1", "FileNode", json!({ "name": "link", "nodeType": "symlink", "target": ["Documents", "a"], "parentId": null, "modified": "2026-01-01T00:00:00Z" }));
        ids.insert("folder", folder);
        ids.insert("inner", inner);
        ids
    }
}

fn hash(bytes: &[u8]) -> String {
    blake3::hash(bytes).to_hex()[..16].to_string()
}

/// What the server holds, in lines.
fn of_server(server: &Server) -> BTreeSet<String> {
    let mut lines = BTreeSet::new();
    let paths = |kind: &str| -> BTreeMap<String, String> {
        let objects = server.objects("A1", kind);
        let path = |id: &str| {
            let (mut parts, mut next) = (Vec::new(), Some(id.to_owned()));
            while let Some(object) = next.and_then(|id| objects.get(&id)) {
                parts.push(object["name"].as_str().unwrap_or_default().to_owned());
                next = object["parentId"].as_str().map(str::to_owned);
            }
            parts.reverse();
            format!("{parts:?}")
        };
        objects.keys().map(|id| (id.clone(), path(id))).collect()
    };
    let named = |object: &Value, property: &str, paths: &BTreeMap<String, String>| {
        let ids = object[property].as_object().expect("a map");
        ids.keys().map(|id| paths[id].clone()).collect::<BTreeSet<_>>()
    };
    let (mailboxes, books, calendars, nodes) =
        (paths("Mailbox"), paths("AddressBook"), paths("Calendar"), paths("FileNode"));
    for (id, one) in server.objects("A1", "Mailbox") {
        lines
            .insert(format!("mailbox {} {} {} {}", mailboxes[&id], one["role"], one["sortOrder"], one["isSubscribed"]));
    }
    for (id, one) in server.objects("A1", "AddressBook") {
        lines.insert(format!("book {} {} {} {}", books[&id], one["description"], one["sortOrder"], one["isDefault"]));
    }
    for (id, one) in server.objects("A1", "Calendar") {
        let columns = [
            "description",
            "color",
            "sortOrder",
            "isSubscribed",
            "isVisible",
            "isDefault",
            "includeInAvailability",
            "defaultAlertsWithTime",
            "defaultAlertsWithoutTime",
            "timeZone",
        ];
        let values: Vec<Value> = columns.iter().map(|name| one[*name].clone()).collect();
        lines.insert(format!("calendar {} {}", calendars[&id], json!(values)));
    }
    for (id, one) in server.objects("A1", "Email") {
        let keywords: BTreeSet<&String> = one["keywords"].as_object().expect("a map").keys().collect();
        let bytes = server.bytes("A1", "Email", &id).expect("bytes");
        let places = named(&one, "mailboxIds", &mailboxes);
        lines.insert(format!(
            "email {} {} {keywords:?} {places:?}",
            hash(&bytes),
            one["receivedAt"].as_str().expect("a date")
        ));
    }
    let plain = |mut object: Value, leave: &[&str]| {
        fn visit(server: &Server, value: &mut Value) {
            match value {
                Value::Object(object) => {
                    if let Some(id) = object.get("blobId").and_then(Value::as_str) {
                        let bytes = server.blob("A1", id).expect("a blob");
                        object.insert("@blob".to_owned(), json!(hash(&bytes)));
                        object.remove("blobId");
                    }
                    object.values_mut().for_each(|value| visit(server, value));
                }
                Value::Array(list) => list.iter_mut().for_each(|value| visit(server, value)),
                _ => {}
            }
        }
        for name in leave {
            object.as_object_mut().expect("an object").remove(*name);
        }
        visit(server, &mut object);
        sorted(&object)
    };
    for (_, one) in server.objects("A1", "ContactCard") {
        let places = named(&one, "addressBookIds", &books);
        lines.insert(format!(
            "card {} {places:?} {}",
            one["uid"],
            plain(one.clone(), &["id", "uid", "addressBookIds"])
        ));
    }
    for (_, one) in server.objects("A1", "CalendarEvent") {
        let places = named(&one, "calendarIds", &calendars);
        let leave = [
            "id",
            "calendarIds",
            "isDraft",
            "useDefaultAlerts",
            "method",
            "utcStart",
            "utcEnd",
            "isOrigin",
            "baseEventId",
        ];
        let (draft, alerts) = (&one["isDraft"], &one["useDefaultAlerts"]);
        lines.insert(format!("event {places:?} {draft} {alerts} {}", plain(one.clone(), &leave)));
    }
    for (id, one) in server.objects("A1", "SieveScript") {
        let bytes = server.bytes("A1", "SieveScript", &id).expect("bytes");
        lines.insert(format!("script {} {} {}", one["name"], one["isActive"], hash(&bytes)));
    }
    for (id, one) in server.objects("A1", "FileNode") {
        let bytes = server.bytes("A1", "FileNode", &id).map_or_else(String::new, |bytes| hash(&bytes));
        lines.insert(format!(
            "node {} {} {bytes} {} {} {}",
            nodes[&id], one["nodeType"], one["type"], one["target"], one["modified"]
        ));
    }
    for (_, one) in server.objects("A1", "Identity") {
        let names = ["name", "email", "replyTo", "bcc", "textSignature", "htmlSignature"];
        lines.insert(format!("identity {}", json!(names.map(|name| one[name].clone()))));
    }
    for (_, one) in server.objects("A1", "ParticipantIdentity") {
        lines.insert(format!(
            "participant {}",
            json!(["name", "calendarAddress", "isDefault"].map(|name| one[name].clone()))
        ));
    }
    for (_, one) in server.objects("A1", "VacationResponse") {
        let names = ["isEnabled", "fromDate", "toDate", "subject", "textBody", "htmlBody"];
        lines.insert(format!("vacation {}", json!(names.map(|name| one[name].clone()))));
    }
    lines
}

/// The same value whatever the order of its properties.
fn sorted(value: &Value) -> String {
    match value {
        Value::Object(object) => {
            let pairs: BTreeMap<&String, String> = object.iter().map(|(name, value)| (name, sorted(value))).collect();
            format!("{pairs:?}")
        }
        Value::Array(list) => format!("{:?}", list.iter().map(sorted).collect::<Vec<_>>()),
        other => other.to_string(),
    }
}

/// What the current state of an archive holds, in the same lines.
fn of_archive(archive: &Path) -> BTreeSet<String> {
    let conn = rusqlite::Connection::open(archive).expect("the archive opens");
    let rows = |sql: &str| -> Vec<Value> {
        let mut statement = conn.prepare(sql).expect("a statement");
        let names: Vec<String> = statement.column_names().map(str::to_owned).collect();
        let mut rows = statement.query([]).expect("rows");
        let mut list = Vec::new();
        while let Some(row) = rows.next().expect("a row") {
            let mut object = serde_json::Map::new();
            for (at, name) in names.iter().enumerate() {
                object.insert(
                    name.clone(),
                    match row.get_ref(at).expect("a value") {
                        rusqlite::types::ValueRef::Integer(number) => number.into(),
                        rusqlite::types::ValueRef::Text(text) => String::from_utf8_lossy(text).into(),
                        rusqlite::types::ValueRef::Blob(bytes) => hash(bytes).into(),
                        _ => Value::Null,
                    },
                );
            }
            list.push(Value::Object(object));
        }
        list
    };
    let blobs: BTreeMap<i64, String> = rows("SELECT id, data FROM blobs")
        .into_iter()
        .map(|row| (row["id"].as_i64().expect("an id"), row["data"].as_str().expect("bytes").to_owned()))
        .collect();
    let paths = |table: &str, parent: &str| -> BTreeMap<i64, String> {
        let list = rows(&format!("SELECT id, name, {parent} AS parent FROM {table}"));
        let by_id: BTreeMap<i64, &Value> = list.iter().map(|row| (row["id"].as_i64().expect("an id"), row)).collect();
        let path = |id: i64| {
            let (mut parts, mut next) = (Vec::new(), Some(id));
            while let Some(row) = next.and_then(|id| by_id.get(&id)) {
                parts.push(row["name"].as_str().unwrap_or_default().to_owned());
                next = row["parent"].as_i64();
            }
            parts.reverse();
            format!("{parts:?}")
        };
        by_id.keys().map(|id| (*id, path(*id))).collect()
    };
    let parse = |value: &Value| -> Value {
        value.as_str().map_or(Value::Null, |text| serde_json::from_str(text).expect("JSON"))
    };
    let flag = |value: &Value| json!(value.as_i64() == Some(1));
    let named = |value: &Value, paths: &BTreeMap<i64, String>| {
        let ids = parse(value);
        ids.as_array()
            .expect("ids")
            .iter()
            .map(|id| paths[&id.as_i64().expect("an id")].clone())
            .collect::<BTreeSet<_>>()
    };
    let (mailboxes, nodes) = (paths("mailboxes", "parent_id"), paths("file_nodes", "parent_id"));
    let (books, calendars) = (paths("address_books", "NULL"), paths("calendars", "NULL"));
    let id = |row: &Value| row["id"].as_i64().expect("an id");
    let mut lines = BTreeSet::new();
    for row in rows("SELECT * FROM mailboxes") {
        let path = &mailboxes[&id(&row)];
        lines.insert(format!("mailbox {path} {} {} {}", row["role"], row["sort_order"], flag(&row["is_subscribed"])));
    }
    for row in rows("SELECT * FROM address_books") {
        let path = &books[&id(&row)];
        lines.insert(format!("book {path} {} {} {}", row["description"], row["sort_order"], flag(&row["is_default"])));
    }
    for row in rows("SELECT * FROM calendars") {
        let values = json!([
            row["description"],
            row["color"],
            row["sort_order"],
            flag(&row["is_subscribed"]),
            flag(&row["is_visible"]),
            flag(&row["is_default"]),
            row["include_in_availability"],
            parse(&row["default_alerts_with_time"]),
            parse(&row["default_alerts_without_time"]),
            row["time_zone"],
        ]);
        lines.insert(format!("calendar {} {values}", calendars[&id(&row)]));
    }
    for row in rows("SELECT * FROM emails") {
        let keywords: BTreeSet<String> = serde_json::from_value(parse(&row["keywords"])).expect("keywords");
        let places = named(&row["mailbox_ids"], &mailboxes);
        let bytes = &blobs[&row["blob_id"].as_i64().expect("a blob")];
        lines.insert(format!("email {bytes} {} {keywords:?} {places:?}", row["received_at"].as_str().expect("a date")));
    }
    fn visit(blobs: &BTreeMap<i64, String>, value: &mut Value) {
        match value {
            Value::Object(object) => {
                if let Some(blob) = object.get("@blob").and_then(Value::as_i64) {
                    object.insert("@blob".to_owned(), json!(blobs[&blob]));
                }
                object.values_mut().for_each(|value| visit(blobs, value));
            }
            Value::Array(list) => list.iter_mut().for_each(|value| visit(blobs, value)),
            _ => {}
        }
    }
    let plain = |value: &Value| {
        let mut data = parse(value);
        visit(&blobs, &mut data);
        sorted(&data)
    };
    for row in rows("SELECT * FROM contact_cards") {
        let places = named(&row["address_book_ids"], &books);
        lines.insert(format!("card {} {places:?} {}", row["uid"], plain(&row["data"])));
    }
    for row in rows("SELECT * FROM calendar_events") {
        let places = named(&row["calendar_ids"], &calendars);
        let (draft, alerts) = (flag(&row["is_draft"]), flag(&row["use_default_alerts"]));
        lines.insert(format!("event {places:?} {draft} {alerts} {}", plain(&row["data"])));
    }
    for row in rows("SELECT * FROM sieve_scripts") {
        let bytes = &blobs[&row["blob_id"].as_i64().expect("a blob")];
        lines.insert(format!("script {} {} {bytes}", row["name"], flag(&row["is_active"])));
    }
    for row in rows("SELECT * FROM file_nodes") {
        let bytes = row["blob_id"].as_i64().map_or("", |blob| &blobs[&blob]);
        let path = &nodes[&id(&row)];
        lines.insert(format!(
            "node {path} {} {bytes} {} {} {}",
            row["node_type"],
            row["media_type"],
            parse(&row["target"]),
            row["modified"]
        ));
    }
    for row in rows("SELECT * FROM identities") {
        let values = [row["name"].clone(), row["email"].clone(), parse(&row["reply_to"]), parse(&row["bcc"])];
        let values: Vec<Value> =
            values.into_iter().chain([row["text_signature"].clone(), row["html_signature"].clone()]).collect();
        lines.insert(format!("identity {}", json!(values)));
    }
    for row in rows("SELECT * FROM participant_identities") {
        lines
            .insert(format!("participant {}", json!([row["name"], row["calendar_address"], flag(&row["is_default"])])));
    }
    for row in rows("SELECT * FROM vacation_responses") {
        lines.insert(format!(
            "vacation {}",
            json!([
                flag(&row["is_enabled"]),
                row["from_date"],
                row["to_date"],
                row["subject"],
                row["text_body"],
                row["html_body"]
            ])
        ));
    }
    lines
}

fn stored(summary: &Value, kind: &str) -> [u64; 3] {
    ["new", "changed", "unchanged"].map(|what| summary["types"][kind]["stored"][what].as_u64().unwrap_or_default())
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
    assert_eq!(summary["removed"]["email"], 11);
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
    assert_eq!((stored(&summary, "email"), &summary["removed"]["email"]), ([0, 0, 30], &json!(1)));
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
    assert_eq!(stored(&summary, "calendarevent"), [1, 0, 0]);
    assert!(said.contains(&format!("Email {email}")) && said.contains("serverFail"), "{said}");
    server.reset_faults();
    let summary = bench.import();
    assert_eq!(stored(&summary, "email"), [1, 0, 30]);
    bench.assert_equal();
    // Named by the query, kept back by the get: nothing of it is gone.
    server.forget_changes("A1", "Email");
    server.fault(At::Call("Email/get"), When::From(2), Fault::Missing(3));
    let (summary, _) = bench.import_as(&[], 5);
    assert_eq!(summary["removed"].get("email").cloned().unwrap_or_default(), Value::Null, "{summary}");
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
    assert!(said.contains("go on"), "{said}");
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
fn who_may_hear_the_login() {
    for place in [Place::Relative, Place::Elsewhere] {
        // Another port of the same host: told, and trusted.
        let bench = Bench::new(Options { api_url: place, download_url: place, ..Options::default() });
        bench.fill();
        let (_, said) = bench.import_as(&[], 0);
        assert_eq!(said.matches("refers to").count(), usize::from(place == Place::Elsewhere), "{said}");
        bench.assert_equal();
    }
    for url in ["http://localhost:9/api", "ftp://127.0.0.1/", "http://[::1"] {
        let bench = Bench::new(Options { session_patch: json!({ "apiUrl": url }), ..Options::default() });
        bench.fill();
        let (_, said) = bench.import_as(&["--max-retries", "0"], 2);
        assert!(said.contains("refers to") || said.contains("is no URL"), "{said}");
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
fn accounts_and_logins() {
    let bench = Bench::new(Options::default());
    bench.fill();
    let run = |password: &str, arguments: &[&str]| {
        let mut command = vandelay();
        command.env("VANDELAY_PASSWORD", password).args(["import", "jmap", "--allow-cleartext", "--dry-run", "--url"]);
        command.arg(bench.server.url()).args(["--auth-basic", "alice"]).args(arguments).arg(bench.archive());
        let output = command.output().expect("the program starts");
        (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
    };
    assert_eq!(run("secret", &["--account-name", "a1@EXAMPLE.org"]).0, Some(0));
    let (code, said) = run("secret", &["--account-name", "nobody@example.org"]);
    assert!(code == Some(3) && said.contains("A1@example.org"), "{said}");
    let (code, said) = run("wrong", &["--account-name", "A1@example.org"]);
    assert!(code == Some(12) && said.contains("does not accept"), "{said}");
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
    let mut command = vandelay();
    command.args([
        "import",
        "jmap",
        "--allow-cleartext",
        "-vvv",
        "--url",
        &bench.server.url(),
        "--token-command",
        &script,
    ]);
    let output = command.args(["--account-id", "A1", &bench.archive(), "--auth-bearer"]).output().expect("it starts");
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
fn cyrus() {
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
        let mut command = vandelay();
        let url = format!("http://127.0.0.1:{}", cyrus.http);
        command.env("VANDELAY_PASSWORD", "x").args([
            "import",
            "jmap",
            "--json",
            "-vv",
            "--allow-cleartext",
            "--url",
            &url,
        ]);
        command
            .args(["--auth-basic", "alice@example.org", "--account-name", "alice@example.org"])
            .args(objects)
            .arg(&archive);
        let output = command.output().expect("the program starts");
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(code), "{said}");
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        let mut lines = text.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
        let summary = lines.rfind(|line| line["message_type"] == "summary");
        (summary.expect("a summary"), said)
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
    assert_eq!((stored(&summary, "email")[0], &summary["removed"]["email"]), (0, &json!(1)), "{said}");
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
    let (summary, said) = import_as(&[], 5);
    assert_eq!(stored(&summary, "email"), [0, 0, 39], "{said}");
    assert!(said.contains("breaks off when it is asked for VacationResponse/get"), "{said}");
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
    assert!(server.counters().requests(Endpoint::Download) <= 6, "{:?}", server.counters());
    bench.assert_equal();
    let after = rows();
    assert_eq!(after[0].difference(&before[0]).count(), 1);
    assert_eq!((after[0].len(), &after[1..]), (before[0].len(), &before[1..]));
    assert_eq!(stored(&bench.import(), "email"), [0, 0, 31]);
    bench.server.assert_clean();
}
