//! The flow of an export: look at the target, compare, then create, update and remove.
//!
//! Nothing is remembered between runs. Each object is recognised at the target by what it is (a name in its parent, a uid,
//! a Message-ID), so a second run finds everything there and sends nothing. Within a run the same holds: where the answer
//! to a request is lost, the target is looked at again and what is still missing is sent; so nothing is sent twice
//! because nobody knew, and the order of things in a run needs no log.
//!
//! ```text
//!   stock     rows of the archive as objects of JMAP         matching, emails   which object of the target each is
//!   update    what differs                                   prune              what the archive does not hold
//!   run       the state of a run and its plan                report             plan and accounting
//!   write     everything but messages                        mail               messages
//!   remove    defaults, and what goes                        guard              when nothing may be removed
//!   supply    bytes of the archive for uploads               attached           bytes inside of cards and events
//!   tasks     events that are files where nothing else takes them               label   what objects are called
//! ```

mod attached;
mod emails;
mod guard;
mod label;
mod mail;
mod matching;
mod objects;
mod prune;
mod remove;
mod report;
mod run;
mod stock;
mod supply;
mod tasks;
mod update;
mod write;

pub use super::report::Remark;
pub use guard::check as check_prune;
pub use report::{Account, Plan, Report, Step};
pub use stock::Selection;

use super::import::Progress;
use crate::archive::{Moment, Reader};
use crate::error::{Error, ErrorKind, Result};
use crate::model::ObjectType;
use crate::sink::Sink;
use run::Run;
use std::sync::Arc;

/// What the user decides about a run.
#[derive(Debug, Clone, Default)]
pub struct Options {
    pub selection: Selection,
    /// Bring what is there already to the archive's state.
    pub update: bool,
    /// Remove what the archive does not hold.
    pub prune: bool,
    /// Look and plan only.
    pub dry_run: bool,
    /// How often something is tried again without anything getting better.
    pub max_retries: u32,
}

/// A run that ended.
#[derive(Debug)]
pub struct Done {
    pub plan: Plan,
    pub report: Report,
    /// Why it ended before its end. What was done until then is in the report.
    pub lost: Option<Error>,
}

/// The types in the order in which they are written: containers before what lies in them, and files after the events that
/// may become some.
pub const ORDER: [ObjectType; 11] = [
    ObjectType::Mailbox,
    ObjectType::AddressBook,
    ObjectType::Calendar,
    ObjectType::Identity,
    ObjectType::SieveScript,
    ObjectType::ParticipantIdentity,
    ObjectType::Email,
    ObjectType::ContactCard,
    ObjectType::CalendarEvent,
    ObjectType::FileNode,
    ObjectType::VacationResponse,
];

/// Exports a moment of an archive. `agree` sees the plan before anything is done, and ends the run with its error.
///
/// Errors: what keeps the run from beginning. One that ends it later is in [`Done`].
pub fn export(
    target: &mut dyn Sink,
    reader: &Arc<Reader>,
    moment: Moment,
    options: &Options,
    progress: &dyn Progress,
    agree: &mut dyn FnMut(&Plan) -> Result<()>,
) -> Result<Done> {
    let mut run = Run::new(target, reader, moment, options, progress)?;
    run.look()?;
    if options.prune {
        guard::check_filters(reader, moment, &run.prunable)?;
    }
    let plan = run.plan();
    agree(&plan)?;
    if options.dry_run {
        return Ok(Done { plan, report: run.planned(), lost: None });
    }
    let mut lost = run.apply().err();
    if run.report.failed() > 0 && lost.is_none() {
        // What could not be read may have gone with its snapshot.
        lost = reader.require(moment).err();
    }
    let mut report = run.finish(lost.as_ref());
    if let Some(error) = lost.as_ref().filter(|error| error.kind == ErrorKind::Interrupted) {
        report.notes.push(format!("the run ended early: {error}"));
    }
    Ok(Done { plan, report, lost })
}
