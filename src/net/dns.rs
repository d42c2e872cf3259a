//! Which host offers a service of a domain: SRV (RFC 2782) and the path in TXT (RFC 6764 section 4), and MX.

use super::sanitize::said;
use hickory_resolver::TokioResolver;
use hickory_resolver::config::{NameServerConfig, ResolverConfig};
use hickory_resolver::net::NetError;
use hickory_resolver::net::runtime::TokioRuntimeProvider;
use hickory_resolver::proto::rr::{RData, RecordType};
use std::net::SocketAddr;
use std::time::Duration;

/// Hosts of one service: more are not asked.
const HOSTS_MAX: usize = 4;

/// How long a name server is waited for, twice.
const PATIENCE: Duration = Duration::from_secs(4);

/// A host that offers a service.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServiceHost {
    /// Its name, without a dot at the end.
    pub host: String,
    /// Where it listens.
    pub port: u16,
    /// The path that a TXT record gives (`path=/dav`), where there is one.
    pub path: Option<String>,
}

/// Which name servers are asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum NameServers {
    /// Those of `/etc/resolv.conf`.
    #[default]
    System,
    /// This one.
    At(SocketAddr),
}

impl NameServers {
    /// The hosts that offer a service (`_caldavs._tcp`) of a domain, the best one first. None where the domain says nothing,
    /// or that it does not offer it (a target of `.`).
    ///
    /// Errors: in words, why the question has no answer.
    pub async fn hosts(self, service: &str, domain: &str) -> Result<Vec<ServiceHost>, String> {
        let name = format!("{service}.{}.", domain.trim_end_matches('.'));
        let resolver = self.resolver().map_err(|error| words(&name, &error))?;
        let mut offers: Vec<(u16, u16, String, u16)> = Vec::new();
        for data in records(&resolver, &name, RecordType::SRV).await? {
            let RData::SRV(srv) = data else { continue };
            let host = srv.target.to_ascii().trim_end_matches('.').to_owned();
            if !host.is_empty() && srv.port != 0 {
                offers.push((srv.priority, u16::MAX - srv.weight, host, srv.port));
            }
        }
        if offers.is_empty() {
            return Ok(Vec::new());
        }
        offers.sort();
        offers.truncate(HOSTS_MAX);
        let texts = records(&resolver, &name, RecordType::TXT).await.unwrap_or_default();
        let path = texts.iter().find_map(path);
        let host = |(_, _, host, port)| ServiceHost { host, port, path: path.clone() };
        Ok(offers.into_iter().map(host).collect())
    }

    /// The hosts that take the mail of a domain (MX, RFC 5321 section 5.1), the best one first.
    ///
    /// Errors: in words, why the question has no answer.
    pub async fn mail_hosts(self, domain: &str) -> Result<Vec<String>, String> {
        let name = format!("{}.", domain.trim_end_matches('.'));
        let resolver = self.resolver().map_err(|error| words(&name, &error))?;
        let mut hosts: Vec<(u16, String)> = Vec::new();
        for data in records(&resolver, &name, RecordType::MX).await? {
            let RData::MX(mx) = data else { continue };
            hosts.push((mx.preference, mx.exchange.to_ascii().trim_end_matches('.').to_owned()));
        }
        hosts.sort();
        hosts.truncate(HOSTS_MAX);
        Ok(hosts.into_iter().map(|(_, host)| host).collect())
    }

    fn resolver(self) -> Result<TokioResolver, NetError> {
        let mut builder = match self {
            NameServers::System => TokioResolver::builder_tokio()?,
            NameServers::At(address) => {
                let mut server = NameServerConfig::udp(address.ip());
                server.connections.iter_mut().for_each(|connection| connection.port = address.port());
                let config = ResolverConfig::from_name_servers(vec![server]);
                TokioResolver::builder_with_config(config, TokioRuntimeProvider::default())
            }
        };
        let options = builder.options_mut();
        (options.timeout, options.attempts) = (PATIENCE, 1);
        builder.build()
    }
}

async fn records(resolver: &TokioResolver, name: &str, kind: RecordType) -> Result<Vec<RData>, String> {
    match resolver.lookup(name, kind).await {
        Ok(lookup) => Ok(lookup.answers().iter().map(|record| record.data.clone()).collect()),
        Err(error) if error.is_no_records_found() || error.is_nx_domain() => Ok(Vec::new()),
        Err(error) => Err(words(name, &error)),
    }
}

/// The path in a TXT record of `key=value` (RFC 6763 section 6.3).
fn path(data: &RData) -> Option<String> {
    let RData::TXT(txt) = data else { return None };
    txt.txt_data.iter().find_map(|text| {
        let (key, value) = std::str::from_utf8(text).ok()?.split_once('=')?;
        (key.trim().eq_ignore_ascii_case("path") && value.starts_with('/')).then(|| value.trim().to_owned())
    })
}

fn words(name: &str, error: &NetError) -> String {
    format!("the name server has no answer for {}: {}", name.trim_end_matches('.'), said(error.to_string().as_bytes()))
}
