//! The index of `vandelay find`: whatever happens to it, the answers are those of one that is made anew.

use crate::common::held::signal;
use crate::common::v1::{self, Variant};
use crate::common::{Dice, Tmpfs, calm, deliver, digest, maildir, message, ok, run, soak, vandelay};
use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

fn text(path: &Path) -> &str {
    path.to_str().expect("a path in UTF-8")
}

/// Queries whose answers show whether an index is whole: common words, rare ones, phrases, all.
const QUERIES: [&str; 5] = ["body", "subject:\"number 17\"", "from:a5 OR from:a42", "\"body 33\"", "type:mail -number"];

fn index_of(archive: &Path) -> PathBuf {
    PathBuf::from(format!("{}.search", text(archive)))
}

/// What the queries find, with these flags.
fn answers(archive: &Path, flags: &[&str]) -> String {
    let mut all = String::new();
    for query in QUERIES {
        let arguments = [&["-q", "find", "--json", "--limit", "0", text(archive), query], flags].concat();
        let output = run(&arguments);
        assert_eq!(calm(&output, query), 0, "{query}: {}", String::from_utf8_lossy(&output.stderr));
        all.push_str(&String::from_utf8_lossy(&output.stdout));
    }
    all
}

/// What an index that is made anew says.
fn fresh(archive: &Path) -> String {
    answers(archive, &["--no-index"])
}

fn import(mail: &Path, archive: &Path, flags: &[&str]) {
    ok(&[&["-q", "import", "maildir", "--max-delete", "100%", text(mail), text(archive)], flags].concat());
}

/// An archive in a folder of its own.
fn archive_of(dir: &Path, count: u32, flags: &[&str]) -> PathBuf {
    let mail = maildir(&dir.join("mail"), count, 300);
    let archive = dir.join("a.sqlite");
    import(&mail, &archive, flags);
    archive
}

#[test]
fn without_an_index_no_file_is_left_and_the_answers_are_the_same() {
    let dir = tempfile::tempdir().expect("a directory");
    let archive = archive_of(dir.path(), 120, &["--no-index"]);
    let expected = fresh(&archive);
    assert!(expected.lines().count() > 120 && !index_of(&archive).exists(), "{expected}");
    assert_eq!(answers(&archive, &[]), expected);
    assert!(index_of(&archive).is_file());
    assert_eq!(fs::metadata(index_of(&archive)).expect("an index").permissions().mode() & 0o777, 0o600);
    // An import with the flag leaves the index as it is; the next search sees what is new all the same.
    deliver(&dir.path().join("mail"), "1700000000.M1.h:2,", &message(4_242));
    import(&dir.path().join("mail"), &archive, &["--no-index"]);
    let now = answers(&archive, &[]);
    assert!(now != expected && now == fresh(&archive));
    assert_eq!(ok(&["find", "--count", text(&archive), "4242"]).trim(), "1");
}

#[test]
fn a_killed_search_goes_on_and_a_killed_import_too() {
    let dir = tempfile::tempdir().expect("a directory");
    let archive = archive_of(dir.path(), 700, &["--no-index"]);
    let expected = fresh(&archive);
    let mut died = 0;
    let trials = if soak() { 100 } else { 4 };
    for trial in 0..trials {
        let _ = fs::remove_file(index_of(&archive));
        let mut child = vandelay()
            .args(["-q", "find", "--count", text(&archive), "body"])
            .stdout(Stdio::null())
            .spawn()
            .expect("it starts");
        std::thread::sleep(Duration::from_millis(20 + 400 * trial / trials));
        signal(&child, 9);
        died += u32::from(child.wait().expect("it ends").code().is_none());
        assert_eq!(answers(&archive, &[]), expected, "killed in trial {trial}");
    }
    assert!(died > 0, "a search is killed in its midst");
    // Imports that are killed while they keep the index.
    let mail = dir.path().join("mail");
    for trial in 0..if soak() { 50 } else { 3 } {
        let other = dir.path().join(format!("{trial}.sqlite"));
        let mut child =
            vandelay().args(["-q", "import", "maildir", text(&mail), text(&other)]).spawn().expect("it starts");
        std::thread::sleep(Duration::from_millis(60 + 150 * trial));
        signal(&child, 9);
        child.wait().expect("it ends");
        import(&mail, &other, &[]);
        assert_eq!(answers(&other, &[]), fresh(&other), "killed in trial {trial}");
    }
}

/// Any damage is seen, and the index is made anew.
#[test]
fn a_damaged_index_is_made_anew() {
    let dir = tempfile::tempdir().expect("a directory");
    let archive = archive_of(dir.path(), 90, &[]);
    let index = index_of(&archive);
    let expected = fresh(&archive);
    assert_eq!(answers(&archive, &[]), expected);
    let whole = fs::read(&index).expect("an index");
    let mut dice = Dice(7);
    for trial in 0..if soak() { 2_000 } else { 20 } {
        let mut bytes = whole.clone();
        let at = dice.below(bytes.len());
        let what = match trial % 5 {
            0 => {
                bytes[at] ^= 1 << dice.below(8);
                format!("a bit at {at}")
            }
            1 => {
                bytes.truncate(at);
                format!("cut at {at}")
            }
            2 => {
                let end = (at + 4_096).min(bytes.len());
                bytes[at..end].fill(0);
                format!("zeros at {at}")
            }
            3 => {
                let from = dice.below(bytes.len() / 4_096) * 4_096;
                let to = dice.below(bytes.len() / 4_096) * 4_096;
                let page = bytes[from..from + 4_096].to_vec();
                bytes[to..to + 4_096].copy_from_slice(&page);
                format!("page {} over {}", from / 4_096, to / 4_096)
            }
            _ => {
                bytes[at] = dice.below(256) as u8;
                bytes.extend_from_slice(b"more");
                format!("a byte at {at}, and more")
            }
        };
        fs::write(&index, &bytes).expect("an index");
        assert_eq!(answers(&archive, &[]), expected, "trial {trial}: {what}");
    }
}

#[test]
fn something_else_in_its_place_is_no_index() {
    let dir = tempfile::tempdir().expect("a directory");
    let archive = archive_of(dir.path(), 60, &[]);
    let index = index_of(&archive);
    let expected = fresh(&archive);
    let cache = dir.path().join("cache");
    let find = |query: &str| {
        let mut command = vandelay();
        command.env("XDG_CACHE_HOME", &cache).args(["-q", "find", "--json", text(&archive), query]);
        let output = command.output().expect("the program starts");
        assert_eq!(calm(&output, query), 0, "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8_lossy(&output.stdout).into_owned()
    };
    let all = || QUERIES.map(&find).concat();
    // Another SQLite file, text, nothing.
    fs::remove_file(&index).expect("an index");
    rusqlite::Connection::open(&index).expect("a database").execute_batch("CREATE TABLE other (a)").expect("a table");
    assert_eq!(all(), expected);
    for bytes in [&b"a note of the user"[..], b"", b"SQLite format 3\0"] {
        fs::write(&index, bytes).expect("a file");
        assert_eq!(all(), expected, "{bytes:?}");
    }
    // A directory, and a link: neither is followed or removed, and the index goes to the cache.
    fs::remove_file(&index).expect("an index");
    fs::create_dir(&index).expect("a directory");
    fs::write(index.join("mine"), b"x").expect("a file");
    assert_eq!(all(), expected);
    assert!(index.join("mine").is_file());
    fs::remove_dir_all(&index).expect("a directory");
    let target = dir.path().join("target");
    fs::write(&target, b"precious").expect("a file");
    symlink(&target, &index).expect("a link");
    assert_eq!(all(), expected);
    assert_eq!(fs::read(&target).expect("a file"), b"precious");
    fs::remove_file(&index).expect("a link");
    let kept: Vec<_> = fs::read_dir(cache.join("vandelay")).expect("a cache").collect();
    assert_eq!(kept.len(), 1, "one index in the cache");
    // A pipe that nobody reads is not waited for.
    assert!(Command::new("mkfifo").arg(&index).status().expect("mkfifo runs").success());
    assert_eq!(all(), expected);
}

#[test]
fn an_index_of_another_archive_or_of_an_older_copy_is_not_believed() {
    let dir = tempfile::tempdir().expect("a directory");
    let archive = archive_of(dir.path(), 60, &[]);
    // Another archive comes under the same name, with as many messages.
    let second = dir.path().join("second");
    let mail = second.join("mail");
    for number in 0..60 {
        deliver(&mail, &format!("{}.M{number}.h:2,", 1_700_000_000 + number), &message(1_000 + number));
    }
    import(&mail, &second.join("b.sqlite"), &["--no-index"]);
    let older = dir.path().join("older.sqlite");
    fs::copy(&archive, &older).expect("a copy");
    fs::copy(second.join("b.sqlite"), &archive).expect("a copy");
    assert_eq!(answers(&archive, &[]), fresh(&archive), "another archive");
    assert_eq!(ok(&["-q", "find", "--count", text(&archive), "1017"]).trim(), "1");
    // The archive goes on, its index too; then an older copy of the archive comes back.
    fs::copy(&older, &archive).expect("a copy");
    deliver(&dir.path().join("mail"), "1700000000.M1.h:2,", &message(4_242));
    import(&dir.path().join("mail"), &archive, &[]);
    assert_eq!(ok(&["-q", "find", "--count", text(&archive), "4242"]).trim(), "1");
    fs::copy(&older, &archive).expect("a copy");
    assert_eq!(answers(&archive, &[]), fresh(&archive), "an older copy");
    assert_eq!(ok(&["-q", "find", "--count", text(&archive), "4242"]).trim(), "0");
    // And goes on in another way: the same number is of another message now.
    fs::remove_file(dir.path().join("mail/cur/1700000000.M1.h:2,")).expect("a message");
    deliver(&dir.path().join("mail"), "1700000001.M1.h:2,", &message(5_151));
    import(&dir.path().join("mail"), &archive, &[]);
    let count = |query: &str| ok(&["-q", "find", "--count", text(&archive), query]).trim().to_owned();
    assert_eq!((count("4242"), count("5151")), ("0".to_owned(), "1".to_owned()));
    assert_eq!(answers(&archive, &[]), fresh(&archive), "another history");
}

/// The copy that comes back has the same messages but for the last one, with nothing between that says so.
#[test]
fn an_older_copy_that_went_on_in_another_way_is_seen_at_once() {
    let dir = tempfile::tempdir().expect("a directory");
    let archive = archive_of(dir.path(), 60, &[]);
    let (mail, older) = (dir.path().join("mail"), dir.path().join("older.sqlite"));
    fs::copy(&archive, &older).expect("a copy");
    let first = deliver(&mail, "1700000000.M1.h:2,", &message(4_242));
    import(&mail, &archive, &[]);
    fs::remove_file(first).expect("a message");
    deliver(&mail, "1700000001.M1.h:2,", &message(5_151));
    import(&mail, &older, &["--no-index"]);
    fs::copy(&older, &archive).expect("a copy");
    let count = |query: &str| ok(&["-q", "find", "--count", text(&archive), query]).trim().to_owned();
    assert_eq!((count("4242"), count("5151")), ("0".to_owned(), "1".to_owned()));
}

/// A folder that cannot be written, and an archive on read-only media: the index is in the user's cache.
#[test]
fn read_only_media_have_their_index_in_the_cache() {
    let dir = tempfile::tempdir().expect("a directory");
    let Some(disk) = Tmpfs::new(&dir.path().join("disk"), "size=16m") else { return };
    let archive = archive_of(&disk.at, 60, &["--no-index"]);
    let expected = fresh(&archive);
    disk.remount("ro");
    let cache = dir.path().join("cache");
    for round in ["made", "found again"] {
        for query in QUERIES {
            let mut command = vandelay();
            command.env("XDG_CACHE_HOME", &cache).args(["-q", "find", "--json", text(&archive), query]);
            let output = command.output().expect("the program starts");
            assert_eq!(calm(&output, query), 0, "{round}: {}", String::from_utf8_lossy(&output.stderr));
            let said = String::from_utf8_lossy(&output.stdout);
            assert!(!said.is_empty() && expected.contains(&*said), "{round}: {query}: {said}");
        }
    }
    let kept: Vec<_> = fs::read_dir(cache.join("vandelay")).expect("a cache").collect();
    assert_eq!(kept.len(), 1);
    assert!(!index_of(&archive).exists());
    // Neither place: the search works without one.
    let output = vandelay()
        .env("XDG_CACHE_HOME", disk.at.join("nowhere"))
        .args(["-q", "find", "--count", text(&archive), "body"])
        .output()
        .expect("the program starts");
    assert_eq!(String::from_utf8_lossy(&output.stdout).trim(), "60", "{}", String::from_utf8_lossy(&output.stderr));
    disk.remount("rw");
}

#[test]
fn a_full_disk_costs_the_index_and_never_the_import() {
    let dir = tempfile::tempdir().expect("a directory");
    let mail = maildir(&dir.path().join("mail"), 600, 1_500);
    let probe = dir.path().join("probe.sqlite");
    import(&mail, &probe, &["--no-index"]);
    let size = fs::metadata(&probe).expect("an archive").len();
    for extra in [40_000, 200_000, 500_000] {
        let kilobytes = (size + extra) / 1024;
        let Some(disk) = Tmpfs::new(&dir.path().join(format!("disk{extra}")), &format!("size={kilobytes}k")) else {
            return;
        };
        let archive = disk.at.join("a.sqlite");
        fs::copy(&probe, &archive).expect("a copy");
        // The search says what is missing, or works without an index; and nothing is left that fills the disk.
        let output = run(&["find", "--count", text(&archive), "body"]);
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        match calm(&output, "a full disk") {
            0 => assert_eq!(String::from_utf8_lossy(&output.stdout).trim(), "600", "{extra}"),
            code => assert!(code == 7 && said.contains("no space") && said.contains("--no-index"), "{extra}: {said}"),
        }
        assert_eq!(ok(&["-q", "find", "--no-index", "--count", text(&archive), "body"]).trim(), "600");
        disk.remount("size=64m");
        assert_eq!(answers(&archive, &[]), fresh(&archive), "{extra}");
        ok(&["verify", text(&archive)]);
    }
}

#[test]
fn archives_of_1x_are_not_touched() {
    let dir = tempfile::tempdir().expect("a directory");
    let archive = dir.path().join("old.sqlite");
    v1::write(&archive, &Variant { journal_mode: "DELETE", ..Variant::default() });
    let before = digest(&archive);
    let count = |words: &[&str]| ok(&[&["-q", "find", "--count", text(&archive)], words].concat()).trim().to_owned();
    assert_eq!(count(&["subject:v1"]), "7");
    assert_eq!(count(&["\"body 3\""]), "1");
    assert_eq!(count(&["fileinto", "work"]), "2", "two scripts of the same bytes");
    assert_eq!(count(&["type:mail", "is:deleted"]), "0");
    assert_eq!(digest(&archive), before, "every byte is as it was");
    // 1.x writes: it gives numbers of deleted rows again.
    let conn = rusqlite::Connection::open(&archive).expect("an archive");
    let one: i64 = conn.query_row("SELECT max(id) FROM emails", [], |row| row.get(0)).expect("a row");
    let other: i64 = conn.query_row("SELECT blob_id FROM emails WHERE id = 1", [], |row| row.get(0)).expect("a row");
    conn.execute("UPDATE emails SET blob_id = ?1 WHERE id = ?2", [other, one]).expect("a change");
    drop(conn);
    assert_eq!(count(&["\"body 1\""]), "2", "a row of another message");
    assert_eq!(answers(&archive, &[]), fresh(&archive));
}

/// Words of what was forgotten are not in the file of the index any more.
#[test]
fn forget_takes_words_out() {
    let dir = tempfile::tempdir().expect("a directory");
    let (mail, archive) = (maildir(&dir.path().join("mail"), 50, 300), dir.path().join("a.sqlite"));
    let secret =
        deliver(&mail, "1700000000.M1.h:2,", b"From: a@b\r\nSubject: xylophonesecret\r\n\r\nquixoticsecret\r\n");
    import(&mail, &archive, &[]);
    let count = |query: &str| ok(&["-q", "find", "--count", text(&archive), query]).trim().to_owned();
    let holds =
        |word: &str| memchr::memmem::find(&fs::read(index_of(&archive)).expect("an index"), word.as_bytes()).is_some();
    assert_eq!((count("xylophonesecret"), count("quixoticsecret")), ("1".to_owned(), "1".to_owned()));
    fs::remove_file(secret).expect("a message");
    import(&mail, &archive, &[]);
    assert_eq!(count("quixoticsecret is:deleted"), "1");
    ok(&["-q", "forget", text(&archive), "--keep-last", "1"]);
    assert_eq!(
        (count("xylophonesecret"), count("quixoticsecret"), count("type:mail")),
        ("0".to_owned(), "0".to_owned(), "50".to_owned())
    );
    assert!(!holds("xylophonesecret") && !holds("quixoticsecret"), "the words are gone from the file");
    assert_eq!(answers(&archive, &[]), fresh(&archive));
}

#[test]
fn searches_at_once_and_imports_meanwhile_all_answer() {
    let dir = tempfile::tempdir().expect("a directory");
    let (mail, archive) = (maildir(&dir.path().join("mail"), 400, 300), dir.path().join("a.sqlite"));
    import(&mail, &archive, &["--no-index"]);
    for round in 0..if soak() { 20 } else { 2_u32 } {
        let _ = fs::remove_file(index_of(&archive));
        for number in 0..40 {
            deliver(
                &mail,
                &format!("{}.M{number}.h:2,", 1_700_000_000 + round * 100 + number),
                &message(10_000 + round * 100 + number),
            );
        }
        std::thread::scope(|scope| {
            scope.spawn(|| import(&mail, &archive, &[]));
            for _ in 0..4 {
                scope.spawn(|| {
                    for _ in 0..3 {
                        let output = run(&["-q", "find", "--count", text(&archive), "body"]);
                        assert_eq!(calm(&output, "a search"), 0, "{}", String::from_utf8_lossy(&output.stderr));
                        let found: u32 = String::from_utf8_lossy(&output.stdout).trim().parse().expect("a number");
                        assert!((400 + round * 40..=440 + round * 40).contains(&found), "{found} in round {round}");
                    }
                });
            }
        });
        assert_eq!(answers(&archive, &[]), fresh(&archive), "round {round}");
    }
}
