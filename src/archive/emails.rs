//! Emails: rows of `emails` with their index.

use super::blob;
use super::columns::{parse_ids, parse_keywords};
use super::index::{self, Listing};
use super::properties::{fields, membership_fields};
use super::write::Writer;
use crate::error::Result;
use crate::model::objects::{Email, Properties};
use crate::model::time::epoch;
use crate::model::{Id, ObjectType};

impl Writer {
    /// Adds an email with its bytes, which are `size` many.
    pub fn insert_email(&mut self, email: &Email<'_>, blob: Id, size: u64) -> Result<Id> {
        let fields = fields(&Properties::Email(email.clone()), &[]);
        let id = self.insert_row(ObjectType::Email, &fields, Some(blob))?;
        self.index(&Listing {
            email: id,
            mailboxes: &email.mailboxes,
            keywords: &email.keywords,
            received: epoch(&email.received_at),
            size,
        })?;
        Ok(id)
    }

    /// Puts an email into other mailboxes or under other keywords. Gives false if nothing differs.
    pub fn update_email(&mut self, id: Id, mailboxes: &[Id], keywords: &[String]) -> Result<bool> {
        let Some((former, received, size)) = self.email_place(id)? else { return Ok(false) };
        let changed = self.update_row(ObjectType::Email, id, &membership_fields(mailboxes, keywords), None)?;
        if changed {
            self.unindex(id, &former)?;
            self.index(&Listing { email: id, mailboxes, keywords, received, size })?;
        }
        Ok(changed)
    }

    /// Takes an email out of the current state.
    pub(super) fn remove_email(&mut self, id: Id) -> Result<()> {
        if let Some((mailboxes, ..)) = self.email_place(id)? {
            self.unindex(id, &mailboxes)?;
            self.remove_row(ObjectType::Email, id)?;
        }
        Ok(())
    }

    /// The emails of the current state with these bytes, each with its row.
    pub fn emails_with_blob(&self, blob: Id) -> Result<Vec<(Id, Email<'static>)>> {
        self.stored_emails("blob_id", blob)
    }

    /// An email of the current state.
    pub fn stored_email(&self, id: Id) -> Result<Option<Email<'static>>> {
        Ok(self.stored_emails("id", id)?.pop().map(|(_, email)| email))
    }

    fn stored_emails(&self, column: &str, value: Id) -> Result<Vec<(Id, Email<'static>)>> {
        let sql =
            format!("SELECT id, mailbox_ids, keywords, received_at, message_match FROM emails WHERE {column} = ?1");
        self.rows(&sql, [value], |row| {
            let email = Email {
                mailboxes: parse_ids(&row.get::<_, String>(1)?),
                keywords: parse_keywords(&row.get::<_, String>(2)?),
                received_at: row.get::<_, String>(3)?.into(),
                message_match: row.get::<_, String>(4)?.into(),
            };
            Ok((row.get(0)?, email))
        })
    }

    /// The bytes of an email: its blob and their number.
    pub fn email_blob(&self, id: Id) -> Result<Option<(Id, u64)>> {
        let row = self.rows("SELECT blob_id FROM emails WHERE id = ?1", [id], |row| row.get::<_, Id>(0))?.pop();
        let Some(blob) = row else { return Ok(None) };
        let found = blob::find(&self.conn, blob).map_err(|error| self.explain(error))?;
        Ok(found.map(|found| (blob, found.size)))
    }

    /// The mailboxes of an email, its date in seconds since 1970, and its size.
    fn email_place(&self, id: Id) -> Result<Option<(Vec<Id>, i64, u64)>> {
        let found = self.rows("SELECT mailbox_ids, received_at, blob_id FROM emails WHERE id = ?1", [id], |row| {
            Ok((parse_ids(&row.get::<_, String>(0)?), epoch(&row.get::<_, String>(1)?), row.get::<_, Id>(2)?))
        })?;
        let Some((mailboxes, received, blob)) = found.into_iter().next() else { return Ok(None) };
        let size = blob::find(&self.conn, blob).map_err(|error| self.explain(error))?.map_or(0, |blob| blob.size);
        Ok(Some((mailboxes, received, size)))
    }

    fn index(&mut self, listing: &Listing<'_>) -> Result<()> {
        let run = self.run();
        self.touched_mailboxes.extend(index::or_unfiled(listing.mailboxes));
        index::add(&self.conn, listing, run).map_err(|error| self.explain(error))
    }

    fn unindex(&mut self, id: Id, mailboxes: &[Id]) -> Result<()> {
        let run = self.run();
        self.touched_mailboxes.extend(index::or_unfiled(mailboxes));
        index::end(&self.conn, id, index::or_unfiled(mailboxes), run).map_err(|error| self.explain(error))
    }
}
