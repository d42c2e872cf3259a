//! Exports into files: what comes back is what was there, other programs read it, and an interrupted run is gone on with.

use crate::common::export_target::{archive_of_dates, archive_of_mail, items_of, lines_of, mail_of};
use crate::common::mailboxes::{Account, Message, differences, extracted};
use crate::common::{Tmpfs, deliver, fails, has, json, listing, maildir, message, ok, tree, vandelay};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

fn text(path: &Path) -> &str {
    path.to_str().expect("UTF-8")
}

/// `vandelay export FORM … ARCHIVE OUT`; gives its summary.
fn export(form: &str, flags: &[&str], archive: &Path, out: &Path) -> Value {
    json(&[&["export", form, "--json"], flags, &[text(archive), text(out)]].concat())
}

fn count(summary: &Value, kind: &str, what: &str) -> u64 {
    summary["types"][kind][what].as_u64().unwrap_or_default()
}

/// Everything below a directory: bytes of files, targets of links.
fn files(at: &Path) -> BTreeMap<String, Vec<u8>> {
    let (mut found, mut left) = (BTreeMap::new(), vec![at.to_owned()]);
    while let Some(directory) = left.pop() {
        for entry in fs::read_dir(directory).into_iter().flatten().flatten() {
            let (path, kind) = (entry.path(), entry.file_type().expect("a type"));
            let name = text(path.strip_prefix(at).expect("below")).to_owned();
            if kind.is_dir() {
                left.push(path);
            } else if kind.is_symlink() {
                found.insert(name, fs::read_link(path).expect("a link").into_os_string().into_encoded_bytes());
            } else {
                found.insert(name, fs::read(path).expect("a file"));
            }
        }
    }
    found
}

/// The output of a program that must succeed.
fn out_of(command: &mut Command) -> String {
    let output = command.output().expect("it starts");
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{command:?}: {said}");
    String::from_utf8_lossy(&output.stdout).into_owned()
}

// --- Maildir -----------------------------------------------------------------------------------------------------

#[test]
fn a_maildir_comes_back_as_the_same_archive() {
    let place = tempfile::tempdir().expect("a folder");
    let archive = archive_of_mail(place.path());
    let expected = mail_of(&archive);
    for layout in ["fs", "maildir++"] {
        let out = place.path().join(layout);
        let done = export("maildir", &["--layout", layout], &archive, &out);
        let messages: usize = expected.values().map(Vec::len).sum();
        assert_eq!(count(&done, "email", "created"), messages as u64, "{done}");
        let back = place.path().join(format!("{layout}.sqlite"));
        ok(&["--quiet", "import", "maildir", text(&out), text(&back)]);
        assert_eq!(differences(&expected, &mail_of(&back)), Vec::<String>::new(), "{layout}");
        let again = export("maildir", &["--layout", layout], &archive, &out);
        assert_eq!((count(&again, "email", "created"), count(&again, "email", "matched")), (0, messages as u64));
    }
    assert_eq!(differences(&expected, &extracted(&place.path().join("fs"))), Vec::<String>::new());
}

#[test]
fn a_message_with_other_flags_is_there_and_a_file_of_somebody_stays() {
    let place = tempfile::tempdir().expect("a folder");
    let archive = archive_of_mail(place.path());
    let out = place.path().join("out");
    let first = export("maildir", &[], &archive, &out);
    let cur = out.join("INBOX/cur");
    let names = || fs::read_dir(&cur).expect("a directory").flatten().map(|entry| entry.path());
    let flagged = names().find(|path| text(path).ends_with(":2,FRS")).expect("a message");
    // As mbsync renames it.
    let renamed = PathBuf::from(text(&flagged).replace(":2,FRS", ",U=7:2,S"));
    fs::rename(&flagged, &renamed).expect("a name");
    let other = names().find(|path| text(path).contains(".vandelay,S=") && *path != renamed).expect("a message");
    let before = fs::read(&other).expect("a message");
    fs::write(&other, [b"X".as_slice(), &before[1.min(before.len())..]].concat()).expect("a message");
    let output = vandelay().args(["export", "maildir", text(&archive), text(&out)]).output().expect("it runs");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(said.contains("with other bytes") && said.contains("INBOX/cur/"), "{said}");
    let plan =
        vandelay().args(["export", "maildir", "--dry-run", text(&archive), text(&out)]).output().expect("it runs");
    let table = |stdout: &[u8]| {
        let text = String::from_utf8_lossy(stdout).into_owned();
        let words = |line: &str| line.split_whitespace().collect::<Vec<_>>().join(" ");
        text.lines().skip(1).take(4).map(words).collect::<Vec<String>>()
    };
    assert_eq!((plan.status.code(), table(&plan.stdout)), (Some(5), table(&output.stdout)), "a plan says the same");
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(said.contains("\nMessages        .") && said.contains("\nMessages: 1 failed ("), "{said}");
    assert_eq!(output.status.code(), Some(5));
    assert!(renamed.exists() && !flagged.exists() && fs::read(&other).expect("a message") != before);
    assert!(count(&first, "email", "created") > 1);
}

#[test]
fn a_run_that_is_killed_is_gone_on_with() {
    let place = tempfile::tempdir().expect("a folder");
    let archive = place.path().join("a.sqlite");
    ok(&["--quiet", "import", "maildir", text(&maildir(place.path(), 1_500, 2_000)), text(&archive)]);
    let expected = mail_of(&archive);
    for (form, flags) in [("maildir", &[][..]), ("eml", &["--names", "portable"]), ("mbox", &[])] {
        let out = place.path().join(form);
        let mut kills = 0;
        for round in 0..8 {
            let mut command = vandelay();
            command.args(["--quiet", "export", form]).args(flags).arg(&archive).arg(&out);
            let mut child = command.stderr(Stdio::null()).spawn().expect("it starts");
            std::thread::sleep(std::time::Duration::from_millis(3 + 9 * round));
            kills += u32::from(child.try_wait().expect("a child").is_none());
            child.kill().expect("a child");
            child.wait().expect("a child");
            // What has a name is whole.
            let parts = files(&out).into_iter().filter(|(name, _)| form == "maildir" && name.contains("/cur/"));
            for (name, bytes) in parts {
                let size = name.split(",S=").nth(1).and_then(|rest| rest.split(':').next()).expect("a size");
                assert_eq!(bytes.len().to_string(), size, "{name}");
            }
        }
        assert!(kills > 0, "{form}: no run was killed");
        let done = export(form, flags, &archive, &out);
        assert_eq!(count(&done, "email", "created") + count(&done, "email", "matched"), 1_500, "{done}");
        assert!(files(&out).keys().all(|name| !name.contains("vandelay-")), "nothing is left of a part");
        if form == "maildir" {
            assert_eq!(differences(&expected, &extracted(&out)), Vec::<String>::new());
        }
        let again = export(form, flags, &archive, &out);
        assert_eq!(count(&again, "email", "matched"), 1_500, "{again}");
    }
}

#[test]
fn a_full_disk_is_named_and_gone_on_with() {
    let place = tempfile::tempdir().expect("a folder");
    let archive = place.path().join("a.sqlite");
    ok(&["--quiet", "import", "maildir", text(&maildir(place.path(), 300, 20_000)), text(&archive)]);
    for form in ["maildir", "mbox"] {
        let Some(disk) = Tmpfs::new(&place.path().join(form), "size=3m") else { return };
        let out = disk.at.join("out");
        let said = fails(&["export", form, text(&archive), text(&out)], 7);
        assert!(said.contains("error: cannot write") && said.contains("hint: "), "{said}");
        disk.remount("size=30m");
        let done = export(form, &[], &archive, &out);
        assert_eq!(count(&done, "email", "created") + count(&done, "email", "matched"), 300, "{done}");
    }
    let Some(disk) = Tmpfs::new(&place.path().join("disk"), "size=3m") else { return };
    let tar = disk.at.join("a.tar");
    fails(&["export", "tar", text(&archive), text(&tar)], 7);
    assert!(!tar.exists(), "a part of a tar file has no name");
}

/// What lies in the target under a name that is needed is neither followed nor opened nor overwritten.
#[test]
fn what_is_planted_in_the_target_leads_nowhere() {
    let place = tempfile::tempdir().expect("a folder");
    let archive = archive_of_mail(place.path());
    let (out, outside) = (place.path().join("out"), place.path().join("outside"));
    fs::create_dir_all(out.join("Work")).expect("a folder");
    fs::create_dir(&outside).expect("a folder");
    std::os::unix::fs::symlink(&outside, out.join("INBOX")).expect("a link");
    std::os::unix::fs::symlink(&outside, out.join("Work/cur")).expect("a link");
    let said = fails(&["export", "maildir", text(&archive), text(&out)], 5);
    assert!(said.contains("a directory is needed there"), "{said}");
    assert_eq!(files(&outside), BTreeMap::new());
    // In the place of files: a pipe that nobody writes to, a device without end, a link.
    let mboxes = place.path().join("mboxes");
    fs::create_dir(&mboxes).expect("a folder");
    out_of(Command::new("mkfifo").arg(mboxes.join("INBOX.mbox")));
    std::os::unix::fs::symlink("/dev/zero", mboxes.join("Work.mbox")).expect("a link");
    let output = Command::new("timeout")
        .arg("60")
        .arg(env!("CARGO_BIN_EXE_vandelay"))
        .args(["export", "mbox", text(&archive), text(&mboxes)])
        .output()
        .expect("it runs");
    assert_eq!(output.status.code(), Some(5), "{}", String::from_utf8_lossy(&output.stderr));
    assert!(mboxes.join("Sent.mbox").is_file());
}

/// Names that differ in case alone are two on a disk that tells them apart, also for the second run.
#[test]
fn case_twins_are_there_at_the_second_run() {
    let place = tempfile::tempdir().expect("a folder");
    let mail = place.path().join("mail");
    for (number, folder) in [(1, ".Work"), (2, ".work"), (3, ".WORK")] {
        deliver(&mail.join(folder), &format!("160000000{number}.{number}.h:2,S"), &message(number));
    }
    let archive = place.path().join("a.sqlite");
    ok(&["--quiet", "import", "maildir", text(&mail), text(&archive)]);
    for (form, flags) in [
        ("maildir", &[][..]),
        ("eml", &[]),
        ("mbox", &[]),
        ("maildir", &["--names", "portable"]),
        ("eml", &["--names", "portable"]),
    ] {
        let out = place.path().join(format!("{form}{}", flags.len()));
        assert_eq!(count(&export(form, flags, &archive, &out), "email", "created"), 3, "{form}");
        let before = files(&out);
        let again = export(form, flags, &archive, &out);
        assert_eq!((count(&again, "email", "matched"), files(&out)), (3, before.clone()), "{form} {flags:?}");
        let folded: BTreeSet<String> = before.keys().map(|name| name.to_lowercase()).collect();
        assert!(flags.is_empty() || folded.len() == before.len(), "{form}: {before:?}");
    }
}

#[test]
fn two_runs_at_once_fill_one_directory() {
    let place = tempfile::tempdir().expect("a folder");
    let archive = place.path().join("a.sqlite");
    ok(&["--quiet", "import", "maildir", text(&maildir(place.path(), 2_000, 500)), text(&archive)]);
    let out = place.path().join("out");
    let start = || {
        vandelay()
            .args(["export", "maildir", "--json", text(&archive), text(&out)])
            .stdout(Stdio::piped())
            .spawn()
            .expect("it starts")
    };
    let runs = [start(), start()];
    let mut created = 0;
    for run in runs {
        let output = run.wait_with_output().expect("it ends");
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(output.status.success(), "{text}");
        let summary: Value = text.lines().rev().find_map(|line| serde_json::from_str(line).ok()).expect("JSON");
        created += count(&summary, "email", "created");
    }
    assert_eq!(created, 2_000);
    assert_eq!(differences(&mail_of(&archive), &extracted(&out)), Vec::<String>::new());
}

/// Maildir has 26 letters for keywords; what has none is named.
#[test]
fn keywords_without_a_letter_are_named() {
    let place = tempfile::tempdir().expect("a folder");
    let mut mbox = String::new();
    for number in 0..30 {
        mbox.push_str(&format!(
            "From x@y Thu Jan  1 00:00:{number:02} 2026\nMessage-ID: <{number}@x>\nX-Keywords: word{number}\n\nx\n\n"
        ));
    }
    fs::create_dir(place.path().join("in")).expect("a folder");
    fs::write(place.path().join("in/Many.mbox"), mbox).expect("a file");
    let archive = place.path().join("a.sqlite");
    ok(&["--quiet", "import", "takeout", text(&place.path().join("in")), text(&archive)]);
    let done = export("maildir", &[], &archive, &place.path().join("out"));
    let remarks = done["remarks"].as_array().expect("remarks");
    assert!(remarks.len() == 4 && remarks[0]["reason"].as_str().is_some_and(|why| why.contains("26")), "{remarks:?}");
    // An mbox has them all.
    let out = place.path().join("mbox");
    export("mbox", &[], &archive, &out);
    let bytes = fs::read_to_string(out.join("Many.mbox")).expect("a file");
    assert_eq!(bytes.matches("\nX-Keywords: word").count(), 30);
}

#[test]
fn notmuch_and_mbsync_read_the_maildir() {
    if !has("notmuch") || !has("mbsync") {
        return;
    }
    let place = tempfile::tempdir().expect("a folder");
    let archive = archive_of_mail(place.path());
    let out = place.path().join("out");
    export("maildir", &[], &archive, &out);
    let config = place.path().join("notmuch");
    fs::write(&config, format!("[database]\npath={}\n[user]\nname=a\nprimary_email=a@x\n", text(&out)))
        .expect("a file");
    let notmuch = |arguments: &[&str]| {
        out_of(Command::new("notmuch").args(arguments).env("NOTMUCH_CONFIG", &config).env("HOME", place.path()))
    };
    notmuch(&["new"]);
    let with = |flag: &str| mail_of(&archive).values().flatten().filter(|one| one.flags.contains(flag)).count();
    let files = |query: &str| notmuch(&["count", "--output=files", query]).trim().parse::<usize>().expect("a number");
    // An empty file is no message to notmuch.
    let all: usize = mail_of(&archive).values().map(Vec::len).sum();
    assert_eq!(files("*"), all - 1);
    assert!(files("tag:flagged") >= with("\\flagged") && files("tag:replied") >= with("\\answered"));

    let pulled = place.path().join("pulled");
    fs::create_dir_all(&pulled).expect("a folder");
    let channel = format!(
        "MaildirStore far\nPath {0}/\nInbox {0}/INBOX\nSubFolders Verbatim\n\nMaildirStore near\nPath {1}/\nInbox {1}/INBOX\nSubFolders Verbatim\n\nChannel c\nFar :far:\nNear :near:\nPatterns *\nCreate Near\nSync Pull\nSyncState {1}/\n",
        text(&out),
        text(&pulled)
    );
    let rc = place.path().join("mbsyncrc");
    fs::write(&rc, channel).expect("a file");
    let output = Command::new("mbsync").arg("-c").arg(&rc).arg("c").env("HOME", place.path()).output().expect("mbsync");
    let said = String::from_utf8_lossy(&output.stderr);
    let subjects = |at: &Path| -> BTreeSet<String> {
        let lines = files_of_messages(at);
        lines
            .iter()
            .filter_map(|bytes| memchr::memmem::find(bytes, b"Subject: ").map(|at| bytes[at..].to_vec()))
            .map(|rest| {
                String::from_utf8_lossy(rest.split(|byte| *byte == b'\r' || *byte == b'\n').next().unwrap_or_default())
                    .into_owned()
            })
            .collect()
    };
    assert_eq!(subjects(&pulled.join("INBOX")), subjects(&out.join("INBOX")), "{said}");
}

fn files_of_messages(mailbox: &Path) -> Vec<Vec<u8>> {
    files(mailbox)
        .into_iter()
        .filter(|(name, _)| name.starts_with("cur/") || name.starts_with("new/"))
        .map(|(_, bytes)| bytes)
        .collect()
}

// --- mbox --------------------------------------------------------------------------------------------------------

/// As it stands in an mbox: without CR at the end of lines, and without what a mailbox says of it.
fn in_mbox(message: &Message) -> Message {
    let mut bytes = Vec::new();
    for line in message.bytes.split_inclusive(|byte| *byte == b'\n') {
        let own = ["Status: ", "X-Status: ", "X-Mozilla-Status: ", "X-Keywords: ", "X-Mozilla-Keys: "];
        if bytes.is_empty() && own.iter().any(|field| line.starts_with(field.as_bytes())) {
            continue;
        }
        match line.strip_suffix(b"\r\n") {
            Some(text) => bytes.extend([text, b"\n"].concat()),
            None => bytes.extend_from_slice(line),
        }
    }
    let bytes = bytes.trim_ascii().to_vec();
    Message { bytes, ..message.clone() }
}

fn all_in_mbox(account: &Account) -> Account {
    account.iter().map(|(name, all)| (name.clone(), all.iter().map(in_mbox).collect())).collect()
}

#[test]
fn an_mbox_comes_back_and_python_reads_its_flags() {
    let place = tempfile::tempdir().expect("a folder");
    let archive = archive_of_mail(place.path());
    let out = place.path().join("out");
    export("mbox", &[], &archive, &out);
    let back = place.path().join("back.sqlite");
    ok(&["--quiet", "import", "takeout", text(&out), text(&back)]);
    let (mut expected, mut found) = (all_in_mbox(&mail_of(&archive)), all_in_mbox(&mail_of(&back)));
    // The import of such files takes an empty one for nothing, writes the inbox in its way, and one message with other flags in
    // two files for one with the flags of both.
    assert!(expected.remove("Empty").is_some_and(|all| all.is_empty()));
    let inbox = found.remove("Inbox").expect("an inbox");
    found.insert("INBOX".to_owned(), inbox);
    for account in [&mut expected, &mut found] {
        let ones = account.values_mut().flatten();
        let ones = ones.filter(|message| message.bytes.windows(9).any(|text| text == b"number 1\n"));
        ones.for_each(|message| message.flags.clear());
    }
    assert_eq!(differences(&expected, &found), Vec::<String>::new());

    // Flags as another reader of mboxes sees them (Status, X-Status), and as Thunderbird does (X-Mozilla-Status: 1 read, 2
    // answered, 4 flagged; X-Mozilla-Keys).
    let script = "import mailbox,sys,json\nfor m in mailbox.mbox(sys.argv[1],create=False):\n print(json.dumps([m.get_flags(),m.get('X-Mozilla-Status'),m.get('X-Mozilla-Keys','').lower()]))";
    for (name, messages) in mail_of(&archive) {
        let said = out_of(Command::new("python3").args(["-c", script]).arg(out.join(format!("{name}.mbox"))));
        let mut read: Vec<Value> = said.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
        let mut wanted: Vec<Value> = messages.iter().map(flags_in_mbox).collect();
        read.sort_by_key(Value::to_string);
        wanted.sort_by_key(Value::to_string);
        assert_eq!(read, wanted, "{name}");
    }
}

fn flags_in_mbox(message: &Message) -> Value {
    let has = |flag: &str| message.flags.contains(flag);
    let letters = [("\\seen", "R"), ("", "O"), ("\\answered", "A"), ("\\flagged", "F"), ("\\draft", "T")];
    let flags: String =
        letters.into_iter().filter(|(flag, _)| flag.is_empty() || has(flag)).map(|(_, letter)| letter).collect();
    let bits = [("\\seen", 1), ("\\answered", 2), ("\\flagged", 4), ("$forwarded", 0x1000)];
    let bits: u32 = bits.into_iter().filter(|(flag, _)| has(flag)).map(|(_, bit)| bit).sum();
    let words: Vec<&str> = message.flags.iter().filter(|flag| !flag.starts_with('\\')).map(String::as_str).collect();
    serde_json::json!([flags, format!("{bits:04x}"), words.join(" ")])
}

#[test]
fn neomutt_reads_the_mbox() {
    if !has("neomutt") || !has("script") {
        return;
    }
    let place = tempfile::tempdir().expect("a folder");
    let archive = archive_of_mail(place.path());
    let out = place.path().join("out");
    export("mbox", &[], &archive, &out);
    let rc = place.path().join("neomuttrc");
    let settings = format!(
        "set folder={}\nset header_cache=\nset wait_key=no\nset quit=yes\nset status_format=\"STATUS m%m f%F u%u.\"\n",
        text(&out)
    );
    fs::write(&rc, settings).expect("a file");
    for (name, messages) in mail_of(&archive).iter().filter(|(_, messages)| !messages.is_empty()) {
        let with = |flag: &str| messages.iter().filter(|one| one.flags.contains(flag)).count();
        let file = out.join(format!("{name}.mbox"));
        let command = format!("exec neomutt -n -F '{}' -R -f '{}' -e 'push \"<exit>\"'", text(&rc), text(&file));
        let mut script = Command::new("timeout");
        script.args(["20", "script", "-qec", &command, "/dev/null"]);
        let said = out_of(script.env("HOME", place.path()).env("TERM", "xterm").stdin(Stdio::null()));
        let (flagged, unread) = (with("\\flagged"), messages.len() - with("\\seen"));
        let status = format!("STATUS m{} f{} u{}.", messages.len(), flagged, unread);
        assert!(said.contains(&status), "{name}: {status}: {said}");
    }
}

// --- eml, ics, vcf, sieve ----------------------------------------------------------------------------------------

#[test]
fn eml_files_have_the_names_of_text_and_the_bytes_of_the_source() {
    let place = tempfile::tempdir().expect("a folder");
    let archive = archive_of_mail(place.path());
    let out = place.path().join("out");
    export("eml", &[], &archive, &out);
    let found = files(&out);
    let all = tree(&archive, "latest");
    let names: BTreeSet<String> = all
        .keys()
        .filter_map(|path| Some(format!("{}.eml", path.strip_prefix("text/")?.strip_suffix(".txt")?)))
        .collect();
    assert_eq!(found.keys().cloned().collect::<BTreeSet<_>>(), names);
    let mut bytes: Vec<&Vec<u8>> = found.values().collect();
    let mail = mail_of(&archive);
    let mut wanted: Vec<&Vec<u8>> = mail.values().flatten().map(|message| &message.bytes).collect();
    bytes.sort_unstable();
    wanted.sort_unstable();
    assert_eq!(bytes, wanted);
    assert!(files(&out).keys().any(|name| name.contains("Größe") || name.contains("Old & done")), "{names:?}");

    let portable = place.path().join("portable");
    export("eml", &["--names", "portable"], &archive, &portable);
    let refused = ['<', '>', ':', '"', '|', '?', '*', '\\'];
    assert!(files(&portable).len() == found.len() && files(&portable).keys().all(|name| !name.contains(refused)));
}

#[test]
fn calendars_and_cards_come_back_from_one_file_each() {
    let place = tempfile::tempdir().expect("a folder");
    let archive = archive_of_dates(place.path());
    let out = place.path().join("out");
    let done = export("ics", &[], &archive, &out.join("Calendar"));
    assert_eq!((count(&done, "calendar", "created"), count(&done, "calendarevent", "created")), (2, 5), "{done}");
    let done = export("vcf", &[], &archive, &out.join("Contacts"));
    assert_eq!(count(&done, "contactcard", "created"), 2, "{done}");
    let back = place.path().join("back.sqlite");
    ok(&["--quiet", "import", "takeout", text(&out), text(&back)]);
    let without_names = |items: BTreeMap<String, BTreeSet<BTreeSet<String>>>| -> BTreeSet<BTreeSet<String>> {
        let lines = |item: BTreeSet<String>| {
            item.into_iter().filter(|line| !line.starts_with("NAME:") && !line.starts_with("X-WR-CALNAME:")).collect()
        };
        items.into_values().flatten().map(lines).collect()
    };
    assert_eq!(without_names(items_of(&back)), without_names(items_of(&archive)));
    let again = export("ics", &[], &archive, &out.join("Calendar"));
    assert_eq!((count(&again, "calendar", "matched"), count(&again, "calendarevent", "matched")), (2, 5), "{again}");

    if !has("khal") {
        return;
    }
    let config = place.path().join("khal.conf");
    let settings = format!(
        "[calendars]\n[[home]]\npath = {0}/khal\n[sqlite]\npath = {0}/khal.db\n[locale]\ntimeformat = %H:%M\ndateformat = %Y-%m-%d\nlongdateformat = %Y-%m-%d\ndatetimeformat = %Y-%m-%d %H:%M\nlongdatetimeformat = %Y-%m-%d %H:%M\nlocal_timezone = UTC\ndefault_timezone = UTC\n",
        text(place.path())
    );
    fs::write(&config, settings).expect("a file");
    let khal = |arguments: &[&str]| {
        let mut command = Command::new("khal");
        command.arg("-c").arg(&config).args(arguments).env("HOME", place.path()).env("LC_ALL", "C.UTF-8");
        out_of(&mut command)
    };
    khal(&["import", "--batch", "-a", "home", text(&out.join("Calendar/Home.ics"))]);
    let listed = khal(&["list", "--notstarted", "-f", "{start-date} {start-time} {title}", "2026-01-01", "30d"]);
    for line in ["2026-01-05 08:00 Every week", "2026-01-12 09:00 Every week, later", "2026-01-19 08:00 Every week"] {
        assert!(listed.lines().any(|listed| listed == line), "{line}: {listed}");
    }
}

#[test]
fn scripts_become_files() {
    let place = tempfile::tempdir().expect("a folder");
    let archive = place.path().join("a.sqlite");
    let script = b"keep;\r\n";
    let conn = rusqlite::Connection::open(&archive).expect("an archive");
    conn.execute_batch(include_str!("common/archive-1x.sql")).expect("the tables of 1.x");
    let hash = blake3::hash(script);
    let blob = rusqlite::params![hash.as_bytes(), script];
    conn.execute("INSERT INTO blobs (hash, data) VALUES (?1, ?2)", blob).expect("a blob");
    let row = "INSERT INTO sieve_scripts (name, is_active, blob_id) VALUES ('main', 1, last_insert_rowid())";
    conn.execute(row, []).expect("a script");
    drop(conn);
    let out = place.path().join("out");
    let done = export("sieve", &[], &archive, &out);
    assert_eq!(count(&done, "sievescript", "created"), 1, "{done}");
    let found = files(&out);
    assert_eq!((found["main.sieve"].as_slice(), found["active"].as_slice()), (&script[..], &b"main.sieve"[..]));
    assert_eq!(count(&export("sieve", &[], &archive, &out), "sievescript", "matched"), 1);
}

// --- tar ---------------------------------------------------------------------------------------------------------

#[test]
fn a_tar_file_has_the_tree() {
    let place = tempfile::tempdir().expect("a folder");
    let archive = archive_of_dates(place.path());
    let mail = archive_of_mail(place.path()).with_file_name("mail");
    deliver(&mail.join(".Sent"), "1600000077.77.h:2,S", &message(77));
    deliver(&mail.join(".Work"), "1600000077.77.h:2,S", &message(77));
    ok(&["--quiet", "import", "maildir", text(&mail), text(&archive)]);
    let file = place.path().join("a.tar");
    let done = export("tar", &[], &archive, &file);
    assert_eq!(count(&done, "calendarevent", "created"), 5, "{done}");
    let unpack = |bytes: &Path, name: &str| {
        let out = place.path().join(name);
        fs::create_dir(&out).expect("a folder");
        out_of(Command::new("tar").arg("-xpf").arg(bytes).arg("-C").arg(&out));
        out
    };
    let out = unpack(&file, "from-file");
    let extract = place.path().join("extracted");
    ok(&["--quiet", "extract", "--into", text(&extract), text(&archive)]);
    let expected: BTreeMap<String, Vec<u8>> =
        files(&extract).into_iter().filter(|(name, _)| !name.starts_with("merged/")).collect();
    assert_eq!(files(&out), expected);
    // Dates, and one file for a message in two mailboxes.
    assert_eq!(differences(&mail_of(&archive), &extracted(&out.join("mail"))), Vec::<String>::new());
    let links = |at: &Path| {
        use std::os::unix::fs::MetadataExt;
        files(at).keys().filter(|name| fs::metadata(at.join(name)).is_ok_and(|meta| meta.nlink() == 2)).count()
    };
    assert!(links(&out) > 0 && links(&out) == links(&extract));

    let said = fails(&["export", "tar", text(&archive), text(&file)], 7);
    assert!(said.contains("is there already") && said.contains("hint: "), "{said}");
    let streamed = place.path().join("streamed.tar");
    let output = vandelay()
        .args(["export", "tar", text(&archive), "-"])
        .stdout(fs::File::create(&streamed).expect("a file"))
        .output()
        .expect("it runs");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && said.contains("email: found"), "{said}");
    assert_eq!(files(&unpack(&streamed, "from-stream")), expected);
    // A stream that was stopped does not look like a whole one.
    let mut child =
        vandelay().args(["export", "tar", text(&archive), "-"]).stdout(Stdio::piped()).spawn().expect("it starts");
    drop(child.stdout.take());
    assert!(!child.wait().expect("a child").success());
    let before = listing(place.path());
    let plan = export("tar", &["--dry-run"], &archive, &place.path().join("b.tar"));
    assert_eq!(plan["plan"]["email"]["create"], done["types"]["email"]["created"]);
    assert_eq!(listing(place.path()), before);
}

#[test]
fn a_part_in_a_tar_file_has_whole_maildirs() {
    let place = tempfile::tempdir().expect("a folder");
    let archive = archive_of_mail(place.path());
    for (at, flags) in
        [&["--since", "2020-01-01"][..], &["--objects", "email"], &["--path", "mail/INBOX/cur"]].iter().enumerate()
    {
        let (file, out) = (place.path().join(format!("{at}.tar")), place.path().join(format!("{at}")));
        let done = export("tar", flags, &archive, &file);
        fs::create_dir(&out).expect("a folder");
        out_of(Command::new("tar").arg("-xpf").arg(&file).arg("-C").arg(&out));
        let found = extracted(&out.join("mail"));
        assert!(count(&done, "mailbox", "created") > 0 && !found.is_empty(), "{flags:?}: {done}");
        for part in ["new", "tmp", "dovecot-keywords"] {
            assert!(out.join("mail/INBOX").join(part).exists(), "{flags:?}: {part}");
        }
        let inbox = &mail_of(&archive)["INBOX"];
        assert!(found["INBOX"].iter().all(|message| inbox.contains(message)), "with its keywords");
    }
}

// --- parts -------------------------------------------------------------------------------------------------------

#[test]
fn a_part_is_chosen_as_for_a_server() {
    let place = tempfile::tempdir().expect("a folder");
    let archive = archive_of_mail(place.path());
    let all = mail_of(&archive);
    let mut at = 0;
    let mut chosen = |flags: &[&str]| -> Account {
        at += 1;
        let out = place.path().join(format!("out-{at}"));
        let plan = export("maildir", &[flags, &["--dry-run"]].concat(), &archive, &out);
        assert!(!out.exists());
        let done = export("maildir", flags, &archive, &out);
        assert_eq!(plan["types"], done["types"], "{flags:?}");
        extracted(&out)
    };
    let work = |name: &str| name == "Work" || name.starts_with("Work/");
    let of = |is: &dyn Fn(&str) -> bool| -> Account {
        all.iter().filter(|(name, _)| is(name)).map(|(name, all)| (name.clone(), all.clone())).collect()
    };
    assert_eq!(differences(&chosen(&["--path", "mail/Work/**"]), &of(&work)), Vec::<String>::new());
    let into = chosen(&["--path", "mail/Work/**", "--into", "Restored"]);
    let wanted: Account = of(&work).into_iter().map(|(name, all)| (format!("Restored/{name}"), all)).collect();
    assert_eq!(differences(&into, &wanted), Vec::<String>::new());
    // Only folders that hold something of that time.
    let dated = chosen(&["--since", "2006-01-01", "--until", "2009-01-01"]);
    let is_then = |message: &&Message| message.date.is_some_and(|date| (1_136_073_600..1_230_768_000).contains(&date));
    let wanted: Account = all
        .iter()
        .map(|(name, all)| (name.clone(), all.iter().filter(is_then).cloned().collect::<Vec<_>>()))
        .filter(|(_, all)| !all.is_empty())
        .collect();
    assert!(!wanted.is_empty());
    assert_eq!(differences(&dated, &wanted), Vec::<String>::new());
    // An older state.
    let mail = place.path().join("mail");
    deliver(&mail, "1700000000.new.h:2,", &message(50));
    ok(&["--quiet", "import", "maildir", text(&mail), text(&archive)]);
    let out = place.path().join("before");
    export("maildir", &["--at", "1"], &archive, &out);
    assert_eq!(differences(&all, &extracted(&out)), Vec::<String>::new());
    // What a form does not hold is an error, and not an empty directory.
    let said = fails(&["export", "maildir", "--objects", "calendarevent", text(&archive), text(&out)], 1);
    assert!(said.contains("mailbox and email only"), "{said}");
    // A mistyped date does not look like a finished export.
    let mut command = vandelay();
    command.args(["export", "maildir", "--since", "2031-01-01", text(&archive)]).arg(place.path().join("never"));
    let said = String::from_utf8_lossy(&command.output().expect("it runs").stderr).into_owned();
    assert!(said.contains("warning: nothing was exported: the archive has no mailbox or email"), "{said}");
    fails(&["export", "eml", "--since", "2026-02-01", "--until", "2026-01-01", text(&archive), text(&out)], 1);
    // Events of a day.
    let dates = archive_of_dates(&place.path().join("dates"));
    let out = place.path().join("ics");
    let done = export("ics", &["--since", "2026-01-10", "--until", "2026-01-20"], &dates, &out);
    assert_eq!(count(&done, "calendarevent", "created"), 2, "the series and the task: {done}");
    let bytes = fs::read(out.join("Home.ics")).expect("a file");
    assert!(
        lines_of(&bytes).iter().any(|line| line.contains("Water the plants")) && !out.join("Work & Größe.ics").exists()
    );
}
