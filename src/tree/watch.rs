//! The file of an archive as it was looked at last.

use crate::archive::Fingerprint;

/// What the files of the archive looked like: at the last look, and when the root last followed.
#[derive(Debug, Default)]
pub(super) struct Watch {
    pub(super) last: Option<Fingerprint>,
    pub(super) followed: Option<Fingerprint>,
}
