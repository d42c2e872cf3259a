//! Proving an archive: every byte against its digest, every reference, mailbox tree, JSON text and snapshot.

use super::blob;
use super::read::{Moment, Reader};
use super::rows::Record;
use crate::error::Result;
use crate::model::{Id, Kind};
use rusqlite::params;
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::time::{Duration, Instant};

/// How thoroughly to look.
#[derive(Debug, Clone, Copy)]
pub struct Depth {
    /// The share of blobs whose bytes are hashed, from 0 to 1.
    pub sample: f64,
    /// No more blobs are begun after this time.
    pub max_duration: Option<Duration>,
    /// Makes another sample of the same size.
    pub seed: u64,
}

/// Something that is not as it should be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// What in the archive, e.g. `blob 12`.
    pub place: String,
    /// What is wrong with it.
    pub what: String,
    /// The objects that it affects, in the moment in which they show it.
    pub affected: Vec<(Kind, Id, Moment)>,
}

/// What was looked at and what was found.
#[derive(Debug, Default)]
pub struct Verdict {
    pub findings: Vec<Finding>,
    /// Findings beyond those listed.
    pub more: u64,
    pub blobs: u64,
    pub blobs_hashed: u64,
    pub bytes_hashed: u64,
    pub objects: u64,
    pub snapshots: u64,
    /// False if time ran out, or only a sample was wanted.
    pub is_full: bool,
}

/// How many findings are listed.
const FINDINGS_MAX: usize = 10_000;

/// JSON columns of a type, with what they must be.
const JSON: [(Kind, &str, char); 9] = [
    (Kind::Email, "mailbox_ids", '['),
    (Kind::Email, "keywords", '['),
    (Kind::Email, "message_match", '{'),
    (Kind::ContactCard, "address_book_ids", '['),
    (Kind::ContactCard, "data", '{'),
    (Kind::CalendarEvent, "calendar_ids", '['),
    (Kind::CalendarEvent, "data", '{'),
    (Kind::Identity, "reply_to", '['),
    (Kind::Identity, "bcc", '['),
];

/// Looks at an archive. `progress` hears of blobs done and blobs to do.
pub fn verify(reader: &Reader, depth: Depth, mut progress: impl FnMut(u64, u64)) -> Result<Verdict> {
    let mut check = Check { reader, verdict: Verdict::default(), users: HashMap::new() };
    check.structure()?;
    check.objects()?;
    check.history()?;
    check.index()?;
    check.blobs(depth, &mut progress)?;
    Ok(check.verdict)
}

struct Check<'a> {
    reader: &'a Reader,
    verdict: Verdict,
    /// Which objects show a blob. Most blobs have one.
    users: HashMap<Id, Vec<(Kind, Id, Moment)>>,
}

impl Check<'_> {
    fn find(&mut self, place: String, what: impl Into<String>, affected: Vec<(Kind, Id, Moment)>) {
        if self.verdict.findings.len() < FINDINGS_MAX {
            self.verdict.findings.push(Finding { place, what: what.into(), affected });
        } else {
            self.verdict.more += 1;
        }
    }

    /// SQLite's own check of pages, cells and indexes.
    fn structure(&mut self) -> Result<()> {
        let lines = self.reader.once(|conn| {
            let mut statement = conn.prepare("PRAGMA integrity_check(100)")?;
            statement.query_map([], |row| row.get::<_, String>(0))?.collect::<rusqlite::Result<Vec<_>>>()
        });
        match lines {
            Ok(lines) => lines
                .into_iter()
                .filter(|line| line != "ok")
                .for_each(|line| self.find("database".to_owned(), line, Vec::new())),
            Err(error) => self.find("database".to_owned(), error.to_string(), Vec::new()),
        }
        Ok(())
    }

    /// Every row of the current state.
    fn objects(&mut self) -> Result<()> {
        let ids: BTreeMap<Kind, HashSet<Id>> = [Kind::Mailbox, Kind::Calendar, Kind::AddressBook, Kind::FileNode]
            .into_iter()
            .map(|kind| {
                let mut ids = HashSet::new();
                self.reader.each_record(kind, Moment::Current, |record| {
                    ids.insert(record.id);
                })?;
                Ok((kind, ids))
            })
            .collect::<Result<_>>()?;
        for kind in Kind::ALL {
            let mut findings = Vec::new();
            let mut count = 0;
            let mut parents: HashMap<Id, Id> = HashMap::new();
            let reader = self.reader;
            let users = &mut self.users;
            let listed = reader.each_record(kind, Moment::Current, |record| {
                count += 1;
                check_record(&record, &ids, &mut findings);
                if let Some(parent) = record.number("parent_id") {
                    parents.insert(record.id, parent);
                }
                for blob in blobs_of(&record) {
                    users.entry(blob).or_default().push((kind, record.id, Moment::Current));
                }
            });
            if let Err(error) = listed {
                findings.push((0, error.to_string()));
            }
            for id in in_cycles(&parents) {
                findings.push((id, "lies in itself".to_owned()));
            }
            self.verdict.objects += count;
            for (id, what) in findings {
                self.find(format!("{} {id}", kind.name()), what, vec![(kind, id, Moment::Current)]);
            }
        }
        Ok(())
    }

    /// Former states and snapshots.
    fn history(&mut self) -> Result<()> {
        if !self.reader.has_history() {
            return Ok(());
        }
        let snapshots = self.reader.snapshots()?;
        self.verdict.snapshots = snapshots.len() as u64;
        for snapshot in &snapshots {
            if snapshot.ended.is_none() != (snapshot.state == "running") {
                self.find(
                    format!("snapshot {}", snapshot.id),
                    format!(
                        "is {} and has {}",
                        snapshot.state,
                        if snapshot.ended.is_some() { "an end" } else { "no end" }
                    ),
                    Vec::new(),
                );
            }
        }
        let rows = self.reader.with(|conn| {
            let mut statement =
                conn.prepare("SELECT kind, id, first, last, blob_id, original_id, fields FROM history")?;
            statement
                .query_map([], |row| {
                    let blobs = [row.get::<_, Option<Id>>(4)?, row.get::<_, Option<Id>>(5)?];
                    let fields: String = row.get(6)?;
                    let is_json = serde_json::from_str::<serde::de::IgnoredAny>(&fields).is_ok();
                    Ok((
                        row.get::<_, String>(0)?,
                        row.get::<_, Id>(1)?,
                        row.get::<_, i64>(2)?,
                        row.get::<_, i64>(3)?,
                        blobs,
                        is_json,
                    ))
                })?
                .collect::<rusqlite::Result<Vec<_>>>()
        })?;
        for (name, id, first, last, blobs, is_json) in rows {
            let place = format!("history of {name} {id} from snapshot {first}");
            let Some(kind) = Kind::from_token(&name) else {
                self.find(place, "is of an unknown type", Vec::new());
                continue;
            };
            let shown = snapshots
                .iter()
                .find(|snapshot| snapshot.id >= first && snapshot.id < last)
                .map(|snapshot| Moment::Snapshot(snapshot.id));
            let affected: Vec<_> = shown.map(|moment| (kind, id, moment)).into_iter().collect();
            if first >= last {
                self.find(place.clone(), format!("ends at snapshot {last} before it begins"), affected.clone());
            }
            if !is_json {
                self.find(place, "its fields are no JSON", affected.clone());
            }
            for blob in blobs.into_iter().flatten() {
                self.users.entry(blob).or_default().extend(affected.iter().copied());
            }
        }
        Ok(())
    }

    /// The index of mailboxes must say what the rows say.
    fn index(&mut self) -> Result<()> {
        if !self.reader.has_index() {
            return Ok(());
        }
        // Both in one transaction: a writer may be at work.
        let (mut expected, rows) = self.reader.with(|conn| {
            let transaction = conn.unchecked_transaction()?;
            let mut expected: HashMap<Id, BTreeSet<Id>> = HashMap::new();
            let mut emails = conn.prepare("SELECT id, CAST(mailbox_ids AS BLOB) FROM emails")?;
            let mut found = emails.query([])?;
            while let Some(row) = found.next()? {
                let text = row.get::<_, Option<Vec<u8>>>(1)?.unwrap_or_default();
                let mut places: BTreeSet<Id> =
                    super::index::parse_ids(&String::from_utf8_lossy(&text)).into_iter().collect();
                if places.is_empty() {
                    places.insert(super::index::UNFILED);
                }
                expected.insert(row.get(0)?, places);
            }
            let mut statement = conn.prepare("SELECT mailbox_id, email_id FROM email_index WHERE last IS NULL")?;
            let rows = statement
                .query_map(params![], |row| Ok((row.get::<_, Id>(0)?, row.get::<_, Id>(1)?)))?
                .collect::<rusqlite::Result<Vec<_>>>()?;
            transaction.finish()?;
            Ok((expected, rows))
        })?;
        for (mailbox, email) in rows {
            if !expected.get_mut(&email).is_some_and(|places| places.remove(&mailbox)) {
                self.find(
                    format!("index of mailbox {mailbox}"),
                    format!("lists email {email}, which does not lie there"),
                    Vec::new(),
                );
            }
        }
        for (email, places) in expected {
            for mailbox in places {
                self.find(
                    format!("index of mailbox {mailbox}"),
                    format!("lacks email {email}"),
                    vec![(Kind::Email, email, Moment::Current)],
                );
            }
        }
        Ok(())
    }

    fn blobs(&mut self, depth: Depth, progress: &mut impl FnMut(u64, u64)) -> Result<()> {
        let started = Instant::now();
        let listed = self.reader.with(|conn| {
            let mut statement = conn.prepare("SELECT id FROM blobs ORDER BY id")?;
            statement.query_map([], |row| row.get::<_, Id>(0))?.collect::<rusqlite::Result<Vec<_>>>()
        });
        let ids = match listed {
            Ok(ids) => ids,
            Err(error) => {
                self.find("blobs".to_owned(), error.to_string(), Vec::new());
                return Ok(());
            }
        };
        self.verdict.blobs = ids.len() as u64;
        let present: HashSet<Id> = ids.iter().copied().collect();
        let mut missing: Vec<Id> = self.users.keys().copied().filter(|id| !present.contains(id)).collect();
        missing.sort_unstable();
        for id in missing {
            let affected = self.users.get(&id).cloned().unwrap_or_default();
            self.find(format!("blob {id}"), "is missing", affected);
        }
        self.verdict.is_full = depth.sample >= 1.0;
        let total = ids.len() as u64;
        for (at, id) in ids.into_iter().enumerate() {
            if depth.max_duration.is_some_and(|limit| started.elapsed() > limit) {
                self.verdict.is_full = false;
                break;
            }
            if !sampled(id, depth) {
                continue;
            }
            let outcome = self.reader.with(|conn| match blob::find(conn, id)? {
                Some(blob) => Ok((blob.size, blob::is_sound(conn, &blob)?)),
                None => Ok((0, false)),
            });
            self.verdict.blobs_hashed += 1;
            match outcome {
                Ok((size, true)) => self.verdict.bytes_hashed += size,
                Ok((_, false)) => {
                    let affected = self.users.get(&id).cloned().unwrap_or_default();
                    self.find(format!("blob {id}"), "its bytes do not match its digest", affected);
                }
                Err(error) => {
                    let affected = self.users.get(&id).cloned().unwrap_or_default();
                    self.find(format!("blob {id}"), error.to_string(), affected);
                }
            }
            progress(at as u64 + 1, total);
        }
        Ok(())
    }
}

/// True for the blobs of the sample: spread evenly, the same ones for the same seed.
fn sampled(id: Id, depth: Depth) -> bool {
    if depth.sample >= 1.0 {
        return true;
    }
    // SplitMix64: neighbours get numbers that have nothing to do with each other.
    let mut mixed = (id as u64 ^ depth.seed).wrapping_add(0x9E37_79B9_7F4A_7C15);
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    mixed ^= mixed >> 31;
    (mixed as f64) < depth.sample * (u64::MAX as f64)
}

/// All blobs that a row refers to.
fn blobs_of(record: &Record) -> Vec<Id> {
    let mut blobs: BTreeSet<Id> =
        record.blob.into_iter().chain(record.original.iter().map(|(blob, _)| *blob)).collect();
    if let Some(data) = record.text("data").filter(|data| data.contains("@blob")) {
        super::history::blobs_in_text(data, &mut blobs);
    }
    blobs.into_iter().collect()
}

fn check_record(record: &Record, ids: &BTreeMap<Kind, HashSet<Id>>, findings: &mut Vec<(Id, String)>) {
    let mut find = |what: String| findings.push((record.id, what));
    if record.id <= 0 {
        find("its id is not positive".to_owned());
    }
    for (kind, column, opens) in JSON {
        if kind != record.kind {
            continue;
        }
        match record.text(column) {
            Some(text) if !is_json(text, opens) => find(format!("its {column} is not the JSON that it should be")),
            None if !matches!(column, "reply_to" | "bcc") => {
                find(format!("its {column} is missing or larger than 32 MiB"))
            }
            _ => {}
        }
    }
    let container = match record.kind {
        Kind::Email => Some((Kind::Mailbox, "mailbox_ids")),
        Kind::CalendarEvent => Some((Kind::Calendar, "calendar_ids")),
        Kind::ContactCard => Some((Kind::AddressBook, "address_book_ids")),
        _ => None,
    };
    if let Some((kind, column)) = container {
        for id in super::index::parse_ids(record.text(column).unwrap_or("[]")) {
            if !ids.get(&kind).is_some_and(|known| known.contains(&id)) {
                find(format!("lies in {} {id}, which does not exist", kind.name()));
            }
        }
    }
    if let Some(parent) = record.number("parent_id")
        && !ids.get(&record.kind).is_some_and(|known| known.contains(&parent))
    {
        find(format!("lies in {} {parent}, which does not exist", record.kind.name()));
    }
    if record.kind == Kind::Email
        && record.text("received_at").is_none_or(|text| text.parse::<jiff::Timestamp>().is_err())
    {
        find("its received_at is no date".to_owned());
    }
    if matches!(record.kind, Kind::Email | Kind::SieveScript) && record.blob.is_none() {
        find("has no bytes".to_owned());
    }
}

fn is_json(text: &str, opens: char) -> bool {
    text.trim_start().starts_with(opens)
        && !is_too_deep(text)
        && serde_json::from_str::<serde::de::IgnoredAny>(text).is_ok()
}

/// True if the JSON is nested deeper than readers go (serde_json's limit, which skipping over a value does not have).
fn is_too_deep(text: &str) -> bool {
    let (mut depth, mut in_string, mut escaped) = (0_u32, false, false);
    for byte in text.bytes() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if in_string => escaped = true,
            b'"' => in_string = !in_string,
            b'[' | b'{' if !in_string => depth += 1,
            b']' | b'}' if !in_string => depth = depth.saturating_sub(1),
            _ => {}
        }
        if depth > 127 {
            return true;
        }
    }
    false
}

/// Rows from which the way up never reaches the top.
fn in_cycles(parents: &HashMap<Id, Id>) -> Vec<Id> {
    let mut safe: HashSet<Id> = HashSet::new();
    let mut bad: BTreeSet<Id> = BTreeSet::new();
    for start in parents.keys() {
        let mut path = Vec::new();
        let mut on_path = HashSet::new();
        let mut at = *start;
        loop {
            if safe.contains(&at) || bad.contains(&at) {
                break;
            }
            if !on_path.insert(at) {
                let from = path.iter().position(|id| *id == at).unwrap_or(0);
                bad.extend(&path[from..]);
                break;
            }
            path.push(at);
            match parents.get(&at) {
                Some(parent) => at = *parent,
                None => break,
            }
        }
        safe.extend(path.into_iter().filter(|id| !bad.contains(id)));
    }
    bad.into_iter().collect()
}
