//! The end of a run: defaults, what is removed, and what was not reached.

use super::prune;
use super::report::{Report, heading};
use super::retry::{Changes, settle};
use super::run::{Fate, ORDER, Run};
use super::synthetic::counts;
use crate::archive::rfc3339;
use crate::error::{Error, Result};
use crate::model::{Id, ObjectType};
use crate::sink::{Change, Filing, Outcome, Remote, RemoteEmail, RemoteKey};
use std::collections::{HashMap, HashSet};

/// The name of an object with those that it lies in.
pub(super) fn path(remote: &Remote, places: &HashMap<&str, &Remote>) -> String {
    /// People have no deeper trees, but a server may say so.
    const DEPTH: usize = 50;
    let parent = |remote: &&Remote| places.get(remote.parent.as_deref()?).copied();
    let mut names: Vec<&str> =
        std::iter::successors(Some(remote), parent).take(DEPTH).map(|remote| remote.name.as_str()).collect();
    names.reverse();
    names.join("/")
}

/// What an object of the target is called in reports. `places` are all of its type by id.
pub(super) fn object_label(kind: ObjectType, remote: &Remote, places: &HashMap<&str, &Remote>) -> String {
    let label = match kind {
        ObjectType::Mailbox | ObjectType::FileNode => path(remote, places),
        _ => remote.label.clone(),
    };
    format!("{label} (id {})", remote.id)
}

/// What is made the default of its type, or the active script.
pub(super) struct Choice {
    /// The place of what is chosen, or of the script that is not active any more.
    pub at: usize,
    /// It becomes it; false for a script that ceases to be it.
    pub is_on: bool,
    /// The id of what was it.
    pub replaced: Option<String>,
    /// What a plan says behind its name.
    pub words: &'static str,
}

impl Run<'_> {
    /// What becomes the default of a type, or the active script: the archive's, where the account has none or the user wants
    /// it. `None` if nothing changes there.
    pub(super) fn choice(&self, kind: ObjectType) -> Option<Choice> {
        let has_choice = matches!(
            kind,
            ObjectType::AddressBook | ObjectType::Calendar | ObjectType::ParticipantIdentity | ObjectType::SieveScript
        );
        let work = self.works.get(&kind).filter(|_| has_choice)?;
        if work.remotes.iter().all(|remote| remote.is_chosen.is_none()) && !work.remotes.is_empty() {
            // It does not tell which one it is, and so not whether it is right.
            return None;
        }
        let is_on = |remote: &&Remote| remote.is_chosen == Some(true);
        let theirs = work.remotes.iter().find(is_on).map(|remote| remote.id.clone());
        let ours = work.wanted.iter().position(|one| one.draft.is_chosen);
        let id_of = |at: usize| self.ids.get(&(kind, work.wanted[at].id));
        let is_script = kind == ObjectType::SieveScript;
        let replaces = self.options.update && is_script;
        let is_whole = self.options.selection.picks.is_none();
        let words = if is_script { " (becomes the active script)" } else { " (becomes the default)" };
        match (theirs, ours) {
            (None, Some(at)) => Some(Choice { at, is_on: true, replaced: None, words }),
            (Some(theirs), Some(at)) if replaces && id_of(at) != Some(&theirs) => {
                Some(Choice { at, is_on: true, replaced: Some(theirs), words })
            }
            // The archive has it, and not as the active one.
            (Some(theirs), None) if replaces && is_whole => {
                let at = (0..work.wanted.len()).find(|at| id_of(*at) == Some(&theirs))?;
                let words = " (is not active any more)";
                Some(Choice { at, is_on: false, replaced: Some(theirs), words })
            }
            _ => None,
        }
    }

    /// Says which script stays although the archive does not hold it.
    pub(super) fn tell_active(&mut self) {
        const KIND: ObjectType = ObjectType::SieveScript;
        let Some(work) = self.works.get(&KIND).filter(|_| self.prunable.contains(&KIND)) else { return };
        let active = work.remotes.iter().position(|remote| remote.is_chosen == Some(true));
        let active = active.filter(|place| !work.found.contains(&Some(*place)));
        if let Some(place) = active.filter(|_| self.choice(KIND).is_none()) {
            let label = &work.remotes[place].label;
            let note = format!("the script {label:?} is not in the archive and stays, because it is the active one");
            self.report.notes.push(note);
        }
    }

    /// Makes the choice of the archive that of the account.
    pub(super) fn choose(&mut self, kind: ObjectType) -> Result<()> {
        let Some(Choice { at, is_on, .. }) = self.choice(kind) else { return Ok(()) };
        let Some(one) = self.works.get(&kind).map(|work| &work.wanted[at]) else { return Ok(()) };
        let id = self.ids.get(&(kind, one.id)).cloned();
        if is_on && id.is_none() {
            // It could not be stored.
            self.not_chosen.insert(kind);
            return Ok(());
        }
        let label = if is_on { one.draft.label.clone() } else { "no script".to_owned() };
        for _ in 0..3 {
            match self.target.choose(kind, id.as_deref().filter(|_| is_on))? {
                Ok(()) => {
                    if self.is_kept(kind, at) {
                        let account = self.report.of(kind);
                        account.matched -= 1;
                        account.updated += 1;
                    }
                    return Ok(());
                }
                Err(reason) => self.report.remark(kind, "not chosen", reason, label.clone()),
            }
        }
        self.not_chosen.insert(kind);
        Ok(())
    }

    /// What the archive does not hold, in steps: id and what it is.
    pub(super) fn gone(&self, kind: ObjectType) -> Vec<Vec<(String, String)>> {
        if kind == ObjectType::Email {
            if !self.mail.is_complete {
                return Vec::new();
            }
            let mut places = self.mail.pairing.foreign(&self.stock.messages, &self.mail.remotes);
            places.extend(&self.mail.twins);
            let gone = places.into_iter().map(|place| {
                let remote = &self.mail.remotes[place];
                (remote.id.clone(), self.remote_label(remote))
            });
            return vec![gone.collect()];
        }
        let Some(work) = self.works.get(&kind).filter(|work| work.is_complete) else { return Vec::new() };
        let holders = if kind == ObjectType::Mailbox { self.holders() } else { HashSet::new() };
        let id = |row: Id| self.id_of(kind.holder()?, row).cloned();
        let has_copies = kind.holder().is_some() && self.target.filing() == Filing::Copies;
        // What was active goes once something else is.
        let choice = self.choice(kind).filter(|choice| choice.is_on && !self.not_chosen.contains(&kind));
        let released = choice.and_then(|choice| choice.replaced);
        let is_free = |remote: &Remote| released.as_ref() == Some(&remote.id);
        let stays = prune::Stays { holders: &holders, is_free: &is_free, containers: has_copies.then_some(&id) };
        let steps = prune::candidates(kind, work, &stays);
        let places: HashMap<&str, &Remote> = work.remotes.iter().map(|remote| (remote.id.as_str(), remote)).collect();
        let name = |place: usize| {
            let remote = &work.remotes[place];
            (remote.id.clone(), object_label(kind, remote, &places))
        };
        steps.into_iter().map(|step| step.into_iter().map(name).collect()).collect()
    }

    /// What an email of the target is called in reports.
    pub(super) fn remote_label(&self, remote: &RemoteEmail) -> String {
        let name = match &remote.key {
            RemoteKey::Ids(ids) => ids.iter().map(|id| format!("<{id}>")).collect::<Vec<_>>().join(" "),
            RemoteKey::Nothing => "without Message-ID".to_owned(),
        };
        let date = rfc3339(remote.received);
        let mailboxes = self.works.get(&ObjectType::Mailbox).map(|work| work.remotes.iter());
        let lies_in = |mailbox: &&Remote| remote.mailboxes.contains(&mailbox.id);
        let folders: Vec<&str> =
            mailboxes.into_iter().flatten().filter(lies_in).map(|mailbox| mailbox.name.as_str()).collect();
        let place = if folders.is_empty() { String::new() } else { format!(" in {}", folders.join(", ")) };
        format!("{name}{place} of {date} ({} bytes, id {})", remote.size, remote.id)
    }

    /// The mailboxes in which emails lie that stay there. An email that is changed lies where the archive wants it.
    fn holders(&self) -> HashSet<&str> {
        let gone: HashSet<usize> = match self.prunable.contains(&ObjectType::Email) && self.mail.is_complete {
            true => self.mail.pairing.foreign(&self.stock.messages, &self.mail.remotes).into_iter().collect(),
            false => HashSet::new(),
        };
        // With --update all that is matched lies in mailboxes of the archive, which stay anyway.
        let moved: HashSet<usize> = match self.options.update {
            true => self.mail.pairing.found.iter().flatten().copied().collect(),
            false => HashSet::new(),
        };
        let stay = (0..self.mail.remotes.len()).filter(|place| !gone.contains(place) && !moved.contains(place));
        stay.flat_map(|place| self.mail.remotes[place].mailboxes.iter().map(String::as_str)).collect()
    }

    /// Removes what the archive does not hold: what lies in containers before these.
    pub(super) fn remove(&mut self) -> Result<()> {
        if !self.options.prune {
            return Ok(());
        }
        for kind in ORDER.into_iter().rev() {
            if !self.prunable.contains(&kind) || self.is_blocked(kind) {
                continue;
            }
            self.progress.step(&format!("removing {}", kind.token()));
            if kind == ObjectType::Mailbox {
                self.tell_holders();
            }
            for step in self.gone(kind) {
                self.remove_step(kind, step)?;
            }
        }
        Ok(())
    }

    /// True if something failed without which it is not known what is too much: of this type, of what lies in it, or of what
    /// it lies in. What the target refuses for good blocks nothing: no other run would fare better.
    fn is_blocked(&mut self, kind: ObjectType) -> bool {
        let is_near =
            |other: &ObjectType| *other == kind || kind.holder() == Some(*other) || other.holder() == Some(kind);
        let open = ORDER.into_iter().filter(is_near).find(|other| self.report.open(*other) > 0);
        let Some(open) = open.filter(|_| !self.gone(kind).concat().is_empty()) else { return open.is_some() };
        let (count, token, of) = (self.report.open(open), kind.token(), open.token());
        self.report.notes.push(format!(
            "nothing of type {token} was removed because {count} objects of type {of} failed; run the same command again"
        ));
        true
    }

    /// Says which mailboxes stay only because of what lies in them.
    fn tell_holders(&mut self) {
        let Some(work) = self.works.get(&ObjectType::Mailbox) else { return };
        let all = |holders: &HashSet<&str>| -> usize {
            let stays = prune::Stays { holders, is_free: &|_| false, containers: None };
            prune::candidates(ObjectType::Mailbox, work, &stays).iter().map(Vec::len).sum()
        };
        let count = all(&HashSet::new()) - all(&self.holders());
        if count > 0 {
            let what = "mailboxes are not in the archive and stay, because they hold messages that stay";
            self.report.notes.push(format!("{count} {what}; --update moves out those that the archive has elsewhere"));
        }
    }

    fn remove_step(&mut self, kind: ObjectType, step: Vec<(String, String)>) -> Result<()> {
        // What this run made of the target's own since it was looked at is the archive's now.
        let ours: HashSet<&String> = self.ids.iter().filter(|((of, _), _)| *of == kind).map(|(_, id)| id).collect();
        let step: Vec<(String, String)> = step.into_iter().filter(|(id, _)| !ours.contains(id)).collect();
        let open = step.iter().enumerate().map(|(at, (id, _))| (at, Change::Destroy(id.clone()))).collect();
        let ended = |run: &mut Run<'_>, at: usize, outcome: Outcome| match outcome {
            Outcome::Done(..) | Outcome::Copied(_) => run.report.of(kind).removed += 1,
            Outcome::Kept(reason) => {
                run.report.of(kind).kept_by_account += 1;
                run.report.remark(kind, "kept", reason, step[at].1.clone());
            }
            Outcome::Same(reason)
            | Outcome::Exists(_, reason)
            | Outcome::Refused(reason)
            | Outcome::Full(reason)
            | Outcome::Unknown(reason) => run.not_removed(kind, &reason, &step[at].1),
        };
        settle(self, &mut Changes { kind, open, ended: &ended })
    }

    fn not_removed(&mut self, kind: ObjectType, reason: &str, label: &str) {
        *self.report.of(kind).not_removed.entry(heading(reason)).or_default() += 1;
        self.report.remark(kind, "not removed", reason.to_owned(), label.to_owned());
    }

    /// The report. What the run did not get to is named as such.
    pub(super) fn finish(mut self, lost: Option<&Error>) -> Report {
        if lost.is_some() {
            for (kind, work) in &self.works {
                let left = work.fates.iter().zip(&work.wanted);
                let left = left.filter(|(fate, one)| matches!(fate, Fate::Pending | Fate::Matched) && counts(one.id));
                let count = left.count() as u64;
                if count > 0 {
                    self.report.of(*kind).not_reached += count;
                }
            }
            let left = self.mail.ended.iter().filter(|ended| !**ended).count() as u64;
            if left > 0 {
                self.report.of(ObjectType::Email).not_reached += left;
            }
        }
        self.report
    }
}
