//! What broke on the way to a server, in words.

use super::head::shown;
use crate::error::{Error, ErrorKind};
use crate::net::connector::Connector;
use crate::net::sanitize::said;
use crate::net::system::{is_unknown_host, plain, unknown_host};
use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use url::Url;

/// The way to a server.
pub(super) struct Line {
    pub connector: Connector,
    /// There was an answer: the address is right.
    has_answered: AtomicBool,
}

impl Line {
    pub(super) fn new(connector: Connector) -> Line {
        Line { connector, has_answered: AtomicBool::new(false) }
    }

    /// There was an answer.
    pub(super) fn heard(&self) {
        self.has_answered.store(true, Ordering::Relaxed);
    }

    /// True once there was an answer.
    pub(super) fn has_answered(&self) -> bool {
        self.has_answered.load(Ordering::Relaxed)
    }

    /// The server says nothing within the timeout.
    pub(super) fn silent(&self, url: &Url) -> Error {
        self.slow(url, "silent", format!("no answer within {} s", self.connector.timeout().as_secs()))
    }

    pub(super) fn slow(&self, url: &Url, how: &str, why: String) -> Error {
        let cause = io::Error::new(io::ErrorKind::TimedOut, why);
        Error::new(ErrorKind::Connection, format!("{} is {how}", shown(url)))
            .because(cause)
            .hint("if the server is only slow, raise --timeout")
    }

    /// A failed request. `doing` and the URL make the sentence: `cannot read from`.
    pub(super) fn broken(&self, url: &Url, doing: &str, error: reqwest::Error) -> Error {
        let host = url.host_str().unwrap_or_default();
        if let Some(explained) = self.connector.tls().explain_below(&shown(url), host, &error) {
            return explained;
        }
        let what = format!("cannot {doing} {}", shown(url));
        if innermost(&error).contains("invalid HTTP version") && !self.has_answered() {
            let hint = match url.scheme() {
                "http" => "check the port; if the server speaks TLS there, the URL begins with https:",
                _ => "check the port",
            };
            let what = format!("{} does not speak HTTP on this port", shown(url));
            return Error::new(ErrorKind::Connection, what).hint(hint);
        }
        // What cannot be inflated counts as a body that ends early: both are what a broken line looks like.
        if error.is_builder() {
            let why = said(innermost(&error).as_bytes());
            return Error::new(ErrorKind::Connection, format!("{what}: {why}"));
        }
        let timeout = self.connector.timeout().as_secs();
        let cause = match error.is_timeout() {
            true => io::Error::new(io::ErrorKind::TimedOut, format!("no answer within {timeout} s")),
            false if is_unknown_host(&innermost(&error)) => return unknown_host(host),
            false => plain(io::Error::other(innermost(&error))),
        };
        Error::new(ErrorKind::Connection, what).because(cause)
    }
}

/// The innermost reason: those around it only say that something failed.
fn innermost(error: &reqwest::Error) -> String {
    let mut inner: &dyn std::error::Error = error;
    while let Some(next) = inner.source() {
        inner = next;
    }
    inner.to_string()
}
