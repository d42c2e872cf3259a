//! Downloading messages of one mailbox over all connections, in no order, within a bounded amount of memory.

use super::crew::Crew;
use super::{look, rev};
use crate::error::{Error, Kind as Fault, Result};
use crate::model::{Body, Entry, Item, ItemData};
use crate::protocol::imap::{self, Arrival, Items, Message, Pipeline, Session, UidSet, Wanted};
use crate::protocol::runtime::Runtime;
use crate::source::Failure;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

/// Bytes that a worker collects before it hands them over.
const PARCEL_BYTES: u64 = 256 << 10;

/// Messages that are on their way from the workers to the writer, beside one in each worker's hand.
const UNDER_WAY: usize = 24;

/// Fewer messages than this are not worth another connection.
const SHARE_MIN: usize = 16;

/// What a worker hands over.
type Parcel = Vec<std::result::Result<Item, Failure>>;

/// Of what to download.
pub struct Order {
    /// The mailbox as the server spells it, and the UIDVALIDITY under which it was listed.
    pub raw: Vec<u8>,
    pub uid_validity: u32,
    pub entries: Vec<Entry>,
    /// How many messages may be asked for ahead, over all connections.
    pub ahead: usize,
    /// Tells what should not be overlooked.
    pub log: Arc<dyn Fn(String) + Send + Sync>,
}

/// Messages as they come.
pub struct Download {
    parcels: Receiver<Parcel>,
    open: std::vec::IntoIter<std::result::Result<Item, Failure>>,
}

impl Iterator for Download {
    type Item = std::result::Result<Item, Failure>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            if let Some(item) = self.open.next() {
                return Some(item);
            }
            self.open = self.parcels.recv().ok()?.into_iter();
        }
    }
}

/// A message that is still to come.
struct Waiting {
    key: Box<str>,
    rev: Box<str>,
}

/// Begins to download. Dropping the iterator ends it.
pub fn start(crew: &mut Crew, order: Order) -> Download {
    let mut entries = order.entries;
    let uid = |entry: &Entry| look::uid_in(&entry.key);
    entries.sort_unstable_by_key(uid);
    let workers = crew.size().min(entries.len().div_ceil(SHARE_MIN)).max(1);
    let parcel = (UNDER_WAY / workers).clamp(2, 8);
    let (sender, parcels) = sync_channel(2);
    let total: u64 = entries.iter().map(|entry| rev::size(&entry.rev).unwrap_or(1)).sum();
    let mut entries = entries.into_iter().peekable();
    for worker in 1..=workers {
        // Neighbours go over one connection, so that the sets of UIDs in its commands are short.
        let mut share = BTreeMap::new();
        let mut bytes = 0;
        while (bytes < total / workers as u64 || worker == workers)
            && let Some(entry) = entries.next()
        {
            bytes += rev::size(&entry.rev).unwrap_or(1);
            share.insert(uid(&entry), Waiting { key: entry.key, rev: entry.rev });
        }
        if share.is_empty() {
            continue;
        }
        let ahead = (order.ahead / workers).max(1);
        let pipeline =
            Pipeline { commands: 8.min(ahead), messages: (ahead / 8).clamp(1, 64), bytes: (16 << 20) / workers as u64 };
        let mut worker = Worker {
            raw: order.raw.clone(),
            uid_validity: order.uid_validity,
            waiting: share,
            pipeline,
            desk: Desk { sender: sender.clone(), parcel: Vec::new(), bytes: 0, size: parcel },
            log: Arc::clone(&order.log),
        };
        crew.submit(move |runtime, session| worker.run(runtime, session));
    }
    Download { parcels, open: Vec::new().into_iter() }
}

/// One connection's part.
struct Worker {
    raw: Vec<u8>,
    uid_validity: u32,
    waiting: BTreeMap<u32, Waiting>,
    pipeline: Pipeline,
    desk: Desk,
    log: Arc<dyn Fn(String) + Send + Sync>,
}

impl Worker {
    fn run(&mut self, runtime: &Runtime, session: &mut Session) {
        match runtime.run(self.download(session)) {
            Ok(()) => self.desk.flush(),
            Err(error) => self.fail(&error),
        }
    }

    /// Downloads what waits. Whatever came stays there when the line breaks, and the rest is asked for again.
    async fn download(&mut self, session: &mut Session) -> Result<()> {
        let Worker { raw, uid_validity, waiting, pipeline, desk, log } = self;
        session
            .ask_in(raw, async |client, selected| {
                let is_other = selected.uid_validity.unwrap_or_default() != *uid_validity;
                if is_other {
                    let name = imap::decode_name(raw, false);
                    log(format!(
                        "the server numbers the messages of {name:?} anew (UIDVALIDITY) while they are read; each one is compared with what was listed"
                    ));
                }
                let mut unsure = Vec::new();
                let wanted: Vec<Wanted> = waiting
                    .iter()
                    .map(|(uid, one)| Wanted { uid: *uid, size: rev::size(&one.rev).unwrap_or_default() })
                    .collect();
                let mut bodies = client.bodies(wanted, *pipeline).await?;
                while let Some(arrival) = bodies.next().await? {
                    let done = match arrival {
                        Arrival::Message(message) => {
                            let Some(one) = waiting.remove(&message.uid) else { continue };
                            desk.put(item(message, one, is_other))
                        }
                        Arrival::Missing { uid, refusal: Some(why) } => {
                            let Some(one) = waiting.remove(&uid) else { continue };
                            desk.put(Err(failed(one.key, why)))
                        }
                        Arrival::Missing { uid, refusal: None } => {
                            unsure.push(uid);
                            true
                        }
                    };
                    if !done {
                        return Ok(());
                    }
                }
                // Not handed over, and no word why: removed meanwhile, or kept back?
                let set: UidSet = unsure.iter().copied().collect();
                let mut there = UidSet::new();
                if !unsure.is_empty() {
                    let mut listing = client.list(&set, Items::default(), None).await?;
                    let mut uids = Vec::new();
                    while let Some(fetched) = listing.next().await? {
                        uids.extend(fetched.uid);
                    }
                    there = uids.into_iter().collect();
                }
                for uid in unsure {
                    let Some(one) = waiting.remove(&uid) else { continue };
                    let failure = match there.contains(uid) {
                        true => failed(one.key, "the server did not hand it over".to_owned()),
                        false => Failure { vanished: true, ..failed(one.key, "removed meanwhile".to_owned()) },
                    };
                    desk.put(Err(failure));
                }
                Ok(())
            })
            .await
    }

    /// Whatever has not come yet will not come.
    fn fail(&mut self, error: &Error) {
        for (_, one) in std::mem::take(&mut self.waiting) {
            let mut fresh = Error::new(error.kind, error.to_string());
            if error.is_transient() {
                fresh =
                    Error::new(error.kind, "the connection is lost").because(std::io::Error::other(error.to_string()));
            }
            if let Some(hint) = error.hint_text() {
                fresh = fresh.hint(hint);
            }
            if !self.desk.put(Err(Failure { key: one.key, vanished: false, error: fresh })) {
                return;
            }
        }
        self.desk.flush();
    }
}

fn failed(key: Box<str>, why: String) -> Failure {
    Failure { key, vanished: false, error: Error::new(Fault::Connection, why) }
}

fn item(message: Message, waiting: Waiting, is_compared: bool) -> std::result::Result<Item, Failure> {
    if is_compared {
        let fetched = imap::Fetched { size: message.size, date: message.date.clone(), ..imap::Fetched::default() };
        if !rev::is_same(&waiting.rev, &rev::of(&fetched)) {
            return Err(failed(waiting.key, "the server gave its number to another message meanwhile".to_owned()));
        }
    }
    let received = message.date.and_then(|date| date.seconds);
    let data = ItemData::Email { received, fallback: now() };
    Ok(Item { key: waiting.key, body: message.body, data })
}

fn now() -> i64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    since.map_or(0, |since| since.as_secs() as i64)
}

/// Where a worker collects what it hands over.
struct Desk {
    sender: SyncSender<Parcel>,
    parcel: Parcel,
    bytes: u64,
    /// The most messages of a parcel.
    size: usize,
}

impl Desk {
    /// False if nobody wants anything any more.
    fn put(&mut self, item: std::result::Result<Item, Failure>) -> bool {
        if let Ok(Item { body: Body::Bytes(bytes), .. }) = &item {
            self.bytes += bytes.len() as u64;
        }
        self.parcel.push(item);
        if self.parcel.len() >= self.size || self.bytes >= PARCEL_BYTES {
            self.flush();
        }
        !self.is_closed()
    }

    fn flush(&mut self) {
        self.bytes = 0;
        let parcel = std::mem::take(&mut self.parcel);
        if !parcel.is_empty() && self.sender.send(parcel).is_err() {
            self.size = 0;
        }
    }

    fn is_closed(&self) -> bool {
        self.size == 0
    }
}

/// The header fields Message-ID of some messages, in the order of the entries.
pub async fn message_ids(
    session: &mut Session,
    raw: &[u8],
    uid_validity: u32,
    entries: &[Entry],
) -> Result<Vec<Option<Vec<u8>>>> {
    let uids: Vec<Option<u32>> = entries.iter().map(|entry| look::uid_of(&entry.key, uid_validity)).collect();
    let set: UidSet = uids.iter().flatten().copied().collect();
    let items = Items { message_id: true, ..Items::default() };
    let mut heads: BTreeMap<u32, Vec<u8>> = session
        .ask_in(raw, async |client, selected| {
            let mut heads = BTreeMap::new();
            if selected.uid_validity.unwrap_or_default() == uid_validity {
                let mut listing = client.list(&set, items, None).await?;
                while let Some(fetched) = listing.next().await? {
                    heads.extend(fetched.uid.zip(fetched.header));
                }
            }
            Ok(heads)
        })
        .await?;
    Ok(uids.into_iter().map(|uid| heads.remove(&uid?)).collect())
}
