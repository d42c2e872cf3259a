//! The command line as a whole.

use super::{diff, export, export_docs, files, history, import, inspect, mount, verify};
use clap::{Args, Parser, Subcommand};

/// Back up an account into one SQLite file with dated snapshots, look into it, and mount it as a read-only directory.
#[derive(Parser)]
#[command(name = "vandelay", version, about, long_about = None, disable_help_subcommand = true, after_help = AFTER_HELP)]
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
  vandelay ls alice.sqlite mail/INBOX

Exit codes: 0 success, 1 usage, 2 connection, 3 account, 4 another source, 5 something failed,
6 declined, 7 archive or local I/O, 8 damage found, 9 stopped by a guard, 10 no such archive,
11 locked, 12 credentials, 130 interrupted.";

/// Flags that every command takes.
#[derive(Args, Clone, Copy)]
pub(crate) struct Global {
    /// Print results as JSON, one object a line
    #[arg(long, global = true, help_heading = "Output")]
    pub(crate) json: bool,
    /// Print warnings and errors only
    #[arg(short, long, global = true, conflicts_with = "verbose", help_heading = "Output")]
    pub(crate) quiet: bool,
    /// Say more; repeat for even more
    #[arg(short, long, global = true, action = clap::ArgAction::Count, help_heading = "Output")]
    pub(crate) verbose: u8,
}

#[derive(Subcommand)]
pub(crate) enum Command {
    /// Import an account into an archive; the same command again brings it up to date
    #[command(subcommand)]
    Import(Box<import::Source>),
    /// Export an archive, or a part of it, into an account on a server (JMAP); what is there already is not sent again
    Export(Box<export::Export>),
    /// Show what an archive holds: counts per type, blobs, snapshots; or all objects of one type
    Inspect(inspect::Inspect),
    /// List the snapshots of an archive
    Snapshots(history::Snapshots),
    /// Show what differs between two snapshots, each with its path, so that it can be restored
    Diff(diff::Diff),
    /// Drop snapshots by age, and the bytes that nothing refers to any more
    Forget(history::Forget),
    /// Prove that every byte and every reference of an archive is sound
    Verify(verify::Verify),
    /// Mount an archive as a read-only directory
    Mount(mount::Mount),
    /// Unmount a directory that 'vandelay mount' mounted
    Umount(mount::Umount),
    /// List what is mounted: where, which archives, at which snapshot, and since when
    Mounts,
    /// List a directory of the tree without mounting it
    Ls(files::Ls),
    /// Write a file of the tree to standard output
    Cat(files::Cat),
    /// Copy a part of the tree to disk
    Extract(files::Extract),
    /// Print a completion script for a shell
    Completions(export_docs::Completions),
    /// Write the man pages into a directory
    #[command(hide = true)]
    Man(export_docs::Man),
}
