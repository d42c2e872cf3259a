//! HTTP underneath: which servers may hear the credentials, how much of an answer is taken, and when to ask again.

use super::answer::{below, location, not_found, retry_after, shown, too_large};
use super::error::{Error, Result};
use super::pause::{LONG, Pauses};
use crate::error::{self, ErrorKind};
use crate::net::log::Log;
use crate::net::pace::{self, Pace};
use crate::net::retry::{Backoff, patiently};
use crate::net::sanitize::said;
use crate::net::secret::{Credentials, Secret};
use crate::net::system::{is_unknown_host, plain, unknown_host};
use crate::net::tls::{Tls, TlsOptions};
use base64::Engine;
use parking_lot::Mutex;
use reqwest::header::{AUTHORIZATION, CONTENT_LENGTH, HeaderValue};
use reqwest::{Method, RequestBuilder, Response, StatusCode};
use std::collections::HashSet;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};
use url::{Origin, Url};
use zeroize::Zeroizing;

/// How often a hasty request is sent again after the line broke.
const HASTY: u32 = 2;

/// The most bytes that are read of an answer that says why something failed.
const PROBLEM_MAX: usize = 64 << 10;

/// What all requests of a run share.
pub(super) struct Http {
    client: reqwest::Client,
    tls: Tls,
    credentials: Credentials,
    timeout: Duration,
    max_retries: u32,
    allow_cleartext: bool,
    allow_other_origin: bool,
    log: Option<Log>,
    /// The origin of `--url`.
    home: Url,
    /// Other origins that were warned of.
    warned: Mutex<HashSet<Origin>>,
    pauses: Pauses,
    /// There was an answer: the address is right.
    is_known: AtomicBool,
}

/// What to send. It is made anew for each attempt.
pub(super) struct Ask<'a> {
    pub method: Method,
    pub url: &'a Url,
    /// For logs: the methods of a batch, or what is moved.
    pub what: &'a str,
    /// Adds headers and a body.
    pub with: &'a (dyn Fn(RequestBuilder) -> RequestBuilder + Send + Sync),
    /// Bytes that the server has taken so far of a body in transit: as long as they grow, it is not silent.
    pub sent: Option<Arc<AtomicU64>>,
    /// Must not be sent again where the server may have done it.
    pub is_once: bool,
    /// Given up soon when the server breaks off.
    pub is_hasty: bool,
}

/// Why an attempt failed.
struct Failed {
    error: Error,
    after: Option<Duration>,
    /// The server has certainly not done anything.
    is_undone: bool,
}

impl Failed {
    fn final_(error: Error) -> Failed {
        Failed { error, after: None, is_undone: true }
    }
}

impl Http {
    #[expect(clippy::too_many_arguments, reason = "made in one place")]
    pub fn new(
        home: Url,
        options: &TlsOptions,
        credentials: Credentials,
        timeout: Duration,
        max_retries: u32,
        allow_cleartext: bool,
        allow_other_origin: bool,
        log: Option<Log>,
    ) -> Result<Http> {
        let tls = Tls::new(options)?;
        let client = reqwest::Client::builder()
            .tls_backend_preconfigured(tls.config())
            // Redirects are followed here, where it is known who may hear what.
            .redirect(reqwest::redirect::Policy::none())
            .retry(reqwest::retry::never())
            .no_proxy()
            .connect_timeout(timeout)
            .pool_idle_timeout(Duration::from_secs(30))
            .tcp_nodelay(true)
            .user_agent(concat!("vandelay/", env!("CARGO_PKG_VERSION")))
            .build()
            .map_err(|error| error::Error::new(ErrorKind::Connection, format!("cannot set up the network: {error}")))?;
        Ok(Http {
            client,
            tls,
            credentials,
            timeout,
            max_retries,
            allow_cleartext,
            allow_other_origin,
            log,
            home,
            warned: Mutex::default(),
            pauses: Pauses::default(),
            is_known: AtomicBool::new(false),
        })
    }

    /// The login name.
    pub fn user(&self) -> &str {
        self.credentials.user()
    }

    /// How long the server may be silent.
    pub fn timeout(&self) -> Duration {
        self.timeout
    }

    /// Who is told what goes on.
    pub fn listener(&self) -> Option<Log> {
        self.log.clone()
    }

    /// Says what goes on; the text is made only if somebody listens. Whoever calls it leaves secrets out.
    pub fn log(&self, level: u8, text: impl FnOnce() -> String) {
        if let Some(log) = &self.log {
            log.say(level, text);
        }
    }

    /// Checks that the credentials may go to this URL. The server that the user named may refer to itself on another
    /// port, or to itself with TLS; to anybody else only if the user said so.
    pub fn check_origin(&self, url: &Url) -> Result<()> {
        let shown = shown(url);
        if !matches!(url.scheme(), "https" | "http") {
            return Err(Error::protocol(format!("it refers to {shown}")));
        }
        if url.scheme() == "http" && !self.allow_cleartext {
            if self.home.scheme() == "https" {
                let what = format!(
                    "the server refers to {shown}, which is not encrypted, although --url begins with https:; nothing secret was sent there"
                );
                let hint = "ask the administrator to set the server's public address to https: (often a proxy setting); --allow-cleartext sends the login there anyway";
                return Err(error::Error::new(ErrorKind::Connection, what).hint(hint).into());
            }
            let error = error::Error::new(
                ErrorKind::Connection,
                format!("the connection to {shown} would not be encrypted; nothing secret was sent"),
            );
            return Err(error.hint("use a URL with https:, or --allow-cleartext if the network can be trusted").into());
        }
        if url.origin() == self.home.origin() {
            return Ok(());
        }
        let is_same_host = url.host() == self.home.host() && (url.scheme() == "https" || self.home.scheme() == "http");
        if !is_same_host && !self.allow_other_origin {
            let error = error::Error::new(
                ErrorKind::Connection,
                format!("the server points to another host, {shown}; nothing secret was sent there"),
            );
            return Err(error
                .hint("if you trust that host with the login, add --allow-other-origin, or use it as --url")
                .into());
        }
        if self.warned.lock().insert(url.origin()) {
            self.log(0, || format!("the server points to {shown}, which gets the login, too"));
        }
        Ok(())
    }

    /// Sends something until there is an answer with a status of success, or no hope. `read` takes what it wants of the
    /// answer; if the line breaks meanwhile, everything begins again.
    pub async fn ask<T>(&self, ask: &Ask<'_>, mut read: impl AsyncFnMut(Response, Url) -> Result<T>) -> Result<T> {
        let mut backoff = Backoff::new(self.max_retries, self.timeout, self.log.clone());
        let (mut renewals, mut cuts) = (0, 0);
        loop {
            self.pauses.wait().await;
            let failed = match self.attempt(ask, &mut renewals).await {
                Ok(Some((response, url))) => match read(response, url).await {
                    Ok(done) => {
                        self.pauses.heard();
                        return Ok(done);
                    }
                    Err(error) => {
                        backoff.heard();
                        Failed { error, after: None, is_undone: false }
                    }
                },
                // Another token: at once.
                Ok(None) => continue,
                Err(failed) => {
                    // It took bytes of a body: that is a sign.
                    if ask.sent.as_ref().is_some_and(|sent| sent.load(Ordering::Relaxed) > 0) {
                        backoff.heard();
                    }
                    failed
                }
            };
            let Failed { error, after, is_undone } = failed;
            let error = match error {
                Error::Line(error) => error,
                other => return Err(other),
            };
            cuts += u32::from(!is_undone);
            if !is_undone && (ask.is_once || (ask.is_hasty && cuts > HASTY)) {
                return Err(error.into());
            }
            let Some(wait) = after.filter(|_| error.is_transient()) else {
                backoff.wait(error, None).await?;
                continue;
            };
            match self.pauses.announce(wait, &error) {
                Ok(words) => words.into_iter().for_each(|words| self.log(0, || words)),
                Err(hint) => return Err(error.hint(hint).into()),
            }
            // What the server asks for is no try of ours.
            match wait >= LONG {
                true => backoff.heard(),
                false => backoff.wait(error, Some(wait)).await?,
            }
        }
    }

    /// What is waited for at the server's wish, and what is left to do meanwhile.
    pub fn pauses(&self) -> &Pauses {
        &self.pauses
    }

    /// One attempt, with its redirects. `None` if there is another token now.
    async fn attempt(&self, ask: &Ask<'_>, renewals: &mut u32) -> Result<Option<(Response, Url)>, Failed> {
        const REDIRECTS: usize = 5;
        let mut url = ask.url.clone();
        for hop in 0..=REDIRECTS {
            // Whoever is led elsewhere goes there, but without a word about who he is.
            let is_trusted = match self.check_origin(&url) {
                Ok(()) => true,
                Err(error) if hop == 0 || url.scheme() != "https" => return Err(Failed::final_(error)),
                Err(_) => false,
            };
            let (authorization, token) = match is_trusted {
                true => {
                    let (value, token) = self.authorization().map_err(|error| Failed::final_(error.into()))?;
                    (Some(value), token)
                }
                false => (None, None),
            };
            let mut builder = (ask.with)(self.client.request(ask.method.clone(), url.clone()));
            let has_secret = authorization.is_some();
            if let Some(value) = authorization {
                builder = builder.header(AUTHORIZATION, value);
            }
            let begun = Instant::now();
            let response = self.send(builder, &url, ask.sent.as_deref()).await?;
            let status = response.status();
            self.log(2, || {
                let size = response.headers().get(CONTENT_LENGTH).and_then(|size| size.to_str().ok()).unwrap_or("?");
                format!("{} {}: {} ({size} bytes) after {:.0?}", ask.method, ask.what, status.as_u16(), begun.elapsed())
            });
            if status.is_redirection()
                && let Some(next) = location(&url, response.headers())
            {
                if ask.method != Method::GET {
                    let what = format!("it redirects {} to {}", ask.what, shown(&next));
                    return Err(Failed::final_(Error::protocol(what)));
                }
                self.log(2, || format!("redirected to {}", shown(&next)));
                url = next;
                continue;
            }
            if status.is_success() {
                return Ok(Some((response, url)));
            }
            if status == StatusCode::UNAUTHORIZED && has_secret {
                if let (Credentials::Bearer { tokens, .. }, Some(token)) = (&self.credentials, &token)
                    && *renewals < 2
                    && tokens.renew(token).map_err(|error| Failed::final_(error.into()))?
                {
                    *renewals += 1;
                    self.log(1, || "the token was refused; going on with another one".to_owned());
                    return Ok(None);
                }
                return Err(Failed::final_(self.refused(&url).into()));
            }
            return Err(self.problem(ask, response, &url, has_secret).await);
        }
        Err(Failed::final_(Error::protocol(format!("it redirects {} without end", shown(ask.url)))))
    }

    fn refused(&self, url: &Url) -> error::Error {
        let what = match self.credentials {
            Credentials::Basic { .. } => "user and password",
            Credentials::Bearer { .. } => "the token",
        };
        error::Error::new(ErrorKind::Credentials, format!("{} does not accept {what} (401)", shown(url)))
    }

    /// `Authorization`, and the token in it.
    fn authorization(&self) -> error::Result<(HeaderValue, Option<Secret>)> {
        let unusable = |what: &str| {
            error::Error::new(ErrorKind::Credentials, format!("the {what} has characters that cannot be sent"))
        };
        let (text, token) = match &self.credentials {
            // RFC 7617 section 2: a user has no colon; both are UTF-8 (section 2.1).
            Credentials::Basic { user, password } => {
                if user.contains(':') || user.chars().any(char::is_control) {
                    return Err(unusable("user"));
                }
                let pair = Zeroizing::new(format!("{user}:{}", password.expose()));
                let code = Zeroizing::new(base64::engine::general_purpose::STANDARD.encode(pair.as_bytes()));
                (Zeroizing::new(format!("Basic {}", *code)), None)
            }
            // RFC 6750 section 2.1
            Credentials::Bearer { tokens, .. } => {
                let token = tokens.token()?;
                if token.expose().is_empty() || !token.expose().bytes().all(|byte| byte.is_ascii_graphic()) {
                    return Err(unusable("token"));
                }
                (Zeroizing::new(format!("Bearer {}", token.expose())), Some(token))
            }
        };
        let mut value = HeaderValue::from_str(&text).map_err(|_| unusable("password"))?;
        value.set_sensitive(true);
        Ok((value, token))
    }

    /// Sends a request and waits for the head of its answer, as long as something moves.
    async fn send(&self, builder: RequestBuilder, url: &Url, sent: Option<&AtomicU64>) -> Result<Response, Failed> {
        let words = || format!("waiting for {} (up to {} s)", shown(url), self.timeout.as_secs());
        let is_known = self.is_known.load(Ordering::Relaxed);
        let log = self.log.as_ref().filter(|_| !is_known);
        let sending = patiently(log, words, builder.send());
        tokio::pin!(sending);
        let mut before = sent.map(|sent| sent.load(Ordering::Relaxed));
        loop {
            match tokio::time::timeout(self.timeout, &mut sending).await {
                Ok(Ok(response)) => {
                    self.is_known.store(true, Ordering::Relaxed);
                    return Ok(response);
                }
                Ok(Err(error)) => {
                    let is_undone = error.is_connect();
                    return Err(Failed { error: self.broken(url, "reach", error), after: None, is_undone });
                }
                Err(_) => {
                    let now = sent.map(|sent| sent.load(Ordering::Relaxed));
                    if now == before {
                        return Err(Failed { error: self.silent(url), after: None, is_undone: false });
                    }
                    before = now;
                }
            }
        }
    }

    /// The next part of a body; `pace` watches all of it.
    pub async fn chunk(&self, response: &mut Response, url: &Url, pace: &mut Pace) -> Result<Option<bytes::Bytes>> {
        let begun = Instant::now();
        match tokio::time::timeout(self.timeout, response.chunk()).await {
            Ok(Ok(Some(chunk))) => match pace.add(begun.elapsed(), chunk.len(), pace::BODY, self.timeout) {
                Some(received) => Err(self.slow(url, "too slow", Pace::words(received, self.timeout))),
                None => Ok(Some(chunk)),
            },
            Ok(Ok(None)) => Ok(None),
            Ok(Err(error)) => Err(self.broken(url, "read from", error)),
            Err(_) => Err(self.silent(url)),
        }
    }

    /// A whole body of at most `limit` bytes, inflated; `None` if it has more.
    pub async fn body(&self, response: &mut Response, url: &Url, limit: usize) -> Result<Option<Vec<u8>>> {
        let (mut bytes, mut pace) = (Vec::new(), Pace::default());
        while let Some(chunk) = self.chunk(response, url, &mut pace).await? {
            if bytes.len() + chunk.len() > limit {
                return Ok(None);
            }
            bytes.extend_from_slice(&chunk);
        }
        Ok(Some(bytes))
    }

    fn silent(&self, url: &Url) -> Error {
        self.slow(url, "silent", format!("no answer within {} s", self.timeout.as_secs()))
    }

    fn slow(&self, url: &Url, how: &str, why: String) -> Error {
        let cause = io::Error::new(io::ErrorKind::TimedOut, why);
        let error = error::Error::new(ErrorKind::Connection, format!("{} is {how}", shown(url))).because(cause);
        error.hint("if the server is only slow, raise --timeout").into()
    }

    /// A failed request in words.
    fn broken(&self, url: &Url, doing: &str, error: reqwest::Error) -> Error {
        let host = url.host_str().unwrap_or_default();
        if let Some(explained) = self.tls.explain_below(&shown(url), host, &error) {
            return explained.into();
        }
        let what = format!("cannot {doing} {}", shown(url));
        if below(&error).contains("invalid HTTP version") && !self.is_known.load(Ordering::Relaxed) {
            let hint = match url.scheme() {
                "http" => "check the port; if the server speaks TLS there, the URL begins with https:",
                _ => "check the port",
            };
            let what = format!("{} does not speak HTTP on this port", shown(url));
            return error::Error::new(ErrorKind::Connection, what).hint(hint).into();
        }
        // What cannot be inflated counts as a body that ends early: both are what a broken line looks like.
        if error.is_builder() {
            let why = said(below(&error).as_bytes());
            return error::Error::new(ErrorKind::Connection, format!("{what}: {why}")).into();
        }
        let cause = match error.is_timeout() {
            true => io::Error::new(io::ErrorKind::TimedOut, format!("no answer within {} s", self.timeout.as_secs())),
            false if is_unknown_host(&below(&error)) => return unknown_host(host).into(),
            false => plain(io::Error::other(below(&error))),
        };
        error::Error::new(ErrorKind::Connection, what).because(cause).into()
    }

    /// An answer with another status than success (RFC 8620 section 3.6.1, RFC 7807).
    async fn problem(&self, ask: &Ask<'_>, mut response: Response, url: &Url, has_secret: bool) -> Failed {
        let status = response.status();
        let after = retry_after(response.headers());
        let body = self.body(&mut response, url, PROBLEM_MAX).await.ok().flatten().unwrap_or_default();
        let problem: serde_json::Value = serde_json::from_slice(&body).unwrap_or_default();
        let text = |name: &str| problem.get(name).and_then(|value| value.as_str()).map(|text| said(text.as_bytes()));
        let kind = text("type").unwrap_or_default();
        let kind = kind.strip_prefix("urn:ietf:params:jmap:error:").unwrap_or(&kind);
        let mut why = format!("{}", status.as_u16());
        for more in [status.canonical_reason(), Some(kind), text("limit").as_deref(), text("detail").as_deref()] {
            if let Some(more) = more.filter(|more| !more.is_empty() && *more != "about:blank") {
                why.push(' ');
                why.push_str(more);
            }
        }
        let what = format!("{} answers to {}", shown(url), ask.what);
        let line = |kind: ErrorKind| error::Error::new(kind, format!("{what}: {why}"));
        match status {
            // Undone: the server says that it did not even begin.
            StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE => {
                let error = error::Error::new(ErrorKind::Connection, what).because(io::Error::other(why));
                Failed { error: error.into(), after, is_undone: true }
            }
            StatusCode::BAD_GATEWAY | StatusCode::GATEWAY_TIMEOUT | StatusCode::REQUEST_TIMEOUT => {
                let error = error::Error::new(ErrorKind::Connection, what).because(io::Error::other(why));
                Failed { error: error.into(), after, is_undone: false }
            }
            StatusCode::PAYLOAD_TOO_LARGE => Failed::final_(Error::Method(too_large(ask.what, why))),
            // The server refuses the number of requests at a time or the size of this one.
            StatusCode::BAD_REQUEST if kind == "limit" => match text("limit").as_deref() {
                Some("maxSizeRequest" | "maxObjectsInGet" | "maxObjectsInSet" | "maxCallsInRequest") => {
                    Failed::final_(Error::Method(too_large(ask.what, why)))
                }
                Some("maxConcurrentRequests" | "maxConcurrentUpload") => {
                    let error = error::Error::new(ErrorKind::Connection, what).because(io::Error::other(why));
                    Failed { error: error.into(), after, is_undone: true }
                }
                _ => Failed::final_(line(ErrorKind::Connection).into()),
            },
            StatusCode::UNAUTHORIZED => {
                let error = error::Error::new(
                    ErrorKind::Connection,
                    format!(
                        "the server redirects to {}, which wants a login; nothing secret was sent there",
                        shown(url)
                    ),
                );
                let hint = "if you trust that host with the login, add --allow-other-origin, or use it as --url";
                Failed::final_(error.hint(hint).into())
            }
            StatusCode::FORBIDDEN if has_secret => Failed::final_(line(ErrorKind::Credentials).into()),
            StatusCode::NOT_FOUND | StatusCode::GONE => Failed::final_(Error::Method(not_found(ask.what, why))),
            _ => Failed::final_(line(ErrorKind::Connection).into()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn http(home: &str, allow_other_origin: bool) -> Http {
        let secret = Credentials::Basic { user: "a".to_owned(), password: Secret::new("b".to_owned()) };
        let home = Url::parse(home).expect("a URL");
        let options = TlsOptions { allow_invalid_certs: true, pin: None };
        Http::new(home, &options, secret, Duration::from_secs(1), 0, true, allow_other_origin, None).expect("a client")
    }

    #[test]
    fn who_may_hear_the_credentials() {
        let is_fine =
            |home: &str, other: &str| http(home, false).check_origin(&Url::parse(other).expect("a URL")).is_ok();
        assert!(is_fine("https://a.example/x", "https://a.example/y"));
        assert!(is_fine("https://a.example", "https://a.example:8443/"));
        assert!(is_fine("http://a.example", "https://a.example/"));
        assert!(is_fine("http://a.example:81", "http://a.example:80/"));
        assert!(!is_fine("https://a.example", "http://a.example/"));
        assert!(!is_fine("https://a.example", "https://b.example/"));
        assert!(!is_fine("https://a.example", "https://a.example.b.example/"));
        assert!(!is_fine("https://a.example", "ftp://a.example/"));
        assert!(
            http("https://a.example", true).check_origin(&Url::parse("https://b.example/").expect("a URL")).is_ok()
        );
    }
}
