//! Turning fetched items into rows: which row an item is, and what a row holds when several items are one.

use super::containers::{Ids, free_name};
use super::prepare::{Bytes, Content, Prepared};
use super::report::Fate;
use crate::archive::{Membership, NewBlob, Writer, card_mark};
use crate::error::Result;
use crate::model::objects::Email;
use crate::model::{Attrs, Id, ObjectType};
use crate::source::DuplicateRule;
use std::collections::HashMap;
use std::sync::Arc;

/// Known items that the source does not name any more, by row: scope row and key of each.
pub type PendingRemovals = HashMap<Id, Vec<(i64, Box<str>)>>;

/// Writes items of one run.
pub struct Store<'a> {
    /// The archive, with the run begun.
    pub writer: &'a mut Writer,
    /// Rows of the containers, by type and key.
    pub ids: &'a Ids,
    /// When two items of this source are one object.
    pub join: DuplicateRule,
    /// A message that turns up elsewhere while its old place is gone was moved: it keeps its row.
    pub dying: PendingRemovals,
    last_whole: Option<(Arc<Vec<u8>>, Id)>,
    memberships: HashMap<Arc<Attrs>, Arc<Membership>>,
    /// Events that can be adopted, by uid; read when the first event comes.
    adoptable_events: Option<HashMap<String, Id>>,
}

/// Where an item lies and what is known of it before its bytes.
pub struct Place<'a> {
    /// `scopes.id`.
    pub scope: i64,
    /// Its key in that scope.
    pub key: &'a str,
    /// The revision that the listing names; the next run compares with it.
    pub rev: &'a str,
    /// Its keywords, and the keys of its containers.
    pub attrs: &'a Arc<Attrs>,
}

/// Bytes of an item as the archive holds them.
pub(super) struct StoredBytes {
    pub(super) blob: Id,
    /// The archive did not have them before.
    pub(super) is_new: bool,
    /// Ranges of the blob as JSON, if the item is not all of it.
    pub(super) ranges: Option<String>,
}

impl<'a> Store<'a> {
    /// A store for one run.
    pub fn new(writer: &'a mut Writer, ids: &'a Ids, join: DuplicateRule, dying: PendingRemovals) -> Store<'a> {
        Store { writer, ids, join, dying, last_whole: None, memberships: HashMap::new(), adoptable_events: None }
    }

    /// Stores an item.
    pub fn item(&mut self, place: &Place<'_>, ready: Prepared) -> Result<Fate> {
        let Prepared { bytes, size, digest, content, .. } = ready;
        match content {
            Content::Email { received, message_match, .. } => {
                let stored = self.blob(bytes)?;
                self.email(place, &stored, size, received, message_match)
            }
            Content::Event { uid, event, .. } => self.event(place, bytes, digest, &uid, event),
            Content::Card { uid, data, .. } => self.card(place, bytes, digest, uid, data),
            Content::Script { name, is_active } => self.script(place, bytes, name, is_active),
            Content::File { name, media_type, modified } => self.file(place, bytes, name, media_type, modified),
            Content::JsCard { uid, data, blobs } => self.js_card(place, uid, data, blobs),
            Content::JsEvent { uid, event, data, blobs } => self.js_event(place, &uid, event, data, blobs),
            Content::Node(node) => self.node(place, *node, bytes),
            Content::Plain(object) => self.plain_object(place, *object),
        }
    }

    /// The uid under which a card is stored, and the row that it is already. `twin` is another row with this uid.
    pub(super) fn card_uid(
        &mut self,
        place: &Place<'_>,
        uid: String,
        is_known: bool,
        twin: Option<Id>,
    ) -> Result<(String, Option<Id>)> {
        let adopted = match twin {
            Some(id) if !is_known && self.writer.is_adoptable(ObjectType::ContactCard, id)? => Some(id),
            _ => None,
        };
        // It is unique in the whole archive; the card's own bytes and data keep their uid.
        let unique = match &twin {
            Some(_) if adopted.is_none() => format!("{uid}~{}", card_mark(place.scope, place.key)),
            _ => uid,
        };
        Ok((unique, adopted))
    }

    /// Gives a known item other keywords or containers; its bytes stand.
    pub fn touch(&mut self, kind: ObjectType, place: &Place<'_>, id: Id) -> Result<()> {
        let membership = self.membership(place.attrs);
        self.link(place, &membership, id)?;
        if kind == ObjectType::Email && self.join == DuplicateRule::SameName {
            let origins = self.writer.origins_of(kind, id)?;
            // Copies that were one message as long as they were equal part when one gets another flag.
            if origins.iter().any(|other| !other.has_keywords_of(&membership))
                && let Some((blob, size)) = self.writer.email_blob(id)?
                && let Some(email) = self.writer.stored_email(id)?
            {
                let copy = self.writer.insert_email(&copy_in(email, &membership), blob, size)?;
                self.link(place, &membership, copy)?;
            }
        }
        self.settle(kind, id)
    }

    /// Takes an item out of its scope, and its row out of the current state if nothing else is that row.
    pub fn gone(&mut self, kind: ObjectType, scope: i64, key: &str, id: Id) -> Result<()> {
        self.writer.unlink(scope, key)?;
        self.settle(kind, id)
    }

    /// The event with this uid that can be adopted, for one time.
    pub(super) fn adopt_event(&mut self, uid: &str) -> Result<Option<Id>> {
        if self.adoptable_events.is_none() {
            self.adoptable_events = Some(self.writer.adoptable_events()?);
        }
        Ok(self.adoptable_events.as_mut().and_then(|events| events.remove(uid)))
    }

    /// Gives a row the keywords and containers of all items that are it; a row without items leaves the current state.
    pub(super) fn settle(&mut self, kind: ObjectType, id: Id) -> Result<()> {
        let origins = self.writer.origins_of(kind, id)?;
        if origins.is_empty() {
            return self.writer.remove(kind, id);
        }
        let containers = sorted(origins.iter().flat_map(Membership::containers));
        match kind {
            ObjectType::Email => {
                let keywords = sorted(origins.iter().flat_map(Membership::keywords));
                self.writer.update_email(id, &containers, &keywords)?;
            }
            ObjectType::CalendarEvent | ObjectType::ContactCard => self.writer.set_containers(kind, id, &containers)?,
            ObjectType::FileNode => {
                let parent = containers.first().copied();
                let name = self.writer.node_name(id)?.unwrap_or_default();
                let name = free_name(self.writer, kind, parent, &name, Some(id))?;
                self.writer.move_node(id, parent, &name)?;
            }
            _ => {}
        }
        Ok(())
    }

    pub(super) fn link(&mut self, place: &Place<'_>, membership: &Membership, id: Id) -> Result<()> {
        self.writer.link(place.scope, place.key, place.rev, membership, id)
    }

    /// The row that is known at a place.
    pub(super) fn known(&self, place: &Place<'_>) -> Result<Option<Id>> {
        Ok(self.writer.known(place.scope, place.key)?.map(|(id, _)| id))
    }

    pub(super) fn blob(&mut self, bytes: Bytes) -> Result<StoredBytes> {
        match bytes {
            Bytes::Whole(blob) => {
                let (blob, is_new) = self.writer.put_blob(blob)?;
                Ok(StoredBytes { blob, is_new, ranges: None })
            }
            // A message, a script and a file have bytes in every source; an empty one has none.
            Bytes::Absent => self.blob(Bytes::Whole(NewBlob::from_bytes(Vec::new()))),
            Bytes::Part { whole, ranges } => {
                let blob = match &self.last_whole {
                    Some((known, id)) if Arc::ptr_eq(known, &whole) => *id,
                    _ => {
                        let (id, _) = self.writer.put_blob(NewBlob::from_bytes(whole.to_vec()))?;
                        self.last_whole = Some((whole, id));
                        id
                    }
                };
                Ok(StoredBytes { blob, is_new: false, ranges: Some(ranges) })
            }
        }
    }

    /// The keywords of an item, and its containers as rows.
    pub(super) fn membership(&mut self, attrs: &Arc<Attrs>) -> Arc<Membership> {
        let membership =
            self.memberships.entry(Arc::clone(attrs)).or_insert_with(|| Arc::new(membership_of(self.ids, attrs)));
        Arc::clone(membership)
    }
}

/// The keywords of an item, and those of its containers that have rows.
pub fn membership_of(ids: &Ids, attrs: &Attrs) -> Membership {
    let rows = attrs.parents.iter().filter_map(|key| ids.get(&(attrs.of, key.clone())));
    Membership::new(attrs.keywords.clone(), sorted(rows))
}

/// A message that is equal to another one and lies elsewhere.
pub(super) fn copy_in(email: Email<'static>, membership: &Membership) -> Email<'static> {
    Email { mailboxes: membership.containers().to_vec(), keywords: membership.keywords().to_vec(), ..email }
}

fn sorted<'v, T: Ord + Clone + 'v>(values: impl Iterator<Item = &'v T>) -> Vec<T> {
    let mut values: Vec<T> = values.cloned().collect();
    values.sort_unstable();
    values.dedup();
    values
}
