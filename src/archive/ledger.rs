//! What an archive knows of a source: its scopes, and which item is which row. Readable without a lock.

use super::connect::explain;
use super::read::Reader;
use super::write::Writer;
use crate::error::Result;
use crate::model::{Id, SourceIdent};
use rusqlite::{Connection, OptionalExtension, params};

/// A known item of a scope, as the last run left it.
pub struct Known<'a> {
    pub key: &'a str,
    pub rev: &'a str,
    /// JSON array of keywords.
    pub keywords: &'a str,
    /// JSON array of local container ids.
    pub parents: &'a str,
    pub local_id: Id,
}

/// A known scope.
#[derive(Debug, Clone)]
pub struct KnownScope {
    pub row: i64,
    /// JMAP's name of the type.
    pub kind: String,
    pub key: String,
    pub cursor: String,
}

/// Something that knows what was imported before.
pub trait Ledger {
    /// All scopes of a source.
    fn known_scopes(&self, ident: &SourceIdent) -> Result<Vec<KnownScope>>;

    /// Everything known of a scope, in the order of the keys' bytes.
    fn each_known(&self, scope: i64, each: &mut dyn FnMut(Known<'_>)) -> Result<()>;
}

impl Ledger for Writer {
    fn known_scopes(&self, ident: &SourceIdent) -> Result<Vec<KnownScope>> {
        scopes(&self.conn, ident).map_err(|error| self.explain(error))
    }

    fn each_known(&self, scope: i64, each: &mut dyn FnMut(Known<'_>)) -> Result<()> {
        visit(&self.conn, scope, each).map_err(|error| self.explain(error))
    }
}

impl Ledger for Reader {
    fn known_scopes(&self, ident: &SourceIdent) -> Result<Vec<KnownScope>> {
        if self.has_history() { self.with(|conn| scopes(conn, ident)) } else { Ok(Vec::new()) }
    }

    fn each_known(&self, scope: i64, each: &mut dyn FnMut(Known<'_>)) -> Result<()> {
        // A dry run is all that asks here, and it is content with what it saw first.
        self.once(|conn| visit(conn, scope, each)).map_err(|error| explain(self.path(), error))
    }
}

/// No archive yet: nothing is known.
pub struct Blank;

impl Ledger for Blank {
    fn known_scopes(&self, _: &SourceIdent) -> Result<Vec<KnownScope>> {
        Ok(Vec::new())
    }

    fn each_known(&self, _: i64, _: &mut dyn FnMut(Known<'_>)) -> Result<()> {
        Ok(())
    }
}

fn scopes(conn: &Connection, ident: &SourceIdent) -> rusqlite::Result<Vec<KnownScope>> {
    let source: Option<i64> = conn
        .query_row(
            "SELECT id FROM sources WHERE (kind, session_url, account_id) = (?1, ?2, ?3)",
            params![ident.kind, ident.session_url, ident.account_id],
            |row| row.get(0),
        )
        .optional()?;
    conn.prepare_cached("SELECT id, kind, key, cursor FROM scopes WHERE source_id IS ?1 ORDER BY id")?
        .query_map([source], |row| {
            Ok(KnownScope { row: row.get(0)?, kind: row.get(1)?, key: row.get(2)?, cursor: row.get(3)? })
        })?
        .collect()
}

fn visit(conn: &Connection, scope: i64, each: &mut dyn FnMut(Known<'_>)) -> rusqlite::Result<()> {
    let mut statement = conn
        .prepare_cached("SELECT key, rev, keywords, parents, local_id FROM origins WHERE scope_id = ?1 ORDER BY key")?;
    let mut rows = statement.query([scope])?;
    while let Some(row) = rows.next()? {
        let text = |at: usize| row.get_ref(at).and_then(|value| Ok(value.as_str()?));
        each(Known { key: text(0)?, rev: text(1)?, keywords: text(2)?, parents: text(3)?, local_id: row.get(4)? });
    }
    Ok(())
}
