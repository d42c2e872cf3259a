//! What a user typed is nearly right: the hint says what was meant, and what it says works.

use crate::common::{deliver, fails, message, ok};
use std::path::Path;

fn text(path: &Path) -> &str {
    path.to_str().expect("UTF-8")
}

/// What a hint proposes.
fn meant(said: &str) -> String {
    let hint = said.split("did you mean \"").nth(1).unwrap_or_else(|| panic!("no proposal: {said}"));
    hint.split('"').next().unwrap_or_default().to_owned()
}

#[test]
fn a_path_that_is_nearly_right_leads_to_the_right_one() {
    let dir = tempfile::tempdir().expect("a directory");
    let (mail, archive) = (dir.path().join("mail"), dir.path().join("a.sqlite"));
    deliver(&mail, "1700000001.M1.h:2,S", &message(1));
    deliver(&mail, "1700000002.M2.h:2,S", &message(2));
    deliver(&mail.join(".Projects"), "1700000003.M3.h:2,S", &message(3));
    ok(&["import", "maildir", text(&mail), text(&archive)]);
    for (typed, wanted) in [
        ("mail/inbox", "mail/INBOX"),
        ("Mail/inbox/Cur", "mail/INBOX/cur"),
        ("mail/Project/cur", "mail/Projects/cur"),
        ("mial", "mail"),
    ] {
        for command in ["ls", "cat", "extract"] {
            let said = fails(&[command, text(&archive), typed], 1);
            assert_eq!(meant(&said), wanted, "{command} {typed}");
        }
        ok(&["ls", text(&archive), wanted]);
    }
    let said = fails(&["ls", text(&archive), "mail/Zzz"], 1);
    assert!(!said.contains("did you mean") && said.contains("vandelay ls ARCHIVE FOLDER"), "{said}");
}

#[test]
fn patterns_mean_what_they_match() {
    let dir = tempfile::tempdir().expect("a directory");
    let (mail, archive) = (dir.path().join("mail"), dir.path().join("a.sqlite"));
    for number in 1..=3 {
        deliver(&mail, &format!("170000000{number}.M{number}.h:2,S"), &message(number));
    }
    ok(&["import", "maildir", text(&mail), text(&archive)]);
    let listed = ok(&["ls", text(&archive), "mail/*/cur"]);
    assert_eq!(listed.lines().count(), 3, "{listed}");
    let one = ok(&["cat", text(&archive), "mail/INBOX/cur/1700000002*"]);
    assert_eq!(one.as_bytes(), message(2));
    let all = ok(&["cat", text(&archive), "mail/**/17*"]);
    assert_eq!(all.as_bytes(), [message(1), message(2), message(3)].concat());
    let into = dir.path().join("out");
    ok(&["extract", "--into", text(&into), text(&archive), "mail/INBOX/cur/*00002.*", "mail/INBOX/cur/*00003.*"]);
    assert_eq!(std::fs::read_dir(&into).expect("a folder").count(), 2);
    assert!(fails(&["cat", text(&archive), "mail/INBOX/cur/9*"], 1).contains("nothing matches"));
}

#[test]
fn words_of_other_programs_lead_to_a_command() {
    for (typed, hint) in [
        (&["restore", "a.sqlite"][..], "vandelay extract"),
        (&["backup"], "vandelay import"),
        (&["search", "lunch"], "vandelay find"),
        (&["list"], "vandelay ls"),
        (&["copy"], "vandelay snapshot"),
        (&["check"], "vandelay verify"),
        (&["import", "gmail"], "vandelay import imap --url imaps://imap.gmail.com"),
        (&["import", "icloud"], "vandelay import imap --url imaps://imap.mail.me.com"),
        (&["import", "outlook"], "--token-command"),
        (&["import", "fastmail"], "vandelay import jmap"),
        (&["import", "thunderbird"], "vandelay import mbox"),
        (&["snapshts", "a.sqlite"], "did you mean"),
    ] {
        let said = fails(typed, 1);
        let lines: Vec<&str> = said.lines().collect();
        assert!(lines.len() == 2 && lines[0].starts_with("error: ") && lines[1].starts_with("hint: "), "{said}");
        assert!(lines[1].contains(hint), "{typed:?}: {said}");
    }
    assert_eq!(ok(&["help", "ls"]), ok(&["ls", "--help"]));
    assert_eq!(ok(&["version"]), ok(&["--version"]));
}
