//! The state of a run: what the target has, what is wanted, and what will be done about it.

use super::bytes::Bytes;
use super::match_mail::Pairing;
use super::match_objects::pair;
use super::options::ExportOptions;
use super::report::Report;
use super::select::{self, ExportSet};
use super::synthetic::counts;
use super::wanted::Wanted;
use crate::archive::{Moment, Reader, UNFILED};
use crate::error::Result;
use crate::model::{Id, ObjectType};
use crate::progress::Progress;
use crate::sink::{Change, Detail, FileState, Filing, Location, Outcome, Patch, Remote, RemoteEmail, Sink};
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::sync::Arc;

/// The outcome of a remark on an object that a plan would create.
pub(super) const PLANNED: &str = "to create";

/// Ids at the target by row.
pub(super) type Ids = HashMap<(ObjectType, Id), String>;

/// Containers that something names and that are not there: like none at all.
pub(super) type Lost = BTreeSet<(ObjectType, Id)>;

/// The id of a container.
pub(super) fn id_of<'i>(ids: &'i Ids, lost: &Lost, kind: ObjectType, row: Id) -> Option<&'i String> {
    let row = if lost.contains(&(kind, row)) { UNFILED } else { row };
    ids.get(&(kind, row))
}

/// What became of a wanted object so far.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Fate {
    Pending,
    /// It is wanted only once something else turns out not to be possible.
    Waiting,
    Matched,
    Created,
    /// It is counted already.
    Ended,
}

/// One type.
#[derive(Default)]
pub(super) struct Work {
    pub wanted: Vec<Wanted>,
    /// The place of each row among the wanted.
    pub rows: HashMap<Id, usize>,
    pub fates: Vec<Fate>,
    pub remotes: Vec<Remote>,
    /// Ids of all that the target had when the run began.
    pub before: HashSet<String>,
    /// By wanted object: the place of what it is at the target.
    pub found: Vec<Option<usize>>,
    /// The target named all that it has.
    pub is_complete: bool,
}

/// The messages.
#[derive(Default)]
pub(super) struct Mail {
    pub remotes: Vec<RemoteEmail>,
    pub pairing: Pairing,
    pub ended: Vec<bool>,
    /// Places of emails that were there already, and are a copy of another one in its mailbox.
    pub twins: Vec<usize>,
    /// Ids that messages of this run got, as far as they were found by looking.
    pub sent: HashSet<String>,
    pub is_complete: bool,
    /// A mailbox turned out to be there that was not looked into.
    pub is_stale: bool,
}

/// A run.
pub(super) struct Run<'a> {
    pub target: &'a mut dyn Sink,
    pub options: &'a ExportOptions,
    pub progress: &'a dyn Progress,
    pub supply: Bytes,
    pub stock: ExportSet,
    pub works: BTreeMap<ObjectType, Work>,
    pub mail: Mail,
    /// Ids at the target by row.
    pub ids: Ids,
    pub report: Report,
    /// Types of which something is to be removed, if anything is.
    pub prunable: BTreeSet<ObjectType>,
    /// Types of which the target did not take another default.
    pub not_chosen: BTreeSet<ObjectType>,
}

impl<'a> Run<'a> {
    pub(super) fn new(
        target: &'a mut dyn Sink,
        reader: &Arc<Reader>,
        moment: Moment,
        options: &'a ExportOptions,
        progress: &'a dyn Progress,
    ) -> Result<Run<'a>> {
        let mut report = Report::default();
        target.prepare(&ObjectType::ALL.into_iter().filter(|kind| options.selection.has(*kind)).collect::<Vec<_>>())?;
        progress.step("reading the archive");
        report.notes.extend(target.place());
        let stock = select::read(reader, moment, &options.selection, target, &mut report)?;
        let supply = Bytes { reader: Arc::clone(reader), moment };
        Ok(Run {
            target,
            options,
            progress,
            supply,
            stock,
            works: BTreeMap::new(),
            mail: Mail::default(),
            ids: HashMap::new(),
            report,
            prunable: BTreeSet::new(),
            not_chosen: BTreeSet::new(),
        })
    }

    /// Writes once, and gives what is known of each object then.
    pub(super) fn write(
        &mut self,
        kind: ObjectType,
        changes: &mut dyn Iterator<Item = (usize, Change)>,
        batch: usize,
    ) -> (Vec<(usize, Outcome)>, Result<()>) {
        let mut outcomes = Vec::new();
        let ended = self.target.write(kind, changes, batch, &self.supply, &mut |at, outcome| {
            outcomes.push((at, outcome));
        });
        (outcomes, ended)
    }

    // --- looking -------------------------------------------------------------------------------------------------

    /// Looks at all types that the archive has something for.
    pub(super) fn look(&mut self) -> Result<()> {
        let mut homeless = Vec::new();
        for kind in ORDER {
            let rows = match kind {
                ObjectType::Email => self.stock.messages.len(),
                _ => self.stock.objects.get(&kind).map_or(0, Vec::len),
            };
            let is_asked_for = self.options.looks_at_all && self.options.selection.has(kind);
            if rows == 0 && !(is_asked_for && self.target.lacks(kind).is_none()) {
                continue;
            }
            if let Some(why) = self.target.lacks(kind) {
                homeless.extend(self.leave_out(kind, &why));
                continue;
            }
            self.progress.step(&format!("looking at {} of the account", kind.token()));
            if kind == ObjectType::Email {
                self.look_at_mail()?;
            } else {
                let wanted = self.stock.objects.remove(&kind).unwrap_or_default();
                let fate = |one: &Wanted| if one.waits { Fate::Waiting } else { Fate::Pending };
                let fates = wanted.iter().map(fate).collect();
                let rows = wanted.iter().enumerate().map(|(at, one)| (one.id, at)).collect();
                self.works.insert(kind, Work { wanted, rows, fates, ..Work::default() });
                self.look_at(kind)?;
                if kind == ObjectType::Mailbox {
                    self.ask_for_names()?;
                }
                // It may turn out only now.
                if let Some(why) = self.target.lacks(kind)
                    && let Some(work) = self.works.remove(&kind)
                {
                    self.stock.objects.insert(kind, work.wanted);
                    homeless.extend(self.leave_out(kind, &why));
                    continue;
                }
                if let Some(work) = self.works.get_mut(&kind) {
                    work.before = work.remotes.iter().map(|remote| remote.id.clone()).collect();
                }
                self.join(kind);
            }
            // Only a type that the archive itself has something of: what stands in for something else says nothing.
            let has_own = match self.works.get(&kind) {
                Some(work) => work.wanted.iter().any(|one| one.id > 0),
                None => kind == ObjectType::Email,
            };
            if self.options.prune && self.options.selection.has(kind) && has_own {
                self.prunable.insert(kind);
            }
        }
        self.all_become_files(&homeless);
        self.find_files_of_events();
        self.leave_unfiled();
        self.tell_gaps();
        self.tell_active();
        Ok(())
    }

    /// Says of which types nothing can be removed, since it is not known what there is.
    fn tell_gaps(&mut self) {
        for kind in &self.prunable {
            let is_complete = match self.works.get(kind) {
                Some(work) => work.is_complete,
                None => self.mail.is_complete,
            };
            if !is_complete {
                let token = kind.token();
                let what = format!("nothing of type {token} is removed: the server did not list all that it has");
                self.report.notes.push(what);
            }
        }
    }

    /// What lies in no container at the account either needs none that is made for it.
    fn leave_unfiled(&mut self) {
        for (items, holder) in
            [(ObjectType::CalendarEvent, ObjectType::Calendar), (ObjectType::ContactCard, ObjectType::AddressBook)]
        {
            let Some(work) = self.works.get(&items) else { continue };
            let is_unfiled = |row: &Id| *row == UNFILED || self.stock.lost.contains(&(holder, *row));
            let needs = (0..work.wanted.len()).any(|at| {
                work.fates[at] == Fate::Pending
                    && work.found[at].is_none()
                    && work.wanted[at].containers.iter().any(is_unfiled)
            });
            if needs {
                continue;
            }
            if let Some(work) = self.works.get_mut(&holder)
                && let Some(at) = work.rows.get(&UNFILED).copied()
            {
                work.fates[at] = Fate::Waiting;
            }
        }
    }

    /// Several rows may have one uid (from several sources), and an account has one object of it (RFC 9610 section 3,
    /// draft-ietf-jmap-calendars section 5.1), or one in each container (RFC 4791 section 4.1, RFC 6352 section 5.1). Where
    /// it has no more of them, further rows give theirs their containers.
    fn join(&mut self, kind: ObjectType) {
        if !matches!(kind, ObjectType::CalendarEvent | ObjectType::ContactCard) {
            return;
        }
        let has_copies = self.target.filing() == Filing::Copies;
        let Some(work) = self.works.get_mut(&kind) else { return };
        let mut first: HashMap<(Option<Id>, String), usize> = HashMap::new();
        let order = (0..work.wanted.len()).filter(|at| work.found[*at].is_some());
        let order: Vec<usize> = order.chain((0..work.wanted.len()).filter(|at| work.found[*at].is_none())).collect();
        for at in order {
            let container = work.wanted[at].containers.first().copied().filter(|_| has_copies);
            let key = (container, work.wanted[at].draft.key.clone());
            let Some(&other) = first.get(&key).filter(|_| work.found[at].is_none()) else {
                first.entry(key).or_insert(at);
                continue;
            };
            let is_same = work.wanted[at].draft.body == work.wanted[other].draft.body;
            let one = &mut work.wanted[at];
            // Two cards of one uid that say different things: both are worth something.
            if let Some(marked) = one.marked.clone().filter(|_| !is_same) {
                one.draft = *marked;
                work.found[at] = work.remotes.iter().position(|remote| remote.key == one.draft.key);
                if let Some(place) = work.found[at] {
                    self.ids.insert((kind, one.id), work.remotes[place].id.clone());
                }
                continue;
            }
            one.is_joined = true;
            work.fates[at] = Fate::Ended;
            let (containers, label) = (std::mem::take(&mut one.containers), one.draft.label.clone());
            let into = &mut work.wanted[other].containers;
            into.extend(containers);
            into.sort_unstable();
            into.dedup();
            match is_same {
                true => self.report.skip(kind, 1, "the same object as another row", label),
                false => self.report.refuse(kind, "another object has its uid, and an account has one", label),
            }
        }
    }

    /// The account cannot have any of a type. Gives those that may be files.
    fn leave_out(&mut self, kind: ObjectType, why: &str) -> Vec<Wanted> {
        let wanted = self.stock.objects.remove(&kind).unwrap_or_default();
        let rows = match kind {
            ObjectType::Email => std::mem::take(&mut self.stock.messages).len(),
            _ => wanted.iter().filter(|one| counts(one.id) && !one.waits).count(),
        };
        self.report.notes.push(format!("{rows} of type {} are left out: {why}", kind.token()));
        *self.report.of(kind).skipped.entry("the account has no such type".to_owned()).or_default() += rows as u64;
        wanted
    }

    /// Reads what the target has of a type, and finds what is still wanted in it.
    pub(super) fn look_at(&mut self, kind: ObjectType) -> Result<()> {
        let detail = if self.options.update { Detail::All } else { Detail::Keys };
        let (mut remotes, is_complete) = self.target.objects(kind, detail)?;
        let Some(work) = self.works.get_mut(&kind) else { return Ok(()) };
        let (target, supply) = (&*self.target, &self.supply);
        let is_equal =
            |one: &Wanted, remote: &Remote| target.difference(kind, &one.draft, None, remote, supply).is_empty();
        let holder = kind.holder().filter(|_| target.filing() == Filing::Copies);
        let is_its_place = |one: &Wanted, remote: &Remote| {
            let Some(holder) = holder else { return true };
            let mut ids = one.containers.iter().filter_map(|row| id_of(&self.ids, &self.stock.lost, holder, *row));
            ids.any(|id| remote.containers.contains(id))
        };
        work.found = pair(kind, &work.wanted, &remotes, &is_equal, &is_its_place);
        let is_unknown = |(one, place): (&Wanted, &Option<usize>)| {
            let place = (*place)?;
            let is_unknown = match kind {
                ObjectType::ContactCard | ObjectType::CalendarEvent => self.options.update,
                ObjectType::FileNode => {
                    match target.difference(kind, &one.draft, None, &remotes[place], supply).state {
                        FileState::Begun => true,
                        FileState::Unsure => self.options.update,
                        FileState::Same | FileState::Other => false,
                    }
                }
                _ => false,
            };
            is_unknown.then_some(place)
        };
        let unknown: Vec<usize> = work.wanted.iter().zip(&work.found).filter_map(is_unknown).collect();
        if !unknown.is_empty() {
            self.target.look_inside(&mut remotes, &unknown)?;
        }
        work.remotes = remotes;
        work.is_complete = is_complete;
        for (at, found) in work.found.iter().enumerate() {
            if let Some(place) = found {
                self.ids.insert((kind, work.wanted[at].id), work.remotes[*place].id.clone());
            }
        }
        Ok(())
    }

    /// The id of a container.
    pub(super) fn id_of(&self, kind: ObjectType, row: Id) -> Option<&String> {
        id_of(&self.ids, &self.stock.lost, kind, row)
    }

    /// Where an object goes; `None` as long as what it lies in is not there.
    pub(super) fn location(&self, kind: ObjectType, one: &Wanted) -> Option<Location> {
        let mut location = Location::default();
        if let Some(parent) = one.parent.filter(|parent| self.has(kind, *parent)) {
            location.parent = Some(self.ids.get(&(kind, parent))?.clone());
        }
        if let Some(holder) = kind.holder() {
            let ids: BTreeSet<String> =
                one.containers.iter().filter_map(|row| self.id_of(holder, *row)).cloned().collect();
            if ids.is_empty() {
                return None;
            }
            location.containers = ids.into_iter().collect();
        }
        Some(location)
    }

    /// What an object is called in a plan: of mailboxes and files with those that it lies in.
    pub(super) fn path(&self, kind: ObjectType, one: &Wanted) -> String {
        /// No tree that people made is deeper.
        const DEPTH: usize = 50;
        let Some(work) = self.works.get(&kind) else { return one.draft.label.clone() };
        let parent = |one: &&Wanted| work.rows.get(&one.parent?).map(|at| &work.wanted[*at]);
        let mut names: Vec<&str> =
            std::iter::successors(Some(one), parent).take(DEPTH).map(|one| one.draft.label.as_str()).collect();
        names.reverse();
        names.join("/")
    }

    fn has(&self, kind: ObjectType, row: Id) -> bool {
        self.works.get(&kind).is_some_and(|work| work.rows.contains_key(&row))
    }

    // --- planning ------------------------------------------------------------------------------------------------

    /// What is to be changed at a matched object, as far as the user wants any of it changed.
    pub(super) fn patch(&self, kind: ObjectType, at: usize) -> Option<Patch> {
        let work = self.works.get(&kind)?;
        let remote = &work.remotes[work.found[at]?];
        let is_moved = kind.holder().is_some() && self.options.selection.into.is_some();
        let is_moved = is_moved && self.target.filing() == Filing::Once;
        // An upload that broke off is no state of the account that somebody wants.
        let may_be_begun = kind == ObjectType::FileNode;
        let mut patch = match self.options.update || remote.is_blank || is_moved || may_be_begun {
            true => self.difference(kind, at, remote)?,
            false => return None,
        };
        if !self.options.update && !remote.is_blank && patch.state != FileState::Begun {
            patch.body.clear();
            patch.blob = None;
        }
        (!patch.is_empty()).then_some(patch)
    }

    /// True if nothing would have to change at an object of the target for it to be this wanted one.
    pub(super) fn is_equal(&self, kind: ObjectType, at: usize, remote: &Remote) -> bool {
        self.difference(kind, at, remote).is_none_or(|patch| patch.is_empty())
    }

    /// What makes an object of the target what the archive says.
    fn difference(&self, kind: ObjectType, at: usize, remote: &Remote) -> Option<Patch> {
        let one = &self.works.get(&kind)?.wanted[at];
        let is_unfiled = |row: &Id| *row == UNFILED || self.stock.lost.contains(&(kind.container(), *row));
        // A copy lies in its container, or is another one.
        let is_copy = self.target.filing() == Filing::Copies;
        let holder = kind.holder().filter(|_| !is_copy && !one.containers.iter().all(is_unfiled));
        let containers = holder.map(|holder| {
            // One that is still to be made has no id, and so differs from all that there are.
            let id = |row: &Id| self.id_of(holder, *row).cloned().unwrap_or_else(|| format!("new-{row}"));
            let mut ids: Vec<String> = one.containers.iter().map(id).collect();
            if self.options.selection.into.is_some() {
                // Into a new place as well, and not out of the old ones.
                ids.extend(remote.containers.iter().cloned());
            }
            ids
        });
        Some(self.target.difference(kind, &one.draft, containers, remote, &self.supply))
    }

    // --- applying ------------------------------------------------------------------------------------------------

    /// Does what was planned.
    pub(super) fn apply(&mut self) -> Result<()> {
        for kind in ORDER {
            if kind == ObjectType::Email {
                self.apply_mail()?;
                continue;
            }
            if self.works.contains_key(&kind) {
                self.progress.step(&format!("writing {}", kind.token()));
                self.create(kind)?;
                self.change(kind)?;
                self.choose(kind)?;
            }
        }
        self.remove()
    }
}

/// The types in the order in which they are written: containers before what lies in them, and files after the events that
/// may become some.
pub(super) const ORDER: [ObjectType; 11] = [
    ObjectType::Mailbox,
    ObjectType::AddressBook,
    ObjectType::Calendar,
    ObjectType::Identity,
    ObjectType::SieveScript,
    ObjectType::ParticipantIdentity,
    ObjectType::Email,
    ObjectType::ContactCard,
    ObjectType::CalendarEvent,
    ObjectType::FileNode,
    ObjectType::VacationResponse,
];
