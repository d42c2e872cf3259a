//! What an extraction says of itself.

use super::json::on_disk;
use super::ui::{Ui, bytes, counted, thousands};
use crate::extract::Extracted;
use std::path::Path;

/// One path that was extracted.
pub(super) struct Told<'a> {
    pub path: &'a str,
    pub into: &'a Path,
    pub is_dry: bool,
    /// How many files there are, where they were counted.
    pub total: Option<u64>,
}

impl Told<'_> {
    pub(super) fn tell(&self, done: &Extracted, ui: &Ui) {
        for (name, reason) in &done.failed {
            ui.warn(&format!("not extracted: {name}: {reason}"));
        }
        let not_reached = self.not_reached(done);
        if ui.json {
            let failed = |(path, reason): &(String, String)| serde_json::json!({ "path": path, "reason": reason });
            ui.object(
                "extracted",
                serde_json::json!({
                    "path": self.path, "into": on_disk(self.into),
                    "dry_run": self.is_dry, "files": done.files + done.planned, "size": done.bytes, "there": done.there,
                    "unread": done.unread, "not_extracted": done.failed.iter().map(failed).collect::<Vec<_>>(),
                    "not_reached": not_reached, "renamed": done.changed, "undated": done.undated,
                }),
            );
            return;
        }
        if done.changed > 0 {
            ui.info(&other_names(done.changed));
        }
        if done.undated > 0 {
            ui.info(&other_dates(done.undated));
        }
        if !ui.quiet {
            ui.line(&self.verdict(done, not_reached));
        }
    }

    /// Files that a run did not come to, as far as they were counted; none unless it was interrupted.
    fn not_reached(&self, done: &Extracted) -> Option<u64> {
        if !done.is_interrupted {
            return Some(0);
        }
        let met = done.files + done.there + done.planned + done.failed.len() as u64;
        self.total.map(|total| total.saturating_sub(met))
    }

    /// `Extracted 312 files (4.10 MiB) into restored; 3 files were there already`
    fn verdict(&self, done: &Extracted, not_reached: Option<u64>) -> String {
        let into = self.into.display();
        let mut parts = vec![match self.is_dry {
            true => format!("Would extract {} into {into}", counted(done.planned, "file")),
            false => format!("Extracted {} ({}) into {into}", counted(done.files, "file"), bytes(done.bytes)),
        }];
        if done.there > 0 {
            let were = if done.there == 1 { "was" } else { "were" };
            let how = match done.unread {
                0 => String::new(),
                unread if unread == done.there => ", by name and size".to_owned(),
                unread => format!(", {} of them by name and size", thousands(unread)),
            };
            parts.push(format!("{} {were} there already{how}", counted(done.there, "file")));
        }
        if !done.failed.is_empty() {
            parts.push(format!("{} failed", thousands(done.failed.len() as u64)));
        }
        if done.is_interrupted {
            let count = not_reached.map_or_else(|| "the rest".to_owned(), thousands);
            parts.push(format!("{count} not reached"));
        }
        parts.join("; ")
    }
}

/// What is said of files that have another date than in the tree.
pub(super) fn other_dates(count: u64) -> String {
    format!("{} with another date: the target refused the original one", counted(count, "file"))
}

/// What is said of files and directories that have another name than in the tree.
pub(super) fn other_names(count: u64) -> String {
    format!("{} not written as in the tree (-v lists them)", counted(count, "name"))
}
