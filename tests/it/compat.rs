//! Vandelay 1.x and this program read what the other one wrote.

use crate::common;
use crate::common::*;
use rusqlite::{Connection, params};
use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use v1::Variant;

fn text(path: &Path) -> &str {
    path.to_str().expect("a path in UTF-8")
}

/// Every reader works on the archive, and leaves it and its directory as they were.
fn readable(archive: &Path, what: &str, verify_code: i32) -> BTreeMap<String, Vec<u8>> {
    let before = listing(archive.parent().expect("a directory"));
    for command in [&["inspect"][..], &["inspect", "--json"], &["snapshots"], &["ls", "-R"], &["verify"]] {
        let output = vandelay().args(command).arg(archive).output().expect("it runs");
        let expected = if command == ["verify"] { verify_code } else { 0 };
        assert_eq!(
            calm(&output, what),
            expected,
            "{what}: {command:?}: {}{}",
            String::from_utf8_lossy(&output.stdout),
            String::from_utf8_lossy(&output.stderr)
        );
    }
    for kind in TYPES {
        ok(&["inspect", text(archive), kind]);
        ok(&["inspect", text(archive), kind, "--json"]);
    }
    let mut shown = BTreeMap::new();
    for line in listed(&["ls", "-R", text(archive)]) {
        if line["file_type"] == "file" {
            let path = line["path"].as_str().expect("a path").to_owned();
            let output = run(&["cat", text(archive), &path]);
            assert_eq!(calm(&output, &path), 0, "{what}: {path}: {}", String::from_utf8_lossy(&output.stderr));
            assert_eq!(output.stdout.len() as u64, line["size"].as_u64().expect("a size"), "{what}: {path}");
            shown.insert(path, output.stdout);
        }
    }
    let into = tempfile::tempdir().expect("a directory");
    if let Some(mounted) = Mounted::new(archive, &into.path().join("mnt"), &[]) {
        for (path, bytes) in &shown {
            assert!(fs::read(mounted.at.join(path)).expect("a file") == *bytes, "{what}: {path}");
        }
    }
    assert_eq!(listing(archive.parent().expect("a directory")), before, "{what}: readers change nothing");
    shown
}

/// What an account of `v1` must show, whatever the variant.
fn shows_the_account(shown: &BTreeMap<String, Vec<u8>>, variant: &Variant, what: &str) {
    for bytes in v1::messages() {
        assert!(
            shown.iter().any(|(path, content)| path.starts_with("mail/") && *content == bytes),
            "{what}: {}",
            String::from_utf8_lossy(&bytes)
        );
    }
    let holds = |part: &str, wanted: &[u8]| {
        assert!(
            shown
                .iter()
                .any(|(path, content)| path.starts_with(part) && memchr::memmem::find(content, wanted).is_some()),
            "{what}: {part} {:?}",
            String::from_utf8_lossy(wanted)
        );
    };
    assert_eq!(
        shown.iter().filter(|(path, content)| path.starts_with("sieve/") && *content == v1::SCRIPT).count(),
        2,
        "{what}"
    );
    holds("files/Documents/letter.txt", v1::FILE);
    holds("contacts/Contacts/", b"Bob");
    holds("identities.json", b"alice@example.org");
    holds("merged/calendars/Home.ics", b"event-1");
    if variant.data_type {
        holds("calendars/Home/", b"BEGIN:VEVENT");
        holds("calendars/Home/", b"BEGIN:VTODO");
        holds("calendars/Home/", b"BEGIN:VJOURNAL");
    }
    // The photo comes out inside the card, in one of the ways in which vCard holds bytes.
    let base64 = "iVBORw0KGgog";
    assert!(
        shown.iter().any(|(path, content)| path.starts_with("contacts/")
            && String::from_utf8_lossy(content).replace("\r\n ", "").contains(base64)),
        "{what}: the photo"
    );
    // `[1,2]`: one message in two mailboxes.
    let second = &v1::messages()[1];
    assert_eq!(
        shown.iter().filter(|(path, content)| path.starts_with("mail/") && *content == second).count(),
        2,
        "{what}"
    );
    // Two mailboxes of one name are both there.
    assert_eq!(
        shown.keys().filter(|path| path.starts_with("mail/Twin") && path.contains(".vandelay,")).count(),
        2,
        "{what}"
    );
    // 10:00 at +02:00 is 08:00.
    assert!(shown.keys().any(|path| path.starts_with("mail/INBOX/cur/1747036800.1.")), "{what}: {:?}", shown.keys());
}

#[test]
fn archives_of_1x_are_read_in_all_their_variants_and_stay_as_they_are() {
    let variants = [
        ("plain", Variant { journal_mode: "DELETE", ..Variant::default() }),
        ("wal", Variant::default()),
        ("no-data-type", Variant { data_type: false, ..Variant::default() }),
        ("extras", Variant { extras: true, ..Variant::default() }),
        ("cycle", Variant { cycle: true, ..Variant::default() }),
    ];
    for (name, variant) in &variants {
        let dir = tempfile::tempdir().expect("a directory");
        let archive = dir.path().join("a.sqlite");
        v1::write(&archive, variant);
        let shown = readable(&archive, name, if variant.cycle { 8 } else { 0 });
        shows_the_account(&shown, variant, name);
    }
    let dir = tempfile::tempdir().expect("a directory");
    let archive = dir.path().join("a.sqlite");
    v1::write_with_log(&archive, &Variant::default());
    assert!(fs::metadata(dir.path().join("a.sqlite-wal")).expect("a log").len() > 10_000);
    shows_the_account(&readable(&archive, "with a log", 0), &Variant::default(), "with a log");
    let dir = tempfile::tempdir().expect("a directory");
    let archive = dir.path().join("a.sqlite");
    v1::write(&archive, &Variant { rows: false, ..Variant::default() });
    let shown = readable(&archive, "empty", 0);
    assert!(!shown.keys().any(|path| path.starts_with("mail/")));
}

/// While 1.x has an archive open, nobody else gets in: we say so, in time.
#[test]
fn an_archive_that_1x_holds_is_in_use() {
    let dir = tempfile::tempdir().expect("a directory");
    let archive = dir.path().join("a.sqlite");
    v1::write(&archive, &Variant::default());
    let conn = v1::open(&archive);
    conn.execute("UPDATE mailboxes SET sort_order = 1", []).expect("a change");
    let mail = maildir(&dir.path().join("mail"), 1, 50);
    let said = fails(&["import", "maildir", text(&mail), text(&archive), "--allow-source-change"], 11);
    assert!(said.contains("in use"), "{said}");
    drop(conn);
    ok(&["import", "maildir", text(&mail), text(&archive)]);
}

#[test]
fn an_import_into_an_archive_of_1x_keeps_everything_and_begins_its_history() {
    for (name, variant) in [
        ("plain", Variant { journal_mode: "DELETE", ..Variant::default() }),
        ("no-data-type", Variant { data_type: false, ..Variant::default() }),
        ("extras", Variant { extras: true, ..Variant::default() }),
        ("log", Variant::default()),
        ("empty", Variant { rows: false, ..Variant::default() }),
    ] {
        let dir = tempfile::tempdir().expect("a directory");
        let archive = dir.path().join("a.sqlite");
        if name == "log" {
            v1::write_with_log(&archive, &variant)
        } else {
            v1::write(&archive, &variant)
        }
        let (old_shown, old_rows) = (tree(&archive, "latest"), dump(&archive));
        let mail = maildir(&dir.path().join("mail"), 12, 50);
        for run in ["first", "second"] {
            ok(&["import", "maildir", text(&mail), text(&archive)]);
            ok(&["verify", text(&archive)]);
            let shown = tree(&archive, "latest");
            for (path, bytes) in old_shown.iter().filter(|(path, _)| !path.starts_with("merged/")) {
                assert!(shown.get(path) == Some(bytes), "{name}: {run}: {path} is still there");
            }
            let new = shown.keys().filter(|path| path.contains(".vandelay,")).count()
                - old_shown.keys().filter(|path| path.contains(".vandelay,")).count();
            assert_eq!(new, 12, "{name}: {run}");
        }
        let rows = dump(&archive);
        let ours = |line: &str| line.starts_with("calendar_events") && !variant.data_type;
        for line in old_rows.lines().filter(|line| !ours(line)) {
            assert!(rows.lines().any(|row| row == line), "{name}: {line}");
        }
        assert_eq!(listed(&["snapshots", text(&archive)]).len(), 2, "{name}");
        let conn = Connection::open(&archive).expect("it opens");
        if variant.extras {
            let (what, columns): (String, i64) = conn
                .query_row("SELECT what, (SELECT count(*) FROM pragma_table_info('emails') WHERE name = 'thread_id') FROM export_failures", [], |row| Ok((row.get(0)?, row.get(1)?)))
                .expect("what we do not know is kept");
            assert_eq!((what.as_str(), columns), ("something", 1));
        }
        let column: i64 = conn
            .query_row(
                "SELECT count(*) FROM pragma_table_info('calendar_events') WHERE name = 'data_type'",
                [],
                |row| row.get(0),
            )
            .expect("a number");
        assert_eq!(column, 1, "{name}");
    }
}

/// The columns of the content tables: name, type, NOT NULL, default, primary key; as the format of 1.x has them.
const COLUMNS: &str = "
mailboxes: id INTEGER 0 - 1, name TEXT 1 - 0, parent_id INTEGER 0 - 0, role TEXT 0 - 0, sort_order INTEGER 1 0 0, is_subscribed INTEGER 1 1 0
emails: id INTEGER 0 - 1, blob_id INTEGER 1 - 0, received_at TEXT 1 - 0, mailbox_ids TEXT 1 - 0, keywords TEXT 1 '[]' 0, message_match TEXT 1 '{}' 0
identities: id INTEGER 0 - 1, name TEXT 1 '' 0, email TEXT 1 - 0, reply_to TEXT 0 - 0, bcc TEXT 0 - 0, text_signature TEXT 1 '' 0, html_signature TEXT 1 '' 0
sieve_scripts: id INTEGER 0 - 1, name TEXT 0 - 0, is_active INTEGER 1 0 0, blob_id INTEGER 1 - 0
address_books: id INTEGER 0 - 1, name TEXT 1 - 0, description TEXT 0 - 0, sort_order INTEGER 1 0 0, is_default INTEGER 1 0 0, is_subscribed INTEGER 1 1 0
contact_cards: id INTEGER 0 - 1, uid TEXT 1 - 0, address_book_ids TEXT 1 - 0, data TEXT 1 - 0
calendars: id INTEGER 0 - 1, name TEXT 1 - 0, description TEXT 0 - 0, color TEXT 0 - 0, sort_order INTEGER 1 0 0, is_subscribed INTEGER 1 1 0, is_visible INTEGER 1 1 0, is_default INTEGER 1 0 0, include_in_availability TEXT 1 'all' 0, default_alerts_with_time TEXT 0 - 0, default_alerts_without_time TEXT 0 - 0, time_zone TEXT 0 - 0
calendar_events: id INTEGER 0 - 1, calendar_ids TEXT 1 - 0, is_draft INTEGER 1 0 0, use_default_alerts INTEGER 1 0 0, data TEXT 1 - 0, data_type TEXT 1 'Event' 0
participant_identities: id INTEGER 0 - 1, name TEXT 1 '' 0, calendar_address TEXT 1 - 0, is_default INTEGER 1 0 0
file_nodes: id INTEGER 0 - 1, parent_id INTEGER 0 - 0, node_type TEXT 1 - 0, blob_id INTEGER 0 - 0, target TEXT 0 - 0, name TEXT 1 - 0, media_type TEXT 0 - 0, created TEXT 1 - 0, modified TEXT 0 - 0, is_subscribed INTEGER 1 1 0, role TEXT 0 - 0
blobs: id INTEGER 0 - 1, hash BLOB 1 - 0, data BLOB 1 - 0
sources: id INTEGER 0 - 1, kind TEXT 1 - 0, session_url TEXT 1 - 0, account_id TEXT 1 - 0, account_name TEXT 0 - 0, username TEXT 1 - 0
";

/// The Message-IDs and the fingerprint of a message of [`message`], computed here from the description of 1.x.
fn expected_match(number: u32) -> serde_json::Value {
    let fields = [
        format!("a{number}@example.org"),
        format!("number {number}"),
        "2024-01-01T00:00:00+00:00".to_owned(),
        "b@example.org".to_owned(),
    ];
    let zulu = fields.clone().map(|field| field.replace("+00:00", "Z"));
    let hash = |fields: &[String]| blake3::hash(fields.join("\u{1f}").as_bytes()).to_hex().to_string();
    serde_json::json!({ "m": [format!("{number}@example.org")], "f": [hash(&fields), hash(&zulu)] })
}

#[test]
fn what_we_write_is_what_1x_expects() {
    let dir = tempfile::tempdir().expect("a directory");
    let archive = dir.path().join("a.sqlite");
    let mail = maildir(&dir.path().join("mail"), 12, 50);
    ok(&["import", "maildir", text(&mail), text(&archive)]);
    let takeout = dir.path().join("Takeout");
    fs::create_dir(&takeout).expect("a directory");
    fs::write(takeout.join("a.ics"), "BEGIN:VCALENDAR\r\nVERSION:2.0\r\nBEGIN:VEVENT\r\nUID:e1\r\nDTSTART:20240101T000000Z\r\nSUMMARY:e\r\nEND:VEVENT\r\nBEGIN:VTODO\r\nUID:t1\r\nSUMMARY:t\r\nEND:VTODO\r\nEND:VCALENDAR\r\n").expect("a file");
    fs::write(takeout.join("a.vcf"), "BEGIN:VCARD\r\nVERSION:3.0\r\nUID:c1\r\nFN:Card\r\nN:Card;;;;\r\nEND:VCARD\r\n")
        .expect("a file");
    fs::write(
        takeout.join("a.mbox"),
        "From x Mon Jan 01 00:00:00 2024\nSubject: mbox\nX-Gmail-Labels: Inbox,Starred\nMessage-ID: <MBox@X>\n\nb\n",
    )
    .expect("a file");
    ok(&["import", "takeout", text(&takeout), text(&archive)]);
    satisfies_1x(&archive);
    let conn = Connection::open(&archive).expect("it opens");
    let mut statement =
        conn.prepare("SELECT message_match, data FROM emails JOIN blobs ON blobs.id = blob_id").expect("rows");
    let rows: Vec<(String, Vec<u8>)> =
        statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?))).and_then(Iterator::collect).expect("rows");
    for number in 0..12 {
        let (key, _) = rows
            .iter()
            .find(|(_, data)| data.starts_with(format!("From: a{number}@example.org").as_bytes()))
            .expect("the message");
        let key: serde_json::Value = serde_json::from_str(key).expect("JSON");
        let expected = expected_match(number);
        assert_eq!(key["m"], expected["m"]);
        assert!(expected["f"].as_array().expect("both spellings of UTC").contains(&key["f"]), "{key}");
    }
    assert!(rows.iter().any(|(key, _)| key.contains("\"mbox@x\"")), "Message-IDs are in lower case");
    let task: i64 = conn.query_row("SELECT count(*) FROM calendar_events WHERE data_type = 'Task' AND json_extract(data, '$.\"@type\"') = 'Task' AND json_extract(data, '$.uid') = 't1'", [], |row| row.get(0)).expect("a number");
    assert_eq!(task, 1);
    let card: i64 = conn.query_row("SELECT count(*) FROM contact_cards WHERE uid = 'c1' AND json_extract(data, '$.\"@type\"') = 'Card' AND json_extract(data, '$.uid') IS NULL", [], |row| row.get(0)).expect("a number");
    assert_eq!(card, 1, "the uid of a card stands in its column");
}

fn satisfies_1x(archive: &Path) {
    let conn = Connection::open(archive).expect("it opens");
    for line in COLUMNS.trim().lines() {
        let (table, expected) = line.split_once(": ").expect("a table");
        let mut statement = conn
            .prepare("SELECT name, type, \"notnull\", dflt_value, pk FROM pragma_table_info(?1)")
            .expect("a pragma");
        let columns: Vec<String> = statement
            .query_map([table], |row| {
                Ok(format!(
                    "{} {} {} {} {}",
                    row.get::<_, String>(0)?,
                    row.get::<_, String>(1)?,
                    row.get::<_, i64>(2)?,
                    row.get::<_, Option<String>>(3)?.unwrap_or_else(|| "-".to_owned()),
                    row.get::<_, i64>(4)?
                ))
            })
            .and_then(Iterator::collect)
            .expect("columns");
        assert_eq!(columns.join(", "), expected, "{table}");
    }
    for (table, references) in [
        ("mailboxes", "mailboxes"),
        ("emails", "blobs"),
        ("sieve_scripts", "blobs"),
        ("file_nodes", "file_nodes"),
        ("file_nodes", "blobs"),
    ] {
        let count: i64 = conn
            .query_row(
                "SELECT count(*) FROM pragma_foreign_key_list(?1) WHERE \"table\" = ?2",
                [table, references],
                |row| row.get(0),
            )
            .expect("a number");
        assert_eq!(count, 1, "{table} refers to {references}");
    }
    for statement in [
        "INSERT INTO mailboxes (name, parent_id) SELECT name, parent_id FROM mailboxes WHERE parent_id IS NOT NULL LIMIT 1",
        "INSERT INTO emails (blob_id, received_at, mailbox_ids) VALUES (1, '', 'no json')",
        "INSERT INTO emails (blob_id, received_at, mailbox_ids) VALUES (999999, '', '[]')",
        "INSERT INTO calendar_events (calendar_ids, data, data_type) VALUES ('[]', '{}', 'Other')",
        "INSERT INTO calendars (name, include_in_availability) VALUES ('x', 'some')",
        "INSERT INTO file_nodes (node_type, name, created) VALUES ('pipe', 'x', '')",
        "INSERT INTO sieve_scripts (name, is_active, blob_id) VALUES ('x1', 1, 1), ('x2', 1, 1)",
        "INSERT INTO contact_cards (uid, address_book_ids, data) VALUES ('x', '[]', '{}'), ('x', '[]', '{}')",
        "INSERT INTO sources (kind, session_url, account_id, username) VALUES ('other', '', '', '')",
        "DELETE FROM mailboxes WHERE id IN (SELECT parent_id FROM mailboxes)",
    ] {
        conn.execute_batch("PRAGMA foreign_keys = ON; BEGIN").expect("a transaction");
        assert!(conn.execute(statement, []).is_err(), "a constraint of 1.x is missing: {statement}");
        conn.execute_batch("ROLLBACK").expect("a transaction");
    }
    let broken: i64 =
        conn.query_row("SELECT count(*) FROM pragma_foreign_key_check", [], |row| row.get(0)).expect("a number");
    assert_eq!(broken, 0, "foreign keys");
    let odd: i64 = conn
        .query_row(
            "SELECT (SELECT count(*) FROM emails WHERE json_type(mailbox_ids) <> 'array' OR json_type(keywords) <> 'array' OR json_type(message_match) <> 'object')
                  + (SELECT count(*) FROM emails, json_each(mailbox_ids) j WHERE j.type <> 'integer' OR j.value NOT IN (SELECT id FROM mailboxes))
                  + (SELECT count(*) FROM emails, json_each(keywords) j WHERE j.type <> 'text')
                  + (SELECT count(*) FROM emails WHERE received_at NOT GLOB '????-??-??T??:??:??*Z')
                  + (SELECT count(*) FROM contact_cards WHERE json_type(address_book_ids) <> 'array' OR json_type(data) <> 'object')
                  + (SELECT count(*) FROM calendar_events WHERE json_type(calendar_ids) <> 'array' OR json_type(data) <> 'object')
                  + (SELECT count(*) FROM mailboxes WHERE role <> lower(role))
                  + (SELECT count(*) FROM (SELECT role FROM mailboxes WHERE role IS NOT NULL GROUP BY role HAVING count(*) > 1))",
            [],
            |row| row.get(0),
        )
        .expect("a number");
    assert_eq!(odd, 0, "JSON columns");
    let mut statement = conn.prepare("SELECT hash, data FROM blobs").expect("rows");
    let mut rows = statement.query([]).expect("rows");
    while let Some(row) = rows.next().expect("a row") {
        let (hash, data): (Vec<u8>, Vec<u8>) = (row.get(0).expect("a hash"), row.get(1).expect("bytes"));
        assert_eq!(hash, blake3::hash(&data).as_bytes());
    }
}

/// 1.x opens our archive, changes its content tables behind our back and collects blobs.
#[test]
fn after_a_run_of_1x_we_go_on_and_our_history_stands() {
    let dir = tempfile::tempdir().expect("a directory");
    let archive = dir.path().join("a.sqlite");
    let mail = maildir(&dir.path().join("mail"), 12, 50);
    let first_import = || ok(&["import", "maildir", text(&mail), text(&archive)]);
    first_import();
    // A message that goes has a history of ours.
    let gone = fs::read_dir(mail.join("cur"))
        .expect("a folder")
        .map(|entry| entry.expect("an entry").path())
        .max()
        .expect("a message");
    let gone_bytes = fs::read(&gone).expect("a message");
    let first = tree(&archive, "1");
    fs::remove_file(&gone).expect("gone");
    first_import();
    let second = tree(&archive, "2");
    assert!(second.len() < first.len() && tree(&archive, "1") == first);
    {
        let conn = v1::open(&archive);
        let blob = v1::blob(&conn, b"From: new@x\r\n\r\nby 1.x\r\n");
        conn.execute(
            "INSERT INTO emails (blob_id, received_at, mailbox_ids) VALUES (?1, '2025-05-12T10:00:00Z', '[1]')",
            params![blob],
        )
        .expect("a new message");
        conn.execute("UPDATE emails SET keywords = '[\"$flagged\"]' WHERE id = 2", []).expect("a change");
        conn.execute("DELETE FROM emails WHERE id = 3", []).expect("a removal");
        conn.execute("INSERT INTO mailboxes (name) VALUES ('By 1.x')", []).expect("a mailbox");
        // With foreign keys on, what our history refers to stays; where it does not, 1.x only warns.
        let _ = conn.execute(v1::GC, []);
    }
    let before = listing(dir.path());
    for command in [&["inspect"][..], &["ls", "-R"], &["snapshots"], &["verify"]] {
        let output = vandelay().args(command).arg(&archive).output().expect("it runs");
        assert_eq!(
            calm(&output, "after 1.x"),
            0,
            "{command:?}: {}{}",
            String::from_utf8_lossy(&output.stdout),
            String::from_utf8_lossy(&output.stderr)
        );
    }
    assert_eq!(listing(dir.path()), before);
    let now = tree(&archive, "latest");
    assert!(now.values().any(|bytes| bytes == b"From: new@x\r\n\r\nby 1.x\r\n"), "what 1.x added is seen at once");
    assert!(now.contains_key("mail/By 1.x/"));
    assert!(!now.keys().any(|path| path.contains(".3.vandelay,")), "what 1.x removed is gone");
    assert!(tree(&archive, "1").values().any(|bytes| *bytes == gone_bytes), "what we keep of the past is still there");
    first_import();
    ok(&["verify", text(&archive)]);
    mailbox_notes_are_true(&archive);
    satisfies_1x(&archive);
    let after = tree(&archive, "latest");
    assert!(after.values().any(|bytes| bytes == b"From: new@x\r\n\r\nby 1.x\r\n"), "our import leaves what 1.x added");
    assert_eq!(
        after.values().filter(|bytes| **bytes == message(2)).count(),
        second.values().filter(|bytes| **bytes == message(2)).count(),
        "what 1.x removed comes again from the source"
    );
    for (path, bytes) in tree(&archive, "1").iter().filter(|(path, _)| path.contains(".vandelay,")) {
        assert!(first.values().any(|old| old == bytes), "{path}: snapshot 1 shows nothing that was not there");
    }
    assert!(tree(&archive, "1").values().any(|bytes| *bytes == gone_bytes));
    first_import();
    ok(&["verify", text(&archive)]);
    assert_eq!(tree(&archive, "latest"), after, "then nothing changes any more");
}

#[test]
fn a_newer_archive_is_refused_and_left_alone() {
    let dir = tempfile::tempdir().expect("a directory");
    let mail = maildir(&dir.path().join("mail"), 2, 50);
    let place = dir.path().join("place");
    fs::create_dir(&place).expect("a directory");
    let archive = place.join("a.sqlite");
    ok(&["import", "maildir", text(&mail), text(&archive)]);
    let refused = |what: &str| {
        let before = digest(&archive);
        for arguments in [
            &["import", "maildir", text(&mail), text(&archive)][..],
            &["inspect", text(&archive)],
            &["verify", text(&archive)],
            &["ls", text(&archive)],
            &["cat", text(&archive), "identities.json"],
            &["snapshots", text(&archive)],
            &["forget", text(&archive), "--keep-last", "1"],
            &["mount", text(&archive), text(&mail)],
        ] {
            let said = fails(arguments, 1);
            if arguments[0] != "mount" {
                assert!(said.contains("newer version"), "{what}: {arguments:?}: {said}");
            }
            assert_eq!(digest(&archive), before, "{what}: {arguments:?}: byte for byte as it was");
        }
    };
    // First with the version only in the log, as right after an upgrade that was killed.
    let held = Connection::open(&archive).expect("it opens");
    held.execute_batch("PRAGMA wal_autocheckpoint = 0; PRAGMA user_version = 99;").expect("a version");
    refused("in the log");
    drop(held);
    refused("in the header");
    let mut names: Vec<String> = fs::read_dir(&place)
        .expect("a directory")
        .map(|entry| entry.expect("an entry").file_name().into_string().expect("a name"))
        // The import that made it keeps an index of searches.
        .filter(|name| !name.ends_with(".search"))
        .collect();
    names.sort();
    assert_eq!(names, ["a.sqlite"], "nothing lies beside it");
}

/// The archives that the program wrote with each of its formats open for ever. VANDELAY_WRITE_COMPAT makes the one of the
/// present format anew, which only a new file for a new format has reason to.
#[test]
fn archives_of_all_formats_open_for_ever() {
    let kept = |format: i64| Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("tests/compat/v{format}.sqlite"));
    let version = |archive: &Path| -> i64 {
        let conn = Connection::open(archive).expect("it opens");
        conn.query_row("SELECT user_version FROM pragma_user_version", [], |row| row.get(0)).expect("a number")
    };
    let dir = tempfile::tempdir().expect("a directory");
    if std::env::var_os("VANDELAY_WRITE_COMPAT").is_some() {
        let mail = maildir(&dir.path().join("made"), 12, 50);
        let made = dir.path().join("made.sqlite");
        ok(&["import", "maildir", text(&mail), text(&made)]);
        fs::remove_dir_all(mail.join(".Work")).expect("a folder");
        fs::rename(mail.join("cur/1600000001.M1P1.host:2,S"), mail.join("cur/1600000001.M1P1.host:2,FS"))
            .expect("a flag");
        ok(&["import", "maildir", text(&mail), text(&made)]);
        fs::copy(&made, kept(version(&made))).expect("a copy");
    }
    for format in [1, 2] {
        let what = format!("format {format}");
        let place = dir.path().join(format!("of-{format}"));
        fs::create_dir(&place).expect("a directory");
        let archive = place.join("a.sqlite");
        fs::copy(kept(format), &archive).expect("an archive of each format");
        assert_eq!(version(&archive), format);
        let shown = readable(&archive, &what, 0);
        assert_eq!(shown.keys().filter(|path| path.contains(".vandelay,")).count(), 10, "{what}");
        let (first, second) = (tree(&archive, "1"), tree(&archive, "2"));
        assert_eq!(first.keys().filter(|path| path.contains(".vandelay,")).count(), 12, "{what}");
        for number in 0..12 {
            assert!(first.values().any(|bytes| *bytes == message(number)), "{what}: message {number}");
        }
        let name = |flags: &str| format!("mail/INBOX/cur/1600000001.2.vandelay,S={}:2,{flags}", message(1).len());
        assert_eq!(first.get(&name("S")), Some(&message(1)), "{what}");
        assert_eq!(shown.get(&name("FS")), Some(&message(1)), "{what}");
        // And it goes on from there, as an archive of the present format.
        let mail = maildir(&place.join("mail"), 12, 50);
        ok(&["import", "maildir", text(&mail), text(&archive), "--allow-source-change"]);
        assert_eq!(version(&archive), 2, "{what}");
        let output = run(&["verify", text(&archive)]);
        assert_eq!(calm(&output, &what), 0, "{what}: {}", String::from_utf8_lossy(&output.stdout));
        assert!(
            !String::from_utf8_lossy(&output.stdout).contains("digests of its rows"),
            "{what}: its rows are proved"
        );
        assert!(tree(&archive, "1") == first && tree(&archive, "2") == second, "{what}: it shows what it showed");
    }
}

/// Makes an archive what 1.x would have left: none of our tables, its own of what came from where.
fn as_1x_left_it(archive: &Path) {
    let conn = Connection::open(archive).expect("it opens");
    conn.execute_batch(
        "CREATE TABLE sync_id_maildir (source_id INTEGER, type_name TEXT, folder TEXT, unique_id TEXT, local_id INTEGER);
         INSERT INTO sync_id_maildir SELECT s.id, 'email', '', e.id, e.id FROM emails e, sources s WHERE s.kind = 'maildir';
         PRAGMA application_id = 0; PRAGMA user_version = 0; CREATE INDEX blobs_hash_idx ON blobs(hash);
         DROP TABLE history; DROP TABLE since; DROP TABLE originals; DROP TABLE origins; DROP TABLE scopes;
         DROP TABLE snapshots; DROP TABLE email_index; DROP TABLE mailbox_keywords; DROP TABLE mailbox_state;
         DROP TABLE blob_chunks; DROP TABLE large_blobs; DROP TABLE last_ids;",
    )
    .expect("an archive of 1.x");
}

/// Of what 1.x imported no more leaves than the guard allows.
#[test]
fn an_emptied_maildir_does_not_remove_what_1x_imported() {
    let dir = tempfile::tempdir().expect("a directory");
    let mail = maildir(&dir.path().join("mail"), 240, 50);
    let archive = dir.path().join("a.sqlite");
    ok(&["import", "maildir", text(&mail), text(&archive)]);
    as_1x_left_it(&archive);
    let count = || -> i64 {
        let conn = Connection::open(&archive).expect("it opens");
        conn.query_row("SELECT count(*) FROM emails", [], |row| row.get(0)).expect("a number")
    };
    assert_eq!(count(), 240);
    let mut gone = 0;
    for entry in fs::read_dir(mail.join("cur")).expect("a folder").skip(5) {
        fs::remove_file(entry.expect("an entry").path()).expect("gone");
        gone += 1;
    }
    assert!(gone > 60, "{gone}");
    let said = common::fails(&["import", "maildir", text(&mail), text(&archive)], 5);
    assert!(said.contains(&format!("{gone} objects that 1.x imported are not at the source")), "{said}");
    assert!(said.contains("--max-delete 100%"), "{said}");
    assert_eq!(count(), 240);
    ok(&["import", "maildir", text(&mail), text(&archive), "--max-delete", "100%"]);
    assert_eq!(count(), 240 - gone);
}

/// What 1.x imported is recognised by the first import of ours: nothing stands twice, no id changes, and what is gone at
/// the source leaves the current state.
#[test]
fn what_1x_imported_is_adopted() {
    let dir = tempfile::tempdir().expect("a directory");
    let mail = maildir(&dir.path().join("mail"), 12, 50);
    let takeout = dir.path().join("takeout");
    fs::create_dir_all(&takeout).expect("a directory");
    let event =
        |uid: &str| format!("BEGIN:VEVENT\r\nUID:{uid}\r\nDTSTART:20260101T120000Z\r\nSUMMARY:{uid}\r\nEND:VEVENT\r\n");
    let calendar = format!("BEGIN:VCALENDAR\r\nVERSION:2.0\r\n{}{}END:VCALENDAR\r\n", event("one"), event("two"));
    fs::write(takeout.join("c.ics"), calendar).expect("a calendar");
    fs::write(takeout.join("c.vcf"), "BEGIN:VCARD\r\nVERSION:3.0\r\nUID:card\r\nFN:A B\r\nEND:VCARD\r\n")
        .expect("a card");
    let archive = dir.path().join("a.sqlite");
    let import = || {
        (
            common::json(&["import", "maildir", text(&mail), text(&archive), "--json"]),
            common::json(&["import", "takeout", text(&takeout), text(&archive), "--json"]),
        )
    };
    import();
    let ids = |what: &str| -> Vec<i64> {
        let conn = Connection::open(&archive).expect("it opens");
        let mut statement = conn.prepare(&format!("SELECT id FROM {what} ORDER BY id")).expect("SQL");
        let rows = statement.query_map([], |row| row.get(0)).expect("rows");
        rows.collect::<Result<_, _>>().expect("numbers")
    };
    let before = ["emails", "calendar_events", "contact_cards", "mailboxes", "calendars", "address_books"]
        .map(|what| (what, ids(what)));
    as_1x_left_it(&archive);
    let gone = fs::read_dir(mail.join("cur")).expect("a folder").next().expect("a message").expect("an entry").path();
    fs::remove_file(gone).expect("a message");
    let (maildir_report, takeout_report) = import();
    assert_eq!(maildir_report["types"]["email"]["new"], 0);
    assert_eq!(takeout_report["types"]["calendarevent"]["new"], 0);
    assert_eq!(takeout_report["types"]["contactcard"]["new"], 0);
    for (what, old) in before {
        let now = ids(what);
        assert!(now.iter().all(|id| old.contains(id)), "{what}: {now:?} of {old:?}");
        assert_eq!(now.len(), old.len() - usize::from(what == "emails"), "{what}");
    }
    ok(&["verify", text(&archive)]);
    let (again, _) = import();
    assert_eq!(again["types"]["email"]["unchanged"], 11);
}

/// The format of Vandelay 2.0 is not known here: whatever has other tables may be of it, and the error says so.
#[test]
fn a_database_of_another_kind_is_told_apart() {
    let dir = tempfile::tempdir().expect("a directory");
    let mail = dir.path().join("Maildir");
    deliver(&mail, "1700000000.a:2,S", &message(1));
    for (name, sql, code) in [
        (
            "tables.sqlite",
            "CREATE TABLE messages (id INTEGER PRIMARY KEY); CREATE VIEW all_messages AS SELECT * FROM messages",
            10,
        ),
        ("other.sqlite", "PRAGMA application_id = 7; CREATE TABLE messages (id)", 10),
        ("versioned.sqlite", "PRAGMA user_version = 75; CREATE TABLE messages (id)", 1),
    ] {
        let archive = dir.path().join(name);
        rusqlite::Connection::open(&archive).and_then(|conn| conn.execute_batch(sql)).expect("a database");
        let before = fs::read(&archive).expect("a file");
        for command in [
            &["inspect", text(&archive)][..],
            &["ls", text(&archive)],
            &["snapshots", text(&archive)],
            &["verify", text(&archive)],
            &["import", "maildir", text(&mail), text(&archive)],
        ] {
            let said = fails(command, code);
            assert!(
                said.contains("is not a vandelay archive: it is a SQLite database of another kind"),
                "{name} {command:?}: {said}"
            );
            assert!(
                said.contains("Vandelay 2.0 or later, which this program does not read"),
                "{name} {command:?}: {said}"
            );
        }
        assert!(fs::read(&archive).expect("a file") == before, "{name}");
    }
}
