//! Rounds of random changes to real servers: after each one the archive shows what the server has, byte for byte. 8 rounds,
//! or 30 with VANDELAY_SOAK; VANDELAY_SEED repeats a walk.

use crate::common::dav::{Dav, Held, PASSWORD, USER, encoded};
use crate::common::dav_account::{card, edit_cursors, event, odd_name, same};
use crate::common::{Dice, ok, soak, vandelay};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant, SystemTime};

/// What happens once in a round, beside small changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Special {
    NewCollection,
    Rename,
    Killed,
    ForgetTokens,
    DeleteCollection,
    Restart,
    OtherTokens,
}

const SPECIALS: [Special; 7] = [
    Special::NewCollection,
    Special::Rename,
    Special::Killed,
    Special::ForgetTokens,
    Special::DeleteCollection,
    Special::Restart,
    Special::OtherTokens,
];

/// A name of a file or a directory. WsgiDAV moves to what stands before a `?`, so there is none here.
fn any_name(number: usize) -> String {
    odd_name(number).replace('?', "")
}

/// Resources of one kind, above which a walk rather deletes.
const MANY: usize = 60;

struct Walk {
    server: Dav,
    kinds: &'static [&'static str],
    place: tempfile::TempDir,
    dice: Dice,
    /// What was written so far: no two resources have the same name or length.
    made: usize,
    /// How long the last import took.
    length: Duration,
}

impl Walk {
    fn archive(&self) -> PathBuf {
        self.place.path().join("a.sqlite")
    }

    fn bytes(&mut self, kind: &str, uid: &str) -> Vec<u8> {
        self.made += 1;
        let text = "x ".repeat(self.made);
        match kind {
            "caldav" => event(uid, &text),
            "carddav" => card(uid, &text),
            _ => text.into_bytes(),
        }
    }

    /// A path for a new resource in a collection.
    fn path(&mut self, kind: &str, collection: &str) -> String {
        self.made += 1;
        let ending = match kind {
            "caldav" => ".ics",
            "carddav" => ".vcf",
            _ => "",
        };
        // A name that is odd is for servers of files: others may refuse it, and then nothing would change.
        let name = if kind == "webdav" { any_name(self.made) } else { format!("w{}", self.made) };
        format!("{collection}{}{ending}", encoded(&name))
    }

    fn put_new(&mut self, kind: &str, collection: &mut Held) {
        let path = self.path(kind, &collection.path);
        let bytes = self.bytes(kind, &format!("uid-{}", self.made));
        assert!(self.server.put(&path, &bytes), "PUT {path}");
        collection.items.insert(path, bytes);
    }

    /// One small change.
    fn change(&mut self, kind: &str, held: &mut [Held]) {
        let count: usize = held.iter().map(|one| one.items.len()).sum();
        let what = match count {
            0..12 => 0,
            count if count > MANY => 3,
            _ => self.dice.below(4),
        };
        let at = self.dice.below(held.len());
        let full: Vec<usize> = (0..held.len()).filter(|at| !held[*at].items.is_empty()).collect();
        if what == 0 || full.is_empty() {
            return self.put_new(kind, &mut held[at]);
        }
        let from = full[self.dice.below(full.len())];
        let picked = self.dice.below(held[from].items.len());
        let old = held[from].items.keys().nth(picked).expect("one").clone();
        let bytes = held[from].items[&old].clone();
        let text = String::from_utf8_lossy(&bytes).into_owned();
        match what {
            1 => {
                let uid = text.lines().find_map(|line| line.strip_prefix("UID:")).unwrap_or_default().to_owned();
                let bytes = self.bytes(kind, &uid);
                assert!(self.server.put(&old, &bytes), "PUT {old}");
                held[from].items.insert(old, bytes);
            }
            2 => {
                let to = self.path(kind, &held[at].path);
                if !self.server.move_to(&old, &to) {
                    self.server.delete(&old);
                    assert!(self.server.put(&to, &bytes), "PUT {to}");
                }
                held[from].items.remove(&old);
                held[at].items.insert(to, bytes);
            }
            _ => {
                self.server.delete(&old);
                held[from].items.remove(&old);
            }
        }
    }

    /// Makes a collection; a directory may lie in another one.
    fn new_collection(&mut self, kind: &str, parent: &str) -> String {
        self.made += 1;
        let (number, home) = (self.made, self.server.homes);
        let path = match kind {
            "caldav" => format!("{}walk{number}/", home.calendars),
            "carddav" => format!("{}walk{number}/", home.contacts),
            _ => format!("{parent}walk{}/", encoded(&any_name(number))),
        };
        match kind {
            "caldav" => self.server.calendar(&path, &format!("Walk {number}")),
            "carddav" => self.server.address_book(&path, &format!("Walk {number}")),
            _ => self.server.directory(&path),
        }
        path
    }

    /// A collection of ours: servers have some that cannot be removed.
    fn own(&mut self, held: &[Held]) -> Option<usize> {
        let own: Vec<usize> = (0..held.len()).filter(|at| held[*at].path.contains("/walk")).collect();
        (own.len() > 1).then(|| own[self.dice.below(own.len())])
    }

    fn special(&mut self, special: Special, kind: &str, held: &mut Vec<Held>) {
        match special {
            Special::NewCollection => {
                let parent = held[self.dice.below(held.len())].path.clone();
                let path = self.new_collection(kind, &parent);
                let mut collection = Held { path, ..Held::default() };
                (0..3).for_each(|_| self.put_new(kind, &mut collection));
                held.push(collection);
            }
            Special::Rename => {
                let Some(at) = self.own(held) else { return };
                self.made += 1;
                let (from, name) = (held[at].path.clone(), format!("Renamed ü {}", self.made));
                if kind == "webdav" {
                    let to = format!("{}walk {}", self.server.homes.files, encoded(&name)).replace(' ', "%20");
                    assert!(self.server.move_to(&from, &format!("{to}/")), "MOVE {from}");
                    *held = self.server.held(kind);
                } else {
                    self.server.rename(&from, &name);
                }
            }
            Special::DeleteCollection => {
                let Some(at) = self.own(held) else { return };
                let gone = held.remove(at);
                self.server.delete(&gone.path);
                held.retain(|one| !one.path.starts_with(&gone.path));
            }
            Special::Killed => {
                let at = self.dice.below(held.len());
                (0..25).for_each(|_| self.put_new(kind, &mut held[at]));
            }
            Special::ForgetTokens | Special::Restart | Special::OtherTokens => {}
        }
    }

    fn command(&self, kind: &str) -> Command {
        let mut command = vandelay();
        command.env("VANDELAY_PASSWORD", PASSWORD);
        command.args(["import", kind, "--allow-cleartext", "--auth-basic", USER, "--max-delete", "100%", "--url"]);
        command.arg(self.server.url()).arg(self.archive());
        command
    }

    /// An import that is killed at any moment.
    fn kill(&mut self, kind: &str) {
        let mut command = self.command(kind);
        let mut child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("it starts");
        let length = self.length.as_millis() as usize;
        std::thread::sleep(Duration::from_millis(self.dice.below(length + 1) as u64));
        child.kill().expect("it is ours");
        child.wait().expect("it ends");
    }

    fn round(&mut self, special: Special, when: &str) {
        if special == Special::Restart {
            self.server.restart();
        }
        for kind in self.kinds {
            let mut held = self.server.held(kind);
            self.special(special, kind, &mut held);
            for _ in 0..=self.dice.below(6) {
                self.change(kind, &mut held);
            }
        }
        match special {
            Special::ForgetTokens => self.server.forget_tokens(),
            Special::OtherTokens => other_tokens(&self.archive()),
            Special::Killed => self.kinds.iter().for_each(|kind| self.kill(kind)),
            _ => {}
        }
        for kind in self.kinds {
            let start = Instant::now();
            let output = self.command(kind).output().expect("it starts");
            self.length = start.elapsed();
            assert!(output.status.success(), "{when}: {}", String::from_utf8_lossy(&output.stderr));
        }
        self.kinds.iter().for_each(|kind| same(&self.server, kind, &self.archive(), when));
        ok(&["verify", "--quiet", self.archive().to_str().expect("text")]);
    }
}

/// Makes the archive go on from tokens that no server gave.
fn other_tokens(archive: &Path) {
    edit_cursors(archive, |cursor| {
        for name in ["ctag", "token"] {
            if let Some(mark) = cursor.get_mut(name) {
                *mark = "urn:nobody:1".into();
            }
        }
    });
}

fn walk(server: Option<Dav>, kinds: &'static [&'static str]) {
    let Some(server) = server else { return };
    let seed = std::env::var("VANDELAY_SEED").ok().and_then(|seed| seed.parse().ok());
    let now = || SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).expect("a time").as_secs();
    let seed: u64 = seed.unwrap_or_else(|| if soak() { now() } else { 1 });
    println!("{}: VANDELAY_SEED={seed} repeats this walk", server.name);
    let place = tempfile::tempdir().expect("a folder");
    let length = Duration::from_millis(300);
    let mut walk = Walk { server, kinds, place, dice: Dice(seed), made: 0, length };
    for kind in kinds {
        for _ in 0..3 {
            let path = walk.new_collection(kind, "/");
            let mut collection = Held { path, ..Held::default() };
            (0..6).for_each(|_| walk.put_new(kind, &mut collection));
        }
    }
    for round in 0..if soak() { 30 } else { 8 } {
        let special = SPECIALS[round % SPECIALS.len()];
        walk.round(special, &format!("seed {seed}, round {round}, {special:?}"));
    }
}

const BOTH: &[&str] = &["caldav", "carddav"];

#[test]
fn radicale_and_the_archive_stay_equal() {
    walk(Dav::radicale(), BOTH);
}

#[test]
fn xandikos_and_the_archive_stay_equal() {
    walk(Dav::xandikos(), BOTH);
}

#[test]
fn sabre_and_the_archive_stay_equal() {
    walk(Dav::sabre(), BOTH);
}

#[test]
fn cyrus_and_the_archive_stay_equal() {
    walk(Dav::cyrus_of_alice(), BOTH);
}

#[test]
fn wsgidav_and_the_archive_stay_equal() {
    walk(Dav::wsgidav(false), &["webdav"]);
}

#[test]
fn apache_and_the_archive_stay_equal() {
    walk(Dav::apache(), &["webdav"]);
}
