//! Limits of what a server may send.

pub(crate) const NAMES_MAX: usize = 16 << 20;

/// The most scripts of an account, and the most bytes that their names have together. Servers allow some dozens.
pub(crate) const SCRIPTS_MAX: usize = 10_000;

/// The largest script that is fetched. Servers allow a megabyte or less.
pub(super) const SCRIPT_MAX: u64 = 64 << 20;
