//! The connections of a reader that questions take in turn.
//!
//! A question keeps its connection until it is answered, and gives it back if it still shows what the files hold. So a
//! reader whose archive was removed or replaced, and which can open no other connection, goes on with those that it has: a
//! question that finds none waits for one. A caller that keeps a connection opens one of its own.

use super::connect::{FileStamp, ReadConnection};
use super::moment::Moment;
use super::sql_error::require_snapshot;
use crate::error::Result;
use parking_lot::{Condvar, Mutex};
use rusqlite::Connection;
use std::cell::RefCell;
use std::time::{Duration, Instant};

/// How many idle connections are kept.
const IDLE_MAX: usize = 8;

/// How long is waited for a connection that another thread uses, where no new one can be opened.
const PATIENCE: Duration = Duration::from_secs(30);

/// See above.
#[derive(Default)]
pub(super) struct Pool {
    state: Mutex<Connections>,
    returned: Condvar,
}

#[derive(Default)]
struct Connections {
    idle: Vec<Pooled>,
    /// How many are in use.
    out: usize,
}

impl Pool {
    /// An idle connection, a new one, or where none can be opened the next that is given back.
    ///
    /// Errors: those of `connect`, if there is none to wait for.
    pub(super) fn take(&self, connect: impl FnOnce() -> Result<Pooled>) -> Result<Pooled> {
        if let Some(pooled) = self.idle() {
            return Ok(pooled);
        }
        let error = match connect() {
            Ok(pooled) => {
                self.state.lock().out += 1;
                return Ok(pooled);
            }
            Err(error) => error,
        };
        let end = Instant::now() + PATIENCE;
        let mut state = self.state.lock();
        loop {
            if let Some(pooled) = state.idle.pop() {
                state.out += 1;
                return Ok(pooled);
            }
            let left = end.saturating_duration_since(Instant::now());
            if state.out == 0 || left.is_zero() {
                return Err(error);
            }
            self.returned.wait_for(&mut state, left);
        }
    }

    fn idle(&self) -> Option<Pooled> {
        let mut state = self.state.lock();
        let pooled = state.idle.pop()?;
        state.out += 1;
        Some(pooled)
    }

    /// Takes a connection back that shows what the files hold.
    pub(super) fn give_back(&self, pooled: Pooled) {
        let mut state = self.state.lock();
        state.out = state.out.saturating_sub(1);
        let more = if state.idle.len() < IDLE_MAX {
            state.idle.push(pooled);
            None
        } else {
            Some(pooled)
        };
        drop(state);
        self.returned.notify_one();
        drop(more);
    }

    /// Closes a connection that shows what the files held before.
    pub(super) fn close(&self, pooled: Pooled) {
        drop(pooled);
        let mut state = self.state.lock();
        state.out = state.out.saturating_sub(1);
        drop(state);
        self.returned.notify_all();
    }

    /// True if an idle one is so.
    pub(super) fn any(&self, is_so: impl FnMut(&Pooled) -> bool) -> bool {
        self.state.lock().idle.iter().any(is_so)
    }

    /// Closes the idle ones that do not fit.
    pub(super) fn retain(&self, mut fits: impl FnMut(&Pooled) -> bool) {
        self.state.lock().idle.retain(|pooled| fits(pooled));
    }
}

/// A connection and what it was opened on.
pub(super) struct Pooled {
    pub(super) conn: ReadConnection,
    pub(super) fingerprint: FileStamp,
    /// Snapshots that are there, of a connection for which nothing changes.
    pub(super) seen: RefCell<Vec<i64>>,
}

impl Pooled {
    /// Runs `work` where the snapshot of a moment is there, and in the same transaction.
    pub(crate) fn at<T>(
        &self,
        moment: Moment,
        work: impl FnOnce(&Connection) -> rusqlite::Result<T>,
    ) -> rusqlite::Result<T> {
        let conn = &self.conn.conn;
        let Moment::Snapshot(snapshot) = moment else { return work(conn) };
        if self.conn.is_immutable {
            if !self.seen.borrow().contains(&snapshot) {
                require_snapshot(conn, snapshot)?;
                let mut seen = self.seen.borrow_mut();
                seen.truncate(SEEN_MAX);
                seen.insert(0, snapshot);
            }
            return work(conn);
        }
        let transaction = conn.unchecked_transaction()?;
        require_snapshot(conn, snapshot)?;
        let answer = work(conn)?;
        transaction.finish()?;
        Ok(answer)
    }
}

/// How many snapshots a connection remembers to have seen.
const SEEN_MAX: usize = 15;
