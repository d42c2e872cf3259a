//! What people see of an archive: columns that fit 80 columns, whatever strangers wrote.

use crate::common::account::text;
use crate::common::{TYPES, deliver, ok};
use std::fs;
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
    let emails = ok(&["inspect", "--json", text(&archive), "email"]);
    let emails: Vec<serde_json::Value> = emails.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    let whole = emails.iter().find(|email| email["subject"] == "x".repeat(300)).expect("a whole subject");
    assert!(ok(&["cat", text(&archive), whole["path"].as_str().expect("a path")]).contains("xxx"));
}
