//! `vandelay inspect ARCHIVE [TYPE]`.

use super::args::Source;
use super::ui::{Ui, bytes, thousands};
use crate::archive::{Reader, Record, Statistics, epoch, rfc3339};
use crate::error::{Error, ErrorKind, Result};
use crate::model::{Id, ObjectType};
use clap::Args;
use std::collections::{HashMap, HashSet};

#[derive(Args)]
pub struct Inspect {
    #[command(flatten)]
    source: Source,
    /// List the objects of this type: mailbox, email, identity, sievescript, addressbook, contactcard, calendar,
    /// calendarevent, participantidentity, filenode or vacationresponse
    #[arg(value_name = "TYPE", value_parser = parse_kind)]
    kind: Option<ObjectType>,
    /// List at most this many
    #[arg(long, value_parser = clap::value_parser!(u64).range(1..))]
    limit: Option<u64>,
    /// Leave out the first ones
    #[arg(long, default_value_t = 0)]
    offset: u64,
}

fn parse_kind(text: &str) -> Result<ObjectType, String> {
    ObjectType::from_token(text).ok_or_else(|| format!("one of {}", ObjectType::ALL.map(ObjectType::token).join(", ")))
}

impl Inspect {
    pub fn run(self, ui: &Ui) -> Result<()> {
        let reader = Reader::open(&self.source.archive)?;
        match self.kind {
            None => self.summary(&reader, ui),
            Some(kind @ (ObjectType::Mailbox | ObjectType::FileNode)) => self.tree(&reader, kind, ui),
            Some(kind) => self.list(&reader, kind, ui),
        }
    }

    fn summary(&self, reader: &Reader, ui: &Ui) -> Result<()> {
        let moment = reader.resolve(self.source.at.at)?;
        let mut counts = Vec::new();
        for kind in ObjectType::ALL {
            let mut count = 0_u64;
            reader.each_record(kind, moment, |_| count += 1)?;
            counts.push((kind, count));
        }
        let statistics = reader.statistics()?;
        let snapshots = reader.snapshots()?;
        if ui.json {
            let types: serde_json::Map<String, serde_json::Value> =
                counts.iter().map(|(kind, count)| (kind.token().to_owned(), (*count).into())).collect();
            ui.object(&serde_json::json!({
                "message_type": "summary",
                "archive": reader.path().display().to_string(),
                "account": reader.account()?,
                "sources": reader.sources()?.into_iter().map(|(kind, url, account)| serde_json::json!({"kind": kind, "url": url, "account": account})).collect::<Vec<_>>(),
                "types": types,
                "blobs": statistics,
                "snapshots": snapshots.len(),
                "latest": snapshots.last().map(|snapshot| snapshot.id),
            }));
            return Ok(());
        }
        ui.line(&format!("archive   {}", reader.path().display()));
        for (kind, url, account) in reader.sources()? {
            ui.line(&format!("source    {kind} {url} ({account})"));
        }
        for (kind, count) in counts {
            ui.line(&format!("{:<20} {:>12}", kind.token(), thousands(count)));
        }
        let Statistics { blobs, bytes: stored, largest, referenced, file } = statistics;
        ui.line(&format!(
            "{:<20} {:>12}  {} in all, largest {}",
            "blobs",
            thousands(blobs),
            bytes(stored),
            bytes(largest)
        ));
        if referenced > stored && stored > 0 {
            ui.line(&format!("{:<20} {:>12}  {} without deduplication", "", "", bytes(referenced)));
        }
        ui.line(&format!("{:<20} {:>12}", "file", bytes(file)));
        match snapshots.last() {
            Some(last) => {
                let when = rfc3339(epoch(last.ended.as_deref().unwrap_or(&last.started)));
                ui.line(&format!(
                    "{:<20} {:>12}  latest is {}, {} at {when}",
                    "snapshots",
                    snapshots.len(),
                    last.id,
                    last.state
                ));
            }
            None if reader.has_history() => ui.line(&format!("{:<20} {:>12}", "snapshots", 0)),
            None => ui.line(&format!("{:<20} {:>12}  (an archive of vandelay 1.x)", "snapshots", 0)),
        }
        Ok(())
    }

    /// Mailboxes and files as an indented tree, as 1.x shows them.
    fn tree(&self, reader: &Reader, kind: ObjectType, ui: &Ui) -> Result<()> {
        let moment = reader.resolve(self.source.at.at)?;
        let records = reader.records(kind, moment)?;
        if ui.json {
            records.iter().for_each(|record| ui.object(&record.to_json()));
            return Ok(());
        }
        let mut messages: HashMap<Id, u64> = HashMap::new();
        if kind == ObjectType::Mailbox {
            reader.each_record(ObjectType::Email, moment, |record| {
                for mailbox in crate::archive::parse_ids(record.text("mailbox_ids").unwrap_or("[]")) {
                    *messages.entry(mailbox).or_default() += 1;
                }
            })?;
        }
        let title = if kind == ObjectType::Mailbox { "mailboxes" } else { "file nodes" };
        ui.line(&format!("{title} ({})", records.len()));
        let known: HashSet<Id> = records.iter().map(|record| record.id).collect();
        let mut children: HashMap<Option<Id>, Vec<&Record>> = HashMap::new();
        for record in &records {
            let parent = record.number("parent_id").filter(|parent| known.contains(parent) && *parent != record.id);
            children.entry(parent).or_default().push(record);
        }
        let mut shown = HashSet::new();
        let mut stack: Vec<(&Record, usize)> =
            children.get(&None).into_iter().flatten().rev().map(|record| (*record, 0)).collect();
        while let Some((record, depth)) = stack.pop() {
            if !shown.insert(record.id) {
                continue;
            }
            let name = record.text("name").unwrap_or_default();
            ui.line(&format!("{}{name}{}", "  ".repeat(depth.min(64) + 1), remarks(record, &messages)));
            stack.extend(children.get(&Some(record.id)).into_iter().flatten().rev().map(|child| (*child, depth + 1)));
        }
        for record in records.iter().filter(|record| !shown.contains(&record.id)) {
            ui.line(&format!(
                "  {} (is inside itself){}",
                record.text("name").unwrap_or_default(),
                remarks(record, &messages)
            ));
        }
        Ok(())
    }

    fn list(&self, reader: &Reader, kind: ObjectType, ui: &Ui) -> Result<()> {
        let moment = reader.resolve(self.source.at.at)?;
        let mut ids = Vec::new();
        reader.each_record(kind, moment, |record| ids.push(record.id))?;
        ids.sort_unstable();
        let limit = self.limit.unwrap_or(u64::MAX);
        for id in ids.into_iter().skip(self.offset as usize).take(usize::try_from(limit).unwrap_or(usize::MAX)) {
            let record = reader
                .record(kind, moment, id)?
                .ok_or_else(|| Error::new(ErrorKind::Damaged, format!("{} {id} is gone", kind.name())))?;
            if ui.json {
                ui.object(&record.to_json());
            } else {
                ui.line(&line(&record));
            }
        }
        Ok(())
    }
}

fn remarks(record: &Record, messages: &HashMap<Id, u64>) -> String {
    let mut remarks: Vec<String> = record.text("role").map(|role| format!("role={role}")).into_iter().collect();
    match record.kind {
        ObjectType::Mailbox => remarks.push(format!("{} msgs", messages.get(&record.id).copied().unwrap_or(0))),
        _ => remarks.extend(record.text("node_type").map(str::to_owned)),
    }
    format!(" [{}]", remarks.join(", "))
}

/// What a person wants to see of an object.
fn line(record: &Record) -> String {
    let text = |column: &str| record.text(column).unwrap_or_default();
    match record.kind {
        ObjectType::Email => {
            format!(
                "{} {} mailboxes={} keywords={} {}",
                record.id,
                text("received_at"),
                text("mailbox_ids"),
                text("keywords"),
                text("message_match")
            )
        }
        ObjectType::ContactCard => format!("{} {} {}", record.id, text("uid"), title(text("data"), &["name", "full"])),
        ObjectType::CalendarEvent => format!("{} {} {}", record.id, text("data_type"), title(text("data"), &["title"])),
        _ => format!("{} {}", record.id, record.to_json()),
    }
}

fn title(data: &str, path: &[&str]) -> String {
    let data: serde_json::Value = serde_json::from_str(data).unwrap_or_default();
    let mut at = &data;
    for key in path {
        at = &at[*key];
    }
    at.as_str().unwrap_or_default().to_owned()
}
