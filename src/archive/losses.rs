//! How much several runs removed together: how much a snapshot of some days ago had, and how much of it is gone.

use super::clock;
use super::query;
use super::schema::Table;
use crate::model::ObjectType;
use crate::model::time::epoch;
use rusqlite::{Connection, OptionalExtension, params};

/// How many days are looked at together.
pub const DAYS: i64 = 7;

/// How many objects of a type have left the current state since a snapshot.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Losses {
    /// The snapshot.
    pub since: i64,
    /// When it ended, RFC 3339.
    pub ended: String,
    /// How many objects of the type it had.
    pub had: u64,
    /// How many of them are gone.
    pub gone: u64,
}

/// The losses of a type since the oldest whole snapshot of the last [`DAYS`], or since a run that was allowed to remove
/// everything. `None` without such a snapshot.
pub(super) fn losses(conn: &Connection, kind: ObjectType) -> rusqlite::Result<Option<Losses>> {
    let Some((since, ended)) = begin(conn)? else { return Ok(None) };
    let table = Table::of(kind).name;
    let shown = format!(
        "SELECT count(*) FROM {table} t LEFT JOIN since s ON s.kind = ?1 AND s.id = t.id WHERE coalesce(s.first, 0) <= ?2"
    );
    let former = "SELECT count(*) FROM history WHERE kind = ?1 AND first <= ?2 AND last > ?2";
    let gone = format!("{former} AND id NOT IN (SELECT id FROM {table})");
    let count = |sql: &str| conn.query_row(sql, params![kind.name(), since], |row| row.get::<_, i64>(0));
    let had = count(&shown)? + count(former)?;
    Ok(Some(Losses { since, ended, had: had.max(0) as u64, gone: count(&gone)?.max(0) as u64 }))
}

/// The snapshot from which on losses count: number and end.
fn begin(conn: &Connection) -> rusqlite::Result<Option<(i64, String)>> {
    let allowed = "SELECT max(id) FROM snapshots WHERE report ->> '$.max_delete' >= 1";
    let allowed: Option<i64> = conn.query_row(allowed, [], |row| row.get(0)).optional()?.flatten();
    let sql =
        "SELECT id, ended FROM snapshots WHERE state IN ('complete', 'partial') AND ended IS NOT NULL ORDER BY id";
    let whole: Vec<(i64, String)> = query::rows(conn, sql, [], |row| Ok((row.get(0)?, row.get(1)?)))?;
    let ends = clock::believed(&whole.iter().map(|(_, ended)| epoch(ended)).collect::<Vec<_>>());
    let from = ends.last().map_or(0, |newest| newest - DAYS * 86_400);
    let counts = |((id, _), end): &(&(i64, String), &i64)| **end >= from && *id >= allowed.unwrap_or(0);
    Ok(whole.iter().zip(&ends).find(counts).map(|(snapshot, _)| snapshot.clone()))
}
