//! `vandelay import mbox|eml|ics|vcf PATH… ARCHIVE`: files that the user names one by one.

use super::args::{IndexFlag, spool};
use super::import_opened::Opened;
use super::reporting::Reporting;
use crate::archive::is_archive;
use crate::error::{Error, ErrorKind, Result};
use crate::import::ImportOptions;
use crate::source::files::{ExportedFiles, FileKind, FilesOptions, NamedFiles};
use clap::{Args, Subcommand};
use std::path::{Path, PathBuf};

/// Files of one kind.
#[derive(Subcommand)]
pub(crate) enum FilesSource {
    /// Mbox files of any name, folders of them (a Thunderbird profile), or standard input
    Mbox(MailFiles),
    /// Files of one message each and folders of them: .eml, .emlx, MH, exports of Proton Mail and Gmvault
    Eml(MailFiles),
    /// Calendar files (.ics) and folders of them (vdir)
    Ics(CalendarFiles),
    /// Contact files (.vcf) and folders of them (vdir)
    Vcf(CardFiles),
}

#[derive(Args)]
pub(crate) struct MailFiles {
    #[command(flatten)]
    paths: Paths,
    /// The mailbox that everything goes into; mailboxes and labels that the files name lie below it (default: the name of the
    /// file or folder)
    #[arg(long, value_name = "NAME")]
    mailbox: Option<String>,
    /// Give no roles to mailboxes like Sent or Trash, and keep Gmail's own labels under their names
    #[arg(long)]
    noautomap: bool,
    /// Import messages marked as deleted too, with the keyword $deleted
    #[arg(long)]
    include_deleted: bool,
    #[command(flatten)]
    common: Common,
}

#[derive(Args)]
pub(crate) struct CalendarFiles {
    #[command(flatten)]
    paths: Paths,
    /// The calendar that everything goes into (default: the name in the file, else that of the file or folder)
    #[arg(long, value_name = "NAME")]
    calendar: Option<String>,
    #[command(flatten)]
    common: Common,
}

#[derive(Args)]
pub(crate) struct CardFiles {
    #[command(flatten)]
    paths: Paths,
    /// The address book that everything goes into (default: the name of the file or folder)
    #[arg(long, value_name = "NAME")]
    addressbook: Option<String>,
    #[command(flatten)]
    common: Common,
}

#[derive(Args)]
struct Paths {
    /// Files and folders; - is standard input
    #[arg(value_name = "PATH", required = true, num_args = 1..)]
    paths: Vec<PathBuf>,
    /// The archive; created if it does not exist
    archive: PathBuf,
}

#[derive(Args)]
struct Common {
    /// Show what would be done, and change nothing
    #[arg(long)]
    dry_run: bool,
    /// Read all files, also those that have not changed
    #[arg(long)]
    full: bool,
    #[command(flatten)]
    index: IndexFlag,
    #[command(flatten)]
    reporting: Reporting,
}

impl FilesSource {
    /// The kind, the archive, and whom the run is told to.
    pub(super) fn place(&self) -> (&'static str, &Path, Reporting) {
        let (kind, paths, common) = match self {
            FilesSource::Mbox(args) => ("mbox", &args.paths, &args.common),
            FilesSource::Eml(args) => ("eml", &args.paths, &args.common),
            FilesSource::Ics(args) => ("ics", &args.paths, &args.common),
            FilesSource::Vcf(args) => ("vcf", &args.paths, &args.common),
        };
        (kind, &paths.archive, common.reporting.unless(common.dry_run))
    }

    /// Looks at the files.
    pub(super) fn open(self) -> Result<Opened> {
        let (only, paths, name, common, noautomap, include_deleted) = match self {
            FilesSource::Mbox(args) => {
                (FileKind::Mbox, args.paths, args.mailbox, args.common, args.noautomap, args.include_deleted)
            }
            FilesSource::Eml(args) => {
                (FileKind::Messages, args.paths, args.mailbox, args.common, args.noautomap, args.include_deleted)
            }
            FilesSource::Ics(args) => (FileKind::Calendar, args.paths, args.calendar, args.common, false, false),
            FilesSource::Vcf(args) => (FileKind::Cards, args.paths, args.addressbook, args.common, false, false),
        };
        let name = name.map(|name| checked(only, &name)).transpose()?;
        let Paths { paths, archive } = paths;
        if let Some(first) = paths.iter().find(|path| is_archive(path)) {
            return Err(Error::new(
                ErrorKind::Usage,
                format!("{} is an archive, and no file to import", first.display()),
            )
            .hint("the archive comes last"));
        }
        let spool = spool(&archive);
        let named = NamedFiles { paths, only, name };
        let source = ExportedFiles::named(&named, FilesOptions { noautomap, include_deleted, spool })?;
        let options = ImportOptions { full: common.full, ..ImportOptions::default() };
        let keeps_index = common.index.is_kept();
        Ok(Opened { source: Box::new(source), archive, options, dry_run: common.dry_run, keeps_index })
    }
}

/// A name without empty parts.
fn checked(only: FileKind, name: &str) -> Result<String> {
    let is_path = matches!(only, FileKind::Mbox | FileKind::Messages);
    let checked = match is_path {
        true => name.split('/').map(str::trim).filter(|part| !part.is_empty()).collect::<Vec<_>>().join("/"),
        false => name.trim().to_owned(),
    };
    if checked.is_empty() {
        let hint = if is_path { "a mailbox below another one is written Parent/Child" } else { "give it a name" };
        return Err(Error::new(ErrorKind::Usage, format!("{name:?} is no name")).hint(hint));
    }
    Ok(checked)
}
