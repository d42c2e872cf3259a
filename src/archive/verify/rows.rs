//! Every row of the current state by itself, and what it refers to.

use super::Check;
use crate::archive::columns::parse_ids;
use crate::archive::moment::Moment;
use crate::archive::rows_read::{Record, Window};
use crate::model::{Id, ObjectType};
use serde::de::IgnoredAny;
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

/// How many rows are looked at together.
const PAGE: i64 = 5_000;

/// JSON columns of a type, with what they must be.
const JSON: [(ObjectType, &str, char); 9] = [
    (ObjectType::Email, "mailbox_ids", '['),
    (ObjectType::Email, "keywords", '['),
    (ObjectType::Email, "message_match", '{'),
    (ObjectType::ContactCard, "address_book_ids", '['),
    (ObjectType::ContactCard, "data", '{'),
    (ObjectType::CalendarEvent, "calendar_ids", '['),
    (ObjectType::CalendarEvent, "data", '{'),
    (ObjectType::Identity, "reply_to", '['),
    (ObjectType::Identity, "bcc", '['),
];

/// Containers of all types: those that exist.
type Containers = BTreeMap<ObjectType, HashSet<Id>>;

impl Check<'_> {
    pub(super) fn rows(&mut self) -> rusqlite::Result<()> {
        let mut containers = Containers::new();
        for kind in ObjectType::CONTAINERS {
            let ids = containers.entry(kind).or_default();
            self.each_row(kind, |record| {
                // A file below a file is one that no path leads to.
                if kind != ObjectType::FileNode || record.text("node_type") == Some("directory") {
                    ids.insert(record.id);
                }
            })?;
        }
        for kind in ObjectType::ALL {
            let mut findings = Vec::new();
            let mut parents: HashMap<Id, Id> = HashMap::new();
            let mut count = 0;
            let listed = self.each_row(kind, |record| {
                count += 1;
                check_record(&record, &containers, &mut findings);
                if let Some(parent) = record.number("parent_id") {
                    parents.insert(record.id, parent);
                }
            });
            if let Err(error) = listed {
                findings.push((0, error.to_string()));
            }
            findings.extend(in_cycles(&parents).into_iter().map(|id| (id, "lies in itself".to_owned())));
            self.verdict.objects += count;
            for (id, what) in findings {
                self.find(format!("{} {id}", kind.name()), what, vec![(kind, id, Moment::Current)]);
            }
        }
        Ok(())
    }

    /// Every row of the current state of a type.
    fn each_row(&self, kind: ObjectType, mut each: impl FnMut(Record)) -> rusqlite::Result<()> {
        let mut after = i64::MIN;
        loop {
            self.connection.restart_budget();
            let (last, records) =
                self.reader.page(self.conn, kind, Moment::Current, Window::After { after, limit: PAGE })?;
            records.into_iter().for_each(&mut each);
            match last {
                Some(last) => after = last,
                None => return Ok(()),
            }
        }
    }
}

fn check_record(record: &Record, ids: &BTreeMap<ObjectType, HashSet<Id>>, findings: &mut Vec<(Id, String)>) {
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
        ObjectType::Email => Some((ObjectType::Mailbox, "mailbox_ids")),
        ObjectType::CalendarEvent => Some((ObjectType::Calendar, "calendar_ids")),
        ObjectType::ContactCard => Some((ObjectType::AddressBook, "address_book_ids")),
        _ => None,
    };
    if let Some((kind, column)) = container {
        for id in parse_ids(record.text(column).unwrap_or("[]")) {
            if !ids.get(&kind).is_some_and(|known| known.contains(&id)) {
                find(format!("lies in {} {id}, which does not exist", kind.name()));
            }
        }
    }
    if let Some(parent) = record.number("parent_id")
        && !ids.get(&record.kind).is_some_and(|known| known.contains(&parent))
    {
        let what = if record.kind == ObjectType::FileNode { "which is no directory" } else { "which does not exist" };
        find(format!("lies in {} {parent}, {what}", record.kind.name()));
    }
    if record.kind == ObjectType::Email
        && record.text("received_at").is_none_or(|text| text.parse::<jiff::Timestamp>().is_err())
    {
        find("its received_at is no date".to_owned());
    }
    if matches!(record.kind, ObjectType::Email | ObjectType::SieveScript) && record.blob.is_none() {
        find("has no bytes".to_owned());
    }
}

fn is_json(text: &str, opens: char) -> bool {
    text.trim_start().starts_with(opens) && !is_too_deep(text) && serde_json::from_str::<IgnoredAny>(text).is_ok()
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
