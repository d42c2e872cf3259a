//! An import whose source is open, whatever command or configuration asked for it.

use super::opened::warn_of_incomplete;
use super::ui::{Ui, interrupt_flag};
use crate::archive::{NoOrigins, Reader, Writer};
use crate::error::{ErrorKind, Result};
use crate::import::{self, Done, ImportOptions};
use crate::progress::Progress;
use crate::search::Keeper;
use crate::source::Source;
use std::path::PathBuf;
use std::slice;

/// An import that may begin.
pub(super) struct Opened {
    pub(super) source: Box<dyn Source>,
    pub(super) archive: PathBuf,
    pub(super) options: ImportOptions,
    pub(super) dry_run: bool,
    pub(super) keeps_index: bool,
}

impl Opened {
    /// Imports, or says what would be imported. What happened is in the result; what failed of it is the caller's to tell.
    pub(super) fn import(&mut self, ui: &Ui) -> Result<Done> {
        warn_of_incomplete(slice::from_ref(&self.archive), ui);
        let progress = ui.progress(interrupt_flag());
        let keeper = self.keeper(ui);
        let done = self.import_with(&progress);
        if let Some(keeper) = keeper {
            progress.step("bringing the search index up to date");
            self.end_keeper(keeper, ui);
        }
        progress.done();
        done
    }

    fn end_keeper(&self, keeper: Keeper, ui: &Ui) {
        if let Err(error) = keeper.finish() {
            ui.detail(&format!("the search index is not up to date ({error}); the next search goes on with it"));
        }
    }

    /// Begins to keep the index of searches. Without it the next search reads what it lacks.
    fn keeper(&self, ui: &Ui) -> Option<Keeper> {
        if self.dry_run || !self.keeps_index {
            return None;
        }
        let keeper = Keeper::start(&self.archive, interrupt_flag());
        keeper.inspect_err(|error| ui.detail(&format!("no search index is kept: {error}"))).ok()
    }

    fn import_with(&mut self, progress: &dyn Progress) -> Result<Done> {
        let source = self.source.as_mut();
        if !self.dry_run {
            let doing = format!("import {}", source.ident().kind);
            let writer = Writer::open(&self.archive, &doing)?;
            return import::import(source, writer, &self.options, progress);
        }
        match Reader::open(&self.archive) {
            Ok(reader) => import::dry_run(source, &reader, &self.options, progress),
            Err(error) if error.kind == ErrorKind::NoArchive && !self.archive.exists() => {
                import::dry_run(source, &NoOrigins, &self.options, progress)
            }
            Err(error) => Err(error),
        }
    }
}
