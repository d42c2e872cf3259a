//! `vandelay diff`: what differs between two snapshots, named so that a person finds the one thing, and can restore it.

use super::diff_screen::{Sections, Sides, changed_fields};
use super::json::{self, on_disk};
use super::object_row::field;
use super::opened::{open_archive, tree_at};
use super::ui::{Ui, quoted};
use crate::archive::{Difference, Moment, Record, SnapshotSpec, diff};
use crate::error::{Error, ErrorKind, Result};
use crate::model::ObjectType;
use crate::model::object_id::ObjectId;
use crate::tree::{Label, covers};
use clap::Args;
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

/// How many characters of a sender or a subject stand in a line for people.
const SHOWN: usize = 120;

/// Fields of an object in a line for people, behind its path, in this order.
const FIELDS: [&str; 9] = ["date", "start", "due", "from", "name", "email", "calendar_address", "title", "subject"];

const EXPLANATION: &str = "\
REMOVED and CHANGED are listed; what was added, moved or flagged is counted, and listed with -v.
The ID of a line restores the object:

  vandelay diff alice.sqlite 2 3
  vandelay cat alice.sqlite m4431 > lost.eml

--long has one line for each object: + added, ~ changed, - removed; the type and the number; the
path (quoted for the shell if needed); of a message the date of arrival in UTC, sender, subject
and Message-ID; of an event start and title; of a card the name. What was removed has its path at
the older snapshot, all else at the newer one:

  vandelay cat --at 2 alice.sqlite PATH > lost.eml

In a mount the same file is at .snapshots/TIME/PATH.";

#[derive(Args)]
#[command(after_help = EXPLANATION)]
pub(crate) struct Diff {
    /// The archive
    archive: PathBuf,
    /// The older snapshot: its number, a day (2026-11-21, yesterday, '2 weeks ago'), a time ('2026-11-21 18:30'), or
    /// 'latest'
    #[arg(value_parser = super::args::parse_at)]
    from: SnapshotSpec,
    /// The newer snapshot
    #[arg(value_parser = super::args::parse_at, default_value = "latest")]
    to: SnapshotSpec,
    /// One line for each object, with its path and Message-ID
    #[arg(long)]
    long: bool,
    #[command(flatten)]
    filter: Filter,
}

/// Which differences are shown.
#[derive(Args)]
#[command(next_help_heading = "What to show")]
struct Filter {
    /// Only what was removed
    #[arg(long)]
    removed: bool,
    /// Only what was added
    #[arg(long)]
    added: bool,
    /// Only what was changed: moved, renamed, flagged, edited
    #[arg(long)]
    changed: bool,
    /// Only these types, separated by commas, e.g. email,calendarevent
    #[arg(long = "type", value_name = "LIST", value_delimiter = ',', value_parser = super::import::parse_kind)]
    kinds: Vec<ObjectType>,
    /// Only what is, or was, at this path of the tree, e.g. 'mail/Projects/**' (may be repeated)
    #[arg(long = "path", value_name = "PATH")]
    paths: Vec<String>,
    /// Only the object with this id, which 'find' shows (may be repeated)
    #[arg(long = "message", alias = "id", value_name = "ID")]
    ids: Vec<ObjectId>,
}

impl Filter {
    /// True if some kinds of differences were asked for.
    fn is_by_difference(&self) -> bool {
        self.removed || self.added || self.changed
    }

    fn takes(&self, difference: Difference, record: &Record) -> bool {
        let kind = record.kind;
        if !self.ids.is_empty() && !self.ids.contains(&ObjectId { kind, id: record.id }) {
            return false;
        }
        let is_wanted = match difference {
            Difference::Added => self.added,
            Difference::Changed => self.changed,
            Difference::Removed => self.removed,
        };
        (is_wanted || !self.is_by_difference()) && (self.kinds.is_empty() || self.kinds.contains(&kind))
    }

    fn takes_paths<'p>(&self, mut paths: impl Iterator<Item = &'p String>) -> bool {
        self.paths.is_empty() || paths.any(|path| self.paths.iter().any(|pattern| covers(pattern, path)))
    }
}

impl Diff {
    pub(crate) fn run(self, ui: &Ui) -> Result<()> {
        let reader = Arc::new(open_archive(&self.archive, ui)?);
        if !reader.has_history() {
            return Err(Error::new(
                ErrorKind::Usage,
                format!("archive {} was made by vandelay 1.x and has no snapshots yet", self.archive.display()),
            )
            .hint("the next import makes the first snapshot"));
        }
        let (from, to) = (reader.resolve(self.from)?, reader.resolve(self.to)?);
        let trees = (tree_at(&reader, from)?, tree_at(&reader, to)?);
        let sides = Sides { reader, from, to, trees };
        if ui.json || self.long { self.rows(&sides, ui) } else { self.screen(&sides, ui) }
    }

    /// One line, or one object of JSON, for each that differs.
    fn rows(&self, sides: &Sides, ui: &Ui) -> Result<()> {
        let mut counts: BTreeMap<&str, [u64; 3]> = BTreeMap::new();
        let mut last = None;
        diff(&sides.reader, sides.from, sides.to, |difference, before, after| {
            let Some(record) = after.or(before) else { return Ok(()) };
            if !self.filter.takes(difference, record) {
                return Ok(());
            }
            let then = before.map(|record| sides.trees.0.label(record)).transpose()?;
            let now = after.map(|record| sides.trees.1.label(record)).transpose()?;
            if !self.filter.takes_paths([&then, &now].into_iter().flatten().flat_map(|label| &label.paths)) {
                return Ok(());
            }
            let change = Change { difference, before, after, record, then, now };
            counts.entry(record.kind.token()).or_default()[change.column()] += 1;
            if ui.json {
                ui.object("difference", change.to_json());
            } else {
                if last.replace(record.kind) != Some(record.kind) {
                    // With the closing line: a script that reads the rows meets no head.
                    ui.info(&format!("  TYPE ID PATH{}", columns(record.kind)));
                }
                ui.row(&change.to_line());
            }
            Ok(())
        })?;
        if ui.json {
            let types: BTreeMap<_, _> = counts
                .iter()
                .map(|(token, [added, changed, removed])| {
                    (token, serde_json::json!({ "added": added, "changed": changed, "removed": removed }))
                })
                .collect();
            let count: u64 = counts.values().flatten().sum();
            ui.object(
                "summary",
                serde_json::json!({
                    "archive": on_disk(&self.archive), "snapshot_before": json::snapshot(sides.from),
                    "snapshot_after": json::snapshot(sides.to), "count": count, "types": types,
                }),
            );
        } else {
            self.tell(ui, sides.from, &counts);
        }
        Ok(())
    }

    fn tell(&self, ui: &Ui, from: Moment, counts: &BTreeMap<&str, [u64; 3]>) {
        for (token, [added, changed, removed]) in counts {
            ui.info(&format!("{token}: {added} added, {changed} changed, {removed} removed"));
        }
        if counts.is_empty() {
            ui.info("no difference");
        }
        if let Moment::Snapshot(from) = from
            && counts.values().any(|[_, _, removed]| *removed > 0)
        {
            let archive = quoted(&self.archive.display().to_string());
            ui.info(&format!("to read what was removed: vandelay cat --at {from} {archive} PATH"));
        }
    }

    /// What differs in sections, for people.
    fn screen(&self, sides: &Sides, ui: &Ui) -> Result<()> {
        let mut sections = Sections::default();
        diff(&sides.reader, sides.from, sides.to, |difference, before, after| {
            let Some(record) = after.or(before) else { return Ok(()) };
            if !self.filter.takes(difference, record) {
                return Ok(());
            }
            if !self.filter.paths.is_empty() {
                let then = before.map(|record| sides.trees.0.paths_of(record.kind, record.id)).transpose()?;
                let now = after.map(|record| sides.trees.1.paths_of(record.kind, record.id)).transpose()?;
                if !self.filter.takes_paths([&then, &now].into_iter().flatten().flatten()) {
                    return Ok(());
                }
            }
            sections.add(difference, before, after);
            Ok(())
        })?;
        let is_all_listed = ui.verbose > 0 || self.filter.is_by_difference();
        sections.show(sides, &self.archive, is_all_listed, ui)
    }
}

/// An object that differs.
struct Change<'a> {
    difference: Difference,
    before: Option<&'a Record>,
    after: Option<&'a Record>,
    /// The object as it is, or as it was if it is removed.
    record: &'a Record,
    then: Option<Label>,
    now: Option<Label>,
}

impl Change<'_> {
    fn column(&self) -> usize {
        match self.difference {
            Difference::Added => 0,
            Difference::Changed => 1,
            Difference::Removed => 2,
        }
    }

    /// The label of what it is, or was.
    fn label(&self) -> Option<&Label> {
        self.now.as_ref().or(self.then.as_ref())
    }

    fn to_line(&self) -> String {
        let sign = ["+", "~", "-"][self.column()];
        let mut line = format!("{sign} {} {}", self.record.kind.token(), self.record.id);
        let Some(label) = self.label() else { return line };
        if let Some((first, more)) = label.paths.split_first() {
            line.push_str(&format!(" {}", quoted(first)));
            if !more.is_empty() {
                line.push_str(&format!(" (and {} more)", more.len()));
            }
        }
        for value in FIELDS.iter().filter_map(|name| field(label, name)) {
            line.push_str(&format!("  {}", shortened(value)));
        }
        if let Some(id) = field(label, "message_id") {
            line.push_str(&format!("  <{}>", shortened(id)));
        }
        line + &self.changes()
    }

    /// Which fields changed, and where the former state is if that is somewhere else.
    fn changes(&self) -> String {
        let (Some(before), Some(after)) = (self.before, self.after) else { return String::new() };
        let mut changes = changed_fields(before, after);
        if let (Some(then), Some(now)) = (&self.then, &self.now)
            && let Some(was) = then.paths.first().filter(|was| !now.paths.contains(was))
        {
            changes.push(format!("was {}", quoted(was)));
        }
        if changes.is_empty() { String::new() } else { format!("  ({})", changes.join(", ")) }
    }

    fn to_json(&self) -> serde_json::Value {
        let mut object = json::join(
            json::object(self.record.kind, Some(self.record.id)),
            serde_json::json!({
                "difference": self.difference,
                "before": self.before.map(Record::to_json), "after": self.after.map(Record::to_json),
            }),
        );
        if let Some(label) = self.label() {
            object = json::join(object, json::label(label));
        }
        if let (Some(then), Some(_)) = (&self.then, &self.now) {
            object["paths_before"] = then.paths.clone().into();
        }
        object
    }
}

/// What stands behind the path in the lines of this type, in the order of [`FIELDS`].
fn columns(kind: ObjectType) -> &'static str {
    match kind {
        ObjectType::Email => "  DATE (UTC)  FROM  SUBJECT  <MESSAGE-ID>",
        ObjectType::CalendarEvent => "  START OR DUE  TITLE",
        ObjectType::ContactCard => "  NAME",
        ObjectType::Identity => "  NAME  EMAIL",
        ObjectType::ParticipantIdentity => "  NAME  ADDRESS",
        ObjectType::VacationResponse => "  SUBJECT",
        ObjectType::Mailbox
        | ObjectType::SieveScript
        | ObjectType::AddressBook
        | ObjectType::Calendar
        | ObjectType::FileNode => "",
    }
}

/// A text that leaves room for others in a line.
fn shortened(text: &str) -> String {
    match text.char_indices().nth(SHOWN) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}
