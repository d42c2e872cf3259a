//! The bridge from the sync world: runs one future to its end on this thread, and stops when the user wants.

use crate::error::{Error, ErrorKind, Result};
use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tokio::{runtime, time};

/// A single-threaded runtime. It is driven only while a `run` is under way.
pub struct Runtime {
    inner: Option<runtime::Runtime>,
    stop: Arc<AtomicBool>,
}

impl Runtime {
    /// `stop` becomes true once the user wants the run to end.
    pub fn new(stop: Arc<AtomicBool>) -> Result<Runtime> {
        let inner = runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(|error| Error::io("cannot set up the network", error))?;
        Ok(Runtime { inner: Some(inner), stop })
    }

    /// Runs `work` to its end, or until the user interrupts: then the future is dropped where it waits.
    pub fn run<T>(&self, work: impl Future<Output = Result<T>>) -> Result<T> {
        let interrupted = || Error::new(ErrorKind::Interrupted, "interrupted");
        let Some(inner) = &self.inner else { return Err(interrupted()) };
        inner.block_on(async {
            tokio::select! {
                biased;
                done = work => done,
                () = self.stopped() => Err(interrupted()),
            }
        })
    }

    async fn stopped(&self) {
        while !self.stop.load(Ordering::Relaxed) {
            time::sleep(Duration::from_millis(100)).await;
        }
    }
}

impl Drop for Runtime {
    fn drop(&mut self) {
        // A name that the resolver is still looking for must not hold up the end of the program.
        if let Some(inner) = self.inner.take() {
            inner.shutdown_background();
        }
    }
}
