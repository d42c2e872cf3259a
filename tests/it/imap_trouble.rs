//! One bad thing on an IMAP server costs this thing and nothing else: a message, a mailbox, a copy of the server that was
//! restored, an address that has moved.

use crate::common;
use crate::common::cyrus::Cyrus;
use crate::common::dovecot::{Dovecot, PASSWORD};
use crate::common::fake_imap::*;
use crate::common::imap::Imap;
use crate::common::imap_place::{Place, mails};
use crate::common::*;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// The answer to a FETCH of bodies of `mails`, of which some (`bad`) are answered with `instead` and nothing behind it.
fn poisoned(command: &str, mails: &[Mail], bad: &[u32], instead: &str) -> Option<Vec<u8>> {
    let set = command.strip_prefix("UID FETCH ")?.split(' ').next()?;
    let wanted: Vec<(usize, &Mail)> =
        mails.iter().enumerate().filter(|(_, mail)| contains(set, mail.uid)).map(|(at, mail)| (at + 1, mail)).collect();
    let first_bad = wanted.iter().position(|(_, mail)| bad.contains(&mail.uid))?;
    if !command.contains("BODY.PEEK[]") {
        return None;
    }
    let mut answer: Vec<u8> =
        wanted[..first_bad].iter().flat_map(|(number, mail)| fetched(*number, mail, command)).collect();
    answer.extend_from_slice(instead.replace("$UID", &wanted[first_bad].1.uid.to_string()).as_bytes());
    Some(answer)
}

#[test]
fn messages_that_a_server_breaks_down_over_are_named_and_all_others_are_fetched() {
    let bad = [1, 6, 200];
    for (instead, connections) in [
        ("CLOSE", "1"),
        ("CLOSE", "3"),
        ("* 1 FETCH (UID $UID BODY[] {400}\r\nabcCLOSE", "1"),
        ("* BYE Internal error\r\nCLOSE", "2"),
        ("* 1 FETCH (UID $UID BODY[] {99999999999999999999}\r\nCLOSE", "1"),
        ("$TAG NO [SERVERBUG] Internal error occurred. Refer to server log for more information.\r\n", "1"),
        ("$TAG NO [UNAVAILABLE] cannot read it\r\n", "2"),
        ("$TAG NO cannot read it\r\n", "1"),
    ] {
        let boxes = vec![mailbox("INBOX", mails(1..=200)), mailbox("Later", mails(201..=230))];
        let place = Place::new(USUAL, boxes);
        let all = mails(1..=200);
        place.server.hook(move |command| poisoned(command, &all, &bad, instead));
        for run in 1..=if instead == "CLOSE" { 2 } else { 1 } {
            let said = place.import(&["--imap-connections", connections], 5);
            for uid in bad {
                let line = said.lines().find(|line| line.contains(&format!("INBOX: UID {uid} (")));
                assert!(line.is_some_and(|line| line.contains(" bytes)")), "{instead}: UID {uid}: {said}");
            }
            assert!(said.contains("failed 3"), "{instead}, run {run}: {said}");
            assert_eq!((place.count("INBOX"), place.count("Later")), (197, 30), "{instead}, run {run}: {said}");
        }
        // Once they can be read, they come, and nothing else does.
        place.server.hook(|_| None);
        let said = place.import(&[], 0);
        assert!(said.contains("(new 3, changed 0, unchanged 227)"), "{instead}: {said}");
        assert_eq!(place.count("INBOX"), 200);
    }
}

#[test]
fn a_server_that_is_gone_is_no_bad_message() {
    // It hands over some messages and then never lets anybody in again.
    let place = Place::new(USUAL, vec![mailbox("INBOX", mails(1..=60)), mailbox("Later", mails(61..=90))]);
    let bodies = AtomicUsize::new(0);
    place.server.hook(move |command| {
        let is_body = command.contains("BODY.PEEK[]");
        (bodies.fetch_add(usize::from(is_body), Ordering::SeqCst) >= 2).then(|| b"CLOSE".to_vec())
    });
    let said = place.import(&["--max-retries", "2", "--fetch-batch", "16", "--imap-connections", "1"], 2);
    assert!(said.contains("error: ") && said.contains("hint: "), "{said}");
    assert!(!said.contains("failed ("), "{said}");
    place.server.hook(|_| None);
    place.import(&[], 0);
    assert_eq!((place.count("INBOX"), place.count("Later")), (60, 30));
    // One that breaks off at every message is not asked without end, and the other mailboxes are looked at all the same.
    let place = Place::new(USUAL, vec![mailbox("INBOX", mails(1..=200)), mailbox("Empty", Vec::new())]);
    let asked = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&asked);
    place.server.hook(move |command| {
        let is_body = command.contains("BODY.PEEK[]");
        counter.fetch_add(usize::from(is_body), Ordering::SeqCst);
        is_body.then(|| b"$TAG NO [SERVERBUG] no\r\n".to_vec())
    });
    let said = place.import(&["--imap-connections", "1"], 5);
    assert!(said.contains("not asked for: the server broke off at many messages in a row"), "{said}");
    assert!(asked.load(Ordering::SeqCst) < 80, "{}", asked.load(Ordering::SeqCst));
}

#[test]
fn a_listing_that_breaks_down_over_sizes_is_made_without_them() {
    for instead in ["$TAG NO [SERVERBUG] no size\r\n", "CLOSE", "$TAG BAD no size\r\n"] {
        let place = Place::new(USUAL, vec![mailbox("INBOX", mails(1..=20))]);
        let all = mails(1..=20);
        place.server.hook(move |command| {
            let has_size = command.starts_with("UID FETCH") && command.contains("RFC822.SIZE");
            match command.contains("BODY") {
                true => poisoned(command, &all, &[7], instead),
                false => has_size.then(|| instead.as_bytes().to_vec()),
            }
        });
        let said = place.import(&[], 5);
        assert!(said.contains("INBOX: UID 7") && said.contains("failed 1"), "{instead}: {said}");
        assert_eq!(place.count("INBOX"), 19, "{instead}");
        place.server.hook(|_| None);
        assert!(place.import(&[], 0).contains("(new 1, changed 0, unchanged 19)"));
    }
}

#[test]
fn one_mailbox_that_cannot_be_opened_stops_no_other() {
    for answer in [
        "$TAG NO [SERVERBUG] Internal error\r\n",
        "$TAG NO [UNAVAILABLE] later\r\n",
        "$TAG NO [INUSE] locked\r\n",
        "$TAG NO [LIMIT] too many\r\n",
        "$TAG NO no\r\n",
        "$TAG BAD no\r\n",
        "CLOSE",
    ] {
        for capabilities in [USUAL, "IMAP4rev1"] {
            let boxes =
                vec![mailbox("INBOX", mails(1..=4)), mailbox("Bad", mails(5..=6)), mailbox("Zed", mails(7..=9))];
            let place = Place::new(capabilities, boxes);
            let is_bad = |command: &str| {
                let words = ["STATUS", "EXAMINE", "SELECT"];
                words.iter().any(|word| command.starts_with(word)) && command.contains("Bad")
            };
            place.server.hook(move |command| {
                let is_list = command.contains("RETURN") && command.contains("STATUS");
                (is_bad(command) || (is_list && answer == "CLOSE")).then(|| answer.as_bytes().to_vec())
            });
            let said = place.import(&["--max-retries", "1"], 5);
            assert!(said.contains("Bad"), "{answer}: {said}");
            assert_eq!((place.count("INBOX"), place.count("Bad"), place.count("Zed")), (4, 0, 3), "{answer}: {said}");
            // Who leaves it out does not touch it at all, and all is well.
            for arguments in [["--exclude", "^Bad$"], ["--folder", "INBOX"], ["--include", "INBOX|Zed"]] {
                place.server.said();
                place.import(&arguments, 0);
                let said = place.server.said();
                let touched: Vec<&str> = said
                    .lines()
                    .filter(|line| {
                        line.contains("Bad") || line.contains("RETURN (SUBSCRIBED CHILDREN SPECIAL-USE STATUS")
                    })
                    .collect();
                assert_eq!(touched, [] as [&str; 0], "{answer} {arguments:?}");
            }
            place.server.hook(|_| None);
            place.import(&[], 0);
            assert_eq!(place.count("Bad"), 2);
        }
    }
}

#[test]
fn a_mailbox_that_is_in_the_list_and_not_there_is_a_remark() {
    for answer in ["$TAG NO [NONEXISTENT] none\r\n", "$TAG NO Mailbox doesn't exist: Ghost\r\n"] {
        for capabilities in [USUAL, "IMAP4rev1"] {
            let place = Place::new(capabilities, vec![mailbox("INBOX", mails(1..=4)), mailbox("Ghost", mails(5..=6))]);
            place.import(&[], 0);
            place.server.state().boxes[1].mails.clear();
            place.server.hook(move |command| {
                let words = ["STATUS", "EXAMINE", "SELECT"];
                let is_ghost = words.iter().any(|word| command.starts_with(word)) && command.contains("Ghost");
                is_ghost.then(|| answer.as_bytes().to_vec())
            });
            for _ in 0..2 {
                let said = place.import(&[], 0);
                assert!(said.contains("Ghost") && said.contains("not there"), "{answer}: {said}");
            }
            // What is known of it stays: the list still has its name.
            assert_eq!((place.count("INBOX"), place.count("Ghost")), (4, 2));
        }
    }
}

#[test]
fn a_server_that_was_restored_from_an_older_copy_is_listed_in_full() {
    let older = mails(1..=10);
    let place = Place::new(USUAL, vec![mailbox("INBOX", older.clone())]);
    {
        let mut state = place.server.state();
        for number in 11..=20 {
            state.boxes[0].mails.push(Mail { modseq: 50, ..mail(number, &message(number)) });
        }
        state.boxes[0].mails[0] = Mail { flags: "\\Seen".to_owned(), modseq: 60, ..mail(1, &message(1)) };
    }
    place.import(&[], 0);
    assert_eq!(place.count("INBOX"), 20);
    // The copy of before: fewer messages, lower numbers, another message under a number that was given already.
    place.server.state().boxes[0].mails = older;
    place.server.state().boxes[0].mails.push(Mail { modseq: 40, ..mail(11, &message(411)) });
    let said = place.import(&["--max-delete", "100%"], 0);
    assert!(said.contains("changed 2, unchanged 9") && said.contains("removed 10"), "{said}");
    let mut expected: Vec<Vec<u8>> = (1..=10).map(message).chain([message(411)]).collect();
    expected.sort();
    assert_eq!(place.messages("latest")["INBOX"], expected);
    let keywords: u32 = place.sql("SELECT count(*) FROM emails WHERE keywords LIKE '%seen%'");
    assert_eq!(keywords, 0);
}

#[test]
fn everything_is_listed_now_and_then_and_on_demand() {
    let place = Place::new(USUAL, vec![mailbox("INBOX", mails(1..=10)), mailbox("Old", mails(11..=12))]);
    place.import(&[], 0);
    // The server lies: another message under a known number, and no word of a change.
    place.server.state().boxes[0].mails[3] = mail(4, &[message(404), b"more".to_vec()].concat());
    assert!(place.import(&[], 0).contains("unchanged 12"));
    let said = place.import(&["--full"], 0);
    assert!(said.contains("(new 0, changed 1, unchanged 11)"), "{said}");
    place.server.state().boxes[1].mails[0] = mail(11, &[message(411), b"more".to_vec()].concat());
    assert!(place.import(&[], 0).contains("unchanged 12"));
    let conn = rusqlite::Connection::open(place.archive()).expect("the archive opens");
    let aged = conn
        .execute("UPDATE scopes SET cursor = 'full:2020-01-01' || substr(cursor, 16) WHERE key = 'Old'", [])
        .expect("a change");
    assert_eq!(aged, 1);
    drop(conn);
    let said = place.import(&[], 0);
    assert!(
        said.contains("changed 1") && said.contains("1 of 2 folders or types listed in full (done every 30 days"),
        "{said}"
    );
    let said = place.import(&[], 0);
    assert!(!said.contains("listed in full"), "{said}");
}

#[test]
fn an_account_that_has_moved_is_known_again_when_that_is_proved() {
    let boxes = || vec![mailbox("INBOX", mails(1..=60)), mailbox("Work", mails(61..=70))];
    let place = Place::new(USUAL, boxes());
    place.import(&[], 0);
    let moved = FakeImap::start(USUAL, boxes());
    moved.state().boxes[0].mails.push(mail(99, &message(99)));
    let url = format!("imap://127.0.0.1:{}", moved.port);
    let said = place.import_from(&url, &[], 4);
    assert!(said.contains("--same-account"), "{said}");
    // Another account, and one whose messages only look alike.
    let strange: Vec<Mail> = mails(1..=60).into_iter().map(|mail| Mail { uid: mail.uid + 500, ..mail }).collect();
    let similar: Vec<Mail> =
        (1..=60).map(|number| mail(number, &message(if number == 1 { 9 } else { number }))).collect();
    for (other, why) in [(strange, "of 70 objects"), (similar, "another Message-ID")] {
        let other = FakeImap::start(USUAL, vec![mailbox("INBOX", other)]);
        let before = digest(&place.archive());
        let said = place.import_from(&format!("imap://127.0.0.1:{}", other.port), &["--same-account"], 4);
        assert!(said.contains(why) && said.contains("nothing was changed"), "{said}");
        assert_eq!(digest(&place.archive()), before);
    }
    let said = place.import_from(&url, &["--same-account", "--dry-run"], 0);
    assert!(said.contains("(new 1, changed 0, unchanged 70)"), "{said}");
    moved.said();
    let said = place.import_from(&url, &["--same-account"], 0);
    assert!(said.contains("(new 1, changed 0, unchanged 70)") && said.contains("it is the same one"), "{said}");
    assert_eq!(moved.said().matches("BODY.PEEK[]").count(), 1, "only what is new is fetched");
    assert_eq!((place.count("INBOX"), place.sql::<u32>("SELECT count(*) FROM sources")), (61, 1));
    // From now on the address is the archive's, with the flag and without it; the old one is another source.
    assert!(place.import_from(&url, &[], 0).contains("unchanged 71"));
    assert!(place.import_from(&url, &["--same-account"], 0).contains("unchanged 71"));
    place.import(&[], 4);
}

#[test]
fn a_message_that_dovecot_breaks_off_at() {
    let Some(dovecot) = Dovecot::start("") else { return };
    let maildir = dovecot.home("alice").join("Maildir");
    let mut files = Vec::new();
    for number in 1..=60 {
        // What a name says of the size counts for Dovecot: it ends the connection where that is not true.
        let name = match number {
            1 | 30 => format!("{}.M{number}P1.host,S=99999:2,S", 1_600_000_000 + number),
            _ => format!("{}.M{number}P1.host:2,S", 1_600_000_000 + number),
        };
        files.push(deliver(&maildir, &name, &message(number)));
    }
    for folder in ["", "cur", "new", "tmp"] {
        dovecot.give(&maildir.join(folder));
    }
    files.iter().for_each(|file| dovecot.give(file));
    let mode = |mode| {
        std::fs::set_permissions(&files[44], std::os::unix::fs::PermissionsExt::from_mode(mode)).expect("a mode");
    };
    mode(0o000);
    let dir = tempfile::tempdir().expect("a directory");
    let archive = dir.path().join("alice.sqlite");
    let import = |scheme: &str, port: u16, arguments: &[&str]| {
        let mut command = vandelay();
        command.args(["import", "imap", "--auth-basic", "alice", "--url", &format!("{scheme}://localhost:{port}")]);
        command
            .args(arguments)
            .arg(&archive)
            .env("SSL_CERT_FILE", dovecot.authority_file())
            .env("VANDELAY_PASSWORD", PASSWORD);
        let output = command.stdin(Stdio::null()).output().expect("the program starts");
        let said = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        assert!(!said.contains("docs.rs") && !said.contains("panicked"), "{said}");
        (output.status.code(), said)
    };
    for connections in ["1", "3"] {
        let (code, said) = import("imaps", dovecot.imaps, &["--imap-connections", connections]);
        assert_eq!(code, Some(5), "{said}\n{}", dovecot.log());
        assert!(said.contains("INBOX: UID 45"), "{said}\n{}", dovecot.log());
        let listed = ok(&["ls", archive.to_str().expect("UTF-8"), "mail/INBOX/cur"]);
        assert!(listed.lines().count() >= 57, "{said}\n{listed}");
    }
    // Without TLS from the start it is the same account, and nothing is stored twice.
    mode(0o600);
    let (code, said) = import("imap", dovecot.imap, &[]);
    let listed = ok(&["ls", archive.to_str().expect("UTF-8"), "mail/INBOX/cur"]);
    assert!(matches!(code, Some(0 | 5)) && said.contains("it is the same one"), "{said}");
    assert!((58..=60).contains(&listed.lines().count()), "{said}\n{listed}");
    let conn = rusqlite::Connection::open(&archive).expect("the archive opens");
    let sources: u32 = conn.query_row("SELECT count(*) FROM sources", [], |row| row.get(0)).expect("a number");
    assert_eq!(sources, 1);
}

/// The file of a message of Cyrus, by its number, below its spool.
fn spooled(folder: &Path, name: &str, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).expect("a directory").flatten() {
        match entry.file_type().expect("a type").is_dir() {
            true => spooled(&entry.path(), name, found),
            false if entry.file_name() == name => found.push(entry.path()),
            false => {}
        }
    }
}

#[test]
fn a_message_that_cyrus_cannot_read() {
    let Some(cyrus) = Cyrus::start() else { return };
    let user = "alice@example.org";
    let mut writer = Imap::login(cyrus.imap, user, "x");
    for number in 1..=40 {
        assert!(writer.append("INBOX", "(\\Seen) ", &message(number), false));
    }
    drop(writer);
    let mut files = Vec::new();
    ["5.", "23."].iter().for_each(|name| spooled(&cyrus.path().join("spool"), name, &mut files));
    assert_eq!(files.len(), 2, "{files:?}");
    for file in &files {
        std::fs::set_permissions(file, std::os::unix::fs::PermissionsExt::from_mode(0o000)).expect("a mode");
    }
    let dir = tempfile::tempdir().expect("a directory");
    for kind in ["imap", "jmap"] {
        let archive = dir.path().join(format!("{kind}.sqlite"));
        for run in 1..=2 {
            let mut command = match kind {
                "imap" => {
                    let mut command = vandelay();
                    let url = format!("imap://127.0.0.1:{}", cyrus.imap);
                    command.args(["import", "imap", "--allow-cleartext", "--auth-basic", user, "--url", &url]);
                    command.env("VANDELAY_PASSWORD", "x");
                    command
                }
                _ => common::jmap_run::at_cyrus(&cyrus, "import", user),
            };
            let output = command.arg(&archive).stdin(Stdio::null()).output().expect("the program starts");
            let said =
                format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
            assert_eq!(output.status.code(), Some(5), "{kind} {run}: {said}");
            let conn = rusqlite::Connection::open(&archive).expect("the archive opens");
            let count: u32 = conn.query_row("SELECT count(*) FROM emails", [], |row| row.get(0)).expect("a number");
            assert_eq!(count, 38, "{kind} {run}: {said}");
        }
    }
}
