//! Tasks, notes and events without a start: the draft of calendars has events alone (draft-ietf-jmap-calendars section 5),
//! and some servers take the others, too. So each goes to the account as what it is; where that is refused, as a file.

use super::objects::{self, Wanted};
use super::run::{Fate, Run};
use super::select::{TASK_FILES, TASKS, counts, made};
use crate::model::{Id, ObjectType};
use crate::sink::{BLOB, Rules};
use serde_json::json;
use std::collections::{BTreeMap, HashMap};

/// An event that may have to be a file.
pub struct Task {
    pub row: Id,
    pub uid: String,
    pub calendar: Id,
}

/// True for what a server may refuse for what it is.
pub fn may_be_a_file(one: &Wanted) -> bool {
    objects::text_of(&one.object, "@type") != Some("Event") || objects::text_of(&one.object, "start").is_none()
}

/// What it is called where it is left out, or kept as a file.
fn what(one: &Wanted) -> &'static str {
    match objects::text_of(&one.object, "@type") {
        Some("Task") => "a task",
        Some("Note") => "a note",
        _ => "an event without a start",
    }
}

/// The files that stand for them, in a directory for each calendar; `names` are those of the calendars.
pub fn files(tasks: Vec<Task>, names: &HashMap<Id, String>, rules: &Rules) -> Vec<Wanted> {
    let node = |mut wanted: Wanted, kind: &str| {
        wanted.object.insert("nodeType".to_owned(), json!(kind));
        wanted.waits = true;
        wanted
    };
    let mut wanted = vec![node(made(TASKS, None, "Tasks and notes"), "directory")];
    let mut calendars: BTreeMap<Id, ()> = BTreeMap::new();
    for Task { row, uid, calendar } in tasks {
        let place = TASKS - 1 - calendar;
        if calendars.insert(calendar, ()).is_none() {
            // A calendar without a name of its own is no reason to lose what lies in it.
            let label = names.get(&calendar).map_or("(no calendar)", String::as_str);
            wanted.push(node(made(place, Some(TASKS), &objects::file_name(label, rules)), "directory"));
        }
        let name = objects::file_name(&format!("{uid}.ics"), rules);
        let mut file = node(made(TASK_FILES - row, Some(place), &name), "file");
        file.object.insert("type".to_owned(), json!("text/calendar"));
        file.object.insert(BLOB.to_owned(), json!(-row));
        wanted.push(file);
    }
    wanted
}

impl Run<'_> {
    /// What an earlier run had to keep as a file is that file, unless the account has it as what it is by now.
    pub(super) fn find_files_of_events(&mut self) {
        let (Some(events), Some(files)) =
            (self.works.get(&ObjectType::CalendarEvent), self.works.get(&ObjectType::FileNode))
        else {
            return;
        };
        let there = files.wanted.iter().zip(&files.found).filter(|(one, found)| one.waits && found.is_some());
        let there: std::collections::HashSet<Id> = there.map(|(one, _)| one.id).collect();
        let is_there = |at: &usize| {
            events.found[*at].is_none() && events.wanted[*at].as_file.is_some_and(|file| there.contains(&file))
        };
        let known: Vec<usize> = (0..events.wanted.len()).filter(is_there).collect();
        known.into_iter().for_each(|at| {
            self.becomes_a_file(at);
        });
    }

    /// An event that the account does not take is kept as a file. False if it cannot be.
    pub(super) fn becomes_a_file(&mut self, at: usize) -> bool {
        if !self.works.contains_key(&ObjectType::FileNode) {
            return false;
        }
        let Some(work) = self.works.get_mut(&ObjectType::CalendarEvent) else { return false };
        let one = &work.wanted[at];
        let Some(file) = one.as_file else { return false };
        let reason = format!("{}, kept as a file", what(one));
        work.fates[at] = Fate::Ended;
        *self.report.of(ObjectType::CalendarEvent).skipped.entry(reason).or_default() += 1;
        self.want_file(file);
        true
    }

    /// The same for all of them, where the account has no events at all: `wanted` are those that were to be events.
    pub(super) fn all_become_files(&mut self, wanted: &[Wanted]) {
        for file in wanted.iter().filter_map(|one| one.as_file) {
            self.want_file(file);
        }
    }

    /// Wants a file after all, and the directories that it lies in.
    fn want_file(&mut self, file: Id) {
        let Some(work) = self.works.get_mut(&ObjectType::FileNode) else { return };
        let mut next = Some(file);
        while let Some(at) = next.and_then(|id| work.rows.get(&id).copied()) {
            if work.fates[at] != Fate::Waiting {
                break;
            }
            work.fates[at] = Fate::Pending;
            self.report.of(ObjectType::FileNode).found += u64::from(counts(work.wanted[at].id));
            next = work.wanted[at].parent;
        }
    }

    /// An event that the account takes neither as what it is nor as a file is left out, if it is of a sort that it need not
    /// take. False for an event like all others.
    pub(super) fn has_no_place(&mut self, at: usize) -> bool {
        let Some(work) = self.works.get_mut(&ObjectType::CalendarEvent) else { return false };
        let one = &work.wanted[at];
        if !may_be_a_file(one) {
            return false;
        }
        let (reason, label) = (format!("{}: the account does not take it", what(one)), one.label.clone());
        work.fates[at] = Fate::Ended;
        self.report.skip(ObjectType::CalendarEvent, 1, &reason, label);
        true
    }
}
