//! Google Takeout, and any other folder of exported files: mail as mbox or as files of one message, calendars as .ics,
//! contacts as .vcf.
//!
//! Each file is a scope, but of files with one message each it is the folder. `walk` finds the files, `kinds` says what
//! they are, `mail`, `messages` and `objects` read them. Everything that is seen is imported, or left out by name. A file that holds nothing of what its name promises is not dropped: it is an item of one more
//! scope, [`FILES`], and kept as a plain file. Takeout is additive: what a later export leaves out stays.

use super::file_url::file_url;
use super::{Cursors, DuplicateRule, Items, Listing, Promises, Scope, Source};
use crate::error::{Error, ErrorKind, Result};
use crate::model::container::Container;
use crate::model::{Entry, ObjectType, SkipKind, SkippedItem, SourceIdent};
use gather::{Locator, MailOptions};
use kinds::Format;
use listed::MESSAGE;
use spool::Spool;
use std::collections::BTreeMap;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use walk::Export;

mod gather;
mod kinds;
mod listed;
mod mail;
mod messages;
mod objects;
mod plain;
mod spool;
mod walk;

/// The key of the scope of plain files.
pub const FILES: &str = "files";

/// How to read an export.
#[derive(Debug, Clone)]
pub struct TakeoutOptions {
    /// Leave Gmail's own labels as they are named and give no mailbox a role.
    pub noautomap: bool,
    /// Takes messages that are marked as deleted, too, with the keyword `$deleted`.
    pub include_deleted: bool,
    /// A directory for temporary files without name: messages over 16 MiB are written there on their way.
    pub spool: PathBuf,
}

/// An export on disk.
pub struct Takeout {
    ident: SourceIdent,
    mail: MailOptions,
    spool: Spool,
    export: Export,
    /// Whether a file is a plain one, as far as this run has found out: why, or `None` if it is not.
    plain: BTreeMap<String, Option<&'static str>>,
}

impl Takeout {
    /// Looks for exported files at `path`: a folder, searched to its bottom, or one file.
    ///
    /// A usage error if nothing is there or nothing in it is an export.
    pub fn open(path: &Path, opts: TakeoutOptions) -> Result<Takeout> {
        let root = path.canonicalize().map_err(|error| match error.kind() {
            std::io::ErrorKind::NotFound => Error::new(ErrorKind::Usage, format!("{} does not exist", path.display()))
                .hint("name a folder of exported files, or one file"),
            _ => Error::io(format!("cannot open {}", path.display()), error),
        })?;
        let export = Export::scan(&root);
        if export.is_empty() {
            return Err(nothing_in(&root, &export.aside));
        }
        let name = root.file_name().map(|name| walk::readable(name.as_bytes()));
        Ok(Takeout {
            ident: SourceIdent {
                kind: "takeout",
                session_url: file_url(&root),
                account_id: walk::readable(root.as_os_str().as_bytes()),
                account_name: name,
                username: String::new(),
            },
            mail: MailOptions { automap: !opts.noautomap, include_deleted: opts.include_deleted },
            spool: Spool::new(opts.spool),
            export,
            plain: BTreeMap::new(),
        })
    }
}

impl Source for Takeout {
    fn ident(&self) -> &SourceIdent {
        &self.ident
    }

    fn promises(&self) -> Promises {
        Promises {
            // An export comes in several files and parts, and once more a month later: what is the same in them is one object.
            join: DuplicateRule::SameBytes,
            // An export may be a part of the account, and a part of it may lie elsewhere today.
            is_additive: true,
            cursors: Cursors::StampOfMixedTypes,
            has_lasting_account_id: false,
            lists_only_ids: &[],
            recognised_by: "with the same name and the same bytes",
        }
    }

    fn is_whole(&self, _listing: &Listing) -> bool {
        true
    }

    fn hides(&self, _kind: ObjectType, _key: &str) -> bool {
        false
    }

    fn names_containers(&self, _kind: ObjectType) -> bool {
        true
    }

    fn scopes(&mut self) -> Result<(Vec<Scope>, Vec<Container>)> {
        let scope = |key: &str, kind| Scope { key: key.to_owned(), kind, selected: true };
        let mut scopes: Vec<Scope> =
            self.export.files.iter().map(|file| scope(&file.key, file.format.kind())).collect();
        scopes.extend(self.export.folders.iter().map(|folder| scope(&folder.key, ObjectType::Email)));
        // Last, so that most of what it lists is known by then.
        scopes.push(scope(FILES, ObjectType::FileNode));
        Ok((scopes, Vec::new()))
    }

    fn list(&mut self, scope: &Scope, cursor: &str) -> Result<Listing> {
        if scope.kind == ObjectType::FileNode {
            return plain::list(&self.export, &mut self.plain, &mut self.spool, cursor);
        }
        if let Some(folder) = self.export.folder(&scope.key) {
            return messages::list(folder, self.mail, &mut self.spool, cursor);
        }
        let file = self.export.file(&scope.key)?;
        let listed = match file.format {
            Format::Calendar | Format::Cards => objects::list(file, cursor)?,
            _ => mail::list(file, self.mail, &mut self.spool, cursor)?,
        };
        if !listed.listing.unchanged {
            self.plain.insert(file.key.clone(), listed.plain);
        }
        Ok(listed.listing)
    }

    fn fetch<'a>(&'a mut self, scope: &Scope, entries: Vec<Entry>) -> Result<Items<'a>> {
        if scope.kind == ObjectType::FileNode {
            return Ok(plain::fetch(&self.export, &mut self.spool, entries));
        }
        if let Some(folder) = self.export.folder(&scope.key) {
            return Ok(messages::fetch(folder, &mut self.spool, entries));
        }
        let file = self.export.file(&scope.key)?;
        match file.format {
            Format::Calendar | Format::Cards => objects::fetch(file, entries),
            _ => mail::fetch(file, &mut self.spool, entries),
        }
    }

    /// A message is known by its digest, so its bytes stand. Former versions gave it no revision.
    fn is_same(&self, known: &str, listed: &str) -> bool {
        known == listed || known.is_empty() && listed.starts_with(MESSAGE)
    }

    fn content<'r>(&self, rev: &'r str) -> Option<&'r str> {
        rev.strip_prefix(MESSAGE)
    }

    fn position(&self, scope: &Scope, entry: &Entry) -> String {
        match (scope.kind, Locator::parse(&entry.locator)) {
            (ObjectType::Email, Some(locator)) => match self.export.folder(&scope.key) {
                Some(folder) => messages::position(folder, &locator),
                None => format!("{}: offset {}", scope.key, locator.offset),
            },
            (ObjectType::FileNode, _) => entry.key.to_string(),
            _ => format!("{}: {}", scope.key, entry.key),
        }
    }
}

/// The error of an export with nothing to import in it: the hint names what there is, and what to do with it.
fn nothing_in(root: &Path, aside: &[SkippedItem]) -> Error {
    if let Some(failed) = aside.iter().find(|seen| seen.outcome == SkipKind::Failed) {
        return Error::new(ErrorKind::Storage, format!("cannot read {}", failed.position));
    }
    let what = match root.is_dir() {
        true => format!("no mail, calendar or contacts in {}", root.display()),
        false => format!("{} is no mail, calendar or address book", root.display()),
    };
    let seen = |outcome| aside.iter().find(|seen| seen.outcome == outcome);
    let strange = seen(SkipKind::NotUnderstood).or_else(|| seen(SkipKind::Skipped));
    let hint = match strange {
        Some(seen) => format!("{} is there: {}", seen.position, seen.reason),
        None => "mbox files of any name are read, .eml, .emlx, .ics and .vcf files, and folders of them".to_owned(),
    };
    Error::new(ErrorKind::Usage, what).hint(hint)
}
