//! What an archive remembers: snapshots, differences, forgetting, and a model that is compared at every moment.

mod common;

use common::*;
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
    ok(&["snapshots", text(archive), "--json"]).lines().map(|line| serde_json::from_str(line).expect("JSON")).collect()
}

/// Sets the ends of the snapshots, which are all of today, to these times.
fn set_ends(archive: &Path, ends: &[(i64, &str)]) {
    let conn = Connection::open(archive).expect("it opens");
    for (id, end) in ends {
        conn.execute("UPDATE snapshots SET started = ?2, ended = ?2 WHERE id = ?1", rusqlite::params![id, end])
            .expect("an end");
    }
    common::digest_snapshots(&conn);
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
                .any(|line| line.starts_with("email ") && line.ends_with(&format!(" {expected}"))),
            "{at}"
        );
        let into = dir.path().join(format!("out-{at}"));
        ok(&["extract", text(&archive), "mail", "--at", at, "-C", text(&into)]);
    }
    for at in ["9", "2024-12-31T00:00:00Z", "yesterday", "0", "-1"] {
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
        ok(&["diff", text(&archive), from, to, "--json"])
            .lines()
            .filter_map(|line| {
                let line: serde_json::Value = serde_json::from_str(line).expect("JSON");
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
    let said = ok(&["diff", text(&archive), "1", "2"]);
    for part in ["- email 1", "~ email 2", "+ email 4", "+ mailbox 2 mail/New", "1@example.org", "keywords"] {
        assert!(said.contains(part), "{part}: {said}");
    }
    fails(&["diff", text(&archive), "1", "7"], 1);
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
    let said = ok(&["diff", text(&archive), "1", "2"]);
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
    let objects: Vec<serde_json::Value> = ok(&["diff", text(&archive), "1", "2", "--json"])
        .lines()
        .map(|line| serde_json::from_str(line).expect("JSON"))
        .collect();
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
    let said = ok(&["diff", text(&archive), "1"]);
    for part in [
        "+ contactcard 1 contacts/Imported/c1.vcf  Jane Doe\n",
        "+ calendarevent 1 calendars/Work/e1.ics  2024-03-05T10:00:00  Dentist\n",
        "+ calendar 1 calendars/Work\n",
    ] {
        assert!(said.contains(part), "{part}: {said}");
    }
    for line in ok(&["diff", text(&archive), "1", "--json"]).lines() {
        let object: serde_json::Value = serde_json::from_str(line).expect("JSON");
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
        assert_eq!(dry["forget"], serde_json::json!(wanted), "{rules:?}");
        let done = json(&[&["forget", text(&archive), "--json", "--compact"], rules].concat());
        assert_eq!(done["forget"], dry["forget"], "{rules:?}");
        ok(&["verify", text(&archive)]);
        let left: Vec<i64> =
            snapshots(&archive).iter().map(|snapshot| snapshot["id"].as_i64().expect("a number")).collect();
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

// --- the model --------------------------------------------------------------------------------------------------------

/// Folder and base name of a message.
type Place = (String, String);

/// Flags and bytes of a message.
type Message = (String, Vec<u8>);

/// What a Maildir holds: folders, and messages by file name.
#[derive(Clone, Default)]
struct Model {
    folders: BTreeSet<String>,
    messages: BTreeMap<Place, Message>,
}

struct World {
    root: PathBuf,
    model: Model,
    dice: Dice,
    next: u32,
}

impl World {
    fn dir(&self, folder: &str) -> PathBuf {
        if folder == "INBOX" { self.root.clone() } else { self.root.join(format!(".{}", folder.replace('/', "."))) }
    }

    fn file(&self, folder: &str, base: &str, flags: &str) -> PathBuf {
        self.dir(folder).join("cur").join(format!("{base}:2,{flags}"))
    }

    fn any_folder(&mut self) -> String {
        let at = self.dice.below(self.model.folders.len());
        self.model.folders.iter().nth(at).expect("a folder").clone()
    }

    fn any_message(&mut self) -> Option<(Place, Message)> {
        if self.model.messages.is_empty() {
            return None;
        }
        let at = self.dice.below(self.model.messages.len());
        self.model.messages.iter().nth(at).map(|(place, message)| (place.clone(), message.clone()))
    }

    fn flags(&mut self) -> String {
        "DFPRS".chars().filter(|_| self.dice.below(3) == 0).collect()
    }

    fn make_folder(&mut self, folder: &str) {
        for part in ["cur", "new", "tmp"] {
            fs::create_dir_all(self.dir(folder).join(part)).expect("a folder");
        }
        self.model.folders.insert(folder.to_owned());
    }

    fn deliver(&mut self, bytes: Vec<u8>) {
        let (folder, flags) = (self.any_folder(), self.flags());
        self.next += 1;
        let base = format!("{}.M{}P1.h", 1_700_000_000 + self.next, self.next);
        fs::write(self.file(&folder, &base, &flags), &bytes).expect("a message");
        self.model.messages.insert((folder, base), (flags, bytes));
    }

    /// One random edit.
    fn edit(&mut self) {
        match self.dice.below(12) {
            0..=3 => {
                let number = self.next;
                self.deliver(message(number));
            }
            // The same bytes once more.
            4 => {
                if let Some((_, (_, bytes))) = self.any_message() {
                    self.deliver(bytes);
                }
            }
            5 => {
                if let Some((place, (flags, _))) = self.any_message() {
                    fs::remove_file(self.file(&place.0, &place.1, &flags)).expect("gone");
                    self.model.messages.remove(&place);
                }
            }
            6 | 7 => {
                if let Some((place, (flags, bytes))) = self.any_message() {
                    let other = self.flags();
                    fs::rename(self.file(&place.0, &place.1, &flags), self.file(&place.0, &place.1, &other))
                        .expect("flags");
                    self.model.messages.insert(place, (other, bytes));
                }
            }
            8 | 9 => {
                if let Some((place, message)) = self.any_message() {
                    let to = self.any_folder();
                    if to != place.0 {
                        fs::rename(self.file(&place.0, &place.1, &message.0), self.file(&to, &place.1, &message.0))
                            .expect("moved");
                        self.model.messages.remove(&place);
                        self.model.messages.insert((to, place.1), message);
                    }
                }
            }
            10 => {
                let names = ["Work", "Work/Old", "Archive", "Archive/2024", "Lists"];
                let name = names[self.dice.below(names.len())];
                if let Some((parent, _)) = name.rsplit_once('/') {
                    self.make_folder(parent);
                }
                self.make_folder(name);
            }
            _ => {
                let folder = self.any_folder();
                let has_children = self.model.folders.iter().any(|other| other.starts_with(&format!("{folder}/")));
                if folder != "INBOX" && !has_children {
                    fs::remove_dir_all(self.dir(&folder)).expect("gone");
                    self.model.folders.remove(&folder);
                    self.model.messages.retain(|(other, _), _| *other != folder);
                }
            }
        }
    }
}

impl Model {
    fn messages(&self) -> Vec<(String, String, Vec<u8>)> {
        let mut found: Vec<_> = self
            .messages
            .iter()
            .map(|((folder, _), (flags, bytes))| (folder.clone(), flags.clone(), bytes.clone()))
            .collect();
        found.sort();
        found
    }
}

/// Random edits with an import after each few: the tree is the model, now and at every earlier snapshot, also after
/// some snapshots are forgotten.
#[test]
fn the_tree_is_the_model_at_every_moment() {
    for seed in 0..if soak() { 100 } else { 4 } {
        let dir = tempfile::tempdir().expect("a directory");
        let archive = dir.path().join("a.sqlite");
        let mut world = World { root: dir.path().join("mail"), model: Model::default(), dice: Dice(seed), next: 0 };
        world.make_folder("INBOX");
        let mut past: BTreeMap<i64, Model> = BTreeMap::new();
        for step in 0..25 {
            let what = format!("seed {seed}, step {step}");
            for _ in 0..=world.dice.below(6) {
                world.edit();
            }
            let done = import(&world.root, &archive);
            past.insert(done["snapshot"].as_i64().expect("a number"), world.model.clone());
            if step % 9 == 8 {
                ok(&["forget", text(&archive), "--keep-last", "4"]);
                ok(&["verify", text(&archive)]);
                while past.len() > 4 {
                    past.pop_first();
                }
            }
            mailbox_notes_are_true(&archive);
            let latest = tree(&archive, "latest");
            assert_eq!(messages(&latest), world.model.messages(), "{what}: latest");
            assert_eq!(folders(&latest), world.model.folders, "{what}: latest");
            for (id, model) in &past {
                let shown = tree(&archive, &id.to_string());
                assert_eq!(messages(&shown), model.messages(), "{what}: snapshot {id}");
                assert_eq!(folders(&shown), model.folders, "{what}: snapshot {id}");
            }
        }
    }
}

/// Snapshots of one second have names of their own, which stay what they are when others are forgotten.
#[test]
fn snapshots_of_one_second_are_told_apart_for_good() {
    let dir = tempfile::tempdir().expect("a directory");
    let (mail, archive) = (dir.path().join("Maildir"), dir.path().join("a.sqlite"));
    let archive = archive.to_str().unwrap();
    let names = || -> Vec<String> { ok(&["ls", archive, ".snapshots"]).lines().map(str::to_owned).collect() };
    // An import takes less than half a second, most of the time.
    for number in 1.. {
        deliver(&mail, &format!("15000000{number:02}.M{number}.host:2,S"), &message(number));
        ok(&["import", "maildir", mail.to_str().unwrap(), archive]);
        if names().iter().any(|name| name.contains('~')) {
            break;
        }
        assert!(number < 90, "never two in one second");
    }
    let all = names();
    let shown = |at: &str| ok(&["ls", "--at", at, archive, "mail/INBOX/cur"]);
    for (at, name) in all.iter().enumerate() {
        assert_eq!(shown(name).lines().count(), at + 1, "{name}");
        assert_eq!(shown(name), ok(&["ls", archive, &format!(".snapshots/{name}/mail/INBOX/cur")]), "{name}");
        assert_eq!(shown(name), shown(&(at + 1).to_string()), "{name}");
    }
    // What is left has the name that it had.
    ok(&["forget", archive, "--keep-last", "1"]);
    assert_eq!(names(), all[all.len() - 1..]);
    assert_eq!(shown(&all[all.len() - 1]).lines().count(), all.len());
    for nonsense in ["2026-11-30T06-00-00Z~", "2026-11-30T06-00-00Z~x", "2026-11-30~3", "~3", "2026-11-30T06-00-00Z~0"]
    {
        fails(&["ls", "--at", nonsense, archive], 1);
    }
}

/// What no import changed has the same date in every snapshot, also if nothing is in it.
#[test]
fn what_never_changed_gets_no_newer() {
    let dir = tempfile::tempdir().expect("a directory");
    let (mail, archive) = (dir.path().join("Maildir"), dir.path().join("a.sqlite"));
    let archive = archive.to_str().unwrap();
    for number in 1..4 {
        deliver(&mail, &format!("150000000{number}.M{number}.host:2,S"), &message(number));
        ok(&["import", "maildir", mail.to_str().unwrap(), archive]);
    }
    let conn = Connection::open(archive).expect("an archive");
    conn.execute("UPDATE snapshots SET ended = '2026-01-0' || id || 'T00:00:00Z'", []).expect("other times");
    drop(conn);
    let lines = |at: &str| -> Vec<String> {
        let all = ok(&["ls", "-l", "--at", at, archive]);
        let is_empty = |line: &&str| {
            ["sieve", "files", "calendars", "contacts", "merged", "identities.json"]
                .iter()
                .any(|name| line.ends_with(name))
        };
        all.lines().filter(is_empty).map(str::to_owned).collect()
    };
    assert_eq!(lines("1").len(), 6);
    assert!(lines("1").iter().all(|line| line.contains("2026-01-01T00:00:00Z")), "{:?}", lines("1"));
    assert_eq!((lines("2"), lines("latest")), (lines("1"), lines("1")));
}

/// Files that share an inode number are as many as their count of links says.
#[test]
fn links_are_counted() {
    let dir = tempfile::tempdir().expect("a directory");
    let (takeout, archive) = (dir.path().join("Takeout"), dir.path().join("a.sqlite"));
    let archive = archive.to_str().unwrap();
    fs::create_dir(&takeout).expect("a directory");
    let message = |number: u32, labels: &str| {
        format!(
            "From {number}@xxx Mon Jan 05 10:00:0{number} +0000 2015\nX-Gmail-Labels: {labels}\nFrom: a@example.org\nSubject: s{number}\n\
             Message-ID: <{number}@example.org>\nMIME-Version: 1.0\nContent-Type: multipart/mixed; boundary=b\n\n--b\n\nx\n--b\n\
             Content-Disposition: attachment; filename=a.bin\n\nbytes\n--b--\n\n"
        )
    };
    let mbox = message(1, "One") + &message(2, "One,Two") + &message(3, "One,Two,Three");
    fs::write(takeout.join("All mail.mbox"), mbox).expect("an mbox");
    ok(&["import", "takeout", takeout.to_str().unwrap(), archive]);
    let mut found: BTreeMap<u64, (u64, Vec<String>)> = BTreeMap::new();
    for line in ok(&["ls", "-R", "--json", archive]).lines() {
        let line: serde_json::Value = serde_json::from_str(line).expect("JSON");
        if line["sort"] == "file" {
            let one = found.entry(line["inode"].as_u64().unwrap()).or_default();
            one.0 = line["links"].as_u64().unwrap();
            one.1.push(line["name"].as_str().unwrap().to_owned());
        }
    }
    let counts: BTreeSet<u64> = found.values().map(|(links, _)| *links).collect();
    assert_eq!(counts, BTreeSet::from([1, 2, 3]));
    for (links, names) in found.values() {
        assert_eq!(*links, names.len() as u64, "{names:?}");
    }
    for part in ["mail", "text", "attachments"] {
        assert!(found.values().any(|(links, names)| *links == 3 && names[0].starts_with(part)), "{part}");
    }
}
