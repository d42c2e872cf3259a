//! The state of a mount, which all of its threads share.

use super::attributes::{BLOCK, FOR_GOOD, Ownership, fuse_type, time};
use super::pages::Pages;
use super::prefetch_queue::PrefetchQueue;
use super::readers::{Device, Readers};
use super::stats::{Requests, Summary};
use crate::error::{Error, ErrorKind, Result};
use crate::tree::archives::{ArchiveNode, Archives, Location};
use crate::tree::{FileType, Stat};
use fuser::{Errno, FileAttr, INodeNo};
use parking_lot::Mutex;
use std::collections::HashSet;
use std::ffi::OsStr;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

/// Writes a line to the log of the mount.
pub(super) type Log = Arc<dyn Fn(&str) + Send + Sync>;

/// At most so many files are named in the log.
const LOGGED: usize = 10_000;

/// The state of a mount, which all of its threads share.
pub struct Shared {
    pub(crate) archives: Archives,
    pub(crate) ownership: Ownership,
    pub(crate) xattr: bool,
    pub(crate) log: Log,
    /// Inode numbers, and paths, of the files in the log.
    pub(super) failed: Mutex<HashSet<u64>>,
    pub(super) logged: Mutex<HashSet<String>>,
    /// Directories of which the kernel may remember something.
    pub(crate) known_directories: Mutex<HashSet<u64>>,
    pub(super) pages: Pages,
    pub(crate) readers: Readers,
    pub(crate) prefetch: PrefetchQueue,
    /// Set once the mount is there.
    pub(crate) device: OnceLock<Device>,
    pub requests: Requests,
}

impl Shared {
    /// Errors if the root cannot be listed.
    pub fn check(&self) -> Result<()> {
        let root = self.archives.locate(INodeNo::ROOT.0)?;
        self.children(&root, 0).map(|_| ())
    }

    /// The numbers of [`Summary`] so far. `peak` is the most memory that the process had, in KiB.
    pub fn summary(&self, peak: Option<u64>) -> String {
        let trees = self.archives.open_trees();
        let open = trees.iter().map(|root| root.tree.counters());
        let counters = open.chain([self.archives.retired()]).collect();
        Summary { requests: &self.requests, counters, peak }.to_string()
    }

    /// The errno of an error. Damage and failures of the medium are also logged, once a file.
    pub(crate) fn errno(&self, ino: u64, error: &Error) -> Errno {
        if !matches!(
            error.kind,
            ErrorKind::NotFound | ErrorKind::NotADirectory | ErrorKind::IsADirectory | ErrorKind::Usage
        ) {
            self.log_once(ino, error);
        }
        self.requests.failures.add(1);
        Errno::from_i32(error.kind.errno())
    }

    /// Logs an error about a file, once. A message has several inode numbers and one path, so both are remembered.
    fn log_once(&self, ino: u64, error: &Error) {
        let is_new = |logged: &mut HashSet<u64>| logged.len() < LOGGED && logged.insert(ino);
        if !is_new(&mut self.failed.lock()) {
            return;
        }
        let path = self.describe(ino);
        if self.logged.lock().insert(path.clone()) {
            let hint = error.hint_text().map(|hint| format!(" ({hint})")).unwrap_or_default();
            (self.log)(&format!("error: {path}: {error}{hint}"));
        }
    }

    /// The path of a file, for people.
    pub(crate) fn describe(&self, ino: u64) -> String {
        let path = match self.archives.locate(ino) {
            Ok(Location::Node(one)) => one.tree.path_of(one.node).ok().flatten(),
            _ => None,
        };
        path.unwrap_or_else(|| format!("inode {ino}"))
    }

    pub(crate) fn attributes(&self, ino: u64, stat: &Stat) -> FileAttr {
        let perm = match stat.file_type {
            FileType::Directory => self.ownership.directory_mode,
            FileType::File => self.ownership.file_mode,
            FileType::Link => 0o777,
        };
        let mtime = time(stat.mtime);
        FileAttr {
            ino: INodeNo(ino),
            size: stat.size,
            blocks: stat.size.div_ceil(512),
            atime: mtime,
            mtime,
            ctime: time(stat.ctime),
            crtime: mtime,
            kind: fuse_type(stat.file_type),
            perm,
            nlink: stat.links,
            uid: self.ownership.uid,
            gid: self.ownership.gid,
            rdev: 0,
            blksize: BLOCK,
            flags: 0,
        }
    }

    pub(crate) fn stat(&self, ino: u64) -> Result<Stat> {
        if let Some(stat) = self.archives.archive_stat(ino) {
            return Ok(stat);
        }
        match self.archives.locate(ino)? {
            Location::Root => Ok(self.archives.root_stat()),
            Location::Node(one) => one.tree.stat(one.node),
        }
    }

    /// The inode number and the attributes of the child of a directory, and how long they hold.
    pub(crate) fn lookup(&self, parent: u64, name: &OsStr) -> Result<(u64, Stat, Duration)> {
        let no_such = || Error::new(ErrorKind::NotFound, "no such file");
        let name = name.to_str().ok_or_else(no_such)?;
        let mut holds = FOR_GOOD;
        let (ino, child) = match self.archives.locate(parent)? {
            Location::Root => self.archives.root_lookup(name)?,
            Location::Node(directory) => {
                let child = directory.tree.lookup(directory.node, name)?;
                if directory.node.is_search() || child.node.is_search() {
                    holds = Duration::ZERO;
                }
                (directory.ino(child.node), child)
            }
        };
        self.note_known(parent);
        Ok((ino, child.stat.map_or_else(|| self.stat(ino), Ok)?, holds))
    }

    /// Notes that the kernel may remember something of a directory.
    pub(crate) fn note_known(&self, directory: u64) {
        self.known_directories.lock().insert(directory);
    }

    /// Asks the tree that a number belongs to.
    pub(crate) fn node<T>(&self, ino: INodeNo, ask: impl FnOnce(&ArchiveNode) -> Result<T>) -> Result<T, Errno> {
        let answer = match self.archives.locate(ino.0) {
            Ok(Location::Node(one)) => ask(&one),
            Ok(Location::Root) => Err(Error::new(ErrorKind::IsADirectory, "is a directory")),
            Err(error) => Err(error),
        };
        answer.map_err(|error| self.errno(ino.0, &error))
    }
}
