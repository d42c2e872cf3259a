//! The flow of an import: list everything, compare, then fetch and store; what is gone leaves last.
//!
//! Nothing is written before every scope was listed, so a guard can stop a run that would remove too much with the
//! archive untouched. A killed run needs no checkpoint: what it stored is known, and the next one fetches the rest.

use super::containers::{self, Ids};
use super::pipeline;
use super::plan::{Comparison, Plan};
use super::report::Report;
use super::store::{Dying, Fate, Place, Store, attrs_of, container_of};
use crate::archive::{KnownScope, Ledger, State, Writer, ids_json};
use crate::error::{Error, Kind as Fault, Result};
use crate::model::{Container, Entry, Id, Kind, Omission, Outcome};
use crate::source::{Scope, Source};
use std::collections::{BTreeMap, HashMap, HashSet};

/// How many items are asked for at once.
const FETCH: usize = 4_096;

/// What the user decides about a run.
#[derive(Debug, Clone, Copy, Default)]
pub struct Options {
    /// Import although the archive holds another source of this kind.
    pub allow_source_change: bool,
    /// Stop before more than this share of the known objects of a type would be removed, and more than 50 of them.
    pub max_delete: Option<f64>,
}

/// Watches a run; called from the thread that writes.
pub trait Progress {
    /// A new step begins, e.g. `listing INBOX`.
    fn step(&self, what: &str);
    /// So many items will be fetched.
    fn expect(&self, items: u64);
    /// An item is done.
    fn item(&self, bytes: u64);
    /// True once the user wants the run to end.
    fn interrupted(&self) -> bool;
}

/// A run that ended: its account, and the snapshot it made.
#[derive(Debug)]
pub struct Done {
    pub report: Report,
    pub snapshot: Option<i64>,
    pub state: State,
}

/// Imports a source into an archive.
pub fn import(source: &mut dyn Source, mut writer: Writer, options: &Options, progress: &dyn Progress) -> Result<Done> {
    writer.check_source(source.ident(), options.allow_source_change)?;
    let mut survey = survey(source, &writer, progress)?;
    survey.guard(options)?;
    let run = writer.begin_run(source.ident(), options.allow_source_change)?;
    let ids = containers::store(&mut writer, &survey.wanted_containers(), &mut survey.report)?;
    let interrupted = apply(source, &mut writer, &mut survey, &ids, progress)?;
    if !interrupted {
        remove(&mut writer, &mut survey, &ids, source)?;
    }
    let mut report = survey.report;
    for (kind, changes) in writer.changes() {
        report.removed.insert(kind.token(), changes.removed);
    }
    let state = match (interrupted, report.is_complete()) {
        (true, _) => State::Interrupted,
        (false, true) => State::Complete,
        (false, false) => State::Partial,
    };
    writer.finish(state, &report.summary_json())?;
    Ok(Done { report, snapshot: Some(run), state })
}

/// What an import would do, without writing anything.
pub fn dry_run(
    source: &mut dyn Source,
    ledger: &dyn Ledger,
    options: &Options,
    progress: &dyn Progress,
) -> Result<Done> {
    let mut survey = survey(source, ledger, progress)?;
    survey.guard(options)?;
    let Survey { works, report, vanished, .. } = &mut survey;
    for work in works.iter() {
        let account = report.of(work.scope.kind);
        account.stored.new += work.plan.fetch.len() as u64 - work.plan.refetched;
        account.stored.changed += work.plan.touch.len() as u64 + work.plan.refetched;
    }
    let gone = works
        .iter()
        .map(|work| (work.scope.kind, work.plan.gone.len()))
        .chain(vanished.iter().map(|gone| (gone.kind, gone.items.len())));
    for (kind, count) in gone {
        *report.removed.entry(kind.token()).or_default() += count as u64;
    }
    Ok(Done { report: survey.report, snapshot: None, state: State::Complete })
}

/// A scope and what is to be done in it.
struct Work {
    scope: Scope,
    plan: Plan,
    cursor: String,
    row: Option<i64>,
}

/// A scope that the source does not have any more.
struct Vanished {
    kind: Kind,
    row: i64,
    items: Vec<(Box<str>, Id)>,
}

/// Everything that the source named, compared with what is known.
struct Survey {
    works: Vec<Work>,
    vanished: Vec<Vanished>,
    containers: Vec<Container>,
    hidden: HashSet<String>,
    /// Keys of scopes that could not be listed: what lies below one of them is not gone.
    failed: Vec<String>,
    known: BTreeMap<Kind, u64>,
    report: Report,
}

fn survey(source: &mut dyn Source, ledger: &dyn Ledger, progress: &dyn Progress) -> Result<Survey> {
    progress.step("looking around");
    let (scopes, containers) = source.scopes()?;
    let known: HashMap<(String, String), KnownScope> = ledger
        .known_scopes(source.ident())?
        .into_iter()
        .map(|scope| ((scope.kind.clone(), scope.key.clone()), scope))
        .collect();
    let ids = known_containers(ledger, &known)?;
    let mut survey = Survey {
        works: Vec::new(),
        vanished: Vec::new(),
        containers,
        hidden: HashSet::new(),
        failed: Vec::new(),
        known: BTreeMap::new(),
        report: Report::default(),
    };
    let mut named: HashSet<(String, String)> = HashSet::new();
    for scope in scopes {
        let identity = (scope.kind.name().to_owned(), scope.key.clone());
        if scope.selected {
            survey.list(source, ledger, scope, known.get(&identity), &ids, progress)?;
        } else {
            survey.hidden.insert(scope.key.clone());
        }
        named.insert(identity);
        if progress.interrupted() {
            return Err(Error::new(Fault::Interrupted, "interrupted before anything was written"));
        }
    }
    if !source.is_additive() {
        for (identity, scope) in &known {
            if let Some(kind) = Kind::from_token(&identity.0)
                .filter(|_| !identity.1.is_empty() && !named.contains(identity) && !survey.is_below_failed(&identity.1))
            {
                if source.hides(kind, &identity.1) {
                    survey.hidden.insert(identity.1.clone());
                    continue;
                }
                let mut items = Vec::new();
                ledger.each_known(scope.row, &mut |item| items.push((item.key.into(), item.local_id)))?;
                *survey.known.entry(kind).or_default() += items.len() as u64;
                survey.vanished.push(Vanished { kind, row: scope.row, items });
            }
        }
    }
    Ok(survey)
}

/// The rows of all containers that were imported from this source before.
fn known_containers(ledger: &dyn Ledger, known: &HashMap<(String, String), KnownScope>) -> Result<Ids> {
    let mut ids = Ids::new();
    for ((kind, key), scope) in known {
        if let Some(kind) = Kind::from_token(kind).filter(|_| key.is_empty()) {
            ledger.each_known(scope.row, &mut |item| {
                ids.insert((kind, item.key.to_owned()), item.local_id);
            })?;
        }
    }
    Ok(ids)
}

impl Survey {
    fn list(
        &mut self,
        source: &mut dyn Source,
        ledger: &dyn Ledger,
        scope: Scope,
        known: Option<&KnownScope>,
        ids: &Ids,
        progress: &dyn Progress,
    ) -> Result<()> {
        progress.step(&format!("listing {}", scope.key));
        let listing = match source.list(&scope, known.map_or("", |known| known.cursor.as_str())) {
            Ok(listing) => listing,
            Err(error) if error.kind == Fault::Interrupted => return Err(error),
            Err(error) => {
                let position = scope.key.clone();
                self.report.remark(scope.kind, "failed", format!("not listed: {error}"), position.clone());
                self.report.scopes_failed.push(format!("{position}: {error}"));
                self.failed.push(position);
                return Ok(());
            }
        };
        let row = known.map(|known| known.row);
        let mut count = 0;
        let mut comparison = Comparison::new(listing.entries, listing.complete);
        let mut wanted: HashMap<*const crate::model::Attrs, (String, String)> = HashMap::new();
        if let Some(row) = row {
            ledger.each_known(row, &mut |item| {
                count += 1;
                if !listing.unchanged {
                    comparison.known(item.key, item.rev, item.local_id, |entry| {
                        let (keywords, parents) =
                            wanted.entry(std::sync::Arc::as_ptr(&entry.attrs)).or_insert_with(|| {
                                let (keywords, parents) = attrs_of(ids, container_of(scope.kind), &entry.attrs);
                                let complete = parents.len() == entry.attrs.parents.len();
                                (keywords, if complete { ids_json(&parents) } else { String::new() })
                            });
                        keywords == item.keywords && parents == item.parents
                    });
                }
            })?;
        }
        let mut plan = comparison.finish();
        if listing.unchanged {
            plan.unchanged = count;
        }
        *self.known.entry(scope.kind).or_default() += count;
        let account = self.report.of(scope.kind);
        account.found += plan.unchanged + plan.fetch.len() as u64 + plan.touch.len() as u64;
        account.stored.unchanged += plan.unchanged;
        listing.omissions.into_iter().for_each(|omission| self.report.omitted(omission));
        self.containers.extend(listing.containers);
        self.works.push(Work { scope, plan, cursor: listing.cursor, row });
        Ok(())
    }

    fn is_below_failed(&self, key: &str) -> bool {
        self.failed.iter().any(|failed| key.strip_prefix(failed.as_str()).is_some_and(|rest| rest.starts_with('/')))
    }

    /// Stops a run that would remove more than the user allows.
    fn guard(&self, options: &Options) -> Result<()> {
        let Some(share) = options.max_delete else { return Ok(()) };
        for (kind, known) in &self.known {
            let gone: usize =
                self.works.iter().filter(|work| work.scope.kind == *kind).map(|work| work.plan.gone.len()).sum();
            let vanished: usize =
                self.vanished.iter().filter(|gone| gone.kind == *kind).map(|gone| gone.items.len()).sum();
            let all = gone + vanished;
            if all > 50 && all as f64 > *known as f64 * share {
                return Err(Error::new(
                    Fault::Guard,
                    format!(
                        "{all} of {known} known objects of type {} are gone at the source; nothing was changed",
                        kind.token()
                    ),
                )
                .hint("if that is right, run again with --max-delete 100%"));
            }
        }
        Ok(())
    }

    /// All containers but those that only a filtered-out scope would fill.
    fn wanted_containers(&self) -> Vec<Container> {
        let mut wanted: HashSet<&str> = HashSet::new();
        for container in self.containers.iter().rev() {
            if !self.hidden.contains(&container.key) || wanted.contains(container.key.as_str()) {
                wanted.insert(&container.key);
                wanted.extend(container.parent.as_deref());
            }
        }
        self.containers.iter().filter(|container| wanted.contains(container.key.as_str())).cloned().collect()
    }

    fn dying(&self) -> Dying {
        let mut dying = Dying::new();
        let emails = self.works.iter().filter(|work| work.scope.kind == Kind::Email);
        for (row, gone) in emails.filter_map(|work| Some((work.row?, &work.plan.gone))) {
            for gone in gone {
                dying.entry(gone.local_id).or_default().push((row, gone.key.clone()));
            }
        }
        for vanished in self.vanished.iter().filter(|vanished| vanished.kind == Kind::Email) {
            for (key, id) in &vanished.items {
                dying.entry(*id).or_default().push((vanished.row, key.clone()));
            }
        }
        dying
    }
}

/// Touches and fetches. Gives true if the user interrupted it.
fn apply(
    source: &mut dyn Source,
    writer: &mut Writer,
    survey: &mut Survey,
    ids: &Ids,
    progress: &dyn Progress,
) -> Result<bool> {
    let join = source.join();
    progress.expect(survey.works.iter().map(|work| work.plan.fetch.len() as u64).sum());
    let dying = survey.dying();
    let mut store = Store::new(writer, ids, join, dying);
    for work in &mut survey.works {
        let row = store.writer.scope(work.scope.kind, &work.scope.key)?;
        work.row = Some(row);
        for touch in &work.plan.touch {
            let place = Place { scope: row, key: &touch.entry.key, rev: &touch.entry.rev, attrs: &touch.entry.attrs };
            let before = store.writer.changes().get(&work.scope.kind).copied();
            store.touch(work.scope.kind, &place, touch.local_id)?;
            let differs = before != store.writer.changes().get(&work.scope.kind).copied();
            count(&mut survey.report, work.scope.kind, if differs { Fate::Changed } else { Fate::Unchanged });
            store.writer.item_done(0)?;
        }
        let failed_before = survey.report.failed();
        let mut fetch = std::mem::take(&mut work.plan.fetch);
        if !fetch.is_empty() {
            progress.step(&format!("reading {}", work.scope.key));
        }
        while !fetch.is_empty() {
            let rest = fetch.split_off(fetch.len().min(FETCH));
            let part = std::mem::replace(&mut fetch, rest);
            if fetch_part(source, &work.scope, row, part, &mut store, &mut survey.report, progress)? {
                return Ok(true);
            }
        }
        if survey.report.failed() == failed_before {
            store.writer.set_cursor(row, &work.cursor)?;
        }
    }
    Ok(false)
}

fn fetch_part(
    source: &mut dyn Source,
    scope: &Scope,
    row: i64,
    part: Vec<Entry>,
    store: &mut Store<'_>,
    report: &mut Report,
    progress: &dyn Progress,
) -> Result<bool> {
    let mut asked: HashMap<Box<str>, Entry> = part.iter().map(|entry| (entry.key.clone(), entry.clone())).collect();
    let mut failures: Vec<(Entry, Outcome, String)> = Vec::new();
    let mut fatal = None;
    let mut interrupted = false;
    match source.fetch(scope, part) {
        Err(error) => {
            let reason = error.to_string();
            failures.extend(asked.drain().map(|(_, entry)| (entry, Outcome::Failed, reason.clone())));
        }
        Ok(items) => pipeline::run(items, |ready| {
            if progress.interrupted() {
                interrupted = true;
                return false;
            }
            match ready {
                Err(failure) => {
                    if let Some(entry) = asked.remove(&failure.key) {
                        let outcome = if failure.vanished { Outcome::Skipped } else { Outcome::Failed };
                        let reason =
                            if failure.vanished { "vanished meanwhile".to_owned() } else { failure.error.to_string() };
                        failures.push((entry, outcome, reason));
                    }
                }
                Ok(ready) => {
                    let Some(entry) = asked.remove(&ready.key) else { return true };
                    let size = ready.size;
                    let remark = match &ready.content {
                        pipeline::Content::Event { remark, .. } | pipeline::Content::Card { remark, .. } => {
                            remark.clone()
                        }
                        _ => None,
                    };
                    let place = Place { scope: row, key: &entry.key, rev: &entry.rev, attrs: &entry.attrs };
                    let written =
                        store.item(&place, ready).and_then(|fate| store.writer.item_done(size).map(|()| fate));
                    match written {
                        Ok(fate) => {
                            if fate == Fate::Duplicate {
                                failures.push((entry, Outcome::Duplicate, "the same in another file".to_owned()));
                                progress.item(size);
                                return true;
                            }
                            count(report, scope.kind, fate);
                            report.bytes += size;
                            if let Some(remark) = remark {
                                report.remark(scope.kind, "stored", remark, format!("{}: {}", scope.key, entry.key));
                            }
                        }
                        Err(error) => {
                            fatal = Some(error);
                            return false;
                        }
                    }
                    progress.item(size);
                }
            }
            true
        }),
    }
    if let Some(error) = fatal {
        return Err(error);
    }
    if !interrupted {
        failures.extend(asked.into_values().map(|entry| (entry, Outcome::Failed, "not handed over".to_owned())));
    }
    for (entry, outcome, reason) in failures {
        report.not_stored(Omission { kind: scope.kind, reason, position: source.position(scope, &entry), outcome });
    }
    Ok(interrupted)
}

fn count(report: &mut Report, kind: Kind, fate: Fate) {
    let account = report.of(kind);
    match fate {
        Fate::New => account.stored.new += 1,
        Fate::Changed => account.stored.changed += 1,
        Fate::Unchanged => account.stored.unchanged += 1,
        Fate::Duplicate => account.duplicate += 1,
    }
}

/// Takes out of the current state what the source does not name any more.
fn remove(writer: &mut Writer, survey: &mut Survey, ids: &Ids, source: &dyn Source) -> Result<()> {
    let (ident, additive) = (source.ident(), source.is_additive());
    let mut store = Store::new(writer, ids, source.join(), Dying::new());
    for work in &survey.works {
        let Some(row) = work.row else { continue };
        for gone in &work.plan.gone {
            store.gone(work.scope.kind, row, &gone.key, gone.local_id)?;
            store.writer.item_done(0)?;
        }
    }
    for vanished in &survey.vanished {
        for (key, id) in &vanished.items {
            store.gone(vanished.kind, vanished.row, key, *id)?;
            store.writer.item_done(0)?;
        }
        store.writer.drop_scope(vanished.row)?;
    }
    // A scope that failed may have kept containers from being named.
    if !additive && survey.report.scopes_failed.is_empty() {
        if survey.hidden.is_empty() && survey.report.failed() == 0 {
            // What 1.x had imported and this source, looked at as a whole, does not name. What failed may be one of them.
            for (kind, id) in store.writer.left_by_1x(ident)? {
                match kind {
                    Kind::Email => store.writer.remove_email(id)?,
                    _ => store.writer.remove(kind, id)?,
                }
                store.writer.item_done(0)?;
            }
        }
        containers::remove_gone(store.writer, ids, &survey.hidden)?;
    }
    Ok(())
}
