//! What went wrong with a server, in the few classes that decide what to do next.
//!
//! Servers say it with response codes (RFC 5530, RFC 9051 section 7.1), with words of their own, or not at all.
//! [`Condition::fault`] knows those of the large providers.

use super::reply::{Condition, Outcome};
use crate::error::{self, ErrorKind};
use crate::net::mask;
use crate::net::system::plain;
use std::time::Duration;
use std::{fmt, io};

/// What functions of this client return.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// The longest wait that a server's word is taken for. Longer ones are cut to it.
const LONGEST_WAIT: Duration = Duration::from_secs(3600);

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
    fn because(mut self, cause: io::Error) -> Error {
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

/// What a command was for: the same refusal means different things.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Purpose {
    Login,
    Other,
}

impl Condition {
    /// The class of a refusal (`NO`, `BAD`) or a goodbye (`BYE`).
    pub(super) fn fault(&self, purpose: Purpose) -> Fault {
        let text = self.text.to_ascii_lowercase();
        let says = |words: &[&str]| words.iter().any(|word| text.contains(word));
        if let Some(after) = suggested_wait(&text) {
            return Fault::Retry { after: Some(after) };
        }
        // A login that the server cannot check, and a goodbye, concern everything.
        let is_local = self.outcome == Outcome::No && purpose == Purpose::Other;
        let unwell = if is_local { Fault::Unwell } else { Fault::Retry { after: None } };
        match self.code.as_str() {
            // It may be what was asked for.
            "SERVERBUG" if self.outcome == Outcome::Bye && purpose == Purpose::Other => return Fault::Lost,
            "UNAVAILABLE" | "LIMIT" | "INUSE" | "SERVERBUG" => return unwell,
            "THROTTLED" => return Fault::Retry { after: None },
            // Gmail says so when a day's bandwidth is used up. Nothing that this client does needs any quota.
            "OVERQUOTA" => return Fault::Retry { after: None },
            "EXPIRED" => return Fault::Credentials { is_expired: true },
            "AUTHENTICATIONFAILED" if says(&["temporar", "try again"]) => return Fault::Retry { after: None },
            "AUTHENTICATIONFAILED" | "WEBALERT" => return Fault::Credentials { is_expired: says(&["expired"]) },
            "AUTHORIZATIONFAILED" | "NOPERM" | "CONTACTADMIN" => return Fault::Forbidden,
            "PRIVACYREQUIRED" => return Fault::Unsafe,
            "NONEXISTENT" | "TRYCREATE" => return Fault::Gone,
            _ => {}
        }
        if says(&[
            "bandwidth limit",
            "command or bandwidth",
            "too many simultaneous",
            "too many connections",
            "rate limit",
            "throttl",
            "server busy",
            "server is busy",
            "server unavailable",
            "maximum number of connections",
        ]) {
            return Fault::Retry { after: None };
        }
        if says(&["try again later", "temporarily", "temporary"]) {
            return unwell;
        }
        if says(&["accesstokenexpired", "token expired", "token has expired", "token is expired"]) {
            return Fault::Credentials { is_expired: true };
        }
        // Cyrus and Exchange have no code for it.
        let is_gone = says(&["does not exist", "doesn't exist", "no such mailbox", "nonexistent", "non-existent"]);
        if is_gone && self.outcome == Outcome::No && purpose == Purpose::Other {
            return Fault::Gone;
        }
        match (self.outcome, purpose) {
            (Outcome::Bye, _) => Fault::Lost,
            (Outcome::No, Purpose::Login) => Fault::Credentials { is_expired: false },
            (Outcome::Bad, _) => Fault::Unsupported,
            _ => Fault::Refused,
        }
    }

    /// The error of a refusal of what `what` names (`the server refused to …`).
    pub(super) fn error(&self, purpose: Purpose, what: &str) -> Error {
        let fault = self.fault(purpose);
        let code = if self.code.is_empty() { String::new() } else { format!("[{}] ", printable(self.code.as_bytes())) };
        let reason = format!("{code}{}", printable(self.text.as_bytes()));
        if fault.is_worth_a_retry() {
            return Error::new(fault, what).because(io::Error::new(io::ErrorKind::ConnectionAborted, reason));
        }
        Error::new(fault, format!("{what}: {reason}"))
    }
}

/// `Suggested Backoff Time: 299962 milliseconds`, as Office 365 puts it behind a refusal.
fn suggested_wait(lower_case: &str) -> Option<Duration> {
    let behind = lower_case.split_once("suggested backoff time:")?.1.trim_start();
    let digits = behind.len() - behind.trim_start_matches(|c: char| c.is_ascii_digit()).len();
    let number: u64 = behind[..digits].parse().ok()?;
    let is_seconds = behind[digits..].trim_start().starts_with("sec");
    Some(if is_seconds { Duration::from_secs(number) } else { Duration::from_millis(number) }.min(LONGEST_WAIT))
}

/// A server's text as one line for a terminal: control characters and those that turn the direction of writing are
/// escaped, what is longer than 300 characters is cut, and the secrets of this run are left out.
pub fn printable(text: &[u8]) -> String {
    let shown = mask::hide(&text[..text.len().min(2000)]);
    let text = String::from_utf8_lossy(&shown);
    let mut out = String::new();
    for (count, c) in text.trim().chars().enumerate() {
        if count == 300 {
            out.push('…');
            break;
        }
        let turns = matches!(c, '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
        if c.is_control() || turns {
            out.extend(c.escape_default());
        } else {
            out.push(c);
        }
    }
    if out.is_empty() { "no reason given".to_owned() } else { out }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fault(outcome: Outcome, code: &str, text: &str, purpose: Purpose) -> Fault {
        Condition { outcome, code: code.to_owned(), values: Vec::new(), text: text.to_owned() }.fault(purpose)
    }

    #[test]
    fn refusals_have_classes() {
        use Outcome::{Bad, Bye, No};
        let wait = |ms| Fault::Retry { after: Some(Duration::from_millis(ms)) };
        for (outcome, code, text, purpose, expected) in [
            (
                No,
                "",
                "Request is throttled. Suggested Backoff Time: 299962 milliseconds",
                Purpose::Other,
                wait(299_962),
            ),
            (Bad, "", "Suggested Backoff Time: 99999999999 milliseconds", Purpose::Other, wait(3_600_000)),
            (No, "THROTTLED", "", Purpose::Other, Fault::Retry { after: None }),
            (
                No,
                "ALERT",
                "Account exceeded command or bandwidth limits. (Failure)",
                Purpose::Login,
                Fault::Retry { after: None },
            ),
            (No, "SERVERBUG", "Internal error occurred.", Purpose::Other, Fault::Unwell),
            (No, "UNAVAILABLE", "", Purpose::Other, Fault::Unwell),
            (No, "INUSE", "Mailbox is locked", Purpose::Other, Fault::Unwell),
            (No, "LIMIT", "", Purpose::Other, Fault::Unwell),
            (No, "", "Mailbox is temporarily away", Purpose::Other, Fault::Unwell),
            (Bye, "UNAVAILABLE", "", Purpose::Other, Fault::Retry { after: None }),
            (No, "OVERQUOTA", "Account exceeded", Purpose::Other, Fault::Retry { after: None }),
            (No, "UNAVAILABLE", "Temporary authentication failure", Purpose::Login, Fault::Retry { after: None }),
            (
                No,
                "AUTHENTICATIONFAILED",
                "Invalid credentials (Failure)",
                Purpose::Login,
                Fault::Credentials { is_expired: false },
            ),
            (No, "EXPIRED", "", Purpose::Login, Fault::Credentials { is_expired: true }),
            (No, "", "LOGIN failed.", Purpose::Login, Fault::Credentials { is_expired: false }),
            (No, "AUTHORIZATIONFAILED", "", Purpose::Login, Fault::Forbidden),
            (No, "NONEXISTENT", "", Purpose::Other, Fault::Gone),
            (No, "", "Mailbox does not exist", Purpose::Other, Fault::Gone),
            (No, "", "what?", Purpose::Other, Fault::Refused),
            (Bad, "", "Unknown command", Purpose::Other, Fault::Unsupported),
            (Bye, "", "Autologout; idle for too long", Purpose::Other, Fault::Lost),
            (
                Bye,
                "",
                "Session invalidated - AccessTokenExpired",
                Purpose::Other,
                Fault::Credentials { is_expired: true },
            ),
        ] {
            assert_eq!(fault(outcome, code, text, purpose), expected, "[{code}] {text}");
            let condition = Condition { outcome, code: code.into(), values: Vec::new(), text: text.into() };
            let error = error::Error::from(condition.error(purpose, "no"));
            assert_eq!(error.is_transient(), expected.is_worth_a_retry(), "[{code}] {text}");
        }
    }

    #[test]
    fn text_of_a_server_is_one_plain_line() {
        assert_eq!(printable(b" a\x1b[2Jb\r\nc \xff"), "a\\u{1b}[2Jb\\r\\nc \u{fffd}");
        assert_eq!(printable("a\u{202e}b".as_bytes()), "a\\u{202e}b");
        assert_eq!(printable(&[b'x'; 5000]).chars().count(), 301);
        assert_eq!(printable(b""), "no reason given");
    }
}
