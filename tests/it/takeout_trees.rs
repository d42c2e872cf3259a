//! Trees of mail files as programs leave them, through the program: every file in them is imported or named, every
//! message lies in the mailbox that its file was, with its flags and its date.

use crate::common::{fails, jmap_run, listed, ok, run};
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

/// A message with this subject. `fields` stand before the others.
fn message(subject: &str, fields: &str) -> String {
    format!(
        "{fields}From: Nora Quill <nora@example.net>\nTo: ivo@example.org\nSubject: {subject}\nDate: Mon, 5 Jan 2015 10:00:00 +0000\n\
         Message-ID: <{subject}@example.net>\n\nbody of {subject}\n"
    )
}

/// An mbox of these messages, each behind this separator.
fn mbox(separator: &str, messages: &[String]) -> String {
    messages.iter().map(|message| format!("{separator}\n{message}\n")).collect()
}

const DATED: &str = "From nora@example.net Mon Jan  5 10:00:00 2015";

/// A folder with these files.
struct Tree {
    dir: tempfile::TempDir,
}

impl Tree {
    fn new(files: &[(&str, &[u8])]) -> Tree {
        let tree = Tree { dir: tempfile::tempdir().unwrap() };
        for (name, bytes) in files {
            let path = tree.at(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, bytes).unwrap();
        }
        fs::create_dir_all(tree.at("")).unwrap();
        tree
    }

    fn at(&self, name: &str) -> PathBuf {
        self.dir.path().join("E").join(name)
    }

    fn archive(&self) -> PathBuf {
        self.dir.path().join("a.sqlite")
    }
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

/// The subject of every message by its mailbox, each with the flags of its file name.
fn mailboxes(archive: &Path) -> BTreeMap<String, BTreeSet<String>> {
    let mut found: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for line in ok(&["ls", "-R", text(archive), "mail"]).lines() {
        let Some((mailbox, name)) = line.split_once("/cur/") else { continue };
        let mailbox = mailbox.strip_prefix("mail/").expect("a whole path");
        let bytes = ok(&["cat", text(archive), line]);
        let subject = bytes.lines().find_map(|line| line.strip_prefix("Subject: ")).unwrap();
        let flags = name.rsplit_once(":2,").unwrap().1;
        found.entry(mailbox.to_owned()).or_default().insert(format!("{subject} {flags}").trim_end().to_owned());
    }
    found
}

fn expected(list: &[(&str, &[&str])]) -> BTreeMap<String, BTreeSet<String>> {
    list.iter().map(|(name, all)| ((*name).to_owned(), all.iter().map(|one| (*one).to_owned()).collect())).collect()
}

/// The last line of an import as JSON, whatever its exit code, which is given too.
fn import(source: &Path, archive: &Path) -> (i32, serde_json::Value) {
    let output = run(&["import", "takeout", text(source), text(archive), "--json"]);
    let stdout = String::from_utf8(output.stdout).unwrap();
    let summary = stdout.lines().find(|line| line.contains("\"summary\"")).unwrap_or_else(|| panic!("{stdout}"));
    (output.status.code().unwrap(), serde_json::from_str(summary).unwrap())
}

/// What was left out: outcome and position of each.
fn left_out(summary: &serde_json::Value) -> Vec<(String, String)> {
    let text = |value: &serde_json::Value| value.as_str().unwrap().to_owned();
    let mut all: Vec<_> = summary["remarks"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| (text(&one["outcome"]), text(&one["position"])))
        .collect();
    all.sort();
    all
}

/// What mail programs leave in a folder: 12 messages that are read, and four things that are not understood.
fn tree_of_mail_programs() -> Tree {
    let box_of = |names: &[&str]| mbox(DATED, &names.iter().map(|name| message(name, "")).collect::<Vec<_>>());
    let emlx = |name: &str, flags: u32| {
        let message = message(name, "");
        format!(
            "{}       \n{message}<?xml version=\"1.0\"?>\n<plist><dict>\n<key>flags</key>\n<integer>{flags}</integer>\n</dict></plist>\n",
            message.len()
        )
    };
    let maildir = message("elsewhere", "");
    let moz = message("moz", "X-Mozilla-Status: 0001\nX-Mozilla-Status2: 00000000\n");
    Tree::new(&[
        // Apple Mail, exported and as it keeps mail.
        ("Apple/Receipts.mbox/mbox", box_of(&["apple"]).as_bytes()),
        ("Apple/Receipts.mbox/table_of_contents", &[0; 64]),
        ("V2/IMAP/INBOX.mbox/4F/Data/1/Messages/12.emlx", emlx("emlx", 0b1_0001).as_bytes()),
        ("V2/IMAP/INBOX.mbox/4F/Data/1/Messages/13.partial.emlx", emlx("partial", 1).as_bytes()),
        ("V2/IMAP/INBOX.mbox/4F/Data/1/Messages/14.emlx", b"not so\n"),
        // Thunderbird.
        ("Profile/Mail/Local/Inbox", mbox("From - Wed Dec  6 23:14:04 2023", &[moz]).as_bytes()),
        ("Profile/Mail/Local/Inbox.msf", b"// <!-- <mdb:mork"),
        ("Profile/Mail/Local/Empty", b""),
        ("Profile/Mail/Local/Empty.msf", b"x"),
        ("Profile/Mail/Local/Inbox.sbd/Sub", box_of(&["sub"]).as_bytes()),
        ("Profile/Mail/Local/Inbox.sbd/Sub.msf", b"x"),
        ("Profile/Mail/Local/Odd", b"no mbox at all\n"),
        ("Profile/Mail/Local/Odd.msf", b"x"),
        // mutt, Alpine, and one whose first separator is lost.
        ("unix/mbox", box_of(&["unix"]).as_bytes()),
        ("unix/sent-mail.2010", box_of(&["sent"]).as_bytes()),
        ("unix/cut", &box_of(&["cut", "off"]).as_bytes()[DATED.len() + 1..]),
        // MH, and single messages.
        ("MH/inbox/1", message("mh", "").as_bytes()),
        ("MH/inbox/.mh_sequences", b"unseen: 1\n"),
        ("saved/letter.eml", message("letter", "Status: RO\nX-Status: F\n").as_bytes()),
        ("saved/from.EML", format!("{DATED}\n{}", message("from", "")).as_bytes()),
        ("saved/twin.eml", message("letter", "Status: O\n").as_bytes()),
        ("loose.eml", message("loose", "").as_bytes()),
        // What is something else.
        ("Maildir/cur/1.M1P1.h:2,S", maildir.as_bytes()),
        ("Maildir/new/.keep", b""),
        ("Mail/All mail.mbox.gz", b"\x1f\x8b\x08"),
        ("Drive/notes.txt", b"From here on\nall is well\n"),
        ("Tasks/Tasks.json", b"{}"),
        ("Contacts/photo.jpg", b"x"),
    ])
}

#[test]
fn trees_of_mail_programs_are_read() {
    let tree = tree_of_mail_programs();
    import(&tree.at(""), &tree.archive());
    assert_eq!(
        mailboxes(&tree.archive()),
        expected(&[
            ("Apple/Receipts", &["apple"]),
            ("V2/IMAP/INBOX", &["emlx FS"]),
            ("Profile/Mail/Local/Inbox", &["moz S"]),
            ("Profile/Mail/Local/Inbox/Sub", &["sub"]),
            ("unix/mbox", &["unix"]),
            ("unix/sent-mail.2010", &["sent"]),
            ("unix/cut", &["cut", "off"]),
            ("MH/inbox", &["mh"]),
            ("saved", &["letter FS", "from"]),
            ("Imported", &["loose"]),
        ])
    );
}

#[test]
fn everything_else_in_trees_of_mail_programs_is_named() {
    let tree = tree_of_mail_programs();
    let (code, summary) = import(&tree.at(""), &tree.archive());
    let named = |outcome: &str, positions: &[&str]| {
        positions.iter().map(|at| (outcome.to_owned(), (*at).to_owned())).collect::<Vec<_>>()
    };
    let all = [
        named(
            "by-product",
            &[
                "Apple/Receipts.mbox/table_of_contents",
                "Contacts/photo.jpg",
                "Drive/notes.txt",
                "Profile/Mail/Local/Empty.msf",
                "Profile/Mail/Local/Inbox.msf",
                "Profile/Mail/Local/Inbox.sbd/Sub.msf",
                "Profile/Mail/Local/Odd.msf",
            ],
        ),
        named("duplicate", &["saved/twin.eml"]),
        named(
            "not understood",
            &[
                "Mail/All mail.mbox.gz",
                "Maildir",
                "V2/IMAP/INBOX.mbox/4F/Data/1/Messages/13.partial.emlx",
                "V2/IMAP/INBOX.mbox/4F/Data/1/Messages/14.emlx",
            ],
        ),
        named("skipped", &["Profile/Mail/Local/Odd (kept as files/Profile/Mail/Local/Odd)", "Tasks/Tasks.json"]),
    ]
    .concat();
    assert_eq!(left_out(&summary), all);
    assert_eq!(
        (code, summary["state"].as_str().unwrap(), summary["not_understood"].as_u64().unwrap()),
        (5, "partial", 4)
    );
}

#[test]
fn what_is_not_understood_makes_every_run_partial() {
    let tree = tree_of_mail_programs();
    import(&tree.at(""), &tree.archive());
    // The same once more: nothing changes, and what is not understood is named again.
    let (code, again) = import(&tree.at(""), &tree.archive());
    assert_eq!((code, again["not_understood"].as_u64().unwrap()), (5, 4));
    assert_eq!(jmap_run::stored(&again, "email"), [0, 0, 12]);
    // Without what is not understood the run is complete, whatever by-products there are.
    for name in ["Maildir", "V2"] {
        fs::remove_dir_all(tree.at(name)).unwrap();
    }
    fs::remove_file(tree.at("Mail/All mail.mbox.gz")).unwrap();
    let (code, last) = import(&tree.at(""), &tree.archive());
    assert_eq!(
        (code, last["state"].as_str().unwrap(), last["types"]["email"]["kept"].as_u64()),
        (0, "complete", Some(1))
    );
}

/// Whatever a file is called: the user named it, and its content counts.
#[test]
fn a_single_file_is_read_whatever_its_name() {
    for (name, bytes) in [
        ("mbox", mbox(DATED, &[message("one", "")])),
        ("one.patch", mbox(DATED, &[message("one", "")])),
        ("one.eml", message("one", "")),
        ("one", message("one", "")),
        ("one.txt", message("one", "")),
    ] {
        let tree = Tree::new(&[(name, bytes.as_bytes())]);
        ok(&["import", "takeout", "--quiet", text(&tree.at(name)), text(&tree.archive())]);
        let subjects: Vec<String> = mailboxes(&tree.archive()).into_values().flatten().collect();
        assert_eq!(subjects, ["one"], "{name}");
    }
    let tree = Tree::new(&[
        ("notes.txt", b"nothing\n"),
        ("old.pst", b"!BDN"),
        ("x.mbox.xz", b"\xfd7zXZ\0"),
        ("d/cur/1", b"x"),
        ("d/new/2", b"x"),
    ]);
    for (name, hint) in [
        ("notes.txt", "mbox files of any name"),
        ("old.pst", "Outlook"),
        ("x.mbox.xz", "unpack it"),
        ("d", "import maildir"),
    ] {
        let said = fails(&["import", "takeout", text(&tree.at(name)), text(&tree.archive())], 1);
        assert!(said.contains(hint), "{name}: {said}");
        assert!(!tree.archive().exists());
    }
}

/// Found, and nothing of it stored: that is no success, and `--quiet` does not make it one.
#[test]
fn a_run_that_stores_nothing_of_what_it_found_fails() {
    for (files, code) in [
        (vec![("a.mbox", mbox(DATED, &[message("gone", "X-Status: D\n")]))], 5),
        (vec![("a.mbox", "no mail\n".to_owned())], 5),
        (vec![("a.mbox", "CRYPTED\u{3}\u{7}".to_owned()), ("b.mbox", mbox(DATED, &[message("one", "")]))], 5),
        (vec![("a.mbox", "no mail\n".to_owned()), ("b.mbox", mbox(DATED, &[message("one", "")]))], 0),
        (vec![("a.mbox", String::new()), ("a.msf", "x".to_owned())], 0),
        (vec![("a.mbox", format!("left over\n\n{}", mbox(DATED, &[message("one", "")])))], 5),
    ] {
        let files: Vec<(&str, &[u8])> = files.iter().map(|(name, bytes)| (*name, bytes.as_bytes())).collect();
        let tree = Tree::new(&files);
        for flags in [&["--dry-run", "--quiet"][..], &["--quiet"], &[]] {
            let (source, archive) = (tree.at(""), tree.archive());
            let arguments = [&["import", "takeout", text(&source), text(&archive)], flags].concat();
            let output = run(&arguments);
            let is_dry = flags.contains(&"--dry-run");
            let said = String::from_utf8_lossy(&output.stderr);
            // A dry run stores nothing, so it cannot tell.
            assert!(is_dry || output.status.code() == Some(code), "{files:?}: {said}");
            assert!(is_dry || code == 0 || said.contains("error: ") && said.contains("hint: "), "{said}");
        }
    }
    // Deleted messages are taken on demand.
    let tree = Tree::new(&[("a.mbox", mbox(DATED, &[message("gone", "X-Mozilla-Status: 0009\n")]).as_bytes())]);
    ok(&["import", "takeout", "--include-deleted", text(&tree.at("")), text(&tree.archive())]);
    assert_eq!(mailboxes(&tree.archive()), expected(&[("a", &["gone ST"])]));
}

/// When a message came: the separator says so, unless it is of the kind that says when the file was written.
#[test]
fn dates_of_arrival_come_from_separators_or_headers() {
    let received = "Received: from a by b; Tue, 6 Jan 2015 09:00:00 +0000\nReceived: from c by a; Mon, 5 Jan 2015 11:00:00 +0000\n";
    for (separator, fields, date) in [
        (DATED, received, "2015-01-05T10:00:00Z"),
        ("From - Wed Dec  6 23:14:04 2023", received, "2015-01-06T09:00:00Z"),
        ("From - Wed Dec  6 23:14:04 2023", "", "2015-01-05T10:00:00Z"),
        ("From nora@example.net", received, "2015-01-06T09:00:00Z"),
        ("From nora@example.net Mo 9. M\u{e4}r 12:03:19 2020", received, "2015-01-06T09:00:00Z"),
    ] {
        let tree = Tree::new(&[("a.mbox", mbox(separator, &[message("one", fields)]).as_bytes())]);
        ok(&["import", "takeout", "--quiet", text(&tree.at("")), text(&tree.archive())]);
        let email = listed(&["inspect", text(&tree.archive()), "email"]);
        assert_eq!(email[0]["received_at"], date, "{separator} {fields}");
    }
}
