//! An account on an IMAP server.
//!
//! ```text
//!   folders    names, hierarchy, roles, filters          look       what is in a mailbox, or what changed
//!   cursor     how a mailbox was the last time           rev        which message is which
//!   download   messages, over all connections            crew       the connections
//! ```
//!
//! One LIST with STATUS tells which mailboxes changed; only these are opened. A message is known by UIDVALIDITY and UID;
//! what a message is beyond that is in its revision, so a mailbox that was renamed or numbered anew costs no download.

mod cursor;
mod download;
mod folders;
mod look;
pub(crate) mod options;
mod pool;
mod rev;

use super::{Cursors, DuplicateRule, Items, Listing, Promises, Scope, Source};
use crate::error::{Error, ErrorKind, Result};
use crate::model::container::Container;
use crate::model::roles;
use crate::model::{Attrs, Entry, KnownBy, ObjectType, SkipKind, SkippedItem, SourceIdent};
use crate::net::account::Account;
use crate::net::sanitize::said;
use cursor::Cursor;
use download::{Download, FetchRequest};
use folders::Folder;
use look::{ListRequest, ListResult};
pub use options::ImapOptions;
use pool::{ConnectionConfig, Crew};
use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::sync::mpsc::Receiver;

/// An account on one server.
pub struct Imap {
    ident: SourceIdent,
    account: Account,
    options: ImapOptions,
    /// Downloads that have begun before they were asked for, in the order in which they will be: the mailbox, and the keys
    /// of the messages. They have to go before the crew does, whose threads may wait for room in them.
    prefetched: VecDeque<(String, Vec<Box<str>>, Download)>,
    crew: Crew,
    folders: Vec<Folder>,
    is_gmail: bool,
    /// Listings that are under way, by key of the mailbox.
    announced: HashMap<String, Receiver<Result<ListResult>>>,
    /// Under which UIDVALIDITY a mailbox was listed in this run.
    validities: HashMap<String, u32>,
}

impl Imap {
    /// An account. Nothing is asked of the server yet.
    pub fn new(account: Account, options: ImapOptions) -> Imap {
        let user = account.credentials.user().to_owned();
        let recipe =
            ConnectionConfig { account: account.clone(), compress: options.compress, spool: options.spool.clone() };
        Imap {
            ident: SourceIdent {
                kind: "imap",
                session_url: account.connector.endpoint().origin.clone(),
                account_id: user.clone(),
                account_name: Some(user.clone()),
                username: user,
            },
            crew: Crew::new(recipe, options.connections.clamp(1, 8)),
            account,
            options,
            folders: Vec::new(),
            is_gmail: false,
            announced: HashMap::new(),
            prefetched: VecDeque::new(),
            validities: HashMap::new(),
        }
    }

    fn folder(&self, key: &str) -> Result<&Folder> {
        let found = self.folders.iter().find(|folder| folder.key == key);
        found.ok_or_else(|| Error::new(ErrorKind::NotFound, format!("there is no mailbox {key:?}")))
    }

    /// Asks for the state of the mailboxes that this run takes, and of no other. What is not told is found out when the
    /// mailbox is opened.
    fn ask_states(&mut self) -> Result<()> {
        let taken: Vec<(Vec<u8>, String)> = self
            .folders
            .iter()
            .filter(|folder| folder.is_selected)
            .map(|folder| (folder.raw.clone(), folder.name.clone()))
            .collect();
        let answer = self.crew.ask(move |runtime, session| {
            let mut is_first = true;
            runtime.run(session.ask(async |client| match std::mem::take(&mut is_first) {
                true => client.states_of(&taken).await,
                // The server broke off.
                false => Ok(vec![None; taken.len()]),
            }))
        });
        let states = answer.recv().map_err(|_| no_answer())??;
        let selected = self.folders.iter_mut().filter(|folder| folder.is_selected);
        selected.zip(states).for_each(|(folder, state)| folder.status = state);
        Ok(())
    }

    fn question(&self, scope: &Scope, cursor: &str) -> Result<ListRequest> {
        Ok(ListRequest {
            raw: self.folder(&scope.key)?.raw.clone(),
            key: scope.key.clone(),
            cursor: Cursor::parse(cursor, self.options.include_deleted),
            include_deleted: self.options.include_deleted,
        })
    }

    /// True if the mailbox need not be opened: nothing changed since the cursor.
    fn is_current(&self, scope: &Scope, cursor: &str) -> bool {
        let status = self.folder(&scope.key).ok().and_then(|folder| folder.status.as_ref());
        let cursor = Cursor::parse(cursor, self.options.include_deleted);
        cursor.zip(status).is_some_and(|(cursor, status)| cursor.is_current(status))
    }

    fn submit(&mut self, question: ListRequest) -> Receiver<Result<ListResult>> {
        self.crew.ask(move |runtime, session| runtime.run(look::look(session, &question)))
    }

    /// Begins to download.
    fn download(&mut self, scope: &Scope, entries: Vec<Entry>) -> Result<Download> {
        let connector = self.account.connector.clone();
        let order = FetchRequest {
            raw: self.folder(&scope.key)?.raw.clone(),
            uid_validity: self.validities.get(&scope.key).copied().unwrap_or_default(),
            entries,
            ahead: self.options.fetch_batch.clamp(1, 10_000),
            log: Arc::new(move |text| connector.log(0, || text.clone())),
        };
        Ok(download::start(&mut self.crew, order))
    }

    /// Labels that no mailbox shows (Gmail lets the user hide a label from IMAP): they become mailboxes all the same.
    fn file_hidden_labels(&self, looked: &mut ListResult) {
        let is_shown = |label: &str| self.folders.iter().any(|folder| folder.name == label);
        let mut made: HashMap<(Vec<String>, Vec<String>), Arc<Attrs>> = HashMap::new();
        for entry in &mut looked.listing.entries {
            let uid = look::uid_in(&entry.key);
            let labels = looked.labels.get(&uid).into_iter().flatten();
            let mut hidden: Vec<String> = labels
                .filter(|label| !label.starts_with('\\') && !is_shown(label) && self.options.filter.selects(label))
                .cloned()
                .collect();
            if hidden.is_empty() {
                continue;
            }
            hidden.sort_unstable();
            let attrs = made.entry((entry.attrs.keywords.clone(), hidden.clone())).or_insert_with(|| {
                let mut parents = entry.attrs.parents.clone();
                parents.extend(hidden.iter().cloned());
                parents.sort_unstable();
                Arc::new(Attrs { of: ObjectType::Mailbox, keywords: entry.attrs.keywords.clone(), parents })
            });
            for label in &hidden {
                add_label(&mut looked.listing.containers, label);
            }
            entry.attrs = Arc::clone(attrs);
        }
    }
}

/// The mailbox of a label, with those that it lies in.
fn add_label(containers: &mut Vec<Container>, label: &str) {
    let mut parent: Option<String> = None;
    for (end, _) in label.match_indices('/').chain([(label.len(), "")]) {
        let key = &label[..end];
        if !containers.iter().any(|container| container.key == key) {
            let name = key.rsplit('/').next().unwrap_or(key);
            let container = Container::new(ObjectType::Mailbox, key, parent.clone(), name);
            containers.push(Container { is_subscribed: false, ..container });
        }
        parent = Some(key.to_owned());
    }
}

/// The error for a job without an answer: its thread could not begin.
fn no_answer() -> Error {
    Error::new(ErrorKind::Storage, "cannot set up the network")
}

impl Source for Imap {
    fn ident(&self) -> &SourceIdent {
        &self.ident
    }

    fn promises(&self) -> Promises {
        Promises {
            join: if self.is_gmail { DuplicateRule::SameContent } else { DuplicateRule::Never },
            is_additive: false,
            cursors: Cursors::ServerState,
            has_lasting_account_id: false,
            lists_only_ids: &[],
            recognised_by: "under the same UIDVALIDITY and UID, and with the same size",
        }
    }

    fn is_whole(&self, _listing: &Listing) -> bool {
        true
    }

    fn scopes(&mut self) -> Result<(Vec<Scope>, Vec<Container>)> {
        let takes_all = self.options.takes_all();
        let answer = self.crew.ask(move |runtime, session| {
            // One mailbox may be what a server breaks off at when it is asked for the state of all.
            let mut with_status = takes_all;
            runtime.run(session.ask(async |client| {
                let folders = client.folders(std::mem::take(&mut with_status)).await?;
                let is_gmail = client.capabilities().await?.has("X-GM-EXT-1");
                Ok((folders, client.namespaces().await?, is_gmail))
            }))
        });
        let (listed, namespaces, is_gmail) = answer.recv().map_err(|_| no_answer())??;
        if listed.is_empty() {
            return Err(Error::new(
                ErrorKind::Connection,
                "the server lists no mailbox, not even INBOX; nothing was changed",
            )
            .hint("try again later, or ask the administrator of the server"));
        }
        self.is_gmail = is_gmail;
        self.folders = folders::arrange(listed, &namespaces, &self.options);
        let selectable = self.folders.iter().filter(|folder| folder.is_selectable);
        let names: Vec<&str> = selectable.clone().map(|folder| folder.name.as_str()).collect();
        if !self.folders.iter().any(|folder| folder.is_selected) {
            return Err(self.options.filter.nothing_selected(&names, "on the server"));
        }
        let is_role = |name: &&String| {
            roles::by_attribute(&format!("\\{}", name.trim_start_matches('\\'))).is_some()
                || name.eq_ignore_ascii_case("inbox")
        };
        for name in self.options.exclude_special.iter().filter(|name| !is_role(name)) {
            self.account.connector.log(0, || {
                format!("warning: --exclude-special {name}: there is no such role; the roles are all, archive, drafts, flagged, important, inbox, junk, sent and trash")
            });
        }
        if !takes_all {
            self.ask_states()?;
        }
        let selectable = self.folders.iter().filter(|folder| folder.is_selectable);
        let scopes = selectable
            .map(|folder| Scope { key: folder.key.clone(), kind: ObjectType::Email, selected: folder.is_selected })
            .collect();
        Ok((scopes, folders::containers(&self.folders)))
    }

    fn hides(&self, kind: ObjectType, key: &str) -> bool {
        kind == ObjectType::Email && !self.options.filter.selects(key)
    }

    fn names_containers(&self, _kind: ObjectType) -> bool {
        true
    }

    fn announce(&mut self, scopes: &[(Scope, String)]) {
        for (scope, cursor) in
            scopes.iter().filter(|(scope, cursor)| !self.is_current(scope, cursor)).collect::<Vec<_>>()
        {
            if let Ok(question) = self.question(scope, cursor) {
                let answer = self.submit(question);
                self.announced.insert(scope.key.clone(), answer);
            }
        }
    }

    fn list(&mut self, scope: &Scope, cursor: &str) -> Result<Listing> {
        if self.is_current(scope, cursor) {
            return Ok(Listing { unchanged: true, cursor: cursor.to_owned(), ..Listing::default() });
        }
        let answer = match self.announced.remove(&scope.key) {
            Some(answer) => answer,
            None => {
                let question = self.question(scope, cursor)?;
                self.submit(question)
            }
        };
        let mut looked = answer.recv().map_err(|_| no_answer())??;
        if let Some(why) = looked.absent {
            // The server still lists its name, so the archive keeps what it has of it.
            let omission = SkippedItem {
                kind: ObjectType::Mailbox,
                reason: "in the server's list, and not there when it is opened".to_owned(),
                position: format!("{}: {why}", said(scope.key.as_bytes())),
                outcome: SkipKind::Skipped,
            };
            let cursor = cursor.to_owned();
            return Ok(Listing { unchanged: true, cursor, omissions: vec![omission], ..Listing::default() });
        }
        self.file_hidden_labels(&mut looked);
        let before = Cursor::parse(cursor, self.options.include_deleted);
        if before.is_some_and(|before| before.uid_validity != looked.uid_validity) {
            let name = said(scope.key.as_bytes());
            self.account.connector.log(0, || {
                format!("the server gave new numbers (UIDVALIDITY) to the messages of {name}: comparing them")
            });
        }
        if looked.uid_validity == 0 {
            let name = said(scope.key.as_bytes());
            self.account.connector.log(0, || {
                format!("the server gives no UIDVALIDITY for {name}: the whole folder is compared in each run")
            });
        }
        self.validities.insert(scope.key.clone(), looked.uid_validity);
        Ok(looked.listing)
    }

    fn prefetch(&mut self, scope: &Scope, entries: &[Entry]) {
        if !entries.is_empty()
            && let Ok(download) = self.download(scope, entries.to_vec())
        {
            let keys = entries.iter().map(|entry| entry.key.clone()).collect();
            self.prefetched.push_back((scope.key.clone(), keys, download));
        }
    }

    fn fetch<'a>(&'a mut self, scope: &Scope, entries: Vec<Entry>) -> Result<Items<'a>> {
        let is_it = self
            .prefetched
            .front()
            .is_some_and(|(key, keys, _)| *key == scope.key && keys.iter().eq(entries.iter().map(|entry| &entry.key)));
        if is_it && let Some((_, _, download)) = self.prefetched.pop_front() {
            return Ok(Box::new(download));
        }
        // Downloads under way come before it on the connection, and their bytes would have no reader.
        self.prefetched.clear();
        Ok(Box::new(self.download(scope, entries)?))
    }

    fn is_same(&self, known: &str, listed: &str) -> bool {
        rev::is_same(known, listed)
    }

    fn known_to_1x_by(&self, scope: &Scope) -> Option<KnownBy> {
        self.folder(&scope.key).ok().map(|folder| KnownBy::Uid { mailbox: folder.name.clone() })
    }

    fn content<'r>(&self, rev: &'r str) -> Option<&'r str> {
        rev::content(rev)
    }

    fn message_ids(&mut self, scope: &Scope, entries: &[Entry]) -> Result<Vec<Option<Vec<u8>>>> {
        // The answer would wait behind downloads, and those for room in a queue that has no reader meanwhile.
        self.prefetched.clear();
        let raw = self.folder(&scope.key)?.raw.clone();
        let uid_validity = self.validities.get(&scope.key).copied().unwrap_or_default();
        let entries = entries.to_vec();
        let answer = self
            .crew
            .ask(move |runtime, session| runtime.run(download::message_ids(session, &raw, uid_validity, &entries)));
        answer.recv().map_err(|_| no_answer())?
    }

    fn name(&self, scope: &Scope) -> String {
        said(scope.key.as_bytes())
    }

    fn position(&self, scope: &Scope, entry: &Entry) -> String {
        let size = rev::size(&entry.rev).map_or_else(String::new, |size| format!(" ({size} bytes)"));
        format!("{}: UID {}{size}", said(scope.key.as_bytes()), look::uid_in(&entry.key))
    }
}
