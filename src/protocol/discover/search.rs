//! Asking the DNS and the web for the servers of an address, all at once.

use super::autoconfig;
use super::found::{Discovered, FoundService, ServiceKind};
use crate::error::{Error, ErrorKind, Result};
use crate::net::connector::Connector;
use crate::net::dns::{NameServers, ServiceHost};
use crate::net::endpoint::{Endpoint, Service};
use crate::net::http::{Looked, Method, is_one_domain, look, registrable, shown};
use crate::net::parallel::in_order;
use crate::net::tls::TlsOptions;
use std::collections::BTreeSet;
use std::future::Future;
use std::pin::Pin;
use std::result;
use std::time::Duration;
use tokio::io::AsyncReadExt;
use tokio::time;
use url::Url;

/// Where Mozilla keeps such files of providers that have none of their own.
const DIRECTORY: &str = "https://autoconfig.thunderbird.net/v1.1/";

/// How the servers are looked for.
#[derive(Debug, Clone)]
pub struct Discovery {
    /// Who is asked for records.
    pub name_servers: NameServers,
    /// Which certificates are accepted.
    pub tls: TlsOptions,
    /// Where web servers of the domain listen: 443, but for tests.
    pub web_port: u16,
    /// Where a server of IMAP may have ManageSieve, too: 4190, but for tests.
    pub sieve_port: u16,
    /// The directory of configurations of others. It hears the domain, and not the address. `None`: it is not asked.
    pub directory: Option<String>,
    /// How long one question may take.
    pub patience: Duration,
}

impl Default for Discovery {
    fn default() -> Discovery {
        Discovery {
            name_servers: NameServers::System,
            tls: TlsOptions::default(),
            web_port: 443,
            sieve_port: 4190,
            directory: Some(DIRECTORY.to_owned()),
            patience: Duration::from_secs(8),
        }
    }
}

/// The most bytes of a greeting of ManageSieve.
const GREETING_MAX: usize = 8 << 10;

type Answer = result::Result<Vec<FoundService>, String>;
type Question<'a> = Pin<Box<dyn Future<Output = Answer> + 'a>>;

/// Looks for the servers of an address. All questions run at once; an answer of the domain itself counts before one of others.
///
/// Errors: of [`ErrorKind::Usage`] if that is no address. Nothing found is no error.
pub async fn discover(discovery: &Discovery, address: &str) -> Result<Discovered> {
    let domain = domain_of(address)?;
    let search = Search { discovery, address, domain: &domain };
    let mut found = Discovered::default();
    let bounded = search.questions().into_iter().map(|(what, question)| async move {
        let silent = Err(format!("{what}: no answer within {} s", discovery.patience.as_secs()));
        time::timeout(discovery.patience, question).await.unwrap_or(silent)
    });
    in_order(usize::MAX, bounded, |answer| {
        match answer {
            Ok(services) => {
                for service in services {
                    if found.of(service.kind).is_none() {
                        found.services.push(service);
                    }
                }
            }
            Err(why) => found.unanswered.push(why),
        }
        true
    })
    .await;
    if found.of(ServiceKind::ManageSieve).is_none()
        && let Some(imap) = found.of(ServiceKind::Imap)
    {
        let asked = time::timeout(discovery.patience, search.beside(&imap.url)).await;
        match asked.unwrap_or_else(|_| Err("no answer".to_owned())) {
            Ok(service) => found.services.push(service),
            Err(why) => found.unanswered.push(format!("ManageSieve on the server of IMAP: {why}")),
        }
    }
    found.services.sort_by_key(|service| service.kind);
    Ok(found)
}

/// The domain of an address, as the DNS writes it.
///
/// Errors: of [`ErrorKind::Usage`] if that is no address.
pub fn domain_of(address: &str) -> Result<String> {
    let wrong = || {
        Error::new(ErrorKind::Usage, format!("{address:?} is no mail address")).hint("write it like alice@example.com")
    };
    let (local, domain) = address.rsplit_once('@').ok_or_else(wrong)?;
    if local.is_empty() || address.chars().any(|c| c.is_control() || c.is_whitespace()) {
        return Err(wrong());
    }
    let url = Url::parse(&format!("https://{domain}/")).map_err(|_| wrong())?;
    url.domain()
        .filter(|domain| url.path() == "/" && url.port().is_none() && !domain.is_empty())
        .map(str::to_owned)
        .ok_or_else(wrong)
}

struct Search<'a> {
    discovery: &'a Discovery,
    address: &'a str,
    domain: &'a str,
}

/// The records that name services, in the order of preference, and the schemes of their URLs.
const RECORDS: [(ServiceKind, &str, &str); 6] = [
    (ServiceKind::Imap, "_imaps._tcp", "imaps"),
    (ServiceKind::Imap, "_imap._tcp", "imap"),
    (ServiceKind::Jmap, "_jmap._tcp", "https"),
    (ServiceKind::CalDav, "_caldavs._tcp", "https"),
    (ServiceKind::CardDav, "_carddavs._tcp", "https"),
    (ServiceKind::ManageSieve, "_sieve._tcp", "sieve"),
];

impl Search<'_> {
    /// What is asked, each with its name. An answer counts before those that stand behind it.
    fn questions(&self) -> Vec<(String, Question<'_>)> {
        let mut questions: Vec<(String, Question<'_>)> = Vec::new();
        for (kind, service, scheme) in RECORDS {
            questions.push((format!("{service}.{}", self.domain), Box::pin(self.record(kind, service, scheme))));
        }
        for url in self.own_files() {
            questions.push((place(&url), Box::pin(self.file(url))));
        }
        for kind in [ServiceKind::Jmap, ServiceKind::CalDav, ServiceKind::CardDav] {
            let what = format!("https://{}/.well-known/{}", self.domain, kind.name());
            questions.push((what, Box::pin(self.well_known(kind))));
        }
        if let Some(directory) = &self.discovery.directory {
            questions.push((directory.clone(), Box::pin(self.directory(directory))));
        }
        questions
    }

    /// The best host of a service by its SRV record.
    async fn record(&self, kind: ServiceKind, service: &str, scheme: &str) -> Answer {
        let hosts = self.discovery.name_servers.hosts(service, self.domain).await?;
        let origin = format!("the SRV record {service}.{}", self.domain);
        let found = hosts.iter().find_map(|host| self.service(kind, &url_of(scheme, host), origin.clone()));
        match found {
            Some(service) => Ok(vec![service]),
            None => Err(format!("the DNS has no {service}.{}", self.domain)),
        }
    }

    /// A service at a URL; `None` if no import would take it.
    fn service(&self, kind: ServiceKind, url: &str, origin: String) -> Option<FoundService> {
        let host = match kind {
            ServiceKind::Imap => Endpoint::parse(url, Service::Imap).ok()?.host,
            ServiceKind::ManageSieve => Endpoint::parse(url, Service::Sieve).ok()?.host,
            _ => Url::parse(url)
                .ok()
                .filter(|url| url.scheme() == "https" && url.username().is_empty() && url.password().is_none())?
                .host_str()?
                .to_owned(),
        };
        let is_own = host == self.domain || is_one_domain(&host, self.domain);
        let foreign = (!is_own).then_some(host);
        Some(FoundService {
            kind,
            url: url.to_owned(),
            user: None,
            wants_token: false,
            origin,
            foreign,
            is_confirmed: false,
        })
    }

    /// Where a domain has such a file of its own.
    fn own_files(&self) -> Vec<Url> {
        let (domain, port) = (self.domain, self.discovery.web_port);
        let mut first = Url::parse(&format!("https://autoconfig.{domain}:{port}/mail/config-v1.1.xml"));
        if let Ok(url) = &mut first {
            url.query_pairs_mut().append_pair("emailaddress", self.address);
        }
        let second = Url::parse(&format!("https://{domain}:{port}/.well-known/autoconfig/mail/config-v1.1.xml"));
        [first, second].into_iter().flatten().collect()
    }

    async fn look(&self, method: Method, url: &Url) -> result::Result<Looked, String> {
        look(method, url, &self.discovery.tls, self.discovery.patience / 2).await
    }

    /// The services that a configuration of mail programs names.
    async fn file(&self, url: Url) -> Answer {
        let origin = place(&url);
        let looked = self.look(Method::Get, &url).await?;
        if looked.status != 200 {
            return Err(format!("{origin}: {}", looked.status));
        }
        let entries = autoconfig::read(&looked.body, self.address).map_err(|why| format!("{origin}: {why}"))?;
        let services: Vec<FoundService> = entries
            .into_iter()
            .filter_map(|entry| {
                let service = self.service(entry.kind, &entry.url, origin.clone())?;
                let user = entry.user.filter(|user| !user.is_empty() && !user.chars().any(char::is_control));
                Some(FoundService { user, wants_token: entry.wants_token, ..service })
            })
            .collect();
        match services.is_empty() {
            true => Err(format!("{origin}: it names no server that can be used")),
            false => Ok(services),
        }
    }

    /// The file of the domain in the directory of providers, else that of the domain that takes its mail.
    async fn directory(&self, directory: &str) -> Answer {
        let of = |domain: &str| Url::parse(&format!("{directory}{domain}")).map_err(|error| error.to_string());
        let own = match self.file(of(self.domain)?).await {
            Ok(services) => return Ok(services),
            Err(why) => why,
        };
        let hosts = self.discovery.name_servers.mail_hosts(self.domain).await?;
        let domains: BTreeSet<String> = hosts.iter().take(1).filter_map(|host| registrable(host)).collect();
        match domains.into_iter().find(|domain| domain != self.domain) {
            Some(domain) => self.file(of(&domain)?).await.map_err(|why| format!("{own}; {why}")),
            None => Err(own),
        }
    }

    /// ManageSieve with STARTTLS on the server of IMAP: its greeting is enough (RFC 5804 section 1.7), and nothing is said to it.
    async fn beside(&self, imap: &str) -> result::Result<FoundService, String> {
        let words = |error: Error| error.to_string();
        let host = Endpoint::parse(imap, Service::Imap).map_err(words)?.host;
        let port = self.discovery.sieve_port;
        let url = url_of("sieve", &ServiceHost { host: host.clone(), port, path: None });
        let endpoint = Endpoint::parse(&url, Service::Sieve).map_err(words)?;
        let connector = Connector::new(endpoint, &self.discovery.tls, self.discovery.patience / 2).map_err(words)?;
        let mut stream = connector.connect().await.map_err(words)?;
        let (mut greeting, mut part) = (Vec::new(), [0; 1024]);
        while greeting.len() < GREETING_MAX && !greeting.windows(4).any(|window| window == b"\nOK ") {
            match stream.read(&mut part).await {
                Ok(count) if count > 0 => greeting.extend_from_slice(&part[..count]),
                _ => break,
            }
        }
        let greeting = String::from_utf8_lossy(&greeting).to_ascii_uppercase();
        let has = |name: &str| greeting.lines().any(|line| line.starts_with(&format!("\"{name}\"")));
        if !has("IMPLEMENTATION") || !has("STARTTLS") {
            return Err(format!("{host}:{port} greets as no server of ManageSieve with TLS"));
        }
        let origin = format!("the greeting of {host}:{port}");
        self.service(ServiceKind::ManageSieve, &url, origin).ok_or_else(|| "it leads nowhere".to_owned())
    }

    /// What stands at the well-known URL of a service (RFC 8620 section 2.2, RFC 6764 section 5): something that wants a
    /// login.
    async fn well_known(&self, kind: ServiceKind) -> Answer {
        let (domain, port, name) = (self.domain, self.discovery.web_port, kind.name());
        let url =
            Url::parse(&format!("https://{domain}:{port}/.well-known/{name}")).map_err(|error| error.to_string())?;
        let method = if kind == ServiceKind::Jmap { Method::Get } else { Method::Propfind };
        let looked = self.look(method, &url).await?;
        let is_session = || {
            let session: Option<serde_json::Value> = serde_json::from_slice(&looked.body).ok();
            looked.status == 200 && session.is_some_and(|session| session.get("capabilities").is_some())
        };
        let is_there = match kind {
            ServiceKind::Jmap => looked.wants_login || is_session(),
            _ => looked.wants_login || looked.status == 207,
        };
        if !is_there {
            return Err(format!("{}: {}", shown(&url), looked.status));
        }
        // An import looks at the well-known URL of a server by itself.
        let mut found = looked.url.clone();
        if found.path() == url.path() {
            found.set_path("/");
        }
        let service = self.service(kind, found.as_str(), shown(&url));
        service.map(|service| vec![service]).ok_or_else(|| format!("{}: it leads nowhere", shown(&url)))
    }
}

/// A URL without what is asked there: the address of the user stays out of messages.
fn place(url: &Url) -> String {
    format!("https://{}{}", url.host_str().unwrap_or_default(), url.path())
}

/// The URL of a host; its port only where it is another than that of the scheme.
fn url_of(scheme: &str, host: &ServiceHost) -> String {
    let standard = match scheme {
        "imaps" => 993,
        "imap" => 143,
        "sieve" => 4190,
        _ => 443,
    };
    let port = if host.port == standard { String::new() } else { format!(":{}", host.port) };
    format!("{scheme}://{}{port}{}", host.host, host.path.as_deref().unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_has_a_domain() {
        assert_eq!(domain_of("alice@example.com").expect("a domain"), "example.com");
        assert_eq!(domain_of("\"a@b\"@Bücher.example").expect("a domain"), "xn--bcher-kva.example");
        for wrong in [
            "alice",
            "@example.com",
            "alice@",
            "a b@example.com",
            "a@example.com/x",
            "a@example.com:1",
            "a@192.0.2.1",
            "a@b\n",
        ] {
            assert!(domain_of(wrong).is_err(), "{wrong}");
        }
    }
}
