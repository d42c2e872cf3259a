//! Snapshots, and the moment that a reader answers for: how a user names it, and what it is.

use crate::error::Result;
use crate::model::time::{epoch, rfc3339};
use jiff::civil::Date;
use jiff::tz::TimeZone;
use std::collections::HashSet;
use std::str::FromStr;

/// A snapshot as a user names it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SnapshotSpec {
    /// The newest snapshot that ended well.
    Latest,
    /// The snapshot with this number.
    Id(i64),
    /// The newest snapshot that had ended at this time, in seconds since 1970.
    Time(i64),
    /// The snapshot whose directory below `.snapshots` has this time for its name; else as `Time`.
    Directory(i64),
}

impl From<Moment> for SnapshotSpec {
    fn from(moment: Moment) -> SnapshotSpec {
        match moment {
            Moment::Current => SnapshotSpec::Latest,
            Moment::Snapshot(snapshot) => SnapshotSpec::Id(snapshot),
        }
    }
}

impl FromStr for SnapshotSpec {
    type Err = String;

    fn from_str(text: &str) -> Result<SnapshotSpec, String> {
        if text.eq_ignore_ascii_case("latest") {
            return Ok(SnapshotSpec::Latest);
        }
        if let Ok(id) = text.parse::<i64>() {
            return if id > 0 { Ok(SnapshotSpec::Id(id)) } else { Err("snapshot numbers start at 1".to_owned()) };
        }
        // As `.snapshots` spells it, without colons; with `~` and the number if another one ended in that second.
        if let Some((time, id)) = text.split_once('~')
            && let (Ok(SnapshotSpec::Directory(_)), Ok(id)) = (time.parse(), id.parse::<i64>())
        {
            return if id > 0 { Ok(SnapshotSpec::Id(id)) } else { Err("snapshot numbers start at 1".to_owned()) };
        }
        let spelt = text.split_once('T').map(|(day, time)| format!("{day}T{}", time.replace('-', ":")));
        let time = text.parse::<jiff::Timestamp>().or_else(|error| match &spelt {
            Some(spelt) if text.ends_with('Z') => spelt.parse(),
            _ => Err(error),
        });
        // A day means all of it, in UTC.
        let day = || text.parse::<Date>().ok()?.at(23, 59, 59, 0).to_zoned(TimeZone::UTC).ok();
        let is_directory = text.get(13..14) == Some("-") && text.ends_with('Z');
        match (time, day()) {
            (Ok(time), _) if is_directory => Ok(SnapshotSpec::Directory(time.as_second())),
            (Ok(time), _) => Ok(SnapshotSpec::Time(time.as_second())),
            (Err(_), Some(day)) if text.len() == 10 => Ok(SnapshotSpec::Time(day.timestamp().as_second())),
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
    /// `snapshots.id`: from 1 on, in the order of the runs, never given again.
    pub id: i64,
    /// `maildir`, `imap`, …; `None` where the source is not known any more.
    pub source_kind: Option<String>,
    /// `sources.session_url`: the server, or the path of a local source as a URL.
    pub source_url: Option<String>,
    /// The account's name at the source, else its id there.
    pub account: Option<String>,
    /// RFC 3339, UTC.
    pub started: String,
    /// The same form; `None` while the run lasts.
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
pub struct NamedSnapshot {
    /// `snapshots.id`.
    pub id: i64,
    /// `2026-11-30T06-00-00Z`, or `2026-11-30T06-00-00Z~12` for one that was not the first of its second.
    pub name: String,
    /// When it ended, in seconds since 1970.
    pub time: i64,
}

/// The snapshots that have ended, with their names.
pub fn named(snapshots: &[Snapshot]) -> Vec<NamedSnapshot> {
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
            Some(NamedSnapshot { id: snapshot.id, name, time })
        })
        .collect()
}
