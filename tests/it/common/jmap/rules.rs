//! Where the rules of each type are.

use super::call::{Call, MethodError, SetError};
use super::schema::Kind;
use super::set::Done;
use super::shape::Shape;
use super::{calendars, contacts, files, mailboxes, small};
use serde_json::{Map, Value, json};

/// Checks arguments of a /set that only this type has.
pub(super) fn check_arguments(call: &Call) -> Result<(), MethodError> {
    for (name, shape) in call.kind.schema().set_arguments {
        if *shape == Shape::Bool && *name != "onSuccessDeactivateScript" {
            call.flag(name)?;
        }
    }
    if call.kind == Kind::FileNode {
        files::on_exists(call)?;
    }
    Ok(())
}

/// Checks an object that is to be stored, and sets what the server sets.
pub(super) fn check(
    call: &mut Call,
    old: Option<&Value>,
    new: &mut Map<String, Value>,
    done: &mut Done,
) -> Result<(), SetError> {
    match call.kind {
        Kind::Mailbox => mailboxes::check(call, old, new),
        Kind::Email => mailboxes::check_email(call, old, new),
        Kind::AddressBook => contacts::check_book(call, old, new),
        Kind::ContactCard => contacts::check_card(call, old, new),
        Kind::Calendar => calendars::check_calendar(call, old, new),
        Kind::CalendarEvent => calendars::check_event(call, old, new),
        Kind::ParticipantIdentity => calendars::check_participant(call, new),
        Kind::FileNode => files::check(call, old, new, done),
        Kind::Identity => small::check_identity(call, old, new),
        Kind::SieveScript => small::check_script(call, old, new),
        Kind::VacationResponse => small::check_vacation(new),
        Kind::Thread | Kind::Principal => Err(SetError::new("forbidden", "nobody sets these")),
    }
}

/// Destroys an object; gives the ids of all that are gone.
pub(super) fn destroy(call: &mut Call, id: &str) -> Result<Vec<String>, SetError> {
    match call.kind {
        Kind::Mailbox => mailboxes::destroy(call, id)?,
        Kind::Email => mailboxes::destroy_email(call, id)?,
        Kind::AddressBook => contacts::destroy_book(call, id)?,
        Kind::ContactCard => contacts::destroy_card(call, id)?,
        Kind::Calendar => calendars::destroy_calendar(call, id)?,
        Kind::CalendarEvent => calendars::destroy_event(call, id)?,
        Kind::Identity => small::destroy_identity(call, id)?,
        Kind::SieveScript => small::destroy_script(call, id)?,
        Kind::VacationResponse => {
            return Err(SetError { is_blame: true, ..SetError::new("singleton", "it cannot be destroyed") });
        }
        Kind::FileNode => return files::destroy(call, id),
        Kind::Thread | Kind::Principal => return Err(SetError::new("forbidden", "nobody sets these")),
        Kind::ParticipantIdentity => {}
    }
    call.account.remove(call.kind, id);
    Ok(vec![id.to_owned()])
}

/// True for properties of types that are open.
pub(super) fn is_open_property(kind: Kind, name: &str) -> bool {
    match kind {
        Kind::ContactCard => contacts::is_property(name),
        Kind::CalendarEvent => calendars::is_property(name),
        _ => false,
    }
}

/// What happens if everything in a /set was done.
pub(super) fn on_success(call: &mut Call, done: &mut Done) -> Result<(), MethodError> {
    match call.kind {
        Kind::AddressBook | Kind::Calendar | Kind::ParticipantIdentity => set_default(call, done),
        Kind::SieveScript => small::activate(call, done),
        _ => Ok(()),
    }
}

/// `onSuccessSetIsDefault`: "If the id is not found, or the change is not permitted by the server for policy reasons, it
/// MUST be ignored".
fn set_default(call: &mut Call, done: &mut Done) -> Result<(), MethodError> {
    let Some(id) = wanted(call, "onSuccessSetIsDefault")? else { return Ok(()) };
    switch(call, done, "isDefault", Some(&id));
    Ok(())
}

/// The object that an argument names by its id or its creation id.
pub(super) fn wanted(call: &mut Call, name: &str) -> Result<Option<String>, MethodError> {
    let Some(text) = call.optional(name, Shape::Text)?.and_then(Value::as_str).map(str::to_owned) else {
        return Ok(None);
    };
    let Some(creation) = text.strip_prefix('#') else { return Ok(Some(text)) };
    if !call.creations.attempted.contains(creation) {
        call.blames.push(format!("{name}: nothing was to be created as {creation:?}"));
    }
    Ok(call.creations.ids.get(creation).cloned())
}

/// Sets a flag on this object (if there is one) and on no other; what changed is told.
pub(super) fn switch(call: &mut Call, done: &mut Done, flag: &str, id: Option<&str>) {
    if id.is_some_and(|id| call.account.get(call.kind, id).is_none()) {
        return;
    }
    let rows: Vec<(String, Value)> =
        call.account.table(call.kind).rows.iter().map(|(id, row)| (id.clone(), row.clone())).collect();
    for (row_id, mut row) in rows {
        let is_on = id == Some(row_id.as_str());
        if row[flag] == json!(is_on) {
            continue;
        }
        row[flag] = json!(is_on);
        if call.options.keeps_defaults && flag == "isDefault" && row.get("myRights").is_some() {
            row["myRights"]["mayDelete"] = json!(!is_on);
        }
        let rights = row.get("myRights").cloned();
        call.account.put(call.kind, &row_id, row);
        let creation = done.created.values_mut().find(|created| created["id"] == json!(row_id));
        let told = match creation {
            Some(created) => created,
            None => done.updated.entry(row_id).or_insert(Value::Null),
        };
        if told.is_null() {
            *told = json!({});
        }
        told[flag] = json!(is_on);
        if let Some(rights) = rights.filter(|_| flag == "isDefault") {
            told["myRights"] = rights;
        }
    }
}

/// The object with the properties that are computed when it is shown, so that a client may send them back.
pub(super) fn with_computed(call: &Call, old: &Value) -> Value {
    let mut whole = old.as_object().expect("an object").clone();
    match call.kind {
        Kind::Mailbox => mailboxes::count(call.account, &mut whole),
        // What is only shown to those who ask for it is stored all the same.
        Kind::CalendarEvent => calendars::compute(&mut whole, Some(&["iCalendar".to_owned()])),
        _ => {}
    }
    whole.into()
}

/// The same without them, to be stored.
pub(super) fn without_computed(call: &Call, old: &Value, mut new: Map<String, Value>) -> Map<String, Value> {
    let computed: &[&str] = match call.kind {
        Kind::Mailbox => &mailboxes::COUNTS,
        Kind::CalendarEvent => &["isOrigin"],
        _ => &[],
    };
    new.retain(|name, _| !computed.contains(&name.as_str()) || old.get(name).is_some());
    new
}
