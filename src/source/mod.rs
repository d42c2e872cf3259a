//! How to read an account: every source lists cheaply, then hands over bytes on demand.
//!
//! A [`Source`] knows nothing of archives. It is sync and object safe; a source that speaks to a server hides its
//! runtime behind these calls. The children of this room import this file; this file imports none of them.

use crate::error::{Error, Result};
use crate::model::container::Container;
use crate::model::{Digest, Entry, FetchedItem, KnownBy, ObjectType, SkippedItem, SourceIdent};

pub mod dav;
mod file_url;
pub mod files;
pub mod filter;
pub mod imap;
pub mod jmap;
mod links;
pub mod maildir;
pub mod managesieve;
pub mod mox;
mod unpack;

/// The revision of an item that 1.x imported: 1.x stores none, so the source takes it for the one that it lists.
pub const UNKNOWN: &str = "?";

/// A stretch of an account that is listed with one call: a Maildir folder, an mbox file, later an IMAP mailbox.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Scope {
    /// Identity within the source, e.g. `INBOX/Lists` or `Mail/All mail.mbox`.
    pub key: String,
    /// The type of the items listed.
    pub kind: ObjectType,
    /// False where a filter of this run hides the scope: it is not listed, and nothing of it is taken for deleted.
    pub selected: bool,
}

/// The listing of a scope.
#[derive(Debug, Default)]
pub struct Listing {
    /// Containers that the entries name as parents, parents first.
    pub containers: Vec<Container>,
    /// All items; or those that are new or changed, as `unnamed` says (or, when `unchanged`, none).
    pub entries: Vec<Entry>,
    /// What was found and is no entry: duplicates, skipped by flag, unreadable.
    pub omissions: Vec<SkippedItem>,
    /// The scope is as it was when `cursor` was handed out: everything known of it still holds.
    pub unchanged: bool,
    /// The fate of known items that are not named here.
    pub unnamed: UnlistedItems,
    /// Handed back at the next run's `list`; stored only when everything of the scope was stored.
    pub cursor: String,
}

/// The fate of known items that a listing does not name.
#[derive(Default)]
pub enum UnlistedItems {
    /// They are kept: the source only grows (Takeout), or it could not tell.
    #[default]
    Kept,
    /// They are gone at the source.
    Gone,
    /// The listing names changes: known items are as they were, but for those whose key this is true of; these are gone.
    GoneIf(Box<dyn Fn(&str) -> bool + Send>),
}

impl std::fmt::Debug for UnlistedItems {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            UnlistedItems::Kept => "Kept",
            UnlistedItems::Gone => "Gone",
            UnlistedItems::GoneIf(_) => "GoneIf",
        })
    }
}

/// The items of one fetch, in the order of the entries asked for. An `Err` names the key whose item failed.
pub type Items<'a> = Box<dyn Iterator<Item = std::result::Result<FetchedItem, Failure>> + Send + 'a>;

/// An item that could not be handed over. The run goes on with the next one, unless the iterator ends.
#[derive(Debug)]
pub struct Failure {
    /// The key of the entry asked for.
    pub key: Box<str>,
    /// The item vanished between listing and fetching: it is no error, the next run sees it gone.
    pub vanished: bool,
    /// Why; for the report.
    pub error: Error,
}

/// How large an item is, before its bytes are read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Size {
    /// What the listing sees: the size of a file, which may be compressed.
    pub listed: u64,
    /// What the item's name says of its own bytes (`S=` of a Maildir).
    pub claimed: Option<u64>,
}

/// When two items of a source are one object with several containers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DuplicateRule {
    /// Each is its own.
    Never,
    /// What has the same bytes, or the same [`Source::content`], in whatever scope of a source of this type: an export of
    /// the account in several files, in parts, in another directory (Takeout). Calendars and address books of one name are
    /// one, too.
    SameBytes,
    /// Messages with the same [`Source::content`] (Gmail: every label shows a message once more).
    SameContent,
    /// Messages with the same bytes, date and keywords under the same name in several folders (a copied tree of ours).
    SameName,
}

/// What the cursors of a source stand for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cursors {
    /// A state of a server, which names what changed since and may be wrong about it: so each scope is listed in full every
    /// few weeks.
    ServerState,
    /// A stamp of files whose containers are of several types. Earlier versions mixed those up, so a stamp of theirs counts
    /// for nothing.
    StampOfMixedTypes,
    /// A stamp of files or a digest of all names: it is the same only while nothing changed.
    Stamp,
}

/// What a source promises of everything that it lists.
#[derive(Debug, Clone, Copy)]
pub struct Promises {
    /// Which items are one object.
    pub join: DuplicateRule,
    /// What the source does not name any more is kept all the same, in a scope that it lists and with a scope that is not
    /// there, whatever a listing says ([`Listing::unnamed`]). False for a source that is mirrored.
    pub is_additive: bool,
    /// What a cursor stands for, and so how long it is trusted.
    pub cursors: Cursors,
    /// The account's id is the server's, and stays the same when the account gets another address: two ids are two
    /// accounts.
    pub has_lasting_account_id: bool,
    /// Types of which a listing tells no more than the ids of the items. That two accounts are the same has then to be
    /// proved by the uids of a sample.
    pub lists_only_ids: &'static [ObjectType],
    /// By what the source recognises a message at another address, for messages to the user: `under the same id`.
    pub recognised_by: &'static str,
}

/// An account that can be listed and read.
///
/// A method has a default only if a source that does not write it loses nothing by that: at worst it reads more than it
/// has to.
pub trait Source: Send {
    /// Which account this is.
    fn ident(&self) -> &SourceIdent;

    /// What holds of everything that the source lists. There is no default: one that is wrong loses data.
    fn promises(&self) -> Promises;

    /// True if a listing shows the whole scope: what it does not name, and no listing named before, is not there. Objects
    /// of an archive of 1.x that a whole listing lacks leave the current state.
    fn is_whole(&self, listing: &Listing) -> bool;

    /// Every scope that exists, selected or not, and the containers that exist even if nothing lies in them.
    /// A scope that is not named here is gone with all its items.
    fn scopes(&mut self) -> Result<(Vec<Scope>, Vec<Container>)>;

    /// What `scopes` saw that lies in none of them and is not stored. Asked for once, after `scopes`.
    fn omissions(&mut self) -> Vec<SkippedItem> {
        Vec::new()
    }

    /// The error of a run for which `scopes` named none, and nothing is known of them either. `None` if that is none.
    fn why_empty(&self) -> Option<Error> {
        None
    }

    /// True if a filter of this run would hide this scope, were it still there: then it is not taken for gone.
    fn hides(&self, kind: ObjectType, key: &str) -> bool;

    /// False where this run does not name the containers of a type: then none of them is taken for gone.
    fn names_containers(&self, kind: ObjectType) -> bool;

    /// What `list` will be asked for, in this order, each scope with its cursor. A source with several connections may
    /// begin with all of them.
    fn announce(&mut self, _scopes: &[(Scope, String)]) {}

    /// Lists one scope. `cursor` is what the last complete run over it got, or empty.
    /// An error fails the scope: nothing in it changes in the archive.
    fn list(&mut self, scope: &Scope, cursor: &str) -> Result<Listing>;

    /// Reads these items, which a `list` of the scope in this run named. Other scopes may have been listed since.
    fn fetch<'a>(&'a mut self, scope: &Scope, entries: Vec<Entry>) -> Result<Items<'a>>;

    /// These will be asked for by a `fetch`, after those that were named before: a source with a line to spare may begin.
    fn prefetch(&mut self, _scope: &Scope, _entries: &[Entry]) {}

    /// True if a known item, stored with the revision `known`, still has the bytes that a listing calls `listed`.
    fn is_same(&self, known: &str, listed: &str) -> bool {
        known == listed
    }

    /// What 1.x knew the messages of a scope by, if those that have the same key still have the same bytes.
    fn known_to_1x_by(&self, _scope: &Scope) -> Option<KnownBy> {
        None
    }

    /// The part of a revision that names the bytes, whatever scope they lie in: what is stored already under the same
    /// name needs no fetch. `None` where the source cannot tell.
    fn content<'r>(&self, _rev: &'r str) -> Option<&'r str> {
        None
    }

    /// The header fields Message-ID of these messages, each as a header block; `None` for one that cannot be told.
    /// Asked for only where known messages are gone whose revision is that of a new one, to tell what moved from what
    /// is new.
    fn message_ids(&mut self, _scope: &Scope, entries: &[Entry]) -> Result<Vec<Option<Vec<u8>>>> {
        Ok(vec![None; entries.len()])
    }

    /// How large an item is, as far as that can be told without its bytes.
    fn size(&self, _entry: &Entry) -> Option<Size> {
        None
    }

    /// The digest of the bytes of each of these items, `None` where it cannot be told. Asked for only where known items
    /// are gone that have the [`Source::size`] of these, to tell what got another name from what is new.
    fn digests(&mut self, _scope: &Scope, entries: Vec<Entry>) -> Result<Vec<Option<Digest>>> {
        Ok(vec![None; entries.len()])
    }

    /// What the user should know of how this run read the account, each in a sentence.
    fn notices(&self) -> Vec<String> {
        Vec::new()
    }

    /// The same for what is not worth a warning: `--quiet` hides it.
    fn notes(&self) -> Vec<String> {
        Vec::new()
    }

    /// What a scope is called in messages to the user. A source that has the name from a server shows it as it shows all
    /// words of servers.
    fn name(&self, scope: &Scope) -> String {
        scope.key.clone()
    }

    /// Where an item lies, for messages to the user (`cur/1700000000.M1.host:2,S`).
    fn position(&self, scope: &Scope, entry: &Entry) -> String {
        format!("{}: {}", scope.key, entry.key)
    }
}
