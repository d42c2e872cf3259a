//! Lists snapshots, finds the one that a user names, and ends runs so that each snapshot has a name of its own.
//!
//! A name must not change when other snapshots are forgotten, so it follows from the row of the snapshot alone: a run that
//! ends in the same second as another one before it gets a fraction in its `ended`.

use super::clock;
use super::moment::{Moment, Snapshot, SnapshotSpec, exact};
use super::query;
use super::read::Reader;
use super::write::Writer;
use crate::error::{Error, ErrorKind, Result};
use crate::model::time::{epoch, now, rfc3339};
use crate::model::zone::local;
use rusqlite::OptionalExtension;

impl Reader {
    /// All snapshots, oldest first. Empty for an archive of 1.x.
    pub fn snapshots(&self) -> Result<Vec<Snapshot>> {
        if !self.has_history() {
            return Ok(Vec::new());
        }
        let mut snapshots: Vec<Snapshot> = self.with(|conn| {
            let sql = "SELECT n.id, CASE s.session_url WHEN 'files:' THEN 'files' ELSE s.kind END, s.session_url, coalesce(s.account_name, s.account_id), n.started, n.ended, n.state
                       FROM snapshots n LEFT JOIN sources s ON s.id = n.source_id ORDER BY n.id";
            query::rows(conn, sql, [], |row| {
                Ok(Snapshot {
                    id: row.get(0)?,
                    source_kind: row.get(1)?,
                    source_url: row.get(2)?,
                    account: row.get(3)?,
                    started: row.get(4)?,
                    ended: row.get(5)?,
                    state: row.get(6)?,
                    counted: 0,
                })
            })
        })?;
        let ended: Vec<&mut Snapshot> = snapshots.iter_mut().filter(|snapshot| snapshot.ended.is_some()).collect();
        let ends: Vec<i64> =
            ended.iter().map(|snapshot| epoch(snapshot.ended.as_deref().unwrap_or_default())).collect();
        for (snapshot, counted) in ended.into_iter().zip(clock::believed(&ends)) {
            snapshot.counted = counted;
        }
        Ok(snapshots)
    }

    /// When a snapshot ended, in seconds since 1970, or the first one after it that has.
    pub fn ended_from(&self, snapshot: i64) -> Result<Option<i64>> {
        if !self.has_history() {
            return Ok(None);
        }
        let sql = "SELECT ended FROM snapshots WHERE id >= ?1 AND ended IS NOT NULL ORDER BY id LIMIT 1";
        let ended = self
            .with(|conn| conn.prepare_cached(sql)?.query_row([snapshot], |row| row.get::<_, String>(0)).optional())?;
        Ok(ended.map(|ended| epoch(&ended)).filter(|time| *time > 0))
    }

    /// The accounting of a run; `None` if it was not written, or there is no such snapshot.
    pub fn report(&self, snapshot: i64) -> Result<Option<serde_json::Value>> {
        let text = self.with(|conn| {
            conn.prepare_cached("SELECT report FROM snapshots WHERE id = ?1")?
                .query_row([snapshot], |row| row.get::<_, Option<String>>(0))
                .optional()
        })?;
        Ok(text.flatten().and_then(|text| serde_json::from_str(&text).ok()))
    }

    /// The moment that the user means.
    pub fn resolve(&self, at: SnapshotSpec) -> Result<Moment> {
        if let SnapshotSpec::Id(id) = at
            && self.has_history()
            && self.require(Moment::Snapshot(id)).is_ok()
        {
            return Ok(Moment::Snapshot(id));
        }
        self.resolve_among(&self.snapshots()?, at)
    }

    /// The moment that the user means, by a caller that has the snapshots already.
    pub fn resolve_among(&self, snapshots: &[Snapshot], at: SnapshotSpec) -> Result<Moment> {
        let missing = |what: String| Error::new(ErrorKind::Usage, what).hint("'vandelay snapshots' lists all");
        match at {
            SnapshotSpec::Latest if !self.has_index() => Ok(Moment::Current),
            SnapshotSpec::Latest => {
                let ended =
                    snapshots.iter().rev().find(|snapshot| matches!(snapshot.state.as_str(), "complete" | "partial"));
                Ok(ended.or(snapshots.last()).map_or(Moment::Current, |snapshot| Moment::Snapshot(snapshot.id)))
            }
            SnapshotSpec::Id(id) => match exact(snapshots, at) {
                Some(snapshot) => Ok(Moment::Snapshot(snapshot.id)),
                None => Err(missing(format!("archive {} has no snapshot {id}", self.path.display()))),
            },
            SnapshotSpec::Directory { time, number } => match (exact(snapshots, at), number) {
                (Some(snapshot), _) => Ok(Moment::Snapshot(snapshot.id)),
                (None, None) => self.resolve_among(snapshots, SnapshotSpec::Time(time)),
                (None, Some(number)) => {
                    let name = rfc3339(time).replace(':', "-");
                    Err(missing(format!("archive {} has no snapshot {name}~{number}", self.path.display())))
                }
            },
            SnapshotSpec::Time(time) => snapshots
                .iter()
                .rev()
                .filter(|snapshot| snapshot.state != "running" && snapshot.ended.is_some())
                .find(|snapshot| snapshot.counted <= time)
                .map(|snapshot| Moment::Snapshot(snapshot.id))
                .ok_or_else(|| {
                    let (zone, path) = (local(), self.path.display());
                    let then = zone.at(time).strftime("%-d %b %Y %H:%M:%S");
                    missing(format!("archive {path} has no snapshot that had ended by {then} ({})", zone.name))
                }),
        }
    }
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
    use crate::archive::named;

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
        // The snapshots of Vandelay 2.0.0 have different names, too.
        let old = [
            snapshot(1, Some("2026-11-30T06:00:00Z"), "complete"),
            snapshot(2, Some("2026-11-30T06:00:00Z"), "complete"),
        ];
        assert_ne!(named(&old)[0].name, named(&old)[1].name);
    }
}
