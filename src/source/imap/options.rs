//! Decisions of the user about an import over IMAP.

use crate::source::filter::Filter;
use std::path::PathBuf;

/// The user's decisions about an import over IMAP.
#[derive(Debug, Clone, Default)]
pub struct ImapOptions {
    /// Looks at whole names, with the server's delimiter.
    pub filter: Filter,
    /// Roles whose mailboxes are left out.
    pub exclude_special: Vec<String>,
    /// Takes only mailboxes that the user is subscribed to.
    pub subscribed_only: bool,
    /// Names give no roles; attributes still do.
    pub noautomap: bool,
    /// Messages marked as deleted are taken, with the keyword `$deleted`.
    pub include_deleted: bool,
    /// How many messages are asked for ahead.
    pub fetch_batch: usize,
    /// The most connections, 1 to 8.
    pub connections: usize,
    /// Ask for COMPRESS=DEFLATE.
    pub compress: bool,
    /// Where bodies go that are too large for memory.
    pub spool: PathBuf,
}

impl ImapOptions {
    /// True if every mailbox is taken.
    pub(crate) fn takes_all(&self) -> bool {
        self.filter.is_all() && self.exclude_special.is_empty() && !self.subscribed_only
    }
}
