//! Finds objects by their words, in every state that an archive holds.
//!
//! ```text
//!   words     what is a word             phrase   words in a row       text  the words of an object, by fields
//!   index     the file beside an archive that says which words stand in which object; seal sees its damage
//!   update    brings it up to date       keeper   does so while an import runs
//!   query     what a user types          when     days in it           folders  names in it
//!   find      answers a query: the index says which objects have the words, the archive all else
//!   prover    words in a row in a text   object   what a row says of an object
//! ```

mod find;
mod folders;
mod index;
mod keeper;
mod object;
mod phrase;
mod prover;
mod query;
mod seal;
mod text;
mod update;
mod when;
mod words;

pub use find::{Found, count, find};
pub use folders::Folders;
pub use index::{Index, Place};
pub use keeper::Keeper;
pub use query::Parsed;
pub use update::{Gaps, ask_again_if_damaged, catch_up, tidy};
