//! Questions to the current state: an import asks them to decide which row an object is.

use super::blob;
use super::schema::Table;
use super::write::Writer;
use crate::error::Result;
use crate::model::{Digest, Id, ObjectType};
use rusqlite::params;

impl Writer {
    /// True if a row of a type says that it is the default one, other than `own`.
    pub fn has_other_default(&self, kind: ObjectType, own: Option<Id>) -> Result<bool> {
        let sql = format!("SELECT 1 FROM {} WHERE is_default = 1 AND id IS NOT ?1 LIMIT 1", Table::of(kind).name);
        Ok(!self.rows(&sql, [own], |_| Ok(()))?.is_empty())
    }

    /// True if the run's source knows a row, in any scope.
    pub fn source_knows(&self, kind: ObjectType, id: Id) -> Result<bool> {
        let sql = "SELECT 1 FROM origins o JOIN scopes s ON s.id = o.scope_id WHERE o.local_id = ?1 AND s.kind = ?2 AND s.source_id = ?3 LIMIT 1";
        Ok(!self.rows(sql, params![id, kind.name(), self.source], |_| Ok(()))?.is_empty())
    }

    /// The name of a file, link or directory.
    pub fn node_name(&self, id: Id) -> Result<Option<String>> {
        Ok(self.rows("SELECT name FROM file_nodes WHERE id = ?1", [id], |row| row.get(0))?.pop())
    }

    /// A file, link or directory of this name in this directory, or a mailbox of this name in this mailbox, other than
    /// `own`: two of them cannot be.
    pub fn name_taken(&self, kind: ObjectType, parent: Option<Id>, name: &str, own: Option<Id>) -> Result<Option<Id>> {
        let sql = format!(
            "SELECT id FROM {} WHERE name = ?1 AND parent_id IS ?2 AND id IS NOT ?3 ORDER BY id LIMIT 1",
            Table::of(kind).name
        );
        Ok(self.rows(&sql, params![name, parent, own], |row| row.get(0))?.pop())
    }

    /// The script of the current state with this name.
    pub fn find_script(&self, name: &str) -> Result<Option<Id>> {
        Ok(self.rows("SELECT id FROM sieve_scripts WHERE name = ?1", [name], |row| row.get(0))?.pop())
    }

    /// A card of the current state with this uid.
    pub fn find_card(&self, uid: &str) -> Result<Option<Id>> {
        Ok(self.rows("SELECT id FROM contact_cards WHERE uid = ?1", [uid], |row| row.get(0))?.pop())
    }

    /// The digest of an object's original bytes, if the archive has them.
    pub fn original_digest(&self, kind: ObjectType, id: Id) -> Result<Option<Digest>> {
        let read = |row: &rusqlite::Row<'_>| Ok((row.get::<_, Id>(0)?, row.get::<_, Option<String>>(1)?));
        let found = self
            .rows("SELECT blob_id, ranges FROM originals WHERE kind = ?1 AND id = ?2", params![kind.name(), id], read)?
            .pop();
        let Some((blob, ranges)) = found else { return Ok(None) };
        let digest = || -> rusqlite::Result<Option<Digest>> {
            let Some(blob) = blob::find(&self.conn, blob)? else { return Ok(None) };
            let Some(ranges) = ranges else { return Ok(Some(blob.digest)) };
            let ranges: Vec<(u64, u64)> = serde_json::from_str(&ranges).unwrap_or_default();
            let mut bytes = Vec::new();
            for (start, end) in ranges {
                bytes.extend(blob::read(&self.conn, &blob, start, end.saturating_sub(start))?);
            }
            Ok(Some(Digest::of(&bytes)))
        };
        digest().map_err(|error| self.explain(error))
    }

    /// A container of the current state with this name under this parent.
    pub fn find_container(&self, kind: ObjectType, parent: Option<Id>, name: &str) -> Result<Option<Id>> {
        // Mailboxes and directories of one name are one; calendars and address books are only if no source has them yet.
        let condition = match kind {
            ObjectType::Mailbox | ObjectType::FileNode => "parent_id IS ?2",
            _ => {
                "?2 IS NULL AND NOT EXISTS (SELECT 1 FROM origins o JOIN scopes s ON s.id = o.scope_id WHERE o.local_id = t.id AND s.kind = ?3 AND s.key = '')"
            }
        };
        let sql = format!(
            "SELECT id FROM {} t WHERE name = ?1 AND {condition} AND ?3 = ?3 ORDER BY id LIMIT 1",
            Table::of(kind).name
        );
        Ok(self.rows(&sql, params![name, parent, kind.name()], |row| row.get(0))?.pop())
    }

    /// True if no mailbox but perhaps `own` has this role.
    pub fn role_is_free(&self, role: &str, own: Option<Id>) -> Result<bool> {
        Ok(self
            .rows("SELECT 1 FROM mailboxes WHERE role = ?1 AND id IS NOT ?2", params![role, own], |_| Ok(()))?
            .is_empty())
    }

    /// True if nothing lies in a container and no source knows it.
    pub fn container_is_free(&self, kind: ObjectType, id: Id) -> Result<bool> {
        let known = "EXISTS (SELECT 1 FROM origins o JOIN scopes s ON s.id = o.scope_id WHERE o.local_id = ?1 AND s.kind = ?2 AND s.key = '')";
        let holds = match kind {
            ObjectType::Mailbox => {
                "EXISTS (SELECT 1 FROM mailboxes WHERE parent_id = ?1) OR EXISTS (SELECT 1 FROM email_index WHERE mailbox_id = ?1 AND last IS NULL)"
            }
            ObjectType::FileNode => "EXISTS (SELECT 1 FROM file_nodes WHERE parent_id = ?1)",
            ObjectType::Calendar => "EXISTS (SELECT 1 FROM calendar_events, json_each(calendar_ids) WHERE value = ?1)",
            _ => "EXISTS (SELECT 1 FROM contact_cards, json_each(address_book_ids) WHERE value = ?1)",
        };
        let busy =
            self.rows(&format!("SELECT {known} OR {holds}"), params![id, kind.name()], |row| row.get::<_, bool>(0))?;
        Ok(busy == [false])
    }
}
