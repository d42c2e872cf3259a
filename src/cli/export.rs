//! `vandelay export … ARCHIVE`.

use super::args::{AtFlag, number};
use super::auth::{Auth, IMAP_URL, Network, SIEVE_URL, WhichAccount, url_help, user_needed};
use super::dav::{DAV_URL, DavServer, FILES_URL};
use super::export_files::FileTarget;
use super::export_part::{CALENDARS, CONTACTS, FILES, MAIL, Part, SCRIPTS, types_help};
use super::export_report::{Summary, partial, warn_of_nothing};
use super::opened::open_archive;
use super::ui::{Ui, counted, interrupt_flag};
use crate::error::{Error, ErrorKind, Result};
use crate::export::{self, ExportOptions, Plan};
use crate::model::ObjectType;
use crate::net::endpoint::Service;
use crate::protocol::dav::Flavor;
use crate::sink::Sink;
use crate::sink::dav::{Collections, Files};
use crate::sink::imap::{Imap, ImapSettings};
use crate::sink::jmap::account::Jmap;
use crate::sink::managesieve::ManageSieve;
use clap::error::{ContextKind, ErrorKind as ParseError};
use clap::{Args, Subcommand};
use std::io::IsTerminal;
use std::path::PathBuf;
use std::sync::Arc;

#[derive(Args)]
#[command(args_conflicts_with_subcommands = true, subcommand_negates_reqs = true)]
pub(crate) struct Export {
    #[command(subcommand)]
    target: Option<ExportTarget>,
    #[command(flatten)]
    jmap: Option<JmapArgs>,
}

/// `--update` of WebDAV.
const UPDATE_FILES: &str = "Also replace files in the account that have other bytes";

/// Where an archive is written to, unless it is an account on a JMAP server.
#[derive(Subcommand)]
enum ExportTarget {
    /// The mail, into an account on an IMAP server
    #[command(mut_arg("objects", types_help(&MAIL)))]
    #[command(mut_arg("url", url_help(IMAP_URL)), mut_arg("auth_user", user_needed))]
    Imap(ImapArgs),
    /// The calendars, into an account on a CalDAV server
    #[command(mut_arg("objects", types_help(&CALENDARS)))]
    #[command(name = "caldav", mut_arg("url", url_help(DAV_URL)))]
    CalDav(CalDavArgs),
    /// The address books, into an account on a CardDAV server
    #[command(mut_arg("objects", types_help(&CONTACTS)))]
    #[command(name = "carddav", mut_arg("url", url_help(DAV_URL)))]
    CardDav(DavArgs),
    /// The files, into a directory on a WebDAV server
    #[command(mut_arg("objects", types_help(&FILES)))]
    #[command(name = "webdav", mut_arg("url", url_help(FILES_URL)), mut_arg("update", |arg| arg.help(UPDATE_FILES)))]
    WebDav(DavArgs),
    /// The Sieve scripts, into an account on a mail server (ManageSieve)
    #[command(mut_arg("objects", types_help(&SCRIPTS)))]
    #[command(name = "managesieve", mut_arg("url", url_help(SIEVE_URL)), mut_arg("auth_user", user_needed))]
    ManageSieve(ManageSieveArgs),
    #[command(flatten)]
    Files(FileTarget),
}

#[derive(Args)]
struct ImapArgs {
    #[command(flatten)]
    common: Common,
    #[command(flatten)]
    auth: Auth,
    #[command(flatten)]
    network: Network,
    /// Open at most this many connections, 1 to 8
    #[arg(long, value_name = "N", default_value_t = 4, value_parser = number::<u64>(1..=8), help_heading = "Connection")]
    imap_connections: u64,
}

#[derive(Args)]
struct CalDavArgs {
    #[command(flatten)]
    common: Common,
    /// Let the server send invitations for the meetings that are restored; otherwise it is told not to
    #[arg(long, help_heading = None)]
    allow_scheduling: bool,
    #[command(flatten)]
    server: DavServer,
}

#[derive(Args)]
struct DavArgs {
    #[command(flatten)]
    common: Common,
    #[command(flatten)]
    server: DavServer,
}

/// Its group has the archive as a member: clap takes an optional struct for given if one of its own arguments is.
#[derive(Args)]
#[group(args = ["archive"])]
struct JmapArgs {
    #[command(flatten)]
    common: Common,
    #[command(flatten)]
    which: WhichAccount,
    #[command(flatten)]
    auth: Auth,
    #[command(flatten)]
    network: Network,
    /// Also send the login to other hosts that this server refers to
    #[arg(long, help_heading = "Connection")]
    allow_other_origin: bool,
}

#[derive(Args)]
struct ManageSieveArgs {
    #[command(flatten)]
    common: Common,
    #[command(flatten)]
    auth: Auth,
    #[command(flatten)]
    network: Network,
}

/// What is written, and how far.
#[derive(Args)]
struct Common {
    /// The archive
    archive: PathBuf,
    /// Also update what is already in the account: flags, mailboxes, events, cards, names
    #[arg(long)]
    update: bool,
    /// Delete objects from the account that are not in the archive (only types that the archive has); asks first
    #[arg(long)]
    prune: bool,
    /// Delete without asking
    #[arg(long)]
    yes: bool,
    /// Show what would be done, and change nothing
    #[arg(long)]
    dry_run: bool,
    #[command(flatten)]
    at: AtFlag,
    #[command(flatten)]
    part: Part,
}

/// The error of a command line that has something between `export` and its target, or no such target. clap would say that a
/// subcommand cannot be used.
pub(super) fn misplaced_target(error: &clap::Error) -> Option<Error> {
    let is_it = error.kind() == ParseError::ArgumentConflict && error.get(ContextKind::InvalidSubcommand).is_some();
    let targets = <ExportTarget as Subcommand>::augment_subcommands(clap::Command::new("export"));
    let names: Vec<&str> = targets.get_subcommands().map(clap::Command::get_name).collect();
    is_it.then(|| {
        let what = format!("'vandelay export' takes its target first, and the targets are {}", names.join(", "));
        Error::new(ErrorKind::Usage, what)
            .hint("put the flags behind the target, as in: vandelay export imap --dry-run …")
    })
}

impl Export {
    pub(crate) fn run(self, ui: &Ui) -> Result<()> {
        match (self.target, self.jmap) {
            (Some(ExportTarget::Imap(args)), _) => args.common.run(ui, &MAIL, args.network.max_retries(), |spool| {
                let account = args.network.account(Service::Imap, &args.auth, ui)?;
                let connections = args.imap_connections as usize;
                Ok(Box::new(Imap::open(ImapSettings { account, connections, spool })?))
            }),
            (Some(ExportTarget::CalDav(args)), _) => {
                args.common.run(ui, &CALENDARS, args.server.max_retries(), |spool| {
                    let settings = args.server.settings(Flavor::Calendars, spool, ui)?;
                    Ok(Box::new(Collections::open(settings, args.allow_scheduling)?))
                })
            }
            (Some(ExportTarget::CardDav(args)), _) => {
                args.common.run(ui, &CONTACTS, args.server.max_retries(), |spool| {
                    let settings = args.server.settings(Flavor::Contacts, spool, ui)?;
                    Ok(Box::new(Collections::open(settings, false)?))
                })
            }
            (Some(ExportTarget::WebDav(args)), _) => args.common.run(ui, &FILES, args.server.max_retries(), |spool| {
                Ok(Box::new(Files::open(args.server.settings(Flavor::Files, spool, ui)?)?))
            }),
            (Some(ExportTarget::ManageSieve(args)), _) => {
                args.common.run(ui, &SCRIPTS, args.network.max_retries(), |_| {
                    Ok(Box::new(ManageSieve::open(args.network.account(Service::Sieve, &args.auth, ui)?)?))
                })
            }
            (Some(ExportTarget::Files(target)), _) => target.run(ui),
            (None, Some(args)) => args.common.run(ui, &ObjectType::ALL, args.network.max_retries(), |spool| {
                let settings = args.network.jmap(&args.auth, args.allow_other_origin, spool, ui)?;
                Ok(Box::new(Jmap::open(settings, Some(&args.which.which()))?))
            }),
            (None, None) => Err(Error::new(ErrorKind::Usage, "nothing says where to export to")),
        }
    }
}

impl Common {
    /// Exports objects of these types into the target that `open` gives. It gets a folder for large bodies, once the archive
    /// is open.
    fn run(
        &self,
        ui: &Ui,
        kinds: &[ObjectType],
        max_retries: u32,
        open: impl FnOnce(PathBuf) -> Result<Box<dyn Sink>>,
    ) -> Result<()> {
        if self.prune && !self.yes && !self.dry_run && !std::io::stdin().is_terminal() {
            return Err(Error::new(ErrorKind::Declined, "--prune deletes objects, and there is no terminal to ask on")
                .hint("look at the plan with --dry-run, then add --yes"));
        }
        let reader = Arc::new(open_archive(&self.archive, ui)?);
        let moment = self.part.moment(&reader, self.at.at)?;
        let selection = self.part.selection(&reader, moment, kinds)?;
        if self.prune {
            export::check_prune(&reader, moment, &selection)?;
        }
        let options = ExportOptions {
            selection,
            update: self.update,
            prune: self.prune,
            dry_run: self.dry_run,
            max_retries,
            ..ExportOptions::default()
        };
        let mut target = open(std::env::temp_dir())?;
        let progress = ui.progress(interrupt_flag());
        let account = target.name();
        let mut agree = |plan: &Plan| progress.aside(|| self.agree(plan, &account, ui));
        let done = export::export(target.as_mut(), &reader, moment, &options, &progress, &mut agree);
        progress.done();
        let mut done = done?;
        let summary = Summary { archive: &self.archive, dry_run: self.dry_run, sent: "of messages sent" };
        summary.tell(&done.plan, &done.report, ui);
        warn_of_nothing(&done.report, kinds, ui);
        if let Some(error) = done.lost.take() {
            return Err(match error.kind {
                ErrorKind::Forgotten => error,
                _ => error.hint("run the same command again to continue; nothing is sent twice"),
            });
        }
        match done.report.failed() {
            0 => Ok(()),
            count if self.dry_run => {
                let what = format!("{} would not be written; nothing was changed", counted(count, "object"));
                Err(Error::new(ErrorKind::Partial, what).hint("the reasons are above"))
            }
            count => Err(partial(count, &done.report)),
        }
    }

    /// Shows the plan where something is removed, and asks.
    fn agree(&self, plan: &Plan, account: &str, ui: &Ui) -> Result<()> {
        if self.dry_run {
            if !ui.json && !ui.quiet {
                ui.line(plan.to_string().trim_end());
            }
            return Ok(());
        }
        let count = plan.removals();
        if !self.prune || count == 0 {
            return Ok(());
        }
        ui.info(plan.to_string().trim_end());
        if self.yes {
            return Ok(());
        }
        let answer = ui.ask(&format!("Delete {} from the account {account}? [y/N] ", counted(count, "object")))?;
        if matches!(answer.trim().to_lowercase().as_str(), "y" | "yes") {
            return Ok(());
        }
        Err(Error::new(ErrorKind::Declined, "declined; nothing was changed"))
    }
}
