//! Reading items: blobs of messages, scripts and files, and whole cards and events with the blobs that they refer to.
//! Several at a time, handed over in order, a few of them in memory. A request for each small blob would cost more than
//! the blob: where the server has `Blob/get`, many of them are one answer.

use super::read::{self, Locator};
use super::worker::Worker;
use crate::error::{Error, ErrorKind};
use crate::model::{Blobs, Body, Entry, FetchedItem, ObjectType};
use crate::protocol::jmap::{self, Client, Got, SMALL_MAX, SMALL_SUM, Sound, both, in_order};
use crate::source::Failure;
use serde_json::{Map, Value};
use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

/// Items on their way to the writer, beside those under way from the server; groups of them, where a group is an answer.
const UNDER_WAY: usize = 16;
const GROUPS_UNDER_WAY: usize = 2;

/// Cards and events that are asked for at once.
const OBJECTS: usize = 128;

type Done = Result<FetchedItem, Failure>;

/// The items to download.
pub(super) struct DownloadRequest {
    pub client: Client,
    pub account: String,
    pub kind: ObjectType,
    pub entries: Vec<Entry>,
    /// The most downloads at a time, if the server allows them.
    pub width: usize,
    /// True as long as the server hands over several blobs at once.
    pub has_small: Arc<AtomicBool>,
}

/// Items as they come.
pub(super) struct Download {
    groups: Receiver<Vec<Done>>,
    group: std::vec::IntoIter<Done>,
}

impl Iterator for Download {
    type Item = Done;

    fn next(&mut self) -> Option<Done> {
        loop {
            if let Some(done) = self.group.next() {
                return Some(done);
            }
            self.group = self.groups.recv().ok()?.into_iter();
        }
    }
}

/// Begins to read. Dropping the iterator ends it.
pub(super) fn start(worker: &Worker, order: DownloadRequest) -> Download {
    let is_grouped = is_whole(order.kind) || order.has_small.load(Ordering::Relaxed);
    let (sender, groups) = sync_channel(if is_grouped { GROUPS_UNDER_WAY } else { UNDER_WAY });
    worker.submit(move |runtime| {
        // The items say how it ended.
        let _ = runtime.run(async {
            order.run(&sender).await;
            Ok(())
        });
    });
    Download { groups, group: Vec::new().into_iter() }
}

/// True for types whose items come whole in the answer to a `/get`.
fn is_whole(kind: ObjectType) -> bool {
    matches!(kind, ObjectType::ContactCard | ObjectType::CalendarEvent)
}

impl DownloadRequest {
    async fn run(self, sender: &SyncSender<Vec<Done>>) {
        let DownloadRequest { client, account, kind, entries, width, has_small } = self;
        let width = client.limits().max_concurrent_requests.min(width.max(4));
        let in_a_row = AtomicU32::new(0);
        let reading = Reading { client: &client, account: &account, kind, has_small: &has_small, in_a_row: &in_a_row };
        let sink = |done: Vec<Done>| sender.send(done).is_ok();
        if is_whole(kind) {
            let work = Parts(entries.into_iter()).map(|part| reading.objects(part));
            // A part holds many objects, and each of them may have blobs.
            in_order(width.min(2), work, sink).await;
        } else {
            let mut wanted = entries.into_iter().map(|entry| Wanted::new(entry, kind)).peekable();
            let groups = std::iter::from_fn(|| reading.next_group(&mut wanted));
            in_order(width, groups.map(|group| reading.group(group)), sink).await;
        }
    }
}

/// Entries, some at a time.
struct Parts(std::vec::IntoIter<Entry>);

impl Iterator for Parts {
    type Item = Vec<Entry>;

    fn next(&mut self) -> Option<Vec<Entry>> {
        let part: Vec<Entry> = self.0.by_ref().take(OBJECTS).collect();
        (!part.is_empty()).then_some(part)
    }
}

/// An item whose listing says everything but its bytes.
struct Wanted {
    key: Box<str>,
    /// `None` if the server describes it in a way that makes no sense.
    locator: Option<Locator>,
}

impl Wanted {
    fn new(entry: Entry, kind: ObjectType) -> Wanted {
        Wanted { locator: Locator::parse(&entry.locator, kind), key: entry.key }
    }

    /// Its blob, if it may be asked for with others.
    fn small(&self) -> Option<&str> {
        let locator = self.locator.as_ref()?;
        locator.blob.as_deref().filter(|_| locator.size.is_none_or(|size| size <= SMALL_MAX))
    }

    /// The bytes that it takes in memory, at most.
    fn weight(&self) -> u64 {
        self.locator.as_ref().map_or(0, |locator| match locator.blob {
            Some(_) => locator.size.unwrap_or(SMALL_MAX),
            None => 0,
        })
    }
}

#[derive(Clone, Copy)]
struct Reading<'a> {
    client: &'a Client,
    account: &'a str,
    kind: ObjectType,
    has_small: &'a AtomicBool,
    /// Items in a row over which the server broke down.
    in_a_row: &'a AtomicU32,
}

/// After so many items in a row over which the server broke down it is taken for lost.
const IN_A_ROW: u32 = 16;

impl Reading<'_> {
    /// Items whose small blobs are asked for together; a single one if the server does not have that.
    fn next_group(self, wanted: &mut std::iter::Peekable<impl Iterator<Item = Wanted>>) -> Option<Vec<Wanted>> {
        let most = if self.has_small.load(Ordering::Relaxed) { self.client.small_blobs_max() } else { 1 };
        let mut group = Vec::from_iter(wanted.next());
        let mut sum: u64 = group.iter().map(Wanted::weight).sum();
        while group.len() < most
            && let Some(next) = wanted.next_if(|next| sum.saturating_add(next.weight()) <= SMALL_SUM)
        {
            sum += next.weight();
            group.push(next);
        }
        (!group.is_empty()).then_some(group)
    }

    async fn group(self, group: Vec<Wanted>) -> Vec<Done> {
        let mut small: Vec<String> = group.iter().filter_map(|wanted| wanted.small().map(str::to_owned)).collect();
        small.sort_unstable();
        small.dedup();
        let (with, alone): (Vec<_>, Vec<_>) = group.into_iter().enumerate().partition(|(_, one)| one.small().is_some());
        let together = async { self.items(with, &self.small(&small).await).await };
        let (mut done, others) = both(together, self.items(alone, &HashMap::new())).await;
        done.extend(others);
        done.sort_unstable_by_key(|(at, _)| *at);
        done.into_iter().map(|(_, done)| done).collect()
    }

    /// The bytes of these blobs, as far as the server hands them over together.
    async fn small(self, blobs: &[String]) -> HashMap<String, Vec<u8>> {
        if blobs.len() < 2 {
            return HashMap::new();
        }
        let ids: Vec<&str> = blobs.iter().map(String::as_str).collect();
        match self.client.small_blobs(self.account, &ids).await {
            Ok(found) => found,
            // Each is asked for on its own, and what is wrong shows then.
            Err(error) => {
                self.client.log(1, || format!("blobs are read one by one from here on: {error}"));
                self.has_small.store(false, Ordering::Relaxed);
                HashMap::new()
            }
        }
    }

    /// Items, one after the other, with their places; `known` has bytes that are here already.
    async fn items(self, wanted: Vec<(usize, Wanted)>, known: &HashMap<String, Vec<u8>>) -> Vec<(usize, Done)> {
        let mut done = Vec::new();
        for (at, wanted) in wanted {
            // Items with the same bytes are rare.
            let bytes = wanted.small().and_then(|blob| known.get(blob)).cloned();
            done.push((at, self.item(wanted, bytes).await));
        }
        done
    }

    async fn item(self, wanted: Wanted, known: Option<Vec<u8>>) -> Done {
        let Wanted { key, locator } = wanted;
        let failed = |error: Error| Failure { key: key.clone(), vanished: false, error };
        let Some(Locator { blob, size, data }) = locator else {
            return Err(failed(Error::new(
                ErrorKind::Connection,
                "the server describes it in a way that makes no sense",
            )));
        };
        let body = match (blob, known) {
            (None, _) => Body::Absent,
            (Some(_), Some(bytes)) => Body::Bytes(bytes),
            (Some(blob), None) => match self.client.download(self.account, &blob, size).await {
                Ok(body) => {
                    self.in_a_row.store(0, Ordering::Relaxed);
                    body
                }
                Err(error) => return Err(self.explain(&key, error).await),
            },
        };
        // RFC 8621 section 4.1.1: `size` is that of the raw message. An answer of another length is something else.
        let length = match &body {
            Body::Bytes(bytes) => Some(bytes.len() as u64),
            Body::File(file) => file.metadata().ok().map(|meta| meta.len()),
            Body::Part { .. } | Body::Absent => None,
        };
        if let (ObjectType::Email, Some(size), Some(length)) = (self.kind, size, length)
            && size != length
        {
            let what = format!("the server handed over {length} bytes of a message of {size}");
            return Err(failed(Error::new(ErrorKind::Connection, what)));
        }
        Ok(FetchedItem { key, body, data })
    }

    /// The error of something that did not come. Where the server broke down over it and is well otherwise, that is no
    /// loss of the server, and the others are asked for.
    async fn blame(self, error: jmap::Error) -> Error {
        let is_breakdown = error.is_breakdown();
        let error = Error::from(error);
        if !is_breakdown || !error.is_transient() {
            return error;
        }
        let before = self.in_a_row.fetch_add(1, Ordering::Relaxed);
        match before < IN_A_ROW && self.client.is_well().await {
            true => Error::new(
                ErrorKind::Connection,
                format!("the server does not hand it over, and answers otherwise: {error}"),
            ),
            false => error,
        }
    }

    /// What became of an item whose blob the server does not hand over: gone meanwhile, or kept back?
    async fn explain(self, key: &str, error: jmap::Error) -> Failure {
        let mut vanished = false;
        if error.is("notFound") {
            let ids = [key.to_owned()];
            let got = self.client.get(self.account, self.kind.name(), &ids, Some(&["id"])).await;
            vanished = got.is_ok_and(|got| got.list.is_empty() && !got.not_found.is_empty());
        }
        Failure { key: key.into(), vanished, error: self.blame(error).await }
    }

    /// Cards or events.
    async fn objects(self, entries: Vec<Entry>) -> Vec<Done> {
        let ids: Vec<String> = entries.iter().map(|entry| entry.key.to_string()).collect();
        let (mut got, mut broken) = (Got::default(), HashSet::new());
        let take = |part: Sound| {
            got.list.extend(part.got.list);
            got.not_found.extend(part.got.not_found);
            broken.extend(part.broken);
            true
        };
        if let Err(error) = self.client.get_whole_sound(self.account, self.kind, &ids, take).await {
            return each(entries, error.into());
        }
        let mut found: HashMap<String, Map<String, Value>> = HashMap::new();
        for object in got.list {
            if let Some(id) = object.get("id").and_then(Value::as_str) {
                found.insert(id.to_owned(), object);
            }
        }
        let mut done = Vec::new();
        for entry in entries {
            let Some(object) = found.remove(&*entry.key) else {
                // The listing named it a moment ago.
                let vanished = got.not_found.iter().any(|id| **id == *entry.key);
                let why = match broken.contains(&*entry.key) {
                    true => "the server breaks off when it is asked for it",
                    false => "the server did not hand it over",
                };
                let error = Error::new(ErrorKind::Connection, why);
                done.push(Err(Failure { key: entry.key, vanished, error }));
                continue;
            };
            done.push(self.object(entry.key, object).await);
        }
        done
    }

    async fn object(self, key: Box<str>, object: Map<String, Value>) -> Done {
        let mut names = Vec::new();
        read::blob_ids(&object, &mut names);
        let mut blobs = Blobs::new();
        for name in names {
            match self.client.download(self.account, &name, None).await {
                Ok(body) => blobs.push((name, body)),
                Err(error) => return Err(Failure { key, vanished: false, error: self.blame(error).await }),
            }
        }
        let data = match self.kind {
            ObjectType::ContactCard => read::card(object, blobs),
            _ => read::event(object, blobs),
        };
        match data {
            Some(data) => Ok(FetchedItem { key, body: Body::Absent, data }),
            None => {
                let error = Error::new(ErrorKind::Connection, "it has no uid");
                Err(Failure { key, vanished: false, error })
            }
        }
    }
}

/// The same failure for all of them.
fn each(entries: Vec<Entry>, error: Error) -> Vec<Done> {
    let (kind, text, is_transient) = (error.kind, error.to_string(), error.is_transient());
    let mut first = Some(error);
    let again = |text: &str| match is_transient {
        true => Error::new(kind, "the connection is lost").because(std::io::Error::other(text.to_owned())),
        false => Error::new(kind, text),
    };
    entries
        .into_iter()
        .map(|entry| {
            let error = first.take().unwrap_or_else(|| again(&text));
            Err(Failure { key: entry.key, vanished: false, error })
        })
        .collect()
}
