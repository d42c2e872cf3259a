//! Whole imports of a Maildir: what is recognised under other names, what the guard lets through, what the report names.

use std::fs;
use std::path::{Path, PathBuf};

use crate::common::{deliver, fails, json, message, ok, run};
use tempfile::TempDir;

/// A Maildir, an archive, and imports of the one into the other.
struct Place {
    dir: TempDir,
}

impl Place {
    fn new() -> Place {
        let place = Place { dir: tempfile::tempdir().unwrap() };
        for name in ["cur", "new", "tmp"] {
            fs::create_dir_all(place.mail().join(name)).unwrap();
        }
        place
    }

    fn mail(&self) -> PathBuf {
        self.dir.path().join("Maildir")
    }

    fn archive(&self) -> String {
        self.dir.path().join("a.sqlite").to_str().unwrap().to_owned()
    }

    fn arguments(&self, flags: &[&str]) -> Vec<String> {
        let all = ["import", "maildir", self.mail().to_str().unwrap(), &self.archive()].map(str::to_owned);
        all.into_iter().chain(flags.iter().map(|&flag| flag.to_owned())).collect()
    }

    /// The summary of an import that succeeds.
    fn import(&self, flags: &[&str]) -> serde_json::Value {
        let arguments = self.arguments(&[flags, &["--json"]].concat());
        json(&arguments.iter().map(String::as_str).collect::<Vec<_>>())
    }

    /// What an import says that ends with this code.
    fn refused(&self, flags: &[&str], code: i32) -> String {
        let arguments = self.arguments(flags);
        fails(&arguments.iter().map(String::as_str).collect::<Vec<_>>(), code)
    }

    /// The row and the flags of each message in a folder.
    fn rows(&self, folder: &str) -> Vec<String> {
        let listed = ok(&["ls", &self.archive(), &format!("mail/{folder}/cur")]);
        let mut rows: Vec<String> = listed
            .lines()
            .map(|name| {
                let (unique, flags) = name.split_once(":2,").unwrap();
                format!("{}:{flags}", unique.split('.').nth(1).unwrap())
            })
            .collect();
        rows.sort();
        rows
    }
}

fn new_changed_unchanged(summary: &serde_json::Value) -> (u64, u64, u64) {
    let stored = &summary["types"]["email"];
    let number = |name: &str| stored[name].as_u64().unwrap();
    (number("new"), number("changed"), number("unchanged"))
}

fn removed(summary: &serde_json::Value) -> u64 {
    summary["types"]["email"]["removed"].as_u64().unwrap_or(0)
}

/// Gives each file of `cur` the name that `rename` makes of it; a copy gets the time of now, as a download does.
fn rename_all(folder: &Path, copied: bool, rename: impl Fn(usize, &str) -> PathBuf) {
    let mut names: Vec<String> =
        fs::read_dir(folder.join("cur")).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    for (number, name) in names.iter().enumerate() {
        let (from, to) = (folder.join("cur").join(name), rename(number, name));
        fs::create_dir_all(to.parent().unwrap()).unwrap();
        if copied {
            fs::write(&to, fs::read(&from).unwrap()).unwrap();
            fs::remove_file(&from).unwrap();
        } else {
            fs::rename(&from, &to).unwrap();
        }
    }
}

/// Whatever the names: the same bytes are the same messages. None is removed and new, the guard stops nothing, and a dry
/// run says the same.
#[test]
fn messages_under_other_names_are_the_same() {
    let cur = |name: String| PathBuf::from("cur").join(name);
    let other_uid = |_: usize, name: &str| {
        let (unique, rest) = name.split_once(",U=").unwrap();
        let (uid, flags) = rest.split_once(':').unwrap();
        format!("{unique},U={}:{flags}", uid.parse::<u32>().unwrap() + 1_000)
    };
    let flags = |name: &str| name.split_once(":2,").unwrap().1.to_owned();
    type Rename = Box<dyn Fn(usize, &str) -> PathBuf>;
    let ways: [(&str, bool, Rename); 6] = [
        ("new UIDs", false, Box::new(move |number, name| cur(other_uid(number, name)))),
        ("a size in the name", false, Box::new(move |_, name| cur(name.replace(",U=", ",S=5,W=6,U=")))),
        (
            "no UID",
            false,
            Box::new(move |_, name| cur(format!("{}:2,{}", name.split_once(",U=").unwrap().0, flags(name)))),
        ),
        (
            "downloaded again",
            true,
            Box::new(move |n, name| cur(format!("1700000{n:03}.{n}_9.h,U={n}:2,{}", flags(name)))),
        ),
        ("another folder", false, Box::new(move |_, name| PathBuf::from(".Moved/cur").join(name))),
        (
            "another folder, downloaded again",
            true,
            Box::new(move |n, name| {
                PathBuf::from(".Moved/cur").join(format!("1700000{n:03}.{n}_9.h:2,{}", flags(name)))
            }),
        ),
    ];
    for (what, copied, rename) in ways {
        let place = Place::new();
        for number in 0..80 {
            // Some of the same bytes twice, read and unread; some packed.
            let bytes = message(number % 75);
            let bytes = if number % 10 == 3 { zstd::encode_all(bytes.as_slice(), 1).unwrap() } else { bytes };
            let size = message(number % 75).len();
            let seen = if number < 75 { "S" } else { "" };
            deliver(&place.mail(), &format!("1420452{number:03}.{number}_1.h,S={size},U={number}:2,{seen}"), &bytes);
        }
        assert_eq!(new_changed_unchanged(&place.import(&[])), (80, 0, 0));
        let before = place.rows("INBOX");
        let mail = place.mail();
        rename_all(&mail, copied, |number, name| mail.join(rename(number, name)));
        let told = place.import(&["--dry-run"]);
        let done = place.import(&["--max-delete", "0"]);
        for (summary, run) in [(&told, "dry"), (&done, "real")] {
            assert_eq!(new_changed_unchanged(summary), (0, 80, 0), "{what}, {run}");
            assert_eq!(removed(summary), 0, "{what}, {run}");
        }
        let folder = if what.starts_with("another folder") { "Moved" } else { "INBOX" };
        let after = place.rows(folder);
        // Of two messages with the same bytes, names that have nothing in common do not say which is which.
        let without_flags = |rows: &[String]| -> Vec<String> {
            rows.iter()
                .map(|row| if copied { row.split(':').next().unwrap().to_owned() } else { row.clone() })
                .collect()
        };
        assert_eq!(without_flags(&after), without_flags(&before), "{what}: each keeps its row and its flags");
        let read = |rows: &[String]| rows.iter().filter(|row| row.ends_with(":S")).count();
        assert_eq!((read(&after), read(&before)), (75, 75), "{what}");
        assert_eq!(new_changed_unchanged(&place.import(&[])), (0, 0, 80), "{what}, again");
        ok(&["verify", &place.archive()]);
    }
}

/// What is really gone counts, also beside what only moved and beside new messages of the same size.
#[test]
fn the_guard_counts_what_is_really_gone() {
    let place = Place::new();
    let fill = |count: u32, from: u32, name: &str| {
        for number in from..from + count {
            deliver(&place.mail(), &format!("1420452000.{name}{number}.h:2,S"), &message(number));
        }
    };
    fill(200, 100, "a");
    place.import(&[]);
    // 80 are gone, and as many other ones of the same size are new; 60 have another name.
    let mail = place.mail();
    for number in 100..180 {
        fs::remove_file(mail.join(format!("cur/1420452000.a{number}.h:2,S"))).unwrap();
    }
    fill(80, 500, "a");
    for number in 200..260 {
        let path = |name: &str| mail.join(format!("cur/1420452000.{name}{number}.h:2,S"));
        fs::rename(path("a"), path("b")).unwrap();
    }
    let before = fs::read(place.archive()).unwrap();
    let said = place.refused(&[], 9);
    assert!(said.contains("80 of 200 objects of type email are missing at the source (INBOX 80)"), "{said}");
    assert!(said.contains("hint: ") && said.contains("--max-delete 100%"), "{said}");
    assert_eq!(place.refused(&["--dry-run"], 9).lines().last(), said.lines().last());
    assert!(fs::read(place.archive()).unwrap() == before, "nothing was changed");
    let done = place.import(&["--max-delete", "40%"]);
    assert_eq!((new_changed_unchanged(&done), removed(&done)), ((80, 60, 60), 80));
}

/// A disk that is not there, or a mailbox that something emptied, removes nothing.
#[test]
fn a_maildir_without_any_mailbox_removes_nothing() {
    // Nothing is known: it is no Maildir.
    let place = Place::new();
    fs::remove_dir_all(place.mail()).unwrap();
    fs::create_dir(place.mail()).unwrap();
    assert!(place.refused(&[], 1).contains("is not a Maildir"));
    assert!(!Path::new(&place.archive()).exists());

    for count in [3, 80] {
        let place = Place::new();
        for number in 0..count {
            deliver(&place.mail(), &format!("142045200{number}.a.h:2,S"), &message(number));
        }
        place.import(&[]);
        let elsewhere = place.dir.path().join("elsewhere");
        fs::rename(place.mail(), &elsewhere).unwrap();
        assert!(place.refused(&[], 1).contains("no directory"));
        fs::create_dir(place.mail()).unwrap();
        for flags in [&[][..], &["--dry-run"], &["--max-delete", "99"]] {
            let said = place.refused(flags, 9);
            assert!(said.contains(&format!("has {count} objects")), "{said}");
            assert!(said.contains("hint: ") && said.contains("--max-delete 100%"), "{said}");
        }
        assert_eq!(place.rows("INBOX").len(), count as usize);
        // All directories are there, and nothing is in them.
        for name in ["cur", "new", "tmp"] {
            fs::create_dir(place.mail().join(name)).unwrap();
        }
        if count > 50 {
            assert!(place.refused(&[], 9).contains("80 of 80"));
        }
        assert_eq!(removed(&place.import(&["--max-delete", "100%"])), u64::from(count));
        // It is back: the messages are as they were.
        fs::remove_dir_all(place.mail()).unwrap();
        fs::rename(&elsewhere, place.mail()).unwrap();
        assert_eq!(new_changed_unchanged(&place.import(&[])).0, u64::from(count));
        // Without any mailbox, and that is meant.
        fs::remove_dir_all(place.mail()).unwrap();
        fs::create_dir(place.mail()).unwrap();
        assert_eq!(removed(&place.import(&["--max-delete", "100%"])), u64::from(count));
    }
}

/// What has no header is stored as it is, named and counted, and verify says how many there are. That is no damage.
#[test]
fn a_message_without_a_header_is_not_reported_as_good_mail() {
    let place = Place::new();
    let mail = place.mail();
    let good = message(1);
    let cut = &good[..good.len() - 5];
    let crypted = [b"CRYPTED\x03\x07\x02", &[7u8; 90][..]].concat();
    let torn = &zstd::encode_all(good.as_slice(), 1).unwrap()[..40];
    for (name, bytes, _) in [
        ("1.good", &good[..], ""),
        ("2.crypted", &crypted, "encrypted by Dovecot's mail_crypt"),
        ("3.torn", torn, "compressed with zstd"),
        ("4.empty", b"", "empty"),
        ("5.binary", &[0; 100], "binary"),
        ("6.text", b"just a text\n\nSubject: no\n", "no header"),
    ] {
        deliver(&mail, &format!("{name}:2,S"), bytes);
    }
    deliver(&mail, &format!("7.cut,S={}:2,S", good.len()), cut);
    deliver(&mail, &format!("8.whole,S={}:2,S", good.len()), &good);
    let done = place.import(&[]);
    let reasons = serde_json::json!({
        "binary": 1, "compressed with zstd": 1, "empty": 1, "encrypted by Dovecot's mail_crypt": 1, "no header": 1,
        "shorter than its name says (S=)": 1,
    });
    assert_eq!(done["no_good_mail"], reasons);
    assert_eq!((new_changed_unchanged(&done), done["state"].as_str()), ((8, 0, 0), Some("complete")));
    let remarks: Vec<(&str, &str)> = done["remarks"]
        .as_array()
        .unwrap()
        .iter()
        .map(|remark| (remark["reason"].as_str().unwrap(), remark["position"].as_str().unwrap()))
        .collect();
    assert_eq!(remarks.len(), 6);
    assert!(remarks.contains(&("no header", "INBOX: 6.text")), "{remarks:?}");
    let summary = json(&["verify", &place.archive(), "--json"]);
    assert_eq!(summary["finding_count"], 0);
    let mut headless = reasons;
    headless.as_object_mut().unwrap().remove("shorter than its name says (S=)");
    assert_eq!(summary["headless"], headless);
    let said = String::from_utf8(run(&["verify", &place.archive()]).stderr).unwrap();
    assert!(said.contains("5 messages have no header (binary 1, compressed with zstd 1, empty 1, "), "{said}");
    // The bytes are as they were, and the warning is there for who asks for silence.
    let other = place.dir.path().join("b.sqlite");
    let quiet = run(&["--quiet", "import", "maildir", mail.to_str().unwrap(), other.to_str().unwrap()]);
    let said = String::from_utf8(quiet.stderr).unwrap();
    assert!(quiet.status.success() && quiet.stdout.is_empty());
    assert_eq!(said.lines().count(), 1, "{said}");
    assert!(said.starts_with("warning: 6 messages are not valid mail, and stored unchanged (binary 1, "), "{said}");
}

/// What looks like mail and is not read makes the run end with 5, each time; the rest is stored, and by-products harm
/// nothing.
#[test]
fn mail_that_is_no_maildir_makes_the_run_partial() {
    let place = Place::new();
    let mail = place.mail();
    deliver(&mail, "1420452000.a.h:2,S", &message(1));
    fs::write(mail.join("dovecot-uidlist"), "3 V1 N2\n").unwrap();
    assert_eq!(place.import(&[])["state"], "complete");
    fs::write(mail.join("sent-2009"), [b"From a@b Mon Jan  5 10:00:00 2015\n", &message(2)[..]].concat()).unwrap();
    for flags in [&[][..], &["--quiet"], &["--dry-run"]] {
        let said = place.refused(flags, 5);
        assert!(said.contains("sent-2009") && said.contains("vandelay import takeout"), "{flags:?}: {said}");
    }
    assert_eq!(place.import(&["--exclude", "^sent-2009$"])["state"], "complete");
    assert_eq!(place.rows("INBOX").len(), 1);
    // Messages that are links whose files are not there are neither gone nor good.
    fs::remove_file(mail.join("sent-2009")).unwrap();
    fs::remove_file(mail.join("cur/1420452000.a.h:2,S")).unwrap();
    std::os::unix::fs::symlink("../dropped", mail.join("cur/1420452000.a.h:2,S")).unwrap();
    assert!(place.refused(&[], 5).contains("leads nowhere"));
    assert_eq!(place.rows("INBOX").len(), 1);
}

/// Links that lead out of the Maildir are read, and that is told, once.
#[test]
fn links_that_lead_out_are_told() {
    let place = Place::new();
    let (cur, store) = (place.mail().join("cur"), place.dir.path().join("store"));
    fs::create_dir(&store).unwrap();
    for number in 1..=3 {
        fs::write(store.join(number.to_string()), message(number)).unwrap();
        std::os::unix::fs::symlink(format!("../../store/{number}"), cur.join(format!("{number}.a:2,S"))).unwrap();
    }
    fs::create_dir(place.mail().join("annex")).unwrap();
    fs::write(place.mail().join("annex/.key"), message(4)).unwrap();
    std::os::unix::fs::symlink("../annex/.key", cur.join("4.a:2,S")).unwrap();
    let arguments = place.arguments(&["--quiet", "--exclude", "^annex"]);
    let said = |arguments: &[String]| {
        let output = run(&arguments.iter().map(String::as_str).collect::<Vec<_>>());
        assert!(output.status.success());
        String::from_utf8(output.stderr).unwrap()
    };
    let warning = "warning: 3 messages are links to files outside of the Maildir; those files are stored\n";
    assert_eq!(said(&arguments), warning);
    assert_eq!(place.rows("INBOX").len(), 4);
    assert_eq!(said(&arguments), "", "nothing is new");
}
