//! The command line: what can be typed, and nothing of what it does.

mod args;
mod auth;
pub(crate) mod commands;
mod config;
mod config_place;
mod config_text;
mod dav;
mod diff;
mod export;
mod export_files;
mod export_part;
mod export_report;
mod extract_report;
mod files;
mod find;
mod forget;
mod found;
mod generate;
mod import;
mod import_files;
mod import_opened;
mod import_report;
mod inspect;
mod json;
mod keep;
mod mount;
mod mount_options;
mod mount_words;
mod mounts;
mod moving;
mod notes;
mod opened;
mod progress_bar;
mod progress_line;
mod remount;
mod reporting;
mod restore_check;
mod restore_report;
mod run;
mod screen;
mod shell;
mod snapshot;
mod snapshots;
mod table;
mod ui;
mod verify;
// Until every screen has its times from here.
#[allow(dead_code)]
mod when;
mod words;

use crate::error::{Error, ErrorKind};
use clap::{CommandFactory, Parser};
pub use commands::Cli;
use commands::{Command, Global};
use notes::Notes;
use std::ffi::OsString;
use std::process::ExitCode;
use ui::Ui;

/// Runs the program with its arguments and gives its exit code.
pub fn run(arguments: Vec<OsString>) -> ExitCode {
    let is_helper = mount_options::is_helper(&arguments);
    let arguments = find::with_negations(with_flags_first(mount_options::as_helper(arguments)));
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
    let Global { json, quiet, verbose, log_file, log_format } = cli.global;
    let ui = Ui::new(json, quiet, verbose);
    // A mount has a log of its own under that flag: what goes wrong while it is mounted.
    let log_file = log_file.filter(|_| !matches!(cli.command, Command::Mount(_)));
    let ui = match Notes::open(log_format, log_file.as_deref()) {
        Ok(notes) => ui.with_notes(notes),
        Err(error) => {
            ui.fatal(&error);
            return ExitCode::from(error.kind.exit_code());
        }
    };
    when::warn_of_unknown_zone(&ui);
    let is_well_said = matches!(&cli.command, Command::Mount(mount) if mount.is_well_said());
    let outcome = match cli.command {
        Command::Import(command) => command.run(&ui),
        Command::Run(command) => command.run(&ui),
        Command::Export(command) => command.run(&ui),
        Command::Inspect(command) => command.run(&ui),
        Command::Snapshots(command) => command.run(&ui),
        Command::Snapshot(command) => command.run(&ui),
        Command::Diff(command) => command.run(&ui),
        Command::Forget(command) => command.run(&ui),
        Command::Verify(command) => command.run(&ui),
        Command::RestoreCheck(command) => command.run(&ui),
        Command::Find(command) => command.run(&ui),
        Command::Mount(command) if command.is_remount() => remount::remount(&command, &ui),
        Command::Mount(command) => command.run(&ui),
        Command::Umount(command) => command.run(&ui),
        Command::Mounts => mounts::list(&ui),
        Command::Ls(command) => command.run(&ui),
        Command::Cat(command) => command.run(&ui),
        Command::Extract(command) => command.run(&ui),
        Command::Config(command) => command.run(&ui),
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
        let plain = ["-q", "--quiet", "-v", "-vv", "-vvv", "--verbose", "--json"];
        let with_value = ["--log-file", "--log-format"];
        let mut flags = 0;
        while let Some(word) = arguments.get(2 + flags).and_then(|word| word.to_str()) {
            flags += match word.split_once('=') {
                Some((name, _)) if with_value.contains(&name) => 1,
                None if with_value.contains(&word) && arguments.len() > 3 + flags => 2,
                None if plain.contains(&word) => 1,
                _ => break,
            };
        }
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
        let line = "vandelay export --log-file x --log-format=text --quiet maildir a b";
        assert_eq!(of(line), "vandelay --log-file x --log-format=text --quiet export maildir a b");
        assert_eq!(of("vandelay export --log-file"), "vandelay export --log-file");
        assert_eq!(of("vandelay export --url x -q a"), "vandelay export --url x -q a");
        assert_eq!(
            (of("vandelay export"), of("vandelay ls -q a")),
            ("vandelay export".to_owned(), "vandelay ls -q a".to_owned())
        );
    }
}
