//! A client for WebDAV (RFC 4918), CalDAV (RFC 4791) and CardDAV (RFC 6352).
//!
//! ```text
//!   client      questions to a server, over `net::http`      discover    from a URL to the collections of a user
//!   multistatus answers, resource by resource                xml         elements of an answer, bounded
//!   body        what is sent                                 href        references in answers
//!   collection  a calendar, an address book, a directory     get         the bytes of a resource
//!   address     what --url names                           write       resources and collections made, changed, removed
//!   tree        directories, level by level                 upload      files with their dates, large ones in parts
//! ```

mod address;
mod body;
mod client;
mod collection;
mod discover;
mod get;
mod href;
mod multistatus;
mod tree;
mod upload;
mod write;

pub use address::Address;
pub use body::NewCollection;
pub use client::{Client, KnownHome, Listed, Resource, Settings, Synced, of_one};
pub use collection::{Collection, Flavor};
pub use discover::{Found, discover};
pub use get::Downloaded;
pub use href::{child, key as href_key, last_part, origin as origin_of, with_slash};
pub use tree::{Directory, walk};
pub use upload::{NewFile, PART, Stored, uploads_of};
pub use write::{Condition, Written};
