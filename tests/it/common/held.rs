//! An import that stands still while a test does something to its archive.

use super::vandelay;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// `vandelay import maildir`, which says nothing.
pub(crate) fn import_command(maildir: &Path, archive: &Path) -> Command {
    let mut command = vandelay();
    command.args(["import", "maildir"]).arg(maildir).arg(archive).stdout(Stdio::null()).stderr(Stdio::null());
    command
}

/// Sends a signal to a child.
pub(crate) fn signal(child: &Child, number: i32) {
    // SAFETY: kill on a child of ours that was not waited for yet.
    unsafe { libc::kill(child.id() as i32, number) };
}

/// An import that is stopped while it holds the lock and has written something. Killed on drop.
pub(crate) struct Held(pub Child);

impl Held {
    /// Stops an import of enough messages that it cannot be done before.
    pub(crate) fn new(maildir: &Path, archive: &Path) -> Held {
        Held::with(archive, || import_command(maildir, archive))
    }

    /// The same with a command of the caller's. The archive must not be there yet.
    pub(crate) fn with(archive: &Path, command: impl Fn() -> Command) -> Held {
        for _ in 0..20 {
            let mut child = command().spawn().expect("the program starts");
            let log = PathBuf::from(format!("{}-wal", archive.display()));
            let started = Instant::now();
            // The first batch stands in the log.
            while fs::metadata(&log).map_or(0, |meta| meta.len()) < 1_000_000
                && started.elapsed() < Duration::from_secs(20)
            {
                std::thread::yield_now();
            }
            signal(&child, libc::SIGSTOP);
            std::thread::sleep(Duration::from_millis(20));
            if child.try_wait().expect("a child").is_none() && log.exists() {
                return Held(child);
            }
            let _ = child.kill();
            let _ = child.wait();
            let _ = fs::remove_file(archive);
        }
        panic!("the import is always done before it can be stopped");
    }

    /// Lets it go on, and waits for its end.
    pub(crate) fn go_on(mut self) -> std::process::Output {
        signal(&self.0, libc::SIGCONT);
        let mut said = [Vec::new(), Vec::new()];
        let [out, err] = &mut said;
        // What an import says here fits into the pipes.
        let streams = (self.0.stdout.take(), self.0.stderr.take());
        if let Some(mut stream) = streams.0 {
            std::io::Read::read_to_end(&mut stream, out).expect("its output");
        }
        if let Some(mut stream) = streams.1 {
            std::io::Read::read_to_end(&mut stream, err).expect("its output");
        }
        let status = self.0.wait().expect("it ends");
        let [stdout, stderr] = said;
        std::process::Output { status, stdout, stderr }
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
