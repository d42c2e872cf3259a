//! Trees as a file system: FUSE requests in, answers of [`crate::tree::archives::Archives`] out. What is kept here is what the kernel was told, so
//! that it can be told otherwise, and what its readers do, so that they need not ask so much.
//!
//! A question costs more than its answer: the reader sleeps, we are woken, and then the other way round. So what the
//! kernel need not ask twice is answered with ENOSYS (open, opendir, flush, access, and extended attributes unless asked
//! for), and all that was said holds for good. [`readers`] tells all about a file with its name, to those who want it;
//! [`prefetch_queue`] puts messages into the kernel's cache before they are asked for; [`large`] keeps one thread to a large file.
//! When the archive goes on, [`invalidate`] takes back just what does not hold any more.

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
