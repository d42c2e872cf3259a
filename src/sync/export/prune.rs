//! What of the target may be removed because the archive does not hold it: pure.

use super::matching::text;
use crate::model::Kind;
use crate::target::Object;
use serde_json::Value;
use std::collections::{BTreeMap, HashMap, HashSet};

/// The places of objects that no object of the archive is, in steps: children before their parents. Left out is what has a role,
/// what holds something with a role or something that stays (`holders`, by id, hold such), what is a default or the active
/// script, and what the server does not let go.
pub fn candidates(kind: Kind, remotes: &[Object], found: &[Option<usize>], holders: &HashSet<&str>) -> Vec<Vec<usize>> {
    let used: HashSet<usize> = found.iter().flatten().copied().collect();
    let places: HashMap<&str, usize> =
        remotes.iter().enumerate().map(|(place, remote)| (text(remote, "id"), place)).collect();
    let parent =
        |place: usize| remotes[place].get("parentId").and_then(Value::as_str).and_then(|id| places.get(id).copied());
    let mut stays: HashSet<usize> = HashSet::new();
    for (place, remote) in remotes.iter().enumerate() {
        if used.contains(&place) || is_protected(kind, remote) || holders.contains(text(remote, "id")) {
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

fn is_protected(kind: Kind, remote: &Object) -> bool {
    let flag = |name: &str| remote.get(name).and_then(Value::as_bool);
    let may_not =
        remote.get("myRights").and_then(|rights| rights.get("mayDelete")).and_then(Value::as_bool) == Some(false);
    let has_role = matches!(kind, Kind::Mailbox | Kind::FileNode) && !text(remote, "role").is_empty();
    may_not
        || has_role
        || flag("mayDelete") == Some(false)
        || flag("isDefault") == Some(true)
        || (kind == Kind::SieveScript && flag("isActive") == Some(true))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn roles_defaults_and_what_holds_them_stay() {
        let none = HashSet::new();
        let remotes: Vec<Object> = [
            json!({"id": "a", "role": "inbox"}),
            json!({"id": "b"}),
            json!({"id": "c", "parentId": "b"}),
            json!({"id": "d"}),
            json!({"id": "e", "parentId": "d", "role": "sent"}),
            json!({"id": "f", "myRights": {"mayDelete": false}}),
            json!({"id": "g"}),
            json!({"id": "h", "parentId": "g"}),
        ]
        .into_iter()
        .map(|value| value.as_object().cloned().expect("an object"))
        .collect();
        assert_eq!(candidates(Kind::Mailbox, &remotes, &[], &none), [[2, 7], [1, 6]]);
        assert_eq!(candidates(Kind::Mailbox, &remotes, &[], &HashSet::from(["c"])), [[7], [6]]);
        assert_eq!(candidates(Kind::Mailbox, &remotes, &[None, Some(7)], &none), [[2], [1]]);
        let books = [json!({"id": "a", "isDefault": true}), json!({"id": "b", "isDefault": false})];
        let books: Vec<Object> =
            books.into_iter().map(|value| value.as_object().cloned().expect("an object")).collect();
        assert_eq!(candidates(Kind::AddressBook, &books, &[], &none), [[1]]);
        let scripts = json!({"id": "a", "isActive": true}).as_object().cloned().expect("an object");
        assert!(candidates(Kind::SieveScript, &[scripts], &[], &none).is_empty());
    }
}
