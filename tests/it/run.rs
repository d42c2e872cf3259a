//! `vandelay run`: many accounts from one file, each on its own, with one report, numbers, pings and hooks.

use crate::common::*;
use std::fs;
use std::io::{Read, Write};
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use vandelay::archive::Reader;

/// An mbox, which an import of a Maildir names and does not understand.
const STRANGE: &str = "From a@example.org Mon Jan  1 00:00:00 2024\nFrom: a@example.org\nSubject: x\n\nbody\n";

/// A folder with a configuration and what it needs.
struct Place {
    dir: tempfile::TempDir,
}

impl Place {
    fn new() -> Place {
        Place { dir: tempfile::tempdir().expect("a directory") }
    }

    fn at(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn read(&self, name: &str) -> String {
        fs::read_to_string(self.at(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
    }

    /// A Maildir with so many messages.
    fn maildir(&self, name: &str, count: u32) {
        for number in 0..count {
            deliver(&self.at(name), &format!("{}.M1P{number}.h:2,S", 1_700_000_000 + number), &message(number));
        }
    }

    fn config(&self, text: &str) {
        fs::write(self.at("config.toml"), text).expect("a configuration");
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = vandelay();
        command.arg("run").arg("--config").arg(self.at("config.toml")).args(arguments);
        command
    }

    fn run(&self, arguments: &[&str]) -> Output {
        self.command(arguments).output().expect("the program starts")
    }

    /// Runs it, expects this code, and gives stdout and stderr.
    fn ends(&self, code: i32, arguments: &[&str]) -> (String, String) {
        let output = self.run(arguments);
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let (out, err) = (text(&output.stdout), text(&output.stderr));
        assert_eq!(output.status.code(), Some(code), "{out}\n{err}");
        (out, err)
    }
}

fn states(archive: &Path) -> Vec<String> {
    let snapshots = Reader::open(archive).and_then(|reader| reader.snapshots()).expect("snapshots");
    snapshots.into_iter().map(|snapshot| snapshot.state).collect()
}

#[test]
fn an_account_that_fails_stops_no_other_and_the_worst_is_last() {
    let place = Place::new();
    place.maildir("good", 3);
    place.maildir("half", 2);
    fs::write(place.at("half/old"), STRANGE).expect("a file");
    place.config(
        r#"
        [account.zoe]
        archive = "zoe.sqlite"
        maildir = { path = "good" }
        [account.bad]
        archive = "bad.sqlite"
        auth-basic = "bad"
        password-command = "echo hunter2"
        imap = { url = "imaps://127.0.0.1:1", max-retries = 0 }
        maildir = { path = "good" }
        [account.half]
        archive = "half.sqlite"
        maildir = { path = "half" }
        "#,
    );
    let (out, err) = place.ends(2, &["--jobs", "3"]);
    let lines: Vec<&str> = out.lines().collect();
    assert_eq!(lines.len(), 3, "{out}");
    for (line, begin) in lines.iter().zip(["ok ", "partial ", "failed "]) {
        assert!(line.starts_with(begin), "{out}");
    }
    assert!(lines[2].contains("bad") && lines[2].contains("maildir 4 new"), "the other source is imported: {out}");
    assert!(err.contains("error: bad: imap: cannot connect to 127.0.0.1:1"), "{err}");
    assert!(!err.contains("hunter2") && !out.contains("hunter2"));
    assert_eq!(
        err.lines().filter(|line| line.starts_with("error: 1 account partial, 1 account failed; bad:")).count(),
        1
    );

    let output = place.run(&["--json", "--account", "bad", "--account", "zoe"]);
    let rows: Vec<serde_json::Value> =
        String::from_utf8_lossy(&output.stdout).lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    let types: Vec<&str> = rows.iter().map(|row| row["message_type"].as_str().expect("a type")).collect();
    assert_eq!(types, ["import", "import", "account", "account", "summary", "exit_error"]);
    assert_eq!((&rows[3]["account"], &rows[3]["code"]), (&"bad".into(), &2.into()));
    assert_eq!(rows[3]["errors"][0]["step"], "imap");
    assert_eq!((&rows[4]["ok"], &rows[4]["failed"], &rows[5]["code"]), (&1.into(), &1.into(), &2.into()));
}

/// A configuration, and what its error says: line, key, hint.
const ERRORS: [(&str, &str, &str); 25] = [
    (
        "[account.a]\narchive = \"a\"\nmaildir = {path=\"m\"}\nfoo = 1",
        "line 4: account.a.foo: unknown key",
        "known here",
    ),
    ("[acount.a]", "line 1: acount: unknown key", "did you mean account?"),
    ("[account.a]\narchve = \"a\"", "line 2: account.a.archve: unknown key", "did you mean archive?"),
    (
        "[account.a]\narchive = \"a\"\nmaildir = {pth=\"m\"}",
        "line 3: account.a.maildir.pth: unknown key",
        "did you mean path?",
    ),
    ("[account.a]\narchive = \"a\"\nimap = {}\n", "line 3: account.a.imap: url", "is missing"),
    (
        "[account.a]\narchive = \"a\"\n[account.a.imap]\nurl = \"imaps://h\"\nauth-basic = \"a\"",
        "line 3: account.a.imap: there is no password",
        "password-file or password-command or password-credential",
    ),
    (
        "[account.a]\narchive = \"a\"\nauth-password = \"x\"",
        "line 3: account.a.auth-password: this may not stand",
        "password-file",
    ),
    (
        "[account.a]\narchive = \"a\"\n[account.a.imap]\nurl = \"imaps://h\"\nauth-bearer = \"5ecret\"\nauth-user = \"a\"\ntoken-command = \"c\"",
        "line 5: account.a.imap.auth-bearer: true or false is wanted; a token may not stand in this file",
        "",
    ),
    (
        "[account.a]\narchive = \"a\"\nmaildir = {path=\"m\", max-delete = \"half\"}",
        "line 3: account.a.maildir.max-delete: invalid value 'half'",
        "",
    ),
    (
        "[account.a]\narchive = \"a\"\nmaildir = {path=\"m\", include-deleted = 1}",
        "line 3: account.a.maildir.include-deleted: true or false",
        "",
    ),
    (
        "[account.a]\narchive = \"a\"\nmaildir = {path=\"m\", max-delete = [\"1%\"]}",
        "max-delete: one value is wanted",
        "",
    ),
    ("[account.a]\narchive = \"a\"\nmaildir = {path=\"m\", dry-run = true}", "dry-run: this may not stand", "--check"),
    ("[account.a]\nmaildir = {path=\"m\"}", "line 1: account.a: archive is missing", ""),
    ("[account.a]\narchive = \"a\"", "line 1: account.a: there is no source", "imap"),
    (
        "[account.a]\narchive = \"a\"\ntimeout = 3\nmaildir = {path=\"m\"}",
        "line 3: account.a.timeout: no source of this account has this key",
        "",
    ),
    (
        "[account.a]\narchive = \"x\"\nmaildir = {path=\"m\"}\n[account.b]\narchive = \"x\"\nmaildir = {path=\"m\"}",
        "line 4: account.b: the archive of account a as well",
        "",
    ),
    ("[account]\na = 1", "line 2: account.a: a table of an account", ""),
    (
        "[retention]\nkeep-dayly = 1\n[account.a]\narchive = \"x\"\nmaildir = {path=\"m\"}",
        "line 2: retention.keep-dayly: unknown key",
        "keep-daily",
    ),
    (
        "[retention]\n[account.a]\narchive = \"x\"\nmaildir = {path=\"m\"}",
        "line 1: retention: it says nothing that is kept",
        "",
    ),
    (
        "[report]\nping-url = \"nonsense\"\n[account.a]\narchive = \"x\"\nmaildir = {path=\"m\"}",
        "line 2: report.ping-url: the URL to ping",
        "",
    ),
    (
        "[copies]\nto = \"c/%F\"\n[account.a]\narchive = \"a\"\nmaildir = {path=\"m\"}\n[account.b]\narchive = \"b\"\nmaildir = {path=\"m\"}",
        "line 6: account.b: its copies would have the names of those of account a",
        "{account}",
    ),
    // A login of its own takes no secret from the account.
    (
        "[account.a]\narchive = \"a\"\nauth-basic = \"admin\"\npassword-file = \"p\"\nmaildir = {path=\"m\"}\nimap = {url=\"imaps://h\", auth-basic=\"bob\"}",
        "line 6: account.a.imap: there is no password",
        "",
    ),
    (
        "[retention]\nkeep-daily = \"x\"\n[account.a]\narchive = \"a\"\nretention = false\nmaildir = {path=\"m\"}",
        "line 2: retention.keep-daily: invalid value",
        "",
    ),
    ("a = \n", "line 1: this is not TOML", ""),
    ("", "line 1: there is no account", "[account.NAME]"),
];

#[test]
fn an_error_names_the_line_the_key_and_the_nearest_key() {
    let place = Place::new();
    for (text, what, hint) in ERRORS {
        place.config(text);
        let (_, err) = place.ends(1, &[]);
        assert!(err.starts_with("error: ") && err.contains(what) && err.contains(hint), "{text}\n{err}");
        assert!(err.lines().count() <= 2 && !err.contains("5ecret"), "{text}\n{err}");
    }
    fs::remove_file(place.at("config.toml")).expect("removed");
    assert!(place.ends(1, &[]).1.contains("config.toml"));
    let (_, err) = {
        let output = vandelay().arg("run").env("XDG_CONFIG_HOME", place.at("none")).output().expect("it starts");
        (output.status, String::from_utf8_lossy(&output.stderr).into_owned())
    };
    assert!(err.contains("none/vandelay/config.toml") && err.contains("vandelay config init"), "{err}");
}

#[test]
fn nearer_keys_hold_before_farther_ones() {
    let place = Place::new();
    place.maildir("mail", 2);
    place.config(
        r#"
        [defaults]
        max-delete = "100%"
        folder = ["nothing"]
        [account.a]
        archive = "a.sqlite"
        folder = ["INBOX"]
        maildir = { path = "mail" }
        [[account.b.maildir]]
        path = "mail"
        folder = "INBOX"
        [account.b]
        archive = "b.sqlite"
        "#,
    );
    let (out, _) = place.ends(0, &[]);
    assert_eq!(out.matches("3 new").count(), 2, "{out}");
    let report = Reader::open(&place.at("a.sqlite")).and_then(|reader| reader.report(1)).expect("a report");
    assert_eq!(report.expect("a report")["max_delete"], 1.0);
}

#[test]
fn nothing_is_forgotten_after_a_run_that_was_not_good() {
    let place = Place::new();
    place.maildir("mail", 80);
    place.config("[retention]\nkeep-last = 1\n[account.a]\narchive = \"a.sqlite\"\nmaildir = { path = \"mail\" }\n");
    let archive = place.at("a.sqlite");
    place.ends(0, &[]);
    place.ends(0, &[]);
    assert_eq!(states(&archive), ["complete"], "a good run forgets");
    // A file that is not understood.
    let strange = place.at("mail/old");
    fs::write(&strange, STRANGE).expect("a file");
    place.ends(5, &[]);
    place.ends(5, &[]);
    assert_eq!(states(&archive), ["complete", "partial", "partial"]);
    // A guard.
    fs::remove_file(&strange).expect("removed");
    let held = place.at("held");
    fs::rename(place.at("mail/cur"), &held).expect("moved");
    fs::create_dir(place.at("mail/cur")).expect("a folder");
    let (out, _) = place.ends(9, &[]);
    assert!(out.starts_with("failed "), "{out}");
    assert_eq!(states(&archive), ["complete", "partial", "partial"]);
    // By hand, too, the last complete one stays, though the rule wants one snapshot only.
    ok(&["forget", archive.to_str().expect("UTF-8"), "--keep-last", "1"]);
    assert_eq!(states(&archive), ["complete", "partial"]);
    fs::remove_dir(place.at("mail/cur")).expect("removed");
    fs::rename(&held, place.at("mail/cur")).expect("moved back");
    place.ends(0, &[]);
    assert_eq!(states(&archive), ["complete"]);
}

#[test]
fn a_copy_is_made_once_a_day_and_older_ones_go_after_a_good_run_only() {
    let place = Place::new();
    place.maildir("mail", 3);
    fs::create_dir(place.at("copies")).expect("a folder");
    place.config(
        "[copies]\nto = \"copies/{account}-%Y-%m-%d.sqlite\"\nkeep-daily = 2\n[account.\"a/100%\"]\narchive = \"a.sqlite\"\nmaildir = { path = \"mail\" }\n",
    );
    let copies = || {
        let mut names: Vec<String> = fs::read_dir(place.at("copies"))
            .expect("a folder")
            .map(|entry| entry.expect("an entry").file_name().to_string_lossy().into_owned())
            .collect();
        names.sort();
        names
    };
    let at = |day: &str, code: i32| {
        let mut command = Command::new("faketime");
        command.args([&format!("{day} 03:00:00"), env!("CARGO_BIN_EXE_vandelay"), "run", "--config"]);
        let output = command.arg(place.at("config.toml")).env("TZ", "UTC").output().expect("it starts");
        let out = String::from_utf8_lossy(&output.stdout).into_owned();
        assert_eq!(output.status.code(), Some(code), "{out}{}", String::from_utf8_lossy(&output.stderr));
        out
    };
    if !has("faketime") {
        return;
    }
    let name = |day: &str| format!("a_100%-{day}.sqlite");
    assert!(at("2026-01-01", 0).contains("copied to "));
    assert!(at("2026-01-01", 0).contains("is there"));
    at("2026-01-02", 0);
    // After a partial run there is a copy, and no other goes.
    fs::write(place.at("mail/old"), STRANGE).expect("a file");
    assert!(at("2026-01-03", 5).starts_with("partial "));
    assert_eq!(copies(), ["2026-01-01", "2026-01-02", "2026-01-03"].map(name));
    fs::remove_file(place.at("mail/old")).expect("removed");
    assert!(at("2026-01-04", 0).contains("removed 2 older ones"));
    assert_eq!(copies(), ["2026-01-03", "2026-01-04"].map(name));
    // What has the name already is no copy of this archive, or an incomplete one: that is no success.
    let other = place.at("copies").join(name("2026-01-05"));
    fs::write(&other, "no archive").expect("a file");
    assert!(at("2026-01-05", 10).starts_with("failed "));
    place.maildir("other", 1);
    let other_archive = place.at("other.sqlite");
    ok(&["import", "maildir", place.at("other").to_str().expect("UTF-8"), other_archive.to_str().expect("UTF-8")]);
    fs::copy(&other_archive, &other).expect("a copy");
    assert!(at("2026-01-05", 1).contains("is there already, and is an archive of another account"));
    fs::remove_file(&other).expect("removed");
    ok(&["verify", place.at("copies").join(name("2026-01-04")).to_str().expect("UTF-8")]);
}

/// The value of a line of metrics.
fn metric(text: &str, name: &str, account: &str) -> String {
    let begin = format!("{name}{{account=\"{account}\"");
    let line = text.lines().find(|line| line.starts_with(&begin)).unwrap_or_else(|| panic!("{name} in {text}"));
    line.rsplit(' ').next().expect("a value").to_owned()
}

#[test]
fn metrics_keep_the_last_success_and_are_never_seen_half() {
    let place = Place::new();
    place.maildir("mail", 3);
    let config = |name: &str| {
        format!(
            "[report]\nmetrics-file = \"m.prom\"\n[account.a]\narchive = \"a.sqlite\"\nmaildir = {{ path = \"{name}\" }}\n[account.b]\narchive = \"b.sqlite\"\nmaildir = {{ path = \"mail\" }}\n"
        )
    };
    place.config(&config("mail"));
    place.ends(0, &[]);
    let first = place.read("m.prom");
    let success = metric(&first, "vandelay_last_success_timestamp_seconds", "a");
    assert_eq!(metric(&first, "vandelay_last_run_exit_code", "a"), "0");
    assert!(first.contains("{account=\"a\",source=\"maildir\",type=\"email\",outcome=\"new\"} 3"), "{first}");
    assert!(
        first.contains(
            "vandelay_newest_complete_snapshot_timestamp_seconds{account=\"a\",kind=\"maildir\",url=\"file://"
        )
    );
    let mode = fs::metadata(place.at("m.prom")).expect("a file").permissions().mode();
    assert_eq!(mode & 0o777, 0o644, "the collector is another user");
    std::thread::sleep(Duration::from_millis(1100));
    place.config(&config("gone"));
    // A reader meanwhile sees a whole file always.
    let (path, ended) = (place.at("m.prom"), Arc::new(std::sync::atomic::AtomicBool::new(false)));
    let watch = std::thread::spawn({
        let ended = Arc::clone(&ended);
        move || {
            while !ended.load(std::sync::atomic::Ordering::Relaxed) {
                let text = fs::read_to_string(&path).expect("there always");
                assert!(text.contains("vandelay_archive_bytes{account=\"b\"}") && text.ends_with('\n'), "{text}");
            }
        }
    });
    for _ in 0..5 {
        place.ends(1, &[]);
    }
    place.ends(0, &["--account", "b"]);
    ended.store(true, std::sync::atomic::Ordering::Relaxed);
    watch.join().expect("whole files");
    let second = place.read("m.prom");
    assert_eq!(metric(&second, "vandelay_last_success_timestamp_seconds", "a"), success);
    assert_eq!(metric(&second, "vandelay_last_run_exit_code", "a"), "1");
    assert_ne!(metric(&second, "vandelay_last_success_timestamp_seconds", "b"), success);
    // An import by itself, too; a dry run is none.
    let archive = place.at("c.sqlite");
    let line = ["import", "maildir", "--metrics-file", "x.prom", "mail", archive.to_str().expect("UTF-8")];
    let in_place = |line: &[&str]| vandelay().args(line).current_dir(place.dir.path()).output().expect("it starts");
    assert!(in_place(&[&line[..], &["--dry-run"]].concat()).status.success() && !place.at("x.prom").exists());
    assert!(in_place(&line).status.success());
    assert!(place.read("x.prom").contains("source=\"maildir\",type=\"email\",outcome=\"new\"} 3"));
}

/// The lines of requests, and their bodies.
type Told = Arc<Mutex<Vec<(String, String)>>>;

/// A service that notes what it is told.
fn service() -> (u16, Told) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = listener.local_addr().expect("an address").port();
    let told = Arc::new(Mutex::new(Vec::new()));
    let notes = Arc::clone(&told);
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let Ok(mut stream) = stream else { return };
            let mut text = String::new();
            let mut buffer = [0; 4096];
            loop {
                let (head, body) = text.split_once("\r\n\r\n").unwrap_or((&text, ""));
                let length = head
                    .lines()
                    .find_map(|line| line.to_lowercase().strip_prefix("content-length: ")?.parse::<usize>().ok());
                if text.contains("\r\n\r\n") && body.len() >= length.unwrap_or(0) {
                    let line = head.lines().next().unwrap_or_default().to_owned();
                    notes.lock().expect("a lock").push((line, body.to_owned()));
                    break;
                }
                let Ok(count @ 1..) = stream.read(&mut buffer) else { break };
                text += &String::from_utf8_lossy(&buffer[..count]);
            }
            let _ = stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\nconnection: close\r\n\r\nOK");
        }
    });
    (port, told)
}

#[test]
fn a_service_is_told_of_the_start_and_the_end_and_its_url_is_shown_nowhere() {
    let place = Place::new();
    place.maildir("mail", 1);
    let (port, told) = service();
    let config = |name: &str, port: u16| {
        format!(
            "[report]\nping-url = \"http://127.0.0.1:{port}/all-5ecret\"\nlog-file = \"log\"\n[account.a]\nping-url = \"http://127.0.0.1:{port}/a-5ecret?x=1\"\narchive = \"a.sqlite\"\nmaildir = {{ path = \"{name}\" }}\n"
        )
    };
    place.config(&config("mail", port));
    let (out, err) = place.ends(0, &["-vvv"]);
    place.config(&config("gone", port));
    let (out2, err2) = place.ends(1, &["-vvv"]);
    let told = told.lock().expect("a lock").clone();
    let lines: Vec<&str> = told.iter().map(|(line, _)| line.as_str()).collect();
    let line = |path: &str| format!("POST /{path} HTTP/1.1");
    let expected = ["all-5ecret/start", "a-5ecret/start?x=1", "a-5ecret?x=1", "all-5ecret"].into_iter().chain([
        "all-5ecret/start",
        "a-5ecret/start?x=1",
        "a-5ecret/fail?x=1",
        "all-5ecret/fail",
    ]);
    assert_eq!(lines, expected.map(line).collect::<Vec<_>>());
    assert!(told[3].1.starts_with("ok ") && told[7].1.contains("there is no directory"), "{told:?}");
    // Nobody there: a warning, and the backup is good.
    place.config(&config("mail", 1));
    let (out3, err3) = place.ends(0, &[]);
    assert!(err3.contains("warning: the ping was not sent"), "{err3}");
    let log = place.read("log");
    assert!(log.contains("Z warning a: the ping was not sent") && log.contains("Z info    ok "), "{log}");
    for text in [out, err, out2, err2, out3, err3, log] {
        assert!(!text.contains("5ecret"), "{text}");
    }
}

#[test]
fn hooks_know_the_account_and_a_failing_one_stops_it() {
    let place = Place::new();
    place.maildir("mail", 1);
    let hooks = r#"
        [hooks]
        before = "echo before $VANDELAY_ACCOUNT >> hooks; test $VANDELAY_ACCOUNT != c"
        success = "echo good $VANDELAY_ACCOUNT $VANDELAY_STATE $(basename $VANDELAY_ARCHIVE) >> hooks; echo said"
        failure = "echo bad $VANDELAY_ACCOUNT $VANDELAY_STATE $VANDELAY_EXIT_CODE >> hooks"
        "#;
    let account = |name: &str, path: &str| {
        format!("[account.{name}]\narchive = \"{name}.sqlite\"\nmaildir = {{ path = \"{path}\" }}\n")
    };
    place.config(&format!("{hooks}{}{}{}", account("a", "mail"), account("b", "gone"), account("c", "mail")));
    let mut command = place.command(&["--jobs", "1"]);
    let output = command.current_dir(place.dir.path()).output().expect("it starts");
    let out = String::from_utf8_lossy(&output.stdout).into_owned();
    assert_eq!(output.status.code(), Some(7), "{out}");
    assert_eq!(
        place.read("hooks"),
        "before a\ngood a ok a.sqlite\nbefore b\nbad b failed 1\nbefore c\nbad c failed 7\n"
    );
    assert!(!place.at("c.sqlite").exists() && !out.contains("said"), "{out}");
    assert!(String::from_utf8_lossy(&output.stderr).contains("said"));
}

#[test]
fn a_check_reads_nothing_and_writes_nothing() {
    let place = Place::new();
    place.maildir("mail", 1);
    place.config("[account.a]\narchive = \"a.sqlite\"\n[[account.a.maildir]]\npath = \"mail\"\n[[account.a.maildir]]\npath = \"gone\"\n");
    let (out, err) = place.ends(1, &["--check"]);
    let lines: Vec<&str> = out.lines().collect();
    assert!(
        lines[0].starts_with("ok      a  maildir    1 to read: INBOX") && lines[1].starts_with("failed  a  maildir 2"),
        "{out}"
    );
    assert!(err.contains("1 source failed"), "{err}");
    assert!(!place.at("a.sqlite").exists());
}

#[test]
fn a_check_names_folders_that_are_not_there() {
    let place = Place::new();
    place.maildir("mail", 1);
    place.config(
        "[copies]\nto = \"gone/c-%F\"\n[account.a]\narchive = \"none/a.sqlite\"\nmaildir = { path = \"mail\" }\n",
    );
    let (out, err) = place.ends(1, &["--check"]);
    assert!(
        out.contains("failed  a  archive  there is no folder ")
            && out.contains("failed  a  copies   there is no folder "),
        "{out}"
    );
    assert!(err.contains("hint: a: archive: mkdir -p "), "{err}");
}

#[test]
fn a_result_that_cannot_be_written_stops_no_account() {
    let place = Place::new();
    place.maildir("mail", 1);
    place.config("[account.a]\narchive = \"a.sqlite\"\nmaildir = { path = \"mail\" }\n[account.b]\narchive = \"b.sqlite\"\nmaildir = { path = \"mail\" }\n");
    let full = fs::OpenOptions::new().write(true).open("/dev/full").expect("a device");
    let output = place.command(&["--json", "--jobs", "1"]).stdout(full).output().expect("it starts");
    let err = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(7), "{err}");
    assert!(err.contains("error: cannot write the result"), "{err}");
    assert_eq!(
        (states(&place.at("a.sqlite")), states(&place.at("b.sqlite"))),
        (vec!["complete".to_owned()], vec!["complete".to_owned()])
    );
}

#[test]
fn two_hundred_accounts_run_one_after_the_other_and_an_interrupt_ends_them_all() {
    let place = Place::new();
    place.maildir("mail", 2);
    let account = |number: u32| {
        format!(
            "[account.\"user {number}@example.org\"]\narchive = \"{number}.sqlite\"\nmaildir = {{ path = \"mail\" }}\n"
        )
    };
    place.config(&(0..200).map(account).collect::<String>());
    let (out, _) = place.ends(0, &["--jobs", "4"]);
    assert_eq!(out.lines().filter(|line| line.starts_with("ok ")).count(), 200);
    assert!((0..200).all(|number| states(&place.at(&format!("{number}.sqlite"))) == ["complete"]));

    let slow = "[hooks]\nsuccess = \"sleep 0.2\"\n".to_owned() + &(0..200).map(account).collect::<String>();
    place.config(&slow);
    let begun = Instant::now();
    let mut command = place.command(&["--jobs", "2", "--json"]);
    let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("it starts");
    std::thread::sleep(Duration::from_millis(1500));
    assert!(Command::new("kill").args(["-INT", &child.id().to_string()]).status().expect("kill").success());
    let output = child.wait_with_output().expect("it ends");
    assert_eq!(output.status.code(), Some(130), "{}", String::from_utf8_lossy(&output.stderr));
    assert!(begun.elapsed() < Duration::from_secs(60));
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let summary: serde_json::Value =
        text.lines().rev().nth(1).and_then(|line| serde_json::from_str(line).ok()).expect("a summary");
    let count = |state: &str| summary[state].as_u64().expect("a number");
    assert_eq!(count("ok") + count("interrupted"), 200, "{summary}");
    assert!(count("ok") > 0 && count("interrupted") > 100, "{summary}");
}

#[test]
fn lines_for_the_journal_have_their_priority() {
    let place = Place::new();
    place.maildir("mail", 1);
    place.config("[account.a]\narchive = \"a.sqlite\"\nmaildir = { path = \"gone\" }\n");
    let (_, err) = place.ends(1, &["--log-format", "journald"]);
    assert!(
        err.lines().all(|line| line.starts_with("<3>")) && err.contains("<3>error: a: maildir: there is no"),
        "{err}"
    );
    let log = place.at("log");
    place.ends(1, &["--log-file", log.to_str().expect("UTF-8")]);
    assert!(place.read("log").contains("Z error   a: maildir: there is no directory"), "{}", place.read("log"));
    let (_, err) = place.ends(7, &["--log-file", "/nowhere/log"]);
    assert!(err.contains("cannot write the log /nowhere/log"), "{err}");
}
