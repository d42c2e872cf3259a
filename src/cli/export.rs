//! `vandelay export … ARCHIVE`.

use super::args::{AtFlag, tree_path};
use super::auth::{Auth, Network, WhichAccount};
use super::table;
use super::ui::{Ui, bytes, counted, interrupt_flag};
use crate::archive::{Reader, epoch};
use crate::error::{Error, ErrorKind, Result};
use crate::export::{self, Done, ExportOptions, Plan, Remark, Selection};
use crate::model::ObjectType;
use crate::sink::Sink;
use crate::sink::jmap::account::Jmap;
use crate::tree::{self, Tree};
use clap::Args;
use clap::builder::NonEmptyStringValueParser;
use std::collections::HashMap;
use std::ffi::OsString;
use std::io::IsTerminal;
use std::path::PathBuf;
use std::sync::Arc;

#[derive(Args)]
pub(crate) struct Export {
    /// The archive
    archive: PathBuf,
    #[command(flatten)]
    which: WhichAccount,
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
    #[command(flatten)]
    auth: Auth,
    #[command(flatten)]
    network: Network,
    /// Also send the login to other hosts that this server refers to
    #[arg(long, help_heading = "Connection")]
    allow_other_origin: bool,
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
        if self.prune && !self.yes && !self.dry_run && !std::io::stdin().is_terminal() {
            return Err(Error::new(ErrorKind::Declined, "--prune deletes objects, and there is no terminal to ask on")
                .hint("look at the plan with --dry-run, then add --yes"));
        }
        let reader = Arc::new(Reader::open(&self.archive)?);
        let moment = reader.resolve(self.at.at)?;
        let selection = self.selection(&reader)?;
        if self.prune {
            export::check_prune(&reader, moment, &selection)?;
        }
        let options = ExportOptions {
            selection,
            update: self.update,
            prune: self.prune,
            dry_run: self.dry_run,
            max_retries: self.network.max_retries(),
        };
        let settings = self.network.jmap(&self.auth, self.allow_other_origin, std::env::temp_dir(), ui)?;
        let mut target = Jmap::open(settings, Some(&self.which.which()))?;
        let progress = ui.progress(interrupt_flag());
        let account = target.name();
        let mut agree = |plan: &Plan| progress.aside(|| self.agree(plan, &account, ui));
        let done = export::export(&mut target, &reader, moment, &options, &progress, &mut agree);
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

    fn selection(&self, reader: &Arc<Reader>) -> Result<Selection> {
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
            kinds: self.part.objects.as_ref().map(|kinds| kinds.iter().copied().collect()),
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
                false => ui.line(&format!("{} of messages sent", bytes(report.bytes))),
            }
        }
    }
}
