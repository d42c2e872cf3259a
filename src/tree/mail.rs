//! What a view knows of its mailboxes.

use super::hierarchy::Hierarchy;
use crate::archive::Listed;
use crate::model::Id;
use lru::LruCache;
use parking_lot::Mutex;
use std::collections::HashMap;
use std::num::NonZeroUsize;
use std::sync::{Arc, OnceLock};

/// What is known of the mail of a moment; loaded when first asked for.
pub struct Mail {
    pub(crate) folders: OnceLock<Hierarchy<Folder>>,
    pub(crate) computed: OnceLock<Computed>,
    pub(crate) ages: OnceLock<HashMap<Id, Age>>,
    pub(crate) arrivals: Mutex<LruCache<Id, Arc<Vec<Arrival>>>>,
}

impl Default for Mail {
    fn default() -> Mail {
        Mail {
            folders: OnceLock::new(),
            computed: OnceLock::new(),
            ages: OnceLock::new(),
            arrivals: Mutex::new(LruCache::new(ARRIVALS)),
        }
    }
}

/// What a mailbox is beside its name.
#[derive(Debug, Clone, Default)]
pub struct Folder {
    pub role: Option<String>,
    pub is_subscribed: bool,
    /// The snapshot in which it became what it is; 0 where nobody knows.
    pub first: i64,
}

/// Messages by mailbox, computed from all emails where the archive has no index.
pub(crate) struct Computed {
    pub(crate) mailboxes: HashMap<Id, Vec<Listed>>,
    pub(crate) keywords: HashMap<Id, Vec<String>>,
}

/// The times of a mailbox, in seconds since 1970.
#[derive(Debug, Clone, Copy, Default)]
pub struct Age {
    /// Of what lies in it itself: its newest message, or the snapshot that changed it later.
    pub own: i64,
    /// Of that and of all mailboxes below it.
    pub deep: i64,
    /// When the archive last changed what lies in it.
    pub changed: i64,
}

/// When a message came: what the names of `text/` and `attachments/` are found by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Arrival {
    /// Minutes since 1970.
    pub minute: i64,
    pub email: Id,
}

impl Arrival {
    /// That of a listed message.
    pub fn of(listed: &Listed) -> Arrival {
        Arrival { minute: listed.received.div_euclid(60), email: listed.email }
    }

    /// Those that came in this minute.
    pub fn of_minute(arrivals: &[Arrival], minute: i64) -> &[Arrival] {
        let from = arrivals.partition_point(|one| one.minute < minute);
        let to = arrivals.partition_point(|one| one.minute <= minute);
        &arrivals[from..to]
    }
}

/// Of how many mailboxes the arrivals are kept.
const ARRIVALS: NonZeroUsize = NonZeroUsize::new(16).unwrap();
