//! The numbers of an import or an export as a table: a row for each type, in which found is the sum of the cells before
//! it, and a line for what is not there.

use super::screen::Style;
use super::table::{Cell, Column, Table, report};
use super::ui::{Ui, thousands};
use super::words::{ORDER, title};
use crate::model::ObjectType;
use crate::report::sum;
use std::collections::BTreeMap;

/// So many reasons are named.
const REASONS: usize = 6;

/// The numbers of a type.
pub(super) struct Row {
    pub kind: ObjectType,
    pub found: u64,
    /// What is there now, by how it came there: one number for each head.
    pub there: [u64; 3],
    pub removed: u64,
    /// What is not there, and why.
    pub not_there: Vec<(u64, String)>,
    /// What else is to be known.
    pub notes: Vec<String>,
}

/// What becomes of a number of objects for these reasons: `skipped (2,019 not a calendar, 376 empty)`.
pub(super) fn by_reason(word: &str, reasons: &BTreeMap<String, u64>) -> (u64, String) {
    let mut all: Vec<(&String, &u64)> = reasons.iter().collect();
    all.sort_by_key(|(_, count)| std::cmp::Reverse(**count));
    let mut named: Vec<String> =
        all.iter().take(REASONS).map(|(reason, count)| format!("{} {reason}", thousands(**count))).collect();
    let others: u64 = all.iter().skip(REASONS).map(|(_, count)| **count).sum();
    if others > 0 {
        named.push(format!("{} for other reasons", thousands(others)));
    }
    // One reason has the number of all.
    let text = match (&all[..], named.is_empty()) {
        (_, true) => word.to_owned(),
        ([(reason, _)], _) => format!("{word} ({reason})"),
        _ => format!("{word} ({})", named.join(", ")),
    };
    (sum(reasons), text)
}

/// Prints the table. `heads`: of the types, of what is there, of what is not there.
pub(super) fn tell(ui: &Ui, heads: (&'static str, [&'static str; 3], &'static str), mut rows: Vec<Row>) {
    rows.retain(|row| row.found + row.removed > 0 || !row.notes.is_empty());
    rows.sort_by_key(|row| ORDER.iter().position(|kind| *kind == row.kind));
    let (of, there, not_there) = heads;
    let is_any = |number: fn(&Row) -> u64| rows.iter().any(|row| number(row) > 0);
    let (has_missing, has_removed) = (is_any(missing), is_any(|row| row.removed));
    let mut columns = vec![
        Column::text(of, 16).whole(),
        Column::number(there[0], 6),
        Column::number(there[1], 6),
        Column::number(there[2], 6).rank(1),
    ];
    if has_missing {
        columns.push(Column::number(not_there, 6).rank(3));
    }
    columns.push(Column::number("FOUND", 6));
    if has_removed {
        columns.push(Column::number("REMOVED", 6).rank(2));
    }
    let table = Table::new(ui, &columns);
    for row in &rows {
        let mut cells: Vec<Cell> = vec![title(row.kind).into()];
        cells.extend(row.there.map(number));
        cells.extend(has_missing.then(|| number(missing(row))));
        cells.push(number(row.found));
        cells.extend(has_removed.then(|| number(row.removed)));
        table.cells(cells);
    }
    table.end();
    for row in &rows {
        let missing = row.not_there.iter().filter(|(count, _)| *count > 0);
        let missing = missing.map(|(count, what)| format!("{} {what}", thousands(*count)));
        let parts: Vec<String> = missing.chain(row.notes.iter().cloned()).collect();
        if !parts.is_empty() {
            report(ui, &format!("{}: {}", title(row.kind), parts.join("; ")));
        }
    }
}

fn missing(row: &Row) -> u64 {
    row.not_there.iter().map(|(count, _)| count).sum()
}

/// A number of a table; none is a dot, so that what is there stands out.
fn number(count: u64) -> Cell {
    if count == 0 { Cell::new(".", Style::Faint) } else { thousands(count).into() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reasons_are_named_by_their_number() {
        let reasons = |all: &[(&str, u64)]| all.iter().map(|(reason, count)| ((*reason).to_owned(), *count)).collect();
        assert_eq!(by_reason("skipped", &reasons(&[])), (0, "skipped".to_owned()));
        assert_eq!(by_reason("skipped", &reasons(&[("empty", 7)])), (7, "skipped (empty)".to_owned()));
        let (count, text) = by_reason("skipped", &reasons(&[("empty", 376), ("not a calendar", 2_019)]));
        assert_eq!((count, text.as_str()), (2_395, "skipped (2,019 not a calendar, 376 empty)"));
        let many: Vec<(String, u64)> = (0..20).map(|number| (format!("reason {number:02}"), 1)).collect();
        let (count, text) = by_reason("failed", &many.into_iter().collect());
        assert!(count == 20 && text.ends_with("1 reason 05, 14 for other reasons)"), "{text}");
    }
}
