//! Sending mail to an account in which something may be under way.
//!
//! The server may still work on what a run had sent that was killed a moment ago. It was not there when this run looked,
//! and would be there twice. So each import names the state that is known (`ifInState`, RFC 8621 section 4.8), one import
//! after the other; where the state is another one by now, what came meanwhile is looked at before anything is sent.

use super::account::Jmap;
use super::mail_state::Known;
use crate::format::jmap::Object;
use crate::protocol::jmap::{Error, Inline, MethodError, Result, SetResult};
use serde_json::{Value, json};
use std::collections::HashSet;

/// How often the account may change while one import waits for its turn.
const ATTEMPTS: usize = 10;

impl Jmap {
    /// `Email/import`, unless one of the messages may have come in another way. `blobs` are those that go with them by their
    /// creation ids, and `sizes` those that the messages may have at the server. The error is `stateMismatch` then, and the account has to be looked at.
    pub(super) async fn import_cautiously(
        &self,
        emails: Vec<(String, Value)>,
        blobs: Option<(Inline, Object)>,
        sizes: &dyn Fn() -> HashSet<u64>,
    ) -> (SetResult, Result<()>) {
        let import = async |state: Option<&str>| match blobs.clone() {
            Some(blobs) => self.client.import_with_blobs(&self.account.id, blobs, emails.clone(), state).await,
            None => self.client.import(&self.account.id, emails.clone(), state).await,
        };
        let turn = self.caution.queue.turn().await;
        for _ in 0..ATTEMPTS {
            let Known { state, strangers } = self.caution.known();
            let Some(state) = state else {
                drop(turn);
                return import(None).await;
            };
            if !strangers.is_empty() && !strangers.is_disjoint(&sizes()) {
                break;
            }
            let (result, done) = import(Some(&state)).await;
            match &done {
                Err(Error::Method(error)) if error.kind == "stateMismatch" && is_untouched(&result) => {
                    match self.meet_strangers(&state).await {
                        Ok(()) => {}
                        // It cannot tell what came: everything has to be looked at.
                        Err(Error::Method(_)) => break,
                        Err(error) => return (result, Err(error)),
                    }
                }
                // Cyrus 3.6 has no such argument. It takes no message twice, either. What else it may not like is tried
                // first.
                Err(Error::Method(error))
                    if error.kind == "invalidArguments"
                        && is_untouched(&result)
                        && (blobs.is_none() || error.properties.iter().any(|name| name == "ifInState")) =>
                {
                    self.caution.looked(None);
                }
                _ => {
                    if result.new_state.is_some() {
                        self.caution.known.lock().state = result.new_state.clone();
                    }
                    return (result, done);
                }
            }
        }
        (SetResult::default(), Err(Error::Method(MethodError::of("Email/import", &json!({ "type": "stateMismatch" })))))
    }

    /// Notes what came since a state.
    async fn meet_strangers(&self, state: &str) -> Result<()> {
        let changes = self.client.changes(&self.account.id, "Email", state).await?;
        let created: Vec<String> = changes.created.into_iter().collect();
        let got = self.client.get(&self.account.id, "Email", &created, Some(&["id", "size"])).await?;
        let sizes = got.list.iter().filter_map(|email| email.get("size").and_then(Value::as_u64));
        let mut known = self.caution.known.lock();
        known.strangers.extend(sizes);
        known.state = Some(changes.new_state);
        Ok(())
    }
}

fn is_untouched(result: &SetResult) -> bool {
    result.created.is_empty() && result.failed.is_empty()
}
