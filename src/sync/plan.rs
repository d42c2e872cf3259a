//! What has to be done so that the archive holds what a listing names: pure comparison, nothing is read or written.

use crate::model::{Entry, Id};
use std::cmp::Ordering;

/// A known item whose bytes stand, but whose keywords or containers changed.
pub struct Touch {
    pub entry: Entry,
    pub local_id: Id,
}

/// A known item that the listing does not name.
pub struct Gone {
    pub key: Box<str>,
    pub local_id: Id,
}

/// The work of one scope.
#[derive(Default)]
pub struct Plan {
    /// New items, and those whose bytes changed.
    pub fetch: Vec<Entry>,
    /// How many of these are known under another `rev`.
    pub refetched: u64,
    pub touch: Vec<Touch>,
    pub gone: Vec<Gone>,
    /// Items that are as they were.
    pub unchanged: u64,
}

/// Compares the entries of a listing with known items that come in the order of their keys.
pub struct Comparison {
    entries: std::iter::Peekable<std::vec::IntoIter<Entry>>,
    complete: bool,
    plan: Plan,
}

impl Comparison {
    /// `complete`: known items that no entry names are gone.
    pub fn new(mut entries: Vec<Entry>, complete: bool) -> Comparison {
        entries.sort_unstable_by(|a, b| a.key.cmp(&b.key));
        Comparison { entries: entries.into_iter().peekable(), complete, plan: Plan::default() }
    }

    /// Takes the next known item. `same_attrs` says whether an entry has its keywords and containers.
    pub fn known(&mut self, key: &str, rev: &str, local_id: Id, same_attrs: impl FnOnce(&Entry) -> bool) {
        while let Some(entry) = self.entries.next_if(|entry| &*entry.key < key) {
            self.plan.fetch.push(entry);
        }
        let order = self.entries.peek().map_or(Ordering::Greater, |entry| (*entry.key).cmp(key));
        match self.entries.next_if(|_| order == Ordering::Equal) {
            None if self.complete => self.plan.gone.push(Gone { key: key.into(), local_id }),
            None => {}
            Some(entry) if *entry.rev != *rev => {
                self.plan.refetched += 1;
                self.plan.fetch.push(entry);
            }
            Some(entry) if !same_attrs(&entry) => self.plan.touch.push(Touch { entry, local_id }),
            Some(_) => self.plan.unchanged += 1,
        }
    }

    /// The plan, once all known items were given.
    pub fn finish(mut self) -> Plan {
        self.plan.fetch.extend(self.entries);
        self.plan
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;

    fn entry(key: &str, rev: &str) -> Entry {
        Entry { key: key.into(), rev: rev.into(), locator: "".into(), attrs: Arc::default() }
    }

    fn run(complete: bool) -> Plan {
        let mut comparison =
            Comparison::new(vec![entry("d", "1"), entry("a", "1"), entry("b", "2"), entry("c", "1")], complete);
        for (key, rev, id) in [("a", "1", 1), ("aa", "1", 2), ("b", "1", 3), ("c", "1", 4), ("z", "1", 5)] {
            comparison.known(key, rev, id, |entry| &*entry.key != "c");
        }
        comparison.finish()
    }

    #[test]
    fn every_entry_and_every_known_item_gets_one_fate() {
        let plan = run(true);
        assert_eq!(plan.fetch.iter().map(|entry| &*entry.key).collect::<Vec<_>>(), ["b", "d"]);
        assert_eq!(plan.touch.iter().map(|touch| (&*touch.entry.key, touch.local_id)).collect::<Vec<_>>(), [("c", 4)]);
        assert_eq!(plan.gone.iter().map(|gone| gone.local_id).collect::<Vec<_>>(), [2, 5]);
        assert_eq!(plan.unchanged, 1);
    }

    #[test]
    fn an_additive_source_loses_nothing() {
        assert!(run(false).gone.is_empty());
    }
}
