//! Who may hear the credentials of the user.

use super::head::shown;
use crate::error::{Error, ErrorKind, Result};
use url::Url;

/// Who hears the credentials, beside the origin of `--url`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reach {
    /// The same host on another port, or with TLS in place of without.
    Host,
    /// Hosts below the same registrable domain as well, with TLS (`p37-caldav.icloud.com` for `caldav.icloud.com`).
    Domain,
    /// Every host that the server refers to (`--allow-other-origin`).
    Anybody,
}

/// Which servers may hear the credentials.
#[derive(Debug, Clone)]
pub struct Audience {
    home: Url,
    reach: Reach,
}

impl Audience {
    /// The server that the user named (`--url`), and others as far as `reach` says.
    pub fn new(home: Url, reach: Reach) -> Audience {
        Audience { home, reach }
    }

    /// Checks that the credentials may go to this URL. True if that is another origin than that of `--url`.
    ///
    /// Errors: of [`ErrorKind::Connection`], in words for the user.
    pub fn check(&self, url: &Url, allow_cleartext: bool) -> Result<bool> {
        let shown = shown(url);
        if !matches!(url.scheme(), "https" | "http") {
            let what = format!("the server refers to {shown}, which is neither https: nor http:");
            return Err(Error::new(ErrorKind::Connection, what));
        }
        if url.scheme() == "http" && !allow_cleartext {
            return Err(self.unencrypted(&shown));
        }
        if url.origin() == self.home.origin() {
            return Ok(false);
        }
        match self.includes(url) {
            true => Ok(true),
            false => Err(Error::new(
                ErrorKind::Connection,
                format!("the server points to another host, {shown}; nothing secret was sent there"),
            )
            .hint("if you trust that host with the login, add --allow-other-origin, or use it as --url")),
        }
    }

    /// True if another origin belongs to the server that the user named.
    fn includes(&self, url: &Url) -> bool {
        let is_same_host = url.host() == self.home.host() && (url.scheme() == "https" || self.home.scheme() == "http");
        match self.reach {
            Reach::Host => is_same_host,
            Reach::Domain => is_same_host || (url.scheme() == "https" && self.is_same_domain(url)),
            Reach::Anybody => true,
        }
    }

    /// True if both hosts lie below one domain that can be registered (by the Public Suffix List).
    fn is_same_domain(&self, url: &Url) -> bool {
        self.home.domain().zip(url.domain()).is_some_and(|(home, other)| is_one_domain(home, other))
    }

    fn unencrypted(&self, shown: &str) -> Error {
        if self.home.scheme() == "https" {
            let what = format!(
                "the server refers to {shown}, which is not encrypted, although --url begins with https:; nothing secret was sent there"
            );
            let hint = "ask the administrator to set the server's public address to https: (often a proxy setting); --allow-cleartext sends the login there anyway";
            return Error::new(ErrorKind::Connection, what).hint(hint);
        }
        let what = format!("the connection to {shown} would not be encrypted; nothing secret was sent");
        Error::new(ErrorKind::Connection, what)
            .hint("use a URL with https:, or --allow-cleartext if the network can be trusted")
    }
}

/// The domain that can be registered (by the Public Suffix List) and that a host lies below.
pub fn registrable(host: &str) -> Option<String> {
    let host = host.to_ascii_lowercase();
    let domain = psl::domain_str(&host)?;
    psl::suffix(domain.as_bytes())?.is_known().then(|| domain.to_owned())
}

/// True if both hosts lie below one domain that can be registered.
pub fn is_one_domain(one: &str, other: &str) -> bool {
    registrable(one).is_some_and(|domain| registrable(other) == Some(domain))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn url(text: &str) -> Url {
        Url::parse(text).expect("a URL")
    }

    #[test]
    fn who_may_hear_the_credentials() {
        let is_fine = |home: &str, other: &str| Audience::new(url(home), Reach::Host).check(&url(other), true).is_ok();
        assert!(is_fine("https://a.example/x", "https://a.example/y"));
        assert!(is_fine("https://a.example", "https://a.example:8443/"));
        assert!(is_fine("http://a.example", "https://a.example/"));
        assert!(is_fine("http://a.example:81", "http://a.example:80/"));
        assert!(!is_fine("https://a.example", "http://a.example/"));
        assert!(!is_fine("https://a.example", "https://b.example/"));
        assert!(!is_fine("https://a.example", "https://a.example.b.example/"));
        assert!(!is_fine("https://a.example", "ftp://a.example/"));
        let anybody = Audience::new(url("https://a.example"), Reach::Anybody);
        assert!(anybody.check(&url("https://b.example/"), true).expect("somebody"), "another origin");
        assert!(!anybody.check(&url("https://a.example/x"), true).expect("somebody"), "the same");
        assert!(anybody.check(&url("ftp://b.example/"), true).is_err());
    }

    #[test]
    fn a_provider_may_have_several_hosts() {
        let check = |home: &str, other: &str| Audience::new(url(home), Reach::Domain).check(&url(other), false).is_ok();
        assert!(check("https://caldav.icloud.com/", "https://p37-caldav.icloud.com:443/x/"));
        assert!(check("https://example.co.uk/", "https://dav.example.co.uk/"));
        assert!(!check("https://caldav.icloud.com/", "https://caldav.icloud.com.example/"));
        assert!(!check("https://one.co.uk/", "https://two.co.uk/"));
        assert!(!check("https://alice.github.io/", "https://mallory.github.io/"));
        assert!(!check("https://caldav.icloud.com/", "http://p37-caldav.icloud.com/"));
        assert!(!check("https://192.0.2.1/", "https://192.0.2.2/"));
        assert!(!check("https://a.internal/", "https://b.internal/"));
    }

    #[test]
    fn cleartext_is_only_for_those_who_allow_it() {
        let check = |home: &str, other: &str| Audience::new(url(home), Reach::Anybody).check(&url(other), false);
        assert!(check("http://a.example", "https://a.example/").is_ok());
        let error = check("http://a.example", "http://a.example/").expect_err("not encrypted");
        assert!(error.to_string().contains("would not be encrypted"), "{error}");
        let error = check("https://a.example", "http://a.example/").expect_err("not encrypted");
        assert!(error.to_string().contains("although --url begins with https:"), "{error}");
    }
}
