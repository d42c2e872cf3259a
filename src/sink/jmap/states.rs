//! The states of an account's other types as far as a run knows them.

use crate::model::ObjectType;
use crate::protocol::jmap::SetResult;
use parking_lot::Mutex;
use std::collections::{HashMap, HashSet};

/// What is known of the types of an account that are no messages.
#[derive(Debug, Default)]
pub(super) struct States {
    pub(super) known: Mutex<HashMap<ObjectType, Known>>,
}

impl States {
    /// All objects of a type are looked at, as of this state.
    pub(super) fn looked(&self, kind: ObjectType, state: &str) {
        if state.is_empty() {
            return;
        }
        let mut states = self.known.lock();
        let known = states.entry(kind).or_insert_with(|| Known { first: state.to_owned(), ..Known::default() });
        let has_none = known.now.is_none() && known.first != state;
        known.now = (!has_none).then(|| state.to_owned());
    }

    pub(crate) fn now(&self, kind: ObjectType) -> Option<String> {
        self.known.lock().get(&kind)?.now.clone()
    }

    pub(crate) fn set(&self, kind: ObjectType, state: Option<String>) {
        if let Some(known) = self.known.lock().get_mut(&kind) {
            known.now = state;
        }
    }

    pub(crate) fn note(&self, kind: ObjectType, result: &SetResult) {
        let mut states = self.known.lock();
        let Some(known) = states.get_mut(&kind) else { return };
        let ids = result.created.values().filter_map(|created| created.get("id")?.as_str());
        known.made.extend(ids.map(str::to_owned));
        if known.now.is_some() && result.new_state.is_some() {
            known.now.clone_from(&result.new_state);
        }
    }
}

#[derive(Debug, Default)]
pub(super) struct Known {
    /// When it was looked at first.
    pub(crate) first: String,
    /// Now, as far as is known; `None` if the server takes no `ifInState`.
    now: Option<String>,
    /// What this run created.
    pub(crate) made: HashSet<String>,
}
