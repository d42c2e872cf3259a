//! The account: what it has, and what is written to it.

use super::changes::{self, changed, content_of, outcome};
use super::drafts::{self, EXACT, MEANING};
use crate::error::{Error, ErrorKind, Result};
use crate::format::ics;
use crate::format::jmap::{Object, color, folded, text};
use crate::model::{Digest, ObjectType};
use crate::net::http::shown;
use crate::net::parallel::in_order;
use crate::net::runtime::Runtime;
use crate::net::sanitize::said;
use crate::protocol::dav::{
    Client, Collection, Condition, Downloaded, Flavor, Found, NewCollection, Resource, Settings, Written, child,
    discover, href_key, last_part, origin_of, with_slash,
};
use crate::sink::{
    BlobProvider, BlobRef, Change, Content, Detail, Draft, Filing, NoDraft, Outcome, Patch, Remote, RemoteEmail, Sink,
    StoredItem,
};
use serde_json::json;
use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use url::Url;

/// What is said of a meeting that is stored without a word to anybody.
const QUIET: &str = "SCHEDULE-AGENT=CLIENT was added, so that the server sends no invitations";

/// The calendars or the address books of one account.
pub struct Collections {
    runtime: Runtime,
    client: Client,
    /// [`ObjectType::CalendarEvent`] or [`ObjectType::ContactCard`].
    kind: ObjectType,
    found: Found,
    /// The server invites people to meetings that are stored, and the user does not want that.
    is_quiet: bool,
    /// Something was written since the collections were found.
    is_stale: bool,
    /// URLs that no new collection may have.
    taken: Vec<Url>,
}

impl Collections {
    /// Logs in and finds the collections. A server that sends invitations sends none, unless `allow_scheduling` says so.
    ///
    /// Errors: those of [`discover`]; of [`ErrorKind::Account`] if the collections are not where the user says.
    pub fn open(settings: Settings, allow_scheduling: bool) -> Result<Collections> {
        let runtime = Runtime::new(Arc::clone(&settings.account.stop))?;
        let kind = match settings.flavor {
            Flavor::Contacts => ObjectType::ContactCard,
            _ => ObjectType::CalendarEvent,
        };
        let client = Client::new(settings)?;
        let found = runtime.run(discover(&client))?;
        if let Some(error) = astray(&client, &found) {
            return Err(error);
        }
        let principal = found.principal.clone();
        let schedules = kind == ObjectType::CalendarEvent
            && runtime.run(async {
                match principal {
                    Some(principal) => Ok(client.has_outbox(&principal).await),
                    None => Ok(false),
                }
            })?;
        let is_quiet = schedules && !allow_scheduling;
        Ok(Collections { runtime, client, kind, found, is_quiet, is_stale: false, taken: Vec::new() })
    }

    /// The one name of a collection or a resource.
    fn id(url: &Url) -> String {
        format!("{}{}", origin_of(url), href_key(url))
    }

    fn remote_collection(&self, collection: &Collection) -> Remote {
        let name = collection.name.clone().or_else(|| last_part(&collection.url)).unwrap_or_default();
        let body = json!({
            "name": name,
            "description": collection.description,
            "color": collection.color.as_deref().and_then(color),
            "order": collection.order,
        });
        Remote {
            id: Collections::id(&collection.url),
            key: folded(&name),
            label: said(name.as_bytes()),
            name,
            is_kept: collection.is_read_only || collection.is_subscribed,
            body: body.as_object().cloned().unwrap_or_default(),
            ..Remote::default()
        }
    }

    /// Everything in one collection.
    async fn resources(&self, collection: &Collection, detail: Detail) -> Result<(Vec<Remote>, bool)> {
        let listed = self.client.list(&collection.url).await?;
        let mut is_complete = listed.strange.is_empty();
        let resources: Vec<Resource> = listed.resources.into_iter().filter(|one| !one.is_collection).collect();
        let etags: HashMap<String, Option<String>> =
            resources.iter().map(|one| (one.key.clone(), one.etag.clone())).collect();
        let urls: Vec<Url> = resources.into_iter().map(|one| one.url).collect();
        let container = Collections::id(&collection.url);
        let mut remotes = Vec::with_capacity(urls.len());
        let batches = urls.chunks(self.client.batch()).map(|batch| self.bytes_of(&collection.url, batch));
        in_order(self.client.connections(), batches, |batch: Vec<(Url, Option<Downloaded>)>| {
            for (url, downloaded) in batch {
                let Some(bytes) = downloaded.as_ref().and_then(Downloaded::bytes) else {
                    is_complete = false;
                    continue;
                };
                let etag = etags.get(&href_key(&url)).cloned().flatten();
                remotes.push(self.remote_item(&url, etag, bytes, &container, detail));
            }
            true
        })
        .await;
        Ok((remotes, is_complete))
    }

    async fn bytes_of(&self, collection: &Url, urls: &[Url]) -> Vec<(Url, Option<Downloaded>)> {
        // One that the server does not give in this way is asked for by itself.
        let mut found = self.client.multiget(collection, urls).await.unwrap_or_default();
        let mut all = Vec::with_capacity(urls.len());
        for url in urls {
            let downloaded = match found.remove(&href_key(url)) {
                Some(downloaded) => Some(downloaded),
                None => self.client.get(url, None).await.ok().flatten(),
            };
            all.push((url.clone(), downloaded));
        }
        all
    }

    fn remote_item(&self, url: &Url, etag: Option<String>, bytes: &[u8], container: &str, detail: Detail) -> Remote {
        let uid = drafts::uid(self.kind, bytes).unwrap_or_default();
        let mut body = Object::from_iter([(EXACT.to_owned(), json!(Digest::of(bytes).hex()))]);
        if detail == Detail::All {
            body.insert(MEANING.to_owned(), json!(drafts::meaning(self.kind, bytes)));
        }
        body.insert("etag".to_owned(), json!(etag));
        Remote {
            id: Collections::id(url),
            label: said(uid.as_bytes()),
            key: uid,
            containers: vec![container.to_owned()],
            body,
            ..Remote::default()
        }
    }

    /// The bytes of an object as the server gets them, and whether it had to be told to invite nobody, where it `is_quiet`.
    fn outgoing(&self, content: &Content, is_quiet: bool) -> Result<(Vec<u8>, bool)> {
        let bytes = content.whole().map_err(|error| Error::io("cannot read back an object", error))?;
        if self.kind != ObjectType::CalendarEvent {
            return Ok((bytes.to_vec(), false));
        }
        let outgoing = ics::for_server(&bytes, is_quiet);
        Ok((outgoing.bytes.into_owned(), outgoing.is_quieted))
    }

    async fn change(&self, kind: ObjectType, change: Change, supply: &dyn BlobProvider) -> Result<Outcome> {
        let address = |id: &str| Url::parse(id).map_err(|error| Error::new(ErrorKind::Connection, error.to_string()));
        let is_container = kind == self.kind.container();
        match change {
            Change::Create(body, _, _) if is_container => self.make(&body).await,
            Change::Create(body, blob, location) => {
                let Some(collection) = location.containers.first() else {
                    return Ok(Outcome::Refused("it lies in no collection".to_owned()));
                };
                let url = child(&address(collection)?, text(&body, "resource"));
                self.put(&url, blob, Condition::New, supply).await
            }
            Change::Update(id, patch) if is_container => {
                let url = with_slash(address(&id)?);
                Ok(outcome(self.client.describe(&url, &drafts::collection(&patch.body)).await?, id))
            }
            Change::Update(id, patch) => {
                let etag = text(&patch.body, "etag").to_owned();
                Ok(changed(self.put(&address(&id)?, patch.blob, Condition::Unchanged(&etag), supply).await?))
            }
            Change::Destroy(id) => {
                let url = if is_container { with_slash(address(&id)?) } else { address(&id)? };
                Ok(outcome(self.client.delete(&url, Condition::Any).await?, id))
            }
            Change::CreateEmail(_) | Change::UpdateEmail(..) => Ok(Outcome::Refused("it has no mail".to_owned())),
        }
    }

    async fn put(
        &self,
        url: &Url,
        blob: Option<BlobRef>,
        condition: Condition<'_>,
        supply: &dyn BlobProvider,
    ) -> Result<Outcome> {
        let (blob, content) = match content_of(blob, supply)? {
            Ok(content) => content,
            Err(outcome) => return Ok(outcome),
        };
        let stored = self.store(url, &content, condition).await?;
        let Outcome::Refused(why) = stored else { return Ok(stored) };
        // Some servers take no bytes that break a rule of the format; what they mean is better than nothing.
        let Some(converted) = supply.converted(blob).ok().flatten() else { return Ok(Outcome::Refused(why)) };
        match self.store(url, &converted, condition).await? {
            Outcome::Done(id, _) => {
                Ok(Outcome::Done(id, Some(format!("the server does not take its own bytes ({why}): it was converted"))))
            }
            Outcome::Refused(_) => Ok(Outcome::Refused(why)),
            other => Ok(other),
        }
    }

    async fn store(&self, url: &Url, content: &Content, condition: Condition<'_>) -> Result<Outcome> {
        let media = match self.kind {
            ObjectType::ContactCard => "text/vcard; charset=utf-8",
            _ => "text/calendar; charset=utf-8",
        };
        let (bytes, has_changed) = self.outgoing(content, self.is_quiet)?;
        let written = self.client.put(url, media, Content::Bytes(bytes.into()), condition).await?;
        let remark = has_changed.then(|| QUIET.to_owned());
        Ok(match outcome(written, Collections::id(url)) {
            Outcome::Done(id, _) => Outcome::Done(id, remark),
            other => other,
        })
    }

    /// Makes a collection under a free URL in the home.
    async fn make(&self, body: &Object) -> Result<Outcome> {
        let collection = drafts::collection(body);
        let name = collection.name.clone().unwrap_or_default();
        let Some(home) = self.found.home.as_ref().filter(|home| !self.is_collection(home)) else {
            let why = "--url names one collection, and the account's home is not known; use the URL of the server";
            return Ok(Outcome::Refused(why.to_owned()));
        };
        for number in 1..100 {
            let url = with_slash(child(home, &slug(&name, number)));
            if self.taken.iter().any(|taken| href_key(taken) == href_key(&url)) {
                continue;
            }
            match self.client.make(&url, &collection).await? {
                // Something that is no collection of this kind has the name.
                Written::Conflict(why) => {
                    // Or another run has made just this one.
                    let found = discover(&self.client).await?.collections;
                    if found.iter().any(|one| href_key(&one.url) == href_key(&url)) {
                        return Ok(Outcome::Exists(None, why));
                    }
                }
                // Some take no colour or no order. The events want a calendar all the same.
                Written::Refused(why) if collection.has_more() => {
                    let plain = NewCollection { name: collection.name.clone(), ..NewCollection::default() };
                    let remark = format!("with its name only; the server refuses the rest of it ({why})");
                    return Ok(match self.client.make(&url, &plain).await? {
                        Written::Done => Outcome::Done(Collections::id(&url), Some(remark)),
                        Written::Refused(_) => Outcome::Refused(why),
                        written => outcome(written, Collections::id(&url)),
                    });
                }
                written => return Ok(outcome(written, Collections::id(&url))),
            }
        }
        Ok(Outcome::Refused("every name for it is taken".to_owned()))
    }

    fn is_collection(&self, url: &Url) -> bool {
        self.found.collections.iter().any(|one| href_key(&one.url) == href_key(url))
    }
}

/// The error of a URL that leads to collections, but not in a way that the user can have meant: nothing is written there.
fn astray(client: &Client, found: &Found) -> Option<Error> {
    let why = found.astray.as_ref()?;
    let (url, what) = (client.url(), client.flavor().collections());
    let home =
        found.home.as_ref().map(|home| format!("those of this login are in {}: use that as --url, or ", shown(home)));
    let hint = format!("{}--url {}/ to let the server say where they are", home.unwrap_or_default(), origin_of(url));
    Some(Error::new(ErrorKind::Account, format!("--url names no {what}; nothing was written ({why})")).hint(hint))
}

/// A name of a new collection in the home: what people see is its display name.
fn slug(name: &str, number: u32) -> String {
    let plain: String =
        name.chars().map(|c| if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { '-' }).collect();
    let parts: Vec<&str> = plain.split('-').filter(|part| !part.is_empty()).collect();
    let plain = match parts.is_empty() {
        true => format!("c-{}", &Digest::of(name.as_bytes()).hex()[..12]),
        false => parts.join("-").chars().take(60).collect(),
    };
    if number == 1 { plain } else { format!("{plain}-{number}") }
}

impl Sink for Collections {
    fn name(&self) -> String {
        self.client.user().to_owned()
    }

    fn source_kind(&self) -> &'static str {
        self.client.flavor().name()
    }

    fn place(&self) -> Option<String> {
        let (url, what) = (self.client.url(), self.client.flavor().collections());
        let home = self.found.home_elsewhere(url)?;
        Some(format!("{} has no {what} itself: those in {} are written to", shown(url), shown(home)))
    }

    fn lacks(&self, kind: ObjectType) -> Option<String> {
        let what = self.client.flavor().collections();
        (kind != self.kind && kind != self.kind.container()).then(|| format!("the server is asked for {what} only"))
    }

    fn filing(&self) -> Filing {
        Filing::Copies
    }

    fn prepare(&mut self, _: &[ObjectType]) -> Result<()> {
        Ok(())
    }

    fn draft(&self, item: &StoredItem<'_>) -> std::result::Result<Draft, NoDraft> {
        drafts::draft(item)
    }

    fn container(&self, _: ObjectType, name: &str) -> Draft {
        drafts::container(name)
    }

    fn keyword(&self, _: &str) -> Option<String> {
        None
    }

    fn expect(&mut self, _: u64) {}

    fn objects(&mut self, kind: ObjectType, detail: Detail) -> Result<(Vec<Remote>, bool)> {
        let is_whole = self.found.failed.is_empty();
        if std::mem::take(&mut self.is_stale) {
            // A collection that was made meanwhile is among them.
            self.found = self.runtime.run(discover(&self.client))?;
        }
        if kind == self.kind.container() {
            self.taken = self.found.collections.iter().map(|one| one.url.clone()).collect();
            let remotes = self.found.collections.iter().map(|one| self.remote_collection(one)).collect();
            return Ok((remotes, self.found.failed.is_empty()));
        }
        if kind != self.kind {
            return Ok((Vec::new(), true));
        }
        let this = &*self;
        let (mut remotes, mut is_complete) = (Vec::new(), is_whole && this.found.failed.is_empty());
        this.runtime.run(async {
            for collection in &this.found.collections {
                let (resources, is_all) = this.resources(collection, detail).await?;
                is_complete &= is_all;
                remotes.extend(resources);
            }
            Ok(())
        })?;
        Ok((remotes, is_complete))
    }

    fn look_inside(&mut self, _: &mut [Remote], _: &[usize]) -> Result<()> {
        Ok(())
    }

    fn difference(
        &self,
        kind: ObjectType,
        ours: &Draft,
        _: Option<Vec<String>>,
        theirs: &Remote,
        supply: &dyn BlobProvider,
    ) -> Patch {
        if kind == self.kind.container() {
            let is_other = |name: &String, value: &serde_json::Value| {
                !value.is_null() && !ours.untold.contains(name) && theirs.body.get(name) != Some(value)
            };
            let body = ours.body.iter().filter(|(name, value)| name.as_str() != "name" && is_other(name, value));
            let body = body.map(|(name, value)| (name.clone(), value.clone())).collect();
            return Patch { body, ..Patch::default() };
        }
        let Some(blob) = ours.blob else { return Patch::default() };
        let is_theirs = |bytes: &[u8]| {
            text(&theirs.body, EXACT) == Digest::of(bytes).hex()
                || text(&theirs.body, MEANING) == drafts::meaning(self.kind, bytes)
        };
        // A meeting that the server has from elsewhere invites whom it invites.
        let is_same = |content: Content| {
            let same =
                |is_quiet| self.outgoing(&content, is_quiet).map(|(bytes, is_other)| (is_theirs(&bytes), is_other));
            match same(self.is_quiet) {
                Ok((false, true)) => same(false).is_ok_and(|(is_same, _)| is_same),
                same => same.is_ok_and(|(is_same, _)| is_same),
            }
        };
        // What cannot be read is no reason to change anything. A server that did not take the source's bytes has others.
        let is_same = match supply.open(blob) {
            Ok(content) => is_same(content) || supply.converted(blob).ok().flatten().is_some_and(is_same),
            Err(_) => true,
        };
        if is_same {
            return Patch::default();
        }
        let etag = theirs.body.get("etag").cloned().unwrap_or_default();
        Patch { body: Object::from_iter([("etag".to_owned(), etag)]), blob: Some(blob), ..Patch::default() }
    }

    fn has_strangers(&mut self, _: ObjectType) -> Result<bool> {
        // A UID is in a collection once: RFC 4791 section 4.1, RFC 6352 section 5.1.
        Ok(false)
    }

    fn rest(&mut self, _: ObjectType) -> Result<()> {
        Ok(())
    }

    fn emails(&mut self, _: Option<&BTreeSet<String>>) -> Result<(Vec<RemoteEmail>, bool)> {
        Ok((Vec::new(), true))
    }

    fn headers(&mut self, _: &[String]) -> Result<Vec<(String, Vec<u8>)>> {
        Ok(Vec::new())
    }

    fn write(
        &mut self,
        kind: ObjectType,
        changes: &mut dyn Iterator<Item = (usize, Change)>,
        _: usize,
        supply: &dyn BlobProvider,
        told: &mut dyn FnMut(usize, Outcome),
    ) -> Result<()> {
        // Two collections of one name must not look for a free URL at the same time.
        let width = if kind == self.kind { self.client.connections() } else { 1 };
        self.is_stale = true;
        let this = &*self;
        let work = changes.map(async |(at, change)| (at, this.change(kind, change, supply).await));
        this.runtime.run(changes::make(&this.client, width, work, told))
    }

    fn choose(&mut self, _: ObjectType, _: Option<&str>) -> Result<std::result::Result<(), String>> {
        Ok(Ok(()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_collection_has_a_plain_url() {
        assert_eq!(
            (slug("Work & Play", 1), slug("Work & Play", 2)),
            ("work-play".to_owned(), "work-play-2".to_owned())
        );
        assert!(slug("日本語", 1).starts_with("c-") && slug("", 1).starts_with("c-"));
    }
}
