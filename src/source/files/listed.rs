//! A file of an export as it was listed.

use super::found::ExportFile;
use crate::error::{Error, ErrorKind};
use crate::model::{SkipKind, SkippedItem};
use crate::source::Listing;

/// Begins the revision of a message, before its digest: so no object of another type has the same one.
pub(crate) const MESSAGE: char = 'm';

/// The listing of a file.
pub(crate) struct Listed {
    pub(crate) listing: Listing,
    /// Why the file is kept as a plain one, if it is.
    pub(crate) plain: Option<&'static str>,
}

/// An entry that no listing of this source made.
pub(crate) fn no_locator(name: &str) -> Error {
    Error::new(ErrorKind::Storage, format!("{name}: this entry is none of this source"))
}

/// The revision of the message with this digest.
pub(crate) fn rev_of(digest: &str) -> String {
    format!("{MESSAGE}{digest}")
}

/// The line of the report on a file without anything of what its name promises. Of a Takeout it is kept as a plain file.
pub(super) fn kept(file: &ExportFile, reason: &str) -> SkippedItem {
    // A file that the user named is to be what he says that it is.
    let (position, outcome) = match file.root.only {
        None => (format!("{} (kept as files/{})", file.key, file.key), SkipKind::Skipped),
        Some(_) => (file.position.clone(), SkipKind::NotUnderstood),
    };
    SkippedItem { kind: file.format.kind(), reason: reason.to_owned(), position, outcome }
}
