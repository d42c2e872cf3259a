//! What `restore-check` says: objects that do not come back or are not the same, and the lines of the types.

use super::json;
use super::screen::Style;
use super::table::{Cell, Column, Table};
use super::ui::{Ui, quoted, thousands};
use super::words;
use crate::export::{Comparison, ComparisonCounts, Discrepancy, Side};
use crate::model::ObjectType;
use crate::proof::{Finding, Loss, Restored};
use crate::report::{reasons, sum};
use crate::tree::Tree;
use std::collections::BTreeMap;

/// So many objects of one sort are named, unless the user asks for all.
const NAMED: u64 = 20;

/// Names what there is little of, and counts the rest.
#[derive(Default)]
struct Samples {
    counts: BTreeMap<(&'static str, &'static str), u64>,
}

impl Samples {
    /// True if one more of this type and sort is to be named.
    fn takes(&mut self, ui: &Ui, kind: ObjectType, sort: &'static str) -> bool {
        let count = self.counts.entry((kind.token(), sort)).or_default();
        *count += 1;
        ui.verbose > 0 || *count <= NAMED
    }

    /// Says how many were not named.
    fn end(&self, ui: &Ui) {
        if ui.json || ui.verbose > 0 {
            return;
        }
        for ((token, sort), count) in self.counts.iter().filter(|(_, count)| **count > NAMED) {
            ui.line(&format!("… and {} more of {token}{sort} (-v names them)", thousands(count - NAMED)));
        }
    }
}

/// What does not come back.
#[derive(Default)]
pub(super) struct Losses {
    samples: Samples,
}

impl Losses {
    pub(super) fn tell(&mut self, ui: &Ui, finding: &Finding) {
        let token = finding.kind.token();
        if ui.json {
            ui.object(
                "loss",
                json::join(
                    json::object(finding.kind, Some(finding.row)),
                    serde_json::json!({ "path": finding.path, "what": finding.what, "loss": finding.loss }),
                ),
            );
            return;
        }
        let sort = match finding.loss {
            Loss::Damage => ", damaged",
            Loss::Conversion => ", with losses",
        };
        if self.samples.takes(ui, finding.kind, sort) {
            let place = finding.path.as_deref().map_or_else(|| format!("{token} {}", finding.row), quoted);
            ui.row(&format!("{place}: {}", finding.what));
        }
    }

    pub(super) fn end(&self, ui: &Ui) {
        self.samples.end(ui);
    }
}

/// Objects that are not the same in an account and in an archive.
pub(super) struct Differences<'t> {
    tree: &'t Tree,
    samples: Samples,
}

impl Differences<'_> {
    pub(super) fn new(tree: &Tree) -> Differences<'_> {
        Differences { tree, samples: Samples::default() }
    }

    pub(super) fn tell(&mut self, ui: &Ui, one: &Discrepancy) {
        let (mark, sort) = match one.side {
            Side::Account => ('+', ", only in the account"),
            Side::Archive => ('-', ", only in the archive"),
            Side::Both => ('~', ", different"),
        };
        let is_named = ui.json || self.samples.takes(ui, one.kind, sort);
        if !is_named {
            return;
        }
        // A path that cannot be made out says nothing about the difference.
        let paths = one.row.and_then(|row| self.tree.paths_of(one.kind, row).ok()).unwrap_or_default();
        let token = one.kind.token();
        if ui.json {
            ui.object(
                "mismatch",
                json::join(
                    json::object(one.kind, one.row),
                    serde_json::json!({
                        "path": paths.first(), "paths": paths, "label": one.label, "side": one.side, "differences": one.what,
                    }),
                ),
            );
            return;
        }
        let path = paths.first().map(|path| format!(" {}", quoted(path))).unwrap_or_default();
        let what = if one.what.is_empty() { String::new() } else { format!(" ({})", one.what.join("; ")) };
        ui.row(&format!("{mark} {token}{path} {}{what}", one.label));
    }

    pub(super) fn end(&self, ui: &Ui) {
        self.samples.end(ui);
    }
}

const RESTORED: [Column; 4] = [
    Column::text("TYPE", 20),
    Column::number("EXACT", 5),
    Column::number("WITH LOSSES", 11).unless_empty(),
    Column::number("DAMAGED", 7).unless_empty(),
];

/// How many objects of each type come back, and how.
pub(super) fn tell_restored(ui: &Ui, restored: &Restored) {
    if ui.quiet {
        return;
    }
    let some = |count: u64| if count > 0 { thousands(count) } else { String::new() };
    let table = Table::new(ui, &RESTORED);
    for (token, counts) in &restored.types {
        table.cells(vec![
            words::title_of(token).into(),
            thousands(counts.exact).into(),
            Cell::new(some(counts.lossy), Style::Warning),
            Cell::new(some(counts.damaged), Style::Error),
        ]);
    }
}

/// The lines of the types: how many objects are the same on both sides, and how many are not.
pub(super) fn tell_compared(ui: &Ui, comparison: &Comparison) {
    if ui.quiet {
        return;
    }
    for (token, counts) in &comparison.types {
        ui.line(&compared(token, counts));
    }
}

fn compared(token: &str, counts: &ComparisonCounts) -> String {
    let mut line = format!("{token}: {} the same", thousands(counts.same));
    for (count, what) in [
        (counts.differs, "different"),
        (counts.only_archive, "only in the archive"),
        (counts.only_account, "only in the account"),
    ] {
        if count > 0 {
            line.push_str(&format!(", {} {what}", thousands(count)));
        }
    }
    for (by_reason, what) in [(&counts.skipped, "not compared"), (&counts.failed, "unreadable")] {
        if sum(by_reason) > 0 {
            line.push_str(&format!(", {} {what}{}", thousands(sum(by_reason)), reasons(by_reason)));
        }
    }
    line
}
