//! A line to a server that can be looked at and cut: what a client says is remembered, and a connection may end after
//! some bytes of the server's.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

/// Forwards connections to a port on this machine.
pub(crate) struct Relay {
    pub port: u16,
    inner: Arc<Inner>,
}

struct Inner {
    said: Mutex<Vec<u8>>,
    heard: AtomicU64,
    connections: AtomicUsize,
    /// Each connection ends after so many bytes of the server's; 0: none does.
    cut_after: AtomicU64,
    /// From then on nothing is forwarded to the client, and the connection stays open: a dead line.
    is_dead: AtomicU64,
}

impl Relay {
    /// Listens for clients of `server`.
    pub(crate) fn start(server: u16) -> Relay {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let port = listener.local_addr().expect("an address").port();
        let inner = Arc::new(Inner {
            said: Mutex::default(),
            heard: AtomicU64::new(0),
            connections: AtomicUsize::new(0),
            cut_after: AtomicU64::new(0),
            is_dead: AtomicU64::new(0),
        });
        let shared = Arc::clone(&inner);
        std::thread::spawn(move || {
            for client in listener.incoming() {
                let (Ok(client), Ok(server)) = (client, TcpStream::connect(("127.0.0.1", server))) else { return };
                shared.connections.fetch_add(1, Ordering::SeqCst);
                let _ = (client.set_nodelay(true), server.set_nodelay(true));
                let (from, to) = (client.try_clone().expect("a stream"), server.try_clone().expect("a stream"));
                let inner = Arc::clone(&shared);
                std::thread::spawn(move || {
                    forward(from, to, |bytes| {
                        inner.said.lock().expect("a lock").extend_from_slice(bytes);
                        true
                    })
                });
                let inner = Arc::clone(&shared);
                std::thread::spawn(move || {
                    let mut count = 0;
                    forward(server, client, |bytes| {
                        count += bytes.len() as u64;
                        inner.heard.fetch_add(bytes.len() as u64, Ordering::SeqCst);
                        while inner.is_dead.load(Ordering::SeqCst) != 0 {
                            std::thread::sleep(std::time::Duration::from_millis(20));
                        }
                        let limit = inner.cut_after.load(Ordering::SeqCst);
                        limit == 0 || count < limit
                    });
                });
            }
        });
        Relay { port, inner }
    }

    /// Ends each connection after so many bytes of the server's; 0 for none.
    pub(crate) fn cut_after(&self, bytes: u64) {
        self.inner.cut_after.store(bytes, Ordering::SeqCst);
    }

    /// Lets nothing of the server's through any more, or again.
    pub(crate) fn die(&self, is_dead: bool) {
        self.inner.is_dead.store(u64::from(is_dead), Ordering::SeqCst);
    }

    /// What clients said since the last call.
    pub(crate) fn said(&self) -> String {
        String::from_utf8_lossy(&std::mem::take(&mut *self.inner.said.lock().expect("a lock"))).into_owned()
    }

    /// Bytes that came from the server since the last call.
    pub(crate) fn heard(&self) -> u64 {
        self.inner.heard.swap(0, Ordering::SeqCst)
    }

    /// How many connections there were since the last call.
    pub(crate) fn connections(&self) -> usize {
        self.inner.connections.swap(0, Ordering::SeqCst)
    }
}

fn forward(mut from: TcpStream, mut to: TcpStream, mut pass: impl FnMut(&[u8]) -> bool) {
    let mut buffer = vec![0; 64 << 10];
    while let Ok(count @ 1..) = from.read(&mut buffer) {
        if !pass(&buffer[..count]) || to.write_all(&buffer[..count]).is_err() {
            break;
        }
    }
    // A cut line ends both ways at once.
    let _ = (from.shutdown(Shutdown::Both), to.shutdown(Shutdown::Both));
}
