//! `vandelay inspect ARCHIVE [TYPE]`.

use super::args::ArchiveAt;
use super::diff::field;
use super::files::tree_at;
use super::json::{self, on_disk};
use super::opened::{open_archive, said as lacks};
use super::table::{Column, Table, fit, fit_end, padded};
use super::ui::{Ui, bytes, thousands};
use crate::archive::{Moment, Reader, Record, SnapshotSpec, Statistics, epoch, rfc3339};
use crate::error::{Error, ErrorKind, Result};
use crate::model::objects::Properties;
use crate::model::{Id, ObjectType};
use crate::tree::{Label, Tree};
use clap::Args;
use std::cell::Cell;
use std::collections::{HashMap, HashSet};
use std::sync::Arc;

/// How wide the names of what is counted are.
const NAMES: usize = 20;

/// How wide the counts are.
const COUNTS: usize = 12;

/// The deepest level of a tree that is indented.
const DEPTH_MAX: usize = 15;

const MAILBOXES: [Column; 4] =
    [Column::number("ID", 6), Column::text("NAME", 46), Column::text("ROLE", 12), Column::number("MESSAGES", 10)];
const FILES: [Column; 4] =
    [Column::number("ID", 6), Column::text("NAME, PATH BELOW", 46), Column::text("TYPE", 12), Column::rest("ROLE")];

#[derive(Args)]
pub(crate) struct Inspect {
    #[command(flatten)]
    archive: ArchiveAt,
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
    pub(crate) fn run(self, ui: &Ui) -> Result<()> {
        let reader = Arc::new(open_archive(&self.archive.archive, ui)?);
        let moment = reader.resolve(self.archive.moment.at)?;
        match self.kind {
            None => self.summary(&reader, moment, ui),
            Some(kind @ (ObjectType::Mailbox | ObjectType::FileNode)) => {
                containers(&reader, kind, moment, self.part(), ui)
            }
            Some(kind) => self.list(&reader, kind, moment, ui),
        }
    }

    /// How many objects are left out, and how many are listed then.
    fn part(&self) -> (usize, usize) {
        let limit = self.limit.map_or(usize::MAX, |limit| usize::try_from(limit).unwrap_or(usize::MAX));
        (usize::try_from(self.offset).unwrap_or(usize::MAX), limit)
    }

    fn list(&self, reader: &Arc<Reader>, kind: ObjectType, moment: Moment, ui: &Ui) -> Result<()> {
        let mut ids = Vec::new();
        reader.each_record(kind, moment, |record| ids.push(record.id))?;
        ids.sort_unstable();
        let (offset, limit) = self.part();
        let tree = tree_at(reader, moment)?;
        let columns = columns(kind);
        let mut table = None;
        if ids.len() <= offset && !ui.json {
            ui.info("no such objects");
        }
        let total = ids.len();
        for id in ids.into_iter().skip(offset).take(limit) {
            let record = reader
                .record(kind, moment, id)?
                .ok_or_else(|| Error::new(ErrorKind::Damaged, format!("{} {id} is gone", kind.name())))?;
            if ui.json {
                ui.object("object", to_json(&record, &tree)?);
            } else {
                show(table.get_or_insert_with(|| Table::new(ui, &columns)), &record, &label(&tree, &record)?);
            }
        }
        if ui.json {
            end(reader, kind, moment, (total, self.part()), ui);
        }
        Ok(())
    }

    fn summary(&self, reader: &Reader, moment: Moment, ui: &Ui) -> Result<()> {
        let mut counts = Vec::new();
        for kind in ObjectType::ALL {
            counts.push((kind, reader.count_records(kind, moment)?));
        }
        let statistics = reader.statistics()?;
        let snapshots = reader.snapshots()?;
        if ui.json {
            let types: serde_json::Map<String, serde_json::Value> = counts
                .iter()
                .map(|(kind, count)| (kind.token().to_owned(), serde_json::json!({ "count": count })))
                .collect();
            ui.object("summary", serde_json::json!({
                "archive": on_disk(reader.path()),
                    "snapshot": json::snapshot(moment),
                "account": reader.account()?,
                "sources": reader.sources()?.iter().map(|(kind, url, account)| json::source(kind, Some(url), Some(account))).collect::<Vec<_>>(),
                "types": types,
                "blobs": statistics.blobs,
                    "blobs_size": statistics.bytes,
                    "largest_size": statistics.largest,
                    "referenced_size": statistics.referenced,
                    "file_size": statistics.file,
                "snapshots": snapshots.len(),
                "latest_snapshot": snapshots.last().map(|snapshot| snapshot.id),
                "incomplete": json::incomplete(reader.incomplete()?.as_ref()),
            }));
            return Ok(());
        }
        let rest = ui.width() - NAMES - 2;
        let said = |name: &str, text: &str| ui.line(&format!("{}  {text}", padded(name, NAMES)));
        said("archive", &fit_end(&ui.shown(&reader.path().display().to_string()), rest));
        for (kind, url, account) in reader.sources()? {
            said("source", &fit(&ui.shown(&format!("{kind} {url} ({account})")), rest));
        }
        if let Some(incomplete) = reader.incomplete()? {
            said("incomplete copy", &fit(&ui.shown(&lacks(&incomplete)), rest));
        }
        if let (true, Moment::Snapshot(snapshot)) = (self.archive.moment.at != SnapshotSpec::Latest, moment) {
            said("objects", &format!("those of snapshot {snapshot}; all else is as it is now"));
        }
        let counted = |name: &str, count: &str, remark: &str| {
            let line = format!("{} {count:>COUNTS$}  {remark}", padded(name, NAMES));
            ui.line(fit(&ui.shown(&line), ui.width()).trim_end());
        };
        for (kind, count) in counts {
            counted(kind.token(), &thousands(count), "");
        }
        let Statistics { blobs, bytes: stored, largest, referenced, file } = statistics;
        counted("blobs", &thousands(blobs), &format!("{} in all, largest {}", bytes(stored), bytes(largest)));
        if referenced > stored && stored > 0 {
            counted("", "", &format!("{} without deduplication", bytes(referenced)));
        }
        counted("file", &bytes(file), "");
        let latest = match snapshots.last() {
            Some(last) => {
                let when = rfc3339(epoch(last.ended.as_deref().unwrap_or(&last.started)));
                format!("latest {}, {} at {when}", last.id, last.state)
            }
            None if reader.has_history() => String::new(),
            None => "(an archive of vandelay 1.x)".to_owned(),
        };
        counted("snapshots", &thousands(snapshots.len() as u64), &latest);
        Ok(())
    }
}

/// The last object of a list: how many there are, and how many of them stand in it.
fn end(reader: &Reader, kind: ObjectType, moment: Moment, (total, (offset, limit)): (usize, (usize, usize)), ui: &Ui) {
    let fields = serde_json::json!({
        "archive": on_disk(reader.path()), "snapshot": json::snapshot(moment), "type": kind.token(),
        "count": total.saturating_sub(offset).min(limit), "total": total,
    });
    ui.object("summary", fields);
}

/// Mailboxes and files as an indented tree, as 1.x shows them.
fn containers(
    reader: &Arc<Reader>,
    kind: ObjectType,
    moment: Moment,
    (offset, limit): (usize, usize),
    ui: &Ui,
) -> Result<()> {
    let records = reader.records(kind, moment)?;
    let tree = tree_at(reader, moment)?;
    if ui.json {
        for record in records.iter().skip(offset).take(limit) {
            ui.object("object", to_json(record, &tree)?);
        }
        end(reader, kind, moment, (records.len(), (offset, limit)), ui);
        return Ok(());
    }
    if records.len() <= offset {
        ui.info("no such objects");
        return Ok(());
    }
    let mut messages: HashMap<Id, u64> = HashMap::new();
    if kind == ObjectType::Mailbox {
        reader.each_record(ObjectType::Email, moment, |record| {
            for mailbox in record.email().mailboxes {
                *messages.entry(mailbox).or_default() += 1;
            }
        })?;
    }
    let table = Table::new(ui, if kind == ObjectType::Mailbox { &MAILBOXES } else { &FILES });
    let place = Cell::new(0);
    let show = |record: &Record, before: &str| -> Result<()> {
        let at = place.replace(place.get() + 1);
        if at < offset || at - offset >= limit {
            return Ok(());
        }
        let (id, name) = (record.id.to_string(), format!("{before}{}", record.name()));
        if kind == ObjectType::Mailbox {
            let count = thousands(messages.get(&record.id).copied().unwrap_or(0));
            table.row(&[&id, &name, record.mailbox().role.as_deref().unwrap_or_default(), &count]);
        } else {
            let node = record.file_node();
            table.row(&[&id, &name, node.node_type.name(), node.role.as_deref().unwrap_or_default()]);
            show_path(&table, &label(&tree, record)?);
        }
        Ok(())
    };
    let known: HashSet<Id> = records.iter().map(|record| record.id).collect();
    let mut children: HashMap<Option<Id>, Vec<&Record>> = HashMap::new();
    for record in &records {
        let parent = record.properties().parent().filter(|parent| known.contains(parent) && *parent != record.id);
        children.entry(parent).or_default().push(record);
    }
    let mut shown = HashSet::new();
    let mut stack: Vec<(&Record, usize)> =
        children.get(&None).into_iter().flatten().rev().map(|record| (*record, 0)).collect();
    while let Some((record, depth)) = stack.pop() {
        if !shown.insert(record.id) {
            continue;
        }
        show(record, &"  ".repeat(depth.min(DEPTH_MAX)))?;
        stack.extend(children.get(&Some(record.id)).into_iter().flatten().rev().map(|child| (*child, depth + 1)));
    }
    for record in records.iter().filter(|record| !shown.contains(&record.id)) {
        show(record, "(is inside itself) ")?;
    }
    Ok(())
}

/// The columns of a list of objects of this type.
fn columns(kind: ObjectType) -> Vec<Column> {
    let id = Column::number("ID", 6);
    match kind {
        ObjectType::Email => {
            vec![id, Column::text("DATE (UTC)", 16), Column::text("FROM", 20), Column::rest("SUBJECT, PATH BELOW")]
        }
        ObjectType::ContactCard => vec![id, Column::text("NAME", 30), Column::rest("UID, PATH BELOW")],
        ObjectType::CalendarEvent => vec![id, Column::text("START", 20), Column::rest("TITLE, PATH BELOW")],
        ObjectType::Identity => vec![id, Column::text("NAME", 30), Column::rest("EMAIL")],
        ObjectType::ParticipantIdentity => vec![id, Column::text("NAME", 30), Column::rest("ADDRESS")],
        ObjectType::VacationResponse => vec![id, Column::text("ENABLED", 7), Column::rest("SUBJECT")],
        ObjectType::SieveScript => vec![id, Column::text("ACTIVE", 7), Column::rest("NAME")],
        ObjectType::AddressBook | ObjectType::Calendar => vec![id, Column::text("DEFAULT", 7), Column::rest("NAME")],
        ObjectType::Mailbox | ObjectType::FileNode => vec![id, Column::rest("NAME")],
    }
}

/// Prints an object for people.
fn show(table: &Table<'_, '_>, record: &Record, label: &Label) {
    let id = record.id.to_string();
    let field = |name: &str| field(label, name).unwrap_or_default();
    let yes = |is_so: bool| if is_so { "yes" } else { "" };
    match record.properties() {
        Properties::Email(_) => {
            table.row(&[&id, &minute(field("date")), name_of(field("from")), field("subject")]);
            show_path(table, label);
        }
        Properties::ContactCard(card) => {
            table.row(&[&id, field("name"), &card.uid]);
            show_path(table, label);
        }
        Properties::CalendarEvent(_) => {
            let start = field("start");
            table.row(&[&id, if start.is_empty() { field("due") } else { start }, field("title")]);
            show_path(table, label);
        }
        Properties::Identity(identity) => table.row(&[&id, &identity.name, &identity.email]),
        Properties::ParticipantIdentity(identity) => table.row(&[&id, &identity.name, &identity.calendar_address]),
        Properties::VacationResponse(response) => table.row(&[&id, yes(response.is_enabled), field("subject")]),
        Properties::SieveScript(script) => table.row(&[&id, yes(script.is_active), &script.name]),
        Properties::AddressBook(book) => table.row(&[&id, yes(book.is_default), &book.name]),
        Properties::Calendar(calendar) => table.row(&[&id, yes(calendar.is_default), &calendar.name]),
        Properties::Mailbox(_) | Properties::FileNode(_) => table.row(&[&id, record.name()]),
    }
}

/// Prints where an object lies in the tree.
fn show_path(table: &Table<'_, '_>, label: &Label) {
    if let Some((first, more)) = label.paths.split_first() {
        let more = if more.is_empty() { String::new() } else { format!(" (and {} more)", more.len()) };
        table.below(&format!("{first}{more}"));
    }
}

/// `2026-03-01 10:00` of a time in RFC 3339.
fn minute(time: &str) -> String {
    time.chars().take(16).map(|c| if c == 'T' { ' ' } else { c }).collect()
}

/// The name in an address, or the address if it has none.
fn name_of(from: &str) -> &str {
    from.split_once(" <").map_or(from, |(name, _)| name)
}

/// The row of an object; with its paths, and of a message also sender and subject.
fn to_json(record: &Record, tree: &Tree) -> Result<serde_json::Value> {
    let object = json::join(json::object(record.kind, Some(record.id)), record.to_json());
    Ok(match record.kind {
        ObjectType::Email => json::join(object, json::label(&label(tree, record)?)),
        // Their names and titles are among their columns.
        ObjectType::CalendarEvent | ObjectType::ContactCard | ObjectType::FileNode => {
            json::join(object, json::label(&Label { fields: Vec::new(), ..label(tree, record)? }))
        }
        _ => object,
    })
}

/// The paths of an object, and its sender, title or name. An object that cannot be read is listed all the same.
fn label(tree: &Tree, record: &Record) -> Result<Label> {
    match tree.label(record) {
        Err(error) if matches!(error.kind, ErrorKind::NotFound | ErrorKind::Damaged | ErrorKind::Unreadable) => {
            Ok(Label { fields: vec![("subject", "(cannot be read)".to_owned())], ..Label::default() })
        }
        label => label,
    }
}
