//! `vandelay import imap` from a real Dovecot and a real Cyrus, through a line that can be looked at and cut.

use crate::common;
use crate::common::cyrus::Cyrus;
use crate::common::dovecot::{Dovecot, PASSWORD};
use crate::common::imap::Imap;
use crate::common::relay::Relay;
use crate::common::*;
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

/// A server in clear text, so that the relay sees what is said.
const SETTINGS: &str = "ssl = no
mail_max_userip_connections = 100
mail_fsync = never
namespace inbox {
  mailbox Sent {
    special_use = \\Sent
    auto = create
  }
  mailbox Junk {
    special_use = \\Junk
    auto = create
  }
}
";

/// Whichever server, for as long as the test runs.
enum Server {
    Dovecot(Box<Dovecot>),
    Cyrus { _running: Cyrus },
}

/// An account on a server, the line to it, and the archive.
struct Place {
    server: Server,
    port: u16,
    user: &'static str,
    relay: Relay,
    dir: tempfile::TempDir,
}

impl Place {
    fn dovecot() -> Option<Place> {
        let dovecot = Dovecot::start(SETTINGS)?;
        dovecot.home("alice");
        let port = dovecot.imap;
        Some(Place::of(Server::Dovecot(Box::new(dovecot)), port, "alice"))
    }

    fn cyrus() -> Option<Place> {
        let cyrus = Cyrus::start()?;
        let port = cyrus.imap;
        Some(Place::of(Server::Cyrus { _running: cyrus }, port, "alice@example.org"))
    }

    fn of(server: Server, port: u16, user: &'static str) -> Place {
        let place =
            Place { server, port, user, relay: Relay::start(port), dir: tempfile::tempdir().expect("a directory") };
        drop(place.writer());
        place
    }

    fn is_cyrus(&self) -> bool {
        matches!(self.server, Server::Cyrus { .. })
    }

    fn writer(&self) -> Imap {
        Imap::login(self.port, self.user, PASSWORD)
    }

    fn archive(&self) -> PathBuf {
        self.dir.path().join("alice.sqlite")
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = vandelay();
        command.args(["import", "imap", "--allow-cleartext", "--auth-basic", self.user, "--url"]);
        command.arg(format!("imap://127.0.0.1:{}", self.relay.port));
        command.args(with_sums(arguments)).args(arguments).arg(self.archive());
        command.env("VANDELAY_PASSWORD", PASSWORD).stdin(Stdio::null());
        command
    }

    /// Runs an import that must end with this code; gives all that it said.
    fn import(&self, arguments: &[&str], code: i32) -> String {
        let output = self.command(arguments).output().expect("the program starts");
        let said = both(&output);
        assert_eq!(output.status.code(), Some(code), "{arguments:?}: {said}");
        assert!(!said.contains(PASSWORD) && !said.contains("panicked"), "{said}");
        if self.archive().exists() {
            // Every test ends in a check.
            ok(&["verify", self.archive().to_str().expect("UTF-8")]);
            mailbox_notes_are_true(&self.archive());
        }
        said
    }

    /// Messages of the tree by their bytes: the folders and flags that each has.
    fn messages(&self, at: &str) -> BTreeMap<Vec<u8>, Vec<String>> {
        let mut found: BTreeMap<Vec<u8>, Vec<String>> = BTreeMap::new();
        for (path, bytes) in tree(&self.archive(), at) {
            if let Some((folder, name)) = path.strip_prefix("mail/").and_then(|path| path.split_once("/cur/")) {
                let flags = name.rsplit_once(":2,").map_or("", |(_, flags)| flags);
                if !name.is_empty() {
                    found.entry(bytes).or_default().push(format!("{folder} {flags}"));
                }
            }
        }
        found.values_mut().for_each(|places| places.sort());
        found
    }

    fn texts(&self, sql: &str) -> Vec<String> {
        let conn = rusqlite::Connection::open(self.archive()).expect("the archive opens");
        let mut statement = conn.prepare(sql).expect("a query");
        let rows = statement.query_map([], |row| row.get(0)).expect("rows");
        rows.map(|row| row.expect("a text")).collect()
    }
}

fn both(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

fn bodies_asked_for(said: &str) -> usize {
    said.matches("BODY.PEEK[]").count()
}

/// A message with some bulk.
fn bulky(number: u32, size: usize) -> Vec<u8> {
    let mut bytes = message(number);
    while bytes.len() < size {
        bytes.extend_from_slice(&filler(u64::from(number) << 20 | bytes.len() as u64));
    }
    bytes
}

// --- what both servers do alike ----------------------------------------------------------------------------------

fn everything_arrives(place: &Place) {
    let mut writer = place.writer();
    for name in ["Lists", "Lists/rust", "Entw&APw-rfe 2026", "Tom &- Jerry"] {
        writer.ok(&format!("CREATE \"{name}\""));
        writer.ok(&format!("SUBSCRIBE \"{name}\""));
    }
    writer.ok("UNSUBSCRIBE \"Tom &- Jerry\"");
    assert!(writer.append("INBOX", "(\\Seen $Forwarded work) \"17-Jul-1996 02:44:25 -0700\" ", &message(1), false));
    assert!(writer.append("INBOX", "(\\Flagged \\Answered) ", &message(2), false));
    assert!(writer.append("INBOX", "(\\Deleted) ", &message(3), false));
    assert!(writer.append("Lists/rust", "(\\Draft) \"01-Jan-2001 10:00:00 +0000\" ", &message(4), false));
    assert!(writer.append("Entw&APw-rfe 2026", "", &message(5), false));
    let large = bulky(6, 6 << 20);
    assert!(writer.append("Sent", "(\\Seen) ", &large, false));

    let said = place.import(&["--dry-run"], 0);
    assert!(said.contains("email: found 6 = stored 5 (new 5") && !place.archive().exists(), "{said}");
    let said = place.import(&[], 0);
    assert!(said.contains("found 6 = stored 5 (new 5, changed 0, unchanged 0)"), "{said}");
    assert!(said.contains("skipped 1 (deleted flag 1)"), "{said}");
    let found = place.messages("latest");
    let places = |bytes: &[u8]| found.get(bytes).map(|places| places.join(", ")).unwrap_or_default();
    assert!(places(&message(1)).starts_with("INBOX ") && places(&message(1)).contains('S'), "{found:?}");
    assert_eq!(places(&message(2)), "INBOX FR");
    assert_eq!(places(&message(4)), "Lists/rust D");
    assert_eq!(places(&message(5)), "Entwürfe 2026 ");
    assert_eq!(places(&large), "Sent S");
    assert_eq!(found.len(), 5);
    let dates = place.texts("SELECT received_at FROM emails ORDER BY received_at LIMIT 2");
    assert_eq!(dates, ["1996-07-17T09:44:25Z", "2001-01-01T10:00:00Z"]);
    let keywords = place.texts("SELECT keywords FROM emails ORDER BY received_at LIMIT 1");
    assert_eq!(keywords, [r#"["$Forwarded","$seen","work"]"#]);
    let roles = place.texts("SELECT name || ' ' || role || ' ' || is_subscribed FROM mailboxes WHERE role IN ('inbox', 'sent', 'junk') ORDER BY name");
    assert_eq!(
        roles.iter().map(|role| &role[..role.len() - 2]).collect::<Vec<_>>(),
        ["INBOX inbox", "Junk junk", "Sent sent"]
    );
    let hidden = place.texts("SELECT name FROM mailboxes WHERE is_subscribed = 0 AND name LIKE 'Tom%'");
    assert_eq!(hidden, ["Tom & Jerry"]);

    // Nothing new: one LIST, no mailbox is opened, not a byte of the archive's content differs.
    let before = dump(&place.archive());
    place.relay.said();
    place.relay.connections();
    let said = place.import(&[], 0);
    assert!(said.contains("stored 5 (new 0, changed 0, unchanged 5)"), "{said}");
    let asked = place.relay.said();
    assert!(!asked.contains("EXAMINE") && !asked.contains("SELECT") && !asked.contains("FETCH"), "{asked}");
    assert_eq!(asked.matches("LIST ").count(), 1, "{asked}");
    assert_eq!(place.relay.connections(), 1);
    assert_eq!(dump(&place.archive()), before);

    // With other wishes everything is looked at again, and only what is new is fetched.
    let said = place.import(&["--include-deleted", "--compress"], 0);
    assert!(said.contains("found 6 = stored 6 (new 1"), "{said}");
    assert_eq!(place.messages("latest").len(), 6);
    let said = place.import(&[], 0);
    assert!(said.contains("removed 1 (kept in the history)"), "{said}");
}

fn changes_cost_what_they_are(place: &Place) {
    let mut writer = place.writer();
    writer.ok("CREATE Other");
    writer.ok("CREATE Quiet");
    for number in 1..=30 {
        assert!(writer.append("INBOX", "", &message(number), false));
        assert!(writer.append("Quiet", "", &message(100 + number), false));
    }
    place.import(&[], 0);
    writer.ok("SELECT INBOX");
    writer.ok("UID STORE 3:5 +FLAGS (\\Seen)");
    writer.ok("UID STORE 7 +FLAGS (\\Deleted)");
    writer.ok("EXPUNGE");
    writer.ok("UID MOVE 9 Other");
    assert!(writer.append("INBOX", "(\\Flagged) ", &message(31), false));
    writer.ok("UID STORE 10 +FLAGS (\\Deleted)");
    place.relay.said();
    let said = place.import(&["--imap-connections", "1"], 0);
    let asked = place.relay.said();
    assert!(!asked.contains("Quiet"), "{asked}");
    // Message 9 was moved: its bytes are there already.
    assert_eq!(bodies_asked_for(&asked), 1, "{asked}");
    let found = place.messages("latest");
    let places = |number: u32| found.get(&message(number)).map(|places| places.join(", "));
    assert_eq!(places(3).as_deref(), Some("INBOX S"));
    assert_eq!(places(6).as_deref(), Some("INBOX "));
    assert_eq!((places(7), places(10)), (None, None), "{said}");
    assert_eq!(places(9).as_deref(), Some("Other "));
    assert_eq!(places(31).as_deref(), Some("INBOX F"));
    assert_eq!(found.len(), 59);
    // All of it is still there, one snapshot back.
    let before = place.messages("1");
    assert_eq!(before.len(), 60);
    assert!(before.contains_key(&message(7)) && before[&message(9)] == ["INBOX "]);

    // A flag of the moved one, and one that is deleted no more.
    writer.ok("SELECT INBOX");
    writer.ok("UID STORE 10 -FLAGS (\\Deleted)");
    let said = place.import(&[], 0);
    assert!(said.contains("found 60 = stored 60"), "{said}");
    assert_eq!(place.messages("latest")[&message(10)], ["INBOX "]);
}

fn a_guard_stops_what_would_empty_the_backup(place: &Place) {
    let mut writer = place.writer();
    writer.ok("CREATE Work");
    for number in 1..=60 {
        assert!(writer.append("Work", "", &message(number), false));
    }
    for number in 61..=100 {
        assert!(writer.append("INBOX", "", &message(number), false));
    }
    place.import(&[], 0);
    let before = digest(&place.archive());
    writer.ok("SELECT Work");
    writer.ok("UID STORE 1:* +FLAGS (\\Deleted)");
    writer.ok("EXPUNGE");
    let said = place.import(&[], 9);
    assert!(said.contains("60 of 100 objects of type email are missing"), "{said}");
    assert_eq!(digest(&place.archive()), before, "the archive is untouched");
    // A filter hides, it never deletes; nor does a folder that is not looked at count.
    for filter in
        [&["--folder", "INBOX"][..], &["--exclude", "^Work$"], &["--exclude-special", "inbox", "--exclude", "Work"]]
    {
        let said = place.import(filter, 0);
        assert!(!said.contains("removed"), "{filter:?}: {said}");
        assert_eq!(place.messages("latest").len(), 100);
    }
    let said = place.import(&["--max-delete", "100%"], 0);
    assert!(said.contains("removed 60 (kept in the history)"), "{said}");
    assert_eq!((place.messages("latest").len(), place.messages("1").len()), (40, 100));
}

fn mailboxes_that_are_renamed_cost_no_download(place: &Place) {
    let mut writer = place.writer();
    for name in ["A", "B", "Old", "Old/deep"] {
        writer.ok(&format!("CREATE {name}"));
        for number in 1..=40 {
            let number = number + name.bytes().map(u32::from).sum::<u32>() * 100;
            assert!(writer.append(name, "(\\Seen) ", &message(number), false));
        }
    }
    place.import(&[], 0);
    let ids = "SELECT count(*) || ' ' || max(id) FROM emails";
    let before = (place.texts(ids), place.messages("latest"));
    // A and B change places; Old gets another name.
    writer.ok("RENAME A C");
    writer.ok("RENAME B A");
    writer.ok("RENAME C B");
    writer.ok("RENAME Old New");
    place.relay.said();
    let said = place.import(&[], 0);
    assert_eq!(bodies_asked_for(&place.relay.said()), 0, "{said}");
    let after = place.messages("latest");
    assert_eq!((after.len(), place.texts(ids)), (160, before.0), "the same rows");
    let moved = |place: &str| place.replace("A ", "x ").replace("B ", "A ").replace("x ", "B ").replace("Old", "New");
    let expected: BTreeMap<Vec<u8>, Vec<String>> = before
        .1
        .iter()
        .map(|(bytes, places)| (bytes.clone(), places.iter().map(|place| moved(place)).collect()))
        .collect();
    assert!(after == expected);
    assert!(place.messages("1") == before.1, "and the snapshot before it is as it was");
}

fn a_line_that_breaks_costs_little(place: &Place) {
    let mut writer = place.writer();
    for number in 0..600 {
        assert!(writer.append("INBOX", "", &bulky(number, 8_000), false));
    }
    // Uncut, to know what it costs.
    place.relay.heard();
    place.import(&["--dry-run"], 0);
    let listing = place.relay.heard();
    place.relay.cut_after(listing + 700_000);
    let start = Instant::now();
    let said = place.import(&["--imap-connections", "1", "--fetch-batch", "32"], 0);
    assert!(said.contains("new 600"), "{said}");
    let heard = place.relay.heard();
    let connections = place.relay.connections();
    assert!(connections > 5, "{connections} connections");
    assert!(heard < 600 * 8_100 * 3 / 2, "{heard} bytes over {connections} connections in {:?}", start.elapsed());
    place.relay.cut_after(0);
    assert_eq!(place.messages("latest").len(), 600);
    assert!(place.import(&[], 0).contains("unchanged 600"));
}

fn a_killed_import_goes_on(place: &Place) {
    let mut writer = place.writer();
    for number in 0..800 {
        assert!(writer.append("INBOX", "", &bulky(number, 4_000), false));
    }
    place.relay.heard();
    let (mut kills, mut stored) = (0, 0);
    while stored < 800 && kills < 8 {
        let mut child = place.command(&["-q"]).stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("it starts");
        let end = Instant::now() + Duration::from_secs(60);
        // It is killed when it has stored some more.
        while child.try_wait().expect("a child").is_none() && Instant::now() < end {
            std::thread::sleep(Duration::from_millis(3));
            let now = rusqlite::Connection::open(place.archive())
                .and_then(|conn| conn.query_row("SELECT count(*) FROM emails", [], |row| row.get::<_, u32>(0)))
                .unwrap_or_default();
            if now > stored && now < 800 {
                stored = now;
                break;
            }
        }
        let _ = child.kill();
        let _ = child.wait();
        kills += 1;
    }
    assert!(kills > 2, "{kills} kills");
    let said = place.import(&[], 0);
    assert!(said.contains("found 800"), "{said}");
    assert_eq!(place.messages("latest").len(), 800);
    // Each kill may repeat a batch of 256; what was listed and asked for ahead comes on top.
    let heard = place.relay.heard();
    let limit = 800 * 4_200 + (kills + 1) * (300 * 4_200 + 800 * 120);
    assert!(heard < limit, "{heard} bytes, {kills} kills");
}

fn all(place: fn() -> Option<Place>, test: fn(&Place)) {
    if let Some(place) = place() {
        test(&place);
    }
}

macro_rules! on_both {
    ($($test:ident),+ $(,)?) => {
        mod dovecot {
            $(#[test] fn $test() { super::all(super::Place::dovecot, super::$test) })+
        }
        mod cyrus {
            $(#[test] fn $test() { super::all(super::Place::cyrus, super::$test) })+
        }
    };
}

on_both!(
    everything_arrives,
    changes_cost_what_they_are,
    a_guard_stops_what_would_empty_the_backup,
    mailboxes_that_are_renamed_cost_no_download,
    a_line_that_breaks_costs_little,
    a_killed_import_goes_on,
);

// --- what only one of them has -----------------------------------------------------------------------------------

#[test]
fn mailboxes_that_are_numbered_anew_cost_no_download() {
    let Some(place) = Place::dovecot() else { return };
    let Server::Dovecot(dovecot) = &place.server else { return };
    let mut writer = place.writer();
    for number in 1..=120 {
        assert!(writer.append("INBOX", "(\\Seen) ", &message(number), false));
    }
    drop(writer);
    place.import(&[], 0);
    let ids = "SELECT count(*) || ' ' || max(id) FROM emails";
    let before = (place.texts(ids), place.messages("latest"));
    // Dovecot numbers a Maildir anew whose list of UIDs is lost: after the second in which it began.
    std::thread::sleep(Duration::from_millis(1_200));
    let maildir = dovecot.home("alice").join("Maildir");
    for entry in std::fs::read_dir(&maildir).expect("a Maildir").flatten() {
        if entry.file_name().to_string_lossy().starts_with("dovecot") {
            let _ = std::fs::remove_file(entry.path());
        }
    }
    place.relay.said();
    let said = place.import(&[], 0);
    let asked = place.relay.said();
    assert!(said.contains("gave new numbers (UIDVALIDITY) to the messages of INBOX"), "{said}");
    assert_eq!(bodies_asked_for(&asked), 0, "{asked}");
    assert_eq!((place.texts(ids), place.messages("latest")), before);
    assert!(place.import(&[], 0).contains("unchanged 120"));
}

#[test]
fn copies_are_downloaded_once_where_the_server_names_bytes() {
    let Some(place) = Place::cyrus() else { return };
    assert!(place.is_cyrus());
    let mut writer = place.writer();
    writer.ok("CREATE Copies");
    writer.ok("CREATE More");
    for number in 1..=20 {
        assert!(writer.append("INBOX", "", &bulky(number, 20_000), false));
    }
    writer.ok("SELECT INBOX");
    writer.ok("UID COPY 1:* Copies");
    writer.ok("UID COPY 1:* More");
    writer.ok("SELECT More");
    writer.ok("UID STORE 1:5 +FLAGS (\\Flagged)");
    place.relay.heard();
    place.import(&[], 0);
    let heard = place.relay.heard();
    assert!(heard < 20 * 20_200 + 60_000, "{heard} bytes for 20 messages of 20 kB in three mailboxes");
    let found = place.messages("latest");
    assert_eq!(found.len(), 20);
    assert_eq!(found[&bulky(1, 20_000)], ["Copies ", "INBOX ", "More F"]);
    assert_eq!(place.texts("SELECT count(DISTINCT blob_id) || ' ' || count(*) FROM emails"), ["20 60"]);
}

#[test]
fn what_1x_imported_is_not_downloaded_again() {
    let Some(place) = Place::dovecot() else { return };
    let mut writer = place.writer();
    writer.ok("CREATE Work/old");
    for number in 1..=30 {
        assert!(writer.append("INBOX", "(\\Seen) ", &message(number), false));
        assert!(writer.append("Work/old", "", &message(100 + number), false));
    }
    place.import(&[], 0);
    let before = place.messages("latest");
    // The same as 1.x would have stored it.
    let theirs = place.dir.path().join("1x.sqlite");
    common::v1::write(&theirs, &common::v1::Variant { rows: false, journal_mode: "DELETE", ..Default::default() });
    let conn = rusqlite::Connection::open(&theirs).expect("it opens");
    conn.execute_batch(&format!(
        "ATTACH '{}' AS ours;
         INSERT INTO sources SELECT id, kind, session_url, account_id, account_name, username FROM ours.sources;
         INSERT INTO mailboxes SELECT id, name, parent_id, role, sort_order, is_subscribed FROM ours.mailboxes ORDER BY id;
         INSERT INTO blobs SELECT id, hash, data FROM ours.blobs;
         INSERT INTO emails SELECT id, blob_id, received_at, mailbox_ids, keywords, message_match FROM ours.emails;
         INSERT INTO sync_id_imap (source_id, type_name, folder, uidvalidity, uid, local_id)
           SELECT s.source_id, 'email', s.key, substr(o.key, 1, instr(o.key, '.') - 1), substr(o.key, instr(o.key, '.') + 1), o.local_id
           FROM ours.origins o JOIN ours.scopes s ON s.id = o.scope_id WHERE s.kind = 'Email';",
        place.archive().display()
    ))
    .expect("rows");
    drop(conn);
    std::fs::rename(&theirs, place.archive()).expect("a file");
    writer.ok("SELECT INBOX");
    writer.ok("UID STORE 3 +FLAGS (\\Flagged)");
    assert!(writer.append("INBOX", "", &message(31), false));
    place.relay.said();
    let said = place.import(&[], 0);
    let asked = place.relay.said();
    assert!(said.contains("found 61 = stored 61 (new 1, changed 1, unchanged 59)"), "{said}");
    assert_eq!(asked.matches("BODY.PEEK[]").count(), 1, "{asked}");
    let after = place.messages("latest");
    assert_eq!((after.len(), &*after[&message(3)]), (61, &["INBOX FS".to_owned()][..]));
    assert!(before.iter().filter(|(bytes, _)| **bytes != message(3)).all(|(bytes, places)| after[bytes] == *places));
    assert!(place.import(&[], 0).contains("unchanged 61"));
}

#[test]
fn a_dead_line_is_noticed() {
    let Some(place) = Place::dovecot() else { return };
    let mut writer = place.writer();
    assert!(writer.append("INBOX", "", &message(1), false));
    place.relay.die(true);
    let start = Instant::now();
    let said = place.import(&["--timeout", "1", "--max-retries", "1"], 2);
    assert!(said.contains("error: ") && start.elapsed() < Duration::from_secs(30), "{said}");
    place.relay.die(false);
    place.import(&["--timeout", "20"], 0);
}

#[test]
fn wrong_passwords_and_ports_are_told_apart() {
    let Some(place) = Place::dovecot() else { return };
    let mut command = place.command(&[]);
    command.env("VANDELAY_PASSWORD", "swordfish").arg("-vvv");
    let output = command.output().expect("the program starts");
    let said = both(&output);
    assert_eq!(output.status.code(), Some(12), "{said}");
    // What was asked is told, what is secret is not, in no encoding.
    assert!(said.contains("> AUTHENTICATE SCRAM-SHA-256") && said.contains("< No"), "{said}");
    assert_eq!(said.matches("> AUTHENTICATE").count(), 1, "a wrong password is tried once: {said}");
    for text in ["swordfish", "\0alice\0swordfish"] {
        let code = base64::Engine::encode(&base64::engine::general_purpose::STANDARD_NO_PAD, text);
        assert!(!said.contains(text) && !said.contains(&code), "{said}");
    }
    let free = common::servers::free_port();
    let output = vandelay()
        .args(["import", "imap", "--max-retries", "0", "--auth-basic", "alice", "--url"])
        .arg(format!("imaps://127.0.0.1:{free}"))
        .arg(place.archive())
        .env("VANDELAY_PASSWORD", "x")
        .output()
        .expect("the program starts");
    assert_eq!(output.status.code(), Some(2), "{}", both(&output));
}
