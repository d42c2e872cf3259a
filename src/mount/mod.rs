//! The tree as a file system: FUSE requests in, answers of [`Tree`] out. No state of its own, no policy.
//!
//! What the kernel need not ask twice is answered with ENOSYS (open, opendir, flush, access, and extended attributes
//! unless asked for): that is worth more than anything that could be cached here.

pub mod mountpoint;
pub mod session;

use crate::error::{Error, Kind as Fault};
use crate::tree::{Child, Node, Sort, Stat, Tree};
use fuser::{
    Errno, FileAttr, FileHandle, FileType, Filesystem, Generation, INodeNo, InitFlags, KernelConfig, LockOwner,
    OpenFlags, ReplyAttr, ReplyData, ReplyDirectory, ReplyDirectoryPlus, ReplyEntry, ReplyStatfs, ReplyXattr, Request,
};
use std::collections::HashSet;
use std::ffi::OsStr;
use std::io;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// What a moment shows never changes, so the kernel may remember it for good.
const FOR_GOOD: Duration = Duration::from_secs(365 * 86_400);

/// How many lines of a directory are asked for at once; about what fits into one answer.
const LINES: usize = 256;

/// Who owns the files, and who may do what with them.
#[derive(Debug, Clone, Copy)]
pub struct Ownership {
    pub uid: u32,
    pub gid: u32,
    /// Permission bits of directories and of files.
    pub directory_mode: u16,
    pub file_mode: u16,
}

/// A tree, as fuser wants it.
pub struct Adapter {
    tree: Tree,
    ownership: Ownership,
    xattr: bool,
    log: Box<dyn Fn(&str) + Send + Sync>,
    logged: Mutex<HashSet<u64>>,
}

impl Adapter {
    /// `log` is told of damaged files, once each.
    pub fn new(tree: Tree, ownership: Ownership, xattr: bool, log: Box<dyn Fn(&str) + Send + Sync>) -> Adapter {
        Adapter { tree, ownership, xattr, log, logged: Mutex::default() }
    }

    fn node(ino: INodeNo) -> Result<Node, Errno> {
        Node::from_ino(ino.0).ok_or(Errno::ENOENT)
    }

    /// The errno of an error. Damage and failures of the medium are also logged, once a file.
    fn errno(&self, node: Node, error: &Error) -> Errno {
        if !matches!(error.kind, Fault::NotFound | Fault::NotADirectory | Fault::IsADirectory | Fault::Usage) {
            let mut logged = self.logged.lock().unwrap_or_else(PoisonError::into_inner);
            if logged.len() < 10_000 && logged.insert(node.ino()) {
                (self.log)(&format!("error: inode {}: {error}", node.ino()));
            }
        }
        Errno::from_i32(error.kind.errno())
    }

    fn attributes(&self, node: Node, stat: &Stat) -> FileAttr {
        let (kind, perm) = match stat.sort {
            Sort::Directory => (FileType::Directory, self.ownership.directory_mode),
            Sort::File => (FileType::RegularFile, self.ownership.file_mode),
            Sort::Link => (FileType::Symlink, 0o777),
        };
        let mtime = time(stat.mtime);
        FileAttr {
            ino: INodeNo(node.ino()),
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
            blksize: 131_072,
            flags: 0,
        }
    }

    fn stat(&self, child: &Child) -> Result<Stat, Errno> {
        match child.stat {
            Some(stat) => Ok(stat),
            None => self.tree.stat(child.node).map_err(|error| self.errno(child.node, &error)),
        }
    }

    /// Hands out lines of a directory from `offset` on until `add` has no more room. Offsets 1 and 2 are `.` and `..`.
    fn list(
        &self,
        ino: INodeNo,
        offset: u64,
        mut add: impl FnMut(Node, u64, &str, Sort, Option<&Child>) -> bool,
    ) -> Result<(), Errno> {
        let node = Self::node(ino)?;
        for (at, name) in [(1, "."), (2, "..")] {
            if offset < at && add(node, at, name, Sort::Directory, None) {
                return Ok(());
            }
        }
        let mut after = offset.saturating_sub(2);
        loop {
            let lines = self.tree.children(node, after, LINES).map_err(|error| self.errno(node, &error))?;
            for child in &lines {
                if add(child.node, child.cookie + 2, &child.name, child.sort, Some(child)) {
                    return Ok(());
                }
            }
            match lines.last() {
                Some(last) => after = last.cookie,
                None => return Ok(()),
            }
        }
    }
}

impl Filesystem for Adapter {
    fn init(&mut self, _: &Request, config: &mut KernelConfig) -> io::Result<()> {
        for wanted in [
            InitFlags::FUSE_DO_READDIRPLUS | InitFlags::FUSE_READDIRPLUS_AUTO,
            InitFlags::FUSE_NO_OPEN_SUPPORT,
            InitFlags::FUSE_NO_OPENDIR_SUPPORT,
            InitFlags::FUSE_PARALLEL_DIROPS,
        ] {
            // An older kernel that lacks one only asks more often.
            let _ = config.add_capabilities(wanted);
        }
        Ok(())
    }

    fn lookup(&self, _: &Request, parent: INodeNo, name: &OsStr, reply: ReplyEntry) {
        let found = Self::node(parent).and_then(|parent| {
            let name = name.to_str().ok_or(Errno::ENOENT)?;
            let child = self.tree.lookup(parent, name).map_err(|error| self.errno(parent, &error))?;
            Ok((child.node, self.stat(&child)?))
        });
        match found {
            Ok((node, stat)) => reply.entry(&FOR_GOOD, &self.attributes(node, &stat), Generation(0)),
            Err(errno) => reply.error(errno),
        }
    }

    fn getattr(&self, _: &Request, ino: INodeNo, _: Option<FileHandle>, reply: ReplyAttr) {
        let found = Self::node(ino)
            .and_then(|node| Ok((node, self.tree.stat(node).map_err(|error| self.errno(node, &error))?)));
        match found {
            Ok((node, stat)) => reply.attr(&FOR_GOOD, &self.attributes(node, &stat)),
            Err(errno) => reply.error(errno),
        }
    }

    fn readlink(&self, _: &Request, ino: INodeNo, reply: ReplyData) {
        match Self::node(ino).and_then(|node| self.tree.read_link(node).map_err(|error| self.errno(node, &error))) {
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
        _: &Request,
        ino: INodeNo,
        _: FileHandle,
        offset: u64,
        size: u32,
        _: OpenFlags,
        _: Option<LockOwner>,
        reply: ReplyData,
    ) {
        match Self::node(ino)
            .and_then(|node| self.tree.read(node, offset, size as usize).map_err(|error| self.errno(node, &error)))
        {
            Ok(bytes) => reply.data(&bytes),
            Err(errno) => reply.error(errno),
        }
    }

    fn readdir(&self, _: &Request, ino: INodeNo, _: FileHandle, offset: u64, mut reply: ReplyDirectory) {
        let done = self
            .list(ino, offset, |node, next, name, sort, _| reply.add(INodeNo(node.ino()), next, file_type(sort), name));
        match done {
            Ok(()) => reply.ok(),
            Err(errno) => reply.error(errno),
        }
    }

    fn readdirplus(&self, _: &Request, ino: INodeNo, _: FileHandle, offset: u64, mut reply: ReplyDirectoryPlus) {
        let done = self.list(ino, offset, |node, next, name, sort, child| {
            // A line whose file cannot be looked at is still a line; stat will say why.
            let unknown = Stat { sort, size: 0, mtime: 0, ctime: 0, links: 1 };
            let stat = child.map_or(Ok(unknown), |child| self.stat(child));
            let lasting = if child.is_some() && stat.is_ok() { FOR_GOOD } else { Duration::ZERO };
            reply.add(
                INodeNo(node.ino()),
                next,
                name,
                &lasting,
                &self.attributes(node, &stat.unwrap_or(unknown)),
                Generation(0),
            )
        });
        match done {
            Ok(()) => reply.ok(),
            Err(errno) => reply.error(errno),
        }
    }

    fn statfs(&self, _: &Request, _: INodeNo, reply: ReplyStatfs) {
        let bytes = std::fs::metadata(self.tree.reader().path()).map_or(0, |meta| meta.len());
        reply.statfs(bytes.div_ceil(4_096), 0, 0, 0, 0, 4_096, 255, 4_096);
    }

    fn getxattr(&self, _: &Request, ino: INodeNo, name: &OsStr, size: u32, reply: ReplyXattr) {
        if !self.xattr {
            return reply.error(Errno::ENOSYS);
        }
        let value = Self::node(ino).and_then(|node| self.tree.xattrs(node).map_err(|error| self.errno(node, &error)));
        match value.map(|all| all.into_iter().find(|(known, _)| name == *known)) {
            Ok(Some((_, value))) => answer(reply, size, value.as_bytes()),
            Ok(None) => reply.error(Errno::ENODATA),
            Err(errno) => reply.error(errno),
        }
    }

    fn listxattr(&self, _: &Request, ino: INodeNo, size: u32, reply: ReplyXattr) {
        if !self.xattr {
            return reply.error(Errno::ENOSYS);
        }
        match Self::node(ino).and_then(|node| self.tree.xattrs(node).map_err(|error| self.errno(node, &error))) {
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
