//! Creating objects in an account in which something may be under way.
//!
//! A server may still work on what a run had sent that was killed a moment ago, or whose line was lost. That was not there
//! when this run looked, and would be there twice. So each `/set` that creates something names the state that is known
//! (`ifInState`, RFC 8620 section 5.3), one after the other; where the state is another one by now, what came meanwhile is
//! looked at before anything is sent. (For messages [`super::guarded_import`] does the same.)

use super::account::Jmap;
use crate::format::jmap::Object;
use crate::model::ObjectType;
use crate::protocol::jmap::{Error, MethodError, Result, SetRequest, SetResult};
use serde_json::{Value, json};
use std::collections::HashSet;
use std::time::Duration;

/// How often the account may change while one `/set` waits for its turn.
const ATTEMPTS: usize = 10;

/// An account rests if its state is the same after so long.
const REST: Duration = Duration::from_millis(250);

/// How often a run looks whether the account rests.
const LOOKS: usize = 40;

impl Jmap {
    /// A `/set`. What it creates it creates only if nothing like it may have come in another way; the error is
    /// `stateMismatch` otherwise, and the account has to be looked at.
    pub(super) async fn set_cautiously(&self, kind: ObjectType, request: SetRequest) -> (SetResult, Result<()>) {
        let account = &self.account.id;
        for _ in 0..ATTEMPTS {
            let state = self.states.now(kind).filter(|_| !request.create.is_empty());
            let asked = SetRequest { if_in_state: state.clone(), ..request.clone() };
            let (result, done) = self.client.set(account, kind.name(), asked).await;
            self.states.note(kind, &result);
            let (Some(state), Err(Error::Method(error))) = (state, &done) else { return (result, done) };
            let is_untouched = result.created.is_empty() && result.failed.is_empty();
            match error.kind.as_str() {
                "stateMismatch" if is_untouched => match self.meets_its_like(kind, &state, &request.create).await {
                    Ok(false) => {}
                    Ok(true) | Err(Error::Method(_)) => return (SetResult::default(), Err(mismatch(kind))),
                    Err(error) => return (result, Err(error)),
                },
                // Not every server has the argument.
                "invalidArguments" if is_untouched => self.states.set(kind, None),
                _ => return (result, done),
            }
        }
        // Something else changes the account all the time, and nothing of it is like these.
        let (result, done) = self.client.set(account, kind.name(), request).await;
        self.states.note(kind, &result);
        (result, done)
    }

    /// True if something like one of these came since a state.
    async fn meets_its_like(&self, kind: ObjectType, state: &str, create: &[(String, Value)]) -> Result<bool> {
        let changes = self.client.changes(&self.account.id, kind.name(), state).await?;
        let came: Vec<String> = changes.created.into_iter().collect();
        let properties = key_properties(kind);
        let got = self.client.get(&self.account.id, kind.name(), &came, Some(properties)).await?;
        self.states.set(kind, Some(changes.new_state));
        let keys: HashSet<String> =
            create.iter().filter_map(|(_, object)| object.as_object()).map(|object| key(kind, object)).collect();
        Ok(got.list.iter().any(|object| keys.contains(&key(kind, object))))
    }

    /// True if something of a type came since it was looked at first, and not from this run; or if that is not known.
    pub(super) async fn came_from_elsewhere(&self, kind: ObjectType) -> Result<bool> {
        let (first, made) = match self.states.known.lock().get(&kind) {
            Some(known) => (known.first.clone(), known.made.clone()),
            None => return Ok(true),
        };
        match self.client.changes(&self.account.id, kind.name(), &first).await {
            Ok(changes) => Ok(changes.created.iter().any(|id| !made.contains(id))),
            Err(Error::Method(_)) => Ok(true),
            Err(error) => Err(error),
        }
    }

    /// Waits until nothing happens to a type any more.
    pub(super) async fn wait_until_it_rests(&self, kind: ObjectType) -> Result<()> {
        let account = &self.account.id;
        let mut before = self.client.state(account, kind.name()).await?;
        for _ in 0..LOOKS {
            self.client.sleep(REST).await;
            let now = self.client.state(account, kind.name()).await?;
            if now == before {
                return Ok(());
            }
            before = now;
        }
        self.client.log(0, || format!("something else changes {} of the account all the time", kind.name()));
        Ok(())
    }
}

fn mismatch(kind: ObjectType) -> Error {
    let method = format!("{}/set", kind.name());
    Error::Method(MethodError::of(&method, &json!({ "type": "stateMismatch" })))
}

/// The properties that distinguish an object from others of its type, its id first.
fn key_properties(kind: ObjectType) -> &'static [&'static str] {
    match kind {
        ObjectType::ContactCard => &["id", "uid"],
        ObjectType::CalendarEvent => &["id", "uid", "recurrenceId"],
        ObjectType::Mailbox | ObjectType::FileNode => &["id", "name", "parentId"],
        ObjectType::Identity => &["id", "name", "email"],
        ObjectType::ParticipantIdentity => &["id", "calendarAddress"],
        _ => &["id", "name"],
    }
}

fn key(kind: ObjectType, object: &Object) -> String {
    let values =
        key_properties(kind)[1..].iter().map(|name| object.get(*name).and_then(Value::as_str).unwrap_or_default());
    values.collect::<Vec<_>>().join("\u{1f}").to_lowercase()
}
