//! The walk that every way of writing files shares: what is wanted of the tree goes to a [`Receiver`], one entry after the
//! other, and what became of each is told to an [`Observer`].

use crate::error::{Error, Result};
use crate::tree::{Child, FileType, Node, Stat, Tree, walk};

/// An entry of the tree that may be written.
#[derive(Debug, Clone)]
pub struct Entry<'a> {
    /// What it is.
    pub node: Node,
    /// The directory that it lies in.
    pub holder: Node,
    /// Its attributes.
    pub stat: Stat,
    /// Its name in the tree.
    pub name: &'a str,
    /// Its path, for people.
    pub shown: &'a str,
    /// How many directories are above it.
    pub depth: usize,
}

/// Whether something is to be written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wish {
    /// It is.
    Yes,
    /// It is not; a directory only where something in it is.
    No,
    /// Where the directory that it lies in is written.
    WithDirectory,
}

/// What became of something that was to be written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fate {
    /// It is there now, with so many new bytes.
    Written(u64),
    /// It was there already, to the last byte.
    There,
    /// A file is there that was not to be read: of the same size, or one that holds many objects.
    ThereUnread,
    /// It would be written, but the run only plans.
    Planned,
    /// It is left out: the format has no form for it.
    Skipped(String),
    /// It could not be read or written.
    Failed(String),
    /// The directory that it lies in could not be made, which was told before.
    NoDirectory,
}

/// What [`Fate::NoDirectory`] means, in words for the user.
pub const NO_DIRECTORY: &str = "the directory that it lies in could not be made";

/// What is to be known of something that was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Note {
    /// It has this name, and not that of the tree.
    Renamed(String),
    /// A link became a file with the target of the link.
    LinkAsFile,
    /// The target did not take its date.
    Undated,
}

/// Decides what is written, and is told what became of it.
pub trait Observer {
    /// Whether an entry is to be written.
    fn wish(&mut self, entry: &Entry<'_>) -> Wish;

    /// What became of an entry: of each that was wanted, and of each directory that one of these needs.
    ///
    /// Errors: the user wants the run to end.
    fn told(&mut self, entry: &Entry<'_>, fate: Fate) -> Result<()>;

    /// Something else to be known of an entry.
    fn note(&mut self, entry: &Entry<'_>, note: Note);
}

/// Takes what is to be written. Entries come in the order of the walk: a directory before what lies in it.
pub(super) trait Receiver {
    /// A directory. Unless it `is_wanted`, it is only made where something in it is.
    fn directory(&mut self, entry: &Entry<'_>, is_wanted: bool, observer: &mut dyn Observer) -> Result<()>;

    /// True if the directory at this depth is written.
    fn has_directory(&self, depth: usize) -> bool;

    /// A file or a link.
    fn file(&mut self, entry: &Entry<'_>, observer: &mut dyn Observer) -> Result<()>;
}

/// What an entry of the tree is written as; `None` for one that is passed over.
pub(super) type Shape = fn(&Child) -> Option<Child>;

/// Walks over everything below a directory, in the shape in which it is written.
pub(super) fn visit(
    tree: &Tree,
    start: Node,
    shape: Shape,
    receiver: &mut dyn Receiver,
    observer: &mut dyn Observer,
) -> Result<()> {
    // The directories above the walk's place, by depth.
    let mut holders = vec![start];
    walk::walk(tree, start, |step| {
        let Some(Child { node, name, file_type, stat, .. }) = shape(step.child) else { return Ok(false) };
        let depth = step.path.matches('/').count();
        holders.truncate(depth + 1);
        let holder = holders[depth];
        let is_directory = file_type == FileType::Directory;
        let entry = |stat| Entry { node, holder, stat, name: &name, shown: step.path, depth };
        let stat = match stat.map_or_else(|| tree.stat(node), Ok) {
            Ok(stat) => stat,
            Err(error) => {
                let stat = Stat { file_type, size: 0, mtime: 0, ctime: 0, links: 1 };
                observer.told(&entry(stat), failed(&error))?;
                return Ok(false);
            }
        };
        let entry = entry(stat);
        let is_wanted = match observer.wish(&entry) {
            Wish::Yes => true,
            Wish::No => false,
            Wish::WithDirectory => receiver.has_directory(depth),
        };
        if is_directory {
            receiver.directory(&entry, is_wanted, observer)?;
            holders.push(node);
        } else if is_wanted {
            receiver.file(&entry, observer)?;
        }
        Ok(is_directory)
    })
}

/// What [`Entry`] says of a directory that is made once something in it is wanted.
pub(super) struct PendingDirectory {
    node: Node,
    holder: Node,
    stat: Stat,
    name: String,
    shown: String,
    depth: usize,
}

impl PendingDirectory {
    pub(super) fn of(entry: &Entry<'_>) -> PendingDirectory {
        let Entry { node, holder, stat, depth, .. } = *entry;
        PendingDirectory { node, holder, stat, name: entry.name.to_owned(), shown: entry.shown.to_owned(), depth }
    }

    pub(super) fn entry(&self) -> Entry<'_> {
        let PendingDirectory { node, holder, stat, ref name, ref shown, depth } = *self;
        Entry { node, holder, stat, name, shown, depth }
    }
}

pub(super) fn failed(error: &Error) -> Fate {
    Fate::Failed(error.to_string())
}
