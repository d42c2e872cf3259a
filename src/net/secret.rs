//! Secrets, and the credentials that hold them.

use super::mask;
use crate::error::Result;
use secrecy::{ExposeSecret, SecretString};
use std::sync::Arc;
use zeroize::Zeroizing;

/// Bytes of an exchange; they may hold a secret, so their memory is overwritten when they go.
pub type Response = Zeroizing<Vec<u8>>;

/// A password or token. It has no Debug and no Display, and its memory is overwritten when it goes.
#[derive(Clone)]
pub struct Secret(SecretString);

impl Secret {
    /// Takes a text into custody, and sees to it that no server's words show it ([`mask`]).
    pub fn new(text: String) -> Secret {
        mask::remember(text.as_bytes());
        Secret(SecretString::from(text))
    }

    /// The text itself: for the wire, and for nothing else.
    pub fn expose(&self) -> &str {
        self.0.expose_secret()
    }
}

/// Where OAuth tokens come from; shared by all connections of a run.
pub trait Tokens: Send + Sync {
    /// The token to use now.
    fn token(&self) -> Result<Secret>;

    /// The server refused this token. Gets another one if there is a way (`--token-command`), and says whether
    /// [`Tokens::token`] gives another one now; it does so too if another connection has renewed it already.
    fn renew(&self, refused: &Secret) -> Result<bool>;
}

/// The user, and the secret that proves it.
#[derive(Clone)]
pub enum Credentials {
    /// `--auth-basic`
    Basic {
        /// The login name.
        user: String,
        /// That of the account, or one that it has for programs.
        password: Secret,
    },
    /// `--auth-bearer` with `--auth-user`
    Bearer {
        /// The login name, where the protocol wants one beside the token.
        user: String,
        /// Gives a new one when the server refuses the last (RFC 6750).
        tokens: Arc<dyn Tokens>,
    },
}

impl Credentials {
    /// The login name.
    pub fn user(&self) -> &str {
        match self {
            Credentials::Basic { user, .. } | Credentials::Bearer { user, .. } => user,
        }
    }
}
