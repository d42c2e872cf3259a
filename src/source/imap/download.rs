//! Downloading messages of one mailbox over all connections, in no order, within a bounded amount of memory.

use super::pool::Crew;
use super::{look, rev};
use crate::error::{Error, ErrorKind, Result};
use crate::model::{Body, Entry, FetchedItem, ItemData};
use crate::net::runtime::Runtime;
use crate::net::sanitize::said;
use crate::net::stream::Stream;
use crate::protocol::imap::{self, Arrival, Client, Items, Message, Pipeline, Session, UidSet, Wanted};
use crate::source::Failure;
use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

/// Bytes that a worker collects before it hands them over.
const PARCEL_BYTES: u64 = 256 << 10;

/// Messages that are on their way from the workers to the writer, beside one in each worker's hand.
const UNDER_WAY: usize = 24;

/// Fewer messages than this are not worth another connection.
const SHARE_MIN: usize = 16;

/// Messages in a row over which a server may break down before the rest of a mailbox is left alone; and all others, too.
const IN_A_ROW: u32 = 16;
const IN_A_ROW_OF_ALL: u32 = 64;

/// A message over which it is silent counts as so many: each takes twice the time limit.
const SILENCE: u32 = 4;

/// Items that a worker hands over at once.
type ItemBatch = Vec<std::result::Result<FetchedItem, Failure>>;

/// The messages to download.
pub(super) struct FetchRequest {
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
pub(super) struct Download {
    parcels: Receiver<ItemBatch>,
    open: std::vec::IntoIter<std::result::Result<FetchedItem, Failure>>,
}

impl Iterator for Download {
    type Item = std::result::Result<FetchedItem, Failure>;

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
pub(super) fn start(crew: &mut Crew, order: FetchRequest) -> Download {
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
            desk: Outbox { sender: sender.clone(), parcel: Vec::new(), bytes: 0, size: parcel },
            log: Arc::clone(&order.log),
            suspects: VecDeque::new(),
            strikes: HashMap::new(),
            broken: Vec::new(),
            in_a_row: 0,
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
    desk: Outbox,
    log: Arc<dyn Fn(String) + Send + Sync>,
    /// Messages to be asked for one by one: the server broke down over one of them.
    suspects: VecDeque<u32>,
    /// How often it broke down over a message that was the first of those that it was asked for.
    strikes: HashMap<u32, u32>,
    /// The messages that the server was about to hand over when it broke down the last time.
    broken: Vec<u32>,
    /// Messages in a row over which it broke down.
    in_a_row: u32,
}

impl Worker {
    fn run(&mut self, runtime: &Runtime, session: &mut Session) {
        match runtime.run(self.download(session)) {
            Ok(()) => self.desk.flush(),
            Err(error) => self.fail(&error),
        }
    }

    /// Downloads what waits. Whatever came stays there when the line breaks, and the rest is asked for again: first, one
    /// by one, the messages that the server was about to hand over when it broke down.
    async fn download(&mut self, session: &mut Session) -> Result<()> {
        let raw = self.raw.clone();
        let shared = Arc::clone(session.shared());
        session
            .ask_in(&raw, async |client, selected| {
                let is_other = selected.uid_validity.unwrap_or_default() != self.uid_validity;
                if is_other {
                    let name = said(imap::decode_name(&self.raw, false).as_bytes());
                    (self.log)(format!(
                        "the server gave new numbers (UIDVALIDITY) to the messages of {name} while they were read: comparing them"
                    ));
                }
                while !self.waiting.is_empty() && !self.desk.is_closed() {
                    if self.in_a_row >= IN_A_ROW || shared.messages.load(Ordering::Relaxed) >= IN_A_ROW_OF_ALL {
                        self.give_up();
                        return Ok(());
                    }
                    match self.part(client, is_other, &shared).await {
                        Ok(()) => {}
                        Err(error) if error.is_breakdown() => {
                            let has_learnt = self.blame(client, &error, &shared);
                            if error.fault != imap::Fault::Unwell || !has_learnt {
                                return Err(error.into_loss());
                            }
                            client.rest().await;
                        }
                        Err(error) => return Err(error),
                    }
                }
                Ok(())
            })
            .await
    }

    /// Downloads what is to be asked for next: a suspect alone, or all that waits.
    async fn part(&mut self, client: &mut Client<Stream>, is_other: bool, shared: &imap::Shared) -> imap::Result<()> {
        while self.suspects.front().is_some_and(|uid| !self.waiting.contains_key(uid)) {
            self.suspects.pop_front();
        }
        let (uids, pipeline) = match self.suspects.front() {
            Some(uid) => (vec![*uid], Pipeline { commands: 1, ..self.pipeline }),
            None => (self.waiting.keys().copied().collect(), self.pipeline),
        };
        let size = |uid: &u32| self.waiting.get(uid).and_then(|one| rev::size(&one.rev)).unwrap_or_default();
        let wanted = uids.iter().map(|uid| Wanted { uid: *uid, size: size(uid) }).collect();
        let mut unsure = Vec::new();
        let mut bodies = client.bodies(wanted, pipeline).await?;
        loop {
            let arrival = match bodies.next().await {
                Ok(Some(arrival)) => arrival,
                Ok(None) => break,
                Err(error) => {
                    self.broken = bodies.suspects();
                    return Err(error);
                }
            };
            let done = match arrival {
                Arrival::Message(message) => {
                    let Some(one) = self.waiting.remove(&message.uid) else { continue };
                    shared.messages.store(0, Ordering::Relaxed);
                    self.in_a_row = 0;
                    self.desk.put(item(message, one, is_other))
                }
                Arrival::Missing { uid, refusal: Some(why) } => {
                    let Some(one) = self.waiting.remove(&uid) else { continue };
                    self.desk.put(Err(failed(one.key, why)))
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
        drop(bodies);
        self.explain(client, unsure).await
    }

    /// Not handed over, and no word why: removed meanwhile, or kept back?
    async fn explain(&mut self, client: &mut Client<Stream>, unsure: Vec<u32>) -> imap::Result<()> {
        if unsure.is_empty() {
            return Ok(());
        }
        let set: UidSet = unsure.iter().copied().collect();
        let mut listing = client.list(&set, Items::default(), None).await?;
        let mut uids = Vec::new();
        while let Some(fetched) = listing.next().await? {
            uids.extend(fetched.uid);
        }
        let there: UidSet = uids.into_iter().collect();
        for uid in unsure {
            let Some(one) = self.waiting.remove(&uid) else { continue };
            let failure = match there.contains(uid) {
                true => failed(one.key, "the server did not hand it over".to_owned()),
                false => Failure { vanished: true, ..failed(one.key, "removed meanwhile".to_owned()) },
            };
            self.desk.put(Err(failure));
        }
        Ok(())
    }

    /// The server broke down while it was asked for some messages. They are asked for one by one from now on; one over
    /// which it breaks down a second time, while it is asked for nothing else, is named and not asked for again.
    ///
    /// False if nothing is known of what it broke down over.
    fn blame(&mut self, client: &mut Client<Stream>, error: &imap::Error, shared: &imap::Shared) -> bool {
        let was_alone = !self.suspects.is_empty();
        let broken = std::mem::take(&mut self.broken);
        let Some(first) = broken.first().copied() else { return false };
        if !was_alone {
            self.suspects = broken.into();
        }
        let strikes = self.strikes.entry(first).or_default();
        *strikes += 1;
        if !was_alone || *strikes < 2 {
            return true;
        }
        let (why, weight) = match error.fault {
            imap::Fault::Unwell => (error.to_string(), 1),
            _ if error.is_silence() => ("the server is silent when it is asked for this message".to_owned(), SILENCE),
            imap::Fault::Lost => ("the server breaks off when it is asked for this message".to_owned(), 1),
            _ => (error.to_string(), 1),
        };
        if let Some(one) = self.waiting.remove(&first) {
            self.desk.put(Err(failed(one.key, why)));
            shared.messages.fetch_add(weight, Ordering::Relaxed);
            self.in_a_row += weight;
            client.settled();
        }
        true
    }

    /// The server broke down over one message after the other, and handed over none: the rest is left for the next run.
    fn give_up(&mut self) {
        for (_, one) in std::mem::take(&mut self.waiting) {
            let why = "not asked for: the server broke off at many messages in a row".to_owned();
            self.desk.put(Err(failed(one.key, why)));
        }
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
    Failure { key, vanished: false, error: Error::new(ErrorKind::Connection, why) }
}

fn item(message: Message, waiting: Waiting, is_compared: bool) -> std::result::Result<FetchedItem, Failure> {
    if is_compared {
        let fetched = imap::Fetched { size: message.size, date: message.date.clone(), ..imap::Fetched::default() };
        if !rev::is_same(&waiting.rev, &rev::of(&fetched)) {
            return Err(failed(waiting.key, "the server gave its number to another message meanwhile".to_owned()));
        }
    }
    let received = message.date.and_then(|date| date.seconds);
    let data = ItemData::Email { received, fallback: now() };
    Ok(FetchedItem { key: waiting.key, body: message.body, data })
}

fn now() -> i64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    since.map_or(0, |since| since.as_secs() as i64)
}

/// Where a worker collects what it hands over.
struct Outbox {
    sender: SyncSender<ItemBatch>,
    parcel: ItemBatch,
    bytes: u64,
    /// The most messages of a parcel.
    size: usize,
}

impl Outbox {
    /// False once the receiver is gone.
    fn put(&mut self, item: std::result::Result<FetchedItem, Failure>) -> bool {
        if let Ok(FetchedItem { body: Body::Bytes(bytes), .. }) = &item {
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
pub(super) async fn message_ids(
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
