//! What `import imap` stores is what the server has, byte for byte; and a second opinion: mbsync pulls the same account.
//!
//! Dovecot changes what is appended, and says so to everybody: a line ends with CRLF, a NUL becomes 0x80. mbsync changes
//! more: see `pulled_by_mbsync` and `as_mbsync_keeps`. So three things are compared with what is extracted from the
//! archive: what was appended, what stands on the wire, and what mbsync has made of that.

use crate::common::account::{done, text};
use crate::common::dovecot::{Dovecot, PASSWORD};
use crate::common::imap::Imap;
use crate::common::mailboxes::*;
use crate::common::*;
use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, UNIX_EPOCH};
use unicode_normalization::UnicodeNormalization;

/// Dates are not cached, because the cache has them without a sign: to the second client, 1960 would be 2096.
const SETTINGS: &str = "ssl = no
mail_fsync = never
mail_never_cache_fields = date.received
";

/// Nested, with spaces, beyond ASCII (one decomposed), with letters that mean something to IMAP, to a shell, to a tree
/// of files; below one that holds no mail (`[Gmail]`, `.x`). What Dovecot refuses is not here: `cur`, `new`, `tmp` and
/// names that begin with `~`.
const FOLDERS: [&str; 31] = [
    "INBOX",
    "INBOX/sub",
    "INBOX/INBOX",
    "inbox2",
    "Work",
    "Work/Old stuff",
    "Work/Old stuff/2024",
    "Work/.dotted",
    "Entwürfe",
    "Réponses/日本語",
    "cafe\u{301}",
    "Tom & Jerry",
    "R&D&",
    ".hidden",
    ".x/y",
    "a.b",
    "-rf",
    "trailing.",
    "trailing ",
    " lead",
    "per%cent",
    "per%41",
    "%3A",
    "a:b",
    "quo\"te",
    "back\\slash",
    "star*",
    "plus+",
    "[Gmail]/All Mail",
    "📬 post",
    "Empty",
];

/// The last one has no message.
const EMPTY: &str = "Empty";

/// Filled by files, as Dovecot takes no date of the future.
const FUTURE: &str = "Future";

const DATES: [&str; 9] = [
    "17-Jul-1996 02:44:25 -0700",
    "29-Feb-2024 23:59:59 -0330",
    "01-Jan-2000 00:00:00 +1400",
    "01-Jan-1960 12:00:00 +0000",
    "31-Dec-1969 23:59:58 +0000",
    "14-Dec-1901 01:00:00 +0000",
    "01-Jan-1970 00:00:00 +0000",
    "01-Jan-1970 00:00:01 +0000",
    "25-Oct-2015 02:30:00 +0200",
];

const KEYWORDS: [&str; 5] = ["", "work", "$Label1 NonJunk", "$Forwarded", "$Forwarded a+b WORK"];

/// The flags of message `number`: every set of the five of IMAP, with keywords.
fn flags(number: usize) -> String {
    let system = ["\\Seen", "\\Answered", "\\Flagged", "\\Draft", "\\Deleted"];
    let set = system.iter().enumerate().filter(|(bit, _)| number >> bit & 1 == 1).map(|(_, flag)| *flag);
    set.chain(KEYWORDS[number % KEYWORDS.len()].split(' ').filter(|word| !word.is_empty()))
        .collect::<Vec<_>>()
        .join(" ")
}

/// Real messages, made ones with both line ends, and a large one.
fn messages() -> Vec<Vec<u8>> {
    let corpora = corpora::corpora("mail-edge");
    let mut messages: Vec<Vec<u8>> = corpora.iter().flat_map(corpora::Corpus::files).map(|(_, bytes)| bytes).collect();
    for number in 0..200 {
        let bytes = message(number);
        messages.push(if number % 2 == 0 { bytes } else { bytes.into_iter().filter(|byte| *byte != b'\r').collect() });
    }
    let mut large = message(1000);
    (0..50_000).for_each(|number| large.extend(filler(number)));
    messages.push(large);
    messages.push(b"X-TUID: abcdefghijkl\r\nSubject: one of mbsync's\r\n\r\nX-TUID: stays\r\n".to_vec());
    messages.push(b"Subject: a header without end\r\n".to_vec());
    messages.push(b"Subject: a lone CR\r\n\r\none\rtwo\r\r\nthree".to_vec());
    messages
}

/// What Dovecot makes of an appended message when it hands it out.
fn as_dovecot_keeps(bytes: &[u8]) -> Vec<u8> {
    let mut kept = Vec::with_capacity(bytes.len() + bytes.len() / 40);
    for (at, &byte) in bytes.iter().enumerate() {
        match byte {
            b'\r' if matches!(bytes[at + 1..], [] | [b'\n', ..]) => {}
            b'\n' if kept.last() == Some(&b'\r') => kept.push(b'\n'),
            b'\n' => kept.extend(b"\r\n"),
            0 => kept.push(0x80),
            byte => kept.push(byte),
        }
    }
    kept
}

/// A server, and what was put on it.
struct Place {
    dovecot: Dovecot,
    dir: tempfile::TempDir,
    /// The mailboxes under the names that they were made with: `sent` has them in NFC, as a tree does.
    names: Vec<String>,
    sent: Account,
    number: usize,
    began: i64,
    /// How many messages Dovecot has to hand out just as they were sent.
    identical: usize,
}

impl Place {
    fn new() -> Option<Place> {
        if !has("mbsync") {
            return None;
        }
        let dovecot = Dovecot::start(SETTINGS)?;
        dovecot.home("alice");
        let dir = tempfile::tempdir().expect("a directory");
        fs::create_dir(dir.path().join("Maildir")).expect("a directory");
        Some(Place { dovecot, dir, names: Vec::new(), sent: Account::new(), number: 0, began: now(), identical: 0 })
    }

    fn writer(&self) -> Imap {
        Imap::login(self.dovecot.imap, "alice", PASSWORD)
    }

    fn create(&mut self, names: &[&str]) {
        let mut writer = self.writer();
        for name in names {
            if *name != "INBOX" {
                writer.ok(&format!("CREATE \"{}\"", on_command_line(name)));
            }
            self.names.push((*name).to_owned());
            self.sent.insert(name.nfc().collect(), Vec::new());
        }
    }

    /// Appends these messages to these mailboxes in turn. What the server refuses (a message of no bytes) is not sent.
    fn append(&mut self, names: &[&str], messages: &[Vec<u8>]) {
        let mut writer = self.writer();
        for (message, name) in messages.iter().zip(names.iter().cycle()) {
            let (flags, date) = (flags(self.number), DATES[self.number % DATES.len()]);
            self.number += 1;
            let (at, extra) = (on_command_line(name), format!("({flags}) \"{date}\" "));
            if !writer.append(&at, &extra, message, false) && !writer.append(&at, &extra, message, true) {
                println!("refused: {} bytes", message.len());
                continue;
            }
            let flags = flags.split_whitespace().map(str::to_lowercase).collect();
            let sent = Message { bytes: as_dovecot_keeps(message), flags, date: Some(seconds(date)) };
            self.identical += usize::from(sent.bytes == *message);
            let name: String = name.nfc().collect();
            self.sent.get_mut(&name).expect("a mailbox").push(sent);
        }
    }

    /// Puts files with dates of the future into a mailbox.
    fn deliver_future(&mut self) {
        self.create(&[FUTURE]);
        let folder = self.dovecot.home("alice").join("Maildir").join(FUTURE);
        for (number, date) in [0x7FFF_FFFF, 0x8000_0000, 2_524_608_000, 0xFFFF_FFFF, 0x1_0000_0064, 13_569_465_600]
            .into_iter()
            .enumerate()
        {
            let bytes = message(2000 + number as u32);
            let path = deliver(&folder, &format!("{number}.M1P1.host:2,S"), &bytes);
            let file = fs::File::options().write(true).open(&path).expect("a file");
            file.set_modified(UNIX_EPOCH + Duration::from_secs(date)).expect("a date");
            self.dovecot.give(&path);
            let flags = BTreeSet::from(["\\seen".to_owned()]);
            let sent = Message { bytes, flags, date: Some(date.cast_signed()) };
            self.sent.get_mut(FUTURE).expect("a mailbox").push(sent);
        }
    }

    fn archive(&self) -> PathBuf {
        self.dir.path().join("alice.sqlite")
    }

    /// Imports, and gives what `extract` makes of it in the directory `into`.
    fn import(&self, connections: &str, into: &str) -> Account {
        let mut command = vandelay();
        command.args(["import", "imap", "--allow-cleartext", "--include-deleted", "--auth-basic", "alice"]);
        command.args(["--imap-connections", connections, "--url", &format!("imap://127.0.0.1:{}", self.dovecot.imap)]);
        let said = done(command.arg(self.archive()).env("VANDELAY_PASSWORD", PASSWORD), "import imap");
        println!("{said}");
        ok(&["verify", "--quiet", text(&self.archive())]);
        let into = self.dir.path().join(into);
        ok(&["extract", "--quiet", "--into", text(&into), text(&self.archive()), "mail"]);
        extracted(&into.join("mail"))
    }

    /// Lets mbsync pull all, or what is new.
    fn mbsync(&self) -> Account {
        let config = self.dir.path().join("mbsyncrc");
        fs::write(self.dir.path().join("password"), PASSWORD).expect("a file");
        fs::write(&config, configuration(self.dir.path(), self.dovecot.imap)).expect("a file");
        let said = done(Command::new("mbsync").arg("--quiet").arg("--config").arg(&config).arg("all"), "mbsync");
        println!("{said}");
        pulled_by_mbsync(&self.dir.path().join("Maildir"), self.began)
    }

    /// What was appended, with the mailboxes above it that hold nothing.
    fn expected(&self) -> Account {
        let mut expected = self.sent.clone();
        for name in self.sent.keys() {
            for (at, _) in name.match_indices('/') {
                expected.entry(name[..at].to_owned()).or_default();
            }
        }
        expected
    }
}

fn configuration(at: &Path, port: u16) -> String {
    let at = at.display();
    format!(
        "FSync no

IMAPAccount alice
Host 127.0.0.1
Port {port}
User alice
PassCmd \"cat {at}/password\"
SSLType None
AuthMechs PLAIN

IMAPStore remote
Account alice

MaildirStore local
Path {at}/Maildir/
Inbox {at}/Maildir/INBOX
SubFolders Verbatim

Channel all
Far :remote:
Near :local:
Patterns *
Create Near
Sync Pull
CopyArrivalDate yes
SyncState *
"
    )
}

/// Fails with the first differences, if there are any.
fn must_be_equal(what: &str, left: &Account, right: &Account) {
    let found = differences(left, right);
    assert!(found.is_empty(), "{what}: {} differences\n{}", found.len(), found[..found.len().min(20)].join("\n"));
}

/// Ours, what was appended, what is on the wire, and mbsync's.
fn compare(place: &Place, ours: &Account, theirs: &Account) {
    let wire = on_the_wire(&mut place.writer(), &place.names);
    must_be_equal("what was appended, and the wire", &place.sent, &wire);
    must_be_equal("the archive, and what was appended", ours, &place.expected());
    let mut theirs = theirs.clone();
    // mbsync makes no mailbox of what only holds others.
    for name in place.expected().into_keys() {
        theirs.entry(name).or_default();
    }
    must_be_equal("the archive, and mbsync", &as_mbsync_keeps(ours), &theirs);
}

#[test]
fn the_archive_is_the_account_and_mbsync_agrees() {
    let Some(mut place) = Place::new() else { return };
    place.create(&FOLDERS);
    let filled: Vec<&str> = FOLDERS.into_iter().filter(|name| *name != EMPTY).collect();
    place.append(&filled, &messages());
    place.deliver_future();
    let sent: usize = place.sent.values().map(Vec::len).sum();
    assert!(sent > 250 && place.identical > 100, "{sent} messages, {} as they were", place.identical);
    compare(&place, &place.import("4", "first"), &place.mbsync());

    // Again, with new messages, a new mailbox, and other flags.
    place.create(&["Later/on"]);
    place.append(&["Later/on", "INBOX", EMPTY], &(3000..3030).map(message).collect::<Vec<_>>());
    let mut writer = place.writer();
    writer.ok("SELECT INBOX");
    writer.ok("UID STORE 1:* FLAGS (\\Flagged new-word)");
    for message in place.sent.get_mut("INBOX").expect("INBOX") {
        message.flags = BTreeSet::from(["\\flagged".to_owned(), "new-word".to_owned()]);
    }
    compare(&place, &place.import("1", "second"), &place.mbsync());
    mailbox_notes_are_true(&place.archive());
}

/// An account of two mailboxes.
fn sample() -> Account {
    let message = |number: u32, flags: &[&str]| Message {
        bytes: message(number),
        flags: flags.iter().map(|flag| (*flag).to_owned()).collect(),
        date: Some(1_700_000_000 + i64::from(number)),
    };
    Account::from([
        ("INBOX".to_owned(), vec![message(1, &["\\seen"]), message(2, &[]), message(2, &[])]),
        ("Work/Old".to_owned(), vec![message(3, &["\\flagged", "work"])]),
        ("Empty".to_owned(), Vec::new()),
    ])
}

#[test]
fn a_planted_difference_is_found() {
    assert_eq!(differences(&sample(), &sample()), [] as [String; 0]);
    type Plant = fn(&mut Account);
    let plants: [(&str, Plant); 8] = [
        ("a byte", |account| account.get_mut("INBOX").unwrap()[0].bytes[30] ^= 1),
        ("the last byte", |account| account.get_mut("INBOX").unwrap()[1].bytes.truncate(20)),
        ("a flag", |account| account.get_mut("INBOX").unwrap()[0].flags.clear()),
        ("a keyword", |account| assert!(account.get_mut("Work/Old").unwrap()[0].flags.remove("work"))),
        ("a second", |account| account.get_mut("Work/Old").unwrap()[0].date = Some(1_700_000_004)),
        ("one of two copies", |account| drop(account.get_mut("INBOX").unwrap().pop())),
        ("another mailbox", |account| {
            let message = account.get_mut("INBOX").unwrap().pop().unwrap();
            account.get_mut("Empty").unwrap().push(message);
        }),
        ("an empty mailbox", |account| assert!(account.remove("Empty").is_some())),
    ];
    for (what, plant) in plants {
        let mut other = sample();
        plant(&mut other);
        assert_ne!(differences(&sample(), &other), [] as [String; 0], "{what}");
        assert_ne!(differences(&other, &sample()), [] as [String; 0], "{what}");
    }
}

#[test]
fn a_difference_on_disk_is_found() {
    let dir = tempfile::tempdir().expect("a directory");
    let write = |at: &str, bytes: &[u8]| deliver(&dir.path().join(at), "1.1.host:2,S", bytes);
    let path = write("ours/INBOX", b"Subject: a\r\n\r\nbody\r\n");
    let theirs = write("theirs/INBOX", b"Subject: a\nX-TUID: abcdefghijkl\n\nbody\n");
    let past = UNIX_EPOCH + Duration::from_secs(1_000_000_000);
    let date = |path: &Path, date| {
        fs::File::options().write(true).open(path).expect("a file").set_modified(date).expect("a date");
    };
    let compared = || {
        let ours = extracted(&dir.path().join("ours"));
        differences(&as_mbsync_keeps(&ours), &pulled_by_mbsync(&dir.path().join("theirs"), now())).len()
    };
    [&path, &theirs].into_iter().for_each(|path| date(path, past));
    assert_eq!(compared(), 0);
    date(&theirs, past + Duration::from_secs(1));
    assert_eq!(compared(), 2);
    fs::write(&theirs, b"Subject: a\nX-TUID: abcdefghijkl\n\nBody\n").expect("a file");
    date(&theirs, past);
    assert_eq!(compared(), 2);
    fs::remove_file(&theirs).expect("a file");
    assert_eq!(compared(), 1);
    deliver(&dir.path().join("theirs/Other"), "1.1.host:2,S", b"");
    assert_eq!(compared(), 2);
}
