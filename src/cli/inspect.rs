//! `vandelay inspect ARCHIVE [TYPE]`.

use super::args::{ArchiveAt, number};
use super::json::{self, on_disk};
use super::object_row::{COLUMNS, ObjectRow, field, folders, id, label};
use super::opened::{open_archive, tree_at};
use super::table::{Column, Table};
use super::ui::{Ui, thousands};
use super::{inspect_summary, words};
use crate::archive::{Moment, Reader, Record};
use crate::error::{Error, ErrorKind, Result};
use crate::model::objects::Properties;
use crate::model::{Id, ObjectType};
use crate::tree::{Label, Tree};
use clap::{Args, ValueEnum};
use jiff::civil::DateTime;
use std::cell::Cell;
use std::collections::{HashMap, HashSet};
use std::sync::Arc;

/// The deepest level of a tree that is indented.
const DEPTH_MAX: usize = 15;

const MAILBOXES: [Column; 4] = [
    Column::number("ID", 2).rank(1),
    Column::text("NAME", 60),
    Column::text("ROLE", 12).rank(2),
    Column::number("MESSAGES", 8),
];
const FILES: [Column; 4] = [
    Column::text("ID", 20).whole(),
    Column::text("NAME", 60),
    Column::text("TYPE", 12).rank(1),
    Column::text("ROLE", 12).rank(2),
];

/// Count what is in an archive, or list all objects of one type, with the ids by which one of them is had back.
#[derive(Args)]
pub(crate) struct Inspect {
    #[command(flatten)]
    archive: ArchiveAt,
    /// List the objects of this type: mailbox, email, identity, sievescript, addressbook, contactcard, calendar,
    /// calendarevent, participantidentity, filenode or vacationresponse
    #[arg(value_name = "TYPE", value_parser = parse_kind)]
    kind: Option<ObjectType>,
    /// Order of messages: date = by arrival, the newest last (default); id; size = the largest last
    #[arg(long, value_enum, value_name = "BY", hide_possible_values = true)]
    sort: Option<Order>,
    /// The other way round: the newest, the highest, the largest first
    #[arg(long)]
    reverse: bool,
    /// List at most this many
    #[arg(long, value_name = "N", value_parser = number::<u64>(1..=u64::MAX))]
    limit: Option<u64>,
    /// Leave out the first N
    #[arg(long, value_name = "N", default_value = "0", value_parser = number::<u64>(0..=u64::MAX))]
    offset: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Order {
    Date,
    Id,
    Size,
}

fn parse_kind(text: &str) -> Result<ObjectType, String> {
    ObjectType::from_token(text).ok_or_else(|| format!("one of {}", ObjectType::ALL.map(ObjectType::token).join(", ")))
}

impl Inspect {
    /// True for a list of objects.
    pub(crate) fn is_list(&self) -> bool {
        self.kind.is_some()
    }

    pub(crate) fn run(self, ui: &Ui) -> Result<()> {
        let reader = Arc::new(open_archive(&self.archive.archive, ui)?);
        let moment = reader.resolve(self.archive.moment.at)?;
        if self.sort.is_some() && self.kind != Some(ObjectType::Email) {
            let what = "--sort orders messages: vandelay inspect ARCHIVE email --sort date";
            return Err(Error::new(ErrorKind::Usage, what));
        }
        match self.kind {
            None => inspect_summary::print(&reader, (&self.archive, moment), ui),
            Some(kind @ (ObjectType::Mailbox | ObjectType::FileNode)) if !self.reverse => {
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

    /// The objects of a type in the order of the list.
    fn ids(&self, reader: &Reader, kind: ObjectType, moment: Moment) -> Result<Vec<Id>> {
        let order = self.sort.unwrap_or(if kind == ObjectType::Email { Order::Date } else { Order::Id });
        let mut keys: Vec<(i64, Id)> = Vec::new();
        reader.each_record(kind, moment, |record| {
            keys.push((if order == Order::Date { record.received() } else { 0 }, record.id));
        })?;
        if order == Order::Size {
            for (size, id) in &mut keys {
                *size = reader.email_blob(*id).map_or(0, |blob| i64::try_from(blob.size).unwrap_or(i64::MAX));
            }
        }
        keys.sort_unstable();
        let ids = keys.into_iter().map(|(_, id)| id);
        Ok(if self.reverse { ids.rev().collect() } else { ids.collect() })
    }

    fn list(&self, reader: &Arc<Reader>, kind: ObjectType, moment: Moment, ui: &Ui) -> Result<()> {
        let ids = self.ids(reader, kind, moment)?;
        let (total, (offset, limit)) = (ids.len(), self.part());
        let tree = tree_at(reader, moment)?;
        let table = Table::new(ui, columns(kind));
        for id in ids.into_iter().skip(offset).take(limit) {
            let record = reader
                .record(kind, moment, id)?
                .ok_or_else(|| Error::new(ErrorKind::Damaged, format!("{} {id} is gone", kind.name())))?;
            if ui.json {
                ui.object("object", to_json(&record, &tree)?);
            } else {
                let label = label(&tree, &record)?;
                add(&table, reader, &record, &label);
                path_below(&label, ui).iter().for_each(|path| table.below(path));
            }
        }
        table.end();
        end(reader, kind, moment, (total, self.part()), ui);
        Ok(())
    }
}

/// What stands behind a list: how many objects there are, and how many of them stand in it.
fn end(reader: &Reader, kind: ObjectType, moment: Moment, (total, (offset, limit)): (usize, (usize, usize)), ui: &Ui) {
    let count = total.saturating_sub(offset).min(limit);
    if ui.json {
        let fields = serde_json::json!({
            "archive": on_disk(reader.path()), "snapshot": json::snapshot(moment), "type": kind.token(), "count": count, "total": total,
        });
        ui.object("summary", fields);
        return;
    }
    let name = words::title(kind).to_lowercase();
    ui.info(&match count {
        _ if total == 0 => format!("no {name}"),
        0 => format!("no more: there are {} {name}", thousands(total as u64)),
        _ if count < total => format!("{} of {} {name}", thousands(count as u64), thousands(total as u64)),
        _ => format!("{} {name}", thousands(total as u64)),
    });
    if kind == ObjectType::Email && count > 0 {
        ui.info("To read one: vandelay cat ARCHIVE ID");
    }
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
        let (id, name) = (id(record), format!("{before}{}", record.name()));
        if kind == ObjectType::Mailbox {
            let count = thousands(messages.get(&record.id).copied().unwrap_or(0));
            table.row(&[&id, &name, record.mailbox().role.as_deref().unwrap_or_default(), &count]);
        } else {
            let node = record.file_node();
            table.row(&[&id, &name, node.node_type.name(), node.role.as_deref().unwrap_or_default()]);
            if let Some(path) = path_below(&label(&tree, record)?, ui) {
                table.below(&path);
            }
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
    table.end();
    end(reader, kind, moment, (records.len(), (offset, limit)), ui);
    Ok(())
}

const ID: Column = Column::text("ID", 20).whole();
const EVENTS: [Column; 4] =
    [ID, Column::text("START", 19).whole(), Column::rest("TITLE").at_least(12), Column::text("CALENDAR", 24).rank(1)];
const CARDS: [Column; 4] =
    [ID, Column::rest("NAME").at_least(12), Column::text("ADDRESS BOOK", 24).rank(1), Column::text("UID", 60).rank(2)];
const IDENTITIES: [Column; 3] = [ID, Column::text("NAME", 40), Column::rest("ADDRESS")];
const REPLIES: [Column; 3] = [ID, Column::text("ENABLED", 7), Column::rest("SUBJECT")];
const SCRIPTS: [Column; 3] = [ID, Column::text("ACTIVE", 7), Column::rest("NAME")];
const BOOKS: [Column; 3] = [ID, Column::text("DEFAULT", 7), Column::rest("NAME")];
const NAMES: [Column; 2] = [ID, Column::rest("NAME")];

/// The columns of a list of objects of this type.
fn columns(kind: ObjectType) -> &'static [Column] {
    match kind {
        ObjectType::Email => &COLUMNS,
        ObjectType::ContactCard => &CARDS,
        ObjectType::CalendarEvent => &EVENTS,
        ObjectType::Identity | ObjectType::ParticipantIdentity => &IDENTITIES,
        ObjectType::VacationResponse => &REPLIES,
        ObjectType::SieveScript => &SCRIPTS,
        ObjectType::AddressBook | ObjectType::Calendar => &BOOKS,
        ObjectType::Mailbox | ObjectType::FileNode => &NAMES,
    }
}

/// Adds an object to a list of its type.
fn add(table: &Table<'_, '_>, reader: &Reader, record: &Record, label: &Label) {
    let id = id(record);
    let field = |name: &str| field(label, name).unwrap_or_default();
    let yes = |is_so: bool| if is_so { "yes" } else { "" };
    match record.properties() {
        Properties::ContactCard(card) => table.row(&[&id, field("name"), &folders(label), &card.uid]),
        Properties::CalendarEvent(_) => {
            let start = field("start");
            let start = calendar_time(if start.is_empty() { field("due") } else { start });
            table.row(&[&id, &start, field("title"), &folders(label)]);
        }
        Properties::Identity(identity) => table.row(&[&id, &identity.name, &identity.email]),
        Properties::ParticipantIdentity(identity) => table.row(&[&id, &identity.name, &identity.calendar_address]),
        Properties::VacationResponse(response) => table.row(&[&id, yes(response.is_enabled), field("subject")]),
        Properties::SieveScript(script) => table.row(&[&id, yes(script.is_active), &script.name]),
        Properties::AddressBook(book) => table.row(&[&id, yes(book.is_default), &book.name]),
        Properties::Calendar(calendar) => table.row(&[&id, yes(calendar.is_default), &calendar.name]),
        Properties::Email(_) => table.cells(ObjectRow::of_message(reader, record, label).cells()),
        Properties::Mailbox(_) | Properties::FileNode(_) => table.row(&[&id, record.name()]),
    }
}

/// `1 Mar 2026 10:00` of a time without a zone (RFC 8984 section 1.4.4), as the calendar shows it.
fn calendar_time(text: &str) -> String {
    let time: Option<DateTime> = text.parse().ok();
    time.map_or_else(|| text.to_owned(), |time| time.strftime("%e %b %Y %H:%M").to_string())
}

/// Where an object lies in the tree, for those who want more.
fn path_below(label: &Label, ui: &Ui) -> Option<String> {
    let (first, more) = label.paths.split_first().filter(|_| ui.verbose > 0)?;
    Some(if more.is_empty() { first.clone() } else { format!("{first} (and {} more)", more.len()) })
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
