//! The mailboxes of the account: names, hierarchy, roles.

use crate::format::jmap::{Object, folded};
use crate::format::mutf7;
use crate::net::sanitize::said;
use crate::protocol::imap::{Folder, Namespaces, roles_of};
use crate::sink::Remote;
use serde_json::json;
use std::collections::HashMap;

/// How the server writes names.
#[derive(Debug, Clone, Default)]
pub(super) struct Names {
    /// What new mailboxes begin with (`INBOX.`).
    pub prefix: String,
    pub delimiter: Option<char>,
    /// Names are UTF-8, no modified UTF-7.
    pub is_utf8: bool,
}

/// A mailbox of the account.
#[derive(Debug, Clone)]
pub(super) struct Mailbox {
    /// Its name as the server spells it.
    pub raw: Vec<u8>,
    pub is_selectable: bool,
}

/// The mailboxes by their ids, and as the export is shown them. A mailbox whose name is no text is left out; the flag says
/// whether there is none.
pub(super) fn arrange(folders: Vec<Folder>, namespaces: &Namespaces) -> (HashMap<String, Mailbox>, Vec<Remote>, bool) {
    let paths: Vec<Vec<String>> = folders.iter().map(|folder| path(folder, namespaces)).collect();
    let roles = roles_of(&folders, namespaces, true);
    let ids: HashMap<&[String], String> = folders
        .iter()
        .zip(&paths)
        .filter_map(|(folder, path)| Some((path.as_slice(), id(&folder.listed.raw)?)))
        .collect();
    let (mut all, mut remotes, mut is_complete) = (HashMap::new(), Vec::new(), true);
    for ((folder, path), role) in folders.iter().zip(&paths).zip(roles) {
        let Some(id) = id(&folder.listed.raw) else {
            is_complete = false;
            continue;
        };
        let name = path.last().cloned().unwrap_or_default();
        remotes.push(Remote {
            id: id.clone(),
            key: folded(&name),
            label: said(path.join("/").as_bytes()),
            parent: path.split_last().and_then(|(_, parents)| ids.get(parents).cloned()),
            is_kept: role.is_some() || !folder.is_selectable(),
            role: role.map(str::to_owned),
            body: Object::from_iter([("isSubscribed".to_owned(), json!(folder.is_subscribed))]),
            name,
            ..Remote::default()
        });
        let mailbox = Mailbox { raw: folder.listed.raw.clone(), is_selectable: folder.is_selectable() };
        all.insert(id, mailbox);
    }
    (all, remotes, is_complete)
}

/// The id of a mailbox: its raw name.
pub(super) fn id(raw: &[u8]) -> Option<String> {
    if raw.eq_ignore_ascii_case(b"INBOX") { Some("INBOX".to_owned()) } else { String::from_utf8(raw.to_vec()).ok() }
}

/// The levels of a name, without the prefix that all mailboxes of the user have.
fn path(folder: &Folder, namespaces: &Namespaces) -> Vec<String> {
    let name = namespaces.without_prefix(&folder.name);
    match folder.listed.delimiter {
        Some(delimiter) => name.split(delimiter).map(str::to_owned).collect(),
        None => vec![name.to_owned()],
    }
}

impl Names {
    /// How the server writes names, by what it says of its namespaces and lists.
    pub(super) fn of(folders: &[Folder], namespaces: &Namespaces, is_utf8: bool) -> Names {
        let own = namespaces.personal.first();
        let listed = folders.iter().find_map(|folder| folder.listed.delimiter);
        Names {
            prefix: own.map(|namespace| namespace.prefix.clone()).unwrap_or_default(),
            delimiter: own.and_then(|namespace| namespace.delimiter).or(listed),
            is_utf8,
        }
    }

    /// A name as a mailbox can have it: what would be another level, or cannot be listed, becomes `_`.
    pub(super) fn leaf(&self, name: &str) -> String {
        let is_odd = |c: char| c.is_control() || Some(c) == self.delimiter || "%*".contains(c);
        name.chars().map(|c| if is_odd(c) { '_' } else { c }).collect()
    }

    /// A name without what servers refuse in one, although it is no level and can be listed; `None` if it has nothing of that.
    pub(super) fn plain(name: &str) -> Option<String> {
        let is_odd = |(at, c): (usize, char)| "./\\%*#^!".contains(c) || (c == '~' && at == 0) || c.is_control();
        let plain: String = name.char_indices().map(|(at, c)| if is_odd((at, c)) { '_' } else { c }).collect();
        (plain != name).then_some(plain)
    }

    /// The raw name of a new mailbox in a parent.
    pub(super) fn raw(&self, parent: Option<&[u8]>, name: &str) -> Vec<u8> {
        let name = self.leaf(name);
        let encode = |text: &str| if self.is_utf8 { text.to_owned() } else { mutf7::encode(text) };
        match (parent, self.delimiter) {
            (Some(parent), Some(delimiter)) => [parent, encode(&format!("{delimiter}{name}")).as_bytes()].concat(),
            // Without levels the name of the parent is a part of the name.
            (Some(parent), None) => [parent, b"_", encode(&name).as_bytes()].concat(),
            (None, _) => encode(&format!("{}{name}", self.prefix)).into_bytes(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::imap::{Listed, Namespace};

    fn folder(name: &str, delimiter: char, attributes: &[&str]) -> Folder {
        let listed = Listed {
            raw: name.as_bytes().to_vec(),
            delimiter: Some(delimiter),
            attributes: attributes.iter().map(|one| (*one).to_owned()).collect(),
        };
        Folder { listed, name: name.to_owned(), ..Folder::default() }
    }

    #[test]
    fn mailboxes_have_parents_and_roles_without_the_prefix() {
        let folders = vec![
            folder("INBOX", '.', &[]),
            folder("INBOX.Gesendet", '.', &["\\Sent"]),
            folder("INBOX.Lists", '.', &["\\Noselect"]),
            folder("INBOX.Lists.rust", '.', &[]),
        ];
        let namespaces = Namespaces {
            personal: vec![Namespace { prefix: "INBOX.".to_owned(), delimiter: Some('.') }],
            ..Namespaces::default()
        };
        let names = Names::of(&folders, &namespaces, false);
        let (all, remotes, is_complete) = arrange(folders, &namespaces);
        assert!(is_complete && all.len() == 4 && !all["INBOX.Lists"].is_selectable);
        let shown: Vec<(&str, Option<&str>, Option<&str>)> =
            remotes.iter().map(|it| (it.name.as_str(), it.parent.as_deref(), it.role.as_deref())).collect();
        assert_eq!(
            shown,
            [
                ("INBOX", None, Some("inbox")),
                ("Gesendet", None, Some("sent")),
                ("Lists", None, None),
                ("rust", Some("INBOX.Lists"), None)
            ]
        );
        assert_eq!(names.raw(None, "Größe"), b"INBOX.Gr&APYA3w-e");
        assert_eq!(names.raw(Some(b"INBOX.Lists"), "a.b*"), b"INBOX.Lists.a_b_");
        assert_eq!(Names::plain("~a.b/c~"), Some("_a_b_c~".to_owned()));
        assert_eq!(Names::plain("Größe & more"), None);
    }
}
