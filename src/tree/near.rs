//! The path that was probably meant by one that does not exist.

use super::node::Node;
use super::opened::Tree;
use crate::error::Result;
use crate::model::text::nearest;

/// How many entries of a directory are looked at: a guess must not take longer than an answer.
const LOOKED_AT: usize = 20_000;

/// How many entries of a directory are read at once.
const PAGE: usize = 1_024;

impl Tree {
    /// The path with each of its parts that does not exist replaced by the name most like it, up to the first part that has none.
    /// `None` if nothing is like it.
    pub(super) fn near(&self, path: &str) -> Option<String> {
        let mut node = Node::ROOT;
        let mut meant: Vec<String> = Vec::new();
        let mut is_other = false;
        for part in path.split('/').filter(|part| !part.is_empty() && *part != ".") {
            let name = match self.lookup(node, part) {
                Ok(_) => part.to_owned(),
                Err(_) => match self.name_near(node, part) {
                    Ok(Some(name)) => {
                        is_other = true;
                        name
                    }
                    _ => break,
                },
            };
            let Ok(next) = self.lookup(node, &name) else { break };
            node = next.node;
            meant.push(name);
        }
        is_other.then(|| meant.join("/"))
    }

    /// The name in a directory that is like this one: the same in other letters, else the nearest.
    fn name_near(&self, directory: Node, part: &str) -> Result<Option<String>> {
        let folded = part.to_lowercase();
        let (mut names, mut after) = (Vec::new(), 0);
        while names.len() < LOOKED_AT {
            let page = self.children(directory, after, PAGE)?;
            let Some(last) = page.last() else { break };
            after = last.cookie;
            if let Some(same) = page.iter().find(|child| child.name.to_lowercase() == folded) {
                return Ok(Some(same.name.clone()));
            }
            names.extend(page.into_iter().map(|child| child.name));
        }
        Ok(nearest(part, names.iter().map(String::as_str)).map(str::to_owned))
    }
}
