//! Following the archives while they are mounted: the kernel drops what changed, and nothing else.

use super::shared::Shared;
use crate::tree::archives::ArchiveNode;
use crate::tree::{Advance, FileType, Followed};
use fuser::{INodeNo, Notifier};
use std::collections::HashSet;
use std::ffi::OsStr;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::Duration;

/// How often the archives are checked: a check is two calls of stat, and a new snapshot shows within two seconds.
const PERIOD: Duration = Duration::from_millis(700);

/// A request in progress while the root moves may tell the kernel the former state, so everything is invalidated once more
/// after this time.
const AGAIN: Duration = Duration::from_millis(300);

/// Follows until `stop` gets a message or is dropped.
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
        shared.rescan(notifier);
        let mut moved = Vec::new();
        for root in shared.archives.open_trees() {
            match root.tree.follow() {
                Ok(Followed::Nothing) => {}
                Ok(Followed::Moved(advance)) => moved.push((root, advance)),
                Ok(Followed::Replaced) => complain(format!(
                    "error: archive {} was removed or replaced; the mount still shows the old one: mount it again",
                    root.tree.reader().path().display()
                )),
                Err(error) => complain(format!("error: cannot follow the archive: {error}")),
            }
        }
        if moved.is_empty() {
            continue;
        }
        moved.iter().for_each(|(root, advance)| shared.invalidate(root, advance, notifier));
        if over(AGAIN) {
            return;
        }
        moved.iter().for_each(|(root, advance)| shared.invalidate(root, advance, notifier));
        shared.requests.advances.add(moved.len() as u64);
    }
}

impl Shared {
    /// Archives that came or went in a mounted folder.
    fn rescan(&self, notifier: &Notifier) {
        let (gone, changed) = self.archives.rescan();
        for name in gone {
            self.requests.invalidated.add(1);
            let _ = notifier.inval_entry(INodeNo::ROOT, OsStr::new(&name));
        }
        if changed {
            let _ = notifier.inval_inode(INodeNo::ROOT, 0, 0);
        }
    }

    /// Lets the kernel drop what changed in one tree. A name that it does not know costs one call.
    fn invalidate(&self, root: &ArchiveNode, advance: &Advance, notifier: &Notifier) {
        self.pages.forget();
        // Copied, because requests take this lock while the kernel waits for the calls below.
        let known: Vec<u64> = self.known_directories.lock().iter().copied().collect();
        for (directory, node) in known.into_iter().filter_map(|ino| Some((ino, root.node_of(ino)?))) {
            let difference = match root.tree.difference(advance, node) {
                Ok(difference) => difference,
                Err(error) => {
                    (self.log)(&format!("error: {}: {error}", self.describe(directory)));
                    continue;
                }
            };
            for name in &difference.names {
                self.requests.invalidated.add(1);
                let _ = notifier.inval_entry(INodeNo(directory), OsStr::new(name));
            }
            for node in &difference.nodes {
                self.requests.invalidated.add(1);
                // A text is decoded for its `stat`.
                let is_file = match node.descriptor().file_type {
                    Some(file_type) => file_type != FileType::Directory,
                    None => root.tree.stat(*node).is_ok_and(|stat| stat.file_type != FileType::Directory),
                };
                // Offset 0 drops bytes and listings too, a negative one attributes only.
                let offset = if is_file || (difference.listing && root.ino(*node) == directory) { 0 } else { -1 };
                let _ = notifier.inval_inode(INodeNo(root.ino(*node)), offset, 0);
            }
        }
    }
}
