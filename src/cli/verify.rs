//! `vandelay verify ARCHIVE`.

use super::args::parse_percent;
use super::json;
use super::opened::{open_archive, tree_at};
use super::progress_bar::Unit;
use super::screen::Style;
use super::table::folded_at;
use super::ui::{Ui, bytes, counted, interrupt_flag, thousands};
use crate::archive::{Depth, Incomplete, Moment, Reader, Verdict, verify_until};
use crate::error::{Error, ErrorKind, Result};
use crate::model::{Id, ObjectType};
use crate::progress::Progress;
use crate::tree::Tree;
use clap::Args;
use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};
use unicode_width::UnicodeWidthStr;

#[derive(Args)]
pub(crate) struct Verify {
    /// The archive
    archive: PathBuf,
    /// Hash only this share of the blobs, e.g. 5%; each day takes other ones
    #[arg(long, value_name = "PERCENT", default_value = "100%", value_parser = parse_share)]
    sample: f64,
    /// Stop starting new blobs after this time, e.g. 10m
    #[arg(long, value_name = "DURATION", value_parser = parse_duration)]
    max_duration: Option<Duration>,
}

fn parse_share(text: &str) -> Result<f64, String> {
    let share = parse_percent(text, "5%")?;
    if share > 0.0 && share <= 1.0 { Ok(share) } else { Err("the share must be above 0% and at most 100%".to_owned()) }
}

/// `90`, `90s`, `10m`, `2h`, `1d`
fn parse_duration(text: &str) -> Result<Duration, String> {
    let text = text.trim();
    let (digits, factor) = match text.char_indices().last() {
        Some((at, 's')) => (&text[..at], 1),
        Some((at, 'm')) => (&text[..at], 60),
        Some((at, 'h')) => (&text[..at], 3_600),
        Some((at, 'd')) => (&text[..at], 86_400),
        _ => (text, 1),
    };
    let seconds = digits.parse::<u64>().ok().and_then(|number| number.checked_mul(factor));
    seconds.map(Duration::from_secs).ok_or_else(|| "not a duration like 90s, 10m or 2h".to_owned())
}

impl Verify {
    pub(crate) fn run(self, ui: &Ui) -> Result<()> {
        let reader = Arc::new(open_archive(&self.archive, ui)?);
        let depth = Depth { max_duration: self.max_duration, ..Depth::of_today(self.sample) };
        let (start, progress) = (Instant::now(), ui.progress(interrupt_flag()));
        progress.step("checking all rows");
        let verdict = verify_until(&reader, depth, |done, all| progress.reach("Blobs", Unit::Items, done, all))?;
        let took = start.elapsed();
        progress.done();
        list_findings(ui, &reader, &verdict);
        self.tell(ui, (&verdict, took), &reader.headless_emails()?, reader.incomplete()?);
        match damage(&self.archive, &verdict) {
            Some(error) => Err(error),
            None if verdict.is_stopped => Err(Error::new(ErrorKind::Interrupted, "interrupted before all blobs were checked").hint(
                "run the same command again to check all of them; --max-duration 10m stops by itself, and --sample 10% takes other blobs each day",
            )),
            None => Ok(()),
        }
    }

    fn tell(
        &self,
        ui: &Ui,
        (verdict, took): (&Verdict, Duration),
        headless: &BTreeMap<&'static str, u64>,
        incomplete: Option<Incomplete>,
    ) {
        if ui.json {
            ui.object("summary", serde_json::json!({
                "archive": json::on_disk(&self.archive),
                "finding_count": verdict.findings.len() as u64 + verdict.more, "remark_count": verdict.remarks.len(), "objects": verdict.objects, "snapshots": verdict.snapshots,
                "blobs": verdict.blobs, "blobs_hashed": verdict.blobs_hashed, "hashed_size": verdict.bytes_hashed, "full": verdict.is_full,
                "headless": headless, "incomplete": json::incomplete(incomplete.as_ref()),
            }));
            return;
        }
        tell_headless(ui, headless);
        tell_extent(ui, &self.archive, verdict, took);
    }
}

/// Says how much was checked, and what came out.
pub(super) fn tell_extent(ui: &Ui, archive: &Path, verdict: &Verdict, took: Duration) {
    if ui.quiet {
        return;
    }
    let blobs = if verdict.blobs_hashed == verdict.blobs {
        counted(verdict.blobs, "blob")
    } else {
        format!("{} of {}", thousands(verdict.blobs_hashed), counted(verdict.blobs, "blob"))
    };
    let extent = format!(
        "Checked {}: {blobs} ({}), {}, {}{}.",
        archive.display(),
        bytes(verdict.bytes_hashed),
        counted(verdict.objects, "object"),
        counted(verdict.snapshots, "snapshot"),
        if took.as_secs() > 0 { format!(" in {}", seconds(took)) } else { String::new() }
    );
    let count = verdict.findings.len() as u64 + verdict.more;
    let (style, outcome) = match (count, verdict.is_full) {
        (0, true) => (Style::Added, "No damage.".to_owned()),
        (0, false) => (Style::Added, "No damage in this part.".to_owned()),
        _ => (Style::Error, format!("DAMAGED: {}.", counted(count, "finding"))),
    };
    verdict_line(ui, &extent, (style, &outcome));
}

/// Prints a sentence and the verdict behind it, on a line of its own if there is no room.
fn verdict_line(ui: &Ui, extent: &str, (style, outcome): (Style, &str)) {
    let mut lines = folded_at(&ui.shown(extent), ui.width());
    let last = lines.pop().unwrap_or_default();
    lines.iter().for_each(|line| ui.line(line));
    if last.width() + 2 + outcome.width() <= ui.width() {
        ui.spans(&[(Style::Plain, format!("{last}  ")), (style, outcome.to_owned())]);
    } else {
        ui.line(&last);
        ui.spans(&[(style, outcome.to_owned())]);
    }
}

/// `12 s`, `3 min 20 s`
fn seconds(took: Duration) -> String {
    match took.as_secs() {
        whole @ 0..120 => format!("{whole} s"),
        whole => format!("{} min {} s", thousands(whole / 60), whole % 60),
    }
}

/// The error of an archive that is damaged; `None` for a sound one.
pub(super) fn damage(archive: &Path, verdict: &Verdict) -> Option<Error> {
    let count = verdict.findings.len() as u64 + verdict.more;
    let what = format!("archive {} is damaged: {}", archive.display(), counted(count, "finding"));
    let error = Error::new(ErrorKind::Damaged, what)
        .hint("keep this file; restore the damaged objects from another copy, or import again");
    (count > 0).then_some(error)
}

/// Says how many messages have no header.
pub(super) fn tell_headless(ui: &Ui, headless: &BTreeMap<&'static str, u64>) {
    let count: u64 = headless.values().sum();
    if count > 0 {
        let messages = if count == 1 { "1 message has" } else { &format!("{} messages have", thousands(count)) };
        let what: Vec<String> = headless.iter().map(|(why, count)| format!("{why} {}", thousands(*count))).collect();
        ui.info(&format!("{messages} no header ({}): stored as found, and no damage", what.join(", ")));
    }
}

/// Prints each remark and each finding, with the paths that it affects.
pub(super) fn list_findings(ui: &Ui, reader: &Arc<Reader>, verdict: &Verdict) {
    let mut paths = Paths { reader: Arc::clone(reader), trees: HashMap::new() };
    let remarks = verdict.remarks.iter().map(|remark| (remark, "remark"));
    for (finding, message_type) in remarks.chain(verdict.findings.iter().map(|finding| (finding, "finding"))) {
        let affected: Vec<(String, Moment)> =
            finding.affected.iter().take(100).flat_map(|(kind, id, moment)| paths.of(*kind, *id, *moment)).collect();
        if ui.json {
            ui.object(
                message_type,
                serde_json::json!({
                    "place": finding.place, "what": finding.what,
                    "affected": affected.iter().map(|(path, moment)| {
                        serde_json::json!({ "path": path, "snapshot": json::snapshot(*moment) })
                    }).collect::<Vec<_>>(),
                }),
            );
            continue;
        }
        let affected: Vec<String> = affected
            .into_iter()
            .map(|(path, moment)| match moment {
                Moment::Current => path,
                Moment::Snapshot(snapshot) => format!("{path} (at snapshot {snapshot})"),
            })
            .collect();
        let paths = if affected.is_empty() { String::new() } else { format!(": {}", affected.join(", ")) };
        let line = format!("{}: {}{paths}", finding.place, finding.what);
        match message_type {
            "finding" if ui.is_bounded() => {
                tell_finding(ui, &format!("{}: {}", finding.place, finding.what), &affected)
            }
            "remark" => ui.info(&line),
            _ => ui.line(&line),
        }
    }
}

/// Prints a finding on a screen: the paths on lines of their own, so that they can be pasted.
fn tell_finding(ui: &Ui, what: &str, paths: &[String]) {
    folded_at(&ui.shown(what), ui.width()).into_iter().for_each(|line| ui.spans(&[(Style::Removed, line)]));
    paths.iter().for_each(|path| ui.row(&format!("  {path}")));
}

/// Where objects stand in the trees of their moments.
struct Paths {
    reader: Arc<Reader>,
    trees: HashMap<Moment, Option<Tree>>,
}

impl Paths {
    fn of(&mut self, kind: ObjectType, id: Id, moment: Moment) -> Vec<(String, Moment)> {
        let tree = self.trees.entry(moment).or_insert_with(|| tree_at(&self.reader, moment).ok());
        let paths = tree.as_ref().and_then(|tree| tree.paths_of(kind, id).ok()).unwrap_or_default();
        paths.into_iter().map(|path| (path, moment)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_and_durations() {
        assert_eq!((parse_share("5%"), parse_share("100")), (Ok(0.05), Ok(1.0)));
        assert!(parse_share("0").is_err() && parse_share("101%").is_err() && parse_share("x").is_err());
        assert_eq!(
            (parse_duration("10m"), parse_duration("7")),
            (Ok(Duration::from_secs(600)), Ok(Duration::from_secs(7)))
        );
        assert!(parse_duration("m").is_err() && parse_duration("").is_err());
    }
}
