//! `vandelay export maildir|mbox|eml|ics|vcf|sieve|tar`: an archive, or a part of it, as files.

use super::args::AtFlag;
use super::export_part::{CALENDARS, CONTACTS, MAIL, Part, SCRIPTS, types_help};
use super::export_report::{Summary, warn_of_nothing};
use super::extract_report::{other_dates, other_names};
use super::files::NamesFlag;
use super::opened::open_archive;
use super::progress_bar::Bar;
use super::ui::{Ui, bytes, counted, interrupt_flag};
use crate::error::{Error, ErrorKind, Result};
use crate::export::{Chosen, Plan, Report};
use crate::extract::medium::{Disk, Medium, NewFile};
use crate::extract::{
    Destination, Entry, Fate, Form, NO_DIRECTORY, Note, Observer, Wish, count_objects, write_files, write_tar,
};
use crate::model::{Id, ObjectType};
use crate::progress::Progress;
use crate::tree::{FileType, Layout, Tree, TreeOptions, name};
use clap::{Args, Subcommand, ValueEnum};
use std::collections::{BTreeMap, HashMap};
use std::io::{BufWriter, IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// What a tar stream has: all types that the tree shows.
const TREE: [ObjectType; 10] = [
    ObjectType::Mailbox,
    ObjectType::Email,
    ObjectType::Identity,
    ObjectType::SieveScript,
    ObjectType::AddressBook,
    ObjectType::ContactCard,
    ObjectType::Calendar,
    ObjectType::CalendarEvent,
    ObjectType::ParticipantIdentity,
    ObjectType::FileNode,
];

/// Identities are one file of the tree.
const IDENTITIES: [ObjectType; 2] = [ObjectType::Identity, ObjectType::ParticipantIdentity];

/// Files that an archive is written as.
#[derive(Subcommand)]
pub(crate) enum FileTarget {
    /// The mail, into a directory as a Maildir
    #[command(mut_arg("objects", types_help(&MAIL)))]
    Maildir(MaildirArgs),
    /// The mail, into a directory as one mbox file for each mailbox
    #[command(mut_arg("objects", types_help(&MAIL)))]
    Mbox(DirectoryArgs),
    /// The mail, into a directory as one .eml file for each message
    #[command(mut_arg("objects", types_help(&MAIL)))]
    Eml(DirectoryArgs),
    /// The calendars, into a directory as one .ics file each
    #[command(mut_arg("objects", types_help(&CALENDARS)))]
    Ics(DirectoryArgs),
    /// The address books, into a directory as one .vcf file each
    #[command(mut_arg("objects", types_help(&CONTACTS)))]
    Vcf(DirectoryArgs),
    /// The Sieve scripts, into a directory
    #[command(mut_arg("objects", types_help(&SCRIPTS)))]
    Sieve(DirectoryArgs),
    /// Everything, into a tar file or to the standard output
    #[command(mut_arg("objects", types_help(&TREE)))]
    Tar(TarArgs),
}

#[derive(Args)]
pub(crate) struct MaildirArgs {
    #[command(flatten)]
    common: Common,
    /// The directory; created if it does not exist
    #[arg(value_name = "DIR")]
    directory: PathBuf,
    /// How folders are arranged: fs = directories in directories; maildir++ = as Dovecot and Courier want them, the inbox at
    /// the top and every other folder a '.A.B' in it
    #[arg(long, value_enum, default_value = "fs", value_name = "WHICH")]
    layout: LayoutArg,
}

#[derive(Clone, Copy, ValueEnum)]
enum LayoutArg {
    Fs,
    #[value(name = "maildir++")]
    MaildirPlusPlus,
}

#[derive(Args)]
pub(crate) struct DirectoryArgs {
    #[command(flatten)]
    common: Common,
    /// The directory; created if it does not exist
    #[arg(value_name = "DIR")]
    directory: PathBuf,
}

#[derive(Args)]
pub(crate) struct TarArgs {
    #[command(flatten)]
    common: Common,
    /// The tar file, which must not exist yet, or - for the standard output
    #[arg(value_name = "FILE")]
    file: PathBuf,
}

#[derive(Args)]
struct Common {
    /// The archive
    archive: PathBuf,
    /// Show what would be done, and write nothing
    #[arg(long)]
    dry_run: bool,
    #[command(flatten)]
    names: NamesFlag,
    /// Leave alone what is there: a file of one object with the same name and size, and any other file with the same name;
    /// otherwise the bytes are compared
    #[arg(long)]
    skip_existing: bool,
    #[command(flatten)]
    at: AtFlag,
    #[command(flatten)]
    part: Part,
    /// Only for the error that says why there is none.
    #[arg(long, hide = true)]
    update: bool,
    #[arg(long, hide = true)]
    prune: bool,
}

impl FileTarget {
    pub(crate) fn run(self, ui: &Ui) -> Result<()> {
        let (args, form) = match self {
            FileTarget::Maildir(MaildirArgs { common, directory, layout }) => {
                let layout = match layout {
                    LayoutArg::Fs => Layout::Nested,
                    LayoutArg::MaildirPlusPlus => Layout::MaildirPlusPlus,
                };
                return common.write_directory(Form::Maildir, &directory, layout, ui);
            }
            FileTarget::Tar(args) => return args.common.write_stream(&args.file, ui),
            FileTarget::Mbox(args) => (args, Form::Mbox),
            FileTarget::Eml(args) => (args, Form::Eml),
            FileTarget::Ics(args) => (args, Form::Ics),
            FileTarget::Vcf(args) => (args, Form::Vcf),
            FileTarget::Sieve(args) => (args, Form::Sieve),
        };
        args.common.write_directory(form, &args.directory, Layout::default(), ui)
    }
}

/// The types that a form holds, and what of them it does not carry.
fn contents(form: Form) -> (&'static [ObjectType], &'static str) {
    match form {
        Form::Maildir => (&MAIL, "roles of mailboxes; beyond 26 keywords in a mailbox, keywords"),
        Form::Mbox => (&MAIL, "roles and subscriptions of mailboxes; CRLF, which becomes LF"),
        Form::Eml => (&MAIL, "flags and keywords; roles and subscriptions of mailboxes"),
        Form::Ics => (&CALENDARS, "descriptions, colours and order of calendars"),
        Form::Vcf => (&CONTACTS, "descriptions of address books"),
        Form::Sieve => (&SCRIPTS, "nothing else"),
    }
}

impl Common {
    fn write_directory(&self, form: Form, into: &Path, layout: Layout, ui: &Ui) -> Result<()> {
        let (kinds, lost) = contents(form);
        let mut into = into.to_owned();
        if let Some(folder) = &self.part.into {
            into.push(name::safe(folder, ""));
        }
        self.run(kinds, layout, ui, |tree, export| {
            if self.dry_run && lost != "nothing else" {
                ui.info(&format!("not carried: {lost}"));
            }
            export.has_maildir_names = form == Form::Maildir;
            let destination = Destination {
                into: &into,
                names: self.names.names(),
                medium: &Disk,
                is_dry: self.dry_run,
                skips_existing: self.skip_existing,
            };
            export.expect(Some(form))?;
            write_files(tree, form, &destination, export)
        })
    }

    fn write_stream(&self, file: &Path, ui: &Ui) -> Result<()> {
        let is_stream = file == Path::new("-");
        if is_stream && (ui.json || std::io::stdout().is_terminal()) && !self.dry_run {
            let what = match ui.json {
                true => "--json and the tar file cannot both go to the standard output",
                false => "the standard output is a terminal, which cannot show a tar file",
            };
            return Err(Error::new(ErrorKind::Usage, what).hint("name a file in the place of '-', or write '| tar …'"));
        }
        if !is_stream && file.symlink_metadata().is_ok() {
            return Err(Error::new(ErrorKind::Storage, format!("{} is there already", file.display()))
                .hint("no file is overwritten: name another one"));
        }
        let top = self.part.into.as_deref().map(|top| name::safe(top, "")).unwrap_or_default();
        let names = self.names.names();
        self.run(&TREE, Layout::default(), ui, |tree, export| {
            (export.has_maildir_names, export.is_one_file) = (true, true);
            export.expect(None)?;
            if self.dry_run {
                return write_tar(tree, &top, None, names, export);
            }
            if is_stream {
                export.is_stream = true;
                return write_tar(tree, &top, Some(buffered(std::io::stdout())), names, export);
            }
            let cannot = |error| Error::io(format!("cannot write {}", file.display()), error);
            let directory = file.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
            let mut new: NewFile = Disk.file(directory).map_err(cannot)?;
            let out = new.open().and_then(|file| file.try_clone()).map_err(cannot)?;
            // What is written of it is gone with the run.
            write_tar(tree, &top, Some(buffered(out)), names, export).map_err(|error| match error.kind {
                ErrorKind::Storage => error.hint("a tar file is begun anew; see that there is room for all of it"),
                _ => error,
            })?;
            Disk.name(&mut new, file).map_err(cannot)
        })
    }

    /// Writes what `write` writes, and tells of it.
    fn run(
        &self,
        kinds: &[ObjectType],
        layout: Layout,
        ui: &Ui,
        write: impl FnOnce(&Tree, &mut FileExport<'_>) -> Result<()>,
    ) -> Result<()> {
        for (flag, is_given) in [("--update", self.update), ("--prune", self.prune)] {
            if is_given {
                let what = format!("{flag}: an export into files changes and deletes no file that is there");
                return Err(Error::new(ErrorKind::Usage, what).hint("write into a new directory"));
            }
        }
        let reader = Arc::new(open_archive(&self.archive, ui)?);
        let moment = self.part.moment(&reader, self.at.at)?;
        let selection = self.part.selection(&reader, moment, kinds)?;
        let tree =
            Tree::open(Arc::clone(&reader), TreeOptions { at: moment.into(), layout, ..TreeOptions::default() })?;
        let progress = ui.progress(interrupt_flag());
        let mut export = FileExport {
            tree: &tree,
            chosen: Chosen::read(&reader, moment, &selection)?,
            plan: Plan::default(),
            report: Report::default(),
            renamed: 0,
            undated: 0,
            unread: 0,
            failed_parts: 0,
            has_maildir_names: false,
            is_stream: false,
            is_one_file: false,
            full: HashMap::new(),
            form: None,
            progress: &progress,
            ui,
        };
        let written = write(&tree, &mut export);
        progress.done();
        if written.is_err() {
            export.count_rest();
        }
        if export.report.failed() + export.failed_parts > 0 {
            tree.require()?;
        }
        match &written {
            // Of a tar file that is not whole nothing is there.
            Err(_) if export.is_one_file => self.summary().remarks(&export.report, ui),
            _ => self.tell(&export, ui),
        }
        written.map_err(|error| match error.kind {
            ErrorKind::Interrupted if export.is_one_file => error.hint("a tar file is begun anew by the next run"),
            ErrorKind::Interrupted => error.hint("run the same command again to go on"),
            _ => error,
        })?;
        if !self.dry_run {
            warn_of_nothing(&export.report, kinds, ui);
        }
        let what = match (export.report.failed(), export.failed_parts) {
            (0, 0) => return Ok(()),
            (0, parts) => format!("{} around the objects", counted(parts, "file")),
            (objects, _) => counted(objects, "object"),
        };
        let what = match self.dry_run {
            true => format!("cannot write {what}"),
            false => format!("could not write {what}; everything else is there"),
        };
        Err(Error::new(ErrorKind::Partial, what).hint("each one is named above with the reason"))
    }

    fn summary(&self) -> Summary<'_> {
        Summary { archive: &self.archive, dry_run: self.dry_run, sent: "written" }
    }

    fn tell(&self, export: &FileExport<'_>, ui: &Ui) {
        if export.renamed > 0 {
            ui.info(&other_names(export.renamed));
        }
        if export.unread > 0 {
            let what = counted(export.unread, "object");
            ui.info(&format!("{what} in files that were there and were not read (--skip-existing)"));
        }
        if export.undated > 0 {
            ui.info(&other_dates(export.undated));
        }
        let summary = self.summary();
        if !export.is_stream {
            return summary.tell(&export.plan, &export.report, ui);
        }
        // The standard output has the tar file.
        summary.remarks(&export.report, ui);
        ui.info(export.report.to_string().trim_end());
        ui.info(&format!("{} written", bytes(export.report.bytes)));
    }
}

fn buffered<'a>(out: impl Write + 'a) -> Box<dyn Write + 'a> {
    Box::new(BufWriter::with_capacity(1 << 20, out))
}

/// Decides by a selection what is written, and counts.
struct FileExport<'a> {
    tree: &'a Tree,
    chosen: Chosen,
    plan: Plan,
    report: Report,
    renamed: u64,
    undated: u64,
    /// Objects that are there in files that were not read.
    unread: u64,
    /// Directories and files that are no objects of their own and could not be written.
    failed_parts: u64,
    /// Keywords of messages are letters in names of files.
    has_maildir_names: bool,
    /// The standard output is what is written.
    is_stream: bool,
    /// All goes into one file, which is there as a whole or not at all.
    is_one_file: bool,
    /// Whether all letters of a mailbox are taken.
    full: HashMap<Id, bool>,
    /// What is written; `None` is a tar stream.
    form: Option<Form>,
    progress: &'a Bar,
    ui: &'a Ui,
}

impl FileExport<'_> {
    /// Finds out how much there is to do, if anybody wants to know.
    fn expect(&mut self, form: Option<Form>) -> Result<()> {
        self.form = form;
        let progress = self.progress;
        if progress.is_seen() {
            progress.step("counting the objects");
            let counts = self.objects(&|| progress.interrupted())?;
            let what = if counts.len() > 1 { "" } else { counts.keys().next().map_or("", |kind| kind.token()) };
            progress.expect(what, counts.values().sum());
        }
        Ok(())
    }

    /// How many objects of each type are wanted.
    fn objects(&mut self, is_over: &dyn Fn() -> bool) -> Result<BTreeMap<ObjectType, u64>> {
        count_objects(self.tree, self.form, &mut |entry| match is_over() {
            true => Err(Error::new(ErrorKind::Interrupted, "interrupted")),
            false => Ok(self.wish(entry)),
        })
    }

    /// Counts what a run that ends early did not come to. Names are read quickly, and another Ctrl-C ends it.
    fn count_rest(&mut self) {
        for (kind, count) in self.objects(&|| false).unwrap_or_default() {
            let account = self.report.of(kind);
            account.not_reached += count.saturating_sub(account.found);
            account.found = account.found.max(count);
        }
    }

    /// Counts what became of so many objects of a type.
    fn count(&mut self, kind: ObjectType, objects: u64, fate: &Fate, shown: &str) {
        self.report.of(kind).found += objects;
        match fate {
            Fate::Written(_) | Fate::Planned => {
                self.report.of(kind).created += objects;
                (0..objects).for_each(|_| self.plan.of(kind).create(|| shown.to_owned()));
            }
            Fate::There | Fate::ThereUnread => {
                self.unread += if *fate == Fate::ThereUnread { objects } else { 0 };
                self.report.of(kind).matched += objects;
                self.plan.of(kind).keep += objects;
            }
            Fate::Skipped(why) => self.report.skip(kind, objects, why, shown.to_owned()),
            Fate::Failed(why) => self.report.fail(kind, objects, why, shown.to_owned()),
            Fate::NoDirectory => self.report.fail(kind, objects, NO_DIRECTORY, shown.to_owned()),
        }
    }

    /// Something that is no object of its own.
    fn part(&mut self, kind: ObjectType, fate: Fate, shown: &str) {
        if let Fate::Failed(why) = fate {
            self.failed_parts += 1;
            self.report.remark(kind, "failed", why, shown.to_owned());
        }
    }

    /// Names the keywords that the name of a message has no letters for.
    fn note_lost_keywords(&mut self, mailbox: Id, entry: &Entry<'_>) -> Result<()> {
        let is_full = match self.full.get(&mailbox) {
            Some(is_full) => *is_full,
            None => self.tree.has_no_letter_left(mailbox)?,
        };
        self.full.insert(mailbox, is_full);
        if is_full {
            let lost = self.tree.keywords_without_letter(mailbox, entry.node)?;
            if !lost.is_empty() {
                let reason = "its folder has more than 26 keywords, and these have no letter";
                let position = format!("{}: {}", entry.shown, lost.join(" "));
                self.report.remark(ObjectType::Email, "changed", reason.to_owned(), position);
            }
        }
        Ok(())
    }
}

/// True for the files with the name and the colour of a collection.
fn is_beside(kind: ObjectType, is_directory: bool) -> bool {
    !is_directory && kind != ObjectType::FileNode && ObjectType::CONTAINERS.contains(&kind)
}

impl Observer for FileExport<'_> {
    fn wish(&mut self, entry: &Entry<'_>) -> Wish {
        let is_directory = entry.stat.file_type == FileType::Directory;
        let is_meant = match entry.node.shown_object() {
            None if entry.node.made_of().is_empty() => return Wish::WithDirectory,
            None => entry.node.made_of().iter().any(|kind| self.chosen.has_all(*kind)),
            Some((kind, row)) if is_directory => self.chosen.has_whole(kind, row),
            Some((kind, _)) if is_beside(kind, is_directory) => return Wish::WithDirectory,
            Some((kind, row)) => {
                let container = entry.holder.shown_object().map(|(_, row)| row);
                self.chosen.has(kind, row, container, entry.stat.mtime)
            }
        };
        if is_meant { Wish::Yes } else { Wish::No }
    }

    fn told(&mut self, entry: &Entry<'_>, fate: Fate) -> Result<()> {
        if self.progress.interrupted() {
            return Err(Error::new(ErrorKind::Interrupted, "interrupted"));
        }
        let bytes = if let Fate::Written(bytes) = fate { bytes } else { 0 };
        self.report.bytes += bytes;
        let is_directory = entry.stat.file_type == FileType::Directory;
        let shown = entry.node.shown_object();
        match shown {
            // `cur` shows its mailbox, too; a collection has files beside its items.
            Some((kind, _))
                if (is_directory && shown == entry.holder.shown_object()) || is_beside(kind, is_directory) =>
            {
                self.part(kind, fate, entry.shown);
            }
            Some((kind, _)) => {
                self.count(kind, 1, &fate, entry.shown);
                let is_there = !matches!(fate, Fate::Skipped(_) | Fate::Failed(_) | Fate::NoDirectory);
                if self.has_maildir_names
                    && is_there
                    && let (ObjectType::Email, Some((_, mailbox))) = (kind, entry.holder.shown_object())
                {
                    self.note_lost_keywords(mailbox, entry)?;
                }
                self.progress.item(bytes);
            }
            None if !is_directory && entry.node.made_of() == IDENTITIES => {
                for kind in IDENTITIES.into_iter().filter(|kind| self.chosen.has_all(*kind)).collect::<Vec<_>>() {
                    let records = self.tree.reader().records(kind, self.tree.moment())?.len() as u64;
                    self.count(kind, records, &fate, entry.shown);
                }
            }
            None => {
                let kind = entry.node.made_of().first().copied().unwrap_or(ObjectType::Mailbox);
                self.part(kind, fate, entry.shown);
            }
        }
        Ok(())
    }

    fn note(&mut self, entry: &Entry<'_>, note: Note) {
        match note {
            Note::Renamed(name) => {
                self.renamed += 1;
                self.ui.detail(&format!("{} is written as {name}", entry.shown));
            }
            Note::LinkAsFile => self.renamed += 1,
            Note::Undated => self.undated += 1,
        }
    }
}
