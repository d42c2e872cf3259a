//! The mail of a moment, as a view caches it.

use super::hierarchy::Hierarchy;
use crate::archive::ListedEmail;
use crate::model::Id;
use lru::LruCache;
use parking_lot::Mutex;
use std::collections::HashMap;
use std::num::NonZeroUsize;
use std::sync::{Arc, OnceLock};

/// The mail of a moment, each part loaded at the first call that needs it.
pub(super) struct MailCache {
    pub(crate) mailboxes: OnceLock<Hierarchy<MailboxData>>,
    pub(crate) inbox: OnceLock<Id>,
    pub(crate) computed: OnceLock<ComputedMailboxes>,
    pub(crate) times: OnceLock<HashMap<Id, MailboxTimes>>,
    pub(crate) arrivals: Mutex<LruCache<Id, Arc<Vec<Arrival>>>>,
    /// The paths of the `cur` of mailboxes, with a slash behind each; `None` where a mailbox has none.
    pub(crate) places: Mutex<LruCache<Id, Option<Arc<str>>>>,
}

impl Default for MailCache {
    fn default() -> MailCache {
        MailCache {
            mailboxes: OnceLock::new(),
            inbox: OnceLock::new(),
            computed: OnceLock::new(),
            times: OnceLock::new(),
            arrivals: Mutex::new(LruCache::new(ARRIVALS)),
            places: Mutex::new(LruCache::new(PLACES)),
        }
    }
}

/// The properties of a mailbox beside its name and its parent.
#[derive(Debug, Clone, Default)]
pub(super) struct MailboxData {
    pub role: Option<String>,
    pub is_subscribed: bool,
    /// The snapshot that changed it last; 0 if that is unknown.
    pub first: i64,
}

/// Messages by mailbox, computed from all emails where the archive has no index.
pub(crate) struct ComputedMailboxes {
    pub(crate) messages: HashMap<Id, Vec<ListedEmail>>,
    pub(crate) keywords: HashMap<Id, Vec<String>>,
}

/// The times of a mailbox, in seconds since 1970.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct MailboxTimes {
    /// The time of its newest message, or of the snapshot that changed it later.
    pub own: i64,
    /// The newest of that and of the same of all mailboxes below it.
    pub deep: i64,
    /// When the archive last changed something in it.
    pub changed: i64,
}

/// When a message came. The names of messages in `text/` and `attachments/` begin with it, so they are found by it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Arrival {
    /// Minutes since 1970.
    pub minute: i64,
    pub email: Id,
}

impl Arrival {
    /// The arrival of a listed message.
    pub(super) fn of(listed: &ListedEmail) -> Arrival {
        Arrival { minute: listed.received.div_euclid(60), email: listed.email }
    }

    /// The messages that came in this minute.
    pub(super) fn of_minute(arrivals: &[Arrival], minute: i64) -> &[Arrival] {
        let from = arrivals.partition_point(|one| one.minute < minute);
        let to = arrivals.partition_point(|one| one.minute <= minute);
        &arrivals[from..to]
    }
}

/// For how many mailboxes the arrivals are kept.
const ARRIVALS: NonZeroUsize = NonZeroUsize::new(16).unwrap();

/// For how many mailboxes the paths are kept.
const PLACES: NonZeroUsize = NonZeroUsize::new(1_024).unwrap();
