//! Mail of an export: mbox files whose messages say in their headers which labels they have.

use std::collections::{BTreeSet, HashMap};
use std::fs::File;
use std::ops::Range;
use std::sync::Arc;

use super::spool::{Spool, Stretch};
use super::walk::ExportFile;
use super::{Listed, walk::Stamp};
use crate::error::Result;
use crate::format::labels;
use crate::format::mbox::{self, Message, Scanner};
use crate::model::{Attrs, Container, Digest, Entry, Item, ItemData, Kind, Omission, Outcome};
use crate::source::{Failure, Items, Listing, Unnamed};

/// The mailbox of messages without label in a file without name.
const IMPORTED: &str = "Imported";
/// Sets of labels that are remembered at a time, and the longest such set in bytes.
const KNOWN_LABELS: usize = 4096;
const KNOWN_LENGTH: usize = 1024;

/// Where the bytes of a message are. Its text is `offset,length,quoting,date`; an unknown date is empty.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Locator {
    pub(super) offset: u64,
    len: u64,
    unquote: bool,
    received: Option<i64>,
}

impl Locator {
    pub(super) fn parse(text: &str) -> Option<Locator> {
        let mut fields = text.split(',');
        let offset = fields.next()?.parse().ok()?;
        let len = fields.next()?.parse().ok()?;
        let unquote = fields.next()? == "rd";
        let received = match fields.next()? {
            "" => None,
            date => Some(date.parse().ok()?),
        };
        Some(Locator { offset, len, unquote, received })
    }

    fn text(&self) -> Box<str> {
        let quoting = if self.unquote { "rd" } else { "" };
        let received = self.received.map(|date| date.to_string()).unwrap_or_default();
        format!("{},{},{quoting},{received}", self.offset, self.len).into()
    }

    fn stretch(&self) -> Stretch {
        Stretch { range: self.offset..self.offset.saturating_add(self.len), unquote: self.unquote }
    }
}

/// Lists the messages of an mbox.
pub(super) fn list(file: &ExportFile, automap: bool, spool: &mut Spool, cursor: &str) -> Result<Listed> {
    let (handle, stamp) = file.open()?;
    let now = stamp.cursor(if automap { "m1" } else { "m1-noautomap" });
    if cursor == now {
        let listing = Listing { unchanged: true, cursor: now, ..Listing::default() };
        return Ok(Listed { listing, plain: None });
    }
    let mut reader = Reader::new(file, &handle, automap, spool);
    let leading = reader.scan()?;
    let Reader { entries, mut omissions, .. } = reader;
    let mut plain = None;
    if entries.is_empty() && !leading.is_empty() {
        plain = Some("not an mbox");
        omissions.push(super::plain::kept(file, "not an mbox"));
    } else if !leading.is_empty() {
        omissions.push(Omission {
            kind: Kind::Email,
            reason: "text before the first message".to_owned(),
            position: format!("{}: offset {}", file.key, leading.start),
            outcome: Outcome::Skipped,
        });
    }
    let containers = containers(&entries, automap);
    let settled = handle.metadata().is_ok_and(|metadata| Stamp::of(&metadata) == stamp);
    let cursor = if settled { now } else { String::new() };
    Ok(Listed {
        listing: Listing { containers, entries, omissions, unchanged: false, unnamed: Unnamed::Kept, cursor },
        plain,
    })
}

/// Hands over messages of an mbox.
pub(super) fn fetch<'a>(file: &'a ExportFile, spool: &'a mut Spool, entries: Vec<Entry>) -> Result<Items<'a>> {
    let (handle, stamp) = file.open()?;
    Ok(Box::new(entries.into_iter().map(move |entry| {
        let locator = Locator::parse(&entry.locator).ok_or_else(|| super::no_locator(&file.key));
        let body = locator.and_then(|locator| {
            let name = format!("{}: offset {}", file.key, locator.offset);
            let body = spool.body(&handle, &locator.stretch(), &entry.key, &name)?;
            Ok((body, locator.received))
        });
        match body {
            Ok((body, received)) => {
                let data = ItemData::Email { received, fallback: stamp.seconds() };
                Ok(Item { key: entry.key, body, data })
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
    Ok((found.is_none() && !scanner.leading().is_empty()).then_some("not an mbox"))
}

struct Reader<'a> {
    file: &'a ExportFile,
    handle: &'a File,
    automap: bool,
    spool: &'a mut Spool,
    /// What the label fields of a message say, by their bytes.
    known: HashMap<Vec<u8>, Arc<Attrs>>,
    head: Vec<u8>,
    piece: Vec<u8>,
    entries: Vec<Entry>,
    /// Which entry has these bytes.
    places: HashMap<Digest, usize>,
    omissions: Vec<Omission>,
}

impl<'a> Reader<'a> {
    fn new(file: &'a ExportFile, handle: &'a File, automap: bool, spool: &'a mut Spool) -> Reader<'a> {
        Reader {
            file,
            handle,
            automap,
            spool,
            known: HashMap::new(),
            head: Vec::new(),
            piece: Vec::new(),
            entries: Vec::new(),
            places: HashMap::new(),
            omissions: Vec::new(),
        }
    }

    /// Finds all messages and returns where the text before the first one is.
    fn scan(&mut self) -> Result<Range<u64>> {
        let mut scanner = Scanner::new(self.handle);
        // A quoted message has its bytes once it is known whether the file is an mboxrd, perhaps at its end only.
        let mut undecided = Vec::new();
        while let Some(message) = scanner.next_message().map_err(|error| self.file.failed(error))? {
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
            self.entries.sort_by_cached_key(|entry| Locator::parse(&entry.locator).map(|locator| locator.offset));
        }
        Ok(scanner.leading())
    }

    /// Makes an entry of a message, or joins its labels to those of the entry with the same bytes.
    fn add(&mut self, message: &Message, unquote: bool) -> Result<()> {
        let locator = Locator { offset: message.offset, len: message.len, unquote, received: message.date };
        let digest = self.spool.digest(self.handle, &locator.stretch()).map_err(|error| self.file.failed(error))?;
        let attrs = self.attrs(message)?;
        if let Some(entry) = self.places.get(&digest).and_then(|&place| self.entries.get_mut(place)) {
            entry.attrs = union(&entry.attrs, &attrs);
            self.omissions.push(Omission {
                kind: Kind::Email,
                reason: "same message twice in a file".to_owned(),
                position: format!("{}: offset {}", self.file.key, message.offset),
                outcome: Outcome::Duplicate,
            });
            return Ok(());
        }
        self.places.insert(digest, self.entries.len());
        self.entries.push(Entry { key: digest.hex().into(), rev: "".into(), locator: locator.text(), attrs });
        Ok(())
    }

    fn attrs(&mut self, message: &Message) -> Result<Arc<Attrs>> {
        self.head.clear();
        let range = message.offset..message.offset + message.head;
        mbox::copy(self.handle, range, &mut self.piece, &mut self.head).map_err(|error| self.file.failed(error))?;
        let fields = labels::fields(&self.head);
        let raw = fields.join(&b'\n');
        if let Some(known) = self.known.get(&raw) {
            return Ok(known.clone());
        }
        let labels = labels::parse(&fields, self.automap);
        let mut parents = labels.mailboxes;
        if parents.is_empty() {
            parents.push(labels::mailbox(&self.file.stem, self.automap).unwrap_or_else(|| IMPORTED.to_owned()));
        }
        let attrs = Arc::new(Attrs { keywords: labels.keywords, parents });
        if self.known.len() >= KNOWN_LABELS {
            self.known.clear();
        }
        if raw.len() <= KNOWN_LENGTH {
            self.known.insert(raw, attrs.clone());
        }
        Ok(attrs)
    }
}

fn union(one: &Arc<Attrs>, other: &Arc<Attrs>) -> Arc<Attrs> {
    if one == other {
        return one.clone();
    }
    let all = |one: &[String], other: &[String]| {
        one.iter().chain(other).cloned().collect::<BTreeSet<String>>().into_iter().collect()
    };
    Arc::new(Attrs { keywords: all(&one.keywords, &other.keywords), parents: all(&one.parents, &other.parents) })
}

/// The mailboxes that the entries lie in and those above them, parents first.
fn containers(entries: &[Entry], automap: bool) -> Vec<Container> {
    let mut paths = BTreeSet::new();
    let mut last = None;
    for entry in entries {
        if last.is_some_and(|last| Arc::ptr_eq(last, &entry.attrs)) {
            continue;
        }
        last = Some(&entry.attrs);
        for parent in &entry.attrs.parents {
            if !paths.contains(parent.as_str()) {
                paths.extend(labels::ancestry(parent));
            }
        }
    }
    // A path sorts behind those that it begins with.
    let container = |path: &str| {
        let parent = labels::parent(path);
        let name = parent.map_or(path, |parent| &path[parent.len() + 1..]);
        let mut container = Container::new(Kind::Mailbox, path, parent.map(str::to_owned), name);
        container.role = labels::role(path).filter(|_| automap).map(str::to_owned);
        container
    };
    paths.into_iter().map(container).collect()
}

#[cfg(test)]
mod tests {
    use super::Locator;

    #[test]
    fn locators() {
        for (unquote, received) in [(true, Some(-5)), (false, None), (true, None)] {
            let locator = Locator { offset: u64::MAX, len: 0, unquote, received };
            assert_eq!(Locator::parse(&locator.text()), Some(locator));
        }
        for text in ["", "1", "1,2", "1,2,rd", "-1,2,,", "1,2,,x"] {
            assert_eq!(Locator::parse(text), None, "{text}");
        }
    }
}
