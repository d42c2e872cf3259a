//! Pings for a service that gives the alarm when they stay away, in the way of <https://healthchecks.io/docs/http_api/>.

use crate::error::{Error, ErrorKind, Result};
use crate::net::http::post;
use crate::net::runtime::Runtime;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};
use url::Url;

/// A backup waits for a service no longer than this.
const PATIENCE: Duration = Duration::from_secs(10);

/// The most that a service keeps of a report.
const REPORT_MAX: usize = 100_000;

/// What is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Signal {
    /// A run begins.
    Start,
    /// It ended, and nothing failed.
    Success,
    /// It ended otherwise.
    Fail,
}

/// Where signs of life go. The URL is a secret of a kind: who knows it can send them, too.
#[derive(Clone)]
pub struct Ping {
    url: Url,
}

impl Ping {
    /// Takes the URL that the service gave.
    ///
    /// Errors: [`ErrorKind::Usage`] if it is none of `https:` or `http:`.
    pub fn parse(text: &str) -> Result<Ping> {
        let url = Url::parse(text).ok().filter(|url| matches!(url.scheme(), "https" | "http") && url.has_host());
        let url = url.ok_or_else(|| {
            Error::new(ErrorKind::Usage, "the URL to ping is no URL of a server").hint("e.g. https://hc-ping.com/UUID")
        })?;
        Ok(Ping { url })
    }

    /// Tells it, with a report for people.
    pub fn send(&self, signal: Signal, report: &str) -> Result<()> {
        let url = self.url_of(signal);
        let mut end = report.len().min(REPORT_MAX);
        while !report.is_char_boundary(end) {
            end -= 1;
        }
        // After an interrupt the end of the run is told all the same.
        let runtime = Runtime::new(Arc::default())?;
        let ask = || runtime.run(post(&url, &report[..end], PATIENCE));
        // The end of a run is worth a second try where a try fails at once; who does not answer at all is not waited for
        // twice.
        let begun = Instant::now();
        let mut answer = ask();
        let is_passing = !matches!(&answer, Ok(status) if *status < 500);
        if is_passing && signal != Signal::Start && begun.elapsed() < PATIENCE / 2 {
            thread::sleep(Duration::from_secs(1));
            answer = ask();
        }
        match answer? {
            200..=299 => Ok(()),
            status => {
                let host = url.host_str().unwrap_or_default();
                Err(Error::new(ErrorKind::Connection, format!("{host} answered with status {status}")))
            }
        }
    }

    fn url_of(&self, signal: Signal) -> Url {
        let word = match signal {
            Signal::Start => "start",
            Signal::Success => return self.url.clone(),
            Signal::Fail => "fail",
        };
        let mut url = self.url.clone();
        if let Ok(mut path) = url.path_segments_mut() {
            path.pop_if_empty().push(word);
        }
        url
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signals_have_urls_of_their_own() {
        let ping = Ping::parse("https://hc-ping.com/uuid?rid=1").unwrap();
        assert_eq!(ping.url_of(Signal::Start).as_str(), "https://hc-ping.com/uuid/start?rid=1");
        assert_eq!(ping.url_of(Signal::Success).as_str(), "https://hc-ping.com/uuid?rid=1");
        assert_eq!(Ping::parse("http://h/a/").unwrap().url_of(Signal::Fail).as_str(), "http://h/a/fail");
        assert!(Ping::parse("file:///x").is_err() && Ping::parse("hc-ping.com/x").is_err());
    }
}
