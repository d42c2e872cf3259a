//! What a run prints: a line for each account, the worst last.

use super::check::{Checked, words};
use super::outcome::{Outcome, State};
use crate::cli::import_report::summary;
use crate::cli::json::on_disk;
use crate::cli::ui::{Ui, counted};
use crate::error::{Error, ErrorKind, Result};
use serde_json::json;
use std::collections::BTreeMap;

/// The numbers of each source of an account, for programs; people get them as one line at the end.
pub(super) fn tell_sources(outcome: &Outcome, ui: &Ui) {
    if !ui.json {
        return;
    }
    for (source, done) in outcome.sources.iter().filter_map(|source| Some((source, source.done.as_ref()?))) {
        let mut summary = summary(done, &outcome.archive, false);
        summary["account"] = outcome.account.as_str().into();
        summary["source_name"] = source.name.as_str().into();
        ui.object("import", summary);
    }
}

/// The end of a run, the worst account last. The error is that of the worst account.
pub(super) fn tell(outcomes: &[Outcome], ui: &Ui) -> Result<()> {
    let width = outcomes.iter().map(|outcome| outcome.account.chars().count()).max().unwrap_or(0);
    for outcome in outcomes {
        if ui.json {
            ui.object("account", account_object(outcome));
            continue;
        }
        let line = outcome.line(width);
        ui.keep(&line);
        // With --quiet only what wants attention is told.
        if !ui.quiet || outcome.state() != State::Ok {
            ui.row(&line);
        }
    }
    let mut states: BTreeMap<State, u64> = BTreeMap::new();
    outcomes.iter().for_each(|outcome| *states.entry(outcome.state()).or_default() += 1);
    if ui.json {
        let count = |state| states.get(&state).copied().unwrap_or(0);
        ui.object("summary", json!({
            "count": outcomes.len(), "ok": count(State::Ok),
            "partial": count(State::Partial), "failed": count(State::Failed), "interrupted": count(State::Interrupted),
        }));
    }
    let worst = outcomes.last().and_then(|outcome| Some((outcome, outcome.worst()?)));
    let Some((outcome, error)) = worst else { return Ok(()) };
    let others: Vec<String> = states
        .iter()
        .filter(|(state, _)| **state != State::Ok)
        .map(|(state, count)| format!("{} {}", counted(*count, "account"), state.name()))
        .collect();
    let what = format!("{}; {}: {error}", others.join(", "), outcome.account);
    Err(Error::new(error.kind, what)
        .hint("what failed is named above, each with its account; the next run tries again"))
}

fn account_object(outcome: &Outcome) -> serde_json::Value {
    let errors: Vec<serde_json::Value> = outcome
        .errors()
        .map(|(step, error)| {
            json!({
                "step": step, "code": error.kind.exit_code(), "kind": error.kind.token(),
                "message": error.to_string(), "hint": error.hint_text(),
            })
        })
        .collect();
    let steps = outcome.steps.iter().filter_map(|step| Some((step.name, step.result.as_ref().ok()?)));
    json!({
        "account": outcome.account, "archive": on_disk(&outcome.archive),
        "state": outcome.state().name(), "code": outcome.worst().map_or(0, |error| error.kind.exit_code()),
        "seconds": outcome.seconds, "steps": steps.collect::<BTreeMap<_, _>>(), "errors": errors,
    })
}

/// What a check found. The error is that of a source that failed.
pub(super) fn tell_checks(checked: Vec<Vec<Checked>>, ui: &Ui) -> Result<()> {
    let mut checked: Vec<Checked> = checked.into_iter().flatten().collect();
    checked.sort_by(|one, other| {
        let state = |error: &Error| 1 + u8::from(error.kind == ErrorKind::Interrupted);
        let key =
            |one: &Checked| (one.result.as_ref().map_or_else(state, |_| 0), one.account.clone(), one.source.clone());
        key(one).cmp(&key(other))
    });
    let width = |text: fn(&Checked) -> &str| checked.iter().map(|one| text(one).chars().count()).max().unwrap_or(0);
    let (account_width, source_width) = (width(|one| &one.account), width(|one| &one.source));
    for one in &checked {
        let Checked { account, source, result } = one;
        if ui.json {
            ui.object(
                "check",
                json!({
                    "account": account, "source_name": source,
                    "scopes": result.as_ref().ok(), "error": result.as_ref().err().map(|error| error.to_string()),
                }),
            );
            continue;
        }
        let (state, text) = match result {
            Ok(names) => ("ok", words(names)),
            Err(error) => ("failed", error.to_string()),
        };
        ui.row(&format!("{state:<6}  {account:<account_width$}  {source:<source_width$}  {text}"));
    }
    let failed = checked.iter().filter(|one| one.result.is_err()).count() as u64;
    if ui.json {
        ui.object("summary", json!({ "count": checked.len(), "failed": failed }));
    }
    match checked.pop().map(|last| (last.account, last.source, last.result)) {
        Some((account, source, Err(error))) => {
            let what = format!("{} failed; {account}: {source}: {error}", counted(failed, "source"));
            Err(Error::new(error.kind, what).hint("each one is named above"))
        }
        Some(_) => Ok(()),
        None => Err(Error::new(ErrorKind::Usage, "there is nothing to check")),
    }
}
