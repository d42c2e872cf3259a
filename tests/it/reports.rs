//! The reports of imports and exports on screens of 40, 80 and 120 columns, and what they say of many objects.

use crate::common::account::text;
use crate::common::{deliver, message, vandelay};
use std::fs;
use std::path::Path;
use unicode_width::UnicodeWidthStr;

/// What a command prints on a screen of this many columns: results, notes, exit code.
fn said(columns: usize, arguments: &[&str]) -> (String, String, Option<i32>) {
    let output = vandelay().args(arguments).env("COLUMNS", columns.to_string()).output().expect("the program starts");
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (text(&output.stdout), text(&output.stderr), output.status.code())
}

/// A Takeout with mail, and so many calendar files that are none.
fn takeout(root: &Path, strange: usize) -> std::path::PathBuf {
    let export = root.join("Takeout");
    let mail = export.join("Mail");
    fs::create_dir_all(&mail).expect("a folder");
    let mut mbox = Vec::new();
    for number in 0..1_234 {
        mbox.extend_from_slice(b"From a@b Thu Jan  1 00:00:00 1970\r\n");
        mbox.extend_from_slice(&message(number));
        mbox.extend_from_slice(b"\r\n");
    }
    fs::write(mail.join("Inbox.mbox"), mbox).expect("a file");
    for number in 0..strange {
        fs::write(mail.join(format!("{number:02}.msg")), [0xd0, 0xcf, 0x11, 0xe0, 0xa1, 0xb1, 0x1a, 0xe1])
            .expect("a file");
    }
    export
}

#[test]
fn the_report_of_an_import_fits_any_screen() {
    let dir = tempfile::tempdir().expect("a directory");
    let export = takeout(dir.path(), 0);
    for (columns, table) in [
        (
            40,
            "IMPORTED     NEW  CHANGED   FOUND\nMessages   1,234        .   1,234\nFolders        2        .       2\n",
        ),
        (
            80,
            "IMPORTED     NEW  CHANGED  UNCHANGED   FOUND\nMessages   1,234        .          .   1,234\nFolders        2        .          .       2\n",
        ),
        (
            120,
            "IMPORTED     NEW  CHANGED  UNCHANGED   FOUND\nMessages   1,234        .          .   1,234\nFolders        2        .          .       2\n",
        ),
    ] {
        let archive = dir.path().join(format!("{columns}.sqlite"));
        let (plan, _, code) = said(columns, &["import", "takeout", "--dry-run", text(&export), text(&archive)]);
        assert_eq!((code, archive.exists()), (Some(0), false));
        assert!(plan.starts_with("TO IMPORT") && plan.ends_with("Dry run: nothing was changed.\n"), "{plan}");
        let (out, err, code) = said(columns, &["import", "takeout", text(&export), text(&archive)]);
        assert_eq!((code, err.as_str()), (Some(0), ""), "no advice off a terminal");
        let end = format!("Snapshot 1 of {} is complete, ", archive.display());
        let (start, rest) = out.split_at(table.len());
        assert_eq!(start, table, "{columns}");
        assert!(rest.starts_with(&end) && rest.ends_with(" read. Nothing failed.\n"), "{rest}");
        let (quiet, _, _) = said(columns, &["-q", "import", "takeout", text(&export), text(&archive)]);
        assert_eq!(quiet, "");
    }
}

/// In the table, too, found is the sum of what stands before it; what is not stored is named with its reasons.
#[test]
fn what_repeats_is_named_ten_times_and_counted_and_the_log_has_all() {
    let dir = tempfile::tempdir().expect("a directory");
    let (export, archive, log) = (takeout(dir.path(), 37), dir.path().join("a.sqlite"), dir.path().join("log"));
    let (out, err, code) = said(120, &["--log-file", text(&log), "import", "takeout", text(&export), text(&archive)]);
    assert_eq!(code, Some(5), "{out}{err}");
    let named = |text: &str| (0..37).filter(|number| text.contains(&format!("{number:02}.msg"))).count();
    assert_eq!(named(&err), 10, "{err}");
    assert!(
        err.contains("warning: … and 27 more: email not understood (") && err.contains("-v or --log-file"),
        "{err}"
    );
    let log = fs::read_to_string(&log).expect("a log");
    assert_eq!(named(&log), 37);
    let equation = "email: found 1271 = stored 1234 (new 1234, changed 0, unchanged 0) + skipped 37 (";
    assert!(log.contains(equation), "{log}");
    let heads: Vec<&str> = out.lines().next().expect("heads").split_whitespace().collect();
    assert_eq!(heads, ["IMPORTED", "NEW", "CHANGED", "UNCHANGED", "NOT", "STORED", "FOUND"]);
    let cells: Vec<&str> = out.lines().nth(1).expect("a row").split_whitespace().collect();
    assert_eq!(cells, ["Messages", "1,234", ".", ".", "37", "1,271"]);
    assert!(out.contains("\nMessages: 37 skipped ("), "{out}");
    assert!(out.ends_with("37 objects not understood.\n"), "{out}");
    let (_, err, _) = said(120, &["-v", "import", "takeout", text(&export), text(&archive)]);
    assert!(named(&err) == 37 && !err.contains("more:") && err.contains("email: found 1271 ="), "{err}");
}

#[test]
fn the_report_of_an_export_fits_any_screen() {
    let dir = tempfile::tempdir().expect("a directory");
    let (mail, archive) = (dir.path().join("Maildir"), dir.path().join("a.sqlite"));
    for number in 0..3 {
        deliver(&mail, &format!("170000000{number}.M1.h:2,S"), &message(number));
    }
    said(80, &["-q", "import", "maildir", text(&mail), text(&archive)]);
    for columns in [40, 80, 120] {
        let out = dir.path().join(format!("{columns}"));
        let arguments = ["export", "maildir", text(&archive), text(&out)];
        let (plan, _, code) = said(columns, &[&arguments[..], &["--dry-run"]].concat());
        assert!(code == Some(0) && plan.starts_with("TO EXPORT") && !out.exists(), "{plan}");
        let (report, _, code) = said(columns, &arguments);
        assert_eq!(code, Some(0), "{report}");
        assert!(report.lines().all(|line| line.width() <= columns), "{report}");
        let heads = report.lines().next().expect("heads");
        assert_eq!(heads.contains("MATCHED"), columns > 40, "{heads}");
        assert!(report.ends_with(" written. Nothing failed.\n"), "{report}");
        let (again, _, _) = said(columns, &arguments);
        let row: Vec<&str> = again.lines().nth(1).expect("a row").split_whitespace().collect();
        assert_eq!(row, [&["Messages", ".", "."][..], if columns > 40 { &["3", "3"] } else { &["3"] }].concat());
    }
}
