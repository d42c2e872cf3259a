//! An account that archives are exported into and imported from again, and what they are made of.

use super::cyrus::Cyrus;
use super::dav::{self, Dav};
use super::dovecot::{self, Dovecot};
use super::mailboxes::{Account, extracted};
use super::relay::Relay;
use super::{deliver, message, ok, tree, vandelay};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

/// An account on a server.
#[derive(Debug, Clone)]
pub(crate) struct Target {
    /// As the commands call it: `imap`, `caldav`, …
    pub kind: &'static str,
    pub url: String,
    pub user: &'static str,
    pub password: &'static str,
}

/// A run: its summary, and all that it said.
pub(crate) struct Ran {
    pub summary: Value,
    pub said: String,
}

impl Ran {
    /// A number of the summary: `created`, `updated`, …
    pub(crate) fn count(&self, kind: &str, what: &str) -> u64 {
        self.summary["types"][kind][what].as_u64().unwrap_or_default()
    }

    /// The same of all types together.
    pub(crate) fn sum(&self, what: &str) -> u64 {
        let kinds = self.summary["types"].as_object().into_iter().flatten();
        kinds.map(|(kind, _)| self.count(kind, what)).sum()
    }

    /// Objects that the plan creates, updates or removes, of all types.
    pub(crate) fn planned(&self, what: &str) -> u64 {
        let kinds = self.summary["plan"].as_object().into_iter().flatten();
        kinds.filter_map(|(_, step)| step[what].as_u64()).sum()
    }
}

impl Target {
    pub(crate) fn dovecot(dovecot: &Dovecot, kind: &'static str, user: &'static str) -> Target {
        dovecot.home(user);
        let port = if kind == "imap" { dovecot.imap } else { dovecot.sieve };
        Target::at(kind, port, user, dovecot::PASSWORD)
    }

    pub(crate) fn cyrus(cyrus: &Cyrus, kind: &'static str, user: &'static str) -> Target {
        let port = if kind == "imap" { cyrus.imap } else { cyrus.sieve };
        Target::at(kind, port, user, "x")
    }

    pub(crate) fn dav(server: &Dav, kind: &'static str) -> Target {
        Target { kind, url: server.url(), user: dav::USER, password: dav::PASSWORD }
    }

    pub(crate) fn at(kind: &'static str, port: u16, user: &'static str, password: &'static str) -> Target {
        let scheme = match kind {
            "imap" => "imap",
            "managesieve" => "sieve",
            _ => "http",
        };
        Target { kind, url: format!("{scheme}://127.0.0.1:{port}"), user, password }
    }

    /// `vandelay import` or `export` from or to it.
    pub(crate) fn command(&self, what: &str, archive: &Path, flags: &[&str]) -> Command {
        let mut command = vandelay();
        command.args([what, self.kind, "--json", "--allow-cleartext", "--auth-basic", self.user, "--url", &self.url]);
        command.args(flags).arg(archive).env("VANDELAY_PASSWORD", self.password).stdin(Stdio::null());
        command
    }

    /// Runs it. It must end with this code.
    pub(crate) fn run(&self, what: &str, archive: &Path, flags: &[&str], code: i32) -> Ran {
        let output = self.command(what, archive, flags).output().expect("the program starts");
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        let text = String::from_utf8_lossy(&output.stdout);
        assert_eq!(output.status.code(), Some(code), "{what} {} {flags:?}: {said}{text}", self.url);
        assert!(!said.contains("panicked") && !said.contains(dovecot::PASSWORD), "{said}");
        let mut lines = text.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
        let summary = lines.rfind(|line| line["message_type"] == "summary").unwrap_or_default();
        Ran { summary, said }
    }

    /// Exports, with this code as its end.
    pub(crate) fn export(&self, archive: &Path, flags: &[&str], code: i32) -> Ran {
        self.run("export", archive, flags, code)
    }

    /// Imports into a new archive.
    pub(crate) fn import(&self, archive: &Path) {
        let _ = fs::remove_file(archive);
        self.run("import", archive, &[], 0);
        ok(&["verify", "--quiet", archive.to_str().expect("UTF-8")]);
    }

    /// Exports again: nothing is left to do, whatever is asked for.
    pub(crate) fn is_settled(&self, archive: &Path, code: i32) {
        for flags in [&[][..], &["--update"]] {
            let again = self.export(archive, flags, code);
            let done = ["created", "updated", "removed"].map(|what| again.sum(what));
            assert_eq!(done, [0, 0, 0], "{} {flags:?}: {} {}", self.url, again.summary, again.said);
        }
    }
}

/// The mail of an archive.
pub(crate) fn mail_of(archive: &Path) -> Account {
    let into = tempfile::tempdir().expect("a folder");
    let to = into.path().join("out");
    ok(&["--quiet", "extract", archive.to_str().expect("UTF-8"), "mail", "--into", to.to_str().expect("UTF-8")]);
    let mail = to.join("mail");
    extracted(if mail.exists() { &mail } else { &to })
}

/// What an event or a card says, without what servers write as they like: lines whole, in any order.
pub(crate) fn lines_of(bytes: &[u8]) -> BTreeSet<String> {
    const OWN: [&str; 9] =
        ["PRODID", "VERSION", "DTSTAMP", "CREATED", "LAST-MODIFIED", "REV", "CALSCALE", "SEQUENCE", "X-RADICALE-NAME"];
    let text = String::from_utf8_lossy(bytes).replace("\r\n", "\n");
    let whole = text.replace("\n ", "").replace("\n\t", "");
    // Quotes that a parameter does not need.
    let whole = whole.replace('"', "");
    let is_own = |line: &&str| OWN.iter().any(|name| line.split([':', ';']).next() == Some(*name));
    whole.lines().map(str::trim_end).filter(|line| !line.is_empty() && !is_own(line)).map(str::to_owned).collect()
}

/// The events and cards of an archive by their collection: what each says.
pub(crate) fn items_of(archive: &Path) -> BTreeMap<String, BTreeSet<BTreeSet<String>>> {
    let mut all: BTreeMap<String, BTreeSet<BTreeSet<String>>> = BTreeMap::new();
    for (path, bytes) in tree(archive, "latest") {
        let mut parts = path.splitn(3, '/');
        let (Some("calendars" | "contacts"), Some(name), Some(file)) = (parts.next(), parts.next(), parts.next())
        else {
            continue;
        };
        let items = all.entry(name.to_owned()).or_default();
        if file.ends_with(".ics") || file.ends_with(".vcf") {
            items.insert(lines_of(&bytes));
        }
    }
    all
}

/// The scripts of an archive, and which one is active.
pub(crate) fn scripts_of(archive: &Path) -> BTreeMap<String, Vec<u8>> {
    tree(archive, "latest").into_iter().filter(|(path, _)| path.starts_with("sieve/") && path != "sieve/").collect()
}

/// Messages that no server takes as they are, or that are easy to get wrong.
pub(crate) const NUL: &[u8] = b"Message-ID: <nul@x>\r\nSubject: nul\r\n\r\na\0b\r\n";
pub(crate) const EIGHT: &[u8] = b"Message-ID: <eight@x>\r\nSubject: Gr\xfc\xdfe\r\n\r\nbody\r\n";

/// A Maildir of everything that is hard, and an archive of it.
pub(crate) fn archive_of_mail(place: &Path) -> PathBuf {
    let mail = place.join("mail");
    let put = |folder: &str, name: &str, bytes: &[u8]| {
        deliver(&mail.join(folder), name, bytes);
    };
    put("", "1600000001.1.h:2,S", &message(1));
    put("", "1600000002.2.h:2,FRS", &message(2));
    put("", "1600000003.3.h:2,Sab", &message(3));
    put("", "1000000004.nul.h:2,", NUL);
    put("", "1000000005.eight.h:2,S", EIGHT);
    put("", "1000000006.empty.h:2,S", b"");
    let lf: Vec<u8> = message(7).into_iter().filter(|byte| *byte != b'\r').collect();
    put(".Work", "1100000007.lf.h:2,S", &lf);
    put(
        ".Work",
        "1100000008.no.h:2,S",
        b"From: a@x\r\nSubject: no id\r\nDate: Mon, 1 Jan 2024 00:00:00 +0000\r\n\r\none\r\n",
    );
    put(
        ".Work",
        "1100000009.no.h:2,",
        b"From: a@x\r\nSubject: no id 2\r\nDate: Mon, 1 Jan 2024 00:00:00 +0000\r\n\r\ntwo\r\n",
    );
    // One message in two folders, and two messages of one Message-ID.
    put(".Work", "1600000001.1.h:2,F", &message(1));
    put(".Work.Old & done", "1200000010.a.h:2,S", b"Message-ID: <twice@x>\r\nSubject: a\r\n\r\none\r\n");
    put(".Work.Old & done", "1200000011.b.h:2,D", b"Message-ID: <twice@x>\r\nSubject: a\r\n\r\nanother\r\n");
    put(".Work.Old & done.Gr&APYA3w-e", "1200000012.c.h:2,PS", &message(12));
    put(".Sent", "1300000013.d.h:2,S", &message(13));
    // Fields that are hard to read: a Message-ID in two lines, and a date behind which parsers lose their way.
    put(".Sent", "1300000014.e.h:2,S", b"Message-ID: <abc@host\n    ([1.2.3.4]) by b>\nSubject: e\n\nx\n");
    let date = b"From a@x  Tue Jul  3 22:10:33 2001\nDate: 03 Jul 01 4:12:06 PM\nMessage-Id: <pm@x>\nTo: a@x\n\nx\n";
    put(".Sent", "1300000015.f.h:2,S", date);
    put(".Empty", "x", b"");
    fs::remove_file(mail.join(".Empty/cur/x")).expect("a file");
    fs::write(mail.join("dovecot-keywords"), "0 work\n1 $Label1\n").expect("keywords");
    fs::write(mail.join("subscriptions"), "Work\nSent\n").expect("subscriptions");
    let archive = place.join("mail.sqlite");
    ok(&["--quiet", "import", "maildir", mail.to_str().expect("UTF-8"), archive.to_str().expect("UTF-8")]);
    archive
}

/// An event of a file with further lines.
pub(crate) fn event(uid: &str, more: &str) -> String {
    format!(
        "BEGIN:VEVENT\r\nUID:{uid}\r\nDTSTAMP:20260101T000000Z\r\nDTSTART:20260102T100000Z\r\nDTEND:20260102T110000Z\r\nSUMMARY:{uid}\r\n{more}END:VEVENT\r\n"
    )
}

/// Such a meeting invites people where a server does that.
pub(crate) const MEETING: &str =
    "ORGANIZER:mailto:alice@example.org\r\nATTENDEE;PARTSTAT=NEEDS-ACTION:mailto:bob@example.org\r\n";

/// Calendars and cards as a Takeout has them, and an archive of them.
pub(crate) fn archive_of_dates(place: &Path) -> PathBuf {
    let takeout = place.join("Takeout");
    let calendar = |inside: &str| format!("BEGIN:VCALENDAR\r\nVERSION:2.0\r\nPRODID:x\r\n{inside}END:VCALENDAR\r\n");
    let zone = "BEGIN:VTIMEZONE\r\nTZID:Europe/Berlin\r\nBEGIN:STANDARD\r\nDTSTART:19961027T030000\r\nTZOFFSETFROM:+0200\r\nTZOFFSETTO:+0100\r\nRRULE:FREQ=YEARLY;BYDAY=-1SU;BYMONTH=10\r\nEND:STANDARD\r\nBEGIN:DAYLIGHT\r\nDTSTART:19810329T020000\r\nTZOFFSETFROM:+0100\r\nTZOFFSETTO:+0200\r\nRRULE:FREQ=YEARLY;BYDAY=-1SU;BYMONTH=3\r\nEND:DAYLIGHT\r\nEND:VTIMEZONE\r\n";
    let series = "BEGIN:VEVENT\r\nUID:series@x\r\nDTSTAMP:20260101T000000Z\r\nDTSTART;TZID=Europe/Berlin:20260105T090000\r\nDURATION:PT1H\r\nRRULE:FREQ=WEEKLY;COUNT=5\r\nSUMMARY:Every week\r\nEND:VEVENT\r\nBEGIN:VEVENT\r\nUID:series@x\r\nDTSTAMP:20260101T000000Z\r\nRECURRENCE-ID;TZID=Europe/Berlin:20260112T090000\r\nDTSTART;TZID=Europe/Berlin:20260112T100000\r\nDURATION:PT1H\r\nSUMMARY:Every week\\, later\r\nEND:VEVENT\r\n";
    let todo = "BEGIN:VTODO\r\nUID:todo@x\r\nDTSTAMP:20260101T000000Z\r\nSUMMARY:Water the plants\r\nDUE:20260110T100000Z\r\nEND:VTODO\r\n";
    let home = [zone, series, &event("odd id/ä?", "X-ODD;P=\"q\":kept\r\n"), todo].concat();
    let work =
        [event("meeting@x", MEETING), event("long@x", &format!("DESCRIPTION:{}\r\n", "Größe ".repeat(10)))].concat();
    let contacts = "BEGIN:VCARD\r\nVERSION:3.0\r\nUID:ada@x\r\nFN:Ada\r\nN:Lovelace;Ada;;;\r\nEMAIL;TYPE=HOME:ada@x\r\nEND:VCARD\r\nBEGIN:VCARD\r\nVERSION:3.0\r\nUID:bob@x\r\nFN:Bob Größe\r\nN:Größe;Bob;;;\r\nNOTE:a\\, b\r\nX-ODD:kept\r\nEND:VCARD\r\n";
    for (name, text) in [
        ("Calendar/Home.ics", calendar(&home)),
        ("Calendar/Work & Größe.ics", calendar(&work)),
        ("Contacts/All Contacts/All Contacts.vcf", contacts.to_owned()),
    ] {
        let path = takeout.join(name);
        fs::create_dir_all(path.parent().expect("a folder")).expect("a folder");
        fs::write(path, text).expect("a file");
    }
    let archive = place.join("dates.sqlite");
    ok(&["--quiet", "import", "takeout", takeout.to_str().expect("UTF-8"), archive.to_str().expect("UTF-8")]);
    archive
}

/// Starts it and kills it once it has said so many bytes. True if it was not done yet.
pub(crate) fn killed(command: Command, relay: &Relay, bytes: usize) -> bool {
    let mut said = 0;
    killed_when(command, relay, |more| {
        said += more.len();
        said >= bytes
    })
}

/// The same once `is_time` says so of what it has said since the last time.
pub(crate) fn killed_when(mut command: Command, relay: &Relay, mut is_time: impl FnMut(&str) -> bool) -> bool {
    relay.said();
    let mut child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("it starts");
    let is_alive = loop {
        let is_time = is_time(&relay.said());
        if child.try_wait().expect("a child").is_some() {
            break false;
        }
        if is_time {
            break true;
        }
        std::thread::sleep(Duration::from_millis(1));
    };
    child.kill().expect("a child");
    child.wait().expect("a child");
    is_alive
}

/// Imports from a folder.
pub(crate) fn import(what: &str, source: &Path, archive: &Path) {
    let text = |path: &Path| path.to_str().expect("UTF-8").to_owned();
    ok(&["--quiet", "import", what, &text(source), &text(archive)]);
}
