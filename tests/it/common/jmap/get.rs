//! /get and /changes: RFC 8620 sections 5.1 and 5.2.

use super::call::{Call, MethodError, texts};
use super::schema::Kind;
use super::shape::Shape;
use super::store::Event;
use super::{calendars, contacts, email, mailboxes};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};

/// `Foo/get`.
pub(super) fn get(call: &mut Call) -> Result<Value, MethodError> {
    let schema = call.kind.schema();
    call.known(&["accountId", "ids", "properties"], schema.get_arguments)?;
    let properties = call.optional("properties", Shape::Texts)?.map(texts);
    for name in properties.iter().flatten() {
        // A client may find out that way what the server does not have.
        if call.options.unknown.iter().any(|(of, unknown)| *of == schema.name && unknown == name) {
            return Err(MethodError::new("invalidArguments", format!("{} has no property {name:?} here", schema.name)));
        }
        if !is_property(call.kind, name) {
            return Err(MethodError::arguments(format!("{} has no property {name:?}", schema.name)));
        }
    }
    if call.kind == Kind::CalendarEvent
        && let Some(names) = &properties
        && names.iter().any(|name| name == "recurrenceOverrides")
        && names.iter().any(|name| name == "utcStart" || name == "utcEnd")
    {
        return Err(MethodError::arguments("recurrenceOverrides cannot be asked for together with utcStart"));
    }
    let table = call.account.table(call.kind);
    let asked: Vec<String> = match call.ids("ids")? {
        // "If an identical id is included more than once in the request, the server MUST only include it once".
        Some(ids) => {
            call.limit(ids.len(), "maxObjectsInGet", |limits| limits.max_objects_in_get)?;
            let mut seen = BTreeSet::new();
            ids.into_iter().filter(|id| seen.insert(id.clone())).collect()
        }
        // "all records of the data type are returned, if this is supported for that data type and the number of records
        // does not exceed the maxObjectsInGet limit".
        None => {
            let count = if call.kind == Kind::Thread { threads(call).len() } else { table.rows.len() };
            let most = call.options.limits.max_objects_in_get;
            let may_ask = count <= most && (!call.options.refuses_all || schema.is_small);
            if !may_ask && !call.options.cuts_silently {
                return Err(MethodError::new("requestTooLarge", format!("{count} objects are too many for ids: null")));
            }
            if call.kind == Kind::Thread {
                threads(call).into_keys().take(most).collect()
            } else {
                table.rows.keys().take(most).cloned().collect()
            }
        }
    };
    let (mut list, mut missing) = (Vec::new(), Vec::new());
    let by_thread = if call.kind == Kind::Thread { threads(call) } else { BTreeMap::new() };
    for id in &asked {
        let object = match by_thread.get(id) {
            Some(emails) => Some(json!({"id": id, "emailIds": emails})),
            None => call.account.get(call.kind, id).cloned(),
        };
        match object {
            Some(object) => list.push(shown(call, &object, properties.as_deref())?),
            None => missing.push(id.clone()),
        }
    }
    if call.flag("fetchParents")? {
        add_parents(call, &mut list, properties.as_deref())?;
    }
    list.truncate(list.len().saturating_sub(call.twist.missing));
    // Threads change with their emails.
    let state = call.account.table(if call.kind == Kind::Thread { Kind::Email } else { call.kind }).state();
    Ok(json!({"accountId": call.account.options.id, "state": state, "list": list, "notFound": missing}))
}

/// "If an invalid property is requested, the call MUST be rejected with an invalidArguments error."
fn is_property(kind: Kind, name: &str) -> bool {
    kind.schema().property(name).is_some()
        || match kind {
            Kind::Email => email::is_property(name),
            Kind::ContactCard => contacts::is_property(name),
            Kind::CalendarEvent => calendars::is_property(name),
            _ => false,
        }
}

/// The object as it is sent. "The id property of the object is always returned".
fn shown(call: &Call, object: &Value, properties: Option<&[String]>) -> Result<Value, MethodError> {
    let mut whole = object.as_object().expect("an object").clone();
    match call.kind {
        Kind::Mailbox => mailboxes::count(call.account, &mut whole),
        Kind::CalendarEvent => calendars::compute(&mut whole, properties),
        Kind::Email => email::compute(call, &mut whole, properties)?,
        _ => {}
    }
    let Some(properties) = properties else {
        if call.options.is_sparse {
            whole.retain(|name, _| is_shown_unasked(call.kind, name));
        }
        return Ok(whole.into());
    };
    whole.retain(|name, _| name == "id" || properties.iter().any(|wanted| wanted == name));
    Ok(whole.into())
}

/// What a server shows that saves its words: RFC 8620 section 5.1 says "all properties of the object are returned", and
/// real ones leave out what they find costly, or what is theirs.
fn is_shown_unasked(kind: Kind, name: &str) -> bool {
    match kind {
        Kind::CalendarEvent => !calendars::PER_USER.contains(&name) && name != "isDraft",
        Kind::ContactCard => name != "vCard",
        _ => matches!(name, "id" | "name" | "parentId"),
    }
}

/// `fetchParents` of FileNode/get: "returns all ancestor nodes of the requested ids in addition".
fn add_parents(call: &Call, list: &mut Vec<Value>, properties: Option<&[String]>) -> Result<(), MethodError> {
    let mut known: BTreeSet<String> = list.iter().filter_map(|node| node["id"].as_str().map(str::to_owned)).collect();
    for id in known.clone() {
        let parent = &call.account.get(call.kind, &id).expect("it was listed")["parentId"];
        for ancestor in call.account.ancestors(call.kind, parent) {
            if known.insert(ancestor.clone())
                && let Some(node) = call.account.get(call.kind, &ancestor)
            {
                list.push(shown(call, node, properties)?);
            }
        }
    }
    Ok(())
}

/// The emails of each thread, "sorted by the receivedAt date of the Email, oldest first" (RFC 8621 section 3).
fn threads(call: &Call) -> BTreeMap<String, Vec<String>> {
    let mut emails: Vec<&Value> = call.account.table(Kind::Email).rows.values().collect();
    emails.sort_by_key(|email| (email["receivedAt"].to_string(), email["id"].to_string()));
    let mut threads: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for email in emails {
        let thread = email["threadId"].as_str().expect("an id").to_owned();
        threads.entry(thread).or_default().push(email["id"].as_str().expect("an id").to_owned());
    }
    threads
}

/// `Foo/changes`.
pub(super) fn changes(call: &mut Call) -> Result<Value, MethodError> {
    call.known(&["accountId", "sinceState", "maxChanges"], &[])?;
    let Some(Value::String(since)) = call.optional("sinceState", Shape::Text)? else {
        return Err(MethodError::arguments("sinceState is missing"));
    };
    // "the value MUST be a positive integer greater than 0".
    let wanted = call.optional("maxChanges", Shape::Unsigned)?.and_then(Value::as_u64);
    if wanted == Some(0) {
        return Err(MethodError::arguments("maxChanges is 0"));
    }
    let most = wanted.map_or(usize::MAX, |most| most as usize).min(call.options.max_changes.unwrap_or(usize::MAX));
    let table = call.account.table(call.kind);
    let Some(log) = table.since(since) else {
        return Err(MethodError::new("cannotCalculateChanges", format!("nobody knows the state {since:?} any more")));
    };
    let (mut ids, mut count) = (BTreeMap::<&str, Vec<Event>>::new(), 0);
    for (id, event) in log {
        if !ids.contains_key(id.as_str()) && ids.len() == most {
            break;
        }
        ids.entry(id).or_default().push(*event);
        count += 1;
    }
    let (mut created, mut updated, mut destroyed) = (Vec::new(), Vec::new(), Vec::new());
    for (id, events) in &ids {
        let is_new = events[0] == Event::Created;
        let is_gone = events.last() == Some(&Event::Destroyed);
        match (is_new, is_gone) {
            // "If a record has been created AND destroyed since the old state, the server SHOULD remove the id".
            (true, true) => {}
            (true, false) => created.push(*id),
            (false, true) => destroyed.push(*id),
            (false, false) => updated.push(*id),
        }
    }
    let mut answer = json!({"accountId": call.account.options.id, "oldState": since,
        "newState": table.state_after(log, count), "hasMoreChanges": count < log.len(),
        "created": created, "updated": updated, "destroyed": destroyed});
    if call.kind == Kind::Mailbox {
        // RFC 8621 section 2.2: only if nothing but counts changed.
        let only_counts =
            !updated.is_empty() && created.is_empty() && ids.values().flatten().all(|event| *event == Event::Counted);
        answer["updatedProperties"] = if only_counts { json!(mailboxes::COUNTS) } else { Value::Null };
    }
    Ok(answer)
}
