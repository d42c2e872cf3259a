//! The tables of 1.x as its newest version makes them, and what they have to take beyond that.

use rusqlite::Connection;
use rusqlite::config::DbConfig;

/// Adds the column that older versions of 1.x did not have.
pub(crate) fn add_missing_columns(conn: &Connection) -> rusqlite::Result<()> {
    let has_type = "SELECT EXISTS (SELECT 1 FROM pragma_table_info('calendar_events') WHERE name = 'data_type')";
    if conn.query_row(has_type, [], |row| row.get(0))? {
        return Ok(());
    }
    conn.execute_batch("ALTER TABLE calendar_events ADD COLUMN data_type TEXT NOT NULL DEFAULT 'Event'")
}

/// Lets `sources` hold a kind that 1.x does not know. The list of kinds is a constraint of the table, which SQLite changes
/// only as text of its schema (<https://sqlite.org/lang_altertable.html>, "Making Other Kinds Of Table Schema Changes"). 1.x
/// looks for its own kinds only.
pub(crate) fn admit_kind(conn: &Connection, kind: &str) -> rusqlite::Result<()> {
    const LIST: &str = "CHECK (kind IN (";
    let sql: String =
        conn.query_row("SELECT sql FROM sqlite_schema WHERE type = 'table' AND name = 'sources'", [], |row| {
            row.get(0)
        })?;
    if !sql.contains(LIST) || sql.contains(&format!("'{kind}'")) {
        return Ok(());
    }
    let wider = sql.replacen(LIST, &format!("{LIST}'{kind}',"), 1);
    let version: i64 = conn.query_row("PRAGMA schema_version", [], |row| row.get(0))?;
    let change = || {
        conn.pragma_update(None, "writable_schema", true)?;
        conn.execute("UPDATE sqlite_schema SET sql = ?1 WHERE type = 'table' AND name = 'sources'", [wider])?;
        // Every connection reads the schema again.
        conn.pragma_update(None, "schema_version", version + 1)
    };
    conn.set_db_config(DbConfig::SQLITE_DBCONFIG_DEFENSIVE, false)?;
    let changed = change();
    conn.pragma_update(None, "writable_schema", false)?;
    conn.set_db_config(DbConfig::SQLITE_DBCONFIG_DEFENSIVE, true)?;
    changed
}
