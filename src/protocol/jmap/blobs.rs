//! Bytes to and from the server (RFC 8620 section 6).

use super::answer::shown;
use super::client::Client;
use super::error::{Error, Result};
use super::http::Ask;
use crate::error::{self, ErrorKind};
use crate::model::Body;
use crate::net::pace::Pace;
use crate::net::sanitize::said;
use bytes::Bytes;
use http_body::{Frame, SizeHint};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use reqwest::header::{ACCEPT_ENCODING, CONTENT_TYPE};
use reqwest::{Method, Response};
use serde_json::Value;
use std::fs::File;
use std::io::{self, Seek, Write};
use std::os::unix::fs::FileExt;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};
use url::Url;

/// Larger blobs go to a file.
const IN_MEMORY: u64 = 4 << 20;

/// A blob of unknown size may have so many bytes.
const UNKNOWN_MAX: u64 = 16 << 30;

/// How much of a body is read at once when it is sent.
const PART: usize = 256 << 10;

/// Something that bytes to upload are read from, as often as the line breaks.
pub trait ReadAt: Send + Sync {
    /// Reads some bytes from `offset` on, at least one unless it is the end.
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize>;
}

impl ReadAt for File {
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        FileExt::read_at(self, buffer, offset)
    }
}

/// Bytes to upload.
#[derive(Clone)]
pub enum Content {
    Bytes(Bytes),
    /// So many bytes from the start of something.
    Read(Arc<dyn ReadAt>, u64),
}

impl Content {
    /// How many bytes there are.
    pub fn size(&self) -> u64 {
        match self {
            Content::Bytes(bytes) => bytes.len() as u64,
            Content::Read(_, size) => *size,
        }
    }
}

/// What the server made of an upload.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Uploaded {
    pub blob_id: String,
    pub size: u64,
}

impl Client {
    /// Uploads bytes (RFC 8620 section 6.1), within `maxConcurrentUpload`. May be repeated: a blob that nothing refers
    /// to goes by itself.
    ///
    /// More than `maxSizeUpload` is not sent: [`Error::is_too_much`] holds of the error.
    pub async fn upload(&self, account: &str, content: Content, media_type: &str) -> Result<Uploaded> {
        let size = content.size();
        if size > self.limits().max_size_upload {
            let description = format!("{size} bytes; the server takes {}", self.limits().max_size_upload);
            let error = serde_json::json!({ "type": "requestTooLarge", "description": description });
            return Err(Error::Method(super::error::MethodError::of("upload", &error)));
        }
        let url = self.expand(&self.session().upload_url, "uploadUrl", &[("accountId", account)])?;
        let _permit = self.upload_permit().await?;
        let sent = Arc::new(AtomicU64::new(0));
        let what = format!("an upload of {size} bytes");
        let ask = Ask {
            method: Method::POST,
            url: &url,
            what: &what,
            with: &|builder| {
                let body = Sending { content: content.clone(), offset: 0, sent: Arc::clone(&sent) };
                builder.header(CONTENT_TYPE, media_type).body(reqwest::Body::wrap(body))
            },
            sent: Some(Arc::clone(&sent)),
            is_once: false,
            is_hasty: false,
        };
        self.http()
            .ask(&ask, async |mut response: Response, url: Url| {
                let body = self.http().body(&mut response, &url, 1 << 20).await?;
                let value: Value = serde_json::from_slice(&body.unwrap_or_default()).unwrap_or_default();
                let blob_id = value.get("blobId").and_then(Value::as_str).map(str::to_owned);
                let blob_id = blob_id.ok_or_else(|| Error::protocol("its answer to an upload has no blobId"))?;
                let taken = value.get("size").and_then(Value::as_u64).unwrap_or(size);
                if taken != size {
                    // Cut on the way by something in between: it may go through the next time.
                    let cause = io::Error::other(format!("it took {taken} of {size} bytes"));
                    let what = format!("{} did not take an upload", shown(&url));
                    return Err(error::Error::new(ErrorKind::Connection, what).because(cause).into());
                }
                Ok(Uploaded { blob_id, size })
            })
            .await
    }

    /// Downloads a blob (RFC 8620 section 6.2). `size` is what the server said of its size elsewhere, if it did.
    pub async fn download(&self, account: &str, blob: &str, size: Option<u64>) -> Result<Body> {
        let names = [("accountId", account), ("blobId", blob), ("type", "application/octet-stream"), ("name", "blob")];
        let url = self.expand(&self.session().download_url, "downloadUrl", &names)?;
        let _permit = self.request_permit().await?;
        let ask = Ask {
            method: Method::GET,
            url: &url,
            what: "a download",
            // What a server would compress is small, and what is large is compressed already.
            with: &|builder| builder.header(ACCEPT_ENCODING, "identity"),
            sent: None,
            is_once: false,
            is_hasty: true,
        };
        self.http().ask(&ask, async |response: Response, url: Url| self.receive(response, &url, size).await).await
    }

    async fn receive(&self, mut response: Response, url: &Url, size: Option<u64>) -> Result<Body> {
        let announced = response.content_length();
        // A server may count otherwise, but not by much.
        let most = size.map_or(UNKNOWN_MAX, |size| size.saturating_mul(2).saturating_add(64 << 20));
        let mut body = Receiving { bytes: Vec::new(), file: None, size: 0 };
        if let Some(announced) = announced.filter(|announced| *announced <= IN_MEMORY) {
            body.bytes.reserve_exact(announced as usize);
        }
        let mut pace = Pace::default();
        while let Some(chunk) = self.http().chunk(&mut response, url, &mut pace).await? {
            body.size += chunk.len() as u64;
            if body.size > most {
                return Err(Error::protocol(format!("a blob has more than {most} bytes")));
            }
            body.add(&chunk, self).map_err(|error| {
                Error::Line(error::Error::io("cannot keep a large blob in a file of its own", error))
            })?;
        }
        // A body whose length nobody said may end where the line broke.
        if announced.is_none() && size.is_some_and(|size| body.size < size) {
            let what = format!("cannot read from {}", shown(url));
            let cause = io::Error::new(io::ErrorKind::UnexpectedEof, format!("a blob ended after {} bytes", body.size));
            return Err(error::Error::new(ErrorKind::Connection, what).because(cause).into());
        }
        body.end().map_err(|error| Error::Line(error::Error::io("cannot read back a large blob", error)))
    }

    /// A URL from a template (RFC 6570 level 1), relative to the session. Checked: the credentials may go there.
    fn expand(&self, template: &str, what: &str, values: &[(&str, &str)]) -> Result<Url> {
        let expanded = expand(template, values);
        let url = self.session().url.join(&expanded).ok().filter(|_| !template.is_empty());
        let url = url.ok_or_else(|| Error::protocol(format!("its {what} is no URL: {}", said(template.as_bytes()))))?;
        self.http().check_origin(&url)?;
        Ok(url)
    }
}

/// RFC 6570 section 3.2.2: everything but unreserved characters is encoded.
const RESERVED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

fn expand(template: &str, values: &[(&str, &str)]) -> String {
    let mut expanded = String::new();
    let mut rest = template;
    while let Some((before, after)) = rest.split_once('{') {
        let Some((name, after)) = after.split_once('}') else { break };
        expanded.push_str(before);
        if let Some((_, value)) = values.iter().find(|(known, _)| *known == name) {
            expanded.extend(utf8_percent_encode(value, RESERVED));
        }
        rest = after;
    }
    expanded.push_str(rest);
    expanded
}

/// A blob on its way in.
struct Receiving {
    bytes: Vec<u8>,
    file: Option<File>,
    size: u64,
}

impl Receiving {
    fn add(&mut self, chunk: &[u8], client: &Client) -> io::Result<()> {
        if self.file.is_none() && self.size > IN_MEMORY {
            let mut file = match client.spool() {
                Some(folder) => tempfile::tempfile_in(folder)?,
                None => tempfile::tempfile()?,
            };
            file.write_all(&std::mem::take(&mut self.bytes))?;
            self.file = Some(file);
        }
        match &mut self.file {
            Some(file) => file.write_all(chunk),
            None => {
                self.bytes.extend_from_slice(chunk);
                Ok(())
            }
        }
    }

    fn end(self) -> io::Result<Body> {
        Ok(match self.file {
            Some(mut file) => {
                file.rewind()?;
                Body::File(file)
            }
            None => Body::Bytes(self.bytes),
        })
    }
}

/// A body on its way out.
struct Sending {
    content: Content,
    offset: u64,
    sent: Arc<AtomicU64>,
}

impl http_body::Body for Sending {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        let this = self.get_mut();
        let left = this.content.size().saturating_sub(this.offset);
        if left == 0 {
            return Poll::Ready(None);
        }
        let part = left.min(PART as u64) as usize;
        let bytes = match &this.content {
            Content::Bytes(bytes) => bytes.slice(this.offset as usize..this.offset as usize + part),
            Content::Read(source, _) => {
                let mut buffer = vec![0; part];
                match source.read_at(&mut buffer, this.offset) {
                    Ok(0) => return Poll::Ready(Some(Err(io::ErrorKind::UnexpectedEof.into()))),
                    Ok(count) => buffer.truncate(count),
                    Err(error) => return Poll::Ready(Some(Err(error))),
                }
                Bytes::from(buffer)
            }
        };
        this.offset += bytes.len() as u64;
        this.sent.fetch_add(bytes.len() as u64, Ordering::Relaxed);
        Poll::Ready(Some(Ok(Frame::data(bytes))))
    }

    fn is_end_stream(&self) -> bool {
        self.offset >= self.content.size()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.content.size().saturating_sub(self.offset))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn templates() {
        let values = [("accountId", "a b/ü"), ("blobId", "x-1.2~"), ("name", "blob")];
        assert_eq!(expand("/d/{accountId}/{blobId}/{name}?t={type}", &values), "/d/a%20b%2F%C3%BC/x-1.2~/blob?t=");
        assert_eq!(expand("plain", &values), "plain");
        assert_eq!(expand("{accountId", &values), "{accountId");
        assert_eq!(expand("{}{blobId}}", &values), "x-1.2~}");
    }
}
