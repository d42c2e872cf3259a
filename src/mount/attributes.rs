//! Attributes of files as the kernel gets them.

use crate::tree::FileType;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Who owns the files, and who may do what with them.
#[derive(Debug, Clone, Copy)]
pub struct Ownership {
    pub uid: u32,
    pub gid: u32,
    /// Permission bits of directories and of files.
    pub directory_mode: u16,
    pub file_mode: u16,
}

/// What is shown holds until it is taken back.
pub(crate) const FOR_GOOD: Duration = Duration::from_secs(365 * 86_400);

/// What programs are told to read at once.
pub(crate) const BLOCK: u32 = 131_072;

pub(crate) fn time(seconds: i64) -> SystemTime {
    // The kernel's clock has 64 bits; ours is cut where SystemTime would overflow.
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
