//! Rows that another program, a hand or damage has removed, or whose bytes are gone. The next import drops their digests,
//! index lines and origins, and asks the source for the objects again (FORMAT.md, "What proves a row").

use super::digest::{self, Digested};
use super::index;
use super::query;
use super::schema::TABLES;
use crate::model::{Id, ObjectType};
use rusqlite::{Connection, params};

/// Forgets items whose row is gone, so that the source is asked for them again; gives their number.
pub(super) fn forget_items(conn: &Connection) -> rusqlite::Result<u64> {
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
        let scopes: Vec<i64> =
            query::column(conn, &format!("SELECT DISTINCT scope_id FROM origins WHERE {is_lost}"), [])?;
        if scopes.is_empty() {
            continue;
        }
        lost += conn.execute(&format!("DELETE FROM origins WHERE {is_lost}"), [])? as u64;
        // A listing of changes would name neither them nor what lies in them.
        let of = if ObjectType::CONTAINERS.contains(&table.kind) {
            "source_id = (SELECT source_id FROM scopes WHERE id = ?1)"
        } else {
            "id = ?1"
        };
        for scope in scopes {
            conn.execute(&format!("UPDATE scopes SET cursor = '' WHERE {of}"), [scope])?;
            // Containers inside of a lost one are compared with their rows, which name the lost one as their parent.
            let sql = "UPDATE origins SET rev = '' WHERE scope_id = (SELECT id FROM scopes WHERE id = ?1 AND key = '')";
            conn.execute(sql, [scope])?;
        }
    }
    if lost > 0 {
        digest::digest_table(conn, "scopes")?;
        digest::digest_table(conn, digest::ORIGINS)?;
    }
    Ok(lost)
}

/// Makes the index of mailboxes anew if it has not as many lines as the emails have places.
pub(super) fn mend_index(conn: &Connection) -> rusqlite::Result<()> {
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
pub(super) fn settle_rows(conn: &Connection, run: i64) -> rusqlite::Result<()> {
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
        if table.kind == ObjectType::Email {
            let sql = "DELETE FROM email_index WHERE last IS NULL AND email_id NOT IN (SELECT id FROM emails) RETURNING mailbox_id";
            index::summarise(conn, run, &query::column(conn, sql, [])?.into_iter().collect())?;
        }
    }
    Ok(())
}

/// Puts the last known columns of a container into the history. Gives false if no snapshot shows them, or there are none.
pub(super) fn keep_copy(conn: &Connection, kind: &str, id: Id, run: i64) -> rusqlite::Result<bool> {
    let kept = conn.execute(
        "INSERT OR IGNORE INTO history (kind, id, first, last, fields)
         SELECT d.kind, d.id, coalesce(s.first, 0), ?3, d.fields
         FROM row_digests d LEFT JOIN since s ON s.kind = d.kind AND s.id = d.id
         WHERE d.kind = ?1 AND d.id = ?2 AND d.fields IS NOT NULL AND coalesce(s.first, 0) < ?3",
        params![kind, id, run],
    )?;
    Ok(kept > 0)
}
