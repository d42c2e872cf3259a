//! From the URL that the user gave to the user's collections (RFC 4791 section 6.2, RFC 6352 section 7.1, RFC 6764).

use super::client::{Client, KnownHome};
use super::collection::{Collection, Flavor};
use super::href::{key, origin, resolve, with_slash};
use super::multistatus::Response;
use crate::error::{Error, ErrorKind, Result};
use crate::net::dns::ServiceHost;
use crate::net::http::{Failure, shown};
use std::collections::BTreeMap;
use url::Url;

/// Homes of one user: more are not asked.
const HOMES_MAX: usize = 16;

/// What a resource is asked for, and what is said of one that has none.
type Sought = (&'static str, &'static str);

const PRINCIPAL: Sought = ("the principal", "names no principal");
const HOMES: Sought = ("the homes of the principal", "names no homes");

/// What was found.
#[derive(Debug, Default)]
pub struct Found {
    /// By their keys, each once.
    pub collections: Vec<Collection>,
    /// Who the server says that the user is.
    pub principal: Option<Url>,
    /// The first collection of collections.
    pub home: Option<Url>,
    /// Collections of the user that could not be listed, and why: what lies in them is not known to be gone.
    pub failed: Vec<(String, Error)>,
    /// Why `--url` is not what the user may have meant: it is not there, or has nothing of the kind and does not lie above
    /// the user's principal and home, so that all of it was found elsewhere. `None` where the way from there was a regular one.
    pub astray: Option<String>,
}

impl Found {
    /// The home of what was found, if that is neither `url` nor what the root of a server leads to.
    pub fn home_elsewhere(&self, url: &Url) -> Option<&Url> {
        let is_url = |home: &Url| identity(home) == identity(url);
        self.home.as_ref().filter(|home| url.path() != "/" && !is_url(home))
    }
}

/// Looks for the collections of the user: at the URL, at the homes of the principal that it names, and where a server
/// says by convention that they are; of a domain where its DNS says that the server is. A step that fails does not keep the
/// next one from being tried.
///
/// Errors: [`ErrorKind::Credentials`] if the login is refused, [`ErrorKind::Account`] if nothing was found, with all that
/// was tried; of [`ErrorKind::Connection`] if the server cannot be reached.
pub async fn discover(client: &Client) -> Result<Found> {
    let mut search =
        Search { client, tried: Vec::new(), down: None, elsewhere: None, has_answer: false, found: Found::default() };
    if search.at_known_home().await? || (client.address.is_domain && search.by_dns().await?) {
        return Ok(search.found);
    }
    match search.at_url().await {
        Ok(true) => Ok(search.found),
        // A URL without a path may have been meant as the domain.
        Err(error) if error.kind == ErrorKind::Credentials => Err(error),
        outcome => match !client.address.is_domain && search.by_dns().await? {
            true => Ok(search.found),
            false => Err(search.elsewhere.take().or(outcome.err()).unwrap_or_else(|| search.nothing())),
        },
    }
}

struct Search<'a> {
    client: &'a Client,
    /// What was asked, and what came of it.
    tried: Vec<String>,
    /// The first failure that says nothing of what is there: a server that is down, or no server of WebDAV.
    down: Option<Error>,
    /// The DNS names a server that may not hear the login.
    elsewhere: Option<Error>,
    /// The server said something that makes sense of one of the questions.
    has_answer: bool,
    found: Found,
}

impl Search<'_> {
    /// Looks where the collections were the last time: one question, where that principal still has them there.
    async fn at_known_home(&mut self) -> Result<bool> {
        let Some(KnownHome { home, principal: known }) = &self.client.known else { return Ok(false) };
        if self.client.http.check_origin(home).is_err() {
            return Ok(false);
        }
        let listed = self.client.collections(home).await;
        let Some((collections, Some(own))) = self.step(home, self.kind(), listed)? else { return Ok(false) };
        let principal = principal(home, &[own]);
        let is_same = principal.as_ref().is_some_and(|url| with_slash(url.clone()).as_str() == known);
        if collections.is_empty() || !is_same {
            return Ok(false);
        }
        self.found.principal = principal;
        self.add(home, collections);
        Ok(true)
    }

    /// Looks at the URL, and where a server says by convention that it is.
    async fn at_url(&mut self) -> Result<bool> {
        let url = self.client.url().clone();
        if self.at(&url).await? {
            return Ok(true);
        }
        let why = self.tried.first().cloned();
        let Some(start) = self.well_known(&url) else { return Ok(false) };
        let is_found = self.at(&start).await?;
        if !is_server(&url) {
            self.found.astray = why;
        }
        Ok(is_found)
    }

    /// Looks at the hosts that the DNS names for the domain (RFC 6764 section 6).
    async fn by_dns(&mut self) -> Result<bool> {
        let client = self.client;
        let Some(domain) = client.address.domain() else { return Ok(false) };
        let services = client.flavor.services().iter();
        for (service, scheme) in services.filter(|(_, scheme)| *scheme == "https" || client.allow_cleartext) {
            let hosts = match client.name_servers.hosts(service, domain).await {
                Ok(hosts) => hosts,
                Err(why) => {
                    client.log(1, || why.clone());
                    self.tried.push(why);
                    continue;
                }
            };
            if hosts.is_empty() {
                self.tried.push(format!("the DNS has no {service}.{domain}"));
            }
            for ServiceHost { host, port, path } in hosts {
                let Ok(root) = Url::parse(&format!("{scheme}://{host}:{port}/")) else { continue };
                client.log(1, || format!("the DNS of {domain} names {} for {service}", shown(&root)));
                if client.http.check_origin(&root).is_err() {
                    self.tried.push(format!("{} belongs to another domain", shown(&root)));
                    self.elsewhere.get_or_insert_with(|| is_elsewhere(domain, &root));
                    continue;
                }
                let starts = path.and_then(|path| root.join(&path).ok()).into_iter();
                for start in starts.chain(self.well_known(&root)).chain([root.clone()]) {
                    match self.at(&start).await {
                        Ok(true) => {
                            self.found.astray = None;
                            return Ok(true);
                        }
                        Err(error) if error.kind == ErrorKind::Credentials => return Err(error),
                        Ok(false) => {}
                        // The next host may be there.
                        Err(error) => {
                            self.tried.push(error.to_string());
                            self.down.get_or_insert(error);
                            break;
                        }
                    }
                }
            }
        }
        Ok(false)
    }

    fn well_known(&self, base: &Url) -> Option<Url> {
        base.join(&format!("/.well-known/{}", self.client.flavor.name())).ok()
    }

    /// Looks from one URL on. True if something was found.
    async fn at(&mut self, start: &Url) -> Result<bool> {
        let home_set = self.client.flavor.home_set();
        let mut known = None;
        let collections = self.client.collections(start).await;
        if let Some((collections, own)) = self.step(start, self.kind(), collections)? {
            let own = own.map(|own| (start.clone(), vec![own]));
            self.found.principal = own.as_ref().and_then(|(at, own)| principal(at, own));
            if !collections.is_empty() {
                self.add(start, collections);
                return Ok(true);
            }
            // What has told of a principal or a home need not be asked again.
            known = own.filter(|(at, own)| principal(at, own).is_some() || !homes(at, own, home_set).is_empty());
        }
        let (at, own) = match known {
            Some(known) => known,
            None => {
                let names = ["D:current-user-principal", "D:principal-URL", home_set];
                let asked = self.client.properties(start, &names).await;
                let Some(asked) = self.step(start, PRINCIPAL, asked)? else { return Ok(false) };
                asked
            }
        };
        let here = own.iter().find_map(|own| resolve(&at, &own.href)).unwrap_or_else(|| at.clone());
        let mut homes = homes(&at, &own, home_set);
        if let Some(principal) = principal(&at, &own) {
            self.found.principal = Some(principal.clone());
            if key(&principal) != key(&at) || homes.is_empty() {
                let asked = self.client.properties(&principal, &[home_set]).await;
                if let Some((at, own)) = self.step(&principal, HOMES, asked)? {
                    homes.extend(self::homes(&at, &own, home_set));
                }
            }
        }
        homes.sort_by_key(identity);
        homes.dedup_by_key(|home| identity(home));
        let mut ends = homes.iter().chain(&self.found.principal);
        let is_regular = is_server(start) || ends.any(|end| is_above(&here, end));
        self.found.astray = self.tried.first().cloned().filter(|_| !is_regular);
        let mut is_found = false;
        for beyond in homes.split_off(homes.len().min(HOMES_MAX)) {
            let why = format!("more than {HOMES_MAX} homes are not listed");
            self.found.failed.push((shown(&beyond), Error::new(ErrorKind::Connection, why)));
        }
        for home in homes {
            let listed = self.client.collections(&home).await;
            match self.step(&home, self.kind(), listed) {
                Ok(Some((collections, _))) => {
                    is_found = true;
                    self.add(&home, collections);
                }
                Ok(None) => {
                    let why = self.tried.last().cloned().unwrap_or_default();
                    self.found.failed.push((shown(&home), Error::new(ErrorKind::Connection, why)));
                }
                Err(error) if error.kind == ErrorKind::Credentials => return Err(error),
                Err(error) => self.found.failed.push((shown(&home), error)),
            }
        }
        Ok(is_found)
    }

    fn add(&mut self, home: &Url, collections: Vec<Collection>) {
        self.found.home.get_or_insert_with(|| home.clone());
        let mut known: BTreeMap<(String, String), Collection> =
            self.found.collections.drain(..).map(|one| (identity(&one.url), one)).collect();
        known.extend(collections.into_iter().map(|one| (identity(&one.url), one)));
        self.found.collections.extend(known.into_values());
    }

    /// The collections of the flavor.
    fn kind(&self) -> Sought {
        match self.client.flavor {
            Flavor::Calendars => ("calendars", "has no calendars"),
            Flavor::Contacts => ("address books", "has no address books"),
            Flavor::Files => ("directories", "has no directories"),
        }
    }

    /// Notes how a step went. Errors: those after which no step would fare better.
    fn step<T>(&mut self, url: &Url, (what, lack): Sought, outcome: Result<T, Failure>) -> Result<Option<T>> {
        match outcome {
            Ok(value) => {
                self.has_answer = true;
                self.tried.push(format!("{} {lack}", shown(url)));
                Ok(Some(value))
            }
            Err(failure) => {
                self.client.log(1, || failure.error.to_string());
                // The login is refused, or would go where the user did not send it, or there is no such server.
                let Some(refusal) = &failure.refusal else { return Err(failure.error) };
                self.tried.push(format!("{}, asked for {what}: {}", shown(url), refusal.why));
                match refusal.status {
                    401..=428 | 501 => self.has_answer = true,
                    _ => drop(self.down.get_or_insert(failure.error)),
                }
                Ok(None)
            }
        }
    }

    fn nothing(self) -> Error {
        let client = self.client;
        // A home that could not be asked, on another host perhaps, says more than that nothing was found.
        if let Some((_, error)) = self.found.failed.into_iter().next() {
            return error;
        }
        if let Some(down) = self.down.filter(|_| !self.has_answer) {
            return down;
        }
        let what = format!("no {} were found from {} on", client.flavor.collections(), shown(client.url()));
        let mut tried = self.tried;
        tried.dedup();
        let tried = tried.join("; ");
        let hint = match client.flavor {
            Flavor::Files => "give the URL of the directory itself".to_owned(),
            _ => format!(
                "give the URL that the provider names for {} (docs/providers.md lists some), or that of one of the {} (tried: {tried})",
                client.flavor.name(),
                client.flavor.collections()
            ),
        };
        Error::new(ErrorKind::Account, what).hint(hint)
    }
}

/// The error of a server that the DNS names, and that may not hear the login: who can change an answer of the DNS must not
/// get it.
fn is_elsewhere(domain: &str, server: &Url) -> Error {
    let what = format!("the DNS of {domain} names a server of another domain, {}", shown(server));
    Error::new(ErrorKind::Account, format!("{what}; nothing secret was sent there"))
        .hint(format!("if that is the provider's server, use --url {server}, or add --allow-other-origin"))
}

/// True for a URL that names no more than a server.
fn is_server(url: &Url) -> bool {
    url.path() == "/" || url.path().starts_with("/.well-known/")
}

/// True if a resource is another one, or lies above it on the same server.
fn is_above(url: &Url, other: &Url) -> bool {
    origin(url) == origin(other) && super::href::below(&key(url), &key(other)).is_some()
}

/// What tells a resource from others: its server and its key.
fn identity(url: &Url) -> (String, String) {
    (origin(url), key(url))
}

/// The principal that a resource names (RFC 5397), or is.
fn principal(at: &Url, responses: &[Response]) -> Option<Url> {
    let named = |name: &str| {
        let href = responses.iter().find_map(|response| response.property(name)?.child("href")?.trimmed());
        href.and_then(|href| resolve(at, href))
    };
    named("current-user-principal").or_else(|| named("principal-URL"))
}

/// The homes that a principal names: several are possible.
fn homes(at: &Url, responses: &[Response], home_set: &str) -> Vec<Url> {
    let name = home_set.rsplit(':').next().unwrap_or(home_set);
    let sets = responses.iter().filter_map(|response| response.property(name));
    let hrefs = sets.flat_map(|set| set.children.iter().filter(|child| child.name == "href"));
    hrefs.filter_map(|href| resolve(at, href.trimmed()?)).collect()
}
