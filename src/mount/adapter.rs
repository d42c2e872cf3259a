//! The requests of the kernel, as fuser hands them over.

use super::attributes::{FOR_GOOD, Ownership, fuse_type};
use super::large::{LargeRead, LargeReads};
use super::pages::Pages;
use super::prefetch_queue::PrefetchQueue;
use super::readers::{FEW, RawEntries, Readers};
use super::shared::{Log, Shared};
use super::stats::Requests;
use crate::tree::archives::{Archives, is_search};
use crate::tree::{Child, FileType, ReadResult, Stat};
use fuser::{
    Errno, FileHandle, Filesystem, Generation, INodeNo, InitFlags, KernelConfig, LockOwner, OpenFlags, ReplyAttr,
    ReplyData, ReplyDirectory, ReplyDirectoryPlus, ReplyEntry, ReplyStatfs, ReplyXattr, Request,
};
use parking_lot::Mutex;
use std::ffi::OsStr;
use std::io;
use std::sync::mpsc::Receiver;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

/// The file system, as fuser wants it.
#[derive(Clone)]
pub(super) struct Adapter {
    shared: Arc<Shared>,
    large_reads: LargeReads,
}

impl Adapter {
    /// `log` gets a line for each damaged file, once. Each of the receivers needs a thread that runs [`super::large::work`].
    pub(super) fn new(
        archives: Archives,
        ownership: Ownership,
        xattr: bool,
        log: Log,
    ) -> (Adapter, Vec<Receiver<LargeRead>>) {
        let (large_reads, receivers) = LargeReads::new();
        let adapter = Adapter {
            large_reads,
            shared: Arc::new(Shared {
                archives,
                ownership,
                xattr,
                log,
                failed: Mutex::default(),
                logged: Mutex::default(),
                known_directories: Mutex::default(),
                pages: Pages::default(),
                readers: Readers::default(),
                prefetch: PrefetchQueue::default(),
                device: OnceLock::new(),
                requests: Requests::default(),
            }),
        };
        (adapter, receivers)
    }

    /// The state that requests share with the threads that follow the archives and read ahead.
    pub(super) fn shared(&self) -> Arc<Shared> {
        Arc::clone(&self.shared)
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
            // An older kernel that lacks one only sends more requests.
            let _ = config.add_capabilities(wanted);
        }
        Ok(())
    }

    fn lookup(&self, request: &Request, parent: INodeNo, name: &OsStr, reply: ReplyEntry) {
        self.shared.requests.lookups.add(1);
        match self.shared.lookup(parent.0, name) {
            Ok((ino, stat, holds)) => {
                reply.entry(&holds, &self.shared.attributes(ino, &stat), Generation(0));
                if stat.file_type != FileType::Directory {
                    self.shared.readers.wants(request.pid());
                }
            }
            Err(error) => reply.error(self.shared.errno(parent.0, &error)),
        }
    }

    fn getattr(&self, _: &Request, ino: INodeNo, _: Option<FileHandle>, reply: ReplyAttr) {
        self.shared.requests.getattrs.add(1);
        match self.shared.stat(ino.0) {
            Ok(stat) => {
                let holds = if is_search(ino.0) { Duration::ZERO } else { FOR_GOOD };
                reply.attr(&holds, &self.shared.attributes(ino.0, &stat));
            }
            Err(error) => reply.error(self.shared.errno(ino.0, &error)),
        }
    }

    fn readlink(&self, _: &Request, ino: INodeNo, reply: ReplyData) {
        match self.shared.node(ino, |one| one.tree.read_link(one.node)) {
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
            self.shared.prefetch.read(ino.0);
        }
        let size = size as usize;
        match self.shared.node(ino, |one| one.tree.begin_read(one.node, offset, size)) {
            Ok(ReadResult::Bytes(bytes)) => reply.data(&bytes),
            Ok(ReadResult::Large(blob)) => self.large_reads.send(LargeRead { ino, blob, offset, size, reply }),
            Err(errno) => reply.error(errno),
        }
    }

    fn readdir(&self, _: &Request, ino: INodeNo, _: FileHandle, offset: u64, mut reply: ReplyDirectory) {
        self.shared.requests.readdirs.add(1);
        let done = self.shared.list(ino.0, offset, |number, next, name, file_type, _| {
            reply.add(INodeNo(number), next, fuse_type(file_type), name)
        });
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
        let is_search = is_search(ino.0);
        let mut raw = RawEntries::default();
        let mut count = 0;
        let mut messages = Vec::new();
        let done = shared.list(ino.0, offset, |number, next, name, file_type, child| {
            if device.is_some() && offset == 0 && count == FEW && shared.readers.is_on_trial(process, ino.0) {
                return true;
            }
            count += 1;
            let stat = match child {
                Some(Child { stat: Some(stat), .. }) => Some(*stat),
                Some(child) if child.node.is_costly() => None,
                // A first `ls` of the root must not read the archive for each of its entries.
                Some(_) if device.is_some() && (file_type != FileType::Directory || ino == INodeNo::ROOT) => None,
                Some(_) => shared.stat(number).ok(),
                None => None,
            };
            // The attributes of a file that is costly to make, or that cannot be read, are valid for no time: a process that
            // needs more than its name looks it up.
            let holds = if stat.is_some() && !is_search { FOR_GOOD } else { Duration::ZERO };
            let known = stat.unwrap_or(Stat { file_type, size: 0, mtime: 0, ctime: 0, links: 1 });
            let attributes = shared.attributes(number, &known);
            // Only fuser knows whether there is room for an entry.
            let is_full = reply.add(INodeNo(number), next, name, &holds, &attributes, Generation(0));
            if !is_full && device.is_some() {
                let stat = stat.as_ref().filter(|_| file_type == FileType::Directory && !is_search);
                raw.add(number, next, name, file_type, stat.map(|stat| (stat, &shared.ownership)));
            } else if !is_full && child.is_some_and(|child| child.node.is_message()) {
                messages.push((number, known.size));
            }
            is_full
        });
        let is_done = done.is_ok();
        match (done, device) {
            // The request is answered, so the kernel ignores what fuser sends for it when `reply` is dropped.
            (Ok(()), Some(device)) if device.answer(request.unique().0, &raw).is_ok() => {}
            (Ok(()), _) => {
                reply.ok();
                shared.prefetch.listed(ino.0, offset == 0, &messages);
            }
            (Err(errno), _) => reply.error(errno),
        }
        if is_done {
            shared.list_ahead(ino.0);
        }
    }

    fn statfs(&self, _: &Request, _: INodeNo, reply: ReplyStatfs) {
        reply.statfs(self.shared.archives.bytes().div_ceil(4_096), 0, 0, 0, 0, 4_096, 255, 4_096);
    }

    fn getxattr(&self, _: &Request, ino: INodeNo, name: &OsStr, size: u32, reply: ReplyXattr) {
        if !self.shared.xattr {
            return reply.error(Errno::ENOSYS);
        }
        match self
            .shared
            .node(ino, |one| one.tree.xattrs(one.node))
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
        match self.shared.node(ino, |one| one.tree.xattrs(one.node)) {
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
