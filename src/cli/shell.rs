//! Commands of the user, run with sh: in a process group of their own, so that nothing of them is left when they take too
//! long.

use rustix::process::{Pid, Signal, kill_process_group};
use std::fmt;
use std::io;
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

/// Why a command did not do what it was to do.
#[derive(Debug)]
pub(super) enum Trouble {
    CannotRun(io::Error),
    /// It did not end within this time.
    TooLong(Duration),
    /// The user wants the run to end.
    Stopped,
    Failed(ExitStatus),
}

impl fmt::Display for Trouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Trouble::CannotRun(error) => write!(f, "cannot be run: {error}"),
            Trouble::TooLong(patience) => write!(f, "did not end within {} s", patience.as_secs()),
            Trouble::Stopped => f.write_str("was stopped"),
            Trouble::Failed(status) => write!(f, "failed: {status}"),
        }
    }
}

/// Starts a command that reads nothing.
pub(super) fn start(command: &str, stdout: Stdio, variables: &[(&str, String)]) -> Result<Child, Trouble> {
    Command::new("sh")
        .args(["-c", command])
        .envs(variables.iter().map(|(name, value)| (name, value)))
        .stdin(Stdio::null())
        .stdout(stdout)
        .process_group(0)
        .spawn()
        .map_err(Trouble::CannotRun)
}

/// Waits until a command has ended well; it and its children are killed when that takes too long, or `is_stopped` says so.
pub(super) fn wait(child: &mut Child, patience: Duration, is_stopped: impl Fn() -> bool) -> Result<(), Trouble> {
    let end = Instant::now() + patience;
    loop {
        match child.try_wait() {
            Ok(Some(status)) if status.success() => return Ok(()),
            Ok(Some(status)) => return Err(Trouble::Failed(status)),
            Ok(None) => {
                let trouble = match is_stopped() {
                    true => Trouble::Stopped,
                    false if Instant::now() >= end => Trouble::TooLong(patience),
                    false => {
                        std::thread::sleep(Duration::from_millis(5));
                        continue;
                    }
                };
                kill(child);
                return Err(trouble);
            }
            Err(error) => {
                kill(child);
                return Err(Trouble::CannotRun(error));
            }
        }
    }
}

/// Ends a command and its children at once.
pub(super) fn kill(child: &mut Child) {
    if let Some(group) = i32::try_from(child.id()).ok().and_then(Pid::from_raw) {
        let _ = kill_process_group(group, Signal::KILL);
    }
    let _ = child.wait();
}
