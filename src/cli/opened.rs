//! Archives as commands open them: an incomplete copy is named as one.

use super::ui::{Ui, counted};
use crate::archive::{Incomplete, Moment, Reader, is_archive};
use crate::error::Result;
use crate::tree::{Tree, TreeOptions};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Opens an archive for reading. Warns if it is an incomplete copy.
pub(super) fn open_archive(path: &Path, ui: &Ui) -> Result<Reader> {
    let reader = Reader::open(path)?;
    warn_if_incomplete(&reader, path, ui);
    Ok(reader)
}

/// The tree of an opened archive at a moment, which no later import changes unless it is the current one.
pub(super) fn tree_at(reader: &Arc<Reader>, moment: Moment) -> Result<Tree> {
    Tree::open(Arc::clone(reader), TreeOptions { at: moment.into(), ..TreeOptions::default() })
}

/// Warns of the archives among these that are incomplete copies, and of those in a folder. What is no archive is left to
/// the caller.
pub(super) fn warn_of_incomplete(paths: &[PathBuf], ui: &Ui) {
    for path in paths {
        let inside = std::fs::read_dir(path).into_iter().flatten().flatten().map(|entry| entry.path());
        for path in inside.chain([path.clone()]).filter(|path| path.is_file() && is_archive(path)) {
            if let Ok(reader) = Reader::open(&path) {
                warn_if_incomplete(&reader, &path, ui);
            }
        }
    }
}

fn warn_if_incomplete(reader: &Reader, path: &Path, ui: &Ui) {
    if let Ok(Some(incomplete)) = reader.incomplete() {
        let lacks = ui.shown(&said(&incomplete));
        ui.warn(&format!("archive {} is an incomplete copy: {lacks}", path.display()));
    }
}

/// What a copy lacks, on one line.
pub(super) fn said(incomplete: &Incomplete) -> String {
    let Incomplete { noted, findings, named } = incomplete;
    let count = format!("{} when it was made", counted(*findings, "finding"));
    let when = if noted.is_empty() { String::new() } else { format!(" ({noted})") };
    let first = named.first().map(|first| format!(", the first: {}: {}", first.place, first.what));
    format!("{count}{when}{}", first.unwrap_or_default())
}
