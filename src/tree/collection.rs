//! The items of a flat collection: events of a calendar, cards of an address book, scripts.

use super::name;
use crate::model::Id;
use std::collections::HashMap;

/// An item of a flat collection: an event, a card, a script.
#[derive(Debug, Clone)]
pub(super) struct CollectionItem {
    pub id: Id,
    /// The snapshot that changed it last; 0 if that is unknown.
    pub first: i64,
    pub name: String,
    /// Its name in the account: a uid, a script's name.
    pub raw: String,
    /// Seconds since 1970.
    pub modified: i64,
    /// A script that is active.
    pub is_active: bool,
    /// The number of collections that hold it.
    pub links: u32,
    /// Its own bytes, if the archive has them: a blob, and perhaps ranges of it as JSON.
    pub stored: Option<(Id, Option<String>)>,
}

/// The items of a collection, with distinct names.
#[derive(Debug, Default)]
pub(super) struct CollectionItems {
    pub items: Vec<CollectionItem>,
    by_name: HashMap<String, usize>,
    by_id: HashMap<Id, usize>,
}

impl CollectionItems {
    /// Gives the items file names with this extension.
    pub(super) fn new(mut items: Vec<CollectionItem>, extension: &str) -> CollectionItems {
        items.sort_by_key(|item| item.id);
        let wished = items.iter().map(|item| (item.id, name::safe(&item.raw, extension)));
        let names: Vec<String> = name::distinct(wished, extension).into_iter().map(|(_, name)| name).collect();
        let items: Vec<CollectionItem> =
            items.into_iter().zip(names).map(|(item, name)| CollectionItem { name, ..item }).collect();
        let by_name = items.iter().enumerate().map(|(at, item)| (item.name.clone(), at)).collect();
        let by_id = items.iter().enumerate().map(|(at, item)| (item.id, at)).collect();
        CollectionItems { items, by_name, by_id }
    }

    /// The item with this file name.
    pub(super) fn find(&self, name: &str) -> Option<&CollectionItem> {
        self.by_name.get(name).and_then(|at| self.items.get(*at))
    }

    /// The items with this row or a higher one.
    pub(super) fn from(&self, row: Id) -> impl Iterator<Item = &CollectionItem> {
        self.items[self.items.partition_point(|item| item.id < row)..].iter()
    }

    /// The item with this row.
    pub(super) fn get(&self, id: Id) -> Option<&CollectionItem> {
        self.by_id.get(&id).and_then(|at| self.items.get(*at))
    }
}
