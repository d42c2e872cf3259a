//! Downloading messages: several commands in flight, one message at a time in memory.
//!
//! Commands are sent ahead so that the server never waits for this client, and only as far as their answers have few
//! enough bytes that a cut line costs little. Nothing is read before the caller asks for the next message: a slow
//! caller slows the server down through the full socket, and no queue grows.

use super::client::{Client, Event};
use super::command::Command;
use super::date::InternalDate;
use super::error::{Fault, Result};
use super::refusal::Purpose;
use super::response::{Condition, Data, Fetched, FetchedBody, StatusResponse};
use super::set::{LONGEST, UidSet};
use super::wire::{self, Transport};
use crate::model::Body;
use std::collections::{HashSet, VecDeque};

/// How far to ask ahead.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pipeline {
    /// Commands in flight, at least 1.
    pub commands: usize,
    /// Messages of one command, at least 1.
    pub messages: usize,
    /// Bytes in flight by the sizes that the listing gave. One command is sent even if it alone has more.
    pub bytes: u64,
}

impl Default for Pipeline {
    fn default() -> Pipeline {
        Pipeline { commands: 8, messages: 64, bytes: 16 << 20 }
    }
}

/// A message to download.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Wanted {
    /// Its UID in the open mailbox.
    pub uid: u32,
    /// Its size in bytes as the listing gave it, 0 if that is not known.
    pub size: u64,
}

/// A message that was downloaded.
pub struct Message {
    /// The one that was wanted.
    pub uid: u32,
    /// The bytes of the literal, untouched.
    pub body: Body,
    /// RFC822.SIZE, which need not be the truth.
    pub size: Option<u64>,
    /// Flags and keywords as the server spells them.
    pub flags: Option<Vec<String>>,
    /// INTERNALDATE: when it arrived.
    pub date: Option<InternalDate>,
}

/// What became of a message that was wanted.
pub enum Arrival {
    /// It came, to its last byte.
    Message(Message),
    /// It did not come.
    Missing {
        /// The one that was wanted.
        uid: u32,
        /// What the server said to it. `None` if it said nothing: the message was removed meanwhile.
        refusal: Option<String>,
    },
}

struct Batch {
    tag: u64,
    /// UIDs that have not come yet, in ascending order.
    waiting: Vec<u32>,
    messages: usize,
    pub(crate) bytes: u64,
}

/// A download in progress. When it is dropped early, the next command reads and discards what is left of it.
pub struct Bodies<'c, S> {
    client: &'c mut Client<S>,
    pipeline: Pipeline,
    queue: VecDeque<Wanted>,
    /// UIDs that a refused command left, each to be asked for alone.
    singles: VecDeque<Wanted>,
    in_flight: VecDeque<Batch>,
    ready: VecDeque<Arrival>,
    /// The messages of the command over which the server broke down, if it said so.
    broken: Vec<u32>,
}

impl<S: Transport> Client<S> {
    /// Downloads messages of the open mailbox. Each UID that was wanted, however often, comes back as exactly
    /// one [`Arrival`], in any order, unless an error ends it.
    ///
    /// A command that the server refuses is repeated message by message, so that one that it cannot read (Exchange
    /// has such) takes no others with it.
    pub async fn bodies(&mut self, wanted: Vec<Wanted>, pipeline: Pipeline) -> Result<Bodies<'_, S>> {
        self.drain().await?;
        self.allow(0);
        self.wire.doing = format!("reading messages of {}", self.open_name);
        let mut seen = HashSet::with_capacity(wanted.len());
        let queue = wanted.into_iter().filter(|wanted| wanted.uid > 0 && seen.insert(wanted.uid)).collect();
        Ok(Bodies {
            client: self,
            pipeline,
            queue,
            singles: VecDeque::new(),
            in_flight: VecDeque::new(),
            ready: VecDeque::new(),
            broken: Vec::new(),
        })
    }
}

impl<S: Transport> Bodies<'_, S> {
    /// The next message, or `None` when all that were wanted are answered.
    ///
    /// # Errors
    /// Those that end the connection, a refusal because of too much use ([`Fault::Retry`]), and one because the server is
    /// not well ([`Fault::Unwell`]). Whatever has not come by then was not handed over; see [`Bodies::suspects`].
    pub async fn next(&mut self) -> Result<Option<Arrival>> {
        loop {
            if let Some(arrival) = self.ready.pop_front() {
                return Ok(Some(arrival));
            }
            while let Some(batch) = self.next_batch() {
                self.send(batch);
            }
            if self.in_flight.is_empty() {
                return Ok(None);
            }
            match self.client.event(wire::Bodies::Keep).await? {
                Event::Data(Data::Fetch(fetched)) => {
                    if let Some(arrival) = self.take(*fetched) {
                        return Ok(Some(arrival));
                    }
                }
                Event::Done(tag, done) => self.finish(tag, done)?,
                _ => {}
            }
        }
    }

    /// After an error: the messages that the server was about to hand over, in ascending order. One of them may be why.
    pub fn suspects(&self) -> Vec<u32> {
        if !self.broken.is_empty() {
            return self.broken.clone();
        }
        let first = self.in_flight.iter().find(|batch| !batch.waiting.is_empty());
        first.map(|batch| batch.waiting.clone()).unwrap_or_default()
    }

    /// What to ask for next, if it is time.
    fn next_batch(&mut self) -> Option<Vec<Wanted>> {
        if self.in_flight.len() >= self.pipeline.commands.max(1) {
            return None;
        }
        if let Some(single) = self.singles.pop_front() {
            return Some(vec![single]);
        }
        let in_flight: u64 = self.in_flight.iter().map(|batch| batch.bytes).sum();
        let mut free = self.pipeline.bytes.saturating_sub(in_flight);
        // A share of what may be in flight, so that there is always a next command behind the one that is answered.
        let share = self.pipeline.bytes / self.pipeline.commands.max(1) as u64;
        free = free.min(share.max(1));
        let mut batch = Vec::new();
        while let Some(&wanted) = self.queue.front() {
            let is_full = batch.len() >= self.pipeline.messages.max(1) || wanted.size > free;
            let must_send = batch.is_empty() && self.in_flight.is_empty();
            if is_full && !must_send {
                break;
            }
            free = free.saturating_sub(wanted.size);
            batch.push(wanted);
            self.queue.pop_front();
        }
        (!batch.is_empty()).then_some(batch)
    }

    fn send(&mut self, batch: Vec<Wanted>) {
        let set: UidSet = batch.iter().map(|wanted| wanted.uid).collect();
        let mut texts = set.texts(LONGEST);
        // More than one text would need a batch of 700 scattered UIDs: the rest goes back to the queue.
        let text = texts.swap_remove(0);
        let asked = if texts.is_empty() { set } else { UidSet::parse(text.as_bytes()) };
        let (mut waiting, mut bytes) = (Vec::with_capacity(batch.len()), 0u64);
        for wanted in batch.into_iter().rev() {
            if asked.contains(wanted.uid) {
                waiting.push(wanted.uid);
                bytes = bytes.saturating_add(wanted.size);
            } else {
                self.queue.push_front(wanted);
            }
        }
        waiting.sort_unstable();
        let command = format!("UID FETCH {text} (UID FLAGS INTERNALDATE RFC822.SIZE BODY.PEEK[])");
        let messages = waiting.len();
        let first = self.in_flight.front().and_then(|batch| batch.waiting.first()).or(waiting.first()).copied();
        self.client.wire.doing = match (first, waiting.last()) {
            (Some(first), Some(&last)) if first != last => {
                format!("reading messages of {} (UID {first} to {last})", self.client.open_name)
            }
            _ => format!("reading a message of {} (UID {})", self.client.open_name, first.unwrap_or_default()),
        };
        let tag = self.client.send(&Command::new(command), 4 * messages as u64);
        self.in_flight.push_back(Batch { tag, waiting, messages, bytes });
    }

    /// A message that was asked for and came with its bytes. What else comes is news of flags, or a second copy.
    fn take(&mut self, fetched: Fetched) -> Option<Arrival> {
        let uid = fetched.uid?;
        let body = fetched.body?;
        let found = self.in_flight.iter_mut().find_map(|batch| Some((batch.waiting.binary_search(&uid).ok()?, batch)));
        let (at, batch) = found?;
        batch.waiting.remove(at);
        self.client.delivered += 1;
        Some(match body {
            FetchedBody::Here(body) => {
                let Fetched { size, flags, date, .. } = fetched;
                Arrival::Message(Message { uid, body, size, flags, date })
            }
            // A message without a byte has nothing to hand over.
            FetchedBody::Nil if fetched.size == Some(0) => {
                let Fetched { size, flags, date, .. } = fetched;
                Arrival::Message(Message { uid, body: Body::Bytes(Vec::new()), size, flags, date })
            }
            FetchedBody::Nil => {
                Arrival::Missing { uid, refusal: Some("the server hands over nothing (NIL)".to_owned()) }
            }
        })
    }

    /// Deals with what the command of this tag did not bring.
    fn finish(&mut self, tag: u64, done: Condition) -> Result<()> {
        let Some(at) = self.in_flight.iter().position(|batch| batch.tag == tag) else { return Ok(()) };
        let Some(batch) = self.in_flight.remove(at) else { return Ok(()) };
        let missing = |uid, refusal| Arrival::Missing { uid, refusal };
        if done.outcome == StatusResponse::Ok {
            self.ready.extend(batch.waiting.into_iter().map(|uid| missing(uid, None)));
            return Ok(());
        }
        let error = done.error(Purpose::Other, "the server refused to hand over messages");
        match error.fault {
            Fault::Refused | Fault::Unsupported | Fault::Gone | Fault::Forbidden if batch.messages > 1 => {
                self.singles.extend(batch.waiting.into_iter().map(|uid| Wanted { uid, size: 0 }));
            }
            Fault::Refused | Fault::Unsupported | Fault::Gone | Fault::Forbidden => {
                let said = error.to_string();
                self.ready.extend(batch.waiting.into_iter().map(|uid| missing(uid, Some(said.clone()))));
            }
            _ => {
                self.broken = batch.waiting;
                return Err(error);
            }
        }
        Ok(())
    }
}
