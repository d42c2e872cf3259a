//! SCRAM-SHA-256 (RFC 5802, RFC 7677), without channel binding.
//!
//! Our own and not a crate's: those there are derive keys with any iteration count that a server names, and a count of
//! 2^32 keeps a core busy for an hour. The primitives are those of `ring`, which TLS brings along.

use super::refusal::{unusable, violation};
use crate::error::{Error, ErrorKind, Result};
use crate::net::mask;
use crate::net::sanitize::said;
use crate::net::secret::{Response, Secret};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use ring::digest::{SHA256, digest};
use ring::{hmac, pbkdf2, rand};
use std::num::NonZeroU32;
use zeroize::Zeroizing;

/// More iterations than this are refused. Servers use 4,096 to 600,000; a million take about half a second.
const ITERATIONS_MAX: u32 = 1_000_000;

/// Longer messages of a server are refused.
const MESSAGE_MAX: usize = 4096;

pub(super) struct Scram {
    /// What stands before the first message and is proved with it (RFC 5802 section 7).
    header: String,
    user: String,
    password: Zeroizing<String>,
    nonce: String,
    state: State,
}

enum State {
    Begin,
    AwaitsServerFirst,
    AwaitsServerFinal { signature: hmac::Tag },
    Proved,
}

impl Scram {
    /// `authorization`: the user to act as.
    pub(super) fn new(authorization: Option<&str>, user: &str, password: &Secret) -> Result<Scram> {
        let mut random = [0; 24];
        rand::SecureRandom::fill(&rand::SystemRandom::new(), &mut random)
            .map_err(|_| Error::new(ErrorKind::Storage, "this machine gives no random numbers"))?;
        Scram::with_nonce(authorization, user, password, STANDARD.encode(random))
    }

    fn with_nonce(authorization: Option<&str>, user: &str, password: &Secret, nonce: String) -> Result<Scram> {
        // `n`: we do no channel binding.
        let header = match authorization {
            Some(user) => format!("n,a={},", saslname(user)),
            None => "n,,".to_owned(),
        };
        let user = stringprep::saslprep(user).map_err(|_| unusable("user"))?.into_owned();
        let password = stringprep::saslprep(password.expose()).map_err(|_| unusable("password"))?.into_owned();
        Ok(Scram { header, user, password: Zeroizing::new(password), nonce, state: State::Begin })
    }

    fn first_bare(&self) -> String {
        format!("n={},r={}", saslname(&self.user), self.nonce)
    }

    /// True once something that only the password makes was sent: a refusal then is one of the password.
    pub(super) fn has_proved(&self) -> bool {
        !matches!(self.state, State::Begin | State::AwaitsServerFirst)
    }

    pub(super) fn client_first(&mut self) -> Response {
        self.state = State::AwaitsServerFirst;
        Zeroizing::new(format!("{}{}", self.header, self.first_bare()).into_bytes())
    }

    pub(super) fn step(&mut self, challenge: &[u8]) -> Result<Response> {
        let text = message(challenge)?;
        match &self.state {
            State::Begin => Ok(self.client_first()),
            State::AwaitsServerFirst => self.client_final(text),
            State::AwaitsServerFinal { .. } => {
                self.check(text)?;
                Ok(Response::default())
            }
            State::Proved => Err(violation("it goes on after the end of the exchange")),
        }
    }

    pub(super) fn finish(&mut self, data: Option<&[u8]>) -> Result<()> {
        if let (State::AwaitsServerFinal { .. }, Some(data)) = (&self.state, data) {
            self.check(message(data)?)?;
        }
        match self.state {
            State::Proved => Ok(()),
            _ => Err(violation("it has not proved that it knows the password")),
        }
    }

    /// Server-first in, client-final out (RFC 5802 section 3).
    fn client_final(&mut self, server_first: &str) -> Result<Response> {
        let mut fields = server_first.split(',');
        let mut field = |name: &str| fields.next().and_then(|field| field.strip_prefix(name));
        // An extension that we must understand (`m=`) stands first, and is none of these.
        let (Some(nonce), Some(salt), Some(iterations)) = (field("r="), field("s="), field("i=")) else {
            return Err(violation("its first message of SCRAM cannot be read"));
        };
        if !nonce.starts_with(&self.nonce) || nonce.len() == self.nonce.len() {
            return Err(violation("its nonce does not go on from ours"));
        }
        let salt = STANDARD.decode(salt).map_err(|_| violation("the salt is no base64"))?;
        let iterations = iterations.parse::<u32>().ok().and_then(NonZeroU32::new);
        let iterations = match iterations {
            Some(count) if count.get() <= ITERATIONS_MAX => count,
            _ => return Err(violation(&format!("it wants another number of iterations than 1 to {ITERATIONS_MAX}"))),
        };
        let mut salted = Zeroizing::new([0; 32]);
        pbkdf2::derive(pbkdf2::PBKDF2_HMAC_SHA256, iterations, &salt, self.password.as_bytes(), &mut *salted);
        let salted = hmac::Key::new(hmac::HMAC_SHA256, &*salted);
        let client_key = hmac::sign(&salted, b"Client Key");
        let stored_key = hmac::Key::new(hmac::HMAC_SHA256, digest(&SHA256, client_key.as_ref()).as_ref());
        let server_key = hmac::Key::new(hmac::HMAC_SHA256, hmac::sign(&salted, b"Server Key").as_ref());
        let without_proof = format!("c={},r={nonce}", STANDARD.encode(&self.header));
        let whole = format!("{},{server_first},{without_proof}", self.first_bare());
        let signature = hmac::sign(&stored_key, whole.as_bytes());
        let proof: Vec<u8> = client_key.as_ref().iter().zip(signature.as_ref()).map(|(key, sign)| key ^ sign).collect();
        self.state = State::AwaitsServerFinal { signature: hmac::sign(&server_key, whole.as_bytes()) };
        // With it and the rest of the exchange passwords can be tried.
        let proof = STANDARD.encode(proof);
        mask::remember(proof.as_bytes());
        Ok(Zeroizing::new(format!("{without_proof},p={proof}").into_bytes()))
    }

    /// Server-final: it must know the password too.
    fn check(&mut self, server_final: &str) -> Result<()> {
        let State::AwaitsServerFinal { signature } = &self.state else {
            return Err(violation("its last message of SCRAM comes too early"));
        };
        let field = server_final.split(',').next().unwrap_or_default();
        if let Some(why) = field.strip_prefix("e=") {
            let why = said(why.as_bytes());
            return Err(Error::new(ErrorKind::Credentials, format!("the server refused the login: {why}")));
        }
        let claimed = field.strip_prefix("v=").and_then(|claimed| STANDARD.decode(claimed).ok()).unwrap_or_default();
        // The time that this comparison takes tells no more than a signature of one exchange that is over.
        if claimed != signature.as_ref() {
            return Err(violation("it does not know the password: it may be another server"));
        }
        self.state = State::Proved;
        Ok(())
    }
}

fn message(bytes: &[u8]) -> Result<&str> {
    let text = std::str::from_utf8(bytes).ok().filter(|text| text.len() <= MESSAGE_MAX);
    text.ok_or_else(|| violation("its message of SCRAM cannot be read"))
}

/// A name where `,` and `=` mean something (RFC 5802 section 5.1).
pub(super) fn saslname(name: &str) -> String {
    name.replace('=', "=3D").replace(',', "=2C")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scram() -> Scram {
        Scram::with_nonce(None, "user", &Secret::new("pencil".to_owned()), "rOprNGfwEbeRWgbNEkqO".to_owned())
            .expect("a start")
    }

    const SERVER_FIRST: &[u8] =
        b"r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096";

    /// RFC 7677 section 3.
    #[test]
    fn the_example_of_rfc_7677() {
        let mut scram = scram();
        assert_eq!(**scram.client_first(), *b"n,,n=user,r=rOprNGfwEbeRWgbNEkqO");
        assert_eq!(
            **scram.step(SERVER_FIRST).expect("an answer"),
            *b"c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ="
        );
        assert!(scram.finish(None).is_err(), "the server has proved nothing yet");
        assert!(scram.step(b"v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=").expect("the end").is_empty());
        scram.finish(None).expect("proved");
    }

    #[test]
    fn the_proof_may_come_with_the_success() {
        let mut scram = scram();
        scram.client_first();
        scram.step(SERVER_FIRST).expect("an answer");
        scram.finish(Some(b"v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=")).expect("proved");
    }

    #[test]
    fn hostile_servers() {
        for first in [
            &b""[..],
            b"\xff\xfe",
            b"r=rOprNGfwEbeRWgbNEkqO,s=W22Z,i=4096",
            b"r=other,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096",
            b"r=rOprNGfwEbeRWgbNEkqOx,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4294967295",
            b"r=rOprNGfwEbeRWgbNEkqOx,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=0",
            b"r=rOprNGfwEbeRWgbNEkqOx,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=99999999999999999999",
            b"r=rOprNGfwEbeRWgbNEkqOx,s=!,i=4096",
            b"m=x,r=rOprNGfwEbeRWgbNEkqOx,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096",
        ] {
            let mut scram = scram();
            scram.client_first();
            assert!(scram.step(first).is_err(), "{}", String::from_utf8_lossy(first));
            assert!(scram.finish(None).is_err());
        }
        for last in [&b"v=AAAA"[..], b"v=", b"", b"e=other-error"] {
            let mut scram = scram();
            scram.client_first();
            scram.step(SERVER_FIRST).expect("an answer");
            assert!(scram.finish(Some(last)).is_err());
            assert!(scram.step(last).is_err());
        }
    }

    /// RFC 5802 sections 5.1 and 7: the header with the user to act as is part of what is proved.
    #[test]
    fn the_user_to_act_as_stands_in_the_header() {
        let password = Secret::new("pencil".to_owned());
        let nonce = "rOprNGfwEbeRWgbNEkqO".to_owned();
        let mut scram = Scram::with_nonce(Some("al=ice,b"), "user", &password, nonce).expect("a start");
        assert_eq!(**scram.client_first(), *b"n,a=al=3Dice=2Cb,n=user,r=rOprNGfwEbeRWgbNEkqO");
        let last = scram.step(SERVER_FIRST).expect("an answer");
        let last = String::from_utf8(last.to_vec()).expect("text");
        let binding = last.strip_prefix("c=").and_then(|rest| rest.split(',').next()).expect("c=");
        assert_eq!(STANDARD.decode(binding).expect("base64"), b"n,a=al=3Dice=2Cb,");
        // The proof covers the header: it is another one than that without it.
        let mut own = self::scram();
        own.client_first();
        let own = String::from_utf8(own.step(SERVER_FIRST).expect("an answer").to_vec()).expect("text");
        assert_ne!(last.split(",p=").nth(1), own.split(",p=").nth(1));
    }

    #[test]
    fn names_are_escaped() {
        assert_eq!(saslname("a=b,c"), "a=3Db=2Cc");
    }
}
