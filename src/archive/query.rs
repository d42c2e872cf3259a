//! All rows of a query at once.

use rusqlite::types::FromSql;
use rusqlite::{Connection, Params, Row};

/// The rows of a query in their order, each as `each` reads it.
pub(super) fn rows<T>(
    conn: &Connection,
    sql: &str,
    parameters: impl Params,
    each: impl FnMut(&Row<'_>) -> rusqlite::Result<T>,
) -> rusqlite::Result<Vec<T>> {
    conn.prepare_cached(sql)?.query_map(parameters, each)?.collect()
}

/// The first column of the rows of a query, in their order.
pub(super) fn column<T: FromSql>(conn: &Connection, sql: &str, parameters: impl Params) -> rusqlite::Result<Vec<T>> {
    rows(conn, sql, parameters, |row| row.get(0))
}
