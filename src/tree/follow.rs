//! Following an archive while an import writes to it: the root goes on to the newest snapshot, and the tree says directory
//! by directory what changed, so that a cache of names and numbers drops just those.

use super::child::Child;
use super::decoded::{is_text, mailbox_children};
use super::kinds::{Children, NodeKind};
use super::listing::lasting_name;
use super::mail::Arrival;
use super::name;
use super::node::Node;
use super::opened::{Tree, TreeState};
use super::rules::Times;
use super::stat::FileType;
use super::view::View;
use crate::archive::{ListedEmail, Moment, SnapshotSpec};
use crate::error::{Error, ErrorKind, Result};
use crate::model::Id;
use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

/// How many messages of a mailbox are reported whose number of links changed: each has to be decoded.
const RELINKED_MAX: usize = 1_000;

/// A step of the root from one moment to a newer one.
pub struct Advance {
    old: Arc<View>,
    new: Arc<View>,
    /// The names below `.snapshots` before, if they changed.
    snapshots: Option<Vec<String>>,
}

/// The result of [`Tree::follow`].
pub enum Followed {
    /// Nothing that changes the tree.
    Nothing,
    /// Another file, or none, is at the archive's path: the tree goes on showing the old one.
    Replaced,
    /// The root shows a newer moment now.
    Moved(Advance),
}

/// The changes of an [`Advance`] in one directory.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Difference {
    /// Names that are gone, or that another node has now.
    pub names: Vec<String>,
    /// True if a listing of the directory changed.
    pub listing: bool,
    /// Nodes in it, or itself, whose `stat` changed; their bytes may have changed too.
    pub nodes: Vec<Node>,
}

impl Tree {
    /// Takes the root to the newest snapshot, if there is a newer one than it shows. A tree that was opened at a
    /// certain snapshot stays there. Cheap if the archive was not written to since the last call.
    pub fn follow(&self) -> Result<Followed> {
        let Some(stamp) = self.reader.trace() else { return Ok(Followed::Replaced) };
        if !matches!(self.options.at, SnapshotSpec::Latest) {
            return Ok(Followed::Nothing);
        }
        let mut seen = self.seen.lock();
        // An archive without snapshots does not say when a writer is done: it is taken to be once it has paused.
        let is_settled = self.reader.has_index() || seen.last == Some(stamp);
        seen.last = Some(stamp);
        if seen.followed == Some(stamp) || !is_settled {
            return Ok(Followed::Nothing);
        }
        seen.followed = Some(stamp);
        drop(seen);
        self.reader.look_again()?;
        let old = self.state();
        let new = TreeState::read(&self.reader, SnapshotSpec::Latest)?;
        let same_snapshots = old.snapshots.iter().map(|one| one.id).eq(new.snapshots.iter().map(|one| one.id));
        let moved = new.root.moment != old.root.moment || new.root.moment == Moment::Current;
        if !moved && same_snapshots {
            return Ok(Followed::Nothing);
        }
        // If the root did not change, its view stays, with all that it has loaded.
        let root = if moved { Arc::clone(&new.root) } else { Arc::clone(&old.root) };
        *self.state.write() = Arc::new(TreeState { root: Arc::clone(&root), ..new });
        let names = || old.snapshots.iter().map(|one| one.name.clone()).collect();
        let snapshots = (!same_snapshots).then(names);
        Ok(Followed::Moved(Advance { old: Arc::clone(&old.root), new: root, snapshots }))
    }

    /// The changes of an advance in a directory.
    pub fn difference(&self, advance: &Advance, directory: Node) -> Result<Difference> {
        let (old, new) = (&*advance.old, &*advance.new);
        if directory.snapshot != 0 || directory.is_part_of_message() {
            return Ok(Difference::default());
        }
        if directory.is_search() {
            return Ok(Difference { listing: true, nodes: vec![directory], ..Difference::default() });
        }
        if directory.kind == NodeKind::Snapshots {
            return Ok(self.snapshots_difference(advance, directory));
        }
        let mut difference = match (holds_messages(directory), old.indexed(), new.indexed()) {
            (true, Some(from), Some(to)) => self.mailbox_difference(advance, directory, from, to),
            _ => {
                let children = |view: &View| self.all_children(view, directory);
                children(old).and_then(|was| self.children_difference(advance, was, children(new)?))
            }
        }
        .or_else(|error| match error.kind {
            // The former state was dropped already: a listing may have changed, and no more is known.
            ErrorKind::Forgotten => Ok(Difference { listing: true, ..Difference::default() }),
            _ => Err(error),
        })?;
        if self.options.has_plain_names() && directory.kind != NodeKind::Cur {
            difference.names.iter_mut().for_each(|one| *one = name::plain(one));
        }
        let stat = |view: &View| self.stat_in(view, directory).ok();
        if difference.listing || stat(old) != stat(new) {
            difference.nodes.push(directory);
        }
        if directory == Node::single(NodeKind::TextMail, 0) {
            match self.renamed_texts(advance) {
                Err(error) if error.kind == ErrorKind::Forgotten => {}
                nodes => difference.nodes.extend(nodes?),
            }
        }
        if directory == Node::ROOT && advance.snapshots.is_some() {
            difference.nodes.push(Node::single(NodeKind::Snapshots, 0));
        }
        Ok(difference)
    }

    fn snapshots_difference(&self, advance: &Advance, directory: Node) -> Difference {
        let Some(before) = &advance.snapshots else { return Difference::default() };
        let state = self.state();
        let names =
            before.iter().filter(|name| !state.snapshots.iter().any(|one| one.name == **name)).cloned().collect();
        Difference { names, listing: true, nodes: vec![directory] }
    }

    /// All children of a directory; none if it is not there.
    fn all_children(&self, view: &View, directory: Node) -> Result<Vec<Child>> {
        let mut children: Vec<Child> = Vec::new();
        loop {
            let after = children.last().map_or(0, |last| last.cookie);
            match self.children_in(view, directory, after, 4_096) {
                Ok(page) if page.is_empty() => return Ok(children),
                Ok(page) => children.extend(page),
                Err(error) if is_absence(&error) => return Ok(children),
                Err(error) => return Err(error),
            }
        }
    }

    fn children_difference(&self, advance: &Advance, old: Vec<Child>, new: Vec<Child>) -> Result<Difference> {
        let new: HashMap<String, Child> = new.into_iter().map(|child| (child.name.clone(), child)).collect();
        let mut difference = Difference { listing: old.len() != new.len(), ..Difference::default() };
        for child in old {
            let Some(other) = new.get(&child.name).filter(|other| other.node == child.node) else {
                difference.names.push(child.name);
                continue;
            };
            // Two sorts of files can change without a change of their number: messages, whose links change, and the files of
            // a mailbox that follow its last change.
            let is_same = match (child.stat, other.stat) {
                (Some(was), Some(is)) => was == is,
                _ if child.file_type == FileType::Directory
                    || child.node.descriptor().times == Times::MailboxChange =>
                {
                    let stat = |view: &View| self.stat_in(view, child.node).ok();
                    stat(&advance.old) == stat(&advance.new)
                }
                _ => true,
            };
            if !is_same {
                difference.nodes.push(child.node);
            }
        }
        difference.listing |= !difference.names.is_empty();
        Ok(difference)
    }

    /// A mailbox is not compared message by message: the index says what came and went.
    fn mailbox_difference(&self, advance: &Advance, directory: Node, from: i64, to: i64) -> Result<Difference> {
        let (old, new) = (&*advance.old, &*advance.new);
        let mut difference = Difference::default();
        let is_cur = directory.kind == NodeKind::Cur;
        if !is_cur {
            let inner = |view: &View| mailbox_children(view, directory, 0, usize::MAX);
            difference = self.children_difference(advance, inner(old)?, inner(new)?)?;
        }
        let (left, came) = self.reader.changes_of_mailbox(directory.row, from, to)?;
        if is_cur {
            for listed in &left {
                difference.names.push(self.message_child(old, directory, listed)?.name);
                difference.names.push(lasting_name(listed));
            }
            difference.listing |= !left.is_empty() || !came.is_empty();
            return Ok(difference);
        }
        // A message that lies in more or fewer mailboxes than before has another number of links.
        let links: HashMap<Id, u32> = left.iter().map(|listed| (listed.email, listed.links)).collect();
        let differs = |listed: &&ListedEmail| links.get(&listed.email).is_some_and(|links| *links != listed.links);
        for listed in came.iter().filter(differs).take(RELINKED_MAX) {
            difference.nodes.extend(self.files_of(new, directory, listed)?);
        }
        if is_text(directory) {
            difference.names.extend(self.other_texts(advance, directory, &left, &came)?);
        }
        // A name may depend on the other messages of its minute. Flags do not matter here.
        let arrivals = |all: &[ListedEmail]| all.iter().map(Arrival::of).collect::<BTreeSet<_>>();
        let (left, came) = (arrivals(&left), arrivals(&came));
        let minutes: BTreeSet<i64> = left.symmetric_difference(&came).map(|one| one.minute).collect();
        for minute in &minutes {
            let names = |view: &View| -> Result<HashMap<String, Id>> {
                let arrivals = view.arrivals(directory.row)?;
                let same_minute = Arrival::of_minute(&arrivals, *minute).iter();
                same_minute
                    .map(|one| Ok((self.message_name(view, directory, directory.row, *one)?, one.email)))
                    .collect()
            };
            let now = names(new)?;
            let gone = names(old)?.into_iter().filter(|(name, row)| now.get(name) != Some(row));
            difference.names.extend(gone.map(|(name, _)| name));
        }
        difference.listing |= !minutes.is_empty();
        Ok(difference)
    }
}

impl Tree {
    /// The names of messages that stay in a mailbox of `text/`, and whose first mailbox is another one now.
    fn other_texts(
        &self,
        advance: &Advance,
        directory: Node,
        left: &[ListedEmail],
        came: &[ListedEmail],
    ) -> Result<Vec<String>> {
        let before: HashMap<Id, &ListedEmail> = left.iter().map(|listed| (listed.email, listed)).collect();
        let mut names = Vec::new();
        for listed in came {
            let Some(was) = before.get(&listed.email).filter(|was| was.links > 1 || listed.links > 1) else { continue };
            let node = |view: &View, listed: &ListedEmail| self.text_node(view, directory, listed);
            if node(&advance.old, was)? != node(&advance.new, listed)? {
                names.push(self.message_name(&advance.new, directory, directory.row, Arrival::of(listed))?);
            }
        }
        Ok(names)
    }

    /// The texts whose first lines changed, as those of a mailbox that has another name.
    fn renamed_texts(&self, advance: &Advance) -> Result<Vec<Node>> {
        let mut nodes = Vec::new();
        let (old, new) = (&*advance.old, &*advance.new);
        for mailbox in old.mailboxes()?.all().map(|mailbox| mailbox.id) {
            if self.place_in(old, mailbox)? == self.place_in(new, mailbox)? {
                continue;
            }
            let mut after = 0;
            loop {
                let page = old.messages(mailbox, after, 4_096)?;
                let Some(last) = page.last() else { break };
                after = last.email;
                nodes.extend(page.iter().map(|listed| Node::text(mailbox, listed.email)));
            }
        }
        Ok(nodes)
    }
}

/// True for directories that hold the messages of one mailbox: the archive's index says what changed in them.
fn holds_messages(directory: Node) -> bool {
    match directory.descriptor().children {
        Children::Messages => true,
        Children::Decoded { .. } => directory.shown_row().is_some(),
        _ => false,
    }
}

fn is_absence(error: &Error) -> bool {
    matches!(error.kind, ErrorKind::NotFound | ErrorKind::NotADirectory)
}
