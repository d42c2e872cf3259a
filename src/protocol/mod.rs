//! How to speak to a server: connections, TLS, authentication, and one client per protocol. The only async room.
//!
//! A client here knows nothing of archives and of sources; it gives what the server said, within bounds: nothing that a
//! server sends can make it allocate without limit, wait without end, or show a secret. `tokio` and `rustls` are names
//! of this room; a source drives a client through [`crate::net::runtime::Runtime`] and stays sync.

pub mod imap;
pub mod jmap;
pub mod managesieve;
