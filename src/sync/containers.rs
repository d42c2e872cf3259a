//! Mailboxes, calendars, address books and directories: made before what lies in them, removed after it.

use super::report::Report;
use crate::archive::value::{NULL, int, opt_text, text};
use crate::archive::{Known, Ledger, Writer};
use crate::error::Result;
use crate::model::{Container, Id, Kind};
use std::collections::{HashMap, HashSet};

/// The key of the scope in which the containers of a type are known.
const ALL: &str = "";

/// Which row each container of a source is, by type and key.
pub type Ids = HashMap<(Kind, String), Id>;

/// Stores the containers, parents first, and gives their rows.
pub fn store(writer: &mut Writer, containers: &[Container], report: &mut Report) -> Result<Ids> {
    let mut ids = Ids::new();
    for container in containers {
        let identity = (container.kind, container.key.clone());
        if ids.contains_key(&identity) {
            continue;
        }
        let parent = container.parent.as_ref().and_then(|parent| ids.get(&(container.kind, parent.clone())).copied());
        let id = store_one(writer, container, parent, report)?;
        ids.insert(identity, id);
    }
    Ok(ids)
}

fn store_one(writer: &mut Writer, container: &Container, parent: Option<Id>, report: &mut Report) -> Result<Id> {
    let scope = writer.scope(container.kind, ALL)?;
    let rev = rev(container);
    let account = report.of(container.kind);
    account.found += 1;
    let known = writer.known(scope, &container.key)?;
    if let Some((id, known_rev)) = &known
        && *known_rev == rev
    {
        account.stored.unchanged += 1;
        return Ok(*id);
    }
    // A row of that name that nobody imported yet (from 1.x, from another source) becomes this container.
    let existing = match known {
        Some((id, _)) => Some(id),
        None => writer.find_container(container.kind, parent, &container.name)?,
    };
    let role = match &container.role {
        Some(role) if container.kind == Kind::Mailbox && writer.role_is_free(role, existing)? => Some(role.clone()),
        _ => None,
    };
    let mut fields = vec![("name", text(&container.name)), ("is_subscribed", int(i64::from(container.is_subscribed)))];
    match container.kind {
        Kind::Mailbox => fields.extend([("parent_id", parent.map_or(NULL, int)), ("role", opt_text(role.as_deref()))]),
        Kind::Calendar => fields.extend([
            ("color", opt_text(container.color.as_deref())),
            ("description", opt_text(container.description.as_deref())),
        ]),
        Kind::AddressBook => fields.push(("description", opt_text(container.description.as_deref()))),
        _ => fields.extend([("parent_id", parent.map_or(NULL, int)), ("node_type", text("directory"))]),
    }
    let id = match existing {
        Some(id) => {
            match writer.update(container.kind, id, &fields, None)? {
                true => account.stored.changed += 1,
                false => account.stored.unchanged += 1,
            }
            id
        }
        None => {
            if container.kind == Kind::FileNode {
                fields.push(("created", text(crate::archive::now())));
            }
            account.stored.new += 1;
            writer.insert(container.kind, &fields, None)?
        }
    };
    writer.link(scope, &Known { key: &container.key, rev: &rev, keywords: "[]", parents: "[]", local_id: id })?;
    Ok(id)
}

/// Removes containers that the source does not name any more and in which nothing lies. `hidden` are keys that a
/// filter kept the source from naming.
pub fn remove_gone(writer: &mut Writer, named: &Ids, hidden: &HashSet<String>) -> Result<()> {
    for kind in [Kind::Mailbox, Kind::Calendar, Kind::AddressBook, Kind::FileNode] {
        let Some(scope) = writer.existing_scope(kind, ALL)? else { continue };
        let mut gone: Vec<(String, Id)> = Vec::new();
        writer.each_known(scope, &mut |known| {
            let is_hidden = || {
                hidden.iter().any(|key| {
                    key == known.key || key.strip_prefix(known.key).is_some_and(|rest| rest.starts_with('/'))
                })
            };
            if !named.contains_key(&(kind, known.key.to_owned())) && !is_hidden() {
                gone.push((known.key.to_owned(), known.local_id));
            }
        })?;
        // Children have longer keys than their parents.
        gone.sort_by_key(|(key, _)| std::cmp::Reverse(key.len()));
        for (key, id) in gone {
            writer.unlink(scope, &key)?;
            if writer.container_is_free(kind, id)? {
                writer.remove(kind, id)?;
            }
        }
    }
    Ok(())
}

/// Text that changes when a container does.
fn rev(container: &Container) -> String {
    serde_json::json!([
        container.name,
        container.parent,
        container.role,
        container.is_subscribed,
        container.color,
        container.description
    ])
    .to_string()
}
