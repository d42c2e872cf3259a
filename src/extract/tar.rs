//! The tree as one tar stream.

use super::assembly::proved;
use super::directory::CHUNK;
use super::links::Links;
use super::names::{Names, folded, is_numbered};
use super::visit::{Entry, Fate, Note, Observer, PendingDirectory, Receiver, failed};
use crate::error::{Error, Result};
use crate::tree::{Bytes, FileType, Node, Tree};
use rustix::process::{getgid, getuid};
use std::cell::Cell;
use std::collections::HashSet;
use std::io::{self, Read, Write};
use std::rc::Rc;
use tar::{Builder, EntryType, Header};

/// A stream that entries of the tree are written into.
pub(super) struct Stream<'a> {
    tree: &'a Tree,
    names: Names,
    /// `None`: nothing is written.
    tar: Option<Builder<Gate<'a>>>,
    links: Links<String>,
    /// False once the stream has to end as it is.
    is_open: Rc<Cell<bool>>,
    /// The directories above the walk's place, by depth.
    open: Vec<OpenDirectory>,
}

/// A directory of the stream.
struct OpenDirectory {
    /// `None`: it has no name in the stream, and nothing in it has.
    path: Option<String>,
    number: u32,
    /// It is written once something in it is wanted.
    pending: Option<PendingDirectory>,
    /// Hashes of the names in it, see [`folded`].
    taken: HashSet<u64>,
}

impl<'a> Stream<'a> {
    /// Writes below `top`, which may be empty; nothing where there is no `out`.
    pub(super) fn new(tree: &'a Tree, top: &str, out: Option<Box<dyn Write + 'a>>, names: Names) -> Stream<'a> {
        let top = if top.is_empty() { String::new() } else { format!("{top}/") };
        let (mut links, is_open) = (Links::default(), Rc::new(Cell::new(true)));
        let number = links.directory(top.clone());
        let open = vec![OpenDirectory { path: Some(top), number, pending: None, taken: HashSet::new() }];
        let tar = out.map(|out| Builder::new(Gate { out, is_open: Rc::clone(&is_open) }));
        Stream { tree, names, tar, links, is_open, open }
    }

    /// Ends the stream. One that is dropped before has no end, so that nobody takes it for a whole one.
    pub(super) fn finish(mut self) -> Result<()> {
        let Some(tar) = self.tar.take() else { return Ok(()) };
        tar.into_inner().and_then(|mut out| out.flush()).map_err(cannot_write)
    }

    /// The name that an entry gets.
    fn name(&mut self, entry: &Entry<'_>) -> Option<String> {
        let mut candidates = self.names.candidates(entry);
        if self.names == Names::Auto {
            // A stream takes every name.
            candidates.truncate(1);
        }
        let directory = self.open.get_mut(entry.depth).filter(|directory| directory.path.is_some())?;
        let is_portable = self.names == Names::Portable && !is_numbered(entry);
        candidates.into_iter().find(|name| !is_portable || directory.taken.insert(folded(name)))
    }

    /// The path of a name in the directory at this depth.
    fn path(&self, depth: usize, name: &str) -> String {
        let directory = self.open.get(depth).and_then(|directory| directory.path.as_deref());
        format!("{}{name}", directory.unwrap_or_default())
    }

    /// Writes the directories above the walk's place that are not written yet.
    fn write_directories(&mut self, observer: &mut dyn Observer) -> Result<()> {
        for directory in &mut self.open {
            let Some(pending) = directory.pending.take() else { continue };
            let entry = pending.entry();
            let fate = match (&mut self.tar, &directory.path) {
                (_, None) => Fate::Failed("another directory has its name".to_owned()),
                (None, _) => Fate::Planned,
                (Some(tar), Some(path)) => {
                    let mut header = header(tar, &entry, EntryType::Directory, 0)?;
                    tar.append_data(&mut header, path, io::empty()).map_err(cannot_write)?;
                    Fate::Written(0)
                }
            };
            let name = directory.path.as_deref().and_then(|path| path.trim_end_matches('/').rsplit('/').next());
            note_name(&entry, name, observer);
            observer.told(&entry, fate)?;
        }
        Ok(())
    }

    fn write(&mut self, entry: &Entry<'_>, name: &str) -> Result<Fate> {
        let known = self.links.get(entry.node).filter(|_| entry.stat.links > 1);
        let known = known.map(|(directory, name)| format!("{directory}{name}"));
        let path = self.path(entry.depth, name);
        let first = match (entry.stat.file_type, &known) {
            (FileType::File, None) => match proved(self.tree, entry.node) {
                Ok(bytes) => Some(bytes),
                Err(error) => return Ok(failed(&error)),
            },
            _ => None,
        };
        let Some(tar) = &mut self.tar else { return Ok(Fate::Planned) };
        let Some(first) = first else {
            let (kind, target) = match (known, self.tree.read_link(entry.node)) {
                (Some(known), _) => (EntryType::Link, known),
                (None, Ok(target)) => (EntryType::Symlink, target),
                (None, Err(error)) => return Ok(failed(&error)),
            };
            let mut header = header(tar, entry, kind, 0)?;
            tar.append_link(&mut header, &path, target).map_err(cannot_write)?;
            return Ok(Fate::Written(0));
        };
        let size = if first.len() < CHUNK { first.len() as u64 } else { entry.stat.size };
        let bytes = Bytewise { tree: self.tree, node: entry.node, piece: first, at: 0, offset: 0 };
        let mut header = header(tar, entry, EntryType::Regular, size)?;
        tar.append_data(&mut header, &path, bytes).map_err(cannot_write)?;
        if let Some(directory) = self.open.get(entry.depth)
            && entry.stat.links > 1
        {
            self.links.note(entry.node, directory.number, name);
        }
        Ok(Fate::Written(size))
    }
}

impl Drop for Stream<'_> {
    fn drop(&mut self) {
        self.is_open.set(false);
    }
}

fn note_name(entry: &Entry<'_>, name: Option<&str>, observer: &mut dyn Observer) {
    if let Some(name) = name.filter(|name| *name != entry.name) {
        observer.note(entry, Note::Renamed(name.to_owned()));
    }
}

/// Lets bytes through until it is closed: what tar writes when it is dropped would be the end of a whole file.
struct Gate<'a> {
    out: Box<dyn Write + 'a>,
    is_open: Rc<Cell<bool>>,
}

impl Write for Gate<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.is_open.get() { self.out.write(bytes) } else { Ok(bytes.len()) }
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}

impl Receiver for Stream<'_> {
    fn directory(&mut self, entry: &Entry<'_>, is_wanted: bool, observer: &mut dyn Observer) -> Result<()> {
        self.open.truncate(entry.depth + 1);
        let name = self.name(entry);
        let path = name.map(|name| format!("{}/", self.path(entry.depth, &name)));
        let number = self.links.directory(path.clone().unwrap_or_default());
        let pending = Some(PendingDirectory::of(entry));
        self.open.push(OpenDirectory { path, number, pending, taken: HashSet::new() });
        if is_wanted { self.write_directories(observer) } else { Ok(()) }
    }

    fn has_directory(&self, depth: usize) -> bool {
        self.open.get(depth).is_some_and(|directory| directory.pending.is_none())
    }

    fn file(&mut self, entry: &Entry<'_>, observer: &mut dyn Observer) -> Result<()> {
        self.open.truncate(entry.depth + 1);
        self.write_directories(observer)?;
        let is_lost = self.open.last().is_none_or(|directory| directory.path.is_none());
        let name = self.name(entry);
        note_name(entry, name.as_deref(), observer);
        let fate = match name {
            Some(name) => self.write(entry, &name)?,
            None if is_lost => Fate::NoDirectory,
            None => Fate::Failed("another file has its name".to_owned()),
        };
        observer.told(entry, fate)
    }
}

/// The header of an entry. A date before 1970 has a header of its own before it (POSIX pax).
fn header(tar: &mut Builder<Gate<'_>>, entry: &Entry<'_>, kind: EntryType, size: u64) -> Result<Header> {
    let mut header = Header::new_gnu();
    header.set_entry_type(kind);
    header.set_size(size);
    header.set_mode(if kind.is_dir() { 0o700 } else { 0o600 });
    match u64::try_from(entry.stat.mtime) {
        Ok(mtime) => header.set_mtime(mtime),
        Err(_) => {
            let mtime = entry.stat.mtime.to_string();
            tar.append_pax_extensions([("mtime", mtime.as_bytes())]).map_err(cannot_write)?;
        }
    }
    header.set_uid(getuid().as_raw().into());
    header.set_gid(getgid().as_raw().into());
    Ok(header)
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
