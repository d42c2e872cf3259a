//! The threads that put messages into the kernel's cache before they are asked for.

use super::prefetch_queue::LARGE;
use super::shared::Shared;
use crate::tree::archives::Location;
use fuser::{INodeNo, Notifier};

/// Puts messages into the kernel's cache until [`super::prefetch_queue::PrefetchQueue::stop`].
pub(super) fn work(shared: &Shared, notifier: &Notifier) {
    while let Some((ino, size)) = shared.prefetch.next() {
        // An error is left to the reader, whose own request meets it again.
        let Ok(Location::Node(message)) = shared.archives.locate(ino) else { continue };
        let Ok(Some(bytes)) = message.tree.read_ahead(message.node, LARGE) else { continue };
        if bytes.len() as u64 == size && notifier.store(INodeNo(ino), 0, &bytes).is_ok() {
            shared.requests.stored.add(1);
        }
    }
}
