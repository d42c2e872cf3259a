//! Why a request has no answer of success.

use crate::error;
use std::fmt;
use std::time::Duration;

/// Why a request has no answer of success.
#[derive(Debug)]
pub struct Failure {
    /// The same in words for the user. It is transient ([`error::Error::is_transient`]) where the same request may succeed
    /// later; then it was tried as often as the request and the user allow.
    pub error: error::Error,
    /// What the server answered; `None` if the line, TLS or something on this side failed.
    pub refusal: Option<Box<Refusal>>,
    /// The server has certainly not done anything.
    pub is_undone: bool,
}

/// An answer with another status than one of success.
#[derive(Debug)]
pub struct Refusal {
    /// Three digits (RFC 9110 section 15).
    pub status: u16,
    /// How long the server wants to be left alone (`Retry-After`, RFC 9110 section 10.2.3).
    pub retry_after: Option<Duration>,
    /// The first bytes of the body, as far as they could be read.
    pub body: Vec<u8>,
    /// What was asked, as [`super::Ask::what`] has it.
    pub what: String,
    /// The status and what the server says with it, fit for a message.
    pub why: String,
}

/// What a protocol reads in the status and the body of a refusal.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Reading {
    /// What the server says, fit for a message; empty if nothing.
    pub words: String,
    /// The server has done nothing, and only does not want to at the moment: the same request may succeed later. Of 429 and
    /// 503 that is known without it.
    pub is_busy: bool,
}

impl Failure {
    /// One that no other attempt would change, before the server did anything.
    pub(super) fn last(error: error::Error) -> Failure {
        Failure { error, refusal: None, is_undone: true }
    }

    /// How long the server wants to be left alone.
    pub fn retry_after(&self) -> Option<Duration> {
        self.refusal.as_ref()?.retry_after
    }

    pub(super) fn hint(self, hint: String) -> Failure {
        Failure { error: self.error.hint(hint), ..self }
    }
}

/// Something failed after the server had answered.
impl From<error::Error> for Failure {
    fn from(error: error::Error) -> Failure {
        Failure { error, refusal: None, is_undone: false }
    }
}

impl From<Failure> for error::Error {
    fn from(failure: Failure) -> error::Error {
        failure.error
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.error.fmt(f)
    }
}

impl std::error::Error for Failure {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.error.source()
    }
}
