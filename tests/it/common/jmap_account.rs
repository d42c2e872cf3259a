//! What JMAP accounts of tests hold: something of each type, and the same lines for a server and for an archive.

use super::jmap::Server;
use super::message;
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

/// Fills an account with something of each type; gives the ids of what tests change.
pub(crate) fn fill(server: &Server) -> BTreeMap<&'static str, String> {
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
                "created": "2026-01-01T00:00:00Z",
            "recurrenceRules": [{ "@type": "RecurrenceRule", "frequency": "weekly" }],
            "recurrenceOverrides": { "2026-01-09T10:00:00": { "title": "Coffee" } },
        }),
    );
    // What a server has beside events: a task; and what it only shows to those who name it.
    seed(
        "task",
        "CalendarEvent",
        json!({
            "@type": "Task", "uid": "t1", "title": "Do it", "due": "2026-01-05T12:00:00", "progress": "in-process", "created": "2026-01-01T00:00:00Z",
            "calendarIds": { &calendar: true },
        }),
    );
    seed(
        "odd",
        "CalendarEvent",
        json!({
            "@type": "Event", "uid": "o1", "created": "2026-01-01T00:00:00Z", "title": "Odd", "start": "2026-01-03T10:00:00", "calendarIds": { &calendar: true },
            "iCalendar": { "properties": [["x-odd", {}, "text", "kept"]] }, "keywords": { "blue": true },
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
    server.seed(
        "A1",
        "FileNode",
        json!({ "name": "run.sh", "nodeType": "file", "size": 2, "blobId": server.seed_blob("A1", b"#!"),
        "type": "application/x-sh", "executable": true, "parentId": null, "modified": "2026-01-01T00:00:00Z" }),
    );
    ids.insert("folder", folder);
    ids.insert("inner", inner);
    ids
}

/// The archive holds what the server holds, and is sound.
pub(crate) fn assert_equal(server: &Server, archive: &Path) {
    let (ours, theirs) = (of_archive(archive), of_server(server));
    let only = |one: &BTreeSet<String>, other: &BTreeSet<String>| one.difference(other).cloned().collect::<Vec<_>>();
    let (ours, theirs) = (only(&ours, &theirs), only(&theirs, &ours));
    assert!(ours.is_empty() && theirs.is_empty(), "only in the archive: {ours:#?}\nonly at the server: {theirs:#?}");
    super::ok(&["verify", "--quiet", archive.to_str().expect("UTF-8")]);
}

fn hash(bytes: &[u8]) -> String {
    blake3::hash(bytes).to_hex()[..16].to_string()
}

/// What the server holds, in lines.
pub(crate) fn of_server(server: &Server) -> BTreeSet<String> {
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
        let (draft, alerts) = (one["isDraft"] == true, one["useDefaultAlerts"] == true);
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
pub(crate) fn of_archive(archive: &Path) -> BTreeSet<String> {
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
