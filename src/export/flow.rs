//! The flow: look at the target, compare, agree on the plan, then create, update and remove.

use super::guard;
use super::options::ExportOptions;
use super::report::{Plan, Report};
use super::run::Run;
use crate::archive::{Moment, Reader};
use crate::error::{Error, ErrorKind, Result};
use crate::progress::Progress;
use crate::sink::Sink;
use std::sync::Arc;

/// A run that ended.
#[derive(Debug)]
pub struct Done {
    /// What was to be done.
    pub plan: Plan,
    /// What was done.
    pub report: Report,
    /// Why it ended before its end. What was done until then is in the report.
    pub lost: Option<Error>,
}

/// Exports a moment of an archive. `agree` sees the plan before anything is done, and ends the run with its error.
///
/// Errors: what keeps the run from beginning. One that ends it later is in [`Done`].
pub fn export(
    target: &mut dyn Sink,
    reader: &Arc<Reader>,
    moment: Moment,
    options: &ExportOptions,
    progress: &dyn Progress,
    agree: &mut dyn FnMut(&Plan) -> Result<()>,
) -> Result<Done> {
    let mut run = Run::new(target, reader, moment, options, progress)?;
    run.look()?;
    if options.prune {
        guard::check_filters(reader, moment, &run.prunable)?;
    }
    if options.dry_run {
        run.ask_ahead()?;
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
