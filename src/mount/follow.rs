//! Following the archives while they are mounted: what changed is taken back from the kernel, and nothing else.

use super::{Shared, lock};
use crate::tree::INO_BITS;
use crate::tree::forest::Spot;
use crate::tree::{Advance, Node, Sort};
use fuser::{INodeNo, Notifier};
use std::collections::HashSet;
use std::ffi::OsStr;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::Duration;

/// How often the archives are looked at: a look is two calls of stat, and a new snapshot shows within two seconds.
const PERIOD: Duration = Duration::from_millis(700);

/// A request that was under way while the root moved may tell the kernel what held before; so all is taken back once
/// more when such requests are done.
const AGAIN: Duration = Duration::from_millis(300);

/// Follows until `stop` is told something or dropped.
pub fn follow(shared: &Arc<Shared>, notifier: &Notifier, stop: &Receiver<()>) {
    let over = |pause| !matches!(stop.recv_timeout(pause), Err(RecvTimeoutError::Timeout));
    let mut complained = HashSet::new();
    loop {
        if over(PERIOD) {
            return;
        }
        shared.look_around(notifier);
        let mut moved = Vec::new();
        for spot in shared.forest.open_trees() {
            match spot.tree.follow() {
                Ok(None) => {}
                Ok(Some(advance)) => moved.push((spot, advance)),
                Err(error) => {
                    let text = format!("error: cannot follow the archive: {error}");
                    if complained.insert(text.clone()) {
                        (shared.log)(&text);
                    }
                }
            }
        }
        if moved.is_empty() {
            continue;
        }
        moved.iter().for_each(|(spot, advance)| shared.take_back(spot, advance, notifier));
        if over(AGAIN) {
            return;
        }
        moved.iter().for_each(|(spot, advance)| shared.take_back(spot, advance, notifier));
        moved.iter().for_each(|_| shared.requests.advanced());
    }
}

impl Shared {
    /// Archives that came or went in a mounted folder.
    fn look_around(&self, notifier: &Notifier) {
        let (gone, changed) = self.forest.look_around();
        for name in gone {
            self.requests.took_back();
            let _ = notifier.inval_entry(INodeNo::ROOT, OsStr::new(&name));
        }
        if changed {
            let _ = notifier.inval_inode(INodeNo::ROOT, 0, 0);
        }
    }

    /// Tells the kernel what does not hold any more of one tree. A name that it does not know costs one call.
    fn take_back(&self, spot: &Spot, advance: &Advance, notifier: &Notifier) {
        lock(&self.listings).clear();
        let root = spot.ino(Node::ROOT);
        let told: Vec<u64> =
            lock(&self.told).iter().copied().filter(|ino| ino >> INO_BITS == root >> INO_BITS).collect();
        for directory in told {
            let Some(node) = Node::from_ino(directory & ((1 << INO_BITS) - 1)) else { continue };
            let difference = match spot.tree.difference(advance, node) {
                Ok(difference) => difference,
                Err(error) => {
                    (self.log)(&format!("error: {}: {error}", self.describe(directory)));
                    continue;
                }
            };
            for name in &difference.names {
                self.requests.took_back();
                let _ = notifier.inval_entry(INodeNo(directory), OsStr::new(name));
            }
            for node in &difference.nodes {
                self.requests.took_back();
                let is_file = spot.tree.stat(*node).is_ok_and(|stat| stat.sort != Sort::Directory);
                // From offset 0 on: bytes and lines too. A negative one takes back attributes only.
                let offset = if is_file || (difference.listing && spot.ino(*node) == directory) { 0 } else { -1 };
                let _ = notifier.inval_inode(INodeNo(spot.ino(*node)), offset, 0);
            }
        }
    }
}
