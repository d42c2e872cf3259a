//! An account on a JMAP server.
//!
//! What changes something is sent once (the client does not repeat it); where the answer is lost, the outcome is
//! [`super::Outcome::Unknown`] and the export looks again. Uploads and questions may be repeated, and the client does so.

pub(crate) mod account;
mod blobs_inside;
mod compare;
mod draft;
mod emails;
mod guarded_import;
mod guarded_set;
mod keys;
mod list;
mod mail_state;
mod outcome;
mod remote;
mod request;
mod rules;
mod seen;
mod set;
mod states;
mod upload;
