//! Brings our tables up to date after 1.x has written to the archive.

use crate::archive::digest::{self, Digested};
use crate::archive::schema::TABLES;
use crate::archive::{index, lost_rows};
use crate::model::{Id, ObjectType};
use rusqlite::{Connection, OptionalExtension, params};

/// Forgets items whose row is gone or is another object now, and makes the next listing of every scope a whole one: 1.x may
/// have changed the rows of the other items.
pub(crate) fn forget_origins(conn: &Connection) -> rusqlite::Result<()> {
    for table in &TABLES {
        let name = table.kind.name();
        let mut forget = conn.prepare(
            "DELETE FROM origins WHERE local_id = ?2 AND scope_id IN (SELECT id FROM scopes WHERE kind = ?1)",
        )?;
        for id in other_objects(conn, &Digested::content(table.kind))? {
            forget.execute(params![name, id])?;
        }
    }
    lost_rows::forget_items(conn)?;
    // No list of keywords is empty text: every item will be compared with its row, which 1.x may have changed.
    conn.execute("UPDATE origins SET keywords = '' WHERE scope_id IN (SELECT id FROM scopes WHERE key <> '')", [])?;
    // No revision is empty text either: every container will be compared with its row.
    conn.execute("UPDATE origins SET rev = '' WHERE scope_id IN (SELECT id FROM scopes WHERE key = '')", [])?;
    conn.execute("UPDATE scopes SET cursor = ''", [])?;
    digest::digest_table(conn, digest::ORIGINS)?;
    digest::digest_table(conn, "scopes")
}

/// Rows that 1.x added count from `run` on, traces of rows that it removed go, former states of containers that it
/// changed are kept, and the index is made anew. Other columns that it overwrote cannot be brought back.
pub(crate) fn take_over(conn: &Connection, run: i64) -> rusqlite::Result<()> {
    for table in &TABLES {
        let (name, kind) = (table.name, table.kind.name());
        let digested = Digested::content(table.kind);
        keep_copies(conn, kind, run, &digested)?;
        for id in other_objects(conn, &digested)? {
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
    index::restore_history(conn, run)?;
    digest::digest_all(conn)
}

/// Ids of rows that are another object than our last run wrote under the id, or that never had a digest.
fn other_objects(conn: &Connection, digested: &Digested) -> rusqlite::Result<Vec<Id>> {
    digested.ids(conn, &format!("d.id IS NULL OR {}", digested.is_other_object()))
}

/// Puts the last known columns of containers that 1.x changed or removed into the history: former snapshots show them.
fn keep_copies(conn: &Connection, kind: &str, run: i64, digested: &Digested) -> rusqlite::Result<()> {
    for id in digested.differing(conn)? {
        if lost_rows::keep_copy(conn, kind, id, run)? {
            conn.execute("INSERT OR REPLACE INTO since (kind, id, first) VALUES (?1, ?2, ?3)", params![kind, id, run])?;
        }
    }
    for id in digested.gone(conn)? {
        lost_rows::keep_copy(conn, kind, id, run)?;
    }
    Ok(())
}

/// Gives former states of the object that had this number a number of their own. Containers keep theirs: it is what their
/// items know of them, and they are no two things at one snapshot.
fn renumber_history(conn: &Connection, kind: &str, table: &str, id: Id) -> rusqlite::Result<()> {
    if [ObjectType::Mailbox, ObjectType::Calendar, ObjectType::AddressBook]
        .iter()
        .any(|container| container.name() == kind)
    {
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
