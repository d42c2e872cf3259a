//! What an import tells: the numbers, what is said of single objects, and the error it ends with.

use super::json;
use super::table;
use super::ui::{Ui, bytes, counted};
use crate::archive::RunState;
use crate::error::{Error, ErrorKind, Result};
use crate::import::Done;
use crate::import::report::Report;
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
    } else if !ui.quiet {
        table::report(ui, &done.report.to_string());
        match done.snapshot {
            Some(snapshot) => ui.line(&format!(
                "snapshot {snapshot} of {} is {}; {} read",
                archive.display(),
                done.state.name(),
                bytes(done.report.bytes)
            )),
            None => ui.line("dry run: nothing was changed"),
        }
    }
}

/// Warnings about the run, and what is said of single objects.
pub(super) fn tell_remarks(report: &Report, ui: &Ui) {
    report.notices.iter().for_each(|notice| ui.warn(notice));
    for remark in &report.accounts.remarks {
        let text = format!("{} {} ({}): {}", remark.kind, remark.outcome, remark.reason, remark.position);
        // Items left out on purpose are counted below; their positions come with -v and --json.
        match remark.outcome {
            "failed" | "not understood" => ui.warn(&text),
            // A later export of an account is duplicates for the most part.
            "by-product" | "duplicate" => ui.detail(&text),
            _ => ui.info(&text),
        }
    }
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
