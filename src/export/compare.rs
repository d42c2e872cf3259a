//! What differs between an account and an archive, object by object: an export that only looks, and says what it sees.

use super::match_mail::Message;
use super::options::ExportOptions;
use super::remove::{object_label, path};
use super::run::{Fate, ORDER, Run};
use super::select::SAME_MESSAGE;
use super::synthetic::counts;
use crate::archive::{Moment, Reader, rfc3339};
use crate::error::Result;
use crate::model::{Id, ObjectType};
use crate::progress::Progress;
use crate::report::sum;
use crate::sink::{Patch, Remote, RemoteEmail, Sink};
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::sync::Arc;

/// Which side has an object.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Side {
    /// The archive alone.
    Archive,
    /// The account alone.
    Account,
    /// Both, in different states.
    Both,
}

/// An object that is not the same in an account and in an archive.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Discrepancy {
    /// Its type.
    pub kind: ObjectType,
    /// Who has it.
    pub side: Side,
    /// Its row, of what the archive has.
    pub row: Option<Id>,
    /// What it is called; of what the account alone has with its id there.
    pub label: String,
    /// What differs: `flags`, `content`, names of properties.
    pub what: Vec<String>,
}

/// How many objects of a type are the same.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct ComparisonCounts {
    /// In both, and nothing differs.
    pub same: u64,
    /// In both, and something differs.
    pub differs: u64,
    /// In the archive alone.
    pub only_archive: u64,
    /// In the account alone.
    pub only_account: u64,
    /// Rows of the archive that cannot be compared, by reason: the account cannot have them, or another row is the same.
    pub skipped: BTreeMap<String, u64>,
    /// Rows of the archive that cannot be read, by reason.
    pub failed: BTreeMap<String, u64>,
}

/// An account beside an archive.
#[derive(Debug, Clone, Default)]
pub struct Comparison {
    /// By token of the type.
    pub types: BTreeMap<&'static str, ComparisonCounts>,
    /// What is to be known of the comparison as a whole.
    pub notes: Vec<String>,
    /// Types of which the server did not list everything.
    pub gaps: BTreeSet<&'static str>,
}

impl Comparison {
    /// Objects that are not the same on both sides.
    pub fn differences(&self) -> u64 {
        self.types.values().map(|counts| counts.differs + counts.only_archive + counts.only_account).sum()
    }

    /// Rows of the archive that cannot be read.
    pub fn failed(&self) -> u64 {
        self.types.values().map(|counts| sum(&counts.failed)).sum()
    }
}

/// Compares a moment of an archive with an account, all types of `kinds` that the account can have. `told` gets each
/// object that is not the same. Nothing is written, at the account or in the archive.
///
/// Objects are matched as [`super::export`] matches them, and compared as `--update` would.
///
/// Errors: the archive cannot be read, or the account cannot be looked at.
pub fn compare(
    target: &mut dyn Sink,
    (reader, moment): (&Arc<Reader>, Moment),
    kinds: BTreeSet<ObjectType>,
    progress: &dyn Progress,
    told: &mut dyn FnMut(Discrepancy),
) -> Result<Comparison> {
    let mut options = ExportOptions { update: true, dry_run: true, looks_at_all: true, ..ExportOptions::default() };
    options.selection.kinds = Some(kinds);
    let mut run = Run::new(target, reader, moment, &options, progress)?;
    run.look()?;
    progress.step("comparing");
    let mut comparison = Comparison::default();
    for kind in ORDER.into_iter().filter(|kind| options.selection.has(*kind)) {
        let account = run.report.of(kind);
        let (skipped, failed) = (std::mem::take(&mut account.skipped), std::mem::take(&mut account.failed));
        let mut counts = ComparisonCounts { skipped, failed, ..ComparisonCounts::default() };
        match kind {
            ObjectType::Email => run.compare_mail(&mut counts, told),
            _ => run.compare_objects(kind, &mut counts, told),
        }
        let is_complete = match run.works.get(&kind) {
            Some(work) => work.is_complete,
            None => kind != ObjectType::Email || run.mail.is_complete || run.target.lacks(kind).is_some(),
        };
        if !is_complete {
            comparison.gaps.insert(kind.token());
        }
        if counts != ComparisonCounts::default() {
            comparison.types.insert(kind.token(), counts);
        }
    }
    comparison.notes = std::mem::take(&mut run.report.notes);
    Ok(comparison)
}

impl Run<'_> {
    fn compare_mail(&self, counts: &mut ComparisonCounts, told: &mut dyn FnMut(Discrepancy)) {
        let messages = &self.stock.messages;
        let of = |side, message: &Message, what| Discrepancy {
            kind: ObjectType::Email,
            side,
            row: Some(message.row),
            label: self.label(message),
            what,
        };
        for (message, found) in messages.iter().zip(&self.mail.pairing.found) {
            let Some(place) = found else {
                counts.only_archive += 1;
                told(of(Side::Archive, message, Vec::new()));
                continue;
            };
            let what = self.differences_of_email(message, &self.mail.remotes[*place]);
            if what.is_empty() {
                counts.same += 1;
            } else {
                counts.differs += 1;
                told(of(Side::Both, message, what));
            }
        }
        let (surplus, right) = self.mail.pairing.surplus(messages, &self.mail.remotes);
        counts.same += right;
        // Both sides have it several times.
        if let Some(left_out) = counts.skipped.get_mut(SAME_MESSAGE) {
            *left_out = left_out.saturating_sub(right);
        }
        counts.skipped.retain(|_, count| *count > 0);
        for place in surplus {
            counts.only_account += 1;
            let label = self.remote_label(&self.mail.remotes[place]);
            told(Discrepancy { kind: ObjectType::Email, side: Side::Account, row: None, label, what: Vec::new() });
        }
    }

    fn differences_of_email(&self, message: &Message, remote: &RemoteEmail) -> Vec<String> {
        let mut what = Vec::new();
        if let Some(update) = self.email_update(message, remote) {
            if update.mailboxes.is_some() {
                what.push(format!("mailboxes: {} at the account", self.names_of_mailboxes(&remote.mailboxes)));
            }
            if let Some(ours) = update.keywords {
                let list = |words: &[String]| if words.is_empty() { "none".to_owned() } else { words.join(" ") };
                what.push(format!("flags: {} in the archive, {} at the account", list(&ours), list(&remote.keywords)));
            }
        }
        if message.size != remote.size && self.size_with_crlf(message) != remote.size {
            what.push(format!("size: {} in the archive, {} at the account", message.size, remote.size));
        }
        if let Some(time) = message.received.map(|time| time.as_second()).filter(|time| *time != remote.received) {
            let (ours, theirs) = (rfc3339(time), rfc3339(remote.received));
            what.push(format!("date of arrival: {ours} in the archive, {theirs} at the account"));
        }
        what
    }

    fn names_of_mailboxes(&self, ids: &[String]) -> String {
        let remotes = self.works.get(&ObjectType::Mailbox).map(|work| work.remotes.as_slice()).unwrap_or_default();
        let places: HashMap<&str, &Remote> = remotes.iter().map(|remote| (remote.id.as_str(), remote)).collect();
        let name = |id: &String| places.get(id.as_str()).map_or_else(|| id.clone(), |remote| path(remote, &places));
        ids.iter().map(name).collect::<Vec<_>>().join(", ")
    }

    fn compare_objects(&self, kind: ObjectType, counts: &mut ComparisonCounts, told: &mut dyn FnMut(Discrepancy)) {
        let Some(work) = self.works.get(&kind) else { return };
        for (at, one) in work.wanted.iter().enumerate() {
            if !counts_as_object(work.fates[at].clone(), one.id) {
                continue;
            }
            let what = work.found[at].map(|place| self.differences_of(kind, at, &work.remotes[place]));
            let side = match &what {
                None => Side::Archive,
                Some(what) if what.is_empty() => {
                    counts.same += 1;
                    continue;
                }
                Some(_) => Side::Both,
            };
            match side {
                Side::Archive => counts.only_archive += 1,
                _ => counts.differs += 1,
            }
            let row = Some(one.id).filter(|id| *id > 0);
            told(Discrepancy { kind, side, row, label: self.path(kind, one), what: what.unwrap_or_default() });
        }
        let used: HashSet<usize> = work.found.iter().flatten().copied().collect();
        let places: HashMap<&str, &Remote> = work.remotes.iter().map(|remote| (remote.id.as_str(), remote)).collect();
        let surplus =
            work.remotes.iter().enumerate().filter(|(place, remote)| !used.contains(place) && !remote.is_blank);
        for (_, remote) in surplus {
            counts.only_account += 1;
            let label = object_label(kind, remote, &places);
            told(Discrepancy { kind, side: Side::Account, row: None, label, what: Vec::new() });
        }
    }

    fn differences_of(&self, kind: ObjectType, at: usize, remote: &Remote) -> Vec<String> {
        let one = &self.works[&kind].wanted[at];
        let mut what = self.patch(kind, at).map(|patch| words_of(kind, &patch)).unwrap_or_default();
        if kind == ObjectType::SieveScript {
            if one.draft.label != remote.name {
                what.push(format!("name: {:?} at the account", remote.name));
            }
            if remote.is_chosen.is_some_and(|is_active| is_active != one.draft.is_chosen) {
                let word = if one.draft.is_chosen { "not active" } else { "active" };
                what.push(format!("{word} at the account"));
            }
        }
        what
    }
}

/// True for what the archive has, and wants as what it is.
fn counts_as_object(fate: Fate, id: Id) -> bool {
    matches!(fate, Fate::Pending | Fate::Matched) && counts(id)
}

/// What a patch would change, in words for the user.
fn words_of(kind: ObjectType, patch: &Patch) -> Vec<String> {
    let mut what = Vec::new();
    if patch.blob.is_some() {
        what.push("content".to_owned());
    }
    if patch.containers.is_some() {
        let holder = kind.holder().map_or("places", |holder| match holder {
            ObjectType::Calendar => "calendars",
            ObjectType::AddressBook => "address books",
            _ => "places",
        });
        what.push(holder.to_owned());
    }
    // What only tells states of one object apart.
    let names = patch.body.keys().filter(|name| name.as_str() != "etag");
    what.extend(names.map(|name| if name.starts_with("blob") { "content".to_owned() } else { name.clone() }));
    what.dedup();
    what
}
