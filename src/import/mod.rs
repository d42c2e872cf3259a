//! Bringing an archive to the state of a source: list, compare, fetch, store, and account for everything found.
//!
//! [`import()`] is the only flow; it knows neither SQL nor where an account lives.

pub(crate) mod containers;
pub mod diff;
mod emails;
mod fetch;
mod full_listing;
mod guard;
mod join;
mod objects;
pub(crate) mod options;
mod originals;
pub mod prepare;
mod recognise;
pub mod report;
pub mod run;
mod same_account;
mod scripts;
pub mod store;
mod survey;

pub use options::ImportOptions;
pub use report::Report;
pub use run::{Done, dry_run, import};
