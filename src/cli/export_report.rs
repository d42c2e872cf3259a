//! What an export says of itself: remarks, the lines of the types, JSON.

use super::json;
use super::report_table::{self, Row, by_reason};
use super::ui::{Ui, bytes, counted, thousands};
use crate::error::{Error, ErrorKind};
use crate::export::{ExportCounts, Plan, Remark, Report};
use crate::model::ObjectType;
use std::collections::HashMap;
use std::path::Path;

/// So many objects of one kind of remark are named.
const NAMED: usize = 10;

/// Remarks that say the same, with what they say it of, in the order in which they came first.
fn by_kind(remarks: &[Remark]) -> Vec<(&Remark, Vec<&str>)> {
    let mut kinds: Vec<(&Remark, Vec<&str>)> = Vec::new();
    let mut places: HashMap<(&str, &str, &str), usize> = HashMap::new();
    for remark in remarks {
        let place = *places.entry((remark.kind, remark.outcome, &remark.reason)).or_insert(kinds.len());
        if place == kinds.len() {
            kinds.push((remark, Vec::new()));
        }
        kinds[place].1.push(&remark.position);
    }
    kinds
}

fn named(positions: &[&str], most: usize) -> String {
    match positions {
        [one] => (*one).to_owned(),
        several => {
            let more = several.len().saturating_sub(most);
            let more = if more > 0 {
                format!("; and {} more (-v or --log-file names all)", thousands(more as u64))
            } else {
                String::new()
            };
            format!("{} objects: {}{more}", several.len(), several[..several.len().min(most)].join("; "))
        }
    }
}

/// The error of a run that could not write everything. What was refused is refused the next time, too.
pub(super) fn partial(count: u64, report: &Report) -> Error {
    let refused = report.refused();
    let rest = if report.present() > 0 { "everything else is there" } else { "nothing of the archive is there" };
    let what = match (count - refused.min(count), refused) {
        (0, refused) => format!("the account rejected {}; {rest}", counted(refused, "object")),
        (failed, 0) => format!("{} could not be written; {rest}", counted(failed, "object")),
        (failed, refused) => {
            format!("{} could not be written, and the account rejected {refused}; {rest}", counted(failed, "object"))
        }
    };
    let hint = match count > refused {
        true => "the reasons are above; run the same command again to retry what the account did not reject",
        false => {
            "the reasons are above. Another run will not help: correct these objects, or keep the archive for them"
        }
    };
    Error::new(ErrorKind::Partial, what).hint(hint)
}

/// What is said at the end of a run beside its report.
pub(super) struct Summary<'a> {
    pub archive: &'a Path,
    pub dry_run: bool,
    /// What the bytes of the report are: `of messages sent`.
    pub sent: &'a str,
}

impl Summary<'_> {
    pub(super) fn tell(&self, plan: &Plan, report: &Report, ui: &Ui) {
        self.remarks(report, ui);
        if ui.json {
            let accounts = serde_json::to_value(&report.accounts).unwrap_or_default();
            let summary = serde_json::json!({
                "archive": json::on_disk(self.archive),
                "dry_run": self.dry_run,
                "plan": plan.types,
                "types": json::counts(&accounts["types"]),
                "sent_size": report.bytes,
                "notes": report.notes,
                "remarks": accounts["remarks"],
                "remarks_left_out": accounts["remarks_left_out"],
            });
            ui.object("summary", summary);
            return;
        }
        ui.checkable(&report.to_string());
        if !ui.quiet {
            let of = if self.dry_run { "TO EXPORT" } else { "EXPORTED" };
            report_table::tell(ui, (of, ["CREATED", "UPDATED", "MATCHED"], "NOT WRITTEN"), rows(report));
            let not_reached: u64 = report.accounts.types.values().map(|counts| counts.not_reached).sum();
            let found: u64 = report.accounts.types.values().map(|counts| counts.found).sum();
            let upshot = match (report.failed(), not_reached) {
                (0, 0) => "Nothing failed.".to_owned(),
                (0, left) => {
                    format!("{} of {} are done.", thousands(found - left.min(found)), counted(found, "object"))
                }
                (failed, _) => format!("{} failed.", counted(failed, "object")),
            };
            match self.dry_run {
                true => ui.line("Dry run: nothing was changed."),
                false if report.bytes == 0 => ui.line(&upshot),
                false => ui.line(&format!("{} {}. {upshot}", bytes(report.bytes), self.sent)),
            }
        }
    }

    /// The remarks and notes alone.
    pub(super) fn remarks(&self, report: &Report, ui: &Ui) {
        for (remark, positions) in by_kind(&report.accounts.remarks) {
            let text = |most| {
                let (kind, outcome, reason) = (remark.kind, remark.outcome, &remark.reason);
                format!("{kind} {outcome} ({reason}): {}", named(&positions, most))
            };
            if positions.len() > NAMED && ui.verbose == 0 {
                ui.keep(&text(usize::MAX));
            }
            let text = text(if ui.verbose > 0 { usize::MAX } else { NAMED });
            match remark.outcome {
                "failed" | "not removed" | "there twice" => ui.warn(&text),
                _ => ui.info(&text),
            }
        }
        if report.accounts.remarks_left_out > 0 {
            ui.warn(&format!("{} more not listed here", counted(report.accounts.remarks_left_out, "object")));
        }
        report.notes.iter().for_each(|note| ui.warn(note));
    }
}

/// The numbers of each type.
fn rows(report: &Report) -> Vec<Row> {
    let row = |(token, counts): (&&'static str, &ExportCounts)| {
        let mut notes = Vec::new();
        if !counts.not_removed.is_empty() {
            let (count, text) = by_reason("not removed", &counts.not_removed);
            notes.push(format!("{} {text}", thousands(count)));
        }
        Some(Row {
            kind: ObjectType::from_token(token)?,
            found: counts.found,
            there: [counts.created, counts.updated, counts.matched],
            removed: counts.removed,
            not_there: vec![
                by_reason("skipped", &counts.skipped),
                by_reason("failed", &counts.failed),
                (counts.not_reached, "not reached".to_owned()),
            ],
            notes,
        })
    };
    report.accounts.types.iter().filter_map(row).collect()
}

/// Warns of a run that found nothing to export: a mistyped date must not look like a finished restore.
pub(super) fn warn_of_nothing(report: &Report, kinds: &[ObjectType], ui: &Ui) {
    if report.accounts.types.values().all(|account| account.found == 0) {
        let tokens: Vec<&str> = kinds.iter().map(|kind| kind.token()).collect();
        let what = if tokens.len() < ObjectType::ALL.len() { tokens.join(" or ") } else { "object".to_owned() };
        ui.warn(&format!("nothing was exported: the archive has no {what} that this command chooses"));
    }
}
