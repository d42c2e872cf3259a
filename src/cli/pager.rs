//! Long lists go through a pager, as git's do: `VANDELAY_PAGER`, `PAGER` or less, where a person looks at a terminal. It
//! takes the place of stdout and of the terminal behind stderr; whoever prints need not know.

use parking_lot::Mutex;
use rustix::fd::OwnedFd;
use rustix::io::dup;
use rustix::stdio::{dup2_stderr, dup2_stdout};
use signal_hook::consts::SIGINT;
use signal_hook::iterator::Signals;
use std::fs::OpenOptions;
use std::io::{IsTerminal, Write};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};

/// What less does unless the user says otherwise: end at once if all fits the screen, show colours, leave the text there.
const LESS: &str = "FRX";

/// Characters that only a shell understands.
const FOR_SHELL: &str = "|&;<>()$`\\\"'*?[#~=%\n";

/// A pager that runs.
struct Pager {
    name: String,
    child: Child,
    stdout: OwnedFd,
    stderr: Option<OwnedFd>,
}

/// Stdout is one, so the pager in front of it is one.
static PAGER: Mutex<Option<Pager>> = Mutex::new(None);

/// There is to be one as soon as there is something to show.
static IS_WANTED: AtomicBool = AtomicBool::new(false);

/// Sends what is printed from now on through a pager. It starts with the first line: until then, the terminal may show
/// how far the work is.
pub(super) fn want() {
    IS_WANTED.store(true, Ordering::Relaxed);
}

/// Starts the pager if it is wanted. True if it runs from now on.
pub(super) fn start_if_wanted() -> bool {
    IS_WANTED.swap(false, Ordering::Relaxed) && start()
}

/// Starts the pager. Without one that can be started, output goes on as before.
fn start() -> bool {
    let mut running = PAGER.lock();
    if running.is_some() || !std::io::stdout().is_terminal() {
        return false;
    }
    let Some(name) = chosen(|name| std::env::var(name).ok()) else { return false };
    // Before there is a pager, so that no Ctrl-C comes in between.
    let signals = Signals::new([SIGINT]).ok();
    let Ok(mut child) = command(&name).stdin(Stdio::piped()).spawn() else { return false };
    let _ = std::io::stdout().flush();
    let (pipe, stdout) = (child.stdin.take(), dup(std::io::stdout()));
    let stderr = std::io::stderr().is_terminal().then(|| dup(std::io::stderr()).ok()).flatten();
    let (Some(pipe), Ok(stdout)) = (pipe, stdout) else { return give_up(child) };
    if dup2_stdout(&pipe).is_err() {
        return give_up(child);
    }
    if stderr.is_some() {
        let _ = dup2_stderr(&pipe);
    }
    *running = Some(Pager { name, child, stdout, stderr });
    drop(running);
    wait_for_interrupt(signals);
    true
}

/// Ends a pager that cannot be used.
fn give_up(mut child: Child) -> bool {
    let _ = child.kill();
    let _ = child.wait();
    false
}

/// Shows the end of the list, and waits until the user has seen enough. The name of a pager that the shell did not find.
pub(super) fn end() -> Option<String> {
    let mut running = PAGER.lock();
    let Pager { name, mut child, stdout, stderr } = running.take()?;
    let _ = std::io::stdout().flush();
    // The last ends of the pipe: the pager sees the end of the list.
    let _ = dup2_stdout(&stdout);
    if let Some(stderr) = &stderr {
        let _ = dup2_stderr(stderr);
    }
    let code = child.wait().ok()?.code();
    matches!(code, Some(126 | 127)).then_some(name)
}

/// Ctrl-C reaches the pager, too, which may go on: the list ends there, and the terminal stays the pager's until it ends.
fn wait_for_interrupt(signals: Option<Signals>) {
    let Some(mut signals) = signals else { return };
    std::thread::spawn(move || {
        for _ in signals.forever() {
            // Held until the end: a list that is complete meanwhile waits for its pager here. One that waits already holds it.
            let mut running = PAGER.lock();
            let Some(pager) = running.as_mut() else { continue };
            let nowhere = OpenOptions::new().write(true).open("/dev/null");
            if let Ok(nowhere) = &nowhere {
                let _ = dup2_stdout(nowhere);
                let _ = dup2_stderr(nowhere);
            }
            let _ = pager.child.wait();
            std::process::exit(130);
        }
    });
}

/// The pager that the user wants, if one.
fn chosen(variable: impl Fn(&str) -> Option<String>) -> Option<String> {
    if variable("TERM").is_none_or(|terminal| terminal.is_empty() || terminal == "dumb") {
        return None;
    }
    let said = variable("VANDELAY_PAGER").or_else(|| variable("PAGER")).unwrap_or_else(|| "less".to_owned());
    let said = said.trim();
    (!said.is_empty() && said != "cat").then(|| said.to_owned())
}

fn command(name: &str) -> Command {
    let mut command = if name.contains(|c| FOR_SHELL.contains(c)) {
        let mut shell = Command::new("sh");
        shell.args(["-c", name]);
        shell
    } else {
        let mut words = name.split_whitespace();
        let mut command = Command::new(words.next().unwrap_or_default());
        command.args(words);
        command
    };
    for (variable, value) in [("LESS", LESS), ("LV", "-c")] {
        if std::env::var_os(variable).is_none() {
            command.env(variable, value);
        }
    }
    command
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_pager_is_that_of_the_environment() {
        let of = |variables: &[(&str, &str)]| {
            chosen(|name| variables.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned()))
        };
        let term = ("TERM", "xterm");
        assert_eq!(of(&[term]).as_deref(), Some("less"));
        assert_eq!(of(&[term, ("PAGER", "more")]).as_deref(), Some("more"));
        assert_eq!(of(&[term, ("PAGER", "more"), ("VANDELAY_PAGER", "less -S")]).as_deref(), Some("less -S"));
        assert_eq!(of(&[term, ("PAGER", "more"), ("VANDELAY_PAGER", "")]), None);
        assert_eq!(of(&[term, ("PAGER", "cat")]), None);
        assert_eq!((of(&[("TERM", "dumb")]), of(&[])), (None, None));
    }
}
