//! What an archive knows of a source: its scopes, and which item is which row. Readable without a lock.

use super::blob;
use super::kin;
use super::losses::{Losses, losses};
use super::moved;
use super::origin::{KnownItem, KnownScope, Membership, Origin};
use super::query;
use super::read::Reader;
use super::sql_error::explain;
use super::v1;
use super::write::Writer;
use crate::error::Result;
use crate::format::mail::MessageMatch;
use crate::model::{Digest, Id, KnownBy, ObjectType, SourceIdent};
use rusqlite::{Connection, OptionalExtension, params};

/// Knows what was imported before: an archive that is open for writing or for reading, or none.
pub trait OriginIndex {
    /// All scopes of a source.
    fn known_scopes(&self, ident: &SourceIdent) -> Result<Vec<KnownScope>>;

    /// All scopes of other sources of the same type, but for those of containers.
    fn kin_scopes(&self, ident: &SourceIdent) -> Result<Vec<KnownScope>>;

    /// Everything known of a scope, in the order of the keys' bytes.
    fn each_known(&self, scope: i64, each: &mut dyn FnMut(KnownItem<'_>)) -> Result<()>;

    /// The messages that 1.x imported and no source of ours knows yet: each with its key, in the order of the keys' bytes.
    fn adoptable_messages(&self, ident: &SourceIdent, by: &KnownBy) -> Result<Vec<(String, Id)>>;

    /// The size and the digest of a message of the current state. `None` if there is no such row.
    fn bytes_of_email(&self, id: Id) -> Result<Option<(u64, Digest)>>;

    /// How many objects of a type the runs of the last days removed together.
    fn losses(&self, kind: ObjectType) -> Result<Option<Losses>>;

    /// The sources of a kind, in the order in which they came.
    fn sources_of(&self, kind: &'static str) -> Result<Vec<SourceIdent>>;

    /// The key that recognises a message elsewhere (FORMAT.md, `emails.message_match`).
    fn message_match(&self, id: Id) -> Result<Option<MessageMatch>>;

    /// The uid of a card or an event.
    fn uid(&self, kind: ObjectType, id: Id) -> Result<Option<String>>;
}

impl OriginIndex for Writer {
    fn known_scopes(&self, ident: &SourceIdent) -> Result<Vec<KnownScope>> {
        scopes(&self.conn, ident).map_err(|error| self.explain(error))
    }

    fn kin_scopes(&self, ident: &SourceIdent) -> Result<Vec<KnownScope>> {
        kin::scopes(&self.conn, ident).map_err(|error| self.explain(error))
    }

    fn each_known(&self, scope: i64, each: &mut dyn FnMut(KnownItem<'_>)) -> Result<()> {
        visit(&self.conn, scope, each).map_err(|error| self.explain(error))
    }

    fn adoptable_messages(&self, ident: &SourceIdent, by: &KnownBy) -> Result<Vec<(String, Id)>> {
        v1::adoptable_messages(&self.conn, ident, by).map_err(|error| self.explain(error))
    }

    fn bytes_of_email(&self, id: Id) -> Result<Option<(u64, Digest)>> {
        bytes_of(&self.conn, id).map_err(|error| self.explain(error))
    }

    fn losses(&self, kind: ObjectType) -> Result<Option<Losses>> {
        losses(&self.conn, kind).map_err(|error| self.explain(error))
    }

    fn sources_of(&self, kind: &'static str) -> Result<Vec<SourceIdent>> {
        moved::sources(&self.conn, kind).map_err(|error| self.explain(error))
    }

    fn message_match(&self, id: Id) -> Result<Option<MessageMatch>> {
        self.match_of(id)
    }

    fn uid(&self, kind: ObjectType, id: Id) -> Result<Option<String>> {
        self.uid_of(kind, id)
    }
}

impl OriginIndex for Reader {
    fn known_scopes(&self, ident: &SourceIdent) -> Result<Vec<KnownScope>> {
        if self.has_history() { self.with(|conn| scopes(conn, ident)) } else { Ok(Vec::new()) }
    }

    fn kin_scopes(&self, ident: &SourceIdent) -> Result<Vec<KnownScope>> {
        if self.has_history() { self.with(|conn| kin::scopes(conn, ident)) } else { Ok(Vec::new()) }
    }

    fn each_known(&self, scope: i64, each: &mut dyn FnMut(KnownItem<'_>)) -> Result<()> {
        // A dry run is all that asks here, and it is content with what it saw first.
        self.once(|conn| visit(conn, scope, each)).map_err(|error| explain(self.path(), error))
    }

    fn adoptable_messages(&self, ident: &SourceIdent, by: &KnownBy) -> Result<Vec<(String, Id)>> {
        self.with(|conn| v1::adoptable_messages(conn, ident, by))
    }

    fn bytes_of_email(&self, id: Id) -> Result<Option<(u64, Digest)>> {
        self.with(|conn| bytes_of(conn, id))
    }

    fn losses(&self, kind: ObjectType) -> Result<Option<Losses>> {
        if self.has_history() { self.with(|conn| losses(conn, kind)) } else { Ok(None) }
    }

    fn sources_of(&self, kind: &'static str) -> Result<Vec<SourceIdent>> {
        self.with(|conn| moved::sources(conn, kind))
    }

    fn message_match(&self, id: Id) -> Result<Option<MessageMatch>> {
        self.match_of(id)
    }

    fn uid(&self, kind: ObjectType, id: Id) -> Result<Option<String>> {
        self.uid_of(kind, id)
    }
}

impl Reader {
    /// The origins of the objects of a type, as the last listing of each source left them.
    pub fn origins(&self, kind: ObjectType) -> Result<Vec<Origin>> {
        if !self.has_history() {
            return Ok(Vec::new());
        }
        self.with(|conn| {
            let sql =
                "SELECT o.local_id, o.key, o.rev, o.keywords, s.kind, o.scope_id FROM origins o JOIN scopes c ON c.id = o.scope_id
                       JOIN sources s ON s.id = c.source_id WHERE c.kind = ?1";
            query::rows(conn, sql, [kind.name()], |row| {
                Ok(Origin {
                    id: row.get(0)?,
                    key: row.get(1)?,
                    rev: row.get(2)?,
                    keywords: row.get(3)?,
                    source: row.get(4)?,
                    scope: row.get(5)?,
                })
            })
        })
    }
}

/// No archive yet: nothing is known.
pub struct NoOrigins;

impl OriginIndex for NoOrigins {
    fn known_scopes(&self, _: &SourceIdent) -> Result<Vec<KnownScope>> {
        Ok(Vec::new())
    }

    fn kin_scopes(&self, _: &SourceIdent) -> Result<Vec<KnownScope>> {
        Ok(Vec::new())
    }

    fn each_known(&self, _: i64, _: &mut dyn FnMut(KnownItem<'_>)) -> Result<()> {
        Ok(())
    }

    fn adoptable_messages(&self, _: &SourceIdent, _: &KnownBy) -> Result<Vec<(String, Id)>> {
        Ok(Vec::new())
    }

    fn bytes_of_email(&self, _: Id) -> Result<Option<(u64, Digest)>> {
        Ok(None)
    }

    fn losses(&self, _: ObjectType) -> Result<Option<Losses>> {
        Ok(None)
    }

    fn sources_of(&self, _: &'static str) -> Result<Vec<SourceIdent>> {
        Ok(Vec::new())
    }

    fn message_match(&self, _: Id) -> Result<Option<MessageMatch>> {
        Ok(None)
    }

    fn uid(&self, _: ObjectType, _: Id) -> Result<Option<String>> {
        Ok(None)
    }
}

fn bytes_of(conn: &Connection, id: Id) -> rusqlite::Result<Option<(u64, Digest)>> {
    let mut statement = conn.prepare_cached("SELECT blob_id FROM emails WHERE id = ?1")?;
    let Some(blob) = statement.query_row([id], |row| row.get(0)).optional()? else { return Ok(None) };
    Ok(blob::find(conn, blob)?.map(|blob| (blob.size, blob.digest)))
}

fn scopes(conn: &Connection, ident: &SourceIdent) -> rusqlite::Result<Vec<KnownScope>> {
    let source: Option<i64> = conn
        .query_row(
            "SELECT id FROM sources WHERE (kind, session_url, account_id) = (?1, ?2, ?3)",
            params![ident.kind, ident.session_url, ident.account_id],
            |row| row.get(0),
        )
        .optional()?;
    let sql = "SELECT id, kind, key, cursor FROM scopes WHERE source_id IS ?1 ORDER BY id";
    query::rows(conn, sql, [source], KnownScope::of_row)
}

fn visit(conn: &Connection, scope: i64, each: &mut dyn FnMut(KnownItem<'_>)) -> rusqlite::Result<()> {
    let mut statement = conn
        .prepare_cached("SELECT key, rev, keywords, parents, local_id FROM origins WHERE scope_id = ?1 ORDER BY key")?;
    let mut rows = statement.query([scope])?;
    while let Some(row) = rows.next()? {
        let text = |at: usize| row.get_ref(at).and_then(|value| Ok(value.as_str()?));
        each(KnownItem { key: text(0)?, rev: text(1)?, keywords: text(2)?, parents: text(3)?, local_id: row.get(4)? });
    }
    Ok(())
}

impl Writer {
    /// The row of a scope of the run's source, made where it is missing.
    pub fn scope(&mut self, kind: ObjectType, key: &str) -> Result<i64> {
        if let Some(scope) = self.existing_scope(kind, key)? {
            return Ok(scope);
        }
        self.execute(
            "INSERT INTO scopes (source_id, kind, key) VALUES (?1, ?2, ?3)",
            params![self.source, kind.name(), key],
        )?;
        let scope = self.conn.last_insert_rowid();
        self.digest_own("scopes", scope)?;
        Ok(scope)
    }

    /// The row of a scope of the run's source, if there is one.
    pub fn existing_scope(&self, kind: ObjectType, key: &str) -> Result<Option<i64>> {
        Ok(self
            .rows(
                "SELECT id FROM scopes WHERE (source_id, kind, key) = (?1, ?2, ?3)",
                params![self.source, kind.name(), key],
                |row| row.get(0),
            )?
            .pop())
    }

    /// Remembers where the next listing of the scope may go on.
    pub fn set_cursor(&mut self, scope: i64, cursor: &str) -> Result<()> {
        match self.execute("UPDATE scopes SET cursor = ?2 WHERE id = ?1 AND cursor <> ?2", params![scope, cursor])? {
            0 => Ok(()),
            _ => self.digest_own("scopes", scope),
        }
    }

    /// Forgets a scope in which nothing is known any more.
    pub fn drop_scope(&mut self, scope: i64) -> Result<()> {
        self.execute(
            "DELETE FROM scopes WHERE id = ?1 AND NOT EXISTS (SELECT 1 FROM origins WHERE scope_id = ?1)",
            [scope],
        )?;
        self.execute("DELETE FROM row_digests WHERE kind = 'scopes' AND id NOT IN (SELECT id FROM scopes)", [])
            .map(|_| ())
    }

    /// One known item of a scope: its local id and `rev`.
    pub fn known(&self, scope: i64, key: &str) -> Result<Option<(Id, String)>> {
        self.conn
            .prepare_cached("SELECT local_id, rev FROM origins WHERE scope_id = ?1 AND key = ?2")
            .and_then(|mut statement| {
                statement.query_row(params![scope, key], |row| Ok((row.get(0)?, row.get(1)?))).optional()
            })
            .map_err(|error| self.explain(error))
    }

    /// Notes that the item `key` of a scope is the row `id`.
    pub fn link(&mut self, scope: i64, key: &str, rev: &str, membership: &Membership, id: Id) -> Result<()> {
        self.execute(
            "INSERT INTO origins (scope_id, key, rev, keywords, parents, local_id) VALUES (?1, ?2, ?3, ?4, ?5, ?6)
             ON CONFLICT (scope_id, key) DO UPDATE SET rev = excluded.rev, keywords = excluded.keywords, parents = excluded.parents, local_id = excluded.local_id",
            params![scope, key, rev, membership.noted_keywords, membership.noted_containers, id],
        )
        .map(|_| ())
    }

    /// Forgets that the item `key` was in a scope.
    pub fn unlink(&mut self, scope: i64, key: &str) -> Result<()> {
        self.execute("DELETE FROM origins WHERE scope_id = ?1 AND key = ?2", params![scope, key]).map(|_| ())
    }

    /// True if some scope knows the row under this key.
    pub fn is_known_as(&self, id: Id, key: &str) -> Result<bool> {
        Ok(!self
            .rows("SELECT 1 FROM origins WHERE local_id = ?1 AND key = ?2 LIMIT 1", params![id, key], |_| Ok(()))?
            .is_empty())
    }

    /// The keywords and containers of all items that are a row.
    pub fn origins_of(&self, kind: ObjectType, id: Id) -> Result<Vec<Membership>> {
        self.rows(
            "SELECT o.keywords, o.parents FROM origins o JOIN scopes s ON s.id = o.scope_id WHERE o.local_id = ?1 AND s.kind = ?2",
            params![id, kind.name()],
            |row| Ok(Membership::noted(row.get(0)?, row.get(1)?)),
        )
    }
}
