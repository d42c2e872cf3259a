//! A Maildir on this machine: Maildir++ (`.A.B`), nested directories (Dovecot's `fs` layout, mbsync, Vandelay's own
//! mount) or both mixed.
//!
//! A scope is a folder; its key is the decoded path (`INBOX`, `Archive/2024`). An entry is a message file; its key is
//! the file name before the flags, its `rev` is size and time of the file, its locator the rest of its path.
//! `tree` finds the folders and `stray` says what lies beside them, `list` reads their directories, `fetch` reads files and
//! `source/unpack` those that are compressed.

use super::file_url::file_url;
use super::{Cursors, DuplicateRule, Items, Listing, Promises, Scope, Size, Source};
use crate::error::{Error, ErrorKind, Result};
use crate::format::maildir::{FileName, escape, unescape};
use crate::model::container::Container;
use crate::model::{Digest, Entry, ObjectType, SkipKind, SkippedItem, SourceIdent};
pub use options::{Layout, MaildirOptions};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

mod fetch;
mod list;
pub(crate) mod options;
mod stray;
mod subscriptions;
mod tree;

/// A Maildir as a [`Source`].
pub struct Maildir {
    root: PathBuf,
    options: MaildirOptions,
    ident: SourceIdent,
    tree: tree::Tree,
    /// How many messages were read that are links to files outside of the Maildir.
    outside: AtomicU64,
}

impl Maildir {
    /// The Maildir at `path`. What is in it shows when its scopes are asked for.
    ///
    /// # Errors
    /// [`ErrorKind::Usage`] if nothing is there.
    pub fn open(path: &Path, options: MaildirOptions) -> Result<Maildir> {
        let shown = path.display();
        let root = path.canonicalize().map_err(|cause| match cause.kind() {
            std::io::ErrorKind::NotFound | std::io::ErrorKind::NotADirectory => {
                Error::new(ErrorKind::Usage, format!("there is no directory {shown}"))
            }
            _ => Error::io(format!("cannot open {shown}"), cause),
        })?;
        let text = root.to_string_lossy().into_owned();
        let ident = SourceIdent {
            kind: "maildir",
            session_url: file_url(&root),
            account_id: text,
            account_name: root.file_name().map(|name| name.to_string_lossy().into_owned()),
            username: String::new(),
        };
        Ok(Maildir { root, options, ident, tree: tree::Tree::default(), outside: AtomicU64::new(0) })
    }

    fn place(&self) -> fetch::MaildirPlace<'_> {
        fetch::MaildirPlace { root: &self.root, spool: &self.options.spool, outside: &self.outside }
    }

    fn folder(&self, scope: &Scope) -> Result<&tree::Folder> {
        let missing = || {
            Error::new(ErrorKind::NotFound, format!("there is no folder {:?} in {}", scope.key, self.ident.account_id))
        };
        self.tree.folders.iter().find(|folder| folder.container.key == scope.key).ok_or_else(missing)
    }

    /// The container with this key and those around it, outermost first.
    fn lineage(&self, key: &str) -> Vec<Container> {
        let around = |folder: &&tree::Folder| {
            key.strip_prefix(&folder.container.key).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
        };
        self.tree.folders.iter().filter(around).map(|folder| folder.container.clone()).collect()
    }
}

impl Source for Maildir {
    fn ident(&self) -> &SourceIdent {
        &self.ident
    }

    fn promises(&self) -> Promises {
        Promises {
            // A tree that was copied out of a mount has a message of two mailboxes twice, under one name.
            join: DuplicateRule::SameName,
            is_additive: false,
            cursors: Cursors::Stamp,
            has_lasting_account_id: false,
            lists_only_ids: &[],
            recognised_by: "under the same file name, and with the same size",
        }
    }

    fn is_whole(&self, _listing: &Listing) -> bool {
        true
    }

    /// Looks at the tree again. Containers are those of selected folders and what they lie in.
    fn scopes(&mut self) -> Result<(Vec<Scope>, Vec<Container>)> {
        self.tree = tree::find(&self.root, &self.options)?;
        let scopes: Vec<Scope> = self
            .tree
            .folders
            .iter()
            .filter(|folder| folder.holds != tree::Holds::Nothing)
            .map(|folder| Scope {
                key: folder.container.key.clone(),
                kind: ObjectType::Email,
                selected: self.options.filter.selects(&folder.container.key),
            })
            .collect();
        let mut wanted: std::collections::HashSet<&str> = std::collections::HashSet::new();
        for scope in scopes.iter().filter(|scope| scope.selected) {
            let mut key = Some(scope.key.as_str());
            while let Some(one) = key.filter(|&one| wanted.insert(one)) {
                key = one.rsplit_once('/').map(|(parent, _)| parent);
            }
        }
        let containers = self.tree.folders.iter().map(|folder| &folder.container);
        let containers = containers.filter(|container| wanted.contains(container.key.as_str())).cloned().collect();
        let names: Vec<&str> = scopes.iter().map(|scope| scope.key.as_str()).collect();
        self.options.filter.check(&names, &format!("in {}", self.root.display()))?;
        Ok((scopes, containers))
    }

    fn omissions(&mut self) -> Vec<SkippedItem> {
        let strays = std::mem::take(&mut self.tree.strays).into_iter();
        let strays = strays.filter(|stray| self.options.filter.selects(&stray.key)).map(|stray| stray.omission);
        let names: Vec<&str> = self.tree.folders.iter().map(|folder| folder.container.key.as_str()).collect();
        let missing = self.options.filter.unmatched(&names).into_iter().map(|name| SkippedItem {
            kind: ObjectType::Mailbox,
            reason: "named with --folder, and not there".to_owned(),
            position: escape(name.as_bytes()),
            outcome: SkipKind::Failed,
        });
        strays.chain(missing).collect()
    }

    fn why_empty(&self) -> Option<Error> {
        Some(tree::no_maildir(&self.root, &self.tree.strays))
    }

    fn hides(&self, kind: ObjectType, key: &str) -> bool {
        kind == ObjectType::Email && !self.options.filter.selects(key)
    }

    fn names_containers(&self, _kind: ObjectType) -> bool {
        true
    }

    fn list(&mut self, scope: &Scope, _cursor: &str) -> Result<Listing> {
        let folder = self.folder(scope)?;
        if let tree::Holds::Unreadable(reason) = &folder.holds {
            return Err(Error::new(
                ErrorKind::Storage,
                format!("cannot read {}: {reason}", self.root.join(&folder.dir).display()),
            )
            .hint("check the owner and the permissions, or leave the folder out with --exclude"));
        }
        let mut listing = list::list(&self.root, folder, self.options.include_deleted)?;
        listing.containers = self.lineage(&scope.key);
        Ok(listing)
    }

    fn fetch<'a>(&'a mut self, scope: &Scope, entries: Vec<Entry>) -> Result<Items<'a>> {
        let folder = self.folder(scope)?;
        Ok(Box::new(fetch::Fetch::start(self.place(), folder, entries)?))
    }

    fn size(&self, entry: &Entry) -> Option<Size> {
        let file = entry.rev.split('.').next()?.parse().ok()?;
        let claimed = FileName::parse(&unescape(&entry.key)).size();
        Some(Size { listed: file, claimed })
    }

    fn digests(&mut self, scope: &Scope, entries: Vec<Entry>) -> Result<Vec<Option<Digest>>> {
        let folder = self.folder(scope)?;
        let before = self.outside.load(Ordering::Relaxed);
        let digests = fetch::digests(fetch::Fetch::start(self.place(), folder, entries)?);
        // `outside` counts messages that are stored; these were only compared.
        self.outside.store(before, Ordering::Relaxed);
        Ok(digests)
    }

    fn notices(&self) -> Vec<String> {
        match self.outside.load(Ordering::Relaxed) {
            0 => Vec::new(),
            1 => vec!["1 message is a link to a file outside of the Maildir; that file is stored".to_owned()],
            count => {
                vec![format!("{count} messages are links to files outside of the Maildir; those files are stored")]
            }
        }
    }

    fn position(&self, scope: &Scope, entry: &Entry) -> String {
        match self.folder(scope) {
            Ok(folder) => folder.shown(&list::file_shown(&entry.key, &entry.locator)),
            Err(_) => format!("{}: {}", scope.key, entry.key),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::source::maildir::options::shown;
    use std::os::unix::ffi::OsStrExt;

    #[test]
    fn paths_are_shown_on_one_line() {
        let raw = Path::new(std::ffi::OsStr::from_bytes(b"a/caf\xe9\n"));
        assert_eq!(shown(raw), "a/caf%E9%0A");
    }
}
