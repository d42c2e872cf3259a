//! Listing a folder: one look at every file name, one `fstatat` a message, nothing opened.

use super::stray;
use super::tree::{Folder, is_mailbox};
use crate::error::{Error, Result};
use crate::format::maildir::{FileName, Flags, Keywords, escape, unescape};
use crate::model::{Attrs, Digest, Entry, ObjectType, SkipKind, SkippedItem};
use crate::source::{Listing, UnlistedItems, links};
use rustix::fs::{AtFlags, FileType, Mode, OFlags, RawDir, Stat, fstat, lstat, open, statat};
use rustix::io::Errno;
use std::collections::HashMap;
use std::ffi::{CStr, OsStr};
use std::hash::{BuildHasher, RandomState};
use std::io::{self, Read};
use std::ops::Range;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// The two directories of a mailbox with messages, in the order in which they count.
pub(super) const BOXES: [&str; 2] = ["cur", "new"];

/// How often a folder is read again because something moved in it meanwhile.
const ATTEMPTS: usize = 3;
/// Longer than the clock stands still that file systems stamp changes with.
const TICK: Duration = Duration::from_millis(15);
/// Bytes of directory entries that are taken from the kernel at once.
const CHUNK: usize = 256 << 10;
/// More of a `dovecot-keywords` file is not read.
const LARGEST_KEYWORDS: u64 = 64 << 10;
/// The `rev` of a file that could not be looked at: fetching it says why, and it does not pass for deleted.
const UNKNOWN_REV: &str = "?";
/// The reason to skip a device, a socket or a pipe.
const NO_FILE: &str = "not a regular file";

/// Lists a folder. Entries come in the order of their inodes, in which a disk reads them fastest.
///
/// A file that a mail program renames while the directory is read may show up twice or not at all, so the folder is
/// read again until it stood still. If it never does, what any attempt saw counts as there: a message that is gone
/// will be found so by the next run, whereas one that was only missed must not pass for deleted.
pub(super) fn list(root: &Path, folder: &Folder, include_deleted: bool) -> Result<Listing> {
    let path = root.join(&folder.dir);
    let failed = |cause: io::Error| Error::io(format!("cannot read {}", path.display()), cause);
    let table = read_keywords(&path).map_err(failed)?;
    let mut earlier: Option<Scan<'_>> = None;
    for _ in 0..ATTEMPTS {
        let mut scan = Scan::new(folder, &path, &table, include_deleted);
        let boxes = open_boxes(&path)?;
        let before = settled_stamps(&boxes).map_err(failed)?;
        for (name, directory) in BOXES.into_iter().zip(&boxes) {
            if let Some(directory) = directory {
                let failed = |cause: Errno| Error::io(format!("cannot read {}/{name}", path.display()), cause.into());
                scan.read(name, directory).map_err(failed)?;
            }
        }
        let is_settled = stamps(&boxes).map_err(failed)? == before;
        if !is_settled {
            scan.add_missing(earlier);
        }
        earlier = Some(scan);
        if is_settled {
            break;
        }
    }
    let Some(mut scan) = earlier else { return Ok(Listing::default()) };
    scan.tell_undelivered(&path);
    Ok(scan.finish())
}

/// Opens `cur` and `new`. One that does not exist holds nothing; one that is no directory is an error.
pub(super) fn open_boxes(folder: &Path) -> Result<[Option<OwnedFd>; 2]> {
    let open_box = |name| {
        let path = folder.join(name);
        match links::check(&path) {
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
                return Err(Error::io(format!("cannot read {}", path.display()), error));
            }
            _ => {}
        }
        match open(&path, OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty()) {
            Ok(directory) => Ok(Some(directory)),
            // A link whose target is not mounted is there all the same; its messages are not gone.
            Err(Errno::NOENT) if matches!(lstat(&path), Err(Errno::NOENT)) => Ok(None),
            Err(error) => Err(Error::io(format!("cannot read {}", path.display()), error.into())),
        }
    };
    Ok([open_box(BOXES[0])?, open_box(BOXES[1])?])
}

/// Calls `found` with each name in a directory, its type and its inode: a chunk at a time in the order of inodes.
pub(super) fn each_name<E: From<Errno>>(
    directory: impl AsFd,
    mut found: impl FnMut(&CStr, FileType, u64) -> Result<(), E>,
) -> Result<(), E> {
    let mut buffer = Vec::with_capacity(CHUNK);
    let mut entries = RawDir::new(directory, buffer.spare_capacity_mut());
    let mut names: Vec<u8> = Vec::new();
    let mut chunk: Vec<(u64, FileType, Range<usize>)> = Vec::new();
    loop {
        match entries.next() {
            Some(entry) => {
                let entry = entry?;
                let name = entry.file_name().to_bytes_with_nul();
                if !matches!(name, b".\0" | b"..\0") {
                    let start = names.len();
                    names.extend_from_slice(name);
                    chunk.push((entry.ino(), entry.file_type(), start..names.len()));
                }
                if !entries.is_buffer_empty() {
                    continue;
                }
            }
            None if chunk.is_empty() => return Ok(()),
            None => {}
        }
        chunk.sort_unstable_by_key(|&(inode, ..)| inode);
        for (inode, file_type, name) in chunk.drain(..) {
            // The kernel ends every name with its only NUL.
            if let Ok(name) = CStr::from_bytes_with_nul(&names[name]) {
                found(name, file_type, inode)?;
            }
        }
        names.clear();
    }
}

/// The key of a message file and its locator: the directory and what follows the key in the name.
pub(super) fn key_and_locator(directory: &str, name: &[u8]) -> (Box<str>, Box<str>) {
    let FileName { unique, info } = FileName::parse(name);
    (escape(unique).into(), format!("{directory}/{}", escape(info)).into())
}

/// The directory and the name of the file that an entry stands for. `None` for a locator that is none of ours.
pub(super) fn file_of(key: &str, locator: &str) -> Option<(usize, Vec<u8>)> {
    let (directory, info) = locator.split_once('/')?;
    let at = BOXES.iter().position(|&name| name == directory)?;
    let mut name = unescape(key);
    name.extend(unescape(info));
    (!name.is_empty() && !name.contains(&b'/') && !name.contains(&0)).then_some((at, name))
}

/// The file that an entry stands for, for messages: `cur/name:2,S`.
pub(super) fn file_shown(key: &str, locator: &str) -> String {
    match locator.split_once('/') {
        Some((directory, info)) => format!("{directory}/{key}{info}"),
        None => key.to_owned(),
    }
}

fn read_keywords(folder: &Path) -> io::Result<Keywords> {
    let mut bytes = Vec::new();
    match std::fs::File::open(folder.join("dovecot-keywords")) {
        Ok(file) if file.metadata()?.is_file() => {
            file.take(LARGEST_KEYWORDS).read_to_end(&mut bytes)?;
        }
        Ok(_) => {}
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(error),
    }
    Ok(Keywords::parse(&bytes))
}

/// Like [`stamps`], but not so young that a change yet to come could get the same stamp.
fn settled_stamps(boxes: &[Option<OwnedFd>; 2]) -> io::Result<[Option<(i64, i64)>; 2]> {
    let stamps_now = stamps(boxes)?;
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let age = |(seconds, nanoseconds): (i64, i64)| {
        let nanoseconds = i128::from(seconds) * 1_000_000_000 + i128::from(nanoseconds);
        nanoseconds.abs_diff(now.as_nanos().try_into().unwrap_or(i128::MAX))
    };
    if stamps_now.into_iter().flatten().all(|stamp| age(stamp) > TICK.as_nanos()) {
        return Ok(stamps_now);
    }
    std::thread::sleep(TICK);
    stamps(boxes)
}

/// When each directory changed last: names were added, removed or renamed.
fn stamps(boxes: &[Option<OwnedFd>; 2]) -> io::Result<[Option<(i64, i64)>; 2]> {
    let stamp = |directory: &Option<OwnedFd>| match directory {
        Some(directory) => {
            let stat = fstat(directory)?;
            Ok::<_, io::Error>(Some((mtime(&stat).0, mtime(&stat).1)))
        }
        None => Ok(None),
    };
    Ok([stamp(&boxes[0])?, stamp(&boxes[1])?])
}

/// When a file changed last: seconds since 1970 and nanoseconds.
pub(super) fn mtime(stat: &Stat) -> (i64, i64) {
    // The types of these fields differ between platforms.
    #[allow(clippy::unnecessary_cast)]
    (stat.st_mtime as i64, stat.st_mtime_nsec as i64)
}

/// The kind of file that a name in a directory stands for.
pub(super) enum FileKind {
    File(Stat),
    Directory,
    /// A device, a pipe, a socket.
    Other,
}

impl FileKind {
    fn at(stat: Stat) -> FileKind {
        match FileType::from_raw_mode(stat.st_mode) {
            FileType::RegularFile => FileKind::File(stat),
            FileType::Directory => FileKind::Directory,
            _ => FileKind::Other,
        }
    }
}

/// Looks at a name; through a link, if it is one.
///
/// # Errors
/// [`Errno::NOENT`] if there is no such name, another one for a link that cannot be followed: what stands there is not
/// gone.
pub(super) fn look(directory: impl AsFd, name: &CStr) -> Result<FileKind, Errno> {
    let directory = directory.as_fd();
    let stat = statat(directory, name, AtFlags::SYMLINK_NOFOLLOW)?;
    if FileType::from_raw_mode(stat.st_mode) != FileType::Symlink {
        return Ok(FileKind::at(stat));
    }
    match statat(directory, name, AtFlags::empty()) {
        Ok(target) if links::may_follow(&stat, &target) => Ok(FileKind::at(target)),
        Ok(_) => Err(Errno::PERM),
        Err(Errno::NOENT) => Err(Errno::NXIO),
        Err(error) => Err(error),
    }
}

/// A listing in the making.
struct Scan<'a> {
    folder: &'a Folder,
    /// The directory of the folder.
    path: &'a Path,
    table: &'a Keywords,
    include_deleted: bool,
    attrs: HashMap<Flags, Arc<Attrs>>,
    /// Entries with the inode of each, by which they are sorted in the end.
    entries: Vec<(u64, Entry)>,
    /// The place in `entries` by the hash of a key. Two keys with one hash are told apart by looking.
    places: HashMap<u64, usize>,
    hasher: RandomState,
    omissions: Vec<SkippedItem>,
    /// How many more entries of directories among the messages may be looked at.
    searches: usize,
}

impl<'a> Scan<'a> {
    fn new(folder: &'a Folder, path: &'a Path, table: &'a Keywords, include_deleted: bool) -> Scan<'a> {
        Scan {
            folder,
            path,
            table,
            include_deleted,
            attrs: HashMap::new(),
            entries: Vec::new(),
            places: HashMap::new(),
            hasher: RandomState::new(),
            omissions: Vec::new(),
            searches: stray::SEARCH_BUDGET,
        }
    }

    fn read(&mut self, directory_name: &str, directory: &OwnedFd) -> Result<(), Errno> {
        each_name(directory, |name, file_type, inode| {
            self.take(directory_name, directory, name, file_type, inode);
            Ok(())
        })
    }

    fn take(&mut self, directory_name: &str, directory: &OwnedFd, name: &CStr, file_type: FileType, inode: u64) {
        let bytes = name.to_bytes();
        if bytes[0] == b'.' || file_type == FileType::Directory {
            return self.take_no_message(directory_name, bytes, file_type);
        }
        if !matches!(file_type, FileType::RegularFile | FileType::Symlink | FileType::Unknown) {
            return self.omit(directory_name, bytes, NO_FILE, SkipKind::Skipped);
        }
        let flags = FileName::parse(bytes).flags();
        if flags.is_deleted() && !self.include_deleted {
            return self.omit(directory_name, bytes, "deleted flag", SkipKind::Skipped);
        }
        let rev: Box<str> = match look(directory, name) {
            Ok(FileKind::File(stat)) => {
                let (seconds, nanoseconds) = mtime(&stat);
                format!("{}.{seconds}{nanoseconds:09}", stat.st_size).into()
            }
            Ok(FileKind::Directory) => return self.take_no_message(directory_name, bytes, FileType::Directory),
            Ok(FileKind::Other) => return self.omit(directory_name, bytes, NO_FILE, SkipKind::Skipped),
            // Renamed or removed: the directory's stamp has changed, and the folder will be read again.
            Err(Errno::NOENT) => return,
            Err(_) => UNKNOWN_REV.into(),
        };
        let (key, locator) = key_and_locator(directory_name, bytes);
        let hash = self.hasher.hash_one(&key);
        match self.places.get(&hash).copied().and_then(|at| self.same_key(at, &key)) {
            Some(at) => self.meet_again(at, inode, rev, locator, bytes),
            None => {
                self.places.entry(hash).or_insert(self.entries.len());
                let attrs = self.attrs_of(flags);
                self.entries.push((inode, Entry { key, rev, locator, attrs }));
            }
        }
    }

    /// A directory, or something with a leading dot, which no message has.
    fn take_no_message(&mut self, directory_name: &str, name: &[u8], file_type: FileType) {
        if file_type != FileType::Directory {
            return match stray::is_by_product(name) {
                true => self.omit_file(directory_name, name, "left by programs"),
                false => self.omit(directory_name, name, "a name with a leading dot", SkipKind::Skipped),
            };
        }
        // A directory with a mailbox in it is a folder, whatever its name, and so are those below it.
        if is_mailbox(&self.path.join(directory_name)) {
            return;
        }
        if let Some((outcome, reason)) = stray::known_directory(name) {
            return self.omit(directory_name, name, reason, outcome);
        }
        let path = self.path.join(directory_name).join(std::ffi::OsStr::from_bytes(name));
        let (outcome, reason) = match stray::judge_directory(&path, &mut self.searches) {
            (SkipKind::NotUnderstood, _) => {
                (SkipKind::NotUnderstood, "a directory among the messages, with mail in it: move it elsewhere")
            }
            _ => (SkipKind::Skipped, "a directory among the messages"),
        };
        self.omit(directory_name, name, reason, outcome);
    }

    /// Counts what a program that delivers has begun and not ended: it is no message yet.
    fn tell_undelivered(&mut self, path: &Path) {
        let path = path.join("tmp");
        // Then it is a folder.
        if is_mailbox(&path) {
            return;
        }
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let Ok(directory) = open(&path, flags, Mode::empty()) else { return };
        let told = each_name(&directory, |name, _, _| {
            match name.to_bytes() {
                name if stray::is_by_product(name) => self.omit_file("tmp", name, "left by programs"),
                name => self.omit("tmp", name, "in tmp: not delivered yet", SkipKind::Skipped),
            }
            Ok::<(), Errno>(())
        });
        // Messages in `tmp` are not delivered yet: a folder does not fail because of them.
        if told.is_err() {
            self.omit("tmp", b"", "cannot be read", SkipKind::Skipped);
        }
    }

    /// The place of the entry with this key: almost always the one that its hash led to.
    fn same_key(&self, at: usize, key: &str) -> Option<usize> {
        if self.entries[at].1.key.as_ref() == key {
            return Some(at);
        }
        self.entries.iter().position(|(_, entry)| entry.key.as_ref() == key)
    }

    /// A second file of a key. The one in `cur` counts, in the same directory the one whose name sorts first: a
    /// choice that does not depend on the order of the directory.
    fn meet_again(&mut self, at: usize, inode: u64, rev: Box<str>, locator: Box<str>, name: &[u8]) {
        let size = |rev: &str| rev.split('.').next().map(str::to_owned);
        let is_same = size(&self.entries[at].1.rev) == size(&rev)
            && self.has_same_bytes(&self.entries[at].1.locator, &locator, &self.entries[at].1.key);
        let (outcome, reason) = match is_same {
            true => (SkipKind::Duplicate, "same message twice in the folder"),
            false => (SkipKind::Failed, "another message has the same name: rename one of the two files"),
        };
        let known = &self.entries[at].1;
        let (kept, other) = (file_shown(&known.key, &known.locator), file_shown(&known.key, &locator));
        let first = locator < known.locator;
        let position = self.folder.shown(if first { &kept } else { &other });
        self.omissions.push(SkippedItem { kind: ObjectType::Email, reason: reason.to_owned(), position, outcome });
        if first {
            let attrs = self.attrs_of(FileName::parse(name).flags());
            let slot = &mut self.entries[at];
            slot.0 = inode;
            (slot.1.rev, slot.1.locator, slot.1.attrs) = (rev, locator, attrs);
        }
    }

    /// True if two files of a key have the same bytes.
    fn has_same_bytes(&self, one: &str, other: &str, key: &str) -> bool {
        let digest = |locator: &str| {
            let (directory, name) = file_of(key, locator)?;
            let path = self.path.join(BOXES[directory]).join(OsStr::from_bytes(&name));
            let file =
                std::fs::File::open(path).ok().filter(|file| file.metadata().is_ok_and(|meta| meta.is_file()))?;
            Digest::of_file(file).ok()
        };
        let one = digest(one);
        one.is_some() && one == digest(other)
    }

    /// Adds what an earlier attempt saw and this one did not.
    fn add_missing(&mut self, earlier: Option<Scan<'_>>) {
        for (inode, entry) in earlier.into_iter().flat_map(|scan| scan.entries) {
            let hash = self.hasher.hash_one(&entry.key);
            if self.places.get(&hash).and_then(|&at| self.same_key(at, &entry.key)).is_none() {
                self.places.entry(hash).or_insert(self.entries.len());
                self.entries.push((inode, entry));
            }
        }
    }

    fn attrs_of(&mut self, flags: Flags) -> Arc<Attrs> {
        let make = || {
            let parents = vec![self.folder.container.key.clone()];
            Arc::new(Attrs { of: ObjectType::Mailbox, keywords: flags.keywords(self.table), parents })
        };
        self.attrs.entry(flags).or_insert_with(make).clone()
    }

    fn omit(&mut self, directory: &str, name: &[u8], reason: &str, outcome: SkipKind) {
        self.omit_as(ObjectType::Email, directory, name, reason, outcome);
    }

    /// Something that is no mail.
    fn omit_file(&mut self, directory: &str, name: &[u8], reason: &str) {
        self.omit_as(ObjectType::FileNode, directory, name, reason, SkipKind::ByProduct);
    }

    fn omit_as(&mut self, kind: ObjectType, directory: &str, name: &[u8], reason: &str, outcome: SkipKind) {
        let position = self.folder.shown(&format!("{directory}/{}", escape(name)));
        self.omissions.push(SkippedItem { kind, reason: reason.to_owned(), position, outcome });
    }

    fn finish(mut self) -> Listing {
        self.entries.sort_unstable_by_key(|&(inode, _)| inode);
        self.omissions.sort_unstable_by(|a, b| a.position.cmp(&b.position));
        Listing {
            entries: self.entries.into_iter().map(|(_, entry)| entry).collect(),
            omissions: self.omissions,
            unnamed: UnlistedItems::Gone,
            ..Listing::default()
        }
    }
}
