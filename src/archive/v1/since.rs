//! Reading an archive that 1.x has written to since our last run.

use crate::archive::digest::Digested;
use crate::archive::query;
use crate::archive::schema::Table;
use crate::model::Id;
use rusqlite::{Connection, params};

/// For former snapshots: whether a row is the object that we knew by its number, and what its columns were if they are
/// kept. Columns and joins of SQL.
pub(crate) fn known_before(table: &Table) -> (String, String) {
    let other = Digested::content(table.kind).is_other_object();
    let blob = if table.has_blob { "LEFT JOIN blobs b ON b.id = t.blob_id" } else { "" };
    (
        format!(", d.id IS NOT NULL AND NOT {other}, d.fields"),
        format!("LEFT JOIN row_digests d ON d.kind = '{}' AND d.id = t.id {blob}", table.kind.name()),
    )
}

/// A container that 1.x removed.
pub(crate) struct Removed {
    pub id: Id,
    /// The snapshot in which it got its last state.
    pub first: i64,
    /// Its columns as JSON.
    pub fields: String,
}

/// The containers that 1.x removed and that the snapshot `at` shows: all of a type, or the one with this number.
pub(crate) fn removed_containers(
    conn: &Connection,
    table: &Table,
    at: i64,
    only: Option<Id>,
) -> rusqlite::Result<Vec<Removed>> {
    let sql = format!(
        "SELECT d.id, coalesce(s.first, 0), d.fields FROM row_digests d
         LEFT JOIN since s ON s.kind = d.kind AND s.id = d.id
         WHERE d.kind = ?1 AND d.fields IS NOT NULL AND coalesce(s.first, 0) <= ?2 AND (d.id = ?3 OR ?3 IS NULL)
           AND d.id NOT IN (SELECT id FROM {})",
        table.name
    );
    query::rows(conn, &sql, params![table.kind.name(), at, only], |row| {
        Ok(Removed { id: row.get(0)?, first: row.get(1)?, fields: row.get(2)? })
    })
}

/// True if 1.x gave the number of a former email to a new one: which of them is meant is not known before the next import
/// has parted them.
pub(crate) fn has_two_emails(conn: &Connection, id: Id) -> rusqlite::Result<bool> {
    let sql = "SELECT EXISTS (SELECT 1 FROM emails e JOIN history h ON h.kind = 'Email' AND h.id = e.id
               WHERE e.id = ?1 AND h.blob_id IS NOT e.blob_id)";
    conn.prepare_cached(sql)?.query_row([id], |row| row.get(0))
}
