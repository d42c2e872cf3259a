//! Telling other programs how a run went: flags of `run` and of the imports.

use super::ui::Ui;
use crate::archive::{Reader, epoch};
use crate::error::{Error, Result};
use crate::import::Done;
use crate::monitor::metrics::{self, AccountRun, NewestComplete, SourceRun};
use crate::monitor::ping::{Ping, Signal};
use crate::report::sum;
use clap::Args;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

#[derive(Args, Clone, Default)]
#[command(next_help_heading = "Monitoring")]
pub(super) struct Reporting {
    /// Write numbers about the run into this file, for the textfile collector of Prometheus' node exporter
    #[arg(long, value_name = "FILE")]
    pub(super) metrics_file: Option<PathBuf>,
    /// Request URL/start when the run begins, and URL or URL/fail when it ends, as healthchecks.io wants it
    // Not parsed here: the error of clap would show the value, which is a secret of a kind.
    #[arg(long, value_name = "URL")]
    pub(super) ping_url: Option<String>,
}

impl Reporting {
    /// The flags where they are given, else what the configuration says.
    pub(super) fn or(self, other: Reporting) -> Reporting {
        Reporting { metrics_file: self.metrics_file.or(other.metrics_file), ping_url: self.ping_url.or(other.ping_url) }
    }

    /// The flags, but none for a dry run.
    pub(super) fn unless(&self, dry_run: bool) -> Reporting {
        if dry_run { Reporting::default() } else { self.clone() }
    }

    /// The same without a service.
    pub(super) fn without_ping(self) -> Reporting {
        Reporting { ping_url: None, ..self }
    }

    /// Tells the service of the pings. That it cannot be told is a warning.
    pub(super) fn ping(&self, signal: Signal, report: &str, ui: &Ui) {
        if let Some(url) = &self.ping_url
            && let Err(error) = Ping::parse(url).and_then(|ping| ping.send(signal, report))
        {
            ui.warn(&format!("the ping was not sent: {error}"));
        }
    }

    /// Tells the service how a run ended.
    pub(super) fn ping_end(&self, report: &str, error: Option<&Error>, ui: &Ui) {
        match error {
            None => self.ping(Signal::Success, report, ui),
            Some(error) => self.ping(Signal::Fail, &format!("{report}error: {error}\n"), ui),
        }
    }

    /// Writes the numbers. That they cannot be written is a warning: the backup is made.
    pub(super) fn measure(&self, runs: &[AccountRun], ui: &Ui) {
        if let Some(path) = &self.metrics_file
            && let Err(error) = metrics::write(path, runs)
        {
            ui.warn(&error.to_string());
        }
    }
}

/// The numbers of an archive after a run that ends now; it has the name of its account.
pub(super) fn account_run(archive: &Path, error: Option<&Error>) -> AccountRun {
    let name = || archive.file_stem().map(|stem| stem.to_string_lossy().into_owned());
    AccountRun {
        account: Reader::open(archive).and_then(|reader| reader.account()).ok().or_else(name).unwrap_or_default(),
        ended: jiff::Timestamp::now().as_second(),
        exit_code: error.map_or(0, |error| error.kind.exit_code()),
        newest_complete: newest_complete(archive),
        archive_bytes: std::fs::metadata(archive).ok().map(|meta| meta.len()),
        ..AccountRun::default()
    }
}

/// The numbers of a source.
pub(super) fn source_run(source: &str, done: Option<&Done>, error: Option<&Error>) -> SourceRun {
    let mut objects = BTreeMap::new();
    let mut failures = u64::from(error.is_some_and(|error| done.is_none() || error.kind.exit_code() != 5));
    if let Some(done) = done {
        let report = &done.report;
        for (kind, account) in &report.accounts.types {
            let stored = &account.stored;
            let counts = [
                ("new", stored.new),
                ("changed", stored.changed),
                ("unchanged", stored.unchanged),
                ("duplicate", account.duplicate),
                ("skipped", sum(&account.skipped)),
                ("failed", sum(&account.failed)),
                ("removed", report.removed.get(kind).copied().unwrap_or(0)),
            ];
            objects.extend(counts.map(|(outcome, count)| (((*kind).to_owned(), outcome), count)));
            failures += sum(&account.failed);
        }
        failures += report.scopes_failed.len() as u64;
    }
    SourceRun { source: source.to_owned(), objects, bytes: done.map_or(0, |done| done.report.bytes), failures }
}

/// The newest complete snapshot of each source of an archive; nothing of one that cannot be read.
fn newest_complete(archive: &Path) -> Vec<NewestComplete> {
    let read = || -> Result<Vec<NewestComplete>> {
        let mut newest: BTreeMap<(String, String), i64> = BTreeMap::new();
        for snapshot in Reader::open(archive)?.snapshots()? {
            if snapshot.state == "complete"
                && let (Some(kind), Some(ended)) = (snapshot.source_kind, snapshot.ended)
            {
                newest.insert((kind, snapshot.source_url.unwrap_or_default()), epoch(&ended));
            }
        }
        Ok(newest.into_iter().map(|((kind, url), ended)| NewestComplete { kind, url, ended }).collect())
    };
    read().unwrap_or_default()
}
