//! Looking before anything is written: what a source names, compared with what is known of it.

use super::containers::Ids;
use super::diff::{Comparison, Gone, Plan};
use super::full_listing::{self, Start};
use super::options::ImportOptions;
use super::report::Report;
use super::store::{PendingRemovals, membership_of};
use crate::archive::{KnownScope, Membership, OriginIndex};
use crate::error::{Error, ErrorKind, Result, is_final};
use crate::model::container::Container;
use crate::model::{Attrs, Digest, Id, ObjectType, SourceIdent};
use crate::progress::Progress;
use crate::source::{DuplicateRule, Listing, Scope, Source, UNKNOWN, UnlistedItems};
use jiff::Timestamp;
use jiff::tz::TimeZone;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;

/// A scope and what is to be done in it.
pub(super) struct Work {
    pub scope: Scope,
    pub plan: Plan,
    pub cursor: String,
    /// The scope's row, once it has one.
    pub row: Option<i64>,
    /// True if the listing showed the whole scope ([`Source::is_whole`]).
    pub is_whole: bool,
    /// New items, by key, that have the bytes of a message that is gone, each with the row of that one.
    pub moved: HashMap<Box<str>, Id>,
}

/// A scope that the source does not have any more.
pub(super) struct Vanished {
    pub kind: ObjectType,
    /// The key that it had.
    pub key: String,
    pub row: i64,
    pub items: Vec<Gone>,
}

/// The parts of a survey that all scopes share.
struct Context<'a> {
    ledger: &'a dyn OriginIndex,
    /// The source that the account is known as.
    known_as: &'a SourceIdent,
    /// The rows of all containers that were imported from this source before.
    ids: Ids,
    progress: &'a dyn Progress,
}

/// A scope as the archive knows it, before it is listed.
struct KnownBefore<'a> {
    scope: Option<&'a KnownScope>,
    start: Start,
}

/// A listing beside what was known.
struct Compared {
    plan: Plan,
    /// How many items were known.
    known: u64,
    /// How many of them are in other containers than the listing says, where an earlier version had put them.
    misplaced: u64,
}

/// Everything that the source named, compared with what is known.
pub(super) struct Survey {
    pub works: Vec<Work>,
    pub vanished: Vec<Vanished>,
    containers: Vec<Container>,
    /// Keys of scopes that a filter hides.
    pub hidden: HashSet<String>,
    /// Keys of scopes that could not be listed: what lies below one of them is not gone.
    failed: Vec<String>,
    /// How many objects of each type are known of what was listed, or is gone.
    pub known: BTreeMap<ObjectType, u64>,
    /// Rows by what names their bytes ([`Source::content`]).
    pub contents: Contents,
    pub report: Report,
    /// The source named no scope at all.
    pub is_empty: bool,
}

/// Rows by the digest of what names their bytes: of a fixed size, however many messages and however long their names.
#[derive(Default)]
pub(super) struct Contents(HashMap<[u8; 16], Id>);

impl Contents {
    /// Remembers that the bytes of this name stand in a row.
    pub(super) fn insert(&mut self, content: &str, id: Id) {
        self.0.insert(Self::key(content), id);
    }

    /// The row with the bytes of this name.
    pub(super) fn get(&self, content: &str) -> Option<Id> {
        self.0.get(&Self::key(content)).copied()
    }

    fn key(content: &str) -> [u8; 16] {
        let mut key = [0; 16];
        key.copy_from_slice(&Digest::of(content.as_bytes()).0[..16]);
        key
    }
}

/// Lists all of a source.
///
/// Errors: what [`Source::scopes`] fails with, and an interruption. A scope that cannot be listed is in the report.
///
/// `known_as` is the source that it is known as: its own, or the one that it was before it moved, and then everything is
/// listed in full.
pub(super) fn survey(
    source: &mut dyn Source,
    ledger: &dyn OriginIndex,
    known_as: &SourceIdent,
    options: &ImportOptions,
    progress: &dyn Progress,
) -> Result<Survey> {
    progress.step(&looking_at(source.ident()));
    let (scopes, containers) = source.scopes()?;
    let omissions = source.omissions();
    let known: HashMap<(String, String), KnownScope> = ledger
        .known_scopes(known_as)?
        .into_iter()
        .map(|scope| ((scope.kind.clone(), scope.key.clone()), scope))
        .collect();
    let context = Context { ledger, known_as, ids: known_containers(ledger, &known)?, progress };
    let mut survey = Survey {
        works: Vec::new(),
        vanished: Vec::new(),
        containers,
        hidden: HashSet::new(),
        failed: Vec::new(),
        known: BTreeMap::new(),
        contents: Contents::default(),
        report: Report::default(),
        is_empty: false,
    };
    if source.promises().join == DuplicateRule::SameBytes {
        let kin = ledger.kin_scopes(source.ident())?;
        let mail =
            known.values().chain(&kin).filter(|scope| scope.kind == ObjectType::Email.name() && !scope.key.is_empty());
        for scope in mail {
            survey.learn_contents(source, ledger, scope.row)?;
        }
    }
    omissions.into_iter().for_each(|omission| survey.report.omitted(omission));
    survey.is_empty = scopes.is_empty();
    let is_full = options.full || known_as != source.ident();
    let cursors = source.promises().cursors;
    let today = Timestamp::now().to_zoned(TimeZone::UTC).date();
    let start_of = |scope: &Scope| {
        let identity = (scope.kind.name().to_owned(), scope.key.clone());
        let stored = known.get(&identity).map_or("", |known| known.cursor.as_str());
        full_listing::start(stored, today, is_full, cursors)
    };
    let announced: Vec<(Scope, String)> =
        scopes.iter().filter(|scope| scope.selected).map(|scope| (scope.clone(), start_of(scope).cursor)).collect();
    source.announce(&announced);
    drop(announced);
    let mut due = 0;
    let mut named: HashSet<(String, String)> = HashSet::new();
    for scope in scopes {
        let identity = (scope.kind.name().to_owned(), scope.key.clone());
        if scope.selected {
            let start = start_of(&scope);
            due += u64::from(start.is_due);
            let known = KnownBefore { scope: known.get(&identity), start };
            survey.list(source, &context, scope, known)?;
        } else {
            survey.hide(scope.kind, &scope.key);
        }
        named.insert(identity);
        if progress.interrupted() {
            return Err(Error::new(ErrorKind::Interrupted, "interrupted before anything was written"));
        }
    }
    survey.tell_due(due);
    match source.promises().is_additive {
        true => survey.keep_absent(source, ledger, &known, &named)?,
        false => survey.find_vanished(source, ledger, &known, &named)?,
    }
    Ok(survey)
}

/// What a run does until it knows what there is.
fn looking_at(ident: &SourceIdent) -> String {
    let place = ident.session_url.split_once("://").map_or("", |(_, place)| place);
    match place.split(['/', '?', '#']).next().and_then(|server| server.rsplit('@').next()) {
        Some(host) if !host.is_empty() && !ident.session_url.starts_with("file:") => format!("connecting to {host}"),
        _ => format!("looking into {}", ident.account_id),
    }
}

/// The rows of all containers that were imported from this source before.
fn known_containers(ledger: &dyn OriginIndex, known: &HashMap<(String, String), KnownScope>) -> Result<Ids> {
    let mut ids = Ids::new();
    for ((kind, key), scope) in known {
        if let Some(kind) = ObjectType::from_token(kind).filter(|_| key.is_empty()) {
            ledger.each_known(scope.row, &mut |item| {
                ids.insert((kind, item.key.to_owned()), item.local_id);
            })?;
        }
    }
    Ok(ids)
}

impl Survey {
    /// How many items are to be fetched, and the token of their type, which is empty for several types.
    pub(super) fn to_fetch(&self) -> (&'static str, u64) {
        let fetched = || self.works.iter().filter(|work| !work.plan.fetch.is_empty());
        let kinds: HashSet<ObjectType> = fetched().map(|work| work.scope.kind).collect();
        let what = match kinds.into_iter().collect::<Vec<_>>()[..] {
            [kind] => kind.token(),
            _ => "",
        };
        (what, fetched().map(|work| work.plan.fetch.len() as u64).sum())
    }

    /// Says that so many scopes were listed in full because it was time.
    fn tell_due(&mut self, due: u64) {
        if due > 0 {
            let (all, days) = (self.works.len() + self.failed.len(), full_listing::DAYS);
            self.report.notes.push(format!(
                "{due} of {all} folders or types listed in full (done every {days} days, because servers may miss changes)"
            ));
        }
    }

    /// A filter of this run hides a scope.
    fn hide(&mut self, kind: ObjectType, key: &str) {
        self.hidden.insert(key.to_owned());
        *self.report.hidden.entry(kind.token()).or_default() += 1;
    }

    /// Learns what bytes the messages of a scope have, whether this run lists it or not.
    fn learn_contents(&mut self, source: &dyn Source, ledger: &dyn OriginIndex, scope: i64) -> Result<()> {
        ledger.each_known(scope, &mut |item| {
            if let Some(content) = source.content(item.rev) {
                self.contents.insert(content, item.local_id);
            }
        })
    }

    /// Counts and names what an additive source had in scopes that are not there now: a part of an export on a disk that is
    /// not mounted is not there, and not deleted.
    fn keep_absent(
        &mut self,
        source: &dyn Source,
        ledger: &dyn OriginIndex,
        known: &HashMap<(String, String), KnownScope>,
        named: &HashSet<(String, String)>,
    ) -> Result<()> {
        let mut absent: Vec<_> = known.iter().filter(|(identity, _)| !identity.1.is_empty()).collect();
        absent.retain(|(identity, _)| !named.contains(*identity));
        absent.sort_unstable_by_key(|(identity, _)| *identity);
        for ((token, key), scope) in absent {
            let Some(kind) = ObjectType::from_token(token).filter(|kind| !source.hides(*kind, key)) else { continue };
            let mut count = 0;
            ledger.each_known(scope.row, &mut |_| count += 1)?;
            *self.known.entry(kind).or_default() += count;
            if count > 0 {
                self.report.kept(kind, count);
                self.report.remark(kind, "kept", "not there today".to_owned(), key.clone());
            }
        }
        Ok(())
    }

    /// Finds known scopes that the source does not name any more, with all that is known of them.
    fn find_vanished(
        &mut self,
        source: &dyn Source,
        ledger: &dyn OriginIndex,
        known: &HashMap<(String, String), KnownScope>,
        named: &HashSet<(String, String)>,
    ) -> Result<()> {
        for (identity, scope) in known {
            let is_vanished = !identity.1.is_empty() && !named.contains(identity) && !self.is_below_failed(&identity.1);
            let Some(kind) = ObjectType::from_token(&identity.0).filter(|_| is_vanished) else { continue };
            if source.hides(kind, &identity.1) {
                self.hide(kind, &identity.1);
                continue;
            }
            let mut items = Vec::new();
            ledger.each_known(scope.row, &mut |item| {
                if let Some(content) = source.content(item.rev) {
                    self.contents.insert(content, item.local_id);
                }
                items.push(Gone { key: item.key.into(), rev: item.rev.into(), local_id: item.local_id });
            })?;
            *self.known.entry(kind).or_default() += items.len() as u64;
            self.vanished.push(Vanished { kind, key: identity.1.clone(), row: scope.row, items });
        }
        Ok(())
    }

    /// Lists a scope, compares it with what is known, and counts it. A scope that cannot be listed is in the report.
    ///
    /// Errors: those that end the run, and those of the archive.
    fn list(
        &mut self,
        source: &mut dyn Source,
        context: &Context<'_>,
        scope: Scope,
        known: KnownBefore<'_>,
    ) -> Result<()> {
        let name = source.name(&scope);
        context.progress.step(&format!("listing {name}"));
        let mut listing = match source.list(&scope, &known.start.cursor) {
            Ok(listing) => listing,
            // Nothing was written yet, and no other scope would fare better.
            Err(error) if is_final(&error) => return Err(error),
            Err(error) => {
                self.report.remark(scope.kind, "failed", format!("not listed: {error}"), name.clone());
                self.report.scopes_failed.push(format!("{name}: {error}"));
                self.failed.push(scope.key);
                return Ok(());
            }
        };
        let is_whole = source.is_whole(&listing);
        let compared = self.compare(source, context, &scope, &known, &mut listing)?;
        if listing.unchanged && !source.names_containers(scope.kind) && ObjectType::CONTAINERS.contains(&scope.kind) {
            // Its directories come with its files, and neither were listed.
            let directories = context.ids.keys().filter(|(kind, _)| *kind == scope.kind).count() as u64;
            let account = self.report.of(scope.kind);
            account.found += directories;
            account.stored.unchanged += directories;
        }
        self.count(scope.kind, &compared);
        listing.omissions.into_iter().for_each(|omission| self.report.omitted(omission));
        self.containers.extend(listing.containers);
        let row = known.scope.map(|known| known.row);
        let cursor = known.start.stored(listing.cursor);
        self.works.push(Work { scope, plan: compared.plan, cursor, row, is_whole, moved: HashMap::new() });
        Ok(())
    }

    /// Compares the entries of a listing, which it takes out of it, with what is known of the scope.
    fn compare(
        &mut self,
        source: &dyn Source,
        context: &Context<'_>,
        scope: &Scope,
        known: &KnownBefore<'_>,
        listing: &mut Listing,
    ) -> Result<Compared> {
        let row = known.scope.map(|known| known.row);
        let (mut count, mut misplaced) = (0, 0);
        let is_same = |known: &str, listed: &str| source.is_same(known, listed);
        let unnamed = std::mem::take(&mut listing.unnamed);
        let unnamed = if source.promises().is_additive { UnlistedItems::Kept } else { unnamed };
        let mut comparison = Comparison::new(std::mem::take(&mut listing.entries), unnamed, &is_same);
        // Many items share their attributes.
        let mut wanted: HashMap<*const Attrs, Option<Membership>> = HashMap::new();
        if let Some(row) = row {
            context.ledger.each_known(row, &mut |item| {
                count += 1;
                if let Some(content) = source.content(item.rev) {
                    self.contents.insert(content, item.local_id);
                }
                if !listing.unchanged {
                    comparison.known(item.key, item.rev, item.local_id, |entry| {
                        let wanted = wanted.entry(Arc::as_ptr(&entry.attrs)).or_insert_with(|| {
                            let wanted = membership_of(&context.ids, &entry.attrs);
                            // A container that has no row yet is none that the item was known to lie in.
                            (wanted.containers().len() == entry.attrs.parents.len()).then_some(wanted)
                        });
                        let lies_there = wanted.as_ref().is_some_and(|wanted| item.lies_in(wanted));
                        misplaced += u64::from(known.start.heals && !lies_there);
                        wanted.as_ref().is_some_and(|wanted| item.has(wanted))
                    });
                }
            })?;
        } else if let Some(known_by) = source.known_to_1x_by(scope) {
            for (key, id) in context.ledger.adoptable_messages(context.known_as, &known_by)? {
                count += 1;
                comparison.known(&key, UNKNOWN, id, |_| false);
            }
        }
        let mut plan = comparison.finish();
        if listing.unchanged {
            plan.unchanged = count;
        }
        Ok(Compared { plan, known: count, misplaced })
    }

    /// Counts what a scope has of a type.
    fn count(&mut self, kind: ObjectType, compared: &Compared) {
        let Compared { plan, known, misplaced } = compared;
        *self.known.entry(kind).or_default() += known;
        self.report.kept(kind, plan.kept);
        if *misplaced > 0 {
            let (token, what) =
                (kind.token(), "lay in a wrong place in the archive, where an earlier version had put them");
            self.report.notices.push(format!("{misplaced} objects of the type {token} {what}: corrected"));
        }
        let account = self.report.of(kind);
        account.found += plan.unchanged + plan.fetch.len() as u64 + plan.touch.len() as u64;
        account.stored.unchanged += plan.unchanged;
    }

    /// How many objects are known of what was listed, and how many of them were found again where they were.
    pub(super) fn recognised(&self) -> (u64, u64) {
        let known = self.known.values().sum();
        (known, self.works.iter().map(|work| work.plan.recognised).sum())
    }

    fn is_below_failed(&self, key: &str) -> bool {
        self.failed.iter().any(|failed| key.strip_prefix(failed.as_str()).is_some_and(|rest| rest.starts_with('/')))
    }

    /// Known objects of a type that the source does not name any more, each with the row of its scope.
    pub(super) fn gone_of(&self, kind: ObjectType) -> impl Iterator<Item = (i64, &Gone)> {
        let listed = self.works.iter().filter(move |work| work.scope.kind == kind);
        let listed = listed.filter_map(|work| Some((work.row?, &work.plan.gone)));
        let vanished = self.vanished.iter().filter(move |vanished| vanished.kind == kind);
        let vanished = vanished.map(|vanished| (vanished.row, &vanished.items));
        listed.chain(vanished).flat_map(|(row, items)| items.iter().map(move |gone| (row, gone)))
    }

    /// All containers but those that only a filtered-out scope would fill.
    pub(super) fn wanted_containers(&self) -> Vec<Container> {
        let mut wanted: HashSet<&str> = HashSet::new();
        for container in self.containers.iter().rev() {
            if !self.hidden.contains(&container.key) || wanted.contains(container.key.as_str()) {
                wanted.insert(&container.key);
                wanted.extend(container.parent.as_deref());
            }
        }
        self.containers.iter().filter(|container| wanted.contains(container.key.as_str())).cloned().collect()
    }

    /// The rows of messages that are gone, with all places that they are gone from.
    pub(super) fn dying(&self) -> PendingRemovals {
        let mut dying = PendingRemovals::new();
        for (row, gone) in self.gone_of(ObjectType::Email) {
            dying.entry(gone.local_id).or_default().push((row, gone.key.clone()));
        }
        dying
    }
}
