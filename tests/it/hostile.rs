//! Archives from strangers: whatever stands in the file, readers end in time, in little memory, and never panic.

use crate::common::*;
use rusqlite::{Connection, params};
use std::fs;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Output, Stdio};
use std::time::{Duration, Instant};
use v1::Variant;

fn text(path: &Path) -> &str {
    path.to_str().expect("a path in UTF-8")
}

/// Address space that a reader may take: enough for its libraries and caches, too little to follow a lying length.
const ADDRESSES: u64 = 4 << 30;

/// Runs the program with bounded memory; it must end within `limit`, with an exit code of its own.
fn bounded(arguments: &[&str], limit: Duration, what: &str) -> Output {
    let dir = tempfile::tempdir().expect("a directory");
    let (out, err) = (dir.path().join("out"), dir.path().join("err"));
    let mut command = vandelay();
    command
        .args(arguments)
        .stdout(fs::File::create(&out).expect("a file"))
        .stderr(fs::File::create(&err).expect("a file"))
        .stdin(Stdio::null());
    // SAFETY: setrlimit is safe to call between fork and exec.
    unsafe {
        command.pre_exec(|| {
            let limit = libc::rlimit { rlim_cur: ADDRESSES, rlim_max: ADDRESSES };
            libc::setrlimit(libc::RLIMIT_AS, &limit);
            Ok(())
        })
    };
    let mut child = command.spawn().expect("it starts");
    let started = Instant::now();
    let status = loop {
        if let Some(status) = child.try_wait().expect("a child") {
            break status;
        }
        if started.elapsed() > limit {
            let _ = child.kill();
            let _ = child.wait();
            panic!("{what}: {arguments:?} does not end within {limit:?}");
        }
        std::thread::sleep(Duration::from_millis(1));
    };
    let output =
        Output { status, stdout: fs::read(out).expect("its output"), stderr: fs::read(err).expect("its errors") };
    calm(&output, &format!("{what}: {arguments:?}"));
    output
}

/// Runs all readers over an archive; none may misbehave. Gives the exit code of `verify`.
fn survive(archive: &Path, what: &str) -> Option<i32> {
    let limit = Duration::from_secs(if soak() { 10 } else { 30 });
    bounded(&["inspect", text(archive)], limit, what);
    let listed = bounded(&["ls", "-R", text(archive), "--json"], limit, what);
    let files: Vec<String> = String::from_utf8_lossy(&listed.stdout)
        .lines()
        .filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok())
        .filter(|line| line["file_type"] == "file")
        .filter_map(|line| line["path"].as_str().map(str::to_owned))
        .collect();
    for path in files.iter().step_by(files.len() / 6 + 1) {
        bounded(&["cat", text(archive), path], limit, what);
    }
    bounded(&["verify", text(archive)], limit, what).status.code()
}

/// An archive of ours with everything in it: messages, events, cards, files, a history.
fn rich(dir: &Path) -> PathBuf {
    let archive = dir.join("rich.sqlite");
    v1::write(&archive, &Variant::default());
    let mail = maildir(&dir.join("mail"), 20, 600);
    let import = || ok(&["import", "maildir", text(&mail), text(&archive)]);
    import();
    fs::remove_dir_all(mail.join(".Work")).expect("gone");
    import();
    archive
}

/// Bytes changed at random, in the whole file, in its header, and in the text of its schema.
#[test]
fn mutated_archives_confuse_nobody() {
    let dir = tempfile::tempdir().expect("a directory");
    let good = fs::read(rich(dir.path())).expect("the archive");
    let archive = dir.path().join("mutated.sqlite");
    let mut dice = Dice(1);
    for round in 0..if soak() { 100_000 } else { 100 } {
        let mut bytes = good.clone();
        // The first pages hold the schema and the roots: more of them is hit than of the rest.
        let reach = match dice.below(4) {
            0 => 100,
            1 => 20_000.min(bytes.len()),
            _ => bytes.len(),
        };
        for _ in 0..=dice.below(20) {
            let at = dice.below(reach);
            match dice.below(4) {
                0 => bytes[at] ^= 1 << dice.below(8),
                1 => bytes[at] = dice.roll() as u8,
                2 => bytes[at] = [0, 0xff, 0x7f, 0x80][dice.below(4)],
                // A piece of another place: page numbers that point where they should not.
                _ => {
                    let (from, length) = (dice.below(good.len() - 64), dice.below(64));
                    let end = (at + length).min(bytes.len());
                    let part = good[from..from + (end - at)].to_vec();
                    bytes[at..end].copy_from_slice(&part);
                }
            }
        }
        fs::write(&archive, &bytes).expect("an archive");
        survive(&archive, &format!("round {round}"));
    }
}

/// A schema that holds more than tables and indexes is refused by readers and writers alike.
#[test]
fn schemas_that_could_act_are_refused() {
    let dir = tempfile::tempdir().expect("a directory");
    let master = rich(dir.path());
    let mail = maildir(&dir.path().join("mail2"), 1, 10);
    for sql in [
        "CREATE VIEW odd AS SELECT 1",
        "CREATE TRIGGER odd AFTER INSERT ON emails BEGIN DELETE FROM emails; END",
        "CREATE VIRTUAL TABLE odd USING fts5(x)",
        "CREATE VIRTUAL TABLE odd USING rtree(id, a, b)",
        "ALTER TABLE emails ADD COLUMN odd GENERATED ALWAYS AS (hex(received_at)) VIRTUAL",
        "ALTER TABLE blobs ADD COLUMN odd GENERATED ALWAYS AS (length(data)) VIRTUAL",
        "ALTER TABLE emails RENAME TO real_emails; CREATE VIEW emails AS SELECT * FROM real_emails",
        "ALTER TABLE mailboxes RENAME TO real_mailboxes; CREATE TABLE mailboxes (id INTEGER PRIMARY KEY, name TEXT AS (printf('%.*c', 1000000000, 'x')), parent_id, role, sort_order, is_subscribed)",
    ] {
        let archive = dir.path().join("odd.sqlite");
        fs::copy(&master, &archive).expect("a copy");
        let conn = Connection::open(&archive).expect("it opens");
        conn.execute_batch(&format!("PRAGMA legacy_alter_table = ON; {sql};"))
            .unwrap_or_else(|error| panic!("{sql}: {error}"));
        drop(conn);
        let before = digest(&archive);
        for arguments in [
            &["inspect", text(&archive)][..],
            &["verify", text(&archive)],
            &["ls", "-R", text(&archive)],
            &["cat", text(&archive), "identities.json"],
            &["snapshots", text(&archive)],
            &["forget", text(&archive), "--keep-last", "1"],
            &["import", "maildir", text(&mail), text(&archive), "--allow-source-change"],
        ] {
            let output = run(arguments);
            assert_eq!(calm(&output, sql), 10, "{sql}: {arguments:?}");
            assert!(String::from_utf8_lossy(&output.stderr).contains("refused"), "{sql}: {arguments:?}");
        }
        assert_eq!(digest(&archive), before, "{sql}");
    }
}

/// What somebody does to an archive.
type Change = Box<dyn Fn(&Connection)>;

/// Tables of 1.x with `change` on top, without the constraints that would keep it out.
fn twisted(dir: &Path, change: impl FnOnce(&Connection)) -> PathBuf {
    let archive = dir.join("twisted.sqlite");
    v1::write(&archive, &Variant::default());
    let conn = Connection::open(&archive).expect("it opens");
    conn.execute_batch("PRAGMA foreign_keys = OFF; PRAGMA ignore_check_constraints = ON; BEGIN")
        .expect("no constraints");
    change(&conn);
    conn.execute_batch("COMMIT").expect("a commit");
    archive
}

/// An archive with links that lead out of it, and with these names wherever something has a name.
fn full_of_links_and(names: &[&str], dir: &Path) -> PathBuf {
    twisted(dir, |conn| {
        for (number, target) in [
            "[\"..\",\"..\",\"..\",\"etc\",\"shadow\"]",
            "[\"\",\"etc\",\"shadow\"]",
            "[\"/etc/shadow\"]",
            "[\"a/../../../..\"]",
            "\"/etc/shadow\"",
            "[\"..\\u0000\"]",
            "[]",
            "{}",
        ]
        .iter()
        .enumerate()
        {
            conn.execute("INSERT INTO file_nodes (parent_id, node_type, target, name, created) VALUES (1, 'symlink', ?1, ?2, '')", params![target, format!("out{number}")]).expect("a link");
        }
        for name in names {
            conn.execute("INSERT INTO mailboxes (name) VALUES (?1)", [name]).expect("a mailbox");
            conn.execute("INSERT OR IGNORE INTO sieve_scripts (name, blob_id) VALUES (?1, 8)", [name])
                .expect("a script");
            conn.execute("INSERT INTO contact_cards (uid, address_book_ids, data) VALUES (?1, '[1]', '{}')", [name])
                .expect("a card");
            conn.execute("INSERT INTO calendars (name) VALUES (?1)", [name]).expect("a calendar");
            conn.execute(
                "INSERT INTO file_nodes (parent_id, node_type, name, created) VALUES (1, 'directory', ?1, '')",
                [name],
            )
            .expect("a directory");
        }
    })
}

/// A copy that follows all links has nothing that lies outside of the tree.
fn copies_nothing_from_outside(from: &Path, copy: &Path) {
    let shadow = fs::read("/etc/shadow").unwrap_or_default();
    // Links that dangle make cp complain; what counts is what it copied.
    std::process::Command::new("cp").args(["-rL"]).arg(from).arg(copy).output().expect("cp runs");
    let mut stack = vec![copy.to_owned()];
    while let Some(at) = stack.pop() {
        for entry in fs::read_dir(at).expect("a directory").map(|entry| entry.expect("an entry")) {
            if entry.file_type().expect("a type").is_dir() {
                stack.push(entry.path());
            } else if !shadow.is_empty() {
                assert!(fs::read(entry.path()).expect("a file") != shadow, "{} leads out", entry.path().display());
            }
        }
    }
}

/// Links lead nowhere outside, names are safe, in the tree and when it is copied out.
#[test]
fn links_and_names_do_not_leave_the_tree() {
    let dir = tempfile::tempdir().expect("a directory");
    let long = "x".repeat(4_000);
    let names = [
        "../../etc/passwd",
        "/etc/shadow",
        "..",
        ".",
        "",
        "a\u{0}b",
        "-rf",
        "line\nbreak",
        "\u{202e}txt.exe",
        "con",
        "a/b",
        &long,
        "\u{1b}[31m",
        "trailing. ",
        "cur",
        "Caf\u{e9}",
        "Cafe\u{301}",
    ];
    let archive = full_of_links_and(&names, dir.path());
    survive(&archive, "names");
    let shown = tree(&archive, "latest");
    for path in shown.keys() {
        for part in path.trim_end_matches('/').split('/') {
            assert!(
                !matches!(part, "" | "." | "..") && part.len() <= 255 && !part.chars().any(char::is_control),
                "{path:?}"
            );
        }
    }
    for (folder, count) in
        [("mail/", names.len() + 6), ("calendars/", names.len() + 1), ("files/Documents/", names.len())]
    {
        let found = shown
            .keys()
            .filter(|path| {
                path.strip_prefix(folder)
                    .and_then(|rest| rest.strip_suffix('/'))
                    .is_some_and(|rest| !rest.contains('/'))
            })
            .count();
        assert!(found >= count, "{folder}: {found} of {count} are there");
    }
    let into = dir.path().join("out/inner");
    let output = run(&["extract", text(&archive), "-C", text(&into)]);
    assert!([0, 5].contains(&calm(&output, "extract")), "{}", String::from_utf8_lossy(&output.stderr));
    let outside: Vec<_> = fs::read_dir(dir.path().join("out"))
        .expect("a directory")
        .map(|entry| entry.expect("an entry").file_name())
        .collect();
    assert_eq!(outside, ["inner"], "nothing is written outside");
    copies_nothing_from_outside(&into, &dir.path().join("copy"));
}

/// Cycles, depth and equal names stay bounded.
#[test]
fn cycles_depth_and_equal_names_are_bounded() {
    let (depth, twins) = if soak() { (100_000, 1_000_000) } else { (3_000, 20_000) };
    let cases: [(&str, Change); 5] = [
        (
            "mailbox cycles",
            Box::new(|conn: &Connection| {
                conn.execute_batch("UPDATE mailboxes SET parent_id = id WHERE id = 1; UPDATE mailboxes SET parent_id = 7 WHERE id = 6; UPDATE mailboxes SET parent_id = 99 WHERE id = 8").expect("cycles");
            }),
        ),
        (
            "file cycles",
            Box::new(|conn: &Connection| {
                conn.execute_batch("INSERT INTO file_nodes (id, parent_id, node_type, name, created) VALUES (10, 11, 'directory', 'a', ''), (11, 10, 'directory', 'b', ''), (12, 2, 'file', 'below a file', '')").expect("cycles");
            }),
        ),
        (
            "deep mailboxes",
            Box::new(move |conn: &Connection| {
                conn.execute("WITH RECURSIVE n(i) AS (SELECT 101 UNION ALL SELECT i + 1 FROM n WHERE i < 100 + ?1) INSERT INTO mailboxes (id, name, parent_id) SELECT i, 'm', CASE WHEN i > 101 THEN i - 1 END FROM n", [depth]).expect("depth");
            }),
        ),
        (
            "deep files",
            Box::new(move |conn: &Connection| {
                conn.execute("WITH RECURSIVE n(i) AS (SELECT 101 UNION ALL SELECT i + 1 FROM n WHERE i < 100 + ?1) INSERT INTO file_nodes (id, name, node_type, created, parent_id) SELECT i, 'd', 'directory', '', CASE WHEN i > 101 THEN i - 1 END FROM n", [depth]).expect("depth");
            }),
        ),
        (
            "equal names",
            Box::new(move |conn: &Connection| {
                conn.execute("WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ?1) INSERT INTO file_nodes (name, node_type, created, blob_id) SELECT 'same', 'file', '', 1 FROM n", [twins]).expect("twins");
            }),
        ),
    ];
    for (what, change) in cases {
        let dir = tempfile::tempdir().expect("a directory");
        let archive = twisted(dir.path(), change);
        let started = Instant::now();
        let code = survive(&archive, what);
        assert!(soak() || started.elapsed() < Duration::from_secs(40), "{what} took {:?}", started.elapsed());
        if what.ends_with("cycles") {
            assert_eq!(code, Some(8), "{what}: verify says so");
        }
        let listed = ok(&["ls", text(&archive), "files"]);
        if what == "equal names" {
            let names: std::collections::BTreeSet<&str> = listed.lines().collect();
            assert_eq!(names.len(), twins as usize + 1, "each of the equal names is there once");
        }
    }
}

/// A change that is nothing but SQL.
fn sql(text: &'static str) -> Change {
    Box::new(move |conn| conn.execute_batch(text).expect(text))
}

/// `verify` flags each of these changes, and everything else is listed.
fn are_flagged(cases: Vec<(&str, Change)>) {
    for (what, change) in cases {
        let dir = tempfile::tempdir().expect("a directory");
        let archive = twisted(dir.path(), change);
        let code = survive(&archive, what);
        assert_eq!(code, Some(8), "{what}: verify flags it");
        let listed = bounded(&["ls", "-R", text(&archive)], Duration::from_secs(30), what);
        assert_eq!(listed.status.code(), Some(0), "{what}: listing works: {}", String::from_utf8_lossy(&listed.stderr));
        let others = String::from_utf8_lossy(&listed.stdout).lines().filter(|path| path.contains(".vandelay,")).count();
        assert!(others >= 5, "{what}: the other messages are there, {others}");
    }
}

#[test]
fn lying_blobs_are_flagged_and_listing_works() {
    are_flagged(vec![
        ("wrong hash", sql("UPDATE blobs SET hash = zeroblob(32) WHERE id = 2")),
        ("short hash", sql("UPDATE blobs SET hash = x'00' WHERE id = 2")),
        ("text for a hash", sql("UPDATE blobs SET hash = 'text' WHERE id = 2")),
        ("text for bytes", sql("UPDATE blobs SET data = 'text' WHERE id = 2")),
        ("a number for bytes", sql("UPDATE blobs SET data = 12 WHERE id = 2")),
        ("no such blob", sql("UPDATE emails SET blob_id = 9999 WHERE id = 2")),
        ("negative blob", sql("UPDATE emails SET blob_id = -9223372036854775808 WHERE id = 2")),
        ("text for a blob", sql("UPDATE emails SET blob_id = 'one' WHERE id = 2")),
    ]);
}

/// Numbers, texts and dates that are none.
#[test]
fn lying_numbers_and_texts_are_flagged_and_listing_works() {
    are_flagged(vec![
        (
            "negative ids",
            sql(
                "UPDATE emails SET id = -5 WHERE id = 2; UPDATE mailboxes SET id = -9223372036854775808 WHERE id = 4; UPDATE emails SET id = -9223372036854775808 WHERE id = 3; UPDATE file_nodes SET id = -1 WHERE id = 2",
            ),
        ),
        (
            "huge ids",
            sql(
                "UPDATE emails SET id = 9223372036854775807 WHERE id = 2; UPDATE mailboxes SET id = 9223372036854775807 WHERE id = 5; UPDATE calendar_events SET id = 9223372036854775807 WHERE id = 1",
            ),
        ),
        (
            "odd mailbox ids",
            sql(
                "UPDATE emails SET mailbox_ids = '[-1, 0, 9223372036854775807, 1e300, \"1\", null, [], {}]' WHERE id = 2",
            ),
        ),
        ("bytes for JSON", sql("UPDATE emails SET mailbox_ids = x'ff00', keywords = 12 WHERE id = 2")),
        (
            "bytes for text",
            sql(
                "UPDATE mailboxes SET name = x'ff' WHERE id = 4; UPDATE emails SET received_at = x'ff' WHERE id = 2; UPDATE file_nodes SET name = 1.5 WHERE id = 2",
            ),
        ),
        (
            "broken UTF-8",
            sql(
                "UPDATE emails SET received_at = CAST(x'32ff80' AS TEXT) WHERE id = 2; UPDATE mailboxes SET name = CAST(x'ff80' AS TEXT) WHERE id = 4",
            ),
        ),
        (
            "odd dates",
            sql(
                "UPDATE emails SET received_at = '9999999999-99-99T99:99:99Z' WHERE id = 1; UPDATE emails SET received_at = '-009999-01-01T00:00:00Z' WHERE id = 2; UPDATE emails SET received_at = '' WHERE id = 3",
            ),
        ),
    ]);
}

#[test]
fn lying_json_is_flagged_and_listing_works() {
    let long = if soak() { 100_000_000 } else { 40_000_000 };
    let deep = |open: &str, close: &str| format!("{}{}", open.repeat(100_000), close.repeat(100_000));
    are_flagged(vec![
        (
            "long JSON",
            Box::new(move |conn| {
                conn.execute("UPDATE contact_cards SET data = '{\"a\":\"' || ?1 || '\"}'", ["x".repeat(long)])
                    .expect("JSON");
            }),
        ),
        (
            "long keywords",
            Box::new(move |conn| {
                conn.execute("UPDATE emails SET keywords = '[\"' || ?1 || '\"]' WHERE id = 2", ["x".repeat(long)])
                    .expect("JSON");
            }),
        ),
        (
            "deep arrays",
            Box::new(move |conn| {
                conn.execute("UPDATE emails SET mailbox_ids = ?1, keywords = ?1 WHERE id = 2", [deep("[", "]")])
                    .expect("JSON");
            }),
        ),
        (
            "deep objects",
            Box::new(move |conn| {
                conn.execute(
                    "UPDATE calendar_events SET data = ?1 WHERE id = 1",
                    [deep("{\"a\":", "}").replace(":}", ":1}")],
                )
                .expect("JSON");
                conn.execute("UPDATE contact_cards SET data = ?1", [deep("[", "]")]).expect("JSON");
            }),
        ),
        (
            "blobs in blobs",
            sql(
                "UPDATE contact_cards SET data = '{\"@blob\":-1,\"media\":{\"a\":{\"@blob\":9223372036854775807},\"b\":{\"@blob\":\"x\"},\"c\":{\"@blob\":1e99}}}'",
            ),
        ),
    ]);
}

/// What stands in our own tables may lie too.
#[test]
fn lying_rows_of_our_own_tables_are_survived() {
    for (what, sql) in [
        (
            "huge size",
            "INSERT OR REPLACE INTO large_blobs (blob_id, size) VALUES (1, 9223372036854775807); UPDATE blobs SET data = 'text' WHERE id = 1",
        ),
        (
            "negative size",
            "INSERT OR REPLACE INTO large_blobs (blob_id, size) VALUES (1, -5); UPDATE blobs SET data = 'text' WHERE id = 1",
        ),
        (
            "lying index",
            "UPDATE email_index SET size = 9223372036854775807, received = -9223372036854775808, links = -1",
        ),
        ("index of nothing", "UPDATE email_index SET email_id = email_id + 1000"),
        ("negative index", "UPDATE email_index SET email_id = -email_id"),
        ("odd flags", "UPDATE email_index SET flags = '../../x' || char(0) || '/'"),
        (
            "odd ranges",
            "INSERT OR REPLACE INTO originals (kind, id, blob_id, ranges) SELECT 'ContactCard', id, 1, '[[0,9223372036854775807],[5,1],[-1,3]]' FROM contact_cards",
        ),
        (
            "ranges that grow",
            "INSERT OR REPLACE INTO originals (kind, id, blob_id, ranges) SELECT 'ContactCard', id, 1, (WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 200000) SELECT json_group_array(json('[0,100]')) FROM n) FROM contact_cards",
        ),
        ("odd snapshots", "UPDATE snapshots SET ended = 'never', started = ''"),
        ("huge snapshot", "UPDATE snapshots SET id = 9223372036854775807 WHERE id = 2"),
        ("odd history", "UPDATE history SET fields = '[1]', last = first - 1"),
        (
            "huge history",
            "UPDATE history SET id = 9223372036854775807 - rowno FROM (SELECT 0 AS rowno) WHERE id = (SELECT min(id) FROM history)",
        ),
        (
            "odd state",
            "UPDATE mailbox_state SET emails = -1, bytes = -1, newest = 9223372036854775807, made = -1, changed = -1",
        ),
        (
            "odd letters",
            "INSERT OR REPLACE INTO mailbox_keywords (mailbox_id, letter, keyword) VALUES (1, -1, 'x'), (1, 99, 'y'), (1, 3, char(10) || '/')",
        ),
    ] {
        let dir = tempfile::tempdir().expect("a directory");
        let archive = rich(dir.path());
        let conn = Connection::open(&archive).expect("it opens");
        conn.execute_batch(&format!("PRAGMA foreign_keys = OFF; PRAGMA ignore_check_constraints = ON; {sql}"))
            .unwrap_or_else(|error| panic!("{what}: {error}"));
        drop(conn);
        survive(&archive, what);
        for at in ["1", "2"] {
            bounded(&["ls", "-R", text(&archive), "--at", at], Duration::from_secs(30), what);
        }
        bounded(&["snapshots", text(&archive)], Duration::from_secs(30), what);
        bounded(&["diff", text(&archive), "1", "latest"], Duration::from_secs(30), what);
        bounded(&["forget", text(&archive), "--keep-last", "1", "--dry-run"], Duration::from_secs(30), what);
    }
}
