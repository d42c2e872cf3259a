//! Exports of one account one after the other: in parts, in another folder, with other labels and flags. What is the same
//! stands once, what changed is changed, what is not there any more stays.

use crate::common;
use crate::common::{json, listed, ok, run, tree};
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

struct Account {
    dir: tempfile::TempDir,
}

impl Account {
    fn new() -> Account {
        Account { dir: tempfile::tempdir().unwrap() }
    }

    fn archive(&self) -> PathBuf {
        self.dir.path().join("a.sqlite")
    }

    fn write(&self, name: &str, bytes: &str) {
        let path = self.dir.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, bytes).unwrap();
    }

    /// Imports a folder; gives the summary.
    fn import(&self, folder: &str) -> serde_json::Value {
        let source = self.dir.path().join(folder);
        json(&["import", "takeout", "--json", "--allow-source-change", text(&source), text(&self.archive())])
    }

    /// Which mailboxes each message lies in, with its flags, by its subject.
    fn mail(&self) -> BTreeMap<String, Vec<String>> {
        let mut found: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for (path, bytes) in tree(&self.archive(), "latest") {
            let Some((mailbox, name)) = path.strip_prefix("mail/").and_then(|path| path.split_once("/cur/")) else {
                continue;
            };
            let Some((_, flags)) = name.rsplit_once(":2,") else { continue };
            let bytes = String::from_utf8(bytes).unwrap();
            let subject = bytes.lines().find_map(|line| line.strip_prefix("Subject: ")).unwrap();
            found.entry(subject.to_owned()).or_default().push(format!("{mailbox} {flags}").trim_end().to_owned());
        }
        found
    }

    fn rows(&self, kind: &str) -> usize {
        listed(&["inspect", text(&self.archive()), kind]).len()
    }
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

/// A message of Google Takeout.
fn gmail(number: u32, labels: &str) -> String {
    format!(
        "From {number}@xxx Mon Jan 05 10:00:00 +0000 2015\nX-GM-THRID: {number}\nX-Gmail-Labels: {labels}\nMessage-ID: <{number}@x>\n\
         From: a@example.org\nSubject: {number}\n\nbody\n\n"
    )
}

fn boxes(list: &[&str]) -> Vec<String> {
    list.iter().map(|one| (*one).to_owned()).collect()
}

#[test]
fn a_message_of_many_exports_is_one() {
    let account = Account::new();
    // In each label's file, with all its labels.
    for label in ["Inbox", "Work", "Family"] {
        account.write(&format!("one/Mail/{label}.mbox"), &(gmail(1, "Inbox,Work,Family") + &gmail(2, "Inbox,Unread")));
    }
    let summary = account.import("one");
    assert_eq!(summary["types"]["email"]["found"], 6);
    assert_eq!(
        (summary["types"]["email"]["new"].as_u64(), summary["types"]["email"]["duplicate"].as_u64()),
        (Some(2), Some(4))
    );
    assert_eq!(account.mail()["1"], boxes(&["Family", "Inbox", "Work"]));
    // A month later, in a folder of its own name and one file: read, filed elsewhere, and a new one.
    let later = gmail(1, "Inbox,Work,Family,Opened") + &gmail(2, "Archived,Opened,Starred") + &gmail(3, "Inbox");
    account.write("two/Mail/All mail.mbox", &later);
    let summary = account.import("two");
    assert_eq!(summary["types"]["email"]["new"], 1);
    assert_eq!(account.rows("email"), 3);
    let mail = account.mail();
    assert_eq!(mail["1"], boxes(&["Family S", "Inbox S", "Work S"]));
    assert_eq!(mail["2"], boxes(&["Archive FS", "Inbox FS"]));
    // The second folder once more, and in it what became of the messages since: that replaces what it had said.
    let later = gmail(1, "Inbox,Opened") + &gmail(3, "Trash");
    account.write("two/Mail/All mail.mbox", &later);
    let summary = account.import("two");
    assert_eq!(
        (summary["types"]["email"]["new"].as_u64(), summary["types"]["email"]["kept"].as_u64()),
        (Some(0), Some(1))
    );
    let mail = account.mail();
    assert_eq!((&mail["2"], &mail["3"]), (&boxes(&["Archive FS", "Inbox FS"]), &boxes(&["Trash"])));
    assert_eq!(account.rows("email"), 3);
    // In parts that overlap.
    for (part, numbers) in [("three/1", [1, 2, 4]), ("three/2", [2, 4, 5])] {
        account.write(&format!("{part}/All mail.mbox"), &numbers.map(|number| gmail(number, "Inbox")).concat());
    }
    for part in ["three/1", "three/2", "three"] {
        account.import(part);
        account.import(part);
    }
    assert_eq!(account.rows("email"), 5);
    ok(&["verify", "--quiet", text(&account.archive())]);
}

/// A mail program writes flags into the message: it stays the one that it is.
#[test]
fn flags_that_change_in_the_file_change_the_message() {
    let account = Account::new();
    let mbox = |fields: &str| {
        format!("From a@b Mon Jan  5 10:00:00 2015\n{fields}From: a@b\nSubject: x\nMessage-ID: <x@y>\n\nbody\n\n")
    };
    for (fields, flags) in [
        ("", "box"),
        ("Status: O\n", "box"),
        ("Status: RO\nX-Status: A\nX-UID: 7\n", "box RS"),
        ("X-Mozilla-Status: 0005\nX-Mozilla-Keys: work                 \n", "box FSa"),
        ("Status: RO\n", "box S"),
    ] {
        account.write("box.mbox", &mbox(fields));
        account.import("box.mbox");
        assert_eq!(account.mail()["x"], boxes(&[flags]), "{fields}");
        assert_eq!(account.rows("email"), 1);
    }
    // Deleted in the file: an import only adds.
    let other = mbox("").replace("x", "y");
    account.write("box.mbox", &(mbox("X-Mozilla-Status: 0009\n") + &other));
    let summary = account.import("box.mbox");
    assert_eq!(
        (
            summary["types"]["email"]["skipped_reasons"]["deleted flag"].as_u64(),
            summary["types"]["email"]["kept"].as_u64()
        ),
        (Some(1), Some(1))
    );
    assert_eq!(account.mail()["x"], boxes(&["box S"]));
}

fn calendar(summary: &str) -> String {
    format!(
        "BEGIN:VCALENDAR\r\nVERSION:2.0\r\nX-WR-CALNAME:Home\r\nBEGIN:VEVENT\r\nUID:e\r\nDTSTART:20240101T000000Z\r\nSUMMARY:{summary}\r\nEND:VEVENT\r\nEND:VCALENDAR\r\n"
    )
}

fn card(name: &str) -> String {
    format!("BEGIN:VCARD\r\nVERSION:3.0\r\nUID:c\r\nFN:{name}\r\nEND:VCARD\r\n")
}

#[test]
fn events_and_cards_of_many_exports_are_one_as_long_as_they_are_equal() {
    let account = Account::new();
    let write = |folder: &str, name: &str| {
        account.write(&format!("{folder}/a.ics"), &calendar(name));
        account.write(&format!("{folder}/a.vcf"), &card(name));
        account.write(&format!("{folder}/odd.vcf"), "odd");
    };
    let rows = || {
        [
            account.rows("calendarevent"),
            account.rows("contactcard"),
            account.rows("calendar"),
            account.rows("addressbook"),
        ]
    };
    write("one", "first");
    account.import("one");
    write("two", "first");
    let summary = account.import("two");
    assert_eq!(summary["types"]["calendarevent"]["duplicate"], 1);
    assert_eq!(rows(), [1, 1, 1, 1], "the same in another folder is the same, in the same calendar");
    let files: Vec<String> =
        tree(&account.archive(), "latest").into_keys().filter(|path| path.starts_with("files/")).collect();
    assert_eq!(files, ["files/", "files/odd.vcf"]);
    // Another version in one of the exports: both are kept, and the one that did not change did not.
    write("two", "second");
    account.import("two");
    assert_eq!(rows(), [2, 2, 1, 1]);
    let names = || {
        let all = tree(&account.archive(), "latest");
        let has = |root: &str, name: &str| {
            all.iter().any(|(path, bytes)| path.starts_with(root) && String::from_utf8_lossy(bytes).contains(name))
        };
        ["calendars/", "contacts/"].map(|root| (has(root, "first"), has(root, "second")))
    };
    assert_eq!(names(), [(true, true); 2]);
    // A third export with the second version has nothing new; and once the first folder has it, too, it is one again.
    write("three", "second");
    account.import("three");
    assert_eq!(rows(), [2, 2, 1, 1]);
    write("one", "second");
    account.import("one");
    assert_eq!((rows(), names()), ([1, 1, 1, 1], [(false, true); 2]));
    ok(&["verify", "--quiet", text(&account.archive())]);
    // What was is in the history.
    assert_eq!(
        tree(&account.archive(), "1")
            .into_iter()
            .filter(|(path, bytes)| path.starts_with("calendars/") && String::from_utf8_lossy(bytes).contains("first"))
            .count(),
        1
    );
}

/// Former versions knew a message by all its bytes, and gave it no revision.
#[test]
fn an_archive_of_a_former_version_gets_nothing_twice() {
    let account = Account::new();
    account.write("one/All mail.mbox", &(gmail(1, "Inbox") + &gmail(2, "Sent")));
    account.write("one/plain.mbox", "From a@b Mon Jan  5 10:00:00 2015\nFrom: a@b\nSubject: plain\n\nbody\n\n");
    account.import("one");
    let conn = rusqlite::Connection::open(account.archive()).unwrap();
    let emails: Vec<(i64, Vec<u8>)> = conn
        .prepare("SELECT e.id, b.hash FROM emails e JOIN blobs b ON b.id = e.blob_id")
        .and_then(|mut all| all.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?.collect())
        .unwrap();
    for (id, hash) in emails {
        let key: String = hash.iter().map(|byte| format!("{byte:02x}")).collect();
        let sql = "UPDATE origins SET key = ?1, rev = '' WHERE local_id = ?2 AND scope_id IN (SELECT id FROM scopes WHERE kind = 'Email')";
        assert_eq!(conn.execute(sql, rusqlite::params![key, id]).unwrap(), 1);
    }
    conn.execute("UPDATE scopes SET cursor = 'm1:0:0'", []).unwrap();
    common::add_row_digest(&conn);
    conn.execute_batch(
        "INSERT OR REPLACE INTO row_digests (kind, id, digest)
         SELECT 'scopes', id, row_digest('scopes', id, source_id, kind, key, cursor) FROM scopes",
    )
    .unwrap();
    drop(conn);
    let before = common::dump(&account.archive());
    let summary = account.import("one");
    assert_eq!(summary["types"]["email"]["new"], 0);
    assert_eq!(before, common::dump(&account.archive()));
    assert_eq!(run(&["verify", text(&account.archive())]).status.code(), Some(0));
}
