//! `text/` and `attachments/`: what a reader of the mail sees, as files.
//!
//! Nothing of it stands in the archive. Names are made of the date and the subject of a message, so a name is found by
//! its minute: of the messages that came in it only. Sizes are exact, so a message is decoded when its file is first
//! looked at; what it came to is remembered as a number, and its bytes until somebody reads them.

use super::cache::{Bytes, Key};
use super::cookies::{FIXED, cookie, first_row, rest};
use super::entry::{Child, DAMAGED_SIZE, Sort, Stat, no_such};
use super::mail::Arrival;
use super::name;
use super::node::{Node, SNAPSHOT_MAX, What};
use super::opened::Tree;
use super::view::View;
use crate::archive::{EmailBytes, Listed, parse_ids};
use crate::error::{Error, ErrorKind, Result};
use crate::format::text;
use crate::format::text::limits::Attachment;
use crate::model::{Id, ObjectType};
use std::sync::Arc;

/// Messages stand behind the directories of a mailbox.
const MESSAGES: u64 = 1 << 40;

/// How much of a message is read for its subject.
const HEAD: u64 = 16 << 10;

/// Messages beyond this size are not decoded; their bytes are in `mail/`.
const DECODE_MAX: u64 = 64 << 20;

/// Of this many messages of one minute all bear their row in their name, so that none has to be compared with all.
const CROWD: usize = 64;

impl Tree {
    pub(super) fn stat_decoded(&self, view: &View, node: Node) -> Result<Stat> {
        let stat = |sort: Sort, size: u64, mtime: i64, ctime: i64, links: usize| {
            Ok(Stat { sort, size, mtime, ctime, links: links as u32 })
        };
        match node.what {
            What::NoIndex => stat(Sort::File, 0, view.time.min(1), view.time.min(1), 1),
            What::TextMail | What::AttachmentMail => {
                let time = view.mail_time()?;
                stat(Sort::Directory, 0, time, time, 2 + view.folders()?.children(None).len())
            }
            What::TextMailbox | What::AttachmentMailbox => {
                view.folders()?.get(node.row).ok_or_else(no_such)?;
                let age = view.age(node.row)?;
                // Counting the messages with attachments would decode them all; 1 says that nobody knows.
                let is_counted = node.what == What::TextMailbox;
                let links = if is_counted { 2 + view.folders()?.children(Some(node.row)).len() } else { 1 };
                stat(Sort::Directory, 0, age.deep, age.changed, links)
            }
            What::AttachmentFolder | What::FormerFolder => {
                let received = self.received(node.object())?;
                stat(Sort::Directory, 0, received, received, 2)
            }
            What::Text => {
                let received = self.received(node.row)?;
                stat(Sort::File, self.text_size(node.row)?, received, received, self.links(node.row)? as usize)
            }
            What::Attachment => {
                let received = self.received(node.row)?;
                let attached = self.attached(node.row)?;
                let size = attached.iter().find(|one| i64::from(one.part) == node.snapshot).ok_or_else(no_such)?.size;
                stat(Sort::File, size, received, received, self.links(node.row)? as usize)
            }
            _ => Err(no_such()),
        }
    }

    /// In how many mailboxes the files of a message lie: at the root's moment, or when it was there last. Below
    /// `.snapshots` they are the same files.
    fn links(&self, row: Id) -> Result<u32> {
        let root = Arc::clone(&self.now().root);
        match root.reader.record(ObjectType::Email, root.moment, row)? {
            Some(record) => Ok(parse_ids(record.text("mailbox_ids").unwrap_or("[]")).len().max(1) as u32),
            None => self.reader.mailboxes_of(row),
        }
    }

    fn received(&self, row: Id) -> Result<i64> {
        self.reader.arrival(row)?.ok_or_else(no_such)
    }

    pub(super) fn lookup_decoded(&self, view: &View, parent: Node, name: &str) -> Result<Option<Child>> {
        if is_folder(parent) {
            return Ok(self.parts(parent)?.into_iter().find(|line| line.name == name));
        }
        let mailbox = mailbox_of(parent);
        if let Some(place) = view.folders()?.find(mailbox, name) {
            return Ok(mailbox_line(parent, place.id, name));
        }
        let Some(mailbox) = mailbox else { return Ok(None) };
        let stem = if is_text(parent) { name.strip_suffix(".txt") } else { Some(name) };
        let Some(minute) = stem.and_then(minute_of) else { return Ok(None) };
        // In a crowd the row stands in the name.
        let marked = stem.and_then(row_of);
        let arrivals = view.arrivals(mailbox)?;
        let crowd = Arrival::of_minute(&arrivals, minute);
        let candidates: Vec<Id> = match marked.filter(|row| crowd.iter().any(|one| one.email == *row)) {
            Some(row) => vec![row],
            None if marked.is_some() => Vec::new(),
            None if crowd.len() > CROWD => Vec::new(),
            None => crowd.iter().map(|one| one.email).collect(),
        };
        for row in candidates {
            let Some(listed) = view.message(mailbox, row)? else { continue };
            if self.message_name(view, parent, mailbox, Arrival { minute, email: row })? == name {
                let is_shown = self.shows(parent, &listed)?;
                return if is_shown { self.decoded_line(view, parent, name.to_owned(), &listed) } else { Ok(None) };
            }
        }
        Ok(None)
    }

    /// Lines behind the cookie `after`: mailboxes first, then messages; or the attachments of one message.
    pub(super) fn decoded_lines(
        &self,
        view: &View,
        node: Node,
        after: u64,
        limit: usize,
        lines: &mut Vec<Child>,
    ) -> Result<()> {
        if is_folder(node) {
            lines.extend(self.parts(node)?.into_iter().filter(|line| line.cookie > after).take(limit));
            return Ok(());
        }
        if after < MESSAGES {
            lines.extend(mailbox_lines(view, node, first_row(after), limit)?);
        }
        let Some(mailbox) = mailbox_of(node) else { return Ok(()) };
        let mut from = first_row(after.saturating_sub(MESSAGES));
        while lines.len() < limit {
            let page = view.messages(mailbox, from - 1, limit)?;
            let Some(last) = page.last() else { break };
            from = last.email + 1;
            for listed in page {
                if lines.len() == limit {
                    break;
                }
                if self.shows(node, &listed)? {
                    let name = self.message_name(view, node, mailbox, Arrival::of(&listed))?;
                    lines.extend(self.decoded_line(view, node, name, &listed)?);
                }
            }
        }
        Ok(())
    }

    /// True for messages that have a line in a directory: in `attachments/` those with attachments.
    fn shows(&self, parent: Node, listed: &Listed) -> Result<bool> {
        Ok(is_text(parent) || self.count(listed.email, listed.size)? > 0)
    }

    /// The line of a message; none where its folder of attachments has no number.
    fn decoded_line(&self, view: &View, parent: Node, name: String, listed: &Listed) -> Result<Option<Child>> {
        let row = listed.email;
        let stat = |sort: Sort, size: u64, links: u32| Stat {
            sort,
            size,
            mtime: listed.received,
            ctime: listed.received,
            links,
        };
        let (node, sort, stat) = if is_text(parent) {
            let known = u32::try_from(row).ok().and_then(|row| self.decoded.sizes.lock().get(&row).copied());
            let links = if parent.snapshot == 0 { listed.links } else { self.links(row)? };
            let stat = known.map(|size| stat(Sort::File, u64::from(size), links));
            (Node { what: What::Text, snapshot: 0, row }, Sort::File, stat)
        } else {
            let Some(node) = self.folder(view, parent, listed)? else { return Ok(None) };
            (node, Sort::Directory, Some(stat(Sort::Directory, 0, 2)))
        };
        Ok(Some(Child { name, node, cookie: MESSAGES + cookie(row), stat, sort }))
    }

    /// The folder of a message's attachments in a mailbox of `attachments/`.
    fn folder(&self, view: &View, mailbox: Node, listed: &Listed) -> Result<Option<Node>> {
        let row = listed.email;
        if mailbox.snapshot == 0 {
            return Ok(Some(Node { what: What::AttachmentFolder, snapshot: mailbox.row, row }));
        }
        let mut place = 0;
        if listed.links > 1 {
            let record = self.record(view, ObjectType::Email, row)?;
            let mailboxes = parse_ids(record.text("mailbox_ids").unwrap_or("[]"));
            place = mailboxes.iter().position(|id| *id == mailbox.row).unwrap_or(0);
        }
        Ok(Node::former_folder(mailbox.snapshot, place, row))
    }

    /// `2026-03-01 1204 Subject`, with `.txt` in `text/`; a row behind it where another one has that name.
    pub(super) fn message_name(&self, view: &View, parent: Node, mailbox: Id, arrival: Arrival) -> Result<String> {
        let extension = if is_text(parent) { ".txt" } else { "" };
        let arrivals = view.arrivals(mailbox)?;
        let crowd = Arrival::of_minute(&arrivals, arrival.minute);
        let plain = self.plain_name(arrival, extension)?;
        let clashes = || -> Result<bool> {
            if view.folders()?.find(Some(mailbox), &plain).is_some() {
                return Ok(true);
            }
            for other in crowd.iter().filter(|other| other.email < arrival.email) {
                if self.plain_name(*other, extension)? == plain {
                    return Ok(true);
                }
            }
            Ok(false)
        };
        let stem = plain.strip_suffix(extension).unwrap_or(&plain);
        if crowd.len() > CROWD || row_of(stem).is_some() || clashes()? {
            return Ok(name::marked(&plain, extension, &format!("~{}", arrival.email)));
        }
        Ok(plain)
    }

    fn plain_name(&self, arrival: Arrival, extension: &str) -> Result<String> {
        let date = crate::archive::rfc3339(arrival.minute.saturating_mul(60));
        let (day, time) = (&date[..10], format!("{}{}", &date[11..13], &date[14..16]));
        let subject = self.subject(arrival.email)?;
        let subject = if subject.is_empty() { "(no subject)" } else { &*subject };
        Ok(name::safe(&format!("{day} {time} {subject}"), extension))
    }

    fn subject(&self, row: Id) -> Result<Arc<str>> {
        if let Some(known) = self.decoded.subjects.lock().get(&row) {
            return Ok(Arc::clone(known));
        }
        // A message whose bytes cannot be read is listed all the same; reading it says what is wrong.
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
        match (node.what, u32::try_from(node.snapshot)) {
            (What::Attachment, Ok(part)) => self.shop.read_made(Key::Attachment(row, part), offset, length, || {
                text::attachment(&self.message(row)?, part).ok_or_else(no_such)
            }),
            _ => self.shop.read_made(Key::Text(row), offset, length, || self.text(row)),
        }
    }

    fn text_size(&self, row: Id) -> Result<u64> {
        let key = u32::try_from(row).map_err(|_| no_such())?;
        if let Some(size) = self.decoded.sizes.lock().get(&key) {
            return Ok(u64::from(*size));
        }
        let size = match self.shop.made(Key::Text(row), || self.text(row)) {
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
    pub(super) fn files_of(&self, mailbox: Node, row: Id) -> Result<Vec<Node>> {
        if is_text(mailbox) {
            return Ok(vec![Node { what: What::Text, snapshot: 0, row }]);
        }
        let attached = self.attached(row)?;
        Ok(attached.iter().map(|one| Node { what: What::Attachment, snapshot: i64::from(one.part), row }).collect())
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

    /// The lines of a folder of attachments.
    fn parts(&self, folder: Node) -> Result<Vec<Child>> {
        let attached = self.attached(folder.object())?;
        let wished = attached.iter().map(|one| (Id::from(one.part), name::safe(&one.name, "")));
        let named = name::distinct_by(wished, name::extension_len);
        Ok(named
            .into_iter()
            .map(|(part, name)| Child {
                name,
                node: Node { what: What::Attachment, snapshot: part, row: folder.object() },
                cookie: FIXED + 1 + part as u64,
                stat: None,
                sort: Sort::File,
            })
            .collect())
    }
}

fn is_text(node: Node) -> bool {
    matches!(node.what, What::TextMail | What::TextMailbox)
}

fn is_folder(node: Node) -> bool {
    matches!(node.what, What::AttachmentFolder | What::FormerFolder)
}

/// The mailbox whose messages lie in a directory; none at the top.
fn mailbox_of(node: Node) -> Option<Id> {
    (!matches!(node.what, What::TextMail | What::AttachmentMail)).then_some(node.row)
}

/// The directories of mailboxes in a directory, from a row on.
pub(super) fn mailbox_lines(view: &View, parent: Node, from: Id, limit: usize) -> Result<Vec<Child>> {
    let folders = view.folders()?;
    let places = rest(folders.children(mailbox_of(parent)), from, limit).filter_map(|id| folders.get(*id));
    Ok(places.filter_map(|place| mailbox_line(parent, place.id, &place.name)).collect())
}

/// The directory of a mailbox; in `attachments/` only of those whose row fits into the numbers of what is in it.
fn mailbox_line(parent: Node, mailbox: Id, name: &str) -> Option<Child> {
    let what = if is_text(parent) { What::TextMailbox } else { What::AttachmentMailbox };
    if what == What::AttachmentMailbox && parent.snapshot == 0 && mailbox > SNAPSHOT_MAX {
        return None;
    }
    let node = parent.beside(what, mailbox);
    Some(Child { name: name.to_owned(), node, cookie: cookie(mailbox), stat: None, sort: Sort::Directory })
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
