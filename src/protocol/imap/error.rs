//! What went wrong with a server, in the few classes that decide what to do next.
//!
//! Servers say it with response codes (RFC 5530, RFC 9051 section 7.1), with words of their own, or not at all.
//! `Condition::fault` knows those of the large providers.

use crate::error::{self, ErrorKind};
use crate::net::system::plain;
use std::time::Duration;
use std::{fmt, io};

/// What functions of this client return.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// The class of an [`Error`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// Too much was asked in too short a time, or the server is not well: the same will work later, after this time
    /// if the server named one. The connection may or may not live on; make a new one.
    Retry {
        /// How long to wait.
        after: Option<Duration>,
    },
    /// The server cannot do this one thing now, and says that the fault is its own (SERVERBUG, UNAVAILABLE, INUSE, LIMIT).
    /// The connection lives on, and other things may go well.
    Unwell,
    /// The line was cut, nothing came within the time limit, or the server said goodbye. A new connection may do.
    Lost,
    /// The credentials were refused.
    Credentials {
        /// They were good once: a new token, or a new password, is needed.
        is_expired: bool,
    },
    /// The server knows who asks and does not allow it.
    Forbidden,
    /// The mailbox is not there (any more).
    Gone,
    /// The server said no to one command for a reason that has no class. The connection lives on.
    Refused,
    /// The server does not understand the command, or says that it does not offer it. The connection lives on.
    Unsupported,
    /// The server broke the protocol or a limit of this client. The connection is of no more use.
    Protocol,
    /// The way to the server is not safe enough to go on. Nothing secret was sent.
    Unsafe,
    /// A local file could not be written.
    Local,
}

impl Fault {
    /// True if a new connection may succeed where this one failed.
    pub fn is_worth_a_retry(self) -> bool {
        matches!(self, Fault::Retry { .. } | Fault::Lost)
    }
}

/// An error of this client: its class, and the line and hint for the user.
#[derive(Debug)]
pub struct Error {
    /// What decides what to do next.
    pub fault: Fault,
    error: Box<error::Error>,
}

impl Error {
    /// An error of this class; `what` is one line without a final period. Those that are worth a retry want a reason.
    pub fn new(fault: Fault, what: impl Into<String>) -> Error {
        let (kind, hint) = match fault {
            Fault::Retry { .. } => {
                (ErrorKind::Connection, Some("run the command again later: it continues where it stopped"))
            }
            Fault::Lost => (ErrorKind::Connection, Some("run the command again: it continues where it stopped")),
            Fault::Credentials { is_expired: true } => {
                (ErrorKind::Credentials, Some("renew the password or the token"))
            }
            Fault::Credentials { .. } => (
                ErrorKind::Credentials,
                Some(
                    "check user name and password. Gmail, iCloud, Yahoo and others want an app password: make one in your account's security settings",
                ),
            ),
            Fault::Unsafe => (ErrorKind::Connection, None),
            Fault::Local => (ErrorKind::Storage, None),
            Fault::Unwell | Fault::Forbidden | Fault::Gone | Fault::Refused | Fault::Unsupported | Fault::Protocol => {
                (ErrorKind::Connection, None)
            }
        };
        let error = error::Error::new(kind, what);
        Error { fault, error: Box::new(hint.into_iter().fold(error, |error, hint| error.hint(hint))) }
    }

    /// True if the line or the server broke down over what was asked: another question may do better.
    pub fn is_breakdown(&self) -> bool {
        matches!(self.fault, Fault::Lost | Fault::Unwell | Fault::Protocol)
    }

    /// True if nothing, or next to nothing, came within the time limit.
    pub fn is_silence(&self) -> bool {
        let cause = std::error::Error::source(&*self.error).and_then(|cause| cause.downcast_ref::<io::Error>());
        cause.is_some_and(|cause| cause.kind() == io::ErrorKind::TimedOut)
    }

    /// The same as the loss of a connection, where a new one may go on with something else.
    pub fn into_loss(self) -> Error {
        match self.fault {
            Fault::Protocol => Error::lost_because(&self.error.to_string()),
            _ => self,
        }
    }

    /// What the server breaks down over as often as it is asked, while it is well otherwise: no more the loss of the
    /// connection, but of this one thing.
    pub fn into_blame(self) -> Error {
        Error::new(Fault::Unwell, format!("{} (each time; the server answers everything else)", self.error))
    }

    fn lost_because(what: &str) -> Error {
        Error::new(Fault::Lost, "closed the connection")
            .because(io::Error::new(io::ErrorKind::InvalidData, what.to_owned()))
    }

    /// Another hint.
    pub fn hint(mut self, hint: impl Into<String>) -> Error {
        *self.error = self.error.hint(hint);
        self
    }

    /// The hint for the user, if there is one.
    pub fn hint_text(&self) -> Option<&str> {
        self.error.hint_text()
    }

    /// The line was cut while the client was `doing` something.
    pub(super) fn lost(doing: &str, cause: io::Error) -> Error {
        Error::new(Fault::Lost, format!("lost the connection while {doing}")).because(plain(cause))
    }

    /// Adds the reason. Errors that are worth a retry have one of the system's kind: that is how the rest of the room
    /// knows them ([`error::Error::is_transient`]).
    pub(crate) fn because(mut self, cause: io::Error) -> Error {
        *self.error = self.error.because(cause);
        self
    }

    /// A file of the spool could not be written.
    pub(super) fn spool(cause: io::Error) -> Error {
        Error { fault: Fault::Local, error: Box::new(error::Error::io("cannot write a large message to disk", cause)) }
    }
}

impl From<Error> for error::Error {
    fn from(error: Error) -> error::Error {
        *error.error
    }
}

impl From<error::Error> for Error {
    /// An error of the layers below (TLS, a SASL mechanism). Its kind says the class.
    fn from(error: error::Error) -> Error {
        let fault = match error.kind {
            ErrorKind::Credentials => Fault::Credentials { is_expired: false },
            ErrorKind::Storage => Fault::Local,
            _ if error.is_transient() => Fault::Lost,
            _ => Fault::Protocol,
        };
        Error { fault, error: Box::new(error) }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.error.fmt(f)
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.error.source()
    }
}
