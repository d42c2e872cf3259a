//! What can go wrong: the line, or one method.

use crate::error::{self, ErrorKind};
use crate::net::sanitize::said;
use serde_json::Value;
use std::fmt;

/// What this client returns when it can fail.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// The type of the error of an answer that is larger than what this client takes.
const TOO_LARGE: &str = "answerTooLarge";

/// Why a question has no answer.
#[derive(Debug)]
pub enum Error {
    /// The server, or the line to it: nothing else would fare better now.
    Line(error::Error),
    /// The server answered this one method with an error; others may work.
    Method(MethodError),
}

/// An error of one method (RFC 8620 section 3.6.2) or of one object of a set (section 5.3).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MethodError {
    /// Whose error it is, e.g. `Email/set`.
    pub method: String,
    /// Its type, e.g. `cannotCalculateChanges`.
    pub kind: String,
    /// What the server said about it, fit for a message.
    pub description: Option<String>,
    /// The properties that are at fault (`invalidProperties`).
    pub properties: Vec<String>,
    /// `existingId` of `alreadyExists`.
    pub existing: Option<String>,
}

impl MethodError {
    /// Reads an error object.
    pub fn of(method: &str, value: &Value) -> MethodError {
        let text = |name: &str| value.get(name).and_then(Value::as_str);
        // Of `invalidArguments` Cyrus says which.
        let properties = ["properties", "arguments"].iter().filter_map(|name| value.get(name)?.as_array()).flatten();
        MethodError {
            method: method.to_owned(),
            kind: text("type").map_or_else(|| "unknown".to_owned(), |kind| said(kind.as_bytes())),
            description: text("description").filter(|text| !text.is_empty()).map(|text| said(text.as_bytes())),
            properties: properties.filter_map(Value::as_str).take(20).map(|name| said(name.as_bytes())).collect(),
            existing: text("existingId").map(str::to_owned),
        }
    }

    /// An error that has no object.
    pub(super) fn described(method: &str, kind: &str, description: String) -> MethodError {
        let (method, kind) = (method.to_owned(), kind.to_owned());
        MethodError { method, kind, description: Some(description), properties: Vec::new(), existing: None }
    }

    /// True for what may succeed a little later: RFC 8620 section 3.6.2 says so of `serverUnavailable`, RFC 8621
    /// section 7.5 and others of `rateLimit`.
    pub fn is_transient(&self) -> bool {
        matches!(self.kind.as_str(), "serverUnavailable" | "rateLimit")
    }
}

impl fmt::Display for MethodError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.method, self.kind)?;
        if !self.properties.is_empty() {
            write!(f, " ({})", self.properties.join(", "))?;
        }
        match &self.description {
            Some(description) => write!(f, ": {description}"),
            None => Ok(()),
        }
    }
}

impl Error {
    /// True if it is this error of a method.
    pub fn is(&self, kind: &str) -> bool {
        matches!(self, Error::Method(error) if error.kind == kind)
    }

    /// A server that does not keep to the standard. Trying again does not help.
    pub fn protocol(what: impl Into<String>) -> Error {
        Error::Line(violation(what))
    }

    /// An answer that is larger than what this client takes: asking for less helps.
    pub(super) fn too_large(what: &str, limit: usize) -> Error {
        let limit = limit >> 20;
        Error::Method(MethodError::described(what, TOO_LARGE, format!("the answer has more than {limit} MiB")))
    }

    /// True if the same question about fewer objects may be answered: RFC 8620 sections 5.1 and 5.3.
    pub fn is_too_much(&self) -> bool {
        self.is("requestTooLarge") || self.is(TOO_LARGE)
    }
}

/// As [`Error::protocol`], for an answer that is being read.
pub(super) fn violation(what: impl Into<String>) -> error::Error {
    error::Error::new(ErrorKind::Connection, format!("the server breaks the rules of JMAP: {}", what.into()))
}

impl From<error::Error> for Error {
    fn from(error: error::Error) -> Error {
        Error::Line(error)
    }
}

impl From<Error> for error::Error {
    fn from(error: Error) -> error::Error {
        match error {
            Error::Line(error) => error,
            Error::Method(method) => {
                let kind = match method.kind.as_str() {
                    "accountNotFound" => ErrorKind::Account,
                    _ => ErrorKind::Connection,
                };
                error::Error::new(kind, format!("the server answers {method}"))
            }
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Error::Line(error) => error.fmt(f),
            Error::Method(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for Error {}
