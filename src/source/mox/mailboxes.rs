//! The mailboxes of an account as containers: names, what lies between them, roles, and which of them a run takes.

use super::options::MoxOptions;
use super::records::Mailbox;
use crate::model::ObjectType;
use crate::model::container::Container;
use crate::model::roles::{self, Candidate};
use crate::net::sanitize::said;
use std::collections::{HashMap, HashSet};

/// Names have at most so many levels; the last one has the rest of the name.
const LEVELS: usize = 32;

/// A mailbox, or what others lie in.
pub(super) struct Folder {
    /// mox's number of it; `None` if mox has only others below it.
    pub id: Option<i64>,
    pub container: Container,
    /// True if this run takes it.
    pub is_selected: bool,
}

/// All mailboxes, parents before what lies in them, and what the user should know of their roles.
pub(super) fn arrange(mailboxes: Vec<Mailbox>, options: &MoxOptions) -> (Vec<Folder>, Vec<String>) {
    let mut taken: HashSet<String> = HashSet::new();
    let keys: Vec<String> = mailboxes.iter().map(|mailbox| key_of(mailbox, &mut taken)).collect();
    let candidates: Vec<Candidate<'_>> =
        keys.iter().zip(&mailboxes).map(|(key, mailbox)| Candidate { path: key, attributes: &mailbox.uses }).collect();
    let roles = roles::assign(&candidates, !options.noautomap);
    let notices = keys
        .iter()
        .zip(&mailboxes)
        .zip(&roles)
        .filter_map(|((key, mailbox), role)| notice(key, &mailbox.uses, *role))
        .collect();
    let mut order: Vec<usize> = (0..mailboxes.len()).collect();
    order.sort_by_cached_key(|at| levels(&keys[*at]).len());
    let mut folders: Vec<Folder> = Vec::with_capacity(mailboxes.len());
    let mut known: HashSet<String> = HashSet::new();
    for at in order {
        let (key, mailbox) = (&keys[at], &mailboxes[at]);
        let parent = make_up_parents(key, &mut folders, &mut known);
        let name = levels(key).pop().unwrap_or_default().to_owned();
        let container = Container {
            role: roles[at].map(str::to_owned),
            is_subscribed: mailbox.is_subscribed,
            ..Container::new(ObjectType::Mailbox, key.clone(), parent, name)
        };
        known.insert(key.clone());
        folders.push(Folder { id: Some(mailbox.id), container, is_selected: options.filter.selects(key) });
    }
    (folders, notices)
}

/// The containers of the mailboxes that a run takes, and of what they lie in.
pub(super) fn wanted(folders: &[Folder]) -> Vec<Container> {
    let parents: HashMap<&str, Option<&str>> =
        folders.iter().map(|folder| (folder.container.key.as_str(), folder.container.parent.as_deref())).collect();
    let mut wanted: HashSet<&str> = HashSet::new();
    for folder in folders.iter().filter(|folder| folder.is_selected) {
        let mut key = Some(folder.container.key.as_str());
        while let Some(one) = key.filter(|one| wanted.insert(one)) {
            key = parents.get(one).copied().flatten();
        }
    }
    let containers = folders.iter().map(|folder| &folder.container);
    containers.filter(|container| wanted.contains(container.key.as_str())).cloned().collect()
}

/// The name of a mailbox, which no other one has. mox's `Inbox` is `INBOX`, as it is in every other source.
fn key_of(mailbox: &Mailbox, taken: &mut HashSet<String>) -> String {
    let mut parts: Vec<&str> = mailbox.name.split('/').filter(|part| !part.is_empty()).collect();
    if let Some(first) = parts.first_mut().filter(|first| first.eq_ignore_ascii_case("INBOX")) {
        *first = "INBOX";
    }
    let mut key = parts.join("/");
    // No mailbox of mox is without a name, and no two have one name.
    if key.is_empty() || taken.contains(&key) {
        key = format!("{key}#{}", mailbox.id);
    }
    while !taken.insert(key.clone()) {
        key.push('#');
    }
    key
}

fn levels(key: &str) -> Vec<&str> {
    key.splitn(LEVELS, '/').collect()
}

/// Adds what a mailbox lies in and mox has no record of. Gives the key of the innermost.
fn make_up_parents(key: &str, folders: &mut Vec<Folder>, known: &mut HashSet<String>) -> Option<String> {
    let levels = levels(key);
    let mut parent: Option<String> = None;
    for depth in 1..levels.len() {
        let key = levels[..depth].join("/");
        if known.insert(key.clone()) {
            let container = Container {
                is_subscribed: false,
                ..Container::new(ObjectType::Mailbox, key.clone(), parent, levels[depth - 1])
            };
            folders.push(Folder { id: None, container, is_selected: false });
        }
        parent = Some(key);
    }
    parent
}

/// What the user should know of the role that a mailbox got.
fn notice(key: &str, uses: &[&str], role: Option<&str>) -> Option<String> {
    let first = roles::by_attribute(uses.first()?)?;
    let key = said(key.as_bytes());
    let all: Vec<&str> = uses.iter().filter_map(|one| roles::by_attribute(one)).collect();
    match role {
        Some(role) if role == first && all.len() == 1 => None,
        Some(role) => {
            Some(format!("the mailbox {key} has the roles {} in mox; it is imported as {role}", all.join(", ")))
        }
        None => {
            Some(format!("the mailbox {key} has the role {first} in mox, as another one has; it is imported without"))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::source::filter::Filter;

    fn mailbox(id: i64, name: &str, uses: &[&'static str]) -> Mailbox {
        Mailbox { id, name: name.to_owned(), uses: uses.to_vec(), is_subscribed: true }
    }

    fn shown(folders: &[Folder]) -> Vec<String> {
        let row = |folder: &Folder| {
            let Container { key, parent, name, role, .. } = &folder.container;
            let (parent, role) = (parent.as_deref().unwrap_or("-"), role.as_deref().unwrap_or("-"));
            format!("{key} {parent} {name} {role} {}", folder.id.unwrap_or_default())
        };
        folders.iter().map(row).collect()
    }

    #[test]
    fn parents_are_made_up_and_come_first() {
        let mailboxes = vec![
            mailbox(1, "a/b/c", &[]),
            mailbox(2, "Inbox/Sub", &[]),
            mailbox(3, "Inbox", &[]),
            mailbox(4, "a", &[]),
        ];
        let (folders, notices) = arrange(mailboxes, &MoxOptions::default());
        assert_eq!(
            shown(&folders),
            ["INBOX - INBOX inbox 3", "a - a - 4", "INBOX/Sub INBOX Sub - 2", "a/b a b - 0", "a/b/c a/b c - 1"]
        );
        assert!(notices.is_empty());
        assert!(!folders[3].container.is_subscribed && folders[4].container.is_subscribed);
    }

    #[test]
    fn one_role_a_mailbox_and_one_mailbox_a_role() {
        let mailboxes = vec![
            mailbox(1, "Inbox", &["\\Junk"]),
            mailbox(2, "Old", &["\\Archive", "\\Trash"]),
            mailbox(3, "Archive", &["\\Archive"]),
            mailbox(4, "Sent", &[]),
            mailbox(5, "Gesendet", &["\\Sent"]),
        ];
        let (folders, notices) = arrange(mailboxes, &MoxOptions::default());
        assert_eq!(
            shown(&folders),
            [
                "INBOX - INBOX inbox 1",
                "Old - Old archive 2",
                "Archive - Archive - 3",
                "Sent - Sent - 4",
                "Gesendet - Gesendet sent 5"
            ]
        );
        assert_eq!(notices.len(), 3, "{notices:?}");
    }

    #[test]
    fn names_that_mox_does_not_make_stay_apart() {
        let deep = vec!["x"; 10_000].join("/");
        let names = ["", "/", "a", "a", "a#3", "a//b", "a/b", "..", &deep, &format!("{deep}/y")];
        let mailboxes = (1..).zip(names).map(|(id, name)| mailbox(id, name, &[])).collect();
        let (folders, _) = arrange(mailboxes, &MoxOptions::default());
        let keys: HashSet<&str> = folders.iter().map(|folder| folder.container.key.as_str()).collect();
        assert_eq!((keys.len(), folders.iter().filter(|one| one.id.is_some()).count()), (folders.len(), names.len()));
        assert!(folders.len() < names.len() + LEVELS);
        for (at, folder) in folders.iter().enumerate() {
            let parent = folder.container.parent.as_deref();
            assert!(parent.is_none_or(|parent| folders[..at].iter().any(|one| one.container.key == parent)));
        }
    }

    #[test]
    fn what_a_filter_takes_comes_with_its_parents() {
        let filter = Filter::new(&[], &[], &["a/b/c".to_owned()]).unwrap();
        let options = MoxOptions { filter, ..MoxOptions::default() };
        let (folders, _) = arrange(vec![mailbox(1, "a/b/c", &[]), mailbox(2, "d", &[])], &options);
        let keys: Vec<String> = wanted(&folders).into_iter().map(|container| container.key).collect();
        assert_eq!(keys, ["a", "a/b", "a/b/c"]);
    }
}
