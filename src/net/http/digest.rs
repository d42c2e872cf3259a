//! HTTP Digest (RFC 7616): a challenge of the server, answered for each request.

use crate::error::{Error, ErrorKind, Result};
use crate::net::secret::Secret;
use digest_auth::{AuthContext, HttpMethod, WwwAuthenticateHeader};
use url::Url;

/// A longer challenge is none.
const CHALLENGE_MAX: usize = 4096;

/// A challenge, with the number of requests that answered it.
pub(super) struct Challenge(WwwAuthenticateHeader);

impl Challenge {
    /// The challenge among the values of `WWW-Authenticate`; `None` if no value has one that can be answered.
    pub(super) fn find<'v>(values: impl Iterator<Item = &'v str>) -> Option<Challenge> {
        values.filter(|value| value.is_ascii() && value.len() <= CHALLENGE_MAX).find_map(|value| {
            let lower = value.to_ascii_lowercase();
            // One field may hold several challenges (RFC 9110 section 11.6.1).
            let starts = lower.match_indices("digest ").map(|(start, _)| start);
            let mut starts = starts.filter(|start| *start == 0 || lower[..*start].trim_end().ends_with(','));
            let parameters = &value[starts.next()? + "digest".len()..];
            digest_auth::parse(parameters).ok().map(Challenge)
        })
    }

    /// True if the answer was right, but to a challenge that has become old.
    pub(super) fn is_stale(&self) -> bool {
        self.0.stale
    }

    /// The value of `Authorization` for a request.
    ///
    /// Errors: of [`ErrorKind::Credentials`] if the challenge cannot be answered.
    pub(super) fn answer(&mut self, user: &str, password: &Secret, method: &str, url: &Url) -> Result<String> {
        let uri = match url.query() {
            Some(query) => format!("{}?{query}", url.path()),
            None => url.path().to_owned(),
        };
        let method = HttpMethod::from(method.to_owned());
        let context = AuthContext::new_with_method(user, password.expose(), uri, None::<&[u8]>, method);
        let answer = self.0.respond(&context);
        let answer = answer.map_err(|error| {
            Error::new(ErrorKind::Credentials, format!("the server's challenge cannot be answered: {error}"))
        })?;
        Ok(answer.to_header_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_challenge_is_found_among_others_and_answered() {
        let values = ["Basic realm=\"a\"", "X-Own x, Digest realm=\"r\", qop=\"auth\", nonce=\"n\", stale=TRUE"];
        let mut challenge = Challenge::find(values.into_iter()).expect("a challenge");
        assert!(challenge.is_stale());
        let url = Url::parse("https://dav.example.org/a b?c").expect("a URL");
        let answer = |challenge: &mut Challenge| {
            challenge.answer("alice", &Secret::new("secret".to_owned()), "PROPFIND", &url).expect("an answer")
        };
        let first = answer(&mut challenge);
        assert!(first.starts_with("Digest ") && first.contains("uri=\"/a%20b?c\"") && first.contains("nc=00000001"));
        assert!(answer(&mut challenge).contains("nc=00000002"));
    }

    #[test]
    fn what_is_no_challenge_is_none() {
        for value in [
            "Basic realm=\"digest \"",
            "Digest",
            "Digest realm=\"x\"",
            "Digest realm=\"é\", nonce=\"ü\"",
            "Digest \"",
            "",
        ] {
            assert!(Challenge::find([value].into_iter()).is_none(), "{value}");
        }
    }
}
