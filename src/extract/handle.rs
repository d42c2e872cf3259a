//! Directories by their handles: whatever takes the name of one meanwhile, what is written goes into the directory itself.

use rustix::fs::{Mode, OFlags, open};
use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::path::{Path, PathBuf};

/// An open directory.
pub(super) struct Handle {
    /// Held open for as long as the path is used.
    _directory: OwnedFd,
    path: PathBuf,
}

impl Handle {
    /// Opens a directory that the user named, also through links.
    pub(super) fn of_target(path: &Path) -> io::Result<Handle> {
        Handle::with(path, OFlags::empty())
    }

    /// Opens a directory. One that became a link is an error.
    pub(super) fn open(path: &Path) -> io::Result<Handle> {
        Handle::with(path, OFlags::NOFOLLOW)
    }

    fn with(path: &Path, flags: OFlags) -> io::Result<Handle> {
        let directory = open(path, OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC | flags, Mode::empty())?;
        let path = PathBuf::from(format!("/proc/self/fd/{}", directory.as_raw_fd()));
        Ok(Handle { _directory: directory, path })
    }

    /// The path of something in it, for system calls.
    pub(super) fn join(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }

    /// Its own path, for system calls.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }
}
