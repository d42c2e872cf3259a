//! Imports of accounts of the mail server mox: the sample that mox made, accounts of every odd kind, files from strangers, and
//! a mox that writes meanwhile.

use crate::common;
use crate::common::mox::{Account, Message, mailbox, message, path_of, sample};
use crate::common::{fails, jmap_run, json, listed, listing, ok, run, tree};
use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};
use tempfile::TempDir;
use vandelay::source::Source;
use vandelay::source::mox::{Mox, MoxOptions};

/// An account of mox, and an archive.
struct Place {
    dir: TempDir,
}

impl Place {
    fn new() -> Place {
        Place { dir: tempfile::tempdir().unwrap() }
    }

    fn account(&self) -> PathBuf {
        self.dir.path().join("data/accounts/alice")
    }

    fn archive(&self) -> PathBuf {
        self.dir.path().join("a.sqlite")
    }

    fn arguments(&self, from: &Path, flags: &[&str]) -> Vec<String> {
        let all = ["import", "mox", from.to_str().unwrap(), self.archive().to_str().unwrap()].map(str::to_owned);
        all.into_iter().chain(flags.iter().map(|&flag| flag.to_owned())).collect()
    }

    /// The summary of an import that succeeds.
    fn import(&self, flags: &[&str]) -> serde_json::Value {
        let arguments = self.arguments(&self.account(), &[flags, &["--json"]].concat());
        json(&arguments.iter().map(String::as_str).collect::<Vec<_>>())
    }

    /// What an import says that ends with this code.
    fn ends_with(&self, code: i32, flags: &[&str]) -> String {
        let arguments = self.arguments(&self.account(), flags);
        fails(&arguments.iter().map(String::as_str).collect::<Vec<_>>(), code)
    }

    /// Writes the account, whatever was there.
    fn set(&self, account: &Account) {
        account.write(&self.account());
    }

    fn mail(&self) -> Mail {
        mail(&self.archive())
    }
}

/// By mailbox: the keywords of each message, and its bytes.
type Mail = BTreeMap<String, Vec<(Vec<String>, Vec<u8>)>>;

/// The messages of each mailbox, with their keywords, in the order of their bytes.
fn mail(archive: &Path) -> Mail {
    let archive = archive.to_str().unwrap();
    let mut names: BTreeMap<i64, String> = BTreeMap::new();
    // Parents come first.
    for row in listed(&["inspect", archive, "mailbox"]) {
        let (Some(id), Some(name)) = (row["id"].as_i64(), row["name"].as_str()) else { continue };
        let path = match row["parent_id"].as_i64() {
            Some(parent) => format!("{}/{name}", names[&parent]),
            None => name.to_owned(),
        };
        names.insert(id, path);
    }
    let mut found: Mail = BTreeMap::new();
    let conn = rusqlite::Connection::open(archive).unwrap();
    let sql = "SELECT e.keywords, e.mailbox_ids, b.data FROM emails e JOIN blobs b ON b.id = e.blob_id";
    let mut statement = conn.prepare(sql).unwrap();
    let rows = statement.query_map([], |row| Ok((row.get::<_, String>(0)?, row.get::<_, String>(1)?, row.get(2)?)));
    for (keywords, mailboxes, bytes) in rows.unwrap().map(Result::unwrap) {
        let mailboxes: Vec<i64> = serde_json::from_str(&mailboxes).unwrap();
        let keywords: Vec<String> = serde_json::from_str(&keywords).unwrap();
        let bytes: Vec<u8> = bytes;
        found.entry(names[&mailboxes[0]].clone()).or_default().push((keywords, bytes));
    }
    found.values_mut().for_each(|list| list.sort());
    found
}

fn text(number: i64) -> Vec<u8> {
    common::message(number as u32)
}

/// Two mailboxes, three messages.
fn usual() -> Account {
    Account::new(
        vec![mailbox(1, "Inbox"), mailbox(2, "Work")],
        vec![message(1, 1, &text(1)), message(2, 1, &text(2)), message(3, 2, &text(3))],
    )
}

#[test]
fn the_sample_is_imported_as_mox_has_it() {
    let place = Place::new();
    let root = sample(&place.dir.path().join("backup"));
    let before = listing(&root);
    let archive = place.archive();
    let archive = archive.to_str().unwrap();
    let summary = json(&["import", "mox", root.to_str().unwrap(), archive, "--account", "mox", "--json"]);
    assert_eq!(summary["types"]["email"]["found"], 9);
    assert_eq!(summary["types"]["mailbox"]["new"], 9);
    assert_eq!((summary["state"].as_str(), &summary["notices"]), (Some("complete"), &serde_json::json!([])));
    assert_eq!(listing(&root), before, "nothing was written");

    let files = root.join("data/accounts/mox/msg/a");
    let file = |id: i64| fs::read(files.join(id.to_string())).unwrap();
    let found = place.mail();
    let names: Vec<&str> = found.keys().map(String::as_str).collect();
    assert_eq!(names, ["Archive", "INBOX", "Projects", "Projects/Sub", "Rückblick"]);
    let counts: Vec<usize> = found.values().map(Vec::len).collect();
    assert_eq!(counts, [2, 4, 1, 1, 1]);
    // Every file ends a message, and what stands before it is mox's header.
    let mut all: Vec<&(Vec<String>, Vec<u8>)> = found.values().flatten().collect();
    for id in [1, 2, 4, 5, 6, 7, 8, 9, 10] {
        let file = file(id);
        let at = all.iter().position(|(_, bytes)| bytes.ends_with(&file)).unwrap_or_else(|| panic!("{id}"));
        let (_, bytes) = all.swap_remove(at);
        let prefix = String::from_utf8_lossy(&bytes[..bytes.len() - file.len()]).into_owned();
        assert!(
            prefix.is_empty()
                || prefix.starts_with("X-Mox-Reason: ")
                || prefix.starts_with("Delivered-To: ")
                || prefix.starts_with("Return-Path: "),
            "{prefix}"
        );
    }
    assert!(all.is_empty());
    let projects = &found["Projects"][0];
    assert_eq!(projects.0, ["$label1", "$notjunk", "$seen", "custom"]);
    let flagged = found["INBOX"].iter().filter(|(keywords, _)| keywords.contains(&"$forwarded".to_owned()));
    assert_eq!(
        flagged.map(|(keywords, _)| keywords.clone()).collect::<Vec<_>>(),
        [["$answered", "$forwarded", "$seen"]]
    );

    let roles: BTreeMap<String, String> = listed(&["inspect", archive, "mailbox"])
        .iter()
        .filter_map(|row| Some((row["name"].as_str()?.to_owned(), row["role"].as_str()?.to_owned())))
        .collect();
    let expected = [
        ("Archive", "archive"),
        ("Drafts", "drafts"),
        ("INBOX", "inbox"),
        ("Junk", "junk"),
        ("Sent", "sent"),
        ("Trash", "trash"),
    ];
    assert_eq!(roles, expected.map(|(name, role)| (name.to_owned(), role.to_owned())).into());
    let again = json(&["import", "mox", root.to_str().unwrap(), archive, "--account", "mox", "--json"]);
    assert_eq!(jmap_run::stored(&again, "email"), [0, 0, 9]);
    ok(&["verify", "--quiet", archive]);
    assert!(tree(&place.archive(), "latest").keys().any(|path| path.starts_with("mail/Projects/Sub/cur/")));
}

/// Another reader of the same files, in Python, finds the same mailboxes, keywords, dates and bytes.
#[test]
fn the_sample_is_what_another_reader_finds() {
    if !common::has("python3") {
        return;
    }
    let place = Place::new();
    let root = sample(&place.dir.path().join("backup")).join("data/accounts/mox");
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/it/common/mox_reference.py");
    let output = std::process::Command::new("python3").arg(script).arg(&root).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let mut expected: Vec<String> = String::from_utf8(output.stdout)
        .unwrap()
        .lines()
        .map(|line| {
            let row: serde_json::Value = serde_json::from_str(line).unwrap();
            let name = row["mailbox"].as_str().unwrap().replace("Inbox", "INBOX");
            format!("{name} {} {} {}", row["keywords"], row["received"], row["bytes"].as_str().unwrap())
        })
        .collect();
    let arguments = place.arguments(&root, &["--quiet"]);
    ok(&arguments.iter().map(String::as_str).collect::<Vec<_>>());
    let conn = rusqlite::Connection::open(place.archive()).unwrap();
    let sql = "SELECT coalesce(p.name || '/', '') || m.name || ' ' || e.keywords || ' ' || unixepoch(e.received_at) || ' ' || lower(hex(b.data))
        FROM emails e JOIN blobs b ON b.id = e.blob_id JOIN mailboxes m ON e.mailbox_ids = '[' || m.id || ']'
        LEFT JOIN mailboxes p ON p.id = m.parent_id";
    let mut statement = conn.prepare(sql).unwrap();
    let mut found: Vec<String> = statement.query_map([], |row| row.get(0)).unwrap().map(Result::unwrap).collect();
    expected.sort();
    found.sort();
    assert_eq!((found.len(), found == expected), (9, true), "{found:#?}");
}

/// Archives whose table of sources was made before mox was a source, by this program and by 1.x.
#[test]
fn an_archive_that_was_there_takes_an_account_of_mox() {
    use common::v1::{self, Variant};
    for is_of_1x in [false, true] {
        let place = Place::new();
        let archive = place.archive();
        if is_of_1x {
            v1::write(&archive, &Variant::default());
        } else {
            let mail = common::maildir(&place.dir.path().join("Maildir"), 3, 100);
            ok(&["import", "maildir", mail.to_str().unwrap(), archive.to_str().unwrap()]);
        }
        place.set(&usual());
        assert_eq!(place.import(&[])["types"]["email"]["new"], 3);
        assert_eq!(place.import(&[])["types"]["email"]["unchanged"], 3);
        ok(&["verify", "--quiet", archive.to_str().unwrap()]);
        let conn = rusqlite::Connection::open(&archive).unwrap();
        let text = |sql: &str| conn.query_row(sql, [], |row| row.get::<_, String>(0)).unwrap();
        assert_eq!(text("PRAGMA integrity_check"), "ok");
        let kinds = text("SELECT group_concat(kind) FROM (SELECT DISTINCT kind FROM sources ORDER BY kind)");
        assert!(kinds.split(',').count() > 1 && kinds.contains("mox"), "{kinds}");
        let other = "INSERT INTO sources (kind, session_url, account_id, username) VALUES ('other', '', '', '')";
        assert!(conn.execute(other, []).is_err(), "the others are as they were");
    }
}

/// A message of two parts that does not fit in memory is put together in a file.
#[test]
fn a_large_message_has_both_of_its_parts() {
    let place = Place::new();
    let body = [b"Subject: large\r\n\r\n".to_vec(), vec![b'x'; 17 << 20]].concat();
    let prefix = b"Received: by mox\r\n".to_vec();
    let messages = vec![Message { prefix: prefix.clone(), ..message(1, 1, &body) }, message(2, 1, &body)];
    place.set(&Account::new(vec![mailbox(1, "Inbox")], messages));
    let summary = place.import(&[]);
    assert_eq!((&summary["types"]["email"]["new"], &summary["notices"]), (&2.into(), &serde_json::json!([])));
    let found = place.mail();
    assert!(found["INBOX"][0].1 == [prefix, body.clone()].concat() && found["INBOX"][1].1 == body);
}

#[test]
fn an_account_is_found_wherever_it_lies() {
    let place = Place::new();
    let root = sample(&place.dir.path().join("backup"));
    let old = place.dir.path().join("old");
    fs::create_dir(&old).unwrap();
    fs::rename(root.join("data/accounts"), old.join("accounts")).unwrap();
    fs::create_dir_all(root.join("data")).unwrap();
    std::os::unix::fs::symlink(old.join("accounts"), root.join("data/accounts")).unwrap();
    let account = old.join("accounts/mox");
    for from in [root.clone(), root.join("data"), old.clone(), old.join("accounts"), account.clone()] {
        let arguments = place.arguments(&from, &["--account", "mox", "--json"]);
        let summary = json(&arguments.iter().map(String::as_str).collect::<Vec<_>>());
        assert_eq!(summary["types"]["email"]["found"], 9, "{}", from.display());
    }
    let said = |from: &Path, flags: &[&str], code: i32| {
        let arguments = place.arguments(from, flags);
        fails(&arguments.iter().map(String::as_str).collect::<Vec<_>>(), code)
    };
    assert!(said(&root, &[], 3).contains("hint: name one with --account: alice, mox"));
    assert!(said(&root, &["--account", "alise"], 3).contains("did you mean \"alice\"? Accounts: alice, mox"));
    assert!(said(&root, &["--account", "alice@example.org"], 3).contains("did you mean \"alice\"?"));
    assert!(said(&root, &["--account", "xyz"], 3).contains("hint: accounts: alice, mox"));
    assert!(said(&account, &["--account", "alice"], 3).contains("there is no account \"alice\""));
    assert!(said(place.dir.path(), &[], 1).contains("there is no account of mox in"));
    assert!(said(Path::new("/nowhere"), &[], 1).contains("there is no directory /nowhere"));
    fs::remove_dir_all(old.join("accounts/alice")).unwrap();
    let arguments = place.arguments(&root, &["--json"]);
    json(&arguments.iter().map(String::as_str).collect::<Vec<_>>());
}

#[test]
fn everything_that_a_record_says_counts() {
    let place = Place::new();
    let flags = vec!["Seen", "Answered", "Flagged", "Forwarded", "Junk", "Notjunk", "Draft", "Phishing", "MDNSent"];
    let prefixed = Message { prefix: b"Received: by mox\r\n".to_vec(), ..message(1, 1, &text(1)) };
    let mut account = Account::new(
        vec![
            mailbox(1, "Inbox"),
            common::mox::Mailbox { flags: &["Sent", "Trash"], ..mailbox(2, "Raus") },
            common::mox::Mailbox { flags: &["Sent"], is_subscribed: false, ..mailbox(3, "Old/Deep/Sent") },
            common::mox::Mailbox { flags: &["Expunged"], ..mailbox(4, "Gone") },
            mailbox(5, "Gone"),
            mailbox(6, "Rejects"),
        ],
        vec![
            prefixed.clone(),
            Message { flags, keywords: vec!["work".into(), "$label1".into()], ..message(2, 2, &text(2)) },
            // Written by an older mox, before there were keywords.
            Message { version: 1, flags: vec!["Seen"], ..message(3, 3, &text(3)) },
            Message { flags: vec!["Expunged"], ..message(4, 1, &text(4)) },
            Message { flags: vec!["Deleted"], ..message(5, 1, &text(5)) },
            // No date; one from before 1970, one from far away.
            Message { received: None, ..message(6, 5, &text(6)) },
            Message { received: Some(-86_400), ..message(7, 5, &text(7)) },
            Message { received: Some(99_999_999_999), ..message(8, 6, &text(8)) },
            // All of it is in the record.
            Message { prefix: text(9), file: None, ..message(9, 1, b"") },
            message(8192, 1, &text(8192)),
            message(524_287, 1, &text(524_287)),
        ],
    );
    for page_size in [1024, 4096, 65_536] {
        account.page_size = page_size;
        place.set(&account);
        let _ = fs::remove_file(place.archive());
        let summary = place.import(&[]);
        let email = &summary["types"]["email"];
        assert_eq!((&email["found"], &email["skipped_reasons"]["deleted flag"]), (&11.into(), &1.into()), "{summary}");
        let said = summary["notices"].to_string();
        assert!(said.contains("Raus has the roles sent, trash in mox; it is imported as sent"), "{said}");
        assert!(said.contains("Old/Deep/Sent has the role sent in mox, as another one has"), "{said}");
        let found = place.mail();
        let keywords: Vec<&str> = found["Raus"][0].0.iter().map(String::as_str).collect();
        assert_eq!(
            keywords,
            [
                "$answered",
                "$draft",
                "$flagged",
                "$forwarded",
                "$junk",
                "$label1",
                "$mdnsent",
                "$notjunk",
                "$phishing",
                "$seen",
                "work"
            ]
        );
        assert_eq!(found["Old/Deep/Sent"], [(vec!["$seen".to_owned()], text(3))]);
        let inbox: Vec<Vec<u8>> = found["INBOX"].iter().map(|(_, bytes)| bytes.clone()).collect();
        let whole = [b"Received: by mox\r\n".to_vec(), text(1)].concat();
        let mut expected = vec![whole, text(9), text(8192), text(524_287)];
        expected.sort();
        assert_eq!(inbox, expected);
        let conn = rusqlite::Connection::open(place.archive()).unwrap();
        let dates: Vec<String> = conn
            .prepare("SELECT received_at FROM emails WHERE mailbox_ids = (SELECT '[' || id || ']' FROM mailboxes WHERE name = 'Gone') ORDER BY 1")
            .unwrap()
            .query_map([], |row| row.get(0))
            .unwrap()
            .map(Result::unwrap)
            .collect();
        assert_eq!(dates, ["1969-12-31T00:00:00Z", "2024-01-01T00:00:00Z"], "the second one from its Date");
        let subscribed =
            "SELECT group_concat(name) FROM (SELECT name FROM mailboxes WHERE NOT is_subscribed ORDER BY 1)";
        let subscribed: String = conn.query_row(subscribed, [], |row| row.get(0)).unwrap();
        assert_eq!(subscribed, "Deep,Old,Sent");
        ok(&["verify", "--quiet", place.archive().to_str().unwrap()]);
    }
    let summary = place.import(&["--include-deleted"]);
    assert_eq!(summary["types"]["email"]["new"], 1);
    assert!(place.mail()["INBOX"].contains(&(vec!["$deleted".to_owned()], text(5))));
    let filtered = place.import(&["--folder", "inbox", "--include-deleted"]);
    assert_eq!(filtered["types"]["email"]["found"], 5);
    assert_eq!(place.mail()["Rejects"].len(), 1, "what a filter hides stays");
}

#[test]
fn what_is_missing_or_too_much_is_named() {
    let place = Place::new();
    let mut account = usual();
    account.messages.extend([
        Message { file: None, ..message(4, 1, b"") },
        Message { size: Some(9), ..message(5, 1, &text(5)) },
        Message { mailbox: 77, ..message(6, 1, &text(6)) },
        Message { version: 9, ..message(7, 1, &text(7)) },
        Message { flags: vec!["Expunged"], ..message(8, 1, &text(8)) },
    ]);
    account.messages[3].size = Some(400);
    place.set(&account);
    let stray = |path: &str| {
        let path = place.account().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text(99)).unwrap();
    };
    for path in ["msg/a/99", "msg/b/98", "msg/a/.tmp", "msg/x", "msg/a/007"] {
        stray(path);
    }
    let said = place.ends_with(5, &["-v"]);
    for line in [
        "email failed (its file is not there): INBOX: msg/a/4",
        "email failed (a record of mox that cannot be read: its mailbox is not there): msg/a/6",
        "email failed (a record of mox that cannot be read: its schema is not in the file): msg/a/7",
        "email skipped (a message file without a record): msg/a/99",
        "email skipped (a message file in a wrong directory): msg/b/98",
        "email by-product (no message file of mox): msg/a/.tmp",
        "email by-product (no message file of mox): msg/x",
        "email by-product (no message file of mox): msg/a/007",
        "email by-product (the file of an expunged message): msg/a/8",
        "1 message is not as large as mox's record says, and stored as found: msg/a/5 has",
    ] {
        assert!(said.contains(line), "{line}\n{said}");
    }
    let found = place.mail();
    assert_eq!(found["INBOX"].len(), 3);
    assert!(found["INBOX"].iter().any(|(_, bytes)| *bytes == text(5)));
    // It is not forgotten: the next run says it again.
    assert!(place.ends_with(5, &[]).contains("msg/a/7"));

    // A known message whose record cannot be read any more is not gone.
    let mut account = usual();
    place.set(&account);
    let other = Place { dir: tempfile::tempdir().unwrap() };
    other.set(&account);
    other.import(&[]);
    account.messages[0].version = 9;
    account.messages[1].mailbox = 77;
    other.set(&account);
    let said = other.ends_with(5, &[]);
    assert!(said.contains("msg/a/1") && said.contains("msg/a/2"), "{said}");
    assert_eq!(other.mail()["INBOX"].len(), 2);
}

#[test]
fn what_changes_is_seen_and_what_does_not_costs_nothing() {
    let place = Place::new();
    let mut account = usual();
    place.set(&account);
    place.import(&[]);
    // Nothing of the records is read where the file is as it was.
    let index = place.account().join("index.db");
    let times = fs::metadata(&index).unwrap().modified().unwrap();
    let image = fs::read(&index).unwrap();
    let file = fs::File::options().write(true).open(&index).unwrap();
    let at = image.windows(11).position(|part| part == b"{\"Parts\":[]").unwrap();
    file.write_all_at(&[0xff; 3000], (at / 4096 * 4096) as u64).unwrap();
    file.set_modified(times).unwrap();
    let summary = place.import(&[]);
    assert_eq!(summary["types"]["email"]["unchanged"], 3);
    file.set_modified(times + Duration::from_secs(1)).unwrap();
    assert!(place.ends_with(5, &[]).contains("is damaged: page "), "a change is seen");
    file.write_all_at(&image, 0).unwrap();

    account.txid += 1;
    account.messages[0].flags = vec!["Seen"];
    account.messages[1].mailbox = 2;
    account.messages[2].flags = vec!["Expunged"];
    let mut expunged = message(4, 1, b"");
    expunged.flags = vec!["Expunged"];
    account.messages.push(Message { file: None, ..expunged });
    fs::write(&index, account.image()).unwrap();
    // A message that moved is not read again.
    fs::remove_file(place.account().join(path_of(2))).unwrap();
    let summary = place.import(&[]);
    let email = &summary["types"]["email"];
    assert_eq!((&email["found"], &email["changed"], &email["new"]), (&3.into(), &2.into(), &0.into()), "{summary}");
    let found = place.mail();
    assert_eq!(found["INBOX"], [(vec!["$seen".to_owned()], text(1))]);
    assert_eq!(found["Work"], [(Vec::new(), text(2))]);

    // A mailbox with another name: its messages move with it.
    account.mailboxes[1].name = "Job/Now";
    account.txid += 1;
    fs::write(&index, account.image()).unwrap();
    let summary = place.import(&[]);
    assert_eq!(jmap_run::stored(&summary, "email"), [0, 1, 1], "{summary}");
    assert_eq!(place.mail()["Job/Now"].len(), 1);
    ok(&["verify", "--quiet", place.archive().to_str().unwrap()]);
}

#[test]
fn another_backup_of_the_account_continues_it() {
    let place = Place::new();
    let mut account = usual();
    place.set(&account);
    place.import(&[]);
    account.messages.push(message(4, 2, &text(4)));
    account.txid += 1;
    let moved = place.dir.path().join("backup/accounts/alice");
    account.write(&moved);
    let run = |flags: &[&str]| {
        let arguments = place.arguments(&place.dir.path().join("backup"), flags);
        run(&arguments.iter().map(String::as_str).collect::<Vec<_>>())
    };
    assert_eq!(run(&[]).status.code(), Some(4));
    let other = Account::new(
        account.mailboxes.clone(),
        vec![message(1, 1, b"Subject: another\r\n\r\n"), message(9, 1, &text(9))],
    );
    other.write(&moved);
    assert_eq!(run(&["--same-account"]).status.code(), Some(4), "it is another account");
    account.write(&moved);
    let output = run(&["--same-account", "--json"]);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let line = String::from_utf8_lossy(&output.stdout).lines().last().unwrap().to_owned();
    let summary: serde_json::Value = serde_json::from_str(&line).unwrap();
    assert_eq!(jmap_run::stored(&summary, "email"), [1, 0, 3]);
}

/// Lists an account and reads all of it, as an import does; gives how many messages there were, if it could be listed.
fn read_all(root: &Path) -> Option<usize> {
    let options = MoxOptions { spool: root.to_owned(), include_deleted: true, ..MoxOptions::default() };
    let mut source = Mox::open(root, options).ok()?;
    let (scopes, _) = source.scopes().ok()?;
    let mut count = 0;
    for scope in scopes {
        let listing = source.list(&scope, "").ok()?;
        count += listing.entries.len();
        source.fetch(&scope, listing.entries).ok()?.for_each(drop);
    }
    Some(count)
}

/// A generator of numbers, the same in every run.
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, limit: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as usize % limit
    }
}

/// Damage of every kind, at random places of the database that mox made, and of one with deep trees: it ends, in time.
#[test]
fn a_damaged_database_is_an_error_or_less_mail() {
    let place = Place::new();
    let root = sample(&place.dir.path().join("backup")).join("data/accounts/mox");
    let many = place.dir.path().join("many");
    let mut account = usual();
    account.page_size = 1024;
    account.messages.extend((4..200).map(|id| Message { file: None, size: Some(0), ..message(id, 1, b"") }));
    account.write(&many);
    let rounds = std::env::var("PROPTEST_CASES").ok().and_then(|cases| cases.parse().ok()).unwrap_or(600);
    let (mut read, mut refused, mut slowest) = (0, 0, Duration::ZERO);
    for root in [root, many] {
        let whole = fs::read(root.join("index.db")).unwrap();
        let all = read_all(&root).unwrap();
        let page = if all > 100 { 1024 } else { 4096 };
        let mut numbers = Numbers(42);
        for round in 0..rounds {
            let mut bytes = whole.clone();
            for _ in 0..1 + numbers.below(4) {
                // Most of the bytes are texts and schemas: so half of the damage is in the heads of pages.
                let at = match numbers.below(2) {
                    0 => numbers.below(bytes.len() / page) * page + numbers.below(80),
                    _ => numbers.below(bytes.len()),
                };
                match numbers.below(5) {
                    0 => bytes[at] ^= 1 << numbers.below(8),
                    1 => bytes[at] = [0, 0xff, 0x7f, 0x80, 1][numbers.below(5)],
                    2 => {
                        let until = bytes.len().min(at + 8);
                        bytes[at..until].fill(0xff);
                    }
                    3 => {
                        let (from, to) = (numbers.below(bytes.len() / page) * page, at / page * page);
                        bytes.copy_within(from..from + page, to);
                    }
                    _ => bytes.truncate(at.max(page)),
                }
            }
            // A damaged meta is found by its checksum: one that is made up is not.
            if round % 2 == 0 {
                for at in [0, page] {
                    if bytes.len() >= at + 80 {
                        let sum = common::mox::checksum(&bytes[at + 16..at + 72]);
                        bytes[at + 72..at + 80].copy_from_slice(&sum.to_le_bytes());
                    }
                }
            }
            fs::write(root.join("index.db"), &bytes).unwrap();
            let begun = Instant::now();
            match read_all(&root) {
                Some(count) => {
                    assert!(count <= all * 2, "round {round}: {count} of {all}");
                    read += 1;
                }
                None => refused += 1,
            }
            slowest = slowest.max(begun.elapsed());
        }
    }
    println!("{read} read, {refused} refused, the slowest took {slowest:?}");
    assert!(slowest < Duration::from_secs(10), "{slowest:?}");
    assert!(read > 50 && refused > 50, "{read} read, {refused} refused");
}

/// Pages made to keep a reader busy: loops, chains, elements on top of each other, lies about length.
#[test]
fn made_up_pages_end_in_an_error() {
    let place = Place::new();
    let mut account = usual();
    account.messages.extend((4..40).map(|id| message(id, 1, &text(id))));
    place.set(&account);
    let index = place.account().join("index.db");
    let whole = fs::read(&index).unwrap();
    let kind = |page: usize| u16::from_le_bytes([whole[page * 4096 + 8], whole[page * 4096 + 9]]);
    let pages = whole.len() / 4096;
    let branches: Vec<usize> = (2..pages).filter(|page| kind(*page) == 1).collect();
    let leaves: Vec<usize> = (2..pages).filter(|page| kind(*page) == 2).collect();
    assert!(branches.len() > 3 && leaves.len() > 5);
    let mut said = Vec::new();
    let mut refuse = |change: &dyn Fn(&mut Vec<u8>)| {
        let mut bytes = whole.clone();
        change(&mut bytes);
        fs::write(&index, &bytes).unwrap();
        let begun = Instant::now();
        let arguments = place.arguments(&place.account(), &["--full"]);
        let output = run(&arguments.iter().map(String::as_str).collect::<Vec<_>>());
        assert!(begun.elapsed() < Duration::from_secs(20));
        // The mailboxes cannot be read, or the messages.
        assert!(matches!(output.status.code(), Some(5 | 7)), "{output:?}");
        said.push(String::from_utf8_lossy(&output.stderr).lines().next().unwrap().to_owned());
    };
    let last = *branches.last().unwrap();
    let put = |bytes: &mut Vec<u8>, at: usize, number: u64, size: usize| {
        bytes[at..at + size].copy_from_slice(&number.to_le_bytes()[..size]);
    };
    // A branch whose children are itself, and one that has a child twice.
    refuse(&|bytes| branches.iter().for_each(|page| put(bytes, page * 4096 + 24, *page as u64, 8)));
    refuse(&|bytes| {
        for page in &branches {
            let first = bytes[page * 4096 + 24..page * 4096 + 32].to_vec();
            bytes[page * 4096 + 40..page * 4096 + 48].copy_from_slice(&first);
        }
    });
    refuse(&|bytes| put(bytes, last * 4096 + 24, u64::MAX, 8));
    refuse(&|bytes| put(bytes, last * 4096 + 10, 0xffff, 2));
    // Every leaf: more pages than there are, values that lie on top of each other, keys outside, unknown elements.
    refuse(&|bytes| leaves.iter().for_each(|page| put(bytes, page * 4096 + 12, u64::from(u32::MAX), 4)));
    refuse(&|bytes| leaves.iter().for_each(|page| put(bytes, page * 4096 + 28, 4000, 4)));
    refuse(&|bytes| leaves.iter().for_each(|page| put(bytes, page * 4096 + 20, u64::from(u32::MAX), 4)));
    refuse(&|bytes| leaves.iter().for_each(|page| put(bytes, page * 4096 + 16, 0x80, 4)));
    refuse(&|bytes| leaves.iter().for_each(|page| put(bytes, page * 4096, 1, 8)));
    refuse(&|bytes| bytes.truncate(3 * 4096));
    refuse(&|bytes| bytes.truncate(40));
    refuse(&|bytes| bytes.clear());
    refuse(&|bytes| [16, 4096 + 16].iter().for_each(|at| bytes[*at..at + 4].reverse()));
    refuse(&|bytes| bytes[..8192].fill(0));
    for line in &said {
        assert!(line.contains("index.db is "), "{line}");
    }
    assert!(said.iter().any(|line| line.contains("big-endian")), "{said:#?}");
    // One of the first pages is enough, whatever the size of the pages.
    fs::write(&index, {
        let mut bytes = whole.clone();
        bytes[..100].fill(0);
        bytes
    })
    .unwrap();
    assert_eq!(place.import(&[])["types"]["email"]["found"], 39);
    // A pipe is not waited for, a link of a message not followed.
    fs::remove_file(place.account().join(path_of(5))).unwrap();
    std::os::unix::fs::symlink("/etc/passwd", place.account().join(path_of(5))).unwrap();
    fs::remove_file(place.archive()).unwrap();
    assert!(place.ends_with(5, &[]).contains("INBOX: msg/a/5"));
    assert_eq!(place.mail()["INBOX"].len(), 37);
    fs::remove_file(&index).unwrap();
    let status = std::process::Command::new("mkfifo").arg(&index).status().unwrap();
    assert!(status.success());
    assert!(place.ends_with(7, &[]).contains("it is no file"));
}

/// A mox that writes: commits go to pages that the one before does not use, and over those of the one before that.
#[test]
fn what_is_read_is_one_commit() {
    let place = Place::new();
    let state = |generation: u64| {
        let mut account = usual();
        account.messages.extend((4..400).map(|id| message(id, 1 + id % 2, &text(id))));
        for message in &mut account.messages {
            message.keywords = vec![format!("g{generation:05}")];
        }
        account.txid = 10 + generation;
        // Each of two commits has pages of its own.
        account.first_page = if generation.is_multiple_of(2) { 2 } else { 1_000 };
        account
    };
    place.set(&state(0));
    let stop = Arc::new(AtomicBool::new(false));
    let (index, stopped) = (place.account().join("index.db"), Arc::clone(&stop));
    let writer = std::thread::spawn(move || {
        let file = fs::File::options().write(true).open(index).unwrap();
        let mut generation = 0;
        while !stopped.load(Ordering::Relaxed) {
            generation += 1;
            let account = state(generation);
            let (pages, meta) = account.commit();
            // Half of it, a pause, the rest: what stood there before is torn.
            let half = pages.len() / 2;
            file.write_all_at(&pages[..half], account.first_page * 4096).unwrap();
            std::thread::sleep(Duration::from_millis(2));
            file.write_all_at(&pages[half..], account.first_page * 4096 + half as u64).unwrap();
            let page = account.txid % 2;
            file.write_all_at(&account.meta_page(page, &meta), page * 4096).unwrap();
            std::thread::sleep(Duration::from_millis(15 + generation % 40));
        }
        generation
    });
    let (mut whole, mut busy) = (0, 0);
    let begun = Instant::now();
    while begun.elapsed() < Duration::from_secs(8) {
        let mut source = Mox::open(&place.account(), MoxOptions::default()).unwrap();
        let listed = source.scopes().and_then(|(scopes, _)| {
            scopes
                .iter()
                .map(|scope| source.list(scope, "").map(|listing| listing.entries))
                .collect::<Result<Vec<_>, _>>()
        });
        match listed {
            Ok(entries) => {
                let entries = entries.concat();
                assert_eq!(entries.len(), 399);
                assert!(entries.iter().all(|entry| entry.attrs.keywords == entries[0].attrs.keywords), "one commit");
                whole += 1;
            }
            Err(error) => {
                assert!(error.to_string().contains("faster than it can be read"), "{error}");
                assert!(error.to_string().contains("mox backup"), "{error}");
                busy += 1;
            }
        }
    }
    stop.store(true, Ordering::Relaxed);
    let commits = writer.join().unwrap();
    println!("{whole} listings, {busy} given up, {commits} commits");
    assert!(whole > 5 && commits > 50, "{whole} listings, {busy} given up, {commits} commits");
}
