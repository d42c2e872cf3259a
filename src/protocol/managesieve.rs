//! A client of ManageSieve (RFC 5804) that only reads: which scripts there are, and what they say.
//!
//! [`Client`] is one authenticated connection. [`Session`] is what a source uses: it connects when it has to, and again
//! after a failure that time heals.

mod client;
mod session;
mod wire;

pub use client::{Client, Fetched, Script};
pub use session::Session;

/// The largest script that is fetched. Servers allow a megabyte or less.
pub const SCRIPT_MAX: u64 = 64 << 20;

/// The most scripts of an account, and the most bytes that their names have together. Servers allow some dozens.
const SCRIPTS_MAX: usize = 10_000;
const NAMES_MAX: usize = 16 << 20;
