//! The rules of each type.

use crate::common::jmap::*;
use crate::common::message;
use crate::raw::*;
use serde_json::{Value, json};

#[test]
fn mailboxes_have_names_parents_and_roles() {
    let server = server();
    let inbox = create(&server, "Mailbox", json!({"name": "Inbox", "role": "inbox"}));
    for (object, property) in [
        (json!({"name": ""}), "name"),
        (json!({"name": "a\tb"}), "name"),
        (json!({"name": "u\u{308}"}), "name"),
        (json!({"name": "x".repeat(256)}), "name"),
        (json!({"name": "x", "role": "Sent"}), "role"),
        (json!({"name": "x", "role": "none"}), "role"),
        (json!({"name": "x", "parentId": "a b"}), "parentId"),
    ] {
        invalid(&server, "Mailbox", object, property);
    }
    // What a correct client can meet.
    for object in
        [json!({"name": "Inbox"}), json!({"name": "y", "role": "inbox"}), json!({"name": "y", "parentId": "mnone"})]
    {
        assert_eq!(refused(&server, "Mailbox", object), ("invalidProperties".to_owned(), Vec::new()));
    }
    let child = create(&server, "Mailbox", json!({"name": "Inbox", "parentId": inbox}));
    assert_eq!(update(&server, "Mailbox", &inbox, json!({"parentId": child}))["type"], "invalidProperties");
    assert_eq!(update(&server, "Mailbox", &inbox, json!({"parentId": inbox}))["type"], "invalidProperties");
    assert_eq!(server.take_violations().len(), 2);
    let mut parent = child.clone();
    for depth in 3..=10 {
        parent = create(&server, "Mailbox", json!({"name": depth.to_string(), "parentId": parent}));
    }
    invalid(&server, "Mailbox", json!({"name": "11", "parentId": parent}), "parentId");
    let top = create(&server, "Mailbox", json!({"name": "top"}));
    assert_eq!(update(&server, "Mailbox", &inbox, json!({"parentId": top}))["type"], "invalidProperties", "too deep");
    server.take_violations();
    assert_eq!(destroy(&server, "Mailbox", &inbox, json!({})), "mailboxHasChild");
    server.change("A1", "Mailbox", &top, |it| {
        it["myRights"] = json!({"mayDelete": false, "mayRename": false, "mayCreateChild": false})
    });
    assert_eq!(destroy(&server, "Mailbox", &top, json!({})), "forbidden");
    assert_eq!(update(&server, "Mailbox", &top, json!({"name": "new"}))["type"], "forbidden");
    assert_eq!(refused(&server, "Mailbox", json!({"name": "n", "parentId": top})).0, "forbidden");
    let server = Server::start(Options {
        accounts: vec![AccountOptions {
            changed_capabilities: vec![(MAIL, json!({"mayCreateTopLevelMailbox": false}))],
            ..AccountOptions::new("A1")
        }],
        ..Options::default()
    });
    assert_eq!(refused(&server, "Mailbox", json!({"name": "n"})).0, "forbidden");
}

#[test]
fn mailboxes_go_with_their_emails() {
    let server = server();
    let one = create(&server, "Mailbox", json!({"name": "1"}));
    let two = create(&server, "Mailbox", json!({"name": "2"}));
    let both = server.seed_email("A1", &message(1), &[&one, &two], &[], "2024-01-01T00:00:00Z");
    let only = server.seed_email("A1", &message(2), &[&one], &[], "2024-01-01T00:00:00Z");
    assert_eq!(destroy(&server, "Mailbox", &one, json!({})), "mailboxHasEmail");
    assert_eq!(destroy(&server, "Mailbox", &one, json!({"onDestroyRemoveEmails": true})), "");
    assert_eq!(server.object("A1", "Email", &only), None);
    assert_eq!(server.object("A1", "Email", &both).expect("an email")["mailboxIds"], json!({two: true}));
}

fn import(server: &Server, email: Value) -> Value {
    call(server, "Email/import", json!({"emails": {"e": email}}))
}

#[test]
fn emails_are_imported() {
    let server = server();
    let inbox = server.seed("A1", "Mailbox", json!({"name": "Inbox"}));
    let blob = upload(&server, &message(1));
    let good = json!({"blobId": blob, "mailboxIds": {&inbox: true}, "keywords": {"$Seen": true}, "receivedAt": "2024-01-02T03:04:05Z"});
    let answer = import(&server, good.clone());
    let id = answer["created"]["e"]["id"].as_str().expect("an id").to_owned();
    assert_eq!(answer["created"]["e"].as_object().map(|it| it.len()), Some(4), "id, blobId, threadId, size");
    assert_eq!(server.bytes("A1", "Email", &id), Some(message(1)));
    let email = call(
        &server,
        "Email/get",
        json!({"ids": [id], "properties": ["keywords", "receivedAt", "subject", "header:Message-ID:asMessageIds", "from"]}),
    );
    let wanted = json!({"id": id, "keywords": {"$seen": true}, "receivedAt": "2024-01-02T03:04:05Z", "subject": "number 1",
        "header:Message-ID:asMessageIds": ["1@example.org"], "from": [{"name": null, "email": "a1@example.org"}]});
    assert_eq!(email["list"][0], wanted);
    let answer = import(&server, good.clone());
    assert_eq!(
        (&answer["notCreated"]["e"]["type"], &answer["notCreated"]["e"]["existingId"]),
        (&json!("alreadyExists"), &json!(id))
    );
    for (property, value) in [
        ("blobId", json!(7)),
        ("mailboxIds", json!({})),
        ("mailboxIds", json!([inbox])),
        ("mailboxIds", json!({&inbox: false})),
        ("keywords", json!({"a b": true})),
        ("keywords", json!({"a(": true})),
        ("keywords", json!({"ä": true})),
        ("keywords", json!({"": true})),
        ("keywords", json!({"x": false})),
        ("receivedAt", json!("2024-01-02T03:04:05+00:00")),
        ("receivedAt", json!("2024-01-02T03:04:05.000Z")),
        ("receivedAt", json!("2024-13-02T03:04:05Z")),
        ("receivedAt", json!("2024-01-02t03:04:05Z")),
        ("received", json!("x")),
    ] {
        let mut wrong = good.clone();
        wrong[property] = value.clone();
        let answer = import(&server, wrong);
        assert_eq!(answer["notCreated"]["e"]["type"], "invalidProperties", "{property}: {value}");
        assert_eq!(answer["notCreated"]["e"]["properties"], json!([property]));
        assert_eq!(server.take_violations().len(), 1, "{property}: {value}");
    }
    for (property, value) in [("blobId", json!("bnone")), ("mailboxIds", json!({"mnone": true}))] {
        let mut gone = good.clone();
        gone[property] = value;
        assert_eq!(import(&server, gone)["notCreated"]["e"]["type"], "invalidProperties");
    }
    server.assert_clean();
    assert_eq!(call(&server, "Email/import", json!({}))["type"], "invalidArguments");
    server.take_violations();
    let server = Server::start(Options {
        refuses_duplicates: false,
        reassigns_blobs: true,
        missing_blob_of_import: "blobNotFound",
        ..Options::default()
    });
    server.seed("A1", "Mailbox", json!({"name": "Inbox", "id": inbox}));
    let first = import(&server, good.clone());
    assert_eq!(
        (&first["notCreated"]["e"]["type"], &first["notCreated"]["e"]["notFound"]),
        (&json!("blobNotFound"), &json!([blob]))
    );
    upload(&server, &message(1));
    let (one, other) = (import(&server, good.clone()), import(&server, good));
    assert_ne!(one["created"]["e"]["id"], other["created"]["e"]["id"]);
    assert_ne!(one["created"]["e"]["blobId"], json!(blob));
}

#[test]
fn emails_stay_in_a_mailbox() {
    let server = server();
    let inbox = server.seed("A1", "Mailbox", json!({"name": "Inbox"}));
    let email = server.seed_email("A1", &message(1), &[&inbox], &[], "2024-01-01T00:00:00Z");
    for patch in [
        json!({format!("mailboxIds/{inbox}"): null}),
        json!({"mailboxIds": {}}),
        json!({"receivedAt": "2025-01-01T00:00:00Z"}),
        json!({"subject": "x"}),
        json!({"keywords/a b": true}),
    ] {
        assert_eq!(update(&server, "Email", &email, patch.clone())["type"], "invalidProperties", "{patch}");
        assert_eq!(server.take_violations().len(), 1, "{patch}");
    }
    assert_eq!(update(&server, "Email", &email, json!({"mailboxIds/mnone": true}))["type"], "invalidProperties");
    server.change("A1", "Mailbox", &inbox, |it| it["myRights"] = json!({"mayReadItems": true}));
    assert_eq!(update(&server, "Email", &email, json!({"keywords/$seen": true}))["type"], "forbidden");
    assert_eq!(destroy(&server, "Email", &email, json!({})), "forbidden");
    for wrong in
        ["header:From:asDate", "header:Subject:asAddresses", "header:a:all:asText", "header:", "header:x:asNothing"]
    {
        assert_eq!(
            call(&server, "Email/get", json!({"ids": [], "properties": [wrong]}))["type"],
            "invalidArguments",
            "{wrong}"
        );
    }
    assert_eq!(server.take_violations().len(), 5);
    assert_eq!(
        call(&server, "Email/get", json!({"ids": [], "properties": ["header:X-Any:asText:all"]}))["list"],
        json!([])
    );
}

#[test]
fn identities_and_vacation() {
    let server = Server::start(Options { may_send_from: Some(vec!["example.org".to_owned()]), ..Options::default() });
    let id =
        create(&server, "Identity", json!({"email": "*@example.org", "replyTo": [{"name": null, "email": "x@y"}]}));
    assert_eq!(server.object("A1", "Identity", &id).expect("an identity")["mayDelete"], true);
    assert_eq!(
        refused(&server, "Identity", json!({"email": "a@elsewhere.org"})),
        ("forbiddenFrom".to_owned(), Vec::new())
    );
    invalid(&server, "Identity", json!({"email": "nobody"}), "email");
    invalid(&server, "Identity", json!({"email": "a@example.org", "bcc": [{"name": "x"}]}), "bcc");
    invalid(&server, "Identity", json!({"email": "a@example.org", "textSignature": null}), "textSignature");
    invalid(&server, "Identity", json!({"email": "a@example.org", "mayDelete": true}), "mayDelete");
    server.change("A1", "Identity", &id, |it| it["mayDelete"] = json!(false));
    assert_eq!(destroy(&server, "Identity", &id, json!({})), "forbidden");
    assert_eq!(refused(&server, "VacationResponse", json!({"isEnabled": true})).0, "singleton");
    assert_eq!(destroy(&server, "VacationResponse", "singleton", json!({})), "singleton");
    server.take_violations();
    assert_eq!(
        update(
            &server,
            "VacationResponse",
            "singleton",
            json!({"isEnabled": true, "fromDate": "2024-01-01T00:00:00Z"})
        ),
        Value::Null
    );
    assert_eq!(
        update(&server, "VacationResponse", "singleton", json!({"toDate": "2024-01-01"}))["type"],
        "invalidProperties"
    );
    assert_eq!(server.take_violations().len(), 1);
}

#[test]
fn scripts_are_looked_at() {
    let server = server();
    let keep = upload(&server, b"require [\"fileinto\"];\r\nkeep; # {\r\n");
    let answer = call(
        &server,
        "SieveScript/set",
        json!({
        "create": {"a": {"name": "one", "blobId": keep}, "b": {"blobId": keep}}, "onSuccessActivateScript": "#a"}),
    );
    let (a, b) = (answer["created"]["a"].clone(), answer["created"]["b"].clone());
    assert_eq!((&a["isActive"], &b["isActive"], b["name"].is_string()), (&json!(true), &json!(false), true));
    let (a, b) = (a["id"].as_str().expect("an id"), b["id"].as_str().expect("an id"));
    assert_eq!(destroy(&server, "SieveScript", a, json!({})), "sieveIsActive");
    let answer = call(&server, "SieveScript/set", json!({"onSuccessActivateScript": b}));
    assert_eq!(answer["updated"], json!({a: {"isActive": false}, b: {"isActive": true}}));
    assert_eq!(destroy(&server, "SieveScript", a, json!({})), "");
    let answer = call(&server, "SieveScript/set", json!({"onSuccessDeactivateScript": true}));
    assert_eq!(answer["updated"], json!({b: {"isActive": false}}));
    let one = create(&server, "SieveScript", json!({"name": "one", "blobId": keep}));
    let answer = call(&server, "SieveScript/set", json!({"create": {"new": {"name": "one", "blobId": keep}}}));
    assert_eq!(
        (&answer["notCreated"]["new"]["type"], &answer["notCreated"]["new"]["existingId"]),
        (&json!("alreadyExists"), &json!(one))
    );
    for content in ["keep; {", "redirect \"x;", "require \"unheard\"; keep;"] {
        let blob = upload(&server, content.as_bytes());
        assert_eq!(
            refused(&server, "SieveScript", json!({"name": "n", "blobId": blob})).0,
            "invalidSieve",
            "{content}"
        );
        assert_eq!(update(&server, "SieveScript", &one, json!({"blobId": blob}))["type"], "invalidSieve", "{content}");
    }
    assert_eq!(refused(&server, "SieveScript", json!({"name": "n", "blobId": "bnone"})).0, "blobNotFound");
    server.assert_clean();
    invalid(&server, "SieveScript", json!({"name": "n"}), "blobId");
    invalid(&server, "SieveScript", json!({"name": "", "blobId": keep}), "name");
    invalid(&server, "SieveScript", json!({"name": "n", "blobId": keep, "isActive": true}), "isActive");
}

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
        ("name", json!({})),
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
    let server = Server::start(Options { uid_exists: "alreadyExists", ..Options::default() });
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
    let bob = call(&server, "Principal/query", json!({"filter": {"name": "bob"}}));
    assert_eq!(bob["ids"], json!(["p-bob"]));
}

#[test]
fn events_are_events() {
    let server = server();
    let calendar =
        create(&server, "Calendar", json!({"name": "Calendar", "color": "blue", "timeZone": "Europe/Berlin"}));
    for (property, value) in
        [("color", json!("#12345g")), ("timeZone", json!("Mars/Phobos")), ("includeInAvailability", json!("some"))]
    {
        invalid(&server, "Calendar", json!({"name": "x", property: value}), property);
    }
    let good = json!({"@type": "Event", "uid": "u1", "calendarIds": {&calendar: true}, "start": "2024-01-01T10:00:00",
        "timeZone": "Etc/UTC", "duration": "PT1H30M", "title": "Lunch",
        "recurrenceRules": [{"@type": "RecurrenceRule", "frequency": "weekly"}],
        "recurrenceOverrides": {"2024-01-08T10:00:00": {"title": "Dinner"}}});
    let id = create(&server, "CalendarEvent", good.clone());
    assert_eq!(
        refused(&server, "CalendarEvent", good.clone()),
        ("invalidProperties".to_owned(), Vec::new()),
        "the uid"
    );
    for (property, value) in [
        ("@type", json!("Task")),
        ("calendarIds", json!({})),
        ("calendarIds", Value::Null),
        ("start", Value::Null),
        ("start", json!("2024-01-01T10:00:00Z")),
        ("start", json!("2024-01-01")),
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
    let mut instances = good.clone();
    for (count, recurrence) in ["2024-01-08T10:00:00", "2024-01-15T10:00:00"].iter().enumerate() {
        instances["uid"] = json!("many");
        instances["recurrenceId"] = json!(recurrence);
        create(&server, "CalendarEvent", instances.clone());
        assert_eq!(refused(&server, "CalendarEvent", instances.clone()).0, "invalidProperties", "{count}");
    }
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
    let server = Server::start(Options { participants: Participants::ScheduleId, ..Options::default() });
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
