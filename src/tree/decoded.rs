//! `text/` and `attachments/`: what a reader of the mail sees, as files.
//!
//! Nothing of it stands in the archive. Names are made of the date and the subject of a message, so a name is found by
//! its minute: of the messages that came in it only. Sizes are exact, so a message is decoded when its file is first
//! looked at; what it came to is remembered as a number, and its bytes until somebody reads them.

use super::content::Key;
use super::lines::{FIXED, cookie, first_row, rest};
use super::mailboxes::Arrival;
use super::node::{Node, SNAPSHOT_MAX, What};
use super::view::View;
use super::{Child, Sort, Stat, Tree, lock, name, no_such};
use crate::archive::EmailBytes;
use crate::error::{Error, Kind as Fault, Result};
use crate::format::text::{self, Attachment};
use crate::model::Id;
use lru::LruCache;
use std::collections::HashMap;
use std::num::NonZeroUsize;
use std::sync::{Arc, Mutex};

/// Messages stand behind the directories of a mailbox.
const MESSAGES: u64 = 1 << 40;

/// How much of a message is read for its subject.
const HEAD: usize = 16 << 10;

/// Messages beyond this size are not decoded; their bytes are in `mail/`.
const DECODE_MAX: u64 = 64 << 20;

/// Of this many messages of one minute all bear their row in their name, so that none has to be compared with all.
const CROWD: usize = 64;

/// How many subjects, and attachments of how many messages, are kept.
const SUBJECTS: NonZeroUsize = NonZeroUsize::new(4_096).unwrap();
const ATTACHED: NonZeroUsize = NonZeroUsize::new(256).unwrap();

/// What is remembered of decoded messages.
pub(super) struct Memory {
    subjects: Mutex<LruCache<Id, Arc<str>>>,
    attached: Mutex<LruCache<Id, Arc<[Attachment]>>>,
    /// Sizes of text files, and numbers of attachments: 4 bytes a message each.
    sizes: Mutex<HashMap<u32, u32>>,
    counts: Mutex<HashMap<u32, u16>>,
}

impl Default for Memory {
    fn default() -> Memory {
        Memory {
            subjects: Mutex::new(LruCache::new(SUBJECTS)),
            attached: Mutex::new(LruCache::new(ATTACHED)),
            sizes: Mutex::default(),
            counts: Mutex::default(),
        }
    }
}

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
                let row = mailbox_of(node);
                view.folders()?.get(row).ok_or_else(no_such)?;
                let age = view.age(row)?;
                let mut links = 2 + view.folders()?.children(Some(row)).len();
                if node.what == What::AttachmentMailbox {
                    // Counting the messages with attachments would decode them all; 1 says that nobody knows.
                    links = 1;
                }
                stat(Sort::Directory, 0, age.deep, age.changed, links)
            }
            What::AttachmentFolder => {
                let received = self.received(view, node.row)?;
                stat(Sort::Directory, 0, received, received, 2)
            }
            What::Text => {
                let received = self.received(view, node.row)?;
                stat(Sort::File, self.text_size(node.row)?, received, received, 1)
            }
            What::Attachment => {
                let received = self.received(view, node.row)?;
                let attached = self.attached(node.row)?;
                let size = attached.iter().find(|one| i64::from(one.part) == node.snapshot).ok_or_else(no_such)?.size;
                stat(Sort::File, size, received, received, 1)
            }
            _ => Err(no_such()),
        }
    }

    fn received(&self, view: &View, row: Id) -> Result<i64> {
        let record = view.reader.record(crate::model::Kind::Email, view.moment, row)?.ok_or_else(no_such)?;
        Ok(record.text("received_at").map_or(0, crate::archive::epoch))
    }

    pub(super) fn lookup_decoded(&self, view: &View, parent: Node, name: &str) -> Result<Option<Child>> {
        if parent.what == What::AttachmentFolder {
            return Ok(self.parts(parent)?.into_iter().find(|line| line.name == name));
        }
        let mailbox = (!matches!(parent.what, What::TextMail | What::AttachmentMail)).then(|| mailbox_of(parent));
        if let Some(place) = view.folders()?.find(mailbox, name) {
            return Ok(mailbox_line(parent, place.id, name));
        }
        let Some(mailbox) = mailbox else { return Ok(None) };
        let stem = if is_text(parent) { name.strip_suffix(".txt") } else { Some(name) };
        let Some(minute) = stem.and_then(minute_of) else { return Ok(None) };
        // In a crowd the row stands in the name.
        let marked = stem.and_then(|stem| stem.rsplit_once('~')?.1.parse::<Id>().ok());
        let arrivals = view.arrivals(mailbox)?;
        let crowd = of_minute(&arrivals, minute);
        let candidates: Vec<Id> = match marked.filter(|row| crowd.iter().any(|one| one.email == *row)) {
            Some(row) => vec![row],
            None if crowd.len() > CROWD => Vec::new(),
            None => crowd.iter().map(|one| one.email).collect(),
        };
        for row in candidates {
            let Some(listed) = view.message(mailbox, row)? else { continue };
            if self.message_name(view, parent, mailbox, Arrival { minute, email: row })? == name {
                return self.decoded_line(parent, name.to_owned(), &listed);
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
        if node.what == What::AttachmentFolder {
            lines.extend(self.parts(node)?.into_iter().filter(|line| line.cookie > after).take(limit));
            return Ok(());
        }
        let folders = view.folders()?;
        let mailbox = (!matches!(node.what, What::TextMail | What::AttachmentMail)).then(|| mailbox_of(node));
        if after < MESSAGES {
            let places = rest(folders.children(mailbox), first_row(after), limit).filter_map(|id| folders.get(*id));
            lines.extend(places.filter_map(|place| mailbox_line(node, place.id, &place.name)));
        }
        let Some(mailbox) = mailbox else { return Ok(()) };
        let mut from = first_row(after.saturating_sub(MESSAGES));
        while lines.len() < limit {
            let page = view.messages(mailbox, from - 1, limit)?;
            let Some(last) = page.last() else { break };
            from = last.email + 1;
            for listed in page {
                if lines.len() == limit {
                    break;
                }
                let arrival = Arrival { minute: listed.received.div_euclid(60), email: listed.email };
                if !is_text(node) && self.count(listed.email, listed.size)? == 0 {
                    continue;
                }
                let name = self.message_name(view, node, mailbox, arrival)?;
                lines.extend(self.decoded_line(node, name, &listed)?);
            }
        }
        Ok(())
    }

    /// The line of a message; none in `attachments/` if it has none.
    fn decoded_line(&self, parent: Node, name: String, listed: &crate::archive::Listed) -> Result<Option<Child>> {
        let row = listed.email;
        let cookie = MESSAGES + cookie(row);
        if is_text(parent) {
            let known = u32::try_from(row).ok().and_then(|row| lock(&self.decoded.sizes).get(&row).copied());
            let stat = known.map(|size| Stat {
                sort: Sort::File,
                size: u64::from(size),
                mtime: listed.received,
                ctime: listed.received,
                links: 1,
            });
            let node = Node { what: What::Text, snapshot: 0, row };
            return Ok(Some(Child { name, node, cookie, stat, sort: Sort::File }));
        }
        if self.count(row, listed.size)? == 0 {
            return Ok(None);
        }
        let node = Node { what: What::AttachmentFolder, snapshot: parent.snapshot, row };
        let stat = Stat { sort: Sort::Directory, size: 0, mtime: listed.received, ctime: listed.received, links: 2 };
        Ok(Some(Child { name, node, cookie, stat: Some(stat), sort: Sort::Directory }))
    }

    /// `2026-03-01 1204 Subject`, with `.txt` in `text/`; a row behind it where another one has that name.
    pub(super) fn message_name(&self, view: &View, parent: Node, mailbox: Id, arrival: Arrival) -> Result<String> {
        let extension = if is_text(parent) { ".txt" } else { "" };
        let arrivals = view.arrivals(mailbox)?;
        let crowd = of_minute(&arrivals, arrival.minute);
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
        if crowd.len() > CROWD || clashes()? {
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
        if let Some(known) = lock(&self.decoded.subjects).get(&row) {
            return Ok(Arc::clone(known));
        }
        // A message whose bytes cannot be read is listed all the same; reading it says what is wrong.
        let subject: Arc<str> = match self.reader.email_head(row, HEAD) {
            Ok(head) => text::subject(&head).into(),
            Err(error) if error.kind == Fault::Damaged => "(damaged)".into(),
            Err(error) => return Err(error),
        };
        lock(&self.decoded.subjects).put(row, Arc::clone(&subject));
        Ok(subject)
    }

    // --- bytes -----------------------------------------------------------------------------------------------------

    pub(super) fn read_decoded(&self, node: Node, offset: u64, length: usize) -> Result<Vec<u8>> {
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
        if let Some(size) = lock(&self.decoded.sizes).get(&key) {
            return Ok(u64::from(*size));
        }
        let bytes = match self.shop.made(Key::Text(row), || self.text(row)) {
            Ok(bytes) => bytes.len(),
            Err(error) if error.kind == Fault::Damaged => 0,
            Err(error) => return Err(error),
        };
        lock(&self.decoded.sizes).insert(key, bytes as u32);
        Ok(bytes as u64)
    }

    fn text(&self, row: Id) -> Result<Vec<u8>> {
        match self.message(row) {
            Ok(message) => Ok(text::text(&message).into_bytes()),
            Err(error) if error.kind == Fault::Unreadable => Ok(format!("[{error}]\n").into_bytes()),
            Err(error) => Err(error),
        }
    }

    /// The bytes of a message that is to be decoded.
    fn message(&self, row: Id) -> Result<Vec<u8>> {
        match self.reader.email_bytes(row, DECODE_MAX)? {
            EmailBytes::Whole(bytes) => Ok(bytes),
            EmailBytes::Large(blob) => Err(Error::new(
                Fault::Unreadable,
                format!("vandelay: this message of {} bytes is too large to decode; it is in mail/", blob.size),
            )),
        }
    }

    /// How many attachments a message has.
    fn count(&self, row: Id, size: u64) -> Result<usize> {
        let key = u32::try_from(row).map_err(|_| no_such())?;
        if let Some(count) = lock(&self.decoded.counts).get(&key) {
            return Ok(usize::from(*count));
        }
        let count = if size > DECODE_MAX { 0 } else { self.count_attachments(row)? };
        lock(&self.decoded.counts).insert(key, count.min(usize::from(u16::MAX)) as u16);
        Ok(count)
    }

    fn count_attachments(&self, row: Id) -> Result<usize> {
        let tolerant = |outcome: Result<usize>| match outcome {
            Err(error) if matches!(error.kind, Fault::Damaged | Fault::Unreadable) => Ok(0),
            outcome => outcome,
        };
        tolerant((|| {
            if !text::may_have_attachments(&self.reader.email_head(row, HEAD)?) {
                return Ok(0);
            }
            Ok(self.attached(row)?.len())
        })())
    }

    fn attached(&self, row: Id) -> Result<Arc<[Attachment]>> {
        if let Some(known) = lock(&self.decoded.attached).get(&row) {
            return Ok(Arc::clone(known));
        }
        let all: Arc<[Attachment]> = text::attachments(&self.message(row)?)
            .into_iter()
            .filter(|one| i64::from(one.part) <= SNAPSHOT_MAX)
            .collect();
        lock(&self.decoded.attached).put(row, Arc::clone(&all));
        Ok(all)
    }

    /// The lines of a folder of attachments.
    fn parts(&self, folder: Node) -> Result<Vec<Child>> {
        let attached = self.attached(folder.row)?;
        let wished = attached.iter().map(|one| (Id::from(one.part), name::safe(&one.name, "")));
        let named = name::distinct(wished, "");
        Ok(named
            .into_iter()
            .map(|(part, name)| Child {
                name,
                node: Node { what: What::Attachment, snapshot: part, row: folder.row },
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

/// The mailbox that a directory shows.
fn mailbox_of(node: Node) -> Id {
    node.row
}

/// The directory of a mailbox; in `attachments/` only of those whose row fits into the number of an inode.
pub(super) fn mailbox_line(parent: Node, mailbox: Id, name: &str) -> Option<Child> {
    let what = if is_text(parent) { What::TextMailbox } else { What::AttachmentMailbox };
    if what == What::AttachmentMailbox && mailbox > SNAPSHOT_MAX {
        return None;
    }
    let snapshot = if is_text(parent) { parent.snapshot } else { mailbox };
    let node = Node { what, snapshot, row: mailbox };
    Some(Child { name: name.to_owned(), node, cookie: cookie(mailbox), stat: None, sort: Sort::Directory })
}

/// Those that came in this minute.
fn of_minute(arrivals: &[Arrival], minute: i64) -> &[Arrival] {
    let from = arrivals.partition_point(|one| one.minute < minute);
    let to = arrivals.partition_point(|one| one.minute <= minute);
    &arrivals[from..to]
}

/// The minute that a name begins with.
fn minute_of(name: &str) -> Option<i64> {
    let text = format!("{}T{}:{}:00Z", name.get(..10)?, name.get(11..13)?, name.get(13..15)?);
    text.parse::<jiff::Timestamp>().ok().map(|time| time.as_second().div_euclid(60))
}
