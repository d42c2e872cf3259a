//! How often something is tried again.

use crate::error::{Error, ErrorKind, Result};
use crate::progress::Progress;
use std::time::Duration;
/// How long something is tried that does not get better.
pub(super) struct RetryPolicy {
    left: u32,
    pause: Duration,
    pub batch: usize,
}

impl RetryPolicy {
    pub(super) fn new(retries: u32) -> RetryPolicy {
        RetryPolicy { left: retries, pause: Duration::from_millis(250), batch: BATCH }
    }

    /// Waits before the next attempt; false if there were enough. As long as something gets done there is no end, and
    /// where nothing does, requests get smaller until each holds one object.
    pub(super) fn again(&mut self, is_better: bool, progress: &dyn Progress) -> Result<bool> {
        if is_better {
            self.pause = Duration::from_millis(250);
            return Ok(true);
        }
        if self.left == 0 && self.batch == 1 {
            return Ok(false);
        }
        self.left = self.left.saturating_sub(1);
        self.batch = if self.left == 0 { 1 } else { (self.batch / 8).max(1) };
        let mut waited = Duration::ZERO;
        while waited < self.pause {
            if progress.interrupted() {
                return Err(Error::new(ErrorKind::Interrupted, "interrupted"));
            }
            let part = Duration::from_millis(50);
            std::thread::sleep(part);
            waited += part;
        }
        self.pause = (self.pause * 2).min(Duration::from_secs(10));
        Ok(true)
    }
}

/// How many objects one request holds, unless something fails.
const BATCH: usize = 500;
