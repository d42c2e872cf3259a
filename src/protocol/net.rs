//! Connections: which server, how it is reached, and one stream type for TCP, TLS and DEFLATE.
//!
//! A [`Connector`] is made once per run and makes as many [`Stream`]s as are wanted. Every read and write on a stream
//! ends after the idle timeout, so a dead line is noticed whatever protocol runs over it.

use super::system::{is_unknown_host, plain, unknown_host};
use super::tls::{Tls, TlsOptions};
use crate::error::{Error, ErrorKind, Result};
use async_compression::tokio::bufread::DeflateDecoder;
use async_compression::tokio::write::DeflateEncoder;
use percent_encoding::percent_decode_str;
use std::fmt;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, BufReader, ReadBuf, ReadHalf, WriteHalf};
use tokio::net::{TcpSocket, TcpStream};
use tokio_io_timeout::TimeoutStream;
use tokio_rustls::client::TlsStream;

/// When TLS begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Security {
    /// With the first byte (RFC 8314 section 3).
    Implicit,
    /// After STARTTLS, which the server must offer; nothing secret is sent before.
    StartTls,
    /// Perhaps never (`--allow-cleartext`). Where the server offers STARTTLS it is used all the same, without a look at
    /// the certificate (unless one is pinned): better than nothing, and never worse than what the user allowed.
    Clear,
}

/// A protocol as URLs name it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Service {
    /// `imap://host` (143, STARTTLS) and `imaps://host` (993); RFC 5092.
    Imap,
    /// `sieve://host` (4190, STARTTLS) and `sieves://host` (4190); RFC 5804 section 3.
    Sieve,
}

impl Service {
    /// The scheme with STARTTLS and the one with implicit TLS, each with its port.
    fn schemes(self) -> [(&'static str, u16); 2] {
        match self {
            Service::Imap => [("imap", 143), ("imaps", 993)],
            Service::Sieve => [("sieve", 4190), ("sieves", 4190)],
        }
    }

    /// The scheme with implicit TLS, or the other one.
    pub fn scheme(self, is_tls: bool) -> &'static str {
        self.schemes()[usize::from(is_tls)].0
    }

    /// The protocol's name.
    pub fn name(self) -> &'static str {
        match self {
            Service::Imap => "IMAP",
            Service::Sieve => "ManageSieve",
        }
    }

    /// The word of `vandelay import` for it.
    pub fn command(self) -> &'static str {
        match self {
            Service::Imap => "imap",
            Service::Sieve => "managesieve",
        }
    }

    /// The ports that it mostly has, in words.
    pub fn ports(self) -> String {
        let [(plain, plain_port), (secure, secure_port)] = self.schemes();
        match plain_port == secure_port {
            true => format!("{plain_port}"),
            false => format!("{secure_port} with {secure}: and {plain_port} with {plain}:"),
        }
    }
}

/// A server, and how it is to be reached.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Endpoint {
    /// As certificates and DNS name it: ASCII, no brackets around an IPv6 address.
    pub host: String,
    pub port: u16,
    pub security: Security,
    /// `imaps://host:993`: the port always, the host as the user wrote it. An archive knows the server by this text,
    /// as 1.x does.
    pub origin: String,
}

impl Endpoint {
    /// Reads the URL of a server. The security is that of the scheme, never [`Security::Clear`].
    ///
    /// A path of `/` is accepted; a user, a password, another path, a query and a fragment are errors of
    /// [`ErrorKind::Usage`].
    pub fn parse(text: &str, service: Service) -> Result<Endpoint> {
        let [(plain, plain_port), (secure, secure_port)] = service.schemes();
        let wrong = |why: &str| {
            Error::new(ErrorKind::Usage, format!("{:?} is no address of a server: {why}", without_user(text)))
                .hint(format!("write it like {secure}://mail.example.com or {plain}://mail.example.com:{plain_port}"))
        };
        let url = url::Url::parse(text.trim()).map_err(|error| match error {
            url::ParseError::RelativeUrlWithoutBase => wrong(&format!("it lacks {secure}://")),
            error => wrong(&error.to_string()),
        })?;
        let (security, default_port) = match url.scheme() {
            scheme if scheme == plain => (Security::StartTls, plain_port),
            scheme if scheme == secure => (Security::Implicit, secure_port),
            scheme => return Err(wrong(&format!("{scheme}: is not {secure}: or {plain}:"))),
        };
        if !url.username().is_empty() || url.password().is_some() {
            return Err(wrong("user and password do not belong into it")
                .hint("give the user with --auth-basic, and the password with --password-file or --password-command"));
        }
        if !matches!(url.path(), "" | "/") {
            return Err(wrong("it has a path"));
        }
        if url.query().is_some() || url.fragment().is_some() {
            return Err(wrong("it has a query or a fragment"));
        }
        let written = url.host_str().filter(|host| !host.is_empty()).ok_or_else(|| wrong("it names no host"))?;
        let port = match url.port() {
            Some(0) => return Err(wrong("there is no port 0")),
            port => port.unwrap_or(default_port),
        };
        let origin = format!("{}://{written}:{port}", url.scheme());
        let host = match written.strip_prefix('[').and_then(|host| host.strip_suffix(']')) {
            Some(address) => address.to_owned(),
            None => {
                let name = percent_decode_str(written).decode_utf8().map_err(|_| wrong("the host is no UTF-8"))?;
                let ascii = idna::domain_to_ascii(&name).map_err(|_| wrong("that can be no host"))?;
                let name = ascii.strip_suffix('.').unwrap_or(&ascii);
                let is_name = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '.' | '_');
                if name.is_empty() || name.len() > 253 || !name.chars().all(is_name) {
                    return Err(wrong("that can be no host"));
                }
                name.to_owned()
            }
        };
        Ok(Endpoint { host, port, security, origin })
    }

    /// The same server with [`Security::Clear`] where the scheme allows it (`--allow-cleartext`); implicit TLS stays.
    pub fn allow_cleartext(mut self) -> Endpoint {
        if self.security == Security::StartTls {
            self.security = Security::Clear;
        }
        self
    }
}

/// What may be shown of a URL that was not understood: without what could be a password.
fn without_user(text: &str) -> String {
    match (text.find("://"), text.rfind('@')) {
        (Some(start), Some(end)) if end > start => format!("{}…{}", &text[..start + 3], &text[end..]),
        (None, Some(end)) => format!("…{}", &text[end..]),
        _ => text.to_owned(),
    }
}

/// `imap.example.com:993`, for messages.
impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.host.contains(':') {
            write!(f, "[{}]:{}", self.host, self.port)
        } else {
            write!(f, "{}:{}", self.host, self.port)
        }
    }
}

/// Who wants to know what goes on: a level as of `-v` (1: retries, 2: connections and commands, 3: every response), and
/// a line of text. A line never holds a secret.
#[derive(Clone)]
pub struct Log {
    level: u8,
    write: Arc<dyn Fn(&str) + Send + Sync>,
}

impl Log {
    /// Hands lines up to this level to `write`.
    pub fn new(level: u8, write: impl Fn(&str) + Send + Sync + 'static) -> Log {
        Log { level, write: Arc::new(write) }
    }

    /// Says what goes on; the text is made only if somebody wants it.
    pub fn say(&self, level: u8, text: impl FnOnce() -> String) {
        if level <= self.level {
            (self.write)(&text());
        }
    }
}

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

    /// Tells `log` what goes on.
    pub fn with_log(mut self, log: Log) -> Connector {
        self.log = Some(log);
        self
    }

    /// Says what goes on; the text is made only if somebody listens. Whoever calls it leaves secrets out.
    pub fn log(&self, level: u8, text: impl FnOnce() -> String) {
        if let Some(log) = &self.log {
            log.say(level, text);
        }
    }

    /// Who is told what goes on.
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
            .hint("somebody between you and the server may be tampering; nothing secret was sent"));
        }
        match stream.layer {
            Layer::Plain(tcp) => self.handshake(tcp).await,
            _ => Err(Error::new(ErrorKind::Connection, format!("the line to {} is encrypted already", self.endpoint))),
        }
    }

    async fn handshake(&self, tcp: Tcp) -> Result<Stream> {
        let host = &self.endpoint.host;
        match tokio::time::timeout(self.timeout, self.tls.handshake(host, tcp)).await {
            Ok(Ok(stream)) => Ok(Stream { layer: Layer::Tls(Box::new(stream)) }),
            Ok(Err(error)) => Err(match self.tls.explain(&self.endpoint, &error) {
                Some(explained) => explained,
                None => self.broken("set up an encrypted line to", error),
            }),
            Err(_) => Err(self.broken("set up an encrypted line to", io::ErrorKind::TimedOut.into())),
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
                    .hint("if the server is only slow, give it more time with --timeout SECONDS")
            }
            io::ErrorKind::ConnectionRefused => Error::new(ErrorKind::Connection, format!("cannot {doing} {endpoint}"))
                .because(error)
                .hint("nobody listens there: check the host, the port and the scheme of the address"),
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
        let found =
            tokio::time::timeout(self.timeout, tokio::net::lookup_host((endpoint.host.as_str(), endpoint.port)));
        let addresses: Vec<SocketAddr> = match found.await {
            Ok(Ok(addresses)) => alternate(addresses).into_iter().take(ADDRESSES).collect(),
            Ok(Err(error)) if is_unknown_host(&error.to_string()) => return Err(unknown_host(&endpoint.host)),
            Ok(Err(error)) => return Err(self.broken("find the address of", error).hint("check the name in --url")),
            Err(_) => return Err(self.broken("find the address of", io::ErrorKind::TimedOut.into())),
        };
        let mut waiting = addresses.into_iter();
        let mut attempts = tokio::task::JoinSet::new();
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
            // With nobody left to try, wait for those under way.
            let pause = if more { HEAD_START } else { self.timeout * 2 };
            match tokio::time::timeout(pause, attempts.join_next()).await {
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
    let tcp = tokio::time::timeout(timeout, socket.connect(address))
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

/// TCP with the idle timeout.
pub(super) type Tcp = Pin<Box<TimeoutStream<TcpStream>>>;

/// One connection, whatever lies between it and the wire. Reads and writes end with `TimedOut` when nothing moves for
/// the connector's timeout. Not buffered.
pub struct Stream {
    layer: Layer,
}

enum Layer {
    Plain(Tcp),
    Tls(Box<TlsStream<Tcp>>),
    Deflate(Box<Deflate>),
}

/// What was read before the compression was known of, then the line.
type Compressed = tokio::io::Chain<io::Cursor<Vec<u8>>, ReadHalf<Stream>>;

struct Deflate {
    reader: DeflateDecoder<BufReader<Compressed>>,
    writer: DeflateEncoder<WriteHalf<Stream>>,
    is_encrypted: bool,
}

impl Stream {
    /// True if what is sent cannot be read on the way.
    pub fn is_encrypted(&self) -> bool {
        match &self.layer {
            Layer::Plain(_) => false,
            Layer::Tls(_) => true,
            Layer::Deflate(deflate) => deflate.is_encrypted,
        }
    }

    /// The same connection with DEFLATE in both directions (RFC 4978), for after the server agreed.
    ///
    /// `already_read` are bytes that came after the agreement: they are compressed. Whoever writes must flush, or
    /// nothing goes out. How much comes out of few bytes is for the reader to bound, by its limits on lines and
    /// literals; no more than a buffer is ever inflated ahead of it.
    pub fn deflate(self, already_read: Vec<u8>) -> Stream {
        let is_encrypted = self.is_encrypted();
        let (reader, writer) = tokio::io::split(self);
        let reader =
            DeflateDecoder::new(BufReader::with_capacity(32 << 10, io::Cursor::new(already_read).chain(reader)));
        let writer = DeflateEncoder::new(writer);
        Stream { layer: Layer::Deflate(Box::new(Deflate { reader, writer, is_encrypted })) }
    }
}

impl AsyncRead for Stream {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        match &mut self.get_mut().layer {
            Layer::Plain(tcp) => Pin::new(tcp).poll_read(cx, buffer),
            Layer::Tls(tls) => Pin::new(tls).poll_read(cx, buffer),
            Layer::Deflate(deflate) => Pin::new(&mut deflate.reader).poll_read(cx, buffer),
        }
    }
}

impl AsyncWrite for Stream {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        match &mut self.get_mut().layer {
            Layer::Plain(tcp) => Pin::new(tcp).poll_write(cx, bytes),
            Layer::Tls(tls) => Pin::new(tls).poll_write(cx, bytes),
            Layer::Deflate(deflate) => Pin::new(&mut deflate.writer).poll_write(cx, bytes),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.get_mut().layer {
            Layer::Plain(tcp) => Pin::new(tcp).poll_flush(cx),
            Layer::Tls(tls) => Pin::new(tls).poll_flush(cx),
            Layer::Deflate(deflate) => Pin::new(&mut deflate.writer).poll_flush(cx),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.get_mut().layer {
            Layer::Plain(tcp) => Pin::new(tcp).poll_shutdown(cx),
            Layer::Tls(tls) => Pin::new(tls).poll_shutdown(cx),
            Layer::Deflate(deflate) => Pin::new(&mut deflate.writer).poll_shutdown(cx),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Endpoint> {
        Endpoint::parse(text, if text.starts_with("sieve") { Service::Sieve } else { Service::Imap })
    }

    #[test]
    fn urls_of_servers() {
        for (url, host, port, security, origin) in [
            ("imaps://imap.example.com", "imap.example.com", 993, Security::Implicit, "imaps://imap.example.com:993"),
            ("imap://IMAP.Example.com/", "imap.example.com", 143, Security::StartTls, "imap://IMAP.Example.com:143"),
            ("IMAPS://a.b:1143", "a.b", 1143, Security::Implicit, "imaps://a.b:1143"),
            ("sieve://a.b", "a.b", 4190, Security::StartTls, "sieve://a.b:4190"),
            ("sieves://a.b.", "a.b", 4190, Security::Implicit, "sieves://a.b.:4190"),
            ("imaps://[::1]:993", "::1", 993, Security::Implicit, "imaps://[::1]:993"),
            ("imap://127.0.0.1", "127.0.0.1", 143, Security::StartTls, "imap://127.0.0.1:143"),
            (
                "imaps://b%C3%BCcher.example",
                "xn--bcher-kva.example",
                993,
                Security::Implicit,
                "imaps://b%C3%BCcher.example:993",
            ),
        ] {
            let endpoint = parse(url).unwrap_or_else(|error| panic!("{url}: {error}"));
            assert_eq!((endpoint.host.as_str(), endpoint.port, endpoint.security), (host, port, security), "{url}");
            assert_eq!(endpoint.origin, origin);
        }
        assert_eq!(parse("imaps://[::1]").expect("an address").to_string(), "[::1]:993");
    }

    #[test]
    fn what_is_no_server() {
        for url in [
            "",
            "example.com",
            "imaps:",
            "imaps://",
            "https://a.b",
            "sieve:a.b",
            "imaps://a.b/INBOX",
            "imaps://a.b:0",
            "imaps://a.b:70000",
            "imaps://a.b?x",
            "imaps://a.b#x",
            "imaps://a%20b",
            "imaps://a%00b",
            "imaps://a%FFb",
        ] {
            assert_eq!(parse(url).expect_err(url).kind, ErrorKind::Usage);
        }
        assert!(Endpoint::parse("imaps://a.b", Service::Sieve).is_err());
    }

    #[test]
    fn a_password_in_a_url_is_not_repeated() {
        for url in
            ["imaps://alice:hunter2@a.b", "imaps://hunter2@a.b", "imaps://alice:hunter2@a.b:x", "alice:hunter2@a.b"]
        {
            let error = parse(url).expect_err(url);
            assert!(!error.to_string().contains("hunter2"), "{error}");
        }
        assert!(
            parse("imaps://alice:x@a.b")
                .expect_err("user")
                .hint_text()
                .is_some_and(|hint| hint.contains("--auth-basic"))
        );
    }

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
        let endpoint = parse(&format!("imap://127.0.0.1:{port}")).expect("an endpoint").allow_cleartext();
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
            // Nobody takes what is written.
            use tokio::io::AsyncWriteExt;
            let error = near.write_all(&vec![0; 64 << 20]).await.expect_err("nobody reads");
            assert_eq!(error.kind(), io::ErrorKind::TimedOut);
            drop(far);
        });
    }

    /// `localhost` is `::1` too, where nobody listens: the other address is tried.
    #[test]
    fn the_address_that_answers_counts() {
        run(async {
            let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
            let port = listener.local_addr().expect("an address").port();
            let endpoint = parse(&format!("imap://localhost:{port}")).expect("an endpoint");
            let connector =
                Connector::new(endpoint, &TlsOptions { allow_invalid_certs: true, pin: None }, Duration::from_secs(5));
            connector.expect("a connector").connect().await.expect("a stream");
            let endpoint = parse("imaps://no-such-host.invalid").expect("an endpoint");
            let connector =
                Connector::new(endpoint, &TlsOptions { allow_invalid_certs: true, pin: None }, Duration::from_secs(5));
            let error = connector.expect("a connector").connect().await.err().expect("no such host");
            assert!(error.to_string().contains("no-such-host.invalid"), "{error}");
        });
    }
}
