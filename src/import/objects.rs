//! Objects that come as JSON and have no bytes of their own: cards, events, files' properties, identities.

use super::containers::free_name;
use super::prepare::{Bytes, Content, Media};
use super::report::Fate;
use super::store::{Place, Store};
use crate::archive::value::{NULL, Value, int, opt_text, text};
use crate::archive::{ids_json, now};
use crate::error::Result;
use crate::model::{Id, ItemData, Node, ObjectType};
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
        let (_, parents) = self.attrs(place.attrs);
        let known = self.writer.known(place.scope, place.key)?.map(|(id, _)| id);
        let twin = self.writer.find_card(&uid)?.filter(|id| known != Some(*id));
        let (column, adopted) = self.card_column(place, uid, known.is_some(), twin)?;
        let fields = vec![
            ("uid", text(column)),
            ("address_book_ids", text(ids_json(&parents))),
            ("data", text(data.to_string())),
        ];
        self.row(ObjectType::ContactCard, place, adopted, fields, None)
    }

    /// An event.
    pub(super) fn js_event(&mut self, place: &Place<'_>, event: Content) -> Result<Fate> {
        let Content::JsEvent { uid, data, data_type, is_draft, use_default_alerts, blobs } = event else {
            return Ok(Fate::Unchanged);
        };
        let data = self.with_blobs(data, blobs)?;
        let (_, parents) = self.attrs(place.attrs);
        let adopted = match self.writer.known(place.scope, place.key)? {
            None => match self.writer.jmap_row_of_1x(ObjectType::CalendarEvent, place.key)? {
                Some(id) => Some(id),
                None => self.event_of_1x(&uid)?,
            },
            Some(_) => None,
        };
        let fields = vec![
            ("calendar_ids", text(ids_json(&parents))),
            ("is_draft", int(i64::from(is_draft))),
            ("use_default_alerts", int(i64::from(use_default_alerts))),
            ("data", text(data.to_string())),
            ("data_type", text(data_type.name())),
        ];
        self.row(ObjectType::CalendarEvent, place, adopted, fields, None)
    }

    /// A file or a link.
    pub(super) fn node(&mut self, place: &Place<'_>, node: Node, bytes: Bytes) -> Result<Fate> {
        let blob = match node.target {
            None => Some(self.blob(bytes)?.0),
            Some(_) => None,
        };
        let (_, parents) = self.attrs(place.attrs);
        let parent = parents.first().copied();
        let known = self.writer.known(place.scope, place.key)?.map(|(id, _)| id);
        let adopted = match known {
            None => match self.writer.jmap_row_of_1x(ObjectType::FileNode, place.key)? {
                Some(id) => Some(id),
                // What 1.x or nobody is known to have brought is this one.
                None => match self.writer.name_taken(ObjectType::FileNode, parent, &node.name, None)? {
                    Some(id) if self.writer.origins_of(ObjectType::FileNode, id)?.is_empty() => Some(id),
                    _ => None,
                },
            },
            Some(_) => None,
        };
        let name = free_name(self.writer, ObjectType::FileNode, parent, &node.name, known.or(adopted))?;
        let target = node.target.as_ref().map(|target| serde_json::json!(target).to_string());
        let created = node.created.or_else(|| node.modified.clone());
        let mut fields = vec![
            ("parent_id", parent.map_or(NULL, int)),
            ("node_type", text(if target.is_some() { "symlink" } else { "file" })),
            ("target", opt_text(target.as_deref())),
            ("name", text(name)),
            ("media_type", opt_text(node.media_type.as_deref())),
            ("modified", opt_text(node.modified.as_deref())),
            ("is_subscribed", int(i64::from(node.is_subscribed))),
            ("role", opt_text(node.role.as_deref())),
        ];
        match created {
            Some(created) => fields.push(("created", text(created))),
            None if known.is_none() && adopted.is_none() => fields.push(("created", text(now()))),
            None => {}
        }
        self.row(ObjectType::FileNode, place, adopted, fields, blob)
    }

    /// What is nothing but its columns.
    pub(super) fn plain_object(&mut self, place: &Place<'_>, data: ItemData) -> Result<Fate> {
        let known = self.writer.known(place.scope, place.key)?.map(|(id, _)| id);
        let kind = match data {
            ItemData::Identity { .. } => ObjectType::Identity,
            ItemData::ParticipantIdentity { .. } => ObjectType::ParticipantIdentity,
            _ => ObjectType::VacationResponse,
        };
        let adopted = match known {
            None => self.writer.jmap_row_of_1x(kind, place.key)?,
            Some(_) => None,
        };
        let fields = match data {
            ItemData::Identity { name, email, reply_to, bcc, text_signature, html_signature } => vec![
                ("name", text(name)),
                ("email", text(email)),
                ("reply_to", opt_text(reply_to.as_deref())),
                ("bcc", opt_text(bcc.as_deref())),
                ("text_signature", text(text_signature)),
                ("html_signature", text(html_signature)),
            ],
            ItemData::ParticipantIdentity { name, calendar_address, is_default } => {
                let is_default = is_default && !self.writer.has_other_default(kind, known.or(adopted))?;
                vec![
                    ("name", text(name)),
                    ("calendar_address", text(calendar_address)),
                    ("is_default", int(i64::from(is_default))),
                ]
            }
            ItemData::VacationResponse { is_enabled, from_date, to_date, subject, text_body, html_body } => vec![
                ("is_enabled", int(i64::from(is_enabled))),
                ("from_date", opt_text(from_date.as_deref())),
                ("to_date", opt_text(to_date.as_deref())),
                ("subject", opt_text(subject.as_deref())),
                ("text_body", opt_text(text_body.as_deref())),
                ("html_body", opt_text(html_body.as_deref())),
            ],
            _ => return Ok(Fate::Unchanged),
        };
        self.row(kind, place, adopted, fields, None)
    }

    /// Writes the row that an item is known as, or was under 1.x; else a new one.
    fn row(
        &mut self,
        kind: ObjectType,
        place: &Place<'_>,
        adopted: Option<Id>,
        fields: Vec<(&'static str, Value)>,
        blob: Option<Id>,
    ) -> Result<Fate> {
        let known = self.writer.known(place.scope, place.key)?.map(|(id, _)| id).or(adopted);
        let (id, fate) = match known {
            Some(id) => match self.writer.update(kind, id, &fields, blob)? {
                true => (id, Fate::Changed),
                false => (id, Fate::Unchanged),
            },
            None => (self.writer.insert(kind, &fields, blob)?, Fate::New),
        };
        let (keywords, parents) = self.attrs(place.attrs);
        self.link(place, &keywords, &parents, id)?;
        Ok(fate)
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
