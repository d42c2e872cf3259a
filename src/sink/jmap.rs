//! An account on a JMAP server.
//!
//! What changes something is sent once (the client does not repeat it); where the answer is lost, the outcome is
//! [`super::Outcome::Unknown`] and whoever asked looks again. Uploads and questions may be repeated, and the client does so.

pub(crate) mod account;
mod emails;
mod guarded_import;
mod guarded_set;
mod list;
mod mail_state;
mod outcome;
mod seen;
mod set;
mod states;
mod upload;
