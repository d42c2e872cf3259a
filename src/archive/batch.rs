//! The counters of an open transaction, and of the log.

/// Counts what the writer has put into the open batch and into the log.
#[derive(Default)]
pub(super) struct Batch {
    pub(crate) is_open: bool,
    pub(crate) items: u64,
    pub(crate) changes: u64,
    pub(crate) bytes: u64,
    /// Bytes of items in the log that were not copied into the file yet.
    pub(crate) log_bytes: u64,
    /// Device and inode of the log, and of its index.
    pub(crate) log: Option<(u64, u64)>,
    pub(crate) index: Option<(u64, u64)>,
    /// The archive or its log went away while it was written. Nothing is written any more.
    pub(crate) is_lost: bool,
    /// `PRAGMA data_version`: another number when another program has written.
    pub(crate) version: i64,
    pub(crate) others_wrote: bool,
}
