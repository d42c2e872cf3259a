//! `email_index`: which message lies in which mailbox, since when and until when, under which flags.
//!
//! It holds nothing that the content tables and the history do not say, but says it in the order in which a mailbox
//! is listed, so that a folder of any snapshot is one range scan. Archives of 1.x lack it; readers then compute it.

use super::blob;
use super::columns::{UNFILED, parse_ids, parse_keywords};
use super::digest;
use super::query;
use crate::format::maildir::{self, Flags, Keywords};
use crate::model::Id;
use crate::model::time::epoch;
use rusqlite::{Connection, params};
use std::collections::BTreeSet;

/// The mailboxes that the index lists an email in: [`UNFILED`] for one that lies in none.
pub(super) fn or_unfiled(mailboxes: &[Id]) -> impl Iterator<Item = Id> + '_ {
    mailboxes.iter().copied().chain(mailboxes.is_empty().then_some(UNFILED))
}

/// An email as the index lists it in each of its mailboxes.
pub(super) struct Listing<'a> {
    pub(super) email: Id,
    pub(super) mailboxes: &'a [Id],
    pub(super) keywords: &'a [String],
    /// Seconds since 1970.
    pub(super) received: i64,
    /// Bytes.
    pub(super) size: u64,
}

/// Lists an email in its mailboxes, from snapshot `first` on.
pub(super) fn add(conn: &Connection, listing: &Listing<'_>, first: i64) -> rusqlite::Result<()> {
    let Listing { email, mailboxes, keywords, received, size } = *listing;
    for mailbox in or_unfiled(mailboxes) {
        let flags = flags(conn, mailbox, keywords)?;
        conn.prepare_cached("INSERT OR REPLACE INTO email_index (mailbox_id, email_id, first, last, received, size, links, flags) VALUES (?1, ?2, ?3, NULL, ?4, ?5, ?6, ?7)")?
            .execute(params![mailbox, email, first, received, size as i64, mailboxes.len().max(1) as i64, flags])?;
    }
    Ok(())
}

/// Ends the lines of an email in these mailboxes at snapshot `run`.
pub(super) fn end(conn: &Connection, email: Id, mailboxes: impl Iterator<Item = Id>, run: i64) -> rusqlite::Result<()> {
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
    let sql = "SELECT keyword FROM mailbox_keywords WHERE mailbox_id = ?1 ORDER BY letter";
    let mut named: Vec<String> = query::column(conn, sql, [mailbox])?;
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
pub(super) fn letters(named: &[String], keywords: &[String]) -> String {
    let table = Keywords::assign(named.iter().take(26).map(String::as_str));
    Flags::from_keywords(keywords.iter().map(String::as_str), &table).letters()
}

/// Makes the index of all emails anew, as of snapshot `run`. Former states are dropped.
pub(super) fn rebuild(conn: &Connection, run: i64) -> rusqlite::Result<()> {
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
        let (mailboxes, keywords) = (parse_ids(&row.get::<_, String>(1)?), parse_keywords(&row.get::<_, String>(2)?));
        mailboxes_seen.extend(or_unfiled(&mailboxes));
        let listing = Listing {
            email: row.get(0)?,
            mailboxes: &mailboxes,
            keywords: &keywords,
            received: epoch(&row.get::<_, String>(3)?),
            size: blob::find(conn, row.get(4)?)?.map_or(0, |blob| blob.size),
        };
        add(conn, &listing, row.get(5)?)?;
    }
    summarise(conn, run, &mailboxes_seen)
}

/// Adds the former states of emails to the index, as of snapshot `run`.
pub(super) fn restore_history(conn: &Connection, run: i64) -> rusqlite::Result<()> {
    let mut mailboxes_seen = BTreeSet::new();
    let mut statement = conn.prepare("SELECT id, first, last, fields, blob_id FROM history WHERE kind = 'Email'")?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        let (id, first, last): (Id, i64, i64) = (row.get(0)?, row.get(1)?, row.get(2)?);
        let fields: serde_json::Value = serde_json::from_str(&row.get::<_, String>(3)?).unwrap_or_default();
        let text = |name: &str| fields.get(name).and_then(|value| value.as_str()).unwrap_or_default().to_owned();
        let size = blob::find(conn, row.get(4)?)?.map_or(0, |blob| blob.size);
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
pub(super) fn summarise(conn: &Connection, run: i64, mailboxes: &BTreeSet<Id>) -> rusqlite::Result<()> {
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
