//! Finds out which protocol a port speaks, where it is not the expected one: so the error names the address that fits, and
//! does not only say that no answer came.
//!
//! A server of mail greets first, in clear or behind a TLS handshake; a client that waits for the greeting on the other
//! kind of port waits in vain, because there the server waits for the client. So a second connection is made, on which
//! nothing but a TLS handshake is ever sent, and its first bytes are looked at.

use super::connector::Connector;
use super::endpoint::{Endpoint, Security, Service};
use super::retry::patiently;
use crate::error::{Error, ErrorKind};
use std::future::Future;
use std::io;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::time;

/// A server that has not greeted within this time is looked at.
const GREETING: Duration = Duration::from_millis(1500);

/// How long each step of the look takes at most.
const STEP: Duration = Duration::from_millis(1500);

/// What was found on a port.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Found {
    /// TLS begins with the first byte.
    is_tls: bool,
    /// `None`: it says nothing by itself.
    speaks: Option<Protocol>,
}

/// Protocols that are known by their first bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Protocol {
    Wanted(Service),
    /// Another one, by its name.
    Other(&'static str),
}

/// Runs the first attempt to connect and to be greeted. If nothing came within a moment, or if it failed, the port is
/// looked at, and where it is one of another kind the error says so. `E` is what the attempt fails with.
pub async fn watch<T, E: From<Error> + std::error::Error>(
    connector: &Connector,
    service: Service,
    attempt: impl Future<Output = Result<T, E>>,
) -> Result<T, E> {
    let endpoint = connector.endpoint();
    let words = || format!("waiting for {endpoint} (up to {} s)", connector.timeout().as_secs());
    let log = connector.listener();
    let attempt = patiently(log.as_ref(), words, attempt);
    tokio::pin!(attempt);
    let early = time::timeout(GREETING, &mut attempt).await;
    let done = match early {
        Ok(Ok(done)) => return Ok(done),
        // A server that is not there, or says goodbye in its own words, speaks what it should.
        Ok(Err(error)) if !is_puzzling(&error) => return Err(error),
        Ok(Err(error)) => Some(error),
        Err(_) => None,
    };
    let look = async { look(connector).await.and_then(|found| contradiction(endpoint, service, found)) };
    match done {
        Some(error) => Err(look.await.map_or(error, E::from)),
        None => {
            tokio::pin!(look);
            tokio::select! {
                done = &mut attempt => done,
                found = &mut look => match found {
                    Some(error) => Err(error.into()),
                    None => attempt.await,
                },
            }
        }
    }
}

/// True if the failure may come from a port of another kind: what came made no sense, or nothing came.
fn is_puzzling(error: &impl std::error::Error) -> bool {
    let cause = error.source().and_then(|cause| cause.downcast_ref::<io::Error>());
    cause.is_none_or(|cause| {
        matches!(
            cause.kind(),
            io::ErrorKind::UnexpectedEof
                | io::ErrorKind::TimedOut
                | io::ErrorKind::ConnectionReset
                | io::ErrorKind::InvalidData
        )
    })
}

/// The first bytes of a port: in clear, else behind TLS. Both are looked at together, which takes half the time.
async fn look(connector: &Connector) -> Option<Found> {
    let clear = async {
        let mut tcp = time::timeout(STEP, connector.dial()).await.ok()?.ok()?;
        Some(first_bytes(&mut tcp).await)
    };
    let encrypted = async {
        let mut stream = time::timeout(STEP, connector.shake_any_hand()).await.ok()?.ok()?;
        Some(first_bytes(&mut stream).await)
    };
    let (clear, encrypted) = tokio::join!(clear, encrypted);
    // An alert of TLS (RFC 8446 section 5.1) is what a server of TLS may say to nothing at all.
    match clear? {
        first if !first.is_empty() && !first.starts_with(&[0x15, 3]) => {
            Some(Found { is_tls: false, speaks: protocol(&first) })
        }
        _ => encrypted.map(|first| Found { is_tls: true, speaks: protocol(&first) }),
    }
}

async fn first_bytes(stream: &mut (impl AsyncRead + Unpin)) -> Vec<u8> {
    let mut bytes = vec![0; 256];
    let count = time::timeout(STEP, stream.read(&mut bytes)).await;
    bytes.truncate(count.ok().and_then(Result::ok).unwrap_or_default());
    bytes
}

fn protocol(first: &[u8]) -> Option<Protocol> {
    let upper = first.to_ascii_uppercase();
    let begins = |text: &str| upper.starts_with(text.as_bytes());
    if ["* OK", "* PREAUTH", "* BYE"].iter().any(|text| begins(text)) {
        Some(Protocol::Wanted(Service::Imap))
    } else if begins("\"IMPLEMENTATION\"") || begins("\"SIEVE\"") || begins("\"SASL\"") || begins("\"VERSION\"") {
        Some(Protocol::Wanted(Service::Sieve))
    } else {
        let others =
            [("+OK", "POP3"), ("-ERR", "POP3"), ("220", "SMTP"), ("554", "SMTP"), ("SSH-", "SSH"), ("HTTP/", "HTTP")];
        others.iter().find(|(text, _)| begins(text)).map(|(_, name)| Protocol::Other(name))
    }
}

/// The error for a port of another kind than the address says; `None` if it is of this kind, or the answer does not tell.
fn contradiction(endpoint: &Endpoint, service: Service, found: Found) -> Option<Error> {
    let is_implicit = endpoint.security == Security::Implicit;
    let error = |what: String| Error::new(ErrorKind::Connection, what);
    let url = |service: Service, is_tls: bool| {
        let scheme = service.scheme(is_tls);
        format!("{scheme}://{endpoint}")
    };
    let wanted = service.name();
    match found.speaks {
        Some(Protocol::Wanted(there)) if there == service && found.is_tls == is_implicit => None,
        Some(Protocol::Wanted(there)) if there == service && found.is_tls => Some(
            error(format!("{endpoint} speaks {wanted} with TLS from the start"))
                .hint(format!("use {}", url(service, true))),
        ),
        Some(Protocol::Wanted(there)) if there == service => {
            let what = format!("{endpoint} does not speak TLS on this port: it starts {wanted} without TLS");
            Some(error(what).hint(format!("use {}, which encrypts with STARTTLS", url(service, false))))
        }
        Some(Protocol::Wanted(there)) => {
            let what = format!("{endpoint} speaks {}, and not {wanted}", there.name());
            Some(error(what).hint(format!(
                "check the port ({wanted} has {}), or use 'vandelay import {}' with --url {}",
                service.ports(),
                there.command(),
                url(there, found.is_tls)
            )))
        }
        Some(Protocol::Other(name)) => {
            let what = format!("{endpoint} speaks {name}, and not {wanted}");
            Some(error(what).hint(format!("check the port: {wanted} has {}", service.ports())))
        }
        None if found.is_tls && !is_implicit => {
            let what = format!("{endpoint} expects TLS from the start");
            Some(error(what).hint(format!("if the port is right, use {}", url(service, true))))
        }
        None => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_kind_of_port_gets_the_words_that_fit() {
        let imap = Some(Protocol::Wanted(Service::Imap));
        let sieve = Some(Protocol::Wanted(Service::Sieve));
        for (url, is_tls, speaks, expected) in [
            ("imap://a.b:993", true, imap, Some("use imaps://a.b:993")),
            ("imaps://a.b:143", false, imap, Some("use imap://a.b:143, which encrypts with STARTTLS")),
            ("imaps://a.b", true, imap, None),
            ("imap://a.b", false, imap, None),
            ("imap://a.b", false, None, None),
            ("imaps://a.b", true, None, None),
            ("imap://a.b:443", true, None, Some("if the port is right, use imaps://a.b:443")),
            ("imap://a.b:4190", false, sieve, Some("'vandelay import managesieve' with --url sieve://a.b:4190")),
            ("sieve://a.b:143", false, imap, Some("'vandelay import imap' with --url imap://a.b:143")),
            ("sieves://a.b", false, sieve, Some("use sieve://a.b:4190, which")),
            ("sieve://a.b", true, sieve, Some("use sieves://a.b:4190")),
            (
                "imap://a.b:25",
                false,
                Some(Protocol::Other("SMTP")),
                Some("IMAP has 993 with imaps: and 143 with imap:"),
            ),
        ] {
            let service = if url.starts_with("sieve") { Service::Sieve } else { Service::Imap };
            let endpoint = Endpoint::parse(url, service).expect("an address");
            let error = contradiction(&endpoint, service, Found { is_tls, speaks });
            let hint = error.as_ref().and_then(Error::hint_text);
            match expected {
                Some(text) => assert!(hint.is_some_and(|hint| hint.contains(text)), "{url}: {hint:?}"),
                None => assert!(error.is_none(), "{url}: {error:?}"),
            }
        }
    }

    #[test]
    fn first_bytes_tell_the_protocol() {
        for (first, expected) in [
            ("* OK [CAPABILITY IMAP4rev1] ready\r\n", Some(Protocol::Wanted(Service::Imap))),
            ("\"IMPLEMENTATION\" \"Dovecot Pigeonhole\"\r\n", Some(Protocol::Wanted(Service::Sieve))),
            ("+OK POP3\r\n", Some(Protocol::Other("POP3"))),
            ("220 mail ESMTP\r\n", Some(Protocol::Other("SMTP"))),
            ("hello", None),
            ("", None),
        ] {
            assert_eq!(protocol(first.as_bytes()), expected, "{first}");
        }
    }
}
