//! What the user named: where the files are, which of them are wanted, and where what is in them goes.

use super::kinds::Format;
use super::place::Place;
use crate::model::ObjectType;
use crate::source::file_url::file_url;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use std::path::Path;

/// What is taken of the files that the user names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FileKind {
    /// Files of many messages.
    Mbox,
    /// Files of one message each: .eml, .emlx, MH.
    Messages,
    /// iCalendar files.
    Calendar,
    /// vCard files.
    Cards,
}

impl FileKind {
    /// Whether a file of this format is taken.
    pub(super) fn takes(self, format: Format) -> bool {
        self == FileKind::of(format)
    }

    pub(super) fn of(format: Format) -> FileKind {
        match format {
            Format::Mbox => FileKind::Mbox,
            Format::Message | Format::AppleMessage => FileKind::Messages,
            Format::Calendar => FileKind::Calendar,
            Format::Cards => FileKind::Cards,
        }
    }

    /// The type of the objects in such files.
    pub(super) fn kind(self) -> ObjectType {
        match self {
            FileKind::Mbox | FileKind::Messages => ObjectType::Email,
            FileKind::Calendar => ObjectType::CalendarEvent,
            FileKind::Cards => ObjectType::ContactCard,
        }
    }

    /// The command that imports such files.
    pub fn command(self) -> &'static str {
        match self {
            FileKind::Mbox => "mbox",
            FileKind::Messages => "eml",
            FileKind::Calendar => "ics",
            FileKind::Cards => "vcf",
        }
    }

    /// Such a file, in words.
    pub(super) fn words(self) -> &'static str {
        match self {
            FileKind::Mbox => "mbox file",
            FileKind::Messages => "file of one message",
            FileKind::Calendar => "calendar (.ics)",
            FileKind::Cards => "address book (.vcf)",
        }
    }

    /// Whether mail is in such files.
    pub(super) fn is_mail(self) -> bool {
        self.kind() == ObjectType::Email
    }
}

/// A file or a folder that the user named.
#[derive(Debug)]
pub(super) struct Root {
    pub(super) place: Place,
    /// Begins the keys of all scopes in it. Empty for a Takeout, whose folder is the source.
    pub(super) id: String,
    /// Begins the positions of all that is in it, for messages to the user. Empty for a Takeout.
    pub(super) shown: String,
    /// All that is taken, if not everything is.
    pub(super) only: Option<FileKind>,
    /// The mailbox, calendar or address book that the user wants it in.
    pub(super) name: Option<String>,
}

/// Behind the root's part of a key stands the path below it.
const BELOW: char = '#';

impl Root {
    /// A Takeout at this path.
    pub(super) fn takeout(path: &Path) -> Root {
        let place = Place::Path(path.to_owned());
        Root { place, id: String::new(), shown: String::new(), only: None, name: None }
    }

    /// A file or a folder of its own. `path` has no links in it; of standard input there is none.
    pub(super) fn named(place: Place, shown: String, only: FileKind, name: Option<String>) -> Root {
        let address = place.path().map_or_else(|| "stdin:".to_owned(), file_url);
        let target = name.as_ref().map(|name| format!("?in={}", utf8_percent_encode(name, NON_ALPHANUMERIC)));
        Root { place, id: address + &target.unwrap_or_default(), shown, only: Some(only), name }
    }

    /// True if a scope with this key is of a root with this id.
    pub(super) fn is_of(key: &str, id: &str) -> bool {
        key.split(BELOW).next() == Some(id)
    }

    /// The key of what lies at a path below the root; empty for the root itself.
    pub(super) fn key(&self, below: &str) -> String {
        match (self.id.is_empty(), below.is_empty()) {
            (true, _) => below.to_owned(),
            (false, true) => self.id.clone(),
            (false, false) => format!("{}{BELOW}{below}", self.id),
        }
    }

    /// What lies at a path below the root, for messages to the user.
    pub(super) fn position(&self, below: &str) -> String {
        match (self.shown.is_empty(), below.is_empty()) {
            (true, true) => ".".to_owned(),
            (true, false) => below.to_owned(),
            (false, true) => self.shown.clone(),
            (false, false) => format!("{}/{below}", self.shown.trim_end_matches('/')),
        }
    }

    /// The mailbox that the user wants everything in or below.
    pub(super) fn mailbox(&self) -> Option<&str> {
        self.name.as_deref().filter(|_| self.only.is_some_and(FileKind::is_mail))
    }

    /// The path of a mailbox: below the one that the user wants.
    pub(super) fn below(&self, mailbox: String) -> String {
        match (self.mailbox(), mailbox.is_empty()) {
            (Some(name), true) => name.to_owned(),
            (Some(name), false) => format!("{name}/{mailbox}"),
            (None, _) => mailbox,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::PathBuf;

    #[test]
    fn the_key_of_a_scope_names_its_root() {
        let path = Place::Path(PathBuf::from("/home/a #b/Mail"));
        let root =
            |name: Option<&str>| Root::named(path.clone(), "Mail/".to_owned(), FileKind::Mbox, name.map(str::to_owned));
        let (plain, old) = (root(None), root(Some("Old/2#")));
        for (root, other) in [(&plain, &old), (&old, &plain)] {
            for below in ["", "Work#/Inbox"] {
                assert!(Root::is_of(&root.key(below), &root.id) && !Root::is_of(&root.key(below), &other.id));
            }
        }
        assert_eq!(plain.key("Work/Inbox"), "file:///home/a%20%23b/Mail#Work/Inbox");
        assert_eq!((plain.position("x"), plain.position("")), ("Mail/x".to_owned(), "Mail/".to_owned()));
        assert_eq!((old.below(String::new()), old.below("a".to_owned())), ("Old/2#".to_owned(), "Old/2#/a".to_owned()));
    }
}
