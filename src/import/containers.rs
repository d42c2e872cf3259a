//! Mailboxes, calendars, address books and directories: made before what lies in them, removed after it.

use super::report::Report;
use crate::archive::value::{NULL, Value, int, opt_text, text};
use crate::archive::{Known, OriginIndex, Writer, container_rev};
use crate::error::Result;
use crate::model::{Container, Details, Id, ObjectType, SourceIdent};
use crate::source::DuplicateRule;
use std::collections::{HashMap, HashSet};

/// The key of the scope in which the containers of a type are known.
const ALL: &str = "";

/// Which row each container of a source is, by type and key.
pub type Ids = HashMap<(ObjectType, String), Id>;

/// Stores the containers, parents first, and gives their rows. With [`DuplicateRule::SameBytes`] one that another source of the
/// type has under the same name is that one.
pub fn store(writer: &mut Writer, containers: &[Container], join: DuplicateRule, report: &mut Report) -> Result<Ids> {
    let mut ids = Ids::new();
    for container in containers {
        give_up(writer, container)?;
    }
    for container in containers {
        let identity = (container.kind, container.key.clone());
        if ids.contains_key(&identity) {
            continue;
        }
        let parent = container.parent.as_ref().and_then(|parent| ids.get(&(container.kind, parent.clone())).copied());
        let id = store_one(writer, container, parent, join, report)?;
        ids.insert(identity, id);
    }
    Ok(ids)
}

/// Counts what [`store`] would do, as far as the source is known: a row of that name that 1.x or another source brought counts
/// as new.
pub fn plan(
    ledger: &dyn OriginIndex,
    ident: &SourceIdent,
    containers: &[Container],
    report: &mut Report,
) -> Result<()> {
    let mut known: HashMap<(ObjectType, String), String> = HashMap::new();
    for scope in ledger.known_scopes(ident)? {
        let Some(kind) = ObjectType::from_token(&scope.kind).filter(|_| scope.key == ALL) else { continue };
        ledger.each_known(scope.row, &mut |item| {
            known.insert((kind, item.key.to_owned()), item.rev.to_owned());
        })?;
    }
    let mut seen: HashSet<(ObjectType, &str)> = HashSet::new();
    for container in containers.iter().filter(|container| seen.insert((container.kind, &container.key))) {
        let account = report.of(container.kind);
        account.found += 1;
        match known.get(&(container.kind, container.key.clone())) {
            Some(before) if *before == container_rev(container) => account.stored.unchanged += 1,
            Some(_) => account.stored.changed += 1,
            None => account.stored.new += 1,
        }
    }
    Ok(())
}

/// A role or a default that a known container does not have any more is taken from it before another one gets it.
fn give_up(writer: &mut Writer, container: &Container) -> Result<()> {
    if container.details.is_none() {
        return Ok(());
    }
    let Some(scope) = writer.existing_scope(container.kind, ALL)? else { return Ok(()) };
    let Some((id, known)) =
        writer.known(scope, &container.key)?.filter(|(_, known)| *known != container_rev(container))
    else {
        return Ok(());
    };
    let known: serde_json::Value = serde_json::from_str(&known).unwrap_or_default();
    let role = known.get("role").or_else(|| known.get(2)).and_then(|role| role.as_str());
    if container.kind == ObjectType::Mailbox && role.is_some() && role != container.role.as_deref() {
        writer.update(container.kind, id, &[("role", NULL)], None)?;
    }
    let has_default = matches!(container.kind, ObjectType::Calendar | ObjectType::AddressBook);
    if has_default && !container.details.as_ref().is_some_and(|details| details.is_default) {
        writer.update(container.kind, id, &[("is_default", int(0))], None)?;
    }
    Ok(())
}

/// The name under which a container or a file can be stored. One of the same source that has it still is on its way to
/// another name, or gone; of two sources, the second one's gets a mark.
pub(super) fn free_name(
    writer: &mut Writer,
    kind: ObjectType,
    parent: Option<Id>,
    name: &str,
    own: Option<Id>,
) -> Result<String> {
    let Some(other) = writer.name_taken(kind, parent, name, own)? else { return Ok(name.to_owned()) };
    if writer.source_knows(kind, other)? {
        writer.update(kind, other, &[("name", text(format!("{name}~{other}")))], None)?;
        return Ok(name.to_owned());
    }
    // However often the name is asked for: the same mark each time.
    let mark = crate::model::Digest::of(format!("{parent:?}/{name}").as_bytes()).hex();
    Ok(format!("{name}~{}", &mark[..8]))
}

fn store_one(
    writer: &mut Writer,
    container: &Container,
    parent: Option<Id>,
    join: DuplicateRule,
    report: &mut Report,
) -> Result<Id> {
    let scope = writer.scope(container.kind, ALL)?;
    let rev = container_rev(container);
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
        None => row_of_other(writer, container, parent, join)?,
    };
    let role = match &container.role {
        Some(role) if container.kind == ObjectType::Mailbox && writer.role_is_free(role, existing)? => {
            Some(role.clone())
        }
        _ => None,
    };
    let name = match (&container.details, container.kind) {
        (Some(_), ObjectType::Mailbox | ObjectType::FileNode) => {
            free_name(writer, container.kind, parent, &container.name, existing)?
        }
        _ => container.name.clone(),
    };
    let mut fields = vec![("name", text(name)), ("is_subscribed", int(i64::from(container.is_subscribed)))];
    match container.kind {
        ObjectType::Mailbox => {
            fields.extend([("parent_id", parent.map_or(NULL, int)), ("role", opt_text(role.as_deref()))])
        }
        ObjectType::Calendar => fields.extend([
            ("color", opt_text(container.color.as_deref())),
            ("description", opt_text(container.description.as_deref())),
        ]),
        ObjectType::AddressBook => fields.push(("description", opt_text(container.description.as_deref()))),
        _ => fields.extend([("parent_id", parent.map_or(NULL, int)), ("node_type", text("directory"))]),
    }
    if let Some(details) = &container.details {
        add_details(writer, container, details, existing, &mut fields)?;
        // What was not told is unknown: the row keeps what it has.
        fields.retain(|(column, _)| !details.untold.iter().any(|name| column_of(name) == *column));
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
            if container.kind == ObjectType::FileNode && !fields.iter().any(|(name, _)| *name == "created") {
                fields.push(("created", text(crate::archive::now())));
            }
            account.stored.new += 1;
            writer.insert(container.kind, &fields, None)?
        }
    };
    writer.link(scope, &Known { key: &container.key, rev: &rev, keywords: "[]", parents: "[]", local_id: id })?;
    Ok(id)
}

/// The row that a container is already, though this source did not know it: from 1.x, or from another source.
fn row_of_other(writer: &Writer, container: &Container, parent: Option<Id>, join: DuplicateRule) -> Result<Option<Id>> {
    let of_1x = match container.details {
        Some(_) => writer.jmap_row_of_1x(container.kind, &container.key)?,
        None => None,
    };
    let named = match of_1x {
        Some(id) => Some(id),
        None => writer.find_container(container.kind, parent, &container.name)?,
    };
    match named {
        // It may be another one of this source, which has another name by now.
        Some(id) if container.details.is_some() && writer.source_knows(container.kind, id)? => Ok(None),
        None if join == DuplicateRule::SameBytes
            && matches!(container.kind, ObjectType::Calendar | ObjectType::AddressBook) =>
        {
            writer.kin_container(container.kind, &container.name)
        }
        named => Ok(named),
    }
}

/// Columns that only JMAP fills.
fn add_details(
    writer: &Writer,
    container: &Container,
    details: &Details,
    existing: Option<Id>,
    fields: &mut Vec<(&'static str, Value)>,
) -> Result<()> {
    if container.kind != ObjectType::FileNode {
        fields.push(("sort_order", int(details.sort_order)));
    }
    if matches!(container.kind, ObjectType::Calendar | ObjectType::AddressBook) {
        let is_default = details.is_default && !writer.has_other_default(container.kind, existing)?;
        fields.push(("is_default", int(i64::from(is_default))));
    }
    match container.kind {
        ObjectType::Calendar => fields.extend([
            ("is_visible", int(i64::from(details.is_visible))),
            ("include_in_availability", text(&details.availability)),
            ("default_alerts_with_time", opt_text(details.alerts_with_time.as_deref())),
            ("default_alerts_without_time", opt_text(details.alerts_without_time.as_deref())),
            ("time_zone", opt_text(details.time_zone.as_deref())),
        ]),
        ObjectType::FileNode => {
            fields.push(("role", opt_text(container.role.as_deref())));
            fields.push(("modified", opt_text(details.modified.as_deref())));
            fields.extend(details.created.as_deref().map(|created| ("created", text(created))));
        }
        _ => {}
    }
    Ok(())
}

/// Removes containers that the source does not name any more and in which nothing lies. `hidden` are keys that a
/// filter kept the source from naming; types that it did not look at are left alone.
pub fn remove_gone(
    writer: &mut Writer,
    named: &Ids,
    hidden: &HashSet<String>,
    is_looked_at: &dyn Fn(ObjectType) -> bool,
) -> Result<()> {
    for kind in ObjectType::CONTAINERS {
        if !is_looked_at(kind) {
            continue;
        }
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
        for (key, _) in &gone {
            writer.unlink(scope, key)?;
        }
        // Children before their parents; where keys are paths they are longer.
        gone.sort_by_key(|(key, _)| std::cmp::Reverse(key.len()));
        loop {
            let before = gone.len();
            let mut left = Vec::new();
            for (key, id) in gone {
                match writer.container_is_free(kind, id)? {
                    true => writer.remove(kind, id)?,
                    false => left.push((key, id)),
                }
            }
            gone = left;
            if gone.is_empty() || gone.len() == before {
                break;
            }
        }
    }
    Ok(())
}

/// The column of a property of a container.
fn column_of(property: &str) -> &str {
    match property {
        "sortOrder" => "sort_order",
        "isSubscribed" => "is_subscribed",
        "isVisible" => "is_visible",
        "isDefault" => "is_default",
        "includeInAvailability" => "include_in_availability",
        "defaultAlertsWithTime" => "default_alerts_with_time",
        "defaultAlertsWithoutTime" => "default_alerts_without_time",
        "timeZone" => "time_zone",
        same => same,
    }
}
