//! The names of snapshots: the time at which each ended, and what tells two of one second apart.
//!
//! A name has to stay what it is whichever other snapshots are forgotten, so it follows from what is stored of the
//! snapshot alone: one that ended in the same second as another one before it has a fraction in its `ended`.

use super::index::{epoch, rfc3339};
use super::read::Snapshot;
use super::write::{Writer, now};
use crate::error::Result;
use std::collections::HashSet;

/// A snapshot that has ended, as a directory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Named {
    pub id: i64,
    /// `2026-11-30T06-00-00Z`, or `2026-11-30T06-00-00Z~12` for one that was not the first of its second.
    pub name: String,
    /// When it ended, in seconds since 1970.
    pub time: i64,
}

/// The snapshots that have ended, with their names.
pub fn named(snapshots: &[Snapshot]) -> Vec<Named> {
    let mut taken: HashSet<i64> = HashSet::new();
    let ended = snapshots.iter().filter(|snapshot| snapshot.state != "running");
    ended
        .filter_map(|snapshot| {
            let ended = snapshot.ended.as_deref()?;
            let time = epoch(ended);
            // No colons: rsync and scp would take what stands before one for a host.
            let name = rfc3339(time).replace(':', "-");
            // Vandelay 2.0.0 wrote no fractions; of such snapshots the first that is left has the time alone.
            let is_first = !ended.contains('.') && taken.insert(time);
            let name = if is_first { name } else { format!("{name}~{}", snapshot.id) };
            Some(Named { id: snapshot.id, name, time })
        })
        .collect()
}

impl Writer {
    /// Now, for the end of a run, as no other snapshot of the archive says it.
    pub(super) fn end(&self) -> Result<String> {
        let now = now();
        let second = now.trim_end_matches('Z');
        let sql = "SELECT ended FROM snapshots WHERE substr(ended, 1, 19) = ?1";
        let others = self.rows(sql, [second], |row| row.get::<_, String>(0))?;
        let fraction = |ended: &String| -> Option<u32> {
            let digits = ended.get(19..)?.strip_prefix('.')?.trim_end_matches('Z');
            digits.get(..3)?.parse().ok()
        };
        Ok(match others.iter().map(|ended| fraction(ended).unwrap_or(0)).max() {
            Some(last) => format!("{second}.{:03}Z", (last + 1).min(999)),
            None => now,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn snapshot(id: i64, ended: Option<&str>, state: &str) -> Snapshot {
        Snapshot {
            id,
            source_kind: None,
            source_url: None,
            account: None,
            started: String::new(),
            ended: ended.map(str::to_owned),
            state: state.to_owned(),
            counted: 0,
        }
    }

    #[test]
    fn names_do_not_depend_on_who_else_is_there() {
        let all = [
            snapshot(1, Some("2026-11-30T06:00:00Z"), "complete"),
            snapshot(3, Some("2026-11-30T06:00:00.001Z"), "partial"),
            snapshot(4, Some("2026-11-30T06:00:00.002Z"), "interrupted"),
            snapshot(5, Some("2026-11-30T06:00:01Z"), "complete"),
            snapshot(6, None, "running"),
        ];
        let names = named(&all);
        assert_eq!(
            names.iter().map(|one| one.name.as_str()).collect::<Vec<_>>(),
            ["2026-11-30T06-00-00Z", "2026-11-30T06-00-00Z~3", "2026-11-30T06-00-00Z~4", "2026-11-30T06-00-01Z"]
        );
        for left in 1..all.len() {
            for name in named(&all[left..]) {
                assert!(names.contains(&name), "{name:?}");
            }
        }
        // Those of 2.0.0 are told apart, too.
        let old = [
            snapshot(1, Some("2026-11-30T06:00:00Z"), "complete"),
            snapshot(2, Some("2026-11-30T06:00:00Z"), "complete"),
        ];
        assert_ne!(named(&old)[0].name, named(&old)[1].name);
    }
}
