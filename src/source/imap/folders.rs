//! The mailboxes of an account as scopes and containers: names, hierarchy, roles, and which of them a run takes.

use super::options::ImapOptions;
use crate::model::container::Container;
use crate::model::{Digest, ObjectType};
use crate::protocol::imap::{Folder as Listed, FolderStatus, Namespaces, roles_of};
use std::collections::{HashMap, HashSet};

/// A mailbox on the server.
#[derive(Debug, Clone)]
pub(super) struct Folder {
    /// Its name as the server spells it.
    pub raw: Vec<u8>,
    /// Its name decoded, with the server's own delimiter: what filters look at.
    pub name: String,
    /// Its identity: the parts of its name with `/` between them.
    pub key: String,
    pub container: Container,
    /// False for a name that only has others below it.
    pub is_selectable: bool,
    /// True if this run takes it.
    pub is_selected: bool,
    pub status: Option<FolderStatus>,
}

/// All mailboxes, parents before their children; what lies between them and is none is made up.
pub(super) fn arrange(listed: Vec<Listed>, namespaces: &Namespaces, options: &ImapOptions) -> Vec<Folder> {
    let roles = roles_of(&listed, namespaces, !options.noautomap);
    let mut keys = Keys::default();
    let mut folders: Vec<Folder> = Vec::with_capacity(listed.len());
    let mut listed: Vec<(Listed, Option<&str>)> = listed.into_iter().zip(roles).collect();
    // A mailbox of a name comes before those below it, so that it is never made up.
    listed.sort_by_cached_key(|(folder, _)| parts(folder).len());
    for (folder, role) in listed {
        let parts = parts(&folder);
        let key = keys.of(&parts, &folder.listed.raw);
        let parent = made_up_parents(&parts, &mut folders, &mut keys);
        let leaf = parts.last().cloned().unwrap_or_default();
        let container = Container {
            role: role.map(str::to_owned),
            is_subscribed: folder.is_subscribed,
            ..Container::new(ObjectType::Mailbox, key.clone(), parent, leaf)
        };
        let is_selectable = folder.is_selectable();
        let is_selected = is_selectable && selects(options, &folder, role);
        let Listed { listed, name, status, .. } = folder;
        folders.push(Folder { raw: listed.raw, name, key, container, is_selectable, is_selected, status });
    }
    folders
}

/// The containers of the mailboxes that a run takes, and of what they lie in.
pub(super) fn containers(folders: &[Folder]) -> Vec<Container> {
    let parents: HashMap<&str, Option<&str>> =
        folders.iter().map(|folder| (folder.key.as_str(), folder.container.parent.as_deref())).collect();
    let mut wanted: HashSet<&str> = HashSet::new();
    for folder in folders.iter().filter(|folder| folder.is_selected) {
        let mut key = Some(folder.key.as_str());
        while let Some(one) = key.filter(|one| wanted.insert(one)) {
            key = parents.get(one).copied().flatten();
        }
    }
    folders
        .iter()
        .filter(|folder| wanted.contains(folder.key.as_str()))
        .map(|folder| folder.container.clone())
        .collect()
}

fn selects(options: &ImapOptions, folder: &Listed, role: Option<&str>) -> bool {
    let is_special = |name: &String| role.is_some_and(|role| role.eq_ignore_ascii_case(name.trim_start_matches('\\')));
    options.filter.selects(&folder.name)
        && (!options.subscribed_only || folder.is_subscribed)
        && !options.exclude_special.iter().any(is_special)
}

/// The levels of a name. Empty ones (`a//b`) are no levels, unless there is nothing else.
fn parts(folder: &Listed) -> Vec<String> {
    let Some(delimiter) = folder.listed.delimiter else { return vec![folder.name.clone()] };
    let parts: Vec<String> = folder.name.split(delimiter).filter(|part| !part.is_empty()).map(str::to_owned).collect();
    if parts.is_empty() { vec![folder.name.clone()] } else { parts }
}

/// Adds what a mailbox lies in and the server did not name. Gives the key of the innermost.
fn made_up_parents(parts: &[String], folders: &mut Vec<Folder>, keys: &mut Keys) -> Option<String> {
    let mut parent = None;
    for depth in 1..parts.len() {
        let parts = &parts[..depth];
        let key = match keys.known(parts) {
            Some(key) => key.to_owned(),
            None => {
                let key = keys.of(parts, &[]);
                let name = parts.last().cloned().unwrap_or_default();
                let container = Container {
                    is_subscribed: false,
                    ..Container::new(ObjectType::Mailbox, key.clone(), parent, name.clone())
                };
                folders.push(Folder {
                    raw: Vec::new(),
                    name,
                    key: key.clone(),
                    container,
                    is_selectable: false,
                    is_selected: false,
                    status: None,
                });
                key
            }
        };
        parent = Some(key);
    }
    parent
}

/// Gives each name a key of its own, whatever characters it has.
#[derive(Default)]
struct Keys {
    by_parts: HashMap<Vec<String>, String>,
    taken: HashSet<String>,
}

impl Keys {
    fn known(&self, parts: &[String]) -> Option<&str> {
        self.by_parts.get(parts).map(String::as_str)
    }

    /// The parts with `/` between them. A slash in a part (where the delimiter is another) would make two names one:
    /// the second gets a mark.
    fn of(&mut self, parts: &[String], raw: &[u8]) -> String {
        let mut key = parts.join("/");
        if !self.taken.insert(key.clone()) {
            let mark = Digest::of(&[parts.join("\u{1f}").as_bytes(), raw].concat()).hex();
            key = format!("{key}#{}", &mark[..8]);
            self.taken.insert(key.clone());
        }
        self.by_parts.entry(parts.to_vec()).or_insert_with(|| key.clone());
        key
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::imap::{Listed as Line, Namespace};
    use crate::source::filter::Filter;

    fn listed(name: &str, delimiter: char, attributes: &[&str]) -> Listed {
        Listed {
            listed: Line {
                raw: name.as_bytes().to_vec(),
                delimiter: Some(delimiter),
                attributes: attributes.iter().map(|one| (*one).to_owned()).collect(),
            },
            name: name.to_owned(),
            is_subscribed: true,
            ..Listed::default()
        }
    }

    fn options() -> ImapOptions {
        ImapOptions { filter: Filter::all(), ..ImapOptions::default() }
    }

    fn shown(folders: &[Folder]) -> Vec<(&str, Option<&str>, &str, Option<&str>)> {
        let row = |folder: &Folder| {
            let container = &folder.container;
            (folder.key.clone(), container.parent.clone(), container.name.clone(), container.role.clone())
        };
        folders
            .iter()
            .map(|folder| {
                let (key, parent, name, role) = row(folder);
                let leak = |text: String| -> &'static str { Box::leak(text.into_boxed_str()) };
                (leak(key), parent.map(leak), leak(name), role.map(leak))
            })
            .collect()
    }

    #[test]
    fn gmail_has_a_parent_that_is_no_mailbox() {
        let names = vec![
            listed("INBOX", '/', &[]),
            listed("[Gmail]", '/', &["\\Noselect"]),
            listed("[Gmail]/All Mail", '/', &["\\All"]),
            listed("Deep/er", '/', &[]),
        ];
        let folders = arrange(names, &Namespaces::default(), &options());
        assert_eq!(
            shown(&folders),
            [
                ("INBOX", None, "INBOX", Some("inbox")),
                ("[Gmail]", None, "[Gmail]", None),
                ("[Gmail]/All Mail", Some("[Gmail]"), "All Mail", Some("all")),
                ("Deep", None, "Deep", None),
                ("Deep/er", Some("Deep"), "er", None),
            ]
        );
        let selected: Vec<bool> = folders.iter().map(|folder| folder.is_selected).collect();
        assert_eq!(selected, [true, false, true, false, true]);
        assert_eq!(containers(&folders).len(), 5);
    }

    #[test]
    fn names_with_odd_characters_stay_apart() {
        let names = vec![
            listed("a.b", '.', &[]),
            listed("a/b", '.', &[]),
            listed("a", '.', &[]),
            listed("..", '/', &[]),
            listed("../..", '/', &[]),
            listed("/", '/', &[]),
            listed("x//y", '/', &[]),
            listed("\0", '/', &[]),
        ];
        let folders = arrange(names, &Namespaces::default(), &options());
        let keys: HashSet<&str> = folders.iter().map(|folder| folder.key.as_str()).collect();
        assert_eq!(keys.len(), folders.len());
        let slash = folders.iter().find(|folder| folder.name == "a/b").expect("it is there");
        assert_eq!((slash.container.name.as_str(), slash.container.parent.as_deref()), ("a/b", None));
        let below = folders.iter().find(|folder| folder.name == "a.b").expect("it is there");
        assert_eq!((below.container.name.as_str(), below.container.parent.as_deref()), ("b", Some("a")));
    }

    #[test]
    fn roles_do_not_mind_the_prefix_and_filters_do() {
        let names =
            || ["INBOX", "INBOX.Sent", "INBOX.Spam", "INBOX.Lists.rust"].map(|name| listed(name, '.', &[])).to_vec();
        let namespaces = Namespaces {
            personal: vec![Namespace { prefix: "INBOX.".to_owned(), delimiter: Some('.') }],
            ..Namespaces::default()
        };
        let filter = Filter::new(&[], &[r"^INBOX\.Lists".to_owned()], &[]).expect("a filter");
        let options = ImapOptions { filter, exclude_special: vec!["Junk".to_owned()], ..options() };
        let folders = arrange(names(), &namespaces, &options);
        let taken: Vec<&str> = folders.iter().filter(|one| one.is_selected).map(|one| one.name.as_str()).collect();
        assert_eq!(taken, ["INBOX", "INBOX.Sent"]);
        let sent = folders.iter().find(|folder| folder.name == "INBOX.Sent").expect("it is there");
        assert_eq!(sent.container.role.as_deref(), Some("sent"));
        assert_eq!(sent.container.parent.as_deref(), Some("INBOX"));
    }
}
