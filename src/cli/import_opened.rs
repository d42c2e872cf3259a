//! An import whose source is open, whatever command or configuration asked for it.

use super::opened::warn_of_incomplete;
use super::ui::{Ui, interrupt_flag};
use crate::archive::{NoOrigins, Reader, Writer};
use crate::error::{ErrorKind, Result};
use crate::import::{self, Done, ImportOptions};
use crate::progress::Progress;
use crate::source::Source;
use std::path::PathBuf;
use std::slice;

/// An import that may begin.
pub(super) struct Opened {
    pub(super) source: Box<dyn Source>,
    pub(super) archive: PathBuf,
    pub(super) options: ImportOptions,
    pub(super) dry_run: bool,
}

impl Opened {
    /// Imports, or says what would be imported. What happened is in the result; what failed of it is the caller's to tell.
    pub(super) fn import(&mut self, ui: &Ui) -> Result<Done> {
        warn_of_incomplete(slice::from_ref(&self.archive), ui);
        let progress = ui.progress(interrupt_flag());
        let done = self.import_with(&progress);
        progress.done();
        done
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
