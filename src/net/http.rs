//! HTTP (RFC 9110): one server, asked as often as it takes. Clients of protocols over HTTP stand on it, as those of IMAP do
//! on a [`crate::net::connector::Connector`].
//!
//! ```text
//!   client     attempts, redirects, waits                   audience   who may hear the credentials
//!   ask        what is sent, and how often                   login      the field Authorization, another token (digest)
//!   payload    bytes to send, and how far they are           answer     heads and bodies, as fast as they come
//!   failure    why there is no answer of success             line       what the line broke of, in words
//!   pause      waits that the server asks for                head       fields of an answer; URLs in messages
//!   spool      bodies on their way in                        look       requests without a login
//! ```
//!
//! What a refusal means is for the protocol: it hands [`Http::new`] a function that reads what the server says with it, and
//! finds status and body in [`Failure::refusal`].

mod answer;
mod ask;
mod audience;
mod client;
mod digest;
mod failure;
mod head;
mod line;
mod login;
mod look;
mod pause;
mod payload;
mod spool;

pub use answer::Answer;
pub use ask::{Ask, Method, Repeat};
pub use audience::{Audience, Reach, is_one_domain, registrable};
pub use client::Http;
pub use failure::{Failure, Reading, Refusal};
pub use head::{address, shown};
pub use look::{Looked, look, post};
pub use pause::Pauses;
pub use payload::{Content, Payload, ReadAt};
pub use spool::Spool;
