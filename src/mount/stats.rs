//! How many requests a mount answered, and from where: numbers that show where its time goes.

use crate::tree::{Count, Counters};
use std::fmt;

/// How many requests the kernel sent, by type.
#[derive(Debug, Default)]
pub struct Requests {
    /// Lookups of names.
    pub lookups: Count,
    /// Requests for the attributes of an inode.
    pub getattrs: Count,
    /// Requests for a part of a directory.
    pub readdirs: Count,
    /// Requests for a part of a file.
    pub reads: Count,
    /// Messages put into the kernel's cache ahead of the reads.
    pub stored: Count,
    /// Requests answered with an error.
    pub failures: Count,
    /// Names and inodes that were invalidated.
    pub invalidated: Count,
    /// Steps of a root to another snapshot.
    pub advances: Count,
}

/// What `--stats` prints on unmount.
pub struct Summary<'a> {
    /// Of all archives together.
    pub requests: &'a Requests,
    /// Of each archive, shown now or earlier.
    pub counters: Vec<&'a Counters>,
    /// The most memory that the process had, in KiB, as the kernel counts it.
    pub peak: Option<u64>,
}

impl fmt::Display for Summary<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sum = |of_one: fn(&Counters) -> &Count| -> u64 { self.counters.iter().map(|one| of_one(one).get()).sum() };
        let requests = self.requests;
        write!(
            f,
            "served: {} lookups, {} attributes, {} listings, {} reads, {} messages ahead of them ({} bytes), {} errors; \
             read from the archive or decoded: {} files ({} bytes); answered from what was kept: {}; \
             followed: {} snapshots, {} names and numbers taken back",
            requests.lookups.get(),
            requests.getattrs.get(),
            requests.readdirs.get(),
            requests.reads.get(),
            requests.stored.get(),
            sum(|one| &one.served),
            requests.failures.get(),
            sum(|one| &one.fetched),
            sum(|one| &one.fetched_bytes),
            sum(|one| &one.kept),
            requests.advances.get(),
            requests.invalidated.get(),
        )?;
        match self.peak {
            Some(peak) => write!(f, "; peak memory: {peak} KiB"),
            None => Ok(()),
        }
    }
}
