//! JMAP (RFC 8620): one server, asked over HTTP. Everything is async; a source or a target drives it through
//! [`crate::net::runtime::Runtime`].
//!
//! ```text
//!   client     an account's session, calls, retries        request    method calls in one batch, result references
//!   session    the session resource, limits, accounts      methods    query, changes, set with their limits
//!   blobs      upload and download                         parallel   several things at once, in order
//!   small      many small blobs at a time                  fault      what can go wrong
//!   http       origins, credentials, bodies, waits         sound      objects that the server breaks off at
//!   properties what is asked for by name                   pause      waits that the server asks for
//!   get        any number of objects
//! ```
//!
//! A [`Client`] is cheap to clone and may be used by many tasks of one runtime: all of them share its connections, the
//! limits of the server on concurrency, and the waits that a server asks for.

mod answer;
mod blobs;
mod client;
mod fault;
mod get;
mod http;
mod methods;
mod parallel;
mod pause;
mod properties;
mod request;
mod session;
mod small;
mod sound;

pub use blobs::{Content, ReadAt, Uploaded};
pub use client::{Client, Settings, Which};
pub use fault::{Error, MethodError, Result};
pub use get::Got;
pub use methods::{Changes, Queried, SetRequest, SetResult};
pub use parallel::{Queue, both, in_order};
pub use properties::has_query;
pub use request::{Handle, Request, Responses};
pub use session::{AccountInfo, Limits, Session};
pub use small::{Inline, SMALL_MAX, SMALL_SUM};
pub use sound::Sound;

/// Names of capabilities (RFC 8620 section 9.4 and the registry that it makes).
pub mod capability {
    /// RFC 8620
    pub const CORE: &str = "urn:ietf:params:jmap:core";
    /// RFC 8621 section 1.3.1
    pub const MAIL: &str = "urn:ietf:params:jmap:mail";
    /// RFC 8621 section 1.3.2
    pub const SUBMISSION: &str = "urn:ietf:params:jmap:submission";
    /// RFC 8621 section 1.3.3
    pub const VACATION: &str = "urn:ietf:params:jmap:vacationresponse";
    /// RFC 9661 section 1.1
    pub const SIEVE: &str = "urn:ietf:params:jmap:sieve";
    /// RFC 9610 section 1.4.1
    pub const CONTACTS: &str = "urn:ietf:params:jmap:contacts";
    /// draft-ietf-jmap-calendars section 1.5.1
    pub const CALENDARS: &str = "urn:ietf:params:jmap:calendars";
    /// draft-ietf-jmap-filenode
    pub const FILENODE: &str = "urn:ietf:params:jmap:filenode";
    /// RFC 9670 section 1.5.1
    pub const PRINCIPALS: &str = "urn:ietf:params:jmap:principals";
    /// RFC 9404 section 3
    pub const BLOB: &str = "urn:ietf:params:jmap:blob";
    /// What Cyrus 3.6 has of RFC 9404: it is older than that.
    pub const BLOB_CYRUS: &str = "https://cyrusimap.org/ns/jmap/blob";
    /// RFC 9425 section 2
    pub const QUOTA: &str = "urn:ietf:params:jmap:quota";
}
