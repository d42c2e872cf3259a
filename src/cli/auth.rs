//! Flags of imports from a server: where it is, who the user is, and where the secret comes from.

use super::args::number;
use super::shell::{self, Trouble};
use super::ui::{Ui, interrupt_flag, quoted};
use crate::error::{Error, ErrorKind, Result};
use crate::net::account::Account;
use crate::net::connector::Connector;
use crate::net::endpoint::{Endpoint, Service};
use crate::net::secret::{Credentials, Secret, Tokens, names};
use crate::net::tls::{Pin, TlsOptions};
use crate::protocol::jmap::{self, Settings, Which};
use clap::builder::NonEmptyStringValueParser;
use clap::{Arg, Args};
use parking_lot::Mutex;
use std::fs::File;
use std::io::{IsTerminal, Read};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::Arc;
use std::time::{Duration, Instant};
use url::Url;
use zeroize::Zeroizing;

/// How long a command may take that prints a secret.
const PATIENCE: Duration = Duration::from_secs(30);

/// No password is longer; some tokens have ten thousand characters.
const SECRET_MAX: u64 = 64 << 10;

/// The user and the secret of the login.
#[derive(Args)]
#[command(next_help_heading = "Login")]
pub(super) struct Auth {
    /// Log in with a password, as this user
    #[arg(long, value_name = "USER", required_unless_present = "auth_bearer", conflicts_with = "auth_bearer")]
    auth_basic: Option<String>,
    /// The password. Other users can see it in the list of processes: better use --password-file or --password-command
    #[arg(long, value_name = "PASS", requires = "auth_basic", conflicts_with = "auth_bearer")]
    auth_password: Option<String>,
    /// Read the password from this file; a newline at its end is ignored
    #[arg(long, value_name = "FILE", requires = "auth_basic", conflicts_with = "auth_bearer")]
    password_file: Option<PathBuf>,
    /// Run this command with sh and use its output as the password
    #[arg(long, value_name = "CMD", requires = "auth_basic", conflicts_with = "auth_bearer")]
    password_command: Option<String>,
    /// Use the password in this credential of systemd (LoadCredential=NAME:PATH)
    #[arg(long, value_name = "NAME", requires = "auth_basic", conflicts_with = "auth_bearer")]
    password_credential: Option<String>,
    /// Log in with an OAuth 2.0 access token
    #[arg(long, value_name = "TOKEN", num_args = 0..=1)]
    auth_bearer: Option<Option<String>>,
    /// The user that the token is for
    #[arg(long, value_name = "USER", requires = "auth_bearer", conflicts_with = "auth_basic")]
    auth_user: Option<String>,
    /// Run this command with sh and use its output as the token; it runs again if the server refuses the token
    #[arg(long, value_name = "CMD", requires = "auth_bearer", conflicts_with = "auth_basic")]
    token_command: Option<String>,
    /// Use the token in this credential of systemd (LoadCredential=NAME:PATH)
    #[arg(long, value_name = "NAME", requires = "auth_bearer", conflicts_with = "auth_basic")]
    token_credential: Option<String>,
    /// Act as this user, with the login of an administrator or a master user; the archive is this user's
    #[arg(long, value_name = "USER", value_parser = NonEmptyStringValueParser::new())]
    auth_as: Option<String>,
}

/// The server, and how to speak to it.
#[derive(Args)]
#[command(next_help_heading = "Connection")]
pub(super) struct Network {
    /// The server
    // Needed, so it stands first: not among what has a default.
    #[arg(long, help = "URL of the server, e.g. https://jmap.example.com", help_heading = None::<&str>, display_order = 0)]
    url: String,
    /// Give up after this many seconds without an answer, or with next to none; Vandelay asks once more, so a step takes
    /// at most 2.5 times as long
    #[arg(long, value_name = "SECONDS", default_value_t = 60, value_parser = number::<u64>(1..=86_400))]
    timeout: u64,
    /// Retry this many times after a temporary error, with growing pauses; long waits that a server asks for do not count
    #[arg(long, value_name = "N", default_value_t = 5, value_parser = number::<u32>(0..=u64::from(u32::MAX)))]
    max_retries: u32,
    /// Accept only the certificate with this SHA-256 (64 hexadecimal digits), whatever its signature; sha256//BASE64 pins
    /// its key
    #[arg(long, value_name = "HEX")]
    pin_sha256: Option<Pin>,
    /// Accept any certificate. Unsafe: an attacker in between can read everything, the password too
    #[arg(long)]
    allow_invalid_certs: bool,
    /// Log in even if the connection is not encrypted
    #[arg(long)]
    allow_cleartext: bool,
    /// Number of threads; 0 means one for each processor
    #[arg(short = 'j', long, value_name = "N", default_value_t = 0, hide_default_value = true)]
    threads: u32,
}

/// `--url` of IMAP.
pub(super) const IMAP_URL: &str =
    "URL of the server: imaps://mail.example.com, or imap://mail.example.com with STARTTLS";

/// `--url` of ManageSieve.
pub(super) const SIEVE_URL: &str =
    "URL of the server: sieves://mail.example.com, or sieve://mail.example.com with STARTTLS";

/// Says of `--url` what this protocol wants there.
pub(super) fn url_help(help: &'static str) -> impl FnOnce(Arg) -> Arg {
    move |arg| arg.help(help)
}

/// Says of `--auth-user` that this protocol cannot do without.
pub(super) fn user_needed(arg: Arg) -> Arg {
    arg.help("The user that the token is for; needed with --auth-bearer")
}

impl Network {
    /// How many threads may work at once.
    pub(super) fn threads(&self) -> usize {
        match self.threads {
            0 => std::thread::available_parallelism().map_or(1, usize::from),
            threads => threads as usize,
        }
    }

    /// How often something is tried again.
    pub(super) fn max_retries(&self) -> u32 {
        self.max_retries
    }

    /// The account that these flags describe. Finds the secret, so it may run a command or ask at the terminal.
    pub(super) fn account(&self, service: Service, auth: &Auth, ui: &Ui) -> Result<Account> {
        if auth.auth_bearer.is_some() && auth.auth_user.is_none() {
            return Err(Error::new(ErrorKind::Usage, "IMAP and ManageSieve need --auth-user with --auth-bearer"));
        }
        let mut endpoint = Endpoint::parse(&self.url, service)?;
        if self.allow_cleartext {
            endpoint = endpoint.allow_cleartext();
        }
        self.account_at(Connector::new(endpoint, &self.tls(), self.timeout())?, auth, ui)
    }

    /// How to reach a JMAP server. Large blobs wait in `spool`. Finds the secret, as [`Network::account`] does.
    pub(super) fn jmap(&self, auth: &Auth, allow_other_origin: bool, spool: PathBuf, ui: &Ui) -> Result<Settings> {
        auth.check_web()?;
        let home = jmap::address(&self.url)?;
        let connector = Connector::for_http(&home, &self.tls(), self.timeout())?;
        let account = self.account_at(connector, auth, ui)?;
        Ok(Settings { account, home, url: self.url.clone(), allow_other_origin, spool: Some(spool) })
    }

    /// `--url`
    pub(super) fn url(&self) -> &str {
        &self.url
    }

    /// The account on a server that is spoken to over HTTP. Finds the secret, as [`Network::account`] does.
    pub(super) fn web_account(&self, auth: &Auth, url: &Url, ui: &Ui) -> Result<Account> {
        auth.check_web()?;
        self.account_at(Connector::for_http(url, &self.tls(), self.timeout())?, auth, ui)
    }

    fn account_at(&self, connector: Connector, auth: &Auth, ui: &Ui) -> Result<Account> {
        Ok(Account {
            connector: connector.with_log(ui.log()),
            credentials: auth.credentials(ui)?,
            allow_cleartext: self.allow_cleartext,
            max_retries: self.max_retries,
            stop: interrupt_flag(),
        })
    }

    fn tls(&self) -> TlsOptions {
        TlsOptions { allow_invalid_certs: self.allow_invalid_certs, pin: self.pin_sha256 }
    }

    fn timeout(&self) -> Duration {
        Duration::from_secs(self.timeout)
    }
}

/// Which account of a JMAP server.
#[derive(Args)]
#[command(next_help_heading = "Account")]
pub(super) struct WhichAccount {
    /// Use the account with this name (from the session, else of a principal)
    #[arg(long, value_name = "NAME", required_unless_present = "account_id", conflicts_with = "account_id")]
    account_name: Option<String>,
    /// Use the account with this id
    #[arg(long, value_name = "ID")]
    account_id: Option<String>,
}

impl WhichAccount {
    /// True if the flags choose one.
    pub(super) fn is_given(&self) -> bool {
        self.account_id.is_some() || self.account_name.is_some()
    }

    /// The account that the flags choose.
    pub(super) fn which(&self) -> Which {
        match (&self.account_id, &self.account_name) {
            (Some(id), _) => Which::Id(id.clone()),
            (None, name) => Which::Name(name.clone().unwrap_or_default()),
        }
    }
}

impl Auth {
    /// The credentials, with the secret from the first place that has one: the flag, the file, the command, the
    /// credential that a flag names, the environment, systemd's credentials of the usual names, the terminal.
    fn credentials(&self, ui: &Ui) -> Result<Credentials> {
        let login = self.login(ui)?;
        Ok(match &self.auth_as {
            Some(user) => Credentials::ActingAs { user: user.clone(), login: Box::new(login) },
            None => login,
        })
    }

    /// Errors: HTTP has no place for the user to act as, so the login name must have both.
    fn check_web(&self) -> Result<()> {
        let Some(user) = &self.auth_as else { return Ok(()) };
        let login = self.auth_basic.as_deref().unwrap_or_default();
        if names(login, user) {
            return Ok(());
        }
        Err(Error::new(ErrorKind::Usage, "--auth-as does not work here: over HTTP a server cannot be told to act as another user").hint(format!(
            "where the server takes login names with both, as Stalwart does, give --auth-basic {} beside it; elsewhere log in as the administrator without --auth-as and choose the user's account (JMAP: --account-name) or give the user's home as --url (docs/login.md)",
            quoted(&format!("{user}%ADMIN"))
        )))
    }

    fn login(&self, ui: &Ui) -> Result<Credentials> {
        if let Some(user) = &self.auth_basic {
            if self.auth_password.is_some() {
                ui.warn("other users can see a password on the command line in the list of processes; use --password-file or --password-command");
            }
            let places = (&self.auth_password, &self.password_file, &self.password_command, &self.password_credential);
            let password = match places {
                (Some(password), ..) => Secret::new(password.clone()),
                (None, Some(path), ..) => from_file(path, ui)?,
                (None, None, Some(command), _) => from_command("--password-command", command, PATIENCE)?,
                (None, None, None, Some(name)) => from_credential("--password-credential", name, ui)?,
                (None, None, None, None) => {
                    elsewhere("password", "VANDELAY_PASSWORD", &format!("Password of {user}: "), ui)?
                }
            };
            return Ok(Credentials::Basic { user: user.clone(), password });
        }
        let user = self.auth_user.clone().unwrap_or_default();
        let given = self.auth_bearer.clone().flatten();
        if given.is_some() {
            ui.warn("other users can see a token on the command line in the list of processes; use --token-command or VANDELAY_TOKEN");
        }
        let first = match (given, &self.token_command, &self.token_credential) {
            (Some(token), ..) => Secret::new(token),
            (None, Some(command), _) => from_command("--token-command", command, PATIENCE)?,
            (None, None, Some(name)) => from_credential("--token-credential", name, ui)?,
            (None, None, None) => elsewhere("token", "VANDELAY_TOKEN", &format!("Token of {user}: "), ui)?,
        };
        let tokens = Renewable { current: Mutex::new(first), command: self.token_command.clone() };
        Ok(Credentials::Bearer { user, tokens: Arc::new(tokens) })
    }
}

/// A token, and perhaps the command that gives the next one.
struct Renewable {
    current: Mutex<Secret>,
    command: Option<String>,
}

impl Tokens for Renewable {
    fn token(&self) -> Result<Secret> {
        Ok(self.current.lock().clone())
    }

    fn renew(&self, refused: &Secret) -> Result<bool> {
        let mut current = self.current.lock();
        if current.expose() != refused.expose() {
            return Ok(true);
        }
        let Some(command) = &self.command else { return Ok(false) };
        let next = from_command("--token-command", command, PATIENCE)?;
        let differs = next.expose() != refused.expose();
        *current = next;
        Ok(differs)
    }
}

/// A secret that no flag leads to.
fn elsewhere(what: &str, variable: &str, prompt: &str, ui: &Ui) -> Result<Secret> {
    if let Some(value) = std::env::var_os(variable).filter(|value| !value.is_empty()) {
        let text = value.into_string().map_err(|_| missing(format!("{variable} is not UTF-8")))?;
        return Ok(Secret::new(text));
    }
    if let Some(directory) = std::env::var_os("CREDENTIALS_DIRECTORY") {
        for name in [format!("vandelay-{what}"), what.to_owned()] {
            let path = Path::new(&directory).join(name);
            if path.exists() {
                return from_file(&path, ui);
            }
        }
    }
    if !std::io::stdin().is_terminal() {
        let flags = match what {
            "token" => "--token-command, --token-credential",
            _ => "--password-file, --password-command, --password-credential",
        };
        return Err(missing(format!("no {what} is given, and there is no terminal to ask for it"))
            .hint(format!("use {flags}, the variable {variable}, or systemd's LoadCredential=vandelay-{what}:PATH")));
    }
    // Ctrl-C raises the flag and does not end the program, so the terminal gets its settings back.
    let _flag = interrupt_flag();
    let text = rpassword::prompt_password(prompt).map_err(|error| match error.kind() {
        std::io::ErrorKind::Interrupted => Error::new(ErrorKind::Interrupted, "interrupted"),
        _ => missing(format!("no {what} was typed: {error}")),
    })?;
    if text.is_empty() {
        return Err(missing(format!("no {what} was typed")));
    }
    Ok(Secret::new(text))
}

fn from_file(path: &Path, ui: &Ui) -> Result<Secret> {
    let cannot = |error| Error::io(format!("cannot read {}", path.display()), error);
    let file = File::open(path).map_err(cannot)?;
    let meta = file.metadata().map_err(cannot)?;
    if meta.is_file() && meta.permissions().mode() & 0o004 != 0 {
        ui.warn(&format!(
            "every user of this machine can read {}; run: chmod 600 {}",
            path.display(),
            quoted(&path.display().to_string())
        ));
    }
    let mut bytes = Zeroizing::new(Vec::new());
    file.take(SECRET_MAX + 1).read_to_end(&mut bytes).map_err(cannot)?;
    secret(&path.display().to_string(), &bytes)
}

/// The secret in a credential that systemd hands to a service (systemd.exec(5), CREDENTIALS).
fn from_credential(flag: &str, name: &str, ui: &Ui) -> Result<Secret> {
    if name.is_empty() || name.contains('/') || [".", ".."].contains(&name) {
        let why = format!("{flag} '{name}' is no name of a credential");
        return Err(Error::new(ErrorKind::Usage, why).hint("give a name without '/'; for a path, use --password-file"));
    }
    let line = format!("write LoadCredential={name}:/PATH/OF/THE/SECRET in the [Service] section of the unit");
    let Some(directory) = std::env::var_os("CREDENTIALS_DIRECTORY").filter(|directory| !directory.is_empty()) else {
        let why = format!("{flag} '{name}': systemd gave this process no credentials");
        return Err(missing(why).hint(format!("{line}, and start it with systemctl")));
    };
    let path = Path::new(&directory).join(name);
    if !path.exists() {
        let why = format!("{flag} '{name}': {} has no such credential", path.with_file_name("").display());
        return Err(missing(why).hint(line));
    }
    from_file(&path, ui)
}

/// The secret in the output of a file or a command, without the newline at its end.
fn secret(origin: &str, bytes: &[u8]) -> Result<Secret> {
    let text = bytes.strip_suffix(b"\n").unwrap_or(bytes);
    let text = text.strip_suffix(b"\r").unwrap_or(text);
    match std::str::from_utf8(text) {
        _ if text.len() as u64 > SECRET_MAX => {
            Err(missing(format!("{origin} is too long for a password or token (more than 64 KiB)")))
        }
        Ok("") => Err(missing(format!("{origin} is empty"))),
        Ok(text) => Ok(Secret::new(text.to_owned())),
        Err(_) => Err(missing(format!("{origin} is not UTF-8"))),
    }
}

/// Runs a command of the user in a process group of its own, so that nothing of it is left when it takes too long.
fn from_command(flag: &str, command: &str, patience: Duration) -> Result<Secret> {
    // The name of the program says which command it was; other words might be secrets, also in front of it.
    let program = command.split_whitespace().find(|word| !word.contains('=')).unwrap_or_default();
    let name = format!("{flag} '{program}'");
    let failed = |trouble: Trouble| {
        let hint = match trouble {
            Trouble::TooLong(_) => "run it in a terminal to see what it waits for",
            _ => "run it in a terminal to see why",
        };
        missing(format!("{name} {trouble}")).hint(hint)
    };
    let mut child = shell::start(command, Stdio::piped(), &[]).map_err(failed)?;
    let output = child.stdout.take();
    let (sender, receiver) = std::sync::mpsc::sync_channel(1);
    std::thread::spawn(move || {
        let mut bytes = Zeroizing::new(Vec::new());
        let read = output.map(|output| output.take(SECRET_MAX + 1).read_to_end(&mut bytes));
        let _ = sender.send(read.unwrap_or(Ok(0)).map(|_| bytes));
    });
    let begun = Instant::now();
    let Ok(read) = receiver.recv_timeout(patience) else {
        shell::kill(&mut child);
        return Err(failed(Trouble::TooLong(patience)));
    };
    shell::wait(&mut child, patience.saturating_sub(begun.elapsed()), || false).map_err(|trouble| match trouble {
        Trouble::TooLong(_) => failed(Trouble::TooLong(patience)),
        trouble => failed(trouble),
    })?;
    match read {
        Ok(bytes) => secret(&format!("the output of {name}"), &bytes),
        Err(_) => Err(missing(format!("cannot read the output of {name}"))),
    }
}

fn missing(what: String) -> Error {
    Error::new(ErrorKind::Credentials, what)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::Command;

    fn command(command: &str) -> Result<Secret> {
        from_command("--password-command", command, Duration::from_secs(20))
    }

    #[test]
    fn commands_give_secrets() {
        assert_eq!(command("printf 'a b\\n'").expect("a secret").expose(), "a b");
        assert_eq!(command("printf ' a\\n\\n'").expect("a secret").expose(), " a\n");
        assert_eq!(command("printf x").expect("a secret").expose(), "x");
        for (line, why) in [("exit 3", "exit status: 3"), ("true", "empty"), ("printf '\\377'", "UTF-8")] {
            let error = command(line).err().expect(line);
            assert!(error.kind == ErrorKind::Credentials && error.to_string().contains(why), "{error}");
        }
        assert!(command("head -c 100000 /dev/zero").is_err());
        let error = command("SESSION=S3CRET false S3CRET").err().expect("an error").to_string();
        assert!(error.contains("'false'") && !error.contains("S3CRET"), "{error}");
    }

    #[test]
    fn a_command_that_hangs_is_ended_with_all_its_children() {
        let begun = Instant::now();
        for line in ["sleep 61.25 | cat; echo hunter2", "exec >&-; sleep 61.25", "sleep 61.25 & echo x"] {
            let error = from_command("--password-command", line, Duration::from_millis(300)).err().expect(line);
            assert!(error.to_string().contains("did not end within"), "{error}");
            assert!(!error.to_string().contains("hunter2"));
        }
        assert!(begun.elapsed() < Duration::from_secs(20));
        let left = Command::new("pgrep").args(["-f", "sleep 61[.]25"]).output().expect("pgrep runs");
        assert_eq!(String::from_utf8_lossy(&left.stdout), "");
    }

    #[test]
    fn a_token_is_renewed_once_for_all() {
        let tokens =
            Renewable { current: Mutex::new(Secret::new("old".to_owned())), command: Some("echo new".to_owned()) };
        let old = tokens.token().expect("a token");
        assert!(tokens.renew(&old).expect("another"));
        assert!(tokens.renew(&old).expect("renewed already"));
        let new = tokens.token().expect("a token");
        assert_eq!(new.expose(), "new");
        assert!(!tokens.renew(&new).expect("the same again"));
    }
}
