//! Days of `vandelay run` over changing accounts on real servers, with faults: each snapshot that retention leaves shows what
//! the servers had on its day. 8 days, or 30 with VANDELAY_SOAK; VANDELAY_SEED repeats a walk.

use crate::common::cyrus::Cyrus;
use crate::common::dav::{Dav, Held, PASSWORD, USER};
use crate::common::dav_account::{card, event};
use crate::common::dovecot::{Dovecot, PASSWORD as DOVECOT_PASSWORD};
use crate::common::imap::Imap;
use crate::common::servers::free_port;
use crate::common::*;
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;
use vandelay::archive::Reader;

const FOLDERS: [&str; 2] = ["INBOX", "Work"];

/// What a server of mail has: by folder the numbers of its messages, true if seen.
type Mail = BTreeMap<&'static str, BTreeMap<u32, bool>>;

/// A server of mail as the test changes it.
struct Mailboxes {
    port: u16,
    password: &'static str,
    mail: Mail,
    next: u32,
}

impl Mailboxes {
    fn new(port: u16, password: &'static str) -> Mailboxes {
        let mut imap = Imap::login(port, USER, password);
        imap.ok("CREATE Work");
        let mut mailboxes = Mailboxes { port, password, mail: Mail::new(), next: 0 };
        (0..20).for_each(|number| mailboxes.append(&mut imap, FOLDERS[number % 2]));
        mailboxes
    }

    fn append(&mut self, imap: &mut Imap, folder: &'static str) {
        assert!(imap.append(folder, "", &message(self.next), false));
        self.mail.entry(folder).or_default().insert(self.next, false);
        self.next += 1;
    }

    /// A day of a person: some mail comes, some is read, some goes.
    fn change(&mut self, dice: &mut Dice) {
        let mut imap = Imap::login(self.port, USER, self.password);
        for folder in FOLDERS {
            (0..dice.below(3)).for_each(|_| self.append(&mut imap, folder));
            imap.ok(&format!("SELECT {folder}"));
            for _ in 0..dice.below(3) {
                let known: Vec<u32> = self.mail[folder].keys().copied().collect();
                let Some(number) = known.get(dice.below(known.len().max(1))).copied() else { continue };
                let found = imap.ok(&format!("UID SEARCH HEADER Message-ID <{number}@example.org>"));
                let uid = found.lines().find_map(|line| line.strip_prefix("* SEARCH ")).expect("one").trim().to_owned();
                let is_deleted = dice.below(3) == 0;
                let flag = if is_deleted { "\\Deleted" } else { "\\Seen" };
                imap.ok(&format!("UID STORE {uid} +FLAGS ({flag})"));
                let messages = self.mail.get_mut(folder).expect("a folder");
                if is_deleted {
                    imap.ok("EXPUNGE");
                    messages.remove(&number);
                } else {
                    messages.insert(number, true);
                }
            }
        }
    }
}

/// Changes events and cards.
fn change_collections(server: &Dav, day: usize, dice: &mut Dice) {
    for (kind, home, ending) in [("caldav", "walk/", ".ics"), ("carddav", "people/", ".vcf")] {
        let base = if kind == "caldav" { server.homes.calendars } else { server.homes.contacts };
        let bytes = |uid: &str, text: &str| if kind == "caldav" { event(uid, text) } else { card(uid, text) };
        for number in 0..2 {
            let uid = format!("{kind}-{day}-{number}");
            assert!(server.put(&format!("{base}{home}{uid}{ending}"), &bytes(&uid, &format!("Day {day}"))));
        }
        let held = server.held(kind);
        let items: Vec<&String> = held.iter().flat_map(|one| one.items.keys()).collect();
        let path = items[dice.below(items.len())].clone();
        if dice.below(2) == 0 && items.len() > 6 {
            server.delete(&path);
        } else {
            let uid = path.rsplit('/').next().expect("a name").trim_end_matches(ending).to_owned();
            assert!(server.put(&path, &bytes(&uid, &format!("Changed on day {day}"))));
        }
    }
}

/// What an account had when a run saw all of it.
struct Seen {
    mail: Mail,
    collections: BTreeSet<Vec<u8>>,
}

/// An account of the configuration, with its servers.
struct Account {
    name: &'static str,
    mailboxes: Mailboxes,
    dav: Dav,
    sieve: Option<u16>,
    seen: BTreeMap<i64, Seen>,
}

impl Account {
    fn table(&self, archive: &Path, dav_port: u16) -> String {
        let sieve = self
            .sieve
            .map_or(String::new(), |port| format!("managesieve = {{ url = \"sieve://127.0.0.1:{port}\" }}\n"));
        let dav = format!(
            "{{ url = \"http://127.0.0.1:{dav_port}\", password-command = \"printf %s '{PASSWORD}'\", max-retries = 0 }}"
        );
        format!(
            "[account.{}]\narchive = {archive:?}\nauth-basic = \"{USER}\"\npassword-file = \"{}.password\"\nallow-cleartext = true\nimap = {{ url = \"imap://127.0.0.1:{}\" }}\n{sieve}caldav = {dav}\ncarddav = {dav}\n",
            self.name, self.name, self.mailboxes.port
        )
    }

    /// Notes what a good run must have stored.
    fn note(&mut self, archive: &Path) {
        let held = ["caldav", "carddav"].map(|kind| self.dav.held(kind));
        let items = held.into_iter().flatten().flat_map(|Held { items, .. }| items.into_values());
        let newest = snapshots(archive).last().expect("a snapshot").0;
        self.seen.insert(newest, Seen { mail: self.mailboxes.mail.clone(), collections: items.collect() });
    }
}

/// Number and state of each snapshot.
fn snapshots(archive: &Path) -> Vec<(i64, String)> {
    let all = Reader::open(archive).and_then(|reader| reader.snapshots()).expect("snapshots");
    all.into_iter().map(|snapshot| (snapshot.id, snapshot.state)).collect()
}

/// A snapshot of an archive shows what was seen.
fn shows(archive: &Path, snapshot: i64, seen: &Seen, when: &str) {
    let files = tree(archive, &snapshot.to_string());
    let mut mail = Mail::new();
    let numbers: BTreeMap<Vec<u8>, u32> = (0..2_000).map(|number| (message(number), number)).collect();
    for folder in FOLDERS {
        let messages = mail.entry(folder).or_default();
        for (path, bytes) in &files {
            let Some(name) = path.strip_prefix(&format!("mail/{folder}/cur/")).filter(|name| !name.is_empty()) else {
                continue;
            };
            let number = numbers.get(bytes).unwrap_or_else(|| panic!("{when}: {path} has other bytes"));
            messages.insert(*number, name.rsplit(":2,").next().is_some_and(|flags| flags.contains('S')));
        }
    }
    assert_eq!(mail, seen.mail, "{when}");
    let is_item = |path: &str| {
        (path.starts_with("calendars/") && path.ends_with(".ics") && !path.contains("/merged"))
            || (path.starts_with("contacts/") && path.ends_with(".vcf") && !path.contains("/merged"))
    };
    let items: BTreeSet<Vec<u8>> =
        files.iter().filter(|(path, _)| is_item(path)).map(|(_, bytes)| bytes.clone()).collect();
    let missing: Vec<String> =
        seen.collections.difference(&items).map(|bytes| String::from_utf8_lossy(bytes).into_owned()).collect();
    assert!(missing.is_empty(), "{when}: {missing:?} is not among {} items", items.len());
}

/// What goes wrong on a day.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fault {
    None,
    Killed,
    Interrupted,
    /// Nobody listens where the calendars are.
    NoCalendars,
    /// The server is started anew while the run goes on.
    Restarted,
}

struct Days {
    place: tempfile::TempDir,
    accounts: Vec<Account>,
    dice: Dice,
    _dovecot: Dovecot,
}

impl Days {
    fn at(&self, name: &str) -> PathBuf {
        self.place.path().join(name)
    }

    fn archive(&self, account: &str) -> PathBuf {
        self.at(&format!("{account}.sqlite"))
    }

    fn configure(&self, fault: Fault) {
        let nobody = free_port();
        let head = "[retention]\nkeep-daily = 5\nkeep-weekly = 2\n[copies]\nto = \"copies/{account}-%Y-%m-%d.sqlite\"\nkeep-daily = 3\n[report]\nmetrics-file = \"m.prom\"\n[defaults]\ntimeout = 20\nmax-delete = \"100%\"\n";
        let table = |account: &Account| {
            let port = if fault == Fault::NoCalendars { nobody } else { account.dav.port };
            account.table(&self.archive(account.name), port)
        };
        let tables: String = self.accounts.iter().map(table).collect();
        fs::write(self.at("config.toml"), format!("{head}{tables}")).expect("a configuration");
    }

    /// Runs on a day; gives the exit code, or none of a run that was killed.
    fn run(&mut self, day: usize, fault: Fault) -> Option<i32> {
        self.configure(fault);
        let date = format!("2026-{:02}-{:02} 03:17:00", 3 + day / 28, 1 + day % 28);
        // Not with faketime(1), which a signal would meet instead of the program.
        let mut command = vandelay();
        command
            .env("LD_PRELOAD", faketime_library())
            .env("FAKETIME", format!("@{date}"))
            .env("DONT_FAKE_MONOTONIC", "1");
        command.args(["run", "--json", "--config"]).arg(self.at("config.toml"));
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("it starts");
        let id = child.id().to_string();
        let pause = Duration::from_millis(self.dice.below(400) as u64);
        match fault {
            Fault::Killed | Fault::Interrupted => {
                std::thread::sleep(pause);
                let signal = if fault == Fault::Killed { "-KILL" } else { "-INT" };
                let _ = Command::new("kill").args([signal, &id]).stderr(Stdio::null()).status();
            }
            Fault::Restarted => {
                std::thread::sleep(pause);
                self.accounts.iter_mut().for_each(|account| account.dav.restart());
            }
            Fault::None | Fault::NoCalendars => {}
        }
        let mut said = Vec::new();
        std::io::Read::read_to_end(child.stdout.as_mut().expect("a pipe"), &mut said).expect("its output");
        let output = child.wait_with_output().expect("it ends");
        let code = output.status.code();
        let said = String::from_utf8_lossy(&said).into_owned();
        if fault == Fault::None {
            assert_eq!(code, Some(0), "day {day}: {said}{}", String::from_utf8_lossy(&output.stderr));
        }
        let ok = |account: &str| {
            let begin = format!("{{\"message_type\":\"account\",\"account\":\"{account}\"");
            said.lines().any(|line| line.starts_with(&begin) && line.contains("\"state\":\"ok\""))
        };
        for account in self.accounts.iter_mut().filter(|account| ok(account.name)) {
            let archive = self.place.path().join(format!("{}.sqlite", account.name));
            account.note(&archive);
        }
        if fault == Fault::NoCalendars {
            assert_eq!(code, Some(2), "day {day}: {said}");
        }
        code
    }
}

/// The library of faketime for programs with threads.
fn faketime_library() -> PathBuf {
    let folders = fs::read_dir("/usr/lib").expect("a folder").flatten().map(|entry| entry.path());
    let library = folders.map(|folder| folder.join("faketime/libfaketimeMT.so.1")).find(|path| path.exists());
    library.expect("libfaketime, where faketime is installed")
}

fn start(dice: Dice) -> Option<Days> {
    let dovecot = Dovecot::start("ssl = no\n")?;
    let radicale = Dav::radicale()?;
    let cyrus = Dav::cyrus_of_alice()?;
    let cyrus_imap = cyrus.cyrus().map(|cyrus: &Cyrus| cyrus.imap)?;
    dovecot.home(USER);
    for server in [&radicale, &cyrus] {
        server.calendar(&format!("{}walk/", server.homes.calendars), "Walk");
        server.address_book(&format!("{}people/", server.homes.contacts), "People");
    }
    let place = tempfile::tempdir().expect("a directory");
    fs::create_dir(place.path().join("copies")).expect("a folder");
    fs::write(place.path().join("dove.password"), DOVECOT_PASSWORD).expect("a password");
    fs::write(place.path().join("cyr.password"), PASSWORD).expect("a password");
    let dove = Account {
        name: "dove",
        mailboxes: Mailboxes::new(dovecot.imap, DOVECOT_PASSWORD),
        dav: radicale,
        sieve: Some(dovecot.sieve),
        seen: BTreeMap::new(),
    };
    let cyr = Account {
        name: "cyr",
        mailboxes: Mailboxes::new(cyrus_imap, PASSWORD),
        dav: cyrus,
        sieve: None,
        seen: BTreeMap::new(),
    };
    Some(Days { place, accounts: vec![dove, cyr], dice, _dovecot: dovecot })
}

#[test]
fn every_snapshot_that_is_left_shows_the_account_of_its_day() {
    if !has("faketime") {
        return;
    }
    let seed = std::env::var("VANDELAY_SEED").ok().and_then(|seed| seed.parse().ok());
    let seed: u64 = seed.unwrap_or_else(|| u64::from(std::process::id()));
    println!("VANDELAY_SEED={seed} repeats this walk");
    let Some(mut days) = start(Dice(seed)) else { return };
    let faults = [Fault::Killed, Fault::None, Fault::NoCalendars, Fault::Interrupted, Fault::None, Fault::Restarted];
    let count = if soak() { 30 } else { 8 };
    let mut success = BTreeMap::new();
    for day in 0..count {
        for account in &mut days.accounts {
            account.mailboxes.change(&mut days.dice);
            change_collections(&account.dav, day, &mut days.dice);
        }
        let fault = if day == 0 || day == count - 1 { Fault::None } else { faults[day % faults.len()] };
        let before: BTreeMap<&str, Vec<(i64, String)>> = days
            .accounts
            .iter()
            .filter(|account| days.archive(account.name).exists())
            .map(|account| (account.name, snapshots(&days.archive(account.name))))
            .collect();
        let code = days.run(day, fault);
        println!("day {day}: {fault:?}, {code:?}");
        for account in &days.accounts {
            let archive = days.archive(account.name);
            ok(&["verify", archive.to_str().expect("UTF-8")]);
            let after = snapshots(&archive);
            let is_good = account.seen.contains_key(&after.last().expect("a snapshot").0);
            // Nothing is forgotten by a run that was not good.
            if let Some(before) = before.get(account.name).filter(|_| !is_good) {
                let lost: Vec<&(i64, String)> = before
                    .iter()
                    .filter(|(id, state)| state != "running" && !after.iter().any(|(other, _)| other == id))
                    .collect();
                assert!(lost.is_empty(), "day {day}, {}: {lost:?} were forgotten", account.name);
            }
            for (id, seen) in account.seen.iter().filter(|(id, _)| after.iter().any(|(other, _)| other == *id)) {
                shows(&archive, *id, seen, &format!("day {day}, {}, snapshot {id}", account.name));
            }
            let metrics = fs::read_to_string(days.at("m.prom")).unwrap_or_default();
            let begin = format!("vandelay_last_success_timestamp_seconds{{account=\"{}\"}} ", account.name);
            let told = metrics.lines().find_map(|line| line.strip_prefix(&begin)).unwrap_or("0").to_owned();
            if code.is_some() && !is_good && fault == Fault::NoCalendars {
                assert_eq!(success.get(account.name), Some(&told), "day {day}: a failure is no success");
            }
            success.insert(account.name, told);
        }
    }
    for account in &days.accounts {
        let left = snapshots(&days.archive(account.name));
        let good = left.iter().filter(|(id, _)| account.seen.contains_key(id)).count();
        assert!(good >= 3, "{}: {left:?}", account.name);
        assert!(left.len() <= 16, "retention works: {left:?}");
        let copies: Vec<PathBuf> = fs::read_dir(days.at("copies"))
            .expect("a folder")
            .map(|entry| entry.expect("an entry").path())
            .filter(|path| path.file_name().is_some_and(|name| name.to_string_lossy().starts_with(account.name)))
            .collect();
        assert_eq!(copies.len(), 3, "{copies:?}");
        for copy in &copies {
            ok(&["verify", copy.to_str().expect("UTF-8")]);
            let newest = snapshots(copy).last().expect("a snapshot").0;
            if let Some(seen) = account.seen.get(&newest) {
                shows(copy, newest, seen, &format!("{}", copy.display()));
            }
        }
    }
}
