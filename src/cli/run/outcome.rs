//! How the backup of an account went.

use crate::error::{Error, ErrorKind};
use crate::import::Done;
use std::path::PathBuf;

/// What became of an account.
pub(super) struct Outcome {
    pub(super) account: String,
    pub(super) archive: PathBuf,
    pub(super) sources: Vec<SourceOutcome>,
    /// What was done beside the imports, or failed: `forget`, `copy`, a hook.
    pub(super) steps: Vec<Step>,
    pub(super) seconds: f64,
}

/// What became of one source.
pub(super) struct SourceOutcome {
    pub(super) name: String,
    pub(super) done: Option<Done>,
    pub(super) error: Option<Error>,
}

/// Something that is no import.
pub(super) struct Step {
    pub(super) name: &'static str,
    /// What was done, in words.
    pub(super) result: Result<String, Error>,
}

/// How an account, or all of them, fared.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum State {
    Ok,
    Partial,
    Failed,
    Interrupted,
}

impl State {
    pub(super) fn name(self) -> &'static str {
        match self {
            State::Ok => "ok",
            State::Partial => "partial",
            State::Failed => "failed",
            State::Interrupted => "interrupted",
        }
    }

    fn of(error: &Error) -> State {
        match error.kind {
            ErrorKind::Interrupted => State::Interrupted,
            ErrorKind::Partial => State::Partial,
            _ => State::Failed,
        }
    }
}

impl Outcome {
    /// What failed, each with its name.
    pub(super) fn errors(&self) -> impl Iterator<Item = (&str, &Error)> {
        let sources = self.sources.iter().filter_map(|one| Some((one.name.as_str(), one.error.as_ref()?)));
        sources.chain(self.steps.iter().filter_map(|step| Some((step.name, step.result.as_ref().err()?))))
    }

    /// The worst of what failed.
    pub(super) fn worst(&self) -> Option<&Error> {
        self.errors().map(|(_, error)| error).reduce(
            |worst, other| {
                if State::of(other) > State::of(worst) { other } else { worst }
            },
        )
    }

    pub(super) fn state(&self) -> State {
        self.worst().map_or(State::Ok, State::of)
    }

    /// The account on one line; its name takes at least this many columns.
    pub(super) fn line(&self, width: usize) -> String {
        let (state, account, seconds) = (self.state().name(), &self.account, self.seconds.round());
        format!("{state:<11}  {account:<width$}  {seconds:>5} s  {}", self.words())
    }

    /// What was done: `imap 3 new, 1 changed; caldav nothing new; forgot 2 snapshots`.
    fn words(&self) -> String {
        let source = |one: &SourceOutcome| match (&one.error, &one.done) {
            (Some(error), _) => format!("{}: {error}", one.name),
            (None, Some(done)) => format!("{} {}", one.name, changes(done)),
            (None, None) => one.name.clone(),
        };
        let step = |step: &Step| match &step.result {
            Ok(done) => done.clone(),
            Err(error) => format!("{}: {error}", step.name),
        };
        let words: Vec<String> = self.sources.iter().map(source).chain(self.steps.iter().map(step)).collect();
        words.join("; ")
    }
}

/// `3 new, 1 changed, 2 removed`
fn changes(done: &Done) -> String {
    let accounts = done.report.accounts.types.values();
    let (new, changed) =
        accounts.fold((0, 0), |(new, changed), account| (new + account.stored.new, changed + account.stored.changed));
    let removed: u64 = done.report.removed.values().sum();
    let parts = [(new, "new"), (changed, "changed"), (removed, "removed")];
    let parts: Vec<String> =
        parts.iter().filter(|(count, _)| *count > 0).map(|(count, word)| format!("{count} {word}")).collect();
    if parts.is_empty() { "nothing new".to_owned() } else { parts.join(", ") }
}
