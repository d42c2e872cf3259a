//! Waits that the server asks for (`Retry-After`, RFC 9110 section 10.2.3), shared by all requests of a run: a server that
//! takes so many uploads an hour means all of them.

use crate::error::Error;
use parking_lot::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};
use tokio::time;

/// The longest wait, for one answer and for all in a row between which nothing gets done.
pub(super) const DAY: Duration = Duration::from_secs(86_400);

/// A shorter wait is an ordinary one between two attempts, and counts as a try.
pub(super) const LONG: Duration = Duration::from_secs(10);

/// What is known of the server's wishes, and of the work.
#[derive(Debug, Default)]
pub struct Pauses {
    state: Mutex<State>,
    /// Objects that are still to be sent, and those that were; both 0 where nothing is sent.
    left: AtomicU64,
    done: AtomicU64,
    /// The server asked for a wait of more than [`DAY`].
    has_given_up: AtomicBool,
}

#[derive(Debug, Default)]
struct State {
    /// No request begins before this time.
    until: Option<Instant>,
    /// When the first wait began after which nothing got done yet.
    fruitless: Option<Instant>,
}

impl Pauses {
    /// Says how many objects are to be sent from now on.
    pub fn expect(&self, left: u64) {
        self.left.store(left, Ordering::Relaxed);
        self.done.store(0, Ordering::Relaxed);
    }

    /// One of them has its outcome.
    pub fn done(&self) {
        let less = |left: u64| Some(left.saturating_sub(1));
        if self.left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, less).is_ok_and(|left| left > 0) {
            self.done.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// A request was answered: waits from now on do not add to those before.
    pub fn heard(&self) {
        self.state.lock().fruitless = None;
    }

    /// True once the server asked for a longer wait than a day.
    pub fn has_given_up(&self) -> bool {
        self.has_given_up.load(Ordering::Relaxed)
    }

    /// Waits until the end of the wait that the server asked for.
    pub async fn wait(&self) {
        let until = self.state.lock().until;
        if let Some(left) = until.and_then(|until| until.checked_duration_since(Instant::now())) {
            time::sleep(left).await;
        }
    }

    /// The server wants to be left alone for so long, for the reason of this error. Gives words for the user, if this is a
    /// new wait and a long one.
    ///
    /// Errors: the wait is longer than a day; the text is the hint for the user.
    pub fn announce(&self, wait: Duration, error: &Error) -> Result<Option<String>, String> {
        let now = Instant::now();
        let mut state = self.state.lock();
        let fruitless = now.duration_since(*state.fruitless.get_or_insert(now));
        if wait > DAY || fruitless + wait > DAY {
            self.has_given_up.store(true, Ordering::Relaxed);
            return Err(format!(
                "run the same command again in {}: what is there already is not sent again",
                words(wait)
            ));
        }
        let until = now + wait;
        if state.until.is_some_and(|known| known >= until) {
            return Ok(None);
        }
        // Requests that were under way at the same time get the same answer, a moment later.
        let is_new = state.until.is_none_or(|known| until > known + LONG);
        state.until = Some(until);
        if wait < LONG || !is_new {
            return Ok(None);
        }
        let end = jiff::Timestamp::now() + wait;
        let pattern = if wait.as_secs() > 12 * 3600 { "%Y-%m-%d %H:%M:%S UTC" } else { "%H:%M:%S UTC" };
        Ok(Some(format!(
            "the server asks to wait {} ({error}): going on at {}{}",
            words(wait),
            end.strftime(pattern),
            self.work(wait)
        )))
    }

    /// What is left, and how long that takes if the server goes on like this.
    fn work(&self, wait: Duration) -> String {
        let (left, done) = (self.left.load(Ordering::Relaxed), self.done.load(Ordering::Relaxed));
        if left == 0 {
            return String::new();
        }
        let mut text = format!("; {left} of {} objects are left", left + done);
        let rounds = left.checked_div(done.max(1)).unwrap_or_default();
        let all = wait.saturating_mul(u32::try_from(rounds).unwrap_or(u32::MAX));
        if all > DAY {
            text.push_str(&format!(". At this rate they take {}", words(all)));
        }
        text
    }
}

/// A duration in the two largest units.
fn words(duration: Duration) -> String {
    let seconds = duration.as_secs();
    let (days, hours, minutes) = (seconds / 86_400, seconds / 3600 % 24, seconds / 60 % 60);
    let parts = [(days, "d"), (hours, "h"), (minutes, "min"), (seconds % 60, "s")];
    let parts: Vec<String> = parts
        .into_iter()
        .skip_while(|(count, _)| *count == 0)
        .take(2)
        .filter(|(count, _)| *count > 0)
        .map(|(count, unit)| format!("{count} {unit}"))
        .collect();
    if parts.is_empty() { "0 s".to_owned() } else { parts.join(" ") }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::ErrorKind;

    fn fault() -> Error {
        Error::new(ErrorKind::Connection, "429")
    }

    #[test]
    fn waits_are_told_once_with_what_is_left() {
        let pauses = Pauses::default();
        pauses.expect(6612);
        (0..1000).for_each(|_| pauses.done());
        let said = pauses.announce(Duration::from_secs(2400), &fault()).expect("a wait").expect("words");
        assert!(
            said.contains("wait 40 min (429): going on at ") && said.ends_with("; 5612 of 6612 objects are left"),
            "{said}"
        );
        assert_eq!(pauses.announce(Duration::from_secs(2399), &fault()).expect("a wait"), None);
        assert!(pauses.announce(Duration::from_secs(90_000), &fault()).is_err());
        let slow = Pauses::default();
        slow.expect(100_000);
        (0..1000).for_each(|_| slow.done());
        let said = slow.announce(Duration::from_secs(3600), &fault()).expect("a wait").expect("words");
        assert!(said.ends_with("99000 of 100000 objects are left. At this rate they take 4 d 3 h"), "{said}");
        assert_eq!(slow.announce(Duration::from_secs(2), &fault()).expect("a wait"), None);
    }

    #[test]
    fn a_day_without_anything_done_is_the_end() {
        let pauses = Pauses::default();
        pauses.announce(Duration::from_secs(60), &fault()).expect("a wait");
        pauses.state.lock().fruitless = Instant::now().checked_sub(Duration::from_secs(86_390));
        assert!(pauses.announce(Duration::from_secs(60), &fault()).is_err());
        pauses.heard();
        assert!(pauses.announce(Duration::from_secs(60), &fault()).is_ok());
    }

    #[test]
    fn durations_have_two_units() {
        for (seconds, text) in [(0, "0 s"), (59, "59 s"), (61, "1 min 1 s"), (2400, "40 min"), (90_060, "1 d 1 h")] {
            assert_eq!(words(Duration::from_secs(seconds)), text);
        }
    }
}
