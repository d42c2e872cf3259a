//! Answers a query: which objects, in any state that the archive holds, meet it.

use super::folders::{self, Folders};
use super::index::{ITEMS, Index, message_of};
use super::object::{FOUND, date_of, has_message_id, is_in, item_called, own_size};
use super::prover::Prover;
use super::query::{Parsed, Query, Term};
use crate::archive::{Reader, State, Stay};
use crate::error::{ErrorKind, Result};
use crate::model::object_id::ObjectId;
use crate::model::{Id, ObjectType};
use crate::progress::Progress;
use rusqlite::params;
use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

/// Up to so many objects are asked for one by one; for more, all rows are read.
const SINGLE_MAX: usize = 4_000;

/// For more messages than these, all stays in mailboxes are read.
const STAYS_MIN: usize = 400;

/// An object that meets a query.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Found {
    /// Which object.
    pub id: ObjectId,
    /// When it arrived, begins or was changed, in seconds since 1970; 0 where nothing says so.
    pub date: i64,
    /// The first snapshot that shows the state that meets the query; 0 where that is not known.
    pub first: i64,
    /// The first snapshot that does not have it any more; `None` if it is there.
    pub end: Option<i64>,
    /// What is meant is not the last state, but an earlier one: that which has the words of the query, or that of the snapshot
    /// that was asked for. The first snapshot that does not show it any more.
    pub changed: Option<i64>,
}

/// Finds the objects of an archive that meet a query, in no order that means anything. With `at`, only the states that this
/// snapshot shows count.
pub fn find(
    reader: &Arc<Reader>,
    index: &Index,
    parsed: &Parsed,
    at: Option<i64>,
    progress: &dyn Progress,
) -> Result<Vec<Found>> {
    let search = Search::prepare(reader, index, (parsed, at), progress)?;
    let mut found = Vec::new();
    for kind in search.wanted() {
        search.add_of(kind, &mut found)?;
    }
    Ok(found)
}

/// How many objects meet a query.
pub fn count(
    reader: &Arc<Reader>,
    index: &Index,
    parsed: &Parsed,
    at: Option<i64>,
    progress: &dyn Progress,
) -> Result<u64> {
    let search = Search::prepare(reader, index, (parsed, at), progress)?;
    // The index holds the messages that the archive holds.
    let is_of_words = |term: &Term| matches!(term, Term::Words(..) | Term::Types(_));
    let are_counted = at.is_none() && search.bound.is_some() && parsed.terms.iter().all(is_of_words);
    let (mut found, mut count) = (Vec::new(), 0);
    for kind in search.wanted() {
        if kind == ObjectType::Email && are_counted {
            for id in search.bound.iter().flatten().filter_map(|document| message_of(*document)) {
                let facts = Facts { met: search.words_of(id), ..Facts::default() };
                count += u64::from(search.meets(&parsed.query, (ObjectId { kind, id }, None), &facts)?);
            }
        } else {
            search.add_of(kind, &mut found)?;
        }
    }
    Ok(count + found.len() as u64)
}

/// A query with all that is needed to answer it for one object after the other.
struct Search<'a> {
    reader: &'a Arc<Reader>,
    index: &'a Index,
    parsed: &'a Parsed,
    at: Option<i64>,
    /// For each term of words, the documents that have them, in order.
    documents: Vec<Option<Vec<i64>>>,
    /// For each term of a folder, the containers that it means.
    folders: Vec<Option<HashMap<ObjectType, BTreeSet<Id>>>>,
    /// The documents among which all that can be found are; `None` if they may be any.
    bound: Option<Vec<i64>>,
    /// The documents of events, cards, files and scripts in their states, if any of them can be found.
    items: HashMap<(ObjectType, Id, i64), i64>,
}

/// What is known of an object.
#[derive(Debug, Clone, Default)]
struct Object {
    /// Of a message one for all of its states together: its bytes never change. Of others one for each, oldest first.
    states: Vec<Facts>,
    /// The end of the last state, whether it counts or not.
    end: Option<i64>,
}

/// What is known of a state that the search looks at.
#[derive(Debug, Clone, Copy, Default)]
struct Facts {
    date: i64,
    first: i64,
    end: Option<i64>,
    /// The terms that it meets, by their places; of folders those that any state of a message meets.
    met: u64,
    /// Of a message the terms of folders that its last state meets, and the end of the newest state that meets one.
    met_now: u64,
    folder_end: Option<i64>,
    size: u64,
    blob: Option<Id>,
}

impl<'a> Search<'a> {
    fn prepare(
        reader: &'a Arc<Reader>,
        index: &'a Index,
        (parsed, at): (&'a Parsed, Option<i64>),
        progress: &dyn Progress,
    ) -> Result<Search<'a>> {
        let (documents, folders, items) = (Vec::new(), Vec::new(), HashMap::new());
        let mut search = Search { reader, index, parsed, at, documents, folders, bound: None, items };
        let mut all_folders = None;
        for term in &parsed.terms {
            let (mut documents, mut meant) = (None, None);
            match term {
                Term::Words(field, phrase) => {
                    let mut prover = Prover::of(reader, index, phrase, progress);
                    documents = Some(index.matching(*field, phrase, |document| prover.has(document))?);
                }
                Term::Folder(name) => {
                    let all = match all_folders.take() {
                        Some(all) => all,
                        None => ObjectType::CONTAINERS
                            .iter()
                            .map(|kind| Folders::of(reader, *kind))
                            .collect::<Result<Vec<_>>>()?,
                    };
                    meant = Some(folders::named(&all, name)?);
                    all_folders = Some(all);
                }
                _ => {}
            }
            search.documents.push(documents);
            search.folders.push(meant);
        }
        search.bound = search.bound_of(&parsed.query)?;
        let may_be_item = |bound: &Vec<i64>| bound.last().is_some_and(|last| *last > ITEMS);
        if search.bound.as_ref().is_none_or(may_be_item) {
            search.read_items()?;
        }
        Ok(search)
    }

    fn read_items(&mut self) -> Result<()> {
        let items = self.index.rows("SELECT kind, id, first, document FROM items", [], |row| {
            Ok((row.get::<_, String>(0)?, row.get(1)?, row.get(2)?, row.get(3)?))
        })?;
        let known = |(kind, id, first, document): (String, Id, i64, i64)| {
            item_called(&kind).map(|kind| ((kind, id, first), document))
        };
        self.items = items.into_iter().filter_map(known).collect();
        Ok(())
    }

    /// The documents among which all that meets a query are, in order; `None` if they may be any.
    fn bound_of(&self, query: &Query) -> Result<Option<Vec<i64>>> {
        Ok(match query {
            Query::Not(_) => None,
            Query::Term(at) => match &self.parsed.terms[*at] {
                Term::Words(..) => self.documents[*at].clone(),
                Term::Object(object) => Some(self.documents_of(*object)?),
                _ => None,
            },
            Query::And(all) => {
                let mut bound: Option<Vec<i64>> = None;
                for one in all {
                    let Some(own) = self.bound_of(one)? else { continue };
                    bound = Some(match bound {
                        Some(before) => {
                            before.into_iter().filter(|document| own.binary_search(document).is_ok()).collect()
                        }
                        None => own,
                    });
                }
                bound
            }
            Query::Or(all) => {
                let mut bound = Vec::new();
                for one in all {
                    let Some(own) = self.bound_of(one)? else { return Ok(None) };
                    bound.extend(own);
                }
                bound.sort_unstable();
                bound.dedup();
                Some(bound)
            }
        })
    }

    fn documents_of(&self, object: ObjectId) -> Result<Vec<i64>> {
        if object.kind == ObjectType::Email {
            return Ok(vec![object.id]);
        }
        let sql = "SELECT document FROM items WHERE kind = ?1 AND id = ?2 ORDER BY document";
        self.index.rows(sql, params![object.kind.name(), object.id], |row| row.get(0))
    }

    /// The types of which something can be found.
    fn wanted(&self) -> impl Iterator<Item = ObjectType> + '_ {
        FOUND.into_iter().filter(|kind| self.wants(*kind, &self.parsed.query))
    }

    /// False if the query says that it wants no objects of this type.
    fn wants(&self, kind: ObjectType, query: &Query) -> bool {
        match query {
            Query::And(all) => all.iter().all(|one| self.wants(kind, one)),
            Query::Or(all) => all.iter().any(|one| self.wants(kind, one)),
            Query::Term(at) => match &self.parsed.terms[*at] {
                Term::Types(types) => types.contains(&kind),
                Term::Object(object) => object.kind == kind,
                Term::Keyword(..) | Term::MessageId(_) => kind == ObjectType::Email,
                _ => true,
            },
            Query::Not(_) => true,
        }
    }

    /// Adds the objects of a type that meet the query.
    fn add_of(&self, kind: ObjectType, found: &mut Vec<Found>) -> Result<()> {
        let ids: Option<Vec<Id>> = match (&self.bound, kind) {
            (None, _) => None,
            (Some(documents), ObjectType::Email) => Some(documents.iter().filter_map(|one| message_of(*one)).collect()),
            (Some(documents), _) => Some(self.ids_of(kind, documents)),
        };
        match ids {
            ids if kind == ObjectType::Email
                && self.is_told_by_stays()
                && ids.as_ref().is_none_or(|ids| ids.len() > STAYS_MIN) =>
            {
                self.add_by_stays(ids.as_deref(), found)?;
            }
            Some(ids) if ids.len() <= SINGLE_MAX => {
                for id in ids {
                    let mut object = Object::default();
                    for state in self.reader.states(kind, id)? {
                        self.learn(&mut object, &state);
                    }
                    self.judge(ObjectId { kind, id }, &object, found)?;
                }
            }
            ids => {
                let mut all: HashMap<Id, Object> = HashMap::new();
                self.reader.each_state(kind, |state| {
                    let id = state.record.id;
                    if ids.as_ref().is_none_or(|ids| ids.binary_search(&id).is_ok()) {
                        self.learn(all.entry(id).or_default(), &state);
                    }
                })?;
                for (id, object) in all {
                    self.judge(ObjectId { kind, id }, &object, found)?;
                }
            }
        }
        Ok(())
    }

    /// True if when messages arrived and went, and how large they are, is all that has to be known.
    fn is_told_by_stays(&self) -> bool {
        let needs_more =
            |term: &Term| matches!(term, Term::Keyword(..) | Term::MessageId(_) | Term::Folder(_) | Term::Deleted);
        self.at.is_none() && self.reader.has_index() && !self.parsed.terms.iter().any(needs_more)
    }

    fn add_by_stays(&self, ids: Option<&[Id]>, found: &mut Vec<Found>) -> Result<()> {
        let kind = ObjectType::Email;
        let mut all: HashMap<Id, Facts> = HashMap::new();
        self.reader.each_stay(|stay| {
            if ids.is_some_and(|ids| ids.binary_search(&stay.email).is_err()) {
                return;
            }
            let Stay { received: date, first, end, size, .. } = stay;
            let own = Facts { date, first, end, size, ..Facts::default() };
            let facts = all.entry(stay.email).or_insert(own);
            let age = |facts: &Facts| (facts.end.unwrap_or(i64::MAX), facts.first);
            if age(&own) > age(facts) {
                *facts = own;
            }
        })?;
        for (id, mut facts) in all {
            facts.met = self.words_of(id);
            let object = Object { end: facts.end, states: vec![facts] };
            self.judge(ObjectId { kind, id }, &object, found)?;
        }
        Ok(())
    }

    /// The terms of words that a message meets.
    fn words_of(&self, id: Id) -> u64 {
        let has = |documents: &Option<Vec<i64>>| documents.as_ref().is_some_and(|all| all.binary_search(&id).is_ok());
        self.documents.iter().enumerate().filter(|(_, documents)| has(documents)).map(|(at, _)| 1 << at).sum()
    }

    fn ids_of(&self, kind: ObjectType, documents: &[i64]) -> Vec<Id> {
        let of = |((known, id, _), document): (&(ObjectType, Id, i64), &i64)| {
            (*known == kind && documents.binary_search(document).is_ok()).then_some(*id)
        };
        let ids: BTreeSet<Id> = self.items.iter().filter_map(of).collect();
        ids.into_iter().collect()
    }

    /// Adds what a state of an object says; states come oldest first.
    fn learn(&self, object: &mut Object, state: &State) {
        let record = &state.record;
        object.end = state.end;
        if self.at.is_some_and(|at| !state.is_at(at)) {
            return;
        }
        let is_message = record.kind == ObjectType::Email;
        let before = object.states.pop_if(|_| is_message);
        let document = match record.kind {
            ObjectType::Email => Some(record.id),
            kind => self.items.get(&(kind, record.id, record.first)).copied(),
        };
        let (mut met, mut met_now) = (0, 0);
        let mut folder_end = before.and_then(|before| before.folder_end);
        for (at, term) in self.parsed.terms.iter().enumerate() {
            let was_met = || before.is_some_and(|before| before.met & (1 << at) != 0);
            let is_met = match term {
                Term::Words(..) => {
                    let documents = self.documents[at].as_deref().unwrap_or_default();
                    document.is_some_and(|document| documents.binary_search(&document).is_ok())
                }
                Term::Folder(_) => {
                    let is_met = self.folders[at].as_ref().is_some_and(|meant| is_in(record, meant));
                    met_now |= u64::from(is_met) << at;
                    folder_end = if is_met { state.end } else { folder_end };
                    is_met || was_met()
                }
                Term::Keyword(keyword, wanted) => {
                    is_message && record.email().keywords.iter().any(|own| own.eq_ignore_ascii_case(keyword)) == *wanted
                }
                Term::MessageId(id) => has_message_id(record, id),
                _ => false,
            };
            met |= u64::from(is_met) << at;
        }
        let (date, size, blob) = (date_of(record), own_size(record), record.blob);
        object.states.push(Facts { date, first: record.first, end: state.end, met, met_now, folder_end, size, blob });
    }

    /// Adds an object if a state of it meets the query: the newest one that does.
    fn judge(&self, id: ObjectId, object: &Object, found: &mut Vec<Found>) -> Result<()> {
        for facts in object.states.iter().rev() {
            if self.meets(&self.parsed.query, (id, object.end), facts)? {
                // A message that has left the folder is shown as it was there.
                let has_left = id.kind == ObjectType::Email && self.folder_terms(facts.met) & !facts.met_now != 0;
                let end = if has_left { facts.folder_end } else { facts.end };
                let changed = end.filter(|end| Some(*end) != object.end);
                let Facts { date, first, .. } = *facts;
                found.push(Found { id, date, first, end: object.end, changed });
                break;
            }
        }
        Ok(())
    }

    /// The terms of folders among these.
    fn folder_terms(&self, met: u64) -> u64 {
        let terms = self.parsed.terms.iter().enumerate();
        terms.filter(|(_, term)| matches!(term, Term::Folder(_))).fold(0, |all, (at, _)| all | (1 << at)) & met
    }

    fn meets(&self, query: &Query, (id, end): (ObjectId, Option<i64>), facts: &Facts) -> Result<bool> {
        Ok(match query {
            Query::And(all) => {
                for one in all {
                    if !self.meets(one, (id, end), facts)? {
                        return Ok(false);
                    }
                }
                true
            }
            Query::Or(all) => {
                for one in all {
                    if self.meets(one, (id, end), facts)? {
                        return Ok(true);
                    }
                }
                false
            }
            Query::Not(one) => match **one {
                // What has left a folder is not in it.
                Query::Term(at) if id.kind == ObjectType::Email && matches!(self.parsed.terms[at], Term::Folder(_)) => {
                    facts.met_now & (1 << at) == 0
                }
                _ => !self.meets(one, (id, end), facts)?,
            },
            Query::Term(at) => match &self.parsed.terms[*at] {
                Term::Types(types) => types.contains(&id.kind),
                Term::Before(time) => facts.date != 0 && facts.date < *time,
                Term::From(time) => facts.date != 0 && facts.date >= *time,
                Term::Larger(size) => self.size(facts)? > *size,
                Term::Smaller(size) => self.size(facts)? < *size,
                Term::Deleted => end.is_some() && !self.is_there_again(id, facts)?,
                Term::Object(object) => *object == id,
                Term::Words(..) | Term::Folder(_) | Term::Keyword(..) | Term::MessageId(_) => {
                    facts.met & (1 << at) != 0
                }
            },
        })
    }

    /// True if another message has the same bytes and is there: one that came back has another number.
    fn is_there_again(&self, id: ObjectId, facts: &Facts) -> Result<bool> {
        match facts.blob.filter(|_| id.kind == ObjectType::Email) {
            Some(blob) => self.reader.has_email_with(blob),
            None => Ok(false),
        }
    }

    fn size(&self, facts: &Facts) -> Result<u64> {
        match facts.blob.map(|blob| self.reader.blob(blob)) {
            Some(Ok(blob)) => Ok(blob.size),
            Some(Err(error)) if error.kind != ErrorKind::Damaged => Err(error),
            _ => Ok(facts.size),
        }
    }
}
