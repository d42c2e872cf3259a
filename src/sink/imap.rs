//! The mail of an account on an IMAP server (RFC 9051).
//!
//! No journal is kept: what is there is recognised by its Message-ID, size and date in its mailbox, so a second run sends
//! nothing, and an answer that got lost is looked for.
//!
//! ```text
//!   account     the account, and the conversation with it          flags      keywords as flags, and back
//!   mailboxes   names, hierarchy, roles                            messages   what is there
//!   store       what is added                                      repair     what is refused, in another form
//!   copies      what the server copies by itself                   sources    what copies can be made of
//!   change      other flags, and removals                          proof      whether a message is what was sent
//! ```

mod account;
mod change;
mod copies;
mod flags;
mod mailboxes;
mod messages;
mod proof;
mod repair;
mod sources;
mod store;

pub use account::{Imap, ImapSettings};
