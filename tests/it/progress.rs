//! How far a run is: on terminals of any width, for programs, and after Ctrl-C.

use crate::common::account::{contents, text};
use crate::common::held::signal;
use crate::common::terminal::Terminal;
use crate::common::{deliver, message, ok, vandelay};
use serde_json::Value;
use std::collections::BTreeSet;
use std::fs;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use unicode_width::UnicodeWidthStr;
use vandelay::archive::{Compacting, CompactionWatcher, Depth, Reader, Writer, verify_until};
use vandelay::error::ErrorKind;

/// A Maildir with so many small messages in two folders.
fn maildir(root: &Path, count: u32) -> PathBuf {
    let mail = root.join("Maildir");
    for number in 0..count {
        let folder = if number % 2 == 0 { mail.clone() } else { mail.join(".Lists.linux-integrity") };
        let name = format!("17000{number:05}.M1.h:2,S");
        match number {
            0 | 1 => drop(deliver(&folder, &name, &message(number))),
            _ => fs::write(folder.join("cur").join(name), message(number)).expect("a message"),
        }
    }
    mail
}

/// The program in a terminal of this many columns.
fn on_a_screen(columns: u16, arguments: &[&str]) -> Terminal {
    let program = env!("CARGO_BIN_EXE_vandelay");
    let mut command = Command::new("sh");
    command.args(["-c", &format!("stty cols {columns} rows 24; exec \"$0\" \"$@\""), program]).args(arguments);
    command.env("TZ", "UTC").env("TERM", "xterm").env_remove("COLUMNS").env("NO_COLOR", "1");
    Terminal::start(command)
}

/// What stands on a screen once all of this was written, line by line, and every line that stood in the place of the last.
/// Knows what a progress display sends: carriage returns, line feeds, and the erasing of a line.
fn lines(shown: &str) -> (Vec<String>, BTreeSet<String>) {
    let (mut screen, mut frames, mut column) = (vec![String::new()], BTreeSet::new(), 0);
    let mut left = shown.chars().peekable();
    while let Some(c) = left.next() {
        let line = screen.last_mut().expect("a line");
        match c {
            '\r' => column = 0,
            '\n' => screen.push(String::new()),
            '\x1b' => {
                let sequence: String = std::iter::from_fn(|| left.next_if(|c| !c.is_ascii_alphabetic())).collect();
                match (sequence.as_str(), left.next()) {
                    ("[2", Some('K')) => line.clear(),
                    ("[" | "[0", Some('K')) => *line = line.chars().take(column).collect(),
                    // The cursor goes, or comes back.
                    ("[?25", Some('l' | 'h')) => {}
                    other => panic!("not understood: {other:?} in {shown:?}"),
                }
            }
            c => {
                let mut there: Vec<char> = line.chars().collect();
                there.resize(there.len().max(column + 1), ' ');
                there[column] = c;
                *line = there.into_iter().collect();
                column += 1;
            }
        }
        frames.insert(screen.last().expect("a line").trim_end().to_owned());
    }
    (screen.into_iter().map(|line| line.trim_end().to_owned()).collect(), frames)
}

#[test]
fn progress_fits_any_screen_and_leaves_nothing_on_it() {
    let dir = tempfile::tempdir().expect("a directory");
    let mail = maildir(dir.path(), 15_000);
    for columns in [40, 80, 120] {
        let archive = dir.path().join(format!("{columns}.sqlite"));
        let out = dir.path().join(format!("{columns}"));
        for arguments in [
            &["import", "maildir", text(&mail), text(&archive)][..],
            &["verify", text(&archive)],
            &["extract", "--into", text(&out), text(&archive)],
            &["export", "mbox", text(&archive), text(&out)],
            &["restore-check", text(&archive)],
        ] {
            let (code, shown) = on_a_screen(columns, arguments).end();
            assert_eq!(code, Some(0), "{shown}");
            let (screen, frames) = lines(&shown);
            let is_progress = |line: &&String| line.contains(" % ") || line.ends_with(" %");
            let bars: Vec<&String> = frames.iter().filter(is_progress).collect();
            assert!(arguments[0] != "import" || bars.len() > 1, "{columns}: {arguments:?}: {frames:?}");
            for bar in &bars {
                assert!(bar.width() < usize::from(columns), "{columns}: {bar}");
            }
            if arguments[0] == "import" {
                let wanted = if columns == 40 { "/15,000 " } else { " / 15,000 " };
                assert!(bars.iter().any(|bar| bar.contains(wanted)), "{columns}: {bars:?}");
                assert_eq!(bars.iter().any(|bar| bar.starts_with("Messages  ")), columns > 40, "{bars:?}");
            }
            assert!(!screen.iter().any(|line| is_progress(&line) || line.contains("listing")), "{screen:#?}");
            assert!(screen.iter().any(|line| !line.is_empty()), "its result is there: {shown:?}");
        }
    }
}

/// A run with `--json` that is interrupted once its status says that some items are done: its objects from there on, and its exit
/// code.
fn interrupted(arguments: &[&str]) -> (Vec<Value>, Option<i32>) {
    let mut child =
        vandelay().args(arguments).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().expect("the program starts");
    let mut objects: Vec<Value> = Vec::new();
    for line in BufReader::new(child.stdout.take().expect("its output")).lines() {
        let object: Value = serde_json::from_str(&line.expect("a line")).expect("JSON");
        // A busy machine may still be listing.
        if objects.is_empty() && object["message_type"] == "status" && object["percent"].is_null() {
            continue;
        }
        objects.push(object);
        if objects.len() == 1 {
            signal(&child, libc::SIGINT);
        }
    }
    (objects, child.wait().expect("it ends").code())
}

/// Ctrl-C in the middle of an import and of an extraction: the sums add up, what was kept is whole, the next run goes on.
#[test]
fn a_run_that_was_interrupted_adds_up_and_goes_on() {
    const COUNT: u64 = 30_000;
    let dir = tempfile::tempdir().expect("a directory");
    let (mail, archive) = (maildir(dir.path(), COUNT as u32), dir.path().join("a.sqlite"));
    let import = ["--json", "import", "maildir", text(&mail), text(&archive)];
    let (objects, code) = interrupted(&import);
    assert_eq!(code, Some(130), "{objects:?}");
    let [status, .., summary, error] = &objects[..] else { panic!("{objects:?}") };
    let number = |value: &Value| value.as_u64().unwrap_or_else(|| panic!("a number: {value}"));
    assert_eq!(status["message_type"], "status");
    assert_eq!((&status["step"], &status["items_total"]), (&"Messages".into(), &COUNT.into()), "{status}");
    let (done, percent) = (number(&status["items_done"]), number(&status["percent"]));
    assert!(done > 0 && done <= COUNT && percent == done * 100 / COUNT && number(&status["done_size"]) > done);
    assert!(status["place"] == "INBOX" || status["place"] == "Lists/linux-integrity", "{status}");
    assert!(number(&status["seconds_elapsed"]) > 0 && number(&status["seconds_left"]) > 0, "{status}");
    assert_eq!((&summary["state"], &error["code"]), (&"interrupted".into(), &130.into()));
    let email = &summary["types"]["email"];
    let stored = number(&email["stored"]);
    assert!(stored > 0 && number(&email["not_reached"]) > 0, "{email}");
    assert_eq!(number(&email["found"]), COUNT);
    assert_eq!(stored + number(&email["duplicate"]) + number(&email["not_reached"]), COUNT, "{email}");

    // The same for people, on a screen.
    let mut terminal = on_a_screen(120, &["import", "maildir", text(&mail), text(&archive)]);
    terminal.wait_for(" % ");
    terminal.interrupt();
    let (code, shown) = terminal.end();
    assert_eq!(code, Some(130), "{shown}");
    assert!(shown.contains("not reached") && shown.contains("run the same command again"), "{shown}");
    let all = ok(&import);
    assert!(all.lines().last().is_some_and(|line| line.contains("\"state\":\"complete\"")), "{all}");

    let (whole, cut) = (dir.path().join("whole"), dir.path().join("cut"));
    ok(&["extract", "--into", text(&whole), text(&archive), "mail"]);
    let (objects, code) = interrupted(&["--json", "extract", "--into", text(&cut), text(&archive), "mail"]);
    assert_eq!(code, Some(130), "{objects:?}");
    let done = objects.iter().find(|one| one["message_type"] == "extracted").expect("what was extracted");
    let (files, left) = (number(&done["files"]), number(&done["not_reached"]));
    assert!(files > 0 && left > 0 && number(&done["there"]) == 0, "{done}");
    let (expected, partly) = (contents(&whole), contents(&cut));
    assert_eq!(files + left, expected.len() as u64, "{done}");
    assert!(partly.iter().all(|(path, bytes)| expected.get(path) == Some(bytes)), "only whole files");
    assert_eq!(partly.len() as u64, files);
    let said = ok(&["extract", "--skip-existing", "--into", text(&cut), text(&archive), "mail"]);
    assert!(said.contains("were there already, by name and size"), "{said}");
    assert!(contents(&cut) == expected);
}

/// `--skip-existing` takes a file of the right size for the right one, and no other; without it bytes are compared.
#[test]
fn an_extraction_leaves_alone_what_is_there() {
    let dir = tempfile::tempdir().expect("a directory");
    let (mail, archive, out) = (maildir(dir.path(), 4), dir.path().join("a.sqlite"), dir.path().join("out"));
    ok(&["-q", "import", "maildir", text(&mail), text(&archive)]);
    let extract = |flags: &[&str]| {
        let output =
            vandelay().args(["extract", "--into", text(&out)]).args(flags).args([text(&archive), "mail"]).output();
        let output = output.expect("the program starts");
        let said = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        (output.status.code(), said(&output.stdout), said(&output.stderr))
    };
    let (code, plan, _) = extract(&["--dry-run"]);
    assert!(code == Some(0) && plan.starts_with("Would extract 4 files into") && !out.exists(), "{plan}");
    let (code, said, notes) = extract(&[]);
    assert!(code == Some(0) && said.starts_with("Extracted 4 files (") && notes.is_empty(), "{said}{notes}");
    let inbox = out.join("mail/INBOX/cur");
    let mut names: Vec<PathBuf> = fs::read_dir(&inbox).expect("a folder").map(|entry| entry.unwrap().path()).collect();
    names.sort();
    let (same_size, shorter) = (&names[0], &names[1]);
    let bytes = fs::read(same_size).expect("a message");
    fs::write(same_size, vec![b'x'; bytes.len()]).expect("other bytes");
    fs::write(shorter, b"cut").expect("fewer bytes");
    let (code, said, notes) = extract(&["--skip-existing"]);
    assert_eq!(code, Some(5), "{said}{notes}");
    assert!(said.contains("3 files were there already, by name and size; 1 failed"), "{said}");
    assert!(notes.contains("with other bytes") && notes.lines().count() == 3, "{notes}");
    let (_, said, notes) = extract(&[]);
    assert!(said.contains("2 files were there already; 2 failed"), "{said}{notes}");
    assert_eq!(fs::read(shorter).expect("a file"), b"cut", "no file is overwritten");

    // An mbox holds many messages: its name is enough.
    let mbox = dir.path().join("mbox");
    let export = |flags: &[&str]| ok(&[&["--json", "export", "mbox", text(&archive), text(&mbox)], flags].concat());
    export(&[]);
    fs::write(mbox.join("INBOX.mbox"), "From x\n").expect("other bytes");
    let again: Value = serde_json::from_str(export(&["--skip-existing"]).trim()).expect("JSON");
    assert_eq!((&again["types"]["email"]["matched"], &again["types"]["email"]["failed"]), (&4.into(), &0.into()));
}

/// What looks at an archive, or makes it smaller, and is stopped at any point: the verdict is on what was seen, and nothing
/// was changed.
#[test]
fn a_stopped_verify_and_a_stopped_forget_change_nothing() {
    let dir = tempfile::tempdir().expect("a directory");
    let (mail, archive) = (maildir(dir.path(), 40), dir.path().join("a.sqlite"));
    let import = || ok(&["-q", "import", "maildir", text(&mail), text(&archive), "--max-delete", "100%"]);
    import();
    let cut = rusqlite::Connection::open(&archive).expect("it opens");
    cut.execute("UPDATE blobs SET data = x'00' WHERE id = 2", []).expect("damage");
    drop(cut);
    let reader = Reader::open(&archive).expect("it opens");
    let verdict = verify_until(&reader, Depth::WHOLE, |done, _| done < 3).expect("a verdict");
    assert!(verdict.is_stopped && !verdict.is_full);
    assert_eq!((verdict.blobs_hashed, verdict.blobs), (3, 40));
    assert!(verdict.findings.iter().any(|finding| finding.place == "blob 2"), "{:?}", verdict.findings);
    assert!(!verify_until(&reader, Depth::WHOLE, |_, _| true).expect("a verdict").is_stopped);
    drop(reader);
    fs::remove_file(&archive).expect("it goes");

    import();
    fs::remove_dir_all(mail.join(".Lists.linux-integrity")).expect("it goes");
    import();
    let before = ok(&["ls", "-R", "--at", "1", text(&archive)]);
    let mut writer = Writer::open(&archive, "forget").expect("it opens");
    for stop_at in [0, 5] {
        let error = writer.forget_while(&BTreeSet::from([1]), &mut |done, _| done < stop_at).expect_err("stopped");
        assert_eq!(error.kind, ErrorKind::Interrupted);
    }
    let steps = Arc::new(AtomicU64::new(0));
    for stop_in in [Compacting::Copying, Compacting::Checking, Compacting::Replacing] {
        let counted = Arc::clone(&steps);
        let watch: CompactionWatcher = Arc::new(move |what, _, _| {
            counted.fetch_add(1, Ordering::Relaxed);
            what != stop_in
        });
        let stopped = writer.compact(&watch);
        // So few pages are replaced in one step.
        match stop_in {
            Compacting::Checking => assert_eq!(stopped.expect_err("stopped").kind, ErrorKind::Interrupted),
            _ => drop(stopped),
        }
    }
    assert!(steps.load(Ordering::Relaxed) > 0);
    writer.close().expect("it closes");
    assert_eq!(ok(&["ls", "-R", "--at", "1", text(&archive)]), before);
    assert!(ok(&["verify", text(&archive)]).contains("No damage."));
    let left: Vec<_> = fs::read_dir(dir.path()).expect("a folder").map(|entry| entry.unwrap().file_name()).collect();
    assert!(!left.iter().any(|name| name.to_string_lossy().contains("compact")), "{left:?}");
}
