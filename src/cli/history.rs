//! `vandelay snapshots` and `forget`.

use super::json::{self, on_disk};
use super::keep::KeepFlags;
use super::opened::open_archive;
use super::progress_bar::Unit;
use super::table::{Column, Table, wrapped};
use super::ui::{Ui, bytes, counted, interrupt_flag};
use super::when;
use crate::archive::{Compacting, Forgotten, Snapshot, Writer, epoch, keep_last_complete};
use crate::error::{Error, ErrorKind, Result};
use crate::model::zone::local;
use crate::progress::Progress;
use clap::Args;
use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

const COLUMNS: [Column; 5] = [
    Column::number("ID", 4),
    Column::text("ENDED", 21),
    Column::text("STATE", 11),
    Column::text("SOURCE", 11),
    Column::rest("ACCOUNT, CHANGES BELOW"),
];

#[derive(Args)]
pub(crate) struct Snapshots {
    /// The archive
    archive: PathBuf,
}

#[derive(Args)]
pub(crate) struct Forget {
    /// The archive
    archive: PathBuf,
    #[command(flatten)]
    keep: KeepFlags,
    /// Show what would be done, and change nothing
    #[arg(long)]
    dry_run: bool,
    /// Shrink the file: write the whole archive again without free space
    #[arg(long)]
    compact: bool,
}

impl Snapshots {
    pub(crate) fn run(self, ui: &Ui) -> Result<()> {
        let reader = open_archive(&self.archive, ui)?;
        let snapshots = reader.snapshots()?;
        if snapshots.is_empty() && !ui.json {
            ui.info(if reader.has_history() {
                "no snapshots yet"
            } else {
                "an archive of vandelay 1.x has no snapshots; the next import makes the first"
            });
        }
        let mut table = None;
        let count = snapshots.len();
        for snapshot in snapshots {
            let report = reader.report(snapshot.id)?;
            if ui.json {
                ui.object(
                    "snapshot",
                    serde_json::json!({
                            "snapshot": snapshot.id, "started_at": json::time(&snapshot.started),
                            "ended_at": snapshot.ended.as_deref().map(json::time), "state": snapshot.state,
                            "source": snapshot.source_kind.as_deref().map(|kind| {
                                json::source(kind, snapshot.source_url.as_deref(), snapshot.account.as_deref())
                            }),
                            "report": json::stored_report(report.as_ref()), "wrong_clock": snapshot.has_wrong_clock(),
                    }),
                );
                continue;
            }
            let table = table.get_or_insert_with(|| Table::new(ui, &COLUMNS));
            table.row(&[
                &snapshot.id.to_string(),
                &when::weekday_time(epoch(snapshot.ended.as_deref().unwrap_or(&snapshot.started))),
                &snapshot.state,
                snapshot.source_kind.as_deref().unwrap_or("-"),
                snapshot.account.as_deref().unwrap_or(""),
            ]);
            let mut changes = report.as_ref().map(|report| changes(report, &snapshot.state)).unwrap_or_default();
            if snapshot.has_wrong_clock() {
                changes.push("the clock was wrong".to_owned());
            }
            wrapped(&changes, ",", ui.width() - 6).iter().for_each(|line| table.below(line));
        }
        if ui.json {
            ui.object("summary", serde_json::json!({ "archive": on_disk(reader.path()), "count": count }));
        }
        Ok(())
    }
}

/// `email +3 ~1 -2` for each type in which a run changed something, and what failed.
fn changes(report: &serde_json::Value, state: &str) -> Vec<String> {
    if !report["types"].is_object() {
        return Vec::new();
    }
    let tokens = |name: &str| report[name].as_object().into_iter().flat_map(|all| all.keys());
    let types: BTreeSet<&String> = tokens("types").chain(tokens("removed")).collect();
    let number = |value: &serde_json::Value| value.as_u64().unwrap_or(0);
    let sum = |reasons: &serde_json::Value| -> u64 {
        reasons.as_object().into_iter().flatten().map(|(_, count)| number(count)).sum()
    };
    let mut changes = Vec::new();
    for token in types {
        let account = &report["types"][token];
        let (new, changed) = (number(&account["stored"]["new"]), number(&account["stored"]["changed"]));
        let removed = number(&report["removed"][token]);
        if new + changed + removed > 0 {
            changes.push(format!("{token} +{new} ~{changed} -{removed}"));
        }
    }
    // Only a run that saw everything knows that there is nothing new.
    if changes.is_empty() {
        let nothing = if state == "complete" { "nothing new" } else { "nothing stored" };
        changes.push(nothing.to_owned());
    }
    let failed: u64 =
        report["types"].as_object().into_iter().flatten().map(|(_, account)| sum(&account["failed"])).sum();
    let unlisted = number(&report["scopes_failed"]);
    for (count, what) in
        [(failed, "failed"), (unlisted, "not listed"), (number(&report["not_understood"]), "not understood")]
    {
        if count > 0 {
            changes.push(format!("{count} {what}"));
        }
    }
    changes
}

/// What stays, and what goes.
pub(super) struct Plan {
    /// Each snapshot that stays, with the rules that want it.
    kept: BTreeMap<i64, Vec<&'static str>>,
    drop: BTreeSet<i64>,
}

impl Forget {
    /// True if no rule says what is kept.
    pub(super) fn keeps_nothing(&self) -> bool {
        self.keep.policy().is_empty()
    }

    pub(crate) fn run(self, ui: &Ui) -> Result<()> {
        let (plan, forgotten) = self.execute(ui)?;
        self.tell(ui, &plan.kept, &plan.drop, forgotten);
        Ok(())
    }

    /// Drops what no rule keeps, unless it is a dry run. Gives what was dropped.
    pub(super) fn execute(&self, ui: &Ui) -> Result<(Plan, Option<Forgotten>)> {
        if self.keeps_nothing() {
            return Err(Error::new(ErrorKind::Usage, "say what to keep")
                .hint("e.g. --keep-daily 7 --keep-weekly 5 --keep-monthly 12"));
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
        let plan = self.plan(&snapshots);
        for id in snapshots.iter().map(|snapshot| snapshot.id) {
            match plan.kept.get(&id) {
                Some(rules) => ui.detail(&format!("keep   {id} ({})", rules.join(", "))),
                None if plan.drop.contains(&id) => ui.detail(&format!("forget {id}")),
                None => {}
            }
        }
        // The last connection that is closed removes the log, and a reader's cannot.
        drop(reader);
        if self.dry_run {
            return Ok((plan, None));
        }
        let mut writer = Writer::open(&self.archive, "forget")?;
        let progress = ui.progress(interrupt_flag());
        progress.step("dropping snapshots");
        let forgotten =
            writer.forget_while(&plan.drop, &mut |done, all| progress.reach("Blobs", Unit::Items, done, all))?;
        if self.compact {
            let compaction = writer.compaction()?;
            ui.info(&format!(
                "giving back {} of {}; this needs {} of free space in the folder of the archive",
                bytes(compaction.before - compaction.after),
                bytes(compaction.before),
                bytes(compaction.needed)
            ));
            let mut watch = |what, done, all| match what {
                Compacting::Copying => progress.reach("Copying", Unit::Bytes, done, all),
                Compacting::Checking => progress.reach("Checking blobs", Unit::Items, done, all),
                Compacting::Replacing => progress.reach("Replacing", Unit::Bytes, done, all),
            };
            writer.compact(&mut watch).map_err(|error| match error.kind {
                ErrorKind::Interrupted => {
                    error.hint("the snapshots are forgotten; the same command again shrinks the file")
                }
                _ => error,
            })?;
        }
        progress.done();
        writer.close()?;
        Ok((plan, Some(forgotten)))
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

    fn tell(&self, ui: &Ui, kept: &BTreeMap<i64, Vec<&str>>, drop: &BTreeSet<i64>, forgotten: Option<Forgotten>) {
        if ui.json {
            ui.object("summary", serde_json::json!({
                "archive": on_disk(&self.archive), "dry_run": forgotten.is_none(),
                "kept_snapshots": kept.iter().map(|(snapshot, rules)| serde_json::json!({ "snapshot": snapshot, "rules": rules })).collect::<Vec<_>>(),
                "forgotten_snapshots": drop,
                "freed": forgotten.map(|freed| serde_json::json!({
                    "snapshots": freed.snapshots, "states": freed.states, "blobs": freed.blobs, "size": freed.bytes,
                })),
            }));
            return;
        }
        if ui.quiet {
            return;
        }
        let list = |ids: Vec<String>| if ids.is_empty() { "none".to_owned() } else { ids.join(" ") };
        ui.line(&format!("keep {}: {}", kept.len(), list(kept.keys().map(i64::to_string).collect())));
        ui.line(&format!("forget {}: {}", drop.len(), list(drop.iter().map(i64::to_string).collect())));
        match forgotten {
            None => ui.line("dry run: nothing was changed"),
            Some(forgotten) => {
                ui.line(&format!(
                    "removed {} and {} ({})",
                    counted(forgotten.states, "old state"),
                    counted(forgotten.blobs, "blob"),
                    bytes(forgotten.bytes)
                ));
                if forgotten.bytes > 0 && !self.compact {
                    ui.info("later imports use this space; --compact shrinks the file instead");
                }
            }
        }
    }
}
