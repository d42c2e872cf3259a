//! The command line: what can be typed, and nothing of what it does.

mod args;
mod auth;
mod by_id;
pub(crate) mod commands;
mod config;
mod config_place;
mod config_text;
mod dav;
mod diff;
mod diff_screen;
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
mod inspect_summary;
mod json;
mod keep;
mod ls;
mod misnamed;
mod mount;
mod mount_options;
mod mount_words;
mod mounts;
mod moving;
mod notes;
mod object_row;
mod opened;
mod pager;
mod progress_bar;
mod progress_line;
mod remarks;
mod remount;
mod report_table;
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
mod usage;
mod verify;
mod when;
mod words;

use crate::error::ErrorKind;
use clap::{CommandFactory, FromArgMatches};
pub use commands::Cli;
use commands::{Command, Global};
use notes::Notes;
use screen::ColorWhen;
use std::ffi::OsString;
use std::process::ExitCode;
use ui::Ui;

/// Runs the program with its arguments and gives its exit code.
pub fn run(arguments: Vec<OsString>) -> ExitCode {
    let is_helper = mount_options::is_helper(&arguments);
    let arguments = find::with_negations(with_flags_first(mount_options::as_helper(arguments)));
    let as_json = arguments.iter().any(|argument| argument == "--json");
    let color = ColorWhen::typed(&arguments);
    let parsed = Cli::command().color(color.of_clap()).try_get_matches_from(arguments);
    let cli = match parsed.and_then(|matches| Cli::from_arg_matches(&matches)) {
        Ok(cli) => cli,
        Err(error) => {
            let ui = Ui::new(as_json, false, 0).with_color(color);
            return usage::tell(&error, export::misplaced_target(&error), &ui);
        }
    };
    if matches!(&cli.command, Command::Ls(command) if command.asks_for_help()) {
        let mut whole = Cli::command().color(color.of_clap());
        whole.build();
        let Some(ls) = whole.find_subcommand_mut("ls") else { return ExitCode::FAILURE };
        if as_json {
            usage::help(&ls.render_long_help(), &Ui::new(true, false, 0));
            return ExitCode::SUCCESS;
        }
        return ExitCode::from(u8::from(ls.print_long_help().is_err()));
    }
    let Global { json, quiet, verbose, color, no_pager, log_file, log_format, help: _ } = cli.global;
    let ui = Ui::new(json, quiet, verbose).with_color(color);
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
    if !json && !no_pager && cli.command.is_list() {
        pager::want();
    }
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
        Command::Version => {
            usage::version(&ui);
            Ok(())
        }
        Command::Man(command) => command.run(Cli::command(), &ui),
    };
    let is_read = ui.end_pager();
    match outcome {
        Ok(()) if !is_read => ExitCode::from(ErrorKind::Storage.exit_code()),
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
        let plain = ["-q", "--quiet", "-v", "-vv", "-vvv", "--verbose", "--json", "--no-pager"];
        let with_value = ["--log-file", "--log-format", "--color"];
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
