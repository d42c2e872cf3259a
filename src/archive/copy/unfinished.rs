//! A copy that has no name of its own yet.
//!
//! SQLite opens files by their names only, so it is no unnamed file. A lock of flock(2) on it, which the kernel drops with
//! the process, says that its program is at work: one without it is what a killed run left.

use crate::archive::connect::beside;
use crate::archive::make::give_name;
use crate::error::{Error, ErrorKind, Result};
use rustix::fs::{Advice, fadvise};
use std::fs::{self, File};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use tempfile::{Builder, NamedTempFile};

/// How the name of an unfinished copy ends.
const END: &str = ".vandelay-copy";

/// A copy on its way. Removed on drop, with all that SQLite put beside it.
pub(super) struct Unfinished {
    file: NamedTempFile,
    _beside: Beside,
}

/// What SQLite may have put beside a file.
struct Beside(PathBuf);

impl Drop for Beside {
    fn drop(&mut self) {
        for suffix in ["-journal", "-wal", "-shm"] {
            let _ = fs::remove_file(beside(&self.0, suffix));
        }
    }
}

impl Unfinished {
    /// An empty file in the folder of the copy.
    pub(super) fn new(path: &Path, folder: &Path) -> Result<Unfinished> {
        let cannot = |error| cannot_write(path, error);
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let prefix = format!(".{}.", name.chars().take(60).collect::<String>());
        for _ in 0..100 {
            let file = Builder::new().prefix(&prefix).suffix(END).tempfile_in(folder).map_err(cannot)?;
            let is_locked = match file.as_file().try_lock() {
                Ok(()) => true,
                Err(fs::TryLockError::WouldBlock) => false,
                // A file system without locks: nobody else can take one either.
                Err(fs::TryLockError::Error(_)) => true,
            };
            // Another run may have taken it for a leftover before it was locked.
            if is_locked && file.as_file().metadata().map_err(cannot)?.nlink() > 0 {
                let beside = Beside(file.path().to_owned());
                return Ok(Unfinished { file, _beside: beside });
            }
        }
        Err(Error::new(
            ErrorKind::Storage,
            format!("cannot write into {}: other copies take each file away", folder.display()),
        ))
    }

    pub(super) fn path(&self) -> &Path {
        self.file.path()
    }

    pub(super) fn file(&self) -> &File {
        self.file.as_file()
    }

    /// Writes it through to the disk. What is read of it afterwards comes from there, where the system knows how.
    pub(super) fn sync(&self) -> io::Result<()> {
        self.file().sync_all()?;
        let _ = fadvise(self.file(), 0, None, Advice::DontNeed);
        Ok(())
    }

    /// Gives it its name.
    ///
    /// Errors: there is a file of that name.
    pub(super) fn publish(self, path: &Path) -> Result<()> {
        match give_name(self.file, path) {
            Ok(true) => Ok(()),
            Ok(false) => Err(exists(path)),
            Err(error) => Err(cannot_write(path, error)),
        }
    }
}

/// The error of a copy whose name is taken.
pub(super) fn exists(path: &Path) -> Error {
    Error::new(ErrorKind::Storage, format!("{} exists, and a copy replaces nothing", path.display()))
        .hint("choose another name. For several copies a day put the time into it: alice-%Y-%m-%d-%H%M%S.sqlite")
}

/// Removes what killed runs left in a folder. Gives their paths.
pub(super) fn remove_leftovers(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let is_ours = |name: &str| name.starts_with('.') && name.ends_with(END);
    let named = entries.filter(|entry| entry.file_name().to_str().is_some_and(is_ours));
    let files = named.filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_file())).map(|entry| entry.path());
    files.filter(|path| remove_leftover(path).is_ok()).collect()
}

fn remove_leftover(path: &Path) -> io::Result<()> {
    let file = File::open(path)?;
    file.try_lock()?;
    fs::remove_file(path)?;
    drop(Beside(path.to_owned()));
    Ok(())
}

/// The error of a disk that has no room for a copy.
pub(super) fn no_space(target: &Path) -> Error {
    Error::new(ErrorKind::Storage, format!("no space left for the copy {}", target.display()))
}

/// The error of a file of the copy that cannot be written.
pub(super) fn cannot_write(target: &Path, error: io::Error) -> Error {
    match error.raw_os_error() {
        Some(libc::ENOSPC | libc::EDQUOT) => {
            no_space(target).because(error).hint("free some space, or copy to another disk; nothing was left behind")
        }
        Some(libc::EFBIG) => Error::new(ErrorKind::Storage, format!("cannot write the copy {}", target.display()))
            .because(error)
            .hint("the file system of the copy takes no file of this size (FAT: 4 GiB), or a limit of the process does not"),
        _ => Error::io(format!("cannot write the copy {}", target.display()), error),
    }
}
