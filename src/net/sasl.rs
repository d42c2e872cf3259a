//! Proving who the user is (SASL, RFC 4422): secrets, the choice of a mechanism, and the mechanisms as state machines.
//!
//! How challenges and responses are framed and encoded is for each protocol; here they are plain bytes.

use super::endpoint::Endpoint;
use super::sanitize::said;
use super::secret::{Credentials, Response, Secret};
use crate::error::{Error, ErrorKind, Result};
use refusal::{unusable, violation};
use zeroize::Zeroizing;

mod refusal;
mod scram;

/// How safe the line is on which something secret is to be said.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Line {
    /// [`super::stream::Stream::is_encrypted`]
    pub is_encrypted: bool,
    /// `--allow-cleartext`
    pub allow_cleartext: bool,
}

impl Line {
    /// True if a password or token may be sent as it is.
    pub fn may_carry_secrets(self) -> bool {
        self.is_encrypted || self.allow_cleartext
    }
}

/// A SASL mechanism.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mechanism {
    /// RFC 7677: the server learns nothing that it did not know, and proves that it knew it.
    ScramSha256,
    /// RFC 4616
    Plain,
    /// Obsolete (draft-murchison-sasl-login); some servers have nothing else.
    Login,
    /// Google's <https://developers.google.com/workspace/gmail/imap/xoauth2-protocol>
    XOAuth2,
    /// RFC 7628
    OAuthBearer,
}

/// The way around a mechanism without an authorization identity.
const BOTH_NAMES: &str = "where the server takes login names with both, give --auth-basic 'USER*ADMIN' (Dovecot) or 'USER%ADMIN' (Stalwart) beside --auth-as USER";

/// What to do about a refusal of a login that acts as another user.
pub const ACT_REFUSED: &str = "check the administrator's password, and that the server lets this login act as others: docs/login.md says what Dovecot, Cyrus, Zimbra and Stalwart want";

impl Mechanism {
    /// Its registered name.
    pub fn name(self) -> &'static str {
        match self {
            Mechanism::ScramSha256 => "SCRAM-SHA-256",
            Mechanism::Plain => "PLAIN",
            Mechanism::Login => "LOGIN",
            Mechanism::XOAuth2 => "XOAUTH2",
            Mechanism::OAuthBearer => "OAUTHBEARER",
        }
    }

    /// True if one who logs in with it can act as another user: it has a place for an authorization identity.
    fn can_authorize(self) -> bool {
        matches!(self, Mechanism::ScramSha256 | Mechanism::Plain | Mechanism::OAuthBearer)
    }

    /// The mechanisms to try, in order, with what the server offers (names in any case).
    ///
    /// When the server refuses the first one before the user was proved ([`Exchange::has_proved`]), the next may still work.
    /// What would show the secret on an unsafe line is left out; if that leaves nothing,
    /// the error is of kind [`ErrorKind::Connection`], as nothing is wrong with the credentials.
    pub fn choose<'a>(
        offered: impl IntoIterator<Item = &'a str>,
        credentials: &Credentials,
        line: Line,
        endpoint: &Endpoint,
    ) -> Result<Vec<Mechanism>> {
        let offered: Vec<String> = offered.into_iter().map(str::to_ascii_uppercase).collect();
        let fitting: &[Mechanism] = match credentials.login() {
            Credentials::Bearer { .. } => &[Mechanism::XOAuth2, Mechanism::OAuthBearer],
            _ => &[Mechanism::ScramSha256, Mechanism::Plain, Mechanism::Login],
        };
        let mut common: Vec<Mechanism> =
            fitting.iter().copied().filter(|one| offered.iter().any(|name| name == one.name())).collect();
        if credentials.authorization().is_some() {
            let others: Vec<&str> = common.iter().filter(|one| !one.can_authorize()).map(|one| one.name()).collect();
            common.retain(|one| one.can_authorize());
            if common.is_empty() && !others.is_empty() {
                return Err(cannot_act(endpoint, &others.join(" and ")));
            }
        }
        if let Credentials::ActingAs { .. } = credentials
            && line.may_carry_secrets()
        {
            // Dovecot checks the proof of SCRAM against the user's own password where a master user has to be allowed by the
            // user's database, as in Debian's example.
            common.sort_by_key(|one| *one != Mechanism::Plain);
        }
        let is_safe = |one: &Mechanism| line.may_carry_secrets() || *one == Mechanism::ScramSha256;
        // LOGIN sends the same name and password as PLAIN, so a server that refused PLAIN would refuse it, too.
        let is_needless = |one: &Mechanism| *one == Mechanism::Login && common.contains(&Mechanism::Plain);
        let chosen: Vec<Mechanism> = common.iter().copied().filter(|one| is_safe(one) && !is_needless(one)).collect();
        if !chosen.is_empty() {
            return Ok(chosen);
        }
        if !common.is_empty() {
            return Err(refuse_cleartext(endpoint));
        }
        let names = said(offered.join(" ").as_bytes());
        let what = match credentials.login() {
            Credentials::Bearer { .. } => "a token",
            _ => "a password",
        };
        let offers = if names.is_empty() { "it offers no mechanism".to_owned() } else { format!("it offers {names}") };
        Err(Error::new(ErrorKind::Connection, format!("{endpoint} does not accept a login with {what}: {offers}")))
    }
}

/// The error for a server whose ways to log in have no place for the user to act as.
pub fn cannot_act(endpoint: &Endpoint, offered: &str) -> Error {
    let what = format!(
        "--auth-as does not work at {endpoint}: it offers {offered}, which cannot log in as one user and act as another"
    );
    Error::new(ErrorKind::Connection, what).hint(BOTH_NAMES)
}

/// The error for a line on which no secret may be sent.
pub fn refuse_cleartext(endpoint: &Endpoint) -> Error {
    Error::new(ErrorKind::Connection, format!("the connection to {endpoint} is not encrypted; nothing secret was sent"))
        .hint("use a URL with implicit TLS (imaps://, sieves://), or --allow-cleartext if the network can be trusted")
}

/// One attempt to authenticate.
///
/// Send [`Exchange::initial`] with the command or, where that is not possible, as the answer to an empty challenge;
/// answer each challenge with [`Exchange::step`]; when the server says that it is content, call [`Exchange::finish`].
/// An error of `step` means that the protocol should cancel (`*`) and close the line.
pub struct Exchange {
    mechanism: Mechanism,
    state: State,
    /// What the server gave as the reason of a refusal (RFC 7628 section 3.2.2).
    refusal: Option<String>,
    token: Option<Secret>,
}

enum State {
    Scram(scram::Scram),
    /// One message from us, then nothing but an error report.
    Single(Option<Response>),
    Login {
        user: String,
        password: Secret,
        step: u8,
    },
}

impl Exchange {
    /// Begins an attempt. Asks for the token, so it may run `--token-command`.
    pub fn new(mechanism: Mechanism, credentials: &Credentials, endpoint: &Endpoint) -> Result<Exchange> {
        let mut token = None;
        let authorization = credentials.authorization();
        if authorization.is_some_and(|user| user.chars().any(char::is_control)) {
            return Err(unusable("user to act as"));
        }
        if authorization.is_some() && !mechanism.can_authorize() {
            return Err(cannot_act(endpoint, mechanism.name()));
        }
        let state = match (mechanism, credentials.login()) {
            (Mechanism::ScramSha256, Credentials::Basic { user, password }) => {
                State::Scram(scram::Scram::new(authorization, user, password)?)
            }
            (Mechanism::Plain, Credentials::Basic { user, password }) => {
                State::Single(Some(plain(authorization, user, password)?))
            }
            (Mechanism::Login, Credentials::Basic { user, password }) => {
                State::Login { user: user.clone(), password: password.clone(), step: 0 }
            }
            (Mechanism::XOAuth2 | Mechanism::OAuthBearer, Credentials::Bearer { user, tokens }) => {
                let secret = tokens.token()?;
                let text = secret.expose();
                // RFC 6750 section 2.1: what else a token holds would end up as another field of the message.
                if text.is_empty() || !text.bytes().all(|byte| byte.is_ascii_graphic()) {
                    return Err(unusable("token"));
                }
                if user.chars().any(char::is_control) {
                    return Err(unusable("user"));
                }
                let message = match mechanism {
                    Mechanism::XOAuth2 => format!("user={user}\x01auth=Bearer {text}\x01\x01"),
                    _ => format!(
                        "n,a={},\x01host={}\x01port={}\x01auth=Bearer {text}\x01\x01",
                        scram::saslname(authorization.unwrap_or(user)),
                        endpoint.host,
                        endpoint.port
                    ),
                };
                token = Some(secret.clone());
                State::Single(Some(Zeroizing::new(message.into_bytes())))
            }
            _ => {
                return Err(Error::new(
                    ErrorKind::Usage,
                    format!("{} does not go with these credentials", mechanism.name()),
                ));
            }
        };
        Ok(Exchange { mechanism, state, refusal: None, token })
    }

    /// The mechanism.
    pub fn mechanism(&self) -> Mechanism {
        self.mechanism
    }

    /// The first message, for mechanisms where the client begins. `None` for LOGIN.
    pub fn initial(&mut self) -> Option<Response> {
        match &mut self.state {
            State::Scram(scram) => Some(scram.client_first()),
            State::Single(message) => message.take(),
            State::Login { .. } => None,
        }
    }

    /// The answer to a challenge.
    pub fn step(&mut self, challenge: &[u8]) -> Result<Response> {
        match &mut self.state {
            State::Scram(scram) => scram.step(challenge),
            State::Single(message) => {
                // An empty challenge before the first message only asks for it (IMAP without SASL-IR).
                if let Some(message) = message.take() {
                    return Ok(message);
                }
                self.refusal = Some(reason(challenge));
                // RFC 7628 section 3.2.3 wants a lone ^A, XOAUTH2 an empty line; the server then says NO.
                Ok(Zeroizing::new(if self.mechanism == Mechanism::OAuthBearer { vec![1] } else { Vec::new() }))
            }
            State::Login { user, password, step } => {
                *step += 1;
                match step {
                    1 => Ok(Zeroizing::new(user.clone().into_bytes())),
                    2 => Ok(Zeroizing::new(password.expose().as_bytes().to_vec())),
                    _ => Err(violation("it asks for more than a user and a password")),
                }
            }
        }
    }

    /// The server is content. `data` is what it sent along (RFC 4422 section 3.6), if anything.
    ///
    /// An error says that the server has not proved that it knows the password: it is not the right one.
    pub fn finish(&mut self, data: Option<&[u8]>) -> Result<()> {
        match &mut self.state {
            State::Scram(scram) => scram.finish(data),
            _ => Ok(()),
        }
    }

    /// True if the server has got what proves the user: when it refuses then, it would refuse the same with any mechanism.
    /// Before that it may be the mechanism that does not go: many servers offer SCRAM to all users and have a fitting
    /// hash for few.
    pub fn has_proved(&self) -> bool {
        match &self.state {
            State::Scram(scram) => scram.has_proved(),
            State::Single(message) => message.is_none(),
            State::Login { step, .. } => *step >= 2,
        }
    }

    /// What the server gave as the reason of a refusal besides the text of its protocol, e.g. `status 401`.
    pub fn refusal(&self) -> Option<&str> {
        self.refusal.as_deref()
    }

    /// The token of this attempt, for [`super::secret::Tokens::renew`] after a refusal.
    pub fn token(&self) -> Option<&Secret> {
        self.token.as_ref()
    }
}

/// The message of PLAIN (RFC 4616 section 2).
fn plain(authorization: Option<&str>, user: &str, password: &Secret) -> Result<Response> {
    for (what, text) in [("user", user), ("password", password.expose())] {
        if text.contains('\0') {
            return Err(unusable(what));
        }
    }
    let message = format!("{}\0{user}\0{}", authorization.unwrap_or_default(), password.expose());
    Ok(Zeroizing::new(message.into_bytes()))
}

/// The `status` of an error report in JSON; nothing else of what the server says is worth showing.
fn reason(challenge: &[u8]) -> String {
    /// Google's and Microsoft's have 100 bytes.
    const MAX: usize = 4096;
    let report: Option<serde_json::Value> =
        challenge.get(..challenge.len().min(MAX)).and_then(|bytes| serde_json::from_slice(bytes).ok());
    let status = report.as_ref().and_then(|report| report.get("status")).map(|status| match status {
        serde_json::Value::String(text) => said(text.as_bytes()),
        other => said(other.to_string().as_bytes()),
    });
    status.map_or_else(|| "no reason given".to_owned(), |status| format!("status {status}"))
}

#[cfg(test)]
mod tests {
    use super::super::secret::Tokens;
    use super::*;
    use std::sync::Arc;

    fn basic() -> Credentials {
        Credentials::Basic { user: "tim".to_owned(), password: Secret::new("tanstaaftanstaaf".to_owned()) }
    }

    struct Fixed(&'static str);

    impl Tokens for Fixed {
        fn token(&self) -> Result<Secret> {
            Ok(Secret::new(self.0.to_owned()))
        }

        fn renew(&self, _: &Secret) -> Result<bool> {
            Ok(false)
        }
    }

    fn bearer(user: &str, token: &'static str) -> Credentials {
        Credentials::Bearer { user: user.to_owned(), tokens: Arc::new(Fixed(token)) }
    }

    fn endpoint() -> Endpoint {
        Endpoint::parse("imap://server.example.com", crate::net::endpoint::Service::Imap).expect("an endpoint")
    }

    fn choose(offered: &[&str], credentials: &Credentials, is_encrypted: bool, allow: bool) -> Result<Vec<Mechanism>> {
        let line = Line { is_encrypted, allow_cleartext: allow };
        Mechanism::choose(offered.iter().copied(), credentials, line, &endpoint())
    }

    fn acting(user: &str, login: Credentials) -> Credentials {
        Credentials::ActingAs { user: user.to_owned(), login: Box::new(login) }
    }

    /// RFC 4616 section 2, RFC 7628 section 3.1: who is acted as stands first.
    #[test]
    fn the_user_to_act_as_is_sent_where_the_mechanism_has_a_place() {
        let first = |mechanism, credentials: &Credentials| {
            let message = Exchange::new(mechanism, credentials, &endpoint()).map(|mut exchange| exchange.initial());
            message.map(|message| String::from_utf8(message.expect("a message").to_vec()).expect("text"))
        };
        let kurt = acting("kurt", basic());
        assert_eq!(first(Mechanism::Plain, &kurt).expect("PLAIN"), "kurt\0tim\0tanstaaftanstaaf");
        assert!(first(Mechanism::ScramSha256, &kurt).expect("SCRAM").starts_with("n,a=kurt,n=tim,r="));
        let odd = acting("a=b,c", bearer("tim", "t0ken"));
        assert_eq!(
            first(Mechanism::OAuthBearer, &odd).expect("OAUTHBEARER"),
            "n,a=a=3Db=2Cc,\x01host=server.example.com\x01port=143\x01auth=Bearer t0ken\x01\x01"
        );
        for (mechanism, credentials) in
            [(Mechanism::Login, &kurt), (Mechanism::XOAuth2, &acting("kurt", bearer("tim", "t0ken")))]
        {
            let error = Exchange::new(mechanism, credentials, &endpoint()).err().expect("no place");
            assert!(error.to_string().contains("--auth-as does not work"), "{error}");
        }
        for user in ["a\0b", "a\x01auth=Bearer x", "a\r\nb"] {
            assert!(first(Mechanism::Plain, &acting(user, basic())).is_err(), "{user:?}");
            assert!(first(Mechanism::OAuthBearer, &acting(user, bearer("tim", "t"))).is_err(), "{user:?}");
        }
        // A login name with both needs no place: every mechanism goes, and nothing is said twice.
        let login = Credentials::Basic { user: "kurt*tim".to_owned(), password: Secret::new("tanstaaf".to_owned()) };
        let both = acting("kurt", login);
        assert_eq!(first(Mechanism::Plain, &both).expect("PLAIN"), "\0kurt*tim\0tanstaaf");
        assert_eq!(choose(&["LOGIN"], &both, true, false).expect("one"), [Mechanism::Login]);
    }

    #[test]
    fn one_who_acts_as_another_is_told_which_mechanisms_cannot() {
        use Mechanism::*;
        let (password, token) = (acting("kurt", basic()), acting("kurt", bearer("tim", "t")));
        assert_eq!(choose(&["LOGIN", "PLAIN"], &password, true, false).expect("one"), [Plain]);
        assert_eq!(choose(&["XOAUTH2", "OAUTHBEARER"], &token, true, false).expect("one"), [OAuthBearer]);
        for (offered, credentials) in [("LOGIN", &password), ("XOAUTH2", &token)] {
            let error = choose(&[offered], credentials, true, false).expect_err("no place");
            let hint = error.hint_text().unwrap_or_default();
            assert!(error.to_string().contains(&format!("it offers {offered}, which cannot")), "{error}");
            assert!(hint.contains("USER*ADMIN") && hint.contains("USER%ADMIN"), "{hint}");
        }
    }

    #[test]
    fn passwords_stay_off_open_lines() {
        use Mechanism::*;
        let all = ["LOGIN", "plain", "Scram-Sha-256", "CRAM-MD5"];
        assert_eq!(choose(&all, &basic(), true, false).expect("some"), [ScramSha256, Plain]);
        assert_eq!(choose(&all, &basic(), false, false).expect("one"), [ScramSha256]);
        assert_eq!(choose(&all, &basic(), false, true).expect("some"), [ScramSha256, Plain]);
        assert_eq!(choose(&["LOGIN"], &basic(), true, false).expect("one"), [Login]);
        assert!(choose(&["PLAIN", "LOGIN"], &basic(), false, false).is_err());
        assert!(choose(&["CRAM-MD5"], &basic(), true, false).is_err());
        let bearer = bearer("u", "t");
        assert_eq!(
            choose(&["OAUTHBEARER", "XOAUTH2", "PLAIN"], &bearer, true, false).expect("two"),
            [XOAuth2, OAuthBearer]
        );
        assert!(choose(&["OAUTHBEARER"], &bearer, false, false).is_err());
    }

    #[test]
    fn plain_as_rfc_4616_has_it() {
        let mut exchange = Exchange::new(Mechanism::Plain, &basic(), &endpoint()).expect("an exchange");
        assert_eq!(**exchange.initial().expect("a message"), *b"\0tim\0tanstaaftanstaaf");
        exchange.finish(None).expect("nothing to check");
    }

    #[test]
    fn a_nul_cannot_be_smuggled_into_plain() {
        let credentials = Credentials::Basic { user: "a\0b".to_owned(), password: Secret::new("x".to_owned()) };
        assert!(Exchange::new(Mechanism::Plain, &credentials, &endpoint()).is_err());
    }

    #[test]
    fn login_answers_two_questions_and_no_third() {
        let mut exchange = Exchange::new(Mechanism::Login, &basic(), &endpoint()).expect("an exchange");
        assert!(exchange.initial().is_none());
        assert_eq!(**exchange.step(b"Username:").expect("a name"), *b"tim");
        assert_eq!(**exchange.step(b"Password:").expect("a password"), *b"tanstaaftanstaaf");
        assert!(exchange.step(b"PIN:").is_err());
    }

    /// The example of Google's document.
    #[test]
    fn xoauth2_as_google_has_it() {
        let credentials = bearer("someuser@example.com", "ya29.vF9dft4qmTc2Nvb3RlckBhdHRhdmlzdGEuY29tCg");
        let mut exchange = Exchange::new(Mechanism::XOAuth2, &credentials, &endpoint()).expect("an exchange");
        assert_eq!(
            **exchange.initial().expect("a message"),
            *b"user=someuser@example.com\x01auth=Bearer ya29.vF9dft4qmTc2Nvb3RlckBhdHRhdmlzdGEuY29tCg\x01\x01"
        );
        let answer = exchange.step(br#"{"status":"401","schemes":"bearer","scope":"https://mail.google.com/"}"#);
        assert!(answer.expect("an empty line").is_empty());
        assert_eq!(exchange.refusal(), Some("status 401"));
    }

    /// RFC 7628 section 4.1 and 4.3.
    #[test]
    fn oauthbearer_as_rfc_7628_has_it() {
        let credentials = bearer("user@example.com", "vF9dft4qmTc2Nvb3RlckBhbHRhdmlzdGEuY29tCg==");
        let mut exchange = Exchange::new(Mechanism::OAuthBearer, &credentials, &endpoint()).expect("an exchange");
        assert_eq!(
            **exchange.initial().expect("a message"),
            *b"n,a=user@example.com,\x01host=server.example.com\x01port=143\x01auth=Bearer vF9dft4qmTc2Nvb3RlckBhbHRhdmlzdGEuY29tCg==\x01\x01"
        );
        let answer = exchange.step(br#"{"status":"invalid_token","scope":"example_scope"}"#).expect("an answer");
        assert_eq!(**answer, [1]);
        assert_eq!(exchange.refusal(), Some("status invalid_token"));
    }

    #[test]
    fn tokens_that_would_add_a_field_are_refused() {
        for token in ["", "a\x01b", "a b", "a\nb", "ä"] {
            assert!(Exchange::new(Mechanism::XOAuth2, &bearer("u", Box::leak(token.into())), &endpoint()).is_err());
        }
        assert!(Exchange::new(Mechanism::XOAuth2, &bearer("u\x01auth=x", "t"), &endpoint()).is_err());
    }
}
