//! Where notes, warnings and errors go: to stderr, in the form of the journal where that reads it, and into a log file.

use super::moving::Moving;
use super::screen::Style;
use crate::archive::rfc3339;
use crate::error::{Error, Result};
use crate::model::text::is_unsafe;
use parking_lot::Mutex;
use rustix::fs::fstat;
use std::fs::{File, OpenOptions};
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::sync::Arc;

/// How serious a note is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Level {
    Error,
    Warning,
    Info,
    Detail,
}

impl Level {
    /// What the journal takes in front of a line (sd-daemon(3)).
    fn journal_prefix(self) -> &'static str {
        match self {
            Level::Error => "<3>",
            Level::Warning => "<4>",
            Level::Info => "<6>",
            Level::Detail => "<7>",
        }
    }

    fn name(self) -> &'static str {
        match self {
            Level::Error => "error",
            Level::Warning => "warning",
            Level::Info => "info",
            Level::Detail => "detail",
        }
    }
}

/// How lines on stderr look.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, clap::ValueEnum)]
pub(crate) enum LogFormat {
    /// As journald if stderr goes to the journal, else as text
    #[default]
    Auto,
    /// Lines for people
    Text,
    /// Lines with their priority in front, as the journal of systemd reads them
    Journald,
}

/// The places that notes go to.
#[derive(Clone, Default)]
pub(super) struct Notes {
    for_journal: bool,
    has_color: bool,
    file: Option<Arc<Mutex<File>>>,
    /// What moves on stderr meanwhile.
    pub(super) moving: Moving,
}

impl Notes {
    /// Opens the log file, if there is to be one; lines are added at its end.
    pub(super) fn open(format: LogFormat, file: Option<&Path>) -> Result<Notes> {
        let for_journal = match format {
            LogFormat::Auto => stderr_is_journal(),
            LogFormat::Text => false,
            LogFormat::Journald => true,
        };
        let notes = Notes { for_journal, ..Notes::default() };
        match file {
            Some(file) => notes.with_file(file),
            None => Ok(notes),
        }
    }

    /// The same with a log file, unless there is one.
    pub(super) fn with_file(&self, path: &Path) -> Result<Notes> {
        if self.file.is_some() {
            return Ok(self.clone());
        }
        let opened = OpenOptions::new().append(true).create(true).mode(0o600).open(path);
        let file = opened.map_err(|error| Error::io(format!("cannot write the log {}", path.display()), error))?;
        Ok(Notes { file: Some(Arc::new(Mutex::new(file))), ..self.clone() })
    }

    /// The same with colours, or without.
    pub(super) fn with_color(&self, has_color: bool) -> Notes {
        Notes { has_color: has_color && !self.for_journal, ..self.clone() }
    }

    /// Says something on stderr, and in the file.
    pub(super) fn say(&self, level: Level, text: &str) {
        let text = clean(text);
        self.keep(level, &text);
        let mut lines = String::new();
        for line in text.split('\n') {
            let line = &if self.has_color { colored(line) } else { line.to_owned() };
            lines += &format!("{}{line}\n", if self.for_journal { level.journal_prefix() } else { "" });
        }
        // There is nobody left to tell that stderr is gone.
        let _ = self.moving.aside(|| std::io::stderr().lock().write_all(lines.as_bytes()));
    }

    /// Writes something into the file alone.
    pub(super) fn keep(&self, level: Level, text: &str) {
        let Some(file) = &self.file else { return };
        let now = rfc3339(jiff::Timestamp::now().as_second());
        let known = ["error: ", "warning: "].iter().find_map(|word| text.strip_prefix(word)).unwrap_or(text);
        let line = format!("{now} {:<7} {}\n", level.name(), clean(known).replace('\n', " "));
        // A full disk must not stop a backup; what failed is on stderr.
        let _ = file.lock().write_all(line.as_bytes());
    }
}

/// The words that a line of a note may begin with, and what they are.
const WORDS: [(&str, Style); 3] = [("error:", Style::Error), ("warning:", Style::Warning), ("hint:", Style::Hint)];

/// A line with its first word in its colour.
fn colored(line: &str) -> String {
    let known = WORDS.iter().find_map(|(word, style)| Some((style.paint(word), line.strip_prefix(word)?)));
    known.map_or_else(|| line.to_owned(), |(word, rest)| word + rest)
}

/// A text as a terminal may get it: unsafe characters are shown, not obeyed.
pub(super) fn clean(text: &str) -> String {
    escaped(text, is_unsafe)
}

/// A text with such characters escaped, but for line ends and tabs.
pub(super) fn escaped(text: &str, is_bad: impl Fn(char) -> bool) -> String {
    let is_bad = |c: char| is_bad(c) && c != '\n' && c != '\t';
    if !text.chars().any(is_bad) {
        return text.to_owned();
    }
    text.chars().map(|c| if is_bad(c) { c.escape_default().to_string() } else { c.to_string() }).collect()
}

/// True if stderr is the stream that systemd made for this service (systemd.exec(5), `$JOURNAL_STREAM`).
fn stderr_is_journal() -> bool {
    let Ok(stream) = std::env::var("JOURNAL_STREAM") else { return false };
    let Ok(stat) = fstat(std::io::stderr()) else { return false };
    let meta = (stat.st_dev, stat.st_ino);
    stream == format!("{}:{}", meta.0, meta.1)
}
