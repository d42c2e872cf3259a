//! The attributes of nodes: `stat`.

use super::kinds::Children;
use super::listing::{collections, items};
use super::node::Node;
use super::opened::Tree;
use super::rules::{Layout, Shown, Times};
use super::stat::{DAMAGED_SIZE, FileType, Stat, no_such};
use super::versions::{find_item, version};
use super::view::{FileKind, View};
use crate::archive::Record;
use crate::error::{ErrorKind, Result};
use crate::model::{Id, ObjectType};

impl Tree {
    /// The attributes of a node.
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
        let of = node.descriptor();
        let file_type = of.file_type.unwrap_or(FileType::File);
        let both = |time: i64| (time, time);
        let (mtime, ctime) = match of.times {
            Times::Object => return self.stat_object(view, node),
            Times::Message => return self.stat_part_of_message(node),
            Times::Moment => both(view.time),
            Times::LastQuery => both(view.time.max(self.searches.changed())),
            Times::Epoch => both(view.time.min(1)),
            Times::Mail => (view.mail_time()?, view.time),
            Times::DecodedMail => both(view.mail_time()?),
            Times::Mailbox => {
                view.mailboxes()?.get(node.row).ok_or_else(no_such)?;
                let times = view.mailbox_times(node.row)?;
                (times.deep, times.changed)
            }
            Times::MailboxMessages => {
                let times = view.mailbox_times(node.row)?;
                (times.own, times.changed)
            }
            Times::MailboxChange => both(view.mailbox_times(node.row)?.changed),
            Times::NewestItem => (self.newest_item(view, node)?, view.time),
            Times::Types if file_type == FileType::Directory => (view.version_time(of.types)?, view.time),
            Times::Types | Times::Collection => both(view.ctime(version(view, node.kind, node.row)?)?),
        };
        let (size, links) = match file_type {
            FileType::Directory => (0, self.directory_links(view, node)?),
            FileType::File => (self.size(node)?, 1),
            FileType::Link => (self.read_link(node)?.len() as u64, 1),
        };
        Ok(Stat { file_type, size, mtime, ctime, links })
    }

    /// The time of the newest item of a calendar or an address book.
    fn newest_item(&self, view: &View, collection: Node) -> Result<i64> {
        let Children::Items(item) = collection.descriptor().children else { return Err(no_such()) };
        collections(view, collection.kind)?.get(collection.row).ok_or_else(no_such)?;
        let items = items(view, item, collection.row)?;
        Ok(items.items.iter().map(|item| item.modified).max().unwrap_or(view.time))
    }

    /// Two, and one for each directory in it; 1 if they are not counted.
    fn directory_links(&self, view: &View, node: Node) -> Result<u32> {
        let directories = match node.descriptor().children {
            Children::None
            | Children::Messages
            | Children::Items(_)
            | Children::Merged { .. }
            | Children::Found
            | Children::Attachments => 0,
            // They come with each query.
            Children::Queries => return Ok(1),
            Children::Snapshots => self.state().snapshots.len(),
            Children::Mailboxes => match (self.options.layout, node.shown_row()) {
                (Layout::Nested, mailbox) => view.mailboxes()?.children(mailbox).len(),
                // All but the inbox.
                (Layout::MaildirPlusPlus, None) => view.mailboxes()?.all().count().saturating_sub(1),
                (Layout::MaildirPlusPlus, Some(_)) => 0,
            },
            Children::Collections(kind) => collections(view, kind)?.children(None).len(),
            Children::Files => subdirectories(view, node.shown_row())?,
            Children::Decoded { message, .. } => match node.shown_row() {
                // Counting the messages with attachments would decode them all.
                Some(_) if message.is_directory() => return Ok(1),
                mailbox => view.mailboxes()?.children(mailbox).len(),
            },
        };
        Ok((2 + self.count_fixed_directories(view, node)? + directories) as u32)
    }

    /// `stat` of a node that shows one object: size, links and times come from its row.
    fn stat_object(&self, view: &View, node: Node) -> Result<Stat> {
        match node.descriptor().object {
            Shown::Object(ObjectType::Email) => self.stat_email(view, node.row),
            Shown::Object(ObjectType::FileNode) => self.stat_file_node(view, node),
            Shown::Object(item) => {
                let item = find_item(view, item, node.row, |item| (item.links, item.first, item.modified))?;
                let (links, first, mtime) = item.ok_or_else(no_such)?;
                let ctime = view.ctime(first)?;
                Ok(Stat { file_type: FileType::File, size: self.size(node)?, mtime, ctime, links })
            }
            _ => Err(no_such()),
        }
    }

    fn stat_email(&self, view: &View, row: Id) -> Result<Stat> {
        let record = self.record(view, ObjectType::Email, row)?;
        let size = match self.reader.email_blob(row) {
            Ok(blob) => blob.size,
            Err(error) if error.kind == ErrorKind::Damaged => DAMAGED_SIZE,
            Err(error) => return Err(error),
        };
        let links = record.mailbox_ids().len().max(1) as u32;
        let (mtime, ctime) = (record.received(), view.ctime(record.first)?);
        Ok(Stat { file_type: FileType::File, size, mtime, ctime, links })
    }

    fn stat_file_node(&self, view: &View, node: Node) -> Result<Stat> {
        let file = view.files()?.get(node.row).ok_or_else(no_such)?;
        let (size, links) = match &file.data.kind {
            FileKind::Directory => (0, self.directory_links(view, node)?),
            FileKind::Link(target) => (target.len() as u64, 1),
            FileKind::File(_) | FileKind::LinkText(_) => (self.size(node)?, 1),
        };
        let (file_type, mtime) = (file.data.kind.file_type(), file.data.modified);
        Ok(Stat { file_type, size, mtime, ctime: view.ctime(file.data.first)?, links })
    }

    pub(super) fn record(&self, view: &View, object: ObjectType, row: Id) -> Result<Record> {
        self.reader.record(object, view.moment, row)?.ok_or_else(no_such)
    }

    /// The size of a file. One that is too damaged to be read still shows.
    fn size(&self, node: Node) -> Result<u64> {
        match self.content(node) {
            Ok(content) => Ok(content.size()),
            Err(error) if error.kind == ErrorKind::Damaged => Ok(DAMAGED_SIZE),
            Err(error) => Err(error),
        }
    }
}

/// The number of directories among the file nodes in a directory.
fn subdirectories(view: &View, parent: Option<Id>) -> Result<usize> {
    let files = view.files()?;
    let is_directory = |id: &&Id| files.get(**id).is_some_and(|file| matches!(file.data.kind, FileKind::Directory));
    Ok(files.children(parent).iter().filter(is_directory).count())
}
