//! `vandelay snapshots`: the runs of an archive, and what each changed.

use super::json::{self, on_disk};
use super::opened::open_archive;
use super::screen::Style;
use super::table::{Cell, Column, Table, wrapped};
use super::ui::{Ui, bytes, counted, quoted, size, thousands};
use super::when;
use crate::archive::{Moment, Reader, Snapshot, SnapshotSpec, epoch};
use crate::error::Result;
use clap::Args;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

/// The columns of changes: a title, the types whose objects it counts, and its rank.
const CHANGES: [(&str, &[&str], u8); 7] = [
    ("MESSAGES", &["email"], 0),
    ("EVENTS", &["calendarevent"], 1),
    ("CONTACTS", &["contactcard"], 1),
    ("FILES", &["filenode"], 1),
    ("SCRIPTS", &["sievescript"], 1),
    ("FOLDERS", &["mailbox", "calendar", "addressbook"], 5),
    ("OTHER", &["identity", "participantidentity", "vacationresponse"], 4),
];

#[derive(Args)]
pub(crate) struct Snapshots {
    /// The archive
    archive: PathBuf,
}

/// A snapshot with what its run reported.
struct Row {
    snapshot: Snapshot,
    report: Value,
}

impl Snapshots {
    pub(crate) fn run(self, ui: &Ui) -> Result<()> {
        let reader = open_archive(&self.archive, ui)?;
        let snapshots = reader.snapshots()?;
        if ui.json {
            return print_json(&reader, &snapshots, ui);
        }
        if snapshots.is_empty() {
            ui.info(if reader.has_history() {
                "no snapshots yet"
            } else {
                "an archive of vandelay 1.x has no snapshots; the next import makes the first"
            });
            return Ok(());
        }
        let latest = reader.resolve_among(&snapshots, SnapshotSpec::Latest)?;
        let mut rows = Vec::new();
        for snapshot in snapshots {
            let report = reader.report(snapshot.id)?.unwrap_or_default();
            rows.push(Row { snapshot, report });
        }
        list(&rows, latest, ui);
        self.tell(&reader, &rows, latest, ui)
    }

    /// How many there are, and what to type next.
    fn tell(&self, reader: &Reader, rows: &[Row], latest: Moment, ui: &Ui) -> Result<()> {
        let count = counted(rows.len() as u64, "snapshot");
        let ends = (rows.first().map_or(0, Row::time), rows.last().map_or(0, Row::time));
        let size = bytes(reader.statistics()?.file);
        let archive = quoted(&self.archive.display().to_string());
        let before = rows.iter().rev().map(|row| row.snapshot.id).find(|id| Moment::Snapshot(*id) != latest);
        let next = match before {
            Some(before) => format!("What changed since {before}: vandelay diff {archive} {before}"),
            None => format!("What is in it: vandelay inspect {archive}"),
        };
        ui.info(&format!("{count}, {}, {size}. {next}", when::period(ends.0, ends.1)));
        Ok(())
    }
}

fn print_json(reader: &Reader, snapshots: &[Snapshot], ui: &Ui) -> Result<()> {
    for snapshot in snapshots {
        let source = snapshot
            .source_kind
            .as_deref()
            .map(|kind| json::source(kind, snapshot.source_url.as_deref(), snapshot.account.as_deref()));
        let object = serde_json::json!({
            "snapshot": snapshot.id, "started_at": json::time(&snapshot.started),
            "ended_at": snapshot.ended.as_deref().map(json::time), "state": snapshot.state, "source": source,
            "report": json::stored_report(reader.report(snapshot.id)?.as_ref()), "wrong_clock": snapshot.has_wrong_clock(),
        });
        ui.object("snapshot", object);
    }
    ui.object("summary", serde_json::json!({ "archive": on_disk(reader.path()), "count": snapshots.len() }));
    Ok(())
}

fn list(rows: &[Row], latest: Moment, ui: &Ui) {
    let of_types = |row: &Row, types: &[&str]| types.iter().fold([0; 3], |sum, token| add(sum, row.changes(token)));
    let is_used = |types: &[&str]| rows.iter().any(|row| of_types(row, types) != [0; 3]);
    let shown: Vec<_> = CHANGES.iter().filter(|(_, types, _)| is_used(types)).collect();
    let cells: Vec<Vec<String>> = shown
        .iter()
        .map(|(_, types, _)| aligned(&rows.iter().map(|row| of_types(row, types)).collect::<Vec<_>>()))
        .collect();
    let has_accounts = needs_accounts(rows);
    let mut columns = vec![
        Column::number("#", 3),
        Column::time("DATE").whole(),
        Column::number("TOOK", 4).rank(6),
        Column::text("SOURCE", 30).rank(2),
    ];
    columns.extend(shown.iter().map(|(title, _, rank)| Column::text(title, 40).whole().rank(*rank)));
    columns.extend([Column::number("SIZE", 4).rank(3), Column::text("NOTE", 40).whole()]);
    let table = Table::new(ui, &columns);
    let below = |words: &[String]| {
        wrapped(words, ",", ui.width().saturating_sub(6)).iter().for_each(|line| table.below(line));
    };
    for (at, row) in rows.iter().enumerate() {
        let mut line: Vec<Cell> = vec![
            row.snapshot.id.to_string().into(),
            when::fitting(row.time(), ui.width()).into(),
            row.took().into(),
            row.source(has_accounts).into(),
        ];
        line.extend(cells.iter().map(|cells| Cell::from(cells[at].as_str())));
        let (note, style) = row.note(latest);
        line.extend([Cell::from(row.size()), Cell::new(note, style)]);
        table.cells(line);
        below(&row.problems());
        if ui.verbose > 0 {
            below(&row.all_changes());
        }
    }
}

/// True if the kinds of the sources do not tell them apart.
fn needs_accounts(rows: &[Row]) -> bool {
    let mut accounts: BTreeMap<&str, BTreeSet<[&Option<String>; 2]>> = BTreeMap::new();
    for Row { snapshot, .. } in rows {
        let kind = snapshot.source_kind.as_deref().unwrap_or_default();
        accounts.entry(kind).or_default().insert([&snapshot.account, &snapshot.source_url]);
    }
    accounts.values().any(|accounts| accounts.len() > 1)
}

fn add(a: [u64; 3], b: [u64; 3]) -> [u64; 3] {
    [a[0] + b[0], a[1] + b[1], a[2] + b[2]]
}

/// `+15  ~20  -3` for each row, one below the other; `.` where nothing changed.
fn aligned(changes: &[[u64; 3]]) -> Vec<String> {
    let word = |sign: &str, count: u64| if count > 0 { format!("{sign}{}", thousands(count)) } else { String::new() };
    let words: Vec<[String; 3]> =
        changes.iter().map(|[new, changed, gone]| [word("+", *new), word("~", *changed), word("-", *gone)]).collect();
    let width = |part: usize| words.iter().map(|words| words[part].len()).max().unwrap_or(0);
    let widths = [width(0), width(1), width(2)];
    let line = |words: &[String; 3]| {
        let parts = words.iter().zip(widths).filter(|(_, width)| *width > 0);
        let line: Vec<String> = parts.map(|(word, width)| format!("{word:>width$}")).collect();
        if words.iter().all(String::is_empty) { ".".to_owned() } else { line.join(" ").trim_end().to_owned() }
    };
    words.iter().map(line).collect()
}

impl Row {
    /// The end, or the start of a run that goes on; seconds since 1970.
    fn time(&self) -> i64 {
        epoch(self.snapshot.ended.as_deref().unwrap_or(&self.snapshot.started))
    }

    /// `12 s`, `7 min`, `1 h 12 min`
    fn took(&self) -> String {
        let Some(ended) = &self.snapshot.ended else { return String::new() };
        match epoch(ended) - epoch(&self.snapshot.started) {
            // A clock that was put back.
            ..0 => String::new(),
            0 => "<1 s".to_owned(),
            seconds @ 1..60 => format!("{seconds} s"),
            seconds @ 60..3600 => format!("{} min", seconds / 60),
            seconds => format!("{} h {} min", seconds / 3600, seconds % 3600 / 60),
        }
    }

    fn source(&self, with_account: bool) -> String {
        let kind = self.snapshot.source_kind.as_deref().unwrap_or("-");
        match &self.snapshot.account {
            Some(account) if with_account => format!("{kind} {account}"),
            _ => kind.to_owned(),
        }
    }

    /// The size of what was stored new, if the run told it.
    fn size(&self) -> String {
        match self.report["bytes"].as_u64() {
            Some(0) => ".".to_owned(),
            stored => stored.map(|stored| format!("+{}", size(stored))).unwrap_or_default(),
        }
    }

    /// How many objects of a type the run added, changed and removed.
    fn changes(&self, token: &str) -> [u64; 3] {
        let stored = &self.report["types"][token]["stored"];
        [number(&stored["new"]), number(&stored["changed"]), number(&self.report["removed"][token])]
    }

    /// All types in which something changed.
    fn changed_types(&self) -> Vec<(&String, [u64; 3])> {
        let tokens = |name: &str| self.report[name].as_object().into_iter().flat_map(|all| all.keys());
        let types: BTreeSet<&String> = tokens("types").chain(tokens("removed")).collect();
        types.into_iter().map(|token| (token, self.changes(token))).filter(|(_, changes)| *changes != [0; 3]).collect()
    }

    /// `email +3 ~1 -2` for each type.
    fn all_changes(&self) -> Vec<String> {
        let word = |(token, [new, changed, gone]): (&String, [u64; 3])| format!("{token} +{new} ~{changed} -{gone}");
        self.changed_types().into_iter().map(word).collect()
    }

    /// How the run ended, where that is not as usual.
    fn note(&self, latest: Moment) -> (String, Style) {
        let Row { snapshot, report } = self;
        let is_complete = snapshot.state == "complete";
        let mut words = Vec::new();
        if latest == Moment::Snapshot(snapshot.id) {
            words.push("current");
        }
        if !is_complete {
            words.push(&snapshot.state);
        }
        if report["types"].is_object() && self.changed_types().is_empty() {
            // Only a run that saw everything knows that there is nothing new.
            words.push(if is_complete { "nothing new" } else { "nothing stored" });
        }
        let style = match words.is_empty() {
            true => Style::Plain,
            false if is_complete => Style::Faint,
            false => Style::Warning,
        };
        (words.join(", "), style)
    }

    /// What a run did not do, and a clock that was wrong.
    fn problems(&self) -> Vec<String> {
        let Row { snapshot, report } = self;
        let accounts = report["types"].as_object().into_iter().flatten();
        let failed: u64 = accounts
            .flat_map(|(_, account)| account["failed"].as_object().into_iter().flatten())
            .map(|(_, count)| number(count))
            .sum();
        let problems = [
            (failed, "failed"),
            (number(&report["scopes_failed"]), "not listed"),
            (number(&report["not_understood"]), "not understood"),
        ];
        let problems = problems.into_iter().filter(|(count, _)| *count > 0);
        let mut words: Vec<String> = problems.map(|(count, what)| format!("{} {what}", thousands(count))).collect();
        if snapshot.has_wrong_clock() {
            words.push("the clock was wrong".to_owned());
        }
        words
    }
}

fn number(value: &Value) -> u64 {
    value.as_u64().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn changes_stand_one_below_the_other() {
        let rows = [[10_062, 0, 0], [15, 20, 3], [0, 0, 0], [0, 0, 45]];
        assert_eq!(aligned(&rows), ["+10,062", "    +15 ~20  -3", ".", "            -45"]);
        assert_eq!(aligned(&[[1, 0, 0], [22, 0, 0]]), [" +1", "+22"]);
    }
}
