//! Links in folders that are imported.
//!
//! A user reads what the system lets them read. But root, who may read all, follows a link only to files of the link's
//! owner: else a link in a user's folder would bring the files of others into the user's backup.

use rustix::fs::{AtFlags, CWD, FileType, Stat, statat};
use rustix::process::geteuid;
use std::io;
use std::path::Path;

/// Whether what a link leads to may be read.
pub(super) fn may_follow(link: &Stat, target: &Stat) -> bool {
    link.st_uid == target.st_uid || !geteuid().is_root()
}

/// Errors if a path is a link that may not be followed, or that leads nowhere.
pub(super) fn check(path: &Path) -> io::Result<()> {
    let link = statat(CWD, path, AtFlags::SYMLINK_NOFOLLOW)?;
    if FileType::from_raw_mode(link.st_mode) != FileType::Symlink
        || may_follow(&link, &statat(CWD, path, AtFlags::empty())?)
    {
        return Ok(());
    }
    Err(io::Error::new(
        io::ErrorKind::PermissionDenied,
        "a link to what belongs to another owner, which root does not read for the owner of the link",
    ))
}
