//! The only place that prints: results to stdout, everything else to stderr, nothing that could drive a terminal.

use super::moving::Moving;
use super::notes::{Level, Notes, clean, escaped};
use super::pager;
use super::screen::{ColorWhen, Screen, Style};
use crate::error::{Error, ErrorKind, Result};
use crate::net::log::Log;
use indicatif::HumanBytes;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use serde::Serialize;
use signal_hook::SigId;
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::flag::{register, register_conditional_shutdown};
use signal_hook::low_level::unregister;
use std::io::{self, BufRead, IsTerminal, Write};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};

/// How to talk to the user.
#[derive(Clone)]
pub(crate) struct Ui {
    pub json: bool,
    pub quiet: bool,
    pub verbose: u8,
    stdout_is_terminal: bool,
    stderr_is_terminal: bool,
    screen: Screen,
    /// It is one of several parts of a run, of which none shows its progress.
    is_part: bool,
    notes: Arc<Notes>,
    /// In front of each note: what it is about, where that is one of several.
    about: String,
    /// Of a run that goes on when a result cannot be written: why.
    unwritten: Option<Arc<OnceLock<io::ErrorKind>>>,
}

impl Ui {
    /// Looks at the terminal, or what is in its place.
    pub(crate) fn new(json: bool, quiet: bool, verbose: u8) -> Ui {
        Ui {
            json,
            quiet,
            verbose,
            stdout_is_terminal: std::io::stdout().is_terminal(),
            stderr_is_terminal: std::io::stderr().is_terminal(),
            screen: Screen::new(ColorWhen::Auto),
            is_part: false,
            notes: Arc::default(),
            about: String::new(),
            unwritten: None,
        }
    }

    /// The same for a run whose work goes on when its results cannot be written; [`Ui::written`] tells in the end.
    pub(super) fn outlasting(&self) -> Ui {
        Ui { unwritten: Some(Arc::default()), ..self.clone() }
    }

    /// An error if a result of such a run could not be written, unless its reader has gone.
    pub(super) fn written(&self) -> Result<()> {
        match self.unwritten.as_ref().and_then(|unwritten| unwritten.get()) {
            Some(kind) if *kind != io::ErrorKind::BrokenPipe => {
                Err(Error::io("cannot write the result", io::Error::from(*kind)))
            }
            _ => Ok(()),
        }
    }

    /// The same, with colours where the user wants them.
    pub(super) fn with_color(self, when: ColorWhen) -> Ui {
        let screen = Screen::new(when);
        Ui { screen, notes: Arc::new(self.notes.with_color(screen.color_err)), ..self }
    }

    /// How many columns a line has.
    pub(super) fn width(&self) -> usize {
        self.screen.width
    }

    /// True if a line that is longer would be folded; a file takes it as it is.
    pub(super) fn is_bounded(&self) -> bool {
        self.screen.is_bounded
    }

    /// The same, with notes going to these places.
    pub(super) fn with_notes(self, notes: Notes) -> Ui {
        Ui { notes: Arc::new(notes.with_color(self.screen.color_err)), ..self }
    }

    /// The same, with notes going to the end of this file, too, unless a flag named another one.
    pub(super) fn logging_to(&self, file: &Path) -> Result<Ui> {
        Ok(Ui { notes: Arc::new(self.notes.with_file(file)?), ..self.clone() })
    }

    /// The same for a part of a run that has many: its notes begin with `about`, and nothing moves on the screen.
    pub(super) fn about(&self, about: &str) -> Ui {
        Ui { is_part: true, about: format!("{}{about}: ", self.about), ..self.clone() }
    }

    /// A result that is one line, whatever names stand in it.
    pub(crate) fn row(&self, text: &str) {
        self.line(&text.replace(['\n', '\r', '\u{2028}', '\u{2029}'], " "));
    }

    /// A line of the result. Ends the program quietly when its reader has gone.
    pub(crate) fn line(&self, text: &str) {
        self.raw(format!("{}\n", self.sanitized(text)).as_bytes());
    }

    /// A line of the result in pieces, each in its colour.
    pub(super) fn spans(&self, spans: &[(Style, String)]) {
        let mut line = String::new();
        for (style, text) in spans {
            let text = self.shown(text);
            line.push_str(&if self.screen.color_out { style.paint(&text) } else { text });
        }
        line.push('\n');
        self.raw(line.as_bytes());
    }

    /// A text as a line shows it, on one line: what a column is measured by.
    pub(crate) fn shown(&self, text: &str) -> String {
        self.sanitized(&text.replace(['\n', '\r', '\t', '\u{2028}', '\u{2029}'], " "))
    }

    fn sanitized(&self, text: &str) -> String {
        // Piped output may still end on a terminal, so controls are escaped there, too; a script wants letters as they are.
        if self.stdout_is_terminal { clean(text) } else { without_controls(text) }
    }

    /// A JSON object as a line of the result: its `message_type`, then these fields (docs/reference/json.md).
    pub(crate) fn object(&self, message_type: &'static str, fields: impl Serialize) {
        self.raw(json_line(message_type, fields).as_bytes());
    }

    /// Bytes of the result, as they are.
    pub(crate) fn raw(&self, bytes: &[u8]) {
        if pager::start_if_wanted() {
            leave_interrupts();
        }
        let write = || {
            let mut out = std::io::stdout().lock();
            out.write_all(bytes).and_then(|()| out.flush())
        };
        let written = if self.stdout_is_terminal { self.notes.moving.aside(write) } else { write() };
        if let Err(error) = written {
            if let Some(unwritten) = &self.unwritten {
                let _ = unwritten.set(error.kind());
                return;
            }
            // A reader that has seen enough (`| head`) is no error; a full disk is one.
            let is_read = self.end_pager();
            let code = if error.kind() == std::io::ErrorKind::BrokenPipe && is_read {
                0
            } else {
                if is_read {
                    eprintln!("error: cannot write the result: {error}");
                }
                7
            };
            std::process::exit(code);
        }
    }

    /// Waits for the pager, if there is one. False if it could not be run, which is said.
    pub(super) fn end_pager(&self) -> bool {
        let missing = pager::end();
        if let Some(pager) = &missing {
            self.warn(&format!("the pager '{pager}' cannot be run: set PAGER, or use --no-pager"));
        }
        missing.is_none()
    }

    /// A note; not with `--quiet`.
    pub(crate) fn info(&self, text: &str) {
        if self.quiet {
            self.keep(text);
        } else {
            self.note(Level::Info, text);
        }
    }

    /// A detail, with `--verbose` only.
    pub(crate) fn detail(&self, text: &str) {
        if self.verbose > 0 {
            self.note(Level::Detail, text);
        }
    }

    /// Numbers as they can be checked by adding them up: for the log file, and with `--verbose`.
    pub(super) fn checkable(&self, lines: &str) {
        lines.lines().for_each(|line| if self.verbose > 0 { self.detail(line) } else { self.keep(line) });
    }

    /// What to do next, for a person at a terminal.
    pub(super) fn advice(&self, text: &str) {
        if self.shows_progress() {
            self.notes.say(Level::Info, text);
        }
    }

    /// A line for the log file alone.
    pub(super) fn keep(&self, text: &str) {
        self.notes.keep(Level::Info, &format!("{}{text}", self.about));
    }

    /// The log of this run's connections, at the level of `-v`.
    pub(crate) fn log(&self) -> Log {
        let (notes, about) = (Arc::clone(&self.notes), self.about.clone());
        Log::new(self.verbose, move |text| notes.say(Level::Detail, &format!("{about}{text}")))
    }

    /// A warning, with `--quiet` too.
    pub(crate) fn warn(&self, text: &str) {
        self.note(Level::Warning, text);
    }

    /// Asks on the terminal; the answer comes on the same line, and is empty at the end of the input.
    ///
    /// Errors: [`ErrorKind::Interrupted`] if the user interrupts instead. A read that a signal meets goes on, so it begins only
    /// once there is something to read.
    pub(crate) fn ask(&self, question: &str) -> Result<String> {
        self.notes.moving.aside(|| Ui::ask_alone(question))
    }

    fn ask_alone(question: &str) -> Result<String> {
        let mut stderr = std::io::stderr().lock();
        let _ = write!(stderr, "{}", clean(question)).and_then(|()| stderr.flush());
        drop(stderr);
        let (interrupted, stdin) = (interrupt_flag(), std::io::stdin());
        let tick = Timespec { tv_sec: 0, tv_nsec: 100_000_000 };
        loop {
            if interrupted.load(Ordering::Relaxed) {
                let _ = writeln!(std::io::stderr().lock());
                return Err(Error::new(ErrorKind::Interrupted, "interrupted; nothing was changed"));
            }
            match poll(&mut [PollFd::new(&stdin, PollFlags::IN)], Some(&tick)) {
                Ok(0) | Err(Errno::INTR) => {}
                _ => break,
            }
        }
        let mut answer = String::new();
        // Input that cannot be read is no answer.
        let _ = stdin.lock().read_line(&mut answer);
        Ok(answer)
    }

    fn note(&self, level: Level, text: &str) {
        let word = match level {
            Level::Error => "error: ",
            Level::Warning => "warning: ",
            Level::Info | Level::Detail => "",
        };
        self.notes.say(level, &format!("{word}{}{text}", self.about));
    }

    /// The last words of a run that failed.
    pub(crate) fn fatal(&self, error: &Error) {
        self.failed(error);
        if self.json {
            self.exit_error(error);
        }
    }

    /// An error, and what to do.
    pub(super) fn failed(&self, error: &Error) {
        self.note(Level::Error, &error.to_string());
        if let Some(hint) = error.hint_text() {
            self.notes.say(Level::Error, &format!("hint: {}{hint}", self.about));
        }
    }

    /// The same as the last JSON object of the result.
    pub(crate) fn exit_error(&self, error: &Error) {
        let fields = serde_json::json!({
            "code": error.kind.exit_code(),
            "kind": error.kind.token(),
            "message": error.to_string(),
            "hint": error.hint_text(),
        });
        // The exit code tells it, too, and must not become another one.
        let _ = std::io::stdout().lock().write_all(json_line("exit_error", fields).as_bytes());
    }

    /// Where something may move.
    pub(super) fn moving(&self) -> Moving {
        self.notes.moving.clone()
    }

    /// True if a person sees what moves on stderr.
    pub(super) fn shows_progress(&self) -> bool {
        self.stderr_is_terminal && !self.is_part && !self.quiet && !self.json
    }

    /// True if a program wants to know how far a run is.
    pub(super) fn tells_programs(&self) -> bool {
        self.json && !self.quiet && !self.is_part
    }

    /// True if each step of a run gets a line.
    pub(super) fn is_chatty(&self) -> bool {
        self.verbose > 0 && (!self.stderr_is_terminal || self.is_part)
    }
}

/// The only form of a line of JSON. Fields that are no object have no name, and cannot be told.
fn json_line(message_type: &'static str, fields: impl Serialize) -> String {
    #[derive(Serialize)]
    struct Line<T> {
        message_type: &'static str,
        #[serde(flatten)]
        fields: T,
    }
    let text = serde_json::to_string(&Line { message_type, fields });
    debug_assert!(text.is_ok(), "{message_type}: {text:?}");
    text.unwrap_or_else(|_| serde_json::json!({ "message_type": message_type }).to_string()) + "\n"
}

/// A word as it can be pasted into a shell.
pub(super) fn quoted(word: &str) -> String {
    let is_plain = !word.is_empty() && word.chars().all(|c| c.is_alphanumeric() || "/._-+@%,:=".contains(c));
    if is_plain { word.to_owned() } else { format!("'{}'", word.replace('\'', r"'\''")) }
}

/// Control characters are shown, not obeyed; everything else stays.
fn without_controls(text: &str) -> String {
    escaped(text, char::is_control)
}

/// The flag of [`interrupt_flag`], and what SIGINT does.
static INTERRUPTS: OnceLock<(Arc<AtomicBool>, Vec<SigId>)> = OnceLock::new();

/// The flag that SIGINT and SIGTERM raise; the second one ends the program at once.
pub(super) fn interrupt_flag() -> Arc<AtomicBool> {
    let install = || {
        let flag = Arc::new(AtomicBool::new(false));
        let mut of_interrupt = Vec::new();
        for signal in [SIGINT, SIGTERM] {
            let ids =
                [register_conditional_shutdown(signal, 130, Arc::clone(&flag)), register(signal, Arc::clone(&flag))];
            if signal == SIGINT {
                of_interrupt.extend(ids.into_iter().flatten());
            }
        }
        (flag, of_interrupt)
    };
    Arc::clone(&INTERRUPTS.get_or_init(install).0)
}

/// Leaves Ctrl-C to a pager: the second one would end this program, and leave the pager behind.
fn leave_interrupts() {
    if let Some((_, of_interrupt)) = INTERRUPTS.get() {
        for id in of_interrupt {
            unregister(*id);
        }
    }
}

/// `1,234,567`
pub(super) fn thousands(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// `1 object`, `1,234 objects`
pub(super) fn counted(number: u64, noun: &str) -> String {
    format!("{} {noun}{}", thousands(number), if number == 1 { "" } else { "s" })
}

/// `8.7K`, `182K`, `3.1M`: at most 5 columns.
pub(super) fn size(number: u64) -> String {
    let (mut value, mut units) = (number as f64, "KMGTPE".chars());
    if number < 1_000 {
        return number.to_string();
    }
    let mut unit = ' ';
    while value >= 999.5 {
        value /= 1024.0;
        unit = units.next().unwrap_or('E');
    }
    if value < 9.95 { format!("{value:.1}{unit}") } else { format!("{value:.0}{unit}") }
}

/// `12.3 MiB`
pub(super) fn bytes(number: u64) -> String {
    HumanBytes(number).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_size_takes_four_columns() {
        for (number, expected) in [
            (0, "0"),
            (999, "999"),
            (1_000, "1.0K"),
            (1_024, "1.0K"),
            (8_919, "8.7K"),
            (186_000, "182K"),
            (1 << 20, "1.0M"),
        ] {
            assert_eq!(size(number), expected);
        }
        for shift in 0..64 {
            for number in [1_u64 << shift, (1 << shift) - 1, u64::MAX >> shift] {
                assert!(size(number).len() <= 4, "{number}: {}", size(number));
            }
        }
    }
}
