//! One file for each mailbox, calendar or address book, put together of what lies in it.

use super::directory::{CHUNK, Directory};
use super::output::Output;
use super::visit::{Entry, Fate, Note, Observer, Receiver, Wish, failed};
use crate::error::Result;
use crate::tree::{Bytes, FileType, Node, Stat, Tree};
use std::collections::HashMap;

/// How many entries of a directory are read at once.
const PAGE: usize = 1_024;

/// A format that holds many objects in one file.
pub(super) trait Format {
    /// What the name of such a file ends with.
    fn extension(&self) -> &'static str;

    /// The directory with the objects of a container: the container itself, unless that says otherwise.
    fn contents(&self, _: &Tree, container: Node) -> Result<Node> {
        Ok(container)
    }

    /// Begins a file.
    fn begin(&mut self, _: &Tree, _: Node, _: &mut Output<'_>) -> Result<()> {
        Ok(())
    }

    /// Adds an object. Nothing of one whose bytes are damaged may have been written when this fails.
    fn add(&mut self, tree: &Tree, item: &Item, out: &mut Output<'_>) -> Result<Added>;

    /// Ends a file.
    fn end(&mut self, _: &mut Output<'_>) -> Result<()> {
        Ok(())
    }
}

/// An object of a container.
#[derive(Debug, Clone, Copy)]
pub(super) struct Item {
    pub node: Node,
    /// When a message came.
    pub mtime: i64,
}

/// What became of an object in a file.
pub(super) enum Added {
    Whole,
    /// The format has no words for it.
    Not(&'static str),
}

/// Files, each of a container, in directories on a disk.
pub(super) struct Assembly<'a> {
    tree: &'a Tree,
    directory: Directory<'a>,
    format: &'a mut dyn Format,
}

impl<'a> Assembly<'a> {
    pub(super) fn new(tree: &'a Tree, directory: Directory<'a>, format: &'a mut dyn Format) -> Assembly<'a> {
        Assembly { tree, directory, format }
    }

    pub(super) fn finish(self) {
        self.directory.finish();
    }

    /// What is wanted of a container: 32 bytes of each object, so that a mailbox of a million messages has room.
    fn wanted(&self, container: &Entry<'_>, observer: &mut dyn Observer) -> Result<Vec<Item>> {
        let contents = self.format.contents(self.tree, container.node)?;
        let (mut wanted, mut after) = (Vec::new(), 0);
        loop {
            let page = self.tree.children(contents, after, PAGE)?;
            let Some(last) = page.last() else { return Ok(wanted) };
            after = last.cookie;
            for child in page.iter().filter(|child| child.node.is_message() || child.node.is_item()) {
                let stat = child.stat.map_or_else(|| self.tree.stat(child.node), Ok);
                let shown = format!("{}/{}", container.shown, child.name);
                let entry = |stat| object(child.node, contents, stat, &shown, container.depth + 1);
                match stat {
                    Ok(stat) if observer.wish(&entry(stat)) == Wish::Yes => {
                        wanted.push(Item { node: child.node, mtime: stat.mtime });
                    }
                    Ok(_) => {}
                    Err(error) => observer.told(&entry(UNKNOWN), failed(&error))?,
                }
            }
        }
    }

    /// Writes the file of a container, and tells what became of all that is in it.
    fn write(&mut self, container: &Entry<'_>, is_wanted: bool, observer: &mut dyn Observer) -> Result<()> {
        let wanted = self.wanted(container, observer)?;
        if wanted.is_empty() && !is_wanted {
            return Ok(());
        }
        let (tree, extension) = (self.tree, self.format.extension());
        let (name, shown) = (format!("{}{extension}", container.name), format!("{}{extension}", container.shown));
        let stat = Stat { file_type: FileType::File, links: 1, ..container.stat };
        let file = Entry { stat, name: &name, shown: &shown, ..container.clone() };
        let mut fates: HashMap<usize, Fate> = HashMap::new();
        let fate = if self.directory.is_ready(&file, &mut Around(observer))? {
            let format = &mut *self.format;
            self.directory.place(&file, None, observer, &mut |out| {
                fates.clear();
                format.begin(tree, container.node, out)?;
                for (at, item) in wanted.iter().enumerate() {
                    match format.add(tree, item, out) {
                        Ok(Added::Whole) => {}
                        Ok(Added::Not(why)) => drop(fates.insert(at, Fate::Failed(why.to_owned()))),
                        Err(error) if out.is_broken || out.differs => return Err(error),
                        Err(error) => drop(fates.insert(at, failed(&error))),
                    }
                }
                format.end(out)
            })?
        } else {
            Fate::NoDirectory
        };
        observer.told(container, fate.clone())?;
        let is_written = matches!(fate, Fate::Written(_));
        let common = if is_written { Fate::Written(0) } else { fate };
        for (at, item) in wanted.iter().enumerate() {
            let shown = format!("{}: row {}", file.shown, item.node.object());
            let entry = object(item.node, container.node, UNKNOWN, &shown, container.depth + 1);
            observer.told(&entry, fates.remove(&at).unwrap_or_else(|| common.clone()))?;
        }
        Ok(())
    }
}

impl Receiver for Assembly<'_> {
    fn directory(&mut self, entry: &Entry<'_>, is_wanted: bool, observer: &mut dyn Observer) -> Result<()> {
        self.write(entry, is_wanted, observer)?;
        // Made where another container lies in it.
        self.directory.directory(entry, false, observer)
    }

    fn has_directory(&self, depth: usize) -> bool {
        self.directory.has_directory(depth)
    }

    fn file(&mut self, _: &Entry<'_>, _: &mut dyn Observer) -> Result<()> {
        Ok(())
    }
}

/// Is told of the directories around a file: they hold containers, and are none.
struct Around<'o>(&'o mut dyn Observer);

impl Observer for Around<'_> {
    fn wish(&mut self, _: &Entry<'_>) -> Wish {
        Wish::No
    }

    /// What fails shows at the files in it.
    fn told(&mut self, _: &Entry<'_>, _: Fate) -> Result<()> {
        Ok(())
    }

    fn note(&mut self, entry: &Entry<'_>, note: Note) {
        self.0.note(entry, note);
    }
}

/// Of what is only named.
const UNKNOWN: Stat = Stat { file_type: FileType::File, size: 0, mtime: 0, ctime: 0, links: 1 };

fn object<'s>(node: Node, holder: Node, stat: Stat, shown: &'s str, depth: usize) -> Entry<'s> {
    Entry { node, holder, stat, name: shown.rsplit('/').next().unwrap_or_default(), shown, depth }
}

/// The first bytes of a file, all of whose bytes are proved.
pub(super) fn proved(tree: &Tree, node: Node) -> Result<Bytes> {
    let first = tree.read(node, 0, CHUNK)?;
    let (mut length, mut offset) = (first.len(), first.len() as u64);
    // Damage in a file that is read piece by piece shows at its end.
    while length == CHUNK {
        length = tree.read(node, offset, CHUNK)?.len();
        offset += length as u64;
    }
    Ok(first)
}
