//! One writer at a time: the lock of an archive, with a note that names the process that holds it.
//!
//! The lock itself is on the archive's file ([`ArchiveFile::try_lock`]). The note `ARCHIVE.lock` beside it only tells
//! people which process is writing: without it, or with one that another program left, the lock holds all the same.

use super::connect::beside;
use super::file::{ArchiveFile, FileId};
use crate::error::{Error, ErrorKind, Result};
use rustix::fs::{Mode, OFlags, open};
use rustix::io::pwrite;
use std::fs::{self, File};
use std::io::Read;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// The first bytes of every note.
const NOTE: &str = "vandelay ";

/// No note is longer.
const NOTE_MAX: u64 = 400;

/// The right to write to one archive, given back on drop.
pub(super) struct Lock {
    file: Arc<ArchiveFile>,
    note: Option<(PathBuf, FileId)>,
}

impl Lock {
    /// Takes the lock of the archive at `path`. The note shows `doing` to other programs.
    ///
    /// Errors: [`ErrorKind::Locked`], with the process that holds it.
    pub(super) fn take(file: &Arc<ArchiveFile>, path: &Path, doing: &str) -> Result<Lock> {
        match file.try_lock() {
            Ok(true) => Ok(Lock { file: Arc::clone(file), note: leave_note(&beside(path, ".lock"), doing) }),
            Ok(false) => Err(held(path)),
            Err(error) => Err(Error::io(format!("cannot open archive {} for writing", path.display()), error)),
        }
    }
}

impl Drop for Lock {
    fn drop(&mut self) {
        if let Some((path, id)) = &self.note
            && fs::symlink_metadata(path).is_ok_and(|meta| (meta.dev(), meta.ino()) == *id)
        {
            let _ = fs::remove_file(path);
        }
        self.file.unlock();
    }
}

/// Writes the note, in a file that is new or is a note that a killed writer left. Any other file of that name is left
/// alone, and links are not followed.
fn leave_note(path: &Path, doing: &str) -> Option<(PathBuf, FileId)> {
    let flags = OFlags::RDWR | OFlags::CLOEXEC | OFlags::NOFOLLOW | OFlags::NONBLOCK;
    let file = match open(path, flags | OFlags::CREATE | OFlags::EXCL, Mode::RUSR | Mode::WUSR) {
        Ok(made) => File::from(made),
        Err(_) => {
            let file = File::from(open(path, flags, Mode::empty()).ok()?);
            read_note(&file)?;
            file.set_len(0).ok()?;
            file
        }
    };
    let meta = file.metadata().ok()?;
    let note = format!(
        "{NOTE}{doing} (pid {}, host {}, since {})",
        std::process::id(),
        host(),
        jiff::Timestamp::now().strftime("%FT%TZ")
    );
    if pwrite(&file, note.as_bytes(), 0).is_err() {
        // An empty one would never be known for ours again.
        let _ = fs::remove_file(path);
        return None;
    }
    Some((path.to_owned(), (meta.dev(), meta.ino())))
}

/// The text of a note; `None` of a file that is none.
fn read_note(file: &File) -> Option<String> {
    let meta = file.metadata().ok().filter(|meta| meta.is_file() && meta.nlink() == 1 && meta.len() <= NOTE_MAX)?;
    let mut text = String::new();
    file.take(meta.len()).read_to_string(&mut text).ok()?;
    let is_note = text.starts_with(NOTE) && text.contains("(pid ");
    is_note.then(|| text.chars().filter(|c| !c.is_control()).collect())
}

fn held(archive: &Path) -> Error {
    let note = open(
        beside(archive, ".lock"),
        OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NOFOLLOW | OFlags::NONBLOCK,
        Mode::empty(),
    );
    let who = note.ok().and_then(|note| read_note(&File::from(note)));
    let who = who.unwrap_or_else(|| "another vandelay".to_owned());
    Error::new(ErrorKind::Locked, format!("archive {} is being written by {who}", archive.display())).hint(
        "wait until it has finished, then run this again; the lock ends with that process, there is no file to remove",
    )
}

/// The name of this machine.
pub fn host() -> String {
    fs::read_to_string("/proc/sys/kernel/hostname").map(|name| name.trim().to_owned()).unwrap_or_default()
}
