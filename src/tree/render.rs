//! The content of each file of the tree. Bytes are served as they came; only objects that never had any are converted.

use super::cache::Content;
use super::collection::CollectionItem;
use super::hierarchy::HierarchyRow;
use super::mailboxes::dotted;
use super::node::Node;
use super::rules::ByteSource;
use super::stat::no_such;
use super::view::{CollectionData, FileKind, View};
use crate::archive::{Blob, Record};
use crate::error::{Error, ErrorKind, Result};
use crate::format::{convert, ics, jscal, jscard};
use crate::model::{Id, ObjectType};
use serde_json::Value;
use std::borrow::Cow;
use std::cell::RefCell;
use std::fs::File;
use std::io::{BufWriter, Write};
use std::sync::Arc;

/// Blobs that a conversion may pull into an object: photos and attachments, not films.
const INLINE_MAX: u64 = 32 << 20;

/// Where the bytes of a file are.
///
/// Errors: [`ErrorKind::IsADirectory`], and [`ErrorKind::Damaged`] where the archive lacks what it refers to.
pub(super) fn content(view: &View, node: Node) -> Result<Content> {
    match node.descriptor().bytes {
        // `decoded` reads those of Text and Attachment.
        ByteSource::None | ByteSource::Text | ByteSource::Attachment => Err(is_a_directory()),
        ByteSource::Empty => Ok(memory(b"")),
        ByteSource::Email => blob_content(view, record(view, node)?.blob),
        ByteSource::Item => item_content(view, &record(view, node)?),
        ByteSource::Script => {
            let blob = view.scripts()?.get(node.row).map(|item| item.stored.as_ref().map(|stored| stored.0));
            blob_content(view, blob.ok_or_else(no_such)?)
        }
        ByteSource::FileNode => match view.files()?.get(node.row).map(|file| &file.data.kind) {
            Some(FileKind::File(blob)) => blob_content(view, Some(*blob)),
            Some(FileKind::LinkText(target)) => Ok(memory(target.as_bytes())),
            Some(FileKind::Link(_)) => Err(Error::new(ErrorKind::Usage, "a link has no bytes")),
            Some(FileKind::Directory) => Err(is_a_directory()),
            None => Err(no_such()),
        },
        ByteSource::MailboxKeywords => Ok(memory(view.keywords(node.row)?.to_text().as_bytes())),
        ByteSource::Subscriptions => subscriptions(view),
        ByteSource::Identities => identities(view),
        ByteSource::CollectionName => Ok(memory(collection(view, node)?.raw.as_bytes())),
        ByteSource::CollectionColor => {
            Ok(memory(collection(view, node)?.data.color.as_deref().unwrap_or_default().as_bytes()))
        }
        ByteSource::MergedCalendar => merged_calendar(view, node),
        ByteSource::MergedAddressBook => merged_address_book(view, node),
    }
}

/// The row of the object that a node shows.
fn record(view: &View, node: Node) -> Result<Record> {
    let object = node.kind.object_type().ok_or_else(no_such)?;
    view.reader.record(object, view.moment, node.row)?.ok_or_else(no_such)
}

/// The calendar or address book that a node shows or is a part of.
fn collection(view: &View, node: Node) -> Result<&HierarchyRow<CollectionData>> {
    let object = node.kind.object_type().ok_or_else(no_such)?;
    view.collections(object)?.get(node.row).ok_or_else(no_such)
}

fn is_a_directory() -> Error {
    Error::new(ErrorKind::IsADirectory, "is a directory")
}

fn memory(bytes: &[u8]) -> Content {
    Content::Memory(bytes.into())
}

fn blob_content(view: &View, blob: Option<Id>) -> Result<Content> {
    let blob = blob.ok_or_else(|| Error::new(ErrorKind::Damaged, "the archive holds no bytes of this object"))?;
    Ok(Content::Blob(view.reader.blob(blob)?))
}

/// The source's own bytes, or the object converted to iCalendar or vCard.
fn item_content(view: &View, record: &Record) -> Result<Content> {
    if let Some((blob, ranges)) = &record.original {
        return original_content(view.reader.blob(*blob)?, ranges.as_deref());
    }
    let (text, uid) = match record.kind {
        ObjectType::CalendarEvent => (record.calendar_event().data, Cow::default()),
        _ => {
            let card = record.contact_card();
            (card.data, card.uid)
        }
    };
    let data = convert::read(text.as_bytes());
    let damage = RefCell::new(None);
    let blobs = |id: i64| match inline_blob(view, id) {
        Ok(bytes) => bytes,
        Err(error) => {
            damage.borrow_mut().get_or_insert(error);
            None
        }
    };
    let converted = match (record.kind, &data) {
        (_, Err(_)) => None,
        (ObjectType::CalendarEvent, Ok(data)) => jscal::to_ics(data, &blobs).ok(),
        (_, Ok(data)) => jscard::to_vcf(data, &uid, &blobs).ok(),
    };
    if let Some(error) = damage.into_inner().filter(|_| converted.is_none()) {
        return Err(error);
    }
    // An object that the format has no words for is shown as the archive has it, so that no data is hidden.
    let bytes = converted.unwrap_or_else(|| text.as_bytes().to_vec());
    Ok(Content::Memory(bytes.into()))
}

fn original_content(blob: Blob, ranges: Option<&str>) -> Result<Content> {
    let Some(ranges) = ranges else { return Ok(Content::Blob(blob)) };
    let ranges: Vec<(u64, u64)> = serde_json::from_str(ranges).unwrap_or_default();
    if ranges.iter().any(|(start, end)| start > end || *end > blob.size) {
        return Err(Error::new(
            ErrorKind::Damaged,
            format!("an item refers to bytes beyond the end of blob {}", blob.id),
        ));
    }
    Ok(Content::Ranges(blob, ranges.into()))
}

/// The bytes of a blob that a conversion needs; `None` for one that is too large for it.
fn inline_blob(view: &View, id: i64) -> Result<Option<Vec<u8>>> {
    let blob = view.reader.blob(id)?;
    if blob.size <= INLINE_MAX { view.reader.whole(&blob).map(Some) } else { Ok(None) }
}

/// One calendar with all items of a collection, their time zones once.
fn merged_calendar(view: &View, node: Node) -> Result<Content> {
    let calendar = collection(view, node)?;
    let mut spool = Spool::new()?;
    let mut merger = ics::Merger::default();
    spool.write(&ics::merged_head(&calendar.raw))?;
    for item in &view.items(ObjectType::CalendarEvent, calendar.id)?.items {
        let Some(bytes) = item_bytes(view, ObjectType::CalendarEvent, item)? else { continue };
        for part in merger.parts(&bytes) {
            spool.write(&part)?;
        }
    }
    spool.write(b"END:VCALENDAR\r\n")?;
    spool.finish()
}

/// All cards of an address book, one after the other.
fn merged_address_book(view: &View, node: Node) -> Result<Content> {
    let address_book = collection(view, node)?;
    let mut spool = Spool::new()?;
    for item in &view.items(ObjectType::ContactCard, address_book.id)?.items {
        let Some(bytes) = item_bytes(view, ObjectType::ContactCard, item)? else { continue };
        spool.write(&bytes)?;
        if !bytes.ends_with(b"\n") {
            spool.write(b"\r\n")?;
        }
    }
    spool.finish()
}

/// The bytes of one item; `None` for a damaged one, which must not hide the others.
fn item_bytes(view: &View, kind: ObjectType, item: &CollectionItem) -> Result<Option<Vec<u8>>> {
    let read = || -> Result<Vec<u8>> {
        let record = view.reader.record(kind, view.moment, item.id)?.ok_or_else(no_such)?;
        match item_content(view, &record)? {
            Content::Memory(bytes) => Ok(bytes.to_vec()),
            Content::Blob(blob) => view.reader.whole(&blob),
            Content::Ranges(blob, ranges) => {
                let whole = view.reader.whole(&blob)?;
                Ok(ranges
                    .iter()
                    .flat_map(|(start, end)| whole.get(*start as usize..*end as usize).unwrap_or_default())
                    .copied()
                    .collect())
            }
            Content::Spool(..) => Ok(Vec::new()),
        }
    };
    match read() {
        Ok(bytes) => Ok(Some(bytes)),
        Err(error) if matches!(error.kind, ErrorKind::Damaged | ErrorKind::NotFound) => Ok(None),
        Err(error) => Err(error),
    }
}

/// A rendered file of any size, in an unnamed file outside of memory.
struct Spool {
    file: BufWriter<File>,
    size: u64,
}

impl Spool {
    fn new() -> Result<Spool> {
        let file = tempfile::tempfile().map_err(spool_error)?;
        Ok(Spool { file: BufWriter::new(file), size: 0 })
    }

    fn write(&mut self, bytes: &[u8]) -> Result<()> {
        self.size += bytes.len() as u64;
        self.file.write_all(bytes).map_err(spool_error)
    }

    fn finish(self) -> Result<Content> {
        let file = self.file.into_inner().map_err(|error| spool_error(error.into_error()))?;
        Ok(Content::Spool(Arc::new(file), self.size))
    }
}

fn spool_error(error: std::io::Error) -> Error {
    Error::io("cannot write a rendered file to the folder for temporary files", error)
}

/// Identities and participant identities as JSON.
fn identities(view: &View) -> Result<Content> {
    let list = |kind: ObjectType| -> Result<Vec<Value>> {
        Ok(view.reader.records(kind, view.moment)?.iter().map(Record::to_json).collect())
    };
    let json = serde_json::json!({ "identities": list(ObjectType::Identity)?, "participantIdentities": list(ObjectType::ParticipantIdentity)? });
    let mut text = serde_json::to_string_pretty(&json).unwrap_or_default();
    text.push('\n');
    Ok(memory(text.as_bytes()))
}

/// Dovecot's list of subscribed mailboxes: names with dots, one a line.
fn subscriptions(view: &View) -> Result<Content> {
    let mut names: Vec<String> = view
        .mailboxes()?
        .all()
        .filter(|mailbox| mailbox.data.is_subscribed)
        .filter_map(|mailbox| dotted(view, mailbox.id)?.strip_prefix('.').map(str::to_owned))
        .collect();
    names.sort_unstable();
    Ok(memory(names.into_iter().map(|name| name + "\n").collect::<String>().as_bytes()))
}
