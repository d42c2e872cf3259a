//! TLS: which certificates are trusted, and the errors that say why one is not.

use super::endpoint::Endpoint;
use super::sanitize::said;
use super::stream::Tcp;
use crate::error::{Error, ErrorKind, Result};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use parking_lot::Mutex;
use ring::digest::{SHA256, digest};
use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::ring::default_provider;
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::version::{TLS12, TLS13};
use rustls::{
    AlertDescription, CertificateError, ClientConfig, DigitallySignedStruct, PeerIncompatible, RootCertStore,
    SignatureScheme,
};
use std::collections::HashSet;
use std::io;
use std::str::FromStr;
use std::sync::Arc;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

/// Which certificates are accepted. TLS is 1.2 or newer in any case.
#[derive(Debug, Clone, Default)]
pub struct TlsOptions {
    /// Any certificate will do (`--allow-invalid-certs`). A pin counts all the same.
    pub allow_invalid_certs: bool,
    /// Only this certificate is accepted, expired or self-signed or for another name (`--pin-sha256`).
    pub pin: Option<Pin>,
}

/// The SHA-256 of a certificate or of the public key in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pin {
    /// Of the whole certificate in DER, as `openssl x509 -fingerprint -sha256` prints it.
    Certificate([u8; 32]),
    /// Of its SubjectPublicKeyInfo (RFC 7469 section 2.4), as curl's `--pinnedpubkey` takes it.
    PublicKey([u8; 32]),
}

/// 64 hexadecimal digits, with or without colons; or `sha256//` and base64 for the public key.
impl FromStr for Pin {
    type Err = String;

    fn from_str(text: &str) -> Result<Pin, String> {
        if let Some(key) = text.trim().strip_prefix("sha256//") {
            let bytes = STANDARD.decode(key).ok();
            return match bytes.and_then(|bytes| bytes.try_into().ok()) {
                Some(digest) => Ok(Pin::PublicKey(digest)),
                None => Err("not 32 bytes in base64".to_owned()),
            };
        }
        let digits: Vec<u8> = text.bytes().filter(|byte| !matches!(byte, b':' | b' ')).collect();
        let mut digest = [0; 32];
        if digits.len() != 64 {
            return Err("not 64 hexadecimal digits".to_owned());
        }
        for (byte, pair) in digest.iter_mut().zip(digits.chunks_exact(2)) {
            let value = |digit: u8| char::from(digit).to_digit(16).ok_or("not 64 hexadecimal digits");
            *byte = (value(pair[0])? << 4 | value(pair[1])?) as u8;
        }
        Ok(Pin::Certificate(digest))
    }
}

/// TLS made ready once for all connections of a run.
pub(super) struct Tls {
    config: Arc<ClientConfig>,
    judge: Arc<CertVerifier>,
}

impl Tls {
    pub(super) fn new(options: &TlsOptions) -> Result<Tls> {
        let provider = Arc::new(default_provider());
        let cannot =
            |error: &dyn std::fmt::Display| Error::new(ErrorKind::Connection, format!("cannot set up TLS: {error}"));
        let rule = match (options.pin, options.allow_invalid_certs) {
            (Some(pin), _) => Rule::Pinned(pin),
            (None, true) => Rule::Anything,
            (None, false) => {
                let (roots, chosen) = roots()?;
                let verifier = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), Arc::clone(&provider));
                Rule::Trusted(verifier.build().map_err(|error| cannot(&error))?, chosen)
            }
        };
        let judge = Arc::new(CertVerifier { rule, provider: Arc::clone(&provider), seen: Mutex::default() });
        let config = ClientConfig::builder_with_provider(provider)
            .with_protocol_versions(&[&TLS13, &TLS12])
            .map_err(|error| cannot(&error))?
            .dangerous()
            .with_custom_certificate_verifier(Arc::clone(&judge) as Arc<dyn ServerCertVerifier>)
            .with_no_client_auth();
        Ok(Tls { config: Arc::new(config), judge })
    }

    pub(super) async fn handshake(&self, host: &str, tcp: Tcp) -> io::Result<TlsStream<Tcp>> {
        let name = ServerName::try_from(host.to_owned()).map_err(io::Error::other)?;
        TlsConnector::from(Arc::clone(&self.config)).connect(name, tcp).await
    }

    /// The same rules for a client that makes its connections itself.
    pub(super) fn config(&self) -> ClientConfig {
        ClientConfig::clone(&self.config)
    }

    /// A failed handshake in words; `None` if it was not TLS that failed.
    pub(super) fn explain(&self, endpoint: &Endpoint, error: &io::Error) -> Option<Error> {
        let cause = error.get_ref().and_then(|cause| cause.downcast_ref::<rustls::Error>())?;
        Some(self.words(endpoint, &endpoint.host, cause))
    }

    /// The same for an error that was found somewhere below another one.
    pub(super) fn explain_below(
        &self,
        endpoint: &str,
        host: &str,
        mut error: &(dyn std::error::Error + 'static),
    ) -> Option<Error> {
        loop {
            if let Some(cause) = error.downcast_ref::<rustls::Error>() {
                return Some(self.words(&endpoint, host, cause));
            }
            // An io::Error is not the source of what it holds, but that thing itself.
            let held = error.downcast_ref::<io::Error>().and_then(|error| error.get_ref());
            error = match held {
                Some(held) => held,
                None => error.source()?,
            };
        }
    }

    fn words(&self, endpoint: &dyn std::fmt::Display, host: &str, cause: &rustls::Error) -> Error {
        let seen = self.judge.seen();
        match cause {
            rustls::Error::InvalidCertificate(reason) => {
                let why = seen.words(reason, host);
                let error =
                    Error::new(ErrorKind::Connection, format!("the certificate of {endpoint} is not accepted: {why}"));
                match seen.fingerprint {
                    Some(digest) if matches!(self.judge.rule, Rule::Trusted(..)) => error.hint(format!(
                        "nothing secret was sent. To trust exactly this certificate (compare it with the server's administrator first): --pin-sha256 {}",
                        hex(&digest)
                    )),
                    Some(digest) => error.hint(format!(
                        "nothing secret was sent. If the server has a new certificate, ask its administrator whether its SHA-256 is {}",
                        hex(&digest)
                    )),
                    None => error,
                }
            }
            rustls::Error::PeerIncompatible(PeerIncompatible::ServerDoesNotSupportTls12Or13)
            | rustls::Error::AlertReceived(
                AlertDescription::ProtocolVersion | AlertDescription::InsufficientSecurity,
            ) => Error::new(
                ErrorKind::Connection,
                format!("the TLS of {endpoint} is too old: at least TLS 1.2 is needed"),
            )
            .hint("nothing secret was sent; its server needs an update"),
            rustls::Error::PeerIncompatible(_) | rustls::Error::AlertReceived(AlertDescription::HandshakeFailure) => {
                Error::new(
                    ErrorKind::Connection,
                    format!("{endpoint} offers only outdated TLS settings that Vandelay refuses"),
                )
                .hint("nothing secret was sent; its server needs an update")
            }
            rustls::Error::InvalidMessage(_) => {
                Error::new(ErrorKind::Connection, format!("{endpoint} does not speak TLS on this port")).hint(
                    "check the port; if the server starts without TLS, use imap:, sieve: or http: (without the s)",
                )
            }
            other => Error::new(ErrorKind::Connection, format!("TLS with {endpoint} failed: {other}")),
        }
    }
}

/// The certificates to trust: those of SSL_CERT_FILE and SSL_CERT_DIR where one is set, else those of the system, else
/// Mozilla's list of when this program was made. Also the digests of those that the user chose.
fn roots() -> Result<(RootCertStore, HashSet<[u8; 32]>)> {
    let mut store = RootCertStore::empty();
    let is_chosen = ["SSL_CERT_FILE", "SSL_CERT_DIR"].iter().any(|name| std::env::var_os(name).is_some());
    let found = rustls_native_certs::load_native_certs();
    let chosen = found.certs.iter().filter(|_| is_chosen).map(|certificate| sha256(certificate)).collect();
    let (usable, _) = store.add_parsable_certificates(found.certs);
    if usable == 0 {
        if is_chosen {
            let why = found.errors.first().map_or_else(|| "it holds none".to_owned(), ToString::to_string);
            return Err(Error::new(
                ErrorKind::Usage,
                format!("no certificates in SSL_CERT_FILE or SSL_CERT_DIR: {why}"),
            ));
        }
        store.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned());
    }
    Ok((store, chosen))
}

#[derive(Debug)]
enum Rule {
    /// By the authorities that are trusted; with the digests of the certificates that the user chose himself.
    Trusted(Arc<WebPkiServerVerifier>, HashSet<[u8; 32]>),
    Pinned(Pin),
    Anything,
}

/// Decides on certificates, and remembers the last one for the message.
#[derive(Debug)]
struct CertVerifier {
    rule: Rule,
    provider: Arc<CryptoProvider>,
    seen: Mutex<Seen>,
}

/// The facts about a certificate that an error message needs.
#[derive(Debug, Clone, Default)]
struct Seen {
    fingerprint: Option<[u8; 32]>,
    is_self_signed: bool,
}

impl Seen {
    fn of(certificate: &CertificateDer<'_>) -> Seen {
        let parsed = webpki::EndEntityCert::try_from(certificate);
        Seen {
            fingerprint: Some(sha256(certificate)),
            is_self_signed: parsed.is_ok_and(|parsed| parsed.issuer() == parsed.subject()),
        }
    }

    fn words(&self, reason: &CertificateError, host: &str) -> String {
        match reason {
            CertificateError::Expired | CertificateError::ExpiredContext { .. } => match reason {
                CertificateError::ExpiredContext { not_after, .. } => format!("it expired on {}", day(*not_after)),
                _ => "it has expired".to_owned(),
            },
            CertificateError::NotValidYet => "it is not valid yet".to_owned(),
            CertificateError::NotValidYetContext { not_before, .. } => {
                format!("it is valid only from {} on; is the clock of this machine right?", day(*not_before))
            }
            CertificateError::NotValidForName => format!("it is not for the host {host}"),
            CertificateError::NotValidForNameContext { presented, .. } => {
                /// A certificate may hold hundreds.
                const SHOWN: usize = 4;
                let mut names: Vec<String> = presented.iter().take(SHOWN).map(|name| plain_name(name)).collect();
                if presented.len() > SHOWN {
                    names.push(format!("{} more", presented.len() - SHOWN));
                }
                match names.is_empty() {
                    true => format!("it is not for the host {host}; it names none"),
                    false => format!("it is for {}, not for the host {host}", names.join(", ")),
                }
            }
            _ if self.is_self_signed => "it is self-signed".to_owned(),
            CertificateError::UnknownIssuer => {
                "it is signed by an authority that this machine does not know".to_owned()
            }
            CertificateError::Revoked => "it has been revoked".to_owned(),
            CertificateError::ApplicationVerificationFailure => "it is not the pinned one".to_owned(),
            CertificateError::BadEncoding => "it is damaged".to_owned(),
            CertificateError::BadSignature => "its signature is wrong".to_owned(),
            other => other.to_string(),
        }
    }
}

/// `DnsName("a.example")` as `a.example`.
fn plain_name(name: &str) -> String {
    said(name.split('"').nth(1).unwrap_or(name).as_bytes()).chars().take(80).collect()
}

fn day(time: UnixTime) -> String {
    let seconds = i64::try_from(time.as_secs()).unwrap_or(i64::MAX);
    jiff::Timestamp::from_second(seconds)
        .map_or_else(|_| "a day out of range".to_owned(), |at| at.strftime("%F").to_string())
}

fn sha256(bytes: &[u8]) -> [u8; 32] {
    let mut value = [0; 32];
    value.copy_from_slice(digest(&SHA256, bytes).as_ref());
    value
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// True if all that is wrong with a certificate is that it is one of an authority: its dates are looked at before that.
fn is_only_an_authority(error: &rustls::Error) -> bool {
    let rustls::Error::InvalidCertificate(CertificateError::Other(other)) = error else { return false };
    other.0.downcast_ref::<webpki::Error>() == Some(&webpki::Error::CaUsedAsEndEntity)
}

impl CertVerifier {
    fn seen(&self) -> Seen {
        self.seen.lock().clone()
    }
}

impl ServerCertVerifier for CertVerifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        *self.seen.lock() = Seen::of(end_entity);
        let matches = match &self.rule {
            Rule::Trusted(verifier, chosen) => {
                let verdict = verifier.verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now);
                return match verdict {
                    // A self-signed certificate that may sign others is an authority, and no server, to the letter of RFC
                    // 5280 section 4.2.1.9. A user who trusts this very certificate means the server.
                    Err(error) if is_only_an_authority(&error) && chosen.contains(&sha256(end_entity)) => {
                        webpki::EndEntityCert::try_from(end_entity)
                            .and_then(|parsed| parsed.verify_is_valid_for_subject_name(server_name))
                            .map(|()| ServerCertVerified::assertion())
                            .map_err(|_| CertificateError::NotValidForName.into())
                    }
                    verdict => verdict,
                };
            }
            Rule::Anything => true,
            Rule::Pinned(Pin::Certificate(pin)) => sha256(end_entity) == *pin,
            Rule::Pinned(Pin::PublicKey(pin)) => webpki::EndEntityCert::try_from(end_entity)
                .is_ok_and(|parsed| sha256(parsed.subject_public_key_info().as_ref()) == *pin),
        };
        match matches {
            true => Ok(ServerCertVerified::assertion()),
            false => Err(CertificateError::ApplicationVerificationFailure.into()),
        }
    }

    // That the server holds the key of the certificate is checked even where any certificate will do: it costs nothing.
    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls12_signature(message, certificate, signature, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls13_signature(message, certificate, signature, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}
