//! The file of an archive as it was looked at last.

use crate::archive::FileStamp;

/// What the files of the archive looked like: at the last look, and when the root last followed.
#[derive(Debug, Default)]
pub(super) struct Watch {
    pub(super) last: Option<FileStamp>,
    pub(super) followed: Option<FileStamp>,
}
