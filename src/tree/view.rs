//! One moment of an account, arranged: which directories there are and what lies in them. Loaded when first asked for.

use super::hierarchy::Hierarchy;
use super::name;
use super::node::ROW_MAX;
use super::shelf::{Item, Shelf};
use crate::archive::{Listed, MailboxState, Moment, Reader, Record, UNFILED, epoch, parse_ids, parse_keywords};
use crate::error::Result;
use crate::format::maildir::{Flags, Keywords};
use crate::model::{Id, Kind};
use std::collections::HashMap;
use std::sync::{Arc, OnceLock};

/// As long as the extensions of the files in `merged/`.
const MERGED: &str = ".ics";

/// What a mailbox is beside its name.
#[derive(Debug, Clone, Default)]
pub struct Folder {
    pub role: Option<String>,
    pub is_subscribed: bool,
    /// The snapshot in which it became what it is; 0 where nobody knows.
    pub first: i64,
}

/// What a file node is beside its name.
#[derive(Debug, Clone)]
pub struct FileData {
    pub kind: FileKind,
    /// Seconds since 1970.
    pub modified: i64,
}

/// The three sorts of file nodes.
#[derive(Debug, Clone)]
pub enum FileKind {
    Directory,
    File(Id),
    /// A link that stays inside `files/`.
    Link(String),
    /// A link that would not: shown as text.
    LinkText(String),
}

/// A calendar or an address book beside its name.
#[derive(Debug, Clone)]
pub struct Collection {
    pub color: Option<String>,
}

/// Messages by mailbox, computed from all emails where the archive has no index.
struct Computed {
    mailboxes: HashMap<Id, Vec<Listed>>,
    keywords: HashMap<Id, Vec<String>>,
}

/// The times of a mailbox, in seconds since 1970.
#[derive(Debug, Clone, Copy, Default)]
pub struct Age {
    /// Of what lies in it itself: its newest message, or the snapshot that changed it later.
    pub own: i64,
    /// Of that and of all mailboxes below it.
    pub deep: i64,
    /// When the archive last changed what lies in it.
    pub changed: i64,
}

/// A moment of an account.
pub struct View {
    pub reader: Arc<Reader>,
    pub moment: Moment,
    /// The time of the moment, in seconds since 1970: the age of what has none of its own.
    pub time: i64,
    folders: OnceLock<Hierarchy<Folder>>,
    files: OnceLock<Hierarchy<FileData>>,
    calendars: OnceLock<Hierarchy<Collection>>,
    books: OnceLock<Hierarchy<Collection>>,
    scripts: OnceLock<Shelf>,
    computed: OnceLock<Computed>,
    event_shelves: OnceLock<HashMap<Id, Arc<Shelf>>>,
    card_shelves: OnceLock<HashMap<Id, Arc<Shelf>>>,
    ages: OnceLock<HashMap<Id, Age>>,
    /// When each snapshot ended.
    times: OnceLock<HashMap<i64, i64>>,
}

impl View {
    /// A view of a moment, with nothing loaded yet.
    pub fn new(reader: Arc<Reader>, moment: Moment, time: i64) -> View {
        View {
            reader,
            moment,
            time,
            folders: OnceLock::new(),
            files: OnceLock::new(),
            calendars: OnceLock::new(),
            books: OnceLock::new(),
            scripts: OnceLock::new(),
            computed: OnceLock::new(),
            event_shelves: OnceLock::new(),
            card_shelves: OnceLock::new(),
            ages: OnceLock::new(),
            times: OnceLock::new(),
        }
    }

    // --- mail ----------------------------------------------------------------------------------------------------

    /// The mailboxes. Messages that lie in none have a mailbox of their own, [`UNFILED`].
    pub fn folders(&self) -> Result<&Hierarchy<Folder>> {
        load(&self.folders, || {
            let mut rows = Vec::new();
            self.each(Kind::Mailbox, |record| {
                let name = record.text("name").unwrap_or_default().to_owned();
                let folder = Folder {
                    role: record.text("role").map(str::to_owned),
                    is_subscribed: record.number("is_subscribed") != Some(0),
                    first: record.first,
                };
                rows.push((record.id, record.number("parent_id"), name, folder));
            })?;
            if self.holds_unfiled()? {
                rows.push((UNFILED, None, "(no mailbox)".to_owned(), Folder::default()));
            }
            Ok(Hierarchy::new(rows, "", |raw, _| not_reserved(name::safe(raw, ""))))
        })
    }

    fn holds_unfiled(&self) -> Result<bool> {
        match self.indexed() {
            Some(at) => self.reader.mailbox_holds_any(UNFILED, at),
            None => Ok(self.computed()?.mailboxes.contains_key(&UNFILED)),
        }
    }

    /// The snapshot for which the archive's index can be asked.
    fn indexed(&self) -> Option<i64> {
        match self.moment {
            Moment::Snapshot(at) if self.reader.has_index() => Some(at),
            _ => None,
        }
    }

    /// Messages of a mailbox with ids above `after`, at most `limit`, by id.
    pub fn messages(&self, mailbox: Id, after: Id, limit: usize) -> Result<Vec<Listed>> {
        if let Some(at) = self.indexed() {
            return self.reader.list_mailbox(mailbox, at, after, limit);
        }
        let all = self.computed()?.mailboxes.get(&mailbox).map(Vec::as_slice).unwrap_or_default();
        let from = all.partition_point(|listed| listed.email <= after);
        Ok(all[from..].iter().take(limit).cloned().collect())
    }

    /// One message of a mailbox.
    pub fn message(&self, mailbox: Id, email: Id) -> Result<Option<Listed>> {
        match self.indexed() {
            Some(at) => self.reader.listed(mailbox, at, email),
            None => Ok(self.messages(mailbox, email - 1, 1)?.into_iter().find(|listed| listed.email == email)),
        }
    }

    /// What stands in a mailbox.
    pub fn state(&self, mailbox: Id) -> Result<MailboxState> {
        if let Some(at) = self.indexed() {
            return self.reader.mailbox_state(mailbox, at);
        }
        let all = self.computed()?.mailboxes.get(&mailbox).map(Vec::as_slice).unwrap_or_default();
        Ok(MailboxState {
            emails: all.len() as u64,
            bytes: all.iter().map(|listed| listed.size).sum(),
            newest: all.iter().map(|listed| listed.received).max().unwrap_or(0),
            made: 0,
            changed: 0,
        })
    }

    /// The times of a mailbox.
    pub fn age(&self, mailbox: Id) -> Result<Age> {
        let fallback = Age { own: self.time, deep: self.time, changed: self.time };
        Ok(load(&self.ages, || self.ages())?.get(&mailbox).copied().unwrap_or(fallback))
    }

    /// The newest time of all mailboxes.
    pub fn mail_time(&self) -> Result<i64> {
        let ages = load(&self.ages, || self.ages())?;
        Ok(ages.values().map(|age| age.own).max().unwrap_or(self.time))
    }

    /// When a snapshot ended, in seconds since 1970, if it is known.
    fn changed(&self, snapshot: i64) -> Result<Option<i64>> {
        let times = load(&self.times, || {
            let ended = self
                .reader
                .snapshots()?
                .into_iter()
                .filter_map(|snapshot| Some((snapshot.id, epoch(&snapshot.ended?))));
            Ok(ended.collect::<HashMap<i64, i64>>())
        })?;
        Ok(times.get(&snapshot).copied().filter(|time| *time > 0))
    }

    /// The ctime of what became what it is in a snapshot. Programs that look at it again when it is newer (mu) must
    /// not take every import for a change of everything.
    pub fn ctime(&self, first: i64) -> Result<i64> {
        Ok(self.changed(first)?.unwrap_or(self.time))
    }

    fn ages(&self) -> Result<HashMap<Id, Age>> {
        let folders = self.folders()?;
        let mut ages = HashMap::new();
        for place in folders.all() {
            let state = self.state(place.id)?;
            // One that never held a message is as old as itself, not as the moment: nothing in it is new.
            let changed = match self.changed(state.changed)? {
                Some(time) => time,
                None => self.changed(place.data.first)?.unwrap_or(self.time),
            };
            // A first import shows the dates of the mail. A later change must be seen by programs that compare the
            // time of a directory to know whether to look into it again, even if only old mail came or went.
            let own = match (state.newest, state.changed > state.made) {
                (newest, _) if state.emails == 0 && newest == 0 => changed,
                (newest, true) => newest.max(changed),
                (newest, false) => newest.max(1),
            };
            ages.insert(place.id, Age { own, deep: own, changed });
        }
        let mut order: Vec<Id> = folders.children(None).to_vec();
        let mut at = 0;
        while let Some(id) = order.get(at).copied() {
            order.extend(folders.children(Some(id)));
            at += 1;
        }
        for id in order.into_iter().rev() {
            let deep = ages.get(&id).map_or(0, |age| age.deep);
            if let Some(parent) = folders.get(id).and_then(|place| place.parent)
                && let Some(age) = ages.get_mut(&parent)
            {
                age.deep = age.deep.max(deep);
            }
        }
        Ok(ages)
    }

    /// The keywords that have letters in a mailbox.
    pub fn keywords(&self, mailbox: Id) -> Result<Keywords> {
        let named: Vec<String> = match self.indexed() {
            Some(_) => self.reader.mailbox_keywords(mailbox)?.into_iter().map(|(_, keyword)| keyword).collect(),
            None => self.computed()?.keywords.get(&mailbox).cloned().unwrap_or_default(),
        };
        Ok(Keywords::assign(named.iter().map(String::as_str)))
    }

    fn computed(&self) -> Result<&Computed> {
        load(&self.computed, || {
            let mut mailboxes: HashMap<Id, Vec<Listed>> = HashMap::new();
            let mut named: HashMap<Id, Vec<String>> = HashMap::new();
            let mut known = std::collections::HashSet::new();
            self.reader.each_record(Kind::Mailbox, self.moment, |record| {
                known.insert(record.id);
            })?;
            let mut failed = None;
            self.each(Kind::Email, |record| {
                let size = match record.blob.map(|blob| self.reader.blob(blob)) {
                    Some(Ok(blob)) => blob.size,
                    // A missing blob is an empty file that cannot be read; `verify` names it.
                    Some(Err(error)) if error.kind == crate::error::Kind::Damaged => 0,
                    None => 0,
                    Some(Err(error)) => {
                        failed = Some(error);
                        return;
                    }
                };
                let keywords = parse_keywords(record.text("keywords").unwrap_or("[]"));
                let mut places: Vec<Id> = parse_ids(record.text("mailbox_ids").unwrap_or("[]"));
                places.retain(|place| known.contains(place));
                if places.is_empty() {
                    places.push(UNFILED);
                }
                let links = places.len() as u32;
                for place in places {
                    let named = named.entry(place).or_default();
                    for keyword in keywords.iter().filter(|keyword| crate::format::maildir::needs_letter(keyword)) {
                        if named.len() < 26 && !named.iter().any(|known| known.eq_ignore_ascii_case(keyword)) {
                            named.push(keyword.clone());
                        }
                    }
                    let table = Keywords::assign(named.iter().map(String::as_str));
                    let flags = Flags::from_keywords(keywords.iter().map(String::as_str), &table).letters().into();
                    let received = epoch(record.text("received_at").unwrap_or_default());
                    mailboxes.entry(place).or_default().push(Listed {
                        email: record.id,
                        received,
                        size,
                        links,
                        flags,
                        first: record.first,
                    });
                }
            })?;
            if let Some(error) = failed {
                return Err(error);
            }
            mailboxes.values_mut().for_each(|listed| listed.sort_unstable_by_key(|listed| listed.email));
            Ok(Computed { mailboxes, keywords: named })
        })
    }

    // --- collections ---------------------------------------------------------------------------------------------

    /// The calendars ([`Kind::Calendar`]) or address books ([`Kind::AddressBook`]).
    pub fn collections(&self, kind: Kind) -> Result<&Hierarchy<Collection>> {
        let cell = if kind == Kind::Calendar { &self.calendars } else { &self.books };
        load(cell, || {
            let mut rows = Vec::new();
            self.each(kind, |record| {
                let name = record.text("name").unwrap_or_default().to_owned();
                rows.push((record.id, None, name, Collection { color: record.text("color").map(str::to_owned) }));
            })?;
            // In `merged/` the name gets an extension.
            Ok(Hierarchy::new(rows, "", |raw, _| match name::safe(raw, "") {
                name if name.len() + MERGED.len() <= name::NAME_MAX => name,
                _ => name::safe(raw, MERGED).trim_end_matches(MERGED).to_owned(),
            }))
        })
    }

    /// The items of a calendar ([`Kind::Calendar`]) or an address book ([`Kind::AddressBook`]).
    pub fn shelf(&self, kind: Kind, collection: Id) -> Result<Arc<Shelf>> {
        let cell = if kind == Kind::Calendar { &self.event_shelves } else { &self.card_shelves };
        Ok(load(cell, || self.shelves(kind))?.get(&collection).cloned().unwrap_or_default())
    }

    /// All collections of a type are arranged in one pass, since an item may lie in several.
    fn shelves(&self, kind: Kind) -> Result<HashMap<Id, Arc<Shelf>>> {
        let (items, column, extension) = match kind {
            Kind::Calendar => (Kind::CalendarEvent, "calendar_ids", ".ics"),
            _ => (Kind::ContactCard, "address_book_ids", ".vcf"),
        };
        let mut found: HashMap<Id, Vec<Item>> = HashMap::new();
        self.each(items, |record| {
            let data: serde_json::Value = serde_json::from_str(record.text("data").unwrap_or("{}")).unwrap_or_default();
            let uid = record
                .text("uid")
                .or_else(|| data.get("uid").and_then(|uid| uid.as_str()))
                .unwrap_or_default()
                .to_owned();
            let time = ["updated", "created"].iter().find_map(|name| data.get(*name)?.as_str()).map_or(0, epoch);
            let collections = parse_ids(record.text(column).unwrap_or("[]"));
            let item = Item {
                id: record.id,
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
        Ok(found.into_iter().map(|(collection, items)| (collection, Arc::new(Shelf::new(items, extension)))).collect())
    }

    /// The Sieve scripts.
    pub fn scripts(&self) -> Result<&Shelf> {
        load(&self.scripts, || {
            let mut found = Vec::new();
            self.each(Kind::SieveScript, |record| {
                let name = record
                    .text("name")
                    .filter(|name| !name.is_empty())
                    .map_or_else(|| format!("script {}", record.id), str::to_owned);
                let is_active = record.number("is_active") == Some(1);
                let stored = record.blob.map(|blob| (blob, None));
                found.push(Item {
                    id: record.id,
                    name: String::new(),
                    raw: name,
                    modified: self.ctime(record.first).unwrap_or(self.time),
                    is_active,
                    links: 1,
                    stored,
                });
            })?;
            Ok(Shelf::new(found, ".sieve"))
        })
    }

    // --- files ---------------------------------------------------------------------------------------------------

    /// The file tree.
    pub fn files(&self) -> Result<&Hierarchy<FileData>> {
        load(&self.files, || {
            let mut rows = Vec::new();
            let mut links = Vec::new();
            self.each(Kind::FileNode, |record| {
                let modified = record.text("modified").or(record.text("created")).map_or(0, epoch);
                let modified = if modified == 0 { self.ctime(record.first).unwrap_or(self.time) } else { modified };
                let kind = match (record.text("node_type"), record.blob) {
                    (Some("directory"), _) => FileKind::Directory,
                    (Some("symlink"), _) => {
                        links.push(record.id);
                        FileKind::LinkText(link_target(record.text("target")))
                    }
                    (_, Some(blob)) => FileKind::File(blob),
                    (_, None) => FileKind::LinkText(String::new()),
                };
                let name = record.text("name").unwrap_or_default().to_owned();
                rows.push((record.id, record.number("parent_id"), name, FileData { kind, modified }));
            })?;
            let mut files = Hierarchy::new(rows, "", |raw, _| name::safe(raw, ""));
            for id in links {
                let depth = files.path(id).len() - 1;
                if let Some(FileKind::LinkText(target)) = files.get(id).map(|place| &place.data.kind)
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
    fn each(&self, kind: Kind, mut each: impl FnMut(Record)) -> Result<()> {
        self.reader.each_record(kind, self.moment, |record| {
            if (1..=ROW_MAX).contains(&record.id) {
                each(record);
            }
        })
    }
}

/// What a mailbox directory holds beside child mailboxes cannot be the name of one.
fn not_reserved(name: String) -> String {
    match name.as_str() {
        "cur" | "new" | "tmp" | "dovecot-keywords" => format!("%{:02X}{}", name.as_bytes()[0], &name[1..]),
        _ => name,
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
fn load<T>(cell: &OnceLock<T>, make: impl FnOnce() -> Result<T>) -> Result<&T> {
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
