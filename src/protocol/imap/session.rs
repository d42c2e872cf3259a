//! What a source needs of an IMAP server, whatever becomes of the connections: connects when it is asked something,
//! logs in, and goes on with a new connection where an old one broke.

use super::client::{Client, Options};
use super::error::{Error, Fault, Result as ImapResult};
use super::select::Selected;
use crate::error::{self, Result};
use crate::net::account::Account;
use crate::net::endpoint::{Security, Service};
use crate::net::probe;
use crate::net::retry::Backoff;
use crate::net::sanitize::said;
use crate::net::sasl::{ACT_REFUSED, Exchange, Line, Mechanism, cannot_act};
use crate::net::secret::Credentials;
use crate::net::stream::Stream;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::Duration;
use tokio::time;

/// How often a question is repeated over which the server breaks down while logins work; then the question is to blame.
const BREAKDOWNS: u32 = 2;

/// After this many questions in a row over which the server broke down, the server is to blame.
const BLAMED_MAX: u32 = 32;

/// A question over which the server was silent counts as this many, since each takes twice the time limit.
const SILENCE: u32 = 8;

/// What the connections of one account know together.
#[derive(Debug, Default)]
pub struct Shared {
    /// A login succeeded in this run: the address is right.
    is_known: AtomicBool,
    /// Questions in a row over which the server broke down.
    blamed: AtomicU32,
    /// Messages in a row over which the server broke down, as the downloads count them.
    pub messages: AtomicU32,
}

/// One connection to an account, made anew as often as it has to be.
pub struct Session {
    account: Account,
    /// Ask for COMPRESS=DEFLATE (`--compress`).
    compress: bool,
    spool: Option<PathBuf>,
    client: Option<Client<Stream>>,
    /// The mailbox that is open, and how it was when it was opened.
    opened: Option<(Vec<u8>, Selected)>,
    backoff: Backoff,
    /// Bytes that the connection had brought when the question began.
    heard_before: u64,
    shared: Arc<Shared>,
}

impl Session {
    /// Nothing is sent before the first question. Large bodies go to unnamed files in `spool`.
    pub fn new(account: Account, compress: bool, spool: Option<PathBuf>, shared: Arc<Shared>) -> Session {
        let connector = &account.connector;
        let backoff = Backoff::new(account.max_retries, connector.timeout(), connector.listener());
        Session { account, compress, spool, client: None, opened: None, backoff, heard_before: 0, shared }
    }

    /// What all connections of the account know together.
    pub fn shared(&self) -> &Arc<Shared> {
        &self.shared
    }

    /// Asks something, with a connection made if there is none, and again as long as the failure is one that time or
    /// another token heals. The question is asked from its start each time.
    pub async fn ask<T>(&mut self, mut question: impl AsyncFnMut(&mut Client<Stream>) -> ImapResult<T>) -> Result<T> {
        self.ask_with(async |session| {
            // The question may open another mailbox, and one that cannot be opened leaves none open (RFC 9051 section 6.3.2).
            session.opened = None;
            question(session.client().await?).await
        })
        .await
    }

    /// Asks something of an open mailbox; `question` also gets how it was when it was opened.
    pub async fn ask_in<T>(
        &mut self,
        raw: &[u8],
        mut question: impl AsyncFnMut(&mut Client<Stream>, &Selected) -> ImapResult<T>,
    ) -> Result<T> {
        self.ask_with(async |session| {
            if session.opened.as_ref().is_none_or(|(open, _)| open != raw) {
                session.opened = None;
                let selected = session.client().await?.examine(raw, None, &mut |_| {}).await?;
                session.opened = Some((raw.to_vec(), selected));
            }
            match (&mut session.client, &session.opened) {
                (Some(client), Some((_, selected))) => question(client, selected).await,
                _ => Err(Error::new(Fault::Protocol, "there is no open mailbox")),
            }
        })
        .await
    }

    /// Remembers which mailbox a question has opened by itself.
    pub fn has_opened(&mut self, raw: &[u8], selected: Selected) {
        self.opened = Some((raw.to_vec(), selected));
    }

    /// Says goodbye, if there is a connection.
    pub async fn close(&mut self) {
        self.opened = None;
        if let Some(client) = self.client.take() {
            client.logout().await;
        }
    }

    async fn ask_with<T>(&mut self, mut question: impl AsyncFnMut(&mut Session) -> ImapResult<T>) -> Result<T> {
        let (mut renewed, mut breakdowns) = (false, 0);
        let breakdowns_max = BREAKDOWNS.min(self.account.max_retries);
        self.backoff.heard();
        loop {
            self.heard_before = self.client.as_ref().map_or(0, Client::received);
            let error = match question(self).await {
                Ok(answer) => {
                    self.backoff.reset();
                    self.shared.blamed.store(0, Ordering::Relaxed);
                    self.tell_notices();
                    return Ok(answer);
                }
                Err(error) => error,
            };
            self.tell_notices();
            match error.fault {
                // The connection lives on.
                Fault::Unwell if breakdowns < breakdowns_max => {
                    breakdowns += 1;
                    self.account.connector.log(1, || format!("{error}; trying again"));
                    time::sleep(Duration::from_millis(250 << breakdowns)).await;
                }
                Fault::Refused | Fault::Gone | Fault::Forbidden | Fault::Unsupported | Fault::Unwell => {
                    return Err(error.into());
                }
                Fault::Lost if self.is_settling() => {
                    breakdowns = 0;
                    self.backoff.reset();
                    self.lose(error, None).await?;
                }
                Fault::Lost if self.client.is_some() => {
                    breakdowns += 1;
                    if breakdowns > breakdowns_max {
                        return Err(self.blame(error).await);
                    }
                    if let Err(error) = self.lose_in_vain(error).await {
                        return Err(self.blame(error).await);
                    }
                }
                Fault::Lost => self.lose(error, None).await?,
                Fault::Retry { after } => {
                    self.backoff.heard();
                    self.lose(error, after).await?;
                }
                // A token that was good when the connection was made: the login asks for another one.
                Fault::Credentials { is_expired: true } if !renewed && self.client.is_some() => {
                    self.drop_connection();
                    renewed = true;
                }
                _ => {
                    self.drop_connection();
                    return Err(error.into());
                }
            }
        }
    }

    /// True if something was settled over this connection, so that the next one will be asked less: then a line may break
    /// as often as it likes.
    fn is_settling(&self) -> bool {
        self.client.as_ref().is_some_and(|client| client.delivered > 0)
    }

    /// Waits until a new connection may be made.
    async fn lose(&mut self, error: Error, after: Option<Duration>) -> Result<()> {
        self.drop_connection();
        self.backoff.wait(error.into(), after).await
    }

    /// The same after a question to a server that had let us in.
    async fn lose_in_vain(&mut self, error: Error) -> ImapResult<()> {
        if self.client.as_ref().is_some_and(|client| client.received() > self.heard_before) {
            self.backoff.heard();
        }
        self.drop_connection();
        Ok(self.backoff.wait(error.into(), None).await?)
    }

    /// The server broke down over one question. If it lets us in once more, the question is to blame, and others may have
    /// answers; else the server is gone.
    async fn blame(&mut self, error: Error) -> error::Error {
        self.drop_connection();
        let weight = if error.is_silence() { SILENCE } else { 1 };
        let blamed = self.shared.blamed.fetch_add(weight, Ordering::Relaxed);
        if blamed < BLAMED_MAX && error.fault == Fault::Lost && self.client().await.is_ok() {
            return error.into_blame().into();
        }
        error.into()
    }

    fn drop_connection(&mut self) {
        self.client = None;
        self.opened = None;
    }

    /// What the server wants the user to know (ALERT).
    fn tell_notices(&mut self) {
        for notice in self.client.iter_mut().flat_map(Client::take_notices) {
            self.account.connector.log(0, || format!("the server says: {notice}"));
        }
    }

    /// The connection; made and logged in if there is none.
    pub async fn client(&mut self) -> ImapResult<&mut Client<Stream>> {
        let client = match self.client.take() {
            Some(client) => client,
            None => self.open().await?,
        };
        Ok(self.client.insert(client))
    }

    async fn open(&mut self) -> ImapResult<Client<Stream>> {
        self.opened = None;
        let connector = self.account.connector.clone();
        let security = connector.endpoint().security;
        let options = Options {
            timeout: connector.timeout(),
            spool: self.spool.clone(),
            log: connector.listener(),
            ..Options::new(security)
        };
        let greeted = async { Client::connect(connector.connect().await?, options).await };
        let is_known = self.shared.is_known.load(Ordering::Relaxed);
        let mut client = match is_known {
            true => greeted.await?,
            // No login has shown yet that the address is right.
            false => probe::watch(&connector, Service::Imap, greeted).await?,
        };
        let may_upgrade = match security {
            Security::Implicit => false,
            Security::StartTls => true,
            Security::Clear => client.capabilities().await?.has("STARTTLS"),
        };
        if may_upgrade {
            client = client.starttls(async |stream| connector.start_tls(stream, &[]).await).await?;
        }
        if !client.is_preauthenticated() {
            self.log_in(&mut client).await?;
        }
        if self.compress && !client.compress(|stream, read| stream.deflate(read)).await? {
            connector.log(1, || "the server does not offer to compress".to_owned());
        }
        client.identify().await?;
        client.enable().await?;
        connector.log(2, || format!("logged in at {}", connector.endpoint()));
        self.shared.is_known.store(true, Ordering::Relaxed);
        self.heard_before = client.received();
        Ok(client)
    }

    async fn log_in(&self, client: &mut Client<Stream>) -> ImapResult<()> {
        let Account { connector, credentials, allow_cleartext, .. } = &self.account;
        let is_encrypted = client.security != Security::Clear;
        let line = Line { is_encrypted, allow_cleartext: *allow_cleartext };
        let offered: Vec<String> = client.capabilities().await?.mechanisms().map(str::to_owned).collect();
        let can_login = !client.capabilities().await?.has("LOGINDISABLED");
        let mechanisms =
            match Mechanism::choose(offered.iter().map(String::as_str), credentials, line, connector.endpoint()) {
                Ok(mechanisms) => mechanisms,
                // No mechanism of SASL: there is still the command LOGIN, if the line may carry a password.
                Err(_) if can_login && line.may_carry_secrets() && has_password(credentials) => Vec::new(),
                Err(_) if can_login && offered.is_empty() && credentials.authorization().is_some() => {
                    return Err(cannot_act(connector.endpoint(), "nothing but the command LOGIN").into());
                }
                Err(error) => return Err(error.into()),
            };
        // RFC 5530: the login is right and may not act as the other user; Dovecot says the same of a wrong password.
        let is_acting = credentials.authorization().is_some();
        let is_login_refused = |error: &Error| {
            matches!(error.fault, Fault::Credentials { .. }) || (is_acting && error.fault == Fault::Forbidden)
        };
        let mut refused = None;
        for mechanism in mechanisms {
            let (done, has_proved) = self.attempt(client, mechanism).await;
            match done {
                Ok(()) => return Ok(()),
                Err(error) if is_login_refused(&error) || error.fault == Fault::Refused => {
                    refused = Some(error);
                    // What was refused once is not tried with another mechanism: some servers lock an account for that.
                    if has_proved {
                        break;
                    }
                }
                Err(error) if error.fault == Fault::Unsupported => refused = Some(error),
                Err(error) => return Err(error),
            }
        }
        // Some servers offer PLAIN and know only LOGIN.
        let was_refused = refused.as_ref().is_some_and(is_login_refused);
        if let Credentials::Basic { user, password } = credentials.login()
            && has_password(credentials)
            && can_login
            && line.may_carry_secrets()
            && !was_refused
        {
            return client.login(user, password.expose()).await;
        }
        let user = said(credentials.described().as_bytes());
        Err(match refused {
            Some(error) if was_refused => {
                let hint = match credentials.authorization() {
                    Some(_) => Some(ACT_REFUSED.to_owned()),
                    None => error.hint_text().map(str::to_owned),
                };
                let what = format!("{} refused the login of {user}: {error}", connector.endpoint());
                let fresh = error::Error::new(error::ErrorKind::Credentials, what);
                hint.into_iter().fold(fresh, |error, hint| error.hint(hint)).into()
            }
            Some(error) => error,
            None => Error::new(Fault::Unsupported, format!("{} offers no login method", connector.endpoint())),
        })
    }

    /// One mechanism; a token that is refused is renewed once. Also tells whether the server got what proves the user.
    async fn attempt(&self, client: &mut Client<Stream>, mechanism: Mechanism) -> (ImapResult<()>, bool) {
        let Account { connector, credentials, .. } = &self.account;
        let begin = || Exchange::new(mechanism, credentials, connector.endpoint());
        let mut exchange = match begin() {
            Ok(exchange) => exchange,
            Err(error) => return (Err(error.into()), false),
        };
        let refusal = match client.authenticate(&mut exchange).await {
            Err(error) if matches!(error.fault, Fault::Credentials { .. } | Fault::Refused) => error,
            done => return (done, exchange.has_proved()),
        };
        if let (Credentials::Bearer { tokens, .. }, Some(token)) = (credentials.login(), exchange.token()) {
            match tokens.renew(token).and_then(|renewed| renewed.then(begin).transpose()) {
                Ok(Some(mut exchange)) => return (client.authenticate(&mut exchange).await, true),
                Ok(None) => {}
                Err(error) => return (Err(error.into()), true),
            }
        }
        let refusal = match exchange.refusal() {
            Some(why) => refusal.hint(format!("the server's reason: {why}")),
            None => refusal,
        };
        (Err(refusal), exchange.has_proved())
    }
}

/// True if the command LOGIN can say all of it: a user and a password, and nobody to act as.
fn has_password(credentials: &Credentials) -> bool {
    matches!(credentials.login(), Credentials::Basic { .. }) && credentials.authorization().is_none()
}
