//! The first request: everything small, and the states or changes of everything large.

use super::read::{self, is_small};
use crate::error::{Error, Result};
use crate::model::container::Container;
use crate::model::{ObjectType, SkippedItem};
use crate::protocol::jmap::{self, Client, Got, Request};
use serde_json::{Map, Value, json};
use std::collections::HashMap;

/// The types that the first request asks for.
pub(super) struct FirstRequest {
    pub client: Client,
    pub account: String,
    /// Types whose items are wanted.
    pub items: Vec<ObjectType>,
    /// Types whose containers are wanted.
    pub containers: Vec<ObjectType>,
    /// The state of each type at the end of the last run; empty or missing where there is none.
    pub cursors: HashMap<ObjectType, String>,
}

/// The answer to the first request about a type.
pub(super) struct Look {
    /// Containers of the items; handed over with the listing.
    pub containers: Vec<Container>,
    /// Containers that did not make sense.
    pub omissions: Vec<SkippedItem>,
    pub what: What,
}

pub(super) enum What {
    /// All objects of a small type, and their state.
    All(Got),
    /// The first answer of `/changes`, and the state before.
    Changes(Map<String, Value>, String),
    /// The server does not have the type for this account after all.
    Unsupported,
    /// No state from before, or one that the server cannot compare with: the state now.
    Unknown(String),
}

/// The container of a type's items that comes with the first request.
pub(super) fn container_of(kind: ObjectType) -> Option<ObjectType> {
    matches!(kind, ObjectType::Email | ObjectType::ContactCard | ObjectType::CalendarEvent).then(|| kind.container())
}

/// Types that come whole, every time.
fn comes_whole(kind: ObjectType) -> bool {
    is_small(kind) || kind == ObjectType::SieveScript
}

/// A call of the first request: its type, `get` or `changes`, and its arguments.
type Call = (ObjectType, &'static str, Value);

/// What the server answers about each type.
type Answers<T> = HashMap<ObjectType, jmap::Result<T>>;

/// Asks for everything small, and for the states or changes of everything large: one request, if the server takes so
/// many calls at once.
///
/// Also gives containers that come with none of the types whose items are wanted.
pub(super) async fn begin(request: FirstRequest) -> Result<(HashMap<ObjectType, Result<Look>>, Vec<Container>)> {
    let calls = request.calls();
    let mut answers = ask(&request.client, &calls).await?;
    let mut whole = Answers::new();
    for (kind, verb, _) in &calls {
        if *verb == "get" && (request.containers.contains(kind) || comes_whole(*kind)) {
            let answer = take(&mut answers, *kind);
            whole.insert(*kind, all_of(&request.client, &request.account, *kind, answer).await);
        }
    }
    let mut looks = HashMap::new();
    for kind in &request.items {
        looks.insert(*kind, request.look(*kind, &mut answers, &mut whole).await);
    }
    let mut loose = Vec::new();
    for kind in request.containers {
        if let Some(got) = whole.remove(&kind) {
            loose.extend(read::containers(kind, got.map_err(Error::from)?).0);
        }
    }
    Ok((looks, loose))
}

impl FirstRequest {
    /// The state of a type at the end of the last run.
    fn cursor(&self, kind: ObjectType) -> Option<&str> {
        self.cursors.get(&kind).map(String::as_str).filter(|cursor| !cursor.is_empty())
    }

    fn calls(&self) -> Vec<Call> {
        let all = |kind: ObjectType| {
            let mut arguments = json!({ "accountId": self.account, "ids": null });
            if let Some(properties) = self.client.properties(kind) {
                arguments["properties"] = json!(properties);
            }
            (kind, "get", arguments)
        };
        let of_items = self.items.iter().map(|kind| match self.cursor(*kind) {
            _ if comes_whole(*kind) => all(*kind),
            Some(cursor) => (*kind, "changes", self.client.changes_arguments(&self.account, cursor)),
            // No objects, but their state (RFC 8620 section 5.1).
            None => (*kind, "get", json!({ "accountId": self.account, "ids": [], "properties": ["id"] })),
        });
        self.containers.iter().map(|kind| all(*kind)).chain(of_items).collect()
    }

    /// What the answers say of the items of a type, and of their containers.
    async fn look(
        &self,
        kind: ObjectType,
        answers: &mut Answers<Map<String, Value>>,
        whole: &mut Answers<Got>,
    ) -> Result<Look> {
        let (containers, omissions) = match container_of(kind) {
            Some(container) => read::containers(container, take(whole, container)?),
            None => (Vec::new(), Vec::new()),
        };
        let is_whole = comes_whole(kind);
        let what = match is_whole {
            true => take(whole, kind).map(What::All),
            false => take(answers, kind).map(|answer| match self.cursor(kind) {
                Some(cursor) => What::Changes(answer, cursor.to_owned()),
                None => What::Unknown(Got::from(answer).state),
            }),
        };
        let what = match what {
            Err(error) if is_unsupported(&error, self.cursor(kind)) => {
                let name = kind.token();
                self.client.log(0, || format!("the server has nothing of the type {name} for this account"));
                What::Unsupported
            }
            Err(error) if !is_whole && forgets(&error) => {
                self.client.log(1, || format!("{error}; listing everything"));
                What::Unknown(self.client.state(&self.account, kind.name()).await?)
            }
            what => what?,
        };
        Ok(Look { containers, omissions, what })
    }
}

/// Makes the calls, as many at once as the server takes.
async fn ask(client: &Client, calls: &[Call]) -> Result<Answers<Map<String, Value>>> {
    let mut answers = Answers::new();
    for part in calls.chunks(client.limits().max_calls_in_request) {
        let mut request = Request::new().hasty();
        let handles: Vec<_> = part
            .iter()
            .map(|(kind, verb, arguments)| (*kind, request.call(&format!("{}/{verb}", kind.name()), arguments.clone())))
            .collect();
        let is_alone = part.len() == 1;
        match client.call(&request).await {
            Ok(mut responses) => {
                answers.extend(handles.into_iter().map(|(kind, handle)| (kind, responses.take(handle))));
            }
            // Together they may be more than one answer can hold, or one of them is what the server breaks off at.
            Err(error) if !is_alone && (error.is_too_much() || is_cut(&error)) => {
                client.log(1, || format!("{error}; asking one by one"));
                one_by_one(client, part, &mut answers).await?;
            }
            Err(error) => return Err(error.into()),
        }
    }
    Ok(answers)
}

/// All objects of a type: those in the `answer` to the first request, and those that it did not bring.
async fn all_of(
    client: &Client,
    account: &str,
    kind: ObjectType,
    answer: jmap::Result<Map<String, Value>>,
) -> jmap::Result<Got> {
    match answer {
        Ok(answer) => client.complete(account, kind, answer.into()).await,
        // It has too many to name them at once, or does not know all the names.
        Err(error) if error.is_too_much() || error.is("invalidArguments") => client.get_all_whole(account, kind).await,
        Err(error) => Err(error),
    }
}

fn take<T>(answers: &mut Answers<T>, kind: ObjectType) -> jmap::Result<T> {
    answers.remove(&kind).unwrap_or_else(|| Err(jmap::Error::protocol(format!("no answer to {}/get", kind.name()))))
}

/// True if the line broke instead of an answer.
fn is_cut(error: &jmap::Error) -> bool {
    matches!(error, jmap::Error::Line(error) if error.is_transient())
}

/// Asks each on its own, so that one that the server cannot bear leaves the others alone.
async fn one_by_one(client: &Client, calls: &[Call], answers: &mut Answers<Map<String, Value>>) -> Result<()> {
    let mut has_answered = false;
    for (kind, verb, arguments) in calls {
        let method = format!("{}/{verb}", kind.name());
        let mut request = if has_answered { Request::new().hasty() } else { Request::new() };
        let call = request.call(&method, arguments.clone());
        let answer = match client.call(&request).await {
            Ok(mut responses) => responses.take(call),
            // Cyrus 3.6 does that where there is no Sieve script, and so no vacation response either.
            Err(error) if has_answered && is_cut(&error) && *kind == ObjectType::VacationResponse => {
                client.log(0, || format!("the server closes the connection at {method}; this type is left out"));
                let none = json!({ "type": "accountNotSupportedByMethod" });
                Err(jmap::Error::Method(jmap::MethodError::of(&method, &none)))
            }
            Err(error) if has_answered && is_cut(&error) => {
                Err(jmap::Error::protocol(format!("it breaks off when it is asked for {method}")))
            }
            Err(error) if is_cut(&error) => return Err(error.into()),
            Err(error) => Err(error),
        };
        has_answered = true;
        answers.insert(*kind, answer);
    }
    Ok(())
}

/// True if the account does not have the type, whatever its capabilities say (RFC 8620 section 3.6.2). A method that is
/// unknown says so only where there was never an answer to it: `/changes` may be missing alone.
fn is_unsupported(error: &jmap::Error, cursor: Option<&str>) -> bool {
    error.is("accountNotSupportedByMethod") || (error.is("unknownMethod") && cursor.is_none())
}

/// True if the server cannot say what changed (RFC 8620 section 5.2), or does not know the method.
pub(super) fn forgets(error: &jmap::Error) -> bool {
    error.is("cannotCalculateChanges") || error.is("unknownMethod") || error.is("tooManyChanges")
}
