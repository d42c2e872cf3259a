//! The account: what it has, and what is written to it.

use super::flags;
use super::mailboxes::{Mailbox, Names, arrange, id};
use super::messages::{self, Free, Post, Seen, look};
use super::sources::Sources;
use super::store;
use crate::error::{Error, ErrorKind, Result};
use crate::format::jmap::{Object, folded, name, text};
use crate::model::ObjectType;
use crate::model::objects::Properties;
use crate::net::account::Account;
use crate::net::parallel::in_order;
use crate::net::runtime::Runtime;
use crate::net::stream::Stream;
use crate::protocol::imap::{self, Client, Folder, Namespaces, Session, Shared};
use crate::sink::{
    BlobProvider, Change, Detail, Draft, Filing, NoDraft, Outcome, Patch, Remote, RemoteEmail, Sink, StoredItem,
};
use serde_json::json;
use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::PathBuf;
use std::sync::Arc;
use std::thread::sleep;
use std::time::Duration;

/// The most bytes of the name of a mailbox, without those above it.
const NAME_MAX: usize = 200;

/// While mailboxes grow by themselves, so often is waited, and so long.
const RESTS: u32 = 40;
const PAUSE: Duration = Duration::from_millis(250);

/// How the server is spoken to.
pub struct ImapSettings {
    /// The server and the login.
    pub account: Account,
    /// The most connections, 1 to 8.
    pub connections: usize,
    /// Where large bodies wait.
    pub spool: PathBuf,
}

/// An account on an IMAP server.
pub struct Imap {
    runtime: Runtime,
    user: String,
    /// How many connections there may be.
    width: usize,
    sessions: Vec<Session>,
    namespaces: Namespaces,
    names: Names,
    mailboxes: HashMap<String, Mailbox>,
    pub(super) seen: HashMap<String, Seen>,
    /// How many messages were stored in a mailbox since it was looked at.
    sent: HashMap<String, u32>,
    /// The most bytes of a message (RFC 7889), where the server says so.
    append_limit: Option<u64>,
    has_uidplus: bool,
    sources: RefCell<Sources>,
}

impl Imap {
    /// Logs in.
    ///
    /// Errors: those of the login.
    pub fn open(settings: ImapSettings) -> Result<Imap> {
        let ImapSettings { account, connections, spool } = settings;
        let runtime = Runtime::new(Arc::clone(&account.stop))?;
        let user = account.credentials.user().to_owned();
        let width = connections.clamp(1, 8);
        let shared: Arc<Shared> = Arc::default();
        let session = || Session::new(account.clone(), false, Some(spool.clone()), Arc::clone(&shared));
        let mut sessions: Vec<Session> = (0..width).map(|_| session()).collect();
        let (namespaces, words) = runtime.run(async {
            let Some(first) = sessions.first_mut() else {
                return Err(Error::new(ErrorKind::Usage, "there is no connection"));
            };
            first
                .ask(async |client| {
                    let namespaces = client.namespaces().await?;
                    Ok((namespaces, client.capabilities().await?.clone()))
                })
                .await
        })?;
        let limit = words.words().iter().find_map(|word| word.strip_prefix("APPENDLIMIT=")?.parse().ok());
        Ok(Imap {
            runtime,
            user,
            width,
            sessions,
            namespaces,
            names: Names::default(),
            mailboxes: HashMap::new(),
            seen: HashMap::new(),
            sent: HashMap::new(),
            append_limit: limit,
            has_uidplus: words.has("UIDPLUS"),
            sources: RefCell::new(Sources::new(words.has("UIDPLUS"))),
        })
    }

    /// The raw name of a mailbox.
    pub(super) fn raw(&self, mailbox: &str) -> Result<Vec<u8>> {
        let found = self.mailboxes.get(mailbox).map(|mailbox| mailbox.raw.clone());
        found.ok_or_else(|| Error::new(ErrorKind::NotFound, format!("there is no mailbox {mailbox:?}")))
    }

    /// The UIDs that the next messages of the mailboxes get that were looked at or written to.
    fn next_uids(&mut self) -> Result<BTreeMap<String, u32>> {
        let Imap { runtime, sessions, seen, sent, .. } = self;
        let Some(session) = sessions.first_mut() else { return Ok(BTreeMap::new()) };
        let folders = runtime.run(session.ask(async |client| client.folders(true).await))?;
        let next = |folder: Folder| {
            let id = id(&folder.listed.raw).filter(|id| seen.contains_key(id) || sent.contains_key(id))?;
            Some((id, folder.status?.uid_next?))
        };
        Ok(folders.into_iter().filter_map(next).collect())
    }

    fn list(&mut self) -> Result<(Vec<Remote>, bool)> {
        let Imap { runtime, sessions, .. } = self;
        let Some(session) = sessions.first_mut() else { return Ok((Vec::new(), false)) };
        let (folders, is_utf8) =
            runtime.run(session.ask(async |client| Ok((client.folders(false).await?, client.has_utf8()))))?;
        self.names = Names::of(&folders, &self.namespaces, is_utf8);
        let (mailboxes, remotes, is_complete) = arrange(folders, &self.namespaces);
        self.mailboxes = mailboxes;
        Ok((remotes, is_complete))
    }

    /// What the server answers to one change of a mailbox.
    fn mailbox_change(&mut self, change: Change) -> Result<Outcome> {
        match change {
            Change::Create(body, _, location) => {
                let parent = location.parent.as_deref().map(|parent| self.raw(parent)).transpose()?;
                let raw = self.names.raw(parent.as_deref(), text(&body, "name"));
                let id = String::from_utf8_lossy(&raw).into_owned();
                let special = location.role.as_deref().and_then(special_use);
                let is_subscribed = body.get("isSubscribed") != Some(&json!(false));
                let outcome = self.ask(id.clone(), async |client| {
                    client.create(&raw, special).await?;
                    if is_subscribed {
                        // That it is not shown is no reason to take it for missing.
                        let _ = client.subscribe(&raw, true).await;
                    }
                    Ok(())
                })?;
                // One that another run has made is as good.
                if matches!(outcome, Outcome::Done(..) | Outcome::Exists(..)) {
                    self.mailboxes.insert(id, Mailbox { raw, is_selectable: true });
                }
                Ok(outcome)
            }
            Change::Update(id, patch) => {
                let raw = self.raw(&id)?;
                let is_subscribed = patch.body.get("isSubscribed") == Some(&json!(true));
                self.ask(id, async |client| client.subscribe(&raw, is_subscribed).await)
            }
            Change::Destroy(id) => {
                let raw = self.raw(&id)?;
                self.ask(id, async |client| client.delete(&raw).await)
            }
            Change::CreateEmail(_) | Change::UpdateEmail(..) => Ok(Outcome::Refused("it is no message".to_owned())),
        }
    }

    /// Asks over the first connection. What the server refuses is an outcome.
    pub(super) fn ask(
        &mut self,
        id: String,
        question: impl AsyncFnMut(&mut Client<Stream>) -> imap::Result<()>,
    ) -> Result<Outcome> {
        let Imap { runtime, sessions, .. } = self;
        let Some(session) = sessions.first_mut() else { return Ok(Outcome::Unknown("no connection".to_owned())) };
        match runtime.run(session.ask(question)) {
            Ok(()) => Ok(Outcome::Done(id, None)),
            Err(error) if error.is_transient() || error.kind != ErrorKind::Connection => Err(error),
            Err(error) => Ok(match error.to_string() {
                why if why.to_ascii_lowercase().contains("exists") => Outcome::Exists(Some(id), why),
                why => Outcome::Refused(why),
            }),
        }
    }
}

/// The attribute of a role (RFC 6154 section 2).
fn special_use(role: &str) -> Option<&'static str> {
    const ATTRIBUTES: [&str; 6] = ["\\Archive", "\\Drafts", "\\Flagged", "\\Junk", "\\Sent", "\\Trash"];
    ATTRIBUTES.into_iter().find(|attribute| attribute[1..].eq_ignore_ascii_case(role))
}

impl Sink for Imap {
    fn name(&self) -> String {
        self.user.clone()
    }

    fn source_kind(&self) -> &'static str {
        "imap"
    }

    fn lacks(&self, kind: ObjectType) -> Option<String> {
        (!matches!(kind, ObjectType::Mailbox | ObjectType::Email)).then(|| "an IMAP server has mail only".to_owned())
    }

    fn filing(&self) -> Filing {
        Filing::Copies
    }

    fn prepare(&mut self, _: &[ObjectType]) -> Result<()> {
        // What a mailbox can be called depends on how the server writes names.
        self.list().map(|_| ())
    }

    fn draft(&self, item: &StoredItem<'_>) -> std::result::Result<Draft, NoDraft> {
        let Properties::Mailbox(mailbox) = &item.properties else {
            let reason = "an IMAP server has mail only".to_owned();
            return Err(NoDraft::Unplaced { reason, label: format!("row {}", item.row) });
        };
        let mut draft = self.container(ObjectType::Mailbox, &mailbox.name);
        draft.role = mailbox.role.as_ref().map(|role| role.to_lowercase());
        draft.body.insert("isSubscribed".to_owned(), json!(mailbox.is_subscribed));
        draft.untold = item.untold.clone();
        Ok(draft)
    }

    fn container(&self, _: ObjectType, title: &str) -> Draft {
        let label = self.names.leaf(&name(title, NAME_MAX, "Unnamed"));
        let body = Object::from_iter([("name".to_owned(), json!(label))]);
        Draft { key: folded(&label), raw: title.to_owned(), label, body, ..Draft::default() }
    }

    fn plain_name(&self, name: &str) -> Option<String> {
        Names::plain(name)
    }

    fn name_refusal(&mut self, name: &str) -> Result<Option<String>> {
        let raw = self.names.raw(None, name);
        let Imap { runtime, sessions, .. } = self;
        let Some(session) = sessions.first_mut() else { return Ok(None) };
        runtime.run(session.ask(async |client| client.name_refusal(&raw).await))
    }

    fn keyword(&self, keyword: &str) -> Option<String> {
        flags::flag(keyword).map(|flag| flags::keyword(&flag))
    }

    fn expect(&mut self, _: u64) {}

    fn objects(&mut self, kind: ObjectType, _: Detail) -> Result<(Vec<Remote>, bool)> {
        if kind == ObjectType::Mailbox { self.list() } else { Ok((Vec::new(), true)) }
    }

    fn look_inside(&mut self, _: &mut [Remote], _: &[usize]) -> Result<()> {
        Ok(())
    }

    fn difference(
        &self,
        _: ObjectType,
        ours: &Draft,
        _: Option<Vec<String>>,
        theirs: &Remote,
        _: &dyn BlobProvider,
    ) -> Patch {
        // Clients show it whether or not somebody subscribed to it.
        if theirs.role.as_deref() == Some("inbox") {
            return Patch::default();
        }
        let name = "isSubscribed";
        let wanted = ours.body.get(name).filter(|_| !ours.untold.contains(name));
        let body = wanted.filter(|wanted| theirs.body.get(name) != Some(wanted));
        Patch { body: body.into_iter().map(|value| (name.to_owned(), value.clone())).collect(), ..Patch::default() }
    }

    fn has_strangers(&mut self, kind: ObjectType) -> Result<bool> {
        if kind != ObjectType::Email {
            return Ok(false);
        }
        let now = self.next_uids()?;
        // A new mailbox begins with 1; where a server has gaps, it is looked at.
        let expected = |id: &String| {
            let sent = self.sent.get(id).copied().unwrap_or_default();
            self.seen.get(id).map_or(1, Seen::next).saturating_add(sent)
        };
        Ok(self.seen.keys().chain(self.sent.keys()).any(|id| now.get(id) != Some(&expected(id))))
    }

    fn rest(&mut self, kind: ObjectType) -> Result<()> {
        if kind != ObjectType::Email {
            return Ok(());
        }
        let mut before = self.next_uids()?;
        for _ in 0..RESTS {
            sleep(PAUSE);
            let now = self.next_uids()?;
            if now == before {
                break;
            }
            before = now;
        }
        Ok(())
    }

    fn emails(&mut self, mailboxes: Option<&BTreeSet<String>>) -> Result<(Vec<RemoteEmail>, bool)> {
        let is_meant = |id: &String| mailboxes.is_none_or(|mailboxes| mailboxes.contains(id));
        let places: Vec<(String, Vec<u8>)> = self
            .mailboxes
            .iter()
            .filter(|(id, mailbox)| mailbox.is_selectable && is_meant(id))
            .map(|(id, mailbox)| (id.clone(), mailbox.raw.clone()))
            .collect();
        let mut seen = std::mem::take(&mut self.seen);
        let free = Free::new(&mut self.sessions);
        let (mut all, mut lost) = (HashMap::new(), None);
        self.sent.retain(|id, _| !is_meant(id));
        let work = places.into_iter().map(|(id, raw)| (seen.remove(&id), id, raw));
        let work = work.map(async |(seen, id, raw)| {
            let looked = free.with(async |session| look(session, &raw, &id, seen).await).await;
            looked.map(|looked| (id, looked))
        });
        self.runtime.run(async {
            in_order(self.width, work, |looked| {
                match looked {
                    Ok((id, looked)) => drop(all.insert(id, looked)),
                    Err(error) => lost = Some(error),
                }
                lost.is_none()
            })
            .await;
            Ok(())
        })?;
        if let Some(error) = lost {
            return Err(error);
        }
        let emails = all.values().flat_map(|seen: &Seen| seen.emails().iter().cloned()).collect();
        self.seen = all;
        Ok((emails, true))
    }

    fn headers(&mut self, emails: &[String]) -> Result<Vec<(String, Vec<u8>)>> {
        let Imap { runtime, sessions, mailboxes, .. } = self;
        let Some(session) = sessions.first_mut() else { return Ok(Vec::new()) };
        runtime.run(messages::headers(session, mailboxes, emails))
    }

    fn write(
        &mut self,
        kind: ObjectType,
        changes: &mut dyn Iterator<Item = (usize, Change)>,
        batch: usize,
        supply: &dyn BlobProvider,
        told: &mut dyn FnMut(usize, Outcome),
    ) -> Result<()> {
        if kind != ObjectType::Email {
            for (at, change) in changes {
                let outcome = self.mailbox_change(change)?;
                told(at, outcome);
            }
            return Ok(());
        }
        let mut changes = changes.peekable();
        if let Some((_, Change::CreateEmail(_))) = changes.peek() {
            let mut emails = changes.filter_map(|(at, change)| match change {
                Change::CreateEmail(email) => Some((at, email)),
                _ => None,
            });
            let Imap { runtime, sessions, mailboxes, append_limit, sent, seen, sources, .. } = self;
            let post = Post { sessions, mailboxes, limit: *append_limit, batch, sent, seen, sources };
            return runtime.run(store::store(post, &mut emails, supply, told));
        }
        if !self.has_uidplus && matches!(changes.peek(), Some((_, Change::Destroy(_)))) {
            let why = "the server has no UIDPLUS: what others have marked as deleted would go, too";
            changes.for_each(|(at, _)| told(at, Outcome::Refused(why.to_owned())));
            return Ok(());
        }
        self.mail_changes(changes.collect(), told)
    }

    fn choose(&mut self, _: ObjectType, _: Option<&str>) -> Result<std::result::Result<(), String>> {
        Ok(Ok(()))
    }
}

impl Drop for Imap {
    fn drop(&mut self) {
        let Imap { runtime, sessions, .. } = self;
        let _ = runtime.run(async {
            for session in sessions {
                session.close().await;
            }
            Ok(())
        });
    }
}
