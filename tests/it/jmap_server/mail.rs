//! The rules of the types of mail: Mailbox, Email, Identity, VacationResponse, SieveScript.

use super::raw::*;
use crate::common::jmap::*;
use crate::common::message;
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
    let server = Server::start(Options { forbidden_in_mailboxes: "/", ..Options::telling() });
    assert_eq!(refused(&server, "Mailbox", json!({"name": "a/b"})), ("invalidProperties".to_owned(), Vec::new()));
    let server = Server::start(Options {
        accounts: vec![AccountOptions {
            changed_capabilities: vec![(MAIL, json!({"mayCreateTopLevelMailbox": false}))],
            ..AccountOptions::new("A1")
        }],
        ..Options::telling()
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
    let bytes = b"Received: from a by b; Tue, 2 Jan 2024 03:04:05 +0100\r\nReceived: from c by a; Mon, 1 Jan 2024 00:00:00 +0000\r\n\r\nx";
    let answer = import(&server, json!({"blobId": upload(&server, bytes), "mailboxIds": {&inbox: true}}));
    let id = answer["created"]["e"]["id"].as_str().expect("an id");
    assert_eq!(server.object("A1", "Email", id).expect("an email")["receivedAt"], "2024-01-02T02:04:05Z");
    assert_eq!(
        import(&server, json!({"blobId": upload(&server, b""), "mailboxIds": {&inbox: true}}))["notCreated"]["e"]["type"],
        "invalidEmail"
    );
    server.assert_clean();
    assert_eq!(call(&server, "Email/import", json!({}))["type"], "invalidArguments");
    server.take_violations();
    let server = Server::start(Options {
        refuses_duplicates: false,
        reassigns_blobs: true,
        missing_blob_of_import: "blobNotFound",
        ..Options::telling()
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
fn identities_and_the_vacation_response_are_checked() {
    let server = Server::start(Options { may_send_from: Some(vec!["example.org".to_owned()]), ..Options::telling() });
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
    let draft = Server::start(Options { sieve_errors: ["invalidScript", "scriptIsActive"], ..Options::telling() });
    let active = draft.seed_script("A1", "active", b"keep;", true);
    assert_eq!(destroy(&draft, "SieveScript", &active, json!({})), "scriptIsActive");
    let blob = upload(&draft, b"keep; {");
    assert_eq!(refused(&draft, "SieveScript", json!({"name": "n", "blobId": blob})).0, "invalidScript");
    server.assert_clean();
    invalid(&server, "SieveScript", json!({"name": "n"}), "blobId");
    invalid(&server, "SieveScript", json!({"name": "", "blobId": keep}), "name");
    invalid(&server, "SieveScript", json!({"name": "n", "blobId": keep, "isActive": true}), "isActive");
}
