//! A client of ManageSieve (RFC 5804): which scripts there are, what they say, and changes to them.
//!
//! [`Client`] is one authenticated connection. [`Session`] is what a source and a sink use: it connects when it has to, and
//! again after a failure that time heals.

mod client;
mod limits;
mod session;
mod wire;
mod write;

pub use client::{Client, Fetched, Script};
pub use session::Session;
pub use write::Answer;
