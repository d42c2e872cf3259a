//! Large files: each is read by one thread. A large value is found page by page from its start, and whoever stays at it
//! goes on where it was; the threads that take requests get them in turn, and each would find its own way.

use super::shared::Shared;
use crate::tree::Blob;
use fuser::{INodeNo, ReplyData};
use std::sync::mpsc::{Receiver, Sender, channel};

/// How many threads read large files.
const READERS: usize = 2;

/// A part of a large file that somebody waits for.
pub struct Job {
    pub ino: INodeNo,
    /// Where it stands.
    pub blob: Blob,
    pub offset: u64,
    pub size: usize,
    pub reply: ReplyData,
}

/// The way to the threads.
#[derive(Clone)]
pub struct Desk(Vec<Sender<Job>>);

impl Desk {
    /// The desk, and what each thread works through with [`work`].
    pub fn new() -> (Desk, Vec<Receiver<Job>>) {
        let (senders, receivers) = (0..READERS).map(|_| channel()).unzip();
        (Desk(senders), receivers)
    }

    /// Leaves a job to the thread of its file.
    pub fn leave(&self, job: Job) {
        let desk = &self.0[job.ino.0 as usize % self.0.len()];
        // A thread that ended answers nobody; dropped, the reply says so.
        let _ = desk.send(job);
    }
}

/// Works until the desk is gone.
pub fn work(shared: &Shared, jobs: &Receiver<Job>) {
    for Job { ino, blob, offset, size, reply } in jobs {
        let mut reply = Some(reply);
        let answer = |bytes: &[u8]| reply.take().into_iter().for_each(|reply| reply.data(bytes));
        let answered = shared.node(ino, |spot| spot.tree.hand_out(&blob, offset, size, answer));
        if let (Err(errno), Some(reply)) = (answered, reply) {
            reply.error(errno);
        }
    }
}
