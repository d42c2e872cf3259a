//! Objects that come as JSON and have no bytes of their own: cards, events, files' properties, identities.

use super::containers::free_name;
use super::prepare::{Bytes, Media};
use super::report::Fate;
use super::store::{Place, Store};
use crate::error::Result;
use crate::model::objects::{CalendarEvent, ContactCard, FileNode, NodeType, Properties};
use crate::model::{Id, Node, ObjectType};
use std::collections::HashMap;

impl Store<'_> {
    /// A card.
    pub(super) fn js_card(
        &mut self,
        place: &Place<'_>,
        uid: String,
        data: serde_json::Value,
        blobs: Media,
    ) -> Result<Fate> {
        let data = self.with_blobs(data, blobs)?;
        let address_books = self.membership(place.attrs).containers().to_vec();
        let known = self.known(place)?;
        let twin = self.writer.find_card(&uid)?.filter(|id| known != Some(*id));
        let (uid, adopted) = self.card_uid(place, uid, known.is_some(), twin)?;
        let card = ContactCard { uid: uid.into(), address_books, data: data.to_string().into() };
        self.row(place, known.or(adopted), &Properties::ContactCard(card), None)
    }

    /// An event.
    pub(super) fn js_event(
        &mut self,
        place: &Place<'_>,
        uid: &str,
        event: CalendarEvent<'static>,
        data: serde_json::Value,
        blobs: Media,
    ) -> Result<Fate> {
        let data = self.with_blobs(data, blobs)?.to_string().into();
        let calendars = self.membership(place.attrs).containers().to_vec();
        let mut row = self.known_or_adoptable(ObjectType::CalendarEvent, place)?;
        if row.is_none() {
            row = self.adopt_event(uid)?;
        }
        self.row(place, row, &Properties::CalendarEvent(CalendarEvent { calendars, data, ..event }), None)
    }

    /// A file or a link.
    pub(super) fn node(&mut self, place: &Place<'_>, node: Node, bytes: Bytes) -> Result<Fate> {
        let blob = match node.target {
            None => Some(self.blob(bytes)?.blob),
            Some(_) => None,
        };
        let parent = self.membership(place.attrs).containers().first().copied();
        let mut row = self.known_or_adoptable(ObjectType::FileNode, place)?;
        if row.is_none()
            && let Some(id) = self.writer.name_taken(ObjectType::FileNode, parent, &node.name, None)?
            && self.writer.is_adoptable(ObjectType::FileNode, id)?
        {
            row = Some(id);
        }
        let name = free_name(self.writer, ObjectType::FileNode, parent, &node.name, row)?;
        let target = node.target.as_ref().map(|target| serde_json::json!(target).to_string());
        let created = node.created.or_else(|| node.modified.clone());
        let node = FileNode {
            name: name.into(),
            parent,
            node_type: if target.is_some() { NodeType::Symlink } else { NodeType::File },
            target: target.map(Into::into),
            media_type: node.media_type.map(Into::into),
            created: created.map(Into::into),
            modified: node.modified.map(Into::into),
            is_subscribed: node.is_subscribed,
            role: node.role.map(Into::into),
        };
        self.row(place, row, &Properties::FileNode(node), blob)
    }

    /// An object without bytes: an identity, a participant identity, a vacation response.
    pub(super) fn plain_object(&mut self, place: &Place<'_>, mut object: Properties<'static>) -> Result<Fate> {
        let kind = object.kind();
        let row = self.known_or_adoptable(kind, place)?;
        if let Properties::ParticipantIdentity(identity) = &mut object {
            identity.is_default = identity.is_default && !self.writer.has_other_default(kind, row)?;
        }
        self.row(place, row, &object, None)
    }

    /// The row that is known at a place, or the one that can be adopted by the id of its object.
    fn known_or_adoptable(&self, kind: ObjectType, place: &Place<'_>) -> Result<Option<Id>> {
        match self.known(place)? {
            Some(id) => Ok(Some(id)),
            None => self.writer.adoptable_by_jmap_id(kind, place.key),
        }
    }

    /// Writes an object into its row; into a new one if it has none.
    fn row(&mut self, place: &Place<'_>, row: Option<Id>, object: &Properties<'_>, blob: Option<Id>) -> Result<Fate> {
        let (id, written) = self.writer.put(row, object, &[], blob)?;
        let membership = self.membership(place.attrs);
        self.link(place, &membership, id)?;
        Ok(written.into())
    }

    /// Puts our numbers of blobs in the place of the source's (FORMAT.md, `@blob`).
    fn with_blobs(&mut self, mut data: serde_json::Value, blobs: Media) -> Result<serde_json::Value> {
        let mut ids = HashMap::new();
        for (name, blob) in blobs {
            let (id, _) = self.writer.put_blob(blob)?;
            ids.insert(name, id);
        }
        rewrite(&mut data, &ids);
        Ok(data)
    }
}

fn rewrite(value: &mut serde_json::Value, ids: &HashMap<String, Id>) {
    match value {
        serde_json::Value::Object(object) => {
            let id = object.get("blobId").and_then(|name| ids.get(name.as_str()?)).copied();
            if let Some(id) = id {
                object.shift_remove("blobId");
                object.insert("@blob".to_owned(), id.into());
            }
            object.values_mut().for_each(|value| rewrite(value, ids));
        }
        serde_json::Value::Array(list) => list.iter_mut().for_each(|value| rewrite(value, ids)),
        _ => {}
    }
}
