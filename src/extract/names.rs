//! Names of what is written, where the target may not take those of the tree.

use super::visit::Entry;
use crate::tree::name;
use std::hash::{DefaultHasher, Hash, Hasher};

/// Which names files and directories get.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Names {
    /// The names of the tree, and a portable one in the place of each that the target refuses.
    #[default]
    Auto,
    /// The names of the tree; files whose names the target refuses are not extracted.
    Exact,
    /// Names that any file system takes.
    Portable,
}

impl Names {
    /// The names that something may get, best first.
    pub(super) fn candidates(self, entry: &Entry<'_>) -> Vec<String> {
        let exact = entry.name.to_owned();
        if self == Names::Exact {
            return vec![exact];
        }
        let portable = name::portable(entry.name, entry.node.is_message());
        let marked = name::marked_portable(&portable, &format!("~{}", entry.node.object()));
        // The mark may be what another one is called.
        let twice = name::marked_portable(&marked, &format!("~{}", entry.node.object()));
        let mut names = vec![portable, marked, twice];
        if self == Names::Auto {
            names.insert(0, exact);
        }
        names.dedup();
        names
    }
}

/// The hash of a name on file systems that do not tell upper from lower case.
pub(super) fn folded(name: &str) -> u64 {
    hash(name.to_lowercase().as_bytes())
}

/// The hash of a name, or of a part of one, within a run.
pub(super) fn hash(bytes: &[u8]) -> u64 {
    let mut hasher = DefaultHasher::new();
    bytes.hash(&mut hasher);
    hasher.finish()
}

/// True for a name of a Maildir: it has the row of its message in it, so no other differs from it in case alone.
pub(super) fn is_numbered(entry: &Entry<'_>) -> bool {
    entry.node.is_message() && !entry.name.ends_with(EML)
}

/// What the file of a message is called that is no file of a Maildir.
pub(super) const EML: &str = ".eml";
