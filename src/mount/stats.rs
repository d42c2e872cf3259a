//! What a mount was asked: a few numbers for whoever wants to know whether it is as fast as it could be.

use crate::tree::{Count, Counters};
use std::fmt;

/// How often the kernel asked, by question.
#[derive(Debug, Default)]
pub struct Requests {
    /// Names looked up.
    pub lookups: Count,
    /// Numbers asked about.
    pub getattrs: Count,
    /// Parts of directories listed.
    pub readdirs: Count,
    /// Parts of files read.
    pub reads: Count,
    /// Messages put into the kernel's cache before anybody asked for them.
    pub stored: Count,
    /// Requests answered with an error.
    pub failures: Count,
    /// Names and numbers that the kernel was told to forget.
    pub taken_back: Count,
    /// Steps of a root to another snapshot.
    pub advances: Count,
}

/// What `--stats` prints on unmount.
pub struct Summary<'a> {
    pub requests: &'a Requests,
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
            requests.taken_back.get(),
        )?;
        match self.peak {
            Some(peak) => write!(f, "; peak memory: {peak} KiB"),
            None => Ok(()),
        }
    }
}
