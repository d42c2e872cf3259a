//! Listing messages: UID FETCH of all that is not their bytes, item by item.

use super::capability::Capabilities;
use super::client::{Client, Event};
use super::command::Command;
use super::error::Result;
use super::refusal::Purpose;
use super::response::{Data, Fetched, StatusResponse};
use super::select::add_ranges;
use super::set::{LONGEST, UidSet};
use super::wire::{self, Transport};
use std::collections::VecDeque;

/// Commands that are sent ahead.
const DEPTH: usize = 4;

/// The most messages of a mailbox that lines are expected for.
const MOST_MESSAGES: u64 = 20_000_000;

/// What to ask of each message beside its UID.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Items {
    /// FLAGS
    pub flags: bool,
    /// INTERNALDATE
    pub date: bool,
    /// RFC822.SIZE, for which some servers read the message.
    pub size: bool,
    /// EMAILID, where the server has OBJECTID.
    pub email_id: bool,
    /// X-GM-MSGID and X-GM-LABELS, where the server has X-GM-EXT-1.
    pub gmail: bool,
    /// MODSEQ, where the server has CONDSTORE.
    pub modseq: bool,
    /// The header field Message-ID, for which most servers read the message or a cache of it.
    pub message_id: bool,
    /// The header fields Message-ID, From, Subject, Date and To.
    pub identity: bool,
}

impl Items {
    /// All that a listing wants; what a server does not offer is not asked for.
    pub const LISTING: Items = Items {
        flags: true,
        date: true,
        size: true,
        email_id: true,
        gmail: true,
        modseq: false,
        message_id: false,
        identity: false,
    };

    /// Flags only.
    pub const FLAGS: Items = Items {
        flags: true,
        date: false,
        size: false,
        email_id: false,
        gmail: false,
        modseq: false,
        message_id: false,
        identity: false,
    };

    fn text(self, capabilities: &Capabilities) -> String {
        let asked = [
            (self.flags, " FLAGS"),
            (self.date, " INTERNALDATE"),
            (self.size, " RFC822.SIZE"),
            (self.email_id && capabilities.has("OBJECTID"), " EMAILID"),
            (self.gmail && capabilities.has("X-GM-EXT-1"), " X-GM-MSGID X-GM-LABELS"),
            (self.modseq && capabilities.has_condstore(), " MODSEQ"),
            (self.message_id, " BODY.PEEK[HEADER.FIELDS (MESSAGE-ID)]"),
            (self.identity, " BODY.PEEK[HEADER.FIELDS (MESSAGE-ID FROM SUBJECT DATE TO)]"),
        ];
        let asked: String = asked.into_iter().filter(|(is_asked, _)| *is_asked).map(|(_, name)| name).collect();
        format!("(UID{asked})")
    }
}

/// A listing of what changed only (RFC 7162).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Changes {
    /// Messages whose MODSEQ is larger.
    pub since: u64,
    /// Also the UIDs that vanished since, which needs QRESYNC; see [`Listing::vanished`].
    pub with_vanished: bool,
}

/// A listing in progress. When it is dropped early, the next command reads what is left of it.
pub struct Listing<'c, S> {
    client: &'c mut Client<S>,
    set: UidSet,
    /// What is still to be sent, the first last.
    commands: Vec<Command>,
    in_flight: VecDeque<u64>,
    expected: u64,
    vanished: Vec<(u32, u32)>,
}

impl<S: Transport> Client<S> {
    /// Lists messages of the open mailbox, in the server's order. With `changes` only those that changed; the server
    /// must have CONDSTORE, and QRESYNC for what vanished, else all of the set is listed.
    pub async fn list(&mut self, set: &UidSet, items: Items, changes: Option<Changes>) -> Result<Listing<'_, S>> {
        let capabilities = self.capabilities().await?.clone();
        self.drain().await?;
        self.wire.doing = format!("listing the messages of {}", self.open_name);
        let modifier = match changes.filter(|_| capabilities.has_condstore()) {
            Some(Changes { since, with_vanished: true }) if self.has_qresync => {
                format!(" (CHANGEDSINCE {since} VANISHED)")
            }
            Some(Changes { since, .. }) => format!(" (CHANGEDSINCE {since})"),
            None => String::new(),
        };
        let asked = items.text(&capabilities);
        // Some servers call any UID invalid in an empty mailbox.
        let is_needless = self.exists == 0 && changes.is_none();
        let texts = if is_needless { Vec::new() } else { set.texts(LONGEST) };
        let command = |text: &String| Command::new(format!("UID FETCH {text} {asked}{modifier}"));
        let mut commands: Vec<Command> = texts.iter().map(command).collect();
        commands.reverse();
        let expected = set.len().min(u64::from(self.exists)).min(MOST_MESSAGES) * 2;
        self.allow(0);
        Ok(Listing {
            client: self,
            set: set.clone(),
            commands,
            in_flight: VecDeque::new(),
            expected,
            vanished: Vec::new(),
        })
    }
}

impl<S: Transport> Client<S> {
    /// The UIDs of all messages in the open mailbox, as ranges where the server has ESEARCH (RFC 4731).
    pub async fn uids(&mut self) -> Result<UidSet> {
        if self.exists == 0 {
            return Ok(UidSet::new());
        }
        if self.capabilities().await?.has("ESEARCH") {
            self.wire.doing = format!("asking which messages there are in {}", self.open_name);
            let mut found = None;
            let command = Command::new("UID SEARCH RETURN (ALL) ALL");
            let done = self
                .run(command, 0, |_, event| {
                    if let Event::Data(Data::Search(set)) = event {
                        found = Some(set);
                    }
                    Ok(())
                })
                .await?;
            if let Some(found) = found.filter(|_| done.outcome == StatusResponse::Ok) {
                return Ok(found);
            }
        }
        let mut uids = Vec::new();
        let mut listing = self.list(&UidSet::all(), Items::default(), None).await?;
        while let Some(fetched) = listing.next().await? {
            uids.extend(fetched.uid);
        }
        Ok(uids.into_iter().collect())
    }
}

impl<S: Transport> Listing<'_, S> {
    /// The next message of the set, or `None` when the server has named them all. One that changes meanwhile may come
    /// twice: what came later counts, and may lack what did not change. A message that the server does not name is no
    /// more there, unless fewer came than [`Client::exists`] tells: then the listing is not to be trusted.
    pub async fn next(&mut self) -> Result<Option<Fetched>> {
        loop {
            while self.in_flight.len() < DEPTH
                && let Some(command) = self.commands.pop()
            {
                self.in_flight.push_back(self.client.send(&command, std::mem::take(&mut self.expected)));
            }
            if self.in_flight.is_empty() {
                return Ok(None);
            }
            match self.client.event(wire::Bodies::Discard).await? {
                Event::Data(Data::Fetch(fetched)) if fetched.uid.is_some_and(|uid| self.set.contains(uid)) => {
                    return Ok(Some(*fetched));
                }
                Event::Data(Data::Vanished { set, .. }) => add_ranges(&mut self.vanished, &set)?,
                Event::Done(tag, done) => {
                    self.in_flight.retain(|&sent| sent != tag);
                    if done.outcome != StatusResponse::Ok {
                        return Err(done.error(Purpose::Other, "the server refused to list messages"));
                    }
                }
                _ => {}
            }
        }
    }

    /// What vanished, as far as the server has told; complete when [`Listing::next`] has given `None`.
    pub fn vanished(&self) -> UidSet {
        UidSet::of_ranges(self.vanished.clone())
    }

    /// Messages in the mailbox now.
    pub fn exists(&self) -> u32 {
        self.client.exists
    }
}
