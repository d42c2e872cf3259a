//! What a source needs of an IMAP server, whatever becomes of the connections: connects when it is asked something,
//! logs in, and goes on with a new connection where an old one broke.

use super::client::{Client, Options, Security};
use super::fault::{Error, Fault};
use super::select::Selected;
use crate::error::{self, Result};
use crate::protocol::net::{self, Stream};
use crate::protocol::retry::Backoff;
use crate::protocol::sasl::{Credentials, Exchange, Line, Mechanism};
use crate::protocol::{Account, said};
use std::path::PathBuf;
use std::time::Duration;

/// Waits that are longer than this are announced.
const ANNOUNCED: Duration = Duration::from_secs(10);

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
}

impl Session {
    /// Nothing is sent before the first question. Large bodies go to unnamed files in `spool`.
    pub fn new(account: Account, compress: bool, spool: Option<PathBuf>) -> Session {
        let backoff = Backoff::new(account.max_retries);
        Session { account, compress, spool, client: None, opened: None, backoff }
    }

    /// Asks something, with a connection made if there is none, and again as long as the failure is one that time or
    /// another token heals. The question is asked from its start each time.
    pub async fn ask<T>(
        &mut self,
        mut question: impl AsyncFnMut(&mut Client<Stream>) -> super::Result<T>,
    ) -> Result<T> {
        self.ask_with(async |session| question(session.client().await?).await).await
    }

    /// Asks something of an open mailbox; `question` also gets how it was when it was opened.
    pub async fn ask_in<T>(
        &mut self,
        raw: &[u8],
        mut question: impl AsyncFnMut(&mut Client<Stream>, &Selected) -> super::Result<T>,
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

    async fn ask_with<T>(&mut self, mut question: impl AsyncFnMut(&mut Session) -> super::Result<T>) -> Result<T> {
        let mut renewed = false;
        loop {
            let error = match question(self).await {
                Ok(answer) => {
                    self.backoff.reset();
                    self.tell_notices();
                    return Ok(answer);
                }
                Err(error) => error,
            };
            self.tell_notices();
            match error.fault {
                // The connection lives on.
                Fault::Refused | Fault::Gone | Fault::Forbidden | Fault::Unsupported => return Err(error.into()),
                Fault::Retry { .. } | Fault::Lost => {
                    // As long as messages come each time, a line may break as often as it likes.
                    if self.client.as_ref().is_some_and(|client| client.delivered > 0) {
                        self.backoff.reset();
                    }
                    self.drop_connection();
                    let after = match error.fault {
                        Fault::Retry { after } => after,
                        _ => None,
                    };
                    let what = error.to_string();
                    self.account.connector.log(1, || format!("trying again: {what}"));
                    if let Some(wait) = after.filter(|wait| *wait >= ANNOUNCED) {
                        let wait = wait.min(crate::protocol::retry::WAIT_MAX).as_secs();
                        self.account.connector.log(0, || format!("the server asks to wait: going on in {wait} s"));
                    }
                    self.backoff.wait(error.into(), after).await?;
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
    pub async fn client(&mut self) -> super::Result<&mut Client<Stream>> {
        let client = match self.client.take() {
            Some(client) => client,
            None => self.open().await?,
        };
        Ok(self.client.insert(client))
    }

    async fn open(&mut self) -> super::Result<Client<Stream>> {
        self.opened = None;
        let connector = self.account.connector.clone();
        let security = match connector.endpoint().security {
            net::Security::Implicit => Security::Tls,
            net::Security::StartTls => Security::MustUpgrade,
            net::Security::Clear => Security::Clear,
        };
        let stream = connector.connect().await?;
        let options = Options {
            timeout: connector.timeout(),
            spool: self.spool.clone(),
            log: connector.listener(),
            ..Options::new(security)
        };
        let mut client = Client::connect(stream, options).await?;
        let may_upgrade = match security {
            Security::Tls => false,
            Security::MustUpgrade => true,
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
        Ok(client)
    }

    async fn log_in(&self, client: &mut Client<Stream>) -> super::Result<()> {
        let Account { connector, credentials, allow_cleartext, .. } = &self.account;
        let is_encrypted = client.security != Security::Clear;
        let line = Line { is_encrypted, allow_cleartext: *allow_cleartext };
        let offered: Vec<String> = client.capabilities().await?.mechanisms().map(str::to_owned).collect();
        let can_login = !client.capabilities().await?.has("LOGINDISABLED");
        let mechanisms =
            match Mechanism::choose(offered.iter().map(String::as_str), credentials, line, connector.endpoint()) {
                Ok(mechanisms) => mechanisms,
                // No mechanism of SASL: there is still the command LOGIN, if the line may carry a password.
                Err(_) if can_login && line.may_carry_secrets() && matches!(credentials, Credentials::Basic { .. }) => {
                    Vec::new()
                }
                Err(error) => return Err(error.into()),
            };
        let mut refused = None;
        for mechanism in mechanisms {
            let (done, has_proved) = self.attempt(client, mechanism).await;
            match done {
                Ok(()) => return Ok(()),
                Err(error) if matches!(error.fault, Fault::Credentials { .. } | Fault::Refused) => {
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
        let was_refused = refused.as_ref().is_some_and(|error| matches!(error.fault, Fault::Credentials { .. }));
        if let Credentials::Basic { user, password } = credentials
            && can_login
            && line.may_carry_secrets()
            && !was_refused
        {
            return client.login(user, password.expose()).await;
        }
        let user = said(credentials.user().as_bytes());
        Err(match refused {
            Some(error) if was_refused => {
                let hint = error.hint_text().map(str::to_owned);
                let what = format!("{} refused the login of {user}: {error}", connector.endpoint());
                let fresh = error::Error::new(error::Kind::Credentials, what);
                hint.into_iter().fold(fresh, |error, hint| error.hint(hint)).into()
            }
            Some(error) => error,
            None => Error::new(Fault::Unsupported, format!("{} offers no way to log in", connector.endpoint())),
        })
    }

    /// One mechanism; a token that is refused is renewed once. Also tells whether the server got what proves the user.
    async fn attempt(&self, client: &mut Client<Stream>, mechanism: Mechanism) -> (super::Result<()>, bool) {
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
        if let (Credentials::Bearer { tokens, .. }, Some(token)) = (credentials, exchange.token()) {
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
