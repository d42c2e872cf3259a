//! The rules of the types of contacts, calendars and files.

use super::raw::*;
use crate::common::jmap::*;
use serde_json::{Value, json};

#[test]
fn cards_are_cards() {
    let server = server();
    let book = create(&server, "AddressBook", json!({"name": "Book"}));
    let good = json!({"@type": "Card", "version": "1.0", "uid": "u1", "addressBookIds": {&book: true}, "name": {"full": "A"},
        "emails": {"e1": {"@type": "EmailAddress", "address": "a@example.org"}}, "example.com:x": 1});
    let id = create(&server, "ContactCard", good.clone());
    assert_eq!(refused(&server, "ContactCard", good.clone()), ("invalidProperties".to_owned(), Vec::new()), "the uid");
    for (property, value) in [
        ("@type", json!("Person")),
        ("@type", Value::Null),
        ("version", json!("3.0")),
        ("version", Value::Null),
        ("uid", Value::Null),
        ("uid", json!("")),
        ("addressBookIds", json!({})),
        ("addressBookIds", Value::Null),
        ("emails", json!({"e1": {"@type": "Phone", "address": "x"}})),
        ("emails", json!({"e 1": {"address": "x"}})),
        ("emails", json!({"e1": {}})),
        ("emails", json!([])),
        ("created", json!("2024-01-01")),
        ("kind", json!("robot")),
        ("members", json!({"u2": true})),
        ("keywords", json!({"k": false})),
        ("nome", json!("x")),
        ("name", json!("x")),
        ("media", json!({"m": {"kind": "photo"}})),
    ] {
        let mut wrong = good.clone();
        wrong["uid"] = json!("u2");
        match value {
            Value::Null => _ = wrong.as_object_mut().expect("an object").remove(property),
            value => wrong[property] = value,
        }
        invalid(&server, "ContactCard", wrong, property);
    }
    let photo = |blob: &str| json!({"media": {"m": {"@type": "Media", "kind": "photo", "mediaType": "image/png", "blobId": blob}}});
    assert_eq!(update(&server, "ContactCard", &id, photo("bnone"))["type"], "blobNotFound");
    assert_eq!(update(&server, "ContactCard", &id, photo(&upload(&server, b"\x89PNG\r\n\x1a\n")))["type"], Value::Null);
    assert_eq!(update(&server, "ContactCard", &id, photo(&upload(&server, b"text")))["type"], "invalidProperties");
    server.take_violations();
    assert_eq!(destroy(&server, "AddressBook", &book, json!({})), "addressBookHasContents");
    assert_eq!(destroy(&server, "AddressBook", &book, json!({"onDestroyRemoveContents": true})), "");
    assert_eq!(server.objects("A1", "ContactCard").len(), 0);
    let server = Server::start(Options { uid_exists: "alreadyExists", ..Options::telling() });
    let id = server.seed("A1", "ContactCard", good.clone());
    server.seed("A1", "AddressBook", json!({"name": "Book", "id": book}));
    let answer = call(&server, "ContactCard/set", json!({"create": {"c": good}}));
    assert_eq!(answer["notCreated"]["c"]["existingId"], json!(id));
}

#[test]
fn containers_have_a_default_and_are_shared() {
    let server = server();
    for kind in ["AddressBook", "Calendar"] {
        let old = server.seed("A1", kind, json!({"name": "Old", "isDefault": true}));
        let answer = call(
            &server,
            &format!("{kind}/set"),
            json!({"create": {"n": {"name": "New"}}, "onSuccessSetIsDefault": "#n"}),
        );
        assert_eq!(answer["created"]["n"]["isDefault"], true, "{answer}");
        assert_eq!(answer["updated"][&old]["isDefault"], false, "{answer}");
        let new = answer["created"]["n"]["id"].as_str().expect("an id");
        assert_eq!(destroy(&server, kind, new, json!({})), "forbidden", "the default stays");
        assert_eq!(
            call(&server, &format!("{kind}/set"), json!({"onSuccessSetIsDefault": "nobody"}))["updated"],
            Value::Null
        );
        invalid(&server, kind, json!({"name": "x", "isDefault": true}), "isDefault");
        invalid(&server, kind, json!({"name": ""}), "name");
        invalid(&server, kind, json!({"name": "x".repeat(256)}), "name");
        invalid(&server, kind, json!({"name": "x", "shareWith": {"p-me": {"mayRead": true}}}), "shareWith");
        assert_eq!(refused(&server, kind, json!({"name": "x", "shareWith": {"pnone": {}}})).0, "invalidProperties");
        server.seed("A1", "Principal", json!({"id": "p-bob", "type": "individual", "name": "Bob"}));
        invalid(&server, kind, json!({"name": "x", "shareWith": {"p-bob": {"mayFly": true}}}), "shareWith");
        create(&server, kind, json!({"name": "x", "shareWith": {"p-bob": {"mayDelete": false}}}));
        server.change("A1", kind, &old, |it| it["myRights"] = json!({"mayDelete": false}));
        assert_eq!(destroy(&server, kind, &old, json!({})), "forbidden");
    }
    assert_eq!(destroy(&server, "Principal", "p-bob", json!({})), "forbidden");
    let bob = call(&server, "Principal/query", json!({"filter": {"name": "bob"}}));
    assert_eq!(bob["ids"], json!(["p-bob"]));
}

#[test]
fn calendars_have_colors_zones_and_alerts() {
    let server = server();
    create(&server, "Calendar", json!({"name": "Calendar", "color": "blue", "timeZone": "Europe/Berlin"}));
    for (property, value) in
        [("color", json!("#12345g")), ("timeZone", json!("Mars/Phobos")), ("includeInAvailability", json!("some"))]
    {
        invalid(&server, "Calendar", json!({"name": "x", property: value}), property);
    }
    let alert = |kind: &str| json!({"a1": {"@type": "Alert", "trigger": {"@type": kind, "offset": "-PT5M"}}});
    invalid(
        &server,
        "Calendar",
        json!({"name": "x", "defaultAlertsWithTime": alert("AbsoluteTrigger")}),
        "defaultAlertsWithTime",
    );
    let both = json!({"name": "x", "defaultAlertsWithTime": alert("OffsetTrigger"), "defaultAlertsWithoutTime": alert("OffsetTrigger")});
    invalid(&server, "Calendar", both, "defaultAlertsWithoutTime");
    create(&server, "Calendar", json!({"name": "x", "defaultAlertsWithTime": alert("OffsetTrigger")}));
    let again = json!({"name": "y", "defaultAlertsWithoutTime": alert("OffsetTrigger")});
    assert_eq!(refused(&server, "Calendar", again), ("invalidProperties".to_owned(), Vec::new()));
}

/// A calendar, and an event that may lie in it.
fn calendar_and_event(server: &Server) -> (String, Value) {
    let calendar = create(server, "Calendar", json!({"name": "Calendar"}));
    let event = json!({"@type": "Event", "uid": "u1", "calendarIds": {&calendar: true}, "start": "2024-01-01T10:00:00",
        "timeZone": "Etc/UTC", "duration": "PT1H30M", "title": "Lunch",
        "recurrenceRules": [{"@type": "RecurrenceRule", "frequency": "weekly"}],
        "recurrenceOverrides": {"2024-01-08T10:00:00": {"title": "Dinner"}}});
    (calendar, event)
}

#[test]
fn events_are_events() {
    let server = server();
    let (_, good) = calendar_and_event(&server);
    create(&server, "CalendarEvent", good.clone());
    assert_eq!(
        refused(&server, "CalendarEvent", good.clone()),
        ("invalidProperties".to_owned(), Vec::new()),
        "the uid"
    );
    for (property, value) in [
        ("calendarIds", json!({})),
        ("calendarIds", Value::Null),
        ("start", json!("2024-01-01T10:00:00Z")),
        ("start", json!("2024-01-01")),
        ("start", json!("0000-01-01T00:00:00")),
        ("duration", json!("1h")),
        ("duration", json!("P")),
        ("timeZone", json!("Berlin")),
        ("method", json!("request")),
        ("status", json!("maybe")),
        ("priority", json!(10)),
        ("recurrenceRules", json!([{"frequency": "often"}])),
        ("recurrenceOverrides", json!({"2024-01-08": {}})),
        ("recurrenceOverrides", json!({"2024-01-08T10:00:00": {"uid": "x"}})),
        ("utcStart", json!("2024-01-01T10:00:00Z")),
        ("isOrigin", json!(true)),
        ("nome", json!(1)),
        ("sequence", json!(-1)),
        ("created", json!("2024-01-01T10:00:00.0Z")),
        ("alerts", json!({"a": {"@type": "Alert"}})),
    ] {
        let mut wrong = good.clone();
        wrong["uid"] = json!("u2");
        match value {
            Value::Null => _ = wrong.as_object_mut().expect("an object").remove(property),
            value => wrong[property] = value,
        }
        invalid(&server, "CalendarEvent", wrong, property);
    }
    // A client may try whether the server has tasks, or events without a start.
    for (property, value) in [("@type", json!("Task")), ("start", Value::Null)] {
        let mut other = good.clone();
        other["uid"] = json!("u3");
        match value {
            Value::Null => _ = other.as_object_mut().expect("an object").remove(property),
            value => other[property] = value,
        }
        assert_eq!(refused(&server, "CalendarEvent", other), ("invalidProperties".to_owned(), Vec::new()));
    }
}

#[test]
fn instances_of_an_event_have_one_uid() {
    let server = server();
    let (_, good) = calendar_and_event(&server);
    create(&server, "CalendarEvent", good.clone());
    let mut instances = good.clone();
    for (count, recurrence) in ["2024-01-08T10:00:00", "2024-01-15T10:00:00"].iter().enumerate() {
        instances["uid"] = json!("many");
        instances["recurrenceId"] = json!(recurrence);
        create(&server, "CalendarEvent", instances.clone());
        assert_eq!(refused(&server, "CalendarEvent", instances.clone()).0, "invalidProperties", "{count}");
    }
}

#[test]
fn events_are_counted_converted_and_destroyed() {
    let server = server();
    let (calendar, good) = calendar_and_event(&server);
    let id = create(&server, "CalendarEvent", good);
    let answer = call(&server, "CalendarEvent/set", json!({"update": {&id: {"title": "Tea"}}}));
    assert_eq!(answer["updated"][&id]["sequence"], 1);
    assert!(server.object("A1", "CalendarEvent", &id).expect("an event")["updated"].is_string());
    let shown = call(&server, "CalendarEvent/get", json!({"ids": [id], "properties": ["utcStart", "isOrigin"]}));
    assert_eq!(shown["list"][0], json!({"id": id, "utcStart": "2024-01-01T10:00:00Z", "isOrigin": true}));
    let shown = call(&server, "CalendarEvent/get", json!({"ids": [id]}));
    assert_eq!((shown["list"][0].get("utcStart"), &shown["list"][0]["isDraft"]), (None, &json!(false)));
    assert_eq!(update(&server, "CalendarEvent", &id, json!({"isDraft": true}))["type"], "invalidProperties");
    server.take_violations();
    assert_eq!(destroy(&server, "Calendar", &calendar, json!({})), "calendarHasEvent");
    assert_eq!(destroy(&server, "Calendar", &calendar, json!({"onDestroyRemoveEvents": true})), "");
}

#[test]
fn participants_have_an_address() {
    let server = server();
    create(&server, "ParticipantIdentity", json!({"name": "A", "calendarAddress": "mailto:a@example.org"}));
    invalid(&server, "ParticipantIdentity", json!({"name": "A"}), "calendarAddress");
    invalid(&server, "ParticipantIdentity", json!({"calendarAddress": "a"}), "calendarAddress");
    invalid(
        &server,
        "ParticipantIdentity",
        json!({"calendarAddress": "mailto:a@b.org", "scheduleId": "mailto:a@b.org"}),
        "scheduleId",
    );
    let server = Server::start(Options { participants: Participants::ScheduleId, ..Options::telling() });
    create(
        &server,
        "ParticipantIdentity",
        json!({"scheduleId": "mailto:a@b.org", "sendTo": {"imip": "mailto:a@b.org"}}),
    );
    invalid(&server, "ParticipantIdentity", json!({"scheduleId": "mailto:a@b.org"}), "sendTo");
}

#[test]
fn files_have_types_and_names() {
    let server = server();
    let blob = upload(&server, b"content");
    let directory = create(&server, "FileNode", json!({"name": "d", "nodeType": "directory", "role": "documents"}));
    let file = json!({"name": "f.txt", "parentId": directory, "blobId": blob, "type": "text/plain", "size": 7});
    let answer = call(&server, "FileNode/set", json!({"create": {"f": file}}));
    assert_eq!(answer["created"]["f"]["nodeType"], "file", "{answer}");
    let id = answer["created"]["f"]["id"].as_str().expect("an id").to_owned();
    create(&server, "FileNode", json!({"name": "link", "target": ["..", "d"]}));
    for (object, property) in [
        (json!({"name": "a/b"}), "name"),
        (json!({"name": ".."}), "name"),
        (json!({"name": "con"}), "name"),
        (json!({"name": ""}), "name"),
        (json!({"name": "x".repeat(256)}), "name"),
        (json!({"name": "x", "nodeType": "file"}), "blobId"),
        (json!({"name": "x", "nodeType": "socket"}), "nodeType"),
        (json!({"name": "x", "nodeType": "directory", "blobId": blob}), "blobId"),
        (json!({"name": "x", "nodeType": "directory", "type": "a/b"}), "type"),
        (json!({"name": "x", "nodeType": "directory", "size": 0}), "size"),
        (json!({"name": "x", "nodeType": "symlink"}), "target"),
        (json!({"name": "x", "blobId": blob}), "type"),
        (json!({"name": "x", "blobId": blob, "type": "text"}), "type"),
        (json!({"name": "x", "blobId": blob, "type": "text/plain", "size": 8}), "size"),
        (json!({"name": "x", "blobId": blob, "type": "text/plain", "role": "music"}), "role"),
        (json!({"name": "x", "role": "mine"}), "role"),
        (json!({"name": "x", "changed": "2024-01-01T00:00:00Z"}), "changed"),
        (json!({"name": "x", "parentId": id}), "parentId"),
        (json!({"name": "x", "modified": "2024-01-01T00:00:00.00Z"}), "modified"),
    ] {
        invalid(&server, "FileNode", object, property);
    }
    assert_eq!(refused(&server, "FileNode", json!({"name": "x", "blobId": "bnone", "type": "a/b"})).0, "blobNotFound");
    assert_eq!(refused(&server, "FileNode", json!({"name": "x", "parentId": "fnone"})).0, "invalidProperties");
    assert_eq!(update(&server, "FileNode", &id, json!({"nodeType": "directory"}))["type"], "invalidProperties");
    assert_eq!(update(&server, "FileNode", &directory, json!({"parentId": directory}))["type"], "invalidProperties");
    assert_eq!(server.take_violations().len(), 2);
    let answer =
        call(&server, "FileNode/set", json!({"update": {&id: {"blobId": upload(&server, b"longer content")}}}));
    assert_eq!(answer["updated"][&id]["size"], 14, "{answer}");
    server.change("A1", "FileNode", &id, |node| node["modified"] = json!("2001-01-01T00:00:00Z"));
    let answer = call(&server, "FileNode/set", json!({"update": {&id: {"executable": true}}}));
    assert!(answer["updated"][&id].get("modified").is_none(), "it stays: {answer}");
    let answer = call(&server, "FileNode/set", json!({"update": {&id: {"modified": null}}}));
    assert!(answer["updated"][&id]["modified"].as_str().is_some_and(|time| time > "2002"), "{answer}");
    let parents = call(&server, "FileNode/get", json!({"ids": [id], "fetchParents": true, "properties": ["name"]}));
    assert_eq!(parents["list"], json!([{"id": id, "name": "f.txt"}, {"id": directory, "name": "d"}]));
}

#[test]
fn files_that_exist() {
    let server = server();
    let blob = server.seed_blob("A1", b"content");
    let directory = server.seed_file("A1", None, "d", None);
    let id = server.seed_file("A1", Some(&directory), "f", Some(b"old"));
    let same = json!({"name": "f", "parentId": directory, "blobId": blob, "type": "a/b"});
    let set = |arguments: Value| call(&server, "FileNode/set", arguments);
    let error = set(json!({"create": {"n": same}}))["notCreated"]["n"].take();
    assert_eq!((&error["type"], &error["existingId"]), (&json!("alreadyExists"), &json!(id)));
    let renamed = set(json!({"create": {"n": same}, "onExists": "rename"}));
    assert_eq!(renamed["created"]["n"]["name"], "f (2)", "{renamed}");
    let mut upper = same.clone();
    upper["name"] = json!("F");
    let error = set(json!({"create": {"n": upper}, "compareCaseInsensitively": true}));
    assert_eq!(error["notCreated"]["n"]["type"], "alreadyExists");
    let replaced = set(json!({"create": {"n": same}, "onExists": "replace"}));
    assert_eq!(replaced["destroyed"], json!([id]), "{replaced}");
    let new = replaced["created"]["n"]["id"].clone();
    // Created and destroyed in one call, in whatever order.
    let answer = set(json!({"create": {"m": same}, "destroy": [new]}));
    assert_eq!((&answer["notCreated"], &answer["destroyed"]), (&Value::Null, &json!([new])), "{answer}");
    assert_eq!(destroy(&server, "FileNode", &directory, json!({})), "nodeHasChildren");
    let all: Vec<String> = server.objects("A1", "FileNode").into_keys().collect();
    let answer = set(json!({"destroy": [directory], "onDestroyRemoveChildren": true}));
    assert_eq!(answer["destroyed"].as_array().map(Vec::len), Some(all.len()), "{answer}");
    assert_eq!(set(json!({"onExists": "explode"}))["type"], "invalidArguments");
    server.take_violations();
    let a = server.seed_file("A1", None, "a", None);
    let b = server.seed_file("A1", Some(&a), "b", None);
    let answer = set(json!({"destroy": [a, b]}));
    assert_eq!(
        (&answer["notDestroyed"], answer["destroyed"].as_array().map(Vec::len)),
        (&Value::Null, Some(2)),
        "{answer}"
    );
}
