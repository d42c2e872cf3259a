//! `/get` (RFC 8620 section 5.1) for any number of objects: cut into what the server hands over at once.

use super::client::Client;
use super::error::Result;
use super::methods::Object;
use crate::net::parallel::in_order;
use serde_json::{Value, json};
use std::collections::HashSet;

/// What `get` found.
#[derive(Debug, Default)]
pub struct Got {
    /// The state of the type when the first objects were read.
    pub state: String,
    /// Each with the properties that were asked for, and its `id`.
    pub list: Vec<Object>,
    /// Ids that were asked for and do not exist.
    pub not_found: Vec<String>,
    /// The server handed over as many objects as it hands over at once, and cannot be asked for others: there may be more.
    pub may_be_cut: bool,
}

impl Got {
    /// Those of these ids of which the answer says nothing, neither the object nor that it was not found.
    pub(super) fn left_of(&self, asked: &[String]) -> Vec<String> {
        if self.list.len() + self.not_found.len() >= asked.len() {
            return Vec::new();
        }
        let ids = self.list.iter().filter_map(|object| object.get("id")?.as_str());
        let told: HashSet<&str> = ids.chain(self.not_found.iter().map(String::as_str)).collect();
        asked.iter().filter(|id| !told.contains(id.as_str())).cloned().collect()
    }

    /// Adds what a later part brought.
    pub(super) fn add(&mut self, part: Got) {
        if self.state.is_empty() {
            self.state = part.state;
        }
        self.list.extend(part.list);
        self.not_found.extend(part.not_found);
        self.may_be_cut |= part.may_be_cut;
    }
}

impl Client {
    /// Reads all objects of a type (`ids: null`). A server may have too many for that: [`super::Error::is_too_much`].
    pub async fn get_all(&self, account: &str, kind: &str, properties: Option<&[&str]>) -> Result<Got> {
        let mut arguments = get_arguments(account, properties);
        arguments["ids"] = Value::Null;
        let method = format!("{kind}/get");
        Ok(Got::from(self.ask(&method, arguments).await?))
    }

    /// The state of a type, without any object (RFC 8620 section 5.1).
    pub async fn state(&self, account: &str, kind: &str) -> Result<String> {
        let mut arguments = get_arguments(account, Some(&["id"]));
        arguments["ids"] = json!([]);
        Ok(Got::from(self.ask(&format!("{kind}/get"), arguments).await?).state)
    }

    /// How many ids one `/get` may name, and not more than `most`.
    pub(super) fn ids_at_once(&self, most: usize) -> usize {
        // An id has 255 characters at most (section 1.2); the request must hold them all.
        self.limits().max_objects_in_get.min(self.limits().max_size_request / 512).clamp(1, most)
    }

    /// Reads these objects, some at a time and several times in parallel, and hands each part to `sink` in order, until
    /// it says false. Where the server finds a part too large, it is cut into smaller ones.
    pub async fn get_each(
        &self,
        account: &str,
        kind: &str,
        ids: &[String],
        properties: Option<&[&str]>,
        sink: impl FnMut(Got) -> bool,
    ) -> Result<()> {
        let base = get_arguments(account, properties);
        let method = format!("{kind}/get");
        self.in_parts(ids, |part| self.get_part(&method, &base, part), sink).await
    }

    /// Reads these objects.
    pub async fn get(&self, account: &str, kind: &str, ids: &[String], properties: Option<&[&str]>) -> Result<Got> {
        let mut all = Got::default();
        self.get_each(account, kind, ids, properties, |part| {
            all.add(part);
            true
        })
        .await?;
        Ok(all)
    }

    async fn get_part(&self, method: &str, base: &Value, ids: Vec<String>) -> Result<Got> {
        let mut all = Got::default();
        let mut waiting = vec![ids];
        while let Some(part) = waiting.pop() {
            let mut arguments = base.clone();
            arguments["ids"] = json!(part);
            match self.ask(method, arguments).await {
                Ok(answer) => {
                    let got = Got::from(answer);
                    let left = got.left_of(&part);
                    // Some servers hand over as many as they like. Where nothing more comes, there is nothing more.
                    if !left.is_empty() && left.len() < part.len() {
                        waiting.push(left);
                    }
                    all.add(got);
                }
                Err(error) if error.is_too_much() && part.len() > 1 => {
                    let (first, second) = part.split_at(part.len() / 2);
                    waiting.extend([second.to_vec(), first.to_vec()]);
                }
                Err(error) => return Err(error),
            }
        }
        Ok(all)
    }

    /// Cuts ids into as many as one `/get` may name, reads several parts in parallel and hands what came to `sink` in
    /// order, until it says false. Ends at the first error.
    pub(super) async fn in_parts<T, F: Future<Output = Result<T>>>(
        &self,
        ids: &[String],
        read: impl Fn(Vec<String>) -> F,
        mut sink: impl FnMut(T) -> bool,
    ) -> Result<()> {
        let width = self.limits().max_concurrent_requests.min(4);
        let work = ids.chunks(self.ids_at_once(1000)).map(|part| read(part.to_vec()));
        let mut failed = None;
        in_order(width, work, |part| match part {
            Ok(part) => sink(part),
            Err(error) => {
                failed = Some(error);
                false
            }
        })
        .await;
        failed.map_or(Ok(()), Err)
    }
}

/// Reads the answer of a `/get`.
impl From<Object> for Got {
    fn from(mut answer: Object) -> Got {
        let list = match answer.remove("list") {
            Some(Value::Array(list)) => list,
            _ => Vec::new(),
        };
        let not_found = answer.get("notFound").and_then(Value::as_array).into_iter().flatten();
        Got {
            not_found: not_found.filter_map(Value::as_str).map(str::to_owned).collect(),
            state: answer.get("state").and_then(Value::as_str).unwrap_or_default().to_owned(),
            may_be_cut: false,
            list: list
                .into_iter()
                .filter_map(|value| match value {
                    Value::Object(object) => Some(object),
                    _ => None,
                })
                .collect(),
        }
    }
}

/// The arguments of a `/get` but for the ids.
pub(super) fn get_arguments(account: &str, properties: Option<&[&str]>) -> Value {
    let mut arguments = json!({ "accountId": account });
    if let Some(properties) = properties {
        arguments["properties"] = json!(properties);
    }
    arguments
}
