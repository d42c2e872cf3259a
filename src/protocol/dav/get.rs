//! The bytes of resources: several in one answer, or one by one.

use super::body;
use super::client::{Client, Question, unfit};
use super::href::{key, resolve, without_query};
use crate::error::{Error, ErrorKind};
use crate::model::Body;
use crate::net::http::{Answer, Ask, Failure, Method, Repeat, Spool, shown};
use crate::net::sanitize::said;
use flate2::read::MultiGzDecoder;
use std::collections::HashMap;
use std::io::{self, Read};
use url::Url;

/// Larger bodies go into files: many of them wait at once.
const IN_MEMORY: u64 = 256 << 10;

/// The most bytes of one answer of many resources; if it has more, each is asked for by itself.
const ANSWER_MAX: usize = 16 << 20;

/// The most bytes of a resource whose size is not known.
const UNKNOWN_MAX: u64 = 8 << 30;

/// An answer with at least so many bytes more than the one before is progress: then all retries are there again.
const PROGRESS_MIN: u64 = 64 << 10;

/// A resource with its bytes.
pub struct Downloaded {
    /// As the server gives them.
    pub body: Body,
    /// `Content-Type`, with its parameters.
    pub media_type: Option<String>,
}

impl Client {
    /// Several resources of a collection in one answer, by key. What is not named, or has no exact bytes in the answer, has
    /// to be asked for by itself.
    pub async fn multiget(&self, collection: &Url, resources: &[Url]) -> Result<HashMap<String, Downloaded>, Failure> {
        let mut found = HashMap::new();
        let Some((report, data)) = self.flavor.multiget() else { return Ok(found) };
        let hrefs: Vec<&str> = resources.iter().map(Url::path).collect();
        let data_name = data.trim_start_matches(|c| c != ':').trim_start_matches(':');
        let body = body::multiget(report, data, &hrefs);
        let question = Question { method: Method::Report, url: collection, depth: "1", body, most: ANSWER_MAX };
        self.multistatus(&question, &mut |base, mut response| {
            let Some(url) = resolve(base, &response.href) else { return };
            let length = response.text("getcontentlength").and_then(|length| length.parse::<usize>().ok());
            let bytes = response.found.iter_mut().find(|property| property.name == data_name);
            let bytes = bytes.map(|property| std::mem::take(&mut property.text)).filter(|text| !text.trim().is_empty());
            if let Some(bytes) = bytes.and_then(|text| exact(text, length)) {
                found.insert(key(&url), Downloaded { body: Body::Bytes(bytes), media_type: None });
            }
        })
        .await?;
        Ok(found)
    }

    /// One resource, of `size` bytes if the listing says so. `None` if it is not there.
    ///
    /// Where the line breaks and the server has said what it is sending, only the rest is asked for (RFC 9110 section 14).
    pub async fn get(&self, url: &Url, size: Option<u64>) -> Result<Option<Downloaded>, Failure> {
        match (self.get_whole(url, size).await?, without_query(url)) {
            (None, Some(url)) => self.get_whole(&url, size).await,
            (found, _) => Ok(found),
        }
    }

    async fn get_whole(&self, url: &Url, size: Option<u64>) -> Result<Option<Downloaded>, Failure> {
        let mut backoff = self.http.backoff();
        let mut begun = None;
        loop {
            let before = begun.as_ref().map_or(0, |begun: &Begun| begun.spool.size());
            match self.get_rest(url, size, &mut begun).await? {
                Progress::Whole(downloaded) => return Ok(Some(downloaded)),
                Progress::Gone => return Ok(None),
                Progress::Cut(error) => {
                    let now = begun.as_ref().map_or(0, |begun| begun.spool.size());
                    if now >= before + PROGRESS_MIN {
                        backoff.reset();
                    }
                    self.log(1, || format!("{}: cut after {now} bytes; the rest is asked for", shown(url)));
                    backoff.wait(error, None).await?;
                }
            }
        }
    }

    /// Asks for what is missing of a resource.
    async fn get_rest(&self, url: &Url, size: Option<u64>, begun: &mut Option<Begun>) -> Result<Progress, Failure> {
        let range = begun.as_ref().map(|begun| (format!("bytes={}-", begun.spool.size()), begun.etag.clone()));
        let fields: Vec<(&str, &str)> = match &range {
            Some((range, etag)) => vec![("Range", range.as_str()), ("If-Range", etag.as_str())],
            None => Vec::new(),
        };
        let ask =
            Ask { fields: &fields, repeat: Repeat::Hasty, is_verbatim: true, ..Ask::new(Method::Get, url, "GET") };
        let got = self.http.ask(&ask, async |mut answer| {
            if answer.url().origin() != url.origin() {
                return Err(unfit(url, answer.status(), "it is no answer of that resource"));
            }
            let Begun { mut spool, etag, media_type, encoding } = match (answer.status(), begun.take()) {
                (200, _) => Begun::of(&answer, Spool::new(IN_MEMORY, self.spool.clone())),
                (206, Some(begun)) if starts_at(&answer, begun.spool.size()) => begun,
                _ => return Err(unfit(url, answer.status(), "it is no answer of that resource")),
            };
            let most = size.map_or(UNKNOWN_MAX, |size| size.saturating_mul(2).saturating_add(1 << 20));
            let whole = answer.length().map(|length| length + spool.size()).or(size.filter(|_| encoding.is_none()));
            spool.expect(whole.unwrap_or(0));
            let broken = loop {
                match answer.chunk().await {
                    Ok(Some(chunk)) if spool.size() + chunk.len() as u64 > most => {
                        return Err(unfit(url, 200, &format!("it has more than {most} bytes")));
                    }
                    Ok(Some(chunk)) => spool.add(&chunk)?,
                    Ok(None) if whole.is_some_and(|whole| spool.size() < whole) => {
                        break answer.cut(format!("it ended after {} bytes", spool.size()));
                    }
                    Ok(None) => {
                        let is_packed = encoding.is_some() && size != Some(spool.size());
                        let mut body = spool.end()?;
                        if let Some(encoding) = encoding.filter(|_| is_packed) {
                            body = unpacked(&body, &encoding, most).map_err(|why| unfit(url, 200, &why))?;
                        }
                        return Ok(Progress::Whole(Downloaded { body, media_type }));
                    }
                    Err(failure) => break failure,
                }
            };
            match spool.size() > 0 && is_strong(&etag) {
                true => {
                    *begun = Some(Begun { spool, etag, media_type, encoding });
                    Ok(Progress::Cut(broken.error))
                }
                false => Err(broken),
            }
        });
        match got.await {
            Ok(progress) => Ok(progress),
            Err(failure) => match failure.refusal.as_ref().map(|refusal| refusal.status) {
                Some(404 | 410) => Ok(Progress::Gone),
                // It has fewer bytes by now (416), or the server takes no part of it for an answer: from the beginning.
                Some(206 | 416) if range.is_some() => {
                    *begun = None;
                    Ok(Progress::Cut(lost(url)))
                }
                _ => Err(failure),
            },
        }
    }
}

/// The bytes of a text in an answer, if they are what the server holds: as many as it says. Sabre leaves out every CR there,
/// and counts it all the same.
fn exact(text: String, length: Option<usize>) -> Option<Vec<u8>> {
    if text.contains('\u{FFFD}') {
        return None;
    }
    let lines = || text.bytes().filter(|byte| *byte == b'\n').count();
    match length {
        Some(length) if length == text.len() => Some(text.into_bytes()),
        Some(length) if !text.contains('\r') && length == text.len() + lines() => {
            Some(text.replace('\n', "\r\n").into_bytes())
        }
        Some(_) => None,
        None => Some(text.into_bytes()),
    }
}

/// What came of one question for a resource.
enum Progress {
    Whole(Downloaded),
    Gone,
    /// The line broke, or what there was counts for nothing any more.
    Cut(Error),
}

/// A resource of which only the beginning came.
struct Begun {
    spool: Spool,
    /// `ETag`, as it came.
    etag: String,
    media_type: Option<String>,
    encoding: Option<String>,
}

impl Begun {
    fn of(answer: &Answer<'_>, spool: Spool) -> Begun {
        let text = |name: &str| answer.field(name).map(|value| value.trim().to_owned());
        let encoding = text("content-encoding").filter(|encoding| !encoding.eq_ignore_ascii_case("identity"));
        Begun { spool, etag: text("etag").unwrap_or_default(), media_type: text("content-type"), encoding }
    }
}

/// Only with a strong validator are parts of two answers parts of the same bytes (RFC 9110 section 13.1.5).
fn is_strong(etag: &str) -> bool {
    etag.starts_with('"')
}

/// True if a partial answer goes on from this byte (RFC 9110 section 14.4).
fn starts_at(answer: &Answer<'_>, start: u64) -> bool {
    let range = answer.field("content-range").and_then(|range| range.trim().strip_prefix("bytes "));
    let first = range.and_then(|range| range.split('-').next()?.trim().parse::<u64>().ok());
    first == Some(start)
}

fn lost(url: &Url) -> Error {
    let cause = io::Error::new(io::ErrorKind::UnexpectedEof, "the server does not go on where it broke off");
    Error::new(ErrorKind::Connection, format!("cannot read from {}", shown(url))).because(cause)
}

/// The bytes of a resource that came compressed although that was not asked for: something on the way does that. Where the
/// listing names the number of the compressed bytes, they are the resource itself (a `.gz` file), and this is not called.
fn unpacked(body: &Body, encoding: &str, most: u64) -> Result<Body, String> {
    let is_gzip = ["gzip", "x-gzip"].iter().any(|known| encoding.eq_ignore_ascii_case(known));
    let inflated = match body {
        Body::Bytes(bytes) if is_gzip => inflate(&bytes[..], most),
        Body::File(file) if is_gzip => inflate(file, most),
        _ => return Err(format!("it comes compressed ({}), which was not asked for", said(encoding.as_bytes()))),
    };
    inflated.map_err(|error| format!("it comes compressed, and cannot be inflated: {error}"))
}

fn inflate(compressed: impl Read, most: u64) -> io::Result<Body> {
    let mut spool = Spool::new(IN_MEMORY, None);
    let mut reader = MultiGzDecoder::new(compressed);
    let mut buffer = [0; 64 << 10];
    loop {
        let count = reader.read(&mut buffer)?;
        if count == 0 {
            return spool.end().map_err(io::Error::other);
        }
        spool.add(&buffer[..count]).map_err(io::Error::other)?;
        if spool.size() > most {
            return Err(io::Error::other(format!("it has more than {most} bytes")));
        }
    }
}

impl Downloaded {
    /// The bytes, if they are in memory.
    pub fn bytes(&self) -> Option<&[u8]> {
        match &self.body {
            Body::Bytes(bytes) => Some(bytes),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_text_lacks_of_the_bytes_is_known_by_their_number() {
        let of = |length: Option<usize>| exact("a\nb\n".to_owned(), length);
        assert_eq!(of(None).as_deref(), Some(&b"a\nb\n"[..]));
        assert_eq!(of(Some(4)).as_deref(), Some(&b"a\nb\n"[..]));
        assert_eq!(of(Some(6)).as_deref(), Some(&b"a\r\nb\r\n"[..]));
        assert_eq!(of(Some(5)), None, "some lines end with CR LF, and some do not");
        assert_eq!(exact("a\r\nb\n".to_owned(), Some(6)), None);
        assert_eq!(exact("\u{FFFD}".to_owned(), None), None);
    }
}
