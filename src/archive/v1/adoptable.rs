//! The tables in which 1.x noted which object of a source each row is: `sync_id_imap`, `sync_id_jmap`, ….

use crate::archive::query;
use crate::archive::schema::Table;
use crate::model::{Id, KnownBy, ObjectType, SourceIdent};
use rusqlite::{Connection, params};

/// True of a row `t.local_id` of the type `?2` that no source of ours knows.
const IS_ORPHAN: &str = "NOT EXISTS (SELECT 1 FROM origins o JOIN scopes s ON s.id = o.scope_id
    WHERE o.local_id = t.local_id AND s.kind = ?2)";

/// The messages that 1.x imported from a source and no source of ours knows yet: each with its key, in the order of the
/// keys' bytes.
pub(crate) fn adoptable_messages(
    conn: &Connection,
    ident: &SourceIdent,
    by: &KnownBy,
) -> rusqlite::Result<Vec<(String, Id)>> {
    let (table, key, mailbox) = match by {
        KnownBy::Uid { mailbox } => ("sync_id_imap", "t.uidvalidity || '.' || t.uid", Some(mailbox)),
        KnownBy::JmapId => ("sync_id_jmap", "t.jmap_id", None),
    };
    let tables = "SELECT count(*) FROM sqlite_schema WHERE type = 'table' AND name IN (?1, 'origins', 'scopes')";
    if conn.query_row(tables, [table], |row| row.get::<_, i64>(0))? != 3 {
        return Ok(Vec::new());
    }
    let folder = if mailbox.is_some() { "t.folder" } else { "NULL" };
    let sql = format!(
        "SELECT {key}, t.local_id FROM {table} t JOIN sources n ON n.id = t.source_id JOIN emails e ON e.id = t.local_id
         WHERE (n.kind, n.session_url, n.account_id) = (?1, ?3, ?4) AND lower(t.type_name) = 'email'
           AND {folder} IS ?5 AND {IS_ORPHAN}"
    );
    let parameters = params![ident.kind, ObjectType::Email.name(), ident.session_url, ident.account_id, mailbox];
    let mut found = query::rows(conn, &sql, parameters, |row| Ok((row.get(0)?, row.get(1)?)))?;
    found.sort_unstable();
    Ok(found)
}

/// The row of an object of a JMAP source, if no source of ours knows it yet.
pub(super) fn by_jmap_id(
    conn: &Connection,
    source: i64,
    kind: ObjectType,
    jmap_id: &str,
) -> rusqlite::Result<Option<Id>> {
    if !has_table(conn, "sync_id_jmap")? {
        return Ok(None);
    }
    let sql = format!(
        "SELECT t.local_id FROM sync_id_jmap t JOIN {} e ON e.id = t.local_id
         WHERE t.source_id = ?1 AND t.type_name = ?2 AND t.jmap_id = ?3 AND {IS_ORPHAN}",
        Table::of(kind).name
    );
    Ok(query::column(conn, &sql, params![source, kind.name(), jmap_id])?.pop())
}

/// The rows that 1.x imported from a source and no source of ours knows: emails, scripts, and of JMAP everything that is
/// no container. `source_kind` is `imap`, `jmap`, ….
pub(super) fn never_adopted(
    conn: &Connection,
    source: i64,
    source_kind: &str,
) -> rusqlite::Result<Vec<(ObjectType, Id)>> {
    const OF_JMAP: [ObjectType; 7] = [
        ObjectType::Email,
        ObjectType::ContactCard,
        ObjectType::CalendarEvent,
        ObjectType::SieveScript,
        ObjectType::FileNode,
        ObjectType::Identity,
        ObjectType::ParticipantIdentity,
    ];
    let table = format!("sync_id_{source_kind}");
    if !has_table(conn, &table)? {
        return Ok(Vec::new());
    }
    // The table of ManageSieve has no column for the type.
    let (kinds, condition): (&[ObjectType], _) = match source_kind {
        "managesieve" => (&[ObjectType::SieveScript], "?3 = ?3"),
        "jmap" => (&OF_JMAP, "lower(t.type_name) = ?3"),
        _ => (&[ObjectType::Email], "lower(t.type_name) = ?3"),
    };
    let mut found = Vec::new();
    for kind in kinds {
        let is_file = if *kind == ObjectType::FileNode { "AND e.node_type <> 'directory'" } else { "" };
        let sql = format!(
            "SELECT DISTINCT t.local_id FROM {table} t JOIN {} e ON e.id = t.local_id
             WHERE t.source_id = ?1 AND {condition} {is_file} AND {IS_ORPHAN}",
            Table::of(*kind).name
        );
        let ids = query::column(conn, &sql, params![source, kind.name(), kind.token()])?;
        found.extend(ids.into_iter().map(|id| (*kind, id)));
    }
    Ok(found)
}

fn has_table(conn: &Connection, name: &str) -> rusqlite::Result<bool> {
    conn.prepare_cached("SELECT 1 FROM sqlite_schema WHERE type = 'table' AND name = ?1")?.exists([name])
}
