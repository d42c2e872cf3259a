//! What every source owes to a backup, one table for all of them: a run with less, with a part that cannot be read, with
//! a part that is not there, part by part, from another folder, and through a filter. A source that is mirrored loses what
//! is gone, one that only adds loses nothing, and none loses what it could not look at.

use crate::common;
use crate::common::fake_dav::FakeDav;
use crate::common::fake_imap::{FakeImap, USUAL, mail, mailbox};
use crate::common::jmap::{At, Fault, Options, Server, When};
use crate::common::{deliver, jmap_run, mox, tree, vandelay};
use serde_json::json;
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

/// Two parts (folders, files, types) with two items each; `None` for a part that is there and cannot be read.
type Account = BTreeMap<&'static str, Option<BTreeSet<u32>>>;

fn account(parts: &[(&'static str, &[u32])]) -> Account {
    parts.iter().map(|(part, items)| (*part, Some(items.iter().copied().collect()))).collect()
}

fn whole() -> Account {
    account(&[("A", &[1, 2]), ("B", &[1, 2])])
}

/// A source on which a test decides.
trait Bed {
    /// Makes the source hold exactly this.
    fn set(&mut self, account: &Account);

    /// The command that imports it, without the archive.
    fn command(&self) -> Command;

    /// The kinds of objects that each item is.
    fn kinds(&self) -> &'static [&'static str] {
        &["mail"]
    }

    /// True if it only adds.
    fn only_adds(&self) -> bool {
        false
    }

    /// The same in another folder.
    fn moves(&mut self) -> bool {
        false
    }

    /// Flags that leave out part B.
    fn filter(&self) -> Option<&'static [&'static str]> {
        None
    }
}

fn message(part: &str, item: u32) -> Vec<u8> {
    format!("From: a@example.org\r\nSubject: mail-{part}-{item}\r\nMessage-ID: <{part}{item}@example.org>\r\nDate: Mon, 5 Jan 2015 10:00:00 +0000\r\n\r\nx\r\n")
        .into_bytes()
}

/// An old, fixed time: a file that is written anew is the same file.
fn settle(path: &Path) {
    let time = SystemTime::UNIX_EPOCH + Duration::from_secs(1_600_000_000);
    fs::File::options().write(true).open(path).unwrap().set_modified(time).unwrap();
}

fn clear(folder: &Path) {
    let _ = fs::remove_dir_all(folder);
    fs::create_dir_all(folder).unwrap();
}

// --- the sources -----------------------------------------------------------------------------------------------------

struct OnDisk {
    kind: &'static str,
    dir: tempfile::TempDir,
    name: &'static str,
}

impl OnDisk {
    fn new(kind: &'static str) -> OnDisk {
        OnDisk { kind, dir: tempfile::tempdir().unwrap(), name: "one" }
    }

    fn root(&self) -> PathBuf {
        self.dir.path().join(self.name)
    }

    fn maildir(&self, part: &str, items: &BTreeSet<u32>) {
        for item in items {
            settle(&deliver(
                &self.root().join(format!(".{part}")),
                &format!("{item}.{part}.h:2,S"),
                &message(part, *item),
            ));
        }
        deliver(&self.root().join(format!(".{part}")), "9.x.h:2,T", b"Subject: deleted\r\n\r\n");
    }

    fn takeout(&self, part: &str, items: &BTreeSet<u32>) {
        let (mut mbox, mut cards, mut events) = (Vec::new(), String::new(), String::new());
        for item in items {
            mbox.extend(b"From 1@xxx Mon Jan 05 10:00:00 +0000 2015\r\nX-Gmail-Labels: Inbox\r\n");
            mbox.extend(message(part, *item));
            mbox.extend(b"\r\n");
            cards += &format!(
                "BEGIN:VCARD\r\nVERSION:3.0\r\nUID:card-{part}-{item}\r\nFN:card-{part}-{item}\r\nEND:VCARD\r\n"
            );
            events += &format!(
                "BEGIN:VEVENT\r\nUID:event-{part}-{item}\r\nDTSTART:20240101T000000Z\r\nSUMMARY:event-{part}-{item}\r\nEND:VEVENT\r\n"
            );
        }
        fs::write(self.root().join(format!("{part}.mbox")), mbox).unwrap();
        fs::write(self.root().join(format!("{part}.vcf")), cards).unwrap();
        let events = format!("BEGIN:VCALENDAR\r\nVERSION:2.0\r\nX-WR-CALNAME:Home\r\n{events}END:VCALENDAR\r\n");
        fs::write(self.root().join(format!("{part}.ics")), events).unwrap();
    }
}

impl Bed for OnDisk {
    fn set(&mut self, account: &Account) {
        clear(&self.root());
        for (part, items) in account {
            match (items, self.kind) {
                (Some(items), "maildir") => self.maildir(part, items),
                (Some(items), "eml") => {
                    for item in items {
                        fs::write(self.root().join(format!("{part}{item}.eml")), message(part, *item)).unwrap();
                    }
                }
                (None, "eml") => {
                    std::os::unix::fs::symlink("/nowhere", self.root().join(format!("{part}1.eml"))).unwrap()
                }
                (Some(items), _) => self.takeout(part, items),
                // A link to what is not mounted today.
                (None, "maildir") => {
                    std::os::unix::fs::symlink("/nowhere", self.root().join(format!(".{part}"))).unwrap()
                }
                (None, _) => {
                    for ending in ["mbox", "vcf", "ics"] {
                        std::os::unix::fs::symlink("/nowhere", self.root().join(format!("{part}.{ending}"))).unwrap();
                    }
                }
            }
        }
        if self.kind == "maildir" {
            settle(&deliver(&self.root(), "1.inbox.h:2,", b"Subject: inbox\r\n\r\n"));
        }
    }

    fn command(&self) -> Command {
        let mut command = vandelay();
        command.args(["import", self.kind, "--json"]).arg(self.root());
        command
    }

    fn kinds(&self) -> &'static [&'static str] {
        match self.kind {
            "takeout" => &["mail", "card", "event"],
            "ics" => &["event"],
            "vcf" => &["card"],
            _ => &["mail"],
        }
    }

    fn only_adds(&self) -> bool {
        self.kind != "maildir"
    }

    fn moves(&mut self) -> bool {
        self.name = "two";
        ["maildir", "takeout"].contains(&self.kind)
    }

    fn filter(&self) -> Option<&'static [&'static str]> {
        (self.kind == "maildir").then_some(&["--exclude", "^B$"])
    }
}

/// An account of mox: parts are mailboxes. One that cannot be read has records that no schema is known of.
struct OnMox {
    dir: tempfile::TempDir,
    name: &'static str,
}

impl Bed for OnMox {
    fn set(&mut self, account: &Account) {
        let mut mailboxes = vec![mox::mailbox(1, "Inbox")];
        let mut messages = Vec::new();
        for (part, items) in account {
            let id = if *part == "A" { 10 } else { 20 };
            mailboxes.push(mox::mailbox(id, part));
            let version = if items.is_some() { 2 } else { 9 };
            for item in items.clone().unwrap_or_else(|| BTreeSet::from([1, 2])) {
                let message = mox::message(id + i64::from(item), id, &message(part, item));
                messages.push(mox::Message { version, ..message });
            }
        }
        mox::Account::new(mailboxes, messages).write(&self.dir.path().join(self.name).join("data/accounts/alice"));
    }

    fn command(&self) -> Command {
        let mut command = vandelay();
        command.args(["import", "mox", "--json", "--account", "alice"]).arg(self.dir.path().join(self.name));
        command
    }

    fn moves(&mut self) -> bool {
        self.name = "two";
        true
    }

    fn filter(&self) -> Option<&'static [&'static str]> {
        Some(&["--exclude", "^B$"])
    }
}

struct OverImap {
    server: FakeImap,
}

impl Bed for OverImap {
    fn set(&mut self, account: &Account) {
        let mut boxes = vec![mailbox("INBOX", vec![mail(1, b"Subject: inbox\r\n\r\n")])];
        let mut broken = Vec::new();
        for (part, items) in account {
            let items = items.clone().unwrap_or_else(|| {
                broken.push(*part);
                // Something new is in it: else nobody would open it.
                BTreeSet::from([1, 2, 3])
            });
            boxes.push(mailbox(part, items.iter().map(|item| mail(*item, &message(part, *item))).collect()));
        }
        self.server.state().boxes = boxes;
        self.server.hook(move |command| {
            let mut words = command.split(' ');
            let is_open = matches!(words.next(), Some("EXAMINE" | "SELECT"));
            let opened = words.next().filter(|_| is_open).unwrap_or_default();
            let is_it = broken.contains(&opened.trim_matches('"'));
            is_it.then(|| b"$TAG NO [NOPERM] not yours\r\n".to_vec())
        });
    }

    fn command(&self) -> Command {
        let mut command = vandelay();
        let url = format!("imap://127.0.0.1:{}", self.server.port);
        command.args([
            "import",
            "imap",
            "--json",
            "--allow-cleartext",
            "--auth-basic",
            "alice",
            "--max-retries",
            "0",
            "--url",
            &url,
        ]);
        command.env("VANDELAY_PASSWORD", "secret");
        command
    }

    fn filter(&self) -> Option<&'static [&'static str]> {
        Some(&["--exclude", "^B$"])
    }
}

/// A ManageSieve server in clear text: it lists scripts and gives them, but for those that it refuses.
struct OverSieve {
    port: u16,
    scripts: Arc<Mutex<Vec<(String, bool)>>>,
}

impl OverSieve {
    fn new() -> OverSieve {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let sieve = OverSieve { port: listener.local_addr().unwrap().port(), scripts: Arc::default() };
        let scripts = Arc::clone(&sieve.scripts);
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let scripts = scripts.lock().unwrap().clone();
                // A client that hangs up is done.
                let _ = OverSieve::serve(stream, &scripts);
            }
        });
        sieve
    }

    fn serve(mut stream: TcpStream, scripts: &[(String, bool)]) -> std::io::Result<()> {
        let reader = BufReader::new(stream.try_clone()?);
        stream.write_all(b"\"IMPLEMENTATION\" \"test\"\r\n\"SASL\" \"PLAIN\"\r\n\"SIEVE\" \"fileinto\"\r\nOK\r\n")?;
        for line in reader.lines() {
            let line = line?;
            let answer = if line.starts_with("LISTSCRIPTS") {
                scripts.iter().map(|(name, _)| format!("\"{name}\"\r\n")).collect::<String>() + "OK\r\n"
            } else if let Some(name) = line.strip_prefix("GETSCRIPT ") {
                match scripts.iter().find(|(known, _)| name.trim_matches('"') == known) {
                    Some((name, true)) => format!("\"# {name}\"\r\nOK\r\n"),
                    _ => "NO \"not today\"\r\n".to_owned(),
                }
            } else {
                "OK\r\n".to_owned()
            };
            stream.write_all(answer.as_bytes())?;
        }
        Ok(())
    }
}

impl Bed for OverSieve {
    fn set(&mut self, account: &Account) {
        let all = account.iter().flat_map(|(part, items)| {
            let listed = items.clone().unwrap_or_else(|| BTreeSet::from([1, 2]));
            let is_readable = items.is_some();
            listed.into_iter().map(move |item| (format!("mail-{part}-{item}"), is_readable))
        });
        *self.scripts.lock().unwrap() = all.collect();
    }

    fn command(&self) -> Command {
        let mut command = vandelay();
        let url = format!("sieve://127.0.0.1:{}", self.port);
        command.args(["import", "managesieve", "--json", "--allow-cleartext", "--auth-basic", "alice"]);
        command.args(["--max-retries", "0", "--url", &url]).env("VANDELAY_PASSWORD", "secret");
        command
    }
}

/// Part A are messages, part B are cards.
struct OverJmap {
    server: Server,
    mailbox: String,
    book: String,
}

impl OverJmap {
    fn new() -> OverJmap {
        let server = Server::start(Options::default());
        let mailbox = server.seed("A1", "Mailbox", json!({ "name": "INBOX", "role": "inbox" }));
        let book = server.seed("A1", "AddressBook", json!({ "name": "People", "isDefault": true }));
        OverJmap { server, mailbox, book }
    }
}

impl Bed for OverJmap {
    fn set(&mut self, account: &Account) {
        self.server.reset_faults();
        for (part, kind) in [("A", "Email"), ("B", "ContactCard")] {
            let wanted = match account.get(part) {
                Some(Some(items)) => items.clone(),
                Some(None) => {
                    for method in ["Email", "ContactCard"]
                        .map(|kind| [format!("{kind}/get"), format!("{kind}/query"), format!("{kind}/changes")])
                        .concat()
                    {
                        if method.starts_with(kind) {
                            self.server.fault(At::Call(method.leak()), When::Always, Fault::Error("serverFail"));
                        }
                    }
                    continue;
                }
                None => BTreeSet::new(),
            };
            for item in [1, 2] {
                let id = format!("{}{part}{item}", if kind == "Email" { "M" } else { "C" });
                match (self.server.object("A1", kind, &id).is_some(), wanted.contains(&item)) {
                    (true, false) => self.server.remove("A1", kind, &id),
                    (false, true) if kind == "Email" => {
                        let bytes = message(part, item);
                        let blob = self.server.seed_blob("A1", &bytes);
                        self.server.seed("A1", kind, json!({ "id": id, "blobId": blob, "threadId": "T1", "size": bytes.len(),
                            "receivedAt": "2026-02-01T08:00:00Z", "mailboxIds": { &self.mailbox: true }, "keywords": {} }));
                    }
                    (false, true) => {
                        self.server.seed(
                            "A1",
                            kind,
                            json!({ "id": id, "@type": "Card", "version": "1.0", "uid": format!("mail-{part}-{item}"),
                            "name": { "full": "x" }, "addressBookIds": { &self.book: true } }),
                        );
                    }
                    _ => {}
                }
            }
        }
    }

    fn command(&self) -> Command {
        let mut command = jmap_run::command(&self.server, "import");
        command.args(["--max-retries", "0"]);
        command
    }

    fn filter(&self) -> Option<&'static [&'static str]> {
        Some(&["--objects", "mailbox,email"])
    }
}

/// Parts are calendars, or directories.
struct OverDav {
    server: FakeDav,
    kind: &'static str,
}

impl Bed for OverDav {
    fn set(&mut self, account: &Account) {
        self.server.with(|state| {
            state.collections.clear();
            state.broken.clear();
            for (part, items) in account {
                if items.is_none() {
                    state.broken.push((*part).to_owned());
                }
                let items = items.iter().flatten();
                let event = |item: &u32| {
                    let uid = format!("event-{part}-{item}");
                    let bytes = format!("BEGIN:VCALENDAR\r\nVERSION:2.0\r\nPRODID:x\r\nBEGIN:VEVENT\r\nUID:{uid}\r\nDTSTAMP:20240101T000000Z\r\nDTSTART:20240101T000000Z\r\nSUMMARY:{uid}\r\nEND:VEVENT\r\nEND:VCALENDAR\r\n");
                    (format!("{uid}.ics"), bytes.into_bytes())
                };
                state.collections.insert((*part).to_owned(), items.map(event).collect());
            }
        });
    }

    fn command(&self) -> Command {
        let mut command = vandelay();
        let path = if self.kind == "webdav" { "/alice/home/" } else { "" };
        command.args([
            "import",
            self.kind,
            "--json",
            "--allow-cleartext",
            "--auth-basic",
            "alice",
            "--max-retries",
            "0",
        ]);
        command.arg("--url").arg(format!("{}{path}", self.server.url())).env("VANDELAY_PASSWORD", "secret");
        command
    }

    fn kinds(&self) -> &'static [&'static str] {
        &["event"]
    }
}

// --- the table ---------------------------------------------------------------------------------------------------------

/// How often each item stands in the current state.
fn stored(archive: &Path) -> BTreeMap<String, usize> {
    let mut found = BTreeMap::new();
    for (path, bytes) in tree(archive, "latest") {
        let is_object = path.contains("/cur/")
            || ["calendars/", "contacts/", "sieve/", "files/"].iter().any(|root| path.starts_with(root));
        let text = String::from_utf8_lossy(&bytes);
        let words = text.split(|c: char| !c.is_ascii_alphanumeric() && c != '-');
        let label = words.into_iter().find(|word| {
            ["mail-", "card-", "event-"].iter().any(|kind| word.starts_with(kind)) && word.matches('-').count() == 2
        });
        if let Some(label) = label.filter(|_| is_object && !path.ends_with('/')) {
            *found.entry(label.to_owned()).or_default() += 1;
        }
    }
    found
}

/// What a bed's archive must hold after all that happened.
struct Run<'a> {
    bed: &'a mut dyn Bed,
    name: &'static str,
    archive: PathBuf,
    expected: Account,
}

impl Run<'_> {
    /// Makes the source hold this, imports it, and looks at what the archive holds then.
    fn import(&mut self, what: &str, account: &Account, flags: &[&str]) -> serde_json::Value {
        self.bed.set(account);
        let is_hidden = |part: &str| !flags.is_empty() && part == "B";
        let adds = self.bed.only_adds();
        for part in ["A", "B"].into_iter().filter(|part| !is_hidden(part)) {
            match account.get(part) {
                Some(Some(items)) if adds => {
                    self.expected.entry(part).or_insert(Some(BTreeSet::new())).as_mut().unwrap().extend(items)
                }
                Some(Some(items)) => drop(self.expected.insert(part, Some(items.clone()))),
                Some(None) => {}
                None if adds => {}
                None => drop(self.expected.remove(part)),
            }
        }
        let failing = account.values().any(Option::is_none);
        let output = self.bed.command().args(flags).arg(&self.archive).output().unwrap();
        let said = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        assert_eq!(output.status.code(), Some(if failing { 5 } else { 0 }), "{}: {what}: {said}", self.name);
        let items = self.expected.iter().flat_map(|(part, items)| items.iter().flatten().map(move |item| (part, item)));
        let labels = items
            .flat_map(|(part, item)| self.bed.kinds().iter().map(move |kind| (format!("{kind}-{part}-{item}"), 1)));
        assert_eq!(stored(&self.archive), labels.collect(), "{}: {what}: {said}", self.name);
        let summary = String::from_utf8_lossy(&output.stdout);
        let summary = summary.lines().find(|line| line.contains("\"summary\"")).unwrap_or_else(|| panic!("{said}"));
        let summary: serde_json::Value = serde_json::from_str(summary).unwrap();
        if adds {
            assert_eq!(
                summary["types"].as_object().unwrap().values().filter(|one| one["removed"] != 0).count(),
                0,
                "{said}"
            );
        }
        summary
    }
}

fn every_promise(name: &'static str, bed: &mut dyn Bed) {
    let dir = tempfile::tempdir().unwrap();
    let archive = dir.path().join("a.sqlite");
    let mut run = Run { bed, name, archive: archive.clone(), expected: Account::new() };
    run.import("all of it", &whole(), &[]);
    let again = run.import("the same again", &whole(), &[]);
    for (kind, account) in again["types"].as_object().unwrap() {
        let stored = &account;
        assert!(stored["new"] == 0 && stored["changed"] == 0, "{name}: {kind} is as it was: {account}");
    }
    run.import("less", &account(&[("A", &[1]), ("B", &[1, 2])]), &[]);
    run.import("all of it again", &whole(), &[]);
    let mut broken = whole();
    broken.insert("B", None);
    run.import("a part that cannot be read", &broken, &[]);
    broken.insert("A", Some(BTreeSet::from([2])));
    run.import("less, and a part that cannot be read", &broken, &[]);
    run.import("all of it once more", &whole(), &[]);
    run.import("a part that is not there", &account(&[("A", &[1, 2])]), &[]);
    run.import("the other part alone", &account(&[("B", &[1, 2])]), &[]);
    run.import("all of it in the end", &whole(), &[]);
    if let Some(flags) = run.bed.filter() {
        if flags[0] == "--exclude" {
            let said = |flags: &[&str]| {
                let output = run.bed.command().args(flags).arg(&archive).output().unwrap();
                assert_eq!(output.status.code(), Some(1), "{name}: {flags:?} takes nothing");
                String::from_utf8(output.stderr).unwrap()
            };
            // Whatever flag takes nothing: one error, which names what there is.
            for flags in [["--folder", "Nowhere"], ["--include", "^Nowhere$"], ["--exclude", "."]] {
                let said = said(&flags);
                assert!(said.contains("error: ") && said.contains("hint: folders: "), "{name}: {said}");
            }
        }
        run.import("through a filter", &whole(), flags);
        run.import("what a filter hides is gone", &account(&[("A", &[2])]), flags);
        run.import("all of it without the filter", &whole(), &[]);
    }
    if run.bed.moves() {
        run.bed.set(&whole());
        let elsewhere = |flags: &[&str]| run.bed.command().args(flags).arg(&archive).output().unwrap().status.code();
        assert_eq!(elsewhere(&[]), Some(4), "{name}: another folder is another source");
        assert_eq!(elsewhere(&["--allow-source-change"]), Some(0), "{name}");
        let found = stored(&archive);
        assert_eq!(found.len(), 4 * run.bed.kinds().len(), "{name}: {found:?}");
        if run.bed.only_adds() {
            assert!(found.values().all(|count| *count == 1), "{name}: {found:?}");
            run.import("less, from the other folder", &account(&[("A", &[2])]), &["--allow-source-change"]);
        }
    }
    common::ok(&["verify", "--quiet", archive.to_str().unwrap()]);
    common::mailbox_notes_are_true(&archive);
}

#[test]
fn maildir_keeps_every_promise() {
    every_promise("maildir", &mut OnDisk::new("maildir"));
}

#[test]
fn takeout_keeps_every_promise() {
    every_promise("takeout", &mut OnDisk::new("takeout"));
}

#[test]
fn mox_keeps_every_promise() {
    every_promise("mox", &mut OnMox { dir: tempfile::tempdir().unwrap(), name: "one" });
}

#[test]
fn files_named_one_by_one_keep_every_promise() {
    for kind in ["mbox", "eml", "ics", "vcf"] {
        every_promise(kind, &mut OnDisk::new(kind));
    }
}

#[test]
fn imap_keeps_every_promise() {
    every_promise("imap", &mut OverImap { server: FakeImap::start(USUAL, Vec::new()) });
}

#[test]
fn managesieve_keeps_every_promise() {
    every_promise("managesieve", &mut OverSieve::new());
}

#[test]
fn jmap_keeps_every_promise() {
    every_promise("jmap", &mut OverJmap::new());
}

#[test]
fn caldav_keeps_every_promise() {
    every_promise("caldav", &mut OverDav { server: FakeDav::start(), kind: "caldav" });
}

#[test]
fn webdav_keeps_every_promise() {
    every_promise("webdav", &mut OverDav { server: FakeDav::start(), kind: "webdav" });
}
