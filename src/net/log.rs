//! The log of a connection (`--verbose`).

use std::sync::Arc;

/// Who wants to know what goes on: a level as of `-v` (1: retries, 2: connections and commands, 3: every response), and
/// a line of text. A line never holds a secret.
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

    /// Says what goes on; the text is made only if somebody wants it.
    pub fn say(&self, level: u8, text: impl FnOnce() -> String) {
        if level <= self.level {
            (self.write)(&text());
        }
    }
}
