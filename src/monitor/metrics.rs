//! A file of numbers for the textfile collector of Prometheus' node exporter
//! (<https://prometheus.io/docs/instrumenting/exposition_formats/>).
//!
//! One file holds many accounts; a run replaces the lines of its own accounts and leaves the others.

use crate::error::{Error, Result};
use rustix::fs::{FlockOperation, flock};
use rustix::io::Errno;
use std::collections::BTreeMap;
use std::fmt::Write;
use std::fs::{File, Permissions};
use std::io::{self, Write as _};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

/// How the backup of an account went.
#[derive(Debug, Clone, Default)]
pub struct AccountRun {
    /// The label `account`.
    pub account: String,
    /// Seconds since 1970.
    pub ended: i64,
    /// How long it took.
    pub seconds: f64,
    /// 0 if nothing failed.
    pub exit_code: u8,
    /// What became of each source.
    pub sources: Vec<SourceRun>,
    /// The newest complete snapshot of each source that the archive knows.
    pub newest_complete: Vec<NewestComplete>,
    /// Bytes of the archive file.
    pub archive_bytes: Option<u64>,
}

/// How the import of a source went.
#[derive(Debug, Clone, Default)]
pub struct SourceRun {
    /// The label `source`: `imap`, `imap 2`.
    pub source: String,
    /// How many objects, by type and outcome (`new`, `changed`, `removed`, `failed`, …).
    pub objects: BTreeMap<(String, &'static str), u64>,
    /// Bytes of the objects that were stored new.
    pub bytes: u64,
    /// Objects and folders that failed, and one more if the run did.
    pub failures: u64,
}

/// The newest complete snapshot of a source.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewestComplete {
    /// `imap`, `caldav`, …
    pub kind: String,
    /// Where it is.
    pub url: String,
    /// When that snapshot ended, in seconds since 1970.
    pub ended: i64,
}

/// How long another run may write.
const PATIENCE: Duration = Duration::from_secs(5);

const LAST_SUCCESS: &str = "vandelay_last_success_timestamp_seconds";

/// Name and meaning of each number.
const METRICS: [(&str, &str); 9] = [
    ("vandelay_last_run_timestamp_seconds", "When the last run ended."),
    (LAST_SUCCESS, "When the last run ended in which nothing failed; 0 if there was none."),
    ("vandelay_last_run_exit_code", "Exit code of the last run; 0 if nothing failed."),
    ("vandelay_last_run_duration_seconds", "How long the last run took."),
    ("vandelay_last_run_objects", "Objects of the last run by type and outcome."),
    ("vandelay_last_run_bytes", "Bytes of the objects that the last run stored new."),
    ("vandelay_last_run_failures", "Objects and folders that failed in the last run, and one more if the run failed."),
    ("vandelay_newest_complete_snapshot_timestamp_seconds", "When the newest complete snapshot of the source ended."),
    ("vandelay_archive_bytes", "Size of the archive file."),
];

/// Writes the numbers of these accounts: into another file first, which then takes the place of this one.
pub fn write(path: &Path, runs: &[AccountRun]) -> Result<()> {
    let cannot = |error| Error::io(format!("cannot write the metrics {}", path.display()), error);
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    // Two runs at once would lose the lines of one of them.
    let lock = File::open(folder).map_err(cannot)?;
    lock_within(&lock, PATIENCE).map_err(cannot)?;
    let old = match std::fs::metadata(path) {
        // One that waits for a writer would be read for ever.
        Ok(meta) if !meta.is_file() => return Err(cannot(io::Error::other("it is no file"))),
        Ok(_) => String::from_utf8_lossy(&std::fs::read(path).map_err(cannot)?).into_owned(),
        Err(error) if error.kind() == io::ErrorKind::NotFound => String::new(),
        Err(error) => return Err(cannot(error)),
    };
    let mut file = tempfile::Builder::new().prefix(".vandelay-").tempfile_in(folder).map_err(cannot)?;
    file.write_all(text(&old, runs).as_bytes()).map_err(cannot)?;
    // The collector is another user.
    file.as_file().set_permissions(Permissions::from_mode(0o644)).map_err(cannot)?;
    file.as_file().sync_all().map_err(cannot)?;
    file.persist(path).map_err(|error| cannot(error.error))?;
    lock.sync_all().map_err(cannot)
}

/// Waits until no other run holds the folder, for this long.
fn lock_within(folder: &File, patience: Duration) -> io::Result<()> {
    let end = Instant::now() + patience;
    loop {
        match flock(folder, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => return Ok(()),
            Err(Errno::WOULDBLOCK) if Instant::now() < end => thread::sleep(Duration::from_millis(50)),
            Err(Errno::WOULDBLOCK) => return Err(io::Error::other("another program holds its folder")),
            Err(error) => return Err(error.into()),
        }
    }
}

/// The whole file: the lines of other accounts as they were, those of `runs` new.
fn text(old: &str, runs: &[AccountRun]) -> String {
    let mut lines: BTreeMap<&str, Vec<String>> = BTreeMap::new();
    let mut last_success: BTreeMap<&str, &str> = BTreeMap::new();
    for line in old.lines() {
        let Some((name, account)) = name_and_account(line) else { continue };
        if !runs.iter().any(|run| label(&run.account) == account) {
            lines.entry(name).or_default().push(line.to_owned());
        } else if name == LAST_SUCCESS {
            last_success.insert(account, line.rsplit(' ').next().unwrap_or_default());
        }
    }
    for run in runs {
        let known = last_success.get(label(&run.account).as_str()).and_then(|text| text.parse::<i64>().ok());
        for (name, line) in lines_of(run, known) {
            lines.entry(name).or_default().push(line);
        }
    }
    let mut text = String::new();
    for (name, help) in METRICS {
        let Some(lines) = lines.get(name) else { continue };
        // Writing into a text cannot fail.
        let _ = writeln!(text, "# HELP {name} {help}\n# TYPE {name} gauge");
        lines.iter().for_each(|line| text += &format!("{line}\n"));
    }
    text
}

fn lines_of(run: &AccountRun, known_success: Option<i64>) -> Vec<(&'static str, String)> {
    let [ended, success, code, duration, objects, bytes, failures, complete, size] = METRICS.map(|(name, _)| name);
    let account = format!("account=\"{}\"", label(&run.account));
    let last = if run.exit_code == 0 { Some(run.ended) } else { known_success };
    let mut lines = Vec::new();
    let mut add = |name: &'static str, labels: &str, value: String| {
        lines.push((name, format!("{name}{{{account}{labels}}} {value}")));
    };
    add(ended, "", run.ended.to_string());
    add(success, "", last.unwrap_or(0).to_string());
    add(code, "", run.exit_code.to_string());
    add(duration, "", format!("{:.3}", run.seconds));
    for source in &run.sources {
        let labels = format!(",source=\"{}\"", label(&source.source));
        for ((kind, outcome), count) in &source.objects {
            add(objects, &format!("{labels},type=\"{kind}\",outcome=\"{outcome}\""), count.to_string());
        }
        add(bytes, &labels, source.bytes.to_string());
        add(failures, &labels, source.failures.to_string());
    }
    for one in &run.newest_complete {
        let labels = format!(",kind=\"{}\",url=\"{}\"", label(&one.kind), label(&one.url));
        add(complete, &labels, one.ended.to_string());
    }
    if let Some(archive_bytes) = run.archive_bytes {
        add(size, "", archive_bytes.to_string());
    }
    lines
}

/// The value of a label as it stands between quotes.
fn label(text: &str) -> String {
    text.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}

/// The metric and the account of a line that this file wrote: `account` is its first label.
fn name_and_account(line: &str) -> Option<(&'static str, &str)> {
    let (name, rest) = line.split_once("{account=\"")?;
    let (name, _) = METRICS.iter().find(|(known, _)| *known == name)?;
    let mut escaped = false;
    let end = rest.char_indices().find(|(_, c)| {
        let is_end = *c == '"' && !escaped;
        escaped = *c == '\\' && !escaped;
        is_end
    });
    Some((name, &rest[..end?.0]))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(account: &str, ended: i64, exit_code: u8) -> AccountRun {
        let objects = [(("email".to_owned(), "new"), 3)].into();
        let source = SourceRun { source: "imap".to_owned(), objects, bytes: 10, failures: 0 };
        AccountRun { account: account.to_owned(), ended, exit_code, sources: vec![source], ..AccountRun::default() }
    }

    #[test]
    fn a_failure_leaves_the_last_success_and_other_accounts_alone() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("vandelay.prom");
        let strange = "b\\\"ob\n";
        write(&path, &[run("alice", 100, 0), run(strange, 100, 0)]).unwrap();
        write(&path, &[run("alice", 200, 2)]).unwrap();
        write(&path, &[run(strange, 300, 0)]).unwrap();
        let text = std::fs::read_to_string(&path).unwrap();
        for line in [
            "vandelay_last_run_timestamp_seconds{account=\"alice\"} 200",
            "vandelay_last_success_timestamp_seconds{account=\"alice\"} 100",
            "vandelay_last_run_exit_code{account=\"alice\"} 2",
            "vandelay_last_success_timestamp_seconds{account=\"b\\\\\\\"ob\\n\"} 300",
            "vandelay_last_run_objects{account=\"alice\",source=\"imap\",type=\"email\",outcome=\"new\"} 3",
        ] {
            assert_eq!(text.lines().filter(|one| one == &line).count(), 1, "{line} in\n{text}");
        }
        assert_eq!(text.matches("# TYPE vandelay_last_run_bytes gauge").count(), 1);
        assert_eq!(text.matches("vandelay_last_run_bytes{").count(), 2);
        let names: Vec<_> = std::fs::read_dir(dir.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        assert_eq!(names, ["vandelay.prom"]);
    }

    #[test]
    fn a_failure_without_a_file_is_no_success() {
        let mut failed = run("alice", 200, 2);
        failed.newest_complete = vec![NewestComplete { kind: "imap".to_owned(), url: "u".to_owned(), ended: 50 }];
        let text = text("", &[failed]);
        assert!(text.contains("vandelay_last_success_timestamp_seconds{account=\"alice\"} 0\n"), "{text}");
    }

    #[test]
    fn who_holds_the_folder_or_what_is_no_file_stops_no_run() {
        let dir = tempfile::tempdir().unwrap();
        let held = File::open(dir.path()).unwrap();
        flock(&held, FlockOperation::LockExclusive).unwrap();
        let error = write(&dir.path().join("m.prom"), &[run("alice", 1, 0)]).unwrap_err().to_string();
        assert!(error.contains("another program holds"), "{error}");
        drop(held);
        let fifo = dir.path().join("fifo");
        rustix::fs::mknodat(rustix::fs::CWD, &fifo, rustix::fs::FileType::Fifo, 0o600.into(), 0).unwrap();
        assert!(write(&fifo, &[run("alice", 1, 0)]).is_err());
        std::fs::write(dir.path().join("m.prom"), b"\xff\n").unwrap();
        write(&dir.path().join("m.prom"), &[run("alice", 1, 0)]).unwrap();
    }
}
