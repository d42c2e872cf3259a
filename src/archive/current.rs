//! What a writer asks of the current state before it decides which row an object is.

use super::blob;
use super::schema::Table;
use super::write::Writer;
use crate::error::Result;
use crate::model::{Digest, Id, Kind};
use rusqlite::params;

impl Writer {
    /// A card of the current state with this uid.
    pub fn find_card(&self, uid: &str) -> Result<Option<Id>> {
        Ok(self.rows("SELECT id FROM contact_cards WHERE uid = ?1", [uid], |row| row.get(0))?.pop())
    }

    /// The digest of an object's original bytes, if the archive has them.
    pub fn original_digest(&self, kind: Kind, id: Id) -> Result<Option<Digest>> {
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
                let mut part = vec![0; end.saturating_sub(start) as usize];
                let count = blob::read_at(&self.conn, &blob, start, &mut part)?;
                bytes.extend_from_slice(&part[..count]);
            }
            Ok(Some(Digest::of(&bytes)))
        };
        digest().map_err(|error| self.explain(error))
    }

    /// A container of the current state with this name under this parent.
    pub fn find_container(&self, kind: Kind, parent: Option<Id>, name: &str) -> Result<Option<Id>> {
        // Mailboxes and directories of one name are one; calendars and address books are only if no source has them yet.
        let condition = match kind {
            Kind::Mailbox | Kind::FileNode => "parent_id IS ?2",
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
    pub fn container_is_free(&self, kind: Kind, id: Id) -> Result<bool> {
        let known = "EXISTS (SELECT 1 FROM origins o JOIN scopes s ON s.id = o.scope_id WHERE o.local_id = ?1 AND s.kind = ?2 AND s.key = '')";
        let holds = match kind {
            Kind::Mailbox => {
                "EXISTS (SELECT 1 FROM mailboxes WHERE parent_id = ?1) OR EXISTS (SELECT 1 FROM email_index WHERE mailbox_id = ?1 AND last IS NULL)"
            }
            Kind::FileNode => "EXISTS (SELECT 1 FROM file_nodes WHERE parent_id = ?1)",
            Kind::Calendar => "EXISTS (SELECT 1 FROM calendar_events, json_each(calendar_ids) WHERE value = ?1)",
            _ => "EXISTS (SELECT 1 FROM contact_cards, json_each(address_book_ids) WHERE value = ?1)",
        };
        let busy =
            self.rows(&format!("SELECT {known} OR {holds}"), params![id, kind.name()], |row| row.get::<_, bool>(0))?;
        Ok(busy == [false])
    }
}
