//! `vandelay import SOURCE … ARCHIVE`.

use super::args::{parse_percent, spool};
use super::auth::{Auth, IMAP_URL, Network, SIEVE_URL, WhichAccount, url_help, user_needed};
use super::dav::{DAV_URL, DavServer, FILES_URL};
use super::import_files::{self, FilesSource};
use super::table;
use super::ui::{Ui, bytes, counted, interrupt_flag};
use crate::archive::{NoOrigins, Reader, RunState, Writer};
use crate::error::{Error, ErrorKind, Result};
use crate::import::report::Report;
use crate::import::{self, Done, ImportOptions};
use crate::model::ObjectType;
use crate::net::endpoint::Service;
use crate::protocol::dav::{Flavor, KnownHome, Settings, origin_of};
use crate::report::{reasons, sum};
use crate::source;
use crate::source::dav::{Collections, Files, known_home};
use crate::source::files::{ExportedFiles, FilesOptions};
use crate::source::filter::Filter;
use crate::source::imap::Imap;
use crate::source::imap::options::ImapOptions;
use crate::source::jmap::{Jmap, JmapOptions};
use crate::source::maildir::Maildir;
use crate::source::maildir::options::{Layout, MaildirOptions};
use crate::source::managesieve::ManageSieve;
use clap::{Args, Subcommand, ValueEnum};
use std::path::{Path, PathBuf};
use url::Url;

/// Where an account is read from.
#[derive(Subcommand)]
pub(crate) enum ImportSource {
    /// A Maildir on disk: Maildir++ or one with nested folders
    Maildir(MaildirArgs),
    /// A Google Takeout folder, or any tree of mail, .ics and .vcf files: mbox, .eml, Thunderbird, Apple Mail, MH
    Takeout(TakeoutArgs),
    #[command(flatten)]
    Files(FilesSource),
    /// The mail of an account on an IMAP server
    #[command(mut_arg("url", url_help(IMAP_URL)), mut_arg("auth_user", user_needed))]
    Imap(ImapArgs),
    /// A whole account on a JMAP server: mail, contacts, calendars, Sieve scripts, files
    Jmap(JmapArgs),
    /// The calendars of an account on a CalDAV server: events, tasks, notes
    #[command(name = "caldav", mut_arg("url", url_help(DAV_URL)))]
    CalDav(DavArgs),
    /// The address books of an account on a CardDAV server
    #[command(name = "carddav", mut_arg("url", url_help(DAV_URL)))]
    CardDav(DavArgs),
    /// The files below a directory on a WebDAV server
    #[command(name = "webdav", mut_arg("url", url_help(FILES_URL)))]
    WebDav(DavArgs),
    /// The Sieve scripts on a mail server (ManageSieve)
    #[command(name = "managesieve", mut_arg("url", url_help(SIEVE_URL)), mut_arg("auth_user", user_needed))]
    ManageSieve(ManageSieveArgs),
}

#[derive(Args)]
pub(crate) struct MaildirArgs {
    /// The Maildir
    maildir: PathBuf,
    /// The archive; created if it does not exist
    archive: PathBuf,
    #[command(flatten)]
    folders: FolderArgs,
    /// Import messages marked as deleted too, with the keyword $deleted
    #[arg(long)]
    include_deleted: bool,
    /// How the folders are stored: maildir++ (.A.B), fs (A/B), or auto to find out
    #[arg(long, value_enum, default_value = "auto", help_heading = "Folders")]
    layout: LayoutArg,
    #[command(flatten)]
    common: Common,
    #[command(flatten)]
    _local: Local,
}

#[derive(Clone, Copy, ValueEnum)]
enum LayoutArg {
    Auto,
    #[value(name = "maildir++")]
    MaildirPlusPlus,
    Fs,
}

#[derive(Args)]
pub(crate) struct TakeoutArgs {
    /// The folder, or a single file of any name
    path: PathBuf,
    /// The archive; created if it does not exist
    archive: PathBuf,
    /// Give no roles to labels like Sent or Trash, and keep Gmail's own labels under their names
    #[arg(long)]
    noautomap: bool,
    /// Import messages marked as deleted too, with the keyword $deleted
    #[arg(long)]
    include_deleted: bool,
    #[command(flatten)]
    common: Common,
    #[command(flatten)]
    _local: Local,
}

#[derive(Args)]
pub(crate) struct ImapArgs {
    /// The archive; created if it does not exist
    archive: PathBuf,
    #[command(flatten)]
    folders: FolderArgs,
    /// Leave out the folder with this role: all, archive, drafts, flagged, important, junk, sent, trash (may be repeated)
    #[arg(long, value_name = "ROLE", help_heading = "Folders")]
    exclude_special: Vec<String>,
    /// Import only folders that the user is subscribed to
    #[arg(long, help_heading = "Folders")]
    subscribed_only: bool,
    /// Import messages marked as deleted too, with the keyword $deleted
    #[arg(long)]
    include_deleted: bool,
    /// Request this many messages at a time; after a disconnect at most this many are downloaded again
    #[arg(long, value_name = "N", default_value_t = 256, value_parser = clap::value_parser!(u64).range(1..=10_000), help_heading = "Connection")]
    fetch_batch: u64,
    /// Open at most this many connections, 1 to 8 (default: one for each processor)
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..=8), help_heading = "Connection")]
    imap_connections: Option<u64>,
    /// Ask the server to compress what it sends
    #[arg(long, help_heading = "Connection")]
    compress: bool,
    #[command(flatten)]
    common: Common,
    #[command(flatten)]
    auth: Auth,
    #[command(flatten)]
    network: Network,
}

/// Which folders are taken.
#[derive(Args)]
#[command(next_help_heading = "Folders")]
struct FolderArgs {
    /// Import only folders whose name matches this regular expression (may be repeated)
    #[arg(long, value_name = "RE", conflicts_with = "folder")]
    include: Vec<String>,
    /// Leave out folders whose name matches this regular expression (may be repeated)
    #[arg(long, value_name = "RE", conflicts_with = "folder")]
    exclude: Vec<String>,
    /// Import only the folder with exactly this name (may be repeated)
    #[arg(long, value_name = "NAME")]
    folder: Vec<String>,
    /// Do not guess the role of a folder from its name
    #[arg(long)]
    noautomap: bool,
}

impl FolderArgs {
    fn filter(&self) -> Result<Filter> {
        Filter::new(&self.include, &self.exclude, &self.folder)
    }
}

#[derive(Args)]
pub(crate) struct ManageSieveArgs {
    /// The archive; created if it does not exist
    archive: PathBuf,
    #[command(flatten)]
    common: Common,
    #[command(flatten)]
    auth: Auth,
    #[command(flatten)]
    network: Network,
}

#[derive(Args)]
pub(crate) struct DavArgs {
    /// The archive; created if it does not exist
    archive: PathBuf,
    #[command(flatten)]
    common: Common,
    #[command(flatten)]
    server: DavServer,
}

impl DavArgs {
    /// Where the collections were when they were imported the last time.
    fn known_home(&self, flavor: Flavor, url: &Url, user: &str) -> Option<KnownHome> {
        let reader = Reader::open(&self.archive).ok().filter(|_| !self.common.full)?;
        let scopes = reader.scopes_of(flavor.name(), &origin_of(url), user).ok()?;
        let principal = scopes.first()?.0.clone();
        let is_one = scopes.iter().all(|(account, ..)| *account == principal);
        let scopes: Vec<(String, String)> = scopes.into_iter().map(|(_, key, cursor)| (key, cursor)).collect();
        let known = known_home(url, &principal, &scopes).filter(|_| is_one)?;
        // A URL beside it asks for something else.
        known.home.path().starts_with(url.path()).then_some(known)
    }

    fn settings(&self, flavor: Flavor, ui: &Ui) -> Result<Settings> {
        let mut settings = self.server.settings(flavor, spool(&self.archive), ui)?;
        settings.known = self.known_home(flavor, settings.address.url(), settings.account.credentials.user());
        Ok(settings)
    }
}

#[derive(Args)]
pub(crate) struct JmapArgs {
    /// The archive; created if it does not exist
    archive: PathBuf,
    #[command(flatten)]
    which: WhichAccount,
    /// Import only these types, separated by commas: mailbox, email, identity, sievescript, addressbook, contactcard,
    /// calendar, calendarevent, participantidentity, filenode, vacationresponse
    #[arg(long, value_name = "LIST", value_delimiter = ',', value_parser = parse_kind)]
    objects: Option<Vec<ObjectType>>,
    /// Also send the login to other hosts that this server refers to
    #[arg(long, help_heading = "Connection")]
    allow_other_origin: bool,
    #[command(flatten)]
    common: Common,
    #[command(flatten)]
    auth: Auth,
    #[command(flatten)]
    network: Network,
}

pub(super) fn parse_kind(text: &str) -> Result<ObjectType, String> {
    ObjectType::from_token(text).ok_or_else(|| format!("one of {}", ObjectType::ALL.map(ObjectType::token).join(", ")))
}

/// Flags of every import.
#[derive(Args)]
struct Common {
    /// Show what would be done, and change nothing
    #[arg(long)]
    dry_run: bool,
    /// Import this source as well, although the archive holds another one of this kind: as a second copy, except for a
    /// Takeout
    #[arg(long)]
    allow_source_change: bool,
    /// The account has moved to this address or folder: continue with it if its content proves that it is the same account
    #[arg(long, conflicts_with = "allow_source_change")]
    same_account: bool,
    /// List everything, not only what the source reports as changed
    #[arg(long)]
    full: bool,
    /// Stop and change nothing if more than this share of the objects of a type (and more than 50) would be removed from
    /// the current state; 100% turns this guard off
    #[arg(long, value_name = "PERCENT", default_value = "20%", value_parser = parse_share)]
    max_delete: f64,
}

/// Flags of 1.x that mean nothing to a source on disk.
#[derive(Args)]
struct Local {
    /// Accepted for command lines of 1.x; local sources need no pool
    #[arg(short = 'j', long, value_name = "N", hide = true)]
    threads: Option<u32>,
    /// Accepted for command lines of 1.x; local sources need no retries
    #[arg(long, value_name = "N", hide = true)]
    max_retries: Option<u32>,
    /// Accepted for command lines of 1.x; local sources have no certificates
    #[arg(long, hide = true)]
    allow_invalid_certs: bool,
}

fn parse_share(text: &str) -> Result<f64, String> {
    let share = parse_percent(text, "20%")?;
    if (0.0..=1.0).contains(&share) { Ok(share) } else { Err("the percentage must be between 0 and 100".to_owned()) }
}

impl Common {
    /// What the user decided, and whether it is a dry run.
    fn options(&self) -> (ImportOptions, bool) {
        let Common { allow_source_change, same_account, full, dry_run, max_delete } = *self;
        (ImportOptions { allow_source_change, same_account, full, max_delete: Some(max_delete) }, dry_run)
    }
}

impl ImportSource {
    pub(crate) fn run(self, ui: &Ui) -> Result<()> {
        match self {
            ImportSource::Maildir(args) => {
                let filter = args.folders.filter()?;
                let layout = match args.layout {
                    LayoutArg::Auto => Layout::Auto,
                    LayoutArg::MaildirPlusPlus => Layout::MaildirPlusPlus,
                    LayoutArg::Fs => Layout::Fs,
                };
                let spool = spool(&args.archive);
                let options = MaildirOptions {
                    filter,
                    noautomap: args.folders.noautomap,
                    include_deleted: args.include_deleted,
                    layout,
                    spool,
                };
                run(&mut Maildir::open(&args.maildir, options)?, &args.archive, args.common.options(), ui)
            }
            ImportSource::Takeout(args) => {
                let options = FilesOptions {
                    noautomap: args.noautomap,
                    include_deleted: args.include_deleted,
                    spool: spool(&args.archive),
                };
                run(&mut ExportedFiles::takeout(&args.path, options)?, &args.archive, args.common.options(), ui)
            }
            ImportSource::Files(files) => {
                let import_files::Import { mut source, archive, options, dry_run } = files.open()?;
                run(&mut source, &archive, (options, dry_run), ui)
            }
            ImportSource::Imap(args) => {
                let options = ImapOptions {
                    filter: args.folders.filter()?,
                    exclude_special: args.exclude_special,
                    subscribed_only: args.subscribed_only,
                    noautomap: args.folders.noautomap,
                    include_deleted: args.include_deleted,
                    fetch_batch: args.fetch_batch as usize,
                    connections: args.imap_connections.map_or_else(|| args.network.threads(), |count| count as usize),
                    compress: args.compress,
                    spool: spool(&args.archive),
                };
                let account = args.network.account(Service::Imap, &args.auth, ui)?;
                let common = args.common.options();
                run(&mut Imap::new(account, options), &args.archive, common, ui)
            }
            ImportSource::Jmap(args) => {
                let options =
                    JmapOptions { which: args.which.which(), objects: args.objects, threads: args.network.threads() };
                let settings = args.network.jmap(&args.auth, args.allow_other_origin, spool(&args.archive), ui)?;
                let common = args.common.options();
                run(&mut Jmap::open(settings, options)?, &args.archive, common, ui)
            }
            ImportSource::CalDav(args) => {
                let mut source = Collections::open(args.settings(Flavor::Calendars, ui)?)?;
                run(&mut source, &args.archive, args.common.options(), ui)
            }
            ImportSource::CardDav(args) => {
                let mut source = Collections::open(args.settings(Flavor::Contacts, ui)?)?;
                run(&mut source, &args.archive, args.common.options(), ui)
            }
            ImportSource::WebDav(args) => {
                let mut source = Files::open(args.settings(Flavor::Files, ui)?)?;
                run(&mut source, &args.archive, args.common.options(), ui)
            }
            ImportSource::ManageSieve(args) => {
                let account = args.network.account(Service::Sieve, &args.auth, ui)?;
                let options = args.common.options();
                run(&mut ManageSieve::open(account)?, &args.archive, options, ui)
            }
        }
    }
}

fn run(
    source: &mut dyn source::Source,
    archive: &Path,
    (options, dry_run): (ImportOptions, bool),
    ui: &Ui,
) -> Result<()> {
    let progress = ui.progress(interrupt_flag());
    let done = if dry_run {
        match Reader::open(archive) {
            Ok(reader) => import::dry_run(source, &reader, &options, &progress),
            Err(error) if error.kind == ErrorKind::NoArchive && !archive.exists() => {
                import::dry_run(source, &NoOrigins, &options, &progress)
            }
            Err(error) => Err(error),
        }
    } else {
        let doing = format!("import {}", source.ident().kind);
        Writer::open(archive, &doing).and_then(|writer| import::import(source, writer, &options, &progress))
    };
    progress.done();
    let mut done = done?;
    tell(&done, archive, dry_run, ui);
    if let Some(error) = done.lost.take() {
        return Err(error.hint("everything imported so far is kept; run the same command again to continue"));
    }
    match done.state {
        RunState::Interrupted => {
            Err(Error::new(ErrorKind::Interrupted, "interrupted; everything imported so far is kept")
                .hint("run the same command again to continue"))
        }
        RunState::Partial => Err(partial(&done.report, dry_run)),
        RunState::Complete => Ok(()),
    }
}

/// The error of a run that reached its end without all objects.
fn partial(report: &Report, dry_run: bool) -> Error {
    let (failed, strange, nothing_of) = (report.failed(), report.not_understood, report.stored_nothing_of());
    let failures = match dry_run {
        true => format!("{} cannot be read", objects(failed)),
        false => format!("{} could not be imported", objects(failed)),
    };
    let (what, hint) = match (failed, strange) {
        (0, 0) => (
            format!("found {}, but stored nothing", objects(nothing_of)),
            "each one is named above with the reason; messages marked as deleted are taken with --include-deleted",
        ),
        (0, _) => (
            format!("left out {} that could not be understood", objects(strange)),
            "see the warnings above: each says what it is and what to do",
        ),
        (_, 0) if dry_run => (failures, "each one is named above"),
        (_, 0) => (
            format!("{failures}; everything else is imported"),
            "each one is named above; run the same command again to retry them",
        ),
        _ => (
            format!("{failures}, and {} could not be understood", objects(strange)),
            "each one is named above; run the same command again to retry those that failed",
        ),
    };
    Error::new(ErrorKind::Partial, what).hint(hint)
}

fn objects(count: u64) -> String {
    counted(count, "object")
}

fn tell(done: &Done, archive: &Path, dry_run: bool, ui: &Ui) {
    let report = &done.report;
    report.notices.iter().for_each(|notice| ui.warn(notice));
    for remark in &report.accounts.remarks {
        let text = format!("{} {} ({}): {}", remark.kind, remark.outcome, remark.reason, remark.position);
        // Items left out on purpose are counted below; their positions come with -v and --json.
        match remark.outcome {
            "failed" | "not understood" => ui.warn(&text),
            // A later export of an account is duplicates for the most part.
            "by-product" | "duplicate" => ui.detail(&text),
            _ => ui.info(&text),
        }
    }
    for note in &report.notes {
        ui.info(note);
    }
    if report.accounts.remarks_left_out > 0 {
        ui.warn(&format!("{} more not listed here", counted(report.accounts.remarks_left_out, "object")));
    }
    let no_good = sum(&report.no_good_mail);
    if no_good > 0 {
        let what = if no_good == 1 { "1 message is" } else { &format!("{no_good} messages are") };
        ui.warn(&format!("{what} not valid mail, and stored unchanged{}", reasons(&report.no_good_mail)));
        if report.no_good_mail.keys().any(|reason| reason.contains("mail_crypt")) {
            ui.info("hint: Dovecot encrypted these messages (mail_crypt): import the account over IMAP instead");
        }
    }
    if ui.json {
        let mut summary = serde_json::json!({
            "message_type": "summary",
            "archive": archive.display().to_string(),
            "dry_run": dry_run,
            "snapshot": done.snapshot,
            "state": done.state.name(),
            "removed": report.removed,
            "kept": report.kept,
            "bytes": report.bytes,
            "scopes_failed": report.scopes_failed,
            "not_understood": report.not_understood,
            "no_good_mail": report.no_good_mail,
            "notices": report.notices,
            "notes": report.notes,
        });
        report.accounts.add_to(&mut summary);
        ui.object(&summary);
    } else if !ui.quiet {
        table::report(ui, &report.to_string());
        match done.snapshot {
            Some(snapshot) => ui.line(&format!(
                "snapshot {snapshot} of {} is {}; {} read",
                archive.display(),
                done.state.name(),
                bytes(report.bytes)
            )),
            None => ui.line("dry run: nothing was changed"),
        }
    }
}
