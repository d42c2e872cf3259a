//! Mailboxes, calendars, address books and directories: made before what lies in them, removed after it.

use super::report::Report;
use crate::archive::{Membership, OriginIndex, Writer, Written, container_rev};
use crate::error::Result;
use crate::model::container::{Container, Details};
use crate::model::objects::{AddressBook, Calendar, FileNode, Mailbox, NodeType, Properties};
use crate::model::{Digest, Id, ObjectType, SourceIdent};
use crate::source::DuplicateRule;
use std::collections::{HashMap, HashSet};

/// The key of the scope in which the containers of a type are known.
const ALL: &str = "";

/// Which row each container of a source is, by type and key.
pub(crate) type Ids = HashMap<(ObjectType, String), Id>;

/// Stores the containers, parents first, and gives their rows. With [`DuplicateRule::SameBytes`] one that another source of the
/// type has under the same name is that one.
pub(crate) fn store(
    writer: &mut Writer,
    containers: &[Container],
    join: DuplicateRule,
    report: &mut Report,
) -> Result<Ids> {
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
pub(crate) fn plan(
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
        writer.clear_role(id)?;
    }
    let has_default = matches!(container.kind, ObjectType::Calendar | ObjectType::AddressBook);
    if has_default && !container.details.as_ref().is_some_and(|details| details.is_default) {
        writer.clear_default(container.kind, id)?;
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
        writer.rename(kind, other, &format!("{name}~{other}"))?;
        return Ok(name.to_owned());
    }
    // However often the name is asked for: the same mark each time.
    let mark = Digest::of(format!("{parent:?}/{name}").as_bytes()).hex();
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
    // A row of that name that this source does not know (from 1.x, from another source) becomes this container.
    let existing = match known {
        Some((id, _)) => Some(id),
        None => row_of_other(writer, container, parent, join)?,
    };
    let object = properties(writer, container, parent, existing)?;
    let (id, written) = writer.put(existing, &object, &untold(container), None)?;
    match written {
        Written::New => account.stored.new += 1,
        Written::Changed => account.stored.changed += 1,
        Written::Unchanged => account.stored.unchanged += 1,
    }
    writer.link(scope, &container.key, &rev, &Membership::none(), id)?;
    Ok(id)
}

/// JMAP's names of what a source did not tell of a container.
fn untold(container: &Container) -> Vec<&'static str> {
    let mut untold = container.untold();
    if container.kind == ObjectType::FileNode {
        untold.extend(["target", "type"]);
        if container.details.is_none() {
            untold.extend(["role", "modified"]);
        }
    }
    untold
}

/// A container as its row will be. Two mailboxes of one role, and two defaults, cannot be.
fn properties<'c>(
    writer: &mut Writer,
    container: &'c Container,
    parent: Option<Id>,
    existing: Option<Id>,
) -> Result<Properties<'c>> {
    let kind = container.kind;
    let text = |text: &'c Option<String>| text.as_deref().map(Into::into);
    let details = container.details.as_deref();
    let name = match kind {
        ObjectType::Mailbox | ObjectType::FileNode if details.is_some() => {
            free_name(writer, kind, parent, &container.name, existing)?
        }
        _ => container.name.clone(),
    }
    .into();
    let sort_order = details.map_or(0, |details| details.sort_order);
    let is_subscribed = container.is_subscribed;
    let is_default = matches!(kind, ObjectType::Calendar | ObjectType::AddressBook)
        && details.is_some_and(|details| details.is_default)
        && !writer.has_other_default(kind, existing)?;
    Ok(match kind {
        ObjectType::Mailbox => {
            let is_free = match &container.role {
                Some(role) => writer.role_is_free(role, existing)?,
                None => false,
            };
            let role = if is_free { text(&container.role) } else { None };
            Properties::Mailbox(Mailbox { name, parent, role, sort_order, is_subscribed })
        }
        ObjectType::AddressBook => {
            let description = text(&container.description);
            Properties::AddressBook(AddressBook { name, description, sort_order, is_default, is_subscribed })
        }
        ObjectType::Calendar => Properties::Calendar(Calendar {
            name,
            description: text(&container.description),
            color: text(&container.color),
            sort_order,
            is_subscribed,
            is_default,
            ..details.map(details_of_calendar).unwrap_or_default()
        }),
        _ => Properties::FileNode(FileNode {
            name,
            parent,
            node_type: NodeType::Directory,
            is_subscribed,
            role: text(&container.role),
            created: details.and_then(|details| text(&details.created)),
            modified: details.and_then(|details| text(&details.modified)),
            ..FileNode::default()
        }),
    })
}

/// What only JMAP tells of a calendar, without its order and without whether it is the default one.
fn details_of_calendar(details: &Details) -> Calendar<'_> {
    let text = |text| Option::<&String>::map(text, |text| text.as_str().into());
    Calendar {
        is_visible: details.is_visible,
        include_in_availability: details.availability.as_str().into(),
        default_alerts_with_time: text(details.alerts_with_time.as_ref()),
        default_alerts_without_time: text(details.alerts_without_time.as_ref()),
        time_zone: text(details.time_zone.as_ref()),
        ..Calendar::default()
    }
}

/// The row that a container is already, though this source did not know it: from 1.x, or from another source.
fn row_of_other(writer: &Writer, container: &Container, parent: Option<Id>, join: DuplicateRule) -> Result<Option<Id>> {
    let adoptable = match container.details {
        Some(_) => writer.adoptable_by_jmap_id(container.kind, &container.key)?,
        None => None,
    };
    let named = match adoptable {
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

/// Removes containers that the source does not name any more and in which nothing lies. `hidden` are keys that a
/// filter kept the source from naming; types that it did not look at are left alone.
pub(crate) fn remove_gone(
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
