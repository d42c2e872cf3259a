//! /query: RFC 8620 section 5.5.

use super::call::{Call, MethodError, texts};
use super::filter;
use super::shape::{Shape, short};
use serde_json::{Value, json};
use std::cmp::Ordering;
use std::collections::BTreeSet;

/// `Foo/query`.
pub(super) fn query(call: &mut Call) -> Result<Value, MethodError> {
    let schema = call.kind.schema();
    let standard = ["accountId", "filter", "sort", "position", "anchor", "anchorOffset", "limit", "calculateTotal"];
    call.known(&standard, schema.query_arguments)?;
    let filter = call.optional("filter", Shape::Object)?.cloned().unwrap_or_else(|| json!({}));
    filter::check(schema, &filter)?;
    let comparators = comparators(call)?;
    if call.flag("expandRecurrences")? {
        return Err(MethodError::new("cannotCalculateOccurrences", "the test server does not expand recurrences"));
    }
    let mut found: Vec<(&String, &Value)> = Vec::new();
    for (id, object) in &call.account.table(call.kind).rows {
        if filter::matches(call, &filter, object)? {
            found.push((id, object));
        }
    }
    found.sort_by(|(_, one), (_, other)| compare(&comparators, one, other));
    if call.flag("collapseThreads")? {
        let mut seen = BTreeSet::new();
        found.retain(|(_, email)| seen.insert(email["threadId"].to_string()));
    }
    if call.flag("filterAsTree")? {
        let ids: BTreeSet<&String> = found.iter().map(|(id, _)| *id).collect();
        found.retain(|(_, object)| {
            call.account.ancestors(call.kind, &object["parentId"]).iter().all(|ancestor| ids.contains(ancestor))
        });
    }
    let mut ids: Vec<String> = found.into_iter().map(|(id, _)| id.clone()).collect();
    if call.flag("sortAsTree")? {
        ids = as_tree(call, &ids, &Value::Null);
    }
    window(call, &ids)
}

/// Cuts out what is asked for.
fn window(call: &Call, ids: &[String]) -> Result<Value, MethodError> {
    let number = |name: &str| -> Result<i64, MethodError> {
        match call.arguments.get(name) {
            None => Ok(0),
            Some(value) if Shape::Int.check(value).is_ok() => Ok(value.as_i64().expect("an Int")),
            Some(value) => Err(MethodError::arguments(format!("{name} is not an Int: {}", short(value)))),
        }
    };
    let (position, offset) = (number("position")?, number("anchorOffset")?);
    let total = ids.len() as i64;
    let start = match call.optional("anchor", Shape::Id)? {
        // "If an anchor is specified, any position argument supplied by the client MUST be ignored."
        Some(anchor) => match ids.iter().position(|id| *anchor == json!(id)) {
            Some(at) => at as i64 + offset,
            None => return Err(MethodError::new("anchorNotFound", format!("{anchor} is not in the results"))),
        },
        // "the negative value MUST be added to the total number of results given the filter".
        None if position < 0 => total + position,
        None => position,
    }
    .max(0) as usize;
    let wanted = call.optional("limit", Shape::Unsigned)?.and_then(Value::as_u64).map(|limit| limit as usize);
    let limit = match (wanted, call.options.max_query_limit) {
        (Some(wanted), Some(most)) => Some(wanted.min(most)),
        (wanted, most) => wanted.or(most),
    };
    let page: Vec<&String> = ids.iter().skip(start).take(limit.unwrap_or(usize::MAX)).collect();
    let digest = blake3::hash(json!(ids).to_string().as_bytes()).to_hex();
    let mut answer = json!({"accountId": call.account.options.id, "queryState": &digest[..12],
        "canCalculateChanges": false, "position": start, "ids": page});
    // "This argument MUST be omitted if the calculateTotal request argument is not true."
    if call.flag("calculateTotal")? {
        answer["total"] = json!(ids.len());
    }
    // "the new limit is returned with the response so the client is aware".
    if limit != wanted {
        answer["limit"] = json!(limit);
    }
    Ok(answer)
}

struct Comparator {
    property: String,
    is_ascending: bool,
}

fn comparators(call: &Call) -> Result<Vec<Comparator>, MethodError> {
    let Some(sort) = call.optional("sort", Shape::Objects)? else { return Ok(Vec::new()) };
    let mut comparators = Vec::new();
    for item in sort.as_array().expect("an array") {
        let item = item.as_object().expect("an object");
        let Some(Value::String(property)) = item.get("property") else {
            return Err(MethodError::arguments(format!("a Comparator without property: {item:?}")));
        };
        for (name, value) in item {
            let is_right = match name.as_str() {
                "property" | "collation" | "keyword" => value.is_string(),
                "isAscending" => value.is_boolean(),
                _ => false,
            };
            if !is_right {
                return Err(MethodError::arguments(format!("a Comparator cannot have {name:?}: {}", short(value))));
            }
        }
        if item.get("collation").is_some_and(|collation| collation != "i;unicode-casemap") {
            return Err(MethodError::new("unsupportedSort", "an unknown collation"));
        }
        if !call.kind.schema().sorts.contains(&property.as_str()) {
            return Err(MethodError::new("unsupportedSort", format!("nobody sorts by {property:?}")));
        }
        let is_ascending = item.get("isAscending") != Some(&Value::Bool(false));
        comparators.push(Comparator { property: property.clone(), is_ascending });
    }
    Ok(comparators)
}

fn compare(comparators: &[Comparator], one: &Value, other: &Value) -> Ordering {
    let value = |object: &Value, property: &str| match property {
        // "Directories sort first, then symlinks, then files."
        "nodeType" => json!(["directory", "symlink", "file"].iter().position(|kind| object[property] == *kind)),
        _ => object[property].clone(),
    };
    comparators
        .iter()
        .map(|comparator| {
            let order = order(&value(one, &comparator.property), &value(other, &comparator.property));
            if comparator.is_ascending { order } else { order.reverse() }
        })
        .find(|order| order.is_ne())
        .unwrap_or(Ordering::Equal)
}

fn order(one: &Value, other: &Value) -> Ordering {
    match (one, other) {
        (Value::Bool(one), Value::Bool(other)) => one.cmp(other),
        (Value::Number(one), Value::Number(other)) => one.as_u64().cmp(&other.as_u64()),
        (Value::String(one), Value::String(other)) => one.to_lowercase().cmp(&other.to_lowercase()),
        (one, other) => other.is_null().cmp(&one.is_null()),
    }
}

/// "the Mailboxes are sorted as a tree according to the parentId properties", RFC 8621 section 2.3.
fn as_tree(call: &Call, ids: &[String], parent: &Value) -> Vec<String> {
    let mut sorted = Vec::new();
    for id in ids {
        let object = call.account.get(call.kind, id).expect("it was found");
        let is_root = parent.is_null() && !ids.iter().any(|other| object["parentId"] == json!(other));
        if is_root || object["parentId"] == *parent && !parent.is_null() {
            sorted.push(id.clone());
            sorted.extend(as_tree(call, ids, &json!(id)));
        }
    }
    sorted
}

/// True if two texts have something in common, in any case.
pub(super) fn contains(hay: &Value, needle: &Value) -> bool {
    let needle = needle.as_str().unwrap_or_default().to_lowercase();
    match hay {
        Value::String(text) => text.to_lowercase().contains(&needle),
        Value::Array(items) => items.iter().any(|item| contains(item, &json!(needle))),
        Value::Object(object) => object.values().any(|value| contains(value, &json!(needle))),
        _ => false,
    }
}

/// The ids of an array.
pub(super) fn any_of(set: &Value, ids: &Value) -> bool {
    texts(ids).iter().any(|id| set.get(id).is_some())
}
