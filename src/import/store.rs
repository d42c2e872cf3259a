//! Turning fetched items into rows: which row an item is, and what a row holds when several items are one.

use super::containers::Ids;
use super::prepare::{Bytes, Content, Prepared};
use super::report::Fate;
use crate::archive::value::{NULL, Value, int, opt_text, text};
use crate::archive::{EmailFields, Known, Writer, card_mark, ids_json, now, parse_ids, parse_keywords, rfc3339};
use crate::error::Result;
use crate::model::{Attrs, Id, ObjectType};
use crate::source::DuplicateRule;
use std::collections::HashMap;
use std::sync::Arc;

/// Known items that the source does not name any more, by row: scope row and key of each.
pub type PendingRemovals = HashMap<Id, Vec<(i64, Box<str>)>>;

/// Writes items of one run.
pub struct Store<'a> {
    pub writer: &'a mut Writer,
    pub ids: &'a Ids,
    pub join: DuplicateRule,
    /// A message that turns up elsewhere while its old place is gone was moved: it keeps its row.
    pub dying: PendingRemovals,
    last_whole: Option<(Arc<Vec<u8>>, Id)>,
    json: HashMap<Arc<Attrs>, (String, Vec<Id>)>,
    /// Events that 1.x imported, by uid; read when the first event comes.
    events_of_1x: Option<HashMap<String, Id>>,
}

/// Where an item lies and what is known of it before its bytes.
pub struct Place<'a> {
    pub scope: i64,
    pub key: &'a str,
    pub rev: &'a str,
    pub attrs: &'a Arc<Attrs>,
}

impl<'a> Store<'a> {
    /// A store for one run.
    pub fn new(writer: &'a mut Writer, ids: &'a Ids, join: DuplicateRule, dying: PendingRemovals) -> Store<'a> {
        Store { writer, ids, join, dying, last_whole: None, json: HashMap::new(), events_of_1x: None }
    }

    /// Stores an item.
    pub fn item(&mut self, place: &Place<'_>, ready: Prepared) -> Result<Fate> {
        let size = ready.size;
        match ready.content {
            Content::Email { received, message_match, .. } => {
                let (blob, is_new, _) = self.blob(ready.bytes)?;
                self.email(place, blob, is_new, size, received, &message_match)
            }
            Content::Event { uid, data, data_type, .. } => {
                if let Some(fate) = self.join_object(ObjectType::CalendarEvent, place, ready.digest)? {
                    return Ok(fate);
                }
                let fields = |parents: &[Id]| {
                    vec![
                        ("calendar_ids", text(ids_json(parents))),
                        ("data", text(&data)),
                        ("data_type", text(data_type.name())),
                    ]
                };
                let adopted = match self.writer.known(place.scope, place.key)? {
                    None => self.event_of_1x(&uid)?,
                    Some(_) => None,
                };
                self.object(ObjectType::CalendarEvent, place, ready.bytes, adopted, fields)
            }
            Content::Card { uid, data, .. } => {
                if let Some(fate) = self.join_object(ObjectType::ContactCard, place, ready.digest)? {
                    return Ok(fate);
                }
                let (keywords, parents) = self.attrs(place.attrs);
                let known = self.own_row(ObjectType::ContactCard, place)?;
                let twin = self.writer.find_card(&uid)?.filter(|id| known != Some(*id));
                if let Some(id) = twin
                    && self.writer.known(place.scope, place.key)?.is_none()
                    && self.writer.original_digest(ObjectType::ContactCard, id)? == Some(ready.digest)
                {
                    self.link(place, &keywords, &parents, id)?;
                    self.settle(ObjectType::ContactCard, id)?;
                    return Ok(Fate::Duplicate);
                }
                let (column, adopted) = self.card_column(place, uid, known.is_some(), twin)?;
                let fields = |parents: &[Id]| {
                    vec![("uid", text(&column)), ("address_book_ids", text(ids_json(parents))), ("data", text(&data))]
                };
                self.object(ObjectType::ContactCard, place, ready.bytes, adopted, fields)
            }
            Content::Script { name, is_active } => self.script(place, ready.bytes, name, is_active),
            Content::File { name, media_type, modified } => {
                let (blob, ..) = self.blob(ready.bytes)?;
                let (_, parents) = self.attrs(place.attrs);
                let parent = parents.first().copied();
                let known = self.writer.known(place.scope, place.key)?.map(|(id, _)| id);
                let taken = self.writer.find_container(ObjectType::FileNode, parent, &name)?;
                if let Some(other) = taken
                    && let Some(fate) = self.join_file(place, other, blob)?
                {
                    return Ok(fate);
                }
                // Another source has a file of this name in this directory: both stay.
                let name = match taken {
                    Some(other) if known != Some(other) => format!("{name}~{}", place.scope),
                    _ => name,
                };
                let modified = modified.map(rfc3339);
                let mut fields = vec![
                    ("parent_id", parents.first().copied().map_or(NULL, int)),
                    ("node_type", text("file")),
                    ("name", text(name)),
                    ("media_type", opt_text(media_type.as_deref())),
                    ("modified", opt_text(modified.as_deref())),
                ];
                if self.writer.known(place.scope, place.key)?.is_none() {
                    fields.push(("created", text(modified.unwrap_or_else(now))));
                }
                self.plain(ObjectType::FileNode, place, &fields, blob)
            }
            Content::JsCard { uid, data, blobs } => self.js_card(place, uid, data, blobs),
            event @ Content::JsEvent { .. } => self.js_event(place, event),
            Content::Node(node) => self.node(place, *node, ready.bytes),
            Content::Plain(data) => self.plain_object(place, data),
        }
    }

    /// What stands in the column `uid` of a card, and the row that it is already. `twin` is another row with this uid.
    pub(super) fn card_column(
        &mut self,
        place: &Place<'_>,
        uid: String,
        is_known: bool,
        twin: Option<Id>,
    ) -> Result<(String, Option<Id>)> {
        // A card that 1.x stored and no source of ours knows yet is this one.
        let adopted = match twin {
            Some(id) if !is_known && self.writer.origins_of(ObjectType::ContactCard, id)?.is_empty() => Some(id),
            _ => None,
        };
        // The column is unique in the whole archive; the card's own bytes and data keep their uid.
        let column = match &twin {
            Some(_) if adopted.is_none() => format!("{uid}~{}", card_mark(place.scope, place.key)),
            _ => uid,
        };
        Ok((column, adopted))
    }

    /// Gives a known item other keywords or containers; its bytes stand.
    pub fn touch(&mut self, kind: ObjectType, place: &Place<'_>, id: Id) -> Result<()> {
        let (keywords, parents) = self.attrs(place.attrs);
        self.link(place, &keywords, &parents, id)?;
        if kind == ObjectType::Email && self.join == DuplicateRule::SameName {
            let origins = self.writer.origins_of(kind, id)?;
            // Copies that were one message as long as they were equal part when one gets another flag.
            if origins.iter().any(|(other, _)| *other != keywords)
                && let Some((blob, size)) = self.writer.email_blob(id)?
                && let Some(row) = self.writer.stored_email(id)?
            {
                let (received, message_match) = (row.received, &row.message_match);
                let fields = EmailFields { mailbox_ids: &parents, keywords: &keywords, received, message_match };
                let copy = self.writer.insert_email(&fields, blob, size)?;
                self.link(place, &keywords, &parents, copy)?;
            }
        }
        self.settle(kind, id)
    }

    /// Takes an item out of its scope, and its row out of the current state if nothing else is that row.
    pub fn gone(&mut self, kind: ObjectType, scope: i64, key: &str, id: Id) -> Result<()> {
        self.writer.unlink(scope, key)?;
        self.settle(kind, id)
    }

    fn email(
        &mut self,
        place: &Place<'_>,
        blob: Id,
        blob_is_new: bool,
        size: u64,
        received: i64,
        message_match: &str,
    ) -> Result<Fate> {
        let (keywords, parents) = self.attrs(place.attrs);
        let known = self.writer.known(place.scope, place.key)?;
        if let Some((id, _)) = known
            && self.writer.email_blob(id)?.is_some_and(|(known_blob, _)| known_blob == blob)
        {
            let before = self.writer.changes().get(&ObjectType::Email).copied();
            self.touch(ObjectType::Email, place, id)?;
            let after = self.writer.changes().get(&ObjectType::Email).copied();
            return Ok(if before == after { Fate::Unchanged } else { Fate::Changed });
        }
        if !blob_is_new && known.is_none() {
            if let Some(id) = self.writer.adoptable_email(blob, &parents)? {
                return self.adopt_email(place, &keywords, &parents, id);
            }
            for row in self.writer.emails_with_blob(blob)? {
                let id = row.id;
                if self.revive(place, &keywords, &parents, id)? {
                    return Ok(Fate::Changed);
                }
                let is_one = match self.join {
                    DuplicateRule::Never | DuplicateRule::SameContent => false,
                    DuplicateRule::SameBytes => self.writer.is_of_kin(ObjectType::Email, id)?,
                    DuplicateRule::SameName => {
                        row.keywords == keywords
                            && row.received == received
                            && !parents.iter().any(|parent| row.mailboxes.contains(parent))
                            && self.writer.is_known_as(id, place.key)?
                    }
                };
                if is_one {
                    self.link(place, &keywords, &parents, id)?;
                    self.settle(ObjectType::Email, id)?;
                    return Ok(if self.join == DuplicateRule::SameBytes { Fate::Duplicate } else { Fate::New });
                }
            }
        }
        let fields = EmailFields { mailbox_ids: &parents, keywords: &keywords, received, message_match };
        let id = self.writer.insert_email(&fields, blob, size)?;
        self.link(place, &keywords, &parents, id)?;
        match known {
            Some((old, _)) => {
                self.settle(ObjectType::Email, old)?;
                Ok(Fate::Changed)
            }
            None => Ok(Fate::New),
        }
    }

    /// Stores a message whose bytes stand in the row `id`: as this row if it was moved, or if the source says that it is
    /// one with it; else as a row of its own. `None` if there is no such row in the current state, or if something else
    /// was known at this place.
    pub fn known_email(&mut self, place: &Place<'_>, id: Id) -> Result<Option<Fate>> {
        if self.writer.known(place.scope, place.key)?.is_some() {
            return Ok(None);
        }
        let (keywords, parents) = self.attrs(place.attrs);
        if self.revive(place, &keywords, &parents, id)? {
            return Ok(Some(Fate::Changed));
        }
        let (Some((blob, size)), Some(row)) = (self.writer.email_blob(id)?, self.writer.stored_email(id)?) else {
            return Ok(None);
        };
        let id = match self.join {
            DuplicateRule::SameContent | DuplicateRule::SameBytes => id,
            DuplicateRule::Never | DuplicateRule::SameName => {
                let (received, message_match) = (row.received, &row.message_match);
                let fields = EmailFields { mailbox_ids: &parents, keywords: &keywords, received, message_match };
                self.writer.insert_email(&fields, blob, size)?
            }
        };
        self.link(place, &keywords, &parents, id)?;
        self.settle(ObjectType::Email, id)?;
        Ok(Some(if self.join == DuplicateRule::SameBytes { Fate::Duplicate } else { Fate::New }))
    }

    /// Stores a message that is the row `id` in a new place. False if something else was known at this place, or if not all
    /// places of that row are gone.
    pub fn moved_email(&mut self, place: &Place<'_>, id: Id) -> Result<bool> {
        if self.writer.known(place.scope, place.key)?.is_some() {
            return Ok(false);
        }
        let (keywords, parents) = self.attrs(place.attrs);
        self.revive(place, &keywords, &parents, id)
    }

    /// Moves a row all of whose places are gone to a new one. False if it is not such a row.
    fn revive(&mut self, place: &Place<'_>, keywords: &str, parents: &[Id], id: Id) -> Result<bool> {
        let Some(gone) = self.dying.get(&id) else { return Ok(false) };
        if self.writer.origins_of(ObjectType::Email, id)?.len() != gone.len() {
            return Ok(false);
        }
        for (scope, key) in self.dying.remove(&id).unwrap_or_default() {
            self.writer.unlink(scope, &key)?;
        }
        self.link(place, keywords, parents, id)?;
        self.settle(ObjectType::Email, id)?;
        Ok(true)
    }

    /// Takes a row that 1.x stored for ours.
    fn adopt_email(&mut self, place: &Place<'_>, keywords: &str, parents: &[Id], id: Id) -> Result<Fate> {
        let before = self.writer.changes().get(&ObjectType::Email).copied();
        self.link(place, keywords, parents, id)?;
        self.settle(ObjectType::Email, id)?;
        let after = self.writer.changes().get(&ObjectType::Email).copied();
        Ok(if before == after { Fate::Unchanged } else { Fate::Changed })
    }

    /// The event of 1.x with this uid, if no source of ours has it yet.
    pub(super) fn event_of_1x(&mut self, uid: &str) -> Result<Option<Id>> {
        if self.events_of_1x.is_none() {
            self.events_of_1x = Some(self.writer.adoptable_events()?);
        }
        Ok(self.events_of_1x.as_mut().and_then(|events| events.remove(uid)))
    }

    /// An event or a card: a row with JSON and the source's own bytes beside it.
    fn object(
        &mut self,
        kind: ObjectType,
        place: &Place<'_>,
        bytes: Bytes,
        adopted: Option<Id>,
        fields: impl Fn(&[Id]) -> Vec<(&'static str, Value)>,
    ) -> Result<Fate> {
        let (keywords, parents) = self.attrs(place.attrs);
        let (blob, _, ranges) = self.blob(bytes)?;
        let former = self.writer.known(place.scope, place.key)?.map(|(id, _)| id);
        let known = self.own_row(kind, place)?.or(adopted);
        let (id, fate) = match known {
            Some(id) => {
                self.writer.keep(kind, id)?;
                self.writer.update(kind, id, &fields(&parents), None)?;
                (id, Fate::Changed)
            }
            None => (self.writer.insert(kind, &fields(&parents), None)?, Fate::New),
        };
        self.writer.set_original(kind, id, blob, ranges.as_deref())?;
        self.link(place, &keywords, &parents, id)?;
        match former.filter(|former| *former != id) {
            Some(former) => {
                self.settle(kind, former)?;
                Ok(Fate::Changed)
            }
            None => Ok(fate),
        }
    }

    /// A file: a row with a blob.
    fn plain(
        &mut self,
        kind: ObjectType,
        place: &Place<'_>,
        fields: &[(&'static str, Value)],
        blob: Id,
    ) -> Result<Fate> {
        let (id, fate) = match self.writer.known(place.scope, place.key)? {
            Some((id, _)) => {
                (id, if self.writer.update(kind, id, fields, Some(blob))? { Fate::Changed } else { Fate::Unchanged })
            }
            None => (self.writer.insert(kind, fields, Some(blob))?, Fate::New),
        };
        let (keywords, parents) = self.attrs(place.attrs);
        self.link(place, &keywords, &parents, id)?;
        Ok(fate)
    }

    /// Makes a row say what its origins say together; a row without origins leaves the current state.
    pub(super) fn settle(&mut self, kind: ObjectType, id: Id) -> Result<()> {
        let origins = self.writer.origins_of(kind, id)?;
        if origins.is_empty() {
            return match kind {
                ObjectType::Email => self.writer.remove_email(id),
                _ => self.writer.remove(kind, id),
            };
        }
        let mut parents: Vec<Id> = origins.iter().flat_map(|(_, parents)| parse_ids(parents)).collect();
        parents.sort_unstable();
        parents.dedup();
        match kind {
            ObjectType::Email => {
                let mut keywords: Vec<String> =
                    origins.iter().flat_map(|(keywords, _)| parse_keywords(keywords)).collect();
                keywords.sort_unstable();
                keywords.dedup();
                self.writer.update_email(id, &parents, &serde_json::json!(keywords).to_string())?;
            }
            ObjectType::CalendarEvent => {
                self.writer.update(kind, id, &[("calendar_ids", text(ids_json(&parents)))], None)?;
            }
            ObjectType::ContactCard => {
                self.writer.update(kind, id, &[("address_book_ids", text(ids_json(&parents)))], None)?;
            }
            ObjectType::FileNode => {
                let parent = parents.first().copied();
                let name = self.writer.node_name(id)?.unwrap_or_default();
                let name = super::containers::free_name(self.writer, kind, parent, &name, Some(id))?;
                let fields = [("parent_id", parent.map_or(NULL, int)), ("name", text(name))];
                self.writer.update(kind, id, &fields, None)?;
            }
            _ => {}
        }
        Ok(())
    }

    pub(super) fn link(&mut self, place: &Place<'_>, keywords: &str, parents: &[Id], id: Id) -> Result<()> {
        let known = Known { key: place.key, rev: place.rev, keywords, parents: &ids_json(parents), local_id: id };
        self.writer.link(place.scope, &known)
    }

    pub(super) fn blob(&mut self, bytes: Bytes) -> Result<(Id, bool, Option<String>)> {
        match bytes {
            Bytes::Whole(blob) => {
                let (id, is_new) = self.writer.put_blob(blob)?;
                Ok((id, is_new, None))
            }
            // Nobody hands over a message, a script or a file without bytes; an empty one has none.
            Bytes::Absent => {
                let (id, is_new) = self.writer.put_blob(crate::archive::NewBlob::from_bytes(Vec::new()))?;
                Ok((id, is_new, None))
            }
            Bytes::Part { whole, ranges } => {
                let id = match &self.last_whole {
                    Some((known, id)) if Arc::ptr_eq(known, &whole) => *id,
                    _ => {
                        let (id, _) = self.writer.put_blob(crate::archive::NewBlob::from_bytes(whole.to_vec()))?;
                        self.last_whole = Some((whole, id));
                        id
                    }
                };
                Ok((id, false, Some(ranges)))
            }
        }
    }

    /// Keywords as JSON and containers as rows.
    pub(super) fn attrs(&mut self, attrs: &Arc<Attrs>) -> (String, Vec<Id>) {
        self.json.entry(Arc::clone(attrs)).or_insert_with(|| attrs_of(self.ids, attrs)).clone()
    }
}

/// Keywords as JSON and containers as rows, in the form in which origins keep them.
pub fn attrs_of(ids: &Ids, attrs: &Attrs) -> (String, Vec<Id>) {
    let mut parents: Vec<Id> =
        attrs.parents.iter().filter_map(|key| ids.get(&(attrs.of, key.clone())).copied()).collect();
    parents.sort_unstable();
    parents.dedup();
    (serde_json::json!(attrs.keywords).to_string(), parents)
}
