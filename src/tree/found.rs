//! `search/QUERY/`: the messages that meet a query, as a Maildir and as text.

use super::child::Child;
use super::cookies::{cookie, first_row};
use super::decoded::{TEXT_EXTENSION, called_so};
use super::kinds::NodeKind;
use super::listing::lasting_name;
use super::mail::Arrival;
use super::node::{Node, ROW_MAX};
use super::opened::{Tree, TreeState};
use super::searches::{Hit, Hits, OpenIndex, StateMark, query_of};
use super::stat::{FileType, no_such};
use crate::archive::{ListedEmail, Moment, UNFILED};
use crate::error::{Error, ErrorKind, Result};
use crate::model::{Id, ObjectType};
use crate::progress::UNSEEN;
use crate::search::{Found, Index, Parsed, Place, ask_again_if_damaged, catch_up, find};
use std::path::Path;
use std::sync::{Arc, Weak};

impl Tree {
    /// The directory of a query. It is searched for now, so that one that makes no sense has none.
    pub(super) fn find_query(&self, search: Node, name: &str) -> Result<Option<Child>> {
        let Some(query) = query_of(name) else { return Ok(None) };
        let parsed = Parsed::read(&query).map_err(no_query)?;
        self.hits_of(search.snapshot, &name.into(), &parsed).map_err(no_query)?;
        let number = self.searches.number(search.snapshot, name, self.state().root.time);
        Ok(Some(query_child(search, number, name)))
    }

    /// The queries that were used, behind a cookie.
    pub(super) fn list_queries(&self, search: Node, after: u64, limit: usize) -> Vec<Child> {
        let used = self.searches.used(search.snapshot).into_iter().filter(|(number, _)| cookie(*number) > after);
        used.take(limit).map(|(number, name)| query_child(search, number, &name)).collect()
    }

    /// The rows of the messages that a query found; `node` is its directory, or one in it.
    pub(super) fn found_rows(&self, node: Node) -> Result<Vec<Id>> {
        Ok(self.hits(node)?.from(0).map(|hit| hit.arrival.email).collect())
    }

    /// The message with this name among those that a query found.
    pub(super) fn find_found(&self, directory: Node, name: &str) -> Result<Option<Child>> {
        let hits = self.hits(directory)?;
        if directory.kind == NodeKind::FoundText {
            let Some(stem) = name.strip_suffix(TEXT_EXTENSION) else { return Ok(None) };
            for arrival in called_so(&hits.arrivals, stem) {
                if self.found_text_name(&hits, arrival)? == name {
                    return hits.get(arrival.email).map_or(Ok(None), |hit| self.found_child(directory, &hits, hit));
                }
            }
            return Ok(None);
        }
        let row = name.split('.').nth(1).and_then(|id| id.parse::<Id>().ok());
        let Some(hit) = row.and_then(|row| hits.get(row)) else { return Ok(None) };
        let Some((_, listed)) = self.last_listed(hit)? else { return Ok(None) };
        let child = self.found_child(directory, &hits, hit)?;
        Ok(child.filter(|child| child.name == name || lasting_name(&listed) == name))
    }

    /// The messages that a query found, behind a cookie.
    pub(super) fn list_found(&self, directory: Node, after: u64, limit: usize) -> Result<Vec<Child>> {
        let hits = self.hits(directory)?;
        let mut children = Vec::new();
        for hit in hits.from(first_row(after)) {
            if children.len() == limit {
                break;
            }
            children.extend(self.found_child(directory, &hits, hit)?);
        }
        Ok(children)
    }

    fn found_child(&self, directory: Node, hits: &Hits, hit: Hit) -> Result<Option<Child>> {
        let Some((mailbox, mut listed)) = self.last_listed(hit)? else { return Ok(None) };
        if directory.kind == NodeKind::FoundText {
            let name = self.found_text_name(hits, hit.arrival)?;
            let node = Node::text(mailbox, listed.email);
            return self.text_child(node, name, &listed, self.links(listed.email)?).map(Some);
        }
        // Letters of keywords mean something in their own mailbox only.
        listed.flags = listed.flags.chars().filter(char::is_ascii_uppercase).collect();
        let view = self.view(Node::single(NodeKind::Root, hit.snapshot))?;
        self.message_child(&view, Node::single(NodeKind::Cur, hit.snapshot), &listed).map(Some)
    }

    fn found_text_name(&self, hits: &Hits, arrival: Arrival) -> Result<String> {
        self.name_among(&hits.arrivals, arrival, TEXT_EXTENSION, |_| Ok(false))
    }

    /// A message that was found as its first mailbox lists it; `None` if its snapshot was forgotten meanwhile.
    fn last_listed(&self, hit: Hit) -> Result<Option<(Id, ListedEmail)>> {
        let row = hit.arrival.email;
        let view = self.view(Node::single(NodeKind::Root, hit.snapshot))?;
        let look = || -> Result<Option<(Id, ListedEmail)>> {
            let Some(record) = view.reader.record(ObjectType::Email, view.moment, row)? else { return Ok(None) };
            let mut mailboxes = record.mailbox_ids();
            mailboxes.sort_unstable();
            for mailbox in mailboxes.into_iter().chain([UNFILED]) {
                if let Some(listed) = view.message(mailbox, row)? {
                    return Ok(Some((mailbox, listed)));
                }
            }
            Ok(None)
        };
        match look() {
            Err(error) if error.kind == ErrorKind::Forgotten => Ok(None),
            found => found,
        }
    }

    // --- searching -------------------------------------------------------------------------------------------------

    fn hits(&self, directory: Node) -> Result<Arc<Hits>> {
        let name = self.searches.name(directory.snapshot, directory.row).ok_or_else(no_such)?;
        let query = query_of(&name).ok_or_else(no_such)?;
        self.hits_of(directory.snapshot, &name, &Parsed::read(&query).map_err(no_query)?)
    }

    fn hits_of(&self, scope: i64, name: &Arc<str>, parsed: &Parsed) -> Result<Arc<Hits>> {
        let state = self.state();
        if let Some(hits) = self.searches.answer(scope, name, &state.mark) {
            return Ok(hits);
        }
        let mut index = self.searches.index.lock();
        // Another thread may have asked the same.
        if let Some(hits) = self.searches.answer(scope, name, &state.mark) {
            return Ok(hits);
        }
        let at = (scope != 0).then_some(scope);
        let found = self.ask(&mut index, &state.mark, parsed, at)?;
        drop(index);
        let mut hits = Vec::new();
        for found in found.iter().filter(|found| found.id.kind == ObjectType::Email) {
            hits.extend(self.hit(&state, scope, found)?);
        }
        let hits = Arc::new(Hits::new(&state.mark, hits));
        self.searches.keep(scope, name, &hits);
        Ok(hits)
    }

    fn ask(
        &self,
        index: &mut Option<OpenIndex>,
        state: &Arc<StateMark>,
        parsed: &Parsed,
        at: Option<i64>,
    ) -> Result<Vec<Found>> {
        // One that was deleted is not brought up to date where nobody sees it.
        if index.as_ref().is_some_and(|open| open.index.path().is_some_and(|path| !Path::exists(path))) {
            *index = None;
        }
        let open = match index {
            Some(open) => open,
            None => {
                let opened = Index::open(self.reader.path(), &Place::Kept)?;
                index.insert(OpenIndex { index: opened, seen: Weak::new() })
            }
        };
        let now = Arc::downgrade(state);
        if !Weak::ptr_eq(&open.seen, &now) {
            catch_up(&self.reader, &mut open.index, &UNSEEN)?;
            open.seen = now;
        }
        ask_again_if_damaged(&self.reader, &mut open.index, &UNSEEN, |index| {
            find(&self.reader, index, parsed, at, &UNSEEN)
        })
    }

    /// Where a message that was found is shown: in the snapshot that is asked, at the root, or where it was last. `None` for one
    /// that no snapshot shows yet.
    fn hit(&self, state: &TreeState, scope: i64, found: &Found) -> Result<Option<Hit>> {
        let row = found.id.id;
        if !(1..=ROW_MAX).contains(&row) {
            return Ok(None);
        }
        let hit = |snapshot: i64| {
            Ok(Some(Hit { arrival: Arrival { minute: found.date.div_euclid(60), email: row }, snapshot }))
        };
        let Moment::Snapshot(root) = state.root.moment else { return hit(0) };
        if scope != 0 {
            return hit(scope);
        }
        if found.first <= root && found.end.is_none_or(|end| end > root) {
            return hit(0);
        }
        let states = self.reader.states(ObjectType::Email, row)?;
        let shows = |snapshot: i64| states.iter().any(|state| state.is_at(snapshot));
        if shows(root) {
            return hit(0);
        }
        let last = state.snapshots.iter().rev().find(|snapshot| shows(snapshot.id));
        last.map_or(Ok(None), |last| hit(last.id))
    }
}

/// A query that makes no sense has no directory.
fn no_query(error: Error) -> Error {
    if error.kind != ErrorKind::Usage {
        return error;
    }
    let hint = error.hint_text().map(str::to_owned);
    let missing = Error::new(ErrorKind::NotFound, error.to_string());
    match hint {
        Some(hint) => missing.hint(hint),
        None => missing,
    }
}

fn query_child(search: Node, number: Id, name: &str) -> Child {
    Child {
        name: name.to_owned(),
        node: search.beside(NodeKind::SearchQuery, number),
        cookie: cookie(number),
        stat: None,
        file_type: FileType::Directory,
    }
}
