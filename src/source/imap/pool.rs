//! A few threads, each with a connection of its own, that do what has to be asked of the server.

use crate::error::Result;
use crate::net::account::Account;
use crate::net::runtime::Runtime;
use crate::protocol::imap::{Session, Shared};
use parking_lot::{Condvar, Mutex};
use std::collections::VecDeque;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, channel};
use std::thread::JoinHandle;

/// Something to ask over one of the connections.
type Job = Box<dyn FnOnce(&Runtime, &mut Session) + Send>;

/// How each connection is made.
#[derive(Clone)]
pub(super) struct ConnectionConfig {
    pub account: Account,
    pub compress: bool,
    /// Where bodies go that are too large for memory.
    pub spool: PathBuf,
}

/// The threads. A new one begins, and connects, only when a job waits and no thread is idle.
pub(super) struct Crew {
    recipe: ConnectionConfig,
    size: usize,
    queue: Arc<Queue>,
    shared: Arc<Shared>,
    threads: Vec<JoinHandle<()>>,
}

#[derive(Default)]
struct Queue {
    state: Mutex<QueuedJobs>,
    changed: Condvar,
}

#[derive(Default)]
struct QueuedJobs {
    jobs: VecDeque<Job>,
    idle: usize,
    is_closed: bool,
}

impl Queue {
    /// The next job, or `None` when there will be none.
    fn next(&self) -> Option<Job> {
        let mut state = self.state.lock();
        loop {
            if state.is_closed {
                return None;
            }
            if let Some(job) = state.jobs.pop_front() {
                return Some(job);
            }
            state.idle += 1;
            self.changed.wait(&mut state);
            state.idle -= 1;
        }
    }
}

impl Crew {
    /// At most `size` connections.
    pub(super) fn new(recipe: ConnectionConfig, size: usize) -> Crew {
        Crew { recipe, size: size.max(1), queue: Arc::default(), shared: Arc::default(), threads: Vec::new() }
    }

    /// The most connections there will be.
    pub(super) fn size(&self) -> usize {
        self.size
    }

    /// Gives a job to the thread that is idle next.
    pub(super) fn submit(&mut self, job: impl FnOnce(&Runtime, &mut Session) + Send + 'static) {
        let is_short = {
            let mut state = self.queue.state.lock();
            state.jobs.push_back(Box::new(job));
            state.jobs.len() > state.idle
        };
        self.queue.changed.notify_one();
        if is_short && self.threads.len() < self.size {
            let (recipe, queue, shared) = (self.recipe.clone(), Arc::clone(&self.queue), Arc::clone(&self.shared));
            self.threads.push(std::thread::spawn(move || work(recipe, &queue, shared)));
        }
    }

    /// Runs a job whose answer the receiver gets. No answer means that the thread could not set up the network.
    pub(super) fn ask<T: Send + 'static>(
        &mut self,
        job: impl FnOnce(&Runtime, &mut Session) -> T + Send + 'static,
    ) -> Receiver<T> {
        let (sender, receiver) = channel();
        self.submit(move |runtime, session| {
            // The receiver may be gone.
            let _ = sender.send(job(runtime, session));
        });
        receiver
    }
}

fn work(recipe: ConnectionConfig, queue: &Queue, shared: Arc<Shared>) {
    let runtime: Result<Runtime> = Runtime::new(Arc::clone(&recipe.account.stop));
    // Without a runtime a job is dropped, and with it the sender that its asker waits for.
    let Ok(runtime) = runtime else {
        while let Some(job) = queue.next() {
            drop(job);
        }
        return;
    };
    let mut session = Session::new(recipe.account, recipe.compress, Some(recipe.spool), shared);
    while let Some(job) = queue.next() {
        job(&runtime, &mut session);
    }
    let _ = runtime.run(async {
        session.close().await;
        Ok(())
    });
}

impl Drop for Crew {
    /// Lets the threads say goodbye to the server.
    fn drop(&mut self) {
        self.queue.state.lock().is_closed = true;
        self.queue.changed.notify_all();
        for thread in self.threads.drain(..) {
            let _ = thread.join();
        }
    }
}
