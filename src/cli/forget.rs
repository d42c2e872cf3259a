//! `vandelay forget`: which snapshots stay and which go, why, and what that frees.

use super::json::on_disk;
use super::keep::KeepFlags;
use super::opened::open_archive;
use super::progress_bar::Unit;
use super::screen::Style;
use super::table::{Cell, Column, Table, report};
use super::ui::{Ui, bytes, counted, interrupt_flag, quoted, thousands};
use super::when;
use crate::archive::{
    Compacting, CompactionWatcher, Forgotten, Moment, Reader, Snapshot, SnapshotSpec, Writer, epoch, exact,
    keep_last_complete, last_complete,
};
use crate::error::{Error, ErrorKind, Result};
use crate::model::zone::local;
use crate::progress::Progress;
use crate::search;
use clap::Args;
use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::Arc;

const COLUMNS: [Column; 4] =
    [Column::text("", 6).whole(), Column::number("#", 3), Column::time("DATE").whole(), Column::rest("WHY")];

const EXPLANATION: &str = "\
Rules say what stays, numbers say what goes:

  vandelay forget alice.sqlite --keep-daily 14 --keep-monthly 24
  vandelay forget alice.sqlite 7 8

The newest snapshot, and the last complete one of each source, always stay.";

#[derive(Args)]
#[command(after_help = EXPLANATION)]
pub(crate) struct Forget {
    /// The archive
    archive: PathBuf,
    /// Drop these: their numbers, or their names in .snapshots. Instead of rules for what to keep
    #[arg(value_name = "SNAPSHOT", value_parser = parse_exact)]
    snapshots: Vec<SnapshotSpec>,
    #[command(flatten)]
    keep: KeepFlags,
    /// Show what would be done, and change nothing
    #[arg(long)]
    dry_run: bool,
    /// Shrink the file: write the whole archive again without free space
    #[arg(long)]
    compact: bool,
}

/// A snapshot that is meant exactly: what is dropped must not depend on which others there are.
fn parse_exact(text: &str) -> Result<SnapshotSpec, String> {
    match text.parse()? {
        spec @ (SnapshotSpec::Id(_) | SnapshotSpec::Directory { .. }) => Ok(spec),
        SnapshotSpec::Latest | SnapshotSpec::Time(_) => {
            Err("say which snapshot to drop by its number, as 'vandelay snapshots' lists it".to_owned())
        }
    }
}

/// What stays, and what goes.
#[derive(Default)]
struct Plan {
    /// Each snapshot that stays, with the rules that want it.
    kept: BTreeMap<i64, Vec<&'static str>>,
    drop: BTreeSet<i64>,
}

/// What was done.
pub(super) struct Done {
    snapshots: Vec<Snapshot>,
    plan: Plan,
    /// What was removed, or would be.
    pub(super) removed: Forgotten,
    /// Nothing was changed.
    pub(super) is_dry: bool,
}

impl Forget {
    /// True if no rule says what is kept.
    pub(super) fn keeps_nothing(&self) -> bool {
        self.keep.policy().is_empty()
    }

    pub(crate) fn run(self, ui: &Ui) -> Result<()> {
        let done = self.execute(ui)?;
        self.tell(&done, ui);
        Ok(())
    }

    /// Drops what is named, or what no rule keeps, unless it is a dry run.
    pub(super) fn execute(&self, ui: &Ui) -> Result<Done> {
        match (self.keeps_nothing(), self.snapshots.is_empty()) {
            (true, true) => {
                return Err(Error::new(ErrorKind::Usage, "say what to keep, or which snapshots to drop")
                    .hint("e.g. --keep-daily 7 --keep-weekly 5 --keep-monthly 12; or the number of a snapshot"));
            }
            (false, false) => {
                return Err(Error::new(
                    ErrorKind::Usage,
                    "numbers of snapshots and rules for what to keep do not go together",
                )
                .hint("run 'vandelay forget' twice, once with each"));
            }
            _ => {}
        }
        // Refuses what is no archive before anything is opened for writing, and serves the dry run.
        let reader = open_archive(&self.archive, ui)?;
        if !reader.has_history() {
            return Err(Error::new(
                ErrorKind::Usage,
                format!("archive {} was made by vandelay 1.x and has no snapshots yet", self.archive.display()),
            ));
        }
        let snapshots = reader.snapshots()?;
        let plan = if self.snapshots.is_empty() { self.plan(&snapshots) } else { self.named(&reader, &snapshots)? };
        if self.dry_run {
            let removed = reader.would_forget(&plan.drop)?;
            return Ok(Done { snapshots, plan, removed, is_dry: true });
        }
        // The last connection that is closed removes the log, and a reader's cannot.
        drop(reader);
        let mut writer = Writer::open(&self.archive, "forget")?;
        let progress = Arc::new(ui.progress(interrupt_flag()));
        progress.step("dropping snapshots");
        let removed =
            writer.forget_while(&plan.drop, &mut |done, all| progress.reach("Blobs", Unit::Items, done, all))?;
        if self.compact {
            let compaction = writer.compaction()?;
            ui.info(&format!(
                "giving back {} of {}; this needs {} of free space in the folder of the archive",
                bytes(compaction.before - compaction.after),
                bytes(compaction.before),
                bytes(compaction.needed)
            ));
            let shown = Arc::clone(&progress);
            let watch: CompactionWatcher = Arc::new(move |what, done, all| match what {
                Compacting::Copying => shown.reach("Copying", Unit::Bytes, done, all),
                Compacting::Checking => shown.reach("Checking blobs", Unit::Items, done, all),
                Compacting::Replacing => shown.reach("Replacing", Unit::Bytes, done, all),
            });
            writer.compact(&watch).map_err(|error| match error.kind {
                ErrorKind::Interrupted => {
                    error.hint("the snapshots are forgotten; the same command again shrinks the file")
                }
                _ => error,
            })?;
        }
        progress.done();
        writer.close()?;
        if let Err(error) = search::tidy(&self.archive) {
            ui.detail(&format!(
                "the search index still has what was forgotten ({error}); the next search takes it out"
            ));
        }
        Ok(Done { snapshots, plan, removed, is_dry: false })
    }

    fn plan(&self, snapshots: &[Snapshot]) -> Plan {
        let ended_in = |states: &[&str]| -> Vec<(i64, i64)> {
            snapshots
                .iter()
                .filter(|snapshot| states.contains(&snapshot.state.as_str()))
                .filter_map(|snapshot| Some((snapshot.id, epoch(snapshot.ended.as_deref()?))))
                .collect()
        };
        let ended = ended_in(&["complete", "partial", "interrupted"]);
        // A run that was stopped is no backup of the account: it may not push one out.
        let whole = ended_in(&["complete", "partial"]);
        let candidates = if whole.is_empty() { &ended } else { &whole };
        let mut kept = self.keep.policy().keep(candidates, &local().zone);
        keep_last_complete(&mut kept, snapshots);
        let drop = ended.iter().map(|(id, _)| *id).filter(|id| !kept.contains_key(id)).collect();
        Plan { kept, drop }
    }

    /// The snapshots that the user names.
    ///
    /// Errors: [`ErrorKind::Usage`] if there is no such snapshot, or it has to stay.
    fn named(&self, reader: &Reader, snapshots: &[Snapshot]) -> Result<Plan> {
        let archive = self.archive.display();
        let latest = reader.resolve_among(snapshots, SnapshotSpec::Latest)?;
        let mut drop = BTreeSet::new();
        for spec in &self.snapshots {
            let snapshot = exact(snapshots, *spec).ok_or_else(|| {
                let what = match spec {
                    SnapshotSpec::Id(id) => format!("archive {archive} has no snapshot {id}"),
                    _ => format!("archive {archive} has no snapshot with that name"),
                };
                Error::new(ErrorKind::Usage, what).hint("'vandelay snapshots' lists all")
            })?;
            let id = snapshot.id;
            let source = [snapshot.source_kind.as_deref(), snapshot.account.as_deref()];
            let source = source.into_iter().flatten().collect::<Vec<_>>().join(" ");
            let refused = if snapshot.state == "running" {
                Some(("is still running".to_owned(), "stop that import, or wait for its end"))
            } else if latest == Moment::Snapshot(id) {
                Some(("is the current state".to_owned(), "import again, and drop it then"))
            } else if last_complete(snapshots).iter().any(|last| last.id == id) {
                let what = format!("is the last complete one of {source}");
                Some((what, "import from there again, and drop it then"))
            } else {
                None
            };
            if let Some((why, hint)) = refused {
                let what = format!("snapshot {id} {why}, and stays; nothing was changed");
                return Err(Error::new(ErrorKind::Usage, what).hint(hint));
            }
            drop.insert(id);
        }
        let kept = snapshots.iter().map(|snapshot| snapshot.id).filter(|id| !drop.contains(id));
        Ok(Plan { kept: kept.map(|id| (id, Vec::new())).collect(), drop })
    }

    fn tell(&self, done: &Done, ui: &Ui) {
        let Done { plan, removed, is_dry, .. } = done;
        if ui.json {
            let kept = plan.kept.iter().map(|(id, rules)| serde_json::json!({ "snapshot": id, "rules": rules }));
            let summary = serde_json::json!({
                "archive": on_disk(&self.archive), "dry_run": is_dry, "kept_snapshots": kept.collect::<Vec<_>>(),
                "forgotten_snapshots": plan.drop,
                "freed": {
                    "snapshots": removed.snapshots, "states": removed.states, "blobs": removed.blobs,
                    "size": removed.bytes,
                },
            });
            ui.object("summary", summary);
            return;
        }
        if ui.quiet {
            return;
        }
        done.list(self.snapshots.is_empty(), ui);
        let (keep, forget) = (thousands(plan.kept.len() as u64), thousands(plan.drop.len() as u64));
        if *is_dry {
            let frees = bytes(removed.bytes);
            report(
                ui,
                &format!("Would keep {keep}, forget {forget}, free about {frees}.\nNothing was changed (--dry-run)."),
            );
            return;
        }
        let (states, blobs) = (counted(removed.states, "old state"), counted(removed.blobs, "blob"));
        let text = format!("Kept {keep}, forgot {forget}: removed {states} and {blobs} ({}).", bytes(removed.bytes));
        report(ui, &text);
        if removed.bytes > 0 && !self.compact {
            let archive = quoted(&self.archive.display().to_string());
            ui.info(&format!("later imports use this space; 'vandelay forget --compact' shrinks {archive} instead"));
        }
    }
}

impl Done {
    /// The plan as details of a run.
    pub(super) fn detail(&self, ui: &Ui) {
        for id in self.snapshots.iter().map(|snapshot| snapshot.id) {
            match self.plan.kept.get(&id) {
                Some(rules) => ui.detail(&format!("keep   {id} ({})", rules.join(", "))),
                None if self.plan.drop.contains(&id) => ui.detail(&format!("forget {id}")),
                None => {}
            }
        }
    }

    /// The snapshots in their order, with what becomes of each; or those that go.
    fn list(&self, with_kept: bool, ui: &Ui) {
        let table = Table::new(ui, &COLUMNS);
        for snapshot in &self.snapshots {
            let id = snapshot.id;
            let (word, style, mut why) = match self.plan.kept.get(&id) {
                Some(_) if !with_kept => continue,
                Some(rules) => ("KEEP", Style::Plain, rules.clone()),
                None if self.plan.drop.contains(&id) => ("FORGET", Style::Removed, Vec::new()),
                None => ("KEEP", Style::Plain, Vec::new()),
            };
            if snapshot.state != "complete" {
                why.push(&snapshot.state);
            }
            if snapshot.has_wrong_clock() {
                why.push("the clock was wrong");
            }
            let time = epoch(snapshot.ended.as_deref().unwrap_or(&snapshot.started));
            table.cells(vec![
                Cell::new(word, style),
                id.to_string().into(),
                when::fitting(time, ui.width()).into(),
                why.join(", ").into(),
            ]);
        }
    }
}
