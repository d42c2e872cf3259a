//! What `vandelay inspect ARCHIVE` says: the archive, its sources, the last backup, and how much there is of each type.

use super::args::ArchiveAt;
use super::json::{self, on_disk};
use super::opened::said as lacks;
use super::screen::Style;
use super::table::folded_at;
use super::ui::{Ui, bytes, counted, thousands};
use super::{when, words};
use crate::archive::{Moment, Reader, Snapshot, SnapshotSpec, Statistics, epoch};
use crate::error::Result;
use crate::model::ObjectType;
use std::collections::BTreeMap;

/// How wide the names of what is told are.
const NAMES: usize = 14;

/// The types that have a line of their own; those in the second place are told with those in the first.
const LINES: [(ObjectType, Option<(ObjectType, &str)>); 8] = [
    (ObjectType::Email, Some((ObjectType::Mailbox, "folder"))),
    (ObjectType::CalendarEvent, Some((ObjectType::Calendar, "calendar"))),
    (ObjectType::ContactCard, Some((ObjectType::AddressBook, "address book"))),
    (ObjectType::SieveScript, None),
    (ObjectType::FileNode, None),
    (ObjectType::Identity, None),
    (ObjectType::ParticipantIdentity, None),
    (ObjectType::VacationResponse, None),
];

/// Prints the summary of an archive, with the objects of a moment.
pub(super) fn print(reader: &Reader, (asked, moment): (&ArchiveAt, Moment), ui: &Ui) -> Result<()> {
    let mut counts = BTreeMap::new();
    for kind in ObjectType::ALL {
        counts.insert(kind, reader.count_records(kind, moment)?);
    }
    let (statistics, snapshots) = (reader.statistics()?, reader.snapshots()?);
    if ui.json {
        return print_json((reader, moment), &counts, &statistics, &snapshots, ui);
    }
    let screen = Lines { ui };
    screen.line("Archive", &[asked.archive.display().to_string()]);
    let history = match (snapshots.first(), snapshots.last()) {
        (Some(first), Some(last)) => {
            let period = when::period(ended(first), ended(last));
            format!("{} ({period})", counted(snapshots.len() as u64, "snapshot"))
        }
        _ if reader.has_history() => "no snapshots".to_owned(),
        _ => "made by vandelay 1.x, no snapshots yet".to_owned(),
    };
    screen.line("", &[bytes(statistics.file), history]);
    if let Some(last) = snapshots.last() {
        let times = format!("{} {}", when::weekday_time(ended(last)).replace("  ", " "), when::zone());
        let ago = ago(jiff::Timestamp::now().as_second() - ended(last));
        screen.line("Last backup", &[format!("{times} ({ago})"), last.state.clone()]);
    }
    for (kind, url, account) in reader.sources()? {
        screen.line("Source", &[format!("{kind} {url} ({account})")]);
    }
    if let Some(incomplete) = reader.incomplete()? {
        screen.line("Incomplete", &[lacks(&incomplete)]);
    }
    let is_now = match moment {
        Moment::Snapshot(snapshot) if asked.moment.at != SnapshotSpec::Latest => {
            screen.line("Shown", &[format!("the objects of snapshot {snapshot}; all else is as it is now")]);
            false
        }
        _ => true,
    };
    let mut none = Vec::new();
    for (kind, container) in LINES {
        let count = counts.get(&kind).copied().unwrap_or(0);
        let deleted = if is_now { reader.count_deleted(kind)? } else { 0 };
        let containers = container.map_or(0, |(kind, _)| counts.get(&kind).copied().unwrap_or(0));
        if count + deleted + containers == 0 && ui.verbose == 0 {
            none.push(words::title(kind).to_lowercase());
            continue;
        }
        let inside = match container {
            Some((_, noun)) if containers > 0 => format!("{} in {}", thousands(count), counted(containers, noun)),
            _ => thousands(count),
        };
        let mut words = vec![inside];
        if kind == ObjectType::Email && is_now && statistics.referenced > 0 {
            words.push(bytes(statistics.referenced));
        }
        if deleted > 0 {
            words.push(format!("deleted, still in history: {}", thousands(deleted)));
        }
        screen.line(words::title(kind), &words);
    }
    if !none.is_empty() {
        screen.line("None", &none);
    }
    if ui.verbose > 0 {
        let Statistics { blobs, bytes: stored, largest, .. } = statistics;
        let sizes = [format!("{} in all", bytes(stored)), format!("the largest {}", bytes(largest))];
        screen.line("Blobs", &[vec![thousands(blobs)], sizes.to_vec()].concat());
    }
    Ok(())
}

fn print_json(
    (reader, moment): (&Reader, Moment),
    counts: &BTreeMap<ObjectType, u64>,
    statistics: &Statistics,
    snapshots: &[Snapshot],
    ui: &Ui,
) -> Result<()> {
    let count = |kind: &ObjectType| counts.get(kind).copied().unwrap_or(0);
    let types: serde_json::Map<String, serde_json::Value> = ObjectType::ALL
        .iter()
        .map(|kind| (kind.token().to_owned(), serde_json::json!({ "count": count(kind) })))
        .collect();
    ui.object("summary", serde_json::json!({
        "archive": on_disk(reader.path()),
        "snapshot": json::snapshot(moment),
        "account": reader.account()?,
        "sources": reader.sources()?.iter().map(|(kind, url, account)| json::source(kind, Some(url), Some(account))).collect::<Vec<_>>(),
        "types": types,
        "blobs": statistics.blobs,
        "blobs_size": statistics.bytes,
        "largest_size": statistics.largest,
        "referenced_size": statistics.referenced,
        "file_size": statistics.file,
        "snapshots": snapshots.len(),
        "latest_snapshot": snapshots.last().map(|snapshot| snapshot.id),
        "incomplete": json::incomplete(reader.incomplete()?.as_ref()),
    }));
    Ok(())
}

/// Names on the left, and what is told of them on the right.
struct Lines<'u> {
    ui: &'u Ui,
}

impl Lines<'_> {
    /// Prints words behind a name, in as many lines as they need.
    fn line(&self, name: &str, words: &[String]) {
        let width = self.ui.width().saturating_sub(NAMES);
        for (at, line) in folded_at(&self.ui.shown(&words.join(", ")), width).into_iter().enumerate() {
            let name = if at == 0 { name } else { "" };
            let gap = " ".repeat(NAMES - name.len().min(NAMES));
            self.ui.spans(&[(Style::Head, name.to_owned()), (Style::Plain, gap + &line)]);
        }
    }
}

/// When a snapshot ended, or began if it did not.
fn ended(snapshot: &Snapshot) -> i64 {
    epoch(snapshot.ended.as_deref().unwrap_or(&snapshot.started))
}

/// `9 hours ago`
fn ago(seconds: i64) -> String {
    const UNITS: [(i64, &str); 4] = [(365 * 86_400, "year"), (86_400, "day"), (3_600, "hour"), (60, "minute")];
    let unit = UNITS.into_iter().find(|(length, _)| seconds >= *length);
    match unit {
        Some((length, noun)) => format!("{} ago", counted((seconds / length).unsigned_abs(), noun)),
        None if seconds >= 0 => "just now".to_owned(),
        None => "in the future: check the clock".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn how_long_ago_a_backup_was() {
        for (seconds, expected) in [
            (0, "just now"),
            (61, "1 minute ago"),
            (9 * 3_600 + 5, "9 hours ago"),
            (86_400, "1 day ago"),
            (800 * 86_400, "2 years ago"),
            (-5, "in the future: check the clock"),
        ] {
            assert_eq!(ago(seconds), expected);
        }
    }
}
