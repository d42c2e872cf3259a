//! Rows with parents, as named directories: every row has a place, and a name that is unique there.

use super::name;
use crate::model::Id;
use crate::model::hierarchy::acyclic_parents;
use std::collections::HashMap;

/// A row with its place and its name.
#[derive(Debug, Clone)]
pub(super) struct HierarchyRow<T> {
    pub id: Id,
    /// `None`: at the top.
    pub parent: Option<Id>,
    /// The name as the account has it.
    pub raw: String,
    /// Its file name, unique in its directory.
    pub name: String,
    pub data: T,
}

/// A forest of named rows.
#[derive(Debug)]
pub(super) struct Hierarchy<T> {
    rows: HashMap<Id, HierarchyRow<T>>,
    children: HashMap<Option<Id>, Vec<Id>>,
    by_name: HashMap<(Option<Id>, String), Id>,
}

impl<T> Hierarchy<T> {
    /// Builds the forest. `rows` are (id, parent, name, data); `file_name` makes a row's file name of its name.
    ///
    /// [`acyclic_parents`] puts rows without a place at the top. An id that stands twice counts once.
    pub(super) fn new(mut rows: Vec<(Id, Option<Id>, String, T)>, file_name: impl Fn(&str) -> String) -> Hierarchy<T> {
        rows.sort_by_key(|row| row.0);
        rows.dedup_by_key(|row| row.0);
        let parents = acyclic_parents(rows.iter().map(|row| (row.0, row.1)));
        let mut wished: HashMap<Option<Id>, Vec<(Id, String)>> = HashMap::new();
        let mut placed = HashMap::with_capacity(rows.len());
        for (id, _, raw, data) in rows {
            let parent = parents.get(&id).copied().flatten();
            wished.entry(parent).or_default().push((id, file_name(&raw)));
            placed.insert(id, HierarchyRow { id, parent, raw, name: String::new(), data });
        }
        let mut children = HashMap::new();
        let mut by_name = HashMap::new();
        for (parent, wished) in wished {
            let named = name::distinct(wished, "");
            children.insert(parent, named.iter().map(|(id, _)| *id).collect());
            for (id, name) in named {
                if let Some(row) = placed.get_mut(&id) {
                    row.name.clone_from(&name);
                }
                by_name.insert((parent, name), id);
            }
        }
        Hierarchy { rows: placed, children, by_name }
    }

    /// The rows in a directory, by id. `None` is the top.
    pub(super) fn children(&self, parent: Option<Id>) -> &[Id] {
        self.children.get(&parent).map(Vec::as_slice).unwrap_or_default()
    }

    /// A row.
    pub(super) fn get(&self, id: Id) -> Option<&HierarchyRow<T>> {
        self.rows.get(&id)
    }

    /// Changes the data of a row.
    pub(super) fn change(&mut self, id: Id, change: impl FnOnce(&mut T)) {
        if let Some(row) = self.rows.get_mut(&id) {
            change(&mut row.data);
        }
    }

    /// The row with this file name in a directory.
    pub(super) fn find(&self, parent: Option<Id>, name: &str) -> Option<&HierarchyRow<T>> {
        self.by_name.get(&(parent, name.to_owned())).and_then(|id| self.rows.get(id))
    }

    /// All rows, in no order.
    pub(super) fn all(&self) -> impl Iterator<Item = &HierarchyRow<T>> {
        self.rows.values()
    }

    /// The rows from the top to this one, itself included.
    pub(super) fn path(&self, id: Id) -> Vec<&HierarchyRow<T>> {
        let mut path: Vec<&HierarchyRow<T>> =
            std::iter::successors(self.get(id), |row| row.parent.and_then(|parent| self.get(parent))).collect();
        path.reverse();
        path
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_in_cycles_are_not_lost() {
        let rows = [(1, Some(2)), (2, Some(3)), (3, Some(1)), (4, Some(4)), (5, Some(3)), (6, Some(99)), (7, None)];
        let rows = rows.into_iter().map(|(id, parent)| (id, parent, "x".to_owned(), ())).collect();
        let tree = Hierarchy::new(rows, str::to_owned);
        let mut seen = Vec::new();
        let mut queue = vec![None];
        while let Some(parent) = queue.pop() {
            for id in tree.children(parent) {
                seen.push(*id);
                queue.push(Some(*id));
            }
        }
        seen.sort_unstable();
        assert_eq!(seen, [1, 2, 3, 4, 5, 6, 7]);
        assert_eq!(tree.path(5).iter().map(|row| row.id).collect::<Vec<_>>(), [1, 3, 5]);
        assert_eq!(tree.find(None, "x").map(|row| row.id), Some(1));
    }

    #[test]
    fn a_hundred_thousand_levels_are_no_problem() {
        let rows = (1..=100_000).map(|id| (id, (id > 1).then(|| id - 1), "d".to_owned(), ())).collect();
        let tree = Hierarchy::new(rows, str::to_owned);
        assert_eq!(tree.path(100_000).len(), 100_000);
    }
}
