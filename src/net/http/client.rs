//! Asking a server until it answers: attempts, redirects, logins and waits.

use super::answer::Answer;
use super::ask::{Ask, Method, Repeat};
use super::audience::Audience;
use super::failure::{Failure, Reading, Refusal};
use super::head::{location, retry_after, shown};
use super::line::Line;
use super::login::{Login, Proof};
use super::pause::{LONG, Pauses};
use super::payload::{Payload, Sending};
use crate::error::{Error, ErrorKind, Result};
use crate::net::account::Account;
use crate::net::connector::Connector;
use crate::net::retry::{Backoff, patiently};
use parking_lot::Mutex;
use reqwest::header::{ACCEPT_ENCODING, AUTHORIZATION, CONTENT_LENGTH};
use reqwest::{Response, StatusCode, redirect, retry};
use std::collections::HashSet;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};
use tokio::time;
use url::{Origin, Url};

/// How often a hasty request is sent again after the line broke.
const HASTY: u32 = 2;

/// How many redirects one request follows.
const REDIRECTS: usize = 5;

/// How often one request gets another token.
const RENEWALS: u32 = 2;

/// The most bytes that are read of an answer that says why something failed.
const REFUSAL_MAX: usize = 64 << 10;

/// A server that is asked over HTTP: what all requests of a run share.
pub struct Http {
    client: reqwest::Client,
    /// Leaves compressed bodies as they are.
    verbatim: reqwest::Client,
    line: Line,
    login: Login,
    max_retries: u32,
    allow_cleartext: bool,
    audience: Audience,
    /// Other origins that the log has named.
    warned: Mutex<HashSet<Origin>>,
    read: fn(u16, &[u8]) -> Reading,
    pauses: Pauses,
}

/// How far one request has come, over all of its attempts.
#[derive(Default)]
struct Course {
    renewals: u32,
    /// Bytes that the server took of a stream.
    sent: Arc<AtomicU64>,
}

impl Http {
    /// Makes ready to ask. `read` gives the sense of the status and the body of a refusal.
    pub fn new(account: Account, audience: Audience, read: fn(u16, &[u8]) -> Reading) -> Result<Http> {
        let connector = account.connector;
        let (client, verbatim) = (client(&connector, true)?, client(&connector, false)?);
        Ok(Http {
            client,
            verbatim,
            line: Line::new(connector),
            login: Login::new(account.credentials),
            max_retries: account.max_retries,
            allow_cleartext: account.allow_cleartext,
            audience,
            warned: Mutex::default(),
            read,
            pauses: Pauses::default(),
        })
    }

    /// The login name.
    pub fn user(&self) -> &str {
        self.login.user()
    }

    /// The retries of one question, for what the protocol itself finds worth asking again.
    pub fn backoff(&self) -> Backoff {
        let connector = self.connector();
        Backoff::new(self.max_retries, connector.timeout(), connector.listener())
    }

    /// Writes a line to the log of this level; `text` is called only if there is such a log. The caller leaves secrets out.
    pub fn log(&self, level: u8, text: impl FnOnce() -> String) {
        self.connector().log(level, text);
    }

    /// The waits that the server asks for, and the count of the objects that are still to be sent.
    pub fn pauses(&self) -> &Pauses {
        &self.pauses
    }

    fn connector(&self) -> &Connector {
        &self.line.connector
    }

    /// Checks that the credentials may go to this URL. The log names each origin other than that of `--url`, once.
    pub fn check_origin(&self, url: &Url) -> Result<()> {
        let is_other = self.audience.check(url, self.allow_cleartext)?;
        if is_other && self.warned.lock().insert(url.origin()) {
            self.log(0, || format!("the server points to {}, which gets the login, too", shown(url)));
        }
        Ok(())
    }

    /// Sends a request until there is an answer with a status of success, or no attempt is left. `read` takes what it wants
    /// of the answer; if it gives a transient failure (the line broke meanwhile), everything begins again.
    pub async fn ask<'a, T>(
        &'a self,
        ask: &Ask<'_>,
        mut read: impl AsyncFnMut(Answer<'a>) -> Result<T, Failure>,
    ) -> Result<T, Failure> {
        let mut backoff = self.backoff();
        let (mut course, mut cuts) = (Course::default(), 0);
        loop {
            self.pauses.wait().await;
            let failure = match self.attempt(ask, &mut course).await {
                Ok(Some(answer)) => match read(answer).await {
                    Ok(done) => {
                        self.pauses.heard();
                        return Ok(done);
                    }
                    Err(failure) => {
                        backoff.heard();
                        failure
                    }
                },
                // Another token: at once.
                Ok(None) => continue,
                Err(failure) => {
                    // The server took bytes of a stream: it is there.
                    if course.sent.load(Ordering::Relaxed) > 0 {
                        backoff.heard();
                    }
                    failure
                }
            };
            cuts += u32::from(!failure.is_undone);
            let is_enough = match ask.repeat {
                Repeat::Usual => false,
                Repeat::Hasty => cuts > HASTY,
                Repeat::Once => true,
            };
            if !failure.is_undone && is_enough {
                return Err(failure);
            }
            let Some(wait) = failure.retry_after().filter(|_| failure.error.is_transient()) else {
                again(&mut backoff, failure, None).await?;
                continue;
            };
            match self.pauses.announce(wait, &failure.error) {
                Ok(words) => words.into_iter().for_each(|words| self.log(0, || words)),
                Err(hint) => return Err(failure.hint(hint)),
            }
            // A long wait that the server asks for does not count as a retry.
            match wait >= LONG {
                true => backoff.heard(),
                false => again(&mut backoff, failure, Some(wait)).await?,
            }
        }
    }

    /// One attempt, with its redirects. `None` if there is something else to log in with now.
    async fn attempt(&self, ask: &Ask<'_>, course: &mut Course) -> Result<Option<Answer<'_>>, Failure> {
        let mut url = ask.url.clone();
        for hop in 0..=REDIRECTS {
            let proof = self.proof(ask.method, &url, hop > 0).map_err(Failure::last)?;
            let begun = Instant::now();
            let response = self.send(ask, &url, proof.as_ref(), &course.sent).await?;
            let status = response.status();
            self.log(2, || {
                let size = response.headers().get(CONTENT_LENGTH).and_then(|size| size.to_str().ok()).unwrap_or("?");
                let (method, took) = (ask.method.name(), begun.elapsed());
                let what = if ask.what == method { url.path() } else { ask.what };
                format!("{method} {what}: {} ({size} bytes) after {took:.0?}", status.as_u16())
            });
            if status.is_redirection()
                && let Some(next) = location(&url, response.headers())
            {
                if !ask.method.is_safe() {
                    return Err(Failure::last(astray(format!("it redirects {} to {}", ask.what, shown(&next)))));
                }
                self.log(2, || format!("redirected to {}", shown(&next)));
                url = next;
                continue;
            }
            if status.is_success() {
                return Ok(Some(Answer::new(response, url, &self.line)));
            }
            if status == StatusCode::UNAUTHORIZED
                && let Some(proof) = &proof
            {
                let renewed = || self.login.renew(proof, &url, response.headers()).map_err(Failure::last);
                if course.renewals < RENEWALS && renewed()? {
                    course.renewals += 1;
                    self.log(1, || "the login was refused; going on with another token or challenge".to_owned());
                    return Ok(None);
                }
                return Err(Failure::last(self.login.refused(&shown(&url))));
            }
            return Err(self.refusal(ask, response, url, proof.is_some()).await);
        }
        Err(Failure::last(astray(format!("it redirects {} without end", shown(ask.url)))))
    }

    /// What a request to this URL logs in with. A redirect to an origin that may not hear the login is followed without it
    /// (`None`), over TLS only.
    fn proof(&self, method: Method, url: &Url, is_led: bool) -> Result<Option<Proof>> {
        match self.check_origin(url) {
            Ok(()) => self.login.prove(method.name(), url).map(Some),
            Err(_) if is_led && url.scheme() == "https" => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Sends a request and waits for the head of its answer, as long as something moves.
    async fn send(
        &self,
        ask: &Ask<'_>,
        url: &Url,
        proof: Option<&Proof>,
        sent: &Arc<AtomicU64>,
    ) -> Result<Response, Failure> {
        let client = if ask.is_verbatim { &self.verbatim } else { &self.client };
        let mut builder = client.request(method(ask.method)?, url.clone());
        if ask.is_verbatim {
            builder = builder.header(ACCEPT_ENCODING, "identity");
        }
        for (name, value) in ask.fields {
            builder = builder.header(*name, *value);
        }
        builder = match &ask.payload {
            Payload::Empty => builder,
            Payload::Whole(bytes) => builder.body(bytes.clone()),
            Payload::Streamed(content) => {
                builder.body(reqwest::Body::wrap(Sending::new(content.clone(), Arc::clone(sent))))
            }
        };
        if let Some(proof) = proof {
            builder = builder.header(AUTHORIZATION, proof.value.clone());
        }
        let timeout = self.connector().timeout();
        let words = || format!("waiting for {} (up to {} s)", shown(url), timeout.as_secs());
        let log = self.connector().listener().filter(|_| !self.line.has_answered());
        let sending = patiently(log.as_ref(), words, builder.send());
        tokio::pin!(sending);
        let mut before = sent.load(Ordering::Relaxed);
        loop {
            match time::timeout(timeout, &mut sending).await {
                Ok(Ok(response)) => {
                    self.line.heard();
                    return Ok(response);
                }
                Ok(Err(error)) => {
                    let is_undone = error.is_connect();
                    return Err(Failure { is_undone, ..self.line.broken(url, "reach", error).into() });
                }
                Err(_) => {
                    let now = sent.load(Ordering::Relaxed);
                    if now == before {
                        return Err(self.line.silent(url).into());
                    }
                    before = now;
                }
            }
        }
    }

    /// An answer with another status than one of success.
    async fn refusal(&self, ask: &Ask<'_>, response: Response, url: Url, has_proof: bool) -> Failure {
        let status = response.status();
        let retry_after = retry_after(response.headers());
        let server = shown(&url);
        let body = Answer::new(response, url, &self.line).start(REFUSAL_MAX).await;
        let Reading { words, is_busy } = (self.read)(status.as_u16(), &body);
        let parts = [status.canonical_reason().unwrap_or_default(), &words];
        let why = parts
            .iter()
            .filter(|part| !part.is_empty())
            .fold(status.as_u16().to_string(), |why, part| format!("{why} {part}"));
        let what = format!("{server} answers to {}", ask.what);
        let busy = || Error::new(ErrorKind::Connection, what.clone()).because(io::Error::other(why.clone()));
        let last = |kind: ErrorKind| Error::new(kind, format!("{what}: {why}"));
        // A server that is busy says that it did not even begin.
        let (error, is_undone) = match status {
            _ if is_busy => (busy(), true),
            StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE => (busy(), true),
            StatusCode::BAD_GATEWAY | StatusCode::GATEWAY_TIMEOUT | StatusCode::REQUEST_TIMEOUT => (busy(), false),
            StatusCode::UNAUTHORIZED => (wants_a_login(&server), true),
            StatusCode::FORBIDDEN if has_proof => (last(ErrorKind::Credentials), true),
            _ => (last(ErrorKind::Connection), true),
        };
        let refusal = Refusal { status: status.as_u16(), retry_after, body, what: ask.what.to_owned(), why };
        Failure { error, refusal: Some(Box::new(refusal)), is_undone }
    }
}

pub(super) fn client(connector: &Connector, inflates: bool) -> Result<reqwest::Client> {
    reqwest::Client::builder()
        .tls_backend_preconfigured(connector.tls().config())
        // Redirects are followed here, where it is known who may hear what.
        .redirect(redirect::Policy::none())
        .retry(retry::never())
        .no_proxy()
        .gzip(inflates)
        .connect_timeout(connector.timeout())
        .pool_idle_timeout(Duration::from_secs(30))
        .tcp_nodelay(true)
        .user_agent(concat!("vandelay/", env!("CARGO_PKG_VERSION")))
        .build()
        .map_err(|error| Error::new(ErrorKind::Connection, format!("cannot set up the network: {error}")))
}

/// Waits before the next attempt, or gives the failure back.
async fn again(backoff: &mut Backoff, failure: Failure, asked: Option<Duration>) -> Result<(), Failure> {
    let Failure { error, refusal, is_undone } = failure;
    backoff.wait(error, asked).await.map_err(|error| Failure { error, refusal, is_undone })
}

fn method(method: Method) -> Result<reqwest::Method, Failure> {
    reqwest::Method::from_bytes(method.name().as_bytes())
        .map_err(|error| Failure::last(Error::new(ErrorKind::Connection, error.to_string())))
}

/// The error for a redirect that the client does not follow.
fn astray(how: String) -> Error {
    Error::new(ErrorKind::Connection, format!("the server cannot be followed: {how}"))
}

fn wants_a_login(server: &str) -> Error {
    let what = format!("the server redirects to {server}, which wants a login; nothing secret was sent there");
    Error::new(ErrorKind::Connection, what)
        .hint("if you trust that host with the login, add --allow-other-origin, or use it as --url")
}
