//! Trees as a file system: FUSE requests in, answers of [`crate::tree::archives::Archives`] out. The mount remembers which
//! directories the kernel knows, so that it can invalidate them, and what the reading processes do, so that they need fewer
//! requests.
//!
//! A request costs more than its answer: the reader sleeps, this process is woken, and then the other way round. So
//! requests that the kernel can do without are answered with ENOSYS (open, opendir, flush, access, and extended attributes
//! unless the user wants them), and every answer is valid until it is invalidated. [`readers`] sends the attributes of a
//! file with its name, to processes that use them; [`prefetch_queue`] puts messages into the kernel's cache before they
//! are read; [`large`] keeps one thread to a large file. When the archive has a new snapshot, [`invalidate`] lets the
//! kernel drop what changed.

mod adapter;
pub(crate) mod attributes;
pub mod invalidate;
pub mod large;
pub mod mountpoint;
mod pages;
mod paging;
mod prefetch;
pub mod prefetch_queue;
pub mod readers;
pub mod session;
mod shared;
pub mod stats;
