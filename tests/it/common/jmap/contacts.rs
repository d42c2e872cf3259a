//! Rules of AddressBook and ContactCard: RFC 9610, and RFC 9553 for what a Card is.

use super::call::{Call, SetError};
use super::mailboxes::sort_order;
use super::options::{CONTACTS, PRINCIPALS};
use super::schema::Kind;
use super::session::account_capability;
use super::shape::{Shape, is_id};
use super::store::keys;
use serde_json::{Map, Value, json};

pub(super) const RIGHTS: [&str; 4] = ["mayRead", "mayWrite", "mayShare", "mayDelete"];

/// Maps of a Card whose values are objects: the property, the `@type`, what each object must have.
const MAPS: [(&str, &str, &str); 18] = [
    ("addresses", "Address", ""),
    ("anniversaries", "Anniversary", "kind"),
    ("calendars", "Calendar", "uri"),
    ("cryptoKeys", "CryptoKey", "uri"),
    ("directories", "Directory", "uri"),
    ("emails", "EmailAddress", "address"),
    ("links", "Link", "uri"),
    ("media", "Media", "kind"),
    ("nicknames", "Nickname", "name"),
    ("notes", "Note", "note"),
    ("onlineServices", "OnlineService", ""),
    ("organizations", "Organization", ""),
    ("personalInfo", "PersonalInfo", "value"),
    ("phones", "Phone", "number"),
    ("preferredLanguages", "LanguagePref", "language"),
    ("relatedTo", "Relation", ""),
    ("schedulingAddresses", "SchedulingAddress", "uri"),
    ("titles", "Title", "name"),
];

/// The other properties of a Card (RFC 9553 section 2, RFC 9555 section 2.16).
const OTHERS: [(&str, Shape); 14] = [
    ("vCard", Shape::Object),
    ("created", Shape::UtcDate),
    ("updated", Shape::UtcDate),
    ("kind", Shape::Text),
    ("language", Shape::Text),
    ("prodId", Shape::Text),
    ("members", Shape::TextSet),
    ("keywords", Shape::TextSet),
    ("name", Shape::Object),
    ("speakToAs", Shape::Object),
    ("localizations", Shape::TextMap),
    ("vCardProps", Shape::Any),
    ("vCardName", Shape::Text),
    ("vCardParams", Shape::Object),
];

/// True for a property that a Card can have: those of the standard and those of vendors ("example.com:foo").
pub(super) fn is_property(name: &str) -> bool {
    MAPS.iter().any(|(known, ..)| *known == name) || OTHERS.iter().any(|(known, _)| *known == name) || is_vendor(name)
}

/// `v-extension` of RFC 9553 section 1.8.1: a domain, a colon, a name.
pub(super) fn is_vendor(name: &str) -> bool {
    name.split_once(':').is_some_and(|(domain, rest)| domain.contains('.') && !rest.is_empty())
}

/// Checks an address book.
pub(super) fn check_book(call: &mut Call, old: Option<&Value>, new: &mut Map<String, Value>) -> Result<(), SetError> {
    container_name(new)?;
    sort_order(new)?;
    if old.is_none()
        && account_capability(&call.account.options, CONTACTS)["mayCreateAddressBook"] == Value::Bool(false)
    {
        return Err(SetError::new("forbidden", "mayCreateAddressBook is false"));
    }
    share_with(call, old, new, &RIGHTS)
}

/// "This MUST NOT be the empty string and MUST NOT be greater than 255 octets in size when encoded as UTF-8."
pub(super) fn container_name(new: &Map<String, Value>) -> Result<(), SetError> {
    let name = new["name"].as_str().expect("it was checked");
    match (1..=255).contains(&name.len()) {
        true => Ok(()),
        false => Err(SetError::property("name", format!("{} octets are not 1 to 255", name.len()))),
    }
}

/// Checks `shareWith`: RFC 9670, and "The Principal to which this AddressBook belongs MUST NOT be in this set".
pub(super) fn share_with(
    call: &Call,
    old: Option<&Value>,
    new: &Map<String, Value>,
    rights: &[&str],
) -> Result<(), SetError> {
    let wanted = new.get("shareWith").unwrap_or(&Value::Null);
    if *wanted == *old.map_or(&Value::Null, |old| &old["shareWith"]) {
        return Ok(());
    }
    let options = &call.account.options;
    if !options.capabilities.contains(&PRINCIPALS) {
        return Err(SetError::property("shareWith", "the account knows no principals, so it is null"));
    }
    if let Some(old) = old {
        call.may(call.kind, old["id"].as_str().expect("an id"), "mayShare")?;
    }
    let owner = account_capability(options, super::options::OWNER)["principalId"].clone();
    for (principal, given) in wanted.as_object().into_iter().flatten() {
        if owner == json!(principal) {
            return Err(SetError::property("shareWith", format!("{principal} is the owner")));
        }
        if call.account.get(Kind::Principal, principal).is_none() {
            let error =
                SetError::conflict("invalidProperties", "shareWith", format!("there is no principal {principal}"));
            return Err(error.at_once());
        }
        for (right, value) in given.as_object().into_iter().flatten() {
            if !rights.contains(&right.as_str()) || !value.is_boolean() {
                return Err(SetError::property("shareWith", format!("{right:?} is no right, or no Boolean")));
            }
        }
    }
    Ok(())
}

/// Destroys an address book, if it may be.
pub(super) fn destroy_book(call: &mut Call, id: &str) -> Result<(), SetError> {
    keep_default(call, id)?;
    call.may(Kind::AddressBook, id, "mayDelete")?;
    let cards = call.account.members(Kind::ContactCard, "addressBookIds", id);
    if !cards.is_empty() && call.arguments.get("onDestroyRemoveContents") != Some(&Value::Bool(true)) {
        return Err(SetError::new("addressBookHasContents", format!("it has {} cards", cards.len())));
    }
    for card in cards {
        call.account.take_out(Kind::ContactCard, "addressBookIds", &card, id);
    }
    Ok(())
}

/// A server may keep its default.
pub(super) fn keep_default(call: &Call, id: &str) -> Result<(), SetError> {
    let is_default = call.account.get(call.kind, id).is_some_and(|row| row["isDefault"] == Value::Bool(true));
    match is_default && call.options.keeps_defaults {
        true => Err(SetError::new("forbidden", "the default stays")),
        false => Ok(()),
    }
}

/// Destroys a card, if its address books allow.
pub(super) fn destroy_card(call: &mut Call, id: &str) -> Result<(), SetError> {
    let books: Vec<String> =
        keys(&call.account.get(Kind::ContactCard, id).expect("it is there")["addressBookIds"]).collect();
    books.iter().try_for_each(|book| call.may(Kind::AddressBook, book, "mayWrite"))
}

/// Checks a card.
pub(super) fn check_card(call: &mut Call, old: Option<&Value>, new: &mut Map<String, Value>) -> Result<(), SetError> {
    let most = account_capability(&call.account.options, CONTACTS)["maxAddressBooksPerCard"].as_u64();
    containers(call, old, new, "addressBookIds", Kind::AddressBook, most)?;
    for book in keys(&new["addressBookIds"]).chain(old.into_iter().flat_map(|old| keys(&old["addressBookIds"]))) {
        call.may(Kind::AddressBook, &book, "mayWrite")?;
    }
    // RFC 9553 section 2.1.1 and 2.1.2.
    if new["@type"] != "Card" {
        return Err(SetError::property("@type", "it is not Card"));
    }
    if !["1.0", "2.0"].iter().any(|version| new["version"] == *version) {
        return Err(SetError::property("version", format!("{} is no version of JSContact", new["version"])));
    }
    check_members(new)?;
    check_media(call, new)?;
    unique_uid(call, new)
}

/// Checks the set of containers an object is in: they exist, and are not too many.
pub(super) fn containers(
    call: &Call,
    old: Option<&Value>,
    new: &Map<String, Value>,
    property: &str,
    kind: Kind,
    most: Option<u64>,
) -> Result<(), SetError> {
    let count = new[property].as_object().map_or(0, Map::len) as u64;
    if most.is_some_and(|most| count > most) && old.is_none_or(|old| old[property] != new[property]) {
        return Err(SetError::property(property, format!("{count} are too many")));
    }
    for id in keys(&new[property]) {
        if call.account.get(kind, &id).is_none() {
            return Err(SetError::conflict("invalidProperties", property, format!("there is no {id}")).at_once());
        }
    }
    Ok(())
}

/// "there MUST NOT be more than one ContactCard with the same uid in an Account".
fn unique_uid(call: &Call, new: &Map<String, Value>) -> Result<(), SetError> {
    if new["uid"].as_str().is_some_and(str::is_empty) {
        return Err(SetError::property("uid", "it is empty"));
    }
    let same = call
        .account
        .table(Kind::ContactCard)
        .rows
        .iter()
        .find(|(id, row)| row["uid"] == new["uid"] && new["id"] != json!(id) && !call.ignored.contains(*id));
    match same {
        Some((id, _)) => Err(uid_exists(call, id)),
        None => Ok(()),
    }
}

/// The error for an uid that exists.
pub(super) fn uid_exists(call: &Call, id: &str) -> SetError {
    let kind = call.options.uid_exists;
    let error = SetError::conflict(kind, "uid", format!("{id} has this uid"));
    if kind == "alreadyExists" { error.with("existingId", id) } else { error }
}

fn check_members(new: &Map<String, Value>) -> Result<(), SetError> {
    for (name, shape) in OTHERS {
        if let Some(value) = new.get(name) {
            shape.check(value).map_err(|why| SetError::property(name, format!("{name} is {why}")))?;
        }
    }
    let kinds = ["individual", "group", "org", "location", "device", "application"];
    if let Some(Value::String(kind)) = new.get("kind")
        && !kinds.contains(&kind.as_str())
        && !is_vendor(kind)
    {
        return Err(SetError::property("kind", format!("{kind:?} is no kind of card")));
    }
    // RFC 9553 section 2.1.6: members are for groups.
    if new.contains_key("members") && new.get("kind") != Some(&json!("group")) {
        return Err(SetError::property("members", "only a group has members"));
    }
    for (name, kind, needed) in MAPS {
        let Some(map) = new.get(name) else { continue };
        let Some(map) = map.as_object() else { return Err(SetError::property(name, format!("{name} is no map"))) };
        for (key, value) in map {
            // The keys of `relatedTo` are uids, all others are Ids.
            let is_right = value.is_object() && (name == "relatedTo" || is_id(key));
            if !is_right {
                return Err(SetError::property(name, format!("{name}/{key} is no Id with an object")));
            }
            if value.get("@type").is_some_and(|it| *it != kind) {
                return Err(SetError::property(name, format!("the @type of {name}/{key} is not {kind}")));
            }
            let has_bytes = name == "media" && value["blobId"].is_string();
            if !needed.is_empty() && !value[needed].is_string() && !has_bytes {
                return Err(SetError::property(name, format!("{name}/{key} has no {needed}")));
            }
        }
    }
    Ok(())
}

/// Media have an uri or a blob; a photo is an image: "The server MUST reject attempts to set a file that is not a
/// recognised image type as the photo for a card."
fn check_media(call: &Call, new: &Map<String, Value>) -> Result<(), SetError> {
    for (key, media) in new.get("media").and_then(Value::as_object).into_iter().flatten() {
        match (media["uri"].as_str(), media["blobId"].as_str()) {
            (Some(_), None) => {}
            (None, Some(blob)) => {
                let bytes = call.blob(blob)?;
                let is_image = [&b"\x89PNG\r\n\x1a\n"[..], b"\xff\xd8\xff", b"GIF8", b"RIFF", b"<svg", b"BM"]
                    .iter()
                    .any(|magic| bytes.starts_with(magic));
                if media["kind"] == "photo" && !is_image {
                    return Err(SetError::property("media", format!("media/{key} is no image")));
                }
            }
            _ => return Err(SetError::property("media", format!("media/{key} has not one of uri and blobId"))),
        }
    }
    Ok(())
}
