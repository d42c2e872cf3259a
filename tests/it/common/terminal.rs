//! A terminal for a program under test, with the test at the other end: it reads what is shown, and types.

use std::fs::{File, OpenOptions};
use std::io::{Read, Write};
use std::os::fd::AsRawFd;
use std::os::unix::fs::OpenOptionsExt;
use std::process::{Child, Command};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// Longer than any program waits that nobody keeps waiting.
const PATIENCE: Duration = Duration::from_secs(60);

/// A program that has a terminal for all that it reads and writes.
pub(crate) struct Terminal {
    child: Child,
    keyboard: File,
    shown: Arc<Mutex<Vec<u8>>>,
    screen: JoinHandle<()>,
}

impl Terminal {
    /// Starts the program.
    pub(crate) fn start(command: Command) -> Terminal {
        Terminal::of_width(command, 80)
    }

    /// Starts the program in a terminal of so many columns.
    pub(crate) fn of_width(mut command: Command, columns: u16) -> Terminal {
        let (keyboard, other_end) = pair();
        let size = libc::winsize { ws_row: 24, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 };
        // SAFETY: the request takes a pointer to a size that lives as long as the call.
        let is_set = unsafe { libc::ioctl(other_end.as_raw_fd(), libc::TIOCSWINSZ, &raw const size) == 0 };
        assert!(is_set, "a size: {}", std::io::Error::last_os_error());
        let end = || other_end.try_clone().expect("a terminal");
        let child = command.stdin(end()).stdout(end()).stderr(end()).spawn().expect("the program starts");
        // The last one that has the other end is to be the program: then reading ends with it.
        drop((command, other_end));
        let shown: Arc<Mutex<Vec<u8>>> = Arc::default();
        let (mut reader, all) = (keyboard.try_clone().expect("a terminal"), Arc::clone(&shown));
        let screen = std::thread::spawn(move || {
            let mut buffer = [0; 4096];
            while let Ok(count @ 1..) = reader.read(&mut buffer) {
                all.lock().expect("a lock").extend_from_slice(&buffer[..count]);
            }
        });
        Terminal { child, keyboard, shown, screen }
    }

    /// Everything that was shown so far.
    pub(crate) fn shown(&self) -> String {
        String::from_utf8_lossy(&self.shown.lock().expect("a lock")).into_owned()
    }

    /// Waits until this is shown.
    pub(crate) fn wait_for(&mut self, text: &str) {
        let begun = Instant::now();
        while !self.shown().contains(text) {
            let has_ended = self.child.try_wait().expect("a child").is_some();
            assert!(!has_ended && begun.elapsed() < PATIENCE, "{text:?} is not shown: {}", self.shown());
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// Types something; `\n` is the return key, `\x04` the end of the input.
    pub(crate) fn types(&mut self, text: &str) {
        self.keyboard.write_all(text.as_bytes()).expect("it can be typed");
    }

    /// Sends what Ctrl-C sends.
    pub(crate) fn interrupt(&self) {
        let id = libc::pid_t::try_from(self.child.id()).expect("an id");
        // SAFETY: a signal to a child that has not been waited for.
        unsafe { libc::kill(id, libc::SIGINT) };
    }

    /// Waits for the end of the program; gives its exit code and everything that was shown.
    pub(crate) fn end(mut self) -> (Option<i32>, String) {
        let begun = Instant::now();
        let status = loop {
            match self.child.try_wait().expect("a child") {
                Some(status) => break status,
                None if begun.elapsed() < PATIENCE => std::thread::sleep(Duration::from_millis(10)),
                None => {
                    let _ = self.child.kill();
                    panic!("it does not end: {}", self.shown());
                }
            }
        };
        self.screen.join().expect("a thread");
        let shown = String::from_utf8_lossy(&self.shown.lock().expect("a lock")).into_owned();
        (status.code(), shown)
    }
}

/// The two ends of a new terminal. Other programs that are started meanwhile do not inherit them.
fn pair() -> (File, File) {
    let open = |path: &str| {
        let mut options = OpenOptions::new();
        options.read(true).write(true).custom_flags(libc::O_NOCTTY).open(path).expect("a terminal")
    };
    let here = open("/dev/ptmx");
    let (unlocked, mut number): (libc::c_int, libc::c_int) = (0, 0);
    // SAFETY: both requests take a pointer to an int that lives as long as the call.
    let is_fine = unsafe {
        libc::ioctl(here.as_raw_fd(), libc::TIOCSPTLCK, &raw const unlocked) == 0
            && libc::ioctl(here.as_raw_fd(), libc::TIOCGPTN, &raw mut number) == 0
    };
    assert!(is_fine, "a terminal: {}", std::io::Error::last_os_error());
    let there = open(&format!("/dev/pts/{number}"));
    (here, there)
}
