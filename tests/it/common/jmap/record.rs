//! What the server remembers of its clients: violations, counters, and every request.

use std::collections::BTreeMap;
use std::time::Instant;

/// The endpoints of RFC 8620.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Endpoint {
    Session,
    Api,
    Upload,
    Download,
    /// Anything that is none of ours.
    Unknown,
}

/// A request, as it came.
#[derive(Debug, Clone)]
pub(crate) struct Seen {
    pub endpoint: Endpoint,
    pub method: String,
    pub target: String,
    /// True if it came to the other origin.
    pub is_elsewhere: bool,
    /// The header field, if there was one.
    pub authorization: Option<String>,
    /// The names of the method calls, if it is an API request.
    pub calls: Vec<String>,
    /// When it came.
    pub at: Instant,
    /// The status of the answer; 0 if there was none.
    pub status: u16,
}

/// Numbers for tests.
#[derive(Debug, Clone, Default)]
pub(crate) struct Counters {
    pub connections: u64,
    pub requests: BTreeMap<Endpoint, u64>,
    /// Calls by method name, those that failed included.
    pub calls: BTreeMap<String, u64>,
    /// Bodies of requests.
    pub bytes_in: u64,
    /// Bodies of answers.
    pub bytes_out: u64,
    /// Answers that were compressed.
    pub gzipped: u64,
    /// The most requests at once.
    pub most: BTreeMap<Endpoint, usize>,
    /// The most objects in one /get, and in one /set or import.
    pub most_got: usize,
    pub most_set: usize,
}

impl Counters {
    /// Requests to an endpoint.
    pub(crate) fn requests(&self, endpoint: Endpoint) -> u64 {
        self.requests.get(&endpoint).copied().unwrap_or(0)
    }

    /// Calls of a method.
    pub(crate) fn calls(&self, name: &str) -> u64 {
        self.calls.get(name).copied().unwrap_or(0)
    }

    /// The most requests to an endpoint at once.
    pub(crate) fn most(&self, endpoint: Endpoint) -> usize {
        self.most.get(&endpoint).copied().unwrap_or(0)
    }
}

/// All of it.
#[derive(Debug, Default)]
pub(super) struct Record {
    pub violations: Vec<String>,
    pub counters: Counters,
    pub seen: Vec<Seen>,
    /// Requests that are being processed.
    pub now: BTreeMap<Endpoint, usize>,
}

impl Record {
    /// Notes a violation.
    pub(super) fn blame(&mut self, what: impl Into<String>) {
        self.violations.push(what.into());
    }

    /// A request begins; gives how many there are now.
    pub(super) fn enter(&mut self, endpoint: Endpoint) -> usize {
        *self.counters.requests.entry(endpoint).or_default() += 1;
        let now = self.now.entry(endpoint).or_default();
        *now += 1;
        let most = self.counters.most.entry(endpoint).or_default();
        *most = (*most).max(*now);
        *now
    }

    /// A request ends.
    pub(super) fn leave(&mut self, endpoint: Endpoint) {
        if let Some(now) = self.now.get_mut(&endpoint) {
            *now -= 1;
        }
    }
}
