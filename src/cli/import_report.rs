//! What an import tells: the numbers, what is said of single objects, and the error it ends with.

use super::json;
use super::remarks::{Loudness, Remarks};
use super::report_table::{self, Row, by_reason};
use super::ui::{Ui, bytes, counted, quoted, thousands};
use super::words::title_of;
use crate::archive::RunState;
use crate::error::{Error, ErrorKind, Result};
use crate::import::Done;
use crate::import::report::{ImportCounts, Report};
use crate::model::ObjectType;
use crate::report::{reasons, sum};
use std::path::Path;

/// The end of an import: an error unless it is complete.
pub(super) fn verdict(done: &mut Done, dry_run: bool) -> Result<()> {
    if let Some(lost) = done.lost.take() {
        return Err(lost.hint("everything imported so far is kept; run the same command again to continue"));
    }
    match done.state {
        RunState::Interrupted => {
            Err(Error::new(ErrorKind::Interrupted, "interrupted; everything imported so far is kept")
                .hint("run the same command again to continue"))
        }
        RunState::Partial => Err(partial(&done.report, dry_run)),
        RunState::Complete => Ok(()),
    }
}

/// The error of a run that reached its end without all objects.
fn partial(report: &Report, dry_run: bool) -> Error {
    let (failed, strange, nothing_of) = (report.failed(), report.not_understood, report.stored_nothing_of());
    let failures = match dry_run {
        true => format!("{} cannot be read", objects(failed)),
        false => format!("{} could not be imported", objects(failed)),
    };
    let (what, hint) = match (failed, strange) {
        (0, 0) => (
            format!("found {}, but stored nothing", objects(nothing_of)),
            "each one is named above with the reason; messages marked as deleted are taken with --include-deleted",
        ),
        (0, _) => (
            format!("left out {} that could not be understood", objects(strange)),
            "see the warnings above: each says what it is and what to do",
        ),
        (_, 0) if dry_run => (failures, "each one is named above"),
        (_, 0) => (
            format!("{failures}; everything else is imported"),
            "each one is named above; run the same command again to retry them",
        ),
        _ => (
            format!("{failures}, and {} could not be understood", objects(strange)),
            "each one is named above; run the same command again to retry those that failed",
        ),
    };
    Error::new(ErrorKind::Partial, what).hint(hint)
}

fn objects(count: u64) -> String {
    counted(count, "object")
}

/// Tells what an import did: warnings and remarks, then the numbers.
pub(super) fn tell(done: &Done, archive: &Path, dry_run: bool, ui: &Ui) {
    tell_remarks(&done.report, ui);
    if ui.json {
        ui.object("summary", summary(done, archive, dry_run));
        return;
    }
    ui.checkable(&done.report.to_string());
    if ui.quiet {
        return;
    }
    let heads = if dry_run { "TO IMPORT" } else { "IMPORTED" };
    report_table::tell(ui, (heads, ["NEW", "CHANGED", "UNCHANGED"], "NOT STORED"), rows(&done.report));
    match done.snapshot {
        Some(snapshot) => {
            let (archive, state) = (archive.display(), done.state.name());
            let read = bytes(done.report.bytes);
            ui.line(&format!("Snapshot {snapshot} of {archive} is {state}, {read} read. {}", upshot(done)));
            if snapshot == 1 && done.state == RunState::Complete {
                let archive = quoted(&archive.to_string());
                ui.advice(&format!("what there is: vandelay ls {archive}; the next import brings it up to date"));
            }
        }
        None => ui.line("Dry run: nothing was changed."),
    }
}

/// The numbers of each type.
fn rows(report: &Report) -> Vec<Row> {
    let row = |(token, counts): (&&'static str, &ImportCounts)| {
        let kept = report.kept.get(token).copied().unwrap_or_default();
        let kept = (kept > 0).then(|| format!("{} kept that the source does not name now", thousands(kept)));
        Some(Row {
            kind: ObjectType::from_token(token)?,
            found: counts.found,
            there: [counts.stored.new, counts.stored.changed, counts.stored.unchanged],
            removed: report.removed.get(token).copied().unwrap_or_default(),
            not_there: vec![
                (counts.duplicate, "duplicate".to_owned()),
                by_reason("skipped", &counts.skipped),
                by_reason("failed", &counts.failed),
                (counts.not_reached, "not reached".to_owned()),
            ],
            notes: kept.into_iter().collect(),
        })
    };
    report.accounts.types.iter().filter_map(row).collect()
}

/// The last words of a run: what failed, or what was saved of a run that was stopped.
fn upshot(done: &Done) -> String {
    let report = &done.report;
    let saved = |(token, counts): (&&'static str, &ImportCounts)| {
        let saved = counts.found - counts.not_reached.min(counts.found);
        let what = title_of(token).to_lowercase();
        (counts.not_reached > 0).then(|| format!("{} of {} {what}", thousands(saved), thousands(counts.found)))
    };
    let saved: Vec<String> = report.accounts.types.iter().filter_map(saved).collect();
    match (done.state, report.failed(), report.not_understood) {
        (RunState::Interrupted, _, _) if !saved.is_empty() => format!("{} are done.", saved.join(", ")),
        (_, 0, 0) => "Nothing failed.".to_owned(),
        (_, 0, strange) => format!("{} not understood.", objects(strange)),
        (_, failed, _) => format!("{} failed.", objects(failed)),
    }
}

/// Warnings about the run, and what is said of single objects.
pub(super) fn tell_remarks(report: &Report, ui: &Ui) {
    report.notices.iter().for_each(|notice| ui.warn(notice));
    let mut remarks = Remarks::new(ui);
    for remark in &report.accounts.remarks {
        let loudness = match remark.outcome {
            "failed" | "not understood" => Loudness::Warning,
            // A later export of an account is duplicates for the most part.
            "by-product" | "duplicate" => Loudness::Detail,
            _ => Loudness::Info,
        };
        let sort = format!("{} {} ({})", remark.kind, remark.outcome, remark.reason);
        remarks.tell(loudness, &sort, &remark.position);
    }
    remarks.end();
    for note in &report.notes {
        ui.info(note);
    }
    if report.accounts.remarks_left_out > 0 {
        ui.warn(&format!("{} more not listed here", counted(report.accounts.remarks_left_out, "object")));
    }
    let no_good = sum(&report.no_good_mail);
    if no_good > 0 {
        let what = if no_good == 1 { "1 message is" } else { &format!("{no_good} messages are") };
        ui.warn(&format!("{what} not valid mail, and stored unchanged{}", reasons(&report.no_good_mail)));
        if report.no_good_mail.keys().any(|reason| reason.contains("mail_crypt")) {
            ui.info("hint: Dovecot encrypted these messages (mail_crypt): import the account over IMAP instead");
        }
    }
}

/// The numbers of an import (docs/reference/json.md).
pub(super) fn summary(done: &Done, archive: &Path, dry_run: bool) -> serde_json::Value {
    let report = &done.report;
    let accounts = serde_json::to_value(&report.accounts).unwrap_or_default();
    let by_type = serde_json::json!({ "types": accounts["types"], "removed": report.removed, "kept": report.kept, "hidden": report.hidden });
    let state = match done.state {
        RunState::Complete if dry_run => "planned",
        state => state.name(),
    };
    serde_json::json!({
        "archive": json::on_disk(archive),
        "dry_run": dry_run,
        "snapshot": done.snapshot,
        "state": state,
        "types": json::import_counts(&by_type),
        "stored_size": report.bytes,
        "scopes_failed": report.scopes_failed,
        "not_understood": report.not_understood,
        "no_good_mail": report.no_good_mail,
        "notices": report.notices,
        "notes": report.notes,
        "remarks": accounts["remarks"],
        "remarks_left_out": accounts["remarks_left_out"],
    })
}
