//! The versions of files: the snapshot that changed a file last.

use super::collection::CollectionItem;
use super::kinds::NodeKind;
use super::node::Node;
use super::rules::{Shown, Times};
use super::view::{FileKind, View};
use crate::error::Result;
use crate::model::{Id, ObjectType};

/// The snapshot that last changed a file of a fixed name, or one that is made of many objects. 0 if it is unknown, and
/// for directories, which have no versions.
pub(super) fn version(view: &View, kind: NodeKind, row: Id) -> Result<i64> {
    let of = kind.descriptor();
    match (of.times, of.object) {
        _ if kind.is_directory() => Ok(0),
        (Times::Types, _) => view.version(of.types),
        (Times::Collection, Shown::PartOf(collection)) => {
            Ok(view.collections(collection)?.get(row).map_or(0, |one| one.data.first))
        }
        _ => Ok(0),
    }
}

/// True if the view has this file in just this state, so that it can answer for it.
pub(super) fn holds(view: &View, node: Node) -> Result<bool> {
    let first = match node.descriptor().object {
        Shown::Object(item) if is_item(item) => find_item(view, item, node.row, |item| item.first)?,
        Shown::Object(ObjectType::FileNode) => view
            .files()?
            .get(node.row)
            .filter(|file| !matches!(file.data.kind, FileKind::Directory))
            .map(|file| file.data.first),
        _ => Some(version(view, node.kind, node.row)?).filter(|version| *version > 0),
    };
    Ok(first == Some(node.snapshot))
}

/// True for objects that are items of a flat collection.
pub(super) fn is_item(object: ObjectType) -> bool {
    matches!(object, ObjectType::CalendarEvent | ObjectType::ContactCard | ObjectType::SieveScript)
}

/// Reads an item by its type and row alone.
pub(super) fn find_item<T>(
    view: &View,
    object: ObjectType,
    row: Id,
    read: impl FnOnce(&CollectionItem) -> T,
) -> Result<Option<T>> {
    if object == ObjectType::SieveScript {
        return Ok(view.scripts()?.get(row).map(read));
    }
    for collection in view.collections(object.container())?.children(None) {
        if let Some(item) = view.items(object, *collection)?.get(row) {
            return Ok(Some(read(item)));
        }
    }
    Ok(None)
}
