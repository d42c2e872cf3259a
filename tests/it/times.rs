//! Days and times as people type and read them: one zone for all, in every form of `TZ`; and clocks that jump.

use crate::common::account::text;
use crate::common::{deliver, fails, message, ok, set_ends, vandelay};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Output;

/// An archive with a snapshot for each of these ends; snapshot N has the messages 1 to N.
fn archive_of(dir: &Path, ends: &[&str]) -> PathBuf {
    let (mail, archive) = (dir.join("mail"), dir.join("a.sqlite"));
    for number in 1..=ends.len() {
        let number = u32::try_from(number).expect("a small number");
        deliver(&mail, &format!("170000000{number}.M{number}.h:2,"), &message(number));
        ok(&["-q", "import", "maildir", text(&mail), text(&archive)]);
    }
    let ends: Vec<(i64, &str)> = (1..).zip(ends.iter().copied()).collect();
    set_ends(&archive, &ends);
    archive
}

/// Which snapshot `--at` means: the number of messages.
fn shown_at(archive: &Path, at: &str) -> Option<usize> {
    let output = vandelay().args(["ls", "--at", at, text(archive), "mail/INBOX/cur"]).output().expect("it starts");
    output.status.success().then(|| String::from_utf8_lossy(&output.stdout).lines().count())
}

fn in_zone(zone: &str, arguments: &[&str]) -> Output {
    vandelay().env("TZ", zone).args(arguments).output().expect("it starts")
}

fn out(output: &Output) -> String {
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// Forms of `TZ` that mean New York.
fn new_york(dir: &Path) -> Vec<String> {
    let mut forms =
        ["America/New_York", ":America/New_York", "EST5EDT,M3.2.0,M11.1.0", "EST5EDT", "<-05>5<-04>,M3.2.0,M11.1.0"]
            .map(str::to_owned)
            .to_vec();
    let file = Path::new("/usr/share/zoneinfo/America/New_York");
    if file.exists() {
        let copy = dir.join("a zone of my own");
        fs::copy(file, &copy).expect("a copy");
        forms.extend([text(file).to_owned(), format!(":{}", text(file)), text(&copy).to_owned()]);
    }
    forms
}

#[test]
fn days_that_are_typed_shown_and_kept_are_those_of_one_zone() {
    let dir = tempfile::tempdir().expect("a directory");
    // In New York: 1 on the evening of the 27th, 2 and 3 on the 28th, 4 and 5 on the 29th, 6 on the 30th.
    let ends = [
        "2026-11-28T04:59:59Z",
        "2026-11-28T05:00:00Z",
        "2026-11-29T02:00:00Z",
        "2026-11-29T05:00:00Z",
        "2026-11-30T04:59:00Z",
        "2026-11-30T05:00:00Z",
    ];
    let archive = archive_of(dir.path(), &ends);
    let a = text(&archive);
    let messages = |zone: &str, at: &str| out(&in_zone(zone, &["ls", "--at", at, a, "mail/INBOX/cur"])).lines().count();
    let forgotten = |zone: &str| -> serde_json::Value {
        let told = out(&in_zone(zone, &["forget", "--keep-daily", "9", "--dry-run", "--json", a]));
        serde_json::from_str::<serde_json::Value>(told.trim()).expect("JSON")["forgotten_snapshots"].clone()
    };
    let names = ok(&["ls", a, ".snapshots"]);
    let json = ok(&["snapshots", "--json", a]);
    for zone in new_york(dir.path()) {
        for (day, expected) in [("2026-11-27", 1), ("2026-11-28", 3), ("2026-11-29", 5), ("2026-11-30", 6)] {
            assert_eq!(messages(&zone, day), expected, "TZ={zone}: {day}");
        }
        assert_eq!(messages(&zone, "2026-11-28 21:00"), 3, "TZ={zone}");
        assert_eq!(messages(&zone, "2026-11-29T23:59"), 5, "TZ={zone}: a minute means all of it");
        assert_eq!(messages(&zone, "2026-11-29T02:00:00Z"), 3, "TZ={zone}");
        assert_eq!(forgotten(&zone), serde_json::json!([2, 4]), "TZ={zone}");
        let shown = out(&in_zone(&zone, &["snapshots", a]));
        for local in ["28 Nov 2026 21:00", "27 Nov 2026 23:59", "30 Nov 2026 00:00"] {
            assert!(shown.contains(local), "TZ={zone}: {shown}");
        }
        // What is shown can be typed.
        assert_eq!(messages(&zone, "Sat 28 Nov 2026 21:00"), 3, "TZ={zone}");
        assert_eq!(out(&in_zone(&zone, &["ls", a, ".snapshots"])), names, "names are UTC");
        assert_eq!(out(&in_zone(&zone, &["snapshots", "--json", a])), json, "JSON is UTC");
    }
    for utc in ["", ":", "UTC", "UTC0", "Etc/UTC", "Nowhere/Atlantis", "/dev/null", "\u{1b}[31m"] {
        assert_eq!(messages(utc, "2026-11-28"), 2, "TZ={utc}");
        assert_eq!(forgotten(utc), serde_json::json!([1, 3, 5]), "TZ={utc}");
    }
    for zone in ["Asia/Tokyo", "JST-9"] {
        assert_eq!(messages(zone, "2026-11-28"), 2, "TZ={zone}");
        assert_eq!(messages(zone, "2026-11-29"), 4, "TZ={zone}");
    }
}

#[test]
fn a_zone_that_nobody_knows_is_named_once() {
    let dir = tempfile::tempdir().expect("a directory");
    let archive = archive_of(dir.path(), &["2026-11-29T02:00:00Z"]);
    let warned = |zone: &str, flag: &str| {
        let output = in_zone(zone, &[flag, "snapshots", text(&archive)]);
        String::from_utf8_lossy(&output.stderr).lines().filter(|line| line.starts_with("warning: TZ")).count()
    };
    assert_eq!((warned("Nowhere/Atlantis", "-v"), warned("Nowhere/Atlantis", "-q")), (1, 1));
    for known in ["", ":", "UTC", "America/New_York", "EST5", "<+03>-3", "america/new_york"] {
        assert_eq!(warned(known, "-v"), 0, "TZ={known}");
    }
}

#[test]
fn names_of_snapshots_are_names_for_at() {
    let dir = tempfile::tempdir().expect("a directory");
    // The last two as 2.0.0 wrote them.
    let second = "2026-11-29T23:54:24";
    let ends = [
        &format!("{second}Z"),
        &format!("{second}.001Z"),
        &format!("{second}.002Z"),
        "2026-11-30T01:00:00Z",
        "2026-11-30T01:00:00Z",
    ];
    let archive = archive_of(dir.path(), &ends.map(|end| end as &str));
    let names = ok(&["ls", text(&archive), ".snapshots"]);
    let mut found = Vec::new();
    for name in names.lines() {
        let inside = ok(&["ls", text(&archive), &format!(".snapshots/{name}/mail/INBOX/cur")]).lines().count();
        assert_eq!(shown_at(&archive, name), Some(inside), "{name}");
        found.push(inside);
    }
    found.sort_unstable();
    assert_eq!(found, [1, 2, 3, 4, 5]);
    let name = "2026-11-29T23-54-24Z";
    assert_eq!(
        (shown_at(&archive, &format!("{name}~3")), shown_at(&archive, &format!("{name}~1"))),
        (Some(3), Some(1))
    );
    for wrong in ["~4", "~9", "~0", "~x", "~"] {
        let said = fails(&["ls", "--at", &format!("{name}{wrong}"), text(&archive)], 1);
        assert!(said.contains("snapshot"), "{said}");
    }
    // One that was forgotten is the state of that time.
    assert_eq!(shown_at(&archive, "2026-11-30T00-00-00Z"), Some(3));
}

#[test]
fn days_before_today_are_counted_back_from_it() {
    let dir = tempfile::tempdir().expect("a directory");
    let days_ago = |days: i64| vandelay::archive::rfc3339(jiff::Timestamp::now().as_second() - days * 86_400);
    let ends = [days_ago(30), days_ago(14), days_ago(8), days_ago(1), days_ago(0)];
    let archive = archive_of(dir.path(), &ends.each_ref().map(|end| end as &str));
    for (at, expected) in [
        ("today", Some(5)),
        ("yesterday", Some(4)),
        ("1 day ago", Some(4)),
        ("2 weeks ago", Some(2)),
        ("2-weeks-ago", Some(2)),
        ("a week ago", Some(3)),
        ("20 days ago", Some(1)),
        ("3 months ago", None),
        ("1 minute ago", Some(4)),
    ] {
        assert_eq!(shown_at(&archive, at), expected, "{at}");
    }
}

#[test]
fn a_clock_that_goes_back_confuses_nobody() {
    let dir = tempfile::tempdir().expect("a directory");
    let ends = ["2026-11-28T06:00:00Z", "2026-11-29T06:00:00Z", "2026-11-30T06:00:00Z", "2026-11-01T06:00:00Z"];
    let archive = archive_of(dir.path(), &ends);
    let a = text(&archive);
    assert_eq!((shown_at(&archive, "2026-11-15"), shown_at(&archive, "2026-11-29")), (None, Some(2)));
    assert_eq!((shown_at(&archive, "latest"), shown_at(&archive, "2026-11-30")), (Some(4), Some(4)));
    // By its own name it is itself.
    assert_eq!(shown_at(&archive, "2026-11-01T06-00-00Z"), Some(4));
    assert!(ok(&["diff", a, "3", "4"]).contains('4'), "the newest one is later than the one before");
    let dropped = |rule: &[&str]| {
        let told = ok(&[&["forget", "--dry-run", "--json", a], rule].concat());
        serde_json::from_str::<serde_json::Value>(told.trim()).expect("JSON")["forgotten_snapshots"].clone()
    };
    assert_eq!(dropped(&["--keep-last", "1"]), serde_json::json!([1, 2, 3]));
    assert_eq!(dropped(&["--keep-daily", "2"]), serde_json::json!([1]));
    assert_eq!(dropped(&["--keep-within", "1d"]), serde_json::json!([1]));
    let shown = ok(&["snapshots", a]);
    assert_eq!(shown.matches("the clock was wrong").count(), 1, "{shown}");
}

#[test]
fn an_export_counts_days_in_the_same_zone() {
    let dir = tempfile::tempdir().expect("a directory");
    let (mail, archive) = (dir.path().join("mail"), dir.path().join("a.sqlite"));
    // Received on 28 November 2026, 21:00 in New York.
    let evening = jiff::Timestamp::from_second(vandelay::archive::epoch("2026-11-29T02:00:00Z")).expect("a time");
    let text_of = format!("Date: {}\r\nSubject: x\r\n\r\nx\r\n", evening.strftime("%a, %d %b %Y %H:%M:%S +0000"));
    deliver(&mail, &format!("{}.M1.h:2,", evening.as_second()), text_of.as_bytes());
    ok(&["-q", "import", "maildir", text(&mail), text(&archive)]);
    let count = |zone: &str, since: &str, until: &str| {
        let into = tempfile::tempdir_in(dir.path()).expect("a directory");
        let to = into.path().join("out");
        let arguments = ["-q", "export", "maildir", "--since", since, "--until", until, text(&archive), text(&to)];
        out(&in_zone(zone, &arguments));
        walk(&to)
    };
    assert_eq!(count("America/New_York", "2026-11-28", "2026-11-29"), 1);
    assert_eq!(count("UTC", "2026-11-28", "2026-11-29"), 0);
    assert_eq!(count("Asia/Tokyo", "2026-11-29 11:00", "2026-11-30"), 1);
    assert_eq!(count("Asia/Tokyo", "2026-11-29 11:01", "2026-11-30"), 0);
}

/// The number of files below a directory.
fn walk(directory: &Path) -> usize {
    let entries = fs::read_dir(directory).into_iter().flatten().flatten();
    entries.map(|entry| if entry.path().is_dir() { walk(&entry.path()) } else { 1 }).sum()
}
