//! One writer at a time: an advisory lock on `ARCHIVE.lock`, which names its holder while it is held.
//!
//! The kernel drops the lock with its holder, so a killed import leaves nothing that a person would have to remove.
//! It stands beside the archive and not on it, because SQLite's own locks on the file may not be disturbed.

use super::connect::beside;
use crate::error::{Error, Kind, Result};
use std::fs::{self, File, OpenOptions};
use std::io::{Read, Seek, Write};
use std::os::fd::AsRawFd;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

/// The right to write to one archive, given back on drop.
pub struct Lock {
    path: PathBuf,
    _file: File,
}

impl Lock {
    /// Takes the lock of the archive at `archive`, or says who holds it ([`Kind::Locked`]). `doing` is what we
    /// tell others that we do.
    pub fn take(archive: &Path, doing: &str) -> Result<Lock> {
        let path = beside(archive, ".lock");
        loop {
            let mut file = OpenOptions::new()
                .read(true)
                .write(true)
                .create(true)
                .truncate(false)
                .mode(0o600)
                .open(&path)
                .map_err(|error| Error::io(format!("cannot lock archive {}", archive.display()), error))?;
            // SAFETY: flock on a descriptor that we own.
            if unsafe { libc::flock(file.as_raw_fd(), libc::LOCK_EX | libc::LOCK_NB) } != 0 {
                return Err(held(archive, &mut file));
            }
            // The last holder may have removed the file between our open and our lock: then it locks nothing.
            let still_there = match (file.metadata(), fs::metadata(&path)) {
                (Ok(ours), Ok(theirs)) => ours.ino() == theirs.ino(),
                _ => false,
            };
            if still_there {
                let _ = file.set_len(0);
                let _ = write!(file, "{}", holder(doing));
                return Ok(Lock { path, _file: file });
            }
        }
    }
}

impl Drop for Lock {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.path);
    }
}

fn held(archive: &Path, file: &mut File) -> Error {
    let mut who = String::new();
    let _ = file.rewind();
    let _ = file.take(400).read_to_string(&mut who);
    let who: String = who.chars().filter(|c| !c.is_control()).collect();
    let who = if who.is_empty() { "another vandelay".to_owned() } else { who };
    Error::new(Kind::Locked, format!("archive {} is being written by {who}", archive.display()))
        .hint("wait until it has finished; if that process died the lock is already free")
}

fn holder(doing: &str) -> String {
    format!(
        "vandelay {doing} (pid {}, host {}, since {})",
        std::process::id(),
        host(),
        jiff::Timestamp::now().strftime("%FT%TZ")
    )
}

/// The name of this machine.
pub fn host() -> String {
    fs::read_to_string("/proc/sys/kernel/hostname").map(|name| name.trim().to_owned()).unwrap_or_default()
}
