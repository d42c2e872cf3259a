//! What was found, as people and programs read it.

use super::json::on_disk;
use super::object_row::{ObjectRow, person};
use super::opened::tree_at;
use super::screen::Style;
use super::table::Cell;
use super::when;
use crate::archive::{Moment, Reader, Record, Snapshot, State, epoch, rfc3339};
use crate::error::{ErrorKind, Result};
use crate::model::ObjectType;
use crate::search::{Folders, Found};
use crate::tree::Tree;
use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;

/// So many snapshots are held open as trees.
const TREES_MAX: usize = 8;

/// An object with what people recognise it by.
pub(super) struct Shown {
    found: Found,
    pub(super) from: String,
    pub(super) subject: String,
    /// Where it is, or was last.
    pub(super) folder: String,
    /// Bytes.
    pub(super) size: u64,
    /// Its path in the tree of `snapshot`.
    pub(super) path: Option<String>,
    /// The newest snapshot that has it.
    pub(super) snapshot: Option<i64>,
    /// When the snapshot ended that does not have it any more, in seconds since 1970.
    gone: Option<i64>,
    /// When the snapshot ended that has it in another state, which does not meet the query.
    changed: Option<i64>,
}

/// Looks up what people recognise objects of one archive by.
pub(super) struct Shower {
    reader: Arc<Reader>,
    snapshots: Vec<Snapshot>,
    trees: HashMap<Moment, Tree>,
    folders: HashMap<ObjectType, Folders>,
    /// The snapshot that was asked for.
    at: Option<i64>,
    /// Nobody asks for more than the paths, which are found without reading a message.
    is_path_enough: bool,
}

impl Shower {
    pub(super) fn of(reader: &Arc<Reader>, at: Option<i64>, is_path_enough: bool) -> Result<Shower> {
        let snapshots = reader.snapshots()?;
        let reader = Arc::clone(reader);
        Ok(Shower { reader, snapshots, trees: HashMap::new(), folders: HashMap::new(), at, is_path_enough })
    }

    /// The newest snapshot before another one.
    fn before(&self, end: i64) -> Option<i64> {
        self.snapshots.iter().map(|snapshot| snapshot.id).filter(|id| *id < end).max()
    }

    fn ended(&self, snapshot: i64) -> Option<i64> {
        let found = self.snapshots.iter().find(|one| one.id == snapshot)?;
        Some(epoch(found.ended.as_deref().unwrap_or(&found.started)))
    }

    /// An object with what people recognise it by.
    pub(super) fn shown(&mut self, found: &Found) -> Result<Shown> {
        let end = found.changed.or(found.end);
        let snapshot = match (self.at, end) {
            (Some(at), _) => Some(at),
            (None, Some(end)) => self.before(end),
            (None, None) => {
                let ended = self.snapshots.iter().rev().find(|one| one.ended.is_some()).map(|one| one.id);
                // What a running import has stored is in its snapshot only.
                ended.max(self.snapshots.iter().map(|one| one.id).find(|id| *id == found.first))
            }
        };
        let moment = snapshot.filter(|_| self.reader.has_index()).map_or(Moment::Current, Moment::Snapshot);
        let states = match self.is_path_enough {
            true => Vec::new(),
            false => self.reader.states(found.id.kind, found.id.id)?,
        };
        let is_shown = |state: &&State| match self.at {
            Some(at) => state.is_at(at),
            None => state.end == end,
        };
        let state = states.iter().find(is_shown).or(states.last());
        let mut shown = Shown {
            found: *found,
            from: String::new(),
            subject: String::new(),
            folder: String::new(),
            size: 0,
            path: None,
            snapshot,
            gone: found.end.and_then(|end| self.ended(end)),
            changed: found.changed.filter(|_| self.at.is_none()).and_then(|end| self.ended(end)),
        };
        if self.is_path_enough {
            shown.path = self.tree(moment)?.paths_of(found.id.kind, found.id.id)?.into_iter().next();
        } else if let Some(state) = state {
            self.describe(state, moment, &mut shown)?;
        }
        Ok(shown)
    }

    fn describe(&mut self, state: &State, moment: Moment, shown: &mut Shown) -> Result<()> {
        let record = &state.record;
        shown.size = match record.blob.map(|blob| self.reader.blob(blob)) {
            Some(Ok(blob)) => blob.size,
            Some(Err(error)) if error.kind != ErrorKind::Damaged => return Err(error),
            _ => 0,
        };
        let label = self.tree(moment)?.label(record)?;
        for (name, value) in label.fields {
            match name {
                "from" => shown.from = value,
                "subject" | "title" | "name" => shown.subject = value,
                _ => {}
            }
        }
        shown.folder = self.folder(record)?;
        if shown.subject.is_empty() {
            let name = label.paths.first().and_then(|path| path.rsplit('/').next());
            shown.subject = name.unwrap_or_default().to_owned();
        }
        shown.path = label.paths.into_iter().next();
        Ok(())
    }

    /// The names of the folders, calendars, address books or directories that an object lies in.
    fn folder(&mut self, record: &Record) -> Result<String> {
        let kind = record.kind.container();
        if !self.folders.contains_key(&kind) {
            self.folders.insert(kind, Folders::of(&self.reader, kind)?);
        }
        let Some(folders) = self.folders.get(&kind) else { return Ok(String::new()) };
        let holders = Folders::holders(record);
        let names: Vec<&str> = holders.iter().filter_map(|id| folders.paths(*id).last()).map(String::as_str).collect();
        Ok(names.join(", "))
    }

    fn tree(&mut self, moment: Moment) -> Result<&Tree> {
        if !self.trees.contains_key(&moment) {
            if self.trees.len() >= TREES_MAX {
                self.trees.clear();
            }
            self.trees.insert(moment, tree_at(&self.reader, moment)?);
        }
        Ok(&self.trees[&moment])
    }
}

impl Shown {
    pub(super) fn cells(&self) -> Vec<Cell> {
        let status = match (self.gone, self.changed) {
            (_, Some(time)) => (format!("until {}", when::day(time).trim_start()), Style::Changed),
            (Some(time), None) => (format!("gone since {}", when::day(time).trim_start()), Style::Removed),
            (None, None) => Default::default(),
        };
        let row = ObjectRow {
            id: self.found.id.to_string(),
            date: Some(self.found.date).filter(|date| *date != 0),
            from: person(&self.from),
            subject: self.subject.clone(),
            folder: self.folder.clone(),
            size: Some(self.size).filter(|size| *size != 0),
            status,
        };
        row.cells()
    }

    pub(super) fn to_json(&self, archive: &Path) -> serde_json::Value {
        let id = self.found.id;
        let time = |seconds: i64| rfc3339(seconds);
        serde_json::json!({
            "archive": on_disk(archive),
            "type": id.kind.token(),
            "id": id.id,
            "object_id": id.to_string(),
            "dated_at": Some(self.found.date).filter(|date| *date != 0).map(time),
            "from": self.from,
            "subject": self.subject,
            "folder": self.folder,
            "size": self.size,
            "path": self.path,
            "snapshot": self.snapshot,
            "gone_at": self.gone.map(time),
            "changed_at": self.changed.map(time),
        })
    }
}
