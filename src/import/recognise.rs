//! Messages that need no fetch: what is new in one place and stands in the archive already, from another.
//!
//! Three ways lead to that. A source may name the bytes ([`Source::content`]: EMAILID, X-GM-MSGID): then one download is
//! enough for all mailboxes that a message lies in. Or a message that is gone turns up with the same revision elsewhere,
//! after a mailbox was renamed or its UIDs were given anew: then the Message-ID has to agree as well. Or the bytes were
//! compared already ([`super::guard::find_moved`]).

use super::report::{Fate, Report, SAME_ELSEWHERE, count};
use super::store::{Place, Store};
use super::survey::{Contents, Survey, Work};
use crate::error::Result;
use crate::format::mail::{self, MessageMatch};
use crate::model::{Entry, Id, ObjectType, SkipKind, SkippedItem};
use crate::progress::Progress;
use crate::source::{Scope, Source};
use std::collections::HashMap;

/// What a run writes into: the archive, the report, and what the user sees meanwhile.
pub(super) struct Run<'r, 's> {
    pub store: &'r mut Store<'s>,
    pub report: &'r mut Report,
    pub progress: &'r dyn Progress,
}

/// What a new message may be.
pub(super) struct Recognition {
    contents: Contents,
    /// Rows of messages that are gone, by revision.
    gone: HashMap<Box<str>, Vec<Id>>,
}

impl Recognition {
    /// Learns from a survey what is known and what is gone.
    pub(super) fn new(survey: &mut Survey) -> Recognition {
        let mut gone: HashMap<Box<str>, Vec<Id>> = HashMap::new();
        for (_, one) in survey.gone_of(ObjectType::Email).filter(|(_, one)| !one.rev.is_empty()) {
            gone.entry(one.rev.clone()).or_default().push(one.local_id);
        }
        Recognition { contents: std::mem::take(&mut survey.contents), gone }
    }

    /// Stores those of `entries` that the archive has the bytes of, and gives the others back.
    pub(super) fn take_known(
        &mut self,
        source: &mut dyn Source,
        work: &Work,
        entries: Vec<Entry>,
        run: &mut Run<'_, '_>,
    ) -> Result<Vec<Entry>> {
        let (ObjectType::Email, Some(scope)) = (work.scope.kind, work.row) else { return Ok(entries) };
        let mut unknown = Vec::new();
        let mut suspects = Vec::new();
        for entry in entries {
            if let Some(row) = work.moved.get(&entry.key)
                && run.take_moved(scope, &entry, *row)?
            {
                continue;
            }
            let row = source.content(&entry.rev).and_then(|content| self.contents.get(content));
            if let Some(row) = row
                && let Some(fate) = run.take(scope, &entry, row)?
            {
                run.count(fate, source, &work.scope, &entry);
                continue;
            }
            if self.gone.contains_key(&entry.rev) { suspects.push(entry) } else { unknown.push(entry) }
        }
        if suspects.is_empty() {
            return Ok(unknown);
        }
        // If they cannot be told, the messages are fetched like any other, or fail like any other.
        let heads = source.message_ids(&work.scope, &suspects).unwrap_or_default();
        for (entry, head) in suspects.into_iter().zip(heads.into_iter().chain(std::iter::repeat(None))) {
            let found = match head {
                Some(head) => self.same_message(&entry.rev, &head, run.store)?,
                None => None,
            };
            let fate = match found {
                Some(row) => run.take(scope, &entry, row)?,
                None => None,
            };
            match fate {
                Some(fate) => run.count(fate, source, &work.scope, &entry),
                None => unknown.push(entry),
            }
        }
        Ok(unknown)
    }

    /// Learns what was stored just now.
    pub(super) fn stored(&mut self, content: Option<&str>, place: &Place<'_>, store: &Store<'_>) -> Result<()> {
        if let Some(content) = content
            && let Some((row, _)) = store.writer.known(place.scope, place.key)?
        {
            self.contents.insert(content, row);
        }
        Ok(())
    }

    /// A row that is gone elsewhere, has this revision, and has exactly the Message-IDs of `head`, at least one.
    fn same_message(&mut self, rev: &str, head: &[u8], store: &Store<'_>) -> Result<Option<Id>> {
        let wanted = MessageMatch::parse(&mail::summary(head).message_match).message_ids;
        let Some(rows) = self.gone.get_mut(rev).filter(|_| !wanted.is_empty()) else { return Ok(None) };
        for (at, row) in rows.iter().enumerate() {
            let stored = store.writer.stored_email(*row)?;
            if stored.is_some_and(|stored| MessageMatch::parse(&stored.message_match).message_ids == wanted) {
                return Ok(Some(rows.swap_remove(at)));
            }
        }
        Ok(None)
    }
}

impl Run<'_, '_> {
    /// Stores one message that is the row `row` in another place. False if that row is still somewhere else.
    fn take_moved(&mut self, scope: i64, entry: &Entry, row: Id) -> Result<bool> {
        let place = Place { scope, key: &entry.key, rev: &entry.rev, attrs: &entry.attrs };
        if !self.store.moved_email(&place, row)? {
            return Ok(false);
        }
        self.store.writer.change_done()?;
        count(self.report, ObjectType::Email, Fate::Changed);
        self.progress.item(0);
        Ok(true)
    }

    /// Stores one message that is the row `row`, or has its bytes. `None` if that row has none any more.
    fn take(&mut self, scope: i64, entry: &Entry, row: Id) -> Result<Option<Fate>> {
        let place = Place { scope, key: &entry.key, rev: &entry.rev, attrs: &entry.attrs };
        let fate = self.store.known_email(&place, row)?;
        if fate.is_some() {
            self.store.writer.change_done()?;
            self.progress.item(0);
        }
        Ok(fate)
    }

    /// Counts what became of a message that needed no fetch.
    fn count(&mut self, fate: Fate, source: &dyn Source, scope: &Scope, entry: &Entry) {
        match fate {
            Fate::Duplicate => self.report.not_stored(SkippedItem {
                kind: scope.kind,
                reason: SAME_ELSEWHERE.to_owned(),
                position: source.position(scope, entry),
                outcome: SkipKind::Duplicate,
            }),
            fate => count(self.report, scope.kind, fate),
        }
    }
}
