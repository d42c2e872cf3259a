//! `vandelay restore-check ARCHIVE`.

use super::args::{AtFlag, number};
use super::auth::{Auth, WhichAccount, url_help};
use super::dav::DavServer;
use super::export_part::{CALENDARS, CONTACTS, FILES, MAIL, SCRIPTS};
use super::json;
use super::opened::{open_archive, tree_at};
use super::restore_report::{Differences, Losses};
use super::ui::{Ui, counted, interrupt_flag};
use super::verify::{damage, list_findings, tell_extent, tell_headless};
use crate::archive::{Depth, Moment, Reader, Verdict, verify_while};
use crate::error::{Error, ErrorKind, Result};
use crate::export;
use crate::model::ObjectType;
use crate::net::endpoint::Service;
use crate::progress::Progress;
use crate::proof::{self, Restored};
use crate::protocol::dav::Flavor;
use crate::sink::Sink;
use crate::sink::dav::{Collections, Files};
use crate::sink::imap::{Imap, ImapSettings};
use crate::sink::jmap::account::Jmap;
use crate::sink::managesieve::ManageSieve;
use clap::builder::Resettable;
use clap::{Arg, ArgGroup, Args, ValueEnum};
use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

const EXPLANATION: &str = "\
Without --against, everything is read back as a restore would read it: 'vandelay verify', then
each object by its path in the tree, its bytes and its digest, the flags and dates in the names
of messages, and events and cards parsed again.

With --against, the archive is compared with an account. Each line: + only the account has it;
a minus: only the archive has it; ~ both have it, and what differs. Nothing is written.

Exit codes: 0 all is restored, or the same; 5 a conversion loses something, or the account
differs; 8 damage.";

/// `--url`
const URL: &str = "URL of the server, as 'vandelay export' takes it for this kind of server";

/// Arguments that say something without `--against`; all others are of the server.
const OF_ARCHIVE: [&str; 3] = ["archive", "at", "against"];

#[derive(Args)]
#[command(after_help = EXPLANATION)]
#[command(group(ArgGroup::new("login").args(["auth_basic", "auth_bearer"])))]
#[command(mut_args(of_server), mut_arg("url", url_help(URL)))]
pub(crate) struct RestoreCheck {
    /// The archive
    archive: PathBuf,
    #[command(flatten)]
    at: AtFlag,
    /// Compare with the account on a server of this kind, and write nothing to it
    #[arg(long, value_name = "KIND", requires_all = ["url", "login"])]
    against: Option<Kind>,
    /// Compare only these types, separated by commas, e.g. email,mailbox
    #[arg(long, value_name = "LIST", value_delimiter = ',', value_parser = super::import::parse_kind)]
    objects: Option<Vec<ObjectType>>,
    #[command(flatten)]
    server: Option<Server>,
}

/// Its group has the URL as a member: clap takes an optional struct for given if one of its own arguments is.
#[derive(Args)]
#[group(args = ["url"])]
struct Server {
    #[command(flatten)]
    which: WhichAccount,
    /// IMAP: open at most this many connections, 1 to 8
    #[arg(long, value_name = "N", default_value_t = 4, value_parser = number::<u64>(1..=8), help_heading = "Connection")]
    imap_connections: u64,
    #[command(flatten)]
    dav: DavServer,
}

/// The protocol of a server.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Kind {
    Imap,
    Jmap,
    #[value(name = "caldav")]
    CalDav,
    #[value(name = "carddav")]
    CardDav,
    #[value(name = "webdav")]
    WebDav,
    #[value(name = "managesieve")]
    ManageSieve,
}

/// Makes a flag of the server one that needs `--against`, and nothing else.
fn of_server(arg: Arg) -> Arg {
    if OF_ARCHIVE.contains(&arg.get_id().as_str()) {
        return arg;
    }
    arg.required(false).required_unless_present(Resettable::Reset).requires("against")
}

impl Kind {
    /// The types that such a server has.
    fn types(self) -> &'static [ObjectType] {
        match self {
            Kind::Imap => &MAIL,
            Kind::Jmap => &ObjectType::ALL,
            Kind::CalDav => &CALENDARS,
            Kind::CardDav => &CONTACTS,
            Kind::WebDav => &FILES,
            Kind::ManageSieve => &SCRIPTS,
        }
    }
}

impl Server {
    fn open(&self, kind: Kind, ui: &Ui) -> Result<Box<dyn Sink>> {
        let spool = std::env::temp_dir();
        let DavServer { auth, network, .. } = &self.dav;
        let account = |service: Service, auth: &Auth| network.account(service, auth, ui);
        Ok(match kind {
            Kind::Imap => {
                let (account, connections) = (account(Service::Imap, auth)?, self.imap_connections as usize);
                Box::new(Imap::open(ImapSettings { account, connections, spool })?)
            }
            Kind::Jmap => {
                if !self.which.is_given() {
                    let what = "--against jmap needs --account-name or --account-id";
                    return Err(Error::new(ErrorKind::Usage, what));
                }
                let settings = network.jmap(auth, self.dav.allow_other_origin, spool, ui)?;
                Box::new(Jmap::open(settings, Some(&self.which.which()))?)
            }
            Kind::CalDav => Box::new(Collections::open(self.dav.settings(Flavor::Calendars, spool, ui)?, false)?),
            Kind::CardDav => Box::new(Collections::open(self.dav.settings(Flavor::Contacts, spool, ui)?, false)?),
            Kind::WebDav => Box::new(Files::open(self.dav.settings(Flavor::Files, spool, ui)?)?),
            Kind::ManageSieve => Box::new(ManageSieve::open(account(Service::Sieve, auth)?)?),
        })
    }
}

impl RestoreCheck {
    pub(crate) fn run(self, ui: &Ui) -> Result<()> {
        let reader = Arc::new(open_archive(&self.archive, ui)?);
        let moment = reader.resolve(self.at.at)?;
        let ended = match (self.against, &self.server) {
            (Some(kind), Some(server)) => self.compare(kind, server, &reader, moment, ui),
            _ => self.prove(&reader, moment, ui),
        };
        ended.map_err(|error| match error.kind {
            ErrorKind::Interrupted => {
                error.hint("nothing was changed; what is named above is what was found until then")
            }
            _ => error,
        })
    }

    /// Reads everything back. Blobs are hashed meanwhile: both read the same bytes.
    fn prove(&self, reader: &Arc<Reader>, moment: Moment, ui: &Ui) -> Result<()> {
        let tree = tree_at(reader, moment)?;
        let stopped = interrupt_flag();
        let (start, progress) = (Instant::now(), ui.progress(Arc::clone(&stopped)));
        progress.step("reading everything back");
        let counts: Vec<u64> =
            ObjectType::ALL.into_iter().map(|kind| reader.count_records(kind, moment)).collect::<Result<_>>()?;
        progress.expect("", counts.iter().sum());
        let threads = std::thread::available_parallelism().map_or(1, usize::from);
        let mut losses = Losses::default();
        let (verdict, restored) = std::thread::scope(|scope| {
            let verifying = scope.spawn(|| verify_while(reader, Depth::WHOLE, |_, _| !stopped.load(Ordering::Relaxed)));
            let mut told = |finding| losses.tell(ui, &finding);
            let restored = proof::check(&tree, threads, &progress, &mut told);
            progress.step("checking the blobs that are left");
            let ended = || Err(Error::new(ErrorKind::Storage, "a thread ended too early"));
            (verifying.join().unwrap_or_else(|_| ended()), restored)
        });
        progress.done();
        let (verdict, restored) = (verdict?, restored?);
        losses.end(ui);
        list_findings(ui, reader, &verdict);
        self.sum_up((&verdict, start.elapsed()), &restored, (reader, moment), ui)?;
        if let Some(error) = damage(&self.archive, &verdict) {
            return Err(error);
        }
        match (restored.damaged(), restored.lossy()) {
            (0, 0) => Ok(()),
            (0, lossy) => {
                let what = format!("{} cannot be restored without losses", counted(lossy, "object"));
                Err(Error::new(ErrorKind::Partial, what)
                    .hint("they are named above; the archive itself holds all of them, and is not damaged"))
            }
            (damaged, _) => {
                let what =
                    format!("archive {} does not restore {}", self.archive.display(), counted(damaged, "object"));
                Err(Error::new(ErrorKind::Damaged, what)
                    .hint("keep this file; restore the damaged objects from another copy, or import again"))
            }
        }
    }

    fn sum_up(
        &self,
        (verdict, took): (&Verdict, Duration),
        restored: &Restored,
        (reader, moment): (&Reader, Moment),
        ui: &Ui,
    ) -> Result<()> {
        if ui.json {
            ui.object(
                "summary",
                serde_json::json!({
                    "archive": json::on_disk(&self.archive), "snapshot": json::snapshot(moment),
                    "types": restored.types, "headless": restored.headless, "read_size": restored.bytes,
                    "finding_count": verdict.findings.len() as u64 + verdict.more, "remark_count": verdict.remarks.len(),
                    "incomplete": json::incomplete(reader.incomplete()?.as_ref()),
                }),
            );
            return Ok(());
        }
        tell_headless(ui, &restored.headless);
        super::restore_report::tell_restored(ui, restored);
        tell_extent(ui, &self.archive, verdict, took);
        Ok(())
    }

    /// Looks at the account, and says what differs.
    fn compare(&self, kind: Kind, server: &Server, reader: &Arc<Reader>, moment: Moment, ui: &Ui) -> Result<()> {
        let mut kinds: BTreeSet<ObjectType> = kind.types().iter().copied().collect();
        if let Some(wanted) = &self.objects {
            if let Some(other) = wanted.iter().find(|wanted| !kinds.contains(wanted)) {
                let what = format!("--objects {}: a server of this kind has none of this type", other.token());
                return Err(Error::new(ErrorKind::Usage, what));
            }
            kinds = wanted.iter().copied().collect();
        }
        let tree = tree_at(reader, moment)?;
        let progress = ui.progress(interrupt_flag());
        let mut differences = Differences::new(&tree);
        let compared = server.open(kind, ui).and_then(|mut target| {
            let account = target.name();
            let mut told = |one| differences.tell(ui, &one);
            let compared = export::compare(target.as_mut(), (reader, moment), kinds, &progress, &mut told);
            compared.map(|comparison| (account, comparison))
        });
        progress.done();
        let (account, comparison) = compared.map_err(|error| reader.or_forgotten(moment, error))?;
        differences.end(ui);
        comparison.notes.iter().for_each(|note| ui.warn(note));
        for token in &comparison.gaps {
            ui.warn(&format!("the server did not list all that it has of the type {token}: it may have more"));
        }
        if ui.json {
            ui.object(
                "summary",
                serde_json::json!({
                    "archive": json::on_disk(&self.archive), "snapshot": json::snapshot(moment),
                    "account": account, "types": json::counts(&serde_json::to_value(&comparison.types).unwrap_or_default()), "notes": comparison.notes, "gaps": comparison.gaps,
                }),
            );
        } else {
            super::restore_report::tell_compared(ui, &comparison);
        }
        let (count, failed) = (comparison.differences(), comparison.failed());
        if failed > 0 {
            let what = format!("{} of the archive cannot be read", counted(failed, "object"));
            return Err(Error::new(ErrorKind::Damaged, what).hint("'vandelay verify' names the damage"));
        }
        if count > 0 {
            let what = format!("the account {account} and the archive differ in {}", counted(count, "object"));
            return Err(Error::new(ErrorKind::Partial, what).hint(
                "'vandelay import' brings the archive up to date, 'vandelay export' the account; nothing was changed",
            ));
        }
        if !comparison.gaps.is_empty() {
            let what = "the server did not list all that it has, so it is not known whether the account is the same";
            return Err(Error::new(ErrorKind::Partial, what).hint("run the same command again"));
        }
        Ok(())
    }
}
