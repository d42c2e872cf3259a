//! What a run tells of its progress, whichever way it goes.

/// Watches a run; called from the thread that writes.
pub trait Progress {
    /// A new step begins, e.g. `listing INBOX`.
    fn step(&self, what: &str);
    /// So many items will be fetched.
    fn expect(&self, items: u64);
    /// An item is done.
    fn item(&self, bytes: u64);
    /// True once the user wants the run to end.
    fn interrupted(&self) -> bool;
}
