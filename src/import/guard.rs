//! Looks at the objects that are gone before any is removed: how many got another place or another name, and whether the
//! rest is more than the user allows.

use super::diff::Gone;
use super::options::ImportOptions;
use super::report::Report;
use super::survey::Survey;
use crate::archive::{DAYS, Losses, OriginIndex};
use crate::error::{Error, ErrorKind, Result, is_final};
use crate::model::{Attrs, Digest, Entry, Id, ObjectType};
use crate::progress::Progress;
use crate::source::{Size, Source};
use std::collections::{HashMap, HashSet};
use std::sync::Arc;

/// So many objects of a type may always leave the current state.
const ALWAYS: usize = 50;

/// How many messages are read between two looks at whether the user wants the run to end.
const AT_ONCE: usize = 256;

/// Runs of some days may remove together so many times what one may. A fifth a night empties an account in two weeks.
const TOGETHER: f64 = 2.5;

/// Stops a run that would remove more than the user allows, by itself or together with those of the last days, or that
/// found nothing where something is known. Gives warnings.
///
/// # Errors
/// [`ErrorKind::Guard`]; what [`Source::why_empty`] says, if nothing is known either.
pub(super) fn guard(
    survey: &Survey,
    source: &dyn Source,
    ledger: &dyn OriginIndex,
    options: &ImportOptions,
) -> Result<Vec<String>> {
    let known: u64 = survey.known.values().sum();
    if survey.is_empty && known == 0 {
        return source.why_empty().map_or(Ok(Vec::new()), Err);
    }
    let Some(share) = options.max_delete.filter(|share| *share < 1.0) else { return Ok(Vec::new()) };
    if let Some(why) = source.why_empty().filter(|_| survey.is_empty) {
        return Err(Error::new(
            ErrorKind::Guard,
            format!("{why}, but the archive has {known} objects from it; nothing was changed"),
        )
        .hint("check that the disk is mounted and the path is right. If everything is really deleted, run again with --max-delete 100%"));
    }
    let moved = rows_moved(survey);
    let mut warnings = Vec::new();
    for (kind, known) in &survey.known {
        let is_too_much = |all: usize| is_too_much(all, *known, share);
        let losses = losses(survey, *kind, &moved);
        let mut all = losses.iter().map(|(count, _)| count).sum();
        if is_too_much(all) {
            all = all.saturating_sub(moved_by_revision(survey, *kind, &moved));
        }
        if is_too_much(all) {
            return Err(Error::new(
                ErrorKind::Guard,
                format!(
                    "{all} of {known} objects of type {} are missing at the source ({}); nothing was changed",
                    kind.token(),
                    where_gone(losses)
                ),
            )
            .hint("check the source. If they were really deleted, run again with --max-delete 100%; older snapshots keep them"));
        }
        if all > 0 {
            warnings.extend(together(*kind, all as u64, share, ledger)?);
        }
    }
    Ok(warnings)
}

/// Adds what this run would remove of a type to what the runs before it have.
fn together(kind: ObjectType, now: u64, share: f64, ledger: &dyn OriginIndex) -> Result<Option<String>> {
    let Some(Losses { since, ended, had, gone }) = ledger.losses(kind)?.filter(|losses| losses.gone > 0) else {
        return Ok(None);
    };
    let all = (gone + now).min(had);
    let what = format!(
        "{all} of {had} objects of type {} that snapshot {since} ({ended}) had are gone, {now} of them since the last import",
        kind.token()
    );
    if is_too_much(all as usize, had, (share * TOGETHER).min(1.0)) {
        return Err(Error::new(ErrorKind::Guard, format!("{what}; nothing was changed"))
            .hint("check the source. If they were really deleted, run again with --max-delete 100%; older snapshots keep them"));
    }
    Ok(is_too_much(all as usize, had, share)
        .then(|| format!("{what}; imports in the next {DAYS} days stop if many more disappear")))
}

/// Whether more of what is known would leave than the user allows.
fn is_too_much(all: usize, known: u64, share: f64) -> bool {
    all > ALWAYS && all as f64 > known as f64 * share
}

/// The types of which more objects that 1.x had imported are missing at the source than the user allows. That shows
/// only once everything at the source is stored and recognised: so the run is not stopped, but these objects stay, and
/// the report says so.
pub(super) fn too_many_never_adopted(
    report: &mut Report,
    left: &[(ObjectType, Id)],
    options: &ImportOptions,
) -> HashSet<ObjectType> {
    let mut kept = HashSet::new();
    let Some(share) = options.max_delete else { return kept };
    for kind in ObjectType::ALL {
        let all = left.iter().filter(|(other, _)| *other == kind).count();
        if all > 0 && is_too_much(all, all as u64 + report.of(kind).stored.total(), share) {
            let reason = format!(
                "{all} objects that 1.x imported are not at the source; they are kept. If they were really deleted, run again with --max-delete 100%"
            );
            report.scopes_failed.push(format!("{}: {reason}", kind.token()));
            report.remark(kind, "failed", reason, "the archive".to_owned());
            kept.insert(kind);
        }
    }
    kept
}

/// The rows that turned up elsewhere, as their bytes say.
fn rows_moved(survey: &Survey) -> HashSet<Id> {
    survey.works.iter().flat_map(|work| work.moved.values().copied()).collect()
}

/// How many objects of a type each scope lost, but for those that `moved`.
fn losses<'s>(survey: &'s Survey, kind: ObjectType, moved: &HashSet<Id>) -> Vec<(usize, &'s str)> {
    let is_email = kind == ObjectType::Email;
    let lost = |gone: &[Gone]| gone.iter().filter(|gone| !(is_email && moved.contains(&gone.local_id))).count();
    let listed = survey.works.iter().filter(|work| work.scope.kind == kind);
    let listed = listed.map(|work| (lost(&work.plan.gone), work.scope.key.as_str()));
    let vanished = survey.vanished.iter().filter(|vanished| vanished.kind == kind);
    let vanished = vanished.map(|vanished| (lost(&vanished.items), vanished.key.as_str()));
    listed.chain(vanished).filter(|(count, _)| *count > 0).collect()
}

/// The scopes that lost most, each with the number: `INBOX 80, Lists/rust 12`.
fn where_gone(mut losses: Vec<(usize, &str)>) -> String {
    losses.sort_unstable_by_key(|(count, _)| std::cmp::Reverse(*count));
    let more = losses.len().saturating_sub(5);
    let mut text: Vec<String> = losses.iter().take(5).map(|(count, key)| format!("{key} {count}")).collect();
    if more > 0 {
        text.push(format!("and {more} more"));
    }
    text.join(", ")
}

/// How many of the other objects that are gone have turned up elsewhere, as far as their revisions tell.
fn moved_by_revision(survey: &Survey, kind: ObjectType, moved: &HashSet<Id>) -> usize {
    let mut gone: HashMap<&str, usize> = HashMap::new();
    let others = survey.gone_of(kind).filter(|(_, one)| !one.rev.is_empty() && !moved.contains(&one.local_id));
    others.for_each(|(_, one)| *gone.entry(&one.rev).or_default() += 1);
    let works = survey.works.iter().filter(|work| work.scope.kind == kind);
    let new = works.flat_map(|work| work.plan.fetch.iter().filter(|entry| !work.moved.contains_key(&entry.key)));
    let is_moved = |entry: &&Entry| match gone.get_mut(&*entry.rev) {
        Some(left) if *left > 0 => {
            *left -= 1;
            true
        }
        _ => false,
    };
    new.filter(is_moved).count()
}

/// Finds the messages among the new ones that have the bytes of one that is gone: a folder was renamed, or the names of
/// files, or all of it was downloaded once more. Only those are read that are as large as one that is gone.
///
/// # Errors
/// An interruption, and a source that is lost. What cannot be read for another reason is new.
pub(super) fn find_moved(
    survey: &mut Survey,
    source: &mut dyn Source,
    ledger: &dyn OriginIndex,
    progress: &dyn Progress,
) -> Result<()> {
    let mut lost: Option<Lost> = None;
    for at in 0..survey.works.len() {
        let work = &survey.works[at];
        let is_known = |entry: &&Entry| source.size(entry).is_some();
        if work.scope.kind != ObjectType::Email || !work.plan.fetch.iter().any(|entry| is_known(&entry)) {
            continue;
        }
        let lost = match &mut lost {
            Some(lost) => lost,
            slot => slot.insert(Lost::of(survey, source, ledger)?),
        };
        let work = &mut survey.works[at];
        let is_suspect = |entry: &&Entry| source.size(entry).is_some_and(|size| lost.has_size(size));
        let suspects: Vec<Entry> = work.plan.fetch.iter().filter(is_suspect).cloned().collect();
        if !suspects.is_empty() {
            progress.step(&format!("comparing {}", work.scope.key));
        }
        for part in suspects.chunks(AT_ONCE) {
            if progress.interrupted() {
                return Err(Error::new(ErrorKind::Interrupted, "interrupted before anything was written"));
            }
            let digests = match source.digests(&work.scope, part.to_vec()) {
                Ok(digests) => digests,
                Err(error) if is_final(&error) => return Err(error),
                Err(_) => break,
            };
            for (entry, digest) in part.iter().zip(digests) {
                if let Some(row) = digest.and_then(|digest| lost.take(&digest, entry, work.row)) {
                    work.moved.insert(entry.key.clone(), row);
                }
            }
        }
    }
    Ok(())
}

/// Messages that are gone, by what their bytes are.
struct Lost {
    sizes: HashSet<u64>,
    rows: HashMap<Digest, Vec<LostRow>>,
}

struct LostRow {
    scope: i64,
    key: Box<str>,
    id: Id,
}

impl Lost {
    fn of(survey: &Survey, source: &dyn Source, ledger: &dyn OriginIndex) -> Result<Lost> {
        let mut lost = Lost { sizes: HashSet::new(), rows: HashMap::new() };
        let mut seen = HashSet::new();
        for (scope, gone) in survey.gone_of(ObjectType::Email) {
            if let Some((size, digest)) = ledger.bytes_of_email(gone.local_id)?.filter(|_| seen.insert(gone.local_id)) {
                // A compressed file has another size than the message in it, and keeps it under another name.
                let (key, rev) = (gone.key.clone(), gone.rev.clone());
                let listed = source.size(&Entry {
                    key,
                    rev,
                    locator: "".into(),
                    attrs: Arc::new(Attrs::none(ObjectType::Email)),
                });
                lost.sizes.extend([size].into_iter().chain(listed.map(|size| size.listed)));
                let row = LostRow { scope, key: gone.key.clone(), id: gone.local_id };
                lost.rows.entry(digest).or_default().push(row);
            }
        }
        Ok(lost)
    }

    fn has_size(&self, size: Size) -> bool {
        self.sizes.contains(&size.listed) || size.claimed.is_some_and(|claimed| self.sizes.contains(&claimed))
    }

    /// A row with these bytes, for one time: the one whose name is most like that of `entry`, in the same scope if there is
    /// one. The same message may have been there twice, read and unread.
    fn take(&mut self, digest: &Digest, entry: &Entry, scope: Option<i64>) -> Option<Id> {
        let rows = self.rows.get_mut(digest)?;
        let alike = |row: &LostRow| {
            let common = row.key.bytes().zip(entry.key.bytes()).take_while(|(a, b)| a == b).count();
            (common, Some(row.scope) == scope)
        };
        let at = rows.iter().enumerate().max_by_key(|(_, row)| alike(row))?.0;
        Some(rows.swap_remove(at).id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_equal_messages_the_one_with_the_most_similar_name_is_taken() {
        let digest = Digest::of(b"x");
        let row = |scope, key: &str, id| LostRow { scope, key: key.into(), id };
        let rows = vec![row(1, "1.a,U=1", 1), row(1, "2.b,U=2", 2), row(2, "2.b,U=2", 3)];
        let mut lost = Lost { sizes: HashSet::from([1]), rows: HashMap::from([(digest, rows)]) };
        let mut take = |key: &str, scope| {
            let entry = Entry {
                key: key.into(),
                rev: "".into(),
                locator: "".into(),
                attrs: Arc::new(Attrs::none(ObjectType::Email)),
            };
            lost.take(&digest, &entry, Some(scope))
        };
        assert_eq!(take("2.b,U=12", 2), Some(3));
        assert_eq!(take("2.b,U=12", 2), Some(2));
        assert_eq!(take("9.c,U=12", 2), Some(1));
        assert_eq!(take("1.a,U=1", 1), None);
    }
}
