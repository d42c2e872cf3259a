//! Which processes use more of a listing than names: the kernel gets inodes for those alone.
//!
//! An inode in a listing saves a process a lookup, and costs the kernel more than the entry itself. `ls -l` and `grep` use
//! them, `find` does not. The kernel's own guess (READDIRPLUS_AUTO) is made anew for each directory: too many for `find`,
//! too few for `grep`, which lists a directory to its end before it looks at a file. So the kernel asks for inodes always,
//! and they are left out here unless the process lately looked up a file, or read one. A process that is not known gets a few
//! entries without; if it then goes on with the listing it may be either sort, and gets the first directory with inodes. If
//! it is like `grep`, it then reads files of that.

use super::attributes::{BLOCK, FOR_GOOD, Ownership};
use crate::tree::{FileType, Stat};
use parking_lot::Mutex;
use std::collections::VecDeque;
use std::fs::File;
use std::io::{self, IoSlice, Write};
use std::os::fd::AsFd;
use std::time::{Duration, Instant};

/// How many processes are remembered.
const READERS: usize = 16;

/// How long a process that used more than names is expected to go on so.
const WANTS: Duration = Duration::from_secs(5);

/// How many entries an unknown process gets without inodes: each that it looks up is a request.
pub const FEW: usize = 32;

/// The processes that list directories, newest first.
#[derive(Debug, Default)]
pub struct Readers(Mutex<VecDeque<ListingProcess>>);

#[derive(Debug)]
struct ListingProcess {
    process: u32,
    /// When it last looked up or read a file.
    wanted: Option<Instant>,
    /// The directory that it got with inodes on trial.
    trial: Option<u64>,
}

impl Readers {
    /// A process looked up or read a file.
    pub fn wants(&self, process: u32) {
        self.with(process, |reader| reader.wanted = Some(Instant::now()));
    }

    /// True if the entries of this directory should have inodes for this process.
    pub fn is_wanted_by(&self, process: u32, directory: u64) -> bool {
        let readers = self.0.lock();
        let known = readers.iter().find(|reader| reader.process == process);
        let holds = |reader: &ListingProcess| reader.wanted.is_some_and(|wanted| wanted.elapsed() < WANTS);
        known.is_some_and(|reader| holds(reader) || reader.trial == Some(directory))
    }

    /// Puts an unknown process on trial; false if it is known.
    pub fn is_on_trial(&self, process: u32, directory: u64) -> bool {
        self.with(process, |reader| {
            let is_known = reader.wanted.is_some() || reader.trial.is_some();
            reader.trial.get_or_insert(directory);
            !is_known
        })
    }

    fn with<T>(&self, process: u32, change: impl FnOnce(&mut ListingProcess) -> T) -> T {
        let mut readers = self.0.lock();
        let known = readers.iter().position(|reader| reader.process == process);
        let fresh = ListingProcess { process, wanted: None, trial: None };
        let mut reader = known.and_then(|at| readers.remove(at)).unwrap_or(fresh);
        let answer = change(&mut reader);
        readers.push_front(reader);
        readers.truncate(READERS);
        answer
    }
}

/// Entries of a listing, some without inode, in the bytes of the kernel's protocol: fuser has no call for them.
#[derive(Debug, Default)]
pub struct RawEntries(Vec<u8>);

impl RawEntries {
    /// Adds an entry; with an inode if its `stat` is given.
    pub fn add(&mut self, ino: u64, next: u64, name: &str, file_type: FileType, stat: Option<(&Stat, &Ownership)>) {
        let buffer = &mut self.0;
        let kind = match file_type {
            FileType::Directory => libc::S_IFDIR,
            FileType::File => libc::S_IFREG,
            FileType::Link => libc::S_IFLNK,
        };
        let start = buffer.len();
        if let Some((stat, owner)) = stat {
            let mode = match file_type {
                FileType::Directory => owner.directory_mode,
                FileType::File => owner.file_mode,
                FileType::Link => 0o777,
            };
            let [mtime, ctime] = [stat.mtime as u64, stat.ctime as u64];
            let holds = FOR_GOOD.as_secs();
            // struct fuse_entry_out, and in it struct fuse_attr.
            for word in [ino, 0, holds, holds, 0, ino, stat.size, stat.size.div_ceil(512), mtime, mtime, ctime] {
                buffer.extend_from_slice(&word.to_ne_bytes());
            }
            let mode = kind | u32::from(mode);
            for word in [0, 0, 0, mode, stat.links, owner.uid, owner.gid, 0, BLOCK, 0] {
                buffer.extend_from_slice(&word.to_ne_bytes());
            }
        }
        buffer.resize(start + 128, 0);
        // struct fuse_dirent.
        for word in [ino, next] {
            buffer.extend_from_slice(&word.to_ne_bytes());
        }
        for word in [name.len() as u32, kind >> 12] {
            buffer.extend_from_slice(&word.to_ne_bytes());
        }
        buffer.extend_from_slice(name.as_bytes());
        buffer.resize(buffer.len().next_multiple_of(8), 0);
    }
}

/// The device that requests come from, for answers that fuser has no call for.
#[derive(Debug)]
pub struct Device(File);

impl Device {
    /// The device of a session.
    pub fn of(session: &impl AsFd) -> io::Result<Device> {
        Ok(Device(session.as_fd().try_clone_to_owned()?.into()))
    }

    /// Answers a request with entries.
    pub fn answer(&self, request: u64, entries: &RawEntries) -> io::Result<()> {
        // struct fuse_out_header: length, error, request.
        let mut header = [0; 16];
        header[..4].copy_from_slice(&(16 + entries.0.len() as u32).to_ne_bytes());
        header[8..].copy_from_slice(&request.to_ne_bytes());
        (&self.0).write_vectored(&[IoSlice::new(&header), IoSlice::new(&entries.0)]).map(|_| ())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reader_is_known_by_what_it_does() {
        let readers = Readers::default();
        assert!(!readers.is_wanted_by(7, 1));
        assert!(readers.is_on_trial(7, 1), "not known yet");
        assert!(readers.is_wanted_by(7, 1) && !readers.is_wanted_by(7, 2), "the first directory only");
        assert!(!readers.is_on_trial(7, 2), "it read nothing of the first one");
        readers.wants(7);
        assert!(readers.is_wanted_by(7, 2) && !readers.is_wanted_by(8, 2));
        (100..200).for_each(|process| readers.wants(process));
        assert!(!readers.is_wanted_by(7, 2), "forgotten");
    }

    #[test]
    fn entries_are_as_long_as_those_of_fuser() {
        let owner = Ownership { uid: 1, gid: 2, directory_mode: 0o500, file_mode: 0o400 };
        let stat = Stat { file_type: FileType::Directory, size: 0, mtime: 3, ctime: 4, links: 5 };
        let mut entries = RawEntries::default();
        entries.add(9, 10, "a", FileType::File, None);
        assert_eq!(entries.0.len(), 128 + 24 + 8);
        assert_eq!(entries.0[..8], [0; 8], "no inode");
        assert_eq!(entries.0[128..144], [9_u64.to_ne_bytes(), 10_u64.to_ne_bytes()].concat());
        entries.add(11, 12, "12345678", FileType::Directory, Some((&stat, &owner)));
        assert_eq!(entries.0.len(), 2 * (128 + 24 + 8));
        assert_eq!(entries.0[160..168], 11_u64.to_ne_bytes());
    }
}
