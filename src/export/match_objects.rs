//! Which object of the target an object of the archive is: pure.

use super::wanted::Wanted;
use crate::model::hierarchy::acyclic_parents;
use crate::model::{Id, ObjectType};
use crate::sink::Remote;
use std::collections::{HashMap, HashSet};

/// For each wanted object the place of the target's object that it is. `is_equal` tells of a wanted object and a place
/// whether nothing would have to change there: asked for only where several have the same key. `is_its_place` says of a
/// copy whether it lies in the right container.
pub(super) fn pair(
    kind: ObjectType,
    wanted: &[Wanted],
    remotes: &[Remote],
    is_equal: Rule<'_>,
    is_its_place: Rule<'_>,
) -> Vec<Option<usize>> {
    match kind {
        ObjectType::Mailbox | ObjectType::FileNode => tree(kind, wanted, remotes),
        ObjectType::SieveScript => scripts(wanted, remotes),
        _ => flat(wanted, remotes, is_equal, is_its_place),
    }
}

/// Says whether an object of the archive and one of the target are the same.
pub(super) type Rule<'r> = &'r dyn Fn(&Wanted, &Remote) -> bool;

/// By key, each object of the target once. Where several have one key, first those that were one when they were imported,
/// then those that are equal.
fn flat(wanted: &[Wanted], remotes: &[Remote], is_equal: Rule<'_>, is_its_place: Rule<'_>) -> Vec<Option<usize>> {
    let mut theirs: HashMap<&str, Vec<usize>> = HashMap::new();
    for (place, remote) in remotes.iter().enumerate() {
        theirs.entry(&remote.key).or_default().push(place);
    }
    let mut ours: HashMap<&str, Vec<usize>> = HashMap::new();
    for (at, one) in wanted.iter().enumerate().filter(|(_, one)| !one.is_joined) {
        ours.entry(&one.draft.key).or_default().push(at);
    }
    let had_id = |one: &Wanted, remote: &Remote| one.ids.contains(&remote.id) && is_its_place(one, remote);
    let is_equal = |one: &Wanted, remote: &Remote| is_its_place(one, remote) && is_equal(one, remote);
    let rules: [Rule<'_>; 3] = [&had_id, &is_equal, is_its_place];
    let mut found = vec![None; wanted.len()];
    for (key, ours) in ours {
        let Some(places) = theirs.get(key) else { continue };
        let is_simple = ours.len() == 1 && places.len() == 1;
        let rules = if is_simple { &rules[2..] } else { &rules[..] };
        assign(&mut found, &ours, places, rules, wanted, remotes);
    }
    found
}

/// Gives each of ours that has none yet the first free place that a rule allows, rule by rule.
fn assign(
    found: &mut [Option<usize>],
    ours: &[usize],
    places: &[usize],
    rules: &[Rule<'_>],
    wanted: &[Wanted],
    remotes: &[Remote],
) {
    let mut used: HashSet<usize> = HashSet::new();
    for rule in rules {
        for at in ours {
            if found[*at].is_none()
                && let Some(place) =
                    places.iter().find(|place| !used.contains(*place) && rule(&wanted[*at], &remotes[**place]))
            {
                used.insert(*place);
                found[*at] = Some(*place);
            }
        }
    }
}

/// Scripts: by content, preferably under their name; the others by name.
fn scripts(wanted: &[Wanted], remotes: &[Remote]) -> Vec<Option<usize>> {
    let mut found = vec![None; wanted.len()];
    let same_name = |one: &Wanted, remote: &Remote| one.draft.label == remote.name;
    let same_bytes = |one: &Wanted, remote: &Remote| one.draft.key == remote.key;
    let same_both = |one: &Wanted, remote: &Remote| same_name(one, remote) && same_bytes(one, remote);
    let rules: [Rule<'_>; 3] = [&same_both, &same_bytes, &same_name];
    let ours: Vec<usize> = (0..wanted.len()).collect();
    let places: Vec<usize> = (0..remotes.len()).collect();
    assign(&mut found, &ours, &places, &rules, wanted, remotes);
    found
}

/// Mailboxes and files: by role, else by name in the parent that is matched already, from the top down. Of names that
/// only differ in case each has its own, as long as the target has both.
fn tree(kind: ObjectType, wanted: &[Wanted], remotes: &[Remote]) -> Vec<Option<usize>> {
    let mut found: Vec<Option<usize>> = vec![None; wanted.len()];
    let mut used = HashSet::new();
    let mut roles: HashMap<&str, usize> = HashMap::new();
    let mut children: HashMap<Option<&str>, Vec<usize>> = HashMap::new();
    for (at, remote) in remotes.iter().enumerate() {
        if let Some(role) = &remote.role {
            roles.insert(role, at);
        }
        children.entry(remote.parent.as_deref()).or_default().push(at);
    }
    // What was this one when it was imported, and has its name and its role still; then any with its role.
    let by_id: HashMap<&str, usize> = remotes.iter().enumerate().map(|(at, remote)| (remote.id.as_str(), at)).collect();
    for (at, one) in wanted.iter().enumerate().filter(|(_, one)| one.draft.role.is_some()) {
        let had = one.ids.iter().filter_map(|id| by_id.get(id.as_str()).copied());
        let is_same = |place: &usize| one.draft.role == remotes[*place].role && remotes[*place].name == one.draft.raw;
        if let Some(place) = had.filter(is_same).find(|place| used.insert(*place)) {
            found[at] = Some(place);
        }
    }
    for (at, one) in wanted.iter().enumerate() {
        if found[at].is_none()
            && let Some(place) = one.draft.role.as_deref().and_then(|role| roles.get(role))
            && used.insert(*place)
        {
            found[at] = Some(*place);
        }
    }
    let places: HashMap<Id, usize> = wanted.iter().enumerate().map(|(at, one)| (one.id, at)).collect();
    for level in levels(wanted) {
        for exactly in [true, false] {
            for at in level.iter().copied().filter(|at| found[*at].is_none()).collect::<Vec<_>>() {
                let one = &wanted[at];
                let parent = match one.parent.and_then(|parent| places.get(&parent)) {
                    // Nothing can lie in what is not there.
                    Some(parent) => match found[*parent] {
                        Some(place) => Some(remotes[place].id.as_str()),
                        None => continue,
                    },
                    None => None,
                };
                let siblings = children.get(&parent).map(Vec::as_slice).unwrap_or_default();
                let is_same = |place: &&usize| {
                    let (remote, draft) = (&remotes[**place], &one.draft);
                    let is_same = match exactly {
                        true => remote.name == draft.label || remote.name == draft.raw,
                        false => remote.key == draft.key,
                    };
                    let is_node = remote.node.is_none() || remote.node == draft.node;
                    is_same && is_node && !used.contains(*place)
                };
                if let Some(place) = siblings.iter().find(is_same) {
                    used.insert(*place);
                    found[at] = Some(*place);
                }
            }
        }
        // Two rows of an old archive may be one mailbox: JMAP has no siblings of one name (RFC 8621 section 2).
        let mut named: HashMap<(Option<Id>, &str), usize> = HashMap::new();
        for at in level.iter().copied().filter(|_| kind == ObjectType::Mailbox) {
            let name = (wanted[at].parent, wanted[at].draft.label.as_str());
            match (found[at], named.get(&name)) {
                (Some(place), _) => drop(named.insert(name, place)),
                (None, Some(place)) => found[at] = Some(*place),
                (None, None) => {}
            }
        }
    }
    found
}

/// Takes those to the top whose parents are not wanted, and of rows that lie in each other the one with the lowest id: so
/// every row has a place, as in the tree.
pub(crate) fn cut(wanted: &mut [Wanted]) {
    let parents = acyclic_parents(wanted.iter().map(|one| (one.id, one.parent)));
    for one in wanted {
        one.parent = parents.get(&one.id).copied().flatten();
    }
}

/// The places of wanted objects by depth, parents before children. What lies in itself is in none: see [`cut`].
pub(super) fn levels(wanted: &[Wanted]) -> Vec<Vec<usize>> {
    let places: HashMap<Id, usize> = wanted.iter().enumerate().map(|(at, one)| (one.id, at)).collect();
    let mut children: HashMap<usize, Vec<usize>> = HashMap::new();
    let mut level = Vec::new();
    for (at, one) in wanted.iter().enumerate() {
        match one.parent.and_then(|parent| places.get(&parent)) {
            Some(parent) => children.entry(*parent).or_default().push(at),
            None => level.push(at),
        }
    }
    let mut levels = Vec::new();
    while !level.is_empty() {
        let below = level.iter().flat_map(|at| children.get(at).into_iter().flatten().copied()).collect();
        levels.push(std::mem::replace(&mut level, below));
    }
    levels
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::objects::NodeType;
    use crate::sink::Draft;

    fn wanted(id: Id, parent: Option<Id>, name: &str, role: Option<&str>) -> Wanted {
        let draft = Draft {
            key: name.trim().to_lowercase(),
            label: name.to_owned(),
            role: role.map(str::to_owned),
            ..Draft::default()
        };
        Wanted { id, parent, draft, ..Wanted::default() }
    }

    fn remote(id: &str, parent: Option<&str>, name: &str, role: Option<&str>) -> Remote {
        Remote {
            id: id.to_owned(),
            key: name.trim().to_lowercase(),
            parent: parent.map(str::to_owned),
            name: name.to_owned(),
            role: role.map(str::to_owned),
            ..Remote::default()
        }
    }

    #[test]
    fn mailboxes_by_role_and_by_name_in_their_parents() {
        let ours = [
            wanted(1, None, "INBOX", Some("inbox")),
            wanted(2, None, "Gesendet", Some("sent")),
            wanted(3, None, "Work", None),
            wanted(4, Some(3), "old", None),
            wanted(5, Some(1), "Old", None),
            wanted(6, None, "work", None),
            wanted(7, Some(6), "old", None),
        ];
        let theirs = [
            remote("a", None, "Inbox", Some("inbox")),
            remote("b", None, "Sent", Some("sent")),
            remote("c", None, "WORK", None),
            remote("d", Some("c"), "Old", None),
            remote("e", Some("x"), "old", None),
        ];
        assert_eq!(
            pair(ObjectType::Mailbox, &ours, &theirs, &|_, _| true, &|_, _| true),
            [Some(0), Some(1), Some(2), Some(3), None, None, None]
        );
        assert_eq!(
            pair(ObjectType::Mailbox, &ours[2..], &theirs[..3], &|_, _| true, &|_, _| true),
            [Some(2), None, None, None, None]
        );
    }

    #[test]
    fn names_that_differ_in_case_have_their_own() {
        let ours = [wanted(1, None, "Work", None), wanted(2, None, "work", None)];
        let theirs = [remote("a", None, "work", None), remote("b", None, "Work", None)];
        assert_eq!(pair(ObjectType::Mailbox, &ours, &theirs, &|_, _| true, &|_, _| true), [Some(1), Some(0)]);
    }

    #[test]
    fn twins_are_one_mailbox() {
        let ours = [wanted(1, None, "Twin", None), wanted(2, None, "Twin", None), wanted(3, Some(2), "x", None)];
        let theirs = [remote("a", None, "Twin", None), remote("b", Some("a"), "x", None)];
        assert_eq!(pair(ObjectType::Mailbox, &ours, &theirs, &|_, _| true, &|_, _| true), [Some(0), Some(0), Some(1)]);
        assert_eq!(pair(ObjectType::FileNode, &ours, &theirs, &|_, _| true, &|_, _| true), [Some(0), None, None]);
    }

    #[test]
    fn a_file_is_no_directory_of_its_name() {
        let mut ours = [wanted(1, None, "a", None), wanted(2, None, "b", None)];
        ours[0].draft.node = Some(NodeType::Directory);
        ours[1].draft.node = Some(NodeType::File);
        let theirs = [remote("x", None, "a", None), remote("y", None, "b", None)]
            .map(|one| Remote { node: Some(NodeType::File), ..one });
        assert_eq!(pair(ObjectType::FileNode, &ours, &theirs, &|_, _| true, &|_, _| true), [None, Some(1)]);
    }

    #[test]
    fn rows_in_themselves_are_no_trap() {
        let mut ours = [
            wanted(1, Some(2), "a", None),
            wanted(2, Some(1), "b", None),
            wanted(3, Some(3), "c", None),
            wanted(4, Some(2), "d", None),
            wanted(5, Some(99), "e", None),
        ];
        cut(&mut ours);
        assert_eq!(ours.each_ref().map(|one| one.parent), [None, Some(1), None, Some(2), None]);
        assert_eq!(levels(&ours).concat().len(), 5);
        assert_eq!(
            pair(ObjectType::FileNode, &ours, &[remote("x", None, "c", None)], &|_, _| true, &|_, _| true)[2],
            Some(0)
        );
    }

    #[test]
    fn collections_by_folded_name_once_each() {
        let ours = [wanted(1, None, "Personal", None), wanted(2, None, "personal ", None)];
        let theirs = [remote("a", None, "PERSONAL", None)];
        assert_eq!(pair(ObjectType::Calendar, &ours, &theirs, &|_, _| true, &|_, _| true), [Some(0), None]);
    }

    #[test]
    fn scripts_by_content_then_by_name() {
        let script = |name: &str, digest: &str| {
            let mut script = wanted(1, None, name, None);
            script.draft.key = digest.to_owned();
            script
        };
        let theirs = [("main", "1"), ("copy", "2"), ("other", "3")]
            .map(|(name, digest)| Remote { key: digest.to_owned(), ..remote(name, None, name, None) });
        let ours = [script("renamed", "2"), script("main", "9"), script("new", "8")];
        assert_eq!(pair(ObjectType::SieveScript, &ours, &theirs, &|_, _| true, &|_, _| true), [Some(1), Some(0), None]);
    }
}
