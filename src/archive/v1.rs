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
    // No revision is empty text either: every container will be compared with its row.
    conn.execute("UPDATE origins SET rev = '' WHERE scope_id IN (SELECT id FROM scopes WHERE key = '')", [])?;
    conn.execute("UPDATE scopes SET cursor = ''", [])?;
    digest::digest_table(conn, digest::ORIGINS)?;
    digest::digest_table(conn, "scopes")
}

/// Forgets items whose row is gone, so that the source is asked for them again; gives their number.
pub fn forget_lost_items(conn: &Connection) -> rusqlite::Result<u64> {
    let mut lost = 0;
    // A row without its bytes is as good as lost.
    for table in TABLES.iter().filter(|table| table.has_blob) {
        let sql =
            format!("DELETE FROM {} WHERE blob_id IS NOT NULL AND blob_id NOT IN (SELECT id FROM blobs)", table.name);
        conn.execute(&sql, [])?;
    }
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
        // A listing of changes would name neither them nor what lies in them.
        let is_container = matches!(table.kind, Kind::Mailbox | Kind::Calendar | Kind::AddressBook | Kind::FileNode);
        let of = if is_container { "source_id = (SELECT source_id FROM scopes WHERE id = ?1)" } else { "id = ?1" };
        for scope in scopes {
            conn.execute(&format!("UPDATE scopes SET cursor = '' WHERE {of}"), [scope])?;
            // Containers inside of a lost one are compared with their rows, which name it as the one above them.
            let sql = "UPDATE origins SET rev = '' WHERE scope_id = (SELECT id FROM scopes WHERE id = ?1 AND key = '')";
            conn.execute(sql, [scope])?;
        }
        digest::digest_table(conn, "scopes")?;
        digest::digest_table(conn, digest::ORIGINS)?;
    }
    Ok(lost)
}

/// Makes the index of mailboxes anew if it has not as many lines as the emails have places.
pub fn mend_index(conn: &Connection) -> rusqlite::Result<()> {
    let is_whole = "SELECT (SELECT count(*) FROM email_index WHERE last IS NULL) =
        (SELECT coalesce(sum(CASE WHEN json_valid(mailbox_ids) THEN max(json_array_length(mailbox_ids), 1) ELSE 1 END), 0) FROM emails)";
    if conn.query_row(is_whole, [], |row| row.get(0))? {
        return Ok(());
    }
    let newest = conn.query_row("SELECT coalesce(max(id), 0) FROM snapshots", [], |row| row.get(0))?;
    index::rebuild(conn, newest)?;
    index::restore_history(conn, newest)
}

/// Drops what is left of rows that are gone without our doing: their digests and what stands beside them. Containers
/// were copied with their digests; the copies go into the history, so former snapshots show them.
pub fn settle_lost_rows(conn: &Connection, run: i64) -> rusqlite::Result<()> {
    for table in &TABLES {
        let (name, kind) = (table.name, table.kind.name());
        let is_any_gone = format!(
            "SELECT EXISTS (SELECT 1 FROM row_digests d WHERE d.kind = ?1 AND NOT EXISTS (SELECT 1 FROM {name} t WHERE t.id = d.id))"
        );
        if !conn.query_row(&is_any_gone, [kind], |row| row.get::<_, bool>(0))? {
            continue;
        }
        for id in Digested::content(table.kind).gone(conn)? {
            if keep_copy(conn, kind, id, run)? {
                digest::digest_copy(conn, kind, id)?;
            }
        }
        for beside in ["since", "originals", "row_digests"] {
            let sql = format!("DELETE FROM {beside} WHERE kind = ?1 AND id NOT IN (SELECT id FROM {name})");
            conn.execute(&sql, [kind])?;
        }
        if table.kind == Kind::Email {
            let sql = "DELETE FROM email_index WHERE last IS NULL AND email_id NOT IN (SELECT id FROM emails) RETURNING mailbox_id";
            let touched = conn.prepare(sql)?.query_map([], |row| row.get(0))?.collect::<rusqlite::Result<_>>()?;
            index::summarise(conn, run, &touched)?;
        }
    }
    Ok(())
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
    index::restore_history(conn, run)?;
    digest::digest_all(conn)
}

/// Puts the last known columns of containers that 1.x changed or removed into the history: former snapshots show them.
fn keep_copies(conn: &Connection, kind: &str, run: i64, digested: &Digested) -> rusqlite::Result<()> {
    for id in digested.differing(conn)? {
        if keep_copy(conn, kind, id, run)? {
            conn.execute("INSERT OR REPLACE INTO since (kind, id, first) VALUES (?1, ?2, ?3)", params![kind, id, run])?;
        }
    }
    for id in digested.gone(conn)? {
        keep_copy(conn, kind, id, run)?;
    }
    Ok(())
}

/// Puts the last known columns of a container into the history. Gives false if no snapshot shows them, or there are none.
fn keep_copy(conn: &Connection, kind: &str, id: Id, run: i64) -> rusqlite::Result<bool> {
    let kept = conn.execute(
        "INSERT OR IGNORE INTO history (kind, id, first, last, fields)
         SELECT d.kind, d.id, coalesce(s.first, 0), ?3, d.fields
         FROM row_digests d LEFT JOIN since s ON s.kind = d.kind AND s.id = d.id
         WHERE d.kind = ?1 AND d.id = ?2 AND d.fields IS NOT NULL AND coalesce(s.first, 0) < ?3",
        params![kind, id, run],
    )?;
    Ok(kept > 0)
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
