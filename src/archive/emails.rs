//! Emails: rows of `emails` with their index.

use super::columns::{ids_json, parse_ids};
use super::index;
use super::write::Writer;
use crate::error::Result;
use crate::model::time::{epoch, rfc3339};
use crate::model::{Id, ObjectType};
use rusqlite::types::Value;

/// What an email row says beside its bytes.
pub struct EmailFields<'a> {
    pub mailbox_ids: &'a [Id],
    /// JSON array.
    pub keywords: &'a str,
    /// Seconds since 1970.
    pub received: i64,
    /// JSON object, FORMAT.md "message_match".
    pub message_match: &'a str,
}

/// A row of `emails`.
pub struct StoredEmail {
    pub id: Id,
    pub mailboxes: Vec<Id>,
    /// JSON array.
    pub keywords: String,
    /// Seconds since 1970.
    pub received: i64,
    /// JSON object.
    pub message_match: String,
}

impl Writer {
    /// Adds an email with its bytes.
    pub fn insert_email(&mut self, email: &EmailFields<'_>, blob: Id, size: u64) -> Result<Id> {
        let id = self.insert(
            ObjectType::Email,
            &[
                ("received_at", Value::Text(rfc3339(email.received))),
                ("mailbox_ids", Value::Text(ids_json(email.mailbox_ids))),
                ("keywords", Value::Text(email.keywords.to_owned())),
                ("message_match", Value::Text(email.message_match.to_owned())),
            ],
            Some(blob),
        )?;
        self.index(id, email.mailbox_ids, email.keywords, email.received, size)?;
        Ok(id)
    }

    /// Puts an email into other mailboxes or under other keywords.
    pub fn update_email(&mut self, id: Id, mailbox_ids: &[Id], keywords: &str) -> Result<bool> {
        let Some((old_mailboxes, received, size)) = self.email_place(id)? else { return Ok(false) };
        let changed = self.update(
            ObjectType::Email,
            id,
            &[("mailbox_ids", Value::Text(ids_json(mailbox_ids))), ("keywords", Value::Text(keywords.to_owned()))],
            None,
        )?;
        if changed {
            self.unindex(id, &old_mailboxes)?;
            self.index(id, mailbox_ids, keywords, received, size)?;
        }
        Ok(changed)
    }

    /// Takes an email out of the current state.
    pub fn remove_email(&mut self, id: Id) -> Result<()> {
        if let Some((mailboxes, ..)) = self.email_place(id)? {
            self.unindex(id, &mailboxes)?;
            self.remove(ObjectType::Email, id)?;
        }
        Ok(())
    }

    /// The emails of the current state with these bytes.
    pub fn emails_with_blob(&self, blob: Id) -> Result<Vec<StoredEmail>> {
        self.stored_emails("blob_id", blob)
    }

    /// An email of the current state.
    pub fn stored_email(&self, id: Id) -> Result<Option<StoredEmail>> {
        Ok(self.stored_emails("id", id)?.pop())
    }

    fn stored_emails(&self, column: &str, value: Id) -> Result<Vec<StoredEmail>> {
        let sql =
            format!("SELECT id, mailbox_ids, keywords, received_at, message_match FROM emails WHERE {column} = ?1");
        self.rows(&sql, [value], |row| {
            Ok(StoredEmail {
                id: row.get(0)?,
                mailboxes: parse_ids(&row.get::<_, String>(1)?),
                keywords: row.get(2)?,
                received: epoch(&row.get::<_, String>(3)?),
                message_match: row.get(4)?,
            })
        })
    }

    /// The bytes of an email: its blob and their number.
    pub fn email_blob(&self, id: Id) -> Result<Option<(Id, u64)>> {
        let row = self.rows("SELECT blob_id FROM emails WHERE id = ?1", [id], |row| row.get::<_, Id>(0))?.pop();
        let Some(blob) = row else { return Ok(None) };
        let found = super::blob::find(&self.conn, blob).map_err(|error| self.explain(error))?;
        Ok(found.map(|found| (blob, found.size)))
    }

    fn email_place(&self, id: Id) -> Result<Option<(Vec<Id>, i64, u64)>> {
        let found = self.rows("SELECT mailbox_ids, received_at, blob_id FROM emails WHERE id = ?1", [id], |row| {
            Ok((parse_ids(&row.get::<_, String>(0)?), epoch(&row.get::<_, String>(1)?), row.get::<_, Id>(2)?))
        })?;
        let Some((mailboxes, received, blob)) = found.into_iter().next() else { return Ok(None) };
        let size =
            super::blob::find(&self.conn, blob).map_err(|error| self.explain(error))?.map_or(0, |blob| blob.size);
        Ok(Some((mailboxes, received, size)))
    }

    fn index(&mut self, id: Id, mailboxes: &[Id], keywords: &str, received: i64, size: u64) -> Result<()> {
        let run = self.run();
        self.touched_mailboxes.extend(index::or_unfiled(mailboxes));
        index::add(&self.conn, id, mailboxes, keywords, received, size, run).map_err(|error| self.explain(error))
    }

    fn unindex(&mut self, id: Id, mailboxes: &[Id]) -> Result<()> {
        let run = self.run();
        self.touched_mailboxes.extend(index::or_unfiled(mailboxes));
        index::end(&self.conn, id, index::or_unfiled(mailboxes), run).map_err(|error| self.explain(error))
    }
}
