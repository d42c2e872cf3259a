//! Shell completions and man pages, made from the same definition as `--help`.

use super::ui::Ui;
use crate::error::{Error, ErrorKind, Result};
use clap::{Args, Command};
use std::path::PathBuf;

#[derive(Args)]
pub(crate) struct Completions {
    /// The shell
    shell: clap_complete::Shell,
}

#[derive(Args)]
pub(crate) struct Man {
    /// The directory to write into
    directory: PathBuf,
}

impl Completions {
    pub(crate) fn run(self, mut command: Command, ui: &Ui) -> Result<()> {
        let mut script = Vec::new();
        clap_complete::generate(self.shell, &mut command, "vandelay", &mut script);
        ui.raw(&script);
        Ok(())
    }
}

impl Man {
    pub(crate) fn run(self, command: Command) -> Result<()> {
        let what = format!("cannot write man pages into {}", self.directory.display());
        std::fs::create_dir_all(&self.directory)
            .and_then(|()| clap_mangen::generate_to(command, &self.directory))
            .map_err(|error| Error::new(ErrorKind::Storage, what).because(error))
    }
}
