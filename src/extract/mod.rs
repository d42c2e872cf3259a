//! Writing a part of the tree as files.
//!
//! ```text
//!   visit      the walk that all share: what is wanted, and what became of it
//!   directory  files on a disk, one for each of the tree (a Maildir among them), on a medium
//!   assembly   a file for each mailbox (mbox) and for each calendar or address book (collection)
//!   tar        all of it in one stream
//!   names      names that the target takes      output      the bytes of one file
//!   count      how many files there will be
//!   handle     directories by their handles     links       messages with several names
//! ```

mod assembly;
mod collection;
mod count;
mod destination;
mod directory;
mod handle;
mod links;
mod mbox;
pub mod medium;
mod names;
mod open_directory;
mod output;
mod tar;
mod visit;

pub use destination::Destination;
pub use names::Names;
pub use visit::{Entry, Fate, NO_DIRECTORY, Note, Observer, Wish};

use crate::error::{Error, ErrorKind, Result};
use crate::model::ObjectType;
use crate::progress::Progress;
use crate::tree::{Child, FileType, Node, Tree};
use assembly::{Assembly, Format};
use collection::{AddressBooks, Calendars};
use directory::Directory;
use mbox::Mbox;
use names::EML;
use std::collections::BTreeMap;
use std::io::Write;
use tar::Stream;
use visit::{Receiver, Shape, visit};

/// The result of an extraction.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Extracted {
    /// Files and links written; a hard link counts as a file.
    pub files: u64,
    /// Bytes of the files, each hard-linked one counted once.
    pub bytes: u64,
    /// Files that were there already, to the last byte.
    pub there: u64,
    /// Files and directories that have another name than in the tree, and links that became files.
    pub changed: u64,
    /// Files whose date the target did not take.
    pub undated: u64,
    /// How many of those have the right size, and were not read.
    pub unread: u64,
    /// Files and links that would be written, of a run that only plans.
    pub planned: u64,
    /// Path and reason of each file and directory that could not be read or written.
    pub failed: Vec<(String, String)>,
    /// The user ended it early.
    pub is_interrupted: bool,
}

/// Writes the node at `path` of the tree into a directory: a file under its own name, a directory with all it holds, the
/// root as the account's folders but for those that decode the mail.
///
/// A file that exists already is left alone; one with other bytes counts as failed. Damaged files, and names that the target
/// refuses, are reported; the rest goes on. `each` gets each path, and a line for each changed name. Once `progress` is
/// interrupted, the result is what was done until then.
///
/// Errors: [`ErrorKind::Storage`] if the target is full or read-only.
pub fn extract(
    tree: &Tree,
    path: &str,
    destination: &Destination<'_>,
    progress: &dyn Progress,
    each: impl FnMut(&str),
) -> Result<Extracted> {
    extract_as(tree, path, None, destination, progress, each)
}

/// As [`extract`], under another name than that of the tree.
///
/// Errors: those of [`extract`].
pub fn extract_as(
    tree: &Tree,
    path: &str,
    name: Option<&str>,
    destination: &Destination<'_>,
    progress: &dyn Progress,
    each: impl FnMut(&str),
) -> Result<Extracted> {
    let mut extraction = Extraction { done: Extracted::default(), progress, each };
    let node = tree.resolve(path)?;
    let mut directory = Directory::open(tree, destination)?;
    let name = name.or(last_name(path));
    match write_from(tree, node, name, path, &mut directory, &mut extraction) {
        Err(error) if error.kind == ErrorKind::Interrupted => extraction.done.is_interrupted = true,
        ended => ended?,
    }
    directory.finish();
    if !extraction.done.failed.is_empty() {
        tree.require()?;
    }
    Ok(extraction.done)
}

/// How many files [`extract`] would write.
///
/// Errors: the archive cannot be read, or `progress` is interrupted.
pub fn count_files(tree: &Tree, path: &str, progress: &dyn Progress) -> Result<u64> {
    let node = tree.resolve(path)?;
    if tree.stat(node)?.file_type != FileType::Directory {
        return Ok(1);
    }
    let shape: Shape = if last_name(path).is_none() { but_decoded_mail } else { as_it_is };
    Ok(count::count(tree, node, shape, &mut |_| go_on(progress).map(|()| Wish::Yes))?.values().sum())
}

fn last_name(path: &str) -> Option<&str> {
    path.rsplit('/').find(|part| !part.is_empty() && *part != ".")
}

fn go_on(progress: &dyn Progress) -> Result<()> {
    if progress.interrupted() { Err(Error::new(ErrorKind::Interrupted, "interrupted")) } else { Ok(()) }
}

/// A form in which a part of an account is written as files.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// The mail as a Maildir, in the layout of the tree.
    Maildir,
    /// The mail as one mbox (mboxrd) for each mailbox.
    Mbox,
    /// The mail as one .eml file for each message.
    Eml,
    /// The calendars as one .ics file each.
    Ics,
    /// The address books as one .vcf file each.
    Vcf,
    /// The Sieve scripts.
    Sieve,
}

impl Form {
    /// The directory of the tree that it is made of, and in which shape.
    fn start(self) -> (&'static str, Shape) {
        match self {
            Form::Maildir => ("mail", as_it_is),
            Form::Eml => ("text", as_messages),
            Form::Sieve => ("sieve", as_it_is),
            Form::Mbox => ("mail", only_containers),
            Form::Ics => ("calendars", only_containers),
            Form::Vcf => ("contacts", only_containers),
        }
    }
}

/// How many objects of each type `wishes` wants, for a form or, without one, for a tar stream: those of which
/// [`Observer::told`] hears.
///
/// Errors: the archive cannot be read, or those of `wishes`.
pub fn count_objects(
    tree: &Tree,
    form: Option<Form>,
    wishes: &mut dyn FnMut(&Entry<'_>) -> Result<Wish>,
) -> Result<BTreeMap<ObjectType, u64>> {
    let (start, shape): (&str, Shape) = match form {
        // What `text/` lists is named by what is in each message; their number is that of the messages.
        Some(Form::Eml) => ("mail", as_it_is),
        Some(form) => (form.start().0, as_it_is),
        None => ("", once),
    };
    let counts = count::count(tree, tree.resolve(start)?, shape, &mut |entry| {
        // What stands beside the objects is none.
        let is_object = entry.node.shown_object().is_some() && wishes(entry)? == Wish::Yes;
        Ok(if is_object { Wish::Yes } else { Wish::No })
    })?;
    Ok(counts.into_iter().filter_map(|(kind, count)| Some((kind?, count))).collect())
}

/// Writes what an observer wants of an account into a directory.
///
/// What is there with the same bytes stays and is told as [`Fate::There`], so a run that was interrupted is gone on with; no
/// file is overwritten. What cannot be read or written is told, and the rest goes on.
///
/// Errors: nothing more can be written at all, or those of the observer.
pub fn write_files(tree: &Tree, form: Form, destination: &Destination<'_>, observer: &mut dyn Observer) -> Result<()> {
    let (start, shape) = form.start();
    let start = tree.resolve(start)?;
    let mut directory = Directory::open(tree, destination)?;
    let format: &mut dyn Format = match form {
        Form::Mbox => &mut Mbox,
        Form::Ics => &mut Calendars::default(),
        Form::Vcf => &mut AddressBooks,
        Form::Maildir | Form::Eml | Form::Sieve => {
            visit(tree, start, shape, &mut directory, observer)?;
            directory.finish();
            return Ok(());
        }
    };
    let mut assembly = Assembly::new(tree, directory, format);
    visit(tree, start, shape, &mut assembly, observer)?;
    assembly.finish();
    Ok(())
}

/// Writes what an observer wants of a tree as a tar stream (without `text/`, `attachments/` and `merged/`), below the directory
/// `top` unless that is empty. Without `out` nothing is written.
///
/// Errors: those of [`write_files`].
pub fn write_tar<'a>(
    tree: &'a Tree,
    top: &str,
    out: Option<Box<dyn Write + 'a>>,
    names: Names,
    observer: &mut dyn Observer,
) -> Result<()> {
    let mut stream = Stream::new(tree, top, out, names);
    visit(tree, Node::ROOT, once, &mut stream, observer)?;
    stream.finish()
}

/// Writes a node under a name; without one, what is in it.
fn write_from(
    tree: &Tree,
    node: Node,
    name: Option<&str>,
    shown: &str,
    directory: &mut Directory<'_>,
    observer: &mut dyn Observer,
) -> Result<()> {
    let stat = tree.stat(node)?;
    let is_directory = stat.file_type == FileType::Directory;
    match name {
        None if is_directory => directory.date(stat.mtime),
        _ => {
            let entry = Entry { node, holder: Node::ROOT, stat, name: name.unwrap_or("file"), shown, depth: 0 };
            if !is_directory {
                return directory.file(&entry, observer);
            }
            directory.directory(&entry, true, observer)?;
            if !directory.go_down() {
                return Ok(());
            }
        }
    }
    let shape: Shape = if name.is_none() { but_decoded_mail } else { as_it_is };
    visit(tree, node, shape, directory, observer)
}

/// Everything as it is in the tree.
fn as_it_is(child: &Child) -> Option<Child> {
    Some(child.clone())
}

/// Everything but what decodes the mail once more.
fn but_decoded_mail(child: &Child) -> Option<Child> {
    (!child.node.is_decoded_mail()).then(|| child.clone())
}

/// Everything once: neither decoded mail nor collections as single files.
fn once(child: &Child) -> Option<Child> {
    but_decoded_mail(child).filter(|child| !child.node.is_merged())
}

/// What `text/` lists, as the messages themselves.
fn as_messages(child: &Child) -> Option<Child> {
    if child.file_type == FileType::Directory {
        return Some(child.clone());
    }
    let node = child.node.decoded_message()?;
    let name = format!("{}{EML}", child.name.strip_suffix(".txt")?);
    Some(Child { name, node, stat: None, ..*child })
}

/// Mailboxes, calendars and address books alone.
fn only_containers(child: &Child) -> Option<Child> {
    child.node.is_container().then(|| child.clone())
}

/// The observer of an extraction: everything is wanted.
struct Extraction<'p, F: FnMut(&str)> {
    done: Extracted,
    progress: &'p dyn Progress,
    each: F,
}

impl<F: FnMut(&str)> Observer for Extraction<'_, F> {
    fn wish(&mut self, entry: &Entry<'_>) -> Wish {
        (self.each)(entry.shown);
        Wish::Yes
    }

    fn told(&mut self, entry: &Entry<'_>, fate: Fate) -> Result<()> {
        let is_file = entry.stat.file_type != FileType::Directory;
        if is_file {
            self.progress.item(if let Fate::Written(bytes) = fate { bytes } else { 0 });
        }
        match fate {
            Fate::Written(bytes) => {
                self.done.files += u64::from(is_file);
                self.done.bytes += bytes;
            }
            Fate::There => self.done.there += u64::from(is_file),
            Fate::ThereUnread => (self.done.there, self.done.unread) = (self.done.there + 1, self.done.unread + 1),
            Fate::Planned => self.done.planned += u64::from(is_file),
            Fate::Skipped(why) | Fate::Failed(why) => self.done.failed.push((entry.shown.to_owned(), why)),
            Fate::NoDirectory => self.done.failed.push((entry.shown.to_owned(), NO_DIRECTORY.to_owned())),
        }
        go_on(self.progress)
    }

    fn note(&mut self, entry: &Entry<'_>, note: Note) {
        let shown = entry.shown;
        match note {
            Note::Renamed(name) => {
                self.done.changed += 1;
                (self.each)(&format!("{shown} is extracted as {name}"));
            }
            Note::LinkAsFile => {
                self.done.changed += 1;
                (self.each)(&format!("{shown} is extracted as a file with the target of the link"));
            }
            Note::Undated => self.done.undated += 1,
        }
    }
}
