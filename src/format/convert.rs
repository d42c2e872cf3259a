//! What the conversions between the original formats and JMAP's JSON have in common: their outcome, the bounds that
//! keep the converter library harmless, blobs, and the repair of the lines that it writes.

use super::contentline::{self as lines, Prop};
use crate::error::{Error, ErrorKind, Result};
use serde_json::{Map, Value};
use std::panic::{AssertUnwindSafe, catch_unwind};

/// An object in JMAP's form.
#[derive(Debug, Clone, PartialEq)]
pub struct Converted {
    /// Always an object. Its keys are sorted, so that the same bytes give the same text on every run.
    pub data: Value,
    /// What of the original is not in `data`, in few words. The original bytes are the only complete record then.
    pub problem: Option<String>,
    /// True if `data` is but a stub (type, uid, title, start): "kept, not converted".
    pub stub: bool,
}

/// The largest JSON text, and the largest sum of blobs put into one, in bytes.
pub const JSON_LIMIT: usize = 64 << 20;

/// JSON that is nested deeper is refused. What calcard writes itself stays below 20.
const DEPTH_LIMIT: usize = 100;

/// Reads the JSON of a `data` column.
///
/// # Errors
/// [`ErrorKind::Unreadable`] for text above [`JSON_LIMIT`], no JSON, or JSON nested more than 128 levels deep.
pub fn read(text: &[u8]) -> Result<Value> {
    if text.len() > JSON_LIMIT {
        return Err(unreadable("the object is larger than 64 MiB"));
    }
    serde_json::from_slice(text).map_err(|cause| unreadable("the object is no readable JSON").because(cause))
}

pub(crate) fn unreadable(what: &str) -> Error {
    Error::new(ErrorKind::Unreadable, what)
}

/// Runs the converter library. It has no known panic within the bounds that are checked before, but it holds
/// `unwrap`s whose proofs lie with it, and one odd event must not end a backup of many: as the last resort a panic
/// becomes `None`. Nothing of the library's state outlives the call. A stack overflow could not be caught: that is
/// what the depth bounds are for.
pub(crate) fn guarded<T>(convert: impl FnOnce() -> Option<T>) -> Option<T> {
    catch_unwind(AssertUnwindSafe(convert)).ok().flatten()
}

/// Refuses JSON on which the converter library would take long or much stack: it looks keys up one by one, so that
/// an object of n keys costs n². `limit` bounds the sum of these squares.
pub(crate) fn check_shape(data: &Value, limit: u64) -> Result<()> {
    let mut cost = 0u64;
    let mut bytes = 0usize;
    let mut rest = vec![(data, 0usize)];
    while let Some((value, depth)) = rest.pop() {
        if depth > DEPTH_LIMIT {
            return Err(unreadable("the object is nested too deep"));
        }
        let width = match value {
            Value::Object(map) => {
                bytes = map.keys().fold(bytes, |sum, key| sum.saturating_add(key.len()));
                rest.extend(map.values().map(|value| (value, depth + 1)));
                map.len()
            }
            Value::Array(list) => {
                rest.extend(list.iter().map(|value| (value, depth + 1)));
                list.len()
            }
            Value::String(text) => {
                bytes = bytes.saturating_add(text.len());
                0
            }
            _ => 0,
        } as u64;
        cost = cost.saturating_add(width.saturating_mul(width));
        if cost > limit || bytes > JSON_LIMIT {
            return Err(unreadable("the object has too many parts to be converted"));
        }
    }
    Ok(())
}

/// Sorts the keys of every object. The recursion is bounded where [`check_shape`] let the original pass.
pub(crate) fn sort_keys(value: &mut Value) {
    match value {
        Value::Object(map) => {
            map.sort_keys();
            map.values_mut().for_each(sort_keys);
        }
        Value::Array(list) => list.iter_mut().for_each(sort_keys),
        _ => {}
    }
}

/// Gives the bytes of a blob of the archive, `None` if it has none of this id.
pub type Blobs<'a> = dyn Fn(i64) -> Option<Vec<u8>> + 'a;

/// Puts a `data:` URI (RFC 2397) under `key` in the place of every `@blob`. Call [`check_shape`] before.
pub(crate) fn inline_blobs(value: &mut Value, key: &str, blobs: &Blobs<'_>, room: &mut usize) -> Result<()> {
    match value {
        Value::Object(map) => {
            if let Some(id) = map.shift_remove("@blob") {
                let Some(id) = id.as_i64() else {
                    return Err(unreadable("a blob reference is no integer"));
                };
                let Some(bytes) = blobs(id) else {
                    return Err(Error::new(ErrorKind::Damaged, format!("blob {id} is missing")));
                };
                *room = room
                    .checked_sub(bytes.len().saturating_mul(2))
                    .ok_or_else(|| unreadable("the attachments are too large to be converted"))?;
                map.insert(key.to_owned(), Value::String(data_uri(map, &bytes)));
            }
            map.values_mut().try_for_each(|value| inline_blobs(value, key, blobs, room))
        }
        Value::Array(list) => list.iter_mut().try_for_each(|value| inline_blobs(value, key, blobs, room)),
        _ => Ok(()),
    }
}

fn data_uri(map: &Map<String, Value>, bytes: &[u8]) -> String {
    let media_type = ["mediaType", "contentType"]
        .iter()
        .find_map(|key| map.get(*key).and_then(Value::as_str))
        .filter(|media_type| !media_type.is_empty() && media_type.len() < 1000)
        .unwrap_or("application/octet-stream");
    let mut uri = String::with_capacity(bytes.len() / 3 * 4 + 64);
    uri.push_str("data:");
    for byte in media_type.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'/' | b'.' | b'+' | b'-' | b'_' | b';' | b'=' => {
                uri.push(char::from(byte));
            }
            b' ' => {}
            _ => uri.push_str(&format!("%{byte:02X}")),
        }
    }
    uri.push_str(";base64,");
    base64(bytes, &mut uri);
    uri
}

/// RFC 4648 section 4.
fn base64(bytes: &[u8], out: &mut String) {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    for chunk in bytes.chunks(3) {
        let byte = |at: usize| u32::from(chunk.get(at).copied().unwrap_or(0));
        let bits = byte(0) << 16 | byte(1) << 8 | byte(2);
        for digit in 0..4 {
            let value = (bits >> (18 - 6 * digit)) as usize & 63;
            let known = digit <= chunk.len();
            out.push(if known { DIGITS.get(value).map_or('=', |d| char::from(*d)) } else { '=' });
        }
    }
}

/// Binary values of iCalendar and vCard 2.1 and 3.0 (`ENCODING=BASE64`, `ENCODING=B`, `BASE64`) as `data:` URIs on one
/// line. calcard decodes such a value, and if the bytes happen to be UTF-8 (an SVG image, a text file), takes them
/// for text: the URI that it writes would be that text. `None` if the line is none of these.
pub(crate) fn binary_as_uri(prop: &Prop<'_>) -> Option<String> {
    const NAMES: [&str; 6] = ["ATTACH", "IMAGE", "PHOTO", "LOGO", "SOUND", "KEY"];
    let name = NAMES.iter().find(|name| prop.is(name))?;
    let params = prop.params.split(|byte| *byte == b';');
    let is_encoding = |param: &[u8]| {
        let value = param.strip_prefix_ignore_case(b"ENCODING=").unwrap_or(param);
        value.eq_ignore_ascii_case(b"BASE64") || (value.len() < param.len() && value.eq_ignore_ascii_case(b"B"))
    };
    if !params.clone().any(|param| is_encoding(param.trim_ascii())) || prop.value.contains(&b':') {
        return None;
    }
    let mut out = name.to_string();
    for param in params.map(<[u8]>::trim_ascii).filter(|param| !is_encoding(param)) {
        let is_kind = |kind: &[u8]| param.strip_prefix_ignore_case(kind).is_some();
        if param.is_empty() || is_kind(b"VALUE=") || is_kind(b"TYPE=") || !param.contains(&b'=') {
            continue;
        }
        out.push(';');
        out.push_str(&lines::decode(param));
    }
    out.push_str(":data:");
    out.push_str(&media_type(name, prop));
    out.push_str(";base64,");
    out.extend(prop.value.iter().filter(|byte| byte.is_ascii_graphic()).map(|byte| char::from(*byte)));
    out.push('\n');
    Some(out)
}

/// `strip_prefix` that does not mind the case.
trait StripPrefix {
    fn strip_prefix_ignore_case(&self, prefix: &[u8]) -> Option<&[u8]>;
}

impl StripPrefix for [u8] {
    fn strip_prefix_ignore_case(&self, prefix: &[u8]) -> Option<&[u8]> {
        self.split_at_checked(prefix.len())
            .filter(|(start, _)| start.eq_ignore_ascii_case(prefix))
            .map(|(_, rest)| rest)
    }
}

/// The media type of a binary value: FMTTYPE or MEDIATYPE, or what TYPE means (RFC 2426 3.1.4: `JPEG`).
fn media_type(name: &str, prop: &Prop<'_>) -> String {
    let given = prop.param("FMTTYPE").or_else(|| prop.param("MEDIATYPE")).or_else(|| prop.param("TYPE"));
    let bare = prop
        .params
        .split(|byte| *byte == b';')
        .map(<[u8]>::trim_ascii)
        .find(|param| !param.contains(&b'=') && !param.is_empty() && !param.eq_ignore_ascii_case(b"BASE64"));
    let given = given.or(bare).map(|text| lines::decode(text).to_ascii_lowercase()).unwrap_or_default();
    if given.is_empty()
        || given.len() > 100
        || !given.bytes().all(|b| b.is_ascii_alphanumeric() || b"/.+-".contains(&b))
    {
        return "application/octet-stream".to_owned();
    }
    match name {
        _ if given.contains('/') => given,
        "PHOTO" | "LOGO" | "IMAGE" => format!("image/{given}"),
        "SOUND" => format!("audio/{given}"),
        "KEY" => format!("application/{given}"),
        _ => "application/octet-stream".to_owned(),
    }
}

/// Properties whose value is a URI unless they say otherwise (RFC 5545, RFC 7986, RFC 6350).
const URIS: [&str; 13] = [
    "ATTACH",
    "IMAGE",
    "CONFERENCE",
    "URL",
    "SOURCE",
    "PHOTO",
    "LOGO",
    "SOUND",
    "KEY",
    "FBURL",
    "CALURI",
    "CALADRURI",
    "MEMBER",
];

/// Repairs what calcard writes: it escapes commas and semicolons in URIs, which are not TEXT, so that a reader that
/// goes by the book finds `base64\,` in a data: URI. `head` is put behind the VERSION line.
pub(crate) fn repair(text: &str, head: &str) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len() + head.len());
    let mut head = Some(head);
    for line in lines::lines(text.as_bytes()) {
        let unfolded = line.text();
        let prop = Prop::parse(&unfolded);
        match prop {
            Some(prop)
                if prop.value.contains(&b'\\')
                    && URIS.iter().any(|name| prop.is(name))
                    && !prop.param("VALUE").is_some_and(|value| value.eq_ignore_ascii_case(b"TEXT")) =>
            {
                let start = unfolded.len().saturating_sub(prop.value.len());
                let mut fixed = unfolded.get(..start).unwrap_or_default().to_vec();
                let mut bytes = prop.value.iter().copied().peekable();
                while let Some(byte) = bytes.next() {
                    if !(byte == b'\\' && matches!(bytes.peek(), Some(b',' | b';' | b'\\'))) {
                        fixed.push(byte);
                    }
                }
                lines::fold(&fixed, &mut out);
            }
            _ => out.extend_from_slice(line.raw()),
        }
        if prop.is_some_and(|prop| prop.is("VERSION"))
            && let Some(head) = head.take()
        {
            out.extend_from_slice(head.as_bytes());
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn blobs_become_data_uris() {
        let blobs = |id: i64| (id == 7).then(|| b"hi!x".to_vec());
        let mut data = json!({"media": {"p": {"@blob": 7, "mediaType": "image/png; a=\"b\""}}, "l": [{"@blob": 7}]});
        inline_blobs(&mut data, "uri", &blobs, &mut 1000).unwrap();
        assert_eq!(data["media"]["p"]["uri"], "data:image/png;a=%22b%22;base64,aGkheA==");
        assert_eq!(data["l"][0], json!({"uri": "data:application/octet-stream;base64,aGkheA=="}));
        for bad in [json!({"@blob": "7"}), json!({"@blob": 8}), json!({"@blob": null})] {
            assert!(inline_blobs(&mut bad.clone(), "uri", &blobs, &mut 1000).is_err());
        }
        assert!(inline_blobs(&mut json!({"@blob": 7}), "uri", &blobs, &mut 7).is_err());
    }

    #[test]
    fn hostile_json_is_refused() {
        let deep = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
        assert!(read(deep.as_bytes()).is_err());
        assert!(read(&vec![b' '; JSON_LIMIT + 1]).is_err());
        let deep = read(format!("{}{}", "[".repeat(120), "]".repeat(120)).as_bytes()).unwrap();
        assert!(check_shape(&deep, u64::MAX).is_err());
        let wide = Value::Array(vec![Value::Null; 1001]);
        assert!(check_shape(&wide, 1_000_000).is_err());
        assert!(check_shape(&wide, 2_000_000).is_ok());
    }

    #[test]
    fn binary_values_become_uris() {
        let uri = |line: &str| binary_as_uri(&Prop::parse(line.as_bytes()).unwrap());
        assert_eq!(
            uri("photo;TYPE=JPEG;ENCODING=b;X=y: aGk= ").as_deref(),
            Some("PHOTO;X=y:data:image/jpeg;base64,aGk=\n")
        );
        assert_eq!(uri("PHOTO;PNG;BASE64:aGk=").as_deref(), Some("PHOTO:data:image/png;base64,aGk=\n"));
        assert_eq!(
            uri("ATTACH;FMTTYPE=text/plain;ENCODING=BASE64;VALUE=BINARY:aGk=").as_deref(),
            Some("ATTACH;FMTTYPE=text/plain:data:text/plain;base64,aGk=\n")
        );
        assert_eq!(uri("PHOTO:http://x"), None);
        assert_eq!(uri("NOTE;ENCODING=b:aGk="), None);
        assert_eq!(uri("PHOTO;ENCODING=b:data:aGk="), None);
    }

    #[test]
    fn uris_are_repaired_and_folded() {
        let long = "ü".repeat(60);
        let text = format!("VERSION:4.0\r\nPHOTO;X=\"y\":data:a/b;base64\\,{long}\r\nNOTE:a\\,b\r\n");
        let out = String::from_utf8(repair(&text, "PRODID:x\r\n")).unwrap();
        assert!(out.starts_with("VERSION:4.0\r\nPRODID:x\r\nPHOTO"));
        assert!(out.ends_with("\r\nNOTE:a\\,b\r\n"));
        assert!(out.split("\r\n").all(|line| line.len() <= 75));
        assert!(out.replace("\r\n ", "").contains(&format!("data:a/b;base64,{long}\r\n")));
    }
}
