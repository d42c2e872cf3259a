//! Many small blobs in one answer: `Blob/get` (RFC 9404 section 4.2).

use super::capability::{BLOB, BLOB_CYRUS};
use super::client::Client;
use super::fault::{Error, Result};
use super::request::Request;
use super::session::AccountInfo;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value, json};
use std::collections::HashMap;

/// The largest blob that is worth asking for with others: larger ones are better streamed.
pub const SMALL_MAX: u64 = 256 << 10;

/// So many bytes of blobs make one answer: it is in memory several times over until it is taken apart.
pub const SMALL_SUM: u64 = 2 << 20;

impl Client {
    /// True if the server hands over several blobs of this account at once.
    pub fn has_small_blobs(&self, account: &AccountInfo) -> bool {
        [BLOB, BLOB_CYRUS].iter().any(|name| account.capabilities.contains_key(*name) && self.session().offers(name))
    }

    /// The most blobs that may be asked for at once.
    pub fn small_blobs_max(&self) -> usize {
        // An id has 255 characters at most (RFC 8620 section 1.2).
        self.limits().max_objects_in_get.min(self.limits().max_size_request / 512).clamp(1, 256)
    }

    /// Reads blobs, by their ids; what the server does not hand over whole in this way is left out.
    ///
    /// Errors: [`Error::Method`] where it does not do this at all.
    pub async fn small_blobs(&self, account: &str, ids: &[&str]) -> Result<HashMap<String, Vec<u8>>> {
        let arguments = json!({ "accountId": account, "ids": ids, "properties": ["data:asBase64", "size"] });
        let mut request = Request::new().plain();
        let call = request.call("Blob/get", arguments);
        let mut answer = self.call(&request).await?.take(call)?;
        let Some(Value::Array(list)) = answer.remove("list") else {
            return Err(Error::protocol("an answer to Blob/get without a list"));
        };
        Ok(list.iter().filter_map(Value::as_object).filter_map(whole).collect())
    }
}

fn whole(object: &Map<String, Value>) -> Option<(String, Vec<u8>)> {
    let is_part = object.get("isTruncated").and_then(Value::as_bool) == Some(true);
    let bytes = STANDARD.decode(object.get("data:asBase64")?.as_str()?).ok()?;
    // `size` is that of the whole blob.
    let is_whole = object.get("size").and_then(Value::as_u64).is_none_or(|size| size == bytes.len() as u64);
    (!is_part && is_whole).then(|| Some((object.get("id")?.as_str()?.to_owned(), bytes)))?
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_whole_blobs_count() {
        let read = |object: Value| object.as_object().and_then(whole);
        let blob = ("b".to_owned(), b"ab\0".to_vec());
        assert_eq!(read(json!({ "id": "b", "data:asBase64": "YWIA", "size": 3 })), Some(blob.clone()));
        assert_eq!(read(json!({ "id": "b", "data:asBase64": "YWIA" })), Some(blob));
        for part in [
            json!({ "id": "b", "data:asBase64": "YWIA", "size": 4 }),
            json!({ "id": "b", "data:asBase64": "YWIA", "isTruncated": true }),
            json!({ "id": "b", "data:asBase64": "YW!A", "size": 3 }),
            json!({ "id": "b", "data:asBase64": null, "size": 3 }),
            json!({ "data:asBase64": "YWIA", "size": 3 }),
        ] {
            assert_eq!(read(part.clone()), None, "{part}");
        }
    }
}
