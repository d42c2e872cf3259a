//! Several sources of one type in an archive: exports of one account from several directories. An object that lies in two
//! of them is one row.

use super::origin::KnownScope;
use super::query;
use super::schema::Table;
use super::write::Writer;
use crate::error::Result;
use crate::model::{Id, ObjectType, SourceIdent};
use rusqlite::{Connection, params};

/// The scopes of all other sources of the same type, without those of containers.
pub(super) fn scopes(conn: &Connection, ident: &SourceIdent) -> rusqlite::Result<Vec<KnownScope>> {
    let sql = "SELECT p.id, p.kind, p.key, p.cursor FROM scopes p JOIN sources s ON s.id = p.source_id
               WHERE s.kind = ?1 AND (s.session_url, s.account_id) <> (?2, ?3) AND p.key <> '' ORDER BY p.id";
    query::rows(conn, sql, params![ident.kind, ident.session_url, ident.account_id], KnownScope::of_row)
}

/// The sources of the type of the run's source, which is parameter 1.
const KIN: &str = "(SELECT id FROM sources WHERE kind = (SELECT kind FROM sources WHERE id = ?1))";

impl Writer {
    /// True if a row came from the run's source or another one of its type.
    pub fn is_of_kin(&self, kind: ObjectType, id: Id) -> Result<bool> {
        let sql = format!(
            "SELECT 1 FROM origins o JOIN scopes s ON s.id = o.scope_id
             WHERE s.source_id IN {KIN} AND o.local_id = ?2 AND s.kind = ?3 AND s.key <> '' LIMIT 1"
        );
        Ok(!self.rows(&sql, params![self.source, id, kind.name()], |_| Ok(()))?.is_empty())
    }

    /// The rows that the run's source and others of its type know under this key, in any scope.
    pub fn kin_rows(&self, kind: ObjectType, key: &str) -> Result<Vec<Id>> {
        // Scopes are few, and each is asked by its primary key.
        let sql = format!(
            "SELECT DISTINCT o.local_id FROM scopes s CROSS JOIN origins o ON o.scope_id = s.id AND o.key = ?2
             WHERE s.source_id IN {KIN} AND s.kind = ?3 AND s.key <> '' ORDER BY o.local_id"
        );
        self.rows(&sql, params![self.source, key, kind.name()], |row| row.get(0))
    }

    /// A calendar or an address book of this name that another source of the type has, and the run's source has not.
    pub fn kin_container(&self, kind: ObjectType, name: &str) -> Result<Option<Id>> {
        let sql = format!(
            "SELECT t.id FROM {} t WHERE t.name = ?2
               AND EXISTS (SELECT 1 FROM origins o JOIN scopes s ON s.id = o.scope_id
                           WHERE o.local_id = t.id AND s.kind = ?3 AND s.key = '' AND s.source_id IN {KIN})
               AND NOT EXISTS (SELECT 1 FROM origins o JOIN scopes s ON s.id = o.scope_id
                               WHERE o.local_id = t.id AND s.kind = ?3 AND s.key = '' AND s.source_id = ?1)
             ORDER BY t.id LIMIT 1",
            Table::of(kind).name
        );
        Ok(self.rows(&sql, params![self.source, name, kind.name()], |row| row.get(0))?.pop())
    }

    /// The blob of a file.
    pub fn file_blob(&self, id: Id) -> Result<Option<Id>> {
        Ok(self.rows("SELECT blob_id FROM file_nodes WHERE id = ?1", [id], |row| row.get(0))?.pop().flatten())
    }
}
