//! Rows that name their parents, as archives and servers give them: parents may be missing, and rows may lie in each other.

use std::collections::HashMap;
use std::hash::Hash;

/// The parent of each row, such that every row can be reached from the top (`None`).
///
/// A row goes to the top if its parent is not among `rows`; of rows that lie in each other, the lowest does. Of a row that
/// stands twice, the last parent counts. Linear in the number of rows, without recursion.
pub fn acyclic_parents<K: Copy + Eq + Hash + Ord>(
    rows: impl IntoIterator<Item = (K, Option<K>)>,
) -> HashMap<K, Option<K>> {
    let mut parents: HashMap<K, Option<K>> = rows.into_iter().collect();
    let orphans: Vec<K> = parents
        .iter()
        .filter(|(_, parent)| parent.is_some_and(|of| !parents.contains_key(&of)))
        .map(|row| *row.0)
        .collect();
    for row in orphans.into_iter().chain(lowest_of_cycles(&parents)) {
        parents.insert(row, None);
    }
    parents
}

/// Of each cycle the lowest row.
fn lowest_of_cycles<K: Copy + Eq + Hash + Ord>(parents: &HashMap<K, Option<K>>) -> Vec<K> {
    let mut lowest = Vec::new();
    // Each row, and the row from which the way up to it began.
    let mut seen: HashMap<K, K> = HashMap::with_capacity(parents.len());
    for start in parents.keys() {
        let mut path = Vec::new();
        let mut next = Some(*start);
        while let Some(row) = next.filter(|row| !seen.contains_key(row)) {
            seen.insert(row, *start);
            path.push(row);
            next = parents.get(&row).copied().flatten();
        }
        // A way that meets an earlier one adds nothing: that one has cut its cycle.
        let Some(met) = next.filter(|row| seen.get(row) == Some(start)) else { continue };
        let cycle = path.into_iter().skip_while(|row| *row != met);
        lowest.extend(cycle.min());
    }
    lowest
}

#[cfg(test)]
mod tests {
    use super::acyclic_parents;
    use std::collections::BTreeMap;

    #[test]
    fn orphans_and_the_lowest_row_of_each_cycle_go_to_the_top() {
        let rows = [(1, Some(2)), (2, Some(3)), (3, Some(1)), (4, Some(4)), (5, Some(3)), (6, Some(99)), (7, None)];
        let parents: BTreeMap<i64, Option<i64>> = acyclic_parents(rows).into_iter().collect();
        let wanted = [(1, None), (2, Some(3)), (3, Some(1)), (4, None), (5, Some(3)), (6, None), (7, None)];
        assert_eq!(parents, BTreeMap::from(wanted));
    }

    #[test]
    fn keys_may_be_text() {
        let parents = acyclic_parents([("b", Some("a")), ("a", Some("b"))]);
        assert_eq!((parents["a"], parents["b"]), (None, Some("a")));
    }

    #[test]
    fn a_hundred_thousand_levels_are_no_problem() {
        let parents = acyclic_parents((1..=100_000).map(|row| (row, Some(row % 100_000 + 1))));
        assert_eq!(parents.values().filter(|parent| parent.is_none()).count(), 1);
        assert_eq!(parents[&1], None);
    }
}
