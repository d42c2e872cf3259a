//! One archive, or several of them side by side: which tree an inode number belongs to.
//!
//! The bits above those of a tree say which archive: 0 where there is only one, else a slot that follows from the
//! archive's name, so that numbers are the same at the next mount. An archive is opened at the first request for
//! something in its directory.

use super::cache::Counters;
use super::child::Child;
use super::name;
use super::node::{INO_BITS, Node};
use super::opened::{Tree, TreeOptions};
use super::stat::{FileType, Stat, file_time, no_such};
use crate::archive::{self, Reader};
use crate::error::Result;
use crate::model::Digest;
use parking_lot::{Mutex, MutexGuard};
use std::collections::{BTreeMap, HashSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// How many archives one mount can show.
pub const ARCHIVES_MAX: usize = (1 << (64 - INO_BITS)) - 1;

/// The number of the directory that holds the archives.
const ROOT: u64 = 1;

/// Several trees, or one.
pub struct Archives {
    options: TreeOptions,
    /// The files and folders that were named; empty where there is one tree.
    sources: Vec<PathBuf>,
    slots: Mutex<BTreeMap<u64, Slot>>,
    /// How many archives had no slot at the last rescan.
    left_out: Mutex<usize>,
    /// The counters of archives that are not shown any more.
    retired: Counters,
}

/// An archive and its directory.
struct Slot {
    name: String,
    path: PathBuf,
    /// Device and inode of the file, so that another one in its place is noticed.
    file: (u64, u64),
    tree: Option<Arc<Tree>>,
}

/// What an inode number stands for.
pub enum Location {
    /// The directory that holds the archives.
    Root,
    /// A file or a directory of one archive.
    Node(ArchiveNode),
}

/// A node in the tree of one archive.
pub struct ArchiveNode {
    /// The archive's tree, opened.
    pub tree: Arc<Tree>,
    /// The node in that tree: its number there, without the bits that say which archive.
    pub node: Node,
    slot: u64,
}

impl Location {
    /// The inode number of a child of this directory.
    pub fn ino(&self, child: &Child) -> u64 {
        match self {
            Location::Root => root_of(child.cookie),
            Location::Node(directory) => directory.ino(child.node),
        }
    }
}

impl ArchiveNode {
    /// The node of this tree that a number stands for; `None` for a number of another tree.
    pub fn node_of(&self, ino: u64) -> Option<Node> {
        let (slot, node) = split(ino);
        node.filter(|_| slot == self.slot)
    }

    /// The inode number of another node of this tree.
    pub fn ino(&self, node: Node) -> u64 {
        self.slot << INO_BITS | node.ino()
    }
}

impl Archives {
    /// A single archive, whose tree is the root.
    pub fn one(tree: Tree) -> Archives {
        let slot = Slot {
            name: String::new(),
            path: tree.reader().path().to_owned(),
            file: (0, 0),
            tree: Some(Arc::new(tree)),
        };
        let slots = Mutex::new(BTreeMap::from([(0, slot)]));
        Archives {
            options: TreeOptions::default(),
            sources: Vec::new(),
            slots,
            left_out: Mutex::default(),
            retired: Counters::default(),
        }
    }

    /// Archives, and folders of archives, each a directory of the root.
    ///
    /// Errors: [`crate::error::ErrorKind::NoArchive`] if a named file is missing or is no archive; a folder may be empty.
    pub fn many(sources: &[PathBuf], options: TreeOptions) -> Result<Archives> {
        for source in sources.iter().filter(|source| !source.is_dir()) {
            Reader::open(source)?;
        }
        let archives = Archives {
            options,
            sources: sources.to_vec(),
            slots: Mutex::default(),
            left_out: Mutex::default(),
            retired: Counters::default(),
        };
        archives.rescan();
        Ok(archives)
    }

    /// Looks which archives there are. Gives the names that do not stand for the same archive any more, and whether a
    /// listing of the root changed.
    pub fn rescan(&self) -> (Vec<String>, bool) {
        if self.sources.is_empty() {
            return (Vec::new(), false);
        }
        let found = self.find();
        let mut slots = self.slots();
        let mut gone = Vec::new();
        slots.retain(|_, slot| {
            let stays =
                found.iter().any(|(path, name, file)| (path, name, file) == (&slot.path, &slot.name, &slot.file));
            if !stays {
                gone.push(slot.name.clone());
                slot.tree.iter().for_each(|tree| self.retired.add(tree.counters()));
            }
            stays
        });
        let known: HashSet<PathBuf> = slots.values().map(|slot| slot.path.clone()).collect();
        let mut came = false;
        let mut left_out = 0;
        for (path, name, file) in found.into_iter().filter(|(path, ..)| !known.contains(path)) {
            match free_slot(&slots, &name, gone.contains(&name)) {
                Some(number) => {
                    slots.insert(number, Slot { name, path, file, tree: None });
                    came = true;
                }
                None => left_out += 1,
            }
        }
        *self.left_out.lock() = left_out;
        let changed = came || !gone.is_empty();
        (gone, changed)
    }

    /// True if there is no archive.
    pub fn is_empty(&self) -> bool {
        self.slots().is_empty()
    }

    /// The number of archives that one mount has no room for.
    pub fn left_out(&self) -> usize {
        *self.left_out.lock()
    }

    /// The archives that there are now, each with the name of its directory.
    fn find(&self) -> Vec<(PathBuf, String, (u64, u64))> {
        use std::os::unix::fs::MetadataExt;
        let mut paths = Vec::new();
        for source in &self.sources {
            if source.is_dir() {
                let entries = std::fs::read_dir(source).into_iter().flatten().flatten();
                paths.extend(entries.map(|entry| entry.path()).filter(|path| is_archive(path)));
            } else {
                paths.push(source.clone());
            }
        }
        paths.sort_unstable();
        paths.dedup();
        let files = paths.into_iter().filter_map(|path| {
            let meta = std::fs::metadata(&path).ok()?;
            Some((path, (meta.dev(), meta.ino())))
        });
        let files: Vec<(PathBuf, (u64, u64))> = files.collect();
        let wished = files.iter().enumerate().map(|(at, (path, _))| (at as i64, name::safe(&stem(path), "")));
        let names = name::distinct(wished, "");
        files.into_iter().zip(names).map(|((path, file), (_, name))| (path, name, file)).collect()
    }

    fn slots(&self) -> MutexGuard<'_, BTreeMap<u64, Slot>> {
        self.slots.lock()
    }

    /// The tree of a slot, opened at the first call.
    fn tree(&self, number: u64) -> Result<Arc<Tree>> {
        let path = match self.slots().get(&number) {
            Some(Slot { tree: Some(tree), .. }) => return Ok(Arc::clone(tree)),
            Some(slot) => slot.path.clone(),
            None => return Err(no_such()),
        };
        let tree = Arc::new(Tree::open(Arc::new(Reader::open(&path)?), self.options)?);
        match self.slots().get_mut(&number) {
            Some(slot) => Ok(Arc::clone(slot.tree.get_or_insert(tree))),
            None => Err(no_such()),
        }
    }

    /// The counters of archives that are not shown any more.
    pub fn retired(&self) -> &Counters {
        &self.retired
    }

    /// The roots of the trees that are open.
    pub fn open_trees(&self) -> Vec<ArchiveNode> {
        let slots = self.slots();
        let open = slots.iter().filter_map(|(number, slot)| Some((*number, Arc::clone(slot.tree.as_ref()?))));
        open.map(|(slot, tree)| ArchiveNode { tree, node: Node::ROOT, slot }).collect()
    }

    /// The node, or the directory of the archives, that an inode number stands for.
    pub fn locate(&self, ino: u64) -> Result<Location> {
        if ino == ROOT && !self.sources.is_empty() {
            return Ok(Location::Root);
        }
        let (slot, node) = split(ino);
        Ok(Location::Node(ArchiveNode { node: node.ok_or_else(no_such)?, tree: self.tree(slot)?, slot }))
    }

    /// `stat` of the directory of the archives.
    pub fn root_stat(&self) -> Stat {
        let slots = self.slots();
        let newest = slots.values().map(|slot| file_time(&slot.path)).max().unwrap_or(1);
        Stat { file_type: FileType::Directory, size: 0, mtime: newest, ctime: newest, links: 2 + slots.len() as u32 }
    }

    /// `stat` of the directory of one of several archives, if this is the number of one: the same before and after the
    /// archive is opened.
    pub fn archive_stat(&self, ino: u64) -> Option<Stat> {
        let (number, node) = split(ino);
        let is_root = number != 0 && node == Some(Node::ROOT);
        if is_root { self.slots().get(&number).and_then(|slot| slot_child(number, slot).stat) } else { None }
    }

    /// The directories of the archives behind a cookie.
    pub fn root_children(&self, after: u64, limit: usize) -> Vec<Child> {
        self.slots().range(after + 1..).take(limit).map(|(number, slot)| slot_child(*number, slot)).collect()
    }

    /// The directory of the archive with this name, and its number.
    pub fn root_lookup(&self, name: &str) -> Result<(u64, Child)> {
        let slots = self.slots();
        let found = slots.iter().find(|(_, slot)| slot.name == name).ok_or_else(no_such)?;
        Ok((root_of(*found.0), slot_child(*found.0, found.1)))
    }

    /// Bytes of all archives.
    pub fn bytes(&self) -> u64 {
        self.slots().values().map(|slot| std::fs::metadata(&slot.path).map_or(0, |meta| meta.len())).sum()
    }
}

/// An inode number as the slot of its archive and the node in its tree.
fn split(ino: u64) -> (u64, Option<Node>) {
    (ino >> INO_BITS, Node::from_ino(ino & ((1 << INO_BITS) - 1)))
}

/// True for the number of a directory of `search/`: the kernel has to ask again for each name in it, as a query may have lost
/// its number, and what it finds may change.
pub fn is_search(ino: u64) -> bool {
    split(ino).1.is_some_and(Node::is_search)
}

/// The number of an archive's root directory.
fn root_of(slot: u64) -> u64 {
    slot << INO_BITS | Node::ROOT.ino()
}

/// The directory of an archive. Its times are those of the file, so that the archive need not be opened.
fn slot_child(number: u64, slot: &Slot) -> Child {
    let time = file_time(&slot.path);
    let stat = Stat { file_type: FileType::Directory, size: 0, mtime: time, ctime: time, links: 1 };
    Child {
        name: slot.name.clone(),
        node: Node::ROOT,
        cookie: number,
        stat: Some(stat),
        file_type: FileType::Directory,
    }
}

/// A free slot, the same for the same name wherever possible. An archive that was just replaced gets another slot: what
/// the kernel remembers of the old archive must not be taken for the new one.
fn free_slot(slots: &BTreeMap<u64, Slot>, name: &str, is_replaced: bool) -> Option<u64> {
    let digest = Digest::of(name.as_bytes()).0;
    let start = u64::from_le_bytes(digest[..8].try_into().ok()?);
    let skip = usize::from(is_replaced);
    let all = ARCHIVES_MAX as u64;
    (0..all).map(|step| (start.wrapping_add(step)) % all + 1).skip(skip).find(|number| !slots.contains_key(number))
}

/// True for archives, and for files that are named like one: a damaged archive must not silently be missing.
fn is_archive(path: &Path) -> bool {
    let extension = path.extension().unwrap_or_default().to_string_lossy();
    // What ends with `.search` is the index of an archive.
    let is_side =
        extension == "lock" || extension == "search" || extension.ends_with("-wal") || extension.ends_with("-shm");
    !is_side && path.is_file() && (extension == "sqlite" || archive::is_archive(path))
}

fn stem(path: &Path) -> String {
    path.file_stem().unwrap_or_default().to_string_lossy().into_owned()
}
