//! The log of a connection (`--verbose`).

use std::sync::Arc;

/// Takes lines about connections up to a level, that of `-v` (1: retries, 2: connections and commands, 3: every response).
/// A line never holds a secret.
#[derive(Clone)]
pub struct Log {
    level: u8,
    write: Arc<dyn Fn(&str) + Send + Sync>,
}

impl Log {
    /// Hands lines up to this level to `write`.
    pub fn new(level: u8, write: impl Fn(&str) + Send + Sync + 'static) -> Log {
        Log { level, write: Arc::new(write) }
    }

    /// Writes a line; `text` is called only if the log has this level.
    pub fn say(&self, level: u8, text: impl FnOnce() -> String) {
        if level <= self.level {
            (self.write)(&text());
        }
    }
}
