//! What people see of an archive: columns that fit 80 columns, whatever strangers wrote.

use crate::common::account::text;
use crate::common::{TYPES, deliver, listed, ok, vandelay};
use std::fs;
use std::path::Path;
use unicode_width::UnicodeWidthStr;

/// The lines of a screen, each of which fits.
fn screen(arguments: &[&str]) -> Vec<String> {
    let lines: Vec<String> = ok(arguments).lines().map(str::to_owned).collect();
    for line in &lines {
        assert!(line.width() <= 80, "{arguments:?}: {} columns: {line}", line.width());
        assert!(!line.chars().any(char::is_control), "{arguments:?}: {line:?}");
    }
    lines
}

#[test]
fn lists_for_people_fit_the_screen() {
    let dir = tempfile::tempdir().expect("a directory");
    let root = fs::canonicalize(dir.path()).expect("a path").join("a directory with a long name ".repeat(3).trim_end());
    let (mail, archive) = (root.join("Maildir"), root.join("a.sqlite"));
    let inbox = mail.clone();
    let deep = mail.join(format!(".{}", "Überaus lange Ordnernamen.漢字漢字漢字漢字漢字漢字漢字漢字漢字".repeat(2)));
    for (folder, name, subject) in [
        (&inbox, "1700000000.a:2,S", "Lunch on Thursday?".to_owned()),
        (&inbox, "1700000001.b:2,S", "漢字".repeat(60)),
        (&inbox, "1700000002.c:2,S", format!("=?utf-8?Q?a=1B[31mb=0Dc=0Ad{}?=", "=CC=81".repeat(300))),
        (&deep, "1700000003.d:2,S", "x".repeat(300)),
    ] {
        let from =
            "=?utf-8?Q?Askar_=E6=BC=A2=E5=AD=97=E6=BC=A2=E5=AD=97=E6=BC=A2=E5=AD=97=E6=BC=A2=E5=AD=97?= <a@b.example>";
        let date = "Tue, 14 Nov 2023 22:13:20 +0000";
        deliver(folder, name, format!("From: {from}\r\nSubject: {subject}\r\nDate: {date}\r\n\r\nx\r\n").as_bytes());
    }
    ok(&["import", "maildir", text(&mail), text(&archive)]);
    let events = root.join("Takeout");
    fs::create_dir_all(&events).expect("a folder");
    let title = "漢字".repeat(60);
    let card = format!(
        "BEGIN:VCARD\r\nVERSION:3.0\r\nUID:{0}\r\nFN:{title}\r\nN:{title};;;;\r\nEND:VCARD\r\n",
        "u".repeat(200)
    );
    fs::write(events.join("a.vcf"), card).expect("a card");
    ok(&["import", "takeout", text(&events), text(&archive)]);

    for at in ["latest", "1"] {
        screen(&["inspect", "--at", at, text(&archive)]);
        TYPES
            .iter()
            .chain(&["vacationresponse"])
            .for_each(|kind| drop(screen(&["inspect", "--at", at, text(&archive), kind])));
    }
    screen(&["snapshots", text(&archive)]);

    let emails = screen(&["inspect", text(&archive), "email"]);
    let lunch = emails.iter().position(|line| line.contains("Lunch on Thursday?")).expect("the message is listed");
    assert!(emails[lunch].contains("2023-11-14 22:13  Askar 漢字"), "{}", emails[lunch]);
    let path = emails[lunch + 1].trim();
    assert!(ok(&["cat", text(&archive), path]).contains("Lunch on Thursday?"), "{path}");
    assert!(!emails.concat().contains("\"m\""), "no hashes");

    // Programs get all of it.
    let emails = listed(&["inspect", text(&archive), "email"]);
    let whole = emails.iter().find(|email| email["subject"] == "x".repeat(300)).expect("a whole subject");
    assert!(ok(&["cat", text(&archive), whole["path"].as_str().expect("a path")]).contains("xxx"));
}

/// What a command prints to stdout and to stderr, and its exit code.
fn said(arguments: &[&str]) -> (String, String, Option<i32>) {
    let output = vandelay().args(arguments).output().expect("the program starts");
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (text(&output.stdout), text(&output.stderr), output.status.code())
}

#[test]
fn the_report_of_an_import_fits_the_screen_and_says_no_zeros() {
    let dir = tempfile::tempdir().expect("a directory");
    let (export, archive) = (dir.path().join("export"), dir.path().join("a.sqlite"));
    fs::create_dir(&export).expect("a folder");
    fs::write(export.join("Inbox.mbox"), b"From a@b Thu Jan  1 00:00:00 1970\nSubject: x\n\nx\n").expect("a file");
    fs::write(export.join("archive.pst"), "!BDN").expect("a file");
    fs::write(export.join("other.msg"), [0xd0, 0xcf, 0x11, 0xe0, 0xa1, 0xb1, 0x1a, 0xe1]).expect("a file");
    for _ in 0..2 {
        let (out, _, code) = said(&["import", "takeout", text(&export), text(&archive)]);
        assert_eq!(code, Some(5), "{out}");
        let lines: Vec<&str> = out.lines().filter(|line| !line.starts_with("snapshot ")).collect();
        assert!(lines.iter().any(|line| line.starts_with("    ")), "something is folded: {out}");
        for line in lines {
            assert!(line.width() <= 80, "{} columns: {line}", line.width());
            assert!(!line.contains("failed 0") && !line.contains("duplicate 0"), "{line}");
        }
    }
    let lines = screen(&["snapshots", text(&archive)]);
    assert!(lines[1].contains("  +1  ") && lines[1].ends_with("partial"), "{lines:?}");
    assert!(lines[3].ends_with("current, partial, nothing stored"), "{lines:?}");
    assert!([2, 4].iter().all(|line| lines[*line].trim() == "2 not understood"), "{lines:?}");
    assert!(!lines.concat().contains("nothing new"), "{lines:?}");
}

/// The sample account.
fn sample(at: &Path) -> String {
    let account = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/account");
    let archive = at.join("a.sqlite");
    for (source, folder) in [("maildir", "Maildir"), ("takeout", "Takeout")] {
        ok(&["--quiet", "import", source, text(&account.join(folder)), text(&archive)]);
    }
    text(&archive).to_owned()
}

#[test]
fn lists_of_messages_events_cards_and_files_name_paths() {
    let dir = tempfile::tempdir().expect("a directory");
    let archive = sample(dir.path());
    for kind in ["email", "calendarevent", "contactcard", "filenode"] {
        let lines = screen(&["inspect", &archive, kind]);
        if lines.is_empty() {
            continue;
        }
        assert!(lines[0].contains("PATH BELOW"), "{}", lines[0]);
        let path = |line: &str| line.trim().split(" (and ").next().unwrap_or_default().to_owned();
        let paths: Vec<String> = lines[2..].iter().step_by(2).map(|line| path(line)).collect();
        assert!(!paths.is_empty(), "{kind}");
        paths.iter().for_each(|path| drop(ok(&["ls", &archive, path])));
        let objects = listed(&["inspect", &archive, kind]).into_iter();
        assert!(objects.map(|object| object["path"].as_str().unwrap_or_default().to_owned()).eq(paths), "{kind}");
    }
}

#[test]
fn ls_lists_by_name() {
    let dir = tempfile::tempdir().expect("a directory");
    let archive = sample(dir.path());
    for path in ["", "mail", "mail/INBOX/cur", "contacts/Imported", "text"] {
        let names = screen(&["ls", &archive, path]);
        assert!(names.len() > 1 && names.is_sorted(), "{path}: {names:?}");
    }
    let all = ok(&["ls", "-R", &archive]);
    let all: Vec<Vec<&str>> = all.lines().map(|path| path.split('/').collect()).collect();
    assert!(all.len() > 20 && all.is_sorted(), "a directory, then all in it: {all:?}");
}

#[test]
fn diff_names_its_columns_to_people_and_not_to_scripts() {
    let dir = tempfile::tempdir().expect("a directory");
    let archive = sample(dir.path());
    let (out, err, _) = said(&["diff", &archive, "1"]);
    let heads: Vec<&str> = err.lines().filter(|line| line.starts_with("  TYPE ID PATH")).collect();
    assert!(heads.contains(&"  TYPE ID PATH  DATE (UTC)  FROM  SUBJECT  <MESSAGE-ID>"), "{err}");
    assert!(heads.contains(&"  TYPE ID PATH  START OR DUE  TITLE") && heads.contains(&"  TYPE ID PATH  NAME"), "{err}");
    assert!(out.lines().all(|line| ["+ ", "~ ", "- "].iter().any(|sign| line.starts_with(sign))), "{out}");
    assert_eq!(said(&["diff", &archive, "2", "2"]).1, "no difference\n");
    assert_eq!(said(&["--quiet", "diff", &archive, "1"]).1, "");
}
