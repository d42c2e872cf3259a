//! What objects of the result have in common: one name and one form for each thing (docs/reference/json.md).

use crate::archive::{Incomplete, Moment, epoch, rfc3339};
use crate::import::report::ImportCounts;
use crate::model::object_id::ObjectId;
use crate::model::{Id, ObjectType};
use crate::tree::Label;
use serde_json::{Map, Value, json};
use std::path::{Path, absolute};

/// A path of the disk, absolute: the reader of the result need not know where the program ran.
pub(super) fn on_disk(path: &Path) -> String {
    absolute(path).as_deref().unwrap_or(path).display().to_string()
}

/// The number of the snapshot; `None` in an archive without history.
pub(super) fn snapshot(moment: Moment) -> Option<i64> {
    match moment {
        Moment::Current => None,
        Moment::Snapshot(snapshot) => Some(snapshot),
    }
}

/// A time of the archive, whatever program wrote it: RFC 3339 in UTC, in whole seconds.
pub(super) fn time(text: &str) -> String {
    rfc3339(epoch(text))
}

/// `type`, `id` and `object_id` of an object.
pub(super) fn object(kind: ObjectType, id: Option<Id>) -> Value {
    let object_id = id.and_then(|id| ObjectId::of(kind, id)).map(|id| id.to_string());
    json!({ "type": kind.token(), "id": id, "object_id": object_id })
}

/// Adds the fields of one object to those of another.
pub(super) fn join(mut fields: Value, more: Value) -> Value {
    if let (Some(fields), Value::Object(more)) = (fields.as_object_mut(), more) {
        fields.extend(more);
    }
    fields
}

/// The paths of an object, and its sender, title or name.
pub(super) fn label(label: &Label) -> Value {
    let mut fields = json!({ "path": label.paths.first(), "paths": label.paths });
    for (name, value) in &label.fields {
        fields[if *name == "date" { "received_at" } else { name }] = value.clone().into();
    }
    fields
}

/// A source of an archive.
pub(super) fn source(kind: &str, url: Option<&str>, account: Option<&str>) -> Value {
    json!({ "kind": kind, "url": url, "account": account })
}

/// What a copy lacks.
pub(super) fn incomplete(incomplete: Option<&Incomplete>) -> Value {
    incomplete.map_or(Value::Null, |Incomplete { noted, findings, named }| {
        let noted = Some(noted).filter(|noted| !noted.is_empty()).map(|noted| time(noted));
        json!({ "noted_at": noted, "finding_count": findings, "named": named })
    })
}

/// The numbers of each type: each of them is a number, and the reasons stand beside it as `skipped_reasons` and the like.
pub(super) fn counts(types: &Value) -> Value {
    let flat = |counts: &Map<String, Value>| -> Map<String, Value> {
        let mut fields = Map::new();
        for (name, value) in counts {
            let Value::Object(parts) = value else {
                fields.insert(name.clone(), value.clone());
                continue;
            };
            let sum: u64 = parts.values().filter_map(Value::as_u64).sum();
            fields.insert(name.clone(), sum.into());
            if name == "stored" {
                fields.extend(parts.clone());
            } else {
                fields.insert(format!("{name}_reasons"), value.clone());
            }
        }
        fields
    };
    let types = types.as_object().into_iter().flatten();
    types
        .filter_map(|(token, counts)| Some((token.clone(), flat(counts.as_object()?).into())))
        .collect::<Map<_, _>>()
        .into()
}

/// The numbers of each type of an import: what left the current state and what stayed among them. `report` is of this run, or
/// as an older one wrote it into the archive.
pub(super) fn import_counts(report: &Value) -> Value {
    let mut types = report["types"].clone();
    let none = || serde_json::to_value(ImportCounts::default()).unwrap_or_default();
    for name in ["removed", "kept", "hidden"] {
        for (token, count) in report[name].as_object().into_iter().flatten() {
            let Some(types) = types.as_object_mut() else { continue };
            types.entry(token.clone()).or_insert_with(none)[name] = count.clone();
        }
    }
    for counts in types.as_object_mut().into_iter().flat_map(|types| types.values_mut()) {
        for name in ["removed", "kept", "hidden"] {
            if let Some(counts) = counts.as_object_mut() {
                counts.entry(name).or_insert_with(|| 0.into());
            }
        }
    }
    self::counts(&types)
}

/// The numbers of a run as its archive keeps them.
pub(super) fn stored_report(report: Option<&Value>) -> Value {
    let Some(Value::Object(report)) = report else { return Value::Null };
    let mut fields = Map::new();
    fields.insert("types".to_owned(), import_counts(&Value::Object(report.clone())));
    for (name, value) in report {
        match name.as_str() {
            "types" | "removed" | "kept" | "hidden" => {}
            "bytes" => drop(fields.insert("stored_size".to_owned(), value.clone())),
            "scopes_failed" => drop(fields.insert("scopes_failed_count".to_owned(), value.clone())),
            _ => drop(fields.insert(name.clone(), value.clone())),
        }
    }
    fields.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_report_of_an_older_run_has_the_form_of_a_new_one() {
        let old = json!({
            "types": { "email": {
                "found": 9, "stored": { "new": 1, "changed": 2, "unchanged": 3 }, "duplicate": 0,
                "skipped": { "deleted flag": 2 }, "failed": { "cut": 1 }, "not_reached": 0,
            } },
            "removed": { "email": 4, "mailbox": 1 }, "scopes_failed": 2, "max_delete": 0.2,
        });
        let new = stored_report(Some(&old));
        let email = &new["types"]["email"];
        let numbers = ["found", "stored", "new", "changed", "unchanged", "skipped", "failed", "removed", "kept"];
        assert_eq!(numbers.map(|name| email[name].as_u64()), [9, 6, 1, 2, 3, 2, 1, 4, 0].map(Some));
        assert_eq!(
            (&email["skipped_reasons"], &email["failed_reasons"]),
            (&json!({ "deleted flag": 2 }), &json!({ "cut": 1 }))
        );
        assert_eq!((&new["types"]["mailbox"]["removed"], &new["types"]["mailbox"]["found"]), (&1.into(), &0.into()));
        assert_eq!((&new["scopes_failed_count"], &new["max_delete"]), (&2.into(), &json!(0.2)));
        assert_eq!((stored_report(None), stored_report(Some(&json!("x")))), (Value::Null, Value::Null));
        assert_eq!(stored_report(Some(&json!({}))), json!({ "types": {} }));
    }
}
