//! The command line: what can be typed, and nothing of what it does.

mod auth;
mod diff;
mod export;
mod export_docs;
mod files;
mod history;
mod import;
mod inspect;
mod mount;
mod mount_options;
mod mounts;
mod ui;
mod verify;

use crate::archive::At;
use crate::error::{Error, ErrorKind, Result};
use clap::{Args, CommandFactory, Parser, Subcommand};
use std::ffi::{OsStr, OsString};
use std::path::PathBuf;
use std::process::ExitCode;
use ui::Ui;

/// Back up an account into one SQLite file with dated snapshots, look into it, and mount it as a read-only directory.
#[derive(Parser)]
#[command(name = "vandelay", version, about, long_about = None, disable_help_subcommand = true, after_help = AFTER_HELP)]
pub struct Cli {
    #[command(subcommand)]
    command: Command,
    #[command(flatten)]
    global: Global,
}

const AFTER_HELP: &str = "\
Examples:
  vandelay import maildir ~/Maildir alice.sqlite
  vandelay mount alice.sqlite /mnt/alice
  vandelay ls alice.sqlite mail/INBOX

Exit codes: 0 success, 1 usage, 2 connection, 3 account, 4 another source, 5 something failed,
6 declined, 7 archive or local I/O, 8 damage found, 9 stopped by a guard, 10 no such archive,
11 locked, 12 credentials, 130 interrupted.";

/// Flags that every command takes.
#[derive(Args, Clone, Copy)]
struct Global {
    /// Print results as JSON, one object a line
    #[arg(long, global = true, help_heading = "Output")]
    json: bool,
    /// Print warnings and errors only
    #[arg(short, long, global = true, conflicts_with = "verbose", help_heading = "Output")]
    quiet: bool,
    /// Print more; repeat it for even more
    #[arg(short, long, global = true, action = clap::ArgAction::Count, help_heading = "Output")]
    verbose: u8,
}

#[derive(Subcommand)]
enum Command {
    /// Import an account into an archive; the same command again brings it up to date
    #[command(subcommand)]
    Import(Box<import::Source>),
    /// Export an archive, or a part of it, into an account on a JMAP server; sends only what is missing
    Export(Box<export::Export>),
    /// Count the objects, blobs and snapshots of an archive, or list all objects of one type
    Inspect(inspect::Inspect),
    /// List the snapshots of an archive
    Snapshots(history::Snapshots),
    /// List what differs between two snapshots, with the path to restore it from
    Diff(diff::Diff),
    /// Drop old snapshots, and the bytes that no other snapshot needs
    Forget(history::Forget),
    /// Check an archive for damage
    Verify(verify::Verify),
    /// Mount an archive as a read-only directory
    Mount(mount::Mount),
    /// Unmount a directory that 'vandelay mount' mounted
    Umount(mount::Umount),
    /// List the mounts: directory, archives, snapshot, start time
    Mounts,
    /// List a directory of an archive, without mounting it
    Ls(files::Ls),
    /// Write files of an archive to standard output, without mounting it
    Cat(files::Cat),
    /// Copy files and folders of an archive to disk, without mounting it
    Extract(files::Extract),
    /// Print a completion script for a shell
    Completions(export_docs::Completions),
    /// Write the man pages into a directory
    #[command(hide = true)]
    Man(export_docs::Man),
}

/// The archive and the moment that a reading command looks at.
#[derive(Args)]
struct Source {
    /// The archive
    archive: PathBuf,
    #[command(flatten)]
    at: Moment,
}

/// The moment that a reading command looks at.
#[derive(Args)]
struct Moment {
    /// Read an older state: a snapshot's number, a day in UTC (2026-11-21), a time (2026-11-21T18:30:00Z), or 'latest'
    #[arg(long, value_name = "SNAPSHOT", default_value = "latest", value_parser = parse_at)]
    at: At,
}

fn parse_at(text: &str) -> Result<At, String> {
    text.parse()
}

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

/// A path of the tree as the user typed it.
fn tree_path(path: &OsStr) -> Result<&str> {
    path.to_str()
        .ok_or_else(|| Error::new(ErrorKind::Usage, format!("{path:?} is not UTF-8; all paths of the tree are")))
}
