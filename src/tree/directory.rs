//! What every node is and what lies in it: `stat`, `lookup` and `children`, the shape of LAYOUT.md.

use super::node::{Node, What};
use super::shelf::Item;
use super::view::{FileKind, View};
use super::{Child, Layout, Sort, Stat, Tree, no_such};
use crate::archive::Listed;
use crate::error::{Error, Kind as Fault, Result};
use crate::model::{Id, Kind};

/// The cookie of the first line of a directory that is not one of its fixed ones.
const FIXED: u64 = 16;

impl Tree {
    /// What a node is.
    pub fn stat(&self, node: Node) -> Result<Stat> {
        let view = self.view(node)?;
        let directory = |mtime: i64, subdirectories: usize| Stat {
            sort: Sort::Directory,
            size: 0,
            mtime,
            ctime: view.time,
            links: 2 + subdirectories as u32,
        };
        let file = |size: u64, mtime: i64| Stat { sort: Sort::File, size, mtime, ctime: view.time, links: 1 };
        Ok(match node.what {
            What::Root => {
                directory(view.time, if node.snapshot == 0 && self.options.snapshots_visible { 7 } else { 6 })
            }
            What::Mail => match self.inbox(&view)? {
                Some(_) => directory(view.mail_time()?, 3 + view.folders()?.all().count().saturating_sub(1)),
                None => directory(view.mail_time()?, view.folders()?.children(None).len()),
            },
            What::Calendars | What::MergedCalendars => directory(
                view.time,
                if node.what == What::Calendars { view.collections(Kind::Calendar)?.children(None).len() } else { 0 },
            ),
            What::Contacts | What::MergedContacts => directory(
                view.time,
                if node.what == What::Contacts { view.collections(Kind::AddressBook)?.children(None).len() } else { 0 },
            ),
            What::Sieve => directory(view.time, 0),
            What::Merged => directory(view.time, 2),
            What::Files => directory(view.time, self.subdirectories(&view, None)?),
            What::Snapshots => directory(view.time, self.snapshots.len()),
            What::Mailbox => {
                let folders = view.folders()?;
                folders.get(node.row).ok_or_else(no_such)?;
                let age = view.age(node.row)?;
                let children =
                    if self.options.layout == Layout::Nested { folders.children(Some(node.row)).len() } else { 0 };
                Stat { ctime: age.changed, ..directory(age.deep, 3 + children) }
            }
            What::Cur => {
                let age = view.age(node.row)?;
                Stat { ctime: age.changed, ..directory(age.own, 0) }
            }
            What::New | What::Tmp => {
                let age = view.age(node.row)?;
                Stat { ctime: age.changed, ..directory(age.own, 0) }
            }
            What::Calendar | What::AddressBook => {
                let kind = collection_kind(node.what);
                view.collections(kind)?.get(node.row).ok_or_else(no_such)?;
                let newest =
                    view.shelf(kind, node.row)?.items.iter().map(|item| item.modified).max().unwrap_or(view.time);
                directory(newest, 0)
            }
            What::Email => {
                let record = self.record(&view, Kind::Email, node.row)?;
                let links = crate::archive::parse_ids(record.text("mailbox_ids").unwrap_or("[]")).len().max(1);
                let received = record.text("received_at").map_or(0, crate::archive::epoch);
                Stat { links: links as u32, ctime: view.ctime(record.first)?, ..file(self.size(node)?, received) }
            }
            What::Event | What::Card => {
                let kind = if node.what == What::Event { Kind::Calendar } else { Kind::AddressBook };
                let item = self.item(&view, kind, node.row)?;
                Stat { links: item.links, ..file(self.size(node)?, item.modified) }
            }
            What::Script => {
                let modified = view.scripts()?.get(node.row).ok_or_else(no_such)?.modified;
                file(self.size(node)?, modified)
            }
            What::ActiveScript => Stat { sort: Sort::Link, ..file(self.read_link(node)?.len() as u64, view.time) },
            What::FileNode => {
                let place = view.files()?.get(node.row).ok_or_else(no_such)?;
                let modified = place.data.modified;
                match &place.data.kind {
                    FileKind::Directory => directory(modified, self.subdirectories(&view, Some(node.row))?),
                    FileKind::Link(target) => Stat { sort: Sort::Link, ..file(target.len() as u64, modified) },
                    FileKind::File(_) | FileKind::LinkText(_) => file(self.size(node)?, modified),
                }
            }
            What::MailboxKeywords | What::FolderMark => {
                let age = view.age(node.row)?;
                Stat { ctime: age.changed, ..file(self.size(node)?, age.changed) }
            }
            What::Identities
            | What::CalendarName
            | What::CalendarColor
            | What::AddressBookName
            | What::MergedCalendar
            | What::MergedBook
            | What::Subscriptions => file(self.size(node)?, view.time),
        })
    }

    /// The child of a directory with this name.
    ///
    /// Errors: [`Fault::NotFound`], [`Fault::NotADirectory`].
    pub fn lookup(&self, parent: Node, name: &str) -> Result<Child> {
        let view = self.view(parent)?;
        let child = |what: What, row: Id, sort: Sort| Child {
            name: name.to_owned(),
            node: parent.beside(what, row),
            cookie: 0,
            stat: None,
            sort,
        };
        if let Some(fixed) = self.fixed(&view, parent)?.into_iter().find(|fixed| fixed.name == name) {
            return Ok(fixed);
        }
        let found = match parent.what {
            What::Root if parent.snapshot == 0 && name == ".snapshots" => {
                Some(child(What::Snapshots, 0, Sort::Directory))
            }
            What::Snapshots => self.snapshots.iter().find(|snapshot| snapshot.name == name).map(|snapshot| Child {
                node: Node::single(What::Root, snapshot.id),
                ..child(What::Root, 0, Sort::Directory)
            }),
            What::Mail if self.inbox(&view)?.is_some() => {
                let inbox = self.inbox(&view)?;
                let mut others = view.folders()?.all().filter(|place| Some(place.id) != inbox);
                others
                    .find(|place| dotted(&view, place.id).is_some_and(|dotted| dotted == name))
                    .map(|place| child(What::Mailbox, place.id, Sort::Directory))
            }
            What::Mail => view.folders()?.find(None, name).map(|place| child(What::Mailbox, place.id, Sort::Directory)),
            What::Mailbox if self.options.layout == Layout::Nested => view
                .folders()?
                .find(Some(parent.row), name)
                .map(|place| child(What::Mailbox, place.id, Sort::Directory)),
            What::Cur => self.find_message(&view, parent, name)?,
            What::Calendars => view
                .collections(Kind::Calendar)?
                .find(None, name)
                .map(|place| child(What::Calendar, place.id, Sort::Directory)),
            What::Contacts => view
                .collections(Kind::AddressBook)?
                .find(None, name)
                .map(|place| child(What::AddressBook, place.id, Sort::Directory)),
            What::Calendar => {
                view.shelf(Kind::Calendar, parent.row)?.find(name).map(|item| child(What::Event, item.id, Sort::File))
            }
            What::AddressBook => {
                view.shelf(Kind::AddressBook, parent.row)?.find(name).map(|item| child(What::Card, item.id, Sort::File))
            }
            What::MergedCalendars => name
                .strip_suffix(".ics")
                .and_then(|stem| view.collections(Kind::Calendar).ok()?.find(None, stem))
                .map(|place| child(What::MergedCalendar, place.id, Sort::File)),
            What::MergedContacts => name
                .strip_suffix(".vcf")
                .and_then(|stem| view.collections(Kind::AddressBook).ok()?.find(None, stem))
                .map(|place| child(What::MergedBook, place.id, Sort::File)),
            What::Sieve => view.scripts()?.find(name).map(|item| child(What::Script, item.id, Sort::File)),
            What::Files | What::FileNode => {
                let files = view.files()?;
                let parent_row = (parent.what == What::FileNode).then_some(parent.row);
                files.find(parent_row, name).map(|place| child(What::FileNode, place.id, sort_of(&place.data.kind)))
            }
            _ => None,
        };
        match found {
            Some(child) => Ok(child),
            None if self.is_directory(&view, parent)? => Err(no_such()),
            None => Err(Error::new(Fault::NotADirectory, "not a directory")),
        }
    }

    /// Lines of a directory behind the one with the cookie `after` (0: from the start), at most `limit` of them.
    /// Cookies grow; those of messages do not change when others come or go.
    pub fn children(&self, node: Node, after: u64, limit: usize) -> Result<Vec<Child>> {
        let view = self.view(node)?;
        let mut lines: Vec<Child> =
            self.fixed(&view, node)?.into_iter().filter(|line| line.cookie > after).take(limit).collect();
        let limit = limit - lines.len();
        let skip = after.saturating_sub(FIXED) as usize;
        let line = |at: usize, name: &str, what: What, row: Id, sort: Sort| Child {
            name: name.to_owned(),
            node: node.beside(what, row),
            cookie: FIXED + at as u64 + 1,
            stat: None,
            sort,
        };
        match node.what {
            What::Snapshots => {
                lines.extend(self.snapshots.iter().enumerate().skip(skip).take(limit).map(|(at, snapshot)| Child {
                    node: Node::single(What::Root, snapshot.id),
                    ..line(at, &snapshot.name, What::Root, 0, Sort::Directory)
                }))
            }
            What::Mail if self.inbox(&view)?.is_some() => {
                let inbox = self.inbox(&view)?;
                let mut others: Vec<Id> =
                    view.folders()?.all().map(|place| place.id).filter(|id| Some(*id) != inbox).collect();
                others.sort_unstable();
                for (at, id) in others.into_iter().enumerate().skip(skip).take(limit) {
                    if let Some(name) = dotted(&view, id) {
                        lines.push(line(at, &name, What::Mailbox, id, Sort::Directory));
                    }
                }
            }
            What::Mail | What::Mailbox if node.what == What::Mail || self.options.layout == Layout::Nested => {
                let folders = view.folders()?;
                let parent = (node.what == What::Mailbox).then_some(node.row);
                let places = folders.children(parent).iter().enumerate().skip(skip).take(limit);
                lines.extend(places.filter_map(|(at, id)| {
                    Some(line(at, &folders.get(*id)?.name, What::Mailbox, *id, Sort::Directory))
                }));
            }
            What::Cur => {
                let after = after.saturating_sub(FIXED) as Id;
                for listed in view.messages(node.row, after, limit)? {
                    lines.push(self.message_line(&view, node, &listed)?);
                }
            }
            What::Calendars | What::Contacts | What::MergedCalendars | What::MergedContacts => {
                let (kind, what, extension) = match node.what {
                    What::Calendars => (Kind::Calendar, What::Calendar, ""),
                    What::Contacts => (Kind::AddressBook, What::AddressBook, ""),
                    What::MergedCalendars => (Kind::Calendar, What::MergedCalendar, ".ics"),
                    _ => (Kind::AddressBook, What::MergedBook, ".vcf"),
                };
                let sort = if extension.is_empty() { Sort::Directory } else { Sort::File };
                let collections = view.collections(kind)?;
                let places = collections.children(None).iter().enumerate().skip(skip).take(limit);
                lines.extend(places.filter_map(|(at, id)| {
                    Some(line(at, &format!("{}{extension}", collections.get(*id)?.name), what, *id, sort))
                }));
            }
            What::Calendar | What::AddressBook => {
                let what = if node.what == What::Calendar { What::Event } else { What::Card };
                let shelf = view.shelf(collection_kind(node.what), node.row)?;
                lines.extend(
                    shelf
                        .items
                        .iter()
                        .enumerate()
                        .skip(skip)
                        .take(limit)
                        .map(|(at, item)| line(at, &item.name, what, item.id, Sort::File)),
                );
            }
            What::Sieve => {
                let scripts = &view.scripts()?.items;
                lines.extend(
                    scripts
                        .iter()
                        .enumerate()
                        .skip(skip)
                        .take(limit)
                        .map(|(at, item)| line(at, &item.name, What::Script, item.id, Sort::File)),
                );
            }
            What::Files | What::FileNode => {
                let files = view.files()?;
                let parent = (node.what == What::FileNode).then_some(node.row);
                let places = files.children(parent).iter().enumerate().skip(skip).take(limit);
                lines.extend(places.filter_map(|(at, id)| {
                    files.get(*id).map(|place| line(at, &place.name, What::FileNode, *id, sort_of(&place.data.kind)))
                }));
            }
            _ => {}
        }
        Ok(lines)
    }

    /// The lines that a directory always has.
    fn fixed(&self, view: &View, node: Node) -> Result<Vec<Child>> {
        let mut lines = Vec::new();
        let mut add = |name: &str, what: What, row: Id, sort: Sort| {
            let cookie = lines.len() as u64 + 1;
            lines.push(Child { name: name.to_owned(), node: node.beside(what, row), cookie, stat: None, sort });
        };
        match node.what {
            What::Root => {
                for (name, what) in [
                    ("mail", What::Mail),
                    ("calendars", What::Calendars),
                    ("contacts", What::Contacts),
                    ("sieve", What::Sieve),
                    ("files", What::Files),
                    ("merged", What::Merged),
                ] {
                    add(name, what, 0, Sort::Directory);
                }
                add("identities.json", What::Identities, 0, Sort::File);
                if node.snapshot == 0 && self.options.snapshots_visible {
                    add(".snapshots", What::Snapshots, 0, Sort::Directory);
                }
            }
            What::Merged => {
                add("calendars", What::MergedCalendars, 0, Sort::Directory);
                add("contacts", What::MergedContacts, 0, Sort::Directory);
            }
            What::Mailbox => {
                maildir_lines(view, node.row, &mut add)?;
                if self.options.layout == Layout::MaildirPlusPlus {
                    add("maildirfolder", What::FolderMark, node.row, Sort::File);
                }
            }
            What::Mail => {
                if let Some(inbox) = self.inbox(view)? {
                    maildir_lines(view, inbox, &mut add)?;
                    add("subscriptions", What::Subscriptions, 0, Sort::File);
                }
            }
            What::Calendar => {
                add("displayname", What::CalendarName, node.row, Sort::File);
                if view.collections(Kind::Calendar)?.get(node.row).is_some_and(|place| place.data.color.is_some()) {
                    add("color", What::CalendarColor, node.row, Sort::File);
                }
            }
            What::AddressBook => add("displayname", What::AddressBookName, node.row, Sort::File),
            What::Sieve if view.scripts()?.items.iter().any(|script| script.is_active) => {
                add("active", What::ActiveScript, 0, Sort::Link)
            }
            _ => {}
        }
        Ok(lines)
    }

    /// The mailbox that `mail/` itself is in the Maildir++ layout.
    fn inbox(&self, view: &View) -> Result<Option<Id>> {
        if self.options.layout == Layout::Nested {
            return Ok(None);
        }
        let folders = view.folders()?;
        let mut candidates: Vec<(bool, Id)> = folders
            .all()
            .filter(|place| {
                place.data.role.as_deref() == Some("inbox")
                    || (place.parent.is_none() && place.raw.eq_ignore_ascii_case("inbox"))
            })
            .map(|place| (place.data.role.as_deref() != Some("inbox"), place.id))
            .collect();
        candidates.sort_unstable();
        // Row 0 is no mailbox: an account without inbox shows an empty one.
        Ok(Some(candidates.first().map_or(Id::MAX, |(_, id)| *id))
            .map(|id| if id == Id::MAX { super::node::ROW_MAX } else { id }))
    }

    fn find_message(&self, view: &View, parent: Node, name: &str) -> Result<Option<Child>> {
        let Some(id) = name.split('.').nth(1).and_then(|id| id.parse::<Id>().ok()) else { return Ok(None) };
        let Some(listed) = view.message(parent.row, id)? else { return Ok(None) };
        let line = self.message_line(view, parent, &listed)?;
        Ok(Some(line).filter(|line| line.name == name))
    }

    pub(super) fn message_line(&self, view: &View, cur: Node, listed: &Listed) -> Result<Child> {
        let separator = self.options.info_separator;
        let ctime = view.ctime(listed.first)?;
        let stat = Stat { sort: Sort::File, size: listed.size, mtime: listed.received, ctime, links: listed.links };
        Ok(Child {
            // The head of the name is the date of arrival; Maildir knows none before 1970.
            name: format!(
                "{}.{}.vandelay,S={}{separator}2,{}",
                listed.received.max(0),
                listed.email,
                listed.size,
                listed.flags
            ),
            node: cur.beside(What::Email, listed.email),
            cookie: FIXED + listed.email as u64,
            stat: Some(stat),
            sort: Sort::File,
        })
    }

    /// An item by its row alone.
    pub(super) fn item(&self, view: &View, kind: Kind, row: Id) -> Result<Item> {
        for collection in view.collections(kind)?.children(None) {
            if let Some(item) = view.shelf(kind, *collection)?.get(row) {
                return Ok(item.clone());
            }
        }
        Err(no_such())
    }

    pub(super) fn record(&self, view: &View, kind: Kind, row: Id) -> Result<crate::archive::Record> {
        self.reader.record(kind, view.moment, row)?.ok_or_else(no_such)
    }

    /// The size of a file. What is too damaged to be read still shows, as empty.
    fn size(&self, node: Node) -> Result<u64> {
        match self.content(node) {
            Ok(content) => Ok(content.size()),
            Err(error) if error.kind == Fault::Damaged => Ok(0),
            Err(error) => Err(error),
        }
    }

    fn subdirectories(&self, view: &View, parent: Option<Id>) -> Result<usize> {
        let files = view.files()?;
        Ok(files
            .children(parent)
            .iter()
            .filter(|id| files.get(**id).is_some_and(|place| matches!(place.data.kind, FileKind::Directory)))
            .count())
    }

    fn is_directory(&self, view: &View, node: Node) -> Result<bool> {
        Ok(match node.what {
            What::FileNode => {
                view.files()?.get(node.row).is_some_and(|place| matches!(place.data.kind, FileKind::Directory))
            }
            What::Root
            | What::Mail
            | What::Calendars
            | What::Contacts
            | What::Sieve
            | What::Files
            | What::Merged
            | What::MergedCalendars
            | What::MergedContacts
            | What::Snapshots
            | What::Mailbox
            | What::Cur
            | What::New
            | What::Tmp
            | What::Calendar
            | What::AddressBook => true,
            _ => false,
        })
    }
}

fn maildir_lines(view: &View, mailbox: Id, add: &mut impl FnMut(&str, What, Id, Sort)) -> Result<()> {
    add("cur", What::Cur, mailbox, Sort::Directory);
    add("new", What::New, mailbox, Sort::Directory);
    add("tmp", What::Tmp, mailbox, Sort::Directory);
    if !view.keywords(mailbox)?.to_text().is_empty() {
        add("dovecot-keywords", What::MailboxKeywords, mailbox, Sort::File);
    }
    Ok(())
}

/// `.A.B` for a mailbox in the Maildir++ layout, as Dovecot spells it.
pub(super) fn dotted(view: &View, mailbox: Id) -> Option<String> {
    use crate::format::maildir::{Spelling, join_dotted};
    let folders = view.folders().ok()?;
    let path = folders.path(mailbox);
    let parts: Vec<&str> = path.iter().map(|place| place.name.as_str()).collect();
    let name = (!parts.is_empty()).then(|| join_dotted(parts, Spelling::ModifiedUtf7))?;
    // A path of many levels can be longer than a name may be.
    if name.len() <= super::name::NAME_MAX { Some(name) } else { Some(format!("{}~{mailbox}", &name[..200])) }
}

pub(super) fn collection_kind(what: What) -> Kind {
    if what == What::Calendar { Kind::Calendar } else { Kind::AddressBook }
}

fn sort_of(kind: &FileKind) -> Sort {
    match kind {
        FileKind::Directory => Sort::Directory,
        FileKind::Link(_) => Sort::Link,
        FileKind::File(_) | FileKind::LinkText(_) => Sort::File,
    }
}
