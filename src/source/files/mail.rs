//! mbox files of an export: their messages say in their headers which labels and flags they have.

use super::found::ExportFile;
use super::gather::{Gatherer, Locator, MailOptions, Said};
use super::kinds;
use super::listed::{Listed, kept, no_locator};
use super::spool::Spool;
use crate::error::Result;
use crate::format::mbox::{self, MboxMessage, Scanner};
use crate::model::{Entry, FetchedItem, ItemData, ObjectType, SkipKind, SkippedItem};
use crate::source::{Failure, Items, Listing, UnlistedItems};
use std::fs::File;
use std::ops::Range;

const NO_MBOX: &str = "not an mbox";

/// Lists the messages of an mbox.
pub(super) fn list(file: &ExportFile, options: MailOptions, spool: &mut Spool, cursor: &str) -> Result<Listed> {
    let stamp = file.stamp()?;
    let now = stamp.cursor(&options.cursor());
    if cursor == now {
        let listing = Listing { unchanged: true, cursor: now, ..Listing::default() };
        return Ok(Listed { listing, plain: None });
    }
    let (handle, _) = file.open()?;
    let gatherer = Gatherer::new(options, &file.root);
    let mut reader = Reader { file, handle: &handle, spool, gatherer, head: Vec::new(), piece: Vec::new() };
    let Scanned { leading, has_messages, is_gmail } = reader.scan()?;
    // Gmail's files are no folders, though they may lie in some: labels are.
    let unlabelled = if is_gmail && file.root.mailbox().is_none() { &file.stem } else { &file.mailbox };
    let (entries, containers, mut omissions) = reader.gatherer.finish(unlabelled);
    let mut plain = None;
    // A file of which nothing is stored, or something is not understood, is read at each run, so that each run says so.
    let mut settled = file.stamp().is_ok_and(|now| now == stamp);
    if !has_messages && !leading.is_empty() {
        plain = Some(NO_MBOX);
        omissions.push(no_mbox(file, &handle)?);
    } else if !leading.is_empty() {
        settled = false;
        omissions.push(SkippedItem {
            kind: ObjectType::Email,
            reason: "text before the first message".to_owned(),
            position: format!("{}: offset {}", file.position, leading.start),
            outcome: SkipKind::NotUnderstood,
        });
    }
    settled &= !entries.is_empty() || omissions.is_empty();
    let cursor = if settled { now } else { String::new() };
    Ok(Listed {
        listing: Listing { containers, entries, omissions, unchanged: false, unnamed: UnlistedItems::Kept, cursor },
        plain,
    })
}

/// The line of the report on a file without a message. One that is packed or encrypted may well have some.
fn no_mbox(file: &ExportFile, handle: &File) -> Result<SkippedItem> {
    let mut head = Vec::new();
    mbox::copy(handle, 0..kinds::HEAD as u64, &mut Vec::new(), &mut head).map_err(|error| file.failed(error))?;
    let kept = kept(file, NO_MBOX);
    Ok(match kinds::wrapped(&head) {
        Some(reason) => SkippedItem { reason, outcome: SkipKind::NotUnderstood, ..kept },
        None => kept,
    })
}

/// Hands over messages of an mbox.
pub(super) fn fetch<'a>(file: &'a ExportFile, spool: &'a mut Spool, entries: Vec<Entry>) -> Result<Items<'a>> {
    let (handle, stamp) = file.open()?;
    Ok(Box::new(entries.into_iter().map(move |entry| {
        let locator = Locator::parse(&entry.locator).ok_or_else(|| no_locator(&file.position));
        let body = locator.and_then(|locator| {
            let name = format!("{}: offset {}", file.position, locator.offset);
            let body = spool.body(&handle, &locator.stretch(), &entry.key, &name)?;
            Ok((body, locator.received))
        });
        match body {
            Ok((body, received)) => {
                let data = ItemData::Email { received, fallback: stamp.seconds() };
                Ok(FetchedItem { key: entry.key, body, data })
            }
            Err(error) => Err(Failure { key: entry.key, vanished: false, error }),
        }
    })))
}

/// Whether there is no message in a file that is not empty.
pub(super) fn is_plain(file: &ExportFile) -> Result<Option<&'static str>> {
    let (handle, _) = file.open()?;
    let mut scanner = Scanner::new(&handle);
    let found = scanner.next_message().map_err(|error| file.failed(error))?;
    Ok((found.is_none() && !scanner.leading().is_empty()).then_some(NO_MBOX))
}

struct Reader<'a> {
    file: &'a ExportFile,
    handle: &'a File,
    spool: &'a mut Spool,
    gatherer: Gatherer,
    head: Vec<u8>,
    piece: Vec<u8>,
}

/// The facts about a file once all of it was read.
struct Scanned {
    /// The text before the first message.
    leading: Range<u64>,
    /// Whether there is a message, taken or left out.
    has_messages: bool,
    is_gmail: bool,
}

impl Reader<'_> {
    /// Finds all messages.
    fn scan(&mut self) -> Result<Scanned> {
        let mut scanner = Scanner::new(self.handle);
        // A quoted message has its bytes once it is known whether the file is an mboxrd, perhaps at its end only.
        let mut undecided = Vec::new();
        let mut has_messages = false;
        while let Some(message) = scanner.next_message().map_err(|error| self.file.failed(error))? {
            has_messages = true;
            if message.quoted && !scanner.is_mboxrd() {
                undecided.push(message);
            } else {
                self.add(&message, message.quoted)?;
            }
        }
        if !undecided.is_empty() {
            for message in undecided {
                self.add(&message, scanner.is_mboxrd())?;
            }
            let offset = |entry: &Entry| Locator::parse(&entry.locator).map(|locator| locator.offset);
            self.gatherer.entries.sort_by_cached_key(offset);
        }
        let (doubtful, count) = scanner.doubtful();
        for offset in doubtful {
            let position = format!("{}: offset {offset}", self.file.position);
            self.gatherer.omit("line like a separator, taken for text", position, SkipKind::Skipped);
        }
        let more = count.saturating_sub(doubtful.len() as u64);
        if more > 0 {
            let position = format!("{}: {more} more", self.file.position);
            self.gatherer.omit("line like a separator, taken for text", position, SkipKind::Skipped);
        }
        Ok(Scanned { leading: scanner.leading(), has_messages, is_gmail: scanner.is_gmail() })
    }

    fn add(&mut self, message: &MboxMessage, unquote: bool) -> Result<()> {
        self.head.clear();
        let range = message.offset..message.offset + message.head;
        mbox::copy(self.handle, range, &mut self.piece, &mut self.head).map_err(|error| self.file.failed(error))?;
        let position = || format!("{}: offset {}", self.file.position, message.offset);
        let said = Said { status: mbox::status(&self.head), mailboxes: Vec::new() };
        let Some(attrs) = self.gatherer.judge(&self.head, said, position) else { return Ok(()) };
        let locator = Locator {
            offset: message.offset,
            len: message.len,
            unquote,
            received: message.date.or_else(|| mbox::received(&self.head)),
            file: String::new(),
        };
        let digest = self.spool.digest(self.handle, &locator.stretch()).map_err(|error| self.file.failed(error))?;
        self.gatherer.add(digest, &locator, attrs, position);
        Ok(())
    }
}
