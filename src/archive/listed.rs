//! The messages of a mailbox, as the index lists them (FORMAT.md, `email_index`).

use super::moment::Moment;
use super::query;
use super::read::Reader;
use super::sql_error::require_snapshot;
use crate::error::Result;
use crate::model::Id;
use rusqlite::{OptionalExtension, params};

/// How many flags a message has at most in a file name.
const FLAGS_MAX: usize = 40;

/// One message of a mailbox, as the index lists it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListedEmail {
    /// The row in `emails`.
    pub email: Id,
    /// Seconds since 1970.
    pub received: i64,
    /// Bytes.
    pub size: u64,
    /// How many mailboxes it lies in.
    pub links: u32,
    /// Maildir flags, in order.
    pub flags: Box<str>,
    /// The snapshot in which it became what it is; 0 where that is not known.
    pub first: i64,
}

/// A mailbox at the newest snapshot that changed it: how many messages, how many bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct MailboxState {
    /// How many messages it holds.
    pub emails: u64,
    /// Bytes of these messages, each whole.
    pub bytes: u64,
    /// Date of the newest message, in seconds since 1970.
    pub newest: i64,
    /// The snapshot in which it first held something.
    pub made: i64,
    /// The snapshot that last changed what it holds.
    pub changed: i64,
}

impl Reader {
    /// Messages of a mailbox with ids above `after`, at most `limit`, by id. Only where [`Reader::has_index`].
    pub fn list_mailbox(&self, mailbox: Id, at: i64, after: Id, limit: usize) -> Result<Vec<ListedEmail>> {
        self.with_at(Moment::Snapshot(at), |conn| {
            let sql = "SELECT email_id, received, size, links, flags, first FROM email_index
                       WHERE mailbox_id = ?1 AND email_id > ?2 AND first <= ?3 AND (last IS NULL OR last > ?3) ORDER BY email_id, first LIMIT ?4";
            query::rows(conn, sql, params![mailbox, after, at, limit as i64], listed)
        })
    }

    /// One message of a mailbox. Only where [`Reader::has_index`].
    pub fn listed(&self, mailbox: Id, at: i64, email: Id) -> Result<Option<ListedEmail>> {
        self.with_at(Moment::Snapshot(at), |conn| {
            conn.prepare_cached(
                "SELECT email_id, received, size, links, flags, first FROM email_index
                 WHERE mailbox_id = ?1 AND email_id = ?2 AND first <= ?3 AND (last IS NULL OR last > ?3)",
            )?
            .query_row(params![mailbox, email, at], listed)
            .optional()
        })
    }

    /// A mailbox at a snapshot: how many messages, how many bytes.
    pub fn mailbox_state(&self, mailbox: Id, at: i64) -> Result<MailboxState> {
        self.with_at(Moment::Snapshot(at), |conn| {
            let read = |row: &rusqlite::Row<'_>| {
                Ok(MailboxState {
                    emails: row.get::<_, i64>(0)?.max(0) as u64,
                    bytes: row.get::<_, i64>(1)?.max(0) as u64,
                    newest: row.get(2)?,
                    made: row.get(3)?,
                    changed: row.get(4)?,
                })
            };
            let noted = conn
                .prepare_cached("SELECT emails, bytes, newest, made, changed FROM mailbox_state WHERE mailbox_id = ?1 AND changed <= ?2")?
                .query_row(params![mailbox, at], read)
                .optional()?;
            if let Some(state) = noted {
                return Ok(state);
            }
            conn.prepare_cached(
                "SELECT count(*), coalesce(sum(size), 0), coalesce(max(received), 0), coalesce(min(first), 0),
                        max(coalesce(max(first), 0), coalesce((SELECT max(last) FROM email_index WHERE mailbox_id = ?1 AND last <= ?2), 0))
                 FROM email_index WHERE mailbox_id = ?1 AND first <= ?2 AND (last IS NULL OR last > ?2)",
            )?
            .query_row(params![mailbox, at], read)
        })
    }

    /// The changes of a mailbox between two snapshots: messages of `from` that are not the same at `to`, and messages of
    /// `to` that were not the same at `from`. Only where [`Reader::has_index`].
    pub fn changes_of_mailbox(&self, mailbox: Id, from: i64, to: i64) -> Result<(Vec<ListedEmail>, Vec<ListedEmail>)> {
        self.with_at(Moment::Snapshot(to), |conn| {
            // A snapshot that was forgotten cannot be compared.
            require_snapshot(conn, from)?;
            let select = |which: &str| {
                let sql = format!(
                    "SELECT email_id, received, size, links, flags, first FROM email_index WHERE mailbox_id = ?1 AND {which}"
                );
                query::rows(conn, &sql, params![mailbox, from, to], listed)
            };
            Ok((
                select("first <= ?2 AND last > ?2 AND last <= ?3")?,
                select("first > ?2 AND first <= ?3 AND (last IS NULL OR last > ?3)")?,
            ))
        })
    }

    /// True if some message lies in this mailbox at a snapshot.
    pub fn mailbox_holds_any(&self, mailbox: Id, at: i64) -> Result<bool> {
        Ok(!self.list_mailbox(mailbox, at, 0, 1)?.is_empty())
    }

    /// The keywords that have letters in a mailbox, by letter.
    pub fn mailbox_keywords(&self, mailbox: Id) -> Result<Vec<(u8, String)>> {
        self.with(|conn| {
            let sql = "SELECT letter, keyword FROM mailbox_keywords WHERE mailbox_id = ?1 AND letter BETWEEN 0 AND 25 ORDER BY letter";
            query::rows(conn, sql, [mailbox], |row| Ok((row.get::<_, i64>(0)? as u8, row.get(1)?)))
        })
    }
}

fn listed(row: &rusqlite::Row<'_>) -> rusqlite::Result<ListedEmail> {
    Ok(ListedEmail {
        email: row.get(0)?,
        received: row.get(1)?,
        size: row.get::<_, i64>(2)?.max(0) as u64,
        links: row.get::<_, i64>(3)?.clamp(1, i64::from(u32::MAX)) as u32,
        flags: letters(row.get_ref(4)?.as_str()?),
        first: row.get(5)?,
    })
}

/// Flags become part of a file name, as nothing but letters does.
fn letters(flags: &str) -> Box<str> {
    let is_letter = char::is_ascii_alphabetic;
    match flags.len() <= FLAGS_MAX && flags.chars().all(|letter| is_letter(&letter)) {
        true => flags.into(),
        false => flags.chars().filter(is_letter).take(FLAGS_MAX).collect::<String>().into(),
    }
}
