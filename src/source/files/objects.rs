//! Calendars and contacts of an export: .ics and .vcf files, split into their objects.

use super::found::ExportFile;
use super::kinds::Format;
use super::listed::{Listed, kept};
use super::spool::read_whole;
use crate::error::{Error, ErrorKind, Result};
use crate::format::uid::{Note, NoteKind};
use crate::format::{ics, vcf};
use crate::model::container::Container;
use crate::model::{Attrs, Body, Digest, Entry, FetchedItem, ItemData, ObjectType, SkipKind, SkippedItem};
use crate::source::{Failure, Items, Listing};
use std::ops::Range;
use std::sync::Arc;

/// The name of a collection that has none, and of the one address book of a Takeout.
const IMPORTED: &str = "Imported";
/// A larger file is not split.
const MAX_SPLIT: u64 = 256 << 20;
const TOO_LARGE: &str = "larger than 256 MiB";

/// A file in parts.
struct Parts {
    container: Container,
    objects: Vec<FileObject>,
    notes: Vec<Note>,
}

/// An object of a file.
struct FileObject {
    key: String,
    data: ItemData,
    ranges: Vec<Range<u64>>,
}

/// Lists the objects of a file.
pub(super) fn list(file: &ExportFile, cursor: &str) -> Result<Listed> {
    let before = file.stamp()?;
    let now = before.cursor("o1");
    let mut listing = Listing { cursor: now, ..Listing::default() };
    if cursor == listing.cursor {
        listing.unchanged = true;
        return Ok(Listed { listing, plain: None });
    }
    let (mut handle, stamp) = file.open()?;
    if stamp.size > MAX_SPLIT {
        listing.omissions.push(kept(file, TOO_LARGE));
        return Ok(Listed { listing, plain: Some(TOO_LARGE) });
    }
    let bytes = read_whole(&mut handle, MAX_SPLIT).map_err(|error| file.failed(error))?;
    let parts = split(file, &bytes);
    if parts.objects.is_empty() {
        let reason = not_a(file.format);
        listing.omissions.push(kept(file, reason));
        return Ok(Listed { listing, plain: Some(reason) });
    }
    listing.omissions = parts.notes.iter().filter_map(|note| omission(file, note)).collect();
    let parents = vec![parts.container.key.clone()];
    let attrs = Arc::new(Attrs { parents, ..Attrs::none(parts.container.kind) });
    listing.containers = vec![parts.container];
    listing.entries = parts
        .objects
        .iter()
        .enumerate()
        .map(|(index, object)| Entry {
            key: object.key.as_str().into(),
            rev: digest(&bytes, &object.ranges).hex().into(),
            locator: index.to_string().into(),
            attrs: attrs.clone(),
        })
        .collect();
    if !file.stamp().is_ok_and(|now| now == before) {
        listing.cursor.clear();
    }
    Ok(Listed { listing, plain: None })
}

/// Hands over objects of a file, which is read and split once more: it may have been long ago.
pub(super) fn fetch<'a>(file: &'a ExportFile, entries: Vec<Entry>) -> Result<Items<'a>> {
    let (mut handle, _) = file.open()?;
    let bytes = Arc::new(read_whole(&mut handle, MAX_SPLIT).map_err(|error| file.failed(error))?);
    let mut objects: Vec<Option<FileObject>> = split(file, &bytes).objects.into_iter().map(Some).collect();
    Ok(Box::new(entries.into_iter().map(move |entry| {
        let index = entry.locator.parse::<usize>().ok();
        let object = index.and_then(|index| objects.get_mut(index)).and_then(Option::take);
        let same =
            |object: &FileObject| *object.key == *entry.key && *digest(&bytes, &object.ranges).hex() == *entry.rev;
        match object.filter(same) {
            Some(FileObject { data, ranges, .. }) => {
                let whole = matches!(&ranges[..], [one] if *one == (0..bytes.len() as u64));
                let body = if whole {
                    Body::Bytes(bytes.as_ref().clone())
                } else {
                    Body::Part { whole: bytes.clone(), ranges }
                };
                Ok(FetchedItem { key: entry.key, body, data })
            }
            None => {
                let error = Error::new(ErrorKind::Storage, format!("{} changed while it was read", file.position))
                    .hint("run the command again when nothing writes to that file");
                Err(Failure { key: entry.key, vanished: false, error })
            }
        }
    })))
}

/// Why a file has no objects, if it has none.
pub(super) fn is_plain(file: &ExportFile) -> Result<Option<&'static str>> {
    let (mut handle, stamp) = file.open()?;
    if stamp.size > MAX_SPLIT {
        return Ok(Some(TOO_LARGE));
    }
    let bytes = read_whole(&mut handle, MAX_SPLIT).map_err(|error| file.failed(error))?;
    Ok(split(file, &bytes).objects.is_empty().then_some(not_a(file.format)))
}

fn not_a(format: Format) -> &'static str {
    match format {
        Format::Cards => "not a vCard",
        _ => "not a calendar",
    }
}

fn split(file: &ExportFile, bytes: &[u8]) -> Parts {
    if file.format == Format::Cards {
        let split = vcf::split(bytes);
        let Collection { name, .. } = Collection::of(file, split.items.len(), None);
        let object = |card: vcf::Card| FileObject {
            key: card.uid.clone(),
            data: ItemData::Card { uid: card.uid },
            ranges: vec![card.range],
        };
        return Parts {
            container: Container::new(ObjectType::AddressBook, &*name, None, &*name),
            objects: split.items.into_iter().map(object).collect(),
            notes: split.notes,
        };
    }
    let split = ics::split(bytes);
    let named = split.name.filter(|name| !name.trim().is_empty());
    let Collection { name, is_of_file } = Collection::of(file, split.items.len(), named);
    // Files of a Takeout are calendars; of those that are named one by one several may be one.
    let key = if file.root.only.is_some() { name.clone() } else { file.key.clone() };
    let mut container = Container::new(ObjectType::Calendar, key, None, name);
    if is_of_file {
        container.color = split.color;
        container.description = split.description;
    }
    let object = |item: ics::CalendarObject| FileObject {
        key: format!("{}:{}", item.data_type.name(), item.uid),
        data: ItemData::Event { uid: item.uid, data_type: item.data_type },
        ranges: item.ranges,
    };
    Parts { container, objects: split.items.into_iter().map(object).collect(), notes: split.notes }
}

/// The calendar or the address book that the objects of a file lie in.
struct Collection {
    name: String,
    /// It is the file's own: what else the file says of it holds.
    is_of_file: bool,
}

impl Collection {
    /// The one that the user or the file names, else the file. In a folder of files with one object each it is the folder, as with
    /// programs that keep such folders (vdir).
    fn of(file: &ExportFile, objects: usize, named: Option<String>) -> Collection {
        let of_user = file.root.name.clone();
        let of_folder = || file.collection().filter(|_| objects == 1);
        if let Some(name) = of_user.or_else(|| if named.is_none() { of_folder() } else { None }) {
            return Collection { name, is_of_file: false };
        }
        let is_named_by_file = file.format == Format::Calendar || file.root.only.is_some();
        let name = named.or_else(|| is_named_by_file.then(|| file.stem.clone())).filter(|name| !name.is_empty());
        Collection { name: name.unwrap_or_else(|| IMPORTED.to_owned()), is_of_file: true }
    }
}

/// A remark on a file as a line of the report, where it is about something that is not stored.
fn omission(file: &ExportFile, note: &Note) -> Option<SkippedItem> {
    let outcome = match note.kind {
        NoteKind::Duplicate => SkipKind::Duplicate,
        kind if kind.loses_bytes() => SkipKind::Skipped,
        _ => return None,
    };
    Some(SkippedItem {
        kind: file.format.kind(),
        reason: note.kind.reason().to_owned(),
        position: format!("{}: offset {}: {}", file.position, note.offset, note.what),
        outcome,
    })
}

/// The digest of these ranges one behind the other.
fn digest(bytes: &[u8], ranges: &[Range<u64>]) -> Digest {
    let mut hasher = blake3::Hasher::new();
    for range in ranges {
        let place = usize::try_from(range.start).ok().zip(usize::try_from(range.end).ok());
        hasher.update(place.and_then(|(start, end)| bytes.get(start..end)).unwrap_or_default());
    }
    Digest(*hasher.finalize().as_bytes())
}
