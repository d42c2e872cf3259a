//! What people see of an archive: columns that fit the screen, whatever strangers wrote. `UPDATE_GOLDEN=1` rewrites the
//! golden screens.

use crate::common::account::text;
use crate::common::terminal::Terminal;
use crate::common::{TYPES, deliver, listed, ok, vandelay};
use std::fs;
use std::path::Path;
use std::time::Duration;
use unicode_width::UnicodeWidthStr;

/// The lines of a screen, each of which fits. Narrower and wider screens are tried as well.
fn screen(arguments: &[&str]) -> Vec<String> {
    for columns in [40, 120] {
        let output = vandelay().env("COLUMNS", columns.to_string()).args(arguments).output().expect("it starts");
        assert!(output.status.success(), "{arguments:?}");
        fits(arguments, &String::from_utf8(output.stdout).expect("text"), columns);
    }
    let said = ok(arguments);
    fits(arguments, &said, 80);
    said.lines().map(str::to_owned).collect()
}

fn fits(arguments: &[&str], said: &str, columns: usize) {
    // A path may be longer than any screen: it is to be pasted.
    let names_paths = arguments[0] == "ls";
    for line in said.lines() {
        assert!(names_paths || line.width() <= columns, "{arguments:?}: {} of {columns} columns: {line}", line.width());
        assert!(!line.chars().any(char::is_control), "{arguments:?}: {line:?}");
    }
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
    assert!(emails[lunch].contains("14 Nov 2023  Askar 漢"), "{}", emails[lunch]);
    let emails = ok(&["inspect", "-v", text(&archive), "email"]);
    let path = emails.lines().skip_while(|line| !line.contains("Lunch on Thursday?")).nth(1).expect("a path").trim();
    assert!(ok(&["cat", text(&archive), path]).contains("Lunch on Thursday?"), "{path}");
    assert!(!emails.contains("\"m\""), "no hashes");

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
        let lines: Vec<&str> = out.lines().filter(|line| !line.starts_with("Snapshot ")).collect();
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
        let lines = screen(&["inspect", "-v", &archive, kind]);
        if lines.is_empty() {
            continue;
        }
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
    let below = ok(&["ls", "-R", &archive, "mail/INBOX/"]);
    assert!(below.lines().count() > 3, "{below}");
    for path in below.lines() {
        assert!(path.starts_with("mail/INBOX/"), "{path}");
        ok(&["ls", &archive, path]);
    }
    assert!(!ok(&["ls", "-R", &archive]).contains(".noindex") && ok(&["ls", "-Ra", &archive]).contains(".noindex"));
    let all = ok(&["ls", "-R", &archive]);
    let all: Vec<Vec<&str>> = all.lines().map(|path| path.split('/').collect()).collect();
    assert!(all.len() > 20 && all.is_sorted(), "a directory, then all in it: {all:?}");
}

#[test]
fn diff_names_its_columns_to_people_and_not_to_scripts() {
    let dir = tempfile::tempdir().expect("a directory");
    let archive = sample(dir.path());
    let (out, err, _) = said(&["diff", "--long", &archive, "1"]);
    let heads: Vec<&str> = err.lines().filter(|line| line.starts_with("  TYPE ID PATH")).collect();
    assert!(heads.contains(&"  TYPE ID PATH  DATE (UTC)  FROM  SUBJECT  <MESSAGE-ID>"), "{err}");
    assert!(heads.contains(&"  TYPE ID PATH  START OR DUE  TITLE") && heads.contains(&"  TYPE ID PATH  NAME"), "{err}");
    assert!(out.lines().all(|line| ["+ ", "~ ", "- "].iter().any(|sign| line.starts_with(sign))), "{out}");
    assert_eq!(said(&["diff", &archive, "2", "2"]).1, "no difference\n");
    assert_eq!(said(&["--quiet", "diff", &archive, "1"]).1, "");
}

#[test]
fn h_of_ls_is_help_alone_and_sizes_with_l() {
    let dir = tempfile::tempdir().expect("a directory");
    let archive = sample(dir.path());
    assert!(ok(&["ls", "-h"]).contains("Usage: vandelay ls"));
    assert!(ok(&["ls", "-h", &archive]).contains("Usage: vandelay ls"));
    assert_eq!(ok(&["ls", "-lah", &archive, "mail"]), ok(&["ls", "-la", &archive, "mail"]));
    assert_eq!(said(&["ls"]).2, Some(1));
}

#[test]
fn messages_are_sorted_as_asked() {
    let dir = tempfile::tempdir().expect("a directory");
    let archive = sample(dir.path());
    let ids = |arguments: &[&str]| -> Vec<String> {
        let all = [&["inspect", &archive, "email"], arguments].concat();
        ok(&all).lines().skip(1).map(|line| line.split(' ').next().unwrap_or_default().to_owned()).collect()
    };
    let dates = |archive: &str| -> Vec<String> {
        let lines = ok(&["inspect", "--json", archive, "email"]);
        let lines = lines.lines().map(|line| serde_json::from_str::<serde_json::Value>(line).expect("JSON"));
        lines.filter_map(|line| line["received_at"].as_str().map(str::to_owned)).collect()
    };
    assert!(dates(&archive).len() == 8 && dates(&archive).is_sorted());
    let by_date = ids(&[]);
    assert_eq!(by_date.len(), 8);
    assert_eq!(ids(&["--reverse", "--limit", "3"]), by_date.iter().rev().take(3).cloned().collect::<Vec<_>>());
    assert_eq!(ids(&["--offset", "5"]), by_date[5..]);
    assert_eq!(ids(&["--sort", "id"]), (1..=8).map(|id| format!("m{id}")).collect::<Vec<_>>());
    let wrong = said(&["inspect", &archive, "calendar", "--sort", "date"]);
    assert!(wrong.2 == Some(1) && wrong.1.contains("--sort orders messages"), "{}", wrong.1);
    for (arguments, word) in
        [(["--limit", "x"], "not a number from 1 on"), (["--limit", "0"], "not a number from 1 on")]
    {
        let (_, err, code) = said(&[&["inspect", &archive, "email"][..], &arguments].concat());
        assert!(code == Some(1) && err.contains(word) && !err.contains("invalid digit"), "{err}");
    }
    assert!(said(&["inspect", &archive, "email", "--offset", "99"]).1.contains("no more: there are 8 messages"));
}

/// The screens whose text is held. Those of other times and places are masked by what the archive says.
const GOLDEN: [&[&str]; 12] = [
    &["inspect", "a.sqlite"],
    &["inspect", "-v", "a.sqlite"],
    &["inspect", "a.sqlite", "email"],
    &["inspect", "-v", "--reverse", "--limit", "2", "a.sqlite", "email"],
    &["inspect", "a.sqlite", "mailbox"],
    &["inspect", "a.sqlite", "calendarevent"],
    &["inspect", "a.sqlite", "contactcard"],
    &["inspect", "a.sqlite", "identity"],
    &["ls", "-l", "a.sqlite", "mail/INBOX/cur", "mail/Receipts/cur"],
    &["ls", "-l", "a.sqlite", "mail/INBOX"],
    &["verify", "sound.sqlite"],
    &["restore-check", "sound.sqlite"],
];

/// The sample account as it was backed up on two days of long ago.
fn golden_archive(at: &Path) {
    let account = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/account");
    let copied = std::process::Command::new("cp").arg("-r").args([&account, &at.join("account")]).status().expect("cp");
    assert!(copied.success());
    let (archive, mail) = (at.join("a.sqlite"), at.join("account/Maildir"));
    let import = |source, folder: &Path| ok(&["--quiet", "import", source, text(folder), text(&archive)]);
    import("maildir", &mail);
    import("takeout", &at.join("account/Takeout"));
    let messages = fs::read_dir(mail.join("cur")).expect("a folder").flatten().map(|entry| entry.path());
    fs::remove_file(messages.min().expect("a message")).expect("it is removed");
    import("maildir", &mail);
    // Dates are among what is checked.
    fs::copy(&archive, at.join("sound.sqlite")).expect("a copy");
    let conn = rusqlite::Connection::open(&archive).expect("an archive");
    conn.execute_batch(
        "UPDATE snapshots SET started = '2006-03-0' || id || 'T06:00:00Z', ended = '2006-03-0' || id || 'T06:00:01Z';
         UPDATE sources SET session_url = 'file:///home/alice/' || account_name;",
    )
    .expect("other dates");
}

#[test]
fn screens_are_the_golden_ones() {
    let dir = tempfile::tempdir().expect("a directory");
    golden_archive(dir.path());
    for columns in [40, 80, 120] {
        let mut screens = String::new();
        for arguments in GOLDEN {
            let mut command = vandelay();
            command.current_dir(dir.path()).env("COLUMNS", columns.to_string()).env("TZ", "Europe/Berlin");
            let output = command.args(arguments).output().expect("the program starts");
            assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
            let said = String::from_utf8(output.stdout).expect("text");
            fits(&["screen"], &said, columns);
            screens.push_str(&format!("$ vandelay {}\n{said}", arguments.join(" ")));
            screens.extend(
                String::from_utf8(output.stderr).expect("text").lines().map(|line| format!("[stderr] {line}\n")),
            );
            screens.push('\n');
        }
        let file = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("tests/golden/screens-{columns}.txt"));
        if std::env::var_os("UPDATE_GOLDEN").is_some() {
            fs::write(&file, &screens).expect("a golden file");
        }
        let expected = fs::read_to_string(&file).unwrap_or_default();
        let differs = expected.lines().zip(screens.lines()).find(|(old, new)| old != new);
        assert!(expected == screens, "{}: UPDATE_GOLDEN=1 rewrites it\nfirst: {differs:?}", file.display());
    }
}

/// What a terminal of so many columns shows, and the exit code.
fn on_terminal(columns: u16, arguments: &[&str], environment: &[(&str, &str)]) -> (String, Option<i32>) {
    let mut command = vandelay();
    command.args(arguments).env("TERM", "xterm").envs(environment.iter().copied());
    let (code, shown) = Terminal::of_width(command, columns).end();
    (shown.replace("\r\n", "\n"), code)
}

#[test]
fn nothing_wraps_on_a_terminal() {
    let dir = tempfile::tempdir().expect("a directory");
    let archive = sample(dir.path());
    let color = regex::Regex::new("\x1b\\[[0-9;]*[A-Za-z]").expect("a pattern");
    for columns in [40, 61, 80, 133] {
        for arguments in [
            &["--no-pager", "inspect", &archive, "email"][..],
            &["--no-pager", "inspect", "-v", &archive, "calendarevent"],
            &["--no-pager", "ls", "-l", &archive, "mail/INBOX/cur"],
            &["inspect", &archive],
            &["--no-pager", "snapshots", &archive],
            &["verify", &archive],
            &["restore-check", &archive],
        ] {
            // Notes hold commands to be pasted: only the terminal may fold them.
            let mut command = std::process::Command::new("sh");
            command.args(["-c", "exec \"$0\" \"$@\" 2>/dev/null", env!("CARGO_BIN_EXE_vandelay")]).args(arguments);
            command.env("TERM", "xterm").env_remove("COLUMNS").env_remove("NO_COLOR");
            let (code, shown) = Terminal::of_width(command, columns).end();
            let shown = shown.replace("\r\n", "\n");
            assert_eq!(code, Some(0), "{shown}");
            // What draws and takes itself away is no line.
            let shown = shown.rsplit_once("\x1b[2K").map_or(shown.as_str(), |(_, rest)| rest);
            for line in color.replace_all(shown, "").lines() {
                assert!(line.width() <= usize::from(columns), "{arguments:?} at {columns}: {line:?}");
                assert!(!line.contains('\x1b'), "{arguments:?}: {line:?}");
            }
        }
    }
}

#[test]
fn colours_are_where_they_are_wanted() {
    let dir = tempfile::tempdir().expect("a directory");
    let archive = sample(dir.path());
    let list = ["--no-pager", "inspect", &archive, "email"];
    let has_color = |(shown, _): (String, Option<i32>)| shown.contains('\x1b');
    assert!(has_color(on_terminal(80, &list, &[])));
    assert!(!has_color(on_terminal(80, &list, &[("NO_COLOR", "1")])));
    assert!(!has_color(on_terminal(80, &list, &[("TERM", "dumb")])));
    assert!(!has_color(on_terminal(80, &[&["--color=never"][..], &list].concat(), &[])));
    assert!(on_terminal(80, &["ls", "nowhere.sqlite"], &[]).0.starts_with("\x1b[1m\x1b[31merror:"));
    // Of clap's errors and help, too.
    assert!(has_color(on_terminal(80, &["nonsense"], &[])));
    assert!(!has_color(on_terminal(80, &["--color", "never", "nonsense"], &[])));
    assert!(!has_color(on_terminal(80, &["ls", "--help"], &[("NO_COLOR", "1")])));
    // Off a terminal only when asked, and never in JSON.
    let piped = |arguments: &[&str]| ok(arguments).contains('\x1b');
    assert!(!piped(&["inspect", &archive, "email"]) && piped(&["--color=always", "inspect", &archive, "email"]));
    assert!(!piped(&["--color=always", "--json", "inspect", &archive, "email"]));
}

#[test]
fn long_lists_go_through_a_pager() {
    let dir = tempfile::tempdir().expect("a directory");
    let archive = sample(dir.path());
    let list = ["inspect", &archive, "email"];
    let plain = on_terminal(80, &["--no-pager", "inspect", &archive, "email"], &[]).0;
    let paged = |pager: &str| on_terminal(80, &list, &[("PAGER", pager)]);
    // All of it, notes too, with what less needs.
    let (shown, code) = paged("echo \"LESS=$LESS\"; cat");
    assert_eq!((shown.as_str(), code), (format!("LESS=FRX\n{plain}").as_str(), Some(0)));
    // One that cannot be started is not needed; one that only a shell could have known is told.
    assert_eq!(paged("no-such-pager"), (plain.clone(), Some(0)));
    let (shown, code) = paged("no-such-pager < /dev/null");
    assert!(shown.contains("the pager 'no-such-pager < /dev/null' cannot be run") && code == Some(7), "{shown}");
    // One that quits early ends the list; the order of the variables is git's.
    assert_eq!(paged("head -n 1").1, Some(0));
    assert_eq!(on_terminal(80, &list, &[("PAGER", "false"), ("VANDELAY_PAGER", "")]), (plain.clone(), Some(0)));
    for arguments in [&["inspect", &archive][..], &["ls", &archive], &["--json", "inspect", &archive, "email"]] {
        assert!(!on_terminal(80, arguments, &[("PAGER", "echo paged; cat")]).0.contains("paged"), "{arguments:?}");
    }
    for arguments in [&["snapshots", &archive][..], &["diff", &archive, "1"], &["ls", "-l", &archive]] {
        assert!(on_terminal(80, arguments, &[("PAGER", "echo paged; cat")]).0.contains("paged"), "{arguments:?}");
    }
}

/// The terminal belongs to the pager until that ends: a shell that got it back would share its keys with less.
#[test]
fn an_interrupt_leaves_the_pager_the_terminal() {
    let dir = tempfile::tempdir().expect("a directory");
    let archive = sample(dir.path());
    let (list, search) = (["inspect", &archive, "email"], ["find", &archive, "garden", "lunch", "OR", "ticket"]);
    for arguments in [&list[..], &search, &list, &search] {
        let mut command = vandelay();
        command.args(arguments).env("TERM", "xterm");
        command.env("PAGER", "trap '' INT; echo begun; cat; sleep 1; echo seen");
        let mut terminal = Terminal::of_width(command, 80);
        terminal.wait_for("begun");
        // The second one ends other commands at once.
        terminal.interrupt();
        std::thread::sleep(Duration::from_millis(100));
        terminal.interrupt();
        let (code, shown) = terminal.end();
        assert!(shown.ends_with("seen\r\n"), "{shown}");
        assert!(code == Some(130) || code == Some(0), "{code:?}: {shown}");
    }
}
