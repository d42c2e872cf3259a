//! The queries of `search/`: their names, their numbers, and what they found. All of it is bounded, and none of it is kept.
//!
//! Numbers are made of the names, since a query has no row; so a query has the same number at the next mount, unless
//! two names clash.

use super::mail::Arrival;
use super::name::NAME_MAX;
use super::node::ROW_MAX;
use crate::model::{Digest, Id, text};
use crate::search::Index;
use lru::LruCache;
use parking_lot::Mutex;
use percent_encoding::percent_decode_str;
use std::num::NonZeroUsize;
use std::sync::{Arc, Weak};
use std::time::{SystemTime, UNIX_EPOCH};

/// How many queries have a number at a time, and how many of them a listing shows.
const KNOWN: NonZeroUsize = NonZeroUsize::new(1_000).unwrap();
const LISTED: usize = 100;

/// The answers of how many queries are kept, and how many messages they may have together.
const ANSWERS: NonZeroUsize = NonZeroUsize::new(64).unwrap();
const MESSAGES: usize = 1 << 20;

/// Names that programs look for in any directory, in lower case. None of them is a query.
const PROBES: [&str; 15] = [
    "cur",
    "new",
    "tmp",
    "maildirfolder",
    "subscriptions",
    "dovecot-keywords",
    "dovecot-uidlist",
    "autorun.inf",
    "desktop.ini",
    "thumbs.db",
    "ehthumbs.db",
    "lost+found",
    "system volume information",
    "$recycle.bin",
    "recycler",
];

/// The same for names that git looks for, which are written in just this way.
const EXACT_PROBES: [&str; 1] = ["HEAD"];

/// Where a query is asked: 0 for everything, else the snapshot that alone counts.
pub(super) type Scope = i64;

/// What a state of a tree is told from others by: each has its own.
#[derive(Debug, Default)]
pub(super) struct StateMark;

/// The queries of a tree.
pub(super) struct Searches {
    /// One search runs at a time: others wait, and find the index up to date.
    pub(super) index: Mutex<Option<OpenIndex>>,
    known: Mutex<Known>,
}

/// The index, and the state of the tree that it was brought up to date for.
pub(super) struct OpenIndex {
    pub(super) index: Index,
    pub(super) seen: Weak<StateMark>,
}

/// The messages that meet a query.
pub(super) struct Hits {
    /// The state of the tree that they were found in.
    state: Weak<StateMark>,
    /// By row.
    all: Vec<Hit>,
    /// In order.
    pub(super) arrivals: Vec<Arrival>,
}

/// A message that meets a query.
#[derive(Debug, Clone, Copy)]
pub(super) struct Hit {
    pub(super) arrival: Arrival,
    /// The snapshot that shows it as it was last; 0 if the root does.
    pub(super) snapshot: i64,
}

impl Hits {
    pub(super) fn new(state: &Arc<StateMark>, mut all: Vec<Hit>) -> Hits {
        all.sort_unstable_by_key(|hit| hit.arrival.email);
        all.shrink_to_fit();
        let mut arrivals: Vec<Arrival> = all.iter().map(|hit| hit.arrival).collect();
        arrivals.sort_unstable();
        Hits { state: Arc::downgrade(state), all, arrivals }
    }

    /// The messages with this row or a higher one.
    pub(super) fn from(&self, row: Id) -> impl Iterator<Item = Hit> {
        self.all[self.all.partition_point(|hit| hit.arrival.email < row)..].iter().copied()
    }

    /// The message with this row.
    pub(super) fn get(&self, row: Id) -> Option<Hit> {
        self.from(row).next().filter(|hit| hit.arrival.email == row)
    }

    /// True if they were found in this state of the tree.
    pub(super) fn is_of(&self, state: &Arc<StateMark>) -> bool {
        Weak::ptr_eq(&self.state, &Arc::downgrade(state))
    }
}

struct Known {
    names: LruCache<(Scope, Id), Arc<str>>,
    answers: LruCache<(Scope, Arc<str>), Arc<Hits>>,
    /// The messages of all answers together.
    messages: usize,
    /// When a query was last added, in seconds since 1970.
    changed: i64,
}

impl Default for Searches {
    fn default() -> Searches {
        let known = Known { names: LruCache::new(KNOWN), answers: LruCache::new(ANSWERS), messages: 0, changed: 0 };
        Searches { index: Mutex::default(), known: Mutex::new(known) }
    }
}

impl Searches {
    /// The number of a query that was used, which is given to it at the first call. The listing is newer then than `before`.
    pub(super) fn number(&self, scope: Scope, name: &str, before: i64) -> Id {
        let mut known = self.known.lock();
        let mut number = hash(name);
        loop {
            match known.names.get(&(scope, number)) {
                Some(other) if **other == *name => return number,
                Some(_) => number = number % ROW_MAX + 1,
                None => break,
            }
        }
        known.names.put((scope, number), name.into());
        // A listing that the kernel keeps is known to be old by this time, so it has to go on.
        let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |time| time.as_secs() as i64);
        known.changed = now.max(known.changed.max(before) + 1);
        number
    }

    /// The query with this number.
    pub(super) fn name(&self, scope: Scope, number: Id) -> Option<Arc<str>> {
        self.known.lock().names.get(&(scope, number)).cloned()
    }

    /// The queries that were used last, by number.
    pub(super) fn used(&self, scope: Scope) -> Vec<(Id, Arc<str>)> {
        let known = self.known.lock();
        let own = known.names.iter().filter(|((of, _), _)| *of == scope);
        let mut used: Vec<(Id, Arc<str>)> =
            own.take(LISTED).map(|((_, number), name)| (*number, Arc::clone(name))).collect();
        used.sort_unstable();
        used
    }

    /// When the listing changed last, in seconds since 1970; 0 if it never did.
    pub(super) fn changed(&self) -> i64 {
        self.known.lock().changed
    }

    /// What a query found in this state of the tree, if that is known.
    pub(super) fn answer(&self, scope: Scope, name: &Arc<str>, state: &Arc<StateMark>) -> Option<Arc<Hits>> {
        let mut known = self.known.lock();
        known.answers.get(&(scope, Arc::clone(name))).filter(|hits| hits.is_of(state)).cloned()
    }

    /// Keeps what a query found.
    pub(super) fn keep(&self, scope: Scope, name: &Arc<str>, hits: &Arc<Hits>) {
        let mut known = self.known.lock();
        known.messages += hits.all.len();
        let replaced = known.answers.push((scope, Arc::clone(name)), Arc::clone(hits));
        known.messages -= replaced.map_or(0, |(_, hits)| hits.all.len());
        while known.messages > MESSAGES && known.answers.len() > 1 {
            let Some((_, oldest)) = known.answers.pop_lru() else { break };
            known.messages -= oldest.all.len();
        }
    }
}

/// A number of a query, from 1 on.
fn hash(name: &str) -> Id {
    let digest = Digest::of(name.as_bytes()).0;
    let bytes = [digest[0], digest[1], digest[2], digest[3]];
    Id::from(u32::from_le_bytes(bytes)) % ROW_MAX + 1
}

/// The query that a name stands for, in which a slash is `%2F`; `None` for names that are none, and for those that programs look
/// for by themselves.
pub(super) fn query_of(name: &str) -> Option<String> {
    let lower = name.to_ascii_lowercase();
    let is_probe = name.starts_with('.') || PROBES.contains(&&*lower) || EXACT_PROBES.contains(&name);
    if is_probe || name.len() > NAME_MAX || name.chars().any(text::is_unsafe) {
        return None;
    }
    let query = percent_decode_str(name).decode_utf8().ok()?.into_owned();
    let has_word = query.chars().any(char::is_alphanumeric);
    (has_word && !query.chars().any(text::is_unsafe)).then_some(query)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_programs_look_for_are_no_queries() {
        for name in [
            ".git",
            ".hidden",
            ".Trash-1000",
            ".DS_Store",
            "._x",
            "autorun.inf",
            "AutoRun.inf",
            "Desktop.ini",
            "cur",
            "HEAD",
            "",
            "*",
            "-",
            "%2F",
            "%",
            "a%00b",
            "a\nb",
            "%FF",
            "a%E2%80%AEb",
        ] {
            assert_eq!(query_of(name), None, "{name:?}");
        }
        for (name, query) in [
            ("rabbit", "rabbit"),
            ("folder:A%2FB", "folder:A/B"),
            ("100% sure", "100% sure"),
            ("-folder:Trash x", "-folder:Trash x"),
            ("from:Zoë \"a b\"", "from:Zoë \"a b\""),
            ("head", "head"),
            ("body:new", "body:new"),
        ] {
            assert_eq!(query_of(name).as_deref(), Some(query));
        }
        assert_eq!(query_of(&"x".repeat(256)), None);
    }

    #[test]
    fn queries_have_numbers_of_their_own_and_are_bounded() {
        let searches = Searches::default();
        let numbers: Vec<Id> = (0..5_000).map(|at| searches.number(0, &format!("q{at}"), 0)).collect();
        assert!(numbers.iter().all(|number| (1..=ROW_MAX).contains(number)));
        assert_eq!(searches.number(0, "q4999", 0), numbers[4_999]);
        assert_eq!(searches.name(0, numbers[4_999]).as_deref(), Some("q4999"));
        assert_eq!(searches.name(7, numbers[4_999]), None, "a snapshot has its own");
        assert_eq!(searches.name(0, numbers[0]), None, "the oldest are gone");
        assert_eq!(searches.number(0, "q0", 0), numbers[0], "and come again with their number");
        assert_eq!(searches.used(0).len(), LISTED);
        assert!(searches.used(0).is_sorted());
    }
}
