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
    /// `--auth-as`: an administrator logs in, and everything is done as another user.
    ActingAs {
        /// Whose account it is.
        user: String,
        /// What proves the administrator.
        login: Box<Credentials>,
    },
}

/// What stands between the user and the administrator in a login name that has both: Dovecot's
/// `auth_master_user_separator`, as its documentation sets it, and Stalwart's.
const SEPARATORS: [char; 2] = ['*', '%'];

impl Credentials {
    /// The user whose account it is.
    pub fn user(&self) -> &str {
        match self {
            Credentials::Basic { user, .. } | Credentials::Bearer { user, .. } | Credentials::ActingAs { user, .. } => {
                user
            }
        }
    }

    /// What the login is proved with: a password or a token.
    pub fn login(&self) -> &Credentials {
        match self {
            Credentials::ActingAs { login, .. } => login.login(),
            own => own,
        }
    }

    /// The authorization identity to send (RFC 4422 section 3.4.1): none for a user who acts as nobody else, and none where
    /// the login name has both (`alice*admin`).
    pub fn authorization(&self) -> Option<&str> {
        match self {
            Credentials::ActingAs { user, .. } if !names(self.login().user(), user) => Some(user),
            _ => None,
        }
    }

    /// Who logs in, and as whom, for messages. Text of the user: not sanitized.
    pub fn described(&self) -> String {
        match self.authorization() {
            Some(user) => format!("{} as {user}", self.login().user()),
            None => self.login().user().to_owned(),
        }
    }
}

/// True if a login name says already that it acts as `user`: `alice*admin`, `alice%admin`.
pub fn names(login: &str, user: &str) -> bool {
    login.strip_prefix(user).is_some_and(|rest| rest.len() > 1 && rest.starts_with(SEPARATORS))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn acting(login: &str, user: &str) -> Credentials {
        let login = Credentials::Basic { user: login.to_owned(), password: Secret::new("x-secret".to_owned()) };
        Credentials::ActingAs { user: user.to_owned(), login: Box::new(login) }
    }

    #[test]
    fn a_login_name_may_say_already_whom_it_acts_as() {
        let both = |login, user| {
            let acting = acting(login, user);
            (acting.user().to_owned(), acting.authorization().map(str::to_owned), acting.described())
        };
        let (user, authorization, described) = both("admin", "alice");
        assert_eq!((&*user, authorization.as_deref(), &*described), ("alice", Some("alice"), "admin as alice"));
        for login in ["alice*admin", "alice%admin"] {
            assert_eq!(both(login, "alice"), ("alice".to_owned(), None, login.to_owned()));
        }
        for login in ["alice*", "alice", "alicea%admin", "admin*alice", "alice@example.com%admin"] {
            assert_eq!(both(login, "alice").1.as_deref(), Some("alice"), "{login}");
        }
    }
}
