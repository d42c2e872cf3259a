//! The class of a refusal: what a status response means for what was asked.

use super::error::{Error, Fault};
use super::response::{Condition, StatusResponse};
use crate::net::sanitize::printable;
use std::io;
use std::time::Duration;

/// The longest wait that a server's word is taken for. Longer ones are cut to it.
const LONGEST_WAIT: Duration = Duration::from_secs(3600);

/// What a command was for: the same refusal means different things.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Purpose {
    Login,
    Other,
}

/// `Suggested Backoff Time: 299962 milliseconds`, as Office 365 puts it behind a refusal.
fn suggested_wait(lower_case: &str) -> Option<Duration> {
    let behind = lower_case.split_once("suggested backoff time:")?.1.trim_start();
    let digits = behind.len() - behind.trim_start_matches(|c: char| c.is_ascii_digit()).len();
    let number: u64 = behind[..digits].parse().ok()?;
    let is_seconds = behind[digits..].trim_start().starts_with("sec");
    Some(if is_seconds { Duration::from_secs(number) } else { Duration::from_millis(number) }.min(LONGEST_WAIT))
}

/// The text without how long it took, which Dovecot puts behind each: the same reason has to be the same text.
fn untimed(text: &str) -> &str {
    let time = text.strip_suffix(" secs).").and_then(|text| text.rsplit_once(" ("));
    let is_time = |time: &str| time.bytes().all(|byte| byte.is_ascii_digit() || b".+ ".contains(&byte));
    time.filter(|(_, time)| is_time(time)).map_or(text, |(text, _)| text)
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
        let is_local = self.outcome == StatusResponse::No && purpose == Purpose::Other;
        let unwell = if is_local { Fault::Unwell } else { Fault::Retry { after: None } };
        match self.code.as_str() {
            // It may be what was asked for.
            "SERVERBUG" if self.outcome == StatusResponse::Bye && purpose == Purpose::Other => return Fault::Lost,
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
        if is_gone && self.outcome == StatusResponse::No && purpose == Purpose::Other {
            return Fault::Gone;
        }
        match (self.outcome, purpose) {
            (StatusResponse::Bye, _) => Fault::Lost,
            (StatusResponse::No, Purpose::Login) => Fault::Credentials { is_expired: false },
            (StatusResponse::Bad, _) => Fault::Unsupported,
            _ => Fault::Refused,
        }
    }

    /// Code and text, for a person.
    pub(super) fn reason(&self) -> String {
        let code = if self.code.is_empty() { String::new() } else { format!("[{}] ", printable(self.code.as_bytes())) };
        format!("{code}{}", printable(untimed(&self.text).as_bytes()))
    }

    /// The error of a refusal of what `what` names (`the server refused to …`).
    pub(super) fn error(&self, purpose: Purpose, what: &str) -> Error {
        let fault = self.fault(purpose);
        let reason = self.reason();
        if fault.is_worth_a_retry() {
            return Error::new(fault, what).because(io::Error::new(io::ErrorKind::ConnectionAborted, reason));
        }
        Error::new(fault, format!("{what}: {reason}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fault(outcome: StatusResponse, code: &str, text: &str, purpose: Purpose) -> Fault {
        Condition { outcome, code: code.to_owned(), values: Vec::new(), text: text.to_owned() }.fault(purpose)
    }

    #[test]
    fn a_reason_is_the_same_however_long_it_took() {
        for (text, expected) in [
            ("Quota exceeded (mailbox is full) (0.001 + 0.000 secs).", "Quota exceeded (mailbox is full)"),
            ("Quota exceeded (0.001 + 0.000 + 0.010 secs).", "Quota exceeded"),
            ("(wait 10 secs).", "(wait 10 secs)."),
            ("wait (some secs).", "wait (some secs)."),
        ] {
            assert_eq!(untimed(text), expected);
        }
    }

    #[test]
    fn refusals_have_classes() {
        use StatusResponse::{Bad, Bye, No};
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
            let error = crate::error::Error::from(condition.error(purpose, "no"));
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
