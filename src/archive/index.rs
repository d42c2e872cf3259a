//! `email_index`: which message lies in which mailbox, since when and until when, under which flags.
//!
//! It holds nothing that the content tables and the history do not say, but says it in the order in which a mailbox
//! is listed, so that a folder of any snapshot is one range scan. Archives of 1.x lack it; readers then compute it.

use super::digest;
use super::write::Writer;
use crate::error::Result;
use crate::format::maildir::{self, Flags, Keywords};
use crate::model::{Id, ObjectType};
use rusqlite::types::Value;
use rusqlite::{Connection, params};
use std::collections::BTreeSet;

/// The mailbox of emails that lie in none.
pub const UNFILED: Id = 0;

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
        self.touched_mailboxes.extend(or_unfiled(mailboxes));
        add(&self.conn, id, mailboxes, keywords, received, size, run).map_err(|error| self.explain(error))
    }

    fn unindex(&mut self, id: Id, mailboxes: &[Id]) -> Result<()> {
        let run = self.run();
        self.touched_mailboxes.extend(or_unfiled(mailboxes));
        end(&self.conn, id, or_unfiled(mailboxes), run).map_err(|error| self.explain(error))
    }
}

fn or_unfiled(mailboxes: &[Id]) -> impl Iterator<Item = Id> + '_ {
    mailboxes.iter().copied().chain(mailboxes.is_empty().then_some(UNFILED))
}

fn add(
    conn: &Connection,
    email: Id,
    mailboxes: &[Id],
    keywords: &str,
    received: i64,
    size: u64,
    first: i64,
) -> rusqlite::Result<()> {
    let keywords = parse_keywords(keywords);
    for mailbox in or_unfiled(mailboxes) {
        let flags = flags(conn, mailbox, &keywords)?;
        conn.prepare_cached("INSERT OR REPLACE INTO email_index (mailbox_id, email_id, first, last, received, size, links, flags) VALUES (?1, ?2, ?3, NULL, ?4, ?5, ?6, ?7)")?
            .execute(params![mailbox, email, first, received, size as i64, mailboxes.len().max(1) as i64, flags])?;
    }
    Ok(())
}

fn end(conn: &Connection, email: Id, mailboxes: impl Iterator<Item = Id>, run: i64) -> rusqlite::Result<()> {
    for mailbox in mailboxes {
        conn.prepare_cached("DELETE FROM email_index WHERE mailbox_id = ?1 AND email_id = ?2 AND first = ?3")?
            .execute(params![mailbox, email, run])?;
        conn.prepare_cached(
            "UPDATE email_index SET last = ?3 WHERE mailbox_id = ?1 AND email_id = ?2 AND last IS NULL",
        )?
        .execute(params![mailbox, email, run])?;
    }
    Ok(())
}

/// The Maildir flags of a message in a mailbox. A keyword met for the first time there gets the next free letter.
fn flags(conn: &Connection, mailbox: Id, keywords: &[String]) -> rusqlite::Result<String> {
    let own: Vec<&str> = keywords.iter().map(String::as_str).filter(|keyword| maildir::needs_letter(keyword)).collect();
    if own.is_empty() {
        return Ok(Flags::from_keywords(keywords.iter().map(String::as_str), &Keywords::default()).letters());
    }
    let mut named: Vec<String> = conn
        .prepare_cached("SELECT keyword FROM mailbox_keywords WHERE mailbox_id = ?1 ORDER BY letter")?
        .query_map([mailbox], |row| row.get(0))?
        .collect::<rusqlite::Result<_>>()?;
    for keyword in own {
        // Maildir has letters for 26 keywords a folder; the others are only in the row (and xattrs).
        if named.len() < 26 && !named.iter().any(|known| known.eq_ignore_ascii_case(keyword)) {
            conn.prepare_cached("INSERT INTO mailbox_keywords (mailbox_id, letter, keyword) VALUES (?1, ?2, ?3)")?
                .execute(params![mailbox, named.len() as i64, keyword])?;
            digest::digest_row(conn, "mailbox_keywords", mailbox * 32 + named.len() as i64)?;
            named.push(keyword.to_owned());
        }
    }
    Ok(letters(&named, keywords))
}

/// The Maildir flags of a message with these keywords, where the keywords of its mailbox have letters in this order.
pub fn letters(named: &[String], keywords: &[String]) -> String {
    let table = Keywords::assign(named.iter().take(26).map(String::as_str));
    Flags::from_keywords(keywords.iter().map(String::as_str), &table).letters()
}

/// Makes the index of all emails anew, as of snapshot `run`. Former states are dropped.
pub fn rebuild(conn: &Connection, run: i64) -> rusqlite::Result<()> {
    conn.execute_batch(
        "DELETE FROM email_index; DELETE FROM mailbox_state; DELETE FROM row_digests WHERE kind = 'mailbox_state';",
    )?;
    let mut statement = conn.prepare(
        "SELECT e.id, e.mailbox_ids, e.keywords, e.received_at, e.blob_id, coalesce(s.first, 0)
         FROM emails e LEFT JOIN since s ON s.kind = 'Email' AND s.id = e.id ORDER BY e.id",
    )?;
    let mut rows = statement.query([])?;
    let mut mailboxes_seen = BTreeSet::new();
    while let Some(row) = rows.next()? {
        let mailboxes = parse_ids(&row.get::<_, String>(1)?);
        let size = super::blob::find(conn, row.get(4)?)?.map_or(0, |blob| blob.size);
        mailboxes_seen.extend(or_unfiled(&mailboxes));
        add(
            conn,
            row.get(0)?,
            &mailboxes,
            &row.get::<_, String>(2)?,
            epoch(&row.get::<_, String>(3)?),
            size,
            row.get(5)?,
        )?;
    }
    summarise(conn, run, &mailboxes_seen)
}

/// Adds the former states of emails to the index, as of snapshot `run`.
pub fn restore_history(conn: &Connection, run: i64) -> rusqlite::Result<()> {
    let mut mailboxes_seen = BTreeSet::new();
    let mut statement = conn.prepare("SELECT id, first, last, fields, blob_id FROM history WHERE kind = 'Email'")?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        let (id, first, last): (Id, i64, i64) = (row.get(0)?, row.get(1)?, row.get(2)?);
        let fields: serde_json::Value = serde_json::from_str(&row.get::<_, String>(3)?).unwrap_or_default();
        let text = |name: &str| fields.get(name).and_then(|value| value.as_str()).unwrap_or_default().to_owned();
        let size = super::blob::find(conn, row.get(4)?)?.map_or(0, |blob| blob.size);
        let keywords = parse_keywords(&text("keywords"));
        let mailboxes = parse_ids(&text("mailbox_ids"));
        mailboxes_seen.extend(or_unfiled(&mailboxes));
        for mailbox in or_unfiled(&mailboxes) {
            let flags = flags(conn, mailbox, &keywords)?;
            conn.prepare_cached("INSERT OR IGNORE INTO email_index (mailbox_id, email_id, first, last, received, size, links, flags) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)")?
                .execute(params![mailbox, id, first, last, epoch(&text("received_at")), size as i64, mailboxes.len().max(1) as i64, flags])?;
        }
    }
    // Also of those in which nothing lies now.
    summarise(conn, run, &mailboxes_seen)
}

/// Notes what stands in the mailboxes that a run touched.
pub fn summarise(conn: &Connection, run: i64, mailboxes: &BTreeSet<Id>) -> rusqlite::Result<()> {
    for mailbox in mailboxes {
        conn.prepare_cached(
            "INSERT OR REPLACE INTO mailbox_state (mailbox_id, emails, bytes, newest, made, changed)
             SELECT ?1, count(*) FILTER (WHERE last IS NULL), coalesce(sum(size) FILTER (WHERE last IS NULL), 0),
                    coalesce(max(received) FILTER (WHERE last IS NULL), 0), coalesce(min(first), ?2), ?2
             FROM email_index WHERE mailbox_id = ?1",
        )?
        .execute(params![mailbox, run])?;
        digest::digest_row(conn, "mailbox_state", *mailbox)?;
    }
    Ok(())
}

/// The array of a `mailbox_ids` column. Whatever is no positive number is left out.
pub fn parse_ids(json: &str) -> Vec<Id> {
    let values: Vec<serde_json::Value> = serde_json::from_str(json).unwrap_or_default();
    let mut ids: Vec<Id> = values.iter().filter_map(|value| value.as_i64()).filter(|id| *id > 0).collect();
    ids.sort_unstable();
    ids.dedup();
    ids
}

/// The array of a `keywords` column.
pub fn parse_keywords(json: &str) -> Vec<String> {
    serde_json::from_str(json).unwrap_or_default()
}

/// `[3,7]`
pub fn ids_json(ids: &[Id]) -> String {
    serde_json::to_string(ids).unwrap_or_else(|_| "[]".to_owned())
}

/// Seconds since 1970 as RFC 3339 in UTC. Years beyond 0000-9999 are cut there.
pub fn rfc3339(seconds: i64) -> String {
    let seconds = seconds.clamp(-62_167_219_200, 253_402_207_200);
    jiff::Timestamp::from_second(seconds)
        .map(|time| time.strftime("%Y-%m-%dT%H:%M:%SZ").to_string())
        .unwrap_or_else(|_| "1970-01-01T00:00:00Z".to_owned())
}

/// Seconds since 1970 of an RFC 3339 date-time with any offset; 0 where it is none.
pub fn epoch(text: &str) -> i64 {
    text.parse::<jiff::Timestamp>().map(|time| time.as_second()).unwrap_or(0)
}
