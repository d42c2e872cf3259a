//! `vandelay config init`: asks for an address, finds its servers, and writes the file that `vandelay run` reads.

use super::config_place;
use super::config_text::{self, Account, Login};
use super::json::on_disk;
use super::ui::{Ui, interrupt_flag, quoted};
use crate::error::{Error, ErrorKind, Result};
use crate::net::runtime::Runtime;
use crate::protocol::discover::{Discovered, Discovery, FoundService, ServiceKind, discover, domain_of};
use clap::{Args, Subcommand};
use rustix::process::geteuid;
use std::collections::BTreeMap;
use std::fs::Permissions;
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf, absolute};

#[derive(Subcommand)]
pub(crate) enum ConfigCommand {
    /// Ask for an address, look for its servers, and write a configuration file for 'vandelay run'
    Init(Init),
}

impl ConfigCommand {
    pub(crate) fn run(self, ui: &Ui) -> Result<()> {
        match self {
            ConfigCommand::Init(init) => init.run(ui),
        }
    }
}

#[derive(Args)]
pub(crate) struct Init {
    /// Write this file (default: ~/.config/vandelay/config.toml, for root /etc/vandelay/config.toml). A file that exists stays
    /// as it is: then the lines to add to it are printed
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// The mail address of the account
    #[arg(long, value_name = "ADDRESS")]
    address: Option<String>,
    /// The archive of the account (default: ~/backup/NAME.sqlite, for root /var/lib/vandelay/NAME.sqlite)
    #[arg(long, value_name = "FILE")]
    archive: Option<PathBuf>,
    /// How the account logs in: with a password (also one made for programs), or a token of OAuth 2.0
    #[arg(long, value_enum)]
    login: Option<Login>,
    /// Where the password is: a command that prints it
    #[arg(long, value_name = "CMD", help_heading = "Login", group = "secret")]
    password_command: Option<String>,
    /// Where the password is: a file
    #[arg(long, value_name = "FILE", help_heading = "Login", group = "secret")]
    password_file: Option<PathBuf>,
    /// Where the password is: a credential of systemd
    #[arg(long, value_name = "NAME", help_heading = "Login", group = "secret")]
    password_credential: Option<String>,
    /// Where the token is: a command that prints it
    #[arg(long, value_name = "CMD", help_heading = "Login", group = "secret")]
    token_command: Option<String>,
    /// Where the token is: a credential of systemd
    #[arg(long, value_name = "NAME", help_heading = "Login", group = "secret")]
    token_credential: Option<String>,
    /// Look for no servers: write the file with examples
    #[arg(long)]
    offline: bool,
    /// Ask nothing: take the default of each question, and servers of other domains, too
    #[arg(short, long)]
    yes: bool,
}

impl Init {
    fn run(self, ui: &Ui) -> Result<()> {
        let is_root = geteuid().is_root();
        let path = match &self.config {
            Some(path) => path.clone(),
            None => default_path(is_root)?,
        };
        let address = self.address(ui)?;
        let login = self.kind(ui)?;
        let mut found = self.found(&address, ui)?;
        self.confirm(&mut found, ui)?;
        let user = found.of(ServiceKind::Imap).and_then(|service| service.user.clone());
        let name = account_name(&address);
        let archive = match &self.archive {
            Some(path) => whole(path)?,
            None if is_root => format!("/var/lib/vandelay/{name}.sqlite"),
            None => format!("~/backup/{name}.sqlite"),
        };
        let secret = self.secret(login, ui)?;
        let account =
            Account { name, archive, user: user.unwrap_or_else(|| address.clone()), address, login, secret, found };
        let has_written = write(&path, &config_text::file(&account))?;
        self.report(&account, &path, has_written, ui);
        Ok(())
    }

    fn address(&self, ui: &Ui) -> Result<String> {
        let address = match &self.address {
            Some(address) => address.trim().to_owned(),
            None if self.yes => String::new(),
            None => ui.ask("Mail address: ")?.trim().to_owned(),
        };
        if address.is_empty() {
            return Err(Error::new(ErrorKind::Usage, "no mail address is given").hint("give it with --address"));
        }
        domain_of(&address).map(|_| address)
    }

    fn kind(&self, ui: &Ui) -> Result<Login> {
        let by_secret = match (&self.token_command, &self.token_credential) {
            (None, None) if self.secret_flags() => Some(Login::Password),
            (None, None) => None,
            _ => Some(Login::Token),
        };
        if let (Some(kind), Some(other)) = (self.login, by_secret)
            && kind != other
        {
            return Err(Error::new(ErrorKind::Usage, "--login and the place of the secret do not go together")
                .hint("a password comes with --password-…, a token with --token-…"));
        }
        Ok(match self.login.or(by_secret) {
            Some(kind) => kind,
            None if self.yes => Login::Password,
            None => {
                let answer = ui.ask("Log in with a password, or with a token (OAuth 2.0)? [password] ")?;
                match answer.trim().to_lowercase().as_str() {
                    "" | "p" | "password" => Login::Password,
                    "t" | "token" => Login::Token,
                    other => {
                        let what = format!("{other:?} is neither 'password' nor 'token'");
                        return Err(Error::new(ErrorKind::Usage, what).hint("run it again, or give --login"));
                    }
                }
            }
        })
    }

    fn secret_flags(&self) -> bool {
        self.password_command.is_some() || self.password_file.is_some() || self.password_credential.is_some()
    }

    fn found(&self, address: &str, ui: &Ui) -> Result<Discovered> {
        if self.offline {
            return Ok(Discovered::default());
        }
        ui.info(&format!("looking for the servers of {address}"));
        let discovery = Discovery::default();
        Runtime::new(interrupt_flag())?.run(discover(&discovery, address))
    }

    /// Asks about services of other domains: the DNS can be forged, and only the user knows their provider. Those that are
    /// not confirmed stay as comments.
    fn confirm(&self, found: &mut Discovered, ui: &Ui) -> Result<()> {
        let mut answers: BTreeMap<String, bool> = BTreeMap::new();
        for service in &mut found.services {
            ui.info(&format!("found {}: {} ({})", service.kind.name(), service.url, service.origin));
            let Some(host) = &service.foreign else { continue };
            if self.yes {
                ui.warn(&format!("{host} is of another domain than the address: check that it is your provider's"));
                service.is_confirmed = true;
                continue;
            }
            service.is_confirmed = match answers.get(host) {
                Some(answer) => *answer,
                None => {
                    let question =
                        format!("{host} is of another domain than the address. Is it your provider's? [y/N] ");
                    matches!(ui.ask(&question)?.trim().to_lowercase().as_str(), "y" | "yes")
                }
            };
            answers.insert(host.clone(), service.is_confirmed);
        }
        for why in &found.unanswered {
            ui.detail(why);
        }
        Ok(())
    }

    /// The key that says where the secret is, and its value.
    fn secret(&self, login: Login, ui: &Ui) -> Result<Option<(&'static str, String)>> {
        let file = self.password_file.as_deref().map(whole).transpose()?;
        let flags = [
            ("password-command", &self.password_command),
            ("password-file", &file),
            ("password-credential", &self.password_credential),
            ("token-command", &self.token_command),
            ("token-credential", &self.token_credential),
        ];
        if let Some((key, Some(value))) = flags.into_iter().find(|(_, value)| value.is_some()) {
            return Ok(Some((key, value.clone())));
        }
        if self.yes {
            return Ok(None);
        }
        let (what, key) = match login {
            Login::Password => ("password", "password-command"),
            Login::Token => ("token", "token-command"),
        };
        let question = format!("A command that prints the {what}, e.g. pass show mail (empty: fill it in later): ");
        let answer = ui.ask(&question)?.trim().to_owned();
        Ok((!answer.is_empty()).then_some((key, answer)))
    }

    fn report(&self, account: &Account, path: &Path, has_written: bool, ui: &Ui) {
        let found = &account.found;
        if ui.json {
            let service = |one: &FoundService| {
                serde_json::json!({
                    "kind": one.kind.name(),
                    "url": one.url,
                    "origin": one.origin,
                    "other_domain": one.foreign,
                    "is_used": one.is_used(),
                })
            };
            ui.object(
                "summary",
                serde_json::json!({
                    "config": on_disk(path),
                    "account": account.name,
                    "written": has_written,
                    "services": found.services.iter().map(service).collect::<Vec<_>>(),
                    "not_found": account.missing(),
                    "unanswered": found.unanswered,
                }),
            );
        }
        let missing = account.missing();
        if !missing.is_empty() && !self.offline {
            ui.info(&format!("not found: {}; the file has examples to fill in", missing.join(", ")));
        }
        if account.login == Login::Password && found.of(ServiceKind::Imap).is_some_and(|imap| imap.wants_token) {
            ui.warn("this provider takes tokens only: --login token");
        }
        let shown = quoted(&path.display().to_string());
        if has_written {
            ui.info(&format!("wrote {shown}"));
        } else {
            ui.info(&format!("{shown} is there already and stays as it is; add these lines to it"));
            let head = format!("[account.{}", account.name);
            if path.is_file() && std::fs::read_to_string(path).is_ok_and(|text| text.contains(&head)) {
                ui.warn(&format!("it has an account {} already: give this one another name", account.name));
            }
            if !ui.json {
                ui.line(config_text::account(account).trim_end());
            }
        }
        if !found.services.iter().any(FoundService::is_used) {
            ui.info("first write the URL of a server there: take the '#' of its line away");
        }
        if account.secret.is_none() {
            ui.info("first write there where the secret is: the lines with password- or token-");
        }
        let archive = Path::new(&account.archive);
        if let Some(folder) = archive.parent().filter(|folder| archive.is_absolute() && !folder.is_dir()) {
            ui.info(&format!(
                "first make the folder of the archive: mkdir -p {}",
                quoted(&folder.display().to_string())
            ));
        }
        let flag = self.config.as_ref().map_or_else(String::new, |_| format!(" --config {shown}"));
        ui.info(&format!("next: vandelay run --check{flag} tests each login, vandelay run{flag} makes the backup"));
    }
}

/// Where the file is if `--config` does not say it.
fn default_path(is_root: bool) -> Result<PathBuf> {
    if is_root {
        return Ok(PathBuf::from(config_place::SYSTEM));
    }
    config_place::own().ok_or_else(|| {
        Error::new(ErrorKind::Usage, "neither XDG_CONFIG_HOME nor HOME is set")
            .hint("say where to write with --config FILE")
    })
}

/// A path as it can stand in a file of another directory.
fn whole(path: &Path) -> Result<String> {
    if path.starts_with("~") {
        return Ok(path.display().to_string());
    }
    let path = absolute(path).map_err(|error| Error::io(format!("cannot use {}", path.display()), error))?;
    path.into_os_string().into_string().map_err(|path| {
        Error::new(ErrorKind::Usage, format!("{} is not UTF-8, and cannot stand in a file of TOML", path.display()))
    })
}

/// The local part, as a bare key of TOML and a name of a file.
fn account_name(address: &str) -> String {
    let local = address.rsplit_once('@').map_or(address, |(local, _)| local);
    let name: String =
        local.chars().map(|c| if c.is_ascii_alphanumeric() || "-_".contains(c) { c } else { '-' }).collect();
    match name.trim_matches('-') {
        "" => "account".to_owned(),
        name => name.to_owned(),
    }
}

/// Writes a new file that only its owner can read, whole or not at all. False if there is one already.
fn write(path: &Path, text: &str) -> Result<bool> {
    let cannot = |error| Error::io(format!("cannot write {}", path.display()), error);
    if path.symlink_metadata().is_ok() {
        return Ok(false);
    }
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    std::fs::create_dir_all(folder).map_err(cannot)?;
    // A temporary file has mode 0600. That of the machine is read by the user of the unit, and holds no secret.
    let mut file = tempfile::NamedTempFile::new_in(folder).map_err(cannot)?;
    if path == Path::new(config_place::SYSTEM) {
        file.as_file().set_permissions(Permissions::from_mode(0o644)).map_err(cannot)?;
    }
    file.write_all(text.as_bytes()).and_then(|()| file.as_file().sync_all()).map_err(cannot)?;
    match file.persist_noclobber(path) {
        Ok(_) => Ok(true),
        Err(error) if error.error.kind() == std::io::ErrorKind::AlreadyExists => Ok(false),
        Err(error) => Err(cannot(error.error)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_accounts_are_bare_keys() {
        for (address, name) in [
            ("alice@example.com", "alice"),
            ("Alice.B+x@example.com", "Alice-B-x"),
            ("ä@example.com", "account"),
            ("../x@example.com", "x"),
        ] {
            assert_eq!(account_name(address), name);
        }
    }

    #[test]
    fn a_file_that_is_there_stays() {
        use std::os::unix::fs::PermissionsExt;
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("a/b/config.toml");
        assert!(write(&path, "one").expect("written"));
        assert!(!write(&path, "two").expect("not written"));
        assert_eq!(std::fs::read_to_string(&path).expect("the file"), "one");
        assert_eq!(path.metadata().expect("the file").permissions().mode() & 0o777, 0o600);
        let dangling = dir.path().join("link");
        std::os::unix::fs::symlink(dir.path().join("nowhere"), &dangling).expect("a link");
        assert!(!write(&dangling, "two").expect("not written"), "a link is not followed");
        assert_eq!(
            std::fs::read_dir(path.parent().expect("a folder")).expect("a folder").count(),
            1,
            "nothing is left"
        );
    }
}
