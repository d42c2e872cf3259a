//! The system calls of an extraction, so that tests can stand in for file systems that refuse names or links.

use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind};
use std::os::unix::fs::{OpenOptionsExt, symlink};
use std::path::Path;

/// The system calls that make something new. Each fails if there is something of that name already.
pub trait Medium {
    /// Makes a directory.
    fn directory(&self, path: &Path) -> io::Result<()>;
    /// Makes a file that only its owner can read.
    fn file(&self, path: &Path) -> io::Result<File>;
    /// Makes a symbolic link.
    fn link(&self, target: &str, path: &Path) -> io::Result<()>;
    /// Gives a file another name.
    fn second_name(&self, known: &Path, path: &Path) -> io::Result<()>;
}

/// The disk.
pub struct Disk;

impl Medium for Disk {
    fn directory(&self, path: &Path) -> io::Result<()> {
        fs::create_dir(path)
    }

    fn file(&self, path: &Path) -> io::Result<File> {
        OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)
    }

    fn link(&self, target: &str, path: &Path) -> io::Result<()> {
        symlink(target, path)
    }

    fn second_name(&self, known: &Path, path: &Path) -> io::Result<()> {
        fs::hard_link(known, path)
    }
}

/// True for an error after which nothing more can be written at all.
pub(super) fn is_end(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::StorageFull | ErrorKind::QuotaExceeded | ErrorKind::ReadOnlyFilesystem)
}

/// True for an error that another name may avoid. File systems and their drivers agree on no code for that.
pub(super) fn may_be_the_name(error: &io::Error) -> bool {
    !is_end(error) && !matches!(error.kind(), ErrorKind::AlreadyExists | ErrorKind::NotConnected)
}

/// True if the file system knows no links.
pub(super) fn knows_no_links(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::Unsupported | ErrorKind::PermissionDenied)
        || matches!(error.raw_os_error(), Some(libc::ENOSYS | libc::EOPNOTSUPP))
}
