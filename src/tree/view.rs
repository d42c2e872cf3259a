//! One moment of an account: its calendars, address books, scripts and files, each loaded at the first call that needs
//! it. `mailboxes` does the same for the mail.

use super::collection::{CollectionItem, CollectionItems};
use super::hierarchy::Hierarchy;
use super::mail::MailCache;
use super::name;
use super::node::ROW_MAX;
use super::stat::FileType;
use crate::archive::{Moment, Reader, Record, epoch};
use crate::error::Result;
use crate::model::objects::NodeType;
use crate::model::{Id, ObjectType};
use parking_lot::Mutex;
use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::{Arc, OnceLock};

/// As long as the extensions of the files in `merged/`.
const MERGED: &str = ".ics";

/// The properties of a file node beside its name and its parent.
#[derive(Debug, Clone)]
pub(super) struct FileData {
    pub kind: FileKind,
    /// The snapshot that changed it last; 0 if that is unknown.
    pub first: i64,
    /// Seconds since 1970.
    pub modified: i64,
}

/// The type of a file node, and where its bytes are.
#[derive(Debug, Clone)]
pub(super) enum FileKind {
    Directory,
    File(Id),
    /// A link that stays inside `files/`.
    Link(String),
    /// A link that would not: shown as text.
    LinkText(String),
}

impl FileKind {
    /// The type of file as which it is shown.
    pub(super) fn file_type(&self) -> FileType {
        match self {
            FileKind::Directory => FileType::Directory,
            FileKind::Link(_) => FileType::Link,
            FileKind::File(_) | FileKind::LinkText(_) => FileType::File,
        }
    }
}

/// A calendar or an address book beside its name.
#[derive(Debug, Clone)]
pub(super) struct CollectionData {
    pub color: Option<String>,
    /// The snapshot that changed it last; 0 if that is unknown.
    pub first: i64,
}

/// The items of each collection of a type, by the row of the collection.
type ItemsByCollection = HashMap<Id, Arc<CollectionItems>>;

/// A moment of an account.
pub(super) struct View {
    pub reader: Arc<Reader>,
    pub moment: Moment,
    /// The time of the moment, in seconds since 1970: for nodes without a time of their own.
    pub time: i64,
    pub(super) mail: MailCache,
    files: OnceLock<Hierarchy<FileData>>,
    calendars: OnceLock<Hierarchy<CollectionData>>,
    books: OnceLock<Hierarchy<CollectionData>>,
    scripts: OnceLock<Arc<CollectionItems>>,
    events: OnceLock<ItemsByCollection>,
    cards: OnceLock<ItemsByCollection>,
    /// When snapshots ended, for those that were needed so far.
    times: Mutex<HashMap<i64, Option<i64>>>,
    /// The newest snapshot that changed something of a type.
    versions: Mutex<HashMap<ObjectType, i64>>,
}

impl View {
    /// A view of a moment, with nothing loaded yet.
    pub(super) fn new(reader: Arc<Reader>, moment: Moment, time: i64) -> View {
        View {
            reader,
            moment,
            time,
            mail: MailCache::default(),
            files: OnceLock::new(),
            calendars: OnceLock::new(),
            books: OnceLock::new(),
            scripts: OnceLock::new(),
            events: OnceLock::new(),
            cards: OnceLock::new(),
            times: Mutex::default(),
            versions: Mutex::default(),
        }
    }

    // --- times ---------------------------------------------------------------------------------------------------

    /// When a snapshot ended, in seconds since 1970, if it is known. For a forgotten snapshot, the next one says it.
    pub(super) fn changed(&self, snapshot: i64) -> Result<Option<i64>> {
        if snapshot <= 0 {
            return Ok(None);
        }
        if let Some(time) = self.times.lock().get(&snapshot) {
            return Ok(*time);
        }
        let time = self.reader.ended_from(snapshot)?;
        self.times.lock().insert(snapshot, time);
        Ok(time)
    }

    /// The ctime of a node that snapshot `first` changed last. Programs that read a file again when its ctime is newer (mu)
    /// must not do so after every import; so a node that no snapshot changed, as an empty list of identities, is as old
    /// as the oldest snapshot.
    pub(super) fn ctime(&self, first: i64) -> Result<i64> {
        Ok(self.changed(first.max(1))?.unwrap_or(self.time))
    }

    /// The newest snapshot that changed something of one of these types; 0 if that is unknown.
    pub(super) fn version(&self, kinds: &[ObjectType]) -> Result<i64> {
        let Moment::Snapshot(at) = self.moment else { return Ok(0) };
        let mut newest = 0;
        for kind in kinds {
            let known = self.versions.lock().get(kind).copied();
            let version = match known {
                Some(version) => version,
                None => self.reader.last_change(*kind, at)?,
            };
            self.versions.lock().insert(*kind, version);
            newest = newest.max(version);
        }
        Ok(newest)
    }

    /// When something of one of these types last changed, in seconds since 1970.
    pub(super) fn version_time(&self, kinds: &[ObjectType]) -> Result<i64> {
        self.ctime(self.version(kinds)?)
    }

    // --- collections ---------------------------------------------------------------------------------------------

    /// The calendars ([`ObjectType::Calendar`]) or address books ([`ObjectType::AddressBook`]).
    pub(super) fn collections(&self, kind: ObjectType) -> Result<&Hierarchy<CollectionData>> {
        let cell = if kind == ObjectType::Calendar { &self.calendars } else { &self.books };
        load(cell, || {
            let mut rows = Vec::new();
            self.each(kind, |record| {
                let color = match kind {
                    ObjectType::Calendar => record.calendar().color.map(Cow::into_owned),
                    _ => None,
                };
                rows.push((record.id, None, record.name().to_owned(), CollectionData { color, first: record.first }));
            })?;
            // In `merged/` the name gets an extension.
            Ok(Hierarchy::new(rows, |raw| match name::safe(raw, "") {
                name if name.len() + MERGED.len() <= name::NAME_MAX => name,
                _ => name::safe(raw, MERGED).trim_end_matches(MERGED).to_owned(),
            }))
        })
    }

    /// The items of this type in a collection: events of a calendar, cards of an address book, or all scripts.
    pub(super) fn items(&self, object: ObjectType, collection: Id) -> Result<Arc<CollectionItems>> {
        let cell = match object {
            ObjectType::CalendarEvent => &self.events,
            ObjectType::ContactCard => &self.cards,
            _ => return Ok(Arc::clone(self.scripts()?)),
        };
        Ok(load(cell, || self.items_by_collection(object))?.get(&collection).cloned().unwrap_or_default())
    }

    /// Reads all collections in one pass, since an item may lie in several.
    fn items_by_collection(&self, object: ObjectType) -> Result<ItemsByCollection> {
        let extension = if object == ObjectType::CalendarEvent { ".ics" } else { ".vcf" };
        let mut found: HashMap<Id, Vec<CollectionItem>> = HashMap::new();
        self.each(object, |record| {
            let (collections, data, uid) = match object {
                ObjectType::CalendarEvent => {
                    let event = record.calendar_event();
                    (event.calendars, event.data, None)
                }
                _ => {
                    let card = record.contact_card();
                    (card.address_books, card.data, Some(card.uid.into_owned()))
                }
            };
            let data: serde_json::Value = serde_json::from_str(&data).unwrap_or_default();
            let uid = uid.unwrap_or_else(|| data["uid"].as_str().unwrap_or_default().to_owned());
            let time = ["updated", "created"].iter().find_map(|name| data.get(*name)?.as_str()).map_or(0, epoch);
            let item = CollectionItem {
                id: record.id,
                first: record.first,
                name: String::new(),
                raw: uid,
                modified: if time == 0 { self.ctime(record.first).unwrap_or(self.time) } else { time },
                is_active: false,
                links: collections.len().max(1) as u32,
                stored: record.original,
            };
            for collection in collections {
                found.entry(collection).or_default().push(item.clone());
            }
        })?;
        Ok(found
            .into_iter()
            .map(|(collection, items)| (collection, Arc::new(CollectionItems::new(items, extension))))
            .collect())
    }

    /// The Sieve scripts.
    pub(super) fn scripts(&self) -> Result<&Arc<CollectionItems>> {
        load(&self.scripts, || {
            let mut found = Vec::new();
            self.each(ObjectType::SieveScript, |record| {
                let script = record.sieve_script();
                let is_active = script.is_active;
                let name = match script.name.into_owned() {
                    name if name.is_empty() => format!("script {}", record.id),
                    name => name,
                };
                let stored = record.blob.map(|blob| (blob, None));
                found.push(CollectionItem {
                    id: record.id,
                    first: record.first,
                    name: String::new(),
                    raw: name,
                    modified: self.ctime(record.first).unwrap_or(self.time),
                    is_active,
                    links: 1,
                    stored,
                });
            })?;
            Ok(Arc::new(CollectionItems::new(found, ".sieve")))
        })
    }

    // --- files ---------------------------------------------------------------------------------------------------

    /// The file tree.
    pub(super) fn files(&self) -> Result<&Hierarchy<FileData>> {
        load(&self.files, || {
            let mut rows = Vec::new();
            let mut links = Vec::new();
            self.each(ObjectType::FileNode, |record| {
                let file = record.file_node();
                let modified = file.modified.or(file.created).map_or(0, |time| epoch(&time));
                let modified = if modified == 0 { self.ctime(record.first).unwrap_or(self.time) } else { modified };
                let kind = match (file.node_type, record.blob) {
                    (NodeType::Directory, _) => FileKind::Directory,
                    (NodeType::Symlink, _) => {
                        links.push(record.id);
                        FileKind::LinkText(link_target(file.target.as_deref()))
                    }
                    (NodeType::File, Some(blob)) => FileKind::File(blob),
                    (NodeType::File, None) => FileKind::LinkText(String::new()),
                };
                let data = FileData { kind, first: record.first, modified };
                rows.push((record.id, file.parent, file.name.into_owned(), data));
            })?;
            let mut files = Hierarchy::new(rows, |raw| name::safe(raw, ""));
            for id in links {
                let depth = files.path(id).len() - 1;
                if let Some(FileKind::LinkText(target)) = files.get(id).map(|file| &file.data.kind)
                    && stays_inside(target, depth)
                {
                    let target = target.clone();
                    files.change(id, |data| data.kind = FileKind::Link(target));
                }
            }
            Ok(files)
        })
    }

    /// All rows of a type that this tree can show.
    pub(super) fn each(&self, kind: ObjectType, mut each: impl FnMut(Record)) -> Result<()> {
        self.reader.each_record(kind, self.moment, |record| {
            if (1..=ROW_MAX).contains(&record.id) {
                each(record);
            }
        })
    }
}

/// The path of a link: its components joined.
fn link_target(json: Option<&str>) -> String {
    let parts: Vec<String> = json.and_then(|json| serde_json::from_str(json).ok()).unwrap_or_default();
    parts.join("/")
}

/// True if a relative link in a directory `depth` levels below `files/` cannot lead out of it, whatever other links
/// it passes: it climbs only at its beginning, no higher than `files/`, and then only goes down.
fn stays_inside(target: &str, depth: usize) -> bool {
    let mut climbs = 0;
    let mut down = false;
    for part in target.split('/') {
        match part {
            ".." if down => return false,
            ".." => climbs += 1,
            "" | "." => return false,
            part if part.contains('\0') || part.len() > name::NAME_MAX => return false,
            _ => down = true,
        }
    }
    climbs <= depth && target.len() < 4_096
}

/// The value of a cell, computed at the first call that succeeds.
pub(super) fn load<T>(cell: &OnceLock<T>, make: impl FnOnce() -> Result<T>) -> Result<&T> {
    if let Some(value) = cell.get() {
        return Ok(value);
    }
    let value = make()?;
    Ok(cell.get_or_init(|| value))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_that_lead_out_are_seen() {
        for (target, depth, inside) in [
            ("a/b", 0, true),
            ("../a", 1, true),
            ("../a", 0, false),
            ("..", 0, false),
            ("../../a", 2, true),
            ("/etc/passwd", 5, false),
            ("a/../../b", 5, false),
            ("", 0, false),
            ("./a", 0, false),
        ] {
            assert_eq!(stays_inside(target, depth), inside, "{target} at {depth}");
        }
    }
}
