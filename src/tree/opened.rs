//! The tree of an archive at a moment.

use super::cache::{Bytes, Content, ContentCache, Counters, Source};
use super::entry::{Layout, file_time, no_such};
use super::node::{Node, SNAPSHOT_MAX, What};
use super::view::View;
use super::views::Views;
use super::{memory, name, render, versions, watch};
use crate::archive::{At, Blob, Moment, Named, Reader, Snapshot, named};
use crate::error::{Error, ErrorKind, Result};
use lru::LruCache;
use parking_lot::{Mutex, RwLock};
use std::num::NonZeroUsize;
use std::sync::Arc;

/// An archive as a tree of files.
pub struct Tree {
    pub(crate) reader: Arc<Reader>,
    pub(crate) options: TreeOptions,
    pub(crate) now: RwLock<Arc<Now>>,
    views: Mutex<LruCache<i64, Arc<View>>>,
    pub(crate) shop: ContentCache,
    contents: Mutex<LruCache<Node, Arc<Content>>>,
    pub(super) decoded: memory::Memory,
    pub(super) watch: Mutex<watch::Watch>,
}

impl Tree {
    /// The tree of an archive at a moment.
    ///
    /// Errors: [`ErrorKind::Usage`] if there is no such snapshot.
    pub fn open(reader: Arc<Reader>, options: TreeOptions) -> Result<Tree> {
        // Looked at first: what is written while we look is news for the first call of `follow`.
        let trace = reader.trace();
        let now = Now::take(&reader, options.at)?;
        Ok(Tree {
            watch: Mutex::new(watch::Watch { last: trace, followed: trace }),
            now: RwLock::new(Arc::new(now)),
            shop: ContentCache::new(Arc::clone(&reader), options.cache_size),
            reader,
            options,
            views: Mutex::new(LruCache::new(VIEWS)),
            contents: Mutex::new(LruCache::new(CONTENTS)),
            decoded: memory::Memory::default(),
        })
    }

    /// The archive that the tree shows.
    pub fn reader(&self) -> &Arc<Reader> {
        &self.reader
    }

    /// What was read so far.
    pub fn counters(&self) -> &Counters {
        &self.shop.counters
    }

    /// The moment at the root.
    pub fn moment(&self) -> Moment {
        self.now().root.moment
    }

    pub(crate) fn now(&self) -> Arc<Now> {
        Arc::clone(&self.now.read())
    }

    /// The view that a node belongs to.
    pub(crate) fn view(&self, node: Node) -> Result<Arc<View>> {
        let now = self.now();
        if !node.what.has_state() || node.snapshot == 0 || versions::holds(&now.root, node)? {
            return Ok(Arc::clone(&now.root));
        }
        if let Some(view) = self.views.lock().get(&node.snapshot) {
            return Ok(Arc::clone(view));
        }
        // The snapshot in which a file became what it is may be forgotten; what it was then can still be read.
        let known = now.snapshots.iter().find(|snapshot| snapshot.id == node.snapshot);
        let time = known.map_or(now.root.time, |snapshot| snapshot.time);
        let view = Arc::new(View::new(Arc::clone(&self.reader), Moment::Snapshot(node.snapshot), time));
        self.views.lock().put(node.snapshot, Arc::clone(&view));
        Ok(view)
    }

    /// The node at a path like `mail/INBOX/cur`; an empty one is the root.
    pub fn resolve(&self, path: &str) -> Result<Node> {
        let mut node = Node::ROOT;
        let mut trail: Vec<Node> = Vec::new();
        for part in path.split('/').filter(|part| !part.is_empty() && *part != ".") {
            if part == ".." {
                node = trail.pop().unwrap_or(Node::ROOT);
                continue;
            }
            let next = self.lookup(node, part).map_err(|error| match error.kind {
                ErrorKind::NotFound => {
                    Error::new(ErrorKind::NotFound, format!("not found: {path:?} (there is no {part:?})"))
                        .hint("list a folder with: vandelay ls ARCHIVE FOLDER")
                }
                _ => error,
            })?;
            trail.push(node);
            node = next.node;
        }
        Ok(node)
    }

    /// The bytes of a file from `offset` on, `length` of them or up to the end.
    pub fn read(&self, node: Node, offset: u64, length: usize) -> Result<Bytes> {
        match self.begin_read(node, offset, length)? {
            Source::Here(bytes) => Ok(bytes),
            Source::Large(blob) => self.hand_out(&blob, offset, length, |bytes| bytes.to_vec().into()),
        }
    }

    /// As [`Tree::read`], but of a file that is so large that one thread alone should read it only where it stands, for
    /// [`Tree::hand_out`].
    pub fn begin_read(&self, node: Node, offset: u64, length: usize) -> Result<Source> {
        let source = self.source(node, offset, length);
        let source = source.map_err(|error| self.or_forgotten(node, error))?;
        if let Source::Here(bytes) = &source {
            self.counters().served.add(bytes.len() as u64);
        }
        Ok(source)
    }

    /// Hands out a part of a large file: `out` gets the bytes before what only the next ones need is done.
    pub fn hand_out<T>(&self, blob: &Blob, offset: u64, length: usize, out: impl FnOnce(&[u8]) -> T) -> Result<T> {
        let answer = self.shop.hand_out_large(blob, offset, length, |bytes| {
            self.counters().served.add(bytes.len() as u64);
            out(bytes)
        });
        answer.map_err(|error| self.reader.or_forgotten(self.moment(), error))
    }

    /// Gives an error about a node its true reason: what is not found, or damaged, may be of a snapshot that is not there
    /// any more.
    pub(crate) fn or_forgotten(&self, node: Node, error: Error) -> Error {
        let error = match self.view(node) {
            _ if node.what == What::FormerFolder => self.reader.or_forgotten(Moment::Snapshot(node.snapshot), error),
            Ok(view) => self.reader.or_forgotten(view.moment, error),
            Err(_) => error,
        };
        // Parts of a message know no snapshot: one that none shows any more is gone, and not damaged.
        let is_of_message = matches!(node.what, What::Text | What::Attachment | What::AttachmentFolder);
        let is_gone = || is_of_message && matches!(self.reader.arrival(node.object()), Ok(None));
        if error.kind == ErrorKind::Damaged && is_gone() { no_such() } else { error }
    }

    /// Errors with [`ErrorKind::Forgotten`] if the snapshot at the root is not there any more.
    pub fn require(&self) -> Result<()> {
        self.reader.require(self.moment())
    }

    /// All bytes of a message, for whoever will want them soon; none if they are more than `limit`, or if messages of this
    /// archive may get other bytes, as those of 1.x may.
    pub fn read_ahead(&self, node: Node, limit: u64) -> Result<Option<Bytes>> {
        if !node.is_message() || !self.reader.has_index() {
            return Ok(None);
        }
        let bytes = self.shop.read_ahead(node.row, limit)?;
        self.counters().served.add(bytes.as_ref().map_or(0, |bytes| bytes.len()) as u64);
        Ok(bytes)
    }

    fn source(&self, node: Node, offset: u64, length: usize) -> Result<Source> {
        match node.what {
            What::Email => self.shop.read_email(node.row, offset, length),
            What::Text | What::Attachment => self.read_decoded(node, offset, length).map(Source::Here),
            _ => self.shop.read(&*self.content(node)?, offset, length),
        }
    }

    /// The target of a link.
    pub fn read_link(&self, node: Node) -> Result<String> {
        let target = self.link_target(&*self.view(node)?, node).map_err(|error| self.or_forgotten(node, error))?;
        if !self.options.has_plain_names() {
            return Ok(target);
        }
        // The names on its way are others.
        let names = target.split('/').map(|part| if part == ".." { part.to_owned() } else { name::plain(part) });
        Ok(names.collect::<Vec<_>>().join("/"))
    }

    fn link_target(&self, view: &View, node: Node) -> Result<String> {
        match node.what {
            What::ActiveScript => {
                let scripts = view.scripts()?;
                scripts
                    .items
                    .iter()
                    .find(|script| script.is_active)
                    .map(|script| script.name.clone())
                    .ok_or_else(no_such)
            }
            What::FileNode => match view.files()?.get(node.row).map(|place| &place.data.kind) {
                Some(super::view::FileKind::Link(target)) => Ok(target.clone()),
                _ => Err(Error::new(ErrorKind::Usage, "not a link")),
            },
            _ => Err(Error::new(ErrorKind::Usage, "not a link")),
        }
    }

    pub(crate) fn content(&self, node: Node) -> Result<Arc<Content>> {
        if let Some(content) = self.contents.lock().get(&node) {
            return Ok(Arc::clone(content));
        }
        let content = Arc::new(render::content(&*self.view(node)?, node)?);
        self.contents.lock().put(node, Arc::clone(&content));
        Ok(content)
    }
}

/// How a tree is shown.
#[derive(Debug, Clone, Copy)]
pub struct TreeOptions {
    pub at: At,
    pub layout: Layout,
    /// List `.snapshots` in the root.
    pub snapshots_visible: bool,
    /// Bytes kept of what was read.
    pub cache_size: u64,
    /// What stands between a message's name and its flags: `:`, or `;` or `!` for file systems that know no colon. With
    /// those, no other name holds a character that such file systems refuse.
    pub info_separator: char,
    /// Which directories the root has.
    pub views: Views,
}

impl TreeOptions {
    /// True if names are to be such as file systems without colon take.
    pub(crate) fn has_plain_names(&self) -> bool {
        self.info_separator != ':'
    }
}

impl Default for TreeOptions {
    fn default() -> TreeOptions {
        TreeOptions {
            at: At::Latest,
            layout: Layout::Nested,
            snapshots_visible: false,
            cache_size: 64 << 20,
            info_separator: ':',
            views: Views::ALL,
        }
    }
}

/// What the root shows, and which snapshots there are.
pub(crate) struct Now {
    pub(crate) root: Arc<View>,
    /// The directories below `.snapshots`.
    pub(crate) snapshots: Vec<Named>,
}

impl Now {
    pub(crate) fn take(reader: &Arc<Reader>, at: At) -> Result<Now> {
        let snapshots = reader.snapshots()?;
        let moment = reader.resolve_among(&snapshots, at)?;
        let snapshots = snapshot_directories(&snapshots);
        let time = match moment {
            Moment::Snapshot(id) => snapshots.iter().find(|snapshot| snapshot.id == id).map(|snapshot| snapshot.time),
            Moment::Current => None,
        };
        let time = time.filter(|time| *time != 0).unwrap_or_else(|| file_time(reader.path()));
        Ok(Now { root: Arc::new(View::new(Arc::clone(reader), moment, time)), snapshots })
    }
}

/// The directories of `.snapshots`: every snapshot that has ended, by the time at which it had.
fn snapshot_directories(snapshots: &[Snapshot]) -> Vec<Named> {
    let mut directories = named(snapshots);
    directories.retain(|one| (1..=SNAPSHOT_MAX).contains(&one.id));
    directories
}

/// How many snapshots are kept arranged at a time.
const VIEWS: NonZeroUsize = NonZeroUsize::new(8).unwrap();

/// How many files' places are kept.
const CONTENTS: NonZeroUsize = NonZeroUsize::new(1_024).unwrap();
