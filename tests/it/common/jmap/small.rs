//! Rules of the small types: Identity and VacationResponse (RFC 8621), SieveScript (RFC 9661).

use super::call::{Call, MethodError, SetError};
use super::options::SIEVE;
use super::rules::{switch, wanted};
use super::schema::Kind;
use super::session::account_capability;
use super::set::Done;
use super::shape::is_net_unicode;
use serde_json::{Map, Value, json};

/// Checks an identity: `forbiddenFrom` of RFC 8621 section 6.3.
pub(super) fn check_identity(
    call: &mut Call,
    old: Option<&Value>,
    new: &mut Map<String, Value>,
) -> Result<(), SetError> {
    let email = new["email"].as_str().expect("it was checked");
    let Some((_, domain)) = email.rsplit_once('@').filter(|(local, domain)| !local.is_empty() && !domain.is_empty())
    else {
        return Err(SetError::property("email", format!("{email:?} is no address")));
    };
    let may = |domains: &Vec<String>| domains.iter().any(|known| known.eq_ignore_ascii_case(domain));
    if old.is_none() && !call.options.may_send_from.as_ref().is_none_or(may) {
        return Err(SetError::new("forbiddenFrom", format!("nobody here sends from {email}")));
    }
    Ok(())
}

/// "Attempts to destroy an Identity with `mayDelete: false` will be rejected with a standard `forbidden` SetError."
pub(super) fn destroy_identity(call: &mut Call, id: &str) -> Result<(), SetError> {
    match call.account.get(Kind::Identity, id).is_some_and(|row| row["mayDelete"] == Value::Bool(false)) {
        true => Err(SetError::new("forbidden", "mayDelete is false")),
        false => Ok(()),
    }
}

/// Checks the vacation response; its types say all.
pub(super) fn check_vacation(new: &mut Map<String, Value>) -> Result<(), SetError> {
    match new["id"] == "singleton" {
        true => Ok(()),
        false => Err(SetError::property("id", "the id is singleton")),
    }
}

/// Checks a script: RFC 9661 section 2.
pub(super) fn check_script(call: &mut Call, old: Option<&Value>, new: &mut Map<String, Value>) -> Result<(), SetError> {
    let capability = account_capability(&call.account.options, SIEVE);
    let id = new["id"].as_str().expect("an id").to_owned();
    let count = call.account.table(Kind::SieveScript).rows.len() as u64;
    if old.is_none() && capability["maxNumberScripts"].as_u64().is_some_and(|most| count >= most) {
        return Err(SetError::new("overQuota", format!("{count} scripts are enough")));
    }
    // "If non-null, this MUST be a Net-Unicode string of at least 1 character in length"; else the server names it.
    let name = match new.get("name").and_then(Value::as_str) {
        Some(name) => name.to_owned(),
        None => format!("script {id}"),
    };
    if !is_net_unicode(&name) || name.len() as u64 > capability["maxSizeScriptName"].as_u64().unwrap_or(u64::MAX) {
        return Err(SetError::property("name", format!("{name:?} is no Net-Unicode string, or too long")));
    }
    new.insert("name".to_owned(), json!(name));
    let rows = &call.account.table(Kind::SieveScript).rows;
    if let Some((other, _)) =
        rows.iter().find(|(other, row)| **other != id && row["name"] == json!(name) && !call.ignored.contains(*other))
    {
        return Err(SetError::conflict("alreadyExists", "name", format!("{other} has this name"))
            .with("existingId", other.as_str()));
    }
    if old.is_some_and(|old| old["blobId"] == new["blobId"]) {
        return Ok(());
    }
    let blob = new["blobId"].as_str().expect("it was checked").to_owned();
    let bytes = call.blob(&blob)?;
    if capability["maxSizeScript"].as_u64().is_some_and(|most| bytes.len() as u64 > most) {
        return Err(SetError {
            is_blame: true,
            ..SetError::new("tooLarge", format!("{} octets are too many", bytes.len()))
        });
    }
    if call.options.checks_sieve {
        let kind = call.options.sieve_errors[0];
        check_content(&bytes, &capability).map_err(|error| SetError { kind: kind.to_owned(), ..error })?;
    }
    let blob = call.adopt(&blob)?;
    new.insert("blobId".to_owned(), json!(blob));
    Ok(())
}

/// "The SieveScript violates the Sieve grammar, and/or one or more extensions mentioned in the script's "require" …
/// statements are not supported": as much of that as a test needs.
fn check_content(bytes: &[u8], capability: &Value) -> Result<(), SetError> {
    let invalid = |why: String| Err(SetError::new("invalidSieve", why));
    let Ok(text) = std::str::from_utf8(bytes) else { return invalid("it is not UTF-8".to_owned()) };
    let (mut depth, mut is_quoted) = (0i64, false);
    let mut letters = text.chars();
    while let Some(letter) = letters.next() {
        match (is_quoted, letter) {
            (true, '\\') => {
                letters.next();
            }
            (is_in, '"') => is_quoted = !is_in,
            (true, _) => {}
            (false, '#') => while letters.next().is_some_and(|letter| letter != '\n') {},
            (false, '{') => depth += 1,
            (false, '}') => depth -= 1,
            _ => {}
        }
    }
    if is_quoted || depth != 0 {
        return invalid("a string or a block does not end".to_owned());
    }
    let known = capability["sieveExtensions"].as_array().cloned().unwrap_or_default();
    if let Some(list) = text.trim_start().strip_prefix("require") {
        let end = list.find(';').unwrap_or(list.len());
        let wanted = list[..end].split('"').skip(1).step_by(2);
        for extension in wanted {
            if !known.iter().any(|it| it == extension) {
                return invalid(format!("nobody knows the extension {extension:?}"));
            }
        }
    }
    Ok(())
}

/// "The client MUST first deactivate" an active script.
pub(super) fn destroy_script(call: &mut Call, id: &str) -> Result<(), SetError> {
    match call.account.get(Kind::SieveScript, id).is_some_and(|row| row["isActive"] == Value::Bool(true)) {
        true => Err(SetError::new(call.options.sieve_errors[1], "it is active")),
        false => Ok(()),
    }
}

/// `onSuccessDeactivateScript`, and behind it `onSuccessActivateScript`.
pub(super) fn activate(call: &mut Call, done: &mut Done) -> Result<(), MethodError> {
    if call.arguments.get("onSuccessDeactivateScript") == Some(&Value::Bool(true)) {
        switch(call, done, "isActive", None);
    }
    if let Some(id) = wanted(call, "onSuccessActivateScript")? {
        switch(call, done, "isActive", Some(&id));
    }
    Ok(())
}
