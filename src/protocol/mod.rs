//! How to speak to a server: one client per protocol, async as [`crate::net`] is, which all of them stand on.
//!
//! A client here knows nothing of archives and of sources; it gives what the server said, within bounds: nothing that a
//! server sends can make it allocate without limit, wait without end, or show a secret. A source drives a client through
//! [`crate::net::runtime::Runtime`] and stays sync.

pub mod dav;
pub mod discover;
pub mod imap;
pub mod jmap;
pub mod managesieve;
mod xml;
