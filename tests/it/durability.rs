//! What an archive survives: killed imports, full and failing disks, flipped bytes, read-only media, two writers.
//!
//! The letters are those of the acceptance list (A durability, B import safety, I operations). Long versions run with
//! VANDELAY_SOAK set.

use crate::common;
use crate::common::held::{Held, import_command, signal};
use crate::common::*;
use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::{Duration, Instant};

/// The most items that a batch holds, as the specification of the archive says.
const BATCH: i64 = 256;

fn text(path: &Path) -> &str {
    path.to_str().expect("a path in UTF-8")
}

fn import(maildir: &Path, archive: &Path) -> serde_json::Value {
    json(&["import", "maildir", text(maildir), text(archive), "--json"])
}

/// `verify` must find nothing. An archive that was killed before it came to be is none yet.
fn sound(archive: &Path, what: &str) {
    if !archive.exists() {
        return;
    }
    let output = run(&["verify", text(archive)]);
    assert_eq!(
        calm(&output, what),
        0,
        "{what}: {}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
}

fn count(archive: &Path, sql: &str) -> i64 {
    let conn =
        rusqlite::Connection::open_with_flags(archive, rusqlite::OpenFlags::SQLITE_OPEN_READ_ONLY).expect("it opens");
    conn.query_row(sql, [], |row| row.get(0)).expect("a number")
}

// --- kills ------------------------------------------------------------------------------------------------------------

/// Killed at any instant, an archive verifies, and the next run makes it what an uninterrupted one would have.
#[test]
fn a_killed_import_leaves_a_sound_archive_and_the_next_one_converges() {
    let dir = tempfile::tempdir().expect("a directory");
    let mail = maildir(&dir.path().join("mail"), 3_000, 2_000);
    let whole = dir.path().join("whole.sqlite");
    let started = Instant::now();
    assert!(import_command(&mail, &whole).status().expect("it runs").success());
    let length = started.elapsed();
    let (rows, shown) = (dump(&whole), tree(&whole, "latest"));
    let mut dice = Dice(1);
    let archive = dir.path().join("killed.sqlite");
    for trial in 0..if soak() { 200 } else { 25 } {
        let what = format!("trial {trial}");
        // Sometimes several in a row are killed in the same archive.
        if dice.below(3) > 0 {
            for suffix in ["", "-wal", "-shm", ".lock"] {
                let _ = fs::remove_file(format!("{}{suffix}", archive.display()));
            }
        }
        let mut child = import_command(&mail, &archive).spawn().expect("it starts");
        // Half of the kills fall into the first tenth, when the archive comes to be.
        let share = dice.below(1_000) as f64 / if dice.below(2) == 0 { 10_000.0 } else { 1_000.0 };
        std::thread::sleep(length.mul_f64(share));
        signal(&child, libc::SIGKILL);
        let status = child.wait().expect("it ends");
        assert!(status.success() || status.signal() == Some(9), "{what}: {status}");
        sound(&archive, &what);
        if dice.below(2) == 0 {
            continue;
        }
        let kept = if archive.exists() { count(&archive, "SELECT count(*) FROM emails") } else { 0 };
        let done = import(&mail, &archive);
        assert_eq!(done["types"]["email"]["new"], 3_000 - kept, "{what}: what was committed is not fetched again");
        sound(&archive, &what);
        assert!(dump(&archive) == rows, "{what}: the rows are those of an uninterrupted run");
        assert!(tree(&archive, "latest") == shown, "{what}: the tree is that of an uninterrupted run");
        mailbox_notes_are_true(&archive);
        assert_eq!(import(&mail, &archive)["types"]["email"]["unchanged"], 3_000, "{what}");
    }
}

/// What was read and not yet committed when it was killed is at most a batch and what waits for the writer.
#[test]
fn at_most_one_batch_is_read_again_after_a_kill() {
    let dir = tempfile::tempdir().expect("a directory");
    let mail = maildir(&dir.path().join("mail"), 3_000, 2_000);
    let files: Vec<PathBuf> = ["cur", ".Work/cur", ".Work.Old & done/cur"]
        .iter()
        .flat_map(|part| fs::read_dir(mail.join(part)).expect("a folder").map(|entry| entry.expect("an entry").path()))
        .collect();
    let long_ago = std::time::UNIX_EPOCH + Duration::from_secs(1_000_000_000);
    let mut dice = Dice(2);
    let mut most = 0;
    for trial in 0..6 {
        for file in &files {
            // An access time before the time of change is renewed at the next read, also with relatime.
            let times = fs::FileTimes::new().set_accessed(long_ago).set_modified(long_ago + Duration::from_secs(60));
            fs::File::options().write(true).open(file).and_then(|file| file.set_times(times)).expect("times");
        }
        let archive = dir.path().join(format!("{trial}.sqlite"));
        let mut child = import_command(&mail, &archive).spawn().expect("it starts");
        let goal = dice.below(2_000_000) as u64;
        while fs::metadata(&archive).map_or(0, |meta| meta.len()) < goal && child.try_wait().expect("a child").is_none()
        {
            std::thread::sleep(Duration::from_millis(1));
        }
        signal(&child, libc::SIGKILL);
        let _ = child.wait();
        let read =
            files.iter().filter(|file| fs::metadata(file).expect("metadata").atime() > 1_000_000_100).count() as i64;
        let kept = if archive.exists() { count(&archive, "SELECT count(*) FROM emails") } else { 0 };
        assert!(read > 0 || kept == 0, "access times tell nothing here");
        most = most.max(read - kept);
        assert!(read - kept <= BATCH, "trial {trial}: {read} were read and {kept} are kept");
    }
    eprintln!("at most {most} messages were read again");
}

/// The instants at which the file exists and holds nothing yet.
#[test]
fn an_archive_that_was_killed_while_it_was_made_is_made_by_the_next_run() {
    let dir = tempfile::tempdir().expect("a directory");
    let mail = maildir(&dir.path().join("mail"), 5, 100);
    let empty = dir.path().join("empty.sqlite");
    fs::write(&empty, b"").expect("a file");
    import(&mail, &empty);
    let bare = dir.path().join("bare.sqlite");
    let conn = rusqlite::Connection::open(&bare).expect("a database");
    conn.pragma_update(None, "journal_mode", "WAL").expect("a pragma");
    drop(conn);
    assert!(fs::metadata(&bare).expect("a file").len() > 0, "the header is there, the tables are not");
    import(&mail, &bare);
    for archive in [&empty, &bare] {
        sound(archive, "after the second run");
        assert_eq!(count(archive, "SELECT count(*) FROM emails"), 5);
    }
}

// --- writes that fail -------------------------------------------------------------------------------------------------

/// A full disk stops the import with 7 and its reason; nothing is lost, and it goes on when there is room.
#[test]
fn a_full_disk_stops_an_import_and_loses_nothing() {
    let dir = tempfile::tempdir().expect("a directory");
    let mail = maildir(&dir.path().join("mail"), 1_500, 6_000);
    let whole = dir.path().join("whole.sqlite");
    import(&mail, &whole);
    let rows = dump(&whole);
    // From a disk that cannot even take the tables, over log and index, to one that lacks the last megabyte.
    for kilobytes in [16, 40, 100, 200, 300, 600, 1_500, 4_000, 8_000, 9_000] {
        let what = format!("{kilobytes} KiB");
        let Some(disk) = Tmpfs::new(&dir.path().join(format!("disk{kilobytes}")), &format!("size={kilobytes}k")) else {
            return;
        };
        let archive = disk.at.join("a.sqlite");
        let output = run(&["import", "maildir", text(&mail), text(&archive)]);
        assert_eq!(calm(&output, &what), 7, "{what}: {}", String::from_utf8_lossy(&output.stderr));
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(said.contains("space") && said.contains("a.sqlite"), "{what}: {said}");
        sound(&archive, &what);
        disk.remount("size=64m");
        import(&mail, &archive);
        sound(&archive, &what);
        assert!(dump(&archive) == rows, "{what}: the rows are those of an uninterrupted run");
        mailbox_notes_are_true(&archive);
    }
}

/// With a full disk an archive that was complete stays as it is.
#[test]
fn a_full_disk_does_not_hurt_what_is_complete() {
    let dir = tempfile::tempdir().expect("a directory");
    let mail = maildir(&dir.path().join("mail"), 200, 2_000);
    let Some(disk) = Tmpfs::new(&dir.path().join("disk"), "size=8m") else { return };
    let archive = disk.at.join("a.sqlite");
    import(&mail, &archive);
    let before = tree(&archive, "1");
    let room: u64 = [&archive, &archive.with_extension("sqlite.search")]
        .iter()
        .map(|path| fs::metadata(path).expect("metadata").len().next_multiple_of(4_096))
        .sum();
    fs::write(disk.at.join("ballast"), vec![1; (8 << 20) - room as usize - 300_000]).expect("ballast");
    maildir(&mail, 1_000, 2_000);
    let said = fails(&["import", "maildir", text(&mail), text(&archive)], 7);
    assert!(said.contains("space"), "{said}");
    sound(&archive, "full");
    assert!(
        tree(&archive, "1") == before && tree(&archive, "latest").keys().eq(before.keys()),
        "what was there is there"
    );
    fs::remove_file(disk.at.join("ballast")).expect("room");
    assert_eq!(import(&mail, &archive)["state"], "complete");
    assert!(tree(&archive, "1") == before);
}

/// A file that may not grow makes writes fail at every size.
#[test]
fn a_file_size_limit_never_passes_for_success() {
    let dir = tempfile::tempdir().expect("a directory");
    let mail = maildir(&dir.path().join("mail"), 300, 1_000);
    let whole = dir.path().join("whole.sqlite");
    import(&mail, &whole);
    let size = fs::metadata(&whole).expect("metadata").len() as usize;
    let rows = dump(&whole);
    let mut dice = Dice(5);
    for trial in 0..if soak() { 200 } else { 16 } {
        let limit = 1_000 + dice.below(size - 1_000);
        let archive = dir.path().join(format!("{trial}.sqlite"));
        // With the signal ignored the write fails; else it kills.
        for trap in ["trap '' XFSZ; ", "ulimit -c 0; "] {
            let what = format!("limit {limit}, {trap}");
            let output = Command::new("sh")
                .args(["-c", &format!("{trap}exec prlimit --fsize={limit} \"$@\""), "sh"])
                .arg(env!("CARGO_BIN_EXE_vandelay"))
                .args(["import", "maildir", text(&mail), text(&archive)])
                .output()
                .expect("it runs");
            if output.status.success() {
                // The limit was above what the file and its log take at any time.
                assert!(dump(&archive) == rows, "{what}: success, and rows are missing");
            } else if output.status.signal() != Some(libc::SIGXFSZ) {
                assert_eq!(calm(&output, &what), 7, "{what}: {}", String::from_utf8_lossy(&output.stderr));
            }
            sound(&archive, &what);
        }
        import(&mail, &archive);
        sound(&archive, "after the limit");
        assert!(dump(&archive) == rows, "limit {limit}");
    }
}

/// The Nth write or sync fails, for many N: never success, never a corrupt archive, and the next run converges.
#[test]
fn a_failing_write_never_passes_for_success() {
    let Some(library) = faulty() else { return };
    let dir = tempfile::tempdir().expect("a directory");
    let mail = maildir(&dir.path().join("mail"), 600, 500);
    let whole = dir.path().join("whole.sqlite");
    import(&mail, &whole);
    let rows = dump(&whole);
    let mut failed = 0;
    let points: Vec<usize> =
        if soak() { (1..=500).collect() } else { vec![1, 2, 3, 5, 9, 20, 50, 90, 140, 230, 400, 600] };
    for kind in ["eio", "enospc", "short", "sync", "once"] {
        for at in &points {
            // There are few syncs.
            let at = if kind == "sync" { at.div_ceil(40).max(1) } else { *at };
            let what = format!("{kind} at {at}");
            let archive = dir.path().join("a.sqlite");
            for suffix in ["", "-wal", "-shm", ".lock"] {
                let _ = fs::remove_file(format!("{}{suffix}", archive.display()));
            }
            let output = vandelay()
                .args(["import", "maildir", text(&mail), text(&archive)])
                .env("LD_PRELOAD", library)
                .env("FAULT_AT", at.to_string())
                .env("FAULT_KIND", kind)
                .output()
                .expect("it runs");
            let code = calm(&output, &what);
            if code == 0 {
                // The fault fell behind the last commit: all is in the log, or nothing had to be written any more.
                assert!(dump(&archive) == rows, "{what}: success, and rows are missing");
            } else {
                failed += 1;
                assert_eq!(code, 7, "{what}: {}", String::from_utf8_lossy(&output.stderr));
            }
            sound(&archive, &what);
            import(&mail, &archive);
            sound(&archive, &what);
            assert!(dump(&archive) == rows, "{what}");
        }
    }
    assert!(failed > 20, "only {failed} runs met a fault");
}

// --- damage -----------------------------------------------------------------------------------------------------------

/// A flipped byte is found, named by path, and served to nobody; everything else is.
#[test]
fn flipped_bytes_are_named_and_never_served() {
    let dir = tempfile::tempdir().expect("a directory");
    let mail = maildir(&dir.path().join("mail"), 200, 700);
    let archive = dir.path().join("a.sqlite");
    import(&mail, &archive);
    let good = tree(&archive, "latest");
    let mut bytes = fs::read(&archive).expect("the archive");
    let mut bad: BTreeSet<String> = BTreeSet::new();
    let mut dice = Dice(6);
    let messages: Vec<(&String, &Vec<u8>)> = good.iter().filter(|(path, _)| path.contains(".vandelay,")).collect();
    while bad.len() < 30 {
        let (path, content) = messages[dice.below(messages.len())];
        // Lines of filler are in no other message.
        let line = &content[content.len() - 130..content.len() - 66];
        let places: Vec<usize> = memchr::memmem::find_iter(&bytes, line).collect();
        if bad.insert(path.clone()) {
            // A page that was split may hold a stale copy, so all of them are hit.
            let (at, bit) = (dice.below(line.len()), dice.below(8));
            assert!(!places.is_empty(), "the line stands in the file");
            places.iter().for_each(|place| bytes[place + at] ^= 1 << bit);
        }
    }
    fs::write(&archive, &bytes).expect("the damage");
    let output = run(&["verify", text(&archive), "--json"]);
    assert_eq!(calm(&output, "verify"), 8);
    let mut named: BTreeSet<String> = BTreeSet::new();
    for line in String::from_utf8_lossy(&output.stdout).lines() {
        let line: serde_json::Value = serde_json::from_str(line).expect("JSON");
        if line["message_type"] == "finding" {
            let affected = line["affected"].as_array().expect("paths");
            named.extend(affected.iter().filter_map(|one| one["path"].as_str()).map(str::to_owned));
        }
    }
    assert_eq!(named, bad, "exactly the damaged ones are named");
    let said = String::from_utf8_lossy(&run(&["verify", text(&archive)]).stdout).into_owned();
    assert!(bad.iter().all(|path| said.contains(path.as_str())), "the text names them too");
    for (path, content) in messages.iter().step_by(7) {
        let output = run(&["cat", text(&archive), path]);
        if bad.contains(*path) {
            assert_eq!((output.status.code(), output.stdout.as_slice()), (Some(8), b"".as_slice()), "{path}");
        } else {
            assert!(output.status.success() && output.stdout == **content, "{path}");
        }
    }
    if let Some(mounted) = Mounted::new(&archive, &dir.path().join("mnt"), &[]) {
        for (path, content) in &messages {
            match fs::read(mounted.at.join(path)) {
                Ok(read) => assert!(!bad.contains(*path) && read == **content, "{path}"),
                Err(error) => {
                    assert!(bad.contains(*path) && error.raw_os_error() == Some(libc::EIO), "{path}: {error}")
                }
            }
        }
    }
}

/// A cut file, a missing log, the log of another archive: a clear error or a consistent state, never a panic.
#[test]
fn truncated_archives_and_wrong_logs_do_not_confuse() {
    let dir = tempfile::tempdir().expect("a directory");
    let mail = maildir(&dir.path().join("mail"), 3_000, 1_000);
    let whole = dir.path().join("whole.sqlite");
    let log = dir.path().join("whole.sqlite-wal");
    let (bytes, log_bytes) = {
        let _held = Held::new(&mail, &whole);
        (fs::read(&whole).expect("the archive"), fs::read(&log).expect("its log"))
    };
    import(&mail, &whole);
    let done = fs::read(&whole).expect("the archive");
    let other = dir.path().join("other.sqlite");
    let other_mail = maildir(&dir.path().join("other"), 3_000, 300);
    let other_log = {
        let _held = Held::new(&other_mail, &other);
        fs::read(dir.path().join("other.sqlite-wal")).expect("its log")
    };
    let mut dice = Dice(7);
    let mut cases: Vec<(String, Vec<u8>, Option<Vec<u8>>)> = vec![
        ("no log".to_owned(), bytes.clone(), None),
        ("log of another archive".to_owned(), bytes.clone(), Some(other_log.clone())),
        ("log of another archive beside a done one".to_owned(), done.clone(), Some(other_log)),
        ("old log beside a done one".to_owned(), done.clone(), Some(log_bytes.clone())),
        ("log of zeros".to_owned(), done.clone(), Some(vec![0; 50_000])),
        ("empty".to_owned(), Vec::new(), None),
    ];
    for trial in 0..if soak() { 200 } else { 14 } {
        let at = if trial < 4 { [1, 99, 100, 4_096][trial] } else { dice.below(done.len()) };
        cases.push((format!("cut at {at}"), done[..at].to_vec(), None));
    }
    for _ in 0..if soak() { 100 } else { 6 } {
        let at = dice.below(log_bytes.len());
        cases.push((format!("log cut at {at}"), bytes.clone(), Some(log_bytes[..at].to_vec())));
    }
    for (at, (what, bytes, log)) in cases.into_iter().enumerate() {
        let place = dir.path().join(format!("case{at}"));
        fs::create_dir(&place).expect("a directory");
        let archive = place.join("a.sqlite");
        fs::write(&archive, bytes).expect("an archive");
        if let Some(log) = log {
            fs::write(place.join("a.sqlite-wal"), log).expect("a log");
        }
        let before = listing(&place);
        for command in [&["verify"][..], &["inspect"], &["ls", "-R"], &["snapshots"]] {
            let output = vandelay().args(command).arg(&archive).output().expect("it runs");
            let code = calm(&output, &format!("{what}: {command:?}"));
            assert!([0, 7, 8, 10].contains(&code), "{what}: {command:?}: {code}");
            let said = String::from_utf8_lossy(&output.stderr).into_owned();
            assert!(code == 0 || said.lines().any(|line| line.starts_with("error: ")), "{what}: {said}");
        }
        assert_eq!(listing(&place), before, "{what}: readers change nothing");
        let verified = run(&["verify", text(&archive)]).status.code();
        let output = run(&["import", "maildir", text(&mail), text(&archive)]);
        let code = calm(&output, &what);
        // A foreign log that covers every page is the other archive, whole.
        if verified == Some(0) && !(code == 4 && what.starts_with("log of another archive")) {
            assert_eq!(
                code,
                0,
                "{what}: a sound archive can be imported into: {}",
                String::from_utf8_lossy(&output.stderr)
            );
            sound(&archive, &what);
        } else {
            assert!([0, 4, 7, 8, 10].contains(&code), "{what}: {code}");
        }
        fs::remove_dir_all(&place).expect("room");
    }
}

// --- one writer, one owner --------------------------------------------------------------------------------------------

/// The second of two imports learns who is at work; a holder that died needs nothing; all files are private.
#[test]
fn one_writer_at_a_time_and_only_its_owner_reads() {
    let dir = tempfile::tempdir().expect("a directory");
    let mail = maildir(&dir.path().join("mail"), 3_000, 1_000);
    let archive = dir.path().join("a.sqlite");
    let held = Held::new(&mail, &archive);
    let said = fails(&["import", "maildir", text(&mail), text(&archive)], 11);
    let host = fs::read_to_string("/proc/sys/kernel/hostname").expect("a host name");
    assert!(said.contains(&format!("pid {}", held.0.id())) && said.contains(host.trim()), "{said}");
    fails(&["forget", text(&archive), "--keep-last", "1"], 11);
    let link = dir.path().join("link.sqlite");
    std::os::unix::fs::symlink(&archive, &link).expect("a link");
    fails(&["import", "maildir", text(&mail), text(&link)], 11);
    // Readers are not kept out.
    ok(&["ls", "-R", text(&archive)]);
    ok(&["inspect", text(&archive)]);
    let mut seen = 0;
    for entry in fs::read_dir(dir.path()).expect("a directory") {
        let entry = entry.expect("an entry");
        let name = entry.file_name().into_string().expect("a name");
        if name.starts_with("a.sqlite") {
            seen += 1;
            assert_eq!(entry.metadata().expect("metadata").permissions().mode() & 0o777, 0o600, "{name}");
        }
    }
    assert!(seen >= 4, "the archive, its log, its index and the lock are there");
    drop(held);
    assert_eq!(import(&mail, &archive)["state"], "complete");
    sound(&archive, "after the holder was killed");
    assert!(!dir.path().join("a.sqlite.lock").exists(), "the lock goes with its holder");
}

/// Also where the umask would let everybody read, and where there was an archive before.
#[test]
fn an_archive_is_private_under_any_umask() {
    for mask in [0o022, 0o000, 0o077] {
        let dir = tempfile::tempdir().expect("a directory");
        let mail = maildir(&dir.path().join("mail"), 3, 100);
        let archive = dir.path().join("a.sqlite");
        let mut command = import_command(&mail, &archive);
        // SAFETY: umask is safe to call between fork and exec.
        unsafe {
            command.pre_exec(move || {
                libc::umask(mask);
                Ok(())
            })
        };
        assert!(command.status().expect("it runs").success());
        assert_eq!(fs::metadata(&archive).expect("metadata").permissions().mode() & 0o777, 0o600, "umask {mask:o}");
    }
}

// --- read-only media --------------------------------------------------------------------------------------------------

/// On a medium that cannot be written every reader works, with and without a log left over, and leaves no trace.
#[test]
fn readers_work_on_read_only_media_and_leave_no_trace() {
    let dir = tempfile::tempdir().expect("a directory");
    let mail = maildir(&dir.path().join("mail"), 3_000, 500);
    let clean = dir.path().join("clean.sqlite");
    import(&maildir(&dir.path().join("small"), 30, 500), &clean);
    let held_archive = dir.path().join("held.sqlite");
    let Some(disk) = Tmpfs::new(&dir.path().join("medium"), "size=64m") else { return };
    let mut archives = Vec::new();
    {
        let _held = Held::new(&mail, &held_archive);
        for (name, suffixes) in [("log", &["", "-wal"][..]), ("log-and-index", &["", "-wal", "-shm"])] {
            for suffix in suffixes {
                let to = disk.at.join(format!("{name}.sqlite{suffix}"));
                fs::copy(format!("{}{suffix}", held_archive.display()), to).expect("a copy");
            }
            archives.push(disk.at.join(format!("{name}.sqlite")));
        }
    }
    fs::copy(&clean, disk.at.join("clean.sqlite")).expect("a copy");
    archives.push(disk.at.join("clean.sqlite"));
    for (name, mode) in [("v1.sqlite", "DELETE"), ("v1-wal.sqlite", "WAL")] {
        let archive = disk.at.join(name);
        v1::write(&archive, &v1::Variant { journal_mode: mode, ..v1::Variant::default() });
        archives.push(archive);
    }
    let live = disk.at.join("v1-live.sqlite");
    v1::write_with_log(&live, &v1::Variant::default());
    archives.push(live);
    disk.remount("ro");
    let before = listing(&disk.at);
    for archive in &archives {
        let what = text(archive);
        for command in [&["inspect"][..], &["inspect", "--json"], &["verify"], &["ls", "-R"], &["snapshots"]] {
            let output = vandelay().args(command).arg(archive).output().expect("it runs");
            assert_eq!(
                calm(&output, what),
                0,
                "{what}: {command:?}: {}{}",
                String::from_utf8_lossy(&output.stdout),
                String::from_utf8_lossy(&output.stderr)
            );
        }
        let paths = ok(&["ls", "-R", what]);
        let message = paths.lines().find(|path| path.contains(".vandelay,")).expect("a message").to_owned();
        ok(&["cat", what, &message]);
        if let Some(mounted) = Mounted::new(archive, &dir.path().join("mnt"), &[]) {
            assert!(!fs::read(mounted.at.join(&message)).expect("a message").is_empty());
        }
        fails(&["import", "maildir", text(&mail), what], 7);
    }
    assert_eq!(listing(&disk.at), before, "nothing was made or changed");
}

// --- huge messages ----------------------------------------------------------------------------------------------------

/// Runs the program and gives its exit code, the most memory it held in bytes, and the digest of what it printed.
fn measured(arguments: &[&str]) -> (Option<i32>, u64, String) {
    let mut hasher = blake3::Hasher::new();
    let (code, peak) = common::measured(vandelay().args(arguments), &mut hasher);
    (code, peak, hasher.finalize().to_hex().to_string())
}

/// Imports a message of this size from a Maildir and from an mbox, in bounded memory, and reads it back.
fn large_message(size: u64) {
    const MEMORY: u64 = 256 << 20;
    let dir = tempfile::tempdir().expect("a directory");
    let mail = dir.path().join("mail");
    let head = b"From: a@example.org\nSubject: large\nMessage-ID: <large@example.org>\n\nbody\n";
    let path = deliver(&mail, "1700000000.M1P1.host:2,S", head);
    fs::File::options().write(true).open(&path).and_then(|file| file.set_len(size)).expect("a hole");
    let expected = digest(&path);
    let archive = dir.path().join("a.sqlite");
    let (code, memory, ..) = measured(&["import", "maildir", text(&mail), text(&archive)]);
    assert_eq!(code, Some(0));
    assert!(memory < MEMORY, "the import held {} MiB", memory >> 20);
    let name = format!("mail/INBOX/cur/1700000000.1.vandelay,S={size}:2,S");
    let (code, memory, hash) = measured(&["cat", text(&archive), &name]);
    assert_eq!((code, hash), (Some(0), expected), "what comes back is what went in");
    assert!(memory < MEMORY, "cat held {} MiB", memory >> 20);
    let (code, memory, ..) = measured(&["verify", text(&archive)]);
    assert_eq!(code, Some(0));
    assert!(memory < MEMORY, "verify held {} MiB", memory >> 20);
}

/// Beyond what one value of SQLite holds. 2 GiB and more only with VANDELAY_SOAK: it takes minutes.
#[test]
fn a_huge_message_goes_in_and_comes_back_in_little_memory() {
    large_message(if soak() { 2_200_000_000 } else { 1_000_000_500 });
}

/// The same from an mbox, as Takeout gives it.
#[test]
fn a_huge_message_of_an_mbox_goes_in_and_comes_back_in_little_memory() {
    let size: u64 = if soak() { 1_200_000_000 } else { 300_000_000 };
    let dir = tempfile::tempdir().expect("a directory");
    let takeout = dir.path().join("Takeout");
    fs::create_dir(&takeout).expect("a directory");
    let mbox = takeout.join("All mail.mbox");
    let head = b"From 1@xxx Mon Jan 01 00:00:00 +0000 2024\nFrom: a@example.org\nMessage-ID: <large@example.org>\n\n";
    let line = [b"x".repeat(75), b"\n".to_vec()].concat().repeat(10_000);
    let mut file = std::io::BufWriter::new(fs::File::create(&mbox).expect("a file"));
    std::io::Write::write_all(&mut file, head).expect("a head");
    let mut hasher = blake3::Hasher::new();
    hasher.update(&head[head.iter().position(|byte| *byte == b'\n').expect("a line") + 1..]);
    let mut written = 0;
    while written < size {
        std::io::Write::write_all(&mut file, &line).expect("a body");
        hasher.update(&line);
        written += line.len() as u64;
    }
    drop(file);
    let archive = dir.path().join("a.sqlite");
    let (code, memory, ..) = measured(&["import", "takeout", text(&takeout), text(&archive)]);
    assert_eq!(code, Some(0));
    assert!(memory < 256 << 20, "the import held {} MiB", memory >> 20);
    let paths = ok(&["ls", "-R", text(&archive)]);
    let path = paths.lines().find(|path| path.contains(".vandelay,")).expect("a message").to_owned();
    let (code, memory, hash) = measured(&["cat", text(&archive), &path]);
    assert_eq!((code, hash), (Some(0), hasher.finalize().to_hex().to_string()), "what comes back is what went in");
    assert!(memory < 256 << 20, "cat held {} MiB", memory >> 20);
}

// --- imports again, and odd input -------------------------------------------------------------------------------------

/// Nothing new, nothing stored, no row different. And runs that find nothing new cost next to nothing.
#[test]
fn the_same_import_again_changes_nothing_and_costs_nothing() {
    let dir = tempfile::tempdir().expect("a directory");
    let mail = maildir(&dir.path().join("mail"), 2_000, 300);
    let archive = dir.path().join("a.sqlite");
    import(&mail, &archive);
    let (rows, size) = (dump(&archive), fs::metadata(&archive).expect("metadata").len());
    let blobs = count(&archive, "SELECT count(*) FROM blobs");
    let runs = 200;
    for _ in 0..runs {
        let done = import(&mail, &archive);
        assert_eq!(common::jmap_run::stored(&done, "email"), [0, 0, 2_000]);
        assert_eq!(done["types"]["mailbox"]["unchanged"], 3);
        assert_eq!(done["stored_size"], 0);
    }
    assert!(dump(&archive) == rows, "no row differs");
    assert_eq!(count(&archive, "SELECT count(*) FROM blobs"), blobs);
    assert_eq!(count(&archive, "SELECT count(*) FROM history"), 0);
    let grown = fs::metadata(&archive).expect("metadata").len() - size;
    assert!(grown < runs * (1 << 20) / 1_000, "{runs} runs without news grew the file by {grown} bytes");
    sound(&archive, "after many runs");
}

/// A filter narrows what is looked at and never removes what it hides.
#[test]
fn filters_never_remove_anything() {
    let dir = tempfile::tempdir().expect("a directory");
    let mail = maildir(&dir.path().join("mail"), 60, 100);
    let archive = dir.path().join("a.sqlite");
    import(&mail, &archive);
    let before = tree(&archive, "latest");
    for (filter, code) in [
        (&["--folder", "INBOX"][..], 0),
        (&["--include", "^Work$"], 0),
        (&["--exclude", "Work"], 0),
        (&["--exclude", "."], 1),
        (&["--include", "no such folder"], 1),
        (&["--folder", "Work", "--folder", "INBOX"], 0),
    ] {
        let output =
            vandelay().args(["import", "maildir", text(&mail), text(&archive)]).args(filter).output().expect("it runs");
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(calm(&output, &format!("{filter:?}")), code, "{filter:?}: {said}");
        assert!(tree(&archive, "latest") == before, "{filter:?}");
        sound(&archive, &format!("{filter:?}"));
    }
    // What is looked at is brought up to date, what is hidden is left alone, though both are gone at the source.
    fs::remove_dir_all(mail.join(".Work.Old & done")).expect("a folder");
    fs::remove_file(
        fs::read_dir(mail.join(".Work/cur")).expect("a folder").next().expect("a message").expect("an entry").path(),
    )
    .expect("gone");
    ok(&["import", "maildir", text(&mail), text(&archive), "--folder", "Work"]);
    let after = tree(&archive, "latest");
    let in_folder = |tree: &std::collections::BTreeMap<String, Vec<u8>>, folder: &str| {
        tree.keys().filter(|path| path.starts_with(folder) && path.contains(".vandelay,")).count()
    };
    assert_eq!(in_folder(&after, "mail/Work/cur"), in_folder(&before, "mail/Work/cur") - 1);
    assert_eq!(
        in_folder(&after, "mail/Work/Old"),
        in_folder(&before, "mail/Work/Old"),
        "hidden by the filter, so kept"
    );
    assert_eq!(in_folder(&after, "mail/INBOX"), in_folder(&before, "mail/INBOX"));
    // A filter on an empty archive makes no folder that it hides.
    let fresh = dir.path().join("fresh.sqlite");
    ok(&["import", "maildir", text(&mail), text(&fresh), "--folder", "INBOX"]);
    assert!(!tree(&fresh, "latest").keys().any(|path| path.contains("Work")));
}

/// Every type of a report must balance.
fn balances(summary: &serde_json::Value, what: &str) {
    let sum = |value: &serde_json::Value| value.as_u64().expect("a number");
    let types = summary["types"].as_object().expect("types");
    assert!(!types.is_empty(), "{what}");
    for (token, account) in types {
        let parts = account.as_object().expect("an account");
        let fates = ["stored", "duplicate", "skipped", "failed", "not_reached"];
        let stored: u64 = ["new", "changed", "unchanged"].iter().map(|part| sum(&parts[*part])).sum();
        assert_eq!(sum(&parts["stored"]), stored, "{what}: {token}: {account}");
        for name in ["skipped", "failed"] {
            let reasons = parts[&format!("{name}_reasons")].as_object().expect("reasons");
            assert_eq!(sum(&parts[name]), reasons.values().map(sum).sum::<u64>(), "{what}: {token}: {account}");
        }
        let total: u64 = fates.iter().map(|part| sum(&parts[*part])).sum();
        assert_eq!(sum(&parts["found"]), total, "{what}: {token}: {account}");
    }
}

fn odd_messages() -> Vec<Vec<u8>> {
    vec![
        b"".to_vec(),
        b"\n".to_vec(),
        b"no header at all".to_vec(),
        b"From: a@b\n\nbare LF\n".to_vec(),
        b"From: a@b\r\n\r\nno end of line".to_vec(),
        b"From: a@b\r\r\n\r\r\nCRCRLF\r\r\n".to_vec(),
        b"From: a@b\rSubject: CR only\r\rbody\r".to_vec(),
        b"Subject: \xff\xfe\x80 eight bits \xc3\x28\r\n\r\n\xff\x00\x01body\x00\r\n".to_vec(),
        b"From: a@b\n\nFrom the start of a line\n>From quoted\n>>From twice\n".to_vec(),
        b"\xef\xbb\xbfFrom: bom@b\r\n\r\n".to_vec(),
        b"\x1f\x8bnot really gzip".to_vec(),
        b"\x28\xb5\x2f\xfdnot really zstd".to_vec(),
        [b"Subject: ".to_vec(), b"x".repeat(100_000), b"\r\n\r\n".to_vec()].concat(),
        [b"From: a@b\r\n\r\n".to_vec(), (0..=255).collect::<Vec<u8>>().repeat(40)].concat(),
        b"Date: Mon, 99 Foo 9999999 99:99:99 +9999\r\n\r\n".to_vec(),
        b"Message-ID: <\r\n\r\n".to_vec(),
    ]
}

/// Odd messages are stored byte for byte, and every one is accounted for.
#[test]
fn odd_messages_come_back_byte_for_byte() {
    let dir = tempfile::tempdir().expect("a directory");
    let mail = dir.path().join("mail");
    let odd = odd_messages();
    for (number, bytes) in odd.iter().enumerate() {
        deliver(&mail, &format!("{}.M{number}.h:2,", 1_700_000_000 + number), bytes);
    }
    deliver(&mail, "1700009999.M99.h:2,T", &message(99));
    deliver(&mail, "no-flags-and-no-epoch", &message(98));
    fs::write(mail.join("new/1700008888.M5.h"), message(97)).expect("a message");
    fs::create_dir(mail.join("cur/directory")).expect("a directory");
    fs::write(mail.join("cur/.hidden"), "x").expect("a file");
    std::os::unix::fs::symlink("/nowhere", mail.join("cur/1700007777.M6.h:2,")).expect("a link");
    let archive = dir.path().join("a.sqlite");
    let output = run(&["import", "maildir", text(&mail), text(&archive), "--json"]);
    let stdout = String::from_utf8_lossy(&output.stdout).into_owned();
    let summary: serde_json::Value = stdout
        .lines()
        .filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok())
        .find(|line| line["types"].is_object())
        .expect("a summary");
    balances(&summary, "odd messages");
    let shown = tree(&archive, "latest");
    let mut stored: Vec<&Vec<u8>> =
        shown.iter().filter(|(path, _)| path.contains(".vandelay,")).map(|(_, bytes)| bytes).collect();
    stored.sort();
    let extra = [message(98), message(97)];
    let mut expected: Vec<&Vec<u8>> = odd.iter().chain(&extra).collect();
    expected.sort();
    assert!(stored == expected, "{} stored, {} expected", stored.len(), expected.len());
    sound(&archive, "odd messages");
    for remark in summary["remarks"].as_array().expect("remarks") {
        assert!(remark["position"].as_str().is_some_and(|position| !position.is_empty()), "{remark}");
    }
}

/// Whatever lies in a Takeout folder is accounted for; source bytes of events and cards come back.
#[test]
fn odd_takeouts_are_accounted_for() {
    let dir = tempfile::tempdir().expect("a directory");
    let takeout = dir.path().join("Takeout");
    fs::create_dir_all(takeout.join("Mail/deep")).expect("a directory");
    let event = |uid: &str, more: &str| {
        format!(
            "BEGIN:VEVENT\r\nUID:{uid}\r\nDTSTART:20240101T000000Z\r\nSUMMARY:folded and lo\r\n ng\r\nX-ODD;X-P=\"a:b\":v\\,w\r\n{more}END:VEVENT\r\n"
        )
    };
    let calendar = |parts: &str| format!("BEGIN:VCALENDAR\r\nVERSION:2.0\r\nPRODID:x\r\n{parts}END:VCALENDAR\r\n");
    let dense = event("dense", "RRULE:FREQ=SECONDLY;COUNT=1000000000\r\n");
    let files: Vec<(&str, Vec<u8>)> = vec![
        ("empty.mbox", Vec::new()),
        ("garbage.mbox", b"this is no mbox at all\n\x00\xff".to_vec()),
        ("one.mbox", b"From a@b Mon Jan 01 00:00:00 2024\nSubject: x\n\n>From here\n>>From there".to_vec()),
        ("Mail/crlf.mbox", b"From a@b Mon Jan 01 00:00:00 2024\r\nSubject: y\r\nX-Gmail-Labels: Inbox,=?UTF-8?Q?=C3=84?=,Work/Sub\r\n\r\nbody\r\n\r\nFrom a@b Tue Jan 02 00:00:00 2024\r\nSubject: z\r\n\r\nb\r\n".to_vec()),
        ("Mail/deep/same.mbox", b"From a@b Mon Jan 01 00:00:00 2024\r\nSubject: y\r\nX-Gmail-Labels: Inbox,=?UTF-8?Q?=C3=84?=,Work/Sub\r\n\r\nbody\r\n".to_vec()),
        ("empty.ics", Vec::new()),
        ("broken.ics", b"BEGIN:VCALENDAR\nBEGIN:VEVENT\nUID:1\n".to_vec()),
        ("two.ics", calendar(&format!("{}{}", event("one", ""), event("two/../x", ""))).into_bytes()),
        ("twice.ics", calendar(&format!("{0}{0}", event("same", ""))).into_bytes()),
        ("dense.ics", calendar(&dense).into_bytes()),
        ("todo.ics", calendar("BEGIN:VTODO\r\nUID:t\r\nSUMMARY:do\r\nEND:VTODO\r\nBEGIN:VJOURNAL\r\nUID:j\r\nEND:VJOURNAL\r\n").into_bytes()),
        ("nouid.ics", calendar("BEGIN:VEVENT\r\nSUMMARY:no uid\r\nEND:VEVENT\r\n").into_bytes()),
        ("cards.vcf", b"BEGIN:VCARD\r\nVERSION:3.0\r\nUID:c1\r\nFN:A\r\nitem1.X-ABLABEL:odd\r\nNOTE:fol\r\n ded\r\nEND:VCARD\r\nBEGIN:VCARD\r\nVERSION:2.1\r\nN:B\r\nEND:VCARD\r\n".to_vec()),
        ("empty.vcf", Vec::new()),
        ("broken.vcf", b"BEGIN:VCARD\nFN:x\n".to_vec()),
        ("photo.jpg", b"\xff\xd8".to_vec()),
    ];
    for (name, bytes) in &files {
        fs::write(takeout.join(name), bytes).expect("a file");
    }
    let archive = dir.path().join("a.sqlite");
    for what in ["first", "second"] {
        let output = run(&["import", "takeout", text(&takeout), text(&archive), "--json"]);
        let stdout = String::from_utf8_lossy(&output.stdout).into_owned();
        let summary: serde_json::Value = stdout
            .lines()
            .filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok())
            .find(|line| line["types"].is_object())
            .expect("a summary");
        balances(&summary, what);
        assert!([0, 5].contains(&calm(&output, what)));
        sound(&archive, what);
        if what == "second" {
            for token in ["email", "calendarevent", "contactcard"] {
                assert_eq!(summary["types"][token]["new"], 0, "{token}");
            }
        }
    }
    let shown = tree(&archive, "latest");
    let holds =
        |part: &str, bytes: &str| {
            assert!(
                shown.iter().any(|(path, content)| path.starts_with(part)
                    && memchr::memmem::find(content, bytes.as_bytes()).is_some()),
                "{bytes}"
            );
        };
    for uid in ["one", "two/../x", "same"] {
        holds("calendars/", &event(uid, ""));
    }
    holds("calendars/", &dense);
    holds("contacts/", "item1.X-ABLABEL:odd\r\nNOTE:fol\r\n ded\r\n");
    // `>>From ` shows that the file is mboxrd, so one `>` of each goes.
    holds("mail/", "\n\nFrom here\n>From there");
}

/// A dry run changes nothing: not the archive, not its directory, and it makes no archive.
#[test]
fn a_dry_run_leaves_no_trace() {
    let dir = tempfile::tempdir().expect("a directory");
    let mail = maildir(&dir.path().join("mail"), 50, 100);
    let place = dir.path().join("place");
    fs::create_dir(&place).expect("a directory");
    let archive = place.join("a.sqlite");
    let planned = json(&["import", "maildir", text(&mail), text(&archive), "--dry-run", "--json"]);
    assert_eq!(planned["types"]["email"]["new"], 50);
    balances(&planned, "dry run");
    assert_eq!(listing(&place), "", "no archive is made");
    import(&mail, &archive);
    for number in 50..80 {
        deliver(&mail, &format!("{}.M{number}P1.host:2,", 1_700_000_000 + number), &message(number));
    }
    fs::remove_dir_all(mail.join(".Work")).expect("a folder");
    let before = listing(&place);
    let planned = json(&["import", "maildir", text(&mail), text(&archive), "--dry-run", "--json"]);
    assert_eq!(listing(&place), before);
    balances(&planned, "second dry run");
    let done = import(&mail, &archive);
    for part in ["found", "stored"] {
        assert_eq!(planned["types"]["email"][part], done["types"]["email"][part], "{part}: the plan is what is done");
    }
    assert_eq!(planned["types"]["email"]["removed"], done["types"]["email"]["removed"]);
    let v1 = place.join("v1.sqlite");
    v1::write(&v1, &v1::Variant::default());
    let before = listing(&place);
    ok(&["import", "maildir", text(&mail), text(&v1), "--dry-run", "--allow-source-change"]);
    assert_eq!(listing(&place), before, "also beside an archive of 1.x");
}

// --- exit codes and interrupts ----------------------------------------------------------------------------------------

/// Every code that can be reached from disk, and JSON that ends in a summary or an error.
#[test]
fn exit_codes_are_those_of_the_table() {
    let dir = tempfile::tempdir().expect("a directory");
    let mail = maildir(&dir.path().join("mail"), 120, 100);
    let other = maildir(&dir.path().join("other"), 2, 100);
    let archive = dir.path().join("a.sqlite");
    let last_line = |arguments: &[&str], code: i32, kind: &str| {
        let output = run(arguments);
        assert_eq!(
            calm(&output, &format!("{arguments:?}")),
            code,
            "{arguments:?}: {}",
            String::from_utf8_lossy(&output.stderr)
        );
        let all = [output.stdout.as_slice(), output.stderr.as_slice()].concat();
        assert!(!all.contains(&0x1b), "{arguments:?}: no escapes where there is no terminal");
        let stdout = String::from_utf8_lossy(&output.stdout).into_owned();
        let line: serde_json::Value = serde_json::from_str(stdout.lines().last().unwrap_or_default())
            .unwrap_or_else(|_| panic!("{arguments:?}: {stdout}"));
        assert_eq!(line["message_type"], kind, "{arguments:?}");
        if code != 0 && kind == "exit_error" {
            assert_eq!(line["code"], code, "{arguments:?}");
        }
    };
    let (mail, other, a) = (text(&mail).to_owned(), text(&other).to_owned(), text(&archive).to_owned());
    last_line(&["import", "maildir", &mail, &a, "--json"], 0, "summary");
    last_line(&["verify", &a, "--json"], 0, "summary");
    last_line(&["forget", &a, "--keep-last", "5", "--json"], 0, "summary");
    fails(&["no-such-command"], 1);
    fails(&["import", "maildir", &mail, &a, "--include", "("], 1);
    last_line(&["import", "maildir", &mail, &a, "--include", "(", "--json"], 1, "exit_error");
    last_line(&["forget", &a, "--json"], 1, "exit_error");
    last_line(&["ls", &a, "--at", "99", "--json"], 1, "exit_error");
    last_line(&["import", "maildir", &other, &a, "--json"], 4, "exit_error");
    last_line(&["inspect", text(&dir.path().join("none.sqlite")), "--json"], 10, "exit_error");
    last_line(&["verify", text(dir.path()), "--json"], 10, "exit_error");
    last_line(&["import", "maildir", &mail, text(&dir.path().join("no/such/dir.sqlite")), "--json"], 7, "exit_error");
    for folder in [".Work", ".Work.Old & done"] {
        fs::remove_dir_all(Path::new(&mail).join(folder)).expect("a folder");
    }
    for entry in fs::read_dir(Path::new(&mail).join("cur")).expect("a folder").take(70) {
        fs::remove_file(entry.expect("an entry").path()).expect("gone");
    }
    let before = dump(&archive);
    last_line(&["import", "maildir", &mail, &a, "--max-delete", "20%", "--json"], 9, "exit_error");
    assert!(dump(&archive) == before, "the guard changes nothing");
    last_line(&["import", "maildir", &mail, &a, "--max-delete", "100%", "--json"], 0, "summary");
    // 8: a byte is flipped, in all copies of the row that stand in the file.
    let mut bytes = fs::read(&archive).expect("the archive");
    let places: Vec<usize> = memchr::memmem::find_iter(&bytes, b"Subject: number").collect();
    places.iter().for_each(|place| bytes[*place] ^= 1);
    fs::write(&archive, bytes).expect("damage");
    let output = run(&["verify", &a]);
    assert_eq!(output.status.code(), Some(8));
}

/// SIGINT ends with 130, keeps what was imported, and the next run goes on.
#[test]
fn an_interrupted_import_ends_with_130_and_goes_on() {
    let dir = tempfile::tempdir().expect("a directory");
    let mail = maildir(&dir.path().join("mail"), 3_000, 1_000);
    let archive = dir.path().join("a.sqlite");
    let mut held = Held::new(&mail, &archive);
    signal(&held.0, libc::SIGINT);
    signal(&held.0, libc::SIGCONT);
    assert_eq!(held.0.wait().expect("it ends").code(), Some(130));
    sound(&archive, "interrupted");
    let states: Vec<String> = listed(&["snapshots", text(&archive)])
        .iter()
        .map(|snapshot| snapshot["state"].as_str().expect("a state").to_owned())
        .collect();
    assert_eq!(states, ["interrupted"]);
    // What was not reached is counted, too.
    let sum = |names: &[&str]| -> i64 {
        let parts = names.iter().map(|name| format!("json_extract(report, '$.types.email.{name}')"));
        let all: Vec<String> = parts.collect();
        count(&archive, &format!("SELECT {} FROM snapshots", all.join(" + ")))
    };
    assert_eq!(sum(&["found"]), 3_000);
    assert_eq!(sum(&["stored.new", "stored.changed", "stored.unchanged", "duplicate", "not_reached"]), 3_000);
    assert!(sum(&["not_reached"]) > 0 && sum(&["stored.new"]) == count(&archive, "SELECT count(*) FROM emails"));
    assert_eq!(import(&mail, &archive)["state"], "complete");
    sound(&archive, "complete");
    mailbox_notes_are_true(&archive);
    assert_eq!(count(&archive, "SELECT count(*) FROM emails"), 3_000);
}

/// Escape sequences of a message reach no terminal.
#[test]
fn escape_sequences_are_not_printed() {
    let dir = tempfile::tempdir().expect("a directory");
    let mail = dir.path().join("mail\x1b[31m");
    deliver(
        &mail,
        "1700000000.M1.h:2,",
        b"From: \x1b]0;owned\x07@x\r\nSubject: \x1b[2J\r\nMessage-ID: <\x1b[31mred@x>\r\n\r\n",
    );
    deliver(&mail.join(".\x1b[31mRed"), "1700000001.M2.h:2,", &message(1));
    let archive = dir.path().join("a.sqlite");
    for arguments in [
        &["import", "maildir", text(&mail), text(&archive), "-v"][..],
        &["inspect", text(&archive)],
        &["inspect", text(&archive), "email"],
        &["inspect", text(&archive), "mailbox"],
        &["snapshots", text(&archive)],
        &["ls", "-R", text(&archive)],
        &["verify", text(&archive)],
        &["import", "maildir", text(&mail), text(&archive), "--json"],
    ] {
        let Output { status, stdout, stderr } = run(arguments);
        assert!(status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&stderr));
        for bytes in [stdout, stderr] {
            assert!(
                !bytes.contains(&0x1b) && !bytes.contains(&7),
                "{arguments:?}: {}",
                String::from_utf8_lossy(&bytes)
            );
        }
    }
}

/// What the source still has mends what the archive lost: bytes, whole blobs and lines of the index of mailboxes.
#[test]
fn lost_bytes_and_lines_come_back_with_the_next_import() {
    for sql in [
        "UPDATE blobs SET data = x'00' WHERE id = 2; DELETE FROM emails WHERE blob_id = 2",
        "DELETE FROM blobs WHERE id = 2",
        "DELETE FROM email_index WHERE email_id = 2",
        "DELETE FROM blobs; DELETE FROM email_index",
    ] {
        let dir = tempfile::tempdir().expect("a directory");
        let (mail, archive) = (maildir(&dir.path().join("mail"), 6, 200), dir.path().join("a.sqlite"));
        import(&mail, &archive);
        let mails = || {
            // The head of a text names the row.
            let files = tree(&archive, "latest").into_iter().filter(|(path, _)| !path.starts_with("text/"));
            files.map(|(_, bytes)| bytes).filter(|bytes| !bytes.is_empty()).collect::<BTreeSet<_>>()
        };
        let before = mails();
        rusqlite::Connection::open(&archive)
            .and_then(|conn| {
                conn.pragma_update(None, "foreign_keys", false)?;
                conn.execute_batch(sql)
            })
            .expect("an edit");
        fails(&["verify", text(&archive)], 8);
        import(&mail, &archive);
        sound(&archive, sql);
        assert!(before.is_subset(&mails()), "{sql}");
    }
}
