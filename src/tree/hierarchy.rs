//! Rows that lie in each other, as named directories: cycles cut, clashes told apart, nothing recursive.

use super::name;
use crate::model::Id;
use std::collections::HashMap;

/// A row with its place.
#[derive(Debug, Clone)]
pub struct Place<T> {
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
pub struct Hierarchy<T> {
    places: HashMap<Id, Place<T>>,
    children: HashMap<Option<Id>, Vec<Id>>,
    by_name: HashMap<(Option<Id>, String), Id>,
}

impl<T> Hierarchy<T> {
    /// Builds the forest. `rows` are (id, parent, name, data); `file_name` gives the wished file name of a row.
    ///
    /// A row whose parent is missing, or which lies in itself, is put at the top. An id that stands twice counts once.
    pub fn new(
        mut rows: Vec<(Id, Option<Id>, String, T)>,
        extension: &str,
        file_name: impl Fn(&str, &T) -> String,
    ) -> Hierarchy<T> {
        rows.sort_by_key(|row| row.0);
        rows.dedup_by_key(|row| row.0);
        let parents: HashMap<Id, Option<Id>> = rows.iter().map(|row| (row.0, row.1)).collect();
        let cut = cycle_cuts(&parents);
        let mut wished: HashMap<Option<Id>, Vec<(Id, String)>> = HashMap::new();
        let mut places = HashMap::with_capacity(rows.len());
        for (id, parent, raw, data) in rows {
            let parent = parent.filter(|parent| parents.contains_key(parent) && !cut.contains_key(&id));
            wished.entry(parent).or_default().push((id, file_name(&raw, &data)));
            places.insert(id, Place { id, parent, raw, name: String::new(), data });
        }
        let mut children = HashMap::new();
        let mut by_name = HashMap::new();
        for (parent, wished) in wished {
            let named = name::distinct(wished, extension);
            children.insert(parent, named.iter().map(|(id, _)| *id).collect());
            for (id, name) in named {
                if let Some(place) = places.get_mut(&id) {
                    place.name.clone_from(&name);
                }
                by_name.insert((parent, name), id);
            }
        }
        Hierarchy { places, children, by_name }
    }

    /// The rows in a directory, by id. `None` is the top.
    pub fn children(&self, parent: Option<Id>) -> &[Id] {
        self.children.get(&parent).map(Vec::as_slice).unwrap_or_default()
    }

    /// A row.
    pub fn get(&self, id: Id) -> Option<&Place<T>> {
        self.places.get(&id)
    }

    /// Changes what a row is beside its place.
    pub fn change(&mut self, id: Id, change: impl FnOnce(&mut T)) {
        if let Some(place) = self.places.get_mut(&id) {
            change(&mut place.data);
        }
    }

    /// The row with this file name in a directory.
    pub fn find(&self, parent: Option<Id>, name: &str) -> Option<&Place<T>> {
        self.by_name.get(&(parent, name.to_owned())).and_then(|id| self.places.get(id))
    }

    /// All rows, in no order.
    pub fn all(&self) -> impl Iterator<Item = &Place<T>> {
        self.places.values()
    }

    /// The rows from the top to this one, itself included.
    pub fn path(&self, id: Id) -> Vec<&Place<T>> {
        let mut path: Vec<&Place<T>> =
            std::iter::successors(self.get(id), |place| place.parent.and_then(|parent| self.get(parent))).collect();
        path.reverse();
        path
    }
}

/// The rows at which cycles are opened: of each cycle the one with the lowest id.
fn cycle_cuts(parents: &HashMap<Id, Option<Id>>) -> HashMap<Id, ()> {
    #[derive(Clone, Copy, PartialEq)]
    enum Mark {
        OnPath(u32),
        Done,
    }
    let mut marks: HashMap<Id, Mark> = HashMap::with_capacity(parents.len());
    let mut cuts = HashMap::new();
    let mut starts: Vec<Id> = parents.keys().copied().collect();
    starts.sort_unstable();
    for (round, start) in (0u32..).zip(starts) {
        let mut path = Vec::new();
        let mut at = Some(start);
        while let Some(id) = at {
            match marks.get(&id) {
                Some(Mark::OnPath(of)) if *of == round => {
                    let from = path.iter().position(|seen| *seen == id).unwrap_or(0);
                    if let Some(lowest) = path[from..].iter().min() {
                        cuts.insert(*lowest, ());
                    }
                    break;
                }
                Some(_) => break,
                None => {
                    marks.insert(id, Mark::OnPath(round));
                    path.push(id);
                    at = parents.get(&id).copied().flatten().filter(|parent| parents.contains_key(parent));
                }
            }
        }
        for id in path {
            marks.insert(id, Mark::Done);
        }
    }
    cuts
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cycles_are_cut_and_nothing_is_lost() {
        let rows = [(1, Some(2)), (2, Some(3)), (3, Some(1)), (4, Some(4)), (5, Some(3)), (6, Some(99)), (7, None)];
        let rows = rows.into_iter().map(|(id, parent)| (id, parent, "x".to_owned(), ())).collect();
        let tree = Hierarchy::new(rows, "", |raw, ()| raw.to_owned());
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
        assert_eq!(tree.path(5).iter().map(|place| place.id).collect::<Vec<_>>(), [1, 3, 5]);
        assert_eq!(tree.find(None, "x").map(|place| place.id), Some(1));
    }

    #[test]
    fn a_hundred_thousand_levels_are_no_problem() {
        let rows = (1..=100_000).map(|id| (id, (id > 1).then(|| id - 1), "d".to_owned(), ())).collect();
        let tree = Hierarchy::new(rows, "", |raw, ()| raw.to_owned());
        assert_eq!(tree.path(100_000).len(), 100_000);
    }
}
