//! The JMAP server of the tests, driven with requests written by hand: each rule is enforced, each fault happens.

mod common;

#[path = "jmap_server/faults.rs"]
mod faults;
#[path = "jmap_server/mail.rs"]
mod mail;
#[path = "jmap_server/methods.rs"]
mod methods;
#[path = "jmap_server/raw.rs"]
mod raw;
#[path = "jmap_server/requests.rs"]
mod requests;
#[path = "jmap_server/types.rs"]
mod types;
