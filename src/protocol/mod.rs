//! How to speak to servers: the only room with async code.
//!
//! Clients here know their protocol and nothing of accounts or archives. Each works over any byte stream, so that its
//! tests need no network.

pub mod imap;
