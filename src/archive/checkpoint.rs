//! Copying the log into the file while the writer goes on: a third of the work of an import, on another core.

use super::connect;
use super::file::ArchiveFile;
use rusqlite::config::DbConfig;
use rusqlite::{Connection, ErrorCode};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread::JoinHandle;

/// Runs checkpoints of one archive, one at a time, through a connection of its own.
pub(super) struct Checkpointer {
    path: PathBuf,
    file: Arc<ArchiveFile>,
    idle: Option<Connection>,
    running: Option<JoinHandle<(Connection, rusqlite::Result<()>)>>,
}

impl Checkpointer {
    /// A checkpointer that does nothing yet.
    pub(super) fn new(path: &Path, file: Arc<ArchiveFile>) -> Checkpointer {
        Checkpointer { path: path.to_owned(), file, idle: None, running: None }
    }

    /// Starts a checkpoint, unless one is running. Errors are those of the one before. That one does not get through is
    /// no error: the next one, or the end of the run, copies what it left.
    pub(super) fn start(&mut self) -> rusqlite::Result<()> {
        if self.running.as_ref().is_some_and(|running| !running.is_finished()) {
            return Ok(());
        }
        let before = self.wait();
        // A connection that cannot be had now is as good as a checkpoint that does not get through.
        if let Some(conn) = self.idle.take().or_else(|| self.connect()) {
            self.running = Some(std::thread::spawn(move || {
                let outcome = passive(&conn);
                (conn, outcome)
            }));
        }
        before
    }

    /// Waits for the checkpoint that is running.
    pub(super) fn wait(&mut self) -> rusqlite::Result<()> {
        match self.running.take().map(JoinHandle::join) {
            Some(Ok((conn, outcome))) => {
                self.idle = Some(conn);
                outcome
            }
            _ => Ok(()),
        }
    }

    /// Waits, and gives the connection up.
    pub(super) fn close(&mut self) -> rusqlite::Result<()> {
        let outcome = self.wait();
        self.idle = None;
        outcome
    }

    fn connect(&self) -> Option<Connection> {
        let conn = connect::open_writer(&self.path).ok()?;
        // Closing it leaves the log alone, also if another file has its name by now: the writer deals with that.
        conn.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true).ok()?;
        conn.pragma_update(None, "synchronous", 1).ok()?;
        self.file.is_at(&self.path).then_some(conn)
    }
}

/// PASSIVE waits for no reader and no writer.
fn passive(conn: &Connection) -> rusqlite::Result<()> {
    match conn.query_row("PRAGMA wal_checkpoint(PASSIVE)", [], |_| Ok(())) {
        Err(error) if error.sqlite_error_code() != Some(ErrorCode::DatabaseBusy) => Err(error),
        _ => Ok(()),
    }
}

impl Drop for Checkpointer {
    fn drop(&mut self) {
        let _ = self.close();
    }
}
