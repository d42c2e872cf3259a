//! Backing up one account: its sources one after the other, then what follows a good run.

use super::config::{Account, Source};
use super::outcome::{Outcome, SourceOutcome, State, Step};
use crate::cli::import_report::{tell_remarks, verdict};
use crate::cli::shell::{self, Trouble};
use crate::cli::snapshot::{Snapshot, tell_remarks_of_copy};
use crate::cli::ui::{Ui, bytes, counted, interrupt_flag};
use crate::error::{Error, ErrorKind, Result};
use rustix::io::dup;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::Stdio;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

/// How long a hook may take: it may copy a whole archive to another machine.
const HOOK_PATIENCE: Duration = Duration::from_secs(6 * 3600);

/// Backs up an account. Whatever happens, the others go on.
pub(super) fn back_up(account: Account, ui: &Ui) -> Outcome {
    let ui = ui.about(&account.name);
    let begun = Instant::now();
    let mut outcome = Outcome {
        account: account.name.clone(),
        archive: account.archive.clone(),
        sources: Vec::new(),
        steps: Vec::new(),
        seconds: 0.0,
    };
    let Account { sources, retention, copies, hooks, .. } = account;
    if interrupt_flag().load(Ordering::Relaxed) {
        let error = Error::new(ErrorKind::Interrupted, "interrupted before it began");
        outcome.steps.push(Step { name: "begin", result: Err(error) });
        return outcome;
    }
    if run_hook("before", hooks.before.as_deref(), &mut outcome, &ui) {
        outcome.sources = sources.into_iter().map(|source| import(source, &ui)).collect();
        // A run that did not see everything forgets nothing.
        if outcome.state() == State::Ok
            && let Some(forget) = retention
        {
            let result = guarded(|| {
                let done = forget.execute(&ui)?;
                done.detail(&ui);
                let removed = done.removed;
                Ok(if done.is_dry {
                    String::new()
                } else {
                    format!("forgot {} ({})", counted(removed.snapshots, "snapshot"), bytes(removed.bytes))
                })
            });
            step("forget", result, &mut outcome, &ui);
        }
        if let Some(snapshot) = copies
            && outcome.sources.iter().any(|source| source.done.is_some())
            && !interrupt_flag().load(Ordering::Relaxed)
        {
            let is_good = outcome.state() == State::Ok;
            let ui_of_step = ui.about("copy");
            step("copy", guarded(|| copy(&snapshot, is_good, &ui_of_step)), &mut outcome, &ui);
        }
    }
    match outcome.state() {
        State::Ok => run_hook("success", hooks.success.as_deref(), &mut outcome, &ui),
        _ => run_hook("failure", hooks.failure.as_deref(), &mut outcome, &ui),
    };
    outcome.seconds = begun.elapsed().as_secs_f64();
    outcome
}

fn import(source: Source, ui: &Ui) -> SourceOutcome {
    let ui = ui.about(&source.name);
    let mut done = None;
    let result = guarded(|| {
        if interrupt_flag().load(Ordering::Relaxed) {
            return Err(Error::new(ErrorKind::Interrupted, "interrupted before it began"));
        }
        let mut opened = source.import.open(&ui)?;
        let done = done.insert(opened.import(&ui)?);
        tell_remarks(&done.report, &ui);
        verdict(done, false)
    });
    let error = result.err();
    error.iter().for_each(|error| ui.failed(error));
    SourceOutcome { name: source.name, done, error }
}

/// Makes a copy, unless there is one of this name: after a second run of a day. Older ones go only after a good run.
fn copy(snapshot: &Snapshot, is_good: bool, ui: &Ui) -> Result<String> {
    if let Some(path) = snapshot.made_before()? {
        return Ok(format!("the copy {} is there", path.display()));
    }
    let copied = snapshot.execute(is_good, ui)?;
    tell_remarks_of_copy(&copied, ui)?;
    copied.outcome()?;
    let removed = copied.retention.map_or(0, |retention| retention.removed.len() as u64);
    let removed = if removed > 0 { format!(", removed {}", counted(removed, "older one")) } else { String::new() };
    Ok(format!("copied to {}{removed}", copied.path.display()))
}

/// A fault in the program itself stops no other account.
pub(super) fn guarded<T>(work: impl FnOnce() -> Result<T>) -> Result<T> {
    catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(|_| {
        Err(Error::new(ErrorKind::Storage, "Vandelay failed here: this is a fault in the program")
            .hint("please report it with the lines above; the other accounts are not touched by it"))
    })
}

fn step(name: &'static str, result: Result<String>, outcome: &mut Outcome, ui: &Ui) {
    if let Err(error) = &result {
        ui.about(name).failed(error);
    }
    outcome.steps.push(Step { name, result });
}

/// Runs a command of the user, if there is one. False if it failed.
fn run_hook(name: &'static str, command: Option<&str>, outcome: &mut Outcome, ui: &Ui) -> bool {
    let Some(command) = command else { return true };
    let code = outcome.worst().map_or(0, |error| error.kind.exit_code());
    let variables = [
        ("VANDELAY_ACCOUNT", outcome.account.clone()),
        ("VANDELAY_ARCHIVE", outcome.archive.display().to_string()),
        ("VANDELAY_STATE", outcome.state().name().to_owned()),
        ("VANDELAY_EXIT_CODE", code.to_string()),
    ];
    let stopped = interrupt_flag();
    // Stdout is for results.
    let stderr = dup(std::io::stderr()).map_or_else(|_| Stdio::null(), Stdio::from);
    let result = shell::start(command, stderr, &variables).and_then(|mut child| {
        // After an interrupt its hook still runs.
        let before = stopped.load(Ordering::Relaxed);
        shell::wait(&mut child, HOOK_PATIENCE, || !before && stopped.load(Ordering::Relaxed))
    });
    match result {
        Ok(()) => true,
        Err(trouble) => {
            let kind = if let Trouble::Stopped = trouble { ErrorKind::Interrupted } else { ErrorKind::Storage };
            let error = Error::new(kind, format!("the hook '{name}' {trouble}"))
                .hint("run its command in a terminal to see why");
            step(name, Err(error), outcome, ui);
            false
        }
    }
}
