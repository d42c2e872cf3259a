//! Shell completions and man pages, made from the same definition as `--help`.

use super::json::on_disk;
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
        if ui.json {
            let script = String::from_utf8_lossy(&script);
            ui.object("completions", serde_json::json!({ "shell": self.shell.to_string(), "script": script }));
        } else {
            ui.raw(&script);
        }
        Ok(())
    }
}

impl Man {
    pub(crate) fn run(self, command: Command, ui: &Ui) -> Result<()> {
        let what = format!("cannot write man pages into {}", self.directory.display());
        std::fs::create_dir_all(&self.directory)
            .and_then(|()| clap_mangen::generate_to(command, &self.directory))
            .map_err(|error| Error::new(ErrorKind::Storage, &what).because(error))?;
        if ui.json {
            let pages = std::fs::read_dir(&self.directory)
                .map_err(|error| Error::new(ErrorKind::Storage, what).because(error))?
                .filter(|entry| {
                    entry.as_ref().is_ok_and(|entry| entry.path().extension().is_some_and(|end| end == "1"))
                })
                .count();
            ui.object("summary", serde_json::json!({ "directory": on_disk(&self.directory), "count": pages }));
        }
        Ok(())
    }
}
