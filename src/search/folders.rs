//! The names of folders, calendars, address books and directories, in all of their states.

use crate::archive::{Reader, Record};
use crate::error::{Error, ErrorKind, Result};
use crate::model::text::nearest;
use crate::model::{Id, ObjectType};
use std::collections::{BTreeSet, HashMap};

/// A folder that was renamed, below others that were, has many names. No more than so many are looked at.
const NAMES_MAX: usize = 16;

/// How deep folders lie in each other at most.
const DEPTH_MAX: usize = 64;

/// The containers of a type, with every name that they ever had.
pub struct Folders {
    kind: ObjectType,
    /// The paths of each container, the present one last.
    paths: HashMap<Id, Vec<String>>,
}

/// The own names of containers, each with the container above.
type Names = HashMap<Id, Vec<(String, Option<Id>)>>;

impl Folders {
    /// Reads the containers of a type.
    pub fn of(reader: &Reader, kind: ObjectType) -> Result<Folders> {
        let mut names = Names::new();
        reader.each_state(kind, |state| {
            let name = (state.record.name().to_owned(), parent(&state.record));
            let known = names.entry(state.record.id).or_default();
            if !known.contains(&name) {
                known.push(name);
            }
        })?;
        let mut paths = HashMap::new();
        for id in names.keys() {
            add_paths(&names, *id, 0, &mut paths);
        }
        Ok(Folders { kind, paths })
    }

    /// The containers that an object lies in.
    pub fn holders(record: &Record) -> Vec<Id> {
        match record.kind {
            ObjectType::Email => record.mailbox_ids(),
            ObjectType::CalendarEvent => record.calendar_event().calendars,
            ObjectType::ContactCard => record.contact_card().address_books,
            ObjectType::FileNode => record.file_node().parent.into_iter().collect(),
            _ => Vec::new(),
        }
    }

    /// The paths of a container with `/` between names, the present one last.
    pub fn paths(&self, id: Id) -> &[String] {
        self.paths.get(&id).map_or(&[], Vec::as_slice)
    }

    /// The containers that are, or were, called so: a name, or names with slashes, anywhere in the path.
    fn called(&self, pattern: &[String]) -> BTreeSet<Id> {
        self.paths
            .iter()
            .filter(|(_, paths)| paths.iter().any(|path| is_below(path, pattern)))
            .map(|(id, _)| *id)
            .collect()
    }
}

/// Which containers a term `folder:` means, for each type of container.
pub(super) fn named(all: &[Folders], text: &str) -> Result<HashMap<ObjectType, BTreeSet<Id>>> {
    let pattern: Vec<String> = text.trim_matches('/').split('/').map(str::to_lowercase).collect();
    let found: HashMap<ObjectType, BTreeSet<Id>> =
        all.iter().map(|folders| (folders.kind, folders.called(&pattern))).collect();
    if found.values().all(BTreeSet::is_empty) {
        let names = all.iter().flat_map(|folders| folders.paths.values().flatten());
        let lower: HashMap<String, &String> = names.map(|name| (name.to_lowercase(), name)).collect();
        let meant = nearest(&text.to_lowercase(), lower.keys().map(String::as_str)).and_then(|name| lower.get(name));
        let error = Error::new(ErrorKind::NotFound, format!("no folder is or was called \"{text}\""));
        return Err(match meant {
            Some(meant) => error.hint(format!("did you mean folder:\"{meant}\"?")),
            None => error.hint("'vandelay inspect ARCHIVE mailbox' lists the folders"),
        });
    }
    Ok(found)
}

/// Adds the paths of a container. One that lies in itself is taken for one at the top.
fn add_paths(names: &Names, id: Id, depth: usize, paths: &mut HashMap<Id, Vec<String>>) {
    if paths.contains_key(&id) {
        return;
    }
    paths.insert(id, Vec::new());
    let mut own = Vec::new();
    for (name, parent) in names.get(&id).into_iter().flatten() {
        let above = parent.filter(|parent| depth < DEPTH_MAX && names.contains_key(parent));
        if let Some(above) = above {
            add_paths(names, above, depth + 1, paths);
        }
        match above.and_then(|above| paths.get(&above)).filter(|above| !above.is_empty()) {
            Some(above) => own.extend(above.iter().map(|above| format!("{above}/{name}"))),
            None => own.push(name.clone()),
        }
    }
    let spare = own.len().saturating_sub(NAMES_MAX);
    paths.insert(id, own.split_off(spare));
}

/// True if the names of a pattern stand in a row in a path; the last one may end with `*`.
fn is_below(path: &str, pattern: &[String]) -> bool {
    let path: Vec<String> = path.split('/').map(str::to_lowercase).collect();
    path.windows(pattern.len()).any(|window| {
        window.iter().zip(pattern).all(|(name, wanted)| match wanted.strip_suffix('*') {
            Some(start) => name.starts_with(start),
            None => name == wanted,
        })
    })
}

fn parent(record: &Record) -> Option<Id> {
    match record.kind {
        ObjectType::Mailbox => record.mailbox().parent,
        ObjectType::FileNode => record.file_node().parent,
        _ => None,
    }
}
