//! What Vandelay 1.x did to the archive between our runs (FORMAT.md, "After 1.x").
//!
//! 1.x keeps our tables and does not know them. It removes and changes rows, and numbers new ones `max(id) + 1`: a number
//! that we never give twice it may give to another object. Digests tell ([`super::digest`]).

use super::digest::{self, Digested};
use super::index;
use super::schema::TABLES;
use crate::model::{Id, Kind};
use rusqlite::{Connection, OptionalExtension, params};

/// Forgets what was known of items whose row is gone or is another object now, and makes the next listing of every scope
/// a whole one: of the other items it is not known whether their rows still say what they say.
pub fn forget_origins(conn: &Connection) -> rusqlite::Result<()> {
    for table in &TABLES {
        let name = table.kind.name();
        let mut forget = conn.prepare(
            "DELETE FROM origins WHERE local_id = ?2 AND scope_id IN (SELECT id FROM scopes WHERE kind = ?1)",
        )?;
        for id in Digested::content(table.kind).other_objects(conn)? {
            forget.execute(params![name, id])?;
        }
    }
    forget_lost_items(conn)?;
    // No list of keywords is empty text: every item will be compared with its row, which 1.x may have changed.
    conn.execute("UPDATE origins SET keywords = '' WHERE scope_id IN (SELECT id FROM scopes WHERE key <> '')", [])?;
    conn.execute("UPDATE scopes SET cursor = ''", [])?;
    digest::digest_table(conn, "scopes")
}

/// Forgets items whose row is gone, so that the source is asked for them again; gives their number.
pub fn forget_lost_items(conn: &Connection) -> rusqlite::Result<u64> {
    let mut lost = 0;
    for table in &TABLES {
        let is_lost = format!(
            "local_id NOT IN (SELECT id FROM {}) AND scope_id IN (SELECT id FROM scopes WHERE kind = '{}')",
            table.name,
            table.kind.name()
        );
        let scopes: Vec<i64> = conn
            .prepare(&format!("SELECT DISTINCT scope_id FROM origins WHERE {is_lost}"))?
            .query_map([], |row| row.get(0))?
            .collect::<rusqlite::Result<_>>()?;
        if scopes.is_empty() {
            continue;
        }
        lost += conn.execute(&format!("DELETE FROM origins WHERE {is_lost}"), [])? as u64;
        for scope in scopes {
            // A listing of changes would not name them.
            conn.execute("UPDATE scopes SET cursor = '' WHERE id = ?1", [scope])?;
            digest::digest_row(conn, "scopes", scope)?;
        }
        if table.kind == Kind::Email {
            conn.execute("DELETE FROM email_index WHERE last IS NULL AND email_id NOT IN (SELECT id FROM emails)", [])?;
        }
    }
    Ok(lost)
}

/// Rows that 1.x added count from `run` on, traces of rows that it removed go, former states of containers that it
/// changed are kept, and the index is made anew. What else it overwrote cannot be brought back.
pub fn take_over(conn: &Connection, run: i64) -> rusqlite::Result<()> {
    for table in &TABLES {
        let (name, kind) = (table.name, table.kind.name());
        let digested = Digested::content(table.kind);
        keep_copies(conn, kind, run, &digested)?;
        for id in digested.other_objects(conn)? {
            conn.execute("DELETE FROM originals WHERE kind = ?1 AND id = ?2", params![kind, id])?;
            conn.execute("INSERT OR REPLACE INTO since (kind, id, first) VALUES (?1, ?2, ?3)", params![kind, id, run])?;
            renumber_history(conn, kind, name, id)?;
        }
        for beside in ["since", "originals"] {
            let sql = format!("DELETE FROM {beside} WHERE kind = ?1 AND id NOT IN (SELECT id FROM {name})");
            conn.execute(&sql, [kind])?;
        }
    }
    // Rows of emails that went to the history keep their place in the index through a copy made from there.
    index::rebuild(conn, run)?;
    index::restore_history(conn)?;
    digest::digest_all(conn)
}

/// Puts the last known columns of containers that 1.x changed or removed into the history: former snapshots show them.
fn keep_copies(conn: &Connection, kind: &str, run: i64, digested: &Digested) -> rusqlite::Result<()> {
    let (differing, gone) = (digested.differing(conn)?, digested.gone(conn)?);
    let is_there = differing.into_iter().map(|id| (id, true)).chain(gone.into_iter().map(|id| (id, false)));
    for (id, is_there) in is_there {
        let kept = conn.execute(
            "INSERT OR IGNORE INTO history (kind, id, first, last, fields)
             SELECT d.kind, d.id, coalesce(s.first, 0), ?3, d.fields
             FROM row_digests d LEFT JOIN since s ON s.kind = d.kind AND s.id = d.id
             WHERE d.kind = ?1 AND d.id = ?2 AND d.fields IS NOT NULL AND coalesce(s.first, 0) < ?3",
            params![kind, id, run],
        )?;
        if kept > 0 && is_there {
            conn.execute("INSERT OR REPLACE INTO since (kind, id, first) VALUES (?1, ?2, ?3)", params![kind, id, run])?;
        }
    }
    Ok(())
}

/// Gives former states of the object that had this number a number of their own. Containers keep theirs: it is what their
/// items know of them, and they are no two things at one snapshot.
fn renumber_history(conn: &Connection, kind: &str, table: &str, id: Id) -> rusqlite::Result<()> {
    if [Kind::Mailbox, Kind::Calendar, Kind::AddressBook].iter().any(|container| container.name() == kind) {
        return Ok(());
    }
    let states = "kind = ?1 AND id = ?2 AND fields ->> 'node_type' IS NOT 'directory'";
    let next = format!(
        "SELECT 1 + max((SELECT max(id) FROM history WHERE kind = ?1), (SELECT coalesce(max(id), 0) FROM {table}),
             coalesce((SELECT id FROM last_ids WHERE kind = ?1), 0))
         WHERE EXISTS (SELECT 1 FROM history WHERE {states})"
    );
    if let Some(next) = conn.query_row(&next, params![kind, id], |row| row.get::<_, Id>(0)).optional()? {
        conn.execute(&format!("UPDATE history SET id = ?3 WHERE {states}"), params![kind, id, next])?;
    }
    Ok(())
}
