//! The tree of an archive at a moment.

use super::cache::{Bytes, Content, ContentCache, Counters, ReadResult};
use super::decoded_cache::DecodedCache;
use super::kinds::NodeKind;
use super::node::{Node, SNAPSHOT_MAX};
use super::rules::{ByteSource, Layout};
use super::searches::{Searches, StateMark};
use super::stat::{file_time, no_such};
use super::view::{FileKind, View};
use super::views::Views;
use super::watch::SeenStamps;
use super::{name, render, versions};
use crate::archive::{Blob, Moment, NamedSnapshot, Reader, Snapshot, SnapshotSpec, named};
use crate::error::{Error, ErrorKind, Result};
use lru::LruCache;
use parking_lot::{Mutex, RwLock};
use std::num::NonZeroUsize;
use std::sync::Arc;

/// An archive as a tree of files.
pub struct Tree {
    pub(super) reader: Arc<Reader>,
    pub(super) options: TreeOptions,
    pub(super) state: RwLock<Arc<TreeState>>,
    views: Mutex<LruCache<i64, Arc<View>>>,
    pub(super) cache: ContentCache,
    contents: Mutex<LruCache<Node, Arc<Content>>>,
    pub(super) decoded: DecodedCache,
    pub(super) seen: Mutex<SeenStamps>,
    pub(super) searches: Searches,
}

impl Tree {
    /// The tree of an archive at a moment.
    ///
    /// Errors: [`ErrorKind::Usage`] if there is no such snapshot.
    pub fn open(reader: Arc<Reader>, options: TreeOptions) -> Result<Tree> {
        // The stamp is taken first, so that the first call of `follow` sees what is written from here on.
        let stamp = reader.trace();
        let state = TreeState::read(&reader, options.at)?;
        Ok(Tree {
            seen: Mutex::new(SeenStamps { last: stamp, followed: stamp }),
            state: RwLock::new(Arc::new(state)),
            cache: ContentCache::new(Arc::clone(&reader), options.cache_size),
            reader,
            options,
            views: Mutex::new(LruCache::new(VIEWS)),
            contents: Mutex::new(LruCache::new(CONTENTS)),
            decoded: DecodedCache::default(),
            searches: Searches::default(),
        })
    }

    /// The archive that the tree shows.
    pub fn reader(&self) -> &Arc<Reader> {
        &self.reader
    }

    /// How much was read so far.
    pub fn counters(&self) -> &Counters {
        &self.cache.counters
    }

    /// The moment at the root.
    pub fn moment(&self) -> Moment {
        self.state().root.moment
    }

    pub(super) fn state(&self) -> Arc<TreeState> {
        Arc::clone(&self.state.read())
    }

    /// The view that a node belongs to.
    pub(super) fn view(&self, node: Node) -> Result<Arc<View>> {
        let state = self.state();
        if node.is_part_of_message() || node.snapshot == 0 || versions::holds(&state.root, node)? {
            return Ok(Arc::clone(&state.root));
        }
        if let Some(view) = self.views.lock().get(&node.snapshot) {
            return Ok(Arc::clone(view));
        }
        // The snapshot that changed a file last may be forgotten; its state can still be read.
        let known = state.snapshots.iter().find(|snapshot| snapshot.id == node.snapshot);
        let time = known.map_or(state.root.time, |snapshot| snapshot.time);
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
                // What is wrong with a query is said already.
                ErrorKind::NotFound if node.kind == NodeKind::Search && error.hint_text().is_some() => error,
                ErrorKind::NotFound => {
                    let hint = match self.near(path) {
                        Some(near) => format!("did you mean {near:?}?"),
                        None => "list a folder with: vandelay ls ARCHIVE FOLDER".to_owned(),
                    };
                    Error::new(ErrorKind::NotFound, format!("not found: {path:?} (there is no {part:?})")).hint(hint)
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
            ReadResult::Bytes(bytes) => Ok(bytes),
            ReadResult::Large(blob) => self.hand_out(&blob, offset, length, |bytes| bytes.to_vec().into()),
        }
    }

    /// Hands out all bytes of a file, piece by piece.
    ///
    /// Errors: those of [`Tree::read`], which may come after some pieces; those of `each`.
    pub fn read_through(&self, node: Node, mut each: impl FnMut(&[u8]) -> Result<()>) -> Result<()> {
        let mut offset = 0;
        loop {
            let piece = self.read(node, offset, PIECE)?;
            each(&piece)?;
            offset += piece.len() as u64;
            if piece.len() < PIECE {
                return Ok(());
            }
        }
    }

    /// All bytes of a file of at most this size.
    ///
    /// Errors: those of [`Tree::read`]; [`ErrorKind::Unreadable`] for more bytes.
    pub fn read_whole(&self, node: Node, max: usize) -> Result<Vec<u8>> {
        let mut bytes = Vec::new();
        self.read_through(node, |piece| {
            bytes.extend_from_slice(piece);
            if bytes.len() > max {
                return Err(Error::new(ErrorKind::Unreadable, format!("it has more than {max} bytes")));
            }
            Ok(())
        })?;
        Ok(bytes)
    }

    /// As [`Tree::read`]. For a file so large that one thread alone should read it, it gives the blob instead, for
    /// [`Tree::hand_out`].
    pub fn begin_read(&self, node: Node, offset: u64, length: usize) -> Result<ReadResult> {
        let read = self.read_from_source(node, offset, length).map_err(|error| self.or_forgotten(node, error))?;
        if let ReadResult::Bytes(bytes) = &read {
            self.counters().served.add(bytes.len() as u64);
        }
        Ok(read)
    }

    /// Hands out a part of a large file: `out` gets the bytes first, then the next part is prepared.
    pub fn hand_out<T>(&self, blob: &Blob, offset: u64, length: usize, out: impl FnOnce(&[u8]) -> T) -> Result<T> {
        let answer = self.cache.hand_out_large(blob, offset, length, |bytes| {
            self.counters().served.add(bytes.len() as u64);
            out(bytes)
        });
        answer.map_err(|error| self.reader.or_forgotten(self.moment(), error))
    }

    /// The true reason of an error about a node: what is not found, or damaged, may belong to a snapshot that was
    /// forgotten meanwhile.
    pub(super) fn or_forgotten(&self, node: Node, error: Error) -> Error {
        let error = match self.view(node) {
            _ if node.kind == NodeKind::SnapshotAttachmentFolder => {
                self.reader.or_forgotten(Moment::Snapshot(node.snapshot), error)
            }
            Ok(view) => self.reader.or_forgotten(view.moment, error),
            Err(_) => error,
        };
        // Parts of a message belong to no snapshot: if no snapshot has the message any more, it is gone, and not damaged.
        let is_gone = || node.is_part_of_message() && matches!(self.reader.arrival(node.object()), Ok(None));
        if error.kind == ErrorKind::Damaged && is_gone() { no_such() } else { error }
    }

    /// Errors with [`ErrorKind::Forgotten`] if the snapshot at the root is not there any more.
    pub fn require(&self) -> Result<()> {
        self.reader.require(self.moment())
    }

    /// All bytes of a message, to be read ahead. `None` if they are more than `limit`, or if a message of this archive may
    /// get other bytes, as in an archive of 1.x.
    pub fn read_ahead(&self, node: Node, limit: u64) -> Result<Option<Bytes>> {
        if !node.is_message() || !self.reader.has_index() {
            return Ok(None);
        }
        let bytes = self.cache.read_ahead(node.row, limit)?;
        self.counters().served.add(bytes.as_ref().map_or(0, |bytes| bytes.len()) as u64);
        Ok(bytes)
    }

    fn read_from_source(&self, node: Node, offset: u64, length: usize) -> Result<ReadResult> {
        match node.descriptor().bytes {
            ByteSource::Email => self.cache.read_email(node.row, offset, length),
            ByteSource::Text | ByteSource::Attachment => self.read_decoded(node, offset, length).map(ReadResult::Bytes),
            _ => self.cache.read(&*self.content(node)?, offset, length),
        }
    }

    /// The target of a link.
    pub fn read_link(&self, node: Node) -> Result<String> {
        let target = self.link_target(&*self.view(node)?, node).map_err(|error| self.or_forgotten(node, error))?;
        if !self.options.has_plain_names() {
            return Ok(target);
        }
        // The names that the target passes are shown otherwise.
        let names = target.split('/').map(|part| if part == ".." { part.to_owned() } else { name::plain(part) });
        Ok(names.collect::<Vec<_>>().join("/"))
    }

    fn link_target(&self, view: &View, node: Node) -> Result<String> {
        match node.kind {
            NodeKind::ActiveScript => {
                let scripts = view.scripts()?;
                scripts
                    .items
                    .iter()
                    .find(|script| script.is_active)
                    .map(|script| script.name.clone())
                    .ok_or_else(no_such)
            }
            NodeKind::FileNode => match view.files()?.get(node.row).map(|file| &file.data.kind) {
                Some(FileKind::Link(target)) => Ok(target.clone()),
                _ => Err(Error::new(ErrorKind::Usage, "not a link")),
            },
            _ => Err(Error::new(ErrorKind::Usage, "not a link")),
        }
    }

    pub(super) fn content(&self, node: Node) -> Result<Arc<Content>> {
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
    /// What the root shows.
    pub at: SnapshotSpec,
    /// How mailboxes lie in one another.
    pub layout: Layout,
    /// List `.snapshots` in the root.
    pub snapshots_visible: bool,
    /// How many bytes of files are cached.
    pub cache_size: u64,
    /// The character between a message's name and its flags: `:`, or `;` or `!` for file systems that refuse a colon. With
    /// those two, no other name holds a character that such file systems refuse.
    pub info_separator: char,
    /// Which directories the root has.
    pub views: Views,
}

impl TreeOptions {
    /// True if names must be valid on file systems that refuse a colon.
    pub(super) fn has_plain_names(&self) -> bool {
        self.info_separator != ':'
    }
}

impl Default for TreeOptions {
    fn default() -> TreeOptions {
        TreeOptions {
            at: SnapshotSpec::Latest,
            layout: Layout::Nested,
            snapshots_visible: false,
            cache_size: 64 << 20,
            info_separator: ':',
            views: Views::ALL,
        }
    }
}

/// The moment that the root shows, and the snapshots that there are.
pub(super) struct TreeState {
    pub(super) root: Arc<View>,
    /// The directories below `.snapshots`.
    pub(super) snapshots: Vec<NamedSnapshot>,
    pub(super) mark: Arc<StateMark>,
}

impl TreeState {
    pub(super) fn read(reader: &Arc<Reader>, at: SnapshotSpec) -> Result<TreeState> {
        let snapshots = reader.snapshots()?;
        let moment = reader.resolve_among(&snapshots, at)?;
        let snapshots = snapshot_directories(&snapshots);
        let time = match moment {
            Moment::Snapshot(id) => snapshots.iter().find(|snapshot| snapshot.id == id).map(|snapshot| snapshot.time),
            Moment::Current => None,
        };
        let time = time.filter(|time| *time != 0).unwrap_or_else(|| file_time(reader.path()));
        Ok(TreeState { root: Arc::new(View::new(Arc::clone(reader), moment, time)), snapshots, mark: Arc::default() })
    }
}

/// The directories of `.snapshots`: every snapshot that has ended, named by the time of its end.
fn snapshot_directories(snapshots: &[Snapshot]) -> Vec<NamedSnapshot> {
    let mut directories = named(snapshots);
    directories.retain(|one| (1..=SNAPSHOT_MAX).contains(&one.id));
    directories
}

/// How much of a file is read at once.
const PIECE: usize = 1 << 20;

/// How many views of snapshots are kept.
const VIEWS: NonZeroUsize = NonZeroUsize::new(8).unwrap();

/// How many files a tree remembers the [`Content`] of.
const CONTENTS: NonZeroUsize = NonZeroUsize::new(1_024).unwrap();
