//! An IMAP client (RFC 9051 and RFC 3501), over any byte stream.
//!
//! ```text
//!   wire       bytes, lines, literals, the time limit        command     what is sent
//!   parser     tokens of a response, and their limits        capability  what the server can do
//!   response   what they mean                                error       what went wrong, in few classes
//!   client     commands in flight, what the server says unasked
//!   login      from the greeting to an account               folders     LIST and its kin
//!   select     EXAMINE and what changed since                fetch, bodies    messages
//!   session    an account, whatever becomes of connections
//!   append     new messages                                 write       mailboxes made, flags changed, messages removed
//! ```
//!
//! Only commands of `append` and `write` change anything in an account: to read, mailboxes are opened with EXAMINE (with
//! SELECT only if that is refused) and bodies are asked for with PEEK.
//!
//! # Why no crate reads the responses
//!
//! imap-codec 2.0.0-alpha.10 and imap-proto 0.17 were tried with 26 lines such as servers send. imap-codec refuses 15 of
//! them: EMAILID, X-GM-LABELS, MODSEQ and VANISHED without unreleased features, names in raw UTF-8, a date or a flag
//! out of the ordinary, a NUL in a literal. imap-proto reads more, and still refuses STATUS with MAILBOXID, ESEARCH,
//! LIST with extended data, NAMESPACE, `{3+}`, `~{4}` and two spaces side by side. Both give up the whole response,
//! with a message's body in it, for one item that they do not know, and both want it whole in memory before they begin,
//! which a message of 1 GiB forbids. So [`parser`] splits any response into tokens, within limits, and `response` takes
//! from these what it understands.
//!
//! # What holds whatever a server does
//!
//! Memory is bounded ([`Limits`]): 8 MiB for a response, 4 MiB for a body in memory (larger ones are streamed to a
//! file), a buffer of 256 KiB that grows to twice the longest line. A literal that is larger than allowed is refused
//! before it is read, lines that no command asked for are counted, and a server that is silent for too long is given up.
//! After an error that is none of [`Fault::Refused`], [`Fault::Unwell`], [`Fault::Gone`], [`Fault::Forbidden`] and
//! [`Fault::Unsupported`] a client is of no more use. So it is after a future of it was dropped in the middle of a response: the next call says
//! so. A client works within any Tokio runtime that has timers.

mod append;
mod bodies;
mod capability;
mod client;
mod command;
mod date;
mod error;
mod fetch;
mod folders;
mod login;
pub mod parser;
mod refusal;
mod response;
mod select;
mod session;
mod set;
mod wire;
mod write;

pub use append::{Appended, NewMessage, NewUid};
pub use bodies::{Arrival, Bodies, Message, Pipeline, Wanted};
pub use capability::Capabilities;
pub use client::{Client, Options};
pub use date::InternalDate;
pub use error::{Error, Fault, Result};
pub use fetch::{Changes, Items, Listing};
pub use folders::{Folder, roles_of};
pub use parser::Limits;
#[doc(hidden)]
pub use response::read_any;
pub use response::{
    Condition, Fetched, FetchedBody, FolderStatus, Listed, Namespace, Namespaces, StatusResponse, decode_name,
};
pub use select::{Known, Selected};
pub use session::{Session, Shared};
pub use set::{LONGEST, UidSet};
pub use wire::Transport;
pub use write::{Copied, Store};
