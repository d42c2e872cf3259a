//! `vandelay snapshot`: copies of an archive that is in use, what killed runs and full disks leave, which copies stay, and
//! what a copy of a damaged archive says.

use crate::common::held::{Held, import_command, signal};
use crate::common::*;
use serde_json::Value;
use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

fn text(path: &Path) -> &str {
    path.to_str().expect("a path in UTF-8")
}

fn archive_of(dir: &Path, count: u32, size: usize) -> PathBuf {
    let mail = maildir(&dir.join("mail"), count, size);
    let archive = dir.join("alice.sqlite");
    ok(&["-q", "import", "maildir", text(&mail), text(&archive)]);
    archive
}

fn folder(dir: &Path, name: &str) -> PathBuf {
    let folder = dir.join(name);
    fs::create_dir(&folder).expect("a folder");
    folder
}

fn names(folder: &Path) -> BTreeSet<String> {
    let entries = fs::read_dir(folder).expect("a folder").map(|entry| entry.expect("an entry").file_name());
    entries.map(|name| name.into_string().expect("UTF-8")).collect()
}

fn set(names: &[&str]) -> BTreeSet<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}

fn copy(archive: &Path, destination: &Path, flags: &[&str]) -> Output {
    vandelay().arg("snapshot").arg(archive).arg(destination).args(flags).output().expect("the program starts")
}

/// Makes a copy that must be complete; gives the summary.
fn copied(archive: &Path, destination: &Path, flags: &[&str]) -> Value {
    let output = copy(archive, destination, &[flags, &["--json"]].concat());
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    summary(&output)
}

fn summary(output: &Output) -> Value {
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    let objects = said.lines().map(|line| serde_json::from_str::<Value>(line).expect("JSON"));
    objects.rev().find(|object| object["message_type"] == "summary").unwrap_or_else(|| panic!("no summary: {said}"))
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

fn emails(archive: &Path) -> i64 {
    let flags = rusqlite::OpenFlags::SQLITE_OPEN_READ_ONLY;
    let conn = rusqlite::Connection::open_with_flags(archive, flags).expect("it opens");
    conn.query_row("SELECT count(*) FROM emails", [], |row| row.get(0)).expect("a number")
}

// --- archives in use --------------------------------------------------------------------------------------------------

/// A copy made while an import stands still is what a reader of the archive sees at that moment.
#[test]
fn a_copy_during_an_import_is_one_state_of_the_archive() {
    let dir = tempfile::tempdir().expect("a directory");
    let mail = maildir(&dir.path().join("mail"), 4_000, 2_000);
    let archive = dir.path().join("alice.sqlite");
    let held = Held::new(&mail, &archive);
    let at = dir.path().join("copy.sqlite");
    let done = copied(&archive, &at, &["--verify", "full"]);
    assert_eq!(done["full"], true);
    ok(&["verify", text(&at)]);
    assert!(!dir.path().join("copy.sqlite-wal").exists(), "the copy is one file");
    let shown = emails(&archive);
    assert!(shown > 0 && shown < 4_000 && emails(&at) == shown, "{shown}");
    assert_eq!(fs::metadata(&at).expect("metadata").permissions().mode() & 0o777, 0o600);
    let status = held.go_on().status;
    assert!(status.success(), "the import is none the worse: {status}");
    ok(&["verify", text(&archive)]);
    assert_eq!((emails(&archive), emails(&at)), (4_000, shown));
    // The copy is an archive like any other: the import goes on in it.
    ok(&["-q", "import", "maildir", text(&mail), text(&at)]);
    assert!(dump(&at) == dump(&archive));
}

/// Copy after copy while an import runs: each is sound, and none has less than the one before.
#[test]
fn copies_of_a_growing_archive_are_all_sound() {
    let dir = tempfile::tempdir().expect("a directory");
    let mail = maildir(&dir.path().join("mail"), 6_000, 3_000);
    let archive = dir.path().join("alice.sqlite");
    let mut import = import_command(&mail, &archive).spawn().expect("it starts");
    let (mut last, mut during) = (0, 0);
    for number in 0..200 {
        let is_done = import.try_wait().expect("a child").is_some();
        let at = dir.path().join(format!("{number}.sqlite"));
        let output = copy(&archive, &at, &["--verify", "full"]);
        // Before there is an archive there is nothing to copy.
        if output.status.code() == Some(10) && !at.exists() {
            continue;
        }
        assert!(output.status.success(), "{}", said(&output));
        let now = emails(&at);
        assert!(now >= last, "copy {number} has {now}, the one before {last}");
        during += usize::from(now > last && !is_done);
        last = now;
        fs::remove_file(&at).expect("it is there");
        if is_done {
            break;
        }
    }
    assert!(import.wait().expect("it ends").success());
    assert!(during >= 2 && last == 6_000, "{during} states were seen, the last of {last} messages");
    ok(&["verify", text(&archive)]);
}

#[test]
fn a_copy_of_a_mounted_archive_is_the_same_bytes_and_changes_nothing_there() {
    let dir = tempfile::tempdir().expect("a directory");
    let home = folder(dir.path(), "home");
    let archive = archive_of(&home, 50, 500);
    let Some(mount) = Mounted::new(&archive, &dir.path().join("mnt"), &[]) else { return };
    let before = listing(&home);
    let inbox = listing(&mount.at.join("mail/INBOX/cur"));
    let disk = folder(dir.path(), "disk");
    copied(&archive, &disk.join("copy.sqlite"), &["--verify", "full"]);
    assert_eq!(digest(&disk.join("copy.sqlite")), digest(&archive));
    assert_eq!(names(&disk), set(&["copy.sqlite"]));
    assert_eq!(listing(&home), before, "the archive and its folder are as they were");
    assert_eq!(listing(&mount.at.join("mail/INBOX/cur")), inbox);
}

/// The log of a killed import is part of the archive.
#[test]
fn what_a_killed_import_left_in_the_log_is_in_the_copy() {
    let dir = tempfile::tempdir().expect("a directory");
    let mail = maildir(&dir.path().join("mail"), 4_000, 2_000);
    let archive = dir.path().join("alice.sqlite");
    drop(Held::new(&mail, &archive));
    let at = dir.path().join("copy.sqlite");
    copied(&archive, &at, &["--verify", "full"]);
    let shown = emails(&archive);
    assert!(shown > 0 && emails(&at) == shown);
    assert!(dump(&at) == dump(&archive));
}

/// An archive of 1.x is copied as it is.
#[test]
fn an_archive_of_1x_can_be_copied() {
    let dir = tempfile::tempdir().expect("a directory");
    let archive = dir.path().join("old.sqlite");
    let conn = rusqlite::Connection::open(&archive).expect("a database");
    conn.execute_batch(include_str!("common/archive-1x.sql")).expect("the tables of 1.x");
    drop(conn);
    let at = dir.path().join("copy.sqlite");
    let before = digest(&archive);
    copied(&archive, &at, &[]);
    assert!(dump(&at) == dump(&archive));
    assert_eq!(digest(&archive), before);
}

/// Where files can share blocks, a copy takes no space, and a mark in it does not reach the archive.
#[test]
fn a_copy_shares_its_blocks_where_the_file_system_can() {
    if !has("mkfs.btrfs") {
        return;
    }
    let dir = tempfile::tempdir().expect("a directory");
    let (image, at) = (dir.path().join("image"), folder(dir.path(), "btrfs"));
    fs::File::create(&image).and_then(|file| file.set_len(256 << 20)).expect("an image");
    assert!(Command::new("mkfs.btrfs").arg("-q").arg(&image).status().expect("mkfs runs").success());
    if !Command::new("mount").args(["-o", "loop"]).arg(&image).arg(&at).status().expect("mount runs").success() {
        return skip("no image can be mounted");
    }
    let disk = Tmpfs { at };
    let archive = archive_of(&disk.at, 3_000, 4_000);
    let size = fs::metadata(&archive).expect("metadata").len();
    let free = || rustix::fs::statvfs(&disk.at).map(|stat| stat.f_bavail * stat.f_frsize).expect("its space");
    let _ = Command::new("sync").arg("-f").arg(&archive).status();
    let before = free();
    for number in 0..5 {
        let copy = disk.at.join(format!("{number}.sqlite"));
        assert_eq!(copied(&archive, &copy, &["--verify", "full"])["reflink"], true);
        assert_eq!(digest(&copy), digest(&archive));
    }
    assert!(before.saturating_sub(free()) < size, "five copies took {} bytes", before - free());
    flip(&archive, 7 << 20 | message(7).len() as u64);
    let damaged = digest(&archive);
    let output = copy(&archive, &disk.at.join("bad.sqlite"), &["--verify", "full"]);
    assert_eq!(calm(&output, "damaged"), 5, "{}", said(&output));
    assert!(digest(&archive) == damaged && digest(&disk.at.join("bad.sqlite")) != damaged);
    // While somebody writes the file alone is not the archive.
    let held = Held::new(&disk.at.join("mail"), &disk.at.join("live.sqlite"));
    let copy = disk.at.join("copy-of-live.sqlite");
    assert_eq!(copied(&disk.at.join("live.sqlite"), &copy, &["--verify", "full"])["reflink"], false);
    drop(held);
}

#[test]
fn a_large_archive_is_copied_in_little_memory() {
    let dir = tempfile::tempdir().expect("a directory");
    let mail = maildir(&dir.path().join("mail"), 40, 100);
    let archive = dir.path().join("alice.sqlite");
    for number in 0..15_u64 {
        let mut body: Vec<u8> = message(1_000 + number as u32);
        (0..160_000).for_each(|line| body.extend(filler(number << 32 | line)));
        deliver(&mail, &format!("{}.big", 1_700_000_000 + number), &body);
    }
    ok(&["-q", "import", "maildir", text(&mail), text(&archive)]);
    assert!(fs::metadata(&archive).expect("metadata").len() > 140 << 20);
    // Once from the file alone, once through SQLite, as there is a log.
    let flags = ["--verify", "full"];
    let mut out = Vec::new();
    let mut measure = |name: &str| {
        let at = dir.path().join(name);
        let (code, peak) = measured(vandelay().arg("snapshot").arg(&archive).arg(&at).args(flags), &mut out);
        assert_eq!(code, Some(0), "{name}");
        assert!(peak < 64 << 20, "{name}: {peak} bytes of memory");
    };
    measure("file.sqlite");
    let conn = rusqlite::Connection::open(&archive).expect("it opens");
    conn.execute_batch("CREATE TABLE x (y); INSERT INTO x VALUES (1)").expect("a log");
    measure("pages.sqlite");
    drop(conn);
}

// --- kills and full disks ---------------------------------------------------------------------------------------------

/// Killed at any instant, a copy has its name and is whole, or has none; the next run clears away what is left.
#[test]
fn a_killed_copy_leaves_nothing_under_its_name() {
    let dir = tempfile::tempdir().expect("a directory");
    let archive = archive_of(dir.path(), 3_000, 4_000);
    let disk = folder(dir.path(), "disk");
    let at = disk.join("copy-2026.sqlite");
    let start = || {
        let mut command = vandelay();
        command.arg("-q").arg("snapshot").arg(&archive).arg(&at).args(["--verify", "full"]);
        command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("it starts")
    };
    let started = Instant::now();
    assert!(start().wait().expect("it ends").success());
    let length = started.elapsed();
    let whole = digest(&at);
    fs::remove_file(&at).expect("the copy");
    let (mut left, mut named) = (0, 0);
    let mut dice = Dice(17);
    for trial in 0..if soak() { 200 } else { 30 } {
        let mut child = start();
        std::thread::sleep(length.mul_f64(dice.below(1_100) as f64 / 1_000.0));
        signal(&child, libc::SIGKILL);
        child.wait().expect("it ends");
        let mut there = names(&disk);
        if there.remove("copy-2026.sqlite") {
            named += 1;
            assert_eq!(digest(&at), whole, "trial {trial}: what has the name is whole");
            fs::remove_file(&at).expect("the copy");
        }
        assert!(there.iter().all(|name| name.starts_with('.') && name.ends_with(".vandelay-copy")), "{there:?}");
        left += there.len();
        if dice.below(3) == 0 {
            let done = copied(&archive, &at, &[]);
            assert_eq!(done["leftovers"].as_array().expect("a list").len(), there.len(), "trial {trial}");
            assert_eq!(names(&disk), set(&["copy-2026.sqlite"]), "trial {trial}");
            fs::remove_file(&at).expect("the copy");
        }
    }
    assert!(left >= 5, "only {left} kills came while the copy was made ({named} after it)");
    ok(&["verify", text(&archive)]);
}

/// What another run is still writing is no leftover.
#[test]
fn the_file_of_a_running_copy_is_left_alone() {
    let dir = tempfile::tempdir().expect("a directory");
    let archive = archive_of(dir.path(), 3_000, 4_000);
    let disk = folder(dir.path(), "disk");
    let mut first = vandelay();
    first.arg("-q").arg("snapshot").arg(&archive).arg(disk.join("a.sqlite")).args(["--verify", "full"]);
    let mut first = first.spawn().expect("it starts");
    while names(&disk).is_empty() && first.try_wait().expect("a child").is_none() {
        std::thread::yield_now();
    }
    signal(&first, libc::SIGSTOP);
    assert!(names(&disk).first().is_some_and(|name| name.starts_with('.')), "it was too fast");
    copied(&archive, &disk.join("b.sqlite"), &[]);
    signal(&first, libc::SIGCONT);
    assert!(first.wait().expect("it ends").success());
    assert_eq!(names(&disk), set(&["a.sqlite", "b.sqlite"]));
}

#[test]
fn ctrl_c_leaves_no_file() {
    let dir = tempfile::tempdir().expect("a directory");
    let archive = archive_of(dir.path(), 3_000, 4_000);
    let disk = folder(dir.path(), "disk");
    let mut stopped = 0;
    for wait in [0, 2, 5, 10, 20, 40, 80] {
        let mut command = vandelay();
        command.arg("snapshot").arg(&archive).arg(disk.join("a.sqlite")).args(["--verify", "full"]);
        let mut child = command.stderr(Stdio::null()).spawn().expect("it starts");
        while names(&disk).is_empty() && child.try_wait().expect("a child").is_none() {
            std::thread::yield_now();
        }
        std::thread::sleep(Duration::from_millis(wait));
        signal(&child, libc::SIGINT);
        match child.wait().expect("it ends").code() {
            Some(130) => {
                stopped += 1;
                assert_eq!(names(&disk), set(&[]));
            }
            // It was faster.
            code => {
                assert_eq!((code, names(&disk)), (Some(0), set(&["a.sqlite"])));
                fs::remove_file(disk.join("a.sqlite")).expect("the copy");
            }
        }
    }
    assert!(stopped >= 2, "only {stopped} were stopped");
}

/// A disk that is too small is an error that says how much is needed, and nothing is left on it.
#[test]
fn a_full_disk_takes_no_part_of_a_copy() {
    let dir = tempfile::tempdir().expect("a directory");
    let mail = maildir(&dir.path().join("mail"), 3_000, 3_000);
    let quiet = dir.path().join("quiet.sqlite");
    ok(&["-q", "import", "maildir", text(&mail), text(&quiet)]);
    let live = dir.path().join("live.sqlite");
    let held = Held::new(&mail, &live);
    for kilobytes in [100, 1_000] {
        let at = dir.path().join(format!("disk{kilobytes}"));
        let Some(disk) = Tmpfs::new(&at, &format!("size={kilobytes}k")) else { return };
        for archive in [&quiet, &live] {
            let output = copy(archive, &disk.at, &[]);
            let said = said(&output);
            assert_eq!(calm(&output, "full"), 7, "{said}");
            assert!(
                said.contains("no space left for the copy") && said.contains("hint: ") && said.contains("bytes"),
                "{said}"
            );
            assert_eq!(names(&disk.at), set(&[]));
        }
        disk.remount("size=64m");
        copied(&quiet, &disk.at, &["--verify", "full"]);
        copied(&live, &disk.at, &["--verify", "full"]);
    }
    drop(held);
}

/// The disk of the copy fails in the middle, whatever it said of its free space.
#[test]
fn a_disk_that_fails_while_the_copy_is_written_leaves_nothing() {
    let Some(library) = faulty() else { return };
    let dir = tempfile::tempdir().expect("a directory");
    let mail = maildir(&dir.path().join("mail"), 3_000, 3_000);
    let quiet = dir.path().join("quiet.sqlite");
    ok(&["-q", "import", "maildir", text(&mail), text(&quiet)]);
    let live = dir.path().join("live.sqlite");
    let held = Held::new(&mail, &live);
    let disk = folder(dir.path(), "disk");
    let mut failed = 0;
    for archive in [&quiet, &live] {
        for (kind, at) in [("enospc", 1), ("enospc", 4), ("eio", 1), ("eio", 3), ("short", 2), ("sync", 1)] {
            let mut command = vandelay();
            command.arg("snapshot").arg(archive).arg(disk.join("a.sqlite"));
            let command = command.env("LD_PRELOAD", library).env("FAULT_AT", at.to_string()).env("FAULT_KIND", kind);
            let output = command.output().expect("it runs");
            let what = format!("{kind} at {at} of {}: {}", archive.display(), said(&output));
            match calm(&output, &what) {
                0 => {
                    ok(&["verify", text(&disk.join("a.sqlite"))]);
                    fs::remove_file(disk.join("a.sqlite")).expect("the copy");
                }
                code => {
                    failed += 1;
                    assert_eq!(code, 7, "{what}");
                    assert!(what.contains("a.sqlite"), "{what}");
                    assert!(!["enospc", "short"].contains(&kind) || what.contains("space"), "{what}");
                }
            }
            assert_eq!(names(&disk), set(&[]), "{what}");
        }
    }
    assert!(failed >= 8, "only {failed} copies met a fault");
    drop(held);
}

// --- names and retention ----------------------------------------------------------------------------------------------

#[test]
fn a_copy_replaces_nothing() {
    let dir = tempfile::tempdir().expect("a directory");
    let archive = archive_of(dir.path(), 5, 100);
    let before = digest(&archive);
    let at = dir.path().join("there");
    fs::write(&at, "precious").expect("a file");
    std::os::unix::fs::symlink("nowhere", dir.path().join("link")).expect("a link");
    for taken in [&at, &dir.path().join("link"), &archive] {
        let output = copy(&archive, taken, &[]);
        let said = said(&output);
        assert!(output.status.code() == Some(7) && said.contains("exists") && said.contains("hint: "), "{said}");
    }
    assert_eq!(fs::read_to_string(&at).expect("a file"), "precious");
    assert!(dir.path().join("link").symlink_metadata().is_ok());
    assert_eq!(digest(&archive), before);
    assert_eq!(names(dir.path()), set(&["alice.sqlite", "alice.sqlite.search", "link", "mail", "there"]));
}

#[test]
fn names_hold_the_date_in_local_time() {
    let dir = tempfile::tempdir().expect("a directory");
    let archive = archive_of(dir.path(), 5, 100);
    let disk = folder(dir.path(), "disk");
    let zone = |zone: &str| {
        let mut command = vandelay();
        command.env("TZ", zone).arg("--json").arg("snapshot").arg(&archive);
        command
    };
    // Fourteen hours lie between them: never the same hour.
    for (at, name) in [("<+12>-12", "%F-%H"), ("<-02>+02", "%F-%H")] {
        let output = zone(at).arg(disk.join(name)).output().expect("it runs");
        assert!(output.status.success(), "{}", said(&output));
    }
    assert_eq!(names(&disk).len(), 2, "{:?}", names(&disk));
    let text_of = |at: &Path| said(&copy(&archive, at, &[]));
    assert!(text_of(Path::new("/proc")).contains("cannot write the copy /proc/alice-"));
    // A folder takes the name of the archive and the day.
    let output = zone("UTC").arg(&disk).output().expect("it runs");
    let path = summary(&output)["copy"].as_str().expect("a path").to_owned();
    let day = path.strip_prefix(&format!("{}/alice-", disk.display())).and_then(|rest| rest.strip_suffix(".sqlite"));
    assert!(day.is_some_and(|day| day.len() == 10 && day.starts_with("20")), "{path}");
    assert!(fails(&["snapshot", text(&archive), text(&disk)], 7).contains("%H%M%S"));
    for (name, flags) in
        [("%Q", &[][..]), ("50%", &[]), ("none/%Y", &[]), ("%Y/%F", &[]), ("plain", &["--keep-last", "3"])]
    {
        let at = disk.join(name);
        let said = fails(&[&["snapshot", text(&archive), text(&at)], flags].concat(), 1);
        assert!(said.contains("error: ") && said.contains("hint: "), "{said}");
    }
    assert_eq!(names(&disk).len(), 3);
}

/// The rules are those of `forget`, and nothing is removed but older copies of this account.
#[test]
fn retention_removes_old_copies_of_this_archive_only() {
    let dir = tempfile::tempdir().expect("a directory");
    let archive = archive_of(dir.path(), 5, 100);
    let other = archive_of(&folder(dir.path(), "other"), 5, 100);
    let disk = folder(dir.path(), "disk");
    let at = |name: &str| disk.join(name);
    copied(&archive, &at("base"), &[]);
    for day in 1..=28 {
        fs::copy(at("base"), at(&format!("a-2026-02-{day:02}.sqlite"))).expect("a copy");
    }
    fs::remove_file(at("base")).expect("a copy");
    fs::copy(&other, at("a-2026-01-05.sqlite")).expect("another account");
    fs::write(at("a-2026-01-06.sqlite"), "no archive").expect("a file");
    std::os::unix::fs::symlink(at("a-2026-02-01.sqlite"), at("a-2026-01-07.sqlite")).expect("a link");
    fs::copy(&archive, at("a-2026-1-8.sqlite")).expect("no name of the pattern");
    fs::copy(&archive, at("b-2026-01-09.sqlite")).expect("no name of the pattern");
    let pattern = at("a-%Y-%m-%d.sqlite");
    let done = copied(&archive, &pattern, &["--keep-last", "3", "--keep-monthly", "2"]);
    let new = PathBuf::from(done["copy"].as_str().expect("a path"));
    let new = new.file_name().expect("a name").to_str().expect("UTF-8").to_owned();
    let strangers = ["a-2026-01-05.sqlite", "a-2026-01-06.sqlite", "a-2026-01-07.sqlite"];
    let mut kept = set(&["a-2026-02-27.sqlite", "a-2026-02-28.sqlite", &new]);
    let retention = &done["retention"];
    assert_eq!(retention["removed_copies"].as_array().expect("a list").len(), 26, "{retention}");
    assert_eq!(retention["kept_copies"].as_array().expect("a list").len(), 3, "{retention}");
    assert_eq!(retention["copies_left_alone"].as_array().expect("a list").len(), 3, "{retention}");
    kept.extend(set(&strangers));
    kept.extend(set(&["a-2026-1-8.sqlite", "b-2026-01-09.sqlite"]));
    assert_eq!(names(&disk), kept);
    assert_eq!(digest(&at("a-2026-01-05.sqlite")), digest(&other));
    // One that nobody looked at pushes none out.
    fails(&["snapshot", text(&archive), text(&at("c-%F")), "--verify", "none", "--keep-last", "1"], 1);
    // A file without rules is never looked at, and each that goes is named.
    fs::remove_file(at(&new)).expect("the copy");
    let output = copy(&archive, &pattern, &["--keep-last", "1"]);
    let said = said(&output);
    assert!(
        said.contains("removed ") && said.contains("a-2026-02-27.sqlite") && said.contains("a-2026-02-28.sqlite"),
        "{said}"
    );
    fs::remove_file(at(&new)).expect("the copy");
    assert_eq!(copied(&archive, &pattern, &[])["retention"], Value::Null);
}

/// A copy in use, and one that may not be removed, stay and are named.
#[test]
fn copies_in_use_stay() {
    let dir = tempfile::tempdir().expect("a directory");
    let mail = maildir(&dir.path().join("mail"), 4_000, 2_000);
    let disk = folder(dir.path(), "disk");
    let archive = dir.path().join("alice.sqlite");
    let in_use = disk.join("a-2026-02-01.sqlite");
    let held = Held::new(&mail, &in_use);
    ok(&["-q", "import", "maildir", text(&mail), text(&archive)]);
    let done = copied(&archive, &disk.join("a-%F.sqlite"), &["--keep-last", "1"]);
    assert!(in_use.exists(), "{done}");
    assert!(
        done["retention"]["copies_left_alone"][0]["reason"].as_str().expect("a reason").contains("being written"),
        "{done}"
    );
    assert!(held.go_on().status.success());
}

// --- damage -----------------------------------------------------------------------------------------------------------

/// Flips a byte of a message in the file.
fn flip(archive: &Path, number: u64) {
    let mut bytes = fs::read(archive).expect("the archive");
    let line = filler(number);
    // SQLite may have left the bytes of a page that it wrote again.
    let places: Vec<usize> =
        bytes.windows(line.len()).enumerate().filter(|(_, part)| *part == line).map(|(at, _)| at).collect();
    assert!(!places.is_empty(), "a line of a message");
    places.iter().for_each(|at| bytes[at + 5] ^= 1);
    fs::write(archive, bytes).expect("the archive");
}

/// What can be had of a damaged archive is in the copy, which says of itself what it lacks, to every command.
#[test]
fn a_copy_of_a_damaged_archive_is_marked_as_incomplete() {
    let dir = tempfile::tempdir().expect("a directory");
    let home = folder(dir.path(), "home");
    let archive = archive_of(&home, 60, 2_000);
    let disk = folder(dir.path(), "disk");
    copied(&archive, &disk.join("a-2026-02-01.sqlite"), &[]);
    let message = message(7).len() as u64;
    flip(&archive, 7 << 20 | message);
    let before = listing(&home);
    let pattern = disk.join("a-%F.sqlite");
    let output = copy(&archive, &pattern, &["--verify", "full", "--keep-last", "1", "--json"]);
    assert_eq!(calm(&output, "damaged"), 5, "{}", said(&output));
    assert!(said(&output).contains("is incomplete"), "{}", said(&output));
    assert_eq!(listing(&home), before, "the archive is as it was");
    let objects = String::from_utf8_lossy(&output.stdout).into_owned();
    let finding: Value = serde_json::from_str(objects.lines().next().expect("a line")).expect("JSON");
    assert!(
        finding["message_type"] == "finding"
            && finding["affected"][0]["path"].as_str().expect("a path").starts_with("mail/"),
        "{finding}"
    );
    let done = summary(&output);
    assert_eq!(done["incomplete"]["finding_count"], 1);
    assert_eq!(done["retention"], Value::Null, "no copy is removed for an incomplete one");
    assert_eq!(names(&disk).len(), 2);
    let bad = PathBuf::from(done["copy"].as_str().expect("a path"));
    // Every command says so, once.
    let mnt = folder(dir.path(), "mnt");
    let out = dir.path().join("out");
    let mail = home.join("mail");
    let mut commands = vec![
        vec!["inspect", text(&bad)],
        vec!["inspect", text(&bad), "email"],
        vec!["snapshots", text(&bad)],
        vec!["forget", text(&bad), "--keep-last", "5", "--dry-run"],
        vec!["verify", text(&bad)],
        vec!["ls", text(&bad), "mail"],
        vec!["diff", text(&bad), "1", "1"],
        vec!["extract", text(&bad), "-C", text(&out)],
        vec!["export", "eml", text(&bad), text(&out), "--dry-run"],
        vec!["import", "maildir", text(&mail), text(&bad), "--dry-run"],
        vec!["mount", "--fake", text(&bad), text(&mnt)],
        vec!["mount", "--fake", text(&disk), text(&mnt)],
    ];
    let again = dir.path().join("again.sqlite");
    commands.push(vec!["snapshot", text(&bad), text(&again), "--verify", "none"]);
    for command in &commands {
        let output = run(command);
        let said = said(&output);
        assert_eq!(said.matches("is an incomplete copy: 1 finding").count(), 1, "{command:?}: {said}");
        let good = run(&command
            .iter()
            .map(|word| if *word == text(&bad) { text(&archive) } else { word })
            .collect::<Vec<_>>());
        assert!(!self::said(&good).contains("incomplete copy") || command.contains(&text(&disk)), "{command:?}");
    }
    let inspected: Value = serde_json::from_str(&ok(&["--json", "inspect", text(&bad)])).expect("JSON");
    assert_eq!(inspected["incomplete"]["finding_count"], 1);
    assert!(inspected["incomplete"]["named"][0]["place"].as_str().expect("a place").starts_with("blob "));
    assert_eq!(
        serde_json::from_str::<Value>(&ok(&["--json", "inspect", text(&archive)])).expect("JSON")["incomplete"],
        Value::Null
    );
    // All else can be read in it.
    let (lost, there) = (tree_of(&bad), tree_of(&disk.join("a-2026-02-01.sqlite")));
    assert_eq!((lost, there), (there - 1, there));
    // A copy of an incomplete copy is one, also where nobody looks for what is missing.
    assert!(ok(&["--json", "inspect", text(&again)]).contains("\"finding_count\":1"));
    // The next complete copy pushes it out, and not the other way round.
    fs::remove_file(&archive).expect("the archive");
    ok(&["-q", "import", "maildir", text(&mail), text(&archive)]);
    let day = bad.file_name().expect("a name").to_str().expect("UTF-8").to_owned();
    fs::rename(&bad, disk.join("a-2026-02-02.sqlite")).expect("an older copy");
    copied(&archive, &pattern, &["--keep-last", "2"]);
    assert_eq!(
        names(&disk),
        set(&["a-2026-02-01.sqlite", "a-2026-02-02.sqlite", &day]),
        "the complete one before it stays"
    );
    fs::remove_file(disk.join(&day)).expect("the copy");
    copied(&archive, &pattern, &["--keep-last", "1"]);
    assert_eq!(names(&disk), set(&[&day]));
}

/// How many messages of an archive can be read.
fn tree_of(archive: &Path) -> usize {
    let out = tempfile::tempdir().expect("a directory");
    let _ = run(&["-q", "extract", text(archive), "mail", "-C", text(out.path())]);
    let found =
        Command::new("find").arg(out.path()).args(["-type", "f", "-name", "*vandelay*"]).output().expect("find");
    String::from_utf8_lossy(&found.stdout).lines().count()
}

/// Pages overwritten at many places: a copy that names something, or none and the reason; never a copy that passes for good.
#[test]
fn damaged_pages_never_give_a_copy_that_passes_for_good() {
    let dir = tempfile::tempdir().expect("a directory");
    let archive = archive_of(dir.path(), 400, 3_000);
    let good = fs::read(&archive).expect("the archive");
    let disk = folder(dir.path(), "disk");
    let pages = good.len() / 16_384;
    let mut dice = Dice(3);
    let (mut marked, mut refused) = (0, 0);
    for trial in 0..if soak() { 200 } else { 25 } {
        let mut bytes = good.clone();
        // Behind the first page, which has the schema.
        let page = 1 + dice.below(pages - 1);
        bytes[page * 16_384..(page + 1) * 16_384].fill_with(|| dice.roll() as u8);
        fs::write(&archive, &bytes).expect("the archive");
        let at = disk.join(format!("{trial}.sqlite"));
        let output = copy(&archive, &at, &["--verify", "full"]);
        let what = format!("page {page}: {}", said(&output));
        match calm(&output, &what) {
            5 => {
                marked += 1;
                assert!(said(&run(&["inspect", text(&at)])).contains("is an incomplete copy"), "{what}");
                assert!(!output.stdout.is_empty(), "{what}");
            }
            code => {
                refused += 1;
                assert!([7, 8, 10].contains(&code), "{code}: {what}");
                assert_eq!(names(&disk).len(), marked, "{what}");
            }
        }
        assert!(fs::read(&archive).expect("the archive") == bytes, "{what}");
        assert_eq!(names(&disk).len(), marked, "{what}");
    }
    assert!(marked > 10, "{marked} copies were marked, {refused} refused");
}

/// What the disk does not give is named, and the rest is copied.
#[test]
fn a_disk_with_bad_sectors_gives_what_it_has() {
    let Some(library) = faulty() else { return };
    let dir = tempfile::tempdir().expect("a directory");
    let archive = archive_of(dir.path(), 400, 3_000);
    let size = fs::metadata(&archive).expect("metadata").len();
    let at = dir.path().join("copy.sqlite");
    let (from, to) = (size / 2, size / 2 + 9_000);
    let mut command = vandelay();
    command.arg("snapshot").arg(&archive).arg(&at).args(["--verify", "full", "--json"]);
    command.env("LD_PRELOAD", library).env("FAULT_KIND", "read");
    let output = command.env("FAULT_FROM", from.to_string()).env("FAULT_TO", to.to_string()).output().expect("it runs");
    assert_eq!(calm(&output, "bad sectors"), 5, "{}", said(&output));
    assert!(String::from_utf8_lossy(&output.stdout).contains("the disk did not give the bytes"), "{output:?}");
    let (was, is) = (fs::read(&archive).expect("the archive"), fs::read(&at).expect("the copy"));
    let differs: Vec<usize> = (100..was.len().min(is.len())).filter(|at| was[*at] != is[*at]).collect();
    let inside = |at: usize| at as u64 >= from - 4_096 && (at as u64) < to + 4_096;
    // The mark is in the schema, which is on the first page.
    assert!(differs.iter().filter(|at| **at >= 16_384).all(|at| inside(*at)), "{differs:?}");
    assert!(said(&run(&["inspect", text(&at)])).contains("is an incomplete copy"));
}

/// A hostile mark does no harm.
#[test]
fn a_strange_mark_is_a_mark() {
    let dir = tempfile::tempdir().expect("a directory");
    let archive = archive_of(dir.path(), 5, 100);
    for (number, sql) in [
        "CREATE TABLE incomplete (x)",
        "CREATE TABLE incomplete (id, noted, findings, named); INSERT INTO incomplete VALUES (1, x'00', 'many', 3.5)",
        "CREATE TABLE incomplete (id, noted, findings, named); INSERT INTO incomplete VALUES (1, 'a', -5, '[[[[')",
        "CREATE TABLE incomplete (id, noted, findings, named); INSERT INTO incomplete VALUES (1, 'a', 1, printf('%.*c', 9000000, '['))",
        "CREATE TABLE incomplete (id, noted, findings, named); INSERT INTO incomplete VALUES (1, 'a', 1, json_array(json_object('place', char(27) || '[31m', 'what', char(10, 8238))))",
    ]
    .iter()
    .enumerate()
    {
        let at = dir.path().join(format!("{number}.sqlite"));
        fs::copy(&archive, &at).expect("a copy");
        rusqlite::Connection::open(&at).and_then(|conn| conn.execute_batch(sql)).expect("a mark");
        let output = run(&["inspect", text(&at)]);
        assert_eq!(calm(&output, sql), 0, "{}", said(&output));
        let said = said(&output);
        assert!(said.contains("is an incomplete copy") && !said.contains('\u{1b}') && !said.contains('\u{202e}'), "{said}");
        assert_eq!(said.trim_end().lines().count(), 1, "{said}");
    }
}

/// Whatever the umask and the rights of the archive.
#[test]
fn only_the_owner_may_read_a_copy() {
    let dir = tempfile::tempdir().expect("a directory");
    let archive = archive_of(dir.path(), 5, 100);
    for mode in [0o400, 0o600, 0o644, 0o666] {
        fs::set_permissions(&archive, fs::Permissions::from_mode(mode)).expect("a mode");
        let at = dir.path().join(format!("{mode:o}.sqlite"));
        let mut command = Command::new("sh");
        command.args(["-c", "umask 0; exec \"$@\"", "sh", env!("CARGO_BIN_EXE_vandelay"), "-q", "snapshot"]);
        assert!(command.arg(&archive).arg(&at).status().expect("it runs").success());
        assert_eq!(fs::metadata(&at).expect("metadata").mode() & 0o777, 0o600);
    }
}

/// Files that are imported one by one are of one source in every archive, which tells nothing of whose they are.
#[test]
fn copies_of_two_people_with_nothing_but_files_do_not_push_each_other_out() {
    let dir = tempfile::tempdir().expect("a directory");
    let at = |name: &str| dir.path().join(name);
    fs::create_dir(at("disk")).expect("a folder");
    let pattern = at("disk/%F-%H%M%S.sqlite");
    let import = |name: &str| {
        let card = at(&format!("{name}.vcf"));
        fs::write(&card, format!("BEGIN:VCARD\r\nVERSION:3.0\r\nUID:{name}\r\nFN:{name}\r\nEND:VCARD\r\n"))
            .expect("a card");
        ok(&["import", "vcf", text(&card), text(&at(&format!("{name}.sqlite")))]);
    };
    for name in ["a", "b", "a", "b"] {
        import(name);
        ok(&["snapshot", text(&at(&format!("{name}.sqlite"))), text(&pattern), "--keep-last", "1"]);
        std::thread::sleep(Duration::from_millis(1100));
    }
    let left = fs::read_dir(at("disk")).expect("a folder").count();
    assert_eq!(left, 2, "one of each");
}
