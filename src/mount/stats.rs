//! What a mount was asked: a few numbers for whoever wants to know whether it is as fast as it could be.

use crate::tree::Counters;
use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};

/// How often the kernel asked, by question.
#[derive(Debug, Default)]
pub struct Requests {
    lookups: AtomicU64,
    getattrs: AtomicU64,
    readdirs: AtomicU64,
    reads: AtomicU64,
    failures: AtomicU64,
    taken_back: AtomicU64,
    advances: AtomicU64,
}

fn one_more(counter: &AtomicU64) {
    counter.fetch_add(1, Ordering::Relaxed);
}

impl Requests {
    /// A name was looked up.
    pub fn lookup(&self) {
        one_more(&self.lookups);
    }

    /// Somebody asked what a number is.
    pub fn getattr(&self) {
        one_more(&self.getattrs);
    }

    /// A part of a directory was listed.
    pub fn readdir(&self) {
        one_more(&self.readdirs);
    }

    /// A part of a file was read.
    pub fn read(&self) {
        one_more(&self.reads);
    }

    /// A request was answered with an error.
    pub fn failed(&self) {
        one_more(&self.failures);
    }

    /// The kernel was told to forget a name or a number.
    pub fn took_back(&self) {
        one_more(&self.taken_back);
    }

    /// The root went on to another snapshot.
    pub fn advanced(&self) {
        one_more(&self.advances);
    }
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
        let of = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let sum =
            |of_one: fn(&Counters) -> &AtomicU64| -> u64 { self.counters.iter().map(|one| of(of_one(one))).sum() };
        let requests = self.requests;
        write!(
            f,
            "served: {} lookups, {} attributes, {} listings, {} reads ({} bytes), {} errors; \
             read from the archive or decoded: {} files ({} bytes); answered from what was kept: {}; \
             followed: {} snapshots, {} names and numbers taken back",
            of(&requests.lookups),
            of(&requests.getattrs),
            of(&requests.readdirs),
            of(&requests.reads),
            sum(|one| &one.served),
            of(&requests.failures),
            sum(|one| &one.fetched),
            sum(|one| &one.fetched_bytes),
            sum(|one| &one.kept),
            of(&requests.advances),
            of(&requests.taken_back),
        )?;
        match self.peak {
            Some(peak) => write!(f, "; peak memory: {peak} KiB"),
            None => Ok(()),
        }
    }
}
