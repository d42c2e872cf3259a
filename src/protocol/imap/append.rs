//! Storing messages: APPEND (RFC 9051 section 6.3.12), several at once where the server has MULTIAPPEND (RFC 3502).

use super::capability::Capabilities;
use super::client::{Client, Event};
use super::command::{Command, Part};
use super::date::internal_date;
use super::error::{Error, Result};
use super::refusal::Purpose;
use super::response::{Condition, StatusResponse};
use super::set::UidSet;
use super::wire::{self, Transport};
use crate::net::http::Content;
use crate::net::sanitize::said;
use memchr::{memchr, memmem};
use std::collections::VecDeque;

/// How much of a large message is read and sent at once.
const PART: usize = 256 << 10;

/// A message to be stored.
#[derive(Clone)]
pub struct NewMessage {
    /// As IMAP has them: `\Seen`, `work`.
    pub flags: Vec<String>,
    /// When it arrived, in seconds since 1970; `None`: now.
    pub received: Option<i64>,
    /// Its bytes.
    pub content: Content,
}

/// Where a new message lies in its mailbox (UIDPLUS, RFC 4315 section 3).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NewUid {
    /// The UIDVALIDITY of the mailbox.
    pub validity: u32,
    /// Its UID there.
    pub uid: u32,
}

/// What became of a message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Appended {
    /// It is there, and here, if the server says so (APPENDUID).
    Done(Option<NewUid>),
    /// It may be there the next time: the server is not well, for this reason.
    Later(String),
    /// The account has no room for it (OVERQUOTA).
    Full(String),
    /// The server does not take it, for this reason.
    Refused(String),
}

impl<S: Transport> Client<S> {
    /// Stores messages in a mailbox, in their order. `told` gets what became of each, by its place.
    ///
    /// # Errors
    /// Those that concern the connection. Of a message that `told` did not get, it is not known whether it was stored.
    pub async fn append(
        &mut self,
        raw: &[u8],
        messages: &[NewMessage],
        told: &mut dyn FnMut(usize, Appended),
    ) -> Result<()> {
        let capabilities = self.capabilities().await?.clone();
        self.drain().await?;
        self.allow(messages.len() as u64 * 4);
        self.wire.doing = format!("storing messages in {}", said(raw));
        self.tell(2, || format!("> APPEND of {} messages to {}", messages.len(), said(raw)));
        if messages.len() > 1 && capabilities.has("MULTIAPPEND") {
            let done = self.append_together(raw, messages, &capabilities).await?;
            if done.outcome == StatusResponse::Ok {
                let uids = new_uids(&done, messages.len());
                (0..messages.len()).for_each(|at| told(at, Appended::Done(uids.get(at).copied())));
                return Ok(());
            }
            // All or none were stored (RFC 3502 section 6.3.11): one by one it shows which are not taken.
        }
        if messages.iter().all(|message| capabilities.takes_literal_at_once(size_of(message))) {
            return self.append_ahead(raw, messages, &capabilities, told).await;
        }
        for (at, message) in messages.iter().enumerate() {
            let done = self.append_together(raw, std::slice::from_ref(message), &capabilities).await?;
            told(at, appended(&done)?);
        }
        Ok(())
    }

    /// One command for all of them.
    async fn append_together(
        &mut self,
        raw: &[u8],
        messages: &[NewMessage],
        capabilities: &Capabilities,
    ) -> Result<Condition> {
        let tag = self.tag();
        if let Some(done) = self.name(raw, tag, capabilities).await? {
            return Ok(done);
        }
        for (at, message) in messages.iter().enumerate() {
            // The server asks for the last one once it has all others, and all or none are stored: of a client that is killed,
            // it has nothing to do for long.
            let waits = messages.len() > 1 && at + 1 == messages.len();
            let at_once = !waits && capabilities.takes_literal_at_once(size_of(message));
            if let Some(done) = self.one(message, tag, capabilities, at_once).await? {
                return Ok(done);
            }
        }
        self.wire.queue(b"\r\n");
        loop {
            match self.event(wire::Bodies::Discard).await? {
                Event::Done(_, done) => return Ok(done),
                Event::Continue(_) => return Err(self.unexpected("a continuation that nobody waits for")),
                _ => {}
            }
        }
    }

    /// A command for each, sent ahead of the answers.
    async fn append_ahead(
        &mut self,
        raw: &[u8],
        messages: &[NewMessage],
        capabilities: &Capabilities,
        told: &mut dyn FnMut(usize, Appended),
    ) -> Result<()> {
        let mut tags: VecDeque<(u64, usize)> = VecDeque::new();
        for (at, message) in messages.iter().enumerate() {
            let tag = self.tag();
            tags.push_back((tag, at));
            self.name(raw, tag, capabilities).await?;
            self.one(message, tag, capabilities, true).await?;
            self.wire.queue(b"\r\n");
        }
        while !tags.is_empty() {
            if let Event::Done(tag, done) = self.event(wire::Bodies::Discard).await?
                && let Some(which) = tags.iter().position(|(sent, _)| *sent == tag)
                && let Some((_, at)) = tags.remove(which)
            {
                told(at, appended(&done)?);
            }
        }
        Ok(())
    }

    /// The word and the name of the mailbox. `Some` if the server ends the command there.
    async fn name(&mut self, raw: &[u8], tag: u64, capabilities: &Capabilities) -> Result<Option<Condition>> {
        for part in Command::new("APPEND").string(raw, self.is_utf8).parts() {
            match part {
                Part::Text(text) => self.wire.queue(text),
                Part::Literal(bytes) => {
                    if let Some(done) =
                        self.announce("", bytes.len(), tag, capabilities.takes_literal_at_once(bytes.len())).await?
                    {
                        return Ok(Some(done));
                    }
                    self.wire.queue(bytes);
                }
            }
        }
        Ok(None)
    }

    /// Flags, date and bytes of a message. `Some` if the server ends the command there.
    async fn one(
        &mut self,
        message: &NewMessage,
        tag: u64,
        capabilities: &Capabilities,
        at_once: bool,
    ) -> Result<Option<Condition>> {
        let flags = message.flags.join(" ");
        let date = message.received.and_then(internal_date).map(|date| format!(" \"{date}\"")).unwrap_or_default();
        let form = Form::of(&message.content, self.is_utf8, capabilities);
        let (before, after) = match form {
            Form::Plain => ("", ""),
            Form::Binary => ("~", ""),
            Form::Utf8 => ("UTF8 (~", ")"),
        };
        self.wire.queue(format!(" ({flags}){date} ").as_bytes());
        if let Some(done) = self.announce(before, size_of(message), tag, at_once).await? {
            return Ok(Some(done));
        }
        match &message.content {
            Content::Bytes(bytes) => self.wire.queue(bytes),
            Content::Read(source, size) => {
                let mut part = vec![0; PART];
                let mut done = 0;
                while done < *size {
                    let most = usize::try_from(*size - done).unwrap_or(PART).min(PART);
                    let count = source.read_at(&mut part[..most], done).map_err(Error::spool)?;
                    if count == 0 {
                        return Err(Error::spool(std::io::ErrorKind::UnexpectedEof.into()));
                    }
                    self.wire.queue(&part[..count]);
                    self.wire.flush().await?;
                    done += count as u64;
                }
            }
        }
        self.wire.queue(after.as_bytes());
        Ok(None)
    }

    /// Announces a literal, and waits until the server wants it where it has to be asked.
    async fn announce(&mut self, before: &str, size: usize, tag: u64, at_once: bool) -> Result<Option<Condition>> {
        self.wire.queue(format!("{before}{{{size}{}}}\r\n", if at_once { "+" } else { "" }).as_bytes());
        if at_once { Ok(None) } else { self.wait_for_more(tag).await }
    }
}

/// How a message is sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Form {
    Plain,
    /// With a NUL in it (RFC 3516 section 4.4): others lose it, or the message.
    Binary,
    /// With a header in UTF-8 (RFC 6855 section 4).
    Utf8,
}

impl Form {
    fn of(content: &Content, is_utf8: bool, capabilities: &Capabilities) -> Form {
        let Content::Bytes(bytes) = content else { return Form::Plain };
        let has_nul = || memchr(0, bytes).is_some();
        let head = || memmem::find(bytes, b"\n\r\n").map_or(&bytes[..], |end| &bytes[..end]);
        match () {
            () if is_utf8 && !head().is_ascii() && std::str::from_utf8(head()).is_ok() => Form::Utf8,
            () if capabilities.has("BINARY") && has_nul() => Form::Binary,
            () => Form::Plain,
        }
    }
}

fn size_of(message: &NewMessage) -> usize {
    usize::try_from(message.content.size()).unwrap_or(usize::MAX)
}

/// What APPENDUID says of so many new messages; nothing if it does not say it of each.
fn new_uids(done: &Condition, count: usize) -> Vec<NewUid> {
    let [validity, set] = done.values.as_slice() else { return Vec::new() };
    let (Ok(validity), Some(uids)) = (validity.parse(), UidSet::in_order(set.as_bytes(), count)) else {
        return Vec::new();
    };
    let new = |uid| NewUid { validity, uid };
    if done.code == "APPENDUID" { uids.into_iter().map(new).collect() } else { Vec::new() }
}

/// What the answer to a command that stores a message says.
///
/// # Errors
/// One that concerns the connection.
pub(super) fn appended(done: &Condition) -> Result<Appended> {
    if done.outcome == StatusResponse::Ok {
        return Ok(Appended::Done(new_uids(done, 1).first().copied()));
    }
    let why = done.reason();
    let text = done.text.to_ascii_lowercase();
    match done.code.as_str() {
        "OVERQUOTA" => Ok(Appended::Full(why)),
        _ if text.contains("quota") => Ok(Appended::Full(why)),
        "UNAVAILABLE" | "INUSE" | "SERVERBUG" => Ok(Appended::Later(why)),
        _ if done.fault(Purpose::Other).is_worth_a_retry() => {
            Err(done.error(Purpose::Other, "the server refused to store a message"))
        }
        _ => Ok(Appended::Refused(why)),
    }
}
