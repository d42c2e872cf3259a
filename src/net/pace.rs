//! A floor for the speed of a server: one that sends a byte now and then is not silent, and is given up all the same.

use std::time::Duration;

/// Bytes a second of a line that has begun.
pub const LINE: u64 = 16;

/// Bytes a second of a body that has begun.
pub const BODY: u64 = 128;

/// Watches how fast something comes that has begun. Only the time counts in which the client waited for the server.
#[derive(Debug, Default)]
pub struct Pace {
    waited: Duration,
    received: u64,
}

impl Pace {
    /// Something else begins.
    pub fn begin(&mut self) {
        *self = Pace::default();
    }

    /// Adds a wait and the bytes that it brought. Gives what came if in the course of `window` that was less than `floor`
    /// bytes a second.
    pub fn add(&mut self, waited: Duration, bytes: usize, floor: u64, window: Duration) -> Option<u64> {
        self.waited += waited;
        self.received += bytes as u64;
        if self.received as f64 >= floor as f64 * window.as_secs_f64() {
            self.begin();
            return None;
        }
        (self.waited >= window).then_some(self.received)
    }

    /// The words for it.
    pub fn words(received: u64, window: Duration) -> String {
        format!("the server sent only {received} bytes in {:.0} s", window.as_secs_f64())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_drips_is_too_slow() {
        let window = Duration::from_secs(60);
        let second = Duration::from_secs(1);
        let mut pace = Pace::default();
        let dripped = (0..60).find_map(|_| pace.add(second, 1, LINE, window));
        assert_eq!(dripped, Some(60));
        pace.begin();
        assert!((0..10_000).all(|_| pace.add(second, 16, LINE, window).is_none()));
        pace.begin();
        assert!((0..100).all(|_| pace.add(Duration::from_secs(50), 1000, LINE, window).is_none()));
    }
}
