//! Servers that tests start themselves: on loopback, on a free port, ended with the test. And their certificates.

use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, IsCa, Issuer, KeyPair, PublicKeyData, SanType,
};
use std::fs;
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// A port on which nobody listens just now.
pub(crate) fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").expect("a port").local_addr().expect("an address").port()
}

/// Several of them, and no two the same.
pub(crate) fn free_ports<const N: usize>() -> [u16; N] {
    let listeners: [TcpListener; N] = std::array::from_fn(|_| TcpListener::bind("127.0.0.1:0").expect("a port"));
    listeners.map(|listener| listener.local_addr().expect("an address").port())
}

/// A server in the foreground; killed on drop, with what it started.
pub(crate) struct Daemon {
    command: Box<Command>,
    ports: Vec<u16>,
    child: Child,
    log: PathBuf,
}

impl Daemon {
    /// Starts a server and waits until it listens on all these ports. `log` gets what it prints.
    pub(crate) fn start(mut command: Command, ports: &[u16], log: &Path) -> Daemon {
        let file = fs::File::create(log).expect("a log");
        let output = file.try_clone().expect("a log");
        std::os::unix::process::CommandExt::process_group(&mut command, 0);
        let child = command.stdout(output).stderr(file).spawn().expect("the server starts");
        let mut daemon = Daemon { command: Box::new(command), ports: ports.to_vec(), child, log: log.to_owned() };
        daemon.wait();
        daemon
    }

    /// Ends it and starts it again, on the same ports.
    pub(crate) fn restart(&mut self) {
        self.end();
        // A child of the old one may listen for a moment longer.
        let end = Instant::now() + Duration::from_secs(10);
        while self.ports.iter().any(|port| TcpStream::connect(("127.0.0.1", *port)).is_ok()) && Instant::now() < end {
            std::thread::sleep(Duration::from_millis(20));
        }
        self.child = self.command.spawn().expect("the server starts");
        self.wait();
    }

    /// Waits until it listens.
    fn wait(&mut self) {
        let end = Instant::now() + Duration::from_secs(60);
        for port in &self.ports {
            while TcpStream::connect(("127.0.0.1", *port)).is_err() {
                let ended = self.child.try_wait().expect("a child").is_some();
                assert!(!ended && Instant::now() < end, "the server does not listen on {port}: {}", self.said());
                std::thread::sleep(Duration::from_millis(20));
            }
        }
    }

    fn end(&mut self) {
        let group = rustix::process::Pid::from_raw(i32::try_from(self.child.id()).expect("a pid")).expect("a pid");
        // A server ends its children; what it leaves behind is ended here.
        let _ = rustix::process::kill_process_group(group, rustix::process::Signal::TERM);
        for _ in 0..200 {
            if self.child.try_wait().is_ok_and(|status| status.is_some()) {
                break;
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        let _ = rustix::process::kill_process_group(group, rustix::process::Signal::KILL);
        let _ = self.child.wait();
    }

    /// What it printed.
    pub(crate) fn said(&self) -> String {
        fs::read_to_string(&self.log).unwrap_or_default()
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        self.end();
    }
}

/// What is wrong with a certificate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Flaw {
    None,
    SelfSigned,
    /// The same, with the mark of an authority (`CA:TRUE`), as `openssl req -x509` makes them.
    SelfSignedAuthority,
    Expired,
    WrongHost,
    /// Signed by an authority that nobody has heard of.
    UnknownAuthority,
}

/// A certificate for `localhost` and `127.0.0.1`, or one with a flaw.
pub(crate) struct Certificate {
    pub der: Vec<u8>,
    pub pem: String,
    pub key: KeyPair,
}

impl Certificate {
    /// TLS of a server that has it.
    pub(crate) fn server_config(&self) -> Arc<rustls::ServerConfig> {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let key = rustls::pki_types::PrivateKeyDer::try_from(self.key.serialize_der()).expect("a key");
        let config = rustls::ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .expect("versions")
            .with_no_client_auth()
            .with_single_cert(vec![self.der.clone().into()], key)
            .expect("a configuration");
        Arc::new(config)
    }

    /// SHA-256 of the certificate, as `--pin-sha256` takes it.
    pub(crate) fn pin(&self) -> String {
        hex(ring::digest::digest(&ring::digest::SHA256, &self.der).as_ref())
    }

    /// SHA-256 of the public key, as curl's `--pinnedpubkey` takes it.
    pub(crate) fn key_pin(&self) -> String {
        let digest = ring::digest::digest(&ring::digest::SHA256, &self.key.subject_public_key_info());
        format!("sha256//{}", base64::Engine::encode(&base64::engine::general_purpose::STANDARD, digest))
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// An authority of the test, for SSL_CERT_FILE.
pub(crate) struct Authority {
    pub pem: String,
    issuer: Issuer<'static, KeyPair>,
}

impl Authority {
    /// A new one.
    pub(crate) fn new() -> Authority {
        Authority::named("Authority of a test")
    }

    fn named(name: &str) -> Authority {
        let key = KeyPair::generate().expect("a key");
        let mut params = params(name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let pem = params.self_signed(&key).expect("a certificate").pem();
        Authority { pem, issuer: Issuer::new(params, key) }
    }

    /// Writes its certificate into a directory, for SSL_CERT_FILE.
    pub(crate) fn file(&self, directory: &Path) -> PathBuf {
        let path = directory.join("authority.pem");
        fs::write(&path, &self.pem).expect("a file");
        path
    }

    /// Signs a certificate, if that is what its flaw wants.
    pub(crate) fn certificate(&self, flaw: Flaw) -> Certificate {
        let key = KeyPair::generate().expect("a key");
        let mut params = params("Server of a test");
        params.subject_alt_names = match flaw {
            Flaw::WrongHost => vec![SanType::DnsName("other.example".try_into().expect("a name"))],
            _ => vec![
                SanType::DnsName("localhost".try_into().expect("a name")),
                SanType::IpAddress(std::net::Ipv4Addr::LOCALHOST.into()),
            ],
        };
        if flaw == Flaw::Expired {
            params.not_before = rcgen::date_time_ymd(2019, 1, 1);
            params.not_after = rcgen::date_time_ymd(2020, 1, 1);
        }
        if flaw == Flaw::SelfSignedAuthority {
            params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        }
        let certificate = match flaw {
            Flaw::SelfSigned | Flaw::SelfSignedAuthority => params.self_signed(&key),
            Flaw::UnknownAuthority => params.signed_by(&key, &Authority::named("Somebody").issuer),
            _ => params.signed_by(&key, &self.issuer),
        }
        .expect("a certificate");
        Certificate { der: certificate.der().to_vec(), pem: certificate.pem(), key }
    }
}

fn params(name: &str) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, name);
    params
}
