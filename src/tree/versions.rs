//! Since which snapshot what a node shows is as it is.

use super::collection::Item;
use super::node::{Node, What};
use super::view::{FileKind, View};
use crate::error::Result;
use crate::model::{Id, ObjectType};

/// What a file that is the only one of its kind in its place is made of: these types, or one row of one type.
pub(crate) fn version(view: &View, what: What, row: Id) -> Result<i64> {
    match what {
        What::Identities => view.version(&IDENTITIES),
        What::MergedCalendar => view.version(&CALENDARS),
        What::MergedBook => view.version(&CONTACTS),
        What::ActiveScript => view.version(&[ObjectType::SieveScript]),
        What::Subscriptions => view.version(&[ObjectType::Mailbox]),
        What::CalendarName | What::CalendarColor => {
            Ok(view.collections(ObjectType::Calendar)?.get(row).map_or(0, |place| place.data.first))
        }
        What::AddressBookName => {
            Ok(view.collections(ObjectType::AddressBook)?.get(row).map_or(0, |place| place.data.first))
        }
        _ => Ok(0),
    }
}

/// True if the view has this file in just this state, so that it can answer for it.
pub(super) fn holds(view: &View, node: Node) -> Result<bool> {
    let first = match node.what {
        What::Event | What::Card => {
            let kind = if node.what == What::Event { ObjectType::Calendar } else { ObjectType::AddressBook };
            find_item(view, kind, node.row)?.map(|item| item.first)
        }
        What::Script => view.scripts()?.get(node.row).map(|script| script.first),
        What::FileNode => view
            .files()?
            .get(node.row)
            .filter(|place| !matches!(place.data.kind, FileKind::Directory))
            .map(|place| place.data.first),
        _ => Some(version(view, node.what, node.row)?).filter(|version| *version > 0),
    };
    Ok(first == Some(node.snapshot))
}

/// An item by its row alone.
pub(crate) fn find_item(view: &View, kind: ObjectType, row: Id) -> Result<Option<Item>> {
    for collection in view.collections(kind)?.children(None) {
        if let Some(item) = view.shelf(kind, *collection)?.get(row) {
            return Ok(Some(item.clone()));
        }
    }
    Ok(None)
}

pub(crate) fn collection_kind(what: What) -> ObjectType {
    if what == What::Calendar { ObjectType::Calendar } else { ObjectType::AddressBook }
}

/// The types that each directory of the root and each file of one kind is made of.
pub(crate) const CALENDARS: [ObjectType; 2] = [ObjectType::Calendar, ObjectType::CalendarEvent];

pub(crate) const CONTACTS: [ObjectType; 2] = [ObjectType::AddressBook, ObjectType::ContactCard];

const IDENTITIES: [ObjectType; 2] = [ObjectType::Identity, ObjectType::ParticipantIdentity];
