//! The calendars or the address books of an account on a server of CalDAV (RFC 4791) or CardDAV (RFC 6352), and the files in a
//! directory of a server of WebDAV (RFC 4918).
//!
//! Each event and each card is one resource in each of its collections, recognised by its UID. What is stored are the source's own bytes,
//! else what is made of its JSON: a server may write it in another way, and means the same.
//!
//! A file is recognised by its path.
//!
//! ```text
//!   collections  calendars and address books      drafts    objects and collections for a server
//!   files        directories and files            nodes     names and dates of these, and what differs
//!   changes      what both do with a change
//! ```

mod changes;
mod collections;
mod drafts;
mod files;
mod nodes;

pub use collections::Collections;
pub use files::Files;
