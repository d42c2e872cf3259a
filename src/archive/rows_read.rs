//! Rows of content tables, as they are and as they were: the current table and the history together.

use super::columns::parse_ids;
use super::moment::Moment;
use super::read::Reader;
use super::schema::Table;
use super::v1;
use crate::error::Result;
use crate::model::time::epoch;
use crate::model::{Id, ObjectType};
use rusqlite::types::{Value, ValueRef};
use rusqlite::{Connection, OptionalExtension, ffi, params};

/// Text longer than this is not read from a content row: no honest object is described by so much.
const TEXT_MAX: u32 = 32 << 20;

/// A row of a content table, as it was at some moment.
#[derive(Debug, Clone)]
pub struct Record {
    /// The type whose table the row stands in.
    pub kind: ObjectType,
    /// The row's `id`, which an object keeps over all its states.
    pub id: Id,
    /// The snapshot in which it got this state; 0 where that is not known.
    pub first: i64,
    /// The row's `blob_id`: the bytes of a message, a script or a file.
    pub blob: Option<Id>,
    /// The source's own bytes: a blob, and perhaps ranges of it as JSON.
    pub original: Option<(Id, Option<String>)>,
    pub(super) values: Vec<Value>,
}

impl Record {
    fn value(&self, column: &str) -> Option<&Value> {
        let at = Table::of(self.kind).columns.iter().position(|known| known.name == column)?;
        self.values.get(at)
    }

    /// A text column; `None` for NULL, for text too long, and for what is no text.
    pub(super) fn text(&self, column: &str) -> Option<&str> {
        match self.value(column) {
            Some(Value::Text(text)) => Some(text),
            _ => None,
        }
    }

    /// A number column.
    pub(super) fn number(&self, column: &str) -> Option<i64> {
        match self.value(column) {
            Some(Value::Integer(number)) => Some(*number),
            _ => None,
        }
    }

    /// True if both are the same object in the same state, whenever it came to be so.
    pub fn shows_same(&self, other: &Record) -> bool {
        let all = |record: &Record| (record.kind, record.id, record.blob, record.original.clone());
        all(self) == all(other) && self.values == other.values
    }

    /// All columns as JSON, for people and programs.
    pub fn to_json(&self) -> serde_json::Value {
        let mut object = serde_json::Map::new();
        object.insert("id".to_owned(), self.id.into());
        for (column, value) in Table::of(self.kind).columns.iter().zip(&self.values) {
            let json = match value {
                Value::Text(text) if column.absent.starts_with("'[") || column.absent.starts_with("'{") => {
                    serde_json::from_str(text).unwrap_or_else(|_| text.clone().into())
                }
                Value::Text(text) => text.clone().into(),
                Value::Integer(number) => (*number).into(),
                Value::Real(number) => (*number).into(),
                Value::Null | Value::Blob(_) => serde_json::Value::Null,
            };
            object.insert(column.name.to_owned(), json);
        }
        if let Some(blob) = self.blob {
            object.insert("blob_id".to_owned(), blob.into());
        }
        serde_json::Value::Object(object)
    }
}

/// Which rows of a table to read.
#[derive(Clone, Copy)]
pub(super) enum Window {
    One(Id),
    /// Those with greater ids than `after`, at most `limit`.
    After {
        after: Id,
        limit: i64,
    },
}

impl Reader {
    /// Every row of a type at a moment, in no order that means anything.
    pub fn each_record(&self, kind: ObjectType, moment: Moment, mut each: impl FnMut(Record)) -> Result<()> {
        // `with` may run its work twice; `each` gets rows only after a sound pass.
        const PAGE: i64 = 5_000;
        let mut after = i64::MIN;
        loop {
            let window = Window::After { after, limit: PAGE };
            let (last, records) = self.with_at(moment, |conn| self.page(conn, kind, moment, window))?;
            records.into_iter().for_each(&mut each);
            match last {
                Some(last) => after = last,
                None => return Ok(()),
            }
        }
    }

    /// How many rows of a type there are at a moment.
    pub fn count_records(&self, kind: ObjectType, moment: Moment) -> Result<u64> {
        let mut count = 0;
        self.each_record(kind, moment, |_| count += 1)?;
        Ok(count)
    }

    /// One row of a type at a moment.
    pub fn record(&self, kind: ObjectType, moment: Moment, id: Id) -> Result<Option<Record>> {
        Ok(self.with_at(moment, |conn| self.page(conn, kind, moment, Window::One(id)))?.1.into_iter().next())
    }

    /// All rows of a type at a moment, by id.
    pub fn records(&self, kind: ObjectType, moment: Moment) -> Result<Vec<Record>> {
        let mut records = Vec::new();
        self.each_record(kind, moment, |record| records.push(record))?;
        records.sort_by_key(|record| record.id);
        Ok(records)
    }

    /// Rows of a window, from the content table and from the history together; and the id after which the next page begins.
    pub(super) fn page(
        &self,
        conn: &Connection,
        kind: ObjectType,
        moment: Moment,
        window: Window,
    ) -> rusqlite::Result<(Option<Id>, Vec<Record>)> {
        let table = Table::of(kind);
        // A question about a snapshot runs in a transaction already.
        let transaction = conn.is_autocommit().then(|| conn.unchecked_transaction()).transpose()?;
        let mut records = Vec::new();
        let shape = self.shape();
        let last = self.current(conn, table, moment, window, &mut records)?;
        if let Moment::Snapshot(at) = moment {
            let (only, range) = match window {
                Window::One(id) => (Some(id), (id - 1, id)),
                Window::After { after, .. } => (None, (after, last.unwrap_or(i64::MAX))),
            };
            former(conn, table, at, range, &mut records)?;
            if shape.is_after_1x() && last.is_none() {
                records.extend(v1::removed_containers(conn, table, at, only)?.into_iter().map(|removed| Record {
                    kind,
                    id: removed.id,
                    first: removed.first,
                    blob: None,
                    original: None,
                    values: from_fields(table, &removed.fields),
                }));
            }
        }
        if let Some(transaction) = transaction {
            transaction.finish()?;
        }
        Ok((last, records))
    }

    /// The rows of a content table that a moment shows. Gives the last one's id if there may be more.
    fn current(
        &self,
        conn: &Connection,
        table: &Table,
        moment: Moment,
        window: Window,
        records: &mut Vec<Record>,
    ) -> rusqlite::Result<Option<Id>> {
        let shape = self.shape();
        let present = shape.columns.get(table.name).map(Vec::as_slice).unwrap_or_default();
        if present.is_empty() {
            return Ok(None);
        }
        let is_after_1x = shape.is_after_1x() && moment != Moment::Current;
        let mut statement = conn.prepare_cached(&self.select(table, present, moment, window))?;
        let (mut rows, mut previous, limit) = match window {
            Window::One(id) => (statement.query(params![id])?, None, i64::MAX),
            Window::After { after, limit } => (statement.query(params![after, limit])?, Some(after), limit),
        };
        let mut count = 0;
        while let Some(row) = rows.next()? {
            let id: Id = row.get(0)?;
            // A damaged tree can give the same rows again and again.
            if previous.is_some_and(|previous| id <= previous) {
                return Err(rusqlite::Error::SqliteFailure(
                    ffi::Error::new(ffi::SQLITE_CORRUPT),
                    Some("rows out of order".to_owned()),
                ));
            }
            previous = previous.map(|_| id);
            count += 1;
            let first: i64 = row.get(1)?;
            if matches!(moment, Moment::Snapshot(at) if first > at) {
                continue;
            }
            let original = original(row, 3)?;
            let mut values =
                (0..table.columns.len()).map(|at| tolerant(row, 5 + at)).collect::<rusqlite::Result<_>>()?;
            if is_after_1x {
                let after_columns = 5 + table.columns.len();
                if !row.get::<_, bool>(after_columns)? {
                    continue;
                }
                if let Some(copy) = row.get::<_, Option<String>>(after_columns + 1)? {
                    values = from_fields(table, &copy);
                }
            }
            // A value that is no number refers to no blob; `verify` says so.
            let blob = row.get_ref(2)?.as_i64().ok();
            records.push(Record { kind: table.kind, id, first, blob, original, values });
        }
        Ok(previous.filter(|_| count == limit))
    }

    /// `SELECT id, first, blob, original blob, its ranges, columns…` with stand-ins for what an old archive lacks.
    fn select(&self, table: &Table, present: &[String], moment: Moment, window: Window) -> String {
        let columns: Vec<String> = table
            .columns
            .iter()
            .map(|column| {
                if present.iter().any(|name| name == column.name) {
                    format!("CASE WHEN octet_length(t.{0}) <= {TEXT_MAX} THEN t.{0} END", column.name)
                } else {
                    column.absent.to_owned()
                }
            })
            .collect();
        let blob = if table.has_blob { "t.blob_id" } else { "NULL" };
        let (first, original, joins) = if self.has_history() {
            let kind = table.kind.name();
            let first = if moment == Moment::Current { "0" } else { "coalesce(s.first, 0)" };
            (
                first,
                "o.blob_id, o.ranges",
                format!(
                    "LEFT JOIN since s ON s.kind = '{kind}' AND s.id = t.id LEFT JOIN originals o ON o.kind = '{kind}' AND o.id = t.id"
                ),
            )
        } else {
            ("0", "NULL, NULL", String::new())
        };
        let range = match window {
            Window::One(_) => "t.id = ?1",
            Window::After { .. } => "t.id > ?1 ORDER BY t.id LIMIT ?2",
        };
        let (known, known_joins) = match self.shape().is_after_1x() && moment != Moment::Current {
            true => v1::known_before(table),
            false => Default::default(),
        };
        format!(
            "SELECT t.id, {first}, {blob}, {original}, {}{known} FROM {} t {joins} {known_joins} WHERE {range}",
            columns.join(", "),
            table.name
        )
    }

    /// When a message arrived, in seconds since 1970, whichever snapshot it belongs to: that never changes.
    pub fn arrival(&self, email: Id) -> Result<Option<i64>> {
        let now = "SELECT received_at FROM emails WHERE id = ?1";
        let then = "SELECT json_extract(fields, '$.received_at') FROM history WHERE kind = 'Email' AND id = ?1 LIMIT 1";
        for sql in [now, then].into_iter().take(if self.has_history() { 2 } else { 1 }) {
            let found = self.with(|conn| {
                let read = |row: &rusqlite::Row<'_>| Ok(row.get_ref(0)?.as_str().map(epoch).unwrap_or(0));
                conn.prepare_cached(sql)?.query_row([email], read).optional()
            })?;
            if found.is_some() {
                return Ok(found);
            }
        }
        Ok(None)
    }

    /// In how many mailboxes a message lies, or lay when it was there last; at least 1.
    pub fn mailboxes_of(&self, email: Id) -> Result<u32> {
        let now = "SELECT mailbox_ids FROM emails WHERE id = ?1";
        let then = "SELECT json_extract(fields, '$.mailbox_ids') FROM history WHERE kind = 'Email' AND id = ?1 ORDER BY last DESC LIMIT 1";
        for sql in [now, then].into_iter().take(if self.has_history() { 2 } else { 1 }) {
            let found = self.with(|conn| {
                let read = |row: &rusqlite::Row<'_>| Ok(row.get_ref(0)?.as_str().map_or(0, |ids| parse_ids(ids).len()));
                conn.prepare_cached(sql)?.query_row([email], read).optional()
            })?;
            if let Some(count) = found {
                return Ok(u32::try_from(count).unwrap_or(u32::MAX).max(1));
            }
        }
        Ok(1)
    }

    /// The newest snapshot, `at` at most, in which an object of this type came, changed or went; 0 if that is not known.
    pub fn last_change(&self, kind: ObjectType, at: i64) -> Result<i64> {
        if !self.has_history() {
            return Ok(0);
        }
        self.with_at(Moment::Snapshot(at), |conn| {
            conn.prepare_cached(
                "SELECT max(coalesce((SELECT max(first) FROM since WHERE kind = ?1 AND first <= ?2), 0),
                            coalesce((SELECT max(first) FROM history WHERE kind = ?1 AND first <= ?2), 0),
                            coalesce((SELECT max(last) FROM history WHERE kind = ?1 AND last <= ?2), 0))",
            )?
            .query_row(params![kind.name(), at], |row| row.get(0))
        })
    }
}

/// Rows of the history with ids in a range, without its lower end, as they were at a snapshot.
fn former(
    conn: &Connection,
    table: &Table,
    at: i64,
    (from, to): (Id, Id),
    records: &mut Vec<Record>,
) -> rusqlite::Result<()> {
    let sql = "SELECT id, first, blob_id, original_id, ranges, fields FROM history
               WHERE kind = ?1 AND first <= ?2 AND last > ?2 AND id > ?3 AND id <= ?4 ORDER BY id, first";
    let mut statement = conn.prepare_cached(sql)?;
    let mut rows = statement.query(params![table.kind.name(), at, from, to])?;
    while let Some(row) = rows.next()? {
        records.push(Record {
            kind: table.kind,
            id: row.get(0)?,
            first: row.get(1)?,
            blob: row.get(2)?,
            original: original(row, 3)?,
            values: from_fields(table, &row.get::<_, String>(5)?),
        });
    }
    Ok(())
}

/// The original bytes of a row: a blob, and perhaps ranges of it, in two columns.
pub(super) fn original(row: &rusqlite::Row<'_>, at: usize) -> rusqlite::Result<Option<(Id, Option<String>)>> {
    row.get::<_, Option<Id>>(at)?.map(|blob| Ok((blob, row.get(at + 1)?))).transpose()
}

/// The columns of a row as `history.fields` holds them.
pub(super) fn from_fields(table: &Table, json: &str) -> Vec<Value> {
    let fields: serde_json::Value = serde_json::from_str(json).unwrap_or_default();
    table.columns.iter().map(|column| from_json(fields.get(column.name))).collect()
}

/// A value of a column. Text that is no UTF-8 is taken for bytes.
fn tolerant(row: &rusqlite::Row<'_>, at: usize) -> rusqlite::Result<Value> {
    Ok(match row.get_ref(at)? {
        ValueRef::Null => Value::Null,
        ValueRef::Integer(number) => Value::Integer(number),
        ValueRef::Real(number) => Value::Real(number),
        ValueRef::Text(bytes) => match std::str::from_utf8(bytes) {
            Ok(text) => Value::Text(text.to_owned()),
            Err(_) => Value::Blob(bytes.to_vec()),
        },
        ValueRef::Blob(bytes) => Value::Blob(bytes.to_vec()),
    })
}

fn from_json(value: Option<&serde_json::Value>) -> Value {
    match value {
        Some(serde_json::Value::String(text)) => Value::Text(text.clone()),
        Some(serde_json::Value::Number(number)) => number.as_i64().map_or(Value::Null, Value::Integer),
        Some(serde_json::Value::Bool(flag)) => Value::Integer(i64::from(*flag)),
        _ => Value::Null,
    }
}
