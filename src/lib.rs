//! Vandelay keeps one person's account in one SQLite file.
pub mod archive;
pub mod cli;
pub mod error;
pub mod extract;
pub mod format;
pub mod model;
pub mod mount;
pub mod source;
pub mod sync;
pub mod tree;
