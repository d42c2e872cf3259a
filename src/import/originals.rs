//! Events, cards and files that come as bytes of their own: iCalendar, vCard, plain files.

use super::containers::free_name;
use super::prepare::Bytes;
use super::report::Fate;
use super::store::{Place, Store};
use crate::archive::{now, rfc3339};
use crate::error::Result;
use crate::model::objects::{CalendarEvent, ContactCard, FileNode, NodeType, Properties};
use crate::model::{Digest, Id, ObjectType};
use crate::source::DuplicateRule;

/// What iCalendar does not say of an event.
const UNTOLD_OF_EVENT: [&str; 2] = ["isDraft", "useDefaultAlerts"];

/// What a plain file does not say of itself.
const UNTOLD_OF_FILE: [&str; 3] = ["target", "isSubscribed", "role"];

impl Store<'_> {
    /// An event whose own bytes have this digest.
    pub(super) fn event(
        &mut self,
        place: &Place<'_>,
        bytes: Bytes,
        digest: Digest,
        uid: &str,
        event: CalendarEvent<'static>,
    ) -> Result<Fate> {
        if let Some(fate) = self.join_object(ObjectType::CalendarEvent, place, digest)? {
            return Ok(fate);
        }
        let calendars = self.membership(place.attrs).containers().to_vec();
        let adopted = if self.known(place)?.is_none() { self.adopt_event(uid)? } else { None };
        let event = Properties::CalendarEvent(CalendarEvent { calendars, ..event });
        self.object(place, bytes, adopted, &event, &UNTOLD_OF_EVENT)
    }

    /// A card whose own bytes have this digest.
    pub(super) fn card(
        &mut self,
        place: &Place<'_>,
        bytes: Bytes,
        digest: Digest,
        uid: String,
        data: String,
    ) -> Result<Fate> {
        if let Some(fate) = self.join_object(ObjectType::ContactCard, place, digest)? {
            return Ok(fate);
        }
        let membership = self.membership(place.attrs);
        let known = self.own_row(ObjectType::ContactCard, place)?;
        let twin = self.writer.find_card(&uid)?.filter(|id| known != Some(*id));
        // One row for two cards only where the source says that they are one: else a change of one would be one of both.
        if let Some(id) = twin
            && self.join == DuplicateRule::SameBytes
            && self.known(place)?.is_none()
            && self.writer.original_digest(ObjectType::ContactCard, id)? == Some(digest)
        {
            self.link(place, &membership, id)?;
            self.settle(ObjectType::ContactCard, id)?;
            return Ok(Fate::Duplicate);
        }
        let (uid, adopted) = self.card_uid(place, uid, known.is_some(), twin)?;
        let address_books = membership.containers().to_vec();
        let card = Properties::ContactCard(ContactCard { uid: uid.into(), address_books, data: data.into() });
        self.object(place, bytes, adopted, &card, &[])
    }

    /// A plain file. `modified` is in seconds since 1970.
    pub(super) fn file(
        &mut self,
        place: &Place<'_>,
        bytes: Bytes,
        name: String,
        media_type: Option<String>,
        modified: Option<i64>,
    ) -> Result<Fate> {
        let blob = self.blob(bytes)?.blob;
        let membership = self.membership(place.attrs);
        let parent = membership.containers().first().copied();
        let known = self.known(place)?;
        let taken = self.writer.find_container(ObjectType::FileNode, parent, &name)?;
        if let Some(other) = taken
            && let Some(fate) = self.join_file(place, other, blob)?
        {
            return Ok(fate);
        }
        let name = match taken {
            // What was a directory is a file now: the directory leaves at the end of the run.
            Some(other)
                if self.join == DuplicateRule::Never && self.writer.source_knows(ObjectType::FileNode, other)? =>
            {
                free_name(self.writer, ObjectType::FileNode, parent, &name, known)?
            }
            // Another source has a file of this name in this directory: both stay.
            Some(other) if known != Some(other) => format!("{name}~{}", place.scope),
            _ => name,
        };
        let modified = modified.map(rfc3339);
        // A known file keeps the date of creation that it got first.
        let created = known.is_none().then(|| modified.clone().unwrap_or_else(now).into());
        let node = Properties::FileNode(FileNode {
            name: name.into(),
            parent,
            node_type: NodeType::File,
            media_type: media_type.map(Into::into),
            created,
            modified: modified.map(Into::into),
            ..FileNode::default()
        });
        let (id, written) = self.writer.put(known, &node, &UNTOLD_OF_FILE, Some(blob))?;
        self.link(place, &membership, id)?;
        Ok(written.into())
    }

    /// An event or a card: a row with JSON and the source's own bytes beside it.
    fn object(
        &mut self,
        place: &Place<'_>,
        bytes: Bytes,
        adopted: Option<Id>,
        object: &Properties<'_>,
        untold: &[&str],
    ) -> Result<Fate> {
        let kind = object.kind();
        let membership = self.membership(place.attrs);
        let stored = self.blob(bytes)?;
        let former = self.known(place)?;
        let row = self.own_row(kind, place)?.or(adopted);
        if let Some(id) = row {
            // Its bytes change, which stand beside the row.
            self.writer.keep(kind, id)?;
        }
        let (id, _) = self.writer.put(row, object, untold, None)?;
        self.writer.set_original(kind, id, stored.blob, stored.ranges.as_deref())?;
        self.link(place, &membership, id)?;
        if let Some(former) = former.filter(|former| *former != id) {
            self.settle(kind, former)?;
            return Ok(Fate::Changed);
        }
        Ok(if row.is_some() { Fate::Changed } else { Fate::New })
    }
}
