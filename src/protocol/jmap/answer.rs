//! What stands in the head of an answer of HTTP, and in an error of the layers below.

use crate::net::sanitize::said;
use reqwest::header::{HeaderMap, LOCATION, RETRY_AFTER};
use std::time::Duration;
use url::Url;

fn method_error(what: &str, kind: &str, why: String) -> super::error::MethodError {
    let (method, kind) = (what.to_owned(), kind.to_owned());
    super::error::MethodError { method, kind, description: Some(why), properties: Vec::new(), existing: None }
}

pub(super) fn too_large(what: &str, why: String) -> super::error::MethodError {
    method_error(what, "requestTooLarge", why)
}

pub(super) fn not_found(what: &str, why: String) -> super::error::MethodError {
    method_error(what, "notFound", why)
}

/// Where a redirect leads.
pub(super) fn location(base: &Url, headers: &HeaderMap) -> Option<Url> {
    base.join(headers.get(LOCATION)?.to_str().ok()?).ok()
}

/// Seconds or a date (RFC 9110 section 10.2.3).
pub(super) fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let text = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    if let Ok(seconds) = text.parse::<u64>() {
        return Some(Duration::from_secs(seconds));
    }
    let date = jiff::fmt::rfc2822::parse(text).ok()?.timestamp();
    Some(Duration::try_from(date.duration_since(jiff::Timestamp::now())).unwrap_or_default())
}

/// A URL for messages: without query, user and password, which may be secrets.
pub(super) fn shown(url: &Url) -> String {
    let host = url.host_str().unwrap_or_default();
    let port = url.port().map(|port| format!(":{port}")).unwrap_or_default();
    said(format!("{}://{host}{port}{}", url.scheme(), url.path()).as_bytes())
}

/// The innermost reason: those around it only say that something failed.
pub(super) fn below(error: &reqwest::Error) -> String {
    let mut inner: &dyn std::error::Error = error;
    while let Some(next) = inner.source() {
        inner = next;
    }
    inner.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use reqwest::header::HeaderValue;

    #[test]
    fn waits_that_servers_ask_for() {
        let wait = |text: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(RETRY_AFTER, HeaderValue::from_str(text).expect("a header"));
            retry_after(&headers)
        };
        assert_eq!(wait("7"), Some(Duration::from_secs(7)));
        assert_eq!(wait("Wed, 21 Oct 2015 07:28:00 GMT"), Some(Duration::ZERO));
        let far = wait("Sun, 06 Nov 2095 08:49:37 GMT").expect("a date");
        assert!(far > Duration::from_secs(1 << 30));
        assert_eq!((wait("soon"), wait("-1")), (None, None));
    }
}
