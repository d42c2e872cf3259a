//! Bytes inside of cards and events (photos, attachments): whether the target has those that the archive has.
//!
//! An id of a blob says nothing about its bytes (RFC 8620 section 6.1: a server may give them others), so they are known by
//! their digests, which stand beside them for as long as objects are compared.

use super::request::BLOB;
use crate::format::jmap::{Object, each_object, see_objects};
use crate::model::{Digest, Id};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use percent_encoding::percent_decode_str;
use serde_json::{Map, Value};
use std::collections::{BTreeMap, BTreeSet};

/// Stands beside bytes in an object: their digest, where it is known.
pub(super) const DIGEST: &str = "@digest";

/// The blobs of the target that an object of it refers to.
pub(super) fn blob_ids(object: &Object, found: &mut BTreeSet<String>) {
    let mut add = |map: &Object| found.extend(map.get("blobId").and_then(Value::as_str).map(str::to_owned));
    object.values().for_each(|value| see_objects(value, &mut add));
}

/// Notes in an object of the target what its bytes are, as far as it is known.
pub(super) fn note_theirs(object: &mut Object, digests: &BTreeMap<String, Digest>) {
    note(object, &|map| {
        let known = map.get("blobId").and_then(Value::as_str).and_then(|id| digests.get(id).copied());
        known.or_else(|| of_data_uri(map))
    });
}

/// Notes in an object of ours what its bytes are.
pub(super) fn note_ours(object: &mut Object, digest: &dyn Fn(Id) -> Option<Digest>) {
    note(object, &|map| map.get(BLOB).and_then(Value::as_i64).and_then(digest).or_else(|| of_data_uri(map)));
}

/// True if both are the same, as far as it is known of the bytes in them.
pub(super) fn agree(ours: &Value, theirs: &Value) -> bool {
    match (ours, theirs) {
        (Value::Object(ours), Value::Object(theirs)) => {
            let is_known = |name: &str| name != DIGEST;
            let same = |(name, value): (&String, &Value)| match theirs.get(name) {
                Some(other) => agree(value, other),
                None => !is_known(name),
            };
            ours.iter().all(same) && theirs.keys().all(|name| ours.contains_key(name) || !is_known(name))
        }
        (Value::Array(ours), Value::Array(theirs)) => {
            ours.len() == theirs.len() && ours.iter().zip(theirs).all(|(one, other)| agree(one, other))
        }
        _ => ours == theirs,
    }
}

/// The value without notes.
pub(super) fn without_notes(value: &Value) -> Value {
    match value {
        Value::Object(map) => {
            let rest = map.iter().filter(|(name, _)| *name != DIGEST);
            Value::Object(rest.map(|(name, value)| (name.clone(), without_notes(value))).collect())
        }
        Value::Array(list) => Value::Array(list.iter().map(without_notes).collect()),
        other => other.clone(),
    }
}

fn note(object: &mut Object, digest: &dyn Fn(&Object) -> Option<Digest>) {
    let mut add = |map: &mut Object| {
        if let Some(digest) = digest(map) {
            map.insert(DIGEST.to_owned(), Value::String(digest.hex()));
        }
    };
    object.values_mut().for_each(|value| each_object(value, &mut add));
}

/// The digest of what a `data:` URI holds (RFC 2397).
fn of_data_uri(map: &Map<String, Value>) -> Option<Digest> {
    let uri = ["uri", "href"].iter().find_map(|name| map.get(*name)?.as_str()?.strip_prefix("data:"))?;
    let (kind, data) = uri.split_once(',')?;
    let bytes: Vec<u8> = percent_decode_str(data).collect();
    match kind.strip_suffix(";base64") {
        Some(_) => Some(Digest::of(&STANDARD.decode(bytes).ok()?)),
        None => Some(Digest::of(&bytes)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn object(value: Value) -> Object {
        value.as_object().cloned().expect("an object")
    }

    #[test]
    fn bytes_are_told_by_their_digests() {
        let digest = Digest::of(b"hi");
        let mut ours = object(json!({"media": {"p": {"@blob": 3}, "q": {"uri": "data:text/plain,hi"}}}));
        note_ours(&mut ours, &|blob| (blob == 3).then_some(digest));
        let theirs = |p: &str, q: &str| {
            let mut theirs = object(json!({"media": {"p": {"blobId": p}, "q": {"uri": q}}}));
            note_theirs(
                &mut theirs,
                &BTreeMap::from([("same".to_owned(), digest), ("other".to_owned(), Digest::of(b"x"))]),
            );
            theirs
        };
        let is_same = |theirs: Object| {
            let of = |object: &Object, name: &str| object["media"][name].get(DIGEST).cloned().unwrap_or_default();
            ["p", "q"].map(|name| of(&ours, name) == of(&theirs, name))
        };
        assert_eq!(is_same(theirs("same", "data:text/plain;base64,aGk=")), [true, true]);
        assert_eq!(is_same(theirs("other", "data:,h%69")), [false, true]);
        assert_eq!(is_same(theirs("unknown", "https://example.org/")), [false, false]);
        let mut ids = BTreeSet::new();
        blob_ids(&theirs("same", ""), &mut ids);
        assert_eq!(ids.into_iter().collect::<Vec<_>>(), ["same"]);
        assert_eq!(without_notes(&Value::Object(ours))["media"]["p"], json!({"@blob": 3}));
    }

    #[test]
    fn what_is_not_known_is_no_difference() {
        let with = |digest: Option<&str>| match digest {
            Some(digest) => json!([{"a": 1, DIGEST: digest}]),
            None => json!([{"a": 1}]),
        };
        assert!(agree(&with(None), &with(Some("x"))) && agree(&with(Some("x")), &with(None)));
        assert!(agree(&with(Some("x")), &with(Some("x"))) && !agree(&with(Some("x")), &with(Some("y"))));
        assert!(
            !agree(&json!({"a": 1}), &json!({"a": 1, "b": 2})) && !agree(&json!({"a": 1, "b": 2}), &json!({"a": 1}))
        );
        assert!(!agree(&json!([1]), &json!([1, 2])));
    }
}
