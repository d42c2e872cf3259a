//! One stream type for TCP, TLS and DEFLATE (RFC 4978).

use async_compression::tokio::bufread::DeflateDecoder;
use async_compression::tokio::write::DeflateEncoder;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, BufReader, Chain, ReadBuf, ReadHalf, WriteHalf, split};
use tokio::net::TcpStream;
use tokio_io_timeout::TimeoutStream;
use tokio_rustls::client::TlsStream;

/// TCP with the idle timeout.
pub(super) type Tcp = Pin<Box<TimeoutStream<TcpStream>>>;

/// One connection, whatever lies between it and the wire. Reads and writes end with `TimedOut` when nothing moves for
/// the connector's timeout. Not buffered.
pub struct Stream {
    pub(super) layer: Layer,
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
    /// `already_read` are bytes that came after the agreement: they are compressed. The writer must flush, or
    /// nothing goes out. How much comes out of few bytes is for the reader to bound, by its limits on lines and
    /// literals; no more than a buffer is ever inflated ahead of it.
    pub fn deflate(self, already_read: Vec<u8>) -> Stream {
        let is_encrypted = self.is_encrypted();
        let (reader, writer) = split(self);
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

pub(super) struct Deflate {
    reader: DeflateDecoder<BufReader<Compressed>>,
    writer: DeflateEncoder<WriteHalf<Stream>>,
    is_encrypted: bool,
}

pub(super) enum Layer {
    Plain(Tcp),
    Tls(Box<TlsStream<Tcp>>),
    Deflate(Box<Deflate>),
}

/// What was read before the compression was known of, then the line.
type Compressed = Chain<io::Cursor<Vec<u8>>, ReadHalf<Stream>>;
