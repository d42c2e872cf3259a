//! The mailboxes of an account: LIST with all that servers can tell at once, and what to do where they cannot.

use super::client::{Client, Event};
use super::command::Command;
use super::error::{Error, Fault, Result};
use super::refusal::Purpose;
use super::response::{Condition, Data, FolderStatus, Listed, Namespaces, StatusResponse, decode_name};
use super::wire::{self, Transport};
use crate::model::roles::{self, Candidate};
use crate::net::sanitize::printable;
use std::collections::{HashMap, VecDeque};

/// The most bytes of names and attributes of all mailboxes together.
const MOST_BYTES: usize = 64 << 20;

/// STATUS commands that are sent ahead.
const STATUS_DEPTH: usize = 64;

/// A mailbox of the account.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Folder {
    /// Its line in the list: the raw name, the delimiter, the attributes.
    pub listed: Listed,
    /// Its whole name, decoded; `INBOX` whatever the server's case. It may hold anything: it is no path.
    pub name: String,
    /// True also where the server does not say.
    pub is_subscribed: bool,
    /// Its state, if it was asked for and the server told.
    pub status: Option<FolderStatus>,
    /// Why there is no status: the server's words.
    pub refusal: Option<String>,
}

impl Folder {
    /// False for a name that only has others below it.
    pub fn is_selectable(&self) -> bool {
        !self.listed.has("\\Noselect") && !self.listed.has("\\NonExistent")
    }
}

impl Namespaces {
    /// A name without the prefix that all mailboxes of the user have (`INBOX.`).
    pub fn without_prefix<'n>(&self, name: &'n str) -> &'n str {
        let prefixes = self.personal.iter().map(|namespace| namespace.prefix.as_str());
        prefixes.filter(|prefix| !prefix.is_empty()).find_map(|prefix| name.strip_prefix(prefix)).unwrap_or(name)
    }
}

/// The role of each mailbox (RFC 6154): by its attributes, and `by_names` else by its name.
pub fn roles_of(folders: &[Folder], namespaces: &Namespaces, by_names: bool) -> Vec<Option<&'static str>> {
    let path = |folder: &Folder| {
        let name = namespaces.without_prefix(&folder.name);
        folder.listed.delimiter.map_or_else(|| name.to_owned(), |delimiter| name.replace(delimiter, "/"))
    };
    let paths: Vec<String> = folders.iter().map(path).collect();
    let attributes: Vec<Vec<&str>> =
        folders.iter().map(|folder| folder.listed.attributes.iter().map(String::as_str).collect()).collect();
    let candidates: Vec<Candidate<'_>> =
        paths.iter().zip(&attributes).map(|(path, attributes)| Candidate { path, attributes }).collect();
    roles::assign(&candidates, by_names)
}

/// Folders as they come in.
#[derive(Default)]
struct Found {
    folders: Vec<Folder>,
    places: HashMap<Vec<u8>, usize>,
    bytes: usize,
}

impl Found {
    fn place(&self, raw: &[u8]) -> Option<usize> {
        self.places.get(key(raw).as_slice()).copied()
    }

    fn add(&mut self, listed: Listed, is_utf8: bool) -> Result<()> {
        if listed.raw.is_empty() {
            return Ok(());
        }
        self.bytes += 200 + listed.raw.len() * 3 + listed.attributes.iter().map(|text| text.len() + 24).sum::<usize>();
        if self.bytes > MOST_BYTES {
            return Err(Error::new(Fault::Protocol, "the server lists more mailboxes than fit into memory"));
        }
        match self.place(&listed.raw) {
            // The same name twice, as servers with several namespaces do: what either line says holds.
            Some(at) => {
                let known = &mut self.folders[at].listed;
                for attribute in listed.attributes {
                    if !known.has(&attribute) {
                        known.attributes.push(attribute);
                    }
                }
            }
            None => {
                let is_inbox = listed.raw.eq_ignore_ascii_case(b"INBOX");
                let name = if is_inbox { "INBOX".to_owned() } else { decode_name(&listed.raw, is_utf8) };
                self.places.insert(key(&listed.raw), self.folders.len());
                self.folders.push(Folder { listed, name, ..Folder::default() });
            }
        }
        Ok(())
    }
}

/// What tells mailboxes apart: INBOX has no case.
fn key(raw: &[u8]) -> Vec<u8> {
    if raw.eq_ignore_ascii_case(b"INBOX") { b"INBOX".to_vec() } else { raw.to_vec() }
}

impl<S: Transport> Client<S> {
    /// All mailboxes, with subscription and special use, and `with_status` with their state: in one round trip where
    /// the server has LIST-EXTENDED and LIST-STATUS (RFC 5258, RFC 5819), else with LSUB and pipelined STATUS commands.
    ///
    /// MAILBOXID (RFC 8474) is not asked for: Cyrus 3.6 answers it in STATUS with memory that it has freed, which may
    /// hold anything, a line end too. EXAMINE tells it ([`super::Selected::mailbox_id`]).
    ///
    /// # Errors
    /// A refused LIST. A mailbox whose STATUS is refused is listed with the [`Folder::refusal`].
    pub async fn folders(&mut self, with_status: bool) -> Result<Vec<Folder>> {
        let capabilities = self.capabilities().await?.clone();
        self.wire.doing = "listing the mailboxes".to_owned();
        let mut found = Found::default();
        let mut knows_subscriptions = false;
        let mut has_status = false;
        if capabilities.has("LIST-EXTENDED") {
            has_status = with_status && capabilities.has("LIST-STATUS");
            let special = if capabilities.has("SPECIAL-USE") { " SPECIAL-USE" } else { "" };
            let status = if has_status { format!(" STATUS {}", self.status_items()) } else { String::new() };
            let command = format!("LIST \"\" \"*\" RETURN (SUBSCRIBED CHILDREN{special}{status})");
            let done = self.run(Command::new(command), 0, |client, event| take(client, event, &mut found)).await?;
            knows_subscriptions = done.outcome == StatusResponse::Ok;
            let error = done.error(Purpose::Other, "the server refused to list its mailboxes");
            if !knows_subscriptions && error.fault.is_worth_a_retry() {
                return Err(error);
            }
        }
        if !knows_subscriptions {
            (found, has_status) = (Found::default(), false);
            let done =
                self.run(Command::new("LIST \"\" \"*\""), 0, |client, event| take(client, event, &mut found)).await?;
            self.ok(done, Purpose::Other, "the server refused to list its mailboxes")?;
            let mut subscribed = Found::default();
            let lsub = Command::new("LSUB \"\" \"*\"");
            let done = self.run(lsub, 0, |client, event| take(client, event, &mut subscribed)).await?;
            for folder in &mut found.folders {
                folder.is_subscribed =
                    done.outcome != StatusResponse::Ok || subscribed.place(&folder.listed.raw).is_some();
            }
        } else {
            for folder in &mut found.folders {
                folder.is_subscribed = folder.listed.has("\\Subscribed");
            }
        }
        let mut folders = found.folders;
        if with_status && !has_status {
            self.statuses(&mut folders).await?;
        } else if with_status {
            // Some servers leave out a status that takes them long: these are asked for one by one.
            self.missing_statuses(&mut folders).await?;
        }
        Ok(folders)
    }

    fn status_items(&self) -> String {
        let modseq = if self.capabilities.as_ref().is_some_and(|c| c.has_condstore()) { " HIGHESTMODSEQ" } else { "" };
        format!("(MESSAGES UIDNEXT UIDVALIDITY{modseq})")
    }

    async fn missing_statuses(&mut self, folders: &mut [Folder]) -> Result<()> {
        let is_missing = |folder: &Folder| folder.is_selectable() && folder.status.is_none();
        if folders.iter().any(is_missing) {
            let mut missing: Vec<Folder> = folders.iter().filter(|folder| is_missing(folder)).cloned().collect();
            self.statuses(&mut missing).await?;
            let mut missing = missing.into_iter();
            for folder in folders.iter_mut().filter(|folder| is_missing(folder)) {
                if let Some(asked) = missing.next() {
                    *folder = asked;
                }
            }
        }
        Ok(())
    }

    /// Asks for the state of these mailboxes, many commands at once. Those that cannot be selected are left out.
    ///
    /// # Errors
    /// Only those that concern the connection. A refusal stands in [`Folder::refusal`].
    pub async fn statuses(&mut self, folders: &mut [Folder]) -> Result<()> {
        let capabilities = self.capabilities().await?.clone();
        self.drain().await?;
        self.allow(folders.len() as u64);
        self.wire.doing = "asking for the state of mailboxes".to_owned();
        let places: HashMap<Vec<u8>, usize> =
            folders.iter().enumerate().map(|(at, folder)| (key(&folder.listed.raw), at)).collect();
        let items = self.status_items();
        let mut waiting: VecDeque<(u64, usize)> = VecDeque::new();
        let mut stray = None;
        let mut next = 0;
        while next < folders.len() || !waiting.is_empty() {
            while next < folders.len() && waiting.len() < STATUS_DEPTH {
                let folder = &folders[next];
                if folder.is_selectable() {
                    let command = self.status_command(&folder.listed.raw, &items);
                    if command.can_be_pipelined(&capabilities) {
                        waiting.push_back((self.send(&command, 1), next));
                    } else if waiting.is_empty() {
                        // A name that has to be announced: it goes alone.
                        self.status_alone(&mut folders[next], command).await?;
                    } else {
                        break;
                    }
                }
                next += 1;
            }
            if waiting.is_empty() {
                continue;
            }
            match self.event(wire::Bodies::Discard).await? {
                Event::Data(Data::Status(raw, status)) => match places.get(key(&raw).as_slice()) {
                    Some(&at) => folders[at].status = Some(status),
                    // A name in another spelling than that of the list: it belongs to the command that ends next.
                    None => stray = Some(status),
                },
                Event::Done(tag, done) => {
                    let Some(place) = waiting.iter().position(|&(sent, _)| sent == tag) else { continue };
                    let stray = stray.take();
                    if let Some((_, at)) = waiting.remove(place) {
                        finish_status(&mut folders[at], stray, done)?;
                    }
                }
                _ => {}
            }
        }
        Ok(())
    }

    /// The states of mailboxes, each given by its raw and its decoded name, in their order; `None` for one whose state the
    /// server does not tell.
    pub async fn states_of(&mut self, names: &[(Vec<u8>, String)]) -> Result<Vec<Option<FolderStatus>>> {
        let folder = |(raw, name): &(Vec<u8>, String)| {
            let listed = Listed { raw: raw.clone(), ..Listed::default() };
            Folder { listed, name: name.clone(), ..Folder::default() }
        };
        let mut folders: Vec<Folder> = names.iter().map(folder).collect();
        self.statuses(&mut folders).await?;
        Ok(folders.into_iter().map(|folder| folder.status).collect())
    }

    fn status_command(&self, raw: &[u8], items: &str) -> Command {
        Command::new("STATUS").string(raw, self.is_utf8).raw(" ").raw(items)
    }

    async fn status_alone(&mut self, folder: &mut Folder, command: Command) -> Result<()> {
        let mut found = None;
        let done = self
            .run(command, 1, |_, event| {
                if let Event::Data(Data::Status(_, status)) = event {
                    found = Some(status);
                }
                Ok(())
            })
            .await?;
        finish_status(folder, found, done)
    }
}

fn finish_status(folder: &mut Folder, status: Option<FolderStatus>, done: Condition) -> Result<()> {
    if folder.status.is_none() {
        folder.status = status;
    }
    if done.outcome != StatusResponse::Ok {
        let error = done.error(Purpose::Other, "the server refused the state of a mailbox");
        if error.fault.is_worth_a_retry() {
            return Err(error);
        }
        folder.refusal = Some(printable(done.text.as_bytes()));
    } else if folder.status.is_none() {
        folder.refusal = Some("the server did not tell".to_owned());
    }
    Ok(())
}

fn take<S: Transport>(client: &mut Client<S>, event: Event, found: &mut Found) -> Result<()> {
    match event {
        Event::Data(Data::List(listed) | Data::Lsub(listed)) => found.add(listed, client.is_utf8),
        Event::Data(Data::Status(raw, status)) => {
            if let Some(at) = found.place(&raw) {
                found.folders[at].status = Some(status);
            }
            Ok(())
        }
        _ => Ok(()),
    }
}
