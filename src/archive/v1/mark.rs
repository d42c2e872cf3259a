//! How an archive shows that 1.x has opened it.

use rusqlite::Connection;

/// An index that 1.x makes whenever it opens an archive. We never make it, and remove it: so where it is, the content tables
/// may have changed without our history knowing.
const INDEX: &str = "blobs_hash_idx";

/// True if 1.x had the archive open since our last run.
pub(crate) fn has_written(conn: &Connection) -> rusqlite::Result<bool> {
    conn.query_row("SELECT EXISTS (SELECT 1 FROM sqlite_schema WHERE name = ?1)", [INDEX], |row| row.get(0))
}

/// Removes the mark, once our tables are up to date again.
pub(crate) fn unmark(conn: &Connection) -> rusqlite::Result<()> {
    conn.execute_batch(&format!("DROP INDEX IF EXISTS {INDEX}"))
}
