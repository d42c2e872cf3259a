//! `vandelay snapshot ARCHIVE DEST`: a dated copy of an archive.

use super::json::{self, on_disk};
use super::keep::KeepFlags;
use super::opened::open_archive;
use super::progress_bar::Unit;
use super::ui::{Ui, bytes, counted, interrupt_flag, thousands};
use super::verify::list_findings;
use crate::archive::{Copied, CopyOptions, Policy, Proof, Reader, Stage, UNREAD, copy, made_before};
use crate::error::Result;
use clap::{Args, ValueEnum};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Make a copy of an archive, in one of its states, also while an import or a mount uses it. ('vandelay snapshots' lists
/// the snapshots in an archive; each copy has all of them.)
#[derive(Args)]
pub(crate) struct Snapshot {
    /// The archive
    archive: PathBuf,
    /// The copy, which must not exist yet, or a folder for it. The name may hold the date in local time: %Y-%m-%d, %H%M%S
    #[arg(value_name = "DEST")]
    destination: PathBuf,
    /// How to check the copy before it gets its name: sample = all rows, and the bytes of 5% of the blobs, or of all
    /// in an archive of up to 256 MiB; full = every byte
    #[arg(long, value_enum, default_value = "sample", value_name = "HOW")]
    verify: ProofArg,
    #[command(flatten)]
    keep: KeepFlags,
}

#[derive(Clone, Copy, ValueEnum)]
enum ProofArg {
    Full,
    Sample,
    None,
}

impl Snapshot {
    pub(crate) fn run(self, ui: &Ui) -> Result<()> {
        let copied = self.execute(true, ui)?;
        tell_copy(ui, &self.archive, &copied)?;
        copied.outcome()
    }

    /// Makes the copy. Other copies are removed by the rules only if they may be.
    pub(super) fn execute(&self, may_remove: bool, ui: &Ui) -> Result<Copied> {
        drop(open_archive(&self.archive, ui)?);
        let proof = match self.verify {
            ProofArg::Full => Proof::Full,
            ProofArg::Sample => Proof::Sample,
            ProofArg::None => Proof::None,
        };
        let keep = if may_remove { self.keep.policy() } else { Policy::default() };
        let progress = ui.progress(interrupt_flag());
        let copied =
            copy(&self.archive, &self.destination, &CopyOptions { proof, keep }, &mut |stage, done, all| match stage {
                Stage::Copying => progress.reach("Copying", Unit::Bytes, done, all),
                Stage::Checking => progress.reach("Checking blobs", Unit::Items, done, all),
            });
        progress.done();
        copied
    }

    /// The copy that was made under this name before, today for example.
    pub(super) fn made_before(&self) -> Result<Option<PathBuf>> {
        made_before(&self.archive, &self.destination)
    }

    /// What copies of two archives must not share: where they go, and what they are called.
    pub(super) fn names(&self) -> PathBuf {
        match (self.destination.is_dir(), self.archive.file_name()) {
            (true, Some(name)) => self.destination.join(name),
            _ => self.destination.clone(),
        }
    }
}

/// Prints what a copy lacks, and what became of other copies.
pub(super) fn tell_remarks_of_copy(copied: &Copied, ui: &Ui) -> Result<()> {
    if let Some(verdict) = &copied.verdict {
        list_findings(ui, &Arc::new(Reader::open(&copied.path)?), verdict);
    }
    // What the disk did not give is in no verdict.
    let named = copied.incomplete.iter().flat_map(|incomplete| &incomplete.named);
    for missing in named.filter(|missing| missing.place == UNREAD) {
        match ui.json {
            true => ui
                .object("finding", serde_json::json!({ "place": missing.place, "what": missing.what, "affected": [] })),
            false => ui.line(&format!("{}: {}", missing.place, missing.what)),
        }
    }
    for path in &copied.leftovers {
        ui.info(&format!("removed {}, which a killed run left", path.display()));
    }
    if let Some(retention) = &copied.retention {
        retention.kept.iter().for_each(|(path, rules)| {
            ui.detail(&format!("keep   {} ({})", path.display(), rules.join(", ")));
        });
        for (path, why) in &retention.left_alone {
            ui.info(&format!("left alone: {}: {why}", path.display()));
        }
        for (path, why) in &retention.not_removed {
            ui.warn(&format!("not removed: {}: {why}", path.display()));
        }
    }
    Ok(())
}

fn tell_copy(ui: &Ui, archive: &Path, copied: &Copied) -> Result<()> {
    tell_remarks_of_copy(copied, ui)?;
    if ui.json {
        tell_json(ui, archive, copied);
        return Ok(());
    }
    for path in copied.retention.iter().flat_map(|retention| &retention.removed) {
        ui.info(&format!("removed {}", path.display()));
    }
    let how = if copied.is_clone { ", sharing its blocks" } else { "" };
    let proof = match &copied.verdict {
        None => "not verified".to_owned(),
        Some(verdict) => {
            let found = if copied.incomplete.is_some() { "INCOMPLETE" } else { "no damage found" };
            format!("{} of {} hashed: {found}", thousands(verdict.blobs_hashed), counted(verdict.blobs, "blob"))
        }
    };
    ui.info(&format!("{} ({}{how}), {proof}", copied.path.display(), bytes(copied.bytes)));
    Ok(())
}

fn tell_json(ui: &Ui, archive: &Path, copied: &Copied) {
    let shown = |path: &PathBuf| on_disk(path);
    let reasons = |all: &[(PathBuf, String)]| -> Vec<serde_json::Value> {
        all.iter().map(|(path, why)| serde_json::json!({ "copy": shown(path), "reason": why })).collect()
    };
    let retention = copied.retention.as_ref().map(|retention| {
        let kept =
            retention.kept.iter().map(|(path, rules)| serde_json::json!({ "copy": shown(path), "rules": rules }));
        serde_json::json!({
            "kept_copies": kept.collect::<Vec<_>>(), "removed_copies": retention.removed.iter().map(shown).collect::<Vec<_>>(),
            "copies_not_removed": reasons(&retention.not_removed), "copies_left_alone": reasons(&retention.left_alone),
        })
    });
    ui.object(
        "summary",
        serde_json::json!({
            "archive": on_disk(archive), "copy": shown(&copied.path),
            "size": copied.bytes, "reflink": copied.is_clone,
            "blobs_hashed": copied.verdict.as_ref().map(|verdict| verdict.blobs_hashed),
            "full": copied.verdict.as_ref().is_some_and(|verdict| verdict.is_full),
            "incomplete": json::incomplete(copied.incomplete.as_ref()), "retention": retention,
            "leftovers": copied.leftovers.iter().map(shown).collect::<Vec<_>>(),
        }),
    );
}
