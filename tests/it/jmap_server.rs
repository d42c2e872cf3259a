//! The JMAP server of the tests, driven with requests written by hand: each rule is enforced, each fault happens.

mod faults;
mod mail;
mod methods;
mod raw;
mod requests;
mod types;
