//! Trying again: how long to wait before a connection is made anew, and how often.

use crate::error::Error;
use std::time::Duration;

/// The longest wait that a server may ask for. Office 365 has been seen to ask for five minutes.
pub const WAIT_MAX: Duration = Duration::from_secs(600);

/// The waits between attempts at one thing: half a second, doubled each time up to a minute, and a random part so that
/// many clients do not come back together.
#[derive(Debug, Clone)]
pub struct Backoff {
    max_retries: u32,
    done: u32,
}

impl Backoff {
    /// Gives up after so many retries (`--max-retries`).
    pub fn new(max_retries: u32) -> Backoff {
        Backoff { max_retries, done: 0 }
    }

    /// Something succeeded: what fails from now on has all retries again.
    pub fn reset(&mut self) {
        self.done = 0;
    }

    /// Waits before the next attempt, or gives the error back: when it is not one that time heals, or when there were
    /// enough attempts. `asked` is what the server asked to wait; it counts up to [`WAIT_MAX`].
    pub async fn wait(&mut self, error: Error, asked: Option<Duration>) -> Result<(), Error> {
        if !error.is_transient() || self.done >= self.max_retries {
            return Err(error);
        }
        let own = Duration::from_millis(500 << self.done.min(7)).min(Duration::from_secs(60));
        self.done += 1;
        tokio::time::sleep(asked.unwrap_or_default().min(WAIT_MAX).max(own.mul_f64(jitter()))).await;
        Ok(())
    }
}

/// A number from 0.75 to 1.25.
fn jitter() -> f64 {
    let mut byte = [128];
    let _ = ring::rand::SecureRandom::fill(&ring::rand::SystemRandom::new(), &mut byte);
    0.75 + f64::from(byte[0]) / 510.0
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Kind;
    use std::time::Instant;

    fn transient() -> Error {
        Error::new(Kind::Connection, "gone").because(std::io::Error::from(std::io::ErrorKind::ConnectionReset))
    }

    #[test]
    fn waits_grow_and_end() {
        let runtime = super::super::runtime::Runtime::new(Default::default()).expect("a runtime");
        let mut backoff = Backoff::new(1);
        let begun = Instant::now();
        runtime.run(backoff.wait(transient(), None)).expect("another attempt");
        assert!(begun.elapsed() >= Duration::from_millis(370));
        assert!(runtime.run(backoff.wait(transient(), None)).is_err(), "enough");
        backoff.reset();
        let refused = Error::new(Kind::Credentials, "no");
        assert!(runtime.run(backoff.wait(refused, None)).is_err(), "time does not heal this");
    }
}
