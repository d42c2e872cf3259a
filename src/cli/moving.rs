//! What moves on the screen, and how everything else gets past it.

use indicatif::ProgressBar;
use parking_lot::Mutex;
use std::cell::Cell;
use std::sync::Arc;

thread_local! {
    /// This thread has taken the display away already.
    static IS_ASIDE: Cell<bool> = const { Cell::new(false) };
}

/// The place of a progress display.
#[derive(Clone, Default)]
pub(super) struct Moving {
    shown: Arc<Mutex<Option<ProgressBar>>>,
}

impl Moving {
    /// Something moves from now on.
    pub(super) fn show(&self, bar: &ProgressBar) {
        *self.shown.lock() = Some(bar.clone());
    }

    /// Nothing moves any more.
    pub(super) fn clear(&self) {
        *self.shown.lock() = None;
    }

    /// Writes something else: the display is away for as long, so that neither stands in the other's line.
    pub(super) fn aside<T>(&self, other: impl FnOnce() -> T) -> T {
        let shown = self.shown.lock().clone();
        match shown {
            Some(bar) if !IS_ASIDE.get() => {
                IS_ASIDE.set(true);
                let done = bar.suspend(other);
                IS_ASIDE.set(false);
                done
            }
            _ => other(),
        }
    }
}
