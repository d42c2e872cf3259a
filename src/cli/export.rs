//! `vandelay export … ARCHIVE`.

use super::args::{AtFlag, tree_path};
use super::auth::{Auth, IMAP_URL, Network, SIEVE_URL, WhichAccount, url_help, user_needed};
use super::dav::{DAV_URL, DavServer, FILES_URL};
use super::table;
use super::ui::{Ui, bytes, counted, interrupt_flag};
use crate::archive::{Reader, epoch};
use crate::error::{Error, ErrorKind, Result};
use crate::export::{self, Done, ExportOptions, Plan, Remark, Selection};
use crate::model::ObjectType;
use crate::net::endpoint::Service;
use crate::protocol::dav::Flavor;
use crate::sink::Sink;
use crate::sink::dav::{Collections, Files};
use crate::sink::imap::{Imap, ImapSettings};
use crate::sink::jmap::account::Jmap;
use crate::sink::managesieve::ManageSieve;
use crate::tree::{self, Tree};
use clap::builder::NonEmptyStringValueParser;
use clap::{Args, Subcommand};
use std::collections::HashMap;
use std::ffi::OsString;
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

/// What an IMAP server has.
const MAIL: [ObjectType; 2] = [ObjectType::Mailbox, ObjectType::Email];

/// What a CalDAV server has.
const CALENDARS: [ObjectType; 2] = [ObjectType::Calendar, ObjectType::CalendarEvent];

/// What a CardDAV server has.
const CONTACTS: [ObjectType; 2] = [ObjectType::AddressBook, ObjectType::ContactCard];

/// What a WebDAV server has.
const FILES: [ObjectType; 1] = [ObjectType::FileNode];

/// `--update` of WebDAV.
const UPDATE_FILES: &str = "Also replace files in the account that have other bytes";

/// What a ManageSieve server has.
const SCRIPTS: [ObjectType; 1] = [ObjectType::SieveScript];

/// Where an archive is written to, unless it is an account on a JMAP server.
#[derive(Subcommand)]
enum ExportTarget {
    /// The mail, into an account on an IMAP server
    #[command(mut_arg("url", url_help(IMAP_URL)), mut_arg("auth_user", user_needed))]
    Imap(ImapArgs),
    /// The calendars, into an account on a CalDAV server
    #[command(name = "caldav", mut_arg("url", url_help(DAV_URL)))]
    CalDav(CalDavArgs),
    /// The address books, into an account on a CardDAV server
    #[command(name = "carddav", mut_arg("url", url_help(DAV_URL)))]
    CardDav(DavArgs),
    /// The files, into a directory on a WebDAV server
    #[command(name = "webdav", mut_arg("url", url_help(FILES_URL)), mut_arg("update", |arg| arg.help(UPDATE_FILES)))]
    WebDav(DavArgs),
    /// The Sieve scripts, into an account on a mail server (ManageSieve)
    #[command(name = "managesieve", mut_arg("url", url_help(SIEVE_URL)), mut_arg("auth_user", user_needed))]
    ManageSieve(ManageSieveArgs),
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
    #[arg(long, value_name = "N", default_value_t = 4, value_parser = clap::value_parser!(u64).range(1..=8), help_heading = "Connection")]
    imap_connections: u64,
}

#[derive(Args)]
struct CalDavArgs {
    #[command(flatten)]
    common: Common,
    /// Let the server send invitations for the meetings that are restored; otherwise it is told not to
    #[arg(long)]
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

/// Which part of the archive.
#[derive(Args)]
#[command(next_help_heading = "What to export")]
struct Part {
    /// Export only these types, separated by commas: mailbox, email, identity, sievescript, addressbook, contactcard,
    /// calendar, calendarevent, participantidentity, filenode, vacationresponse
    #[arg(long, value_name = "LIST", value_delimiter = ',', value_parser = super::import::parse_kind)]
    objects: Option<Vec<ObjectType>>,
    /// Export only what is at this path of the tree, e.g. 'mail/INBOX/**' (may be repeated)
    #[arg(long, value_name = "PATH")]
    path: Vec<OsString>,
    /// Put everything into a new folder with this name
    #[arg(long, value_name = "NAME", value_parser = NonEmptyStringValueParser::new())]
    into: Option<String>,
    /// Only messages received, events starting and files changed on this day (UTC) or later
    #[arg(long, value_name = "DATE", value_parser = parse_date)]
    since: Option<i64>,
    /// Only those before this day (UTC)
    #[arg(long, value_name = "DATE", value_parser = parse_date)]
    until: Option<i64>,
}

/// `2026-11-01` (midnight, UTC) or a time.
fn parse_date(text: &str) -> Result<i64, String> {
    let is_day = text.len() == 10;
    let time = if is_day { format!("{text}T00:00:00Z") } else { text.to_owned() };
    match time.parse::<jiff::Timestamp>() {
        Ok(_) => Ok(epoch(&time)),
        Err(_) => Err("neither a day like 2026-11-21 nor a time like 2026-11-21T18:30:00Z".to_owned()),
    }
}

/// So many objects of one kind of remark are named.
const NAMED: usize = 10;

/// Remarks that say the same, with what they say it of, in the order in which they came first.
fn by_kind(remarks: &[Remark]) -> Vec<(&Remark, Vec<&str>)> {
    let mut kinds: Vec<(&Remark, Vec<&str>)> = Vec::new();
    let mut places: HashMap<(&str, &str, &str), usize> = HashMap::new();
    for remark in remarks {
        let place = *places.entry((remark.kind, remark.outcome, &remark.reason)).or_insert(kinds.len());
        if place == kinds.len() {
            kinds.push((remark, Vec::new()));
        }
        kinds[place].1.push(&remark.position);
    }
    kinds
}

fn named(positions: &[&str]) -> String {
    match positions {
        [one] => (*one).to_owned(),
        several => {
            let more = several.len().saturating_sub(NAMED);
            let more = if more > 0 { format!("; and {more} more (--json names them)") } else { String::new() };
            format!("{} objects: {}{more}", several.len(), several[..several.len().min(NAMED)].join("; "))
        }
    }
}

/// The error of a run that could not write everything. What was refused is refused the next time, too.
fn partial(count: u64, refused: u64) -> Error {
    let what = match (count - refused.min(count), refused) {
        (0, refused) => format!("the account rejected {}; everything else is there", counted(refused, "object")),
        (failed, 0) => format!("{} could not be written; everything else is in the account", counted(failed, "object")),
        (failed, refused) => {
            format!(
                "{} could not be written, and the account rejected {refused}; everything else is there",
                counted(failed, "object")
            )
        }
    };
    let hint = match count > refused {
        true => "the reasons are above; run the same command again to retry what the account did not reject",
        false => {
            "the reasons are above. Another run will not help: correct these objects, or keep the archive for them"
        }
    };
    Error::new(ErrorKind::Partial, what).hint(hint)
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
        let reader = Arc::new(Reader::open(&self.archive)?);
        let moment = reader.resolve(self.at.at)?;
        let selection = self.selection(&reader, kinds)?;
        if self.prune {
            export::check_prune(&reader, moment, &selection)?;
        }
        let options =
            ExportOptions { selection, update: self.update, prune: self.prune, dry_run: self.dry_run, max_retries };
        let mut target = open(std::env::temp_dir())?;
        let progress = ui.progress(interrupt_flag());
        let account = target.name();
        let mut agree = |plan: &Plan| progress.aside(|| self.agree(plan, &account, ui));
        let done = export::export(target.as_mut(), &reader, moment, &options, &progress, &mut agree);
        progress.done();
        let mut done = done?;
        self.tell(&done, ui);
        if let Some(error) = done.lost.take() {
            return Err(match error.kind {
                ErrorKind::Forgotten => error,
                _ => error.hint("run the same command again to continue; nothing is sent twice"),
            });
        }
        match done.report.failed() {
            0 => Ok(()),
            count => Err(partial(count, done.report.refused())),
        }
    }

    fn selection(&self, reader: &Arc<Reader>, kinds: &[ObjectType]) -> Result<Selection> {
        let wanted = self.part.objects.as_deref().unwrap_or(kinds);
        if let Some(kind) = wanted.iter().find(|kind| !kinds.contains(kind)) {
            let tokens: Vec<&str> = kinds.iter().map(|kind| kind.token()).collect();
            let what = format!("--objects {}: this command writes {} only", kind.token(), tokens.join(" and "));
            return Err(Error::new(ErrorKind::Usage, what));
        }
        let picks = if self.part.path.is_empty() {
            None
        } else {
            let tree =
                Tree::open(Arc::clone(reader), tree::TreeOptions { at: self.at.at, ..tree::TreeOptions::default() })?;
            let paths: Vec<&str> = self.part.path.iter().map(|path| tree_path(path)).collect::<Result<_>>()?;
            if let Some(path) = paths.iter().find(|path| path.trim_start_matches('/').starts_with(".snapshots")) {
                let rest = path.trim_start_matches('/').splitn(3, '/').nth(2).unwrap_or("mail/…");
                let what = format!("{path}: use --at, not a path, to choose an older state");
                return Err(Error::new(ErrorKind::Usage, what)
                    .hint(format!("write --at SNAPSHOT --path '{rest}'; 'vandelay snapshots' lists them")));
            }
            Some(tree.select(paths.into_iter())?)
        };
        Ok(Selection {
            kinds: (wanted.len() < ObjectType::ALL.len()).then(|| wanted.iter().copied().collect()),
            picks,
            since: self.part.since,
            until: self.part.until,
            into: self.part.into.clone(),
        })
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

    fn tell(&self, done: &Done, ui: &Ui) {
        let report = &done.report;
        for (remark, positions) in by_kind(&report.accounts.remarks) {
            let text = format!("{} {} ({}): {}", remark.kind, remark.outcome, remark.reason, named(&positions));
            match remark.outcome {
                "failed" | "not removed" | "there twice" => ui.warn(&text),
                _ => ui.info(&text),
            }
        }
        if report.accounts.remarks_left_out > 0 {
            ui.warn(&format!("{} more not listed here", counted(report.accounts.remarks_left_out, "object")));
        }
        report.notes.iter().for_each(|note| ui.warn(note));
        if ui.json {
            let mut summary = serde_json::json!({
                "message_type": "summary",
                "archive": self.archive.display().to_string(),
                "dry_run": self.dry_run,
                "plan": done.plan.types,
                "bytes": report.bytes,
                "notes": report.notes,
            });
            report.accounts.add_to(&mut summary);
            ui.object(&summary);
        } else if !ui.quiet {
            table::report(ui, &report.to_string());
            match self.dry_run {
                true => ui.line("dry run: nothing was changed"),
                false if report.bytes == 0 => {}
                false => ui.line(&format!("{} of messages sent", bytes(report.bytes))),
            }
        }
    }
}
