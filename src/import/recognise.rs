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
use crate::format::mail;
use crate::model::{Entry, Id, ObjectType, Outcome, SkippedItem};
use crate::progress::Progress;
use crate::source::{Scope, Source};
use std::collections::HashMap;

/// Where what became of a message goes: the archive, the report, and the user's eyes.
pub struct Storing<'s, 'w> {
    pub store: &'s mut Store<'w>,
    pub report: &'s mut Report,
    pub progress: &'s dyn Progress,
}

/// The rows that a new message may turn out to be.
pub struct Recognition {
    contents: Contents,
    /// Rows of messages that are gone, by revision.
    gone: HashMap<Box<str>, Vec<Id>>,
}

impl Recognition {
    /// Learns from a survey what is known and what is gone.
    pub fn new(survey: &mut Survey) -> Recognition {
        let mut gone: HashMap<Box<str>, Vec<Id>> = HashMap::new();
        for (_, one) in survey.gone_of(ObjectType::Email).filter(|(_, one)| !one.rev.is_empty()) {
            gone.entry(one.rev.clone()).or_default().push(one.local_id);
        }
        Recognition { contents: std::mem::take(&mut survey.contents), gone }
    }

    /// Stores those of `entries` that the archive has the bytes of, and gives the others back.
    pub fn take_known(
        &mut self,
        source: &mut dyn Source,
        work: &Work,
        entries: Vec<Entry>,
        storing: &mut Storing<'_, '_>,
    ) -> Result<Vec<Entry>> {
        let (ObjectType::Email, Some(scope)) = (work.scope.kind, work.row) else { return Ok(entries) };
        let mut unknown = Vec::new();
        let mut suspects = Vec::new();
        for entry in entries {
            if let Some(row) = work.moved.get(&entry.key)
                && take_moved(scope, &entry, *row, storing)?
            {
                continue;
            }
            let row = source.content(&entry.rev).and_then(|content| self.contents.get(content));
            if let Some(row) = row
                && let Some(fate) = take(scope, &entry, row, storing)?
            {
                tell(fate, source, &work.scope, &entry, storing.report);
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
                Some(head) => self.same_message(&entry.rev, &head, storing.store)?,
                None => None,
            };
            let fate = match found {
                Some(row) => take(scope, &entry, row, storing)?,
                None => None,
            };
            match fate {
                Some(fate) => tell(fate, source, &work.scope, &entry, storing.report),
                None => unknown.push(entry),
            }
        }
        Ok(unknown)
    }

    /// Learns what was stored just now.
    pub fn stored(&mut self, content: Option<&str>, place: &Place<'_>, store: &Store<'_>) -> Result<()> {
        if let Some(content) = content
            && let Some((row, _)) = store.writer.known(place.scope, place.key)?
        {
            self.contents.insert(content, row);
        }
        Ok(())
    }

    /// A row that is gone elsewhere, has this revision, and has exactly the Message-IDs of `head`, at least one.
    fn same_message(&mut self, rev: &str, head: &[u8], store: &Store<'_>) -> Result<Option<Id>> {
        let wanted = message_ids_of(&mail::summary(head).message_match);
        let Some(rows) = self.gone.get_mut(rev).filter(|_| !wanted.is_empty()) else { return Ok(None) };
        for (at, row) in rows.iter().enumerate() {
            let stored = store.writer.stored_email(*row)?;
            if stored.is_some_and(|stored| message_ids_of(&stored.message_match) == wanted) {
                return Ok(Some(rows.swap_remove(at)));
            }
        }
        Ok(None)
    }
}

/// Stores one message that is the row `row` in another place. False if that row is still somewhere else.
fn take_moved(scope: i64, entry: &Entry, row: Id, storing: &mut Storing<'_, '_>) -> Result<bool> {
    let place = Place { scope, key: &entry.key, rev: &entry.rev, attrs: &entry.attrs };
    if !storing.store.moved_email(&place, row)? {
        return Ok(false);
    }
    storing.store.writer.change_done()?;
    count(storing.report, ObjectType::Email, Fate::Changed);
    storing.progress.item(0);
    Ok(true)
}

/// Stores one message that is the row `row`, or has its bytes. `None` if that row has none any more.
fn take(scope: i64, entry: &Entry, row: Id, storing: &mut Storing<'_, '_>) -> Result<Option<Fate>> {
    let place = Place { scope, key: &entry.key, rev: &entry.rev, attrs: &entry.attrs };
    let fate = storing.store.known_email(&place, row)?;
    if fate.is_some() {
        storing.store.writer.change_done()?;
        storing.progress.item(0);
    }
    Ok(fate)
}

/// Counts what became of a message that needed no fetch.
fn tell(fate: Fate, source: &dyn Source, scope: &Scope, entry: &Entry, report: &mut Report) {
    match fate {
        Fate::Duplicate => report.not_stored(SkippedItem {
            kind: scope.kind,
            reason: SAME_ELSEWHERE.to_owned(),
            position: source.position(scope, entry),
            outcome: Outcome::Duplicate,
        }),
        fate => count(report, scope.kind, fate),
    }
}

/// The normalised Message-IDs in a `message_match` (FORMAT.md).
pub(super) fn message_ids_of(message_match: &str) -> Vec<String> {
    let json: serde_json::Value = serde_json::from_str(message_match).unwrap_or_default();
    let ids = json.get("m").and_then(|ids| ids.as_array());
    ids.into_iter().flatten().filter_map(|id| id.as_str().map(str::to_owned)).collect()
}
