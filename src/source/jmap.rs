//! An account on a JMAP server.
//!
//! ```text
//!   worker     the thread that speaks with the server       look       what is in the account, or what changed
//!   read       the server's objects in our words            download   blobs and whole objects
//!   first      the first request
//! ```
//!
//! Everything small (mailboxes, calendars, address books, identities, the list of scripts) comes whole with the first
//! request, and with it the states or the changes of everything large. So an account in which nothing changed costs one
//! request. A scope is one type; its cursor is the server's state of that type (RFC 8620 section 5.1).

mod download;
mod first;
mod look;
mod read;
mod worker;

use super::{Cursors, DuplicateRule, Items, Listing, Promises, Scope, Source, UNKNOWN};
use crate::error::{Error, ErrorKind, Result};
use crate::model::container::Container;
use crate::model::{Entry, KnownBy, ObjectType, SourceIdent};
use crate::net::sanitize::said;
use crate::net::secret::Credentials;
use crate::protocol::jmap::capability as cap;
use crate::protocol::jmap::{AccountInfo, Client, Settings, Which};
use first::{FirstRequest, Look};
use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use worker::Worker;

/// The types whose items are scopes, in the order in which they are imported.
const SCOPES: [ObjectType; 8] = [
    ObjectType::Email,
    ObjectType::ContactCard,
    ObjectType::CalendarEvent,
    ObjectType::FileNode,
    ObjectType::SieveScript,
    ObjectType::Identity,
    ObjectType::ParticipantIdentity,
    ObjectType::VacationResponse,
];

/// The user's decisions about an import over JMAP.
#[derive(Debug, Clone)]
pub struct JmapOptions {
    /// The account of the login that is imported.
    pub which: Which,
    /// Only these types (`--objects`); what they lie in comes with them.
    pub objects: Option<Vec<ObjectType>>,
    /// The most downloads at a time.
    pub threads: usize,
}

/// An account on one server.
pub struct Jmap {
    ident: SourceIdent,
    worker: Worker,
    pub(crate) client: Client,
    pub(crate) account: AccountInfo,
    options: JmapOptions,
    /// Answers to the first request, by type.
    looks: HashMap<ObjectType, Result<Look>>,
    /// Containers that are wanted without anything in them.
    loose: Vec<Container>,
    /// Types whose containers were not named in this run.
    unnamed: Vec<ObjectType>,
    /// True as long as the server hands over several blobs at once.
    has_small: Arc<AtomicBool>,
}

impl Jmap {
    /// Logs in and finds the account.
    pub fn open(settings: Settings, options: JmapOptions) -> Result<Jmap> {
        let worker = Worker::start(settings.account.stop.clone())?;
        let username = match &settings.account.credentials {
            Credentials::Basic { user, .. } | Credentials::ActingAs { user, .. } => user.clone(),
            Credentials::Bearer { .. } => "(bearer)".to_owned(),
        };
        // As 1.x: the URL as the user wrote it, so that its archives stay those of the same source.
        let session_url = settings.url.clone();
        let which = options.which.clone();
        let (client, account) = worker.ask(move |runtime| {
            runtime.run(async {
                let client = Client::open(settings).await?;
                let account = client.account(&which).await?;
                Ok((client, account))
            })
        })??;
        let account_name = match &options.which {
            Which::Name(name) => Some(name.clone()),
            Which::Id(_) => None,
        };
        let ident = SourceIdent { kind: "jmap", session_url, account_id: account.id.clone(), account_name, username };
        let has_small = Arc::new(AtomicBool::new(client.has_small_blobs(&account)));
        let source = Jmap {
            ident,
            worker,
            has_small,
            client,
            account,
            options,
            looks: HashMap::new(),
            loose: Vec::new(),
            unnamed: Vec::new(),
        };
        source.tell_missing();
        Ok(source)
    }

    /// True if the account has this type at all.
    fn has(&self, kind: ObjectType) -> bool {
        let capabilities = &self.account.capabilities;
        let has = |name: &str| capabilities.contains_key(name);
        match kind {
            ObjectType::Mailbox | ObjectType::Email => has(cap::MAIL),
            // RFC 8621 section 1.3.2 says submission; 1.x asked wherever there is mail.
            ObjectType::Identity => has(cap::SUBMISSION) || has(cap::MAIL),
            ObjectType::VacationResponse => has(cap::VACATION),
            ObjectType::SieveScript => has(cap::SIEVE),
            ObjectType::AddressBook | ObjectType::ContactCard => has(cap::CONTACTS),
            ObjectType::Calendar | ObjectType::CalendarEvent | ObjectType::ParticipantIdentity => has(cap::CALENDARS),
            ObjectType::FileNode => has(cap::FILENODE),
        }
    }

    /// True if the user wants it.
    fn wants(&self, kind: ObjectType) -> bool {
        self.options.objects.as_ref().is_none_or(|objects| objects.contains(&kind))
    }

    /// True if the containers of a type are to be named: wanted themselves, or for what lies in them.
    fn wants_containers(&self, kind: ObjectType) -> bool {
        let inner = match kind {
            ObjectType::Mailbox => ObjectType::Email,
            ObjectType::AddressBook => ObjectType::ContactCard,
            ObjectType::Calendar => ObjectType::CalendarEvent,
            kind => kind,
        };
        self.has(kind) && (self.wants(kind) || self.wants(inner))
    }

    fn tell_missing(&self) {
        let missing: Vec<&str> = ObjectType::ALL
            .into_iter()
            // 1.x has no vacation responses, so no archive of 1.x lacks them.
            .filter(|kind| self.wants(*kind) && !self.has(*kind) && *kind != ObjectType::VacationResponse)
            .map(ObjectType::token)
            .collect();
        if !missing.is_empty() {
            let list = missing.join(", ");
            self.client.log(0, || format!("the server has nothing of these types for this account: {list}"));
        }
    }

    /// The first request.
    fn ask_all(&mut self, cursors: HashMap<ObjectType, String>) -> Result<()> {
        let question = FirstRequest {
            client: self.client.clone(),
            account: self.account.id.clone(),
            items: self.items(),
            containers: [ObjectType::Mailbox, ObjectType::AddressBook, ObjectType::Calendar]
                .into_iter()
                .filter(|kind| self.wants_containers(*kind))
                .collect(),
            cursors,
        };
        let (looks, loose) = self.worker.ask(move |runtime| runtime.run(async { first::begin(question).await }))??;
        self.looks = looks;
        self.loose = loose;
        Ok(())
    }

    /// The types whose items are wanted.
    fn items(&self) -> Vec<ObjectType> {
        SCOPES.into_iter().filter(|kind| self.has(*kind) && self.wants(*kind)).collect()
    }

    /// The first request; if it fails, that is the answer for all types.
    fn begin(&mut self, cursors: HashMap<ObjectType, String>) {
        if let Err(error) = self.ask_all(cursors) {
            let mut items = self.items().into_iter();
            let first = items.next();
            for kind in items {
                self.looks.insert(kind, Err(Error::new(error.kind, error.to_string())));
            }
            self.looks.extend(first.map(|kind| (kind, Err(error))));
        }
    }
}

/// The key of a type's scope. No id of JMAP has a colon in it (RFC 8620 section 1.2), so none is the same.
fn key(kind: ObjectType) -> String {
    format!("jmap:{}", kind.name())
}

impl Source for Jmap {
    fn ident(&self) -> &SourceIdent {
        &self.ident
    }

    fn promises(&self) -> Promises {
        Promises {
            // An email has all its mailboxes; no two of them are one.
            join: DuplicateRule::Never,
            is_additive: false,
            cursors: Cursors::ServerState,
            has_lasting_account_id: true,
            lists_only_ids: &[ObjectType::ContactCard, ObjectType::CalendarEvent],
            recognised_by: "under the same id, and with the same blob",
        }
    }

    /// A type that the server did not list as a whole has no state to go on from.
    fn is_whole(&self, listing: &Listing) -> bool {
        !listing.cursor.is_empty()
    }

    fn scopes(&mut self) -> Result<(Vec<Scope>, Vec<Container>)> {
        let there = SCOPES.into_iter().filter(|kind| self.has(*kind));
        let scopes: Vec<Scope> = there.map(|kind| Scope { key: key(kind), kind, selected: self.wants(kind) }).collect();
        if !scopes.iter().any(|scope| scope.selected) {
            // Nothing but containers is wanted; else they come with what lies in them.
            self.ask_all(HashMap::new())?;
        }
        Ok((scopes, std::mem::take(&mut self.loose)))
    }

    fn hides(&self, kind: ObjectType, _key: &str) -> bool {
        // A server that does not have a type any more says nothing about what it had of it.
        !self.has(kind) || !self.wants(kind)
    }

    fn names_containers(&self, kind: ObjectType) -> bool {
        self.wants_containers(kind) && !self.unnamed.contains(&kind)
    }

    fn announce(&mut self, scopes: &[(Scope, String)]) {
        let cursors: HashMap<ObjectType, String> =
            scopes.iter().map(|(scope, cursor)| (scope.kind, cursor.clone())).collect();
        if !cursors.is_empty() {
            self.begin(cursors);
        }
    }

    fn list(&mut self, scope: &Scope, cursor: &str) -> Result<Listing> {
        if self.looks.is_empty() {
            self.begin(HashMap::from([(scope.kind, cursor.to_owned())]));
        }
        let look = self.looks.remove(&scope.kind);
        let look = look.unwrap_or_else(|| Err(Error::new(ErrorKind::Connection, "the server was not asked")))?;
        let (client, account, kind) = (self.client.clone(), self.account.id.clone(), scope.kind);
        let answer =
            self.worker.ask(move |runtime| runtime.run(async { look::list(&client, &account, kind, look).await }));
        let mut listing = answer??;
        listing.containers.append(&mut self.loose);
        // Directories come with the files; where nothing changed, neither was asked for.
        if kind == ObjectType::FileNode && listing.unchanged {
            self.unnamed.push(kind);
        }
        Ok(listing)
    }

    fn fetch<'a>(&'a mut self, scope: &Scope, entries: Vec<Entry>) -> Result<Items<'a>> {
        let order = download::DownloadRequest {
            client: self.client.clone(),
            account: self.account.id.clone(),
            kind: scope.kind,
            entries,
            width: self.options.threads,
            has_small: Arc::clone(&self.has_small),
        };
        Ok(Box::new(download::start(&self.worker, order)))
    }

    fn is_same(&self, known: &str, listed: &str) -> bool {
        // 1.x kept no revisions. Of messages it is enough that the id is the same (RFC 8621 section 4.1.1), and of nothing
        // else it is asked.
        known == listed || known == UNKNOWN
    }

    fn known_to_1x_by(&self, scope: &Scope) -> Option<KnownBy> {
        (scope.kind == ObjectType::Email).then_some(KnownBy::JmapId)
    }

    fn content<'r>(&self, rev: &'r str) -> Option<&'r str> {
        // Of emails: the blob, and the date that does not change either (RFC 8621 section 4.1.1).
        rev.starts_with('B').then_some(rev)
    }

    fn position(&self, scope: &Scope, entry: &Entry) -> String {
        format!("{} {}", scope.kind.name(), said(entry.key.as_bytes()))
    }
}
