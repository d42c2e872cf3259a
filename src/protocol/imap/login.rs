//! From the greeting to an account: STARTTLS, authentication, and what is agreed on behind it.

use super::client::{Client, Event};
use super::command::Command;
use super::error::{Error, Fault, Result};
use super::refusal::Purpose;
use super::response::{Data, Namespaces, StatusResponse};
use super::wire::{self, Transport};
use crate::error;
use crate::net::endpoint::Security;
use crate::net::sasl::Exchange;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use zeroize::Zeroizing;

/// Events in one attempt to log in: no mechanism takes a tenth of that.
const MOST_ROUNDS: usize = 100;

impl<S: Transport> Client<S> {
    /// Upgrades to TLS (RFC 9051 section 6.2.1): `upgrade` gets the stream when the server is ready. What the server
    /// said of its capabilities before counts for nothing behind it.
    ///
    /// # Errors
    /// [`Fault::Unsafe`] if the server does not offer STARTTLS, or if it sent something behind its consent in clear,
    /// which an attacker on the way may have put there (RFC 9051 section 11.1). What `upgrade` fails with.
    pub async fn starttls<F>(mut self, upgrade: F) -> Result<Client<S>>
    where
        F: AsyncFnOnce(S) -> error::Result<S>,
    {
        if !self.capabilities().await?.has("STARTTLS") {
            return Err(Error::new(Fault::Unsafe, "the server does not offer STARTTLS")
                .hint("use an imaps:// address; --allow-cleartext would send the password unencrypted"));
        }
        self.wire.doing = "asking for TLS".to_owned();
        let done = self.run(Command::new("STARTTLS"), 0, |_, _| Ok(())).await?;
        if done.outcome != StatusResponse::Ok {
            let mut error = done.error(Purpose::Other, "the server refused STARTTLS");
            if !error.fault.is_worth_a_retry() {
                error.fault = Fault::Unsafe;
            }
            return Err(error);
        }
        let Some((stream, already_read)) = self.wire.take() else { return Err(self.unexpected("nothing")) };
        if !already_read.is_empty() {
            return Err(Error::new(Fault::Unsafe, "the server sent unencrypted data after it agreed to STARTTLS")
                .hint("an attacker may have inserted it; nothing secret was sent"));
        }
        self.capabilities = None;
        self.wire.put(upgrade(stream).await?);
        self.security = Security::Implicit;
        Ok(self)
    }

    /// Compresses what follows (RFC 4978): `wrap` makes a compressing stream of the present one. It also gets what was
    /// read already and is compressed.
    /// True if it was done; false if the server does not offer it, or says no.
    pub async fn compress(&mut self, wrap: impl FnOnce(S, Vec<u8>) -> S) -> Result<bool> {
        if !self.capabilities().await?.has("COMPRESS=DEFLATE") {
            return Ok(false);
        }
        self.wire.doing = "asking for compression".to_owned();
        let done = self.run(Command::new("COMPRESS DEFLATE"), 0, |_, _| Ok(())).await?;
        if done.outcome != StatusResponse::Ok {
            return Ok(false);
        }
        if let Some((stream, already_read)) = self.wire.take() {
            self.wire.put(wrap(stream, already_read));
        }
        Ok(true)
    }

    /// Authenticates with a mechanism of SASL (RFC 9051 section 6.2.2), its first message in the command where the
    /// server takes that (SASL-IR). An exchange is good for one attempt; [`Exchange::refusal`] may say more of a failure.
    ///
    /// # Errors
    /// [`Fault::Unsafe`] before TLS; [`Fault::Credentials`] if they are refused; [`Fault::Retry`] if the server cannot
    /// check them now; [`Fault::Unsupported`] if it does not know the mechanism; what the exchange fails with.
    pub async fn authenticate(&mut self, exchange: &mut Exchange) -> Result<()> {
        self.check_safety()?;
        let has_initial_response = self.capabilities().await?.has("SASL-IR");
        self.drain().await?;
        self.allow(0);
        self.wire.doing = "logging in".to_owned();
        let name = exchange.mechanism().name();
        let mut first = exchange.initial();
        let news = self.capability_news;
        let tag = self.tag();
        self.tell(2, || format!("> AUTHENTICATE {name}"));
        self.wire.queue(format!("AUTHENTICATE {name}").as_bytes());
        if has_initial_response && let Some(response) = first.take() {
            // An empty response would look like none.
            let text = Zeroizing::new(if response.is_empty() { "=".to_owned() } else { STANDARD.encode(&response) });
            self.wire.queue(b" ");
            self.wire.queue(text.as_bytes());
        }
        self.wire.queue(b"\r\n");
        let mut failure: Option<Error> = None;
        let mut rounds = 0;
        let done = loop {
            rounds += 1;
            if rounds > MOST_ROUNDS {
                return Err(self.unexpected("challenge after challenge"));
            }
            let challenge = match self.event(wire::Bodies::Discard).await? {
                Event::Continue(challenge) => challenge,
                Event::Done(done, condition) if done == tag => break condition,
                _ => continue,
            };
            let answer = match first.take() {
                Some(response) => Ok(response),
                None => match STANDARD.decode(challenge.trim_ascii()) {
                    Ok(challenge) => exchange.step(&challenge).map_err(Error::from),
                    Err(_) => Err(self.unexpected("a challenge that is no base64")),
                },
            };
            match answer {
                Ok(answer) => {
                    let text = Zeroizing::new(STANDARD.encode(&answer));
                    self.wire.queue(text.as_bytes());
                    self.wire.queue(b"\r\n");
                }
                // The server ends a cancelled attempt; one that goes on asking is given up.
                Err(error) if failure.is_none() => {
                    failure = Some(error);
                    self.wire.queue(b"*\r\n");
                }
                Err(error) => return Err(failure.unwrap_or(error)),
            }
        };
        if let Some(failure) = failure {
            return Err(failure);
        }
        self.ok(done, Purpose::Login, &format!("the server refused to log in with {name}"))?;
        exchange.finish(None)?;
        self.entered(news);
        Ok(())
    }

    /// Logs in with the LOGIN command (RFC 9051 section 6.2.3), for servers that offer no mechanism of SASL.
    ///
    /// # Errors
    /// As [`Client::authenticate`]; [`Fault::Unsupported`] if the server forbids it (LOGINDISABLED).
    pub async fn login(&mut self, user: &str, password: &str) -> Result<()> {
        self.check_safety()?;
        if self.capabilities().await?.has("LOGINDISABLED") {
            return Err(Error::new(Fault::Unsupported, "the server does not allow the LOGIN command (LOGINDISABLED)"));
        }
        self.wire.doing = "logging in".to_owned();
        let news = self.capability_news;
        let command = Command::new("LOGIN").string(user.as_bytes(), false).string(password.as_bytes(), false);
        let done = self.run(command, 0, |_, _| Ok(())).await?;
        self.ok(done, Purpose::Login, "the server refused to log in")?;
        self.entered(news);
        Ok(())
    }

    fn check_safety(&self) -> Result<()> {
        if self.security == Security::StartTls {
            return Err(Error::new(Fault::Unsafe, "refusing to log in without TLS; nothing secret was sent")
                .hint("use an imaps:// address, or STARTTLS"));
        }
        Ok(())
    }

    /// Capabilities change with the login: they are asked for again unless the server said new ones meanwhile.
    fn entered(&mut self, news_before: u64) {
        if self.capability_news == news_before {
            self.capabilities = None;
        }
    }

    /// Tells the server who asks (RFC 2971), if it wants to know; gives what it says of itself.
    pub async fn identify(&mut self) -> Result<Vec<(String, String)>> {
        let mut server = Vec::new();
        if self.capabilities().await?.has("ID") {
            self.wire.doing = "exchanging names".to_owned();
            let command = format!("ID (\"name\" \"vandelay\" \"version\" \"{}\")", env!("CARGO_PKG_VERSION"));
            self.run(Command::new(command), 0, |_, event| {
                if let Event::Data(Data::Id(pairs)) = event {
                    server = pairs;
                }
                Ok(())
            })
            .await?;
        }
        Ok(server)
    }

    /// Turns on what changes the server's answers to something better (RFC 5161): names in UTF-8 (RFC 6855), and
    /// VANISHED with QRESYNC, or CONDSTORE (RFC 7162). Do so before a mailbox is opened.
    pub async fn enable(&mut self) -> Result<()> {
        let capabilities = self.capabilities().await?;
        if !capabilities.has("ENABLE") {
            return Ok(());
        }
        let mut wanted = Vec::new();
        if capabilities.has("UTF8=ACCEPT") || capabilities.has("UTF8=ONLY") {
            wanted.push("UTF8=ACCEPT");
        }
        match (capabilities.has("QRESYNC"), capabilities.has_condstore()) {
            (true, _) => wanted.push("QRESYNC"),
            (_, true) => wanted.push("CONDSTORE"),
            _ => {}
        }
        if wanted.is_empty() {
            return Ok(());
        }
        self.wire.doing = "enabling extensions".to_owned();
        // A refusal leaves everything as it was.
        self.run(Command::new(format!("ENABLE {}", wanted.join(" "))), 0, |client, event| {
            if let Event::Data(Data::Enabled(words)) = event {
                let has = |name: &str| words.iter().any(|word| word.eq_ignore_ascii_case(name));
                client.is_utf8 |= has("UTF8=ACCEPT");
                client.has_qresync |= has("QRESYNC");
            }
            Ok(())
        })
        .await?;
        Ok(())
    }

    /// The namespaces (RFC 2342); none if the server does not say.
    pub async fn namespaces(&mut self) -> Result<Namespaces> {
        let mut found = Namespaces::default();
        if self.capabilities().await?.has("NAMESPACE") {
            self.wire.doing = "asking for the namespaces".to_owned();
            self.run(Command::new("NAMESPACE"), 0, |_, event| {
                if let Event::Data(Data::Namespace(namespaces)) = event {
                    found = namespaces;
                }
                Ok(())
            })
            .await?;
        }
        Ok(found)
    }
}
