//! What `--url` names: a URL, or only a domain.

use super::collection::Flavor;
use crate::error::Result;
use crate::net::http::address;
use url::Url;

/// Where the search for the user's collections begins.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Address {
    /// The URL; of a domain `https://` and its name.
    pub(super) url: Url,
    /// Only a domain was given: its DNS says first where the server is (RFC 6764 section 6).
    pub(super) is_domain: bool,
}

impl Address {
    /// Reads `--url`: `https://dav.example.org/alice/`, or `example.org`.
    ///
    /// Errors: of [`crate::error::ErrorKind::Usage`] for what is neither.
    pub fn parse(text: &str, flavor: Flavor) -> Result<Address> {
        let text = text.trim();
        let is_domain = !text.is_empty() && !text.contains(|c: char| c.is_whitespace() || ":/@?#\\".contains(c));
        let whole = if is_domain { &format!("https://{text}/") } else { text };
        Ok(Address { url: address(whole, flavor.name(), "https://dav.example.org, or example.org")?, is_domain })
    }

    /// Where the search begins.
    pub fn url(&self) -> &Url {
        &self.url
    }

    /// The domain whose DNS may name the server: that of an address without a path.
    pub(super) fn domain(&self) -> Option<&str> {
        self.url.domain().filter(|_| self.url.path() == "/")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_domain_is_enough() {
        let read = |text: &str| Address::parse(text, Flavor::Calendars);
        let domain = read("example.org").expect("a domain");
        assert_eq!((domain.url().as_str(), domain.is_domain), ("https://example.org/", true));
        let url = read("https://dav.example.org").expect("a URL");
        assert_eq!((url.is_domain, url.domain()), (false, Some("dav.example.org")));
        assert_eq!(read("https://dav.example.org/alice/").expect("a URL").domain(), None);
        assert_eq!(read("https://192.0.2.1/").expect("a URL").domain(), None);
        assert!(read("example.org:8443").is_err() && read("").is_err() && read("alice@example.org").is_err());
    }
}
