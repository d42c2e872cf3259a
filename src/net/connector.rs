//! Connections: which server, how it is reached, and one stream type for TCP, TLS and DEFLATE.
//!
//! A [`Connector`] is made once per run and makes as many [`Stream`]s as are wanted. Every read and write on a stream
//! ends after the idle timeout, so a dead line is noticed whatever protocol runs over it.

use super::endpoint::{Endpoint, Security};
use super::log::Log;
use super::stream::{Layer, Stream, Tcp};
use super::system::{is_unknown_host, plain, unknown_host};
use super::tls::{Tls, TlsOptions};
use crate::error::{Error, ErrorKind, Result};
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;
use tokio::net::{TcpSocket, TcpStream, lookup_host};
use tokio::task::JoinSet;
use tokio::time;
use tokio_io_timeout::TimeoutStream;

/// Makes connections to one server.
#[derive(Clone)]
pub struct Connector {
    endpoint: Arc<Endpoint>,
    tls: Arc<Tls>,
    timeout: Duration,
    log: Option<Log>,
}

impl Connector {
    /// `timeout` bounds the time to connect to one address, the TLS handshake, and each read and write afterwards.
    pub fn new(endpoint: Endpoint, options: &TlsOptions, timeout: Duration) -> Result<Connector> {
        let mut options = options.clone();
        options.allow_invalid_certs |= endpoint.security == Security::Clear;
        let tls = Tls::new(&options)?;
        Ok(Connector { endpoint: Arc::new(endpoint), tls: Arc::new(tls), timeout, log: None })
    }

    /// For a server that is spoken to over HTTP: [`super::http::Http`] makes its connections itself, with this TLS and this
    /// timeout. A certificate counts even where `--url` begins with `http:`, as the server may refer to `https:`.
    pub fn for_http(url: &url::Url, options: &TlsOptions, timeout: Duration) -> Result<Connector> {
        let tls = Arc::new(Tls::new(options)?);
        Ok(Connector { endpoint: Arc::new(Endpoint::of_http(url)), tls, timeout, log: None })
    }

    /// Tells `log` what goes on.
    pub fn with_log(mut self, log: Log) -> Connector {
        self.log = Some(log);
        self
    }

    /// Writes a line to the log; `text` is called only if the log has this level. The caller leaves secrets out.
    pub fn log(&self, level: u8, text: impl FnOnce() -> String) {
        if let Some(log) = &self.log {
            log.say(level, text);
        }
    }

    /// The log of this connection.
    pub fn listener(&self) -> Option<Log> {
        self.log.clone()
    }

    /// The server.
    pub fn endpoint(&self) -> &Endpoint {
        &self.endpoint
    }

    /// The idle timeout.
    pub fn timeout(&self) -> Duration {
        self.timeout
    }

    pub(super) fn tls(&self) -> &Tls {
        &self.tls
    }

    /// Connects. With [`Security::Implicit`] the stream is encrypted already; else the protocol asks for STARTTLS and
    /// then calls [`Connector::start_tls`].
    pub async fn connect(&self) -> Result<Stream> {
        self.log(2, || format!("connecting to {}", self.endpoint));
        let tcp = self.tcp().await?;
        let mut tcp = TimeoutStream::new(tcp);
        tcp.set_read_timeout(Some(self.timeout));
        tcp.set_write_timeout(Some(self.timeout));
        let tcp = Box::pin(tcp);
        match self.endpoint.security {
            Security::Implicit => self.handshake(tcp).await,
            Security::StartTls | Security::Clear => Ok(Stream { layer: Layer::Plain(tcp) }),
        }
    }

    /// Encrypts a connection whose server agreed to STARTTLS.
    ///
    /// `already_read` are bytes that came after the server's agreement and wait in the protocol's buffer. There must
    /// be none: they came in clear, and taking them for a part of the encrypted conversation is the STARTTLS injection
    /// (RFC 9051 section 11.1, CVE-2011-0411). What is still in the socket goes to TLS, which refuses it.
    pub async fn start_tls(&self, stream: Stream, already_read: &[u8]) -> Result<Stream> {
        if !already_read.is_empty() {
            return Err(Error::new(
                ErrorKind::Connection,
                format!("{} went on in clear text after it agreed to encrypt", self.endpoint),
            )
            .hint("an attacker may be between you and the server; nothing secret was sent"));
        }
        match stream.layer {
            Layer::Plain(tcp) => self.handshake(tcp).await,
            _ => Err(Error::new(
                ErrorKind::Connection,
                format!("the connection to {} is encrypted already", self.endpoint),
            )),
        }
    }

    async fn handshake(&self, tcp: Tcp) -> Result<Stream> {
        let host = &self.endpoint.host;
        match time::timeout(self.timeout, self.tls.handshake(host, tcp)).await {
            Ok(Ok(stream)) => Ok(Stream { layer: Layer::Tls(Box::new(stream)) }),
            Ok(Err(error)) => Err(match self.tls.explain(&self.endpoint, &error) {
                Some(explained) => explained,
                None => self.broken("set up TLS with", error),
            }),
            Err(_) => Err(self.broken("set up TLS with", io::ErrorKind::TimedOut.into())),
        }
    }

    /// An error of this connection in words. `doing` and the server's name make the sentence: `cannot read from`.
    ///
    /// The cause stays inside, so [`Error::is_transient`] holds of it.
    pub fn broken(&self, doing: &str, error: io::Error) -> Error {
        let endpoint = &self.endpoint;
        match error.kind() {
            io::ErrorKind::TimedOut => {
                let cause = io::Error::new(error.kind(), format!("no answer within {} s", self.timeout.as_secs()));
                Error::new(ErrorKind::Connection, format!("cannot {doing} {endpoint}"))
                    .because(cause)
                    .hint("if the server is only slow, raise --timeout")
            }
            io::ErrorKind::ConnectionRefused => Error::new(ErrorKind::Connection, format!("cannot {doing} {endpoint}"))
                .because(error)
                .hint("nothing accepts connections on this port: check host, port and scheme in --url"),
            io::ErrorKind::UnexpectedEof => {
                let cause = io::Error::new(error.kind(), "the server closed the connection");
                Error::new(ErrorKind::Connection, format!("cannot {doing} {endpoint}")).because(cause)
            }
            _ => Error::new(ErrorKind::Connection, format!("cannot {doing} {endpoint}")).because(plain(error)),
        }
    }

    /// A connection without a word over it.
    pub(super) async fn dial(&self) -> Result<TcpStream> {
        self.tcp().await
    }

    /// A connection with TLS from the start, whatever certificate the server has: only to see whether there is TLS. Nothing
    /// secret may be sent over it.
    pub(super) async fn shake_any_hand(&self) -> Result<Stream> {
        let tls = Tls::new(&TlsOptions { allow_invalid_certs: true, pin: None })?;
        let any = Connector { tls: Arc::new(tls), ..self.clone() };
        let tcp = any.tcp().await?;
        any.handshake(Box::pin(TimeoutStream::new(tcp))).await
    }

    /// Connects to the first address that answers. A second attempt begins before the first has failed (RFC 8305
    /// section 5), so a family without a route costs a quarter of a second.
    async fn tcp(&self) -> Result<TcpStream> {
        const HEAD_START: Duration = Duration::from_millis(250);
        /// More addresses than this are no honest answer.
        const ADDRESSES: usize = 16;
        let endpoint = &self.endpoint;
        let found = time::timeout(self.timeout, lookup_host((endpoint.host.as_str(), endpoint.port)));
        let addresses: Vec<SocketAddr> = match found.await {
            Ok(Ok(addresses)) => alternate(addresses).into_iter().take(ADDRESSES).collect(),
            Ok(Err(error)) if is_unknown_host(&error.to_string()) => return Err(unknown_host(&endpoint.host)),
            Ok(Err(error)) => return Err(self.broken("find the address of", error).hint("check the name in --url")),
            Err(_) => return Err(self.broken("find the address of", io::ErrorKind::TimedOut.into())),
        };
        let mut waiting = addresses.into_iter();
        let mut attempts = JoinSet::new();
        let mut last = io::Error::new(io::ErrorKind::NotFound, "the name has no address");
        loop {
            let more = match waiting.next() {
                Some(address) => {
                    let timeout = self.timeout;
                    attempts.spawn(async move { dial(address, timeout).await });
                    true
                }
                None if attempts.is_empty() => return Err(self.broken("connect to", last)),
                None => false,
            };
            // With no address left to try, wait for the attempts under way.
            let pause = if more { HEAD_START } else { self.timeout * 2 };
            match time::timeout(pause, attempts.join_next()).await {
                Ok(Some(Ok(Ok(tcp)))) => return Ok(tcp),
                Ok(Some(Ok(Err(error)))) => last = error,
                Ok(Some(Err(error))) => last = io::Error::other(error),
                Ok(None) | Err(_) => {}
            }
        }
    }
}

/// The addresses, families in turn, in the resolver's order otherwise (RFC 8305 section 4).
fn alternate(addresses: impl Iterator<Item = SocketAddr>) -> Vec<SocketAddr> {
    let all: Vec<SocketAddr> = addresses.collect();
    let Some(first) = all.first().map(SocketAddr::is_ipv6) else { return all };
    let (mine, other): (Vec<_>, Vec<_>) = all.into_iter().partition(|address| address.is_ipv6() == first);
    let (mut mine, mut other) = (mine.into_iter(), other.into_iter());
    std::iter::from_fn(move || {
        std::mem::swap(&mut mine, &mut other);
        other.next().or_else(|| mine.next())
    })
    .collect()
}

async fn dial(address: SocketAddr, timeout: Duration) -> io::Result<TcpStream> {
    let socket = match address.ip() {
        IpAddr::V4(_) => TcpSocket::new_v4()?,
        IpAddr::V6(_) => TcpSocket::new_v6()?,
    };
    let tcp = time::timeout(timeout, socket.connect(address))
        .await
        .unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))?;
    // Commands are small and waited for.
    tcp.set_nodelay(true)?;
    let keepalive = socket2::TcpKeepalive::new()
        .with_time(Duration::from_secs(60))
        .with_interval(Duration::from_secs(15))
        .with_retries(4);
    // A line that cannot be kept alive is still a line.
    let _ = socket2::SockRef::from(&tcp).set_tcp_keepalive(&keepalive);
    Ok(tcp)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::net::endpoint::Service;
    use tokio::io::AsyncReadExt;

    #[test]
    fn families_take_turns() {
        let addresses =
            ["[::1]:1", "[::2]:1", "[::3]:1", "1.1.1.1:1", "2.2.2.2:1"].map(|text| text.parse().expect("an address"));
        let order: Vec<String> = alternate(addresses.into_iter()).iter().map(ToString::to_string).collect();
        assert_eq!(order, ["[::1]:1", "1.1.1.1:1", "[::2]:1", "2.2.2.2:1", "[::3]:1"]);
    }

    fn run<T>(work: impl Future<Output = T>) -> T {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        runtime.block_on(work)
    }

    /// A stream and its far end.
    async fn pair(timeout: Duration) -> (Stream, TcpStream, Connector) {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let port = listener.local_addr().expect("an address").port();
        let endpoint =
            Endpoint::parse(&format!("imap://127.0.0.1:{port}"), Service::Imap).expect("an endpoint").allow_cleartext();
        let connector = Connector::new(endpoint, &TlsOptions::default(), timeout).expect("a connector");
        let (near, far) = tokio::join!(connector.connect(), listener.accept());
        (near.expect("a stream"), far.expect("a far end").0, connector)
    }

    /// What came before the compression was switched on, small pieces, and an end in the middle.
    #[test]
    fn deflate_in_both_directions() {
        use flate2::{Compress, Compression, FlushCompress};
        use tokio::io::AsyncWriteExt;
        run(async {
            let (near, mut far, _) = pair(Duration::from_secs(5)).await;
            let mut pack = Compress::new(Compression::default(), false);
            let mut packed = |text: &[u8]| {
                let mut out = Vec::with_capacity(1 << 16);
                pack.compress_vec(text, &mut out, FlushCompress::Sync).expect("it packs");
                out
            };
            let first = packed(b"* OK one\r\n");
            let mut near = near.deflate(first[..5].to_vec());
            assert!(!near.is_encrypted());
            far.write_all(&first[5..]).await.expect("sent");
            let mut line = [0; 10];
            near.read_exact(&mut line).await.expect("a line, although the next one is not there yet");
            assert_eq!(&line, b"* OK one\r\n");
            let long = vec![b'x'; 300_000];
            let second = packed(&long);
            let mut read = vec![0; long.len()];
            let (sent, got) = tokio::join!(
                async {
                    for piece in second.chunks(7) {
                        far.write_all(piece).await?;
                    }
                    Ok::<_, io::Error>(())
                },
                near.read_exact(&mut read)
            );
            sent.expect("sent");
            got.expect("all of it");
            assert_eq!(read, long);
            // Our side: nothing is held back by a flush.
            near.write_all(b"a NOOP\r\n").await.expect("written");
            near.flush().await.expect("flushed");
            let mut wire = vec![0; 100];
            let count = far.read(&mut wire).await.expect("something");
            let mut text = Vec::with_capacity(100);
            flate2::Decompress::new(false)
                .decompress_vec(&wire[..count], &mut text, flate2::FlushDecompress::Sync)
                .expect("it unpacks");
            assert_eq!(text, b"a NOOP\r\n");
            drop(far);
            assert!(near.read_exact(&mut line).await.is_err(), "an end is no line");
        });
    }

    /// Ten megabytes out of ten kilobytes: no more comes out than is asked for.
    #[test]
    fn a_bomb_is_inflated_no_faster_than_it_is_read() {
        use tokio::io::AsyncWriteExt;
        run(async {
            let (near, mut far, _) = pair(Duration::from_secs(5)).await;
            let mut packed = Vec::with_capacity(1 << 20);
            flate2::Compress::new(flate2::Compression::best(), false)
                .compress_vec(&vec![0; 10 << 20], &mut packed, flate2::FlushCompress::Sync)
                .expect("it packs");
            let mut near = near.deflate(Vec::new());
            far.write_all(&packed).await.expect("sent");
            let mut small = [0; 1000];
            for _ in 0..100 {
                assert!(near.read(&mut small).await.expect("some") <= 1000);
            }
            far.write_all(b"\xff\xff no deflate").await.expect("sent");
        });
    }

    #[test]
    fn a_dead_line_is_noticed() {
        run(async {
            let (mut near, far, connector) = pair(Duration::from_millis(200)).await;
            let error = near.read(&mut [0; 10]).await.expect_err("nothing comes");
            let error = connector.broken("read from", error);
            assert!(error.to_string().contains("no answer") && error.is_transient(), "{error}");
            // The other end reads nothing.
            use tokio::io::AsyncWriteExt;
            let error = near.write_all(&vec![0; 64 << 20]).await.expect_err("nobody reads");
            assert_eq!(error.kind(), io::ErrorKind::TimedOut);
            drop(far);
        });
    }

    /// `localhost` is `::1` too, where no server listens: the other address is tried.
    #[test]
    fn the_address_that_answers_counts() {
        run(async {
            let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
            let port = listener.local_addr().expect("an address").port();
            let endpoint = Endpoint::parse(&format!("imap://localhost:{port}"), Service::Imap).expect("an endpoint");
            let connector =
                Connector::new(endpoint, &TlsOptions { allow_invalid_certs: true, pin: None }, Duration::from_secs(5));
            connector.expect("a connector").connect().await.expect("a stream");
            let endpoint = Endpoint::parse("imaps://no-such-host.invalid", Service::Imap).expect("an endpoint");
            let connector =
                Connector::new(endpoint, &TlsOptions { allow_invalid_certs: true, pin: None }, Duration::from_secs(5));
            let error = connector.expect("a connector").connect().await.err().expect("no such host");
            assert!(error.to_string().contains("no-such-host.invalid"), "{error}");
        });
    }
}
