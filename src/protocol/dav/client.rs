//! Questions to a server of WebDAV.

use super::address::Address;
use super::body;
use super::collection::{Collection, Flavor, PROPERTIES};
use super::href::{key, resolve};
use super::multistatus::{self, Response, Rest};
use crate::error::{Error, ErrorKind, Result};
use crate::net::account::Account;
use crate::net::dns::NameServers;
use crate::net::http::{Ask, Audience, Failure, Http, Method, Payload, Reach, Reading, Refusal, Repeat, shown};
use crate::net::sanitize::said;
use crate::protocol::xml;
use std::collections::HashMap;
use std::path::PathBuf;
use url::Url;

/// The most bytes of one listing: some hundred thousand resources.
const LISTING_MAX: usize = 96 << 20;

/// The most bytes of the listing of a directory: several of them come at once.
const DIRECTORY_MAX: usize = 32 << 20;

/// How many resources the first request asks for, and the last ones at most, unless the user says it.
const BATCH: usize = 50;
const BATCH_MAX: usize = 400;

/// How a server is spoken to.
pub struct Settings {
    /// The login, and the connections to the server of the URL.
    pub account: Account,
    /// `--url`
    pub address: Address,
    /// Who is asked where a domain has its server.
    pub name_servers: NameServers,
    /// What is looked for.
    pub flavor: Flavor,
    /// Where it was found the last time: asked first.
    pub known: Option<KnownHome>,
    /// `--allow-other-origin`
    pub allow_other_origin: bool,
    /// How many requests are under way at once (`--dav-connections`).
    pub connections: usize,
    /// How many resources one request asks for (`--multiget-batch`); `None`: 50, and more where the answers are small.
    pub batch: Option<usize>,
    /// Where large bodies wait.
    pub spool: Option<PathBuf>,
}

/// A server of WebDAV, CalDAV or CardDAV.
pub struct Client {
    pub(super) http: Http,
    pub(super) address: Address,
    pub(super) name_servers: NameServers,
    pub(super) flavor: Flavor,
    pub(super) allow_cleartext: bool,
    pub(super) known: Option<KnownHome>,
    pub(super) spool: Option<PathBuf>,
    connections: usize,
    batch: Option<usize>,
}

/// Where the collections of an account were.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KnownHome {
    /// The collection that all of them were in.
    pub home: Url,
    /// The principal whose they were.
    pub principal: String,
}

/// What is asked.
pub(super) struct Question<'a> {
    pub method: Method,
    pub url: &'a Url,
    pub depth: &'a str,
    pub body: String,
    /// The most bytes of the answer.
    pub most: usize,
}

/// A resource in a collection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Resource {
    /// Where it is: what its reference stands for.
    pub url: Url,
    /// The path of its URL in one encoding ([`key`]).
    pub key: String,
    /// Changes when its bytes do; `None` where the server does not say.
    pub etag: Option<String>,
    /// A collection within a collection.
    pub is_collection: bool,
    /// Its name for people, where it has one.
    pub name: Option<String>,
    /// As the server has it, perhaps with parameters.
    pub media_type: Option<String>,
    /// In bytes.
    pub size: Option<u64>,
    /// RFC 3339 or the date of HTTP, as the server has it.
    pub created: Option<String>,
    /// In the same form.
    pub modified: Option<String>,
}

/// A listing of a collection.
#[derive(Debug, Default)]
pub struct Listed {
    /// What lies directly in the collection.
    pub resources: Vec<Resource>,
    /// References that lead out of the collection, or nowhere.
    pub strange: Vec<String>,
}

/// What changed in a collection since a token.
#[derive(Debug, Default)]
pub struct Synced {
    /// New resources, and those with other bytes.
    pub changed: Vec<Resource>,
    /// Something is gone.
    pub has_gone: bool,
    /// The token that the next synchronisation goes on from.
    pub token: Option<String>,
    /// The server has more to say (RFC 6578 section 3.6).
    pub is_cut: bool,
}

const SYNC_TOKEN: &str = "D:sync-token";

/// What is asked of every resource of a calendar or an address book.
const ITEM: [&str; 2] = ["D:getetag", "D:resourcetype"];

/// What is asked of every file.
const FILE: [&str; 7] = [
    "D:getetag",
    "D:resourcetype",
    "D:displayname",
    "D:getcontenttype",
    "D:getcontentlength",
    "D:getlastmodified",
    "D:creationdate",
];

impl Client {
    /// Makes ready to ask; nothing is sent.
    ///
    /// Errors: the login may not go to the URL.
    pub fn new(settings: Settings) -> Result<Client> {
        let reach = if settings.allow_other_origin { Reach::Anybody } else { Reach::Domain };
        let allow_cleartext = settings.account.allow_cleartext;
        let http = Http::new(settings.account, Audience::new(settings.address.url.clone(), reach), reading)?;
        http.check_origin(&settings.address.url)?;
        Ok(Client {
            http,
            address: settings.address,
            name_servers: settings.name_servers,
            allow_cleartext,
            known: settings.known,
            flavor: settings.flavor,
            spool: settings.spool,
            connections: settings.connections.clamp(1, 8),
            batch: settings.batch.map(|batch| batch.max(1)),
        })
    }

    /// The login name.
    pub fn user(&self) -> &str {
        self.http.user()
    }

    /// Which protocol is spoken.
    pub fn flavor(&self) -> Flavor {
        self.flavor
    }

    /// `--url`
    pub fn url(&self) -> &Url {
        &self.address.url
    }

    /// How many requests are under way at once.
    pub fn connections(&self) -> usize {
        self.connections
    }

    /// How many resources one request asks for.
    pub fn batch(&self) -> usize {
        self.batch.unwrap_or(BATCH)
    }

    /// How many resources one request asks for at most, once it shows that their answers are small.
    pub fn most(&self) -> usize {
        self.batch.unwrap_or(BATCH_MAX)
    }

    /// Says what goes on.
    pub fn log(&self, level: u8, text: impl FnOnce() -> String) {
        self.http.log(level, text);
    }

    /// The collections of the flavor among a resource and what lies in it, and what the answer says of the resource itself.
    pub(super) async fn collections(&self, url: &Url) -> Result<(Vec<Collection>, Option<Response>), Failure> {
        let (mut found, mut own, mut gap) = (Vec::new(), None, None);
        let question = self.propfind(url, "1", &PROPERTIES);
        self.multistatus(&question, &mut |base, response| {
            let Some(url) = resolve(base, &response.href) else { return };
            gap = gap.take().or_else(|| gap_of(&response));
            found.extend(Collection::of(&response, url.clone(), self.flavor));
            if key(&url) == key(base) {
                own = Some(response);
            }
        })
        .await?;
        match gap {
            // What is not told of may be there.
            Some(gap) => Err(unfit(url, 207, &gap)),
            None if found.is_empty() && own.is_none() => {
                Err(unfit(url, 207, "it lists nothing, not even the collection itself"))
            }
            None => {
                self.add_tokens(url, &mut found).await;
                Ok((found, own))
            }
        }
    }

    /// Asks for the tokens of collections that have no ctag: they tell whether something changed.
    async fn add_tokens(&self, url: &Url, collections: &mut [Collection]) {
        if self.flavor == Flavor::Files || collections.iter().all(|one| one.ctag.is_some()) {
            return;
        }
        let mut tokens: HashMap<String, String> = HashMap::new();
        let question = self.propfind(url, "1", &[SYNC_TOKEN]);
        let each = &mut |base: &Url, response: Response| {
            let of = resolve(base, &response.href).map(|url| key(&url));
            tokens.extend(of.zip(response.text("sync-token").map(str::to_owned)));
        };
        if let Err(failure) = self.multistatus(&question, each).await {
            self.log(1, || failure.error.to_string());
        }
        for one in collections {
            one.sync_token = tokens.remove(&key(&one.url));
            one.has_sync |= one.sync_token.is_some();
        }
    }

    /// The token of a collection as it is now (RFC 6578 section 4); `None` if it has none.
    pub async fn sync_token(&self, url: &Url) -> Option<String> {
        let (_, all) = self.properties(url, &[SYNC_TOKEN]).await.ok()?;
        all.iter().find_map(|response| response.text("sync-token").map(str::to_owned))
    }

    /// Properties of one resource.
    pub(super) async fn properties(&self, url: &Url, properties: &[&str]) -> Result<(Url, Vec<Response>), Failure> {
        let (mut all, mut at) = (Vec::new(), url.clone());
        let question = self.propfind(url, "0", properties);
        self.multistatus(&question, &mut |base, response| {
            at = base.clone();
            all.push(response);
        })
        .await?;
        Ok((at, all))
    }

    /// A collection by itself; `None` if the server says nothing of it.
    pub(super) async fn collection(&self, url: &Url) -> Option<Collection> {
        let (at, all) = self.properties(url, &PROPERTIES).await.ok()?;
        all.iter().find_map(|response| Collection::of(response, at.clone(), self.flavor))
    }

    fn propfind<'a>(&self, url: &'a Url, depth: &'a str, properties: &[&str]) -> Question<'a> {
        let body = body::propfind(properties);
        Question { method: Method::Propfind, url, depth, body, most: self.listing_max() }
    }

    fn listing_max(&self) -> usize {
        if self.flavor == Flavor::Files { DIRECTORY_MAX } else { LISTING_MAX }
    }

    /// True if the server takes invitations from this principal and sends them to people (RFC 6638 section 2.1).
    pub async fn has_outbox(&self, principal: &Url) -> bool {
        let asked = self.properties(principal, &["C:schedule-outbox-URL"]).await;
        asked.is_ok_and(|(_, all)| {
            all.iter().filter_map(|one| one.property("schedule-outbox-URL")).any(|it| it.child("href").is_some())
        })
    }

    /// True if the server answers at all, whatever it says.
    pub async fn is_well(&self) -> bool {
        match self.properties(self.url(), &["D:resourcetype"]).await {
            Ok(_) => true,
            Err(failure) => failure.refusal.is_some(),
        }
    }

    /// What lies in a collection.
    pub async fn list(&self, url: &Url) -> Result<Listed, Failure> {
        let (mut listed, mut has_own, mut is_file, mut gap) = (Listed::default(), false, false, None);
        let mut from = url.clone();
        let properties: &[&str] = if self.flavor == Flavor::Files { &FILE } else { &ITEM };
        let question = self.propfind(url, "1", properties);
        self.multistatus(&question, &mut |base, response| {
            let collection = key(base);
            from = base.clone();
            gap = gap.take().or_else(|| gap_of(&response));
            match self.resource(base, &collection, &response) {
                Some(resource) if resource.key == collection => {
                    has_own = true;
                    is_file = response.property("resourcetype").is_some() && !resource.is_collection;
                }
                // It is gone by now (404, 410).
                Some(_) if response.status.is_some_and(|status| status >= 400) => {}
                Some(resource) => listed.resources.push(resource),
                None => listed.strange.push(said(response.href.as_bytes())),
            }
        })
        .await?;
        if from.origin() != url.origin() || key(&from) != key(url) {
            // The same resources would have other keys there, or the login would not go there.
            return Err(unfit(url, 207, &format!("it redirects to {}: use that as --url", shown(&from))));
        }
        if let Some(gap) = gap {
            return Err(unfit(url, 207, &gap));
        }
        if is_file {
            return Err(unfit(url, 207, "it is a file, not a directory"));
        }
        if listed.resources.is_empty() && !has_own {
            // An empty answer is no listing of an empty collection: that names the collection itself.
            return Err(unfit(url, 207, "it lists nothing, not even the collection itself"));
        }
        Ok(listed)
    }

    /// What changed in a collection since a token (RFC 6578).
    pub async fn sync(&self, url: &Url, token: &str) -> Result<Synced, Failure> {
        let mut synced = Synced::default();
        let body = body::sync_collection(token);
        let question = Question { method: Method::Report, url, depth: "0", body, most: self.listing_max() };
        let each = &mut |base: &Url, response: Response| {
            let collection = key(base);
            let resource = self.resource(base, &collection, &response);
            match (response.status, resource) {
                (Some(507), _) => synced.is_cut = true,
                (Some(404 | 410), _) => synced.has_gone = true,
                (_, Some(resource)) if resource.key != collection => synced.changed.push(resource),
                _ => {}
            }
        };
        synced.token = self.multistatus(&question, each).await?.sync_token;
        Ok(synced)
    }

    /// A resource directly in a collection, or the collection itself. `None` for anything else.
    fn resource(&self, base: &Url, collection: &str, response: &Response) -> Option<Resource> {
        let url = resolve(base, &response.href)?;
        let key = key(&url);
        let below = super::href::below(collection, &key)?;
        if url.origin() != base.origin() || below.contains('/') {
            return None;
        }
        let text = |name: &str| response.text(name).map(str::to_owned);
        Some(Resource {
            etag: text("getetag"),
            is_collection: response.property("resourcetype").is_some_and(|kinds| kinds.has("collection")),
            name: text("displayname"),
            media_type: text("getcontenttype"),
            size: text("getcontentlength").and_then(|size| size.parse().ok()),
            created: text("creationdate"),
            modified: text("getlastmodified"),
            url,
            key,
        })
    }

    /// Asks, and hands over what the answer says, resource by resource, with the URL that it comes from.
    pub(super) async fn multistatus(
        &self,
        question: &Question<'_>,
        each: &mut dyn FnMut(&Url, Response),
    ) -> Result<Rest, Failure> {
        let Question { method, url, depth, body, most } = question;
        let what = method.name();
        let fields = [("Depth", *depth), ("Content-Type", "application/xml; charset=utf-8")];
        let payload = Payload::Whole(body.clone().into());
        let ask = Ask { fields: &fields, payload, repeat: Repeat::Usual, ..Ask::new(*method, url, what) };
        let (base, status, document) = self
            .http
            .ask(&ask, async |mut answer| {
                let (url, status) = (answer.url().clone(), answer.status());
                match answer.body(*most).await? {
                    Some(document) => Ok((url, status, document)),
                    None => Err(unfit(&url, status, &format!("it has more than {} MiB", most >> 20))),
                }
            })
            .await?;
        // What was handed over before a fault counts for nothing: the callers give an error then.
        multistatus::read(&document, &mut |response| each(&base, response)).map_err(|why| unfit(&base, status, &why))
    }
}

/// Why a listing is not whole, if a response says so: a resource that could not be looked at may be there all the same.
fn gap_of(response: &Response) -> Option<String> {
    let is_gap = |status: u16| status >= 400 && !matches!(status, 404 | 410);
    let kind = response.missing.iter().find(|(name, status)| name == "resourcetype" && is_gap(*status));
    let status = response.status.filter(|status| is_gap(*status)).or(kind.map(|(_, status)| *status))?;
    Some(format!("the listing is not whole: {status} for {}", said(response.href.as_bytes())))
}

/// An answer that cannot be used counts as a refusal: the server is there.
pub(super) fn unfit(url: &Url, status: u16, why: &str) -> Failure {
    let why = format!("the answer cannot be used: {why}");
    let error = Error::new(ErrorKind::Connection, format!("{}: {why}", shown(url)));
    let refusal = Refusal { status, retry_after: None, body: Vec::new(), what: String::new(), why };
    Failure { error, refusal: Some(Box::new(refusal)), is_undone: true }
}

/// The error of one object or collection, after which others may fare better.
pub fn of_one(failure: &Failure) -> Error {
    let why = match &failure.refusal {
        Some(refusal) => refusal.why.clone(),
        None => failure.error.to_string(),
    };
    Error::new(ErrorKind::Connection, why)
}

/// What a server says with a refusal: an error of WebDAV (RFC 4918 section 16), or the throttling of Google.
fn reading(status: u16, body: &[u8]) -> Reading {
    let mut names = Vec::new();
    let _ = xml::read(body, &mut |element| names.push(element));
    let message = names.iter().find(|element| element.name == "message" || element.name == "responsedescription");
    let words = match message.and_then(|element| element.trimmed()) {
        Some(text) => said(text.as_bytes()),
        None => names.iter().map(|element| said(element.name.as_bytes())).take(3).collect::<Vec<_>>().join(" "),
    };
    let is_limit = status == 403 && body.windows(11).any(|window| window == b"usageLimits");
    Reading { words, is_busy: is_limit }
}
