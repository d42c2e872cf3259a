//! JSON as JMAP wants it: I-JSON, pointers with `*`, patches.

use serde::de::{Deserialize, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Value};

/// Reads I-JSON (RFC 7493, wanted by RFC 8620 section 1.5): UTF-8, no member twice in an object, no lone surrogates.
pub(super) fn parse(bytes: &[u8]) -> Result<Value, String> {
    let text = std::str::from_utf8(bytes).map_err(|error| format!("not UTF-8: {error}"))?;
    serde_json::from_str::<Strict>(text).map(|strict| strict.0).map_err(|error| error.to_string())
}

struct Strict(Value);

impl<'de> Deserialize<'de> for Strict {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Strict, D::Error> {
        deserializer.deserialize_any(StrictVisitor).map(Strict)
    }
}

struct StrictVisitor;

impl<'de> Visitor<'de> for StrictVisitor {
    type Value = Value;

    fn expecting(&self, formatter: &mut std::fmt::Formatter) -> std::fmt::Result {
        formatter.write_str("I-JSON")
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_f64<E>(self, value: f64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
        let mut array = Vec::new();
        while let Some(Strict(item)) = items.next_element()? {
            array.push(item);
        }
        Ok(Value::Array(array))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Value, A::Error> {
        let mut object = Map::new();
        while let Some(name) = members.next_key::<String>()? {
            let Strict(value) = members.next_value()?;
            if object.insert(name.clone(), value).is_some() {
                return Err(A::Error::custom(format!("the member {name:?} is there twice")));
            }
        }
        Ok(Value::Object(object))
    }
}

/// The tokens of a JSON pointer (RFC 6901); `None` if it is none.
fn tokens(pointer: &str) -> Option<Vec<String>> {
    if pointer.is_empty() {
        return Some(Vec::new());
    }
    pointer.strip_prefix('/')?.split('/').map(unescape).collect()
}

fn unescape(token: &str) -> Option<String> {
    let mut rest = token;
    while let Some(at) = rest.find('~') {
        if !matches!(rest.as_bytes().get(at + 1), Some(b'0' | b'1')) {
            return None;
        }
        rest = &rest[at + 2..];
    }
    Some(token.replace("~1", "/").replace("~0", "~"))
}

/// Evaluates the path of a result reference: a JSON pointer in which `*` maps through an array and flattens one level
/// (RFC 8620 section 3.7).
pub(super) fn reference(value: &Value, path: &str) -> Option<Value> {
    follow(value, &tokens(path)?)
}

fn follow(value: &Value, tokens: &[String]) -> Option<Value> {
    let Some((token, rest)) = tokens.split_first() else { return Some(value.clone()) };
    match value {
        Value::Object(object) => follow(object.get(token)?, rest),
        Value::Array(array) if token == "*" => {
            let mut all = Vec::new();
            for item in array {
                match follow(item, rest)? {
                    Value::Array(inner) => all.extend(inner),
                    other => all.push(other),
                }
            }
            Some(Value::Array(all))
        }
        Value::Array(array) => {
            let is_index = token == "0" || (!token.starts_with('0') && token.bytes().all(|byte| byte.is_ascii_digit()));
            follow(array.get(token.parse::<usize>().ok().filter(|_| is_index)?)?, rest)
        }
        _ => None,
    }
}

/// Applies a PatchObject (RFC 8620 section 5.3). `default_of` gives the value that null stands for, where a top-level
/// property has a default. The error says what makes it an `invalidPatch`.
pub(super) fn patch(
    object: &Value,
    patches: &Map<String, Value>,
    default_of: impl Fn(&str) -> Option<Value>,
) -> Result<Value, String> {
    let paths: Vec<(Vec<String>, &Value)> = patches
        .iter()
        .map(|(path, value)| Ok((tokens(&format!("/{path}")).ok_or_else(|| format!("{path:?} is no pointer"))?, value)))
        .collect::<Result<_, String>>()?;
    for (one, (path, _)) in paths.iter().enumerate() {
        // "There MUST NOT be two patches in the PatchObject where the pointer of one is the prefix of the pointer of the
        // other".
        if paths.iter().enumerate().any(|(other, (longer, _))| one != other && longer.starts_with(path)) {
            return Err(format!("{} is the prefix of another path", path.join("/")));
        }
    }
    let mut patched = object.clone();
    for (path, value) in paths {
        let (last, parents) = path.split_last().expect("a path has a token");
        let mut at = &mut patched;
        for token in parents {
            // "All parts prior to the last MUST already exist on the object being patched." and "MUST NOT reference
            // inside an array": an array is no object.
            at = at
                .as_object_mut()
                .and_then(|object| object.get_mut(token))
                .ok_or_else(|| format!("{} does not exist or is inside an array", path.join("/")))?;
        }
        let Value::Object(parent) = at else { return Err(format!("{} is not inside an object", path.join("/"))) };
        let default = if parents.is_empty() { default_of(last) } else { None };
        match (value, default) {
            (Value::Null, Some(default)) => {
                parent.insert(last.clone(), default);
            }
            (Value::Null, None) => {
                parent.remove(last);
            }
            (value, _) => {
                parent.insert(last.clone(), value.clone());
            }
        }
    }
    Ok(patched)
}
