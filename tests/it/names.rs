//! Paths are not files: an archive with several names, one that goes away while it is written, and files beside it that
//! belong to somebody else.

use crate::common::held::{Held, import_command, signal};
use crate::common::*;
use std::fs;
use std::io::Write;
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use vandelay::archive::{Moment, Reader};
use vandelay::model::ObjectType;

/// Messages of the Maildir that an import is stopped in.
const MESSAGES: u32 = 2_000;

fn text(path: &Path) -> &str {
    path.to_str().expect("a path in UTF-8")
}

fn import(maildir: &Path, archive: &Path) -> serde_json::Value {
    json(&["import", "maildir", text(maildir), text(archive), "--json"])
}

/// The same with what it says kept.
fn heard(maildir: &Path, archive: &Path) -> Command {
    let mut command = import_command(maildir, archive);
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

/// The messages of the current state, counted by a reader, which leaves nothing beside the file.
fn count(archive: &Path) -> i64 {
    let mut count = 0;
    let reader = Reader::open(archive).expect("an archive");
    reader.each_record(ObjectType::Email, Moment::Current, |_| count += 1).expect("its messages");
    count
}

/// The names in a directory.
/// The names in a directory, without the indexes of searches.
fn names(directory: &Path) -> Vec<String> {
    let mut names: Vec<String> = fs::read_dir(directory)
        .expect("a directory")
        .map(|entry| entry.expect("an entry").file_name().to_string_lossy().into_owned())
        .filter(|name| !name.ends_with(".search"))
        .collect();
    names.sort();
    names
}

/// An error must have one line that says what and where, and one that says what to do.
fn says(output: &Output, code: i32, what: &str, parts: &[&str]) {
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(calm(output, what), code, "{what}: {said}");
    let error = said.lines().find(|line| line.starts_with("error: ")).unwrap_or_else(|| panic!("{what}: {said}"));
    assert!(parts.iter().all(|part| error.contains(part)), "{what}: {said}");
    assert!(said.lines().any(|line| line.starts_with("hint: ")), "{what}: {said}");
}

fn sound(archive: &Path, what: &str) {
    let output = run(&["verify", text(archive)]);
    let said = [output.stdout.as_slice(), output.stderr.as_slice()].concat();
    assert_eq!(calm(&output, what), 0, "{what}: {}", String::from_utf8_lossy(&said));
}

// --- the archive goes ---------------------------------------------------------------------------------------------------

/// What happens to the archive `a.sqlite` in a place; gives where the file is afterwards, if it is anywhere.
fn meets(fate: &str, place: &Path, other: &Path, moved: &Path) -> std::io::Result<Option<PathBuf>> {
    let archive = place.join("a.sqlite");
    let log = place.join("a.sqlite-wal");
    match fate {
        "removed" => fs::remove_file(&archive).map(|()| None),
        "replaced" => {
            fs::copy(other, place.join("new")).and_then(|_| fs::rename(place.join("new"), &archive)).map(|()| None)
        }
        "replaced by a folder" => fs::rename(&archive, place.join("b.sqlite"))
            .and_then(|()| fs::create_dir(&archive))
            .map(|()| Some(place.join("b.sqlite"))),
        "renamed" => fs::rename(&archive, place.join("b.sqlite")).map(|()| Some(place.join("b.sqlite"))),
        "folder renamed" => fs::rename(place, moved).map(|()| Some(moved.join("a.sqlite"))),
        "folder replaced" => fs::rename(place, moved)
            .and_then(|()| fs::create_dir(place))
            .and_then(|()| fs::copy(other, &archive))
            .map(|_| Some(moved.join("a.sqlite"))),
        "log replaced by its copy" => fs::copy(&log, place.join("new"))
            .and_then(|_| fs::rename(place.join("new"), &log))
            .map(|()| Some(archive.clone())),
        "log removed" => fs::remove_file(&log).map(|()| Some(archive.clone())),
        _ => fs::write(place.join("new"), b"")
            .and_then(|()| fs::rename(place.join("new"), &log))
            .map(|()| Some(archive.clone())),
    }
}

/// An archive that is removed, replaced or renamed under an import ends it with an error. Nothing is made anew, what was
/// committed is in the file wherever that is now, and the next import works.
#[test]
fn an_archive_that_goes_ends_the_import() {
    let dir = tempfile::tempdir().expect("a directory");
    let mail = maildir(&dir.path().join("mail"), 30, 500);
    let other = dir.path().join("other.sqlite");
    import(&mail, &other);
    let before = digest(&other);
    maildir(&mail, MESSAGES, 2_000);
    for fate in [
        "removed",
        "replaced",
        "replaced by a folder",
        "renamed",
        "folder renamed",
        "folder replaced",
        "log removed",
        "log replaced",
        "log replaced by its copy",
    ] {
        let place = dir.path().join(fate);
        fs::create_dir(&place).expect("a directory");
        let archive = place.join("a.sqlite");
        let moved = dir.path().join("moved").join(fate);
        fs::create_dir_all(dir.path().join("moved")).expect("a directory");
        let held = Held::with(&archive, || heard(&mail, &archive));
        let committed = count(&archive);
        assert!(committed > 0 && committed < i64::from(MESSAGES), "{fate}: {committed}");
        let file = meets(fate, &place, &other, &moved).unwrap_or_else(|error| panic!("{fate}: {error}"));
        let output = held.go_on();
        says(&output, 7, fate, &["a.sqlite", "while it was being written"]);
        match fate {
            "removed" => assert_eq!(names(&place), [] as [&str; 0], "nothing is made anew"),
            "renamed" => assert_eq!(names(&place), ["b.sqlite"]),
            "replaced by a folder" => assert_eq!(names(&archive), [] as [&str; 0]),
            "folder renamed" => assert!(!place.exists()),
            "replaced" | "folder replaced" => {
                assert_eq!(names(&place), ["a.sqlite"], "{fate}: no log of ours beside it");
                assert_eq!(digest(&archive), before, "{fate}: the other archive is as it was");
                assert_eq!(count(&archive), 30);
            }
            _ => {}
        }
        if let Some(file) = &file {
            sound(file, fate);
            assert!(count(file) >= committed, "{fate}: {committed} were committed, {} are there", count(file));
        }
        if fate != "replaced by a folder" && place.exists() {
            assert_eq!(import(&mail, &archive)["state"], "complete", "{fate}");
            sound(&archive, fate);
            assert_eq!(count(&archive), i64::from(MESSAGES), "{fate}");
        }
        if let Some(file) = file.filter(|file| *file != archive) {
            assert_eq!(import(&mail, &file)["state"], "complete", "{fate}");
            sound(&file, fate);
            assert_eq!(count(&file), i64::from(MESSAGES), "{fate}");
        }
    }
}

// --- several names ------------------------------------------------------------------------------------------------------

/// A hard link is the same archive: one writer, and a reader that does not see the log is refused.
#[test]
fn two_hard_links_are_one_archive() {
    let dir = tempfile::tempdir().expect("a directory");
    let mail = maildir(&dir.path().join("mail"), MESSAGES, 2_000);
    let (one, two) = (dir.path().join("one"), dir.path().join("two"));
    fs::create_dir(&one).and_then(|()| fs::create_dir(&two)).expect("directories");
    let (archive, link) = (one.join("a.sqlite"), two.join("b.sqlite"));
    let held = Held::with(&archive, || heard(&mail, &archive));
    fs::hard_link(&archive, &link).expect("a link");
    under_another_name(&mail, &archive, &|arguments| run(arguments), &link);
    assert_eq!(names(&two), ["b.sqlite"], "nothing is made beside it");
    let output = held.go_on();
    assert_eq!(calm(&output, "the writer"), 0, "{}", String::from_utf8_lossy(&output.stderr));
    for name in [&archive, &link] {
        sound(name, "both names");
        assert_eq!(count(name), i64::from(MESSAGES));
        ok(&["ls", "-R", text(name)]);
        assert_eq!(import(&mail, name)["types"]["email"]["unchanged"], MESSAGES);
    }
}

/// The log that a killed writer left beside one name is not overlooked at another.
#[test]
fn a_log_beside_another_name_is_not_overlooked() {
    let dir = tempfile::tempdir().expect("a directory");
    let mail = maildir(&dir.path().join("mail"), MESSAGES, 2_000);
    let (one, two) = (dir.path().join("one"), dir.path().join("two"));
    fs::create_dir(&one).and_then(|()| fs::create_dir(&two)).expect("directories");
    let (archive, link) = (one.join("a.sqlite"), two.join("b.sqlite"));
    drop(Held::with(&archive, || heard(&mail, &archive)));
    fs::hard_link(&archive, &link).expect("a link");
    for command in
        [&["import", "maildir", text(&mail), text(&link)][..], &["verify", text(&link)], &["ls", text(&link)]]
    {
        says(&run(command), 7, "the other name", &[text(&archive)]);
    }
    assert_eq!(names(&two), ["b.sqlite"], "nothing is made beside it");
    import(&mail, &archive);
    for name in [&link, &archive] {
        sound(name, "both names");
        assert_eq!(count(name), i64::from(MESSAGES));
        assert_eq!(import(&mail, name)["types"]["email"]["unchanged"], MESSAGES);
    }
}

/// What is refused under another name of a file that is being written.
fn under_another_name(mail: &Path, archive: &Path, run: &dyn Fn(&[&str]) -> Output, other: &Path) {
    for command in [
        &["import", "maildir", text(mail), text(other)][..],
        &["forget", "--keep-last", "1", text(other)],
        &["ls", text(other)],
        &["verify", text(other)],
        &["snapshots", text(other)],
    ] {
        let output = run(command);
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(calm(&output, other.to_str().expect("UTF-8")), 11, "{command:?}: {said}");
        assert!(said.starts_with("error: ") && said.contains("hint: "), "{command:?}: {said}");
    }
    // Its own name shows what is committed.
    for command in [&["ls", text(archive)][..], &["verify", text(archive)]] {
        let output = run(command);
        assert_eq!(calm(&output, "its own name"), 0, "{}", String::from_utf8_lossy(&output.stderr));
    }
}

/// Many writers at both names at once: each ends with everything, or says that another one is at work.
#[test]
fn writers_at_two_names_lose_nothing() {
    let dir = tempfile::tempdir().expect("a directory");
    let (one, two) = (dir.path().join("one"), dir.path().join("two"));
    fs::create_dir(&one).and_then(|()| fs::create_dir(&two)).expect("directories");
    let (archive, link) = (one.join("a.sqlite"), two.join("a.sqlite"));
    let first = maildir(&dir.path().join("first"), 3, 200);
    import(&first, &archive);
    fs::hard_link(&archive, &link).expect("a link");
    let mails: Vec<PathBuf> = (0..3u32)
        .map(|number| {
            let mail = dir.path().join(format!("mail{number}"));
            (0..300).for_each(|at| {
                deliver(&mail, &format!("{}.M{at}.host:2,", 1_600_000_000 + at), &message(1_000 * (number + 1) + at));
            });
            mail
        })
        .collect();
    let mut expected = 3;
    let mut waiting: Vec<&PathBuf> = mails.iter().collect();
    for round in 0.. {
        assert!(round < 10, "one of those that begin together gets through");
        let running: Vec<_> = waiting
            .iter()
            .enumerate()
            .map(|(at, mail)| {
                let name = if at % 2 == 0 { &archive } else { &link };
                heard(mail, name).arg("--allow-source-change").spawn().expect("it starts")
            })
            .collect();
        let ended: Vec<Output> = running.into_iter().map(|child| child.wait_with_output().expect("it ends")).collect();
        let codes: Vec<i32> = ended.iter().map(|output| calm(output, "a writer")).collect();
        for (code, output) in codes.iter().zip(&ended) {
            assert!([0, 11].contains(code), "{}", String::from_utf8_lossy(&output.stderr));
        }
        expected += 300 * codes.iter().filter(|code| **code == 0).count() as i64;
        waiting = waiting.iter().zip(&codes).filter(|(_, code)| **code != 0).map(|(mail, _)| *mail).collect();
        for name in [&archive, &link] {
            sound(name, "after writers at two names");
            assert_eq!(count(name), expected);
        }
        if waiting.is_empty() {
            return;
        }
    }
}

/// A file that is mounted by itself, as containers have it, is the same archive.
#[test]
fn a_file_mounted_by_itself_is_the_same_archive() {
    let private = Command::new("unshare").args(["--mount", "true"]).status().is_ok_and(|status| status.success());
    if !private {
        return skip("no mount namespace can be made");
    }
    let dir = tempfile::tempdir().expect("a directory");
    let mail = maildir(&dir.path().join("mail"), MESSAGES, 2_000);
    let archive = dir.path().join("a.sqlite");
    let place = dir.path().join("container");
    fs::create_dir(&place).expect("a directory");
    let mounted = place.join("b.sqlite");
    fs::write(&mounted, b"").expect("a mountpoint");
    let inside = |arguments: &[&str]| {
        let script = "mount --bind \"$1\" \"$2\" && shift 2 && exec \"$@\"";
        Command::new("unshare")
            .args(["--mount", "sh", "-c", script, "sh", text(&archive), text(&mounted)])
            .arg(env!("CARGO_BIN_EXE_vandelay"))
            .args(arguments)
            .output()
            .expect("unshare runs")
    };
    let held = Held::with(&archive, || heard(&mail, &archive));
    under_another_name(&mail, &archive, &inside, &mounted);
    assert_eq!(names(&place), ["b.sqlite"], "nothing is made beside it");
    let output = held.go_on();
    assert_eq!(calm(&output, "the writer"), 0, "{}", String::from_utf8_lossy(&output.stderr));
    for command in [
        &["verify", text(&mounted)][..],
        &["import", "maildir", text(&mail), text(&mounted)],
        &["forget", "--keep-last", "1", "--compact", text(&mounted)],
    ] {
        let output = inside(command);
        assert_eq!(calm(&output, "mounted"), 0, "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
    }
    sound(&archive, "after a run in the container");
    assert_eq!(count(&archive), i64::from(MESSAGES));
    assert_eq!(names(&place), ["b.sqlite"]);
}

// --- links --------------------------------------------------------------------------------------------------------------

/// A link that leads nowhere is no place for a new archive, and stays what it is. One that leads to an archive is that.
#[test]
fn a_link_without_its_file_is_not_replaced() {
    let dir = tempfile::tempdir().expect("a directory");
    let mail = maildir(&dir.path().join("mail"), 3, 200);
    let disk = dir.path().join("disk");
    fs::create_dir(&disk).expect("a directory");
    import(&mail, &disk.join("a.sqlite"));
    let home = dir.path().join("home");
    fs::create_dir(&home).expect("a directory");
    let links = [
        ("gone", "../disk/a.sqlite"),
        ("new", "../disk/new.sqlite"),
        ("chain", "gone"),
        ("folder", "../nowhere/a.sqlite"),
    ];
    for (name, target) in links {
        symlink(target, home.join(name)).expect("a link");
    }
    assert_eq!(import(&mail, &home.join("gone"))["types"]["email"]["unchanged"], 3);
    // The disk is away, and an empty directory is in its place.
    let away = dir.path().join("away");
    fs::rename(&disk, &away).and_then(|()| fs::create_dir(&disk)).expect("a rename");
    for (name, target) in links {
        let link = home.join(name);
        let output = run(&["import", "maildir", text(&mail), text(&link)]);
        says(&output, 10, name, &[name, "link"]);
        assert_eq!(fs::read_link(&link).expect("still a link"), Path::new(target));
    }
    assert_eq!((names(&disk), names(&home).len()), (Vec::new(), 4), "nothing is made");
    fs::remove_dir(&disk).and_then(|()| fs::rename(&away, &disk)).expect("the disk is back");
    import(&mail, &home.join("chain"));
    sound(&disk.join("a.sqlite"), "through two links");
}

// --- files beside it ----------------------------------------------------------------------------------------------------

/// A new archive does not swallow the log of a former one, and an archive that lost its name gets its log back whole.
#[test]
fn a_new_archive_is_not_made_beside_a_log() {
    let dir = tempfile::tempdir().expect("a directory");
    let mail = maildir(&dir.path().join("mail"), MESSAGES, 2_000);
    let archive = dir.path().join("a.sqlite");
    let log = dir.path().join("a.sqlite-wal");
    drop(Held::new(&mail, &archive));
    let committed = count(&archive);
    assert!(committed > 0);
    let away = dir.path().join("away.sqlite");
    fs::rename(&archive, &away).expect("a rename");
    let before = digest(&log);
    for _ in 0..2 {
        let output = run(&["import", "maildir", text(&mail), text(&archive)]);
        says(&output, 7, "a leftover log", &["a.sqlite-wal"]);
        assert_eq!(digest(&log), before, "the log is as it was");
        // Again with an empty file of that name, as `touch` or a container makes it.
        let _ = fs::remove_file(&archive);
        fs::write(&archive, b"").expect("an empty file");
    }
    fs::remove_file(&archive).expect("removed");
    let journal = dir.path().join("c.sqlite-journal");
    fs::write(&journal, vec![7; 600]).expect("a journal");
    let output = run(&["import", "maildir", text(&mail), text(&dir.path().join("c.sqlite"))]);
    says(&output, 7, "a leftover journal", &["c.sqlite-journal"]);
    assert!(!dir.path().join("c.sqlite").exists() && fs::read(&journal).expect("the journal") == vec![7; 600]);
    // An empty log holds nothing.
    fs::write(dir.path().join("d.sqlite-wal"), b"").expect("a log");
    import(&mail, &dir.path().join("d.sqlite"));
    sound(&dir.path().join("d.sqlite"), "beside an empty log");
    // The archive comes back, and with it everything that was committed.
    fs::rename(&away, &archive).expect("a rename");
    assert_eq!(count(&archive), committed);
    assert_eq!(import(&mail, &archive)["state"], "complete");
    sound(&archive, "with its log again");
}

/// Two first imports at once: none deletes what the other one made, also if one of them fails at once.
#[test]
fn two_first_imports_do_not_hurt_each_other() {
    let dir = tempfile::tempdir().expect("a directory");
    let mail = maildir(&dir.path().join("mail"), 40, 300);
    let archive = dir.path().join("a.sqlite");
    let server = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = server.local_addr().expect("an address").port();
    // Speaks no IMAP: an import fails as soon as it looks at its source. Ends with the test.
    std::thread::spawn(move || {
        for stream in server.incoming() {
            let _ = stream.and_then(|mut stream| stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n"));
        }
    });
    let url = format!("imap://127.0.0.1:{port}");
    let fails = |archive: &Path| {
        let mut command = vandelay();
        command.args(["import", "imap", "--url", &url, "--allow-cleartext", "--auth-basic", "x"]);
        command.env("VANDELAY_PASSWORD", "x").arg(archive).stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    };
    let mut dice = Dice(11);
    for round in 0..if soak() { 200 } else { 8 } {
        let _ = fs::remove_file(&archive);
        let mut children = Vec::new();
        for at in 0..3 {
            let is_bad = (at + round) % 3 == 0;
            let mut command = if is_bad { fails(&archive) } else { heard(&mail, &archive) };
            children.push((is_bad, command.spawn().expect("it starts")));
            std::thread::sleep(std::time::Duration::from_micros(dice.below(30_000) as u64));
        }
        let mut is_done = false;
        for (is_bad, child) in children {
            let output = child.wait_with_output().expect("it ends");
            let what = format!("round {round}, {}", if is_bad { "the failing one" } else { "a good one" });
            let code = calm(&output, &what);
            let said = String::from_utf8_lossy(&output.stderr).into_owned();
            if is_bad {
                assert!([2, 11].contains(&code), "{what}: {code}: {said}");
            } else {
                assert!([0, 11].contains(&code), "{what}: {code}: {said}");
            }
            is_done |= code == 0;
        }
        if is_done {
            sound(&archive, "after one was done");
            assert_eq!(count(&archive), 40, "round {round}");
        }
        import(&mail, &archive);
        sound(&archive, "in the end");
        assert_eq!(count(&archive), 40, "round {round}");
        assert_eq!(names(dir.path()), ["a.sqlite", "mail"], "round {round}: nothing is left");
    }
}

/// Files whose names look like ours and that are not: neither emptied, nor deleted, nor followed, nor in the way.
#[test]
fn files_of_others_beside_an_archive_are_left_alone() {
    let dir = tempfile::tempdir().expect("a directory");
    let mail = maildir(&dir.path().join("mail"), 10, 300);
    let note = b"vandelay import maildir (pid 1, host elsewhere, since 2020-01-01T00:00:00Z)";
    for kind in [
        "text",
        "empty",
        "large",
        "link",
        "dangling link",
        "link to a note",
        "hard link of a note",
        "FIFO",
        "folder",
        "another user's",
        "unreadable",
    ] {
        for suffix in [".lock", ".new", ".compact"] {
            let what = format!("{kind} {suffix}");
            let place = dir.path().join(&what);
            fs::create_dir(&place).expect("a directory");
            let archive = place.join("a.sqlite");
            let beside = place.join(format!("a.sqlite{suffix}"));
            let target = place.join("target");
            fs::write(&target, if kind.ends_with("note") { &note[..] } else { b"some text of the user" })
                .expect("a file");
            let made = match kind {
                "text" | "another user's" | "unreadable" => fs::write(&beside, "vandelay is a nice program"),
                "empty" => fs::write(&beside, ""),
                "large" => fs::write(&beside, [note.as_slice(), &vec![b' '; 100_000]].concat()),
                "link" | "link to a note" => symlink(&target, &beside),
                "dangling link" => symlink(place.join("nowhere"), &beside),
                "hard link of a note" => fs::hard_link(&target, &beside),
                "FIFO" => Command::new("mkfifo").arg(&beside).status().map(drop),
                _ => fs::create_dir(&beside).and_then(|()| fs::write(beside.join("file"), "x")),
            };
            made.unwrap_or_else(|error| panic!("{what}: {error}"));
            match kind {
                // Without root there is no other user; the rest of the test is the same.
                "another user's" => drop(std::os::unix::fs::chown(&beside, Some(65_534), Some(65_534))),
                "unreadable" => fs::set_permissions(&beside, fs::Permissions::from_mode(0o000)).expect("a mode"),
                _ => {}
            }
            let state = || {
                let meta = fs::symlink_metadata(&beside).unwrap_or_else(|error| panic!("{what}: {error}"));
                let bytes = meta.is_file().then(|| fs::read(&beside).ok());
                (
                    meta.ino(),
                    meta.mode(),
                    meta.len(),
                    meta.mtime(),
                    meta.mtime_nsec(),
                    meta.uid(),
                    bytes,
                    fs::read(&target).expect("a file"),
                )
            };
            let before = state();
            for command in [
                &["import", "maildir", text(&mail), text(&archive)][..],
                &["import", "maildir", text(&mail), text(&archive)],
                &["forget", "--keep-last", "1", "--compact", text(&archive)],
                &["verify", text(&archive)],
            ] {
                let output = run(command);
                assert_eq!(calm(&output, &what), 0, "{what}: {command:?}: {}", String::from_utf8_lossy(&output.stderr));
            }
            assert!(state() == before, "{what}: {:?}, {before:?}", state());
            assert!(!place.join("nowhere").exists());
            let mut expected = vec!["a.sqlite".to_owned(), format!("a.sqlite{suffix}"), "target".to_owned()];
            expected.sort();
            assert_eq!(names(&place), expected, "{what}");
            assert!(kind != "FIFO" || fs::symlink_metadata(&beside).expect("a FIFO").file_type().is_fifo());
        }
    }
}

/// A writer that was killed leaves notes and logs; a writer of another user is not blocked by them.
#[test]
fn what_a_killed_writer_leaves_blocks_no_other_user() {
    // SAFETY: a plain question.
    if unsafe { libc::geteuid() } != 0 || !has("setpriv") {
        return skip("needs root and setpriv");
    }
    let dir = tempfile::tempdir().expect("a directory");
    fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o755)).expect("a mode");
    let program = dir.path().join("vandelay");
    fs::copy(env!("CARGO_BIN_EXE_vandelay"), &program).expect("a copy");
    let home = dir.path().join("home");
    fs::create_dir(&home).expect("a directory");
    let mail = maildir(&home.join("mail"), 50, 200);
    let archive = home.join("a.sqlite");
    let own = || {
        let status = Command::new("chown").args(["-R", "65534:65534"]).arg(&mail).status().expect("chown runs");
        assert!(status.success());
    };
    own();
    std::os::unix::fs::chown(&home, Some(65_534), Some(65_534)).expect("an owner");
    let as_user = |arguments: &[&str]| {
        Command::new("setpriv")
            .args(["--reuid", "65534", "--regid", "65534", "--clear-groups"])
            .arg(&program)
            .args(arguments)
            .output()
            .expect("setpriv runs")
    };
    let import = &["import", "maildir", text(&mail), text(&archive)];
    let output = as_user(import);
    assert_eq!(calm(&output, "first"), 0, "{}", String::from_utf8_lossy(&output.stderr));
    maildir(&mail, MESSAGES, 2_000);
    own();
    // The writer is root's, and is killed.
    let mut child = import_command(&mail, &archive).spawn().expect("it starts");
    let log = home.join("a.sqlite-wal");
    while fs::metadata(&log).map_or(0, |meta| meta.len()) < 1_000_000 && child.try_wait().expect("a child").is_none() {
        std::thread::yield_now();
    }
    signal(&child, libc::SIGKILL);
    let _ = child.wait();
    let output = as_user(import);
    assert_eq!(calm(&output, "after the kill"), 0, "{}", String::from_utf8_lossy(&output.stderr));
    let output = as_user(&["verify", text(&archive)]);
    assert_eq!(calm(&output, "verify"), 0, "{}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(count(&archive), i64::from(MESSAGES));
}
