//! Calendars and address books: each a scope, each resource an item with all of its components.

use super::cursor::{Cursor, now};
use super::fetch::{Fetch, NO_REV, Trust, is_same};
use crate::error::{Error, ErrorKind, Result};
use crate::format::{ics, vcf};
use crate::model::container::{Container, Details};
use crate::model::{
    Attrs, Body, Digest, Entry, EventType, FetchedItem, ItemData, ObjectType, SkipKind, SkippedItem, SourceIdent,
};
use crate::net::http::shown;
use crate::net::parallel::in_order;
use crate::net::runtime::Runtime;
use crate::net::sanitize::said;
use crate::protocol::dav::{
    Client, Collection, Downloaded, Flavor, Found, Listed, Resource, Settings, discover, href_key, last_part, of_one,
    origin_of, with_slash,
};
use crate::source::{Cursors, DuplicateRule, Items, Listing, Promises, Scope, Source, UnlistedItems};
use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::io;
use std::os::unix::fs::FileExt;
use std::sync::Arc;

/// Larger bodies are not looked into.
const READ_MAX: u64 = 64 << 20;

/// All that is in a collection, and its token from before it was listed.
struct Everything {
    listed: Listed,
    token: Option<String>,
}

/// The calendars or the address books of one account on one server.
pub struct Collections {
    ident: SourceIdent,
    runtime: Runtime,
    client: Client,
    kind: ObjectType,
    found: Found,
    trust: Trust,
    /// How many resources one request asks for.
    batch: usize,
    /// Collections that were listed before their turn, by key.
    ahead: HashMap<String, Result<Everything>>,
    /// How many resources were odd, by what is odd about them.
    odd: BTreeMap<&'static str, u64>,
}

impl Collections {
    /// Logs in and finds the collections.
    ///
    /// Errors: those of [`discover`].
    pub fn open(settings: Settings) -> Result<Collections> {
        let runtime = Runtime::new(Arc::clone(&settings.account.stop))?;
        let kind = match settings.flavor {
            Flavor::Contacts => ObjectType::ContactCard,
            _ => ObjectType::CalendarEvent,
        };
        let client = Client::new(settings)?;
        let found = runtime.run(discover(&client))?;
        let batch = client.batch();
        // The URL of one collection is no account: what else the account has is not looked for.
        let is_part = found.collections.iter().any(|one| href_key(&one.url) == href_key(client.url()));
        let account = if is_part { Some(client.url()) } else { found.principal.as_ref().or(found.home.as_ref()) };
        let ident = SourceIdent {
            kind: client.flavor().name(),
            session_url: origin_of(client.url()),
            account_id: account.map(account_id).unwrap_or_default(),
            account_name: Some(client.user().to_owned()).filter(|user| !user.is_empty()),
            username: client.user().to_owned(),
        };
        Ok(Collections {
            ident,
            runtime,
            client,
            kind,
            found,
            trust: Trust::default(),
            batch,
            ahead: HashMap::new(),
            odd: BTreeMap::new(),
        })
    }

    /// The path of a collection, with its server where that is another one.
    fn key(&self, collection: &Collection) -> String {
        let key = href_key(&collection.url);
        match collection.url.origin() == self.client.url().origin() {
            true => key,
            false => format!("{}{key}", origin_of(&collection.url)),
        }
    }

    fn collection(&self, scope: &Scope) -> Result<&Collection> {
        let found = self.found.collections.iter().find(|one| self.key(one) == scope.key);
        found.ok_or_else(|| Error::new(ErrorKind::NotFound, format!("there is no collection {:?}", scope.key)))
    }

    /// Lists a collection, and with it as many of those after it as may be asked at the same time: their turn comes.
    fn list_ahead(&mut self, scope: &Scope) -> Result<Everything> {
        if let Some(listed) = self.ahead.remove(&scope.key) {
            return listed;
        }
        let found = &self.found.collections;
        let first = found.iter().position(|one| self.key(one) == scope.key).unwrap_or(found.len());
        let next: Vec<(String, &Collection)> =
            found.iter().skip(first).take(self.client.connections()).map(|one| (self.key(one), one)).collect();
        let work = next.into_iter().map(async |(key, one)| (key, everything(&self.client, one).await));
        let mut all = HashMap::new();
        self.runtime.run(async {
            in_order(self.client.connections(), work, |(key, listed)| {
                all.insert(key, listed);
                true
            })
            .await;
            Ok(())
        })?;
        self.ahead.extend(all);
        self.ahead
            .remove(&scope.key)
            .unwrap_or_else(|| Err(Error::new(ErrorKind::NotFound, format!("there is no collection {:?}", scope.key))))
    }

    /// Everything in a collection.
    fn list_all(&mut self, scope: &Scope) -> Result<Listing> {
        let Everything { listed: Listed { resources, strange }, token } = self.list_ahead(scope)?;
        let collection = self.collection(scope)?;
        let omissions = strange.into_iter().map(|href| self.omission("a reference out of the collection", href));
        let mut listing = Listing {
            omissions: omissions.collect(),
            unnamed: UnlistedItems::Gone,
            cursor: Cursor { ctag: collection.ctag.clone(), token, listed: now() }.text(),
            ..Listing::default()
        };
        if !listing.omissions.is_empty() {
            // What was named and not understood may be something that is known under another name.
            listing.unnamed = UnlistedItems::GoneIf(Box::new(|_| false));
            listing.cursor.clear();
        }
        self.add(collection, resources, &mut listing);
        Ok(listing)
    }

    /// What changed since a token; `None` if that does not say enough, and everything has to be listed.
    ///
    /// A token alone removes nothing: servers are known whose tokens are wrong. Where something is gone, a full listing
    /// says what.
    fn list_changes(&self, collection: &Collection, cursor: &Cursor) -> Result<Option<Listing>> {
        let Some(token) = cursor.token.as_deref().filter(|_| collection.has_sync) else { return Ok(None) };
        let synced = self.runtime.run(async {
            match self.client.sync(&collection.url, token).await {
                Ok(synced) => Ok(Some(synced)),
                Err(failure) if failure.refusal.is_some() => Ok(None),
                Err(failure) => Err(failure.error),
            }
        })?;
        let Some(synced) = synced.filter(|synced| !synced.has_gone && !synced.is_cut) else { return Ok(None) };
        let Some(token) = synced.token else { return Ok(None) };
        let mut listing = Listing {
            unnamed: UnlistedItems::GoneIf(Box::new(|_| false)),
            cursor: Cursor { ctag: collection.ctag.clone(), token: Some(token), listed: cursor.listed }.text(),
            ..Listing::default()
        };
        self.add(collection, synced.changed, &mut listing);
        Ok(Some(listing))
    }

    fn add(&self, collection: &Collection, resources: Vec<Resource>, listing: &mut Listing) {
        let own = href_key(&collection.url);
        let attrs = Arc::new(Attrs { parents: vec![self.key(collection)], ..Attrs::none(self.kind.container()) });
        let mut seen = HashSet::new();
        for resource in resources {
            let Some(key) = resource.key.strip_prefix(&own).map(|key| key.trim_start_matches('/')) else { continue };
            if key.is_empty() {
                continue;
            }
            if resource.is_collection {
                listing.omissions.push(self.omission("a collection within a collection", said(key.as_bytes())));
            } else if !seen.insert(key.to_owned()) {
                listing.omissions.push(SkippedItem {
                    outcome: SkipKind::Duplicate,
                    ..self.omission("listed twice", said(key.as_bytes()))
                });
            } else {
                listing.entries.push(Entry {
                    key: key.into(),
                    rev: resource.etag.as_deref().unwrap_or(NO_REV).into(),
                    locator: resource.url.as_str().into(),
                    attrs: Arc::clone(&attrs),
                });
            }
        }
    }

    fn omission(&self, reason: &str, position: String) -> SkippedItem {
        SkippedItem { kind: self.kind, reason: reason.to_owned(), position, outcome: SkipKind::Skipped }
    }

    fn container(&self, collection: &Collection) -> Container {
        let key = self.key(collection);
        let name = collection.name.clone().or_else(|| last_part(&collection.url));
        let mut container = Container::new(self.kind.container(), key, None, name.as_deref().unwrap_or("Untitled"));
        container.description = collection.description.clone();
        container.color = collection.color.clone();
        container.details = Some(Box::new(Details {
            untold: untold(self.kind, collection),
            sort_order: collection.order.unwrap_or(0).max(0),
            is_visible: true,
            availability: "all".to_owned(),
            time_zone: collection.time_zone.as_deref().and_then(time_zone_id),
            ..Details::default()
        }));
        container
    }
}

/// All that is in a collection. The token is asked for before: what changes meanwhile is told the next time.
async fn everything(client: &Client, collection: &Collection) -> Result<Everything> {
    let token = match &collection.sync_token {
        None if collection.has_sync => client.sync_token(&collection.url).await,
        token => token.clone(),
    };
    match client.list(&collection.url).await {
        Ok(listed) => Ok(Everything { listed, token }),
        // Whether the server refuses it or breaks off over it: the others may be listed.
        Err(failure) if failure.refusal.is_some() => Err(of_one(&failure)),
        Err(failure) if failure.error.kind == ErrorKind::Connection && client.is_well().await => Err(of_one(&failure)),
        Err(failure) => Err(failure.error),
    }
}

/// Properties of a container that a DAV server has no word for, or did not tell.
fn untold(kind: ObjectType, collection: &Collection) -> Vec<&'static str> {
    let mut untold = vec!["isDefault", "isSubscribed"];
    if collection.order.is_none() {
        untold.push("sortOrder");
    }
    if kind == ObjectType::CalendarEvent {
        untold.extend(["isVisible", "includeInAvailability", "defaultAlertsWithTime", "defaultAlertsWithoutTime"]);
    }
    untold
}

/// The first time zone that an iCalendar object names.
fn time_zone_id(text: &str) -> Option<String> {
    let line = text.lines().find_map(|line| line.trim().strip_prefix("TZID:"))?;
    Some(line.trim().to_owned()).filter(|id| !id.is_empty())
}

/// The account as 1.x names it: without query and fragment, with a slash at the end.
fn account_id(url: &url::Url) -> String {
    let mut url = url.clone();
    url.set_query(None);
    url.set_fragment(None);
    String::from(with_slash(url))
}

/// The bytes of a resource; `None` if there are too many to look into.
fn whole(body: &Body) -> io::Result<Option<Cow<'_, [u8]>>> {
    match body {
        Body::Bytes(bytes) => Ok(Some(Cow::Borrowed(bytes))),
        Body::File(file) => {
            let size = file.metadata()?.len();
            if size > READ_MAX {
                return Ok(None);
            }
            let mut bytes = vec![0; size as usize];
            file.read_exact_at(&mut bytes, 0)?;
            Ok(Some(Cow::Owned(bytes)))
        }
        Body::Part { .. } | Body::Absent => Ok(None),
    }
}

/// An item of a resource, and what is odd about it.
fn item(
    kind: ObjectType,
    entry: &Entry,
    downloaded: Downloaded,
    odd: &mut BTreeMap<&'static str, u64>,
) -> Result<FetchedItem> {
    let bytes = whole(&downloaded.body).map_err(|error| Error::io("cannot read back a large object", error))?;
    let (mut data, mut strange) = (None, None);
    if let Some(bytes) = &bytes {
        if bytes.iter().all(u8::is_ascii_whitespace) {
            return Err(Error::new(ErrorKind::Connection, "the server gives no bytes for it"));
        }
        match kind {
            ObjectType::ContactCard => {
                let mut cards = vcf::split(bytes).items.into_iter();
                data = cards.next().map(|card| ItemData::Card { uid: card.uid });
                strange = cards.next().map(|_| "several cards in one resource");
            }
            _ => {
                let mut events = ics::split(bytes).items.into_iter();
                data = events.next().map(|event| ItemData::Event { uid: event.uid, data_type: event.data_type });
                strange = events.next().map(|_| "several UIDs in one resource");
            }
        }
    }
    if data.is_none() {
        strange = Some("not a calendar or a card that can be read");
    }
    if let Some(strange) = strange {
        *odd.entry(strange).or_default() += 1;
    }
    let uid = || format!("vandelay-{}", &Digest::of(entry.key.as_bytes()).hex()[..32]);
    let data = data.unwrap_or_else(|| match kind {
        ObjectType::ContactCard => ItemData::Card { uid: uid() },
        _ => ItemData::Event { uid: uid(), data_type: EventType::Event },
    });
    Ok(FetchedItem { key: entry.key.clone(), body: downloaded.body, data })
}

impl Source for Collections {
    fn ident(&self) -> &SourceIdent {
        &self.ident
    }

    fn promises(&self) -> Promises {
        Promises {
            join: DuplicateRule::Never,
            is_additive: false,
            cursors: Cursors::ServerState,
            has_lasting_account_id: false,
            lists_only_ids: &[],
            recognised_by: "under the same name and etag",
        }
    }

    fn is_whole(&self, listing: &Listing) -> bool {
        matches!(listing.unnamed, UnlistedItems::Gone)
    }

    fn hides(&self, _: ObjectType, _: &str) -> bool {
        // A home that could not be listed may hold it.
        !self.found.failed.is_empty()
    }

    fn names_containers(&self, kind: ObjectType) -> bool {
        kind == self.kind.container() && self.found.failed.is_empty()
    }

    fn scopes(&mut self) -> Result<(Vec<Scope>, Vec<Container>)> {
        let scope = |one: &Collection| Scope { key: self.key(one), kind: self.kind, selected: true };
        let scopes = self.found.collections.iter().map(scope).collect();
        Ok((scopes, self.found.collections.iter().map(|one| self.container(one)).collect()))
    }

    fn omissions(&mut self) -> Vec<SkippedItem> {
        let failed = self.found.failed.iter();
        let failed = failed.map(|(url, error)| SkippedItem {
            outcome: SkipKind::Failed,
            ..self.omission("a home that could not be listed", format!("{url}: {error}"))
        });
        failed.collect()
    }

    fn list(&mut self, scope: &Scope, cursor: &str) -> Result<Listing> {
        let collection = self.collection(scope)?;
        let cursor = Cursor::parse(cursor).filter(|cursor| !cursor.is_old());
        if let Some(cursor) = cursor {
            if cursor.is_current(collection.ctag.as_deref(), collection.sync_token.as_deref()) {
                return Ok(Listing { unchanged: true, cursor: cursor.text(), ..Listing::default() });
            }
            if let Some(listing) = self.list_changes(collection, &cursor)? {
                return Ok(listing);
            }
        }
        self.list_all(scope)
    }

    fn fetch<'a>(&'a mut self, scope: &Scope, entries: Vec<Entry>) -> Result<Items<'a>> {
        let url = self.collection(scope)?.url.clone();
        let Collections { runtime, client, trust, batch, kind, odd, .. } = self;
        let kind = *kind;
        Ok(Box::new(Fetch {
            client,
            runtime,
            trust,
            collection: url,
            batch,
            entries: entries.into(),
            ready: Default::default(),
            make: Box::new(move |entry, downloaded| item(kind, entry, downloaded, odd)),
            size: Box::new(|_| None),
        }))
    }

    fn is_same(&self, known: &str, listed: &str) -> bool {
        is_same(known, listed)
    }

    fn notices(&self) -> Vec<String> {
        let failed = self.found.failed.iter();
        let failed = failed.map(|(url, error)| format!("{url} could not be listed, what it holds is kept: {error}"));
        let odd =
            self.odd.iter().map(|(what, count)| format!("{count} resources are odd, and stored unchanged: {what}"));
        failed.chain(odd).collect()
    }

    fn notes(&self) -> Vec<String> {
        let url = self.client.url();
        let home = self.found.home_elsewhere(url);
        let what = self.client.flavor().collections();
        let note = |home| format!("{} has no {what}: those of {} are imported", shown(url), shown(home));
        let mark = |one: &Collection| {
            let mark = match (one.is_subscribed, one.is_read_only) {
                (true, _) => "shows a calendar from elsewhere (subscribed)",
                (_, true) => "may only be read (shared)",
                _ => return None,
            };
            Some(format!("{} {mark}", said(one.name.as_deref().unwrap_or_else(|| one.url.path()).as_bytes())))
        };
        home.map(note).into_iter().chain(self.found.collections.iter().filter_map(mark)).collect()
    }

    fn name(&self, scope: &Scope) -> String {
        let found = self.found.collections.iter().find(|one| self.key(one) == scope.key);
        said(found.and_then(|one| one.name.as_deref()).unwrap_or(&scope.key).as_bytes())
    }

    fn position(&self, scope: &Scope, entry: &Entry) -> String {
        format!("{}: {}", self.name(scope), said(entry.key.as_bytes()))
    }
}
