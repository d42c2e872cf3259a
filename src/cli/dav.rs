//! Flags of servers of CalDAV, CardDAV and WebDAV.

use super::args::number;
use super::auth::{Auth, Network};
use super::ui::Ui;
use crate::error::Result;
use crate::net::dns::NameServers;
use crate::protocol::dav::{Address, Flavor, Settings};
use clap::Args;
use std::path::PathBuf;

/// `--url` of CalDAV and CardDAV.
pub(super) const DAV_URL: &str =
    "URL of the server or of anything below it that is yours (https://dav.example.com), or a domain (example.com)";

/// `--url` of WebDAV.
pub(super) const FILES_URL: &str = "URL of the directory, e.g. https://cloud.example.com/remote.php/dav/files/alice";

/// The server, and how to speak to it.
#[derive(Args)]
pub(super) struct DavServer {
    /// Send at most this many requests at the same time, 1 to 8
    #[arg(long, value_name = "N", default_value_t = 4, value_parser = number::<u64>(1..=u64::MAX), help_heading = "Connection")]
    dav_connections: u64,
    /// Request this many events or cards at a time (default: 50, and up to 400 once the answers prove small)
    #[arg(long, value_name = "N", value_parser = number::<u64>(1..=1000), help_heading = "Connection")]
    multiget_batch: Option<u64>,
    /// Also send the login to other hosts that this server refers to
    #[arg(long, help_heading = "Connection")]
    pub(super) allow_other_origin: bool,
    #[command(flatten)]
    pub(super) auth: Auth,
    #[command(flatten)]
    pub(super) network: Network,
}

impl DavServer {
    /// How to reach the server. Large bodies wait in `spool`. Finds the secret, so it may run a command or ask at the
    /// terminal.
    pub(super) fn settings(&self, flavor: Flavor, spool: PathBuf, ui: &Ui) -> Result<Settings> {
        let address = Address::parse(self.network.url(), flavor)?;
        Ok(Settings {
            account: self.network.web_account(&self.auth, address.url(), ui)?,
            address,
            name_servers: NameServers::System,
            flavor,
            known: None,
            allow_other_origin: self.allow_other_origin,
            connections: self.dav_connections.min(self.network.threads() as u64 * 4) as usize,
            batch: self.multiget_batch.map(|batch| batch as usize),
            spool: Some(spool),
        })
    }

    /// How often something is tried again.
    pub(super) fn max_retries(&self) -> u32 {
        self.network.max_retries()
    }
}
