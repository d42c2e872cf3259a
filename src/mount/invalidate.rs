//! Following the archives while they are mounted: what changed is taken back from the kernel, and nothing else.

use super::shared::Shared;
use crate::tree::archives::Spot;
use crate::tree::entry::Sort;
use crate::tree::{Advance, Followed};
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
    let mut complain = |text: String| {
        if complained.insert(text.clone()) {
            (shared.log)(&text);
        }
    };
    loop {
        if over(PERIOD) {
            return;
        }
        shared.look_around(notifier);
        let mut moved = Vec::new();
        for spot in shared.forest.open_trees() {
            match spot.tree.follow() {
                Ok(Followed::Nothing) => {}
                Ok(Followed::Moved(advance)) => moved.push((spot, advance)),
                Ok(Followed::Replaced) => complain(format!(
                    "error: archive {} was removed or replaced; the mount still shows the old one: mount it again",
                    spot.tree.reader().path().display()
                )),
                Err(error) => complain(format!("error: cannot follow the archive: {error}")),
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
        shared.requests.advances.add(moved.len() as u64);
    }
}

impl Shared {
    /// Archives that came or went in a mounted folder.
    fn look_around(&self, notifier: &Notifier) {
        let (gone, changed) = self.forest.look_around();
        for name in gone {
            self.requests.taken_back.add(1);
            let _ = notifier.inval_entry(INodeNo::ROOT, OsStr::new(&name));
        }
        if changed {
            let _ = notifier.inval_inode(INodeNo::ROOT, 0, 0);
        }
    }

    /// Tells the kernel what does not hold any more of one tree. A name that it does not know costs one call.
    fn take_back(&self, spot: &Spot, advance: &Advance, notifier: &Notifier) {
        self.pages.forget();
        let told: Vec<_> = self.told.lock().iter().filter_map(|ino| Some((*ino, spot.node_of(*ino)?))).collect();
        for (directory, node) in told {
            let difference = match spot.tree.difference(advance, node) {
                Ok(difference) => difference,
                Err(error) => {
                    (self.log)(&format!("error: {}: {error}", self.describe(directory)));
                    continue;
                }
            };
            for name in &difference.names {
                self.requests.taken_back.add(1);
                let _ = notifier.inval_entry(INodeNo(directory), OsStr::new(name));
            }
            for node in &difference.nodes {
                self.requests.taken_back.add(1);
                let is_file = spot.tree.stat(*node).is_ok_and(|stat| stat.sort != Sort::Directory);
                // From offset 0 on: bytes and lines too. A negative one takes back attributes only.
                let offset = if is_file || (difference.listing && spot.ino(*node) == directory) { 0 } else { -1 };
                let _ = notifier.inval_inode(INodeNo(spot.ino(*node)), offset, 0);
            }
        }
    }
}
