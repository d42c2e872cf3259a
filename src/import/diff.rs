//! What has to be done so that the archive holds what a listing names: pure comparison, nothing is read or written.

use crate::model::{Entry, Id};
use crate::source::UnlistedItems;
use std::cmp::Ordering;

/// A known item whose bytes stand, but whose keywords or containers changed.
pub struct MetadataUpdate {
    /// What the listing says of it now.
    pub entry: Entry,
    /// Its row in the archive.
    pub local_id: Id,
}

/// A known item that is gone at the source.
pub struct Gone {
    /// Its key in its scope.
    pub key: Box<str>,
    /// Its revision when it was last seen.
    pub rev: Box<str>,
    /// Its row in the archive.
    pub local_id: Id,
}

/// The work of one scope.
#[derive(Default)]
pub struct Plan {
    /// New items, and those whose bytes changed.
    pub fetch: Vec<Entry>,
    /// How many of these are known under another `rev`.
    pub refetched: u64,
    /// Items whose keywords, containers or spelling of the revision changed: no bytes are fetched.
    pub touch: Vec<MetadataUpdate>,
    /// Known items that the source says are gone.
    pub gone: Vec<Gone>,
    /// Items that are as they were.
    pub unchanged: u64,
    /// Known items that the source does not name, and that are kept all the same.
    pub kept: u64,
    /// Known items that were listed under their key, and of the same size or with the same bytes, as far as the revisions
    /// tell.
    pub recognised: u64,
    /// Some of these, each with its row.
    pub sample: Vec<(Entry, Id)>,
}

/// So many recognised items are kept as a sample.
const SAMPLE: usize = 5;

/// What a copy of an account keeps of a revision: not the date behind a size (`SIZE.DATE` of IMAP and Maildir), and not the
/// state of a server (`S…` of cards and events of JMAP), which says nothing of the object.
fn gist(rev: &str) -> &str {
    match rev.split_once('.') {
        Some((size, _)) if !size.is_empty() && size.bytes().all(|byte| byte.is_ascii_digit()) => size,
        _ if rev.starts_with('S') => "S",
        _ => rev,
    }
}

/// Compares the entries of a listing with known items that come in the order of their keys.
pub struct Comparison<'s> {
    entries: std::iter::Peekable<std::vec::IntoIter<Entry>>,
    unnamed: UnlistedItems,
    is_same: &'s dyn Fn(&str, &str) -> bool,
    plan: Plan,
}

impl<'s> Comparison<'s> {
    /// `unnamed` says what became of known items that no entry names, `is_same` whether a known and a listed revision
    /// mean the same bytes.
    pub fn new(
        mut entries: Vec<Entry>,
        unnamed: UnlistedItems,
        is_same: &'s dyn Fn(&str, &str) -> bool,
    ) -> Comparison<'s> {
        entries.sort_unstable_by(|a, b| a.key.cmp(&b.key));
        Comparison { entries: entries.into_iter().peekable(), unnamed, is_same, plan: Plan::default() }
    }

    /// Takes the next known item. `same_attrs` says whether an entry has its keywords and containers.
    pub fn known(&mut self, key: &str, rev: &str, local_id: Id, same_attrs: impl FnOnce(&Entry) -> bool) {
        while let Some(entry) = self.entries.next_if(|entry| &*entry.key < key) {
            self.plan.fetch.push(entry);
        }
        let order = self.entries.peek().map_or(Ordering::Greater, |entry| (*entry.key).cmp(key));
        let Some(mut entry) = self.entries.next_if(|_| order == Ordering::Equal) else {
            return self.unnamed(key, rev, local_id);
        };
        if entry.rev.is_empty() {
            entry.rev = rev.into();
        }
        if (self.is_same)(rev, &entry.rev) || gist(rev) == gist(&entry.rev) {
            self.plan.recognised += 1;
            if self.plan.sample.len() < SAMPLE {
                self.plan.sample.push((entry.clone(), local_id));
            }
        }
        if !(self.is_same)(rev, &entry.rev) {
            self.plan.refetched += 1;
            self.plan.fetch.push(entry);
        } else if *entry.rev != *rev || !same_attrs(&entry) {
            self.plan.touch.push(MetadataUpdate { entry, local_id });
        } else {
            self.plan.unchanged += 1;
        }
    }

    fn unnamed(&mut self, key: &str, rev: &str, local_id: Id) {
        let is_gone = match &self.unnamed {
            UnlistedItems::Kept => {
                self.plan.kept += 1;
                return;
            }
            UnlistedItems::Gone => true,
            UnlistedItems::GoneIf(is_gone) => is_gone(key),
        };
        if is_gone {
            self.plan.gone.push(Gone { key: key.into(), rev: rev.into(), local_id });
        } else {
            self.plan.unchanged += 1;
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
    use crate::model::{Attrs, ObjectType};
    use std::sync::Arc;

    fn entry(key: &str, rev: &str) -> Entry {
        Entry { key: key.into(), rev: rev.into(), locator: "".into(), attrs: Arc::new(Attrs::none(ObjectType::Email)) }
    }

    fn run(unnamed: UnlistedItems) -> Plan {
        let entries = vec![entry("d", "1"), entry("a", ""), entry("b", "2"), entry("c", "1")];
        let mut comparison = Comparison::new(entries, unnamed, &|a, b| a == b);
        for (key, rev, id) in [("a", "1", 1), ("aa", "1", 2), ("b", "1", 3), ("c", "1", 4), ("z", "1", 5)] {
            comparison.known(key, rev, id, |entry| &*entry.key != "c");
        }
        comparison.finish()
    }

    fn gone(plan: &Plan) -> Vec<Id> {
        plan.gone.iter().map(|gone| gone.local_id).collect()
    }

    #[test]
    fn every_entry_and_every_known_item_gets_one_fate() {
        let plan = run(UnlistedItems::Gone);
        assert_eq!(plan.fetch.iter().map(|entry| &*entry.key).collect::<Vec<_>>(), ["b", "d"]);
        assert_eq!(plan.touch.iter().map(|touch| (&*touch.entry.key, touch.local_id)).collect::<Vec<_>>(), [("c", 4)]);
        assert_eq!((gone(&plan), plan.unchanged), (vec![2, 5], 1));
    }

    #[test]
    fn an_additive_source_loses_nothing() {
        let plan = run(UnlistedItems::Kept);
        assert_eq!((plan.gone.len(), plan.kept), (0, 2));
    }

    #[test]
    fn a_listing_of_changes_names_what_is_gone() {
        let plan = run(UnlistedItems::GoneIf(Box::new(|key| key == "z")));
        assert_eq!((gone(&plan), plan.unchanged), (vec![5], 2));
    }

    #[test]
    fn a_copy_is_recognised() {
        for (known, listed, expected) in [
            ("5.9", "5.8", true),
            ("5.9", "6.9", false),
            ("S1", "S2", true),
            ("Bx.9", "Bx.9", true),
            ("Bx.9", "Bx.8", false),
            ("ab12", "ab13", false),
        ] {
            assert_eq!(gist(known) == gist(listed), expected, "{known} {listed}");
        }
    }

    #[test]
    fn the_same_bytes_under_another_revision_are_touched() {
        let mut comparison =
            Comparison::new(vec![entry("a", "1+")], UnlistedItems::Gone, &|known, listed| listed.starts_with(known));
        comparison.known("a", "1", 1, |_| true);
        let plan = comparison.finish();
        assert_eq!((plan.fetch.len(), plan.touch.len(), &*plan.touch[0].entry.rev), (0, 1, "1+"));
    }
}
