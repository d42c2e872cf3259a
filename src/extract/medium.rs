//! The system calls of an extraction, so that tests can stand in for file systems that refuse names or links.

use rustix::fs::{AtFlags, CWD, Mode, OFlags, linkat, open};
use rustix::io::Errno;
use std::fs::{self, File};
use std::io::{self, ErrorKind};
use std::os::fd::AsRawFd;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use tempfile::NamedTempFile;

/// The system calls that make something new. Each fails if there is something of that name already.
pub trait Medium {
    /// Makes a directory.
    fn directory(&self, path: &Path) -> io::Result<()>;

    /// Makes a file in a directory that only its owner can read, and that has no name of its own yet.
    fn file(&self, directory: &Path) -> io::Result<NewFile> {
        NewFile::in_directory(directory)
    }

    /// Gives a file its name, so that a name never stands for a part of a file.
    fn name(&self, file: &mut NewFile, path: &Path) -> io::Result<()>;

    /// Makes a symbolic link.
    fn link(&self, target: &str, path: &Path) -> io::Result<()>;

    /// Gives a file another name.
    fn second_name(&self, known: &Path, path: &Path) -> io::Result<()>;
}

/// A file that is being written.
pub struct NewFile {
    state: State,
}

enum State {
    /// Nothing is left of it if the process ends.
    Unnamed(File),
    /// Where the file system has no files without a name.
    Hidden(NamedTempFile),
    /// It has its name.
    Named(File),
    /// A failure left nothing.
    Gone,
}

impl NewFile {
    fn in_directory(directory: &Path) -> io::Result<NewFile> {
        let flags = OFlags::TMPFILE | OFlags::RDWR | OFlags::CLOEXEC;
        let state = match open(directory, flags, Mode::RUSR | Mode::WUSR) {
            Ok(file) => State::Unnamed(file.into()),
            Err(error) if !matches!(error, Errno::OPNOTSUPP | Errno::ISDIR | Errno::INVAL | Errno::NOSYS) => {
                return Err(error.into());
            }
            Err(_) => {
                State::Hidden(tempfile::Builder::new().prefix(".vandelay-").suffix(".part").tempfile_in(directory)?)
            }
        };
        Ok(NewFile { state })
    }

    /// The file, for writing.
    pub fn open(&mut self) -> io::Result<&mut File> {
        match &mut self.state {
            State::Unnamed(file) | State::Named(file) => Ok(file),
            State::Hidden(file) => Ok(file.as_file_mut()),
            State::Gone => Err(ErrorKind::NotFound.into()),
        }
    }

    fn take_name(&mut self, path: &Path) -> io::Result<()> {
        match std::mem::replace(&mut self.state, State::Gone) {
            State::Unnamed(file) => {
                let from = PathBuf::from(format!("/proc/self/fd/{}", file.as_raw_fd()));
                let linked = linkat(CWD, &from, CWD, path, AtFlags::SYMLINK_FOLLOW);
                self.state = if linked.is_ok() { State::Named(file) } else { State::Unnamed(file) };
                Ok(linked?)
            }
            State::Hidden(file) => match file.persist_noclobber(path) {
                Ok(file) => {
                    self.state = State::Named(file);
                    Ok(())
                }
                Err(error) => {
                    self.state = State::Hidden(error.file);
                    Err(error.error)
                }
            },
            named => {
                self.state = named;
                Err(ErrorKind::AlreadyExists.into())
            }
        }
    }
}

/// The disk.
pub struct Disk;

impl Medium for Disk {
    fn directory(&self, path: &Path) -> io::Result<()> {
        fs::create_dir(path)
    }

    fn name(&self, file: &mut NewFile, path: &Path) -> io::Result<()> {
        file.take_name(path)
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
