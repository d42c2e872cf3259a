//! Small blobs, many at a time (RFC 9404): out of the account in the answer to one call, and into it in the request that
//! needs them.

use super::capability::{BLOB, BLOB_CYRUS};
use super::client::Client;
use super::error::{Error, Result};
use super::request::Request;
use super::session::AccountInfo;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value, json};
use std::collections::HashMap;

/// The largest blob that is worth asking for, or sending, with others: larger ones are better streamed.
pub const SMALL_MAX: u64 = 256 << 10;

/// So many bytes of blobs make one answer: it is in memory several times over until it is taken apart.
pub const SMALL_SUM: u64 = 2 << 20;

/// How an account takes small blobs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Inline {
    /// `Blob/upload` (RFC 9404 section 4.1). Some servers (Cyrus) keep what it brings for the rest of the request only.
    Standard,
    /// `Blob/set` of Cyrus 3.6, which is older than the standard.
    Cyrus,
}

impl Inline {
    /// The method's name.
    pub fn method(self) -> &'static str {
        match self {
            Inline::Standard => "Blob/upload",
            Inline::Cyrus => "Blob/set",
        }
    }

    /// An object to create, with about the number of bytes that it has in JSON.
    pub fn object(self, bytes: &[u8], media_type: &str) -> (Value, usize) {
        let (name, text, size) = source(bytes);
        let object = match self {
            Inline::Standard => json!({ "data": [{ name: text }], "type": media_type }),
            Inline::Cyrus => json!({ name: text, "type": media_type }),
        };
        (object, size)
    }
}

impl Client {
    /// True if the server hands over several blobs of this account at once.
    pub fn has_small_blobs(&self, account: &AccountInfo) -> bool {
        self.has(account, BLOB) || self.has(account, BLOB_CYRUS)
    }

    /// How the account takes small blobs, if it does.
    pub fn inline(&self, account: &AccountInfo) -> Option<Inline> {
        match self.has(account, BLOB) {
            true => Some(Inline::Standard),
            false => self.has(account, BLOB_CYRUS).then_some(Inline::Cyrus),
        }
    }

    fn has(&self, account: &AccountInfo, capability: &str) -> bool {
        account.capabilities.contains_key(capability) && self.session().offers(capability)
    }

    /// The most blobs that may be asked for at once.
    pub fn small_blobs_max(&self) -> usize {
        self.ids_at_once(256)
    }

    /// Reads blobs, by their ids; what the server does not hand over whole in this way is left out.
    ///
    /// Errors: [`Error::Method`] where it does not do this at all.
    pub async fn small_blobs(&self, account: &str, ids: &[&str]) -> Result<HashMap<String, Vec<u8>>> {
        let arguments = json!({ "accountId": account, "ids": ids, "properties": ["data:asBase64", "size"] });
        let mut request = Request::new().plain().hasty();
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

/// Bytes as the property of a DataSourceObject, and about how many bytes of JSON that is. Text stays text: it is smaller.
fn source(bytes: &[u8]) -> (&'static str, String, usize) {
    // RFC 7493 section 2.1 forbids noncharacters; some servers stumble over control characters.
    let is_plain = |c: char| {
        let code = u32::from(c);
        matches!(c, '\r' | '\n' | '\t')
            || !(c.is_control() || code & 0xFFFE == 0xFFFE || (0xFDD0..=0xFDEF).contains(&code))
    };
    match std::str::from_utf8(bytes) {
        Ok(text) if text.chars().all(is_plain) => {
            let escaped = bytes.iter().filter(|byte| matches!(byte, b'\r' | b'\n' | b'\t' | b'"' | b'\\')).count();
            ("data:asText", text.to_owned(), bytes.len() + escaped + 128)
        }
        _ => {
            let text = STANDARD.encode(bytes);
            let size = text.len() + 128;
            ("data:asBase64", text, size)
        }
    }
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

    #[test]
    fn text_stays_text() {
        let (object, size) = Inline::Standard.object("a\r\n\"ü\"".as_bytes(), "message/rfc822");
        assert_eq!(object, json!({ "data": [{ "data:asText": "a\r\n\"ü\"" }], "type": "message/rfc822" }));
        assert!(size >= object.to_string().len());
        for bytes in [&b"\xff"[..], b"\0", b"a\x07", "\u{FFFF}".as_bytes()] {
            let (object, size) = Inline::Cyrus.object(bytes, "text/plain");
            assert_eq!(object, json!({ "data:asBase64": STANDARD.encode(bytes), "type": "text/plain" }));
            assert!(size >= object.to_string().len());
        }
    }
}
