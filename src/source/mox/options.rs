//! Decisions of the user about an import of an account of mox.

use crate::source::filter::Filter;
use std::path::PathBuf;

/// What to take from an account of mox, and how.
#[derive(Debug, Clone, Default)]
pub struct MoxOptions {
    /// The name of the account, which may be missing where there is only one.
    pub account: Option<String>,
    /// The mailboxes to take, by their names.
    pub filter: Filter,
    /// Gives no roles by name; mox's own flags of a mailbox still do.
    pub noautomap: bool,
    /// Takes messages marked as deleted, too, with the keyword `$deleted`.
    pub include_deleted: bool,
    /// A directory for unnamed temporary files: messages above 16 MiB that mox keeps in two parts.
    pub spool: PathBuf,
}
