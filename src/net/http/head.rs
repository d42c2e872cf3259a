//! Fields in the head of an answer, and URLs as users write and see them.

use crate::error::{Error, ErrorKind, Result};
use crate::net::sanitize::said;
use jiff::fmt::rfc2822;
use reqwest::header::{HeaderMap, LOCATION, RETRY_AFTER};
use std::time::Duration;
use url::Url;

/// Reads the URL of a server (`--url`). `protocol` and `examples` are for messages.
///
/// Errors: of [`ErrorKind::Usage`].
pub fn address(text: &str, protocol: &str, examples: &str) -> Result<Url> {
    let wrong = |why: &str| {
        Error::new(ErrorKind::Usage, format!("--url is not a valid {protocol} address: {why}"))
            .hint(format!("write it like {examples}"))
    };
    let url = Url::parse(text.trim()).map_err(|error| match error {
        url::ParseError::RelativeUrlWithoutBase => wrong("it lacks https://"),
        error => wrong(&error.to_string()),
    })?;
    if !matches!(url.scheme(), "https" | "http") {
        return Err(wrong(&format!("{}: is not https: or http:", url.scheme())));
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err(wrong("user and password do not belong into it")
            .hint("give the user with --auth-basic, and the password with --password-file or --password-command"));
    }
    Ok(url)
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
    let date = rfc2822::parse(text).ok()?.timestamp();
    Some(Duration::try_from(date.duration_since(jiff::Timestamp::now())).unwrap_or_default())
}

/// A URL for messages: without query, user and password, which may be secrets.
pub fn shown(url: &Url) -> String {
    let host = url.host_str().unwrap_or_default();
    let port = url.port().map(|port| format!(":{port}")).unwrap_or_default();
    said(format!("{}://{host}{port}{}", url.scheme(), url.path()).as_bytes())
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

    #[test]
    fn addresses_are_of_servers_and_hold_no_secret() {
        let read = |text: &str| address(text, "X", "https://x.example").map(|url| url.to_string());
        assert_eq!(read(" https://x.example/a?b ").expect("a URL"), "https://x.example/a?b");
        for text in ["x.example", "ftp://x.example", "https://a@x.example", "https://:b@x.example", "https://"] {
            let error = read(text).expect_err(text);
            assert!(error.kind == ErrorKind::Usage && error.to_string().contains("X address"), "{error}");
        }
        let url = Url::parse("https://x.example:8443/a?token=b#c").expect("a URL");
        assert_eq!(shown(&url), "https://x.example:8443/a");
    }
}
