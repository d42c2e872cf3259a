//! Every state that an object ever had: what the history holds of it, and the current one.

use super::moment::Moment;
use super::query;
use super::read::Reader;
use super::rows_read::{Record, Window, from_fields, original};
use super::schema::Table;
use crate::error::Result;
use crate::model::{Id, ObjectType};
use rusqlite::{Row, params};

/// So many rows are read at once.
const PAGE: i64 = 5_000;

/// An object in one of its states.
#[derive(Debug, Clone)]
pub struct State {
    /// The row as it was; [`Record::first`] is the first snapshot that shows it so.
    pub record: Record,
    /// The first snapshot that does not show it so any more; `None` for the current state.
    pub end: Option<i64>,
}

impl State {
    /// True if a snapshot shows the object in this state.
    pub fn is_at(&self, snapshot: i64) -> bool {
        self.record.first <= snapshot && self.end.is_none_or(|end| end > snapshot)
    }
}

/// A message in a mailbox, from one snapshot to another.
#[derive(Debug, Clone, Copy)]
pub struct Stay {
    /// The row in `emails`.
    pub email: Id,
    /// The mailbox; `UNFILED` if it lies in none.
    pub mailbox: Id,
    /// Seconds since 1970.
    pub received: i64,
    /// Bytes.
    pub size: u64,
    /// The first snapshot that shows it there; 0 if that is not known.
    pub first: i64,
    /// The first snapshot that does not any more; `None` if it is there.
    pub end: Option<i64>,
}

impl Reader {
    /// Every stay of every message in a mailbox. Only where [`Reader::has_index`]. It is much quicker than all states.
    pub fn each_stay(&self, mut each: impl FnMut(Stay)) -> Result<()> {
        let sql = "SELECT email_id, mailbox_id, received, size, first, last FROM email_index
                   WHERE (mailbox_id, email_id, first) > (?1, ?2, ?3) ORDER BY mailbox_id, email_id, first LIMIT ?4";
        let mut after = (i64::MIN, i64::MIN, i64::MIN);
        loop {
            let page = self.with(|conn| query::rows(conn, sql, params![after.0, after.1, after.2, 4 * PAGE], stay))?;
            let is_last = (page.len() as i64) < 4 * PAGE;
            after = page.last().map_or(after, |stay| (stay.mailbox, stay.email, stay.first));
            page.into_iter().for_each(&mut each);
            if is_last {
                return Ok(());
            }
        }
    }

    /// The numbers of the objects of a type that the archive holds in any state, above `after`, at most `limit`, by number.
    pub fn ids_after(&self, kind: ObjectType, after: Id, limit: usize) -> Result<Vec<Id>> {
        let table = Table::of(kind).name;
        if self.shape().columns.get(table).is_none_or(Vec::is_empty) {
            return Ok(Vec::new());
        }
        let former = match self.has_history() {
            true => "UNION SELECT id FROM history WHERE kind = ?1 AND id > ?2",
            false => "",
        };
        let sql = format!("SELECT id FROM {table} WHERE ?1 = ?1 AND id > ?2 {former} ORDER BY 1 LIMIT ?3");
        self.with(|conn| query::column(conn, &sql, params![kind.name(), after, limit as i64]))
    }

    /// How many objects of a type have numbers above `after`, in any state.
    pub fn count_ids_after(&self, kind: ObjectType, after: Id) -> Result<u64> {
        let (mut count, mut last) = (0, after);
        loop {
            let ids = self.ids_after(kind, last, PAGE as usize)?;
            let Some(newest) = ids.last() else { return Ok(count) };
            (count, last) = (count + ids.len() as u64, *newest);
        }
    }

    /// The current state. Current rows know in which snapshot they came to be when a snapshot is asked for; no snapshot has
    /// this number.
    fn now(&self) -> Moment {
        if self.has_history() { Moment::Snapshot(i64::MAX) } else { Moment::Current }
    }

    /// The states of an object, oldest first; none if there is no such object.
    pub fn states(&self, kind: ObjectType, id: Id) -> Result<Vec<State>> {
        let mut states = Vec::new();
        if self.has_history() {
            let sql = "SELECT id, first, last, blob_id, original_id, ranges, fields FROM history
                       WHERE kind = ?1 AND id = ?2 ORDER BY first";
            states =
                self.with(|conn| query::rows(conn, sql, params![kind.name(), id], |row| former_state(kind, row)))?;
        }
        let (_, current) = self.with(|conn| self.page(conn, kind, self.now(), Window::One(id)))?;
        states.extend(current.into_iter().map(|record| State { record, end: None }));
        Ok(states)
    }

    /// True if a message of the current state has these bytes.
    pub fn has_email_with(&self, blob: Id) -> Result<bool> {
        self.with(|conn| {
            conn.prepare_cached("SELECT EXISTS (SELECT 1 FROM emails WHERE blob_id = ?1)")?
                .query_row([blob], |row| row.get(0))
        })
    }

    /// Every state of every object of a type: those of the history by number and age, then the current ones.
    pub fn each_state(&self, kind: ObjectType, mut each: impl FnMut(State)) -> Result<()> {
        let mut after = (i64::MIN, i64::MIN);
        while self.has_history() {
            let sql = "SELECT id, first, last, blob_id, original_id, ranges, fields FROM history
                       WHERE kind = ?1 AND (id, first) > (?2, ?3) ORDER BY id, first LIMIT ?4";
            let page = self.with(|conn| {
                query::rows(conn, sql, params![kind.name(), after.0, after.1, PAGE], |row| former_state(kind, row))
            })?;
            let is_last = (page.len() as i64) < PAGE;
            after = page.last().map_or(after, |state| (state.record.id, state.record.first));
            page.into_iter().for_each(&mut each);
            if is_last {
                break;
            }
        }
        let mut after = i64::MIN;
        loop {
            let window = Window::After { after, limit: PAGE };
            let (last, current) = self.with(|conn| self.page(conn, kind, self.now(), window))?;
            current.into_iter().for_each(|record| each(State { record, end: None }));
            match last {
                Some(last) => after = last,
                None => return Ok(()),
            }
        }
    }
}

fn stay(row: &Row<'_>) -> rusqlite::Result<Stay> {
    Ok(Stay {
        email: row.get(0)?,
        mailbox: row.get(1)?,
        received: row.get(2)?,
        size: row.get::<_, i64>(3)? as u64,
        first: row.get(4)?,
        end: row.get(5)?,
    })
}

/// A row of the history.
fn former_state(kind: ObjectType, row: &Row<'_>) -> rusqlite::Result<State> {
    let record = Record {
        kind,
        id: row.get(0)?,
        first: row.get(1)?,
        blob: row.get(3)?,
        original: original(row, 4)?,
        values: from_fields(Table::of(kind), &row.get::<_, String>(6)?),
    };
    Ok(State { record, end: row.get(2)? })
}
