//! What of the target may be removed because the archive does not hold it: pure.

use super::run::Work;
use crate::model::{Id, ObjectType};
use crate::sink::Remote;
use std::collections::{BTreeMap, HashMap, HashSet};

/// What stays of the target although the archive does not hold it.
pub(super) struct Stays<'a> {
    /// Ids of containers with items that stay.
    pub holders: &'a HashSet<&'a str>,
    /// True for what the target kept only as it was the default or the active script, which it is not any more.
    pub is_free: &'a dyn Fn(&Remote) -> bool,
    /// The target's ids of the containers of copies by row.
    pub containers: Option<&'a dyn Fn(Id) -> Option<String>>,
}

/// Places of the objects of the target that match none of the archive, in steps: children before their parents.
///
/// These stay: an object with a role, a default, the active script, an object that the server made itself or does not let
/// go, one with the uid of an object of the archive (in the same container, where the target keeps copies: `containers` are
/// its ids of them by row), and every container around an object that stays.
pub(super) fn candidates(kind: ObjectType, work: &Work, rules: &Stays<'_>) -> Vec<Vec<usize>> {
    let Stays { holders, is_free, containers } = *rules;
    let Work { remotes, found, wanted, .. } = work;
    let used: HashSet<usize> = found.iter().flatten().copied().collect();
    let mut keys: HashSet<(Option<String>, &str)> = HashSet::new();
    // Of several objects with one key the archive may match another one: that is no reason to remove this one.
    if matches!(
        kind,
        ObjectType::ContactCard | ObjectType::CalendarEvent | ObjectType::Identity | ObjectType::ParticipantIdentity
    ) {
        for one in wanted {
            let place = containers.and_then(|id| id(*one.containers.first()?));
            let marked = one.marked.as_deref().map(|draft| (place.clone(), draft.key.as_str()));
            keys.extend(marked);
            keys.insert((place, one.draft.key.as_str()));
        }
    }
    let place_of = |remote: &Remote| containers.and_then(|_| remote.containers.first().cloned());
    let is_kept = |remote: &Remote| remote.is_kept && !is_free(remote);
    let stays_always = |remote: &Remote| is_kept(remote) || keys.contains(&(place_of(remote), remote.key.as_str()));
    let places: HashMap<&str, usize> =
        remotes.iter().enumerate().map(|(place, remote)| (remote.id.as_str(), place)).collect();
    let parent = |place: usize| remotes[place].parent.as_deref().and_then(|id| places.get(id).copied());
    let mut stays: HashSet<usize> = HashSet::new();
    for (place, remote) in remotes.iter().enumerate() {
        if used.contains(&place) || stays_always(remote) || holders.contains(remote.id.as_str()) {
            let mut at = Some(place);
            while let Some(here) = at.filter(|here| stays.insert(*here)) {
                at = parent(here);
            }
        }
    }
    let depth = |place: usize| {
        let mut seen = HashSet::new();
        std::iter::successors(Some(place), |place| parent(*place)).take_while(|place| seen.insert(*place)).count()
    };
    let mut steps: BTreeMap<std::cmp::Reverse<usize>, Vec<usize>> = BTreeMap::new();
    for place in (0..remotes.len()).filter(|place| !stays.contains(place)) {
        steps.entry(std::cmp::Reverse(depth(place))).or_default().push(place);
    }
    steps.into_values().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_kept_and_what_holds_it_stay() {
        let none = HashSet::new();
        let remote = |id: &str, parent: Option<&str>, is_kept: bool| Remote {
            id: id.to_owned(),
            parent: parent.map(str::to_owned),
            is_kept,
            ..Remote::default()
        };
        let remotes = [
            remote("a", None, true),
            remote("b", None, false),
            remote("c", Some("b"), false),
            remote("d", None, false),
            remote("e", Some("d"), true),
            remote("f", None, true),
            remote("g", None, false),
            remote("h", Some("g"), false),
        ];
        let of = |found: &[Option<usize>], holders: &HashSet<&str>| {
            let work = Work { remotes: remotes.to_vec(), found: found.to_vec(), ..Work::default() };
            candidates(
                ObjectType::Mailbox,
                &work,
                &Stays { holders, is_free: &|remote| remote.id == "f", containers: None },
            )
        };
        assert_eq!(of(&[], &none), [vec![2, 7], vec![1, 5, 6]]);
        assert_eq!(of(&[], &HashSet::from(["c"])), [vec![7], vec![5, 6]]);
        assert_eq!(of(&[None, Some(7)], &none), [vec![2], vec![1, 5]]);
    }
}
