//! The thread that speaks with the server. The connections of a client live in one runtime, so all of them are its.

use crate::error::{Error, ErrorKind, Result};
use crate::net::runtime::Runtime;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::mpsc::{Sender, channel};
use std::thread::JoinHandle;

type Job = Box<dyn FnOnce(&Runtime) + Send>;

/// Does one job after the other.
pub(super) struct Worker {
    jobs: Option<Sender<Job>>,
    thread: Option<JoinHandle<()>>,
}

impl Worker {
    /// `stop` becomes true once the user wants the run to end.
    pub(super) fn start(stop: Arc<AtomicBool>) -> Result<Worker> {
        let runtime = Runtime::new(stop)?;
        let (jobs, waiting) = channel::<Job>();
        let thread = std::thread::spawn(move || {
            for job in waiting {
                job(&runtime);
            }
        });
        Ok(Worker { jobs: Some(jobs), thread: Some(thread) })
    }

    /// Gives a job to do.
    pub(super) fn submit(&self, job: impl FnOnce(&Runtime) + Send + 'static) {
        if let Some(jobs) = &self.jobs {
            // The thread ends with this struct.
            let _ = jobs.send(Box::new(job));
        }
    }

    /// A job with an answer.
    pub(super) fn ask<T: Send + 'static>(&self, job: impl FnOnce(&Runtime) -> T + Send + 'static) -> Result<T> {
        let (sender, receiver) = channel();
        self.submit(move |runtime| {
            let _ = sender.send(job(runtime));
        });
        receiver.recv().map_err(|_| Error::new(ErrorKind::Connection, "the thread for the network has ended"))
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        drop(self.jobs.take());
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}
