//! Rules of FileNode: draft-ietf-jmap-filenode-13.

use super::call::{Call, MethodError, SetError};
use super::contacts::share_with;
use super::mailboxes::parent;
use super::options::FILENODE;
use super::schema::Kind;
use super::session::account_capability;
use super::set::Done;
use super::shape::is_net_unicode;
use super::store::now;
use serde_json::{Map, Value, json};

pub(super) const RIGHTS: [&str; 6] =
    ["mayRead", "mayAddChildren", "mayRename", "mayDelete", "mayModifyContent", "mayShare"];

/// The registry of FileNode roles.
const ROLES: [&str; 9] = ["root", "home", "temp", "trash", "documents", "downloads", "music", "pictures", "videos"];

/// What is content in the sense of `mayModifyContent`.
const CONTENT: [&str; 6] = ["blobId", "type", "target", "modified", "accessed", "executable"];

/// What to do where the name exists.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum OnExists {
    Refuse,
    Replace,
    Rename,
}

/// The argument `onExists`.
pub(super) fn on_exists(call: &Call) -> Result<OnExists, MethodError> {
    match call.arguments.get("onExists") {
        None | Some(Value::Null) => Ok(OnExists::Refuse),
        Some(Value::String(text)) if text == "replace" => Ok(OnExists::Replace),
        Some(Value::String(text)) if text == "rename" => Ok(OnExists::Rename),
        Some(other) => Err(MethodError::arguments(format!("onExists is {other}"))),
    }
}

/// Checks a node, and sets what the server sets.
pub(super) fn check(
    call: &mut Call,
    old: Option<&Value>,
    new: &mut Map<String, Value>,
    done: &mut Done,
) -> Result<(), SetError> {
    let capability = account_capability(&call.account.options, FILENODE);
    check_name(new, &capability)?;
    let id = new["id"].as_str().expect("an id").to_owned();
    let changed = |name: &str| old.is_none_or(|old| old[name] != new.get(name).cloned().unwrap_or(Value::Null));
    if changed("parentId") && new["parentId"].is_null() && capability["mayCreateTopLevelFileNode"] == Value::Bool(false)
    {
        return Err(SetError::new("forbidden", "mayCreateTopLevelFileNode is false"));
    }
    parent(call, old, new, &capability["maxFileNodeDepth"])?;
    if changed("parentId")
        && let Some(parent) = new["parentId"].as_str()
    {
        let is_directory = call.account.get(Kind::FileNode, parent).is_some_and(|node| node["nodeType"] == "directory");
        if !is_directory {
            return Err(SetError::property("parentId", format!("{parent} is no directory")));
        }
        call.may(Kind::FileNode, parent, "mayAddChildren")?;
    }
    if old.is_some() && (changed("name") || changed("parentId")) {
        call.may(Kind::FileNode, &id, "mayRename")?;
    }
    if old.is_some() && CONTENT.into_iter().any(changed) {
        call.may(Kind::FileNode, &id, "mayModifyContent")?;
    }
    let has_new_blob = changed("blobId");
    check_type(call, new, has_new_blob, old)?;
    share_with(call, old, new, &RIGHTS)?;
    check_role(new)?;
    collide(call, new, done)?;
    // "If the client sets `modified` to null, the server MUST set it to the current server time."
    let now = now(call.options);
    for name in ["modified", "accessed"] {
        if new.get(name).is_none_or(Value::is_null) {
            new.insert(name.to_owned(), json!(now));
        }
    }
    if old.is_none_or(|old| *old != json!(new)) {
        new.insert("changed".to_owned(), json!(now));
    }
    Ok(())
}

fn check_name(new: &Map<String, Value>, capability: &Value) -> Result<(), SetError> {
    let name = new["name"].as_str().expect("it was checked");
    let wrong = |why: String| Err(SetError::property("name", format!("{name:?} {why}")));
    if !is_net_unicode(name) {
        return wrong("is no Net-Unicode string of at least 1 character".to_owned());
    }
    if name.len() as u64 > capability["maxSizeFileNodeName"].as_u64().unwrap_or(u64::MAX) {
        return wrong(format!("has {} octets: more than maxSizeFileNodeName", name.len()));
    }
    let forbidden = capability["forbiddenNameChars"].as_str().unwrap_or_default();
    if let Some(letter) = name.chars().find(|letter| forbidden.contains(*letter)) {
        return wrong(format!("has {letter:?}, which forbiddenNameChars has"));
    }
    let names = capability["forbiddenNodeNames"].as_array();
    let is_forbidden =
        names.into_iter().flatten().filter_map(Value::as_str).any(|known| known.to_lowercase() == name.to_lowercase());
    if is_forbidden { wrong("is in forbiddenNodeNames".to_owned()) } else { Ok(()) }
}

/// `nodeType`, `blobId`, `target`, `size` and `type` have to fit together.
fn check_type(
    call: &mut Call,
    new: &mut Map<String, Value>,
    has_new_blob: bool,
    old: Option<&Value>,
) -> Result<(), SetError> {
    let is_null = |new: &Map<String, Value>, name: &str| new.get(name).is_none_or(Value::is_null);
    if new.get("nodeType").is_none() {
        // "the server infers the type".
        let inferred = match (is_null(new, "blobId"), is_null(new, "target")) {
            (false, _) => "file",
            (true, false) => "symlink",
            (true, true) => "directory",
        };
        new.insert("nodeType".to_owned(), inferred.into());
    }
    let kind = new["nodeType"].as_str().unwrap_or_default().to_owned();
    if !["file", "directory", "symlink"].contains(&kind.as_str()) {
        return Err(SetError::property("nodeType", format!("{kind:?} is no type of node")));
    }
    for (name, owner) in [("blobId", "file"), ("type", "file"), ("target", "symlink")] {
        if is_null(new, name) == (kind == owner) {
            return Err(SetError::property(
                name,
                format!("a {kind} has {name}: {}", new.get(name).unwrap_or(&Value::Null)),
            ));
        }
    }
    if kind != "file" {
        if !is_null(new, "size") {
            return Err(SetError::property("size", format!("a {kind} has no size")));
        }
        new.insert("size".to_owned(), Value::Null);
        if kind == "symlink" && new["target"] == json!([]) {
            return Err(SetError::property("target", "it has no elements"));
        }
        return Ok(());
    }
    if !is_media_type(new["type"].as_str().unwrap_or_default()) {
        return Err(SetError::property("type", format!("{} is no media type", new["type"])));
    }
    let blob = new["blobId"].as_str().expect("it is not null").to_owned();
    let size = call.blob(&blob)?.len();
    // "Size is optional on create and update, but if provided it MUST match the size of the provided blobId."
    let is_stale = old.is_some_and(|old| old["size"] == new["size"]) && has_new_blob;
    if !is_null(new, "size") && new["size"] != json!(size) && !is_stale {
        return Err(SetError::property("size", format!("the blob has {size} bytes")));
    }
    new.insert("size".to_owned(), json!(size));
    if has_new_blob {
        let id = call.adopt(&blob)?;
        new.insert("blobId".to_owned(), json!(id));
    }
    Ok(())
}

/// The ABNF of RFC 6838 section 4.2.
pub(super) fn is_media_type(text: &str) -> bool {
    let is_name = |name: &str| {
        (1..=127).contains(&name.len())
            && name.as_bytes()[0].is_ascii_alphanumeric()
            && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"!#$&-^_.+".contains(&byte))
    };
    text.split_once('/').is_some_and(|(kind, sub)| is_name(kind) && is_name(sub))
}

fn check_role(new: &Map<String, Value>) -> Result<(), SetError> {
    let Some(role) = new["role"].as_str() else { return Ok(()) };
    if !ROLES.contains(&role) {
        return Err(SetError::property("role", format!("{role:?} is no role of the registry")));
    }
    // "The role MUST be null for files. A node with the "root" role should have a null parentId."
    let is_right = new["nodeType"] == "directory" && (role != "root" || new["parentId"].is_null());
    if is_right { Ok(()) } else { Err(SetError::property("role", format!("{role:?} does not fit the node"))) }
}

/// "There MUST NOT be two sibling FileNodes with both the same parent and the same name."
fn collide(call: &mut Call, new: &mut Map<String, Value>, done: &mut Done) -> Result<(), SetError> {
    let id = new["id"].as_str().expect("an id").to_owned();
    let Some(other) = sibling(call, &id, new, new["name"].as_str().expect("a name")) else { return Ok(()) };
    // What the same call destroys is in nobody's way in the end; whoever waits comes behind it.
    let is_doomed = done.doomed.contains(&other) && !done.destroyed.contains(&other);
    match on_exists(call).unwrap_or(OnExists::Refuse) {
        OnExists::Replace if !is_doomed => {
            let gone = destroy(call, &other)?;
            done.destroyed.extend(gone);
            Ok(())
        }
        OnExists::Rename if !is_doomed => {
            let name = new["name"].as_str().expect("a name").to_owned();
            let free =
                (2..).map(|number| format!("{name} ({number})")).find(|name| sibling(call, &id, new, name).is_none());
            new.insert("name".to_owned(), free.into());
            Ok(())
        }
        _ => {
            Err(SetError::conflict("alreadyExists", "name", format!("{other} has this name")).with("existingId", other))
        }
    }
}

fn sibling(call: &Call, id: &str, new: &Map<String, Value>, name: &str) -> Option<String> {
    let capability = account_capability(&call.account.options, FILENODE);
    let is_loose = capability["caseInsensitiveNames"] == Value::Bool(true)
        || call.arguments.get("compareCaseInsensitively") == Some(&Value::Bool(true));
    let same = |one: &str| if is_loose { one.to_lowercase() == name.to_lowercase() } else { one == name };
    let rows = &call.account.table(Kind::FileNode).rows;
    let found = rows.iter().find(|(other, row)| {
        *other != id
            && !call.ignored.contains(*other)
            && row["parentId"] == new["parentId"]
            && row["name"].as_str().is_some_and(same)
    });
    found.map(|(other, _)| other.clone())
}

/// Destroys a node, if it may be, with its children if that is wanted: "the server MUST include the ids of all deleted
/// nodes in the method response".
pub(super) fn destroy(call: &mut Call, id: &str) -> Result<Vec<String>, SetError> {
    call.may(Kind::FileNode, id, "mayDelete")?;
    let children: Vec<String> = call
        .account
        .table(Kind::FileNode)
        .rows
        .iter()
        .filter(|(_, row)| row["parentId"] == json!(id))
        .map(|(child, _)| child.clone())
        .collect();
    if !children.is_empty() && call.arguments.get("onDestroyRemoveChildren") != Some(&Value::Bool(true)) {
        let error = SetError::new("nodeHasChildren", format!("it has {} children", children.len()));
        return Err(SetError { is_deferrable: true, ..error });
    }
    let mut gone = Vec::new();
    for child in children {
        gone.extend(destroy(call, &child)?);
    }
    call.account.remove(Kind::FileNode, id);
    gone.push(id.to_owned());
    Ok(gone)
}
