//! Copying the log into the file while the writer goes on: a third of the work of an import, on another core.

use super::connect;
use std::path::{Path, PathBuf};
use std::thread::JoinHandle;

/// Runs checkpoints of one archive, one at a time.
pub struct Checkpointer {
    path: PathBuf,
    running: Option<JoinHandle<()>>,
}

impl Checkpointer {
    /// A checkpointer that does nothing yet.
    pub fn new(path: &Path) -> Checkpointer {
        Checkpointer { path: path.to_owned(), running: None }
    }

    /// Starts a checkpoint, unless one is running. Whether it gets through is no matter: the next one, or the end of
    /// the run, copies what it left.
    pub fn start(&mut self) {
        if self.running.as_ref().is_some_and(|running| !running.is_finished()) {
            return;
        }
        self.wait();
        let path = self.path.clone();
        self.running = Some(std::thread::spawn(move || {
            if let Ok(conn) = connect::open_writer(&path) {
                // PASSIVE waits for nobody, neither readers nor the writer.
                let _ = conn.pragma_update(None, "synchronous", 1);
                let _ = conn.query_row("PRAGMA wal_checkpoint(PASSIVE)", [], |_| Ok(()));
            }
        }));
    }

    /// Waits for the checkpoint that is running.
    pub fn wait(&mut self) {
        if let Some(running) = self.running.take() {
            let _ = running.join();
        }
    }
}

impl Drop for Checkpointer {
    fn drop(&mut self) {
        self.wait();
    }
}
