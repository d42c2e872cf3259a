//! Reading ahead from file to file: the bytes of the next messages are put into the kernel's cache before a process reads
//! them.
//!
//! A `grep` over a mailbox reads one message after the other in the order in which they were listed. Each would be a
//! request, for which the reader sleeps and this process is woken, and that costs more than the bytes. So a process that
//! has read some messages in a row finds the following ones in the cache. Every 256th is left out: the process requests
//! it, and so shows how far it is.
//!
//! These bytes never have to be invalidated, because the bytes of a message of a snapshot never change. Threads of their
//! own do this, as the kernel may block a thread that stores bytes until a pending read of the same bytes is answered.

use crate::tree::ROW_BITS;
use parking_lot::{Condvar, Mutex};
use std::collections::VecDeque;

/// How many threads read ahead. One alone takes longer for a message than `grep` does.
pub const HELPERS: usize = 2;

/// How many listings are remembered, and so for how many readers at a time messages are read ahead.
const LISTINGS: usize = 16;

/// How many messages a process has to read in a row first.
const IN_A_ROW: u32 = 2;

/// How many messages are read ahead, and each how many one is left to the reader.
const AHEAD: usize = 1_024;
const GAP: usize = 256;

/// How many messages are left to a reader that is faster than the threads.
const LEAD: usize = 16;

/// How many bytes are read ahead, and from which size on a message is left to the reader: within a file the kernel reads
/// ahead itself.
const BYTES: u64 = 32 << 20;
pub(super) const LARGE: u64 = 1 << 20;

/// Listings, and how far their readers are.
#[derive(Debug, Default)]
pub struct PrefetchQueue {
    state: Mutex<QueueState>,
    wake: Condvar,
}

#[derive(Debug, Default)]
struct QueueState {
    /// Newest first.
    listings: VecDeque<ListedMessages>,
    is_over: bool,
}

/// Messages of a directory that the kernel has inodes of, in the order in which they were listed: by row.
#[derive(Debug)]
struct ListedMessages {
    directory: u64,
    /// The inode number of each without its row.
    common: u64,
    /// Rows and sizes.
    rows: Vec<(u32, u32)>,
    /// The place behind the last one that was read.
    next: usize,
    in_a_row: u32,
    /// The places to be put into the cache.
    from: usize,
    to: usize,
    /// Bytes put there since a message was read last.
    bytes: u64,
}

impl ListedMessages {
    fn position(&self, ino: u64) -> Option<usize> {
        let row = u32::try_from(ino.checked_sub(self.common)?).ok()?;
        self.rows.binary_search_by_key(&row, |(row, _)| *row).ok()
    }

    /// Notes that a message was read, and updates the places to be read ahead.
    fn read(&mut self, at: usize) {
        // Reads of messages in the cache are not seen here.
        let follows = at >= self.next && at <= self.next.max(self.to);
        self.in_a_row = if follows { self.in_a_row.saturating_add(1) } else { 0 };
        if !follows {
            self.from = at + 1;
        }
        self.next = at + 1;
        self.bytes = 0;
        // The distance grows with the run, so a reader that stops soon wastes little.
        let far = (4_usize << self.in_a_row.saturating_sub(IN_A_ROW).min(8)).min(AHEAD);
        // A reader that is faster than the threads would request each of the next messages while a thread fetches it.
        if self.from <= at {
            self.from = at + 1 + (far / 8).clamp(1, LEAD);
        }
        if self.in_a_row < IN_A_ROW {
            self.to = at + 1;
            return;
        }
        self.to = self.to.max((at + 1 + far).min(self.rows.len()));
    }

    fn take(&mut self) -> Option<(u64, u64)> {
        while self.from < self.to && self.bytes < BYTES {
            let at = self.from;
            self.from += 1;
            if !at.is_multiple_of(GAP) {
                let (row, size) = self.rows[at];
                self.bytes += u64::from(size);
                return Some((self.common + u64::from(row), u64::from(size)));
            }
        }
        None
    }
}

impl PrefetchQueue {
    /// Notes messages that were listed with their inodes, in order; `is_start` where a listing begins.
    ///
    /// Their sizes have to be those that the kernel got: only bytes of that length are put into its cache.
    pub fn listed(&self, directory: u64, is_start: bool, messages: &[(u64, u64)]) {
        let Some(common) = messages.first().map(|(ino, _)| ino >> ROW_BITS << ROW_BITS) else { return };
        let mut state = self.state.lock();
        let known = state.listings.iter().position(|one| one.directory == directory);
        let known = known.and_then(|at| state.listings.remove(at));
        let fresh =
            || ListedMessages { directory, common, rows: Vec::new(), next: 0, in_a_row: 0, from: 0, to: 0, bytes: 0 };
        let mut listing = known.filter(|one| !is_start && one.common == common).unwrap_or_else(fresh);
        for (ino, size) in messages {
            // A message of another kind, or out of order, would not be found again, and is left out.
            match (u32::try_from(ino.wrapping_sub(common)), u32::try_from(*size)) {
                (Ok(row), Ok(size)) if listing.rows.last().is_none_or(|(last, _)| *last < row) => {
                    listing.rows.push((row, size))
                }
                _ => {}
            }
        }
        state.listings.push_front(listing);
        state.listings.truncate(LISTINGS);
    }

    /// Notes that a process reads a file from its start.
    pub fn read(&self, ino: u64) {
        let mut state = self.state.lock();
        let known = state.listings.iter_mut().find_map(|one| Some((one.position(ino)?, one)));
        let Some((at, listing)) = known else { return };
        listing.read(at);
        if listing.from < listing.to {
            drop(state);
            self.wake.notify_one();
        }
    }

    /// The next message to be put into the cache, and its size; waits for one. `None` after [`PrefetchQueue::stop`].
    pub(crate) fn next(&self) -> Option<(u64, u64)> {
        let mut state = self.state.lock();
        loop {
            if state.is_over {
                return None;
            }
            if let Some(message) = state.listings.iter_mut().find_map(ListedMessages::take) {
                return Some(message);
            }
            self.wake.wait(&mut state);
        }
    }

    /// Lets `prefetch::work` end.
    pub fn stop(&self) {
        self.state.lock().is_over = true;
        self.wake.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Messages of 10 bytes.
    fn messages(inos: std::ops::Range<u64>) -> Vec<(u64, u64)> {
        inos.map(|ino| (ino, 10)).collect()
    }

    /// The messages that are read ahead after these reads.
    fn taken(ahead: &PrefetchQueue, reads: &[u64]) -> Vec<u64> {
        reads.iter().for_each(|ino| ahead.read(*ino));
        let mut state = ahead.state.lock();
        std::iter::from_fn(|| state.listings.iter_mut().find_map(ListedMessages::take)).map(|(ino, _)| ino).collect()
    }

    const NONE: [u64; 0] = [];

    #[test]
    fn who_reads_in_a_row_gets_the_next_ones() {
        let ahead = PrefetchQueue::default();
        ahead.listed(1, true, &messages(1_000..3_000));
        assert_eq!(taken(&ahead, &[1_007, 1_900, 1_010]), NONE, "no order");
        assert_eq!(taken(&ahead, &[1_020, 1_021]), NONE, "two may be chance");
        assert_eq!(taken(&ahead, &[1_022]), [1_023, 1_024, 1_025, 1_026]);
        let more = taken(&ahead, &[1_027, 1_028, 1_029, 1_030, 1_031, 1_032]);
        assert!(more.contains(&1_255) && !more.contains(&1_256), "one is left out: {more:?}");
        assert_eq!(taken(&ahead, &[1_256]).last(), Some(&1_767), "its reader asks for it, and so we go on");
        assert_eq!(taken(&ahead, &[2_500]), NONE, "somewhere else");
    }

    #[test]
    fn a_listing_goes_on_where_it_was_and_a_new_one_starts_anew() {
        let ahead = PrefetchQueue::default();
        ahead.listed(1, true, &messages(5..8));
        ahead.listed(1, false, &messages(8..10));
        assert_eq!(taken(&ahead, &[5, 6, 7]), [9]);
        ahead.listed(1, true, &messages(20..21));
        assert_eq!(taken(&ahead, &[5, 6, 7]), NONE, "not known any more");
        (2..100).for_each(|directory| ahead.listed(directory, true, &[(directory << 40, 10)]));
        assert_eq!(ahead.state.lock().listings.len(), LISTINGS);
    }

    #[test]
    fn only_so_many_bytes_are_read_ahead() {
        let ahead = PrefetchQueue::default();
        ahead.listed(1, true, &(1..60).map(|ino| (ino, BYTES / 2)).collect::<Vec<_>>());
        assert_eq!(taken(&ahead, &[1, 2, 3]), [5, 6]);
    }
}
