//! The heart of the client: commands in flight, and what a server says without being asked.

use super::capability::Capabilities;
use super::command::{Command, Part};
use super::error::{Error, Fault, Result};
use super::parser::{Assembler, Limits};
use super::refusal::Purpose;
use super::response::{Condition, Data, Reply, StatusResponse};
use super::wire::{self, Transport, Wire};
pub(crate) use crate::net::endpoint::Security;
use crate::net::log::Log;
use crate::net::sanitize::printable;
use std::collections::VecDeque;
use std::io;
use std::path::PathBuf;
use std::time::Duration;
use tokio::time;

/// The most notices that are kept until [`Client::take_notices`] is called.
const MOST_NOTICES: usize = 20;

/// How a client behaves.
#[derive(Clone)]
pub struct Options {
    /// [`Security::Implicit`] also once STARTTLS succeeded: the line is encrypted.
    pub security: Security,
    /// How long the server may stay silent while something is asked of it.
    pub timeout: Duration,
    /// How much of an answer is accepted.
    pub limits: Limits,
    /// Where bodies that are too large for memory go, as unnamed files. `None`: the system's folder for such.
    pub spool: Option<PathBuf>,
    /// Takes the lines of `--verbose`.
    pub log: Option<Log>,
}

impl Options {
    /// The usual limits and a timeout of 60 s.
    pub fn new(security: Security) -> Options {
        Options { security, timeout: Duration::from_secs(60), limits: Limits::default(), spool: None, log: None }
    }
}

/// What came in, with a condition for each command that ended.
#[derive(Debug)]
pub(super) enum Event {
    /// `+`, with its text.
    Continue(Vec<u8>),
    /// The end of the command with this number.
    Done(u64, Condition),
    Said(Condition),
    Data(Data),
}

/// A connection to an IMAP server.
///
/// Methods that return an error of class [`Fault::Refused`], [`Fault::Unwell`], [`Fault::Gone`], [`Fault::Forbidden`] or
/// [`Fault::Unsupported`] leave the connection usable; after any other class make a new one.
pub struct Client<S> {
    pub(super) wire: Wire<S>,
    assembler: Assembler,
    pub(super) security: Security,
    limits: Limits,
    pub(super) capabilities: Option<Capabilities>,
    /// How often the server has said its capabilities.
    pub(super) capability_news: u64,
    last_tag: u64,
    in_flight: VecDeque<u64>,
    /// A response was not read to its end: nothing can be told of what follows.
    is_broken: bool,
    /// Untagged lines that may still come.
    budget: u64,
    pub(super) is_leaving: bool,
    pub(super) is_preauthenticated: bool,
    /// Names and labels are UTF-8, no modified UTF-7.
    pub(super) is_utf8: bool,
    pub(super) has_qresync: bool,
    /// Messages in the open mailbox.
    pub(super) exists: u32,
    /// The name of the mailbox that is open, or was opened last, for messages.
    pub(super) open_name: String,
    notices: Vec<String>,
    /// Messages that this connection has handed over.
    pub(super) delivered: u64,
    log: Option<Log>,
}

impl<S: Transport> Client<S> {
    /// Takes the greeting of a server.
    ///
    /// # Errors
    /// [`Fault::Unsafe`] for a PREAUTH in clear: it may be the account of an attacker, and STARTTLS is not possible
    /// any more (RFC 9051 section 11.4). What [`Condition`] says if the server says goodbye.
    pub async fn connect(stream: S, options: Options) -> Result<Client<S>> {
        let limits = options.limits;
        let mut client = Client {
            wire: Wire::new(stream, options.timeout, limits, options.spool),
            assembler: Assembler::new(limits),
            security: options.security,
            limits,
            capabilities: None,
            capability_news: 0,
            last_tag: 0,
            in_flight: VecDeque::new(),
            is_broken: false,
            budget: limits.unasked,
            is_leaving: false,
            is_preauthenticated: false,
            is_utf8: false,
            has_qresync: false,
            exists: 0,
            open_name: String::new(),
            notices: Vec::new(),
            delivered: 0,
            log: options.log,
        };
        client.wire.doing = "waiting for the greeting".to_owned();
        match client.event(wire::Bodies::Discard).await? {
            Event::Said(said) if said.outcome == StatusResponse::PreAuth && client.security != Security::Implicit => {
                Err(Error::new(Fault::Unsafe, "the server says that this unencrypted connection is already logged in (PREAUTH), so STARTTLS is impossible")
                    .hint("use an imaps:// address"))
            }
            Event::Said(said) if matches!(said.outcome, StatusResponse::Ok | StatusResponse::PreAuth) => {
                client.is_preauthenticated = said.outcome == StatusResponse::PreAuth;
                Ok(client)
            }
            _ => Err(Error::new(Fault::Protocol, "this is not an IMAP server")
                .hint("check host and port in --url")),
        }
    }

    /// True if the greeting said that the connection is authenticated already (PREAUTH, over TLS).
    pub fn is_preauthenticated(&self) -> bool {
        self.is_preauthenticated
    }

    /// What the server told the user meanwhile (ALERT), each as one line that does no harm to a terminal.
    pub fn take_notices(&mut self) -> Vec<String> {
        std::mem::take(&mut self.notices)
    }

    /// Waits half a second, for a server that is not well.
    pub async fn rest(&self) {
        time::sleep(Duration::from_millis(500)).await;
    }

    /// Notes that one thing is done that will not be asked again: if the line breaks later, all retries are there again.
    pub fn settled(&mut self) {
        self.delivered += 1;
    }

    /// True where names of mailboxes are UTF-8 (RFC 6855), no modified UTF-7.
    pub fn has_utf8(&self) -> bool {
        self.is_utf8
    }

    /// Messages in the open mailbox, as far as the server has told.
    pub fn exists(&self) -> u32 {
        self.exists
    }

    /// Bytes that came from the server, as they went over the stream.
    pub fn received(&self) -> u64 {
        self.wire.received
    }

    /// The capabilities; the server is asked if it has not said them since the last change of state.
    pub async fn capabilities(&mut self) -> Result<&Capabilities> {
        if self.capabilities.is_none() {
            self.wire.doing = "asking for the capabilities".to_owned();
            let done = self.run(Command::new("CAPABILITY"), 0, |_, _| Ok(())).await?;
            self.ok(done, Purpose::Other, "the server refused CAPABILITY")?;
        }
        Ok(self.capabilities.get_or_insert_default())
    }

    /// Asks nothing: keeps the connection alive, and lets the server say what is new.
    pub async fn noop(&mut self) -> Result<()> {
        self.wire.doing = "waiting for NOOP".to_owned();
        let done = self.run(Command::new("NOOP"), 0, |_, _| Ok(())).await?;
        self.ok(done, Purpose::Other, "the server refused NOOP")
    }

    /// Says goodbye and closes the connection. Whatever the server answers is well, and so is silence for 5 s.
    pub async fn logout(mut self) {
        self.is_leaving = true;
        self.wire.hurry(Duration::from_secs(5));
        self.wire.doing = "logging out".to_owned();
        if self.in_flight.is_empty() {
            let _ = self.run(Command::new("LOGOUT"), 0, |_, _| Ok(())).await;
        }
    }

    /// Sends a command, hands over what comes until it has ended, and gives how it ended. `expected` is the number of
    /// lines that it asks for.
    pub(super) async fn run(
        &mut self,
        command: Command,
        expected: u64,
        mut on: impl FnMut(&mut Client<S>, Event) -> Result<()>,
    ) -> Result<Condition> {
        self.drain().await?;
        self.allow(expected);
        let tag = self.tag();
        self.tell(2, || format!("> {}", command.shown()));
        for part in command.parts() {
            match part {
                Part::Text(text) => self.wire.queue(text),
                Part::Literal(bytes) => {
                    let at_once = self.capabilities.as_ref().is_some_and(|c| c.takes_literal_at_once(bytes.len()));
                    self.wire.queue(format!("{{{}{}}}\r\n", bytes.len(), if at_once { "+" } else { "" }).as_bytes());
                    if !at_once && let Some(done) = self.wait_for_more(tag).await? {
                        return Ok(done);
                    }
                    self.wire.queue(bytes);
                }
            }
        }
        self.wire.queue(b"\r\n");
        loop {
            match self.event(wire::Bodies::Discard).await? {
                Event::Done(_, done) => return Ok(done),
                Event::Continue(_) => return Err(self.unexpected("a continuation that nobody waits for")),
                event => on(self, event)?,
            }
        }
    }

    /// Waits until the server asks for the rest of a command; `Some` if it ends the command instead.
    pub(super) async fn wait_for_more(&mut self, tag: u64) -> Result<Option<Condition>> {
        loop {
            match self.event(wire::Bodies::Discard).await? {
                Event::Continue(_) => return Ok(None),
                Event::Done(done, condition) if done == tag => return Ok(Some(condition)),
                _ => {}
            }
        }
    }

    /// Sends a command without waiting for its end. It must be one that can be pipelined.
    pub(super) fn send(&mut self, command: &Command, expected: u64) -> u64 {
        self.budget = self.budget.saturating_add(expected);
        let tag = self.tag();
        self.tell(2, || format!("> {}", command.shown()));
        for part in command.parts() {
            match part {
                Part::Text(text) => self.wire.queue(text),
                Part::Literal(bytes) => {
                    self.wire.queue(format!("{{{}+}}\r\n", bytes.len()).as_bytes());
                    self.wire.queue(bytes);
                }
            }
        }
        self.wire.queue(b"\r\n");
        tag
    }

    /// Writes a line to the log of this level; `text` is called only if there is such a log.
    pub(super) fn tell(&self, level: u8, text: impl FnOnce() -> String) {
        if let Some(log) = &self.log {
            log.say(level, text);
        }
    }

    /// Begins a command with its tag and a space.
    pub(super) fn tag(&mut self) -> u64 {
        self.last_tag += 1;
        self.in_flight.push_back(self.last_tag);
        self.wire.queue(format!("V{} ", self.last_tag).as_bytes());
        self.last_tag
    }

    /// Sets how many untagged lines may come.
    pub(super) fn allow(&mut self, expected: u64) {
        self.budget = self.limits.unasked.saturating_add(expected);
    }

    /// Reads and discards what is left of the answers to commands that were given up.
    pub(super) async fn drain(&mut self) -> Result<()> {
        while !self.in_flight.is_empty() {
            self.event(wire::Bodies::Discard).await?;
        }
        Ok(())
    }

    /// Waits for the next response. What concerns the connection as a whole is dealt with here: capabilities, alerts,
    /// a goodbye, the number of messages.
    pub(super) async fn event(&mut self, bodies: wire::Bodies) -> Result<Event> {
        if self.is_broken {
            let cause = io::Error::new(io::ErrorKind::ConnectionAborted, "it was given up in the middle of an answer");
            return Err(Error::lost(&self.wire.doing, cause));
        }
        self.is_broken = true;
        self.wire.response(&mut self.assembler, bodies).await?;
        let event = match Reply::read(self.assembler.tree(), self.is_utf8) {
            Reply::Continue(text) => Event::Continue(text),
            Reply::Done(tag, condition) => {
                self.take_code(&condition);
                self.tell(2, || format!("< {:?} {}", condition.outcome, printable(condition.text.as_bytes())));
                Event::Done(self.ended(&tag)?, condition)
            }
            Reply::Said(said) => {
                self.count()?;
                self.take_code(&said);
                if said.outcome == StatusResponse::Bye && !self.is_leaving {
                    return Err(
                        said.error(Purpose::Other, &format!("the server said goodbye while {}", self.wire.doing))
                    );
                }
                Event::Said(said)
            }
            Reply::Data(data) => {
                self.count()?;
                self.tell(3, || format!("< {}", printable(format!("{data:?}").as_bytes())));
                match &data {
                    Data::Capability(words) => self.offer(words),
                    Data::Exists(number) => self.exists = *number,
                    Data::Expunge => self.exists = self.exists.saturating_sub(1),
                    Data::Vanished { is_earlier: false, set } => {
                        self.exists = self.exists.saturating_sub(u32::try_from(set.len()).unwrap_or(u32::MAX));
                    }
                    _ => {}
                }
                Event::Data(data)
            }
        };
        self.is_broken = false;
        Ok(event)
    }

    /// The number of the command that a tag ends.
    fn ended(&mut self, tag: &[u8]) -> Result<u64> {
        let number = tag.strip_prefix(b"V").and_then(|digits| std::str::from_utf8(digits).ok()?.parse().ok());
        let at = number.and_then(|number: u64| self.in_flight.iter().position(|&tag| tag == number));
        match at.and_then(|at| self.in_flight.remove(at)) {
            Some(number) => Ok(number),
            None => Err(self.unexpected(&format!("an answer to a command that was not sent ({})", printable(tag)))),
        }
    }

    fn count(&mut self) -> Result<()> {
        if self.budget == 0 {
            return Err(self.unexpected("far more lines than were asked for"));
        }
        self.budget -= 1;
        Ok(())
    }

    fn take_code(&mut self, condition: &Condition) {
        match condition.code.as_str() {
            "CAPABILITY" => self.offer(&condition.values),
            "ALERT" if self.notices.len() < MOST_NOTICES => {
                let notice = printable(condition.text.as_bytes());
                if !self.notices.contains(&notice) {
                    self.notices.push(notice);
                }
            }
            _ => {}
        }
    }

    fn offer(&mut self, words: &[String]) {
        self.capabilities = Some(Capabilities::new(words.iter().cloned()));
        self.capability_news += 1;
    }

    pub(super) fn unexpected(&self, what: &str) -> Error {
        Error::new(Fault::Protocol, format!("the server sent {what} while {}", self.wire.doing))
    }

    /// Success, or the error of a refusal.
    pub(super) fn ok(&self, done: Condition, purpose: Purpose, what: &str) -> Result<()> {
        match done.outcome {
            StatusResponse::Ok => Ok(()),
            _ => Err(done.error(purpose, what)),
        }
    }
}
