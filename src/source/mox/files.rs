//! The files of messages: `msg/DIR/ID`, 8192 in a directory.

use crate::error::{Error, Result};
use crate::source::links;
use rustix::fs::{FileType, Mode, OFlags, fstat, open, openat};
use rustix::io::Errno;
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};

/// The directory of message files in that of an account.
pub(super) const FILES: &str = "msg";

const DIGITS: &[u8; 64] = b"abcdefghijklmnopqrstuvwxyz0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ-_";

/// The directory of the file of a message, in [`FILES`]: the number of the directory in base 64, the lowest digit first.
pub(super) fn directory_of(id: i64) -> String {
    let mut rest = id.unsigned_abs() >> 13;
    let mut digits = String::new();
    loop {
        digits.push(char::from(DIGITS[(rest & 63) as usize]));
        rest >>= 6;
        if rest == 0 {
            return digits;
        }
    }
}

/// The file of a message, in the directory of the account.
pub(super) fn path_of(id: i64) -> String {
    format!("{FILES}/{}/{id}", directory_of(id))
}

/// Opens message files, one after the other.
pub(super) struct MessageFiles {
    /// The directory of the account.
    root: PathBuf,
    /// `None` if there is none: nothing was delivered yet.
    all: Option<OwnedFd>,
    /// The directory that was used last, by name.
    last: Option<(String, OwnedFd)>,
}

impl MessageFiles {
    /// Those of the account in `root`.
    pub(super) fn open(root: &Path) -> Result<MessageFiles> {
        let path = root.join(FILES);
        let failed = |cause| Error::io(format!("cannot read {}", path.display()), cause);
        let all = match open(&path, OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty()) {
            Ok(directory) => {
                links::check(&path).map_err(failed)?;
                Some(directory)
            }
            // A link whose target is not mounted is there all the same.
            Err(Errno::NOENT) if path.symlink_metadata().is_err() => None,
            Err(error) => return Err(failed(error.into())),
        };
        Ok(MessageFiles { root: root.to_owned(), all, last: None })
    }

    /// The directory of all of them; `None` if there is none.
    pub(super) fn directory(&self) -> Option<PathBuf> {
        self.all.as_ref().map(|_| self.root.join(FILES))
    }

    /// The file of a message, and its length.
    ///
    /// # Errors
    /// [`io::ErrorKind::NotFound`] says that it is not there, and nothing else. A link is none of mox's.
    pub(super) fn message(&mut self, id: i64) -> io::Result<(File, u64)> {
        let all = self.all.as_ref().ok_or(Errno::NOENT)?;
        let name = directory_of(id);
        if self.last.as_ref().is_none_or(|(last, _)| *last != name) {
            let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
            self.last = Some((name.clone(), openat(all, &name, flags, Mode::empty()).map_err(no_link)?));
        }
        let directory = self.last.as_ref().map(|(_, directory)| directory.as_fd()).ok_or(Errno::NOENT)?;
        // Do not wait for the writer of a pipe.
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let file = openat(directory, id.to_string(), flags, Mode::empty()).map_err(no_link)?;
        let stat = fstat(&file)?;
        if !FileType::from_raw_mode(stat.st_mode).is_file() {
            return Err(io::Error::other("it is no file"));
        }
        Ok((file.into(), u64::try_from(stat.st_size).unwrap_or_default()))
    }
}

fn no_link(error: Errno) -> io::Error {
    match error {
        Errno::LOOP | Errno::NOTDIR => io::Error::other("it is no file of mox, but a link or something else"),
        error => error.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn where_files_lie() {
        for (id, path) in [
            (1, "msg/a/1"),
            (8191, "msg/a/8191"),
            (8192, "msg/b/8192"),
            (294_912, "msg/A/294912"),
            (524_287, "msg/_/524287"),
            (524_288, "msg/ab/524288"),
        ] {
            assert_eq!(path_of(id), path);
        }
        assert!(path_of(i64::MAX).len() < 40);
    }
}
