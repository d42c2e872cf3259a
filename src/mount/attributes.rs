//! Attributes of files as the kernel gets them.

use crate::tree::FileType;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// The owner of all files, and their permissions.
#[derive(Debug, Clone, Copy)]
pub struct Ownership {
    pub uid: u32,
    pub gid: u32,
    /// Permission bits of directories and of files.
    pub directory_mode: u16,
    pub file_mode: u16,
}

/// How long the kernel may keep an answer: until it is invalidated.
pub(crate) const FOR_GOOD: Duration = Duration::from_secs(365 * 86_400);

/// The block size that programs are advised to read in.
pub(crate) const BLOCK: u32 = 131_072;

pub(crate) fn time(seconds: i64) -> SystemTime {
    // SystemTime would overflow beyond this.
    let seconds = seconds.clamp(-(1 << 40), 1 << 40);
    match u64::try_from(seconds) {
        Ok(after) => UNIX_EPOCH + Duration::from_secs(after),
        Err(_) => UNIX_EPOCH - Duration::from_secs(seconds.unsigned_abs()),
    }
}

pub(crate) fn fuse_type(file_type: FileType) -> fuser::FileType {
    match file_type {
        FileType::Directory => fuser::FileType::Directory,
        FileType::File => fuser::FileType::RegularFile,
        FileType::Link => fuser::FileType::Symlink,
    }
}
