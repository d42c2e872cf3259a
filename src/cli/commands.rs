//! The command line as a whole.

use super::generate as export_docs;
use super::notes::LogFormat;
use super::screen::ColorWhen;
use super::{
    config, diff, export, files, find, forget, import, inspect, ls, mount, restore_check, run, snapshot, snapshots,
    verify,
};
use clap::{Args, Parser, Subcommand};
use std::path::PathBuf;

/// Back up an account into one SQLite file with dated snapshots, look into it, and mount it as a read-only directory.
#[derive(Parser)]
#[command(name = "vandelay", version, about, long_about = None, disable_help_flag = true, after_help = AFTER_HELP)]
pub struct Cli {
    #[command(subcommand)]
    pub(crate) command: Command,
    #[command(flatten)]
    pub(crate) global: Global,
}

const AFTER_HELP: &str = "\
Examples:
  vandelay import maildir ~/Maildir alice.sqlite
  vandelay mount alice.sqlite /mnt/alice
  vandelay find alice.sqlite from:bob lunch

Exit codes: 0 success, 1 usage, 2 connection, 3 account, 4 another source, 5 something failed,
6 declined, 7 archive or local I/O, 8 damage found, 9 stopped by a guard, 10 no such archive,
11 locked, 12 credentials, 130 interrupted.";

/// Flags that every command takes.
#[derive(Args, Clone)]
pub(crate) struct Global {
    /// Print results as JSON, one object a line
    #[arg(long, global = true, help_heading = "Output")]
    pub(crate) json: bool,
    /// Print warnings and errors only
    #[arg(short, long, global = true, conflicts_with = "verbose", help_heading = "Output")]
    pub(crate) quiet: bool,
    /// Print more; repeat it for even more
    #[arg(short, long, global = true, action = clap::ArgAction::Count, help_heading = "Output")]
    pub(crate) verbose: u8,
    /// When to use colours: auto = on a terminal, unless NO_COLOR is set; always; never
    #[arg(
        long,
        global = true,
        value_enum,
        value_name = "WHEN",
        default_value = "auto",
        hide_default_value = true,
        help_heading = "Output",
        hide_possible_values = true
    )]
    pub(crate) color: ColorWhen,
    /// Print long lists at once, without a pager (VANDELAY_PAGER, PAGER, less)
    #[arg(long, global = true, help_heading = "Output")]
    pub(crate) no_pager: bool,
    /// Also write notes, warnings and errors to the end of this file, with the time
    #[arg(long, global = true, value_name = "FILE", help_heading = "Output")]
    pub(crate) log_file: Option<PathBuf>,
    /// How lines on stderr look: text, or journald with priorities for the journal of systemd; auto finds out
    #[arg(
        long,
        global = true,
        value_enum,
        default_value = "auto",
        hide_default_value = true,
        help_heading = "Output",
        hide_possible_values = true
    )]
    pub(crate) log_format: LogFormat,
    /// Print help
    // Last of all, and not in front of what a command needs.
    #[arg(short, long, global = true, action = clap::ArgAction::Help, help_heading = "Output", display_order = 1_000)]
    pub(crate) help: Option<bool>,
}

#[derive(Subcommand)]
pub(crate) enum Command {
    /// Import an account into an archive; the same command again brings it up to date
    #[command(subcommand)]
    Import(Box<import::ImportSource>),
    /// Back up the accounts of a configuration file: import, forget, copy, and tell how it went
    Run(run::Run),
    /// Export an archive, or a part of it, into an account; sends only what is missing. Without a command of its own the
    /// target is a JMAP server
    Export(Box<export::Export>),
    /// Count the objects, blobs and snapshots of an archive, or list all objects of one type
    Inspect(inspect::Inspect),
    /// List the snapshots in an archive (to copy the archive, see 'snapshot')
    Snapshots(snapshots::Snapshots),
    /// Copy an archive into a dated file, also while an import or a mount uses it (to list its snapshots, see 'snapshots')
    Snapshot(snapshot::Snapshot),
    /// Find messages, events, contacts, files and scripts by their words, also those that are not there any more
    Find(find::Find),
    /// List what differs between two snapshots, with the path to restore it from
    Diff(diff::Diff),
    /// Drop old snapshots, and the bytes that no other snapshot needs
    Forget(forget::Forget),
    /// Check an archive for damage
    Verify(verify::Verify),
    /// Prove that an archive restores, or compare it with the account on a server; writes nothing
    RestoreCheck(Box<restore_check::RestoreCheck>),
    /// Mount an archive as a read-only directory
    Mount(mount::Mount),
    /// Unmount a directory that 'vandelay mount' mounted
    Umount(mount::Umount),
    /// List the mounts: directory, archives, snapshot, start time
    Mounts,
    /// List a directory of an archive, without mounting it
    Ls(ls::Ls),
    /// Write files of an archive to standard output, without mounting it
    Cat(files::Cat),
    /// Copy files and folders of an archive to disk, without mounting it
    Extract(files::Extract),
    /// Write the configuration file of 'vandelay run'
    #[command(subcommand)]
    Config(config::ConfigCommand),
    /// Print a completion script for a shell
    Completions(export_docs::Completions),
    /// Print the version
    Version,
    /// Write the man pages into a directory
    Man(export_docs::Man),
}

impl Command {
    /// True for lists that may be long, which people read in a pager.
    pub(crate) fn is_list(&self) -> bool {
        match self {
            Command::Snapshots(_) | Command::Diff(_) => true,
            Command::Find(command) => command.is_list(),
            Command::Inspect(command) => command.is_list(),
            Command::Ls(command) => command.is_long(),
            _ => false,
        }
    }
}
