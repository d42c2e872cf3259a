//! How to speak to a server: connections, TLS, authentication, and one client per protocol. The only async room.
//!
//! A client here knows nothing of archives and of sources; it gives what the server said, within bounds: nothing that a
//! server sends can make it allocate without limit, wait without end, or show a secret. `tokio` and `rustls` are names
//! of this room; a source drives a client through [`runtime::Runtime`] and stays sync.

pub mod imap;
pub mod jmap;
pub mod managesieve;
pub mod mask;
pub mod net;
pub mod pace;
pub mod probe;
pub mod retry;
pub mod runtime;
pub mod sasl;
mod system;
pub mod tls;

use std::sync::Arc;
use std::sync::atomic::AtomicBool;

/// An account on a server, and how to deal with it: what a source is opened with.
#[derive(Clone)]
pub struct Account {
    pub connector: net::Connector,
    pub credentials: sasl::Credentials,
    /// `--allow-cleartext`
    pub allow_cleartext: bool,
    /// How often one question is asked again after a failure that time heals (`--max-retries`).
    pub max_retries: u32,
    /// True once the user wants the run to end.
    pub stop: Arc<AtomicBool>,
}

/// What a server said, fit for a message: one line of bounded length, without control characters and without the secrets
/// of this run. Whoever prints it still treats it as text from a stranger.
pub fn said(bytes: &[u8]) -> String {
    const MAX: usize = 200;
    let shown = mask::hide(&bytes[..bytes.len().min(4 * MAX)]);
    let text = String::from_utf8_lossy(&shown);
    let line: String = text.split(|c: char| c.is_whitespace() || c.is_control()).filter(|word| !word.is_empty()).fold(
        String::new(),
        |mut line, word| {
            if !line.is_empty() {
                line.push(' ');
            }
            line.push_str(word);
            line
        },
    );
    if line.chars().count() > MAX { line.chars().take(MAX).chain(['…']).collect() } else { line }
}

#[cfg(test)]
mod tests {
    #[test]
    fn what_servers_say_is_one_short_line() {
        assert_eq!(super::said(b"a\r\n\x1b[31mb\xff c"), "a [31mb\u{FFFD} c");
        assert_eq!(super::said(&[b'x'; 10_000]).chars().count(), 201);
        assert_eq!(super::said(b""), "");
    }
}
