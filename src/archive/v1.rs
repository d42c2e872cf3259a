//! Vandelay 1.x: what it leaves in an archive, and what it did there between our runs (FORMAT.md, "After 1.x").
//!
//! 1.x keeps our tables and does not know them. It removes and changes rows, and numbers new ones `max(id) + 1`: a number
//! that we never give twice it may give to another object. Digests tell ([`super::digest`]). What 1.x imported before is
//! adopted: the first import of ours from the same source takes its rows, so that nothing is stored twice.

mod adopt;
mod adoptable;
pub(super) mod identity;
mod mark;
mod since;
mod take_over;
mod upgrade;

pub(super) use adoptable::adoptable_messages;
pub(super) use mark::{has_written, unmark};
pub(super) use since::{has_two_emails, known_before, removed_containers};
pub(super) use take_over::{forget_origins, take_over};
pub(super) use upgrade::{add_missing_columns, admit_kind};
