//! One connection: greeting, STARTTLS, authentication, and the two commands that read. What writes is in `write`.

use super::limits::{NAMES_MAX, SCRIPT_MAX, SCRIPTS_MAX};
use super::wire::{LINE_MAX, Token, Trouble, Wire, string};
use crate::error::{Error, ErrorKind, Result};
use crate::net::account::Account;
use crate::net::connector::Connector;
use crate::net::endpoint::{Security, Service};
use crate::net::probe;
use crate::net::sanitize::said;
use crate::net::sasl::{ACT_REFUSED, Exchange, Line, Mechanism};
use crate::net::secret::Credentials;
use crate::net::stream::Stream;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use std::io;
use std::time::Duration;
use tokio::time;
use zeroize::Zeroizing;

/// Capabilities have some ten lines (section 1.7); more than this is no honest answer.
const CAPABILITIES_MAX: usize = 1_000;

/// A name of a script, as LISTSCRIPTS gives it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Script {
    /// UTF-8 if the server keeps to the standard.
    pub name: Vec<u8>,
    /// The server runs it on arriving mail: at most one script of an account.
    pub is_active: bool,
}

/// What GETSCRIPT gave.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fetched {
    /// Its bytes, as the server keeps them.
    Script(Vec<u8>),
    /// There is none of this name any more.
    Gone,
    /// The server does not hand it out, or it is too large; the reason.
    Refused(String),
}

/// What the server can do, as far as it matters here.
#[derive(Debug, Default)]
pub(super) struct Capabilities {
    sasl: Vec<String>,
    starttls: bool,
    /// VERSION: the server knows all of RFC 5804.
    pub has_version: bool,
}

/// The end of a response.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Outcome {
    Ok,
    No,
    Bye,
}

pub(super) struct Status {
    pub outcome: Outcome,
    /// The response code in upper case (section 1.3), e.g. `TRYLATER`, and its first argument.
    pub code: String,
    argument: Option<Vec<u8>>,
    pub text: String,
}

/// An authenticated connection.
pub struct Client {
    wire: Wire<Stream>,
    connector: Connector,
    pub(super) capabilities: Capabilities,
    is_broken: bool,
}

impl Client {
    /// Connects, encrypts the line as the endpoint wants it, and logs in.
    ///
    /// A refused login is an error of kind [`ErrorKind::Credentials`], everything else one of [`ErrorKind::Connection`].
    ///
    /// `is_known` says that the address has led to such a server before; else the port is looked at if none greets.
    pub async fn open(account: &Account, is_known: bool) -> Result<Client> {
        let greeted = async {
            let mut client = Client::over(account.connector.connect().await?, account.connector.clone());
            client.read_capabilities().await?;
            Ok::<Client, Error>(client)
        };
        let mut client = match is_known {
            true => greeted.await?,
            false => probe::watch(&account.connector, Service::Sieve, greeted).await?,
        };
        if account.connector.endpoint().security == Security::Implicit {
            // Pigeonhole 0.5 does not see a command that comes within about a millisecond of its greeting, and waits for
            // more. No network is as fast as that, but the line to a server on this machine is.
            time::sleep(Duration::from_millis(20)).await;
        }
        if !client.wire.stream().is_encrypted() {
            client = client.encrypt().await?;
        }
        client.authenticate(&account.credentials, account.allow_cleartext).await?;
        Ok(client)
    }

    fn over(stream: Stream, connector: Connector) -> Client {
        let window = connector.timeout();
        Client { wire: Wire::new(stream, window), connector, capabilities: Capabilities::default(), is_broken: false }
    }

    /// Says goodbye, without waiting long for an answer.
    pub async fn close(mut self) {
        const PATIENCE: Duration = Duration::from_secs(2);
        let goodbye = async {
            if self.wire.send(b"LOGOUT\r\n").await.is_ok() {
                let _ = self.wire.line(0).await;
            }
        };
        let _ = time::timeout(PATIENCE, goodbye).await;
    }

    /// All scripts (section 2.7), in the order of the server.
    pub async fn list_scripts(&mut self) -> Result<Vec<Script>> {
        self.send(b"LISTSCRIPTS\r\n", "LISTSCRIPTS").await?;
        let mut scripts = Vec::new();
        let mut bytes = 0;
        loop {
            let tokens = self.line(LINE_MAX as u64).await?;
            let mut tokens = tokens.into_iter();
            match tokens.next() {
                Some(Token::Text(name)) => {
                    let is_active =
                        tokens.any(|token| matches!(token, Token::Atom(word) if word.eq_ignore_ascii_case("ACTIVE")));
                    bytes += name.len();
                    scripts.push(Script { name, is_active });
                    if scripts.len() > SCRIPTS_MAX || bytes > NAMES_MAX {
                        return Err(self.violation("it lists more scripts than an account can have"));
                    }
                }
                Some(first) => {
                    let status = self.status(first, tokens)?;
                    return match status.outcome {
                        Outcome::Ok => Ok(scripts),
                        Outcome::No => Err(self.refused("list the scripts", &status)),
                        Outcome::Bye => Err(self.bye(&status)),
                    };
                }
                None => return Err(self.violation("an empty line")),
            }
        }
    }

    /// The bytes of a script (section 2.9). After an error the connection is of no use any more; see also
    /// [`Client::is_broken`].
    pub async fn get_script(&mut self, name: &[u8]) -> Result<Fetched> {
        let command = [b"GETSCRIPT ".as_slice(), &string(name), b"\r\n"].concat();
        self.send(&command, "GETSCRIPT").await?;
        let mut bytes = None;
        loop {
            let tokens = match self.wire.line(SCRIPT_MAX).await {
                Err(Trouble::TooLarge(size)) if bytes.is_none() => {
                    self.is_broken = true;
                    return Ok(Fetched::Refused(format!(
                        "its {size} bytes are more than the {SCRIPT_MAX} that are fetched"
                    )));
                }
                other => other.map_err(|trouble| self.trouble(trouble))?,
            };
            let mut tokens = tokens.into_iter();
            match tokens.next() {
                Some(Token::Text(text)) if bytes.is_none() => bytes = Some(text),
                Some(first @ Token::Atom(_)) => {
                    let status = self.status(first, tokens)?;
                    return match (status.outcome, bytes) {
                        (Outcome::Ok, Some(bytes)) => Ok(Fetched::Script(bytes)),
                        (Outcome::Ok, None) => Err(self.violation("it says OK to GETSCRIPT and gives no script")),
                        (Outcome::No, _) if status.code == "NONEXISTENT" => Ok(Fetched::Gone),
                        (Outcome::No, _) if status.code == "TRYLATER" => Err(self.refused("get a script", &status)),
                        (Outcome::No, _) => Ok(Fetched::Refused(format!("the server says NO: {}", status.text))),
                        (Outcome::Bye, _) => Err(self.bye(&status)),
                    };
                }
                _ => return Err(self.violation("its answer to GETSCRIPT cannot be read")),
            }
        }
    }

    /// True if the connection is of no use any more, although no call failed: the rest of an answer is still on its way.
    pub fn is_broken(&self) -> bool {
        self.is_broken
    }

    async fn encrypt(mut self) -> Result<Client> {
        let security = self.connector.endpoint().security;
        if !self.capabilities.starttls {
            return match security {
                Security::Clear => Ok(self),
                _ => Err(Error::new(
                    ErrorKind::Connection,
                    format!("{} does not offer STARTTLS", self.connector.endpoint()),
                )
                .hint("nothing secret was sent. Use sieves://, or --allow-cleartext in a network that you trust. (An attacker can hide the offer of STARTTLS)")),
            };
        }
        self.send(b"STARTTLS\r\n", "STARTTLS").await?;
        let status = self.response().await?;
        match status.outcome {
            Outcome::Ok => {}
            Outcome::No => return Err(self.refused("start TLS", &status)),
            Outcome::Bye => return Err(self.bye(&status)),
        }
        let (stream, already_read) = self.wire.into_parts();
        let stream = self.connector.start_tls(stream, &already_read).await?;
        // An attacker may have written what was offered in clear (section 2.2).
        let mut client = Client::over(stream, self.connector);
        client.read_capabilities().await?;
        Ok(client)
    }

    /// The greeting, and what the server says after TLS has begun.
    async fn read_capabilities(&mut self) -> Result<()> {
        self.capabilities = Capabilities::default();
        for _ in 0..CAPABILITIES_MAX {
            let mut tokens = self.line(LINE_MAX as u64).await?.into_iter();
            match tokens.next() {
                Some(Token::Text(name)) => {
                    let value = match tokens.next() {
                        Some(Token::Text(value)) => String::from_utf8_lossy(&value).into_owned(),
                        _ => String::new(),
                    };
                    if name.eq_ignore_ascii_case(b"SASL") {
                        self.capabilities.sasl = value.split_ascii_whitespace().map(str::to_owned).collect();
                    }
                    self.capabilities.has_version |= name.eq_ignore_ascii_case(b"VERSION");
                    self.capabilities.starttls |= name.eq_ignore_ascii_case(b"STARTTLS");
                }
                Some(first) => {
                    let status = self.status(first, tokens)?;
                    return match status.outcome {
                        Outcome::Ok => Ok(()),
                        Outcome::No => Err(self.refused("begin", &status)),
                        Outcome::Bye => Err(self.bye(&status)),
                    };
                }
                None => return Err(self.violation("an empty line")),
            }
        }
        Err(self.violation("its capabilities do not end"))
    }

    async fn authenticate(&mut self, credentials: &Credentials, allow_cleartext: bool) -> Result<()> {
        let line = Line { is_encrypted: self.wire.stream().is_encrypted(), allow_cleartext };
        let offered = self.capabilities.sasl.iter().map(String::as_str);
        let mechanisms = Mechanism::choose(offered, credentials, line, self.connector.endpoint())?;
        let mut last = None;
        for mechanism in mechanisms {
            let mut exchange = match Exchange::new(mechanism, credentials, self.connector.endpoint()) {
                Ok(exchange) => exchange,
                // SCRAM takes less characters than PLAIN does.
                Err(error) if error.kind == ErrorKind::Credentials => {
                    last = Some(error);
                    continue;
                }
                Err(error) => return Err(error),
            };
            let mut status = self.attempt(&mut exchange).await?;
            if let (Outcome::No, Credentials::Bearer { tokens, .. }, Some(token)) =
                (&status.outcome, credentials.login(), exchange.token())
                && tokens.renew(token)?
            {
                exchange = Exchange::new(mechanism, credentials, self.connector.endpoint())?;
                status = self.attempt(&mut exchange).await?;
            }
            match status.outcome {
                Outcome::Ok => return Ok(()),
                Outcome::Bye => return Err(self.bye(&status)),
                Outcome::No if matches!(status.code.as_str(), "TRYLATER" | "REFERRAL") => {
                    return Err(self.refused("log in", &status));
                }
                Outcome::No => {
                    let why = exchange.refusal().map(|why| format!(" ({why})")).unwrap_or_default();
                    let what = format!(
                        "{} refused the login of {} with {}: {}{why}",
                        self.connector.endpoint(),
                        said(credentials.described().as_bytes()),
                        mechanism.name(),
                        status.text
                    );
                    let refused = Error::new(ErrorKind::Credentials, what);
                    last = Some(match credentials.authorization() {
                        Some(_) => refused.hint(ACT_REFUSED),
                        None => refused,
                    });
                    // What was refused once is not tried with another mechanism: some servers lock an account for that.
                    if exchange.has_proved() {
                        break;
                    }
                }
            }
        }
        Err(last.unwrap_or_else(|| self.violation("no mechanism")))
    }

    /// AUTHENTICATE (section 2.1).
    async fn attempt(&mut self, exchange: &mut Exchange) -> Result<Status> {
        let name = exchange.mechanism().name();
        let mut command = Zeroizing::new(format!("AUTHENTICATE \"{name}\"").into_bytes());
        if let Some(initial) = exchange.initial() {
            // An empty first message is `""`, which is not the same as none.
            command.push(b' ');
            command.extend_from_slice(&encoded(&initial));
        }
        command.extend_from_slice(b"\r\n");
        self.send(&command, &format!("AUTHENTICATE {name}")).await?;
        loop {
            let mut tokens = self.line(LINE_MAX as u64).await?.into_iter();
            match tokens.next() {
                Some(Token::Text(challenge)) => {
                    let answer = STANDARD
                        .decode(challenge.trim_ascii())
                        .map_err(|_| self.violation("a challenge is no base64"))
                        .and_then(|challenge| exchange.step(&challenge));
                    match answer {
                        Ok(answer) => {
                            let mut line = encoded(&answer);
                            line.extend_from_slice(b"\r\n");
                            self.send(&line, "(an answer)").await?;
                        }
                        Err(error) => {
                            let _ = self.wire.send(b"\"*\"\r\n").await;
                            return Err(error);
                        }
                    }
                }
                Some(first) => {
                    let status = self.status(first, tokens)?;
                    if matches!(status.outcome, Outcome::Ok) {
                        let data = match (&*status.code, &status.argument) {
                            ("SASL", Some(data)) => Some(
                                STANDARD.decode(data).map_err(|_| self.violation("its last words are no base64"))?,
                            ),
                            _ => None,
                        };
                        exchange.finish(data.as_deref())?;
                    }
                    return Ok(status);
                }
                None => return Err(self.violation("an empty line")),
            }
        }
    }

    pub(super) async fn send(&mut self, bytes: &[u8], shown: &str) -> Result<()> {
        self.connector.log(2, || format!("> {shown}"));
        self.wire.send(bytes).await.map_err(|error| self.connector.broken("write to", error))
    }

    async fn line(&mut self, literal_max: u64) -> Result<Vec<Token>> {
        self.wire.line(literal_max).await.map_err(|trouble| self.trouble(trouble))
    }

    /// A response that consists of its end only.
    pub(super) async fn response(&mut self) -> Result<Status> {
        let mut tokens = self.line(LINE_MAX as u64).await?.into_iter();
        match tokens.next() {
            Some(first) => self.status(first, tokens),
            None => Err(self.violation("an empty line")),
        }
    }

    /// `OK`, `NO` or `BYE`, perhaps a code in parentheses, perhaps a text (section 1.3).
    fn status(&self, first: Token, mut rest: impl Iterator<Item = Token>) -> Result<Status> {
        let outcome = match &first {
            Token::Atom(word) if word.eq_ignore_ascii_case("OK") => Outcome::Ok,
            Token::Atom(word) if word.eq_ignore_ascii_case("NO") => Outcome::No,
            Token::Atom(word) if word.eq_ignore_ascii_case("BYE") => Outcome::Bye,
            _ => return Err(self.violation("its answer is none of OK, NO and BYE")),
        };
        let mut status = Status { outcome, code: String::new(), argument: None, text: String::new() };
        let mut depth = 0;
        for token in rest.by_ref() {
            match token {
                Token::Open => depth += 1,
                Token::Close => depth -= 1,
                Token::Atom(word) if depth == 1 && status.code.is_empty() => status.code = word.to_ascii_uppercase(),
                Token::Text(text) if depth == 1 && status.argument.is_none() => status.argument = Some(text),
                Token::Text(text) if depth <= 0 => status.text = said(&text),
                _ => {}
            }
        }
        if status.text.is_empty() {
            status.text =
                if status.code.is_empty() { "no reason given".to_owned() } else { said(status.code.as_bytes()) };
        }
        self.connector.log(3, || {
            let word = if let Token::Atom(word) = &first { word.as_str() } else { "" };
            format!("< {word} {} {}", status.code, status.text)
        });
        Ok(status)
    }

    /// NO to something that must work.
    pub(super) fn refused(&self, doing: &str, status: &Status) -> Error {
        let endpoint = self.connector.endpoint();
        if let Some(referral) = self.referral(status) {
            return referral;
        }
        let error = Error::new(ErrorKind::Connection, format!("{endpoint} refused to {doing}"));
        if status.code == "TRYLATER" {
            return error.because(io::Error::new(io::ErrorKind::ResourceBusy, status.text.clone()));
        }
        error.because(status.text.clone())
    }

    /// The server ends the conversation.
    pub(super) fn bye(&self, status: &Status) -> Error {
        if let Some(referral) = self.referral(status) {
            return referral;
        }
        let what = format!("{} ended the connection", self.connector.endpoint());
        let error = Error::new(ErrorKind::Connection, what);
        match status.code.as_str() {
            // Another attempt would end in the same way.
            "AUTH-TOO-WEAK" | "ENCRYPT-NEEDED" | "TRANSITION-NEEDED" => error.because(status.text.clone()),
            _ => error.because(io::Error::new(io::ErrorKind::ConnectionAborted, status.text.clone())),
        }
    }

    /// Another server is named (section 1.3, REFERRAL). It is not asked: the user has not trusted it with a password.
    fn referral(&self, status: &Status) -> Option<Error> {
        (status.code == "REFERRAL").then(|| {
            let other = said(status.argument.as_deref().unwrap_or_default());
            Error::new(ErrorKind::Connection, format!("{} refers to {other}", self.connector.endpoint()))
                .hint("nothing secret was sent there. If you trust that server, name it with --url")
        })
    }

    fn trouble(&self, trouble: Trouble) -> Error {
        match trouble {
            Trouble::Io(error) => self.connector.broken("read from", error),
            Trouble::Violation(what) => self.violation(&what),
            Trouble::Slow(why) => {
                let what = format!("gave up reading from {}", self.connector.endpoint());
                Error::new(ErrorKind::Connection, what)
                    .because(io::Error::new(io::ErrorKind::TimedOut, why))
                    .hint("if the server is only slow, raise --timeout")
            }
            Trouble::TooLarge(size) => self.violation(&format!("a string of {size} bytes")),
        }
    }

    fn violation(&self, what: &str) -> Error {
        let endpoint = self.connector.endpoint();
        Error::new(ErrorKind::Connection, format!("{endpoint} does not keep to ManageSieve: {what}"))
            .hint("check host and port; ManageSieve usually has port 4190")
    }
}

/// Base64 in quotes, or as a literal where it is longer than a quoted string may be.
fn encoded(bytes: &[u8]) -> Zeroizing<Vec<u8>> {
    Zeroizing::new(string(Zeroizing::new(STANDARD.encode(bytes)).as_bytes()))
}
