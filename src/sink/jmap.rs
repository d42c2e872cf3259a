//! An account on a JMAP server.
//!
//! What changes something is sent once (the client does not repeat it); where the answer is lost, the outcome is
//! [`super::Outcome::Unknown`] and whoever asked looks again. Uploads and questions may be repeated, and the client does so.

pub(crate) mod account;
mod caution;
mod emails;
mod mail_state;
mod outcome;
mod seen;
mod set;
mod state;
mod states;
mod survey;
mod upload;
