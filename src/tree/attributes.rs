//! What every node is: `stat`, and which view of the archive a node belongs to.

use super::collection::Item;
use super::entry::{DAMAGED_SIZE, Layout, Sort, Stat, no_such};
use super::node::{Node, What};
use super::opened::Tree;
use super::view::{FileKind, View};
use crate::error::{ErrorKind, Result};
use crate::model::{Id, ObjectType};
pub(crate) use crate::tree::versions::{CALENDARS, CONTACTS, collection_kind, find_item, version};

impl Tree {
    /// What a node is.
    pub fn stat(&self, node: Node) -> Result<Stat> {
        let view = self.view(node)?;
        let stat = self.stat_in(&view, node).map_err(|error| self.or_forgotten(node, error))?;
        if stat.size == DAMAGED_SIZE {
            // Its bytes may only have gone with the snapshot.
            self.reader.require(view.moment)?;
        }
        Ok(stat)
    }

    pub(super) fn stat_in(&self, view: &View, node: Node) -> Result<Stat> {
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
                let entries = self.options.views.entries();
                let directories = entries.filter(|(_, what)| *what != What::Identities).count();
                let snapshots = node.snapshot == 0 && self.options.snapshots_visible;
                directory(view.time, directories + usize::from(snapshots))
            }
            What::Mail => match self.inbox(view)? {
                Some(_) => directory(view.mail_time()?, 3 + view.folders()?.all().count().saturating_sub(1)),
                None => directory(view.mail_time()?, view.folders()?.children(None).len()),
            },
            What::Calendars | What::MergedCalendars => directory(
                view.version_time(&CALENDARS)?,
                if node.what == What::Calendars {
                    view.collections(ObjectType::Calendar)?.children(None).len()
                } else {
                    0
                },
            ),
            What::Contacts | What::MergedContacts => directory(
                view.version_time(&CONTACTS)?,
                if node.what == What::Contacts {
                    view.collections(ObjectType::AddressBook)?.children(None).len()
                } else {
                    0
                },
            ),
            What::Sieve => directory(view.version_time(&[ObjectType::SieveScript])?, 0),
            What::Merged => directory(view.version_time(&[CALENDARS, CONTACTS].concat())?, 2),
            What::Files => directory(view.version_time(&[ObjectType::FileNode])?, self.subdirectories(view, None)?),
            What::Snapshots => directory(view.time, self.now().snapshots.len()),
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
                let record = self.record(view, ObjectType::Email, node.row)?;
                let size = match self.reader.email_blob(node.row) {
                    Ok(blob) => blob.size,
                    Err(error) if error.kind == ErrorKind::Damaged => DAMAGED_SIZE,
                    Err(error) => return Err(error),
                };
                let links = crate::archive::parse_ids(record.text("mailbox_ids").unwrap_or("[]")).len().max(1);
                let received = record.text("received_at").map_or(0, crate::archive::epoch);
                Stat { links: links as u32, ctime: view.ctime(record.first)?, ..file(size, received) }
            }
            What::Event | What::Card => {
                let kind = if node.what == What::Event { ObjectType::Calendar } else { ObjectType::AddressBook };
                let item = self.item(view, kind, node.row)?;
                Stat { links: item.links, ctime: view.ctime(item.first)?, ..file(self.size(node)?, item.modified) }
            }
            What::Script => {
                let script = view.scripts()?.get(node.row).ok_or_else(no_such)?;
                Stat { ctime: view.ctime(script.first)?, ..file(self.size(node)?, script.modified) }
            }
            What::ActiveScript => {
                let time = view.version_time(&[ObjectType::SieveScript])?;
                Stat { sort: Sort::Link, ctime: time, ..file(self.read_link(node)?.len() as u64, time) }
            }
            What::FileNode => {
                let place = view.files()?.get(node.row).ok_or_else(no_such)?;
                let modified = place.data.modified;
                let ctime = view.ctime(place.data.first)?;
                match &place.data.kind {
                    FileKind::Directory => {
                        Stat { ctime, ..directory(modified, self.subdirectories(view, Some(node.row))?) }
                    }
                    FileKind::Link(target) => Stat { sort: Sort::Link, ctime, ..file(target.len() as u64, modified) },
                    FileKind::File(_) | FileKind::LinkText(_) => Stat { ctime, ..file(self.size(node)?, modified) },
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
            | What::Subscriptions => {
                let time = view.ctime(version(view, node.what, node.row)?)?;
                Stat { ctime: time, ..file(self.size(node)?, time) }
            }
            What::TextMail
            | What::TextMailbox
            | What::Text
            | What::AttachmentMail
            | What::AttachmentMailbox
            | What::AttachmentFolder
            | What::FormerFolder
            | What::Attachment
            | What::NoIndex => self.stat_decoded(view, node)?,
        })
    }

    /// An item by its row alone.
    pub(super) fn item(&self, view: &View, kind: ObjectType, row: Id) -> Result<Item> {
        find_item(view, kind, row)?.ok_or_else(no_such)
    }

    pub(super) fn record(&self, view: &View, kind: ObjectType, row: Id) -> Result<crate::archive::Record> {
        self.reader.record(kind, view.moment, row)?.ok_or_else(no_such)
    }

    /// The size of a file. What is too damaged to be read still shows.
    fn size(&self, node: Node) -> Result<u64> {
        match self.content(node) {
            Ok(content) => Ok(content.size()),
            Err(error) if error.kind == ErrorKind::Damaged => Ok(DAMAGED_SIZE),
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
}
