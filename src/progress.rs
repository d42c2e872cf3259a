//! What a run tells of its progress, whichever way it goes.

/// Watches a run; called from the thread that writes.
pub trait Progress {
    /// A new step begins, e.g. `listing INBOX`.
    fn step(&self, what: &str);
    /// So many items come now; `what` is the token of their type, and empty if they are of several.
    fn expect(&self, what: &str, items: u64);
    /// The part of the account that the items are of from now on, e.g. `INBOX`.
    fn place(&self, name: &str);
    /// An item is done.
    fn item(&self, bytes: u64);
    /// True once the user wants the run to end.
    fn interrupted(&self) -> bool;
}

/// Shows nothing, and ends a run once the function says so.
pub struct Unseen<F: Fn() -> bool>(pub F);

/// Shows nothing, and never ends a run.
pub const UNSEEN: Unseen<fn() -> bool> = Unseen(|| false);

impl<F: Fn() -> bool> Progress for Unseen<F> {
    fn step(&self, _: &str) {}

    fn expect(&self, _: &str, _: u64) {}

    fn place(&self, _: &str) {}

    fn item(&self, _: u64) {}

    fn interrupted(&self) -> bool {
        (self.0)()
    }
}
