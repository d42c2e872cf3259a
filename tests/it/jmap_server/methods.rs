//! /get, /changes, /query and /set, whatever the type.

use super::raw::*;
use crate::common::jmap::*;
use crate::common::message;
use serde_json::{Value, json};

fn ids(value: &Value) -> Vec<String> {
    value.as_array().expect("ids").iter().map(|id| id.as_str().expect("an id").to_owned()).collect()
}

/// Five mailboxes: names n0 to n4.
fn mailboxes(server: &Server) -> Vec<String> {
    (0..5)
        .map(|number| server.seed("A1", "Mailbox", json!({"name": format!("n{number}"), "sortOrder": 9 - number})))
        .collect()
}

#[test]
fn get_gives_what_is_asked_for() {
    let server = server();
    let boxes = mailboxes(&server);
    let all = call(&server, "Mailbox/get", json!({}));
    assert_eq!((all["list"].as_array().map(Vec::len), &all["notFound"]), (Some(5), &json!([])));
    assert_eq!(all["state"], server.state("A1", "Mailbox"));
    let some = call(&server, "Mailbox/get", json!({"ids": [boxes[1], "mnone", boxes[1]], "properties": ["name"]}));
    assert_eq!(some["list"], json!([{"id": boxes[1], "name": "n1"}]));
    assert_eq!(some["notFound"], json!(["mnone"]));
    assert_eq!(call(&server, "Mailbox/get", json!({"ids": []}))["list"], json!([]));
    for wrong in
        [json!({"ids": "m"}), json!({"ids": ["a b"]}), json!({"properties": ["nome"]}), json!({"properties": "name"})]
    {
        assert_eq!(call(&server, "Mailbox/get", wrong)["type"], "invalidArguments");
        assert_eq!(server.take_violations().len(), 1);
    }
}

#[test]
fn ids_null_is_not_for_everything() {
    let server = Server::start(Options { refuses_all: true, ..Options::telling() });
    assert_eq!(call(&server, "Email/get", json!({}))["type"], "requestTooLarge");
    assert_eq!(call(&server, "Mailbox/get", json!({}))["list"], json!([]));
}

#[test]
fn changes_are_all_changes() {
    let server = server();
    let boxes = mailboxes(&server);
    let start = server.state("A1", "Mailbox");
    assert_eq!(update(&server, "Mailbox", &boxes[0], json!({"name": "other"})), Value::Null);
    let made = create(&server, "Mailbox", json!({"name": "made"}));
    let gone = create(&server, "Mailbox", json!({"name": "gone"}));
    assert_eq!(destroy(&server, "Mailbox", &gone, json!({})), "");
    assert_eq!(destroy(&server, "Mailbox", &boxes[1], json!({})), "");
    let answer = call(&server, "Mailbox/changes", json!({"sinceState": start}));
    assert_eq!(answer["created"], json!([made]));
    assert_eq!(answer["updated"], json!([boxes[0]]));
    assert_eq!(answer["destroyed"], json!([boxes[1]]), "what came and went is nowhere");
    assert_eq!((&answer["hasMoreChanges"], &answer["updatedProperties"]), (&json!(false), &Value::Null));
    assert_eq!(answer["newState"], server.state("A1", "Mailbox"));
    // Bit by bit.
    let (mut state, mut seen) = (start.clone(), 0);
    loop {
        let step = call(&server, "Mailbox/changes", json!({"sinceState": state, "maxChanges": 1}));
        let count: usize = ["created", "updated", "destroyed"].iter().map(|name| ids(&step[*name]).len()).sum();
        assert!(count <= 1);
        seen += count;
        state = step["newState"].as_str().expect("a state").to_owned();
        if step["hasMoreChanges"] == json!(false) {
            break;
        }
    }
    assert_eq!((seen, state), (3, server.state("A1", "Mailbox")));
    assert_eq!(call(&server, "Mailbox/changes", json!({"sinceState": "nonsense"}))["type"], "cannotCalculateChanges");
    server.forget_changes("A1", "Mailbox");
    assert_eq!(call(&server, "Mailbox/changes", json!({"sinceState": start}))["type"], "cannotCalculateChanges");
    for wrong in [json!({}), json!({"sinceState": 1}), json!({"sinceState": "x", "maxChanges": 0})] {
        assert_eq!(call(&server, "Mailbox/changes", wrong)["type"], "invalidArguments");
        assert_eq!(server.take_violations().len(), 1);
    }
}

#[test]
fn counts_change_with_emails() {
    let server = server();
    let inbox = server.seed("A1", "Mailbox", json!({"name": "Inbox"}));
    let start = server.state("A1", "Mailbox");
    let email = server.seed_email("A1", &message(1), &[&inbox], &[], "2024-01-01T00:00:00Z");
    let answer = call(&server, "Mailbox/changes", json!({"sinceState": start}));
    assert_eq!(answer["updated"], json!([inbox]));
    assert_eq!(answer["updatedProperties"], json!(["totalEmails", "unreadEmails", "totalThreads", "unreadThreads"]));
    let counts = |server: &Server| {
        let mailbox = call(server, "Mailbox/get", json!({"ids": [inbox]}))["list"][0].take();
        (mailbox["totalEmails"].clone(), mailbox["unreadEmails"].clone())
    };
    assert_eq!(counts(&server), (json!(1), json!(1)));
    assert_eq!(update(&server, "Email", &email, json!({"keywords/$seen": true})), Value::Null);
    assert_eq!(counts(&server), (json!(1), json!(0)));
}

#[test]
fn query_has_windows() {
    let server = server();
    let boxes = mailboxes(&server);
    let query = |arguments: Value| {
        let mut arguments = arguments;
        arguments["sort"] = json!([{"property": "name"}]);
        call(&server, "Mailbox/query", arguments)
    };
    let page = |arguments: Value| ids(&query(arguments)["ids"]);
    assert_eq!(page(json!({})), boxes);
    assert_eq!(page(json!({"position": 1, "limit": 2})), boxes[1..3]);
    assert_eq!(page(json!({"position": -2})), boxes[3..]);
    assert_eq!(page(json!({"position": 9})), [] as [String; 0]);
    assert_eq!(page(json!({"limit": 0})), [] as [String; 0]);
    assert_eq!(page(json!({"anchor": boxes[2], "anchorOffset": -1, "position": 4, "limit": 2})), boxes[1..3]);
    assert_eq!(page(json!({"anchor": boxes[1], "anchorOffset": -7})), boxes);
    assert_eq!(query(json!({"anchor": boxes[1], "anchorOffset": 1}))["position"], 2);
    assert_eq!(query(json!({"anchor": "mnone"}))["type"], "anchorNotFound");
    let answer = query(json!({"calculateTotal": true, "limit": 1}));
    assert_eq!((&answer["total"], answer.get("limit")), (&json!(5), None));
    assert_eq!(query(json!({})).get("total"), None);
    let descending = json!({"sort": [{"property": "sortOrder", "isAscending": false}]});
    assert_eq!(ids(&call(&server, "Mailbox/query", descending)["ids"]), boxes);
    for wrong in [
        json!({"limit": -1}),
        json!({"position": "1"}),
        json!({"calculateTotal": null}),
        json!({"filter": {"nome": "x"}}),
        json!({"filter": {"name": 1}}),
        json!({"filter": {"operator": "XOR", "conditions": []}}),
        json!({"filter": {"operator": "AND"}}),
        json!({"collapseThreads": true}),
    ] {
        assert_eq!(query(wrong.clone())["type"], "invalidArguments", "{wrong}");
        assert_eq!(server.take_violations().len(), 1);
    }
    assert_eq!(call(&server, "Mailbox/query", json!({"sort": [{"property": "role"}]}))["type"], "unsupportedSort");
    let not = json!({"operator": "NOT", "conditions": [{"name": "n0"}, {"name": "n1"}]});
    assert_eq!(page(json!({"filter": not})), boxes[2..]);
    let server = Server::start(Options { max_query_limit: Some(2), ..Options::telling() });
    mailboxes(&server);
    for wanted in [json!(null), json!(3)] {
        let answer = call(&server, "Mailbox/query", json!({"limit": wanted}));
        assert_eq!((ids(&answer["ids"]).len(), &answer["limit"]), (2, &json!(2)));
    }
    assert_eq!(call(&server, "Mailbox/query", json!({"limit": 2})).get("limit"), None);
}

#[test]
fn trees_can_be_sorted() {
    let server = server();
    let b = server.seed("A1", "Mailbox", json!({"name": "b"}));
    let a = server.seed("A1", "Mailbox", json!({"name": "a", "parentId": b}));
    let c = server.seed("A1", "Mailbox", json!({"name": "c"}));
    let arguments = json!({"sortAsTree": true, "sort": [{"property": "name"}]});
    assert_eq!(ids(&call(&server, "Mailbox/query", arguments)["ids"]), [b.as_str(), &a, &c]);
    let arguments = json!({"filterAsTree": true, "filter": {"name": "a"}});
    assert_eq!(call(&server, "Mailbox/query", arguments)["ids"], json!([]));
}

#[test]
fn set_creates_with_defaults_and_references() {
    let server = server();
    let old = server.state("A1", "Mailbox");
    let answer = call(
        &server,
        "Mailbox/set",
        json!({"ifInState": old, "create": {"child": {"name": "b", "parentId": "#parent"}, "parent": {"name": "a"}}}),
    );
    let parent = answer["created"]["parent"].clone();
    assert_eq!((&parent["role"], &parent["isSubscribed"], parent.get("name")), (&Value::Null, &json!(true), None));
    assert_eq!(parent["myRights"]["mayDelete"], json!(true));
    let child = answer["created"]["child"]["id"].as_str().expect("an id");
    assert_eq!(server.object("A1", "Mailbox", child).expect("a child")["parentId"], parent["id"]);
    assert_eq!((&answer["oldState"], &answer["notCreated"]), (&json!(old), &Value::Null));
    assert_eq!(answer["newState"], server.state("A1", "Mailbox"));
    assert_eq!(call(&server, "Mailbox/set", json!({"ifInState": old}))["type"], "stateMismatch");
    // Across calls, and with createdIds.
    let body = json!({"using": [CORE, MAIL], "createdIds": {"known": parent["id"]}, "methodCalls": [
        ["Mailbox/set", {"accountId": "A1", "create": {"x": {"name": "x", "parentId": "#known"}}}, "1"],
        ["Mailbox/set", {"accountId": "A1", "create": {"y": {"name": "y", "parentId": "#x"}}}, "2"],
    ]});
    let answer = post(&server, &body.to_string()).json();
    assert_eq!(answer["createdIds"].as_object().map(|ids| ids.len()), Some(3), "{answer}");
    // What nobody wanted to create cannot be referred to.
    invalid(&server, "Mailbox", json!({"name": "z", "parentId": "#nobody"}), "parentId");
    // What could not be created is not the reference's fault.
    let answer =
        call(&server, "Mailbox/set", json!({"create": {"p": {"name": "a"}, "q": {"name": "q", "parentId": "#p"}}}));
    assert_eq!(answer["notCreated"]["q"]["type"], "invalidProperties");
    let again = json!([
        ["Mailbox/set", {"accountId": "A1", "create": {"same": {"name": "s1"}}}, "1"],
        ["Mailbox/set", {"accountId": "A1", "create": {"same": {"name": "s2"}}}, "2"],
    ]);
    calls(&server, again);
    assert_eq!(server.take_violations().len(), 1);
}

#[test]
fn set_refuses_what_only_the_server_sets() {
    let server = server();
    invalid(&server, "Mailbox", json!({"name": "a", "id": "m1"}), "id");
    invalid(&server, "Mailbox", json!({"name": "a", "totalEmails": 0}), "totalEmails");
    invalid(&server, "Mailbox", json!({"name": "a", "nome": "b"}), "nome");
    invalid(&server, "Mailbox", json!({}), "name");
    invalid(&server, "Mailbox", json!({"name": null}), "name");
    invalid(&server, "Mailbox", json!({"name": "a", "sortOrder": -1}), "sortOrder");
    invalid(&server, "Mailbox", json!({"name": "a", "sortOrder": 1u64 << 31}), "sortOrder");
    invalid(&server, "Mailbox", json!({"name": "a", "isSubscribed": "yes"}), "isSubscribed");
    let wrong = json!([["Mailbox/set", {"accountId": "A1", "create": {"a b": {"name": "a"}}}, "c"]]);
    assert_eq!(calls(&server, wrong)[0][1]["type"], "invalidArguments");
    server.take_violations();
    let id = create(&server, "Mailbox", json!({"name": "a"}));
    // "a server-set property … as long as the value is identical to the current value".
    let whole = call(&server, "Mailbox/get", json!({"ids": [id]}))["list"][0].take();
    let state = server.state("A1", "Mailbox");
    assert_eq!(update(&server, "Mailbox", &id, whole), Value::Null);
    assert_eq!(server.state("A1", "Mailbox"), state, "nothing has changed");
    for patch in [
        json!({"totalEmails": 7}),
        json!({"id": "m7"}),
        json!({"myRights/mayDelete": false}),
        json!({"name": null}),
        json!({"nome": 1}),
    ] {
        let error = update(&server, "Mailbox", &id, patch.clone());
        assert_eq!(error["type"], "invalidProperties", "{patch}");
        assert_eq!(server.take_violations().len(), 1, "{patch}");
    }
    assert_eq!(update(&server, "Mailbox", "mnone", json!({"name": "b"}))["type"], "notFound");
    assert_eq!(destroy(&server, "Mailbox", "mnone", json!({})), "notFound");
    let both = json!({"update": {&id: {"name": "b"}}, "destroy": [id]});
    assert_eq!(call(&server, "Mailbox/set", both)["notUpdated"][&id]["type"], "willDestroy");
}

#[test]
fn patches_are_pointers() {
    let server = server();
    let first = server.seed("A1", "Mailbox", json!({"name": "1"}));
    let second = server.seed("A1", "Mailbox", json!({"name": "2"}));
    let email = server.seed_email("A1", &message(1), &[&first], &["$seen"], "2024-01-01T00:00:00Z");
    let patch = json!({format!("mailboxIds/{second}"): true, format!("mailboxIds/{first}"): null, "keywords/$flagged": true, "keywords/none": null});
    assert_eq!(update(&server, "Email", &email, patch), Value::Null);
    let stored = server.object("A1", "Email", &email).expect("an email");
    assert_eq!(
        (&stored["mailboxIds"], &stored["keywords"]),
        (&json!({second: true}), &json!({"$seen": true, "$flagged": true}))
    );
    // "If `null`, set to the default value if specified for this property".
    assert_eq!(update(&server, "Email", &email, json!({"keywords": null})), Value::Null);
    assert_eq!(server.object("A1", "Email", &email).expect("an email")["keywords"], json!({}));
    for patch in [
        json!({"keywords": {}, "keywords/$seen": true}),
        json!({"nothing/here": 1}),
        json!({"keywords/a/b": true}),
        json!({"keywords/~2": true}),
    ] {
        assert_eq!(update(&server, "Email", &email, patch.clone())["type"], "invalidPatch", "{patch}");
        assert_eq!(server.take_violations().len(), 1);
    }
    let identity = create(&server, "Identity", json!({"email": "a@example.org", "bcc": [{"email": "b@example.org"}]}));
    assert_eq!(update(&server, "Identity", &identity, json!({"bcc/0": null}))["type"], "invalidPatch");
    assert_eq!(update(&server, "Identity", &identity, json!({"email": "c@example.org"}))["type"], "invalidProperties");
    assert_eq!(server.take_violations().len(), 2);
    // Creation ids in paths.
    let answer = calls(
        &server,
        json!([
            ["Mailbox/set", {"accountId": "A1", "create": {"n": {"name": "new"}}}, "1"],
            ["Email/set", {"accountId": "A1", "update": {&email: {"mailboxIds/#n": true}}}, "2"],
        ]),
    );
    assert!(answer[1][1]["updated"].get(&email).is_some(), "{answer:?}");
}

#[test]
fn names_can_be_swapped_at_once() {
    let server = server();
    let one = server.seed("A1", "Mailbox", json!({"name": "1"}));
    let two = server.seed("A1", "Mailbox", json!({"name": "2"}));
    let swap = json!({"update": {&one: {"name": "2"}, &two: {"name": "1"}}});
    let answer = call(&server, "Mailbox/set", swap.clone());
    assert_eq!(answer["notUpdated"], Value::Null, "{answer}");
    assert_eq!(server.object("A1", "Mailbox", &one).expect("a mailbox")["name"], "2");
    // One that becomes free, parents behind children.
    let child = server.seed("A1", "Mailbox", json!({"name": "c", "parentId": one}));
    let answer = call(&server, "Mailbox/set", json!({"destroy": [one, child], "create": {"n": {"name": "2"}}}));
    assert_eq!((&answer["notCreated"], &answer["notDestroyed"]), (&Value::Null, &Value::Null), "{answer}");
    // A swap beside something that is not possible, and a name that begins like a reference.
    let [a, b] = ["#a", "b"].map(|name| server.seed("A1", "Mailbox", json!({"name": name})));
    let answer = call(
        &server,
        "Mailbox/set",
        json!({"update": {&a: {"name": "b"}, &b: {"name": "#a"}}, "create": {"n": {"name": "b"}}}),
    );
    assert_eq!(
        (&answer["notUpdated"], &answer["notCreated"]["n"]["type"]),
        (&Value::Null, &json!("invalidProperties")),
        "{answer}"
    );
    let server = Server::start(Options { is_sequential: true, ..Options::telling() });
    let one = server.seed("A1", "Mailbox", json!({"name": "1", "id": one}));
    server.seed("A1", "Mailbox", json!({"name": "2", "id": two}));
    let answer = call(&server, "Mailbox/set", swap);
    assert_eq!(answer["notUpdated"].as_object().map(|errors| errors.len()), Some(2));
    let child = server.seed("A1", "Mailbox", json!({"name": "c", "parentId": one}));
    let answer = call(&server, "Mailbox/set", json!({"destroy": [one, child]}));
    assert_eq!(answer["notDestroyed"][&one]["type"], "mailboxHasChild");
}

#[test]
fn blobs_come_and_go_in_methods() {
    let server = server();
    let answer = call(
        &server,
        "Blob/upload",
        json!({"create": {
        "a": {"data": [{"data:asText": "Hello "}, {"data:asBase64": "d29ybGQ="}], "type": "text/plain"},
        "b": {"data": [{"blobId": "#a", "offset": 6, "length": 5}]}}}),
    );
    let (a, b) = (answer["created"]["a"]["id"].clone(), answer["created"]["b"]["id"].clone());
    assert_eq!(answer["created"]["a"]["size"], 11);
    let answer =
        call(&server, "Blob/get", json!({"ids": [a, b, "bnone"], "properties": ["data:asText", "digest:sha", "size"]}));
    assert_eq!(answer["list"][0]["data:asText"], "Hello world");
    assert_eq!(answer["list"][0]["digest:sha"], "e1AsOh9IyGCa4hLN+2Od7jlnP14=");
    assert_eq!((&answer["list"][1]["data:asText"], &answer["notFound"]), (&json!("world"), &json!(["bnone"])));
    let answer = call(&server, "Blob/get", json!({"ids": [a], "offset": 6, "length": 90}));
    assert_eq!((&answer["list"][0]["data:asText"], &answer["list"][0]["isTruncated"]), (&json!("world"), &json!(true)));
    let binary = upload(&server, b"\xff\xfe");
    let answer = call(&server, "Blob/get", json!({"ids": [binary]}));
    assert_eq!(
        (&answer["list"][0]["data:asBase64"], &answer["list"][0]["isEncodingProblem"]),
        (&json!("//4="), &json!(true))
    );
    for wrong in [
        json!({"data": "x"}),
        json!({"data": [{"data:asText": "x", "blobId": a}]}),
        json!({"data": [{"data:asBase64": "?"}]}),
        json!({"x": 1}),
    ] {
        let answer = call(&server, "Blob/upload", json!({"create": {"a": wrong}}));
        assert_eq!(answer["notCreated"]["a"]["type"], "invalidProperties", "{wrong}");
        assert_eq!(server.take_violations().len(), 1);
    }
    let answer = call(&server, "Blob/upload", json!({"create": {"a": {"data": [{"blobId": "bnone"}]}}}));
    assert_eq!(answer["notCreated"]["a"]["type"], "blobNotFound");
}
