//! Large files: each is read by one thread. SQLite finds a part of a large value page by page from its start, and a reader
//! that stays at the value goes on from its last page. The threads of fuser take requests in turn, so each of them would
//! start from the beginning.

use super::shared::Shared;
use crate::tree::Blob;
use fuser::{INodeNo, ReplyData};
use std::sync::mpsc::{Receiver, Sender, channel};

/// How many threads read large files.
const READERS: usize = 2;

/// A request for a part of a large file.
pub struct LargeRead {
    /// The file; it decides which thread answers.
    pub ino: INodeNo,
    /// Where the file's bytes stand.
    pub blob: Blob,
    /// Bytes from the start of the file.
    pub offset: u64,
    /// How many bytes are asked for.
    pub size: usize,
    /// Answers the request; dropped unused it answers EIO.
    pub reply: ReplyData,
}

/// The queues of the threads.
#[derive(Clone)]
pub struct LargeReads(Vec<Sender<LargeRead>>);

impl LargeReads {
    /// The queues, and the other end of each for a thread that runs [`work`].
    pub fn new() -> (LargeReads, Vec<Receiver<LargeRead>>) {
        let (senders, receivers) = (0..READERS).map(|_| channel()).unzip();
        (LargeReads(senders), receivers)
    }

    /// Hands a request to the thread of its file.
    pub fn send(&self, request: LargeRead) {
        let queue = &self.0[request.ino.0 as usize % self.0.len()];
        // If the thread has ended, the request is dropped, and its reply answers EIO.
        let _ = queue.send(request);
    }
}

/// Answers requests until [`LargeReads`] is dropped.
pub fn work(shared: &Shared, requests: &Receiver<LargeRead>) {
    for LargeRead { ino, blob, offset, size, reply } in requests {
        let mut reply = Some(reply);
        let answer = |bytes: &[u8]| reply.take().into_iter().for_each(|reply| reply.data(bytes));
        let answered = shared.node(ino, |node| node.tree.hand_out(&blob, offset, size, answer));
        if let (Err(errno), Some(reply)) = (answered, reply) {
            reply.error(errno);
        }
    }
}
