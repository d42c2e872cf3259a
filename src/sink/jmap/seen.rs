//! The emails of an account as of a state.

use crate::sink::RemoteEmail;
use std::collections::BTreeMap;

/// The emails of the account as of a state.
#[derive(Default)]
pub(super) struct Seen {
    pub(crate) state: Option<String>,
    pub(crate) emails: BTreeMap<String, RemoteEmail>,
}

impl Seen {
    pub(super) fn state(&self) -> Option<&str> {
        self.state.as_deref()
    }

    pub(super) fn emails(&self) -> Vec<RemoteEmail> {
        self.emails.values().cloned().collect()
    }
}
