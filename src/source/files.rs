//! Exported files: mail as mbox or as files of one message, calendars as .ics, contacts as .vcf. A Google Takeout or any
//! other folder of them is one source; files and folders that the user names one by one are another, the same in each run.
//!
//! Each file is a scope, but of files with one message each it is the folder. `root` is what the user named, `walk` finds the
//! files, `kinds` says what they are, `mail`, `messages` and `objects` read them. Everything that is seen is imported, or
//! left out by name. A file of a Takeout that holds nothing of what its name promises is not dropped: it is an item of one
//! more scope, [`FILES`], and kept as a plain file. The source is additive: what a later export leaves out stays.

use super::file_url::file_url;
use super::{Cursors, DuplicateRule, Items, Listing, Promises, Scope, Source};
use crate::error::{Error, ErrorKind, Result};
use crate::model::container::Container;
use crate::model::{Entry, ObjectType, SkipKind, SkippedItem, SourceIdent};
use found::Export;
use gather::{Locator, MailOptions};
use kinds::Format;
use listed::MESSAGE;
use place::{Place, Unpacker};
pub use root::FileKind;
use root::Root;
use spool::Spool;
use std::collections::BTreeMap;
use std::io::{self, IsTerminal};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

mod beside;
mod found;
mod gather;
mod kinds;
mod listed;
mod mail;
mod messages;
mod objects;
mod place;
mod plain;
mod root;
mod spool;
mod walk;

/// The key of the scope of plain files.
pub const FILES: &str = "files";

/// How to read an export.
#[derive(Debug, Clone)]
pub struct FilesOptions {
    /// Leave Gmail's own labels as they are named and give no mailbox a role.
    pub noautomap: bool,
    /// Takes messages that are marked as deleted, too, with the keyword `$deleted`.
    pub include_deleted: bool,
    /// A directory for temporary files without name: messages over 16 MiB are written there on their way.
    pub spool: PathBuf,
}

/// Files that the user names one by one.
#[derive(Debug, Clone)]
pub struct NamedFiles {
    /// Files, folders, and `-` for standard input.
    pub paths: Vec<PathBuf>,
    /// What of them is taken.
    pub only: FileKind,
    /// The mailbox, calendar or address book that it goes into.
    pub name: Option<String>,
}

/// Exported files on disk.
pub struct ExportedFiles {
    ident: SourceIdent,
    roots: Vec<Arc<Root>>,
    /// All that is taken, if not everything is.
    only: Option<FileKind>,
    mail: MailOptions,
    spool: Spool,
    export: Export,
    /// Whether a file is a plain one, as far as this run has found out: why, or `None` if it is not.
    plain: BTreeMap<String, Option<&'static str>>,
}

impl ExportedFiles {
    /// Looks for exported files at `path`: a folder, searched to its bottom, or one file.
    ///
    /// A usage error if nothing is there or nothing in it is an export.
    pub fn takeout(path: &Path, options: FilesOptions) -> Result<ExportedFiles> {
        let path = resolve(path)?;
        let ident = SourceIdent {
            kind: "takeout",
            session_url: file_url(&path),
            account_id: found::readable(path.as_os_str().as_bytes()),
            account_name: path.file_name().map(|name| found::readable(name.as_bytes())),
            username: String::new(),
        };
        let files = ExportedFiles::open(ident, vec![Arc::new(Root::takeout(&path))], options);
        match files.export.is_empty() {
            true => Err(nothing_in(&path.display().to_string(), path.is_dir(), None, &files.export.aside)),
            false => Ok(files),
        }
    }

    /// Looks for files of one kind at some paths. Standard input is copied into a file without a name.
    ///
    /// A usage error if one of them is not there, or if no such file is in any of them.
    pub fn named(named: &NamedFiles, options: FilesOptions) -> Result<ExportedFiles> {
        let mut roots: Vec<Arc<Root>> = Vec::new();
        for path in &named.paths {
            let is_stdin = path.as_os_str() == "-";
            let (place, shown) = match is_stdin {
                true => (stdin(&options.spool)?, "standard input".to_owned()),
                false => (Place::Path(resolve(path)?), found::readable(path.as_os_str().as_bytes())),
            };
            let root = Root::named(place, shown, named.only, named.name.clone());
            // Named twice, it is one.
            if !roots.iter().any(|known| known.id == root.id) {
                roots.push(Arc::new(root));
            }
        }
        let ident = SourceIdent {
            kind: "takeout",
            session_url: SourceIdent::LOOSE_FILES.to_owned(),
            account_id: "files".to_owned(),
            account_name: Some("files".to_owned()),
            username: String::new(),
        };
        let mut files = ExportedFiles::open(ident, roots, options);
        if files.export.is_empty() {
            let root = files.roots.first();
            let is_folder = root.and_then(|root| root.place.path()).is_some_and(Path::is_dir);
            let shown = root.map(|root| root.shown.clone()).unwrap_or_default();
            return Err(nothing_in(&shown, is_folder, Some(named.only), &files.export.aside));
        }
        files.export.name_empty(&files.roots, named.only);
        Ok(files)
    }

    fn open(ident: SourceIdent, roots: Vec<Arc<Root>>, options: FilesOptions) -> ExportedFiles {
        let export = walk::scan(&roots, &Arc::new(Unpacker::new(&options.spool)));
        ExportedFiles {
            ident,
            only: roots.first().and_then(|root| root.only),
            roots,
            mail: MailOptions { automap: !options.noautomap, include_deleted: options.include_deleted },
            spool: Spool::new(options.spool),
            export,
            plain: BTreeMap::new(),
        }
    }

    /// It is a folder that is the source, and not files that the user named one by one.
    fn is_takeout(&self) -> bool {
        self.only.is_none()
    }
}

/// A path without links in it.
fn resolve(path: &Path) -> Result<PathBuf> {
    path.canonicalize().map_err(|error| match error.kind() {
        io::ErrorKind::NotFound => Error::new(ErrorKind::Usage, format!("{} does not exist", path.display()))
            .hint("name a folder of exported files, or one file"),
        _ => Error::io(format!("cannot open {}", path.display()), error),
    })
}

/// All of standard input, in a file without a name.
fn stdin(spool: &Path) -> Result<Place> {
    let stdin = io::stdin();
    if stdin.is_terminal() {
        return Err(Error::new(ErrorKind::Usage, "standard input is a terminal")
            .hint("pipe a file into the command: zcat old.mbox.gz | vandelay import mbox - ARCHIVE"));
    }
    Place::spool(stdin.lock(), spool)
}

impl Source for ExportedFiles {
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

    /// What the user names today says nothing of what he named before.
    fn hides(&self, kind: ObjectType, key: &str) -> bool {
        self.only.is_some_and(|only| only.kind() != kind || !self.roots.iter().any(|root| Root::is_of(key, &root.id)))
    }

    fn names_containers(&self, _kind: ObjectType) -> bool {
        true
    }

    fn scopes(&mut self) -> Result<(Vec<Scope>, Vec<Container>)> {
        let scope = |key: &str, kind| Scope { key: key.to_owned(), kind, selected: true };
        let mut scopes: Vec<Scope> =
            self.export.files.iter().map(|file| scope(&file.key, file.format.kind())).collect();
        scopes.extend(self.export.folders.iter().map(|folder| scope(&folder.key, ObjectType::Email)));
        if self.is_takeout() {
            // Last, so that most of what it lists is known by then.
            scopes.push(scope(FILES, ObjectType::FileNode));
        }
        Ok((scopes, Vec::new()))
    }

    fn omissions(&mut self) -> Vec<SkippedItem> {
        // Those of a Takeout come with its plain files.
        if self.is_takeout() { Vec::new() } else { self.export.aside.clone() }
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

    fn name(&self, scope: &Scope) -> String {
        match (self.export.folder(&scope.key), self.export.file(&scope.key)) {
            (Some(folder), _) if !self.is_takeout() => folder.root.shown.clone(),
            (None, Ok(file)) => file.position.clone(),
            _ => scope.key.clone(),
        }
    }

    fn position(&self, scope: &Scope, entry: &Entry) -> String {
        match (scope.kind, Locator::parse(&entry.locator)) {
            (ObjectType::Email, Some(locator)) => match self.export.folder(&scope.key) {
                Some(folder) => messages::position(folder, &locator),
                None => format!("{}: offset {}", self.name(scope), locator.offset),
            },
            (ObjectType::FileNode, _) => entry.key.to_string(),
            _ => format!("{}: {}", self.name(scope), entry.key),
        }
    }
}

/// The error of an export with nothing to import in it: the hint names what there is, and what to do with it.
fn nothing_in(shown: &str, is_folder: bool, only: Option<FileKind>, aside: &[SkippedItem]) -> Error {
    if let Some(failed) = aside.iter().find(|seen| seen.outcome == SkipKind::Failed) {
        return Error::new(ErrorKind::Storage, format!("cannot read {}", failed.position));
    }
    let what = match (only, is_folder) {
        (None, true) => format!("no mail, calendar or contacts in {shown}"),
        (None, false) => format!("{shown} is no mail, calendar or address book"),
        (Some(only), true) => format!("no {} in {shown}", only.words()),
        (Some(only), false) => format!("{shown} is no {}", only.words()),
    };
    let seen = |outcome| aside.iter().find(|seen| seen.outcome == outcome);
    let strange = seen(SkipKind::NotUnderstood).or_else(|| seen(SkipKind::Skipped));
    let hint = match (strange, only) {
        (Some(seen), _) if seen.position == shown => seen.reason.clone(),
        (Some(seen), _) => format!("{} is there: {}", seen.position, seen.reason),
        (None, None) => {
            "mbox files of any name are read, .eml, .emlx, .ics and .vcf files, and folders of them".to_owned()
        }
        (None, Some(_)) => "name files, folders of them, or - for standard input".to_owned(),
    };
    Error::new(ErrorKind::Usage, what).hint(hint)
}
