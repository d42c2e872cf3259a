//! The threads that put messages into the kernel's cache before they are asked for.

use super::prefetch_queue::LARGE;
use super::shared::Shared;
use crate::tree::archives::Place;
use fuser::{INodeNo, Notifier};

/// Puts messages into the kernel's cache until [`super::prefetch_queue::Ahead::stop`].
pub fn work(shared: &Shared, notifier: &Notifier) {
    while let Some((ino, size)) = shared.ahead.next() {
        // What goes wrong here is told to the reader, who will ask.
        let Ok(Place::In(spot)) = shared.forest.place(ino) else { continue };
        let Ok(Some(bytes)) = spot.tree.read_ahead(spot.node, LARGE) else { continue };
        if bytes.len() as u64 == size && notifier.store(INodeNo(ino), 0, &bytes).is_ok() {
            shared.requests.stored.add(1);
        }
    }
}
