//! A connection, with TLS or without.

use rustls::{ServerConfig, ServerConnection, StreamOwned};
use std::cell::RefCell;
use std::io::{Read, Result, Write};
use std::net::{Shutdown, TcpStream};
use std::sync::Arc;

/// A connection that can be read and written through a shared reference, as a `TcpStream` can.
pub(crate) enum Line {
    Plain(TcpStream),
    Tls(RefCell<Box<StreamOwned<ServerConnection, TcpStream>>>),
}

impl Line {
    /// TLS begins, if the server has it.
    pub(crate) fn new(tls: Option<&Arc<ServerConfig>>, stream: TcpStream) -> Result<Line> {
        let Some(config) = tls else { return Ok(Line::Plain(stream)) };
        let session = ServerConnection::new(Arc::clone(config)).map_err(std::io::Error::other)?;
        Ok(Line::Tls(RefCell::new(Box::new(StreamOwned::new(session, stream)))))
    }

    /// True if the client has hung up.
    pub(crate) fn is_over(&self) -> Result<bool> {
        let tls;
        let stream = match self {
            Line::Plain(stream) => stream,
            Line::Tls(line) => {
                tls = line.borrow();
                &tls.sock
            }
        };
        stream.set_nonblocking(true)?;
        let peeked = stream.peek(&mut [0]);
        stream.set_nonblocking(false)?;
        match peeked {
            Ok(count) => Ok(count == 0),
            Err(error) => Ok(error.kind() != std::io::ErrorKind::WouldBlock),
        }
    }

    /// Nothing more is written, or nothing at all happens any more. TLS ends without its last words, as where a wire is
    /// cut.
    pub(crate) fn end(&self, how: Shutdown) -> Result<()> {
        match self {
            Line::Plain(stream) => stream.shutdown(how),
            Line::Tls(tls) => tls.borrow().sock.shutdown(how),
        }
    }
}

impl Read for &Line {
    fn read(&mut self, buffer: &mut [u8]) -> Result<usize> {
        match self {
            Line::Plain(stream) => (&*stream).read(buffer),
            Line::Tls(tls) => tls.borrow_mut().read(buffer),
        }
    }
}

impl Write for &Line {
    fn write(&mut self, bytes: &[u8]) -> Result<usize> {
        match self {
            Line::Plain(stream) => (&*stream).write(bytes),
            Line::Tls(tls) => tls.borrow_mut().write(bytes),
        }
    }

    fn flush(&mut self) -> Result<()> {
        match self {
            Line::Plain(stream) => (&*stream).flush(),
            Line::Tls(tls) => tls.borrow_mut().flush(),
        }
    }
}
