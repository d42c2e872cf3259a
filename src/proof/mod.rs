//! The proof that an archive restores: everything is read back as a restore would read it, and compared with the rows.
//!
//! ```text
//!   check      threads that read all rows of a moment       rule      what one type has to show in the tree
//!   read_back  objects by their paths, bytes by blobs       message   names and bytes of messages
//!   item       events and cards, parsed again               same      whether a converted object says the same
//!   finding    what does not come back, and the counts
//! ```

mod check;
mod finding;
mod item;
mod message;
mod read_back;
mod rule;
mod same;

pub use check::check;
pub use finding::{Finding, Loss, Restored, TypeCounts};
