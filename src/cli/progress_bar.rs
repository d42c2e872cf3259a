//! The progress of a run: one line on a terminal, objects with `--json`, nothing elsewhere.

use super::moving::Moving;
use super::notes::clean;
use super::progress_line::Position;
pub(crate) use super::progress_line::Unit;
use super::ui::Ui;
use super::words::title_of;
use crate::progress::Progress;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressState, ProgressStyle};
use parking_lot::Mutex;
use rustix::termios::tcgetwinsize;
use std::io::Write as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::thread::{JoinHandle, spawn};
use std::time::{Duration, Instant};

/// How often a program is told.
const STATUS: Duration = Duration::from_secs(1);

/// The columns of a terminal that does not say how many it has.
const WIDTH: usize = 80;

/// The progress display of a run. It goes away with this.
pub(crate) struct Bar {
    bar: ProgressBar,
    moving: Moving,
    position: Arc<Mutex<Position>>,
    interrupted: Arc<AtomicBool>,
    /// Tells steps on stderr.
    chatty: bool,
    /// Tells programs; it ends with the sender.
    status: Mutex<Option<(Sender<()>, JoinHandle<()>)>>,
}

impl Ui {
    /// The progress display of a run, and what says that the user wants it to end.
    pub(crate) fn progress(&self, interrupted: Arc<AtomicBool>) -> Bar {
        let position: Arc<Mutex<Position>> = Arc::default();
        let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::hidden());
        let moving = self.moving();
        if self.shows_progress() {
            bar.set_style(style(&position, &interrupted));
            bar.set_draw_target(ProgressDrawTarget::stderr_with_hz(8));
            bar.enable_steady_tick(Duration::from_millis(250));
            moving.show(&bar);
        }
        let status = self.tells_programs().then(|| tell_programs(self.clone(), Arc::clone(&position), bar.clone()));
        let chatty = self.is_chatty();
        Bar { bar, moving, position, interrupted, chatty, status: Mutex::new(status) }
    }
}

fn style(position: &Arc<Mutex<Position>>, interrupted: &Arc<AtomicBool>) -> ProgressStyle {
    let (position, interrupted) = (Arc::clone(position), Arc::clone(interrupted));
    let style = ProgressStyle::with_template("{line}").unwrap_or_else(|_| ProgressStyle::default_bar());
    style.with_key("line", move |state: &ProgressState, out: &mut dyn std::fmt::Write| {
        let position = position.lock().clone();
        let is_stopping = interrupted.load(Ordering::Relaxed);
        let _ = out.write_str(&position.line(width(), state.elapsed(), state.per_sec(), is_stopping));
    })
}

/// The columns that a line may have; one less than there are, as some terminals begin a new line behind the last.
fn width() -> usize {
    let columns = tcgetwinsize(std::io::stderr()).map_or(0, |size| usize::from(size.ws_col));
    if columns == 0 { WIDTH - 1 } else { columns - 1 }
}

/// Tells programs once a second how far the run is. A run that is shorter than that tells nothing.
fn tell_programs(ui: Ui, position: Arc<Mutex<Position>>, bar: ProgressBar) -> (Sender<()>, JoinHandle<()>) {
    let begun = Instant::now();
    let (sender, ended) = channel();
    let teller = spawn(move || {
        while ended.recv_timeout(STATUS) == Err(RecvTimeoutError::Timeout) {
            let position = position.lock().clone();
            ui.object("status", status(&position, begun.elapsed(), bar.per_sec()));
        }
    });
    (sender, teller)
}

/// The object of a moment (docs/reference/json.md).
fn status(position: &Position, elapsed: Duration, per_second: f64) -> serde_json::Value {
    let counts_bytes = position.unit == Unit::Bytes;
    let (items, bytes) = if counts_bytes { (None, position.done) } else { (Some(position.done), position.bytes) };
    serde_json::json!({
        "step": position.step,
        "place": (!position.place.is_empty()).then_some(&position.place),
        "percent": position.percent(),
        "items_done": items,
        "items_total": position.total.filter(|_| !counts_bytes),
        "done_size": bytes,
        "total_size": position.total.filter(|_| counts_bytes),
        "seconds_elapsed": elapsed.as_secs(),
        "seconds_left": position.seconds_left(per_second),
    })
}

impl Bar {
    /// Takes the display away.
    pub(crate) fn done(&self) {
        let status = self.status.lock().take();
        if let Some((sender, teller)) = status {
            drop(sender);
            let _ = teller.join();
        }
        self.bar.finish_and_clear();
        self.moving.clear();
    }

    /// Takes the display away for as long as something else is on the screen: it would draw over a question.
    pub(crate) fn aside<T>(&self, other: impl FnOnce() -> T) -> T {
        self.moving.aside(other)
    }

    /// True if somebody sees it, so that it is worth finding out how much there is to do.
    pub(crate) fn is_seen(&self) -> bool {
        !self.bar.is_hidden() || self.status.lock().is_some()
    }

    /// So many of all items, or bytes, are done. A new step begins where `what` is another one. True if the run may go on.
    pub(crate) fn reach(&self, what: &str, unit: Unit, done: u64, total: u64) -> bool {
        if total == 0 {
            return !self.interrupted();
        }
        let is_new = self.position.lock().step != what;
        if is_new {
            self.tell(what);
            self.begin(Position { step: what.to_owned(), unit, total: Some(total), ..Position::default() });
        }
        let mut position = self.position.lock();
        (position.done, position.total) = (done, Some(total));
        drop(position);
        self.bar.set_position(done);
        !self.interrupted()
    }

    fn begin(&self, position: Position) {
        *self.position.lock() = position;
        self.bar.set_position(0);
        self.bar.reset_eta();
        self.bar.reset_elapsed();
    }

    fn tell(&self, what: &str) {
        if self.chatty {
            let _ = writeln!(std::io::stderr().lock(), "{}", clean(what));
        }
    }
}

impl Drop for Bar {
    fn drop(&mut self) {
        self.done();
    }
}

impl Progress for Bar {
    fn step(&self, what: &str) {
        self.tell(what);
        self.begin(Position { step: one_line(what), ..Position::default() });
    }

    fn expect(&self, what: &str, items: u64) {
        if items > 0 {
            self.begin(Position { step: title_of(what).to_owned(), total: Some(items), ..Position::default() });
        }
    }

    fn place(&self, name: &str) {
        self.tell(&format!("reading {name}"));
        self.position.lock().place = one_line(name);
    }

    fn item(&self, bytes: u64) {
        let mut position = self.position.lock();
        position.done += 1;
        position.bytes += bytes;
        drop(position);
        self.bar.inc(1);
    }

    fn interrupted(&self) -> bool {
        self.interrupted.load(Ordering::Relaxed)
    }
}

/// A text as the one line of the display may hold it.
fn one_line(text: &str) -> String {
    clean(&text.replace(['\n', '\r', '\t'], " "))
}
