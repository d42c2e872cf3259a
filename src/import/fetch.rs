//! Fetching a part of a scope: items come one after the other, and each gets one fate.

use super::diff::MetadataUpdate;
use super::prepare::{self, Prepared, Step};
use super::recognise::Recognition;
use super::report::{Fate, Report, SAME_ELSEWHERE, VANISHED, count};
use super::store::{Place, Store};
use crate::error::{Error, ErrorKind, Result, is_final};
use crate::model::{Entry, ObjectType, SkipKind, SkippedItem};
use crate::progress::Progress;
use crate::source::{Failure, Scope, Source};
use std::collections::HashMap;

/// How the part of a run ended that fetches.
pub(super) enum End {
    Complete,
    Interrupted,
    /// The source was lost.
    Lost(Error),
}

/// Where a part of a fetch belongs, and what is written until its first item comes.
pub(super) struct PartPlace<'a> {
    pub scope: &'a Scope,
    /// The scope's row.
    pub row: i64,
    pub touches: Vec<MetadataUpdate>,
}

/// The fetch of a part.
pub(super) struct PartFetch<'a, 's> {
    place: PartPlace<'a>,
    /// The entries whose items did not come yet, by key.
    asked: HashMap<Box<str>, Entry>,
    /// The name of the bytes of each ([`Source::content`]), by key.
    contents: HashMap<Box<str>, Box<str>>,
    /// Sizes that the names of messages claim: compared with what comes of them.
    claims: HashMap<Box<str>, u64>,
    not_stored: Vec<(Entry, SkipKind, String)>,
    is_touched: bool,
    recognition: &'a mut Recognition,
    store: &'a mut Store<'s>,
    report: &'a mut Report,
}

impl<'a, 's> PartFetch<'a, 's> {
    /// The fetch of these entries.
    pub(super) fn new(
        source: &dyn Source,
        place: PartPlace<'a>,
        part: &[Entry],
        recognition: &'a mut Recognition,
        store: &'a mut Store<'s>,
        report: &'a mut Report,
    ) -> PartFetch<'a, 's> {
        let is_email = place.scope.kind == ObjectType::Email;
        let claimed = |entry: &Entry| source.size(entry).filter(|_| is_email)?.claimed;
        PartFetch {
            asked: part.iter().map(|entry| (entry.key.clone(), entry.clone())).collect(),
            contents: part
                .iter()
                .filter_map(|entry| Some((entry.key.clone(), source.content(&entry.rev)?.into())))
                .collect(),
            claims: part.iter().filter_map(|entry| Some((entry.key.clone(), claimed(entry)?))).collect(),
            not_stored: Vec::new(),
            is_touched: false,
            place,
            recognition,
            store,
            report,
        }
    }

    /// Fetches and stores.
    ///
    /// Errors: those of the archive. What the source fails with ends in the report, or in [`End::Lost`].
    pub(super) fn run(mut self, source: &mut dyn Source, part: Vec<Entry>, progress: &dyn Progress) -> Result<End> {
        let mut end = End::Complete;
        let mut fatal = None;
        match source.fetch(self.place.scope, part) {
            Err(error) if is_final(&error) => end = End::Lost(error),
            Err(error) => {
                self.touch()?;
                let reason = error.to_string();
                let failed = self.asked.drain().map(|(_, entry)| (entry, SkipKind::Failed, reason.clone()));
                self.not_stored.extend(failed);
            }
            Ok(items) => prepare::run(items, |step| {
                if progress.interrupted() {
                    end = End::Interrupted;
                    return false;
                }
                let done = match step {
                    Step::Begun => self.touch(),
                    Step::Item(item) => match *item {
                        Err(failure) if is_final(&failure.error) => {
                            end = End::Lost(failure.error);
                            return false;
                        }
                        Err(failure) => {
                            self.failed(failure);
                            Ok(())
                        }
                        Ok(ready) => self.take(ready, progress),
                    },
                };
                fatal = done.err();
                fatal.is_none()
            }),
        }
        match fatal {
            Some(error) => Err(error),
            None => Ok(self.finish(source, end)),
        }
    }

    fn touch(&mut self) -> Result<()> {
        self.is_touched = true;
        touch_all(&self.place.touches, self.place.scope, self.place.row, self.store, self.report)
    }

    fn failed(&mut self, failure: Failure) {
        let Some(entry) = self.asked.remove(&failure.key) else { return };
        self.not_stored.push(match failure.vanished {
            true => (entry, SkipKind::Skipped, VANISHED.to_owned()),
            false => (entry, SkipKind::Failed, failure.error.to_string()),
        });
    }

    /// Stores an item that came.
    fn take(&mut self, ready: Prepared, progress: &dyn Progress) -> Result<()> {
        let Some(entry) = self.asked.remove(&ready.key) else { return Ok(()) };
        let (scope, size) = (self.place.scope, ready.size);
        let remark = ready.remark(self.claims.get(&entry.key).copied());
        let place = Place { scope: self.place.row, key: &entry.key, rev: &entry.rev, attrs: &entry.attrs };
        let fate = self.store.item(&place, ready)?;
        self.store.writer.item_done(size)?;
        self.recognition.stored(self.contents.remove(&entry.key).as_deref(), &place, self.store)?;
        progress.item(size);
        if fate == Fate::Duplicate {
            self.not_stored.push((entry, SkipKind::Duplicate, SAME_ELSEWHERE.to_owned()));
            return Ok(());
        }
        count(self.report, scope.kind, fate);
        self.report.bytes += size;
        if let Some(remark) = remark {
            let position = format!("{}: {}", scope.key, entry.key);
            match scope.kind {
                ObjectType::Email => self.report.no_good_mail(remark, position),
                kind => self.report.remark(kind, "stored", remark, position),
            }
        }
        Ok(())
    }

    /// Gives what did not come its fate.
    fn finish(mut self, source: &dyn Source, end: End) -> End {
        let scope = self.place.scope;
        if matches!(end, End::Complete) {
            let left = self.asked.into_values().map(|entry| (entry, SkipKind::Failed, "not handed over".to_owned()));
            self.not_stored.extend(left);
        } else {
            let touches = if self.is_touched { 0 } else { self.place.touches.len() };
            self.report.of(scope.kind).not_reached += (self.asked.len() + touches) as u64;
        }
        for (entry, outcome, reason) in self.not_stored {
            let position = source.position(scope, &entry);
            self.report.not_stored(SkippedItem { kind: scope.kind, reason, position, outcome });
        }
        // An interruption also ends what the source waits for, and comes back as its error.
        match end {
            End::Lost(error) if error.kind == ErrorKind::Interrupted => End::Interrupted,
            end => end,
        }
    }
}

/// Gives known items of a scope other keywords or containers.
pub(super) fn touch_all(
    touches: &[MetadataUpdate],
    scope: &Scope,
    row: i64,
    store: &mut Store<'_>,
    report: &mut Report,
) -> Result<()> {
    for touch in touches {
        let place = Place { scope: row, key: &touch.entry.key, rev: &touch.entry.rev, attrs: &touch.entry.attrs };
        let before = store.writer.changes().get(&scope.kind).copied();
        store.touch(scope.kind, &place, touch.local_id)?;
        let differs = before != store.writer.changes().get(&scope.kind).copied();
        count(report, scope.kind, if differs { Fate::Changed } else { Fate::Unchanged });
        store.writer.change_done()?;
    }
    Ok(())
}
