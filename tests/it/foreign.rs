//! Other programs beside ours: `sqlite3` reads, copies, updates an archive and tries to change its journal mode, at any
//! moment of a run. An exit code of 0 means that everything is there, any other one comes with an error, what the other
//! program committed stays, and nothing is ever malformed. With VANDELAY_SOAK set each operation has 200 rounds.

use crate::common::jmap::{Options, Server};
use crate::common::*;
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

fn text(path: &Path) -> &str {
    path.to_str().expect("a path in UTF-8")
}

fn rounds() -> u64 {
    if soak() { 200 } else { 4 }
}

// --- the other program --------------------------------------------------------------------------------------------------

/// What two `sqlite3` processes at a time do to an archive until they are told to stop.
struct Foreign {
    stop: Arc<AtomicBool>,
    threads: Vec<JoinHandle<Option<String>>>,
}

impl Foreign {
    fn start(archive: &Path, seed: u64) -> Foreign {
        let stop = Arc::new(AtomicBool::new(false));
        let threads = (0..2u64)
            .map(|number| {
                let (stop, archive) = (Arc::clone(&stop), archive.to_owned());
                let dice = Dice(seed << 8 | number);
                std::thread::spawn(move || disturb(&archive, dice, &stop, number == 0))
            })
            .collect();
        Foreign { stop, threads }
    }

    /// Ends it; gives the name of the account that it wrote last, if it could.
    fn end(self) -> Option<String> {
        self.stop.store(true, Ordering::Relaxed);
        self.threads.into_iter().filter_map(|thread| thread.join().expect("the other program meets no damage")).next()
    }
}

/// Runs one thing after the other; only one of the two updates, so that it is known what was written last.
fn disturb(archive: &Path, mut dice: Dice, stop: &AtomicBool, updates: bool) -> Option<String> {
    let scratch = tempfile::tempdir().expect("a directory");
    let copy = scratch.path().join("copy.sqlite");
    let mut written = None;
    for number in 0.. {
        if stop.load(Ordering::Relaxed) {
            break;
        }
        std::thread::sleep(Duration::from_micros(dice.below(20_000) as u64));
        let name = format!("foreign {number}");
        let (update, into, backup) = (
            format!("BEGIN IMMEDIATE; UPDATE sources SET account_name = '{name}'; COMMIT;"),
            format!("VACUUM INTO '{}'", copy.display()),
            format!(".backup {}", copy.display()),
        );
        let choice = dice.below(6);
        let command = match choice {
            0 => "SELECT count(*) FROM emails",
            1 => backup.as_str(),
            2 => into.as_str(),
            3 => "PRAGMA journal_mode=DELETE",
            _ if updates => update.as_str(),
            _ => "SELECT sum(length(data)) FROM blobs; SELECT count(*) FROM history",
        };
        let timeout = format!(".timeout {}", [0, 50, 1_000][dice.below(3)]);
        let output = Command::new("sqlite3").args(["-bail", "-cmd", &timeout]).arg(archive).arg(command).output();
        let output = output.expect("sqlite3 runs");
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        for word in ["malformed", "not a database", "corrupt", "disk I/O error"] {
            assert!(!said.contains(word), "{command}: {said}");
        }
        if output.status.success() && command == update {
            written = Some(name);
        }
        if copy.exists() {
            if output.status.success() {
                intact(&copy);
            }
            fs::remove_file(&copy).expect("removed");
        }
    }
    written
}

// --- what has to be -----------------------------------------------------------------------------------------------------

/// SQLite finds nothing wrong.
fn intact(archive: &Path) {
    let conn = rusqlite::Connection::open(archive).expect("it opens");
    let said: String = conn.query_row("PRAGMA integrity_check", [], |row| row.get(0)).expect("an answer");
    assert_eq!(said, "ok", "{}", archive.display());
}

/// The messages of an archive, sorted.
fn stored(archive: &Path) -> Vec<Vec<u8>> {
    let conn = rusqlite::Connection::open(archive).expect("it opens");
    let mut statement =
        conn.prepare("SELECT b.data FROM emails e JOIN blobs b ON b.id = e.blob_id").expect("the tables");
    let mut messages: Vec<Vec<u8>> =
        statement.query_map([], |row| row.get(0)).expect("rows").collect::<Result<_, _>>().expect("messages");
    messages.sort();
    messages
}

/// The messages in files below a directory, sorted.
fn files(directory: &Path) -> Vec<Vec<u8>> {
    let mut messages = Vec::new();
    let mut queue = vec![directory.to_owned()];
    while let Some(at) = queue.pop() {
        for entry in fs::read_dir(&at).expect("a directory") {
            let path = entry.expect("an entry").path();
            match path.is_dir() {
                true => queue.push(path),
                false => messages.push(fs::read(&path).expect("a message")),
            }
        }
    }
    messages.sort();
    messages
}

/// Gives the exit code of a run, which was 0, or came with an error that speaks of no damage.
fn judge(output: &Output, what: &str) -> i32 {
    let code = calm(output, what);
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(code == 0 || said.lines().any(|line| line.starts_with("error: ")), "{what}: {code}: {said}");
    assert!(![8, 10].contains(&code) && !said.contains("damaged") && !said.contains("malformed"), "{what}: {said}");
    code
}

/// SQLite finds nothing, and `verify` nothing but the row that the other program updated.
fn sound(archive: &Path, is_updated: bool, what: &str) {
    intact(archive);
    let output = run(&["verify", text(archive), "--json"]);
    let code = calm(&output, what);
    let lines = String::from_utf8_lossy(&output.stdout).into_owned();
    let found = lines
        .lines()
        .filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok())
        .filter(|line| line["message_type"] == "finding" && !(is_updated && line["place"] == "sources 1"))
        .count();
    assert!(found == 0 && [0, 8].contains(&code), "{what}: {code}: {lines}{}", String::from_utf8_lossy(&output.stderr));
}

/// The name that the archive has for the account.
fn account_name(archive: &Path) -> String {
    let conn = rusqlite::Connection::open(archive).expect("it opens");
    conn.query_row("SELECT account_name FROM sources", [], |row| row.get(0)).expect("a name")
}

/// What the other program committed last is in the file.
fn kept(archive: &Path, written: Option<&str>, what: &str) {
    if let Some(written) = written {
        assert_eq!(account_name(archive), written, "{what}: what another program committed stays");
    }
}

/// An account with three snapshots: the first one has 300 messages, of which 150 were removed; the last one 300 others.
struct Bench {
    dir: tempfile::TempDir,
    mail: PathBuf,
    base: PathBuf,
}

impl Bench {
    /// `None` where there is no `sqlite3`.
    fn new() -> Option<Bench> {
        if !has("sqlite3") {
            return None;
        }
        let dir = tempfile::tempdir().expect("a directory");
        let mail = maildir(&dir.path().join("mail"), 300, 2_000);
        let base = dir.path().join("base.sqlite");
        let import = || ok(&["import", "maildir", text(&mail), text(&base), "--max-delete", "100%"]);
        import();
        for entry in fs::read_dir(mail.join("cur")).expect("a folder").take(150) {
            fs::remove_file(entry.expect("an entry").path()).expect("removed");
        }
        import();
        for number in 300..450 {
            let bytes = [message(number), filler(u64::from(number)).repeat(20)].concat();
            deliver(&mail, &format!("{}.M{number}P1.host:2,", 1_600_000_000 + number), &bytes);
        }
        import();
        Some(Bench { dir, mail, base })
    }

    /// A copy of the archive for one round.
    fn archive(&self) -> PathBuf {
        let archive = self.dir.path().join("a.sqlite");
        for suffix in ["-wal", "-shm", "-journal", ".lock"] {
            let _ = fs::remove_file(format!("{}{suffix}", archive.display()));
        }
        fs::copy(&self.base, &archive).expect("a copy");
        archive
    }
}

/// Some runs get through although another program is at work all the time.
fn some_succeed(codes: &BTreeMap<i32, u64>, what: &str) {
    eprintln!("{what}: exit codes {codes:?}");
    assert!(codes.get(&0).copied().unwrap_or(0) * 2 >= codes.values().sum(), "{what}: exit codes {codes:?}");
}

// --- the operations -----------------------------------------------------------------------------------------------------

#[test]
fn an_import_beside_a_foreign_writer_is_whole_or_fails() {
    let Some(bench) = Bench::new() else { return };
    let mail = maildir(&bench.mail, 300, 2_000);
    let expected = files(&mail);
    let mut codes = BTreeMap::new();
    for round in 0..rounds() {
        let what = format!("import, round {round}");
        let archive = bench.archive();
        if round % 2 == 1 {
            fs::remove_file(&archive).expect("removed");
        }
        let foreign = Foreign::start(&archive, 1_000 + round);
        let arguments = ["import", "maildir", text(&mail), text(&archive)];
        let output = run(&arguments);
        let updated = foreign.end();
        let code = judge(&output, &what);
        *codes.entry(code).or_insert(0) += 1;
        if code == 0 {
            assert!(stored(&archive) == expected, "{what}: not all is there");
        }
        if code == 0 || round % 2 == 0 {
            sound(&archive, updated.is_some(), &what);
        } else {
            // There may be nothing yet but the empty database that the other program made.
            eprintln!("{what}: {}", String::from_utf8_lossy(&output.stderr));
            intact(&archive);
        }
        ok(&arguments);
        sound(&archive, false, &what);
        assert!(stored(&archive) == expected, "{what}: not all is there after the next import");
    }
    some_succeed(&codes, "import");
}

/// Both forms of `forget`: the current state stays, the dropped snapshots are gone, and nothing else.
fn forget(compact: bool) {
    let Some(bench) = Bench::new() else { return };
    let expected = files(&bench.mail);
    let (second, third) = (tree(&bench.base, "2"), tree(&bench.base, "3"));
    let mut codes = BTreeMap::new();
    for round in 0..rounds() {
        let what = format!("forget, compact {compact}, round {round}");
        let archive = bench.archive();
        let arguments =
            [&["forget", text(&archive), "--keep-last", "2"][..], if compact { &["--compact"] } else { &[] }];
        let foreign = Foreign::start(&archive, 2_000 + round);
        let output = run(&arguments.concat());
        let updated = foreign.end();
        let code = judge(&output, &what);
        *codes.entry(code).or_insert(0) += 1;
        sound(&archive, updated.is_some(), &what);
        kept(&archive, updated.as_deref(), &what);
        assert!(stored(&archive) == expected, "{what}: the current state stays");
        if code == 0 {
            assert_eq!(listed(&["snapshots", text(&archive)]).len(), 2, "{what}");
            assert!(tree(&archive, "2") == second && tree(&archive, "3") == third, "{what}");
        }
        ok(&arguments.concat());
        sound(&archive, updated.is_some(), &what);
        kept(&archive, updated.as_deref(), &what);
    }
    some_succeed(&codes, if compact { "forget --compact" } else { "forget" });
}

#[test]
fn forget_drops_what_it_should() {
    forget(false);
}

#[test]
fn forget_compact_loses_nothing() {
    forget(true);
}

#[test]
fn an_extract_beside_a_foreign_writer_is_whole_or_fails() {
    let Some(bench) = Bench::new() else { return };
    let expected = files(&bench.mail);
    let mut codes = BTreeMap::new();
    for round in 0..rounds() {
        let what = format!("extract, round {round}");
        let archive = bench.archive();
        let into = bench.dir.path().join(format!("into{round}"));
        let foreign = Foreign::start(&archive, 3_000 + round);
        let output = run(&["extract", text(&archive), "mail", "--into", text(&into)]);
        let updated = foreign.end();
        let code = judge(&output, &what);
        *codes.entry(code).or_insert(0) += 1;
        if code == 0 {
            assert!(files(&into) == expected, "{what}: not all is there");
        }
        let _ = fs::remove_dir_all(&into);
        sound(&archive, updated.is_some(), &what);
        kept(&archive, updated.as_deref(), &what);
    }
    some_succeed(&codes, "extract");
}

#[test]
fn an_export_beside_a_foreign_writer_is_whole_or_fails() {
    let Some(bench) = Bench::new() else { return };
    let expected = files(&bench.mail);
    let mut codes = BTreeMap::new();
    for round in 0..rounds() {
        let what = format!("export, round {round}");
        let archive = bench.archive();
        let server = Server::start(Options::default());
        let command = || {
            let mut command = jmap_run::command(&server, "export");
            command.arg(&archive);
            command.output().expect("the program starts")
        };
        let there = || {
            let ids = server.objects("A1", "Email");
            let mut all: Vec<_> = ids.keys().map(|id| server.bytes("A1", "Email", id).expect("its bytes")).collect();
            all.sort();
            all
        };
        let foreign = Foreign::start(&archive, 4_000 + round);
        let output = command();
        let updated = foreign.end();
        let code = judge(&output, &what);
        *codes.entry(code).or_insert(0) += 1;
        if code == 0 {
            assert!(there() == expected, "{what}: not all is there");
        } else {
            let output = command();
            assert_eq!(judge(&output, &what), 0, "{what}: again: {}", String::from_utf8_lossy(&output.stderr));
            assert!(there() == expected, "{what}: not all is there");
        }
        sound(&archive, updated.is_some(), &what);
        kept(&archive, updated.as_deref(), &what);
    }
    some_succeed(&codes, "export");
}

/// Names and bytes of all messages below a directory, as far as they can be read; a listing is whole or an error.
fn read_all(at: &Path) -> Result<BTreeMap<PathBuf, Vec<u8>>, std::io::Error> {
    let mut found = BTreeMap::new();
    let mut queue = vec![at.to_owned()];
    while let Some(folder) = queue.pop() {
        for entry in fs::read_dir(&folder)? {
            let entry = entry?;
            if entry.file_type()?.is_dir() {
                queue.push(entry.path());
            } else {
                found.insert(entry.path(), fs::read(entry.path())?);
            }
        }
    }
    Ok(found)
}

#[test]
fn a_mount_beside_a_foreign_writer_shows_all_or_says_so() {
    let Some(bench) = Bench::new() else { return };
    if !Path::new("/dev/fuse").exists() {
        return skip("there is no /dev/fuse");
    }
    let expected = files(&bench.mail);
    let at = bench.dir.path().join("mnt");
    fs::create_dir(&at).expect("a mountpoint");
    let mut codes = BTreeMap::new();
    for round in 0..rounds() {
        let what = format!("mount, round {round}");
        let archive = bench.archive();
        let foreign = Foreign::start(&archive, 5_000 + round);
        let output = run(&["mount", text(&archive), text(&at)]);
        let code = judge(&output, &what);
        if code == 0 {
            let mounted = Mounted { at: at.clone() };
            for pass in 0..3 {
                match read_all(&mounted.at.join("mail")) {
                    Ok(found) => {
                        let mut found: Vec<Vec<u8>> = found.into_values().collect();
                        found.sort();
                        assert!(found == expected, "{what}, pass {pass}: {} of {}", found.len(), expected.len());
                        *codes.entry(0).or_insert(0) += 1;
                    }
                    Err(error) => {
                        let errno = error.raw_os_error().unwrap_or(-1);
                        assert_eq!(errno, libc::EAGAIN, "{what}, pass {pass}: {error}");
                        *codes.entry(errno).or_insert(0) += 1;
                    }
                }
            }
            let updated = foreign.end();
            assert!(files(&mounted.at.join("mail")) == expected, "{what}: in peace");
            drop(mounted);
            sound(&archive, updated.is_some(), &what);
            kept(&archive, updated.as_deref(), &what);
        } else {
            *codes.entry(code).or_insert(0) += 1;
            foreign.end();
        }
    }
    some_succeed(&codes, "mount");
}
