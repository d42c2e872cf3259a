//! `vandelay restore-check`: what restores is proved to, what does not is named; and a comparison with an account names
//! what differs, and writes nothing anywhere.

use crate::common::corpora::small;
use crate::common::dav::Dav;
use crate::common::dav_account::{card, event};
use crate::common::dovecot::{self, Dovecot};
use crate::common::export_target::{self, MEETING, Target, archive_of_dates, archive_of_mail};
use crate::common::imap::Imap;
use crate::common::jmap::{Options, Server};
use crate::common::relay::Relay;
use crate::common::{digest, jmap_account, jmap_run, listing, message, ok, vandelay};
use rusqlite::Connection;
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// A run: the objects that it names, its summary, its exit code, and all that it said to people.
struct Ran {
    objects: Vec<Value>,
    summary: Value,
    code: i32,
    said: String,
}

fn run(mut command: Command) -> Ran {
    let output = command.output().expect("the program starts");
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(!said.contains("panicked") && !said.contains(dovecot::PASSWORD), "{said}");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let lines: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    let of = |names: &[&str]| {
        let is_one = |line: &&Value| names.iter().any(|name| line["message_type"] == *name);
        lines.iter().filter(is_one).cloned().collect::<Vec<_>>()
    };
    let summary = of(&["summary"]).pop().unwrap_or_default();
    Ran { objects: of(&["loss", "mismatch"]), summary, code: output.status.code().expect("an exit code"), said }
}

/// `vandelay restore-check` of an archive.
fn check(archive: &Path, flags: &[&str]) -> Ran {
    let mut command = vandelay();
    command.args(["--json", "restore-check"]).arg(archive).args(flags);
    run(command)
}

impl Ran {
    /// Everything comes back, and this many objects of these types.
    fn is_whole(&self, least: &[(&str, u64)]) {
        assert_eq!((self.code, &self.objects[..]), (0, &[][..]), "{} {}", self.summary, self.said);
        for (token, count) in least {
            let counts = &self.summary["types"][token];
            assert!(counts["exact"].as_u64() >= Some(*count), "{token}: {}", self.summary);
            assert_eq!((&counts["lossy"], &counts["damaged"]), (&json!(0), &json!(0)), "{token}");
        }
    }

    /// The objects of a comparison: side, type, and what is said of each.
    fn differences(&self) -> BTreeSet<(String, String, String)> {
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let what = |one: &Value| format!("{} {}", text(&one["label"]), one["differences"]);
        self.objects.iter().map(|one| (text(&one["side"]), text(&one["type"]), what(one))).collect()
    }

    /// It names just these objects: side, type, and a part of what is said of each.
    fn names(&self, expected: &[(&str, &str, &str)]) {
        let found = self.differences();
        assert_eq!((self.code, found.len()), (5, expected.len()), "{found:#?} {} {}", self.summary, self.said);
        for (side, kind, part) in expected {
            let is_it = |(by, of, what): &(String, String, String)| by == side && of == kind && what.contains(part);
            assert!(found.iter().any(is_it), "{side} {kind} {part}: {found:#?}");
        }
        let count: u64 = self.summary["types"].as_object().expect("types").values().map(differing).sum();
        assert_eq!(count, expected.len() as u64, "{}", self.summary);
    }
}

/// How many objects of a type differ.
fn differing(counts: &Value) -> u64 {
    ["differs", "only_archive", "only_account"].iter().filter_map(|name| counts[name].as_u64()).sum()
}

fn text(path: &Path) -> &str {
    path.to_str().expect("UTF-8")
}

// --- what restores -------------------------------------------------------------------------------------------------

/// An archive with something of each type, from a JMAP server.
fn archive_of_everything(place: &Path) -> (Server, PathBuf) {
    let server = Server::start(Options::default());
    jmap_account::fill(&server);
    let archive = place.join("all.sqlite");
    let mut command = jmap_run::command(&server, "import");
    jmap_run::judge(&command.arg(&archive).output().expect("the program starts"), 0);
    (server, archive)
}

#[test]
fn what_is_whole_restores() {
    let place = tempfile::tempdir().expect("a folder");
    let mail = archive_of_mail(place.path());
    let ran = check(&mail, &[]);
    ran.is_whole(&[("email", 15), ("mailbox", 5)]);
    assert_eq!(ran.summary["headless"], json!({ "empty": 1 }));
    check(&archive_of_dates(place.path()), &[]).is_whole(&[("calendarevent", 5), ("contactcard", 2)]);
    let account = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/account");
    let sample = place.path().join("sample.sqlite");
    for (kind, folder) in [("maildir", "Maildir"), ("takeout", "Takeout")] {
        ok(&["--quiet", "import", kind, text(&account.join(folder)), text(&sample)]);
    }
    let before = (digest(&sample), listing(place.path()));
    check(&sample, &[]).is_whole(&[("email", 8), ("calendarevent", 4)]);
    check(&sample, &["--at", "1"]).is_whole(&[("email", 6)]);
    assert_eq!((digest(&sample), listing(place.path())), before, "a check leaves nothing behind");
}

#[test]
fn real_calendars_contacts_and_mail_restore() {
    for (name, kind, least) in
        [("calendars", "calendarevent", 150), ("contacts", "contactcard", 50), ("mail-edge", "email", 20)]
    {
        let place = tempfile::tempdir().expect("a folder");
        let corpus = small(name).expect("a small set");
        let archive = place.path().join("a.sqlite");
        let mut import = vandelay();
        // Some of these files are no calendars, and are named.
        import.args(["--quiet", "import", "takeout"]).arg(&corpus.root).arg(&archive);
        import.output().expect("the program starts");
        check(&archive, &[]).is_whole(&[(kind, least)]);
    }
}

/// What comes from a JMAP server has no file of its own: it is converted, and what JSCalendar has beyond iCalendar may go.
#[test]
fn what_a_jmap_server_gave_restores() {
    let place = tempfile::tempdir().expect("a folder");
    let (_server, archive) = archive_of_everything(place.path());
    let least =
        [("email", 31), ("calendarevent", 3), ("contactcard", 2), ("filenode", 6), ("sievescript", 2), ("identity", 1)];
    check(&archive, &[]).is_whole(&least);
}

// --- what does not -------------------------------------------------------------------------------------------------

/// Each change of an archive is found, and the object named.
#[test]
fn each_change_of_an_archive_is_named() {
    let place = tempfile::tempdir().expect("a folder");
    let (_server, whole) = archive_of_everything(place.path());
    let bytes = |id: &str| format!("(SELECT blob_id FROM {id})");
    let flip = |blob: &str| {
        format!("UPDATE blobs SET data = CAST(substr(CAST(data AS TEXT), 2) || 'x' AS BLOB) WHERE id = {blob}")
    };
    for (sql, kind, what) in [
        ("UPDATE emails SET keywords = '[\"$flagged\"]' WHERE id = 1".to_owned(), "email", "flag"),
        ("UPDATE email_index SET flags = 'T' WHERE email_id = 2".to_owned(), "email", "flags for other keywords"),
        ("UPDATE email_index SET received = received + 60 WHERE email_id = 2".to_owned(), "email", "date of arrival"),
        ("UPDATE emails SET received_at = '2020-01-01T00:00:00Z' WHERE id = 3".to_owned(), "email", "date of arrival"),
        ("UPDATE email_index SET size = size + 1 WHERE email_id = 3".to_owned(), "email", "size"),
        (
            "UPDATE emails SET message_match = '{\"m\":[\"x@y\"],\"f\":\"0\"}' WHERE id = 4".to_owned(),
            "email",
            "Message-ID",
        ),
        ("DELETE FROM email_index WHERE email_id = 5".to_owned(), "email", "the tree does not show it"),
        (
            "UPDATE emails SET blob_id = (SELECT blob_id FROM emails WHERE id = 7) WHERE id = 6".to_owned(),
            "email",
            "size",
        ),
        (flip(&bytes("emails WHERE id = 8")), "email", "blob"),
        ("UPDATE calendar_events SET data = '[]' WHERE id = 1".to_owned(), "calendarevent", "form"),
        ("UPDATE contact_cards SET data = '[]' WHERE id = 1".to_owned(), "contactcard", "vCard has no form"),
        (flip(&bytes("sieve_scripts WHERE id = 1")), "sievescript", "blob"),
        (flip(&bytes("file_nodes WHERE name = 'a.txt'")), "filenode", "blob"),
        ("UPDATE file_nodes SET blob_id = NULL WHERE name = 'a.txt'".to_owned(), "filenode", ""),
    ] {
        is_named(&whole, &sql, kind, what);
    }
    // These have the bytes of their source.
    let dates = archive_of_dates(place.path());
    for (sql, kind, what) in [
        ("UPDATE calendar_events SET data = replace(data, 'Every week', 'Every day')", "calendarevent", "title"),
        ("UPDATE calendar_events SET data = replace(data, 'todo@x', 'todo@y')", "calendarevent", "uid"),
        (
            "UPDATE calendar_events SET data = replace(data, '\"weekly\"', '\"daily\"')",
            "calendarevent",
            "recurrenceRule",
        ),
        ("UPDATE contact_cards SET data = replace(data, 'Lovelace', 'Byron')", "contactcard", "name"),
        ("UPDATE contact_cards SET uid = 'eve@x' WHERE uid = 'ada@x'", "contactcard", "uid"),
        ("UPDATE originals SET ranges = '[[0,20]]' WHERE kind = 'CalendarEvent'", "calendarevent", "form"),
    ] {
        is_named(&dates, sql, kind, what);
    }
}

/// A copy of an archive with this change does not restore, and an object of this type is named with these words.
fn is_named(archive: &Path, sql: &str, kind: &str, what: &str) {
    let copy = archive.with_extension("copy");
    fs::copy(archive, &copy).expect("a copy");
    let conn = Connection::open(&copy).expect("an archive");
    let changed = conn.execute(sql, []).unwrap_or_else(|error| panic!("{sql}: {error}"));
    assert!(changed > 0, "{sql}");
    drop(conn);
    let ran = check(&copy, &[]);
    // Verify finds each of them, too, and so it is damage.
    assert_eq!(ran.code, 8, "{sql}: {} {}", ran.summary, ran.said);
    let is_it = |one: &Value| one["type"] == kind && one["what"].as_str().is_some_and(|said| said.contains(what));
    assert!(ran.objects.iter().any(is_it), "{sql}: {:#?} {}", ran.objects, ran.said);
}

/// A Maildir has 26 letters for keywords in a mailbox.
#[test]
fn what_a_conversion_loses_ends_with_5() {
    let place = tempfile::tempdir().expect("a folder");
    let server = Server::start(Options::default());
    let inbox = server.seed("A1", "Mailbox", json!({ "name": "INBOX", "role": "inbox" }));
    let words: Vec<String> = (0..27).map(|number| format!("word{number}")).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    server.seed_email("A1", &message(1), &[&inbox], &words, "2026-01-01T00:00:00Z");
    server.seed_email("A1", &message(2), &[&inbox], &words[..3], "2026-01-01T00:00:00Z");
    let archive = place.path().join("a.sqlite");
    let mut command = jmap_run::command(&server, "import");
    jmap_run::judge(&command.arg(&archive).output().expect("the program starts"), 0);
    let ran = check(&archive, &[]);
    assert_eq!((ran.code, ran.objects.len()), (5, 1), "{:?} {}", ran.objects, ran.said);
    for one in &ran.objects {
        assert!(
            one["loss"] == "conversion" && one["what"].as_str().is_some_and(|what| what.contains("letter")),
            "{one}"
        );
    }
    assert!(ran.said.contains("1 object cannot be restored without losses"), "{}", ran.said);
    assert_eq!(ran.summary["types"]["email"], json!({ "exact": 1, "lossy": 1, "damaged": 0 }));
}

// --- accounts ------------------------------------------------------------------------------------------------------

/// Compares with an account, through a line that is looked at: the archive and its folder stay as they are.
fn against(target: &Target, archive: &Path, flags: &[&str]) -> Ran {
    let before = (digest(archive), listing(archive.parent().expect("a folder")));
    let mut command = vandelay();
    command.args([
        "--json",
        "restore-check",
        "--against",
        target.kind,
        "--allow-cleartext",
        "--auth-basic",
        target.user,
    ]);
    command.args(["--url", &target.url]).args(flags).arg(archive).env("VANDELAY_PASSWORD", target.password);
    let ran = run(command);
    assert_eq!((digest(archive), listing(archive.parent().expect("a folder"))), before, "the archive is not touched");
    ran
}

/// The same account through a relay.
fn through(target: &Target, relay: &Relay, port: u16) -> Target {
    let (from, to) = (format!("127.0.0.1:{port}"), format!("127.0.0.1:{}", relay.port));
    assert!(target.url.contains(&from), "{}", target.url);
    Target { url: target.url.replace(&from, &to), ..target.clone() }
}

/// None of these words begins a command that was said.
fn said_none_of(relay: &Relay, words: &[&str]) {
    let said = relay.said();
    assert!(!said.is_empty(), "nothing was said");
    for word in words {
        let is_it = |line: &&str| line.split(' ').take(3).any(|part| part.eq_ignore_ascii_case(word));
        assert_eq!(said.lines().find(is_it), None, "{word}");
    }
}

fn is_same(ran: &Ran, kind: &str, count: u64) {
    assert_eq!((ran.code, &ran.objects[..]), (0, &[][..]), "{} {}", ran.summary, ran.said);
    assert_eq!(ran.summary["types"][kind]["same"], json!(count), "{}", ran.summary);
}

/// What would show that something was written: numbers that grow with each change, and the lists of mailboxes.
fn marks(imap: &mut Imap) -> String {
    let lists = ["LIST \"\" \"*\"", "LSUB \"\" \"*\""].map(|list| imap.ok(list)).join("");
    let status =
        |name: &str| imap.ok(&format!("STATUS {name} (MESSAGES UIDNEXT UIDVALIDITY UNSEEN RECENT HIGHESTMODSEQ)"));
    let marks: Vec<String> = ["INBOX", "Work"].into_iter().map(status).collect();
    let untagged = |line: &&str| line.starts_with("* ");
    format!("{lists}{}", marks.concat()).lines().filter(untagged).collect::<Vec<_>>().join("\n")
}

const WRITES_OF_IMAP: [&str; 12] = [
    "SELECT",
    "STORE",
    "APPEND",
    "CREATE",
    "DELETE",
    "RENAME",
    "COPY",
    "MOVE",
    "EXPUNGE",
    "SUBSCRIBE",
    "UNSUBSCRIBE",
    "CLOSE",
];

#[test]
fn mail_is_compared_with_dovecot() {
    let Some(dovecot) = Dovecot::start("ssl = no\nmail_fsync = never\n") else { return };
    let place = tempfile::tempdir().expect("a folder");
    let target = Target::dovecot(&dovecot, "imap", "alice");
    let mut imap = Imap::login(dovecot.imap, target.user, target.password);
    imap.ok("CREATE Work");
    for (mailbox, number, flags) in
        [("INBOX", 1, "(\\Seen) "), ("INBOX", 2, ""), ("Work", 3, "(\\Flagged odd) "), ("Work", 1, "")]
    {
        assert!(imap.append(mailbox, flags, &message(number), false));
    }
    let no_id = b"From: a@x\r\nSubject: no id\r\n\r\none\r\n";
    assert!(imap.append("Work", "", no_id, false) && imap.append("Work", "", no_id, false));
    let archive = place.path().join("a.sqlite");
    target.import(&archive);

    let relay = Relay::start(dovecot.imap);
    let relayed = through(&target, &relay, dovecot.imap);
    let before = marks(&mut imap);
    is_same(&against(&relayed, &archive, &[]), "email", 6);
    assert_eq!(marks(&mut imap), before, "nothing changes at the server");
    said_none_of(&relay, &WRITES_OF_IMAP);

    // One is gone, one has come, one has another flag, and one lies in a new mailbox.
    imap.ok("SELECT INBOX");
    imap.ok("STORE 1 +FLAGS (\\Deleted)");
    imap.ok("EXPUNGE");
    imap.ok("SELECT Work");
    imap.ok("STORE 1 -FLAGS (\\Flagged)");
    imap.ok("UNSELECT");
    assert!(imap.append("INBOX", "", &message(9), false));
    imap.ok("CREATE New");
    let before = marks(&mut imap);
    let ran = against(&relayed, &archive, &[]);
    ran.names(&[
        ("archive", "email", "in INBOX"),
        ("account", "email", "in INBOX"),
        ("both", "email", "flags: $flagged odd in the archive, odd at the account"),
        ("account", "mailbox", "New"),
    ]);
    let flagged = ran.objects.iter().find(|one| one["side"] == "both").expect("one");
    assert!(flagged["path"].as_str().is_some_and(|path| path.starts_with("mail/Work/cur/")), "{flagged}");
    let only_mail = against(&relayed, &archive, &["--objects", "email"]);
    assert_eq!(only_mail.objects.len(), 3, "{:#?}", only_mail.objects);
    assert_eq!(marks(&mut imap), before, "nothing changes at the server");
    said_none_of(&relay, &WRITES_OF_IMAP);

    // An archive that has nothing of an account lacks all of it.
    let empty = archive_of_dates(place.path());
    let ran = against(&relayed, &empty, &["--objects", "email"]);
    let mine = ran.objects.iter().filter(|one| one["side"] == "account").count();
    assert_eq!((ran.code, mine), (5, 6), "{:#?}", ran.objects);
}

/// After a restore the account is what the archive is, but for what the server did not take: here a message of no bytes.
#[test]
fn what_a_restore_did_not_bring_is_named() {
    let Some(dovecot) = Dovecot::start("ssl = no\nmail_fsync = never\n") else { return };
    let place = tempfile::tempdir().expect("a folder");
    let archive = archive_of_mail(place.path());
    let target = Target::dovecot(&dovecot, "imap", "alice");
    target.export(&archive, &[], 5);
    against(&target, &archive, &[]).names(&[("archive", "email", "(0 bytes)")]);
}

const WRITES_OF_HTTP: [&str; 9] = ["PUT", "POST", "DELETE", "MKCOL", "MKCALENDAR", "PROPPATCH", "MOVE", "COPY", "LOCK"];

/// One collection of a server of CalDAV or CardDAV.
fn dates_are_compared(server: &Dav, kind: &'static str) {
    let (of, path, extension) = match kind {
        "caldav" => ("calendarevent", "/alice/home/", "ics"),
        _ => ("contactcard", "/alice/people/", "vcf"),
    };
    let bytes = |uid: &str, text: &str| if kind == "caldav" { event(uid, text) } else { card(uid, text) };
    match kind {
        "caldav" => server.calendar(path, "Home"),
        _ => server.address_book(path, "People"),
    }
    let put = |uid: &str, text: &str| assert!(server.put(&format!("{path}{uid}.{extension}"), &bytes(uid, text)));
    for uid in ["one", "two", "three"] {
        put(uid, uid);
    }
    let place = tempfile::tempdir().expect("a folder");
    let archive = place.path().join("a.sqlite");
    let target = Target::dav(server, kind);
    target.import(&archive);
    let relay = Relay::start(server.port);
    let relayed = through(&target, &relay, server.port);
    is_same(&against(&relayed, &archive, &[]), of, 3);
    said_none_of(&relay, &WRITES_OF_HTTP);

    server.delete(&format!("{path}one.{extension}"));
    put("two", "other");
    put("four", "four");
    let before = server.held(kind);
    let label = |uid: &'static str, name: &'static str| if kind == "caldav" { name } else { uid };
    against(&relayed, &archive, &[]).names(&[
        ("archive", of, label("one", "one")),
        ("both", of, "content"),
        ("account", of, label("four", "four")),
    ]);
    assert_eq!(server.held(kind), before);
    said_none_of(&relay, &WRITES_OF_HTTP);
}

#[test]
fn calendars_are_compared_with_radicale() {
    let Some(server) = Dav::radicale() else { return };
    dates_are_compared(&server, "caldav");
}

/// An export would tell the server to invite nobody; a meeting that the server has is the same without that word.
#[test]
fn a_meeting_of_a_server_that_invites_is_the_same() {
    let Some(server) = Dav::cyrus_of_alice() else { return };
    let path = format!("{}home/", server.homes.calendars);
    server.calendar(&path, "Home");
    let meeting = format!(
        "BEGIN:VCALENDAR\r\nVERSION:2.0\r\nPRODID:x\r\n{}END:VCALENDAR\r\n",
        export_target::event("meeting", MEETING)
    );
    assert!(server.put(&format!("{path}meeting.ics"), meeting.as_bytes()));
    let place = tempfile::tempdir().expect("a folder");
    let archive = place.path().join("a.sqlite");
    let target = Target::dav(&server, "caldav");
    target.import(&archive);
    is_same(&against(&target, &archive, &[]), "calendarevent", 1);
    let again = target.export(&archive, &["--update", "--dry-run"], 0);
    assert_eq!(again.planned("update"), 0, "{}", again.summary);
}

#[test]
fn contacts_are_compared_with_radicale() {
    let Some(server) = Dav::radicale() else { return };
    dates_are_compared(&server, "carddav");
}

#[test]
fn files_are_compared_with_wsgidav() {
    let Some(server) = Dav::wsgidav(false) else { return };
    server.directory("/Notes/");
    for (path, text) in [("/Notes/one.txt", "one"), ("/Notes/two.txt", "two"), ("/three.txt", "three")] {
        assert!(server.put(path, text.as_bytes()));
    }
    let place = tempfile::tempdir().expect("a folder");
    let archive = place.path().join("a.sqlite");
    let target = Target { url: format!("{}/", server.url()), ..Target::dav(&server, "webdav") };
    target.import(&archive);
    let relay = Relay::start(server.port);
    let relayed = through(&target, &relay, server.port);
    is_same(&against(&relayed, &archive, &[]), "filenode", 4);
    server.delete("/Notes/one.txt");
    assert!(server.put("/Notes/two.txt", b"another") && server.put("/Notes/four.txt", b"four"));
    let before = server.held("webdav");
    against(&relayed, &archive, &[]).names(&[
        ("archive", "filenode", "Notes/one.txt"),
        ("both", "filenode", "content"),
        ("account", "filenode", "Notes/four.txt"),
    ]);
    assert_eq!(server.held("webdav"), before);
    said_none_of(&relay, &WRITES_OF_HTTP);
}

#[test]
fn scripts_are_compared_with_pigeonhole() {
    let Some(dovecot) = Dovecot::start("ssl = no\n") else { return };
    let home = dovecot.home("alice");
    let folder = home.join("sieve");
    fs::create_dir(&folder).expect("a folder");
    dovecot.give(&folder);
    let put = |name: &str, text: &str| {
        let path = folder.join(format!("{name}.sieve"));
        fs::write(&path, text).expect("a script");
        dovecot.give(&path);
    };
    let activate = |name: &str| {
        let link = home.join(".dovecot.sieve");
        let _ = fs::remove_file(&link);
        std::os::unix::fs::symlink(format!("sieve/{name}.sieve"), &link).expect("a link");
    };
    put("main", "keep;\r\n");
    put("other", "discard;\r\n");
    put("third", "stop;\r\n");
    activate("main");
    let place = tempfile::tempdir().expect("a folder");
    let archive = place.path().join("a.sqlite");
    let target = Target::dovecot(&dovecot, "managesieve", "alice");
    target.import(&archive);
    let relay = Relay::start(dovecot.sieve);
    let relayed = through(&target, &relay, dovecot.sieve);
    is_same(&against(&relayed, &archive, &[]), "sievescript", 3);
    put("other", "discard; stop;\r\n");
    put("new", "# new\r\nkeep;\r\n");
    fs::remove_file(folder.join("third.sieve")).expect("a script");
    activate("new");
    let before = listing(&folder);
    against(&relayed, &archive, &[]).names(&[
        ("both", "sievescript", "not active at the account"),
        ("both", "sievescript", "content"),
        ("archive", "sievescript", "third"),
        ("account", "sievescript", "new"),
    ]);
    assert_eq!(listing(&folder), before);
    said_none_of(&relay, &["PUTSCRIPT", "SETACTIVE", "DELETESCRIPT", "RENAMESCRIPT"]);
}

#[test]
fn an_account_is_compared_with_a_jmap_server() {
    let place = tempfile::tempdir().expect("a folder");
    let (server, archive) = archive_of_everything(place.path());
    let target = Target { kind: "jmap", url: server.url(), user: "alice", password: "secret" };
    let compare = || {
        let before = server.snapshot("A1");
        server.reset_counters();
        let ran = against(&target, &archive, &["--account-id", "A1"]);
        assert_eq!(server.snapshot("A1"), before, "nothing changes at the server");
        let is_write = |name: &&String| ["/set", "/import", "/copy", "/upload"].iter().any(|end| name.ends_with(end));
        assert_eq!(server.counters().calls.keys().find(is_write), None);
        ran
    };
    let ran = compare();
    is_same(&ran, "email", 31);
    for kind in ["calendarevent", "contactcard", "filenode", "sievescript", "identity", "vacationresponse", "mailbox"] {
        assert!(ran.summary["types"][kind]["same"].as_u64() > Some(0), "{kind}: {}", ran.summary);
    }
    let emails: Vec<String> = server.objects("A1", "Email").into_keys().collect();
    server.remove("A1", "Email", &emails[0]);
    server.change("A1", "Email", &emails[1], |email| email["keywords"] = json!({ "$answered": true }));
    let events = server.objects("A1", "CalendarEvent");
    let (tea, _) = events.iter().find(|(_, event)| event["uid"] == "e1").expect("an event");
    server.change("A1", "CalendarEvent", tea, |event| event["title"] = json!("Chocolate"));
    let inbox =
        server.objects("A1", "Mailbox").into_iter().find(|(_, one)| one["role"] == "inbox").expect("an inbox").0;
    server.seed_email("A1", &message(99), &[&inbox], &[], "2026-04-01T00:00:00Z");
    compare().names(&[
        ("archive", "email", "bytes"),
        ("both", "email", "flags: "),
        ("both", "calendarevent", "title"),
        ("account", "email", "2026-04-01T00:00:00Z"),
    ]);
}
