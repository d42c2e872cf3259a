//! What of the target may be removed because the archive does not hold it: pure.

use super::match_objects::remote_key;
use super::run::Work;
use crate::format::jmap::{Object, participant_address, text};
use crate::model::ObjectType;
use serde_json::Value;
use std::collections::{BTreeMap, HashMap, HashSet};

/// The places of objects that no object of the archive is, in steps: children before their parents. Left out is what has a role,
/// what holds something with a role or something that stays (`holders`, by id, hold such), what is a default or the active
/// script, what the server does not let go or makes itself, and what has the uid of something that the archive has.
/// `addresses` are the user's own.
pub fn candidates(kind: ObjectType, work: &Work, holders: &HashSet<&str>, addresses: &[String]) -> Vec<Vec<usize>> {
    let Work { remotes, found, wanted, .. } = work;
    let used: HashSet<usize> = found.iter().flatten().copied().collect();
    let keys: HashSet<&str> = match kind {
        // The archive has what it stands for; another one of a key is no reason to remove this one.
        ObjectType::ContactCard
        | ObjectType::CalendarEvent
        | ObjectType::Identity
        | ObjectType::ParticipantIdentity => {
            wanted.iter().flat_map(|one| [Some(one.key.as_str()), one.marked.as_deref()]).flatten().collect()
        }
        _ => HashSet::new(),
    };
    let stays_always =
        |remote: &Object| keys.contains(remote_key(kind, remote).as_str()) || is_kept(kind, remote, addresses);
    let places: HashMap<&str, usize> =
        remotes.iter().enumerate().map(|(place, remote)| (text(remote, "id"), place)).collect();
    let parent =
        |place: usize| remotes[place].get("parentId").and_then(Value::as_str).and_then(|id| places.get(id).copied());
    let mut stays: HashSet<usize> = HashSet::new();
    for (place, remote) in remotes.iter().enumerate() {
        if used.contains(&place) || stays_always(remote) || holders.contains(text(remote, "id")) {
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

/// True for what is never removed, whatever the archive holds.
pub fn is_kept(kind: ObjectType, remote: &Object, addresses: &[String]) -> bool {
    is_protected(kind, remote) || is_own(kind, remote, addresses)
}

/// True for what a server makes itself: the identities of the user's own addresses, and the script that a vacation response
/// is stored as.
fn is_own(kind: ObjectType, remote: &Object, addresses: &[String]) -> bool {
    let is_mine = |address: &str| {
        let address = address.to_lowercase();
        addresses.iter().any(|own| address.strip_prefix("mailto:").unwrap_or(&address) == own)
    };
    match kind {
        ObjectType::Identity => is_mine(text(remote, "email")),
        ObjectType::ParticipantIdentity => participant_address(remote).is_some_and(is_mine),
        ObjectType::SieveScript => text(remote, "name").eq_ignore_ascii_case("vacation"),
        _ => false,
    }
}

fn is_protected(kind: ObjectType, remote: &Object) -> bool {
    let flag = |name: &str| remote.get(name).and_then(Value::as_bool);
    let may_not =
        remote.get("myRights").and_then(|rights| rights.get("mayDelete")).and_then(Value::as_bool) == Some(false);
    let has_role = matches!(kind, ObjectType::Mailbox | ObjectType::FileNode) && !text(remote, "role").is_empty();
    may_not
        || has_role
        || flag("mayDelete") == Some(false)
        || flag("isDefault") == Some(true)
        || (kind == ObjectType::SieveScript && flag("isActive") == Some(true))
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
        let work = |remotes: &[Object], found: &[Option<usize>]| Work {
            remotes: remotes.to_vec(),
            found: found.to_vec(),
            ..Work::default()
        };
        let of = |found: &[Option<usize>], holders: &HashSet<&str>| {
            candidates(ObjectType::Mailbox, &work(&remotes, found), holders, &[])
        };
        assert_eq!(of(&[], &none), [[2, 7], [1, 6]]);
        assert_eq!(of(&[], &HashSet::from(["c"])), [[7], [6]]);
        assert_eq!(of(&[None, Some(7)], &none), [[2], [1]]);
        let object = |value: Value| value.as_object().cloned().expect("an object");
        let books = [json!({"id": "a", "isDefault": true}), json!({"id": "b", "isDefault": false})].map(object);
        assert_eq!(candidates(ObjectType::AddressBook, &work(&books, &[]), &none, &[]), [[1]]);
        let scripts = [json!({"id": "a", "isActive": true}), json!({"id": "b", "name": "Vacation"})].map(object);
        assert!(candidates(ObjectType::SieveScript, &work(&scripts, &[]), &none, &[]).is_empty());
        let mine = [json!({"id": "a", "email": "Me@x"}), json!({"id": "b", "email": "you@x"})].map(object);
        assert_eq!(candidates(ObjectType::Identity, &work(&mine, &[]), &none, &["me@x".to_owned()]), [[1]]);
    }
}
