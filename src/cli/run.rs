//! `vandelay run`: the accounts of a configuration file, one report and one exit code.

mod account;
mod check;
mod config;
mod document;
mod outcome;
mod settings;
mod tell;

use super::reporting::{Reporting, account_run, source_run};
use super::ui::{Ui, interrupt_flag, quoted};
use crate::error::{Error, ErrorKind, Result};
use crate::model::text::nearest;
use crate::monitor::metrics::AccountRun;
use crate::monitor::ping::Signal;
use account::back_up;
use check::check;
use clap::Args;
use config::{Account, Config};
use outcome::Outcome;
use parking_lot::Mutex;
use std::collections::VecDeque;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering;
use std::thread;
use tell::{tell, tell_checks, tell_sources};

/// How many accounts an error names.
const NAMED: usize = 12;

#[derive(Args)]
pub(crate) struct Run {
    /// The configuration (default: $XDG_CONFIG_HOME/vandelay/config.toml, then /etc/vandelay/config.toml)
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Back up this account only (may be repeated)
    #[arg(long, value_name = "NAME")]
    account: Vec<String>,
    /// Back up so many accounts at the same time; 0 means one for each processor
    #[arg(long, value_name = "N", default_value_t = 0, hide_default_value = true)]
    jobs: usize,
    /// Log in everywhere and say what would be read; import nothing
    #[arg(long)]
    check: bool,
    #[command(flatten)]
    reporting: Reporting,
}

impl Run {
    pub(crate) fn run(self, ui: &Ui) -> Result<()> {
        let ui = ui.outlasting();
        let result = self.execute(&ui);
        result.and(ui.written())
    }

    fn execute(self, ui: &Ui) -> Result<()> {
        // From here on an interrupt ends the run in an orderly way.
        interrupt_flag();
        let path = config::find(self.config.as_deref())?;
        let Config { accounts, report } = config::read(&path)?;
        warn_if_others_write(&path, ui);
        let logging = report.log_file.as_deref().and_then(|file| match ui.logging_to(file) {
            Ok(logging) => Some(logging),
            // A backup without a log is better than none.
            Err(error) => {
                ui.warn(&error.to_string());
                None
            }
        });
        let ui = logging.as_ref().unwrap_or(ui);
        let accounts = chosen(accounts, &self.account)?;
        let jobs = match self.jobs {
            0 => thread::available_parallelism().map_or(1, usize::from),
            jobs => jobs,
        };
        if self.check {
            return tell_checks(at_once(accounts, jobs, |account| check(account, ui)), ui);
        }
        // A part of the accounts is no success of all of them; a flag means this run, whatever it is of.
        let is_part = !self.account.is_empty() && self.reporting.ping_url.is_none();
        let reporting = self.reporting.or(Reporting { metrics_file: report.metrics_file, ping_url: report.ping_url });
        let reporting = if is_part { reporting.without_ping() } else { reporting };
        reporting.ping(Signal::Start, "", ui);
        let mut outcomes = at_once(accounts, jobs, |account| {
            let url = account.ping_url.clone().filter(|_| !interrupt_flag().load(Ordering::Relaxed));
            let own = Reporting { metrics_file: None, ping_url: url };
            let ui_of_account = ui.about(&account.name);
            own.ping(Signal::Start, "", &ui_of_account);
            let outcome = back_up(account, ui);
            own.ping_end(&format!("{}\n", outcome.line(0)), outcome.worst(), &ui_of_account);
            tell_sources(&outcome, ui);
            outcome
        });
        // The worst is the last.
        outcomes.sort_by(|one, other| (one.state(), &one.account).cmp(&(other.state(), &other.account)));
        reporting.measure(&outcomes.iter().map(measured).collect::<Vec<_>>(), ui);
        let result = tell(&outcomes, ui);
        let lines: String = outcomes.iter().map(|outcome| format!("{}\n", outcome.line(0))).collect();
        reporting.ping_end(&lines, result.as_ref().err(), ui);
        result
    }
}

/// The file names commands, which run as whoever runs Vandelay.
fn warn_if_others_write(path: &Path, ui: &Ui) {
    if std::fs::metadata(path).is_ok_and(|meta| meta.is_file() && meta.permissions().mode() & 0o002 != 0) {
        let name = quoted(&path.display().to_string());
        ui.warn(&format!(
            "every user of this machine can change {name}, and the commands in it; run: chmod o-w {name}"
        ));
    }
}

/// The accounts that are named; all of them if none is.
fn chosen(accounts: Vec<Account>, names: &[String]) -> Result<Vec<Account>> {
    for name in names {
        if !accounts.iter().any(|account| account.name == *name) {
            let known = || accounts.iter().map(|account| account.name.as_str());
            let error = Error::new(ErrorKind::Usage, format!("the configuration has no account {name}"));
            let first: Vec<&str> = known().take(NAMED).collect();
            let more = if known().count() > NAMED { ", …" } else { "" };
            return Err(match nearest(name, known()) {
                Some(meant) => error.hint(format!("did you mean {meant}?")),
                None => error.hint(format!("it has: {}{more}", first.join(", "))),
            });
        }
    }
    Ok(accounts.into_iter().filter(|account| names.is_empty() || names.contains(&account.name)).collect())
}

/// Works on all items, so many at once. The results come in no certain order.
fn at_once<I: Send, T: Send>(items: Vec<I>, jobs: usize, work: impl Fn(I) -> T + Sync) -> Vec<T> {
    let jobs = jobs.min(items.len());
    let (queue, results) = (Mutex::new(VecDeque::from(items)), Mutex::new(Vec::new()));
    let next = || queue.lock().pop_front();
    let go_on = || {
        while let Some(item) = next() {
            let result = work(item);
            results.lock().push(result);
        }
    };
    thread::scope(|scope| {
        // One is this thread. Where the system gives no more, fewer do.
        for _ in 1..jobs {
            if thread::Builder::new().spawn_scoped(scope, go_on).is_err() {
                break;
            }
        }
        go_on();
    });
    results.into_inner()
}

/// The numbers of an account.
fn measured(outcome: &Outcome) -> AccountRun {
    let sources = outcome.sources.iter();
    AccountRun {
        account: outcome.account.clone(),
        seconds: outcome.seconds,
        sources: sources.map(|one| source_run(&one.name, one.done.as_ref(), one.error.as_ref())).collect(),
        ..account_run(&outcome.archive, outcome.worst())
    }
}
