//! Bringing an archive to the state of a source: list, compare, fetch, store, and account for everything found.
//!
//! [`import`](import::import) is the only flow; it knows neither SQL nor where an account lives.

mod age;
pub mod containers;
pub mod export;
mod fetch;
mod guard;
pub mod import;
mod jmap;
mod kin;
mod moved;
pub mod pipeline;
pub mod plan;
mod recognise;
pub mod report;
mod scripts;
pub mod store;
mod survey;
