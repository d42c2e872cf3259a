//! Writing a part of the tree to disk: no file is overwritten, no link followed, dates kept.

use crate::error::{Error, Kind as Fault, Result};
use crate::tree::{Child, Node, Sort, Stat, Tree, walk};
use std::collections::HashMap;
use std::fs::{self, File, OpenOptions};
use std::io::{BufWriter, Write};
use std::os::unix::fs::{OpenOptionsExt, symlink};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// How many bytes are copied at a time.
const PIECE: usize = 1 << 20;

/// What was written.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Extracted {
    pub files: u64,
    pub bytes: u64,
    /// Path and reason of each file that could not be read or written.
    pub failed: Vec<(String, String)>,
}

/// Writes the node at `path` of the tree into the directory `into`, which is made if it is missing: a file under its
/// own name, a directory with all it holds, the root as the account's folders but for those that decode the mail.
///
/// A file that exists already is left alone and counts as failed. Damaged files are named; the rest goes on.
pub fn extract(tree: &Tree, path: &str, into: &Path, mut each: impl FnMut(&str)) -> Result<Extracted> {
    let node = tree.resolve(path)?;
    let stat = tree.stat(node)?;
    fs::create_dir_all(into).map_err(|error| Error::io(format!("cannot make {}", into.display()), error))?;
    let mut writer = Writer { tree, links: HashMap::new(), done: Extracted::default(), directories: Vec::new() };
    let name = path.rsplit('/').find(|part| !part.is_empty());
    if stat.sort != Sort::Directory {
        let name = name.unwrap_or("file");
        writer.write(node, stat, &into.join(name), path);
        return Ok(writer.done);
    }
    let base = match name {
        Some(name) => into.join(name),
        None => into.to_owned(),
    };
    writer.directory(&base, stat)?;
    walk::walk(tree, node, |step| {
        if name.is_none() && step.child.node.is_decoded_mail() {
            return Ok(false);
        }
        each(step.path);
        let target = base.join(step.path);
        let stat = match step.child.stat.map_or_else(|| tree.stat(step.child.node), Ok) {
            Ok(stat) => stat,
            Err(error) => {
                writer.done.failed.push((step.path.to_owned(), error.to_string()));
                return Ok(false);
            }
        };
        match step.child.sort {
            Sort::Directory => match writer.directory(&target, stat) {
                Ok(()) => return Ok(true),
                Err(error) if error.kind == Fault::Storage => return Err(error),
                Err(error) => writer.done.failed.push((step.path.to_owned(), error.to_string())),
            },
            _ => writer.write_child(step.child, stat, &target, step.path),
        }
        Ok(false)
    })?;
    if !writer.done.failed.is_empty() {
        tree.require()?;
    }
    // Last, because writing into a directory changes its date.
    for (directory, mtime) in writer.directories.iter().rev() {
        let _ = File::open(directory).and_then(|handle| handle.set_modified(time(*mtime)));
    }
    Ok(writer.done)
}

struct Writer<'a> {
    tree: &'a Tree,
    /// Where a message that lies in several mailboxes was written first.
    links: HashMap<Node, PathBuf>,
    done: Extracted,
    directories: Vec<(PathBuf, i64)>,
}

impl Writer<'_> {
    fn directory(&mut self, path: &Path, stat: Stat) -> Result<()> {
        match fs::create_dir(path) {
            Ok(()) => {}
            // A link in its place would lead elsewhere.
            Err(error)
                if error.kind() == std::io::ErrorKind::AlreadyExists
                    && fs::symlink_metadata(path).is_ok_and(|meta| meta.is_dir()) => {}
            Err(error) => return Err(Error::io(format!("cannot make {}", path.display()), error)),
        }
        self.directories.push((path.to_owned(), stat.mtime));
        Ok(())
    }

    fn write_child(&mut self, child: &Child, stat: Stat, target: &Path, shown: &str) {
        if stat.links > 1
            && let Some(first) = self.links.get(&child.node)
            && fs::hard_link(first, target).is_ok()
        {
            self.done.files += 1;
            return;
        }
        if self.write(child.node, stat, target, shown) && stat.links > 1 {
            self.links.insert(child.node, target.to_owned());
        }
    }

    fn write(&mut self, node: Node, stat: Stat, target: &Path, shown: &str) -> bool {
        match self.copy(node, stat, target) {
            Ok(bytes) => {
                self.done.files += 1;
                self.done.bytes += bytes;
                true
            }
            Err(error) => {
                self.done.failed.push((shown.to_owned(), error.to_string()));
                false
            }
        }
    }

    fn copy(&self, node: Node, stat: Stat, target: &Path) -> Result<u64> {
        let fail = |error| Error::io(format!("cannot write {}", target.display()), error);
        if stat.sort == Sort::Link {
            symlink(self.tree.read_link(node)?, target).map_err(fail)?;
            return Ok(0);
        }
        // The first bytes are read before the file is made: what is damaged leaves no empty file behind.
        let mut bytes = self.tree.read(node, 0, PIECE)?;
        let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(target).map_err(fail)?;
        let mut out = BufWriter::new(file);
        let mut done = 0;
        let copied = loop {
            if let Err(error) = out.write_all(&bytes) {
                break Err(fail(error));
            }
            done += bytes.len() as u64;
            if bytes.len() < PIECE {
                break Ok(());
            }
            match self.tree.read(node, done, PIECE) {
                Ok(next) => bytes = next,
                Err(error) => break Err(error),
            }
        };
        let finished = copied.and_then(|()| {
            let file = out.into_inner().map_err(|error| fail(error.into_error()))?;
            file.set_modified(time(stat.mtime)).map_err(fail)
        });
        if finished.is_err() {
            let _ = fs::remove_file(target);
        }
        finished.map(|()| done)
    }
}

fn time(seconds: i64) -> SystemTime {
    match u64::try_from(seconds) {
        Ok(after) => UNIX_EPOCH + Duration::from_secs(after.min(1 << 40)),
        Err(_) => UNIX_EPOCH - Duration::from_secs(seconds.unsigned_abs().min(1 << 40)),
    }
}
