//! What a writer asks of the current state before it decides which row an object is.

use super::blob;
use super::schema::Table;
use super::write::Writer;
use crate::error::Result;
use crate::model::{Digest, Id, ObjectType, SourceIdent};
use rusqlite::params;
use std::collections::HashMap;

impl Writer {
    /// Rows of a type that no source of ours has handed over: they came from 1.x.
    fn is_orphan(&self, kind: ObjectType, id: Id) -> Result<bool> {
        Ok(self.origins_of(kind, id)?.is_empty())
    }

    /// Of the emails with these bytes the one that 1.x stored and no source of ours knows yet: one in these mailboxes
    /// if there is one.
    pub fn adoptable_email(&self, blob: Id, mailboxes: &[Id]) -> Result<Option<Id>> {
        let mut found = None;
        for row in self.emails_with_blob(blob)? {
            if self.is_orphan(ObjectType::Email, row.id)? {
                if mailboxes.iter().any(|mailbox| row.mailboxes.contains(mailbox)) {
                    return Ok(Some(row.id));
                }
                found = found.or(Some(row.id));
            }
        }
        Ok(found)
    }

    /// Events that 1.x stored and no source of ours knows yet, by uid.
    pub fn adoptable_events(&self) -> Result<HashMap<String, Id>> {
        let sql = "SELECT id, data FROM calendar_events WHERE id NOT IN
                   (SELECT o.local_id FROM origins o JOIN scopes s ON s.id = o.scope_id WHERE s.kind = 'CalendarEvent' AND s.key <> '')";
        let rows = self.rows(sql, [], |row| Ok((row.get::<_, Id>(0)?, row.get::<_, String>(1)?)))?;
        let uid =
            |data: &str| Some(serde_json::from_str::<serde_json::Value>(data).ok()?.get("uid")?.as_str()?.to_owned());
        Ok(rows.into_iter().filter_map(|(id, data)| Some((uid(&data)?, id))).collect())
    }

    /// Rows that 1.x imported from the run's source and that this source does not name any more: emails, scripts, and
    /// of JMAP everything that is no container.
    pub fn left_by_1x(&self, ident: &SourceIdent) -> Result<Vec<(ObjectType, Id)>> {
        let table = format!("sync_id_{}", ident.kind);
        if !self.has_table(&table)? {
            return Ok(Vec::new());
        }
        const OF_JMAP: [ObjectType; 7] = [
            ObjectType::Email,
            ObjectType::ContactCard,
            ObjectType::CalendarEvent,
            ObjectType::SieveScript,
            ObjectType::FileNode,
            ObjectType::Identity,
            ObjectType::ParticipantIdentity,
        ];
        let kinds: &[ObjectType] = match ident.kind {
            "managesieve" => &[ObjectType::SieveScript],
            "jmap" => &OF_JMAP,
            _ => &[ObjectType::Email],
        };
        let mut left = Vec::new();
        for kind in kinds {
            // That of ManageSieve has no column for the type.
            let condition = match ident.kind {
                "managesieve" => "?3 = ?3",
                _ => "lower(t.type_name) = ?3",
            };
            let is_file = if *kind == ObjectType::FileNode { "AND e.node_type <> 'directory'" } else { "" };
            let sql = format!(
                "SELECT DISTINCT t.local_id FROM {table} t JOIN {} e ON e.id = t.local_id
                 WHERE t.source_id = ?1 AND {condition} {is_file}
                   AND NOT EXISTS (SELECT 1 FROM origins o JOIN scopes s ON s.id = o.scope_id WHERE o.local_id = t.local_id AND s.kind = ?2)",
                Table::of(*kind).name
            );
            left.extend(
                self.rows(&sql, params![self.source, kind.name(), kind.token()], |row| Ok((*kind, row.get(0)?)))?,
            );
        }
        Ok(left)
    }

    fn has_table(&self, name: &str) -> Result<bool> {
        let has_table = "SELECT 1 FROM sqlite_schema WHERE type = 'table' AND name = ?1";
        Ok(!self.rows(has_table, [name], |_| Ok(()))?.is_empty())
    }

    /// The row that 1.x made of an object of the run's JMAP source, if no source of ours knows it yet.
    pub fn jmap_row_of_1x(&self, kind: ObjectType, jmap_id: &str) -> Result<Option<Id>> {
        if !self.has_table("sync_id_jmap")? {
            return Ok(None);
        }
        let sql = format!(
            "SELECT t.local_id FROM sync_id_jmap t JOIN {} e ON e.id = t.local_id
             WHERE t.source_id = ?1 AND t.type_name = ?2 AND t.jmap_id = ?3
               AND NOT EXISTS (SELECT 1 FROM origins o JOIN scopes s ON s.id = o.scope_id WHERE o.local_id = t.local_id AND s.kind = ?2)",
            Table::of(kind).name
        );
        Ok(self.rows(&sql, params![self.source, kind.name(), jmap_id], |row| row.get(0))?.pop())
    }

    /// True if a row of a type says that it is the default one, other than `own`.
    pub fn has_other_default(&self, kind: ObjectType, own: Option<Id>) -> Result<bool> {
        let sql = format!("SELECT 1 FROM {} WHERE is_default = 1 AND id IS NOT ?1 LIMIT 1", Table::of(kind).name);
        Ok(!self.rows(&sql, [own], |_| Ok(()))?.is_empty())
    }

    /// True if the run's source knows a row, in whatever scope.
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

    /// The active script: none or one, whatever source it came from.
    pub fn active_scripts(&self) -> Result<Vec<Id>> {
        self.rows("SELECT id FROM sieve_scripts WHERE is_active = 1", [], |row| row.get(0))
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
