//! Events that become files, and those that have no place.

use super::run::{Fate, Run};
use super::synthetic::counts;
use super::wanted::Wanted;
use crate::model::{Id, ObjectType};

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
        let (Some(file), Some(sort)) = (one.as_file, one.sort) else { return false };
        let reason = format!("{sort}, kept as a file");
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
    pub(super) fn has_no_place(&mut self, at: usize, why: &str) -> bool {
        let Some(work) = self.works.get_mut(&ObjectType::CalendarEvent) else { return false };
        let one = &work.wanted[at];
        let Some(sort) = one.sort else { return false };
        let (heading, label) = (format!("{sort}: the account does not take it"), one.draft.label.clone());
        work.fates[at] = Fate::Ended;
        let kind = ObjectType::CalendarEvent;
        self.report.remark(kind, "skipped", format!("{heading}; it says: {why}"), label);
        *self.report.of(kind).skipped.entry(heading).or_default() += 1;
        true
    }
}
