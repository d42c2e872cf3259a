//! Trees as a file system: FUSE requests in, answers of [`Forest`] out. What is kept here is what the kernel was told, so
//! that it can be told otherwise, and what its readers do, so that they need not ask so much.
//!
//! A question costs more than its answer: the reader sleeps, we are woken, and then the other way round. So what the
//! kernel need not ask twice is answered with ENOSYS (open, opendir, flush, access, and extended attributes unless asked
//! for), and all that was said holds for good. [`listing`] tells all about a file with its name, to those who want it;
//! [`ahead`] puts messages into the kernel's cache before they are asked for; [`large`] keeps one thread to a large file.
//! When the archive goes on, [`follow`] takes back just what does not hold any more.

pub mod ahead;
pub mod follow;
pub mod large;
pub mod listing;
pub mod mountpoint;
mod paging;
pub mod session;
pub mod stats;

use crate::error::{Error, ErrorKind, Result};
use crate::tree::forest::{Forest, Place, Spot};
use crate::tree::{Child, Sort, Source, Stat};
use ahead::Ahead;
use fuser::{
    Errno, FileAttr, FileHandle, FileType, Filesystem, Generation, INodeNo, InitFlags, KernelConfig, LockOwner,
    OpenFlags, ReplyAttr, ReplyData, ReplyDirectory, ReplyDirectoryPlus, ReplyEntry, ReplyStatfs, ReplyXattr, Request,
};
use large::{Desk, Job};
use listing::{Device, FEW, Lines, Readers};
use paging::Pages;
use parking_lot::Mutex;
use stats::{Requests, Summary};
use std::collections::HashSet;
use std::ffi::OsStr;
use std::io;
use std::sync::mpsc::Receiver;
use std::sync::{Arc, OnceLock};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// What is shown holds until it is taken back.
const FOR_GOOD: Duration = Duration::from_secs(365 * 86_400);

/// What programs are told to read at once.
const BLOCK: u32 = 131_072;

/// How many files are named in the log.
const LOGGED: usize = 10_000;

/// Who owns the files, and who may do what with them.
#[derive(Debug, Clone, Copy)]
pub struct Ownership {
    pub uid: u32,
    pub gid: u32,
    /// Permission bits of directories and of files.
    pub directory_mode: u16,
    pub file_mode: u16,
}

/// Who is told what goes wrong, or what changed.
pub type Log = Arc<dyn Fn(&str) + Send + Sync>;

/// Trees, as fuser wants them.
#[derive(Clone)]
pub struct Adapter {
    shared: Arc<Shared>,
    desk: Desk,
}

/// What requests and the follower have in common.
pub struct Shared {
    forest: Forest,
    ownership: Ownership,
    xattr: bool,
    log: Log,
    /// Numbers, and paths, of what was logged.
    failed: Mutex<HashSet<u64>>,
    logged: Mutex<HashSet<String>>,
    /// Directories of which the kernel may remember something.
    told: Mutex<HashSet<u64>>,
    pages: Pages,
    readers: Readers,
    ahead: Ahead,
    /// Known once there is a mount.
    device: OnceLock<Device>,
    pub requests: Requests,
}

impl Adapter {
    /// `log` is told of damaged files, once each. Each of the receivers wants a thread that does [`large::work`].
    pub fn new(forest: Forest, ownership: Ownership, xattr: bool, log: Log) -> (Adapter, Vec<Receiver<Job>>) {
        let (desk, receivers) = Desk::new();
        let adapter = Adapter {
            desk,
            shared: Arc::new(Shared {
                forest,
                ownership,
                xattr,
                log,
                failed: Mutex::default(),
                logged: Mutex::default(),
                told: Mutex::default(),
                pages: Pages::default(),
                readers: Readers::default(),
                ahead: Ahead::default(),
                device: OnceLock::new(),
                requests: Requests::default(),
            }),
        };
        (adapter, receivers)
    }

    /// What it has in common with whoever follows the archives.
    pub fn shared(&self) -> Arc<Shared> {
        Arc::clone(&self.shared)
    }
}

impl Shared {
    /// Errors if the root cannot be listed.
    pub fn check(&self) -> Result<()> {
        let root = self.forest.place(INodeNo::ROOT.0)?;
        self.lines(&root, 0).map(|_| ())
    }

    /// What was served so far. `peak` is the most memory that the process had, in KiB.
    pub fn summary(&self, peak: Option<u64>) -> String {
        let trees = self.forest.open_trees();
        let open = trees.iter().map(|spot| spot.tree.counters());
        let counters = open.chain([self.forest.retired()]).collect();
        Summary { requests: &self.requests, counters, peak }.to_string()
    }

    /// The errno of an error. Damage and failures of the medium are also logged, once a file.
    fn errno(&self, ino: u64, error: &Error) -> Errno {
        if !matches!(
            error.kind,
            ErrorKind::NotFound | ErrorKind::NotADirectory | ErrorKind::IsADirectory | ErrorKind::Usage
        ) {
            self.log_once(ino, error);
        }
        self.requests.failures.add(1);
        Errno::from_i32(error.kind.errno())
    }

    /// Logs what is wrong with a file. Its path is looked up once; a message has several numbers, and one path.
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
    fn describe(&self, ino: u64) -> String {
        let path = match self.forest.place(ino) {
            Ok(Place::In(spot)) => spot.tree.path_of(spot.node).ok().flatten(),
            _ => None,
        };
        path.unwrap_or_else(|| format!("inode {ino}"))
    }

    fn attributes(&self, ino: u64, stat: &Stat) -> FileAttr {
        let (kind, perm) = match stat.sort {
            Sort::Directory => (FileType::Directory, self.ownership.directory_mode),
            Sort::File => (FileType::RegularFile, self.ownership.file_mode),
            Sort::Link => (FileType::Symlink, 0o777),
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
            kind,
            perm,
            nlink: stat.links,
            uid: self.ownership.uid,
            gid: self.ownership.gid,
            rdev: 0,
            blksize: BLOCK,
            flags: 0,
        }
    }

    fn stat(&self, ino: u64) -> Result<Stat> {
        if let Some(stat) = self.forest.archive_stat(ino) {
            return Ok(stat);
        }
        match self.forest.place(ino)? {
            Place::Root => Ok(self.forest.root_stat()),
            Place::In(spot) => spot.tree.stat(spot.node),
        }
    }

    /// The child of a directory: its number and what it is.
    fn lookup(&self, parent: u64, name: &OsStr) -> Result<(u64, Stat)> {
        let no_such = || Error::new(ErrorKind::NotFound, "no such file");
        let name = name.to_str().ok_or_else(no_such)?;
        let (ino, child) = match self.forest.place(parent)? {
            Place::Root => self.forest.root_lookup(name)?,
            Place::In(spot) => {
                let child = spot.tree.lookup(spot.node, name)?;
                (spot.ino(child.node), child)
            }
        };
        self.told(parent);
        Ok((ino, child.stat.map_or_else(|| self.stat(ino), Ok)?))
    }

    fn told(&self, directory: u64) {
        self.told.lock().insert(directory);
    }

    fn node<T>(&self, ino: INodeNo, ask: impl FnOnce(&Spot) -> Result<T>) -> Result<T, Errno> {
        let answer = match self.forest.place(ino.0) {
            Ok(Place::In(spot)) => ask(&spot),
            Ok(Place::Root) => Err(Error::new(ErrorKind::IsADirectory, "is a directory")),
            Err(error) => Err(error),
        };
        answer.map_err(|error| self.errno(ino.0, &error))
    }
}

impl Filesystem for Adapter {
    fn init(&mut self, _: &Request, config: &mut KernelConfig) -> io::Result<()> {
        for wanted in [
            InitFlags::FUSE_DO_READDIRPLUS,
            InitFlags::FUSE_NO_OPEN_SUPPORT,
            InitFlags::FUSE_NO_OPENDIR_SUPPORT,
            InitFlags::FUSE_PARALLEL_DIROPS,
        ] {
            // An older kernel that lacks one only asks more often.
            let _ = config.add_capabilities(wanted);
        }
        Ok(())
    }

    fn lookup(&self, request: &Request, parent: INodeNo, name: &OsStr, reply: ReplyEntry) {
        self.shared.requests.lookups.add(1);
        match self.shared.lookup(parent.0, name) {
            Ok((ino, stat)) => {
                reply.entry(&FOR_GOOD, &self.shared.attributes(ino, &stat), Generation(0));
                if stat.sort != Sort::Directory {
                    self.shared.readers.wants(request.pid());
                }
            }
            Err(error) => reply.error(self.shared.errno(parent.0, &error)),
        }
    }

    fn getattr(&self, _: &Request, ino: INodeNo, _: Option<FileHandle>, reply: ReplyAttr) {
        self.shared.requests.getattrs.add(1);
        match self.shared.stat(ino.0) {
            Ok(stat) => reply.attr(&FOR_GOOD, &self.shared.attributes(ino.0, &stat)),
            Err(error) => reply.error(self.shared.errno(ino.0, &error)),
        }
    }

    fn readlink(&self, _: &Request, ino: INodeNo, reply: ReplyData) {
        match self.shared.node(ino, |spot| spot.tree.read_link(spot.node)) {
            Ok(target) => reply.data(target.as_bytes()),
            Err(errno) => reply.error(errno),
        }
    }

    fn open(&self, _: &Request, _: INodeNo, _: OpenFlags, reply: fuser::ReplyOpen) {
        reply.error(Errno::ENOSYS);
    }

    fn opendir(&self, _: &Request, _: INodeNo, _: OpenFlags, reply: fuser::ReplyOpen) {
        reply.error(Errno::ENOSYS);
    }

    fn flush(&self, _: &Request, _: INodeNo, _: FileHandle, _: LockOwner, reply: fuser::ReplyEmpty) {
        reply.error(Errno::ENOSYS);
    }

    fn access(&self, _: &Request, _: INodeNo, _: fuser::AccessFlags, reply: fuser::ReplyEmpty) {
        reply.error(Errno::ENOSYS);
    }

    fn read(
        &self,
        request: &Request,
        ino: INodeNo,
        _: FileHandle,
        offset: u64,
        size: u32,
        _: OpenFlags,
        _: Option<LockOwner>,
        reply: ReplyData,
    ) {
        self.shared.requests.reads.add(1);
        if offset == 0 {
            self.shared.readers.wants(request.pid());
            self.shared.ahead.read(ino.0);
        }
        let size = size as usize;
        match self.shared.node(ino, |spot| spot.tree.begin_read(spot.node, offset, size)) {
            Ok(Source::Here(bytes)) => reply.data(&bytes),
            Ok(Source::Large(blob)) => self.desk.leave(Job { ino, blob, offset, size, reply }),
            Err(errno) => reply.error(errno),
        }
    }

    fn readdir(&self, _: &Request, ino: INodeNo, _: FileHandle, offset: u64, mut reply: ReplyDirectory) {
        self.shared.requests.readdirs.add(1);
        let done = self
            .shared
            .list(ino.0, offset, |number, next, name, sort, _| reply.add(INodeNo(number), next, file_type(sort), name));
        match done {
            Ok(()) => reply.ok(),
            Err(errno) => reply.error(errno),
        }
    }

    fn readdirplus(&self, request: &Request, ino: INodeNo, _: FileHandle, offset: u64, mut reply: ReplyDirectoryPlus) {
        self.shared.requests.readdirs.add(1);
        let shared = &self.shared;
        let process = request.pid();
        let device = shared.device.get().filter(|_| !shared.readers.is_wanted_by(process, ino.0));
        let mut bare = Lines::default();
        let mut count = 0;
        let mut messages = Vec::new();
        let done = shared.list(ino.0, offset, |number, next, name, sort, child| {
            if device.is_some() && offset == 0 && count == FEW && shared.readers.is_on_trial(process, ino.0) {
                return true;
            }
            count += 1;
            let stat = match child {
                Some(Child { stat: Some(stat), .. }) => Some(*stat),
                Some(child) if child.node.is_costly() => None,
                // Whoever only wants to see that the mount answers needs nothing of the archive yet.
                Some(_) if device.is_some() && (sort != Sort::Directory || ino == INodeNo::ROOT) => None,
                Some(_) => shared.stat(number).ok(),
                None => None,
            };
            // A file that is costly to look at, or that cannot be, is a line that holds for no time: whoever wants to
            // know more than its name looks it up.
            let holds = if stat.is_some() { FOR_GOOD } else { Duration::ZERO };
            let known = stat.unwrap_or(Stat { sort, size: 0, mtime: 0, ctime: 0, links: 1 });
            let attributes = shared.attributes(number, &known);
            // Whether there is room for a line is known here only.
            let is_full = reply.add(INodeNo(number), next, name, &holds, &attributes, Generation(0));
            if !is_full && device.is_some() {
                let stat = stat.as_ref().filter(|_| sort == Sort::Directory);
                bare.add(number, next, name, sort, stat.map(|stat| (stat, &shared.ownership)));
            } else if !is_full && child.is_some_and(|child| child.node.is_message()) {
                messages.push((number, known.size));
            }
            is_full
        });
        let is_done = done.is_ok();
        match (done, device) {
            // What fuser would have said is then for a request that the kernel knows no more.
            (Ok(()), Some(device)) if device.answer(request.unique().0, &bare).is_ok() => {}
            (Ok(()), _) => {
                reply.ok();
                shared.ahead.listed(ino.0, offset == 0, &messages);
            }
            (Err(errno), _) => reply.error(errno),
        }
        if is_done {
            shared.list_ahead(ino.0);
        }
    }

    fn statfs(&self, _: &Request, _: INodeNo, reply: ReplyStatfs) {
        reply.statfs(self.shared.forest.bytes().div_ceil(4_096), 0, 0, 0, 0, 4_096, 255, 4_096);
    }

    fn getxattr(&self, _: &Request, ino: INodeNo, name: &OsStr, size: u32, reply: ReplyXattr) {
        if !self.shared.xattr {
            return reply.error(Errno::ENOSYS);
        }
        match self
            .shared
            .node(ino, |spot| spot.tree.xattrs(spot.node))
            .map(|all| all.into_iter().find(|(known, _)| name == *known))
        {
            Ok(Some((_, value))) => answer(reply, size, value.as_bytes()),
            Ok(None) => reply.error(Errno::ENODATA),
            Err(errno) => reply.error(errno),
        }
    }

    fn listxattr(&self, _: &Request, ino: INodeNo, size: u32, reply: ReplyXattr) {
        if !self.shared.xattr {
            return reply.error(Errno::ENOSYS);
        }
        match self.shared.node(ino, |spot| spot.tree.xattrs(spot.node)) {
            Ok(all) => {
                answer(reply, size, all.iter().map(|(name, _)| format!("{name}\0")).collect::<String>().as_bytes())
            }
            Err(errno) => reply.error(errno),
        }
    }
}

/// The two-step answer of the xattr calls: the size first, then the bytes if they fit.
fn answer(reply: ReplyXattr, room: u32, value: &[u8]) {
    match room as usize {
        0 => reply.size(value.len() as u32),
        room if room < value.len() => reply.error(Errno::ERANGE),
        _ => reply.data(value),
    }
}

fn file_type(sort: Sort) -> FileType {
    match sort {
        Sort::Directory => FileType::Directory,
        Sort::File => FileType::RegularFile,
        Sort::Link => FileType::Symlink,
    }
}

fn time(seconds: i64) -> SystemTime {
    // The kernel's clock has 64 bits; ours is cut where SystemTime would overflow.
    let seconds = seconds.clamp(-(1 << 40), 1 << 40);
    match u64::try_from(seconds) {
        Ok(after) => UNIX_EPOCH + Duration::from_secs(after),
        Err(_) => UNIX_EPOCH - Duration::from_secs(seconds.unsigned_abs()),
    }
}
