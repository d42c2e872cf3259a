//! The flow of an import: list everything, compare, then fetch and store; what is gone leaves last.
//!
//! Nothing is written before every scope was listed, so a guard can stop a run that would remove too much with the
//! archive untouched. A killed run needs no checkpoint: what it stored is known, and the next one fetches the rest.

use super::containers::{self, Ids};
use super::fetch::{End, PartFetch, PartPlace, touch_all};
use super::guard::{find_moved, guard, too_many_never_adopted};
use super::options::ImportOptions;
use super::recognise::{Recognition, Run};
use super::report::Report;
use super::same_account;
use super::store::{PendingRemovals, Store};
use super::survey::{Survey, Work, survey};
use crate::archive::{OriginIndex, RunState, Writer};
use crate::error::{Error, ErrorKind, Result};
use crate::model::{Entry, ObjectType, SourceIdent};
use crate::progress::Progress;
use crate::source::{DuplicateRule, Source};
use std::collections::{HashSet, VecDeque};

/// How many items are asked for at once.
const FETCH: usize = 4_096;

/// A run that ended: its account, and the snapshot it made.
#[derive(Debug)]
pub struct Done {
    /// What became of everything found.
    pub report: Report,
    /// `snapshots.id`; `None` of a dry run, which makes none.
    pub snapshot: Option<i64>,
    /// How it ended; of a dry run `Partial` if something failed or was not understood.
    pub state: RunState,
    /// Why the run ended before its end, if not by the user: the source was lost. What was stored until then is kept.
    pub lost: Option<Error>,
}

/// Imports a source into an archive.
pub fn import(
    source: &mut dyn Source,
    mut writer: Writer,
    options: &ImportOptions,
    progress: &dyn Progress,
) -> Result<Done> {
    let ident = source.ident().clone();
    let (mut survey, former) = match look(source, &mut writer, options, progress) {
        Ok(found) => found,
        Err(error) => {
            // An archive of which nothing came is not left behind: it could be taken for a backup.
            writer.remove_if_unused()?;
            return Err(error);
        }
    };
    if let Some(former) = &former {
        writer.rename_source(former, &ident)?;
    }
    let run = writer.begin_run(&ident, options.allow_source_change || options.same_account)?;
    let ids = containers::store(&mut writer, &survey.wanted_containers(), source.promises().join, &mut survey.report)?;
    let end = apply(source, &mut writer, &mut survey, &ids, progress)?;
    if matches!(end, End::Complete) {
        remove(&mut writer, &mut survey, &ids, source, options)?;
    }
    let mut report = survey.report;
    report.notices.extend(source.notices());
    report.notes.extend(source.notes());
    for (kind, changes) in writer.changes() {
        if changes.removed > 0 {
            // A type of which nothing is left has a line, too.
            report.of(*kind);
        }
        report.removed.insert(kind.token(), changes.removed);
    }
    let (state, lost) = match end {
        End::Complete if report.is_complete() => (RunState::Complete, None),
        End::Complete => (RunState::Partial, None),
        End::Interrupted => (RunState::Interrupted, None),
        End::Lost(error) => (RunState::Interrupted, Some(error)),
    };
    writer.finish(state, &report.summary_json())?;
    Ok(Done { report, snapshot: Some(run), state, lost })
}

/// Lists the source and compares it with what is known, before anything is written. Gives the source that the archive
/// knows the account as, if it is another one.
fn look(
    source: &mut dyn Source,
    writer: &mut Writer,
    options: &ImportOptions,
    progress: &dyn Progress,
) -> Result<(Survey, Option<SourceIdent>)> {
    let former = same_account::former(source.ident(), &*writer, options)?;
    if former.is_none() {
        let may_differ = options.allow_source_change || options.same_account;
        writer.check_source(source.ident(), may_differ).map_err(|error| explain(error, source))?;
    }
    let lost = writer.forget_lost_items()?;
    let mut survey = compare(source, &*writer, former.as_ref(), options, progress)?;
    if lost > 0 {
        survey.report.notices.push(format!(
            "objects missing from the archive that were imported before: {lost}; those still at the source are imported again"
        ));
    }
    survey.report.notices.extend(writer.clock_note()?);
    Ok((survey, former))
}

/// Lists the source and compares it with what is known of it, or of the source that it was before it moved.
fn compare(
    source: &mut dyn Source,
    ledger: &dyn OriginIndex,
    former: Option<&SourceIdent>,
    options: &ImportOptions,
    progress: &dyn Progress,
) -> Result<Survey> {
    let ident = source.ident().clone();
    let mut survey = survey(source, ledger, former.unwrap_or(&ident), options, progress)?;
    if let Some(former) = former {
        same_account::prove(&survey, former, source, ledger)?;
        survey.report.notes.push(same_account::words(former, &ident));
    }
    find_moved(&mut survey, source, ledger, progress)?;
    survey.report.max_delete = options.max_delete;
    let warnings = guard(&survey, source, ledger, options)?;
    survey.report.notices.extend(warnings);
    Ok(survey)
}

/// Says what an import from another place means for a source whose objects are known wherever they lie.
fn explain(error: Error, source: &dyn Source) -> Error {
    if error.kind != ErrorKind::SourceChanged || source.promises().join != DuplicateRule::SameBytes {
        return error;
    }
    error.hint("if the folder has moved, add --same-account; for another account use another archive; for another export of the same account add --allow-source-change (equal objects are stored once)")
}

/// What an import would do, without writing anything.
pub fn dry_run(
    source: &mut dyn Source,
    ledger: &dyn OriginIndex,
    options: &ImportOptions,
    progress: &dyn Progress,
) -> Result<Done> {
    let former = same_account::former(source.ident(), ledger, options)?;
    let mut survey = compare(source, ledger, former.as_ref(), options, progress)?;
    let is_understood = survey.report.failed() == 0 && survey.report.not_understood == 0;
    let state = if is_understood { RunState::Complete } else { RunState::Partial };
    let wanted = survey.wanted_containers();
    containers::plan(ledger, former.as_ref().unwrap_or(source.ident()), &wanted, &mut survey.report)?;
    let Survey { works, report, vanished, .. } = &mut survey;
    for work in works.iter() {
        let account = report.of(work.scope.kind);
        let moved = work.moved.len() as u64;
        account.stored.new += (work.plan.fetch.len() as u64).saturating_sub(work.plan.refetched + moved);
        account.stored.changed += work.plan.touch.len() as u64 + work.plan.refetched + moved;
    }
    let moved: u64 = works.iter().map(|work| work.moved.len() as u64).sum();
    let gone = works
        .iter()
        .map(|work| (work.scope.kind, work.plan.gone.len()))
        .chain(vanished.iter().map(|gone| (gone.kind, gone.items.len())));
    for (kind, count) in gone {
        *report.removed.entry(kind.token()).or_default() += count as u64;
    }
    if let Some(removed) = report.removed.get_mut(ObjectType::Email.token()) {
        *removed = removed.saturating_sub(moved);
    }
    report.notices.extend(source.notices());
    report.notes.extend(source.notes());
    Ok(Done { report: survey.report, snapshot: None, state, lost: None })
}

/// Touches and fetches.
fn apply(
    source: &mut dyn Source,
    writer: &mut Writer,
    survey: &mut Survey,
    ids: &Ids,
    progress: &dyn Progress,
) -> Result<End> {
    let join = source.promises().join;
    let (what, items) = survey.to_fetch();
    progress.expect(what, items);
    let mut recognition = Recognition::new(survey);
    let mut store = Store::new(writer, ids, join, survey.dying());
    for work in &mut survey.works {
        work.row = Some(store.writer.scope(work.scope.kind, &work.scope.key)?);
    }
    let mut parts = parts(&mut survey.works);
    let mut missed_before = 0;
    while let Some(mut part) = parts.pop_front() {
        let work = &mut survey.works[part.work];
        let row = work.row.unwrap_or_default();
        if part.is_first {
            missed_before = missed(&survey.report);
        }
        // What only changed is written while the first messages are on their way.
        let touches = std::mem::take(&mut work.plan.touch);
        let mut run = Run { store: &mut store, report: &mut survey.report, progress };
        part.prepare(source, work, &mut recognition, &mut run)?;
        let is_last = part.is_last;
        if part.entries.is_empty() {
            touch_all(&touches, &work.scope, row, &mut store, &mut survey.report)?;
        } else {
            progress.place(&source.name(&work.scope));
            if !part.is_announced {
                source.prefetch(&work.scope, &part.entries);
            }
            if let Some(next) = parts.front_mut().filter(|next| !next.shares_content(&part, source)) {
                let work = &survey.works[next.work];
                let mut run = Run { store: &mut store, report: &mut survey.report, progress };
                next.prepare(source, work, &mut recognition, &mut run)?;
                source.prefetch(&work.scope, &next.entries);
                next.is_announced = !next.entries.is_empty();
            }
            let work = &survey.works[part.work];
            let place = PartPlace { scope: &work.scope, row, touches };
            let fetch = PartFetch::new(source, place, &part.entries, &mut recognition, &mut store, &mut survey.report);
            match fetch.run(source, part.entries, progress)? {
                End::Complete => {}
                end => {
                    count_rest(survey, &parts);
                    return Ok(end);
                }
            }
        }
        if is_last && missed(&survey.report) == missed_before {
            store.writer.set_cursor(row, &survey.works[part.work].cursor)?;
        }
    }
    Ok(End::Complete)
}

/// How many objects were listed and could not be read: the next run has to list them again.
fn missed(report: &Report) -> u64 {
    report.failed() + report.vanished()
}

/// Counts what a run that ends here does not come to.
fn count_rest(survey: &mut Survey, parts: &VecDeque<Part>) {
    let Survey { works, report, .. } = survey;
    for part in parts {
        report.of(works[part.work].scope.kind).not_reached += part.entries.len() as u64;
    }
    for work in works.iter() {
        report.of(work.scope.kind).not_reached += work.plan.touch.len() as u64;
    }
}

/// The items of one fetch: all new messages of a scope, or some of many. A scope without any has one empty part.
struct Part {
    /// The place of its scope in the survey.
    work: usize,
    entries: Vec<Entry>,
    is_first: bool,
    is_last: bool,
    is_prepared: bool,
    /// The source knows that it will be fetched.
    is_announced: bool,
}

fn parts(works: &mut [Work]) -> VecDeque<Part> {
    let mut parts = VecDeque::new();
    for (at, work) in works.iter_mut().enumerate() {
        let mut fetch = std::mem::take(&mut work.plan.fetch);
        let mut is_first = true;
        loop {
            let rest = fetch.split_off(fetch.len().min(FETCH));
            let is_last = rest.is_empty();
            parts.push_back(Part {
                work: at,
                entries: fetch,
                is_first,
                is_last,
                is_prepared: false,
                is_announced: false,
            });
            if is_last {
                break;
            }
            (fetch, is_first) = (rest, false);
        }
    }
    parts
}

impl Part {
    /// True if a message of this part is in `other`, too: once that is stored, it need not be fetched.
    fn shares_content(&self, other: &Part, source: &dyn Source) -> bool {
        let there: HashSet<&str> = other.entries.iter().filter_map(|entry| source.content(&entry.rev)).collect();
        !there.is_empty()
            && self
                .entries
                .iter()
                .any(|entry| source.content(&entry.rev).is_some_and(|content| there.contains(content)))
    }

    /// Leaves only what has to be fetched.
    fn prepare(
        &mut self,
        source: &mut dyn Source,
        work: &Work,
        recognition: &mut Recognition,
        run: &mut Run<'_, '_>,
    ) -> Result<()> {
        if !std::mem::replace(&mut self.is_prepared, true) && !self.entries.is_empty() {
            let entries = std::mem::take(&mut self.entries);
            self.entries = recognition.take_known(source, work, entries, run)?;
        }
        Ok(())
    }
}

/// Takes out of the current state what the source does not name any more.
fn remove(
    writer: &mut Writer,
    survey: &mut Survey,
    ids: &Ids,
    source: &dyn Source,
    options: &ImportOptions,
) -> Result<()> {
    let (ident, additive) = (source.ident(), source.promises().is_additive);
    let mut store = Store::new(writer, ids, source.promises().join, PendingRemovals::new());
    for work in &survey.works {
        let Some(row) = work.row else { continue };
        for gone in &work.plan.gone {
            store.gone(work.scope.kind, row, &gone.key, gone.local_id)?;
            store.writer.change_done()?;
        }
    }
    for vanished in &survey.vanished {
        for gone in &vanished.items {
            store.gone(vanished.kind, vanished.row, &gone.key, gone.local_id)?;
            store.writer.change_done()?;
        }
        store.writer.drop_scope(vanished.row)?;
    }
    // A scope that failed may have kept containers from being named.
    if !additive && survey.report.scopes_failed.is_empty() {
        if survey.hidden.is_empty() && survey.report.failed() == 0 && survey.report.not_understood == 0 {
            // Objects that 1.x had imported leave if this source was looked at as a whole and does not name them. An
            // item that failed, or is not understood, may be one of them.
            let whole = survey.works.iter().filter(|work| work.is_whole);
            let listed: HashSet<ObjectType> = whole.map(|work| work.scope.kind).collect();
            let left = store.writer.never_adopted(ident)?;
            let kept = too_many_never_adopted(&mut survey.report, &left, options);
            for (kind, id) in left {
                match kind {
                    // A type that was not looked at, or of which too much would leave.
                    kind if !listed.contains(&kind) || kept.contains(&kind) => {}
                    kind => store.writer.remove(kind, id)?,
                }
                store.writer.change_done()?;
            }
        }
        containers::remove_gone(store.writer, ids, &survey.hidden, &|kind| source.names_containers(kind))?;
    }
    Ok(())
}
