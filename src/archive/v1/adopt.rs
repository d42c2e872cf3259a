//! A writer asks which rows it can adopt: those that 1.x imported and no source of ours knows yet.

use super::adoptable;
use crate::archive::write::Writer;
use crate::error::Result;
use crate::model::{Id, ObjectType, SourceIdent};
use std::collections::HashMap;

impl Writer {
    /// True if no source of ours knows a row: it came from 1.x.
    pub fn is_adoptable(&self, kind: ObjectType, id: Id) -> Result<bool> {
        Ok(self.origins_of(kind, id)?.is_empty())
    }

    /// Of the emails with these bytes the one to adopt: one in these mailboxes if there is one.
    pub fn adoptable_email(&self, blob: Id, mailboxes: &[Id]) -> Result<Option<Id>> {
        let mut found = None;
        for (id, email) in self.emails_with_blob(blob)? {
            if self.is_adoptable(ObjectType::Email, id)? {
                if mailboxes.iter().any(|mailbox| email.mailboxes.contains(mailbox)) {
                    return Ok(Some(id));
                }
                found = found.or(Some(id));
            }
        }
        Ok(found)
    }

    /// The events to adopt, by uid.
    pub fn adoptable_events(&self) -> Result<HashMap<String, Id>> {
        let sql = "SELECT id, data FROM calendar_events WHERE id NOT IN
                   (SELECT o.local_id FROM origins o JOIN scopes s ON s.id = o.scope_id WHERE s.kind = 'CalendarEvent' AND s.key <> '')";
        let rows = self.rows(sql, [], |row| Ok((row.get::<_, Id>(0)?, row.get::<_, String>(1)?)))?;
        let uid =
            |data: &str| Some(serde_json::from_str::<serde_json::Value>(data).ok()?.get("uid")?.as_str()?.to_owned());
        Ok(rows.into_iter().filter_map(|(id, data)| Some((uid(&data)?, id))).collect())
    }

    /// The row to adopt for an object of the run's JMAP source.
    pub fn adoptable_by_jmap_id(&self, kind: ObjectType, jmap_id: &str) -> Result<Option<Id>> {
        adoptable::by_jmap_id(&self.conn, self.source, kind, jmap_id).map_err(|error| self.explain(error))
    }

    /// The rows that 1.x imported from the run's source and no item adopted: once all of the source was imported, it does
    /// not have them any more. Emails, scripts, and of JMAP everything that is no container.
    pub fn never_adopted(&self, ident: &SourceIdent) -> Result<Vec<(ObjectType, Id)>> {
        adoptable::never_adopted(&self.conn, self.source, ident.kind).map_err(|error| self.explain(error))
    }
}
