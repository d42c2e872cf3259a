//! Snapshots, what a user calls them, and their names: the time at which each ended, and what tells two of one second apart.
//!
//! A name has to stay what it is whichever other snapshots are forgotten, so it follows from what is stored of the
//! snapshot alone: one that ended in the same second as another one before it has a fraction in its `ended`.

use super::clock;
use super::index::{epoch, rfc3339};
use super::read::Reader;
use super::write::{Writer, now};
use crate::error::{Error, ErrorKind, Result};
use rusqlite::OptionalExtension;
use std::collections::HashSet;
use std::str::FromStr;

/// What the user asked to see.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum At {
    /// The newest snapshot that ended well.
    Latest,
    /// The snapshot with this number.
    Id(i64),
    /// The newest snapshot that had ended at this time, in seconds since 1970.
    Time(i64),
    /// The snapshot whose directory below `.snapshots` has this time for its name; else as `Time`.
    Directory(i64),
}

impl FromStr for At {
    type Err = String;

    fn from_str(text: &str) -> Result<At, String> {
        if text.eq_ignore_ascii_case("latest") {
            return Ok(At::Latest);
        }
        if let Ok(id) = text.parse::<i64>() {
            return if id > 0 { Ok(At::Id(id)) } else { Err("snapshot numbers start at 1".to_owned()) };
        }
        // As `.snapshots` spells it, without colons; with `~` and the number if another one ended in that second.
        if let Some((time, id)) = text.split_once('~')
            && let (Ok(At::Directory(_)), Ok(id)) = (time.parse(), id.parse::<i64>())
        {
            return if id > 0 { Ok(At::Id(id)) } else { Err("snapshot numbers start at 1".to_owned()) };
        }
        let spelt = text.split_once('T').map(|(day, time)| format!("{day}T{}", time.replace('-', ":")));
        let time = text.parse::<jiff::Timestamp>().or_else(|error| match &spelt {
            Some(spelt) if text.ends_with('Z') => spelt.parse(),
            _ => Err(error),
        });
        // A day means all of it, in UTC.
        let day = || text.parse::<jiff::civil::Date>().ok()?.at(23, 59, 59, 0).to_zoned(jiff::tz::TimeZone::UTC).ok();
        let is_directory = text.get(13..14) == Some("-") && text.ends_with('Z');
        match (time, day()) {
            (Ok(time), _) if is_directory => Ok(At::Directory(time.as_second())),
            (Ok(time), _) => Ok(At::Time(time.as_second())),
            (Err(_), Some(day)) if text.len() == 10 => Ok(At::Time(day.timestamp().as_second())),
            _ => Err("not a snapshot: use a number, a day (2026-11-21), a time (2026-11-21T18:30:00Z) or 'latest'"
                .to_owned()),
        }
    }
}

/// A state of the archive that can be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Moment {
    /// The content tables as they are (archives without history).
    Current,
    /// The snapshot with this number.
    Snapshot(i64),
}

/// A line of `snapshots`.
#[derive(Debug, Clone)]
pub struct Snapshot {
    pub id: i64,
    /// `maildir`, `imap`, …; `None` where the source is not known any more.
    pub source_kind: Option<String>,
    pub source_url: Option<String>,
    pub account: Option<String>,
    /// RFC 3339, UTC.
    pub started: String,
    pub ended: Option<String>,
    /// `running`, `complete`, `partial` or `interrupted`.
    pub state: String,
    /// The end that counts, in seconds since 1970: another one than `ended` where the clock was wrong
    /// (`clock.rs`).
    pub counted: i64,
}

impl Snapshot {
    /// True if its end does not fit between those of its neighbours.
    pub fn has_wrong_clock(&self) -> bool {
        self.ended.as_deref().is_some_and(|ended| epoch(ended) != self.counted)
    }
}

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

impl Reader {
    /// All snapshots, oldest first. Empty for an archive of 1.x.
    pub fn snapshots(&self) -> Result<Vec<Snapshot>> {
        if !self.has_history() {
            return Ok(Vec::new());
        }
        let mut snapshots: Vec<Snapshot> = self.with(|conn| {
            conn.prepare_cached(
                "SELECT n.id, s.kind, s.session_url, coalesce(s.account_name, s.account_id), n.started, n.ended, n.state
                 FROM snapshots n LEFT JOIN sources s ON s.id = n.source_id ORDER BY n.id",
            )?
            .query_map([], |row| {
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
            })?
            .collect()
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
    pub fn resolve(&self, at: At) -> Result<Moment> {
        if let At::Id(id) = at
            && self.has_history()
            && self.require(Moment::Snapshot(id)).is_ok()
        {
            return Ok(Moment::Snapshot(id));
        }
        self.resolve_among(&self.snapshots()?, at)
    }

    /// The moment that the user means, by a caller that has the snapshots already.
    pub fn resolve_among(&self, snapshots: &[Snapshot], at: At) -> Result<Moment> {
        let missing = |what: String| Error::new(ErrorKind::Usage, what).hint("'vandelay snapshots' lists all");
        match at {
            At::Latest if !self.has_index() => Ok(Moment::Current),
            At::Latest => {
                let ended =
                    snapshots.iter().rev().find(|snapshot| matches!(snapshot.state.as_str(), "complete" | "partial"));
                Ok(ended.or(snapshots.last()).map_or(Moment::Current, |snapshot| Moment::Snapshot(snapshot.id)))
            }
            At::Id(id) => match snapshots.iter().find(|snapshot| snapshot.id == id) {
                Some(snapshot) => Ok(Moment::Snapshot(snapshot.id)),
                None => Err(missing(format!("archive {} has no snapshot {id}", self.path.display()))),
            },
            At::Directory(time) => {
                let named = super::moments::named(snapshots);
                match named.iter().find(|one| one.time == time && !one.name.contains('~')) {
                    Some(one) => Ok(Moment::Snapshot(one.id)),
                    None => self.resolve_among(snapshots, At::Time(time)),
                }
            }
            At::Time(time) => snapshots
                .iter()
                .rev()
                .filter(|snapshot| snapshot.state != "running" && snapshot.ended.is_some())
                .find(|snapshot| snapshot.counted <= time)
                .map(|snapshot| Moment::Snapshot(snapshot.id))
                .ok_or_else(|| {
                    missing(format!("archive {} has no snapshot that had ended by then", self.path.display()))
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
