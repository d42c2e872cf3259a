//! `vandelay import SOURCE … ARCHIVE`.

use super::args::{IndexFlag, number, parse_percent, spool};
use super::auth::{Auth, IMAP_URL, Network, SIEVE_URL, WhichAccount, url_help, user_needed};
use super::dav::{DAV_URL, DavServer, FILES_URL};
use super::import_files::FilesSource;
use super::import_opened::Opened;
use super::import_report::{tell, verdict};
use super::reporting::{Reporting, account_run, source_run};
use super::ui::Ui;
use crate::archive::Reader;
use crate::error::Result;
use crate::import::{Done, ImportOptions};
use crate::model::ObjectType;
use crate::monitor::metrics::AccountRun;
use crate::monitor::ping::Signal;
use crate::net::endpoint::Service;
use crate::protocol::dav::{Flavor, KnownHome, Settings, origin_of};
use crate::source::Source;
use crate::source::dav::{Collections, Files, known_home};
use crate::source::files::{ExportedFiles, FilesOptions};
use crate::source::filter::Filter;
use crate::source::imap::Imap;
use crate::source::imap::options::ImapOptions;
use crate::source::jmap::{Jmap, JmapOptions};
use crate::source::maildir::Maildir;
use crate::source::maildir::options::{Layout, MaildirOptions};
use crate::source::managesieve::ManageSieve;
use crate::source::mox::{Mox, MoxOptions};
use clap::{Args, Subcommand, ValueEnum};
use std::path::{Path, PathBuf};
use std::time::Instant;
use url::Url;

/// Where an account is read from.
#[derive(Subcommand)]
pub(crate) enum ImportSource {
    /// A Maildir on disk: Maildir++ or one with nested folders
    Maildir(MaildirArgs),
    /// A Google Takeout folder, or any tree of mail, .ics and .vcf files: mbox, .eml, Thunderbird, Apple Mail, MH
    Takeout(TakeoutArgs),
    /// An account of the mail server mox: its data directory, running or not, or a backup
    Mox(MoxArgs),
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
pub(crate) struct MoxArgs {
    /// The data directory of mox, what 'mox backup' made, or accounts/NAME in one of them
    directory: PathBuf,
    /// The archive; created if it does not exist
    archive: PathBuf,
    /// Import the account with this name; only needed if there are several
    #[arg(long, value_name = "NAME")]
    account: Option<String>,
    #[command(flatten)]
    folders: FolderArgs,
    /// Import messages marked as deleted too, with the keyword $deleted
    #[arg(long)]
    include_deleted: bool,
    #[command(flatten)]
    common: Common,
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
    #[arg(long, value_name = "N", default_value_t = 256, value_parser = number::<u64>(1..=10_000), help_heading = "Connection")]
    fetch_batch: u64,
    /// Open at most this many connections, 1 to 8 (default: one for each processor)
    #[arg(long, value_name = "N", value_parser = number::<u64>(1..=8), help_heading = "Connection")]
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
    #[command(flatten)]
    index: IndexFlag,
    #[command(flatten)]
    reporting: Reporting,
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
        let Common { allow_source_change, same_account, full, dry_run, max_delete, .. } = *self;
        (ImportOptions { allow_source_change, same_account, full, max_delete: Some(max_delete) }, dry_run)
    }
}

impl ImportSource {
    pub(crate) fn run(self, ui: &Ui) -> Result<()> {
        let (kind, archive, reporting) = self.place();
        let archive = archive.to_owned();
        let begun = Instant::now();
        reporting.ping(Signal::Start, "", ui);
        let mut done = None;
        let result = self.import(&mut done, ui);
        let error = result.as_ref().err();
        let run = AccountRun {
            seconds: begun.elapsed().as_secs_f64(),
            sources: vec![source_run(kind, done.as_ref(), error)],
            ..account_run(&archive, error)
        };
        reporting.measure(&[run], ui);
        reporting.ping_end("", error, ui);
        result
    }

    fn import(self, done: &mut Option<Done>, ui: &Ui) -> Result<()> {
        let mut opened = self.open(ui)?;
        let done = done.insert(opened.import(ui)?);
        tell(done, &opened.archive, opened.dry_run, ui);
        verdict(done, opened.dry_run)
    }

    /// The kind of the source, the archive, and whom the run is told to.
    fn place(&self) -> (&'static str, &Path, Reporting) {
        let (kind, archive, common) = match self {
            ImportSource::Maildir(args) => ("maildir", &args.archive, &args.common),
            ImportSource::Takeout(args) => ("takeout", &args.archive, &args.common),
            ImportSource::Files(files) => return files.place(),
            ImportSource::Mox(args) => ("mox", &args.archive, &args.common),
            ImportSource::Imap(args) => ("imap", &args.archive, &args.common),
            ImportSource::Jmap(args) => ("jmap", &args.archive, &args.common),
            ImportSource::CalDav(args) => ("caldav", &args.archive, &args.common),
            ImportSource::CardDav(args) => ("carddav", &args.archive, &args.common),
            ImportSource::WebDav(args) => ("webdav", &args.archive, &args.common),
            ImportSource::ManageSieve(args) => ("managesieve", &args.archive, &args.common),
        };
        (kind, archive, common.reporting.unless(common.dry_run))
    }

    /// Opens the source. Finds the secret, so it may run a command or ask at the terminal.
    pub(super) fn open(self, ui: &Ui) -> Result<Opened> {
        let (source, archive, common): (Box<dyn Source>, PathBuf, Common) = match self {
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
                (Box::new(Maildir::open(&args.maildir, options)?), args.archive, args.common)
            }
            ImportSource::Takeout(args) => {
                let options = FilesOptions {
                    noautomap: args.noautomap,
                    include_deleted: args.include_deleted,
                    spool: spool(&args.archive),
                };
                (Box::new(ExportedFiles::takeout(&args.path, options)?), args.archive, args.common)
            }
            ImportSource::Mox(args) => {
                let options = MoxOptions {
                    account: args.account,
                    filter: args.folders.filter()?,
                    noautomap: args.folders.noautomap,
                    include_deleted: args.include_deleted,
                    spool: spool(&args.archive),
                };
                (Box::new(Mox::open(&args.directory, options)?), args.archive, args.common)
            }
            ImportSource::Files(files) => return files.open(),
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
                (Box::new(Imap::new(account, options)), args.archive, args.common)
            }
            ImportSource::Jmap(args) => {
                let options =
                    JmapOptions { which: args.which.which(), objects: args.objects, threads: args.network.threads() };
                let settings = args.network.jmap(&args.auth, args.allow_other_origin, spool(&args.archive), ui)?;
                (Box::new(Jmap::open(settings, options)?), args.archive, args.common)
            }
            ImportSource::CalDav(args) => {
                let source = Collections::open(args.settings(Flavor::Calendars, ui)?)?;
                (Box::new(source), args.archive, args.common)
            }
            ImportSource::CardDav(args) => {
                let source = Collections::open(args.settings(Flavor::Contacts, ui)?)?;
                (Box::new(source), args.archive, args.common)
            }
            ImportSource::WebDav(args) => {
                let source = Files::open(args.settings(Flavor::Files, ui)?)?;
                (Box::new(source), args.archive, args.common)
            }
            ImportSource::ManageSieve(args) => {
                let account = args.network.account(Service::Sieve, &args.auth, ui)?;
                (Box::new(ManageSieve::open(account)?), args.archive, args.common)
            }
        };
        let (options, dry_run) = common.options();
        Ok(Opened { source, archive, options, dry_run, keeps_index: common.index.is_kept() })
    }
}
