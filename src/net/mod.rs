//! What every client of a server needs: connections, TLS, logins, HTTP, pauses and retries, and the text of strangers.
//!
//! Nothing that a server sends can make this room allocate without limit, wait without end, or show a secret. The clients
//! in [`crate::protocol`] stand on it; it knows none of them. `rustls`, `reqwest` and
//! `hickory_resolver` are names of this room, `tokio` is one of both.

pub mod account;
pub mod connector;
pub mod dns;
pub mod endpoint;
pub mod http;
pub mod log;
pub mod mask;
pub mod pace;
pub mod parallel;
pub mod probe;
pub mod retry;
pub mod runtime;
pub mod sanitize;
pub mod sasl;
pub mod secret;
pub mod stream;
pub(crate) mod system;
pub mod tls;
