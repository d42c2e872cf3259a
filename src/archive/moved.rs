//! Gives the source of an account that has moved its new address, and reads the keys that prove that it is the same one.

use super::query;
use super::read::Reader;
use super::sql_error::explain;
use super::write::Writer;
use crate::error::Result;
use crate::format::mail::MessageMatch;
use crate::model::{Id, ObjectType, SourceIdent};
use rusqlite::{Connection, OptionalExtension, params};

/// The sources of this kind that an archive holds, in the order in which they came. Files named one by one cannot move.
pub(super) fn sources(conn: &Connection, kind: &'static str) -> rusqlite::Result<Vec<SourceIdent>> {
    let sql = "SELECT session_url, account_id, account_name, username FROM sources
               WHERE kind = ?1 AND session_url <> ?2 ORDER BY id";
    query::rows(conn, sql, [kind, SourceIdent::LOOSE_FILES], |row| {
        Ok(SourceIdent {
            kind,
            session_url: row.get(0)?,
            account_id: row.get(1)?,
            account_name: row.get(2)?,
            username: row.get(3)?,
        })
    })
}

/// The key that recognises a message elsewhere (FORMAT.md, `emails.message_match`).
fn message_match(conn: &Connection, id: Id) -> rusqlite::Result<Option<MessageMatch>> {
    conn.prepare_cached("SELECT message_match FROM emails WHERE id = ?1")?
        .query_row([id], |row| Ok(MessageMatch::parse(row.get_ref(0)?.as_str()?)))
        .optional()
}

/// The uid of a card or an event.
fn uid(conn: &Connection, kind: ObjectType, id: Id) -> rusqlite::Result<Option<String>> {
    let sql = match kind {
        ObjectType::ContactCard => "SELECT uid FROM contact_cards WHERE id = ?1",
        ObjectType::CalendarEvent => "SELECT data ->> 'uid' FROM calendar_events WHERE id = ?1",
        _ => return Ok(None),
    };
    Ok(conn.prepare_cached(sql)?.query_row([id], |row| row.get(0)).optional()?.flatten())
}

impl Writer {
    /// Gives a source another address. The caller has proved that it is the same account.
    pub fn rename_source(&mut self, from: &SourceIdent, to: &SourceIdent) -> Result<()> {
        self.begin()?;
        self.execute(
            "UPDATE sources SET session_url = ?4, account_id = ?5, account_name = ?6, username = ?7
             WHERE (kind, session_url, account_id) = (?1, ?2, ?3)",
            params![
                from.kind,
                from.session_url,
                from.account_id,
                to.session_url,
                to.account_id,
                to.account_name,
                to.username
            ],
        )?;
        self.digest_all_of("sources")?;
        self.commit()
    }

    /// See [`super::OriginIndex::message_match`].
    pub(super) fn match_of(&self, id: Id) -> Result<Option<MessageMatch>> {
        message_match(&self.conn, id).map_err(|error| self.explain(error))
    }

    /// See [`super::OriginIndex::uid`].
    pub(super) fn uid_of(&self, kind: ObjectType, id: Id) -> Result<Option<String>> {
        uid(&self.conn, kind, id).map_err(|error| self.explain(error))
    }
}

impl Reader {
    /// See [`super::OriginIndex::message_match`].
    pub(super) fn match_of(&self, id: Id) -> Result<Option<MessageMatch>> {
        self.once(|conn| message_match(conn, id)).map_err(|error| explain(self.path(), error))
    }

    /// See [`super::OriginIndex::uid`].
    pub(super) fn uid_of(&self, kind: ObjectType, id: Id) -> Result<Option<String>> {
        self.once(|conn| uid(conn, kind, id)).map_err(|error| explain(self.path(), error))
    }
}
