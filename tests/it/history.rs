//! What an archive remembers: snapshots, differences, forgetting, and a model that is compared at every moment.

use crate::common;
use crate::common::*;
use rusqlite::Connection;
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

fn text(path: &Path) -> &str {
    path.to_str().expect("a path in UTF-8")
}

fn import(maildir: &Path, archive: &Path) -> serde_json::Value {
    let done = json(&["import", "maildir", text(maildir), text(archive), "--json"]);
    ok(&["verify", text(archive)]);
    done
}

/// Messages of a tree: folder, flags and bytes, sorted; without what our file names add.
fn messages(tree: &BTreeMap<String, Vec<u8>>) -> Vec<(String, String, Vec<u8>)> {
    let mut found: Vec<_> = tree
        .iter()
        .filter_map(|(path, bytes)| {
            let (folder, name) = path.strip_prefix("mail/")?.rsplit_once("/cur/")?;
            let flags = name.rsplit_once(":2,")?.1;
            Some((folder.to_owned(), flags.to_owned(), bytes.clone()))
        })
        .collect();
    found.sort();
    found
}

fn folders(tree: &BTreeMap<String, Vec<u8>>) -> BTreeSet<String> {
    tree.keys().filter_map(|path| Some(path.strip_prefix("mail/")?.strip_suffix("/cur/")?.to_owned())).collect()
}

fn id_of(tree: &BTreeMap<String, Vec<u8>>, bytes: &[u8]) -> String {
    let path =
        tree.iter().find(|(path, content)| path.starts_with("mail/") && *content == bytes).expect("the message").0;
    path.rsplit('/').next().expect("a name").split('.').nth(1).expect("an id").to_owned()
}

fn snapshots(archive: &Path) -> Vec<serde_json::Value> {
    listed(&["snapshots", text(archive)])
}

#[test]
fn every_run_is_a_snapshot_and_shows_what_was() {
    let dir = tempfile::tempdir().expect("a directory");
    let (mail, archive) = (dir.path().join("mail"), dir.path().join("a.sqlite"));
    let one = deliver(&mail, "1700000001.M1.h:2,", &message(1));
    deliver(&mail.join(".Box"), "1700000002.M2.h:2,S", &message(2));
    import(&mail, &archive);
    let mut shown = vec![tree(&archive, "latest")];
    let step = |shown: &mut Vec<BTreeMap<String, Vec<u8>>>| {
        import(&mail, &archive);
        for (at, before) in shown.iter().enumerate() {
            assert!(tree(&archive, &(at + 1).to_string()) == *before, "snapshot {} is as it was", at + 1);
        }
        shown.push(tree(&archive, "latest"));
        assert!(tree(&archive, &shown.len().to_string()) == *shown.last().expect("a tree"));
    };
    // 2: flags change, the id stays.
    let id = id_of(&shown[0], &message(1));
    let flagged = one.with_file_name("1700000001.M1.h:2,FS");
    fs::rename(&one, &flagged).expect("flags");
    step(&mut shown);
    assert_eq!(id_of(&shown[1], &message(1)), id);
    assert!(messages(&shown[1]).contains(&("INBOX".to_owned(), "FS".to_owned(), message(1))));
    // 3: moved to another folder, the id stays.
    let moved = mail.join(".Box/cur/1700000001.M1.h:2,FS");
    fs::rename(&flagged, &moved).expect("moved");
    step(&mut shown);
    assert_eq!(id_of(&shown[2], &message(1)), id, "a moved message keeps its id");
    assert!(messages(&shown[2]).contains(&("Box".to_owned(), "FS".to_owned(), message(1))));
    // 4: deleted.
    fs::remove_file(&moved).expect("deleted");
    step(&mut shown);
    assert!(!shown[3].values().any(|bytes| *bytes == message(1)));
    // 5: it returns.
    deliver(&mail, "1700000001.M1.h:2,", &message(1));
    step(&mut shown);
    assert!(messages(&shown[4]).contains(&("INBOX".to_owned(), String::new(), message(1))));
    // 6: a folder is renamed, its messages keep their ids.
    let id = id_of(&shown[4], &message(2));
    fs::rename(mail.join(".Box"), mail.join(".Renamed")).expect("renamed");
    step(&mut shown);
    assert_eq!(id_of(&shown[5], &message(2)), id);
    assert_eq!(folders(&shown[5]), BTreeSet::from(["INBOX".to_owned(), "Renamed".to_owned()]));
    // 7: a folder is removed.
    fs::remove_dir_all(mail.join(".Renamed")).expect("removed");
    step(&mut shown);
    assert_eq!(folders(&shown[6]), BTreeSet::from(["INBOX".to_owned()]));
    // 8: nothing.
    step(&mut shown);
    assert!(shown[7] == shown[6]);
    // Bytes are stored once, however often they came and went.
    let conn = Connection::open(&archive).expect("it opens");
    assert_eq!(conn.query_row("SELECT count(*) FROM blobs", [], |row| row.get::<_, i64>(0)), Ok(2));
    mailbox_notes_are_true(&archive);
}

#[test]
fn moments_are_named_by_number_time_and_latest() {
    let dir = tempfile::tempdir().expect("a directory");
    let (mail, archive) = (dir.path().join("mail"), dir.path().join("a.sqlite"));
    for number in 1..=3 {
        deliver(&mail, &format!("170000000{number}.M{number}.h:2,"), &message(number));
        import(&mail, &archive);
    }
    set_ends(&archive, &[(1, "2025-01-01T12:00:00Z"), (2, "2025-02-01T12:00:00Z"), (3, "2025-03-01T12:00:00Z")]);
    let count = |at: &str| tree(&archive, at).keys().filter(|path| path.contains(".vandelay,")).count();
    for (at, expected) in [
        ("1", 1),
        ("2", 2),
        ("latest", 3),
        ("2025-01-01T12:00:00Z", 1),
        ("2025-01-31T00:00:00Z", 1),
        ("2025-02-01T13:00:00+01:00", 2),
        ("2030-01-01T00:00:00Z", 3),
    ] {
        assert_eq!(count(at), expected, "{at}");
        let listed = ok(&["ls", "-R", text(&archive), "--at", at]);
        assert_eq!(listed.lines().filter(|path| path.contains(".vandelay,")).count(), expected, "{at}");
        assert!(
            ok(&["inspect", text(&archive), "--at", at])
                .lines()
                .any(|line| line.starts_with("Messages ") && line.contains(&format!(" {expected} in 1 folder"))),
            "{at}"
        );
        let into = dir.path().join(format!("out-{at}"));
        ok(&["extract", text(&archive), "mail", "--at", at, "-C", text(&into)]);
    }
    for at in ["9", "2024-12-31T00:00:00Z", "yesterdy", "0", "-1"] {
        fails(&["ls", text(&archive), &format!("--at={at}")], 1);
    }
    let path = "mail/INBOX/cur/1700000003.3.vandelay";
    let name =
        ok(&["ls", "-R", text(&archive)]).lines().find(|line| line.starts_with(path)).expect("a message").to_owned();
    assert_eq!(ok(&["cat", text(&archive), &name]).into_bytes(), message(3));
    assert_ne!(run(&["cat", text(&archive), &name, "--at", "2"]).status.code(), Some(0));
}

#[test]
fn diff_names_what_differs() {
    let dir = tempfile::tempdir().expect("a directory");
    let (mail, archive) = (dir.path().join("mail"), dir.path().join("a.sqlite"));
    let one = deliver(&mail, "1700000001.M1.h:2,", &message(1));
    let two = deliver(&mail, "1700000002.M2.h:2,", &message(2));
    deliver(&mail, "1700000003.M3.h:2,", &message(3));
    import(&mail, &archive);
    fs::remove_file(&one).expect("deleted");
    fs::rename(&two, two.with_file_name("1700000002.M2.h:2,S")).expect("a flag");
    deliver(&mail.join(".New"), "1700000004.M4.h:2,", &message(4));
    import(&mail, &archive);
    let lines = |from: &str, to: &str| -> BTreeSet<(String, i64, String)> {
        listed(&["diff", text(&archive), from, to])
            .iter()
            .filter_map(|line| {
                Some((line["type"].as_str()?.to_owned(), line["id"].as_i64()?, line["difference"].as_str()?.to_owned()))
            })
            .collect()
    };
    let expect = |list: &[(&str, i64, &str)]| {
        list.iter().map(|(kind, id, how)| ((*kind).to_owned(), *id, (*how).to_owned())).collect::<BTreeSet<_>>()
    };
    assert_eq!(
        lines("1", "2"),
        expect(&[("email", 1, "removed"), ("email", 2, "changed"), ("email", 4, "added"), ("mailbox", 2, "added")])
    );
    assert_eq!(
        lines("2", "1"),
        expect(&[("email", 1, "added"), ("email", 2, "changed"), ("email", 4, "removed"), ("mailbox", 2, "removed")])
    );
    assert_eq!(lines("2", "latest"), BTreeSet::new());
    let said = ok(&["diff", "--long", text(&archive), "1", "2"]);
    for part in ["- email 1", "~ email 2", "+ email 4", "+ mailbox 2 mail/New", "1@example.org", "keywords"] {
        assert!(said.contains(part), "{part}: {said}");
    }
    fails(&["diff", text(&archive), "1", "7"], 1);
}

/// `diff N M` compares N with M: what was otherwise in between is not listed.
#[test]
fn diff_does_not_name_what_is_as_it_was() {
    let dir = tempfile::tempdir().expect("a directory");
    let (mail, takeout, archive) = (dir.path().join("mail"), dir.path().join("takeout"), dir.path().join("a.sqlite"));
    fs::create_dir(&takeout).expect("a folder");
    let card = |name: &str| {
        let text = format!("BEGIN:VCARD\r\nVERSION:3.0\r\nUID:c1\r\nFN:{name}\r\nN:{name};;;;\r\nEND:VCARD\r\n");
        fs::write(takeout.join("Friends.vcf"), text).expect("a file");
    };
    // Flags of messages 1, 2 and 3, whether 4 is there, the folder of 5, and the card's name: at each of three moments.
    let moments = [
        (["S", "", "R"], false, "", "Jane"),
        (["FS", "S", "R"], true, ".Box", "Joan"),
        (["S", "S", "RS"], false, "", "Jane"),
    ];
    for (flags, has_fourth, folder, name) in moments {
        let _ = fs::remove_dir_all(&mail);
        for (number, flags) in (1..).zip(flags) {
            deliver(&mail, &format!("170000000{number}.M{number}.h:2,{flags}"), &message(number));
        }
        if has_fourth {
            deliver(&mail, "1700000004.M4.h:2,", &message(4));
        }
        deliver(&mail.join(folder), "1700000005.M5.h:2,", &message(5));
        card(name);
        import(&mail, &archive);
        ok(&["import", "takeout", text(&takeout), text(&archive)]);
    }
    let lines = |from: i64, to: i64| -> Vec<String> {
        listed(&["diff", text(&archive), &from.to_string(), &to.to_string()])
            .iter()
            .filter_map(|line| {
                let word = |name: &str| line[name].as_str().map(str::to_owned);
                Some(format!("{} {} {}", word("difference")?, word("type")?, line["id"]))
            })
            .collect()
    };
    // Each moment is two snapshots, the second of them whole.
    let there = [
        "added mailbox 2",
        "changed email 1",
        "changed email 2",
        "changed email 4",
        "added email 5",
        "changed contactcard 1",
    ];
    let back = [
        "removed mailbox 2",
        "changed email 1",
        "changed email 3",
        "changed email 4",
        "removed email 5",
        "changed contactcard 1",
    ];
    for (from, to, expected) in [
        (2, 4, &there[..]),
        (4, 6, &back),
        (2, 6, &["changed email 2", "changed email 3"]),
        (6, 2, &["changed email 2", "changed email 3"]),
        (2, 2, &[]),
    ] {
        let (found, expected): (BTreeSet<String>, BTreeSet<String>) =
            (lines(from, to).into_iter().collect(), expected.iter().map(|line| (*line).to_owned()).collect());
        assert_eq!(found, expected, "{from} to {to}");
    }
}

#[test]
fn what_diff_says_is_enough_to_restore() {
    let dir = tempfile::tempdir().expect("a directory");
    let (mail, archive) = (dir.path().join("mail"), dir.path().join("a.sqlite"));
    let lost = b"From: =?utf-8?q?J=C3=B6rg?= <J@x.example>\r\nSubject: =?iso-8859-1?q?Gr=FCne?=\r\n =?iso-8859-1?q?_Post?=\r\nMessage-ID: <CaMeL@Host>\r\n\r\nit's this\r\n";
    let path = deliver(&mail.join(".It's mine"), "1700000001.M1.h:2,S", lost);
    let moved = deliver(&mail, "1700000002.M2.h:2,", &message(2));
    import(&mail, &archive);
    fs::remove_file(path).expect("deleted");
    fs::rename(moved, mail.join(".It's mine/cur/1700000002.M2.h:2,")).expect("moved");
    import(&mail, &archive);
    let said = ok(&["diff", "--long", text(&archive), "1", "2"]);
    let line = said.lines().find(|line| line.starts_with("- email ")).expect("the message");
    assert!(line.ends_with("  2023-11-14T22:13:21Z  Jörg <J@x.example>  Grüne Post  <CaMeL@Host>"), "{line}");
    // Pasted into a shell as it stands.
    let path = line.splitn(4, ' ').nth(3).and_then(|rest| rest.split("  ").next()).expect("a path");
    let command = format!("\"$1\" cat --at 1 \"$2\" {path}");
    let arguments = ["-c", &command, "sh", env!("CARGO_BIN_EXE_vandelay"), text(&archive)];
    let output = std::process::Command::new("sh").args(arguments).output().expect("sh");
    assert!(output.stdout == lost, "{command}: {}", String::from_utf8_lossy(&output.stderr));
    let line = said.lines().find(|line| line.starts_with("~ email ")).expect("the message");
    assert!(line.contains(" 'mail/It'\\''s mine/cur/") && line.contains(", was mail/INBOX/cur/"), "{line}");
    let objects = listed(&["diff", text(&archive), "1", "2"]);
    let removed = objects.iter().find(|object| object["difference"] == "removed").expect("the message");
    let at = removed["path"].as_str().expect("a path");
    assert_eq!(ok(&["cat", "--at", "1", text(&archive), at]).as_bytes(), lost);
    for (field, value) in [("subject", "Grüne Post"), ("from", "Jörg <J@x.example>"), ("message_id", "CaMeL@Host")] {
        assert_eq!(removed[field], value);
    }
    assert_eq!((&removed["before"]["id"], &removed["after"]), (&removed["id"], &serde_json::Value::Null));
    let changed = objects.iter().find(|object| object["difference"] == "changed").expect("the other");
    for (paths, at) in [("paths_before", "1"), ("paths", "latest")] {
        let path = changed[paths][0].as_str().expect("a path");
        assert_eq!(ok(&["cat", "--at", at, text(&archive), path]).into_bytes(), message(2), "{paths}");
    }
}

#[test]
fn diff_names_cards_events_and_files() {
    let dir = tempfile::tempdir().expect("a directory");
    let (mail, takeout, archive) = (dir.path().join("mail"), dir.path().join("takeout"), dir.path().join("a.sqlite"));
    deliver(&mail, "1700000001.M1.h:2,", &message(1));
    import(&mail, &archive);
    fs::create_dir_all(&takeout).expect("a folder");
    let files = [
        ("Friends.vcf", "BEGIN:VCARD\r\nVERSION:3.0\r\nUID:c1\r\nFN:Jane Doe\r\nN:Doe;Jane;;;\r\nEND:VCARD\r\n"),
        (
            "Work.ics",
            "BEGIN:VCALENDAR\r\nVERSION:2.0\r\nPRODID:x\r\nBEGIN:VEVENT\r\nUID:e1\r\nDTSTAMP:20240101T000000Z\r\nDTSTART:20240305T100000Z\r\nSUMMARY:Dentist\r\nEND:VEVENT\r\nEND:VCALENDAR\r\n",
        ),
    ];
    for (name, bytes) in files {
        fs::write(takeout.join(name), bytes).expect("a file");
    }
    ok(&["import", "takeout", text(&takeout), text(&archive)]);
    let said = ok(&["diff", "--long", text(&archive), "1"]);
    for part in [
        "+ contactcard 1 contacts/Imported/c1.vcf  Jane Doe\n",
        "+ calendarevent 1 calendars/Work/e1.ics  2024-03-05T10:00:00  Dentist\n",
        "+ calendar 1 calendars/Work\n",
    ] {
        assert!(said.contains(part), "{part}: {said}");
    }
    for object in listed(&["diff", text(&archive), "1"]) {
        ok(&["extract", text(&archive), object["path"].as_str().expect("a path"), "-C", text(&dir.path().join("out"))]);
    }
}

/// An archive with nine snapshots, at known times, each with a message of its own that the next one has not.
fn nine(dir: &Path) -> PathBuf {
    let (mail, archive) = (dir.join("mail"), dir.join("a.sqlite"));
    for number in 1..=9 {
        let path = deliver(&mail, &format!("170000000{number}.M{number}.h:2,"), &message(number));
        import(&mail, &archive);
        fs::remove_file(path).expect("gone");
    }
    set_ends(
        &archive,
        &[
            (1, "2023-12-31T23:30:00Z"),
            (2, "2024-01-01T00:30:00Z"),
            (3, "2024-02-05T08:00:00Z"),
            (4, "2024-02-05T08:59:00Z"),
            (5, "2024-02-05T23:00:00Z"),
            (6, "2024-02-06T10:00:00Z"),
            (7, "2024-02-11T10:00:00Z"),
            (8, "2024-02-12T10:00:00Z"),
            (9, "2024-02-12T10:30:00Z"),
        ],
    );
    archive
}

#[test]
fn forget_keeps_what_its_rules_want_and_collects_the_rest() {
    let dir = tempfile::tempdir().expect("a directory");
    let master = nine(dir.path());
    let archive = dir.path().join("copy.sqlite");
    for (rules, kept) in [
        (&["--keep-last", "2"][..], &[8, 9][..]),
        (&["--keep-hourly", "3"], &[6, 7, 9]),
        (&["--keep-daily", "3"], &[6, 7, 9]),
        (&["--keep-weekly", "2"], &[7, 9]),
        (&["--keep-monthly", "2"], &[2, 9]),
        (&["--keep-yearly", "5"], &[1, 9]),
        (&["--keep-within", "1d1h"], &[7, 8, 9]),
        (&["--keep-within", "6d"], &[7, 8, 9]),
        (&["--keep-last", "1", "--keep-yearly", "2"], &[1, 9]),
        (&["--keep-last", "99"], &[1, 2, 3, 4, 5, 6, 7, 8, 9]),
    ] {
        fs::copy(&master, &archive).expect("a copy");
        let before: BTreeMap<i64, _> = (1..=9).map(|id| (id, tree(&archive, &id.to_string()))).collect();
        let untouched = listing(dir.path());
        let dry = json(&[&["forget", text(&archive), "--dry-run", "--json"], rules].concat());
        assert_eq!(listing(dir.path()), untouched, "{rules:?}: a dry run changes nothing");
        let wanted: Vec<i64> = (1..=9).filter(|id| !kept.contains(id)).collect();
        assert_eq!(dry["forgotten_snapshots"], serde_json::json!(wanted), "{rules:?}");
        let done = json(&[&["forget", text(&archive), "--json", "--compact"], rules].concat());
        assert_eq!(done["forgotten_snapshots"], dry["forgotten_snapshots"], "{rules:?}");
        ok(&["verify", text(&archive)]);
        let left: Vec<i64> =
            snapshots(&archive).iter().map(|snapshot| snapshot["snapshot"].as_i64().expect("a number")).collect();
        assert_eq!(left, kept, "{rules:?}");
        for id in kept {
            assert!(tree(&archive, &id.to_string()) == before[id], "{rules:?}: snapshot {id} shows what it showed");
        }
        for id in &wanted {
            fails(&["ls", text(&archive), "--at", &id.to_string()], 1);
        }
        // Each snapshot has a message of its own; those of forgotten ones are gone from the file too.
        let bytes = fs::read(&archive).expect("the archive");
        for id in 1..=9_i64 {
            let there = memchr::memmem::find(&bytes, format!("body {id}\r\n").as_bytes()).is_some();
            assert_eq!(there, kept.contains(&id), "{rules:?}: the bytes of snapshot {id}");
        }
        let conn = Connection::open(&archive).expect("it opens");
        assert_eq!(
            conn.query_row("SELECT count(*) FROM blobs", [], |row| row.get::<_, i64>(0)),
            Ok(kept.len() as i64),
            "{rules:?}"
        );
    }
    for rules in [&[][..], &["--keep-within", "soon"], &["--keep-last", "-1"], &["--keep-last", "0"]] {
        fails(&[&["forget", text(&master)], rules].concat(), 1);
    }
}

/// Runs that were killed or stopped are no backups: they do not push out those that are.
#[test]
fn interrupted_runs_do_not_displace_complete_ones() {
    let dir = tempfile::tempdir().expect("a directory");
    let (mail, archive) = (dir.path().join("mail"), dir.path().join("a.sqlite"));
    deliver(&mail, "1700000001.M1.h:2,", &message(1));
    import(&mail, &archive);
    let complete = tree(&archive, "latest");
    let conn = Connection::open(&archive).expect("it opens");
    for _ in 0..3 {
        conn.execute("INSERT INTO snapshots (source_id, started, ended, state, program) VALUES (1, '2099-01-01T00:00:00Z', '2099-01-01T00:00:00Z', 'interrupted', 'test')", []).expect("a run");
    }
    common::digest_snapshots(&conn);
    drop(conn);
    assert!(tree(&archive, "latest") == complete);
    ok(&["forget", text(&archive), "--keep-last", "1"]);
    ok(&["verify", text(&archive)]);
    assert!(
        snapshots(&archive).iter().any(|snapshot| snapshot["state"] == "complete"),
        "the last complete snapshot is kept"
    );
    assert!(tree(&archive, "latest") == complete);
}

/// An id is never given twice, also when nothing remembers who had it.
#[test]
fn ids_are_not_used_again_after_forgetting() {
    let dir = tempfile::tempdir().expect("a directory");
    let (mail, archive) = (dir.path().join("mail"), dir.path().join("a.sqlite"));
    deliver(&mail, "1700000001.M1.h:2,", &message(1));
    let two = deliver(&mail, "1700000002.M2.h:2,", &message(2));
    import(&mail, &archive);
    fs::remove_file(two).expect("gone");
    import(&mail, &archive);
    ok(&["forget", text(&archive), "--keep-last", "1"]);
    deliver(&mail, "1700000003.M3.h:2,", &message(3));
    import(&mail, &archive);
    assert_eq!(id_of(&tree(&archive, "latest"), &message(3)), "3", "2 was the id of another message");
}
