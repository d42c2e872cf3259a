//! Exports of events that are killed and refused: nothing comes twice, and what a server does not take is named while the
//! rest goes on. Nobody is invited who is not to be.

use crate::common::dav::Dav;
use crate::common::export_target::{MEETING, Ran, Target, event, import, items_of, killed};
use crate::common::fake_dav::{Answer, FakeDav, found, multistatus};
use crate::common::relay::Relay;
use crate::common::{Dice, soak};
use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::{Arc, Mutex};

/// An archive of so many events in the calendar "Work", and of a meeting.
fn dates(place: &Path, count: usize) -> PathBuf {
    let events: String = (0..count).map(|number| event(&format!("e{number}"), "")).collect();
    let folder = place.join("Takeout/Calendar");
    fs::create_dir_all(&folder).expect("a folder");
    let text = format!(
        "BEGIN:VCALENDAR\r\nVERSION:2.0\r\nPRODID:x\r\nX-APPLE-CALENDAR-COLOR:#ff0000\r\n{events}{}END:VCALENDAR\r\n",
        event("meeting", MEETING)
    );
    fs::write(folder.join("Work.ics"), text).expect("a calendar");
    let archive = place.join("dates.sqlite");
    import("takeout", &place.join("Takeout"), &archive);
    archive
}

#[test]
fn a_killed_export_of_events_leaves_nothing_twice() {
    for start in [Dav::radicale, Dav::xandikos, Dav::sabre] {
        if let Some(server) = start() {
            kills_leave_nothing_twice(&server);
        }
    }
}

fn kills_leave_nothing_twice(server: &Dav) {
    let place = tempfile::tempdir().expect("a folder");
    let archive = dates(place.path(), 200);
    let target = Target::dav(server, "caldav");
    let relay = Relay::start(server.port);
    let there = target.url.replacen(&server.port.to_string(), &relay.port.to_string(), 1);
    let watched = Target { url: there, ..target.clone() };
    let (mut dice, mut kills) = (Dice(5), 0);
    for _ in 0..if soak() { 50 } else { 8 } {
        kills += u32::from(killed(watched.command("export", &archive, &[]), &relay, 2000 + dice.below(20_000)));
    }
    assert!(kills >= 5, "{kills} kills");
    target.export(&archive, &[], 0);
    let back = place.path().join("back.sqlite");
    target.import(&back);
    let events = |archive: &Path| {
        let mut all = items_of(archive).remove("Work").expect("a calendar");
        // Some servers get the meeting with SCHEDULE-AGENT.
        all.retain(|lines| !lines.iter().any(|line| line.starts_with("ORGANIZER")));
        all
    };
    assert_eq!(events(&back), events(&archive), "{}", server.name);
    let held: Vec<usize> = server.held("caldav").iter().map(|one| one.items.len()).filter(|count| *count > 0).collect();
    assert_eq!(held, [201], "{}", server.name);
    target.is_settled(&archive, 0);
}

/// Questions cost a round trip each.
#[test]
fn a_run_asks_nothing_twice() {
    let desk = Desk::new();
    desk.export(&["--update"], 0);
    let asked: Arc<Mutex<Vec<String>>> = Arc::default();
    let all = Arc::clone(&asked);
    desk.server.hook(move |asked| {
        all.lock().expect("a lock").push(format!("{} {} {}", asked.method, asked.path, asked.body));
        None
    });
    desk.export(&["--update"], 0);
    let all = asked.lock().expect("a lock").clone();
    let different: BTreeSet<&String> = all.iter().collect();
    assert_eq!(all.len(), different.len(), "{all:#?}");
}

#[test]
fn a_task_that_a_calendar_does_not_take_is_named_with_the_reason() {
    let place = tempfile::tempdir().expect("a folder");
    let folder = place.path().join("Takeout/Calendar");
    fs::create_dir_all(&folder).expect("a folder");
    let todo = "BEGIN:VTODO\r\nUID:todo\r\nDTSTAMP:20260101T000000Z\r\nSUMMARY:Water the plants\r\nEND:VTODO\r\n";
    let text = format!("BEGIN:VCALENDAR\r\nVERSION:2.0\r\nPRODID:x\r\n{}{todo}END:VCALENDAR\r\n", event("e1", ""));
    fs::write(folder.join("Work.ics"), text).expect("a calendar");
    let archive = place.path().join("dates.sqlite");
    import("takeout", &place.path().join("Takeout"), &archive);
    let desk = Desk::new();
    desk.server.hook(|asked| {
        let body = b"<D:error xmlns:D=\"DAV:\"><C:supported-calendar-component xmlns:C=\"urn:ietf:params:xml:ns:caldav\"/></D:error>";
        let is_it = asked.method == "PUT" && asked.body.contains("VTODO");
        is_it.then(|| (403, "Content-Type: application/xml\r\n".to_owned(), body.to_vec()))
    });
    let done = desk.target.export(&archive, &["--max-retries", "0"], 0);
    assert_eq!((done.sum("created"), done.count("calendarevent", "skipped")), (1, 1), "{}", done.summary);
    let said = "the account does not take it; it says: ";
    assert!(done.said.contains(said) && done.said.contains("supported-calendar-component"), "{}", done.said);
}

/// A resource is stored only if there is none of its name.
#[test]
fn two_exports_at_once_leave_nothing_twice() {
    let Some(server) = Dav::radicale() else { return };
    let place = tempfile::tempdir().expect("a folder");
    let archive = dates(place.path(), 100);
    let target = Target::dav(&server, "caldav");
    let start = || target.command("export", &archive, &[]).stdout(Stdio::null()).stderr(Stdio::null()).spawn();
    let both = [start(), start()].map(|child| child.expect("it starts"));
    for mut child in both {
        assert!(child.wait().expect("a child").success());
    }
    assert_eq!(server.held("caldav").iter().map(|one| one.items.len()).collect::<Vec<_>>(), [101]);
    target.is_settled(&archive, 0);
}

/// A server with an empty calendar "Work", and an archive of events.
struct Desk {
    server: FakeDav,
    target: Target,
    archive: PathBuf,
    _place: tempfile::TempDir,
}

impl Desk {
    fn new() -> Desk {
        let place = tempfile::tempdir().expect("a folder");
        let server = FakeDav::start();
        server.with(|state| drop(state.collections.insert("Work".to_owned(), Default::default())));
        let target = Target::at("caldav", server.port, "alice", "secret");
        Desk { archive: dates(place.path(), 8), server, target, _place: place }
    }

    fn export(&self, flags: &[&str], code: i32) -> Ran {
        self.target.export(&self.archive, &[&["--max-retries", "0"], flags].concat(), code)
    }

    fn put(&self, name: &str, bytes: &[u8]) {
        self.server.with(|state| {
            state.collections.get_mut("Work").expect("a calendar").insert(name.to_owned(), bytes.to_vec());
        });
    }

    fn get(&self, name: &str) -> Option<String> {
        let mut found = None;
        self.server.with(|state| found = state.collections["Work"].get(name).cloned());
        found.map(|bytes| String::from_utf8(bytes).expect("text"))
    }

    fn count(&self) -> usize {
        let mut count = 0;
        self.server.with(|state| count = state.collections.values().map(|all| all.len()).sum());
        count
    }
}

#[test]
fn an_event_that_is_refused_stops_no_other() {
    let page = || b"<!DOCTYPE html><html><body>Please log in to the hotel</body></html>".to_vec();
    let answers: [(u16, Vec<u8>, u64); 8] = [
        (403, Vec::new(), 1),
        (400, page(), 1),
        (412, Vec::new(), 1),
        (415, Vec::new(), 1),
        (507, Vec::new(), 0),
        (413, Vec::new(), 0),
        (500, page(), 0),
        (200, page(), 0),
    ];
    for (status, body, refused) in answers {
        let desk = Desk::new();
        let answer = (status, "Content-Type: text/html\r\n".to_owned(), body);
        desk.server
            .hook(move |asked| (asked.method == "PUT" && asked.path.ends_with("/e3.ics")).then(|| answer.clone()));
        let done = desk.export(&[], 5);
        let counts = ["created", "failed", "refused"].map(|what| done.count("calendarevent", what));
        assert_eq!(counts, [8, 1, refused], "{status}: {}", done.said);
        assert_eq!((desk.count(), desk.get("e3.ics")), (8, None), "{status}");
        assert!(done.said.contains("\"e3\""), "{status}: {}", done.said);
        assert!(!done.said.contains("has something of its name"), "{status}: nothing has: {}", done.said);
        desk.server.hook(|_| None);
        assert_eq!(desk.export(&[], 0).sum("created"), 1, "{status}");
        assert_eq!(desk.count(), 9);
    }
}

#[test]
fn what_somebody_changes_during_the_run_stays() {
    let desk = Desk::new();
    desk.export(&["--update"], 0);
    let other = desk.get("e3.ics").expect("an event").replace("SUMMARY:e3", "SUMMARY:mine");
    desk.put("e3.ics", other.as_bytes());
    desk.server.hook(|asked| (asked.method == "PUT").then(|| (412, String::new(), Vec::new())));
    let done = desk.export(&["--update", "--objects", "calendarevent"], 5);
    let counts = ["updated", "failed", "refused"].map(|what| done.count("calendarevent", what));
    assert_eq!(counts, [0, 1, 0], "{}", done.said);
    assert!(done.said.contains("somebody changed it at the server"), "{}", done.said);
    desk.server.hook(|_| None);
    assert_eq!(desk.export(&["--update", "--objects", "calendarevent"], 0).sum("updated"), 1);
    assert!(desk.get("e3.ics").is_some_and(|text| text.contains("SUMMARY:e3")));
    // An etag goes with each change, and nothing is created over something.
    desk.put("e4.ics", b"BEGIN:VCALENDAR\r\nEND:VCALENDAR\r\n");
    let done = desk.export(&["--objects", "calendarevent"], 5);
    assert_eq!(done.count("calendarevent", "refused"), 1, "{}", done.said);
    assert!(done.said.contains("has something of its name (412 Precondition Failed)"), "{}", done.said);
    assert_eq!(desk.get("e4.ics").as_deref(), Some("BEGIN:VCALENDAR\r\nEND:VCALENDAR\r\n"));
}

/// Xandikos answers 412 to bytes that it does not take. No bracket stays open where the reason has a colon.
#[test]
fn a_refusal_that_looks_like_a_conflict_is_one() {
    let desk = Desk::new();
    let body = b"<D:error xmlns:D=\"DAV:\">Invalid calendar file: no DTSTART</D:error>".to_vec();
    let answer = (412, "Content-Type: application/xml\r\n".to_owned(), body);
    desk.server.hook(move |asked| (asked.method == "PUT" && asked.path.ends_with("/e3.ics")).then(|| answer.clone()));
    let done = desk.export(&[], 5);
    assert_eq!(done.count("calendarevent", "refused"), 1, "{}", done.said);
    assert!(done.said.contains("412 Precondition Failed"), "{}", done.said);
    let headings = done.summary["types"]["calendarevent"]["failed_reasons"].to_string();
    assert_eq!(headings.matches('(').count(), headings.matches(')').count(), "{headings}");
    assert!(!headings.contains("something of its name"), "{headings}");
}

/// Nothing is written where the user has not said.
#[test]
fn a_url_that_leads_elsewhere_is_refused() {
    let elsewhere = "has no calendars itself";
    for (path, code, words) in [
        ("", 0, ""),
        ("/", 0, ""),
        ("/alice", 0, elsewhere),
        ("/alice/home/", 0, ""),
        ("/alice/home/Work", 0, ""),
        ("/.well-known/caldav", 0, elsewhere),
        ("/alice/wrok/", 3, "/alice/wrok/, asked for calendars: 404"),
        ("/alice/book/", 3, "/alice/book/ has no calendars"),
        ("/bob/", 3, "/bob/ has no calendars"),
    ] {
        let desk = Desk::new();
        desk.server.hook(|asked| {
            let principal = "<D:current-user-principal><D:href>/alice/</D:href></D:current-user-principal>";
            let answer = |kind: &str| {
                let kind = format!("<D:resourcetype><D:collection/>{kind}</D:resourcetype>{principal}");
                Some(multistatus(&found(&asked.path, &kind)))
            };
            match asked.path.as_str() {
                "/alice/book/" => answer("<R:addressbook xmlns:R=\"urn:ietf:params:xml:ns:carddav\"/>"),
                "/bob/" | "/.well-known/caldav" => answer(""),
                "/alice/wrok/" => Some((404, String::new(), Vec::new())),
                _ => None,
            }
        });
        let target = Target { url: format!("{}{path}", desk.target.url), ..desk.target.clone() };
        let done = target.export(&desk.archive, &["--max-retries", "0", "--update"], code);
        assert_eq!(desk.count(), if code == 0 { 9 } else { 0 }, "{path}: {}", done.said);
        assert!(done.said.contains(words), "{path}: {}", done.said);
        assert_eq!(done.said.contains(elsewhere), words == elsewhere, "{path}: {}", done.said);
        assert!(code == 0 || done.said.contains("/alice/home/: use that as --url"), "{path}: {}", done.said);
        assert!(code == 0 || target.export(&desk.archive, &["--dry-run"], code).summary.is_null());
    }
}

#[test]
fn an_export_that_wrote_nothing_says_so() {
    let desk = Desk::new();
    desk.server.with(|state| {
        state.collections.clear();
        state.collections.insert("Other".to_owned(), Default::default());
    });
    let target = Target { url: format!("{}/alice/home/Other/", desk.target.url), ..desk.target.clone() };
    let done = target.export(&desk.archive, &["--max-retries", "0"], 5);
    assert!(done.said.contains("nothing of the archive is there"), "{}", done.said);
    assert!(!done.said.contains("everything else"), "{}", done.said);
    assert_eq!(desk.count(), 0);
}

/// A 207 that refuses the colour.
fn colourless(href: &str) -> Answer {
    multistatus(&format!(
        "<D:response><D:href>{href}</D:href><D:propstat><D:prop><A:calendar-color xmlns:A=\"http://apple.com/ns/ical/\"/></D:prop><D:status>HTTP/1.1 403 x</D:status></D:propstat></D:response>"
    ))
}

#[test]
fn a_refused_property_of_a_calendar_is_named_and_its_events_are_there() {
    let desk = Desk::new();
    desk.server.hook(|asked| (asked.method == "PROPPATCH").then(|| colourless(&asked.path)));
    let done = desk.export(&["--update"], 5);
    assert_eq!((done.count("calendar", "refused"), done.count("calendarevent", "created")), (1, 9), "{}", done.said);
    assert!(done.said.contains("calendar-color"), "{}", done.said);
    // A calendar that is still to be made is made without it.
    let desk = Desk::new();
    desk.server.with(|state| state.collections.clear());
    desk.server.hook(|asked| {
        (asked.method == "MKCALENDAR" && asked.body.contains("calendar-color")).then(|| colourless(&asked.path))
    });
    let done = desk.export(&[], 0);
    assert_eq!((done.count("calendar", "created"), done.count("calendarevent", "created")), (1, 9), "{}", done.said);
    assert!(done.said.contains("calendar-color"), "{}", done.said);
    assert_eq!(desk.count(), 9);
}

#[test]
fn nobody_is_invited_unless_the_user_wants_it() {
    for (flags, invites) in [(&[][..], false), (&["--allow-scheduling"], true)] {
        let desk = Desk::new();
        desk.server.hook(|asked| {
            let home = "<D:current-user-principal><D:href>/alice/</D:href></D:current-user-principal><C:calendar-home-set><D:href>/alice/home/</D:href></C:calendar-home-set><C:schedule-outbox-URL><D:href>/alice/outbox/</D:href></C:schedule-outbox-URL>";
            (asked.method == "PROPFIND" && asked.path == "/alice/").then(|| multistatus(&found("/alice/", home)))
        });
        let done = desk.export(&[flags, &["--update"]].concat(), 0);
        let meeting = desk.get("meeting.ics").expect("the meeting");
        let quiet = ["ORGANIZER;SCHEDULE-AGENT=CLIENT:", "ATTENDEE;SCHEDULE-AGENT=CLIENT;"];
        let expected = ["ORGANIZER:", "ATTENDEE;PARTSTAT"];
        let expected = if invites { expected } else { quiet };
        assert!(expected.iter().all(|line| meeting.contains(line)), "{meeting}");
        assert_eq!(done.said.contains("sends no invitations"), !invites, "{}", done.said);
        assert!(!desk.get("e1.ics").expect("an event").contains("SCHEDULE-AGENT"));
        let again = desk.export(&[flags, &["--update", "--objects", "calendarevent"]].concat(), 0);
        assert_eq!((again.sum("updated"), again.sum("created")), (0, 0), "{}", again.summary);
    }
    // A server without scheduling gets the bytes as they are.
    let desk = Desk::new();
    desk.export(&[], 0);
    assert!(desk.get("meeting.ics").is_some_and(|text| !text.contains("SCHEDULE-AGENT")));
}
