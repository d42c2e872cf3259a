//! Reading messages: what mox keeps of one in its record, and behind it what is in its file.

use super::database::Database;
use super::files::{MessageFiles, path_of};
use super::records::{Now, Records, size_and_date};
use crate::error::{Error, ErrorKind, Result};
use crate::model::{Body, Digest, Entry, FetchedItem, ItemData};
use crate::source::Failure;
use rustix::fs::fstat;
use std::fs::File;
use std::io::{self, Read, Seek, Write};
use std::path::Path;

/// A message up to this many bytes is held in memory.
const IN_MEMORY: u64 = 16 << 20;

/// The header of a message is looked for in so many bytes.
const HEAD: u64 = 1 << 20;

/// Messages that are named in a notice at most.
const NAMED: usize = 5;

/// What is needed to read messages.
pub(super) struct FetchPlace<'a> {
    pub database: &'a Database,
    pub records: &'a mut Records,
    pub files: &'a mut MessageFiles,
    /// Where large messages of two parts are put together.
    pub spool: &'a Path,
    pub oddities: &'a mut Oddities,
}

/// Messages that are not as large as mox says.
#[derive(Default)]
pub(super) struct Oddities {
    count: u64,
    named: Vec<String>,
}

impl Oddities {
    fn add(&mut self, id: i64, recorded: u64, real: u64) {
        self.count += 1;
        if self.named.len() < NAMED {
            self.named.push(format!("{} has {real} bytes, and not {recorded}", path_of(id)));
        }
    }

    /// What the user should know of them.
    pub(super) fn notice(&self) -> Option<String> {
        let what = match self.count {
            0 => return None,
            1 => "1 message is".to_owned(),
            count => format!("{count} messages are"),
        };
        let more = if self.count > self.named.len() as u64 { ", …" } else { "" };
        Some(format!("{what} not as large as mox's record says, and stored as found: {}{more}", self.named.join(", ")))
    }
}

/// The messages of one fetch.
pub(super) struct Fetch<'a> {
    place: FetchPlace<'a>,
    entries: std::vec::IntoIter<Entry>,
}

/// The parts of a message.
struct Parts {
    prefix: Vec<u8>,
    /// `None` if there is none, and none is needed.
    file: Option<(File, u64)>,
}

/// Why a message cannot be handed over.
enum Trouble {
    /// mox has expunged it meanwhile.
    Vanished,
    Other(Error),
}

impl From<Error> for Trouble {
    fn from(error: Error) -> Trouble {
        Trouble::Other(error)
    }
}

impl<'a> Fetch<'a> {
    pub(super) fn start(place: FetchPlace<'a>, entries: Vec<Entry>) -> Fetch<'a> {
        Fetch { place, entries: entries.into_iter() }
    }

    fn read(&mut self, entry: &Entry) -> Result<(Body, ItemData), Trouble> {
        let (id, prefix_length) = numbers(entry).ok_or_else(foreign_entry)?;
        let (size, received) = size_and_date(&entry.rev);
        let Parts { mut prefix, file } = self.place.parts(id, prefix_length, size)?;
        let cannot = |cause| Error::io("cannot be read", cause);
        let Some((mut file, length)) = file else {
            let data = ItemData::Email { received, fallback: 0 };
            return Ok((Body::Bytes(prefix), data));
        };
        // The types of this field differ between platforms.
        #[allow(clippy::unnecessary_cast)]
        let fallback = fstat(&file).map_err(|error| cannot(error.into()))?.st_mtime as i64;
        let data = ItemData::Email { received, fallback };
        let before = prefix.len() as u64;
        if before + length <= IN_MEMORY {
            (&file).take(IN_MEMORY).read_to_end(&mut prefix).map_err(cannot)?;
            self.place.compare(id, size, prefix.len() as u64);
            return Ok((Body::Bytes(prefix), data));
        }
        self.place.compare(id, size, before + length);
        if prefix.is_empty() {
            return Ok((Body::File(file), data));
        }
        let spool = self.place.spool;
        let spooled = |cause| Error::io(format!("cannot be written to {}", spool.display()), cause);
        let mut whole = tempfile::tempfile_in(spool).map_err(spooled)?;
        whole.write_all(&prefix).map_err(spooled)?;
        io::copy(&mut file, &mut whole).map_err(spooled)?;
        whole.rewind().map_err(spooled)?;
        Ok((Body::File(whole), data))
    }
}

impl FetchPlace<'_> {
    /// The parts of a message. The file is looked for first in the newest state of the account, if it is not there.
    fn parts(&mut self, id: i64, prefix_length: u64, size: u64) -> Result<Parts, Trouble> {
        let prefix = match prefix_length {
            0 => Vec::new(),
            _ => self.prefix(id)?,
        };
        match self.files.message(id) {
            Ok(file) => Ok(Parts { prefix, file: Some(file) }),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let is_there = matches!(self.find(id)?, Now::There(_) | Now::Broken(_));
                match is_there {
                    false => Err(Trouble::Vanished),
                    true if prefix.len() as u64 == size => Ok(Parts { prefix, file: None }),
                    true => Err(Error::new(ErrorKind::Storage, "its file is not there").into()),
                }
            }
            Err(error) => Err(Error::io("cannot be read", error).into()),
        }
    }

    fn prefix(&mut self, id: i64) -> Result<Vec<u8>, Trouble> {
        match self.find(id)? {
            Now::There(prefix) => Ok(prefix),
            Now::Missing | Now::Expunged => Err(Trouble::Vanished),
            Now::Broken(why) => {
                Err(Error::new(ErrorKind::Storage, format!("a record of mox that cannot be read: {why}")).into())
            }
        }
    }

    fn find(&mut self, id: i64) -> Result<Now> {
        Ok(self.records.find(self.database, &[id])?.pop().unwrap_or(Now::Missing))
    }

    fn compare(&mut self, id: i64, recorded: u64, real: u64) {
        if recorded != real {
            self.oddities.add(id, recorded, real);
        }
    }
}

/// The number of a message, and how much of it is in its record.
fn numbers(entry: &Entry) -> Option<(i64, u64)> {
    Some((entry.key.parse().ok()?, entry.locator.parse().ok()?))
}

fn foreign_entry() -> Error {
    Error::new(ErrorKind::Storage, "it is none of this source")
}

impl Iterator for Fetch<'_> {
    type Item = Result<FetchedItem, Failure>;

    fn next(&mut self) -> Option<Self::Item> {
        let entry = self.entries.next()?;
        Some(match self.read(&entry) {
            Ok((body, data)) => Ok(FetchedItem { key: entry.key, body, data }),
            Err(Trouble::Vanished) => {
                let error = Error::new(ErrorKind::NotFound, "expunged meanwhile");
                Err(Failure { key: entry.key, vanished: true, error })
            }
            Err(Trouble::Other(error)) => Err(Failure { key: entry.key, vanished: false, error }),
        })
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        self.entries.size_hint()
    }
}

/// The digests of messages, as they would be stored; `None` for one that cannot be read.
pub(super) fn digests(place: FetchPlace<'_>, entries: Vec<Entry>) -> Vec<Option<Digest>> {
    let digest = |body| match body {
        Body::Bytes(bytes) => Some(Digest::of(&bytes)),
        Body::File(file) => Digest::of_file(file).ok(),
        Body::Part { .. } | Body::Absent => None,
    };
    Fetch::start(place, entries).map(|item| item.ok().and_then(|item| digest(item.body))).collect()
}

/// The header of each message; `None` for one that cannot be read.
pub(super) fn heads(place: &mut FetchPlace<'_>, entries: &[Entry]) -> Vec<Option<Vec<u8>>> {
    let mut head = |entry: &Entry| {
        let (id, prefix_length) = numbers(entry)?;
        let (size, _) = size_and_date(&entry.rev);
        let Parts { mut prefix, file } = place.parts(id, prefix_length, size).ok()?;
        if let Some((file, _)) = file {
            file.take(HEAD).read_to_end(&mut prefix).ok()?;
        }
        Some(prefix)
    };
    entries.iter().map(&mut head).collect()
}
