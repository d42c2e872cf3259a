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
mod mount_words;
mod mounts;
mod remount;
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
    let arguments = with_flags_first(mount_options::as_helper(arguments));
    let as_json = arguments.iter().any(|argument| argument == "--json");
    let cli = match Cli::try_parse_from(arguments) {
        Ok(cli) => cli,
        Err(error) => {
            let misplaced = export::misplaced_target(&error);
            match &misplaced {
                Some(error) => Ui::new(false, false, 0).fatal(error),
                None => drop(error.print()),
            }
            if error.use_stderr() && as_json {
                let first =
                    error.to_string().lines().next().unwrap_or_default().trim_start_matches("error: ").to_owned();
                let error = misplaced.unwrap_or_else(|| Error::new(ErrorKind::Usage, first));
                Ui::new(true, false, 0).exit_error(&error);
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
        Command::Mount(command) if command.is_remount() => remount::remount(&command, &ui),
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

/// Puts flags that every command takes before `export`: between it and its target clap takes none.
fn with_flags_first(mut arguments: Vec<OsString>) -> Vec<OsString> {
    if arguments.get(1).is_some_and(|word| word == "export") {
        let is_global =
            |word: &&OsString| ["-q", "--quiet", "-v", "-vv", "--verbose", "--json"].iter().any(|flag| word == flag);
        let flags = arguments[2..].iter().take_while(is_global).count();
        arguments[1..2 + flags].rotate_left(1);
    }
    arguments
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flags_of_every_command_may_stand_before_a_target() {
        let of = |line: &str| {
            let words = with_flags_first(line.split(' ').map(OsString::from).collect());
            words.into_iter().map(|word| word.into_string().expect("text")).collect::<Vec<_>>().join(" ")
        };
        assert_eq!(of("vandelay export -q --json maildir a b"), "vandelay -q --json export maildir a b");
        assert_eq!(of("vandelay export --url x -q a"), "vandelay export --url x -q a");
        assert_eq!(
            (of("vandelay export"), of("vandelay ls -q a")),
            ("vandelay export".to_owned(), "vandelay ls -q a".to_owned())
        );
    }
}
