//! JMAP (RFC 8620): one server, asked over HTTP ([`crate::net::http`]). Everything is async; a source or a target drives it through
//! [`crate::net::runtime::Runtime`].
//!
//! ```text
//!   client     an account's session, calls, retries        request    method calls in one batch, result references
//!   session    the session resource, limits, accounts      methods    query, changes, set with their limits
//!   blobs      upload and download
//!   blob_batch many small blobs at a time                  error      what can go wrong
//!   properties what is asked for by name                   problem    requests that are refused as a whole
//!   get        any number of objects                       sound      objects that the server breaks off at
//! ```
//!
//! A [`Client`] is cheap to clone and may be used by many tasks of one runtime: all of them share its connections, the
//! limits of the server on concurrency, and the waits that a server asks for.

mod blob_batch;
mod blobs;
pub mod capability;
mod client;
mod error;
mod get;
mod methods;
mod problem;
mod properties;
mod request;
mod session;
mod sound;

pub use crate::net::http::{Content, ReadAt};
pub use crate::net::parallel::{Queue, both, in_order};
pub use blob_batch::{Inline, SMALL_MAX, SMALL_SUM};
pub use blobs::Uploaded;
pub use client::{Client, Settings, Which, address};
pub use error::{Error, MethodError, Result};
pub use get::Got;
pub use methods::{Changes, Queried, SetRequest, SetResult};
pub use properties::has_query;
pub use request::{Handle, Request, Responses};
pub use session::{AccountInfo, Limits, Session};
pub use sound::Sound;
