//! The calendars or the address books of an account on a server of CalDAV (RFC 4791) or CardDAV (RFC 6352).
//!
//! Each object is one resource in each of its collections, recognised by its UID. What is stored are the source's own bytes,
//! else what is made of its JSON: a server may write it in another way, and means the same.
//!
//! ```text
//!   collections  the account, and the conversation with it       drafts    objects and collections for a server
//! ```

mod collections;
mod drafts;

pub use collections::Collections;
