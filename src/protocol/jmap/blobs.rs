//! Bytes to and from the server (RFC 8620 section 6).

use super::client::Client;
use super::error::{Error, MethodError, Result, violation};
use crate::error::{self, ErrorKind};
use crate::model::Body;
use crate::net::http::{Answer, Ask, Content, Failure, Method, Payload, Repeat, Spool};
use crate::net::sanitize::said;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::Value;
use std::io;
use url::Url;

/// The most bytes of an answer to an upload.
const UPLOADED_MAX: usize = 1 << 20;

/// Larger blobs go to a file.
const IN_MEMORY: u64 = 4 << 20;

/// A blob of unknown size may have so many bytes.
const UNKNOWN_MAX: u64 = 16 << 30;

/// RFC 6570 section 3.2.2: everything but unreserved characters is encoded.
const RESERVED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// What the server made of an upload.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Uploaded {
    /// What objects refer to it by. The server drops it if none does.
    pub blob_id: String,
    /// In bytes, as sent.
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
            return Err(Error::Method(MethodError::described("upload", "requestTooLarge", description)));
        }
        let url = self.expand(&self.session().upload_url, "uploadUrl", &[("accountId", account)])?;
        let _permit = self.upload_permit().await?;
        let what = format!("an upload of {size} bytes");
        let ask = Ask {
            fields: &[("Content-Type", media_type)],
            payload: Payload::Streamed(content),
            ..Ask::new(Method::Post, &url, &what)
        };
        let uploaded = self.http().ask(&ask, async |mut answer| {
            let body = answer.body(UPLOADED_MAX).await?;
            let value: Value = serde_json::from_slice(&body.unwrap_or_default()).unwrap_or_default();
            let blob_id = value.get("blobId").and_then(Value::as_str).map(str::to_owned);
            let blob_id = blob_id.ok_or_else(|| violation("its answer to an upload has no blobId"))?;
            let taken = value.get("size").and_then(Value::as_u64).unwrap_or(size);
            if taken != size {
                // Cut on the way by something in between: it may go through the next time.
                let cause = io::Error::other(format!("it took {taken} of {size} bytes"));
                let what = format!("{} did not take an upload", answer.server());
                return Err(error::Error::new(ErrorKind::Connection, what).because(cause).into());
            }
            Ok(Uploaded { blob_id, size })
        });
        Ok(uploaded.await?)
    }

    /// Downloads a blob (RFC 8620 section 6.2). `size` is what the server said of its size elsewhere, if it did.
    pub async fn download(&self, account: &str, blob: &str, size: Option<u64>) -> Result<Body> {
        let names = [("accountId", account), ("blobId", blob), ("type", "application/octet-stream"), ("name", "blob")];
        let url = self.expand(&self.session().download_url, "downloadUrl", &names)?;
        let _permit = self.request_permit().await?;
        let ask = Ask {
            // What a server would compress is small, and what is large is compressed already.
            fields: &[("Accept-Encoding", "identity")],
            repeat: Repeat::Hasty,
            ..Ask::new(Method::Get, &url, "a download")
        };
        Ok(self.http().ask(&ask, async |answer| self.receive(answer, size).await).await?)
    }

    async fn receive(&self, mut answer: Answer<'_>, size: Option<u64>) -> Result<Body, Failure> {
        let announced = answer.length();
        // A server may count otherwise, but not by much.
        let most = size.map_or(UNKNOWN_MAX, |size| size.saturating_mul(2).saturating_add(64 << 20));
        let body = answer.spool(Spool::new(IN_MEMORY, self.spool().cloned()), most).await?;
        let body = body.ok_or_else(|| violation(format!("a blob has more than {most} bytes")))?;
        // A body without Content-Length may end where the line broke.
        if announced.is_none() && size.is_some_and(|size| body.size() < size) {
            return Err(answer.cut(format!("a blob ended after {} bytes", body.size())));
        }
        Ok(body.end()?)
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
