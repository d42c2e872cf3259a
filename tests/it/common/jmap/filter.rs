//! Filters of /query: the operators of RFC 8620 section 5.5 and the conditions of each type.

use super::call::{Call, MethodError, texts};
use super::query::{any_of, contains};
use super::schema::{Kind, Schema};
use super::shape::short;
use serde_json::{Value, json};

/// Refuses filters that are not well formed.
pub(super) fn check(schema: &Schema, filter: &Value) -> Result<(), MethodError> {
    let Some(object) = filter.as_object() else {
        return Err(MethodError::arguments(format!("a filter is no object: {}", short(filter))));
    };
    if let Some(operator) = object.get("operator") {
        if !["AND", "OR", "NOT"].iter().any(|known| operator == known) {
            return Err(MethodError::arguments(format!("an unknown operator {operator}")));
        }
        let (Some(Value::Array(conditions)), 2) = (object.get("conditions"), object.len()) else {
            return Err(MethodError::arguments("a FilterOperator has operator and conditions, nothing else"));
        };
        return conditions.iter().try_for_each(|condition| check(schema, condition));
    }
    for (name, value) in object {
        let Some((_, shape)) = schema.filters.iter().find(|(known, _)| known == name) else {
            return Err(MethodError::arguments(format!("{} cannot be filtered by {name:?}", schema.name)));
        };
        let may_be_null = schema.name == "Mailbox" && matches!(name.as_str(), "parentId" | "role");
        if !(may_be_null && value.is_null()) {
            shape.check(value).map_err(|wrong| MethodError::arguments(format!("the condition {name} is {wrong}")))?;
        }
    }
    Ok(())
}

/// True if the object matches.
pub(super) fn matches(call: &Call, filter: &Value, object: &Value) -> Result<bool, MethodError> {
    if let Some(operator) = filter.get("operator") {
        let mut results = Vec::new();
        for condition in filter["conditions"].as_array().into_iter().flatten() {
            results.push(matches(call, condition, object)?);
        }
        return Ok(match operator.as_str() {
            Some("AND") => results.iter().all(|result| *result),
            Some("OR") => results.iter().any(|result| *result),
            _ => !results.iter().any(|result| *result),
        });
    }
    for (name, value) in filter.as_object().expect("it was checked") {
        if !condition(call, name, value, object)? {
            return Ok(false);
        }
    }
    Ok(true)
}

fn condition(call: &Call, name: &str, value: &Value, object: &Value) -> Result<bool, MethodError> {
    let text = |property: &str| object[property].as_str().unwrap_or_default().to_owned();
    let wanted = value.as_str().unwrap_or_default();
    let number = value.as_u64().unwrap_or_default();
    let size = object["size"].as_u64().unwrap_or_default();
    Ok(match (call.kind, name) {
        (Kind::Mailbox, "name") => contains(&object["name"], value),
        (Kind::Mailbox | Kind::FileNode, "hasAnyRole") => json!(!object["role"].is_null()) == *value,
        (Kind::Email, "inMailbox") => object["mailboxIds"].get(wanted).is_some(),
        (Kind::Email, "inMailboxOtherThan") => {
            object["mailboxIds"].as_object().expect("a set").keys().any(|id| !texts(value).contains(id))
        }
        (Kind::Email, "before") => text("receivedAt").as_str() < wanted,
        (Kind::Email, "after") => text("receivedAt").as_str() >= wanted,
        (Kind::Email | Kind::FileNode, "minSize") => size >= number,
        (Kind::Email | Kind::FileNode, "maxSize") => size < number,
        (Kind::Email, "hasKeyword") => object["keywords"].get(wanted.to_lowercase()).is_some(),
        (Kind::Email, "notKeyword") => object["keywords"].get(wanted.to_lowercase()).is_none(),
        (Kind::SieveScript, "name") => contains(&object["name"], value),
        (Kind::ContactCard, "inAddressBook") => object["addressBookIds"].get(wanted).is_some(),
        (Kind::ContactCard, "hasMember") => object["members"].get(wanted).is_some(),
        (Kind::ContactCard, "kind") => *value == *object.get("kind").unwrap_or(&json!("individual")),
        (Kind::ContactCard, "text") => contains(object, value),
        (Kind::CalendarEvent, "inCalendar") => object["calendarIds"].get(wanted).is_some(),
        (Kind::CalendarEvent, "title" | "description") => contains(&object[name], value),
        (Kind::ContactCard | Kind::FileNode, "createdBefore") => text("created").as_str() < wanted,
        (Kind::ContactCard | Kind::FileNode, "createdAfter") => text("created").as_str() >= wanted,
        (Kind::ContactCard, "updatedBefore") => text("updated").as_str() < wanted,
        (Kind::ContactCard, "updatedAfter") => text("updated").as_str() >= wanted,
        (Kind::FileNode, "modifiedBefore") => text("modified").as_str() < wanted,
        (Kind::FileNode, "modifiedAfter") => text("modified").as_str() >= wanted,
        (Kind::FileNode, "isTopLevel") => json!(object["parentId"].is_null()) == *value,
        (Kind::FileNode, "isExecutable") => object["executable"] == *value,
        (Kind::FileNode, "ancestorId") => {
            call.account.ancestors(call.kind, &object["parentId"]).iter().any(|id| id == wanted)
        }
        (Kind::FileNode, "descendantId") => {
            let parent = call.account.get(call.kind, wanted).map_or(&Value::Null, |node| &node["parentId"]);
            call.account.ancestors(call.kind, parent).iter().any(|id| object["id"] == json!(id))
        }
        (Kind::Principal, "accountIds") => any_of(&object["accounts"], value),
        (Kind::Principal, "email" | "name") => contains(&object[name], value),
        (Kind::Principal, "text") => {
            ["name", "email", "description"].iter().any(|part| contains(&object[*part], value))
        }
        (Kind::Mailbox, "parentId" | "role" | "isSubscribed")
        | (Kind::SieveScript, "isActive")
        | (Kind::ContactCard | Kind::CalendarEvent, "uid")
        | (Kind::FileNode, "parentId" | "nodeType" | "role" | "blobId" | "name" | "type")
        | (Kind::Principal, "type" | "timeZone") => object[name] == *value,
        // "The filter is syntactically valid, but the server cannot process it."
        _ => return Err(MethodError::new("unsupportedFilter", format!("the test server does not search by {name:?}"))),
    })
}
