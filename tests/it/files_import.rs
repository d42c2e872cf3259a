//! Files that are named one by one: `import mbox`, `eml`, `ics`, `vcf`. They only add, in whatever order and from wherever they
//! come, into the mailbox, calendar or address book that was asked for, and never into another one.

use crate::common::{ok, run, vandelay};
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Stdio;

fn message(subject: &str, fields: &str) -> String {
    format!(
        "{fields}From: Nora Quill <nora@example.net>\nSubject: {subject}\nDate: Mon, 5 Jan 2015 10:00:00 +0000\n\
         Message-ID: <{subject}@example.net>\n\nbody of {subject}\n"
    )
}

fn mbox(subjects: &[&str]) -> String {
    subjects.iter().map(|one| format!("From n@example.net Mon Jan  5 10:00:00 2015\n{}\n", message(one, ""))).collect()
}

fn calendar(name: Option<&str>, uids: &[&str]) -> String {
    let name = name.map(|name| format!("X-WR-CALNAME:{name}\r\nCOLOR:red\r\n")).unwrap_or_default();
    let events: String = uids
        .iter()
        .map(|uid| {
            format!(
                "BEGIN:VEVENT\r\nUID:{uid}\r\nDTSTAMP:20240101T000000Z\r\nDTSTART:20240101T000000Z\r\nEND:VEVENT\r\n"
            )
        })
        .collect();
    format!("BEGIN:VCALENDAR\r\nVERSION:2.0\r\nPRODID:x\r\n{name}{events}END:VCALENDAR\r\n")
}

fn cards(uids: &[&str]) -> String {
    uids.iter().map(|uid| format!("BEGIN:VCARD\r\nVERSION:3.0\r\nUID:{uid}\r\nFN:{uid}\r\nEND:VCARD\r\n")).collect()
}

/// A folder with files, in which commands run.
struct Desk {
    dir: tempfile::TempDir,
}

impl Desk {
    fn new(files: &[(&str, &str)]) -> Desk {
        let desk = Desk { dir: tempfile::tempdir().unwrap() };
        for (name, text) in files {
            let path = desk.at(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        desk
    }

    fn at(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// Exit code, summary and standard error of `import ARGUMENTS ARCHIVE`, with this on standard input.
    fn import_from(&self, input: &str, arguments: &[&str], archive: &str) -> (i32, serde_json::Value, String) {
        let mut child = vandelay()
            .args(["import", "--json"])
            .args(arguments)
            .arg(archive)
            .current_dir(self.dir.path())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        // A command that takes nothing of it may be gone.
        let _ = child.stdin.take().unwrap().write_all(input.as_bytes());
        let output = child.wait_with_output().unwrap();
        let stdout = String::from_utf8(output.stdout).unwrap();
        let summary = stdout.lines().map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap());
        let summary = summary.rev().find(|line| line["message_type"] == "summary").unwrap_or_default();
        (output.status.code().unwrap(), summary, String::from_utf8(output.stderr).unwrap())
    }

    fn import(&self, arguments: &[&str], archive: &str) -> serde_json::Value {
        let (code, summary, said) = self.import_from("", arguments, archive);
        assert_eq!(code, 0, "{arguments:?}: {said}");
        let removed = summary["types"].as_object().unwrap().values().all(|one| one["removed"] == 0);
        assert!(removed, "{arguments:?}: an import of files removes nothing: {summary}");
        summary
    }

    /// Every object by the folder that it lies in: its subject or its uid.
    fn objects(&self, archive: &str) -> BTreeMap<String, BTreeSet<String>> {
        let archive = self.at(archive);
        let archive = archive.to_str().unwrap();
        ok(&["verify", "--quiet", archive]);
        let mut found: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
        for root in ["mail", "calendars", "contacts"] {
            for path in ok(&["ls", "-R", archive, root]).lines() {
                let Some((folder, name)) = path.rsplit_once('/') else { continue };
                let folder = folder.trim_end_matches("/cur").to_owned();
                let is_object = path.contains("/cur/") || name.ends_with(".ics") || name.ends_with(".vcf");
                if is_object {
                    let bytes = ok(&["cat", archive, path]);
                    let what = |line: &str| {
                        ["Subject: ", "UID:"].iter().find_map(|field| line.strip_prefix(field).map(str::to_owned))
                    };
                    let added = found.entry(folder).or_default().insert(bytes.lines().find_map(what).unwrap());
                    assert!(added, "{path} stands there twice");
                }
            }
        }
        found
    }
}

fn expected(list: &[(&str, &[&str])]) -> BTreeMap<String, BTreeSet<String>> {
    list.iter().map(|(name, all)| ((*name).to_owned(), all.iter().map(|one| (*one).to_owned()).collect())).collect()
}

fn stored(summary: &serde_json::Value, kind: &str) -> [u64; 4] {
    let account = &summary["types"][kind];
    let of = |name: &str| account[name].as_u64().unwrap();
    [of("new"), of("changed"), of("unchanged"), account["duplicate"].as_u64().unwrap()]
}

fn desk() -> Desk {
    Desk::new(&[
        ("jan.mbox", &mbox(&["a", "b"])),
        ("feb", &mbox(&["b", "c"])),
        ("Mail/Work/Inbox", &mbox(&["d"])),
        ("Mail/Work/Inbox.msf", "x"),
        ("letters/e.eml", &message("e", "Status: RO\n")),
        ("letters/Sub/f.eml", &message("f", "")),
        ("team.ics", &calendar(Some("Team"), &["t1", "t2"])),
        ("plain.ics", &calendar(None, &["p1", "p2"])),
        ("vdir/v1.ics", &calendar(None, &["v1"])),
        ("vdir/v2.ics", &calendar(None, &["v2"])),
        ("friends.vcf", &cards(&["c1", "c2"])),
        ("people/c3.vcf", &cards(&["c3"])),
        ("people/c4.vcf", &cards(&["c4"])),
        ("people/displayname", "Family\n"),
    ])
}

const ALL: [&[&str]; 7] = [
    &["mbox", "jan.mbox", "feb"],
    &["mbox", "Mail"],
    &["eml", "letters"],
    &["ics", "team.ics", "vdir", "plain.ics"],
    &["vcf", "friends.vcf"],
    &["vcf", "people"],
    &["mbox", "--mailbox", "Old/Mail", "feb"],
];

#[test]
fn files_lie_where_their_names_say_in_whatever_order_they_come() {
    let desk = desk();
    let all = expected(&[
        ("mail/jan", &["a", "b"]),
        ("mail/feb", &["b", "c"]),
        ("mail/Work/Inbox", &["d"]),
        ("mail/letters", &["e"]),
        ("mail/Sub", &["f"]),
        ("mail/Old/Mail", &["b", "c"]),
        ("calendars/Team", &["t1", "t2"]),
        ("calendars/plain", &["p1", "p2"]),
        ("calendars/vdir", &["v1", "v2"]),
        ("contacts/friends", &["c1", "c2"]),
        ("contacts/Family", &["c3", "c4"]),
    ]);
    for order in [[0, 1, 2, 3, 4, 5, 6], [6, 5, 4, 3, 2, 1, 0], [3, 6, 0, 5, 2, 1, 4]] {
        let archive = format!("{}.sqlite", order[0]);
        let mut before = BTreeMap::new();
        for at in order {
            desk.import(ALL[at], &archive);
            let now = desk.objects(&archive);
            for (folder, objects) in &before {
                assert_eq!(now.get(folder), Some(objects), "{folder} is as it was before {:?}", ALL[at]);
            }
            before = now;
        }
        assert_eq!(before, all, "{order:?}");
        for at in order {
            let again = desk.import(ALL[at], &archive);
            for (kind, account) in again["types"].as_object().unwrap() {
                let stored = &account;
                assert!(stored["new"] == 0 && stored["changed"] == 0, "{kind} is as it was: {again}");
            }
            assert_eq!(
                again["types"].as_object().unwrap().values().filter(|one| one["kept"] != 0).count(),
                0,
                "what was not asked for is not missing: {again}"
            );
        }
        assert_eq!(desk.objects(&archive), all, "{order:?}");
    }
}

#[test]
fn one_message_in_two_files_is_one_message() {
    let desk = desk();
    assert_eq!(
        stored(&desk.import(&["mbox", "--mailbox", "All", "jan.mbox", "feb"], "a.sqlite"), "email"),
        [3, 0, 0, 1]
    );
    assert_eq!(desk.objects("a.sqlite"), expected(&[("mail/All", &["a", "b", "c"])]));
    // Named twice, or by another way, a file is the same file.
    let path = desk.at("jan.mbox");
    let again = ["mbox", "--mailbox", "All", "jan.mbox", "./jan.mbox", path.to_str().unwrap()];
    assert_eq!(stored(&desk.import(&again, "a.sqlite"), "email"), [0, 0, 2, 0]);
    // What a file does not have any more stays.
    fs::write(&path, mbox(&["a", "new"])).unwrap();
    let summary = desk.import(&["mbox", "--mailbox", "All", "jan.mbox"], "a.sqlite");
    assert_eq!((stored(&summary, "email"), summary["types"]["email"]["kept"].as_u64()), ([1, 0, 1, 0], Some(1)));
    assert_eq!(desk.objects("a.sqlite"), expected(&[("mail/All", &["a", "b", "c", "new"])]));
}

#[test]
fn standard_input_is_a_file_without_a_name() {
    let desk = desk();
    for (kind, input, default, flag, named) in [
        ("mbox", mbox(&["a", "b"]), ("mail/Imported", vec!["a", "b"]), "--mailbox", "mail/X"),
        ("eml", message("a", ""), ("mail/Imported", vec!["a"]), "--mailbox", "mail/X"),
        ("ics", calendar(None, &["a", "b"]), ("calendars/Imported", vec!["a", "b"]), "--calendar", "calendars/X"),
        ("vcf", cards(&["a", "b"]), ("contacts/Imported", vec!["a", "b"]), "--addressbook", "contacts/X"),
    ] {
        let archive = format!("{kind}.sqlite");
        let (code, _, said) = desk.import_from(&input, &[kind, "-"], &archive);
        assert_eq!(code, 0, "{said}");
        assert_eq!(desk.objects(&archive), expected(&[(default.0, &default.1)]), "{kind}");
        let (code, summary, said) = desk.import_from(&input, &[kind, "-"], &archive);
        assert_eq!(code, 0, "{said}");
        assert!(summary["types"].as_object().unwrap().values().all(|one| one["new"] == 0), "{summary}");
        let (code, _, said) = desk.import_from(&input, &[kind, flag, "X", "-"], &archive);
        assert_eq!(code, 0, "{said}");
        assert_eq!(desk.objects(&archive), expected(&[(default.0, &default.1), (named, &default.1)]), "{kind}");
        // A pipe whose other end failed is no empty file.
        let (code, _, said) = desk.import_from("", &[kind, "-"], "none.sqlite");
        assert!(code == 1 && said.contains("standard input is no ") && !desk.at("none.sqlite").exists(), "{said}");
    }
    let left: Vec<_> = fs::read_dir(desk.dir.path()).unwrap().flatten().map(|entry| entry.file_name()).collect();
    assert!(left.iter().all(|name| !name.to_string_lossy().starts_with(".tmp")), "nothing is left: {left:?}");
}

#[test]
fn a_file_of_another_kind_is_named() {
    let desk = desk();
    for (kind, path, command) in [
        ("mbox", "team.ics", "ics"),
        ("mbox", "letters/e.eml", "eml"),
        ("eml", "jan.mbox", "mbox"),
        ("ics", "friends.vcf", "vcf"),
        ("vcf", "feb", "mbox"),
    ] {
        let (code, _, said) = desk.import_from("", &[kind, path], "new.sqlite");
        let hint = format!("import it with \"vandelay import {command}\"");
        assert!(code == 1 && said.contains(path) && said.contains(&hint), "{code} {said}");
        assert!(!desk.at("new.sqlite").exists(), "no archive is made");
    }
    // Beside files that are right everything else is imported.
    let (code, summary, said) = desk.import_from("", &["mbox", "jan.mbox", "team.ics", "vdir"], "a.sqlite");
    assert_eq!((code, summary["not_understood"].as_u64()), (5, Some(2)), "{said}");
    assert!(said.contains("team.ics") && said.contains("there is no mbox file in it): vdir"), "{said}");
    assert_eq!(desk.objects("a.sqlite"), expected(&[("mail/jan", &["a", "b"])]));
    // Mail is not left out of mail without a word; a calendar in a folder of mail is.
    let (code, _, said) = desk.import_from("", &["mbox", "."], "b.sqlite");
    assert!(code == 5 && said.contains("./letters/e.eml") && said.contains("./team.ics"), "{code} {said}");
    let (code, _, said) = desk.import_from("", &["ics", "."], "c.sqlite");
    assert_eq!(code, 0, "{said}");
    for (arguments, word) in [
        (&["mbox", "nowhere"][..], "does not exist"),
        (&["mbox", "vdir"], "no mbox file in vdir"),
        (&["mbox", "--mailbox", "/", "feb"], "is no name"),
        (&["ics", "jan.mbox", "nowhere"], "does not exist"),
    ] {
        let (code, _, said) = desk.import_from("", arguments, "new.sqlite");
        assert!(code == 1 && said.contains(word), "{code} {said}");
    }
    fs::write(desk.at("odd.mbox"), "no mbox at all\n").unwrap();
    let (code, _, said) = desk.import_from("", &["mbox", "odd.mbox", "jan.mbox"], "a.sqlite");
    assert!(code == 5 && said.contains("not understood (not an mbox): odd.mbox"), "{code} {said}");
}

#[test]
fn files_stand_beside_a_takeout_of_the_same_account() {
    let desk = desk();
    let path = |name: &str| desk.at(name).to_str().unwrap().to_owned();
    let takeout = |folder: &str| run(&["import", "takeout", &path(folder), &path("a.sqlite")]).status.code();
    desk.import(&["mbox", "--mailbox", "Work/Inbox", "Mail/Work/Inbox"], "a.sqlite");
    assert_eq!(takeout("Mail"), Some(0), "the first Takeout needs no flag");
    desk.import(&["mbox", "jan.mbox"], "a.sqlite");
    assert_eq!(desk.objects("a.sqlite"), expected(&[("mail/Work/Inbox", &["d"]), ("mail/jan", &["a", "b"])]));
    assert_eq!(takeout("letters"), Some(4), "a second folder is another source, as before");
    let moved = run(&["import", "takeout", "--same-account", &path("letters"), &path("a.sqlite")]);
    assert_eq!(moved.status.code(), Some(4), "files are no account that could have moved");
    assert_eq!(takeout("Mail"), Some(0));
    let sources = ok(&["inspect", &path("a.sqlite")]);
    assert!(sources.contains("files files: (files)") && sources.contains("takeout file://"), "{sources}");
}

#[test]
fn a_dry_run_says_the_same_and_changes_nothing() {
    let desk = desk();
    let dry = desk.import(&["mbox", "--dry-run", "jan.mbox", "feb"], "a.sqlite");
    assert!(dry["dry_run"] == true && !desk.at("a.sqlite").exists(), "{dry}");
    assert_eq!(dry["types"]["email"]["found"], 4);
    desk.import(&["mbox", "jan.mbox"], "a.sqlite");
    let before = fs::read(desk.at("a.sqlite")).unwrap();
    desk.import(&["mbox", "--dry-run", "feb"], "a.sqlite");
    assert_eq!(fs::read(desk.at("a.sqlite")).unwrap(), before);
}

#[test]
fn labels_of_a_file_lie_below_the_mailbox_that_is_asked_for() {
    let gmail = format!(
        "From 17@xxx Mon Jan 05 10:00:00 +0000 2015\n{}\nFrom 18@xxx Mon Jan 05 10:00:00 +0000 2015\n{}\n",
        message("a", "X-Gmail-Labels: Inbox,Starred,Work/Ideas\n"),
        message("b", "X-Gmail-Labels: Starred\n")
    );
    let desk = Desk::new(&[("All mail.mbox", &gmail), ("INBOX.mbox", &mbox(&["c"]))]);
    desk.import(&["mbox", "All mail.mbox"], "a.sqlite");
    desk.import(&["mbox", "--mailbox", "Gmail", "All mail.mbox"], "b.sqlite");
    let labels: [(&str, &[&str]); 2] = [("Inbox", &["a"]), ("Work/Ideas", &["a"])];
    let at = |root: &str, rest: &str| {
        let list = labels.map(|(name, all)| (format!("mail/{root}{name}"), all));
        let mut list: Vec<(&str, &[&str])> = list.iter().map(|(name, all)| (name.as_str(), *all)).collect();
        list.push((rest, &["b"]));
        expected(&list)
    };
    assert_eq!(desk.objects("a.sqlite"), at("", "mail/All mail"));
    assert_eq!(desk.objects("b.sqlite"), at("Gmail/", "mail/Gmail"));
    // The inbox is the inbox, whatever its letters.
    desk.import(&["mbox", "--mailbox", "INBOX", "INBOX.mbox"], "c.sqlite");
    let mailboxes = ok(&["inspect", "--json", desk.at("c.sqlite").to_str().unwrap(), "mailbox"]);
    assert!(mailboxes.contains("\"inbox\""), "{mailboxes}");
}

#[test]
fn full_reads_files_that_seem_unchanged() {
    let desk = desk();
    let path: &Path = &desk.at("jan.mbox");
    let time = fs::metadata(path).unwrap().modified().unwrap();
    desk.import(&["mbox", "jan.mbox"], "a.sqlite");
    // The same size and the same time: only `--full` can know better.
    fs::write(path, mbox(&["a", "z"])).unwrap();
    fs::File::options().write(true).open(path).unwrap().set_modified(time).unwrap();
    assert_eq!(stored(&desk.import(&["mbox", "jan.mbox"], "a.sqlite"), "email"), [0, 0, 2, 0]);
    assert_eq!(stored(&desk.import(&["mbox", "--full", "jan.mbox"], "a.sqlite"), "email"), [1, 0, 1, 0]);
    assert_eq!(desk.objects("a.sqlite"), expected(&[("mail/jan", &["a", "b", "z"])]));
}
