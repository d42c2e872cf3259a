//! "I lost a message, bring it back tonight": six jobs, each from what one remembers to the bytes, counted in commands, beside
//! notmuch over a mount of the same archive. Seconds are printed, and prove nothing.

use crate::common::{Mounted, deliver, has, message, ok, run};
use std::cell::Cell;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

fn text(path: &Path) -> &str {
    path.to_str().expect("a path in UTF-8")
}

/// A Maildir that changes, and its archive.
struct Account {
    dir: tempfile::TempDir,
    mail: PathBuf,
    archive: PathBuf,
}

impl Account {
    fn import(&self) {
        ok(&["-q", "import", "maildir", "--max-delete", "100%", text(&self.mail), text(&self.archive)]);
    }

    /// Delivers a letter; gives its path and bytes.
    fn letter(&self, folder: &str, time: i64, from: &str, subject: &str, rest: &str) -> (PathBuf, Vec<u8>) {
        let bytes = format!(
            "From: {from}\r\nTo: olive@example.net\r\nSubject: {subject}\r\nMessage-ID: <{time}@lost.example>\r\nDate: Tue, 3 Jun 2025 10:00:00 +0000\r\n{rest}"
        );
        let folder = if folder.is_empty() { self.mail.clone() } else { self.mail.join(folder) };
        (deliver(&folder, &format!("{time}.M1.host:2,S"), bytes.as_bytes()), bytes.into_bytes())
    }
}

/// A job: what one remembers, and the message that it is about.
struct Job {
    name: &'static str,
    find: &'static [&'static str],
    notmuch: &'static str,
    /// The last snapshot that has it.
    last: i64,
    bytes: Vec<u8>,
}

const PYTHON: &str = "Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n\r\nas promised\r\n--b\r\nContent-Type: text/x-python\r\n\
    Content-Disposition: attachment; filename=get_wr_time.py\r\n\r\nprint(1)\r\n--b--\r\n";

/// Twenty snapshots, in which five messages are lost on different days, and one is not.
fn account() -> (Account, Vec<Job>) {
    let dir = tempfile::tempdir().expect("a directory");
    let account = Account { mail: dir.path().join("mail"), archive: dir.path().join("alice.sqlite"), dir };
    for number in 0..200 {
        deliver(&account.mail, &format!("{}.M{number}.host:2,S", 1_740_000_000 + number), &message(number));
    }
    let a = account.letter("", 1_748_000_001, "Ann <ann@example.org>", "Blackfin toolchain", "\r\nthe port\r\n");
    let b = account.letter("", 1_748_937_600, "Mark Naughton <mark@example.org>", "Re: about it", "\r\nas we said\r\n");
    let c = account.letter(".Projects.usrp", 1_748_000_003, "Bo <bo@example.org>", "Daughterboard", "\r\nfirmware\r\n");
    let d = account.letter("", 1_748_000_004, "Cy <cy@example.org>", "The script", PYTHON);
    let f = account.letter(".Work", 1_748_000_006, "Di <di@example.org>", "Quarter", "\r\nthe pangolin figures\r\n");
    let mut e = None;
    let mut trash = None;
    for day in 1..=20 {
        match day {
            9 => fs::remove_file(&a.0).expect("a message"),
            10 => {
                let into = deliver(&account.mail.join(".Trash"), "1748000003.M1.host:2,S", &c.1);
                fs::remove_file(&c.0).expect("a message");
                trash = Some(into);
            }
            12 => e = Some(account.letter("", 1_748_000_005, "Ed <ed@example.org>", "Brief", "\r\nephemeral news\r\n")),
            13 => fs::remove_file(&e.as_ref().expect("a letter").0).expect("a message"),
            14 => fs::remove_file(&b.0).expect("a message"),
            15 => fs::remove_file(trash.take().expect("a message")).expect("a message"),
            16 => fs::remove_file(&d.0).expect("a message"),
            _ => {}
        }
        account.import();
    }
    let job = |name, find, notmuch, last, bytes: &[u8]| Job { name, find, notmuch, last, bytes: bytes.to_vec() };
    let e = e.expect("a letter").1;
    let jobs = vec![
        job("a: a word of the subject", &["subject:blackfin"], "subject:blackfin", 8, &a.1),
        job(
            "b: the sender, and about when",
            &["from:naughton", "date:2025-05..2025-07"],
            "from:naughton date:2025-05..2025-07",
            13,
            &b.1,
        ),
        job("c: the folder that it was in", &["folder:Projects/usrp", "is:deleted"], "folder:Projects/usrp", 9, &c.1),
        job("d: the name of an attachment", &["attachment:get_wr_time.py"], "attachment:get_wr_time.py", 15, &d.1),
        job("e: it came and went between snapshots", &["ephemeral"], "ephemeral", 12, &e),
        job("f: a word of the text", &["pangolin"], "pangolin", 20, &f.1),
    ];
    (account, jobs)
}

/// Commands that a user types.
#[derive(Default)]
struct Typed {
    count: Cell<usize>,
    time: Cell<Duration>,
}

impl Typed {
    fn run(&self, command: &mut Command) -> String {
        let started = Instant::now();
        let output = command.output().expect("the program starts");
        self.count.set(self.count.get() + 1);
        self.time.set(self.time.get() + started.elapsed());
        assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).expect("UTF-8")
    }

    fn vandelay(&self, words: &[&str]) -> String {
        self.run(crate::common::vandelay().args(words))
    }

    fn said(&self) -> String {
        format!("{} commands, {:.2} s", self.count.get(), self.time.get().as_secs_f64())
    }
}

/// notmuch with an index of a mount.
struct Notmuch {
    config: PathBuf,
}

impl Notmuch {
    fn new(dir: &Path, mail: &Path) -> Notmuch {
        fs::create_dir_all(dir).expect("a folder");
        let config = dir.join("config");
        let settings = format!(
            "[database]\npath={}\nmail_root={}\n[new]\ntags=\n[user]\nname=x\nprimary_email=x@example.org\n",
            text(dir),
            text(mail)
        );
        fs::write(&config, settings).expect("a file");
        Notmuch { config }
    }

    fn command(&self, words: &[&str]) -> Command {
        let mut command = Command::new("notmuch");
        command.args(words).env("NOTMUCH_CONFIG", &self.config);
        command
    }
}

#[test]
fn a_lost_message_is_back_with_two_commands() {
    let (account, jobs) = account();
    let archive = text(&account.archive);
    for job in &jobs {
        let typed = Typed::default();
        let shown = typed.vandelay(&[&["find", archive], job.find].concat());
        let lines: Vec<&str> = shown.lines().filter(|line| line.starts_with('m')).collect();
        assert_eq!(lines.len(), 1, "{}: one line an object: {shown}", job.name);
        let id = lines[0].split(' ').next().expect("an id");
        // In the folder that it had left it is shown as it was there, and until when.
        let is_gone = lines[0].contains("gone since") || lines[0].contains("until");
        assert_eq!(is_gone, job.last < 20, "{}: {shown}", job.name);
        let bytes = typed.vandelay(&["cat", archive, id]);
        assert_eq!(bytes.as_bytes(), job.bytes, "{}", job.name);
        assert_eq!(typed.count.get(), 2, "{}", job.name);
        println!("{}: {}", job.name, typed.said());
        // Into a Maildir, with one command, too.
        let into = account.dir.path().join(format!("into-{}", &job.name[..1]));
        ok(&["-q", "extract", archive, "--message", id, "--into", text(&into)]);
        let files: Vec<PathBuf> =
            fs::read_dir(&into).expect("a folder").map(|entry| entry.expect("an entry").path()).collect();
        assert_eq!(files.len(), 1, "{}: {files:?}", job.name);
        assert_eq!(fs::read(&files[0]).expect("a message"), job.bytes, "{}", job.name);
    }
    a_hit_of_grep_leads_to_its_message(&account, &jobs[5]);
    beside_notmuch(&account, &jobs);
}

/// Who greps in a mount has the message with two more commands: the text says where it is.
fn a_hit_of_grep_leads_to_its_message(account: &Account, job: &Job) {
    let Some(mount) = Mounted::new(&account.archive, &account.dir.path().join("grep"), &[]) else { return };
    let typed = Typed::default();
    let hit = typed.run(Command::new("grep").args(["-rl", "pangolin"]).arg(mount.at.join("text")));
    let head = typed.run(Command::new("sed").args(["-n", "s/^Message: //p", hit.trim()]));
    let bytes = typed.vandelay(&["cat", text(&account.archive), head.trim()]);
    assert_eq!(bytes.as_bytes(), job.bytes, "{hit}: {head}");
    println!("f: from a hit of grep in text/ to its message: {}", typed.said());
}

/// notmuch needs a mount, an index, and to know the snapshot; with all of it, it finds the same bytes.
fn beside_notmuch(account: &Account, jobs: &[Job]) {
    if !has("notmuch") {
        return;
    }
    let at = account.dir.path().join("newest");
    let Some(mount) = Mounted::new(&account.archive, &at, &[]) else { return };
    let newest = Notmuch::new(&account.dir.path().join("notmuch-newest"), &mount.at.join("mail"));
    assert!(newest.command(&["new", "--quiet"]).status().expect("notmuch runs").success());
    for job in jobs {
        let found = newest.command(&["count", job.notmuch]).output().expect("notmuch runs");
        let found = String::from_utf8_lossy(&found.stdout).trim() == "1";
        assert_eq!(found, job.last == 20, "{}: notmuch knows what is there now", job.name);
        let typed = Typed::default();
        // If one guesses the right snapshot at once.
        let at = account.dir.path().join(format!("at-{}", &job.name[..1]));
        fs::create_dir(&at).expect("a folder");
        typed.vandelay(&["mount", "--at", &job.last.to_string(), text(&account.archive), text(&at)]);
        let then = Mounted { at: at.clone() };
        let notmuch = Notmuch::new(&account.dir.path().join(format!("notmuch-{}", &job.name[..1])), &at.join("mail"));
        typed.run(&mut notmuch.command(&["new", "--quiet"]));
        let file = typed.run(&mut notmuch.command(&["search", "--output=files", job.notmuch]));
        let bytes = typed.run(Command::new("cat").arg(file.trim()));
        assert_eq!(bytes.as_bytes(), job.bytes, "{}: {file}", job.name);
        drop(then);
        assert!(typed.count.get() > 2);
        println!("{}: notmuch over a mount: {}", job.name, typed.said());
    }
    drop(mount);
    assert!(run(&["find", text(&account.archive), "blackfin"]).status.success());
}
