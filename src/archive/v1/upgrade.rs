//! The tables of 1.x as its newest version makes them.

use rusqlite::Connection;

/// Adds the column that older versions of 1.x did not have.
pub(crate) fn add_missing_columns(conn: &Connection) -> rusqlite::Result<()> {
    let has_type = "SELECT EXISTS (SELECT 1 FROM pragma_table_info('calendar_events') WHERE name = 'data_type')";
    if conn.query_row(has_type, [], |row| row.get(0))? {
        return Ok(());
    }
    conn.execute_batch("ALTER TABLE calendar_events ADD COLUMN data_type TEXT NOT NULL DEFAULT 'Event'")
}
