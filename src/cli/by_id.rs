//! Objects by the short ids that lists show: where each is in the tree, at the newest snapshot that has it.

use super::opened::tree_at;
use crate::archive::{Moment, Reader, SnapshotSpec, State, rfc3339};
use crate::error::{Error, ErrorKind, Result};
use crate::format::text;
use crate::model::object_id::ObjectId;
use crate::tree::{Tree, name};
use std::path::Path;
use std::sync::Arc;

/// How much of a message is read for its name.
const HEAD: u64 = 64 << 10;

/// So many characters of a subject stand in a name.
const SUBJECT_MAX: usize = 80;

const EML: &str = ".eml";

/// An object in a tree.
pub(super) struct Located {
    pub(super) tree: Tree,
    pub(super) path: String,
}

/// The id that a word is, where it is no path of the tree.
pub(super) fn as_id(tree: &Tree, word: &str) -> Option<ObjectId> {
    let is_lettered = word.starts_with(|c: char| c.is_ascii_alphabetic());
    word.parse().ok().filter(|_| is_lettered && tree.resolve(word).is_err())
}

/// The tree that shows an object, and its path there.
///
/// Errors: [`ErrorKind::NotFound`] if the archive has no such object, or not at the snapshot that the user named.
pub(super) fn locate(reader: &Arc<Reader>, id: ObjectId, at: SnapshotSpec) -> Result<Located> {
    let moment = moment_of(reader, &[id], at)?;
    let tree = tree_at(reader, moment)?;
    let path = tree.paths_of(id.kind, id.id).map(|paths| paths.into_iter().next());
    let path = path.or_else(|error| if error.kind == ErrorKind::NotFound { Ok(None) } else { Err(error) })?;
    let path = path.ok_or_else(|| {
        Error::new(ErrorKind::NotFound, format!("{id} has no path in the tree")).hint("vandelay inspect shows its row")
    })?;
    Ok(Located { tree, path })
}

/// The newest moment that has all of these objects, or the one that the user named.
pub(super) fn moment_of(reader: &Reader, ids: &[ObjectId], at: SnapshotSpec) -> Result<Moment> {
    let mut states: Vec<(ObjectId, Vec<State>)> = Vec::new();
    for id in ids {
        let own = reader.states(id.kind, id.id)?;
        if own.is_empty() {
            let what = format!("archive {} has no object {id}", reader.path().display());
            return Err(Error::new(ErrorKind::NotFound, what).hint("'vandelay find' shows the ids"));
        }
        states.push((*id, own));
    }
    let latest = reader.resolve(at)?;
    let Moment::Snapshot(named) = latest else { return Ok(latest) };
    let has = |snapshot: i64| states.iter().all(|(_, own)| own.iter().any(|state| state.is_at(snapshot)));
    if has(named) {
        return Ok(latest);
    }
    let ended = reader.snapshots()?.into_iter().rev().filter(|snapshot| snapshot.ended.is_some());
    let newest = ended.map(|snapshot| snapshot.id).find(|snapshot| has(*snapshot));
    match newest {
        Some(newest) if at == SnapshotSpec::Latest => Ok(Moment::Snapshot(newest)),
        Some(newest) => {
            let list: Vec<String> = ids.iter().map(ObjectId::to_string).collect();
            Err(Error::new(ErrorKind::NotFound, format!("snapshot {named} has no {}", list.join(", ")))
                .hint(format!("the newest one that has it is {newest}; without --at that one is taken")))
        }
        None => Err(Error::new(ErrorKind::NotFound, "no snapshot has all of these objects at the same time")
            .hint("name them one by one")),
    }
}

/// A name for a message that mail programs open: its day and its subject.
pub(super) fn message_name(tree: &Tree, id: ObjectId) -> Result<String> {
    let subject = text::subject(&tree.reader().email_head(id.id, HEAD)?);
    let day = tree.reader().arrival(id.id)?.map(rfc3339).unwrap_or_default();
    let subject: String = subject.chars().take(SUBJECT_MAX).collect();
    let subject = if subject.trim().is_empty() { "(no subject)" } else { subject.trim() };
    Ok(name::safe(&format!("{} {id} {subject}", day.get(..10).unwrap_or_default()), EML))
}

/// True for a Maildir, and for the part of one that holds messages.
pub(super) fn is_maildir(into: &Path) -> bool {
    let has_parts = |folder: &Path| ["cur", "new", "tmp"].iter().all(|part| folder.join(part).is_dir());
    let is_part = into.file_name().is_some_and(|name| name == "cur" || name == "new");
    has_parts(into) || is_part && into.parent().is_some_and(has_parts)
}
