//! Creating and changing everything but messages.

use super::match_objects::levels;
use super::report::Report;
use super::retry::{Attempt, Changes, Reasons, Rest, Task, reason_of, settle};
use super::run::{Fate, Run};
use super::synthetic::counts;
use crate::error::Result;
use crate::model::ObjectType;
use crate::sink::{BlobProvider, Change, Detail, FileState, Outcome, Remote};
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

/// True for types of which an account may have two objects with one key: those without names that are unique in a parent.
fn may_be_twice(kind: ObjectType) -> bool {
    !matches!(
        kind,
        ObjectType::Mailbox
            | ObjectType::FileNode
            | ObjectType::SieveScript
            | ObjectType::VacationResponse
            | ObjectType::Email
    )
}

/// The type of what lies in a container that is no mailbox.
fn items_of(kind: ObjectType) -> Option<ObjectType> {
    match kind {
        ObjectType::Calendar => Some(ObjectType::CalendarEvent),
        ObjectType::AddressBook => Some(ObjectType::ContactCard),
        _ => None,
    }
}

/// What is missing of a type, level by level: what lies in something comes after it.
struct Creation {
    kind: ObjectType,
    /// Places of the objects that were sent so far.
    tried: BTreeSet<usize>,
    /// Those of them without an outcome.
    open: BTreeSet<usize>,
    /// Those that the target refused as it has them already.
    existing: BTreeSet<usize>,
    /// The target was looked at again after a lost answer, so it may have created an object twice.
    has_doubts: bool,
}

impl Task for Creation {
    fn attempt(&mut self, run: &mut Run<'_>, batch: usize) -> Attempt {
        let ready = run.ready(self.kind);
        self.open = ready.iter().copied().collect();
        self.tried.extend(&ready);
        run.target.expect(ready.len() as u64);
        let changes: Vec<(usize, Change)> =
            ready.into_iter().filter_map(|at| Some((at, run.creation(self.kind, at)?))).collect();
        run.write(self.kind, &mut changes.into_iter(), batch)
    }

    fn note(&mut self, run: &mut Run<'_>, at: usize, outcome: Outcome) -> Option<String> {
        let exists = matches!(outcome, Outcome::Exists(..));
        let reason = run.created(self.kind, at, outcome);
        match reason {
            Some(_) => self.existing.extend(exists.then_some(at)),
            None => drop(self.open.remove(&at)),
        }
        reason
    }

    fn rest(&self, run: &Run<'_>) -> Rest {
        match (self.open.is_empty(), run.ready(self.kind).is_empty()) {
            (false, _) => Rest::Open,
            (true, false) => Rest::More,
            (true, true) => Rest::Nothing,
        }
    }

    fn look_again(&mut self, run: &mut Run<'_>, reasons: &Reasons) -> Result<bool> {
        let kind = self.kind;
        self.has_doubts = true;
        run.target.rest(kind)?;
        run.look_at(kind)?;
        run.take_matches(kind, &self.tried);
        for at in std::mem::take(&mut self.existing) {
            // The target says that it has the object, and does not list it: a reserved name, or a place that is hidden from
            // this login.
            if run.is_pending(kind, at) {
                run.end(kind, at, &reason_of(reasons, at), Report::refuse);
            }
        }
        let before = self.open.len();
        self.open.retain(|at| run.is_pending(kind, *at));
        Ok(self.open.len() < before)
    }

    fn give_up(&mut self, run: &mut Run<'_>, reasons: &Reasons) {
        for at in std::mem::take(&mut self.open) {
            run.fail(self.kind, at, &reason_of(reasons, at));
        }
    }
}

impl Run<'_> {
    /// Asks the target what it would say to what is to be created and changed, where it can be asked: what it would refuse is
    /// in no plan.
    pub(super) fn ask_ahead(&mut self) -> Result<()> {
        for kind in self.works.keys().copied().collect::<Vec<ObjectType>>() {
            for at in 0..self.works[&kind].wanted.len() {
                let work = &self.works[&kind];
                let is_open = matches!(work.fates[at], Fate::Pending | Fate::Matched);
                if !is_open || work.found[at].is_some() && self.patch(kind, at).is_none() {
                    continue;
                }
                let Run { target, works, supply, .. } = self;
                match target.check(kind, &works[&kind].wanted[at].draft, supply)? {
                    Some(Outcome::Refused(reason) | Outcome::Kept(reason)) => {
                        self.end(kind, at, &reason, Report::refuse)
                    }
                    Some(Outcome::Full(reason) | Outcome::Unknown(reason)) => self.fail(kind, at, &reason),
                    _ => {}
                }
            }
        }
        Ok(())
    }

    /// Creates what is missing.
    pub(super) fn create(&mut self, kind: ObjectType) -> Result<()> {
        let mut creation = Creation {
            kind,
            tried: BTreeSet::new(),
            open: BTreeSet::new(),
            existing: BTreeSet::new(),
            has_doubts: false,
        };
        self.take_matches(kind, &creation.tried);
        let fates = self.works.get(&kind).map_or(&[][..], |work| &work.fates);
        let missing = fates.iter().filter(|fate| **fate == Fate::Pending).count();
        self.progress.expect(kind.token(), missing as u64);
        settle(self, &mut creation)?;
        self.give_up(kind);
        let Creation { tried, has_doubts, .. } = creation;
        if !tried.is_empty() && may_be_twice(kind) && (has_doubts || self.target.has_strangers(kind)?) {
            self.remove_twins(kind)?;
        }
        Ok(())
    }

    fn is_pending(&self, kind: ObjectType, at: usize) -> bool {
        self.works.get(&kind).is_some_and(|work| work.fates[at] == Fate::Pending)
    }

    /// Removes twins: objects that the target created although no run saw it (an answer was lost, an earlier run was
    /// killed), and that this run then created once more. A twin was not there when this run began, is equal to something
    /// that this run created, to the last property, and nothing lies in it. What a server or the user made meanwhile is
    /// something else.
    fn remove_twins(&mut self, kind: ObjectType) -> Result<()> {
        self.target.rest(kind)?;
        let (remotes, _) = self.target.objects(kind, Detail::All)?;
        let Some(work) = self.works.get(&kind) else { return Ok(()) };
        let created = (0..work.wanted.len()).filter(|at| work.fates[*at] == Fate::Created);
        let created: HashMap<&str, usize> = created.map(|at| (work.wanted[at].draft.key.as_str(), at)).collect();
        let ours: HashSet<&str> =
            self.ids.iter().filter(|((of, _), _)| *of == kind).map(|(_, id)| id.as_str()).collect();
        let is_twin = |remote: &&Remote| {
            let id = remote.id.as_str();
            !work.before.contains(id)
                && !ours.contains(id)
                && !remote.is_kept
                && created.get(remote.key.as_str()).is_some_and(|at| self.is_equal(kind, *at, remote))
        };
        let mut twins: Vec<String> = remotes.iter().filter(is_twin).map(|remote| remote.id.clone()).collect();
        if let Some(items) = items_of(kind).filter(|_| !twins.is_empty()) {
            let (items, is_complete) = self.target.objects(items, Detail::Keys)?;
            let is_free = |id: &String| items.iter().all(|item| !item.containers.contains(id));
            twins.retain(|id| is_complete && is_free(id));
        }
        if twins.is_empty() {
            return Ok(());
        }
        let what = format!("objects of the type {} had come twice, as after a lost answer", kind.token());
        self.remove_again(kind, &twins, &what)
    }

    /// Removes what came twice, by its ids, and says so.
    pub(super) fn remove_again(&mut self, kind: ObjectType, twins: &[String], what: &str) -> Result<()> {
        let mut changes = twins.iter().cloned().map(Change::Destroy).enumerate();
        let (outcomes, written) = self.write(kind, &mut changes, twins.len());
        let mut removed = 0;
        for (at, outcome) in outcomes {
            match outcome {
                Outcome::Done(..) | Outcome::Copied(_) => removed += 1,
                Outcome::Same(reason)
                | Outcome::Exists(_, reason)
                | Outcome::Refused(reason)
                | Outcome::Kept(reason)
                | Outcome::Full(reason)
                | Outcome::Unknown(reason) => {
                    self.report.remark(kind, "there twice", reason, format!("id {}", twins[at]));
                }
            }
        }
        self.report.notes.push(format!("{} {what}; {removed} were removed again", twins.len()));
        written
    }

    /// What can be created now, and has not been.
    fn ready(&self, kind: ObjectType) -> Vec<usize> {
        let Some(work) = self.works.get(&kind) else { return Vec::new() };
        for level in levels(&work.wanted) {
            let is_ready =
                |at: &usize| work.fates[*at] == Fate::Pending && self.location(kind, &work.wanted[*at]).is_some();
            let ready: Vec<usize> = level.into_iter().filter(is_ready).collect();
            if !ready.is_empty() {
                return ready;
            }
        }
        Vec::new()
    }

    /// The creation of an object: with its role, unless an object of the target has that role.
    fn creation(&self, kind: ObjectType, at: usize) -> Option<Change> {
        let work = self.works.get(&kind)?;
        let one = &work.wanted[at];
        let mut location = self.location(kind, one)?;
        let is_free = |role: &&String| work.remotes.iter().all(|remote| remote.role.as_ref() != Some(*role));
        location.role = one.draft.role.as_ref().filter(is_free).cloned();
        Some(Change::Create(one.draft.body.clone(), one.draft.blob, location))
    }

    /// Gives wanted objects that the last look found their outcome: created if this run sent them, else matched.
    fn take_matches(&mut self, kind: ObjectType, tried: &BTreeSet<usize>) {
        let Some(work) = self.works.get(&kind) else { return };
        let is_found = |at: &usize| work.fates[*at] == Fate::Pending && work.found[*at].is_some();
        let found: Vec<usize> = (0..work.wanted.len()).filter(is_found).collect();
        // Where the line broke within a file, only its beginning may be there: that is changed, not created.
        let is_whole = |at: &usize| !matches!(self.file_state(kind, *at), FileState::Begun | FileState::Other);
        let whole: HashSet<usize> = tried.iter().copied().filter(is_whole).collect();
        let Some(work) = self.works.get_mut(&kind) else { return };
        for at in found {
            let is_ours = whole.contains(&at);
            work.fates[at] = if is_ours { Fate::Created } else { Fate::Matched };
            if is_ours && counts(work.wanted[at].id) {
                self.report.of(kind).created += 1;
            }
        }
    }

    /// Notes what became of a creation. Gives the reason if it is still open.
    fn created(&mut self, kind: ObjectType, at: usize, outcome: Outcome) -> Option<String> {
        let work = self.works.get_mut(&kind)?;
        let row = work.wanted[at].id;
        match outcome {
            Outcome::Done(id, remark) => {
                work.fates[at] = Fate::Created;
                self.ids.insert((kind, row), id);
                if counts(row) {
                    self.report.of(kind).created += 1;
                }
                let own = self.works[&kind].wanted[at].draft.remark.clone();
                let remarks: Vec<String> = own.into_iter().chain(remark).collect();
                if !remarks.is_empty() {
                    let label = self.path_of(kind, at);
                    self.report.remark(kind, "created", remarks.join("; "), label);
                }
                self.progress.item(0);
                None
            }
            // The target has another container of that name: it takes what lies in ours.
            Outcome::Exists(Some(id), _) if matches!(kind, ObjectType::Mailbox | ObjectType::FileNode) => {
                work.fates[at] = Fate::Ended;
                self.ids.insert((kind, row), id);
                self.mail.is_stale |= kind == ObjectType::Mailbox;
                if counts(row) {
                    self.report.of(kind).matched += 1;
                }
                None
            }
            Outcome::Exists(_, reason) | Outcome::Unknown(reason) => Some(reason),
            Outcome::Copied(_) => Some("the target does not say under which name it has it".to_owned()),
            Outcome::Refused(_) if self.is_sibling(kind, at) => None,
            // It is tried once more.
            Outcome::Refused(why) if kind == ObjectType::Mailbox && self.rename(at, &why) => None,
            Outcome::Refused(_) if kind == ObjectType::CalendarEvent && self.becomes_a_file(at) => None,
            Outcome::Refused(why) if kind == ObjectType::CalendarEvent && self.has_no_place(at, &why) => None,
            Outcome::Refused(reason) | Outcome::Kept(reason) | Outcome::Same(reason) => {
                self.end(kind, at, &reason, Report::refuse);
                None
            }
            Outcome::Full(reason) => {
                self.fail(kind, at, &reason);
                None
            }
        }
    }

    /// A server that folds names refuses a second one that only differs in case: then both are one.
    fn is_sibling(&mut self, kind: ObjectType, at: usize) -> bool {
        if kind != ObjectType::Mailbox {
            return false;
        }
        let Some(work) = self.works.get_mut(&kind) else { return false };
        let one = &work.wanted[at];
        let parent = one.parent.and_then(|parent| self.ids.get(&(kind, parent)));
        let is_same = |remote: &&Remote| remote.parent.as_ref() == parent && remote.key == one.draft.key;
        let theirs = work.remotes.iter().find(is_same).map(|remote| remote.id.clone());
        let ours = work.wanted.iter().filter(|other| other.parent == one.parent && other.draft.key == one.draft.key);
        let ours = ours.filter_map(|other| self.ids.get(&(kind, other.id))).next().cloned();
        let Some(id) = theirs.or(ours) else { return false };
        let row = one.id;
        work.fates[at] = Fate::Ended;
        self.ids.insert((kind, row), id);
        if counts(row) {
            self.report.of(kind).matched += 1;
        }
        true
    }

    fn fail(&mut self, kind: ObjectType, at: usize, reason: &str) {
        self.end(kind, at, reason, |report, kind, reason, label| report.fail(kind, 1, reason, label));
    }

    /// Ends an object that was not created. `tell` counts it in the report.
    fn end(&mut self, kind: ObjectType, at: usize, reason: &str, tell: impl Fn(&mut Report, ObjectType, &str, String)) {
        let Some(work) = self.works.get_mut(&kind) else { return };
        work.fates[at] = Fate::Ended;
        let one = &work.wanted[at];
        let size = one.draft.blob.and_then(|blob| self.supply.size(blob).ok());
        let is_counted = counts(one.id);
        let label = self.path_of(kind, at);
        let label = size.map_or_else(|| label.clone(), |size| format!("{label} ({size} bytes)"));
        match is_counted {
            true => tell(&mut self.report, kind, reason, label),
            // It is no row of the archive: what should lie in it is counted as failed.
            false => self.report.remark(kind, "failed", reason.to_owned(), label),
        }
    }

    /// Fails objects whose container could not be created.
    fn give_up(&mut self, kind: ObjectType) {
        let Some(work) = self.works.get(&kind) else { return };
        let left: Vec<usize> = (0..work.wanted.len()).filter(|at| work.fates[*at] == Fate::Pending).collect();
        for at in left {
            self.fail(kind, at, "what it lies in could not be made");
        }
    }

    /// Brings what is there to the archive's state.
    pub(super) fn change(&mut self, kind: ObjectType) -> Result<()> {
        let Some(work) = self.works.get(&kind) else { return Ok(()) };
        let matched: Vec<usize> = (0..work.wanted.len()).filter(|at| work.fates[*at] == Fate::Matched).collect();
        let mut open = BTreeMap::new();
        for at in matched {
            let work = &self.works[&kind];
            let id = work.found[at].map(|place| work.remotes[place].id.clone()).unwrap_or_default();
            match self.patch(kind, at) {
                Some(patch) => drop(open.insert(at, Change::Update(id, patch))),
                None => self.matched(kind, at),
            }
        }
        let ended = |run: &mut Run<'_>, at: usize, outcome: Outcome| match outcome {
            Outcome::Done(_, remark) | Outcome::Copied(remark) => run.updated(kind, at, remark),
            Outcome::Same(remark) => run.left(kind, at, remark),
            Outcome::Exists(_, reason) | Outcome::Refused(reason) | Outcome::Kept(reason) => {
                run.end(kind, at, &reason, Report::refuse);
            }
            Outcome::Full(reason) | Outcome::Unknown(reason) => run.fail(kind, at, &reason),
        };
        settle(self, &mut Changes { kind, open, ended: &ended })
    }

    /// What is known of the bytes of a file that was found.
    fn file_state(&self, kind: ObjectType, at: usize) -> FileState {
        let Some(work) = self.works.get(&kind).filter(|_| kind == ObjectType::FileNode) else { return FileState::Same };
        let Some(place) = work.found[at] else { return FileState::Same };
        self.target.difference(kind, &work.wanted[at].draft, None, &work.remotes[place], &self.supply).state
    }

    /// Why an object that was found and stays as it is, is another one of its name; `None` where it is the same.
    fn other_of_its_name(&self, kind: ObjectType, at: usize) -> Option<&'static str> {
        let work = self.works.get(&kind)?;
        let remote = &work.remotes[work.found[at]?];
        if kind == ObjectType::SieveScript && remote.key != work.wanted[at].draft.key {
            return Some("the account has another script with this name (--update replaces it)");
        }
        (self.file_state(kind, at) == FileState::Other)
            .then_some("the account has another file with this name (--update replaces it)")
    }

    /// Counts an object that was found and stays as it is.
    pub(super) fn count_kept(&mut self, kind: ObjectType, at: usize) {
        match self.other_of_its_name(kind, at) {
            Some(reason) => {
                let label = self.path_of(kind, at);
                self.report.skip(kind, 1, reason, label);
            }
            None => self.report.of(kind).matched += 1,
        }
    }

    fn matched(&mut self, kind: ObjectType, at: usize) {
        let Some(work) = self.works.get_mut(&kind) else { return };
        work.fates[at] = Fate::Ended;
        if counts(work.wanted[at].id) {
            self.count_kept(kind, at);
        }
    }

    /// True if an object was counted as matched.
    pub(super) fn is_kept(&self, kind: ObjectType, at: usize) -> bool {
        let Some(work) = self.works.get(&kind) else { return false };
        work.fates[at] == Fate::Ended
            && work.found[at].is_some()
            && counts(work.wanted[at].id)
            && self.patch(kind, at).is_none()
            && self.other_of_its_name(kind, at).is_none()
    }

    /// What an object is called in the report.
    fn path_of(&self, kind: ObjectType, at: usize) -> String {
        self.works.get(&kind).map(|work| self.path(kind, &work.wanted[at])).unwrap_or_default()
    }

    /// An object that stays as it is, though it differs.
    fn left(&mut self, kind: ObjectType, at: usize, remark: String) {
        let label = self.path_of(kind, at);
        self.report.remark(kind, "matched", remark, label);
        self.matched(kind, at);
    }

    fn updated(&mut self, kind: ObjectType, at: usize, remark: Option<String>) {
        let Some(work) = self.works.get_mut(&kind) else { return };
        work.fates[at] = Fate::Ended;
        if counts(work.wanted[at].id) {
            self.report.of(kind).updated += 1;
        }
        if let Some(remark) = remark {
            let label = self.path_of(kind, at);
            self.report.remark(kind, "updated", remark, label);
        }
    }
}
