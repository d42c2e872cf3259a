//! Creating and changing everything but messages.

use super::match_objects::{DIGEST, levels, remote_key};
use super::prune;
use super::report::Report;
use super::retry::RetryPolicy;
use super::run::{Fate, Run};
use super::synthetic::counts;
use crate::error::Result;
use crate::format::jmap::{Object, text};
use crate::model::ObjectType;
use crate::sink::{BLOB, Change, Detail, Outcome};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

/// True for types of which an account may have two objects that are the same to us; names in a parent are unique.
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

/// The type of what lies in a container, and the property that says so.
fn items_of(kind: ObjectType) -> Option<(ObjectType, &'static str)> {
    match kind {
        ObjectType::Calendar => Some((ObjectType::CalendarEvent, "calendarIds")),
        ObjectType::AddressBook => Some((ObjectType::ContactCard, "addressBookIds")),
        _ => None,
    }
}

impl Run<'_> {
    /// Creates what is missing, level by level.
    pub(super) fn create(&mut self, kind: ObjectType) -> Result<()> {
        let mut patience = RetryPolicy::new(self.options.max_retries);
        let (mut has_doubts, mut existing) = (false, BTreeSet::new());
        let mut tried: BTreeSet<usize> = BTreeSet::new();
        let mut reasons: BTreeMap<usize, String> = BTreeMap::new();
        self.take_matches(kind, &tried);
        loop {
            let (mut is_better, mut is_open) = (false, false);
            while !is_open {
                let ready = self.ready(kind);
                if ready.is_empty() {
                    break;
                }
                tried.extend(ready.iter().map(|(at, _)| *at));
                let mut open: BTreeSet<usize> = ready.iter().map(|(at, _)| *at).collect();
                self.target.expect(open.len() as u64);
                let mut changes = ready.into_iter().map(|(at, object)| (at, Change::Create(object)));
                let mut outcomes = Vec::new();
                let written =
                    self.target.write(kind, &mut changes, patience.batch, &self.supply, &mut |at, outcome| {
                        outcomes.push((at, outcome));
                    });
                for (at, outcome) in outcomes {
                    let exists = matches!(outcome, Outcome::Exists(..));
                    if let Some(reason) = self.created(kind, at, outcome) {
                        reasons.insert(at, reason);
                        existing.extend(exists.then_some(at));
                    } else {
                        open.remove(&at);
                        is_better = true;
                    }
                }
                written?;
                is_open = !open.is_empty();
            }
            if !is_open {
                break;
            }
            has_doubts = true;
            if !patience.again(is_better, self.progress)? {
                break;
            }
            self.target.rest(kind)?;
            self.look_at(kind)?;
            self.take_matches(kind, &tried);
            for at in std::mem::take(&mut existing) {
                // It has it, it says, and does not show it: a reserved name, or a place that is not ours to see.
                if self.works.get(&kind).is_some_and(|work| work.fates[at] == Fate::Pending) {
                    let reason = reasons.get(&at).cloned().unwrap_or_default();
                    self.end(kind, at, &reason, Report::refuse);
                }
            }
        }
        self.give_up(kind, &reasons);
        if !tried.is_empty() && may_be_twice(kind) && (has_doubts || self.target.has_strangers(kind)?) {
            self.remove_twins(kind)?;
        }
        Ok(())
    }

    /// Removes what came twice: once in a way that nobody saw (an answer was lost, an earlier run was killed), and once more.
    /// It was not there when this run began, is equal to something that this run created, to the last property, and nothing
    /// lies in it. What a server or the user made meanwhile is something else.
    fn remove_twins(&mut self, kind: ObjectType) -> Result<()> {
        self.target.rest(kind)?;
        let (remotes, _) = self.target.objects(kind, Detail::All)?;
        let addresses = self.target.addresses();
        let Some(work) = self.works.get(&kind) else { return Ok(()) };
        let created = (0..work.wanted.len()).filter(|at| work.fates[*at] == Fate::Created);
        let created: HashMap<&str, usize> = created.map(|at| (work.wanted[at].key.as_str(), at)).collect();
        let ours: HashSet<&str> =
            self.ids.iter().filter(|((of, _), _)| *of == kind).map(|(_, id)| id.as_str()).collect();
        let is_twin = |remote: &&Object| {
            let id = text(remote, "id");
            !work.before.contains(id)
                && !ours.contains(id)
                && !prune::is_kept(kind, remote, &addresses)
                && created.get(remote_key(kind, remote).as_str()).is_some_and(|at| self.is_equal(kind, *at, remote))
        };
        let mut twins: Vec<String> =
            remotes.iter().filter(is_twin).map(|remote| text(remote, "id").to_owned()).collect();
        if let Some((items, property)) = items_of(kind).filter(|_| !twins.is_empty()) {
            let (items, is_complete) = self.target.objects(items, Detail::Keys)?;
            let is_free =
                |id: &String| items.iter().all(|item| item.get(property).is_none_or(|set| set.get(id).is_none()));
            twins.retain(|id| is_complete && is_free(id));
        }
        if twins.is_empty() {
            return Ok(());
        }
        let mut changes = twins.iter().cloned().map(Change::Destroy).enumerate();
        let mut outcomes = Vec::new();
        let written = self.target.write(kind, &mut changes, twins.len(), &self.supply, &mut |at, outcome| {
            outcomes.push((at, outcome));
        });
        let mut removed = 0;
        for (at, outcome) in outcomes {
            match outcome {
                Outcome::Done(..) => removed += 1,
                Outcome::Exists(_, reason)
                | Outcome::Refused(reason)
                | Outcome::Full(reason)
                | Outcome::Unknown(reason) => {
                    self.report.remark(kind, "there twice", reason, format!("id {}", twins[at]));
                }
            }
        }
        self.report.notes.push(format!(
            "{} objects of the type {} had come twice, as after a lost answer; {removed} were removed again",
            twins.len(),
            kind.token()
        ));
        written
    }

    /// What can be created now, and has not been.
    fn ready(&self, kind: ObjectType) -> Vec<(usize, Object)> {
        let Some(work) = self.works.get(&kind) else { return Vec::new() };
        for level in levels(&work.wanted) {
            let ready = level.into_iter().filter(|at| work.fates[*at] == Fate::Pending);
            let ready: Vec<(usize, Object)> = ready.filter_map(|at| Some((at, self.new_object(kind, at)?))).collect();
            if !ready.is_empty() {
                return ready;
            }
        }
        Vec::new()
    }

    /// An object with the role that nothing at the target has.
    fn new_object(&self, kind: ObjectType, at: usize) -> Option<Object> {
        let work = self.works.get(&kind)?;
        let one = &work.wanted[at];
        let mut object = self.whole(kind, one)?;
        let is_free = |role: &str| work.remotes.iter().all(|remote| text(remote, "role") != role);
        if let Some(role) = one.role.as_deref().filter(|role| is_free(role)) {
            object.insert("role".to_owned(), json!(role));
        }
        Some(object)
    }

    /// Takes what the target has as what is wanted.
    fn take_matches(&mut self, kind: ObjectType, tried: &BTreeSet<usize>) {
        let Some(work) = self.works.get_mut(&kind) else { return };
        for at in 0..work.wanted.len() {
            if work.fates[at] == Fate::Pending && work.found[at].is_some() {
                let is_ours = tried.contains(&at);
                work.fates[at] = if is_ours { Fate::Created } else { Fate::Matched };
                if is_ours && counts(work.wanted[at].id) {
                    self.report.of(kind).created += 1;
                }
            }
        }
    }

    /// Notes what became of a creation. Gives the reason if it is still open.
    fn created(&mut self, kind: ObjectType, at: usize, outcome: Outcome) -> Option<String> {
        let work = self.works.get_mut(&kind)?;
        let (row, label) = (work.wanted[at].id, work.wanted[at].label.clone());
        match outcome {
            Outcome::Done(id, remark) => {
                work.fates[at] = Fate::Created;
                self.ids.insert((kind, row), id);
                if counts(row) {
                    self.report.of(kind).created += 1;
                }
                if let Some(remark) = remark.or_else(|| self.works[&kind].wanted[at].remark.clone()) {
                    self.report.remark(kind, "created", remark, label);
                }
                self.progress.item(0);
                None
            }
            // Another container with that name: what lies in ours goes into that one.
            Outcome::Exists(Some(id), _) if matches!(kind, ObjectType::Mailbox | ObjectType::FileNode) => {
                work.fates[at] = Fate::Ended;
                self.ids.insert((kind, row), id);
                if counts(row) {
                    self.report.of(kind).matched += 1;
                }
                None
            }
            Outcome::Exists(_, reason) | Outcome::Unknown(reason) => Some(reason),
            Outcome::Refused(_) if self.is_sibling(kind, at) => None,
            Outcome::Refused(_) if kind == ObjectType::CalendarEvent && self.becomes_a_file(at) => None,
            Outcome::Refused(_) if kind == ObjectType::CalendarEvent && self.has_no_place(at) => None,
            Outcome::Refused(reason) => {
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
        let remotes = work.remotes.iter().find(|remote| {
            remote.get("parentId").and_then(Value::as_str) == parent.map(String::as_str)
                && crate::format::jmap::folded(text(remote, "name")) == one.key
        });
        let ours = work.wanted.iter().filter(|other| other.parent == one.parent && other.key == one.key);
        let ours = ours.filter_map(|other| self.ids.get(&(kind, other.id))).next().cloned();
        let Some(id) = remotes.map(|remote| text(remote, "id").to_owned()).or(ours) else { return false };
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

    /// An object whose end is none that was wished for.
    fn end(&mut self, kind: ObjectType, at: usize, reason: &str, tell: impl Fn(&mut Report, ObjectType, &str, String)) {
        let Some(work) = self.works.get_mut(&kind) else { return };
        work.fates[at] = Fate::Ended;
        let one = &work.wanted[at];
        let size = one.object.get(BLOB).and_then(Value::as_i64);
        let size = size.and_then(|blob| crate::sink::BlobProvider::size(&self.supply, blob).ok());
        let label = size.map_or_else(|| one.label.clone(), |size| format!("{} ({size} bytes)", one.label));
        match counts(one.id) {
            true => tell(&mut self.report, kind, reason, label),
            // Its failure is that of all that should lie in it.
            false => self.report.remark(kind, "failed", reason.to_owned(), label),
        }
    }

    /// What could not be created because of something else.
    fn give_up(&mut self, kind: ObjectType, reasons: &BTreeMap<usize, String>) {
        let Some(work) = self.works.get(&kind) else { return };
        let left: Vec<usize> = (0..work.wanted.len()).filter(|at| work.fates[*at] == Fate::Pending).collect();
        for at in left {
            let reason = reasons.get(&at).map_or("what it lies in could not be made", String::as_str).to_owned();
            self.fail(kind, at, &reason);
        }
    }

    /// Brings what is there to the archive's state.
    pub(super) fn change(&mut self, kind: ObjectType) -> Result<()> {
        let Some(work) = self.works.get(&kind) else { return Ok(()) };
        let matched: Vec<usize> = (0..work.wanted.len()).filter(|at| work.fates[*at] == Fate::Matched).collect();
        let mut open: BTreeMap<usize, (String, Object)> = BTreeMap::new();
        for at in &matched {
            let work = &self.works[&kind];
            let id = work.found[*at].map(|place| text(&work.remotes[place], "id").to_owned()).unwrap_or_default();
            match self.patch(kind, *at) {
                Some(patch) => drop(open.insert(*at, (id, patch))),
                None => self.matched(kind, *at),
            }
        }
        let mut patience = RetryPolicy::new(self.options.max_retries);
        let mut reasons: BTreeMap<usize, String> = BTreeMap::new();
        while !open.is_empty() {
            let before = open.len();
            let mut changes = open.clone().into_iter().map(|(at, (id, patch))| (at, Change::Update(id, patch)));
            let mut outcomes = Vec::new();
            let written = self.target.write(kind, &mut changes, patience.batch, &self.supply, &mut |at, outcome| {
                outcomes.push((at, outcome));
            });
            for (at, outcome) in outcomes {
                match outcome {
                    Outcome::Done(_, remark) => {
                        open.remove(&at);
                        self.updated(kind, at, remark);
                    }
                    Outcome::Unknown(reason) => drop(reasons.insert(at, reason)),
                    Outcome::Exists(_, reason) | Outcome::Refused(reason) => {
                        open.remove(&at);
                        self.end(kind, at, &reason, Report::refuse);
                    }
                    Outcome::Full(reason) => {
                        open.remove(&at);
                        self.fail(kind, at, &reason);
                    }
                }
            }
            written?;
            if !open.is_empty() && !patience.again(open.len() < before, self.progress)? {
                for at in std::mem::take(&mut open).into_keys() {
                    let reason = reasons.get(&at).cloned().unwrap_or_else(|| "the target did not answer".to_owned());
                    self.fail(kind, at, &reason);
                }
            }
        }
        Ok(())
    }

    fn matched(&mut self, kind: ObjectType, at: usize) {
        let Some(work) = self.works.get_mut(&kind) else { return };
        work.fates[at] = Fate::Ended;
        let one = &work.wanted[at];
        if !counts(one.id) {
            return;
        }
        let remote = work.found[at].map(|place| &work.remotes[place]);
        if kind == ObjectType::SieveScript && remote.is_some_and(|remote| text(remote, DIGEST) != one.key) {
            let label = one.label.clone();
            let reason = "the account has another script with this name (--update replaces it)";
            return self.report.skip(kind, 1, reason, label);
        }
        self.report.of(kind).matched += 1;
    }

    fn updated(&mut self, kind: ObjectType, at: usize, remark: Option<String>) {
        let Some(work) = self.works.get_mut(&kind) else { return };
        work.fates[at] = Fate::Ended;
        let (row, label) = (work.wanted[at].id, work.wanted[at].label.clone());
        if counts(row) {
            self.report.of(kind).updated += 1;
        }
        if let Some(remark) = remark {
            self.report.remark(kind, "updated", remark, label);
        }
    }
}
