//! An account on a server, and how to deal with it.

use super::connector::Connector;
use super::secret::Credentials;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

/// An account on a server, and how to deal with it: what a source is opened with.
#[derive(Clone)]
pub struct Account {
    /// Makes each connection: knows the server, TLS and the time limit.
    pub connector: Connector,
    /// What each connection logs in with.
    pub credentials: Credentials,
    /// `--allow-cleartext`
    pub allow_cleartext: bool,
    /// How often one question is asked again after a failure that time heals (`--max-retries`).
    pub max_retries: u32,
    /// True once the user wants the run to end.
    pub stop: Arc<AtomicBool>,
}
