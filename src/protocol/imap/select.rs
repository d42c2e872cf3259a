//! Opening a mailbox to read, and what changed in it since the last time.

use super::client::{Client, Event};
use super::command::Command;
use super::error::{Error, Fault, Result};
use super::refusal::Purpose;
use super::response::{Condition, Data, Fetched, StatusResponse, decode_name, is_object_id};
use super::set::UidSet;
use super::wire::Transport;
use crate::format::mutf7;
use crate::net::sanitize::said;

/// The most ranges of vanished UIDs that are taken.
const MOST_RANGES: usize = 1 << 20;

/// What was known of a mailbox when it was open the last time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Known {
    /// Its UIDVALIDITY then: under another one, none of this counts.
    pub uid_validity: u32,
    /// Its HIGHESTMODSEQ then, not 0.
    pub modseq: u64,
}

/// An open mailbox.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Selected {
    /// The name by which the server took it.
    pub raw: Vec<u8>,
    /// `None` breaks the protocol: UIDs of such a mailbox mean nothing the next time.
    pub uid_validity: Option<u32>,
    /// UIDNEXT: no message that comes later has a lower UID.
    pub uid_next: Option<u32>,
    /// Messages in it.
    pub exists: u32,
    /// `None` if it has none (NOMODSEQ), or if the server knows nothing of CONDSTORE.
    pub highest_modseq: Option<u64>,
    /// MAILBOXID (RFC 8474): stays with a mailbox that is renamed.
    pub mailbox_id: Option<String>,
    /// PERMANENTFLAGS, as the server spells them.
    pub permanent_flags: Vec<String>,
    /// UIDs that vanished since what was known.
    pub vanished: UidSet,
    /// True if the server told what changed since what was known: `vanished` and the lines handed over are all of it.
    pub is_resynced: bool,
}

impl<S: Transport> Client<S> {
    /// Opens a mailbox with EXAMINE, which changes nothing in it (RFC 9051 section 6.3.3). `raw` is the name as LIST
    /// gave it. If the server refuses it, it is asked once more under the name's other spelling (modified UTF-7 for
    /// UTF-8 and the other way round), then with SELECT, which takes no more than the flag `\Recent` from messages.
    ///
    /// With `known`, and with QRESYNC enabled, the server also tells what changed since (RFC 7162 section 3.2.5): what
    /// vanished, and a line with UID, FLAGS and MODSEQ for each message that is new or has other flags, which
    /// `on_changed` gets. It does so only if the UIDVALIDITY is the same. An unchanged mailbox costs one round trip.
    ///
    /// A mailbox that is open is left without being closed, since CLOSE would remove messages.
    pub async fn examine(
        &mut self,
        raw: &[u8],
        known: Option<Known>,
        on_changed: &mut (dyn FnMut(Fetched) + Send),
    ) -> Result<Selected> {
        self.capabilities().await?;
        let name = decode_name(raw, self.is_utf8);
        self.open_name = said(name.as_bytes());
        self.wire.doing = format!("opening {}", self.open_name);
        let known = known.filter(|known| self.has_qresync && known.modseq > 0);
        let (mut selected, refusal) = self.open("EXAMINE", raw, known, on_changed).await?;
        let Some(first) = refusal else { return Ok(selected) };
        let error = first.error(Purpose::Other, &format!("the server refused to open {:?}", self.open_name));
        if error.fault.is_worth_a_retry() {
            return Err(error);
        }
        let other = other_spelling(raw);
        for (verb, raw) in other.iter().map(|raw| ("EXAMINE", raw.as_slice())).chain([("SELECT", raw)]) {
            let refusal;
            (selected, refusal) = self.open(verb, raw, known, on_changed).await?;
            if refusal.is_none() {
                return Ok(selected);
            }
        }
        Err(error)
    }

    async fn open(
        &mut self,
        verb: &str,
        raw: &[u8],
        known: Option<Known>,
        on_changed: &mut (dyn FnMut(Fetched) + Send),
    ) -> Result<(Selected, Option<Condition>)> {
        let parameters = match known {
            Some(known) => format!(" (QRESYNC ({} {}))", known.uid_validity, known.modseq),
            None if self.capabilities.as_ref().is_some_and(|c| c.has_condstore()) => " (CONDSTORE)".to_owned(),
            None => String::new(),
        };
        let mut selected = Selected { raw: raw.to_vec(), ..Selected::default() };
        let mut vanished = Vec::new();
        let command = Command::new(verb).string(raw, self.is_utf8).raw(&parameters);
        self.exists = 0;
        // The server may send a line for every message, and how many it has is not known yet: no mailbox has more than that.
        let expected = if known.is_some() { 20_000_000 } else { 0 };
        let done = self
            .run(command, expected, |client, event| {
                match event {
                    Event::Said(said) => selected.take_code(&said),
                    Event::Data(Data::Fetch(fetched)) if known.is_some() => on_changed(*fetched),
                    Event::Data(Data::Vanished { set, .. }) => {
                        add_ranges(&mut vanished, &set)?;
                        selected.is_resynced = true;
                    }
                    Event::Data(Data::Exists(_)) => selected.exists = client.exists,
                    _ => {}
                }
                Ok(())
            })
            .await?;
        selected.vanished = UidSet::of_ranges(vanished);
        selected.exists = self.exists;
        if done.outcome == StatusResponse::Ok {
            selected.take_code(&done);
            selected.is_resynced = known.is_some_and(|known| selected.uid_validity == Some(known.uid_validity))
                && selected.highest_modseq.is_some();
            return Ok((selected, None));
        }
        Ok((selected, Some(done)))
    }
}

impl Selected {
    pub(super) fn take_code(&mut self, said: &Condition) {
        let small = said.number().and_then(|number| u32::try_from(number).ok()).filter(|&number| number > 0);
        match said.code.as_str() {
            "UIDVALIDITY" => self.uid_validity = small,
            "UIDNEXT" => self.uid_next = small,
            "HIGHESTMODSEQ" => self.highest_modseq = said.number().filter(|&number| number > 0),
            "NOMODSEQ" => self.highest_modseq = None,
            "MAILBOXID" => self.mailbox_id = said.values.first().filter(|id| is_object_id(id)).cloned(),
            "PERMANENTFLAGS" => self.permanent_flags.clone_from(&said.values),
            _ => {}
        }
    }
}

/// Adds the ranges of a set to a list that stays bounded.
pub(super) fn add_ranges(ranges: &mut Vec<(u32, u32)>, set: &UidSet) -> Result<()> {
    ranges.extend_from_slice(set.ranges());
    if ranges.len() > MOST_RANGES {
        *ranges = UidSet::of_ranges(std::mem::take(ranges)).ranges().to_vec();
        if ranges.len() > MOST_RANGES / 2 {
            return Err(Error::new(Fault::Protocol, "the server names more vanished messages than fit into memory"));
        }
    }
    Ok(())
}

/// The name in UTF-8 if it is in modified UTF-7, and the other way round; `None` if it is the same in both.
fn other_spelling(raw: &[u8]) -> Option<Vec<u8>> {
    let text = std::str::from_utf8(raw).ok()?;
    let other = if text.is_ascii() { mutf7::decode(text)? } else { mutf7::encode(text) };
    (other != text).then(|| other.into_bytes())
}
