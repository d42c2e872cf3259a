//! The standard methods (RFC 8620 section 5) for any number of objects: cut into what the server takes at once.

use super::blob_batch::Inline;
use super::client::Client;
use super::error::{Error, MethodError, Result};
use super::request::Request;
use serde_json::{Map, Value, json};
use std::collections::{BTreeSet, HashSet};

/// The argument by which a method is done in this state or not at all (RFC 8620 section 5.3).
const IF_IN_STATE: &str = "ifInState";

/// An object of the server.
pub(super) type Object = Map<String, Value>;

/// What `query` found.
#[derive(Debug, Default)]
pub struct Queried {
    /// In the server's order, without duplicates.
    pub ids: Vec<String>,
    /// The server named them all, and nothing changed while it did. If not, an id that is missing may exist.
    pub is_complete: bool,
    /// There are more of them than any real account has: the query was given up.
    pub is_endless: bool,
}

/// What changed since a state (RFC 8620 section 5.2).
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Changes {
    /// Ids that came.
    pub created: BTreeSet<String>,
    /// Ids that changed; none of them is in `created`.
    pub updated: BTreeSet<String>,
    /// Ids that went.
    pub destroyed: BTreeSet<String>,
    /// The state that these changes lead to.
    pub new_state: String,
}

/// RFC 8620 section 1.2: 1 to 255 octets. Longer ones would fill memory.
fn is_id(text: &str) -> bool {
    (1..=255).contains(&text.len())
}

impl Changes {
    /// Adds one answer of `/changes` to those before it.
    fn add(&mut self, answer: &Object) {
        let ids = |name: &str| {
            let list = answer.get(name).and_then(Value::as_array).into_iter().flatten();
            list.filter_map(Value::as_str).filter(|id| is_id(id)).map(str::to_owned)
        };
        self.created.extend(ids("created"));
        for id in ids("updated") {
            if !self.created.contains(&id) {
                self.updated.insert(id);
            }
        }
        for id in ids("destroyed") {
            self.created.remove(&id);
            self.updated.remove(&id);
            self.destroyed.insert(id);
        }
    }
}

/// What a `set` is to do.
#[derive(Debug, Default, Clone)]
pub struct SetRequest {
    /// By creation id.
    pub create: Vec<(String, Value)>,
    /// Patches by id (RFC 8620 section 5.3).
    pub update: Vec<(String, Value)>,
    /// Ids.
    pub destroy: Vec<String>,
    /// Nothing is done in another state than this one: the error is `stateMismatch`.
    pub if_in_state: Option<String>,
    /// More arguments, e.g. `onSuccessActivateScript`. With them nothing is cut.
    pub arguments: Object,
}

/// What became of a `set`.
#[derive(Debug, Default)]
pub struct SetResult {
    /// What the server set, by creation id; the id at least.
    pub created: Map<String, Value>,
    /// Ids.
    pub updated: Vec<String>,
    /// Ids.
    pub destroyed: Vec<String>,
    /// Creation ids and ids with what the server has against them.
    pub failed: Vec<(String, MethodError)>,
    /// The state after the last part.
    pub new_state: Option<String>,
}

impl SetResult {
    fn add(&mut self, method: &str, answer: Object) {
        for (name, value) in answer {
            match (name.as_str(), value) {
                ("created", Value::Object(created)) => self.created.extend(created),
                ("updated", Value::Object(updated)) => self.updated.extend(updated.into_iter().map(|(id, _)| id)),
                ("destroyed", Value::Array(ids)) => {
                    self.destroyed.extend(ids.iter().filter_map(Value::as_str).map(str::to_owned));
                }
                ("notCreated" | "notUpdated" | "notDestroyed", Value::Object(errors)) => {
                    self.failed.extend(errors.into_iter().map(|(id, error)| (id, MethodError::of(method, &error))));
                }
                ("newState", Value::String(state)) => self.new_state = Some(state),
                _ => {}
            }
        }
    }
}

impl Client {
    /// The ids of all objects of a type that pass a filter (`Value::Null`: all of them), page by page.
    pub async fn query_all(&self, account: &str, kind: &str, filter: &Value) -> Result<Queried> {
        const ATTEMPTS: usize = 3;
        let mut last = Queried::default();
        for attempt in 1..=ATTEMPTS {
            last = match self.query_pages(account, kind, filter).await {
                // The id that a page began after is gone (section 5.5).
                Err(error) if error.is("anchorNotFound") && attempt < ATTEMPTS => continue,
                pages => pages?,
            };
            if last.is_complete || last.is_endless {
                break;
            }
            self.log(1, || format!("{kind}/query: something changed while the server named its objects"));
        }
        Ok(last)
    }

    async fn query_pages(&self, account: &str, kind: &str, filter: &Value) -> Result<Queried> {
        let method = format!("{kind}/query");
        let limit = self.limits().max_objects_in_get.max(100);
        let mut ids: Vec<String> = Vec::new();
        let mut seen = HashSet::new();
        /// No account has more objects of a type. They are in memory twice.
        const MOST: usize = 4_000_000;
        /// Octets of all ids together.
        const MOST_OCTETS: usize = 128 << 20;
        let (mut state, mut total, mut octets) = (None, None, 0);
        let mut is_stable = true;
        loop {
            let mut arguments = json!({ "accountId": account, "limit": limit });
            if !filter.is_null() {
                arguments["filter"] = filter.clone();
            }
            match ids.last() {
                Some(last) => {
                    arguments["anchor"] = json!(last);
                    arguments["anchorOffset"] = json!(1);
                }
                None => arguments["calculateTotal"] = json!(true),
            }
            let answer = self.ask(&method, arguments).await?;
            let page_state = answer.get("queryState").and_then(Value::as_str).map(str::to_owned);
            is_stable &= state.get_or_insert_with(|| page_state.clone()) == &page_state;
            if ids.is_empty() {
                total = answer.get("total").and_then(Value::as_u64);
            }
            let before = ids.len();
            let page = answer.get("ids").and_then(Value::as_array);
            for id in page.into_iter().flatten().filter_map(Value::as_str).filter(|id| is_id(id)) {
                if seen.insert(id.to_owned()) {
                    octets += id.len();
                    ids.push(id.to_owned());
                }
            }
            // A page that names nothing new is the last one, whatever the server's own limit is.
            let is_all = total.is_some_and(|total| ids.len() as u64 >= total);
            if ids.len() == before || is_all {
                break;
            }
            if ids.len() > MOST || octets > MOST_OCTETS {
                // Asked once more it would not end sooner.
                return Ok(Queried { ids, is_complete: false, is_endless: true });
            }
        }
        let is_complete = is_stable && total.is_none_or(|total| ids.len() as u64 >= total);
        Ok(Queried { ids, is_complete, is_endless: false })
    }

    /// What changed since a state, over as many answers as the server makes of it (section 5.2).
    ///
    /// A server that cannot tell answers `cannotCalculateChanges`: [`Error::is`].
    pub async fn changes(&self, account: &str, kind: &str, since: &str) -> Result<Changes> {
        let method = format!("{kind}/changes");
        let arguments = self.changes_arguments(account, since);
        let first = self.ask(&method, arguments).await?;
        self.changes_after(account, kind, first).await
    }

    /// The arguments of `/changes`, for those who ask it in a batch of their own.
    pub fn changes_arguments(&self, account: &str, since: &str) -> Value {
        let most = self.limits().max_objects_in_get;
        json!({ "accountId": account, "sinceState": since, "maxChanges": most })
    }

    /// Goes on after the first answer of `/changes`.
    pub async fn changes_after(&self, account: &str, kind: &str, first: Object) -> Result<Changes> {
        /// More changes than this are not worth looking at one by one.
        const MOST: usize = 2_000_000;
        /// Answers in a row that name no change: after so many there will be none.
        const EMPTY: usize = 20;
        /// So many answers cost more than a listing of everything.
        const ANSWERS: usize = 5_000;
        let method = format!("{kind}/changes");
        let (mut known, mut empty) = (0, 0);
        let mut changes = Changes::default();
        let mut answer = first;
        let mut states = HashSet::new();
        loop {
            changes.add(&answer);
            let state = answer.get("newState").and_then(Value::as_str);
            changes.new_state = state.ok_or_else(|| Error::protocol(format!("{method} without newState")))?.to_owned();
            if answer.get("hasMoreChanges").and_then(Value::as_bool) != Some(true) {
                return Ok(changes);
            }
            let count = changes.created.len() + changes.updated.len() + changes.destroyed.len();
            empty = if count > known { 0 } else { empty + 1 };
            known = count;
            let is_new = states.insert(changes.new_state.clone());
            if !is_new || count > MOST || empty > EMPTY || states.len() > ANSWERS {
                return Err(Error::Method(MethodError::of(
                    &method,
                    &json!({ "type": "cannotCalculateChanges", "description": "there is no end to them" }),
                )));
            }
            answer = self.ask(&method, self.changes_arguments(account, &changes.new_state)).await?;
        }
    }

    /// Creates, changes and destroys objects, as many at a time as the server takes. What was done stands in the result
    /// even if a later part fails.
    ///
    /// A line that breaks while the server works leaves open what it has done: it is not asked again, and the error is a
    /// transient one.
    pub async fn set(&self, account: &str, kind: &str, request: SetRequest) -> (SetResult, Result<()>) {
        let method = format!("{kind}/set");
        let mut result = SetResult::default();
        let SetRequest { create, update, destroy, if_in_state, arguments } = request;
        let mut work: Vec<Piece> = Vec::new();
        work.extend(create.into_iter().map(|(id, value)| Piece::Create(id, value)));
        work.extend(update.into_iter().map(|(id, value)| Piece::Update(id, value)));
        work.extend(destroy.into_iter().map(Piece::Destroy));
        let mut base = arguments;
        base.insert("accountId".to_owned(), json!(account));
        // Arguments of its own belong to all that is done.
        let size = if base.len() > 1 { work.len().max(1) } else { self.limits().max_objects_in_set };
        base.extend(if_in_state.map(|state| (IF_IN_STATE.to_owned(), json!(state))));
        let done = self.set_parts(&method, base, work, size, &mut result).await;
        (result, done)
    }

    /// `Email/import` (RFC 8621 section 4.8) of any number of messages, by creation id; with a state only if nothing of
    /// the account has changed since: else the error is `stateMismatch`.
    pub async fn import(
        &self,
        account: &str,
        emails: Vec<(String, Value)>,
        if_in_state: Option<&str>,
    ) -> (SetResult, Result<()>) {
        let mut result = SetResult::default();
        let work: Vec<Piece> = emails.into_iter().map(|(id, value)| Piece::Import(id, value)).collect();
        let mut base = Map::from_iter([("accountId".to_owned(), json!(account))]);
        if let Some(state) = if_in_state {
            base.insert(IF_IN_STATE.to_owned(), json!(state));
        }
        let size = self.limits().max_objects_in_set;
        let done = self.set_parts("Email/import", base, work, size, &mut result).await;
        (result, done)
    }

    /// The same with the blobs of the messages in one request: `#` and the creation id of a blob is its id there. Nothing is
    /// cut into smaller parts: the caller knows what fits.
    pub async fn import_with_blobs(
        &self,
        account: &str,
        (inline, blobs): (Inline, Object),
        emails: Vec<(String, Value)>,
        if_in_state: Option<&str>,
    ) -> (SetResult, Result<()>) {
        let mut request = Request::once();
        request.call(inline.method(), json!({ "accountId": account, "create": blobs }));
        let mut arguments = json!({ "accountId": account, "emails": Object::from_iter(emails) });
        if let Some(state) = if_in_state {
            arguments[IF_IN_STATE] = json!(state);
        }
        let call = request.call("Email/import", arguments);
        let mut result = SetResult::default();
        // A blob that is refused is one that the import does not find.
        let done = match self.call(&request).await.and_then(|mut responses| responses.take(call)) {
            Ok(answer) => {
                result.add("Email/import", answer);
                Ok(())
            }
            Err(error) => Err(error),
        };
        (result, done)
    }

    async fn set_parts(
        &self,
        method: &str,
        mut base: Object,
        work: Vec<Piece>,
        size: usize,
        result: &mut SetResult,
    ) -> Result<()> {
        let mut waiting: Vec<Vec<Piece>> = work.chunks(size).rev().map(<[Piece]>::to_vec).collect();
        // What else there is to do goes with the only request.
        if waiting.is_empty() && base.len() > 1 {
            waiting.push(Vec::new());
        }
        while let Some(part) = waiting.pop() {
            let mut request = Request::once();
            let call = request.call(method, Piece::arguments(&base, &part));
            let answer = match self.call(&request).await {
                Ok(mut responses) => responses.take(call),
                Err(error) => Err(error),
            };
            match answer {
                Ok(answer) => {
                    result.add(method, answer);
                    // The next part goes on after this one.
                    if let (Some(state), Some(new)) = (base.get_mut(IF_IN_STATE), &result.new_state) {
                        *state = json!(new);
                    }
                }
                Err(error) if error.is_too_much() && part.len() > 1 => {
                    let (first, second) = part.split_at(part.len() / 2);
                    waiting.extend([second.to_vec(), first.to_vec()]);
                }
                Err(Error::Method(error)) if part.len() == 1 && error.kind == "requestTooLarge" => {
                    result.failed.extend(part.iter().map(|piece| (piece.id().to_owned(), error.clone())));
                }
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}

/// One thing that a set does.
#[derive(Debug, Clone)]
enum Piece {
    Create(String, Value),
    Update(String, Value),
    Destroy(String),
    Import(String, Value),
}

impl Piece {
    fn id(&self) -> &str {
        match self {
            Piece::Create(id, _) | Piece::Update(id, _) | Piece::Destroy(id) | Piece::Import(id, _) => id,
        }
    }

    fn arguments(base: &Object, part: &[Piece]) -> Value {
        let mut arguments = base.clone();
        let mut add = |name: &str, id: &str, value: &Value| {
            let map = arguments.entry(name).or_insert_with(|| json!({}));
            if let Some(map) = map.as_object_mut() {
                map.insert(id.to_owned(), value.clone());
            }
        };
        let mut destroy = Vec::new();
        for piece in part {
            match piece {
                Piece::Create(id, value) => add("create", id, value),
                Piece::Update(id, value) => add("update", id, value),
                Piece::Import(id, value) => add("emails", id, value),
                Piece::Destroy(id) => destroy.push(json!(id)),
            }
        }
        if !destroy.is_empty() {
            arguments.insert("destroy".to_owned(), Value::Array(destroy));
        }
        Value::Object(arguments)
    }
}
