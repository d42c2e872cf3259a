//! A walk over a tree, depth first, for `extract`.

use super::child::Child;
use super::node::Node;
use super::opened::Tree;
use super::stat::FileType;
use crate::error::Result;

/// How many entries of a directory are read at once.
const PAGE: usize = 1_024;

/// A node that the walk meets.
pub struct Step<'a> {
    /// From the start of the walk, with `/` between names; empty for the start itself.
    pub path: &'a str,
    /// The entry of its directory, with its `stat` where that is known.
    pub child: &'a Child,
}

/// Visits everything below `start`, parents before children, without recursion. `visit` says whether to go into a
/// directory.
pub fn walk(tree: &Tree, start: Node, mut visit: impl FnMut(Step<'_>) -> Result<bool>) -> Result<()> {
    let mut path = String::new();
    let mut stack = vec![Frame::of(start, 0)];
    while let Some(frame) = stack.last_mut() {
        path.truncate(frame.length);
        let Some(child) = frame.page.next() else {
            let page = tree.children(frame.node, frame.after, PAGE)?;
            match page.last() {
                Some(last) => frame.after = last.cookie,
                None => {
                    stack.pop();
                    continue;
                }
            }
            frame.page = page.into_iter();
            continue;
        };
        if !path.is_empty() {
            path.push('/');
        }
        path.push_str(&child.name);
        if visit(Step { path: &path, child: &child })? && child.file_type == FileType::Directory {
            stack.push(Frame::of(child.node, path.len()));
        }
    }
    Ok(())
}

/// A directory that is being visited.
struct Frame {
    node: Node,
    /// The length of its path.
    length: usize,
    page: std::vec::IntoIter<Child>,
    after: u64,
}

impl Frame {
    fn of(node: Node, length: usize) -> Frame {
        Frame { node, length, page: Vec::new().into_iter(), after: 0 }
    }
}
