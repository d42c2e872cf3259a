//! The account, and what is known of it in a run.

use super::blobs_inside::{blob_ids, note_theirs};
use super::outcome::{capability_of, is_open, reason};
use super::remote::{is_servers_own, remote};
use super::request::Request;
use super::rules::Rules;
use super::{compare, draft, mail_state, seen, states};
use crate::error::{Error, ErrorKind, Result};
use crate::format;
use crate::format::jmap::text;
use crate::model::ObjectType;
use crate::net::runtime::Runtime;
use crate::protocol::jmap::{self, AccountInfo, Client, Inline, Settings, Which, capability};
use crate::sink::{
    BlobProvider, Change, Detail, Draft, Filing, NoDraft, Outcome, Patch, Remote, RemoteEmail, Sink, StoredItem,
};
use serde_json::Value;
use std::collections::{BTreeSet, HashMap};
use std::sync::atomic::AtomicBool;

/// An account on a JMAP server (RFC 8620).
pub(crate) struct Jmap {
    runtime: Runtime,
    pub(crate) client: Client,
    pub(crate) account: AccountInfo,
    seen: seen::Seen,
    pub(super) caution: mail_state::Caution,
    pub(super) states: states::States,
    /// Types that cannot be read, whatever the capabilities say, and why.
    without: HashMap<ObjectType, String>,
    /// How it takes small blobs in the request that needs them.
    pub(crate) inline: Option<Inline>,
    /// True once one message was sent so.
    pub(crate) has_tried_inline: AtomicBool,
    /// False once the server showed that it does not find these blobs there.
    pub(crate) finds_inline: AtomicBool,
    /// False once the server showed that it does not know `Blob/upload` (RFC 9404), or if it keeps nothing.
    pub(crate) uploads_inline: AtomicBool,
    /// What the address of a ParticipantIdentity is called: the draft changed it.
    pub(super) calendar_address: &'static str,
}

impl Jmap {
    /// Logs in and finds the account: the one that is named, or else the one that the user's mail is in.
    ///
    /// Errors: [`ErrorKind::Account`] if there is no such account, or it may only be read; those of [`Client::open`].
    pub(crate) fn open(settings: Settings, which: Option<&Which>) -> Result<Jmap> {
        let runtime = Runtime::new(settings.account.stop.clone())?;
        let (client, account) = runtime.run(async {
            let client = Client::open(settings).await?;
            let account = match which {
                Some(which) => client.account(which).await?,
                None => only(&client)?,
            };
            Ok((client, account))
        })?;
        if account.is_read_only {
            return Err(Error::new(ErrorKind::Account, format!("the account {:?} may only be read", account.name)));
        }
        let inline = client.inline(&account);
        Ok(Jmap {
            runtime,
            client,
            account,
            seen: seen::Seen::default(),
            caution: mail_state::Caution::default(),
            states: states::States::default(),
            without: HashMap::new(),
            inline,
            has_tried_inline: AtomicBool::new(false),
            finds_inline: AtomicBool::new(true),
            uploads_inline: AtomicBool::new(inline == Some(Inline::Standard)),
            calendar_address: "calendarAddress",
        })
    }

    /// The user's own addresses, in lower case, as far as the server says: the names of the account and of the login.
    fn addresses(&self) -> Vec<String> {
        let session = self.client.session();
        let names = [self.account.name.as_str(), session.username.as_str()].into_iter();
        names.filter(|name| name.contains('@')).map(str::to_lowercase).collect()
    }

    /// What the account says of a capability.
    pub(super) fn says(&self, capability: &str, name: &str) -> Option<&Value> {
        self.account.capabilities.get(capability)?.get(name).filter(|value| !value.is_null())
    }

    pub(crate) fn number(&self, capability: &str, name: &str) -> Option<u64> {
        self.says(capability, name).and_then(Value::as_u64)
    }
}

impl Jmap {
    /// The outcome of all objects of a request that has no answer; an error if nothing else would fare better.
    pub(crate) fn without_answer(&self, error: jmap::Error, count: usize) -> Result<Outcome> {
        match error {
            jmap::Error::Line(error) if self.client.has_given_up() => Err(error),
            // The line broke, or the answer cannot be read: the server may have done it all the same.
            jmap::Error::Line(error) if error.kind == ErrorKind::Connection => Ok(Outcome::Unknown(error.to_string())),
            jmap::Error::Line(error) => Err(error),
            jmap::Error::Method(error) if is_open(&error, count) => Ok(Outcome::Unknown(reason(&error))),
            jmap::Error::Method(error) => Ok(Outcome::Refused(reason(&error))),
        }
    }
}

impl Jmap {
    /// The rules of the account (RFC 8621 section 1.3.1, RFC 9661 section 1.3, draft-ietf-jmap-filenode).
    fn rules(&self) -> Rules {
        let octets = |capability: &str, name: &str, default: u64| {
            self.number(capability, name).unwrap_or(default).clamp(1, 1 << 16) as usize
        };
        let texts = |name: &str| {
            let list = self.says(capability::FILENODE, name).and_then(Value::as_array).into_iter().flatten();
            list.filter_map(Value::as_str).map(str::to_lowercase).collect()
        };
        let characters = self.says(capability::FILENODE, "forbiddenNameChars").and_then(Value::as_str);
        Rules {
            mailbox_name: octets(capability::MAIL, "maxSizeMailboxName", 255),
            file_name: octets(capability::FILENODE, "maxSizeFileNodeName", 255),
            file_characters: characters.unwrap_or("/").to_owned(),
            file_names: texts("forbiddenNodeNames"),
            script_name: octets(capability::SIEVE, "maxSizeScriptName", 512),
            calendar_address: self.calendar_address,
        }
    }
}

impl Sink for Jmap {
    fn name(&self) -> String {
        if self.account.name.is_empty() { self.account.id.clone() } else { self.account.name.clone() }
    }

    fn source_kind(&self) -> &'static str {
        "jmap"
    }

    fn lacks(&self, kind: ObjectType) -> Option<String> {
        let capability = capability_of(kind);
        // Cyrus has identities in accounts that it names no capability for: what the server offers counts then.
        let has = self.account.capabilities.contains_key(capability)
            || (kind == ObjectType::Identity && self.client.session().offers(capability));
        if let Some(why) = self.without.get(&kind) {
            return Some(why.clone());
        }
        (!has).then(|| format!("the account does not have {capability}"))
    }

    fn filing(&self) -> Filing {
        Filing::Once
    }

    fn prepare(&mut self, kinds: &[ObjectType]) -> Result<()> {
        // What the account calls a participant's address shows in what it has.
        let kind = ObjectType::ParticipantIdentity;
        if kinds.contains(&kind) && self.lacks(kind).is_none() {
            self.objects(kind, Detail::Keys)?;
        }
        Ok(())
    }

    fn draft(&self, item: &StoredItem<'_>) -> std::result::Result<Draft, NoDraft> {
        draft::draft(item, &self.rules())
    }

    fn container(&self, kind: ObjectType, name: &str) -> Draft {
        draft::container(kind, name, &self.rules())
    }

    fn keyword(&self, keyword: &str) -> Option<String> {
        format::jmap::keyword(keyword)
    }

    fn expect(&mut self, objects: u64) {
        self.client.expect(objects);
    }

    fn objects(&mut self, kind: ObjectType, detail: Detail) -> Result<(Vec<Remote>, bool)> {
        let found = self.runtime.run(async {
            match self.objects_of(kind, detail).await {
                // RFC 8620 section 3.6.2: a server may have a capability without all of its types.
                Err(error) if error.is("unknownMethod") || error.is("accountNotSupportedByMethod") => Ok(None),
                // Cyrus 3.6 closes the line where there is no Sieve script, and so no vacation response either.
                Err(error)
                    if kind == ObjectType::VacationResponse && error.is_breakdown() && self.client.is_well().await =>
                {
                    Ok(None)
                }
                found => Ok(Some(found?)),
            }
        })?;
        let Some(found) = found else {
            self.without.insert(kind, format!("the server does not know {}/get for this account", kind.name()));
            return Ok((Vec::new(), false));
        };
        if !found.1 && !jmap::has_query(kind) {
            let why = format!("the server names {} of them at once, and cannot be asked for others", found.0.len());
            self.without.insert(kind, why);
        }
        if kind == ObjectType::ParticipantIdentity
            && found.0.iter().any(|object| object.contains_key("scheduleId") || object.contains_key("sendTo"))
        {
            self.calendar_address = "scheduleId";
        }
        let (objects, is_complete) = found;
        let digests = match kind {
            ObjectType::SieveScript => {
                let blobs: Vec<String> = objects.iter().map(|object| text(object, "blobId").to_owned()).collect();
                self.runtime.run(async { Ok(self.digests_of(&blobs).await?) })?
            }
            _ => vec![None; objects.len()],
        };
        let addresses = self.addresses();
        let remotes = objects.into_iter().zip(digests);
        let remotes = remotes.map(|(object, digest)| remote(kind, object, digest, &addresses)).collect();
        Ok((remotes, is_complete))
    }

    fn look_inside(&mut self, remotes: &mut [Remote], places: &[usize]) -> Result<()> {
        let mut blobs = BTreeSet::new();
        places.iter().for_each(|place| blob_ids(&remotes[*place].body, &mut blobs));
        let blobs: Vec<String> = blobs.into_iter().collect();
        let digests = self.runtime.run(async { Ok(self.digests_of(&blobs).await?) })?;
        let digests = blobs.into_iter().zip(digests).filter_map(|(id, digest)| Some((id, digest?))).collect();
        places.iter().for_each(|place| note_theirs(&mut remotes[*place].body, &digests));
        Ok(())
    }

    fn difference(
        &self,
        kind: ObjectType,
        ours: &Draft,
        containers: Option<Vec<String>>,
        theirs: &Remote,
        supply: &dyn BlobProvider,
    ) -> Patch {
        compare::difference(kind, ours, containers, theirs, supply)
    }

    fn has_strangers(&mut self, kind: ObjectType) -> Result<bool> {
        self.runtime.run(async { Ok(self.came_from_elsewhere(kind).await?) })
    }

    fn rest(&mut self, kind: ObjectType) -> Result<()> {
        self.runtime.run(async { Ok(self.wait_until_it_rests(kind).await?) })
    }

    fn emails(&mut self, _: Option<&BTreeSet<String>>) -> Result<(Vec<RemoteEmail>, bool)> {
        let mut seen = std::mem::take(&mut self.seen);
        let looked = self.runtime.run(async { Ok(self.look(&mut seen).await?) });
        self.seen = seen;
        let is_complete = looked?;
        self.caution.looked(self.seen.state());
        Ok((self.seen.emails(), is_complete))
    }

    fn headers(&mut self, emails: &[String]) -> Result<Vec<(String, Vec<u8>)>> {
        self.runtime.run(async { Ok(self.headers_of(emails).await?) })
    }

    fn write(
        &mut self,
        kind: ObjectType,
        changes: &mut dyn Iterator<Item = (usize, Change)>,
        batch: usize,
        supply: &dyn BlobProvider,
        told: &mut dyn FnMut(usize, Outcome),
    ) -> Result<()> {
        let this = &*self;
        let mut requests = changes.map(|(at, change)| (at, Request::of(kind, change))).peekable();
        let is_removal = matches!(requests.peek(), Some((_, Request::Destroy(_))));
        let mut tell = |at: usize, outcome: Outcome| {
            this.client.one_done();
            match outcome {
                Outcome::Refused(why) if is_removal && is_servers_own(kind, &why) => told(at, Outcome::Kept(why)),
                outcome => told(at, outcome),
            }
        };
        this.runtime.run(async { this.write_all(kind, &mut requests, batch, supply, &mut tell).await })
    }

    fn choose(&mut self, kind: ObjectType, id: Option<&str>) -> Result<std::result::Result<(), String>> {
        self.runtime.run(async { self.choose_one(kind, id).await })
    }
}

/// The account when none is named.
fn only(client: &Client) -> Result<AccountInfo> {
    let session = client.session();
    let primary = session.primary_accounts.get(capability::MAIL).and_then(|id| session.account(id));
    match (primary, &session.accounts[..]) {
        (Some(account), _) | (None, [account]) => Ok(account.clone()),
        _ => {
            let names: Vec<&str> = session.accounts.iter().take(12).map(|account| account.name.as_str()).collect();
            Err(Error::new(ErrorKind::Account, "the server has several accounts")
                .hint(format!("name one with --account-name: {}", names.join(", "))))
        }
    }
}
