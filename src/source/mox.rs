//! An account of the mail server mox, as it lies on disk: `accounts/NAME/` of a data directory, running or not, or of what
//! `mox backup` made.
//!
//! ```text
//!   place      which account         database   one state of index.db     records    mailboxes and messages in it
//!   mailboxes  names, roles, filters      files      msg/DIR/ID      fetch      messages      stray     files of no message
//! ```
//!
//! A scope is a mailbox, its key the name. An entry is a message; its key is mox's number of it, which it keeps when it is
//! moved, and which no other message gets. Nothing is written, and nothing is locked: a lock of ours would keep mox from
//! delivering. What is read is one commit's state, or is read again.

use super::file_url::file_url;
use super::{Cursors, DuplicateRule, Items, Listing, Promises, Scope, Size, Source, UnlistedItems};
use crate::error::{Error, ErrorKind, Result};
use crate::model::container::Container;
use crate::model::{Digest, Entry, ObjectType, SkipKind, SkippedItem, SourceIdent};
use crate::net::sanitize::said;
use database::Database;
use fetch::{Fetch, FetchPlace, Oddities};
use files::{MessageFiles, path_of};
use mailboxes::Folder;
pub use options::MoxOptions;
use records::{Messages, Records, Wanted};
use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};

mod database;
mod fetch;
mod files;
mod mailboxes;
pub(crate) mod options;
mod place;
mod records;
mod stray;

/// An account of mox as a [`Source`].
pub struct Mox {
    /// The directory of the account.
    root: PathBuf,
    options: MoxOptions,
    ident: SourceIdent,
    /// What was found by `scopes`.
    opened: Option<Opened>,
    oddities: Oddities,
}

/// The account as a run sees it.
struct Opened {
    database: Database,
    /// Which state the mailboxes were read in.
    stamp: String,
    folders: Vec<Folder>,
    notices: Vec<String>,
    /// What the mailboxes hold, once one of them is listed.
    loaded: Option<Loaded>,
    /// Why that was not possible: it is not for the next mailbox, either.
    unreadable: Option<String>,
    records: Records,
    files: MessageFiles,
}

/// What the mailboxes hold.
struct Loaded {
    messages: Messages,
    stamp: String,
    /// What belongs to no mailbox: told with the first one that is listed.
    omissions: Vec<SkippedItem>,
    /// Nothing in it says that a later run would find more.
    is_whole: bool,
}

impl Mox {
    /// The account that the flags choose, in a data directory of mox, in a backup, or the directory of the account itself.
    ///
    /// # Errors
    /// [`ErrorKind::Usage`] if nothing of the kind is there, [`ErrorKind::Account`] if there is no such account or if there are
    /// several.
    pub fn open(path: &Path, options: MoxOptions) -> Result<Mox> {
        let place::Account { name, directory: root } = place::find(path, options.account.as_deref())?;
        let ident = SourceIdent {
            kind: "mox",
            session_url: file_url(&root),
            account_id: root.to_string_lossy().into_owned(),
            account_name: Some(name),
            username: String::new(),
        };
        Ok(Mox { root, options, ident, opened: None, oddities: Oddities::default() })
    }

    fn opened(&self) -> Result<&Opened> {
        self.opened.as_ref().ok_or_else(not_looked_at)
    }

    /// What `fetch` needs of the account.
    fn place(&mut self) -> Result<FetchPlace<'_>> {
        let Opened { database, records, files, .. } = self.opened.as_mut().ok_or_else(not_looked_at)?;
        Ok(FetchPlace { database, records, files, spool: &self.options.spool, oddities: &mut self.oddities })
    }
}

fn not_looked_at() -> Error {
    Error::new(ErrorKind::Storage, "the account was not looked at yet")
}

impl Opened {
    fn look(root: &Path, options: &MoxOptions) -> Result<Opened> {
        let database = Database::open(root)?;
        let (mailboxes, stamp) = database.read(&records::mailboxes)?;
        let (folders, notices) = mailboxes::arrange(mailboxes, options);
        let files = MessageFiles::open(root)?;
        Ok(Opened {
            database,
            stamp,
            folders,
            notices,
            loaded: None,
            unreadable: None,
            records: Records::default(),
            files,
        })
    }

    /// Reads all messages, for one time.
    fn load(&mut self, options: &MoxOptions) -> Result<&mut Loaded> {
        if let Some(why) = &self.unreadable {
            return Err(Error::new(ErrorKind::Storage, why.clone()));
        }
        if self.loaded.is_none() {
            let loaded = self.read(options);
            self.unreadable = loaded.as_ref().err().map(Error::to_string);
            self.loaded = Some(loaded?);
        }
        self.loaded.as_mut().ok_or_else(not_looked_at)
    }

    fn read(&mut self, options: &MoxOptions) -> Result<Loaded> {
        let wanted = self.folders.iter().filter_map(|folder| {
            Some((folder.id?, Wanted { key: &folder.container.key, is_selected: folder.is_selected }))
        });
        let known: HashMap<i64, Wanted<'_>> = wanted.collect();
        let (messages, stamp) = self.database.read(&|bolt| records::messages(bolt, &known, options.include_deleted))?;
        let mut omissions = messages.omissions();
        if options.filter.is_all() {
            let strays = stray::find(&self.files, &messages.ids);
            omissions.extend(stray::judge(strays, &self.database, &mut self.records)?);
        }
        let is_whole =
            messages.passed_over.is_empty() && omissions.iter().all(|one| one.outcome == SkipKind::ByProduct);
        Ok(Loaded { messages, stamp, omissions, is_whole })
    }

    fn folder(&self, key: &str) -> Result<&Folder> {
        let missing = || Error::new(ErrorKind::NotFound, format!("there is no mailbox {key:?}"));
        self.folders.iter().find(|folder| folder.container.key == key).ok_or_else(missing)
    }
}

/// What the next run gets back if all was stored.
fn cursor(stamp: &str, options: &MoxOptions) -> String {
    format!("{stamp}{}", if options.include_deleted { "+deleted" } else { "" })
}

impl Source for Mox {
    fn ident(&self) -> &SourceIdent {
        &self.ident
    }

    fn promises(&self) -> Promises {
        Promises {
            // A copy in another mailbox has flags of its own.
            join: DuplicateRule::Never,
            is_additive: false,
            cursors: Cursors::Stamp,
            has_lasting_account_id: false,
            lists_only_ids: &[],
            recognised_by: "under the same number, and with the same size",
        }
    }

    fn is_whole(&self, _listing: &Listing) -> bool {
        true
    }

    fn scopes(&mut self) -> Result<(Vec<Scope>, Vec<Container>)> {
        let opened = self.opened.insert(Opened::look(&self.root, &self.options)?);
        let holding = opened.folders.iter().filter(|folder| folder.id.is_some());
        let scopes: Vec<Scope> = holding
            .map(|folder| Scope {
                key: folder.container.key.clone(),
                kind: ObjectType::Email,
                selected: folder.is_selected,
            })
            .collect();
        let names: Vec<&str> = scopes.iter().map(|scope| scope.key.as_str()).collect();
        self.options.filter.check(&names, &format!("in {}", self.root.display()))?;
        Ok((scopes, mailboxes::wanted(&opened.folders)))
    }

    fn omissions(&mut self) -> Vec<SkippedItem> {
        let Ok(opened) = self.opened() else { return Vec::new() };
        let names: Vec<&str> = opened.folders.iter().map(|folder| folder.container.key.as_str()).collect();
        let missing = self.options.filter.unmatched(&names).into_iter().map(|name| SkippedItem {
            kind: ObjectType::Mailbox,
            reason: "named with --folder, and not there".to_owned(),
            position: said(name.as_bytes()),
            outcome: SkipKind::Failed,
        });
        missing.collect()
    }

    fn why_empty(&self) -> Option<Error> {
        let what = format!("the account in {} has no mailboxes", self.root.display());
        Some(Error::new(ErrorKind::Usage, what).hint("name a data directory of mox, or a backup that mox backup made"))
    }

    fn hides(&self, kind: ObjectType, key: &str) -> bool {
        kind == ObjectType::Email && !self.options.filter.selects(key)
    }

    fn names_containers(&self, _kind: ObjectType) -> bool {
        true
    }

    fn list(&mut self, scope: &Scope, before: &str) -> Result<Listing> {
        let opened = self.opened.as_mut().ok_or_else(not_looked_at)?;
        let (key, id) = (scope.key.clone(), opened.folder(&scope.key)?.id);
        if before == cursor(&opened.stamp, &self.options) {
            return Ok(Listing { unchanged: true, cursor: before.to_owned(), ..Listing::default() });
        }
        let loaded = opened.load(&self.options)?;
        let (entries, deleted) = loaded.messages.take(id);
        let mut omissions = std::mem::take(&mut loaded.omissions);
        omissions.extend(deleted.into_iter().map(|id| SkippedItem {
            kind: ObjectType::Email,
            reason: "deleted flag".to_owned(),
            position: format!("{}: {}", said(key.as_bytes()), path_of(id)),
            outcome: SkipKind::Skipped,
        }));
        // What this run leaves out and names, the next one names, too.
        let is_told = loaded.is_whole && omissions.iter().all(|one| one.outcome == SkipKind::ByProduct);
        let cursor = if is_told { cursor(&loaded.stamp, &self.options) } else { String::new() };
        let passed_over: HashSet<String> = loaded.messages.passed_over.iter().map(i64::to_string).collect();
        let unnamed = match passed_over.is_empty() {
            true => UnlistedItems::Gone,
            // They are there, wherever they are.
            false => UnlistedItems::GoneIf(Box::new(move |key| !passed_over.contains(key))),
        };
        Ok(Listing { containers: Vec::new(), entries, omissions, unchanged: false, unnamed, cursor })
    }

    fn fetch<'a>(&'a mut self, _scope: &Scope, entries: Vec<Entry>) -> Result<Items<'a>> {
        Ok(Box::new(Fetch::start(self.place()?, entries)))
    }

    /// The number of a message names its bytes; with size and date it does so after a backup was restored, too.
    fn content<'r>(&self, rev: &'r str) -> Option<&'r str> {
        Some(rev)
    }

    fn message_ids(&mut self, _scope: &Scope, entries: &[Entry]) -> Result<Vec<Option<Vec<u8>>>> {
        Ok(fetch::heads(&mut self.place()?, entries))
    }

    fn size(&self, entry: &Entry) -> Option<Size> {
        Some(Size { listed: entry.rev.split('.').next()?.parse().ok()?, claimed: None })
    }

    fn digests(&mut self, _scope: &Scope, entries: Vec<Entry>) -> Result<Vec<Option<Digest>>> {
        let mut none = Oddities::default();
        let place = self.place()?;
        Ok(fetch::digests(FetchPlace { oddities: &mut none, ..place }, entries))
    }

    fn notices(&self) -> Vec<String> {
        let mut notices = self.opened.as_ref().map(|opened| opened.notices.clone()).unwrap_or_default();
        notices.extend(self.oddities.notice());
        let loaded = self.opened.as_ref().and_then(|opened| opened.loaded.as_ref());
        if loaded.is_some_and(|loaded| loaded.messages.in_new_mailboxes > 0) {
            notices.push(
                "a mailbox was made while the account was read: run the command again to import what is in it"
                    .to_owned(),
            );
        }
        notices
    }

    fn name(&self, scope: &Scope) -> String {
        said(scope.key.as_bytes())
    }

    fn position(&self, scope: &Scope, entry: &Entry) -> String {
        let path = entry.key.parse().map_or_else(|_| entry.key.to_string(), path_of);
        format!("{}: {path}", said(scope.key.as_bytes()))
    }
}
