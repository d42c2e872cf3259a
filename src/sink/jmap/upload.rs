//! Bytes on their way to the account: many small ones in one request where the server has RFC 9404, one by one and
//! streamed otherwise.

use super::account::Jmap;
use super::outcome::reason;
use super::request::blob_of;
use crate::error::Error as Failure;
use crate::model::Id;
use crate::protocol::jmap::{Content, Error, Inline, SMALL_MAX, capability, in_order};
use crate::sink::{BlobProvider, Outcome};
use serde_json::{Map, Value, json};
use std::collections::{BTreeSet, HashMap};
use std::sync::atomic::Ordering;

/// Bytes of JSON that one request of small blobs has at most.
const INLINE_SUM: usize = 4 << 20;

/// What became of the uploads: blob ids of the target by our own, or why there is none.
pub(super) type Uploads = HashMap<Id, std::result::Result<String, Outcome>>;

/// The creation id of a blob.
pub(super) fn blob_name(blob: Id) -> String {
    format!("b{blob}")
}

impl Jmap {
    /// The largest blob that goes with others into one request.
    pub(super) fn inline_max(&self) -> u64 {
        // RFC 9404 section 3.1: null means that the server does not say.
        let most = self.number(capability::BLOB, "maxSizeBlobSet").unwrap_or(SMALL_MAX);
        // In base64 and with what is around it, it has to fit into a request.
        most.min(SMALL_MAX).min(self.client.limits().max_size_request as u64 / 2)
    }

    /// Uploads these blobs, each once. `is_streamed` keeps them out of requests.
    ///
    /// Errors: the line is lost, however often it was tried.
    pub(super) async fn upload_all(
        &self,
        blobs: &BTreeSet<Id>,
        media_type: &str,
        supply: &dyn BlobProvider,
        is_streamed: bool,
    ) -> Result<Uploads, Failure> {
        let mut uploads = Uploads::new();
        let mut small: Vec<(Id, Value, usize)> = Vec::new();
        let mut large: Vec<(Id, Content)> = Vec::new();
        let is_inline = !is_streamed && self.uploads_inline.load(Ordering::Relaxed);
        let inline_max = if is_inline { self.inline_max() } else { 0 };
        for blob in blobs {
            match supply.open(blob_of(*blob)) {
                // The user's archive is at fault, and only for what has these bytes.
                Err(error) => {
                    uploads.insert(*blob, Err(Outcome::Refused(error.to_string())));
                }
                Ok(Content::Bytes(bytes)) if bytes.len() as u64 <= inline_max => {
                    let (object, size) = Inline::Standard.object(&bytes, media_type);
                    small.push((*blob, object, size));
                }
                Ok(content) => large.push((*blob, content)),
            }
        }
        let left = self.upload_small(small, &mut uploads).await?;
        for blob in left {
            match supply.open(blob_of(blob)) {
                Ok(content) => large.push((blob, content)),
                Err(error) => {
                    uploads.insert(blob, Err(Outcome::Refused(error.to_string())));
                }
            }
        }
        let work = large.into_iter().map(async |(blob, content): (Id, Content)| {
            let uploaded = self.client.upload(&self.account.id, content, media_type).await;
            (blob, uploaded)
        });
        let mut failed = None;
        in_order(self.client.limits().max_concurrent_upload, work, |(blob, uploaded)| {
            let outcome = match uploaded {
                Ok(uploaded) => Ok(uploaded.blob_id),
                Err(Error::Method(error)) => Err(Outcome::Refused(reason(&error))),
                Err(Error::Line(error)) => {
                    failed = Some(error);
                    return false;
                }
            };
            uploads.insert(blob, outcome);
            true
        })
        .await;
        failed.map_or(Ok(uploads), Err)
    }

    /// `Blob/upload` (RFC 9404 section 4.1). Gives those that have to be uploaded on their own after all.
    async fn upload_small(&self, small: Vec<(Id, Value, usize)>, uploads: &mut Uploads) -> Result<Vec<Id>, Failure> {
        let limits = self.client.limits();
        let most = INLINE_SUM.min(limits.max_size_request - limits.max_size_request / 8);
        let mut left = Vec::new();
        let mut rest = small.into_iter().peekable();
        while rest.peek().is_some() {
            let (mut create, mut ids, mut sum) = (Map::new(), Vec::new(), 0);
            while let Some((_, _, size)) = rest.peek()
                && ids.len() < limits.max_objects_in_set
                && (ids.is_empty() || sum + size <= most)
                && let Some((blob, object, size)) = rest.next()
            {
                create.insert(blob_name(blob), object);
                sum += size;
                ids.push(blob);
            }
            let arguments = json!({ "accountId": self.account.id, "create": create });
            let answer = match self.client.ask("Blob/upload", arguments).await {
                Ok(answer) => answer,
                Err(Error::Line(error)) => return Err(error),
                Err(Error::Method(error)) => {
                    if error.kind == "unknownMethod" || error.kind == "unknownCapability" {
                        self.uploads_inline.store(false, Ordering::Relaxed);
                    }
                    left.extend(ids);
                    continue;
                }
            };
            for blob in ids {
                let id = answer.get("created").and_then(|created| created.get(blob_name(blob)));
                match id.and_then(|created| created.get("id")).and_then(Value::as_str) {
                    Some(id) => {
                        uploads.insert(blob, Ok(id.to_owned()));
                    }
                    // Whatever it has against it: the other way may do.
                    None => left.push(blob),
                }
            }
        }
        Ok(left)
    }
}
