//! Folders of files with one message each: .eml, MH, and Apple Mail's .emlx.

use super::beside::{self, FolderNotes};
use super::found::{MessageFile, MessageFolder};
use super::gather::{Gatherer, Locator, MailOptions, Said};
use super::kinds::Format;
use super::listed::no_locator;
use super::place::Stamp;
use super::spool::Spool;
use crate::error::{Error, Result};
use crate::format::{emlx, mail, mbox};
use crate::model::{Digest, Entry, FetchedItem, ItemData, ObjectType, SkipKind, SkippedItem};
use crate::source::{Failure, Items, Listing, UnlistedItems};
use std::collections::BTreeSet;
use std::fs::File;
use std::io::{Read, Seek, SeekFrom};

/// What a file of one message says of it.
struct Letter {
    locator: Locator,
    head: Vec<u8>,
    said: Said,
}

/// Lists the messages of a folder.
pub(super) fn list(folder: &MessageFolder, options: MailOptions, spool: &mut Spool, cursor: &str) -> Result<Listing> {
    let now = folder_cursor(folder, options);
    if !now.is_empty() && now == cursor {
        return Ok(Listing { unchanged: true, cursor: now, ..Listing::default() });
    }
    let mut gatherer = Gatherer::new(options, &folder.root);
    let mut notes = Notes::of(folder);
    let mut settled = true;
    for file in &folder.files {
        let position = || file.position.clone();
        let found = open(file).and_then(|(mut handle, stamp)| {
            let Some(mut letter) = read(file, &mut handle, &stamp)? else { return Ok(None) };
            notes.add(file, &mut letter);
            let Some(attrs) = gatherer.judge(&letter.head, letter.said, position) else { return Ok(Some(None)) };
            let digest = spool.digest(&handle, &letter.locator.stretch());
            let digest = digest.map_err(|error| Error::io(format!("cannot read {}", file.position), error))?;
            Ok(Some(Some((digest, letter.locator, attrs))))
        });
        match found {
            Ok(Some(Some((digest, locator, attrs)))) => gatherer.add(digest, &locator, attrs, position),
            Ok(Some(None)) => {}
            Ok(None) => {
                settled = false;
                let reason = "message of Apple Mail without its length: export the mailbox in Apple Mail";
                gatherer.omit(reason, position(), SkipKind::NotUnderstood);
            }
            Err(error) => {
                settled = false;
                gatherer.omit("unreadable", error.to_string(), SkipKind::Failed);
            }
        }
    }
    let (entries, containers, mut omissions) = gatherer.finish(&folder.mailbox);
    settled &= notes.omissions.is_empty() && (!entries.is_empty() || omissions.is_empty());
    omissions.extend(notes.omissions);
    let cursor = if settled { now } else { String::new() };
    Ok(Listing { containers, entries, omissions, unchanged: false, unnamed: UnlistedItems::Kept, cursor })
}

/// What lies beside the messages of a folder, and what of it is not understood.
struct Notes {
    folder: FolderNotes,
    unknown: BTreeSet<String>,
    omissions: Vec<SkippedItem>,
}

impl Notes {
    fn of(folder: &MessageFolder) -> Notes {
        let notes = folder.path().map(FolderNotes::of).unwrap_or_default();
        let mut all = Notes { folder: notes, unknown: BTreeSet::new(), omissions: Vec::new() };
        for name in std::mem::take(&mut all.folder.strange) {
            let position = folder.root.position(name);
            all.strange(
                ObjectType::FileNode,
                "labels or flags of messages that are not understood, beside .eml or MH files",
                position,
            );
        }
        all
    }

    /// Adds what lies beside a message.
    fn add(&mut self, file: &MessageFile, letter: &mut Letter) {
        let Some(path) = file.place.path() else { return };
        match self.folder.beside(path) {
            Ok(beside) => {
                letter.said.status.merge(beside.status);
                letter.said.mailboxes = beside.mailboxes;
                letter.locator.received = beside.received.or(letter.locator.received);
                for id in beside.unknown {
                    if self.unknown.insert(id.clone()) {
                        let position = format!("{}: {id}", file.position);
                        self.strange(
                            ObjectType::Mailbox,
                            "label of Proton Mail that labels.json does not name",
                            position,
                        );
                    }
                }
            }
            Err(what) => self.strange(ObjectType::FileNode, what, file.position.clone()),
        }
    }

    fn strange(&mut self, kind: ObjectType, what: &str, position: String) {
        let (reason, outcome) = (what.to_owned(), SkipKind::NotUnderstood);
        self.omissions.push(SkippedItem { kind, reason, position, outcome });
    }
}

/// Hands over messages of a folder.
pub(super) fn fetch<'a>(folder: &'a MessageFolder, spool: &'a mut Spool, entries: Vec<Entry>) -> Items<'a> {
    Box::new(entries.into_iter().map(move |entry| {
        let item = Locator::parse(&entry.locator).ok_or_else(|| no_locator(&folder.key)).and_then(|locator| {
            let file = folder.file(&locator.file)?;
            let (handle, stamp) = open(file)?;
            let body = spool.body(&handle, &locator.stretch(), &entry.key, &file.position)?;
            let data = ItemData::Email { received: locator.received, fallback: stamp.seconds() };
            Ok(FetchedItem { key: entry.key.clone(), body, data })
        });
        item.map_err(|error| Failure { key: entry.key, vanished: false, error })
    }))
}

/// The path of the file that an entry stands for, as its key.
pub(super) fn position(folder: &MessageFolder, locator: &Locator) -> String {
    folder
        .file(&locator.file)
        .map_or_else(|_| format!("{}: {}", folder.key, locator.file), |file| file.position.clone())
}

fn open(file: &MessageFile) -> Result<(File, Stamp)> {
    file.place.open().map_err(|error| Error::io(format!("cannot read {}", file.position), error))
}

/// Reads what a file says of its message. `None` if it is not understood.
fn read(file: &MessageFile, handle: &mut File, stamp: &Stamp) -> Result<Option<Letter>> {
    let cannot = |error| Error::io(format!("cannot read {}", file.position), error);
    let mut bytes = Vec::new();
    handle.take(mail::HEAD_MAX as u64).read_to_end(&mut bytes).map_err(cannot)?;
    let (mut offset, mut len) = (0, stamp.size);
    let mut properties = (mbox::Status::default(), None);
    if file.format == Format::AppleMessage {
        match emlx::span(&bytes) {
            Some((start, length)) if start.checked_add(length).is_some_and(|end| end <= stamp.size) => {
                (offset, len) = (start, length);
            }
            _ => return Ok(None),
        }
        let mut list = Vec::new();
        handle.seek(SeekFrom::Start(offset + len)).map_err(cannot)?;
        handle.take(emlx::PROPERTIES_MAX as u64).read_to_end(&mut list).map_err(cannot)?;
        // A length that is wrong would cut the message.
        let behind = list.trim_ascii_start();
        if !behind.is_empty() && !behind.starts_with(b"<?xml") && !behind.starts_with(b"<plist") {
            return Ok(None);
        }
        properties = emlx::properties(&list);
    } else if bytes.starts_with(b"From ") {
        // Some programs save a message with the separator that it had in an mbox.
        let line = memchr::memchr(b'\n', &bytes).map_or(0, |end| end as u64 + 1);
        (offset, len) = (line, len - line.min(len));
    }
    let start = usize::try_from(offset).unwrap_or_default().min(bytes.len());
    let end = start.saturating_add(usize::try_from(len).unwrap_or(usize::MAX)).min(bytes.len());
    let head = mail::header_of(&bytes[start..end]).to_vec();
    let mut status = mbox::status(&head);
    status.merge(properties.0);
    let received = properties.1.or_else(|| mbox::received(&head));
    Ok(Some(Letter {
        locator: Locator { offset, len, unquote: false, received, file: file.name.clone() },
        head,
        said: Said { status, mailboxes: Vec::new() },
    }))
}

/// A cursor that holds as long as all files stay as they are. Empty where something could not be looked at.
fn folder_cursor(folder: &MessageFolder, options: MailOptions) -> String {
    let mut hasher = blake3::Hasher::new();
    let note = |hasher: &mut blake3::Hasher, stamp: Option<Stamp>| {
        let text = stamp.map(|stamp| stamp.cursor("\0")).unwrap_or_default();
        hasher.update(text.as_bytes());
        hasher.update(b"\0");
    };
    if let Some(path) = folder.path() {
        beside::folder_stamps(path).for_each(|stamp| note(&mut hasher, stamp));
    }
    for file in &folder.files {
        let Ok(stamp) = file.place.stamp() else { return String::new() };
        hasher.update(file.name.as_bytes());
        note(&mut hasher, Some(stamp));
        if let Some(path) = file.place.path() {
            beside::stamps(path).for_each(|stamp| note(&mut hasher, stamp));
        }
    }
    format!("b1{}:{}", options.cursor(), Digest(*hasher.finalize().as_bytes()).hex())
}
