//! The command line: what can be typed, and nothing of what it does.

mod args;
mod auth;
pub(crate) mod commands;
mod dav;
mod diff;
mod export;
mod export_files;
mod export_part;
mod export_report;
mod files;
mod generate;
mod history;
mod import;
mod inspect;
mod mount;
mod mount_options;
mod mounts;
mod table;
mod ui;
mod verify;

use crate::error::{Error, ErrorKind};
use clap::{CommandFactory, Parser};
pub use commands::Cli;
use commands::Command;
use std::ffi::OsString;
use std::process::ExitCode;
use ui::Ui;

/// Runs the program with its arguments and gives its exit code.
pub fn run(arguments: Vec<OsString>) -> ExitCode {
    let is_helper = mount_options::is_helper(&arguments);
    let arguments = mount_options::as_helper(arguments);
    let as_json = arguments.iter().any(|argument| argument == "--json");
    let cli = match Cli::try_parse_from(arguments) {
        Ok(cli) => cli,
        Err(error) => {
            let _ = error.print();
            if error.use_stderr() && as_json {
                let first =
                    error.to_string().lines().next().unwrap_or_default().trim_start_matches("error: ").to_owned();
                Ui::new(true, false, 0).exit_error(&Error::new(ErrorKind::Usage, first));
            }
            // Vandelay 1.x ends with 1 on wrong usage, where clap would say 2.
            return ExitCode::from(u8::from(error.use_stderr()));
        }
    };
    let ui = Ui::new(cli.global.json, cli.global.quiet, cli.global.verbose);
    let is_well_said = matches!(&cli.command, Command::Mount(mount) if mount.is_well_said());
    let outcome = match cli.command {
        Command::Import(command) => command.run(&ui),
        Command::Export(command) => command.run(&ui),
        Command::Inspect(command) => command.run(&ui),
        Command::Snapshots(command) => command.run(&ui),
        Command::Diff(command) => command.run(&ui),
        Command::Forget(command) => command.run(&ui),
        Command::Verify(command) => command.run(&ui),
        Command::Mount(command) => command.run(&ui),
        Command::Umount(command) => command.run(&ui),
        Command::Mounts => mounts::list(&ui),
        Command::Ls(command) => command.run(&ui),
        Command::Cat(command) => command.run(&ui),
        Command::Extract(command) => command.run(&ui),
        Command::Completions(command) => command.run(Cli::command(), &ui),
        Command::Man(command) => command.run(Cli::command()),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            ui.fatal(&error);
            // mount(8): 1 is wrong usage, 32 a mount that failed.
            let code = if is_helper && is_well_said { 32 } else { error.kind.exit_code() };
            ExitCode::from(code)
        }
    }
}
