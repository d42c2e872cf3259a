//! `text/` and `attachments/`: messages decoded, as files.
//!
//! The archive stores none of it. The name of a message is made of its date and subject, so a lookup compares it with
//! the messages of that minute only. Sizes are exact, so the first `stat` of a file decodes the message; the size is then
//! remembered as a number, and the bytes until they are read.

use super::cache::{Bytes, ContentKey};
use super::child::Child;
use super::cookies::{FIXED, cookie, first_row, rest};
use super::kinds::{Children, NodeKind};
use super::mail::Arrival;
use super::name;
use super::node::{Node, SNAPSHOT_MAX};
use super::opened::Tree;
use super::rules::ByteSource;
use super::stat::{DAMAGED_SIZE, FileType, Stat, no_such};
use super::view::View;
use crate::archive::{EmailBytes, ListedEmail, rfc3339};
use crate::error::{Error, ErrorKind, Result};
use crate::format::text;
use crate::format::text::limits::Attachment;
use crate::model::{Id, ObjectType};
use std::sync::Arc;

/// Added to the cookies of messages: they are listed behind the directories of a mailbox.
const MESSAGES: u64 = 1 << 40;

/// How many bytes of a message are read for its subject.
const HEAD: u64 = 16 << 10;

/// Messages beyond this size are not decoded; their bytes are in `mail/`.
const DECODE_MAX: u64 = 64 << 20;

/// Ends the names in `text/`.
pub(super) const TEXT_EXTENSION: &str = ".txt";

/// If more messages came in one minute, all of them have their row in their name, so that no name has to be compared with
/// all others.
const COMPARED_MAX: usize = 64;

impl Tree {
    /// `stat` of a file or a folder that is made of a message.
    pub(super) fn stat_part_of_message(&self, node: Node) -> Result<Stat> {
        let row = node.object();
        let received = self.reader.arrival(row)?.ok_or_else(no_such)?;
        let stat = |file_type: FileType, size: u64, links: u32| {
            Ok(Stat { file_type, size, mtime: received, ctime: received, links })
        };
        match node.descriptor().bytes {
            ByteSource::Text => {
                let head = self.text_head(node)?;
                stat(FileType::File, with_head(self.text_size(row)?, &head), self.links(row)?)
            }
            ByteSource::Attachment => {
                let attached = self.attached(row)?;
                let part = attached.iter().find(|one| i64::from(one.part) == node.snapshot).ok_or_else(no_such)?;
                stat(FileType::File, part.size, self.links(row)?)
            }
            _ => stat(FileType::Directory, 0, 2),
        }
    }

    /// In how many mailboxes the files of a message lie: at the root's moment, or when it was there last. Below
    /// `.snapshots` they are the same files.
    pub(super) fn links(&self, row: Id) -> Result<u32> {
        let root = Arc::clone(&self.state().root);
        match root.reader.record(ObjectType::Email, root.moment, row)? {
            Some(record) => Ok(record.mailbox_ids().len().max(1) as u32),
            None => self.reader.mailboxes_of(row),
        }
    }

    /// The mailbox or the message with this name.
    pub(super) fn find_decoded(&self, view: &View, parent: Node, name: &str) -> Result<Option<Child>> {
        let mailbox = parent.shown_row();
        if let Some(inner) = view.mailboxes()?.find(mailbox, name) {
            return Ok(mailbox_child(parent, inner.id, name));
        }
        let Some(mailbox) = mailbox else { return Ok(None) };
        let stem = if is_text(parent) { name.strip_suffix(TEXT_EXTENSION) } else { Some(name) };
        let Some(stem) = stem.filter(|stem| minute_of(stem).is_some()) else { return Ok(None) };
        let arrivals = view.arrivals(mailbox)?;
        for arrival in called_so(&arrivals, stem) {
            let Some(listed) = view.message(mailbox, arrival.email)? else { continue };
            if self.message_name(view, parent, mailbox, arrival)? == name {
                let is_shown = self.shows(parent, &listed)?;
                return if is_shown { self.decoded_child(view, parent, name.to_owned(), &listed) } else { Ok(None) };
            }
        }
        Ok(None)
    }

    /// Entries behind the cookie `after`: mailboxes first, then messages.
    pub(super) fn list_decoded(
        &self,
        view: &View,
        node: Node,
        after: u64,
        limit: usize,
        found: &mut Vec<Child>,
    ) -> Result<()> {
        let end = found.len() + limit;
        if after < MESSAGES {
            found.extend(mailbox_children(view, node, first_row(after), limit)?);
        }
        let Some(mailbox) = node.shown_row() else { return Ok(()) };
        let mut from = first_row(after.saturating_sub(MESSAGES));
        while found.len() < end {
            let page = view.messages(mailbox, from - 1, limit)?;
            let Some(last) = page.last() else { break };
            from = last.email + 1;
            for listed in page {
                if found.len() == end {
                    break;
                }
                if self.shows(node, &listed)? {
                    let name = self.message_name(view, node, mailbox, Arrival::of(&listed))?;
                    found.extend(self.decoded_child(view, node, name, &listed)?);
                }
            }
        }
        Ok(())
    }

    /// True for messages that a directory shows: `attachments/` shows only messages with attachments.
    fn shows(&self, parent: Node, listed: &ListedEmail) -> Result<bool> {
        Ok(is_text(parent) || self.count(listed.email, listed.size)? > 0)
    }

    /// The entry of a message; `None` where its folder of attachments has no number.
    fn decoded_child(&self, view: &View, parent: Node, name: String, listed: &ListedEmail) -> Result<Option<Child>> {
        let row = listed.email;
        let (mtime, ctime) = (listed.received, listed.received);
        if is_text(parent) {
            let links = if parent.snapshot == 0 { listed.links } else { self.links(row)? };
            let child = self.text_child(self.text_node(view, parent, listed)?, name, listed, links)?;
            return Ok(Some(Child { cookie: MESSAGES + cookie(row), ..child }));
        }
        let Some(node) = self.folder(view, parent, listed)? else { return Ok(None) };
        let file_type = FileType::Directory;
        let stat = Some(Stat { file_type, size: 0, mtime, ctime, links: 2 });
        Ok(Some(Child { name, node, cookie: MESSAGES + cookie(row), stat, file_type }))
    }

    /// The entry of a text.
    pub(super) fn text_child(&self, node: Node, name: String, listed: &ListedEmail, links: u32) -> Result<Child> {
        let known = u32::try_from(node.row).ok().and_then(|row| self.decoded.sizes.lock().get(&row).copied());
        let file_type = FileType::File;
        let stat = match known {
            Some(size) => {
                let size = with_head(u64::from(size), &self.text_head_of(node, listed)?);
                Some(Stat { file_type, size, mtime: listed.received, ctime: listed.received, links })
            }
            None => None,
        };
        Ok(Child { name, node, cookie: cookie(node.row), stat, file_type })
    }

    /// The folder of a message's attachments in a mailbox of `attachments/`.
    fn folder(&self, view: &View, mailbox: Node, listed: &ListedEmail) -> Result<Option<Node>> {
        let row = listed.email;
        if mailbox.snapshot == 0 {
            return Ok(Some(Node { kind: NodeKind::AttachmentFolder, snapshot: mailbox.row, row }));
        }
        let mut nth = 0;
        if listed.links > 1 {
            let record = self.record(view, ObjectType::Email, row)?;
            nth = record.mailbox_ids().iter().position(|id| *id == mailbox.row).unwrap_or(0);
        }
        Ok(Node::snapshot_attachment_folder(mailbox.snapshot, nth, row))
    }

    /// `2026-03-01 1204 Subject`, with `.txt` in `text/`, and with the row behind it where another message has that name.
    pub(super) fn message_name(&self, view: &View, parent: Node, mailbox: Id, arrival: Arrival) -> Result<String> {
        let extension = if is_text(parent) { TEXT_EXTENSION } else { "" };
        let arrivals = view.arrivals(mailbox)?;
        self.name_among(&arrivals, arrival, extension, |name| Ok(view.mailboxes()?.find(Some(mailbox), name).is_some()))
    }

    /// The name of a message in a directory of messages that arrived so; `is_taken` says whether something else there has
    /// a name.
    pub(super) fn name_among(
        &self,
        arrivals: &[Arrival],
        arrival: Arrival,
        extension: &str,
        is_taken: impl Fn(&str) -> Result<bool>,
    ) -> Result<String> {
        let same_minute = Arrival::of_minute(arrivals, arrival.minute);
        let plain = self.plain_name(arrival, extension)?;
        let clashes = || -> Result<bool> {
            if is_taken(&plain)? {
                return Ok(true);
            }
            for other in same_minute.iter().filter(|other| other.email < arrival.email) {
                if self.plain_name(*other, extension)? == plain {
                    return Ok(true);
                }
            }
            Ok(false)
        };
        let stem = plain.strip_suffix(extension).unwrap_or(&plain);
        if same_minute.len() > COMPARED_MAX || row_of(stem).is_some() || clashes()? {
            return Ok(name::marked(&plain, extension, &format!("~{}", arrival.email)));
        }
        Ok(plain)
    }

    fn plain_name(&self, arrival: Arrival, extension: &str) -> Result<String> {
        let date = rfc3339(arrival.minute.saturating_mul(60));
        let (day, time) = (&date[..10], format!("{}{}", &date[11..13], &date[14..16]));
        let subject = self.subject(arrival.email)?;
        let subject = if subject.is_empty() { "(no subject)" } else { &*subject };
        Ok(name::safe(&format!("{day} {time} {subject}"), extension))
    }

    fn subject(&self, row: Id) -> Result<Arc<str>> {
        if let Some(known) = self.decoded.subjects.lock().get(&row) {
            return Ok(Arc::clone(known));
        }
        // A message whose bytes cannot be read is listed all the same; a read says what is wrong.
        let subject: Arc<str> = match self.reader.email_head(row, HEAD) {
            Ok(head) => text::subject(&head).into(),
            Err(error) if error.kind == ErrorKind::Damaged => "(damaged)".into(),
            Err(error) => return Err(error),
        };
        self.decoded.subjects.lock().put(row, Arc::clone(&subject));
        Ok(subject)
    }

    // --- bytes -----------------------------------------------------------------------------------------------------

    pub(super) fn read_decoded(&self, node: Node, offset: u64, length: usize) -> Result<Bytes> {
        let row = node.row;
        match (node.descriptor().bytes, u32::try_from(node.snapshot)) {
            (ByteSource::Attachment, Ok(part)) => {
                self.cache.read_made(ContentKey::Attachment(row, part), offset, length, || {
                    text::attachment(&self.message(row)?, part).ok_or_else(no_such)
                })
            }
            _ => {
                let head = self.text_head(node)?;
                let body = |offset: u64, length: usize| {
                    self.cache.read_made(ContentKey::Text(row), offset, length, || self.text(row))
                };
                let at = usize::try_from(offset).unwrap_or(usize::MAX);
                match head.as_bytes().get(at..).filter(|rest| !rest.is_empty()) {
                    None => body(offset.saturating_sub(head.len() as u64), length),
                    Some(rest) => {
                        // A message that cannot be read gives an error, and not its head alone.
                        let body = body(0, length.saturating_sub(rest.len()))?;
                        let mut bytes = rest[..rest.len().min(length)].to_vec();
                        bytes.extend_from_slice(&body);
                        Ok(bytes.into())
                    }
                }
            }
        }
    }

    fn text_size(&self, row: Id) -> Result<u64> {
        let key = u32::try_from(row).map_err(|_| no_such())?;
        if let Some(size) = self.decoded.sizes.lock().get(&key) {
            return Ok(u64::from(*size));
        }
        let size = match self.cache.made(ContentKey::Text(row), || self.text(row)) {
            Ok(bytes) => bytes.len() as u64,
            Err(error) if error.kind == ErrorKind::Damaged => DAMAGED_SIZE,
            Err(error) => return Err(error),
        };
        self.decoded.sizes.lock().insert(key, size as u32);
        Ok(size)
    }

    fn text(&self, row: Id) -> Result<Vec<u8>> {
        match self.message(row) {
            Ok(message) => Ok(text::text(&message).into_bytes()),
            Err(error) if error.kind == ErrorKind::Unreadable => Ok(format!("[{error}]\n").into_bytes()),
            Err(error) => Err(error),
        }
    }

    /// The bytes of a message that is to be decoded.
    fn message(&self, row: Id) -> Result<Vec<u8>> {
        match self.reader.email_bytes(row, DECODE_MAX)? {
            EmailBytes::Whole(bytes) => Ok(bytes),
            EmailBytes::Large(blob) => Err(Error::new(
                ErrorKind::Unreadable,
                format!("vandelay: this message of {} bytes is too large to decode; it is in mail/", blob.size),
            )),
        }
    }

    /// How many attachments a message has.
    fn count(&self, row: Id, size: u64) -> Result<usize> {
        let key = u32::try_from(row).map_err(|_| no_such())?;
        if let Some(count) = self.decoded.counts.lock().get(&key) {
            return Ok(usize::from(*count));
        }
        let count = if size > DECODE_MAX { 0 } else { self.count_attachments(row, size)? };
        self.decoded.counts.lock().insert(key, count.min(usize::from(u16::MAX)) as u16);
        Ok(count)
    }

    fn count_attachments(&self, row: Id, size: u64) -> Result<usize> {
        let head = self.reader.email_head(row, HEAD);
        let count = match head.map(|head| text::may_have_attachments(&head, size)) {
            Ok(true) => self.attached(row).map(|attached| attached.len()),
            Ok(false) => Ok(0),
            Err(error) => Err(error),
        };
        match count {
            Err(error) if matches!(error.kind, ErrorKind::Damaged | ErrorKind::Unreadable) => Ok(0),
            count => count,
        }
    }

    /// The files that the messages of a mailbox of `text/` or `attachments/` are made of.
    pub(super) fn files_of(&self, view: &View, mailbox: Node, listed: &ListedEmail) -> Result<Vec<Node>> {
        if is_text(mailbox) {
            return Ok(vec![self.text_node(view, mailbox, listed)?]);
        }
        let row = listed.email;
        let attached = self.attached(row)?;
        Ok(attached.iter().map(|one| Node { kind: NodeKind::Attachment, snapshot: i64::from(one.part), row }).collect())
    }

    fn attached(&self, row: Id) -> Result<Arc<[Attachment]>> {
        if let Some(known) = self.decoded.attached.lock().get(&row) {
            return Ok(Arc::clone(known));
        }
        let all: Arc<[Attachment]> = text::attachments(&self.message(row)?)
            .into_iter()
            .filter(|one| i64::from(one.part) <= SNAPSHOT_MAX)
            .collect();
        self.decoded.attached.lock().put(row, Arc::clone(&all));
        Ok(all)
    }

    /// The entries of a folder of attachments.
    pub(super) fn attachment_children(&self, folder: Node) -> Result<Vec<Child>> {
        let attached = self.attached(folder.object())?;
        let wished = attached.iter().map(|one| (Id::from(one.part), name::safe(&one.name, "")));
        let named = name::distinct_by(wished, name::extension_len);
        Ok(named
            .into_iter()
            .map(|(part, name)| Child {
                name,
                node: Node { kind: NodeKind::Attachment, snapshot: part, row: folder.object() },
                cookie: FIXED + 1 + part as u64,
                stat: None,
                file_type: FileType::File,
            })
            .collect())
    }
}

/// The size of a text with what stands above it. A damaged message has no text.
fn with_head(size: u64, head: &str) -> u64 {
    if size == DAMAGED_SIZE { size } else { size + head.len() as u64 }
}

pub(super) fn is_text(node: Node) -> bool {
    matches!(node.descriptor().children, Children::Decoded { message: NodeKind::Text, .. })
}

/// The directories of mailboxes in a directory, from a row on.
pub(super) fn mailbox_children(view: &View, parent: Node, from: Id, limit: usize) -> Result<Vec<Child>> {
    let mailboxes = view.mailboxes()?;
    let inner = rest(mailboxes.children(parent.shown_row()), from, limit).filter_map(|row| mailboxes.get(*row));
    Ok(inner.filter_map(|mailbox| mailbox_child(parent, mailbox.id, &mailbox.name)).collect())
}

/// The directory of a mailbox. `None` in `attachments/` if the row is too large for the inode numbers of its folders.
fn mailbox_child(parent: Node, mailbox: Id, name: &str) -> Option<Child> {
    let Children::Decoded { mailbox: kind, message } = parent.descriptor().children else { return None };
    if message == NodeKind::AttachmentFolder && parent.snapshot == 0 && mailbox > SNAPSHOT_MAX {
        return None;
    }
    let (node, file_type) = (parent.beside(kind, mailbox), FileType::Directory);
    Some(Child { name: name.to_owned(), node, cookie: cookie(mailbox), stat: None, file_type })
}

/// The messages that may have this name, which is looked at without its extension.
pub(super) fn called_so(arrivals: &[Arrival], stem: &str) -> Vec<Arrival> {
    let Some(minute) = minute_of(stem) else { return Vec::new() };
    let same_minute = Arrival::of_minute(arrivals, minute).iter().copied();
    match row_of(stem) {
        Some(row) => same_minute.filter(|one| one.email == row).collect(),
        None if same_minute.len() > COMPARED_MAX => Vec::new(),
        None => same_minute.collect(),
    }
}

/// The row that a name ends with. A subject that ends so too is marked with its own row, whether it clashes or not.
fn row_of(stem: &str) -> Option<Id> {
    let digits = stem.rsplit_once('~')?.1;
    digits.bytes().all(|digit| digit.is_ascii_digit()).then(|| digits.parse().ok()).flatten()
}

/// The minute that a name begins with.
fn minute_of(name: &str) -> Option<i64> {
    let text = format!("{}T{}:{}:00Z", name.get(..10)?, name.get(11..13)?, name.get(13..15)?);
    text.parse::<jiff::Timestamp>().ok().map(|time| time.as_second().div_euclid(60))
}
