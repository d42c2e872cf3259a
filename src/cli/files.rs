//! `vandelay cat` and `extract`: the tree where there is no FUSE.

use super::args::{AtFlag, tree_path};
use super::by_id::{Located, as_id, is_maildir, locate, message_name};
use super::extract_report::Told;
use super::json::{self, on_disk};
use super::opened::open_archive;
use super::ui::{Ui, counted, interrupt_flag};
use crate::archive::Reader;
use crate::error::{Error, ErrorKind, Result};
use crate::extract::medium::Disk;
use crate::extract::{self, Destination, Names};
use crate::model::ObjectType;
use crate::model::object_id::ObjectId;
use crate::progress::{Progress, UNSEEN};
use crate::tree::{FileType, Tree, TreeOptions};
use clap::{Args, ValueEnum};
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// How much of a file is read at once.
const PIECE: usize = 1 << 20;

#[derive(Args)]
pub(crate) struct Cat {
    /// The archive
    archive: PathBuf,
    /// The files, or ids that 'find' shows (m943): at the newest snapshot that has them unless --at says otherwise
    #[arg(required = true, value_name = "PATH")]
    paths: Vec<OsString>,
    #[command(flatten)]
    at: AtFlag,
}

#[derive(Args)]
pub(crate) struct Extract {
    /// The archive
    archive: PathBuf,
    /// What to copy, e.g. mail/INBOX, or an id that 'find' shows; everything but text/ and attachments/ if left out
    #[arg(value_name = "PATH")]
    paths: Vec<OsString>,
    /// Copy the object with this id (m943), at the newest snapshot that has it unless --at says otherwise: a message gets
    /// its Maildir name if DIR is a Maildir, else one that ends with .eml (may be repeated)
    #[arg(long = "message", visible_alias = "id", value_name = "ID")]
    ids: Vec<ObjectId>,
    /// The directory to copy it into; created if it does not exist
    #[arg(short = 'C', long = "into", value_name = "DIR", default_value = ".")]
    into: PathBuf,
    /// Leave alone what is there with the same name and the same size; otherwise the bytes are compared
    #[arg(long)]
    skip_existing: bool,
    /// Show what would be done, and write nothing
    #[arg(long)]
    dry_run: bool,
    #[command(flatten)]
    names: NamesFlag,
    #[command(flatten)]
    at: AtFlag,
}

/// Which names files get.
#[derive(Args)]
pub(super) struct NamesFlag {
    /// File names: auto = as in the tree, portable where the target refuses them; exact = as in the tree; portable =
    /// valid on exFAT, NTFS, SMB and eCryptfs
    #[arg(long, value_enum, default_value = "auto", value_name = "WHICH")]
    names: NamesArg,
}

#[derive(Clone, Copy, ValueEnum)]
enum NamesArg {
    Auto,
    Exact,
    Portable,
}

impl NamesFlag {
    pub(super) fn names(&self) -> Names {
        match self.names {
            NamesArg::Auto => Names::Auto,
            NamesArg::Exact => Names::Exact,
            NamesArg::Portable => Names::Portable,
        }
    }
}

/// The tree of an archive at a moment.
pub(super) fn open(archive: &Path, at: &AtFlag, ui: &Ui) -> Result<Tree> {
    tree_of(&Arc::new(open_archive(archive, ui)?), at)
}

fn tree_of(reader: &Arc<Reader>, at: &AtFlag) -> Result<Tree> {
    Tree::open(Arc::clone(reader), TreeOptions { at: at.at, ..TreeOptions::default() })
}

impl Cat {
    pub(crate) fn run(self, ui: &Ui) -> Result<()> {
        let reader = Arc::new(open_archive(&self.archive, ui)?);
        let mut tree = None;
        for path in &self.paths {
            let path = tree_path(path)?;
            let tree = match &tree {
                Some(tree) => tree,
                None => tree.insert(tree_of(&reader, &self.at)?),
            };
            match as_id(tree, path) {
                Some(id) => {
                    let Located { tree, path } = locate(&reader, id, self.at.at)?;
                    write(&tree, &path, ui)?;
                }
                None => tree.expand(path)?.iter().try_for_each(|path| write(tree, path, ui))?,
            }
        }
        Ok(())
    }
}

/// Writes the bytes of a file to the standard output.
fn write(tree: &Tree, path: &str, ui: &Ui) -> Result<()> {
    let node = tree.resolve(path)?;
    if tree.stat(node)?.file_type == FileType::Directory {
        return Err(Error::new(ErrorKind::IsADirectory, format!("{path} is a directory"))
            .hint("'vandelay ls' lists it, 'vandelay extract' copies it"));
    }
    let mut offset = 0;
    loop {
        let bytes = tree.read(node, offset, PIECE)?;
        ui.raw(&bytes);
        offset += bytes.len() as u64;
        if bytes.len() < PIECE {
            return Ok(());
        }
    }
}

impl Extract {
    pub(crate) fn run(self, ui: &Ui) -> Result<()> {
        let tree = open(&self.archive, &self.at, ui)?;
        let names = self.names.names();
        let destination = Destination {
            into: &self.into,
            names,
            medium: &Disk,
            is_dry: self.dry_run,
            skips_existing: self.skip_existing,
        };
        let (mut failed, mut told) = (0, 0);
        let mut ids = self.ids.clone();
        for path in &self.paths {
            let path = tree_path(path)?;
            match as_id(&tree, path) {
                Some(id) => ids.push(id),
                None => {
                    for path in tree.expand(path)? {
                        failed += self.extract(&tree, &path, None, &destination, ui)?;
                        told += 1;
                    }
                }
            }
        }
        if self.paths.is_empty() && ids.is_empty() {
            failed += self.extract(&tree, "", None, &destination, ui)?;
            told += 1;
        }
        for id in &ids {
            failed += self.extract_object(&tree, *id, &destination, ui)?;
            told += 1;
        }
        if ui.json {
            ui.object("summary", serde_json::json!({ "archive": on_disk(&self.archive), "snapshot": json::snapshot(tree.moment()), "count": told, "failed": failed }));
        }
        match failed {
            0 => Ok(()),
            count => {
                let hint = if names == Names::Exact {
                    "each one is named above; where the target refuses names, --names portable gives others"
                } else {
                    "each one is named above"
                };
                Err(Error::new(ErrorKind::Partial, format!("could not extract {}", counted(count as u64, "file")))
                    .hint(hint))
            }
        }
    }

    /// Copies an object; gives how many files failed.
    fn extract_object(&self, tree: &Tree, id: ObjectId, destination: &Destination<'_>, ui: &Ui) -> Result<usize> {
        let Located { tree, path } = locate(tree.reader(), id, self.at.at)?;
        if id.kind != ObjectType::Email {
            return self.extract(&tree, &path, None, destination, ui);
        }
        if is_maildir(&self.into) {
            let cur = self.into.join("cur");
            let into = if cur.is_dir() { &cur } else { &self.into };
            return self.extract(&tree, &path, None, &Destination { into, ..*destination }, ui);
        }
        if self.into.extension().is_some_and(|end| end == "eml") && !self.into.exists() {
            let what = format!("{} would be a directory, and looks like a file", self.into.display());
            return Err(Error::new(ErrorKind::Usage, what).hint(format!(
                "write the message into that file: vandelay cat ARCHIVE {id} > {}",
                self.into.display()
            )));
        }
        let name = message_name(&tree, id)?;
        self.extract(&tree, &path, Some(&name), destination, ui)
    }

    /// Copies what is at a path, under another name if there is one; gives how many files failed.
    fn extract(
        &self,
        tree: &Tree,
        path: &str,
        name: Option<&str>,
        destination: &Destination<'_>,
        ui: &Ui,
    ) -> Result<usize> {
        let progress = ui.progress(interrupt_flag());
        let mut total = None;
        if progress.is_seen() {
            progress.step("counting the files");
            let count = extract::count_files(tree, path, &progress)?;
            progress.expect(ObjectType::FileNode.token(), count);
            total = Some(count);
        }
        let done = extract::extract_as(tree, path, name, destination, &progress, |name| ui.detail(name))?;
        progress.done();
        if done.is_interrupted && total.is_none() {
            // What is left can be said, too; names are read quickly, and another Ctrl-C ends it.
            total = extract::count_files(tree, path, &UNSEEN).ok();
        }
        let told = Told { path, into: destination.into, is_dry: self.dry_run, total };
        told.tell(&done, ui);
        if done.is_interrupted {
            let what = format!("interrupted; the files that are in {} are whole", self.into.display());
            return Err(Error::new(ErrorKind::Interrupted, what)
                .hint("run the same command again to go on; with --skip-existing that is faster"));
        }
        Ok(done.failed.len())
    }
}
