//! A client of ManageSieve (RFC 5804) that only reads: which scripts there are, and what they say.
//!
//! [`Client`] is one authenticated connection. [`Session`] is what a source uses: it connects when it has to, and again
//! after a failure that time heals.

mod client;
mod limits;
mod session;
mod wire;

pub use client::{Client, Fetched, Script};
pub use session::Session;
