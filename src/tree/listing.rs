//! The children of directories: `lookup` and `children`.
//!
//! Entries have cookies that grow with the rows they stand for, so a listing in progress goes on where it was whatever
//! comes or goes meanwhile.

use super::child::Child;
use super::collection::CollectionItems;
use super::cookies::{cookie, first_row, rest};
use super::hierarchy::{Hierarchy, HierarchyRow};
use super::kinds::{Children, NodeKind};
use super::mailboxes::dotted;
use super::name;
use super::node::Node;
use super::opened::Tree;
use super::rules::Layout;
use super::stat::{DAMAGED_SIZE, FileType, Stat, no_such};
use super::versions::version;
use super::view::{CollectionData, FileData, FileKind, View};
use crate::archive::{ListedEmail, NamedSnapshot};
use crate::error::{Error, ErrorKind, Result};
use crate::model::Id;
use std::sync::Arc;

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
        if let Some(fixed) = self.find_fixed(view, parent, name)? {
            return Ok(fixed);
        }
        let owned = || name.to_owned();
        let found = match parent.descriptor().children {
            Children::None => None,
            Children::Snapshots => self.state().snapshots.iter().find(|one| one.name == name).map(snapshot_child),
            Children::Mailboxes => {
                let row = self.find_mailbox(view, parent, name)?;
                row.map(|row| child(parent, NodeKind::Mailbox, row, 0, owned()))
            }
            Children::Messages => self.find_message(view, parent, name)?,
            Children::Collections(kind) => {
                collections(view, kind)?.find(None, name).map(|one| child(parent, kind, one.id, 0, owned()))
            }
            Children::Items(kind) => {
                let items = items(view, kind, parent.row)?;
                items.find(name).map(|item| child(parent, kind, item.id, item.first, owned()))
            }
            Children::Merged { file, extension } => {
                let all = collections(view, file)?;
                let one = name.strip_suffix(extension).and_then(|stem| all.find(None, stem));
                one.map(|one| merged_child(view, parent, file, one.id, owned())).transpose()?
            }
            Children::Files => view.files()?.find(parent.shown_row(), name).map(|file| file_child(parent, file)),
            Children::Decoded { .. } => self.find_decoded(view, parent, name)?,
            Children::Attachments => self.attachment_children(parent)?.into_iter().find(|one| one.name == name),
            Children::Queries => self.find_query(parent, name)?,
            Children::Found => self.find_found(parent, name)?,
        };
        match found {
            Some(child) => Ok(child),
            None if self.is_directory(view, parent)? => Err(no_such()),
            None => Err(Error::new(ErrorKind::NotADirectory, "not a directory")),
        }
    }

    /// Entries of a directory behind the one with the cookie `after` (0: from the start), at most `limit` of them.
    pub fn children(&self, node: Node, after: u64, limit: usize) -> Result<Vec<Child>> {
        let view = self.view(node)?;
        let mut children =
            self.children_in(&view, node, after, limit).map_err(|error| self.or_forgotten(node, error))?;
        self.prove_sizes(&view, &children)?;
        if self.options.has_plain_names() {
            children
                .iter_mut()
                .filter(|child| !child.node.is_message())
                .for_each(|child| child.name = name::plain(&child.name));
        }
        Ok(children)
    }

    /// Errors if bytes look damaged and are not: they went with the snapshot while the entries were made.
    fn prove_sizes(&self, view: &View, children: &[Child]) -> Result<()> {
        let is_odd = |child: &Child| child.stat.is_some_and(|stat| stat.size == DAMAGED_SIZE);
        if children.iter().any(is_odd) { self.reader.require(view.moment) } else { Ok(()) }
    }

    pub(super) fn children_in(&self, view: &View, node: Node, after: u64, limit: usize) -> Result<Vec<Child>> {
        let mut found = self.list_fixed(view, node, after)?;
        found.truncate(limit);
        let limit = limit - found.len();
        let from = first_row(after);
        match node.descriptor().children {
            Children::None => {}
            Children::Snapshots => {
                let state = self.state();
                let at = state.snapshots.partition_point(|snapshot| snapshot.id < from);
                found.extend(state.snapshots[at..].iter().take(limit).map(snapshot_child));
            }
            Children::Mailboxes => self.list_mailboxes(view, node, from, limit, &mut found)?,
            Children::Messages => {
                for listed in view.messages(node.row, from - 1, limit)? {
                    found.push(self.message_child(view, node, &listed)?);
                }
            }
            Children::Collections(kind) => {
                let rows = rows(collections(view, kind)?, None, from, limit);
                found.extend(rows.map(|one| child(node, kind, one.id, 0, one.name.clone())));
            }
            Children::Items(kind) => {
                let items = items(view, kind, node.row)?;
                let items = items.from(from).take(limit);
                found.extend(items.map(|item| child(node, kind, item.id, item.first, item.name.clone())));
            }
            Children::Merged { file, extension } => {
                for one in rows(collections(view, file)?, None, from, limit) {
                    found.push(merged_child(view, node, file, one.id, format!("{}{extension}", one.name))?);
                }
            }
            Children::Files => {
                let files = rows(view.files()?, node.shown_row(), from, limit);
                found.extend(files.map(|file| file_child(node, file)));
            }
            Children::Decoded { .. } => self.list_decoded(view, node, after, limit, &mut found)?,
            Children::Attachments => {
                let attachments = self.attachment_children(node)?.into_iter();
                found.extend(attachments.filter(|one| one.cookie > after).take(limit));
            }
            Children::Queries => found.extend(self.list_queries(node, after, limit)),
            Children::Found => found.extend(self.list_found(node, after, limit)?),
        }
        Ok(found)
    }

    fn is_directory(&self, view: &View, node: Node) -> Result<bool> {
        Ok(match node.descriptor().file_type {
            Some(file_type) => file_type == FileType::Directory,
            None => view.files()?.get(node.row).is_some_and(|file| matches!(file.data.kind, FileKind::Directory)),
        })
    }

    // --- mailboxes and messages ----------------------------------------------------------------------------------

    fn find_mailbox(&self, view: &View, parent: Node, name: &str) -> Result<Option<Id>> {
        let mailboxes = view.mailboxes()?;
        match (self.options.layout, parent.shown_row()) {
            (Layout::Nested, mailbox) => Ok(mailboxes.find(mailbox, name).map(|one| one.id)),
            (Layout::MaildirPlusPlus, None) => {
                let inbox = view.inbox()?;
                let mut others = mailboxes.all().map(|one| one.id).filter(|row| *row != inbox);
                Ok(others.find(|row| dotted(view, *row).is_some_and(|dotted| dotted == name)))
            }
            (Layout::MaildirPlusPlus, Some(_)) => Ok(None),
        }
    }

    fn list_mailboxes(&self, view: &View, parent: Node, from: Id, limit: usize, found: &mut Vec<Child>) -> Result<()> {
        let mailboxes = view.mailboxes()?;
        let directory = |row: Id, name: String| child(parent, NodeKind::Mailbox, row, 0, name);
        match (self.options.layout, parent.shown_row()) {
            (Layout::Nested, mailbox) => {
                let rows = rows(mailboxes, mailbox, from, limit);
                found.extend(rows.map(|one| directory(one.id, one.name.clone())));
            }
            (Layout::MaildirPlusPlus, None) => {
                let inbox = view.inbox()?;
                let mut others: Vec<Id> =
                    mailboxes.all().map(|one| one.id).filter(|row| *row != inbox && *row >= from).collect();
                others.sort_unstable();
                let named = others.into_iter().filter_map(|row| Some((row, dotted(view, row)?)));
                found.extend(named.take(limit).map(|(row, name)| directory(row, name)));
            }
            (Layout::MaildirPlusPlus, Some(_)) => {}
        }
        Ok(())
    }

    fn find_message(&self, view: &View, parent: Node, name: &str) -> Result<Option<Child>> {
        let Some(id) = name.split('.').nth(1).and_then(|id| id.parse::<Id>().ok()) else { return Ok(None) };
        let Some(listed) = view.message(parent.row, id)? else { return Ok(None) };
        let child = self.message_child(view, parent, &listed)?;
        // What stands before the flags is a name, too: one that lasts (LAYOUT.md, "mail").
        Ok(Some(child).filter(|child| child.name == name || lasting_name(&listed) == name))
    }

    pub(super) fn message_child(&self, view: &View, cur: Node, listed: &ListedEmail) -> Result<Child> {
        let ctime = view.ctime(listed.first)?;
        let file_type = FileType::File;
        let stat = Stat { file_type, size: listed.size, mtime: listed.received, ctime, links: listed.links };
        let mut name = lasting_name(listed);
        name.push(self.options.info_separator);
        name.push_str("2,");
        name.push_str(&listed.flags);
        let node = cur.beside(NodeKind::Email, listed.email);
        Ok(Child { name, node, cookie: cookie(listed.email), stat: Some(stat), file_type })
    }
}

/// The name of a message without its flags: the same at every snapshot.
pub(super) fn lasting_name(listed: &ListedEmail) -> String {
    // A listing of a large mailbox is mostly this, and the machinery of formatting takes three times as long.
    let mut name = String::with_capacity(NAME_LENGTH);
    let mut digits = itoa::Buffer::new();
    // The name begins with the date of arrival; Maildir has none before 1970.
    name.push_str(digits.format(listed.received.max(0)));
    name.push('.');
    name.push_str(digits.format(listed.email));
    name.push_str(".vandelay,S=");
    name.push_str(digits.format(listed.size));
    name
}

/// An entry whose `stat` is not known yet.
fn child(parent: Node, kind: NodeKind, row: Id, first: i64, name: String) -> Child {
    let file_type = kind.descriptor().file_type.unwrap_or(FileType::File);
    Child { name, node: parent.holding(kind, row, first), cookie: cookie(row), stat: None, file_type }
}

/// An entry for a collection as one file, in its present state.
fn merged_child(view: &View, parent: Node, kind: NodeKind, row: Id, name: String) -> Result<Child> {
    Ok(child(parent, kind, row, version(view, kind, row)?, name))
}

fn snapshot_child(snapshot: &NamedSnapshot) -> Child {
    Child {
        name: snapshot.name.clone(),
        node: Node::single(NodeKind::Root, snapshot.id),
        cookie: cookie(snapshot.id),
        stat: None,
        file_type: FileType::Directory,
    }
}

fn file_child(parent: Node, file: &HierarchyRow<FileData>) -> Child {
    let file_type = file.data.kind.file_type();
    // A directory is the same one whatever becomes of it.
    let first = if file_type == FileType::Directory { 0 } else { file.data.first };
    Child { file_type, ..child(parent, NodeKind::FileNode, file.id, first, file.name.clone()) }
}

/// The calendars or address books that nodes of a kind show.
pub(super) fn collections(view: &View, kind: NodeKind) -> Result<&Hierarchy<CollectionData>> {
    view.collections(kind.object_type().ok_or_else(no_such)?)
}

/// The items of a collection that nodes of a kind show.
pub(super) fn items(view: &View, kind: NodeKind, collection: Id) -> Result<Arc<CollectionItems>> {
    view.items(kind.object_type().ok_or_else(no_such)?, collection)
}

/// Rows in a directory, from `from` on.
fn rows<T>(
    hierarchy: &Hierarchy<T>,
    parent: Option<Id>,
    from: Id,
    limit: usize,
) -> impl Iterator<Item = &HierarchyRow<T>> {
    rest(hierarchy.children(parent), from, limit).filter_map(|row| hierarchy.get(*row))
}
