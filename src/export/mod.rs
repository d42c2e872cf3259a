//! The flow of an export: look at the target, compare, then create, update and remove.
//!
//! Nothing is remembered between runs. Each object is recognised at the target by what it is (a name in its parent, a uid,
//! a Message-ID), so a second run finds everything there and sends nothing. Within a run the same holds: where the answer
//! to a request is lost, the target is looked at again and what is still missing is sent. So a lost answer makes nothing
//! be sent twice, and the order of things in a run needs no log.
//!
//! ```text
//!   flow      look, plan, agree, write                       run                the state of a run
//!   select    what is wanted of the archive (wanted)         match_mail, match_objects   which object of the target each is
//!   retry     writing until each object has an outcome       prune              what the archive does not hold
//!   write     everything but messages                        mail               messages
//!   remove    defaults, and what goes                        guard              when nothing may be removed
//!   bytes     bytes of the archive for uploads               report             accounting
//!   plan      what will be done                              rename             names that the target does not take
//!   compare   what differs, where nothing is to be done
//!   tasks     events that are files where nothing else takes them       mail_twins   messages that came twice
//! ```

mod bytes;
mod chosen;
mod compare;
mod flow;
mod guard;
mod mail;
mod mail_twins;
mod match_mail;
mod match_objects;
mod options;
mod plan;
mod prune;
mod remove;
mod rename;
mod report;
mod retry;
mod run;
mod select;
mod synthetic;
mod task_files;
mod tasks;
mod wanted;
mod write;

pub use crate::report::Remark;
pub use chosen::Chosen;
pub use compare::{Comparison, ComparisonCounts, Discrepancy, Side, compare};
pub use flow::{Done, export};
pub use guard::check as check_prune;
pub use options::{ExportOptions, Selection};
pub use report::{ExportCounts, Plan, Report, Step};
