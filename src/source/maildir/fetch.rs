//! Reading message files, one after the other, as the caller asks for them.

use super::list::{BOXES, each_name, file_of, key_and_locator, mtime, open_boxes};
use super::tree::Folder;
use crate::error::{Error, ErrorKind, Result};
use crate::format::maildir::{FileName, unescape};
use crate::model::{Body, Digest, Entry, FetchedItem, ItemData};
use crate::source::Failure;
use crate::source::links::may_follow;
use crate::source::unpack::{self, IN_MEMORY, Trouble};
use rustix::fs::{AtFlags, FileType, Mode, OFlags, fstat, openat, statat};
use rustix::io::Errno;
use std::collections::{HashMap, HashSet};
use std::fs::File;
use std::io::{self, Read, Seek};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// A folder is searched for renamed files at most this often.
const SEARCH_AGAIN: Duration = Duration::from_secs(1);

/// The messages of one fetch.
pub(super) struct Fetch<'a> {
    folder: PathBuf,
    spool: &'a Path,
    /// Seconds since 1970: what counts as a date in the future.
    now: i64,
    boxes: [Option<OwnedFd>; 2],
    entries: std::vec::IntoIter<Entry>,
    moved: Option<Moved>,
    /// How many of the messages were links to files outside of the Maildir, at `root`.
    outside: &'a AtomicU64,
    root: &'a Path,
}

/// Where the files of keys are that were not found where the listing said.
struct Moved {
    searched: Instant,
    locators: HashMap<Box<str>, Box<str>>,
}

/// The Maildir that messages are read from.
#[derive(Clone, Copy)]
pub(super) struct MaildirPlace<'a> {
    pub root: &'a Path,
    /// Where large messages are unpacked.
    pub spool: &'a Path,
    /// How many messages were links to files outside of the Maildir.
    pub outside: &'a AtomicU64,
}

impl<'a> Fetch<'a> {
    /// Begins reading `entries` in the directory `folder`.
    ///
    /// # Errors
    /// If `cur` or `new` cannot be opened. That they do not exist is none: then all messages have vanished.
    pub(super) fn start(place: MaildirPlace<'a>, folder: &Folder, entries: Vec<Entry>) -> Result<Fetch<'a>> {
        let MaildirPlace { root, spool, outside } = place;
        let folder = root.join(&folder.dir);
        let boxes = open_boxes(&folder)?;
        let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs() as i64);
        Ok(Fetch { folder, spool, now, boxes, entries: entries.into_iter(), moved: None, outside, root })
    }

    fn read(&mut self, entry: Entry) -> Result<FetchedItem, Failure> {
        let Entry { key, locator, .. } = entry;
        match self.open(&key, &locator) {
            Ok(file) => match self.item(&key, file).map_err(|error| self.describe(error)) {
                Ok((body, data)) => Ok(FetchedItem { key, body, data }),
                Err(error) => Err(Failure { key, vanished: false, error }),
            },
            Err(cause) => {
                let vanished = cause.kind() == io::ErrorKind::NotFound;
                let error = self.describe(Trouble::Io(cause));
                Err(Failure { key, vanished, error })
            }
        }
    }

    /// Opens the file of a key, wherever it is now.
    fn open(&mut self, key: &str, locator: &str) -> io::Result<File> {
        match self.open_at(key, locator) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            opened => return opened,
        }
        // A mail program may have changed its flags, which renames it.
        for search in [false, true] {
            if search && !self.search(key)? {
                break;
            }
            let known = self.moved.as_ref().and_then(|moved| moved.locators.get(key)).cloned();
            if let Some(locator) = known {
                match self.open_at(key, &locator) {
                    Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                    opened => return opened,
                }
            }
        }
        Err(Errno::NOENT.into())
    }

    /// [`io::ErrorKind::NotFound`] says that the name is not there, and nothing else.
    fn open_at(&self, key: &str, locator: &str) -> io::Result<File> {
        let (at, name) = file_of(key, locator).ok_or(Errno::NOENT)?;
        let directory = self.boxes[at].as_ref().ok_or(Errno::NOENT)?;
        // Do not wait for the writer of a pipe.
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        match openat(directory.as_fd(), name.as_slice(), flags, Mode::empty()) {
            Ok(file) => Ok(file.into()),
            Err(Errno::LOOP) => self.open_link(directory, &name),
            Err(error) => Err(error.into()),
        }
    }

    /// Opens the file that a link leads to. Opening what is no file could do harm, so its path is held first.
    fn open_link(&self, directory: &OwnedFd, name: &[u8]) -> io::Result<File> {
        let link = statat(directory, name, AtFlags::SYMLINK_NOFOLLOW)?;
        let held = match openat(directory, name, OFlags::PATH | OFlags::CLOEXEC, Mode::empty()) {
            Ok(held) => held,
            Err(Errno::NOENT) => return Err(io::Error::other("a link that leads nowhere")),
            Err(Errno::LOOP) => return Err(io::Error::other("a link that leads in a circle")),
            Err(error) => return Err(error.into()),
        };
        let target = fstat(&held)?;
        if !FileType::from_raw_mode(target.st_mode).is_file() {
            return Err(io::Error::other("a link to something that is no file"));
        }
        if !may_follow(&link, &target) {
            return Err(io::Error::other(
                "a link to a file of another owner, which root does not read for the owner of the link",
            ));
        }
        let held = format!("/proc/self/fd/{}", held.as_raw_fd());
        let file = File::open(&held)?;
        let is_inside = |place: &Path| {
            place.starts_with(self.root) || self.folder.canonicalize().is_ok_and(|folder| place.starts_with(folder))
        };
        if !std::fs::read_link(held).is_ok_and(|place| is_inside(&place)) {
            self.outside.fetch_add(1, Ordering::Relaxed);
        }
        Ok(file)
    }

    /// Looks where the files of this key and of those still to come are now. False if that was done just before.
    fn search(&mut self, key: &str) -> io::Result<bool> {
        if self.moved.as_ref().is_some_and(|moved| moved.searched.elapsed() < SEARCH_AGAIN) {
            return Ok(false);
        }
        let wanted: HashSet<&str> =
            self.entries.as_slice().iter().map(|entry| entry.key.as_ref()).chain([key]).collect();
        let mut locators = HashMap::new();
        let boxes = open_boxes(&self.folder).map_err(io::Error::other)?;
        for (name, directory) in BOXES.into_iter().zip(&boxes) {
            let Some(directory) = directory else { continue };
            each_name(directory, |file, _, _| {
                let (key, locator) = key_and_locator(name, file.to_bytes());
                if wanted.contains(key.as_ref()) {
                    locators.entry(key).or_insert(locator);
                }
                Ok::<(), Errno>(())
            })?;
        }
        self.boxes = boxes;
        self.moved = Some(Moved { searched: Instant::now(), locators });
        Ok(true)
    }

    fn item(&self, key: &str, mut file: File) -> Result<(Body, ItemData), Trouble> {
        let stat = fstat(&file).map_err(|error| Trouble::Io(error.into()))?;
        if !FileType::from_raw_mode(stat.st_mode).is_file() {
            return Err(Trouble::Io(io::Error::new(io::ErrorKind::InvalidInput, "not a regular file")));
        }
        let raw = unescape(key);
        let name = FileName::parse(&raw);
        // A clock that is behind makes no date of a name one from the future, if the file itself is of that time.
        let written = mtime(&stat).0;
        let data = ItemData::Email { received: name.received(self.now.max(written)), fallback: written };
        let length = u64::try_from(stat.st_size).unwrap_or_default();
        let mut bytes = Vec::with_capacity(length.min(IN_MEMORY) as usize + 1);
        if length <= IN_MEMORY {
            file.by_ref().take(IN_MEMORY + 1).read_to_end(&mut bytes).map_err(Trouble::Io)?;
        } else {
            file.by_ref().take(unpack::HEAD).read_to_end(&mut bytes).map_err(Trouble::Io)?;
        }
        let is_whole = length <= IN_MEMORY && bytes.len() as u64 <= IN_MEMORY;
        if let Some(packing) = unpack::Packing::of(&bytes) {
            let limits = unpack::Limits { packed: length, claimed: name.size() };
            let unpacked = match is_whole {
                true => packing.unpack(bytes.as_slice(), limits, self.spool),
                false => {
                    file.rewind().map_err(Trouble::Io)?;
                    packing.unpack(io::BufReader::with_capacity(128 << 10, &file), limits, self.spool)
                }
            };
            if let Some(body) = unpacked? {
                return Ok((body, data));
            }
        }
        if is_whole {
            return Ok((Body::Bytes(bytes), data));
        }
        file.rewind().map_err(Trouble::Io)?;
        Ok((Body::File(file), data))
    }

    /// The error, without the place: the report names that, and counts by the reason.
    fn describe(&self, trouble: Trouble) -> Error {
        match trouble {
            Trouble::Io(cause) => Error::io("cannot be read", cause),
            Trouble::Spool(cause) => Error::io(format!("cannot be unpacked into {}", self.spool.display()), cause),
            Trouble::TooLarge(reason) => Error::new(ErrorKind::Storage, format!("compressed, and {reason}"))
                .hint("if this is a real message, unpack the file in its place and run the command again"),
        }
    }
}

impl Iterator for Fetch<'_> {
    type Item = Result<FetchedItem, Failure>;

    fn next(&mut self) -> Option<Self::Item> {
        let entry = self.entries.next()?;
        Some(self.read(entry))
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        self.entries.size_hint()
    }
}

/// The digests of messages, as they would be stored; `None` for one that cannot be read.
pub(super) fn digests(fetch: Fetch<'_>) -> Vec<Option<Digest>> {
    let digest = |body| match body {
        Body::Bytes(bytes) => Some(Digest::of(&bytes)),
        Body::File(file) => Digest::of_file(file).ok(),
        Body::Part { .. } | Body::Absent => None,
    };
    fetch.map(|item| item.ok().and_then(|item| digest(item.body))).collect()
}
