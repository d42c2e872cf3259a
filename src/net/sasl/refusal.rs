//! Errors of an exchange.

use crate::error::{Error, ErrorKind};

pub(crate) fn unusable(what: &str) -> Error {
    Error::new(ErrorKind::Credentials, format!("the {what} has characters that cannot be sent"))
}

pub(crate) fn violation(why: &str) -> Error {
    Error::new(ErrorKind::Connection, format!("the server breaks the rules of authentication: {why}"))
}
