//! Digests of rows: what a row of the archive was when this program wrote it.
//!
//! Bytes have their own digest in `blobs`. Names, parents, flags, dates and everything else that no other row repeats
//! has one in `row_digests`, written in the transaction that writes the row (FORMAT.md, "What proves a row"). With it
//! `verify` sees edits, and the next import sees which rows 1.x removed, changed or gave to other objects.

use super::query;
use super::schema::{TABLES, Table};
use super::v1::identity::identity;
use crate::model::{Id, ObjectType};
use rusqlite::functions::FunctionFlags;
use rusqlite::types::ValueRef;
use rusqlite::{Connection, OptionalExtension, params};
use std::collections::BTreeMap;

/// Bytes of a digest of a row: half of BLAKE3's, which is plenty against accidents and edits by hand.
const LENGTH: usize = 16;

/// Adds the SQL function `row_digest(…)` to a connection: BLAKE3 over its arguments, each with its type and length.
pub(super) fn add_function(conn: &Connection) -> rusqlite::Result<()> {
    let flags = FunctionFlags::SQLITE_UTF8 | FunctionFlags::SQLITE_DETERMINISTIC | FunctionFlags::SQLITE_DIRECTONLY;
    conn.create_scalar_function("row_digest", -1, flags, |context| {
        let mut hasher = blake3::Hasher::new();
        for at in 0..context.len() {
            let mut bytes = |kind: u8, value: &[u8]| {
                hasher.update(&[kind]).update(&(value.len() as u64).to_le_bytes()).update(value);
            };
            match context.get_raw(at) {
                ValueRef::Null => bytes(0, &[]),
                ValueRef::Integer(number) => bytes(1, &number.to_le_bytes()),
                ValueRef::Real(number) => bytes(2, &number.to_le_bytes()),
                ValueRef::Text(text) => bytes(3, text),
                ValueRef::Blob(blob) => bytes(4, blob),
            }
        }
        Ok(hasher.finalize().as_bytes()[..LENGTH].to_vec())
    })
}

/// Rows that have digests: those of a content table, or of a table of ours.
pub(super) struct Digested {
    /// The value of `row_digests.kind`: JMAP's name of the type, or the name of the table.
    pub name: &'static str,
    /// The tables, with what the digest covers beside the row.
    from: String,
    /// SQL of the value of `row_digests.id`.
    id: String,
    digest: String,
    /// SQL of the value that stays as long as the row is the same object ([`super::v1`]).
    identity: String,
    /// The row's columns as JSON, where there are few such rows and former snapshots need them.
    fields: String,
}

impl Digested {
    /// The rows of a content table.
    pub(super) fn content(kind: ObjectType) -> Digested {
        let table = Table::of(kind);
        let columns: Vec<String> = table.columns.iter().map(|column| format!("t.{}", column.name)).collect();
        let name = kind.name();
        let blob = if table.has_blob { "b.hash" } else { "NULL" };
        let join = if table.has_blob { "LEFT JOIN blobs b ON b.id = t.blob_id" } else { "" };
        let fields = match kind {
            ObjectType::Mailbox | ObjectType::Calendar | ObjectType::AddressBook => table.fields_json("t."),
            ObjectType::FileNode => {
                format!("CASE t.node_type WHEN 'directory' THEN {} END", table.fields_json("t."))
            }
            _ => "NULL".to_owned(),
        };
        Digested {
            name,
            from: format!(
                "{} t LEFT JOIN since s ON s.kind = '{name}' AND s.id = t.id {join}
                 LEFT JOIN originals o ON o.kind = '{name}' AND o.id = t.id LEFT JOIN blobs ob ON ob.id = o.blob_id",
                table.name
            ),
            id: "t.id".to_owned(),
            digest: format!("row_digest('{name}', t.id, s.first, {}, {blob}, ob.hash, o.ranges)", columns.join(", ")),
            identity: identity(kind).to_owned(),
            fields,
        }
    }

    /// All rows that have digests.
    pub(super) fn all() -> impl Iterator<Item = Digested> {
        TABLES.iter().map(|table| Digested::content(table.kind)).chain(OWN.iter().map(Digested::own))
    }

    fn own(own: &Own) -> Digested {
        let name = own.name;
        Digested {
            name,
            from: format!("{} t", own.from),
            id: own.id.to_owned(),
            digest: format!("row_digest('{name}', {})", own.values),
            identity: "NULL".to_owned(),
            fields: "NULL".to_owned(),
        }
    }

    /// Writes the digests of all rows, or of the one with this id.
    pub(crate) fn write(&self, conn: &Connection, id: Option<Id>) -> rusqlite::Result<()> {
        let sql = format!(
            "INSERT OR REPLACE INTO row_digests (kind, id, digest, identity, fields)
             SELECT '{}', {}, {}, {}, {} FROM {} WHERE {} = ?1 OR ?1 IS NULL",
            self.name, self.id, self.digest, self.identity, self.fields, self.from, self.id
        );
        let sql = if id.is_some() { sql.trim_end_matches(" OR ?1 IS NULL") } else { &sql };
        conn.prepare_cached(sql)?.execute(params![id]).map(|_| ())
    }

    /// Ids of rows whose digest is another one, or that have none.
    pub(super) fn differing(&self, conn: &Connection) -> rusqlite::Result<Vec<Id>> {
        self.ids(conn, &format!("d.digest IS NOT {}", self.digest))
    }

    /// Ids of rows whose digest is right, but not what is kept beside it for the time after 1.x.
    pub(super) fn differing_beside(&self, conn: &Connection) -> rusqlite::Result<Vec<Id>> {
        let condition = format!(
            "d.digest IS {} AND (d.identity IS NOT {} OR d.fields IS NOT {})",
            self.digest, self.identity, self.fields
        );
        self.ids(conn, &condition)
    }

    /// SQL that is true of a row with a digest `d` if another object had its id when the digest was written.
    pub(super) fn is_other_object(&self) -> String {
        format!("(d.identity IS NOT NULL AND d.identity IS NOT {})", self.identity)
    }

    /// Ids of rows `t` with digests `d` of which an SQL condition is true. Rows without a digest have NULL for `d`.
    pub(super) fn ids(&self, conn: &Connection, condition: &str) -> rusqlite::Result<Vec<Id>> {
        let sql = format!(
            "SELECT {} FROM {} LEFT JOIN row_digests d ON d.kind = '{}' AND d.id = {} WHERE {condition} ORDER BY 1",
            self.id, self.from, self.name, self.id
        );
        query::column(conn, &sql, [])
    }

    /// True if the digest of a row is right with another value in the place of a column.
    pub(super) fn holds_with(&self, conn: &Connection, id: Id, column: &str, value: &str) -> rusqlite::Result<bool> {
        let sql = format!(
            "SELECT d.digest IS {} FROM {} JOIN row_digests d ON d.kind = '{}' AND d.id = {} WHERE {} = ?1",
            self.digest.replace(column, "?2"),
            self.from,
            self.name,
            self.id,
            self.id
        );
        Ok(conn.query_row(&sql, params![id, value], |row| row.get(0)).optional()?.unwrap_or(false))
    }

    /// Ids of digests whose row is gone.
    pub(super) fn gone(&self, conn: &Connection) -> rusqlite::Result<Vec<Id>> {
        let sql = format!(
            "SELECT id FROM row_digests WHERE kind = '{}' AND id NOT IN (SELECT {} FROM {}) ORDER BY id",
            self.name, self.id, self.from
        );
        query::column(conn, &sql, [])
    }
}

/// Rows of a table of ours that have digests.
struct Own {
    /// The value of `row_digests.kind`: the name of the table.
    name: &'static str,
    /// The rows.
    from: &'static str,
    /// SQL of the value of `row_digests.id`, over the alias `t`.
    id: &'static str,
    /// SQL of the values that the digest covers, over the alias `t`.
    values: &'static str,
}

const fn own(name: &'static str, from: &'static str, id: &'static str, values: &'static str) -> Own {
    Own { name, from, id, values }
}

/// Tables of ours that have digests. The rest is proved by comparing it with what it is made from (`email_index`), or has
/// a digest of its own (`history`), or only costs a second look at the source when it is wrong (`origins` of items).
///
/// The origins of all containers of a source have one digest together: with one of them lost or changed the next import
/// would give the items of one container to another.
const OWN: [Own; 8] = [
    own("snapshots", "snapshots", "t.id", "t.id, t.source_id, t.started, t.ended, t.state, t.program, t.report"),
    own("sources", "sources", "t.id", "t.id, t.kind, t.session_url, t.account_id, t.account_name, t.username"),
    own("scopes", "scopes", "t.id", "t.id, t.source_id, t.kind, t.key, t.cursor"),
    own(
        "mailbox_state",
        "mailbox_state",
        "t.mailbox_id",
        "t.mailbox_id, t.emails, t.bytes, t.newest, t.made, t.changed",
    ),
    own("mailbox_keywords", "mailbox_keywords", "(t.mailbox_id * 32 + t.letter)", "t.mailbox_id, t.letter, t.keyword"),
    own(
        "last_ids",
        "last_ids",
        "instr('Mailbox Email Identity SieveScript AddressBook ContactCard Calendar CalendarEvent ParticipantIdentity FileNode VacationResponse', t.kind)",
        "t.kind, t.id",
    ),
    own(
        ORIGINS,
        "(SELECT id FROM scopes WHERE key = '')",
        "t.id",
        "t.id, (SELECT group_concat(hex(row_digest(o.key, o.rev, o.keywords, o.parents, o.local_id)), '')
                FROM (SELECT * FROM origins WHERE scope_id = t.id ORDER BY key) o)",
    ),
    own(
        SEQUENCE,
        "(SELECT count(*) AS rows, min(seq) AS seq FROM sqlite_sequence WHERE name = 'snapshots')",
        "1",
        "t.rows, t.seq",
    ),
];

/// The origins of the containers of a source. Their digest is written at the end of a run, and is not right during one.
pub(super) const ORIGINS: &str = "origins";

/// Which number the next snapshot gets.
pub(super) const SEQUENCE: &str = "sqlite_sequence";

/// The digest of a row of `history AS h`.
const HISTORY: &str = "row_digest('history', h.kind, h.id, h.first, h.last, h.fields,
    (SELECT hash FROM blobs WHERE id = h.blob_id), (SELECT hash FROM blobs WHERE id = h.original_id), h.ranges)";

/// Rows of `history` whose digest is another one: type, id, first, last.
pub(super) fn differing_history(conn: &Connection) -> rusqlite::Result<Vec<(String, Id, i64, i64)>> {
    let sql = format!("SELECT h.kind, h.id, h.first, h.last FROM history h WHERE h.digest IS NOT {HISTORY}");
    query::rows(conn, &sql, [], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?)))
}

/// The number of rows of `history` per type, and the exclusive or of their digests. They show that a row is missing.
#[derive(Default)]
pub(super) struct Totals(BTreeMap<String, (i64, [u8; LENGTH])>);

impl Totals {
    /// Adds a row.
    fn add(&mut self, kind: &str, digest: &[u8]) {
        let (count, sum) = self.0.entry(kind.to_owned()).or_default();
        *count += 1;
        sum.iter_mut().zip(digest).for_each(|(sum, byte)| *sum ^= byte);
    }

    /// The totals of the rows of `history`.
    fn of(conn: &Connection) -> rusqlite::Result<Totals> {
        let mut totals = Totals::default();
        let mut statement = conn.prepare("SELECT kind, coalesce(digest, x'') FROM history")?;
        let mut rows = statement.query([])?;
        while let Some(row) = rows.next()? {
            totals.add(row.get_ref(0)?.as_str()?, row.get_ref(1)?.as_blob()?);
        }
        Ok(totals)
    }

    /// The totals as `row_digests` has them.
    fn noted(conn: &Connection) -> rusqlite::Result<Totals> {
        let sql = "SELECT fields, digest FROM row_digests WHERE kind = 'history'";
        let mut totals = Totals::default();
        for (text, digest) in
            query::rows(conn, sql, [], |row| Ok((row.get::<_, String>(0)?, row.get::<_, Vec<u8>>(1)?)))?
        {
            if let Some((kind, count)) = text.split_once(' ') {
                totals.add(kind, &digest);
                totals.0.entry(kind.to_owned()).or_default().0 = count.parse().unwrap_or(-1);
            }
        }
        Ok(totals)
    }

    /// Adds these to those that were noted before.
    pub(super) fn note(&mut self, conn: &Connection) -> rusqlite::Result<()> {
        if self.0.is_empty() {
            return Ok(());
        }
        let mut noted = Totals::noted(conn)?;
        for (kind, (count, sum)) in std::mem::take(&mut self.0) {
            noted.add(&kind, &sum);
            noted.0.entry(kind).or_default().0 += count - 1;
        }
        noted.write(conn)
    }

    fn write(&self, conn: &Connection) -> rusqlite::Result<()> {
        conn.prepare_cached("DELETE FROM row_digests WHERE kind = 'history'")?.execute([])?;
        let mut insert =
            conn.prepare_cached("INSERT INTO row_digests (kind, id, digest, fields) VALUES ('history', ?1, ?2, ?3)")?;
        for (at, (kind, (count, sum))) in self.0.iter().enumerate() {
            insert.execute(params![at as i64 + 1, sum, format!("{kind} {count}")])?;
        }
        Ok(())
    }
}

/// Writes the digest of a former state that was just added, and notes it.
pub(super) fn digest_copy(conn: &Connection, kind: &str, id: Id) -> rusqlite::Result<()> {
    let mut totals = Totals::default();
    digest_added(conn, kind, id, &mut totals)?;
    totals.note(conn)
}

/// Writes the digest of a former state that was just added.
pub(super) fn digest_added(conn: &Connection, kind: &str, id: Id, totals: &mut Totals) -> rusqlite::Result<()> {
    let sql = format!(
        "UPDATE history AS h SET digest = {HISTORY} WHERE h.kind = ?1 AND h.id = ?2 AND h.digest IS NULL RETURNING digest"
    );
    for digest in query::column::<Vec<u8>>(conn, &sql, params![kind, id])? {
        totals.add(kind, &digest);
    }
    Ok(())
}

/// Notes anew what the rows of `history` add up to, after some were dropped.
pub(super) fn note_totals(conn: &Connection) -> rusqlite::Result<()> {
    Totals::of(conn)?.write(conn)
}

/// Lines of `row_digests`, `since` and `originals` that belong to no row: each as `table: type, id`.
pub(super) fn strays(conn: &Connection) -> rusqlite::Result<Vec<String>> {
    let mut found = Vec::new();
    let mut look = |table: &str, condition: &str| -> rusqlite::Result<()> {
        let sql = format!("SELECT '{table}: ' || quote(kind) || ', ' || quote(id) FROM {table} WHERE {condition}");
        found.extend(query::column::<String>(conn, &sql, [])?);
        Ok(())
    };
    let names = |names: &mut dyn Iterator<Item = &str>| names.collect::<Vec<_>>().join("', '");
    let contents = names(&mut TABLES.iter().map(|table| table.kind.name()));
    let own = names(&mut OWN.iter().map(|own| own.name));
    look(
        "row_digests",
        &format!("kind NOT IN ('{contents}', '{own}', 'history') OR kind = 'history' AND identity IS NOT NULL"),
    )?;
    for beside in ["since", "originals"] {
        look(beside, &format!("kind NOT IN ('{contents}')"))?;
        for table in &TABLES {
            let name = table.kind.name();
            // One that has a digest is a row that is gone, which is said once.
            let has_digest = format!("(SELECT id FROM row_digests WHERE kind = '{name}')");
            let there = format!("(SELECT id FROM {})", table.name);
            look(beside, &format!("kind = '{name}' AND id NOT IN {there} AND id NOT IN {has_digest}"))?;
        }
    }
    Ok(found)
}

/// Types whose former states are not those that were noted: how many were, and how many there are.
pub(super) fn differing_totals(conn: &Connection) -> rusqlite::Result<Vec<(String, i64, i64)>> {
    let (mut noted, there) = (Totals::noted(conn)?, Totals::of(conn)?);
    let mut differing = Vec::new();
    for (kind, (count, sum)) in there.0 {
        let (written, known) = noted.0.remove(&kind).unwrap_or_default();
        if (written, known) != (count, sum) {
            differing.push((kind, written, count));
        }
    }
    differing
        .extend(noted.0.into_iter().filter(|(_, (count, _))| *count != 0).map(|(kind, (count, _))| (kind, count, 0)));
    Ok(differing)
}

/// Writes the digests of all rows: of an archive that had none, or that 1.x wrote to.
pub(super) fn digest_all(conn: &Connection) -> rusqlite::Result<()> {
    conn.execute("DELETE FROM row_digests", [])?;
    for digested in Digested::all() {
        digested.write(conn, None)?;
    }
    conn.execute(&format!("UPDATE history AS h SET digest = {HISTORY}"), [])?;
    note_totals(conn)
}

/// Writes the digests of all rows of a table of ours, for tables of few rows.
pub(super) fn digest_table(conn: &Connection, name: &str) -> rusqlite::Result<()> {
    conn.prepare_cached("DELETE FROM row_digests WHERE kind = ?1")?.execute([name])?;
    for table in OWN.iter().filter(|own| own.name == name) {
        Digested::own(table).write(conn, None)?;
    }
    Ok(())
}

/// Writes the digest of one row of a table of ours.
pub(super) fn digest_row(conn: &Connection, name: &str, id: i64) -> rusqlite::Result<()> {
    for table in OWN.iter().filter(|own| own.name == name) {
        Digested::own(table).write(conn, Some(id))?;
    }
    Ok(())
}
