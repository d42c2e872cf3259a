//! An account on a server of CalDAV (RFC 4791), CardDAV (RFC 6352) or WebDAV (RFC 4918).
//!
//! ```text
//!   collections  calendars and address books, each a scope    files   a tree of directories, one scope
//!   cursor       what a collection was when it was listed     fetch   bytes, many resources in one answer
//! ```

mod collections;
mod cursor;
mod fetch;
mod files;

pub use collections::Collections;
pub use cursor::known_home;
pub use files::Files;
