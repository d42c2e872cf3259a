//! The mail of an account on an IMAP server (RFC 9051).
//!
//! No journal is kept: what is there is recognised by its Message-ID, size and date in its mailbox, so a second run sends
//! nothing, and an answer that got lost is looked for.
//!
//! ```text
//!   account     the account, and the conversation with it          flags      keywords as flags, and back
//!   mailboxes   names, hierarchy, roles                            messages   what is there, and what is added
//!   repair      what is refused, in another form
//! ```

mod account;
mod flags;
mod mailboxes;
mod messages;
mod repair;

pub use account::{Imap, ImapSettings};
