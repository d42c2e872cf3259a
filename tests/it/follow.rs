//! A mount follows its archive: what it shows after an import is what a new mount shows, and nobody is disturbed.

use crate::common;
use crate::common::account::{Account, below, text, wait};
use crate::common::{Mounted, deliver, message, ok, vandelay};
use rustix::fs::{OFlags, RawDir};
use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::mem::MaybeUninit;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Everything that a program can see of a tree: sort, size, links, times, number and bytes of each path.
fn seen(at: &Path) -> BTreeMap<PathBuf, String> {
    let mut all: BTreeMap<PathBuf, String> = below(at)
        .into_iter()
        .map(|(path, meta)| {
            let stat = format!(
                "{:o} {} {} {} {} {}",
                meta.mode(),
                meta.len(),
                meta.nlink(),
                meta.mtime(),
                meta.ctime(),
                meta.ino()
            );
            let bytes = if meta.is_file() {
                blake3::hash(&fs::read(at.join(&path)).unwrap_or_else(|error| panic!("{}: {error}", path.display())))
                    .to_string()
            } else {
                String::new()
            };
            (path, format!("{stat} {bytes}"))
        })
        .collect();
    let root = fs::metadata(at).unwrap();
    all.insert(PathBuf::new(), format!("{} {}", root.mtime(), root.nlink()));
    all
}

fn import(account: &Account, source: &str, from: &Path) {
    ok(&["import", source, text(from), text(&account.archive())]);
}

/// Waits until a mount shows what a new mount of the same archive shows. It should in two seconds; a busy machine may
/// take longer.
fn catches_up(account: &Account, mount: &Mounted, step: &str) {
    let other = account.path().join("other");
    fs::create_dir_all(&other).unwrap();
    let fresh = Mounted::new(&account.archive(), &other, &["-o", "snapshots=visible"]).expect("a second mount");
    let expected = seen(&fresh.at);
    drop(fresh);
    let wrong = || -> String {
        // While the root moves on, what was listed may be gone.
        let Ok(found) = std::panic::catch_unwind(|| seen(&mount.at)) else { return "it changes".to_owned() };
        let paths: BTreeSet<&PathBuf> = expected.keys().chain(found.keys()).collect();
        let wrong = paths.into_iter().filter(|path| expected.get(*path) != found.get(*path));
        wrong
            .map(|path| {
                format!("{}\n  expected {:?}\n  found    {:?}\n", path.display(), expected.get(path), found.get(path))
            })
            .collect()
    };
    wait(|| wrong().is_empty(), || format!("{step}:\n{}", wrong()));
}

const EVENTS: [(&str, &str); 3] = [("a@x", "Choir"), ("b@x", "Books"), ("c@x", "Lunch")];

fn calendar(at: &Path, events: &[(&str, &str)]) {
    fs::create_dir_all(at).unwrap();
    let events: String = events
        .iter()
        .map(|(uid, name)| {
            format!("BEGIN:VEVENT\r\nUID:{uid}\r\nDTSTAMP:20260101T000000Z\r\nDTSTART:20260301T100000Z\r\nSUMMARY:{name}\r\nEND:VEVENT\r\n")
        })
        .collect();
    let text = format!("BEGIN:VCALENDAR\r\nVERSION:2.0\r\nPRODID:-//x//x//EN\r\n{events}END:VCALENDAR\r\n");
    fs::write(at.join("Home.ics"), text).unwrap();
}

/// An account of a Maildir and a Takeout folder, that folder, and its mount.
fn followed() -> Option<(Account, PathBuf, Mounted)> {
    let account = Account::new();
    account.import();
    let takeout = account.path().join("Takeout");
    calendar(&takeout, &EVENTS[..2]);
    import(&account, "takeout", &takeout);
    let mount = account.mount(&["-o", "snapshots=visible"])?;
    seen(&mount.at);
    Some((account, takeout, mount))
}

/// What happens to a source, and its import.
type Step<'a> = (&'a str, Box<dyn Fn() + 'a>);

/// After each of these steps the mount shows what a new one shows.
fn follows(account: &Account, mount: &Mounted, steps: Vec<Step<'_>>) {
    for (name, step) in steps {
        step();
        catches_up(account, mount, name);
    }
}

#[test]
fn what_a_mount_shows_after_mail_changed_is_what_a_new_mount_shows() {
    let Some((account, _, mount)) = followed() else { return };
    let maildir = account.maildir();
    let cur = |folder: &str| -> Vec<PathBuf> {
        let mut all: Vec<PathBuf> =
            fs::read_dir(maildir.join(folder).join("cur")).unwrap().map(|one| one.unwrap().path()).collect();
        all.sort();
        all
    };
    let renamed = |path: &Path, flags: &str| {
        let name = path.file_name().unwrap().to_str().unwrap();
        fs::rename(path, path.with_file_name(format!("{}:2,{flags}", name.split(':').next().unwrap()))).unwrap();
    };
    let steps: Vec<Step<'_>> = vec![
        ("nothing changed", Box::new(|| account.import())),
        (
            "a message came",
            Box::new(|| {
                deliver(&maildir, "1900000001.M1.host:2,S", &message(901));
                account.import();
            }),
        ),
        (
            "flags changed",
            Box::new(|| {
                renamed(&cur("")[0], "FRS");
                renamed(&cur(".Archive")[1], "T");
                account.import();
            }),
        ),
        (
            "a message went",
            Box::new(|| {
                fs::remove_file(&cur(".Lists.Rust")[0]).unwrap();
                account.import();
            }),
        ),
        (
            "a message moved to another folder",
            Box::new(|| {
                let from = &cur("")[1];
                fs::rename(from, maildir.join(".Archive/cur").join(from.file_name().unwrap())).unwrap();
                account.import();
            }),
        ),
        (
            "a folder came, one went, one was renamed",
            Box::new(|| {
                deliver(&maildir.join(".New"), "1900000002.M1.host:2,S", &message(902));
                fs::remove_dir_all(maildir.join(".Lists.Rust")).unwrap();
                fs::rename(maildir.join(".Archive"), maildir.join(".Attic")).unwrap();
                account.import();
            }),
        ),
        (
            "two messages of one minute and one subject",
            Box::new(|| {
                let same =
                    |body: &str| format!("Subject: twins\r\nDate: Mon, 2 Mar 2026 10:00:00 +0000\r\n\r\n{body}\r\n");
                for (number, body) in ["one", "two", "three"].into_iter().enumerate() {
                    deliver(&maildir, &format!("1772445600.M{number}.host:2,S"), same(body).as_bytes());
                }
                account.import();
            }),
        ),
        (
            "the first of the twins went",
            Box::new(|| {
                fs::remove_file(maildir.join("cur/1772445600.M0.host:2,S")).unwrap();
                account.import();
            }),
        ),
    ];
    follows(&account, &mount, steps);
    ok(&["forget", text(&account.archive()), "--keep-last", "3"]);
    let kept = || names(&mount.at.join(".snapshots"));
    // The last three, and the last one of the Takeout.
    wait(|| kept().len() == 4, || format!("{:?}", kept()));
    assert!(!seen(&mount.at).is_empty(), "everything can still be read");
}

#[test]
fn what_a_mount_shows_after_calendars_changed_is_what_a_new_mount_shows() {
    let Some((account, takeout, mount)) = followed() else { return };
    let steps: Vec<Step<'_>> = vec![
        (
            "an event came and one changed",
            Box::new(|| {
                calendar(&takeout, &[("a@x", "Choir, moved"), EVENTS[1], EVENTS[2]]);
                import(&account, "takeout", &takeout);
            }),
        ),
        (
            "a second calendar and a file",
            Box::new(|| {
                fs::copy(takeout.join("Home.ics"), takeout.join("Work.ics")).unwrap();
                fs::create_dir_all(takeout.join("notes")).unwrap();
                fs::write(takeout.join("notes/odd.ics"), "no calendar").unwrap();
                import(&account, "takeout", &takeout);
            }),
        ),
    ];
    follows(&account, &mount, steps);
    assert!(!seen(&mount.at).is_empty(), "everything can still be read");
}

#[test]
fn open_files_keep_their_bytes_and_listings_go_on() {
    let account = Account::empty();
    for number in 0..3_000 {
        account.deliver("", number);
    }
    let takeout = account.path().join("Takeout");
    calendar(&takeout, &EVENTS);
    account.import();
    import(&account, "takeout", &takeout);
    let Some(mount) = account.mount(&[]) else { return };
    let cur = mount.at.join("mail/INBOX/cur");
    let before: BTreeSet<String> = names(&cur);
    assert_eq!(before.len(), 3_000);

    let event = mount.at.join("calendars/Home/a@x.ics");
    let (open, bytes) = (File::open(&event).unwrap(), fs::read(&event).unwrap());
    let victim = cur.join(before.iter().next().unwrap());
    let (gone, gone_bytes) = (File::open(&victim).unwrap(), fs::read(&victim).unwrap());

    // A listing begins, the archive changes, the listing goes on.
    let directory = rustix::fs::open(&cur, OFlags::RDONLY | OFlags::DIRECTORY, rustix::fs::Mode::empty()).unwrap();
    let mut buffer = [MaybeUninit::uninit(); 512];
    let mut listing = RawDir::new(&directory, &mut buffer);
    let mut listed: Vec<String> = Vec::new();
    let mut take = |listing: &mut RawDir<'_, _>, count: usize| {
        for _ in 0..count {
            let Some(entry) = listing.next() else { break };
            let name = entry.unwrap().file_name().to_str().unwrap().to_owned();
            if name != "." && name != ".." {
                listed.push(name);
            }
        }
    };
    take(&mut listing, 1_000);
    let mut delivered: Vec<PathBuf> =
        fs::read_dir(account.maildir().join("cur")).unwrap().map(|one| one.unwrap().path()).collect();
    delivered.sort();
    let number = victim.file_name().unwrap().to_str().unwrap();
    let epoch = number.split('.').next().unwrap();
    let same = |path: &&PathBuf| fs::read(path).unwrap() == gone_bytes;
    fs::remove_file(delivered.iter().find(same).unwrap_or_else(|| panic!("{epoch}"))).unwrap();
    for number in 5_000..5_010 {
        account.deliver("", number);
    }
    calendar(&takeout, &[("a@x", "Something else entirely, and longer than before")]);
    account.import();
    import(&account, "takeout", &takeout);
    wait(|| fs::read(&event).unwrap() != bytes, || "the event never changed".to_owned());
    wait(|| !victim.exists(), || "the message never went".to_owned());
    take(&mut listing, usize::MAX);
    let once: BTreeSet<String> = listed.iter().cloned().collect();
    assert_eq!(once.len(), listed.len(), "no line twice");
    let missing: Vec<&String> = before.difference(&once).filter(|name| cur.join(name).exists()).collect();
    assert!(missing.is_empty(), "what is there was listed: {missing:?}");
    assert_eq!(names(&cur).len(), 3_009);

    for (file, bytes) in [(open, bytes), (gone, gone_bytes)] {
        let mut again = vec![0; bytes.len() + 1];
        let count = std::os::unix::fs::FileExt::read_at(&file, &mut again, 0).unwrap();
        assert_eq!(again[..count], bytes, "who has a file open keeps its bytes");
    }
}

fn names(directory: &Path) -> BTreeSet<String> {
    fs::read_dir(directory).unwrap().map(|one| one.unwrap().file_name().into_string().unwrap()).collect()
}

#[test]
fn a_pinned_mount_stays_where_it_is() {
    let account = Account::new();
    account.import();
    let Some(mount) = account.mount(&["-o", "snapshot=1"]) else { return };
    let before = seen(&mount.at);
    deliver(&account.maildir(), "1900000001.M1.host:2,S", &message(901));
    account.import();
    std::thread::sleep(Duration::from_secs(2));
    assert_eq!(seen(&mount.at), before);
}

#[test]
fn archives_of_a_folder_come_and_go() {
    let account = Account::new();
    account.import();
    let folder = account.path().join("backups");
    fs::create_dir(&folder).unwrap();
    fs::copy(account.archive(), folder.join("alice.sqlite")).unwrap();
    fs::write(folder.join("notes.txt"), "no archive").unwrap();
    let at = account.path().join("all");
    fs::create_dir(&at).unwrap();
    let Some(mount) = Mounted::new(&folder, &at, &[]) else { return };
    assert_eq!(names(&mount.at), BTreeSet::from(["alice".to_owned()]));
    let single = account.mount(&[]).expect("a mount");
    let inside = |at: &Path| -> Vec<PathBuf> { below(at).into_keys().collect() };
    assert_eq!(inside(&mount.at.join("alice")), inside(&single.at), "the same tree, one level down");

    fs::copy(account.archive(), folder.join("bob.sqlite")).unwrap();
    wait(|| mount.at.join("bob/mail/INBOX").is_dir(), || format!("{:?}", names(&mount.at)));
    assert_ne!(
        fs::metadata(mount.at.join("bob/mail")).unwrap().ino(),
        fs::metadata(mount.at.join("alice/mail")).unwrap().ino()
    );
    // Another archive in its place is another directory.
    let other = Account::empty();
    other.deliver("", 77);
    other.import();
    fs::rename(other.archive(), folder.join("bob.sqlite")).unwrap();
    wait(|| names(&mount.at.join("bob/mail")) == BTreeSet::from(["INBOX".to_owned()]), || "the old bob".to_owned());
    fs::remove_file(folder.join("alice.sqlite")).unwrap();
    wait(|| !mount.at.join("alice").exists(), || "alice stays".to_owned());
    assert_eq!(names(&mount.at), BTreeSet::from(["bob".to_owned()]));
    // A file that is no archive any more is an error, and only that.
    fs::write(folder.join("carol.sqlite"), b"SQLite format 3\0 and then nothing").unwrap();
    std::thread::sleep(Duration::from_secs(1));
    assert_eq!(fs::read_dir(mount.at.join("bob/mail/INBOX/cur")).unwrap().count(), 1);
}

#[test]
fn several_archives_may_be_named() {
    let account = Account::new();
    account.import();
    let second = account.path().join("store/bob.sqlite");
    fs::copy(account.archive(), &second).unwrap();
    let at = account.mountpoint();
    if !Path::new("/dev/fuse").exists() {
        return common::skip("there is no /dev/fuse");
    }
    fs::create_dir_all(&at).unwrap();
    let status =
        vandelay().args(["mount", "--quiet", text(&account.archive()), text(&second), text(&at)]).status().unwrap();
    assert!(status.success());
    let found = names(&at);
    ok(&["umount", text(&at)]);
    assert_eq!(found, BTreeSet::from(["alice".to_owned(), "bob".to_owned()]));
}

/// Resident memory in KiB and open descriptors of a process.
fn cost(pid: u32) -> (u64, usize) {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    let memory = line.split_whitespace().next().unwrap().parse().unwrap();
    (memory, fs::read_dir(format!("/proc/{pid}/fd")).unwrap().count())
}

/// A day of `find`, `grep` and imports, cut short: 20 rounds, or 5,000 with VANDELAY_SOAK.
#[test]
fn a_mount_that_is_used_all_day_stays_small() {
    let account = Account::empty();
    for number in 0..500 {
        account.deliver("", number);
    }
    account.import();
    let Some(mount) = account.mount_in_foreground(&[]) else { return };
    let rounds = if std::env::var_os("VANDELAY_SOAK").is_some() { 5_000 } else { 20 };
    let sh = |script: String| {
        let output = std::process::Command::new("sh").arg("-c").arg(&script).output().unwrap();
        assert!(output.stderr.is_empty(), "{script}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap().trim().parse::<usize>().unwrap()
    };
    let at = text(&mount.at).to_owned();
    let mut early = (0, 0);
    for round in 0..rounds {
        // No look while the root moves on: what was listed before is gone then, as in any directory.
        let expected = 500 + round;
        wait(|| names(&mount.at.join("mail/INBOX/cur")).len() == expected, || format!("round {round}"));
        assert_eq!(sh(format!("find {at}/mail -type f | wc -l")), expected);
        assert_eq!(sh(format!("grep -rl 'Subject: number' {at}/text/INBOX | wc -l")), expected);
        assert_eq!(sh(format!("cat {at}/mail/INBOX/cur/* | grep -c '^Message-ID: '")), expected);
        if round == 5 {
            early = cost(mount.child.id());
        }
        account.deliver("", 10_000 + round as u32);
        account.import();
    }
    let late = cost(mount.child.id());
    assert!(late.0 < early.0 + 8_192, "memory: {early:?} KiB, then {late:?}");
    assert!(late.1 <= early.1 + 4, "descriptors: {early:?}, then {late:?}");
}

#[test]
fn every_listed_name_can_be_opened_whatever_the_subjects() {
    let account = Account::empty();
    let subjects = ["same", "same", "same~2", "a", "same~1", "a~b~3", "", "~4", "x.txt", "same~2~2", "..", "a/b"];
    for (number, subject) in subjects.into_iter().enumerate() {
        let text = format!(
            "Subject: {subject}\r\nContent-Type: multipart/mixed; boundary=x\r\n\r\n--x\r\nContent-Type: text/plain\r\n\r\nbody {number}\r\n\
             --x\r\nContent-Disposition: attachment; filename=a.pdf\r\n\r\none {number}\r\n\
             --x\r\nContent-Disposition: attachment; filename=a.pdf\r\n\r\ntwo {number}\r\n--x--\r\n"
        );
        deliver(&account.maildir(), &format!("1772445600.M{number:02}.host:2,S"), text.as_bytes());
    }
    account.import();
    fs::remove_file(account.maildir().join("cur/1772445600.M03.host:2,S")).unwrap();
    account.import();
    let Some(mount) = account.mount(&["-o", "snapshots=visible"]) else { return };
    seen(&mount.at);
    let read = |at: PathBuf| -> BTreeSet<String> {
        let all = fs::read_dir(at).unwrap().map(|one| fs::read_to_string(one.unwrap().path()).unwrap());
        all.filter_map(|text| text.lines().find(|line| line.starts_with("body ")).map(str::to_owned)).collect()
    };
    assert_eq!(read(mount.at.join("text/INBOX")).len(), subjects.len() - 1, "each message once");
    let first = fs::read_dir(mount.at.join(".snapshots")).unwrap().map(|one| one.unwrap().path()).min().unwrap();
    assert_eq!(read(first.join("text/INBOX")).len(), subjects.len(), "and that which left, where it was");
    for folder in fs::read_dir(mount.at.join("attachments/INBOX")).unwrap() {
        assert_eq!(names(&folder.unwrap().path()), BTreeSet::from(["a.pdf".to_owned(), "a~3.pdf".to_owned()]));
    }
}
