//! The screen of `diff`: what was removed and edited as a list, the rest in numbers, a renamed folder in one line.

use super::object_row::{self, ObjectRow, field, folders};
use super::screen::Style;
use super::table::{Table, folded_at, report};
use super::ui::{Ui, quoted, thousands};
use super::when;
use super::words::{ORDER, title};
use crate::archive::{Difference, Moment, Reader, Record, epoch};
use crate::error::Result;
use crate::model::object_id::ObjectId;
use crate::model::{Id, ObjectType};
use crate::tree::Tree;
use std::collections::{BTreeMap, HashMap};
use std::path::Path;
use std::sync::Arc;

/// The two moments that are compared.
pub(super) struct Sides {
    pub(super) reader: Arc<Reader>,
    pub(super) from: Moment,
    pub(super) to: Moment,
    pub(super) trees: (Tree, Tree),
}

/// An object by its number; lists hold no more of it, however much differs.
type Objects = Vec<(ObjectType, Id)>;

/// What differs, sorted.
#[derive(Default)]
pub(super) struct Sections {
    removed: Objects,
    added: Objects,
    /// Edited: neither moved nor flagged alone.
    changed: Objects,
    /// Folders with another name or place.
    folders: Vec<Id>,
    flags: Objects,
    /// Messages by the folders that they left and that they came into.
    moved: BTreeMap<(Vec<Id>, Vec<Id>), Vec<Id>>,
}

/// A folder that has another name: what it was called, what it is called, and how many messages went with it where that
/// is known.
type Renamed = (String, String, Option<usize>);

/// The names of the folders on both sides.
struct Names {
    before: HashMap<Id, String>,
    after: HashMap<Id, String>,
}

impl Sections {
    /// Sorts in an object that differs.
    pub(super) fn add(&mut self, difference: Difference, before: Option<&Record>, after: Option<&Record>) {
        let Some(record) = after.or(before) else { return };
        let object = (record.kind, record.id);
        match (difference, before, after) {
            (Difference::Removed, ..) => self.removed.push(object),
            (Difference::Added, ..) => self.added.push(object),
            (Difference::Changed, Some(before), Some(after)) if record.kind == ObjectType::Email => {
                let (then, now) = (before.mailbox_ids(), after.mailbox_ids());
                let without = |ids: &[Id], others: &[Id]| -> Vec<Id> {
                    ids.iter().copied().filter(|id| !others.contains(id)).collect()
                };
                if then != now {
                    let ways = (without(&then, &now), without(&now, &then));
                    self.moved.entry(ways).or_default().push(record.id);
                } else if changed_fields(before, after) == ["keywords"] {
                    self.flags.push(object);
                } else {
                    self.changed.push(object);
                }
            }
            (Difference::Changed, Some(before), Some(after)) if record.kind == ObjectType::Mailbox => {
                let has_other_name =
                    changed_fields(before, after).iter().any(|name| name == "name" || name == "parent_id");
                if has_other_name { self.folders.push(record.id) } else { self.changed.push(object) }
            }
            (Difference::Changed, ..) => self.changed.push(object),
        }
    }

    fn is_empty(&self) -> bool {
        let lists = [&self.removed, &self.added, &self.changed, &self.flags];
        lists.iter().all(|list| list.is_empty()) && self.folders.is_empty() && self.moved.is_empty()
    }

    /// Prints all sections.
    pub(super) fn show(mut self, sides: &Sides, archive: &Path, is_all_listed: bool, ui: &Ui) -> Result<()> {
        if self.is_empty() {
            ui.info("no difference");
            self.hint_at_find(sides, archive, ui)?;
            return Ok(());
        }
        report(ui, &sides.head()?);
        let names = Names {
            before: sides.folders(sides.from, &sides.trees.0)?,
            after: sides.folders(sides.to, &sides.trees.1)?,
        };
        let renamed = self.take_renamed(&names);
        let restorable = self.removed.iter().find_map(|(kind, id)| ObjectId::of(*kind, *id));
        list("REMOVED", Style::Removed, &self.removed, (sides, true), ui)?;
        self.show_moved(&names, (sides, is_all_listed), ui)?;
        for (before, after, messages) in renamed {
            let messages = messages.map(|count| format!(" ({} messages)", thousands(count as u64))).unwrap_or_default();
            section("RENAMED", Style::Changed, &format!("{before} -> {after}{messages}"), ui);
        }
        list("FLAGS", Style::Changed, &self.flags, (sides, is_all_listed), ui)?;
        list("CHANGED", Style::Changed, &self.changed, (sides, true), ui)?;
        list("ADDED", Style::Added, &self.added, (sides, is_all_listed), ui)?;
        let archive_word = quoted(&archive.display().to_string());
        if let Some(id) = restorable {
            note(&format!("Restore: vandelay cat {archive_word} {id} > lost{}", ending(id)), ui);
        }
        self.hint_at_find(sides, archive, ui)?;
        let all = if is_all_listed { "" } else { "all objects: -v; " };
        note(&format!("({all}paths and Message-IDs: --long; for programs: --json)"), ui);
        Ok(())
    }

    /// Two states say nothing of what came after the one and went before the other.
    fn hint_at_find(&self, sides: &Sides, archive: &Path, ui: &Ui) -> Result<()> {
        let (Moment::Snapshot(from), Moment::Snapshot(to)) = (sides.from, sides.to) else { return Ok(()) };
        let snapshots = sides.reader.snapshots()?;
        if snapshots.iter().any(|one| one.id > from.min(to) && one.id < from.max(to)) {
            let archive = quoted(&archive.display().to_string());
            note(&format!("What came and went in between is not shown: vandelay find {archive} --deleted"), ui);
        }
        Ok(())
    }

    /// Takes out the folders that have another name, and the messages that moved with them.
    fn take_renamed(&mut self, names: &Names) -> Vec<Renamed> {
        let mut renamed: Vec<Renamed> = Vec::new();
        for id in self.folders.drain(..) {
            match (names.before.get(&id), names.after.get(&id)) {
                (Some(before), Some(after)) if before != after => renamed.push((before.clone(), after.clone(), None)),
                _ => self.changed.push((ObjectType::Mailbox, id)),
            }
        }
        // At a source without numbers of folders one with another name is another folder.
        let is_renamed = |(left, entered): &(Vec<Id>, Vec<Id>)| match (&left[..], &entered[..]) {
            ([left], [entered]) => !names.after.contains_key(left) && !names.before.contains_key(entered),
            _ => false,
        };
        let ways: Vec<_> = self.moved.keys().filter(|ways| is_renamed(ways)).cloned().collect();
        for ways in ways {
            let count = self.moved.remove(&ways).map_or(0, |messages| messages.len());
            let (left, entered) = (ways.0[0], ways.1[0]);
            self.removed.retain(|object| *object != (ObjectType::Mailbox, left));
            self.added.retain(|object| *object != (ObjectType::Mailbox, entered));
            renamed.push((name_of(&names.before, left), name_of(&names.after, entered), Some(count)));
        }
        renamed
    }

    fn show_moved(&self, names: &Names, (sides, is_listed): (&Sides, bool), ui: &Ui) -> Result<()> {
        let count: usize = self.moved.values().map(Vec::len).sum();
        if count == 0 {
            return Ok(());
        }
        let called = |ids: &[Id], names: &HashMap<Id, String>| -> String {
            ids.iter().map(|id| name_of(names, *id)).collect::<Vec<_>>().join(" + ")
        };
        let way = |(left, entered): &(Vec<Id>, Vec<Id>)| match (left.is_empty(), entered.is_empty()) {
            (true, _) => format!("also in {}", called(entered, &names.after)),
            (false, true) => format!("not in {} any more", called(left, &names.before)),
            (false, false) => format!("{} -> {}", called(left, &names.before), called(entered, &names.after)),
        };
        let ways: Vec<String> = self
            .moved
            .iter()
            .map(|(ways, messages)| format!("{} {}", way(ways), thousands(messages.len() as u64)))
            .collect();
        section("MOVED", Style::Changed, &format!("{}    {}", thousands(count as u64), ways.join(", ")), ui);
        if is_listed {
            let moved = self.moved.values().flatten().map(|id| (ObjectType::Email, *id));
            rows(&moved.collect::<Objects>(), sides, ui)?;
        }
        Ok(())
    }
}

/// A line of the screen that begins a section.
fn section(word: &str, style: Style, text: &str, ui: &Ui) {
    let indent = 10;
    for (at, line) in folded_at(&ui.shown(text), ui.width().saturating_sub(indent)).into_iter().enumerate() {
        let word = if at == 0 { word } else { "" };
        ui.spans(&[(style, format!("{word:<9} ")), (Style::Plain, line)]);
    }
}

/// A note in as many lines as it needs.
fn note(text: &str, ui: &Ui) {
    folded_at(&ui.shown(text), ui.width()).iter().for_each(|line| ui.info(line));
}

/// Prints a section: its numbers, and its objects if they are to be listed.
fn list(
    word: &str,
    style: Style,
    objects: &[(ObjectType, Id)],
    (sides, is_listed): (&Sides, bool),
    ui: &Ui,
) -> Result<()> {
    if objects.is_empty() {
        return Ok(());
    }
    let counts = ORDER.iter().filter_map(|kind| {
        let count = objects.iter().filter(|(other, _)| other == kind).count();
        (count > 0).then(|| format!("{} {}", title(*kind).to_lowercase(), thousands(count as u64)))
    });
    let counts: Vec<String> = counts.collect();
    let is_mail = objects.iter().all(|(kind, _)| *kind == ObjectType::Email);
    let counts = if is_mail { String::new() } else { format!("    {}", counts.join(", ")) };
    section(word, style, &format!("{}{counts}", thousands(objects.len() as u64)), ui);
    if is_listed { rows(objects, sides, ui) } else { Ok(()) }
}

fn rows(objects: &[(ObjectType, Id)], sides: &Sides, ui: &Ui) -> Result<()> {
    let table = Table::new(ui, &object_row::COLUMNS);
    for (kind, id) in objects {
        let (before, after) =
            (sides.reader.record(*kind, sides.from, *id)?, sides.reader.record(*kind, sides.to, *id)?);
        let (record, tree) = match (&after, &before) {
            (Some(after), _) => (after, &sides.trees.1),
            (None, Some(before)) => (before, &sides.trees.0),
            (None, None) => continue,
        };
        let label = object_row::label(tree, record)?;
        let mut row = match kind {
            ObjectType::Email => ObjectRow::of_message(&sides.reader, record, &label),
            _ => {
                let path = label.paths.first().map_or("", String::as_str);
                let name = ["title", "name", "subject"].iter().find_map(|name| field(&label, name));
                ObjectRow {
                    id: object_row::id(record),
                    subject: name.unwrap_or_else(|| path.rsplit('/').next().unwrap_or_default()).to_owned(),
                    folder: folders(&label),
                    ..ObjectRow::default()
                }
            }
        };
        if let (Some(before), Some(after)) = (&before, &after) {
            row.status = (how(before, after), Style::Changed);
        }
        table.cells(row.cells());
    }
    Ok(())
}

/// What changed: `+flagged -seen`, or the names of the properties.
fn how(before: &Record, after: &Record) -> String {
    let keywords = |record: &Record| -> Vec<String> {
        let json = record.to_json();
        let words = json["keywords"].as_array().into_iter().flatten().filter_map(|word| word.as_str());
        words.map(|word| word.trim_start_matches('$').to_owned()).collect()
    };
    let (then, now) = (keywords(before), keywords(after));
    let come = now.iter().filter(|word| !then.contains(word)).map(|word| format!("+{word}"));
    let gone = then.iter().filter(|word| !now.contains(word)).map(|word| format!("-{word}"));
    let flags: Vec<String> = come.chain(gone).collect();
    let fields = changed_fields(before, after);
    let others = fields.iter().filter(|name| *name != "keywords").map(|name| match name.as_str() {
        "mailbox_ids" | "mailboxes" => "moved".to_owned(),
        name => name.to_owned(),
    });
    flags.into_iter().chain(others).collect::<Vec<_>>().join(" ")
}

/// The properties that changed.
pub(super) fn changed_fields(before: &Record, after: &Record) -> Vec<String> {
    let (before, after) = (before.to_json(), after.to_json());
    let fields = after.as_object().into_iter().flatten();
    fields.filter(|(name, value)| before[name.as_str()] != **value).map(|(name, _)| name.clone()).collect()
}

fn name_of(names: &HashMap<Id, String>, id: Id) -> String {
    names.get(&id).cloned().unwrap_or_else(|| format!("folder {id}"))
}

/// The end of the name of a file with such an object.
fn ending(id: ObjectId) -> &'static str {
    match id.kind {
        ObjectType::Email => ".eml",
        ObjectType::CalendarEvent => ".ics",
        ObjectType::ContactCard => ".vcf",
        ObjectType::SieveScript => ".sieve",
        _ => "",
    }
}

impl Sides {
    /// `15 (Sun 22 Nov 2026 04:17) -> 16 (Mon 23 Nov 2026 16:17) (Europe/Berlin)`
    fn head(&self) -> Result<String> {
        let snapshots = self.reader.snapshots()?;
        let called = |moment: Moment| match moment {
            Moment::Current => "now".to_owned(),
            Moment::Snapshot(id) => {
                let found = snapshots.iter().find(|one| one.id == id);
                let time = found.map(|one| epoch(one.ended.as_deref().unwrap_or(&one.started)));
                let time = time.map(|time| format!(" ({})", when::weekday_time(time).replace("  ", " ")));
                format!("{id}{}", time.unwrap_or_default())
            }
        };
        Ok(format!("{} -> {}  {}", called(self.from), called(self.to), when::zone()))
    }

    /// The folders of a moment by their numbers.
    fn folders(&self, moment: Moment, tree: &Tree) -> Result<HashMap<Id, String>> {
        let mut ids = Vec::new();
        self.reader.each_record(ObjectType::Mailbox, moment, |record| ids.push(record.id))?;
        let mut folders = HashMap::new();
        for id in ids {
            // One that cannot be read goes by its number.
            if let Some(path) = tree.paths_of(ObjectType::Mailbox, id).ok().and_then(|paths| paths.into_iter().next()) {
                folders.insert(id, path.strip_prefix("mail/").unwrap_or(&path).to_owned());
            }
        }
        Ok(folders)
    }
}
