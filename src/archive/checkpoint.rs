//! Copying the log into the file while the writer goes on: a third of the work of an import, on another core.

use super::connect;
use rusqlite::ErrorCode;
use std::path::{Path, PathBuf};
use std::thread::JoinHandle;

/// Runs checkpoints of one archive, one at a time.
pub struct Checkpointer {
    path: PathBuf,
    running: Option<JoinHandle<rusqlite::Result<()>>>,
}

impl Checkpointer {
    /// A checkpointer that does nothing yet.
    pub fn new(path: &Path) -> Checkpointer {
        Checkpointer { path: path.to_owned(), running: None }
    }

    /// Starts a checkpoint, unless one is running. Errors are those of the one before. That one does not get through is
    /// no error: the next one, or the end of the run, copies what it left.
    pub fn start(&mut self) -> rusqlite::Result<()> {
        if self.running.as_ref().is_some_and(|running| !running.is_finished()) {
            return Ok(());
        }
        let before = self.wait();
        let path = self.path.clone();
        self.running = Some(std::thread::spawn(move || checkpoint(&path)));
        before
    }

    /// Waits for the checkpoint that is running.
    pub fn wait(&mut self) -> rusqlite::Result<()> {
        match self.running.take().map(JoinHandle::join) {
            Some(Ok(outcome)) => outcome,
            _ => Ok(()),
        }
    }
}

fn checkpoint(path: &Path) -> rusqlite::Result<()> {
    // A connection that cannot be had now is as good as a checkpoint that does not get through.
    let Ok(conn) = connect::open_writer(path) else { return Ok(()) };
    conn.pragma_update(None, "synchronous", 1)?;
    // PASSIVE waits for nobody, neither readers nor the writer.
    match conn.query_row("PRAGMA wal_checkpoint(PASSIVE)", [], |_| Ok(())) {
        Err(error) if error.sqlite_error_code() != Some(ErrorCode::DatabaseBusy) => Err(error),
        _ => Ok(()),
    }
}

impl Drop for Checkpointer {
    fn drop(&mut self) {
        let _ = self.wait();
    }
}
