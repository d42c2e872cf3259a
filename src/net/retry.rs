//! Trying again: how long to wait before a connection is made anew, how often, and what the log says meanwhile.

use super::log::Log;
use crate::error::Error;
use ring::rand::{SecureRandom, SystemRandom};
use std::future::Future;
use std::time::{Duration, Instant};
use tokio::time;

/// The longest wait that a server may ask for. Office 365 has been seen to ask for five minutes.
pub const WAIT_MAX: Duration = Duration::from_secs(600);

/// After this time the log says what the program waits for.
const FIRST_WORD: Duration = Duration::from_millis(1500);

/// The waits between attempts at one thing: half a second, doubled each time up to a minute, and a random part so that
/// many clients do not come back together.
///
/// There are two bounds. One is the number of attempts; the other is the time since the last sign of the server: after
/// half as much again as `--timeout` nothing more is tried. So a server that is silent has two attempts, and the end comes
/// within two and a half times of what `--timeout` says.
#[derive(Clone)]
pub struct Backoff {
    max_retries: u32,
    done: u32,
    timeout: Duration,
    /// When there was a sign of the server, or the first attempt began.
    since: Instant,
    log: Option<Log>,
}

impl Backoff {
    /// Gives up after so many retries (`--max-retries`), or when there was no sign of the server for longer than `timeout`
    /// allows. `log` gets a line for each retry.
    pub fn new(max_retries: u32, timeout: Duration, log: Option<Log>) -> Backoff {
        Backoff { max_retries, done: 0, timeout, since: Instant::now(), log }
    }

    /// Something succeeded: what fails from now on has all retries again.
    pub fn reset(&mut self) {
        self.done = 0;
        self.heard();
    }

    /// There was a sign of the server.
    pub fn heard(&mut self) {
        self.since = Instant::now();
    }

    /// Waits before the next attempt, or gives the error back: when it is not one that time heals, or when there were
    /// enough attempts. `asked` is what the server asked to wait; it counts up to [`WAIT_MAX`].
    pub async fn wait(&mut self, error: Error, asked: Option<Duration>) -> Result<(), Error> {
        let silent = self.since.elapsed();
        if !error.is_transient() || self.done >= self.max_retries || silent > self.timeout.mul_f64(1.5) {
            return Err(error);
        }
        let own = self.own(self.done);
        let left: Duration = (self.done..self.max_retries).map(|done| self.own(done)).sum();
        self.done += 1;
        let wait = asked.unwrap_or_default().min(WAIT_MAX).max(own.mul_f64(jitter()));
        if let Some(log) = &self.log {
            // Half a second is not worth a word.
            let level = u8::from(silent + wait < FIRST_WORD && self.done < 2);
            let left = left.max(wait).min(self.timeout * 2).max(wait).as_secs().max(1);
            log.say(level, || format!("{error}; trying again for up to {left} s"));
        }
        time::sleep(wait).await;
        if asked.is_some() {
            // An answer that asks to wait is a sign of the server, too.
            self.heard();
        }
        Ok(())
    }

    /// The wait behind so many retries.
    fn own(&self, done: u32) -> Duration {
        Duration::from_millis(500 << done.min(7)).min(Duration::from_secs(60))
    }
}

/// Runs `work`; if it takes longer than 1.5 seconds, the log says once what the program waits for.
pub async fn patiently<T>(log: Option<&Log>, what: impl FnOnce() -> String, work: impl Future<Output = T>) -> T {
    tokio::pin!(work);
    if let Ok(done) = time::timeout(FIRST_WORD, &mut work).await {
        return done;
    }
    if let Some(log) = log {
        log.say(0, what);
    }
    work.await
}

/// A number from 0.75 to 1.25.
fn jitter() -> f64 {
    let mut byte = [128];
    let _ = SystemRandom::new().fill(&mut byte);
    0.75 + f64::from(byte[0]) / 510.0
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::ErrorKind;
    use std::sync::{Arc, Mutex};

    fn transient() -> Error {
        Error::new(ErrorKind::Connection, "gone").because(std::io::Error::from(std::io::ErrorKind::ConnectionReset))
    }

    #[test]
    fn waits_grow_and_end_and_are_told() {
        let runtime = crate::net::runtime::Runtime::new(Default::default()).expect("a runtime");
        let said: Arc<Mutex<Vec<String>>> = Arc::default();
        let heard = Arc::clone(&said);
        let log = Log::new(0, move |line| heard.lock().expect("a lock").push(line.to_owned()));
        let mut backoff = Backoff::new(2, Duration::from_secs(60), Some(log));
        let begun = Instant::now();
        runtime.run(backoff.wait(transient(), None)).expect("another attempt");
        assert!(begun.elapsed() >= Duration::from_millis(370));
        assert!(said.lock().expect("a lock").is_empty(), "half a second is not worth a word");
        runtime.run(backoff.wait(transient(), None)).expect("another attempt");
        assert_eq!(said.lock().expect("a lock").len(), 1);
        assert!(runtime.run(backoff.wait(transient(), None)).is_err(), "enough");
        backoff.reset();
        let refused = Error::new(ErrorKind::Credentials, "no");
        assert!(runtime.run(backoff.wait(refused, None)).is_err(), "time does not heal this");
        backoff.since = Instant::now().checked_sub(Duration::from_secs(91)).expect("a time");
        assert!(runtime.run(backoff.wait(transient(), None)).is_err(), "no sign of the server for too long");
    }
}
