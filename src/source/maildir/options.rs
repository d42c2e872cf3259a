//! Decisions of the user about an import of a Maildir.

use crate::format::maildir::escape;
use crate::source::filter::Filter;
use std::path::{Path, PathBuf};

/// How the folders of a Maildir lie in the file system.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Layout {
    /// All that is found: `.A.B` beside a mailbox, and nested directories.
    #[default]
    Auto,
    /// The root is the inbox, its subdirectories `.A.B` are the other folders. Nothing else is looked at.
    MaildirPlusPlus,
    /// Directories `A/B`, each with its own `cur`. Names with a leading dot are not looked at.
    Fs,
}

/// What to take from a Maildir, and how.
#[derive(Debug, Clone)]
pub struct MaildirOptions {
    /// The folders to take, by their keys.
    pub filter: Filter,
    /// Gives no roles by name; the inbox keeps its own.
    pub noautomap: bool,
    /// Takes messages with the flag `T` too, with the keyword `$deleted`.
    pub include_deleted: bool,
    /// Where folders are looked for.
    pub layout: Layout,
    /// A directory for unnamed temporary files: messages above 16 MiB that are stored compressed.
    pub spool: PathBuf,
}

/// A path for messages to the user: one line, whatever its bytes.
pub(crate) fn shown(path: &Path) -> String {
    use std::os::unix::ffi::OsStrExt;
    path.iter().map(|part| escape(part.as_bytes())).collect::<Vec<_>>().join("/")
}
