//! Which server: its protocol, host and port, and when TLS begins.

use crate::error::{Error, ErrorKind, Result};
use percent_encoding::percent_decode_str;
use std::fmt;

/// When TLS begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Security {
    /// With the first byte (RFC 8314 section 3).
    Implicit,
    /// After STARTTLS, which the server must offer; nothing secret is sent before.
    StartTls,
    /// Perhaps never (`--allow-cleartext`). Where the server offers STARTTLS it is used all the same, without a look at
    /// the certificate (unless one is pinned): better than nothing, and never worse than what the user allowed.
    Clear,
}

/// A protocol as URLs name it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Service {
    /// `imap://host` (143, STARTTLS) and `imaps://host` (993); RFC 5092.
    Imap,
    /// `sieve://host` (4190, STARTTLS) and `sieves://host` (4190); RFC 5804 section 3.
    Sieve,
}

impl Service {
    /// The scheme with STARTTLS and the one with implicit TLS, each with its port.
    fn schemes(self) -> [(&'static str, u16); 2] {
        match self {
            Service::Imap => [("imap", 143), ("imaps", 993)],
            Service::Sieve => [("sieve", 4190), ("sieves", 4190)],
        }
    }

    /// The scheme with implicit TLS, or the other one.
    pub fn scheme(self, is_tls: bool) -> &'static str {
        self.schemes()[usize::from(is_tls)].0
    }

    /// The protocol's name.
    pub fn name(self) -> &'static str {
        match self {
            Service::Imap => "IMAP",
            Service::Sieve => "ManageSieve",
        }
    }

    /// The word of `vandelay import` for it.
    pub fn command(self) -> &'static str {
        match self {
            Service::Imap => "imap",
            Service::Sieve => "managesieve",
        }
    }

    /// The ports that it mostly has, in words.
    pub fn ports(self) -> String {
        let [(plain, plain_port), (secure, secure_port)] = self.schemes();
        match plain_port == secure_port {
            true => format!("{plain_port}"),
            false => format!("{secure_port} with {secure}: and {plain_port} with {plain}:"),
        }
    }
}

/// A server, and how it is to be reached.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Endpoint {
    /// As certificates and DNS name it: ASCII, no brackets around an IPv6 address.
    pub host: String,
    /// Of TCP: the one of the URL, else that of its scheme.
    pub port: u16,
    /// When TLS begins.
    pub security: Security,
    /// `imaps://host:993`: the port always, the host as the user wrote it. An archive knows the server by this text,
    /// as 1.x does.
    pub origin: String,
}

impl Endpoint {
    /// Reads the URL of a server. The security is that of the scheme, never [`Security::Clear`].
    ///
    /// A path of `/` is accepted; a user, a password, another path, a query and a fragment are errors of
    /// [`ErrorKind::Usage`].
    pub fn parse(text: &str, service: Service) -> Result<Endpoint> {
        let [(plain, plain_port), (secure, secure_port)] = service.schemes();
        let wrong = |why: &str| {
            Error::new(ErrorKind::Usage, format!("{:?} is not a valid --url: {why}", without_user(text)))
                .hint(format!("write it like {secure}://mail.example.com or {plain}://mail.example.com:{plain_port}"))
        };
        let url = url::Url::parse(text.trim()).map_err(|error| match error {
            url::ParseError::RelativeUrlWithoutBase => wrong(&format!("it lacks {secure}://")),
            error => wrong(&error.to_string()),
        })?;
        let (security, default_port) = match url.scheme() {
            scheme if scheme == plain => (Security::StartTls, plain_port),
            scheme if scheme == secure => (Security::Implicit, secure_port),
            scheme => return Err(wrong(&format!("{scheme}: is not {secure}: or {plain}:"))),
        };
        if !url.username().is_empty() || url.password().is_some() {
            return Err(wrong("it must not contain a user or password")
                .hint("give the user with --auth-basic, and the password with --password-file or --password-command"));
        }
        if !matches!(url.path(), "" | "/") {
            return Err(wrong("it has a path"));
        }
        if url.query().is_some() || url.fragment().is_some() {
            return Err(wrong("it has a query or a fragment"));
        }
        let written = url.host_str().filter(|host| !host.is_empty()).ok_or_else(|| wrong("it names no host"))?;
        let port = match url.port() {
            Some(0) => return Err(wrong("there is no port 0")),
            port => port.unwrap_or(default_port),
        };
        let origin = format!("{}://{written}:{port}", url.scheme());
        let host = match written.strip_prefix('[').and_then(|host| host.strip_suffix(']')) {
            Some(address) => address.to_owned(),
            None => {
                let name = percent_decode_str(written).decode_utf8().map_err(|_| wrong("the host is not UTF-8"))?;
                let ascii = idna::domain_to_ascii(&name).map_err(|_| wrong("that can be no host"))?;
                let name = ascii.strip_suffix('.').unwrap_or(&ascii);
                let is_name = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '.' | '_');
                if name.is_empty() || name.len() > 253 || !name.chars().all(is_name) {
                    return Err(wrong("that can be no host"));
                }
                name.to_owned()
            }
        };
        Ok(Endpoint { host, port, security, origin })
    }

    /// The server of a URL of HTTP: with `http:` in clear, with `https:` in TLS. The path is not of the server.
    pub fn of_http(url: &url::Url) -> Endpoint {
        let written = url.host_str().unwrap_or_default();
        let port = url.port_or_known_default().unwrap_or_default();
        Endpoint {
            host: written.trim_start_matches('[').trim_end_matches(']').to_owned(),
            port,
            security: if url.scheme() == "https" { Security::Implicit } else { Security::Clear },
            origin: format!("{}://{written}:{port}", url.scheme()),
        }
    }

    /// The same server with [`Security::Clear`] where the scheme allows it (`--allow-cleartext`); implicit TLS stays.
    pub fn allow_cleartext(mut self) -> Endpoint {
        if self.security == Security::StartTls {
            self.security = Security::Clear;
        }
        self
    }
}

/// `imap.example.com:993`, for messages.
impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.host.contains(':') {
            write!(f, "[{}]:{}", self.host, self.port)
        } else {
            write!(f, "{}:{}", self.host, self.port)
        }
    }
}

/// What may be shown of a URL that was not understood: without what could be a password.
fn without_user(text: &str) -> String {
    match (text.find("://"), text.rfind('@')) {
        (Some(start), Some(end)) if end > start => format!("{}…{}", &text[..start + 3], &text[end..]),
        (None, Some(end)) => format!("…{}", &text[end..]),
        _ => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Endpoint> {
        Endpoint::parse(text, if text.starts_with("sieve") { Service::Sieve } else { Service::Imap })
    }

    #[test]
    fn urls_of_servers() {
        for (url, host, port, security, origin) in [
            ("imaps://imap.example.com", "imap.example.com", 993, Security::Implicit, "imaps://imap.example.com:993"),
            ("imap://IMAP.Example.com/", "imap.example.com", 143, Security::StartTls, "imap://IMAP.Example.com:143"),
            ("IMAPS://a.b:1143", "a.b", 1143, Security::Implicit, "imaps://a.b:1143"),
            ("sieve://a.b", "a.b", 4190, Security::StartTls, "sieve://a.b:4190"),
            ("sieves://a.b.", "a.b", 4190, Security::Implicit, "sieves://a.b.:4190"),
            ("imaps://[::1]:993", "::1", 993, Security::Implicit, "imaps://[::1]:993"),
            ("imap://127.0.0.1", "127.0.0.1", 143, Security::StartTls, "imap://127.0.0.1:143"),
            (
                "imaps://b%C3%BCcher.example",
                "xn--bcher-kva.example",
                993,
                Security::Implicit,
                "imaps://b%C3%BCcher.example:993",
            ),
        ] {
            let endpoint = parse(url).unwrap_or_else(|error| panic!("{url}: {error}"));
            assert_eq!((endpoint.host.as_str(), endpoint.port, endpoint.security), (host, port, security), "{url}");
            assert_eq!(endpoint.origin, origin);
        }
        assert_eq!(parse("imaps://[::1]").expect("an address").to_string(), "[::1]:993");
    }

    #[test]
    fn what_is_no_server() {
        for url in [
            "",
            "example.com",
            "imaps:",
            "imaps://",
            "https://a.b",
            "sieve:a.b",
            "imaps://a.b/INBOX",
            "imaps://a.b:0",
            "imaps://a.b:70000",
            "imaps://a.b?x",
            "imaps://a.b#x",
            "imaps://a%20b",
            "imaps://a%00b",
            "imaps://a%FFb",
        ] {
            assert_eq!(parse(url).expect_err(url).kind, ErrorKind::Usage);
        }
        assert!(Endpoint::parse("imaps://a.b", Service::Sieve).is_err());
    }

    #[test]
    fn servers_of_http() {
        for (url, host, port, security, origin) in [
            ("https://a.b/c?d", "a.b", 443, Security::Implicit, "https://a.b:443"),
            ("http://a.b:8080", "a.b", 8080, Security::Clear, "http://a.b:8080"),
            ("https://[::1]/", "::1", 443, Security::Implicit, "https://[::1]:443"),
        ] {
            let endpoint = Endpoint::of_http(&url::Url::parse(url).expect("a URL"));
            let expected = Endpoint { host: host.to_owned(), port, security, origin: origin.to_owned() };
            assert_eq!(endpoint, expected);
        }
    }

    #[test]
    fn a_password_in_a_url_is_not_repeated() {
        for url in
            ["imaps://alice:hunter2@a.b", "imaps://hunter2@a.b", "imaps://alice:hunter2@a.b:x", "alice:hunter2@a.b"]
        {
            let error = parse(url).expect_err(url);
            assert!(!error.to_string().contains("hunter2"), "{error}");
        }
        assert!(
            parse("imaps://alice:x@a.b")
                .expect_err("user")
                .hint_text()
                .is_some_and(|hint| hint.contains("--auth-basic"))
        );
    }
}
