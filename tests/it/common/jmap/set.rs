//! /set: RFC 8620 section 5.3. What is special about a type is in `rules.rs` and the files it names.

use super::call::{Call, MethodError, SetError, or_null};
use super::ijson;
use super::rules;
use super::schema::{Kind, Setter};
use super::shape::{Shape, is_id};
use super::store::complete;
use serde_json::{Map, Value, json};
use std::collections::BTreeSet;

/// The members of an object.
type Object = Map<String, Value>;

/// One thing to do.
#[derive(Debug, Clone)]
enum Step {
    Create(String, Map<String, Value>),
    Update(String, Map<String, Value>),
    Destroy(String),
}

/// What was done.
#[derive(Default)]
pub(super) struct Done {
    pub created: Map<String, Value>,
    pub updated: Map<String, Value>,
    pub destroyed: Vec<String>,
    not_created: Map<String, Value>,
    not_updated: Map<String, Value>,
    not_destroyed: Map<String, Value>,
    /// What the call wants to destroy.
    pub doomed: BTreeSet<String>,
}

/// `Foo/set`.
pub(super) fn set(call: &mut Call) -> Result<Value, MethodError> {
    let schema = call.kind.schema();
    call.known(&["accountId", "ifInState", "create", "update", "destroy"], schema.set_arguments)?;
    let mut steps = Vec::new();
    for (id, object) in map(call, "create")? {
        new_creation(call, &id)?;
        steps.push(Step::Create(id, object));
    }
    for (id, patch) in map(call, "update")? {
        steps.push(Step::Update(id, patch));
    }
    let destroy = call.ids("destroy")?.unwrap_or_default();
    let mut done = Done { doomed: destroy.iter().cloned().collect(), ..Done::default() };
    steps.extend(destroy.into_iter().map(Step::Destroy));
    call.limit(steps.len(), "maxObjectsInSet", |limits| limits.max_objects_in_set)?;
    call.if_in_state()?;
    let old_state = call.account.table(call.kind).state();
    for name in ["onSuccessSetIsDefault", "onSuccessActivateScript"] {
        if let Some(wanted) = call.optional(name, Shape::Text)?.and_then(Value::as_str)
            && !is_id(wanted.strip_prefix('#').unwrap_or(wanted))
        {
            return Err(MethodError::arguments(format!("{name} is neither an Id nor a reference to a creation")));
        }
    }
    rules::check_arguments(call)?;
    run(call, steps, &mut done);
    let is_success = [&done.not_created, &done.not_updated, &done.not_destroyed].iter().all(|errors| errors.is_empty());
    if is_success {
        rules::on_success(call, &mut done)?;
    }
    Ok(json!({"accountId": call.account.options.id, "oldState": old_state,
        "newState": call.account.table(call.kind).state(),
        "created": or_null(done.created), "updated": or_null(done.updated),
        "destroyed": if done.destroyed.is_empty() { Value::Null } else { json!(done.destroyed) },
        "notCreated": or_null(done.not_created), "notUpdated": or_null(done.not_updated),
        "notDestroyed": or_null(done.not_destroyed)}))
}

/// An argument of type `Id[Object]|null`.
pub(super) fn map(call: &Call, name: &str) -> Result<Vec<(String, Object)>, MethodError> {
    let Some(map) = call.optional(name, Shape::IdMap)? else { return Ok(Vec::new()) };
    Ok(map
        .as_object()
        .expect("it was checked")
        .iter()
        .map(|(id, value)| (id.clone(), value.as_object().expect("it was checked").clone()))
        .collect())
}

/// "A client SHOULD NOT reuse a creation id anywhere in the same API request."
pub(super) fn new_creation(call: &mut Call, id: &str) -> Result<(), MethodError> {
    if !call.creations.attempted.insert(id.to_owned()) {
        call.blames.push(format!("the creation id {id:?} is used again in one request"));
    }
    Ok(())
}

/// Does one step after the other; what may become possible through others is tried again behind them: "the server may
/// have to transition through invalid intermediate states".
fn run(call: &mut Call, mut steps: Vec<Step>, done: &mut Done) {
    loop {
        let count = steps.len();
        let mut deferred = Vec::new();
        for step in std::mem::take(&mut steps) {
            let Err(error) = perform(call, &step, done) else { continue };
            if error.is_deferrable && may_wait(call, &step) {
                deferred.push((step, error));
            } else {
                refuse(call, &step, &error, done);
            }
        }
        if deferred.is_empty() {
            return;
        }
        if deferred.len() == count {
            let (updates, others): (Vec<_>, Vec<_>) =
                deferred.into_iter().partition(|(step, _)| matches!(step, Step::Update(..)));
            if updates.is_empty() || !together(call, &updates, done) {
                for (step, error) in updates.iter().chain(&others) {
                    refuse(call, step, error, done);
                }
                return;
            }
            deferred = others;
        }
        steps = deferred.into_iter().map(|(step, _)| step).collect();
    }
}

/// References to creations of the same call always have to wait, and so does everything in a FileNode/set.
fn may_wait(call: &Call, step: &Step) -> bool {
    let (Step::Create(_, object) | Step::Update(_, object)) = step else {
        return !call.options.is_sequential || call.kind == Kind::FileNode;
    };
    !call.options.is_sequential || call.kind == Kind::FileNode || json!(object).to_string().contains("\"#")
}

fn refuse(call: &mut Call, step: &Step, error: &SetError, done: &mut Done) {
    let (what, id, errors) = match step {
        Step::Create(id, _) => ("create", id, &mut done.not_created),
        Step::Update(id, _) => ("update", id, &mut done.not_updated),
        Step::Destroy(id) => ("destroy", id, &mut done.not_destroyed),
    };
    errors.insert(id.clone(), error.json());
    call.judge(&format!("{what} of {id}"), error);
}

fn perform(call: &mut Call, step: &Step, done: &mut Done) -> Result<(), SetError> {
    if let Some(error) = call.twisted() {
        return Err(error);
    }
    match step {
        Step::Create(id, object) => create(call, id, object, done),
        Step::Update(id, patch) => update(call, id, patch, done),
        Step::Destroy(id) => {
            if call.account.get(call.kind, id).is_none() {
                return match done.destroyed.contains(id) {
                    true => Ok(()),
                    false => Err(SetError::new("notFound", format!("there is no {id}"))),
                };
            }
            let gone = rules::destroy(call, id)?;
            done.destroyed.extend(gone);
            Ok(())
        }
    }
}

fn create(call: &mut Call, creation: &str, given: &Map<String, Value>, done: &mut Done) -> Result<(), SetError> {
    let schema = call.kind.schema();
    if call.kind == Kind::VacationResponse {
        return Err(SetError { is_blame: true, ..SetError::new("singleton", "there is one, and there will be one") });
    }
    if call.kind == Kind::Email {
        return Err(SetError::new("forbidden", "the test server makes no drafts: upload the message and import it"));
    }
    let given = resolved(call, given)?;
    let mut object = given.clone();
    // draft-ietf-jmap-calendars: "The client may send a `null` value for any optional JSCalendar Event property on
    // create. This MUST be treated the same as omitting the property".
    if call.kind == Kind::CalendarEvent {
        object.retain(|name, value| !value.is_null() || schema.property(name).is_some_and(|it| it.is_required));
    }
    let mut wrong = Vec::new();
    for (name, value) in &object {
        match schema.property(name) {
            Some(property) if property.setter == Setter::Server => {
                wrong.push((name.clone(), "only the server sets it".to_owned()))
            }
            Some(property) => {
                if let Err(why) = property.check(value) {
                    wrong.push((name.clone(), why));
                }
            }
            None if rules::is_open_property(call.kind, name) => {}
            None => wrong.push((name.clone(), "there is no such property".to_owned())),
        }
    }
    for property in schema.properties {
        if property.is_required && !object.contains_key(property.name) {
            wrong.push((property.name.to_owned(), "it is missing".to_owned()));
        }
    }
    many(wrong)?;
    complete(call.options, call.kind, &mut object);
    let id = call.account.new_id(call.kind);
    object.insert("id".to_owned(), json!(id));
    rules::check(call, None, &mut object, done)?;
    // "any properties that were omitted by the client and thus set to a default by the server".
    let told: Map<String, Value> = object
        .iter()
        .filter(|(name, value)| given.get(*name) != Some(value))
        .map(|(name, value)| (name.clone(), value.clone()))
        .collect();
    call.account.put(call.kind, &id, object.into());
    call.creations.ids.insert(creation.to_owned(), id);
    done.created.insert(creation.to_owned(), told.into());
    Ok(())
}

fn update(call: &mut Call, id: &str, patch: &Map<String, Value>, done: &mut Done) -> Result<(), SetError> {
    let Some(old) = call.account.get(call.kind, id).cloned() else {
        return Err(SetError::new("notFound", format!("there is no {id}")));
    };
    if done.doomed.contains(id) {
        return Err(SetError::new("willDestroy", "the same call destroys it"));
    }
    let patched = patched(call, &old, patch)?;
    let mut new = patched.clone();
    rules::check(call, Some(&old), &mut new, done)?;
    // "a Foo object containing any property that changed in a way *not* explicitly requested by the PatchObject".
    let told: Map<String, Value> = new
        .iter()
        .filter(|(name, value)| patched.get(*name) != Some(value))
        .map(|(name, value)| (name.clone(), value.clone()))
        .collect();
    done.updated.insert(id.to_owned(), or_null(told));
    let new = Value::from(new);
    if new != old {
        call.account.put(call.kind, id, new);
    }
    Ok(())
}

/// The object with its patch, checked against the types of its properties.
fn patched(call: &mut Call, old: &Value, patch: &Map<String, Value>) -> Result<Map<String, Value>, SetError> {
    let schema = call.kind.schema();
    let patch = resolved(call, patch)?;
    let default_of = |name: &str| schema.property(name).and_then(|property| property.default());
    let shown = rules::with_computed(call, old);
    let new = ijson::patch(&shown, &patch, default_of)
        .map_err(|why| SetError { is_blame: true, ..SetError::new("invalidPatch", why) })?;
    let new = new.as_object().expect("an object").clone();
    let mut wrong = Vec::new();
    for name in new.keys().chain(shown.as_object().expect("an object").keys()) {
        let (before, after) = (shown.get(name), new.get(name));
        if before == after {
            continue;
        }
        match (schema.property(name), after) {
            // "Any server-set properties MAY be included in the patch if their value is identical to the current server
            // value".
            (Some(property), _) if property.setter != Setter::Anybody => {
                wrong.push((name.clone(), format!("it is {:?} and would change", property.setter)));
            }
            (Some(property), None) if property.is_required => {
                wrong.push((name.clone(), "it cannot be removed".to_owned()))
            }
            (Some(property), Some(value)) => {
                if let Err(why) = property.check(value) {
                    wrong.push((name.clone(), why));
                }
            }
            (None, Some(_)) if !rules::is_open_property(call.kind, name) => {
                wrong.push((name.clone(), "there is no such property".to_owned()));
            }
            _ => {}
        }
    }
    many(wrong)?;
    Ok(rules::without_computed(call, old, new))
}

/// One error for all wrong properties: "lists **all** the properties that were invalid".
fn many(mut wrong: Vec<(String, String)>) -> Result<(), SetError> {
    wrong.dedup();
    let Some((name, why)) = wrong.first() else { return Ok(()) };
    let mut error = SetError::property(name, format!("{name}: {why}"));
    error.properties = wrong.into_iter().map(|(name, _)| name).collect();
    Err(error)
}

/// Puts real ids where references to creations stand: in properties that hold ids, and in paths into sets of ids.
fn resolved(call: &Call, given: &Map<String, Value>) -> Result<Map<String, Value>, SetError> {
    let mut object = Map::new();
    for (path, value) in given {
        let (name, token) = match path.split_once('/') {
            Some((name, token)) => (name, Some(token)),
            None => (path.as_str(), None),
        };
        let property = call.kind.schema().property(name);
        let path = match token {
            Some(token) if token.starts_with('#') => format!("{name}/{}", call.creations.resolve(token, name)?),
            _ => path.clone(),
        };
        let value = match (property.map(|property| property.shape), value) {
            (Some(Shape::Id), Value::String(text)) if text.starts_with('#') => {
                json!(call.creations.resolve(text, name)?)
            }
            (Some(Shape::IdSet), Value::Object(set)) => {
                let mut real = Map::new();
                for (id, value) in set {
                    let id = if id.starts_with('#') { call.creations.resolve(id, name)? } else { id.clone() };
                    real.insert(id, value.clone());
                }
                real.into()
            }
            _ => value.clone(),
        };
        object.insert(path, value);
    }
    Ok(object)
}

/// Tries updates that are only possible at once: "rename an object A => B and simultaneously rename another object
/// B => A. If the final state is valid, this is allowed."
fn together(call: &mut Call, deferred: &[(Step, SetError)], done: &mut Done) -> bool {
    if call.options.is_sequential && call.kind != Kind::FileNode {
        return false;
    }
    let mut plans = Vec::new();
    for (step, _) in deferred {
        let Step::Update(id, patch) = step else { return false };
        let Some(old) = call.account.get(call.kind, id).cloned() else { return false };
        let Ok(new) = patched(call, &old, patch) else { return false };
        plans.push((id.clone(), old, new));
    }
    call.ignored = plans.iter().map(|(id, _, _)| id.clone()).collect();
    let is_right = plans.iter_mut().all(|(_, old, new)| rules::check(call, Some(old), new, done).is_ok());
    call.ignored.clear();
    for (id, _, new) in &plans {
        call.account.table_mut(call.kind).rows.insert(id.clone(), new.clone().into());
    }
    let is_right = is_right && plans.iter_mut().all(|(_, old, new)| rules::check(call, Some(old), new, done).is_ok());
    for (id, old, new) in plans {
        call.account.table_mut(call.kind).rows.insert(id.clone(), old);
        if is_right {
            call.account.put(call.kind, &id, new.into());
            done.updated.insert(id, Value::Null);
        }
    }
    is_right
}
