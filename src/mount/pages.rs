//! Listings that are in progress.

use crate::tree::Child;
use parking_lot::Mutex;
use std::collections::VecDeque;
use std::sync::Arc;

/// Listings in progress, newest first.
#[derive(Default)]
pub(super) struct Pages(Mutex<VecDeque<Listing>>);

impl Pages {
    /// Drops all of them, because entries changed.
    pub(super) fn forget(&self) {
        self.0.lock().clear();
    }

    /// The entries that were left over when this directory was last listed up to this cookie.
    pub(crate) fn resume(&self, directory: u64, after: u64) -> Rest {
        let mut listings = self.0.lock();
        let known = listings.iter().position(|one| (one.directory, one.after) == (directory, after));
        let known = known.and_then(|at| listings.remove(at));
        drop(listings);
        known.map_or_else(Rest::default, |listing| std::mem::take(&mut *listing.rest.lock()))
    }

    pub(crate) fn keep(&self, directory: u64, after: u64, rest: Rest) {
        let mut listings = self.0.lock();
        listings.push_front(Listing { directory, after, rest: Arc::new(Mutex::new(rest)) });
        listings.truncate(LISTINGS);
    }

    pub(crate) fn newest_of(&self, directory: u64) -> Option<Arc<Mutex<Rest>>> {
        self.0.lock().iter().find(|one| one.directory == directory).map(|one| Arc::clone(&one.rest))
    }
}

struct Listing {
    directory: u64,
    /// The cookie up to which it was handed out.
    after: u64,
    rest: Arc<Mutex<Rest>>,
}

/// Entries that did not fit into the last answer, or that are read ahead.
#[derive(Default)]
pub(crate) struct Rest {
    pub(crate) children: VecDeque<Child>,
    /// No others follow.
    pub(crate) is_end: bool,
}

/// How many listings in progress are remembered.
const LISTINGS: usize = 32;
