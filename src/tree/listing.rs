//! What lies in a directory: `lookup` and `children`.
//!
//! Lines have cookies that grow with the rows they stand for, so a listing in progress goes on where it was whatever
//! comes or goes meanwhile.

use super::entry::{Child, DAMAGED_SIZE, Layout, Sort, Stat, no_such};
use super::hierarchy::Place;
use super::mailboxes::dotted;
use super::name;
use super::node::{Node, What};
use super::opened::Tree;
use super::versions::{collection_kind, version};
use super::view::{FileData, FileKind, View};
use crate::archive::Listed;
use crate::error::{Error, ErrorKind, Result};
use crate::model::{Id, ObjectType};
pub(crate) use crate::tree::cookies::{cookie, first_row, rest};

/// How long the name of a message is, for most.
const NAME_LENGTH: usize = 48;

impl Tree {
    /// The child of a directory with this name.
    ///
    /// Errors: [`ErrorKind::NotFound`], [`ErrorKind::NotADirectory`].
    pub fn lookup(&self, parent: Node, name: &str) -> Result<Child> {
        let view = self.view(parent)?;
        let plain = self.options.has_plain_names().then(|| name::of_plain(name));
        let name = plain.as_deref().unwrap_or(name);
        let found = match self.lookup_in(&view, parent, name) {
            // Some systems spell names in NFD when they ask for them.
            Err(error) if error.kind == ErrorKind::NotFound => match name::normal(name) {
                Some(normal) => self.lookup_in(&view, parent, &normal),
                None => Err(error),
            },
            found => found,
        };
        let child = found.map_err(|error| self.or_forgotten(parent, error))?;
        self.prove_sizes(&view, std::slice::from_ref(&child))?;
        Ok(child)
    }

    fn lookup_in(&self, view: &View, parent: Node, name: &str) -> Result<Child> {
        if let Some(fixed) = self.fixed(view, parent)?.into_iter().find(|fixed| fixed.name == name) {
            return Ok(fixed);
        }
        let child = |what: What, row: Id, first: i64, sort: Sort| line(parent, what, row, first, sort, name.to_owned());
        let directory = |what: What, row: Id| child(what, row, 0, Sort::Directory);
        let found = match parent.what {
            What::Root if parent.snapshot == 0 && name == ".snapshots" => Some(directory(What::Snapshots, 0)),
            What::Snapshots => {
                let now = self.now();
                now.snapshots.iter().find(|snapshot| snapshot.name == name).map(snapshot_line)
            }
            What::Mail if self.inbox(view)?.is_some() => {
                let inbox = self.inbox(view)?;
                let mut others = view.folders()?.all().filter(|place| Some(place.id) != inbox);
                others
                    .find(|place| dotted(view, place.id).is_some_and(|dotted| dotted == name))
                    .map(|place| directory(What::Mailbox, place.id))
            }
            What::Mail => view.folders()?.find(None, name).map(|place| directory(What::Mailbox, place.id)),
            What::Mailbox if self.options.layout == Layout::Nested => {
                view.folders()?.find(Some(parent.row), name).map(|place| directory(What::Mailbox, place.id))
            }
            What::Cur => self.find_message(view, parent, name)?,
            What::Calendars => view
                .collections(ObjectType::Calendar)?
                .find(None, name)
                .map(|place| directory(What::Calendar, place.id)),
            What::Contacts => view
                .collections(ObjectType::AddressBook)?
                .find(None, name)
                .map(|place| directory(What::AddressBook, place.id)),
            What::Calendar | What::AddressBook => {
                let what = if parent.what == What::Calendar { What::Event } else { What::Card };
                let shelf = view.shelf(collection_kind(parent.what), parent.row)?;
                shelf.find(name).map(|item| child(what, item.id, item.first, Sort::File))
            }
            What::MergedCalendars => {
                let all = view.collections(ObjectType::Calendar)?;
                let place = name.strip_suffix(".ics").and_then(|stem| all.find(None, stem));
                place.map(|place| self.made(view, parent, What::MergedCalendar, place.id, name)).transpose()?
            }
            What::MergedContacts => {
                let all = view.collections(ObjectType::AddressBook)?;
                let place = name.strip_suffix(".vcf").and_then(|stem| all.find(None, stem));
                place.map(|place| self.made(view, parent, What::MergedBook, place.id, name)).transpose()?
            }
            What::Sieve => view.scripts()?.find(name).map(|item| child(What::Script, item.id, item.first, Sort::File)),
            What::Files | What::FileNode => {
                let parent_row = (parent.what == What::FileNode).then_some(parent.row);
                view.files()?.find(parent_row, name).map(|place| file_line(parent, place))
            }
            What::TextMail
            | What::TextMailbox
            | What::AttachmentMail
            | What::AttachmentMailbox
            | What::AttachmentFolder
            | What::FormerFolder => self.lookup_decoded(view, parent, name)?,
            _ => None,
        };
        match found {
            Some(child) => Ok(child),
            None if self.is_directory(view, parent)? => Err(no_such()),
            None => Err(Error::new(ErrorKind::NotADirectory, "not a directory")),
        }
    }

    /// Lines of a directory behind the one with the cookie `after` (0: from the start), at most `limit` of them.
    pub fn children(&self, node: Node, after: u64, limit: usize) -> Result<Vec<Child>> {
        let view = self.view(node)?;
        let mut lines = self.children_in(&view, node, after, limit).map_err(|error| self.or_forgotten(node, error))?;
        self.prove_sizes(&view, &lines)?;
        if self.options.has_plain_names() {
            lines
                .iter_mut()
                .filter(|line| !line.node.is_message())
                .for_each(|line| line.name = name::plain(&line.name));
        }
        Ok(lines)
    }

    /// Errors if bytes look damaged and are not: they went with the snapshot while its lines were made.
    fn prove_sizes(&self, view: &View, lines: &[Child]) -> Result<()> {
        let is_odd = |line: &Child| line.stat.is_some_and(|stat| stat.size == DAMAGED_SIZE);
        if lines.iter().any(is_odd) { self.reader.require(view.moment) } else { Ok(()) }
    }

    pub(super) fn children_in(&self, view: &View, node: Node, after: u64, limit: usize) -> Result<Vec<Child>> {
        let mut lines: Vec<Child> =
            self.fixed(view, node)?.into_iter().filter(|line| line.cookie > after).take(limit).collect();
        let limit = limit - lines.len();
        let from = first_row(after);
        match node.what {
            What::Snapshots => {
                let now = self.now();
                let at = now.snapshots.partition_point(|snapshot| snapshot.id < from);
                lines.extend(now.snapshots[at..].iter().take(limit).map(snapshot_line));
            }
            What::Mail if self.inbox(view)?.is_some() => {
                let inbox = self.inbox(view)?;
                let mut others: Vec<Id> = view
                    .folders()?
                    .all()
                    .map(|place| place.id)
                    .filter(|id| Some(*id) != inbox && *id >= from)
                    .collect();
                others.sort_unstable();
                let named = others.into_iter().filter_map(|id| Some((id, dotted(view, id)?)));
                lines.extend(
                    named.take(limit).map(|(id, name)| line(node, What::Mailbox, id, 0, Sort::Directory, name)),
                );
            }
            What::Mail | What::Mailbox if node.what == What::Mail || self.options.layout == Layout::Nested => {
                let folders = view.folders()?;
                let parent = (node.what == What::Mailbox).then_some(node.row);
                let places = rest(folders.children(parent), from, limit).filter_map(|id| folders.get(*id));
                lines.extend(
                    places.map(|place| line(node, What::Mailbox, place.id, 0, Sort::Directory, place.name.clone())),
                );
            }
            What::Cur => {
                for listed in view.messages(node.row, from - 1, limit)? {
                    lines.push(self.message_line(view, node, &listed)?);
                }
            }
            What::Calendars | What::Contacts => {
                let (kind, what) = match node.what {
                    What::Calendars => (ObjectType::Calendar, What::Calendar),
                    _ => (ObjectType::AddressBook, What::AddressBook),
                };
                let collections = view.collections(kind)?;
                let places = rest(collections.children(None), from, limit).filter_map(|id| collections.get(*id));
                lines.extend(places.map(|place| line(node, what, place.id, 0, Sort::Directory, place.name.clone())));
            }
            What::MergedCalendars | What::MergedContacts => {
                let (kind, what, extension) = match node.what {
                    What::MergedCalendars => (ObjectType::Calendar, What::MergedCalendar, ".ics"),
                    _ => (ObjectType::AddressBook, What::MergedBook, ".vcf"),
                };
                let collections = view.collections(kind)?;
                for place in rest(collections.children(None), from, limit).filter_map(|id| collections.get(*id)) {
                    lines.push(self.made(view, node, what, place.id, &format!("{}{extension}", place.name))?);
                }
            }
            What::Calendar | What::AddressBook => {
                let what = if node.what == What::Calendar { What::Event } else { What::Card };
                let shelf = view.shelf(collection_kind(node.what), node.row)?;
                lines.extend(
                    shelf
                        .from(from)
                        .take(limit)
                        .map(|item| line(node, what, item.id, item.first, Sort::File, item.name.clone())),
                );
            }
            What::Sieve => lines.extend(
                view.scripts()?
                    .from(from)
                    .take(limit)
                    .map(|item| line(node, What::Script, item.id, item.first, Sort::File, item.name.clone())),
            ),
            What::Files | What::FileNode => {
                let files = view.files()?;
                let parent = (node.what == What::FileNode).then_some(node.row);
                let places = rest(files.children(parent), from, limit).filter_map(|id| files.get(*id));
                lines.extend(places.map(|place| file_line(node, place)));
            }
            What::TextMail
            | What::TextMailbox
            | What::AttachmentMail
            | What::AttachmentMailbox
            | What::AttachmentFolder
            | What::FormerFolder => self.decoded_lines(view, node, after, limit, &mut lines)?,
            _ => {}
        }
        Ok(lines)
    }

    /// A line for a file that is made of many things, in its present state.
    fn made(&self, view: &View, parent: Node, what: What, row: Id, name: &str) -> Result<Child> {
        Ok(line(parent, what, row, version(view, what, row)?, Sort::File, name.to_owned()))
    }

    /// The lines that a directory always has.
    fn fixed(&self, view: &View, node: Node) -> Result<Vec<Child>> {
        let mut lines = Vec::new();
        let mut add = |name: &str, what: What, row: Id, sort: Sort| -> Result<()> {
            let cookie = lines.len() as u64 + 1;
            let child = line(node, what, row, version(view, what, row)?, sort, name.to_owned());
            lines.push(Child { cookie, ..child });
            Ok(())
        };
        match node.what {
            What::Root => {
                for (name, what) in self.options.views.entries() {
                    add(name, what, 0, if what == What::Identities { Sort::File } else { Sort::Directory })?;
                }
                if node.snapshot == 0 && self.options.snapshots_visible {
                    add(".snapshots", What::Snapshots, 0, Sort::Directory)?;
                }
            }
            What::TextMail => add(".noindex", What::NoIndex, 0, Sort::File)?,
            // Another file.
            What::AttachmentMail => add(".noindex", What::NoIndex, 1, Sort::File)?,
            What::Merged => {
                add("calendars", What::MergedCalendars, 0, Sort::Directory)?;
                add("contacts", What::MergedContacts, 0, Sort::Directory)?;
            }
            What::Mailbox => {
                maildir_lines(view, node.row, &mut add)?;
                if self.options.layout == Layout::MaildirPlusPlus {
                    add("maildirfolder", What::FolderMark, node.row, Sort::File)?;
                }
            }
            What::Mail => {
                if let Some(inbox) = self.inbox(view)? {
                    maildir_lines(view, inbox, &mut add)?;
                    add("subscriptions", What::Subscriptions, 0, Sort::File)?;
                }
            }
            What::Calendar => {
                add("displayname", What::CalendarName, node.row, Sort::File)?;
                if view.collections(ObjectType::Calendar)?.get(node.row).is_some_and(|place| place.data.color.is_some())
                {
                    add("color", What::CalendarColor, node.row, Sort::File)?;
                }
            }
            What::AddressBook => add("displayname", What::AddressBookName, node.row, Sort::File)?,
            What::Sieve if view.scripts()?.items.iter().any(|script| script.is_active) => {
                add("active", What::ActiveScript, 0, Sort::Link)?
            }
            _ => {}
        }
        Ok(lines)
    }

    /// The mailbox that `mail/` itself is in the Maildir++ layout.
    pub(super) fn inbox(&self, view: &View) -> Result<Option<Id>> {
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
        let ctime = view.ctime(listed.first)?;
        let stat = Stat { sort: Sort::File, size: listed.size, mtime: listed.received, ctime, links: listed.links };
        // A listing of a large mailbox is mostly this, and the machinery of formatting takes three times as long.
        let mut name = String::with_capacity(NAME_LENGTH);
        let mut digits = itoa::Buffer::new();
        // The head of the name is the date of arrival; Maildir knows none before 1970.
        name.push_str(digits.format(listed.received.max(0)));
        name.push('.');
        name.push_str(digits.format(listed.email));
        name.push_str(".vandelay,S=");
        name.push_str(digits.format(listed.size));
        name.push(self.options.info_separator);
        name.push_str("2,");
        name.push_str(&listed.flags);
        Ok(Child {
            name,
            node: cur.beside(What::Email, listed.email),
            cookie: cookie(listed.email),
            stat: Some(stat),
            sort: Sort::File,
        })
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
            | What::AddressBook
            | What::TextMail
            | What::TextMailbox
            | What::AttachmentMail
            | What::AttachmentMailbox
            | What::AttachmentFolder
            | What::FormerFolder => true,
            _ => false,
        })
    }
}

/// A line whose file is looked at when somebody asks.
pub(super) fn line(parent: Node, what: What, row: Id, first: i64, sort: Sort, name: String) -> Child {
    Child { name, node: parent.holding(what, row, first), cookie: cookie(row), stat: None, sort }
}

fn snapshot_line(snapshot: &crate::archive::Named) -> Child {
    Child {
        name: snapshot.name.clone(),
        node: Node::single(What::Root, snapshot.id),
        cookie: cookie(snapshot.id),
        stat: None,
        sort: Sort::Directory,
    }
}

fn file_line(parent: Node, place: &Place<FileData>) -> Child {
    let sort = sort_of(&place.data.kind);
    // A directory is the same one whatever becomes of it.
    let first = if sort == Sort::Directory { 0 } else { place.data.first };
    line(parent, What::FileNode, place.id, first, sort, place.name.clone())
}

fn maildir_lines(view: &View, mailbox: Id, add: &mut impl FnMut(&str, What, Id, Sort) -> Result<()>) -> Result<()> {
    add("cur", What::Cur, mailbox, Sort::Directory)?;
    add("new", What::New, mailbox, Sort::Directory)?;
    add("tmp", What::Tmp, mailbox, Sort::Directory)?;
    if !view.keywords(mailbox)?.to_text().is_empty() {
        add("dovecot-keywords", What::MailboxKeywords, mailbox, Sort::File)?;
    }
    Ok(())
}

fn sort_of(kind: &FileKind) -> Sort {
    match kind {
        FileKind::Directory => Sort::Directory,
        FileKind::Link(_) => Sort::Link,
        FileKind::File(_) | FileKind::LinkText(_) => Sort::File,
    }
}
