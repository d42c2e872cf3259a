//! The bytes of resources, in the order of the entries: many in one answer where the server gives them as they are.

use crate::error::{Error, ErrorKind};
use crate::model::{Entry, FetchedItem};
use crate::net::parallel::{both, in_order};
use crate::net::runtime::Runtime;
use crate::protocol::dav::{Client, Downloaded, href_key, of_one};
use crate::source::Failure;
use std::collections::{HashMap, VecDeque};
use url::Url;

/// Fewer resources are asked for one by one.
const FEW: usize = 4;

/// After so many resources in a row at which the server broke off it is taken for lost.
const BROKEN_MAX: usize = 8;

/// Without answers of many, so many resources for each connection are a window.
const ALONE: usize = 8;

/// With answers of many, so many of these for each connection are a window.
const TOGETHER: usize = 8;

/// No more resources are asked for at once than have so many bytes, by those that came before.
const ANSWER_BYTES: u64 = 1 << 20;

/// A window of so many bytes gets no more resources.
const WINDOW_BYTES: u64 = 16 << 20;

/// The revision of a resource of which the server does not say when it changes: its bytes are asked for each time.
pub(super) const NO_REV: &str = "?";

/// True if a resource that is known with one revision still has the bytes of another one.
pub(super) fn is_same(known: &str, listed: &str) -> bool {
    known == listed && listed != NO_REV
}

/// Whether answers of many resources hold the bytes that a GET gives.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum Trust {
    /// It was not compared yet.
    #[default]
    Unknown,
    /// One of them was the same, to the last byte.
    Exact,
    /// They are other bytes, or the server cannot be asked so.
    None,
}

/// What makes an item of a resource's bytes.
pub(super) type Make<'a> = dyn FnMut(&Entry, Downloaded) -> std::result::Result<FetchedItem, Error> + Send + 'a;

/// How large the listing says that an entry is.
pub(super) type SizeOf<'a> = dyn Fn(&Entry) -> Option<u64> + Send + 'a;

/// Resources of one collection on their way.
pub(super) struct Fetch<'a> {
    pub client: &'a Client,
    pub runtime: &'a Runtime,
    pub trust: &'a mut Trust,
    pub collection: Url,
    /// How many resources one request asks for.
    pub batch: &'a mut usize,
    /// Entries whose locator is their URL.
    pub entries: VecDeque<Entry>,
    pub ready: VecDeque<std::result::Result<FetchedItem, Failure>>,
    pub make: Box<Make<'a>>,
    /// How large the listing says that an entry is.
    pub(super) size: Box<SizeOf<'a>>,
}

impl Iterator for Fetch<'_> {
    type Item = std::result::Result<FetchedItem, Failure>;

    fn next(&mut self) -> Option<Self::Item> {
        while self.ready.is_empty() && !self.entries.is_empty() {
            let window = self.next_window();
            self.window(window);
        }
        self.ready.pop_front()
    }
}

impl Fetch<'_> {
    /// The entries that are asked for next: so many that connections seldom wait for each other, and no more bytes than may
    /// lie around.
    fn next_window(&mut self) -> Vec<Entry> {
        let connections = self.client.connections();
        let each = if *self.trust == Trust::None { ALONE } else { *self.batch * TOGETHER };
        let (mut window, mut bytes) = (Vec::new(), 0);
        while window.len() < connections * each && (bytes < WINDOW_BYTES || window.len() < connections) {
            let Some(entry) = self.entries.pop_front() else { break };
            bytes += (self.size)(&entry).unwrap_or(0);
            window.push(entry);
        }
        window
    }

    fn window(&mut self, mut window: Vec<Entry>) {
        let (client, collection) = (self.client, &self.collection);
        let is_many = window.len() > FEW && *self.trust != Trust::None;
        let (trust, batch, size, mut left) = (&mut *self.trust, &mut *self.batch, &self.size, Vec::new());
        let fetched = self.runtime.run(async {
            let mut found = match is_many {
                true => {
                    let questions = Questions { client, collection };
                    let (found, asked) = together(&questions, &window, trust, batch).await;
                    left = window.split_off(asked);
                    found
                }
                false => Answers::new(),
            };
            let mut outcomes = Vec::with_capacity(window.len());
            // What an answer of many had need not be asked for.
            let work = window.iter().map(|entry| (entry, found.remove(&key_of(entry))));
            let work = work.map(async |(entry, downloaded): (&Entry, Option<Downloaded>)| match downloaded {
                Some(downloaded) => Outcome::Got(downloaded),
                None => one(client, entry, size(entry)).await,
            });
            let (mut stopped, mut broken) = (None, 0);
            in_order(client.connections(), work, |outcome: Outcome| {
                broken = if matches!(outcome, Outcome::Broken(_)) { broken + 1 } else { 0 };
                match outcome {
                    Outcome::Broken(error) if broken > BROKEN_MAX || error.kind != ErrorKind::Connection => {
                        stopped = Some(error);
                        false
                    }
                    outcome => {
                        outcomes.push(outcome);
                        true
                    }
                }
            })
            .await;
            Ok((outcomes, stopped))
        });
        let (outcomes, stopped) = fetched.unwrap_or_else(|error| (Vec::new(), Some(error)));
        left.into_iter().rev().for_each(|entry| self.entries.push_front(entry));
        let mut entries = window.into_iter();
        for (outcome, entry) in outcomes.into_iter().zip(&mut entries) {
            let outcome = match outcome {
                Outcome::Got(downloaded) => (self.make)(&entry, downloaded).map_err(|error| (false, error)),
                Outcome::Gone => Err((true, Error::new(ErrorKind::Connection, "it is not there any more"))),
                Outcome::Failed(error) => Err((false, error)),
                Outcome::Broken(error) => Err((false, Error::new(ErrorKind::Connection, error.to_string()))),
            };
            self.ready.push_back(outcome.map_err(|(vanished, error)| Failure { key: entry.key, vanished, error }));
        }
        if let (Some(error), Some(entry)) = (stopped, entries.next()) {
            self.ready.push_back(Err(Failure { key: entry.key, vanished: false, error }));
            self.entries.clear();
        }
    }
}

enum Outcome {
    Got(Downloaded),
    Gone,
    /// The server does not give it.
    Failed(Error),
    /// The line broke over it.
    Broken(Error),
}

type Answers = HashMap<String, Downloaded>;

fn key_of(entry: &Entry) -> String {
    Url::parse(&entry.locator).map(|url| href_key(&url)).unwrap_or_default()
}

/// One resource by itself.
async fn one(client: &Client, entry: &Entry, size: Option<u64>) -> Outcome {
    let Ok(url) = Url::parse(&entry.locator) else {
        return Outcome::Failed(Error::new(ErrorKind::Connection, "its address cannot be read"));
    };
    match client.get(&url, size).await {
        Ok(Some(downloaded)) => Outcome::Got(downloaded),
        Ok(None) => Outcome::Gone,
        Err(failure) if failure.refusal.is_some() => Outcome::Failed(of_one(&failure)),
        Err(failure) => Outcome::Broken(failure.error),
    }
}

/// Asks for many resources at once, and gives how many of the window it asked for: not all, if the answers are large. What
/// does not come so is asked for one by one.
async fn together(fetch: &Questions<'_>, window: &[Entry], trust: &mut Trust, batch: &mut usize) -> (Answers, usize) {
    let Questions { client, collection } = fetch;
    let urls: Vec<Url> = window.iter().filter_map(|entry| Url::parse(&entry.locator).ok()).collect();
    let (mut found, mut bytes, mut rest) = (Answers::new(), 0, &urls[..]);
    if *trust == Trust::Unknown {
        let (first, others) = rest.split_at(rest.len().min(*batch));
        let Some(one) = first.first() else { return (found, window.len()) };
        let alone = async { client.get(one, None).await.ok().flatten() };
        let (answers, alone) = both(many(client, collection, first), alone).await;
        *trust = match alone {
            Some(alone) if answers.contains_key(&href_key(one)) => trust_in(&answers, one, &alone),
            _ => compared(client, &answers, first).await,
        };
        if *trust != Trust::Exact {
            client.log(1, || {
                "answers of many resources do not hold their exact bytes, or that is not known: each is asked for"
                    .to_owned()
            });
            return (Answers::new(), first.len());
        }
        *batch = grown(*batch, client.most(), &answers);
        found.extend(answers);
        rest = others;
    }
    while !rest.is_empty() && bytes < WINDOW_BYTES {
        // As many requests as fit at the same time, twice: then it shows how large the answers are.
        let connections = client.connections();
        let each = (*batch).min(rest.len().div_ceil(connections)).max(1);
        let (row, others) = rest.split_at(rest.len().min(each * connections * 2));
        let mut answered = Answers::new();
        in_order(connections, row.chunks(each).map(|urls| many(client, collection, urls)), |answers: Answers| {
            answered.extend(answers);
            true
        })
        .await;
        bytes += bytes_of(&answered);
        *batch = grown(*batch, client.most(), &answered);
        found.extend(answered);
        rest = others;
    }
    (found, if rest.is_empty() { window.len() } else { urls.len() - rest.len() })
}

/// Where resources are asked for.
struct Questions<'q> {
    client: &'q Client,
    collection: &'q Url,
}

fn bytes_of(answers: &Answers) -> u64 {
    answers.values().filter_map(Downloaded::bytes).map(|bytes| bytes.len() as u64).sum()
}

/// How many resources the next request asks for: four times as many as the one before, as long as its answer stays small.
fn grown(batch: usize, most: usize, answers: &Answers) -> usize {
    let Some(average) = bytes_of(answers).checked_div(answers.len() as u64) else { return batch };
    let fitting = usize::try_from(ANSWER_BYTES / average.max(1)).unwrap_or(usize::MAX);
    (batch * 4).min(fitting).min(most).max(batch.min(most))
}

/// One answer; an empty one if the server does not give it.
async fn many(client: &Client, collection: &Url, urls: &[Url]) -> Answers {
    match client.multiget(collection, urls).await {
        Ok(answers) => answers,
        Err(failure) => {
            client.log(1, || format!("{}; its resources are asked for one by one", failure.error));
            Answers::new()
        }
    }
}

/// Compares one resource with what a GET gives.
async fn compared(client: &Client, answers: &Answers, urls: &[Url]) -> Trust {
    let answered = urls.iter().find_map(|url| Some((url, answers.get(&href_key(url))?)));
    let Some((url, answered)) = answered else { return Trust::None };
    match client.get(url, None).await {
        Ok(Some(got)) if got.bytes() == answered.bytes() => Trust::Exact,
        Ok(Some(_)) => Trust::None,
        Ok(None) | Err(_) => Trust::Unknown,
    }
}

fn trust_in(answers: &Answers, url: &Url, alone: &Downloaded) -> Trust {
    let is_same = answers.get(&href_key(url)).is_some_and(|answered| answered.bytes() == alone.bytes());
    if is_same { Trust::Exact } else { Trust::None }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Body;

    #[test]
    fn requests_grow_as_long_as_answers_are_small() {
        let answers = |count: usize, size: usize| -> Answers {
            let one = |_| Downloaded { body: Body::Bytes(vec![0; size]), media_type: None };
            (0..count).map(|at| (at.to_string(), one(at))).collect()
        };
        assert_eq!(grown(50, 400, &answers(50, 1000)), 200);
        assert_eq!(grown(200, 400, &answers(200, 1000)), 400);
        assert_eq!(grown(50, 400, &answers(50, 10_000)), 104);
        assert_eq!(grown(50, 400, &answers(50, 100_000)), 50, "never fewer than the user's");
        assert_eq!(grown(50, 50, &answers(50, 1000)), 50, "nor more");
        assert_eq!(grown(50, 400, &Answers::new()), 50);
    }
}
