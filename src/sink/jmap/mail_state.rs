//! The state of an account's emails as far as a run knows it.

use crate::protocol::jmap::Queue;
use parking_lot::Mutex;
use std::collections::HashSet;

/// What is known of the account.
#[derive(Debug, Default)]
pub(super) struct Caution {
    pub(super) known: Mutex<Known>,
    /// Held by the import that is under way.
    pub(crate) queue: Queue,
}

impl Caution {
    /// All emails were looked at, as of this state.
    pub(super) fn looked(&self, state: Option<&str>) {
        *self.known.lock() = Known { state: state.map(str::to_owned), strangers: HashSet::new() };
    }

    pub(crate) fn known(&self) -> Known {
        self.known.lock().clone()
    }
}

#[derive(Debug, Default, Clone)]
pub(crate) struct Known {
    /// The state of its emails; `None` if the server takes no `ifInState`, or says no state.
    pub(crate) state: Option<String>,
    /// The sizes of emails that came since the last look, and not from this run.
    pub(crate) strangers: HashSet<u64>,
}
