//! The tree as one tar stream.

use super::assembly::proved;
use super::directory::CHUNK;
use super::names::{Names, folded, is_numbered};
use super::visit::{Entry, Fate, Note, Observer, PendingDirectory, Receiver, failed};
use crate::error::{Error, Result};
use crate::tree::{Bytes, FileType, Node, Tree};
use rustix::process::{getgid, getuid};
use std::collections::{HashMap, HashSet};
use std::io::{self, Read, Write};
use tar::{Builder, EntryType, Header};

/// A stream that entries of the tree are written into.
pub(super) struct Stream<'a> {
    tree: &'a Tree,
    names: Names,
    /// `None`: nothing is written.
    tar: Option<Builder<Box<dyn Write + 'a>>>,
    /// The path at which a message that lies in several mailboxes was written first.
    links: HashMap<Node, String>,
    /// The directories above the walk's place, by depth.
    open: Vec<OpenDirectory>,
}

/// A directory of the stream.
struct OpenDirectory {
    path: String,
    /// It is written once something in it is wanted.
    pending: Option<PendingDirectory>,
    /// Hashes of the names in it, see [`folded`].
    taken: HashSet<u64>,
}

impl<'a> Stream<'a> {
    /// Writes below `top`, which may be empty; nothing where there is no `out`.
    pub(super) fn new(tree: &'a Tree, top: &str, out: Option<Box<dyn Write + 'a>>, names: Names) -> Stream<'a> {
        let top = if top.is_empty() { String::new() } else { format!("{top}/") };
        let open = vec![OpenDirectory { path: top, pending: None, taken: HashSet::new() }];
        Stream { tree, names, tar: out.map(Builder::new), links: HashMap::new(), open }
    }

    /// Ends the stream.
    pub(super) fn finish(self) -> Result<()> {
        let Some(tar) = self.tar else { return Ok(()) };
        tar.into_inner().and_then(|mut out| out.flush()).map_err(cannot_write)
    }

    /// The path that an entry gets.
    fn path(&mut self, entry: &Entry<'_>, observer: &mut dyn Observer) -> Option<String> {
        let mut candidates = self.names.candidates(entry);
        if self.names == Names::Auto {
            // A stream takes every name.
            candidates.truncate(1);
        }
        let directory = self.open.get_mut(entry.depth)?;
        let is_portable = self.names == Names::Portable && !is_numbered(entry);
        let name = candidates.into_iter().find(|name| !is_portable || directory.taken.insert(folded(name)))?;
        let path = format!("{}{name}", directory.path);
        if name != entry.name {
            observer.note(entry, Note::Renamed(name));
        }
        Some(path)
    }

    /// Writes the directories above the walk's place that are not written yet.
    fn write_directories(&mut self, observer: &mut dyn Observer) -> Result<()> {
        for directory in &mut self.open {
            let Some(pending) = directory.pending.take() else { continue };
            let entry = pending.entry();
            let fate = match &mut self.tar {
                Some(tar) => {
                    let mut header = header(&entry, EntryType::Directory, 0);
                    tar.append_data(&mut header, &directory.path, io::empty()).map_err(cannot_write)?;
                    Fate::Written(0)
                }
                None => Fate::Planned,
            };
            observer.told(&entry, fate)?;
        }
        Ok(())
    }

    fn write(&mut self, entry: &Entry<'_>, path: &str) -> Result<Fate> {
        let first = match (entry.stat.file_type, self.links.get(&entry.node)) {
            (FileType::File, None) => match proved(self.tree, entry.node) {
                Ok(bytes) => Some(bytes),
                Err(error) => return Ok(failed(&error)),
            },
            _ => None,
        };
        let Some(tar) = &mut self.tar else { return Ok(Fate::Planned) };
        if let Some(known) = self.links.get(&entry.node) {
            tar.append_link(&mut header(entry, EntryType::Link, 0), path, known).map_err(cannot_write)?;
            return Ok(Fate::Written(0));
        }
        let Some(first) = first else {
            let target = match self.tree.read_link(entry.node) {
                Ok(target) => target,
                Err(error) => return Ok(failed(&error)),
            };
            tar.append_link(&mut header(entry, EntryType::Symlink, 0), path, target).map_err(cannot_write)?;
            return Ok(Fate::Written(0));
        };
        let size = if first.len() < CHUNK { first.len() as u64 } else { entry.stat.size };
        let bytes = Bytewise { tree: self.tree, node: entry.node, piece: first, at: 0, offset: 0 };
        tar.append_data(&mut header(entry, EntryType::Regular, size), path, bytes).map_err(cannot_write)?;
        if entry.stat.links > 1 {
            self.links.insert(entry.node, path.to_owned());
        }
        Ok(Fate::Written(size))
    }
}

impl Receiver for Stream<'_> {
    fn directory(&mut self, entry: &Entry<'_>, is_wanted: bool, observer: &mut dyn Observer) -> Result<()> {
        self.open.truncate(entry.depth + 1);
        let path = self.path(entry, observer);
        if path.is_none() {
            observer.told(entry, Fate::Failed("another directory has its name".to_owned()))?;
        }
        let path = path.unwrap_or_else(|| format!("{}~{}", entry.name, entry.node.object()));
        let pending = Some(PendingDirectory::of(entry));
        self.open.push(OpenDirectory { path: format!("{path}/"), pending, taken: HashSet::new() });
        if is_wanted { self.write_directories(observer) } else { Ok(()) }
    }

    fn has_directory(&self, depth: usize) -> bool {
        self.open.get(depth).is_some_and(|directory| directory.pending.is_none())
    }

    fn file(&mut self, entry: &Entry<'_>, observer: &mut dyn Observer) -> Result<()> {
        self.open.truncate(entry.depth + 1);
        self.write_directories(observer)?;
        let fate = match self.path(entry, observer) {
            Some(path) => self.write(entry, &path)?,
            None => Fate::Failed("another file has its name".to_owned()),
        };
        observer.told(entry, fate)
    }
}

fn header(entry: &Entry<'_>, kind: EntryType, size: u64) -> Header {
    let mut header = Header::new_gnu();
    header.set_entry_type(kind);
    header.set_size(size);
    header.set_mode(if kind.is_dir() { 0o700 } else { 0o600 });
    header.set_mtime(entry.stat.mtime.try_into().unwrap_or(0));
    header.set_uid(getuid().as_raw().into());
    header.set_gid(getgid().as_raw().into());
    header
}

fn cannot_write(error: io::Error) -> Error {
    error.downcast().unwrap_or_else(|error| Error::io("cannot write the tar file", error))
}

/// The bytes of a file, read as they are needed.
struct Bytewise<'t> {
    tree: &'t Tree,
    node: Node,
    piece: Bytes,
    at: usize,
    /// Of the piece in the file.
    offset: u64,
}

impl Read for Bytewise<'_> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        if self.at == self.piece.len() && self.piece.len() == CHUNK {
            self.offset += CHUNK as u64;
            self.piece = self.tree.read(self.node, self.offset, CHUNK).map_err(io::Error::other)?;
            self.at = 0;
        }
        let rest = &self.piece[self.at..];
        let length = rest.len().min(out.len());
        out[..length].copy_from_slice(&rest[..length]);
        self.at += length;
        Ok(length)
    }
}
