//! An answer of success, read as fast as it comes and no slower than a server may send.

use super::failure::Failure;
use super::head::shown;
use super::line::Line;
use super::spool::Spool;
use crate::error::{Error, ErrorKind};
use crate::net::pace::{self, Pace};
use bytes::Bytes;
use reqwest::Response;
use std::io;
use std::time::Instant;
use tokio::time;
use url::Url;

/// An answer with a status of success.
pub struct Answer<'a> {
    response: Response,
    url: Url,
    line: &'a Line,
    pace: Pace,
}

impl<'a> Answer<'a> {
    pub(super) fn new(response: Response, url: Url, line: &'a Line) -> Answer<'a> {
        Answer { response, url, line, pace: Pace::default() }
    }

    /// 200, 206, 207, …
    pub fn status(&self) -> u16 {
        self.response.status().as_u16()
    }

    /// Where it comes from, after all redirects.
    pub fn url(&self) -> &Url {
        &self.url
    }

    /// The same for messages.
    pub fn server(&self) -> String {
        shown(&self.url)
    }

    /// The value of a field, if it is there and is text.
    pub fn field(&self, name: &str) -> Option<&str> {
        self.response.headers().get(name)?.to_str().ok()
    }

    /// How many bytes its body has, if the server says so and they do not come compressed.
    pub fn length(&self) -> Option<u64> {
        self.response.content_length()
    }

    /// The next part of the body; `None` at its end.
    ///
    /// Errors: the line broke, or the server is silent or sends next to nothing. The request is sent again.
    pub async fn chunk(&mut self) -> Result<Option<Bytes>, Failure> {
        let (begun, timeout) = (Instant::now(), self.line.connector.timeout());
        match time::timeout(timeout, self.response.chunk()).await {
            Ok(Ok(Some(chunk))) => match self.pace.add(begun.elapsed(), chunk.len(), pace::BODY, timeout) {
                Some(received) => Err(self.line.slow(&self.url, "too slow", Pace::words(received, timeout)).into()),
                None => Ok(Some(chunk)),
            },
            Ok(Ok(None)) => Ok(None),
            Ok(Err(error)) => Err(self.line.broken(&self.url, "read from", error).into()),
            Err(_) => Err(self.line.silent(&self.url).into()),
        }
    }

    /// The whole body of at most `limit` bytes, inflated; `None` if it has more.
    pub async fn body(&mut self, limit: usize) -> Result<Option<Vec<u8>>, Failure> {
        let mut bytes = Vec::new();
        while let Some(chunk) = self.chunk().await? {
            if bytes.len() + chunk.len() > limit {
                return Ok(None);
            }
            bytes.extend_from_slice(&chunk);
        }
        Ok(Some(bytes))
    }

    /// The whole body of at most `limit` bytes, in a file where it is large; `None` if it has more.
    ///
    /// Errors: those of [`Answer::chunk`] and of [`Spool::add`].
    pub async fn spool(&mut self, mut spool: Spool, limit: u64) -> Result<Option<Spool>, Failure> {
        spool.expect(self.length().unwrap_or(0));
        while let Some(chunk) = self.chunk().await? {
            if spool.size() + chunk.len() as u64 > limit {
                return Ok(None);
            }
            spool.add(&chunk)?;
        }
        Ok(Some(spool))
    }

    /// The first bytes of the body: at most `limit`, and what comes before the line breaks.
    pub(super) async fn start(&mut self, limit: usize) -> Vec<u8> {
        let mut bytes = Vec::new();
        while bytes.len() < limit
            && let Ok(Some(chunk)) = self.chunk().await
        {
            bytes.extend_from_slice(&chunk);
        }
        bytes.truncate(limit);
        bytes
    }

    /// The failure of an answer that is not whole, although the line did not say so. The request is sent again.
    pub fn cut(&self, why: String) -> Failure {
        let cause = io::Error::new(io::ErrorKind::UnexpectedEof, why);
        Error::new(ErrorKind::Connection, format!("cannot read from {}", self.server())).because(cause).into()
    }
}
