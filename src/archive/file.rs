//! The archive as a file: the one place that opens it outside SQLite, and the lock of its writer.
//!
//! Closing any descriptor of a file drops every POSIX lock that the process has on that file, SQLite's too ("How To
//! Corrupt An SQLite Database File", 2.2): another program that closes the archive then takes itself for the last user
//! and deletes the log of a running import. So a process has one [`ArchiveFile`] per inode, shared by all readers and
//! writers, and its descriptors are closed when the last of them is gone. Every connection keeps one.
//!
//! The writer's lock is an open file description lock on the inode, on a byte that SQLite does not use. Two names of one
//! archive (hard links, bind mounts) are therefore one lock, and the kernel drops it with the process.

use crate::error::{Error, ErrorKind, Result};
use crate::held;
use parking_lot::{Mutex, MutexGuard};
use rustix::fs::{
    FileType, Mode, OFlags, Stat, XattrFlags, fgetxattr, fremovexattr, fsetxattr, fstat, ioctl_ficlone, open, statvfs,
};
use std::collections::HashMap;
use std::ffi::OsStr;
use std::fs::{File, OpenOptions};
use std::io;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

pub(super) use crate::held::FileId;

/// SQLite locks the bytes 1,073,741,824 to 1,073,742,335 (its "locking page"). Ours lies behind them.
const LOCK_BYTE: i64 = 1_073_742_848;

/// The descriptors of one inode.
struct Descriptors {
    users: usize,
    reading: Arc<File>,
    /// Opened by the first writer, and kept.
    writing: Option<File>,
    has_writer: bool,
}

/// All archives that this process has open.
fn open_files() -> MutexGuard<'static, HashMap<FileId, Descriptors>> {
    static OPEN: OnceLock<Mutex<HashMap<FileId, Descriptors>>> = OnceLock::new();
    OPEN.get_or_init(Mutex::default).lock()
}

/// An archive's file, held open.
pub(super) struct ArchiveFile {
    id: FileId,
    /// Names the inode without opening it: closing this descriptor drops no lock.
    handle: OwnedFd,
}

impl ArchiveFile {
    /// Opens the file at a path, which has to be a regular file.
    pub(super) fn open(path: &Path) -> io::Result<Arc<ArchiveFile>> {
        let handle = open(path, OFlags::PATH | OFlags::CLOEXEC, Mode::empty())?;
        let stat = fstat(&handle)?;
        if !FileType::from_raw_mode(stat.st_mode).is_file() {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "not a regular file"));
        }
        let file = ArchiveFile { id: (stat.st_dev, stat.st_ino), handle };
        let mut open = open_files();
        match open.get_mut(&file.id) {
            Some(known) => known.users += 1,
            None => {
                let reading = Arc::new(OpenOptions::new().read(true).open(file.reopen_path())?);
                open.insert(file.id, Descriptors { users: 1, reading, writing: None, has_writer: false });
                held::hold(file.id);
            }
        }
        drop(open);
        Ok(Arc::new(file))
    }

    /// A path that leads to this inode, also if another file has its name now.
    fn reopen_path(&self) -> String {
        format!("/proc/self/fd/{}", self.handle.as_raw_fd())
    }

    /// True if the file has this name now.
    pub(super) fn is_at(&self, path: &Path) -> bool {
        std::fs::metadata(path).is_ok_and(|meta| (meta.dev(), meta.ino()) == self.id)
    }

    /// Size, times and number of names of the file.
    pub(super) fn stat(&self) -> io::Result<Stat> {
        Ok(fstat(&self.handle)?)
    }

    /// True if the file has other names too, hard links or a mount of its own: the log of a writer stands beside one of
    /// them only.
    pub(super) fn has_other_names(&self, path: &Path) -> bool {
        self.stat().is_ok_and(|stat| stat.st_nlink > 1) || is_mount_point(path)
    }

    /// The first bytes of the file, as many as fit.
    ///
    /// Errors: the file is shorter, or cannot be read.
    pub(super) fn read_start(&self, start: &mut [u8]) -> io::Result<()> {
        self.reading()?.read_exact_at(start, 0)
    }

    /// Reads at an offset; 0 at the end.
    pub(super) fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        self.reading()?.read_at(buffer, offset)
    }

    /// Makes `to` share all blocks with this file, at once and in one state.
    ///
    /// Errors: the file system has no such call, or the files lie on two.
    pub(super) fn reflink_into(&self, to: &File) -> io::Result<()> {
        Ok(ioctl_ficlone(to, self.reading()?)?)
    }

    /// The descriptor for reading. The table of open files holds it too, as long as this archive is open: so dropping it
    /// closes nothing.
    fn reading(&self) -> io::Result<Arc<File>> {
        let open = open_files();
        let descriptors = open.get(&self.id).ok_or_else(|| io::Error::from(io::ErrorKind::NotFound))?;
        Ok(Arc::clone(&descriptors.reading))
    }

    /// Takes the right to write, unless another process or another writer of this process has it.
    pub(super) fn try_lock(&self) -> io::Result<bool> {
        let mut open = open_files();
        let Some(descriptors) = open.get_mut(&self.id) else { return Ok(false) };
        if descriptors.has_writer {
            return Ok(false);
        }
        let writing = match descriptors.writing.take() {
            Some(file) => file,
            None => OpenOptions::new().read(true).write(true).open(self.reopen_path())?,
        };
        let outcome = lock_byte(&writing, libc::F_OFD_SETLK, libc::F_WRLCK);
        // Kept even if the lock is another's: closing it would drop SQLite's locks.
        descriptors.writing = Some(writing);
        match outcome {
            Ok(_) => descriptors.has_writer = true,
            Err(error) if matches!(error.raw_os_error(), Some(libc::EAGAIN | libc::EACCES)) => return Ok(false),
            Err(error) => return Err(error),
        }
        Ok(true)
    }

    /// Gives the right to write back.
    pub(super) fn unlock(&self) {
        if let Some(descriptors) = open_files().get_mut(&self.id)
            && let Some(writing) = &descriptors.writing
        {
            let _ = lock_byte(writing, libc::F_OFD_SETLK, libc::F_UNLCK);
            descriptors.has_writer = false;
        }
    }

    /// True if a writer is at work, in any process and under any name of the file.
    pub(super) fn is_locked(&self) -> bool {
        let open = open_files();
        let Some(descriptors) = open.get(&self.id) else { return false };
        let kind = lock_byte(&descriptors.reading, libc::F_OFD_GETLK, libc::F_WRLCK);
        descriptors.has_writer || kind.is_ok_and(|kind| kind != libc::F_UNLCK as libc::c_short)
    }
}

/// The attribute of a file that says under which of its names it is written.
const WRITTEN_AS: &str = "user.vandelay.written-as";

/// Logs of files with several names. On a file system without extended attributes nothing is noted.
impl ArchiveFile {
    /// Notes the name beside which the log of the writer stands.
    pub(super) fn note_name(&self, path: &Path) {
        let open = open_files();
        if let Some(writing) = open.get(&self.id).and_then(|descriptors| descriptors.writing.as_ref()) {
            let flags = XattrFlags::empty();
            let _ = fsetxattr(writing, WRITTEN_AS, path.as_os_str().as_bytes(), flags);
        }
    }

    /// Takes the note back once there is no log any more.
    pub(super) fn forget_name(&self) {
        let open = open_files();
        if let Some(writing) = open.get(&self.id).and_then(|descriptors| descriptors.writing.as_ref()) {
            let _ = fremovexattr(writing, WRITTEN_AS);
        }
    }

    /// Another name of the file beside which a killed writer left a log.
    pub(super) fn log_elsewhere(&self, path: &Path) -> Option<PathBuf> {
        let mut noted = vec![0; 4_096];
        let open = open_files();
        let length = fgetxattr(open.get(&self.id)?.reading.as_ref(), WRITTEN_AS, &mut noted[..]).ok()?;
        drop(open);
        let name = PathBuf::from(OsStr::from_bytes(noted.get(..length)?));
        let mut log = name.clone().into_os_string();
        log.push("-wal");
        let is_there = name != path && self.is_at(&name) && std::fs::metadata(log).is_ok_and(|log| log.len() > 0);
        is_there.then_some(name)
    }
}

impl Drop for ArchiveFile {
    fn drop(&mut self) {
        let mut open = open_files();
        if let Some(descriptors) = open.get_mut(&self.id) {
            descriptors.users -= 1;
            if descriptors.users == 0 {
                // Closed while the table is held: no thread opens a connection to this inode meanwhile.
                open.remove(&self.id);
                held::release(self.id);
            }
        }
    }
}

/// Sets, drops or asks for the lock on [`LOCK_BYTE`]. Gives the kind of another owner's lock that prevents it.
#[expect(unsafe_code, reason = "no crate has locks of open file descriptions")]
fn lock_byte(file: &File, command: libc::c_int, kind: libc::c_int) -> io::Result<libc::c_short> {
    // SAFETY: all fields of the plain struct may be zero.
    let mut lock: libc::flock = unsafe { std::mem::zeroed() };
    lock.l_type = kind as libc::c_short;
    lock.l_whence = libc::SEEK_SET as libc::c_short;
    lock.l_start = LOCK_BYTE;
    lock.l_len = 1;
    // SAFETY: the descriptor is open, and `lock` is a flock that outlives the call. Neither std nor rustix has
    // locks of open file descriptions.
    let done = unsafe { libc::fcntl(file.as_fd().as_raw_fd(), command, &mut lock) };
    if done == -1 { Err(io::Error::last_os_error()) } else { Ok(lock.l_type) }
}

/// True if a file system, or one file, is mounted at this very path.
fn is_mount_point(path: &Path) -> bool {
    use rustix::fs::{AtFlags, CWD, StatxAttributes, StatxFlags, statx};
    statx(CWD, path, AtFlags::empty(), StatxFlags::empty())
        .is_ok_and(|stat| stat.stx_attributes.contains(StatxAttributes::MOUNT_ROOT))
}

/// The error of opening a file whose log stands beside another of its names.
pub(super) fn log_is_elsewhere(path: &Path, name: &Path) -> Error {
    let (path, name) = (path.display(), name.display());
    let what = format!("archive {path} has another name, {name}; an import that was killed left its log there");
    Error::new(ErrorKind::Storage, what)
        .hint(format!("open the archive as {name}; after the next import there both names work again"))
}

/// The file at a path that a user named as an archive.
///
/// Errors: [`ErrorKind::NoArchive`] if there is none, or it is no regular file.
pub(super) fn open_named(path: &Path) -> Result<Arc<ArchiveFile>> {
    refuse_irregular(path)?;
    ArchiveFile::open(path).map_err(|error| {
        let kind = if error.kind() == io::ErrorKind::NotFound { ErrorKind::NoArchive } else { ErrorKind::Storage };
        Error::new(kind, format!("cannot open archive {}", path.display())).because(error)
    })
}

/// Errors for what exists and is no regular file: a device or a pipe must be neither read nor replaced.
pub(super) fn refuse_irregular(path: &Path) -> Result<()> {
    match std::fs::metadata(path) {
        Ok(meta) if !meta.is_file() => {
            let what = if meta.is_dir() { "a directory" } else { "a device, a pipe or a socket" };
            Err(Error::new(ErrorKind::NoArchive, format!("{} is {what}, not an archive", path.display()))
                .hint("name the archive file, e.g. alice.sqlite"))
        }
        _ => Ok(()),
    }
}

/// Bytes that we may still write to the file system of the archive.
pub(super) fn free_bytes(path: &Path) -> Option<u64> {
    let folder = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    statvfs(folder).ok().map(|stat| stat.f_bavail * stat.f_frsize)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The POSIX locks that this process holds on a file, as the kernel lists them.
    fn posix_locks(path: &Path) -> usize {
        let inode = std::fs::metadata(path).unwrap().ino();
        let locks = std::fs::read_to_string("/proc/locks").unwrap();
        let own = format!(" {} ", std::process::id());
        locks
            .lines()
            .filter(|line| line.contains("POSIX") && line.contains(&own) && line.contains(&format!(":{inode} ")))
            .count()
    }

    #[test]
    fn looking_at_the_file_drops_no_lock_of_sqlite() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.sqlite");
        drop(super::super::Writer::open(&path, "test").unwrap());
        let writer = super::super::Writer::open(&path, "test").unwrap();
        let before = posix_locks(&path);
        assert!(before > 0, "a connection in WAL mode holds a shared lock");
        for _ in 0..3 {
            let reader = super::super::Reader::open(&path).unwrap();
            assert!(super::super::is_archive(&path) && reader.snapshots().unwrap().is_empty());
            assert!(super::super::Writer::open(&path, "second").is_err_and(|error| error.kind == ErrorKind::Locked));
        }
        assert_eq!(posix_locks(&path), before);
        drop(writer);
        let id = ArchiveFile::open(&path).unwrap().id;
        assert!(!open_files().contains_key(&id), "closed with its last user");
    }

    #[test]
    fn all_names_of_a_file_share_the_lock() {
        let dir = tempfile::tempdir().unwrap();
        let (a, b) = (dir.path().join("a"), dir.path().join("b"));
        std::fs::write(&a, "x").unwrap();
        std::fs::hard_link(&a, &b).unwrap();
        let (first, second) = (ArchiveFile::open(&a).unwrap(), ArchiveFile::open(&b).unwrap());
        assert!(first.has_other_names(&a) && !first.is_locked());
        assert!(first.try_lock().unwrap() && !second.try_lock().unwrap() && second.is_locked());
        first.unlock();
        assert!(second.try_lock().unwrap());
        second.unlock();
    }
}
