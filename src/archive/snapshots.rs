//! Snapshots among themselves: what differs between two, and which to drop (restic's names and meaning).

use super::blob;
use super::clock;
use super::digest;
use super::moment::{Moment, Snapshot};
use super::read::Reader;
use super::rows_read::Record;
use super::write::Writer;
use crate::error::{Error, ErrorKind, Result};
use crate::model::{Id, ObjectType};
use jiff::tz::TimeZone;
use jiff::{Timestamp, Zoned};
use std::collections::{BTreeMap, BTreeSet};

/// How an object differs between two moments.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Difference {
    /// Only the second moment has it.
    Added,
    /// Only the first moment has it.
    Removed,
    /// Both have it, in different states.
    Changed,
}

/// Tells of every object that differs between two moments, type by type, by id: what it was, and what it is.
pub fn diff(
    reader: &Reader,
    from: Moment,
    to: Moment,
    mut each: impl FnMut(Difference, Option<&Record>, Option<&Record>) -> Result<()>,
) -> Result<()> {
    for kind in ObjectType::ALL {
        // Only ids and first snapshots are held of the older side; a row that has the same `first` has not changed.
        let mut old: BTreeMap<Id, i64> = BTreeMap::new();
        reader.each_record(kind, from, |record| {
            old.insert(record.id, record.first);
        })?;
        let mut found: Vec<(Id, Difference)> = Vec::new();
        reader.each_record(kind, to, |record| match old.remove(&record.id) {
            None => found.push((record.id, Difference::Added)),
            Some(first) if first != record.first => found.push((record.id, Difference::Changed)),
            Some(_) => {}
        })?;
        found.extend(old.into_keys().map(|id| (id, Difference::Removed)));
        found.sort_unstable_by_key(|(id, _)| *id);
        for (id, difference) in found {
            let before = if difference == Difference::Added { None } else { reader.record(kind, from, id)? };
            let after = if difference == Difference::Removed { None } else { reader.record(kind, to, id)? };
            // Changed there and back in between: the two moments show the same.
            if before.as_ref().zip(after.as_ref()).is_some_and(|(before, after)| before.shows_same(after)) {
                continue;
            }
            each(difference, before.as_ref(), after.as_ref())?;
        }
    }
    Ok(())
}

/// Which snapshots to keep. A snapshot is kept if any of the rules wants it. Those of periods count the
/// periods that have a snapshot, from the newest one back, and keep the newest snapshot of each. 0 turns a rule off.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Policy {
    /// How many of the newest snapshots.
    pub last: u32,
    /// How many hours.
    pub hourly: u32,
    /// How many days.
    pub daily: u32,
    /// How many weeks (ISO 8601).
    pub weekly: u32,
    /// How many months.
    pub monthly: u32,
    /// How many years.
    pub yearly: u32,
    /// Those from this length of time before the newest one on.
    pub within: Option<Span>,
}

/// A length of time, in the calendar's units: `1y5m7d2h`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Span {
    /// Calendar years (`y`).
    pub years: i32,
    /// Calendar months (`m`).
    pub months: i32,
    /// Days (`d`), as long as the calendar makes them.
    pub days: i32,
    /// Hours (`h`).
    pub hours: i32,
}

impl std::str::FromStr for Span {
    type Err = String;

    fn from_str(text: &str) -> Result<Span, String> {
        let mut span = Span::default();
        let mut digits = String::new();
        for character in text.trim().chars() {
            if character.is_ascii_digit() {
                digits.push(character);
                continue;
            }
            let number: i32 = digits.parse().map_err(|_| "not a duration like 1y5m7d2h".to_owned())?;
            digits.clear();
            let field = match character {
                'y' => &mut span.years,
                'm' => &mut span.months,
                'd' => &mut span.days,
                'h' => &mut span.hours,
                _ => return Err("units are y, m, d and h".to_owned()),
            };
            *field = number;
        }
        if digits.is_empty() && span != Span::default() {
            Ok(span)
        } else {
            Err("not a duration like 1y5m7d2h".to_owned())
        }
    }
}

/// A number for the period (an hour, a day, …) that a time lies in.
type Period = fn(&Zoned) -> (i64, i64);

impl Policy {
    /// True if no rule keeps anything.
    pub fn is_empty(&self) -> bool {
        *self == Policy::default()
    }

    /// The snapshots to keep, of those given as number and end in seconds since 1970, each with the rules that want it.
    /// Their order is that of their numbers, and each counts as of the time that can be believed (`clock.rs`). One whose
    /// clock was wrong takes no other's place.
    /// Hours, days, weeks (ISO 8601), months and years are those of `zone`. The newest one is kept in any case.
    pub fn keep(&self, snapshots: &[(i64, i64)], zone: &TimeZone) -> BTreeMap<i64, Vec<&'static str>> {
        let mut kept: BTreeMap<i64, Vec<&'static str>> = BTreeMap::new();
        let mut by_number = snapshots.to_vec();
        by_number.sort_unstable();
        let ends: Vec<i64> = by_number.iter().map(|(_, end)| *end).collect();
        let newest_first: Vec<(i64, Zoned, bool)> = by_number
            .iter()
            .zip(clock::believed(&ends))
            .rev()
            .filter_map(|((id, said), end)| {
                Some((*id, Timestamp::from_second(end).ok()?.to_zoned(zone.clone()), *said == end))
            })
            .collect();
        for (id, ..) in newest_first.iter().take(self.last as usize) {
            kept.entry(*id).or_default().push("last");
        }
        let rules: [(&'static str, u32, Period); 5] = [
            ("hourly", self.hourly, |time| (day_number(time), i64::from(time.hour()))),
            ("daily", self.daily, |time| (day_number(time), 0)),
            ("weekly", self.weekly, |time| {
                let week = time.date().iso_week_date();
                (i64::from(week.year()), i64::from(week.week()))
            }),
            ("monthly", self.monthly, |time| (i64::from(time.year()), i64::from(time.month()))),
            ("yearly", self.yearly, |time| (i64::from(time.year()), 0)),
        ];
        for (name, count, period) in rules {
            // The newest snapshot of each of the last `count` periods that have one.
            let mut last = None;
            let mut left = count;
            for (id, time, is_believed) in &newest_first {
                let this = period(time);
                if left == 0 {
                    break;
                }
                if last != Some(this) {
                    kept.entry(*id).or_default().push(name);
                    // A snapshot of a wrong clock takes the place of no other: the next one of the period is kept, too.
                    if *is_believed {
                        last = Some(this);
                        left -= 1;
                    }
                }
            }
        }
        if let (Some(span), Some((_, newest, _))) = (self.within, newest_first.first()) {
            // A length beyond all calendars is all of the time.
            let length = jiff::Span::new()
                .try_years(span.years)
                .and_then(|length| length.try_months(span.months))
                .and_then(|length| length.try_days(span.days))
                .and_then(|length| length.try_hours(span.hours));
            let from = length.ok().and_then(|length| newest.checked_sub(length).ok());
            for (id, ..) in newest_first.iter().filter(|(_, time, _)| from.as_ref().is_none_or(|from| time >= from)) {
                kept.entry(*id).or_default().push("within");
            }
        }
        if let Some((newest, _)) = by_number.last() {
            kept.entry(*newest).or_insert_with(|| vec!["newest"]);
        }
        kept
    }
}

/// Adds the last complete snapshot of each source to those that are kept, whatever the rules say.
pub fn keep_last_complete(kept: &mut BTreeMap<i64, Vec<&'static str>>, snapshots: &[Snapshot]) {
    for one in last_complete(snapshots) {
        kept.entry(one.id).or_insert_with(|| vec!["last complete"]);
    }
}

/// The last complete snapshot of each source.
pub fn last_complete(snapshots: &[Snapshot]) -> Vec<&Snapshot> {
    let mut last = BTreeMap::new();
    for one in snapshots.iter().filter(|one| one.source_kind.is_some() && one.state == "complete") {
        let newest = last.entry((&one.source_kind, &one.source_url, &one.account)).or_insert(one);
        *newest = if one.id > newest.id { one } else { newest };
    }
    last.into_values().collect()
}

fn day_number(time: &Zoned) -> i64 {
    i64::from(time.year()) * 366 + i64::from(time.day_of_year())
}

/// How much [`Writer::forget`] removed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Serialize)]
pub struct Forgotten {
    /// Lines of `snapshots`.
    pub snapshots: u64,
    /// Former states of objects.
    pub states: u64,
    /// Blobs that nothing referred to any more.
    pub blobs: u64,
    /// Bytes of these blobs.
    pub bytes: u64,
}

impl Writer {
    /// Drops snapshots, then every former state that no snapshot shows any more, then every blob that nothing refers
    /// to. The current state always stays. All in one transaction.
    pub fn forget(&mut self, drop: &BTreeSet<i64>) -> Result<Forgotten> {
        self.forget_while(drop, &mut |_, _| true)
    }

    /// The same, as long as `watch` gives true, which hears of blobs done and blobs to do.
    ///
    /// Errors with [`Interrupted`](ErrorKind::Interrupted) once it does not; nothing was changed then.
    pub fn forget_while(&mut self, drop: &BTreeSet<i64>, watch: &mut dyn FnMut(u64, u64) -> bool) -> Result<Forgotten> {
        self.begin()?;
        let mut forgotten = Forgotten::default();
        for id in drop {
            forgotten.snapshots += self.execute("DELETE FROM snapshots WHERE id = ?1", [id])? as u64;
            self.execute("DELETE FROM row_digests WHERE kind = 'snapshots' AND id = ?1", [id])?;
        }
        // No other object gets a number that was given once, also when no row is left that had it.
        self.execute("INSERT OR REPLACE INTO last_ids (kind, id) SELECT kind, max(id) FROM (SELECT kind, id FROM last_ids UNION ALL SELECT kind, id FROM history) GROUP BY kind", [])?;
        self.digest_all_of("last_ids")?;
        // A state is shown by the snapshots from `first` up to `last` without it.
        let unseen = "NOT EXISTS (SELECT 1 FROM snapshots s WHERE s.id >= first AND s.id < last)";
        forgotten.states = self.execute(&format!("DELETE FROM history WHERE {unseen}"), [])? as u64;
        self.execute(&format!("DELETE FROM email_index WHERE last IS NOT NULL AND {unseen}"), [])?;
        digest::note_totals(&self.conn).map_err(|error| self.explain(error))?;
        (forgotten.blobs, forgotten.bytes) = match self.collect_blobs(watch) {
            Ok(collected) => collected,
            Err(error) => {
                self.rollback();
                return Err(error);
            }
        };
        self.commit()?;
        Ok(forgotten)
    }

    /// Deletes blobs that neither the current state nor the history refers to. Gives their number and bytes.
    fn collect_blobs(&mut self, watch: &mut dyn FnMut(u64, u64) -> bool) -> Result<(u64, u64)> {
        let interrupted = || Error::new(ErrorKind::Interrupted, "interrupted; no snapshot was forgotten");
        self.run_sql(
            "CREATE TEMP TABLE IF NOT EXISTS used (id INTEGER PRIMARY KEY); DELETE FROM used;
             INSERT OR IGNORE INTO used SELECT blob_id FROM emails;
             INSERT OR IGNORE INTO used SELECT blob_id FROM sieve_scripts;
             INSERT OR IGNORE INTO used SELECT blob_id FROM file_nodes WHERE blob_id IS NOT NULL;
             INSERT OR IGNORE INTO used SELECT blob_id FROM originals;
             INSERT OR IGNORE INTO used SELECT blob_id FROM history WHERE blob_id IS NOT NULL;
             INSERT OR IGNORE INTO used SELECT original_id FROM history WHERE original_id IS NOT NULL;",
        )?;
        let mut inside = BTreeSet::new();
        for sql in [
            "SELECT data FROM contact_cards WHERE instr(data, '@blob')",
            "SELECT data FROM calendar_events WHERE instr(data, '@blob')",
            "SELECT fields FROM history WHERE kind IN ('ContactCard', 'CalendarEvent') AND instr(fields, '@blob')",
        ] {
            for text in self.rows(sql, [], |row| row.get::<_, String>(0))? {
                blobs_in_text(&text, &mut inside);
            }
        }
        for id in inside {
            self.execute("INSERT OR IGNORE INTO used VALUES (?1)", [id])?;
        }
        let unused =
            self.rows("SELECT id FROM blobs WHERE id NOT IN (SELECT id FROM used)", [], |row| row.get::<_, Id>(0))?;
        let mut bytes = 0;
        if !watch(0, unused.len() as u64) {
            return Err(interrupted());
        }
        for (done, id) in (1..).zip(&unused) {
            bytes += blob::find(&self.conn, *id).map_err(|error| self.explain(error))?.map_or(0, |blob| blob.size);
            self.execute("DELETE FROM blob_chunks WHERE blob_id = ?1", [id])?;
            self.execute("DELETE FROM large_blobs WHERE blob_id = ?1", [id])?;
            self.execute("DELETE FROM blobs WHERE id = ?1", [id])?;
            if !watch(done, unused.len() as u64) {
                return Err(interrupted());
            }
        }
        Ok((unused.len() as u64, bytes))
    }
}

/// Every number under a key `@blob`, at any depth; also in JSON that stands as text inside of JSON.
pub(super) fn blobs_in_text(text: &str, found: &mut BTreeSet<Id>) {
    let mut rest = text;
    while let Some(at) = rest.find("@blob") {
        rest = &rest[at + 5..];
        let tail = rest.trim_start_matches(['\\', '"', ' ', '\t', '\n', '\r', ':']);
        let digits: String = tail.chars().take_while(char::is_ascii_digit).take(19).collect();
        found.extend(digits.parse::<Id>());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> i64 {
        text.parse::<Timestamp>().unwrap().as_second()
    }

    #[test]
    fn the_last_complete_snapshot_of_each_source_stays() {
        let snapshot = |id: i64, kind: &str, state: &str| Snapshot {
            id,
            source_kind: Some(kind.to_owned()),
            source_url: None,
            account: None,
            started: String::new(),
            ended: Some(String::new()),
            state: state.to_owned(),
            counted: id,
        };
        let kept = |runs: &[(&str, &str)], kept: &[i64]| {
            let runs: Vec<Snapshot> = (1..).zip(runs).map(|(id, (kind, state))| snapshot(id, kind, state)).collect();
            let mut all = kept.iter().map(|id| (*id, vec!["daily"])).collect();
            keep_last_complete(&mut all, &runs);
            all.into_keys().collect::<Vec<_>>()
        };
        assert_eq!(kept(&[("imap", "complete"), ("dav", "complete")], &[2]), [1, 2]);
        assert_eq!(kept(&[("imap", "complete"), ("imap", "complete"), ("imap", "partial")], &[3]), [2, 3]);
        assert_eq!(kept(&[("imap", "complete"), ("dav", "complete"), ("imap", "interrupted")], &[3]), [1, 2, 3]);
        assert_eq!(kept(&[("imap", "partial"), ("imap", "partial")], &[2]), [2]);
    }

    #[test]
    fn the_newest_of_each_period_is_kept() {
        let snapshots = [
            (1, at("2024-12-31T23:00:00Z")),
            (2, at("2025-01-01T01:00:00Z")),
            (3, at("2025-01-01T01:30:00Z")),
            (4, at("2025-02-10T10:00:00Z")),
            (5, at("2025-02-11T10:00:00Z")),
        ];
        let keep = |policy: Policy| policy.keep(&snapshots, &TimeZone::UTC).into_keys().collect::<Vec<_>>();
        assert_eq!(keep(Policy { last: 2, ..Policy::default() }), [4, 5]);
        assert_eq!(keep(Policy { hourly: 3, ..Policy::default() }), [3, 4, 5]);
        assert_eq!(keep(Policy { daily: 9, ..Policy::default() }), [1, 3, 4, 5]);
        assert_eq!(keep(Policy { weekly: 2, ..Policy::default() }), [3, 5]);
        assert_eq!(keep(Policy { monthly: 2, ..Policy::default() }), [3, 5]);
        assert_eq!(keep(Policy { yearly: 9, ..Policy::default() }), [1, 5]);
        assert_eq!(keep(Policy { within: Some("1m10d10h".parse().unwrap()), ..Policy::default() }), [2, 3, 4, 5]);
        assert_eq!(keep(Policy::default()), [5]);
    }

    #[test]
    fn a_wrong_clock_neither_keeps_nor_drops() {
        let mut snapshots: Vec<(i64, i64)> =
            (1..=9).map(|day| (day, at(&format!("2026-03-0{day}T06:00:00Z")))).collect();
        snapshots[3].1 = at("2036-01-01T06:00:00Z");
        snapshots.push((10, at("2020-01-01T00:00:00Z")));
        let keep = |policy: Policy| policy.keep(&snapshots, &TimeZone::UTC).into_keys().collect::<Vec<_>>();
        assert_eq!(keep(Policy { last: 2, ..Policy::default() }), [9, 10]);
        assert_eq!(keep(Policy { daily: 3, ..Policy::default() }), [7, 8, 9, 10]);
        assert_eq!(keep(Policy { within: Some("2d".parse().unwrap()), ..Policy::default() }), [7, 8, 9, 10]);
        assert_eq!(keep(Policy { yearly: 5, ..Policy::default() }), [9, 10]);
        for all in ["99999y", "240000m", "7304485d", "2147483647h"] {
            let within = Some(all.parse().unwrap());
            assert_eq!(keep(Policy { within, ..Policy::default() }).len(), 10, "{all}");
        }
    }

    #[test]
    fn durations() {
        assert_eq!("1y5m7d2h".parse(), Ok(Span { years: 1, months: 5, days: 7, hours: 2 }));
        for text in ["", "5", "d", "5w", "-1d"] {
            assert!(text.parse::<Span>().is_err(), "{text}");
        }
    }

    #[test]
    fn blobs_are_seen_through_quotes() {
        let mut found = BTreeSet::new();
        blobs_in_text(r#"{"a":{"@blob":12},"data":"{\"x\":[{\"@blob\": 7}]}","@blob":"none"}"#, &mut found);
        assert_eq!(found.into_iter().collect::<Vec<_>>(), [7, 12]);
    }
}
