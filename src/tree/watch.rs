//! The file of an archive as `follow` saw it last.

use crate::archive::FileStamp;

/// The stamps of the archive's files at the last call of `follow`, and at the last one that let the root go on.
#[derive(Debug, Default)]
pub(super) struct SeenStamps {
    pub(super) last: Option<FileStamp>,
    pub(super) followed: Option<FileStamp>,
}
