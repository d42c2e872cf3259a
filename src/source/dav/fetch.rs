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
        let each = if *self.trust == Trust::None { ALONE } else { self.client.batch() * TOGETHER };
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
        let (trust, size, mut left) = (&mut *self.trust, &self.size, Vec::new());
        let fetched = self.runtime.run(async {
            let mut found = match is_many {
                true => {
                    let (found, asked) = together(client, collection, &window, trust).await;
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
async fn together(client: &Client, collection: &Url, window: &[Entry], trust: &mut Trust) -> (Answers, usize) {
    let urls: Vec<Url> = window.iter().filter_map(|entry| Url::parse(&entry.locator).ok()).collect();
    let mut found = Answers::new();
    let (mut asked, mut bytes) = (0, 0);
    let mut batches = urls.chunks(client.batch());
    if *trust == Trust::Unknown
        && let Some(first) = batches.next()
    {
        asked += first.len();
        let alone = async {
            match first.first() {
                Some(url) => client.get(url, None).await.ok().flatten(),
                None => None,
            }
        };
        let (answers, alone) = both(many(client, collection, first), alone).await;
        *trust = match first.first().zip(alone) {
            Some((url, alone)) if answers.contains_key(&href_key(url)) => trust_in(&answers, url, &alone),
            _ => compared(client, &answers, first).await,
        };
        if *trust != Trust::Exact {
            client.log(1, || {
                "answers of many resources do not hold their exact bytes, or that is not known: each is asked for"
                    .to_owned()
            });
            return (Answers::new(), asked);
        }
        found.extend(answers);
    }
    let starts = batches.map(|batch| (batch.len(), many(client, collection, batch)));
    let mut starts = starts.peekable();
    while starts.peek().is_some() && bytes < WINDOW_BYTES {
        // A row of requests, as many as fit at the same time, twice: then it shows how large the answers are.
        let row: Vec<_> = starts.by_ref().take(client.connections() * 2).collect();
        asked += row.iter().map(|(count, _)| count).sum::<usize>();
        in_order(client.connections(), row.into_iter().map(|(_, answers)| answers), |answers: Answers| {
            bytes += answers.values().filter_map(|one| one.bytes()).map(|bytes| bytes.len() as u64).sum::<u64>();
            found.extend(answers);
            true
        })
        .await;
    }
    (found, if starts.peek().is_none() { window.len() } else { asked.min(window.len()) })
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
