//! Following an archive that somebody imports into: the root goes on to the newest snapshot, and what changed on the way
//! can be told directory by directory, so that whoever remembers names and numbers forgets just those.

use super::decoded::mailbox_lines;
use super::entry::{Child, Sort};
use super::mail::Arrival;
use super::name;
use super::node::{Node, What};
use super::opened::{Now, Tree};
use super::view::View;
use crate::archive::{At, Listed, Moment};
use crate::error::{Error, ErrorKind, Result};
use crate::model::Id;
use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

/// Of so many messages of a mailbox it is told that they lie in another number of mailboxes; each has to be decoded.
const RELINKED: usize = 1_000;

/// A step of the root from one moment to a newer one.
pub struct Advance {
    old: Arc<View>,
    new: Arc<View>,
    /// The names below `.snapshots` before, if they are others now.
    snapshots: Option<Vec<String>>,
}

/// What [`Tree::follow`] found.
pub enum Followed {
    /// Nothing that the tree would show.
    Nothing,
    /// Another file stands at the archive's path, or none: the tree goes on showing the old one.
    Replaced,
    Moved(Advance),
}

/// What an [`Advance`] changed in one directory.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Difference {
    /// Names that mean something else now, or nothing.
    pub names: Vec<String>,
    /// A listing of the directory reads otherwise.
    pub listing: bool,
    /// Nodes in it, or itself, of which `stat` says something else; their bytes may have changed too.
    pub nodes: Vec<Node>,
}

impl Tree {
    /// Takes the root to the newest snapshot, if there is a newer one than it shows. A tree that was opened at a
    /// certain snapshot stays there. Cheap where nobody wrote to the archive since the last call.
    pub fn follow(&self) -> Result<Followed> {
        let Some(trace) = self.reader.trace() else { return Ok(Followed::Replaced) };
        if !matches!(self.options.at, At::Latest) {
            return Ok(Followed::Nothing);
        }
        let mut watch = self.watch.lock();
        // Without snapshots nothing says that a writer is done but that it has stopped writing for a while.
        let is_settled = self.reader.has_index() || watch.last == Some(trace);
        watch.last = Some(trace);
        if watch.followed == Some(trace) || !is_settled {
            return Ok(Followed::Nothing);
        }
        watch.followed = Some(trace);
        drop(watch);
        self.reader.look_again()?;
        let old = self.now();
        let new = Now::take(&self.reader, At::Latest)?;
        let same_snapshots = old.snapshots.iter().map(|one| one.id).eq(new.snapshots.iter().map(|one| one.id));
        let moved = new.root.moment != old.root.moment || new.root.moment == Moment::Current;
        if !moved && same_snapshots {
            return Ok(Followed::Nothing);
        }
        // Without news at the root its view stays, and with it all that it has loaded.
        let root = if moved { Arc::clone(&new.root) } else { Arc::clone(&old.root) };
        let now = Arc::new(Now { root: Arc::clone(&root), snapshots: new.snapshots });
        *self.now.write() = now;
        let names = || old.snapshots.iter().map(|one| one.name.clone()).collect();
        let snapshots = (!same_snapshots).then(names);
        Ok(Followed::Moved(Advance { old: Arc::clone(&old.root), new: root, snapshots }))
    }

    /// What an advance changed in a directory.
    pub fn difference(&self, advance: &Advance, directory: Node) -> Result<Difference> {
        let (old, new) = (&*advance.old, &*advance.new);
        if directory.snapshot != 0 || directory.what == What::AttachmentFolder {
            return Ok(Difference::default());
        }
        if directory.what == What::Snapshots {
            return Ok(self.snapshots_difference(advance, directory));
        }
        let mut difference = match (directory.what, old.indexed(), new.indexed()) {
            (What::Cur | What::TextMailbox | What::AttachmentMailbox, Some(from), Some(to)) => {
                self.mailbox_difference(advance, directory, from, to)
            }
            _ => {
                let lines = |view: &View| self.all_lines(view, directory);
                lines(old).and_then(|was| self.lines_difference(advance, was, lines(new)?))
            }
        }
        .or_else(|error| match error.kind {
            // The former state was dropped already: all that can be said is that a listing may read otherwise.
            ErrorKind::Forgotten => Ok(Difference { listing: true, ..Difference::default() }),
            _ => Err(error),
        })?;
        if self.options.has_plain_names() && directory.what != What::Cur {
            difference.names.iter_mut().for_each(|one| *one = name::plain(one));
        }
        let stat = |view: &View| self.stat_in(view, directory).ok();
        if difference.listing || stat(old) != stat(new) {
            difference.nodes.push(directory);
        }
        if directory == Node::ROOT && advance.snapshots.is_some() {
            difference.nodes.push(Node::single(What::Snapshots, 0));
        }
        Ok(difference)
    }

    fn snapshots_difference(&self, advance: &Advance, directory: Node) -> Difference {
        let Some(before) = &advance.snapshots else { return Difference::default() };
        let now = self.now();
        let names = before.iter().filter(|name| !now.snapshots.iter().any(|one| one.name == **name)).cloned().collect();
        Difference { names, listing: true, nodes: vec![directory] }
    }

    /// All lines of a directory; none of one that is not there.
    fn all_lines(&self, view: &View, directory: Node) -> Result<Vec<Child>> {
        let mut lines: Vec<Child> = Vec::new();
        loop {
            let after = lines.last().map_or(0, |last| last.cookie);
            match self.children_in(view, directory, after, 4_096) {
                Ok(page) if page.is_empty() => return Ok(lines),
                Ok(page) => lines.extend(page),
                Err(error) if is_absence(&error) => return Ok(lines),
                Err(error) => return Err(error),
            }
        }
    }

    fn lines_difference(&self, advance: &Advance, old: Vec<Child>, new: Vec<Child>) -> Result<Difference> {
        let new: HashMap<String, Child> = new.into_iter().map(|child| (child.name.clone(), child)).collect();
        let mut difference = Difference { listing: old.len() != new.len(), ..Difference::default() };
        for child in old {
            let Some(other) = new.get(&child.name).filter(|other| other.node == child.node) else {
                difference.names.push(child.name);
                continue;
            };
            // Of files only messages can change without a change of their number: in how many mailboxes they lie.
            let is_same = match (child.stat, other.stat) {
                (Some(was), Some(is)) => was == is,
                _ if child.sort == Sort::Directory || child.node.what == What::MailboxKeywords => {
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
        if directory.what != What::Cur {
            let lines = |view: &View| mailbox_lines(view, directory, 0, usize::MAX);
            difference = self.lines_difference(advance, lines(old)?, lines(new)?)?;
        }
        let (left, came) = self.reader.changes_of_mailbox(directory.row, from, to)?;
        if directory.what == What::Cur {
            for listed in &left {
                difference.names.push(self.message_line(old, directory, listed)?.name);
            }
            difference.listing |= !left.is_empty() || !came.is_empty();
            return Ok(difference);
        }
        // One that lies in more or fewer mailboxes than before has another count of links.
        let links: HashMap<Id, u32> = left.iter().map(|listed| (listed.email, listed.links)).collect();
        let differs = |listed: &&Listed| links.get(&listed.email).is_some_and(|links| *links != listed.links);
        for listed in came.iter().filter(differs).take(RELINKED) {
            difference.nodes.extend(self.files_of(directory, listed.email)?);
        }
        // A name may depend on who else came in its minute. Flags do not matter here.
        let arrivals = |all: &[Listed]| all.iter().map(Arrival::of).collect::<BTreeSet<_>>();
        let (left, came) = (arrivals(&left), arrivals(&came));
        let minutes: BTreeSet<i64> = left.symmetric_difference(&came).map(|one| one.minute).collect();
        for minute in &minutes {
            let names = |view: &View| -> Result<HashMap<String, Id>> {
                let arrivals = view.arrivals(directory.row)?;
                let crowd = Arrival::of_minute(&arrivals, *minute).iter();
                crowd.map(|one| Ok((self.message_name(view, directory, directory.row, *one)?, one.email))).collect()
            };
            let now = names(new)?;
            difference
                .names
                .extend(names(old)?.into_iter().filter(|(name, row)| now.get(name) != Some(row)).map(|(name, _)| name));
        }
        difference.listing |= !minutes.is_empty();
        Ok(difference)
    }
}

fn is_absence(error: &Error) -> bool {
    matches!(error.kind, ErrorKind::NotFound | ErrorKind::NotADirectory)
}
