//! Reading items: blobs of messages, scripts and files, and whole cards and events with the blobs that they refer to.
//! Several at a time, handed over in order, a few of them in memory.

use super::read::{self, Locator};
use super::worker::Worker;
use crate::error::{Error, Kind as Fault};
use crate::model::{Blobs, Body, Entry, Item, ItemData, Kind};
use crate::protocol::jmap::{self, Client, in_order};
use crate::source::Failure;
use serde_json::{Map, Value};
use std::collections::HashMap;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

/// Items on their way to the writer, beside those under way from the server.
const UNDER_WAY: usize = 16;

/// Cards and events that are asked for at once.
const OBJECTS: usize = 128;

type Done = Result<Item, Failure>;

/// What to read.
pub struct Order {
    pub client: Client,
    pub account: String,
    pub kind: Kind,
    pub entries: Vec<Entry>,
    /// The most downloads at a time, if the server allows them.
    pub width: usize,
}

/// Items as they come.
pub struct Download(Receiver<Done>);

impl Iterator for Download {
    type Item = Done;

    fn next(&mut self) -> Option<Done> {
        self.0.recv().ok()
    }
}

/// Begins to read. Dropping the iterator ends it.
pub fn start(worker: &Worker, order: Order) -> Download {
    let (sender, receiver) = sync_channel(UNDER_WAY);
    worker.submit(move |runtime| {
        // What the run ends with stands in the items.
        let _ = runtime.run(async {
            order.run(&sender).await;
            Ok(())
        });
    });
    Download(receiver)
}

impl Order {
    async fn run(self, sender: &SyncSender<Done>) {
        let Order { client, account, kind, entries, width } = self;
        let width = client.limits().max_concurrent_requests.min(width.max(4));
        let reading = Reading { client: &client, account: &account, kind };
        match kind {
            Kind::ContactCard | Kind::CalendarEvent => {
                let parts = Parts(entries.into_iter());
                let work = parts.map(|part| reading.objects(part));
                // A part holds many objects, and each of them may have blobs.
                in_order(width.min(2), work, |done| done.into_iter().all(|done| sender.send(done).is_ok())).await;
            }
            _ => {
                let work = entries.into_iter().map(|entry| reading.item(entry));
                in_order(width, work, |done| sender.send(done).is_ok()).await;
            }
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

#[derive(Clone, Copy)]
struct Reading<'a> {
    client: &'a Client,
    account: &'a str,
    kind: Kind,
}

impl Reading<'_> {
    /// An item whose listing says everything but its bytes.
    async fn item(self, entry: Entry) -> Done {
        let Entry { key, locator, .. } = entry;
        let failed = |error: Error| Failure { key: key.clone(), vanished: false, error };
        let Some(Locator { blob, size, data }) = Locator::parse(&locator, self.kind) else {
            return Err(failed(Error::new(Fault::Connection, "the server describes it in a way that makes no sense")));
        };
        let body = match blob {
            None => Body::Absent,
            Some(blob) => match self.client.download(self.account, &blob, size).await {
                Ok(body) => body,
                Err(error) => return Err(self.explain(&key, error).await),
            },
        };
        // RFC 8621 section 4.1.1: `size` is that of the raw message. An answer of another length is something else.
        let length = match &body {
            Body::Bytes(bytes) => Some(bytes.len() as u64),
            Body::File(file) => file.metadata().ok().map(|meta| meta.len()),
            Body::Part { .. } | Body::Absent => None,
        };
        if let (Kind::Email, Some(size), Some(length)) = (self.kind, size, length)
            && size != length
        {
            let what = format!("the server handed over {length} bytes of a message of {size}");
            return Err(failed(Error::new(Fault::Connection, what)));
        }
        Ok(Item { key, body, data })
    }

    /// What became of an item whose blob the server does not hand over: gone meanwhile, or kept back?
    async fn explain(self, key: &str, error: jmap::Error) -> Failure {
        let mut vanished = false;
        if error.is("notFound") {
            let ids = [key.to_owned()];
            let got = self.client.get(self.account, self.kind.name(), &ids, Some(&["id"])).await;
            vanished = got.is_ok_and(|got| got.list.is_empty() && !got.not_found.is_empty());
        }
        Failure { key: key.into(), vanished, error: error.into() }
    }

    /// Cards or events.
    async fn objects(self, entries: Vec<Entry>) -> Vec<Done> {
        let ids: Vec<String> = entries.iter().map(|entry| entry.key.to_string()).collect();
        let got = match self.client.get(self.account, self.kind.name(), &ids, None).await {
            Ok(got) => got,
            Err(error) => return each(entries, error.into()),
        };
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
                let error = Error::new(Fault::Connection, "the server did not hand it over");
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
                Err(error) => return Err(Failure { key, vanished: false, error: error.into() }),
            }
        }
        let data = match self.kind {
            Kind::ContactCard => read::card(object, blobs),
            _ => read::event(object, blobs),
        };
        match data {
            Some(data) => Ok(Item { key, body: Body::Absent, data }),
            None => {
                let error = Error::new(Fault::Connection, "it has no uid");
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

/// For the types that come whole with the listing.
pub(super) fn is_small(kind: Kind) -> bool {
    matches!(kind, Kind::Identity | Kind::ParticipantIdentity | Kind::VacationResponse)
}

/// An item that has no bytes.
pub(super) fn small(kind: Kind, object: &Map<String, Value>) -> Option<ItemData> {
    match kind {
        Kind::Identity => Some(read::identity(object)),
        Kind::ParticipantIdentity => Some(read::participant(object)),
        Kind::VacationResponse => Some(read::vacation(object)),
        _ => None,
    }
}
