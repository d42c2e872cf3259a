//! Blob/upload and Blob/get: RFC 9404.

use super::call::{Call, MethodError, SetError, or_null, texts};
use super::options::BLOB;
use super::session::account_capability;
use super::set::{map, new_creation};
use super::shape::Shape;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value, json};

/// `Blob/upload`, section 4.1.
pub(super) fn upload(call: &mut Call) -> Result<Value, MethodError> {
    call.known(&["accountId", "create"], &[])?;
    let create = map(call, "create")?;
    call.limit(create.len(), "maxObjectsInSet", |limits| limits.max_objects_in_set)?;
    let (mut created, mut not_created) = (Map::new(), Map::new());
    for (creation, given) in create {
        new_creation(call, &creation)?;
        let outcome = match call.twisted() {
            Some(error) => Err(error),
            None if call.account.count_upload(call.options).is_err() => {
                Err(SetError::new("rateLimit", "too many uploads"))
            }
            None => bytes_of(call, &given),
        };
        match outcome {
            Ok(bytes) => {
                let size = bytes.len();
                let id = call.account.put_blob(bytes, false);
                let kind = given.get("type").cloned().unwrap_or(Value::Null);
                call.creations.ids.insert(creation.clone(), id.clone());
                created.insert(creation, json!({"id": id, "type": kind, "size": size}));
            }
            Err(error) => {
                if error.is_blame {
                    call.blames.push(format!("Blob/upload of {creation}: {}: {}", error.kind, error.description));
                }
                not_created.insert(creation, error.json());
            }
        }
    }
    Ok(json!({"accountId": call.account.options.id, "created": or_null(created), "notCreated": or_null(not_created)}))
}

fn bytes_of(call: &Call, given: &Map<String, Value>) -> Result<Vec<u8>, SetError> {
    if let Some(name) = given.keys().find(|name| !["data", "type"].contains(&name.as_str())) {
        return Err(SetError::property(name, "an UploadObject has no such property"));
    }
    let Some(Value::Array(sources)) = given.get("data") else {
        return Err(SetError::property("data", "it is no array of sources"));
    };
    let capability = account_capability(&call.account.options, BLOB);
    if sources.len() as u64 > capability["maxDataSources"].as_u64().unwrap_or(u64::MAX) {
        return Err(SetError::property("data", format!("{} sources are too many", sources.len())));
    }
    let mut bytes = Vec::new();
    for source in sources {
        bytes.extend(source_of(call, source)?);
    }
    if bytes.len() as u64 > capability["maxSizeBlobSet"].as_u64().unwrap_or(u64::MAX) {
        let error = SetError::new("tooLarge", format!("{} bytes are more than maxSizeBlobSet", bytes.len()));
        return Err(SetError { is_blame: true, ..error });
    }
    Ok(bytes)
}

/// A DataSourceObject has exactly one of `data:asText`, `data:asBase64` and `blobId`.
fn source_of(call: &Call, source: &Value) -> Result<Vec<u8>, SetError> {
    let names =
        source.as_object().map(|object| object.keys().map(String::as_str).collect::<Vec<_>>()).unwrap_or_default();
    match names[..] {
        ["data:asText"] => source["data:asText"].as_str().map(|text| text.as_bytes().to_vec()),
        ["data:asBase64"] => source["data:asBase64"].as_str().and_then(|text| STANDARD.decode(text).ok()),
        _ if names.iter().all(|name| ["blobId", "offset", "length"].contains(name)) && names.contains(&"blobId") => {
            let id = source["blobId"].as_str().unwrap_or_default();
            let id = if id.starts_with('#') { call.creations.resolve(id, "data")? } else { id.to_owned() };
            let bytes = call.blob(&id)?;
            let offset = source.get("offset").and_then(Value::as_u64).unwrap_or(0) as usize;
            let rest = bytes.get(offset..);
            let length = source.get("length").and_then(Value::as_u64).map(|length| length as usize);
            rest.and_then(|rest| rest.get(..length.unwrap_or(rest.len()))).map(<[u8]>::to_vec)
        }
        _ => None,
    }
    .ok_or_else(|| SetError::property("data", "a source is not one of data:asText, data:asBase64 and blobId"))
}

/// `Blob/get`, section 4.2.
pub(super) fn get(call: &mut Call) -> Result<Value, MethodError> {
    call.known(&["accountId", "ids", "properties"], &[("offset", Shape::Unsigned), ("length", Shape::Unsigned)])?;
    let Some(ids) = call.ids("ids")? else { return Err(MethodError::arguments("there is no way to get all blobs")) };
    call.limit(ids.len(), "maxObjectsInGet", |limits| limits.max_objects_in_get)?;
    let properties = match call.optional("properties", Shape::Texts)? {
        Some(names) => texts(names),
        None => vec!["data".to_owned(), "size".to_owned()],
    };
    let known =
        ["id", "data", "data:asText", "data:asBase64", "size", "digest:sha", "digest:sha-256", "digest:sha-512"];
    if let Some(name) = properties.iter().find(|name| !known.contains(&name.as_str())) {
        return Err(MethodError::arguments(format!("a blob has no {name:?}")));
    }
    let number = |name: &str| call.arguments.get(name).and_then(Value::as_u64).map(|number| number as usize);
    let (offset, length) = (number("offset").unwrap_or(0), number("length").unwrap_or(usize::MAX));
    let (mut list, mut missing) = (Vec::new(), Vec::new());
    for id in ids {
        match call.account.blobs.get(&id) {
            Some(blob) => list.push(shown(&id, &blob.bytes, offset, length, &properties)),
            None => missing.push(id),
        }
    }
    list.truncate(list.len().saturating_sub(call.twist.missing));
    Ok(json!({"accountId": call.account.options.id, "list": list, "notFound": missing}))
}

fn shown(id: &str, whole: &[u8], offset: usize, length: usize, properties: &[String]) -> Value {
    let start = offset.min(whole.len());
    let end = start.saturating_add(length).min(whole.len());
    let bytes = &whole[start..end];
    let mut object = json!({"id": id});
    // "isTruncated: … the requested range extends past the end".
    if offset > whole.len() || (length != usize::MAX && offset.saturating_add(length) > whole.len()) {
        object["isTruncated"] = json!(true);
    }
    let digest = |algorithm| json!(STANDARD.encode(ring::digest::digest(algorithm, bytes).as_ref()));
    for name in properties {
        let value = match (name.as_str(), std::str::from_utf8(bytes)) {
            ("size", _) => json!(whole.len()),
            ("data" | "data:asText", Ok(text)) => {
                object["data:asText"] = json!(text);
                continue;
            }
            ("data:asText", Err(_)) => {
                object["isEncodingProblem"] = json!(true);
                Value::Null
            }
            ("data", Err(_)) => {
                object["isEncodingProblem"] = json!(true);
                object["data:asBase64"] = json!(STANDARD.encode(bytes));
                continue;
            }
            ("data:asBase64", _) => json!(STANDARD.encode(bytes)),
            ("digest:sha", _) => digest(&ring::digest::SHA1_FOR_LEGACY_USE_ONLY),
            ("digest:sha-256", _) => digest(&ring::digest::SHA256),
            ("digest:sha-512", _) => digest(&ring::digest::SHA512),
            _ => continue,
        };
        object[name] = value;
    }
    object
}
