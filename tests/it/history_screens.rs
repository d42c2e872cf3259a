//! `snapshots`, `forget` and `diff` as people see them, at 40, 80 and 120 columns; and snapshots that are dropped by number.

use crate::common::account::text;
use crate::common::{deliver, digest, fails, json, listed, message, ok, set_ends, tree, vandelay};
use crate::documents::golden;
use std::fs;
use std::path::{Path, PathBuf};
use unicode_width::UnicodeWidthStr;

/// What a command prints to stdout on a screen of this width.
fn on(columns: usize, arguments: &[&str]) -> String {
    let output = vandelay().env("COLUMNS", columns.to_string()).args(arguments).output().expect("it starts");
    assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    let shown = String::from_utf8_lossy(&output.stdout).into_owned();
    for line in shown.lines() {
        assert!(line.width() <= columns, "{columns} columns: {line}");
        assert!(!line.ends_with(' ') && !line.chars().any(char::is_control), "{line:?}");
    }
    shown
}

/// An archive of a Maildir and of cards, in which much happens between snapshots 3 and 5.
fn busy(dir: &Path) -> PathBuf {
    let (mail, archive) = (dir.join("mail"), dir.join("a.sqlite"));
    let import = || ok(&["-q", "import", "maildir", text(&mail), text(&archive)]);
    let mut at = Vec::new();
    for number in 1..=9 {
        let folder = if number < 5 { mail.clone() } else { mail.join(".Lists.integrity") };
        at.push(deliver(&folder, &format!("170000000{number}.M{number}.h:2,"), &message(number)));
    }
    import();
    let takeout = dir.join("takeout");
    fs::create_dir(&takeout).expect("a folder");
    fs::write(takeout.join("F.vcf"), "BEGIN:VCARD\r\nVERSION:3.0\r\nUID:c1\r\nFN:Jane\r\nN:Jane;;;;\r\nEND:VCARD\r\n")
        .expect("a card");
    ok(&["-q", "import", "takeout", text(&takeout), text(&archive)]);
    import();
    fs::remove_file(&at[0]).expect("removed");
    for folder in ["cur", "new", "tmp"] {
        fs::create_dir_all(mail.join(".Archive").join(folder)).expect("a folder");
    }
    fs::rename(&at[1], mail.join(".Archive/cur/1700000002.M2.h:2,")).expect("moved");
    fs::rename(&at[2], mail.join("cur/1700000003.M3.h:2,FS")).expect("flagged");
    deliver(&mail, "1700000010.M10.h:2,S", &message(10));
    import();
    fs::rename(mail.join(".Lists.integrity"), mail.join(".Lists.linux-integrity")).expect("renamed");
    deliver(&mail, "1700000011.M11.h:2,S", &message(11));
    import();
    fs::remove_file(mail.join("cur/1700000011.M11.h:2,S")).expect("removed");
    import();
    let ends = [
        (1, "2026-11-27T04:17:00Z"),
        (2, "2026-11-27T04:19:00Z"),
        (3, "2026-11-28T04:17:00Z"),
        (4, "2026-11-29T04:17:00Z"),
        (5, "2026-11-29T16:17:00Z"),
        (6, "2026-11-30T04:17:00Z"),
    ];
    set_ends(&archive, &ends);
    archive
}

#[test]
fn screens_of_the_history_are_as_agreed() {
    let dir = tempfile::tempdir().expect("a directory");
    let archive = busy(dir.path());
    for columns in [40, 80, 120] {
        let mut shown = String::new();
        for words in [
            &["snapshots", "A"][..],
            &["snapshots", "-v", "A"],
            &["forget", "--keep-daily", "2", "--dry-run", "A"],
            &["forget", "--dry-run", "A", "4", "5"],
            &["diff", "A", "3", "5"],
            &["diff", "-v", "A", "3", "4"],
            &["diff", "A", "1", "3"],
        ] {
            let arguments: Vec<&str> =
                words.iter().map(|word| if *word == "A" { text(&archive) } else { word }).collect();
            shown.push_str(&format!("$ vandelay {}\n{}\n", words.join(" "), on(columns, &arguments)));
        }
        golden(&format!("tests/golden/history_{columns}.txt"), &shown);
    }
}

#[test]
fn snapshots_are_dropped_by_number_and_by_name() {
    let dir = tempfile::tempdir().expect("a directory");
    let archive = busy(dir.path());
    let a = text(&archive);
    let left = || -> Vec<i64> {
        listed(&["snapshots", a]).iter().map(|one| one["snapshot"].as_i64().expect("a number")).collect()
    };
    let before: Vec<_> = (1..=6).map(|id| tree(&archive, &id.to_string())).collect();
    let whole = digest(&archive);
    for (words, why) in [
        (&["6"][..], "is the current state"),
        (&["2"], "is the last complete one of takeout takeout"),
        (&["4", "2"], "snapshot 2 is"),
        (&["4", "9"], "has no snapshot 9"),
        (&["latest"], "by its number"),
        (&["2026-11-29"], "by its number"),
        (&["yesterday"], "by its number"),
        (&["0"], "start at 1"),
        (&["2026-11-29T04-17-00Z~9"], "no snapshot with that name"),
        (&["2026-11-29T04-17-01Z"], "no snapshot with that name"),
        (&["4", "--keep-last", "2"], "do not go together"),
    ] {
        let said = fails(&[&["forget", a][..], words].concat(), 1);
        assert!(said.contains(why), "{words:?}: {said}");
        assert_eq!(digest(&archive), whole, "{words:?}: nothing was changed");
    }
    ok(&["forget", a, "4"]);
    assert_eq!(left(), [1, 2, 3, 5, 6]);
    ok(&["forget", a, "2026-11-28T04-17-00Z", "5"]);
    assert_eq!(left(), [1, 2, 6]);
    for id in left() {
        let at = usize::try_from(id).expect("a number") - 1;
        assert!(tree(&archive, &id.to_string()) == before[at], "snapshot {id} shows what it showed");
    }
    ok(&["verify", a]);
}

#[test]
fn a_dry_run_says_what_is_freed() {
    let dir = tempfile::tempdir().expect("a directory");
    let master = busy(dir.path());
    for words in [&["3"][..], &["4", "5"], &["1", "3", "4", "5"], &["--keep-last", "1"], &["--keep-daily", "9"]] {
        let copy = dir.path().join("copy.sqlite");
        fs::copy(&master, &copy).expect("a copy");
        let of = |flags: &[&str]| json(&[&["forget", "--json", text(&copy)][..], words, flags].concat());
        let (told, done) = (of(&["--dry-run"]), of(&[]));
        assert_eq!(
            (&told["forgotten_snapshots"], &told["freed"]),
            (&done["forgotten_snapshots"], &done["freed"]),
            "{words:?}"
        );
        assert_eq!((told["dry_run"].as_bool(), done["dry_run"].as_bool()), (Some(true), Some(false)));
    }
    // The message that came with 5 and went with 6 is shown by 5 alone.
    assert_eq!(json(&["forget", "--json", "--dry-run", text(&master), "5"])["freed"]["blobs"], 1);
}

#[test]
fn a_running_import_is_not_forgotten() {
    let dir = tempfile::tempdir().expect("a directory");
    let archive = busy(dir.path());
    let conn = rusqlite::Connection::open(&archive).expect("it opens");
    let sql = "INSERT INTO snapshots (source_id, started, state, program) VALUES (1, '2026-12-01T00:00:00Z', 'running', 'test')";
    conn.execute(sql, []).expect("a run");
    crate::common::digest_snapshots(&conn);
    drop(conn);
    assert!(fails(&["forget", text(&archive), "7"], 1).contains("snapshot 7 is still running"));
    assert!(on(80, &["snapshots", text(&archive)]).lines().last().expect("a line").contains("running"));
}

/// The ids of the messages that a screen lists.
fn ids(shown: &str) -> Vec<&str> {
    shown.lines().filter_map(|line| line.split(' ').next()).filter(|word| word.starts_with('m')).collect()
}

#[test]
fn diff_says_what_became_of_messages_and_folders() {
    let dir = tempfile::tempdir().expect("a directory");
    let archive = busy(dir.path());
    let a = text(&archive);
    let shown = on(80, &["diff", a, "3", "5"]);
    for line in [
        "REMOVED   1\n",
        "MOVED     1    INBOX -> Archive 1\n",
        "RENAMED   Lists/integrity -> Lists/linux-integrity (5 messages)\n",
        "FLAGS     1\n",
    ] {
        assert!(shown.contains(line), "{line}: {shown}");
    }
    assert_eq!(ids(&shown), ["m1"], "{shown}");
    assert!(on(80, &["diff", a, "3", "4", "-v"]).contains("+flagged +seen"));
    // What is listed can be restored by its id.
    assert_eq!(ok(&["cat", a, "m1"]).into_bytes(), message(1));
    // Filters.
    let listed_by = |flags: &[&str]| -> Vec<String> {
        let shown = on(80, &[&["diff", a, "3", "5"][..], flags].concat());
        ids(&shown).into_iter().map(str::to_owned).collect()
    };
    assert_eq!(listed_by(&["--removed"]), ["m1"]);
    assert_eq!(listed_by(&["--added"]).len(), 2);
    assert_eq!(listed_by(&["--changed", "--path", "mail/Archive/**"]), ["m2"]);
    assert_eq!(listed_by(&["--changed", "--path", "mail/INBOX"]).len(), 2, "moved out of it, and flagged in it");
    assert_eq!(listed_by(&["--type", "contactcard"]).len(), 0);
    for flags in [&["--removed"][..], &["--type", "email"], &["--path", "mail/*/**", "--added", "--changed"]] {
        let objects = listed(&[&["diff", a, "3", "5"][..], flags].concat());
        let lines = ok(&[&["diff", "--long", a, "3", "5"][..], flags].concat());
        assert_eq!(objects.len(), lines.lines().count(), "{flags:?}: a line for each object");
        assert!(!objects.is_empty(), "{flags:?}");
    }
    // A message that came and went between two snapshots is in neither; who looks for it is told where to look.
    let hint = |from: &str, to: &str| {
        let output = vandelay().args(["diff", a, from, to]).output().expect("it starts");
        String::from_utf8_lossy(&output.stderr).contains("--deleted")
    };
    assert!(hint("4", "6") && !hint("5", "6") && !hint("6", "6"));
}
