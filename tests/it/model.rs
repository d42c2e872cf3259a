//! The model of an account that is edited at random, compared with the archive at every moment: while clocks jump, snapshots
//! are forgotten beside readers, Vandelay 1.x works on the archive between our runs, and other programs read it.

use crate::common::*;
use rusqlite::{Connection, params};
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

fn text(path: &Path) -> &str {
    path.to_str().expect("a path in UTF-8")
}

/// Folder and base name of a message.
type Place = (String, String);

/// Flags and bytes of a message.
type Message = (String, Vec<u8>);

/// What a Maildir holds: folders, and messages by file name.
#[derive(Clone, Default)]
struct Model {
    folders: BTreeSet<String>,
    messages: BTreeMap<Place, Message>,
}

struct World {
    root: PathBuf,
    model: Model,
    dice: Dice,
    next: u32,
}

impl World {
    fn dir(&self, folder: &str) -> PathBuf {
        if folder == "INBOX" { self.root.clone() } else { self.root.join(format!(".{}", folder.replace('/', "."))) }
    }

    fn file(&self, folder: &str, base: &str, flags: &str) -> PathBuf {
        self.dir(folder).join("cur").join(format!("{base}:2,{flags}"))
    }

    fn any_folder(&mut self) -> String {
        let at = self.dice.below(self.model.folders.len());
        self.model.folders.iter().nth(at).expect("a folder").clone()
    }

    fn any_message(&mut self) -> Option<(Place, Message)> {
        if self.model.messages.is_empty() {
            return None;
        }
        let at = self.dice.below(self.model.messages.len());
        self.model.messages.iter().nth(at).map(|(place, message)| (place.clone(), message.clone()))
    }

    fn flags(&mut self) -> String {
        "DFPRS".chars().filter(|_| self.dice.below(3) == 0).collect()
    }

    fn make_folder(&mut self, folder: &str) {
        for part in ["cur", "new", "tmp"] {
            fs::create_dir_all(self.dir(folder).join(part)).expect("a folder");
        }
        self.model.folders.insert(folder.to_owned());
    }

    fn deliver(&mut self, bytes: Vec<u8>) {
        let (folder, flags) = (self.any_folder(), self.flags());
        self.next += 1;
        let base = format!("{}.M{}P1.h", 1_700_000_000 + self.next, self.next);
        fs::write(self.file(&folder, &base, &flags), &bytes).expect("a message");
        self.model.messages.insert((folder, base), (flags, bytes));
    }

    /// One random edit.
    fn edit(&mut self) {
        match self.dice.below(12) {
            0..=3 => {
                let number = self.next;
                self.deliver(message(number));
            }
            // The same bytes once more.
            4 => {
                if let Some((_, (_, bytes))) = self.any_message() {
                    self.deliver(bytes);
                }
            }
            5 => {
                if let Some((place, (flags, _))) = self.any_message() {
                    fs::remove_file(self.file(&place.0, &place.1, &flags)).expect("gone");
                    self.model.messages.remove(&place);
                }
            }
            6 | 7 => {
                if let Some((place, (flags, bytes))) = self.any_message() {
                    let other = self.flags();
                    fs::rename(self.file(&place.0, &place.1, &flags), self.file(&place.0, &place.1, &other))
                        .expect("flags");
                    self.model.messages.insert(place, (other, bytes));
                }
            }
            8 | 9 => {
                if let Some((place, message)) = self.any_message() {
                    let to = self.any_folder();
                    if to != place.0 {
                        fs::rename(self.file(&place.0, &place.1, &message.0), self.file(&to, &place.1, &message.0))
                            .expect("moved");
                        self.model.messages.remove(&place);
                        self.model.messages.insert((to, place.1), message);
                    }
                }
            }
            10 => {
                let names = ["Work", "Work/Old", "Archive", "Archive/2024", "Lists"];
                let name = names[self.dice.below(names.len())];
                if let Some((parent, _)) = name.rsplit_once('/') {
                    self.make_folder(parent);
                }
                self.make_folder(name);
            }
            _ => {
                let folder = self.any_folder();
                let has_children = self.model.folders.iter().any(|other| other.starts_with(&format!("{folder}/")));
                if folder != "INBOX" && !has_children {
                    fs::remove_dir_all(self.dir(&folder)).expect("gone");
                    self.model.folders.remove(&folder);
                    self.model.messages.retain(|(other, _), _| *other != folder);
                }
            }
        }
    }
}

impl Model {
    fn messages(&self) -> Vec<(String, String, Vec<u8>)> {
        let mut found: Vec<_> = self
            .messages
            .iter()
            .map(|((folder, _), (flags, bytes))| (folder.clone(), flags.clone(), bytes.clone()))
            .collect();
        found.sort();
        found
    }
}

// --- what the archive shows ---------------------------------------------------------------------------------------------

/// Row and folder of a message.
type Spot = (i64, String);

/// What a moment shows: folders, and messages by row and folder.
#[derive(Clone, Default, PartialEq, Debug)]
struct Shown {
    folders: BTreeSet<String>,
    messages: BTreeMap<Spot, Message>,
}

impl Shown {
    fn of(archive: &Path, at: &str) -> Shown {
        let mut shown = Shown::default();
        for (path, bytes) in tree(archive, at) {
            let Some(path) = path.strip_prefix("mail/") else { continue };
            if let Some(folder) = path.strip_suffix("/cur/") {
                shown.folders.insert(folder.to_owned());
            } else if let Some((folder, name)) = path.rsplit_once("/cur/") {
                let id = name.split('.').nth(1).and_then(|id| id.parse().ok()).expect("an id");
                let flags = name.rsplit_once(":2,").expect("flags").1.to_owned();
                assert!(shown.messages.insert((id, folder.to_owned()), (flags, bytes)).is_none(), "{path}");
            }
        }
        shown
    }

    /// Folders and flags of the messages, sorted.
    fn names(&self) -> Vec<(String, String)> {
        let mut found: Vec<_> =
            self.messages.iter().map(|((_, folder), (flags, _))| (folder.clone(), flags.clone())).collect();
        found.sort();
        found
    }

    /// Messages without the number of their row.
    fn list(&self) -> Vec<(String, String, Vec<u8>)> {
        let mut found: Vec<_> = self
            .messages
            .iter()
            .map(|((_, folder), (flags, bytes))| (folder.clone(), flags.clone(), bytes.clone()))
            .collect();
        found.sort();
        found
    }
}

/// What `ls` names at a moment: folders and flags of the messages, sorted. `None` where it says that 1.x gave a number twice.
fn names(archive: &Path, at: &str) -> Option<Vec<(String, String)>> {
    let output = run(&["ls", "-R", "--at", at, text(archive)]);
    let said = String::from_utf8_lossy(&output.stderr);
    if calm(&output, at) != 0 {
        assert!(said.contains("gave the number") && said.contains("the next import"), "{at}: {said}");
        return None;
    }
    let listed = String::from_utf8_lossy(&output.stdout).into_owned();
    let mut found: Vec<_> = listed
        .lines()
        .filter_map(|path| {
            let (folder, name) = path.strip_prefix("mail/")?.rsplit_once("/cur/")?;
            Some((folder.to_owned(), name.rsplit_once(":2,")?.1.to_owned()))
        })
        .collect();
    found.sort();
    Some(found)
}

fn brief(list: &[(String, String, Vec<u8>)]) -> Vec<String> {
    list.iter()
        .map(|(folder, flags, bytes)| {
            let text = String::from_utf8_lossy(bytes);
            format!("{folder} {flags:?} {}", text.lines().find(|line| line.starts_with("Subject")).unwrap_or("?"))
        })
        .collect()
}

/// The archive, and what each of its moments must show.
struct Scene {
    world: World,
    archive: PathBuf,
    /// Snapshots that are kept.
    past: BTreeMap<i64, Shown>,
    /// The current state, as 1.x may have changed it.
    now: Shown,
    /// What each message row says of itself (mailboxes, keywords, bytes), and the snapshot since which it does.
    since: BTreeMap<i64, (String, i64)>,
    /// Rows that 1.x added.
    foreign: BTreeSet<i64>,
    /// Mailboxes that 1.x made: id and name.
    boxes: BTreeMap<i64, String>,
    /// 1.x was here since our last run.
    is_after_1x: bool,
    /// … and gave a message a number that another one had.
    has_twins: bool,
    has_faketime: bool,
    count: u32,
}

impl Scene {
    fn new(seed: u64, dir: &Path, has_faketime: bool) -> Scene {
        let mut world = World { root: dir.join("mail"), model: Model::default(), dice: Dice(seed), next: 0 };
        world.make_folder("INBOX");
        Scene {
            world,
            archive: dir.join("a.sqlite"),
            past: BTreeMap::new(),
            now: Shown::default(),
            since: BTreeMap::new(),
            foreign: BTreeSet::new(),
            boxes: BTreeMap::new(),
            is_after_1x: false,
            has_twins: false,
            has_faketime,
            count: 0,
        }
    }

    /// Runs the program with a clock that may be wrong.
    fn run(&mut self, arguments: &[&str]) -> Output {
        let jump = ["+3650d", "-400d", "-1d", "+2h", "-3h"][self.world.dice.below(5)];
        match self.has_faketime && self.world.dice.below(3) == 0 {
            true => Command::new("faketime")
                .args(["-f", jump, env!("CARGO_BIN_EXE_vandelay")])
                .args(arguments)
                .env("TZ", "UTC")
                .output()
                .expect("faketime"),
            false => run(arguments),
        }
    }

    fn verify(&self, what: &str) {
        let output = run(&["verify", text(&self.archive)]);
        let said = [output.stdout.clone(), output.stderr.clone()].concat();
        assert_eq!(calm(&output, what), 0, "{what}: {}", String::from_utf8_lossy(&said));
    }

    /// Our import: the current state is the source's, with what 1.x added.
    fn import(&mut self, what: &str) {
        let (root, archive) = (self.world.root.clone(), self.archive.clone());
        let other = (self.world.dice.below(4) == 0 && archive.exists()).then(|| read_by_sqlite(&archive));
        let output = self.run(&["import", "maildir", text(&root), text(&archive), "--json"]);
        assert_eq!(calm(&output, what), 0, "{what}: {}", String::from_utf8_lossy(&output.stderr));
        if let Some(mut other) = other {
            assert!(other.wait().expect("sqlite3").success(), "{what}: sqlite3");
        }
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        let done: serde_json::Value = serde_json::from_str(said.lines().last().expect("a summary")).expect("JSON");
        let snapshot = done["snapshot"].as_i64().expect("a number");
        self.verify(what);
        mailbox_notes_are_true(&archive);
        let mut expected = self.world.model.messages();
        let foreign = self.now.messages.iter().filter(|((id, _), _)| self.foreign.contains(id));
        expected.extend(foreign.map(|((_, folder), (flags, bytes))| (folder.clone(), flags.clone(), bytes.clone())));
        expected.sort();
        let latest = Shown::of(&archive, "latest");
        assert_eq!(brief(&latest.list()), brief(&expected), "{what}: latest");
        assert!(latest.list() == expected, "{what}: latest");
        self.check_folders(&latest, what);
        self.past.insert(snapshot, latest.clone());
        self.now = latest;
        self.note_rows(snapshot);
        (self.is_after_1x, self.has_twins) = (false, false);
    }

    fn check_folders(&self, latest: &Shown, what: &str) {
        let of_1x: BTreeSet<String> = self.boxes.values().cloned().collect();
        let expected: BTreeSet<String> = self.world.model.folders.union(&of_1x).cloned().collect();
        assert_eq!(latest.folders, expected, "{what}: folders of latest");
    }

    /// What the rows say, and since when.
    fn note_rows(&mut self, snapshot: i64) {
        let conn = Connection::open(&self.archive).expect("it opens");
        let mut statement = conn
            .prepare("SELECT e.id, mailbox_ids || ' ' || keywords || ' ' || hex(hash) FROM emails e JOIN blobs b ON b.id = e.blob_id")
            .expect("SQL");
        let rows = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?))).expect("rows");
        let rows: BTreeMap<i64, String> = rows.collect::<Result<_, _>>().expect("rows");
        let former = std::mem::take(&mut self.since);
        for (id, says) in rows {
            let since = former.get(&id).filter(|(before, _)| *before == says).map_or(snapshot, |(_, since)| *since);
            self.since.insert(id, (says, since));
        }
    }

    /// The archive shows what it must, at every moment.
    fn compare(&mut self, what: &str) {
        if self.has_twins {
            // Bytes of a number that two messages have are refused until the next import; names are not.
            let moments = self.past.iter().map(|(id, shown)| (id.to_string(), shown));
            for (at, expected) in moments.chain([("latest".to_owned(), &self.now)]) {
                if let Some(names) = names(&self.archive, &at) {
                    assert_eq!(names, expected.names(), "{what}: names at {at}");
                }
            }
            return;
        }
        let latest = Shown::of(&self.archive, "latest");
        assert_eq!(brief(&latest.list()), brief(&self.now.list()), "{what}: latest");
        assert!(latest.list() == self.now.list(), "{what}: latest");
        if self.is_after_1x {
            assert_eq!(latest.folders, self.now.folders, "{what}: folders of latest");
        }
        for (id, expected) in &self.past {
            let shown = Shown::of(&self.archive, &id.to_string());
            assert_eq!(brief(&shown.list()), brief(&expected.list()), "{what}: snapshot {id}");
            assert!(shown.list() == expected.list(), "{what}: snapshot {id}");
            assert_eq!(shown.folders, expected.folders, "{what}: folders of snapshot {id}");
        }
    }

    // --- 1.x --------------------------------------------------------------------------------------------------------

    /// A run of 1.x: some edits of the content tables, and its collection of blobs.
    fn run_1x(&mut self) {
        let conn = v1::open(&self.archive);
        for _ in 0..=self.world.dice.below(4) {
            match self.world.dice.below(8) {
                0 | 1 => self.add_by_1x(&conn),
                2 | 3 => self.remove_by_1x(&conn),
                4 => self.flag_by_1x(&conn),
                5 => self.move_by_1x(&conn),
                6 => self.make_mailbox_by_1x(&conn),
                _ => self.change_mailbox_by_1x(&conn),
            }
        }
        // What our history refers to is held by foreign keys; then the whole collection fails, which 1.x survives.
        let _ = conn.execute(v1::GC, []);
        self.is_after_1x = true;
        let (before, after) = (self.now.folders.clone(), Shown::of_content(&conn));
        self.now.folders = after;
        assert!(before.contains("INBOX") && self.now.folders.contains("INBOX"));
    }

    fn any_row(&mut self) -> Option<i64> {
        let ids: BTreeSet<i64> = self.now.messages.keys().map(|(id, _)| *id).collect();
        if ids.is_empty() { None } else { ids.iter().nth(self.world.dice.below(ids.len())).copied() }
    }

    /// 1.x numbers a row by itself: the greatest number plus one.
    fn add_by_1x(&mut self, conn: &Connection) {
        self.count += 1;
        let bytes = message(100_000 + self.count);
        let blob = v1::blob(conn, &bytes);
        conn.execute(
            "INSERT INTO emails (blob_id, received_at, mailbox_ids, keywords) VALUES (?1, '2025-05-12T10:00:00Z', (SELECT json_array(id) FROM mailboxes WHERE role = 'inbox'), '[\"$seen\"]')",
            params![blob],
        )
        .expect("a message");
        let id = conn.last_insert_rowid();
        self.now.messages.insert((id, "INBOX".to_owned()), ("S".to_owned(), bytes));
        self.foreign.insert(id);
        // Where there is no history yet, there is no other one.
        self.has_twins |= conn
            .query_row("SELECT EXISTS (SELECT 1 FROM history WHERE kind = 'Email' AND id = ?1)", [id], |row| row.get(0))
            .unwrap_or(false);
    }

    /// The states of a row that stand in no other place, as the archive is now: since its last change that we know of.
    fn states_of(&mut self, id: i64) -> Vec<&mut Shown> {
        let Some((_, since)) = self.since.get(&id) else { return Vec::new() };
        let since = *since;
        self.past.range_mut(since..).map(|(_, shown)| shown).collect()
    }

    fn remove_by_1x(&mut self, conn: &Connection) {
        let Some(id) = self.any_row() else { return };
        conn.execute("DELETE FROM emails WHERE id = ?1", [id]).expect("a removal");
        for shown in self.states_of(id) {
            shown.messages.retain(|(of, _), _| *of != id);
        }
        self.now.messages.retain(|(of, _), _| *of != id);
        self.since.remove(&id);
        self.foreign.remove(&id);
    }

    fn flag_by_1x(&mut self, conn: &Connection) {
        let Some(id) = self.any_row() else { return };
        conn.execute("UPDATE emails SET keywords = '[\"$flagged\"]' WHERE id = ?1", [id]).expect("a change");
        let change = |shown: &mut Shown| {
            shown
                .messages
                .iter_mut()
                .filter(|((of, _), _)| *of == id)
                .for_each(|(_, (flags, _))| *flags = "F".to_owned())
        };
        self.states_of(id).into_iter().for_each(change);
        change(&mut self.now);
        self.note_change(conn, id);
    }

    fn move_by_1x(&mut self, conn: &Connection) {
        let Some(id) = self.any_row() else { return };
        self.move_to_inbox(conn, id);
    }

    fn move_to_inbox(&mut self, conn: &Connection, id: i64) {
        conn.execute(
            "UPDATE emails SET mailbox_ids = (SELECT json_array(id) FROM mailboxes WHERE role = 'inbox') WHERE id = ?1",
            [id],
        )
        .expect("a change");
        let change = |shown: &mut Shown| {
            let spots: Vec<Spot> = shown.messages.keys().filter(|(of, _)| *of == id).cloned().collect();
            for spot in spots {
                let message = shown.messages.remove(&spot).expect("a message");
                shown.messages.insert((id, "INBOX".to_owned()), message);
            }
        };
        self.states_of(id).into_iter().for_each(change);
        change(&mut self.now);
        self.note_change(conn, id);
    }

    /// The row says something else now, and the snapshots since its last change show that.
    fn note_change(&mut self, conn: &Connection, id: i64) {
        let says = conn
            .query_row("SELECT mailbox_ids || ' ' || keywords || ' ' || hex(hash) FROM emails e JOIN blobs b ON b.id = e.blob_id WHERE e.id = ?1", [id], |row| row.get(0))
            .expect("a row");
        if let Some((before, _)) = self.since.get_mut(&id) {
            *before = says;
        }
    }

    fn make_mailbox_by_1x(&mut self, conn: &Connection) {
        self.count += 1;
        let name = format!("Made {}", self.count);
        conn.execute("INSERT INTO mailboxes (name) VALUES (?1)", [&name]).expect("a mailbox");
        let id = conn.last_insert_rowid();
        // A number that an item of ours knows is that item's mailbox again at the next import.
        let is_known: bool = conn
            .query_row(
                "SELECT EXISTS (SELECT 1 FROM origins o JOIN scopes s ON s.id = o.scope_id WHERE s.kind = 'Mailbox' AND o.local_id = ?1)",
                [id],
                |row| row.get(0),
            )
            .unwrap_or(false);
        if !is_known {
            self.boxes.insert(id, name);
        }
    }

    /// Renames a mailbox, or takes its messages out and removes it.
    fn change_mailbox_by_1x(&mut self, conn: &Connection) {
        let ids: Vec<i64> = {
            let sql = "SELECT id FROM mailboxes m WHERE role IS NOT 'inbox' AND NOT EXISTS (SELECT 1 FROM mailboxes c WHERE c.parent_id = m.id) ORDER BY id";
            let mut statement = conn.prepare(sql).expect("SQL");
            let rows = statement.query_map([], |row| row.get(0)).expect("rows");
            rows.collect::<Result<_, _>>().expect("ids")
        };
        if ids.is_empty() {
            return;
        }
        let id = ids[self.world.dice.below(ids.len())];
        if self.world.dice.below(2) == 0 {
            self.count += 1;
            let (name, from) = (format!("Renamed {}", self.count), folder_of(conn, id));
            conn.execute("UPDATE mailboxes SET name = ?2 WHERE id = ?1", params![id, name]).expect("a name");
            let to = folder_of(conn, id);
            self.now.messages = std::mem::take(&mut self.now.messages)
                .into_iter()
                .map(|((id, folder), message)| ((id, if folder == from { to.clone() } else { folder }), message))
                .collect();
            if let Some(known) = self.boxes.get_mut(&id) {
                *known = name;
            }
            return;
        }
        let inside: Vec<i64> = {
            let sql = "SELECT e.id FROM emails e, json_each(e.mailbox_ids) j WHERE j.value = ?1 ORDER BY e.id";
            let mut statement = conn.prepare(sql).expect("SQL");
            let rows = statement.query_map([id], |row| row.get(0)).expect("rows");
            rows.collect::<Result<_, _>>().expect("ids")
        };
        for email in inside {
            self.move_to_inbox(conn, email);
        }
        conn.execute("DELETE FROM mailboxes WHERE id = ?1", [id]).expect("a removal");
        self.boxes.remove(&id);
    }

    // --- others -----------------------------------------------------------------------------------------------------

    /// Forgets by random rules, while a reader is at work on a snapshot.
    fn forget(&mut self, what: &str) {
        let dice = &mut self.world.dice;
        let number = (1 + dice.below(4)).to_string();
        let rule = ["--keep-last", "--keep-hourly", "--keep-daily", "--keep-monthly"][dice.below(4)];
        let at = *self.past.keys().nth(dice.below(self.past.len())).expect("a snapshot");
        let newest = *self.past.keys().last().expect("a snapshot");
        let into = self.archive.with_extension(format!("out{at}"));
        let reader = vandelay()
            .args(["extract", text(&self.archive), "mail", "--at", &at.to_string(), "-C", text(&into)])
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .expect("it starts");
        let archive = self.archive.clone();
        let dry = self.run(&["forget", text(&archive), rule, &number, "--dry-run", "--json"]);
        let output = self.run(&["forget", text(&archive), rule, &number, "--json"]);
        assert_eq!(calm(&output, what), 0, "{what}: {}", String::from_utf8_lossy(&output.stderr));
        let [told, done] =
            [&dry, &output].map(|output| serde_json::from_slice::<serde_json::Value>(&output.stdout).expect("JSON"));
        // The clock of one of the two may be wrong, and 1.x leaves blobs without a row.
        if told["forgotten_snapshots"] == done["forgotten_snapshots"] && !self.is_after_1x {
            assert_eq!(told["freed"], done["freed"], "{what}: what a dry run says");
        }
        let read = reader.wait_with_output().expect("it ends");
        match calm(&read, what) {
            0 => {
                let files = walk(&into).into_iter().filter(|path| path.contains("/cur/")).count();
                assert_eq!(files, self.past[&at].messages.len(), "{what}: a whole snapshot {at}");
            }
            1 | 7 => {}
            // The bytes of a number that two messages have are refused, and each file is named.
            5 if self.has_twins && String::from_utf8_lossy(&read.stderr).contains("gave the number") => {}
            code => panic!("{what}: {code}: {}", String::from_utf8_lossy(&read.stderr)),
        }
        let _ = fs::remove_dir_all(&into);
        let kept: BTreeSet<i64> = listed(&["snapshots", text(&archive)])
            .iter()
            .map(|snapshot| snapshot["snapshot"].as_i64().expect("an id"))
            .collect();
        assert!(kept.contains(&newest), "{what}: the newest snapshot stays");
        assert!(kept.iter().all(|id| self.past.contains_key(id)), "{what}: {kept:?}");
        self.past.retain(|id, _| kept.contains(id));
        if !self.is_after_1x {
            self.verify(what);
        }
    }

    /// Another program reads the archive, and makes a copy that is whole.
    fn foreign_program(&self, what: &str) {
        assert!(read_by_sqlite(&self.archive).wait().expect("sqlite3").success());
        let copy = self.archive.with_extension("copy");
        let _ = fs::remove_file(&copy);
        let done = Command::new("sqlite3").arg(&self.archive).arg(format!(".backup '{}'", copy.display())).status();
        assert!(done.expect("sqlite3").success(), "{what}: .backup");
        assert!(Shown::of(&copy, "latest") == self.now_shown(), "{what}: the copy is the archive");
        let output = run(&["verify", text(&copy)]);
        assert_eq!(calm(&output, what), 0, "{what}: the copy: {}", String::from_utf8_lossy(&output.stdout));
    }

    fn now_shown(&self) -> Shown {
        Shown::of(&self.archive, "latest")
    }

    /// `--at TIME` never gives a snapshot that is of the future of its neighbours.
    fn times(&self, what: &str) {
        let snapshots = listed(&["snapshots", text(&self.archive)]);
        let end =
            |snapshot: &serde_json::Value| vandelay::archive::epoch(snapshot["ended_at"].as_str().expect("an end"));
        let believed: Vec<(i64, i64)> = snapshots
            .iter()
            .filter(|snapshot| snapshot["wrong_clock"] == false)
            .map(|snapshot| (snapshot["snapshot"].as_i64().expect("an id"), end(snapshot)))
            .collect();
        assert!(believed.is_sorted_by(|one, next| one.0 < next.0 && one.1 <= next.1), "{what}: {believed:?}");
        let reader = vandelay::archive::Reader::open(&self.archive).expect("an archive");
        for time in snapshots.iter().flat_map(|snapshot| [end(snapshot) - 1, end(snapshot), end(snapshot) + 1]) {
            let Ok(vandelay::archive::Moment::Snapshot(found)) =
                reader.resolve(vandelay::archive::SnapshotSpec::Time(time))
            else {
                assert!(believed.iter().all(|(_, end)| *end > time), "{what}: nothing at {time}");
                continue;
            };
            for (id, end) in &believed {
                assert_eq!(*id <= found, *end <= time, "{what}: {found} at {time}, but {id} ended at {end}");
            }
        }
    }
}

impl Shown {
    /// The folders as the content tables have them.
    fn of_content(conn: &Connection) -> BTreeSet<String> {
        let mut statement = conn.prepare("SELECT id FROM mailboxes").expect("SQL");
        let ids: Vec<i64> =
            statement.query_map([], |row| row.get(0)).expect("rows").collect::<Result<_, _>>().expect("ids");
        ids.into_iter().map(|id| folder_of(conn, id)).collect()
    }
}

/// The path of a mailbox.
fn folder_of(conn: &Connection, id: i64) -> String {
    let (mut parts, mut next) = (Vec::new(), Some(id));
    while let Some(id) = next {
        let (name, parent): (String, Option<i64>) = conn
            .query_row("SELECT name, parent_id FROM mailboxes WHERE id = ?1", [id], |row| {
                Ok((row.get(0)?, row.get(1)?))
            })
            .expect("a mailbox");
        parts.push(name);
        next = parent;
    }
    parts.reverse();
    parts.join("/")
}

fn read_by_sqlite(archive: &Path) -> std::process::Child {
    let sql = "PRAGMA busy_timeout = 20000; SELECT count(*) FROM emails; SELECT count(*) FROM blobs;";
    Command::new("sqlite3").arg(archive).arg(sql).stdout(Stdio::null()).spawn().expect("sqlite3")
}

/// All files below a directory.
fn walk(at: &Path) -> Vec<String> {
    let mut found = Vec::new();
    let mut queue = vec![at.to_owned()];
    while let Some(at) = queue.pop() {
        for entry in fs::read_dir(&at).into_iter().flatten() {
            let path = entry.expect("an entry").path();
            if path.is_dir() { queue.push(path) } else { found.push(path.to_str().expect("UTF-8").to_owned()) }
        }
    }
    found
}

/// Random edits with an import after each few, and everything else that may happen to an archive in between.
#[test]
fn the_tree_is_the_model_at_every_moment() {
    if !has("sqlite3") {
        return;
    }
    let has_faketime = has("faketime");
    let one = std::env::var("VANDELAY_SEED").ok().and_then(|seed| seed.parse::<u64>().ok());
    let seeds = one.map_or(0..if soak() { 30 } else { 3 }, |seed| seed..seed + 1);
    for seed in seeds {
        let dir = tempfile::tempdir().expect("a directory");
        let mut scene = Scene::new(seed, dir.path(), has_faketime);
        if seed % 3 == 1 {
            made_by_1x(&mut scene);
            scene.import(&format!("seed {seed}, first"));
            scene.compare(&format!("seed {seed}, first"));
        }
        for step in 0..25 {
            let what = format!("seed {seed}, step {step}");
            for _ in 0..=scene.world.dice.below(6) {
                scene.world.edit();
            }
            scene.import(&what);
            scene.compare(&what);
            scene.times(&what);
            match scene.world.dice.below(6) {
                0 => {
                    scene.forget(&format!("{what}, forget"));
                    scene.compare(&format!("{what}, forget"));
                    scene.times(&what);
                }
                1 | 2 => {
                    scene.run_1x();
                    scene.compare(&format!("{what}, 1.x"));
                    if scene.world.dice.below(3) == 0 {
                        scene.run_1x();
                        scene.compare(&format!("{what}, 1.x again"));
                    }
                    if scene.world.dice.below(4) == 0 {
                        scene.forget(&format!("{what}, forget after 1.x"));
                        scene.compare(&format!("{what}, forget after 1.x"));
                    }
                }
                3 => scene.foreign_program(&what),
                _ => {}
            }
        }
    }
}

/// An archive that 1.x made before our first import: with messages of its own, and with one that the source has too.
fn made_by_1x(scene: &mut Scene) {
    let variant = v1::Variant { rows: false, ..v1::Variant::default() };
    v1::write(&scene.archive, &variant);
    let conn = v1::open(&scene.archive);
    conn.execute("INSERT INTO mailboxes (name, role) VALUES ('INBOX', 'inbox')", []).expect("a mailbox");
    scene.add_by_1x(&conn);
    scene.add_by_1x(&conn);
    scene.now.folders.insert("INBOX".to_owned());
    scene.run_on(&conn);
}

impl Scene {
    /// A message that stands at the source too.
    fn run_on(&mut self, conn: &Connection) {
        let bytes = message(self.world.next);
        self.world.deliver(bytes.clone());
        let blob = v1::blob(conn, &bytes);
        conn.execute(
            "INSERT INTO emails (blob_id, received_at, mailbox_ids) VALUES (?1, '2025-05-12T10:00:00Z', (SELECT json_array(id) FROM mailboxes WHERE role = 'inbox'))",
            params![blob],
        )
        .expect("a message");
    }
}
