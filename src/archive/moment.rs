//! Snapshots, and the moment that a reader answers for: how a user names it, and what it is.

use crate::error::Result;
use crate::model::time::{epoch, rfc3339};
use crate::model::typed_time;
use jiff::Timestamp;
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
    /// The snapshot with this name below `.snapshots`. A name without a number that none has is read as `Time`.
    Directory {
        /// When it ended, in seconds since 1970.
        time: i64,
        /// Behind `~`: `snapshots.id`.
        number: Option<i64>,
    },
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

    /// Days, and times without an offset, are those of the local zone; a day or a minute means all of it.
    fn from_str(text: &str) -> Result<SnapshotSpec, String> {
        let text = text.trim();
        if text.eq_ignore_ascii_case("latest") {
            return Ok(SnapshotSpec::Latest);
        }
        if let Ok(id) = text.parse() {
            return number(id).map(SnapshotSpec::Id);
        }
        if let Some((time, id)) = directory(text) {
            let number = id.map(number).transpose()?;
            return Ok(SnapshotSpec::Directory { time, number });
        }
        let period = typed_time::parse(text).ok_or(
            "not a snapshot: use a number, a day (2026-11-21), a time ('2026-11-21 18:30'), 'yesterday', '2 weeks ago', or 'latest'",
        )?;
        Ok(SnapshotSpec::Time(period.last))
    }
}

fn number(id: i64) -> Result<i64, String> {
    if id > 0 { Ok(id) } else { Err("snapshot numbers start at 1".to_owned()) }
}

/// The second and the number in a name of `.snapshots`.
fn directory(text: &str) -> Option<(i64, Option<i64>)> {
    let (time, id) = match text.split_once('~') {
        Some((time, id)) => (time, Some(id.parse().ok()?)),
        None => (text, None),
    };
    // No colons: rsync and scp would take what stands before one for a host.
    let (day, clock) = time.split_once('T').filter(|(_, clock)| !clock.contains(':'))?;
    let spelt = format!("{day}T{}", clock.replace('-', ":"));
    let time = spelt.ends_with('Z').then(|| spelt.parse::<Timestamp>().ok())??;
    Some((time.as_second(), id))
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

/// The snapshot that a number or a name below `.snapshots` means, and no other.
pub fn exact(snapshots: &[Snapshot], spec: SnapshotSpec) -> Option<&Snapshot> {
    let id = match spec {
        SnapshotSpec::Id(id) => id,
        SnapshotSpec::Directory { time, number } => {
            let named = named(snapshots);
            let is_meant = |one: &&NamedSnapshot| number.map_or(!one.name.contains('~'), |number| one.id == number);
            named.iter().filter(|one| one.time == time).find(is_meant)?.id
        }
        SnapshotSpec::Latest | SnapshotSpec::Time(_) => return None,
    };
    snapshots.iter().find(|snapshot| snapshot.id == id)
}

/// The snapshots that have ended, with their names.
pub fn named(snapshots: &[Snapshot]) -> Vec<NamedSnapshot> {
    let mut taken: HashSet<i64> = HashSet::new();
    let ended = snapshots.iter().filter(|snapshot| snapshot.state != "running");
    ended
        .filter_map(|snapshot| {
            let ended = snapshot.ended.as_deref()?;
            let time = epoch(ended);
            let name = rfc3339(time).replace(':', "-");
            // Vandelay 2.0.0 wrote no fractions; of such snapshots the first that is left has the time alone.
            let is_first = !ended.contains('.') && taken.insert(time);
            let name = if is_first { name } else { format!("{name}~{}", snapshot.id) };
            Some(NamedSnapshot { id: snapshot.id, name, time })
        })
        .collect()
}
