//! The field `Authorization`. A way to log in that needs more than one exchange (HTTP Digest, RFC 7616) belongs here.

use crate::error::{Error, ErrorKind, Result};
use crate::net::secret::{Credentials, Secret};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use reqwest::header::HeaderValue;
use zeroize::Zeroizing;

/// Who logs in, and how.
pub(super) struct Login {
    credentials: Credentials,
}

/// What one request logs in with.
pub(super) struct Proof {
    pub value: HeaderValue,
    token: Option<Secret>,
}

impl Login {
    pub(super) fn new(credentials: Credentials) -> Login {
        Login { credentials }
    }

    /// The login name.
    pub(super) fn user(&self) -> &str {
        self.credentials.user()
    }

    /// What the next request logs in with.
    pub(super) fn prove(&self) -> Result<Proof> {
        let (text, token) = match &self.credentials {
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
        };
        let mut value = HeaderValue::from_str(&text).map_err(|_| unusable("password"))?;
        value.set_sensitive(true);
        Ok(Proof { value, token })
    }

    /// The server refused this (401). True if there is something else to log in with now.
    pub(super) fn renew(&self, refused: &Proof) -> Result<bool> {
        match (&self.credentials, &refused.token) {
            (Credentials::Bearer { tokens, .. }, Some(token)) => tokens.renew(token),
            _ => Ok(false),
        }
    }

    /// The error for a server that refuses it for good.
    pub(super) fn refused(&self, server: &str) -> Error {
        let what = match self.credentials {
            Credentials::Basic { .. } => "user and password",
            Credentials::Bearer { .. } => "the token",
        };
        Error::new(ErrorKind::Credentials, format!("{server} does not accept {what} (401)"))
    }
}

fn unusable(what: &str) -> Error {
    Error::new(ErrorKind::Credentials, format!("the {what} has characters that cannot be sent"))
}
