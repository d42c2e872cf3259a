//! Any number of readers of an archive, while somebody may be writing to it.
//!
//! A [`Reader`] lends read-only connections to whoever asks, from any thread. It answers for a [`Moment`]: a snapshot,
//! which never changes, or the current state where the archive has no history (1.x).

use super::blob::{self, Blob};
use super::connect::{Fingerprint, Mode, ReadConnection, check_header, check_schema, explain, open_reader};
use super::schema::{APPLICATION_ID, FOREIGN_MARK, FORMAT_VERSION, Table};
use crate::error::{Error, Kind as Fault, Result};
use crate::model::{Id, Kind};
use rusqlite::types::{Value, ValueRef};
use rusqlite::{Connection, MAIN_DB, OptionalExtension, params};
use self_cell::self_cell;
use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Text longer than this is not read from a content row: no honest object is described by so much.
const TEXT_MAX: u32 = 32 << 20;

/// How many idle connections are kept.
const POOL: usize = 8;

/// How often a read is repeated when a writer comes in between.
const TRIES: usize = 50;

/// What the user asked to see.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum At {
    /// The newest snapshot that ended well.
    Latest,
    /// The snapshot with this number.
    Id(i64),
    /// The newest snapshot that had ended at this time, in seconds since 1970.
    Time(i64),
}

impl FromStr for At {
    type Err = String;

    fn from_str(text: &str) -> Result<At, String> {
        if text.eq_ignore_ascii_case("latest") {
            return Ok(At::Latest);
        }
        if let Ok(id) = text.parse::<i64>() {
            return if id > 0 { Ok(At::Id(id)) } else { Err("snapshot numbers start at 1".to_owned()) };
        }
        match text.parse::<jiff::Timestamp>() {
            Ok(time) => Ok(At::Time(time.as_second())),
            Err(_) => Err("neither 'latest', nor a snapshot's number, nor a time like 2026-11-21T18:30:00Z".to_owned()),
        }
    }
}

/// A state of the archive that can be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Moment {
    /// The content tables as they are (archives without history).
    Current,
    /// The snapshot with this number.
    Snapshot(i64),
}

/// A line of `snapshots`.
#[derive(Debug, Clone)]
pub struct Snapshot {
    pub id: i64,
    /// `maildir`, `imap`, …; `None` where the source is not known any more.
    pub source_kind: Option<String>,
    pub source_url: Option<String>,
    pub account: Option<String>,
    /// RFC 3339, UTC.
    pub started: String,
    pub ended: Option<String>,
    /// `running`, `complete`, `partial` or `interrupted`.
    pub state: String,
    /// The run's accounting.
    pub report: Option<serde_json::Value>,
}

/// A row of a content table, as it was at some moment.
#[derive(Debug, Clone)]
pub struct Record {
    pub kind: Kind,
    pub id: Id,
    /// The snapshot in which it got this state; 0 where nobody knows.
    pub first: i64,
    pub blob: Option<Id>,
    /// The source's own bytes: a blob, and perhaps ranges of it as JSON.
    pub original: Option<(Id, Option<String>)>,
    values: Vec<Value>,
}

impl Record {
    fn value(&self, column: &str) -> Option<&Value> {
        let at = Table::of(self.kind).columns.iter().position(|known| known.name == column)?;
        self.values.get(at)
    }

    /// A text column; `None` for NULL, for text too long, and for what is no text.
    pub fn text(&self, column: &str) -> Option<&str> {
        match self.value(column) {
            Some(Value::Text(text)) => Some(text),
            _ => None,
        }
    }

    /// A number column.
    pub fn number(&self, column: &str) -> Option<i64> {
        match self.value(column) {
            Some(Value::Integer(number)) => Some(*number),
            _ => None,
        }
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

/// One message of a mailbox, as the index lists it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listed {
    pub email: Id,
    /// Seconds since 1970.
    pub received: i64,
    /// Bytes.
    pub size: u64,
    /// How many mailboxes it lies in.
    pub links: u32,
    /// Maildir flags, in order.
    pub flags: Box<str>,
}

/// What the blobs of an archive add up to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
pub struct Statistics {
    pub blobs: u64,
    /// Bytes of all of them.
    pub bytes: u64,
    /// Bytes of the largest one.
    pub largest: u64,
    /// Bytes of all messages of the current state, each counted as often as it stands in it.
    pub referenced: u64,
    /// Bytes of the archive file.
    pub file: u64,
}

/// What stands in a mailbox at the newest snapshot that changed it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct MailboxState {
    pub emails: u64,
    pub bytes: u64,
    /// Date of the newest message, in seconds since 1970.
    pub newest: i64,
    /// The snapshot in which it first held something.
    pub made: i64,
    /// The snapshot that last changed what it holds.
    pub changed: i64,
}

struct Pooled {
    conn: ReadConnection,
    fingerprint: Fingerprint,
}

self_cell!(
    /// A connection with an open value: reading on is cheap, opening it anew would walk the value from its start.
    struct OpenValue {
        owner: Pooled,
        #[not_covariant]
        dependent: OpenBlob,
    }
);

type OpenBlob<'conn> = Mutex<rusqlite::blob::Blob<'conn>>;

/// An archive opened for reading.
pub struct Reader {
    path: PathBuf,
    columns: HashMap<&'static str, Vec<String>>,
    identity: Fingerprint,
    has_history: bool,
    has_index: bool,
    pool: Mutex<Vec<Pooled>>,
    sound: Mutex<HashSet<Id>>,
    bad: Mutex<HashSet<Id>>,
}

impl Reader {
    /// Opens an archive; makes no file and changes none.
    pub fn open(path: &Path) -> Result<Reader> {
        check_header(path)?;
        let path = std::fs::canonicalize(path)
            .map_err(|error| Error::io(format!("cannot open archive {}", path.display()), error))?;
        let identity = Fingerprint::take(&path)
            .map_err(|error| Error::io(format!("cannot open archive {}", path.display()), error))?;
        let mut reader = Reader {
            path,
            columns: HashMap::new(),
            identity,
            has_history: false,
            has_index: false,
            pool: Mutex::new(Vec::new()),
            sound: Mutex::new(HashSet::new()),
            bad: Mutex::new(HashSet::new()),
        };
        let (columns, application, version, foreign) = {
            let pooled = reader.checkout()?;
            let conn = &pooled.conn.conn;
            let explain = |error| explain(&reader.path, error);
            let columns = check_schema(conn, &reader.path)?;
            let application: i32 = conn.query_row("PRAGMA application_id", [], |row| row.get(0)).map_err(explain)?;
            let version: i32 = conn.query_row("PRAGMA user_version", [], |row| row.get(0)).map_err(explain)?;
            let foreign: bool = conn
                .query_row("SELECT EXISTS (SELECT 1 FROM sqlite_schema WHERE name = ?1)", [FOREIGN_MARK], |row| {
                    row.get(0)
                })
                .map_err(explain)?;
            reader.give_back(pooled);
            (columns, application, version, foreign)
        };
        if version > FORMAT_VERSION {
            return Err(Error::new(
                Fault::Usage,
                format!("archive {} was made by a newer version of vandelay (format {version})", reader.path.display()),
            )
            .hint("use the newer program; the file was not changed"));
        }
        reader.columns = columns;
        reader.has_history = application == APPLICATION_ID && version > 0;
        reader.has_index = reader.has_history && !foreign;
        Ok(reader)
    }

    /// The path of the archive, links resolved.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// True where the archive keeps snapshots; false for one of 1.x.
    pub fn has_history(&self) -> bool {
        self.has_history
    }

    /// True if `email_index` can be believed; else [`Reader::each_record`] over emails is the way.
    pub fn has_index(&self) -> bool {
        self.has_index
    }

    // --- connections ---------------------------------------------------------------------------------------------

    /// Runs `work` on a connection that shows one committed state of the archive.
    pub(super) fn with<T>(&self, work: impl Fn(&Connection) -> rusqlite::Result<T>) -> Result<T> {
        for attempt in 0..TRIES {
            let pooled = self.checkout()?;
            pooled.conn.restart_budget();
            let result = work(&pooled.conn.conn);
            let sound = pooled.fingerprint.mode() == Mode::Live || self.unchanged_since(&pooled.fingerprint);
            if sound {
                self.give_back(pooled);
                return result.map_err(|error| explain(&self.path, error));
            }
            std::thread::sleep(std::time::Duration::from_millis(attempt as u64));
        }
        Err(Error::new(Fault::Locked, format!("archive {} is being changed all the time", self.path.display()))
            .hint("try again when the import is done"))
    }

    /// Runs `work` once, whatever comes in between.
    pub(super) fn once<T>(&self, work: impl FnOnce(&Connection) -> rusqlite::Result<T>) -> rusqlite::Result<T> {
        let pooled = self.checkout().map_err(|error| rusqlite::Error::ToSqlConversionFailure(Box::new(error)))?;
        pooled.conn.restart_budget();
        let result = work(&pooled.conn.conn);
        self.give_back(pooled);
        result
    }

    /// True if the file still holds what it held at `then`, or is not at its path any more (then nobody writes to it).
    fn unchanged_since(&self, then: &Fingerprint) -> bool {
        match Fingerprint::take(&self.path) {
            Ok(now) if now.same_file(then) => now.same_content(then),
            _ => true,
        }
    }

    fn checkout(&self) -> Result<Pooled> {
        let now = Fingerprint::take(&self.path).ok().filter(|now| now.same_file(&self.identity));
        let mut pool = lock(&self.pool);
        while let Some(pooled) = pool.pop() {
            if now.is_none_or(|now| now.holds(&pooled.fingerprint)) {
                return Ok(pooled);
            }
        }
        drop(pool);
        let Some(fingerprint) = now else {
            return Err(Error::new(
                Fault::Storage,
                format!("archive {} was removed or replaced while it was in use", self.path.display()),
            )
            .hint("open it again"));
        };
        Ok(Pooled { conn: open_reader(&self.path, &fingerprint)?, fingerprint })
    }

    fn give_back(&self, pooled: Pooled) {
        let mut pool = lock(&self.pool);
        if pool.len() < POOL {
            pool.push(pooled);
        }
    }

    // --- snapshots -----------------------------------------------------------------------------------------------

    /// All snapshots, oldest first. Empty for an archive of 1.x.
    pub fn snapshots(&self) -> Result<Vec<Snapshot>> {
        if !self.has_history {
            return Ok(Vec::new());
        }
        self.with(|conn| {
            conn.prepare_cached(
                "SELECT n.id, s.kind, s.session_url, coalesce(s.account_name, s.account_id), n.started, n.ended, n.state, n.report
                 FROM snapshots n LEFT JOIN sources s ON s.id = n.source_id ORDER BY n.id",
            )?
            .query_map([], |row| {
                Ok(Snapshot {
                    id: row.get(0)?,
                    source_kind: row.get(1)?,
                    source_url: row.get(2)?,
                    account: row.get(3)?,
                    started: row.get(4)?,
                    ended: row.get(5)?,
                    state: row.get(6)?,
                    report: row.get::<_, Option<String>>(7)?.and_then(|text| serde_json::from_str(&text).ok()),
                })
            })?
            .collect()
        })
    }

    /// The moment that the user means.
    pub fn resolve(&self, at: At) -> Result<Moment> {
        let snapshots = self.snapshots()?;
        let missing = |what: String| Error::new(Fault::Usage, what).hint("'vandelay snapshots' lists those there are");
        match at {
            At::Latest if !self.has_index => Ok(Moment::Current),
            At::Latest => {
                let ended =
                    snapshots.iter().rev().find(|snapshot| matches!(snapshot.state.as_str(), "complete" | "partial"));
                Ok(ended.or(snapshots.last()).map_or(Moment::Current, |snapshot| Moment::Snapshot(snapshot.id)))
            }
            At::Id(id) => match snapshots.iter().find(|snapshot| snapshot.id == id) {
                Some(snapshot) => Ok(Moment::Snapshot(snapshot.id)),
                None => Err(missing(format!("archive {} has no snapshot {id}", self.path.display()))),
            },
            At::Time(time) => snapshots
                .iter()
                .rev()
                .filter(|snapshot| snapshot.state != "running")
                .find(|snapshot| snapshot.ended.as_deref().is_some_and(|ended| super::index::epoch(ended) <= time))
                .map(|snapshot| Moment::Snapshot(snapshot.id))
                .ok_or_else(|| {
                    missing(format!("archive {} has no snapshot from before that time", self.path.display()))
                }),
        }
    }

    /// The name of the account, from its source: what a person would call it.
    pub fn account(&self) -> Result<String> {
        let name = self.with(|conn| {
            conn.query_row("SELECT coalesce(nullif(account_name, ''), nullif(username, ''), account_id) FROM sources ORDER BY id LIMIT 1", [], |row| row.get::<_, String>(0))
                .optional()
        })?;
        Ok(name.filter(|name| !name.is_empty()).unwrap_or_else(|| {
            self.path
                .file_stem()
                .map(|stem| stem.to_string_lossy().into_owned())
                .unwrap_or_else(|| "archive".to_owned())
        }))
    }

    /// The sources of the account: kind, URL and account.
    pub fn sources(&self) -> Result<Vec<(String, String, String)>> {
        self.with(|conn| {
            let mut statement =
                conn.prepare("SELECT kind, session_url, coalesce(account_name, account_id) FROM sources ORDER BY id")?;
            statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?.collect()
        })
    }

    /// What the blobs add up to.
    pub fn statistics(&self) -> Result<Statistics> {
        let large = if self.has_history { "(SELECT coalesce(sum(size), 0) FROM large_blobs)" } else { "0" };
        let sizes = self.with(|conn| {
            conn.query_row(
                &format!("SELECT count(*), coalesce(sum(length(data)), 0) + {large}, coalesce(max(length(data)), 0) FROM blobs"),
                [],
                |row| Ok((row.get::<_, i64>(0)?, row.get::<_, i64>(1)?, row.get::<_, i64>(2)?)),
            )
        })?;
        let referenced = self.with(|conn| {
            conn.query_row(
                "SELECT coalesce(sum(length(b.data)), 0) FROM emails e JOIN blobs b ON b.id = e.blob_id",
                [],
                |row| row.get::<_, i64>(0),
            )
        })?;
        let file = std::fs::metadata(&self.path).map_or(0, |meta| meta.len());
        Ok(Statistics {
            blobs: sizes.0.max(0) as u64,
            bytes: sizes.1.max(0) as u64,
            largest: sizes.2.max(0) as u64,
            referenced: referenced.max(0) as u64,
            file,
        })
    }

    // --- rows ----------------------------------------------------------------------------------------------------

    /// Every row of a type at a moment, in no order that means anything.
    pub fn each_record(&self, kind: Kind, moment: Moment, mut each: impl FnMut(Record)) -> Result<()> {
        // `with` may run its work twice; rows are handed on only after a sound pass.
        const PAGE: i64 = 5_000;
        let mut after = i64::MIN;
        loop {
            let page = self.with(|conn| self.page(conn, kind, moment, None, after, PAGE))?;
            let last = page.0;
            page.1.into_iter().for_each(&mut each);
            match last {
                Some(last) => after = last,
                None => return Ok(()),
            }
        }
    }

    /// One row of a type at a moment.
    pub fn record(&self, kind: Kind, moment: Moment, id: Id) -> Result<Option<Record>> {
        Ok(self.with(|conn| self.page(conn, kind, moment, Some(id), i64::MIN, 2))?.1.into_iter().next())
    }

    /// All rows of a type at a moment, by id.
    pub fn records(&self, kind: Kind, moment: Moment) -> Result<Vec<Record>> {
        let mut records = Vec::new();
        self.each_record(kind, moment, |record| records.push(record))?;
        records.sort_by_key(|record| record.id);
        Ok(records)
    }

    /// A page of rows with ids above `after`, from the content table and from the history together; and the id after
    /// which the next page begins.
    fn page(
        &self,
        conn: &Connection,
        kind: Kind,
        moment: Moment,
        only: Option<Id>,
        after: Id,
        limit: i64,
    ) -> rusqlite::Result<(Option<Id>, Vec<Record>)> {
        let table = Table::of(kind);
        let transaction = conn.unchecked_transaction()?;
        let mut records = Vec::new();
        let mut last = None;
        let present = self.columns.get(table.name).map(Vec::as_slice).unwrap_or_default();
        if !present.is_empty() {
            let sql = self.select(table, present, moment, only.is_some());
            let mut statement = conn.prepare_cached(&sql)?;
            let mut rows = match only {
                Some(id) => statement.query(params![id])?,
                None => statement.query(params![after, limit])?,
            };
            let mut count = 0;
            let mut previous = after;
            while let Some(row) = rows.next()? {
                let id: Id = row.get(0)?;
                // A damaged tree can give the same rows again and again.
                if only.is_none() && id <= previous {
                    return Err(rusqlite::Error::SqliteFailure(
                        rusqlite::ffi::Error::new(rusqlite::ffi::SQLITE_CORRUPT),
                        Some("rows out of order".to_owned()),
                    ));
                }
                previous = id;
                count += 1;
                let first: i64 = row.get(1)?;
                if matches!(moment, Moment::Snapshot(at) if first > at) {
                    continue;
                }
                let original = row
                    .get::<_, Option<Id>>(3)?
                    .map(|blob| Ok::<_, rusqlite::Error>((blob, row.get(4)?)))
                    .transpose()?;
                let values =
                    (0..table.columns.len()).map(|at| tolerant(row, 5 + at)).collect::<rusqlite::Result<_>>()?;
                // What is no number refers to no blob; `verify` says so.
                let blob = row.get_ref(2)?.as_i64().ok();
                records.push(Record { kind, id, first, blob, original, values });
            }
            if count == limit && only.is_none() {
                last = Some(previous);
            }
        }
        if let Moment::Snapshot(at) = moment {
            let sql = "SELECT id, first, blob_id, original_id, ranges, fields FROM history
                       WHERE kind = ?1 AND first <= ?2 AND last > ?2 AND id > ?3 AND id <= ?4 ORDER BY id, first";
            let (from, to) = match only {
                Some(id) => (id - 1, id),
                None => (after, last.unwrap_or(i64::MAX)),
            };
            let mut statement = conn.prepare_cached(sql)?;
            let mut rows = statement.query(params![kind.name(), at, from, to])?;
            while let Some(row) = rows.next()? {
                let fields: serde_json::Value = serde_json::from_str(&row.get::<_, String>(5)?).unwrap_or_default();
                let values = table.columns.iter().map(|column| from_json(fields.get(column.name))).collect();
                let original = row
                    .get::<_, Option<Id>>(3)?
                    .map(|blob| Ok::<_, rusqlite::Error>((blob, row.get(4)?)))
                    .transpose()?;
                records.push(Record { kind, id: row.get(0)?, first: row.get(1)?, blob: row.get(2)?, original, values });
            }
        }
        transaction.finish()?;
        Ok((last, records))
    }

    /// `SELECT id, first, blob, original blob, its ranges, columns…` with stand-ins for what an old archive lacks.
    fn select(&self, table: &Table, present: &[String], moment: Moment, one: bool) -> String {
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
        let (first, original, joins) = if self.has_history {
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
        let range = if one { "t.id = ?1" } else { "t.id > ?1 ORDER BY t.id LIMIT ?2" };
        format!(
            "SELECT t.id, {first}, {blob}, {original}, {} FROM {} t {joins} WHERE {range}",
            columns.join(", "),
            table.name
        )
    }

    /// Messages of a mailbox with ids above `after`, at most `limit`, by id. Only where [`Reader::has_index`].
    pub fn list_mailbox(&self, mailbox: Id, at: i64, after: Id, limit: usize) -> Result<Vec<Listed>> {
        self.with(|conn| {
            let mut statement = conn.prepare_cached(
                "SELECT email_id, received, size, links, flags FROM email_index
                 WHERE mailbox_id = ?1 AND email_id > ?2 AND first <= ?3 AND (last IS NULL OR last > ?3) ORDER BY email_id, first LIMIT ?4",
            )?;
            let rows = statement.query_map(params![mailbox, after, at, limit as i64], listed)?;
            rows.collect()
        })
    }

    /// One message of a mailbox. Only where [`Reader::has_index`].
    pub fn listed(&self, mailbox: Id, at: i64, email: Id) -> Result<Option<Listed>> {
        self.with(|conn| {
            conn.prepare_cached(
                "SELECT email_id, received, size, links, flags FROM email_index
                 WHERE mailbox_id = ?1 AND email_id = ?2 AND first <= ?3 AND (last IS NULL OR last > ?3)",
            )?
            .query_row(params![mailbox, email, at], listed)
            .optional()
        })
    }

    /// What the index knows of a mailbox at a snapshot.
    pub fn mailbox_state(&self, mailbox: Id, at: i64) -> Result<MailboxState> {
        self.with(|conn| {
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

    /// True if some message lies in this mailbox at a snapshot.
    pub fn mailbox_holds_any(&self, mailbox: Id, at: i64) -> Result<bool> {
        Ok(!self.list_mailbox(mailbox, at, 0, 1)?.is_empty())
    }

    /// The keywords that have letters in a mailbox, by letter.
    pub fn mailbox_keywords(&self, mailbox: Id) -> Result<Vec<(u8, String)>> {
        self.with(|conn| {
            let mut statement = conn.prepare_cached("SELECT letter, keyword FROM mailbox_keywords WHERE mailbox_id = ?1 AND letter BETWEEN 0 AND 25 ORDER BY letter")?;
            statement.query_map([mailbox], |row| Ok((row.get::<_, i64>(0)? as u8, row.get(1)?)))?.collect()
        })
    }

    // --- bytes ---------------------------------------------------------------------------------------------------

    /// Looks up a blob.
    pub fn blob(&self, id: Id) -> Result<Blob> {
        self.with(|conn| blob::find(conn, id))?.ok_or_else(|| {
            Error::new(
                Fault::Damaged,
                format!("archive {} has no blob {id}, though something refers to it", self.path.display()),
            )
        })
    }

    /// All bytes of a blob, proved against its digest. The caller bounds the size.
    pub fn whole(&self, blob: &Blob) -> Result<Vec<u8>> {
        let bytes = self.with(|conn| {
            let mut bytes = vec![0; blob.size as usize];
            let count = blob::read_at(conn, blob, 0, &mut bytes)?;
            bytes.truncate(count);
            Ok(bytes)
        });
        match bytes {
            Ok(bytes) if crate::model::Digest::of(&bytes) == blob.digest => Ok(bytes),
            Err(error) if error.kind != Fault::Damaged => Err(error),
            _ => Err(blob::damaged(blob)),
        }
    }

    /// Errors if the bytes of a blob do not match its digest. Proved once per blob and reader.
    pub fn prove(&self, blob: &Blob) -> Result<()> {
        if lock(&self.sound).contains(&blob.id) {
            return Ok(());
        }
        if lock(&self.bad).contains(&blob.id) {
            return Err(blob::damaged(blob));
        }
        if self.with(|conn| blob::is_sound(conn, blob))? {
            lock(&self.sound).insert(blob.id);
            Ok(())
        } else {
            lock(&self.bad).insert(blob.id);
            Err(blob::damaged(blob))
        }
    }

    /// A cursor for reading a large blob piece by piece.
    pub fn open_blob(self: &Arc<Reader>, blob: Blob) -> BlobReader {
        BlobReader { reader: Arc::clone(self), blob, value: None }
    }
}

/// Reads a blob at growing offsets without walking it from its start each time.
pub struct BlobReader {
    reader: Arc<Reader>,
    blob: Blob,
    value: Option<OpenValue>,
}

impl BlobReader {
    /// True if this reads that blob of that archive.
    pub fn reads(&self, reader: &Arc<Reader>, blob: &Blob) -> bool {
        Arc::ptr_eq(&self.reader, reader) && self.blob.id == blob.id
    }

    /// Reads up to `buffer.len()` bytes at `offset`; fewer only at the end. The bytes are not proved.
    pub fn read_at(&mut self, offset: u64, buffer: &mut [u8]) -> Result<usize> {
        if self.blob.chunked {
            let blob = self.blob;
            let length = buffer.len();
            let bytes = self.reader.with(|conn| {
                let mut bytes = vec![0; length];
                let count = blob::read_at(conn, &blob, offset, &mut bytes)?;
                bytes.truncate(count);
                Ok(bytes)
            })?;
            buffer[..bytes.len()].copy_from_slice(&bytes);
            return Ok(bytes.len());
        }
        let wanted = (self.blob.size.saturating_sub(offset)).min(buffer.len() as u64) as usize;
        for _ in 0..TRIES {
            let value = match self.value.take() {
                Some(value) => value,
                None => self.open()?,
            };
            let result =
                value.with_dependent(|_, blob| lock(blob).read_at_exact(&mut buffer[..wanted], offset as usize));
            let fingerprint = value.borrow_owner().fingerprint;
            if fingerprint.mode() == Mode::Live || self.reader.unchanged_since(&fingerprint) {
                result.map_err(|error| explain(&self.reader.path, error))?;
                // An open value is an open transaction: while somebody writes it would keep the log from shrinking.
                self.value = Some(value).filter(|_| fingerprint.mode() != Mode::Live);
                return Ok(wanted);
            }
        }
        Err(Error::new(Fault::Locked, format!("archive {} is being changed all the time", self.reader.path.display())))
    }

    fn open(&self) -> Result<OpenValue> {
        let pooled = self.reader.checkout()?;
        pooled.conn.restart_budget();
        OpenValue::try_new(pooled, |pooled| {
            pooled.conn.conn.blob_open(MAIN_DB, "blobs", "data", self.blob.id, true).map(Mutex::new)
        })
        .map_err(|error| explain(&self.reader.path, error))
    }
}

fn listed(row: &rusqlite::Row<'_>) -> rusqlite::Result<Listed> {
    Ok(Listed {
        email: row.get(0)?,
        received: row.get(1)?,
        size: row.get::<_, i64>(2)?.max(0) as u64,
        links: row.get::<_, i64>(3)?.clamp(1, i64::from(u32::MAX)) as u32,
        // They become part of a file name: nothing but letters does.
        flags: row.get::<_, String>(4)?.chars().filter(char::is_ascii_alphabetic).take(40).collect::<String>().into(),
    })
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

/// A panic elsewhere does not make what a mutex guards here unsound.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
