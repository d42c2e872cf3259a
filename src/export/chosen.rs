//! Which objects of an archive a selection means, for exports that walk over the tree.

use super::options::Selection;
use super::select::{below, file_time, is_event_in_time};
use crate::archive::{Moment, Reader};
use crate::error::Result;
use crate::model::{Id, ObjectType};
use std::collections::HashSet;

/// A selection, made out against an archive.
pub struct Chosen {
    selection: Selection,
    /// Where there is a time: the events in it.
    events: Option<HashSet<Id>>,
    /// Where there is a time: the files in it.
    files: Option<HashSet<Id>>,
}

impl Chosen {
    /// Reads what the selection depends on.
    ///
    /// Errors: the archive cannot be read.
    pub fn read(reader: &Reader, moment: Moment, selection: &Selection) -> Result<Chosen> {
        let mut selection = selection.clone();
        if let Some(picks) = &mut selection.picks {
            below(reader, moment, picks)?;
        }
        let mut events = None;
        if selection.is_dated() && selection.has(ObjectType::CalendarEvent) {
            let mut in_time = HashSet::new();
            reader.each_record(ObjectType::CalendarEvent, moment, |record| {
                let data = serde_json::from_str(&record.calendar_event().data).unwrap_or_default();
                if is_event_in_time(&selection, &data) {
                    in_time.insert(record.id);
                }
            })?;
            events = Some(in_time);
        }
        let mut files = None;
        if selection.is_dated() && selection.has(ObjectType::FileNode) {
            let mut in_time = HashSet::new();
            reader.each_record(ObjectType::FileNode, moment, |record| {
                if selection.is_in_time(file_time(&record.file_node())) {
                    in_time.insert(record.id);
                }
            })?;
            files = Some(in_time);
        }
        Ok(Chosen { selection, events, files })
    }

    /// True if an object is meant that lies in `container` (of an email, an event or a card). `time` is that of an email, in
    /// seconds since 1970.
    pub fn has(&self, kind: ObjectType, row: Id, container: Option<Id>, time: i64) -> bool {
        let is_in_time = match kind {
            ObjectType::Email => self.selection.is_in_time(time),
            ObjectType::FileNode => self.files.as_ref().is_none_or(|files| files.contains(&row)),
            ObjectType::CalendarEvent => self.events.as_ref().is_none_or(|events| events.contains(&row)),
            _ => true,
        };
        let containers: Vec<Id> = container.into_iter().collect();
        is_in_time && self.selection.has(kind) && self.selection.picks(kind, row, &containers)
    }

    /// True if a container or a directory is meant, and not only what is in it.
    pub fn has_whole(&self, kind: ObjectType, row: Id) -> bool {
        !self.selection.is_dated() && self.selection.has(kind) && self.selection.picks(kind, row, &[])
    }

    /// True if all objects of a type are meant, but for their time.
    pub fn has_all(&self, kind: ObjectType) -> bool {
        let is_picked = self.selection.picks.as_ref().is_none_or(|picks| picks.kinds.contains(&kind));
        is_picked && self.selection.has(kind)
    }
}
