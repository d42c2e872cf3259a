//! The field `Authorization`: Basic and Bearer with the first request, Digest once the server asked for it.

use super::digest::Challenge;
use crate::error::{Error, ErrorKind, Result};
use crate::net::sanitize::said;
use crate::net::secret::{Credentials, Secret};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use parking_lot::Mutex;
use reqwest::header::{HeaderMap, HeaderValue, WWW_AUTHENTICATE};
use url::{Origin, Url};
use zeroize::Zeroizing;

/// What to do about a token that was refused.
const TOKEN_REFUSED: &str =
    "get a new token, and check that it is for this protocol (its scopes); --token-command renews it";

/// Who logs in, and how.
pub(super) struct Login {
    credentials: Credentials,
    /// The challenge that an origin gave last.
    challenge: Mutex<Option<(Origin, Challenge)>>,
}

/// What one request logs in with.
pub(super) struct Proof {
    pub value: HeaderValue,
    token: Option<Secret>,
    is_digest: bool,
}

impl Login {
    pub(super) fn new(credentials: Credentials) -> Login {
        Login { credentials, challenge: Mutex::default() }
    }

    /// The user whose account it is.
    pub(super) fn user(&self) -> &str {
        self.credentials.user()
    }

    /// What the next request logs in with.
    pub(super) fn prove(&self, method: &str, url: &Url) -> Result<Proof> {
        if let (Credentials::Basic { user, password }, Some((origin, challenge))) =
            (self.credentials.login(), self.challenge.lock().as_mut())
            && *origin == url.origin()
        {
            let text = Zeroizing::new(challenge.answer(user, password, method, url)?);
            return Proof::new(&text, None, true);
        }
        let (text, token) = match self.credentials.login() {
            // RFC 7617 section 2: a user has no colon; both are UTF-8 (section 2.1).
            Credentials::Basic { user, password } => {
                if user.contains(':') || user.chars().any(char::is_control) {
                    return Err(unusable("user"));
                }
                let pair = Zeroizing::new(format!("{user}:{}", password.expose()));
                let code = Zeroizing::new(STANDARD.encode(pair.as_bytes()));
                (Zeroizing::new(format!("Basic {}", *code)), None)
            }
            // RFC 6750 section 2.1
            Credentials::Bearer { tokens, .. } => {
                let token = tokens.token()?;
                if token.expose().is_empty() || !token.expose().bytes().all(|byte| byte.is_ascii_graphic()) {
                    return Err(unusable("token"));
                }
                (Zeroizing::new(format!("Bearer {}", token.expose())), Some(token))
            }
            Credentials::ActingAs { .. } => return Err(unusable("user")),
        };
        Proof::new(&text, token, false)
    }

    /// The server refused this (401). True if there is something else to log in with now: another token, or an answer to a
    /// challenge that comes with the refusal.
    pub(super) fn renew(&self, refused: &Proof, url: &Url, fields: &HeaderMap) -> Result<bool> {
        match (self.credentials.login(), &refused.token) {
            (Credentials::Bearer { tokens, .. }, Some(token)) => tokens.renew(token),
            (Credentials::Basic { .. }, _) => {
                let values = fields.get_all(WWW_AUTHENTICATE).iter().filter_map(|value| value.to_str().ok());
                let Some(challenge) = Challenge::find(values) else { return Ok(false) };
                // A second refusal of a fresh answer says that the password is wrong.
                let may_help = !refused.is_digest || challenge.is_stale();
                *self.challenge.lock() = Some((url.origin(), challenge));
                Ok(may_help)
            }
            _ => Ok(false),
        }
    }

    /// The error for a server that refuses it for good.
    pub(super) fn refused(&self, server: &str) -> Error {
        let user = said(self.credentials.described().as_bytes());
        let (what, hint) = match self.credentials.login() {
            Credentials::Bearer { .. } if user.is_empty() => ("the token".to_owned(), TOKEN_REFUSED),
            Credentials::Bearer { .. } => (format!("the token of {user}"), TOKEN_REFUSED),
            _ => (
                format!("the login of {user}"),
                "check the user name (often the whole address), the password and --url. Gmail, iCloud, Fastmail and others want an app password: docs/providers.md lists who wants what",
            ),
        };
        Error::new(ErrorKind::Credentials, format!("{server} refused {what} (401)")).hint(hint)
    }
}

impl Proof {
    fn new(text: &str, token: Option<Secret>, is_digest: bool) -> Result<Proof> {
        let mut value = HeaderValue::from_str(text).map_err(|_| unusable("password"))?;
        value.set_sensitive(true);
        Ok(Proof { value, token, is_digest })
    }
}

fn unusable(what: &str) -> Error {
    Error::new(ErrorKind::Credentials, format!("the {what} has characters that cannot be sent"))
}
