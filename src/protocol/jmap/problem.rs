//! What a server says with a request that it refuses as a whole (RFC 8620 section 3.6.1, RFC 7807).

use super::error::{Error, MethodError};
use crate::net::http::{Failure, Reading, Refusal};
use crate::net::sanitize::said;
use serde_json::Value;

/// A problem details object (RFC 7807 section 3.1), fit for messages. What is missing is empty.
#[derive(Debug, Default)]
struct Problem {
    /// Without `urn:ietf:params:jmap:error:`.
    kind: String,
    /// Which limit of the server was hit.
    limit: String,
    detail: String,
}

impl Problem {
    fn read(body: &[u8]) -> Problem {
        let problem: Value = serde_json::from_slice(body).unwrap_or_default();
        let text = |name: &str| {
            let text = problem.get(name).and_then(Value::as_str);
            text.map(|text| said(text.as_bytes())).unwrap_or_default()
        };
        let kind = text("type");
        let kind = kind.strip_prefix("urn:ietf:params:jmap:error:").unwrap_or(&kind).to_owned();
        Problem { kind, limit: text("limit"), detail: text("detail") }
    }

    /// The limit that a request of this status hit.
    fn limit_hit(&self, status: u16) -> Option<&str> {
        (status == 400 && self.kind == "limit").then_some(self.limit.as_str())
    }
}

/// Reads the status and the body of a refusal.
pub(super) fn read(status: u16, body: &[u8]) -> Reading {
    let problem = Problem::read(body);
    // More requests at a time than the server takes.
    let is_busy = matches!(problem.limit_hit(status), Some("maxConcurrentRequests" | "maxConcurrentUpload"));
    let parts = [problem.kind, problem.limit, problem.detail];
    let parts: Vec<String> = parts.into_iter().filter(|part| !part.is_empty() && part != "about:blank").collect();
    Reading { words: parts.join(" "), is_busy }
}

/// The type of the error of one method that a refusal amounts to, if others may fare better.
fn kind_of(refusal: &Refusal) -> Option<&'static str> {
    let problem = Problem::read(&refusal.body);
    match (refusal.status, problem.limit_hit(refusal.status)) {
        (404 | 410, _) => Some("notFound"),
        (413, _) => Some("requestTooLarge"),
        (_, Some("maxSizeRequest" | "maxObjectsInGet" | "maxObjectsInSet" | "maxCallsInRequest")) => {
            Some("requestTooLarge")
        }
        _ => None,
    }
}

impl From<Failure> for Error {
    fn from(failure: Failure) -> Error {
        let Failure { error, refusal, .. } = failure;
        let Some(refusal) = refusal else { return Error::Line(error) };
        match kind_of(&refusal) {
            Some(kind) => Error::Method(MethodError::described(&refusal.what, kind, refusal.why.clone())),
            None => Error::Line(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(status: u16, body: &str) -> Error {
        let Reading { words, .. } = read(status, body.as_bytes());
        let refusal = Refusal {
            status,
            retry_after: None,
            body: body.into(),
            what: "Email/get".to_owned(),
            why: format!("{status} {words}"),
        };
        let error = crate::error::Error::new(crate::error::ErrorKind::Connection, "refused");
        Failure { error, refusal: Some(Box::new(refusal)), is_undone: true }.into()
    }

    #[test]
    fn problems_are_read() {
        let limit =
            |name: &str| format!(r#"{{"type":"urn:ietf:params:jmap:error:limit","limit":"{name}","detail":"x"}}"#);
        let reading = |words: &str, is_busy| Reading { words: words.to_owned(), is_busy };
        assert_eq!(read(400, limit("maxSizeRequest").as_bytes()), reading("limit maxSizeRequest x", false));
        assert_eq!(read(400, limit("maxConcurrentUpload").as_bytes()), reading("limit maxConcurrentUpload x", true));
        assert_eq!(read(500, limit("maxConcurrentUpload").as_bytes()), reading("limit maxConcurrentUpload x", false));
        assert_eq!(read(500, br#"{"type":"about:blank","detail":"a\nb"}"#), reading("a b", false));
        for body in ["", "<html>", "[]", "{", r#"{"type":3}"#] {
            assert_eq!(read(500, body.as_bytes()), reading("", false), "{body}");
        }
    }

    #[test]
    fn some_refusals_are_of_one_method() {
        let limit = |name: &str| format!(r#"{{"type":"urn:ietf:params:jmap:error:limit","limit":"{name}"}}"#);
        assert!(refused(413, "").is_too_much() && refused(400, &limit("maxObjectsInGet")).is_too_much());
        assert!(refused(404, "").is("notFound") && refused(410, "x").is("notFound"));
        assert_eq!(refused(404, r#"{"detail":"no such blob"}"#).to_string(), "Email/get: notFound: 404 no such blob");
        for error in
            [refused(400, ""), refused(400, &limit("maxConcurrentRequests")), refused(500, &limit("maxSizeRequest"))]
        {
            assert!(matches!(error, Error::Line(_)), "{error}");
        }
    }
}
