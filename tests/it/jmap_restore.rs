//! Calendars, contacts and files over JMAP, on servers that take every liberty: what is told of an account, what goes back
//! into it, and what happens when answers are lost.

use crate::common;
use crate::common::jmap::{Account, At, Endpoint, Fault, Kind, Options, Participants, Server, When};
use crate::common::jmap_run::{command, judge, stored};
use crate::common::{Dice, jmap_account, message, soak};
use rusqlite::Connection;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

struct Place {
    server: Server,
    dir: tempfile::TempDir,
}

impl Place {
    fn new(options: Options) -> Place {
        Place { server: Server::start(options), dir: tempfile::tempdir().expect("a directory") }
    }

    fn archive(&self) -> PathBuf {
        self.dir.path().join("a.sqlite")
    }

    fn run(&self, what: &str, extra: &[&str], code: i32) -> (Value, String) {
        let mut command = command(&self.server, what);
        judge(&command.args(extra).arg(self.archive()).output().expect("the program starts"), code)
    }

    fn import(&self, code: i32) -> (Value, String) {
        self.run("import", &[], code)
    }

    fn export(&self, extra: &[&str], code: i32) -> (Value, String) {
        self.run("export", extra, code)
    }

    /// The archive of this one is what goes to that one.
    fn export_to(&self, other: &Server, extra: &[&str], code: i32) -> (Value, String) {
        let mut command = command(other, "export");
        judge(&command.args(extra).arg(self.archive()).output().expect("the program starts"), code)
    }

    fn states(&self) -> Vec<String> {
        vandelay::model::ObjectType::ALL
            .map(|kind| format!("{} {}", kind.name(), self.server.state("A1", kind.name())))
            .to_vec()
    }

    fn sql(&self, sql: &str) {
        let conn = Connection::open(self.archive()).expect("the archive opens");
        conn.execute_batch(sql).expect("SQL");
        common::digest_snapshots(&conn);
    }
}

/// Both servers hold the same.
fn same(one: &Server, other: &Server, what: &str) {
    let (mut one, mut other) = (one.snapshot("A1"), other.snapshot("A1"));
    let both: Vec<String> = one.iter().filter(|line| other.contains(line)).cloned().collect();
    one.retain(|line| !both.contains(line));
    other.retain(|line| !both.contains(line));
    assert!(one.is_empty() && other.is_empty(), "only there: {one:#?}\nonly here: {other:#?}\n{what}");
}

/// What an account may have that is hard to find again: objects of one name, of one uid, names that no target takes.
fn add_oddities(server: &Server) {
    let seed = |kind: &str, object: Value| server.seed("A1", kind, object);
    let books = [(); 2].map(|()| seed("AddressBook", json!({ "name": "Same" })));
    for (number, book) in books.iter().enumerate() {
        seed(
            "ContactCard",
            json!({ "@type": "Card", "version": "1.0", "uid": format!("same{number}"), "name": { "full": "x" },
                "addressBookIds": { book: true } }),
        );
    }
    // Calendars of one name are told by their ids.
    for number in [1, 2] {
        let twin = seed("Calendar", json!({ "name": "Twin", "sortOrder": number }));
        let event = json!({ "@type": "Event", "uid": format!("twin{number}"), "start": "2026-01-03T10:00:00", "calendarIds": { twin: true } });
        seed("CalendarEvent", event);
    }
    // Two cards of one uid, and two events.
    let calendar = seed("Calendar", json!({ "name": "Odd \u{1} name  " }));
    for title in ["one", "two"] {
        seed(
            "ContactCard",
            json!({ "@type": "Card", "version": "1.0", "uid": "twin", "name": { "full": title },
                "addressBookIds": { &books[0]: true }, "vCard": { "properties": [["x-a", {}, "text", title]] } }),
        );
        seed(
            "CalendarEvent",
            json!({ "@type": "Event", "uid": "twin", "title": title, "start": "2026-01-02T10:00:00",
                "calendarIds": { &calendar: true } }),
        );
        seed("Identity", json!({ "name": "Twin", "email": "twin@example.org", "textSignature": title }));
    }
    seed(
        "CalendarEvent",
        json!({ "@type": "Note", "uid": "note", "title": "Note", "calendarIds": { &calendar: true } }),
    );
    seed(
        "CalendarEvent",
        json!({ "@type": "Event", "uid": "s1", "title": "Some day", "calendarIds": { &calendar: true } }),
    );
    for name in ["a\u{7f}b", " spaces ", "\u{65}\u{301}"] {
        seed("Mailbox", json!({ "name": name }));
    }
    server.seed_file("A1", None, "con:?.txt", Some(b"x"));
    // One that is called inbox, and is none.
    seed("Mailbox", json!({ "name": "Inbox" }));
    // Values that no target would be given.
    for (number, odd) in [
        json!({ "color": "#FF2968FF", "defaultAlertsWithTime": {}, "timeZone": "Mars/Olympus Mons", "name": "odd 1" }),
        json!({ "color": "Red", "includeInAvailability": null, "name": "" }),
        json!({ "color": "rgb(1,2,3)", "defaultAlertsWithoutTime": {}, "name": "odd 3" }),
    ]
    .into_iter()
    .enumerate()
    {
        let calendar = seed("Calendar", odd);
        let mut event = json!({ "@type": "Event", "uid": format!("odd{number}"), "start": "2026-01-02T10:00:00",
            "duration": "-PT1H", "method": "publish", "alerts": { "a": { "@type": "Alert" } } });
        // One of them lies in no calendar.
        event["calendarIds"] = if number == 0 { json!({}) } else { json!({ calendar: true }) };
        seed("CalendarEvent", event);
    }
    seed(
        "ContactCard",
        json!({ "@type": "Card", "version": "1.0", "uid": "twin~deadbeef", "name": { "full": "one" }, "addressBookIds": {} }),
    );
    for (name, kind) in [("a", Value::Null), ("b", json!("text/plain; charset=utf-8")), ("c", json!("Text/Plain"))] {
        let blob = server.seed_blob("A1", name.as_bytes());
        seed(
            "FileNode",
            json!({ "name": name, "nodeType": "file", "size": 1, "blobId": blob, "type": kind, "parentId": null }),
        );
    }
}

/// The property that a backup is judged by: back into the account that it came from, nothing is sent, nothing is removed,
/// and no state is another one.
fn nothing_changes(place: &Place) {
    let states = place.states();
    for extra in [&[][..], &["--update"], &["--prune", "--yes"], &["--update", "--prune", "--yes"]] {
        place.server.reset_counters();
        let (dry, _) = place.export(&[extra, &["--dry-run"]].concat(), 0);
        for (kind, plan) in dry["plan"].as_object().expect("a plan") {
            for what in ["create", "update", "remove"] {
                assert_eq!(plan[what], 0, "{extra:?} {kind} {plan}");
            }
        }
        let (summary, said) = place.export(extra, 0);
        let counters = place.server.counters();
        let writes = |name: &&String| name.ends_with("/set") || name.ends_with("/import") || name.ends_with("/upload");
        let writes: Vec<&String> = counters.calls.keys().filter(writes).collect();
        assert!(writes.is_empty(), "{extra:?} {writes:?} {summary} {said}");
        assert_eq!(counters.requests(Endpoint::Upload), 0);
        assert_eq!(place.states(), states, "{extra:?}");
    }
}

#[test]
fn back_into_the_same_account_nothing_changes() {
    let event = &["Event"][..];
    for options in [
        Options { takes_twins: true, ..Options::default() },
        Options { event_types: event, ..Options::default() },
        Options { is_sparse: false, ..Options::default() },
        Options {
            participants: Participants::ScheduleId,
            unknown: vec![("ParticipantIdentity", "calendarAddress")],
            ..Options::default()
        },
        Options {
            unknown: vec![
                ("Calendar", "isVisible"),
                ("Calendar", "timeZone"),
                ("FileNode", "executable"),
                ("CalendarEvent", "iCalendar"),
                ("ContactCard", "vCard"),
                ("Identity", "mayDelete"),
            ],
            ..Options::default()
        },
    ] {
        let place = Place::new(options);
        jmap_account::fill(&place.server);
        add_oddities(&place.server);
        place.import(0);
        nothing_changes(&place);
        place.server.assert_clean();
    }
}

/// What the user or the server makes while a run writes is not taken for something that came twice.
#[test]
fn what_is_made_meanwhile_stays() {
    let from = Place::new(Options::default());
    jmap_account::fill(&from.server);
    from.import(0);
    let to = Server::start(Options { takes_twins: true, ..Options::default() });
    let add = |kind: &'static str, object: Value| {
        move |account: &mut Account| {
            let mut object = object.clone();
            object["id"] = json!("meanwhile");
            account.put(Kind::named(kind).expect("a type"), "meanwhile", object);
        }
    };
    let rights = json!({ "mayRead": true, "mayWrite": true, "mayShare": true, "mayDelete": true, "mayReadFreeBusy": true,
        "mayReadItems": true, "mayWriteAll": true, "mayWriteOwn": true, "mayUpdatePrivate": true, "mayRSVP": true });
    let own = [
        ("Calendar", json!({ "name": "work", "color": "#00ff00", "isDefault": false, "myRights": rights })),
        ("AddressBook", json!({ "name": "People", "isDefault": true, "myRights": rights })),
        (
            "Identity",
            json!({ "name": "Alice", "email": "alice@example.org", "textSignature": "new", "mayDelete": true }),
        ),
    ];
    for (kind, object) in &own {
        let method: &'static str = Box::leak(format!("{kind}/set").into_boxed_str());
        to.fault(At::Call(method), When::Nth(1), Fault::Meanwhile(Arc::new(add(kind, object.clone()))));
    }
    let (_, said) = from.export_to(&to, &[], 0);
    for (kind, _) in &own {
        assert!(to.object("A1", kind, "meanwhile").is_some(), "{kind}: {said}");
    }
    assert!(!said.contains("twice"), "{said}");
}

/// An archive that holds no file says nothing about the files of an account, not even if a task of it would be one.
#[test]
fn files_are_not_pruned_for_an_archive_without_any() {
    let from = Place::new(common::jmap_run::without_files());
    let calendar = from.server.seed("A1", "Calendar", json!({ "name": "Work" }));
    let task = json!({ "@type": "Task", "uid": "t", "title": "Do", "calendarIds": { &calendar: true } });
    from.server.seed("A1", "CalendarEvent", task);
    from.import(0);
    for event_types in [&["Event"][..], &["Event", "Task"]] {
        let to = Server::start(Options { event_types, ..Options::default() });
        let file = to.seed_file("A1", None, "x.txt", Some(b"x"));
        from.export_to(&to, &["--prune", "--yes"], 0);
        assert!(to.object("A1", "FileNode", &file).is_some());
    }
}

/// Calendars that a server cuts off without a word, and cannot be asked for: the run is not complete, and nothing is made
/// anew at the account.
#[test]
fn what_may_be_cut_is_told() {
    let limits = common::jmap::Limits { max_objects_in_get: 3, ..Default::default() };
    let place = Place::new(Options { limits, cuts_silently: true, ..Options::default() });
    for number in 0..6 {
        place.server.seed("A1", "Calendar", json!({ "name": format!("c{number}") }));
    }
    let (_, said) = place.import(5);
    assert!(said.contains("there may be others"), "{said}");
    let (_, said) = place.export(&[], 0);
    assert!(said.contains("calendar are left out"), "{said}");
    assert_eq!(place.server.objects("A1", "Calendar").len(), 6);
}

/// What differs between an account and its copy by rule: the server of the copy says when it was made there.
const BY_RULE: &str = "\"updated\": ";

/// Out to an empty account and in again: both archives hold the same, to the last property of every type.
#[test]
fn there_and_back_again_everything_is_equal() {
    let from = Place::new(Options::default());
    jmap_account::fill(&from.server);
    from.import(0);
    let to = Place::new(Options::default());
    from.export_to(&to.server, &[], 0);
    to.import(0);
    let lines = |place: &Place| {
        let lines = jmap_account::of_archive(&place.archive()).into_iter().map(|line| match line.find(BY_RULE) {
            Some(at) => {
                let rest = &line[at + BY_RULE.len()..];
                let end = rest.find("Z\\\"\"").map_or(rest.len(), |end| end + 4);
                format!("{}{}", &line[..at], rest[end..].trim_start_matches(", "))
            }
            None => line,
        });
        lines.map(|line| line.replace(", }", "}")).collect::<std::collections::BTreeSet<String>>()
    };
    let (one, other) = (lines(&from), lines(&to));
    let differs: Vec<&String> = one.symmetric_difference(&other).collect();
    assert!(differs.is_empty(), "{differs:#?}");
}

/// Names of one id: a mailbox, a calendar, an address book, a directory.
#[test]
fn ids_of_one_type_are_not_those_of_another() {
    let place = Place::new(Options::default());
    jmap_account::fill(&place.server);
    let of = |kind: &str| place.server.objects("A1", kind).into_keys().collect::<std::collections::BTreeSet<_>>();
    let shared = &(&of("Mailbox") & &of("Calendar")) & &of("FileNode");
    assert!(!shared.is_empty(), "the server gives each type ids of its own");
    place.import(0);
    jmap_account::assert_equal(&place.server, &place.archive());
}

/// Archives in which a former version put events, cards and files into rows of containers of another type.
#[test]
fn what_a_former_version_put_in_the_wrong_place_is_put_right() {
    let place = Place::new(Options::default());
    jmap_account::fill(&place.server);
    place.import(0);
    // As such a version left it: the ids of one container for all, and cursors without the day of the last full listing.
    place.sql(
        "UPDATE calendar_events SET calendar_ids = '[2]' WHERE id IN (SELECT local_id FROM origins o JOIN scopes s ON s.id = o.scope_id WHERE s.kind = 'CalendarEvent');
         UPDATE origins SET parents = '[2]' WHERE scope_id IN (SELECT id FROM scopes WHERE kind = 'CalendarEvent' AND key <> '');
         UPDATE file_nodes SET parent_id = NULL WHERE node_type = 'file';
         UPDATE origins SET parents = '[]' WHERE scope_id IN (SELECT id FROM scopes WHERE kind = 'FileNode' AND key <> '');
         UPDATE contact_cards SET address_book_ids = '[2]';
         UPDATE origins SET parents = '[2]' WHERE scope_id IN (SELECT id FROM scopes WHERE kind = 'ContactCard' AND key <> '');
         UPDATE scopes SET cursor = substr(cursor, instr(cursor, ' ') + 1) WHERE cursor LIKE '%:% %';",
    );
    let (summary, said) = place.import(0);
    assert!(said.contains("calendarevent") && said.contains("wrong"), "{said}");
    assert!(stored(&summary, "calendarevent")[1] > 0, "{summary}");
    jmap_account::assert_equal(&place.server, &place.archive());
    let (_, said) = place.import(0);
    assert!(!said.contains("wrong"), "{said}");
}

/// What a server did not tell is not written over what another one has.
#[test]
fn what_was_not_told_is_never_written() {
    let hidden = ["isVisible", "includeInAvailability", "defaultAlertsWithTime", "defaultAlertsWithoutTime"];
    let unknown: Vec<(&str, &str)> = hidden.iter().map(|name| ("Calendar", *name)).collect();
    let place = Place::new(Options { unknown, ..Options::default() });
    jmap_account::fill(&place.server);
    place.import(0);
    let to = Server::start(Options::default());
    let alerts = json!({ "a": { "@type": "Alert", "trigger": { "@type": "OffsetTrigger", "offset": "-PT5M" } } });
    let calendar = to.seed(
        "A1",
        "Calendar",
        json!({ "name": "Work", "isVisible": false, "includeInAvailability": "none", "defaultAlertsWithTime": alerts }),
    );
    place.export_to(&to, &["--update"], 0);
    let after = to.object("A1", "Calendar", &calendar).expect("the calendar");
    assert_eq!((&after["isVisible"], &after["includeInAvailability"]), (&json!(false), &json!("none")), "{after}");
    assert_eq!((&after["defaultAlertsWithTime"], &after["color"]), (&alerts, &json!("#ff0000")), "{after}");
}

/// Tasks and events without a start go to the account as what they are; a server that has none gets them as files, and what
/// is there as a file is not tried again.
#[test]
fn tasks_are_tasks_where_there_are_tasks() {
    for (event_types, is_file) in [(&["Event", "Task"][..], false), (&["Event"][..], true)] {
        let from = Place::new(Options::default());
        let calendar = jmap_account::fill(&from.server)["calendar"].clone();
        let someday = json!({ "@type": "Event", "uid": "s1", "title": "Some day", "calendarIds": { &calendar: true } });
        from.server.seed("A1", "CalendarEvent", someday);
        from.import(0);
        let to = Server::start(Options { event_types, ..Options::default() });
        let (summary, said) = from.export_to(&to, &[], 0);
        let task = to.objects("A1", "CalendarEvent").into_values().find(|event| event["uid"] == "t1");
        assert_eq!(task.map(|task| task["@type"].clone()), (!is_file).then(|| json!("Task")), "{summary} {said}");
        let names: Vec<String> = to.objects("A1", "FileNode").values().map(|it| it["name"].to_string()).collect();
        assert_eq!(names.contains(&"\"t1.ics\"".to_owned()), is_file, "{names:?}");
        // Here no event begins at no time.
        assert!(names.contains(&"\"s1.ics\"".to_owned()), "{names:?}");
        to.reset_counters();
        let (_, said) = from.export_to(&to, &["--update", "--prune", "--yes"], 0);
        let counters = to.counters();
        assert!(!counters.calls.keys().any(|name| name.ends_with("/set")), "{said} {counters:?}");
    }
}

/// One refusal that no other run mends blocks nothing; what fails blocks its own type and what hangs on it.
#[test]
fn a_refusal_blocks_no_removal() {
    let place = Place::new(Options::default());
    jmap_account::fill(&place.server);
    place.import(0);
    let to = Server::start(Options { may_send_from: Some(vec!["example.com".to_owned()]), ..Options::default() });
    let foreign = to.seed("A1", "Calendar", json!({ "name": "Foreign" }));
    to.seed_script("A1", "vacation", b"keep;\r\n", false);
    let (summary, said) = place.export_to(&to, &["--prune", "--yes"], 5);
    assert_eq!(summary["types"]["identity"]["refused"], 1, "{summary}");
    assert!(to.object("A1", "Calendar", &foreign).is_none(), "{said}");
    assert!(said.contains("rejected") && !said.contains("run the same command again"), "{said}");
    assert!(to.objects("A1", "SieveScript").values().any(|it| it["name"] == "vacation"));
    let foreign = ["Calendar", "AddressBook"].map(|kind| (kind, to.seed("A1", kind, json!({ "name": "Foreign" }))));
    to.remove("A1", "CalendarEvent", to.objects("A1", "CalendarEvent").keys().next().expect("an event"));
    to.fault(At::Call("CalendarEvent/set"), When::Always, Fault::Error("serverFail"));
    let mut command = command(&to, "export");
    command.args(["--prune", "--yes", "--max-retries", "1"]).arg(place.archive());
    let (_, said) = judge(&command.output().expect("the program starts"), 5);
    assert!(said.contains("nothing of type calendar was removed") && said.contains("calendarevent"), "{said}");
    assert!(to.object("A1", "Calendar", &foreign[0].1).is_some());
    assert!(to.object("A1", "AddressBook", &foreign[1].1).is_none());
}

/// More messages than may be uploaded in the time: the export waits as it is asked to, and ends complete.
#[test]
fn an_upload_quota_is_waited_for() {
    let from = Place::new(Options::default());
    let inbox = from.server.seed("A1", "Mailbox", json!({ "name": "INBOX", "role": "inbox" }));
    for number in 0..100 {
        from.server.seed_email("A1", &message(number), &[&inbox], &[], "2026-01-01T00:00:00Z");
    }
    from.import(0);
    // It does not find blobs in the request that imports them, and takes 40 uploads in two seconds.
    let to = Server::start(Options { uploads: Some((40, Duration::from_secs(2))), ..Options::default() });
    to.fault(At::Call("Email/import"), When::Nth(1), Fault::Object("blobNotFound", 1_000));
    let (summary, said) = from.export_to(&to, &[], 0);
    assert_eq!(
        (summary["types"]["email"]["created"].as_u64(), to.objects("A1", "Email").len()),
        (Some(100), 100),
        "{said}"
    );
    // The first request with blobs in it is a try with one.
    assert_eq!(to.account("A1", |account| account.uploaded), 101);
}

/// Another run still works at the account, or an answer was lost: every object is there once.
#[test]
fn nothing_is_there_twice_however_often_a_run_is_killed() {
    for (takes_twins, without_states) in [(false, false), (true, false), (true, true)] {
        let from = Place::new(Options::default());
        jmap_account::fill(&from.server);
        let calendar = from.server.seed("A1", "Calendar", json!({ "name": "Many" }));
        let book = from.server.seed("A1", "AddressBook", json!({ "name": "Many" }));
        for number in 0..40 {
            let event = json!({ "@type": "Event", "uid": format!("many{number}"), "start": "2026-01-02T10:00:00", "calendarIds": { &calendar: true }, "created": "2026-01-01T00:00:00Z" });
            from.server.seed("A1", "CalendarEvent", event);
            let card = json!({ "@type": "Card", "version": "1.0", "uid": format!("many{number}"), "name": { "full": "x" }, "addressBookIds": { &book: true } });
            from.server.seed("A1", "ContactCard", card);
        }
        from.import(0);
        let limits = common::jmap::Limits { max_objects_in_set: 7, ..Default::default() };
        let to = Server::start(Options { takes_twins, limits, ..Options::default() });
        let slow = || {
            to.fault(At::AnyCall, When::Always, Fault::Slow(Duration::from_millis(20)));
            if without_states {
                for method in ["CalendarEvent/set", "ContactCard/set", "Calendar/set", "AddressBook/set"] {
                    to.fault(At::Call(method), When::First(1), Fault::Error("invalidArguments"));
                }
            }
        };
        let mut dice = Dice(11);
        let mut kills = 0;
        for _ in 0..if soak() { 50 } else { 17 } {
            to.reset_faults();
            slow();
            let mut child = command(&to, "export");
            child.arg(from.archive()).arg("--quiet").stdout(Stdio::null()).stderr(Stdio::null());
            let mut child = child.spawn().expect("it starts");
            std::thread::sleep(Duration::from_millis(100 + dice.roll() % 900));
            kills += u32::from(child.try_wait().expect("a child").is_none());
            child.kill().expect("a child");
            child.wait().expect("a child");
        }
        to.reset_faults();
        let (summary, said) = from.export_to(&to, &[], 0);
        to.take_violations();
        assert!(kills > 5, "{kills} kills");
        same(&to, &from.server, &format!("{takes_twins} {without_states} {summary} {said}"));
    }
}

/// Faults at random in everything that writes; whatever happens, the account is the same in the end.
#[test]
fn faults_at_random_leave_the_same_account() {
    let from = Place::new(Options::default());
    jmap_account::fill(&from.server);
    from.import(0);
    let mut dice = Dice(5);
    let methods = [
        "Mailbox/set",
        "Email/import",
        "AddressBook/set",
        "ContactCard/set",
        "Calendar/set",
        "CalendarEvent/set",
        "FileNode/set",
        "Identity/set",
        "ParticipantIdentity/set",
        "SieveScript/set",
        "Blob/upload",
    ];
    for round in 0..if soak() { 200 } else { 40 } {
        let to = Server::start(Options { takes_twins: round % 2 == 0, ..Options::default() });
        let method = methods[dice.roll() as usize % methods.len()];
        let fault = match dice.roll() % 8 {
            0 => Fault::CutBefore,
            1 => Fault::CutAfter,
            2 => Fault::Status(504),
            3 => Fault::ErrorAfter("serverFail"),
            4 => Fault::Partial,
            5 => Fault::Object("rateLimit", 2),
            6 => Fault::Truncated,
            _ => Fault::Error("serverUnavailable"),
        };
        to.fault(At::Call(method), When::First(1 + dice.roll() % 2), fault);
        let (summary, said) = from.export_to(&to, &[], 0);
        same(&to, &from.server, &format!("{round} {method} {summary} {said}"));
    }
}

/// A run that changes nothing counts everything that there is; a dry run names containers, too.
#[test]
fn a_run_without_changes_counts_directories_and_a_dry_run_counts_containers() {
    let place = Place::new(Options::default());
    jmap_account::fill(&place.server);
    let (dry, _) = place.run("import", &["--dry-run"], 0);
    let (summary, _) = place.import(0);
    for kind in ["mailbox", "calendar", "addressbook", "filenode", "email", "calendarevent"] {
        assert_eq!(stored(&dry, kind), stored(&summary, kind), "{kind}");
        assert!(stored(&dry, kind)[0] > 0, "{kind}");
    }
    let all = |summary: &Value, kind: &str| stored(summary, kind).iter().sum::<u64>();
    let (again, _) = place.import(0);
    for kind in ["mailbox", "calendar", "addressbook", "filenode", "email", "calendarevent"] {
        assert_eq!((all(&again, kind), stored(&again, kind)[0]), (all(&summary, kind), 0), "{kind} {again}");
    }
    let (dry, _) = place.run("import", &["--dry-run"], 0);
    assert_eq!(stored(&dry, "mailbox"), [0, 0, 3], "{dry}");
}

/// A server that hands over as many objects as it likes, without a word.
#[test]
fn objects_that_a_server_leaves_out_are_asked_for() {
    let limits = common::jmap::Limits { max_objects_in_get: 10, ..Default::default() };
    let place = Place::new(Options { limits, cuts_silently: true, ..Options::default() });
    for number in 0..25 {
        place.server.seed("A1", "Mailbox", json!({ "name": format!("m{number}") }));
    }
    let (summary, said) = place.import(0);
    assert_eq!(stored(&summary, "mailbox"), [25, 0, 0], "{said}");
}

/// What is planned is named as people know it, and remarks of one kind are one line.
#[test]
fn plans_name_titles_and_remarks_are_gathered() {
    let place = Place::new(Options::default());
    jmap_account::fill(&place.server);
    place.import(0);
    let to = Server::start(Options::default());
    let calendar = to.seed("A1", "Calendar", json!({ "name": "Work" }));
    let event = json!({ "@type": "Event", "uid": "f", "title": "Foreign", "start": "2026-03-04T10:00:00", "calendarIds": { &calendar: true } });
    to.seed("A1", "CalendarEvent", event);
    let (dry, _) = place.export_to(&to, &["--dry-run", "--prune"], 0);
    let plan = dry["plan"].to_string();
    for name in ["\\\"Tea\\\" of 2026-01-02", "\\\"Ada\\\"", "\\\"Foreign\\\" of 2026-03-04"] {
        assert!(plan.contains(name), "{name}: {plan}");
    }
    to.fault(At::Call("Email/import"), When::Always, Fault::Object("invalidEmail", 100));
    let (_, said) = place.export_to(&to, &[], 5);
    let lines: Vec<&str> = said.lines().filter(|line| line.contains("invalidEmail")).collect();
    assert!(lines.len() == 1 && lines[0].contains("31 objects: ") && lines[0].contains("and 21 more"), "{said}");
}

/// A server that has calendars and no participant identities: one type that it does not know takes no others with it.
#[test]
fn a_type_that_the_server_does_not_know_is_left_out() {
    let from = Place::new(Options::default());
    jmap_account::fill(&from.server);
    from.import(0);
    let to = Server::start(Options::default());
    for method in ["ParticipantIdentity/get", "FileNode/query", "FileNode/get"] {
        to.fault(At::Call(method), When::Always, Fault::Error("unknownMethod"));
    }
    let (summary, said) = from.export_to(&to, &[], 0);
    assert_eq!(summary["types"]["calendarevent"]["created"], 3, "{said}");
    assert!(said.contains("participantidentity are left out") && said.contains("filenode are left out"), "{said}");
}

/// The address of an account with or without a slash, or with the path of the session, is one address.
#[test]
fn what_stands_behind_the_host_makes_no_other_account() {
    let place = Place::new(Options::default());
    jmap_account::fill(&place.server);
    place.import(0);
    for path in ["/", "/session", ""] {
        let mut command = common::jmap_run::begin("import", &format!("{}{path}", place.server.url()));
        command.env("VANDELAY_PASSWORD", "secret").args(["--auth-basic", "alice", "--account-id", "A1"]);
        let (summary, said) = judge(&command.arg(place.archive()).output().expect("the program starts"), 0);
        assert_eq!(stored(&summary, "email"), [0, 0, 31], "{path} {said}");
    }
    // Another port is another server.
    let other = Server::start(Options::default());
    let mut command = command(&other, "import");
    judge(&command.arg(place.archive()).output().expect("the program starts"), 4);
}

/// A server that works on after the line was cut, and takes twins: what it does late is seen before the run ends.
#[test]
fn work_that_goes_on_after_the_line_is_seen() {
    let from = Place::new(Options::default());
    jmap_account::fill(&from.server);
    from.import(0);
    let to = Server::start(Options { takes_twins: true, ..Options::default() });
    // What a run sent that nobody sees any more: it comes while this one writes.
    let event = from.server.objects("A1", "CalendarEvent").into_values().find(|event| event["uid"] == "e1");
    let event = event.expect("an event");
    let come = move |account: &mut Account| {
        let (kind, calendars) =
            (Kind::named("CalendarEvent").expect("a type"), Kind::named("Calendar").expect("a type"));
        let calendar = account.table(calendars).rows.keys().next().cloned().expect("a calendar");
        let mut late = event.clone();
        late["id"] = json!("late");
        late["calendarIds"] = json!({ calendar: true });
        late.as_object_mut().expect("an object").remove("links");
        account.put(kind, "late", late);
    };
    to.fault(At::Call("CalendarEvent/set"), When::Nth(1), Fault::Meanwhile(Arc::new(come)));
    let (_, said) = from.export_to(&to, &[], 0);
    let mut uids: BTreeMap<String, u32> = BTreeMap::new();
    for event in to.objects("A1", "CalendarEvent").values() {
        *uids.entry(event["uid"].to_string()).or_default() += 1;
    }
    assert!(uids.values().all(|count| *count == 1), "{uids:?} {said}");
}

/// The same on a real server, with its mail: back into the account nothing changes, and however often an export into another
/// account is killed, each message is there once.
#[test]
fn cyrus_gets_its_mail_back_as_it_is() {
    let Some(cyrus) = common::cyrus::Cyrus::start() else { return };
    let (alice, bob) = ("alice@example.org", "bob@example.org");
    let mut imap = common::imap::Imap::login(cyrus.imap, alice, "x");
    drop(common::imap::Imap::login(cyrus.imap, bob, "x"));
    imap.ok("CREATE Work");
    imap.ok("CREATE Work/Deep");
    for number in 0..200 {
        let folder = ["INBOX", "Work", "Work/Deep"][number as usize % 3];
        assert!(imap.append(
            folder,
            ["(\\Seen) ", "", "(\\Flagged work) "][number as usize % 3],
            &message(number),
            false
        ));
    }
    let dir = tempfile::tempdir().expect("a directory");
    let run = |what: &str, user: &str, archive: &str, extra: &[&str]| {
        let mut command = common::jmap_run::at_cyrus(&cyrus, what, user);
        command.args(["--objects", "mailbox,email"]).args(extra).arg(dir.path().join(archive));
        command
    };
    let done = |mut command: std::process::Command| judge(&command.output().expect("the program starts"), 0);
    done(run("import", alice, "a.sqlite", &[]));
    for extra in [&[][..], &["--update"], &["--prune", "--yes"], &["--update", "--prune", "--yes"]] {
        let (summary, said) = done(run("export", alice, "a.sqlite", extra));
        for kind in ["mailbox", "email"] {
            let account = &summary["types"][kind];
            let changed = ["created", "updated", "removed"].map(|what| account[what].as_u64());
            assert_eq!(changed, [Some(0); 3], "{extra:?} {kind} {account} {said}");
        }
    }
    // Nothing is new at the next import either: no state moved.
    let (summary, _) = done(run("import", alice, "a.sqlite", &[]));
    assert_eq!((stored(&summary, "email"), stored(&summary, "mailbox")[..2].to_vec()), ([0, 0, 200], vec![0, 0]));
    let mut dice = Dice(3);
    for _ in 0..if soak() { 50 } else { 10 } {
        let mut child = run("export", bob, "a.sqlite", &["--quiet"]);
        let mut child = child.stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("it starts");
        std::thread::sleep(Duration::from_millis(50 + dice.roll() % 400));
        child.kill().expect("a child");
        child.wait().expect("a child");
    }
    done(run("export", bob, "a.sqlite", &[]));
    let (summary, _) = done(run("import", bob, "b.sqlite", &[]));
    assert_eq!(stored(&summary, "email"), [200, 0, 0]);
}
